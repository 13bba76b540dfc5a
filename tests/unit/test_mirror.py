"""A server's second disk: what was acknowledged stands on both, and either one has it all."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from sync.clock import SystemClock
from sync.driver import Driver
from sync.errors import Damaged, StorageFailed
from sync.frames import seal_frame, seal_in
from sync.identity import verify_ed25519
from sync.log import Log
from sync.mirror import Mirror, MirrorWriter
from sync.op import Head
from sync.protocol import Act, Tick
from sync.recovery import Opened as Found
from sync.recovery import open_hub
from tests.support.cores import CAFE, Bench
from tests.support.disks import SimDisk
from tests.unit.test_restored import copied, desk, restart_server


class Second:
    """A second disk, which may be pulled out."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.disk = bench, SimDisk(random.Random(2))
        self.there = True
        self.told: list[str] = []

    def open(self) -> Mirror:
        if not self.there:
            raise StorageFailed("not there")
        keys = self.bench.hub.keys
        mirror = Mirror(self.disk, CAFE, keys.node, keys.signer.public, verify_ed25519)
        mirror.log.segment_bytes = 900
        return mirror

    def writer(self, mirror: Mirror | None = None) -> MirrorWriter:
        bench = self.bench
        return MirrorWriter(bench.log, self.open, mirror, bench.hub.head, self.told.append)


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.log.segment_bytes = 900
    for at in range(5):
        desk(bench, f"desk-{at}")
    return bench


@pytest.fixture
def second(bench: Bench) -> Second:
    return Second(bench)


def brought_up(writer: MirrorWriter, head: Callable[[], Head]) -> None:
    """Tick as long as something is under way."""
    for _ in range(200):
        writer.tick(head())
        if writer.following or writer.differs:
            return
        if writer._job is not None:
            writer._job.exception(5)
    raise AssertionError("it never came up")


def commits(bench: Bench, writer: MirrorWriter) -> Callable[..., None]:
    """Let what the server commits go to the mirror, as the driver does."""
    real = bench.log.commit

    def commit(frames: list[bytes], **how: Any) -> None:
        real(frames, **how)
        writer.commit(frames)

    bench.log.commit = commit  # type: ignore[method-assign]
    return commit


@pytest.mark.feature("SY-07")
def test_new_mirror_is_brought_up_and_follows(bench: Bench, second: Second) -> None:
    """It is filled slice by slice, then has each commit as soon as the server's own disk has it."""
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head, most_bytes=1)
    assert 0 < mirror.head.n < bench.hub.head.n, "a slice at a time"
    assert mirror.agrees(bench.log, bench.hub.head)
    mirror.catch_up(bench.log, mirror.head)
    mirror.close()
    mirror = second.open()
    assert len(list(mirror.log.behind(0))) == mirror.head.n, "a clean stop wrote its seal twice"
    writer = second.writer()
    assert writer.state == "behind"
    brought_up(writer, lambda: bench.hub.head)
    assert (writer.state, second.told) == ("following", ["mirror-back"])
    commits(bench, writer)
    desk(bench, "later")
    assert second.open().head == bench.hub.head
    writer.tick(bench.hub.head)
    writer.close()
    again = second.writer(second.open())
    assert again.following, "nothing is missing at the next start"
    again.close()


@pytest.mark.feature("SY-07", "SY-09")
def test_mirror_that_fails_is_left_behind_told_and_comes_back(bench: Bench, second: Second) -> None:
    """The server goes on; once a time it is told; when the disk is there again it is brought up."""
    writer = second.writer()
    brought_up(writer, lambda: bench.hub.head)
    commits(bench, writer)
    second.disk.error_rate, second.there = 1.0, False
    desk(bench, "alone")
    desk(bench, "alone again")
    assert (writer.state, second.told) == ("lost", ["mirror-back", "mirror-lost"])
    for _ in range(3):
        writer.tick(bench.hub.head)
        if writer._job is not None:
            writer._job.exception(5)
    assert second.told == ["mirror-back", "mirror-lost"]
    second.disk.error_rate, second.there = 0.0, True
    brought_up(writer, lambda: bench.hub.head)
    assert writer.state == "following"
    assert second.open().head == bench.hub.head
    second.disk.error_rate = 1.0
    writer.close()
    second.writer().close()


