"""A log on disk: frames in commits, commits in segment files, a seal at the end of every commit.

    segment file = commit commit commit …
    commit       = frame(COMMIT, length of the rest) frame … frame(SEAL)
    frame        = length u32 ‖ CRC-32 u32 ‖ msgpack body            (little-endian)

One commit is one write and one sync. The length in front of it tells a torn commit (the file ends
before it does, or the room that was taken for it is still empty: a crash, cut it) from a damaged
one (all of its bytes are there and do not verify: keep a copy). Damage in front of a commit that
does verify is corruption, and never cut: it hides real history.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct

from sync.disk import AppendFile, Disk
from sync.errors import Damaged, Malformed, StorageFailed
from sync.frames import (
    COMMIT,
    ENTRIES,
    ERASED,
    JUMP,
    OP,
    RUN_SEAL,
    SEAL,
    SEGMENT,
    Segment,
    decode_frame,
    decode_segment,
    digest_of,
    framed,
    read_erased,
    read_jump,
    read_op_frame,
    seal_in,
    segment_frame,
)
from sync.identity import Verifier, canon_text, seal_text
from sync.op import CHAIN_BYTES, Head, link

_HEAD = struct.Struct("<II")
_COMMIT_BODY = struct.Struct("<BBBBI")  # [0, bin8 of 4 bytes]: msgpack of a fixed size
_COMMIT_BYTES = _HEAD.size + _COMMIT_BODY.size
_COMMIT_START = re.compile(
    re.escape(struct.pack("<I", _COMMIT_BODY.size)) + b"[\\s\\S]{4}\x92\x00\xc4\x04"
)
MAX_SEGMENT_BYTES = 4 << 20
MAX_COMMIT_BYTES = 1 << 30
READ_BYTES = 2 << 20
FIRST_BYTES = 4096
"""More than the first frame of a file can have."""


def encode_commit(frames: list[bytes]) -> bytes:
    """Bytes of one commit; the last frame is the seal."""
    head, crc32 = _HEAD.pack, zlib.crc32
    parts = [part for body in frames for part in (head(len(body), crc32(body)), body)]
    length = sum(map(len, parts))  # joined once: of a long run it is a large piece of memory
    return b"".join([framed(_COMMIT_BODY.pack(0x92, COMMIT, 0xC4, 4, length)), *parts])


class Commit(Struct, frozen=True):
    """One commit as read back: its frame bodies and where it ended in its file."""

    frames: list[bytes]
    end: int


class _Bad(Exception):
    """This commit does not verify; it never came to the disk if zeros stand from ``room`` on."""

    def __init__(self, what: str, room: int) -> None:
        super().__init__(what)
        self.room = room


def read_commit(data: bytes, at: int) -> Commit | None:
    """The commit at offset ``at``; None if the data ends before it does, or has nothing but zeros
    from inside it on; `_Bad` if it is damaged."""
    try:
        return _commit_at(data, at)
    except _Bad as bad:
        if data[bad.room :].strip(b"\0"):
            raise
        return None


def _commit_at(data: bytes, at: int) -> Commit | None:
    if at + _COMMIT_BYTES > len(data):
        return None
    length, crc = _HEAD.unpack_from(data, at)
    body = data[at + _HEAD.size : at + _COMMIT_BYTES]
    if length != _COMMIT_BODY.size or zlib.crc32(body) != crc:
        raise _Bad("commit header", at + _COMMIT_BYTES)
    array, tag, binary, size, rest = _COMMIT_BODY.unpack(body)
    if (array, tag, binary, size) != (0x92, COMMIT, 0xC4, 4) or rest > MAX_COMMIT_BYTES:
        raise _Bad("commit header", at + _COMMIT_BYTES)
    at += _COMMIT_BYTES
    end = at + rest
    if end > len(data):
        return None
    frames: list[bytes] = []
    while at < end:
        if at + _HEAD.size > end:
            raise _Bad("frame header", end - 4)
        length, crc = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        body = data[at : at + length]
        if at + length > end or zlib.crc32(body) != crc:
            raise _Bad(f"frame {len(frames) + 1}", end - 4)
        frames.append(body)
        at += length
    if not frames or len(frames[-1]) < 2 or frames[-1][1] != SEAL:
        raise _Bad("no seal", end - 4)
    return Commit(frames, end)


def _survey(data: bytes, at: int) -> tuple[list[Commit], int, str]:
    """Commits whose checksums hold, where they end, and what is wrong there (empty if nothing, or
    if the bytes only end too early)."""
    commits: list[Commit] = []
    while at < len(data):
        try:
            commit = read_commit(data, at)
        except _Bad as bad:
            return commits, at, str(bad)
        if commit is None:
            break
        commits.append(commit)
        at = commit.end
    return commits, at, ""


def whole_commits(data: bytes, at: int = 0) -> Iterator[Commit]:
    """Every commit from ``at`` on whose checksums hold, whatever stands between them."""
    for match in _COMMIT_START.finditer(data, at):
        with contextlib.suppress(_Bad):
            commit = read_commit(data, match.start())
            if commit is not None:
                yield commit


def _frames_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, body) of every frame of the commits of a file; `_Bad` at the first that does not
    verify."""
    at = 0
    while (commit := read_commit(data, at)) is not None:
        at += _COMMIT_BYTES
        for frame in commit.frames:
            yield at, frame
            at += _HEAD.size + len(frame)


