"""The guided close of the box: count, differences, float and operator, Z."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import Node, box, may, receipts, settings

STEPS = ("count", "differences", "float", "z")
# Notes and coins in minor units, by currency; others count their total only.
PIECES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "CRC": (
        (2_000_000, 1_000_000, 500_000, 200_000, 100_000),
        (50_000, 10_000, 5_000, 2_500, 1_000, 500),
    ),
    "EUR": ((20_000, 10_000, 5_000, 2_000, 1_000, 500), (200, 100, 50, 20, 10, 5, 2, 1)),
    "USD": ((10_000, 5_000, 2_000, 1_000, 500, 100), (25, 10, 5, 1)),
}


@ft.observable
@dataclass
class BoxModel:
    """What was counted so far. Amounts are typed in shown units, such as whole colones."""

    unit_minor: int = 1
    """Minor units of one shown unit."""
    step: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """Piece in minor units (as text) → how many; ``total`` → the sum typed at once."""
    only_total: bool = False
    field_name: str = ""
    tills: dict[str, int] = field(default_factory=dict)
    leave: int = 0
    next_operator: str = ""
    problem: str = ""
    busy: bool = False

    def press(self, digits: str) -> None:
        """A key of the keypad: digits, or ``<`` to take the last one back."""
        name = self.field_name
        if not name:
            return
        text = str(self.value(name) or "")
        text = text[:-1] if digits == "<" else text + digits
        value = int(text or 0)
        if value > 10**12:
            return
        if name.startswith("till:"):
            self.tills = {**self.tills, name[5:]: value}
        elif name == "leave":
            self.leave = value
        else:
            self.counts = {**self.counts, name: value}

    def value(self, name: str) -> int:
        if name.startswith("till:"):
            return self.tills.get(name[5:], 0)
        if name == "leave":
            return self.leave
        return self.counts.get(name, 0)

    def pieces(self, currency: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return PIECES.get(currency, ((), ()))

    def counted_minor(self) -> int:
        """What lies in the drawer by the count."""
        if self.only_total:
            return self.counts.get("total", 0) * self.unit_minor
        return sum(int(piece) * count for piece, count in self.counts.items() if piece != "total")

    def declared_minor(self) -> int:
        """Of the box: the desk's count and what the tills handed over."""
        return self.counted_minor() + sum(self.tills.values()) * self.unit_minor

    def fields(self) -> dict[str, Any]:
        """Of the command `box.close`."""
        return {
            "declared_minor": self.declared_minor(),
            "leave_minor": self.leave * self.unit_minor,
            "tills": [
                {"till": till, "declared_minor": typed * self.unit_minor}
                for till, typed in self.tills.items()
            ],
            "next_operator": self.next_operator,
        }


def fields_in_order(node: Node, model: BoxModel) -> list[str]:
    """Names of the fields that Enter walks through on the count page."""
    notes, coins = model.pieces(settings.cafe(node.tables).get("currency", ""))
    if model.only_total or not notes + coins:
        names = ["total"]
    else:
        names = [str(piece) for piece in (*notes, *coins)]
    tills = box.sums(node.tables)["tills"]
    return names + [f"till:{till}" for till in sorted(tills)]


def till_name(node: Node, till: str) -> str:
    operator, _, station = till.partition("/")
    tables = node.tables
    name = receipts.name_of(tables, operator)
    return f"{receipts.station_name(tables, station)} · {name}"


def closers(node: Node) -> list[str]:
    """Names of those who may take over the box."""
    return sorted(
        row["name"] for _, row in node.tables.table("operators").scan() if may(row, "box.close")
    )


def z_preview(node: Node, model: BoxModel) -> dict[str, Any]:
    """The Z that this close would print, with names; raises `Refused`."""
    operator = node.operator.hex() if node.operator else ""
    z = box.preview_of(node.tables, model.fields(), node.clock.wall_ms(), operator)
    return receipts.z_lines(node.tables, z)
