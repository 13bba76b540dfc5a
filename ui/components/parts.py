"""The smallest parts: text, icon, button, badge, key cap. Each takes its session for colours and
words."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import flet as ft

from ui.format import drawable
from ui.theme import Palette, Tint, style
from ui.viewmodels.session import Session

FOCUS_S = 2.0
memo: Any = ft.memo
"""Draws a component again only if what it is given is something else."""
STATE_ICONS = {
    "unsent": ft.Icons.CLOUD_OFF_ROUNDED,
    "pending": ft.Icons.HOURGLASS_TOP_ROUNDED,
    "allowed": ft.Icons.THUMB_UP_ROUNDED,
    "collected": ft.Icons.CHECK_CIRCLE_ROUNDED,
    "denied": ft.Icons.CANCEL_ROUNDED,
    "printed": ft.Icons.PRINT_ROUNDED,
    "set_aside": ft.Icons.FLAG_ROUNDED,
    "withdrawn": ft.Icons.UNDO_ROUNDED,
    "expired": ft.Icons.TIMER_OFF_ROUNDED,
    "refunded": ft.Icons.ASSIGNMENT_RETURN_ROUNDED,
}


def state_tint(palette: Palette, state: str) -> Tint:
    return {
        "unsent": Tint(palette.pending.text, palette.surface),
        "pending": palette.pending,
        "allowed": palette.allowed,
        "collected": palette.collected,
        "denied": palette.danger,
        "printed": palette.printed,
        "set_aside": palette.aside,
        "withdrawn": palette.printed,
        "expired": palette.printed,
        "refunded": palette.danger,
    }[state]


def text(s: Session, value: str, name: str = "body", color: str = "", **more: Any) -> ft.Text:
    """A text in one of the theme's styles."""
    return ft.Text(drawable(value), style=style(name, color or s.palette.text), **more)


def clipped(s: Session, value: str, name: str = "body", color: str = "", **more: Any) -> ft.Text:
    """A text of one line that ends in … where there is no room."""
    return text(s, value, name, color, max_lines=1, overflow=ft.TextOverflow.ELLIPSIS, **more)


def icon(name: ft.IconData, size: int, color: str) -> ft.Icon:
    return ft.Icon(name, size=size, color=color)


def key_cap(label: str, color: str) -> ft.Container:
    return ft.Container(
        ft.Text(label, style=style("micro", color)),
        border=ft.Border.all(1, color),
        border_radius=4,
        padding=ft.Padding.symmetric(horizontal=6, vertical=2),
    )


def line_below(palette: Palette) -> ft.Border:
    return ft.Border.only(bottom=ft.BorderSide(1, palette.border))


def badge(s: Session, state: str) -> ft.Container:
    """One colour, one icon, one word for a state, everywhere."""
    tint = state_tint(s.palette, state)
    return ft.Container(
        ft.Row(
            [
                icon(STATE_ICONS[state], 16, tint.text),
                ft.Text(s.text(f"state.{state}"), style=style("label", tint.text)),
            ],
            spacing=4,
            tight=True,
        ),
        height=24,
        border_radius=6,
        bgcolor=tint.ground,
        border=ft.Border.all(1, tint.text) if state == "unsent" else None,
        padding=ft.Padding.only(left=6, right=8),
    )


def tappable(
    content: ft.Control, on_tap: Callable[..., Any] | None, *, key: str = "", **layout: Any
) -> ft.Control:
    """Something to click or touch that never takes the focus.

    A focused button would also act on Enter, which on Sell charges and on the box page goes on: a
    vendor who clicks "+" and presses Enter must not sell one more than the screen showed.
    """
    if on_tap is None:
        return ft.Container(content, key=key or None, disabled=True, **layout)
    return ft.GestureDetector(
        content=content,
        key=key or None,
        on_tap=on_tap,
        mouse_cursor=ft.MouseCursor.CLICK,
        **layout,
    )


