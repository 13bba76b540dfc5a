"""The page of a customers' PC: locked, a session, or a vendor's screens if it is a station too."""

from __future__ import annotations

import asyncio
from typing import Any

import flet as ft

from node.api import ClientNode, Node
from ui.bridge import Bridge
from ui.screens.client_locked import ClientLocked
from ui.screens.client_session import ClientSession
from ui.shell import dress, open_page
from ui.viewmodels.session import Session, SessionContext, use_session

TICK_S = 1.0


@ft.component
def ClientShell() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    assert isinstance(s.node, ClientNode)
    shown: ft.Control = ClientSession() if s.app.screen == "session" else ClientLocked()
    return shown


@ft.component
def ClientRoot(s: Session) -> ft.Control:
    root: ft.Control = SessionContext(s, lambda: ClientShell())
    return root


def open_client_page(page: ft.Page, node: ClientNode) -> Session:
    """Draw a customers' PC on a page."""
    dress(page)
    page.title = "Cabina"
    s = Session(node)
    if page.width:
        s.app.width, s.app.height = page.width, page.height or 768
    begun = ""

    def follow() -> None:
        """The page shows what the PC is; who has gone leaves nothing behind."""
        nonlocal begun
        session = (node.session or {}).get("id", "")
        if session != begun:
            begun = session
            s.client.forget()
        s.app.screen = "session" if node.unlocked else "locked"

    def refresh(names: frozenset[str]) -> None:
        s.refresh(names)
        follow()

    follow()
    bridge = Bridge(node, refresh)

    async def clock() -> None:
        while True:
            await asyncio.sleep(TICK_S)
            follow()
            s.ticks.version += 1

    ticking = page.run_task(clock)

    def close(e: Any = None) -> None:
        bridge.close()
        ticking.cancel()

    def vendor() -> None:
        station: Node | None = node.vendor
        if station is not None:
            close()
            open_page(page, station, leave=lambda: open_client_page(page, node))

    def resized(e: Any) -> None:
        s.app.width, s.app.height = e.width, e.height

    s.actions["vendor"] = vendor
    page.on_resize, page.on_keyboard_event, page.on_close = resized, None, close
    page.render(ClientRoot, s)
    return s
