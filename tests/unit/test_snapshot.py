"""Snapshots: whole or refused, and a copy of the log that begins behind one behaves as any other."""

from __future__ import annotations

import asyncio
import gc
import zlib
from typing import Any

import pytest

from sync import snapshot
from sync.archive import Archive
from sync.clock import SystemClock
from sync.codec import MAX_FRAME_BYTES, pack
from sync.driver import Driver
from sync.errors import Malformed, Refused, StorageFailed
from sync.frames import framed, read_frames
from sync.identity import verify_ed25519
from sync.messages import SnapshotPart, decode, encode
from sync.op import Head
from sync.protocol import Adopt, Opened, Received, ServePart, SetAside, Tick
from sync.recovery import Opened as Found
from sync.recovery import adopt, rewind
from sync.snapshot import SNAPSHOT_FILE, Header, file_of, header_frame, parts_of
from sync.verify import verify_canon
from tests.support.cores import CAFE, LINK, OPERATOR, Bench
from tests.unit.test_restored import (
    copied,
    desk,
    link,
    orders,
    part,
    restart_server,
    restart_station,
)


@pytest.fixture
def bench() -> Bench:
    """A server with a few orders of its own desk, and a station that has seen nothing of it."""
    bench = Bench()
    bench.sign_in()
    for at in range(6):
        desk(bench, f"desk-{at}")
    bench.replica.worth_a_snapshot = 3
    return bench


def copy_begins(bench: Bench) -> int:
    return bench.copy.base.n + 1


@pytest.mark.feature("SY-11", "SY-03")
def test_new_station_begins_from_the_snapshot_and_the_tail(bench: Bench) -> None:
    """It fetches the parts it needs, acknowledges, and gets the entries behind them; digests agree."""
    bench.snap()
    desk(bench, "behind")
    bench.link()
    assert bench.replica.view.digest() == bench.hub.view.digest()
    assert bench.replica.base.n == bench.hub.snapshot == 7
    assert copy_begins(bench) == 8
    assert len(bench.replica.view.keys) == 1, "keys of others are for those who have made ops"
    bench.act({"id": "mine"}, operator=OPERATOR)
    bench.run()
    assert "mine" in orders(bench.hub)
    restart_station(bench, disks(bench))
    bench.link()
    assert bench.replica.view.digest() == bench.hub.view.digest()
    assert Archive(bench.copy).after(8)[1] == bench.hub.head.n


def disks(bench: Bench) -> Any:
    """A copy of the station's disk: both logs and the snapshot stand on it."""
    return copied(bench.own)


@pytest.mark.feature("SY-11", "SY-02")
def test_station_with_ops_of_its_own_fetches_the_keys_too(bench: Bench) -> None:
    """What was answered before the snapshot is not sent again, what was not stays pending."""
    bench.link()
    bench.act({"id": "mine"}, operator=OPERATOR)
    bench.run()
    part(bench)
    bench.act({"id": "offline"}, operator=OPERATOR)
    for at in range(5):
        desk(bench, f"more-{at}")
    bench.snap()
    bench.link()
    assert bench.replica.base.n > 0
    assert not bench.replica.pending
    assert {"mine", "offline"} <= orders(bench.hub)
    assert bench.replica.view.digest() == bench.hub.view.digest()
    assert not bench.refusals()


