"""The frames that stand in a log, as values. `README.md` gives them byte by byte.

A frame's first element is its tag. `log.py` puts length and CRC around it and groups frames in
commits.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

from msgspec import Raw, Struct
from msgspec.structs import replace

from sync.codec import (
    PLAIN_LIST,
    UNSURE,
    decoder_of,
    fast_decoder,
    pack,
    unpack,
    whole,
)
from sync.errors import Malformed
from sync.op import CHAIN_BYTES, ENTRY_TAG, KEY_BYTES, Entry, Head, Op, link, sha256

COMMIT, ENTRY, OP, SEAL, RUN_SEAL, ERASED, SEGMENT, SNAPSHOT, JUMP = 0, ENTRY_TAG, *range(2, 9)
"""Tags."""
ENTRIES = frozenset({ENTRY, ERASED})
"""What stands for one number of the canonical log."""
_HEAD = struct.Struct("<II")

SEAL_BYTES = 64


class Seal(Struct, frozen=True):
    """A signature over a head; it covers every op before it."""

    chain: bytes
    n: int
    hash: bytes
    signature: bytes


def framed(body: bytes) -> bytes:
    """A frame as it stands in a file: length ‖ CRC-32 ‖ body."""
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def read_frames(data: bytes) -> list[bytes]:
    """Bodies of all frames of a file, or `Malformed` if one does not verify or is cut short."""
    frames, at = [], 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise Malformed("bad-frame", f"at byte {at}")
        length, crc = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) != length or zlib.crc32(body) != crc:
            raise Malformed("bad-frame", f"at byte {at}")
        frames.append(body)
        at += _HEAD.size + length
    return frames


def entry_frame(entry: Entry) -> bytes:
    return pack(entry)


_decode_entry = decoder_of(Entry)


def read_entry(frame: bytes) -> Entry:
    """The entry in a frame that a checked seal covers, or `Malformed`.

    Of an erased one: that it changed nothing, its place, its key and its op's digest in the note.
    """
    if frame[1] == ERASED:
        stays = read_erased(frame)
        note = {"chain": stays.chain, "n": stays.n, "key": stays.key, "erased": stays.op_digest}
        return Entry(stays.seq, 0, -1, b"", True, [], note)
    try:
        entry: Entry = _decode_entry(frame)
    except UNSURE as error:
        raise Malformed("bad-type", str(error)) from None
    return entry


class Erased(
    Struct, frozen=True, gc=False, array_like=True, tag=ERASED, forbid_unknown_fields=True
):
    """What stays of an entry, or of an op in its author's own log, when its body is taken out."""

    seq: int
    """0 in an own log."""
    digest: bytes
    """SHA-256 of the frame that stood there, which is linked into the canonical head; empty in an
    own log."""
    chain: bytes
    n: int
    op_digest: bytes
    """SHA-256 of the op's bytes, which is linked into its chain's head."""
    key: bytes
    padding: bytes = b""
    """Makes the frame as long as it was: nothing behind it moves."""
    more: bytes = b""


_decode_erased = decoder_of(Erased)


def read_erased(frame: bytes) -> Erased:
    """What stays of what stood there, or `Malformed`."""
    try:
        erased: Erased = _decode_erased(frame)
    except UNSURE as error:
        raise Malformed("bad-type", str(error)) from None
    sizes = len(erased.digest), len(erased.chain), len(erased.op_digest), len(erased.key)
    if sizes not in ((32, CHAIN_BYTES, 32, KEY_BYTES), (0, CHAIN_BYTES, 32, KEY_BYTES)):
        raise Malformed("bad-type", "erased fields")
    return erased


def erased_frame(op: Op, frame: bytes, seq: int = 0) -> bytes:
    """The frame that takes the place of one with this op in it, as long as it; ``seq`` if it is an
    entry. `Malformed` ``too-short`` if it has no room for that: about 125 bytes."""
    digest = sha256(frame) if seq else b""
    stays = Erased(seq, digest, op.chain, op.n, sha256(op.raw), op.key)
    for more in (b"", b"\0", b"\0\0"):  # there are lengths that one field of bytes cannot give
        room = len(frame) - len(pack(replace(stays, more=more)))
        for size in range(max(room - 3, 0), max(room, 0) + 1):
            erased = pack(replace(stays, padding=bytes(size), more=more))
            if len(erased) == len(frame):
                return erased
    raise Malformed("too-short", f"{len(frame)} bytes")


