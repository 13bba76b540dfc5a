"""Orders: what a vendor sends, what the operator says of it, and the sale it becomes.

Mode 2   pending ──▶ allowed ──▶ collected          Mode 1, and the desk:  collected
            │            │           ▲
            ├──▶ denied ◀┘           │ collect also from pending
            ├──▶ withdrawn           │ by its vendor or the server
            └──▶ expired             │ by the server's clock
set_aside waits for a person and is in no sum; accept collects it, reject ends it as denied.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace
from tinydb import where

from node.cafe import (
    accounts,
    bill,
    box,
    exceptions,
    jobs,
    lines,
    operators,
    pcs,
    pins,
    prints,
    rates,
    settings,
    stations,
    stock,
)
from node.cafe.kinds import (
    Acting,
    Amount,
    Code,
    Command,
    EventKind,
    Fact,
    Hex,
    Kind,
    Reason,
    event,
)
from node.cafe.money import MAX_PRICE_MINOR, pay
from node.cafe.profiles import CREDIT_SKU
from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event

DESK_MODE = 0
FRESH_MS = 30_000
"""A sale that is older opens no drawer: whoever stood there has gone."""
MOST_SKEW_MS = 60_000
FIRST_MS = 946_684_800_000
"""2000-01-01: no clock that is set shows an earlier time."""
_LABEL = re.compile(r"(S\d+)-")
DEFERRED = frozenset({"pin_ticket", "free_pass"})
"""Kinds of lines that only the server can make: without it they wait, and no money is taken."""
PLAIN = frozenset({"product", *lines.SERVICES})
"""Kinds of lines that touch no account and no cards."""
AT_SERVER = frozenset({"pc_time"})
"""Kinds of lines that only the server's desk sells."""

# --- commands ----------------------------------------------------------------


class Payment(Command, frozen=True):
    """What of an order is paid by a method that is no cash."""

    method: box.MethodName
    amount_minor: box.Sum


Lines = Annotated[tuple[lines.Line, ...], Meta(min_length=1, max_length=200)]
Discounts = lines.Discounts
Payments = Annotated[tuple[Payment, ...], Meta(max_length=8)]


class PlaceOrder(Command, frozen=True):
    """A vendor sells. All but ``lines``, ``discounts`` and ``payments`` is filled in by the node
    where that happens."""

    lines: Lines
    discounts: Discounts = ()
    """Of the whole ticket."""
    payments: Payments = ()
    """What is not paid in cash; of an order that waits, what the customer means to pay with."""
    customer: Hex | None = None
    """Whose credit, pass or promotion it is, who pays with credit, and who earns points."""
    total_minor: Amount | None = None
    mode: Annotated[int, Meta(ge=0, le=2)] | None = None
    label: Annotated[str, Meta(max_length=24)] | None = None
    box: Annotated[int, Meta(ge=0)] | None = None
    tendered_minor: Amount | None = None
    cash_minor: Amount | None = None
    """Cash that was taken, after rounding; of sales that are final where they are made."""
    session: Hex | None = None
    """The session at a PC whose account pays with the method ``pc``."""
    unseen_s: Annotated[int, Meta(ge=0)] = 0
    """Seconds since the station had last heard the server when the person acted."""


class Wish(Command, frozen=True):
    """What a customer may say of a product: prices and discounts are the café's."""

    sku: Code
    quantity: Annotated[int, Meta(ge=1, le=99)]


class OrderFromPc(Command, frozen=True):
    """A customer at a PC orders products; done by the server itself. Nobody has paid anything."""

    session: Hex
    lines: Annotated[tuple[Wish, ...], Meta(min_length=1, max_length=20)]


class AllowOrder(Command, frozen=True):
    order: Hex


class DenyOrder(Command, frozen=True):
    order: Hex
    reason: Reason = ""


class CollectOrder(Command, frozen=True):
    """Take the money of an order that waits; its ticket is printed."""

    order: Hex
    tendered_minor: Amount | None = None
    payments: Payments | None = None
    """None for those that the vendor wrote down."""


class AcceptOrder(Command, frozen=True):
    """Count an order that was set aside."""

    order: Hex
    reason: Reason = ""


class RejectOrder(Command, frozen=True):
    """End an order that was set aside; cash that its vendor took goes back out of the box."""

    order: Hex
    reason: Reason = ""


class WithdrawOrder(Command, frozen=True):
    """Take back an order that nobody has looked at yet."""

    order: Hex


class ExpireOrder(Command, frozen=True):
    """The server's clock ends an order that nobody has looked at."""

    order: Hex


# --- events ------------------------------------------------------------------


class OrderPlaced(Fact, frozen=True):
    order: str
    label: str
    station: str
    operator: str
    mode: int
    lines: list[dict[str, Any]]
    total_minor: int
    taken_ms: int
    at_ms: int
    box: int
    """Box that was open where it was taken; 0 if that is not known."""
    state: str
    """``pending`` or ``set_aside``; a sale that is final is an `OrderSold`."""
    flags: list[str]
    cash_minor: int | None = None
    """Cash that the vendor took already; None where the operator will take it."""
    off: list[list[Any]] = []
    """``[discount, what it took off]``."""
    payments: list[list[Any]] = []
    """``[method, amount]`` of what is not cash."""
    deficits: list[list[Any]] = []
    """``[sku, short | oversold, missing units]``."""
    seq: int = 0
    claimed_minor: int | None = None
    """What its author said it comes to, where its lines come to something else."""
    customer: str = ""
    cards: list[list[Any]] = []
    """``[line, serials]`` of cards that it holds while it waits."""
    session: str = ""
    pc: int = 0
    """Number of the PC whose account it may go on, or whose time it is."""


class OrderAllowed(Fact, frozen=True):
    order: str
    operator: str
    at_ms: int
    cards: list[list[Any]] = []
    """``[line, serials]`` of cards that it holds from now on."""


class OrderDenied(Fact, frozen=True):
    order: str
    operator: str
    reason: str
    at_ms: int
    cash_back_minor: int = 0
    """Cash of a rejected sale that goes back out of the box."""
    box: int = 0