@pytest.mark.feature("SY-11", "SY-16")
def test_copy_that_begins_behind_a_snapshot_verifies(bench: Bench) -> None:
    """By public keys alone; a flipped byte in it is named all the same."""
    bench.snap()
    bench.link()
    desk(bench, "one")
    desk(bench, "two")
    node, public = bench.hub.keys.node, bench.server_key.public

    def look(disk: Any) -> Any:
        return verify_canon(disk, CAFE, node, public, bench.domain, verify_ed25519)

    good = look(disks(bench))
    assert (good.problem, good.entries) == (None, 2)
    bad = disks(bench)
    (name,) = [n for n in bad.durable if n.startswith("canon")]
    data = bytearray(bad.durable[name])
    data[len(data) // 2] ^= 1
    bad.durable[name] = bytes(data)
    assert look(bad).problem is not None


@pytest.mark.feature("SY-11")
def test_station_that_is_little_behind_takes_the_entries(bench: Bench) -> None:
    """A snapshot would be longer than they are."""
    bench.replica.worth_a_snapshot = 100
    bench.snap()
    bench.link()
    assert bench.replica.base.n == 0
    assert bench.replica.view.digest() == bench.hub.view.digest()


def parts_to(bench: Bench, change: Any) -> list[str]:
    """Sign on, and change each part on its way; why the link ended."""
    bench.dropped.clear()
    serve = bench.serve_part

    def lie(seq: int, number: int) -> None:
        serve(seq, number)
        message = decode(bench.to_replica.pop())
        assert isinstance(message, SnapshotPart)
        bench.to_replica.append(encode(change(message)))

    bench.serve_part = lie  # type: ignore[method-assign]
    bench.link()
    part(bench)
    bench.serve_part = serve  # type: ignore[method-assign]
    return bench.dropped


def with_data(data: bytes, number: int) -> Any:
    def change(p: SnapshotPart) -> SnapshotPart:
        return SnapshotPart(p.seq, p.number, data) if p.number == number else p

    return change


@pytest.mark.feature("SY-11", "SE-09")
def test_parts_that_are_not_the_servers_are_refused(bench: Bench) -> None:
    """Another header, another part, one that was not asked for, one that is gone: the link ends, nothing
    changed, and the next time it goes well."""
    bench.snap()
    lies = [
        with_data(b"\x90", 0),
        with_data(bench.snapshot[0][:-1] + b"\x00", 0),
        with_data(b"other", 2),
        lambda p: SnapshotPart(0, p.number, b""),
        lambda p: SnapshotPart(p.seq, p.number + 1, p.data),
        lambda p: SnapshotPart(p.seq, 1, p.data) if p.number == 2 else p,
    ]
    for change in lies:
        assert parts_to(bench, change) == ["bad-snapshot"]
        assert bench.replica.canon == Head()
    bench.link()
    assert bench.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-14")
def test_snapshot_that_stops_coming_ends_the_link(bench: Bench) -> None:
    """Whatever else arrives meanwhile."""
    bench.snap()
    bench.serve_part = lambda seq, number: None  # type: ignore[method-assign]
    bench.link()
    bench.pass_time(11)
    bench.give(bench.replica, Tick())
    assert bench.dropped == ["silence"]


def test_part_that_nobody_waits_for_is_out_of_turn(bench: Bench) -> None:
    """As any other message that does not fit."""
    bench.link()
    bench.give(bench.replica, Received(LINK, SnapshotPart(1, 0, b"")))
    assert bench.dropped == ["out-of-turn"]


def made(bench: Bench) -> tuple[Header, list[bytes]]:
    bench.snap()
    frame, parts = bench.snapshot[0], bench.snapshot[1:]
    server = bench.server_key.public
    return snapshot.read_header(frame, CAFE, server, verify_ed25519), parts


@pytest.mark.feature("SE-09", "SY-15")
def test_snapshot_is_loaded_whole_or_not_at_all(bench: Bench) -> None:
    """Too few parts, other bytes, no zlib, too much inside, a register that nobody knows."""
    header, parts = made(bench)
    assert header.head == bench.hub.head
    assert snapshot.load(header, parts, bench.domain).digest() == bench.hub.view.digest()
    with pytest.raises(Malformed, match="parts"):
        snapshot.load(header, parts[1:], bench.domain)
    bomb = zlib.compress(bytes(MAX_FRAME_BYTES + 1))
    for data, what in (
        (b"other", "part x"),
        (b"no zlib", "not-zlib"),
        (bomb, "too-large"),
        (zlib.compress(pack(["x", []]))[:-4], "not-zlib"),
        (zlib.compress(pack(["x", []])), "register x"),
        (zlib.compress(pack(["x", 5])), "/no rows"),
    ):
        digest = bytes(32) if data == b"other" else snapshot.sha256(data)
        lie = Header(header.chain, 1, bytes(32), [(what if what[0] == "/" else "x", digest)])
        with pytest.raises(Malformed, match="bad-snapshot" if what[0] == "/" else what):
            snapshot.load(lie, [data], bench.domain)


def test_long_rows_are_split_into_parts() -> None:
    """A part stays near its size; one row alone may be longer."""
    bench = Bench()
    text = "".join(chr(33 + n % 90) for n in range(700_000))
    for at in range(3):
        row = {"id": str(at), "text": text}
        bench.hub.view.push([["kept", 1, row]])
        bench.hub.view.settle()
    tables = [p for p in parts_of(bench.hub.view) if p.name == "/orders"]
    assert len(tables) == 3


def test_file_of_frames_is_read_whole_or_refused() -> None:
    """A cut or a flipped bit anywhere shows."""
    data = file_of(b"head", [b"one", b""])
    assert read_frames(data) == [b"head", b"one", b""]
    for at in range(1, len(data)):
        if at not in (12, 23):  # where frames end
            with pytest.raises(Malformed):
                read_frames(data[:at])
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Malformed):
            read_frames(flipped)
    with pytest.raises(Malformed):
        snapshot.split(b"")
    assert read_frames(framed(b"")) == [b""]


