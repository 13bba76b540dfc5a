"""The box: the cash session, its tills, its close and the Z that never changes.

box:   expected = opening + desk cash + Mode 2 cash + cash in − cash out − cash refunds − floats
                  given to tills + cash handed over for orders not here yet + Σ declared tills
till:  expected = float + Mode 1 cash of one vendor at one station − cash handed over before
difference = declared − expected, till and box apart: no shortage counts twice
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from tinydb import where

from node.cafe import exceptions, jobs, prints, settings
from node.cafe.kinds import (
    Acting,
    Amount,
    Command,
    EventKind,
    Fact,
    Hex,
    Kind,
    Name,
    Reason,
    event,
    read_command,
)
from node.cafe.money import taxes_of
from node.cafe.operators import find, may
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

MethodName = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,23}\Z")]
Denomination = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,11}\Z")]
Till = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}/[0-9a-f]{32}\Z")]
"""``operator/station`` in hex."""
MOST_IN_A_BOX = 10**18
MOST_COUNTED = 10**15
MOST_PIECES = 60
"""Kinds of coins and notes."""
NAMES_IN_A_BOX = 1_000
"""So many categories and discounts are named in a Z, and so many movements; the rest is summed."""
Sum = Annotated[int, Meta(ge=1, le=10**15)]

# --- commands ----------------------------------------------------------------


class DeclaredTill(Command, frozen=True):
    """What a vendor handed over for their till."""

    till: Name
    """``operator/station`` in hex, as the box lists it."""
    declared_minor: Amount
    unsent_minor: Amount = 0
    """Cash beside it that belongs to orders which have not arrived."""


class DeclaredMethod(Command, frozen=True):
    """What the slips of a method that is no cash add up to."""

    method: MethodName
    declared_minor: Amount


class StationSeen(Command, frozen=True):
    """How a station stood when the box was closed; filled in by the server."""

    station: Hex
    seen_ms: Annotated[int, Meta(ge=0)]
    """Server's UTC of the last contact; 0 for none since its start."""
    head: Annotated[int, Meta(ge=0)]
    """How many of its ops are here."""
    unsent: Annotated[int, Meta(ge=0)] = 0
    unsent_minor: Amount = 0
    """Orders that it said it still has, and what they come to."""


class CloseBox(Command, frozen=True):
    """Close the open box. What is not declared is taken as expected."""

    declared_minor: Amount | None = None
    counts: (
        Annotated[
            dict[Denomination, Annotated[int, Meta(ge=0, le=10**6)]], Meta(max_length=MOST_PIECES)
        ]
        | None
    ) = None
    """Coins and notes: how many of each value in minor units."""
    leave_minor: Amount = 0
    tills: Annotated[tuple[DeclaredTill, ...], Meta(max_length=200)] = ()
    methods: Annotated[tuple[DeclaredMethod, ...], Meta(max_length=20)] = ()
    next_operator: Annotated[str, Meta(max_length=80)] = ""
    stations: Annotated[tuple[StationSeen, ...], Meta(max_length=1000)] = ()


class ReadBox(Command, frozen=True):
    """Print what the box holds now: an X."""


class MoveCash(Command, frozen=True):
    """Put cash into the box, or take some out, for a reason."""

    direction: Literal["in", "out"]
    amount_minor: Sum
    reason: Reason


class GiveFloat(Command, frozen=True):
    """Give a vendor's till change from the box."""

    till: Till
    amount_minor: Sum


class HandOver(Command, frozen=True):
    """Another operator takes over the open box."""

    next_operator: Name
    declared_minor: Amount | None = None


class OpenDrawer(Command, frozen=True):
    """Open the drawer without a sale."""

    reason: Reason


# --- events ------------------------------------------------------------------


class BoxOpened(Fact, frozen=True):
    number: int
    opening_minor: int
    operator: str
    at_ms: int
    handed: dict[str, int] = {}
    """Till → cash that was handed over in the box before for orders that had not arrived."""


class BoxClosed(Fact, frozen=True):
    number: int
    z: dict[str, Any]
    """The whole Z as it was when it was printed."""


class BoxRead(Fact, frozen=True):
    number: int
    reading: int
    """Which X of this box it is."""
    x: dict[str, Any]


