"""Files between a screen and the disk of who sits before it: the browser's own dialogs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import flet as ft

LOOK_S = 1.0


async def save(name: str, data: bytes) -> None:
    """Let the person keep a file."""
    await _answer(ft.FilePicker().save_file(file_name=name, src_bytes=data))


async def pick(*endings: str) -> tuple[str, bytes] | None:
    """(name, content) of a file that the person chooses; None if they choose none."""
    found = await _answer(
        ft.FilePicker().pick_files(
            file_type=ft.FilePickerFileType.CUSTOM,
            allowed_extensions=list(endings),
            with_data=True,
        )
    )
    if not found:
        return None
    return found[0].name, found[0].bytes or b""


async def _answer(asked: Coroutine[Any, Any, Any]) -> Any:
    """What a dialog gives, for as long as a person takes; None if its browser was cut off: then
    nobody answers any more."""
    session = ft.context.page.session
    connection, dialog = session.connection, asyncio.ensure_future(asked)
    try:
        while not dialog.done() and session.connection is connection:
            await asyncio.wait({dialog}, timeout=LOOK_S)
        return dialog.result() if dialog.done() else None
    finally:
        dialog.cancel()
