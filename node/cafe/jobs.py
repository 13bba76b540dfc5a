"""Prints, scans and disc recordings: priced by the page, scan or disc, and parked until they are
paid.

    pending ──▶ paid          whole, as a line of an order, offline too
       └──────▶ cancelled     with a reason

A job that is paid twice, or after it was cancelled, counts, and is flagged for a refund. Pending
ones move to the next box, whose close they stop for who may not close with them.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace
from tinydb import where
from tinydb.table import Document

from node.cafe import catalog, exceptions, settings
from node.cafe.kinds import (
    Acting,
    Code,
    Command,
    EventKind,
    Fact,
    Hex,
    Kind,
    Price,
    Reason,
    event,
)
from node.cafe.money import MAX_QUANTITY, MAX_TICKET_MINOR, job_price
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

JOB_KINDS = frozenset({"print", "scan", "disc"})
Units = Annotated[int, Meta(ge=0, le=10**6)]

# --- commands ----------------------------------------------------------------


class ParkJob(Command, frozen=True):
    """Write down what was printed, scanned or recorded, to be paid later."""

    sku: Code
    units: Units
    """Page sides, scans or discs of one copy."""
    copies: Units = 1
    note: Annotated[str, Meta(max_length=80)] = ""
    """Whose it is, or from which PC."""
    price_minor: Price | None = None
    """Of a unit; filled in by the node where it is made."""


class CancelJob(Command, frozen=True):
    """Nobody will pay this."""

    job: Hex
    reason: Reason = ""


# --- events ------------------------------------------------------------------


class JobParked(Fact, frozen=True):
    job: str
    sku: str
    name: str
    kind: str
    units: int
    copies: int
    price_minor: int
    amount_minor: int
    note: str
    operator: str
    station: str
    at_ms: int


class JobCancelled(Fact, frozen=True):
    job: str
    reason: str
    operator: str
    at_ms: int


# --- decide ------------------------------------------------------------------


def fill(tables: Tables, command: ParkJob) -> ParkJob:
    """The command with the price that this node sees."""
    row = tables.table("products").peek(command.sku)
    if row is None or command.price_minor is not None:
        return command
    return replace(command, price_minor=row["price_minor"])


def decide_park(tables: Tables, command: ParkJob, acting: Acting) -> list[Event]:
    product = tables.table("products").peek(command.sku)
    if product is None:
        raise Refused("unknown-product", sku=command.sku)
    if product["kind"] not in JOB_KINDS:
        raise Refused("no-job", sku=command.sku)
    if command.price_minor is None:
        raise Refused("bad-field", what="price_minor")
    base = acting.context.op.base if acting.context.server else acting.context.seq
    known = catalog.price_at(product, base, acting.context.op.chain.hex())
    if command.price_minor != known and not product["open_price"]:
        raise Refused("price-differs", sku=command.sku)
    amount = amount_of(tables, command.units, command.copies, command.price_minor, base)
    if amount > MAX_TICKET_MINOR or command.units * command.copies > MAX_QUANTITY:
        raise Refused("out-of-range", what="units")
    fact = JobParked(
        job=acting.context.op.key.hex(),
        sku=command.sku,
        name=product["name"],
        kind=product["kind"],
        units=command.units,
        copies=command.copies,
        price_minor=command.price_minor,
        amount_minor=amount,
        note=command.note,
        operator=acting.operator_id,
        station=acting.station_id,
        at_ms=acting.context.at_ms,
    )
    return [event("job.parked", fact)]


def decide_cancel(tables: Tables, command: CancelJob, acting: Acting) -> list[Event]:
    row = tables.table("jobs").peek(command.job)
    if row is None:
        raise Refused("unknown-job", job=command.job)
    check_cancel(row["state"], command.reason)
    fact = JobCancelled(
        job=command.job,
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("job.cancelled", fact)]


def check_cancel(state: str, reason: str) -> None:
    """`Refused` if a job in this state may not be cancelled for this reason."""
    if state != "pending":
        raise Refused("bad-state", state=state, label="")
    if not reason.strip():
        raise Refused("reason-needed")


# --- apply -------------------------------------------------------------------


def apply_parked(tables: Tables, fact: JobParked) -> None:
    row: dict[str, Any] = {
        name: getattr(fact, name) for name in fact.__struct_fields__ if name != "job"
    }
    tables.table("jobs").put(fact.job, {**row, "state": "pending", "order": "", "reason": ""})


def apply_cancelled(tables: Tables, fact: JobCancelled) -> None:
    table = tables.table("jobs")
    row = table.row(fact.job)
    if row is not None and row["state"] == "pending":
        table.put(fact.job, {**row, "state": "cancelled", "reason": fact.reason})


def apply_paid(tables: Tables, job: str, order: str, at_ms: int) -> None:
    """An order paid for it; if another had, or it was cancelled, a person gives the money back."""
    table = tables.table("jobs")
    row = table.row(job)
    if row is None:
        return
    if flag_of_payment(row["state"]):
        exceptions.note(tables, "already-paid", order, at_ms, job=job, first=row["order"])
    else:
        table.put(job, {**row, "state": "paid", "order": order})


# --- queries -----------------------------------------------------------------


def amount_of(tables: Tables, units: int, copies: int, price_minor: int, base: int) -> int:
    """What a job costs in this café for who had folded entry ``base``."""
    step = settings.print_step_at(settings.cafe(tables), base)
    return job_price(units, copies, price_minor, step)


def flag_of_payment(state: str) -> str:
    """``already-paid`` if the money of one more payment must go back, or empty."""
    return "" if state == "pending" else "already-paid"


def pending(tables: Tables) -> list[Document]:
    """Jobs that wait for their money, the oldest first."""
    return sorted(
        tables.table("jobs").search(where("state") == "pending"), key=lambda row: row["at_ms"]
    )


KINDS = (
    Kind("job.park", ParkJob, "job.park", decide_park),
    Kind("job.cancel", CancelJob, "job.cancel", decide_cancel),
)
EVENTS = (
    EventKind("job.parked", JobParked, apply_parked),
    EventKind("job.cancelled", JobCancelled, apply_cancelled),
)
INDEXES = {"jobs": (("state",), ())}