class CashMoved(Fact, frozen=True):
    box: int
    amount_minor: int
    """Negative when it was taken out."""
    reason: str
    operator: str
    at_ms: int


class FloatGiven(Fact, frozen=True):
    box: int
    till: str
    amount_minor: int
    operator: str
    at_ms: int


class BoxHandedOver(Fact, frozen=True):
    box: int
    before: str
    operator: str
    expected_minor: int
    declared_minor: int | None
    at_ms: int


class DrawerOpened(Fact, frozen=True):
    reason: str
    operator: str
    at_ms: int


# --- decide ------------------------------------------------------------------


def decide_close(tables: Tables, command: CloseBox, acting: Acting) -> list[Event]:
    waiting = len(jobs.pending(tables))
    check_pendings(waiting, allowed=may(acting.operator, "box.close_pending"))
    z = preview(tables, command, acting.context.at_ms, acting.operator_id)
    opened = BoxOpened(
        number=z["number"] + 1,
        opening_minor=command.leave_minor,
        operator=z["next_operator"],
        at_ms=acting.context.at_ms,
        handed={
            till["till"]: left
            for till in z["tills"]
            if (left := till["unsent_minor"] + till["unsettled_minor"])
        },
    )
    return [
        event("box.closed", BoxClosed(number=z["number"], z=z)),
        event("box.opened", opened),
    ]


def has_room(tables: Tables, amount_minor: int) -> bool:
    """Whether the box's sums stay within what a log can hold."""
    now = sums(tables)
    largest = max(now["total_minor"], now["cash_minor"], now["claimed_cash"])
    return bool(largest + amount_minor <= MOST_IN_A_BOX)


def check_room(tables: Tables, amount_minor: int) -> None:
    """`Refused` ``out-of-range`` for what would make the box's sums larger than a log can hold."""
    if not has_room(tables, amount_minor):
        raise Refused("out-of-range", what="box")


def check_pendings(waiting: int, *, allowed: bool) -> None:
    """`Refused` ``pendings`` when jobs wait for their money and the operator may not leave them."""
    if waiting and not allowed:
        raise Refused("pendings", count=waiting)


def decide_read(tables: Tables, command: ReadBox, acting: Acting) -> list[Event]:
    row = current(tables)
    if settings.cafe(tables).get("blind_close"):
        raise Refused("count-first")
    fact = BoxRead(
        number=row["number"],
        reading=sums(tables)["readings"] + 1,
        x=x_report(tables, acting.context.at_ms, acting.operator_id),
    )
    return [event("box.read", fact)]


def decide_move(tables: Tables, command: MoveCash, acting: Acting) -> list[Event]:
    if not command.reason.strip():
        raise Refused("reason-needed")
    fact = CashMoved(
        box=current(tables)["number"],
        amount_minor=command.amount_minor if command.direction == "in" else -command.amount_minor,
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("cash.moved", fact)]


def decide_float(tables: Tables, command: GiveFloat, acting: Acting) -> list[Event]:
    _check_till(tables, command.till)
    fact = FloatGiven(
        box=current(tables)["number"],
        till=command.till,
        amount_minor=command.amount_minor,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("till.float-given", fact)]


def decide_hand_over(tables: Tables, command: HandOver, acting: Acting) -> list[Event]:
    row = current(tables)
    next_operator, operator_row = find(tables, command.next_operator) or ("", {})
    if not operator_row or not may(operator_row, "box.open"):
        raise Refused("unknown-operator", name=command.next_operator)
    fact = BoxHandedOver(
        box=row["number"],
        before=row["operator"] or acting.operator_id,
        operator=next_operator,
        expected_minor=expected_in_box(row["opening_minor"], sums(tables)),
        declared_minor=command.declared_minor,
        at_ms=acting.context.at_ms,
    )
    return [event("box.handed-over", fact)]


def decide_drawer(tables: Tables, command: OpenDrawer, acting: Acting) -> list[Event]:
    if not command.reason.strip():
        raise Refused("reason-needed")
    fact = DrawerOpened(
        reason=command.reason, operator=acting.operator_id, at_ms=acting.context.at_ms
    )
    return [event("drawer.opened", fact)]


# --- what the box comes to ---------------------------------------------------


