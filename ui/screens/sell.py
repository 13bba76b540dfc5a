"""Sell: search, categories, tiles; the basket, its total, and one key that charges."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import flet as ft

from node.api import Refused, SyncError
from ui.components.parts import (
    amount,
    badge,
    button,
    clipped,
    empty,
    field,
    icon,
    key_cap,
    line_below,
    named,
    tappable,
    text,
)
from ui.format import drawable
from ui.keymap import cap
from ui.theme import style
from ui.viewmodels import sell as model
from ui.viewmodels.orders import queue
from ui.viewmodels.sell import Basket, BasketLine
from ui.viewmodels.session import Session, use_session

TOAST_S = 4.0
_ICONS: dict[str, ft.IconData] = {
    "coffee": ft.Icons.LOCAL_CAFE_ROUNDED,
    "tea": ft.Icons.EMOJI_FOOD_BEVERAGE_ROUNDED,
    "glass": ft.Icons.LOCAL_DRINK_ROUNDED,
    "water": ft.Icons.WATER_DROP_ROUNDED,
    "bakery": ft.Icons.BAKERY_DINING_ROUNDED,
    "lunch": ft.Icons.LUNCH_DINING_ROUNDED,
    "cookie": ft.Icons.COOKIE_ROUNDED,
    "icecream": ft.Icons.ICECREAM_ROUNDED,
    "snack": ft.Icons.FASTFOOD_ROUNDED,
    "print": ft.Icons.PRINT_ROUNDED,
    "scan": ft.Icons.DOCUMENT_SCANNER_ROUNDED,
    "disc": ft.Icons.ALBUM_ROUNDED,
    "document": ft.Icons.DESCRIPTION_ROUNDED,
    "usb": ft.Icons.USB_ROUNDED,
    "headphones": ft.Icons.HEADPHONES_ROUNDED,
    "cable": ft.Icons.CABLE_ROUNDED,
}


# --- tiles -------------------------------------------------------------------


def _tile(s: Session, row: Mapping[str, Any], plate: int) -> ft.Control:
    p = s.palette
    sku = row["sku"]
    quantity = s.sell.lines.get(sku, 0)
    tint = p.plates[plate % len(p.plates)]
    glyph = _ICONS.get(row["icon"], ft.Icons.SHOPPING_BAG_ROUNDED)
    roomy = s.measures.tile >= 136
    plate_px, pad = (40, 12) if roomy else (32, 8)
    body = ft.Container(
        ft.Column(
            [
                ft.Container(
                    icon(glyph, 24 if roomy else 20, tint.text),
                    width=plate_px,
                    height=plate_px,
                    border_radius=10,
                    bgcolor=tint.ground,
                    alignment=ft.Alignment.CENTER,
                ),
                ft.Container(
                    ft.Text(
                        drawable(row["name"]),
                        style=style("tile", p.text),
                        max_lines=2,
                        overflow=ft.TextOverflow.ELLIPSIS,
                    ),
                    height=36,
                    margin=ft.Margin.only(top=8 if roomy else 2),
                ),
                ft.Container(expand=True),
                text(s, s.text.money(row["price_minor"]), "h2"),
            ],
            spacing=0,
        ),
        padding=pad - 1 if quantity else pad,
        left=0,
        right=0,
        top=0,
        bottom=0,
    )
    inside: list[ft.Control] = [body]
    if quantity:
        inside.append(
            ft.Container(
                text(s, str(quantity), "button", p.on_accent),
                bgcolor=p.accent,
                height=28,
                padding=ft.Padding.symmetric(horizontal=10),
                alignment=ft.Alignment.CENTER,
                border_radius=ft.BorderRadius.only(top_right=10, bottom_left=10),
                right=0,
                top=0,
            )
        )
    label = f"{drawable(row['name'])} {s.text.money(row['price_minor'])}"
    return ft.Semantics(
        key=sku,
        identifier=f"tile-{sku}",
        label=label,
        button=True,
        content=tappable(
            ft.Container(
                ft.Stack(inside),
                bgcolor=p.surface,
                border_radius=12,
                border=ft.Border.all(2, p.accent) if quantity else ft.Border.all(1, p.border),
                shadow=ft.BoxShadow(blur_radius=2, offset=ft.Offset(0, 1), color="#1410262A"),
            ),
            lambda e: s.sell.add(sku),
            key=f"tile-{sku}",
        ),
    )


def _list_row(s: Session, row: Mapping[str, Any]) -> ft.Control:
    quantity = s.sell.lines.get(row["sku"], 0)
    return tappable(
        ft.Container(
            ft.Row(
                [
                    clipped(s, row["name"], "strong", expand=True),
                    clipped(s, row["category"], "body", s.palette.text2, width=160),
                    text(
                        s, str(quantity) if quantity else "", "strong", s.palette.accent, width=40
                    ),
                    text(s, s.text.money(row["price_minor"]), "strong"),
                ],
                spacing=12,
            ),
            height=52,
            bgcolor=s.palette.selected if quantity else s.palette.surface,
            padding=ft.Padding.symmetric(horizontal=16),
            border=line_below(s.palette),
        ),
        lambda e: s.sell.add(row["sku"]),
        key=f"tile-{row['sku']}",
    )


@ft.component
def Products() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.sell)
    rows = model.visible(s.node, s.sell)
    if not rows:
        if s.sell.query or s.sell.category:
            what = s.text("sell.none", query=s.sell.query or s.sell.category)
            return empty(s, ft.Icons.SEARCH_OFF_ROUNDED, what, s.text("sell.none_next"))
        return empty(
            s,
            ft.Icons.INVENTORY_2_ROUNDED,
            s.text("sell.no_products"),
            s.text(f"sell.no_products_{s.node.role}"),
        )
    if s.sell.as_list:
        return ft.ListView([_list_row(s, row) for row in rows], expand=True, item_extent=52)
    names = model.categories(s.node)
    m = s.measures
    width = (s.app.width - m.rail - m.panel - 32 - 8 * (m.columns - 1)) / m.columns
    return ft.GridView(
        [
            _tile(s, row, names.index(row["category"]) if row["category"] in names else 5)
            for row in rows
        ],
        runs_count=m.columns,
        spacing=8,
        run_spacing=8,
        child_aspect_ratio=max(0.5, width / m.tile),
        expand=True,
        padding=ft.Padding.only(bottom=12),
    )


def _chip(s: Session, label: str, on: bool, key: str, on_click: Any) -> ft.Control:
    p = s.palette
    return tappable(
        ft.Container(
            text(s, label, "button" if on else "body", p.on_selected if on else p.text2),
            height=48,
            padding=ft.Padding.symmetric(horizontal=14),
            alignment=ft.Alignment.CENTER,
            border_radius=8,
            bgcolor=p.selected if on else p.surface,
            border=ft.Border.all(1, p.accent if on else p.border),
        ),
        on_click,
        key=key,
    )


@ft.component
def Finder() -> ft.Control:
    """Search and categories. Typing goes to search; a scanner ends with Enter."""
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.sell)
    p = s.palette
    box: Any = ft.use_ref()

    def searched(e: Any) -> None:
        s.sell.query = e.control.value or ""

    async def entered(e: Any) -> None:
        typed = (e.control.value or "").strip()
        if not typed:
            await _charge(s)  # Enter in an empty search charges: nobody has to leave the field
            return
        sku = model.scanned(s.node, typed)
        if sku:
            s.sell.add(sku)
            s.sell.query = ""
        else:
            s.sell.problem = s.text("sell.not_found", query=typed)

    async def focus() -> None:
        if box.current is not None:
            await box.current.focus()

    s.actions["search"] = focus
    search = field(
        s,
        key="search",
        hint_text=s.text("sell.search"),
        value=s.sell.query,
        prefix_icon=ft.Icons.SEARCH_ROUNDED,
        suffix_icon=ft.Container(
            key_cap(cap("search"), p.text3), padding=ft.Padding.only(right=12, top=14)
        )
        if s.app.width >= 1200
        else None,
        expand=True,
        autofocus=True,
        on_change=searched,
        on_submit=entered,
    )
    box.current = search
    views = ft.Container(
        ft.Row(
            [
                _view_button(s, ft.Icons.GRID_VIEW_ROUNDED, not s.sell.as_list, "grid", False),
                _view_button(s, ft.Icons.VIEW_LIST_ROUNDED, s.sell.as_list, "list", True),
            ],
            spacing=0,
            tight=True,
        ),
        border=ft.Border.all(1, p.border),
        border_radius=8,
        bgcolor=p.surface,
        clip_behavior=ft.ClipBehavior.HARD_EDGE,
    )

    def choose(name: str) -> Any:
        def chosen(e: Any) -> None:
            s.sell.category = name

        return chosen

    chips = [_chip(s, s.text("sell.all"), not s.sell.category, "category-", choose(""))]
    chips += [
        _chip(s, name, s.sell.category == name, f"category-{name}", choose(name))
        for name in model.categories(s.node)
    ]
    return ft.Column(
        [
            ft.Row([search, views], spacing=8),
            ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN),
        ],
        spacing=8,
    )


def _view_button(s: Session, glyph: ft.IconData, on: bool, key: str, as_list: bool) -> ft.Control:
    p = s.palette

    def choose(e: Any) -> None:
        s.sell.as_list = as_list

    return tappable(
        ft.Container(
            icon(glyph, 24, p.on_selected if on else p.text2),
            width=46,
            height=46,
            bgcolor=p.selected if on else p.surface,
            alignment=ft.Alignment.CENTER,
        ),
        choose,
        tooltip=s.text(f"sell.{key}"),
        key=f"view-{key}",
    )


# --- the basket --------------------------------------------------------------


def _line(s: Session, line: BasketLine) -> ft.Control:
    p = s.palette
    each = s.text("sell.each", price=s.text.money(line.price_minor)) if line.quantity > 1 else ""
    names: list[ft.Control] = [clipped(s, line.name, "strong")]
    if each:
        names.append(text(s, each, "caption", p.text3))
    if s.sell.current != line.sku:
        return tappable(
            ft.Container(
                ft.Row(
                    [
                        ft.Container(
                            text(s, str(line.quantity), "button"),
                            width=40,
                            height=32,
                            border_radius=8,
                            bgcolor=p.surface3,
                            alignment=ft.Alignment.CENTER,
                        ),
                        ft.Column(
                            names, spacing=0, expand=True, alignment=ft.MainAxisAlignment.CENTER
                        ),
                        text(s, s.text.money(line.amount_minor), "strong"),
                    ],
                    spacing=12,
                ),
                height=56,
                padding=ft.Padding.symmetric(horizontal=16),
                border=line_below(p),
            ),
            lambda e: s.sell.open_line(line.sku),
            key=f"line-{line.sku}",
        )

    def typed(e: Any) -> None:
        digits = (e.control.value or "").strip()
        if digits.isascii() and digits.isdigit() and int(digits) > 0:
            s.sell.set_quantity(line.sku, int(digits))

    def step(by: int) -> Any:
        return lambda e: s.sell.set_quantity(line.sku, line.quantity + by)

    return ft.Container(
        ft.Column(
            [
                ft.Row(
                    [
                        ft.Column(names, spacing=0, expand=True),
                        text(s, s.text.money(line.amount_minor), "strong"),
                    ],
                    vertical_alignment=ft.CrossAxisAlignment.START,
                ),
                ft.Row(
                    [
                        _square(s, ft.Icons.REMOVE_ROUNDED, step(-1), f"less-{line.sku}"),
                        field(
                            s,
                            key=f"quantity-{line.sku}",
                            value=str(line.quantity),
                            width=72,
                            text_align=ft.TextAlign.CENTER,
                            keyboard_type=ft.KeyboardType.NUMBER,
                            on_submit=typed,
                            on_blur=typed,
                        ),
                        _square(s, ft.Icons.ADD_ROUNDED, step(1), f"more-{line.sku}"),
                        ft.Container(expand=True),
                        _square(
                            s,
                            ft.Icons.DELETE_OUTLINE_ROUNDED,
                            lambda e: s.sell.set_quantity(line.sku, 0),
                            f"drop-{line.sku}",
                            p.danger.text,
                        ),
                    ],
                    spacing=8,
                ),
            ],
            spacing=4,
        ),
        key=f"line-{line.sku}",
        bgcolor=p.selected,
        padding=ft.Padding.symmetric(horizontal=16, vertical=8),
        border=line_below(p),
    )


def _square(s: Session, glyph: ft.IconData, on_click: Any, key: str, color: str = "") -> ft.Control:
    return tappable(
        ft.Container(
            icon(glyph, 24, color or s.palette.text2),
            width=48,
            height=48,
            border_radius=8,
            bgcolor=s.palette.surface,
            border=ft.Border.all(1, s.palette.border),
            alignment=ft.Alignment.CENTER,
        ),
        on_click,
        key=key,
    )


async def _charge(s: Session) -> None:
    """Place what is in the basket; on a refusal the basket stays and the sentence says why."""
    if s.sell.busy or not s.sell.lines:
        return
    try:
        label = await model.charge(s.node, s.sell, _tendered(s))
    except Refused as refusal:
        s.sell.problem = (
            s.text("sell.short", amount=s.text.money(refusal.details["short_minor"]))
            if refusal.code == "too-little"
            else s.text.error(refusal)
        )
        return
    except SyncError as error:
        s.sell.problem = s.text.error(error)
        return
    key = "sell.sold" if s.node.role == "server" else "sell.kept"
    toast = s.text(key, label=label)
    s.app.toast = toast
    asyncio.get_running_loop().call_later(TOAST_S, _forget_toast, s, toast)


def _forget_toast(s: Session, toast: str) -> None:
    if s.app.toast == toast:
        s.app.toast = ""


def _tendered(s: Session) -> int | None:
    """What was typed as received, in minor units; None for the exact sum."""
    digits = "".join(c for c in s.sell.received if c.isdigit())
    if s.node.role != "server" or not digits:
        return None
    return int(digits) * s.box.unit_minor


@ft.component
def Ticket() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.sell)
    p = s.palette
    now = model.basket(s.node, s.sell)
    server = s.node.role == "server"

    async def charge(e: Any = None) -> None:
        await _charge(s)

    def back() -> None:
        s.sell.current = ""
        s.sell.query = ""

    s.actions["charge"] = charge
    s.actions["back"] = back
    title = s.text("sell.sale" if server else "sell.order", label=model.next_label(s.node))
    counts = s.text("sell.lines", count=len(now.lines)) + " · "
    counts += s.text("sell.units", count=s.sell.units)
    head = ft.Container(
        ft.Row(
            [
                ft.Column(
                    [text(s, title, "h2"), text(s, counts, "caption", p.text3)],
                    spacing=0,
                    expand=True,
                    alignment=ft.MainAxisAlignment.CENTER,
                ),
                button(
                    s,
                    s.text("sell.clear"),
                    lambda e: s.sell.clear(),
                    kind="text",
                    key="clear",
                    disabled=not now.lines,
                ),
            ]
        ),
        height=64,
        padding=ft.Padding.only(left=16, right=8),
        border=line_below(p),
    )
    lines: list[ft.Control] = [
        ft.ListView([_line(s, line) for line in now.lines], spacing=0, expand=True)
        if now.lines
        else empty(
            s, ft.Icons.SHOPPING_BASKET_ROUNDED, s.text("sell.empty"), s.text("sell.empty_next")
        )
    ]
    if s.app.toast:
        lines.append(_toast(s))
    return ft.Container(
        ft.Column(
            [
                head,
                ft.Stack(lines, expand=True, fit=ft.StackFit.EXPAND),
                _sums(s, now),
                *([_cash(s, now)] if server else []),
                ft.Container(
                    _charge_button(s, charge, bool(now.lines)),
                    padding=ft.Padding.only(left=16, right=16, top=8, bottom=16),
                ),
            ],
            spacing=0,
        ),
        width=s.measures.panel,
        bgcolor=p.surface,
        border=ft.Border.only(left=ft.BorderSide(1, p.border)),
    )


def _toast(s: Session) -> ft.Control:
    return ft.Container(
        ft.Row(
            [
                icon(ft.Icons.CHECK_ROUNDED, 20, "#FFFFFF"),
                clipped(s, s.app.toast, "body", "#FFFFFF", expand=True, key="toast"),
            ],
            spacing=12,
        ),
        height=48,
        bgcolor="#10262A",
        border_radius=8,
        padding=ft.Padding.symmetric(horizontal=16),
        left=16,
        right=16,
        bottom=16,
        shadow=ft.BoxShadow(blur_radius=24, offset=ft.Offset(0, 8), color="#2910262A"),
    )


def _sums(s: Session, now: Basket) -> ft.Control:
    p = s.palette
    rows: list[ft.Control] = []
    if now.rounding_minor:
        rows.append(_sum(s, s.text("sell.subtotal"), s.text.money(now.subtotal_minor)))
        rows.append(_sum(s, s.text("sell.rounding"), s.text.money(now.rounding_minor)))
    rates = "  ".join(
        s.text("sell.vat", rate=s.text.percent(bp), amount=s.text.money(tax))
        for bp, tax in now.taxes
    )
    if s.sell.problem:
        rows.append(text(s, s.sell.problem, "body", p.danger.text, key="problem"))
    rows.append(
        ft.Row(
            [
                ft.Column(
                    [text(s, s.text("sell.total"), "h2"), clipped(s, rates, "caption", p.text3)],
                    spacing=0,
                    expand=True,
                ),
                named(
                    "total",
                    f"{s.text('sell.total')} {s.text.money(now.total_minor)}",
                    amount(s, now.total_minor, key="total"),
                ),
            ],
            vertical_alignment=ft.CrossAxisAlignment.END,
        )
    )
    return ft.Container(
        ft.Column(rows, spacing=4),
        padding=ft.Padding.only(left=16, right=16, top=12, bottom=8),
        border=ft.Border.only(top=ft.BorderSide(1, p.border)),
    )


def _sum(s: Session, label: str, value: str) -> ft.Control:
    color = s.palette.text2
    return ft.Row([text(s, label, "body", color, expand=True), text(s, value, "body", color)])


def _cash(s: Session, now: Basket) -> ft.Control:
    p = s.palette

    def typed(e: Any) -> None:
        s.sell.received = e.control.value or ""

    given = _tendered(s)
    change = given - now.total_minor if given is not None else 0
    return ft.Container(
        ft.Row(
            [
                field(
                    s,
                    key="received",
                    label=s.text("sell.received"),
                    value=s.sell.received,
                    text_align=ft.TextAlign.RIGHT,
                    keyboard_type=ft.KeyboardType.NUMBER,
                    expand=1,
                    on_change=typed,
                ),
                ft.Container(
                    ft.Row(
                        [
                            text(s, s.text("sell.change"), "caption", p.text3, expand=True),
                            text(
                                s,
                                s.text.money(change),
                                "h2",
                                p.danger.text if change < 0 else p.text,
                                key="change",
                            ),
                        ]
                    ),
                    expand=1,
                    height=48,
                    border_radius=8,
                    bgcolor=p.surface2,
                    border=ft.Border.all(1, p.border),
                    padding=ft.Padding.symmetric(horizontal=12),
                ),
            ],
            spacing=8,
        ),
        padding=ft.Padding.symmetric(horizontal=16),
    )


def _charge_button(s: Session, charge: Any, ready: bool) -> ft.Control:
    if s.node.role == "server":
        label, glyph = s.text("sell.charge"), ft.Icons.PAYMENTS_ROUNDED
    elif s.node.status()["online"]:
        label, glyph = s.text("sell.send"), ft.Icons.SEND_ROUNDED
    else:
        label, glyph = s.text("sell.keep"), ft.Icons.SAVE_ROUNDED
    return ft.Semantics(
        identifier="charge",
        label=label,
        button=True,
        content=ft.Row(
            [
                button(
                    s,
                    label,
                    charge,
                    kind="filled",
                    glyph=glyph,
                    key_label=cap("charge"),
                    key="charge",
                    height=64,
                    expand=True,
                    large=True,
                    disabled=not ready or s.sell.busy,
                )
            ]
        ),
    )


# --- what comes in at the server ---------------------------------------------


@ft.component
def Incoming() -> ft.Control:
    """The oldest order that waits, docked under the grid so that nothing clickable moves."""
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    p = s.palette
    waiting = queue(s.node)["pending"] if s.node.may("order.authorise") else []
    if not waiting:
        return ft.Container(height=0)
    order = waiting[-1]
    tint = p.pending

    async def allow(e: Any = None) -> None:
        try:
            await s.node.submit("order.allow", {"order": order.id})
        except SyncError as error:
            s.sell.problem = s.text.error(error)

    s.actions["allow"] = allow
    age = s.text("queue.ago", age=s.text.age(s.node.clock.wall_ms() - order.since_ms))
    return ft.Container(
        ft.Row(
            [
                icon(ft.Icons.INBOX_ROUNDED, 24, tint.text),
                ft.Column(
                    [
                        ft.Row(
                            [
                                clipped(s, f"{order.station} · {order.vendor}", "strong"),
                                badge(s, "pending"),
                                text(s, age, "body", p.text2),
                            ],
                            spacing=12,
                        ),
                        clipped(s, order.summary, "body", p.text2),
                    ],
                    spacing=2,
                    expand=True,
                    alignment=ft.MainAxisAlignment.CENTER,
                ),
                text(s, s.text.money(order.total_minor), "h1"),
                button(
                    s,
                    s.text("queue.allow"),
                    allow,
                    kind="accent",
                    key="incoming-allow",
                    key_label=cap("allow"),
                ),
                button(
                    s,
                    f"+{len(waiting) - 1}" if len(waiting) > 1 else "",
                    lambda e: s.go("queue"),
                    glyph=ft.Icons.MORE_HORIZ_ROUNDED,
                    key="incoming-more",
                ),
            ],
            spacing=16,
        ),
        height=72,
        bgcolor=tint.ground,
        border=ft.Border.only(top=ft.BorderSide(2, tint.text)),
        padding=ft.Padding.symmetric(horizontal=16),
    )


@ft.component
def Sell() -> ft.Control:
    s = use_session()
    left: list[ft.Control] = [
        ft.Container(
            ft.Column([Finder(), Products()], spacing=8, expand=True),
            expand=True,
            padding=ft.Padding.only(left=16, right=16, top=12),
        )
    ]
    if s.node.role == "server":
        left.append(Incoming())
    return ft.Row(
        [ft.Column(left, spacing=0, expand=True), Ticket()],
        spacing=0,
        expand=True,
        vertical_alignment=ft.CrossAxisAlignment.STRETCH,
    )
