"""Disks that were put back from old copies, and folders in use twice: nothing is lost or doubled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from sync.archive import Archive
from sync.chains import again_body, frozen_body, read_again, read_frozen, read_open
from sync.codec import pack
from sync.errors import Malformed, Refused, StorageFailed
from sync.frames import ENTRY, NO_EVENTS, RUN_SEAL, read_entry, run_seal_frame, seal_in
from sync.grant import sign_grant
from sync.history import Epoch, common_head, follow, read_epochs
from sync.identity import hello_text, verify_ed25519
from sync.log import Log
from sync.messages import Ack, ClientHello, Entries, Proof, Push, ServerHello, SnapshotPart, decode
from sync.op import CHAIN_FROZEN, CHAIN_OPEN, OP_AGAIN, Head, Op, decode_op, encode_op
from sync.protocol import Act, Closed, CommitFailed, Flush, NodeKeys, Now, Opened, Received, Tick
from sync.recovery import open_hub, open_replica, own_ops
from tests.support.cores import CAFE, LINK, OPERATOR, Bench
from tests.support.disks import SimDisk
from tests.unit.test_cores import op, patched


def copied(log: Log) -> SimDisk:
    """A copy of a disk as it is now."""
    disk = SimDisk(log.disk.chance)  # type: ignore[attr-defined]
    disk.durable = {n: log.disk.read(n) for n in log.disk.names()}
    disk.buffered = dict.fromkeys(disk.durable, b"")
    return disk


def restart_server(bench: Bench, disk: SimDisk) -> None:
    """The server's process begins again over ``disk``."""
    part(bench)
    keys = NodeKeys(CAFE, bench.server_key, b"S" * 32, b"serverid")
    found = open_hub(disk, keys, bench.domain, verify_ed25519, bench.chance.randbytes)
    bench.hub, bench.log = found.core, found.canon  # type: ignore[assignment]
    bench.archive = Archive(bench.log)
    bench._do(bench.hub, bench.hub.open(bench.now))
    bench.flush(bench.hub)


def restart_station(bench: Bench, disk: SimDisk, boot: bytes = b"statio-2") -> None:
    part(bench)
    keys = NodeKeys(CAFE, bench.station_key, b"T" * 32, boot)
    server = bench.server_key.public
    found = open_replica(disk, keys, server, bench.domain, verify_ed25519, bench.chance.randbytes)
    assert found.own is not None
    bench.replica, bench.copy, bench.own = found.core, found.canon, found.own  # type: ignore[assignment]


def part(bench: Bench) -> None:
    """The link breaks; what was under way is gone."""
    bench.to_hub.clear()
    bench.to_replica.clear()
    bench.give(bench.hub, Closed(LINK))
    bench.give(bench.replica, Closed(LINK))


def link(bench: Bench) -> None:
    """Connect, and again where the first link ended in a rewind."""
    bench.link()
    while bench.dropped and bench.dropped.pop() == "rewound":
        part(bench)
        bench.link()


def desk(bench: Bench, name: str) -> Any:
    bench.give(bench.hub, Act("d", "order.keep", 1, {"id": name}, bench.chance.randbytes(16)))
    bench.run()
    return bench.results[-1]


def entries(bench: Bench) -> list[Any]:
    frames = [frame for _, commit in bench.log.commits() for frame in commit.frames]
    return [read_entry(frame) for frame in frames if frame[1] == ENTRY]


def orders(core: Any) -> set[str]:
    return {row["id"] for row in core.view.table("orders")}


@pytest.fixture
def bench() -> Bench:
    """A server and a station that have exchanged a few orders."""
    bench = Bench()
    bench.sign_in()
    bench.link()
    for at in range(5):
        bench.act({"id": f"early-{at}"}, operator=OPERATOR)
        bench.run()
    return bench


def test_epochs_tell_where_two_copies_part() -> None:
    """The last epoch in common ends in both; the nearer end is the last head that both have."""
    a, b, c, d = (
        Epoch(bytes([at]) * 24, first, bytes([at]) * 32) for at, first in enumerate((1, 10, 20, 15))
    )
    mine, theirs = Head(30, b"m" * 32), Head(25, b"t" * 32)
    cases = [
        ([], Head(), [a, b], theirs, Head()),
        ([a, b], mine, [a, b], theirs, theirs),
        ([a, b], Head(12, b"x" * 32), [a, b], theirs, Head(12, b"x" * 32)),
        ([a, b, c], mine, [a, d], theirs, Head(9, b.before)),
        ([a, b], mine, [a, d], theirs, Head(9, b.before)),
        ([a, b, c], mine, [b, d], theirs, Head(14, d.before)),
        ([a], Head(5, b"y" * 32), [b], theirs, None),
        ([a], Head(5, b"y" * 32), [replace_first(d)], theirs, Head()),
        ([a], Head(5, b"y" * 32), [], Head(), Head()),
    ]
    for own, head, others, their_head, common in cases:
        assert common_head(own, head, others, their_head) == common


