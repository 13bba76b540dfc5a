"""Logs of a station that grow no longer for ever: behind a checkpoint a snapshot stands for them."""

from __future__ import annotations

from typing import Any

import pytest

from sync.clock import SystemClock
from sync.codec import pack
from sync.driver import Driver
from sync.errors import Damaged, Refused, StorageFailed
from sync.frames import SEAL, SEGMENT
from sync.identity import verify_ed25519
from sync.log import CanonChecker, ChainChecker, Log, read_commit
from sync.messages import SnapshotPart
from sync.op import Head
from sync.protocol import Checked, Compact, Opened, Received, Tick
from sync.recovery import Opened as Found
from sync.recovery import compact, open_hub, rewind
from sync.snapshot import SNAPSHOT_FILE
from sync.verify import verify_canon, verify_own
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
    """A server and a station whose files are so small that there is something to drop."""
    bench = Bench()
    bench.sign_in()
    bench.copy.segment_bytes = bench.own.segment_bytes = 1000
    bench.replica.worth_a_snapshot = 3
    bench.link()
    for at in range(6):
        bench.act({"id": f"mine-{at}"}, operator=OPERATOR)
        desk(bench, f"desk-{at}")
    bench.run()
    return bench


def check(bench: Bench) -> None:
    """A backup is made, and put on record."""
    bench.snap()
    bench.hub.view.checkpoint = Head()
    bench.give(bench.hub, Checked(bench.hub.head, "backup"))
    bench.run()


def tick(bench: Bench) -> None:
    """Two: what was folded is kept with the first."""
    for _ in range(2):
        bench.give(bench.replica, Tick())
        bench.run()


def new_chain(bench: Bench) -> None:
    """The station's process begins again, and sells."""
    restart_station(bench, copied(bench.own))
    bench.sign_in()
    bench.copy.segment_bytes, bench.own.segment_bytes = 1600, 1000
    bench.replica.worth_a_snapshot = 3
    bench.link()
    bench.act({"id": "new chain"}, operator=OPERATOR)
    bench.run()


def compacted(bench: Bench) -> None:
    new_chain(bench)
    check(bench)
    tick(bench)
    assert bench.replica.compacted == bench.hub.view.checkpoint.n


@pytest.mark.feature("SY-11", "SY-02")
def test_nothing_is_dropped_behind_the_first_op_that_may_be_needed(bench: Bench) -> None:
    """However many files stand behind the one in which it stands."""
    new_chain(bench)
    bench.own.segment_bytes = 1
    for at in range(3):
        bench.act({"id": f"in a file of its own {at}"}, operator=OPERATOR)
    live = [op.n for op in ops(bench) if op.chain == bench.replica.author.chain]
    bench.run()
    check(bench)
    tick(bench)
    assert bench.replica.compacted == bench.hub.view.checkpoint.n
    assert [op.n for op in ops(bench) if op.chain == bench.replica.author.chain] == live


@pytest.mark.feature("SY-11", "SY-06", "SY-15")
def test_frozen_branch_is_dropped_like_everything_else(bench: Bench) -> None:
    """Its opening and its grants are never answered, for it was sent again in another chain."""
    restart_station(bench, copied(bench.own))
    bench.sign_in()
    bench.own.segment_bytes = 1000
    bench.act({"id": "in the branch"}, operator=OPERATOR)
    branch = bench.replica.author.chain
    bench.replica._forked.add(branch)
    bench.flush(bench.replica)
    bench.link()
    assert "in the branch" in orders(bench.hub)
    assert any(op.chain == branch for op in ops(bench))
    before = bench.own.segments()[0]
    compacted(bench)
    assert bench.own.segments()[0] > before
    assert not any(op.chain == branch for op in ops(bench))


@pytest.mark.feature("SY-11", "SY-15")
def test_logs_behind_a_checkpoint_are_dropped_whole_files_at_a_time(bench: Bench) -> None:
    """Nothing is asked for before there is one; then both logs begin later, and all is as it was."""
    before = bench.replica.view.digest()
    tick(bench)
    assert bench.replica.compacted == 0
    compacted(bench)
    assert bench.copy.base.n > 0 < bench.own.segments()[0] - 1
    assert bench.replica.base == bench.copy.base
    assert bench.replica.view.digest() == bench.hub.view.digest() != before
    tick(bench)
    assert not bench.to_hub, "once is enough"
    desk(bench, "later")
    digest = bench.hub.view.digest()
    assert bench.replica.view.digest() == digest
    restart_station(bench, copied(bench.own))
    assert (bench.replica.compacted, bench.replica.view.digest()) == (18, digest)
    bench.link()
    bench.act({"id": "after the restart"})
    bench.run()
    assert not bench.refusals()
    opening = [op for op in ops(bench) if op.kind == "chain.open"][-1]
    assert opening.body["before"][0][:16] == bench.replica.keys.node