class OrderEnded(Fact, frozen=True):
    """It was withdrawn, or has expired."""

    order: str
    operator: str
    at_ms: int


class OrderCollected(Fact, frozen=True):
    order: str
    operator: str
    at_ms: int
    ticket: int
    """0 at a station that collected it and has not heard of the server yet."""
    box: int
    cash_minor: int
    rounding_minor: int
    tendered_minor: int
    change_minor: int
    late_from: int
    """Number of the earlier box it was taken in, or 0."""
    flags: list[str]
    older: bool = False
    """Whether it was sold before the server that collected it had started: if that was put back
    from a copy, its ticket may be out already."""
    lost: bool = False
    """Whether it was sold before that server found out that it was."""
    payments: list[list[Any]] | None = None
    """None for those it was placed with."""
    deficits: list[list[Any]] = []
    pulse_age_ms: int = -1
    """How old the sale was that opens the drawer; −1 if it opens none."""
    account: dict[str, Any] = {}
    """What it does to its customer's account, as `accounts.of_sale` says."""
    pins: list[list[Any]] = []
    """The cards and tickets that it sells, as `pins.of_sale` says."""
    quiet: bool = False
    """Whether it prints no ticket by itself."""


class OrderSold(Fact, frozen=True):
    """A sale that is final where it was made: placed and collected in one."""

    placed: OrderPlaced
    collected: OrderCollected


