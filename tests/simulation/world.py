"""One simulated café: the real cores and the real logs on a virtual clock, faulty disks and links.

One seed decides everything; one trace hash comes out. A `Crash` may strike at every effect. Disks are put
back from old copies, folders and running processes are copied, clocks jump, stations are enrolled,
revoked and upgraded, all in the middle of traffic.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import heapq
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from sync.archive import Archive
from sync.blobs import BlobFolder
from sync.codec import pack
from sync.erase import find_bodies
from sync.errors import Damaged, Refused, StorageFailed, SyncError
from sync.frames import (
    ENTRIES,
    ENTRY,
    ERASED,
    RUN_SEAL,
    decode_frame,
    decode_seal,
    read_entry,
    read_erased,
)
from sync.hub import Hub
from sync.identity import Ed25519Signer, grant_text, node_id, seal_text, verify_ed25519
from sync.kept import KeptCopy
from sync.log import Log, Position
from sync.messages import Blob, Entries, SnapshotPart, decode, encode
from sync.mirror import Mirror
from sync.op import Head, decode_op
from sync.protocol import (
    Act,
    Adopt,
    Alarm,
    BlobKept,
    Checked,
    Closed,
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
    Tick,
)
from sync.recovery import Opened as Found
from sync.recovery import (
    adopt,
    close,
    compact,
    open_hub,
    open_replica,
    rewind,
    save_view,
    take_out,
)
from sync.replica import Replica
from sync.snapshot import SNAPSHOT_FILE, file_of, header_frame, parts_of, read_header
from sync.view import View
from tests.simulation.shop import STOCK, Shop
from tests.support.disks import SimDisk

CAFE = b"simulated-cafe!!"
OPERATOR = b"the-only-vendor!"
LONG_AGO = 10**12
SEGMENT_BYTES = 1_500
ROOM_BYTES = 900
"""What a file takes ahead of what is written."""
"""Files so small that there is something to drop."""


class Crash(Exception):
    """The power of one node is gone, here and now."""


class FakeSigner:
    """Signs by hash: for thousands of seeds. One seed in twenty uses real keys."""

    secrets: ClassVar[dict[bytes, bytes]] = {}

    def __init__(self, private: bytes) -> None:
        self.private = private
        self.public = hashlib.sha256(b"public" + private).digest()
        self.secrets[self.public] = private

    def sign(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, key=self.private, digest_size=64).digest()

    @classmethod
    def verify(cls, public: bytes, signature: bytes, text: bytes) -> bool:
        private = cls.secrets[public]
        return hashlib.blake2b(text, key=private, digest_size=64).digest() == signature


@dataclass
class Bugs:
    """Classes that run in place of ours; the zoo plants its bugs by subclasses."""

    hub: type[Hub] = Hub
    replica: type[Replica] = Replica
    log: type[Log] = Log
    shop: type[Shop] = Shop
    print_before_log: bool = False
    reprint_unknown: bool = False
    forget_at_start: bool = False
    print_older: bool = False
    save_holes: bool = False
    check_always: bool = False
    mirror_first: bool = False
    needs: frozenset[str] = frozenset()
    """Troubles without which it does no harm: seeds that do not plan them are passed over."""
    caught_by: int = 0
    """A seed that is known to catch it, to be tried first."""


class Node:
    """A node's disk, which outlives it, and the core that runs on it now."""

    def __init__(self, world: World, name: str, keys: NodeKeys) -> None:
        self.world, self.name, self.keys = world, name, keys
        self.id = keys.node
        self.skew_ms = 0
        """How wrong its wall clock is."""
        self.booted_ms = 0
        self.newer = False
        """Whether it runs the newer version."""
        self.absent = False
        """Switched off until the end."""
        self.backup: dict[str, bytes] | None = None
        self.restored = False
        self.disk = SimDisk(world.chance, world.error_rate, ROOM_BYTES)
        self.disk.at_sync = world.crash_point
        self.blobs = BlobFolder(SimDisk(world.chance))
        self.found: Found | None = None
        self.core: Any = None
        self.inbox: list[Event] = []
        self.links: dict[int, tuple[str, int]] = {}
        self.kept: Any = None
        self.archive: Any = None
        self.snapshot: list[bytes] = []
        self.public_only = False
        """Whether it may read only what is public and its own."""
        self.second: SimDisk | None = None
        """Of the server, where its log stands a second time."""
        self.mirror: Mirror | None = None
        self.follows = False

    @property
    def up(self) -> bool:
        return self.core is not None


