"""Files between a screen and the disk of who sits before it: the browser's own dialogs."""

from __future__ import annotations

import flet as ft


async def save(name: str, data: bytes) -> None:
    """Let the person keep a file."""
    await ft.FilePicker().save_file(file_name=name, src_bytes=data)


async def pick(*endings: str) -> tuple[str, bytes] | None:
    """(name, content) of a file that the person chooses; None if they choose none."""
    found = await ft.FilePicker().pick_files(
        file_type=ft.FilePickerFileType.CUSTOM,
        allowed_extensions=list(endings),
        with_data=True,
    )
    if not found:
        return None
    return found[0].name, found[0].bytes or b""
