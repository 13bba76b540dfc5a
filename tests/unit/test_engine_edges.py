"""The engine where nothing usual comes: forged frames, full disks, peers that break the rules."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tinydb import where

from sync.archive import Archive
from sync.clock import SystemClock
from sync.codec import MAX_FRAME_BYTES, deflate, pack, unpack
from sync.disk import OsAppendFile, OsDisk, ReadOnlyDisk
from sync.driver import MOST_QUESTIONS, Driver
from sync.errors import Disconnected, Malformed, Refused, StorageFailed
from sync.frames import (
    NO_EVENTS,
    SEAL,
    Seal,
    Segment,
    decode_frame,
    decode_seal,
    read_entry,
    read_op_frame,
    run_seal_frame,
    seal_frame,
    segment_frame,
)
from sync.hub import Hub
from sync.identity import Ed25519Signer, canon_text, check_public_key, seal_text, verify_ed25519
from sync.log import CanonChecker, ChainChecker, Log, encode_commit, read_commit
from sync.messages import Ack, Answer, Bye, Entries, Push, ServerHello, decode, encode
from sync.op import Entry, Head
from sync.protocol import (
    MAX_STAGED_ENTRIES,
    Abandon,
    Act,
    Closed,
    CommitFailed,
    Drop,
    Flush,
    Kept,
    Opened,
    Receipt,
    Received,
    Send,
    Serve,
    SyncKept,
    Tick,
)
from sync.protocol import Keep as Keep_
from sync.recovery import Opened as OpenedCore
from sync.recovery import close, load_view, open_hub, open_replica, save_view
from sync.sealed import Cost, lock, unwrap_key, wrap_key
from sync.table import RowStore, RowTable
from sync.verify import verify_canon
from sync.view import ChainHead, View, decode_entry_op
from tests.support.cores import CAFE, LINK, Bench
from tests.support.disks import SimDisk
from tests.support.keep import Keep
from tests.unit.test_cores import op, patched
from tests.unit.test_log import CHAIN, SIGNER, Writer, new_log, recover


def no_space(*args: Any) -> Any:
    raise OSError(28, "No space left on device")


# --- the disk ----------------------------------------------------------------


@pytest.mark.parametrize("call", ["write", "ftruncate", "fdatasync", "open", "close", "fsync"])
@pytest.mark.feature("SY-09")
def test_every_call_that_fails_is_a_storage_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """The kernel's errors come out as ours, at every call; what was durable stays."""
    disk = OsDisk(tmp_path / "d")
    file = disk.open("a.log")
    file.append(b"kept")
    file.sync()
    acts: dict[str, Any] = {
        "write": lambda: file.append(b"x"),
        "ftruncate": lambda: file.truncate(1),
        "fdatasync": file.sync,
        "open": lambda: disk.replace("b", b"x"),
        "fsync": lambda: disk.remove("never"),
    }
    with monkeypatch.context() as broken:
        broken.setattr(os, call, no_space)
        if call == "close":
            file.close()  # what counts was synced before
        else:
            with pytest.raises(StorageFailed, match="No space"):
                acts[call]()
        if call in ("open", "fsync"):
            with pytest.raises(StorageFailed, match="No space"):
                disk.open("new.log")
    if call == "fdatasync":
        with pytest.raises(StorageFailed, match="closed after a failure"):
            file.append(b"more")
    assert disk.read("a.log").rstrip(b"\0") == b"kept"
    file.close()
    file.close()
    assert disk.read("a.log").rstrip(b"\0") == b"kept"
    disk.close()


@pytest.mark.feature("SY-09")
@pytest.mark.parametrize("full", [False, True])
def test_file_takes_room_ahead_and_gives_back_what_it_did_not_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """Zeros stand behind what was written until it is closed; a disk without room takes what it can."""
    if full:
        monkeypatch.setattr(os, "posix_fallocate", no_space)
    path = tmp_path / "a.log"
    file = OsAppendFile(path)
    data = b""
    for at in range(40):
        piece = bytes([at + 1]) * 10_000
        file.append(piece)
        data += piece
        left = path.read_bytes()
        assert (file.size, left[: file.size]) == (len(data), data)
        assert not left[file.size :].strip(b"\0")
    assert (path.stat().st_size == len(data)) is full
    file.truncate(25_000)
    file.append(b"end")
    file.close()
    assert path.read_bytes() == data[:25_000] + b"end"


