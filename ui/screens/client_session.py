"""A customer's session: the time that is left, the account, messages, and what can be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

from node.api import settings
from ui.components.guard import part
from ui.components.icons import plate
from ui.components.parts import (
    button,
    clipped,
    field,
    icon,
    icon_button,
    line_below,
    named,
    named_button,
    tappable,
    text,
)
from ui.format import whole
from ui.screens.client_locked import LANGUAGES, ask, node_of, speak
from ui.viewmodels import client as model
from ui.viewmodels import shelf
from ui.viewmodels.floor import span
from ui.viewmodels.session import Session, use_session

PANEL_WIDTH = 392
NARROW = 520


def _head(s: Session) -> ft.Control:
    node, p = node_of(s), s.palette
    glyph = ft.Icons.CLOUD_DONE_ROUNDED if node.online else ft.Icons.CLOUD_OFF_ROUNDED
    color = p.collected.text if node.online else p.pending.text

    def fold(e: Any) -> None:
        s.client.folded = True

    others: list[ft.Control] = []
    for language, name in LANGUAGES:
        on = s.text.language == language
        face = ft.Container(
            text(s, language.upper(), "button", p.on_selected if on else p.text3),
            bgcolor=p.selected if on else None, border_radius=8, width=40, height=48,
            alignment=ft.Alignment.CENTER, tooltip=name,
        )  # fmt: skip
        tap = tappable(face, lambda e, to=language: speak(s, to), key=f"speak-{language}")
        others.append(named(f"speak-{language}", name, tap, button=True))

    return ft.Container(
        ft.Row(
            [
                text(s, f"PC {node.state.get('number', '')}", "strong"),
                clipped(s, f"· {model.cafe_name(node)}", "body", p.text2, expand=True),
                *others,
                icon(glyph, 20, color),
                icon_button(
                    s, ft.Icons.CLOSE_FULLSCREEN_ROUNDED, s.text("client.fold"), fold, "fold"
                ),
            ],
            spacing=8,
        ),
        padding=ft.Padding.only(left=16, right=8, top=4, bottom=4),
        border=line_below(p),
    )


@part
def Clock() -> ft.Control:
    """The time, drawn by itself each second."""
    s = use_session()
    ft.use_state(s.ticks)
    ft.use_state(s.feed)
    node, p = node_of(s), s.palette
    session = node.session or {}
    left, ran = node.left_ms, node.ran_ms
    who = session.get("account", {}).get("name") or session.get("who", "")
    name = who.split(" ")[0] if who else ""
    title = s.text("client.time_left" if left is not None else "client.time_spent")
    shown = span((ran if left is None else left) // 1000, with_seconds=True)
    soon = model.warning(left)
    ink = p.danger.text if soon == 5 else p.pending.text if soon else p.text
    parts: list[ft.Control] = [
        text(s, f"{title}, {name}" if name else title, "body", p.text2),
        named("time", shown, text(s, shown, "total", ink, key="time")),
    ]
    limit = int(session.get("limit_ms", 0))
    if limit and left is not None:
        parts.append(
            ft.ProgressBar(value=left / limit, bar_height=8, color=ink if soon else p.accent,
                           bgcolor=p.surface3)
        )  # fmt: skip
    since = s.text("client.since", time=s.text.time(int(session.get("started_ms", 0))))
    until = ""
    if left is not None:
        until = s.text("client.until", time=s.text.time(node.now_ms + left))
    parts.append(
        ft.Row(
            [text(s, since, "caption", p.text3, expand=True), text(s, until, "caption", p.text3)]
        )
    )
    ends = int(session.get("ends_in_ms", 0))
    words = ""
    if ends:
        words = s.text("client.barred", seconds=ends // 1000)
    elif soon:
        words = s.text("client.soon", count=soon)
    elif not node.online:
        words = s.text("client.goes_on")
    if words:
        tint = p.danger if ends or soon == 5 else p.pending
        parts.append(
            ft.Container(
                ft.Row([icon(ft.Icons.ALARM_ROUNDED, 20, tint.text),
                        text(s, words, "strong", tint.text, expand=True, key="warning")],
                       spacing=8),
                bgcolor=tint.ground, border_radius=8, padding=8,
            )
        )  # fmt: skip
    return ft.Container(ft.Column(parts, spacing=6), padding=16, border=line_below(p))


def _account(s: Session) -> list[ft.Control]:
    """Credit, points and minutes of who signed in; what free use has come to."""
    node, p = node_of(s), s.palette
    session = node.session or {}
    account = session.get("account")
    if account is not None:
        facts = [
            (s.text("client.credit"), s.text.money(account["credit"] + account["bonus"])),
            (s.text("client.points"), s.text.count(account["points"])),
            (s.text("client.minutes"), s.text.count(account["minutes"])),
        ]
    elif session.get("form") == "free":
        facts = [(s.text("client.so_far"), s.text.money(int(session["price_minor"])))]
    else:
        facts = []
    if session.get("sales_minor"):
        facts.append((s.text("client.ordered"), s.text.money(int(session["sales_minor"]))))
    if not facts:
        return []
    cells: list[ft.Control] = [
        ft.Column(
            [clipped(s, label, "caption", p.text3), clipped(s, value, "h1")], spacing=0, expand=1
        )
        for label, value in facts
    ]
    return [ft.Container(ft.Row(cells, spacing=12), padding=16, border=line_below(p))]


def _said(s: Session, message: list[Any]) -> ft.Control:
    number, who, words, at_ms = message
    p, mine = s.palette, who == "pc"
    title = ft.Row(
        [text(s, s.text("client.you" if mine else "client.desk"), "label", expand=True),
         text(s, s.text.time(at_ms), "caption", p.text3)]
    )  # fmt: skip
    return ft.Container(
        ft.Column([title, text(s, words, "body", key=f"said-{number}")], spacing=4),
        bgcolor=p.selected if mine else p.surface,
        border=ft.Border.all(1, p.border),
        border_radius=12,
        padding=12,
        margin=ft.Margin.only(left=48 if mine else 0),
    )


def _messages(s: Session) -> list[ft.Control]:
    node, p, form = node_of(s), s.palette, s.client

    def changed(e: Any) -> None:
        form.message = e.control.value or ""

    async def send(e: Any = None) -> None:
        words = form.message.strip()
        if words and await ask(s, "say", text=words):
            form.message = ""

    known = list(node.state.get("messages", []))[-6:]
    ordered = (node.session or {}).get("orders", [])
    parts: list[ft.Control] = [
        ft.Row([clipped(s, f"{s.text('client.order')} {label}", "body", expand=True),
                text(s, s.text.money(total), "strong"),
                text(s, s.text(f"state.{state}"), "label", p.text2)], spacing=8)
        for label, total, state in ordered[-3:]
    ]  # fmt: skip
    parts += [_said(s, message) for message in known]
    if not parts:
        parts.append(text(s, s.text("client.no_messages"), "body", p.text3))
    row = ft.Row(
        [
            ft.Container(
                field(s, key="client-message", hint_text=s.text("client.write"), value=form.message,
                      on_change=changed, on_submit=send, max_length=200, counter=""),
                expand=True,
            ),
            icon_button(s, ft.Icons.SEND_ROUNDED, s.text("client.send"), send, "client-send"),
        ],
        spacing=8,
    )  # fmt: skip
    told = []
    if form.problem or form.saved:
        ink = p.danger.text if form.problem else p.collected.text
        told.append(text(s, form.problem or form.saved, "body", ink, key="problem"))
    return [
        ft.Container(
            ft.Column([text(s, s.text("client.messages"), "label", p.text2),
                       ft.ListView(parts, spacing=8, expand=True, auto_scroll=True), *told, row],
                      spacing=8, expand=True),
            bgcolor=p.surface2, padding=16, expand=True,
        )
    ]  # fmt: skip


def _acts(s: Session) -> ft.Control:
    node, form = node_of(s), s.client
    has_account = "account" in (node.session or {})

    def opener(panel: str) -> Callable[[Any], None]:
        def opened(e: Any) -> None:
            form.leave()
            form.panel = panel

        return opened

    def act(
        name: str, glyph: ft.IconData, on_tap: Any, kind: str, *, off: bool = False
    ) -> ft.Control:
        label = s.text(f"client.do.{name}")
        face = button(s, label, on_tap, kind=kind, glyph=glyph, key=f"client-{name}", expand=1,
                      disabled=off)  # fmt: skip
        return ft.Container(named(f"client-{name}", label, face, button=True), expand=1)

    first = [
        *([act("redeem", ft.Icons.REDEEM_ROUNDED, opener("redeem"), "tonal", off=not node.online)]
          if has_account else []),
        act("order", ft.Icons.LOCAL_CAFE_ROUNDED, opener("order"), "tonal", off=not node.online),
    ]  # fmt: skip
    return ft.Container(
        ft.Column(
            [
                ft.Row(first, spacing=8),
                ft.Row(
                    [act("end", ft.Icons.LOGOUT_ROUNDED, opener("leaving"), "danger")], spacing=8
                ),
            ],
            spacing=8,
        ),
        padding=16,
    )


def _back(s: Session) -> ft.Control:
    def left(e: Any) -> None:
        s.client.leave()

    words = s.text("client.back")
    return named("client-leave", words, button(s, words, left, key="client-leave"), button=True)


def _panel(
    s: Session, title: str, *parts: ft.Control, last: ft.Control | None = None
) -> list[ft.Control]:
    """What is done in place of the panel's own; ``last`` stands beside the way back."""
    told = []
    if s.client.problem:
        told.append(text(s, s.client.problem, "body", s.palette.danger.text, key="problem"))
    foot = _back(s)
    if last is not None:
        foot = ft.Row([foot, ft.Container(last, expand=True)], spacing=8)
    return [
        ft.Container(
            ft.Column([text(s, title, "h1"), *parts, *told, foot], spacing=12, expand=True,
                      horizontal_alignment=ft.CrossAxisAlignment.STRETCH),
            padding=16, expand=True,
        )
    ]  # fmt: skip


