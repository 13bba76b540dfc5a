"""Stock: what is on the shelf, what is promised, and what was counted.

    available = on hand − held     a Mode 2 order holds when it is sequenced; collect sells the hold

Sales are always taken: what goes below zero is flagged with the deficit, for a person. A product is
counted from its first entry or count on; before that it has no row here, and warns nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from node.cafe import exceptions
from node.cafe.kinds import (
    Acting,
    Code,
    Command,
    EventKind,
    Fact,
    Kind,
    Price,
    Quantity,
    Reason,
    event,
)
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

Line = tuple[str, int]
"""(sku, units)."""

# --- commands ----------------------------------------------------------------


class MoveStock(Command, frozen=True):
    """Enter or withdraw units of a product."""

    sku: Code
    direction: Literal["in", "out"]
    units: Quantity
    reason: Reason = ""
    cost_minor: Price | None = None
    """New cost of a unit, with an entry."""


class Counted(Command, frozen=True):
    """What was found of one product."""

    sku: Code
    units: Annotated[int, Meta(ge=0, le=10**9)]


class CountStock(Command, frozen=True):
    """Counted amounts become corrections."""

    lines: Annotated[tuple[Counted, ...], Meta(min_length=1, max_length=200)]
    reason: Reason


# --- events ------------------------------------------------------------------


class StockMoved(Fact, frozen=True):
    sku: str
    units: int
    """Negative when they were withdrawn."""
    reason: str
    cost_minor: int | None
    operator: str
    station: str
    at_ms: int


class StockCounted(Fact, frozen=True):
    number: int
    lines: list[list[Any]]
    """``[sku, units that were expected, units that were found, cost of a unit]``."""
    reason: str
    operator: str
    at_ms: int


# --- decide ------------------------------------------------------------------


def decide_move(tables: Tables, command: MoveStock, acting: Acting) -> list[Event]:
    product = tables.table("products").peek(command.sku)
    if product is None:
        raise Refused("unknown-product", sku=command.sku)
    if product["kind"] != "product":
        raise Refused("no-stock", sku=command.sku)
    if not command.reason.strip():
        raise Refused("reason-needed")
    if command.cost_minor is not None and command.direction == "out":
        raise Refused("bad-field", what="cost_minor")
    fact = StockMoved(
        sku=command.sku,
        units=command.units if command.direction == "in" else -command.units,
        reason=command.reason,
        cost_minor=command.cost_minor,
        operator=acting.operator_id,
        station=acting.station_id,
        at_ms=acting.context.at_ms,
    )
    return [event("stock.moved", fact)]


def decide_count(tables: Tables, command: CountStock, acting: Acting) -> list[Event]:
    if not command.reason.strip():
        raise Refused("reason-needed")
    if len({line.sku for line in command.lines}) < len(command.lines):
        raise Refused("repeated", what="sku")
    lines: list[list[Any]] = []
    for line in command.lines:
        product = tables.table("products").peek(line.sku)
        if product is None:
            raise Refused("unknown-product", sku=line.sku)
        if product["kind"] != "product":
            raise Refused("no-stock", sku=line.sku)
        row = tables.table("stock").peek(line.sku)
        lines.append([line.sku, row["on_hand"] if row else 0, line.units, product["cost_minor"]])
    fact = StockCounted(
        number=len(tables.table("counts")) + 1,
        lines=lines,
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("stock.counted", fact)]


# --- apply -------------------------------------------------------------------


def apply_moved(tables: Tables, fact: StockMoved) -> None:
    _change(tables, fact.sku, on_hand=fact.units)
    if fact.cost_minor is not None:
        products = tables.table("products")
        row = products.row(fact.sku)
        if row is not None:
            products.put(fact.sku, {**row, "cost_minor": fact.cost_minor})


def apply_counted(tables: Tables, fact: StockCounted) -> None:
    for sku, expected, found, _ in fact.lines:
        _change(tables, sku, on_hand=found - expected)
    row: dict[str, Any] = {
        "number": fact.number,
        "lines": fact.lines,
        "reason": fact.reason,
        "operator": fact.operator,
        "at_ms": fact.at_ms,
    }
    tables.table("counts").put(str(fact.number), row)


def reapply_counted(tables: Tables, fact: StockCounted) -> None:
    """A count of a lost life: if this life has counted too, a person looks at the shelf."""
    if tables.table("counts").peek(str(fact.number)) is None:
        apply_counted(tables, fact)
    else:
        exceptions.note(tables, "decided-twice", f"counts/{fact.number}", fact.at_ms)


def open_with(tables: Tables, sku: str, units: int) -> None:
    """Begin to count a product that was not counted."""
    if tables.table("stock").peek(sku) is None:
        _change(tables, sku, on_hand=units)


def hold(tables: Tables, lines: Iterable[Line]) -> list[list[Any]]:
    """Promise units to an order that waits; what was promised, to be released or sold later."""
    held = _counted(tables, lines)
    for sku, units in held:
        _change(tables, sku, held=units)
    return [[sku, units] for sku, units in held]


def release(tables: Tables, held: Iterable[Iterable[Any]]) -> None:
    """Take back what `hold` has promised."""
    for sku, units in held:
        _change(tables, sku, held=-units)


def sell(tables: Tables, lines: Iterable[Line]) -> None:
    """Take sold units from the shelf."""
    table = tables.table("stock")
    for sku, units in lines:
        row = table.peek(sku)
        if row is not None:
            table.put(sku, changed(row, -units), given=True)


def restock(tables: Tables, lines: Iterable[Line]) -> None:
    """Put units back on the shelf."""
    for sku, units in _counted(tables, lines):
        _change(tables, sku, on_hand=units)


def note_oversold(tables: Tables, deficits: Iterable[list[Any]], order: str, at_ms: int) -> None:
    """Tell a person of what was sold and is not there."""
    for sku, code, deficit in deficits:
        if code == "oversold":
            exceptions.note(tables, "oversold", order, at_ms, sku=sku, deficit=deficit)


def _counted(tables: Tables, lines: Iterable[Line]) -> list[Line]:
    table = tables.table("stock")
    return [line for line in lines if table.peek(line[0]) is not None]


def _change(tables: Tables, sku: str, on_hand: int = 0, held: int = 0) -> None:
    table = tables.table("stock")
    table.put(sku, changed(table.peek(sku) or EMPTY, on_hand, held))


# --- the arithmetic ----------------------------------------------------------

EMPTY: Mapping[str, int] = {"on_hand": 0, "held": 0}


def changed(row: Mapping[str, int], on_hand: int = 0, held: int = 0) -> dict[str, int]:
    """Stock after a change."""
    return {"on_hand": row["on_hand"] + on_hand, "held": row["held"] + held}


def available(row: Mapping[str, int]) -> int:
    """Units that nobody was promised."""
    return row["on_hand"] - row["held"]


def deficit(row: Mapping[str, int], units: int, *, hold: bool) -> tuple[str, int] | None:
    """(``short`` or ``oversold``, missing units) if a hold or a sale of ``units`` is too much."""
    if hold:
        missing = units - available(row)
        return ("short", missing) if missing > 0 else None
    missing = units - row["on_hand"]
    return ("oversold", missing) if missing > 0 else None


def is_low(row: Mapping[str, int], minimum: int) -> bool:
    """Whether it should be ordered again."""
    return available(row) <= minimum


# --- queries -----------------------------------------------------------------


def deficits(tables: Tables, lines: Iterable[Line], *, hold: bool) -> list[list[Any]]:
    """``[sku, short | oversold, missing units]`` of an order's lines, as stock is now."""
    table = tables.table("stock")
    wanted: dict[str, int] = {}
    for sku, units in lines:
        wanted[sku] = wanted.get(sku, 0) + units
    found: list[list[Any]] = []
    for sku, units in wanted.items():
        row = table.peek(sku)
        missing = None if row is None else deficit(row, units, hold=hold)
        if missing:
            found.append([sku, *missing])
    return found


def low(tables: Tables) -> list[tuple[str, int, int]]:
    """(sku, available, minimum) of what should be ordered again, by sku."""
    products = tables.table("products")
    found = []
    for sku, row in tables.table("stock").scan():
        product = products.peek(sku)
        minimum = product["minimum"] if product is not None and product["active"] else None
        if minimum is not None and is_low(row, minimum):
            found.append((sku, available(row), minimum))
    return sorted(found)


KINDS = (
    Kind("stock.move", MoveStock, "stock.move", decide_move),
    Kind("stock.count", CountStock, "stock.count", decide_count, server_only=True),
)
EVENTS = (
    EventKind("stock.moved", StockMoved, apply_moved),
    EventKind("stock.counted", StockCounted, apply_counted, reapply=reapply_counted),
)
INDEXES = {"counts": ((), ("number",))}