@pytest.mark.feature("SY-09")
def test_short_write_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk takes a part and says so only by a number."""
    file = OsAppendFile(tmp_path / "a.log")
    monkeypatch.setattr(os, "write", lambda fd, data: len(data) - 1)
    with pytest.raises(StorageFailed, match="only 3 of 4"):
        file.append(b"four")
    file.close()


@pytest.mark.feature("SY-18")
def test_folder_that_is_only_looked_at_changes_by_no_call(tmp_path: Path) -> None:
    """`verify` reads beside a running node."""
    (tmp_path / "a").write_bytes(b"abc")
    disk = ReadOnlyDisk(tmp_path)
    assert disk.names() == ["a"]
    assert disk.read("a", 1, 1) == b"b"
    for act in (lambda: disk.open("a"), lambda: disk.replace("a", b""), lambda: disk.remove("a")):
        with pytest.raises(StorageFailed):
            act()
    assert (tmp_path / "a").read_bytes() == b"abc"


# --- frames, messages, keys --------------------------------------------------

SEAL_FIELDS: list[Any] = [SEAL, CHAIN, 1, bytes(32), b"s" * 64]


@pytest.mark.parametrize(
    ("decoder", "value"),
    [
        *(
            (lambda value: read_entry(pack(value)), wrong)
            for wrong in (
                [1, 1, 1, 1, b"", 1, [], {}],
                [1, 1, 1, 1, b"", True, [], {}, 0],
                [2, 1, 1, 1, b"", True, [], {}],
                [1, 1, 1, 1, b"", True, []],
            )
        ),
        (lambda value: read_op_frame(pack(value)), [2, b""]),
        (lambda value: read_op_frame(pack(value)), [2, "x", []]),
        (lambda value: read_op_frame(pack(value)), [2, b"", {}]),
        *((decode_seal, [*SEAL_FIELDS[:at], wrong]) for at, wrong in ((4, b""), (3, b""))),
        (decode_seal, [SEAL, CHAIN, -1, bytes(32), bytes(64)]),
        (decode_seal, [SEAL, b"", 1, bytes(32), bytes(64)]),
        (lambda value: decode_frame(pack(value)), {}),
        (lambda value: decode_frame(pack(value)), ["x"]),
        (lambda value: decode(pack(value)), "no list"),
        (lambda value: decode(pack(value)), [99]),
        (lambda value: decode(pack(value)), [5, [], 1, 2]),
        (lambda value: decode(pack(value)), [5, [["x"]], 1]),
        (lambda value: decode(pack(value)), [4, b"", 1, ["x"], b"", b"", 1]),
        (lambda value: decode(pack(value)), [4, b"", 1, [], b"", b"", 1]),
    ],
)
@pytest.mark.feature("SE-09")
def test_frame_of_another_shape_is_malformed(decoder: Any, value: Any) -> None:
    """Whatever its tag says."""
    with pytest.raises(Malformed):
        decoder(value)


@pytest.mark.feature("SE-03")
def test_public_keys_that_are_no_proper_points_are_refused() -> None:
    """Not canonical, not on the curve, the wrong length, of small order, and a proper one to which the
    point of order two was added: -x, -y."""
    own = int.from_bytes(SIGNER.public, "little")
    minus_y = 2**255 - 19 - (own & (2**255 - 1))
    mixed_order = (minus_y | (1 - (own >> 255)) << 255).to_bytes(32, "little")
    too_large = (2**255 - 19).to_bytes(32, "little")
    zero_x_with_sign = bytearray((1).to_bytes(32, "little"))
    zero_x_with_sign[31] |= 0x80
    off_curve = (2).to_bytes(32, "little")
    for bad in (b"short", too_large, bytes(zero_x_with_sign), off_curve, bytes(32), mixed_order):
        with pytest.raises(Malformed, match="bad-key"):
            check_public_key(bad)
    check_public_key(SIGNER.public)


@given(seed=st.binary(min_size=32, max_size=32), text=st.binary(max_size=200))
@pytest.mark.feature("SE-03")
def test_signatures_are_those_of_any_other_library(seed: bytes, text: bytes) -> None:
    """A client that signs with OpenSSL makes our bytes, and takes ours."""
    ours, theirs = Ed25519Signer(seed), Ed25519PrivateKey.from_private_bytes(seed)
    signature = ours.sign(text)
    assert signature == theirs.sign(text)
    assert ours.public == theirs.public_key().public_bytes_raw()
    theirs.public_key().verify(signature, text)
    assert verify_ed25519(ours.public, signature, text)


def test_signature_or_key_of_the_wrong_length_verifies_nothing() -> None:
    """The library reads as many bytes as a key has: it never gets fewer."""
    signature = SIGNER.sign(b"x")
    assert verify_ed25519(SIGNER.public, signature, b"x")
    assert not verify_ed25519(SIGNER.public[:31], signature, b"x")
    assert not verify_ed25519(SIGNER.public, signature[:63], b"x")
    assert not verify_ed25519(SIGNER.public, signature[:63] + b"x", b"")


@pytest.mark.feature("SE-07")
def test_wrapped_key_with_absurd_costs_or_fields_is_malformed() -> None:
    """A forged record cannot make a node compute for hours."""
    wrapped = wrap_key(SIGNER, "password", Cost(8, 1, 1))
    assert unwrap_key(wrapped, "password").public == SIGNER.public
    with pytest.raises(Refused, match="wrong-password"):
        unwrap_key(wrapped, "other")
    for changes in ({"memory_kib": 1 << 30}, {"passes": 0}, {"salt": 5}, {"box": None}):
        with pytest.raises(Malformed):
            unwrap_key({**wrapped, **changes}, "password")
    with pytest.raises(Malformed):
        unwrap_key({}, "password")
    with pytest.raises(Malformed, match="bad-type"):
        unwrap_key(lock(b"no key", "password", Cost(8, 1, 1)), "password")


# --- the log -----------------------------------------------------------------


def test_commit_that_states_nonsense_is_bad_not_torn() -> None:
    """A header of another form, a frame that does not fit, a commit without a seal."""
    from sync.frames import framed
    from sync.log import _COMMIT_BODY, _Bad

    good = encode_commit([pack(SEAL_FIELDS)])
    assert read_commit(good, 0) is not None
    header = framed(_COMMIT_BODY.pack(0x92, 7, 0xC4, 4, len(good) - 16))
    cut_frame = framed(_COMMIT_BODY.pack(0x92, 0, 0xC4, 4, 4)) + b"1234"
    for bad in (header + good[16:], cut_frame, encode_commit([pack([9, 1])])):
        with pytest.raises(_Bad):
            read_commit(bad, 0)


def test_checkers_say_what_is_wrong() -> None:
    """Unknown frames, seals that are none."""
    canon = CanonChecker(CAFE, SIGNER.public, verify_ed25519)
    own = ChainChecker(CAFE, SIGNER.public, verify_ed25519)
    seal = pack(SEAL_FIELDS)
    for checker in (canon, own):
        assert "unknown frame" in checker.take([pack([9, 1]), seal])
        assert "bad-type" in checker.take([pack([SEAL, 1])])
        assert not checker.signed(pack([SEAL, 1]))
    assert "bad-type" in own.take([pack([2, "x", []]), seal])


@pytest.mark.feature("SY-08")
def test_segment_cut_inside_a_commit_is_damage_if_another_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the last file can be torn by a crash."""
    monkeypatch.setattr("sync.log.MAX_SEGMENT_BYTES", 600)
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    while len(disk.names()) < 2:
        writer.commit()
    disk.durable["own-000001.log"] = disk.durable["own-000001.log"][:-3]
    from sync.errors import Damaged

    with pytest.raises(Damaged, match="ends inside a commit"):
        recover(disk)


@pytest.mark.feature("SY-08")
def test_later_commits_are_looked_for_past_what_only_seems_to_be_one() -> None:
    """Bytes that look like a commit and are none do not turn a torn end into corruption."""
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    writer.commit()
    whole = disk.durable["own-000001.log"]
    writer.commit()
    second = bytearray(disk.durable["own-000001.log"][len(whole) :])
    second[40] ^= 1
    lookalike = bytearray(whole[:60])
    lookalike[30] ^= 1
    third = bytes(second)
    for tail in (bytes(second) + bytes(lookalike), bytes(second) + whole[:60], third + third):
        disk.durable["own-000001.log"] = whole + tail
        log, ops = recover(disk)
        assert ops == 2
        assert log.damage is not None
        assert log.damage.kind == "quarantined"