def replace_first(epoch: Epoch) -> Epoch:
    return epoch._replace(first=1)


@pytest.mark.parametrize(
    "value",
    [[1], [b"x" * 24, 0, bytes(32)], [b"x", 1, bytes(32)], [b"x" * 24, 1, b""], "epoch"],
)
def test_epochs_of_another_form_are_malformed(value: Any) -> None:
    """They come from the network."""
    with pytest.raises(Malformed):
        read_epochs([value])
    good = [b"x" * 24, 1, bytes(32)]
    with pytest.raises(Malformed):
        read_epochs([good, good])


@pytest.mark.feature("SY-07")
def test_restored_server_gets_back_what_it_lost_with_the_outcomes_it_had(bench: Bench) -> None:
    """Accepted and refused as they were, though its desk went on; keys have one effect; all agree."""
    old = copied(bench.log)
    for at in range(3):
        bench.act({"id": f"lost-{at}"}, operator=OPERATOR)
        bench.act({"id": f"bad-{at}", "refuse": True}, operator=OPERATOR)
        bench.run()
    desk(bench, "lost-at-the-desk")
    lost = [e for e in entries(bench) if e.seq > 8]
    digest_before = orders(bench.hub)
    restart_server(bench, old)
    assert "lost-0" not in orders(bench.hub)
    desk(bench, "meanwhile")
    bench.act({"id": "offline"}, operator=OPERATOR)
    assert bench.hub.unreported() == {bench.replica.keys.node}
    bench.link()
    assert bench.dropped == ["rewound"]
    assert bench.hub.unreported(), "it has reported once it has folded our order again"
    part(bench)
    bench.link()
    assert not bench.hub.unreported()
    assert bench.hub.restored
    assert orders(bench.hub) == digest_before | {"meanwhile", "offline"}
    assert bench.hub.view.digest() == bench.replica.view.digest()
    assert not bench.replica.pending
    again = {e.op_raw: e for e in entries(bench) if "recovered" in e.note}
    for entry in lost:
        now = again[entry.op_raw]
        assert (now.at_ms, now.age_ms, now.accepted, now.outcome) == (
            entry.at_ms,
            entry.age_ms,
            entry.accepted,
            entry.outcome,
        )
        assert now.note == {"recovered": entry.seq, "by": bench.replica.keys.node}
    assert {"recovering", "server-restored"} <= set(bench.alarms)
    assert any(name.startswith("quarantine-canon") for name in bench.copy.disk.names())
    bench.act({"id": "after"}, operator=OPERATOR)
    bench.run()
    assert "after" in orders(bench.hub)


@pytest.mark.feature("SY-07")
def test_restored_server_that_started_often_since_is_found_out_as_well(bench: Bench) -> None:
    """Epochs before and behind the copy; a longer history by now than the one that was lost."""
    old = copied(bench.log)
    part(bench)
    for at in range(3):
        restart_server(bench, copied(bench.log))
        bench.link()
        bench.act({"id": f"lost-{at}"}, operator=OPERATOR)
        bench.run()
    restart_server(bench, old)
    for at in range(40):
        desk(bench, f"meanwhile-{at}")
    restart_server(bench, copied(bench.log))
    assert bench.hub.head.n > bench.replica.canon.n
    link(bench)
    assert {"lost-0", "lost-1", "lost-2", "meanwhile-39"} <= orders(bench.hub)
    assert bench.hub.view.digest() == bench.replica.view.digest()


@pytest.mark.feature("SY-07")
def test_what_is_here_already_is_passed_over_when_it_is_given_back_again(bench: Bench) -> None:
    """A station that could not rewind gives everything back once more: nothing comes twice."""
    old = copied(bench.log)
    bench.act({"id": "lost"}, operator=OPERATOR)
    bench.run()
    station = copied(bench.copy)
    restart_server(bench, old)
    link(bench)
    before = bench.hub.head.n
    restart_station(bench, station)
    link(bench)
    assert [e.note.get("recovered") for e in entries(bench) if e.seq > before] == []
    assert bench.hub.view.digest() == bench.replica.view.digest()


