"""The frame of every screen: rail, strip, the screen itself; and the keys."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import flet as ft
from tinydb import where

from node.api import Node, people, settings
from ui import activity, alive, sound
from ui.baskets import Keeper
from ui.bridge import Bridge
from ui.components.guard import part
from ui.components.parts import icon, named, run, text
from ui.components.strip import Strip
from ui.format import font_file
from ui.keymap import action_for, cap
from ui.roles import Screen
from ui.screens.audit import Audit
from ui.screens.box_close import BoxClose
from ui.screens.cash import Cash
from ui.screens.catalogue import Catalogue
from ui.screens.customers import Customers, add_credit
from ui.screens.exceptions import Exceptions
from ui.screens.floor import Floor
from ui.screens.me import Me
from ui.screens.more import More
from ui.screens.my_orders import MyOrders
from ui.screens.pcs import Pcs
from ui.screens.pins import Pins
from ui.screens.prints import Prints
from ui.screens.queue import Queue
from ui.screens.reports import Reports
from ui.screens.sales import Sales
from ui.screens.sell import Sell
from ui.screens.settings import Settings
from ui.screens.sign_in import SignIn
from ui.screens.stations import Stations
from ui.theme import DARK, FONT_FILES, LIGHT, theme_of
from ui.viewmodels.floor import calls
from ui.viewmodels.orders import unsent_ids
from ui.viewmodels.session import Session, use_session

CLOCK_S = 5.0
# The keypad's keys, also of a number block.
BOX_KEYS = {
    **{f"{prefix}{digit}": str(digit) for prefix in ("", "Numpad ") for digit in range(10)},
    "Backspace": "<",
}
BODIES = {
    "sign_in": SignIn,
    "floor": Floor,
    "pcs": Pcs,
    "sell": Sell,
    "orders": MyOrders,
    "queue": Queue,
    "cash": Cash,
    "catalogue": Catalogue,
    "customers": Customers,
    "pins": Pins,
    "exceptions": Exceptions,
    "box": BoxClose,
    "sales": Sales,
    "reports": Reports,
    "prints": Prints,
    "stations": Stations,
    "audit": Audit,
    "settings": Settings,
    "me": Me,
    "more": More,
}


def _action(screen: str) -> str:
    """The action that goes to a screen; the queue is where the server has its orders."""
    return f"go_{'orders' if screen == 'queue' else screen}"


def _wanted(node: Node, action: str) -> str:
    """The screen that a key goes to."""
    if action == "go_orders":
        return "queue" if node.role == "server" else "orders"
    return action.removeprefix("go_")


def _waiting(s: Session, screen: str) -> int:
    """The number on a rail entry."""
    if screen == "orders":
        return len(unsent_ids(s.node))
    if screen == "floor":
        return calls(s.node)
    if screen == "queue":
        return s.node.tables.table("orders").count(where("state") == "pending")
    if screen == "prints":
        return s.node.tables.table("prints").count(where("state") == "unknown")
    if screen == "more":
        return sum(_waiting(s, known.name) for known in s.rail()[1])
    if screen == "exceptions":
        return s.node.tables.table("exceptions").count(where("state") == "open")
    if screen == "customers":
        return len(people.doubtful(s.node))
    return 0


def _rail_entry(s: Session, screen: Screen) -> ft.Control:
    p = s.palette
    behind = {known.name for known in s.rail()[1]} if screen.name == "more" else set()
    on = s.app.screen == screen.name or s.app.screen in behind
    ink = "#FFFFFF" if on else p.rail_idle
    wide = s.measures.rail >= 80
    title = s.text(f"screen.{screen.name}")
    inside: list[ft.Control] = [icon(screen.icon, 24, ink)]
    if wide:
        inside.append(text(s, title, "micro", ink))
    entry: ft.Control = ft.Container(
        ft.Column(
            inside,
            spacing=4,
            alignment=ft.MainAxisAlignment.CENTER,
            horizontal_alignment=ft.CrossAxisAlignment.CENTER,
        ),
        key=f"rail-{screen.name}",
        width=s.measures.rail - 8,
        height=56,
        border_radius=12,
        bgcolor=p.rail_on if on else None,
        ink=True,
        on_click=lambda e: s.go(screen.name),
        tooltip=None if wide else f"{title} {cap(_action(screen.name))}",
    )
    count = _waiting(s, screen.name)
    if count:
        bubble = ft.Container(
            text(s, str(count), "micro", "#3A2600"),
            bgcolor="#F6BC55",
            border_radius=8,
            padding=ft.Padding.symmetric(horizontal=5, vertical=1),
            right=6 if wide else 0,
            top=4,
        )
        entry = ft.Stack([entry, bubble])
    return ft.Semantics(content=entry, identifier=f"rail-{screen.name}", label=title, button=True)


@part
def Rail() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    p = s.palette
    row = s.node.operator_row
    entries, _ = s.rail()
    initials = "".join(part[0] for part in row["name"].split()[:2]).upper() if row else ""
    logo = ft.Container(
        icon(ft.Icons.DOOR_FRONT_DOOR_ROUNDED, 26, p.logo.text),
        width=40,
        height=40,
        border_radius=10,
        bgcolor=p.logo.ground,
        alignment=ft.Alignment.CENTER,
        margin=ft.Margin.only(bottom=8),
    )
    person = ft.Container(
        text(s, initials, "label", "#FFFFFF"),
        key="me",
        width=40,
        height=40,
        border_radius=20,
        bgcolor=p.rail_on,
        alignment=ft.Alignment.CENTER,
        ink=True,
        on_click=lambda e: s.go("me"),
    )
    theme = ft.Semantics(
        identifier="theme",
        content=ft.IconButton(
            ft.Icons.LIGHT_MODE_ROUNDED if s.app.dark else ft.Icons.DARK_MODE_ROUNDED,
            key="theme",
            icon_color=p.rail_idle,
            tooltip=s.text("theme"),
            on_click=lambda e: _toggle_theme(s),
        ),
    )
    return ft.Container(
        ft.Column(
            [
                logo,
                *[_rail_entry(s, screen) for screen in entries],
                ft.Container(expand=True),
                theme,
                named("me", s.text("screen.me"), person, button=True),
            ],
            spacing=0,
            horizontal_alignment=ft.CrossAxisAlignment.CENTER,
        ),
        width=s.measures.rail,
        bgcolor=p.rail,
        padding=ft.Padding.only(top=8, bottom=8),
    )


def _toggle_theme(s: Session) -> None:
    s.app.dark = not s.app.dark
    ft.context.page.theme_mode = ft.ThemeMode.DARK if s.app.dark else ft.ThemeMode.LIGHT


@ft.component
def Shell() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    body = BODIES[s.app.screen]()
    if s.app.screen == "sign_in":
        return ft.Container(
            ft.Column([Strip(), body], spacing=0, expand=True),
            expand=True,
            bgcolor=s.palette.ground,
        )
    return ft.Container(
        ft.Row(
            [
                Rail(),
                ft.Column([Strip(), body], spacing=0, expand=True),
            ],
            spacing=0,
            expand=True,
            vertical_alignment=ft.CrossAxisAlignment.STRETCH,
        ),
        expand=True,
        bgcolor=s.palette.ground,
    )


def dress(page: ft.Page) -> None:
    """Fonts, themes and margins of a page of ours."""
    page.fonts = {name: f"fonts/{font_file(name).name}" for name in FONT_FILES}
    page.theme, page.dark_theme = theme_of(LIGHT), theme_of(DARK)
    page.theme_mode = ft.ThemeMode.LIGHT
    page.padding = 0
    page.spacing = 0


_touched: WeakKeyDictionary[Node, float] = WeakKeyDictionary()
"""When somebody last did something at a screen of a node, on the monotonic clock."""


def touched(node: Node) -> None:
    """Somebody is there."""
    _touched[node] = time.monotonic()


def _newest_order(node: Node) -> int:
    """Place in the log of the order that came last and waits."""
    waiting = node.tables.table("orders").search(where("state") == "pending")
    return max((int(row["seq"]) for row in waiting), default=0)


def open_page(
    page: ft.Page, node: Node, *, dark: bool = False, leave: Callable[[], Any] | None = None
) -> Session:
    """Draw a node's screen on a page; the session lives until the page closes, or where ``leave``
    goes back to something else until its person signs out or turns back."""
    dress(page)
    page.title = "Cabina"
    s = Session(node)
    s.app.dark = dark
    page.theme_mode = ft.ThemeMode.DARK if dark else ft.ThemeMode.LIGHT
    if page.width:
        s.app.width, s.app.height = page.width, page.height or 768
    s.go("sell")
    chime = sound.make(page) if node.role == "server" else None
    heard = _newest_order(node)
    was_in = node.operator is not None

    def refresh(names: frozenset[str]) -> None:
        nonlocal heard, was_in
        s.refresh(names)
        newest = _newest_order(node) if chime and "orders" in names else heard
        if newest > heard:
            heard = newest
            if settings.cafe(node.tables).get("sound") and page.session.connection is not None:
                page.run_task(sound.play, chime)

        if was_in and node.operator is None and s.turn_back is not None:
            s.turn_back()
        was_in = node.operator is not None

    bridge = Bridge(node, refresh)
    keeper: Keeper | None = None
    if leave is None:  # at a customers' PC whoever was here before leaves nothing to the next
        keeper = Keeper(node, s.sell, lambda: page.session.connection is not None)
        s.keep_baskets = keeper.keep
    idle_s = s.idle_lock_s()
    if node.operator is not None and 0 < idle_s <= time.monotonic() - _touched.get(node, math.inf):
        s.lock()
    touched(node)

    def acted(name: str) -> None:
        touched(node)
        if name in ("tap", "click"):  # whoever touches something has left the field
            s.typing.end()

    activity.watch(page, acted)

    def beat() -> None:
        idle_s = s.idle_lock_s()
        if node.operator is not None and 0 < idle_s <= time.monotonic() - _touched[node]:
            s.lock()
        s.forget_left()
        s.feed.version += 1

    def resized(e: Any) -> None:
        s.app.width, s.app.height = e.width, e.height

    async def pressed(e: ft.KeyboardEvent) -> None:
        action = action_for(e.key, ctrl=e.ctrl, alt=e.alt, screen=s.app.screen)
        if action.startswith("go_"):
            s.go(_wanted(node, action))
        elif action.startswith("rail_"):
            at = int(action.removeprefix("rail_")) - 1
            if at < len(s.screens()):
                s.go(s.screens()[at].name)
        elif action == "lock":
            s.lock()
        elif action == "enable_pc" and s.node.operator is not None:
            s.enable_pc()
        elif action == "add_credit" and s.node.operator is not None:
            add_credit(s, s.customers.selected if s.app.screen == "customers" else "")
        elif e.key == "Enter" and (scan := s.typing.loose()) and s.app.screen == "sell":
            s.sell.query = scan
            await run(s.actions["scan"])
        elif e.key == "Enter" and s.typing.takes_enter():
            pass  # a field has it
        elif not action and s.app.screen == "sell" and not (e.ctrl or e.alt or e.meta):
            s.typing.key(e.key)
        elif not action and s.app.screen == "box":
            if e.key in BOX_KEYS:
                s.box.press(BOX_KEYS[e.key])
        elif action in s.actions:
            await run(s.actions[action])

    def closed(e: Any = None) -> None:
        bridge.close()
        stop_clock()
        if leave is not None:
            node.sign_out()  # others come to this computer
        if keeper is not None:
            keeper.end()

    def left() -> None:
        s.turn_back = None
        closed()
        assert leave is not None
        leave()

    s.turn_back = left if leave is not None else None
    page.on_resize, page.on_keyboard_event, page.on_close = resized, pressed, closed
    stop_clock = alive.draw(page, s, Shell, CLOCK_S, beat, s.keep_baskets)
    return s
