"""Exceptions: what happened and could not simply be folded; both sides of each, and one click."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flet as ft

from node.api import SyncError, customers, exceptions, receipts
from ui.components.guard import part
from ui.components.parts import button, card, empty, icon, text
from ui.viewmodels.session import Session, use_session

SHOWN_AT_ONCE = 40
_GLYPHS: dict[str, ft.IconData] = {
    "edit-conflict": ft.Icons.COMPARE_ARROWS_ROUNDED,
    "oversold": ft.Icons.PRODUCTION_QUANTITY_LIMITS_ROUNDED,
    "already-paid": ft.Icons.CURRENCY_EXCHANGE_ROUNDED,
}


def _record_name(s: Session, ref: str) -> str:
    """What an exception is about, as people call it."""
    table, _, record = ref.partition("/")
    tables = s.node.tables
    if record:
        row = tables.table(table).peek(record)
        return f"{row['name']} ({record})" if row is not None else record
    order = tables.table("orders").peek(ref)
    return str(order["label"]) if order is not None else ref


def _shown(s: Session, field: str, value: Any) -> str:
    if field.endswith("_minor") and isinstance(value, int):
        return s.text.money(value)
    return "–" if value in ("", None) else str(value)


def _sentence(s: Session, row: Mapping[str, Any]) -> str:
    """What happened, in words."""
    details = row["details"]
    values: dict[str, Any] = {"what": _record_name(s, row["ref"])}
    if row["code"] == "oversold":
        product = s.node.tables.table("products").peek(details["sku"])
        values["product"] = product["name"] if product is not None else details["sku"]
        values["units"] = details["deficit"]
    return s.text(f"exception.{row['code']}", **values)


def _sides(s: Session, row: Mapping[str, Any]) -> list[ft.Control]:
    """Both values of a field, with who wrote each."""
    details, tables = row["details"], s.node.tables
    if row["code"] != "edit-conflict":
        return []
    sides: list[ft.Control] = []
    for which in ("kept", "other"):
        who = receipts.name_of(tables, details[f"{which}_by"])
        sides.append(
            card(
                s,
                ft.Column(
                    [
                        text(s, s.text(f"exception.{which}"), "label", s.palette.text3),
                        text(s, _shown(s, details["field"], details[which]), "h1"),
                        text(s, who, "body", s.palette.text2),
                    ],
                    spacing=4,
                ),
                expand=True,
            )
        )
    return [ft.Row(sides, spacing=12)]


def _resolver(s: Session, number: int, resolution: str) -> Any:
    async def resolve(e: Any) -> None:
        try:
            fields = {"exception": number, "resolution": resolution}
            await s.node.submit("exception.resolve", fields)
        except SyncError as error:
            s.app.problem = s.text.error(error)
        else:
            s.app.problem = ""

    return resolve


def _one(s: Session, row: Mapping[str, Any]) -> ft.Control:
    p, number = s.palette, int(row["number"])
    buttons = [
        button(
            s,
            s.text(f"exception.do.{resolution}"),
            _resolver(s, number, resolution),
            kind="accent" if resolution != "keep" else "outline",
            key=f"{resolution}-{number}",
        )
        for resolution in exceptions.RESOLUTIONS[row["code"]]
    ]
    glyph = _GLYPHS.get(row["code"], ft.Icons.FLAG_ROUNDED)
    when = s.text.time(row["at_ms"]) if row["at_ms"] else ""
    return card(
        s,
        ft.Column(
            [
                ft.Row(
                    [
                        icon(glyph, 24, p.aside.text),
                        text(s, _sentence(s, row), "strong", expand=True),
                        text(s, when, "caption", p.text3),
                    ],
                    spacing=12,
                ),
                *_sides(s, row),
                ft.Row([ft.Container(expand=True), *buttons], spacing=8),
            ],
            spacing=12,
        ),
        key=f"exception-{number}",
    )


def _person(s: Session, customer: str, row: Mapping[str, Any]) -> ft.Control:
    """A customer whose name or data two people have chosen: it is settled in their own form."""

    def opened(e: Any) -> None:
        s.customers.open(customer)
        s.customers.show("data")
        s.go("customers")

    words = s.text(f"exception.{'renamed' if row['renamed'] else 'person'}", what=row["user"])
    opener = button(s, s.text("exception.open_customer"), opened, key=f"open-{customer}")
    line = ft.Row(
        [
            icon(ft.Icons.PERSON_ROUNDED, 24, s.palette.aside.text),
            text(s, words, "strong", expand=True),
            opener,
        ],
        spacing=12,
    )
    return card(s, line, key=f"person-{customer}")


@part
def Exceptions() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    rows = exceptions.unresolved(s.node.tables)
    people = customers.doubtful(s.node.tables)
    if not rows and not people:
        return empty(
            s,
            ft.Icons.TASK_ALT_ROUNDED,
            s.text("exception.none"),
            s.text("exception.none_next"),
        )
    parts: list[ft.Control] = [_person(s, c, row) for c, row in people[:SHOWN_AT_ONCE]]
    parts += [_one(s, row) for row in rows[:SHOWN_AT_ONCE]]
    if len(rows) > SHOWN_AT_ONCE:
        more = s.text("exception.more", count=len(rows) - SHOWN_AT_ONCE)
        parts.append(text(s, more, "body", s.palette.text2))
    if s.app.problem:
        problem = text(s, s.app.problem, "body", s.palette.danger.text, key="problem")
        parts.insert(0, problem)
    return ft.Container(ft.ListView(parts, spacing=12, expand=True), expand=True, padding=16)
