"""Bodies of entries are taken out of the logs of a node; hashes, places and keys stay.

    before   ENTRY  seq, op, outcome …               head' = H(head ‖ H(frame))
    after    ERASED seq, H(frame), place, H(op) …    as long as before, and the same head'

That it is done is an entry too (`canon.erased`), so every copy does it. What the body did to the
tables, the domain takes back by an event of its own; such bodies must be the only ones that touch
the rows they make, or a cold rebuild would come to something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from sync.chains import read_inner
from sync.errors import Malformed, Refused, SyncError
from sync.frames import (
    ENTRY,
    OP,
    erased_frame,
    op_frame,
    read_entry,
    read_op_frame,
)
from sync.history import RECOVERED
from sync.log import Log, Position
from sync.op import CANON_ERASED, ENGINE_KINDS, OP_AGAIN, Op, decode_op
from sync.view import decode_entry_op

Place = tuple[bytes, int]


def find_bodies(canon: Log, keys: Mapping[bytes, int]) -> list[list[Any]]:
    """``[key, [[seq, chain, n], …]]`` for each of ``keys`` (and the seq of its effect): the entries
    that name it, and where their ops stand. They are the effect, and whatever tried to have it once
    more.

    `Refused` ``not-erasable`` if there is nothing to take out for one of them: it is gone already,
    or is the engine's own. `Damaged`.
    """
    found: dict[bytes, list[list[Any]]] = {key: [] for key in keys}
    first = canon.start_of(min(keys.values()) - 1)
    for _, commit in canon.commits(Position(first.number if first else 0)):
        for frame in commit.frames:
            if frame[1] != ENTRY or not any(key in frame for key in keys):
                continue
            entry = read_entry(frame)
            op = decode_entry_op(entry)
            if op is not None and op.key in keys and _may_go(op, frame, entry.seq):
                found[op.key] += [[entry.seq, *place] for place in _places(op)]
    for key, bodies in found.items():
        if not bodies:
            raise Refused("not-erasable", key=key)
    return [list(item) for item in found.items()]


def _places(op: Op) -> list[Place]:
    """Where an op stands, and the op in it that it repeats."""
    here = (op.chain, op.n)
    if op.kind != OP_AGAIN:
        return [here]
    try:
        inner, _ = read_inner(op)
    except SyncError:  # whatever a refused one says, it has a body of its own
        return [here]
    return [here, (inner.chain, inner.n)]


def _may_go(op: Op, frame: bytes, seq: int) -> bool:
    """Whether it is not the engine's own, and long enough to have had a body."""
    try:
        erased_frame(op, frame, seq)
        erased_frame(op, op_frame(op.raw))
    except Malformed:
        return False
    return op.kind not in ENGINE_KINDS - {OP_AGAIN}


def erase_entries(canon: Log, seqs: Set[int], places: Set[Place] = frozenset()) -> None:
    """Take the bodies of these entries out of a copy of the canonical log, and of those whose ops
    stand at these places, wherever they are by now.

    Raises `StorageFailed`, `Damaged`; it may be tried again.
    """

    def change(frame: bytes) -> bytes | None:
        if frame[1] != ENTRY:
            return None
        entry = read_entry(frame)
        if entry.seq not in seqs and not places:
            return None
        op = decode_entry_op(entry)
        wanted = op is not None and (entry.seq in seqs or (op.chain, op.n) in places)
        return erased_frame(op, frame, entry.seq) if op is not None and wanted else None

    first = canon.start_of(min(seqs, default=1) - 1) if not places else None
    canon.rewrite(change, since=first.number if first else 0)


def erase_ops(own: Log, places: Set[Place]) -> None:
    """Take the bodies of these ops out of their author's own log. Raises as `erase_entries`."""

    def change(frame: bytes) -> bytes | None:
        if frame[1] != OP:
            return None
        op = decode_op(read_op_frame(frame)[0], trusted=True)
        return erased_frame(op, frame) if (op.chain, op.n) in places else None

    own.rewrite(change)


def erased_by(frames: Iterable[bytes]) -> tuple[set[int], set[Place]]:
    """Entries whose bodies this run says are to be taken out; of those that have moved since, the
    places of their ops."""
    seqs: set[int] = set()
    places: set[Place] = set()
    for frame in frames:
        if frame[1] == ENTRY and CANON_ERASED.encode() in frame:
            entry = read_entry(frame)
            op = decode_entry_op(entry)
            if op is not None and op.kind == CANON_ERASED and entry.accepted:
                for _, bodies in op.body["keys"]:
                    if RECOVERED in entry.note:
                        places.update((chain, n) for _, chain, n in bodies)
                    else:
                        seqs.update(seq for seq, _, _ in bodies)
    return seqs, places
