"""What ops only name is fetched by whoever lacks it, behind everything else."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from sync import link
from sync.blobs import AGAIN_MS, AT_ONCE, MAX_BLOB_BYTES, BlobFolder, Wanted
from sync.clock import SystemClock
from sync.driver import CROWDED, Driver
from sync.errors import Malformed, Refused, StorageFailed
from sync.link import FULL_BYTES, SocketWire, run_link
from sync.messages import Ack, Blob, Bye, Entries, SnapshotPart, WantBlob, decode, encode
from sync.op import sha256
from sync.protocol import Act, BlobKept, Closed, GiveBlob, KeepBlob, Tick
from sync.recovery import Opened as Found
from tests.support.cores import LINK, Bench
from tests.support.disks import SimDisk

PICTURE = b"\x89PNG and so on"
DIGEST = sha256(PICTURE)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.link()
    return bench


def tick(bench: Bench) -> None:
    for core in (bench.hub, bench.replica):
        bench.give(core, Tick())
    bench.run()


def shown(bench: Bench, at: bool) -> None:
    """Somebody at the server (True) or the station gives a product a picture."""
    bench.blobs[at][DIGEST] = PICTURE
    bench.give(bench.hub if at else bench.replica, BlobKept(DIGEST))
    body = {"id": "coffee", "picture": DIGEST.hex()}
    if at:
        bench.give(bench.hub, Act("p", "order.keep", 1, body, bench.chance.randbytes(16)))
    else:
        bench.act(body)
    bench.run()


@pytest.mark.feature("SY-15", "RP-09")
@pytest.mark.parametrize("at", [True, False])
def test_picture_comes_to_who_lacks_it_from_either_side(bench: Bench, at: bool) -> None:
    """Whoever has the row has the picture, a second later."""
    shown(bench, at)
    assert bench.blobs[not at] == {}
    tick(bench)
    assert bench.blobs[not at] == {DIGEST: PICTURE}
    assert bench.hub.blobs.here == bench.replica.blobs.here == {DIGEST}
    bench.to_hub.clear()
    tick(bench)
    assert bench.dropped == bench.alarms == []


@pytest.mark.feature("SY-15")
def test_nothing_is_asked_for_without_a_link(bench: Bench) -> None:
    """The server asks only who is trusted, a station only its server."""
    shown(bench, True)
    bench.give(bench.replica, Closed(LINK))
    bench.give(bench.replica, Tick())
    assert bench.to_hub == []
    shown(bench, False)
    bench.hub.blobs.here.clear()
    bench.domain.revoked.add(bench.replica.keys.node)
    assert bench.hub._look_for_blobs(bench.now) == []


@pytest.mark.feature("SE-09", "SY-15")
@pytest.mark.parametrize("data", [b"something else", bytes(MAX_BLOB_BYTES + 1)])
def test_blob_that_is_not_what_its_name_says_ends_the_link(bench: Bench, data: bytes) -> None:
    """On either side; and so does one that nobody asked for."""
    shown(bench, True)
    bench.blobs[True][DIGEST] = data
    tick(bench)
    assert bench.dropped == ["bad-blob"]
    assert bench.blobs[False] == {}
    bench.push(Blob(DIGEST, PICTURE))
    assert bench.dropped == ["bad-blob", "bad-blob"]


@pytest.mark.feature("SY-15")
def test_who_has_it_not_either_says_so_and_is_asked_again_later(bench: Bench) -> None:
    """Nothing waits for it."""
    shown(bench, True)
    del bench.blobs[True][DIGEST]
    tick(bench)
    assert bench.blobs[False] == {}
    bench.blobs[True][DIGEST] = PICTURE
    tick(bench)
    assert bench.blobs[False] == {}, "not at once"
    bench.pass_time(AGAIN_MS // 1000 + 1)
    tick(bench)
    assert bench.blobs[False] == {DIGEST: PICTURE}
    assert bench.dropped == []


@pytest.mark.feature("SE-03")
def test_revoked_node_gets_no_picture(bench: Bench) -> None:
    """It hears nothing more."""
    shown(bench, True)
    bench.domain.revoked.add(bench.replica.keys.node)
    bench.push(WantBlob(DIGEST))
    assert bench.dropped == ["out-of-turn"]


@pytest.mark.feature("SY-15")
def test_few_are_asked_for_at_once_and_each_of_one_side() -> None:
    """An answer makes room; a side that is gone is not waited for."""
    wanted = Wanted({b"here"})
    named = [b"here", *(f"{n}".encode() for n in range(9))]
    first = wanted.ask(named, [1, 2], 0)
    assert first == [(1, f"{n}".encode()) for n in range(AT_ONCE)]
    assert wanted.ask(named, [1, 2], 10) == []
    assert not wanted.take(1, b"0", b"")
    assert wanted.ask(named, [1, 2], 20) == [(2, b"0")]
    assert not wanted.take(1, b"0", b"late"), "it was asked, and somebody else is by now"
    with pytest.raises(Malformed, match="not asked"):
        wanted.take(1, b"8", b"")
    assert [link for link, _ in wanted.ask(named, [2], 30)] == [2, 2, 2], "1 is gone"
    again = wanted.ask(named, [2], 31 + AGAIN_MS)
    assert len(again) == AT_ONCE


@pytest.mark.feature("SY-08", "SY-09", "SY-15")
def test_folder_holds_what_its_names_say_and_no_more() -> None:
    """One that was hurt is as good as gone; what nothing names goes; too large is refused."""
    disk = SimDisk(random.Random(1))
    folder = BlobFolder(disk)
    disk.replace("lock", b"")
    disk.replace("g" * 64, b"")
    assert folder.add(PICTURE) == DIGEST
    other = folder.add(b"other")
    assert folder.digests() == {DIGEST, other}
    assert folder.get(DIGEST) == PICTURE
    assert folder.get(bytes(32)) is None
    disk.replace(other.hex(), b"hurt")
    assert folder.get(other) is None
    folder.keep_only([DIGEST])
    assert folder.digests() == {DIGEST}
    for data in (b"", bytes(MAX_BLOB_BYTES + 1)):
        with pytest.raises(Refused, match="too-large"):
            folder.add(data)
    disk.read = lambda *what: full()  # type: ignore[method-assign,assignment]
    assert folder.get(DIGEST) is None


def full(*what: Any) -> Any:
    raise StorageFailed("full")


async def test_driver_keeps_gives_and_clears_up(bench: Bench) -> None:
    """At its start it drops what nothing names; a disk that refuses is asked again some time."""
    disk = SimDisk(random.Random(1))
    folder = BlobFolder(disk)
    shown(bench, True)
    folder.add(PICTURE)
    folder.add(b"of a product that is gone")
    driver = Driver(Found(bench.hub, bench.log, None), SystemClock(), folder)
    driver.start()
    assert driver.core.blobs.here == folder.digests() == {DIGEST}
    sent: list[Any] = []

    class Wire:
        def send(self, message: Any) -> None:
            sent.append(message)

        def drop(self, code: str) -> None:
            pass

    link = driver.attach(Wire())
    driver._run([GiveBlob(link, DIGEST), GiveBlob(link, bytes(32)), GiveBlob(99, DIGEST)])
    assert sent == [Blob(DIGEST, PICTURE), Blob(bytes(32), b"")]
    driver.on_blob = lambda digest: 1 // 0  # type: ignore[assignment, return-value]
    driver._run([KeepBlob(sha256(b"new"), b"new")])
    await asyncio.sleep(0.01)
    assert sha256(b"new") in driver.core.blobs.here
    assert driver.blob(sha256(b"new")) == b"new"
    disk.replace(sha256(b"new").hex(), b"hurt")
    assert driver.blob(sha256(b"new")) is None
    assert sha256(b"new") not in driver.core.blobs.here, "it is fetched again"
    disk.replace = full  # type: ignore[method-assign]
    driver._run([KeepBlob(sha256(b"newer"), b"newer")])
    with pytest.raises(StorageFailed):
        driver.add_blob(b"mine")
    disk.names = full  # type: ignore[method-assign]
    await driver.stop()
    bare = Driver(Found(bench.hub, bench.log, None), SystemClock())
    assert bare.blob(DIGEST) is None
    with pytest.raises(StorageFailed):
        bare.add_blob(PICTURE)


@pytest.mark.feature("SY-15", "SE-09")
async def test_flood_waits_at_its_socket(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who signs on and ignores its window fills no memory of ours."""
    driver = Driver(Found(bench.hub, bench.log, None), SystemClock())
    most = 0

    class Socket:
        def __aiter__(self) -> Any:
            return self.read()

        async def read(self) -> Any:
            nonlocal most
            for _ in range(5 * CROWDED):
                yield encode(Ack([], 0))
                most = max(most, len(driver._inbox))

        async def close(self) -> None:
            pass

    held = driver._round
    rounds = 0

    def slow() -> None:
        nonlocal rounds
        rounds += 1
        if rounds % 7 == 0:
            held()
        else:
            asyncio.get_running_loop().call_soon(slow)

    monkeypatch.setattr(driver, "_round", slow)
    async with asyncio.timeout(20):
        await run_link(driver, Socket(), bench.replica.keys.node, b"T" * 32)  # type: ignore[arg-type]
    assert 0 < most <= CROWDED + 2


