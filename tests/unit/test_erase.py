"""What somebody wants forgotten stands in no log any more, and every chain still verifies."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path
from typing import Any

import pytest

from sync.chains import again_body
from sync.clock import SystemClock
from sync.codec import pack
from sync.disk import OsDisk
from sync.driver import Driver
from sync.erase import erase_entries, erased_by, find_bodies
from sync.errors import Damaged, Malformed, Refused, StorageFailed
from sync.frames import (
    ENTRIES,
    ENTRY,
    ERASED,
    NO_EVENTS,
    digest_of,
    entry_frame,
    erased_frame,
    follow_entries,
    op_frame,
    read_entry,
    read_erased,
)
from sync.identity import seal_text, verify_ed25519
from sync.log import Log
from sync.messages import Entries, Push, decode
from sync.mirror import Mirror
from sync.op import CHAIN_OPEN, OP_AGAIN, Entry, Head, Op, decode_op, encode_op
from sync.protocol import Act, Erase, Received, Tick
from sync.recovery import Opened as Found
from sync.recovery import open_hub, take_out
from sync.snapshot import parts_of
from sync.state import PendingOp, merge
from sync.verify import verify_canon, verify_own
from tests.support.cores import CAFE, LINK, Bench
from tests.support.disks import SimDisk
from tests.unit.test_restored import copied, desk, link, part, restart_server, restart_station

SECRET = b"Ana Mora, 8888-1234"


@pytest.fixture
def bench() -> Bench:
    """A station has written down somebody, between two orders."""
    bench = Bench()
    bench.link()
    bench.act({"id": "before"})
    bench.act(person(), "person.keep", key=KEY)
    bench.act({"id": "after"})
    bench.run()
    keep(bench)
    return bench


KEY = b"key of a person."


def person() -> dict[str, Any]:
    return {"id": "ana", "data": SECRET.decode()}


def keep(bench: Bench) -> None:
    for _ in range(2):
        bench.give(bench.replica, Tick())
        bench.run()
    bench.copy.sync()


def forget(bench: Bench) -> None:
    """What the desk does: the row goes, then the bodies it was made of, on record."""
    bench.give(bench.hub, Act("f", "person.forget", 1, {"id": "ana"}, bench.chance.randbytes(16)))
    found = find_bodies(bench.log, {KEY: bench.hub.view.keys[KEY]})
    bench.give(bench.hub, Erase("e", found))
    bench.run()


def take_out_of_the_server(bench: Bench) -> None:
    take_out(Found(bench.hub, bench.log, None))


def take_out_of_the_station(bench: Bench) -> None:
    keep(bench)
    take_out(Found(bench.replica, bench.copy, bench.own))


def files(log: Log, kind: str = "") -> bytes:
    names = [name for name in log.disk.names() if name.startswith(kind)]
    return b"".join(log.disk.read(name) for name in names)


def tags(log: Log) -> list[int]:
    frames = [frame for _, commit in log.commits() for frame in commit.frames]
    return [frame[1] for frame in frames if frame[1] in ENTRIES]


def verified(bench: Bench, log: Log) -> Any:
    node, public = bench.hub.keys.node, bench.server_key.public
    return verify_canon(log.disk, CAFE, node, public, bench.domain, verify_ed25519)


@pytest.mark.feature("SY-16", "SY-17", "RC-09")
def test_body_goes_out_of_every_log_and_everything_still_verifies(bench: Bench) -> None:
    """The server's log, a station's copy and its own log; heads, lengths and tables stay."""
    heads = bench.hub.head, bench.replica.canon
    size = len(files(bench.own, "own"))
    assert all(SECRET in files(log) for log in (bench.log, bench.own))
    forget(bench)
    assert bench.hub.view.to_erase == bench.replica.view.to_erase != set()
    take_out_of_the_server(bench)
    take_out_of_the_station(bench)
    assert not any(SECRET in files(log) for log in (bench.log, bench.copy, bench.own))
    assert heads[0].n < bench.hub.head.n == bench.replica.canon.n
    assert len(files(bench.own, "own")) == size
    assert tags(bench.log).count(ERASED) == tags(bench.copy).count(ERASED) == 1
    for log in (bench.log, bench.copy):
        found = verified(bench, log)
        assert found.problem is None
        assert found.head == bench.hub.head.hash.hex()
    station, author = bench.replica.keys.node, bench.station_key.public
    own = verify_own(bench.own.disk, CAFE, author, station, verify_ed25519)
    assert own.problem is None
    assert own.ops == 4
    assert bench.hub.view.to_erase == bench.replica.view.to_erase == set()
    digest = bench.hub.view.digest()
    assert bench.replica.view.digest() == digest
    bench.act({"id": "goes on"})
    bench.run()
    keep(bench)
    restart_server(bench, copied(bench.log))
    restart_station(bench, copied(bench.own))
    link(bench)
    assert bench.replica.canon == bench.hub.head
    assert bench.replica.view.digest() == bench.hub.view.digest() != digest
    assert bench.refusals() == []


@pytest.mark.feature("SY-02", "RC-09")
def test_key_of_an_erased_op_has_no_second_effect(bench: Bench) -> None:
    """Also at a node that has never seen its body."""
    forget(bench)
    take_out_of_the_server(bench)
    restart_server(bench, copied(bench.log))
    fresh = Bench()
    fresh.hub, fresh.log, fresh.archive = bench.hub, bench.log, bench.archive
    fresh.link()
    assert fresh.replica.canon == fresh.hub.head
    assert fresh.replica.view.digest() == fresh.hub.view.digest()
    assert fresh.replica.view.keys[KEY] == bench.hub.view.keys[KEY]
    assert fresh.act(person(), "person.keep", key=KEY).state == "done-before"
    fresh.copy.sync()
    assert SECRET not in files(fresh.copy)
    assert verified(fresh, fresh.copy).problem is None


@pytest.mark.feature("SY-09", "RC-09")
def test_what_is_not_erased_yet_is_heard_of_again_at_the_next_start(bench: Bench) -> None:
    """A crash or a disk that refuses between the record and the deed."""
    forget(bench)
    keep(bench)
    before = bench.hub.view.to_erase
    restart_server(bench, copied(bench.log))
    restart_station(bench, copied(bench.own))
    assert bench.hub.view.to_erase == bench.replica.view.to_erase == before
    real, bench.log.disk.replace = bench.log.disk.replace, full  # type: ignore[method-assign]
    with pytest.raises(StorageFailed):
        take_out_of_the_server(bench)
    bench.log.disk.replace = real  # type: ignore[method-assign]
    assert SECRET in files(bench.log)
    take_out_of_the_server(bench)
    take_out_of_the_station(bench)
    take_out_of_the_server(bench)
    assert not any(SECRET in files(log) for log in (bench.log, bench.copy, bench.own))
    assert verified(bench, bench.log).problem is None


def full(name: str, data: bytes) -> None:
    raise StorageFailed("full")


@pytest.mark.feature("SY-07", "RC-09")
def test_restored_server_gets_erased_entries_back_without_their_bodies(bench: Bench) -> None:
    """And takes out itself what its old copy still has."""
    old = copied(bench.log)
    forget(bench)
    gone = encode_later(bench)
    take_out_of_the_server(bench)
    take_out_of_the_station(bench)
    assert not any(SECRET in files(log) for log in (bench.log, bench.copy, bench.own))
    restart_server(bench, old)
    assert SECRET in files(bench.log)
    link(bench)
    assert "bare-body" not in bench.alarms
    places = {place for _, place in bench.hub.view.to_erase}
    assert erased_by(bench.archive.after(bench.hub.view.epochs[-1].first)[0]) == (set(), places)
    assert places == {place for own in bench.replica.view.erased.values() for place in own}
    take_out_of_the_server(bench)
    assert SECRET not in files(bench.log)
    assert tags(bench.log).count(ERASED) == 2
    assert gone in bench.hub.view.keys
    keep(bench)
    assert verified(bench, bench.log).problem is None
    assert bench.replica.view.digest() == bench.hub.view.digest()
    cold = open_hub(
        copied(bench.log), bench.hub.keys, bench.domain, verify_ed25519, bench.chance.randbytes
    )
    assert cold.core.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-07", "SE-04", "RC-09")
def test_body_that_a_station_keeps_for_itself_is_told(bench: Bench) -> None:
    """The server's seal fits a frame without its body as well; that it shall be so, nobody has said."""
    old = copied(bench.log)
    bench.act({"id": "a sale of somebody else's", "data": SECRET.decode()}, key=b"a sale to hide..")
    bench.run()
    bench.domain._nodes[b"another station."] = bench.station_key.public
    restart_server(bench, old)
    bench.meet()
    bench.hear(bench.hub, bench.replica, bench.hub)
    given = decode(bench.to_hub.pop(0))
    assert isinstance(given, Entries)

    def patched(frame: bytes) -> bytes:
        entry = read_entry(frame) if frame[1] == ENTRY else None
        op = decode_op(entry.op_raw) if entry else None
        hide = entry and op and op.key == b"a sale to hide.."
        return erased_frame(op, frame, entry.seq) if hide else frame

    bench.give(bench.hub, Received(LINK, Entries([*map(patched, given.frames)])))
    bench.run()
    link(bench)
    assert "bare-body" not in bench.alarms, "somebody else may have our word"
    bench.domain.revoked.add(b"another station.")
    part(bench)
    link(bench)
    assert bench.alarms.count("bare-body") == 1
    assert not bench.hub._bare