def test_reader_of_a_log_begins_anywhere_and_reads_long_files_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Serving peers holds no whole file in memory."""
    monkeypatch.setattr("sync.log.MAX_SEGMENT_BYTES", 1500)
    monkeypatch.setattr("sync.log.READ_BYTES", 300)
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    while len(disk.names()) < 3:
        writer.commit()
    log, _ = recover(disk)
    every = list(log.commits())
    assert len(every) * 2 == writer.head.n
    from sync.log import Position

    number, commit = every[-2]
    behind = list(log.commits(Position(number, commit.end)))
    assert [c.frames for _, c in behind] == [every[-1][1].frames]
    assert not log.ends_with(b"no such seal", Position(9, 9))
    assert not log.ends_with(b"x" * 400, Position(1, 9))
    assert log.size(1) == len(disk.durable["own-000001.log"])


def test_file_left_over_from_a_failed_beginning_counts_for_nothing() -> None:
    """A second segment that could be made but not written to is begun again."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    writer.commit()
    disk.durable["own-000002.log"] = b"left over"
    disk.buffered["own-000002.log"] = b""
    log._file = None  # as after a write that could not be taken back
    writer.commit()
    assert disk.durable["own-000002.log"][16 + 8 + 1] == 6
    log.close()
    log.close()
    log2, ops = recover(disk)
    assert ops == 4
    log2.close()  # the second seal stands there already
    assert recover(disk)[1] == 4


# --- the archive -------------------------------------------------------------


def test_archive_serves_from_inside_a_commit_and_from_the_disk() -> None:
    """Whoever asks from anywhere gets the rest with a seal last; memory is bounded."""
    bench = Bench()
    bench.link()
    for number in range(3):
        bench.push(patched(bench, [op(bench, n) for n in (1, 2, 3)]))
        del number
    archive = Archive(bench.log)
    head = bench.hub.head.n
    whole, last = archive.after(0)
    assert last == head
    for seq in range(head + 1):
        frames, last = archive.after(seq)
        if seq == head:
            assert frames == []
            continue
        assert last == head
        seqs = [unpack(f)[1] for f in frames if f[1] == 1]
        assert seqs == list(range(seq + 1, head + 1))
        assert frames[-1] == whole[-1]
    archive.add(head + 1, [seal_frame(decode_seal(SEAL_FIELDS))])
    assert archive.after(head) == ([], head)