def digest_of(frame: bytes) -> bytes:
    """What an entry's frame is linked into the canonical head by."""
    return read_erased(frame).digest if frame[1] == ERASED else sha256(frame)


def follow_entries(head: Head, frames: list[bytes]) -> Head:
    """The canonical head behind these entries."""
    if any(frame[1] == ERASED for frame in frames):
        for frame in frames:
            head = Head(head.n + 1, link(head.hash, digest_of(frame)))
        return head
    return Head(head.n + len(frames), head.hashes(frames)[-1])


NO_EVENTS = pack([])


def op_frame(raw: bytes, events: bytes = NO_EVENTS) -> bytes:
    """A station's own op and, beside it, the packed events it was shown with (not part of the
    chain)."""
    return pack([OP, raw, Raw(events)])


_fast_op = fast_decoder(tuple.__class_getitem__((whole(), bytes, PLAIN_LIST)))


def read_op_frame(frame: bytes) -> tuple[bytes, list[Any]]:
    """An op's bytes and its events, or `Malformed`."""
    fields = _fast_op(frame) or decode_frame(frame)
    if len(fields) != 3 or type(fields[1]) is not bytes or type(fields[2]) is not list:
        raise Malformed("bad-type", "op frame")
    return fields[1], fields[2]


def seal_frame(seal: Seal) -> bytes:
    return pack([SEAL, seal.chain, seal.n, seal.hash, seal.signature])


def run_seal_frame(seal: Seal) -> bytes:
    """The seal that a station pushed, kept by the server behind the run it covers."""
    return pack([RUN_SEAL, seal.chain, seal.n, seal.hash, seal.signature])


def decode_seal(value: list[Any]) -> Seal:
    if (
        len(value) != 5
        or type(value[1]) is not bytes
        or len(value[1]) != CHAIN_BYTES
        or type(value[2]) is not int
        or value[2] < 0
        or type(value[3]) is not bytes
        or len(value[3]) != 32
        or type(value[4]) is not bytes
        or len(value[4]) != SEAL_BYTES
    ):
        raise Malformed("bad-type", "seal fields")
    return Seal(*value[1:])


def jump_frame(after: int, to: Head) -> bytes:
    """Entries behind ``after`` that this reader may not read, and the head behind them."""
    return pack([JUMP, after, *to])


def read_jump(frame: bytes, head: Head) -> Head:
    """The head that a jump leads to from ``head``, or `Malformed`: also if it begins elsewhere,
    for then something is missing before it."""
    match decode_frame(frame):
        case [int(tag), int(after), int(n), bytes(to)] if (tag, len(to)) == (JUMP, 32):
            if after == head.n < n:
                return Head(n, to)
            raise Malformed("out-of-range", f"jump from {after} to {n} behind {head.n}")
    raise Malformed("bad-type", "jump fields")


class Segment(NamedTuple):
    """First frame of each file of a log: what it is, whose, and what stands before it."""

    kind: str
    cafe: bytes
    node: bytes
    number: int
    before_bytes: int
    """How long the file before it is. What stands there behind that was never durable: a write
    that failed and could not be taken back."""
    chain: bytes
    """Chain (canonical log: epoch) of the last seal before it; zeros if there is none."""
    n: int
    hash: bytes
    """Head at that seal: the files before it may have been dropped."""


_SEGMENT_SHAPE = (int, int, str, bytes, bytes, int, int, bytes, int, bytes)


def segment_frame(segment: Segment) -> bytes:
    return pack([SEGMENT, 1, *segment])


def decode_segment(value: list[Any]) -> Segment:
    """The fields of a first frame, or `Malformed`."""
    if tuple(map(type, value)) != _SEGMENT_SHAPE or value[:2] != [SEGMENT, 1]:
        raise Malformed("bad-type", "segment fields")
    return Segment(*value[2:])


def decode_frame(body: bytes) -> list[Any]:
    """Fields of a frame, or `Malformed`."""
    value = unpack(body)
    if type(value) is not list or not value or type(value[0]) is not int:
        raise Malformed("bad-type", "frame")
    return value


def seal_in(frame: bytes) -> Seal:
    """The seal that a frame holds, or `Malformed`."""
    return decode_seal(decode_frame(frame))
