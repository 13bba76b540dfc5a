"""The one place where a core meets asyncio, real logs and links.

Everything that happens goes into an inbox; one round takes all of it through the core, makes one
commit of what was staged, and only then lets the results out. What arrives while a sync runs is the
next round: that is the whole group commit, and it needs no timer. An act that finds nothing going
on is a round at once; between two rounds whatever else wants the loop has its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from sync.archive import Archive
from sync.blobs import BlobFolder
from sync.clock import Clock
from sync.erase import find_bodies
from sync.errors import Refused, StorageFailed, SyncError
from sync.frames import framed
from sync.hub import Hub
from sync.identity import Signer
from sync.kept import KeptCopy
from sync.messages import SERVE_BYTES, Answer, Blob, Entries, Message, SnapshotPart
from sync.mirror import MirrorWriter
from sync.op import KEY_BYTES, Head
from sync.protocol import (
    Abandon,
    Act,
    Adopt,
    Adopted,
    Alarm,
    Answered,
    BlobKept,
    Checked,
    Commit,
    CommitFailed,
    Committed,
    Compact,
    Done,
    Drop,
    Effect,
    Erase,
    Event,
    Flush,
    GiveBlob,
    Inquire,
    Keep,
    KeepBlob,
    Kept,
    Now,
    Question,
    Receipt,
    Received,
    Rewind,
    Rewound,
    Send,
    Serve,
    Served,
    ServePart,
    SetAside,
    SignIn,
    SyncKept,
    Tick,
)
from sync.recovery import Opened, adopt, compact, rewind, take_out
from sync.replica import Replica
from sync.snapshot import (
    SNAPSHOT_FILE,
    Snapshot,
    file_of,
    header_frame,
    parts_of,
    read_header,
)

_log = logging.getLogger(__name__)
TICK_S = 1.0
ROUND_MS = 8
"""A round ends with the step that makes it so long: what else wants the loop has its turn."""
CROWDED = 64
"""So many events wait that links read no more."""
MOST_QUESTIONS = 8
"""That one peer may have open at once; one more is answered with ``too-many``."""
CHECKPOINT_EVERY = 20_000
"""Entries behind the last checkpoint that make a new one worth its while."""

Changed = Callable[[frozenset[str]], None]
AlarmHook = Callable[[str, dict[str, Any]], None]
InquireHook = Callable[[bytes, str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Wire(Protocol):
    """An open connection, as the driver needs it."""

    def send(self, message: Message) -> None: ...

    def drop(self, code: str) -> None: ...


class Driver:
    """Runs a core. All methods belong to the event loop's thread."""

    def __init__(self, opened: Opened, clock: Clock, blobs: BlobFolder | None = None) -> None:
        self.core: Hub | Replica = opened.core
        self._disk = opened.canon.disk
        self._snapshot = opened.snapshot
        self.checkpoint_every = CHECKPOINT_EVERY
        self._making: asyncio.Task[None] | None = None
        self.mirror: MirrorWriter | None = None
        """Of a server: where everything stands a second time."""
        self._opened, self._canon, self._own = opened, opened.canon, opened.own
        self.clock = clock
        self._blobs = blobs
        self.on_blob: Callable[[bytes], None] = lambda digest: None
        """A piece is here now that was not."""
        self.archive = Archive(opened.canon)
        self._inbox: deque[Event] = deque()
        self._busy = False
        """Whether a round is to come, or there was one and the loop has not had its turn since."""
        self._may_erase = True
        self._wires: dict[int, Wire] = {}
        self._links = 0
        self._open: dict[int, int] = {}
        """Questions of each link that are not answered yet."""
        self._kept = KeptCopy(opened.canon)
        self._listeners: set[Changed] = set()
        self.on_alarm: AlarmHook = lambda code, details: None
        self.on_inquire: InquireHook = _no_answers
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None

    # --- life ----------------------------------------------------------------

    def start(self) -> None:
        """Begin to tick; the server opens its epoch."""
        if self._blobs is not None:
            with contextlib.suppress(StorageFailed):
                self._blobs.keep_only(self.core.domain.blobs(self.core.view))
            self.core.blobs.here = self._blobs.digests()
        if isinstance(self.core, Hub):
            self._run(self.core.open(self._now()))
            self._round()
        elif self.core.view.to_erase:
            self._take_out()
        self._ticker = asyncio.get_running_loop().create_task(self._tick())

    async def stop(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        for task in [*self._tasks, *([self._making] if self._making else [])]:
            task.cancel()
        for wire in list(self._wires.values()):
            wire.drop("stopping")
        self._round()
        while self._inbox:
            self._round()
        self._kept.sync()
        if self.mirror is not None:
            self.mirror.close()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._mend()
            self._may_erase = True
            self.post(Tick())
            self._look_after_mirror()

    # --- what nodes call -----------------------------------------------------

    def act(
        self,
        kind: str,
        version: int,
        body: dict[str, Any],
        operator: bytes | None = None,
        key: bytes | None = None,
    ) -> asyncio.Future[Receipt]:
        """Do something at this node. The future ends when it is durable here, or with what refused
        it: by now, if nothing else is going on; else in a round to come, with all who wait for
        it."""
        token: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        key = key or secrets.token_bytes(KEY_BYTES)
        self._inbox.append(Act(token, kind, version, body, key, operator))
        if not self._busy:
            self._round()
        return token

    async def erase(self, keys: list[bytes]) -> Receipt:
        """Take the bodies of what was done under these keys out of every log; what it did to the
        tables the domain must have taken back. It ends when that is on record, and done here if our
        disk lets us; if not, that is told, and tried again with every tick.

        Raises `Refused` ``not-erasable``, `Malformed` ``too-large`` (a few hundred at once),
        `Damaged`, `StorageFailed`.
        """
        core = self.core
        assert isinstance(core, Hub), "the server says what is erased"
        known = core.view.keys
        for key in keys:
            if key not in known:
                raise Refused("not-erasable", key=key)
        core.sequencer.erasing.update(keys)
        found = await asyncio.to_thread(find_bodies, self._canon, {key: known[key] for key in keys})
        token: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self.post(Erase(token, found))
        return await token

    def add_blob(self, data: bytes) -> bytes:
        """Keep a piece that an op will name; its SHA-256. Raises `Refused` ``too-large``,
        `StorageFailed`."""
        if self._blobs is None:
            raise StorageFailed("no folder for blobs")
        digest = self._blobs.add(data)
        self.post(BlobKept(digest))
        _call(self.on_blob, digest)
        return digest

    def blob(self, digest: bytes) -> bytes | None:
        """A piece that a row names; None as long as it is on its way."""
        data = self._blobs.get(digest) if self._blobs is not None else None
        if data is None:
            self.core.blobs.here.discard(digest)  # it was hurt: it is asked for again
        return data

    def sign_in(self, operator: bytes, key: Signer, until_mono_ms: int) -> None:
        self.post(SignIn(operator, key, until_mono_ms))

    def ask(self, kind: str, body: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Ask the server beside the log; `Disconnected` when there is no link."""
        token: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.post(Question(token, kind, body))
        return token

    def subscribe(self, listener: Changed) -> Callable[[], None]:
        """Call ``listener`` with the names of changed tables after each round; returns how to stop
        that."""
        self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    # --- what links call -----------------------------------------------------

    def attach(self, wire: Wire) -> int:
        self._links += 1
        self._wires[self._links] = wire
        return self._links

    def detach(self, link: int) -> None:
        self._wires.pop(link, None)

    @property
    def crowded(self) -> bool:
        """Whether links shall wait with what they read: the inbox is for what comes meanwhile, not
        for a flood."""
        return len(self._inbox) >= CROWDED

    def post(self, event: Event) -> None:
        """Put an event in the inbox, for a round of another turn of the loop, or for the one that
        is going on."""
        self._inbox.append(event)
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._round)

    # --- one round -----------------------------------------------------------

    def _now(self) -> Now:
        return Now(self.clock.wall_ms(), self.clock.mono_ms())

    def _round(self) -> None:
        self._busy = True
        try:
            now = self._now()
            while self._inbox and not self.core.staged_full:
                self._run(self._step(self._inbox.popleft(), now))
                if self.clock.mono_ms() - now.mono_ms >= ROUND_MS:
                    break
            self._flush(now)
        except Exception:  # whoever acts hears of their act, and of nothing else
            _log.exception("a fault in a round")
        asyncio.get_running_loop().call_soon(self._turned)
        self._tell()

    def _turned(self) -> None:
        """What else wants the loop had its turn behind a commit: the next may come."""
        if self._inbox:
            asyncio.get_running_loop().call_soon(self._round)
        else:
            self._busy = False

    def _step(self, event: Event, now: Now) -> list[Effect]:
        """One step of the core. A fault of ours voids the round, is told, and stops nobody
        else."""
        try:
            return self.core.step(event, now)
        except Exception as error:
            _log.exception("a fault at %s", type(event).__name__)
            effects = self.core.step(Abandon(Refused("fault", what=repr(error)[:80])), now)
            if isinstance(event, Act):
                effects.append(Done(event.token, Refused("fault")))
            elif isinstance(event, Question):
                effects.append(Answered(event.token, Refused("fault")))
            elif isinstance(event, Received):
                effects.append(Drop(event.link, "fault"))
            return effects

    def _tell(self) -> None:
        changed = self.core.view.store.changed
        if changed:
            names = frozenset(changed)
            changed.clear()
            for listener in tuple(self._listeners):
                _call(listener, names)

    def _flush(self, now: Now) -> None:
        self._run(self._step(Flush(), now))
        if self.core.view.to_erase and self._may_erase:
            self._take_out()

    def _take_out(self) -> None:
        """Take the bodies out of our logs that are to be erased; a disk that refuses is asked again
        with every tick."""
        self._may_erase = False
        try:
            if not self._kept.sync():
                raise StorageFailed("the copy of the log")
            take_out(self._opened)
        except (SyncError, OSError) as error:
            _log.error("bodies could not be erased: %s", error)
            _call(self.on_alarm, "not-erased", {"what": str(error)})
            return
        self._may_erase = True
        if isinstance(self.core, Hub) and not self.core.snapshot:
            self._snapshot = None
        self.archive = Archive(self._canon)

    def _run(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(link, message):
                    wire = self._wires.get(link)
                    if wire is not None:
                        wire.send(message)
                case Serve():
                    self._serve(effect)
                case Commit(frames):
                    self._commit(frames)
                case Done(token, result) | Answered(token, result):
                    _resolve(token, result)
                case Keep(frames):
                    self._kept.add(frames)
                case SyncKept():
                    if self._kept.sync():
                        self._run(self._step(Kept(), self._now()))
                case Rewind(head):
                    self._rewind(head)
                case Adopt(header, parts):
                    self._adopt(header, parts)
                case Compact(header, parts):
                    self._compact(header, parts)
                case SetAside(link, node, seq, frames):
                    self._set_aside(link, f"quarantine-returned-{node.hex()}-{seq}", frames)
                case ServePart(link, seq, number):
                    self._serve_part(link, seq, number)
                case GiveBlob(link, digest):
                    wire = self._wires.get(link)
                    if wire is not None:
                        wire.send(Blob(digest, self.blob(digest) or b""))
                case KeepBlob(_, data):
                    with contextlib.suppress(StorageFailed):  # it is asked for again
                        self.add_blob(data)
                case Inquire(link, peer, number, kind, body):
                    self._inquire(link, peer, number, kind, body)
                case Drop(link, code):
                    wire = self._wires.get(link)
                    if wire is not None:
                        wire.drop(code)
                case Alarm(code, details):  # pragma: no branch
                    _log.info("%s %s", code, details)
                    _call(self.on_alarm, code, details)

    def _commit(self, frames: list[bytes]) -> None:
        core = self.core
        try:
            if frames:
                log = self._own or self._canon
                log.commit(frames)
        except Exception as error:  # whatever it was, it is not known to be durable
            _log.exception("a commit failed")
            self._run(self._step(CommitFailed(_storage(error)), self._now()))
            return
        if frames and isinstance(core, Hub):
            self.archive.add(core.head.n + 1, frames)
            if self.mirror is not None:
                self.mirror.commit(frames)
        self._run(self._step(Committed(), self._now()))

    def _mend(self) -> None:
        """Void bytes that a failed write left on disk are cut as soon as the disk allows it."""
        for log in (self._canon, self._own):
            if log is not None:
                with contextlib.suppress(StorageFailed):
                    log.mend()

    def _rewind(self, head: Head) -> None:
        """What stands behind ``head`` in our copy is in the server's log again, in another
        order."""
        try:
            rewound = rewind(self._opened, head)
        except (SyncError, OSError) as error:  # the core asks again with the next event
            _log.error("cannot rewind the copy of the log: %s", error)
            return
        self._begin_again(rewound)

    def _begin_again(self, event: Rewound | Adopted) -> None:
        """The copy of the log is another one now."""
        self._kept.forget()
        self.archive = Archive(self._canon)
        self._run(self._step(event, self._now()))

    def _adopt(self, header: bytes, parts: list[bytes]) -> None:
        try:
            adopted = adopt(self._opened, header, parts)
        except (SyncError, OSError) as error:
            _log.error("the snapshot was not taken: %s", error)
            for wire in self._wires.values():
                wire.drop("bad-snapshot")
            return
        self._begin_again(adopted)

    def _compact(self, header: bytes, parts: list[bytes]) -> None:
        try:
            compacted = compact(self._opened, header, parts)
        except (SyncError, OSError) as error:  # nothing is lost; another checkpoint will come
            _log.error("the logs were not compacted: %s", error)
            return
        self.archive = Archive(self._canon)
        self._run(self._step(compacted, self._now()))

    def _set_aside(self, link: int, name: str, frames: list[bytes]) -> None:
        try:
            self._disk.replace(name, b"".join(map(framed, frames)))
        except StorageFailed as error:
            _log.error("%s could not be kept: %s", name, error)
            wire = self._wires.get(link)
            if wire is not None:  # it sends them again
                wire.drop("server-disk")

    def _serve_part(self, link: int, seq: int, number: int) -> None:
        wire, ready = self._wires.get(link), self._snapshot
        data = b""
        if ready is not None and ready.header.seq == seq and 0 <= number <= len(ready.parts):
            data = ready.parts[number - 1] if number else ready.frame
        if wire is not None:
            wire.send(SnapshotPart(seq if data else 0, number, data))

    def _look_after_mirror(self) -> None:
        core, mirror = self.core, self.mirror
        if not isinstance(core, Hub) or mirror is None:
            return
        mirror.tick(core.head)
        worth_it = core.head.n - core.view.checkpoint.n >= self.checkpoint_every
        if worth_it and mirror.following and not (core.view.unfolded or self._making):
            self._making = asyncio.get_running_loop().create_task(self._mirrored(mirror))

    async def _mirrored(self, mirror: MirrorWriter) -> None:
        try:
            head = await self.make_snapshot()
            if mirror.following:
                self.post(Checked(head, "mirror"))
        except SyncError as error:  # without one, stations keep all of their logs
            _log.error("no snapshot could be made: %s", error)
        finally:
            self._making = None

    async def make_snapshot(self) -> Head:
        """Make the snapshot that stations begin from, in slices beside everything else, and keep it
        beside the log; of which head it is. They hear of it when that is `Checked`.

        `Refused` ``unread-entries`` while the view has holes, `StorageFailed`.
        """
        core = self.core
        assert isinstance(core, Hub)
        if core.view.unfolded:
            raise Refused("unread-entries")
        head, keys, parts, erased = core.head, core.keys, [], len(core.view.erased)
        chain = core.view.epochs[-1].chain
        for part in parts_of(core.view):
            parts.append(part)
            await asyncio.sleep(0)
        if len(core.view.erased) != erased:  # a body was taken out meanwhile: not out of this one
            return await self.make_snapshot()
        frame = header_frame(parts, head, keys.cafe, chain, keys.signer)
        plain = [part.data for part in parts]
        await asyncio.to_thread(self._disk.replace, SNAPSHOT_FILE, file_of(frame, plain))
        header = read_header(frame, keys.cafe, keys.signer.public, core.verify)
        self._snapshot = Snapshot(header, frame, plain)
        core.snapshot = head.n
        return head

    def _serve(self, serve: Serve) -> None:
        wire = self._wires.get(serve.link)
        head, queued = Head(serve.after, serve.hash), 0
        try:
            while wire is not None and head.n < serve.last and queued < SERVE_BYTES:
                frames, head = self.archive.run(head, serve.reader, self.core.domain.public)
                wire.send(Entries(frames))
                queued += sum(map(len, frames))
        except (SyncError, OSError) as error:  # an old part of the log is hurt: the others go on
            _log.error("cannot serve link %d: %s", serve.link, error)
            _call(self.on_alarm, "log-damaged", {"what": str(error)})
            assert wire is not None
            wire.drop("server-log")
        self._run(self._step(Served(serve.link, *head), self._now()))

    def _inquire(
        self, link: int, peer: bytes, number: int, kind: str, body: dict[str, Any]
    ) -> None:
        wire = self._wires.get(link)
        if self._open.get(link, 0) >= MOST_QUESTIONS:
            if wire is not None:
                wire.send(Answer(number, "too-many", {}))
            return
        self._open[link] = self._open.get(link, 0) + 1

        async def answer() -> None:
            try:
                result = Answer(number, "", await self.on_inquire(peer, kind, body))
            except Refused as refusal:
                result = Answer(number, refusal.code, {})
            except Exception:
                _log.exception("a question failed: %s", kind)
                result = Answer(number, "fault", {})
            finally:
                self._answered(link)
            wire = self._wires.get(link)
            if wire is not None:
                wire.send(result)

        task = asyncio.get_running_loop().create_task(answer())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _answered(self, link: int) -> None:
        self._open[link] -= 1
        if not self._open[link]:
            del self._open[link]


def _storage(error: Exception) -> StorageFailed:
    return error if isinstance(error, StorageFailed) else StorageFailed(repr(error))


def _call(hook: Callable[..., None], *told: object) -> None:
    """Tell somebody; what they make of it stops nobody else."""
    try:
        hook(*told)
    except Exception:
        _log.exception("a listener failed")


def _resolve(token: Any, result: object) -> None:
    if token.done():  # its caller went away
        return
    if isinstance(result, SyncError):
        token.set_exception(result)
    else:
        token.set_result(result)


async def _no_answers(peer: bytes, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    raise Refused("unknown-question", kind=kind)