def button(
    s: Session,
    label: str,
    on_click: Callable[..., Any] | None,
    *,
    kind: str = "outline",
    glyph: ft.IconData | None = None,
    key_label: str = "",
    key: str = "",
    height: int = 48,
    expand: bool | int | None = None,
    width: int | None = None,
    disabled: bool = False,
    large: bool = False,
) -> ft.Control:
    """``filled`` (the next step, one a region), ``tonal``, ``outline``, ``danger``, ``text``,
    ``ink``…"""
    p = s.palette
    ground, ink, line = {
        "filled": (p.accent, p.on_accent, None),
        "tonal": (p.selected, p.on_selected, None),
        "outline": (p.surface, p.text, p.outline),
        "accent": (p.surface, p.accent, p.accent),
        "danger": (p.surface, p.danger.text, p.danger.text),
        "danger_filled": (p.danger.text, p.on_danger, None),
        "text": (ft.Colors.TRANSPARENT, p.accent, None),
        "danger_text": (ft.Colors.TRANSPARENT, p.danger.text, None),
        "rail": (p.rail, "#FFFFFF", "#FFFFFF"),
    }[kind]
    if disabled:
        ground, ink, line = p.surface3, p.text3, None
    inside: list[ft.Control] = []
    if glyph is not None:
        inside.append(icon(glyph, 24 if large else 20, ink))
    if label:
        inside.append(ft.Text(label, style=style("big_button" if large else "button", ink)))
    if key_label and s.app.width >= 1200:
        inside.append(key_cap(key_label, ink))
    face = ft.Container(
        ft.Row(inside, spacing=8, alignment=ft.MainAxisAlignment.CENTER, tight=not expand),
        height=height,
        width=width,
        bgcolor=ground,
        border=ft.Border.all(1, line) if line else None,
        border_radius=8,
        padding=ft.Padding.symmetric(horizontal=16 if label else 4),
        alignment=ft.Alignment.CENTER,
    )
    tapped = None if disabled or on_click is None else _once(s, key, on_click)
    return tappable(face, tapped, key=key, expand=expand)


def _once(s: Session, key: str, on_click: Callable[..., Any]) -> Callable[..., Any]:
    """An act is done once by a double touch: while it runs, and a moment after it began."""
    if not inspect.iscoroutinefunction(on_click):
        return on_click

    async def tapped(e: Any) -> None:
        if s.acts.begin(key):
            try:
                await on_click(e)
            finally:
                s.acts.end(key)

    return tapped


def icon_button(
    s: Session, glyph: ft.IconData, label: str, on_click: Callable[..., Any] | None, key: str
) -> ft.Control:
    """A button that shows no word; it has one for screen readers and under the pointer."""
    face = button(s, "", on_click, glyph=glyph, key=key, width=48)
    return named(key, label, ft.Container(face, tooltip=label), button=True)


def choice(
    s: Session, title: str, detail: str, value: str, on_tap: Any, key: str, *, on: bool = False
) -> ft.Control:
    """One row of a list to choose from."""
    p = s.palette
    face = tappable(
        ft.Container(
            ft.Row(
                [
                    ft.Column(
                        [
                            clipped(s, title, "strong"),
                            *([clipped(s, detail, "caption", p.text3)] if detail else []),
                        ],
                        spacing=0,
                        expand=True,
                        alignment=ft.MainAxisAlignment.CENTER,
                    ),
                    text(s, value, "strong"),
                    *([icon(ft.Icons.CHECK_ROUNDED, 24, p.accent)] if on else []),
                ],
                spacing=12,
            ),
            height=56,
            bgcolor=p.selected if on else p.surface,
            padding=ft.Padding.symmetric(horizontal=16),
            border=line_below(p),
        ),
        on_tap,
        key=key,
    )
    return named(key, drawable(title), face, button=True)


def named(identifier: str, label: str, content: ft.Control, **more: Any) -> ft.Semantics:
    """Gives a part a name for screen readers and for browser tests."""
    return ft.Semantics(content=content, identifier=identifier, label=label, **more)


