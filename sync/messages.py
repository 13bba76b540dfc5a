"""What travels on the wire: one msgpack array a websocket frame, its first element the tag."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any, ClassVar, get_args

from sync.codec import MAX_FRAME_BYTES, deflate, inflate, pack, unpack
from sync.errors import Malformed

PROTOCOL = 1
BATCH_OPS = 256
PUSH_BYTES = 128 << 10
"""A push; the entries it becomes hold its ops again and their events, which may be many times as
long."""
BATCH_BYTES = 512 << 10
"""Entries at once, unless one commit alone is longer."""
SERVE_BYTES = 2 << 20
"""What is queued for one link in one go; its next ack asks for more."""
WINDOW_BATCHES = 4
DEFLATED = 14
"""Tag of a push or of entries as a zlib stream."""
LARGE_BYTES = 16 << 10
"""From here on they travel so: a quarter of the bytes, for half a millisecond a batch."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """First message of a station."""

    TAG: ClassVar[int] = 1
    protocol: int
    cafe: bytes
    node: bytes
    boot: bytes
    """Of its process: tells a second machine with a copy of its folder from the same one again."""
    wall_ms: int
    nonce: bytes
    chains: list[Any]
    """``[chain, n, hash]`` of own chains that hold ops the server may not have."""
    cursor: int
    hash: bytes
    """Canonical head that the station has folded and synced."""


@dataclass(frozen=True, slots=True)
class ServerHello:
    """The server's answer, signed over both nonces and both certificates."""

    TAG: ClassVar[int] = 2
    protocol: int
    cafe: bytes
    node: bytes
    wall_ms: int
    nonce: bytes
    heads: list[Any]
    """``[chain, n, hash]`` now durable at the server, for the chains asked about."""
    seq: int
    hash: bytes
    epochs: list[Any]
    """``[chain, first seq, hash before]`` of its newest epochs."""
    snapshot: int
    """Seq of the snapshot that it offers; 0 for none."""
    signature: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """The station's signature over the same; from here on it is signed on.

    ``seq`` and ``hash`` are the last canonical head that both have. If the station has more behind
    it, the server has lost that, and gets it back as `Entries` before anything else is said.
    """

    TAG: ClassVar[int] = 3
    signature: bytes
    seq: int
    hash: bytes
    snapshot: bool
    """It begins with the snapshot: no entries until it acknowledges that."""


@dataclass(frozen=True, slots=True)
class Push:
    """A run of ops of one chain that ends at a seal."""

    TAG: ClassVar[int] = 4
    chain: bytes
    first_n: int
    ops: list[Any]
    seal: bytes
    boot: bytes
    mono_ms: int
    """The sender's monotonic now, so that the server can tell the ops' ages."""


@dataclass(frozen=True, slots=True)
class Ack:
    """By the server: heads now durable. By the side that takes entries: how far they are folded
    and synced there (the other side's credit)."""

    TAG: ClassVar[int] = 5
    heads: list[Any]
    cursor: int


@dataclass(frozen=True, slots=True)
class Entries:
    """Frames of the canonical log, verbatim: entries, pushed seals, and one seal of the server
    last. By a station: what the server has lost of its own history."""

    TAG: ClassVar[int] = 6
    frames: list[Any]


@dataclass(frozen=True, slots=True)
class SnapshotPart:
    """By the server: one frame of its snapshot; empty if it has that one no more."""

    TAG: ClassVar[int] = 7
    seq: int
    number: int
    """0 for the header, then the parts."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Want:
    """By a station: send me this frame of your snapshot. It asks for a few at a time."""

    TAG: ClassVar[int] = 10
    seq: int
    number: int


@dataclass(frozen=True, slots=True)
class WantBlob:
    """By either side: send me what has this SHA-256."""

    TAG: ClassVar[int] = 11
    digest: bytes


@dataclass(frozen=True, slots=True)
class Blob:
    """Its answer; empty if it is not here either."""

    TAG: ClassVar[int] = 12
    digest: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """A question beside the log; what it carries is never written down."""

    TAG: ClassVar[int] = 8
    number: int
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Its answer: ``body`` when ``code`` is empty, else a refusal."""

    TAG: ClassVar[int] = 9
    number: int
    code: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message of a side that ends the connection on purpose."""

    TAG: ClassVar[int] = 13
    code: str


Message = (
    ClientHello
    | ServerHello
    | Proof
    | Push
    | Ack
    | Entries
    | SnapshotPart
    | Want
    | WantBlob
    | Blob
    | Ask
    | Answer
    | Bye
)

_TYPES: dict[str, type] = {
    "int": int,
    "bytes": bytes,
    "str": str,
    "bool": bool,
    "list[Any]": list,
    "dict[str, Any]": dict,
}
_KINDS: dict[int, tuple[type[Any], tuple[type, ...]]] = {
    kind.TAG: (
        kind,
        tuple(_TYPES[str(f.type)] for f in kind.__dataclass_fields__.values() if f.name != "TAG"),
    )
    for kind in get_args(Message)
}


def encode(message: Message) -> bytes:
    match message:
        case Push(chain, first_n, ops, seal, boot, mono_ms):  # large lists are not copied
            data = pack([Push.TAG, chain, first_n, ops, seal, boot, mono_ms])
        case Entries(frames):
            data = pack([Entries.TAG, frames])
        case _:
            return pack([message.TAG, *astuple(message)])
    return data if len(data) < LARGE_BYTES else pack([DEFLATED, deflate(data)])


def decode(data: bytes) -> Message:
    """Decode a hostile frame, or raise `Malformed`; its sender's connection ends then."""
    value = _array(data)
    if value[0] == DEFLATED:
        if len(value) != 2 or type(value[1]) is not bytes:
            raise Malformed("bad-type", "deflated")
        value = _array(inflate(value[1]))
        if value[0] not in (Push.TAG, Entries.TAG):
            raise Malformed("bad-type", "deflated")
    kind, shape = _KINDS.get(value[0], (None, ()))
    if kind is None:
        raise Malformed("unknown-message", str(value[0]))
    if tuple(map(type, value[1:])) != shape:
        raise Malformed("bad-type", kind.__name__)
    message: Message = kind(*value[1:])
    _check(message)
    return message


def _array(data: bytes) -> list[Any]:
    value = unpack(data, max_bytes=MAX_FRAME_BYTES)
    if type(value) is not list or not value or type(value[0]) is not int:
        raise Malformed("bad-type", "message")
    return value


def _check(message: Message) -> None:
    match message:
        case ClientHello(chains=heads) | ServerHello(heads=heads) | Ack(heads=heads):
            for head in heads:
                if type(head) is not list or tuple(map(type, head)) != (bytes, int, bytes):
                    raise Malformed("bad-type", "head")
        case Push(ops=blobs) | Entries(frames=blobs):
            if not blobs or any(type(blob) is not bytes for blob in blobs):
                raise Malformed("bad-type", "run")
