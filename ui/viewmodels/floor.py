"""The floor of PCs as its screen shows it, and what is typed there."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import flet as ft
from tinydb import where

from node.api import (
    MAX_PRICE_MINOR,
    Node,
    ServerNode,
    pay,
    pcs,
    profiles,
    rates,
    reservations,
    sessions,
    settings,
    settling,
)
from ui.format import Format, whole
from ui.viewmodels.forms import BadField

SOON_S = 600
"""So near its end a session needs a person's eye."""
FILTERS = ("all", "in_use", "free", "soon", "due", "lost")
HOUR_S = 3600
DAY_MS = 86_400_000
"""Who has reserved a PC stands on it so long before."""
AHEAD = dt.timedelta(days=366)
"""So far ahead a PC can be reserved."""
NOTHING = (0, 0)


@ft.observable
@dataclass
class FloorModel:
    """What is selected and typed on the floor."""

    selected: str = ""
    filter: str = "all"
    panel: str = ""
    """What the side shows in place of the PC: ``enable``, ``prepaid``, ``add``, ``move``,
    ``message``, ``message-all``, ``pay``, ``reserve``, ``give-up``, ``keep``, or nothing."""
    paying: str = ""
    """Session that is being paid, gets more time, or whose rest is kept; reservation that is being
    given up."""
    user: str = ""
    password: str = ""
    number: str = ""
    amount: str = ""
    received: str = ""
    method: str = ""
    debt: str = ""
    message: str = ""
    name: str = ""
    time: str = ""
    day: str = ""
    minutes: str = "60"
    deposit: str = ""
    problem: str = ""
    saved: str = ""
    busy: bool = False

    def choose(self, pc: str) -> None:
        """Look at another PC; what was typed for the one before is gone."""
        self.selected = pc
        self.leave()

    def open(self, panel: str) -> None:
        self.leave()
        self.panel = panel

    def leave(self) -> None:
        """Back to the PC itself."""
        self.panel = self.paying = self.user = self.password = self.number = ""
        self.amount = self.received = self.method = self.debt = self.message = ""
        self.name = self.time = self.day = self.deposit = self.problem = self.saved = ""
        self.minutes = "60"


@dataclass(frozen=True, slots=True)
class Card:
    """One PC on the floor."""

    pc: str
    number: int
    state: str
    """``free``, ``running``, ``paused``, ``locked`` (by the desk)."""
    locked: bool = False
    """Whether the desk has locked it, though somebody uses it."""
    form: str = ""
    source: str = ""
    who: str = ""
    ran_s: int = 0
    left_s: int | None = None
    limit_s: int = 0
    price_minor: int = 0
    sales_minor: int = 0
    online: bool = True
    called: bool = False
    blocked: bool = False
    due_minor: int = 0
    back_minor: int = 0
    """What was paid beforehand and waits to be given back."""
    expects: str = ""
    reserved: str = ""
    reserved_ms: int = 0

    @property
    def in_use(self) -> bool:
        return self.state in ("running", "paused")

    @property
    def alert(self) -> str:
        """``red`` and ``amber`` for what needs a person; empty for nothing."""
        over = self.in_use and self.left_s == 0
        if self.due_minor or over or self.blocked:
            return "red"
        soon = self.state == "running" and self.left_s is not None and self.left_s < SOON_S
        lost = self.in_use and not self.online
        return "amber" if soon or lost or self.called else ""

    def fits(self, wanted: str) -> bool:
        """Whether it is one of a filter's."""
        return {
            "all": True,
            "in_use": self.in_use,
            "free": self.state == "free",
            "soon": self.in_use and self.left_s is not None and self.left_s < SOON_S,
            "due": self.due_minor > 0 or self.back_minor > 0,
            "lost": not self.online,
        }[wanted]


def cards(node: ServerNode) -> list[Card]:
    """All PCs by their numbers."""
    tables, now_ms = node.tables, node.clock.wall_ms()
    owed: dict[str, tuple[int, int]] = {}
    for _, row in sessions.due(tables):
        due, back = owed.get(row["pc"], NOTHING)
        back += settling.to_give_back(tables, row)
        owed[row["pc"]] = due + row["due_minor"], back
    return [_card(node, pc, row, owed.get(pc, NOTHING), now_ms) for pc, row in pcs.trusted(tables)]


