"""The zoo: planted bugs, each a subclass or a habit of the world, never a flag in the product.

It is the test of the tests: a bug that survives its seeds means that an invariant is blind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from sync.errors import Refused, StorageFailed
from sync.hub import Hub
from sync.log import Checker, Commit, Damage, Log, Position
from sync.messages import Ack
from sync.op import GRANT_OPEN, decode_op, sha256
from sync.protocol import Commit as CommitEffect
from sync.protocol import Done, Send
from sync.replica import Replica
from sync.sequencer import Lost, Sequencer
from tests.simulation.shop import Shop
from tests.simulation.world import Bugs


class EagerHub(Hub):
    """Says "durable" before it is."""

    def _flush(self) -> list[Any]:
        effects = super()._flush()
        early = [e for e in (self._flying.then if self._flying else []) if isinstance(e, Send)]
        acks = [Send(e.link, Ack(e.message.heads, 0)) for e in early if isinstance(e.message, Ack)]
        return [*acks, *effects]

    def _void(self, error: Any) -> list[Any]:
        return self._committed(None)  # type: ignore[arg-type]


class ShowBeforeSync(Replica):
    """Shows "queued" before the op is on disk."""

    def _flush(self, now: Any) -> list[Any]:
        effects = super()._flush(now)
        if effects and isinstance(effects[0], CommitEffect) and self._flying is not None:
            early = [e for e in self._flying.then if isinstance(e, Done)]
            self._flying.then = [e for e in self._flying.then if not isinstance(e, Done)]
            return [*early, *effects]
        return effects


class TornTailKept(Log):
    """Leaves a torn commit where it is, and writes behind it."""

    def _cut(self, number: int, at: int, damage: Damage) -> None:
        self._number, self._durable = number, len(self.disk.read(self.name(number)))
        self.damage = damage


class IgnoredSyncError(Log):
    """Takes a failed sync for a good one."""

    def commit(self, frames: list[bytes], *, sync: bool = True) -> None:
        try:
            super().commit(frames, sync=sync)
        except StorageFailed:
            self._remember(Commit(frames, 0))


class VoidOpRevived(Replica):
    """Keeps an op although the disk refused it: it was not shown, and takes effect all the same."""

    def _void(self, error: Any) -> list[Any]:
        assert self._flying is not None
        failed = [Done(e.token, error) for e in self._flying.then if isinstance(e, Done)]
        self._flying.then = [e for e in self._flying.then if not isinstance(e, Done)]
        self._staged_ops = 0
        return [*failed, *self._committed(self._now_for_bug)]

    def step(self, event: Any, now: Any) -> list[Any]:
        self._now_for_bug = now
        return super().step(event, now)


class ChainReused(Replica):
    """Opens the same chain at every start."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.author.chain = self._node + bytes(8)


class NoDedup(Sequencer):
    """Takes a repeated push for a new one, and does not look at keys."""

    def decide(self, op: Any, at_ms: int, age_ms: int) -> list[Any]:
        self._view.keys.pop(op.key, None)
        return super().decide(op, at_ms, age_ms)