def _redeem(s: Session) -> list[ft.Control]:
    """Points for time, or for what the café gives for them."""
    node, form, p = node_of(s), s.client, s.palette
    account = (node.session or {}).get("account", {})

    def changed(e: Any) -> None:
        form.points = e.control.value or ""

    async def for_time(e: Any = None) -> None:
        points = whole(form.points)
        if not points:
            form.problem = s.text("client.bad_points")
        elif await ask(s, "redeem", points=points):
            form.leave()
            form.saved = s.text("client.redeemed")

    def for_product(sku: str) -> Any:
        async def taken(e: Any) -> None:
            if await ask(s, "redeem", products=[{"sku": sku, "quantity": 1}]):
                form.leave()
                form.saved = s.text("client.redeemed_at_desk")

        return taken

    rows: list[ft.Control] = []
    for gift in model.gifts(node):
        sku, price = str(gift["sku"]), s.text("client.for_points", count=gift["points"])
        take = button(s, price, for_product(sku), kind="outline", key=f"gift-{sku}")
        rows.append(ft.Row([clipped(s, gift["name"], "strong", expand=True), take], spacing=8))
    has = s.text("client.has_points", count=account.get("points", 0))
    worth = s.text("client.worth", need=account.get("need", 0), minutes=account.get("worth", 0))
    ready = button(s, s.text("client.take_time"), for_time, kind="filled", key="client-take")
    return _panel(
        s,
        s.text("client.do.redeem"),
        text(s, has, "strong"),
        text(s, worth, "body", p.text2),
        field(s, key="client-points", label=s.text("client.points"), value=form.points,
              on_change=changed, on_submit=for_time, keyboard_type=ft.KeyboardType.NUMBER),
        named("client-take", s.text("client.take_time"), ready, button=True),
        ft.ListView(rows, spacing=8, expand=True),
    )  # fmt: skip