def _card(node: ServerNode, pc: str, row: Any, owed: tuple[int, int], now_ms: int) -> Card:
    tables, seen = node.tables, node.floor.view(pc)
    coming = [one for one in reservations.open_of(tables, pc) if one["to_ms"] > now_ms]
    kept = coming[0] if coming and coming[0]["from_ms"] < now_ms + DAY_MS else None
    expects = row["expects"] or {}
    person = tables.table("people").peek(expects.get("customer", "")) or {}
    waiting = expects.get("until_ms", 0) > now_ms
    common: dict[str, Any] = {
        "pc": pc,
        "number": row["number"],
        "locked": row["locked"],
        "online": seen["online"],
        "called": bool(seen["called_ms"]),
        "blocked": seen["blocked"],
        "due_minor": owed[0],
        "back_minor": owed[1],
        "expects": person.get("user", "") if waiting else "",
        "reserved": kept["name"] if kept is not None else "",
        "reserved_ms": kept["from_ms"] if kept is not None else 0,
    }
    session = row["session"]
    live = tables.table("sessions").peek(session) if session else None
    if live is None:
        return Card(state="locked" if row["locked"] else "free", **common)
    ran_s = node.floor.ran_ms(session, live) // 1000
    price, limit_s, source = node.floor.standing(session, live)
    return Card(
        state=live["state"],
        form=live["form"],
        source=source,
        who=sessions.who(tables, live),
        ran_s=ran_s,
        left_s=max(0, limit_s - ran_s) if limit_s else None,
        limit_s=limit_s,
        price_minor=price,
        sales_minor=live["sales_minor"],
        **common,
    )


def calls(node: Node) -> int:
    """PCs that have called for the desk, or wait for an operator."""
    if not isinstance(node, ServerNode):
        return 0
    seen = [node.floor.view(pc) for pc, _ in pcs.trusted(node.tables)]
    return sum(bool(one["called_ms"] or one["blocked"]) for one in seen)


def of_no_pc(node: ServerNode) -> tuple[list[tuple[str, Any]], list[Any]]:
    """(sessions, reservations) that are open at PCs which are trusted no more."""
    here = {pc for pc, _ in pcs.trusted(node.tables)}
    owed = [one for one in sessions.due(node.tables) if one[1]["pc"] not in here]
    kept = node.tables.table("reservations").search(where("state") == "open")
    return owed, [row for row in kept if row["pc"] not in here]


def span(seconds: int, *, with_seconds: bool = False) -> str:
    """A length as clocks show it: ``1:24``, ``1:24:36``."""
    hours, rest = divmod(max(0, seconds), HOUR_S)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}" + (f":{left:02d}" if with_seconds else "")


def sold_to(node: Node, session: str) -> list[tuple[str, int]]:
    """(what, amount) that stands on a session's account."""
    found = []
    for row in node.tables.table("orders").latest("taken_ms", 300):
        on_pc = sum(amount for method, amount in row["payments"] if method == pcs.PC)
        on_pc -= (row.get("refunded") or {"methods": {}})["methods"].get(pcs.PC, 0)
        if row.get("session") == session and row["state"] == "collected" and on_pc:
            words = ", ".join(f"{line['quantity']} {line['name']}" for line in row["lines"])
            found.append((words, on_pc))
    return found


def rate_now(node: Node, row: Any) -> tuple[str, int, int]:
    """(name, price of a block, its seconds) of a session's rate at this moment."""
    values = row["rates"][row["rate"]]
    at_s = node.clock.wall_ms() // 1000
    band = rates.rate_of(values).band_at(at_s, settings.zone(node.tables))
    return values["name"], band.price_minor, band.block_s


def hour_minor(price_minor: int, block_s: int) -> int:
    """What an hour of such blocks costs."""
    return price_minor * HOUR_S // block_s


def money_of(text: Format, typed: str, name: str, *, least: int = 1) -> int:
    """An amount that was typed, or `BadField`."""
    amount = text.parse(typed)
    if amount is None or not least <= amount <= MAX_PRICE_MINOR:
        raise BadField(name)
    return amount