class Socket:
    """A connection whose buffer holds as much as a test says; it notes what was sent and how it ended."""

    def __init__(self, full_bytes: int = 0) -> None:
        self.full_bytes = full_bytes
        self.carried: list[bytes] = []
        self.aborted = 0
        self.transport = self

    def get_write_buffer_size(self) -> int:
        return self.full_bytes

    def abort(self) -> None:
        self.aborted += 1

    async def send(self, data: bytes) -> None:
        self.carried.append(data)

    async def close(self) -> None:
        self.carried.append(b"closed")


async def test_what_finds_the_socket_free_is_written_at_once(monkeypatch: Any) -> None:
    """In its order: behind what waits, or while the socket is full, it waits too."""
    socket = Socket()
    carried, at_once = socket.carried, []

    def broadcast(connections: Any, data: bytes, *, raise_exceptions: bool) -> None:
        carried.append(data)
        at_once.append(data)

    monkeypatch.setattr(link, "broadcast", broadcast)
    wire = SocketWire(socket)  # type: ignore[arg-type]
    wire.send(Ack([], 1))
    assert [decode(data) for data in carried] == [Ack([], 1)]
    socket.full_bytes = FULL_BYTES + 1
    wire.send(Ack([], 2))
    socket.full_bytes = 0
    wire.send(Ack([], 3))
    assert len(carried) == 1, "who came later goes later"
    pump = asyncio.create_task(wire.pump())
    for _ in range(5):  # the pump has its turns
        await asyncio.sleep(0)
    wire.send(Ack([], 4))
    assert [decode(data) for data in at_once] == [Ack([], 1), Ack([], 4)]
    wire.drop("end")
    wire.send(Ack([], 5))
    await pump
    assert [decode(data) for data in carried[:-1]] == [
        *[Ack([], n) for n in (1, 2, 3, 4)],
        Bye("end"),
    ]
    assert carried[-1] == b"closed"


