"""Reservations of PCs: a while for which a PC is kept for somebody, with a deposit if the café asks
for one. The deposit is a sale of time, and pays for the session that begins with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from tinydb import where

from node.cafe import operators, orders, pcs, rates, records, refunds, settings
from node.cafe.kinds import Acting, Amount, Command, EventKind, Fact, Hex, Kind, Name, Reason, event
from node.cafe.money import pay
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

AHEAD_MS = 900_000
"""So long before its time a reserved PC is kept free."""
MINUTE_MS = 60_000

# --- commands ----------------------------------------------------------------


class MakeReservation(Command, frozen=True):
    """Keep a PC for somebody."""

    pc: Hex
    name: Name
    from_ms: Annotated[int, Meta(ge=0, le=2**42)]
    minutes: Annotated[int, Meta(ge=1, le=1440)]
    customer: Hex = ""
    deposit_minor: Amount = 0
    tendered_minor: Amount | None = None


class EndReservation(Command, frozen=True):
    """Nobody comes; the deposit goes back, or stays where it is."""

    reservation: Hex
    refund: bool
    reason: Reason


# --- events ------------------------------------------------------------------


class ReservationMade(Fact, frozen=True):
    reservation: str
    pc: str
    name: str
    from_ms: int
    to_ms: int
    customer: str
    deposit_minor: int
    operator: str
    at_ms: int


class ReservationEnded(Fact, frozen=True):
    reservation: str
    reason: str
    operator: str
    at_ms: int


# --- decide ------------------------------------------------------------------


def decide_make(tables: Tables, command: MakeReservation, acting: Acting) -> list[Event]:
    row = pcs.of(tables, command.pc)
    if command.customer:
        records.of(tables, "customers", command.customer, "unknown-customer")
    to_ms = command.from_ms + command.minutes * MINUTE_MS
    if to_ms <= acting.context.at_ms:
        raise Refused("already-over")
    for other in open_of(tables, command.pc):
        if command.from_ms < other["to_ms"] and other["from_ms"] < to_ms:
            raise Refused("reserved", name=other["name"])
    key = acting.context.op.key.hex()
    fact = ReservationMade(
        reservation=key,
        pc=command.pc,
        name=command.name,
        from_ms=command.from_ms,
        to_ms=to_ms,
        customer=command.customer,
        deposit_minor=command.deposit_minor,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    events = [event("reservation.made", fact)]
    if command.deposit_minor:
        _, values = rates.in_force(tables, row["rate"])
        step = settings.cash_at(settings.cafe(tables), acting.context.seq)
        cash = pay(command.deposit_minor, 0, command.tendered_minor, *step)
        line = orders.time_line(row["number"], values, command.deposit_minor, 0)
        events.append(
            orders.sell_time(
                tables,
                acting,
                line,
                cash=cash.cash,
                payments=[],
                tendered_minor=command.tendered_minor,
                session=key,
            )
        )
    return events


def decide_end(tables: Tables, command: EndReservation, acting: Acting) -> list[Event]:
    row = records.of(tables, "reservations", command.reservation, "unknown-reservation")
    if row["state"] != "open":
        raise Refused("bad-state", state=row["state"], label=row["name"])
    if not command.reason.strip():
        raise Refused("reason-needed")
    fact = ReservationEnded(
        reservation=command.reservation,
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    events = [event("reservation.ended", fact)]
    if command.refund and left_of(tables, command.reservation):
        operators.check(acting.operator, "sale.refund")
        back = refunds.RefundSale(order=command.reservation, reason=command.reason)
        events += refunds.decide_refund(tables, back, acting)
    return events


def check(tables: Tables, pc: str, at_ms: int, reservation: str) -> None:
    """`Refused` ``reserved`` for a PC that is kept for somebody else now, ``unknown-reservation``
    for one that is not of this PC and time."""
    mine = tables.table("reservations").peek(reservation) if reservation else None
    if reservation and (mine is None or mine["state"] != "open" or mine["pc"] != pc):
        raise Refused("unknown-reservation")
    if mine is not None and mine["to_ms"] <= at_ms:
        raise Refused("already-over")
    if mine is not None and at_ms < mine["from_ms"] - AHEAD_MS:
        raise Refused("too-early")
    for row in open_of(tables, pc):
        if is_due(row, at_ms) and str(row.doc_id) != reservation:
            raise Refused("reserved", name=row["name"])


# --- apply -------------------------------------------------------------------


def apply_made(tables: Tables, fact: ReservationMade) -> None:
    names = ("pc", "name", "from_ms", "to_ms", "customer", "deposit_minor")
    row: dict[str, Any] = {name: getattr(fact, name) for name in names}
    tables.table("reservations").put(
        fact.reservation, {**row, "state": "open", "reason": "", "session": ""}
    )


def apply_ended(tables: Tables, fact: ReservationEnded) -> None:
    table = tables.table("reservations")
    row = table.row(fact.reservation)
    if row is not None and row["state"] == "open":
        table.put(fact.reservation, {**row, "state": "ended", "reason": fact.reason})


def apply_used(tables: Tables, reservation: str, session: str) -> None:
    """A session has begun with it."""
    table = tables.table("reservations")
    row = table.row(reservation) if reservation else None
    if row is not None:
        table.put(reservation, {**row, "state": "used", "session": session})


# --- queries -----------------------------------------------------------------


def open_of(tables: Tables, pc: str) -> list[Any]:
    """Those of a PC with which nothing was done yet, though they may be over; in their order."""
    rows = tables.table("reservations").search((where("pc") == pc) & (where("state") == "open"))
    return sorted(rows, key=lambda row: int(row["from_ms"]))


def is_due(row: Mapping[str, Any], at_ms: int) -> bool:
    """Whether a session can begin with a reservation now."""
    return bool(row["from_ms"] - AHEAD_MS <= at_ms < row["to_ms"])


def left_of(tables: Tables, reservation: str) -> int:
    """What of the deposit has not gone back."""
    return sum(refunds.left_in(tables, order) for order in orders_of(tables, reservation))


def orders_of(tables: Tables, reservation: str) -> list[str]:
    """The order that took the deposit, if there is one."""
    row = tables.table("reservations").peek(reservation) if reservation else None
    return [reservation] if row is not None and row["deposit_minor"] else []


KINDS = (
    Kind("reservation.make", MakeReservation, "reservation.edit", decide_make, server_only=True),
    Kind("reservation.end", EndReservation, "reservation.edit", decide_end, server_only=True),
)
EVENTS = (
    EventKind("reservation.made", ReservationMade, apply_made),
    EventKind("reservation.ended", ReservationEnded, apply_ended),
)
INDEXES = {"reservations": (("pc",), ("from_ms",))}