def instant_of(text: Format, typed: str, now_ms: int, day: str = "") -> int:
    """The instant at which it is ``hh:mm`` in the café on a day as ISO has it, the next one without
    a day; or `BadField`."""
    hour, _, minute = typed.strip().partition(":")
    at = (whole(hour), whole(minute))
    if at[0] is None or at[1] is None or not (at[0] < 24 and at[1] < 60):
        raise BadField("time")
    zone = ZoneInfo(text.zone or "UTC")
    now = dt.datetime.fromtimestamp(now_ms / 1000, zone)
    try:
        date = dt.date.fromisoformat(day.strip()) if day.strip() else now.date()
    except ValueError:
        raise BadField("day") from None
    wanted = dt.datetime.combine(date, dt.time(at[0], at[1]), zone)
    over = wanted < now - dt.timedelta(minutes=1)
    if day.strip():
        if date < now.date() or date > now.date() + AHEAD:
            raise BadField("day")
        if over:
            raise BadField("time")
    elif over:
        wanted += dt.timedelta(days=1)
    return int(wanted.timestamp() * 1000)


def most_debt_minor(node: Node, row: Any) -> int:
    """What of a session's bill its customer may owe."""
    account = node.tables.table("customers").peek(row["customer"])
    if account is None or account["deleted"] or not node.may("customer.debt"):
        return 0
    most = profiles.of(node.tables, account["profile"])["max_debt_minor"]
    return int(max(0, most + account["credit"]))


def change_of(node: Node, text: Format, due_minor: int, form: FloorModel) -> int | None:
    """What goes back of the cash that was received for a bill; None while that is too little."""
    given, debt = text.parse(form.received), text.parse(form.debt or "0")
    if given is None or debt is None or not 0 <= debt <= due_minor:
        return None
    step = settings.cash_at(settings.cafe(node.tables), node.tables.cursor)
    if given < pay(due_minor, debt, None, *step).cash:
        return None
    return pay(due_minor, debt, given, *step).change


def handed_over(receipt: Any) -> tuple[dict[str, int], int]:
    """(what goes back by method, change) that something which was done has to be followed by."""
    back: dict[str, int] = {}
    change = 0
    for name, _, body in receipt.events if receipt is not None else ():
        if name == "sale.refunded":
            for method, amount in body["methods"]:
                back[method] = back.get(method, 0) + amount
        elif name == "order.sold":
            change += body["collected"]["change_minor"]
    return back, change


def cash_of(node: Node, amount_minor: int) -> int:
    """What is taken in cash for an amount, as the café rounds it."""
    step = settings.cash_at(settings.cafe(node.tables), node.tables.cursor)
    return pay(amount_minor, 0, None, *step).cash


def live_sessions(node: Node) -> list[tuple[str, int, str]]:
    """(session, number of its PC, who) of those whose account can be sold on."""
    found = [
        (session, row["number"], sessions.who(node.tables, row))
        for session, row in sessions.running(node.tables)
    ]
    return sorted(found, key=lambda one: one[1])


def sells_on_pcs(node: Node) -> bool:
    """Whether a ticket may go on a PC's account here: at the desk, and at a station where sales are
    final, while it hears the server."""
    if node.role == "server":
        return True
    return settings.cafe(node.tables).get("mode") == 1 and bool(node.status()["online"])


# --- PCs and rates ---------------------------------------------------------------


@ft.observable
@dataclass
class PcsModel:
    """What is typed where PCs and rates are set."""

    tab: str = "pcs"
    selected: str = ""
    """PC or rate; ``+`` for a new rate."""
    fields: dict[str, str] = field(default_factory=dict)
    step: str = ""
    """Of the door: ``open``, ``digits``, or empty."""
    door: int = 0
    """Number of the PC for which the door is open."""
    address: str = ""
    knocking: str = ""
    digits: str = ""
    sure: str = ""
    problem: str = ""
    saved: str = ""
    busy: bool = False

    def open(self, selected: str, fields: dict[str, str]) -> None:
        self.selected, self.fields = selected, fields
        self.problem = self.saved = self.sure = ""

    def turn(self, tab: str) -> None:
        self.tab = tab
        self.open("", {})


FEWEST_BANDS, MOST_BANDS = 4, 24


_MAC = re.compile(r"(([0-9a-f]{2}:){5}[0-9a-f]{2})?")
MOST_PCS, LONGEST_NAME = 9999, 40


def number_in(typed: str) -> int:
    """The number of a PC, or `BadField`."""
    number = whole(typed)
    if number is None or not 1 <= number <= MOST_PCS:
        raise BadField("number")
    return number


