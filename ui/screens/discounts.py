"""Discounts of the café: what vendors may take off, edited at every node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flet as ft

from node.api import SyncError
from ui.components.office import note, segments, switch, typed
from ui.components.parts import button, card, choice, empty, text
from ui.viewmodels import discounts as model
from ui.viewmodels.forms import NEW, BadField
from ui.viewmodels.session import Session


def value_of(s: Session, row: Mapping[str, Any]) -> str:
    """``−10%`` or ``−₡200``."""
    if row["form"] == "percent":
        return f"−{s.text.percent(row['value'])}"
    return s.text.money(-row["value"])


def _form(s: Session) -> ft.Control:
    form = s.discounts

    async def save(e: Any = None) -> None:
        try:
            code = await model.save(s.node, form, s.text)
        except BadField as bad:
            field = s.text(f"discounts.{bad.args[0]}")
            form.problem, form.saved = s.text("product.bad", field=field), ""
            return
        except SyncError as error:
            form.problem, form.saved = s.text.error(error), ""
            return
        form.open(s.node, s.text, code)
        form.saved = s.text("product.saved")

    async def turned(on: bool) -> None:
        try:
            await model.turn(s.node, form.selected, on)
        except SyncError as error:
            form.problem = s.text.error(error)

    forms = [(name, s.text(f"discounts.{name}")) for name in ("percent", "fixed")]
    parts: list[ft.Control] = [
        text(s, s.text("discounts.new") if form.selected == NEW else form.selected, "h2"),
        typed(s, form, "name", s.text("discounts.name"), key="discount-name", autofocus=True),
        segments(s, forms, form.form, lambda name: setattr(form, "form", name), "form"),
        typed(
            s,
            form,
            "value",
            s.text(f"discounts.{form.form}"),
            key="discount-value",
            on_enter=save,
            text_align=ft.TextAlign.RIGHT,
        ),
    ]
    row = s.node.tables.table("discounts").peek(form.selected)
    if row is not None:
        label = s.text("discounts.active")
        parts.append(switch(s, label, row["active"], turned, "discount-active"))
    if form.problem or form.saved:
        parts.append(note(s, form.problem or form.saved, bad=bool(form.problem)))
    saver = button(s, s.text("product.save"), save, kind="filled", key="discount-save")
    parts.append(ft.Row([ft.Container(expand=True), saver]))
    stretch = ft.CrossAxisAlignment.STRETCH
    column = ft.Column(parts, spacing=12, horizontal_alignment=stretch)
    return ft.Column([card(s, column)], width=s.measures.panel)


def discounts(s: Session) -> list[ft.Control]:
    """The list and the form, side by side."""
    rows = sorted(s.node.tables.table("discounts").scan(), key=lambda one: one[1]["name"])

    def opener(code: str) -> Any:
        return lambda e: s.discounts.open(s.node, s.text, code)

    lines = [
        choice(
            s,
            row["name"],
            "" if row["active"] else s.text("discounts.off"),
            value_of(s, row),
            opener(code),
            f"discount-{code}",
            on=s.discounts.selected == code,
        )
        for code, row in rows
    ]
    left: ft.Control
    if lines:
        inside = ft.ListView(lines, expand=True)
        left = card(s, inside, padding=0, expand=True, clip_behavior=ft.ClipBehavior.HARD_EDGE)
    else:
        what, step = s.text("sell.no_discounts"), s.text("discounts.none_next")
        left = empty(s, ft.Icons.SELL_ROUNDED, what, step)
    new = button(
        s,
        s.text("discounts.new"),
        opener(NEW),
        kind="tonal",
        glyph=ft.Icons.ADD_ROUNDED,
        key="discount-new",
    )
    column = ft.Column([ft.Row([new]), left], spacing=8, expand=True)
    return [column, _form(s)] if s.discounts.selected else [column]
