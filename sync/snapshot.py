"""A view at a cursor, signed by the server: what a new station starts from, and old logs end at.

    file  = frame(header) frame(part) frame(part) …                       frames as in a log
    part  = zlib of msgpack [register or "/table", rows]       each unpacks to 4 MiB at most

The header lists every part with its SHA-256, so a reader may leave out what it does not need.

It is made in slices beside the server's work, from a shallow copy of the tables.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from msgspec import Raw

from sync.codec import UNSURE, decoder_of, deflate, inflate, pack, unpack, unpack_trusted
from sync.disk import Disk
from sync.domain import Domain
from sync.errors import Malformed
from sync.frames import SNAPSHOT, decode_frame, framed, read_frames
from sync.identity import Signer, Verifier, snapshot_text
from sync.op import CHAIN_BYTES, Head, sha256
from sync.view import View

_log = logging.getLogger(__name__)
SNAPSHOT_FILE = "snapshot"
FORMAT = 1
ROWS_A_PART = 2_000
PART_BYTES = 1 << 20
"""About how much a part holds, unpacked."""
KEYS = "keys"


class Part(NamedTuple):
    """One part of a snapshot in the making."""

    name: str
    """A register of the view, or ``/`` and the name of a table."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """First frame of a snapshot: of which head it is, what it consists of, and the server's word
    for that."""

    chain: bytes
    """Epoch of the server that made it."""
    seq: int
    hash: bytes
    parts: list[tuple[str, bytes]]
    """(name, SHA-256) of each part."""

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash)

    def needed(self, *, keys: bool) -> list[int]:
        """Which parts a reader needs. The keys of effects are for those only who have made ops
        before: they are a third of it and cannot be compressed."""
        return [at for at, (name, _) in enumerate(self.parts) if keys or name != KEYS]


# --- making ------------------------------------------------------------------


def parts_of(view: View) -> Iterator[Part]:
    """The parts of a snapshot of ``view`` as it is before the first step, each after a short
    stretch of work."""
    registers = view.registers()
    tables = {name: dict(table.packed) for name, table in view.store.tables.items()}
    for name, rows in registers.items():
        for at in range(0, len(rows), ROWS_A_PART):
            some = pack([name, rows[at : at + ROWS_A_PART]])
            yield Part(name, deflate(some))
    for name, table in sorted(tables.items()):
        waiting = iter(table.items())
        while rows := list(islice(waiting, ROWS_A_PART)):
            yield from _rows(f"/{name}", rows)


def _rows(name: str, rows: list[tuple[str, bytes]]) -> Iterator[Part]:
    packed = pack([name, {row_id: Raw(row) for row_id, row in rows}])
    if len(packed) <= PART_BYTES or len(rows) == 1:
        yield Part(name, deflate(packed))
    else:
        half = len(rows) // 2
        yield from _rows(name, rows[:half])
        yield from _rows(name, rows[half:])


def header_frame(
    parts: Sequence[Part], head: Head, cafe: bytes, chain: bytes, signer: Signer
) -> bytes:
    """The header over these parts, signed by the server."""
    listed = pack([[part.name, sha256(part.data)] for part in parts])
    signature = signer.sign(snapshot_text(cafe, chain, head.n, head.hash, sha256(listed)))
    return pack([SNAPSHOT, FORMAT, chain, *head, listed, signature])


def file_of(header: bytes, parts: Iterable[bytes]) -> bytes:
    """A snapshot as it stands in its file."""
    return b"".join(map(framed, [header, *parts]))


# --- reading -----------------------------------------------------------------


def read_header(frame: bytes, cafe: bytes, server: bytes, verify: Verifier) -> Header:
    """The header in its frame, or `Malformed` if it is none that the server has signed."""
    match decode_frame(frame):
        case [int(tag), int(form), bytes(chain), int(seq), bytes(head), bytes(listed), bytes(sign)]:
            whole = (tag, form, len(chain), len(head), len(sign), seq > 0)
            text = snapshot_text(cafe, chain, seq, head, sha256(listed)) if seq > 0 else b""
            if whole == (SNAPSHOT, FORMAT, CHAIN_BYTES, 32, 64, True) and verify(
                server, sign, text
            ):
                return Header(chain, seq, head, [(name, own) for name, own in unpack(listed)])
    raise Malformed("bad-snapshot", "header")


def load(header: Header, parts: Sequence[bytes], domain: Domain) -> View:
    """The view in a snapshot whose header was checked, or `Malformed` if these are not its
    parts."""
    if len(parts) != len(header.parts):
        raise Malformed("bad-snapshot", "parts")
    view = View(domain)
    collecting = gc.isenabled()
    gc.disable()  # many new objects, none of them garbage
    try:
        tables: dict[str, dict[str, bytes]] = {}
        for (name, digest), data in zip(header.parts, parts, strict=True):
            if not data and name == KEYS:
                continue
            if sha256(data) != digest:
                raise Malformed("bad-snapshot", f"part {name}")
            plain = inflate(data)
            if name.startswith("/"):
                tables.setdefault(name[1:], {}).update(_read_rows(plain))
            else:
                view.take_register(name, unpack_trusted(plain)[1])
        for name, table in tables.items():
            view.store.rows(name).load(table)
    finally:
        if collecting:
            gc.enable()
    view.cursor = header.seq
    own = (place for places in view.erased.values() for place in places)
    view.to_erase = {(0, place) for place in own}  # they may stand in a log of own ops
    return view


_decode_rows = decoder_of(tuple[str, dict[str, Raw]])


def _read_rows(plain: bytes) -> Iterator[tuple[str, bytes]]:
    """(id, packed row) of one part of a table."""
    try:
        _, rows = _decode_rows(plain)
    except UNSURE as error:
        raise Malformed("bad-snapshot", str(error)) from None
    return ((row_id, bytes(row)) for row_id, row in rows.items())


class Snapshot(NamedTuple):
    """A snapshot in a folder, its header checked."""

    header: Header
    frame: bytes
    parts: list[bytes]


def read_file(disk: Disk, cafe: bytes, server: bytes, verify: Verifier) -> Snapshot | None:
    """The snapshot in this folder, or None if there is none that verifies."""
    if SNAPSHOT_FILE not in disk.names():
        return None
    try:
        frame, parts = split(disk.read(SNAPSHOT_FILE))
        return Snapshot(read_header(frame, cafe, server, verify), frame, parts)
    except Malformed as error:
        _log.warning("the snapshot is damaged: %s", error)
        return None


def split(data: bytes) -> tuple[bytes, list[bytes]]:
    """Header frame and parts of a snapshot file, or `Malformed`."""
    frames = read_frames(data)
    if not frames:
        raise Malformed("bad-snapshot", "empty")
    return frames[0], frames[1:]