def encode_later(bench: Bench) -> bytes:
    """Somebody else is written down and forgotten, all in the life that will be lost."""
    key = b"key of another.."
    bench.act({"id": "eva", "data": SECRET.decode()}, "person.keep", key=key)
    bench.run()
    bench.give(bench.hub, Act("f", "person.forget", 1, {"id": "eva"}, bench.chance.randbytes(16)))
    bench.give(bench.hub, Erase("e", find_bodies(bench.log, {key: bench.hub.view.keys[key]})))
    bench.run()
    return key


@pytest.mark.feature("SY-11", "RC-09")
def test_station_that_begins_from_a_snapshot_clears_its_own_log(bench: Bench) -> None:
    """It never reads the entry that says so."""
    part(bench)
    forget(bench)
    take_out_of_the_server(bench)
    assert bench.hub.snapshot == 0
    bench.snap()
    bench.replica.worth_a_snapshot = 1
    bench.link()
    assert bench.replica.compacted == bench.hub.snapshot
    assert bench.replica.view.to_erase == {
        (0, place) for places in bench.hub.view.erased.values() for place in places
    }
    take_out_of_the_station(bench)
    assert SECRET not in files(bench.own)
    assert bench.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-07", "RC-09")
def test_mirror_takes_bodies_out_whenever_it_hears_of_it(bench: Bench) -> None:
    """With a commit, when it is brought up, and at its next start after a crash between."""
    disk = SimDisk(bench.chance)
    public = bench.server_key.public

    def opened() -> Mirror:
        return Mirror(disk, CAFE, bench.hub.keys.node, public, verify_ed25519)

    mirror = opened()
    mirror.catch_up(bench.log, bench.hub.head)
    assert SECRET in files(mirror.log)
    behind = copied(mirror.log)
    commits: list[list[bytes]] = []
    real = bench.log.commit
    bench.log.commit = lambda frames, **how: (real(frames, **how), commits.append(frames))  # type: ignore[method-assign,assignment,func-returns-value]
    forget(bench)
    for frames in commits:
        mirror.commit(frames)
    assert SECRET not in files(mirror.log)
    disk = behind
    mirror = opened()
    mirror.catch_up(bench.log, bench.hub.head)
    assert SECRET not in files(mirror.log)
    disk = copied(bench.log)  # all was written, and nothing taken out
    assert SECRET not in files(opened().log)
    assert verified(bench, mirror.log).problem is None


