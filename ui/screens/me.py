"""Me: what I have collected, my password, and who comes after me."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import SyncError, office
from ui.components.guard import part
from ui.components.office import note, page, typed
from ui.components.parts import amount, button, card, icon, text
from ui.viewmodels import me as model
from ui.viewmodels.session import Session, use_session


def _total(s: Session) -> ft.Control:
    total = model.my_total(s.node)
    if total is None:
        return card(
            s,
            ft.Row(
                [
                    icon(ft.Icons.VISIBILITY_OFF_ROUNDED, 24, s.palette.text2),
                    text(s, s.text("me.blind"), "body", expand=True, key="my-total-hidden"),
                ],
                spacing=12,
            ),
        )
    rows: list[ft.Control] = [
        text(s, s.text("me.total"), "label", s.palette.text3),
        amount(s, total["collected_minor"], key="my-total"),
    ]
    for method, sums in total["by_method"].items():
        name = office.method_name(s.node, method)
        shown = s.text.money(sums[0] if isinstance(sums, list | tuple) else sums)
        rows.append(ft.Row([text(s, name, "body", expand=True), text(s, shown, "strong")]))
    if total["refunded_minor"]:
        back = s.text.money(-total["refunded_minor"])
        label = text(s, s.text.say("report.refunded"), "body", expand=True)
        rows.append(ft.Row([label, text(s, back, "strong", s.palette.danger.text)]))
    return card(s, ft.Column(rows, spacing=8))


def _password(s: Session) -> ft.Control:
    form = s.me

    async def change(e: Any = None) -> None:
        if form.busy:
            return
        form.problem = form.saved = ""
        if form.new != form.again:
            form.problem = s.text("people.differ")
            return
        form.busy = True
        try:
            await s.door.call("change_password", old=form.old, new=form.new)
        except SyncError as error:
            form.problem = s.text.error(error)
        else:
            form.old = form.new = form.again = ""
            form.saved = s.text("me.changed")
        finally:
            form.busy = False

    fields = [
        typed(s, form, name, s.text(f"me.{name}"), key=f"password-{name}", password=True)
        for name in ("old", "new", "again")
    ]
    parts: list[ft.Control] = [
        text(s, s.text("me.password"), "h2"),
        *fields,
        ft.Row(
            [
                ft.Container(expand=True),
                button(
                    s,
                    s.text("me.change"),
                    change,
                    kind="filled",
                    key="password-change",
                    disabled=form.busy or not form.old or not form.new,
                ),
            ]
        ),
    ]
    if form.problem or form.saved:
        parts.append(note(s, form.problem or form.saved, bad=bool(form.problem)))
    stretch = ft.CrossAxisAlignment.STRETCH
    return card(s, ft.Column(parts, spacing=12, horizontal_alignment=stretch))


@part
def Me() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.me)
    row = s.node.operator_row or {"name": "", "role": "vendor"}
    left = ft.Column(
        [
            text(s, row["name"], "h1"),
            text(s, s.text(f"role.{row['role']}"), "body", s.palette.text2),
            _total(s),
            button(
                s,
                s.text("me.change_operator"),
                lambda e: s.lock(),
                kind="tonal",
                glyph=ft.Icons.SWITCH_ACCOUNT_ROUNDED,
                key="change-operator",
                height=56,
            ),
            button(
                s,
                s.text("sign_out"),
                lambda e: s.leave(),
                glyph=ft.Icons.LOGOUT_ROUNDED,
                key="sign-out",
                height=56,
            ),
        ],
        spacing=12,
        width=400,
        horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
    )
    right = ft.Column([_password(s)], spacing=12, width=400)
    top = ft.CrossAxisAlignment.START
    return page(
        s,
        ft.Row([left, right], spacing=16, vertical_alignment=top, wrap=True),
        scroll=ft.ScrollMode.AUTO,
    )
