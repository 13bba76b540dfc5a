"""A vendor's own orders, and the operator's queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flet as ft
from tinydb import where

from node.api import Node, StationNode, receipts

STATES = (
    "unsent",
    "pending",
    "allowed",
    "collected",
    "denied",
    "set_aside",
    "withdrawn",
    "expired",
)
SHOWN_AT_ONCE = 60


@ft.observable
@dataclass
class OrdersModel:
    """What "My orders" shows."""

    filter: str = ""
    selected: str = ""


@ft.observable
@dataclass
class QueueModel:
    """What the queue shows, and what is chosen in it."""

    chosen: frozenset[str] = field(default_factory=frozenset)
    query: str = ""
    denying: tuple[str, ...] = ()
    """Orders that a reason is being asked for."""
    problem: str = ""

    def toggle(self, order: str) -> None:
        self.chosen = self.chosen ^ {order}


def summary(row: Any, *, most: int = 3) -> str:
    """``2 White coffee, 1 Cola +2``."""
    lines = row["lines"]
    text = ", ".join(f"{line['quantity']} {line['name']}" for line in lines[:most])
    return f"{text} +{len(lines) - most}" if len(lines) > most else text


def unsent_ids(node: Node) -> frozenset[str]:
    """Orders that the server is not known to have."""
    if not isinstance(node, StationNode):
        return frozenset()
    return frozenset(op.key.hex() for op in node.unsent_ops())


def my_orders(node: Node) -> list[dict[str, Any]]:
    """This station's orders, newest first, with ``id`` and the ``shown`` state."""
    unsent = unsent_ids(node)
    rows = []
    for row in node.tables.table("orders").search(where("station") == node.node_id):
        order = {"id": str(row.doc_id), **row}
        order["shown"] = "unsent" if order["id"] in unsent else row["state"]
        rows.append(order)
    return sorted(rows, key=lambda row: row["taken_ms"], reverse=True)


@dataclass(frozen=True, slots=True)
class QueueRow:
    id: str
    state: str
    vendor: str
    station: str
    label: str
    summary: str
    flags: tuple[str, ...]
    total_minor: int
    mode: int
    since_ms: int


def queue(node: Node, query: str = "") -> dict[str, list[QueueRow]]:
    """Orders that wait, by state, oldest first."""
    tables = node.tables
    found: dict[str, list[QueueRow]] = {}
    for state in ("pending", "allowed", "set_aside"):
        rows = []
        for row in tables.table("orders").search(where("state") == state):
            line = QueueRow(
                id=str(row.doc_id),
                state=state,
                vendor=receipts.name_of(tables, row["operator"]),
                station=f"PC {row['pc']}"
                if row.get("pc") and not row["station"]
                else receipts.station_name(tables, row["station"]),
                label=row["label"],
                summary=summary(row),
                flags=tuple(row["flags"]),
                total_minor=row["total_minor"],
                mode=row["mode"],
                since_ms=row["history"][-1][1],
            )
            text = f"{line.vendor} {line.label} {line.summary}".casefold()
            if query.casefold() in text:
                rows.append(line)
        found[state] = sorted(rows, key=lambda line: line.since_ms)
    return found