# --- the life of an order ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """What may be done with an order: from which states, to which, where, and whether a reason
    is asked for."""

    before: frozenset[str]
    after: str
    reason: bool = False
    anywhere: bool = False


ACTS = {
    "allow": Act(frozenset({"pending"}), "allowed"),
    "deny": Act(frozenset({"pending", "allowed"}), "denied", reason=True),
    "collect": Act(frozenset({"pending", "allowed"}), "collected"),
    "accept": Act(frozenset({"set_aside"}), "collected", reason=True),
    "reject": Act(frozenset({"set_aside"}), "denied", reason=True),
    "withdraw": Act(frozenset({"pending"}), "withdrawn", anywhere=True),
    "expire": Act(frozenset({"pending"}), "expired"),
}


def check_act(act: str, state: str, *, desk: bool, reason: str = "", label: str = "") -> str:
    """State after an act, or `Refused`: ``server-only``, ``bad-state``, ``reason-needed``."""
    rule = ACTS[act]
    if not desk and not rule.anywhere:
        raise Refused("server-only", kind=f"order.{act}")
    if state not in rule.before:
        raise Refused("bad-state", state=state, label=label)
    if rule.reason and not reason.strip():
        raise Refused("reason-needed")
    return rule.after


def has_expired(waited_s: int, expiry_s: int) -> bool:
    """Whether an order that waits for so long is over; 0 is never."""
    return 0 < expiry_s <= waited_s


def placement(
    mode: int, kinds: Collection[str], *, node: str, online: bool, on_pc: bool = False
) -> tuple[str, bool]:
    """(state, whether money is taken) of an order as it is placed at a ``server``, ``station`` or
    ``client`` node; `Refused` ``server-only``, ``mode-2-no-pc``, ``needs-server``."""
    if node != "server" and not AT_SERVER.isdisjoint(kinds):
        raise Refused("server-only", kind="order.place")
    if on_pc and mode == 2:
        raise Refused("mode-2-no-pc")
    if on_pc and not online:
        raise Refused("needs-server")
    waits = mode == 2 or node == "client" or (not online and not DEFERRED.isdisjoint(kinds))
    return ("pending", False) if waits else ("collected", True)


# --- decide ------------------------------------------------------------------


def fill(tables: Tables, command: PlaceOrder, station: str, folded: int) -> PlaceOrder:
    """The command with prices, total, mode, label and box as this node sees them.

    ``station`` is the node's hex id, empty at the server's desk; ``folded`` its cursor.
    """
    filled = lines.fill(tables, command.lines)
    kinds = lines.kinds_of(tables, filled)
    if station and "pin_card" in kinds:
        filled = _with_cards(tables, filled, station)
    on_ticket = lines.fill_discounts(tables, command.discounts)
    opened = box.open_box(tables)
    mode = _mode(tables, station, command.unseen_s)
    mode = mode if command.mode is None else command.mode
    on_pc = any(payment.method == pcs.PC for payment in command.payments)
    if station and command.unseen_s:
        mode = _mode_offline(tables, filled, kinds, command, mode)
    if on_pc and station:
        placement(mode, (), node="station", online=not command.unseen_s, on_pc=True)
    total = command.total_minor
    if total is None:
        total = lines.judge(tables, filled, on_ticket, folded, "", taken=False).total
    cash = command.cash_minor
    if cash is None and mode != 2:
        step = settings.cash_at(settings.cafe(tables), folded)
        cash = pay(total, _paid(command.payments), command.tendered_minor, *step).cash
    return replace(
        command,
        lines=filled,
        discounts=on_ticket,
        total_minor=total,
        mode=mode,
        label=stations.next_label(tables, station) if command.label is None else command.label,
        box=(opened["number"] if opened else 0) if command.box is None else command.box,
        cash_minor=cash,
    )


def _mode(tables: Tables, station: str, unseen_s: int) -> int:
    """How an order is taken here now. A station that has not seen its server for too long goes on
    taking orders, and they wait for it."""
    if not station:
        return DESK_MODE
    cafe = settings.cafe(tables)
    limit = cafe.get("offline_s", 0)
    return 2 if limit and unseen_s > limit else cafe.get("mode", 2)


def _with_cards(
    tables: Tables, filled: tuple[lines.Line, ...], station: str
) -> tuple[lines.Line, ...]:
    """The lines with the cards of its own that a station hands over, where it has enough."""
    taken = {serial for line in filled for serial in line.serials}
    found = []
    for line in filled:
        if not line.serials and (
            serials := pins.fill(tables, line.sku, line.quantity, station, taken)
        ):
            taken.update(serials)
            line = replace(line, serials=serials)
        found.append(line)
    return tuple(found)


def _mode_offline(
    tables: Tables,
    filled: Collection[lines.Line],
    kinds: Collection[str],
    command: PlaceOrder,
    mode: int,
) -> int:
    """How an order is taken without the server: what only that can make waits, and takes no money;
    `Refused` ``needs-server`` for credit, ``no-cards`` for cards of nobody here."""
    if any(payment.method == accounts.CREDIT for payment in command.payments):
        raise Refused("needs-server", kind=accounts.CREDIT)
    if "pin_card" in kinds:
        for line in filled:
            if not line.serials and "pin_card" in lines.kinds_of(tables, [line]):
                raise Refused("no-cards", what=line.sku)
    return 2 if mode == 1 and not DEFERRED.isdisjoint(kinds) else mode


def _paid(payments: Collection[Payment]) -> int:
    return sum([payment.amount_minor for payment in payments])


def decide_place(tables: Tables, command: PlaceOrder, acting: Acting) -> list[Event]:
    context = acting.context
    if command.mode is None or command.total_minor is None:
        raise Refused("bad-field", what="total_minor, mode")
    desk = acting.desk
    if desk != (command.mode == DESK_MODE):
        raise Refused("bad-mode")
    base = context.op.base if context.server else context.seq
    took_money = command.mode != 2
    taken = took_money and context.server and not desk
    """What a vendor was given already: it may be doubted, never refused."""
    cafe = settings.cafe(tables)
    flags, doubts = _judge_right(tables, command, acting, base, taken)
    judged = lines.judge(
        tables, command.lines, command.discounts, base, context.op.chain.hex(), taken=taken
    )
    kinds = judged.kinds
    if "pc_time" in kinds and desk:
        raise Refused("not-for-sale", sku=rates.TIME_SKU)
    plain = not command.customer and PLAIN.issuperset(kinds)
    on_pc = pcs.PC in [payment.method for payment in command.payments]
    _, took_money = placement(
        command.mode,
        kinds,
        node="server" if desk else "station",
        online=context.server or not command.unseen_s,
        on_pc=on_pc,
    )
    if on_pc:
        doubts += _judge_pc(tables, command, judged.lines, taken)
    if not context.server and not plain and _waits_for_server(command, judged.lines):
        took_money = False
    tolerance = cafe.get("tolerance_minor", 0)
    more_doubts, more_flags = lines.judge_sum(
        command.mode,
        command.total_minor,
        judged.total,
        judged.off_base,
        judged.off_now,
        tolerance,
    )
    doubts += more_doubts
    flags += more_flags
    if taken and not _was_mode_1(cafe, command, context.op.base):
        doubts.append("mode-differs")
    cash, doubt = _judge_cash(cafe, command, judged.total, base, taken)
    doubts += doubt
    if not plain:
        more_doubts, more_flags = _judge_account(tables, command, judged, acting, took_money, taken)
        doubts += more_doubts
        flags += more_flags
    if context.age_ms >= 0 and clock_is_off(context.at_ms - context.age_ms - context.op.wall_ms):
        flags.append("clock")
    if not taken:
        box.check_room(tables, max(cash, judged.total))
    elif not box.has_room(tables, max(cash, judged.total)):
        cash, doubts = 0, [*doubts, "cash-differs"]
    deficits = stock.deficits(tables, judged.units, hold=not took_money)
    flags += sorted({code for _, code, _ in deficits})
    placed = OrderPlaced(
        order=context.op.key.hex(),
        label=_label(tables, command.label or f"D-{context.seq}", acting),
        station=acting.station_id,
        operator=acting.operator_id,
        mode=command.mode,
        lines=judged.lines,
        total_minor=judged.total,
        taken_ms=taken_ms(context),
        at_ms=context.at_ms,
        box=command.box or 0,
        state="set_aside" if doubts else "pending",
        flags=doubts + flags,
        cash_minor=cash if took_money else None,
        off=judged.off,
        payments=_sound_payments(cafe, command, judged.total),
        customer=command.customer or "",
        cards=[] if plain else _promised(tables, judged.lines, acting, took_money, bool(doubts)),
        claimed_minor=command.total_minor if command.total_minor != judged.total else None,
        deficits=[] if doubts else deficits,
        seq=context.seq,
        session=command.session or "" if on_pc else "",
        pc=_pc_number(tables, command.session) if on_pc else 0,
    )
    if not took_money or doubts:
        return [event("order.placed", placed)]
    collected = _collected(tables, placed, acting, cash, command.tendered_minor)
    return [event("order.sold", OrderSold(placed=placed, collected=collected))]


def _judge_pc(
    tables: Tables, command: PlaceOrder, judged: list[dict[str, Any]], taken: bool
) -> list[str]:
    """Doubts of a sale on a PC's account; `Refused` ``no-session``, ``credit-for-credit`` where
    nothing was handed over yet."""
    on_pc = sum(p.amount_minor for p in command.payments if p.method == pcs.PC)
    try:
        pcs.live(tables, command.session or "")
        if on_pc > sum(line["amount_minor"] for line in judged if not accounts.buys_credit(line)):
            raise Refused("credit-for-credit")
    except Refused as refusal:
        if not taken:
            raise
        return [refusal.code]
    return []


def _pc_number(tables: Tables, session: str | None) -> int:
    row = tables.table("sessions").peek(session) if session else None
    return int(row["number"]) if row is not None else 0


def _judge_right(
    tables: Tables, command: PlaceOrder, acting: Acting, base: int, taken: bool
) -> tuple[list[str], list[str]]:
    """(flags, doubts) by the rights of who sold; `Refused` where no money was taken."""
    more: set[str] = {"discount.apply"} if command.discounts else set()
    offers = tables.table("offers")
    for line in command.lines:
        if line.sku == CREDIT_SKU or (offers.peek(line.sku) or {}).get("form") == "recharge":
            more.add("credit.topup")
        if line.discounts:
            more.add("discount.apply")
        if line.job:
            more.add("job.pay")
    if acting.permitted and not more:
        return [], []
    wanted = ["order.place", *sorted(more)]
    lacks = [right for right in wanted if not operators.may(acting.operator, right)]
    if not lacks:
        return [], []
    if not taken:
        raise Refused("no-permission", permission=lacks[0])
    had = all(operators.may_at(acting.operator, right, base) for right in wanted)
    stands, flag = operators.judge_right(had, False, command.unseen_s)
    return ([flag], []) if stands else ([], [flag])


def _waits_for_server(command: PlaceOrder, judged: list[dict[str, Any]]) -> bool:
    """Whether only the server can finish it: it names the cards, and knows what credit is left."""
    by_credit = any(payment.method == accounts.CREDIT for payment in command.payments)
    return by_credit or pins.waits_for_server(judged)


def _judge_account(
    tables: Tables,
    command: PlaceOrder,
    judged: lines.Judged,
    acting: Acting,
    took_money: bool,
    taken: bool,
) -> tuple[list[str], list[str]]:
    """(doubts, flags) of its customer's account and of its cards; `Refused` where no money was
    taken yet."""
    doubts: list[str] = []
    flags: list[str] = []
    payments = [(payment.method, payment.amount_minor) for payment in command.payments]
    customer = command.customer or ""
    only_credit = all(line["kind"] == "credit" for line in judged.lines)
    found = accounts.problems(tables, customer, judged.lines, payments, acting, money=took_money)
    for refusal in found:
        if not taken:
            raise refusal
        mild = refusal.code == "below-minimum" or (refusal.code == "deleted" and only_credit)
        flag = "customer-deleted" if refusal.code == "deleted" else refusal.code
        (flags if mild else doubts).append(flag)
    if pins.is_sold_here(judged.lines):
        try:
            today = settings.today(tables, acting.context.at_ms)
            pins.check_sale(tables, judged.lines, acting.station_id, final=took_money, today=today)
        except Refused as refusal:
            if not taken:
                raise
            sold_twice = refusal.code == "pin-already-sold"
            (flags if sold_twice else doubts).append(refusal.code)
    return doubts, flags


def _promised(
    tables: Tables, judged: list[dict[str, Any]], acting: Acting, took_money: bool, doubted: bool
) -> list[list[Any]]:
    """``[line, serials]`` of the cards that an order which waits holds: of a doubtful one those
    that were handed over already, and are its station's."""
    if not pins.is_sold_here(judged) or (took_money and not doubted):
        return []
    if doubted:
        return pins.handed_over(tables, judged, acting.station_id)
    return pins.promise(tables, judged)


