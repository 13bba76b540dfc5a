"""The server puts every op into one order and says what became of it.

    pushed run ─▶ chain ─▶ seal ─▶ each op: decode ─▶ key ─▶ base ─▶ grant ─▶ rules ─▶ entry

Every op of a run whose seal verifies gets an entry, accepted or refused with a reason: nothing
blocks what comes behind it. Only a run that is not its sender's is turned away whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from sync.chains import read_again, read_frozen, read_open
from sync.codec import pack
from sync.domain import Context, Domain
from sync.errors import Malformed, Refused
from sync.frames import (
    ERASED,
    RUN_SEAL,
    Seal,
    entry_frame,
    erased_frame,
    follow_entries,
    read_entry,
    read_erased,
    run_seal_frame,
    seal_in,
)
from sync.grant import operator_of, read_grant
from sync.history import RECOVERED
from sync.identity import Verifier, seal_text
from sync.messages import Push
from sync.op import (
    CHAIN_FROZEN,
    CHAIN_OPEN,
    ENGINE_KINDS,
    GRANT_OPEN,
    NODE_BYTES,
    OP_AGAIN,
    UNKNOWN_AGE,
    ZERO_HEAD,
    Entry,
    Head,
    Op,
    decode_op,
    link,
    place_of,
    sha256,
)
from sync.view import ChainHead, View, decode_entry_op

_log = logging.getLogger(__name__)


Floor = Callable[[int], int]


class Lost(NamedTuple):
    """A frame of an earlier life of the server, whose entry is not here."""

    frame: bytes
    chain: bytes
    entry: Entry | None = None
    """None for a station's seal."""
    op: Op | None = None


class ChainGap(Exception):
    """The run begins behind the head we have: the sender must send from there."""


