"""Refunds: what goes back of a sale, as a counter-entry; the sale itself never changes.

Parts sum to the whole: units, tax and rounded cash are those of everything given back so far, less
those of what was given back before. The money comes from the box that is open now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from msgspec import Meta
from msgspec.structs import replace

from node.cafe import accounts, bill, box, exceptions, lines, pcs, pins, prints, settings, stock
from node.cafe.kinds import Acting, Command, EventKind, Fact, Hex, Kind, Quantity, Reason, event
from node.cafe.money import refund_cash, refund_tax, refund_units, shares
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

# --- commands ----------------------------------------------------------------


class RefundedLine(Command, frozen=True):
    """Units of one line that come back."""

    line: Annotated[int, Meta(ge=0, le=199)]
    units: Quantity


class RefundSale(Command, frozen=True):
    """Give money back: for units of lines, or a plain amount; with neither, all that is left."""

    order: Hex
    lines: Annotated[tuple[RefundedLine, ...], Meta(max_length=200)] = ()
    amount_minor: box.Sum | None = None
    reason: Reason = ""
    restock: bool = True
    """Whether the units go back on the shelf."""
    method: box.MethodName | None = None
    """Where the money goes back to; what was paid in cash first if it is not said."""


# --- events ------------------------------------------------------------------


class SaleRefunded(Fact, frozen=True):
    refund: str
    order: str
    number: int
    """Which refund of this sale it is."""
    amount_minor: int
    methods: list[list[Any]]
    """``[method, amount]``; of cash, what was paid out."""
    cash_due_minor: int
    """Of the amount, what goes back in cash, before rounding."""
    taxes: list[list[int]]
    """``[basis points, gross, tax]``."""
    lines: list[list[int]]
    """``[line, units, amount]``."""
    restocked: list[list[Any]]
    reason: str
    operator: str
    at_ms: int
    box: int
    account: dict[str, Any] = {}
    """What it does to the customer's account, as `accounts.of_refund` says."""
    pins: list[int] = []
    """Serials that are worth nothing any more."""
    of_session: dict[str, Any] = {}
    """What of it had been sold on a PC's account and was paid there, as `_Back.of_session` says."""


# --- decide ------------------------------------------------------------------


def decide_refund(
    tables: Tables, command: RefundSale, acting: Acting, *, number: int = 0
) -> list[Event]:
    """``number``: which refund of its act it is, where one gives back more than one sale."""
    row = tables.table("orders").peek(command.order)
    if row is None:
        raise Refused("unknown-order")
    check_sale(row["state"], command.reason, desk=acting.desk, label=row["label"])
    opened = box.current(tables)
    gone = row.get("refunded") or NOTHING
    back = _lines_back(row, gone, command)
    left = left_of(row["total_minor"], gone["minor"])
    amount = _amount(command, back, left)
    _check_bound(row, back, amount)
    of_credit = sum(p for at, _, p in back if accounts.buys_credit(row["lines"][at]))
    going = _going(tables, row, gone, amount, of_credit, command.method, acting)
    serials = pins.check_refund(tables, command.order, row["lines"], back)
    account = accounts.of_refund(
        tables, command.order, row, back, going.own, going.own_minor, acting
    )
    restocked = []
    if command.restock:
        units = [{**row["lines"][at], "quantity": units} for at, units, _ in back]
        restocked = [list(unit) for unit in lines.units_of(units)]
    fact = SaleRefunded(
        refund=_refund_id(acting.context.op.key, number),
        order=command.order,
        number=gone["number"] + 1,
        amount_minor=amount,
        methods=going.methods,
        cash_due_minor=going.cash_due,
        taxes=_taxes(row, gone, back, amount),
        lines=back,
        restocked=restocked,
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
        box=opened["number"],
        account=account,
        pins=serials,
        of_session=going.of_session,
    )
    return [event("sale.refunded", fact)]


def _refund_id(key: bytes, number: int) -> str:
    """Id of an act's refund: the act's own for its first one."""
    if not number:
        return key.hex()
    return hashlib.blake2b(key, digest_size=len(key), salt=number.to_bytes(2, "big")).hexdigest()


NOTHING: Mapping[str, Any] = {
    "number": 0,
    "minor": 0,
    "units": {},
    "rates": {},
    "methods": {},
    "cash_due": 0,
    "cash_given": 0,
}