def _order(s: Session) -> list[ft.Control]:
    """Something to drink: it goes to the desk, and is paid there."""
    node, form, p = node_of(s), s.client, s.palette

    def stepper(sku: str, more: int) -> Callable[[Any], None]:
        return lambda e: form.put(sku, more)

    def looked(e: Any) -> None:
        form.query = e.control.value or ""

    def chooser(category: str) -> Callable[[Any], None]:
        def chosen(e: Any) -> None:
            form.category = "" if form.category == category else category

        return chosen

    names = shelf.menu_categories(node)
    chips: list[ft.Control] = []
    for name in names if len(names) > 1 else ():
        kind = "tonal" if form.category == name else "outline"
        chips.append(named_button(s, name, chooser(name), kind=kind, key=f"menu-{name}"))
    rows: list[ft.Control] = []
    for row in model.menu(node, form.query, form.category, form.basket):
        sku = str(row["sku"])
        units = form.basket.get(sku, 0)
        less = [
            icon_button(
                s, ft.Icons.REMOVE_ROUNDED, s.text("client.less"), stepper(sku, -1), f"less-{sku}"
            ),
            text(s, str(units), "h2", key=f"units-{sku}"),
        ]
        rows.append(
            ft.Row(
                [
                    plate(s, row["icon"], row.get("picture", ""), 40, 24, p.plates[0]),
                    ft.Column([clipped(s, row["name"], "strong"),
                               text(s, s.text.money(row["price_minor"]), "caption", p.text2)],
                              spacing=0, expand=True),
                    *(less if units else []),
                    icon_button(
                        s, ft.Icons.ADD_ROUNDED, row["name"], stepper(sku, 1), f"more-{sku}"
                    ),
                ],
                spacing=8,
            )
        )  # fmt: skip

    async def send(e: Any) -> None:
        lines = [{"sku": sku, "quantity": units} for sku, units in form.basket.items()]
        if lines and await ask(s, "order", lines=lines):
            form.leave()
            form.saved = s.text("client.sent")

    if not rows:
        rows.append(text(s, s.text("client.nothing_found"), "body", p.text2))
    total = s.text.money(model.total_minor(node, form.basket))
    words = s.text("client.send_order", total=total)
    ready = button(s, words, send, kind="filled", key="client-send-order", disabled=not form.basket)
    search = field(s, key="client-query", hint_text=s.text("client.look_for"), value=form.query,
                   on_change=looked, prefix_icon=ft.Icons.SEARCH_ROUNDED)  # fmt: skip
    top = [search, *([ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN)] if chips else [])]
    return _panel(
        s,
        s.text("client.do.order"),
        ft.ListView([*top, *rows], spacing=8, expand=True),
        last=named("client-send-order", words, ready, button=True),
    )


