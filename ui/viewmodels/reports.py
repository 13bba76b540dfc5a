"""What was sold in a period: chosen, made, and set beside the period before."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import flet as ft

from node.api import Node, office, reports, settings
from ui.format import Format

PERIODS = ("today", "yesterday", "week", "month", "days")
"""``week`` and ``month`` are the last 7 and 30 days; ``days`` are those that were typed."""
BY = (
    "vendor",
    "station",
    "pc",
    "product",
    "service",
    "category",
    "method",
    "discount",
    "hour",
    "day",
)


@dataclass(frozen=True, slots=True)
class Made:
    """A report and the one that it is compared with."""

    first: dt.date
    last: dt.date
    at_ms: int
    report: reports.Report
    before: reports.Report
    boxes: list[dict[str, Any]]

    @property
    def one_day(self) -> bool:
        return self.first == self.last


@ft.observable
@dataclass
class ReportsModel:
    """What is chosen, and what was made of it."""

    by: str = "vendor"
    """One of `BY`, or ``box``."""
    period: str = "today"
    first: str = ""
    last: str = ""
    made: Made | None = None
    busy: bool = False
    problem: str = ""
    wanted: int = 0
    """Grows with every choice: a report that is no longer wanted is not shown."""


def days_of(node: Node, model: ReportsModel) -> tuple[str, str]:
    """First and last day of what is chosen, as ``2026-11-22``."""
    today = settings.date_at(node.tables, node.clock.wall_ms())
    back = {"today": (0, 0), "yesterday": (1, 1), "week": (6, 0), "month": (29, 0)}
    if model.period in back:
        first, last = (today - dt.timedelta(days=n) for n in back[model.period])
        return first.isoformat(), last.isoformat()
    return model.first.strip(), model.last.strip()


def _before(of: reports.Period) -> tuple[str, str]:
    """A single day is compared with the same weekday, more days with as many before them."""
    length = (of.last - of.first).days + 1
    back = dt.timedelta(days=7 if length == 1 else length)
    return (of.first - back).isoformat(), (of.last - back).isoformat()


async def load(node: Node, model: ReportsModel) -> None:
    """Make what is chosen, while the café goes on; raises `Refused` ``bad-period``."""
    model.wanted += 1
    mine = model.wanted
    model.busy = True
    try:
        first, last = days_of(node, model)
        of = reports.period(node.tables, first, last)
        report = await office.make_report(node, first, last)
        before = await office.make_report(node, *_before(of))
        if mine == model.wanted:
            boxes = reports.boxes(node.tables, of)
            now = node.clock.wall_ms()
            model.made = Made(of.first, of.last, now, report, before, boxes)
    finally:
        if mine == model.wanted:
            model.busy = False


def points(made: Made, text: Format) -> list[tuple[str, int]]:
    """(label, net) for the chart: hours of a day, or days of a longer time; those between the first
    and the last in which nothing was sold are there too."""
    if made.one_day:
        lines = {int(line.key): line.net_minor for line in made.report.lines("hour")}
        hours = range(min(lines, default=8), max(lines, default=20) + 1)
        return [(f"{hour:02d}", lines.get(hour, 0)) for hour in hours]
    lines_by_day = {line.key: line.net_minor for line in made.report.lines("day")}
    count = (made.last - made.first).days + 1
    if count > 366:
        return [(text.day(dt.date.fromisoformat(d)), n) for d, n in sorted(lines_by_day.items())]
    days = [made.first + dt.timedelta(days=n) for n in range(count)]
    return [(text.day(day), lines_by_day.get(day.isoformat(), 0)) for day in days]


def change_percent(made: Made) -> int | None:
    """How much more was sold than in the period before, in whole percent; None if nothing was."""
    before = made.before.total.net_minor
    if before <= 0:
        return None
    return round(100 * (made.report.total.net_minor - before) / before)


def given_minor(made: Made) -> tuple[int, int]:
    """(what discounts took off, how many times one was given)."""
    lines = made.report.lines("discount")
    return sum(line.sold_minor for line in lines), sum(line.sales for line in lines)
