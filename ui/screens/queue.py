"""The queue: what vendors have sent and waits for the operator, oldest first."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import Refused, SyncError
from ui.components.guard import part
from ui.components.parts import (
    STATE_ICONS,
    button,
    card,
    clipped,
    empty,
    field,
    icon,
    line_below,
    state_tint,
    text,
)
from ui.keymap import cap
from ui.viewmodels import orders as model
from ui.viewmodels.orders import QueueRow
from ui.viewmodels.session import Session, use_session

AMBER_MS, RED_MS = 120_000, 240_000
REASONS = ("stock", "price", "other")


async def _each(s: Session, kind: str, orders: list[str], **fields: Any) -> None:
    """Do one thing to several orders; one that has moved meanwhile does not stop the others."""
    s.queue.problem = ""
    for order in orders:
        try:
            await s.node.submit(kind, {"order": order, **fields})
        except Refused as refusal:
            if refusal.code != "bad-state":
                s.queue.problem = s.text.error(refusal)
        except SyncError as error:
            s.queue.problem = s.text.error(error)
            return
    s.queue.chosen = s.queue.chosen - set(orders)


def _row(s: Session, row: QueueRow) -> ft.Control:
    p = s.palette
    age_ms = s.node.clock.wall_ms() - row.since_ms
    pending = row.state == "pending"
    color = p.text2
    if pending and age_ms >= RED_MS:
        color = p.danger.text
    elif pending and age_ms >= AMBER_MS:
        color = p.pending.text
    content: list[ft.Control] = [clipped(s, row.summary)]
    if row.flags:
        words = ", ".join(s.text.flag(flag) for flag in row.flags)
        ink = p.aside.text if row.state == "set_aside" else p.pending.text
        content.append(clipped(s, words, "caption", ink))
    chosen = row.id in s.queue.chosen
    return ft.Container(
        ft.Row(
            [
                ft.Container(
                    ft.Checkbox(
                        value=chosen,
                        key=f"choose-{row.id}",
                        on_change=lambda e: s.queue.toggle(row.id),
                        active_color=p.accent,
                    )
                    if pending
                    else None,
                    width=40,
                ),
                text(s, s.text.age(age_ms), "h2", color, width=68),
                ft.Column(
                    [
                        clipped(s, row.vendor, "strong"),
                        clipped(s, f"{row.station} · {row.label}", "caption", p.text3),
                    ],
                    spacing=0,
                    width=190,
                    alignment=ft.MainAxisAlignment.CENTER,
                ),
                ft.Column(content, spacing=0, expand=True, alignment=ft.MainAxisAlignment.CENTER),
                text(s, s.text.money(row.total_minor), "h2"),
                *_actions(s, row),
            ],
            spacing=8,
        ),
        key=f"queue-{row.id}",
        height=68,
        bgcolor=p.selected if chosen else p.surface,
        padding=ft.Padding.symmetric(horizontal=12),
        border=line_below(p),
    )


def _actions(s: Session, row: QueueRow) -> list[ft.Control]:
    async def do(kind: str) -> None:
        await _each(s, kind, [row.id])

    async def allow(e: Any) -> None:
        await do("order.allow")

    async def collect(e: Any) -> None:
        await do("order.collect")

    async def accept(e: Any) -> None:
        await _each(s, "order.accept", [row.id], reason=s.text("queue.accepted_here"))

    def deny(e: Any) -> None:
        s.queue.denying = (row.id,)

    if row.state == "pending":
        return [
            button(s, s.text("queue.deny"), deny, kind="danger_text", key=f"deny-{row.id}"),
            button(
                s, s.text("queue.allow"), allow, kind="accent", key=f"allow-{row.id}", width=112
            ),
        ]
    if row.state == "allowed":
        return [
            button(s, s.text("queue.deny"), deny, kind="danger_text", key=f"deny-{row.id}"),
            button(
                s,
                s.text("queue.collect"),
                collect,
                kind="tonal",
                key=f"collect-{row.id}",
                width=112,
            ),
        ]
    return [
        button(s, s.text("queue.reject"), deny, kind="danger_text", key=f"reject-{row.id}"),
        button(s, s.text("queue.accept"), accept, key=f"accept-{row.id}", width=112),
    ]


def _section(s: Session, state: str, rows: list[QueueRow]) -> list[ft.Control]:
    if not rows:
        return []
    p = s.palette
    tint = state_tint(p, state)
    head = ft.Container(
        ft.Row(
            [
                icon(STATE_ICONS[state], 20, tint.text),
                text(
                    s, f"{s.text(f'queue.{state}')} · {len(rows)}", "strong", tint.text, expand=True
                ),
                text(s, s.text.money(sum(row.total_minor for row in rows)), "strong", p.text2),
            ],
            spacing=8,
        ),
        height=36,
        bgcolor=p.surface2,
        padding=ft.Padding.symmetric(horizontal=16),
        border=line_below(p),
    )
    return [head, *[_row(s, row) for row in rows[: model.SHOWN_AT_ONCE]]]


def _bulk(s: Session, chosen: list[QueueRow]) -> ft.Control:
    ids = [row.id for row in chosen]
    total = s.text.money(sum(row.total_minor for row in chosen))

    async def allow(e: Any = None) -> None:
        await _each(s, "order.allow", ids)

    async def collect(e: Any = None) -> None:
        await _each(s, "order.collect", ids)

    def deny(e: Any = None) -> None:
        s.queue.denying = tuple(ids)

    def clear(e: Any = None) -> None:
        s.queue.chosen = frozenset()

    s.actions.update(allow=allow, collect=collect, deny=deny, back=clear)
    count = len(ids)
    return ft.Container(
        ft.Row(
            [
                text(
                    s,
                    s.text("queue.chosen", count=count, total=total),
                    "strong",
                    "#FFFFFF",
                    expand=True,
                ),
                button(s, s.text("queue.unchoose"), clear, kind="rail", key_label=cap("back")),
                button(
                    s,
                    s.text("queue.deny_n", count=count),
                    deny,
                    kind="danger",
                    key="deny-all",
                    key_label=cap("deny"),
                ),
                button(
                    s,
                    s.text("queue.allow_n", count=count),
                    allow,
                    kind="filled",
                    key="allow-all",
                    key_label=cap("allow"),
                ),
                button(
                    s,
                    s.text("queue.collect_n", count=count),
                    collect,
                    kind="rail",
                    key="collect-all",
                    key_label=cap("collect"),
                ),
            ],
            spacing=12,
        ),
        height=64,
        bgcolor=s.palette.rail,
        border_radius=12,
        padding=ft.Padding.symmetric(horizontal=16),
    )


@part
def DenyDialog() -> ft.Control:
    """Asks for the reason; the vendor sees it at once."""
    s = use_session()
    ft.use_state(s.queue)
    picked, pick = ft.use_state("stock")
    words, set_words = ft.use_state("")
    p = s.palette
    orders = list(s.queue.denying)

    async def deny(e: Any = None) -> None:
        reason = words.strip() if picked == "other" else s.text(f"reason.{picked}")
        if not reason:
            return
        rows = s.node.tables.table("orders")
        aside = [o for o in orders if (rows.peek(o) or {}).get("state") == "set_aside"]
        await _each(s, "order.reject", aside, reason=reason)
        await _each(s, "order.deny", [o for o in orders if o not in aside], reason=reason)
        s.queue.denying = ()

    def keep(e: Any = None) -> None:
        s.queue.denying = ()

    s.actions["back"] = keep

    def choose(name: str) -> Any:
        return lambda e: pick(name)

    chips = [
        button(
            s,
            s.text(f"reason.{name}"),
            choose(name),
            kind="tonal" if picked == name else "outline",
            key=f"reason-{name}",
        )
        for name in REASONS
    ]
    label = s.text("queue.deny_title", count=len(orders))
    return ft.Container(
        card(
            s,
            ft.Column(
                [
                    text(s, label, "h1"),
                    text(s, s.text("queue.deny_why"), "body", p.text2),
                    ft.Row(chips, wrap=True, spacing=8),
                    *(
                        [
                            field(
                                s,
                                key="reason",
                                hint_text=s.text("reason.words"),
                                value=words,
                                max_length=500,
                                autofocus=True,
                                on_change=lambda e: set_words(e.control.value),
                                on_submit=deny,
                            )
                        ]
                        if picked == "other"
                        else []
                    ),
                    ft.Row(
                        [
                            button(s, s.text("queue.keep"), keep, key="keep", key_label="Esc"),
                            button(
                                s,
                                s.text("queue.deny"),
                                deny,
                                kind="danger_filled",
                                key="deny-now",
                                disabled=picked == "other" and not words.strip(),
                            ),
                        ],
                        alignment=ft.MainAxisAlignment.END,
                        spacing=8,
                    ),
                ],
                spacing=16,
                tight=True,
            ),
            width=420,
            padding=24,
        ),
        bgcolor="#80000000",
        alignment=ft.Alignment.CENTER,
        left=0,
        right=0,
        top=0,
        bottom=0,
    )


@part
def Queue() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.queue)
    p = s.palette
    found = model.queue(s.node, s.queue.query)
    pending = found["pending"]
    words = s.text("queue.count", count=len(pending))
    if pending:
        oldest = s.text.age(s.node.clock.wall_ms() - pending[0].since_ms)
        words += " · " + s.text("queue.oldest", age=oldest)

    def searched(e: Any) -> None:
        s.queue.query = e.control.value or ""

    head = ft.Row(
        [
            text(s, s.text("screen.queue"), "h1"),
            clipped(s, words, "body", p.text2, expand=True),
            field(
                s,
                key="queue-search",
                hint_text=s.text("queue.search"),
                value=s.queue.query,
                prefix_icon=ft.Icons.SEARCH_ROUNDED,
                width=260,
                on_change=searched,
            ),
        ],
        spacing=16,
    )
    rows = [
        control
        for state in ("pending", "allowed", "set_aside")
        for control in _section(s, state, found[state])
    ]
    body: ft.Control = (
        ft.ListView(rows, expand=True, spacing=0)
        if rows
        else empty(s, ft.Icons.INBOX_ROUNDED, s.text("queue.none"), s.text("queue.none_next"))
    )
    parts: list[ft.Control] = [head]
    if s.queue.problem:
        parts.append(text(s, s.queue.problem, "body", p.danger.text, key="problem"))
    parts.append(card(s, body, padding=0, expand=True, clip_behavior=ft.ClipBehavior.HARD_EDGE))
    chosen = [row for row in pending if row.id in s.queue.chosen]
    for name in ("allow", "collect", "deny", "back"):
        s.actions.pop(name, None)  # keys act on what is chosen, and on nothing else
    if chosen:
        parts.append(_bulk(s, chosen))
    page = ft.Container(
        ft.Column(parts, spacing=12, expand=True),
        padding=ft.Padding.only(left=16, right=16, top=12, bottom=16),
        left=0,
        right=0,
        top=0,
        bottom=0,
    )
    layers: list[ft.Control] = [page]
    if s.queue.denying:
        layers.append(DenyDialog())
    return ft.Stack(layers, expand=True)