@pytest.mark.feature("SY-02", "SY-07")
def test_key_that_took_effect_in_the_new_life_has_no_second_one(bench: Bench) -> None:
    """An outcome that comes back for a key that was used meanwhile is refused, and said so."""
    old = copied(bench.log)
    bench.act({"id": "once"}, operator=OPERATOR)
    key = bench.replica.pending[-1].op.key
    bench.run()
    restart_server(bench, old)
    bench.give(bench.hub, Act("d", "order.keep", 1, {"id": "twice"}, key))
    link(bench)
    assert bench.refusals() == ["already-done"]
    assert "once" not in orders(bench.hub)
    assert bench.hub.view.digest() == bench.replica.view.digest()


@pytest.mark.feature("SY-07", "SE-04")
def test_nobody_gives_back_what_the_server_has_not_signed(bench: Bench) -> None:
    """Entries of another key, out of turn, or with ops missing before them are turned away."""
    old = copied(bench.log)
    bench.act({"id": "lost"}, operator=OPERATOR)
    bench.run()
    frames, _ = Archive(bench.copy).after(7)
    part(bench)
    cursor = bench.replica.canon

    def sign_on(seq: int, hash_: bytes) -> None:
        bench.dropped.clear()
        bench.give(bench.hub, Opened(LINK, bench.replica.keys.node, b"T" * 32))
        node = bench.replica.keys.node
        hello = ClientHello(1, CAFE, node, b"bootboot", 0, bytes(16), [], *cursor)
        bench.give(bench.hub, Received(LINK, hello))
        answer = decode(bench.to_replica.pop())
        assert isinstance(answer, ServerHello)
        text = hello_text(CAFE, node, bytes(16) + answer.nonce, b"T" * 32, b"S" * 32)
        proof = Proof(bench.station_key.sign(text), seq, hash_, False)
        bench.give(bench.hub, Received(LINK, proof))

    restart_server(bench, old)
    for seq, hash_ in (
        (cursor.n, b"x" * 32),
        (cursor.n + 1, cursor.hash),
        (2**40, bytes(32)),
    ):
        sign_on(seq, hash_)
        assert bench.dropped == ["other-history"]
        bench.give(bench.hub, Closed(LINK))
    for run, code in (
        (frames[:-1], "other-history"),
        (frames[1:], "other-history"),
        ([b"\x91", frames[-1]], "bad-type"),
        ([frames[-1]], "bad-type"),
    ):
        sign_on(7, b"y" * 32)
        bench.give(bench.hub, Received(LINK, Entries(run)))
        assert bench.dropped == [code], code
        bench.give(bench.hub, Closed(LINK))
    assert "lost" not in orders(bench.hub)
    assert not bench.hub.restored
    assert bench.hub.view.restored_ms == 0, "nobody makes the server believe it by a claim"
    sign_on(7, bytes(32))
    bench.give(bench.hub, Received(LINK, Ack([], 7)))
    assert bench.dropped == ["out-of-turn"], "only entries come now"


@pytest.mark.feature("SY-07", "SE-04", "SE-09")
@pytest.mark.parametrize(
    ("seal", "code"),
    [(lambda s: run_seal_frame(structs.replace(s, signature=bytes(64))), "bad-seal"),
     (lambda s: run_seal_frame(structs.replace(s, n=s.n + 1)), "bad-seal"),
     (lambda s: pack([RUN_SEAL, 1]), "bad-type")],
)  # fmt: skip
def test_seals_that_come_back_are_their_stations_own(bench: Bench, seal: Any, code: str) -> None:
    """Ours does not cover them, so each is checked: one that is forged would spoil the log for ever."""
    old = copied(bench.log)
    bench.act({"id": "lost"}, operator=OPERATOR)
    bench.run()
    restart_server(bench, old)
    bench.meet()
    bench.hear(bench.hub, bench.replica, bench.hub)
    given = decode(bench.to_hub.pop(0))
    assert isinstance(given, Entries)
    at = next(i for i, frame in enumerate(given.frames) if frame[1] == RUN_SEAL)
    frames = [*given.frames]
    frames[at] = seal(seal_in(frames[at]))
    bench.give(bench.hub, Received(LINK, Entries(frames)))
    assert bench.dropped[-1] == code
    part(bench)
    link(bench)
    assert "lost" in orders(bench.hub)


