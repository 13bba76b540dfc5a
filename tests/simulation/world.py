"""One simulated café: the real cores and the real logs on a virtual clock, faulty disks and links.

One seed decides everything; one trace hash comes out. A `Crash` may strike at every effect.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

from sync.archive import Archive
from sync.errors import Refused, StorageFailed, SyncError
from sync.frames import ENTRY, RUN_SEAL, decode_entry, decode_frame, decode_seal
from sync.hub import Hub
from sync.identity import Ed25519Signer, node_id, seal_text, verify_ed25519
from sync.log import Log
from sync.messages import Entries, decode, encode
from sync.op import decode_op
from sync.protocol import (
    Act,
    Alarm,
    Closed,
    Commit,
    CommitFailed,
    Committed,
    Done,
    Drop,
    Effect,
    Event,
    Flush,
    Keep,
    Kept,
    NodeKeys,
    Now,
    Opened,
    Receipt,
    Received,
    Send,
    Serve,
    Served,
    SignIn,
    SyncKept,
    Tick,
)
from sync.recovery import Opened as Found
from sync.recovery import open_hub, open_replica, save_view
from sync.replica import Replica
from tests.simulation.shop import STOCK, Shop
from tests.support.disks import SimDisk

CAFE = b"simulated-cafe!!"
OPERATOR = b"the-only-vendor!"
LONG_AGO = 10**12


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


class Node:
    """A node's disk, which outlives it, and the core that runs on it now."""

    def __init__(self, world: World, name: str, keys: NodeKeys) -> None:
        self.world, self.name, self.keys = world, name, keys
        self.disk = SimDisk(world.chance, world.error_rate)
        self.disk.at_sync = world.crash_point
        self.found: Found | None = None
        self.core: Any = None
        self.inbox: list[Event] = []
        self.links: dict[int, tuple[str, int]] = {}
        self.unkept: list[list[bytes]] = []
        self.boots = 0

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
        self.calm = False
        self.now_ms = 0
        self.queue: list[tuple[int, int, Any]] = []
        self.order = 0
        self.trace = hashlib.blake2b(digest_size=8)
        self.events = self.crashes = self.links = 0
        self.shown: dict[str, dict[str, Any]] = {}
        self.void: set[str] = set()
        self.ends: dict[str, str] = {}
        """Ends of prints that the log does not hold yet; gone with the server's process."""
        self.printed: Counter[str] = Counter()
        self.alarms: Counter[str] = Counter()
        self.names = ["server", *(f"station-{at}" for at in range(stations))]
        make: Any = Ed25519Signer if self.real_keys else FakeSigner
        signers = {name: make(self.chance.randbytes(32)) for name in self.names}
        self.vendor = make(self.chance.randbytes(32))
        self.verify: Any = verify_ed25519 if self.real_keys else FakeSigner.verify
        self.server_key = signers["server"].public
        self.keys = {node_id(s.public): s.public for s in signers.values()}
        self.node = {
            name: Node(self, name, NodeKeys(CAFE, signer, name.encode().ljust(32), b"boot-id!"))
            for name, signer in signers.items()
        }
        for name in self.names:
            self.boot(name)
            self.at(1000, ("tick", name))
        for name in self.names[1:]:
            for _ in range(self.chance.randrange(4, 16)):
                self.at(self.chance.randrange(self.end_ms), ("sell", name))
            self.at(self.chance.randrange(200), ("connect", name))
        for _ in range(self.chance.randrange(8)):
            name = pick(self.names[1:])
            self.at(self.chance.randrange(self.end_ms), ("cut", name))
        for _ in range(self.chance.randrange(5)):
            self.at(self.chance.randrange(self.end_ms), ("kill", pick(self.names)))
        self.at(self.end_ms, ("calm",))

    # --- time ----------------------------------------------------------------

    def at(self, at_ms: int, event: Any) -> None:
        self.order += 1
        heapq.heappush(self.queue, (at_ms, self.order, event))

    def later(self, delay_ms: int, event: Any) -> None:
        self.at(self.now_ms + delay_ms, event)

    def now(self) -> Now:
        return Now(LONG_AGO + self.now_ms, self.now_ms)

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
            case ("boot", name):
                self.boot(name)
            case ("kill", name):
                if self.node[name].up:
                    self.down(name)
            case ("tick", name):
                if self.now_ms < self.end_ms + 60_000:
                    self.later(1000, event)
                self.give(name, Tick())
                if name == "server" and self.node[name].up:
                    self.guarded(name, self.spool)
            case ("connect", name):
                self.connect(name)
            case ("cut", name):
                for number in list(self.node[name].links):
                    self.break_link(number, name)
            case ("sell", name):
                self.sell(name)
            case ("message", number, name, data):
                node = self.node[name]
                if node.up and number in node.links:
                    self.give(name, Received(number, decode(data)))

    # --- nodes ---------------------------------------------------------------

    def boot(self, name: str) -> None:
        node = self.node[name]
        shop = self.bugs.shop(self.keys, {OPERATOR: self.vendor.public})
        random_ = self.chance.randbytes
        try:
            node.found = self.open(name, node, shop, random_)
        except StorageFailed:
            self.later(500, ("boot", name))
            return
        except Crash:
            self.down(name)
            return
        node.core, node.inbox, node.links, node.unkept = node.found.core, [], {}, []
        node.boots += 1
        if name == "server":
            node.archive = Archive(node.found.canon)  # type: ignore[attr-defined]
            self.guarded(name, lambda: self.effects(node, node.core.open(self.now())))
            if self.bugs.forget_at_start and node.up:
                node.core.view.chains.clear()
                node.core.view.keys.clear()
            self.guarded(name, self.own_up)
        else:
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
                return open_hub(node.disk, node.keys, shop, self.verify, random_)
            return open_replica(node.disk, node.keys, self.server_key, shop, self.verify, random_)
        finally:
            recovery.Log, recovery.Hub, recovery.Replica = Log, Hub, Replica  # type: ignore[attr-defined]

    def down(self, name: str) -> None:
        node = self.node[name]
        self.crashes += 1
        for number in list(node.links):
            self.break_link(number, name)
        node.core = None
        if name == "server":
            self.ends.clear()
        node.disk.crash()
        self.later(self.chance.randrange(100, 4000), ("boot", name))

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
            self.effects(node, node.core.step(event, self.now()))
            self.effects(node, node.core.step(Flush(), self.now()))

        self.guarded(name, round_)

    def effects(self, node: Node, effects: list[Effect]) -> None:
        for effect in effects:
            self.crash_point()
            match effect:
                case Send(link, message):
                    self.send(node, link, encode(message))
                case Serve(link, after, last):
                    while after < last:
                        frames, after = node.archive.after(after)  # type: ignore[attr-defined]
                        assert frames, "the log holds less than its head says"
                        self.send(node, link, encode(Entries(frames)))
                    self.effects(node, node.core.step(Served(link, after), self.now()))
                case Commit(frames):
                    self.commit(node, frames)
                case Done(token, result):
                    self.done(token, result)
                case Keep(frames):
                    node.unkept.append(frames)
                case SyncKept():
                    if self.keep(node):
                        self.effects(node, node.core.step(Kept(), self.now()))
                case Drop(link, _):
                    self.break_link(link, node.name)
                case Alarm(code, _):
                    self.alarms[code] += 1

    def commit(self, node: Node, frames: list[bytes]) -> None:
        assert node.found is not None
        try:
            if frames:
                (node.found.own or node.found.canon).commit(frames)
                if node.name == "server":
                    node.archive.add(node.core.head.n + 1, frames)  # type: ignore[attr-defined]
        except StorageFailed as error:
            self.effects(node, node.core.step(CommitFailed(error), self.now()))
            return
        self.crash_point()
        self.effects(node, node.core.step(Committed(), self.now()))

    def keep(self, node: Node) -> bool:
        assert node.found is not None
        try:
            for frames in node.unkept:
                node.found.canon.commit(frames, sync=False)
            node.found.canon.sync()
        except StorageFailed:
            return False
        node.unkept.clear()
        return True

    # --- the network ---------------------------------------------------------

    def connect(self, name: str) -> None:
        """Try to open a link now, and again whenever there is none."""
        if self.now_ms > self.end_ms + 60_000:
            return
        self.later(self.chance.randrange(300, 3000), ("connect", name))
        node, server = self.node[name], self.node["server"]
        if node.links or not node.up or not server.up:
            return
        self.links += 1
        number = self.links
        node.links[number] = ("server", number)
        server.links[number] = (name, number)
        self.give("server", Opened(number, node.keys.node, node.keys.certificate))
        self.give(name, Opened(number, server.keys.node, server.keys.certificate))

    def break_link(self, number: int, name: str) -> None:
        ends = [n for n in self.names if number in self.node[n].links]
        for end in ends:
            del self.node[end].links[number]
            self.later(1, ("closed", end, number))
        for end in ends:
            node = self.node[end]
            if node.up:
                self.effects_quietly(node, Closed(number))

    def effects_quietly(self, node: Node, event: Event) -> None:
        for effect in node.core.step(event, self.now()):
            if isinstance(effect, Done):
                self.done(effect.token, effect.result)

    def send(self, node: Node, number: int, data: bytes) -> None:
        if number not in node.links:
            return
        to, _ = node.links[number]
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

    def act(self, kind: str, body: dict[str, Any]) -> bool:
        node = self.node["server"]
        before = node.core.head.n
        if kind == "print.end":
            self.ends[body["job"]] = body["state"]
        act = Act(None, kind, 1, body, self.chance.randbytes(16))
        self.effects(node, node.core.step(act, self.now()))
        self.effects(node, node.core.step(Flush(), self.now()))
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
        runs: dict[bytes, tuple[int, bytes]] = {}
        expected = 1
        assert server.found is not None
        for _, commit in server.found.canon.commits():
            for frame in commit.frames:
                value = decode_frame(frame)
                if frame[1] == RUN_SEAL:
                    seal = decode_seal(value)
                    assert runs[seal.chain] == (seal.n, seal.hash), "a seal that fits no run"
                    public = self.keys[seal.chain[:16]]
                    text = seal_text(CAFE, seal.chain, seal.n, seal.hash)
                    assert self.verify(public, seal.signature, text), "accepted without signature"
                if frame[1] != ENTRY:
                    continue
                entry = decode_entry(value)
                assert entry.seq == expected, "a gap in the canonical log"
                expected += 1
                op = decode_op(entry.op_raw)
                n, head = runs.get(op.chain, (0, bytes(32)))
                assert op.n == n + 1, "a gap or a repeat in a chain"
                digest = hashlib.sha256(entry.op_raw).digest()
                runs[op.chain] = (op.n, hashlib.sha256(head + digest).digest())
                if op.kind == "grant.open" and entry.accepted:
                    granted.add((op.chain, op.n))
                if op.kind != "sell":
                    continue
                if not entry.accepted:
                    refused.add(op.key.hex())
                    continue
                assert (op.chain, op.grant) in granted, "accepted without a grant"
                seen[op.key.hex()] += 1
                money += op.body["amount"]
                stock += 1
                if op.body["card"]:
                    cards[op.body["card"]] += 1
        for key in self.shown:
            assert seen[key] + (key in refused) == 1, (
                f"shown order {key} is there {seen[key]} times"
            )
        for key, times in seen.items():
            assert times == 1, f"key {key} has {times} effects"
            assert key not in self.void, f"void op {key} took effect"
        assert all(times == 1 for times in cards.values()), "a card was sold twice"
        view = server.core.view
        till = view.table("sums").row("till") or {"money": 0, "stock": STOCK}
        assert till == {"money": money, "stock": STOCK - stock}, "till or stock is wrong"
        jobs = dict(view.table("jobs").scan())
        for key in seen:
            state = jobs[key]["state"]
            assert state in ("printed", "unknown"), f"ticket {key} is {state}"
            assert self.printed[key] <= 1, f"ticket {key} was printed {self.printed[key]} times"
            assert self.printed[key] == 1 or state == "unknown", f"ticket {key} was never printed"
        digest = view.digest()
        for name in self.names[1:]:
            node = self.node[name]
            assert node.up, f"{name} is not up again"
            assert not node.core.pending, f"{name} still waits for {len(node.core.pending)} ops"
            assert node.core.view.cursor == view.cursor, f"{name} is behind"
            assert node.core.view.digest() == digest, f"{name} has another digest"
        shop = Shop(self.keys, {OPERATOR: self.vendor.public})
        cold = open_hub(server.disk, server.keys, shop, self.verify, self.chance.randbytes)
        assert cold.core.view.digest() == digest, "a cold rebuild has another digest"
        save_view(server.disk, view, server.core.head, server.found.canon)
        warm = open_hub(server.disk, server.keys, shop, self.verify, self.chance.randbytes)
        assert warm.rebuilt == 0
        assert warm.core.view.digest() == digest, "the view file has another digest"


def simulate(seed: int, bugs: Bugs | None = None) -> World:
    """Run one seed and check it; `AssertionError` names what went wrong."""
    world = World(seed, bugs).run()
    world.check()
    return world


__all__ = ["Bugs", "Refused", "World", "simulate"]
