"""The pure merge, as tables of named values."""

from __future__ import annotations

from typing import Any

import pytest

from sync.codec import pack
from sync.op import Entry, Op, encode_op
from sync.state import Gap, PendingOp, merge

OWN, OTHER = b"o" * 24, b"x" * 24


def op(chain: bytes, n: int, key: int | None = None) -> Op:
    return encode_op(
        chain=chain,
        n=n,
        kind="sell",
        version=1,
        body={},
        grant=0,
        base=0,
        key=(n if key is None else key).to_bytes(16, "big"),
        wall_ms=0,
        mono_ms=0,
        boot=bytes(8),
    )


def entry(seq: int, of: Op, outcome: list[Any], accepted: bool = True) -> tuple[Entry, Op]:
    return Entry(seq, 0, 0, of.raw, accepted, outcome, {}), of


OURS = [[["sold", 1, {"n": n}]] for n in (1, 2, 3)]
P = [PendingOp(op(OWN, n), pack(shown)) for n, shown in enumerate(OURS, 1)]
SOLD = [["sold", 1, {"n": 90}]]
SAME = [entry(11 + at, P[at].op, OURS[at]) for at in range(3)]

CASES: dict[str, tuple[list[tuple[Entry, Op | None]], int, int, set[int]]] = {
    # entries, settled, beneath, answered own ops
    "nothing comes": ([], 0, 0, set()),
    "ours in order": ([*SAME[:2]], 2, 0, set()),
    "all of ours": ([*SAME], 3, 0, set()),
    "somebody else's first": ([entry(11, op(OTHER, 1, 90), SOLD)], 0, 1, set()),
    "ours, then somebody else's": ([SAME[0], entry(12, op(OTHER, 1, 90), SOLD)], 1, 1, set()),
    "one that changes no table": ([entry(11, op(OTHER, 1, 90), [])], 1, 0, set()),
    "such a one between ours": (
        [SAME[0], entry(12, op(OTHER, 1, 90), []), entry(13, P[1].op, OURS[1])],
        3,
        0,
        set(),
    ),
    "one that is refused changes something": (
        [entry(11, op(OTHER, 1, 90), ["told-to", {}], accepted=False)],
        0,
        1,
        set(),
    ),
    "ours with another outcome": ([entry(11, P[0].op, [["sold", 1, {"n": 9}]])], 0, 1, {1}),
    "ours refused": ([entry(11, P[0].op, ["told-to", {}], accepted=False)], 0, 1, {1}),
    "our key under another id": ([entry(11, op(OTHER, 7, 2), [])], 0, 1, set()),
    "behind somebody else's, ours": (
        [entry(11, op(OTHER, 1, 90), SOLD), entry(12, P[0].op, OURS[0])],
        0,
        2,
        {1},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.feature("SY-02", "SY-05")
def test_merge(name: str) -> None:
    """Own ops settle where they stand, or leave by an entry of their own; nothing else does."""
    entries, settled, beneath, answered = CASES[name]
    merged = merge(10, P, entries)
    assert merged.settled == settled
    assert len(merged.beneath) == beneath
    assert merged.answered == {(OWN, n) for n in answered}
    assert merged.rebased == bool(beneath)


@pytest.mark.feature("SY-02", "SY-06")
def test_merge_tells_whose_key_had_its_effect_and_whose_chain_has_forked() -> None:
    """The first change no table any more and stay; another op in the place of one of ours is a fork."""
    merged = merge(10, P, [entry(11, op(OTHER, 7, 2), SOLD), entry(12, op(OWN, 3, 90), SOLD)])
    assert merged.moot == {(OWN, 2)}
    assert merged.forked == {OWN}
    assert merged.answered == frozenset()
    mine = merge(10, P, [SAME[0], entry(12, op(OTHER, 1, 90), SOLD), entry(13, P[1].op, SOLD)])
    assert (mine.moot, mine.forked, mine.answered) == (frozenset(), frozenset(), {(OWN, 2)})


@pytest.mark.parametrize("numbers", [(10,), (11, 11), (12, 11)])
def test_merge_rejects_entries_that_do_not_stand_behind_the_cursor_in_order(
    numbers: tuple[int, ...],
) -> None:
    """Nothing is folded twice or backwards."""
    with pytest.raises(Gap):
        merge(10, P, [entry(seq, P[0].op, []) for seq in numbers])


def test_merge_answers_an_op_whose_bytes_were_malformed() -> None:
    """The sequencer notes where they stood, so that its author can let go of them."""
    note = {"chain": OWN, "n": 1}
    malformed = Entry(11, 0, -1, P[0].op.raw, False, ["bad-type", {}], note)
    assert merge(10, P, [(malformed, None)]).answered == {(OWN, 1)}
