"""Sessions: a customer at a PC, from the first second to the last.

    running ⇄ paused ──end──▶ ended          nothing is left to pay or to give back
                       └────▶ due ──▶ ended  as `settling` does it

    free      runs until somebody ends it, and is paid then
    prepaid   paid when it begins; runs for the time that the money bought
    customer  uses the account: passes, promotions, redeemed points, then credit
    pin       uses what is left on a card or ticket

Running time is measured by the server beside the log and stands in the acts that end a stretch of
it. What a session sells is an order of its own, so box, tickets, refunds and reports know it as any
other sale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta
from msgspec.structs import replace
from tinydb import where

from node.cafe import (
    accounts,
    benefits,
    bill,
    box,
    credit,
    customers,
    exceptions,
    meter,
    operators,
    orders,
    pcs,
    pins,
    rates,
    reservations,
    settings,
    settling,
)
from node.cafe.kinds import Acting, Amount, Command, EventKind, Fact, Hex, Kind, event
from node.cafe.meter import Segment
from node.cafe.money import pay
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

Seconds = Annotated[int, Meta(ge=0, le=10**7)]
Serial = Annotated[int, Meta(ge=1, le=10**9)]
Flags = Annotated[tuple[Literal["clock", "lost"], ...], Meta(max_length=2)]
Why = Literal["desk", "customer", "time-up", "lost", "locked", "password", "gone"]
MOST_SEGMENTS = 200

# --- commands ----------------------------------------------------------------


class StartSession(Command, frozen=True):
    """An operator starts a PC: free use, for a customer's account if one is named, or prepaid."""

    pc: Hex
    form: Literal["free", "prepaid"] = "free"
    customer: Hex = ""
    amount_minor: box.Sum | None = None
    """What is paid beforehand."""
    tendered_minor: Amount | None = None
    payments: orders.Payments = ()
    reservation: Hex = ""


class OpenSession(Command, frozen=True):
    """A customer has shown who they are, or a PIN; done by the server itself."""

    pc: Hex
    customer: Hex = ""
    serial: Serial | None = None


class PauseSession(Command, frozen=True):
    session: Hex
    seconds: Seconds | None = None
    """Running time so far; filled in by the server."""


class ResumeSession(Command, frozen=True):
    session: Hex


class MoveSession(Command, frozen=True):
    """A session goes on at another PC."""

    session: Hex
    pc: Hex
    seconds: Seconds | None = None


class AddTime(Command, frozen=True):
    """More time for a prepaid session."""

    session: Hex
    amount_minor: box.Sum
    tendered_minor: Amount | None = None
    payments: orders.Payments = ()
    seconds: Seconds | None = None


class EndSession(Command, frozen=True):
    """An operator ends a session."""

    session: Hex
    seconds: Seconds | None = None
    flags: Flags = ()


class CloseSession(Command, frozen=True):
    """A session is over; done by the server itself."""

    session: Hex
    seconds: Seconds
    why: Why
    flags: Flags = ()


# --- events ------------------------------------------------------------------


class SessionStarted(Fact, frozen=True):
    session: str
    pc: str
    number: int
    form: str
    customer: str
    serial: int
    rate: str
    rates: dict[str, Any]
    limit_s: int
    """Running time after which it ends; 0 for none, or one that the account says."""
    paid_minor: int
    orders: list[str]
    """That sold the time beforehand."""
    reservation: str
    operator: str
    at_ms: int


class SessionHeld(Fact, frozen=True):
    """Paused, or going on again, here or at another PC."""

    session: str
    pc: str
    number: int
    state: str
    seconds: int
    rate: str
    rates: dict[str, Any]
    operator: str
    at_ms: int


class TimeAdded(Fact, frozen=True):
    session: str
    order: str
    paid_minor: int
    limit_s: int
    operator: str
    at_ms: int


class SessionEnded(Fact, frozen=True):
    session: str
    seconds: int
    price_minor: int
    """What its running time costs; of a prepaid one, what was used of it."""
    due_minor: int
    back_minor: int
    """What was paid beforehand, is not used, and goes back."""
    used: dict[str, Any]
    """What it takes off the account or the card, as `_used` says."""
    why: str
    flags: list[str]
    operator: str
    at_ms: int