def _leaving(s: Session) -> list[ft.Control]:
    node = node_of(s)

    async def end(e: Any) -> None:
        await node.end()
        s.client.forget()

    form = (node.session or {}).get("form", "")
    if form == "prepaid" and settings.is_on(node.tables, "return_prepaid"):
        form = "prepaid_back"
    words = s.text("client.do.end")
    ready = button(s, words, end, kind="danger_filled", key="client-sure")
    return _panel(
        s,
        s.text("client.sure"),
        text(s, s.text(f"client.sure.{form}"), "body", s.palette.text2),
        named("client-sure", words, ready, button=True),
        ft.Container(expand=True),
    )


@part
def Folded() -> ft.Control:
    """A pill with the time."""
    s = use_session()
    ft.use_state(s.ticks)
    node = node_of(s)
    left = node.left_ms
    shown = span((node.ran_ms if left is None else left) // 1000, with_seconds=True)

    def unfold(e: Any) -> None:
        s.client.folded = False

    words = s.text("client.unfold")
    return ft.Container(
        ft.Row(
            [
                icon(ft.Icons.TIMER_ROUNDED, 24, "#F6BC55"),
                text(s, shown, "figure_s", "#F6BC55", key="time"),
                named(
                    "unfold",
                    words,
                    button(s, words, unfold, kind="rail", key="unfold"),
                    button=True,
                ),
            ],
            spacing=12,
            tight=True,
        ),
        bgcolor="#10262A",
        border_radius=32,
        padding=ft.Padding.symmetric(horizontal=20, vertical=8),
    )


BODIES = {"redeem": _redeem, "order": _order, "leaving": _leaving}


@part
def ClientSession() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.client)
    p, form = s.palette, s.client
    if form.folded:
        return ft.Container(Folded(), alignment=ft.Alignment.BOTTOM_LEFT, padding=24, expand=True,
                            bgcolor=p.surface3)  # fmt: skip
    opened = BODIES.get(form.panel)
    body = opened(s) if opened else [*_account(s), *_messages(s), _acts(s)]
    narrow = s.app.width < NARROW
    panel = ft.Container(
        ft.Column([_head(s), Clock(), *body], spacing=0, expand=True),
        bgcolor=p.surface,
        border_radius=0 if narrow else 16,
        width=None if narrow else PANEL_WIDTH,
        expand=narrow or None,
        clip_behavior=ft.ClipBehavior.HARD_EDGE,
    )
    if narrow:
        return panel
    return ft.Container(
        ft.Row([ft.Container(expand=True), panel], expand=True,
               vertical_alignment=ft.CrossAxisAlignment.STRETCH),
        bgcolor=p.surface3,
        padding=16,
        expand=True,
    )  # fmt: skip
