"""The server puts every op into one order and says what became of it.

    pushed run ─▶ chain ─▶ seal ─▶ each op: decode ─▶ key ─▶ base ─▶ grant ─▶ rules ─▶ entry

Every op of a run whose seal verifies gets an entry, accepted or refused with a reason: nothing
blocks what comes behind it. Only a run that is not its sender's is turned away whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sync.domain import Context, Domain
from sync.errors import Malformed, Refused
from sync.frames import RUN_SEAL, Seal, entry_frame, run_seal_frame
from sync.grant import operator_of, read_grant
from sync.identity import Verifier, seal_text
from sync.messages import Push
from sync.op import (
    CHAIN_OPEN,
    GRANT_OPEN,
    NODE_BYTES,
    UNKNOWN_AGE,
    Entry,
    Head,
    Op,
    decode_op,
)
from sync.view import View

_log = logging.getLogger(__name__)


Floor = Callable[[int], int]


class ChainGap(Exception):
    """The run begins behind the head we have: the sender must send from there."""


class Sequencer:
    """Numbers ops, decides them by the domain's rules, and folds what it decided into the view."""

    def __init__(self, cafe: bytes, server: bytes, view: View, domain: Domain, verify: Verifier):
        self._cafe, self._server = cafe, server
        self._view, self._domain, self._verify = view, domain, verify
        self.head = Head()
        """Canonical head, staged entries included."""

    def take_run(self, push: Push, floor: Floor, at_ms: int) -> list[bytes]:
        """Sequence a pushed run; the frames to log, entries first, its seal last. Empty for a
        repeat.

        ``floor(age_ms)`` is the lowest base an op of that age may claim. Raises `ChainGap`, or
        `Refused` ``unknown-node``, ``bad-seal`` for the run as a whole.
        """
        view = self._view
        public = self._domain.node_key(view, push.chain[:NODE_BYTES])
        if public is None:
            raise Refused("unknown-node")
        known = view.chains.get(push.chain)
        have = Head(known.n, known.hash) if known else Head()
        if push.first_n < 1 or push.first_n > have.n + 1:
            raise ChainGap
        fresh = push.ops[have.n + 1 - push.first_n :]
        if not fresh:
            return []
        hashes = have.hashes(fresh)
        end = Head(have.n + len(fresh), hashes[-1])
        text = seal_text(self._cafe, push.chain, end.n, end.hash)
        if len(push.seal) != 64 or not self._verify(public, push.seal, text):
            raise Refused("bad-seal")
        frames = []
        base = known.base if known else 0
        for n, raw in enumerate(fresh, have.n + 1):
            op, entry = self._sequence(raw, n, push, base, floor, at_ms)
            entry, frame = self._fold(entry, op)
            if op is not None and entry.accepted:
                base = op.base
            frames.append(frame)
        view.advance(push.chain, end.n, end.hash, base)
        self._advance(frames)
        frames.append(run_seal_frame(Seal(push.chain, end.n, end.hash, push.seal)))
        return frames

    def desk(self, op: Op, events: list[Any], at_ms: int) -> bytes:
        """Number an act of the server's own desk that was decided already; its frame. `Refused`
        ``fault`` if our rules cannot fold it."""
        entry = Entry(self._view.cursor + 1, at_ms, 0, op.raw, True, events, {})
        try:
            frame = entry_frame(entry)
            self._view.apply(entry, op)
        except Exception:
            _log.exception("a rule failed for %s %d of %s", op.kind, op.n, op.chain.hex())
            raise Refused("fault") from None
        self._view.fold(entry, op, effects=False)
        self._advance([frame])
        return frame

    def _advance(self, frames: list[bytes]) -> None:
        self.head = Head(self.head.n + len(frames), self.head.hashes(frames)[-1])

    def _sequence(
        self, raw: bytes, n: int, push: Push, base: int, floor: Floor, at_ms: int
    ) -> tuple[Op | None, Entry]:
        """Decode one op of a run, number it and decide it. ``base`` is the chain's so far."""
        view = self._view
        op: Op | None = None
        age_ms, note = UNKNOWN_AGE, {}
        accepted, outcome = False, []
        try:
            op = decode_op(raw)
            if op.chain != push.chain or op.n != n:
                raise Malformed("bad-id")
            if op.boot == push.boot and op.mono_ms <= push.mono_ms:
                age_ms = push.mono_ms - op.mono_ms
            lowest = max(base, floor(age_ms))
            if not lowest <= op.base <= view.cursor:
                raise Refused("bad-base", base=op.base, at_least=lowest, at_most=view.cursor)
            outcome = self.decide(op, at_ms, age_ms)
            accepted = True
        except Malformed as error:
            op, note = None, {"chain": push.chain, "n": n}
            outcome = [error.code, {}]
        except Refused as refusal:
            outcome = [refusal.code, refusal.details]
        return op, Entry(view.cursor + 1, at_ms, age_ms, raw, accepted, outcome, note)

    def _fold(self, entry: Entry, op: Op | None) -> tuple[Entry, bytes]:
        """Fold a decided entry of a run; what it came to, and its frame."""
        view = self._view
        try:
            frame = entry_frame(entry)
            view.apply(entry, op)
        except Exception:  # as a fault in `decide`: it blocks nobody
            _log.exception("a rule failed for entry %d", entry.seq)
            entry = entry._replace(accepted=False, outcome=["fault", {}])
            frame = entry_frame(entry)
            try:
                view.apply(entry, op)
            except Exception:
                _log.exception("refusal %d cannot be folded", entry.seq)
                view.unfolded[entry.seq] = False
        view.register(entry, op)
        return entry, frame

    def decide(self, op: Op, at_ms: int, age_ms: int) -> list[Any]:
        """Events of an op, or `Refused`. A fault of ours in a rule is a refusal too: it blocks
        nobody."""
        view = self._view
        first = view.keys.get(op.key)
        if first is not None:
            raise Refused("already-done", seq=first)
        if op.kind == CHAIN_OPEN:
            return []
        if op.kind == GRANT_OPEN:
            operator = op.body.get("operator")
            public = self._domain.operator_key(view, operator) if type(operator) is bytes else None
            read_grant(op, self._cafe, public, self._verify)
            return []
        operator = operator_of(op, view.grants)
        desk = op.node == self._server
        context = Context(op, operator, True, desk, view.cursor + 1, at_ms, age_ms)
        return self.judge(op, context)

    def judge(self, op: Op, context: Context) -> list[Any]:
        """What the domain's rules say; a fault of theirs is a refusal."""
        try:
            return self._domain.decide(self._view, op, context)
        except Refused:
            raise
        except Exception:
            _log.exception("a rule failed for %s %d of %s", op.kind, op.n, op.chain.hex())
            raise Refused("fault") from None


def is_run_seal(frame: bytes) -> bool:
    return frame[1] == RUN_SEAL
