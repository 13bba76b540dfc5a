"""The open box: what it holds now, and what is done with it between two closes."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import KINDS, SyncError, z_text
from ui.components.guard import part
from ui.components.paper import paper
from ui.components.parts import button, card, choice, empty, field, named, text
from ui.keymap import cap
from ui.viewmodels import cash as model
from ui.viewmodels.session import Session, use_session

_GLYPHS: dict[str, ft.IconData] = {
    "in": ft.Icons.ADD_CARD_ROUNDED,
    "out": ft.Icons.MONEY_OFF_ROUNDED,
    "float": ft.Icons.SAVINGS_ROUNDED,
    "hand-over": ft.Icons.SWAP_HORIZ_ROUNDED,
    "x": ft.Icons.RECEIPT_LONG_ROUNDED,
    "drawer": ft.Icons.INVENTORY_ROUNDED,
}


async def _do(s: Session) -> None:
    """Carry out what the form says; a refusal stays on it."""
    form, act = s.cash, s.cash.act
    typed = form.amount.strip()
    amount_minor = s.text.parse(typed) if typed else None
    if form.busy or not act:
        return
    unreadable = bool(typed) and amount_minor is None
    if unreadable or (act in model.ASK_AMOUNT and (amount_minor or 0) <= 0):
        form.problem = s.text("cash.no_amount")
        return
    if act in model.ASK_WHO and not form.who:
        form.problem = s.text("cash.who")
        return
    form.busy = True
    try:
        await s.node.submit(model.ACTS[act], model.fields_of(form, amount_minor))
    except SyncError as error:
        form.problem = s.text.error(error)
        return
    finally:
        form.busy = False
    s.say(s.text(f"cash.{act}.done"))
    form.clear()


def _act(s: Session, name: str) -> ft.Control:
    async def chosen(e: Any) -> None:
        if s.cash.busy:
            return
        s.cash.begin(name)
        if s.cash.act == "x":
            await _do(s)

    label = s.text(f"cash.{name}")
    face = button(
        s,
        label,
        chosen,
        kind="tonal" if s.cash.act == name else "outline",
        glyph=None if s.measures.compact else _GLYPHS[name],
        key=f"cash-{name}",
        height=56,
    )
    return named(f"cash-{name}", label, face, button=True)


def _form(s: Session) -> ft.Control:
    """What the act asks for."""
    form = s.cash

    def keep(name: str) -> Any:
        def changed(e: Any) -> None:
            setattr(form, name, e.control.value or "")

        return changed

    async def done(e: Any = None) -> None:
        await _do(s)

    parts: list[ft.Control] = [text(s, s.text(f"cash.{form.act}"), "h2")]
    people = {"float": model.tills(s.node)}.get(form.act, [])
    if form.act == "hand-over":
        people = [(name, name) for name in model.takers(s.node)]
    if form.act in ("float", "hand-over"):
        rows = [_person(s, key, name) for key, name in people]
        if not rows:
            rows = [text(s, s.text("cash.nobody"), "body", s.palette.text2)]
        parts.append(ft.Column(rows, spacing=4, scroll=ft.ScrollMode.AUTO, height=168))
    if form.act in model.ASK_AMOUNT or form.act == "hand-over":
        label = "cash.counted" if form.act == "hand-over" else "cash.amount"
        parts.append(
            field(
                s,
                key="cash-amount",
                label=s.text(label),
                value=form.amount,
                keyboard_type=ft.KeyboardType.NUMBER,
                text_align=ft.TextAlign.RIGHT,
                autofocus=True,
                on_change=keep("amount"),
                on_submit=done,
            )
        )
    if form.act in model.ASK_REASON:
        parts.append(
            field(
                s,
                key="cash-reason",
                label=s.text("cash.reason"),
                value=form.reason,
                on_change=keep("reason"),
                on_submit=done,
            )
        )
    if form.problem:
        parts.append(text(s, form.problem, "body", s.palette.danger.text, key="problem"))
    parts.append(
        button(
            s,
            s.text(f"cash.{form.act}"),
            done,
            kind="filled",
            key="cash-do",
            disabled=form.busy,
        )
    )
    return card(
        s,
        ft.Column(
            parts, spacing=12, horizontal_alignment=ft.CrossAxisAlignment.STRETCH, tight=True
        ),
    )


def _person(s: Session, key: str, name: str) -> ft.Control:
    def chosen(e: Any) -> None:
        s.cash.who = key

    return choice(s, name, "", "", chosen, f"who-{key}", on=s.cash.who == key)


@part
def Cash() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.cash)

    def back() -> None:
        s.cash.clear()

    s.actions["back"] = back
    blind = model.is_blind(s.node)
    acts = [
        name
        for name in model.ACTS
        if s.node.may(KINDS[model.ACTS[name]].permission) and not (blind and name == "x")
    ]
    pairs = [acts[at : at + 2] for at in range(0, len(acts), 2)]
    side: list[ft.Control] = [
        ft.Row([ft.Container(_act(s, name), expand=True) for name in pair], spacing=8)
        for pair in pairs
    ]
    if s.cash.act and s.cash.act != "x":
        side.append(_form(s))
    if s.node.may("box.close"):
        close = button(
            s,
            s.text("cash.close"),
            lambda e: s.go("box"),
            kind="filled",
            glyph=ft.Icons.PAYMENTS_ROUNDED,
            key="cash-close",
            key_label=cap("go_box"),
            height=56,
        )
        side.append(named("cash-close", s.text("cash.close"), close, button=True))
    if blind:
        left: ft.Control = empty(
            s,
            ft.Icons.VISIBILITY_OFF_ROUNDED,
            s.text("cash.blind"),
            s.text("cash.blind_next"),
        )
    else:
        try:
            x = model.reading(s.node)
            left = paper(s, z_text(x, s.text.say, s.text.money, s.text.language))
        except SyncError as error:
            left = text(s, s.text.error(error), "body", s.palette.danger.text)
    if s.app.toast:
        side.append(text(s, s.app.toast, "strong", s.palette.collected.text, key="toast"))
    return ft.Container(
        ft.Row(
            [
                left,
                ft.Column(
                    side,
                    spacing=8,
                    width=s.measures.side + 40,
                    scroll=ft.ScrollMode.AUTO,
                    horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
                ),
            ],
            spacing=16,
            expand=True,
            vertical_alignment=ft.CrossAxisAlignment.STRETCH,
        ),
        expand=True,
        padding=16,
    )