def test_archive_forgets_its_oldest_half_and_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is long past is read from the log, by places that are few too."""
    monkeypatch.setattr("sync.archive.RECENT_BYTES", 900)
    monkeypatch.setattr("sync.archive.BATCH_OPS", 1)
    monkeypatch.setattr("sync.archive.PLACES_KEPT", 2)
    bench = Bench()
    for number in range(12):
        key = bytes(15) + bytes([number])
        bench.give(bench.hub, Act("t", "order.keep", 1, {"id": str(number)}, key))
    seen, at = 0, 0
    while at < bench.hub.head.n:
        frames, at = bench.archive.after(at)
        seen += sum(frame[1] == 1 for frame in frames)
        assert len(bench.archive._places) <= 3
    assert seen == bench.hub.head.n
    assert len(bench.archive._recent) < 12


# --- hub and replica ---------------------------------------------------------


def test_link_ends_with_a_reason_for_every_message_that_does_not_fit() -> None:
    """Goodbyes, cursors of the future, another history, links that are gone."""
    bench = Bench()
    bench.link()
    bench.push(Bye("stopping"))
    assert bench.dropped.pop() == "bye"
    bench.give(bench.replica, Received(LINK, Bye("stopping")))
    assert bench.dropped.pop() == "bye"
    bench.give(bench.replica, Received(LINK, Answer(99, "", {})))
    assert bench.dropped.pop() == "out-of-turn"
    assert bench.alarms == ["peer-left", "server-left", "out-of-turn"]
    bench.give(bench.hub, Closed(LINK))
    assert bench.hub.step(Received(LINK, Ack([], 0)), bench.now) == []
    assert bench.hub.step(Closed(99), bench.now) == []


def test_act_done_before_is_answered_with_what_it_came_to() -> None:
    """The same key again does nothing, at the desk and at a station, before and after the answer."""
    bench = Bench()
    key = b"k" * 16
    for _ in range(2):
        bench.give(bench.hub, Act("t", "order.keep", 1, {"id": "a"}, key))
    first, second = bench.results[-2:]
    assert isinstance(first, Receipt)
    assert isinstance(second, Receipt)
    assert (second.state, second.seq) == ("done-before", first.seq)
    assert first.op_id.endswith(f":{first.n}")
    bench.link()
    assert bench.act({"id": "a"}, key=key).state == "done-before"
    bench.act({"id": "b"}, key=b"q" * 16)
    assert bench.act({"id": "b"}, key=b"q" * 16).state == "done-before"


@pytest.mark.feature("SY-02")
def test_op_of_another_chain_with_a_key_that_was_used_is_refused() -> None:
    """One effect a key, whoever sends it."""
    bench = Bench()
    bench.link()
    bench.push(patched(bench, [op(bench, 1, key=b"k" * 16), op(bench, 2, key=b"k" * 16)]))
    assert bench.refusals() == ["already-done"]


def test_rule_that_fails_while_deciding_is_a_refusal() -> None:
    """A fault of ours blocks nobody."""

    class Broken(Keep):
        def decide(self, tables: Any, op: Any, context: Any) -> Any:
            raise ZeroDivisionError

    bench = Bench()
    bench.hub.sequencer._domain = Broken(bench.keys)
    bench.link()
    bench.push(patched(bench, [op(bench, 1)]))
    assert bench.refusals() == ["fault"]


def test_station_that_is_not_enrolled_any_more_cannot_push() -> None:
    """Its link ends, and nothing of its run is taken."""
    bench = Bench()
    bench.link()
    known = bench.keys.pop(bench.replica.keys.node)
    head = bench.hub.head
    with pytest.raises(Refused, match="unknown-node"):
        bench.hub.sequencer.take_run(
            patched(bench, [op(bench, 1)]), lambda age: 0, bench.now.wall_ms
        )
    bench.keys[bench.replica.keys.node] = known
    assert bench.hub.head == head


def test_abandon_with_nothing_begun_changes_nothing() -> None:
    """And one while a commit is under way voids it."""
    bench = Bench()
    head, chain = bench.hub.head, bench.replica.author.chain
    for core in (bench.hub, bench.replica):
        core.step(Abandon(Refused("fault")), bench.now)
    assert (bench.hub.head, bench.replica.author.chain) == (head, chain)
    for core in (bench.hub, bench.replica):
        core.step(Act("t", "order.keep", 1, {"id": "a"}, b"k" * 16), bench.now)
        core.step(Flush(), bench.now)
        core.step(Abandon(Refused("fault")), bench.now)
        assert core.view.table("orders").row("a") is None
    for core in (bench.hub, bench.replica):
        core.step(Act("t", "order.keep", 1, {"id": "a"}, b"k" * 16), bench.now)
        core.step(Flush(), bench.now)
        core.step(CommitFailed(StorageFailed("full")), bench.now)
        assert core.view.table("orders").row("a") is None
    assert bench.act({"id": "a"}).state == "queued"


@pytest.mark.feature("SY-03", "SE-09")
def test_entries_that_do_not_fit_end_the_link_and_fold_nothing() -> None:
    """Frames of another kind, gaps, seals that cover nothing, seals of somebody else."""
    bench = Bench()
    bench.link()
    node = bench.hub.keys.node

    def run(frames: list[bytes], key: Ed25519Signer, seq: int = 0) -> list[bytes]:
        head = bench.replica.canon
        for frame in frames:
            head = head.next(frame) if frame[1] == 1 else head
        chain = node + b"whatever"
        text = canon_text(CAFE, chain, head.n, head.hash)
        return [*frames, seal_frame(Seal(chain, head.n, head.hash, key.sign(text)))]

    def entry(seq: int) -> bytes:
        return pack([1, seq, 0, 0, op(bench, 1), True, [["kept", 1, {"id": "z"}]], {}])

    at = bench.replica.canon.n
    tries = {
        "bad-entries": [
            run([pack([2, b"", []])], bench.server_key),
            run([entry(at + 2)], bench.server_key),
            run([], bench.server_key),
            [entry(at + 1), pack([SEAL, 1])],
        ],
        "other-history": [run([entry(at + 1)], SIGNER)],
    }
    for code, runs in tries.items():
        for frames in runs:
            bench.give(bench.replica, Received(LINK, Entries(frames)))
            assert bench.dropped.pop() == code
            assert bench.replica.view.table("orders").row("z") is None
    good = run([entry(at + 1)], bench.server_key)
    bench.give(bench.replica, Received(LINK, Entries(good)))
    assert bench.replica.view.table("orders").row("z") == {"id": "z"}


def test_answer_that_nobody_waits_for_and_a_server_that_lies() -> None:
    """Both end the link."""
    bench = Bench()
    bench.give(bench.replica, Opened(LINK, bench.hub.keys.node, b"S" * 32))
    lie = ServerHello(
        1, CAFE, bench.hub.keys.node, 0, bytes(16), [], 0, bytes(32), [], 0, bytes(64)
    )
    bench.give(bench.replica, Received(LINK, lie))
    assert bench.dropped.pop() == "bad-hello"
    assert bench.replica.step(Kept(), bench.now) == []
    bench.give(bench.replica, Closed(LINK))
    assert bench.replica.step(Kept(), bench.now) == []
    assert bench.replica.step(Tick(), bench.now) == []


def test_fault_behind_a_commit_answers_who_waits_and_begins_again() -> None:
    """What is durable is told; what could not be folded comes again."""
    bench = Bench()
    bench.link()
    bench.replica._push = lambda now: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    assert bench.act({"id": "a"}).state == "queued"
    assert bench.alarms[-1] == "fault"
    assert bench.dropped[-1] == "fault"
    del bench.replica._push
    for core in (bench.hub, bench.replica):
        bench.give(core, Closed(LINK))
    bench.link()
    assert bench.hub.view.table("orders").row("a") == {"id": "a"}


def test_station_restores_only_what_is_not_answered() -> None:
    """What stands in the log is passed over; a key that had its effect elsewhere shows nothing more."""
    bench = Bench()
    bench.act({"id": "a"})
    waiting = list(bench.replica.pending)
    again = Bench().replica
    for one in waiting:
        again.view.keys[one.op.key] = 7
    again.view.chains[waiting[0].op.chain] = ChainHead(1, b"", 0)
    own = [(w.op, unpack(w.events), Head(n, bytes([n]) * 32)) for n, w in enumerate(waiting, 1)]
    again.restore(own)
    assert [(w.op.n, w.events) for w in again.pending] == [(2, NO_EVENTS)]


# --- view, table, recovery ---------------------------------------------------


def test_entry_whose_bytes_are_no_op_has_none() -> None:
    """Where they stood is in its note; without a note they are simply none."""
    assert decode_entry_op(Entry(1, 0, 0, b"\xc1", False, ["x", {}], {})) is None


def test_rows_are_copied_and_changed_as_tinydb_expects() -> None:
    """Its updaters see each other's changes within one call."""
    store = RowStore({"t": (("kind",), ("n",))})
    table = RowTable(store, "t")
    store.writable = True
    table.put("a", {"kind": "x", "n": 1})
    table.put("b", {"kind": "x", "n": "no number"})
    table.put("b", {"kind": "y", "n": 2})
    assert [d.doc_id for d in table.search(where("kind") == "x")] == ["a"]

    def updater(live: Any) -> None:
        assert sorted(live) == ["a", "b"]
        assert len(live) == 2
        del live["a"]
        assert "a" not in live
        with pytest.raises(KeyError):
            live["a"]
        with pytest.raises(KeyError):
            del live["a"]
        live["c"] = {"kind": "z"}
        assert live["c"] == {"kind": "z"}
        assert sorted(live) == ["b", "c"]

    table._update_table(updater)
    assert sorted(str(d.doc_id) for d in table) == ["b", "c"]
    table.update({"n": 9}, doc_ids=["b"])
    assert table.row("b") == {"kind": "y", "n": 9}
    table.remove(doc_ids=["b"])
    assert table.row("b") is None
    index = table._rows.in_order[("n",)]
    index.drop("gone", 77)
    assert index.between(">=", 0) == []