def preview_of(tables: Tables, fields: dict[str, Any], at_ms: int, operator: str) -> dict[str, Any]:
    """`preview` from the fields of a command that has not been checked yet."""
    return preview(tables, read_command(KINDS[0], fields), at_ms, operator)


def preview(tables: Tables, command: CloseBox, at_ms: int, operator: str) -> dict[str, Any]:
    """The Z that this close would give, or `Refused`."""
    row, now = current(tables), sums(tables)
    tills = _judge_tills(tables, now["tills"], command.tills)
    settled = settle(
        row["opening_minor"], now, tills, _declared(tables, command), command.leave_minor
    )
    next_operator = operator
    if command.next_operator:
        found = find(tables, command.next_operator)
        if found is None or not may(found[1], "box.close"):
            raise Refused("unknown-operator", name=command.next_operator)
        next_operator = found[0]
    return {
        **_report(tables, row, now, at_ms, operator),
        "tills": tills,
        **settled,
        "methods": judge_methods(
            now["methods"],
            command.methods,
            [method["method"] for method in settings.cafe(tables).get("methods", ())],
        ),
        "counts": command.counts or {},
        "stations": [msgspec.to_builtins(station) for station in command.stations],
        "next_operator": next_operator,
    }


def x_report(tables: Tables, at_ms: int, operator: str) -> dict[str, Any]:
    """What the open box holds now, nothing being declared."""
    row, now = current(tables), sums(tables)
    tills = _judge_tills(tables, now["tills"], ())
    settled = settle(row["opening_minor"], now, tills, None, 0)
    return {
        **_report(tables, row, now, at_ms, operator),
        "tills": tills,
        "expected_minor": settled["expected_minor"],
        "methods": judge_methods(now["methods"], ()),
    }


def _report(
    tables: Tables, row: Mapping[str, Any], now: Mapping[str, Any], at_ms: int, operator: str
) -> dict[str, Any]:
    """What X and Z have in common."""
    orders = tables.table("orders")
    waiting = sum(orders.count(where("state") == state) for state in ("pending", "allowed"))
    return {
        **{name: value for name, value in now.items() if name not in ("tills", "readings")},
        "number": row["number"],
        "opened_ms": row["opened_ms"],
        "closed_ms": at_ms,
        "operator": operator,
        "operators": row["operators"],
        "opening_minor": row["opening_minor"],
        "waiting": waiting,
        "set_aside": orders.count(where("state") == "set_aside"),
        "pending_jobs": len(jobs.pending(tables)),
    }


def _declared(tables: Tables, command: CloseBox) -> int | None:
    """Cash that was counted; None if nobody said."""
    declared = command.declared_minor
    if command.counts:
        counted = sum(int(value) * number for value, number in command.counts.items())
        if declared is not None and declared != counted:
            raise Refused("bad-arithmetic")
        if counted > MOST_COUNTED:
            raise Refused("out-of-range", what="counts")
        declared = counted
    if declared is None and settings.cafe(tables).get("blind_close"):
        raise Refused("count-first")
    return declared


def expected_in_till(till: Mapping[str, int]) -> int:
    """Cash that a vendor's till should hold; ``till`` has float, cash and handed_before."""
    return till["float"] + max(0, till["cash"] - till["handed_before"])


def unsettled_in_till(till: Mapping[str, int]) -> int:
    """Of what was handed over before, what no order has come for yet."""
    return max(0, till["handed_before"] - till["cash"])


def judge_till(
    name: str, till: Mapping[str, int], declared: int | None, unsent: int
) -> dict[str, Any]:
    """One till as the Z lists it; what is not declared is taken as expected."""
    expected = expected_in_till(till)
    counted = expected if declared is None else declared
    return {
        "till": name,
        "float_minor": till["float"],
        "cash_minor": till["cash"],
        "handed_before_minor": till["handed_before"],
        "expected_minor": expected,
        "declared_minor": counted,
        "difference_minor": counted - expected,
        "unsent_minor": unsent,
        "unsettled_minor": unsettled_in_till(till),
    }


def _check_till(tables: Tables, till: str) -> None:
    """`Refused` ``unknown-operator``, ``unknown-station`` for a till that nobody can have."""
    operator, _, station = till.partition("/")
    if tables.table("operators").peek(operator) is None:
        raise Refused("unknown-operator", name=operator)
    if tables.table("stations").peek(station) is None:
        raise Refused("unknown-station")