def _was_mode_1(cafe: Mapping[str, Any], command: PlaceOrder, base: int) -> bool:
    """Whether its station was right to take this as final."""
    limit = cafe.get("offline_s", 0)
    if limit and command.unseen_s > limit:
        return False
    return settings.mode_at(cafe, base) == 1


def _judge_cash(
    cafe: Mapping[str, Any], command: PlaceOrder, total: int, base: int, taken: bool
) -> tuple[int, list[str]]:
    """(cash that was taken, doubts) of an order; `Refused` where nothing was taken yet."""
    doubts, paid = [], 0
    if command.payments:
        named = [payment.method for payment in command.payments]
        if not are_methods(
            cafe, named, customer=command.customer, session=command.session, given_up=taken
        ):
            if not taken:
                raise Refused("unknown-method", what=", ".join(named))
            doubts.append("unknown-method")
        paid = _paid(command.payments)
    if paid > total:
        if not taken:
            raise Refused("out-of-range", what="payments")
        cash = min(command.cash_minor or 0, MAX_PRICE_MINOR)
        return cash, [*doubts, "cash-differs"]
    due = pay(total, paid, None, *settings.cash_at(cafe, base)).cash
    cash = due if command.cash_minor is None else command.cash_minor
    if taken:  # nobody takes so much more than is due: what is said beyond that is no cash
        cash = min(cash, due + MAX_PRICE_MINOR)
    tendered = command.tendered_minor
    if command.mode != 2 and tendered is not None and tendered < cash:
        if not taken:
            raise Refused("too-little", short_minor=cash - tendered)
        return cash, [*doubts, "cash-differs"]
    if command.mode != 2 and cash != due:
        doubts.append("cash-differs")
    return cash, doubts


def _sound_payments(cafe: Mapping[str, Any], command: PlaceOrder, total: int) -> list[list[Any]]:
    """``[method, amount]`` of what can be counted: the café's own methods, each once, and no more
    than the order comes to. What is left out, its flags tell."""
    if not command.payments:
        return []
    known = {method["method"] for method in cafe.get("methods", ())}
    known |= {accounts.CREDIT} if command.customer else set()
    known |= {pcs.PC} if command.session else set()
    found: dict[str, int] = {}
    left = total
    for payment in command.payments:
        if payment.method in known and left > 0:
            amount = min(left, payment.amount_minor)
            found[payment.method] = found.get(payment.method, 0) + amount
            left -= amount
    return [[method, amount] for method, amount in found.items()]


def are_methods(
    cafe: Mapping[str, Any],
    named: list[str],
    *,
    customer: str | None,
    session: str | None = None,
    given_up: bool = False,
) -> bool:
    """Whether these are methods of the café's, or a customer's or a PC's account, each once;
    ``given_up`` also those that it takes no more."""
    methods = cafe.get("methods", ())
    known = {method["method"] for method in methods if method["active"] or given_up}
    known |= {accounts.CREDIT} if customer else set()
    known |= {pcs.PC} if session else set()
    return known.issuperset(named) and len(set(named)) == len(named)