class World:
    """A server, some stations, and everything that happens to them."""

    def __init__(self, seed: int, bugs: Bugs | None = None, stations: int = 3) -> None:
        self.seed, self.bugs = seed, bugs or Bugs()
        self.chance = random.Random(seed)
        pick = self.chance.choice
        self.real_keys = self.chance.random() < 0.05
        self.error_rate = pick([0.0, 0.0, 0.004, 0.02])
        self.crash_rate = pick([0.0, 0.0005, 0.002, 0.006])
        self.loss = pick([0.0, 0.0, 0.05, 0.3])
        self.delay_ms = pick([5, 50, 1500])
        self.end_ms = 40_000
        self.last_ms = self.end_ms + 240_000
        """When it ends, unless all is quiet before."""
        self.calm = False
        self.now_ms = 0
        self.queue: list[tuple[int, int, Any]] = []
        self.order = 0
        self.trace = hashlib.blake2b(digest_size=8)
        self.events = self.crashes = self.links = self.compactions = 0
        self.shown: dict[str, dict[str, Any]] = {}
        self.sold_at: dict[str, int] = {}
        self.sold_by: dict[str, bytes] = {}
        self.forgotten: dict[str, set[tuple[bytes, int]]] = {}
        """Where the bodies stood that were to be erased."""
        self.told: dict[str, list[bytes]] = {}
        """Everything that was sent to a screen."""
        self.gone: set[str] = set()
        """Shown orders that stood on no disk any more once one was put back from an old copy."""
        self.remember: dict[str, list[set[bytes]]] = {}
        """Who remembered that a ticket had gone to the printer, whenever a disk was put back."""
        self.overridden: set[bytes] = set()
        self.outcomes: dict[bytes, Any] = {}
        """What became of ops in lives of the server that were lost."""
        self.once_erased: set[tuple[bytes, int]] = set()
        """Ops whose outcomes cannot be compared any more."""
        self.on_record = 0
        """Up to which entry there is a backup."""
        self.void: set[str] = set()
        self.ends: dict[str, str] = {}
        """Ends of prints that the log does not hold yet; gone with the server's process."""
        self.printed: Counter[str] = Counter()
        self.alarms: Counter[str] = Counter()
        self.names = ["server", *(f"station-{at}" for at in range(stations))]
        self.screens: set[bytes] = set()
        """Nodes that may read only what is public and their own."""
        self.plan = plan_of(seed)
        make: Any = Ed25519Signer if self.real_keys else FakeSigner
        self.make = make
        signers = {name: make(self.chance.randbytes(32)) for name in self.names}
        self.vendor = make(self.chance.randbytes(32))
        self.verify: Any = verify_ed25519 if self.real_keys else FakeSigner.verify
        self.server_key = signers["server"].public
        self.keys = {node_id(s.public): s.public for s in signers.values()}
        self.publics = {**self.keys}
        self.node: dict[str, Node] = {}
        for name, signer in signers.items():
            node = self.node[name] = Node(self, name, self.new_keys(name, signer))
            if name == "station-0" and "screen" in self.plan:
                node.public_only = True
                self.screens.add(node.id)
            if name == "server" and "mirror" in self.plan:
                second = self.node[name].second = SimDisk(self.chance, self.error_rate, ROOM_BYTES)
                second.at_sync = self.crash_point
            self.boot(name)
        for name in self.names:
            self.live(name, 0)
        for _ in range(self.chance.randrange(8)):
            name = pick(self.names[1:])
            self.at(self.chance.randrange(self.end_ms), ("cut", name))
        for _ in range(self.chance.randrange(5)):
            self.at(self.chance.randrange(self.end_ms), ("kill", pick(self.names)))
        for _ in range(self.chance.randrange(4)):
            self.at(self.chance.randrange(self.end_ms), ("stop", pick(self.names)))
        for _ in range(self.chance.randrange(4)):
            self.at(self.chance.randrange(self.end_ms), ("check", "server"))
        for _ in range(self.chance.randrange(5)):
            self.at(self.chance.randrange(self.end_ms), ("price",))
        if "pictures" in self.plan:
            for _ in range(self.chance.randrange(1, 12)):
                self.at(self.chance.randrange(self.end_ms), ("picture", pick(self.names)))
        if "forget" in self.plan:
            for _ in range(self.chance.randrange(1, 8)):
                self.at(self.chance.randrange(self.end_ms), ("contact", pick(self.names[1:])))
            for _ in range(self.chance.randrange(1, 4)):
                self.at(self.chance.randrange(self.end_ms), ("forget",))
        for trouble in sorted(self.plan & TROUBLES.keys()):
            begin = self.chance.randrange(self.end_ms - 10_000)
            name = "server" if trouble == "restore server" else pick(self.names[1:])
            if trouble.startswith("restore"):
                self.at(begin, ("backup", name))
                begin += self.chance.randrange(1, 15_000)
            self.at(begin, (trouble, name))
        self.at(self.end_ms, ("calm",))
        self.at(self.end_ms + 20_000, ("pair",))

    # --- time ----------------------------------------------------------------

    def at(self, at_ms: int, event: Any) -> None:
        self.order += 1
        heapq.heappush(self.queue, (at_ms, self.order, event))

    def later(self, delay_ms: int, event: Any) -> None:
        self.at(self.now_ms + delay_ms, event)

    def now(self, node: Node) -> Now:
        wall_ms = LONG_AGO + self.now_ms + node.skew_ms
        return Now(wall_ms, self.now_ms - node.booted_ms)

    def new_keys(self, name: str, signer: Any) -> NodeKeys:
        return NodeKeys(CAFE, signer, name.encode().ljust(32), self.chance.randbytes(8))

    def live(self, name: str, from_ms: int) -> None:
        """Let a node tick, and a station connect and sell, from then on."""
        self.at(from_ms + 1000, ("tick", name))
        sales = self.chance.randrange(4, 16) if name != "server" else self.chance.randrange(4)
        for _ in range(sales):
            self.at(self.chance.randrange(from_ms, self.end_ms), ("sell", name))
        if name != "server":
            self.at(from_ms + self.chance.randrange(200), ("connect", name))

    def run(self) -> World:
        while self.queue:
            self.now_ms, _, event = heapq.heappop(self.queue)
            self.events += 1
            self.trace.update(f"{self.now_ms} {event[:2]}".encode())
            self.step(event)
        return self

    def step(self, event: Any) -> None:
        match event:
            case ("calm",):
                self.calm = True
                for node in self.node.values():
                    node.disk.error_rate = 0.0
                    if node.second is not None:
                        node.second.error_rate = 0.0
                    if node.absent or "upgrade" in self.plan:
                        node.absent, node.newer = False, "upgrade" in self.plan
                        self.stop(node.name)
            case ("pair",):
                self.pair_again()
            case (trouble, name) if trouble in TROUBLES:
                TROUBLES[trouble](self, self.node[name])
            case ("backup", name):
                self.back_up(self.node[name])
            case ("check", name):
                node = self.node[name]
                safe = "restore server" not in self.plan or node.restored
                if safe or self.bugs.check_always:
                    self.back_up(node)
                else:  # nothing newer may be on record than what it will be put back from
                    self.guarded(name, lambda: self.snap(node))
            case ("boot", name):
                self.boot(name)
            case ("stop", name):
                self.stop(name)
            case ("kill", name):
                if self.node[name].up:
                    self.down(name)
            case ("tick", name):
                if name == "server" and self.is_quiet():
                    self.last_ms = self.now_ms
                if self.now_ms < self.last_ms:
                    self.later(1000, event)
                self.give(name, Tick())
                if name == "server" and self.node[name].up:
                    self.guarded(name, lambda: self.tick_mirror(self.node[name]))
                    self.guarded(name, self.spool)
            case ("connect", name):
                self.connect(name)
            case ("cut", name):
                for number in list(self.node[name].links):
                    self.break_link(number, name)
            case ("sell", name):
                self.sell(name)
            case ("contact", name):
                key = self.chance.randbytes(16)
                body = {"text": f"the private data of {key.hex()}"}
                self.give(name, Act(None, "contact", 1, body, key, None))
            case ("picture", name):
                self.guarded(name, lambda: self.show_picture(self.node[name]))
            case ("forget",):
                self.guarded("server", self.forget)
            case ("price",):
                if self.node["server"].up:
                    body = {"item": "coffee", "amount": self.chance.randrange(1, 500)}
                    self.guarded("server", lambda: self.act("price", body) and None)
            case ("message", number, name, data):
                node = self.node[name]
                if node.up and number in node.links:
                    self.give(name, Received(number, decode(data)))

    # --- nodes ---------------------------------------------------------------

    def boot(self, name: str) -> None:
        node = self.node[name]
        if node.up or node.absent:
            return
        shop = self.bugs.shop(self.keys, {OPERATOR: self.vendor.public})
        shop.newer, shop.screens = node.newer, self.screens
        random_ = self.chance.randbytes
        node.keys = replace(node.keys, boot=self.chance.randbytes(8))
        node.booted_ms = self.now_ms
        try:
            node.found = self.open(name, node, shop, random_)
        except StorageFailed:
            self.later(500, ("boot", name))
            return
        except Crash:
            self.down(name)
            return
        node.core, node.inbox, node.links = node.found.core, [], {}
        node.core.blobs.here = node.blobs.digests()
        node.kept = KeptCopy(node.found.canon)
        node.archive = Archive(node.found.canon)
        node.snapshot = []
        if node.found.snapshot is not None:
            node.snapshot = [node.found.snapshot.frame, *node.found.snapshot.parts]
        if name == "server":
            self.guarded(name, lambda: self.effects(node, node.core.open(self.now(node))))
            if self.bugs.forget_at_start and node.up:
                node.core.view.chains.clear()
                node.core.view.keys.clear()
            self.guarded(name, self.own_up)
        self.give(name, SignIn(OPERATOR, self.vendor, 1 << 62))

    def open(self, name: str, node: Node, shop: Shop, random_: Any) -> Found:
        import sync.recovery as recovery

        recovery.Log, recovery.Hub, recovery.Replica = (  # type: ignore[attr-defined]
            self.bugs.log,
            self.bugs.hub,
            self.bugs.replica,
        )
        try:
            if name == "server":
                mirror = node.mirror = self.open_mirror(node)
                found = open_hub(node.disk, node.keys, shop, self.verify, random_, mirror)
                node.follows = mirror is not None and mirror.head == found.core.head  # type: ignore[union-attr]
                return found
            found = open_replica(
                node.disk,
                node.keys,
                self.server_key,
                shop,
                self.verify,
                random_,
                public_only=node.public_only,
            )
            replica: Any = found.core
            replica.lifted_above = (0, 2, replica.lifted_above)[self.seed % 3]
            assert isinstance(found.core, Replica)
            found.core.worth_a_snapshot = 8
            found.canon.segment_bytes = found.own.segment_bytes = SEGMENT_BYTES
            return found
        finally:
            recovery.Log, recovery.Hub, recovery.Replica = Log, Hub, Replica  # type: ignore[attr-defined]

    def open_mirror(self, node: Node) -> Mirror | None:
        """The second disk is there at every start; it may fail later."""
        if node.second is None:
            return None
        node.second.error_rate, rate = 0.0, node.second.error_rate
        try:
            return Mirror(node.second, CAFE, node.id, self.server_key, self.verify)
        finally:
            node.second.error_rate = rate

    def tick_mirror(self, node: Node) -> None:
        """What the writer does in its thread: open it again, and bring it up."""
        if node.second is None or node.follows or node.core is None:
            return
        try:
            if node.mirror is None:
                node.mirror = self.open_mirror(node)
            assert node.mirror is not None and node.found is not None
            node.mirror.catch_up(node.found.canon, node.core.head, 2_000)
            node.follows = node.mirror.head == node.core.head
        except StorageFailed:
            node.mirror = None

    def down(self, name: str) -> None:
        node = self.node[name]
        if node.second is not None:
            node.second.crash()
            node.follows, node.mirror = False, None
        self.crashes += 1
        for number in list(node.links):
            self.break_link(number, name)
        node.core = None
        if name == "server":
            self.ends.clear()
        node.disk.crash()
        self.later(self.chance.randrange(100, 4000), ("boot", name))

    def is_quiet(self) -> bool:
        """Whether nothing is left to do, some time behind the last trouble."""
        server = self.node["server"].core
        if self.now_ms < self.end_ms + 25_000 or server is None or server.unreported():
            return False
        jobs = server.view.table("jobs").scan()
        if any(row["state"] in ("waiting", "sending") for _, row in jobs):
            return False
        cores = [n.core for n in self.node.values() if n.name != "server"]
        there = all(c and not c.pending and c.canon == server.head for c in cores)
        return there and (self.now_ms > self.end_ms + 120_000 or not self.lack_pictures())

    def lack_pictures(self) -> bool:
        cores = [node.core for node in self.node.values()]
        return any(set(c.domain.blobs(c.view)) - c.blobs.here for c in cores)

    def stop(self, name: str) -> None:
        """A clean stop, and a start: the view file is written."""
        node = self.node[name]
        if node.up and node.found is not None:
            self.guarded(name, lambda: self.close(node))
        if node.up:
            self.down(name)
        elif not node.absent:
            self.later(100, ("boot", name))

    def close(self, node: Node) -> None:
        assert node.found is not None
        if self.bugs.save_holes:
            node.core.view.unfolded.clear()
        if node.kept.sync():
            close(node.found, node.disk)

    def guarded(self, name: str, action: Any) -> None:
        if not self.node[name].up:
            return
        try:
            action()
        except Crash:
            self.down(name)

    def crash_point(self) -> None:
        if not self.calm and self.chance.random() < self.crash_rate:
            raise Crash

    def give(self, name: str, event: Event) -> None:
        """One event, and the round that it makes."""
        node = self.node[name]
        if not node.up:
            return

        def round_() -> None:
            self.effects(node, node.core.step(event, self.now(node)))
            self.effects(node, node.core.step(Flush(), self.now(node)))
            self.take_out(node)

        self.guarded(name, round_)

    def effects(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            self.crash_point()
            match effect:
                case Send(link, message):
                    self.send(node, link, encode(message))
                case Serve(link, after, last, reader, hash_):
                    head = Head(after, hash_)
                    while head.n < last:
                        frames, head = node.archive.run(head, reader, self.bugs.shop.public)
                        self.send(node, link, encode(Entries(frames)))
                    self.effects(node, node.core.step(Served(link, *head), self.now(node)))
                case Commit(frames):
                    self.commit(node, frames)
                case Done(token, result):
                    self.done(token, result)
                case Keep(frames):
                    node.kept.add(frames)
                case SyncKept():
                    if node.kept.sync():
                        self.effects(node, node.core.step(Kept(), self.now(node)))
                case Rewind(head):
                    self.rewind(node, head)
                case Adopt(frame, parts):
                    self.adopt(node, frame, parts)
                case Compact(frame, parts):
                    self.compact(node, frame, parts)
                case ServePart(link, seq, number):
                    ready = node.snapshot if seq == node.core.snapshot else []
                    data = ready[number] if 0 <= number < len(ready) else b""
                    part = SnapshotPart(seq if data else 0, number, data)
                    self.send(node, link, encode(part))
                case GiveBlob(link, digest):
                    self.send(node, link, encode(Blob(digest, node.blobs.get(digest) or b"")))
                case KeepBlob(_, data):
                    self.keep_blob(node, data)
                case SetAside():
                    pass
                case Drop(link, _):
                    self.break_link(link, node.name)
                case Alarm(code, _):
                    self.alarms[code] += 1

    def keep_blob(self, node: Node, data: bytes) -> bytes | None:
        try:
            digest = node.blobs.add(data)
        except StorageFailed:
            return None
        self.effects(node, node.core.step(BlobKept(digest), self.now(node)))
        return digest

    def commit(self, node: Node, frames: list[bytes]) -> None:
        assert node.found is not None
        if self.bugs.mirror_first:
            self.mirrored(node, frames)
        try:
            if frames:
                (node.found.own or node.found.canon).commit(frames)
                if node.name == "server":
                    node.archive.add(node.core.head.n + 1, frames)
                    if not self.bugs.mirror_first:
                        self.mirrored(node, frames)
        except StorageFailed as error:
            self.effects(node, node.core.step(CommitFailed(error), self.now(node)))
            return
        self.crash_point()
        self.effects(node, node.core.step(Committed(), self.now(node)))

    def take_out(self, node: Node) -> None:
        """What the driver does behind each commit: bodies that are to be erased go."""
        if not node.core.view.to_erase:
            return
        assert node.found is not None
        try:
            if node.kept.sync():
                take_out(node.found)
        except StorageFailed:
            return
        if node.name == "server" and not node.core.snapshot:
            node.snapshot = []
        node.archive = Archive(node.found.canon)

    def mirrored(self, node: Node, frames: list[bytes]) -> None:
        if frames and node.follows and node.mirror is not None:
            self.crash_point()
            try:
                node.mirror.commit(frames)
            except StorageFailed:
                node.follows, node.mirror = False, None

    def snap(self, node: Node) -> None:
        """The server makes a snapshot, from which whoever is behind begins."""
        core = node.core
        if core is None or core.view.unfolded or not core.view.epochs:
            return
        parts = list(parts_of(core.view))
        chain = core.view.epochs[-1].chain
        frame = header_frame(parts, core.head, CAFE, chain, node.keys.signer)
        node.snapshot = [frame, *(part.data for part in parts)]
        node.disk.replace(SNAPSHOT_FILE, file_of(frame, node.snapshot[1:]))
        core.snapshot = core.head.n

    def adopt(self, node: Node, frame: bytes, parts: list[bytes]) -> None:
        assert node.found is not None
        seq = read_header(frame, CAFE, self.server_key, self.verify).seq
        assert seq <= self.on_record, "a station begins from what nobody else has"
        try:
            adopted = adopt(node.found, frame, parts)
        except StorageFailed:
            for number in list(node.links):
                self.break_link(number, node.name)
            return
        node.kept.forget()
        node.archive = Archive(node.found.canon)
        self.effects(node, node.core.step(adopted, self.now(node)))

    def compact(self, node: Node, frame: bytes, parts: list[bytes]) -> None:
        assert node.found is not None
        try:
            compacted = compact(node.found, frame, parts)
        except StorageFailed:
            return
        self.compactions += 1
        node.archive = Archive(node.found.canon)
        self.effects(node, node.core.step(compacted, self.now(node)))

    def rewind(self, node: Node, head: Any) -> None:
        assert node.found is not None
        try:
            rewound = rewind(node.found, head)
        except StorageFailed:
            return
        node.kept.forget()
        node.archive = Archive(node.found.canon)
        self.effects(node, node.core.step(rewound, self.now(node)))

    # --- the network ---------------------------------------------------------

    def connect(self, name: str) -> None:
        """Try to open a link now, and again whenever there is none."""
        if self.now_ms > self.last_ms:
            return
        self.later(self.chance.randrange(300, 3000), ("connect", name))
        node, server = self.node[name], self.node["server"]
        if node.links or not node.up or not server.up:
            return
        if server.core.domain.node_key(server.core.view, node.id) is None:
            return  # its certificate is not known there
        self.links += 1
        number = self.links
        node.links[number] = ("server", number)
        server.links[number] = (name, number)
        self.give("server", Opened(number, node.keys.node, node.keys.certificate))
        self.give(name, Opened(number, server.keys.node, server.keys.certificate))

    def break_link(self, number: int, name: str) -> None:
        ends = [n for n in self.names if number in self.node[n].links]
        for end in ends:
            self.node[end].links.pop(number, None)
            self.later(1, ("closed", end, number))
        for end in ends:
            node = self.node[end]
            if node.up:
                self.effects_quietly(node, Closed(number))

    def effects_quietly(self, node: Node, event: Event) -> None:
        for effect in node.core.step(event, self.now(node)):
            if isinstance(effect, Done):
                self.done(effect.token, effect.result)

    def send(self, node: Node, number: int, data: bytes) -> None:
        if number not in node.links:
            return
        to, _ = node.links[number]
        if self.node[to].public_only:
            self.told.setdefault(to, []).append(data)
        copies = 1
        delay = 1 + int(self.chance.expovariate(1 / self.delay_ms))
        if not self.calm and self.loss:
            if self.chance.random() < self.loss:
                copies = self.chance.choice([0, 2])
        else:  # in order, as TCP does it
            key = f"last-{number}-{to}"
            delay = max(delay, getattr(self, key, 0) + 1 - self.now_ms)
            setattr(self, key, self.now_ms + delay)
        for _ in range(copies):
            self.later(delay, ("message", number, to, data))

    # --- what people do ------------------------------------------------------

    def sell(self, name: str) -> None:
        key = self.chance.randbytes(16)
        card = f"card-{self.chance.randrange(12)}" if self.chance.random() < 0.3 else ""
        body = {"amount": self.chance.randrange(1, 500), "card": card}
        if self.chance.random() < 0.05:
            body["bad"] = True
        self.sold_at[key.hex()] = self.now_ms
        self.sold_by[key.hex()] = self.node[name].id
        self.give(name, Act((key.hex(), body), "sell", 1, body, key, OPERATOR))

    def done(self, token: Any, result: Receipt | SyncError) -> None:
        if token is None:
            return
        key, body = token
        if isinstance(result, Receipt):
            self.shown[key] = body
        elif isinstance(result, StorageFailed):
            self.void.add(key)

    def spool(self) -> None:
        """The server's printer: one waiting job a second, each step in the log before the next."""
        node = self.node["server"]
        view = node.core.view
        for job, state in list(self.ends.items()):  # what the disk would not take is tried again
            self.act("print.end", {"job": job, "state": state})
        waiting = [i for i, row in view.table("jobs").scan() if row["state"] == "waiting"]
        if not self.bugs.print_older:
            older = {job for job in waiting if self.sold_at[job] < node.booted_ms}
            lost = {job for job in older if LONG_AGO + self.sold_at[job] < view.restored_ms}
            for job in lost:  # they may have been printed in the life that was lost
                self.act("print.end", {"job": job, "state": "unknown"})
            if node.core.restored or node.core.unreported() - self.overridden:
                waiting = [job for job in waiting if job not in older]
        for job in waiting[:4]:
            if self.bugs.print_before_log:
                self.print(job)
                self.crash_point()
            if not self.act("print.start", {"job": job, "state": "sending"}):
                return
            if not self.bugs.print_before_log:
                self.crash_point()
                self.print(job)
            self.crash_point()
            self.act("print.end", {"job": job, "state": "printed"})

    def show_picture(self, node: Node) -> None:
        """Somebody gives a product a picture: the blob is on disk before an op names it."""
        if node.up and (digest := self.keep_blob(node, self.chance.randbytes(40))) is not None:
            act = Act(None, "picture", 1, {"digest": digest.hex()}, self.chance.randbytes(16))
            self.give(node.name, act)

    def forget(self) -> None:
        """Somebody wants to be forgotten: their row goes, and then the bodies that it was made of."""
        node = self.node["server"]
        if not node.up:
            return
        rows = sorted(row_id for row_id, _ in node.core.view.table("contacts").scan())
        if not rows:
            return
        row_id = self.chance.choice(rows)
        if not self.act("forget", {"id": row_id}):
            return
        key = bytes.fromhex(row_id)
        assert node.found is not None
        found = find_bodies(node.found.canon, {key: node.core.view.keys[key]})
        self.forgotten[row_id] = {(chain, n) for _, bodies in found for _, chain, n in bodies}
        self.give("server", Erase(None, found))

    def act(self, kind: str, body: dict[str, Any]) -> bool:
        node = self.node["server"]
        before = node.core.head.n
        if kind == "print.end":
            self.ends[body["job"]] = body["state"]
        act = Act(None, kind, 1, body, self.chance.randbytes(16))
        self.effects(node, node.core.step(act, self.now(node)))
        self.effects(node, node.core.step(Flush(), self.now(node)))
        durable = bool(node.core.head.n > before)
        if durable and kind == "print.end":
            self.ends.pop(body["job"], None)
        return durable

    def print(self, job: str) -> None:
        self.printed[job] += 1

    def own_up(self) -> None:
        """Jobs that were being sent at a crash are unknown: a person decides."""
        view = self.node["server"].core.view
        state = "waiting" if self.bugs.reprint_unknown else "unknown"
        for job, row in list(view.table("jobs").scan()):
            if row["state"] == "sending":
                self.act("print.end", {"job": job, "state": state})

    # --- what happens to disks and people ------------------------------------

    def back_up(self, node: Node) -> None:
        """Copy a node's disk; the server puts it on record, and stations need not keep what it has."""
        if node.name == "server":
            self.guarded(node.name, lambda: self.snap(node))
        if not self.bugs.check_always or node.backup is None:
            node.backup = dict(node.disk.durable)
        if node.name == "server" and node.up and (head := self.snapped(node)) is not None:
            self.on_record = max(self.on_record, head.n)
            self.give(node.name, Checked(head, "backup"))

    def snapped(self, node: Node) -> Head | None:
        if not node.snapshot:
            return None
        return read_header(node.snapshot[0], CAFE, self.server_key, self.verify).head

    def put_back(self, node: Node) -> None:
        """The node's disk is replaced by an old copy of it; nobody tells the node."""
        if node.backup is None:
            return
        left_behind = node.second is not None and not node.follows
        if node.up:
            self.down(node.name)
        if node.name == "server":
            self.remember_outcomes(node)
        node.restored = True
        node.disk.durable = dict(node.backup)
        node.disk.buffered = dict.fromkeys(node.backup, b"")
        everywhere = self.on_disks(list(self.node.values()))
        self.gone |= {key for key in self.shown if bytes.fromhex(key) not in everywhere}
        ids = Counter(n.id for n in self.node.values())
        # The server waits for each key once: of two that use the same one, the other may be ahead.
        asked = [n for n in self.node.values() if not n.absent and ids[n.id] == 1]
        present = {n.id: self.on_disks([n]) for n in asked if not n.public_only}
        if node.name == "server" and node.second is not None:
            present[b"mirror"] = self.frames_in(Log(node.second, "canon", CAFE, node.id))
        for job in self.printed:
            start = pack({"job": job, "state": "sending"})
            knows = {i for i in present if start in present[i]}
            # A mirror that was left behind, beside an even older disk, looks as if it had it all.
            self.remember.setdefault(job, []).append(set() if left_behind else knows)

    def remember_outcomes(self, server: Node) -> None:
        log = Log(server.disk, "canon", CAFE, server.id)
        for _, commit in log.commits():
            for frame in commit.frames:
                if frame[1] == ENTRY:
                    entry = read_entry(frame)
                    self.outcomes[entry.op_raw] = (entry.accepted, entry.outcome, entry.at_ms)
                if frame[1] == ERASED:
                    stays = read_erased(frame)
                    self.once_erased.add((stays.chain, stays.n))

    @staticmethod
    def on_disks(nodes: list[Node]) -> bytes:
        """What counts on these disks: whole commits, none of a write that failed."""
        found = []
        for node in nodes:
            for kind in ("canon", "own"):
                live = node.found and getattr(node.found, kind) if node.up else None
                found.append(World.frames_in(Log(node.disk, kind, CAFE, node.id), live))
            if node.second is not None:
                found.append(World.frames_in(Log(node.second, "canon", CAFE, node.id)))
        return b"".join(found)

    @staticmethod
    def frames_in(log: Log, live: Log | None = None) -> bytes:
        found: list[bytes] = []
        with contextlib.suppress(Damaged):  # the end of a write that failed
            for number, commit in log.commits():
                if live and live._void and Position(number, commit.end) > live._void:
                    break
                found += commit.frames
        return b"".join(found)

    def copy_folder(self, node: Node) -> None:
        """The folder is copied to a second machine, and both are used."""
        twin = self.twin(node)
        twin.disk.durable = dict(node.disk.durable)
        twin.disk.buffered = dict.fromkeys(twin.disk.durable, b"")
        self.boot(twin.name)
        self.live(twin.name, self.now_ms)

    def copy_process(self, node: Node) -> None:
        """A virtual machine is copied while it runs: both go on in the same chain."""
        if not node.up:
            return
        twin = self.twin(node)
        shared = [self, self.chance, node.keys, self.vendor]
        memo = {id(thing): thing for thing in shared}
        memo[id(node.disk)] = twin.disk
        twin.disk.durable, twin.disk.buffered = dict(node.disk.durable), dict(node.disk.buffered)
        twin.disk.room = dict(node.disk.room)
        twin.found, twin.kept = copy.deepcopy((node.found, node.kept), memo)
        assert twin.found is not None
        twin.core, twin.archive = twin.found.core, Archive(twin.found.canon)
        twin.booted_ms = node.booted_ms
        for number in list(node.links):
            twin.core.step(Closed(number), self.now(twin))
        self.live(twin.name, self.now_ms)

    def twin(self, node: Node) -> Node:
        name = f"{node.name}-twin-{len(self.names)}"
        self.names.append(name)
        twin = self.node[name] = Node(self, name, replace(node.keys))
        twin.public_only = node.public_only
        for digest in node.blobs.digests():
            twin.blobs.add(node.blobs.get(digest) or b"?")
        twin.newer, twin.disk.error_rate = node.newer, node.disk.error_rate
        return twin

    def jump(self, node: Node) -> None:
        """Its wall clock is wrong from now on: 1970, ten years ahead, or a little."""
        node.skew_ms = self.chance.choice([-LONG_AGO, 315_360_000_000, -30_000, 90_000])

    def enrol(self, node: Node) -> None:
        """A new station comes into the café."""
        name = "station-new"
        signer = self.make(self.chance.randbytes(32))
        new = Node(self, name, self.new_keys(name, signer))
        self.publics[new.id] = signer.public
        self.names.append(name)
        self.node[name] = new
        self.desk("enrol", new)
        self.boot(name)
        self.live(name, self.now_ms)

    def desk(self, kind: str, node: Node) -> None:
        if self.node["server"].up:
            body = {"node": node.id, "key": node.keys.signer.public}
            self.guarded("server", lambda: self.act(kind, body) and None)

    def pair_again(self) -> None:
        """Who is not known at the server any more was enrolled since the copy it was put back from."""
        core = self.node["server"].core
        for node in list(self.node.values()):
            if core is not None and core.domain.node_key(core.view, node.id) is None:
                self.desk("enrol", node)

    def upgrade(self, node: Node) -> None:
        """The server and this station run the newer version, the others do not yet."""
        for one in (self.node["server"], node):
            one.newer = True
            self.stop(one.name)

    def switch_off(self, node: Node) -> None:
        """It is away until the end; after a while a person says not to wait for it."""
        node.absent = True
        if node.up:
            self.down(node.name)
        self.overridden.add(node.id)

    # --- what must be true ---------------------------------------------------

    def check(self) -> None:
        """All invariants, recomputed from the canonical log by a few lines that share nothing with the core."""
        server = self.node["server"]
        assert server.up, "the server is not up again"
        seen: Counter[str] = Counter()
        refused: set[str] = set()
        money = stock = 0
        cards: Counter[str] = Counter()
        granted: set[tuple[bytes, int]] = set()
        revoked: set[bytes] = set()
        known: set[bytes] = set()
        """Ops that stand in the log."""
        runs: dict[bytes, tuple[int, bytes]] = {}
        erased: set[tuple[bytes, int]] = set()
        expected = 1
        assert server.found is not None
        for _, commit in server.found.canon.commits():
            for frame in commit.frames:
                value = decode_frame(frame)
                if frame[1] == RUN_SEAL:
                    seal = decode_seal(value)
                    assert runs[seal.chain] == (seal.n, seal.hash), "a seal that fits no run"
                    public = self.publics[seal.chain[:16]]
                    text = seal_text(CAFE, seal.chain, seal.n, seal.hash)
                    assert self.verify(public, seal.signature, text), "accepted without signature"
                if frame[1] not in ENTRIES:
                    continue
                entry = read_entry(frame)
                assert entry.seq == expected, "a gap in the canonical log"
                expected += 1
                if frame[1] == ERASED:
                    stays = read_erased(frame)
                    n, head = runs.get(stays.chain, (0, bytes(32)))
                    assert stays.n == n + 1, "a gap or a repeat in a chain"
                    runs[stays.chain] = (
                        stays.n,
                        hashlib.sha256(head + stays.op_digest).digest(),
                    )
                    continue
                op = decode_op(entry.op_raw)
                assert entry.op_raw not in known, "an op stands there twice"
                known.add(entry.op_raw)
                if "recovered" in entry.note and entry.outcome[:1] != ["already-done"]:
                    told = (entry.accepted, entry.outcome, entry.at_ms)
                    if (op.chain, op.n) not in self.once_erased:
                        assert self.outcomes[entry.op_raw] == told, "an outcome was changed"
                n, head = runs.get(op.chain, (0, bytes(32)))
                assert op.n == n + 1, "a gap or a repeat in a chain"
                digest = hashlib.sha256(entry.op_raw).digest()
                runs[op.chain] = (op.n, hashlib.sha256(head + digest).digest())
                if op.kind == "grant.open" and entry.accepted:
                    granted.add((op.chain, op.n))
                if op.kind == "canon.erased":
                    erased |= {(c, m) for _, found in op.body["keys"] for _, c, m in found}
                if op.kind in ("enrol", "revoke"):
                    (revoked.discard if op.kind == "enrol" else revoked.add)(op.body["node"])
                again = op.kind == "op.again"
                outer, op = op, decode_op(op.body["op"]) if again else op
                if again and op.grant:
                    grant = decode_op(outer.body["grant"])
                    until, signature = grant.body["until"], grant.body["signature"]
                    text = grant_text(CAFE, OPERATOR, op.chain, op.grant, until)
                    assert grant.n == op.grant
                    assert self.verify(self.vendor.public, signature, text), "under no grant"
                if op.kind != "sell":
                    continue
                if not entry.accepted:
                    refused.add(op.key.hex())
                    continue
                assert again or (op.chain, op.grant) in granted, "accepted without a grant"
                assert op.node not in revoked or entry.note, "accepted from a revoked station"
                seen[op.key.hex()] += 1
                money += op.body["amount"]
                stock += 1
                if op.body["card"]:
                    cards[op.body["card"]] += 1
        assert not self.alarms["bare-body"], "a body was suspected to be kept back"
        # A revoked copy of a process hears nothing, so it cannot know that its chain has forked.
        deaf = [
            n
            for n in self.node.values()
            if n.up and n.id in revoked and "copy process" in self.plan
        ]
        held = {w.op.key.hex() for n in deaf for w in n.core.pending if n.name != "server"}
        for key in self.shown:
            there = seen[key] or int(key in refused)
            lost = (key in self.gone or key in held) and not there
            assert lost or there == 1, f"shown order {key} is there {there} times"
        for key, times in seen.items():
            assert times == 1, f"key {key} has {times} effects"
            assert key not in self.void, f"void op {key} took effect"
        view = server.core.view
        for card, times in cards.items():
            conflicts = view.table("conflicts").row(card) or {"times": 0}
            assert times - conflicts["times"] == 1, "a card was sold twice"
        till = view.table("sums").row("till") or {"money": 0, "stock": STOCK}
        assert till == {"money": money, "stock": STOCK - stock}, "till or stock is wrong"
        jobs = dict(view.table("jobs").scan())
        for key in seen:
            state = jobs[key]["state"]
            assert state in ("printed", "unknown"), f"ticket {key} is {state}"
            # Whom nobody trusts any more nobody waits for, nor for whom a person has said so.
            away = revoked | self.overridden
            unknowable = any(not (who - away) for who in self.remember.get(key, []))
            times = self.printed[key] - unknowable
            assert times <= 1, f"ticket {key} was printed {times} times"
            assert times == 1 or state == "unknown" or unknowable, f"ticket {key}: {times}"
        digest = view.digest()
        for name in self.names[1:]:
            node = self.node[name]
            assert node.up, f"{name} is not up again"
            if server.core.domain.is_revoked(view, node.id):
                continue
            assert not node.core.pending, f"{name} still waits for {len(node.core.pending)} ops"
            assert node.core.view.cursor == view.cursor, f"{name} is behind"
            if node.public_only:
                self.check_screen(node, view)
            else:
                assert node.core.view.digest() == digest, f"{name} has another digest"
        assert not server.core.unreported(), "a station has not reported"
        self.check_forgotten(erased, revoked)
        self.check_pictures(revoked)
        shop = Shop(self.keys, {OPERATOR: self.vendor.public})
        shop.newer, shop.screens = server.newer, self.screens
        cold = open_hub(server.disk, server.keys, shop, self.verify, self.chance.randbytes)
        assert cold.core.view.digest() == digest, "a cold rebuild has another digest"
        save_view(server.disk, view, server.core.head, server.found.canon)
        warm = open_hub(server.disk, server.keys, shop, self.verify, self.chance.randbytes)
        assert warm.rebuilt == 0
        assert warm.core.view.digest() == digest, "the view file has another digest"

    def check_pictures(self, revoked: set[bytes]) -> None:
        """What rows name is with everybody who has such a row, if anybody has it."""
        trusted = [node for node in self.node.values() if node.id not in revoked]
        here = {node.name: node.blobs.digests() for node in trusted}
        for node in trusted:
            named = set(node.core.domain.blobs(node.core.view))
            lacking = named & set().union(*here.values()) - here[node.name]
            assert not lacking, f"{node.name} lacks {len(lacking)} pictures"

    def check_forgotten(self, erased: set[tuple[bytes, int]], revoked: set[bytes]) -> None:
        """What is erased stands in no log any more, of whoever is trusted."""
        told = [n for n in self.node.values() if n.id not in revoked]
        logs = [(f"{node.name}'s {name}", data) for node in told for name, data in files_of(node)]
        for row_id, places in self.forgotten.items():
            if places <= erased:
                text = f"the private data of {row_id}".encode()
                where = [name for name, data in logs if text in data]
                assert not where, f"erased, and still there: {where}"

    def check_screen(self, node: Node, view: View) -> None:
        """Who may not read everything has what is public and its own, and not a byte of the rest."""
        prices = dict(view.table("prices").scan())
        assert dict(node.core.view.table("prices").scan()) == prices, "a screen lacks a price"
        disk = node.disk
        files = [*disk.durable.values(), *disk.buffered.values(), *self.told.get(node.name, [])]
        seen = b"".join(files)
        for key, seller in self.sold_by.items():
            mine = seller == node.id
            assert mine or bytes.fromhex(key) not in seen, "a screen was told what others sold"
            assert mine or key.encode() not in seen, "a screen was told of a sale"


def files_of(node: Node) -> list[tuple[str, bytes]]:
    """(name, bytes) of the logs of a node and its mirror; what was set aside does not count."""
    disks = [node.disk, *([node.second] if node.second is not None else [])]
    return [
        (name, disk.read(name))
        for disk in disks
        for name in disk.names()
        if name.startswith(("canon-", "own-", "view"))
    ]


TROUBLES: dict[str, Any] = {
    "restore server": World.put_back,
    "restore station": World.put_back,
    "copy folder": World.copy_folder,
    "copy process": World.copy_process,
    "clock": World.jump,
    "enrol": World.enrol,
    "revoke": lambda world, node: world.desk("revoke", node),
    "upgrade": World.upgrade,
    "switch off": World.switch_off,
}
"""What a seed may plan, each with one chance in five."""


def plan_of(seed: int) -> frozenset[str]:
    """What will happen in the world of this seed."""
    chance = random.Random(f"plan {seed}")
    plan = {trouble for trouble in TROUBLES if chance.random() < 0.2}
    if chance.random() < 0.2:
        plan |= chance.choice([{"mirror"}, {"mirror", "restore server"}])
    if chance.random() < 0.2:
        plan.add("screen")
    if chance.random() < 0.2:
        plan.add("forget")
    if chance.random() < 0.2:
        plan.add("pictures")
    return frozenset(plan)


def simulate(seed: int, bugs: Bugs | None = None) -> World:
    """Run one seed and check it; `AssertionError` names what went wrong."""
    world = World(seed, bugs).run()
    world.check()
    return world


__all__ = ["Bugs", "Refused", "World", "simulate"]
