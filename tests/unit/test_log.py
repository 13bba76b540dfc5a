"""A log on disk: what a crash leaves, what a bad sector leaves, and how they are told apart."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sync.clock import SystemClock
from sync.codec import pack
from sync.disk import OsDisk, ReadOnlyDisk
from sync.errors import Damaged, FolderBusy, StorageFailed
from sync.frames import OP, Seal, op_frame, read_op_frame, seal_frame
from sync.identity import Ed25519Signer, node_id, seal_text, verify_ed25519
from sync.log import ChainChecker, Log, encode_commit
from sync.op import Head, encode_op
from sync.verify import verify_own
from tests.support.disks import SimDisk, SimFile

CAFE = b"c" * 16
SIGNER = Ed25519Signer(b"p" * 32)
CHAIN = node_id(SIGNER.public) + b"e" * 8


class Writer:
    """Writes commits of ops into a log, sealed as a station does."""

    def __init__(self, log: Log) -> None:
        self.log, self.head = log, Head()

    def commit(self, count: int = 2) -> None:
        frames, head = [], self.head
        for _ in range(count):
            op = encode_op(
                chain=CHAIN,
                n=head.n + 1,
                kind="sell",
                version=1,
                body={"amount": head.n},
                grant=0,
                base=0,
                key=head.n.to_bytes(16, "big"),
                wall_ms=0,
                mono_ms=0,
                boot=bytes(8),
            )
            head = head.next(op.raw)
            frames.append(op_frame(op.raw))
        signature = SIGNER.sign(seal_text(CAFE, CHAIN, head.n, head.hash))
        self.log.commit([*frames, seal_frame(Seal(CHAIN, head.n, head.hash, signature))])
        self.head = head


def test_frame_of_an_op_holds_its_events_as_they_are_packed() -> None:
    """What is packed already is not packed into it as bytes."""
    events = [["sold", 1, {"amount": 3}]]
    assert op_frame(b"op", pack(events)) == pack([OP, b"op", events])
    assert read_op_frame(op_frame(b"op", pack(events))) == (b"op", events)


def new_log(disk: SimDisk) -> Log:
    return Log(disk, "own", CAFE, CHAIN[:16])


def recover(disk: SimDisk) -> tuple[Log, int]:
    """(log, number of ops that recovery found)."""
    log = new_log(disk)
    checker = ChainChecker(CAFE, SIGNER.public, verify_ed25519)
    for _ in log.recover(checker):
        pass
    return log, checker.head.n


def written(commits: int = 3, *, clean: bool = False) -> SimDisk:
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    for _ in range(commits):
        writer.commit()
    if clean:
        log.close()
    return disk


NAME = "own-000001.log"


@pytest.mark.feature("SY-08")
def test_log_cut_at_any_offset_is_torn_and_cut_to_the_last_seal() -> None:
    """A file that ends before its last commit does is what a crash leaves: nothing of it was shown."""
    whole = written().durable[NAME]
    ends = [0, *(len(written(commits).durable[NAME]) for commits in range(1, 4))]
    for size in range(len(whole)):
        disk = written()
        disk.durable[NAME] = whole[:size]
        log, ops = recover(disk)
        good = max(end for end in ends if end <= size)
        assert len(disk.durable[NAME]) == good
        assert ops == 2 * ends.index(good)
        if size != good:
            assert log.damage is not None
            assert log.damage.kind == "torn"


@pytest.mark.feature("SY-08", "SY-09")
@pytest.mark.parametrize("room_bytes", [1, 15, 16, 20, 5_000])
def test_commit_that_did_not_fill_the_room_taken_for_it_is_torn(room_bytes: int) -> None:
    """A crash leaves zeros behind what came to the disk: cut, and told as damage at most where only the
    last bytes of a signature are missing."""
    whole = written().durable[NAME]
    ends = [0, *(len(written(commits).durable[NAME]) for commits in range(1, 4))]
    for size in range(len(whole) + 1):
        disk = written()
        left = disk.durable[NAME] = whole[:size] + bytes(room_bytes)
        good = max(end for end in ends if left[:end] == whole[:end])
        missing = min((end - size for end in ends if end > size), default=0)
        log, ops = recover(disk)
        assert (len(disk.durable[NAME]), ops) == (good, 2 * ends.index(good)), size
        if size <= good:
            assert log.damage is None, size
        else:
            assert log.damage is not None, size
            assert log.damage.kind == "torn" or missing < 4, size


@pytest.mark.feature("SY-09", "RC-09")
@pytest.mark.parametrize("since", [0, 2])
def test_rewriting_takes_away_what_a_failed_write_has_left(
    monkeypatch: pytest.MonkeyPatch, since: int
) -> None:
    """Bytes that never counted may hold what is to be erased, in whatever file they are."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    writer.commit()
    counts = log.position.offset

    def written_all_the_same(file: SimFile) -> None:
        disk.durable[NAME] += disk.buffered[NAME]
        disk.buffered[NAME] = b""
        raise StorageFailed("EIO")

    def refused(file: SimFile, size: int) -> None:
        raise StorageFailed("EIO")

    with monkeypatch.context() as broken:
        broken.setattr(SimFile, "sync", written_all_the_same)
        broken.setattr(SimFile, "truncate", refused)
        with pytest.raises(StorageFailed):
            writer.commit()
    writer.commit()
    assert log.position.segment == 2
    assert len(disk.durable[NAME]) > counts
    log.rewrite(lambda frame: None, since)
    assert len(disk.durable[NAME]) == counts
    writer.commit()
    log.close()
    assert recover(disk)[1] == 6