@pytest.mark.feature("SY-07")
def test_seals_of_what_is_here_already_are_not_written_again(bench: Bench) -> None:
    """Only what is missing comes back, with the seals over that."""
    desk(bench, "at the desk")
    frames, _ = Archive(bench.copy).after(0)
    old = copied(bench.log)
    bench.act({"id": "lost"}, operator=OPERATOR)
    bench.run()
    more, _ = Archive(bench.copy).after(seal_in(frames[-1]).n)
    restart_server(bench, old)
    bench.hub._begin(bench.now)
    missing = bench.hub.sequencer.missing([*frames[:-1], *more])
    again = bench.hub.sequencer.take_back(missing, b"s" * 16)
    assert any(frame[1] == RUN_SEAL for frame in frames)
    assert sum(frame[1] == RUN_SEAL for frame in again) == 1


def test_part_of_a_snapshot_that_was_gone_already_is_passed_over(bench: Bench) -> None:
    """The first of four answers ended the fetch."""
    bench.give(bench.replica, Received(LINK, SnapshotPart(0, 3, b"")))
    assert bench.dropped == []


@pytest.mark.feature("SY-06")
def test_restored_station_gets_its_own_ops_back_and_uses_no_id_twice(bench: Bench) -> None:
    """Its new chain begins behind what the server has: a person is told; nothing is lost or doubled."""
    own = copied(bench.own)
    bench.act({"id": "since"}, operator=OPERATOR)
    bench.run()
    restart_station(bench, own)
    bench.sign_in()
    bench.act({"id": "again"}, operator=OPERATOR)
    bench.link()
    bench.run()
    assert "station-restored" in bench.alarms
    assert {"since", "again"} <= orders(bench.hub)
    assert bench.hub.view.digest() == bench.replica.view.digest()
    ids = [e.op_raw for e in entries(bench)]
    assert len(set(ids)) == len(ids)


def twin(bench: Bench) -> Bench:
    """The same process, once more: a virtual machine that was copied while it ran."""
    other = Bench()
    other.chance.seed(2)
    other.hub, other.log, other.archive = bench.hub, bench.log, bench.archive
    other.now = bench.now
    restart = open_replica(
        copied(bench.own),
        replace(bench.replica.keys),
        bench.server_key.public,
        bench.domain,
        verify_ed25519,
        other.chance.randbytes,
    )
    assert restart.own is not None
    other.replica, other.copy, other.own = restart.core, restart.canon, restart.own  # type: ignore[assignment]
    other.replica.author.chain = bench.replica.author.chain
    other.replica.author.head = bench.replica.author.head
    other.replica.author._operators = dict(bench.replica.author._operators)
    other.replica.author._grants = dict(bench.replica.author._grants)
    return other


@pytest.mark.feature("SY-06")
@pytest.mark.parametrize("more", [0, 2])
def test_branch_of_a_chain_that_the_server_cannot_take_is_sent_again_in_a_new_one(
    bench: Bench, more: int
) -> None:
    """Heads that differ: the branch is frozen, its ops come under the same keys; all orders are there once."""
    part(bench)
    other = twin(bench)
    for at in range(1 + more):
        bench.act({"id": f"first-{at}"}, operator=OPERATOR)
    other.act({"id": "second"}, operator=OPERATOR)
    keys = [w.op.key for w in other.replica.pending]
    bench.link()
    bench.run()
    part(bench)
    other.link()
    other.run()
    other.give(other.replica, Tick())
    other.run()
    assert "fork" in other.alarms
    assert not other.replica.pending
    assert {"first-0", "second"} <= orders(bench.hub)
    assert other.replica.view.digest() == bench.hub.view.digest()
    kinds = [e.op_raw for e in entries(bench)]
    assert len(set(kinds)) == len(kinds)
    assert keys[-1] in bench.hub.view.keys
    # A start finds the frozen branch, and what took its place.
    disk = copied(other.own)
    restart_station(other, disk)
    assert all(w.op.chain != bench.replica.author.chain for w in other.replica.pending)
    other.link()
    other.run()
    assert other.alarms.count("fork") == 1
    assert other.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-06", "SY-09")
