"""My orders: what this station has sent or keeps, and what became of each."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import orders, receipts
from ui.components.guard import part
from ui.components.parts import (
    STATE_ICONS,
    badge,
    button,
    card,
    clipped,
    empty,
    icon,
    line_below,
    state_tint,
    text,
)
from ui.viewmodels import orders as model
from ui.viewmodels.cash import is_blind
from ui.viewmodels.session import Session, use_session


def _where(s: Session, row: dict[str, Any]) -> str:
    """Place in the queue, ticket, or reason."""
    if row["shown"] == "unsent":
        return "–"
    if row["state"] == "pending":
        place = orders.queue_place(s.node.tables, row["id"])
        return s.text("orders.place", place=place) if place else "–"
    if row["state"] == "allowed":
        return s.text("orders.at_box")
    if row["state"] == "collected":
        return s.text("orders.ticket", number=row["ticket"]) if row["ticket"] else "–"
    if row["state"] == "set_aside":
        return ", ".join(s.text.flag(flag) for flag in row["flags"])
    return str(row["reason"])


def _row(s: Session, row: dict[str, Any]) -> ft.Control:
    p = s.palette
    chosen = s.orders.selected == row["id"]

    def choose(e: Any) -> None:
        s.orders.selected = row["id"]

    return ft.Container(
        ft.Row(
            [
                text(s, s.text.time(row["taken_ms"]), "body", p.text2, width=64),
                text(s, row["label"], "strong", width=92),
                clipped(s, model.summary(row), expand=True),
                text(
                    s,
                    s.text.money(row["total_minor"]),
                    "strong",
                    width=110,
                    text_align=ft.TextAlign.RIGHT,
                ),
                ft.Row([badge(s, row["shown"])], width=124),
                clipped(s, _where(s, row), "body", p.text2, width=150),
            ],
            spacing=12,
        ),
        key=f"order-{row['id']}",
        height=52,
        bgcolor=p.selected if chosen else p.surface,
        padding=ft.Padding.symmetric(horizontal=12),
        border=line_below(p),
        ink=True,
        on_click=choose,
    )


def _table(s: Session, rows: list[dict[str, Any]]) -> ft.Control:
    p = s.palette
    titles = [
        ("time", 64, None),
        ("order", 92, None),
        ("content", None, None),
        ("total", 110, ft.TextAlign.RIGHT),
        ("state", 124, None),
        ("where", 150, None),
    ]
    head = ft.Container(
        ft.Row(
            [
                text(
                    s,
                    s.text(f"orders.{name}"),
                    "label",
                    p.text3,
                    width=width,
                    expand=width is None,
                    text_align=align,
                )
                for name, width, align in titles
            ],
            spacing=12,
        ),
        height=40,
        bgcolor=p.surface2,
        padding=ft.Padding.symmetric(horizontal=12),
        border=line_below(p),
    )
    body: ft.Control = (
        ft.ListView(
            [_row(s, row) for row in rows[: model.SHOWN_AT_ONCE]], item_extent=52, expand=True
        )
        if rows
        else empty(
            s, ft.Icons.RECEIPT_LONG_ROUNDED, s.text("orders.none"), s.text("orders.none_next")
        )
    )
    return card(
        s,
        ft.Column([head, body], spacing=0, expand=True),
        padding=0,
        expand=True,
        clip_behavior=ft.ClipBehavior.HARD_EDGE,
    )


def _detail(s: Session, row: dict[str, Any]) -> ft.Control:
    p = s.palette
    steps: list[ft.Control] = [
        _step(s, "collected", s.text("orders.kept"), s.text.time(row["taken_ms"], seconds=True))
    ]
    if row["shown"] != "unsent":
        for state, at_ms, who in row["history"]:
            name = receipts.name_of(s.node.tables, who)
            steps.append(
                _step(
                    s,
                    state,
                    s.text(f"state.{state}"),
                    f"{s.text.time(at_ms, seconds=True)} · {name}",
                )
            )
    reason: list[ft.Control] = []
    if row["reason"] or row["state"] == "set_aside":
        tint = state_tint(p, row["state"])
        reason.append(
            ft.Container(
                text(s, _where(s, row), "strong", tint.text),
                bgcolor=tint.ground,
                border_radius=8,
                padding=12,
            )
        )

    def again(e: Any) -> None:
        for line in row["lines"]:
            if s.node.tables.table("products").peek(line["sku"]) is not None:
                have = s.sell.quantity_of(line["sku"])
                s.sell.set_quantity(line["sku"], have + line["quantity"])
        s.go("sell")

    lines = [
        ft.Container(
            ft.Row(
                [
                    ft.Container(
                        text(s, str(line["quantity"]), "button"),
                        width=40,
                        height=32,
                        border_radius=8,
                        bgcolor=p.surface3,
                        alignment=ft.Alignment.CENTER,
                    ),
                    clipped(s, line["name"], expand=True),
                    text(s, s.text.money(line["amount_minor"]), "strong"),
                ],
                spacing=12,
            ),
            height=56,
            border=line_below(p),
        )
        for line in row["lines"]
    ]
    return ft.Column(
        [
            ft.Row([text(s, row["label"], "h1", expand=True), badge(s, row["shown"])]),
            *reason,
            ft.ListView(
                [
                    *lines,
                    ft.Container(
                        text(s, s.text("orders.way"), "label", p.text3),
                        padding=ft.Padding.only(top=16, bottom=8),
                    ),
                    *steps,
                ],
                expand=True,
                spacing=0,
            ),
            button(
                s,
                s.text("orders.again"),
                again,
                glyph=ft.Icons.CONTENT_COPY_ROUNDED,
                key="again",
            ),
        ],
        spacing=12,
        expand=True,
        horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
    )


def _step(s: Session, state: str, what: str, when: str) -> ft.Control:
    tint = state_tint(s.palette, state)
    return ft.Container(
        ft.Row(
            [
                icon(STATE_ICONS[state], 20, tint.text),
                ft.Column(
                    [text(s, what, "strong"), text(s, when, "caption", s.palette.text3)],
                    spacing=0,
                ),
            ],
            spacing=12,
        ),
        padding=ft.Padding.symmetric(vertical=6),
    )


@part
def MyOrders() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.orders)
    p = s.palette
    everything = model.my_orders(s.node)
    rows = [row for row in everything if s.orders.filter in ("", row["shown"])]
    collected = sum(row["total_minor"] for row in everything if row["state"] == "collected")
    coming = sum(row["total_minor"] for row in everything if row["state"] in ("pending", "allowed"))

    def choose(name: str) -> Any:
        def chosen(e: Any) -> None:
            s.orders.filter = name

        return chosen

    chips = []
    for name in ("", *model.STATES):
        count = sum(name in ("", row["shown"]) for row in everything)
        on = s.orders.filter == name
        label = s.text("orders.all" if not name else f"states.{name}")
        chips.append(
            ft.Container(
                ft.Row(
                    [
                        text(
                            s, label, "button" if on else "body", p.on_selected if on else p.text2
                        ),
                        text(s, str(count), "strong", p.on_selected if on else p.text2),
                    ],
                    spacing=8,
                    tight=True,
                ),
                key=f"filter-{name}",
                height=48,
                padding=ft.Padding.symmetric(horizontal=12),
                border_radius=8,
                bgcolor=p.selected if on else p.surface,
                border=ft.Border.all(1, p.accent if on else p.border),
                ink=True,
                on_click=choose(name),
            )
        )
    head = ft.Row(
        [
            text(s, s.text("orders.title"), "h1", expand=True),
            *(
                []
                if is_blind(s.node)
                else [
                    text(s, s.text("orders.collected"), "body", p.text2),
                    text(s, s.text.money(collected), "h1", key="collected-total"),
                    ft.Container(width=8),
                ]
            ),
            text(s, s.text("orders.coming"), "body", p.text2),
            text(s, s.text.money(coming), "h1"),
        ],
        spacing=8,
    )
    picked = next((row for row in everything if row["id"] == s.orders.selected), None)
    side = (
        _detail(s, picked)
        if picked
        else empty(s, ft.Icons.TOUCH_APP_ROUNDED, s.text("orders.pick"), s.text("orders.pick_next"))
    )
    return ft.Row(
        [
            ft.Container(
                ft.Column(
                    [head, ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN), _table(s, rows)],  # type: ignore[arg-type]
                    spacing=12,
                    expand=True,
                ),
                expand=True,
                padding=ft.Padding.only(left=16, right=16, top=12, bottom=16),
            ),
            ft.Container(
                side,
                width=s.measures.side,
                bgcolor=p.surface,
                padding=16,
                border=ft.Border.only(left=ft.BorderSide(1, p.border)),
            ),
        ],
        spacing=0,
        expand=True,
        vertical_alignment=ft.CrossAxisAlignment.STRETCH,
    )
