"""Discounts: what they take off a ticket, and the list of those that the café gives.

Each line is quantity × price, less its own discounts in their order, each on what is left; then the
ticket's discounts on the sum of what may be discounted, spread over those lines by largest
remainder; then tax. Never below zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from node.cafe import exceptions, records
from node.cafe.kinds import Acting, Code, Command, EventKind, Fact, Kind, Name, event
from node.cafe.money import nearest, shares
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

DISCOUNTABLE = frozenset({"product", "service", "free_pass", "promotion", "pin_card", "pin_ticket"})
"""Kinds of lines that a discount may touch: never PC time, credit, prints."""
VALUES_KEPT = 64

Form = Literal["percent", "fixed"]
Value = Annotated[int, Meta(ge=1, le=10**9)]
"""Basis points (1…10000) or minor units."""


class Applied(Command, frozen=True):
    """A discount as it was given: the café's own, at the value that was shown."""

    discount: Code
    form: Form | None = None
    value: Value | None = None
    """Both filled in by the node where it is sold."""


# --- what a ticket comes to --------------------------------------------------


@dataclass(frozen=True, slots=True)
class Priced:
    """What a ticket comes to, in minor units; ``amounts`` are its lines after all discounts."""

    amounts: list[int]
    off: list[tuple[str, int]]
    """(discount, what it took off) in the order in which they were given."""

    @property
    def total(self) -> int:
        return sum(self.amounts)

    @property
    def off_minor(self) -> int:
        return sum(off for _, off in self.off)


Cut = tuple[str, str, int]
"""(discount's code, ``percent`` or ``fixed``, basis points or minor units)."""


def price(lines: Sequence[tuple[str, int, Sequence[Cut]]], on_ticket: Sequence[Cut]) -> Priced:
    """Price a ticket of lines (kind, quantity × price, discounts) and its own discounts.

    `Refused`: ``not-discountable``, ``out-of-range``.
    """
    amounts: list[int] = []
    off: list[tuple[str, int]] = []
    for kind, amount, cuts in lines:
        if cuts and kind not in DISCOUNTABLE:
            raise Refused("not-discountable", what=kind)
        for cut in cuts:
            less = _less(cut, amount)
            off.append((cut[0], less))
            amount -= less
        amounts.append(amount)
    if on_ticket:
        open_to_it = [at for at, line in enumerate(lines) if line[0] in DISCOUNTABLE]
        if not open_to_it:
            raise Refused("not-discountable", what=lines[0][0])
        for cut in on_ticket:
            left = [amounts[at] for at in open_to_it]
            less = _less(cut, sum(left))
            off.append((cut[0], less))
            for at, part in zip(open_to_it, shares(less, left), strict=True):
                amounts[at] -= part
    return Priced(amounts, off)


def _less(cut: Cut, left: int) -> int:
    """What a discount takes off what is left; never more than that."""
    _, form, value = cut
    if value < 1 or (form == "percent" and value > 10_000):
        raise Refused("out-of-range", what="discount")
    return nearest(left * value, 10_000) if form == "percent" else min(value, left)


# --- the café's own ----------------------------------------------------------


class AddDiscount(Command, frozen=True):
    """A new discount for vendors to give."""

    discount: Code
    name: Name
    form: Form
    value: Value


class EditDiscount(Command, frozen=True):
    """Change a discount: field → [version of it that was seen, new value]."""

    discount: Code
    changes: records.ChangeMap


class DiscountFields(Command, frozen=True):
    """What may stand in the fields of a discount."""

    name: Name | None = None
    form: Form | None = None
    value: Value | None = None
    active: bool | None = None


class DiscountAdded(Fact, frozen=True):
    discount: str
    values: dict[str, Any]
    seq: int
    chain: str


def decide_add(tables: Tables, command: AddDiscount, acting: Acting) -> list[Event]:
    if tables.table("discounts").peek(command.discount) is not None:
        raise Refused("already-exists", what=command.discount)
    values = {"name": command.name, "form": command.form, "value": command.value, "active": True}
    records.check_together("discounts", values)
    fact = DiscountAdded(
        discount=command.discount,
        values=values,
        seq=acting.context.seq,
        chain=acting.context.op.chain.hex(),
    )
    return [event("discount.added", fact)]


def decide_edit(tables: Tables, command: EditDiscount, acting: Acting) -> list[Event]:
    row = records.of(tables, "discounts", command.discount, "unknown-discount")
    changes = records.read_changes(command.changes, DiscountFields)
    merged = records.merge(row, changes)
    records.check_together("discounts", {**row, **merged.values})
    for field, (_, other) in merged.conflicts.items():  # a person may take it later
        records.check_together("discounts", {**row, **merged.values, field: other})
    return [records.edited("discounts", command.discount, merged, acting)]


def apply_added(tables: Tables, fact: DiscountAdded) -> None:
    value = [fact.seq, fact.chain, fact.values["form"], fact.values["value"]]
    tables.table("discounts").put(fact.discount, {**fact.values, "values": [value]})


def apply_edited(tables: Tables, fact: records.RecordEdited) -> None:
    exceptions.note_conflicts(tables, fact)
    table = tables.table("discounts")
    row = table.row(fact.record)
    if row is None:
        return
    if {"form", "value"} & set(fact.conflicts) and fact.chain:
        own = [fact.conflicts.get(f, [0, row[f]])[1] for f in ("form", "value")]
        row["values"].insert(-1, [records.NEVER, fact.chain, *own])  # its author has given it so
        table.put(fact.record, row)
    if fact.values:
        records.apply_values(row, fact)
        if {"form", "value"} & set(fact.values):
            row["values"].append([fact.seq, fact.chain, row["form"], row["value"]])
            row["values"] = row["values"][-VALUES_KEPT:]
        table.put(fact.record, row)


# --- queries -----------------------------------------------------------------


def in_force(row: Mapping[str, Any], seq: int, chain: str) -> tuple[str, int] | None:
    """(form, value) of a discount for who had folded entry ``seq`` and wrote ``chain``."""
    found: tuple[str, int] | None = None
    for since, author, form, value in row["values"]:
        if since <= seq or author == chain:
            found = (form, value)
    return found


KINDS = (
    Kind("discount.add", AddDiscount, "discount.edit", decide_add),
    Kind("discount.edit", EditDiscount, "discount.edit", decide_edit),
)
EVENTS = (
    EventKind("discount.added", DiscountAdded, apply_added),
    EventKind("discount.edited", records.RecordEdited, apply_edited),
)
