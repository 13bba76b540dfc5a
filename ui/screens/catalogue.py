"""The catalogue: find a product, change it, enter and withdraw its stock; at every node."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import flet as ft

from node.api import SyncError
from ui import files
from ui.components.guard import part
from ui.components.icons import ICONS, plate
from ui.components.office import head, note, page, segments, switch
from ui.components.parts import (
    button,
    card,
    clipped,
    empty,
    field,
    icon,
    line_below,
    named,
    tappable,
    text,
)
from ui.format import drawable
from ui.screens.count import stock_count
from ui.screens.discounts import discounts
from ui.theme import Tint
from ui.viewmodels import catalogue as model
from ui.viewmodels.catalogue import KINDS, BadRows
from ui.viewmodels.forms import NEW, BadField
from ui.viewmodels.sell import stock_of
from ui.viewmodels.session import Session, use_session


def _row(s: Session, row: Mapping[str, Any]) -> ft.Control:
    p = s.palette
    sku = row["sku"]
    on = s.catalogue.selected == sku
    known = stock_of(s.node, sku)
    left = "" if known is None else str(known[0])
    low = known is not None and known[1]

    def opened(e: Any) -> None:
        s.catalogue.open(s.node, s.text, sku)

    ink = p.text if row["active"] else p.text3
    tint = Tint(p.text2, p.surface2)
    face = tappable(
        ft.Container(
            ft.Row(
                [
                    plate(s, row["icon"], row.get("picture", ""), 40, 24, tint),
                    ft.Column(
                        [
                            clipped(s, row["name"], "strong", ink),
                            clipped(s, f"{sku} · {row['category'] or '–'}", "caption", p.text3),
                        ],
                        spacing=0,
                        expand=True,
                        alignment=ft.MainAxisAlignment.CENTER,
                    ),
                    text(
                        s,
                        left,
                        "label" if low else "body",
                        p.danger.text if low else p.text2,
                        width=56,
                        text_align=ft.TextAlign.RIGHT,
                    ),
                    text(
                        s,
                        s.text("sell.open_price")
                        if row["open_price"]
                        else s.text.money(row["price_minor"]),
                        "strong",
                        ink,
                        width=112,
                        text_align=ft.TextAlign.RIGHT,
                    ),
                ],
                spacing=12,
            ),
            height=56,
            bgcolor=p.selected if on else p.surface,
            padding=ft.Padding.symmetric(horizontal=16),
            border=line_below(p),
        ),
        opened,
        key=f"product-{sku}",
    )
    return named(f"product-{sku}", drawable(row["name"]), face, button=True)


def _typed(s: Session, name: str, **more: Any) -> ft.Control:
    def changed(e: Any) -> None:
        s.catalogue.typed = {**s.catalogue.typed, name: e.control.value or ""}

    return field(
        s,
        key=f"product-{name}",
        label=s.text(f"product.{name}"),
        value=s.catalogue.typed.get(name, ""),
        on_change=changed,
        **more,
    )


def _kinds(s: Session) -> ft.Control:
    def choose(kind: str) -> Any:
        def chosen(e: Any) -> None:
            s.catalogue.kind = kind

        return chosen

    chips = [
        button(
            s,
            s.text(f"product.kind.{kind}"),
            choose(kind),
            kind="tonal" if s.catalogue.kind == kind else "outline",
            key=f"kind-{kind}",
        )
        for kind in KINDS
    ]
    return ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN)


def _icons(s: Session) -> ft.Control:
    p = s.palette

    def choose(name: str) -> Any:
        def chosen(e: Any) -> None:
            s.catalogue.icon = name

        return chosen

    tiles = []
    for name, glyph in ICONS.items():
        on = s.catalogue.icon == name
        tiles.append(
            tappable(
                ft.Container(
                    icon(glyph, 24, p.on_selected if on else p.text2),
                    width=48,
                    height=48,
                    border_radius=8,
                    bgcolor=p.selected if on else p.surface,
                    border=ft.Border.all(1, p.accent if on else p.border),
                    alignment=ft.Alignment.CENTER,
                ),
                choose(name),
                key=f"icon-{name}",
            )
        )
    return ft.Row(tiles, spacing=8, run_spacing=8, wrap=True)


def _picture(s: Session) -> ft.Control:
    """A picture of the product instead of an icon."""
    form = s.catalogue

    async def choose(e: Any) -> None:
        chosen = await files.pick("png", "jpg", "jpeg")
        if chosen is None:
            return
        form.problem = ""
        try:
            form.picture = await s.node.keep_picture(chosen[1])
        except SyncError as error:
            form.problem = s.text.error(error)

    def drop(e: Any) -> None:
        form.picture = ""

    tint = Tint(s.palette.text2, s.palette.surface2)
    parts: list[ft.Control] = [
        plate(s, form.icon, form.picture, 64, 32, tint),
        button(
            s, s.text("product.picture"), choose, glyph=ft.Icons.IMAGE_ROUNDED, key="picture-choose"
        ),
    ]
    if form.picture:
        words = s.text("product.no_picture")
        parts.append(button(s, words, drop, kind="text", key="picture-drop"))
    return ft.Row(parts, spacing=12)


def _flag(s: Session, name: str) -> ft.Control:
    label, value = s.text(f"product.{name}"), bool(getattr(s.catalogue, name))
    return switch(s, label, value, partial(setattr, s.catalogue, name), f"product-{name}")


async def _save(s: Session) -> None:
    form = s.catalogue
    try:
        sku, late = await model.save(s.node, form, s.text)
    except BadField as bad:
        form.problem = s.text("product.bad", field=s.text(f"product.{bad.args[0]}"))
        return
    except SyncError as error:
        form.problem = s.text.error(error)
        return
    form.open(s.node, s.text, sku)
    form.saved = "" if late else s.text("product.saved")
    form.problem = s.text("product.late") if late else ""


def _stock(s: Session) -> ft.Control:
    """What is on the shelf, and what comes and goes."""
    form = s.catalogue
    shelf = s.node.tables.table("stock").peek(form.selected)
    shown = s.text("product.not_counted")
    if shelf is not None:
        shown = s.text("product.on_hand", count=shelf["on_hand"], held=shelf["held"])

    def keep(name: str) -> Any:
        def changed(e: Any) -> None:
            setattr(form, name, e.control.value or "")

        return changed

    def move(direction: str) -> Any:
        async def moved(e: Any) -> None:
            try:
                await model.move_stock(s.node, form, direction)
            except BadField:
                form.problem = s.text("product.bad", field=s.text("product.units"))
            except SyncError as error:
                form.problem = s.text.error(error)
            else:
                form.problem, form.saved = "", s.text("product.moved")

        return moved

    return ft.Column(
        [
            text(s, shown, "strong", key="on-hand"),
            ft.Row(
                [
                    field(
                        s,
                        key="stock-units",
                        label=s.text("product.units"),
                        value=form.units,
                        width=112,
                        keyboard_type=ft.KeyboardType.NUMBER,
                        on_change=keep("units"),
                    ),
                    field(
                        s,
                        key="stock-reason",
                        label=s.text("cash.reason"),
                        value=form.reason,
                        expand=True,
                        on_change=keep("reason"),
                    ),
                ],
                spacing=8,
            ),
            ft.Row(
                [
                    button(s, s.text("product.in"), move("in"), key="stock-in", expand=True),
                    button(s, s.text("product.out"), move("out"), key="stock-out", expand=True),
                ],
                spacing=8,
            ),
        ],
        spacing=8,
    )


def _form(s: Session) -> ft.Control:
    form, p = s.catalogue, s.palette
    new = form.selected == NEW

    async def save(e: Any = None) -> None:
        await _save(s)

    number = {"keyboard_type": ft.KeyboardType.NUMBER, "text_align": ft.TextAlign.RIGHT}
    parts: list[ft.Control] = [
        text(s, s.text("product.new") if new else form.selected, "h2"),
        ft.Row([_typed(s, "name", autofocus=new, expand=1)]),
        ft.Row(
            [_typed(s, "price", expand=1, **number), _typed(s, "tax", expand=1, **number)],
            spacing=8,
        ),
        *([_typed(s, "sku")] if new else []),
        ft.Row([_typed(s, "category", expand=1), _typed(s, "barcode", expand=1)], spacing=8),
        ft.Row(
            [_typed(s, "cost", expand=1, **number), _typed(s, "minimum", expand=1, **number)],
            spacing=8,
        ),
        _kinds(s),
        _flag(s, "open_price"),
        *([] if new else [_flag(s, "active")]),
        _picture(s),
        _icons(s),
    ]
    if not new and form.kind == "product" and s.node.may("stock.move"):
        parts += [ft.Divider(height=1), _stock(s)]
    note = form.problem or form.saved
    color = p.danger.text if form.problem else p.collected.text
    foot = ft.Row(
        [
            text(s, note, "body", color, expand=True, key="problem" if form.problem else "saved"),
            button(s, s.text("product.save"), save, kind="filled", key="product-save"),
        ],
        spacing=12,
    )
    return card(
        s,
        ft.Column(
            [
                ft.Column(parts, spacing=12, expand=True, scroll=ft.ScrollMode.AUTO),
                foot,
            ],
            spacing=12,
            expand=True,
        ),
        width=s.measures.panel + 40,
    )


def _files(s: Session) -> list[ft.Control]:
    """The whole catalogue as a file, both ways."""
    form = s.catalogue

    async def export(e: Any) -> None:
        made = await s.door.call("export_catalogue")
        await files.save("cabina-catalogue.csv", made["csv"].encode("utf-8-sig"))

    async def take(e: Any) -> None:
        chosen = await files.pick("csv")
        if chosen is None:
            return
        form.problem = form.saved = ""
        try:
            count = await model.import_csv(s.node, s.door, chosen[1], s.text)
        except BadRows as bad:
            lines = bad.args[0]
            more = [s.text("table.more", count=len(lines) - 3)] if len(lines) > 3 else []
            form.problem = "\n".join([*lines[:3], *more])
        except SyncError as error:
            form.problem = s.text.error(error)
        else:
            form.saved = s.text("product.shown", count=count)

    return [
        button(s, "", take, glyph=ft.Icons.UPLOAD_FILE_ROUNDED, key="csv-import", width=48),
        button(s, "CSV", export, glyph=ft.Icons.DOWNLOAD_ROUNDED, key="csv-export"),
    ]


@part
def Catalogue() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.catalogue)
    ft.use_state(s.discounts)
    ft.use_state(s.count)
    tabs = ["products"]
    if s.node.may("discount.edit"):
        tabs.append("discounts")
    if s.node.role == "server" and s.node.may("stock.count"):
        tabs.append("count")

    def choose(name: str) -> None:
        s.catalogue.tab = name

    tab = s.catalogue.tab if s.catalogue.tab in tabs else "products"
    top: list[ft.Control] = [
        segments(s, [(name, s.text(f"catalogue.{name}")) for name in tabs], tab, choose, "tab"),
        ft.Container(expand=True),
    ]
    body = {"products": _products, "discounts": discounts, "count": stock_count}[tab](s)
    if tab == "products" and s.node.role == "server":
        top += _files(s)
    parts: list[ft.Control] = [head(s, s.text("screen.catalogue"), *top)]
    form = s.catalogue
    if tab == "products" and not form.selected and (form.problem or form.saved):
        parts.append(note(s, form.problem or form.saved, bad=bool(form.problem)))
    stretch = ft.CrossAxisAlignment.STRETCH
    parts.append(ft.Row(body, spacing=16, expand=True, vertical_alignment=stretch))
    return page(s, *parts)


def _products(s: Session) -> list[ft.Control]:
    """The list of products, and the form of one."""
    rows, more = model.found(s.node, s.catalogue)

    def searched(e: Any) -> None:
        s.catalogue.query = e.control.value or ""

    def new(e: Any = None) -> None:
        s.catalogue.open(s.node, s.text, NEW)

    s.actions["back"] = s.catalogue.close
    left: ft.Control
    if rows:
        left = ft.ListView([_row(s, row) for row in rows], expand=True, item_extent=56)
    else:
        glyph, what = ft.Icons.SEARCH_OFF_ROUNDED, s.text("sell.none", query=s.catalogue.query)
        left = empty(s, glyph, what, s.text("sell.none_next"))
    count = s.text("product.more" if more else "product.shown", count=len(rows))
    body: list[ft.Control] = [
        ft.Column(
            [
                ft.Row(
                    [
                        field(
                            s,
                            key="search",
                            hint_text=s.text("sell.search"),
                            value=s.catalogue.query,
                            prefix_icon=ft.Icons.SEARCH_ROUNDED,
                            expand=True,
                            autofocus=True,
                            on_change=searched,
                        ),
                        button(
                            s,
                            s.text("product.new"),
                            new,
                            kind="tonal",
                            glyph=ft.Icons.ADD_ROUNDED,
                            key="product-new",
                        ),
                    ],
                    spacing=8,
                ),
                text(s, count, "caption", s.palette.text3),
                card(s, left, padding=0, expand=True, clip_behavior=ft.ClipBehavior.HARD_EDGE),
            ],
            spacing=8,
            expand=True,
        )
    ]
    if s.catalogue.selected:
        body.append(_form(s))
    return body
