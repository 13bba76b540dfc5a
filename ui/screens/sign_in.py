"""Who is here: name and password, checked offline too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

from node.api import SyncError
from ui.components.guard import part
from ui.components.parts import button, card, field, text
from ui.viewmodels.session import Session, use_session


def _back(s: Session) -> Callable[[Any], None]:
    def back(e: Any) -> None:
        if s.turn_back is not None:
            s.turn_back()

    return back


@part
def SignIn() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    name, set_name = ft.use_state(s.app.locked)
    password, set_password = ft.use_state("")
    busy, set_busy = ft.use_state(False)

    async def enter(e: Any = None) -> None:
        if busy or not name:
            return
        set_busy(True)
        s.app.problem = ""
        try:
            await s.node.sign_in(name, password)
        except SyncError as error:
            s.app.problem = s.text.error(error)
            set_password("")
        else:
            s.app.locked = ""
            s.go("sell")
        finally:
            set_busy(False)

    cafe = s.node.status()["cafe"] or "Cabina"
    lines = len(s.sell.items)
    basket = None
    if lines:
        kept = s.text("sign_in.basket", count=lines)
        basket = text(s, kept, "label", s.palette.pending.text, key="kept")
    return ft.Container(
        card(
            s,
            ft.Column(
                [
                    text(s, cafe, "h1"),
                    text(
                        s,
                        s.text("sign_in.locked" if s.app.locked else "sign_in.who"),
                        "body",
                        s.palette.text2,
                    ),
                    *([basket] if basket is not None else []),
                    field(
                        s,
                        key="name",
                        label=s.text("sign_in.name"),
                        value=name,
                        autofocus=not s.app.locked,
                        on_change=lambda e: set_name(e.control.value),
                    ),
                    field(
                        s,
                        key="password",
                        label=s.text("sign_in.password"),
                        value=password,
                        password=True,
                        autofocus=bool(s.app.locked),
                        on_change=lambda e: set_password(e.control.value),
                        on_submit=enter,
                    ),
                    text(s, s.app.problem, "body", s.palette.danger.text, key="problem"),
                    button(
                        s,
                        s.text("sign_in.enter"),
                        enter,
                        kind="filled",
                        key="enter",
                        height=64,
                        large=True,
                        disabled=busy or not name,
                        glyph=ft.Icons.LOGIN_ROUNDED,
                    ),
                    *(
                        [button(s, s.text("client.back"), _back(s), key="leave")]
                        if s.turn_back is not None
                        else []
                    ),
                ],
                spacing=16,
                tight=True,
                horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
            ),
            width=440,
            padding=32,
        ),
        expand=True,
        alignment=ft.Alignment.CENTER,
    )
