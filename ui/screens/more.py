"""The screens for which the rail has no room."""

from __future__ import annotations

import flet as ft

from ui.components.guard import part
from ui.components.office import head, page
from ui.components.parts import card, icon, named, tappable, text
from ui.roles import Screen
from ui.viewmodels.session import Session, use_session


def _tile(s: Session, screen: Screen) -> ft.Control:
    title = s.text(f"screen.{screen.name}")
    face = card(
        s,
        ft.Column(
            [icon(screen.icon, 32, s.palette.accent), text(s, title, "strong")],
            spacing=8,
            alignment=ft.MainAxisAlignment.CENTER,
            horizontal_alignment=ft.CrossAxisAlignment.CENTER,
        ),
        width=160,
        height=112,
    )
    tile = tappable(face, lambda e: s.go(screen.name), key=f"more-{screen.name}")
    return named(f"more-{screen.name}", title, tile, button=True)


@part
def More() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    tiles = [_tile(s, screen) for screen in s.rail()[1]]
    return page(s, head(s, s.text("screen.more")), ft.Row(tiles, wrap=True, spacing=12))
