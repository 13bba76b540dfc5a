"""What the screens of the office are made of: a head with what can be chosen, figures, a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import flet as ft

from node.api import SyncError
from ui.components.parts import card, clipped, field, line_below, named, run, tappable, text
from ui.format import drawable
from ui.theme import Palette
from ui.viewmodels.forms import BadField
from ui.viewmodels.session import Session

MOST_ROWS = 60
"""A table never builds more rows than this; who wants all takes the file."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table; ``width`` 0 takes what is left."""

    title: str
    width: int = 0
    right: bool = False
    roomy: bool = False
    """Left out in a small window."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: texts or controls, a key to find it by, and what a tap on it does."""

    key: str
    cells: Sequence[str | ft.Control]
    on_tap: Callable[..., Any] | None = None
    chosen: bool = False
    strong: bool = False


class Form(Protocol):
    """What a form says of its work: that it is under way, what went wrong, what was done."""

    busy: bool
    problem: str
    saved: str


async def attempt(
    s: Session, form: Form, words: str, work: Callable[[], Awaitable[Any]], done: str
) -> bool:
    """Do a form's work, one at a time; what came of it stands below the form.

    ``words`` is where the names of the form's fields stand. True if the work was done.
    """
    if form.busy:
        return False
    form.problem = form.saved = ""
    form.busy = True
    try:
        await work()
    except BadField as bad:
        form.problem = s.text("product.bad", field=s.text(f"{words}.{bad.args[0]}"))
    except SyncError as error:
        form.problem = s.text.error(error)
    else:
        form.saved = done
        return True
    finally:
        form.busy = False
    return False


def page(s: Session, *parts: ft.Control, **more: Any) -> ft.Control:
    """A screen's margins, its parts one below the other."""
    options: dict[str, Any] = {"spacing": 12, "expand": True, **more}
    return ft.Container(ft.Column(list(parts), **options), expand=True, padding=16)


def head(s: Session, title: str, *parts: ft.Control) -> ft.Control:
    """The first line of a screen."""
    return ft.Row([text(s, title, "h1"), *parts], spacing=12, height=48)


def segments(
    s: Session,
    options: Sequence[tuple[str, str]],
    chosen: str,
    choose: Callable[[str], Any],
    key: str,
) -> ft.Control:
    """One of a few, side by side; it scrolls where there is no room."""
    p = s.palette

    def tapped(name: str) -> Callable[[Any], Any]:
        async def tap(e: Any) -> None:
            await run(choose, name)

        return tap

    parts: list[ft.Control] = []
    for name, label in options:
        on = name == chosen
        face = tappable(
            ft.Container(
                text(s, label, "strong" if on else "body", p.on_selected if on else p.text2),
                height=46,
                bgcolor=p.selected if on else p.surface,
                padding=ft.Padding.symmetric(horizontal=14),
                alignment=ft.Alignment.CENTER,
            ),
            tapped(name),
            key=f"{key}-{name}",
        )
        parts.append(named(f"{key}-{name}", drawable(label), face, button=True))
    return ft.Container(
        ft.Row(parts, spacing=0, scroll=ft.ScrollMode.HIDDEN),
        border=ft.Border.all(1, p.border),
        border_radius=8,
        clip_behavior=ft.ClipBehavior.HARD_EDGE,
        bgcolor=p.surface,
    )


def figure(s: Session, label: str, value: str, note: str = "", *, key: str = "") -> ft.Control:
    """One figure that matters, with what it is."""
    return card(
        s,
        ft.Column(
            [
                clipped(s, label, "label", s.palette.text2),
                clipped(s, value, "figure_s" if s.measures.compact else "figure", key=key or None),
                clipped(s, note, "caption", s.palette.text3),
            ],
            spacing=2,
        ),
        padding=ft.Padding.symmetric(horizontal=16, vertical=8),
        expand=True,
    )


def _cell(s: Session, column: Column, value: str | ft.Control, name: str, ink: str) -> ft.Control:
    side = ft.TextAlign.RIGHT if column.right else ft.TextAlign.LEFT
    layout: dict[str, Any] = {"width": column.width} if column.width else {"expand": True}
    if isinstance(value, str):
        return clipped(s, value, name, ink, text_align=side, **layout)
    place = ft.Alignment.CENTER_RIGHT if column.right else ft.Alignment.CENTER_LEFT
    return ft.Container(value, alignment=place, **layout)


