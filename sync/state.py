"""The merge of what is ours with what the server has decided. Pure.

    before:   cursor ── entries the server sends ──▶      pending: p1 p2 p3 (shown, not canonical)

    advanced  the entries are p1 p2 with the outcomes they were shown with (or change no table,
              as a node's start does): they turn canonical where they stand; p3 stays on top;
              nothing is undone.
    rebased   something else comes first, or an outcome differs from what was shown:
              undo p3 p2 p1, fold the entries, redo those of ours that are still pending.
    rejected  the entries do not stand behind the cursor in their order.

Invariants: pending keeps its order; an op leaves it only by an entry of its own bytes; what was
shown is redone as it was until the server's outcome replaces it; the cursor only grows. An entry
with the id of one of ours and other bytes answers nothing: that chain has forked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec import Struct

from sync.codec import pack
from sync.op import CANON_ERASED, Entry, Op, place_of, sha256


class PendingOp(Struct, frozen=True, gc=False):
    """An own op that no folded entry has answered yet, and what it was shown with."""

    op: Op
    events: bytes
    """Packed: thousands may wait."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What to do with a run of entries."""

    settled: int
    """The first so many entries match the first pending ops exactly, or change no table."""
    beneath: Sequence[tuple[Entry, Op | None]]
    """The rest: to be folded beneath what stays pending."""
    answered: frozenset[tuple[bytes, int]]
    """Ids of pending ops that ``beneath`` answers."""
    moot: frozenset[tuple[bytes, int]]
    """Ids of pending ops whose key took effect under another id: they change no table any more, and
    still go to the server, for their chain must have no hole."""
    forked: frozenset[bytes]
    """Chains of ours in which the server has another op."""

    @property
    def rebased(self) -> bool:
        return bool(self.beneath)


class Gap(Exception):
    """The entries do not stand behind the cursor in their order (rejected)."""


def merge(
    cursor: int, pending: Iterable[PendingOp], entries: Sequence[tuple[Entry, Op | None]]
) -> Merged:
    """Merge entries behind ``cursor`` with our pending ops; see the picture above."""
    for entry, _ in entries:  # a node that may not read everything has holes between them
        if entry.seq <= cursor:
            raise Gap(f"entry {entry.seq} behind entry {cursor}")
        cursor = entry.seq
    ours = _Ours(pending)
    settled = 0
    for entry, op in entries:
        if not (ours.is_next(entry, op) or ours.is_silent(entry, op)):
            break
        settled += 1
    beneath = entries[settled:]
    answered = (ours.answered_by(entry, op) for entry, op in beneath)
    moot = (ours.made_moot_by(op) for _, op in beneath)
    forks = (ours.forked_by(entry, op) for entry, op in beneath)
    return Merged(
        settled,
        beneath,
        frozenset(place for place in answered if place is not None),
        frozenset(place for place in moot if place is not None),
        frozenset(chain for chain in forks if chain is not None),
    )


class _Ours:
    """Pending ops while entries are laid beside them."""

    def __init__(self, pending: Iterable[PendingOp]) -> None:
        self._pending = pending
        self._waiting = iter(pending)
        self._next = next(self._waiting, None)

    def is_next(self, entry: Entry, op: Op | None) -> bool:
        """Whether it is the oldest pending op just as it was shown, byte for byte (what only looks
        the same is folded anew); the next one is, from then on."""
        ours = self._next
        if (
            ours is None
            or entry.op_raw != ours.op.raw
            or not entry.accepted
            or pack(entry.outcome) != ours.events
            or entry.note  # got back by a restored server: its tables may be others by now
        ):
            return False
        self._next = next(self._waiting, None)
        return True

    def is_silent(self, entry: Entry, op: Op | None) -> bool:
        """Whether it changes no table and answers none of ours."""
        if op is None or not entry.accepted or entry.outcome or op.kind == CANON_ERASED:
            return False
        answers = self.answered_by(entry, op) or self.made_moot_by(op) or self.forked_by(entry, op)
        return answers is None

    def answered_by(self, entry: Entry, op: Op | None) -> tuple[bytes, int] | None:
        place = place_of(entry, op)
        return place if place and self._is_of(place, entry) else None

    def _is_of(self, place: tuple[bytes, int], entry: Entry) -> bool:
        """Whether an entry is of our op at its place; of an erased one the digest is left."""
        ours = self._by_place.get(place)
        erased = entry.note.get("erased")
        return ours is not None and (sha256(ours) == erased if erased else ours == entry.op_raw)

    def made_moot_by(self, op: Op | None) -> tuple[bytes, int] | None:
        place = self._by_key.get(op.key) if op else None
        return place if op and place != (op.chain, op.n) else None

    def forked_by(self, entry: Entry, op: Op | None) -> bytes | None:
        place = place_of(entry, op)
        if place is None or place not in self._by_place or self._is_of(place, entry):
            return None
        return place[0]

    @cached_property
    def _by_place(self) -> dict[tuple[bytes, int], bytes]:
        return {(ours.op.chain, ours.op.n): ours.op.raw for ours in self._pending}

    @cached_property
    def _by_key(self) -> dict[bytes, tuple[bytes, int]]:
        return {ours.op.key: (ours.op.chain, ours.op.n) for ours in self._pending}