@pytest.mark.feature("SY-16", "SY-11")
def test_compacted_logs_verify(bench: Bench) -> None:
    """Behind what the server has signed; without it, or with a shorter one, they say what is missing."""
    compacted(bench)
    desk(bench, "later")
    node, public = bench.hub.keys.node, bench.server_key.public

    def look(disk: Any) -> Any:
        return verify_canon(disk, CAFE, node, public, bench.domain, verify_ed25519)

    assert look(copied(bench.copy)).problem is None
    station = bench.replica.keys
    own = verify_own(copied(bench.own), CAFE, station.signer.public, station.node, verify_ed25519)
    assert own.problem is None
    assert own.ops < 9
    bare = copied(bench.copy)
    bare.remove(SNAPSHOT_FILE)
    assert "nothing stands for entries 1 to" in look(bare).problem.what
    first = min(bench.copy.segments())
    short = copied(bench.copy)
    data = short.durable[bench.copy.name(first)]
    cut = read_commit(data, 0)
    assert cut is not None
    short.durable[bench.copy.name(first)] = data[: cut.end]
    for number in bench.copy.segments()[1:]:
        short.remove(bench.copy.name(number))
    assert look(short).problem.where == f"entry {bench.copy.base.n + 2}"
    assert "are missing" in look(short).problem.what
    flipped = copied(bench.copy)
    data = bytearray(flipped.durable[bench.copy.name(first)])
    data[300] ^= 1
    flipped.durable[bench.copy.name(first)] = bytes(data)
    assert look(flipped).problem is not None


@pytest.mark.feature("SY-11")
def test_chain_that_may_still_be_needed_stays(bench: Bench) -> None:
    """The chain that is written now, and what no entry before the checkpoint has answered."""
    files = bench.own.segments()
    check(bench)
    tick(bench)
    assert bench.own.segments() == files, "it is the chain of this process"
    part(bench)
    bench.act({"id": "offline"}, operator=OPERATOR)
    new_chain(bench)
    own = ops(bench)
    first, last = ((op.chain, op.n) for op in (own[0], own[-1]))
    assert first not in bench.replica.needed(99, own)
    assert first in bench.replica.needed(0, own)
    assert last in bench.replica.needed(99, own)


def ops(bench: Bench) -> list[Any]:
    from sync.recovery import own_ops

    return [op for op, _, _ in own_ops(commit for _, commit in bench.own.commits())]


@pytest.mark.feature("SY-11")
def test_snapshot_that_is_gone_is_not_asked_for_again(bench: Bench) -> None:
    """The next checkpoint will do; the link stays."""
    check(bench)
    bench.snapshot = []
    tick(bench)
    assert (bench.replica._gone, bench.replica.compacted) == (bench.hub.view.checkpoint.n, 0)
    assert not bench.dropped
    tick(bench)
    assert not bench.to_hub
    for at in range(3):
        desk(bench, f"more-{at}")
    check(bench)
    tick(bench)
    assert bench.replica.compacted == bench.hub.view.checkpoint.n


@pytest.mark.feature("SY-11")
def test_snapshot_of_another_history_stands_for_nothing(bench: Bench) -> None:
    """Nor does one of what our copy has not come to."""
    check(bench)
    short = Log(bench.copy.disk, "canon", CAFE, bench.hub.keys.node)
    short.segment_bytes = 1
    with pytest.raises(Refused, match="other-history"):
        compact(Found(bench.replica, short, bench.own), bench.snapshot[0], bench.snapshot[1:])
    part(bench)
    desk(bench, "behind our back")
    bench.snap()
    opened = Found(bench.replica, bench.copy, bench.own)
    with pytest.raises(Refused, match="other-history"):
        compact(opened, bench.snapshot[0], bench.snapshot[1:])
    assert bench.copy.base == Head()


@pytest.mark.feature("SY-08", "SY-11")
def test_start_of_compacted_logs_mends_what_can_be_fetched(bench: Bench) -> None:
    """A lost or old snapshot, or one that does not fit: all is fetched again, or what stands behind it."""
    compacted(bench)
    desk(bench, "later")
    digest = bench.hub.view.digest()
    whole = copied(bench.own)

    def restarted(change: Any) -> None:
        disk = copied(bench.own)
        disk.durable, disk.buffered = dict(whole.durable), dict(whole.buffered)
        change(disk)
        restart_station(bench, disk)
        link(bench)
        assert bench.replica.view.digest() == digest

    restarted(lambda disk: disk.remove(SNAPSHOT_FILE))
    assert bench.replica.base == Head()
    names = [name for name in whole.names() if name.startswith("canon")]

    def without_the_end(disk: Any) -> None:
        for name in names[1:]:
            disk.remove(name)

    restarted(without_the_end)
    assert 0 < bench.replica.base.n <= bench.replica.compacted

    def without_any(disk: Any) -> None:
        for name in names:
            disk.remove(name)

    restarted(without_any)
    assert 0 < bench.replica.base.n <= bench.replica.compacted


@pytest.mark.feature("SY-08")
def test_server_does_not_start_without_the_beginning_of_its_log(bench: Bench) -> None:
    """It keeps everything; what is missing is told."""
    bench.log.segment_bytes = 1
    desk(bench, "one")
    desk(bench, "two")
    disk = copied(bench.log)
    disk.remove("canon-000001.log")
    with pytest.raises(Damaged, match="entries 1 to"):
        open_hub(disk, bench.hub.keys, bench.domain, verify_ed25519, bench.chance.randbytes)


