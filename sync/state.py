"""The merge of what is ours with what the server has decided. Pure.

    before:   cursor ── entries the server sends ──▶      pending: p1 p2 p3 (shown, not canonical)

    advanced  the entries are p1 p2 with the outcomes they were shown with:
              they turn canonical where they stand; p3 stays on top; nothing is undone.
    rebased   something else comes first, or an outcome differs from what was shown:
              undo p3 p2 p1, fold the entries, redo those of ours that are still pending.
    rejected  the entries do not continue at the cursor.

Invariants: pending keeps its order; an op leaves it only by an entry of its own id or key; what was
shown is redone as it was until the server's outcome replaces it; the cursor only grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sync.op import Entry, Event, Op


@dataclass(frozen=True, slots=True)
class PendingOp:
    """An own op that no folded entry has answered yet, and what it was shown with."""

    op: Op
    events: list[Event]


@dataclass(frozen=True, slots=True)
class Merged:
    """What to do with a run of entries."""

    settled: int
    """The first so many entries match the first so many pending ops exactly."""
    beneath: Sequence[tuple[Entry, Op | None]]
    """The rest: to be folded beneath what stays pending."""
    answered: frozenset[tuple[bytes, int]]
    """Ids of pending ops that ``beneath`` answers."""

    @property
    def rebased(self) -> bool:
        return bool(self.beneath)


class Gap(Exception):
    """The entries do not continue at the cursor (rejected)."""


def merge(
    cursor: int, pending: Iterable[PendingOp], entries: Sequence[tuple[Entry, Op | None]]
) -> Merged:
    """Merge entries behind ``cursor`` with our pending ops; see the picture above."""
    for expected, (entry, _) in enumerate(entries, cursor + 1):
        if entry.seq != expected:
            raise Gap(f"entry {entry.seq} where {expected} was due")
    settled = 0
    waiting = list(pending)
    for (entry, op), ours in zip(entries, waiting, strict=False):
        same = op is not None and (op.chain, op.n) == (ours.op.chain, ours.op.n)
        if not same or not entry.accepted or entry.outcome != ours.events:
            break
        settled += 1
    beneath = entries[settled:]
    if not beneath:
        return Merged(settled, beneath, frozenset())
    ids = {(ours.op.chain, ours.op.n) for ours in waiting[settled:]}
    keys = {ours.op.key: (ours.op.chain, ours.op.n) for ours in waiting[settled:]}
    answered: set[tuple[bytes, int]] = set()
    for entry, op in beneath:
        place = (op.chain, op.n) if op else (entry.note["chain"], entry.note["n"])
        if place in ids:
            answered.add(place)
        elif op is not None and op.key in keys:
            answered.add(keys[op.key])
    return Merged(settled, beneath, frozenset(answered))
