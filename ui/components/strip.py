"""The strip on top of every screen: at a station the link, at the server the box; always 40 px
high."""

from __future__ import annotations

from typing import Any

import flet as ft
from tinydb import where

from ui.components.guard import part
from ui.components.parts import clipped, icon, text
from ui.theme import Tint
from ui.viewmodels.session import Session, use_session


def _person(s: Session, status: dict[str, Any], color: str) -> list[ft.Control]:
    parts: list[ft.Control] = []
    if status["operator"]:
        parts.append(text(s, status["operator"], "strong", color))
        parts.append(text(s, "·", "body", color))
    parts.append(text(s, s.text.time(s.node.clock.wall_ms()), "strong", color))
    return parts


def _link(s: Session, status: dict[str, Any]) -> tuple[Tint, ft.IconData, str, str]:
    """(colours, icon, bold words, words behind) of a station's link."""
    p = s.palette
    waiting = status["unsent_orders"]
    if status["online"] and status["unsent"] == 0:
        ground = Tint(p.collected.text, p.surface)
        return ground, ft.Icons.CLOUD_DONE_ROUNDED, s.text("link.on"), s.text("link.all_sent")
    if status["online"]:
        words = s.text("link.sending", count=max(1, waiting))
        return Tint(p.allowed.text, p.surface), ft.Icons.SYNC_ROUNDED, words, s.text("link.go_on")
    since = status["offline_since_ms"]
    words = s.text("link.off", time=s.text.time(since or s.node.clock.wall_ms()))
    behind = s.text("link.waiting", count=waiting) if waiting else s.text("link.can_sell")
    return p.pending, ft.Icons.CLOUD_OFF_ROUNDED, words, behind


@part
def Strip() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    p = s.palette
    status = s.node.status()
    if s.node.role == "station":
        tint, glyph, bold, behind = _link(s, status)
        offline = not status["online"]
        if status["notices"]:
            tint, glyph, bold, behind, offline = _notice(s, status)
        place = f"{status['label']} · {status['name']}" if status["label"] else ""
        right: list[ft.Control] = [text(s, place, "body", p.text2)]
        if place and status["operator"]:
            right.append(text(s, "·", "body", p.text2))
    else:
        opened = status["box"] or {"number": 0, "opened_ms": 0, "sales": 0}
        tint, glyph = Tint(p.text, p.surface), ft.Icons.PAYMENTS_ROUNDED
        bold = s.text("box.number", number=opened["number"])
        since = s.text.time(opened["opened_ms"])
        behind = s.text("box.since", time=since, count=opened["sales"])
        offline = False
        right = _devices(s, status)
        if s.node.notices or status["printer"] not in ("", "none"):
            tint, glyph, bold, behind, offline = _trouble(s, status)
    bold_color = tint.text if offline else p.text
    behind_color = tint.text if offline else p.text2
    return ft.Semantics(
        identifier="strip",
        label=f"{bold} {behind}",
        live_region=True,
        content=ft.Container(
            ft.Row(
                [
                    icon(glyph, 20, tint.text if s.node.role == "station" or offline else p.text2),
                    text(s, bold, "strong", bold_color, key="strip-bold"),
                    clipped(s, f"· {behind}", "body", behind_color, expand=True, key="strip-rest"),
                    *right,
                    *_person(s, status, bold_color),
                ],
                spacing=8,
            ),
            height=40,
            bgcolor=tint.ground,
            padding=ft.Padding.symmetric(horizontal=16),
            border=ft.Border.only(bottom=ft.BorderSide(1, tint.text if offline else p.border)),
        ),
    )


def _trouble(s: Session, status: dict[str, Any]) -> tuple[Tint, ft.IconData, str, str, bool]:
    """What a person should see before anything else."""
    waiting = s.node.tables.table("prints").count(where("state").one_of(["waiting", "unknown"]))
    why = s.text.why(status["printer"]) if status["printer"] not in ("", "none") else ""
    if why:
        bold = s.text("printer.trouble", why=why)
        rest = s.text("printer.waiting", count=waiting)
        return s.palette.danger, ft.Icons.PRINT_DISABLED_ROUNDED, bold, rest, True
    return _notice(s, status)


def _notice(s: Session, status: dict[str, Any]) -> tuple[Tint, ft.IconData, str, str, bool]:
    notice = status["notices"][0]
    return s.palette.danger, ft.Icons.WARNING_ROUNDED, s.text("notice"), notice, True


def _devices(s: Session, status: dict[str, Any]) -> list[ft.Control]:
    p = s.palette
    parts: list[ft.Control] = []
    if status["printer"] != "none":
        good = status["printer"] == ""
        ink = p.collected.text if good else p.danger.text
        words = s.text("printer.ready" if good else "printer.waits")
        parts += [icon(ft.Icons.PRINT_ROUNDED, 20, ink), text(s, words, "body", p.text2)]
        parts.append(text(s, "·", "body", p.text2))
    stations = status["stations"]
    online = sum(station["online"] for station in stations)
    ink = p.collected.text if online == len(stations) else p.pending.text
    parts.append(icon(ft.Icons.HUB_ROUNDED, 20, ink))
    words = s.text("stations.online", online=online, all=len(stations))
    parts.append(text(s, words, "body", p.text2))
    parts.append(text(s, "·", "body", p.text2))
    return parts
