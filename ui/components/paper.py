"""A strip of paper: what the printer prints, on the screen."""

from __future__ import annotations

from collections.abc import Sequence

import flet as ft

from ui.components.parts import text
from ui.viewmodels.session import Session

INK = "#1B1B1B"


def paper(s: Session, pairs: Sequence[tuple[str, str]]) -> ft.Control:
    """Pairs (left, right) as `node.api.z_text` gives them: ``-`` is a rule, ``#`` means large."""
    lines: list[ft.Control] = []
    for left, right in pairs:
        if left == "-":
            lines.append(ft.Divider(height=9, color=INK))
            continue
        name = "h2" if left.startswith("#") else "caption"
        row = [
            text(s, left.lstrip("#"), name, INK, expand=True),
            text(s, right, name, INK),
        ]
        lines.append(ft.Row(row))  # type: ignore[arg-type]
    return ft.Container(
        ft.Container(
            ft.ListView(lines, spacing=2, expand=True),
            width=360,
            bgcolor="#FFFFFF",
            padding=20,
            shadow=ft.BoxShadow(blur_radius=24, offset=ft.Offset(0, 8), color="#2910262A"),
        ),
        expand=True,
        bgcolor=s.palette.surface3,
        border_radius=12,
        padding=16,
        alignment=ft.Alignment.TOP_CENTER,
    )
