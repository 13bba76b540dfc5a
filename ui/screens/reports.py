"""Reports: figures, chart and table of a period, and the same as files."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import SyncError, office
from ui import files
from ui.components.chart import bars
from ui.components.guard import part
from ui.components.office import (
    Column,
    Row,
    bar_of,
    figure,
    head,
    note,
    page,
    segments,
    table,
    typed,
)
from ui.components.parts import button, card, clipped, empty, text
from ui.viewmodels import reports as model
from ui.viewmodels.cash import is_blind
from ui.viewmodels.reports import BY, PERIODS, Made
from ui.viewmodels.session import Session, use_session

TOP = 5


async def _load(s: Session) -> None:
    s.reports.problem = ""
    try:
        await model.load(s.node, s.reports)
    except SyncError as error:
        s.reports.problem = s.text.error(error)


def _choices(s: Session) -> ft.Control:
    async def choose(name: str) -> None:
        s.reports.period = name
        if name != "days":
            await _load(s)

    async def again(e: Any = None) -> None:
        await _load(s)

    def saver(kind: str) -> Any:
        async def save(e: Any) -> None:
            made = s.reports.made
            if made is None:
                return
            try:
                first, last = made.first.isoformat(), made.last.isoformat()
                data = await office.report_file(s.node, s.reports.by, first, last, kind)
            except SyncError as error:
                s.reports.problem = s.text.error(error)
                return
            await files.save(f"cabina-{s.reports.by}-{first}-{last}.{kind}", data)

        return save

    dates: list[ft.Control] = []
    parts: list[ft.Control] = [
        segments(
            s,
            [(name, s.text(f"reports.{name}")) for name in PERIODS],
            s.reports.period,
            choose,
            "period",
        )
    ]
    if s.reports.period == "days":
        for name in ("first", "last"):
            label = s.text(f"reports.{name}")
            dates.append(
                typed(
                    s,
                    s.reports,
                    name,
                    label,
                    key=f"period-{name}",
                    on_enter=again,
                    width=136,
                    hint_text="2026-11-22",
                )
            )
    parts.append(
        button(s, "", again, glyph=ft.Icons.REFRESH_ROUNDED, key="refresh", kind="outline")
    )
    parts.append(ft.Container(expand=True))
    for kind, glyph in (("csv", ft.Icons.DOWNLOAD_ROUNDED), ("pdf", ft.Icons.PICTURE_AS_PDF)):
        off = s.reports.made is None
        parts.append(
            button(s, kind.upper(), saver(kind), glyph=glyph, key=f"save-{kind}", disabled=off)
        )
    top = head(s, s.text("screen.reports"), *parts)
    return ft.Column([top, ft.Row(dates, spacing=8)], spacing=8) if dates else top


def _figures(s: Session, made: Made) -> ft.Control:
    total = made.report.total
    change = model.change_percent(made)
    beside = ""
    if change is not None:
        word = "reports.more" if change >= 0 else "reports.less"
        than = "reports.than_day" if made.one_day else "reports.than_before"
        beside = s.text(word, percent=abs(change), than=s.text(than))
    average = total.sold_minor // total.sales if total.sales else 0
    off, times = model.given_minor(made)
    return ft.Row(
        [
            figure(
                s, s.text("reports.net"), s.text.money(total.net_minor), beside, key="figure-net"
            ),
            figure(
                s,
                s.text("reports.tickets"),
                s.text.count(total.sales),
                s.text("reports.average", amount=s.text.money(average)),
                key="figure-tickets",
            ),
            figure(
                s,
                s.text("reports.refunded"),
                s.text.money(total.refunded_minor),
                s.text("reports.units", count=s.text.count(total.units)),
            ),
            figure(
                s,
                s.text("reports.discounts"),
                s.text.money(off),
                s.text("reports.times", count=times) if times else s.text("reports.none_given"),
            ),
        ],
        spacing=12,
    )


def _chart(s: Session, made: Made) -> ft.Control:
    points = model.points(made, s.text)
    title = s.text("reports.by_hour" if made.one_day else "reports.by_day")
    best = max(points, key=lambda point: point[1], default=("", 0))
    beside = s.text("reports.peak", when=best[0]) if best[1] else ""
    top = ft.Row([text(s, title, "h2", expand=True), text(s, beside, "caption", s.palette.text3)])
    return card(
        s,
        ft.Column([top, bars(s, points, height=176, key="chart")], spacing=8),
        expand=2,
    )


def _largest(s: Session, made: Made, by: str) -> ft.Control:
    """The largest of what is chosen, as bars beside their names."""
    rows = office.rows_of(s.node, made.report, by)
    rows = sorted(rows, key=lambda row: -row["net_minor"])[:TOP]
    most = max((row["net_minor"] for row in rows), default=0) or 1
    parts: list[ft.Control] = [text(s, s.text.say(f"report.{by}"), "h2")]
    for row in rows:
        amount = s.text.money(row["net_minor"])
        line = [clipped(s, row["name"], "body", expand=True), text(s, amount, "strong")]
        parts.append(ft.Row(line))  # type: ignore[arg-type]
        parts.append(bar_of(s.palette, max(0, row["net_minor"]) / most))
    if not rows:
        parts.append(text(s, s.text("reports.nothing"), "body", s.palette.text2))
    return card(s, ft.Column(parts, spacing=6), expand=1)


def _by(s: Session) -> ft.Control:
    def choose(name: str) -> None:
        s.reports.by = name

    options = [(name, s.text.say(f"report.{name}")) for name in (*BY, "box")]
    return segments(s, options, s.reports.by, choose, "by")


def _lines(s: Session, made: Made) -> ft.Control:
    by = s.reports.by
    if by == "box":
        return _boxes(s, made)
    money = s.text.money
    say = s.text.say
    columns = [
        Column(say(f"report.{by}")),
        Column(say("report.sales"), 96, right=True),
        Column(say("report.units"), 96, right=True),
        Column(say("report.sold"), 136, right=True),
        Column(say("report.refunded"), 136, right=True),
        Column(say("report.net"), 136, right=True),
    ]

    def cells(name: str, row: dict[str, Any]) -> list[str]:
        return [
            name,
            s.text.count(row["sales"]),
            s.text.count(row["units"]),
            money(row["sold_minor"]),
            money(row["refunded_minor"]),
            money(row["net_minor"]),
        ]

    rows = [
        Row(f"line-{row['key']}", cells(row["name"], row))
        for row in office.rows_of(s.node, made.report, by)
    ]
    total = made.report.total
    total_row = None
    if by in ("vendor", "station", "hour", "day"):
        sums = {
            name: getattr(total, name)
            for name in ("sales", "units", "sold_minor", "refunded_minor", "net_minor")
        }
        total_row = Row("line-total", cells(s.text.say("ticket.total"), sums), strong=True)
    return table(s, columns, rows, total=total_row)


def _boxes(s: Session, made: Made) -> ft.Control:
    """Boxes of the period, as their Zs say."""
    money, say = s.text.money, s.text.say
    columns = [
        Column(say("report.box"), 72),
        Column(say("z.opened")),
        Column(say("z.closed")),
        Column(say("report.sales"), 80, right=True),
        Column(say("report.sold"), 128, right=True),
        Column(say("report.refunded"), 128, right=True, roomy=True),
        Column(say("z.expected"), 128, right=True, roomy=True),
        Column(say("z.declared"), 128, right=True),
        Column(say("z.difference"), 112, right=True),
    ]
    rows = []
    for row in made.boxes:
        closed = row["closed_ms"]
        declared, difference = row["declared_minor"], row["difference_minor"]
        rows.append(
            Row(
                f"box-{row['number']}",
                [
                    str(row["number"]),
                    s.text.moment(row["opened_ms"]),
                    s.text.moment(closed) if closed else s.text("reports.open"),
                    s.text.count(row["sales"]),
                    money(row["total_minor"]),
                    money(row["refunded_minor"]),
                    "–" if is_blind(s.node) and not closed else money(row["expected_minor"]),
                    "–" if declared is None else money(declared),
                    "–" if difference is None else money(difference),
                ],
            )
        )
    return table(s, columns, rows)


@part
def Reports() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.reports)

    async def first() -> None:
        await _load(s)

    ft.use_effect(first, [])
    made = s.reports.made
    parts: list[ft.Control] = [_choices(s)]
    if s.reports.busy:
        parts.append(ft.ProgressBar(color=s.palette.accent, bgcolor=s.palette.surface3))
    if s.reports.problem:
        parts.append(note(s, s.reports.problem, bad=True))
    if made is None:
        return page(s, *parts)
    words = s.text("reports.shown", first=s.text.date(made.first), last=s.text.date(made.last))
    if made.one_day:
        words = s.text.date(made.first)
    at = s.text("reports.as_of", time=s.text.time(made.at_ms))
    parts.append(text(s, f"{words} · {at}", "caption", s.palette.text3, key="shown"))
    if not made.report.total.sales and not made.report.total.refunded_minor:
        what, step = s.text("reports.nothing"), s.text("reports.nothing_next")
        parts.append(empty(s, ft.Icons.BAR_CHART_ROUNDED, what, step))
        return page(s, *parts)
    by = s.reports.by if s.reports.by not in ("box", "hour", "day") else "vendor"
    parts.append(
        ft.Column(
            [
                _figures(s, made),
                ft.Row(
                    [_chart(s, made), _largest(s, made, by)],
                    spacing=12,
                    vertical_alignment=ft.CrossAxisAlignment.START,
                ),
                _by(s),
                _lines(s, made),
            ],
            spacing=12,
            expand=True,
            scroll=ft.ScrollMode.AUTO,
        )
    )
    return page(s, *parts)