def test_frozen_branch_stays_until_its_ops_are_durable_again(bench: Bench) -> None:
    """If the disk refuses the new chain, the old ops stay shown, and it is tried again."""
    part(bench)
    other = twin(bench)
    bench.act({"id": "first"}, operator=OPERATOR)
    other.act({"id": "second"}, operator=OPERATOR)
    bench.link()
    bench.run()
    part(bench)
    commit, other.own.commit = other.own.commit, None  # type: ignore[method-assign]
    other.give(other.hub, Opened(LINK, other.replica.keys.node, b"T" * 32))
    other._do(
        other.replica, other.replica.step(Opened(LINK, other.hub.keys.node, b"S" * 32), other.now)
    )
    while other.to_hub or other.to_replica:
        if other.to_hub:
            other.give(other.hub, Received(LINK, decode(other.to_hub.pop(0))))
        if other.to_replica:
            message = Received(LINK, decode(other.to_replica.pop(0)))
            other._do(other.replica, other.replica.step(message, other.now))
    other.replica.step(Flush(), other.now)
    other._do(other.replica, other.replica.step(CommitFailed(StorageFailed("full")), other.now))
    (waiting,) = other.replica.pending
    assert waiting.op.body == {"id": "second"}
    other.own.commit = commit  # type: ignore[method-assign]
    other.flush(other.replica)
    assert "second" in orders(other.replica)  # also where it was sent again, and after a start
    assert other.replica.pending[-1].events == waiting.events
    written = own_ops(commit for _, commit in other.own.commits())
    assert [pack(shown) for op, shown, _ in written if op.kind == OP_AGAIN] == [waiting.events]
    other.run()
    assert "second" in orders(bench.hub)
    assert other.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-06")
def test_folder_in_use_on_two_machines_is_told_and_both_are_served(bench: Bench) -> None:
    """What an older connection of the same key says once a newer one has signed on is an alarm."""
    other = LINK + 1
    bench.give(bench.hub, Opened(other, bench.replica.keys.node, b"T" * 32))
    node = bench.replica.keys.node
    hello = ClientHello(1, CAFE, node, b"elsewher", 0, bytes(16), [], 0, bytes(32))
    bench.give(bench.hub, Received(other, hello))
    answer = decode(bench.to_replica.pop())
    assert isinstance(answer, ServerHello)
    text = hello_text(CAFE, node, bytes(16) + answer.nonce, b"T" * 32, b"S" * 32)
    proof = Proof(bench.station_key.sign(text), 0, bytes(32), False)
    bench.give(bench.hub, Received(other, proof))
    bench.to_replica.clear()
    bench.act({"id": "from the first"}, operator=OPERATOR)
    bench.hear(bench.hub)
    assert "cloned" not in bench.alarms, "it may have been under way"
    bench.pass_time(6)
    bench.to_replica.clear()
    bench.act({"id": "from the first, later"}, operator=OPERATOR)
    bench.hear(bench.hub)
    assert bench.alarms.count("cloned") == 1
    assert "from the first, later" in orders(bench.hub)
    bench.give(bench.hub, Closed(other))
    bench.give(bench.hub, Received(LINK, Ack([], bench.hub.links[LINK].acked)))
    assert bench.alarms.count("cloned") == 1, "the other one is gone"


# --- what the engine writes into chains --------------------------------------


def an_op(kind: str, body: dict[str, Any], **more: Any) -> Op:
    fields: dict[str, Any] = {"chain": b"n" * 24, "n": 3, "grant": 0, "key": b"k" * 16, **more}
    return Op(
        kind=kind,
        version=1,
        body=body,
        base=0,
        wall_ms=0,
        mono_ms=5,
        boot=bytes(8),
        raw=b"",
        **fields,
    )


@pytest.mark.parametrize(
    ("read", "op"),
    [
        (read_open, an_op(CHAIN_OPEN, {"canon": [0, bytes(32)]})),
        (read_open, an_op(CHAIN_OPEN, {"before": [b"short", 1, bytes(32)]})),
        (read_open, an_op(CHAIN_OPEN, {"before": 5})),
        (read_frozen, an_op(CHAIN_FROZEN, {})),
        (read_frozen, an_op(CHAIN_FROZEN, frozen_body(b"x" * 24, Head(1, bytes(32))))),
    ],
)
def test_places_of_chains_are_checked(read: Any, op: Op) -> None:
    """A patched station names no canonical head, and freezes nobody else's chain."""
    with pytest.raises(Refused, match="bad-field"):
        read(op)