def _collected(
    tables: Tables,
    placed: OrderPlaced,
    acting: Acting,
    cash: int,
    tendered_minor: int | None,
    payments: list[list[Any]] | None = None,
    deficits: list[list[Any]] | None = None,
) -> OrderCollected:
    """What turns an order into a sale of the box that is open now."""
    context = acting.context
    opened = box.current(tables)
    number, late = box.counted_in(placed.box if placed.mode == 1 else 0, opened["number"])
    paying = placed.payments if payments is None else payments
    paid = sum([amount for _, amount in paying])
    account: dict[str, Any] = {}
    sold: list[list[Any]] = []
    if placed.customer:
        account = accounts.of_sale(tables, placed.customer, placed.lines, paying, acting)
    if pins.is_sold_here(placed.lines):
        sold = pins.of_sale(tables, placed.lines, context.at_ms)
    tendered = cash if tendered_minor is None else max(cash, tendered_minor)
    return OrderCollected(
        order=placed.order,
        operator=acting.operator_id,
        at_ms=context.at_ms,
        ticket=box.next_ticket(tables) if context.server else 0,
        box=number,
        cash_minor=cash,
        rounding_minor=cash + paid - placed.total_minor,
        tendered_minor=tendered,
        change_minor=tendered - cash,
        late_from=late,
        flags=list(placed.flags),
        older=context.older,
        lost=context.lost,
        payments=payments,
        deficits=deficits or [],
        pulse_age_ms=_pulse_age_ms(tables, placed.mode, acting),
        account=account,
        pins=sold,
    )


def _pulse_age_ms(tables: Tables, mode: int, acting: Acting) -> int:
    cafe, context = settings.cafe(tables), acting.context
    wanted = cafe.get("drawer_desk" if mode == DESK_MODE else "drawer_remote")
    return context.age_ms if wanted and context.server and is_fresh(context.age_ms) else -1


def _label(tables: Tables, claimed: str, acting: Acting) -> str:
    """The label that its author gave it, unless it bears another node's."""
    own = acting.station["label"] if acting.station else ""
    other = _LABEL.match(claimed)
    if other is None or other[1] == own:
        return claimed
    return stations.next_label(tables, acting.station_id) or f"D-{acting.context.seq}"


def taken_ms(context: Context) -> int:
    """When a person took it: by their node's clock, or if that is off or absurd by the server's."""
    wall_ms, age_ms = context.op.wall_ms, max(0, context.age_ms)
    known = context.at_ms - age_ms
    if context.age_ms >= 0:
        return known if clock_is_off(known - wall_ms) else wall_ms
    return wall_ms if FIRST_MS <= wall_ms <= context.at_ms + MOST_SKEW_MS else context.at_ms


def clock_is_off(skew_ms: int) -> bool:
    """Whether a node's clock is so far from the server's that a person should know."""
    return abs(skew_ms) > MOST_SKEW_MS


def is_fresh(age_ms: int) -> bool:
    """Whether a sale of this age opens the drawer; an unknown age (-1) is too old."""
    return 0 <= age_ms <= FRESH_MS


def _waiting(
    tables: Tables, order: str, act: str, acting: Acting, reason: str = ""
) -> Mapping[str, Any]:
    """Row of an order that may be acted on, or `Refused`."""
    row = tables.table("orders").peek(order)
    if row is None:
        raise Refused("unknown-order")
    check_act(act, row["state"], desk=acting.desk, reason=reason, label=row["label"])
    return row


def decide_allow(tables: Tables, command: AllowOrder, acting: Acting) -> list[Event]:
    _waiting(tables, command.order, "allow", acting)
    return _allow(command.order, acting)


def _allow(order: str, acting: Acting, cards: list[list[Any]] | None = None) -> list[Event]:
    at_ms = acting.context.at_ms
    fact = OrderAllowed(order=order, operator=acting.operator_id, at_ms=at_ms, cards=cards or [])
    return [event("order.allowed", fact)]


def decide_deny(tables: Tables, command: DenyOrder, acting: Acting) -> list[Event]:
    _waiting(tables, command.order, "deny", acting, command.reason)
    return _deny(command.order, command.reason, acting)


def decide_collect(tables: Tables, command: CollectOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "collect", acting)
    payments = None
    if command.payments is not None:
        payments = [[payment.method, payment.amount_minor] for payment in command.payments]
    paid: list[list[Any]] = row["payments"] if payments is None else payments
    named = [method for method, _ in paid]
    customer, session = row.get("customer"), row.get("session")
    if not are_methods(settings.cafe(tables), named, customer=customer, session=session):
        raise Refused("unknown-method", what=", ".join(named))
    if pcs.PC in named:
        pcs.live(tables, session or "")
    rest = sum([amount for _, amount in paid])
    step = settings.cash_at(settings.cafe(tables), acting.context.seq)
    cash = pay(row["total_minor"], rest, command.tendered_minor, *step).cash
    tendered = command.tendered_minor
    return _collect(tables, command.order, row, acting, cash, tendered, payments)


def _collect(
    tables: Tables,
    order: str,
    row: Mapping[str, Any],
    acting: Acting,
    cash: int,
    tendered_minor: int | None,
    payments: list[list[Any]] | None,
    forgiven: frozenset[str] = frozenset(),
) -> list[Event]:
    placed = _placed_of(order, row)
    paying = row["payments"] if payments is None else payments
    customer = placed.customer
    accounts.check_sale(tables, customer, placed.lines, paying, acting, forgiven=forgiven)
    if pins.is_sold_here(placed.lines):
        today = settings.today(tables, acting.context.at_ms)
        pins.check_sale(tables, placed.lines, row["station"], final=True, today=today, order=order)
    deficits = stock.deficits(tables, lines.units_of(row["lines"]), hold=False)
    fact = _collected(tables, placed, acting, cash, tendered_minor, payments, deficits)
    return [event("order.collected", fact)]


def _placed_of(order: str, row: Mapping[str, Any]) -> OrderPlaced:
    """An order's row as the fact that it was placed by, as far as collecting it asks."""
    names = ("label", "station", "operator", "mode", "lines", "total_minor", "taken_ms", "box")
    return OrderPlaced(
        order=order,
        at_ms=row["placed_ms"],
        state=row["state"],
        flags=row["flags"],
        payments=row["payments"],
        customer=row.get("customer", ""),
        session=row.get("session", ""),
        pc=row.get("pc", 0),
        **{name: row[name] for name in names},
    )