@pytest.mark.feature("SY-07", "SY-15")
def test_mirror_that_hangs_holds_nobody_up_for_long(
    bench: Bench, second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left behind after a moment, and nothing is asked of it before it has answered."""
    monkeypatch.setattr("sync.mirror.PATIENCE_S", 0.01)
    writer = second.writer()
    brought_up(writer, lambda: bench.hub.head)
    commits(bench, writer)
    go_on = threading.Event()
    second.disk.at_sync = go_on.wait  # type: ignore[assignment]
    desk(bench, "meanwhile")
    assert writer.state == "lost"
    hanging = writer._job
    writer.tick(bench.hub.head)
    assert writer._job is hanging
    go_on.set()
    assert hanging is not None
    hanging.result(5)
    writer.tick(bench.hub.head)
    assert writer.state == "following", "what it did at last counts"
    writer.close()


@pytest.mark.feature("SY-07", "SY-09")
def test_fault_in_the_mirror_never_reaches_the_server(bench: Bench, second: Second) -> None:
    """What its own disk has stays acknowledged, whatever goes wrong on the other."""
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head)
    writer = second.writer(mirror)
    mirror.commit = lambda frames: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    commits(bench, writer)
    desk(bench, "kept all the same")
    assert (writer.state, second.told) == ("lost", ["mirror-lost"])
    writer.close()


@pytest.mark.feature("SY-07")
def test_folder_of_the_mirror_is_let_go_also_while_it_is_being_opened(
    bench: Bench, second: Second
) -> None:
    """Whoever opens it next finds it free."""
    released: list[bool] = []
    real = second.open

    def slow() -> Mirror:
        mirror = real()
        mirror.release = lambda: released.append(True)
        return mirror

    second.open = slow  # type: ignore[method-assign]
    writer = second.writer()
    writer.tick(bench.hub.head)
    writer.close()
    assert released == [True]


@pytest.mark.feature("SY-07", "SY-18")
@pytest.mark.parametrize("at", ["a commit", "a slice"])
@pytest.mark.parametrize("fails", [False, True])
def test_folder_of_a_mirror_that_hangs_is_let_go_when_it_is_done(
    bench: Bench, second: Second, monkeypatch: pytest.MonkeyPatch, fails: bool, at: str
) -> None:
    """While a slice is being written nobody else may open it."""
    released: list[bool] = []
    mirror = second.open()
    mirror.release = lambda: released.append(True)
    writer = second.writer(mirror)
    go_on = threading.Event()

    def hang() -> None:
        go_on.wait()
        if fails:
            raise StorageFailed("gone")

    monkeypatch.setattr("sync.mirror.PATIENCE_S", 0.01)
    if at == "a commit":
        mirror.catch_up(bench.log, bench.hub.head)
        writer = second.writer(mirror)
        commits(bench, writer)
        second.disk.at_sync = hang
        desk(bench, "later")
        assert writer.state == "lost"
    else:
        second.disk.at_sync = hang
        writer.tick(bench.hub.head)
    writer.close()
    assert not released
    go_on.set()
    assert writer._job is not None
    writer._job.exception(5)
    writer._thread.shutdown()
    assert released == [True]


@pytest.mark.feature("SY-07")
def test_server_that_was_put_back_takes_what_its_mirror_has(bench: Bench, second: Second) -> None:
    """Nobody need be waited for; what only the mirror has is appended and folded."""
    old = copied(bench.log)
    desk(bench, "lost-1")
    desk(bench, "lost-2")
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head)
    found = open_hub(
        old, bench.hub.keys, bench.domain, verify_ed25519, bench.chance.randbytes, mirror
    )
    assert found.core.head == bench.hub.head  # type: ignore[union-attr]
    assert found.core.view.digest() == bench.hub.view.digest()
    assert not found.core.unreported()  # type: ignore[union-attr]
    assert [(d.kind, d.what) for d in found.damage] == [("refilled", "2 entries")]
    cold = open_hub(old, bench.hub.keys, bench.domain, verify_ed25519, bench.chance.randbytes)
    assert cold.core.view.digest() == bench.hub.view.digest()
    assert cold.core.unreported(), "without the mirror nobody knows"  # type: ignore[union-attr]


@pytest.mark.feature("SY-07")
def test_mirror_that_is_behind_proves_nothing(bench: Bench, second: Second) -> None:
    """It may have been left behind long ago: stations are waited for."""
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head)
    desk(bench, "later")
    found = open_hub(
        copied(bench.log), bench.hub.keys, bench.domain, verify_ed25519,
        bench.chance.randbytes, mirror,
    )  # fmt: skip
    assert found.core.unreported()  # type: ignore[union-attr]
    assert not found.damage


@pytest.mark.feature("SY-07")
def test_mirror_of_another_history_is_not_touched(bench: Bench, second: Second) -> None:
    """A person must see to it; the server starts without it."""
    old = copied(bench.log)
    desk(bench, "one life")
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head)
    restart_server(bench, old)
    desk(bench, "another life")
    before = dict(second.disk.durable)
    hurt = copied(bench.log)
    hurt.durable["canon-000001.log"] = b"\0" + hurt.durable["canon-000001.log"][1:]
    log = Log(hurt, "canon", CAFE, bench.hub.keys.node)
    log._number, log._durable = 1, 1
    assert not mirror.agrees(log, Head(99)), "nor is one compared with what is hurt"
    found = open_hub(
        copied(bench.log), bench.hub.keys, bench.domain, verify_ed25519,
        bench.chance.randbytes, mirror,
    )  # fmt: skip
    assert found.core.unreported()  # type: ignore[union-attr]
    writer = second.writer(mirror)
    brought_up(writer, lambda: bench.hub.head)
    assert (writer.state, second.told) == ("differs", ["mirror-differs"])
    writer.tick(bench.hub.head)
    writer.commit([b"nothing"])
    writer.close()
    assert second.disk.durable == before


@pytest.mark.feature("SY-07", "SY-08")
def test_damage_in_the_servers_log_is_refilled_from_the_mirror(
    bench: Bench, second: Second
) -> None:
    """Set aside and taken from there; if the mirror has less than was lost, the server does not start."""
    part = second.open()
    part.catch_up(bench.log, bench.hub.head, most_bytes=1)
    short = dict(second.disk.durable)
    for at in range(3):
        desk(bench, f"more-{at}")
    for _ in range(2):
        part.catch_up(bench.log, bench.hub.head)
    bench.log.close()
    names = sorted(bench.log.disk.names())

    def hurt(name: str) -> SimDisk:
        disk = copied(bench.log)
        data = bytearray(disk.durable[name])
        data[250] ^= 1
        disk.durable[name] = bytes(data)
        return disk

    def start(disk: SimDisk, mirror: Mirror | None) -> Any:
        keys = bench.hub.keys
        return open_hub(disk, keys, bench.domain, verify_ed25519, bench.chance.randbytes, mirror)

    for name in names[:-1]:
        found = start(hurt(name), second.open())
        assert found.core.head == bench.hub.head
        assert found.core.view.digest() == bench.hub.view.digest()
        assert [damage.kind for damage in found.damage] == ["corrupt", "refilled"]
        with pytest.raises(Damaged):
            start(hurt(name), None)
    gone = copied(bench.log)
    gone.remove(names[0])
    assert start(gone, second.open()).core.head == bench.hub.head
    second.disk.durable = short
    second.disk.buffered = dict.fromkeys(short, b"")
    with pytest.raises(Damaged):
        start(hurt(names[0]), second.open())


@pytest.mark.feature("SY-08")
@pytest.mark.parametrize("how", ["flipped", "of another order", "sealed by somebody else"])
def test_server_starts_without_the_rest_of_a_mirror_that_is_hurt(
    bench: Bench, second: Second, how: str
) -> None:
    """It takes what verifies, waits for its stations, and says so."""
    old = copied(bench.log)
    for at in range(4):
        desk(bench, f"lost-{at}")
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head)
    lost = list(mirror.log.behind(6))
    if how == "of another order":
        lost[1], lost[2] = lost[2], lost[1]
        mirror.log.behind = lambda n: iter(lost)  # type: ignore[method-assign,assignment]
    elif how == "sealed by somebody else":
        seal = seal_in(lost[1][-1])
        lost[1] = [*lost[1][:-1], seal_frame(structs.replace(seal, signature=bytes(64)))]
        mirror.log.behind = lambda n: iter(lost)  # type: ignore[method-assign,assignment]
    else:
        name = mirror.log.name(mirror.log.segments()[-2])
        data = bytearray(second.disk.durable[name])
        data[-30] ^= 1
        second.disk.durable[name] = bytes(data)
    found = open_hub(
        old, bench.hub.keys, bench.domain, verify_ed25519, bench.chance.randbytes, mirror
    )
    assert [damage.kind for damage in found.damage] == ["refilled", "unrefilled"]
    assert 6 < found.core.head.n < bench.hub.head.n  # type: ignore[union-attr]
    assert found.core.unreported()  # type: ignore[union-attr]


@pytest.mark.feature("SY-08")
def test_damage_in_the_mirror_is_set_aside_and_comes_again(bench: Bench, second: Second) -> None:
    """Torn, garbled, or bytes of somebody else: it is brought up from where it is good."""
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head)
    whole, last = dict(second.disk.durable), sorted(second.disk.durable)[-1]

    def restarted(files: dict[str, bytes]) -> None:
        second.disk.durable, second.disk.buffered = files, dict.fromkeys(files, b"")
        again = second.open()
        assert again.agrees(bench.log, bench.hub.head)
        while again.head != bench.hub.head:
            again.catch_up(bench.log, bench.hub.head)
        again.close()
        assert second.open().head == bench.hub.head

    restarted({**whole, last: whole[last][:-3]})
    restarted({**whole, last: whole[last][:120]})
    garbled = bytearray(whole[last])
    garbled[150] ^= 1
    restarted({**whole, last: bytes(garbled)})
    garbled = bytearray(whole[last])
    garbled[len(garbled) // 2] ^= 1
    restarted({**whole, last: bytes(garbled)})
    restarted({**whole, last: b"\x17" * 5000})


def test_commits_are_looked_for_where_one_ends(bench: Bench) -> None:
    """An entry inside of a commit is none; an empty log has nothing behind it."""
    bench.log.segment_bytes = 1 << 20
    bench.hub.step(Act("a", "order.keep", 1, {"id": "a"}, b"a" * 16), bench.now)
    bench.hub.step(Act("b", "order.keep", 1, {"id": "b"}, b"b" * 16), bench.now)
    bench.flush(bench.hub)
    n = bench.hub.head.n
    assert bench.log.head_at(n) == bench.hub.head
    assert bench.log.head_at(n + 1) is None
    with pytest.raises(Damaged, match="no commit ends"):
        list(bench.log.behind(n - 1))
    empty = Log(SimDisk(random.Random(3)), "canon", CAFE, bench.hub.keys.node)
    assert (empty.head_at(0), list(empty.behind(0))) == (None, [])


@pytest.mark.feature("SY-11")
async def test_checkpoint_is_made_once_a_mirror_follows_and_it_is_worth_it(
    bench: Bench, second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In slices, one at a time; a view with holes or a disk that refuses makes none."""
    driver = Driver(Found(bench.hub, bench.log, None), SystemClock())
    driver.checkpoint_every = 3
    driver._look_after_mirror()
    assert driver._making is None, "there is no mirror"
    mirror = second.open()
    mirror.catch_up(bench.log, bench.hub.head)
    driver.mirror = second.writer(mirror)
    bench.hub.view.unfolded[1] = True
    driver._look_after_mirror()
    assert driver._making is None
    bench.hub.view.unfolded.clear()
    with monkeypatch.context() as broken:

        def full(*args: Any) -> None:
            raise StorageFailed("full")

        broken.setattr(bench.log.disk, "replace", full)
        driver._look_after_mirror()
        assert driver._making is not None
        await driver._making
    assert bench.hub.view.checkpoint == Head()
    driver._look_after_mirror()
    making = driver._making
    driver._look_after_mirror()
    assert driver._making is making is not None, "one at a time"
    before = bench.hub.head
    await making
    driver._round()
    assert bench.hub.view.checkpoint == before
    assert bench.hub.offered == before.n
    driver._look_after_mirror()
    assert driver._making is None
    driver.checkpoint_every = 0
    driver._look_after_mirror()
    making = driver._making
    driver.mirror.following = False
    assert making is not None
    await making
    driver._round()
    assert bench.hub.view.checkpoint == before, "it was lost meanwhile"
    driver.post(Tick())
    await driver.stop()