@pytest.mark.feature("SY-10", "SY-11")
def test_damaged_snapshot_lets_the_station_fetch_everything_again(bench: Bench) -> None:
    """Without it the copy says nothing; a person is told."""
    bench.snap()
    desk(bench, "behind")
    bench.link()
    disk = disks(bench)
    disk.durable[SNAPSHOT_FILE] = b"garbled"
    restart_station(bench, disk)
    assert bench.replica.canon == Head()
    bench.link()
    assert bench.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-08", "SY-11")
def test_damage_in_the_first_commit_behind_a_snapshot_is_quarantined_and_fetched_again(
    bench: Bench,
) -> None:
    """The snapshot stands; what comes behind it comes again."""
    bench.snap()
    bench.link()
    desk(bench, "one")
    desk(bench, "two")
    disk = disks(bench)
    (name,) = [n for n in disk.durable if n.startswith("canon")]
    data = bytearray(disk.durable[name])
    data[150] ^= 1
    disk.durable[name] = bytes(data)
    restart_station(bench, disk)
    assert bench.replica.canon == bench.replica.base
    assert any(n.startswith("quarantine-canon") for n in disk.names())
    bench.link()
    assert bench.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-11")
def test_crash_while_a_snapshot_is_adopted_leaves_one_or_the_other(bench: Bench) -> None:
    """The snapshot is there and the old log still is: it begins behind the snapshot."""
    bench.link()
    part(bench)
    old = {n: d for n, d in disks(bench).durable.items() if n.startswith("canon")}
    for at in range(6):
        desk(bench, f"more-{at}")
    bench.snap()
    bench.link()
    before = disks(bench)
    before.durable = {n: d for n, d in before.durable.items() if not n.startswith("canon")} | old
    before.buffered = dict.fromkeys(before.durable, b"")
    restart_station(bench, before)
    assert bench.replica.base == Head(), "a log from the first entry on needs no snapshot"
    bench.replica.worth_a_snapshot = 3
    bench.link()
    desk(bench, "tail")
    part(bench)
    for at in range(6):
        desk(bench, f"yet-more-{at}")
    middle = disks(bench)
    bench.snap()
    bench.link()
    part(bench)
    halfway = disks(bench)
    canon = {n: d for n, d in middle.durable.items() if n.startswith("canon")}
    halfway.durable = {
        n: d for n, d in halfway.durable.items() if not n.startswith("canon")
    } | canon
    halfway.buffered = dict.fromkeys(halfway.durable, b"")
    restart_station(bench, halfway)
    bench.link()
    assert bench.replica.view.digest() == bench.hub.view.digest()


