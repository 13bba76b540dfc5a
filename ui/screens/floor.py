"""The floor: every PC at a glance, and all that an operator does with one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

from node.api import ServerNode, pcs, reservations, sessions, settings, settling
from ui.components.guard import part
from ui.components.office import attempt, head, note, page, pill, segments, typed
from ui.components.parts import (
    card,
    clipped,
    empty,
    icon,
    memo,
    named,
    named_button,
    tappable,
    text,
)
from ui.format import whole
from ui.keymap import cap
from ui.screens.customers import add_credit
from ui.viewmodels import floor as model
from ui.viewmodels.audit import today
from ui.viewmodels.floor import Card, span
from ui.viewmodels.forms import BadField
from ui.viewmodels.sell import methods
from ui.viewmodels.session import Session, use_session

FORM_ICONS = {
    "free": ft.Icons.TIMER_ROUNDED,
    "prepaid": ft.Icons.PAYMENTS_ROUNDED,
    "customer": ft.Icons.PERSON_ROUNDED,
    "pin": ft.Icons.STYLE_ROUNDED,
    "pass": ft.Icons.CARD_GIFTCARD_ROUNDED,
}
COLUMNS = ((1280, 4), (1700, 6), (2300, 8))
MOST_COLUMNS = 10


async def _do(s: Session, work: Callable[[], Awaitable[Any]], done: str) -> bool:
    """Do something; what it means for the till stands behind what was ``done``."""
    answers: list[Any] = []

    async def works() -> None:
        answers.append(await work())

    ended = await attempt(s, s.floor, "floor", works, done)
    if ended:
        s.floor.leave()
        s.floor.saved = " ".join(filter(None, (done, _to_hand_over(s, answers[0]))))
    return ended


def _to_hand_over(s: Session, receipt: Any) -> str:
    """What the operator has to give out of the till; empty for nothing."""
    back, change = model.handed_over(receipt)
    names = dict(methods(s.node))
    told = []
    for method, amount in back.items():
        name = names.get(method, method)
        key = "floor.give_back" if method == "cash" else "floor.give_back_by"
        told.append(s.text(key, amount=s.text.money(amount), method=name))
    told += [s.text("floor.give_change", amount=s.text.money(change))] if change else []
    return " ".join(told)


def _act(s: Session, kind: str, done: str, **fields: Any) -> Callable[..., Awaitable[None]]:
    """A touch that does one thing."""

    async def acted(e: Any = None) -> None:
        await _do(s, lambda: s.node.submit(kind, fields), done)

    return acted


# --- the cards -------------------------------------------------------------------


def _form(one: Card) -> str:
    """What a session is called: who uses a free pass has one."""
    return "pass" if one.source == "passes" else one.form


def _words(s: Session, one: Card) -> tuple[str, str]:
    """(who, what stands small beside the time)."""
    who = one.who or s.text(f"floor.form.{_form(one)}")
    if one.locked:
        return who, s.text("floor.locked")
    if one.form == "customer" and one.source == "passes":
        who = f"{who} · {s.text('floor.form.pass')}"
    if one.left_s == 0:
        return who, s.text("floor.over")
    if not one.online:
        return who, s.text("floor.no_network")
    if one.state == "paused":
        return who, s.text("floor.paused")
    return who, s.text("floor.spent" if one.left_s is None else "floor.left")


def _free_words(s: Session, one: Card) -> tuple[str, ft.IconData, str]:
    """(what a PC that nobody uses says, its icon, its ink)."""
    p = s.palette
    if one.due_minor:
        return (
            s.text("floor.to_pay", amount=s.text.money(one.due_minor)),
            (ft.Icons.PAYMENTS_ROUNDED),
            p.danger.text,
        )
    if one.back_minor:
        words = s.text("floor.to_give", amount=s.text.money(one.back_minor))
        return words, ft.Icons.PAYMENTS_ROUNDED, p.pending.text
    if one.state == "locked":
        return s.text("floor.locked"), ft.Icons.LOCK_ROUNDED, p.text3
    if not one.online:
        return s.text("floor.off"), ft.Icons.POWER_OFF_ROUNDED, p.text3
    if one.expects:
        words = s.text("floor.expects", user=one.expects)
        return words, ft.Icons.HOURGLASS_TOP_ROUNDED, p.allowed.text
    if one.blocked:
        return s.text("floor.blocked"), ft.Icons.GPP_MAYBE_ROUNDED, p.danger.text
    return s.text("floor.free"), ft.Icons.CHECK_CIRCLE_OUTLINE_ROUNDED, p.collected.text


def _bar(color: str, ground: str, share: float) -> ft.Control:
    """How much of the time is left. A `ProgressBar` would make the whole card one for screen
    readers."""
    left = round(max(0.0, min(1.0, share)) * 100)
    parts: list[ft.Control] = []
    if left:
        parts.append(ft.Container(height=4, bgcolor=color, border_radius=2, expand=left))
    if left < 100:
        parts.append(ft.Container(height=4, bgcolor=ground, border_radius=2, expand=100 - left))
    return ft.Row(parts, spacing=0)


def _reserved(s: Session, one: Card) -> ft.Control:
    """For whom a PC is kept, and from when."""
    tables, at = s.node.tables, s.text.time(one.reserved_ms)
    day = settings.date_at(tables, one.reserved_ms)
    if day != settings.date_at(tables, s.node.clock.wall_ms()):
        at = f"{s.text.day(day)} {at}"
    told = s.text("floor.reserved", name=one.reserved, time=at)
    return clipped(s, told, "caption", s.palette.pending.text)


def _inside(s: Session, one: Card, ink: str) -> list[ft.Control]:
    p = s.palette
    if not one.in_use:
        words, glyph, color = _free_words(s, one)
        return [
            *([_reserved(s, one)] if one.reserved else []),
            ft.Container(expand=True),
            ft.Row([icon(glyph, 20, color), clipped(s, words, "label", color, expand=True)],
                   spacing=4),
        ]  # fmt: skip
    who, small = _words(s, one)
    shown = one.ran_s if one.left_s is None else one.left_s
    money = one.price_minor + one.sales_minor
    parts: list[ft.Control] = [
        clipped(s, who, "caption", p.text2),
        ft.Container(expand=True),
        ft.Row(
            [text(s, span(shown), "figure_s", ink), clipped(s, small, "caption", p.text2)],
            spacing=4,
            vertical_alignment=ft.CrossAxisAlignment.END,
        ),
    ]
    if one.due_minor:
        words = s.text("floor.to_pay", amount=s.text.money(one.due_minor))
        parts.append(clipped(s, words, "label", p.danger.text))
    elif one.left_s is not None and one.limit_s:
        share = one.left_s / one.limit_s
        color = ink if one.alert else p.accent
        parts.append(_bar(color, p.surface3, share))
    else:
        parts.append(text(s, s.text.money(money), "label", p.text2))
    return parts


@part
def _DrawnTile(one: Card, on: bool, dark: bool, language: str, wide: bool) -> ft.Control:
    """One PC; drawn again only when something of it has changed."""
    s = use_session()
    p = s.palette
    tint = {"red": p.danger, "amber": p.pending, "": None}[one.alert]
    ink = tint.text if tint else p.text
    ground = tint.ground if tint else p.surface if one.in_use else p.ground
    corner: list[ft.Control] = []
    if one.called:
        corner.append(icon(ft.Icons.FRONT_HAND_ROUNDED, 20, p.pending.text))
    if one.in_use:
        glyph = ft.Icons.CLOUD_OFF_ROUNDED if not one.online else FORM_ICONS[_form(one)]
        if one.state == "paused":
            glyph = ft.Icons.PAUSE_CIRCLE_ROUNDED
        if one.locked:
            glyph = ft.Icons.LOCK_ROUNDED
        corner.append(icon(glyph, 20, ink if tint else p.text3))
    top = ft.Row(
        [text(s, str(one.number), "h1", ink, expand=True), *corner],
        spacing=4,
    )
    line = p.accent if on else tint.text if tint else p.border
    face = ft.Container(
        ft.Column([top, *_inside(s, one, ink)], spacing=2),
        bgcolor=ground,
        border=ft.Border.all(2 if on else 1, line),
        border_radius=12,
        padding=12 if wide else 8,
    )

    def chosen(e: Any) -> None:
        s.floor.choose(one.pc)

    who = one.who or s.text(f"floor.form.{_form(one)}") if one.in_use else _free_words(s, one)[0]
    label = f"PC {one.number} {who}"
    return named(f"pc-{one.number}", label, tappable(face, chosen, key=f"pc-{one.number}"),
                 button=True)  # fmt: skip


Tile: Any = memo(_DrawnTile)


# --- the side ----------------------------------------------------------------------


def _side(s: Session, known: list[Card]) -> ft.Control:
    p, form = s.palette, s.floor
    one = next((c for c in known if c.pc == form.selected), None)
    body: list[ft.Control]
    if form.panel == "enable":
        body = _enable(s)
    elif form.panel == "message-all":
        body = _message(s, None)
    elif form.panel == "pay":
        body = _pay(s)
    elif form.panel == "give-up":
        body = _give_up(s)
    elif form.panel == "keep":
        body = _keep(s)
    elif one is None:
        body = [
            empty(s, ft.Icons.TOUCH_APP_ROUNDED, s.text("floor.none"), s.text("floor.none_next")),
            *_of_no_pc(s),
        ]
    elif form.panel in ("prepaid", "add"):
        body = _prepaid(s, one)
    elif form.panel == "message":
        body = _message(s, one)
    elif form.panel == "move":
        body = _move(s, one, known)
    elif form.panel == "reserve":
        body = _reserve(s, one)
    else:
        body = _pc(s, one)
    if form.problem or form.saved:
        body.insert(1, note(s, form.problem or form.saved, bad=bool(form.problem)))
    return ft.Container(
        ft.Column(body, spacing=12, scroll=ft.ScrollMode.AUTO, expand=True,
                  horizontal_alignment=ft.CrossAxisAlignment.STRETCH),
        width=s.measures.side,
        bgcolor=p.surface,
        padding=16,
        border=ft.Border.only(left=ft.BorderSide(1, p.border)),
    )  # fmt: skip


def _title(s: Session, words: str, badge: ft.Control | None = None) -> ft.Control:
    title = text(s, words, "h1", expand=True)
    return ft.Row([title, *([badge] if badge else [])], spacing=8)


def _pair(*parts: ft.Control) -> ft.Control:
    return ft.Row(list(parts), spacing=8)


def _small(
    s: Session, name: str, glyph: ft.IconData, on_tap: Any, key: str = "", **more: Any
) -> ft.Control:
    """``key``: shared by two acts that stand in one place, so that a double touch does not undo."""
    label = s.text(f"floor.do.{name}")
    face = named_button(s, label, on_tap, glyph=glyph, key=f"do-{key or name}", expand=1, **more)
    return ft.Container(face, expand=1)


def _opener(s: Session, panel: str) -> Callable[[Any], None]:
    return lambda e: s.floor.open(panel)


def _pc(s: Session, one: Card) -> list[ft.Control]:
    """The PC that is selected, and what can be done with it."""
    return [*(_live(s, one) if one.in_use else _idle(s, one)), *_messages(s, one)]


def _owed_at(s: Session, one: Card) -> list[ft.Control]:
    """Bills of sessions that are over, and what is to be given back."""
    owed = [(name, r) for name, r in sessions.due(s.node.tables) if r["pc"] == one.pc]
    return [_owed(s, name, row, at) for at, (name, row) in enumerate(owed)]


def _kept_at(s: Session, one: Card) -> list[ft.Control]:
    """Reservations; a session begins with the next one."""
    kept, now_ms = reservations.open_of(s.node.tables, one.pc), s.node.clock.wall_ms()
    first = next((row for row in kept if row["to_ms"] > now_ms), None)
    return [_kept(s, row, at, one if row is first else None) for at, row in enumerate(kept)]


def _of_no_pc(s: Session) -> list[ft.Control]:
    """What is open at PCs that were taken out."""
    assert isinstance(s.node, ServerNode)
    owed, kept = model.of_no_pc(s.node)
    if not (owed or kept):
        return []
    return [
        text(s, s.text("floor.of_no_pc"), "label", s.palette.text2),
        *[_owed(s, name, row, at) for at, (name, row) in enumerate(owed)],
        *[_kept(s, row, at, None) for at, row in enumerate(kept)],
    ]


def _live(s: Session, one: Card) -> list[ft.Control]:
    node, p = s.node, s.palette
    session = node.tables.table("pcs").peek(one.pc) or {}
    name = session.get("session", "")
    row = node.tables.table("sessions").peek(name)
    if row is None:
        return []
    badge = pill(s, s.text(f"floor.form.{_form(one)}"), p.on_selected, p.selected)
    who, small = _words(s, one)
    shown = one.ran_s if one.left_s is None else one.left_s
    rate, price, block_s = model.rate_now(node, row)
    facts = [
        (s.text("floor.since"), f"{s.text.time(row['started_ms'])} · {span(one.ran_s)}"),
        (rate, s.text("floor.an_hour", amount=s.text.money(model.hour_minor(price, block_s)))),
    ]
    if one.form == "customer":
        account = node.tables.table("customers").peek(row["customer"]) or {}
        has = account.get("credit", 0) + account.get("bonus", 0)
        facts.append((s.text("floor.credit"), s.text.money(has)))
    if one.form != "pin":
        facts.append((s.text("floor.so_far"), s.text.money(one.price_minor)))
    if row["paid_minor"]:
        facts.append((s.text("floor.paid"), s.text.money(row["paid_minor"])))
    parts: list[ft.Control] = [
        _title(s, f"PC {one.number}", badge),
        *([text(s, who, "strong", key="pc-who")] if one.who else []),
        ft.Row(
            [
                text(s, span(shown), "total", key="pc-time"),
                text(s, small, "body", p.text2),
            ],
            spacing=8,
            vertical_alignment=ft.CrossAxisAlignment.END,
        ),
        *[_fact(s, label, value) for label, value in facts],
        *_buttons(s, one, name),
        *_owed_at(s, one),
    ]
    sold = model.sold_to(node, name)
    if sold:
        parts.append(text(s, s.text("floor.sold"), "label", p.text2))
        parts += [_fact(s, what, s.text.money(amount)) for what, amount in sold[:8]]

    async def end(e: Any) -> None:
        if await _do(s, lambda: node.submit("session.end", {"session": name}), ""):
            back = s.floor.saved
            _settle(s, name)
            s.floor.saved = " ".join(filter(None, (s.floor.saved, back)))

    def sell(e: Any) -> None:
        s.sell.sell_on(name)
        s.go("sell")

    parts.append(
        _pair(
            ft.Container(named_button(s, s.text("floor.sell"), sell, key="do-sell", expand=1,
                                glyph=ft.Icons.POINT_OF_SALE_ROUNDED), expand=1),
            ft.Container(named_button(s, s.text("floor.end"), end, kind="danger", key="do-end",
                                      expand=1,
                                glyph=ft.Icons.STOP_CIRCLE_ROUNDED), expand=1),
        )
    )  # fmt: skip
    return [*parts, *_kept_at(s, one)]


def _settle(s: Session, session: str) -> None:
    """What a session left due is paid next; one that left nothing says so."""
    row = s.node.tables.table("sessions").peek(session)
    if row is not None and row["state"] == "due":
        s.floor.open("pay")
        s.floor.paying = session
    else:
        s.floor.saved = s.text("floor.ended")


def _fact(s: Session, label: str, value: str) -> ft.Control:
    color = s.palette.text2
    return ft.Row(
        [clipped(s, label, "body", color, expand=True), text(s, value, "strong")], spacing=8
    )


def _buttons(s: Session, one: Card, session: str) -> list[ft.Control]:
    paused = one.state == "paused"
    more = {
        "prepaid": ("add", ft.Icons.MORE_TIME_ROUNDED, _adder(s, session)),
        "customer": ("credit", ft.Icons.ADD_CARD_ROUNDED, _add_credit(s, session)),
    }.get(one.form)
    if paused:
        words = s.text("floor.resumed")
        hold = (
            "resume",
            ft.Icons.PLAY_CIRCLE_ROUNDED,
            _act(s, "session.resume", words, session=session),
        )
    else:
        words = s.text("floor.paused_now")
        hold = (
            "pause",
            ft.Icons.PAUSE_CIRCLE_ROUNDED,
            _act(s, "session.pause", words, session=session),
        )
    row = s.node.tables.table("pcs").peek(one.pc) or {"locked": False}
    return [
        _pair(*([_small(s, *more)] if more else []), _small(s, *hold, key="hold")),
        _pair(
            _small(s, "move", ft.Icons.SWAP_HORIZ_ROUNDED, _opener(s, "move")),
            _small(s, "message", ft.Icons.CHAT_ROUNDED, _opener(s, "message")),
        ),
        _pair(_reserver(s), _lock(s, one, bool(row["locked"]))),
    ]


def _reserver(s: Session) -> ft.Control:
    off = not s.node.may("reservation.edit")
    return _small(s, "reserve", ft.Icons.EVENT_ROUNDED, _opener(s, "reserve"), disabled=off)


def _adder(s: Session, session: str) -> Callable[[Any], None]:
    def add(e: Any) -> None:
        s.floor.open("add")
        s.floor.paying = session

    return add


def _add_credit(s: Session, session: str) -> Callable[[Any], None]:
    def add(e: Any) -> None:
        row = s.node.tables.table("sessions").peek(session)
        add_credit(s, row["customer"] if row is not None else "")

    return add


def _lock(s: Session, one: Card, locked: bool) -> ft.Control:
    name, glyph = (
        ("unlock", ft.Icons.LOCK_OPEN_ROUNDED) if locked else ("lock", ft.Icons.LOCK_ROUNDED)
    )
    done = s.text("floor.unlocked" if locked else "floor.was_locked")
    act = _act(s, "pc.lock", done, pc=one.pc, locked=not locked)
    return _small(s, name, glyph, act, key="lock")


def _starter(s: Session, key: str, pc: str, **more: Any) -> Callable[..., Awaitable[None]]:
    """Begins a session, but for a touch that was meant for what stood there a moment ago."""
    begin = _act(s, "session.start", s.text("floor.started"), pc=pc, **more)

    async def start(e: Any = None) -> None:
        if s.acts.alone(key):
            await begin()

    return start


def _idle(s: Session, one: Card) -> list[ft.Control]:
    """A PC that nobody uses."""
    node = s.node
    words, _, color = _free_words(s, one)
    row = node.tables.table("pcs").peek(one.pc) or {}
    parts: list[ft.Control] = [
        _title(s, f"PC {one.number}"),
        text(s, words, "strong", color),
    ]
    parts += _owed_at(s, one)
    if one.blocked:
        parts.append(
            named_button(s, s.text("floor.do.unblock"), _act(s, "pc.unblock", "", pc=one.pc),
                   kind="filled", key="do-unblock")
        )  # fmt: skip
    start = _starter(s, "do-start", one.pc)
    ready = one.online and one.state == "free"
    kind = "outline" if one.due_minor or one.back_minor else "filled"
    parts += [
        named_button(s, s.text("floor.do.start"), start, kind=kind,
            glyph=ft.Icons.PLAY_ARROW_ROUNDED, key="do-start", key_label=cap("start_pc"),
            height=56, disabled=not ready,
        ),
        _pair(
            _small(s, "prepaid", ft.Icons.PAYMENTS_ROUNDED, _opener(s, "prepaid"),
                   disabled=not ready),
            _small(s, "enable", ft.Icons.PERSON_ROUNDED, lambda e: s.enable_pc(),
                   disabled=not ready),
        ),
        _pair(
            _reserver(s),
            _lock(s, one, bool(row.get("locked"))),
        ),
    ]  # fmt: skip
    if node.may("pc.power"):
        parts.append(_power(s, one, bool(row.get("mac"))))
    parts += _kept_at(s, one)
    return parts


def _owed(s: Session, session: str, row: Any, at: int) -> ft.Control:
    def pay(e: Any) -> None:
        _settle(s, session)

    who = sessions.who(s.node.tables, row) or s.text(f"floor.form.{row['form']}")
    words = f"{s.text.time(row['ended_ms'])} · {who}"
    flagged = ", ".join(s.text.flag(flag) for flag in row["flags"])
    more = f"-{at}" if at else ""
    told: list[ft.Control] = []
    if row["due_minor"]:
        amount, label = row["due_minor"], s.text("sell.charge")
        act = named_button(s, label, pay, kind="filled", key=f"owed-{row['number']}{more}")
    else:
        amount = settling.to_give_back(s.node.tables, row)
        told.append(clipped(s, s.text("floor.unused"), "caption", s.palette.text2))
        act = _backs(s, session, f"{row['number']}{more}")
    return card(
        s,
        ft.Row(
            [
                ft.Column(
                    [
                        clipped(s, words, "caption", s.palette.text2),
                        *told,
                        text(s, s.text.money(amount), "h2"),
                        *(
                            [clipped(s, flagged, "caption", s.palette.aside.text)]
                            if flagged
                            else []
                        ),
                    ],
                    spacing=0,
                    expand=True,
                ),
                act,
            ],
            spacing=8,
        ),
        padding=12,
    )


def _backs(s: Session, session: str, number: str) -> ft.Control:
    """What was paid beforehand and not used: given back, or kept where nobody comes for it."""
    row = s.node.tables.table("sessions").peek(session)
    left = row is not None and settling.to_give_back(s.node.tables, row)
    done = s.text("floor.gone_back" if left else "floor.gone_before")
    give = _act(s, "session.give-back", done, session=session)

    def keep(e: Any) -> None:
        s.floor.open("keep")
        s.floor.paying = session

    return ft.Column(
        [
            named_button(
                s, s.text("floor.do.give_back"), give, kind="filled", key=f"back-{number}"
            ),
            named_button(
                s, s.text("floor.do.keep"), keep, kind="danger_text", key=f"keep-{number}"
            ),
        ],
        spacing=4,
    )


def _keep(s: Session) -> list[ft.Control]:
    """Whether money that a customer has paid and not used stays with the café."""
    session = s.floor.paying
    row = s.node.tables.table("sessions").peek(session)
    if row is None or not row["back_minor"]:
        return [_leave(s)]
    amount = s.text.money(settling.to_give_back(s.node.tables, row))
    keep = _act(s, "session.give-back", s.text("floor.kept_it"), session=session, keep=True)
    label = s.text("floor.keep_it", amount=amount)
    return [
        _title(s, s.text("floor.sure_keep", number=row["number"])),
        text(s, s.text("floor.keep_hint"), "body", s.palette.text2),
        named_button(s, label, keep, kind="danger_filled", key="keep-sure"),
        _leave(s),
    ]


def _power(s: Session, one: Card, known: bool) -> ft.Control:
    def switched(action: str) -> Any:
        return _act(s, "pc.power", s.text(f"floor.power.{action}"), pc=one.pc, action=action)

    if not one.online:
        return _pair(
            _small(s, "wake", ft.Icons.POWER_ROUNDED, switched("wake"), disabled=not known)
        )
    return _pair(
        _small(s, "shutdown", ft.Icons.POWER_SETTINGS_NEW_ROUNDED, switched("shutdown")),
        _small(s, "restart", ft.Icons.RESTART_ALT_ROUNDED, switched("restart")),
    )


def _kept(s: Session, kept: Any, at: int, one: Card | None) -> ft.Control:
    """A reservation: begin with it at its PC if it is the next one of ``one``, or give it up."""
    name = str(kept.doc_id)
    may = s.node.may("reservation.edit")
    begin = _starter(s, f"do-begin-{at}", kept["pc"], reservation=name)

    def give_up(e: Any) -> None:
        s.floor.open("give-up")
        s.floor.paying = name

    words = f"{s.text.moment(kept['from_ms'])} – {s.text.time(kept['to_ms'])}"
    deposit = kept["deposit_minor"]
    parts: list[ft.Control] = [
        text(s, kept["name"], "strong"),
        text(s, words, "body", s.palette.text2),
    ]
    if deposit:
        parts.append(_fact(s, s.text("floor.deposit"), s.text.money(deposit)))
    now_ms = s.node.clock.wall_ms()
    if kept["to_ms"] <= now_ms:
        parts.append(text(s, s.text("floor.not_come"), "caption", s.palette.pending.text))
    faces: list[ft.Control] = []
    if one is not None:
        ready = reservations.is_due(kept, now_ms) and one.online and one.state == "free"
        label = s.text("floor.do.begin")
        faces.append(named_button(s, label, begin, kind="tonal", key=f"do-begin-{at}", expand=1,
                                  disabled=not ready))  # fmt: skip
    faces.append(named_button(s, s.text("floor.do.cancel"), give_up, kind="danger_text",
                              key=f"do-give-up-{at}", expand=1, disabled=not may))  # fmt: skip
    parts.append(_pair(*[ft.Container(face, expand=1) for face in faces]))
    return card(s, ft.Column(parts, spacing=4), padding=12)


def _give_up(s: Session) -> list[ft.Control]:
    """A reservation for which nobody comes: what becomes of its deposit."""
    node, name = s.node, s.floor.paying
    kept = node.tables.table("reservations").peek(name)
    if kept is None:
        return []
    left = reservations.left_of(node.tables, name)

    def ended(refund: bool) -> Any:
        fields = {"reservation": name, "refund": refund, "reason": s.text("floor.gave_up")}
        return _act(s, "reservation.end", s.text("floor.given_up"), **fields)

    words = f"{kept['name']} · {s.text.moment(kept['from_ms'])}"
    amount = s.text.money(left)
    faces: list[ft.Control] = []
    if left and node.may("sale.refund"):
        label = s.text("floor.give_it_back", amount=amount)
        faces.append(named_button(s, label, ended(True), kind="filled", key="give-up-back"))
    label = s.text("floor.keep_it", amount=amount) if left else s.text("floor.do.give_up")
    faces.append(named_button(s, label, ended(False), kind="danger", key="give-up-keep"))
    asks = left and not node.may("sale.refund")
    return [
        _title(s, s.text("floor.sure_give_up")),
        text(s, words, "body", s.palette.text2),
        *([text(s, s.text("floor.no_refund"), "body", s.palette.pending.text)] if asks else []),
        *([_fact(s, s.text("floor.deposit"), amount)] if left else []),
        *faces,
        _leave(s),
    ]


def _messages(s: Session, one: Card) -> list[ft.Control]:
    node, p = s.node, s.palette
    assert isinstance(node, ServerNode)
    seen = node.floor.view(one.pc)
    parts: list[ft.Control] = []
    if seen["called_ms"]:

        def answer(e: Any) -> None:
            node.floor.answered(one.pc)
            s.feed.version += 1

        words = s.text("floor.called", time=s.text.time(seen["called_ms"]))
        parts.append(
            ft.Row([icon(ft.Icons.FRONT_HAND_ROUNDED, 20, p.pending.text),
                    text(s, words, "strong", p.pending.text, expand=True),
                    named_button(s, s.text("floor.do.answer"), answer, key="do-answer")], spacing=8)
        )  # fmt: skip
    for number, who, words, at_ms in seen["messages"][-4:]:
        mine = who == "desk"
        title = f"{s.text('floor.desk' if mine else 'floor.them')} · {s.text.time(at_ms)}"
        parts.append(
            ft.Container(
                ft.Column(
                    [
                        text(s, title, "caption", p.text3),
                        text(s, words, "body", key=f"said-{number}"),
                    ],
                    spacing=0,
                ),
                bgcolor=p.surface2 if mine else p.selected,
                border_radius=8,
                padding=8,
            )
        )
    return parts


# --- what is typed ---------------------------------------------------------------------


def _leave(s: Session) -> ft.Control:
    def left(e: Any) -> None:
        s.typing.end()
        s.floor.leave()

    return named_button(s, s.text("sell.cancel"), left, key="floor-leave", expand=1)


def _enter(s: Session, words: str, on_tap: Any, **more: Any) -> ft.Control:
    return named_button(s, words, on_tap, kind="filled", key="floor-enter", expand=1, **more)


def _foot(s: Session, words: str, on_tap: Any, **more: Any) -> ft.Control:
    return _pair(
        ft.Container(_leave(s), expand=1), ft.Container(_enter(s, words, on_tap, **more), expand=1)
    )


def _box(s: Session, name: str, on_enter: Any, **more: Any) -> ft.Control:
    label = s.text(f"floor.{name}")
    return typed(s, s.floor, name, label, key=f"floor-{name}", on_enter=on_enter, **more)


def _enable(s: Session) -> list[ft.Control]:
    """A customer begins at a PC: they type their password here themselves."""
    form, node = s.floor, s.node
    assert isinstance(node, ServerNode)

    async def enable(e: Any = None) -> None:
        number = whole(form.number) or 0
        user, password = form.user, form.password
        begun: list[str] = []

        async def work() -> None:
            if not number:
                raise BadField("number")
            begun.append(await node.enable(user, password, number))

        done = await attempt(s, form, "floor", work, "")
        form.password = ""
        if done:
            form.choose(pcs.numbered(node.tables, number))
            form.selected = pcs.numbered(node.tables, number)
            form.saved = s.text("floor.started" if begun[0] else "floor.expected", user=user)

    return [
        _title(s, s.text("floor.enable")),
        _box(s, "user", enable, autofocus=True),
        _box(s, "password", enable, password=True, can_reveal_password=False),
        text(s, s.text("floor.password_hint"), "caption", s.palette.text3),
        _box(s, "number", enable, keyboard_type=ft.KeyboardType.NUMBER),
        _foot(s, s.text("floor.do.enable"), enable),
    ]


def _message(s: Session, one: Card | None) -> list[ft.Control]:
    form = s.floor

    async def send(e: Any = None) -> None:
        async def work() -> Any:
            if not form.message.strip():
                raise BadField("message")
            fields = {"message": form.message.strip(), **({"pc": one.pc} if one else {})}
            return await s.node.submit("pc.message", fields)

        await _do(s, work, s.text("floor.sent"))

    title = s.text("floor.message_to", number=one.number) if one else s.text("floor.message_all")
    return [
        _title(s, title),
        _box(s, "message", send, autofocus=True, max_length=200),
        _foot(s, s.text("floor.send"), send),
    ]


def _method_chips(s: Session) -> list[ft.Control]:
    known = methods(s.node)
    if not known:
        return []

    def payer(method: str) -> Callable[[Any], None]:
        def chosen(e: Any) -> None:
            s.floor.method = method

        return chosen

    chips = []
    for method, name in [("", s.text("sell.cash")), *known]:
        kind = "tonal" if s.floor.method == method else "outline"
        chips.append(named_button(s, name, payer(method), kind=kind, key=f"pay-{method or 'cash'}"))
    return [ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN)]


def _paying(s: Session, amount_minor: int) -> dict[str, Any]:
    """How an amount is paid, as an act takes it; `BadField`."""
    form = s.floor
    if form.method:
        return {"payments": [{"method": form.method, "amount_minor": amount_minor}]}
    if form.received.strip():
        return {"tendered_minor": model.money_of(s.text, form.received, "received", least=0)}
    return {}


def _in_cash(s: Session, typed: str) -> list[ft.Control]:
    """What is taken for an amount where cash is rounded."""
    amount = s.text.parse(typed)
    cash = model.cash_of(s.node, amount) if amount else amount
    if not cash or cash == amount:
        return []
    return [_fact(s, s.text("floor.in_cash"), s.text.money(cash))]


def _prepaid(s: Session, one: Card) -> list[ft.Control]:
    """Time that is paid beforehand: at the beginning, or more of it."""
    form, node = s.floor, s.node
    adding = form.panel == "add"

    async def buy(e: Any = None) -> None:
        async def work() -> Any:
            amount = model.money_of(s.text, form.amount, "amount")
            fields: dict[str, Any] = {"amount_minor": amount, **_paying(s, amount)}
            if adding:
                return await node.submit("session.add", {"session": form.paying, **fields})
            fields |= {"pc": one.pc, "form": "prepaid"}
            return await node.submit("session.start", fields)

        await _do(s, work, s.text("floor.added" if adding else "floor.started"))

    cash: list[ft.Control] = []
    if not form.method:
        cash.append(_box(s, "received", buy, keyboard_type=ft.KeyboardType.NUMBER))
        cash += _in_cash(s, form.amount)
    title = s.text("floor.add_to" if adding else "floor.prepay", number=one.number)
    return [
        _title(s, title),
        _box(s, "amount", buy, autofocus=True, keyboard_type=ft.KeyboardType.NUMBER),
        *_method_chips(s),
        *cash,
        _foot(s, s.text("sell.charge"), buy),
    ]


def _move(s: Session, one: Card, known: list[Card]) -> list[ft.Control]:
    """To which PC a session goes on."""
    row = s.node.tables.table("pcs").peek(one.pc) or {}
    free = [c for c in known if c.state == "free" and c.online]
    faces: list[ft.Control] = []
    for target in free[:40]:
        move = _act(s, "session.move", s.text("floor.moved", number=target.number),
                    session=row.get("session", ""), pc=target.pc)  # fmt: skip
        faces.append(named_button(s, str(target.number), move, key=f"to-{target.number}", width=64))
    if not faces:
        faces.append(text(s, s.text("floor.no_free"), "body", s.palette.text2))
    return [
        _title(s, s.text("floor.move_to", number=one.number)),
        ft.Row(faces, spacing=8, run_spacing=8, wrap=True),
        _pair(ft.Container(_leave(s), expand=1)),
    ]


def _pay(s: Session) -> list[ft.Control]:
    """What a session left due, and how it is paid."""
    form, node = s.floor, s.node
    row = node.tables.table("sessions").peek(form.paying)
    if row is None or row["state"] != "due":
        return [empty(s, ft.Icons.DONE_ALL_ROUNDED, s.text("floor.nothing_due"),
                      s.text("floor.none_next")), _pair(_leave(s))]  # fmt: skip
    sales = row["sales_minor"] - row["sales_paid_minor"]
    facts = [
        (s.text("floor.length"), span(row["seconds"])),
        (s.text("floor.so_far"), s.text.money(row["price_minor"])),
    ]
    if sales:
        facts.append((s.text("floor.sold"), s.text.money(sales)))
    facts.append((s.text("floor.due"), s.text.money(row["due_minor"])))
    most_debt = model.most_debt_minor(node, row)
    session = form.paying

    async def pay(e: Any = None) -> None:
        async def work() -> Any:
            debt = 0
            if form.debt.strip():
                debt = model.money_of(s.text, form.debt, "debt", least=0)
            if debt > row["due_minor"]:
                raise BadField("debt")
            rest = row["due_minor"] - debt
            fields: dict[str, Any] = {"session": session}
            if rest:
                fields |= _paying(s, rest)
            if debt:
                fields["debt_minor"] = debt
            return await node.submit("session.pay", fields)

        await _do(s, work, s.text("floor.paid_now"))

    if form.method:  # no field has the Enter
        s.actions["charge"] = pay
    cash: list[ft.Control] = []
    if not form.method and s.text.parse(form.debt) != row["due_minor"]:
        number = ft.KeyboardType.NUMBER
        cash.append(_box(s, "received", pay, autofocus=True, keyboard_type=number))
        change = model.change_of(node, s.text, row["due_minor"], form)
        if change is not None:
            cash.append(_fact(s, s.text("sell.change"), s.text.money(change)))
    debts = [_box(s, "debt", pay, keyboard_type=ft.KeyboardType.NUMBER)] if most_debt > 0 else []
    return [
        _title(s, s.text("floor.bill", number=row["number"])),
        text(s, s.text.money(row["due_minor"]), "total", key="due"),
        *[_fact(s, label, value) for label, value in facts],
        *[text(s, s.text.flag(flag), "body", s.palette.aside.text) for flag in row["flags"]],
        *_method_chips(s),
        *cash,
        *debts,
        _foot(s, s.text("sell.charge"), pay, key_label=cap("charge")),
    ]


def _reserve(s: Session, one: Card) -> list[ft.Control]:
    form, node = s.floor, s.node

    async def reserve(e: Any = None) -> None:
        async def work() -> None:
            now_ms = node.clock.wall_ms()
            minutes = whole(form.minutes)
            if not minutes or minutes > 1440:
                raise BadField("minutes")
            if not form.name.strip():
                raise BadField("name")
            fields: dict[str, Any] = {
                "pc": one.pc,
                "name": form.name.strip(),
                "from_ms": model.instant_of(s.text, form.time, now_ms, form.day),
                "minutes": minutes,
            }
            if form.deposit.strip():
                fields["deposit_minor"] = model.money_of(s.text, form.deposit, "deposit", least=0)
            await node.submit("reservation.make", fields)

        await _do(s, work, s.text("floor.kept_for", name=form.name))

    return [
        _title(s, s.text("floor.reserve", number=one.number)),
        _box(s, "name", reserve, autofocus=True),
        _box(s, "day", reserve, hint_text=today(node)),
        _pair(
            ft.Container(_box(s, "time", reserve, hint_text="18:30"), expand=1),
            ft.Container(_box(s, "minutes", reserve), expand=1),
        ),
        _box(s, "deposit", reserve, keyboard_type=ft.KeyboardType.NUMBER),
        *_in_cash(s, form.deposit),
        _foot(s, s.text("floor.do.reserve"), reserve),
    ]


# --- the screen ------------------------------------------------------------------------


@part
def Floor() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.floor)
    node, form = s.node, s.floor
    assert isinstance(node, ServerNode)
    known = model.cards(node)
    shown = [one for one in known if one.fits(form.filter)]

    async def start() -> None:
        one = next((c for c in known if c.pc == form.selected), None)
        if one is not None and one.state == "free" and not form.panel:
            await _starter(s, "do-start", one.pc)()

    s.actions.pop("charge", None)  # the bill puts its own
    s.actions["start_pc"] = start
    s.actions["back"] = form.leave
    counts = {name: sum(one.fits(name) for one in known) for name in model.FILTERS}
    options = [
        (name, f"{s.text(f'floor.filter.{name}')} {counts[name]}")
        for name in model.FILTERS
        if counts[name] or name in ("all", form.filter)
    ]

    def choose(name: str) -> None:
        form.filter = name

    def tell_all(e: Any) -> None:
        form.selected = ""
        form.open("message-all")

    tools: list[ft.Control] = []
    if s.node.may("rate.edit"):
        tools.append(
            named_button(s, s.text("screen.pcs"), lambda e: s.go("pcs"), key="go-pcs",
                   glyph=ft.Icons.DISPLAY_SETTINGS_ROUNDED)
        )  # fmt: skip
    tools += [
        named_button(s, s.text("floor.tell_all"), tell_all, key="tell-all",
               glyph=ft.Icons.CAMPAIGN_ROUNDED, disabled=not known),
        named_button(s, s.text("floor.enable"), lambda e: s.enable_pc(), kind="filled",
                     key="enable-pc", glyph=ft.Icons.PERSON_ROUNDED, key_label=cap("enable_pc"),
                     disabled=not known),
    ]  # fmt: skip
    top = head(s, s.text("screen.floor"), ft.Container(expand=True), *tools)
    columns = next((n for width, n in COLUMNS if s.app.width < width), MOST_COLUMNS)
    if not known:
        glyph, step = ft.Icons.DESKTOP_WINDOWS_ROUNDED, s.text("floor.no_pcs_next")
        return page(s, top, empty(s, glyph, s.text("floor.no_pcs"), step))
    side = s.measures.side + s.measures.rail + 32
    width = (s.app.width - side - (columns - 1) * 8) / columns
    wide = not s.measures.compact
    tiles = [
        Tile(one, one.pc == form.selected, s.app.dark, s.text.language, wide, key=f"tile-{one.pc}")
        for one in shown
    ]
    grid = ft.GridView(
        tiles, runs_count=columns, spacing=8, run_spacing=8, expand=True,
        child_aspect_ratio=width / (136 if wide else 112),
    )  # fmt: skip
    main = page(s, top, segments(s, options, form.filter, choose, "floor-filter"), grid)
    return ft.Row(
        [main, _side(s, known)],
        spacing=0,
        expand=True,
        vertical_alignment=ft.CrossAxisAlignment.STRETCH,
    )