@pytest.mark.feature("RC-09")
def test_bodies_that_tried_to_have_the_effect_once_more_go_as_well(bench: Bench) -> None:
    """A fork of the chain sends the op again; both places are erased, and the op inside the other."""
    kept = next(op for op in ops(bench.log) if op.key == KEY)
    chain = again(bench)
    assert bench.refusals() == ["already-done"]
    found = find_bodies(bench.log, {KEY: bench.hub.view.keys[KEY]})
    ((_, bodies),) = found
    places = [[kept.chain, kept.n], [chain, 2], [kept.chain, kept.n]]
    assert [[chain, n] for _, chain, n in bodies] == places
    forget(bench)
    take_out_of_the_server(bench)
    take_out_of_the_station(bench)
    assert not any(SECRET in files(log) for log in (bench.log, bench.copy, bench.own))
    assert verified(bench, bench.log).problem is None


@pytest.mark.feature("RC-09", "SY-05")
def test_body_that_comes_once_more_later_is_never_written(bench: Bench) -> None:
    """A copy of the process that was off sends it again; what is too short to have had one is refused
    as it ever was."""
    kept = next(op for op in ops(bench.log) if op.key == KEY)
    forget(bench)
    take_out_of_the_server(bench)
    take_out_of_the_station(bench)
    more = ("x", {}, KEY), ("order.keep", {"id": "goes on"}, b"m" * 16)
    push_chain(bench, b"otherlif", *again_of(kept), *more)
    assert bench.dropped == []
    assert bench.hub.view.table("orders").row("goes on") is not None
    assert bench.refusals() == ["already-done"]
    take_out_of_the_server(bench)
    take_out_of_the_station(bench)
    assert not any(SECRET in files(log) for log in (bench.log, bench.copy, bench.own))
    assert verified(bench, bench.log).problem is None
    assert bench.replica.view.digest() == bench.hub.view.digest()


