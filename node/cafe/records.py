"""Records that several people edit at once: each change says which version of each field it saw.

Other fields merge. Of one field the first that is sequenced stays, the second is an exception with
both values and both authors; values that agree are no conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from node.cafe.kinds import Acting, Command, Fact, event, read_fields
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

Changes = Mapping[str, tuple[int, Any]]
"""Field → (version of it that was seen, new value)."""

Version = Annotated[int, Meta(ge=0, le=2**40)]
ChangeMap = dict[Annotated[str, Meta(max_length=24, pattern=r"^[a-z_]+\Z")], tuple[Version, Any]]
"""As it stands in a command; its values are checked by `read_changes`."""

NEVER = 1 << 62
"""Place in the log of what never took effect."""
EVENT_OF = {"products": "product.edited", "discounts": "discount.edited"}
"""The kind of event that edits a record of a table."""


class RecordEdited(Fact, frozen=True):
    """Fields of one record changed."""

    table: str
    record: str
    values: dict[str, Any]
    conflicts: dict[str, list[Any]]
    """Field → [value that stays, value that came second]."""
    operator: str
    chain: str
    seq: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Merged:
    """What of an edit takes effect, and what somebody else was faster with."""

    values: dict[str, Any]
    conflicts: dict[str, list[Any]]


def read_changes(changes: Changes, fields: type[Command]) -> Changes:
    """The changes, each value checked against its field; `Refused` as for any command."""
    if not changes:
        raise Refused("nothing-to-do")
    command = read_fields({name: value for name, (_, value) in changes.items()}, fields)
    values = msgspec.to_builtins(command)
    for name in changes:
        if values[name] is None:
            raise Refused("bad-field", what=name)
    return {name: (seen, values[name]) for name, (seen, _) in changes.items()}


def check_together(table: str, values: Mapping[str, Any]) -> None:
    """`Refused` ``out-of-range`` for fields of a record that do not go with each other."""
    if table == "discounts" and values["form"] == "percent" and values["value"] > 10_000:
        raise Refused("out-of-range", what="value")


def merge(row: Mapping[str, Any], changes: Changes) -> Merged:
    """What an edit comes to on a record as it is now; `Refused` ``deleted``."""
    if row.get("deleted"):
        raise Refused("deleted")
    versions = row.get("versions", {})
    values: dict[str, Any] = {}
    conflicts: dict[str, list[Any]] = {}
    for field, (seen, value) in changes.items():
        if row[field] == value:
            continue
        if versions.get(field, [1])[0] == seen:
            values[field] = value
        else:
            conflicts[field] = [row[field], value]
    return Merged(values, conflicts)


def edited(table: str, record: str, merged: Merged, acting: Acting) -> Event:
    """The event that an edit becomes."""
    context = acting.context
    fact = RecordEdited(
        table=table,
        record=record,
        values=merged.values,
        conflicts=merged.conflicts,
        operator=acting.operator_id,
        chain=context.op.chain.hex(),
        seq=context.seq,
        at_ms=context.at_ms,
    )
    return event(EVENT_OF[table], fact)


def apply_values(row: dict[str, Any], fact: RecordEdited) -> None:
    """Put the new values into a row of the caller's own, one version further each."""
    bump(row, fact.values, fact.operator, fact.at_ms)
    row.update(fact.values)


def bump(row: dict[str, Any], fields: Iterable[str], operator: str, at_ms: int) -> None:
    """These fields of a row are one version further."""
    versions = row.setdefault("versions", {})
    for field in fields:
        versions[field] = [versions.get(field, [1])[0] + 1, operator, at_ms]


def version(row: Mapping[str, Any], field: str) -> int:
    """Version of a field as it is shown, to go with a change of it."""
    return int(row.get("versions", {}).get(field, [1])[0])


def changes_to(row: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, tuple[int, Any]]:
    """The changes that make a record as it is shown here have these values."""
    return {
        field: (version(row, field), value)
        for field, value in values.items()
        if row[field] != value
    }


def of(tables: Tables, table: str, record: str, code: str) -> Mapping[str, Any]:
    """Row of a record, or `Refused` ``code``."""
    row = tables.table(table).peek(record)
    if row is None:
        raise Refused(code, what=record)
    return row