def test_op_again_is_its_authors_own_under_the_grant_of_its_chain(bench: Bench) -> None:
    """Another node's op, another key, an engine's kind, a foreign or missing grant: each is refused."""
    granted = next(e for e in entries(bench) if b"grant.open" in e.op_raw)
    kept = next(e for e in entries(bench) if b"early-0" in e.op_raw)
    op, grant = decode_op(kept.op_raw), decode_op(granted.op_raw)
    good = an_op(OP_AGAIN, again_body(op, grant.raw), chain=op.node + b"new-life", key=op.key)

    def read(outer: Op) -> Any:
        return read_again(outer, CAFE, lambda who: [bench.operator_key.public], verify_ed25519)

    assert read(good) == (op, OPERATOR)
    nobody = structs.replace(op, grant=0)
    plain = decode_op(
        encode_op(**{n: v for n, v in structs.asdict(nobody).items() if n != "raw"}).raw
    )
    assert read(structs.replace(good, body=again_body(plain, b""))) == (plain, None)
    late = decode_op(
        encode_op(
            **{
                **{n: v for n, v in structs.asdict(grant).items() if n != "raw"},
                "body": sign_grant(bench.operator_key, CAFE, OPERATOR, op.chain, grant.n, 0),
            }
        ).raw
    )
    wrong: list[tuple[Op, str]] = [
        (structs.replace(good, body=again_body(op, late.raw)), "no-grant"),
        (structs.replace(good, body={"op": op.raw}), "bad-field"),
        (structs.replace(good, body={"op": 1, "grant": b""}), "bad-field"),
        (structs.replace(good, chain=b"x" * 24), "bad-id"),
        (structs.replace(good, key=b"x" * 16), "bad-id"),
        (structs.replace(good, body=again_body(grant, b""), key=grant.key), "bad-id"),
        (structs.replace(good, body=again_body(op, op.raw)), "no-grant"),
        (structs.replace(good, body=again_body(op, b"??")), "not-"),
    ]
    for outer, code in wrong:
        with pytest.raises((Refused, Malformed), match=code):
            read(outer)


def test_run_of_the_log_needs_entries_and_a_seal() -> None:
    """An empty run would move nothing and could be sent for ever."""
    with pytest.raises(Malformed):
        follow(Head(), [], CAFE, b"", verify_ed25519)


@pytest.mark.feature("SY-07", "SE-02")
def test_station_refuses_epochs_that_make_no_sense(bench: Bench) -> None:
    """Of another form, or of a history with which it shares nothing."""
    for epochs, code in ((["x"], "bad-hello"), ([(b"x" * 24, 5, bytes(32))], "other-history")):
        part(bench)
        bench.dropped.clear()
        told, bench.hub.view.epochs = bench.hub.view.epochs, epochs  # type: ignore[assignment]
        bench.link()
        assert bench.dropped == [code]
        bench.hub.view.epochs = told