def test_word_in_an_order_erases_nothing(bench: Bench) -> None:
    """Only the server's own op does."""
    bench.act({"id": "canon.erased"})
    bench.run()
    frames, _ = bench.archive.after(0)
    assert erased_by(frames) == (set(), set())


@pytest.mark.feature("SE-04", "SY-07", "RC-09")
def test_nobody_but_the_server_says_what_is_erased(bench: Bench) -> None:
    """A station's op of that kind is refused, and so it erases nothing on the second disk either."""
    kept = next(op for op in ops(bench.log) if op.key == KEY)
    bodies = {"keys": [[KEY, [[bench.hub.view.keys[KEY], kept.chain, kept.n]]]]}
    for at, body in enumerate((bodies, {}, {"keys": 5})):
        push_chain(bench, b"patched" + bytes([at]), ("canon.erased", body, bytes([at]) * 16))
    assert bench.refusals() == ["server-only"] * 3
    assert bench.hub.view.to_erase == set()
    disk, keys = SimDisk(bench.chance), bench.hub.keys
    mirror = Mirror(disk, CAFE, keys.node, bench.server_key.public, verify_ed25519)
    mirror.catch_up(bench.log, bench.hub.head)
    assert SECRET in files(mirror.log)
    frames, _ = bench.archive.after(0)
    assert erased_by(frames) == (set(), set())


@pytest.mark.feature("SY-16", "RC-09")
def test_body_that_went_without_a_word_of_the_servers_shows(bench: Bench) -> None:
    """Whoever sits at the disk cannot take out a sale as if it had been asked for."""
    erase_entries(bench.log, {bench.hub.view.keys[KEY]})
    problem = verified(bench, bench.log).problem
    assert problem is not None
    assert "its body is gone" in problem.what


