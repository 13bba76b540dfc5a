"""Settling: what a session's time and the sales on its account are paid with, and what goes back.

    due     paid with methods, as debt, and the rest in cash; a customer's bonus and credit first
    back    paid beforehand and not used: the operator gives it out, or keeps it

Time is paid as an order of its own. The sales on the account are sales already: paying moves them
from "PC" to what pays them, and what did is kept, so that a refund goes back there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from node.cafe import (
    accounts,
    bill,
    box,
    credit,
    exceptions,
    meter,
    operators,
    orders,
    pcs,
    profiles,
    refunds,
    settings,
)
from node.cafe.kinds import Acting, Amount, Command, EventKind, Fact, Hex, Kind, event
from node.cafe.money import pay
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

# --- commands ----------------------------------------------------------------


class PaySession(Command, frozen=True):
    """Pay what a session left due: with methods, as debt, and the rest in cash."""

    session: Hex
    payments: orders.Payments = ()
    debt_minor: Amount = 0
    tendered_minor: Amount | None = None


class GiveBack(Command, frozen=True):
    """Give out what was paid beforehand and not used, or keep it since nobody has come for it."""

    session: Hex
    keep: bool = False


# --- events ------------------------------------------------------------------


class SessionPaid(Fact, frozen=True):
    """A part of what was due, or all of it."""

    session: str
    time_minor: int
    sales_minor: int
    """What of the sales on its account is paid with this."""
    methods: list[list[Any]]
    """``[method, amount]`` of those; what is in no other method is cash."""
    cash_minor: int
    rounding_minor: int
    account: dict[str, Any]
    operator: str
    at_ms: int
    box: int


class SessionReturned(Fact, frozen=True):
    """What nobody had used went back, or the café has kept it."""

    session: str
    amount_minor: int
    kept: bool
    operator: str
    at_ms: int


# --- decide: pay -------------------------------------------------------------


def by_account(
    tables: Tables,
    session: str,
    row: Mapping[str, Any],
    time_due: int,
    sales_due: int,
    seconds: int,
    acting: Acting,
) -> list[Event]:
    """Bonus and credit pay as far as they go: first the time, then the sales."""
    account = accounts.of(tables, row["customer"])
    paid = credit.settle(bill.balance_of(tables, row, account), time_due + sales_due)
    of_account = paid.bonus + paid.credit
    if not of_account:
        return []
    of_time = min(time_due, of_account)
    payments = [[accounts.CREDIT, of_account]]
    spent = [paid.bonus, paid.credit, 0]
    return _pay(tables, session, row, of_time, of_account - of_time, payments, 0, None, acting,
                seconds=seconds, spent=spent, quiet=True)  # fmt: skip


def decide_pay(tables: Tables, command: PaySession, acting: Acting) -> list[Event]:
    row = tables.table("sessions").peek(command.session)
    if row is None:
        raise Refused("no-session")
    if row["state"] in bill.LIVE or not row["due_minor"]:
        raise Refused("bad-state", state=row["state"], label=f"PC {row['number']}")
    payments: list[list[Any]] = [[one.method, one.amount_minor] for one in command.payments]
    named = [method for method, _ in payments]
    if not orders.are_methods(settings.cafe(tables), named, customer=None):
        raise Refused("unknown-method", what=", ".join(named))
    spent = [0, 0, 0]
    if command.debt_minor:
        if not row["customer"]:
            raise Refused("customer-needed")
        operators.check(acting.operator, "customer.debt")
        account = accounts.of(tables, row["customer"])
        most = profiles.of(tables, account["profile"])["max_debt_minor"]
        held = bill.balance_of(tables, row, account)
        paid = credit.settle(held, command.debt_minor, max_debt=most)
        if paid.due:
            raise Refused("not-enough-credit", short_minor=paid.due)
        spent = [paid.bonus, paid.credit, paid.debt]
        payments.append([accounts.CREDIT, command.debt_minor])
    due = row["due_minor"]
    sales = min(due, row["sales_minor"] - row["sales_paid_minor"])
    step = settings.cash_at(settings.cafe(tables), acting.context.seq)
    cash = pay(due, sum(a for _, a in payments), command.tendered_minor, *step)
    return _pay(tables, command.session, row, due - sales, sales, payments, cash.cash,
                command.tendered_minor, acting, seconds=row["seconds"], spent=spent)  # fmt: skip


def _pay(
    tables: Tables,
    session: str,
    row: Mapping[str, Any],
    of_time: int,
    of_sales: int,
    payments: list[list[Any]],
    cash: int,
    tendered_minor: int | None,
    acting: Acting,
    *,
    seconds: int,
    spent: list[int],
    quiet: bool = False,
) -> list[Event]:
    """Pay time as a sale of its own, and move the sales on the account to what pays them.

    The methods pay the time first. What rounding of cash leaves goes with the larger part.
    """
    for_time, for_sales = _share(payments, of_time)
    time_cash = of_time - sum(amount for _, amount in for_time)
    sales_cash = of_sales - sum(amount for _, amount in for_sales)
    due = time_cash, sales_cash
    rounding = cash - sum(due)
    if time_cash >= sales_cash:
        time_cash = max(0, time_cash + rounding)
        sales_cash = cash - time_cash
    else:
        sales_cash = max(0, sales_cash + rounding)
        time_cash = cash - sales_cash
    spent_time, spent_sales = _split(spent, _of(for_time, accounts.CREDIT))
    events = []
    if of_time:
        line = orders.time_line(row["number"], row["rates"][row["rate"]], of_time, seconds)
        sold = orders.sell_time(
            tables,
            acting,
            line,
            cash=time_cash,
            payments=for_time,
            tendered_minor=None if tendered_minor is None else tendered_minor - sales_cash,
            session=session,
            customer=row["customer"],
            account=accounts.of_time(tables, row["customer"], of_time, spent_time),
            quiet=quiet,
        )
        events.append(sold)
    paid = SessionPaid(
        session=session,
        time_minor=of_time,
        sales_minor=of_sales,
        methods=for_sales,
        cash_minor=sales_cash,
        rounding_minor=sales_cash - due[1],
        account=accounts.of_time(tables, row["customer"], of_sales, spent_sales),
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
        box=box.current(tables)["number"],
    )
    return [*events, event("session.paid", paid)]


def _of(payments: Sequence[Sequence[Any]], wanted: str) -> int:
    return sum(amount for method, amount in payments if method == wanted)


def _split(spent: Sequence[int], first: int) -> tuple[list[int], list[int]]:
    """``[bonus, credit, debt]`` of ``first``, in this order, and of the rest."""
    mine, left = [], first
    for amount in spent:
        mine.append(min(left, amount))
        left -= mine[-1]
    return mine, [amount - part for amount, part in zip(spent, mine, strict=True)]


def _share(
    payments: Sequence[Sequence[Any]], of_time: int
) -> tuple[list[list[Any]], list[list[Any]]]:
    """What of the methods pays the time, and what the sales."""
    for_time, for_sales, left = [], [], of_time
    for method, amount in payments:
        part = min(left, amount)
        left -= part
        if part:
            for_time.append([method, part])
        if amount - part:
            for_sales.append([method, amount - part])
    return for_time, for_sales


# --- decide: give back -------------------------------------------------------


def unused(tables: Tables, row: Mapping[str, Any], price: int) -> int:
    """What somebody whom nobody knows has paid beforehand, has not used, and has not got back."""
    if row["customer"]:
        return 0
    return meter.unused(held_minor(tables, row), price, returnable=True)


def held_minor(tables: Tables, row: Mapping[str, Any]) -> int:
    """What was paid beforehand for a session and has not gone back."""
    left = sum(refunds.left_in(tables, order) for order in row["orders"])
    return min(int(row["paid_minor"]), left)


def decide_give_back(tables: Tables, command: GiveBack, acting: Acting) -> list[Event]:
    row = tables.table("sessions").peek(command.session)
    if row is None:
        raise Refused("no-session")
    if not row["back_minor"]:
        raise Refused("nothing-to-do")
    amount = to_give_back(tables, row)
    if command.keep:
        return [_returned(command.session, row["back_minor"], acting, kept=True)]
    return give_back(tables, command.session, row, amount, acting)


def to_give_back(tables: Tables, row: Mapping[str, Any]) -> int:
    """What of it goes back now: a refund by hand may have been faster."""
    back = int(row["back_minor"])
    return min(back, unused(tables, row, row["price_minor"])) if back else 0


def give_back(
    tables: Tables, session: str, row: Mapping[str, Any], amount: int, acting: Acting
) -> list[Event]:
    """Refunds of what was bought last, first."""
    events: list[Event] = []
    rest = amount
    for order in reversed(row["orders"]):
        part = min(rest, refunds.left_in(tables, order))
        rest -= part
        if part:
            wanted = refunds.RefundSale(order=order, amount_minor=part, reason="PC")
            events += refunds.decide_refund(tables, wanted, acting, number=len(events))
    return [*events, _returned(session, amount, acting)]


def _returned(session: str, amount: int, acting: Acting, *, kept: bool = False) -> Event:
    fact = SessionReturned(
        session=session,
        amount_minor=amount,
        kept=kept,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return event("session.returned", fact)


# --- apply -------------------------------------------------------------------


def apply_paid(tables: Tables, fact: SessionPaid) -> None:
    table = tables.table("sessions")
    row = table.row(fact.session)
    if row is None:
        return
    moved = _by_seller(row, fact)
    row["paid_minor"] += fact.time_minor
    row["sales_paid_minor"] += fact.sales_minor
    row["due_minor"] = max(0, row["due_minor"] - fact.time_minor - fact.sales_minor)
    row["took"] = _took(row["took"], fact)
    row["state"] = bill.state_of(row)
    table.put(fact.session, row)
    if fact.account:
        by = {"operator": fact.operator, "station": ""}
        accounts.apply_sale(tables, fact.account, fact.session, by, fact.at_ms)
    for seller, amount, methods, cash, rounding in moved:
        box.move_sales(tables, fact.box, pcs.PC, seller, amount, methods, cash, rounding)


def _by_seller(
    row: Mapping[str, Any], fact: SessionPaid
) -> list[tuple[str, int, list[list[Any]], int, int]]:
    """(who sold it, amount, methods, cash, rounding of it) of the sales that are paid: whose was
    sold first is paid first, and what rounding of cash leaves goes with the last."""
    pays = [*map(list, fact.methods), ["cash", fact.cash_minor - fact.rounding_minor]]
    skip, rest = row["sales_paid_minor"], fact.sales_minor
    parts: list[tuple[str, int]] = []
    for seller, amount in [*row["sold_by"], [fact.operator, rest + skip]]:
        gone = min(skip, amount)
        part = min(rest, amount - gone)
        skip, rest = skip - gone, rest - part
        if part:
            parts.append((seller, part))
    found = []
    for at, (seller, amount) in enumerate(parts):
        methods, cash, left = [], 0, amount
        for one in pays:
            part = min(left, one[1])
            one[1] -= part
            left -= part
            if one[0] == "cash":
                cash = part
            elif part:
                methods.append([one[0], part])
        rounding = fact.rounding_minor if at == len(parts) - 1 else 0
        found.append((seller, amount, methods, cash + rounding, rounding))
    return found


def _took(before: Mapping[str, Any], fact: SessionPaid) -> dict[str, Any]:
    """What has paid the sales on a session's account, with this."""
    methods = dict(before["methods"])
    for method, amount in fact.methods:
        methods[method] = methods.get(method, 0) + amount
    spent = fact.account.get("spent", [0, 0, 0])
    return {
        "cash_due": before["cash_due"] + fact.cash_minor - fact.rounding_minor,
        "cash": before["cash"] + fact.cash_minor,
        "methods": methods,
        "spent": [was + more for was, more in zip(before["spent"], spent, strict=True)],
        "earned": fact.account.get("earned", [0, *before["earned"]])[1:],
    }


def apply_returned(tables: Tables, fact: SessionReturned) -> None:
    table = tables.table("sessions")
    row = table.row(fact.session)
    if row is not None and row["state"] not in bill.LIVE:
        row["back_minor"] = 0
        row["state"] = bill.state_of(row)
        table.put(fact.session, row)


def reapply_paid(tables: Tables, fact: SessionPaid) -> None:
    """What both lives were paid is for a person; it counts once."""
    row = tables.table("sessions").peek(fact.session)
    if row is not None and row["due_minor"] < fact.time_minor + fact.sales_minor:
        amount = fact.time_minor + fact.sales_minor
        exceptions.note(tables, "decided-twice", fact.session, fact.at_ms, amount_minor=amount)
        return
    apply_paid(tables, replace(fact, box=box.counts_in(tables, fact.box)))


KINDS = (
    Kind("session.pay", PaySession, "session.run", decide_pay, server_only=True),
    Kind("session.give-back", GiveBack, "session.run", decide_give_back, server_only=True),
)
EVENTS = (
    EventKind("session.paid", SessionPaid, apply_paid, reapply=reapply_paid),
    EventKind("session.returned", SessionReturned, apply_returned),
)
