"""A hub and a replica face to face, without a driver: each call is one round, each message is seen."""

from __future__ import annotations

import random
from typing import Any

from sync.archive import Archive
from sync.errors import SyncError
from sync.hub import Hub
from sync.identity import Ed25519Signer, node_id, verify_ed25519
from sync.log import Log
from sync.messages import Blob, Entries, Message, Push, SnapshotPart, decode, encode
from sync.op import Head
from sync.protocol import (
    Act,
    Adopt,
    Alarm,
    Answered,
    BlobKept,
    Commit,
    Committed,
    Compact,
    Done,
    Drop,
    Effect,
    Event,
    Flush,
    GiveBlob,
    Inquire,
    Keep,
    KeepBlob,
    Kept,
    NodeKeys,
    Now,
    Opened,
    Receipt,
    Received,
    Rewind,
    Send,
    Serve,
    Served,
    ServePart,
    SetAside,
    SignIn,
    SyncKept,
)
from sync.recovery import Opened as Found
from sync.recovery import adopt, compact, rewind
from sync.replica import Replica
from sync.snapshot import header_frame, parts_of
from sync.view import View
from tests.support.disks import SimDisk
from tests.support.keep import Keep as KeepDomain

CAFE = b"c" * 16
OPERATOR = b"o" * 16
LINK = 7