# --- decide: begin -----------------------------------------------------------------


def decide_start(tables: Tables, command: StartSession, acting: Acting) -> list[Event]:
    row = _free_pc(tables, command.pc, acting, command.reservation)
    deposit = reservations.left_of(tables, command.reservation)
    if command.customer:
        _check_customer(tables, command.customer, acting)
    key, at_s = acting.context.op.key.hex(), acting.context.at_ms // 1000
    rate, values = _rate_for(tables, row, command.customer)
    limit_s, paid = 0, deposit
    sold: list[Event] = []
    if command.form == "prepaid":
        if command.customer:
            raise Refused("bad-field", what="customer")
        now = command.amount_minor or 0
        paid = deposit + now
        zone = settings.zone(tables)
        limit_s, _ = meter.prepaid(paid, at_s, rates.rate_of(values), zone)
        if now:
            sold = [_sell(tables, acting, row, values, now, command, "", limit_s)]
    elif command.amount_minor is not None:
        raise Refused("bad-field", what="amount_minor")
    started = SessionStarted(
        session=key,
        pc=command.pc,
        number=row["number"],
        form=command.form,
        customer=command.customer,
        serial=0,
        rate=rate,
        rates={rate: values},
        limit_s=limit_s,
        paid_minor=paid,
        orders=[*reservations.orders_of(tables, command.reservation), *([key] if sold else [])],
        reservation=command.reservation,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("session.started", started), *sold]


def _free_pc(
    tables: Tables, pc: str, acting: Acting, reservation: str = "", *, session: str = ""
) -> Mapping[str, Any]:
    """Row of a PC that can be used now; `Refused` ``unknown-pc``, ``pc-in-use``, ``pc-locked``,
    ``reserved``, ``unknown-reservation``."""
    row = pcs.of(tables, pc)
    pcs.check_idle(tables, pc)
    if row["locked"]:
        raise Refused("pc-locked", number=row["number"])
    reservations.check(tables, pc, acting.context.at_ms, reservation)
    return row


def _check_customer(tables: Tables, customer: str, acting: Acting) -> Mapping[str, Any]:
    """Row of an account that may begin a session: `Refused` ``unknown-customer``, ``deleted``,
    ``barred``, ``in-session``, ``renamed``."""
    account = accounts.of(tables, customer)
    accounts.check_free(account, acting.context.at_ms)
    if bill.session_of(tables, customer):
        raise Refused("in-session")
    person = tables.table("people").peek(customer)
    if person is not None and person["renamed"]:
        raise Refused("name-taken", name=person["user"])
    return account


def _rate_for(tables: Tables, pc: Mapping[str, Any], customer: str) -> tuple[str, dict[str, Any]]:
    account = tables.table("customers").peek(customer) if customer else None
    return rates.in_force(tables, pc["rate"], account["profile"] if account is not None else "")