@pytest.mark.feature("SY-08", "RC-09")
def test_log_whose_next_file_says_nothing_is_damaged_for_who_rewrites_it(tmp_path: Path) -> None:
    """How far a file counts stands in the one behind it: if that cannot be read, all of it does."""
    log = Log(OsDisk(tmp_path), "canon", CAFE, b"s" * 16)
    bench = Bench()
    bench.log = log
    log.segment_bytes = 1
    for at in range(3):
        desk(bench, f"desk-{at}")
    name = tmp_path / log.name(2)
    data = bytearray(name.read_bytes())
    data[40] ^= 1
    name.write_bytes(bytes(data))
    with pytest.raises(Damaged):
        erase_entries(log, {1})


@pytest.mark.feature("SY-05", "RC-09")
def test_junk_under_the_same_key_does_not_hinder_it(bench: Bench) -> None:
    """Refused ops say what they like."""
    for at, body in enumerate(({"data": SECRET.decode()}, {"op": SECRET * 4, "grant": b""})):
        push_chain(bench, b"patched" + bytes([at]), (OP_AGAIN, body, KEY))
    forget(bench)
    take_out_of_the_server(bench)
    assert SECRET not in files(bench.log)
    assert verified(bench, bench.log).problem is None


@pytest.mark.feature("SY-07", "RC-09")
def test_what_stands_behind_an_erased_op_is_sent_all_the_same(bench: Bench) -> None:
    """The server and the station's copy are both put back to before it: its own log has a hole."""
    bench.act({"id": "sold later"})
    bench.run()
    forget(bench)
    keep(bench)
    take_out_of_the_station(bench)
    own = copied(bench.own)
    for name in list(own.durable):
        if name.startswith("canon-"):
            own.remove(name)
    restart_server(bench, SimDisk(bench.chance))
    restart_station(bench, own)
    link(bench)
    for _ in range(3):
        bench.give(bench.replica, Tick())
        bench.run()
    orders = {row["id"] for row in bench.hub.view.table("orders")}
    assert orders == {"before", "after", "sold later"}
    assert not bench.replica.pending


@pytest.mark.feature("SY-06", "RC-09")
def test_start_behind_an_erased_op_is_no_restore(bench: Bench) -> None:
    """The newest op of the own log is erased: the next chain names the head behind it all the same."""
    part(bench)
    bench.link()
    bench.act({"id": "eva", "data": SECRET.decode()}, "person.keep", key=b"e" * 16)
    bench.run()
    bench.give(bench.hub, Act("f", "person.forget", 1, {"id": "eva"}, bench.chance.randbytes(16)))
    found = find_bodies(bench.log, {b"e" * 16: bench.hub.view.keys[b"e" * 16]})
    bench.give(bench.hub, Erase("e", found))
    bench.run()
    take_out_of_the_station(bench)
    head = bench.replica.author.head
    restart_station(bench, copied(bench.own))
    assert bench.replica.before is not None
    assert bench.replica.before[1:] == tuple(head)
    bench.link()
    bench.act({"id": "next"})
    bench.run()
    assert "station-restored" not in bench.alarms


