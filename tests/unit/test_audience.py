"""A node that may not read everything gets what is public and its own, and can check the chain."""

from __future__ import annotations

from typing import Any

import pytest

from sync.audience import may_read, readers, redacted
from sync.chains import again_body
from sync.errors import Malformed, Refused
from sync.frames import ENTRY, JUMP, decode_frame, entry_frame, jump_frame, read_jump, seal_in
from sync.history import follow
from sync.identity import hello_text, node_id, verify_ed25519
from sync.log import CanonChecker
from sync.messages import Entries, Proof, SnapshotPart, Want
from sync.op import OP_AGAIN, Entry, Head, encode_op
from sync.protocol import Act, Received, Tick
from sync.recovery import open_replica
from sync.verify import verify_canon
from tests.support.cores import CAFE, LINK, OPERATOR, Bench
from tests.unit.test_restored import copied, link, part, restart_server

PUBLIC = frozenset({"price.set"})


@pytest.fixture
def bench() -> Bench:
    """Its station may read only what is public and its own."""
    bench = Bench()
    bench.domain.customers.add(bench.replica.keys.node)
    bench.replica.public_only = True
    return bench


def desk(bench: Bench, *names: str, kind: str = "order.keep") -> None:
    for name in names:
        body = {"id": name, "text": f"of the desk: {name}"}
        bench.give(bench.hub, Act(name, kind, 1, body, bench.chance.randbytes(16)))
        bench.run()


def tick(bench: Bench) -> None:
    bench.give(bench.hub, Tick())
    bench.give(bench.replica, Tick())
    bench.run()


def kinds(bench: Bench) -> list[int]:
    """Tags of the entries and jumps in the station's copy, in their order."""
    frames = [f for _, commit in bench.copy.commits() for f in commit.frames]
    return [frame[1] for frame in frames if frame[1] in (ENTRY, JUMP)]


@pytest.mark.feature("SY-17")
def test_node_gets_what_is_public_and_its_own_and_not_a_byte_of_the_rest(bench: Bench) -> None:
    """Its tables, its files and its traffic; and it is as far as everybody else."""
    seen: list[bytes] = []
    bench.to_replica = Tapped(seen)
    desk(bench, "secret-1", "secret-2")
    bench.link()
    desk(bench, "coffee", kind="price.set")
    desk(bench, "secret-3", "secret-4")
    bench.act({"id": "mine"})
    bench.run()
    desk(bench, "secret-5")
    tick(bench)
    assert bench.replica.canon == bench.hub.head
    assert bench.replica.view.cursor == bench.hub.view.cursor
    view = bench.replica.view
    assert [row["id"] for row in view.table("orders")] == ["mine"]
    assert [row["id"] for row in view.table("prices")] == ["coffee"]
    assert not bench.replica.pending
    disk: Any = bench.copy.disk
    everything = b"".join([*seen, *disk.durable.values(), *disk.buffered.values()])
    assert b"coffee" in everything
    assert b"mine" in everything
    assert b"secret" not in everything
    assert bench.dropped == bench.alarms == []


class Tapped(list[bytes]):
    """A line that keeps what went over it."""

    def __init__(self, seen: list[bytes]) -> None:
        super().__init__()
        self.seen = seen

    def append(self, data: bytes) -> None:
        self.seen.append(data)
        super().append(data)


@pytest.mark.feature("SY-15", "SY-17")
def test_node_hears_at_once_what_concerns_it_and_once_a_second_how_far_the_rest_is(
    bench: Bench,
) -> None:
    """Two hundred screens are not told of every order that is sold."""
    bench.link()
    before = bench.replica.canon
    desk(bench, "a", "b", "c")
    assert bench.replica.canon == before
    tick(bench)
    assert bench.replica.canon == bench.hub.head
    desk(bench, "tea", kind="price.set")
    assert bench.replica.canon == bench.hub.head
    desk(bench, "d")
    bench.act({"id": "mine"})
    bench.run()
    assert bench.replica.canon == bench.hub.head