@pytest.mark.feature("SY-07", "SY-15")
def test_long_history_comes_back_in_windows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A station sends as far as the server has acknowledged."""
    monkeypatch.setattr("sync.archive.BATCH_OPS", 2)
    monkeypatch.setattr("sync.replica.BATCH_OPS", 2)
    monkeypatch.setattr("sync.replica.WINDOW_BATCHES", 2)
    old = copied(bench.log)
    for at in range(9):
        bench.act({"id": f"lost-{at}"}, operator=OPERATOR)
        bench.run()
    restart_server(bench, old)
    link(bench)
    assert {f"lost-{at}" for at in range(9)} <= orders(bench.hub)
    assert bench.hub.view.digest() == bench.replica.view.digest()


@pytest.mark.feature("SE-05")
def test_station_cannot_say_that_history_was_lost_or_saved(bench: Bench) -> None:
    """Only the server writes that down."""
    own = [
        op(bench, 1, kind="canon.restored", body={}),
        op(bench, 2, kind="canon.checked", body={}),
    ]
    bench.push(patched(bench, own))
    assert bench.refusals() == ["server-only"] * 2
    assert bench.hub.view.restored_ms == 0


@pytest.mark.feature("SY-06")
def test_op_again_with_a_base_above_the_servers_is_refused(bench: Bench) -> None:
    """As any op is."""
    part(bench)
    other = twin(bench)
    bench.act({"id": "first"}, operator=OPERATOR)
    other.replica.canon = Head(other.replica.canon.n + 100, other.replica.canon.hash)
    other.act({"id": "second"}, operator=OPERATOR)
    other.replica.canon = Head(other.replica.canon.n - 100, other.replica.canon.hash)
    link(bench)
    part(bench)
    other.link()
    other.run()
    assert other.refusals()[-1] == "bad-base"
    assert "second" not in orders(bench.hub)


@pytest.mark.feature("SY-06")
def test_forked_chain_is_found_at_a_start_too(bench: Bench) -> None:
    """The process ended before it could freeze its branch; ops of another chain stay as they are."""
    part(bench)
    other = twin(bench)
    bench.act({"id": "first"}, operator=OPERATOR)
    bench.act({"id": "first-too"}, operator=OPERATOR)
    other.act({"id": "second"}, operator=OPERATOR)
    link(bench)
    part(bench)
    disk = copied(other.own)
    canon = copied(bench.copy)
    for name in [n for n in disk.durable if n.startswith("canon")]:
        del disk.durable[name]
    disk.durable |= {n: d for n, d in canon.durable.items() if n.startswith("canon")}
    disk.buffered = dict.fromkeys(disk.durable, b"")
    restart_station(other, disk)
    other.sign_in()
    other.act({"id": "third"}, operator=OPERATOR)
    other.link()
    other.run()
    assert {"second", "third"} <= orders(bench.hub)
    assert other.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-06")
def test_only_the_forked_chain_is_sent_again(bench: Bench) -> None:
    """Its grant and its start are not; what waits in another chain stays as it is."""
    part(bench)
    restart_station(bench, disk_of(bench))
    bench.sign_in()
    bench.act({"id": "forked"}, operator=OPERATOR)
    old = bench.replica.author.chain
    restart_station(bench, disk_of(bench))
    bench.sign_in()
    bench.act({"id": "other"}, operator=OPERATOR)
    bench.replica._forked |= {old, b"nothing waits in this one"[:24]}
    bench.flush(bench.replica)
    kinds = [(w.op.chain == old, w.op.kind) for w in bench.replica.pending]
    assert kinds == [
        (False, "chain.open"),
        (False, "grant.open"),
        (False, "order.keep"),
        (False, "chain.open"),
        (False, "chain.frozen"),
        (False, "op.again"),
    ]
    bench.link()
    bench.run()
    assert {"forked", "other"} <= orders(bench.hub)
    assert bench.hub.view.digest() == bench.replica.view.digest()


def disk_of(bench: Bench) -> SimDisk:
    return copied(bench.own)


def test_key_that_had_its_effect_elsewhere_shows_nothing_more_and_leaves_no_hole(
    bench: Bench,
) -> None:
    """The op is sent all the same; the server says that it was done already."""
    part(bench)
    key = bytes(16)
    bench.act({"id": "mine"}, operator=OPERATOR, key=key)
    bench.give(bench.hub, Act("d", "order.keep", 1, {"id": "theirs"}, key))
    part(bench)
    bench.hub.step(Opened(LINK, bench.replica.keys.node, b"T" * 32), bench.now)
    bench.give(bench.replica, Opened(LINK, bench.hub.keys.node, b"S" * 32))
    hello = bench.to_hub.pop(0)
    bench.give(bench.hub, Received(LINK, decode(hello)))
    bench.hear(bench.replica)
    pushes = [m for m in bench.to_hub if isinstance(decode(m), Push)]
    bench.to_hub = [m for m in bench.to_hub if m not in pushes]
    bench.run()
    assert [w.events for w in bench.replica.pending if w.op.key == key] == [NO_EVENTS]
    assert "mine" not in orders(bench.replica)
    bench.to_hub += pushes
    bench.run()
    assert bench.refusals() == ["already-done"]
    assert not bench.replica.pending


# --- revoked stations --------------------------------------------------------


@pytest.mark.feature("SE-06")
def test_what_a_revoked_station_sends_is_kept_and_never_accepted(bench: Bench) -> None:
    """Every op of its backlog is in the log as refused; it hears no entry, and its link ends."""
    part(bench)
    for at in range(3):
        bench.act({"id": f"late-{at}"}, operator=OPERATOR)
    folded = bench.replica.canon.n
    bench.domain.revoked.add(bench.replica.keys.node)
    bench.link()
    assert bench.refusals() == ["revoked"] * 3
    assert not orders(bench.hub) & {"late-0", "late-1", "late-2"}
    assert bench.dropped == ["revoked"]
    assert "revoked" in bench.alarms
    assert bench.replica.canon.n == folded
    assert [w.op.body["id"] for w in bench.replica.pending] == ["late-0", "late-1", "late-2"]
    part(bench)
    bench.alarms.clear()
    bench.link()
    assert bench.dropped[-1] == "revoked"
    assert bench.alarms == [], "it had nothing to say: nobody is told again and again"


@pytest.mark.feature("SE-06", "SY-07")
def test_revoked_station_gives_back_what_the_server_has_lost_before_its_link_ends(
    bench: Bench,
) -> None:
    """It is no longer trusted with new ops; the server's own seal is over the old ones. Only a station that
    heard that they are here cuts its copy back, and so has what else it did there to send again."""
    old = copied(bench.log)
    bench.act({"id": "lost"}, operator=OPERATOR)
    bench.run()
    restart_server(bench, old)
    bench.domain.revoked.add(bench.replica.keys.node)
    bench.meet()
    bench.hear(bench.hub, bench.replica, bench.hub)  # both hellos, and the proof
    assert bench.hub.links[LINK].returning is not None
    bench.give(bench.hub, Tick())
    assert bench.dropped == []
    bench.run()
    assert bench.dropped == ["rewound"]
    assert "lost" in orders(bench.hub)
    part(bench)
    bench.link()
    assert bench.dropped[-1] == "revoked"


@pytest.mark.feature("SE-06", "SY-15")
def test_revoked_station_cannot_fill_the_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a limit its pushes are turned away."""
    monkeypatch.setattr("sync.hub.KEPT_OF_REVOKED_BYTES", 300)
    part(bench)
    for at in range(3):
        bench.act({"id": f"late-{at}", "text": "x" * 200}, operator=OPERATOR)
    bench.domain.revoked.add(bench.replica.keys.node)
    before = bench.hub.head
    bench.link()
    assert bench.hub.head == before
    assert bench.dropped == ["revoked"]