def decide_open(tables: Tables, command: OpenSession, acting: Acting) -> list[Event]:
    row = _free_pc(tables, command.pc, acting)
    rate, values = _rate_for(tables, row, command.customer)
    started = SessionStarted(
        session=acting.context.op.key.hex(),
        pc=command.pc,
        number=row["number"],
        form="customer" if command.customer else "pin",
        customer=command.customer,
        serial=command.serial or 0,
        rate=rate,
        rates={rate: values},
        limit_s=0,
        paid_minor=0,
        orders=[],
        reservation="",
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    if acting.operator_id:
        operators.check(acting.operator, "session.run")
    if command.customer:
        account = _check_customer(tables, command.customer, acting)
        if not customers.has_password(tables, command.customer):
            raise Refused("first-password", user="")  # it was deleted at this moment
        _check_reach(tables, started, account, acting)
    elif command.serial is not None:
        limit_s = _pin_limit_s(tables, command.serial, acting)
        started = replace(started, limit_s=limit_s)
    else:
        raise Refused("bad-field", what="customer, serial")
    return [event("session.started", started)]


def _check_reach(
    tables: Tables, started: SessionStarted, account: Mapping[str, Any], acting: Acting
) -> None:
    """`Refused` ``not-enough-credit`` for an account that pays not even the first block."""
    at_s = acting.context.at_ms // 1000
    day = settings.today(tables, acting.context.at_ms)
    held, _ = credit.expire(credit.balance_of(account), day)
    known = {name: rates.rate_of(values) for name, values in started.rates.items()}
    money = held.bonus + max(0, held.credit)
    begin = [Segment(at_s, at_s, started.rate)]
    reach = meter.reach_s(begin, meter.buckets_of(account), known, settings.zone(tables), money)
    if not reach:
        raise Refused("not-enough-credit", short_minor=0)


def _pin_limit_s(tables: Tables, serial: int, acting: Acting) -> int:
    """What a PIN gives now; `Refused` ``wrong-pin`` for one that opens nothing, ``in-session``,
    ``already-over``."""
    row = pins.of(tables, serial)
    if row["state"] not in pins.OPENS:
        raise Refused("bad-state", state=row["state"], label=pins.label("card", serial))
    if row.get("session"):
        raise Refused("in-session")
    at_ms = acting.context.at_ms
    today = settings.today(tables, at_ms)
    profile = pins.of_profile(tables, row["profile"])
    last_day = row["expires"] or pins.valid_through(profile, sold_on=today, used_on=today)
    if not last_day:
        return int(row["left_s"])
    if last_day < today:
        raise Refused("already-over")
    end_s = benefits.end_of_day_ms(last_day, settings.zone(tables)) // 1000
    return min(int(row["left_s"]), end_s - at_ms // 1000)


# --- decide: go on -------------------------------------------------------------------


def decide_pause(tables: Tables, command: PauseSession, acting: Acting) -> list[Event]:
    row = pcs.live(tables, command.session)
    if row["state"] == "paused":
        raise Refused("bad-state", state="paused", label=f"PC {row['number']}")
    seconds = _seconds(row, command.seconds, acting)
    return [_held(command.session, row, "paused", seconds, acting)]


def decide_resume(tables: Tables, command: ResumeSession, acting: Acting) -> list[Event]:
    row = pcs.live(tables, command.session)
    if row["state"] == "running":
        raise Refused("bad-state", state="running", label=f"PC {row['number']}")
    if len(row["segments"]) >= MOST_SEGMENTS:
        raise Refused("out-of-range", what="segments")
    return [_held(command.session, row, "running", bill.closed_s(row), acting)]


def decide_move(tables: Tables, command: MoveSession, acting: Acting) -> list[Event]:
    row = pcs.live(tables, command.session)
    target = _free_pc(tables, command.pc, acting)
    if len(row["segments"]) >= MOST_SEGMENTS:
        raise Refused("out-of-range", what="segments")
    seconds = _seconds(row, command.seconds, acting)
    rate, values = _rate_for(tables, target, row["customer"])
    moved = {**row, "pc": command.pc, "number": target["number"], "rate": rate}
    moved["rates"] = {**row["rates"], rate: row["rates"].get(rate, values)}
    return [_held(command.session, moved, row["state"], seconds, acting)]


def _held(session: str, row: Mapping[str, Any], state: str, seconds: int, acting: Acting) -> Event:
    fact = SessionHeld(
        session=session,
        pc=row["pc"],
        number=row["number"],
        state=state,
        seconds=seconds,
        rate=row["rate"],
        rates=row["rates"],
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return event("session.held", fact)


def _seconds(row: Mapping[str, Any], said: int | None, acting: Acting) -> int:
    """Running time: as the server has measured it, or by the instants alone; it never shrinks."""
    if said is None:
        said = bill.seconds_by_clock(row, acting.context.at_ms)
    return max(bill.closed_s(row), said)


def decide_add(tables: Tables, command: AddTime, acting: Acting) -> list[Event]:
    row = pcs.live(tables, command.session)
    if row["form"] != "prepaid":
        raise Refused("not-prepaid")
    seconds = _seconds(row, command.seconds, acting)
    left_s = max(0, row["limit_s"] - seconds)
    values = row["rates"][row["rate"]]
    then_s = acting.context.at_ms // 1000 + left_s
    zone = settings.zone(tables)
    more_s, _ = meter.prepaid(command.amount_minor, then_s, rates.rate_of(values), zone)
    if left_s + more_s > meter.MOST_S:
        raise Refused("out-of-range", what="amount_minor")
    pc = tables.table("pcs").peek(row["pc"]) or row
    sold = _sell(tables, acting, pc, values, command.amount_minor, command, command.session, more_s)
    fact = TimeAdded(
        session=command.session,
        order=acting.context.op.key.hex(),
        paid_minor=command.amount_minor,
        limit_s=max(seconds, row["limit_s"]) + more_s,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("session.extended", fact), sold]


def _sell(
    tables: Tables,
    acting: Acting,
    pc: Mapping[str, Any],
    values: Mapping[str, Any],
    amount: int,
    paying: StartSession | AddTime,
    session: str,
    seconds: int,
) -> Event:
    """Time that is paid beforehand."""
    payments: list[list[Any]] = [[one.method, one.amount_minor] for one in paying.payments]
    cafe = settings.cafe(tables)
    if not orders.are_methods(cafe, [method for method, _ in payments], customer=None):
        raise Refused("unknown-method", what=", ".join(method for method, _ in payments))
    step = settings.cash_at(cafe, acting.context.seq)
    cash = pay(amount, sum(a for _, a in payments), paying.tendered_minor, *step)
    line = orders.time_line(pc["number"], values, amount, seconds)
    return orders.sell_time(
        tables,
        acting,
        line,
        cash=cash.cash,
        payments=payments,
        tendered_minor=paying.tendered_minor,
        session=session or acting.context.op.key.hex(),
    )


# --- decide: end ------------------------------------------------------------------------


def decide_end(tables: Tables, command: EndSession, acting: Acting) -> list[Event]:
    row = pcs.live(tables, command.session)
    seconds = _seconds(row, command.seconds, acting)
    return _end(tables, command.session, row, seconds, "desk", command.flags, acting)


def decide_close(tables: Tables, command: CloseSession, acting: Acting) -> list[Event]:
    row = pcs.live(tables, command.session)
    seconds = _seconds(row, command.seconds, acting)
    if command.why == "time-up" and seconds < bill.standing(tables, row, seconds).limit_s:
        raise Refused("too-early")  # it was given more meanwhile
    return _end(tables, command.session, row, seconds, command.why, command.flags, acting)


def _end(
    tables: Tables,
    session: str,
    row: Mapping[str, Any],
    seconds: int,
    why: str,
    flags: Sequence[str],
    acting: Acting,
) -> list[Event]:
    """Settle a session as far as it pays by itself: account, card, what was paid before."""
    if row["form"] in ("prepaid", "pin"):
        seconds = min(seconds, row["limit_s"])
    segments, known, zone = (
        bill.segments_of(row, seconds),
        bill.rates_of(row),
        settings.zone(tables),
    )
    if row["form"] == "pin":
        price, used = 0, _used_pin(tables, row, seconds)
    else:
        time = meter.use(segments, bill.buckets(tables, row))
        price = meter.price(time.billed, known, zone, after_buckets=time.has_buckets).minor
        used = _used(tables, row, time)
    back = settling.unused(tables, row, price) if settings.is_on(tables, "return_prepaid") else 0
    held = settling.held_minor(tables, row)  # a deposit may be back
    time_due = 0 if row["form"] == "prepaid" else max(0, price - held)
    sales_due = row["sales_minor"] - row["sales_paid_minor"]
    ended = SessionEnded(
        session=session,
        seconds=seconds,
        price_minor=price,
        due_minor=time_due + sales_due,
        back_minor=back,
        used=used,
        why=why,
        flags=sorted({*row["flags"], *flags}),
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    events = [event("session.ended", ended)]
    if back and why == "desk":  # somebody is there to hand it over; else it waits
        events += settling.give_back(tables, session, row, back, acting)
    if row["customer"]:
        events += settling.by_account(tables, session, row, time_due, sales_due, seconds, acting)
    return events


def _used(tables: Tables, row: Mapping[str, Any], time: meter.Used) -> dict[str, Any]:
    """``customer``, ``promotions`` and ``redeemed`` as they are left, ``passes`` that were used."""
    account = tables.table("customers").peek(row["customer"]) if row["customer"] else None
    if account is None:
        return {}
    changed = [at for at, one in enumerate(account["promotions"]) if one["active"]]
    return {
        "customer": row["customer"],
        "seconds": time.passes + time.promotion + time.redeemed,
        "promotions": [
            [account["promotions"][at]["order"], account["promotions"][at]["line"],
             account["promotions"][at]["seconds"] - time.promotions_left[at]]
            for at in changed
            if account["promotions"][at]["seconds"] != time.promotions_left[at]
        ],
        "redeemed": [
            [ref, seconds - left]
            for (seconds, _, ref), left in zip(account["redeemed"], time.redeemed_left, strict=True)
            if seconds != left
        ],
        "passes": time.passes,
    }  # fmt: skip


def _used_pin(tables: Tables, row: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    card = pins.of(tables, row["serial"])
    taken, _, _ = pins.use(card["left_s"], seconds)
    return {"serial": row["serial"], "taken_s": taken}


# --- apply ---------------------------------------------------------------------------------


def apply_started(tables: Tables, fact: SessionStarted) -> None:
    account = tables.table("customers").peek(fact.customer) if fact.customer else None
    last_day = account["expires"] if account is not None else 0
    row = {
        "pc": fact.pc,
        "number": fact.number,
        "form": fact.form,
        "state": "running",
        "customer": fact.customer,
        "lapsed": bool(last_day) and last_day < settings.today(tables, fact.at_ms),
        "serial": fact.serial,
        "rate": fact.rate,
        "rates": fact.rates,
        "segments": [],
        "open_s": fact.at_ms // 1000,
        "limit_s": fact.limit_s,
        "paid_minor": fact.paid_minor,
        "orders": fact.orders,
        "price_minor": 0,
        "due_minor": 0,
        "back_minor": 0,
        "sales_minor": 0,
        "sales_paid_minor": 0,
        "sold_by": [],
        "took": {**bill.NOTHING_PAID, "spent": [0, 0, 0], "earned": []},
        "gave": bill.NOTHING_PAID,
        "seconds": 0,
        "flags": [],
        "why": "",
        "operator": fact.operator,
        "started_ms": fact.at_ms,
        "ended_ms": 0,
    }
    tables.table("sessions").put(fact.session, row)
    pcs.change(tables, fact.pc, session=fact.session, expects=None)
    if fact.customer:
        accounts.change(tables, fact.customer, session=fact.session)
        accounts.move(tables, fact.customer, "pc-started", fact.at_ms, fact.operator,
                      ref=fact.session, pc=fact.number)  # fmt: skip
    if fact.serial:
        pins.take(tables, fact.serial, fact.session, fact.at_ms)
    reservations.apply_used(tables, fact.reservation, fact.session)


def reapply_started(tables: Tables, fact: SessionStarted) -> None:
    """Of a lost life: a PC, a customer and a card that this one has in another session stay there;
    the floor closes what is left over."""
    pc = tables.table("pcs").peek(fact.pc) or {"session": ""}
    other, mine = str(pc["session"]), bill.session_of(tables, fact.customer)
    card = str((tables.table("pins").peek(str(fact.serial)) or {}).get("session", ""))
    kept = tables.table("reservations").peek(fact.reservation) if fact.reservation else None
    if kept is not None and kept["state"] != "open":
        amount = kept["deposit_minor"]
        exceptions.note(tables, "decided-twice", fact.session, fact.at_ms, amount_minor=amount)
    apply_started(tables, fact)
    if other:
        pcs.change(tables, fact.pc, session=other)
    if mine:
        accounts.change(tables, fact.customer, session=mine)
    if card:
        pins.take(tables, fact.serial, card, fact.at_ms)


def apply_held(tables: Tables, fact: SessionHeld) -> None:
    table = tables.table("sessions")
    row = table.row(fact.session)
    if row is None or row["state"] not in bill.LIVE:
        return
    _close_segment(row, fact.seconds)
    if row["pc"] != fact.pc:
        pcs.change(tables, row["pc"], session="")
        pcs.change(tables, fact.pc, session=fact.session, expects=None)
    row.update(pc=fact.pc, number=fact.number, state=fact.state, rate=fact.rate, rates=fact.rates)
    row["open_s"] = fact.at_ms // 1000 if fact.state == "running" else 0
    row["seconds"] = fact.seconds
    table.put(fact.session, row)


def reapply_held(tables: Tables, fact: SessionHeld) -> None:
    """Of a lost life: a PC that this one has in another session stays there."""
    other = str((tables.table("pcs").peek(fact.pc) or {"session": ""})["session"])
    apply_held(tables, fact)
    if other and other != fact.session:
        pcs.change(tables, fact.pc, session=other)


def _close_segment(row: dict[str, Any], seconds: int) -> None:
    row["segments"] = [list(segment) for segment in bill.segments_of(row, seconds)]
    row["open_s"] = 0


def apply_extended(tables: Tables, fact: TimeAdded) -> None:
    table = tables.table("sessions")
    row = table.row(fact.session)
    if row is not None:
        row["limit_s"] = fact.limit_s
        row["paid_minor"] += fact.paid_minor
        row["orders"] = [*row["orders"], fact.order]
        table.put(fact.session, row)


def apply_ended(tables: Tables, fact: SessionEnded) -> None:
    table = tables.table("sessions")
    row = table.row(fact.session)
    if row is None or row["state"] not in bill.LIVE:
        return
    _close_segment(row, fact.seconds)
    row.update(
        seconds=fact.seconds,
        price_minor=fact.price_minor,
        due_minor=fact.due_minor,
        back_minor=fact.back_minor,
        why=fact.why,
        flags=fact.flags,
        ended_ms=fact.at_ms,
    )
    row["state"] = bill.state_of(row)
    table.put(fact.session, row)
    if (tables.table("pcs").peek(row["pc"]) or {}).get("session") == fact.session:
        pcs.change(tables, row["pc"], session="")
    if row["customer"]:
        lasted = (row["started_ms"], fact.at_ms)
        accounts.end_session(tables, row["customer"], fact.session, fact.used, lasted)
        accounts.move(
            tables, row["customer"], "pc-ended", fact.at_ms, fact.operator, ref=fact.session,
            seconds=-fact.used.get("seconds", 0), pc=row["number"], ran_s=fact.seconds,
        )  # fmt: skip
    if row["serial"]:
        pins.give(tables, row["serial"], fact.session, fact.used.get("taken_s", 0), fact.at_ms)


# --- queries -------------------------------------------------------------------------------


def due(tables: Tables) -> list[tuple[str, Mapping[str, Any]]]:
    """Sessions that are over and wait for their money, the oldest first."""
    rows = tables.table("sessions").search(where("state") == "due")
    return sorted(((str(row.doc_id), row) for row in rows), key=lambda one: int(one[1]["ended_ms"]))


def running(tables: Tables) -> list[tuple[str, Mapping[str, Any]]]:
    """Sessions that have not ended."""
    return [
        (str(row.doc_id), row)
        for state in sorted(bill.LIVE)
        for row in tables.table("sessions").search(where("state") == state)
    ]


def who(tables: Tables, row: Mapping[str, Any]) -> str:
    """Name of who is at a PC: the user name, or the serial of the card; empty for nobody known."""
    if row["customer"]:
        person = tables.table("people").peek(row["customer"])
        return str(person["user"]) if person is not None else "–"
    if row["serial"]:
        card = pins.of(tables, row["serial"])
        return pins.label(pins.of_profile(tables, card["profile"])["form"], row["serial"])
    return ""


KINDS = (
    Kind("session.start", StartSession, "session.run", decide_start, server_only=True),
    Kind("session.open", OpenSession, "", decide_open, server_only=True),
    Kind("session.pause", PauseSession, "session.run", decide_pause, server_only=True),
    Kind("session.resume", ResumeSession, "session.run", decide_resume, server_only=True),
    Kind("session.move", MoveSession, "session.run", decide_move, server_only=True),
    Kind("session.add", AddTime, "session.run", decide_add, server_only=True),
    Kind("session.end", EndSession, "session.run", decide_end, server_only=True),
    Kind("session.close", CloseSession, "", decide_close, server_only=True),
)
EVENTS = (
    EventKind("session.started", SessionStarted, apply_started, reapply=reapply_started),
    EventKind("session.held", SessionHeld, apply_held, reapply=reapply_held),
    EventKind("session.extended", TimeAdded, apply_extended),
    EventKind("session.ended", SessionEnded, apply_ended),
)
INDEXES = {"sessions": (("state", "customer"), ("started_ms",))}
