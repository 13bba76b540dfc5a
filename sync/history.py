"""The canonical log over all lives of the server: its epochs, and where two copies of it part.

Each start of the server opens an epoch that names the head before it. A server that was put back
from an old copy does not know that it was; its epochs do not lie:

    a station's copy   ├─ epoch 1 ─┼─ epoch 2 ───────────▶ 1000
    the server now     ├─ epoch 1 ─┼─ epoch 2 ──▶ 700 ┼─ epoch 3 ─▶ 720
                                                  ╰ common: what the station has behind it, the
                                                    server has lost and takes back
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from sync.errors import Malformed, Refused
from sync.frames import ENTRIES, JUMP, RUN_SEAL, follow_entries, read_jump, seal_in
from sync.identity import Verifier, canon_text
from sync.op import CHAIN_BYTES, Entry, Head, Op

RECOVERED = "recovered"
"""In an entry's note: the seq it had in an earlier life of the server."""
EPOCHS_TOLD = 256
"""How many of its newest epochs a server names at sign-on."""


class Epoch(NamedTuple):
    """One life of the server's process, as the log tells it."""

    chain: bytes
    first: int
    """Seq of the `chain.open` that began it."""
    before: bytes
    """Hash of the canonical head before it."""


def begins_epoch(entry: Entry, op: Op) -> bool:
    """Whether an accepted `chain.open` is the server's own, of this very copy of the log."""
    return "canon" in op.body and RECOVERED not in entry.note


def common_head(
    mine: Sequence[Epoch], my_head: Head, theirs: Sequence[Epoch], their_head: Head
) -> Head | None:
    """The last head that two copies share. ``theirs`` may be the newest epochs only; None if they
    do not reach back far enough to tell."""
    at_theirs = {epoch.chain: place for place, epoch in enumerate(theirs)}
    for place in range(len(mine) - 1, -1, -1):
        there = at_theirs.get(mine[place].chain)
        if there is not None:
            ends = _end(mine, place, my_head), _end(theirs, there, their_head)
            return min(ends, key=lambda head: head.n)
    whole = not theirs or theirs[0].first == 1
    return Head() if whole or not mine else None


def _end(epochs: Sequence[Epoch], place: int, head: Head) -> Head:
    if place + 1 == len(epochs):
        return head
    behind = epochs[place + 1]
    return Head(behind.first - 1, behind.before)


def read_epochs(values: list[list[object]]) -> list[Epoch]:
    """Epochs as they came over the wire, or `Malformed`."""
    epochs = []
    for value in values:
        match value:
            case [bytes(chain), int(first), bytes(before)] if (
                len(chain) == CHAIN_BYTES and first > 0 and len(before) == 32
            ):
                epochs.append(Epoch(chain, first, before))
            case _:
                raise Malformed("bad-type", "epoch")
    if any(a.first >= b.first for a, b in pairwise(epochs)):
        raise Malformed("out-of-range", "epochs out of order")
    return epochs


def follow(
    head: Head,
    frames: list[bytes],
    cafe: bytes,
    server: bytes,
    verify: Verifier,
    *,
    jumps: bool = False,
) -> Head:
    """Follow a run of the canonical log from ``head`` through its entries to the server's seal.

    Whatever ``head`` a sender claims, a seal at the end can only fit what the server has signed.
    ``jumps`` where parts may be left out. `Malformed` for what is no run, `Refused`
    ``other-history`` if the seal does not fit it.
    """
    before = head
    for tag, run in groupby(frames[:-1], key=_tag):
        if tag in ENTRIES:
            head = follow_entries(head, list(run))
        elif tag == JUMP and jumps:
            for frame in run:
                head = read_jump(frame, head)
        elif tag != RUN_SEAL:
            raise Malformed("bad-type", "frame")
    if head.n == before.n:
        raise Malformed("bad-type", "nothing in it")
    seal = seal_in(frames[-1])
    text = canon_text(cafe, seal.chain, seal.n, seal.hash)
    if Head(seal.n, seal.hash) != head or not verify(server, seal.signature, text):
        raise Refused("other-history", seq=head.n)
    return head


def _tag(frame: bytes) -> int:
    return frame[1] if len(frame) > 1 else -1
