"""A stock count: what is on the shelf, found by scanning or typing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flet as ft
from tinydb import where

from node.api import Node
from ui.viewmodels import shelf


@ft.observable
@dataclass
class CountModel:
    """What was counted so far."""

    query: str = ""
    found: dict[str, int] = field(default_factory=dict)
    """Sku → units, in the order in which they were counted."""
    reason: str = ""
    problem: str = ""
    done: dict[str, Any] | None = None
    """The count that was saved last, with its differences."""

    def put(self, sku: str, units: int) -> None:
        self.found = {**self.found, sku: units}

    def drop(self, sku: str) -> None:
        self.found = {name: units for name, units in self.found.items() if name != sku}


def scan(node: Node, model: CountModel) -> bool:
    """Count one unit of the product with this code or name; False if there is none, or several."""
    wanted = model.query.strip()
    table = node.tables.table("products")
    row = table.get(where("barcode") == wanted) if wanted else None
    if row is None:
        row = table.peek(wanted)
    if row is None:
        rows, more = shelf.find(node, wanted, most=2, all_of_them=True) if wanted else ([], False)
        row = rows[0] if len(rows) == 1 and not more else None
    if row is None or row["kind"] != "product":
        return False
    model.put(row["sku"], model.found.get(row["sku"], 0) + 1)
    model.query = ""
    return True


async def save(node: Node, model: CountModel) -> None:
    """Counted amounts become corrections; raises `SyncError`."""
    lines = [{"sku": sku, "units": units} for sku, units in model.found.items()]
    receipt = await node.submit("stock.count", {"lines": lines, "reason": model.reason.strip()})
    model.done = receipt.events[0][2]
    model.found, model.reason, model.problem = {}, "", ""


def difference(line: list[Any]) -> tuple[int, int]:
    """(units found more than expected, what they cost) of a line of a count."""
    _, expected, found, cost_minor = line
    return found - expected, (found - expected) * cost_minor
