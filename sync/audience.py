"""What a node may read of the canonical log: everything, or what is public and its own.

    log      e1  e2  e3  e4  e5 │seal        e1 and e4 are public
    node     e1  ───▶jump(3) e4  ───▶jump(5) │seal

A jump states the head behind what is left out. The server's seal at the end fits only the heads
that it has signed, so who reads a part can still check the chain.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from sync.frames import ENTRIES, follow_entries, jump_frame, read_entry, seal_in
from sync.op import CHAIN_OPEN, NODE_BYTES, OP_AGAIN, SERVER_KINDS, Head, decode_op, place_of
from sync.view import decode_entry_op


class _Origin(NamedTuple):
    """Whose an entry is, and what was done; empty if its op was refused."""

    node: bytes
    kind: str


@lru_cache(maxsize=4096)
def _origin(frame: bytes) -> _Origin:
    entry = read_entry(frame)
    op = decode_entry_op(entry)
    place = place_of(entry, op)
    node = place[0][:NODE_BYTES] if place else b""
    if op is None or not entry.accepted:
        return _Origin(node, "")
    if op.kind == OP_AGAIN:
        return _Origin(node, decode_op(op.body["op"]).kind)
    if op.kind in SERVER_KINDS or (op.kind == CHAIN_OPEN and "canon" in op.body):
        return _Origin(node, "canon")
    return _Origin(node, op.kind)


def may_read(frame: bytes, node: bytes, public: frozenset[str]) -> bool:
    """Whether an entry is the node's own, of a public kind, or about the log itself."""
    origin = _origin(frame)
    return origin.node == node or origin.kind == "canon" or origin.kind in public


def readers(frames: list[bytes], public: frozenset[str]) -> frozenset[bytes] | None:
    """Nodes that have entries of their own in a run; None if all may read something in it."""
    origins = [_origin(frame) for frame in frames if frame[1] in ENTRIES]
    if any(origin.kind == "canon" or origin.kind in public for origin in origins):
        return None
    return frozenset(origin.node for origin in origins)


def redacted(frames: list[bytes], head: Head, node: bytes, public: frozenset[str]) -> list[bytes]:
    """A run of the canonical log behind ``head``, with jumps over what ``node`` may not read."""
    entries = [frame for frame in frames[:-1] if frame[1] in ENTRIES]
    readable = [may_read(frame, node, public) for frame in entries]
    if not any(readable):
        seal = seal_in(frames[-1])
        return [jump_frame(head.n, Head(seal.n, seal.hash)), frames[-1]]
    kept, read = [], head.n
    for frame, mine in zip(entries, readable, strict=True):
        if mine:
            if head.n > read:
                kept.append(jump_frame(read, head))
            kept.append(frame)
            read = head.n + 1
        head = follow_entries(head, [frame])
    if head.n > read:
        kept.append(jump_frame(read, head))
    return [*kept, frames[-1]]