def check_sale(state: str, reason: str, *, desk: bool, label: str = "") -> None:
    """`Refused` ``server-only``, ``bad-state``, ``reason-needed`` if nothing may go back."""
    if not desk:
        raise Refused("server-only", kind="sale.refund")
    if state != "collected":
        raise Refused("bad-state", state=state, label=label)
    if not reason.strip():
        raise Refused("reason-needed")


def left_of(total_minor: int, refunded_minor: int) -> int:
    """What of a sale has not gone back yet."""
    return total_minor - refunded_minor


def left_in(tables: Tables, order: str) -> int:
    """What of an order's money has not gone back; 0 for one that is not here."""
    row = tables.table("orders").peek(order)
    if row is None:
        return 0
    return left_of(row["total_minor"], (row.get("refunded") or NOTHING)["minor"])


def check_amount(amount_minor: int, left_minor: int) -> int:
    """The amount, or `Refused` ``out-of-range`` if it is nothing or more than is left."""
    if not 1 <= amount_minor <= left_minor:
        raise Refused("out-of-range", what="amount_minor")
    return amount_minor


def _amount(command: RefundSale, back: list[list[int]], left: int) -> int:
    if command.amount_minor is not None:
        if back:
            raise Refused("bad-field", what="lines, amount_minor")
        return check_amount(command.amount_minor, left)
    if command.lines:  # what was given back as an amount before may have covered some of it
        wanted = min(left, sum(amount for _, _, amount in back))
        return wanted if back and not wanted else check_amount(wanted, left)
    return left if back and not left else check_amount(left, left)


def _lines_back(
    row: Mapping[str, Any], gone: Mapping[str, Any], command: RefundSale
) -> list[list[int]]:
    """``[line, units, amount]`` of what comes back; all units that are left if nothing is said."""
    wanted = {one.line: one.units for one in command.lines}
    if len(wanted) < len(command.lines):
        raise Refused("repeated", what="lines")
    if not wanted and command.amount_minor is None:
        left = {
            at: line["quantity"] - gone["units"].get(str(at), 0)
            for at, line in enumerate(row["lines"])
        }
        wanted = {at: units for at, units in left.items() if units}
    back = []
    for at, units in sorted(wanted.items()):
        if at >= len(row["lines"]):
            raise Refused("out-of-range", what="lines")
        line, before = row["lines"][at], gone["units"].get(str(at), 0)
        amount = refund_units(line["amount_minor"], line["quantity"], before, units)
        back.append([at, units, amount])
    return back


def _taxes(
    row: Mapping[str, Any], gone: Mapping[str, Any], back: list[list[int]], amount: int
) -> list[list[int]]:
    """How the amount falls on the sale's rates: by its lines, or pro rata of what is left."""
    gross: dict[int, int] = {}
    for line in row["lines"]:
        gross[line["tax_bp"]] = gross.get(line["tax_bp"], 0) + line["amount_minor"]
    rates = sorted(gross)
    before = {bp: gone["rates"].get(str(bp), 0) for bp in rates}
    wanted = dict.fromkeys(rates, 0)
    for at, _, part in back:
        wanted[row["lines"][at]["tax_bp"]] += part
    left = [gross[bp] - before[bp] for bp in rates]
    parts = [wanted[bp] for bp in rates]
    if sum(parts) != amount or any(part > rest for part, rest in zip(parts, left, strict=True)):
        parts = shares(amount, left)
    return [
        [bp, part, refund_tax(gross[bp], before[bp], part, bp)]
        for bp, part in zip(rates, parts, strict=True)
        if part
    ]


def _check_bound(row: Mapping[str, Any], back: list[list[int]], amount: int) -> None:
    """`Refused` ``lines-needed`` for a plain amount of a sale whose lines gave more than goods."""
    kinds = accounts.FOR_CUSTOMERS | pins.SECRET_KINDS
    bound = any(line["kind"] in kinds or "combo" in line for line in row["lines"])
    if bound and sum(part for _, _, part in back) != amount:
        raise Refused("lines-needed")