class RedoneHub(Hub):
    """Forgets after each start how far every chain had come."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.view.chains.clear()
        self.sequencer = NoDedup(self.keys.cafe, self._node, self.view, self.domain, self.verify)
        self.sequencer.head = self.head


class PinSoldTwice(Shop):
    """Does not look whether a card was sold."""

    def card_is_sold(self, tables: Any, card: str) -> bool:
        return False


class GrantsUnchecked(Sequencer):
    """Lets anybody act without a grant: what stations refuse themselves, the server must refuse too."""

    def decide(self, op: Any, at_ms: int, age_ms: int) -> list[Any]:
        if op.kind == GRANT_OPEN:
            raise Refused("bad-grant")
        try:
            return super().decide(op, at_ms, age_ms)
        except Refused as refusal:
            if refusal.code == "no-grant":
                return [["sold", 1, {**op.body, "id": op.key.hex()}]]
            raise


class CutAtDamage(Log):
    """Never cuts at all and starts a new segment, so that a torn end hides what follows."""

    def recover(self, checker: Checker, start: Position = Position()) -> Iterator[Commit]:  # noqa: B008
        yield from super().recover(checker, start)
        self._durable = max(0, self._durable - 40)
        if self._file is not None:
            self._file.truncate(self._durable)


class RebaseForgets(Replica):
    """Drops what is still pending at a rebase."""

    def fold(self, entries: list[Any]) -> None:
        super().fold(entries)
        if len(self.pending) > 1 and not self._staged_ops:
            gone = self.pending.pop()
            self.view.pop()
            self._forget(gone)
            self._sent = min(self._sent, len(self.pending))
            self._acked = min(self._acked, len(self.pending))


class DecidedAgain(Sequencer):
    """Judges anew what a station gives back, as if it had just come."""

    def _sequence_again(self, entry: Any, op: Any, by: bytes) -> bytes:
        try:
            outcome, accepted = self.decide(op, entry.at_ms, entry.age_ms), True
            if op.node == self._server:
                outcome, accepted = entry.outcome, entry.accepted
        except Refused as refusal:
            outcome, accepted = [refusal.code, refusal.details], False
        if op.kind == "sell" and op.base < self._view.cursor - 1:
            outcome, accepted = ["old", {}], False
        entry = replace(entry, outcome=outcome, accepted=accepted)
        return super()._sequence_again(entry, op, by)


class HalfTakenBack(Sequencer):
    """Takes back the beginning of what it was given, and says that it has all."""

    def take_back(self, missing: list[Lost], by: bytes) -> list[bytes]:
        return super().take_back(missing[:1], by)


class PoisonedQueue(Sequencer):
    """Turns a whole push away for one op that a rule refuses."""

    def take_run(self, push: Any, floor: Any, at_ms: int) -> list[bytes]:
        if any(decode_op(raw).body.get("bad") for raw in push.ops):
            raise Refused("told-to")
        return super().take_run(push, floor, at_ms)


def hub_with(sequencer: type[Sequencer]) -> type[Hub]:
    """A server that runs another sequencer."""

    class Mutant(Hub):
        def __post_init__(self) -> None:
            super().__post_init__()
            node = self.keys.node
            self.sequencer = sequencer(self.keys.cafe, node, self.view, self.domain, self.verify)
            self.sequencer.head = self.head

    return Mutant


class NeverRewinds(Replica):
    """Takes what it gave back for told, and goes on from its old head."""

    def _taken_back(self, link: int, cursor: int, returning: Any) -> list[Any]:
        effects = super()._taken_back(link, cursor, returning)
        if self._rewind_to is not None:
            self._rewind_to, self._returning = None, None
        return effects


class GivesNothingBack(Replica):
    """Rewinds before the server has anything."""

    def _give_back(self, link: int, after: int) -> list[Any]:
        assert self._returning is not None
        self._rewind_to = self._returning.common
        return []


class ForkUnseen(Replica):
    """Takes another op in its place for its own."""

    def _freeze(self, now: Any) -> None:
        for waiting in [w for w in self.pending if w.op.chain in self._forked]:
            self._heads[(waiting.op.chain, waiting.op.n)] = bytes(32)
        self._forked.clear()


class OwnFoldedTwice(Replica):
    """Folds its own op once more when it comes back."""

    def fold(self, entries: list[Any]) -> None:
        waiting = {w.op.raw for w in self.pending}
        super().fold(entries)
        for entry, _ in entries:
            if entry.op_raw in waiting and entry.accepted and not self.view.pending:
                self.view.push(entry.outcome)
                self.view.settle()


class EpochReused(Hub):
    """Opens the same epoch at every start."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._author.chain = self.keys.node + bytes(8)


class RevokedTrusted(Shop):
    """Forgets whom the owner has revoked."""

    def is_revoked(self, tables: Any, node: bytes) -> bool:
        return False


class PrintedAgain(Shop):
    """Prints what comes back as if it had just been sold."""

    def reapply(self, tables: Any, event: Any) -> None:
        self.apply(tables, event)


class AnyViewBelieved(Log):
    """Takes every view file for one of this log."""

    def ends_with(self, seal: bytes, position: Position) -> bool:
        return True