class Bench:
    """One server, one station, one operator; `link` joins them, `calls` run on either side."""

    def __init__(self, domain: Any = None) -> None:
        self.chance = random.Random(1)
        self.server_key, self.station_key = (
            Ed25519Signer(b"s" * 32),
            Ed25519Signer(b"t" * 32),
        )
        self.operator_key = Ed25519Signer(b"u" * 32)
        self.keys = {node_id(k.public): k.public for k in (self.server_key, self.station_key)}
        self.domain: Any = domain or KeepDomain(self.keys, {OPERATOR: self.operator_key.public})
        server_keys = NodeKeys(CAFE, self.server_key, b"S" * 32, b"serverid")
        station_keys = NodeKeys(CAFE, self.station_key, b"T" * 32, b"statioid")
        self.log = Log(SimDisk(self.chance), "canon", CAFE, server_keys.node)
        self.archive = Archive(self.log)
        disk = SimDisk(self.chance)
        self.copy = Log(disk, "canon", CAFE, server_keys.node)
        self.own = Log(disk, "own", CAFE, station_keys.node)
        """The station's logs."""
        random_ = self.chance.randbytes
        self.hub = Hub(server_keys, View(self.domain), self.domain, verify_ed25519, random_)
        self.replica = Replica(
            station_keys,
            self.server_key.public,
            View(self.domain),
            self.domain,
            verify_ed25519,
            random_,
        )
        self.now = Now(1_000_000, 1_000)
        self.alarms: list[str] = []
        self.dropped: list[str] = []
        self.results: list[Receipt | SyncError | dict[str, Any]] = []
        self.to_hub: list[bytes] = []
        self.to_replica: list[bytes] = []
        self.pushes: list[Push] = []
        self.snapshot: list[bytes] = []
        self.aside: list[tuple[bytes, int]] = []
        self.blobs: dict[bool, dict[bytes, bytes]] = {True: {}, False: {}}
        """The server's (True), and the station's."""
        self._do(self.hub, self.hub.open(self.now))
        self.flush(self.hub)

    def pass_time(self, seconds: int) -> None:
        self.now = Now(self.now.wall_ms + seconds * 1000, self.now.mono_ms + seconds * 1000)

    def meet(self) -> None:
        """A link opens; nothing has come through it yet."""
        self.give(self.hub, Opened(LINK, self.replica.keys.node, b"T" * 32))
        self.give(self.replica, Opened(LINK, self.hub.keys.node, b"S" * 32))

    def hear(self, *cores: Hub | Replica) -> None:
        """One message comes through to each of them, in turn."""
        for core in cores:
            queue = self.to_hub if core is self.hub else self.to_replica
            self.give(core, Received(LINK, decode(queue.pop(0))))

    def link(self) -> None:
        self.meet()
        self.run()

    def sign_in(self) -> None:
        self.give(self.replica, SignIn(OPERATOR, self.operator_key, 1 << 62))

    def act(self, body: dict[str, Any], kind: str = "order.keep", **more: Any) -> Any:
        """Act at the station; its receipt or refusal."""
        key = more.pop("key", self.chance.randbytes(16))
        operator = more.pop("operator", None)
        self.give(self.replica, Act("t", kind, 1, body, key, operator))
        return self.results[-1]

    def give(self, core: Hub | Replica, event: Event) -> None:
        self._do(core, core.step(event, self.now))
        self.flush(core)

    def flush(self, core: Hub | Replica) -> None:
        self._do(core, core.step(Flush(), self.now))

    def run(self) -> None:
        """Carry messages until none is left."""
        while self.to_hub or self.to_replica:
            if self.to_hub:
                self.give(self.hub, Received(LINK, decode(self.to_hub.pop(0))))
            if self.to_replica:
                self.give(self.replica, Received(LINK, decode(self.to_replica.pop(0))))

    def push(self, message: Message) -> None:
        """Give the hub a message as if the station had sent it."""
        self.give(self.hub, Received(LINK, decode(encode(message))))
        self.run()

    def snap(self) -> None:
        """The server makes a snapshot, and a copy of all of it is somewhere else."""
        view, keys, head = self.hub.view, self.hub.keys, self.hub.head
        parts = list(parts_of(view))
        chain = view.epochs[-1].chain
        frame = header_frame(parts, head, keys.cafe, chain, keys.signer)
        self.snapshot = [frame, *(part.data for part in parts)]
        self.hub.snapshot = head.n
        self.hub.view.checkpoint = head

    def serve_part(self, seq: int, number: int) -> None:
        good = seq == self.hub.snapshot and 0 <= number < len(self.snapshot)
        data = self.snapshot[number] if good else b""
        self.to_replica.append(encode(SnapshotPart(seq if good else 0, number, data)))

    def refusals(self) -> list[str]:
        return [row["code"] for row in self.hub.view.table("refusals")]

    def _do(self, core: Hub | Replica, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(_, message):
                    if isinstance(message, Push):
                        self.pushes.append(message)
                    (self.to_replica if core is self.hub else self.to_hub).append(encode(message))
                case Commit(frames):
                    if frames and core is self.hub:
                        self.log.commit(frames)
                        self.archive.add(self.hub.head.n + 1, frames)
                    elif frames:
                        self.own.commit(frames)
                    self._do(core, core.step(Committed(), self.now))
                case Serve(link, after, last, reader, hash_):
                    mine = core is self.hub
                    archive = self.archive if mine else Archive(self.copy)
                    head = Head(after, hash_)
                    while head.n < last:
                        frames, head = archive.run(head, reader, self.domain.public)
                        (self.to_replica if mine else self.to_hub).append(encode(Entries(frames)))
                    self._do(core, core.step(Served(link, *head), self.now))
                case SyncKept():
                    self._do(core, core.step(Kept(), self.now))
                case Done(_, result) | Answered(_, result):
                    self.results.append(result)
                case Drop(_, code):
                    self.dropped.append(code)
                case Alarm(code, _):
                    self.alarms.append(code)
                case Keep(frames):
                    self.copy.commit(frames)
                case Adopt(frame, parts):
                    opened = Found(self.replica, self.copy, self.own)
                    self._do(core, core.step(adopt(opened, frame, parts), self.now))
                case Compact(frame, parts):
                    opened = Found(self.replica, self.copy, self.own)
                    self._do(core, core.step(compact(opened, frame, parts), self.now))
                case ServePart(_, seq, number):
                    self.serve_part(seq, number)
                case GiveBlob(_, digest):
                    data = self.blobs[core is self.hub].get(digest, b"")
                    to = self.to_replica if core is self.hub else self.to_hub
                    to.append(encode(Blob(digest, data)))
                case KeepBlob(digest, data):
                    self.blobs[core is self.hub][digest] = data
                    self._do(core, core.step(BlobKept(digest), self.now))
                case SetAside(_, node, seq, _):
                    self.aside.append((node, seq))
                case Rewind(head):
                    opened = Found(self.replica, self.copy, self.own)
                    self._do(core, core.step(rewind(opened, head), self.now))
                case Inquire():
                    pass