@pytest.mark.feature("SY-08")
def test_file_that_goes_on_from_somewhere_else_is_damage(bench: Bench) -> None:
    """Its first frame says where; a log that misses a file in the middle does not fit together."""
    disk = copied(bench.copy)
    names = [name for name in disk.names() if name.startswith("canon")]
    disk.remove(names[1])
    log = Log(disk, "canon", CAFE, bench.hub.keys.node)
    checker = CanonChecker(CAFE, bench.server_key.public, verify_ed25519)
    with pytest.raises(Damaged, match="does not go on"):
        list(log.recover(checker))
    for made in (checker, ChainChecker(CAFE, b"", verify_ed25519)):
        assert "does not go on" in made.take([pack([SEGMENT, 1]), b""])
        assert "unknown frame" in made.take([pack([SEAL]), b""])
    checker = CanonChecker(CAFE, bench.server_key.public, verify_ed25519)
    checker.expected = Head(4, bytes(32))
    log = Log(copied(bench.copy), "canon", CAFE, bench.hub.keys.node)
    with pytest.raises(Damaged, match="another one than in the snapshot"):
        list(log.recover(checker))


@pytest.mark.feature("SY-11")
def test_station_that_never_sold_drops_its_copy_alone(bench: Bench) -> None:
    """It has no log of its own."""
    disk = copied(bench.own)
    for name in disk.names():
        if name.startswith("own"):
            disk.remove(name)
    restart_station(bench, disk)
    bench.replica.worth_a_snapshot = 3
    bench.link()
    check(bench)
    tick(bench)
    assert bench.copy.base.n > 0
    head = bench.replica.canon
    bench.copy.disk.remove(SNAPSHOT_FILE)
    assert bench.copy.rewind(head.n) == head, "nothing stands behind it"
    assert bench.copy.rewind(bench.copy.base.n) == bench.copy.base, "nothing stands before it"
    done = rewind(Found(bench.replica, bench.copy, bench.own), head)
    assert done.head == done.base == Head(), "nothing stands for the beginning: all comes again"


@pytest.mark.feature("SY-07", "SY-11")
def test_rewind_to_where_no_seal_stands_behind_the_snapshot_begins_right_behind_it(
    bench: Bench,
) -> None:
    """The batch that came over the checkpoint was longer than what is left."""
    new_chain(bench)
    part(bench)
    for at in range(3):
        desk(bench, f"batch-{at}")
    bench.snap()
    head = bench.hub.head
    bench.hub.view.checkpoint = Head()
    bench.give(bench.hub, Checked(head, "backup"))
    old = copied(bench.log)
    desk(bench, "lost-1")
    desk(bench, "lost-2")
    bench.replica.worth_a_snapshot = 99
    bench.link()
    bench.replica.worth_a_snapshot = 3
    tick(bench)
    assert bench.replica.compacted == head.n
    restart_server(bench, old)
    link(bench)
    assert bench.replica.base == head
    assert {"lost-1", "lost-2", "batch-0"} <= orders(bench.hub)
    assert bench.replica.view.digest() == bench.hub.view.digest()


def test_checkpoint_never_falls(bench: Bench) -> None:
    """An older one is not put on record; it stands there for the next start."""
    check(bench)
    head = bench.hub.view.checkpoint
    assert bench.replica.view.checkpoint == head
    bench.give(bench.hub, Checked(Head(head.n - 1), "backup"))
    assert bench.hub.view.checkpoint == head
    part(bench)
    restart_server(bench, copied(bench.log))
    assert bench.hub.view.checkpoint == head


@pytest.mark.feature("SY-09")
async def test_disk_that_refuses_the_snapshot_leaves_the_logs_as_they_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, and the link stays; the next time it works."""
    new_chain(bench)
    bench.snap()
    driver = Driver(Found(bench.replica, bench.copy, bench.own), SystemClock())

    def full(*args: Any) -> None:
        raise StorageFailed("full")

    with monkeypatch.context() as broken:
        broken.setattr(bench.copy.disk, "replace", full)
        driver._run([Compact(bench.snapshot[0], bench.snapshot[1:])])
    assert bench.copy.base == Head()
    driver._run([Compact(bench.snapshot[0], bench.snapshot[1:])])
    assert bench.replica.base == bench.copy.base != Head()


def test_part_that_was_not_asked_for_ends_the_link(bench: Bench) -> None:
    """Also while the snapshot is only to stand beneath."""
    check(bench)
    bench.give(bench.replica, Tick())
    bench.give(bench.replica, Tick())
    bench.give(
        bench.replica, Received(LINK, SnapshotPart(bench.hub.view.checkpoint.n, 7, b"no header"))
    )
    assert bench.dropped == ["bad-snapshot"]
    bench.give(bench.replica, Opened(LINK, bench.hub.keys.node, b"S" * 32))