_CHAIN_IN_SEAL = slice(4, 4 + CHAIN_BYTES)  # [array, tag, bin8, 24, chain…]


def _signed(commits: list[Commit], checker: Checker) -> int:
    """How many of the commits a seal of the owner covers. A seal covers what stands before it in
    its own chain, so the last one of each chain is looked at."""
    good = 0
    for at, commit in enumerate(commits, 1):
        chain = commit.frames[-1][_CHAIN_IN_SEAL]
        if at < len(commits) and commits[at].frames[-1][_CHAIN_IN_SEAL] == chain:
            continue
        if checker.signed(commit.frames[-1]):
            good = at
            continue
        behind = (n for n in range(at - 1, good, -1) if checker.signed(commits[n - 1].frames[-1]))
        return next(behind, good)
    return good


def _first_frame(data: bytes) -> Segment | None:
    """The first frame of a file; None if it is not readable. It counts even where the rest of its
    commit is torn."""
    at = 2 * _HEAD.size + _COMMIT_BODY.size
    if len(data) < at:
        return None
    length, crc = _HEAD.unpack_from(data, at - _HEAD.size)
    body = data[at : at + length]
    if len(body) != length or zlib.crc32(body) != crc:
        return None
    try:
        return decode_segment(decode_frame(body))
    except Malformed:
        return None


def _fits(frame: bytes, head: Head) -> bool:
    """Whether a file states that it goes on from this head."""
    try:
        first = decode_segment(decode_frame(frame))
    except Malformed:
        return False
    return Head(first.n, first.hash) == head


class Checker(Protocol):
    """Follows the chain through the frames of a log, and knows whose seals close it."""

    chain: bytes
    head: Head

    def take(self, frames: list[bytes]) -> str:
        """Advance over one commit. Empty if its seal states the head we computed, else what is
        wrong; then nothing has advanced."""

    def signed(self, frame: bytes) -> bool:
        """True if the seal in ``frame`` was signed by the owner of this log."""