def test_snapshot_that_the_disk_refuses_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is as it was."""
    bench.snap()

    def full(*args: Any) -> None:
        raise StorageFailed("full")

    monkeypatch.setattr(bench.copy.disk, "replace", full)
    opened = Found(bench.replica, bench.copy, bench.own)
    with pytest.raises(StorageFailed):
        adopt(opened, bench.snapshot[0], bench.snapshot[1:])
    assert bench.copy.base == Head()


@pytest.mark.feature("SY-07", "SY-11")
def test_what_stands_before_a_stations_snapshot_is_set_aside_told_and_blocks_nothing(
    bench: Bench,
) -> None:
    """The server is older than the snapshot that a station began from: it gives what it has; its own orders
    come again from its own log."""
    old = copied(bench.log)
    desk(bench, "lost-1")
    bench.link()
    bench.act({"id": "mine"}, operator=OPERATOR)
    bench.run()
    part(bench)
    for at in range(5):
        desk(bench, f"lost-too-{at}")
    bench.snap()
    bench.link()
    assert bench.replica.base.n > 0
    desk(bench, "lost-last")
    restart_server(bench, old)
    link(bench)
    assert "history-missing" in bench.alarms
    assert [node for node, _ in bench.aside] == [bench.replica.keys.node]
    assert "mine" in orders(bench.hub)
    assert bench.replica.base == Head()
    assert bench.replica.view.digest() == bench.hub.view.digest()
    assert SNAPSHOT_FILE not in bench.copy.disk.names()
    assert f"quarantine-{SNAPSHOT_FILE}" in bench.copy.disk.names()
    restart_station(bench, disks(bench))
    assert not bench.replica.pending


@pytest.mark.feature("SY-07", "SY-11")
def test_snapshot_of_a_lost_life_with_nothing_behind_it_is_dropped(bench: Bench) -> None:
    """There is nothing to give back: the station begins anew at once."""
    old = copied(bench.log)
    for at in range(5):
        desk(bench, f"lost-{at}")
    bench.snap()
    bench.link()
    assert bench.replica.canon == bench.replica.base
    restart_server(bench, old)
    link(bench)
    assert not bench.aside
    assert bench.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-07", "SY-11")
def test_rewind_behind_the_snapshot_keeps_it(bench: Bench) -> None:
    """What was lost came after it."""
    bench.snap()
    bench.link()
    desk(bench, "kept")
    old = copied(bench.log)
    desk(bench, "lost")
    restart_server(bench, old)
    link(bench)
    assert bench.replica.base.n == 7
    assert {"kept", "lost"} <= orders(bench.hub)
    assert bench.replica.view.digest() == bench.hub.view.digest()
    bench.copy.disk.replace(SNAPSHOT_FILE, b"garbled")
    opened = Found(bench.replica, bench.copy, bench.own)
    assert rewind(opened, bench.replica.canon).head == Head(), "it is all fetched again"


@pytest.mark.feature("SY-11")
def test_server_offers_only_a_snapshot_of_its_own_history(bench: Bench) -> None:
    """One of a life that was lost, or of more than it has, is not offered after a start."""
    bench.snap()
    disk = copied(bench.log)
    older = copied(bench.log)
    file = file_of(bench.snapshot[0], bench.snapshot[1:])
    disk.durable[SNAPSHOT_FILE], disk.buffered[SNAPSHOT_FILE] = file, b""
    restart_server(bench, disk)
    assert bench.hub.snapshot == 7
    desk(bench, "more")
    keys, view, head = bench.hub.keys, bench.hub.view, bench.hub.head
    parts = list(parts_of(view))
    frame = header_frame(parts, head, CAFE, view.epochs[-1].chain, keys.signer)
    longer = file_of(frame, [p.data for p in parts])
    older.durable[SNAPSHOT_FILE], older.buffered[SNAPSHOT_FILE] = longer, b""
    restart_server(bench, older)
    for at in range(3):
        desk(bench, f"other-{at}")
    again = copied(bench.log)
    again.durable[SNAPSHOT_FILE], again.buffered[SNAPSHOT_FILE] = longer, b""
    restart_server(bench, again)
    assert bench.hub.head.n > head.n
    assert bench.hub.snapshot == 0


# --- the driver --------------------------------------------------------------


class Heard:
    """A wire that keeps what it was given."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.codes: list[str] = []

    def send(self, message: Any) -> None:
        self.sent.append(message)

    def drop(self, code: str) -> None:
        self.codes.append(code)


def refuse(*args: Any) -> None:
    raise StorageFailed("full")