@pytest.mark.feature("SY-16", "SY-17", "SY-10")
def test_copy_with_jumps_verifies_and_is_read_back(bench: Bench) -> None:
    """Its owner finds the same tables again; for anybody who should have everything it is no log."""
    desk(bench, "secret-1")
    bench.link()
    desk(bench, "coffee", kind="price.set")
    bench.act({"id": "mine"})
    bench.run()
    desk(bench, "secret-2")
    tick(bench)
    assert JUMP in kinds(bench)
    bench.copy.sync()
    bench.copy.close()
    bench.own.close()
    station, public = bench.replica.keys, bench.server_key.public
    server = node_id(public)
    disk = bench.copy.disk

    def verified(*, public_only: bool) -> Any:
        return verify_canon(
            disk, CAFE, server, public, bench.domain, verify_ed25519, public_only=public_only
        ).problem

    assert verified(public_only=True) is None
    assert verified(public_only=False) is not None
    opened = open_replica(
        disk,
        station,
        public,
        bench.domain,
        verify_ed25519,
        bench.chance.randbytes,
        public_only=True,
    )
    core: Any = opened.core
    assert (core.canon, core.view.cursor) == (bench.hub.head, bench.hub.head.n)
    assert core.view.digest() == bench.replica.view.digest()
    assert not opened.damage


@pytest.mark.feature("SY-16", "SY-17")
def test_nobody_who_reads_everything_takes_a_jump(bench: Bench) -> None:
    """On the wire and on disk: it could hide anything."""
    desk(bench, "a")
    frames, _ = bench.archive.run(Head(), b"", PUBLIC)
    jumped = redacted(frames, Head(), bench.replica.keys.node, PUBLIC)
    public = bench.server_key.public
    head = follow(Head(), jumped, CAFE, public, verify_ed25519, jumps=True)
    assert head == bench.hub.head
    with pytest.raises(Malformed, match="frame"):
        follow(Head(), jumped, CAFE, public, verify_ed25519)
    full = CanonChecker(CAFE, public, verify_ed25519)
    assert "unknown frame" in full.take(jumped)
    part = CanonChecker(CAFE, public, verify_ed25519, jumps=True)
    assert part.take(jumped) == ""
    assert part.head == head
    assert "jump from" in part.take(jumped)
    bench.replica.public_only = False
    bench.domain.customers.clear()
    bench.link()
    bench.give(bench.replica, Received(LINK, Entries(jumped)))
    assert bench.dropped == ["bad-entries"]


@pytest.mark.feature("SY-14", "SY-17")
def test_what_is_missing_before_a_jump_shows(bench: Bench) -> None:
    """A jump says where it begins, so that a lost message cannot hide behind it."""
    bench.link()
    desk(bench, "coffee", kind="price.set")
    hidden = bench.hub.head
    desk(bench, "secret")
    frames, _ = bench.archive.run(hidden, bench.replica.keys.node, PUBLIC)
    assert read_jump(frames[0], hidden) == bench.hub.head
    with pytest.raises(Malformed, match="jump from"):
        follow(Head(), frames, CAFE, bench.server_key.public, verify_ed25519, jumps=True)
    with pytest.raises(Malformed):
        read_jump(jump_frame(5, Head(5, bytes(32))), Head(5, bytes(32)))
    with pytest.raises(Malformed):
        read_jump(jump_frame(0, Head(5, b"short")), Head())
    wrong = [jump_frame(0, Head(7, bytes(32))), frames[-1]]
    with pytest.raises(Refused, match="other-history"):
        follow(Head(), wrong, CAFE, bench.server_key.public, verify_ed25519, jumps=True)


@pytest.mark.feature("SY-17")
def test_entry_in_another_place_than_its_own_is_refused(bench: Bench) -> None:
    """Whatever the server has signed."""
    bench.link()
    number = bench.hub.view.cursor
    bench.hub.view.cursor += 1  # as a bug would do
    desk(bench, "coffee", kind="price.set")
    bench.hub.view.cursor = number
    assert bench.dropped == ["bad-entries"]


@pytest.mark.feature("SY-07", "SY-17")
def test_restored_server_neither_waits_for_it_nor_takes_anything_back_from_it(
    bench: Bench,
) -> None:
    """It has only parts; it cuts its copy back and takes what the server has now."""
    bench.link()
    desk(bench, "early")
    tick(bench)
    old = copied(bench.log)
    desk(bench, "coffee", kind="price.set")
    bench.act({"id": "mine"})
    bench.run()
    tick(bench)
    part(bench)
    restart_server(bench, old)
    assert bench.hub.unreported() == set()
    desk(bench, "since", "and since")
    link(bench)
    assert "server-restored" in bench.alarms
    tick(bench)
    assert bench.replica.canon == bench.hub.head
    assert not bench.replica.pending
    assert not bench.hub.restored
    assert [row["id"] for row in bench.replica.view.table("orders")] == ["mine"], "sent again"
    assert bench.hub.view.table("orders").row("mine") is not None