def named_button(
    s: Session, label: str, on_click: Callable[..., Any] | None, *, key: str, **more: Any
) -> ft.Control:
    """A button that screen readers and browser tests know by its key."""
    return named(key, label, button(s, label, on_click, key=key, **more), button=True)


def amount(s: Session, amount_minor: int, *, key: str = "", color: str = "") -> ft.Text:
    """A large amount with a smaller sign."""
    ink = color or s.palette.text
    sign = ft.TextSpan(s.text.sign, style=style("sign", ink))
    figure = ft.TextSpan(s.text.number(abs(amount_minor)), style=style("total", ink))
    gap = ft.TextSpan(" ", style=style("sign", ink))
    spans = [sign, figure] if s.text.sign_first() else [figure, gap, sign]
    if amount_minor < 0:
        spans.insert(0, ft.TextSpan("−", style=style("total", ink)))
    return ft.Text(spans=spans, key=key or None, no_wrap=True)


def card(s: Session, content: ft.Control, **more: Any) -> ft.Container:
    more.setdefault("padding", 16)
    return ft.Container(
        content,
        bgcolor=s.palette.surface,
        border=ft.Border.all(1, s.palette.border),
        border_radius=12,
        **more,
    )


def empty(s: Session, glyph: ft.IconData, what: str, next_step: str) -> ft.Container:
    """What an empty place is, and the next step."""
    return ft.Container(
        ft.Column(
            [
                ft.Container(
                    icon(glyph, 32, s.palette.on_selected),
                    width=56,
                    height=56,
                    border_radius=28,
                    bgcolor=s.palette.selected,
                    alignment=ft.Alignment.CENTER,
                ),
                text(s, what, "h2"),
                text(s, next_step, "body", s.palette.text2, text_align=ft.TextAlign.CENTER),
            ],
            spacing=8,
            horizontal_alignment=ft.CrossAxisAlignment.CENTER,
            alignment=ft.MainAxisAlignment.CENTER,
        ),
        alignment=ft.Alignment.CENTER,
        expand=True,
    )


async def focus(box: Any) -> None:
    """Give the focus to the field of a ref. One that has left the screen never answers."""
    if box.current is not None:
        with contextlib.suppress(RuntimeError, TimeoutError):
            async with asyncio.timeout(FOCUS_S):
                await box.current.focus()


@ft.component
def Focused(make: Callable[[Any], ft.Control]) -> ft.Control:
    """A field, made with a ref, that takes the focus when it comes: `autofocus` does not while
    another field has it."""
    box: Any = ft.use_ref()

    def come() -> None:
        ft.context.page.run_task(focus, box)

    ft.use_effect(come, [])
    return make(box)


async def run(handler: Callable[..., Any], *args: Any) -> None:
    """Call a handler, whether it is a coroutine or not."""
    result = handler(*args)
    if inspect.isawaitable(result):
        await result


def field(s: Session, **more: Any) -> ft.TextField:
    """A text field in the theme's looks."""
    p = s.palette

    async def changed(e: Any) -> None:
        s.typing.letter()
        await run(changing, e)

    changing = more.pop("on_change", None)
    if changing is not None:
        more["on_change"] = changed
    submitted = more.pop("on_submit", None)

    async def entered(e: Any) -> None:
        s.typing.entered()
        await run(submitted, e)

    if submitted is not None:
        more["on_submit"] = entered
    options: dict[str, Any] = {
        "height": 48,
        "filled": True,
        "fill_color": p.surface,
        "text_style": style("body", p.text),
        "hint_style": style("body", p.text3),
        "label_style": style("label", p.text2),
        "content_padding": ft.Padding.symmetric(horizontal=12, vertical=8),
        "border": ft.OutlineInputBorder(border_radius=8, side=ft.BorderSide(1, p.outline)),
        **more,
    }
    return ft.TextField(**options)