def pc_values(typed: dict[str, str]) -> dict[str, Any]:
    """A PC as an act takes it, or `BadField`."""
    name = " ".join(typed["name"].split())
    mac = typed["mac"].strip().lower().replace("-", ":")
    if len(name) > LONGEST_NAME:
        raise BadField("name")
    if not _MAC.fullmatch(mac):
        raise BadField("mac")
    return {"number": number_in(typed["number"]), "name": name, "rate": typed["rate"], "mac": mac}


def rate_fields(text: Format, values: Any | None) -> dict[str, str]:
    """A rate's values as they are typed."""
    bands = values["bands"] if values else [{"minute": 0, "price_minor": 0, "block_s": 900}]
    fields = {
        "name": values["name"] if values else "",
        "minimum": text.plain(values["minimum_minor"]) if values else "",
        "grace": _length(values["grace_s"]) if values else "0",
        "step": text.plain(values["step_minor"]) if values and values["step_minor"] > 1 else "",
        "tax": f"{values['tax_bp'] / 100:g}" if values else "",
    }
    for at in range(min(MOST_BANDS, max(FEWEST_BANDS, len(bands) + 1))):
        band = bands[at] if at < len(bands) else None
        hour, minute = divmod(band["minute"], 60) if band else (0, 0)
        fields[f"from{at}"] = f"{hour:02d}:{minute:02d}" if band else ""
        fields[f"price{at}"] = text.plain(band["price_minor"]) if band else ""
        fields[f"block{at}"] = _length(band["block_s"]) if band else ""
    return fields


def bands_in(typed: dict[str, str]) -> int:
    """How many bands can be typed."""
    return sum(name.startswith("price") for name in typed)


def _length(seconds: int) -> str:
    """Minutes, with the seconds behind them where there are some."""
    minutes, left = divmod(seconds, 60)
    return f"{minutes}:{left:02d}" if left else str(minutes)


def _seconds(typed: str) -> int | None:
    """What `_length` writes, as it is typed; None for what is no length."""
    minutes, _, left = typed.strip().partition(":")
    whole_minutes, seconds = whole(minutes or "0"), whole(left or "0")
    if whole_minutes is None or seconds is None or seconds > 59:
        return None
    return whole_minutes * 60 + seconds


def rate_values(text: Format, typed: dict[str, str]) -> dict[str, Any]:
    """A rate as an act takes it, or `BadField`."""
    bands = []
    for at in range(MOST_BANDS):
        if not any(typed.get(f"{name}{at}", "").strip() for name in ("from", "price", "block")):
            continue
        hour, _, minute = typed.get(f"from{at}", "").strip().partition(":")
        since = (whole(hour or "0"), whole(minute or "0"))
        block = _seconds(typed.get(f"block{at}", "") or "15")
        if since[0] is None or since[1] is None or since[0] > 23 or since[1] > 59:
            raise BadField("from")
        if block is None or not 60 <= block <= 86_400:
            raise BadField("block")
        price = money_of(text, typed.get(f"price{at}", ""), "price", least=0)
        minute_of = since[0] * 60 + since[1]
        bands.append({"minute": minute_of, "price_minor": price, "block_s": block})
    if not bands:
        raise BadField("price")
    if not typed.get("name", "").strip():
        raise BadField("name")
    grace = _seconds(typed.get("grace", "") or "0")
    if grace is None or grace > HOUR_S:
        raise BadField("grace")
    tax = typed.get("tax", "").strip().replace(",", ".") or "0"
    try:
        tax_bp = round(float(tax) * 100)
    except (ValueError, OverflowError):
        raise BadField("tax") from None
    if not 0 <= tax_bp <= 10_000:
        raise BadField("tax")
    step = typed.get("step", "").strip()
    return {
        "name": " ".join(typed["name"].split()),
        "bands": sorted(bands, key=lambda band: int(band["minute"])),
        "minimum_minor": money_of(
            text, typed.get("minimum", "").strip() or "0", "minimum", least=0
        ),
        "grace_s": grace,
        "step_minor": money_of(text, step, "step") if step else 1,
        "tax_bp": tax_bp,
    }


def next_rate(node: Node) -> str:
    """A code for a new rate."""
    known = node.tables.table("rates")
    number = len(known) + 1
    while known.peek(f"R{number}") is not None:
        number += 1
    return f"R{number}"
