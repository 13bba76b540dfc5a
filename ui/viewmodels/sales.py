"""Sales that were made: found by ticket, label or product, and what goes back of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import flet as ft
from tinydb import where

from node.api import Node, receipts
from node.api import catalog as shelf
from ui.format import whole

LOOKED_AT = 2_000
"""So many orders back a search for words goes; a ticket's number or a label finds any."""
SHOWN_AT_ONCE = 60


@ft.observable
@dataclass
class SalesModel:
    """What is looked for, which sale is open, and what is to go back."""

    query: str = ""
    selected: str = ""
    units: dict[str, int] = field(default_factory=dict)
    """Line (as text) → units that go back."""
    reason: str = ""
    restock: bool = True
    problem: str = ""
    done: str = ""
    busy: bool = False

    def open(self, order: str) -> None:
        self.selected = "" if self.selected == order else order
        self.units = {}
        self.reason = self.problem = self.done = ""
        self.restock = True


def find(node: Node, query: str) -> list[dict[str, Any]]:
    """Collected orders that fit, the newest first, with their ``id``."""
    orders, wanted = node.tables.table("orders"), query.strip()
    ticket = whole(wanted)
    if ticket is not None:
        rows = [row for row in orders.search(where("ticket") == ticket) if _sold(row)]
        return [_with_id(row) for row in rows]
    words = shelf.fold(wanted).split()
    found: list[dict[str, Any]] = []
    for row in _newest_first(node):
        if _sold(row) and all(word in _text(node, row) for word in words):
            found.append(_with_id(row))
            if len(found) == SHOWN_AT_ONCE:
                break
    return found


def _newest_first(node: Node) -> Iterator[Any]:
    """Orders, the newest first, as far back as a search for words goes; read as they are needed."""
    orders = node.tables.table("orders")
    for skip in range(0, LOOKED_AT, SHOWN_AT_ONCE):
        yield from orders.latest("taken_ms", SHOWN_AT_ONCE, skip)


def _sold(row: Mapping[str, Any]) -> bool:
    return bool(row["state"] == "collected")


def _with_id(row: Any) -> dict[str, Any]:
    return {"id": str(row.doc_id), **row}


def _text(node: Node, row: Mapping[str, Any]) -> str:
    names = " ".join(line["name"] for line in row["lines"])
    return shelf.fold(f"{row['label']} {receipts.name_of(node.tables, row['operator'])} {names}")


def refunded_minor(row: Mapping[str, Any]) -> int:
    return int((row.get("refunded") or {"minor": 0})["minor"])


def units_left(row: Mapping[str, Any], at: int) -> int:
    """Units of a line that have not gone back yet."""
    gone = (row.get("refunded") or {"units": {}})["units"]
    return int(row["lines"][at]["quantity"] - gone.get(str(at), 0))


def refund_fields(model: SalesModel) -> dict[str, Any]:
    """Of the command `sale.refund`: the units that were chosen, or all that is left."""
    lines = [{"line": int(at), "units": units} for at, units in model.units.items() if units]
    return {
        "order": model.selected,
        "lines": lines,
        "reason": model.reason.strip(),
        "restock": model.restock,
    }


def print_of(node: Node, row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """(job, its row) of a sale's ticket; None in a café without a printer."""
    prints = node.tables.table("prints")
    for job in (f"t-{row['ticket']}", f"t-{row['ticket']}-{row['id'][:8]}"):
        found = prints.peek(job)
        if found is not None and found["ref"] == row["id"]:
            return job, found
    return None
