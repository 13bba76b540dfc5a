"""Orders: what a vendor sends, what the operator says of it, and the sale it becomes.

Mode 2   pending ──▶ allowed ──▶ collected          Mode 1, and the desk:  collected
            │            │           ▲
            ├──▶ denied ◀┘           │ collect also from pending
set_aside waits for a person and is in no sum; accept collects it, reject ends it as denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace

from node.cafe import box, catalog, conflicts, settings
from node.cafe.kinds import (
    Acting,
    Amount,
    Code,
    Command,
    EventKind,
    Fact,
    Hex,
    Kind,
    Price,
    Quantity,
    Reason,
    event,
)
from node.cafe.money import MAX_TICKET_MINOR, pay
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

DESK_MODE = 0

# --- commands ----------------------------------------------------------------


class Line(Command, frozen=True):
    """``quantity`` units of a product at the price that was shown."""

    sku: Code
    quantity: Quantity
    price_minor: Price | None = None
    """Filled in by the node where it is sold."""


class PlaceOrder(Command, frozen=True):
    """A vendor sells. All but ``lines`` is filled in by the node where that happens."""

    lines: Annotated[tuple[Line, ...], Meta(min_length=1, max_length=200)]
    total_minor: Amount | None = None
    mode: Annotated[int, Meta(ge=0, le=2)] | None = None
    label: Annotated[str, Meta(max_length=24)] | None = None
    box: Annotated[int, Meta(ge=0)] | None = None
    tendered_minor: Amount | None = None
    cash_minor: Amount | None = None
    """Cash that was taken, after rounding; of sales that are final where they are made."""


class AllowOrder(Command, frozen=True):
    order: Hex


class DenyOrder(Command, frozen=True):
    order: Hex
    reason: Reason = ""


class CollectOrder(Command, frozen=True):
    """Take the money of an order that waits; its ticket is printed."""

    order: Hex
    tendered_minor: Amount | None = None


class AcceptOrder(Command, frozen=True):
    """Count an order that was set aside."""

    order: Hex
    reason: Reason = ""


class RejectOrder(Command, frozen=True):
    """End a Mode 2 order that was set aside."""

    order: Hex
    reason: Reason = ""


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
    """``pending`` or ``set_aside``; a sale that is final is collected by an event of its own."""
    flags: list[str]
    cash_minor: int | None = None
    """Cash that the vendor took already; None where the operator will take it."""


class OrderAllowed(Fact, frozen=True):
    order: str
    operator: str
    at_ms: int


class OrderDenied(Fact, frozen=True):
    order: str
    operator: str
    reason: str
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


# --- decide ------------------------------------------------------------------


def fill(tables: Tables, command: PlaceOrder, station: str, folded: int) -> PlaceOrder:
    """The command with prices, total, mode, label and box as this node sees them.

    ``station`` is the node's hex id, empty at the server's desk; ``folded`` its cursor.
    """
    lines = tuple(
        line
        if line.price_minor is not None
        else replace(line, price_minor=_product(tables, line.sku)["price_minor"])
        for line in command.lines
    )
    row = tables.table("stations").peek(station) if station else None
    label = f"{row['label']}-{row['orders'] + 1:04d}" if row else ""
    opened = box.open_box(tables)
    mode = DESK_MODE if not station else settings.cafe(tables).get("mode", 2)
    mode = mode if command.mode is None else command.mode
    total = command.total_minor
    if total is None:
        total = sum(line.quantity * (line.price_minor or 0) for line in lines)
    cash = command.cash_minor
    if cash is None and mode != 2:
        cash = pay(total, 0, None, *settings.cash_at(tables, folded)).cash
    return PlaceOrder(
        lines=lines,
        total_minor=total,
        mode=mode,
        label=label if command.label is None else command.label,
        box=(opened["number"] if opened else 0) if command.box is None else command.box,
        tendered_minor=command.tendered_minor,
        cash_minor=cash,
    )


def decide_place(tables: Tables, command: PlaceOrder, acting: Acting) -> list[Event]:
    context = acting.context
    if command.mode is None or command.total_minor is None:
        raise Refused("bad-field", what="total_minor, mode")
    if acting.desk != (command.mode == DESK_MODE):
        raise Refused("bad-mode")
    took_money = command.mode != 2
    flags: list[str] = []
    doubts: list[str] = []
    if not acting.permitted:
        if not took_money or not context.server or acting.desk:
            raise Refused("no-permission", permission="order.place")
        doubts.append("right-lost")
    lines, prices_flag, off_minor = _judge_lines(tables, command, acting, took_money)
    total = sum(line["amount_minor"] for line in lines)
    if total > MAX_TICKET_MINOR:
        raise Refused("out-of-range", what="total")
    if total != command.total_minor:
        doubts.append("bad-arithmetic")
    tolerance = settings.cafe(tables).get("tolerance_minor", 0)
    if prices_flag:
        tolerable = prices_flag == "old-price" or abs(off_minor) <= tolerance
        (flags if tolerable or command.mode == 2 else doubts).append(prices_flag)
    if context.server and command.mode == 1 and settings.mode_at(tables, context.op.base) != 1:
        doubts.append("mode-differs")
    base = context.op.base if context.server else context.seq
    due = pay(total, 0, None, *settings.cash_at(tables, base)).cash
    cash = due if command.cash_minor is None else command.cash_minor
    if took_money and cash != due:
        doubts.append("cash-differs")
    if took_money and command.tendered_minor is not None and command.tendered_minor < cash:
        if acting.desk or not context.server:
            raise Refused("too-little", short_minor=cash - command.tendered_minor)
        if "cash-differs" not in doubts:
            doubts.append("cash-differs")
    order = context.op.key.hex()
    placed = OrderPlaced(
        order=order,
        label=command.label or f"D-{context.seq}",
        station=context.op.node.hex() if acting.station else "",
        operator=acting.operator_id,
        mode=command.mode,
        lines=lines,
        total_minor=command.total_minor,
        taken_ms=context.op.wall_ms,
        at_ms=context.at_ms,
        box=command.box or 0,
        state="set_aside" if doubts else "pending",
        flags=doubts + flags,
        cash_minor=cash if took_money else None,
    )
    events = [event("order.placed", placed)]
    if took_money and not doubts:
        row = {
            "box": placed.box,
            "total_minor": total,
            "mode": command.mode,
            "flags": flags,
            "cash_minor": cash,
        }
        events.append(_collected(tables, order, row, acting, command.tendered_minor))
    return events


def _judge_lines(
    tables: Tables, command: PlaceOrder, acting: Acting, took_money: bool
) -> tuple[list[dict[str, Any]], str, int]:
    """(lines as they are kept, flag on their prices or "", total of what is off the known
    prices)."""
    base = acting.context.op.base if acting.context.server else acting.context.seq
    lines = []
    flag, off_minor = "", 0
    for line in command.lines:
        row = tables.table("products").peek(line.sku)
        if row is None and not (took_money and acting.context.server and not acting.desk):
            raise Refused("unknown-product", sku=line.sku)
        if line.price_minor is None:
            raise Refused("bad-field", what="price_minor")
        known = None if row is None else catalog.price_at(row, base)
        if known != line.price_minor:
            flag = "price-differs"
            off_minor += line.quantity * (line.price_minor - (known or 0))
        elif row is not None and row["price_minor"] != line.price_minor and not flag:
            flag = "old-price"
        if row is None:
            off_minor += MAX_TICKET_MINOR
        lines.append(
            {
                "sku": line.sku,
                "name": row["name"] if row is not None else line.sku,
                "category": row["category"] if row is not None else "",
                "quantity": line.quantity,
                "price_minor": line.price_minor,
                "amount_minor": line.quantity * line.price_minor,
                "tax_bp": row["tax_bp"] if row is not None else 0,
            }
        )
    return lines, flag, off_minor


def _collected(
    tables: Tables,
    order: str,
    row: Mapping[str, Any],
    acting: Acting,
    tendered_minor: int | None,
) -> Event:
    """The event that turns an order into a sale of the box that is open now."""
    context = acting.context
    total = row["total_minor"]
    cash = row["cash_minor"]
    if cash is None:
        cash = pay(total, 0, tendered_minor, *settings.cash_at(tables, context.seq)).cash
    tendered = max(cash, cash if tendered_minor is None else tendered_minor)
    opened = box.open_box(tables)
    if opened is None:
        raise Refused("no-open-box")
    taken_in = row["box"]
    late = taken_in if row["mode"] == 1 and 0 < taken_in < opened["number"] else 0
    return event(
        "order.collected",
        OrderCollected(
            order=order,
            operator=acting.operator_id,
            at_ms=context.at_ms,
            ticket=box.next_ticket(tables) if context.server else 0,
            box=opened["number"],
            cash_minor=cash,
            rounding_minor=cash - total,
            tendered_minor=tendered,
            change_minor=tendered - cash,
            late_from=late,
            flags=list(row["flags"]),
            older=context.older,
            lost=context.lost,
        ),
    )


def _waiting(tables: Tables, order: str, *states: str) -> Mapping[str, Any]:
    row = tables.table("orders").peek(order)
    if row is None:
        raise Refused("unknown-order")
    if row["state"] not in states:
        raise Refused("bad-state", state=row["state"], label=row["label"])
    return row


def decide_allow(tables: Tables, command: AllowOrder, acting: Acting) -> list[Event]:
    _waiting(tables, command.order, "pending")
    at_ms = acting.context.at_ms
    fact = OrderAllowed(order=command.order, operator=acting.operator_id, at_ms=at_ms)
    return [event("order.allowed", fact)]


def decide_deny(tables: Tables, command: DenyOrder, acting: Acting) -> list[Event]:
    _waiting(tables, command.order, "pending", "allowed")
    return _deny(command.order, command.reason, acting)


def decide_collect(tables: Tables, command: CollectOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "pending", "allowed")
    return [_collected(tables, command.order, row, acting, command.tendered_minor)]


def decide_accept(tables: Tables, command: AcceptOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "set_aside")
    if not command.reason.strip():
        raise Refused("reason-needed")
    if row["mode"] == 2:
        at_ms = acting.context.at_ms
        fact = OrderAllowed(order=command.order, operator=acting.operator_id, at_ms=at_ms)
        return [event("order.allowed", fact)]
    return [_collected(tables, command.order, row, acting, None)]


def decide_reject(tables: Tables, command: RejectOrder, acting: Acting) -> list[Event]:
    row = _waiting(tables, command.order, "set_aside")
    if row["mode"] == 1:
        raise Refused("needs-refund")
    return _deny(command.order, command.reason, acting)


def _deny(order: str, reason: str, acting: Acting) -> list[Event]:
    if not reason.strip():
        raise Refused("reason-needed")
    fact = OrderDenied(
        order=order, operator=acting.operator_id, reason=reason, at_ms=acting.context.at_ms
    )
    return [event("order.denied", fact)]


def _product(tables: Tables, sku: str) -> Mapping[str, Any]:
    row = tables.table("products").peek(sku)
    if row is None:
        raise Refused("unknown-product", sku=sku)
    return row


# --- apply -------------------------------------------------------------------


def apply_placed(tables: Tables, fact: OrderPlaced) -> None:
    # Cash of a doubtful sale lies in the till already, whatever a person will say of the order.
    in_till = fact.state == "set_aside" and fact.mode == 1
    tables.table("orders").put(
        fact.order,
        {
            "label": fact.label,
            "station": fact.station,
            "operator": fact.operator,
            "mode": fact.mode,
            "lines": fact.lines,
            "total_minor": fact.total_minor,
            "taken_ms": fact.taken_ms,
            "placed_ms": fact.at_ms,
            "box": fact.box,
            "state": fact.state,
            "flags": fact.flags,
            "reason": "",
            "ticket": 0,
            "late_from": 0,
            "cash_minor": fact.cash_minor,
            "in_till": in_till,
            "history": [[fact.state, fact.at_ms, fact.operator]],
        },
    )
    if in_till:
        box.add_till_cash(tables, fact.operator, fact.station, fact.cash_minor or 0)
    if fact.station:
        stations = tables.table("stations")
        station = stations.row(fact.station)
        if station is not None:
            station["orders"] += 1
            stations.put(fact.station, station)


def apply_allowed(tables: Tables, fact: OrderAllowed) -> None:
    _move(tables, fact.order, "allowed", fact.at_ms, fact.operator)


def apply_denied(tables: Tables, fact: OrderDenied) -> None:
    _move(tables, fact.order, "denied", fact.at_ms, fact.operator, reason=fact.reason)


def apply_collected(tables: Tables, fact: OrderCollected, *, recovered: bool = False) -> None:
    row = _move(
        tables,
        fact.order,
        "collected",
        fact.at_ms,
        fact.operator,
        ticket=fact.ticket,
        late_from=fact.late_from,
        cash_minor=fact.cash_minor,
        rounding_minor=fact.rounding_minor,
        tendered_minor=fact.tendered_minor,
        change_minor=fact.change_minor,
        sold_in=fact.box,
    )
    if row is not None:
        job = box.add_sale(tables, fact.box, fact.order, row, fact.ticket)
        if job and (recovered or fact.older):
            box.hold_print(tables, job, unknown=recovered or fact.lost)


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


def _may_move(tables: Tables, order: str, state: str) -> bool:
    row = tables.table("orders").peek(order)
    if row is not None and row["state"] in ("collected", "denied"):
        if row["state"] != state:
            conflicts.note(tables, "decided-twice", order, state=state)
        return False
    return True


def reapply_collected(tables: Tables, fact: OrderCollected) -> None:
    """Its money counts once: in the box it was counted in, or if that is closed by now without it,
    in the one that is open."""
    row = tables.table("orders").peek(fact.order)
    if row is not None and row["state"] in ("collected", "denied"):
        conflicts.note(tables, "collected-twice", fact.order, cash_minor=fact.cash_minor)
        return
    sold_in = tables.table("boxes").peek(str(fact.box))
    opened = box.open_box(tables)
    if opened is not None and (sold_in is None or sold_in["state"] == "closed"):
        conflicts.note(tables, "collected-late", fact.order, box=fact.box)
        fact = replace(fact, box=opened["number"], late_from=fact.box)
    apply_collected(tables, fact, recovered=True)


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


KINDS = (
    Kind("order.place", PlaceOrder, "order.place", decide_place, judges_right=True),
    Kind("order.allow", AllowOrder, "order.authorise", decide_allow, server_only=True),
    Kind("order.deny", DenyOrder, "order.authorise", decide_deny, server_only=True),
    Kind("order.collect", CollectOrder, "order.authorise", decide_collect, server_only=True),
    Kind("order.accept", AcceptOrder, "order.authorise", decide_accept, server_only=True),
    Kind("order.reject", RejectOrder, "order.authorise", decide_reject, server_only=True),
)
EVENTS = (
    EventKind("order.placed", OrderPlaced, apply_placed, reapply=reapply_placed),
    EventKind("order.allowed", OrderAllowed, apply_allowed, reapply=reapply_allowed),
    EventKind("order.denied", OrderDenied, apply_denied, reapply=reapply_denied),
    EventKind("order.collected", OrderCollected, apply_collected, reapply=reapply_collected),
)
INDEXES = {"orders": (("state", "station"), ("taken_ms", "ticket"))}
