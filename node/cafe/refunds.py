"""Refunds: what goes back of a sale, as a counter-entry; the sale itself never changes.

Parts sum to the whole: units, tax and rounded cash are those of everything given back so far, less
those of what was given back before. The money comes from the box that is open now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace

from node.cafe import accounts, box, exceptions, lines, pcs, pins, prints, settings, stock
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


# --- decide ------------------------------------------------------------------


def decide_refund(tables: Tables, command: RefundSale, acting: Acting) -> list[Event]:
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
    methods, cash_due = _methods(tables, row, gone, amount, of_credit, command.method)
    serials = pins.check_refund(tables, command.order, row["lines"], back)
    account = accounts.of_refund(tables, command.order, row, back, methods, amount, acting)
    restocked = []
    if command.restock:
        units = [{**row["lines"][at], "quantity": units} for at, units, _ in back]
        restocked = [list(unit) for unit in lines.units_of(units)]
    fact = SaleRefunded(
        refund=acting.context.op.key.hex(),
        order=command.order,
        number=gone["number"] + 1,
        amount_minor=amount,
        methods=methods,
        cash_due_minor=cash_due,
        taxes=_taxes(row, gone, back, amount),
        lines=back,
        restocked=restocked,
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
        box=opened["number"],
        account=account,
        pins=serials,
    )
    return [event("sale.refunded", fact)]


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


def _methods(
    tables: Tables,
    row: Mapping[str, Any],
    gone: Mapping[str, Any],
    amount: int,
    of_credit: int,
    wanted: str | None,
) -> tuple[list[list[Any]], int]:
    """(``[method, amount]`` with cash as it is paid out, the part of it that is cash before
    rounding). ``of_credit`` of the amount had bought credit: that was paid with money, and money
    goes back for it; what the account has paid goes back to the account."""
    others = dict(row["payments"])
    moved = _paid_since(tables, row, others)
    cash_due = row["total_minor"] - sum(others.values())
    left = {"cash": cash_due - gone["cash_due"]}
    left |= {method: paid - gone["methods"].get(method, 0) for method, paid in others.items()}
    bought = accounts.credit_lines_minor(row["lines"]) - gone.get("credit", 0)
    money = sum(most for method, most in left.items() if method != accounts.CREDIT)
    if wanted is not None:
        if left.get(wanted, 0) < amount or (wanted == accounts.CREDIT and of_credit):
            raise Refused("out-of-range", what="method")
        if wanted != accounts.CREDIT and amount - of_credit > money - bought:
            raise Refused("out-of-range", what="method")
        left = {wanted: amount}
    # Money for what bought credit, and beside that only money that did not.
    in_money = of_credit + min(amount - of_credit, money - bought)
    to_account = amount - in_money if wanted is None else amount if wanted == accounts.CREDIT else 0
    parts: list[list[Any]] = []
    rest, cash_part = amount - to_account, 0
    for method, most in left.items():
        part = to_account if method == accounts.CREDIT else min(rest, most)
        rest -= part if method != accounts.CREDIT else 0
        if method == "cash":
            cash_part = part
        elif part:
            parts.append([method, part])
    if cash_part:
        step = settings.cash_at(settings.cafe(tables), row["seq"])  # that of the sale
        paid, given = row["cash_minor"] + moved, gone["cash_given"]
        cash = refund_cash(cash_due, paid, gone["cash_due"], given, cash_part, *step)
        parts.insert(0, ["cash", cash])
    return parts, cash_part


def _paid_since(tables: Tables, row: Mapping[str, Any], others: dict[str, int]) -> int:
    """What stood on a PC's account and was paid at the end of its session: it goes back in cash.
    What its session still has to pay is taken off it."""
    session = tables.table("sessions").peek(row.get("session", ""))
    if pcs.PC in others and (session is None or session["state"] == "ended"):
        return others.pop(pcs.PC)
    return 0


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
    for method, amount in fact.methods:
        if method == "cash":
            gone["cash_given"] += amount
        else:
            gone["methods"][method] = gone["methods"].get(method, 0) + amount
    gone["cash_due"] += fact.cash_due_minor
    if fact.account:
        gone["credit"] = gone.get("credit", 0) - fact.account.get("credit", 0)
        accounts.apply_refund(tables, fact.account, fact.order, fact.operator, fact.at_ms)
    pins.apply_refund(tables, fact.pins, fact.operator, fact.at_ms)
    on_pc = sum(amount for method, amount in fact.methods if method == pcs.PC)
    if on_pc:
        pcs.charge(tables, row["session"], -on_pc)
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
        if name not in ("refund", "account", "pins")
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
    opened = box.open_box(tables)
    if opened is not None and box.is_closed(tables, fact.box):
        fact = replace(fact, box=opened["number"])
    apply_refunded(tables, fact)
    prints.hold(tables, f"r-{fact.refund[:16]}", unknown=True)


KINDS = (Kind("sale.refund", RefundSale, "sale.refund", decide_refund, server_only=True),)
EVENTS = (EventKind("sale.refunded", SaleRefunded, apply_refunded, reapply=reapply_refunded),)
INDEXES = {"refunds": (("order",), ("at_ms",))}