class OfferedTooEarly(Hub):
    """Lets stations begin from what nobody else has."""

    @property
    def offered(self) -> int:
        return self.snapshot


class Leaky(Shop):
    """Takes sales for something that everybody may read."""

    public = Shop.public | {"sell"}


class OwnLogKept(Log):
    """Takes bodies out of the canonical log only."""

    def rewrite(self, change: Any, since: int = 0) -> None:
        if self._kind == "canon":
            super().rewrite(change, since)


class HeadsNotKept(Log):
    """Drops the whole frame's meaning: what is left states another digest."""

    def rewrite(self, change: Any, since: int = 0) -> None:
        def other(frame: bytes) -> bytes | None:
            erased = change(frame)
            return erased and erased.replace(sha256(frame), bytes(32))

        super().rewrite(other, since)


class ErasedForgotten(Hub):
    """Says that a body is gone and leaves it where it is."""

    def _erase(self, token: Any, keys: list[Any], now: Any) -> list[Any]:
        effects = super()._erase(token, keys, now)
        self.view.to_erase.clear()
        return effects


class ErasedWrittenAgain(Sequencer):
    """Writes a body down once more when it comes again."""

    @staticmethod
    def _without(*_what: Any) -> bytes | None:
        return None


RESTORED = frozenset({"restore server"})
FORGET = frozenset({"forget"})

ZOO: dict[str, Bugs] = {
    "a snapshot offered too early": Bugs(hub=OfferedTooEarly, needs=RESTORED),
    "a checkpoint of what is nowhere else": Bugs(check_always=True, needs=RESTORED, caught_by=74),
    "the mirror written first": Bugs(mirror_first=True, needs=frozenset({"mirror"})),
    "decided again on recovery": Bugs(hub=hub_with(DecidedAgain), needs=RESTORED),
    "half taken back": Bugs(hub=hub_with(HalfTakenBack), needs=RESTORED),
    "poison message": Bugs(hub=hub_with(PoisonedQueue)),
    "a station never rewinds": Bugs(replica=NeverRewinds),
    "a station gives nothing back": Bugs(replica=GivesNothingBack, needs=RESTORED),
    "a fork is not seen": Bugs(replica=ForkUnseen),
    "own op folded twice": Bugs(replica=OwnFoldedTwice),
    "epoch reused after a restart": Bugs(hub=EpochReused),
    "a revoked station is trusted": Bugs(shop=RevokedTrusted),
    "recovered orders printed": Bugs(shop=PrintedAgain, needs=RESTORED, caught_by=246),
    "older orders printed at once": Bugs(print_older=True, needs=RESTORED),
    "any view file believed": Bugs(log=AnyViewBelieved),
    "a view saved with holes": Bugs(save_holes=True),
    "ack before sync at the server": Bugs(hub=EagerHub),
    "shown before sync": Bugs(replica=ShowBeforeSync),
    "torn tail kept": Bugs(log=TornTailKept),
    "ignored sync error": Bugs(log=IgnoredSyncError),
    "void op revived": Bugs(replica=VoidOpRevived),
    "chain reused after a restart": Bugs(replica=ChainReused),
    "no dedup": Bugs(hub=RedoneHub),
    "card sold twice": Bugs(shop=PinSoldTwice),
    "print before log": Bugs(print_before_log=True),
    "reprint after unknown": Bugs(reprint_unknown=True),
    "grants unchecked": Bugs(hub=hub_with(GrantsUnchecked)),
    "a rebase forgets": Bugs(replica=RebaseForgets),
    "cut too far": Bugs(log=CutAtDamage),
    "a screen is told everything": Bugs(shop=Leaky, needs=frozenset({"screen"})),
    "a body stays in an own log": Bugs(log=OwnLogKept, needs=FORGET),
    "an erased entry has another hash": Bugs(log=HeadsNotKept, needs=FORGET),
    "a body stays at the server": Bugs(hub=ErasedForgotten, needs=FORGET),
    "an erased body is written again": Bugs(
        hub=hub_with(ErasedWrittenAgain), needs=FORGET | {"copy process"}, caught_by=3430
    ),
}