# --- clocks ------------------------------------------------------------------


@pytest.mark.feature("SY-13")
@pytest.mark.parametrize("wall_ms", [0, 10**13])
def test_clock_that_is_far_from_the_servers_is_told_and_stops_nothing(wall_ms: int) -> None:
    """1970 or centuries ahead: orders go through all the same."""
    bench = Bench()
    bench.sign_in()
    right = bench.now
    bench.meet()
    bench.hear(bench.hub)
    bench.now = Now(wall_ms, right.mono_ms)
    bench.hear(bench.replica)
    assert "skew" in bench.alarms
    bench.act({"id": "a"}, operator=OPERATOR)
    bench.now = right
    bench.run()
    assert "a" in orders(bench.hub)


@pytest.mark.feature("SY-02", "SY-05")
def test_what_is_sold_while_the_server_answers_the_hello_is_sent_as_it_is(bench: Bench) -> None:
    """The hello named no chain, for all was answered: that the server names none is no fork."""
    bench.act({"id": "before"}, operator=OPERATOR)
    bench.run()
    part(bench)
    chain = bench.replica.author.chain
    bench.meet()
    bench.act({"id": "meanwhile"}, operator=OPERATOR)
    bench.run()
    assert bench.replica.author.chain == chain
    assert "meanwhile" in orders(bench.hub)
    assert not bench.replica.pending


@pytest.mark.feature("SY-07", "SY-09")
def test_loss_that_could_not_be_written_down_is_found_again(bench: Bench) -> None:
    """The disk refuses the round in which the server finds out: nothing of it has happened."""
    old = copied(bench.log)
    bench.act({"id": "lost"}, operator=OPERATOR)
    bench.run()
    restart_server(bench, old)
    bench.meet()
    bench.hear(bench.hub, bench.replica, bench.hub)
    assert not bench.hub.restored, "a claim alone is no proof"
    bench.hub.step(Received(LINK, decode(bench.to_hub.pop(0))), bench.now)
    assert bench.hub.restored
    bench.hub.step(Flush(), bench.now)
    bench.hub.step(CommitFailed(StorageFailed("full")), bench.now)
    assert not bench.hub.restored
    assert bench.hub.view.restored_ms == 0
    part(bench)
    link(bench)
    assert bench.hub.restored
    assert bench.hub.view.restored_ms > 0
    assert "lost" in orders(bench.hub)