def _judge_tills(
    tables: Tables, tills: Mapping[str, Mapping[str, int]], declared: Iterable[DeclaredTill]
) -> list[dict[str, Any]]:
    said = {till.till: till for till in declared}
    repeated = len(said) < len(list(declared))
    unknown = {name for name in said if name not in tills and not said[name].unsent_minor}
    if unknown or repeated:
        raise Refused("unknown-till", what=next(iter(unknown), "twice"))
    found = []
    for name in sorted({*tills, *said}):
        if name not in tills:
            _check_till(tables, name)
        till, one = tills.get(name, NO_TILL), said.get(name)
        unsent = one.unsent_minor if one else 0
        found.append(judge_till(name, till, one.declared_minor if one else None, unsent))
    return found


def expected_in_box(opening_minor: int, now: Mapping[str, Any]) -> int:
    """Cash that the box should hold before any till is handed over."""
    return int(
        opening_minor
        + now["desk_cash"]
        + now["mode2_cash"]
        + now["cash_in"]
        - now["cash_out"]
        - now["cash_refunds"]
        - now["floats"]
    )


def settle(
    opening_minor: int,
    now: Mapping[str, Any],
    tills: Iterable[Mapping[str, Any]],
    declared: int | None,
    leave_minor: int,
) -> dict[str, int]:
    """Expected, declared, difference, withdrawn and left of a box with these tills; `Refused`
    ``out-of-range`` when more is left than there is."""
    handed_over = sum(till["unsent_minor"] for till in tills)
    expected = (
        expected_in_box(opening_minor, now)
        + handed_over
        + sum(till["declared_minor"] for till in tills)
    )
    counted = expected if declared is None else declared
    if not 0 <= leave_minor <= max(0, counted):
        raise Refused("out-of-range", what="leave_minor")
    return {
        "handed_over_minor": handed_over,
        "expected_minor": expected,
        "declared_minor": counted,
        "difference_minor": counted - expected,
        "withdrawn_minor": counted - leave_minor,
        "leave_minor": leave_minor,
    }


