"""The station's core: keeps what a person did, shows it, sends it when it can, folds what comes
back.

    act ─▶ decide ─▶ sign, chain, stage ─▶ [commit] ─▶ shown ─▶ push ─▶ ack
                                                entries ─▶ merge ─▶ fold, rebase ─▶ changed

Offline the walk ends at "shown", safely. A chain lasts as long as the process: each start opens a
new one that names the one before, so a disk put back from an old copy never uses an op id twice.

Two things can part us from the server. It was put back from an old copy: we send what it has lost
(`history.py`), then rewind to the last head that both have and fold again. Or a copy of this very
process went on alone and the server has its ops in our places: our branch of the chain is frozen
and its ops are sent again in a new one (`chains.py`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sync.author import Author
from sync.blobs import Wanted
from sync.chains import again_body, frozen_body, place_body, read_frozen
from sync.codec import pack, unpack_trusted, written
from sync.domain import Context, Domain
from sync.errors import Disconnected, Malformed, Refused, SyncError
from sync.fetch import Fetch
from sync.frames import (
    ENTRIES,
    JUMP,
    NO_EVENTS,
    Seal,
    op_frame,
    read_entry,
    read_jump,
    seal_frame,
)
from sync.history import common_head, follow, read_epochs
from sync.identity import Verifier, hello_text, node_id, seal_text
from sync.messages import (
    BATCH_OPS,
    PROTOCOL,
    PUSH_BYTES,
    WINDOW_BATCHES,
    Ack,
    Answer,
    Ask,
    Blob,
    Bye,
    ClientHello,
    Entries,
    Message,
    Proof,
    Push,
    ServerHello,
    SnapshotPart,
    Want,
    WantBlob,
)
from sync.op import (
    CHAIN_FROZEN,
    CHAIN_OPEN,
    ENGINE_KINDS,
    GRANT_OPEN,
    OP_AGAIN,
    Entry,
    Head,
    Op,
)
from sync.protocol import (
    NONCE_BYTES,
    STATUS,
    Abandon,
    Act,
    Adopt,
    Adopted,
    Alarm,
    Answered,
    BlobKept,
    Closed,
    Commit,
    CommitFailed,
    Committed,
    Compact,
    Compacted,
    Done,
    Drop,
    Effect,
    Event,
    Flush,
    GiveBlob,
    Keep,
    KeepBlob,
    Kept,
    NodeKeys,
    Now,
    Opened,
    Question,
    Receipt,
    Received,
    Rewind,
    Rewound,
    Send,
    Serve,
    Served,
    SignIn,
    Staged,
    SyncKept,
    Tick,
)
from sync.state import Merged, PendingOp, merge
from sync.view import View, decode_entry_op

_log = logging.getLogger(__name__)
CREDIT_EVERY = BATCH_OPS
SKEW_TOLD_MS = 60_000
"""A wall clock that is so far from the server's is told: nothing depends on it but what people
read."""
SILENCE_MS = 10_000


@dataclass
class Returning:
    """We send back what the server has lost."""

    common: Head
    """The last canonical head that both have."""
    sent: int
    """Up to where it is sent, in our numbers."""


@dataclass
class Replica:
    """Core of a station; see the module's picture. ``random(n)`` gives n random bytes."""

    keys: NodeKeys
    server: bytes
    """Public key of the server this station was paired with."""
    view: View
    domain: Domain
    verify: Verifier
    random: Callable[[int], bytes]
    canon: Head = field(default_factory=Head)
    """Canonical head that is folded."""
    base: Head = field(default_factory=Head)
    """Canonical head that our copy of the log begins behind: that of a snapshot, or nothing."""
    worth_a_snapshot: int = 4_096
    """So many entries behind, a snapshot is quicker; so many can be dropped behind one."""
    compacted: int = 0
    """Seq of the snapshot that stands beside our logs."""
    public_only: bool = False
    """Whether it may read only what is public and its own; it has nothing to give back, then, and
    needs no snapshot."""
    run_ops: int = BATCH_OPS
    """So many ops are sent in one run at most."""
    lifted_above: int = 2 * BATCH_OPS
    """With more pending ops than that, they are off the tables while runs of entries come in."""
    before: tuple[bytes, int, bytes] | None = None
    """Chain, n and hash where the last chain in our log ended."""

    def __post_init__(self) -> None:
        self._node = self.keys.node
        self._server_node = node_id(self.server)
        self.author = Author(self.keys, self.random)
        self.pending: deque[PendingOp] = deque()
        """Own ops in their order that no folded entry has answered yet; all of them are durable,
        but for those that are staged."""
        self._heads: dict[tuple[bytes, int], bytes] = {}
        self._keys: dict[bytes, tuple[bytes, int]] = {}
        self._signed = b"", b""
        """The last text that was signed, and its signature."""
        self._own: dict[bytes, Op] = {}
        """Pending ops by their bytes, to know them again when they come back."""
        self._staged = Staged()
        self._staged_ops = 0
        self._flying: Staged | None = None
        self._inbox: list[tuple[list[bytes], list[tuple[Entry, Op | None]], Head]] = []
        self._link: int | None = None
        self._peer_certificate = b""
        self._nonce = b""
        self.signed_on = False
        self._sent = 0
        """How many of ``pending``, from the left, were sent on this link."""
        self._acked = 0
        """How many of them the server has made durable."""
        self._durable = self.canon.n
        self._credited = self.canon.n
        self._goal = 0
        """Where the server's log ended at sign-on: a copy that has come so far is kept at once."""
        self._theirs = 0
        """Highest number of an entry that the server is known to have."""
        self._lifted = False
        """Whether what is pending is off the tables for the moment."""
        self._folding = False
        """Whether entries came since the last tick."""
        self._untold: set[str] = set()
        """Tables that have changed meanwhile."""
        self._sync_asked = False
        self._grants: dict[tuple[bytes, int], bytes] = {}
        """The grants in our own log, as they were signed."""
        self._forked: set[bytes] = set()
        """Chains of ours in which the server has another op."""
        self._again: list[tuple[Op, PendingOp | None, Head]] | None = None
        """What takes the place of their ops once it is durable."""
        self._returning: Returning | None = None
        """While we send back what the server has lost."""
        self._fetch: Fetch | None = None
        """The server's snapshot, on its way."""
        self._fetched: Fetch | None = None
        """All of it is here: it takes its place at the next flush."""
        self._gone = 0
        """Seq of a checkpoint whose snapshot the server does not have any more."""
        self._rewind_to: Head | None = None
        """It has all of that: where our copy of the log must be cut back to."""
        self.blobs = Wanted()
        self.skew_ms = 0
        """How far our wall clock was before the server's at the last sign-on."""
        self._heard_ms = 0
        self._asked: dict[int, Any] = {}
        self._asks = 0

    # --- before the first step -----------------------------------------------

    def restore(self, own: Sequence[tuple[Op, list[Any], Head]]) -> None:
        """Take up the own ops found in the log at start, in their order: those that no entry has
        answered, and that do not stand in a frozen branch (they stand behind it again)."""
        frozen = {read_frozen(op)[0] for op, _, _ in own if op.kind == CHAIN_FROZEN}
        for op, events, head in own:
            if op.kind == GRANT_OPEN:
                self._grants[(op.chain, op.n)] = op.raw
            done = op.key in self.view.keys
            known = self.view.chains.get(op.chain)
            here = known is not None and op.n <= known.n
            if (done and here) or op.chain in frozen:
                continue
            if here:  # the server has another op in its place
                self._forked.add(op.chain)
            shown = [] if done else events
            self._queue(op, pack(shown), head)
            self.view.push(shown)

    def _queue(self, op: Op, events: bytes, head: Head) -> None:
        self.pending.append(PendingOp(op, events))
        self._heads[(op.chain, op.n)] = head.hash
        self._keys[op.key] = (op.chain, op.n)
        self._own[op.raw] = op

    # --- the one entrance ----------------------------------------------------

    def step(self, event: Event, now: Now) -> list[Effect]:
        if self._lifted and not isinstance(event, (Received, Flush, Kept, Tick)):
            self._lay_back()  # somebody acts, or the link has gone
        match event:
            case Act():
                return self._act(event, now)
            case Received(link, message) if link == self._link:
                return self._received(link, message, now)
            case Flush():
                return self._flush(now)
            case Committed():
                return self._committed(now)
            case CommitFailed(error):
                return [Alarm("disk", {"what": str(error)}), *self._void(error)]
            case Abandon(error):
                return [*self._faulted(str(error)), *self._abandon(error)]
            case Kept():
                return self._kept(now)
            case Served(link, last) if link == self._link and self._returning is not None:
                self._returning.sent = last
            case Rewound():
                return self._rewound(event)
            case Adopted(head, view, own):
                return self._adopted(head, view, own)
            case Compacted(seq, base):
                self.compacted, self.base = seq, base
            case Opened(link, _, certificate):
                self._link, self._peer_certificate = link, certificate
                self.signed_on = False
                self._heard_ms = now.mono_ms
                return [SyncKept()]
            case Closed(link) if link == self._link:
                return self._closed()
            case SignIn():
                self.author.sign_in(event)
            case Question():
                return self._ask(event)
            case BlobKept(digest):
                self.blobs.here.add(digest)
                self.view.store.changed.add(STATUS)
            case Tick():
                return self._tick(now)
        return []

    @property
    def staged_full(self) -> bool:
        return self._staged.full

    @property
    def unsent(self) -> int:
        """Own ops that the server is not known to have."""
        return len(self.pending) - self._acked

    # --- acting --------------------------------------------------------------

    def _begin(self) -> None:
        if not self._staged.begun:
            self._staged = Staged(begun=True)

    def _stage(self, op: Op, context: Context | None) -> list[Any]:
        """Decide one op and stage it; folded on top at once, shown only when durable.

        Without a context it is one of the engine's own, which needs no decision."""
        decided = self.domain.decide(self.view, op, context) if context else []
        shown, events = written(decided)
        if not self.view.push(decided):  # what cannot be shown is not sold
            self.view.pop()
            raise Refused("fault")
        self._wrote(op, shown)
        self._staged_ops += 1
        self._queue(op, shown, self.author.head)
        return events

    def _wrote(self, op: Op, events: bytes) -> None:
        self.author.wrote(op)
        self._staged.add([op_frame(op.raw, events)], 1)
        if op.kind == GRANT_OPEN:
            self._grants[(op.chain, op.n)] = op.raw

    def _act(self, act: Act, now: Now) -> list[Effect]:
        self._begin()
        known = self._keys.get(act.key)
        if known is not None or act.key in self.view.keys:
            chain, n = known or (bytes(24), 0)
            seq = self.view.keys.get(act.key, 0)
            self._staged.then.append(
                Done(act.token, Receipt(chain, n, act.key, "done-before", [], seq))
            )
            return []
        try:
            self._open_chain(now)
            grant = self._grant(act.operator, now)
            op = self.author.op(now, self.canon.n, act.kind, act.version, act.body, act.key, grant)
            context = Context(
                op=op,
                operator=act.operator,
                server=False,
                desk=False,
                seq=self.canon.n + 1,
                at_ms=now.wall_ms,
                age_ms=0,
            )
            events = self._stage(op, context)
        except (Refused, Malformed) as error:
            return [Done(act.token, error)]
        receipt = Receipt(op.chain, op.n, op.key, "queued", events)
        self._staged.then.append(Done(act.token, receipt))
        return []

    def _open_chain(self, now: Now) -> None:
        if self.author.head.n == 0:
            self._stage_own(CHAIN_OPEN, {"before": place_body(self.before)}, now)

    def _stage_own(self, kind: str, body: dict[str, Any], now: Now) -> None:
        """Stage an op of the engine's own."""
        self._stage(self.author.op(now, self.canon.n, kind, 1, body), None)

    def _grant(self, operator: bytes | None, now: Now) -> int:
        if operator is None:
            return 0
        known = self.author.grant_of(operator)
        if known is None:
            self._stage_own(GRANT_OPEN, self.author.grant_body(operator), now)
            known = self.author.granted(operator)
        return known

    # --- committing and showing ----------------------------------------------

    def _flush(self, now: Now) -> list[Effect]:
        self._freeze(now)
        if self._staged.begun:
            assert self._flying is None, "the last commit was never answered"
            self._flying, self._staged = self._staged, Staged()
            frames = self._flying.frames
            if frames:
                chain, (n, head) = self.author.chain, self.author.head
                seal = Seal(chain, n, head, self._sign(chain, n, head))
                frames = [*frames, seal_frame(seal)]
            return [Commit(frames)]
        return self._go_on(now)

    def _sign(self, chain: bytes, n: int, head: bytes) -> bytes:
        """Our signature over a head; what was just committed is mostly pushed with the same."""
        text = seal_text(self.keys.cafe, chain, n, head)
        if self._signed[0] != text:
            self._signed = text, self.keys.signer.sign(text)
        return self._signed[1]

    def _committed(self, now: Now) -> list[Effect]:
        flying, self._flying = self._flying, None
        assert flying is not None
        self._staged_ops = 0
        if flying.frames:
            self.before = (self.author.chain, *self.author.head)
        try:
            self._thaw()
            return [*flying.then, *self._go_on(now)]
        except Exception as error:  # what is durable is told all the same
            _log.exception("a fault behind a commit")
            return [*flying.then, *self._faulted(repr(error))]

    def _go_on(self, now: Now) -> list[Effect]:
        """What is done between two commits."""
        if self._rewind_to is not None:
            return [Rewind(self._rewind_to)]
        if self._fetched is not None:
            fetched, self._fetched = self._fetched, None
            if fetched.beneath:
                return [Compact(fetched.frame, fetched.parts)]
            return [Adopt(fetched.frame, fetched.parts)]
        return [*self._fold_inbox(), *self._push(now)]

    def _faulted(self, what: str) -> list[Effect]:
        """Begin again with the server: what was not folded comes again."""
        self._inbox.clear()
        effects: list[Effect] = [Alarm("fault", {"what": what[:80]})]
        return [*effects, Drop(self._link, "fault")] if self._link is not None else effects

    def _void(self, error: SyncError) -> list[Effect]:
        """Take the staged ops back. Their keys are void: they were never shown."""
        flying, self._flying = self._flying, None
        assert flying is not None
        for _ in range(self._staged_ops):
            gone = self.pending.pop()
            self.view.pop()
            self._forget(gone)
        self._staged_ops = 0
        # A write that failed may still have reached the disk. A fresh chain makes sure that none of
        # its op ids is ever used for something else.
        self.author.renew()
        self._again = None
        failed = [Done(e.token, error) for e in flying.then if isinstance(e, Done)]
        return [*failed, *self._fold_inbox()]

    def _abandon(self, error: SyncError) -> list[Effect]:
        """A step failed half-way, by a fault of ours: what its round has staged never happened."""
        if self._flying is None:
            if not self._staged.begun:
                return []
            self._flying, self._staged = self._staged, Staged()
        return self._void(error)

    # --- the link ------------------------------------------------------------

    def _kept(self, now: Now) -> list[Effect]:
        self._durable = self.canon.n
        self._sync_asked = False
        if self._link is None or self._rewind_to is not None:
            return []
        if self._nonce == b"":
            return self._hello(self._link, now)
        if self.signed_on and self._credited != self._durable:
            self._credited = self._durable
            return [Send(self._link, Ack([], self._durable))]
        return []

    def _hello(self, link: int, now: Now) -> list[Effect]:
        self._nonce = self.random(NONCE_BYTES)
        ends = {waiting.op.chain: waiting.op.n for waiting in self.pending}
        heads = [[chain, n, self._heads[chain, n]] for chain, n in ends.items()]
        hello = ClientHello(
            PROTOCOL,
            self.keys.cafe,
            self._node,
            self.keys.boot,
            now.wall_ms,
            self._nonce,
            heads,
            self.canon.n,
            self.canon.hash,
        )
        return [Send(link, hello)]

    def _received(self, link: int, message: Message, now: Now) -> list[Effect]:
        self._heard_ms = now.mono_ms
        match message:
            case ServerHello() if not self.signed_on:
                return self._server_hello(link, message, now)
            case Ack(_, cursor) if self._returning is not None:
                return self._taken_back(link, cursor, self._returning)
            case Entries(frames) if self.signed_on:
                return self._entries(link, frames)
            case Ack(heads, theirs) if self.signed_on:
                self._theirs = max(self._theirs, theirs)
                self._take_ack(heads)
                return self._push(now)
            case SnapshotPart() if self._fetch is not None:
                self._fetch.heard_ms = now.mono_ms
                return self._take_part(link, message, self._fetch)
            case SnapshotPart(0):  # of one that was gone already
                return []
            case WantBlob(digest) if self.signed_on:
                return [GiveBlob(link, digest)]
            case Blob(digest, data) if self.signed_on:
                try:
                    kept = self.blobs.take(link, digest, data)
                except Malformed as error:
                    return [Alarm(error.code, {"what": error.what}), Drop(link, error.code)]
                return [KeepBlob(digest, data)] if kept else []
            case Answer(number, code, body) if number in self._asked:
                token = self._asked.pop(number)
                return [Answered(token, Refused(code) if code else body)]
            case Bye(code):
                return [Alarm("server-left", {"code": code}), Drop(link, "bye")]
        return [Alarm("out-of-turn", {}), Drop(link, "out-of-turn")]

    def _tick(self, now: Now) -> list[Effect]:
        """A server that owes us an answer and says nothing is gone, whatever the socket thinks."""
        if not self._folding:
            self._lay_back()
        self._folding = False
        owed = self.pending or not self.signed_on or self._returning or self._fetch
        heard_ms = self._fetch.heard_ms if self._fetch else self._heard_ms
        if self._link is not None and owed and now.mono_ms - heard_ms > SILENCE_MS:
            return [Drop(self._link, "silence")]
        effects = [*self._credit(at_least=1), *self._look_for_checkpoint(now)]
        if self.signed_on and self._link is not None and self._returning is None:
            named = self.domain.blobs(self.view)
            wanted = self.blobs.ask(named, [self._link], now.mono_ms)
            effects += [Send(link, WantBlob(digest)) for link, digest in wanted]
        return effects

    def _server_hello(self, link: int, hello: ServerHello, now: Now) -> list[Effect]:
        text = hello_text(
            self.keys.cafe,
            self._server_node,
            self._nonce + hello.nonce,
            self._peer_certificate,
            self.keys.certificate,
        )
        if (
            hello.protocol != PROTOCOL
            or hello.cafe != self.keys.cafe
            or len(hello.nonce) != NONCE_BYTES
            or len(hello.signature) != 64
            or not self.verify(self.server, hello.signature, text)
        ):
            return [Alarm("bad-server", {}), Drop(link, "bad-hello")]
        try:
            theirs = read_epochs(hello.epochs)
        except Malformed:
            return [Alarm("bad-server", {}), Drop(link, "bad-hello")]
        common = common_head(self.view.epochs, self.canon, theirs, Head(hello.seq, hello.hash))
        if common is None:
            return [Alarm("other-history", {}), Drop(link, "other-history")]
        own = hello_text(
            self.keys.cafe,
            self._node,
            self._nonce + hello.nonce,
            self.keys.certificate,
            self._peer_certificate,
        )
        self.signed_on = True
        self.skew_ms = now.wall_ms - hello.wall_ms
        self._credited = self.canon.n
        behind = common.n == self.canon.n and self._is_worth_it(hello.snapshot - common.n)
        start = max(common, self.base)  # what stands before our snapshot others may have
        proof = Send(link, Proof(self.keys.signer.sign(own), *start, behind))
        if common.n < self.canon.n:
            self._returning = Returning(common, start.n)
            lost = Alarm("server-restored", {"from": common.n + 1, "to": self.canon.n})
            if start.n == self.canon.n or self.public_only:
                self._rewind_to = common
                return [lost]
            return [lost, proof, *self._give_back(link, start.n)]
        self._goal = hello.seq
        self._theirs = hello.seq
        self._sent = self._acked = 0
        self._take_ack(hello.heads)
        self._sent = self._acked
        self._look_for_holes({chain: n for chain, n, _ in hello.heads})
        effects: list[Effect] = [proof]
        if abs(self.skew_ms) > SKEW_TOLD_MS:
            effects.append(Alarm("skew", {"seconds": self.skew_ms // 1000}))
        if behind:
            effects += self._ask_for_snapshot(link, hello.snapshot, now)
        return effects

    # --- snapshots -----------------------------------------------------------

    def _is_worth_it(self, entries: int) -> bool:
        """Whether a snapshot is to be fetched that stands for so many."""
        return entries >= self.worth_a_snapshot and not self.public_only

    def _ask_for_snapshot(
        self, link: int, seq: int, now: Now, *, beneath: bool = False
    ) -> list[Effect]:
        self._fetch = Fetch(seq, now.mono_ms, keys=self.before is not None, beneath=beneath)
        return [Send(link, Want(seq, 0))]

    def _take_part(self, link: int, message: SnapshotPart, fetch: Fetch) -> list[Effect]:
        """Check one frame of the snapshot and ask for the next."""
        if fetch.beneath and not message.seq:  # the next checkpoint will do
            self._gone, self._fetch = fetch.seq, None
            return []
        try:
            wanted = fetch.take(message, self.keys.cafe, self.server, self.verify)
        except Malformed as error:
            return [Alarm("bad-snapshot", {"what": error.what}), Drop(link, "bad-snapshot")]
        if fetch.done:
            self._fetch, self._fetched = None, fetch
        return [Send(link, Want(fetch.seq, number)) for number in wanted]

    def _look_for_checkpoint(self, now: Now) -> list[Effect]:
        """What is also somewhere else need not stand here in full: the snapshot of a checkpoint
        takes the place of what our logs have before it."""
        seq = self.view.checkpoint.n
        if self._link is None or not self.signed_on or self._returning is not None:
            return []
        if self._fetch is not None or self._gone == seq or self._durable < seq:
            return []
        if not self._is_worth_it(seq - self.compacted):
            return []
        return self._ask_for_snapshot(self._link, seq, now, beneath=True)

    def needed(self, seq: int, ops: Sequence[Op]) -> set[tuple[bytes, int]]:
        """Places of those own ops that no entry up to ``seq`` has answered, or that something which
        is still to be sent can need."""
        live = {self.author.chain, *(waiting.op.chain for waiting in self.pending)}
        late = {op.raw for op in ops if self.view.keys.get(op.key, seq + 1) > seq}
        frozen = {
            read_frozen(op)[0] for op in ops if op.kind == CHAIN_FROZEN and op.raw not in late
        } - live

        def is_needed(op: Op) -> bool:
            if op.chain in frozen and op.kind in ENGINE_KINDS:
                return False  # never answered: what stands there was sent again in another chain
            return op.chain in live or op.raw in late

        return {(op.chain, op.n) for op in ops if is_needed(op)}

    def _adopted(
        self, head: Head, view: View, own: Sequence[tuple[Op, list[Any], Head]]
    ) -> list[Effect]:
        """Our copy begins behind the snapshot now."""
        self.base, self.compacted = head, head.n
        self._begin_again(head, view, own)
        return [Send(self._link, Ack([], head.n))] if self._link is not None else []

    def _begin_again(
        self, head: Head, view: View, own: Sequence[tuple[Op, list[Any], Head]]
    ) -> None:
        """Fold what is ours on top of another view."""
        self.canon = head
        self.view.adopt(view)
        self._durable = self._credited = head.n
        self.pending.clear()
        self._heads.clear()
        self._keys.clear()
        self._own.clear()
        self._inbox.clear()
        self.restore(own)
        self._sent = self._acked = 0

    # --- what a restored server gets back ------------------------------------

    def _give_back(self, link: int, after: int) -> list[Effect]:
        return [Serve(link, after, min(self.canon.n, after + BATCH_OPS * WINDOW_BATCHES))]

    def _taken_back(self, link: int, cursor: int, returning: Returning) -> list[Effect]:
        """The server has made durable again what we sent, up to ``cursor`` in our numbers."""
        if cursor >= self.canon.n:
            self._rewind_to = returning.common  # the next flush sees to it
        elif cursor >= returning.sent:
            return self._give_back(link, cursor)
        return []

    def _rewound(self, done: Rewound) -> list[Effect]:
        """Our copy ends earlier now; what the server answered behind that comes again."""
        self._rewind_to, self.base = None, done.base
        self.compacted = self.compacted if done.base.n else 0
        self._begin_again(done.head, done.view, done.own)
        self.author.renew()  # in its old chain our base would fall
        return [Drop(self._link, "rewound")] if self._link is not None else []

    def _take_ack(self, heads: list[Any]) -> None:
        """Heads now durable at the server: what stands before them need not be sent again."""
        durable = {chain: (n, head) for chain, n, head in heads}
        self._look_for_twin(durable.get(self.author.chain, (0, b""))[0])
        for waiting in islice(self.pending, self._acked, None):
            op = waiting.op
            n, head = durable.get(op.chain, (0, b""))
            if op.n > n:
                break
            if op.n == n and head != self._heads[(op.chain, n)]:
                self._forked.add(op.chain)
                break
            self._acked += 1
            self.view.store.changed.add(STATUS)
        self._sent = max(self._sent, self._acked)

    def _look_for_holes(self, durable: dict[bytes, int]) -> None:
        """A chain whose next op at the server we do not have (its body was erased) cannot be sent
        on: what stands behind it goes in a new one. Of a chain in which we had nothing to send when
        we said hello, all was answered."""
        for waiting in islice(self.pending, self._acked, None):
            op = waiting.op
            last = durable.get(op.chain, op.n - 1)
            if op.n > last + 1:
                self._forked.add(op.chain)
            if op.n > last:
                durable[op.chain] = op.n

    def _push(self, now: Now) -> list[Effect]:
        """Send what is durable and not sent, as far as the window goes, in runs of one chain."""
        if not self.signed_on or self._link is None or self._staged.begun:
            return []
        if self._returning is not None or self._forked:
            return []
        effects: list[Effect] = []
        window = BATCH_OPS * WINDOW_BATCHES
        if self._sent == self._acked < len(self.pending):
            self._heard_ms = now.mono_ms  # the server owes us something from now on
        while self._sent < len(self.pending) and self._sent - self._acked < window:
            run: list[Op] = []
            size = 0
            for at in range(self._sent, min(len(self.pending), self._sent + self.run_ops)):
                op = self.pending[at].op
                size += len(op.raw)
                if run and (op.chain != run[0].chain or size > PUSH_BYTES):
                    break
                run.append(op)
            last = run[-1]
            head = self._heads[(last.chain, last.n)]
            push = Push(
                last.chain,
                run[0].n,
                [op.raw for op in run],
                self._sign(last.chain, last.n, head),
                self.keys.boot,
                now.mono_ms,
            )
            effects.append(Send(self._link, push))
            self._sent += len(run)
        return effects

    def _closed(self) -> list[Effect]:
        self._link, self._nonce, self.signed_on = None, b"", False
        self._inbox.clear()  # the next hello begins from what is folded
        self._returning = self._fetch = self._fetched = None
        self._gone = 0
        self._sent = self._acked = 0
        asked, self._asked = self._asked, {}
        return [Answered(token, Disconnected()) for token in asked.values()]

    # --- what comes back -----------------------------------------------------

    def _entries(self, link: int, frames: list[bytes]) -> list[Effect]:
        """Check a run of the canonical log against our head and the server's key; fold it at the
        flush."""
        before = self._inbox[-1][2] if self._inbox else self.canon
        try:
            head = follow(
                before,
                frames,
                self.keys.cafe,
                self.server,
                self.verify,
                jumps=self.public_only,
            )
            entries = [self._entry(frame) for frame in frames if frame[1] in ENTRIES]
        except Refused as refusal:
            return [Alarm(refusal.code, refusal.details), Drop(link, refusal.code)]
        except Malformed as error:
            return [Alarm("bad-entries", {"what": str(error)}), Drop(link, "bad-entries")]
        if [entry.seq for entry, _ in entries] != _numbers(before, frames):
            return [Alarm("bad-entries", {"what": "gap"}), Drop(link, "bad-entries")]
        self._inbox.append((frames, entries, head))
        return []

    def _entry(self, frame: bytes) -> tuple[Entry, Op | None]:
        """An entry under a checked seal, and its op; our own ops are at hand."""
        entry = read_entry(frame)
        own = self._own.get(entry.op_raw)
        return entry, own if own is not None else decode_entry_op(entry)

    def _fold_inbox(self) -> list[Effect]:
        if not self._inbox:
            return []
        inbox, self._inbox = self._inbox, []
        unfolded, unshown = len(self.view.unfolded), self.view.unshown
        self.fold([pair for _, run, _ in inbox for pair in run])
        self.canon = inbox[-1][2]
        self.view.jump(self.canon.n)
        known = self.view.chains.get(self.author.chain)
        self._look_for_twin(known.n if known is not None else 0)
        effects: list[Effect] = [Keep(frames) for frames, _, _ in inbox]
        if unread := list(self.view.unfolded)[unfolded:]:
            effects.append(Alarm("unfolded", {"entries": unread[:8]}))
        if self.view.unshown > unshown:
            effects.append(Alarm("unshown", {}))
        if self._lifted:
            self._untold |= self.view.store.changed
            self.view.store.changed.clear()
        caught_up = self._credited < self._goal <= self.canon.n
        return effects + self._credit(at_least=1 if caught_up else CREDIT_EVERY)

    def fold(self, entries: list[tuple[Entry, Op | None]]) -> None:
        """Merge entries behind the view's cursor with what is pending."""
        view = self.view
        view.store.changed.add(STATUS)
        self._folding = True
        merged = merge(view.cursor, self.pending, entries)  # `_entries` checked the numbers
        self._forked |= merged.forked
        for entry, op in entries[: merged.settled]:
            assert op is not None
            head = self._heads.get((op.chain, op.n))
            view.fold(entry, op, effects=self._lifted, head=head)
            if head is not None:  # one of ours, and the oldest: the merge has seen to that
                if not self._lifted:
                    view.settle()
                self._answered(self.pending.popleft())
        if merged.beneath:
            self._fold_beneath(merged)
        if len(self.pending) <= self.lifted_above or view.cursor >= self._theirs:
            self._lay_back()

    def _fold_beneath(self, merged: Merged) -> None:
        view = self.view
        self._lift()
        for entry, op in merged.beneath:
            view.fold(entry, op)
            if op is not None and not entry.accepted and op.kind == GRANT_OPEN:
                self.author.grant_refused(op)
        still: deque[PendingOp] = deque()
        sent, acked = self._sent, self._acked
        for at, waiting in enumerate(self.pending):
            if (waiting.op.chain, waiting.op.n) in merged.answered:
                self._forget(waiting)
                self._sent -= at < sent
                self._acked -= at < acked
            else:
                if (waiting.op.chain, waiting.op.n) in merged.moot:
                    waiting = PendingOp(waiting.op, NO_EVENTS)
                still.append(waiting)
        self.pending = still

    def _lift(self) -> None:
        """Take what is pending off the tables, to fold beneath it."""
        if not self._lifted:
            self._lifted = True
            for _ in range(len(self.pending)):
                self.view.pop()

    def _lay_back(self) -> None:
        """Show it again. After a long outage that is dear, so it is done once for many runs, and
        nobody is told of the tables meanwhile."""
        if self._lifted:
            self._lifted = False
            for waiting in self.pending:
                self.view.push(unpack_trusted(waiting.events))
        self.view.store.changed |= self._untold
        self._untold.clear()

    def _look_for_twin(self, n: int) -> None:
        """Who goes on in our chain beyond what we have written there is a copy of this process."""
        if n > self.author.head.n:
            self._forked.add(self.author.chain)

    def _answered(self, waiting: PendingOp) -> None:
        self._forget(waiting)
        self._sent = max(0, self._sent - 1)
        self._acked = max(0, self._acked - 1)

    def _forget(self, waiting: PendingOp) -> None:
        op = waiting.op
        del self._heads[(op.chain, op.n)]
        self._keys.pop(op.key, None)
        self._own.pop(op.raw, None)

    def _credit(self, at_least: int) -> list[Effect]:
        """Tell the server how far we are once enough is folded; it must be durable first."""
        if not self.signed_on or self._sync_asked or self.canon.n - self._credited < at_least:
            return []
        self._sync_asked = True
        return [SyncKept()]

    # --- a branch that the server will never take -----------------------------

    def _freeze(self, now: Now) -> None:
        """Stage what the server cannot take in a forked chain once more, in a new one and under
        the same keys. It takes the place of the old ops when it is durable."""
        if not self._forked or self._staged.begun:
            return
        self._begin()
        self.author.renew()
        again: list[tuple[Op, PendingOp | None, Head]] = []

        def stage(kind: str, body: dict[str, Any], of: PendingOp | None = None) -> None:
            key = of.op.key if of else None
            op = self.author.op(now, self.canon.n, kind, 1, body, key)
            self._wrote(op, of.events if of else NO_EVENTS)
            again.append((op, of, self.author.head))

        stage(CHAIN_OPEN, {"before": place_body(self.before)})
        for chain in sorted(self._forked):
            branch = [waiting for waiting in self.pending if waiting.op.chain == chain]
            if branch:
                end = branch[-1].op
                stage(CHAIN_FROZEN, frozen_body(chain, Head(end.n, self._heads[chain, end.n])))
            for waiting in branch:
                op = waiting.op
                if op.kind not in ENGINE_KINDS:
                    grant = self._grants.get((chain, op.grant), b"")
                    stage(OP_AGAIN, again_body(op, grant), waiting)
        self._again = again

    def _thaw(self) -> None:
        """The branch is frozen on disk: its ops make place for those that were staged again."""
        again, self._again = self._again, None
        if again is None:
            return
        self._lay_back()
        for _ in range(len(self.pending)):
            self.view.pop()
        kept = [waiting for waiting in self.pending if waiting.op.chain not in self._forked]
        for waiting in self.pending:
            if waiting.op.chain in self._forked:
                self._forget(waiting)
        self.pending = deque()
        for waiting in kept:
            self.pending.append(waiting)
            self.view.push(unpack_trusted(waiting.events))
        for op, of, head in again:
            events = of.events if of else NO_EVENTS
            self._queue(op, events, head)
            self.view.push(unpack_trusted(events))
        self._forked.clear()
        self._acked = 0
        self._sent = 0

    # --- beside the log ------------------------------------------------------

    def _ask(self, question: Question) -> list[Effect]:
        if not self.signed_on or self._link is None:
            return [Answered(question.token, Disconnected())]
        self._asks += 1
        self._asked[self._asks] = question.token
        return [Send(self._link, Ask(self._asks, question.kind, question.body))]


def _numbers(head: Head, frames: list[bytes]) -> list[int]:
    """The numbers that the entries of a run behind ``head`` must have."""
    n, numbers = head.n, []
    for frame in frames:
        if frame[1] in ENTRIES:
            n += 1
            numbers.append(n)
        elif frame[1] == JUMP:
            n = read_jump(frame, Head(n)).n
    return numbers