@pytest.mark.feature("SY-11", "SY-15")
async def test_server_serves_the_parts_of_its_snapshot(bench: Bench) -> None:
    """What it has not, it says so; it makes none of a view with holes."""
    driver = Driver(Found(bench.hub, bench.log, None), SystemClock())
    bench.hub.view.unfolded[1] = True
    with pytest.raises(Refused, match="unread-entries"):
        await driver.make_snapshot()
    bench.hub.view.unfolded.clear()
    assert await driver.make_snapshot() == bench.hub.head
    assert bench.hub.snapshot == bench.hub.head.n
    assert bench.hub.offered == 0, "before it is a checkpoint"
    assert SNAPSHOT_FILE in bench.log.disk.names()
    wire = Heard()
    number = driver.attach(wire)
    seq = bench.hub.snapshot
    last = len(driver._snapshot.parts) if driver._snapshot else 0
    for wanted in ((seq, 0), (seq, last), (seq, last + 1), (seq + 1, 0), (seq, -1)):
        driver._run([ServePart(number, *wanted)])
    driver._run([ServePart(number + 1, seq, 0)])
    assert [(m.seq, bool(m.data)) for m in wire.sent] == [
        (seq, True),
        (seq, True),
        (0, False),
        (0, False),
        (0, False),
    ]
    station = Driver(Found(bench.replica, bench.copy, bench.own), SystemClock())
    station._look_after_mirror()
    assert station._making is None
    await driver.stop()


async def test_stop_in_the_middle_of_a_snapshot_ends_the_making(bench: Bench) -> None:
    """It is made again another time."""
    driver = Driver(Found(bench.hub, bench.log, None), SystemClock())
    making = driver._making = asyncio.create_task(driver.make_snapshot())  # type: ignore[assignment]
    await driver.stop()
    with pytest.raises(asyncio.CancelledError):
        await making


@pytest.mark.feature("SY-09")
async def test_station_drops_the_link_if_its_disk_refuses_the_snapshot(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And takes it the next time."""
    bench.snap()
    station = Driver(Found(bench.replica, bench.copy, bench.own), SystemClock())
    wire = Heard()
    station.attach(wire)
    with monkeypatch.context() as full:
        full.setattr(bench.copy.disk, "replace", refuse)
        station._run([Adopt(bench.snapshot[0], bench.snapshot[1:])])
    assert wire.codes == ["bad-snapshot"]
    assert bench.replica.canon == Head()
    station._run([Adopt(bench.snapshot[0], bench.snapshot[1:])])
    assert bench.replica.canon == bench.replica.base == bench.hub.head


@pytest.mark.feature("SY-07", "SY-09")
async def test_station_rewinds_when_its_disk_lets_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it takes nothing from the server, and goes on selling."""
    bench.replica.worth_a_snapshot = 99
    bench.link()
    desk(bench, "more")
    part(bench)
    station = Driver(Found(bench.replica, bench.copy, bench.own), SystemClock())
    with monkeypatch.context() as full:
        full.setattr(bench.copy.disk, "replace", refuse)
        bench.replica._rewind_to = Head(7, bytes(32))
        station._flush(station._now())
        assert bench.replica._rewind_to is not None
        station.post(Opened(1, bench.hub.keys.node, b"S" * 32))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert bench.replica.canon.n == 8
    station._flush(station._now())
    assert bench.replica._rewind_to is None
    assert bench.replica.canon.n == 7
    hub = Driver(Found(bench.hub, bench.log, None), SystemClock())
    wire = Heard()
    aside = SetAside(hub.attach(wire), b"n" * 16, 5, [b"one", b"two"])
    with monkeypatch.context() as full:
        full.setattr(bench.log.disk, "replace", refuse)
        hub._run([aside])
        assert wire.codes == ["server-disk"], "nothing is acknowledged that was not kept"
        hub.detach(aside.link)
        hub._run([aside])
    hub._run([aside])
    name = f"quarantine-returned-{(b'n' * 16).hex()}-5"
    assert read_frames(bench.log.disk.read(name)) == [b"one", b"two"]


def test_header_of_nothing_is_none(bench: Bench) -> None:
    """Another shape of frame is malformed, and the collector stays as it was."""
    header, parts = made(bench)
    with pytest.raises(Malformed):
        snapshot.read_header(pack([7, 1]), CAFE, bench.server_key.public, verify_ed25519)
    gc.disable()
    try:
        snapshot.load(header, parts, bench.domain)
        assert not gc.isenabled()
    finally:
        gc.enable()