def _columns(s: Session, columns: Sequence[Column]) -> list[tuple[int, Column]]:
    """(place, column) of those that there is room for."""
    return [(i, c) for i, c in enumerate(columns) if not (c.roomy and s.measures.compact)]


def _line(s: Session, columns: Sequence[Column], row: Row, height: int = 44) -> ft.Control:
    p = s.palette
    cells = [
        _cell(s, column, row.cells[at], "strong" if row.strong else "body", p.text)
        for at, column in _columns(s, columns)
    ]
    face = ft.Container(
        ft.Row(cells, spacing=12),
        height=height,
        bgcolor=p.selected if row.chosen else p.surface2 if row.strong else p.surface,
        padding=ft.Padding.symmetric(horizontal=12),
        border=line_below(p),
    )
    if row.on_tap is None:
        face.key = row.key
        return face
    words = " ".join(cell for cell in row.cells if isinstance(cell, str))
    return named(row.key, drawable(words), tappable(face, row.on_tap, key=row.key), button=True)


def table(
    s: Session,
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    total: Row | None = None,
    expand: bool = False,
    height: int = 44,
    most: int = MOST_ROWS,
) -> ft.Control:
    """Rows below their head, the total at the foot. With ``expand`` it scrolls by itself."""
    p = s.palette
    titles: list[ft.Control] = [
        _cell(s, column, column.title, "label", p.text2) for _, column in _columns(s, columns)
    ]
    top = ft.Container(
        ft.Row(titles, spacing=12),
        height=40,
        bgcolor=p.surface2,
        padding=ft.Padding.symmetric(horizontal=12),
        border=line_below(p),
    )
    lines = [_line(s, columns, row, height) for row in rows[:most]]
    if len(rows) > most:
        more = s.text("table.more", count=len(rows) - most)
        lines.append(ft.Container(text(s, more, "caption", p.text3), padding=12))
    if total is not None:
        lines.append(_line(s, columns, total, height))
    body: ft.Control = (
        ft.ListView(lines, spacing=0, expand=True) if expand else ft.Column(lines, spacing=0)
    )
    return card(
        s,
        ft.Column([top, body], spacing=0, expand=expand),
        padding=0,
        expand=expand,
        clip_behavior=ft.ClipBehavior.HARD_EDGE,
    )


def note(s: Session, words: str, *, bad: bool = False, key: str = "") -> ft.Control:
    """What was done, or why not."""
    color = s.palette.danger.text if bad else s.palette.collected.text
    return text(s, words, "body", color, key=key or ("problem" if bad else "saved"))


def typed(
    s: Session, model: Any, name: str, label: str, *, key: str, on_enter: Any = None, **more: Any
) -> ft.Control:
    """A field that writes what is typed into ``model.name``."""

    def changed(e: Any) -> None:
        setattr(model, name, e.control.value or "")

    return field(
        s,
        key=key,
        label=label,
        value=getattr(model, name),
        on_change=changed,
        on_submit=on_enter,
        **more,
    )


def switch(s: Session, label: str, value: bool, changed: Callable[[bool], Any], key: str) -> ft.Row:
    """A setting that is on or off, with its words beside it."""

    async def turned(e: Any) -> None:
        await run(changed, bool(e.control.value))

    return ft.Row(
        [
            text(s, label, "body", expand=True),
            ft.Switch(
                key=key,
                value=value,
                active_color=s.palette.accent,
                on_change=turned,
            ),
        ],
        spacing=12,
    )


def pill(s: Session, words: str, ink: str, ground: str) -> ft.Control:
    """A word on its colour."""
    return ft.Container(
        text(s, words, "label", ink),
        height=24,
        border_radius=6,
        bgcolor=ground,
        padding=ft.Padding.symmetric(horizontal=8),
        alignment=ft.Alignment.CENTER,
    )


def bar_of(p: Palette, part: float) -> ft.Control:
    """How much of the largest something is."""
    return ft.ProgressBar(value=part, bar_height=8, color=p.accent, bgcolor=p.surface3)