async def test_link_ends_when_a_message_cannot_be_written(monkeypatch: Any) -> None:
    """What comes next would have a hole before it."""
    socket = Socket()

    def broadcast(connections: Any, data: bytes, *, raise_exceptions: bool) -> None:
        raise ExceptionGroup("no", [MemoryError()])

    monkeypatch.setattr(link, "broadcast", broadcast)
    SocketWire(socket).send(Ack([], 1))  # type: ignore[arg-type]
    assert socket.aborted == 1


async def test_what_goes_to_many_links_is_packed_once(monkeypatch: Any) -> None:
    """The same run of entries; another one is packed again."""
    packed: list[Any] = []

    def pack_it(message: Any) -> bytes:
        packed.append(message)
        return encode(message)

    monkeypatch.setattr(link, "encode", pack_it)
    frames = [b"\x92\x01x"]
    first = [link._encoded(Entries(frames)) for _ in range(3)]
    assert first == [encode(Entries(frames))] * 3
    assert len(packed) == 1
    assert link._encoded(Entries([b"\x92\x01y"])) == encode(Entries([b"\x92\x01y"]))
    assert len(packed) == 2


async def test_peer_that_does_not_read_is_dropped_when_its_queue_is_full(monkeypatch: Any) -> None:
    """Whoever takes nothing fills no memory."""
    monkeypatch.setattr(link, "MAX_QUEUED_BYTES", 100)
    socket = Socket(full_bytes=FULL_BYTES + 1)
    wire = SocketWire(socket)  # type: ignore[arg-type]
    for _ in range(100 // len(encode(Ack([], 1)))):
        wire.send(Ack([], 1))
    assert socket.aborted == 0
    wire.send(Ack([], 1))
    assert socket.aborted == 1


async def test_sale_never_stands_behind_a_picture() -> None:
    """What is bulk goes when nothing else waits, each in its own order; a goodbye ends it all."""
    socket = Socket()
    carried = socket.carried
    wire = SocketWire(socket)  # type: ignore[arg-type]
    wire.send(Blob(DIGEST, PICTURE))
    wire.send(SnapshotPart(1, 0, b"part"))
    wire.send(Ack([], 1))
    wire.send(Ack([], 2))
    wire._put(b"", bulk=True)
    await wire.pump()
    kinds = [type(decode(data)).__name__ for data in carried[:-1]]
    assert kinds == ["Ack", "Ack", "Blob", "SnapshotPart"]
    assert carried[-1] == b"closed"