@pytest.mark.feature("SY-17", "SE-09")
def test_node_gets_no_snapshot_and_gives_nothing_back(bench: Bench) -> None:
    """A snapshot holds everything; entries that it claims the server has lost are not asked for."""
    for at in range(20):
        desk(bench, f"secret-{at}")
    bench.snap()
    bench.replica.worth_a_snapshot = 2
    bench.link()
    tick(bench)
    assert bench.replica.canon == bench.hub.head
    assert bench.replica._fetch is None
    bench.push(Want(bench.hub.snapshot, 0))
    assert bench.dropped == ["out-of-turn"]
    assert not any(isinstance(m, SnapshotPart) for m in bench.to_replica)


@pytest.mark.feature("SY-17", "SE-09")
def test_node_that_claims_to_know_what_the_server_lost_is_turned_away(bench: Bench) -> None:
    """What it has are parts."""
    bench.meet()
    bench.replica.canon = Head(99, b"x" * 32)
    bench.replica._nonce = b""
    hello: Any = bench.replica._hello(LINK, bench.now)[0]
    bench.give(bench.hub, Received(LINK, hello.message))
    nonces, server = bench.hub.links[LINK].nonces, bench.hub.keys.certificate
    text = hello_text(CAFE, bench.replica.keys.node, nonces, b"T" * 32, server)
    proof = Proof(bench.station_key.sign(text), *bench.hub.head, snapshot=False)
    bench.give(bench.hub, Received(LINK, proof))
    assert bench.dropped == ["other-history"]


@pytest.mark.feature("SY-17")
def test_what_each_entry_is_decides_who_reads_it(bench: Bench) -> None:
    """Public kinds, one's own, the log's own affairs; not what was refused, whoever tried it."""
    station, other = bench.replica.keys.node, b"somebody else..."

    def op(kind: str, node: bytes, body: dict[str, Any]) -> Any:
        return encode_op(
            chain=node + b"epoch000", n=1, kind=kind, version=1, body=body, grant=0, base=0,
            key=bytes(16), wall_ms=0, mono_ms=0, boot=bytes(8),
        )  # fmt: skip

    def reads(of: Any, *, accepted: bool = True, note: Any = None) -> bool:
        raw = of if type(of) is bytes else of.raw
        entry = Entry(1, 0, 0, raw, accepted, [] if accepted else ["x", {}], note or {})
        return may_read(entry_frame(entry), station, PUBLIC)

    price = op("price.set", other, {"id": "x"})
    again = again_body(price, b"")
    assert reads(price)
    assert not reads(price, accepted=False)
    assert reads(op(OP_AGAIN, other, again))
    assert not reads(op(OP_AGAIN, other, again_body(op("order.keep", other, {}), b"")))
    assert reads(op("order.keep", station, {}), accepted=False)
    assert not reads(op("order.keep", other, {}))
    assert reads(op("chain.open", other, {"canon": [0, bytes(32)]}))
    assert not reads(op("chain.open", other, {"before": None}))
    assert reads(op("canon.checked", other, {}))
    assert reads(b"noise", accepted=False, note={"chain": station + b"epoch000", "n": 4})
    assert not reads(b"noise", accepted=False, note={"chain": other + b"epoch000", "n": 4})
    assert not reads(b"noise", accepted=False)
    frames, _ = bench.archive.run(Head(), b"", PUBLIC)
    assert readers(frames, PUBLIC) is None
    mine = [f for f in frames if f[1] == ENTRY][:0]
    assert readers(mine, PUBLIC) == frozenset()


def test_run_is_told_with_as_few_jumps_as_can_be(bench: Bench) -> None:
    """Neighbours that may not be read are one jump, also at the end."""
    desk(bench, "a", "b")
    desk(bench, "tea", kind="price.set")
    desk(bench, "coffee", kind="price.set")
    desk(bench, "c", "d")
    frames, head = bench.archive.run(Head(), b"", PUBLIC)
    told = redacted(frames, Head(), bench.replica.keys.node, PUBLIC)
    assert [frame[1] for frame in told[:-1]] == [ENTRY, JUMP, ENTRY, ENTRY, JUMP]
    assert [decode_frame(f)[1:3] for f in told if f[1] == JUMP] == [[1, 3], [5, 7]]
    assert seal_in(told[-1]).n == head.n == 7
    assert OPERATOR not in b"".join(told)