@pytest.mark.feature("SY-10")
def test_view_file_that_is_hurt_or_of_another_format_is_folded_again() -> None:
    """It is disposable."""
    bench = Bench()
    disk = bench.log.disk
    save_view(disk, bench.hub.view, bench.hub.head, bench.log)
    good = disk.read("view")

    def loaded(data: bytes) -> int:
        disk.replace("view", data)
        return load_view(disk, View(bench.domain), bench.log)[0].n

    from sync.op import sha256

    other = pack({**_unpacked(good[32:]), "format": 0})
    assert loaded(good) == bench.hub.head.n
    assert loaded(b"") == loaded(good[:-1]) == loaded(sha256(other) + other) == 0


def _unpacked(data: bytes) -> dict[str, Any]:
    import msgpack

    found: dict[str, Any] = msgpack.unpackb(data, strict_map_key=False)
    return found


def test_stop_with_a_disk_that_refuses_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start folds the log; a station with something pending saves no view."""
    bench = Bench()
    disk = SimDisk(random.Random(1))
    keys = bench.replica.keys
    opened = open_replica(
        disk,
        keys,
        bench.server_key.public,
        bench.domain,
        verify_ed25519,
        random.Random(2).randbytes,
    )
    close(opened, disk)
    assert "view" not in disk.names()
    opened.core.pending.append(None)  # type: ignore[union-attr,arg-type]
    close(opened, disk)
    hub_disk = bench.log.disk
    monkeypatch.setattr(hub_disk, "replace", _refuse)
    close(OpenedCore(bench.hub, bench.log, None), hub_disk)  # type: ignore[arg-type]
    monkeypatch.undo()
    again = open_hub(hub_disk, bench.hub.keys, bench.domain, verify_ed25519, bench.chance.randbytes)
    assert again.core.head == bench.hub.head  # type: ignore[union-attr]
    assert again.rebuilt == bench.hub.head.n


def _refuse(*args: Any) -> None:
    raise StorageFailed("full")


def test_own_log_in_which_an_op_is_missing_is_not_taken_for_whole() -> None:
    """The chain's own signature covers the numbers too."""
    from sync.log import Commit
    from sync.op import encode_op
    from sync.recovery import own_ops

    second = encode_op(
        chain=CHAIN, n=2, kind="k", version=1, body={}, grant=0, base=0, key=bytes(16), wall_ms=0,
        mono_ms=0, boot=bytes(8),
    )  # fmt: skip
    from sync.frames import op_frame

    with pytest.raises(Malformed, match="op 2 at place 1"):
        list(own_ops(iter([Commit([op_frame(second.raw)], 0)])))


def test_messages_come_back_as_they_went() -> None:
    """Every kind of message, encoded and decoded."""
    for message in (
        Ack([[CHAIN, 1, bytes(32)]], 5),
        Bye("stopping"),
        Entries([b"x"]),
        Push(CHAIN, 1, [b"x"], bytes(64), bytes(8), 9),
    ):
        assert decode(encode(message)) == message


@pytest.mark.feature("SE-09", "SY-15")
def test_large_runs_travel_deflated() -> None:
    """Whoever sends more than a frame holds, or something else in the place of a run, is turned away."""
    frames = [bytes([at]) * 300 for at in range(200)]
    for message in (Entries(frames), Push(CHAIN, 1, frames, bytes(64), bytes(8), 9)):
        data = encode(message)
        assert len(data) < 60_000 / 4
        assert decode(data) == message
    stream = deflate(pack([6, frames]))
    bomb = deflate(bytes(MAX_FRAME_BYTES + 1))
    for wrong in (
        [14], [14, "text"], [14, b""], [14, b"no stream"], [14, stream[:-1]], [14, stream + b"x"],
        [14, bomb], [14, deflate(pack([5, [], 1]))], [14, deflate(pack([14, stream]))],
    ):  # fmt: skip
        with pytest.raises(Malformed):
            decode(pack(wrong))


# --- verify ------------------------------------------------------------------