class _Back(NamedTuple):
    """How an amount goes back."""

    methods: list[list[Any]]
    """``[method, amount]`` with cash as it is paid out."""
    own: list[list[Any]]
    """What of them had paid this sale itself, or stands on a PC's account."""
    own_minor: int
    """What goes back of what was handed over with this sale itself, before rounding."""
    cash_due: int
    """The part that goes back in cash, before rounding."""
    of_session: dict[str, Any]
    """What had paid the account that it was sold on: ``session``, ``cash_due``, ``cash``,
    ``methods``, and ``account`` as `accounts.of_time_back` says; empty for nothing."""


def _going(
    tables: Tables,
    row: Mapping[str, Any],
    gone: Mapping[str, Any],
    amount: int,
    of_credit: int,
    wanted: str | None,
    acting: Acting,
) -> _Back:
    """``of_credit`` of the amount had bought credit: that was paid with money, and money goes back
    for it; what the account has paid goes back to the account. What was sold on a PC's account
    comes off that while it is to be paid, and goes back to what has paid it otherwise."""
    own = dict(row["payments"])
    cash_due = row["total_minor"] - sum(own.values())
    on_pc = own.pop(pcs.PC, 0) - gone["methods"].get(pcs.PC, 0)
    own = {method: paid - gone["methods"].get(method, 0) for method, paid in own.items()}
    own = {"cash": cash_due - gone["cash_due"], **own}
    session = tables.table("sessions").peek(row.get("session", "")) if on_pc else None
    inside = bill.paid_with(session, on_pc)
    left = {method: own.get(method, 0) + inside.get(method, 0) for method in {**own, **inside}}
    bought = accounts.credit_lines_minor(row["lines"]) - gone.get("credit", 0)
    chosen = _choose(left, bought, amount, of_credit, wanted)
    mine = {method: min(part, own.get(method, 0)) for method, part in chosen.items()}
    theirs = {method: part - mine[method] for method, part in chosen.items()}
    off = theirs.pop(pcs.PC, 0)
    cash = 0
    if mine.get("cash"):
        step = settings.cash_at(settings.cafe(tables), row["seq"])  # that of the sale
        paid, given = row["cash_minor"], gone["cash_given"]
        cash = refund_cash(cash_due, paid, gone["cash_due"], given, mine["cash"], *step)
    parts = {"cash": cash} if mine.get("cash") else {}
    parts |= {method: part for method, part in mine.items() if part and method != "cash"}
    if off:
        parts[pcs.PC] = off
    own_parts = _pairs(parts)
    of_session: dict[str, Any] = {}
    if session is not None and any(theirs.values()):
        of_session = _of_session(tables, row["session"], session, theirs, acting)
        if theirs.get("cash"):
            parts = {"cash": parts.pop("cash", 0) + of_session["cash"], **parts}
        for method, part in of_session["methods"]:
            parts[method] = parts.get(method, 0) + part
    here = sum(mine.values())
    return _Back(_pairs(parts), own_parts, here, chosen.get("cash", 0), of_session)


def _pairs(parts: Mapping[str, int]) -> list[list[Any]]:
    return [[method, part] for method, part in parts.items()]


def _of_session(
    tables: Tables, name: str, session: Mapping[str, Any], parts: Mapping[str, int], acting: Acting
) -> dict[str, Any]:
    """What of a session's payments goes back, as `_Back.of_session` says; cash is rounded in the
    sum of all that it sold."""
    took, gave, cash_due = session["took"], session["gave"], parts.get("cash", 0)
    methods = [[method, part] for method, part in parts.items() if part and method != "cash"]
    step = settings.cash_at(settings.cafe(tables), acting.context.seq)
    return {
        "session": name,
        "cash_due": cash_due,
        "cash": refund_cash(
            took["cash_due"], took["cash"], gave["cash_due"], gave["cash"], cash_due, *step
        )
        if cash_due
        else 0,
        "methods": methods,
        "account": accounts.of_time_back(tables, session, methods, cash_due),
    }


def _choose(
    left: Mapping[str, int], bought: int, amount: int, of_credit: int, wanted: str | None
) -> dict[str, int]:
    """How much of an amount goes back to which method, of what is ``left`` with each."""
    money = sum(most for method, most in left.items() if method != accounts.CREDIT)
    if wanted is not None:
        if left.get(wanted, 0) < amount or (wanted == accounts.CREDIT and of_credit):
            raise Refused("out-of-range", what="method")
        if wanted != accounts.CREDIT and amount - of_credit > money - bought:
            raise Refused("out-of-range", what="method")
        return {wanted: amount}
    # Money for what bought credit, and beside that only money that did not.
    rest = of_credit + min(amount - of_credit, money - bought)
    chosen = {accounts.CREDIT: amount - rest}
    for method, most in left.items():
        if method != accounts.CREDIT:
            chosen[method] = min(rest, most)
            rest -= chosen[method]
    return chosen


