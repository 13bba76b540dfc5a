"""Stock count: scan or type what is there; the differences are a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flet as ft

from node.api import SyncError, receipts
from ui.components.office import Column, Row, note, table, typed
from ui.components.parts import button, card, clipped, empty, field, text
from ui.format import whole
from ui.viewmodels import count as model
from ui.viewmodels.session import Session

LAST = 5


def _line(s: Session, sku: str, units: int) -> ft.Control:
    row = s.node.tables.table("products").peek(sku)
    name = row["name"] if row is not None else sku

    def changed(e: Any) -> None:
        units = whole(e.control.value or "")
        if units is not None:
            s.count.put(sku, units)

    return ft.Row(
        [
            clipped(s, name, "strong", expand=True),
            field(
                s,
                key=f"counted-{sku}",
                value=str(units),
                width=112,
                text_align=ft.TextAlign.RIGHT,
                keyboard_type=ft.KeyboardType.NUMBER,
                on_change=changed,
            ),
            button(
                s,
                "",
                lambda e: s.count.drop(sku),
                glyph=ft.Icons.CLOSE_ROUNDED,
                key=f"drop-{sku}",
                width=48,
            ),
        ],
        spacing=8,
    )


def _report(s: Session, done: Mapping[str, Any]) -> ft.Control:
    """What a count has found, and what the differences cost."""
    rows, total = [], 0
    for line in done["lines"]:
        units, cost = model.difference(line)
        total += cost
        row = s.node.tables.table("products").peek(line[0])
        shown = f"{units:+d}" if units else "0"
        rows.append(
            Row(
                f"difference-{line[0]}",
                [
                    row["name"] if row is not None else line[0],
                    s.text.count(line[1]),
                    s.text.count(line[2]),
                    shown,
                    s.text.money(cost),
                ],
            )
        )
    columns = [
        Column(s.text("product.name")),
        Column(s.text("count.expected"), 88, right=True),
        Column(s.text("count.found"), 88, right=True),
        Column(s.text("close.difference"), 96, right=True),
        Column(s.text("count.cost"), 112, right=True),
    ]
    who = receipts.name_of(s.node.tables, done["operator"])
    title = s.text("count.of", number=done["number"], time=s.text.moment(done["at_ms"]), who=who)
    sum_row = Row(
        "difference-total",
        [s.text("count.total"), "", "", "", s.text.money(total)],
        strong=True,
    )
    return ft.Column(
        [text(s, f"{title} · {done['reason']}", "label"), table(s, columns, rows, total=sum_row)],
        spacing=4,
    )


def stock_count(s: Session) -> list[ft.Control]:
    """The count that is going on, and the last ones."""
    form = s.count

    def search(e: Any) -> None:
        form.query = e.control.value or ""

    def scanned(e: Any) -> None:
        known = model.scan(s.node, form)
        form.problem = "" if known else s.text("count.not_found", query=form.query)

    async def save(e: Any = None) -> None:
        try:
            await model.save(s.node, form)
        except SyncError as error:
            form.problem = s.text.error(error)

    lines = [_line(s, sku, units) for sku, units in form.found.items()]
    shown: ft.Control
    if lines:
        shown = ft.ListView(lines, spacing=8, expand=True)
    else:
        shown = empty(
            s, ft.Icons.FACT_CHECK_ROUNDED, s.text("count.none"), s.text("count.none_next")
        )
    left: list[ft.Control] = [
        field(
            s,
            key="count-search",
            hint_text=s.text("count.search"),
            value=form.query,
            prefix_icon=ft.Icons.QR_CODE_SCANNER_ROUNDED,
            autofocus=True,
            on_change=search,
            on_submit=scanned,
        ),
        shown,
    ]
    if form.problem:
        left.append(note(s, form.problem, bad=True))
    if lines:
        left.append(
            ft.Row(
                [
                    typed(
                        s,
                        form,
                        "reason",
                        s.text("cash.reason"),
                        key="count-reason",
                        on_enter=save,
                        expand=True,
                    ),
                    button(s, s.text("count.save"), save, kind="filled", key="count-save"),
                ],
                spacing=8,
            )
        )
    past = s.node.tables.table("counts").latest("number", LAST)
    reports: list[ft.Control] = [_report(s, row) for row in past]
    stretch = ft.CrossAxisAlignment.STRETCH
    body: list[ft.Control] = [
        card(
            s,
            ft.Column(left, spacing=12, expand=True, horizontal_alignment=stretch),
            width=s.measures.panel,
        )
    ]
    body.append(ft.Column(reports, spacing=16, expand=True, scroll=ft.ScrollMode.AUTO))
    return body