@dataclass
class CanonChecker:
    """Checks the canonical log: every entry is linked, every seal is the server's."""

    cafe: bytes
    server: bytes
    verify: Verifier
    head: Head = field(default_factory=Head)
    chain: bytes = bytes(CHAIN_BYTES)
    expected: Head = field(default_factory=Head)
    """A head that it must come by: that of a snapshot."""
    jumps: bool = False
    """Whether parts may be left out: the copy of a node that may not read everything."""

    def take(self, frames: list[bytes]) -> str:
        n, head = self.head
        for body in frames[:-1]:
            if body[1] in ENTRIES:
                n, head = n + 1, link(head, digest_of(body))
                if n == self.expected.n and head != self.expected.hash:
                    return f"entry {n} is another one than in the snapshot"
            elif body[1] == SEGMENT:
                if not _fits(body, self.head):
                    return f"the file does not go on behind entry {n}"
            elif body[1] == JUMP and self.jumps:
                try:
                    n, head = read_jump(body, Head(n, head))
                except Malformed as error:
                    return f"behind entry {n}: {error}"
            elif body[1] != RUN_SEAL:
                return f"unknown frame behind entry {n}"
        try:
            seal = seal_in(frames[-1])
        except Malformed as error:
            return f"seal of entry {n}: {error}"
        if (seal.n, seal.hash) != (n, head):
            return f"the seal does not fit entries {self.head.n + 1} to {n}"
        self.head, self.chain = Head(n, head), seal.chain
        return ""

    def signed(self, frame: bytes) -> bool:
        try:
            seal = seal_in(frame)
        except Malformed:
            return False
        text = canon_text(self.cafe, seal.chain, seal.n, seal.hash)
        return self.verify(self.server, seal.signature, text)


@dataclass
class ChainChecker:
    """Checks a node's log of its own ops: one chain after the other, each from its first op."""

    cafe: bytes
    author: bytes
    verify: Verifier
    head: Head = field(default_factory=Head)
    chain: bytes = bytes(CHAIN_BYTES)

    def take(self, frames: list[bytes]) -> str:
        chain, head = self.chain, self.head
        try:
            for body in frames[:-1]:
                if body[1] == OP:
                    raw, _ = read_op_frame(body)
                    author = raw[4 : 4 + CHAIN_BYTES]  # [array, format, bin8, 24, chain…]
                    if author != chain:
                        chain, head = author, Head()
                    head = head.next(raw)
                elif body[1] == ERASED:
                    head = Head(head.n + 1, link(head.hash, read_erased(body).op_digest))
                elif body[1] == SEGMENT:
                    if not _fits(body, self.head):
                        return f"the file does not go on behind op {head.n}"
                else:
                    return f"unknown frame behind op {head.n}"
            seal = seal_in(frames[-1])
        except Malformed as error:
            return f"op {head.n + 1}: {error}"
        if (seal.chain, seal.n, seal.hash) != (chain, head.n, head.hash):
            return f"the seal does not fit op {head.n} of chain {chain.hex()}"
        self.chain, self.head = chain, head
        return ""

    def signed(self, frame: bytes) -> bool:
        try:
            seal = seal_in(frame)
        except Malformed:
            return False
        text = seal_text(self.cafe, seal.chain, seal.n, seal.hash)
        return self.verify(self.author, seal.signature, text)