@pytest.mark.feature("SY-16", "SY-18")
def test_log_is_read_whole_while_somebody_writes_it(tmp_path: Path) -> None:
    """What was room when it was read first is read again; damage is what stays as it is."""
    disk = OsDisk(tmp_path)
    writer = Writer(Log(disk, "own", CAFE, CHAIN[:16]))
    for _ in range(3):
        writer.commit()
    reader = Log(ReadOnlyDisk(tmp_path), "own", CAFE, CHAIN[:16]).commits()
    read = [next(reader), next(reader)]
    for _ in range(40):
        writer.commit(100)
    assert writer.log.position.offset > 256 << 10, "beyond the first room"
    read += reader
    assert sum(len(commit.frames) for _, commit in read) == 43 + 1 + 3 * 2 + 40 * 100
    disk.close()


@pytest.mark.feature("SY-08")
def test_bytes_in_the_room_that_nobody_wrote_are_told() -> None:
    """Zeros alone mean that nothing was written there."""
    disk = written()
    size = len(disk.durable[NAME])
    disk.durable[NAME] += bytes(500) + b"?" + bytes(500)
    log, ops = recover(disk)
    assert ops == 6
    assert log.damage is not None
    assert log.damage.kind == "quarantined"
    assert len(disk.durable[NAME]) == size


@pytest.mark.feature("SY-08")
def test_log_with_any_byte_flipped_in_its_last_commit_is_quarantined_then_cut() -> None:
    """A commit that is all there and does not verify was damaged: it is copied aside before the cut."""
    whole = written().durable[NAME]
    last = len(written(2).durable[NAME])
    for at in range(last, len(whole)):
        disk = written()
        disk.durable[NAME] = whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]
        log, ops = recover(disk)
        assert log.damage is not None, at
        assert log.damage.kind == "quarantined", at
        assert disk.durable[log.damage.copy] == (
            whole[last:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]
        )
        assert ops == 4


@pytest.mark.feature("SY-08")
def test_log_with_any_byte_flipped_before_a_seal_is_corrupt_and_never_cut() -> None:
    """Damage in front of a commit that verifies hides real history: nothing is thrown away."""
    whole = written().durable[NAME]
    last = len(written(2).durable[NAME])
    for at in range(last):
        disk = written()
        flipped = whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]
        disk.durable[NAME] = flipped
        with pytest.raises(Damaged) as caught:
            recover(disk)
        assert disk.durable[NAME] == flipped
        assert caught.value.offset <= at


@pytest.mark.feature("SY-08")
def test_clean_stop_makes_later_damage_show_as_corruption() -> None:
    """The second seal of a clean stop stands behind the last commit."""
    clean = written(clean=True)
    whole = clean.durable[NAME]
    assert len(whole) > len(written().durable[NAME])
    at = len(written(2).durable[NAME]) + 30
    clean.durable[NAME] = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    with pytest.raises(Damaged):
        recover(clean)