class Sequencer:
    """Numbers ops, decides them by the domain's rules, and folds what it decided into the view."""

    def __init__(self, cafe: bytes, server: bytes, view: View, domain: Domain, verify: Verifier):
        self._cafe, self._server = cafe, server
        self._view, self._domain, self._verify = view, domain, verify
        self.head = Head()
        """Canonical head, staged entries included."""
        self.alive_ms = 0
        """How long ago this start of the server was."""
        self.erasing: set[bytes] = set()
        """Keys whose bodies are being looked for: none is written any more."""
        self.odd: list[tuple[str, dict[str, Any]]] = []
        """What a person should know of the chains just taken: (code, details)."""

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
        base, youngest = known.base if known else 0, floor(0)
        for n, raw in enumerate(fresh, have.n + 1):
            op, entry = self._sequence(raw, n, push, base, youngest, floor, at_ms)
            if op is not None and self._is_gone(op.key) and (bare := self._without(op, entry)):
                frames.append(self._fold_erased(bare))
                continue
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

    # --- what the server has lost --------------------------------------------

    def take_back(self, missing: list[Lost], by: bytes) -> list[bytes]:
        """Sequence entries again that an earlier life of this server has signed, with the outcome
        they had then; the frames to log. ``by`` is the station that kept them. `Refused`
        ``bad-seal`` for a seal that is not its station's; `Malformed`.
        """
        view, frames, taken = self._view, [], set()
        for frame, chain, entry, op in missing:
            known = view.chains.get(chain) or ChainHead(0, ZERO_HEAD, 0)
            if entry is None:  # the seal over the ops before it, which may all have been here
                seal = seal_in(frame)
                if chain in taken and seal.hash == known.hash:
                    self._check_seal(seal, known)
                    frames.append(frame)
                continue
            taken.add(chain)
            if frame[1] == ERASED:
                erased = replace(read_erased(frame), seq=view.cursor + 1)
                frames.append(self._fold_erased(pack(erased)))
            else:
                frames.append(self._sequence_again(entry, op, by))
            head = link(known.hash, entry.note.get("erased") or sha256(entry.op_raw))
            view.advance(chain, known.n + 1, head, op.base if op and entry.accepted else 0)
        self._advance([frame for frame in frames if not is_run_seal(frame)])
        return frames

    def _check_seal(self, seal: Seal, known: ChainHead) -> None:
        """A station's seal that comes back must be its own: ours does not cover it."""
        public = self._domain.node_key(self._view, seal.chain[:NODE_BYTES])
        text = seal_text(self._cafe, seal.chain, known.n, known.hash)
        if public is None or seal.n != known.n or not self._verify(public, seal.signature, text):
            raise Refused("bad-seal")

    def missing(self, run: list[bytes]) -> list[Lost]:
        """What of a run of an earlier life of this server is not here, and all seals of stations in
        it. `Refused` ``history-missing`` if ops stand between what is here and what comes;
        `Malformed`."""
        missing: list[Lost] = []
        ends: dict[bytes, int] = {}
        for frame in run[:-1]:
            if is_run_seal(frame):
                missing.append(Lost(frame, seal_in(frame).chain))
                continue
            entry = read_entry(frame)
            op = decode_entry_op(entry)
            chain, n = place_of(entry, op) or (b"", 0)
            have = ends.get(chain)
            if have is None:
                known = self._view.chains.get(chain)
                have = known.n if known else 0
            if n > have + 1 or n == 0:
                raise Refused("history-missing", seq=entry.seq)
            if n == have + 1:
                ends[chain] = n
                missing.append(Lost(frame, chain, entry, op))
        return missing

    def _sequence_again(self, entry: Entry, op: Op | None, by: bytes) -> bytes:
        view = self._view
        note = {RECOVERED: entry.seq, "by": by, **entry.note}
        entry = replace(entry, seq=view.cursor + 1, note=note)
        first = view.keys.get(op.key) if op is not None and entry.accepted else None
        if first is not None:  # it took effect in this life already
            entry = replace(entry, accepted=False, outcome=["already-done", {"seq": first}])
        _, frame = self._fold(entry, op)
        return frame

    def _is_gone(self, key: bytes) -> bool:
        return key in self._view.erased or key in self.erasing

    @staticmethod
    def _without(op: Op, entry: Entry) -> bytes | None:
        """The frame without its body of an op that was erased and comes once more, from who has not
        heard of it. None if it is too short to have had one."""
        try:
            return erased_frame(op, entry_frame(entry), entry.seq)
        except Malformed:
            return None

    def _fold_erased(self, frame: bytes) -> bytes:
        self._view.register(read_entry(frame), None)
        return frame

    def _advance(self, frames: list[bytes]) -> None:
        self.head = follow_entries(self.head, frames)

    def _sequence(
        self, raw: bytes, n: int, push: Push, base: int, youngest: int, floor: Floor, at_ms: int
    ) -> tuple[Op | None, Entry]:
        """Decode one op of a run, number it and decide it. ``base`` is the chain's so far,
        ``youngest`` the floor of an op that was made just now: no other is higher."""
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
            if not base <= op.base <= view.cursor or (
                op.base < youngest and op.base < floor(age_ms)
            ):
                lowest = max(base, floor(age_ms))
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
            entry = replace(entry, accepted=False, outcome=["fault", {}])
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
        node = op.node
        if self._domain.is_revoked(view, node):
            raise Refused("revoked")
        if op.kind == OP_AGAIN:
            op, operator = read_again(
                op, self._cafe, lambda who: self._domain.operator_keys(view, who), self._verify
            )
            if op.base > view.cursor:
                raise Refused("bad-base", base=op.base, at_most=view.cursor)
        elif op.kind in ENGINE_KINDS:
            self._check_own(op)
            return []
        else:
            operator = operator_of(op, view.grants) if op.grant else None
        desk = node == self._server
        older = not 0 <= age_ms <= self.alive_ms
        lost = view.restored_ms > (at_ms - age_ms if age_ms >= 0 else 0)
        context = Context(op, operator, True, desk, view.cursor + 1, at_ms, age_ms, older, lost)
        return self.judge(op, context)

    def _check_own(self, op: Op) -> None:
        """What the engine itself writes into chains changes no table; `Refused` if it is not in
        order."""
        if op.kind == CHAIN_OPEN:
            self._look_before(op)
        elif op.kind == CHAIN_FROZEN:
            chain, n, _ = read_frozen(op)
            self.odd.append(("fork", {"node": op.node, "what": f"{chain.hex()}:{n}"}))
        elif op.kind == GRANT_OPEN:
            who = op.body.get("operator")
            keys = self._domain.operator_keys(self._view, who) if type(who) is bytes else ()
            read_grant(op, self._cafe, keys, self._verify)
        else:
            raise Refused("server-only")

    def _look_before(self, op: Op) -> None:
        """A chain that begins behind what we have of the one before it: its author's disk was put
        back from an old copy, or hurt. It gets its own ops back; a person should know."""
        before = read_open(op)
        known = self._view.chains.get(before[0]) if before else None
        if before and known and before[0][:NODE_BYTES] == op.node and known.n > before[1]:
            self.odd.append(("station-restored", {"node": op.node, "what": f"{before[1]}"}))

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
