"""When somebody last did something at a page: Flet has no event for that; all of its pass here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

NOT_A_PERSON = frozenset(
    {"resize", "media_change", "app_lifecycle_state_change", "connect", "disconnect", "close"}
)


def watch(page: ft.Page, acted: Callable[[str], None]) -> None:
    """Call ``acted`` with the name of each event that a person causes: click, key, letter."""
    session: Any = page.session
    before = getattr(session.dispatch_event, "before", session.dispatch_event)

    async def dispatch(control_id: int, name: str, data: Any) -> None:
        if name not in NOT_A_PERSON:
            acted(name)
        await before(control_id, name, data)

    dispatch.before = before  # type: ignore[attr-defined]
    session.dispatch_event = dispatch