@pytest.mark.feature("SY-16")
def test_verify_names_what_any_flipped_byte_hit() -> None:
    """No byte of a log can change unseen, and the place is named."""
    whole = written().durable[NAME]
    for at in range(0, len(whole), 3):
        disk = written()
        disk.durable[NAME] = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
        found = verify_own(disk, CAFE, SIGNER.public, CHAIN[:16], verify_ed25519)
        assert found.problem is not None, at
        assert found.problem.log == NAME
        assert found.problem.offset <= at
    assert verify_own(written(), CAFE, SIGNER.public, CHAIN[:16], verify_ed25519).problem is None


@pytest.mark.feature("SY-09")
def test_log_after_a_failed_commit_is_as_it_was_before() -> None:
    """Short writes and failed syncs are seen; what was durable stays, what failed is gone."""
    disk = written()
    log, ops = recover(disk)
    writer = Writer(log)
    writer.head = Head(ops, ChainHeadOf(disk))
    before = disk.durable[NAME]
    disk.error_rate = 1.0
    with pytest.raises(StorageFailed):
        writer.commit()
    disk.error_rate = 0.0
    writer.commit()
    again, ops = recover(disk)
    assert ops == 8
    assert disk.durable[NAME].startswith(before)
    assert again.damage is None or again.damage.kind != "corrupt"


def ChainHeadOf(disk: SimDisk) -> bytes:
    """Hash of the chain in a log."""
    checker = ChainChecker(CAFE, SIGNER.public, verify_ed25519)
    for _ in new_log(disk).recover(checker):
        pass
    return checker.head.hash


def test_log_goes_on_in_a_new_segment_when_its_file_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Segments follow each other; recovery reads them as one."""
    monkeypatch.setattr("sync.log.MAX_SEGMENT_BYTES", 600)
    disk = written(commits=6)
    assert len([name for name in disk.names() if name.startswith("own-")]) > 1
    assert recover(disk)[1] == 12


def test_log_sealed_by_another_key_is_damaged() -> None:
    """A log that somebody else has written is not taken for ours."""
    disk = written()
    checker = ChainChecker(CAFE, Ed25519Signer.generate().public, verify_ed25519)
    with pytest.raises(Damaged, match="owner"):
        list(new_log(disk).recover(checker))


@pytest.mark.feature("SY-18")
def test_second_process_on_a_folder_is_refused(tmp_path: Path) -> None:
    """One writer a folder."""
    disk = OsDisk(tmp_path)
    with pytest.raises(FolderBusy):
        OsDisk(tmp_path)
    disk.close()
    OsDisk(tmp_path).close()


@pytest.mark.feature("SE-12")
def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """0600 in a 0700 folder."""
    disk = OsDisk(tmp_path / "data")
    log = Log(disk, "own", CAFE, CHAIN[:16])
    Writer(log).commit()
    disk.replace("view", b"x")
    log.close()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    for name in ("own-000001.log", "view"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    disk.close()


def test_real_disk_behaves_as_the_simulated_one(tmp_path: Path) -> None:
    """The double and the real thing give the same bytes and the same recovery."""
    real, fake = OsDisk(tmp_path), SimDisk(random.Random(1))
    for disk in (real, fake):
        log = Log(disk, "own", CAFE, CHAIN[:16])
        writer = Writer(log)
        writer.commit()
        writer.commit()
        log.close()
    assert real.read(NAME) == fake.read(NAME)
    assert ReadOnlyDisk(tmp_path).read(NAME, 10, 5) == fake.read(NAME, 10, 5)
    with pytest.raises(StorageFailed):
        ReadOnlyDisk(tmp_path).open(NAME)
    real.close()


def test_closed_file_takes_nothing_more(tmp_path: Path) -> None:
    """A descriptor that failed once is never used again."""
    disk = OsDisk(tmp_path)
    file = disk.open("a.log")
    file.append(b"x")
    file.close()
    with pytest.raises(StorageFailed):
        file.append(b"y")
    with pytest.raises(StorageFailed):
        file.sync()
    disk.close()


def test_commit_states_its_length() -> None:
    """The length in front is what tells a torn commit from a damaged one."""
    data = encode_commit([b"\x92\x03ab", b"\x92\x03cd"])
    assert int.from_bytes(data[12:16], "little") == len(data) - 16


def test_boot_id_is_new_for_every_process_start() -> None:
    """Monotonic times of two starts never compare."""
    assert SystemClock().boot != SystemClock().boot