@pytest.mark.feature("SY-15", "RC-09")
def test_too_many_at_once_are_refused_with_an_answer(bench: Bench) -> None:
    """Nobody waits for ever, and nothing else of the round is lost."""
    many = [[bytes([at % 256, at // 256]) * 8, [[1, b"c" * 24, 1]]] for at in range(1_500)]
    bench.give(bench.hub, Erase("e", many))
    assert "too-large" in str(bench.results[-1])
    assert bench.hub.view.erased == {}


@pytest.mark.feature("RC-09")
def test_bodies_go_out_of_old_files_too() -> None:
    """Each file is replaced as a whole; those without one stay."""
    bench = Bench()
    bench.log.segment_bytes = 600
    for at in range(9):
        body = {"id": f"p{at}", "data": SECRET.decode()}
        act = Act("p", "person.keep", 1, body, f"key of person {at:02d}".encode())
        bench.give(bench.hub, act)
    last = len(bench.log.segments())
    assert last > 3
    replaced: list[str] = []
    real = bench.log.disk.replace
    bench.log.disk.replace = lambda name, data: (replaced.append(name), real(name, data))[1]  # type: ignore[method-assign]
    keys = bench.hub.view.keys
    wanted = {key: seq for key, seq in keys.items() if key in (b"key of person 04",)}
    bench.give(bench.hub, Erase("e", find_bodies(bench.log, wanted)))
    take_out_of_the_server(bench)
    assert replaced == [name for name in bench.log.disk.names() if name in replaced]
    assert 1 == len(replaced) < last
    assert files(bench.log).count(SECRET) == 2 * 8
    assert verified(bench, bench.log).problem is None


@pytest.mark.feature("SY-03", "RC-09")
def test_refusal_of_an_erased_op_is_forgotten_everywhere(bench: Bench) -> None:
    """Also by who has read it before, and whatever is pending there."""
    again(bench)
    row = bench.hub.view.cursor
    assert bench.replica.view.table("refusals").row(str(row)) is not None
    forget(bench)
    assert bench.hub.view.table("refusals").row(str(row)) is None
    assert bench.replica.view.table("refusals").row(str(row)) is None
    assert bench.replica.view.digest() == bench.hub.view.digest()


def push_chain(bench: Bench, epoch: bytes, *ops: tuple[str, dict[str, Any], bytes]) -> bytes:
    """(kind, body, key) of what a copy of the station's process sends in a chain of its own; which
    chain that is."""
    chain, head, raws = bench.replica.keys.node + epoch, Head(), []
    for n, (kind, body, key) in enumerate(ops, 1):
        op = encode_op(
            chain=chain, n=n, kind=kind, version=1, body=body, grant=0, base=0, key=key,
            wall_ms=0, mono_ms=0, boot=b"statioid",
        )  # fmt: skip
        head = head.next(op.raw)
        raws.append(op.raw)
    seal = bench.station_key.sign(seal_text(CAFE, chain, head.n, head.hash))
    bench.push(Push(chain, 1, raws, seal, b"statioid", 1_000))
    return chain


def again_of(kept: Op) -> tuple[tuple[str, dict[str, Any], bytes], ...]:
    return (CHAIN_OPEN, {"before": None}, bytes(16)), (OP_AGAIN, again_body(kept, b""), kept.key)


def again(bench: Bench) -> bytes:
    """A copy of the station's process sends what it did once more; in which chain."""
    kept = next(op for op in ops(bench.log) if op.key == KEY)
    return push_chain(bench, b"anotherl", *again_of(kept))


def ops(log: Log) -> list[Op]:
    frames = [frame for _, commit in log.commits() for frame in commit.frames]
    return [decode_op(read_entry(frame).op_raw) for frame in frames if frame[1] == ENTRY]


@pytest.mark.feature("RC-09", "SY-15")
def test_only_what_has_a_body_can_be_erased(bench: Bench) -> None:
    """Once; not the engine's own, and nothing so short that its hashes take more room."""
    keys = bench.hub.view.keys
    opening = next(op for op in ops(bench.log) if op.kind == CHAIN_OPEN)
    with pytest.raises(Refused, match="not-erasable"):
        find_bodies(bench.log, {opening.key: keys[opening.key]})
    forget(bench)
    take_out_of_the_server(bench)
    with pytest.raises(Refused, match="not-erasable"):
        find_bodies(bench.log, {KEY: keys[KEY]})
    tiny = encode_op(
        chain=b"n" * 24, n=1, kind="k", version=1, body={}, grant=0, base=0, key=bytes(16),
        wall_ms=0, mono_ms=0, boot=bytes(8),
    )  # fmt: skip
    with pytest.raises(Malformed, match="too-short"):
        erased_frame(tiny, op_frame(tiny.raw)[:80])
    bench.give(bench.hub, Act("t", "order.keep", 1, {"id": ""}, b"k" * 16))
    with pytest.raises(Refused, match="not-erasable"):
        find_bodies(bench.log, {b"k" * 16: bench.hub.view.cursor})


def test_op_without_room_for_its_hashes_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, and nothing is touched."""

    def too_short(*args: Any) -> bytes:
        raise Malformed("too-short")

    monkeypatch.setattr("sync.erase.erased_frame", too_short)
    with pytest.raises(Refused, match="not-erasable"):
        find_bodies(bench.log, {KEY: bench.hub.view.keys[KEY]})


@pytest.mark.feature("SE-09")
def test_erased_frame_is_as_long_as_what_stood_there() -> None:
    """At every length, and it tells place, key and digests."""
    for size in [*range(40, 330), 65_300, 65_500, 65_536, 65_600, 65_800, 66_000]:
        op = encode_op(
            chain=b"n" * 24, n=7, kind="x", version=1, body={"x": "y" * 30}, grant=0, base=3,
            key=KEY, wall_ms=0, mono_ms=0, boot=bytes(8),
        )  # fmt: skip
        frame = entry_frame(Entry(9, 0, 0, op.raw, True, [["z" * size, 1, {}]], {}))
        erased = erased_frame(op, frame, 9)
        assert len(erased) == len(frame)
        stays = read_erased(erased)
        assert (stays.seq, stays.chain, stays.n, stays.key) == (9, op.chain, 7, KEY)
        assert digest_of(erased) == digest_of(frame)
        assert follow_entries(Head(), [frame, erased]) == Head().next(frame)._replace(
            n=2, hash=follow_entries(Head().next(frame), [frame]).hash
        )
    for wrong in (
        pack([ERASED, 1, b"", b"n" * 24, 1, bytes(32), KEY, b"", b"", 0]),
        pack([ERASED, 1, bytes(5), b"n" * 24, 1, bytes(32), KEY, b"", b""]),
        pack([ERASED, 1, bytes(32), b"n" * 24, 1, bytes(32), b"", b"", b""]),
    ):
        with pytest.raises(Malformed):
            read_erased(wrong)


@pytest.mark.feature("SY-02", "RC-09")
def test_entry_erased_before_its_author_heard_of_it_answers_the_op_all_the_same() -> None:
    """Its digest is left to know it by; another digest in its place is a fork."""
    op = encode_op(
        chain=b"n" * 24, n=1, kind="person.keep", version=1, body=person(), grant=0, base=0,
        key=KEY, wall_ms=0, mono_ms=0, boot=bytes(8),
    )  # fmt: skip
    other = encode_op(
        chain=b"n" * 24, n=1, kind="person.keep", version=1, body={**person(), "id": "e"}, grant=0, base=0,
        key=b"other key.......", wall_ms=0, mono_ms=0, boot=bytes(8),
    )  # fmt: skip
    for written, answered, forked in ((op, {(op.chain, 1)}, set()), (other, set(), {op.chain})):
        frame = entry_frame(Entry(1, 0, 0, written.raw, True, [["met", 1, written.body]], {}))
        entry = read_entry(erased_frame(written, frame, 1))
        merged = merge(0, [PendingOp(op, NO_EVENTS)], [(entry, None)])
        assert (merged.settled, merged.answered, merged.forked) == (0, answered, forked)


@pytest.mark.feature("SY-09", "SY-10")
def test_record_that_the_disk_refuses_erases_nothing(bench: Bench) -> None:
    """The view is as it was before."""
    found = find_bodies(bench.log, {KEY: bench.hub.view.keys[KEY]})
    view = bench.hub.view
    view.begin_trial()
    before = view.cursor
    bench.hub._author.renew()
    bench.hub._staged.begun = True
    bench.hub._erase("e", found, bench.now)
    assert view.erased
    view.drop_trial()
    bench.hub._staged.begun = False
    assert (view.cursor, view.erased, view.to_erase) == (before, {}, set())


async def test_driver_erases_by_key_and_tries_again_while_the_disk_refuses(bench: Bench) -> None:
    """Whoever asked hears when it is done here; a disk that refuses is told and asked again."""
    driver = Driver(Found(bench.hub, bench.log, None), SystemClock())
    told: list[str] = []
    driver.on_alarm = lambda code, details: told.append(code)
    with pytest.raises(Refused, match="not-erasable"):
        await driver.erase([b"nobody's key...."])
    real, bench.log.disk.replace = bench.log.disk.replace, full  # type: ignore[method-assign]
    receipt = await driver.erase([KEY])
    assert receipt.state == "accepted"
    await asyncio.sleep(0)
    assert told == ["not-erased"]
    driver._flush(driver._now())
    assert told == ["not-erased"], "not with every round"
    bench.log.disk.replace = real  # type: ignore[method-assign]
    driver._may_erase = True
    driver.post(Tick())
    await asyncio.sleep(0.01)
    assert SECRET not in files(bench.log)
    assert erased_by(driver.archive.after(0)[0]) == ({bench.hub.view.keys[KEY]}, set())
    await driver.stop()


@pytest.mark.feature("SY-11", "RC-09")
async def test_snapshot_in_the_making_is_begun_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was erased meanwhile is not in it."""
    driver = Driver(Found(bench.hub, bench.log, None), SystemClock())
    times: list[int] = []

    def parts(view: Any) -> Any:
        times.append(len(view.erased))
        yield from parts_of(view)
        if len(times) == 1:
            forget(bench)

    monkeypatch.setattr("sync.driver.parts_of", parts)
    head = await driver.make_snapshot()
    assert times == [0, 1]
    assert head == bench.hub.head
    assert SECRET not in zlib.decompress(driver._snapshot.parts[-1])  # type: ignore[union-attr]


async def test_driver_of_a_station_erases_at_its_start_what_a_crash_left(bench: Bench) -> None:
    """And not before its copy of the log is on disk."""
    forget(bench)
    keep(bench)
    driver = Driver(Found(bench.replica, bench.copy, bench.own), SystemClock())
    driver._kept.sync = lambda: False  # type: ignore[method-assign]
    told: list[str] = []
    driver.on_alarm = lambda code, details: told.append(code)
    driver.start()
    assert told == ["not-erased"]
    assert SECRET in files(bench.own)
    del driver._kept.sync  # type: ignore[method-assign]
    driver._take_out()
    assert SECRET not in files(bench.own)
    await driver.stop()


@pytest.mark.feature("SY-09")
def test_file_that_was_written_anew_is_written_on(bench: Bench) -> None:
    """Also where it cannot be opened again: the next commit begins another."""
    forget(bench)
    real = bench.log.disk.open

    def once(name: str) -> Any:
        bench.log.disk.open = real  # type: ignore[method-assign]
        raise StorageFailed("no descriptor")

    bench.log.disk.open = once  # type: ignore[method-assign]
    with pytest.raises(StorageFailed):
        take_out_of_the_server(bench)
    assert SECRET not in files(bench.log)
    bench.act({"id": "goes on"})
    bench.run()
    assert len(bench.log.segments()) == 2
    take_out_of_the_server(bench)
    assert verified(bench, bench.log).problem is None


@pytest.mark.feature("SY-08")
def test_files_behind_the_end_and_damaged_ones_are_left_alone(bench: Bench) -> None:
    """What is not durable does not count, and what cannot be read is not written."""
    disk: Any = bench.log.disk
    name = bench.log.name(1)
    disk.durable[bench.log.name(2)] = disk.durable[name]
    disk.buffered[bench.log.name(2)] = b""
    erase_entries(bench.log, {bench.hub.view.keys[KEY]})
    assert SECRET in disk.read(bench.log.name(2))
    assert SECRET not in disk.read(name)
    hurt = bytearray(disk.durable[name])
    hurt[40] ^= 1
    disk.durable[name] = bytes(hurt)
    with pytest.raises(Damaged):
        bench.log.rewrite(lambda frame: None)
