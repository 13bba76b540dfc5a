"""Sell: search, categories and tiles; what is chosen goes into the ticket beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flet as ft

from node.api import SyncError
from ui.components.guard import part
from ui.components.icons import plate
from ui.components.parts import (
    badge,
    button,
    clipped,
    empty,
    field,
    focus,
    icon,
    key_cap,
    line_below,
    memo,
    tappable,
    text,
)
from ui.format import drawable
from ui.keymap import cap
from ui.screens.ticket import Ticket, charge
from ui.theme import style
from ui.viewmodels import sell as model
from ui.viewmodels import shelf
from ui.viewmodels.orders import queue
from ui.viewmodels.session import Session, use_session

ROW_PX = 52
GAP_PX = 8
"""Between two tiles."""
SCROLLED_MS = 100
"""So often a list that is scrolled says how far."""

# --- tiles -------------------------------------------------------------------


def take(s: Session, typed: str) -> None:
    """What was scanned or typed and ended with Enter."""
    sku = model.scanned(s.node, typed)
    s.sell.query = ""
    if sku:
        choose(s, sku)
    else:
        s.sell.problem = s.text("sell.not_found", query=typed)


def choose(s: Session, sku: str) -> None:
    """Into the basket; the ticket asks first for a customer where one is needed, and for a price
    that is open."""
    if model.needs_customer(s.node, sku) and not s.sell.customer:
        if s.node.may("customer.read"):
            s.sell.ask_customer(sku)
        else:
            s.sell.problem = s.text.say("refused.customer-needed")
    elif model.is_open_price(s.node, sku):
        s.sell.ask(sku)
    else:
        s.sell.add(sku)


@dataclass(frozen=True, slots=True)
class Face:
    """All that a tile shows, so that it is drawn again only when that changes."""

    sku: str
    name: str
    price: str
    left: str
    """Units on the shelf; empty for what is not counted."""
    low: bool
    quantity: int
    """Units in the basket."""
    icon: str
    picture: str
    here: bool
    """Whether the picture is on this node by now."""
    colour: int
    roomy: bool
    dark: bool


def _face(s: Session, row: Mapping[str, Any], colour: int = 0) -> Face:
    sku, picture = row["sku"], row.get("picture", "")
    known = model.stock_of(s.node, sku)
    return Face(
        sku=sku,
        name=drawable(row["name"]),
        price=s.text("sell.open_price") if row["open_price"] else s.text.money(row["price_minor"]),
        left="" if known is None else str(known[0]),
        low=known is not None and known[1],
        quantity=s.sell.quantity_of(sku),
        icon=row["icon"],
        picture=picture,
        here=bool(picture) and s.node.picture(picture) is not None,
        colour=colour,
        roomy=s.measures.tile >= 136,
        dark=s.app.dark,
    )


def _stock_left(s: Session, face: Face) -> list[ft.Control]:
    """Units that are left, of what is counted; in the colour of a warning where they are few."""
    if not face.left:
        return []
    color = s.palette.danger.text if face.low else s.palette.text3
    name = "label" if face.low else "caption"
    return [text(s, face.left, name, color, key=f"stock-{face.sku}")]


@part
def _DrawnTile(face: Face) -> ft.Control:
    s = use_session()
    p, sku, quantity, roomy = s.palette, face.sku, face.quantity, face.roomy
    tint = p.plates[face.colour % len(p.plates)]
    plate_px, pad = (40, 12) if roomy else (32, 8)
    body = ft.Container(
        ft.Column(
            [
                plate(s, face.icon, face.picture, plate_px, 24 if roomy else 20, tint),
                ft.Container(
                    ft.Text(
                        face.name,
                        style=style("tile", p.text),
                        max_lines=2,
                        overflow=ft.TextOverflow.ELLIPSIS,
                    ),
                    height=36,
                    margin=ft.Margin.only(top=8 if roomy else 2),
                ),
                ft.Container(expand=True),
                ft.Row(
                    [text(s, face.price, "h2", expand=True), *_stock_left(s, face)],
                    spacing=4,
                ),
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
    return ft.Semantics(
        identifier=f"tile-{sku}",
        label=f"{face.name} {face.price}",
        button=True,
        content=tappable(
            ft.Container(
                ft.Stack(inside),
                bgcolor=p.surface,
                border_radius=12,
                border=ft.Border.all(2, p.accent) if quantity else ft.Border.all(1, p.border),
                shadow=ft.BoxShadow(blur_radius=2, offset=ft.Offset(0, 1), color="#1410262A"),
            ),
            lambda e: choose(s, sku),
            key=f"tile-{sku}",
        ),
    )


Tile: Any = memo(_DrawnTile)


@part
def _DrawnRow(face: Face, category: str) -> ft.Control:
    s = use_session()
    quantity = face.quantity
    return tappable(
        ft.Container(
            ft.Row(
                [
                    clipped(s, face.name, "strong", expand=True),
                    clipped(s, category, "body", s.palette.text2, width=160),
                    text(
                        s, str(quantity) if quantity else "", "strong", s.palette.accent, width=40
                    ),
                    *_stock_left(s, face),
                    text(s, face.price, "strong"),
                ],
                spacing=12,
            ),
            height=ROW_PX,
            bgcolor=s.palette.selected if quantity else s.palette.surface,
            padding=ft.Padding.symmetric(horizontal=16),
            border=line_below(s.palette),
        ),
        lambda e: choose(s, face.sku),
        key=f"tile-{face.sku}",
    )


ListRow: Any = memo(_DrawnRow)


@part
def Products() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.sell)
    seen = s.sell.query, s.sell.category, s.sell.as_list
    reached, set_reached = ft.use_state((seen, 1))
    screenfuls = reached[1] if reached[0] == seen else 1
    rows, more = model.visible(s.node, s.sell, most=screenfuls * _screenful(s))

    def scrolled(e: ft.OnScrollEvent) -> None:
        if more and e.pixels > e.max_scroll_extent - e.viewport_dimension:
            set_reached((seen, screenfuls + 1))

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
        return ft.ListView(
            [ListRow(_face(s, row), row["category"], key=row["sku"]) for row in rows],
            key="products",
            expand=True,
            item_extent=ROW_PX,
            scroll_interval=SCROLLED_MS,
            on_scroll=scrolled,  # also at the end: without it the client begins at the top again
        )
    colours = {name: at for at, name in enumerate(shelf.categories(s.node))}
    ratio, _ = _tile_size(s)
    return ft.GridView(
        [Tile(_face(s, row, colours.get(row["category"], 5)), key=row["sku"]) for row in rows],
        key="products",
        runs_count=s.measures.columns,
        spacing=GAP_PX,
        run_spacing=GAP_PX,
        child_aspect_ratio=ratio,
        expand=True,
        padding=ft.Padding.only(bottom=12),
        scroll_interval=SCROLLED_MS,
        on_scroll=scrolled,
    )


def _tile_size(s: Session) -> tuple[float, float]:
    """(width by height, height in pixels) of a tile in this window."""
    m = s.measures
    width = (s.app.width - m.rail - m.panel - 32 - GAP_PX * (m.columns - 1)) / m.columns
    ratio = max(0.5, width / m.tile)
    return ratio, max(GAP_PX, width / ratio)


def _screenful(s: Session) -> int:
    """Products that fill the window, and a row more for whoever scrolls: at each key of a search
    they are drawn again, so there are no more than can be seen."""
    if s.sell.as_list:
        return int(s.app.height) // ROW_PX + 2
    _, height = _tile_size(s)
    return s.measures.columns * (int(s.app.height / (height + GAP_PX)) + 2)


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


@part
def Finder() -> ft.Control:
    """Search and categories. Typing goes to search; a scanner ends with Enter."""
    s = use_session()
    ft.use_state(s.feed)
    ft.use_state(s.sell)
    box: Any = ft.use_ref()

    async def search() -> None:
        await focus(box)

    async def scan() -> None:
        take(s, s.sell.query.strip())
        await focus(box)

    async def charged() -> None:
        await charge(s)

    s.actions.update(search=search, scan=scan, charge=charged)
    names = tuple(shelf.categories(s.node))
    bar: ft.Control = FinderBar(box, s.sell.query, s.sell.category, s.sell.as_list, names)
    return bar


@part
def _DrawnFinder(
    box: Any, query: str, category: str, as_list: bool, categories: tuple[str, ...]
) -> ft.Control:
    """All that it shows is given, so that a sale does not draw it again."""
    s = use_session()
    ft.use_state(s.app)
    p = s.palette

    def searched(e: Any) -> None:
        s.sell.query = e.control.value or ""

    async def entered(e: Any) -> None:
        typed = (e.control.value or "").strip()
        if not typed:
            await charge(s)  # Enter in an empty search charges: nobody has to leave the field
            return
        take(s, typed)
        await focus(box)  # the field loses it with the Enter; the next scan follows at once

    search = field(
        s,
        key="search",
        hint_text=s.text("sell.search"),
        value=query,
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
                _view_button(s, ft.Icons.GRID_VIEW_ROUNDED, not as_list, "grid", False),
                _view_button(s, ft.Icons.VIEW_LIST_ROUNDED, as_list, "list", True),
            ],
            spacing=0,
            tight=True,
        ),
        border=ft.Border.all(1, p.border),
        border_radius=8,
        bgcolor=p.surface,
        clip_behavior=ft.ClipBehavior.HARD_EDGE,
    )

    def choose_category(name: str) -> Any:
        def chosen(e: Any) -> None:
            s.sell.category = name

        return chosen

    chips = [_chip(s, s.text("sell.all"), not category, "category-", choose_category(""))]
    chips += [
        _chip(s, name, category == name, f"category-{name}", choose_category(name))
        for name in categories
    ]
    return ft.Column(
        [
            ft.Row([search, views], spacing=8),
            ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN),
        ],
        spacing=8,
    )


FinderBar: Any = memo(_DrawnFinder)


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


# --- what comes in at the server ---------------------------------------------


@part
def Incoming() -> ft.Control:
    """The oldest order that waits, docked under the grid so that nothing clickable moves."""
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    p = s.palette
    waiting = queue(s.node)["pending"] if s.node.may("order.authorise") else []
    if not waiting:
        return ft.Container(height=0)
    order = waiting[0]
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


@part
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
