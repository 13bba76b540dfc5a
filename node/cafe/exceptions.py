"""Exceptions: what happened and could not simply be folded, for a person to look at and resolve.

Nothing of it is lost, and nothing counts twice. Some come from people who worked without a network
at the same time (two edits of one field, the last bottle sold twice), others from a server that was
put back from an old copy and gets back what its first life did. Orders that were set aside are not
here: they wait in their own table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta
from tinydb import where

from node.cafe import records
from node.cafe.kinds import Acting, Command, EventKind, Fact, Kind, Reason, event
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

RESOLUTIONS: dict[str, tuple[str, ...]] = {
    "account-short": ("noted",),
    "already-paid": ("noted",),
    "box-differs": ("noted",),
    "closed-twice": ("noted",),
    "collected-late": ("noted",),
    "collected-twice": ("noted",),
    "customer-deleted": ("noted",),
    "decided-twice": ("noted",),
    "duplicate-barcode": ("noted",),
    "duplicate-name": ("noted",),
    "duplicate-sku": ("noted",),
    "edit-conflict": ("keep", "take"),
    "opened-twice": ("noted",),
    "oversold": ("noted",),
    "pin-already-sold": ("noted",),
    "refunded-twice": ("noted",),
    "ticket-twice": ("noted",),
}
"""Per code, what a person may say of it. ``take`` puts the second value in place of the first."""

# --- commands ----------------------------------------------------------------


class ResolveException(Command, frozen=True):
    """Say what becomes of an exception."""

    exception: Annotated[int, Meta(ge=1)]
    resolution: Literal["noted", "keep", "take"] = "noted"
    reason: Reason = ""


# --- events ------------------------------------------------------------------


class ExceptionResolved(Fact, frozen=True):
    exception: int
    code: str
    ref: str
    resolution: str
    reason: str
    operator: str
    at_ms: int


# --- decide ------------------------------------------------------------------


def decide_resolve(tables: Tables, command: ResolveException, acting: Acting) -> list[Event]:
    row = tables.table("exceptions").peek(str(command.exception))
    if row is None:
        raise Refused("unknown-exception")
    if row["state"] != "open":
        raise Refused("bad-state", state=row["state"], label=str(command.exception))
    if command.resolution not in RESOLUTIONS[row["code"]]:
        raise Refused("bad-field", what="resolution")
    events = []
    if command.resolution == "take":
        table, _, record = row["ref"].partition("/")
        details = row["details"]
        now = tables.table(table).peek(record) or {}
        records.check_together(table, {**now, details["field"]: details["other"]})
        merged = records.Merged({details["field"]: details["other"]}, {})
        events.append(records.edited(table, record, merged, acting))
    fact = ExceptionResolved(
        exception=command.exception,
        code=row["code"],
        ref=row["ref"],
        resolution=command.resolution,
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [*events, event("exception.resolved", fact)]


# --- apply -------------------------------------------------------------------


def note(tables: Tables, code: str, ref: str, at_ms: int = 0, **details: Any) -> None:
    """Write down that ``ref`` (an order, a box, a job, ``table/record``) needs a person."""
    assert code in RESOLUTIONS
    table = tables.table("exceptions")
    number = len(table) + 1
    row = {
        "number": number,
        "code": code,
        "ref": ref,
        "at_ms": at_ms,
        "details": details,
        "state": "open",
        "resolution": "",
        "reason": "",
        "operator": "",
    }
    table.put(str(number), row)


def note_conflicts(tables: Tables, fact: records.RecordEdited) -> None:
    """Write down each field of an edit that somebody else had changed first."""
    versions = (tables.table(fact.table).peek(fact.record) or {}).get("versions", {})
    for field, (kept, other) in fact.conflicts.items():
        _, first, first_ms = versions.get(field, [1, "", 0])
        note(
            tables,
            "edit-conflict",
            f"{fact.table}/{fact.record}",
            fact.at_ms,
            field=field,
            kept=kept,
            kept_by=first,
            kept_ms=first_ms,
            other=other,
            other_by=fact.operator,
        )


def apply_resolved(tables: Tables, fact: ExceptionResolved) -> None:
    table = tables.table("exceptions")
    row = table.row(str(fact.exception))
    if row is not None and (row["code"], row["ref"]) == (fact.code, fact.ref):
        changes = {
            "state": "resolved",
            "resolution": fact.resolution,
            "reason": fact.reason,
            "operator": fact.operator,
        }
        table.put(str(fact.exception), {**row, **changes})


# --- queries -----------------------------------------------------------------


def known(tables: Tables, code: str, ref: str) -> bool:
    """Whether it was written down already."""
    rows = tables.table("exceptions").scan()
    return any(row["code"] == code and row["ref"] == ref for _, row in rows)


def unresolved(tables: Tables) -> list[Mapping[str, Any]]:
    """Those that wait for a person, the oldest first."""
    rows = tables.table("exceptions").search(where("state") == "open")
    return sorted(rows, key=lambda row: int(row["number"]))


KINDS = (
    Kind(
        "exception.resolve",
        ResolveException,
        "exception.resolve",
        decide_resolve,
        server_only=True,
    ),
)
EVENTS = (EventKind("exception.resolved", ExceptionResolved, apply_resolved),)
INDEXES = {"exceptions": (("state",), ("number",))}