class Forger:
    """Writes canonical logs with the server's own key: what a server alone could lie about."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.disk = SimDisk(random.Random(1))
        self.log = Log(self.disk, "canon", CAFE, self.bench.hub.keys.node)
        self.head = Head()
        self.key = self.bench.server_key

    def commit(self, *frames: bytes) -> None:
        for frame in frames:
            if frame[1] == 1:
                self.head = self.head.next(frame)
        chain = self.bench.hub.keys.node + b"epoch000"
        text = canon_text(CAFE, chain, self.head.n, self.head.hash)
        seal = Seal(chain, self.head.n, self.head.hash, self.key.sign(text))
        self.log.commit([*frames, seal_frame(seal)])

    def entry(self, raw: bytes, seq: int = 0, outcome: list[Any] | None = None) -> bytes:
        events = [["kept", 1, {"id": "a"}]] if outcome is None else outcome
        return pack([1, seq or self.head.n + 1, 0, 0, raw, True, events, {}])

    def problem(self) -> str:
        bench = self.bench
        found = verify_canon(
            self.disk, CAFE, bench.hub.keys.node, bench.server_key.public, bench.domain,
            verify_ed25519,
        )  # fmt: skip
        return found.problem.what if found.problem else ""


@pytest.mark.feature("SY-16")
def test_verify_names_every_lie_that_a_server_alone_could_tell() -> None:
    """Numbers, grants, seals of stations, seals of its own, entries that nobody can read."""
    lies: dict[str, Any] = {}
    forger = Forger()
    desk = forger.bench.hub.keys.node + b"epoch000"
    mine = op(forger.bench, 1, chain=desk)
    forger.commit(forger.entry(mine, seq=5))
    lies["it stands behind entry 0"] = forger

    forger = Forger()
    forger.commit(forger.entry(op(forger.bench, 2, chain=desk, grant=1)))
    lies["its grant does not hold"] = forger

    forger = Forger()
    grant = {"operator": b"o" * 16, "until": 5, "signature": bytes(64)}
    raw = op(forger.bench, 1, chain=desk, kind="grant.open", body=grant)
    forger.commit(forger.entry(raw, outcome=[]))
    lies["its grant does not hold "] = forger

    forger = Forger()
    station = forger.bench.replica.keys.node + b"epoch000"
    raw = op(forger.bench, 1, chain=station)
    run = Head().next(raw)
    wrong = Seal(station, 1, bytes(32), bytes(64))
    forger.commit(forger.entry(raw), run_seal_frame(wrong))
    lies["its station's seal does not fit the ops before it"] = forger

    forger = Forger()
    forger.commit(forger.entry(raw), run_seal_frame(Seal(station, 1, run.hash, bytes(64))))
    lies["its station did not sign it"] = forger

    forger = Forger()
    stranger = b"z" * 16 + b"epoch000"
    raw = op(forger.bench, 1, chain=stranger)
    run = Head().next(raw)
    forger.commit(forger.entry(raw), run_seal_frame(Seal(stranger, 1, run.hash, bytes(64))))
    lies["its station did not sign it "] = forger

    forger = Forger()
    forger.key = SIGNER
    forger.commit(forger.entry(mine))
    lies["the seal behind it is not its owner's"] = forger

    forger = Forger()
    forger.commit(forger.entry(mine))
    forger.head = Head()
    forger.commit(forger.entry(mine))
    lies["the seal does not fit entries 2 to 2"] = forger

    forger = Forger()
    forger.commit(forger.entry(mine, outcome=[["kept", 1, {}]]))
    lies["this version cannot read it"] = forger

    forger = Forger()
    forger.commit(pack([1, 1, 0, 0, b"\xc1", True, [], {}]))
    lies["'chain'"] = forger
    for what, told in lies.items():
        assert told.problem() == what.strip(), what
    forger = Forger()
    assert forger.problem() == ""
    forger.commit(forger.entry(mine))
    assert forger.problem() == ""


# --- the driver --------------------------------------------------------------


async def test_driver_that_was_never_started_stops() -> None:
    """With nothing said, a wire hears why."""
    bench = Bench()
    driver = Driver(OpenedCore(bench.replica, bench.log, bench.log), SystemClock())
    heard: list[str] = []

    class Wire:
        def send(self, message: Any) -> None: ...

        def drop(self, code: str) -> None:
            heard.append(code)

    driver.attach(Wire())
    await driver.stop()
    assert heard == ["stopping"]
    with pytest.raises(Refused, match="unknown-question"):
        await driver.on_inquire(b"", "x", {})
    driver.on_alarm("x", {})


@pytest.mark.feature("SE-10")
async def test_peer_has_only_so_many_questions_open() -> None:
    """One more is answered at once, and another peer's are none of it; those that are answered
    make room."""
    bench = Bench()
    hub = Driver(OpenedCore(bench.hub, bench.log, None), SystemClock())
    heard: list[Answer] = []

    class Wire:
        def send(self, message: Any) -> None:
            heard.append(message)

        def drop(self, code: str) -> None: ...

    go_on = asyncio.Event()

    async def slow(peer: bytes, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        await go_on.wait()
        return {}

    hub.on_inquire = slow
    one, other = hub.attach(Wire()), hub.attach(Wire())
    for number in range(MOST_QUESTIONS + 2):
        hub._inquire(one, b"", number, "x", {})
    hub._inquire(other, b"", 100, "x", {})
    hub._inquire(99, b"", 0, "x", {})
    for number in range(MOST_QUESTIONS):
        hub._inquire(99, b"", number, "x", {})  # its link is gone: nobody hears it
    await asyncio.sleep(0.01)
    assert [(a.number, a.code) for a in heard] == [(8, "too-many"), (9, "too-many")]
    go_on.set()
    await asyncio.sleep(0.01)
    assert {a.number for a in heard if not a.code} == {*range(MOST_QUESTIONS), 100}
    hub._inquire(one, b"", 200, "x", {})
    await asyncio.sleep(0.01)
    assert (heard[-1].number, heard[-1].code) == (200, "")
    await hub.stop()


@pytest.mark.feature("SY-02")
async def test_what_was_asked_for_before_a_stop_is_done() -> None:
    """However many commits it takes."""
    bench = Bench()
    driver = Driver(OpenedCore(bench.replica, bench.copy, bench.own), SystemClock())
    asked = [driver.act("order.keep", 1, {"id": str(n)}) for n in range(MAX_STAGED_ENTRIES + 2)]
    await driver.stop()
    assert all(token.done() and token.result().state == "queued" for token in asked)


async def test_effects_for_links_and_callers_that_are_gone_go_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A link ends while its answer is on the way; a caller gives up waiting."""
    bench = Bench()
    hub = Driver(OpenedCore(bench.hub, bench.log, None), SystemClock())
    hub._run([Send(9, Ack([], 0)), Drop(9, "x"), Serve(9, 0, 1)])
    hub._inquire(9, b"", 1, "nothing", {})
    monkeypatch.setattr(hub.archive, "after", lambda seq: 1 / 0)
    told: list[str] = []
    hub.on_alarm = lambda code, details: told.append(code)
    hub._serve(Serve(9, 0, 1))
    assert told == []
    await asyncio.sleep(0.01)
    disk = SimDisk(random.Random(1))
    copy = Log(disk, "canon", CAFE, bench.hub.keys.node)
    own = Log(disk, "own", CAFE, bench.replica.keys.node)
    station = Driver(OpenedCore(bench.replica, copy, own), SystemClock())
    station.act("order.keep", 1, {"id": "before"})
    act = station.act("order.keep", 1, {"id": "a"})
    assert act.cancel()
    await asyncio.sleep(0.01)
    assert bench.replica.view.table("orders").row("a") == {"id": "a"}
    with pytest.raises(Disconnected):
        await station.ask("x", {})
    monkeypatch.setattr(bench.replica, "_ask", lambda question: 1 / 0)
    with pytest.raises(Refused, match="fault"):
        await station.ask("x", {})
    assert bench.replica.step(Flush(), bench.now) == []


