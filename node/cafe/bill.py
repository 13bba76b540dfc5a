"""What a session at a PC comes to: its price so far, and how far it goes.

Here stands what others want to know of a session; the acts that make it are in `sessions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from node.cafe import credit, meter, rates, settings
from node.cafe.credit import Balance
from node.cafe.meter import Segment
from sync.domain import Tables

LIVE = frozenset({"running", "paused"})
CREDIT = "credit"
"""The method of payment that is a customer's own account."""
PC = "pc"
"""The method of payment that is a PC's account: what its session will pay at its end."""


class Standing(NamedTuple):
    """How a session stands after so many running seconds."""

    price_minor: int
    limit_s: int
    """Running time at which it ends; 0 for none."""
    source: str
    """What pays for this second: ``pass``, ``promotion``, ``redeemed``, ``money``, ``pin``."""


def segments_of(row: Mapping[str, Any], ran_s: int) -> list[Segment]:
    """A session's segments as if its running time ended now."""
    closed = [Segment(*one) for one in row["segments"]]
    if row["open_s"]:
        more = max(0, ran_s - meter.length_s(closed))
        closed.append(Segment(row["open_s"], row["open_s"] + more, row["rate"]))
    return closed


def rates_of(row: Mapping[str, Any]) -> dict[str, meter.Rate]:
    return {name: rates.rate_of(values) for name, values in row["rates"].items()}


def buckets(tables: Tables, row: Mapping[str, Any]) -> meter.Buckets:
    account = tables.table("customers").peek(row["customer"]) if row["customer"] else None
    return meter.Buckets() if account is None else meter.buckets_of(account)


def standing(tables: Tables, row: Mapping[str, Any], ran_s: int) -> Standing:
    """What a session costs so far, and how far it goes."""
    segments, known, zone = segments_of(row, ran_s), rates_of(row), settings.zone(tables)
    if row["form"] == "pin":
        return Standing(0, row["limit_s"], "pin")
    time = buckets(tables, row)
    used = meter.use(segments, time)
    price = meter.price(used.billed, known, zone, after_buckets=used.has_buckets).minor
    if row["form"] != "customer":
        return Standing(price, row["limit_s"], "money")
    account = tables.table("customers").peek(row["customer"])
    assert account is not None  # accounts stay
    last = Segment(row["open_s"], row["open_s"], row["rate"]) if row["open_s"] else segments[-1]
    reaching = segments if row["open_s"] else [*segments, last._replace(start_s=last.end_s)]
    held = balance_of(tables, row, account)
    money = held.bonus + max(0, held.credit)
    limit = meter.reach_s(reaching, time, known, zone, money)
    return Standing(price, limit, _source(reaching, time))


def balance_of(tables: Tables, row: Mapping[str, Any], account: Mapping[str, Any]) -> Balance:
    """What an account can pay a session with: what was good when that began, and new money."""
    day = settings.today(tables, row["started_ms"]) if row["lapsed"] else credit.DAY_NEVER
    return credit.expire(credit.balance_of(account), day)[0]


def _source(segments: Sequence[Segment], time: meter.Buckets) -> str:
    """What pays for the second behind the last one."""
    *before, (start, end, rate) = segments
    now = meter.use([*before, Segment(start, end, rate)], time)
    then = meter.use([*before, Segment(start, end + 1, rate)], time)
    for name in ("passes", "promotion", "redeemed"):
        if getattr(then, name) > getattr(now, name):
            return name
    return "money"


NOTHING_PAID: Mapping[str, Any] = {"cash_due": 0, "cash": 0, "methods": {}}
"""Of the sales on a session's account: cash before and after rounding, and other methods."""


def paid_with(row: Mapping[str, Any] | None, amount_minor: int) -> dict[str, int]:
    """How much of something that was sold on a session's account is still to be paid (``pc``), and
    what has paid the rest. The sales of a session are one sum: what is to be paid counts first,
    then money that has paid it and has not gone back, cash before all, then the account."""
    if row is None:
        return {PC: amount_minor} if amount_minor else {}
    took, gave = row["took"], row["gave"]
    found, rest = {}, amount_minor
    methods = {name: paid - gave["methods"].get(name, 0) for name, paid in took["methods"].items()}
    of_account = methods.pop(CREDIT, 0)
    left = {
        PC: row["sales_minor"] - row["sales_paid_minor"],
        "cash": took["cash_due"] - gave["cash_due"],
        **methods,
        CREDIT: of_account,
    }
    for name, most in left.items():
        found[name] = max(0, min(rest, most))
        rest -= found[name]
    found[PC] += rest  # paid in a life of the server that is lost: nothing here can go back
    return {name: part for name, part in found.items() if part}


def state_of(row: Mapping[str, Any]) -> str:
    """State of a session that is over: money is to be taken or given, or nothing is left to do."""
    return "due" if row["due_minor"] or row["back_minor"] else "ended"


def owed_minor(tables: Tables, session: str, at_ms: int) -> int:
    """What a session has cost so far, if it has not ended."""
    row = tables.table("sessions").peek(session) if session else None
    if row is None or row["state"] not in LIVE:
        return 0
    return standing(tables, row, seconds_by_clock(row, at_ms)).price_minor


def seconds_by_clock(row: Mapping[str, Any], at_ms: int) -> int:
    """Running time by the instants alone, where nobody has measured it."""
    open_s = row["open_s"]
    return closed_s(row) + (max(0, at_ms // 1000 - open_s) if open_s else 0)


def closed_s(row: Mapping[str, Any]) -> int:
    """Running time of the stretches that have ended."""
    return meter.length_s([Segment(*one) for one in row["segments"]])


def end_soon(tables: Tables, session: str, why: str) -> None:
    """Note on a session that the floor has to end it, and why."""
    row = tables.table("sessions").row(session) if session else None
    if row is not None and row["state"] in LIVE:
        tables.table("sessions").put(session, {**row, "why": why})


def session_of(tables: Tables, customer: str) -> str:
    """Id of the session that a customer is in; empty for none."""
    row = tables.table("customers").peek(customer) if customer else None
    return str(row.get("session", "")) if row is not None else ""