# --- apply -------------------------------------------------------------------


def apply_refunded(tables: Tables, fact: SaleRefunded) -> None:
    orders = tables.table("orders")
    row = orders.row(fact.order)
    if row is None:
        return
    gone = row.get("refunded") or {
        **NOTHING,
        "units": {},
        "rates": {},
        "methods": {},
    }
    gone["number"] = fact.number
    gone["minor"] += fact.amount_minor
    for at, units, _ in fact.lines:
        gone["units"][str(at)] = gone["units"].get(str(at), 0) + units
    for bp, gross, _ in fact.taxes:
        gone["rates"][str(bp)] = gone["rates"].get(str(bp), 0) + gross
    of_session = fact.of_session or {"cash_due": 0, "cash": 0, "methods": []}
    inside = dict(of_session["methods"])
    for method, amount in fact.methods:
        if method == "cash":
            gone["cash_given"] += amount - of_session["cash"]
        else:
            own = amount - inside.get(method, 0)
            gone["methods"][method] = gone["methods"].get(method, 0) + own
    gone["cash_due"] += fact.cash_due_minor - of_session["cash_due"]
    if fact.of_session:
        back = of_session["cash_due"] + sum(inside.values())
        gone["methods"][pcs.PC] = gone["methods"].get(pcs.PC, 0) + back
        pcs.give_back(tables, of_session)
        if of_session["account"]:
            by = (fact.order, fact.operator, fact.at_ms)
            accounts.apply_refund(tables, of_session["account"], *by)
    if fact.account:
        gone["credit"] = gone.get("credit", 0) - fact.account.get("credit", 0)
        accounts.apply_refund(tables, fact.account, fact.order, fact.operator, fact.at_ms)
    pins.apply_refund(tables, fact.pins, fact.operator, fact.at_ms)
    on_pc = sum(amount for method, amount in fact.methods if method == pcs.PC)
    if on_pc:
        pcs.charge(tables, row["session"], -on_pc, row["operator"])
    row["refunded"] = gone
    row["history"].append(["refunded", fact.at_ms, fact.operator])
    orders.put(fact.order, row)
    paid_out = sum(amount for method, amount in fact.methods if method == "cash")
    box.add_refund(
        tables,
        fact.box,
        row["operator"],
        fact.amount_minor,
        fact.methods,
        fact.taxes,
        fact.cash_due_minor - paid_out,
    )
    stock.restock(tables, [(sku, units) for sku, units in fact.restocked])
    kept: dict[str, Any] = {
        name: getattr(fact, name)
        for name in fact.__struct_fields__
        if name not in ("refund", "account", "pins", "of_session")
    }
    tables.table("refunds").put(fact.refund, {**kept, "vendor": row["operator"]})
    prints.queue(tables, f"r-{fact.refund[:16]}", "refund", fact.refund)


def reapply_refunded(tables: Tables, fact: SaleRefunded) -> None:
    """What went back in a lost life counts in its box, or if that is closed by now in the open one;
    what both lives gave back is for a person."""
    row = tables.table("orders").peek(fact.order)
    if row is None:
        return
    gone = row.get("refunded") or NOTHING
    if gone["number"] >= fact.number or gone["minor"] + fact.amount_minor > row["total_minor"]:
        amount = fact.amount_minor
        exceptions.note(tables, "refunded-twice", fact.order, fact.at_ms, amount_minor=amount)
        return
    apply_refunded(tables, replace(fact, box=box.counts_in(tables, fact.box)))
    prints.hold(tables, f"r-{fact.refund[:16]}", unknown=True)


KINDS = (Kind("sale.refund", RefundSale, "sale.refund", decide_refund, server_only=True),)
EVENTS = (EventKind("sale.refunded", SaleRefunded, apply_refunded, reapply=reapply_refunded),)
INDEXES = {"refunds": (("order",), ("at_ms",))}