def decide_from_pc(tables: Tables, command: OrderFromPc, acting: Acting) -> list[Event]:
    """An order that waits for the operator, as the catalogue is now."""
    context = acting.context
    session = pcs.live(tables, command.session)
    wanted = [lines.Line(sku=wish.sku, quantity=wish.quantity) for wish in command.lines]
    filled = lines.fill(tables, wanted)
    judged = lines.judge(tables, filled, (), context.seq, "", taken=False)
    if not PLAIN.issuperset(judged.kinds):
        raise Refused("not-for-sale", sku=judged.lines[0]["sku"])
    box.check_room(tables, judged.total)
    deficits = stock.deficits(tables, judged.units, hold=True)
    state, _ = placement(2, judged.kinds, node="client", online=True)
    placed = OrderPlaced(
        order=context.op.key.hex(),
        label=f"PC{session['number']}-{context.seq}",
        station="",
        operator=acting.operator_id,
        mode=2,
        lines=judged.lines,
        total_minor=judged.total,
        taken_ms=context.at_ms,
        at_ms=context.at_ms,
        box=box.current(tables)["number"],
        state=state,
        flags=sorted({code for _, code, _ in deficits}),
        deficits=deficits,
        seq=context.seq,
        session=command.session,
        pc=session["number"],
    )
    return [event("order.placed", placed)]


def time_line(number: int, values: Mapping[str, Any], amount: int, seconds: int) -> dict[str, Any]:
    """PC time as an order keeps it; ``values`` are those of its rate."""
    return {
        "sku": rates.TIME_SKU,
        "name": values["name"],
        "category": "",
        "kind": "pc_time",
        "quantity": 1,
        "price_minor": amount,
        "amount_minor": amount,
        "tax_bp": values["tax_bp"],
        "note": f"PC {number}"
        + (f" · {seconds // 3600}:{seconds // 60 % 60:02d}" if seconds else ""),
        "pc": number,
        "seconds": seconds,
    }