@dataclass(frozen=True, slots=True)
class Damage:
    """What was found at the end of a log at start, for a person to be told."""

    log: str
    kind: str
    """``torn`` (a crash: cut to the last seal), ``quarantined`` (bytes that do not verify were
    copied aside before the cut) or ``corrupt`` (bytes before a valid seal: copied aside, to be
    fetched again)."""
    offset: int
    what: str
    copy: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two commits."""

    segment: int = 0
    offset: int = 0


class Log:
    """An append-only log of one kind, ``canon`` or ``own``, in ``<kind>-<number>.log`` files."""

    def __init__(self, disk: Disk, kind: str, cafe: bytes, node: bytes) -> None:
        self.disk = disk
        self._kind = kind
        self.cafe, self._node = cafe, node
        self.segment_bytes = MAX_SEGMENT_BYTES
        self._file: AppendFile | None = None
        self._number = 0
        self._durable = 0
        self._last_seal = b""
        self._only_seal = True
        self._durable_end = (b"", True)
        """Both as they were at the end of what is durable."""
        self._before_bytes = 0
        self._void: Position | None = None
        """Behind it stand bytes of a failed write that could not be cut."""
        self.damage: Damage | None = None
        self.base = Head()
        """Head before the first file: what stood before it was dropped, or was never here."""
        self.base_chain = bytes(CHAIN_BYTES)

    # --- reading -------------------------------------------------------------

    def name(self, number: int) -> str:
        return f"{self._kind}-{number:06d}.log"

    def segments(self) -> list[int]:
        pattern = re.compile(re.escape(self._kind) + r"-(\d{6})\.log")
        return sorted(
            int(match[1]) for name in self.disk.names() if (match := pattern.fullmatch(name))
        )

    def _read(self, number: int, numbers: list[int]) -> bytes:
        """A segment, as far as the one behind it says that it counts."""
        data = self.disk.read(self.name(number))
        if number + 1 in numbers:
            return data[: self._length_by_next(number, len(data))]
        return data

    def _is_torn_at_once(self, number: int) -> bool:
        try:
            return read_commit(self.disk.read(self.name(number)), 0) is None
        except _Bad:
            return False

    def _length_by_next(self, number: int, otherwise: int) -> int:
        behind = self._first(number + 1)
        return min(otherwise, behind.before_bytes) if behind else otherwise

    def _first(self, number: int) -> Segment | None:
        return _first_frame(self.disk.read(self.name(number), 0, FIRST_BYTES))

    def find_base(self) -> Head | None:
        """Set ``base`` to what the first file states; None if there is no file that states it."""
        numbers = self.segments()
        first = self._first(numbers[0]) if numbers else None
        if first is None:
            return None
        self.base, self.base_chain = Head(first.n, first.hash), first.chain
        return self.base

    def recover(self, checker: Checker, start: Position = Position()) -> Iterator[Commit]:
        """Yield every good commit from ``start`` on, mend the end, and get ready to append.

        A torn end is cut. A damaged last commit is copied aside, then cut. Damage before a commit
        that verifies, and anything that no seal of the log's owner covers, raises `Damaged` once
        everything before it has been yielded: nothing is cut.
        """
        self.find_base()
        if not start.segment:
            checker.chain, checker.head = self.base_chain, self.base
        numbers = [number for number in self.segments() if number >= start.segment]
        while len(numbers) > 1 and self._is_torn_at_once(numbers[-1]):
            # Power failed inside its first commit: the segment before it is the last one still.
            torn = self.name(numbers.pop())
            self.damage = Damage(torn, "torn", 0, "short first commit")
            length = len(self.disk.read(self.name(numbers[-1])))
            counts = self._length_by_next(numbers[-1], length)
            if counts < length:  # what stands behind was never durable
                self._cut(numbers[-1], counts, self.damage)
            self.disk.remove(torn)
        at = 0
        self._number, self._durable = start.segment, start.offset
        for number in numbers:
            data = self._read(number, numbers)
            self._before_bytes = at  # where the segment before this one ended
            at = start.offset if number == start.segment else 0
            commits, end, problem = _survey(data, at)
            signed = _signed(commits, checker)
            for commit in commits[:signed]:
                wrong = checker.take(commit.frames)
                if wrong:
                    self._damaged(number, data, at, wrong, number == numbers[-1])
                    break
                self._remember(commit)
                yield commit
                at = commit.end
                self._number, self._durable = number, at
            if signed < len(commits):
                problem = "a seal is not its owner's"
                copy = self._quarantine(number, at, data)
                self.damage = Damage(self.name(number), "corrupt", at, problem, copy)
                raise Damaged(self.name(number), at, problem)
            if at == end < len(data):
                if problem or number != numbers[-1]:
                    problem = problem or "the segment ends inside a commit"
                    self._damaged(number, data, at, problem, number == numbers[-1])
                else:
                    short = Damage(self.name(number), "torn", at, "short commit")
                    self._cut(number, at, short if data[at:].strip(b"\0") else self.damage)
        self._durable_end = (self._last_seal, self._only_seal)
        if self._number:
            self._file = self.disk.open(self.name(self._number))

    def recover_end(self, checker: Checker) -> None:
        """`recover` from the last file on that holds a commit, believing what it states of those
        before it: its seals cover them."""
        numbers = self.segments()
        while len(numbers) > 1 and self._is_torn_at_once(numbers[-1]):
            numbers.pop()
        first = self._first(numbers[-1]) if numbers else None
        start = Position()
        if first is not None:
            checker.chain, checker.head = first.chain, Head(first.n, first.hash)
            start = Position(first.number)
        for _ in self.recover(checker, start):
            pass

    def _quarantine(self, number: int, at: int, data: bytes) -> str:
        """Keep what stands behind ``at`` in a file of its own; never in the place of another."""
        copy = first = f"quarantine-{self.name(number)}-{at}"
        taken, again = self.disk.names(), 1
        while copy in taken and self.disk.read(copy) != data[at:]:
            again += 1
            copy = f"{first}-{again}"
        if copy not in taken:
            self.disk.replace(copy, data[at:])
        return copy

    def _damaged(self, number: int, data: bytes, at: int, problem: str, last: bool) -> None:
        hides = not last or any(whole_commits(data, at + 1))
        copy = self._quarantine(number, at, data)
        if hides:
            self.damage = Damage(self.name(number), "corrupt", at, problem, copy)
            raise Damaged(self.name(number), at, problem)
        self._cut(number, at, Damage(self.name(number), "quarantined", at, problem, copy))

    def _cut(self, number: int, at: int, damage: Damage | None) -> None:
        file = self.disk.open(self.name(number))
        file.truncate(at)
        file.sync()
        file.close()
        self._number, self._durable = number, at
        self.damage = damage

    def set_aside(self, damaged: Damaged) -> None:
        """Cut the log back to where the damage begins; its bytes are in quarantine."""
        number = next((n for n in self.segments() if self.name(n) == damaged.log), 0)
        for later in self.segments():
            if later > number:
                self._quarantine(later, 0, self.disk.read(self.name(later)))
                self.disk.remove(self.name(later))
        if number:
            self._cut(number, damaged.offset, self.damage)

    def starts(self) -> Iterator[Segment]:
        """First frames of the files in which something is durable, the newest first."""
        for number in reversed(self.segments()):
            first = self._first(number) if Position(number) < self.position else None
            if first is not None:
                yield first

    def head_at(self, n: int) -> Head | None:
        """The canonical head behind entry ``n``; None if the log does not tell."""
        start = self.start_of(n)
        if start is None:
            return None
        at, head = start.n, start.hash
        for _, commit in self.commits(Position(start.number)):
            for frame in commit.frames:
                if at == n:
                    return Head(at, head)
                if frame[1] in ENTRIES:
                    at, head = at + 1, link(head, digest_of(frame))
        return None

    def behind(self, n: int) -> Iterator[list[bytes]]:
        """Frames of the commits behind canonical entry ``n``, where one must end."""
        start = self.start_of(n)
        if start is None:
            return
        at = start.n
        for _, commit in self.commits(Position(start.number)):
            before, at = at, seal_in(commit.frames[-1]).n
            if before >= n and at > before:
                yield [frame for frame in commit.frames if frame[1] != SEGMENT]
            elif before < n < at:
                raise Damaged(self.name(start.number), 0, f"no commit ends with entry {n}")

    def start_of(self, n: int) -> Segment | None:
        """The first frame of the last file that begins no later than behind entry ``n``."""
        return next((first for first in self.starts() if first.n <= n), None)

    def rewrite(self, change: Callable[[bytes], bytes | None], since: int = 0) -> None:
        """Put other frames of the same length in the place of those that ``change`` gives one for,
        in the files from ``since`` on. A file is replaced whole, so that a crash leaves it as it
        was or as it shall be.

        Raises `StorageFailed`, `Damaged`; it may be tried again.
        """
        self.sync()
        for number in self.segments():
            if Position(number) > self.position:
                continue
            counts = self._counts(number)
            never = (
                b"" if counts is None else self.disk.read(self.name(number), counts).strip(b"\0")
            )
            if number < since and not never:
                continue
            old = self.disk.read(self.name(number))[:counts]
            data = bytearray(old)
            try:
                for at, frame in _frames_of(old):
                    new = change(frame)
                    if new is not None:
                        assert len(new) == len(frame), "nothing behind it may move"
                        data[at : at + _HEAD.size + len(new)] = framed(new)
            except _Bad as bad:
                raise Damaged(self.name(number), 0, str(bad)) from None
            if data != old or never:  # what a failed write has left goes with it
                self._replace(number, bytes(data))

    def _counts(self, number: int) -> int | None:
        """How long a file is as far as it counts; None if that cannot be told."""
        if number == self._number:
            return self._durable
        behind = self._first(number + 1)
        return behind.before_bytes if behind else None

    def _replace(self, number: int, data: bytes) -> None:
        current = number == self._number and self._file is not None
        self.disk.replace(self.name(number), data)
        if current:
            assert self._file is not None
            self._file.close()
            self._file = None  # if it cannot be opened again, the next commit begins another
            self._file = self.disk.open(self.name(number))

    def drop_before(self, number: int) -> None:
        """Remove the files before this one; something else stands for them.

        Raises `StorageFailed`; it may be tried again.
        """
        for old in self.segments():
            if old < number:
                self.disk.remove(self.name(old))
        self.find_base()

    def begin_behind(self, base: Head, chain: bytes = bytes(CHAIN_BYTES)) -> None:
        """Drop everything: a snapshot of ``base`` stands for it, and what comes begins behind it.

        Raises `StorageFailed`; it may be tried again.
        """
        if self._file is not None:
            self._file.close()
            self._file = None
        for number in self.segments():
            self.disk.remove(self.name(number))
        self._number, self._durable, self._before_bytes = 0, 0, 0
        self._last_seal, self._only_seal, self._durable_end = b"", True, (b"", True)
        self._void, self.base, self.base_chain = None, base, chain

    def rewind(self, n: int) -> Head:
        """Cut the log back to the last seal over no more than its first ``n``, and tell which head
        that is; what stood behind it is kept aside.

        Raises `StorageFailed`; what is left then may be longer, and never shorter.
        """
        self.close()
        if n < self.base.n or n < 0:  # nothing of it is left: it begins anew
            for number in self.segments():
                self._quarantine(number, 0, self.disk.read(self.name(number)))
            self.begin_behind(Head())
            return self.base
        seal, place = b"", Position()
        for number, commit in self.commits():
            if seal_in(commit.frames[-1]).n > n:
                break
            seal, place = commit.frames[-1], Position(number, commit.end)
        behind = [number for number in self.segments() if number >= place.segment]
        for number in reversed(behind):
            at = place.offset if number == place.segment else 0
            self._quarantine(number, at, self.disk.read(self.name(number)))
            if at:
                self._cut(number, at, None)
            else:
                self.disk.remove(self.name(number))
        self._number, self._durable = place.segment, place.offset
        self._last_seal, self._only_seal, self._durable_end = seal, True, (seal, True)
        self._before_bytes = 0
        if self._number:
            self._file = self.disk.open(self.name(self._number))
        ends = seal_in(seal) if seal else None
        return Head(ends.n, ends.hash) if ends else self.base

    def commits(self, start: Position = Position()) -> Iterator[tuple[int, Commit]]:
        """(segment, commit) of what is already durable, for serving peers; damage raises
        `Damaged`."""
        numbers = self.segments()
        for number in numbers:
            if number < start.segment:
                continue
            name, end = self.name(number), 1 << 62
            if number + 1 in numbers:
                end = self._length_by_next(number, end)
            elif number == self._number:
                end = self._file.size if self._file is not None else self._durable
            base = start.offset if number == start.segment else 0
            data, at = self.disk.read(name, base, min(READ_BYTES, max(0, end - base))), 0
            while True:
                size, problem = len(data) - at, ""
                try:
                    commit = read_commit(data, at)
                except _Bad as bad:
                    commit, problem = None, str(bad)
                if commit is None:  # its bytes are read again: somebody may be writing them
                    again = self.disk.read(name, base + at, min(size + READ_BYTES, end - base - at))
                    if problem and again[:size] == data[at:]:
                        raise Damaged(name, base + at, problem)
                    if len(again) == size and not problem:
                        break
                    base, data, at = base + at, again, 0
                    continue
                yield number, Commit(commit.frames, base + commit.end)
                at = commit.end

    def size(self, number: int) -> int:
        """Length of a segment in bytes, whatever stands in it but room."""
        return len(self.disk.read(self.name(number)).rstrip(b"\0"))

    @property
    def last_seal(self) -> bytes:
        """The seal frame that the durable log ends with."""
        return self._last_seal

    @property
    def sealed_n(self) -> int:
        """How far that seal covers its chain; 0 if there is none."""
        return seal_in(self._last_seal).n if self._last_seal else 0

    def resume(self, seal: bytes) -> None:
        """Recovery will begin behind this seal, so it may be the last one there is."""
        self._last_seal = seal
        self._durable_end = (seal, True)

    def ends_with(self, seal: bytes, position: Position) -> bool:
        """True if this seal frame stands right before a position."""
        name, frame = self.name(position.segment), framed(seal)
        if name not in self.disk.names() or position.offset < len(frame):
            return False
        start = position.offset - len(frame)
        return self.disk.read(name, start, len(frame)) == frame

    # --- writing -------------------------------------------------------------

    @property
    def position(self) -> Position:
        """End of what is durable."""
        return Position(self._number, self._durable)

    def commit(self, frames: list[bytes], *, sync: bool = True) -> None:
        """Append one commit whose last frame is a seal, and make it durable.

        On `StorageFailed` the log is as it was before: the file is cut back to the last durable
        seal and reopened, or a new segment is begun. A failed sync is never tried again on its
        descriptor.
        """
        if self._file is None or not 0 < self._file.size <= self.segment_bytes:
            frames = self._begin_segment(frames)
        file = self._file
        assert file is not None
        try:
            file.append(encode_commit(frames))
            if sync:
                file.sync()
        except StorageFailed:
            self._take_back(file)
            raise
        self._remember(Commit(frames, file.size))
        if sync:
            self._made_durable(file)

    def sync(self) -> None:
        """Make commits written with ``sync=False`` durable."""
        if self._file is not None and self._file.size != self._durable:
            try:
                self._file.sync()
            except StorageFailed:
                self._take_back(self._file)
                raise
            self._made_durable(self._file)

    def _made_durable(self, file: AppendFile) -> None:
        self._durable = file.size
        self._durable_end = (self._last_seal, self._only_seal)
        self._void = None  # the header of a later segment says that they do not count

    def _begin_segment(self, frames: list[bytes]) -> list[bytes]:
        if self._file is None or self._file.size:
            if self._file is not None:
                self.sync()
                self._file.close()
                self._file = None
            file = self.disk.open(self.name(self._number + 1))
            if file.size:  # a file of an attempt that failed: nothing in it was ever durable
                file.truncate(0)
            self._before_bytes = self._durable if self._number else 0
            self._number, self._durable, self._file = self._number + 1, 0, file
        chain, head = self.base_chain, self.base
        if self._last_seal:
            seal = seal_in(self._last_seal)
            chain, head = seal.chain, Head(seal.n, seal.hash)
        owner = (self._kind, self.cafe, self._node, self._number)
        return [segment_frame(Segment(*owner, self._before_bytes, chain, *head)), *frames]

    def _take_back(self, file: AppendFile) -> None:
        file.close()
        self._file = None
        self._last_seal, self._only_seal = self._durable_end
        # If it cannot be cut, this file cannot be trusted any more: what is durable in it stays,
        # and the next commit begins a segment that says so.
        if self._void is None:
            self._void = self.position
        with contextlib.suppress(StorageFailed):
            self.mend()

    def mend(self) -> None:
        """Try to cut what a failed write left behind: until then, a start would believe it.

        Raises `StorageFailed` while that cannot be done.
        """
        if self._void is None:
            return
        again = self.disk.open(self.name(self._void.segment))
        again.truncate(self._void.offset)
        again.sync()
        if self._void == self.position:
            self._file = again
        else:
            again.close()
        self._void = None

    def _remember(self, commit: Commit) -> None:
        self._last_seal = commit.frames[-1]
        self._only_seal = len(commit.frames) == 1

    def close(self) -> None:
        """A clean stop writes the last seal once more, so that later damage to the last commit
        shows as corruption and is never taken for a crash."""
        self.mend()
        if self._file is None:
            return
        if not self._only_seal:
            self.commit([self._last_seal])
        self.sync()
        self._file.close()
        self._file = None
