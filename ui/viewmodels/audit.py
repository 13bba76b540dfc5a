"""Who did what, where and when: what is looked for, and what was found."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import Node, Search, ServerNode, office, reports, settings

GROUPS = ("", "order.", "sale.", "box.", "cash.", "product.", "stock.", "operator.", "settings.")
AT_ONCE = 60


@ft.observable
@dataclass
class AuditModel:
    """The search and its result."""

    person: str = ""
    """Hex id, or empty for everybody."""
    group: str = ""
    words: str = ""
    day: str = ""
    found: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False
    selected: int = 0
    """Seq of the act whose fields are shown."""
    busy: bool = False
    problem: str = ""
    wanted: int = 0


def people(node: Node) -> list[tuple[str, str]]:
    """(id, name) of everybody, and of nobody in particular."""
    rows = node.tables.table("operators").scan()
    return sorted(((i, row["name"]) for i, row in rows), key=lambda one: one[1])


def search_of(node: Node, model: AuditModel) -> Search:
    """What is looked for; `Refused` ``bad-period`` for a day that is none."""
    start, end = 0, 1 << 62
    if model.day.strip():
        day = model.day.strip()
        of = reports.period(node.tables, day, day)
        start, end = of.start_ms, of.end_ms
    return Search(
        operator=model.person,
        kind=model.group,
        mentions=model.words.strip(),
        from_ms=start,
        to_ms=end,
    )


async def load(node: ServerNode, model: AuditModel, *, on: bool = False) -> None:
    """Look; ``on`` goes on behind what was found."""
    model.wanted += 1
    mine = model.wanted
    model.busy = True
    before = model.found[-1]["seq"] if on and model.found else 1 << 62
    try:
        acts = await office.find_acts(node, search_of(node, model), AT_ONCE + 1, before)
        if mine == model.wanted:
            model.more = len(acts) > AT_ONCE
            model.found = acts[:AT_ONCE]
    finally:
        if mine == model.wanted:
            model.busy = False


def today(node: Node) -> str:
    day: dt.date = settings.date_at(node.tables, node.clock.wall_ms())
    return day.isoformat()