async def test_more_than_one_commit_holds_is_committed_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand acts at once are a few commits, not one without a limit."""
    monkeypatch.setattr("sync.driver.ROUND_MS", 60_000)
    bench = Bench()
    disk = SimDisk(random.Random(1))
    copy = Log(disk, "canon", CAFE, bench.hub.keys.node)
    own = Log(disk, "own", CAFE, bench.replica.keys.node)
    station = Driver(OpenedCore(bench.replica, copy, own), SystemClock())
    acts = [station.act("order.keep", 1, {"id": str(n)}) for n in range(1200)]
    await asyncio.gather(*acts)
    first, *sizes = [len(commit.frames) for _, commit in own.commits()]
    assert first < 10, "it found nothing going on"
    assert len(sizes) == 3
    assert max(sizes) < 600


@pytest.mark.feature("SY-01")
async def test_an_act_is_durable_at_once_and_those_behind_it_are_so_together() -> None:
    """Who finds nothing going on waits for no turn of the loop; all who act in the same turn share
    one more commit, behind a turn for everybody else, also when each acts as soon as the one before
    is done."""
    bench = Bench()
    disk = SimDisk(random.Random(1))
    copy = Log(disk, "canon", CAFE, bench.hub.keys.node)
    own = Log(disk, "own", CAFE, bench.replica.keys.node)
    station = Driver(OpenedCore(bench.replica, copy, own), SystemClock())
    first, *others = [station.act("order.keep", 1, {"id": str(n)}) for n in range(9)]
    assert first.result().state == "queued"
    assert len(list(own.commits())) == 1
    assert bench.replica.view.table("orders").row("0") is not None
    between: list[int] = []
    here, there = socket.socketpair()
    asyncio.get_running_loop().add_reader(here, lambda: between.append(len(list(own.commits()))))
    there.send(b"x")
    await asyncio.gather(*others)
    asyncio.get_running_loop().remove_reader(here)
    assert between[0] == 1, "what came over a socket meanwhile had its turn"
    assert len(list(own.commits())) == 2
    here.close()
    there.close()

    async def sell() -> None:
        for n in range(10, 20):
            await station.act("order.keep", 1, {"id": str(n)})

    selling, turns = asyncio.create_task(sell()), 0
    while not selling.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 5, "nobody who acts without an end keeps the loop to themselves"
    assert len(bench.replica.view.table("orders")) == 19


async def test_whoever_acts_hears_of_their_act_whatever_listeners_make_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A listener, an alarm or a link that fails changes nothing of what becomes of an act, and the
    next one is taken."""
    bench = Bench()
    bench.link()
    station = Driver(OpenedCore(bench.replica, bench.copy, bench.own), SystemClock())
    told: list[str] = []
    station.subscribe(lambda names: 1 / 0)  # type: ignore[arg-type, return-value]
    station.subscribe(lambda names: told.extend(names))
    assert station.act("order.keep", 1, {"id": "a"}).result().state == "queued"
    await asyncio.sleep(0.01)
    assert (await station.act("order.keep", 1, {"id": "b"})).state == "queued"
    assert "orders" in told, "the others hear it all the same"
    station.on_alarm = lambda code, details: told.remove("nothing of that kind")
    await asyncio.sleep(0.01)
    with monkeypatch.context() as broken:
        broken.setattr(bench.own, "commit", no_space)
        with pytest.raises(StorageFailed):
            await station.act("order.keep", 1, {"id": "c"})
    await asyncio.sleep(0.01)
    assert station.act("order.keep", 1, {"id": "d"}).result().state == "queued"
    assert bench.replica.view.table("orders").row("c") is None

    class Torn:
        def send(self, message: Any) -> None:
            told.append(f"{type(message).__name__} torn")
            raise OSError

        def drop(self, code: str) -> None:
            pass

    station._wires[LINK] = Torn()
    await asyncio.sleep(0.01)
    assert station.act("order.keep", 1, {"id": "e"}).result().state == "queued"
    assert "Push torn" in told
    await station.stop()


async def test_who_acts_while_a_server_starts_waits_for_its_epoch() -> None:
    """Its first commit is not over by then: the act has a round of its own."""
    bench = Bench()
    keys, domain = bench.hub.keys, bench.domain
    core = Hub(keys, View(domain), domain, verify_ed25519, bench.chance.randbytes)
    log = Log(SimDisk(bench.chance), "canon", CAFE, keys.node)
    hub = Driver(OpenedCore(core, log, None), SystemClock())
    acts: list[asyncio.Future[Receipt]] = []

    class Acting:
        def commit(self, frames: list[bytes]) -> None:
            if not acts:
                acts.append(hub.act("order.keep", 1, {"id": "from within"}))

        def close(self) -> None:
            pass

        def tick(self, head: Head) -> None:
            pass

    hub.mirror = Acting()  # type: ignore[assignment]
    hub.start()
    assert (await acts[0]).state == "accepted"
    assert (core.head.n, len(list(log.commits()))) == (2, 2)
    await hub.stop()


def test_refusal_that_cannot_be_folded_is_an_entry_all_the_same() -> None:
    """It changes no table, and blocks nothing."""

    class Broken(Keep):
        def refused(self, *args: Any) -> None:
            raise ZeroDivisionError

        def apply(self, *args: Any) -> None:
            raise ZeroDivisionError

    bench = Bench()
    bench.link()
    bench.hub.view.domain = Broken(bench.keys)
    head = bench.hub.head.n
    bench.push(patched(bench, [op(bench, 1)]))
    assert bench.hub.head.n == head + 1
    assert bench.replica.canon == bench.hub.head


def test_value_of_a_thousand_levels_is_too_deep() -> None:
    """For the careful decoder too."""
    with pytest.raises(Malformed, match="too-deep"):
        unpack(b"\x91" * 3000 + b"\x01")


def test_station_over_a_log_of_a_newer_server_says_so_at_its_start() -> None:
    """And shows what it can read."""

    class Older(Keep):
        def apply(self, tables: Any, event: Any) -> None:
            if event[2]["id"] == "newer":
                raise KeyError
            super().apply(tables, event)

    bench = Bench()
    for name in ("newer", "plain"):
        bench.give(bench.hub, Act("t", "order.keep", 1, {"id": name}, name.encode().ljust(16)))
    bench.log.close()
    archive = Archive(Log(bench.log.disk, "canon", CAFE, bench.hub.keys.node))
    assert archive.after(0)[1] == bench.hub.head.n
    opened = open_replica(
        bench.log.disk, bench.replica.keys, bench.server_key.public, Older(bench.keys),
        verify_ed25519, random.Random(2).randbytes,
    )  # fmt: skip
    assert [d.kind for d in opened.damage] == ["unfolded"]
    assert opened.core.view.table("orders").row("plain") == {"id": "plain"}


def test_file_is_cut_to_a_length(tmp_path: Path) -> None:
    """And grows on from there."""
    file = OsAppendFile(tmp_path / "a")
    file.append(b"12345")
    file.truncate(2)
    file.append(b"x")
    file.close()
    assert (tmp_path / "a").read_bytes() == b"12x"


@pytest.mark.feature("SY-08")
def test_last_commit_whose_seal_covers_something_else_is_quarantined() -> None:
    """Signed, whole, and not what stands before it."""
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    writer.commit()
    good = disk.durable["own-000001.log"]
    wrong = Seal(CHAIN, 3, bytes(32), SIGNER.sign(seal_text(CAFE, CHAIN, 3, bytes(32))))
    writer.log.commit([seal_frame(wrong)])
    log, ops = recover(disk)
    assert ops == 2
    assert log.damage is not None
    assert log.damage.kind == "quarantined"
    assert disk.durable["own-000001.log"] == good


