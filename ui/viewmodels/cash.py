"""The open box between two closes: what it holds, and what is put in, taken out and handed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flet as ft

from node.api import Node, box, may, receipts, settings

ACTS = {
    "in": "cash.move",
    "out": "cash.move",
    "float": "till.float",
    "hand-over": "box.hand-over",
    "x": "box.x",
    "drawer": "drawer.open",
}
"""What can be done, and the kind of command that each is."""
ASK_AMOUNT, ASK_REASON = ("in", "out", "float"), ("in", "out", "drawer")
ASK_WHO = ("float", "hand-over")


@ft.observable
@dataclass
class CashModel:
    """What is being filled in."""

    act: str = ""
    """One of `ACTS`, or empty."""
    amount: str = ""
    reason: str = ""
    who: str = ""
    """Till or next operator."""
    problem: str = ""
    busy: bool = False

    def begin(self, act: str) -> None:
        self.act = "" if self.act == act else act
        self._empty()

    def clear(self) -> None:
        """Nothing is being filled in any more."""
        self.act = ""
        self._empty()

    def _empty(self) -> None:
        self.amount = self.reason = self.who = self.problem = ""


def is_blind(node: Node) -> bool:
    """Whether totals are shown only once the box was counted."""
    return bool(settings.cafe(node.tables).get("blind_close"))


def reading(node: Node) -> dict[str, Any]:
    """The X of this moment, with names; raises `Refused` ``no-open-box``."""
    operator = node.operator.hex() if node.operator else ""
    x = box.x_report(node.tables, node.clock.wall_ms(), operator)
    return receipts.z_lines(node.tables, x)


def tills(node: Node) -> list[tuple[str, str]]:
    """(till, its name) of every vendor at every station that is trusted."""
    tables = node.tables
    found = []
    for station, row in tables.table("stations").scan():
        if row["revoked"]:
            continue
        for operator, person in tables.table("operators").scan():
            if may(person, "order.place"):
                name = f"{row['label']} · {row['name']} · {person['name']}"
                found.append((f"{operator}/{station}", name))
    return sorted(found, key=lambda one: one[1])


def takers(node: Node) -> list[str]:
    """Names of those who may take over the open box."""
    me = node.operator.hex() if node.operator else ""
    people = node.tables.table("operators").scan()
    return sorted(row["name"] for i, row in people if i != me and may(row, "box.open"))


def fields_of(model: CashModel, amount_minor: int | None) -> dict[str, Any]:
    """Of the command that the form stands for."""
    match model.act:
        case "in" | "out":
            return {
                "direction": model.act,
                "amount_minor": amount_minor or 0,
                "reason": model.reason.strip(),
            }
        case "float":
            return {"till": model.who, "amount_minor": amount_minor or 0}
        case "hand-over":
            found: dict[str, Any] = {"next_operator": model.who}
            return found if amount_minor is None else {**found, "declared_minor": amount_minor}
        case "drawer":
            return {"reason": model.reason.strip()}
    return {}