def judge_methods(
    methods: Mapping[str, list[int]], declared: Iterable[DeclaredMethod], known: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Each method with what it sold, gave back and is declared as; cash is declared by counting.
    ``known`` are the café's own, of which there may be slips whose orders are not here yet."""
    slips = list(declared)
    said = {method.method: method.declared_minor for method in slips}
    unknown = [n for n in said if n not in {*methods, *known} or n in settings.RESERVED]
    if unknown:
        raise Refused("unknown-method", what=unknown[0])
    if len(said) < len(slips):
        raise Refused("repeated", what="methods")
    found = []
    for name in sorted({*settings.RESERVED, *methods, *said}):
        sold, refunded = methods.get(name, (0, 0))
        net = sold - refunded
        counted = said.get(name, net)
        found.append(
            {
                "method": name,
                "sold_minor": sold,
                "refunded_minor": refunded,
                "net_minor": net,
                "declared_minor": counted,
                "difference_minor": counted - net,
            }
        )
    return found


# --- apply -------------------------------------------------------------------

NO_TILL: Mapping[str, int] = {"float": 0, "cash": 0, "handed_before": 0}


def empty_sums() -> dict[str, Any]:
    """Sums of a box in which nothing has happened."""
    return {
        "sales": 0,
        "total_minor": 0,
        "rounding_minor": 0,
        "cash_minor": 0,
        "off_minor": 0,
        "desk_cash": 0,
        "mode2_cash": 0,
        "claimed_cash": 0,
        "cash_in": 0,
        "cash_out": 0,
        "cash_refunds": 0,
        "floats": 0,
        "refunds": 0,
        "refunded_minor": 0,
        "methods": {},
        "by_vendor": {},
        "vendor_methods": {},
        "vendor_refunds": {},
        "tills": {},
        "categories": {},
        "discounts": {},
        "taxes": {},
        "refunded_taxes": {},
        "moves": [],
        "late": 0,
        "tickets": [0, 0],
        "readings": 0,
    }


def apply_opened(tables: Tables, fact: BoxOpened) -> None:
    tables.table("boxes").put(
        str(fact.number),
        {
            "number": fact.number,
            "state": "open",
            "opened_ms": fact.at_ms,
            "operator": fact.operator,
            "operators": [],
            "opening_minor": fact.opening_minor,
            "z": None,
        },
    )
    now = empty_sums()
    now["tills"] = {till: {**NO_TILL, "handed_before": cash} for till, cash in fact.handed.items()}
    tables.table("sums").put(str(fact.number), now)
    tables.table("counters").put("box", {"value": fact.number})


def apply_closed(tables: Tables, fact: BoxClosed) -> None:
    boxes = tables.table("boxes")
    row = boxes.row(str(fact.number))
    if row is not None:
        boxes.put(str(fact.number), {**row, "state": "closed", "z": fact.z})
    prints.queue(tables, f"z-{fact.number}", "z", str(fact.number))


def reapply_closed(tables: Tables, fact: BoxClosed) -> None:
    """Its Z stands as it was printed; what this box has counted beside it is for a person."""
    row = tables.table("boxes").peek(str(fact.number))
    if row is None or row["state"] == "closed":
        if row is not None and row["z"] != fact.z:
            exceptions.note(tables, "closed-twice", str(fact.number), z=fact.z)
        return
    now = tables.table("sums").peek(str(fact.number)) or empty_sums()
    more = now["total_minor"] - fact.z["total_minor"]
    names = ("desk_cash", "mode2_cash", "cash_in", "cash_out", "cash_refunds", "refunded_minor")
    if more or any(now[name] != fact.z.get(name, now[name]) for name in names):
        exceptions.note(tables, "box-differs", str(fact.number), more_minor=more)
    apply_closed(tables, fact)
    prints.hold(tables, f"z-{fact.number}", unknown=True)


def reapply_opened(tables: Tables, fact: BoxOpened) -> None:
    if tables.table("boxes").peek(str(fact.number)) is None:
        apply_opened(tables, fact)
    else:
        exceptions.note(tables, "opened-twice", str(fact.number), opening_minor=fact.opening_minor)


def is_closed(tables: Tables, number: int) -> bool:
    """Whether a box is closed, and its Z cannot change any more."""
    row = tables.table("boxes").peek(str(number))
    return row is not None and row["state"] == "closed"


def counts_in(tables: Tables, number: int) -> int:
    """Where money of a lost life counts: in its box, or the open one if that is closed by now."""
    opened = open_box(tables)
    return int(opened["number"]) if opened is not None and is_closed(tables, number) else number


def reapply_moved(tables: Tables, fact: CashMoved) -> None:
    """What was put in or taken out of a box that this life has closed is for a person."""
    if is_closed(tables, fact.box):
        more = fact.amount_minor
        exceptions.note(tables, "box-differs", str(fact.box), fact.at_ms, more_minor=more)
    else:
        apply_moved(tables, fact)


def reapply_float(tables: Tables, fact: FloatGiven) -> None:
    if is_closed(tables, fact.box):
        less = -fact.amount_minor
        exceptions.note(tables, "box-differs", str(fact.box), fact.at_ms, more_minor=less)
    else:
        apply_float(tables, fact)


def reapply_handed_over(tables: Tables, fact: BoxHandedOver) -> None:
    if not is_closed(tables, fact.box):
        apply_handed_over(tables, fact)


def reapply_read(tables: Tables, fact: BoxRead) -> None:
    """An X that this life has read under the same number stands; else it is not printed by itself:
    it may be on paper."""
    name = f"{fact.number}-{fact.reading}"
    if tables.table("readings").peek(name) is None:
        apply_read(tables, fact)
        prints.hold(tables, f"x-{name}", unknown=True)


def reapply_drawer(tables: Tables, fact: DrawerOpened) -> None:
    """Whoever stood there has gone."""


def apply_read(tables: Tables, fact: BoxRead) -> None:
    name = f"{fact.number}-{fact.reading}"
    tables.table("readings").put(name, fact.x)
    _change(tables, fact.number, readings=1)
    prints.queue(tables, f"x-{name}", "x", name)


def apply_moved(tables: Tables, fact: CashMoved) -> None:
    def fold(now: dict[str, Any]) -> None:
        if len(now["moves"]) >= NAMES_IN_A_BOX:
            del now["moves"][0]  # it is in the log, and in the sums
        now["cash_in" if fact.amount_minor > 0 else "cash_out"] += abs(fact.amount_minor)
        now["moves"].append([fact.amount_minor, fact.reason, fact.operator, fact.at_ms])

    _fold(tables, fact.box, fold)


def apply_float(tables: Tables, fact: FloatGiven) -> None:
    def fold(now: dict[str, Any]) -> None:
        now["floats"] += fact.amount_minor
        till = now["tills"].setdefault(fact.till, dict(NO_TILL))
        till["float"] += fact.amount_minor

    _fold(tables, fact.box, fold)


def apply_handed_over(tables: Tables, fact: BoxHandedOver) -> None:
    boxes = tables.table("boxes")
    row = boxes.row(str(fact.box))
    if row is not None:
        row["operators"].append(
            [fact.before, fact.operator, fact.expected_minor, fact.declared_minor, fact.at_ms]
        )
        boxes.put(str(fact.box), {**row, "operator": fact.operator})


def apply_drawer(tables: Tables, fact: DrawerOpened) -> None:
    pulse_drawer(tables, 0)


def pulse_drawer(tables: Tables, age_ms: int) -> None:
    """Ask for one pulse of the drawer, for an act that is so old already."""
    counters = tables.table("counters")
    before = counters.peek("drawer")
    number = before["value"] + 1 if before is not None else 1
    counters.put("drawer", {"value": number, "age_ms": age_ms}, given=True)


def _change(tables: Tables, number: int, **changes: int) -> None:
    def fold(now: dict[str, Any]) -> None:
        for name, change in changes.items():
            now[name] += change

    _fold(tables, number, fold)


def _fold(tables: Tables, number: int, fold: Any) -> None:
    """Change the sums of a box; one that is not known (its opening was lost) has none."""
    table = tables.table("sums")
    now = table.row(str(number))
    if now is not None:
        fold(now)
        table.put(str(number), now)


def add_sale(
    tables: Tables,
    number: int,
    order_id: str,
    order: Mapping[str, Any],
    ticket: int,
    *,
    quiet: bool = False,
) -> str:
    """Count a collected order in the sums of its box, and queue its ticket, unless it is to be
    ``quiet``; the print job, or empty. `check_room` has seen to it that the sums can be packed."""
    table, name = tables.table("sums"), str(number)
    before = table.peek(name)
    if before is None:
        return ""
    total, cash, operator = order["total_minor"], order["cash_minor"], order["operator"]
    now = {**before}  # what is in it is only looked at, and shared where a sale leaves it alone
    now["sales"] += 1
    now["total_minor"] += total
    now["rounding_minor"] += order["rounding_minor"]
    now["cash_minor"] += cash
    if order["late_from"]:
        now["late"] += 1
    now["by_vendor"] = {**before["by_vendor"]}
    _add(now["by_vendor"], operator, total)
    _add_methods(now, operator, cash, order["payments"])
    _add_cash(now, order, cash)
    _add_lines(now, order["lines"])
    if order["off"]:
        _add_discounts(now, order["off"])
    job = ""
    if ticket:
        first, last = before["tickets"]
        now["tickets"] = [first or ticket, max(last, ticket)]
        if ticket >= next_ticket(tables):
            tables.table("counters").put("ticket", {"value": ticket}, given=True)
        job = "" if quiet else _ticket_job(tables, ticket, order_id)
    table.put(name, now, given=True)
    return job


def _add_lines(now: dict[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
    """Count lines by category, and by tax rate: that is rounded once a rate and ticket."""
    now["categories"] = categories = {**now["categories"]}
    by_rate: dict[int, int] = {}
    for line in lines:
        amount, bp, category = line["amount_minor"], line["tax_bp"], line["category"]
        by_rate[bp] = by_rate.get(bp, 0) + amount
        known = categories.get(category)
        if known is None and len(categories) >= NAMES_IN_A_BOX:
            category = "…"
            known = categories.get(category)
        units, so_far = known or (0, 0)
        categories[category] = [units + line["quantity"], so_far + amount]
    now["taxes"] = rates = {**now["taxes"]}
    for bp, gross, net, tax in taxes_of(by_rate):
        rate = str(bp)
        gross_before, net_before, tax_before = rates.get(rate, (0, 0, 0))
        rates[rate] = [gross_before + gross, net_before + net, tax_before + tax]


def _add_discounts(now: dict[str, Any], off: Iterable[list[Any]]) -> None:
    now["discounts"] = given = {**now["discounts"]}
    for discount, amount in off:
        if discount not in given and len(given) >= NAMES_IN_A_BOX:
            discount = "…"
        times, so_far = given.get(discount, (0, 0))
        given[discount] = [times + 1, so_far + amount]
        now["off_minor"] += amount


def _add_methods(
    now: dict[str, Any], operator: str, cash: int, payments: Iterable[Sequence[Any]]
) -> None:
    now["methods"] = methods = {**now["methods"]}
    vendors = now["vendor_methods"]
    vendor = {**vendors.get(operator, {})}
    now["vendor_methods"] = {**vendors, operator: vendor}
    for method, amount in (("cash", cash), *payments):
        count_method(methods, method, sold=amount)
        vendor[method] = vendor.get(method, 0) + amount


def count_method(
    methods: dict[str, list[int]], method: str, *, sold: int = 0, refunded: int = 0
) -> None:
    """Count money of a method in ``{method: [sold, refunded]}``."""
    sold_before, refunded_before = methods.get(method, (0, 0))
    methods[method] = [sold_before + sold, refunded_before + refunded]


def _add_cash(now: dict[str, Any], order: Mapping[str, Any], cash: int) -> None:
    """Cash lies where it was taken: in the box, or in the vendor's till."""
    if order["mode"] == 0:
        now["desk_cash"] += cash
    elif order["mode"] == 2:
        now["mode2_cash"] += cash
    elif not order["in_till"]:
        _add_to_till(now, order["operator"], order["station"], cash)


def _ticket_job(tables: Tables, ticket: int, order_id: str) -> str:
    job = f"t-{ticket}"
    other = tables.table("prints").peek(job)
    if other is not None and other["ref"] != order_id:  # given in two lives of the server
        exceptions.note(tables, "ticket-twice", job, order=order_id)
        job = f"t-{ticket}-{order_id[:8]}"
    prints.queue(tables, job, "ticket", order_id)
    return job


def add_till_cash(tables: Tables, operator: str, station: str, cash_minor: int) -> None:
    """Count cash in a vendor's till of the open box; the sale itself is not counted yet."""
    opened = open_box(tables)
    if opened is not None:
        _fold(
            tables,
            opened["number"],
            lambda now: _claim(now, operator, station, cash_minor),
        )


def _claim(now: dict[str, Any], operator: str, station: str, cash: int) -> None:
    now["claimed_cash"] += cash
    _add_to_till(now, operator, station, cash)


def _add_to_till(now: dict[str, Any], operator: str, station: str, cash: int) -> None:
    name = f"{operator}/{station}"
    till = now["tills"].get(name, NO_TILL)
    now["tills"] = {**now["tills"], name: {**till, "cash": till["cash"] + cash}}


def take_out(tables: Tables, number: int, cash_minor: int) -> None:
    """Cash of a sale that was rejected goes back to who paid it."""
    _change(tables, number, cash_refunds=cash_minor)


def add_refund(
    tables: Tables,
    number: int,
    vendor: str,
    amount_minor: int,
    methods: Iterable[list[Any]],
    by_rate: Iterable[list[int]],
    rounding_minor: int = 0,
) -> None:
    """Count a refund in the box that gives it: ``methods`` (method, amount) with cash as it was
    paid out, ``by_rate`` (basis points, gross, tax), ``rounding_minor`` what rounding of cash kept
    back."""

    def fold(now: dict[str, Any]) -> None:
        now["refunds"] += 1
        now["refunded_minor"] += amount_minor
        now["rounding_minor"] += rounding_minor
        _add(now["vendor_refunds"], vendor, amount_minor)
        for method, amount in methods:
            count_method(now["methods"], method, refunded=amount)
            if method == "cash":
                now["cash_refunds"] += amount
        for bp, gross, tax in by_rate:
            rate = now["refunded_taxes"].setdefault(str(bp), [0, 0])
            rate[0] += gross
            rate[1] += tax

    _fold(tables, number, fold)


def move_sales(
    tables: Tables,
    number: int,
    method: str,
    operator: str,
    amount_minor: int,
    methods: Iterable[list[Any]],
    cash_minor: int,
    rounding_minor: int,
) -> None:
    """What was sold on an account is paid: it leaves its ``method`` for what it is paid with."""

    def fold(now: dict[str, Any]) -> None:
        vendor = now["vendor_methods"].setdefault(operator, {})
        for name, amount in ((method, -amount_minor), ("cash", cash_minor), *methods):
            count_method(now["methods"], name, sold=amount)
            vendor[name] = vendor.get(name, 0) + amount
        now["cash_minor"] += cash_minor
        now["desk_cash"] += cash_minor
        now["rounding_minor"] += rounding_minor

    _fold(tables, number, fold)


def count_points(tables: Tables, number: int, *, taken: int = 0, given_back: int = 0) -> None:
    """Count redeemed points as a method of payment: in points, never in money."""

    def fold(now: dict[str, Any]) -> None:
        count_method(now["methods"], "points", sold=taken, refunded=given_back)

    _fold(tables, number, fold)


def _add(totals: dict[str, int], key: str, amount: int) -> None:
    totals[key] = totals.get(key, 0) + amount


# --- queries -----------------------------------------------------------------


def open_box(tables: Tables) -> Mapping[str, Any] | None:
    """Row of the box that is open."""
    counter = tables.table("counters").peek("box")
    return None if counter is None else tables.table("boxes").peek(str(counter["value"]))


def current(tables: Tables) -> Mapping[str, Any]:
    """Row of the box that is open, or `Refused` ``no-open-box``."""
    row = open_box(tables)
    if row is None:
        raise Refused("no-open-box")
    return row


def sums(tables: Tables) -> Mapping[str, Any]:
    """Running sums of the open box, for reading only."""
    counter = tables.table("counters").peek("box")
    now = None if counter is None else tables.table("sums").peek(str(counter["value"]))
    return now if now is not None else empty_sums()


def running(tables: Tables) -> dict[str, Any] | None:
    """The open box and its sums so far."""
    row = open_box(tables)
    return None if row is None else {**row, **sums(tables)}


def pulses(tables: Tables) -> tuple[int, int]:
    """(how many pulses of the drawer were asked for, age in ms of the act of the last one)."""
    row = tables.table("counters").peek("drawer")
    return (0, 0) if row is None else (row["value"], row["age_ms"])


def next_ticket(tables: Tables) -> int:
    """The next ticket number of the café: no gaps, since only the server gives them."""
    counter = tables.table("counters").peek("ticket")
    return 1 if counter is None else counter["value"] + 1


def counted_in(order_box: int, open_number: int) -> tuple[int, int]:
    """(box that an order counts in, earlier box that it comes from or 0) when the box with
    ``open_number`` is open at its sequence number."""
    return open_number, order_box if 0 < order_box < open_number else 0


KINDS = (
    Kind("box.close", CloseBox, "box.close", decide_close, server_only=True),
    Kind("box.x", ReadBox, "box.x", decide_read, server_only=True),
    Kind("cash.move", MoveCash, "cash.move", decide_move, server_only=True),
    Kind("till.float", GiveFloat, "till.float", decide_float, server_only=True),
    Kind("box.hand-over", HandOver, "box.open", decide_hand_over, server_only=True),
    Kind("drawer.open", OpenDrawer, "drawer.open", decide_drawer, server_only=True),
)
EVENTS = (
    EventKind("box.opened", BoxOpened, apply_opened, reapply=reapply_opened),
    EventKind("box.closed", BoxClosed, apply_closed, reapply=reapply_closed),
    EventKind("box.read", BoxRead, apply_read, reapply=reapply_read),
    EventKind("cash.moved", CashMoved, apply_moved, reapply=reapply_moved),
    EventKind("till.float-given", FloatGiven, apply_float, reapply=reapply_float),
    EventKind("box.handed-over", BoxHandedOver, apply_handed_over, reapply=reapply_handed_over),
    EventKind("drawer.opened", DrawerOpened, apply_drawer, reapply=reapply_drawer),
)
INDEXES = {"boxes": (("state",), ("number",))}
