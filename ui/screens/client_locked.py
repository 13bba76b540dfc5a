"""The locked page of a customers' PC: its number, what it costs, and the way in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

from node.api import ClientNode, Refused, SyncError
from ui.components.guard import part
from ui.components.parts import button, field, icon, named, tappable, text
from ui.theme import SEMIBOLD
from ui.viewmodels import client as model
from ui.viewmodels.client import PIN_LENGTH
from ui.viewmodels.session import Session, use_session

LANGUAGES = (("es", "Español"), ("en", "English"))
LOW = 700
"""A window that is not so high has less air."""
WHITE, DIM, LINE = "#FFFFFF", "#A8BDBF", "#24494E"


def node_of(s: Session) -> ClientNode:
    assert isinstance(s.node, ClientNode)
    return s.node


def speak(s: Session, language: str) -> None:
    """Another language at this PC, until who is here has gone."""
    node_of(s).chosen_language = language
    s.speak(language)


async def ask(s: Session, kind: str, **body: Any) -> bool:
    """Ask the server for something; what it refuses stands below the fields."""
    form = s.client
    if form.busy:
        return False
    form.busy, form.problem, form.saved = True, "", ""
    try:
        await node_of(s).ask(kind, **body)
    except Refused as refusal:
        if refusal.code == "first-password":
            form.begin_first(form.user)
        else:
            form.problem = s.text.error(refusal)
    except SyncError as error:
        form.problem = s.text.error(error)
    else:
        return True
    finally:
        form.busy = False
    return False


def _headline(s: Session) -> str:
    node = node_of(s)
    phase = node.phase
    if phase == "held" and node.state.get("reason"):
        return s.text("client.held_for", reason=node.state["reason"])
    if phase == "free" and not node.online:
        return s.text("client.offline")
    if phase == "free" and node.state.get("blocked"):
        return s.text("client.blocked")
    return s.text(f"client.{phase}")


@part
def Now() -> ft.Control:
    s = use_session()
    ft.use_state(s.ticks)
    return text(s, s.text.time(node_of(s).now_ms), "figure_s", WHITE)


def _top(s: Session) -> ft.Control:
    node = node_of(s)
    logo = ft.Container(
        icon(ft.Icons.DOOR_FRONT_DOOR_ROUNDED, 26, "#0B6169"),
        width=40, height=40, border_radius=10, bgcolor=WHITE, alignment=ft.Alignment.CENTER,
    )  # fmt: skip

    def speaker(language: str) -> Callable[[Any], None]:
        return lambda e: speak(s, language)

    chosen = []
    for language, name in LANGUAGES:
        on = s.text.language == language
        face = ft.Container(
            text(s, name, "button", WHITE if on else DIM),
            bgcolor=LINE if on else None, border_radius=8, height=48,
            padding=ft.Padding.symmetric(horizontal=16), alignment=ft.Alignment.CENTER,
        )  # fmt: skip
        tap = tappable(face, speaker(language), key=f"speak-{language}")
        chosen.append(named(f"speak-{language}", name, tap, button=True))
    return ft.Row(
        [
            logo,
            text(s, model.cafe_name(node), "h1", WHITE, expand=True),
            *chosen,
            ft.Container(width=16),
            Now(),
        ],
        spacing=12,
    )


def _facts(s: Session) -> ft.Control:
    node = node_of(s)
    small = s.app.width < 1200
    number = ft.Text(
        str(node.state.get("number", "–")),
        style=ft.TextStyle(
            size=120 if small else 200, height=1.1, font_family=SEMIBOLD, color=WHITE
        ),
        key="pc-number",
    )
    rows: list[ft.Control] = [
        ft.Row([text(s, when, "body", DIM, expand=True), text(s, what, "strong", WHITE)])
        for when, what in model.bands(node, s.text)
    ]
    said = model.told(node)
    if said is not None:
        title = f"{s.text('client.desk_says')} · {s.text.time(said[1])}"
        rows += [ft.Divider(height=16, color=LINE), text(s, title, "caption", DIM),
                 text(s, said[0], "h2", WHITE, key="desk-says")]  # fmt: skip
    return ft.Column(
        [
            text(s, node.state.get("name") or s.text("client.computer"), "h1", DIM),
            number,
            text(s, _headline(s), "figure_s" if small else "figure", WHITE, key="headline"),
            ft.Divider(height=24, color=LINE),
            *rows,
        ],
        spacing=8,
        tight=True,
        width=400 if small else 480,
    )


def _field(s: Session, name: str, on_enter: Any, **more: Any) -> ft.Control:
    def changed(e: Any) -> None:
        setattr(s.client, name, e.control.value or "")

    return field(
        s, key=f"client-{name}", label=s.text(f"client.field.{name}"),
        value=getattr(s.client, name), on_change=changed, on_submit=on_enter, **more,
    )  # fmt: skip


def _is_low(s: Session) -> bool:
    return s.app.height < LOW


def _enter(s: Session, words: str, on_tap: Any) -> ft.Control:
    off = s.client.busy or not node_of(s).online or bool(node_of(s).state.get("blocked"))
    face = button(
        s, words, on_tap, kind="filled", glyph=ft.Icons.PLAY_ARROW_ROUNDED, key="client-enter",
        height=48 if _is_low(s) else 64, large=True, disabled=off,
    )  # fmt: skip
    return named("client-enter", words, face, button=True)


def _tabs(s: Session) -> ft.Control:
    p, form = s.palette, s.client
    faces: list[ft.Control] = []
    for name, glyph in (("user", ft.Icons.PERSON_ROUNDED), ("pin", ft.Icons.STYLE_ROUNDED)):
        on = form.tab == name
        ink = p.on_selected if on else p.text2
        label = s.text(f"client.tab.{name}")

        def turned(e: Any, name: str = name) -> None:
            form.turn(name)

        face = tappable(
            ft.Container(
                ft.Row([icon(glyph, 20, ink), text(s, label, "button", ink)], spacing=8,
                       alignment=ft.MainAxisAlignment.CENTER),
                height=48, bgcolor=p.selected if on else p.surface,
            ),
            turned, key=f"client-tab-{name}",
        )  # fmt: skip
        faces.append(ft.Container(named(f"client-tab-{name}", label, face, button=True), expand=1))
    return ft.Container(
        ft.Row(faces, spacing=0),
        border=ft.Border.all(1, p.border), border_radius=8,
        clip_behavior=ft.ClipBehavior.HARD_EDGE,
    )  # fmt: skip


def _cells(s: Session, on_enter: Any) -> ft.Control:
    """A PIN, one cell a character, with the field that takes the keys lying over them."""
    p, form = s.palette, s.client
    cells: list[ft.Control] = []
    for at in range(PIN_LENGTH):
        here = at == len(form.pin)
        cells.append(
            ft.Container(
                text(s, form.pin[at : at + 1], "figure"),
                height=72, expand=1, border_radius=8, alignment=ft.Alignment.CENTER,
                border=ft.Border.all(2 if here else 1, p.accent if here else p.outline),
            )
        )  # fmt: skip

    def changed(e: Any) -> None:
        form.pin = "".join((e.control.value or "").split()).upper()[:PIN_LENGTH]

    hidden = field(
        s, key="client-pin", value=form.pin, on_change=changed, on_submit=on_enter, height=72,
        filled=False, border=ft.NoInputBorder(), show_cursor=False, autofocus=True,
        max_length=PIN_LENGTH, counter="", autocorrect=False, enable_suggestions=False,
        text_style=ft.TextStyle(color=ft.Colors.TRANSPARENT, size=16),
    )  # fmt: skip
    over = named("client-pin", s.text("client.field.pin"), hidden)
    return ft.Stack([ft.Row(cells, spacing=12), over], height=72)


def _by_pin(s: Session) -> list[ft.Control]:
    form = s.client

    async def enter(e: Any = None) -> None:
        if len(form.pin) < PIN_LENGTH:
            form.problem = s.text("client.short_pin")
            return
        pin, form.pin = form.pin, ""
        await ask(s, "pin", pin=pin)

    return [
        text(s, s.text("client.field.pin"), "label", s.palette.text2),
        _cells(s, enter),
        text(s, s.text("client.pin_hint"), "caption", s.palette.text3),
        _enter(s, s.text("client.enter"), enter),
        _hint(s, s.text("client.pin_rest")),
    ]


def _hint(s: Session, words: str) -> ft.Control:
    p = s.palette
    return ft.Container(
        ft.Row([icon(ft.Icons.INFO_ROUNDED, 20, p.text2),
                text(s, words, "body", p.text2, expand=True)], spacing=8),
        bgcolor=p.surface2, border_radius=8, padding=12,
    )  # fmt: skip


def _by_user(s: Session) -> list[ft.Control]:
    form = s.client

    async def enter(e: Any = None) -> None:
        if not form.user.strip():
            return
        user, password = form.user.strip(), form.password
        form.password = ""
        await ask(s, "sign-in", user=user, password=password)

    return [
        _field(s, "user", enter, autofocus=True),
        _field(s, "password", enter, password=True),
        _enter(s, s.text("client.enter"), enter),
        _hint(s, s.text("client.first_hint")),
    ]


def _first(s: Session, let: bool) -> list[ft.Control]:
    """A first password: twice, and the code of the ticket where the desk has not let them."""
    form = s.client

    async def make(e: Any = None) -> None:
        if form.password != form.again:
            form.problem = s.text("client.differ")
            return
        body = {"user": form.user, "password": form.password, "code": form.code.strip()}
        if await ask(s, "first", **body):
            form.forget()
        form.password = form.again = ""

    def back(e: Any) -> None:
        form.declined = form.user if let else ""
        form.turn("user")
        form.user = ""

    return [
        text(s, s.text("client.first_title", user=form.user), "h1", key="first-title"),
        *([] if form.problem else [text(s, s.text("client.first_rule"), "body", s.palette.text2)]),
        _field(s, "password", make, password=True, autofocus=True),
        _field(s, "again", make, password=True),
        *([] if let else [_field(s, "code", make)]),
        _enter(s, s.text("client.make"), make),
        button(s, s.text("client.not_me" if let else "sell.cancel"), back, key="client-back"),
    ]


def _card(s: Session) -> ft.Control | None:
    """The way in, where there is one now."""
    node, form = node_of(s), s.client
    if node.phase != "free":
        return None
    expected = node.state.get("expects", "")
    expected = "" if expected == form.declined else expected
    if expected and (form.step, form.user) != ("first", expected):
        form.begin_first(expected)
    first = form.step == "first"
    body = _first(s, bool(expected)) if first else _by_pin(s) if form.tab == "pin" else _by_user(s)
    wait_s = int(node.state.get("wait_s", 0))
    told = []
    if wait_s:
        words = s.text("client.wait", seconds=wait_s)
        told.append(text(s, words, "body", s.palette.pending.text, key="problem"))
    elif form.problem:
        told.append(text(s, form.problem, "body", s.palette.danger.text, key="problem"))
    parts = [*([] if first else [_tabs(s)]), *told, *body]
    low = _is_low(s)
    return ft.Container(
        ft.Column(parts, spacing=8 if low else 16, tight=True,
                  horizontal_alignment=ft.CrossAxisAlignment.STRETCH),
        width=400 if s.app.width < 1200 else 440, bgcolor=s.palette.surface, border_radius=16,
        padding=16 if low else 32,
    )  # fmt: skip


def _foot(s: Session) -> ft.Control:
    node = node_of(s)
    glyph = ft.Icons.CLOUD_DONE_ROUNDED if node.online else ft.Icons.CLOUD_OFF_ROUNDED
    words = s.text("client.connected" if node.online else "client.no_network")
    parts: list[ft.Control] = [
        icon(glyph, 20, "#74D394" if node.online else "#F6BC55"),
        text(s, words, "body", DIM, expand=True, key="link"),
    ]
    if node.vendor is not None:
        parts.append(
            named("vendor", s.text("client.vendor"),
                  button(s, s.text("client.vendor"), lambda e: s.actions["vendor"](), kind="rail",
                         glyph=ft.Icons.POINT_OF_SALE_ROUNDED, key="vendor"), button=True)
        )  # fmt: skip

    async def call(e: Any) -> None:
        await ask(s, "call")

    called = bool(node.state.get("called"))
    label = s.text("client.called" if called else "client.call")
    parts.append(
        named("call", label,
              button(s, label, call, kind="rail", glyph=ft.Icons.SUPPORT_AGENT_ROUNDED, key="call",
                     disabled=called or not node.online), button=True)
    )  # fmt: skip
    return ft.Row(parts, spacing=12)


@part
def ClientLocked() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.client)
    card = _card(s)
    middle: list[ft.Control] = [_facts(s), *([card] if card is not None else [])]
    return ft.Container(
        ft.Column(
            [
                _top(s),
                ft.Container(
                    ft.Row(middle, alignment=ft.MainAxisAlignment.SPACE_EVENLY, spacing=24,
                           vertical_alignment=ft.CrossAxisAlignment.CENTER),
                    expand=True,
                ),
                _foot(s),
            ],
            spacing=8,
            expand=True,
        ),
        bgcolor="#10262A",
        expand=True,
        padding=ft.Padding.symmetric(horizontal=40, vertical=16),
    )  # fmt: skip
