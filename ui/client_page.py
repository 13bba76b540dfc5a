"""The page of a customers' PC: locked, a session, or a vendor's screens if it is a station too."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import ClientNode, Node
from ui import alive
from ui.bridge import Bridge
from ui.screens.client_locked import ClientLocked
from ui.screens.client_session import ClientSession
from ui.shell import dress, open_page
from ui.viewmodels.client import notable
from ui.viewmodels.session import Session, use_session

TICK_S = 1.0
IDLE_S = 60
"""What somebody has typed or chosen on the locked page, and left there, is forgotten."""


@ft.component
def ClientShell() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    assert isinstance(s.node, ClientNode)
    shown: ft.Control = ClientSession() if s.app.screen == "session" else ClientLocked()
    return shown


def open_client_page(page: ft.Page, node: ClientNode) -> Session:
    """Draw a customers' PC on a page."""
    dress(page)
    page.title = "Cabina"
    s = Session(node)
    if page.width:
        s.app.width, s.app.height = page.width, page.height or 768
    begun = ""
    told: tuple[Any, ...] = ()
    typed: tuple[str, ...] = ()
    typed_ms = 0

    def follow() -> None:
        """The page shows what the PC is; who has gone leaves nothing behind."""
        nonlocal begun, told, typed, typed_ms
        session = (node.session or {}).get("id", "")
        if session != begun:
            begun = session
            s.client.forget()
        if s.language != node.chosen_language:
            s.speak(node.chosen_language)
        s.app.screen = "session" if node.unlocked else "locked"
        news = notable(node)
        if news != told:
            told, s.client.folded = news, False
        now_ms = node.clock.mono_ms()
        left = (*s.client.typed, node.chosen_language)
        if left != typed:
            typed, typed_ms = left, now_ms
        elif not session and any(typed) and now_ms - typed_ms >= IDLE_S * 1000:
            s.client.forget()
            node.chosen_language = ""

    def refresh(names: frozenset[str]) -> None:
        s.refresh(names)
        follow()

    follow()
    bridge = Bridge(node, refresh)

    def tick() -> None:
        s.ticks.version += 1
        follow()

    def close(e: Any = None) -> None:
        bridge.close()
        stop_clock()

    def vendor() -> None:
        station: Node | None = node.vendor
        if station is None:
            return
        close()
        station.sign_out()  # whoever was here before leaves nothing to the next
        shown = open_page(page, station, leave=lambda: back())
        ended: Any = page.on_close

        def taken(names: frozenset[str]) -> None:
            """A session has begun here: the PC is its customer's."""
            if node.session is not None and shown.turn_back is not None:
                shown.turn_back()

        watching = Bridge(node, taken)

        def back() -> None:
            watching.close()
            open_client_page(page, node)

        def shut(e: Any = None) -> None:
            watching.close()
            ended(e)

        page.on_close = shut

    def resized(e: Any) -> None:
        s.app.width, s.app.height = e.width, e.height

    s.actions["vendor"] = vendor

    # No keys of the page: it would be told of each letter of a password, and needs none.
    page.on_resize, page.on_keyboard_event, page.on_close = resized, None, close
    stop_clock = alive.draw(page, s, ClientShell, TICK_S, tick)
    return s