@pytest.mark.feature("SY-13")
def test_age_of_an_op_from_another_start_is_unknown() -> None:
    """Monotonic clocks compare only within one boot."""
    bench = Bench()
    bench.link()
    for boot, age in ((b"otherrun", -1), (bench.replica.keys.boot, 0)):
        chain = bench.replica.keys.node + boot
        raw = op(bench, 1, chain=chain, boot=boot, mono_ms=bench.now.mono_ms)
        head = Head().next(raw)
        seal = bench.station_key.sign(seal_text(CAFE, chain, 1, head.hash))
        push = Push(chain, 1, [raw], seal, bench.replica.keys.boot, bench.now.mono_ms)
        assert bench.hub.step(Received(LINK, push), bench.now) == []
        staged = bench.hub._staged.frames[0]
        assert unpack(staged)[3] == age
        bench.flush(bench.hub)


def test_view_is_loaded_with_the_collector_as_it_was() -> None:
    """Off if it was off, on if it was on; what it keeps for ever is for the process to say."""
    bench = Bench()
    disk = bench.log.disk
    save_view(disk, bench.hub.view, bench.hub.head, bench.log)
    frozen = gc.get_freeze_count()
    for was in (False, True):
        gc.disable()
        if was:
            gc.enable()
        load_view(disk, View(bench.domain), bench.log)
        assert gc.isenabled() == was
    gc.enable()
    assert gc.get_freeze_count() == frozen


async def test_fault_in_a_tick_and_a_copy_that_cannot_be_kept_stop_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are told; what was to be kept is kept at the next try."""
    bench = Bench()
    bench.link()
    disk = SimDisk(random.Random(1))
    copy = Log(disk, "canon", CAFE, bench.hub.keys.node)
    own = Log(disk, "own", CAFE, bench.replica.keys.node)
    station = Driver(OpenedCore(bench.replica, copy, own), SystemClock())
    told: list[str] = []
    station.on_alarm = lambda code, details: told.append(code)
    with monkeypatch.context() as broken:
        broken.setattr(bench.replica, "_tick", lambda now: 1 / 0)
        station.post(Tick())
        await asyncio.sleep(0.01)
    assert told == ["fault"]
    frames = next(commit.frames for _, commit in bench.log.commits())
    station._run([Keep_([f for f in frames if f[1] != 6])])
    disk.error_rate = 1.0
    station._run([SyncKept()])
    assert station._kept.waiting
    disk.error_rate = 0.0
    station._run([SyncKept()])
    assert not station._kept.waiting


def test_links_that_are_not_signed_on_are_left_alone_at_a_tick() -> None:
    """They have a while; a station that owes nothing and hears nothing stays too."""
    bench = Bench()
    bench.give(bench.hub, Opened(LINK, bench.replica.keys.node, b"T" * 32))
    bench.give(bench.hub, Tick())
    assert bench.dropped == []
    bench.give(bench.hub, Closed(LINK))
    bench.link()
    bench.pass_time(60)
    bench.give(bench.replica, Tick())
    assert bench.dropped == []
    bench.give(bench.replica, Closed(99))
    assert bench.replica.signed_on


def test_silent_server_that_owes_an_answer_is_dropped() -> None:
    """Whatever the socket thinks."""
    bench = Bench()
    bench.link()
    bench.act({"id": "a"})
    bench.pass_time(11)
    bench.give(bench.replica, Tick())
    assert bench.dropped == ["silence"]


def test_first_frame_of_a_file_that_says_nothing_is_none() -> None:
    """Too short, torn, of another kind, or with a field missing."""
    from sync.log import _first_frame

    first = Segment("own", CAFE, CHAIN[:16], 2, 77, CHAIN, 5, bytes(32))
    good = encode_commit([segment_frame(first)])
    assert _first_frame(good) == first
    for bad in (
        good[:10],
        good[:40],
        good[:30] + b"x" + good[31:],
        encode_commit([pack([6, 1])]),
        encode_commit([pack(SEAL_FIELDS)]),
        encode_commit([b"\xc1"]),
    ):
        assert _first_frame(bad) is None


@pytest.mark.feature("SY-09")
def test_void_bytes_of_an_earlier_segment_are_remembered_until_they_are_cut() -> None:
    """A second failure in a later segment does not make them count."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    writer.commit()
    whole = disk.durable["own-000001.log"]
    disk.durable["own-000001.log"] += b"void"
    log._void, log._file = log.position, None
    real, disk.error_rate = disk.fails, 1.0
    calls = [0]

    def fails() -> bool:
        calls[0] += 1
        return calls[0] in (2, 3)  # the write into the new segment, and the cut behind it

    disk.fails = fails  # type: ignore[method-assign]
    with pytest.raises(StorageFailed):
        writer.commit()
    assert log._void is not None
    disk.fails = real  # type: ignore[method-assign]
    disk.error_rate = 0.0
    log.mend()
    assert log._void is None
    assert disk.durable["own-000001.log"] == whole
    writer.commit()
    assert recover(disk)[1] == 4


def test_own_op_that_cannot_be_shown_after_a_start_is_told() -> None:
    """It is kept and will be sent all the same."""

    class Picky(Keep):
        def apply(self, tables: Any, event: Any) -> None:
            raise KeyError

    disk = SimDisk(random.Random(1))
    bench = Bench()
    chance = random.Random(2).randbytes
    keys, server = bench.replica.keys, bench.server_key.public
    opened = open_replica(disk, keys, server, bench.domain, verify_ed25519, chance)
    opened.core.step(Act("t", "order.keep", 1, {"id": "a"}, b"k" * 16), bench.now)
    for effect in opened.core.step(Flush(), bench.now):
        assert opened.own is not None
        opened.own.commit(effect.frames)  # type: ignore[union-attr]
    again = open_replica(disk, keys, server, Picky(bench.keys), verify_ed25519, chance)
    assert [d.kind for d in again.damage] == ["unshown"]
    assert len(again.core.pending) == 2  # type: ignore[union-attr]


@pytest.mark.feature("SY-09")
def test_folder_that_cannot_be_made_is_told_with_a_sentence(tmp_path: Path) -> None:
    """As every refusal of a disk."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed):
        OsDisk(tmp_path / "file" / "folder")