def sell_time(
    tables: Tables,
    acting: Acting,
    line: dict[str, Any],
    *,
    cash: int,
    payments: list[list[Any]],
    tendered_minor: int | None,
    session: str,
    customer: str = "",
    account: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Event:
    """A sale of PC time at the desk, or by the server itself: ``session`` is what it is for, and
    ``account`` what it does to the customer's."""
    context, amount = acting.context, line["amount_minor"]
    box.check_room(tables, max(cash, amount))
    placed = OrderPlaced(
        order=context.op.key.hex(),
        label=f"PC{line['pc']}-{context.seq}",
        station="",
        operator=acting.operator_id,
        mode=DESK_MODE,
        lines=[line],
        total_minor=amount,
        taken_ms=context.at_ms,
        at_ms=context.at_ms,
        box=box.current(tables)["number"],
        state="pending",
        flags=[],
        payments=payments,
        seq=context.seq,
        session=session,
        pc=line["pc"],
    )
    fact = _collected(tables, placed, acting, cash, tendered_minor)
    opens = fact.pulse_age_ms if cash else -1
    fact = replace(fact, account=account or {}, quiet=quiet, pulse_age_ms=opens)
    return event("order.sold", OrderSold(placed=replace(placed, customer=customer), collected=fact))


def decide_accept(tables: Tables, command: AcceptOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "accept", acting, command.reason)
    if row["mode"] == 2:
        cards: list[list[Any]] = []
        if pins.is_sold_here(row["lines"]) and not row.get("cards"):
            today = settings.today(tables, acting.context.at_ms)
            pins.check_sale(
                tables, row["lines"], row["station"], final=False, today=today, order=command.order
            )
            cards = pins.promise(tables, row["lines"])
        return _allow(command.order, acting, cards)
    on_pc = any(method == pcs.PC for method, _ in row["payments"])
    if on_pc and tables.table("sessions").peek(row.get("session", "")) is None:
        raise Refused("no-session")  # nobody would ever pay it
    box.check_room(tables, max(row["cash_minor"], row["total_minor"]))
    forgiven = frozenset({"below-minimum", "deleted"})  # its money was taken: it counts
    return _collect(tables, command.order, row, acting, row["cash_minor"], None, None, forgiven)


def decide_reject(tables: Tables, command: RejectOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "reject", acting, command.reason)
    if row["mode"] == 2:
        return _deny(command.order, command.reason, acting)
    number = box.current(tables)["number"]
    counted = row["cash_minor"] if row["in_till"] else 0  # what was counted in goes out again
    return _deny(command.order, command.reason, acting, counted, number)


def _deny(
    order: str, reason: str, acting: Acting, cash_back_minor: int = 0, box_number: int = 0
) -> list[Event]:
    fact = OrderDenied(
        order=order,
        operator=acting.operator_id,
        reason=reason,
        at_ms=acting.context.at_ms,
        cash_back_minor=cash_back_minor,
        box=box_number,
    )
    return [event("order.denied", fact)]


def decide_withdraw(tables: Tables, command: WithdrawOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "withdraw", acting)
    if not acting.desk and row["operator"] != acting.operator_id:
        raise Refused("not-yours")
    return _ended("order.withdrawn", command.order, acting)


def decide_expire(tables: Tables, command: ExpireOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "expire", acting)
    waited_s = (acting.context.at_ms - row["placed_ms"]) // 1000
    if not has_expired(waited_s, settings.cafe(tables).get("order_expiry_s", 0)):
        raise Refused("too-early")
    return _ended("order.expired", command.order, acting)


def _ended(kind: str, order: str, acting: Acting) -> list[Event]:
    at_ms = acting.context.at_ms
    return [event(kind, OrderEnded(order=order, operator=acting.operator_id, at_ms=at_ms))]


# --- apply -------------------------------------------------------------------


def _row(tables: Tables, fact: OrderPlaced) -> dict[str, Any]:
    """Row of an order as it was placed; its label is counted."""
    if fact.station:
        counters, name = tables.table("counters"), f"orders/{fact.station}"
        counters.put(name, {"value": stations.orders_of(tables, fact.station) + 1}, given=True)
    row = {
        "label": fact.label,
        "station": fact.station,
        "operator": fact.operator,
        "mode": fact.mode,
        "lines": fact.lines,
        "total_minor": fact.total_minor,
        "taken_ms": fact.taken_ms,
        "placed_ms": fact.at_ms,
        "seq": fact.seq,
        "box": fact.box,
        "state": fact.state,
        "flags": fact.flags,
        "reason": "",
        "ticket": 0,
        "late_from": 0,
        "cash_minor": fact.cash_minor,
        "off": fact.off,
        "payments": fact.payments,
        "in_till": False,
        "held": [],
        "history": [[fact.state, fact.at_ms, fact.operator]],
    }
    if fact.customer:
        row["customer"] = fact.customer
    if fact.session:
        row.update(session=fact.session, pc=fact.pc)
    return row


def apply_placed(tables: Tables, fact: OrderPlaced) -> None:
    row = _row(tables, fact)
    # Cash of a doubtful sale lies in the till already, whatever a person will say of the order.
    row["in_till"] = fact.state == "set_aside" and fact.mode == 1
    if row["in_till"]:
        box.add_till_cash(tables, fact.operator, fact.station, fact.cash_minor or 0)
    elif fact.state == "pending":
        row["held"] = stock.hold(tables, lines.units_of(fact.lines))
    _hold_cards(tables, row, fact.cards, fact.order)
    tables.table("orders").put(fact.order, row)


def _hold_cards(tables: Tables, row: dict[str, Any], cards: list[list[Any]], order: str) -> None:
    """These cards are promised to an order that waits; its lines name them."""
    if cards:
        row["cards"] = cards
        for at, serials in cards:
            row["lines"] = pins.with_serials(row["lines"], at, serials)
        pins.hold(tables, cards, order)


def apply_sold(tables: Tables, fact: OrderSold, *, recovered: bool = False) -> None:
    row = _row(tables, fact.placed)
    row["history"] = []
    _sell(tables, row, fact.collected, fact.placed.deficits, recovered)


def apply_collected(tables: Tables, fact: OrderCollected, *, recovered: bool = False) -> None:
    row = tables.table("orders").row(fact.order)
    if row is not None:
        if fact.payments is not None:
            row["payments"] = fact.payments
        _sell(tables, row, fact, fact.deficits, recovered)


def _sell(
    tables: Tables,
    row: dict[str, Any],
    fact: OrderCollected,
    deficits: list[list[Any]],
    recovered: bool,
) -> None:
    """An order becomes a sale: box, shelf, jobs, ticket and drawer follow."""
    row["state"] = "collected"
    row["ticket"] = fact.ticket
    row["late_from"] = fact.late_from
    row["cash_minor"] = fact.cash_minor
    row["rounding_minor"] = fact.rounding_minor
    row["tendered_minor"] = fact.tendered_minor
    row["change_minor"] = fact.change_minor
    row["sold_in"] = fact.box
    row["history"].append(["collected", fact.at_ms, fact.operator])
    row["operator"] = row["operator"] or fact.operator  # nobody's: a customer ordered it at a PC
    if row["held"]:
        stock.release(tables, row["held"])
        row["held"] = []
    tickets: list[str] = []
    if fact.pins:
        tickets = pins.apply_sale(tables, fact.pins, fact.order, row, fact.at_ms)
    if fact.account:
        after = accounts.apply_sale(tables, fact.account, fact.order, row, fact.at_ms)
        row["account"] = {**fact.account, "after": after}
    tables.table("orders").put(fact.order, row)
    stock.sell(tables, lines.units_of(row["lines"]))
    on_pc = sum([amount for method, amount in row["payments"] if method == pcs.PC])
    if on_pc:
        pcs.charge(tables, row["session"], on_pc, row["operator"])
    for line in row["lines"]:
        if "job" in line:
            jobs.apply_paid(tables, line["job"], fact.order, fact.at_ms)
    if deficits:
        stock.note_oversold(tables, deficits, fact.order, fact.at_ms)
    job = box.add_sale(tables, fact.box, fact.order, row, fact.ticket, quiet=fact.quiet)
    if recovered or fact.older:
        for name in filter(None, (job, *tickets)):
            prints.hold(tables, name, unknown=recovered or fact.lost)
    if fact.pulse_age_ms >= 0 and not recovered:
        box.pulse_drawer(tables, fact.pulse_age_ms)


def apply_allowed(tables: Tables, fact: OrderAllowed) -> None:
    row = _move(tables, fact.order, "allowed", fact.at_ms, fact.operator)
    if row is not None and not row["held"]:  # it was set aside, and promised nothing
        row["held"] = stock.hold(tables, lines.units_of(row["lines"]))
        _hold_cards(tables, row, fact.cards, fact.order)
        tables.table("orders").put(fact.order, row)


def apply_denied(tables: Tables, fact: OrderDenied) -> None:
    _end(tables, fact.order, "denied", fact.at_ms, fact.operator, reason=fact.reason)
    if fact.cash_back_minor:
        box.take_out(tables, fact.box, fact.cash_back_minor)


def apply_withdrawn(tables: Tables, fact: OrderEnded) -> None:
    _end(tables, fact.order, "withdrawn", fact.at_ms, fact.operator)


def apply_expired(tables: Tables, fact: OrderEnded) -> None:
    _end(tables, fact.order, "expired", fact.at_ms, fact.operator)


def _end(tables: Tables, order: str, state: str, at_ms: int, operator: str, **changes: Any) -> None:
    before = tables.table("orders").peek(order)
    if before is not None:
        stock.release(tables, before["held"])
        pins.release(tables, before.get("cards", ()), order)
        _move(tables, order, state, at_ms, operator, held=[], **changes)


ENDED = ("collected", "denied", "withdrawn", "expired")


# --- apply again, in a server that was put back from an old copy -------------


def reapply_placed(tables: Tables, fact: OrderPlaced) -> None:
    if tables.table("orders").peek(fact.order) is None:
        apply_placed(tables, fact)


def reapply_allowed(tables: Tables, fact: OrderAllowed) -> None:
    if _may_move(tables, fact.order, "allowed"):
        apply_allowed(tables, fact)


def reapply_denied(tables: Tables, fact: OrderDenied) -> None:
    if _may_move(tables, fact.order, "denied"):
        apply_denied(tables, fact)


def reapply_withdrawn(tables: Tables, fact: OrderEnded) -> None:
    if _may_move(tables, fact.order, "withdrawn"):
        apply_withdrawn(tables, fact)


def reapply_expired(tables: Tables, fact: OrderEnded) -> None:
    if _may_move(tables, fact.order, "expired"):
        apply_expired(tables, fact)


def _may_move(tables: Tables, order: str, state: str) -> bool:
    row = tables.table("orders").peek(order)
    if row is not None and row["state"] in ENDED:
        if row["state"] != state:
            exceptions.note(tables, "decided-twice", order, state=state)
        return False
    return True


def reapply_collected(tables: Tables, fact: OrderCollected) -> None:
    """Its money counts once: in the box it was counted in, or if that is closed by now without it,
    in the one that is open."""
    if _may_collect(tables, fact):
        apply_collected(tables, _in_box(tables, fact), recovered=True)
        accounts.note_short(tables, fact.account.get("customer", ""), fact.order, fact.at_ms)


def reapply_sold(tables: Tables, fact: OrderSold) -> None:
    if _is_paid_time(tables, fact.placed):
        order, amount = fact.placed.order, fact.placed.total_minor
        exceptions.note(tables, "decided-twice", order, fact.placed.at_ms, amount_minor=amount)
    elif _may_collect(tables, fact.collected):
        collected = _in_box(tables, fact.collected)
        apply_sold(tables, replace(fact, collected=collected), recovered=True)
        customer = collected.account.get("customer", "")
        accounts.note_short(tables, customer, collected.order, collected.at_ms)


def _is_paid_time(tables: Tables, placed: OrderPlaced) -> bool:
    """Whether it is the time of a session that this life has ended, and has paid, by itself."""
    row = tables.table("sessions").peek(placed.session) if placed.session else None
    if row is None or row["state"] in bill.LIVE or placed.order in row["orders"]:
        return False
    time = any(line["kind"] == "pc_time" for line in placed.lines)
    return time and bool(row["due_minor"] < placed.total_minor)


def _may_collect(tables: Tables, fact: OrderCollected) -> bool:
    row = tables.table("orders").peek(fact.order)
    if row is not None and row["state"] in ENDED:
        exceptions.note(tables, "collected-twice", fact.order, cash_minor=fact.cash_minor)
        return False
    return True


def _in_box(tables: Tables, fact: OrderCollected) -> OrderCollected:
    sold_in = tables.table("boxes").peek(str(fact.box))
    opened = box.open_box(tables)
    if opened is None or (sold_in is not None and sold_in["state"] == "open"):
        return fact
    exceptions.note(tables, "collected-late", fact.order, box=fact.box)
    return replace(fact, box=opened["number"], late_from=fact.box)


def _move(
    tables: Tables, order: str, state: str, at_ms: int, operator: str, **changes: Any
) -> dict[str, Any] | None:
    orders = tables.table("orders")
    row = orders.row(order)
    if row is None:
        return None
    row.update(changes, state=state)
    row["history"].append([state, at_ms, operator])
    orders.put(order, row)
    return row


# --- queries -----------------------------------------------------------------


def queue_place(tables: Tables, order: str) -> int:
    """Which one in the queue an order is, 1 for the next; 0 if it does not wait there."""
    row = tables.table("orders").peek(order)
    if row is None or row["state"] != "pending":
        return 0
    waiting = tables.table("orders").matching(where("state") == "pending")
    return place_among([other["seq"] for other in waiting], row["seq"])


def place_among(waiting: Collection[int], seq: int) -> int:
    """Place of the order with this number among those that wait, by their numbers."""
    return 1 + sum(other < seq for other in waiting)


def overdue(tables: Tables, now_ms: int) -> list[str]:
    """Orders whose time is over."""
    expiry_s = settings.cafe(tables).get("order_expiry_s", 0)
    if not expiry_s:
        return []
    waiting = tables.table("orders").matching(where("state") == "pending")
    return [
        str(row.doc_id)
        for row in waiting
        if has_expired((now_ms - row["placed_ms"]) // 1000, expiry_s)
    ]


KINDS = (
    Kind("order.place", PlaceOrder, "order.place", decide_place, judges_right=True),
    Kind("order.from-pc", OrderFromPc, "", decide_from_pc, server_only=True),
    Kind("order.allow", AllowOrder, "order.authorise", decide_allow, server_only=True),
    Kind("order.deny", DenyOrder, "order.authorise", decide_deny, server_only=True),
    Kind("order.collect", CollectOrder, "order.authorise", decide_collect, server_only=True),
    Kind("order.accept", AcceptOrder, "order.authorise", decide_accept, server_only=True),
    Kind("order.reject", RejectOrder, "order.authorise", decide_reject, server_only=True),
    Kind("order.withdraw", WithdrawOrder, "order.place", decide_withdraw),
    Kind("order.expire", ExpireOrder, "", decide_expire, server_only=True),
)
EVENTS = (
    EventKind("order.placed", OrderPlaced, apply_placed, reapply=reapply_placed),
    EventKind("order.sold", OrderSold, apply_sold, reapply=reapply_sold),
    EventKind("order.allowed", OrderAllowed, apply_allowed, reapply=reapply_allowed),
    EventKind("order.denied", OrderDenied, apply_denied, reapply=reapply_denied),
    EventKind("order.withdrawn", OrderEnded, apply_withdrawn, reapply=reapply_withdrawn),
    EventKind("order.expired", OrderEnded, apply_expired, reapply=reapply_expired),
    EventKind("order.collected", OrderCollected, apply_collected, reapply=reapply_collected),
)
INDEXES = {"orders": (("state", "station", "ticket"), ("taken_ms",))}
