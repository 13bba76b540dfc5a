"""The server's core: takes pushes from many links, sequences them, tells everybody.

    link:  hello ─▶ hello ─▶ proof ─▶ signed on:  push ─▶ [stage ─▶ commit] ─▶ ack, entries to all
                                                   ack (cursor) ─▶ more entries (credit)

What is staged is already folded into the view, so that the next decision sees it; if the disk
refuses the commit, view, head and chains go back to where they were and the links are dropped to
send again.

A server that was put back from an old copy does not know it: a station whose copy of the log goes
on behind the last head that both have sends that rest back (`history.py`), and it is sequenced
again with the outcomes it had. Those in `unreported` may still hold such a rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sync.audience import readers
from sync.author import Author
from sync.blobs import Wanted
from sync.codec import written
from sync.domain import Context, Domain
from sync.errors import Malformed, Refused, StorageFailed, SyncError
from sync.frames import ERASED, Seal, seal_frame
from sync.history import EPOCHS_TOLD, follow
from sync.identity import Verifier, canon_text, hello_text
from sync.messages import (
    BATCH_OPS,
    PROTOCOL,
    PUSH_BYTES,
    WINDOW_BATCHES,
    Ack,
    Ask,
    Blob,
    Bye,
    ClientHello,
    Entries,
    Message,
    Proof,
    Push,
    ServerHello,
    Want,
    WantBlob,
)
from sync.op import (
    CANON_CHECKED,
    CANON_ERASED,
    CANON_RESTORED,
    CHAIN_BYTES,
    CHAIN_OPEN,
    GRANT_OPEN,
    NODE_BYTES,
    UNKNOWN_AGE,
    Head,
    Op,
)
from sync.protocol import (
    NONCE_BYTES,
    STATUS,
    Abandon,
    Act,
    Alarm,
    BlobKept,
    Checked,
    Closed,
    Commit,
    CommitFailed,
    Committed,
    Done,
    Drop,
    Effect,
    Erase,
    Event,
    Flush,
    GiveBlob,
    Inquire,
    KeepBlob,
    NodeKeys,
    Now,
    Opened,
    Receipt,
    Received,
    Send,
    Serve,
    Served,
    ServePart,
    SetAside,
    SignIn,
    Staged,
    Tick,
)
from sync.sequencer import ChainGap, Sequencer, is_run_seal
from sync.view import View

_log = logging.getLogger(__name__)
WINDOW = WINDOW_BATCHES * BATCH_OPS
BACKLOG_OPS = BATCH_OPS
"""Who comes with as many has a backlog."""
QUIET_S = 5
"""Who sends a backlog hears nothing of the log for so long: to fold it beneath all that is pending
takes long, and acks would wait behind that."""
HELLO_TIMEOUT_MS = 3_000
SILENCE_MS = 15_000
FLOOR_SLACK_MS = 30_000
"""An op looks younger by as long as its push was under way; half-open links end after ten
seconds."""
ACKS_KEPT = 512
KEPT_OF_REVOKED_BYTES = 16 << 20
"""What a revoked node sends is kept as refused, so that nothing of an honest vendor's is lost; a
thief fills no disk with it."""
CLONED_AFTER_MS = 5_000
"""What an older connection of the same key says that long after a newer one has signed on was not
under way: two machines use one folder."""


@dataclass
class Link:
    """One connection of a station."""

    peer: bytes
    certificate: bytes
    heard_ms: int
    hello: ClientHello | None = None
    nonces: bytes = b""
    signed_on: bool = False
    since_ms: int = 0
    """When it signed on."""
    loading: bool = False
    """It fetches the snapshot and wants no entries before it has that."""
    public_only: bool = False
    """It may read only what is public and its own."""
    hash: bytes = b""
    """Then, of the head up to which it was sent."""
    returning: Head | None = None
    """Up to where it has sent back what this server has lost; None if it has nothing of that."""
    sent: int = 0
    """Highest seq sent."""
    acked: int = 0
    """Highest cursor the station has acknowledged."""
    many: bool = False
    """It is sending the many ops that it came with."""
    backlog: bool = False
    """It came with a backlog: it hears what became of it once nobody sends one any more, within two
    seconds once it sends none itself, and every `QUIET_S` seconds meanwhile."""
    quiet_s: int = 0
    """How long it has been sending that."""

    @property
    def patience_ms(self) -> float:
        """How long it may say nothing: it owes us its sign-on, the ack of what we sent, or a word
        while it fetches the snapshot."""
        if not self.signed_on:
            return HELLO_TIMEOUT_MS
        return SILENCE_MS if self.loading or self.acked < self.sent else float("inf")


def _size(push: Push) -> int:
    return sum(map(len, push.ops))


@dataclass
class Hub:
    """Core of the server; see the module's picture. ``random(n)`` gives n random bytes."""

    keys: NodeKeys
    view: View
    domain: Domain
    verify: Verifier
    random: Callable[[int], bytes]
    head: Head = field(default_factory=Head)
    """Canonical head that is durable."""
    complete: bool = False
    """A second disk has shown that nothing is missing: nobody need be waited for."""

    def __post_init__(self) -> None:
        self._node = self.keys.node
        self.sequencer = Sequencer(self.keys.cafe, self._node, self.view, self.domain, self.verify)
        self.sequencer.head = self.head
        self._author = Author(self.keys, self.random)
        self.links: dict[int, Link] = {}
        self._staged = Staged()
        self._flying: Staged | None = None
        self.last_seen_ms: dict[bytes, int] = {}
        self._acked_at: dict[bytes, list[tuple[int, int]]] = {}
        """Per node: (our monotonic ms, cursor) of what it acknowledged, for `_floor`."""
        nodes = () if self.complete else self.domain.nodes(self.view)
        self._unreported = {n for n in nodes if self.domain.reads_all(self.view, n)} - {self._node}
        self._bare: dict[bytes, bytes] = {}
        """Keys of what came back without its body, and who gave it."""
        self._born_ms = 0
        self.snapshot = 0
        """Seq of the snapshot that is ready; 0 for none."""
        self.restored = False
        """Whether one of them held something."""
        self._kept_of_revoked: dict[bytes, int] = {}
        self.blobs = Wanted()
        self._sending: dict[int, int] = {}
        """Links that are sending a backlog, and the tick before they did so last."""
        self._ticks = 0
        self._newest: dict[bytes, int] = {}
        """Per node: the link that signed on last."""

    # --- the one entrance ----------------------------------------------------

    def step(self, event: Event, now: Now) -> list[Effect]:
        match event:
            case Received(number, message):
                return self._received(number, message, now)
            case Act():
                return self._act(event, now)
            case Flush():
                return self._flush()
            case Committed():
                return self._committed(now)
            case CommitFailed(error):
                return [Alarm("disk", {"what": str(error)}), *self._void(error)]
            case Abandon(error):
                return [Alarm("fault", {"what": str(error)}), *self._abandon(error)]
            case Opened(number, peer, certificate):
                self.links[number] = Link(peer, certificate, now.mono_ms)
            case Closed(number):
                self._closed(number)
            case Served(number, last, head) if number in self.links:
                link = self.links[number]
                link.hash = head
                if link.acked == link.sent:
                    link.heard_ms = now.mono_ms  # it owes us something from now on
                link.sent = last
            case SignIn():
                return self._sign_in(event, now)
            case Checked(head, copy):
                self._checked(head, copy, now)
            case BlobKept(digest):
                self.blobs.here.add(digest)
                self.view.store.changed.add(STATUS)
            case Erase(token, keys):
                return self._erase(token, keys, now)
            case Tick():
                return self._tick(now)
        return []

    def _tick(self, now: Now) -> list[Effect]:
        effects: list[Effect] = []
        last, self._ticks = self._ticks, self._ticks + 1
        self._sending = {n: tick for n, tick in self._sending.items() if tick == last}
        for number, link in self.links.items():
            if now.mono_ms - link.heard_ms > link.patience_ms:
                effects.append(Drop(number, "silence"))
            elif link.signed_on:
                link.quiet_s = link.quiet_s + 1 if number in self._sending else 0
                link.backlog = link.quiet_s % QUIET_S > 0  # who sends no more hears now
                effects += self._serve(number, link)
        return effects + self._look_for_blobs(now)

    def _look_for_blobs(self, now: Now) -> list[Effect]:
        trusted = [
            number
            for number, link in self.links.items()
            if link.signed_on and not self._is_revoked(link.peer)
        ]
        wanted = self.blobs.ask(self.domain.blobs(self.view), trusted, now.mono_ms)
        return [Send(number, WantBlob(digest)) for number, digest in wanted]

    def _closed(self, number: int) -> None:
        link = self.links.pop(number, None)
        self._sending.pop(number, None)
        if link is not None and self._newest.get(link.peer) == number:
            del self._newest[link.peer]

    @property
    def staged_full(self) -> bool:
        return self._staged.full

    @property
    def offered(self) -> int:
        """Seq of the snapshot that stations may begin from; 0 for none. Behind a checkpoint only:
        what they then do not have must not be ours alone."""
        return self.snapshot if self.snapshot <= self.view.checkpoint.n else 0

    def online(self) -> set[bytes]:
        """Nodes that are signed on now."""
        return {link.peer for link in self.links.values() if link.signed_on}

    def unreported(self) -> set[bytes]:
        """Nodes that have not shown since this start that they hold nothing which we lack."""
        return {node for node in self._unreported if not self._is_revoked(node)}

    def _is_revoked(self, node: bytes) -> bool:
        return self.domain.is_revoked(self.view, node)

    # --- links ---------------------------------------------------------------

    def _received(self, number: int, message: Message, now: Now) -> list[Effect]:
        link = self.links.get(number)
        if link is None:
            return []
        link.heard_ms = now.mono_ms
        told = self._look_for_clone(number, link, now)
        return told + self._take(number, link, message, now)

    def _take(self, number: int, link: Link, message: Message, now: Now) -> list[Effect]:
        match message:
            case ClientHello() if link.hello is None:
                return self._hello(number, link, message, now)
            case Proof() if link.hello is not None and not link.signed_on:
                return self._proof(number, link, message, now)
            case Entries(frames) if link.returning is not None:
                return self._take_back(number, link, frames, now)
            case Push() if link.signed_on and link.returning is None:
                self.last_seen_ms[link.peer] = now.wall_ms
                return self._push(number, link, message, now)
            case Ack(_, cursor) if link.signed_on and link.returning is None:
                self.last_seen_ms[link.peer] = now.wall_ms
                if link.loading:
                    link.sent = min(cursor, self.head.n)
                if not link.acked <= cursor <= link.sent:
                    return self._turn_away(number, link, "bad-cursor")
                link.acked, link.loading = cursor, False
                acked = self._acked_at.setdefault(link.peer, [])
                acked.append((now.mono_ms, cursor))
                del acked[:-ACKS_KEPT]
                return self._serve(number, link)
            case Want(seq, part) if link.signed_on and not link.public_only:
                return [ServePart(number, seq, part)]
            case WantBlob(digest) if link.signed_on and not self._is_revoked(link.peer):
                return [GiveBlob(number, digest)]
            case Blob(digest, data) if link.signed_on:
                try:
                    kept = self.blobs.take(number, digest, data)
                except Malformed as error:
                    return self._turn_away(number, link, error.code)
                return [KeepBlob(digest, data)] if kept else []
            case Ask(ask, kind, body) if link.signed_on:
                return [Inquire(number, link.peer, ask, kind, body)]
            case Bye(code):
                return [Alarm("peer-left", {"node": link.peer, "code": code}), Drop(number, "bye")]
        return self._turn_away(number, link, "out-of-turn")

    def _look_for_clone(self, number: int, link: Link, now: Now) -> list[Effect]:
        """One key in use by two processes at once; both are served until a person revokes it."""
        newest = self._newest.get(link.peer, number)
        other = self.links.get(newest)
        if newest == number or other is None or other.hello is None or link.hello is None:
            return []
        if other.hello.boot == link.hello.boot or now.mono_ms - other.since_ms < CLONED_AFTER_MS:
            return []
        return [Alarm("cloned", {"node": link.peer})]

    def _turn_away(self, number: int, link: Link, code: str) -> list[Effect]:
        return [Alarm(code, {"node": link.peer}), Drop(number, code)]

    def _hello(self, number: int, link: Link, hello: ClientHello, now: Now) -> list[Effect]:
        if hello.protocol != PROTOCOL:
            return self._turn_away(number, link, "bad-protocol")
        if hello.cafe != self.keys.cafe:
            return self._turn_away(number, link, "other-cafe")
        if hello.node != link.peer or len(hello.nonce) != NONCE_BYTES:
            return self._turn_away(number, link, "bad-hello")
        link.hello, link.public_only = hello, not self.domain.reads_all(self.view, link.peer)
        nonce = self.random(NONCE_BYTES)
        link.nonces = hello.nonce + nonce
        text = hello_text(
            self.keys.cafe, self._node, link.nonces, self.keys.certificate, link.certificate
        )
        heads = [self._durable_head(chain) for chain, _, _ in hello.chains]
        answer = Send(
            number,
            ServerHello(
                PROTOCOL,
                self.keys.cafe,
                self._node,
                now.wall_ms,
                nonce,
                heads,
                self.head.n,
                self.head.hash,
                self.view.epochs[-EPOCHS_TOLD:],
                0 if link.public_only else self.offered,
                self.keys.signer.sign(text),
            ),
        )
        if self._staged.begun:  # its heads may count what is not durable yet
            self._staged.then.append(answer)
            return []
        return [answer]

    def _durable_head(self, chain: bytes) -> list[Any]:
        # What is staged counts: whatever tells it leaves with the commit of the same round.
        known = self.view.chains.get(chain)
        return [chain, known.n, known.hash] if known else [chain, 0, bytes(32)]

    def _proof(self, number: int, link: Link, proof: Proof, now: Now) -> list[Effect]:
        signature, hello, common = proof.signature, link.hello, Head(proof.seq, proof.hash)
        assert hello is not None
        public = self.domain.node_key(self.view, link.peer)
        text = hello_text(
            self.keys.cafe, link.peer, link.nonces, link.certificate, self.keys.certificate
        )
        if public is None or len(signature) != 64 or not self.verify(public, signature, text):
            return self._turn_away(number, link, "bad-proof")
        lacks = common.n < hello.cursor
        if not self._is_ours(Head(hello.cursor, hello.hash), common) or (
            lacks and link.public_only
        ):
            return self._turn_away(number, link, "other-history")
        link.signed_on, link.since_ms = True, now.mono_ms
        self._newest[link.peer] = number
        link.sent = link.acked = common.n
        link.hash = common.hash
        link.loading = proof.snapshot
        if lacks:
            link.returning = common
            return []
        self._unreported.discard(link.peer)
        told = self._look_for_bare()
        self.view.store.changed.add(STATUS)
        self._note_backlog(number, link, self._owes(link) >= BACKLOG_OPS)
        # A copy that was damaged begins again further back: what was acknowledged before is void.
        acked = self._acked_at.get(link.peer, [])
        self._acked_at[link.peer] = [(at, c) for at, c in acked if c <= link.acked]
        self.last_seen_ms[link.peer] = now.wall_ms
        return told + self._serve(number, link)

    def _is_ours(self, cursor: Head, common: Head) -> bool:
        """Whether a station's copy may go on from ours. What it has behind ``common`` must bear our
        seal, so nothing is asked of ``common`` itself then."""
        if common.n < cursor.n:
            return True
        return (
            common == cursor
            and cursor.n <= self.head.n
            and (cursor.n < self.head.n or cursor == self.head)
        )

    def _serve(self, number: int, link: Link) -> list[Effect]:
        """Send as far as the credit goes; a link with a full window waits for its own ack."""
        if self._is_revoked(link.peer):  # it may leave what it had to say, and hears nothing
            leaving = link.returning is not None or self._owes(link)
            return [] if leaving else [Drop(number, "revoked")]
        last = min(self.head.n, link.acked + WINDOW)
        link.backlog = link.backlog and bool(self._sending)
        if link.backlog or link.loading or link.returning is not None or last <= link.sent:
            return []
        if link.public_only:
            return [Serve(number, link.sent, last, link.peer, link.hash)]
        return [Serve(number, link.sent, last)]

    def _owes(self, link: Link, chain: bytes | None = None) -> int:
        """How many of the ops that it told of at its hello are not here yet; none if it sends of a
        ``chain`` that it did not tell of: that comes behind them, or in their place."""
        assert link.hello is not None
        if chain is not None and chain not in [told[0] for told in link.hello.chains]:
            return 0
        return sum(max(0, n - self._durable_head(chain)[1]) for chain, n, _ in link.hello.chains)

    def _note_backlog(self, number: int, link: Link, sending: bool) -> None:
        """Entries that come while a station still has much pending are folded beneath all of it,
        again and again: who returns after an outage hears them together."""
        link.many = sending
        if sending:
            link.backlog = True
            self._sending[number] = self._ticks
        else:
            self._sending.pop(number, None)

    # --- what a restored server gets back ------------------------------------

    def _take_back(self, number: int, link: Link, frames: list[bytes], now: Now) -> list[Effect]:
        """Entries of a life of ours that we have forgotten; our own seal says that they are."""
        assert link.returning is not None
        self._begin(now)
        public = self.keys.signer.public
        try:
            head = follow(link.returning, frames, self.keys.cafe, public, self.verify)
        except (Refused, Malformed) as error:
            return self._turn_away(number, link, error.code)
        aside: list[Effect] = []
        again: list[bytes] = []
        try:
            missing = self.sequencer.missing(frames)
            if any(lost.entry for lost in missing):  # our own seal says so, no claim of a station's
                aside += self._found_out(link, link.returning.n, now)
                again = self.sequencer.take_back(missing, link.peer)
                bare = (lost.entry for lost in missing if lost.frame[1] == ERASED)
                self._bare |= {entry.note["key"]: link.peer for entry in bare if entry}
        except Malformed as error:
            return self._turn_away(number, link, error.code)
        except Refused as refusal:  # who has what comes before it has all of this as well
            if refusal.code != "history-missing":
                return self._turn_away(number, link, refusal.code)
            aside += self._found_out(link, link.returning.n, now)
            told = Alarm(refusal.code, {"node": link.peer, "what": str(head.n)})
            aside += [SetAside(number, link.peer, head.n, frames), told]
        self._staged.add(again, sum(not is_run_seal(frame) for frame in again))
        link.returning = head
        self._staged.then.append(Send(number, Ack([], head.n)))
        return aside

    def _look_for_bare(self) -> list[Effect]:
        """An entry that came back without its body, and nobody has our word that it shall be so."""
        if self.unreported():
            return []
        bare, self._bare = self._bare, {}
        unsaid = [key for key in bare if key not in self.view.erased]
        return [Alarm("bare-body", {"node": bare[key], "what": key.hex()}) for key in unsaid]

    def _found_out(self, link: Link, common: int, now: Now) -> list[Effect]:
        """We have lost a part of our history; it is written down before any of it comes back."""
        if self.restored:
            return []
        self.restored = True
        assert link.hello is not None
        body = {"from": common + 1, "to": link.hello.cursor, "by": link.peer}
        op = self._author.op(now, self.view.cursor, CANON_RESTORED, 1, body)
        self._stage_own(op, [], now)
        lost = {"node": link.peer, "what": f"{common + 1}-{link.hello.cursor}"}
        return [Alarm("recovering", lost)]

    # --- pushes --------------------------------------------------------------

    def _push(self, number: int, link: Link, push: Push, now: Now) -> list[Effect]:
        if (
            len(push.chain) != CHAIN_BYTES
            or push.chain[:NODE_BYTES] != link.peer
            or len(push.ops) > BATCH_OPS
            or _size(push) > PUSH_BYTES
        ):
            return self._turn_away(number, link, "bad-push")
        told: list[Effect] = []
        if self._is_revoked(link.peer):
            kept = self._kept_of_revoked.get(link.peer, 0) + _size(push)
            if kept > KEPT_OF_REVOKED_BYTES:
                return self._turn_away(number, link, "revoked")
            self._kept_of_revoked[link.peer] = kept
            told = [Alarm("revoked", {"node": link.peer})]
        self._begin(now)
        try:
            floor = partial(self._floor, link.peer, now.mono_ms)
            frames = self.sequencer.take_run(push, floor, now.wall_ms)
        except ChainGap:  # something was lost on the way: its next hello begins from our head
            return self._turn_away(number, link, "gap")
        except (Refused, Malformed) as error:
            return self._turn_away(number, link, error.code)
        self._staged.add(frames, sum(not is_run_seal(frame) for frame in frames))
        self._ack(number, push.chain)
        if link.many:
            self._note_backlog(number, link, self._owes(link, push.chain) > 0)
        odd, self.sequencer.odd = self.sequencer.odd, []
        return told + [Alarm(code, details) for code, details in odd]

    def _ack(self, number: int, chain: bytes) -> None:
        """Tell how far a chain has come, once that is durable; runs that follow each other in one
        commit are told of together."""
        then, ack = self._staged.then, Ack([self._durable_head(chain)], 0)
        match then[-1:]:
            case [Send(link, Ack([[told, *_]], _))] if (link, told) == (number, chain):
                then.pop()
        then.append(Send(number, ack))

    def _floor(self, node: bytes, mono_ms: int, age_ms: int) -> int:
        """Lowest base that an op of this age may claim: what its node had acknowledged when it
        acted.

        A backlog is older than the acks that come with it, so only acks clearly before the op
        count.
        """
        acked = self._acked_at.get(node)
        made_ms = mono_ms - age_ms - FLOOR_SLACK_MS
        if age_ms == UNKNOWN_AGE or not acked or acked[0][0] >= made_ms:
            return 0
        return max(cursor for at_ms, cursor in acked if at_ms < made_ms)

    # --- the server's own desk -----------------------------------------------

    def _stage_own(self, op: Op, events: list[Any], now: Now) -> int:
        self._staged.add([self.sequencer.desk(op, events, now.wall_ms)], 1)
        self._author.wrote(op)
        return self.view.cursor

    def _open_epoch(self, now: Now) -> None:
        """Each start of the server opens an epoch that names the head before it."""
        body = {"canon": [*self.sequencer.head]}
        self._stage_own(self._author.op(now, self.view.cursor, CHAIN_OPEN, 1, body), [], now)

    def open(self, now: Now) -> list[Effect]:
        """First step of a start."""
        self._born_ms = now.mono_ms
        self._begin(now)
        return []

    def _sign_in(self, event: SignIn, now: Now) -> list[Effect]:
        self._author.sign_in(event)
        self._begin(now)
        self._grant(event.operator, now)
        return []

    def _grant(self, operator: bytes | None, now: Now) -> int:
        if operator is None:
            return 0
        known = self._author.grant_of(operator)
        if known is None:
            body = self._author.grant_body(operator)
            self._stage_own(self._author.op(now, self.view.cursor, GRANT_OPEN, 1, body), [], now)
            known = self._author.granted(operator)
        return known

    def _checked(self, head: Head, copy: str, now: Now) -> None:
        if head.n > self.view.checkpoint.n:
            self._begin(now)
            body = {"seq": head.n, "hash": head.hash, "copy": copy}
            op = self._author.op(now, self.view.cursor, CANON_CHECKED, 1, body)
            self._stage_own(op, [], now)

    def _erase(self, token: Any, keys: list[Any], now: Now) -> list[Effect]:
        self._begin(now)
        try:
            op = self._author.op(now, self.view.cursor, CANON_ERASED, 1, {"keys": keys})
        except Malformed as error:  # too many at once
            return [Done(token, error)]
        seq = self._stage_own(op, [], now)
        receipt = Receipt(op.chain, op.n, op.key, "accepted", [], seq)
        self._staged.then.append(Done(token, receipt))
        return []

    def _act(self, act: Act, now: Now) -> list[Effect]:
        self._begin(now)
        try:
            first = self.view.keys.get(act.key)
            if first is not None:
                receipt = Receipt(self._author.chain, 0, act.key, "done-before", [], first)
                self._staged.then.append(Done(act.token, receipt))
                return []
            grant = self._grant(act.operator, now)
            op = self._author.op(
                now, self.view.cursor, act.kind, act.version, act.body, act.key, grant
            )
            context = Context(
                op=op,
                operator=act.operator,
                server=True,
                desk=True,
                seq=self.view.cursor + 1,
                at_ms=now.wall_ms,
                age_ms=0,
            )
            _, events = written(self.sequencer.judge(op, context))
            seq = self._stage_own(op, events, now)
        except (Refused, Malformed) as error:
            return [Done(act.token, error)]
        receipt = Receipt(op.chain, op.n, op.key, "accepted", events, seq)
        self._staged.then.append(Done(act.token, receipt))
        return []

    # --- committing ----------------------------------------------------------

    def _begin(self, now: Now) -> None:
        """Open the round that the next `Flush` commits; everything staged in it stands or falls
        together. Nothing is sequenced outside of an epoch."""
        if not self._staged.begun:
            self.view.begin_trial()
            self._head_before, self._restored_before = self.sequencer.head, self.restored
            self._staged = Staged(begun=True)
            self.sequencer.alive_ms = now.mono_ms - self._born_ms
            if not self._author.head.n:
                self._open_epoch(now)

    def _flush(self) -> list[Effect]:
        staged = self._staged
        if not staged.begun:
            return []
        assert self._flying is None, "the last commit was never answered"
        self._staged = Staged()
        self._flying = staged
        if not staged.frames:
            return [Commit([])]
        head = self.sequencer.head
        chain = self._author.chain
        text = canon_text(self.keys.cafe, chain, head.n, head.hash)
        seal = Seal(chain, head.n, head.hash, self.keys.signer.sign(text))
        return [Commit([*staged.frames, seal_frame(seal)])]

    def _committed(self, now: Now) -> list[Effect]:
        flying, self._flying = self._flying, None
        assert flying is not None
        self.view.keep_trial()
        self.head = self.sequencer.head
        effects: list[Effect] = [
            Send(e.link, Ack(e.message.heads, self.head.n))
            if isinstance(e, Send) and isinstance(e.message, Ack) and e.message.heads
            else e
            for e in flying.then
        ]
        try:
            return effects + self._tell_all(flying.frames)
        except Exception as error:  # what is durable is told all the same
            _log.exception("a fault behind a commit")
            return [*effects, Alarm("fault", {"what": repr(error)[:80]})]

    def _tell_all(self, frames: list[bytes]) -> list[Effect]:
        """Who reads everything hears of a commit at once, others if there is something in it for
        them; of what they skip, once a second."""
        effects: list[Effect] = []
        signed_on = [(number, link) for number, link in self.links.items() if link.signed_on]
        partly = any(link.public_only for _, link in signed_on)
        told = readers(frames, self.domain.public) if partly else None
        for number, link in signed_on:
            if not link.public_only or told is None or link.peer in told:
                effects += self._serve(number, link)
        return effects

    def _void(self, error: SyncError) -> list[Effect]:
        """Nothing of this round has happened; who pushed in it must send again."""
        flying, self._flying = self._flying, None
        assert flying is not None
        self.view.drop_trial()
        self.sequencer.head = self._head_before
        self._author.renew()  # what failed may have reached the disk all the same
        self.restored = self._restored_before
        code = "server-disk" if isinstance(error, StorageFailed) else "fault"
        done = [Done(e.token, error) for e in flying.then if isinstance(e, Done)]
        return [*done, *(Drop(e.link, code) for e in flying.then if isinstance(e, Send))]

    def _abandon(self, error: SyncError) -> list[Effect]:
        """A step failed half-way, by a fault of ours: nothing of its round has happened."""
        if self._flying is None:
            if not self._staged.begun:
                return []
            self._flying, self._staged = self._staged, Staged()
        return self._void(error)
