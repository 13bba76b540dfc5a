"""The guided close of the box: count, differences, float and operator, Z."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import Node, ServerNode, box, may, receipts, settings
from ui.viewmodels import cash

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
    number: int = 0
    """The box that is counted: a count is of no other."""
    step: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """Piece in minor units (as text) → how many; ``total`` → the sum typed at once."""
    only_total: bool = False
    field_name: str = ""
    amounts: dict[str, int] = field(default_factory=dict)
    """What was declared beside the count: ``till:…`` (handed over), ``unsent:…`` (handed over for
    orders that are not here yet), ``method:…`` (what the slips add up to)."""
    leave: int = 0
    next_operator: str = ""
    problem: str = ""
    busy: bool = False

    def is_counted(self, tills: Iterable[str], *, blind: bool) -> bool:
        """Whether the drawer was counted; where nobody may see what is expected, each till too."""
        if not self.counts:
            return False
        return not blind or all(f"till:{till}" in self.amounts for till in tills)

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
        if ":" in name:
            self.amounts = {**self.amounts, name: value}
        elif name == "leave":
            self.leave = value
        else:
            self.counts = {**self.counts, name: value}

    def value(self, name: str) -> int:
        if ":" in name:
            return self.amounts.get(name, 0)
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

    def amount_minor(self, name: str) -> int | None:
        """What was typed into a field; None if nothing was."""
        typed = self.amounts.get(name)
        return None if typed is None else typed * self.unit_minor

    def declared_minor(self) -> int:
        """Of the box: the desk's count and what the tills handed over, also for orders that are
        not here yet. A till of which nothing was typed is missing in it, and so is seen."""
        handed = sum(v for name, v in self.amounts.items() if not name.startswith("method:"))
        return self.counted_minor() + handed * self.unit_minor

    def _named(self, prefix: str) -> dict[str, int]:
        return {
            name.removeprefix(prefix): typed * self.unit_minor
            for name, typed in self.amounts.items()
            if name.startswith(prefix)
        }

    def fields(self, node: Node) -> dict[str, Any]:
        """Of the command `box.close`. A till of which only the cash for orders that are not here
        was typed is taken as expected, as one of which nothing was."""
        expected = {
            till: box.expected_in_till(sums)
            for till, sums in box.sums(node.tables)["tills"].items()
        }
        handed, unsent = self._named("till:"), self._named("unsent:")
        return {
            "declared_minor": self.declared_minor(),
            "leave_minor": self.leave * self.unit_minor,
            "tills": [
                {
                    "till": till,
                    "declared_minor": handed.get(till, expected.get(till, 0)),
                    "unsent_minor": unsent.get(till, 0),
                }
                for till in sorted({*handed, *(till for till, minor in unsent.items() if minor)})
            ],
            "methods": [
                {"method": method, "declared_minor": minor}
                for method, minor in self._named("method:").items()
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
    for till, _, waits in tills_of(node):
        names.append(f"till:{till}")
        if waits:
            names.append(f"unsent:{till}")
    return names + [f"method:{method}" for method in methods_of(node)]


def tills_of(node: Node) -> list[tuple[str, dict[str, Any], bool]]:
    """(till, its sums, whether its station may have orders that are not here yet), by name; also
    tills that have sold nothing that is here, at stations which said that they have some."""
    found = dict(box.sums(node.tables)["tills"])
    waiting: set[str] = set()
    if isinstance(node, ServerNode):
        online = {peer.hex() for peer in node.hub.online()}
        for seen in node.stations_now():
            if seen.unsent or seen.station not in online:
                waiting.add(seen.station)
            if seen.unsent:
                for till, _ in cash.tills(node):
                    if till.endswith(f"/{seen.station}"):
                        found.setdefault(till, box.NO_TILL)
    return [(till, found[till], till.partition("/")[2] in waiting) for till in sorted(found)]


def methods_of(node: Node) -> list[str]:
    """Methods of payment but cash that the open box has counted."""
    return sorted(box.sums(node.tables)["methods"].keys() - settings.RESERVED)


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
    z = box.preview_of(node.tables, model.fields(node), node.clock.wall_ms(), operator)
    return receipts.z_lines(node.tables, z)
