"""An op is what a person did, signed and kept for ever; an entry is what the server made of it.

Both are immutable and both keep the bytes they were made of, since those were signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256 as _sha256
from typing import Any, NamedTuple

from msgspec import Struct

from sync.codec import (
    PLAIN,
    UNSURE,
    decoder_of,
    exactly,
    fast_decoder,
    packed,
    text,
    unpack,
    unpack_trusted,
    whole,
)
from sync.errors import Malformed

FORMAT = 1
NODE_BYTES = 16
CHAIN_BYTES = 24
KEY_BYTES = 16
BOOT_BYTES = 8
MAX_OP_BYTES = 64 << 10
MAX_KIND_CHARS = 40

CHAIN_OPEN = "chain.open"
"""First op of every chain: names the head of the author's chain before it (and, by the server, the
canonical head): the link that makes all starts of one node a single history."""

GRANT_OPEN = "grant.open"
"""An operator signs in: carries the grant that later ops of this chain point back to."""

CHAIN_FROZEN = "chain.frozen"
"""A branch of a chain of the same author that the server will never take: proof, and an alarm."""

OP_AGAIN = "op.again"
"""An op of a frozen branch, once more, under the same key."""

CANON_RESTORED = "canon.restored"
"""By the server: a station holds what it has lost. What was made before may have had consequences
that nobody remembers, such as paper."""

CANON_CHECKED = "canon.checked"
"""By the server, a checkpoint: all up to a head is also on another disk or in a backup."""

CANON_ERASED = "canon.erased"
"""By the server: bodies of entries are to be taken out of every log."""

SERVER_KINDS = frozenset({CANON_RESTORED, CANON_CHECKED, CANON_ERASED})
ENGINE_KINDS = frozenset({CHAIN_OPEN, GRANT_OPEN, CHAIN_FROZEN, OP_AGAIN, *SERVER_KINDS})

Event = list[Any]
"""``[kind, version, body]``: what happened, in the past tense; folded, never refused."""

_SHAPE = (int, bytes, int, str, int, dict, int, int, bytes, int, int, bytes)


class Op(Struct, frozen=True, gc=False):
    """One signed intent. ``(chain, n)`` is its id; ``key`` is its effect's: one effect a key."""

    chain: bytes
    """Author's node id (16 bytes) and the epoch of this start (8 random bytes)."""
    n: int
    """1, 2, 3… within the chain."""
    kind: str
    version: int
    body: dict[str, Any]
    grant: int
    """``n`` of the `GRANT_OPEN` op in this chain under which an operator acts; 0 for none."""
    base: int
    """Cursor that the author had folded when acting."""
    key: bytes
    wall_ms: int
    mono_ms: int
    boot: bytes
    raw: bytes
    """The bytes as they were signed."""

    @property
    def node(self) -> bytes:
        return self.chain[:NODE_BYTES]


def encode_op(
    *,
    chain: bytes,
    n: int,
    kind: str,
    version: int,
    body: dict[str, Any],
    grant: int,
    base: int,
    key: bytes,
    wall_ms: int,
    mono_ms: int,
    boot: bytes,
) -> Op:
    """Make an op and the bytes that will be signed; `Malformed` for what no decoder would take."""
    fields = [FORMAT, chain, n, kind, version, body, grant, base, key, wall_ms, mono_ms, boot]
    return decode_op(packed(fields))


def _shape(body: Any) -> Any:
    """The signed fields of an op, its body being of that shape."""
    head = whole(FORMAT), exactly(CHAIN_BYTES), whole(1), text(1, MAX_KIND_CHARS), whole(1)
    rest = whole(0), whole(0), exactly(KEY_BYTES), whole(), whole(0), exactly(BOOT_BYTES)
    return tuple.__class_getitem__((*head, body, *rest))


_fast = fast_decoder(_shape(PLAIN))
_trusted = decoder_of(_shape(dict))


def decode_op(raw: bytes, *, trusted: bool = False) -> Op:
    """Decode hostile op bytes, or raise `Malformed`.

    ``trusted`` is for ops that the server has sequenced: a checked seal covers them.
    """
    if trusted:
        try:
            sure = _trusted(raw)
        except UNSURE:
            sure = None
    else:
        sure = _fast(raw) if len(raw) <= MAX_OP_BYTES else None
    if sure is not None and sure[0] == FORMAT and sure[6] < sure[2]:  # grant before n
        return Op(*(*sure[1:], raw))
    value = unpack_trusted(raw) if trusted else unpack(raw, max_bytes=MAX_OP_BYTES)
    if type(value) is not list or tuple(map(type, value)) != _SHAPE:
        raise Malformed("bad-type", "op fields")
    form, chain, n, kind, version, body, grant, base, key, wall_ms, mono_ms, boot = value
    if form != FORMAT:
        raise Malformed("bad-format", f"op format {form}")
    if len(chain) != CHAIN_BYTES or len(key) != KEY_BYTES or len(boot) != BOOT_BYTES:
        raise Malformed("bad-type", "a field of the wrong length")
    if n < 1 or version < 1 or not 0 <= grant < n or base < 0 or mono_ms < 0:
        raise Malformed("out-of-range", "n, version, grant, base or monotonic time")
    if not 0 < len(kind) <= MAX_KIND_CHARS:
        raise Malformed("out-of-range", "length of the kind")
    return Op(chain, n, kind, version, body, grant, base, key, wall_ms, mono_ms, boot, raw)


UNKNOWN_AGE = -1
ENTRY_TAG = 1


class Entry(
    Struct, frozen=True, gc=False, array_like=True, tag=ENTRY_TAG, forbid_unknown_fields=True
):
    """One line of the canonical log: a number, the op's bytes verbatim, and the outcome. Its frame
    is just these fields behind the tag."""

    seq: int
    at_ms: int
    """Server's UTC when it was sequenced."""
    age_ms: int
    """Monotonic age of the op at its arrival, or `UNKNOWN_AGE`."""
    op_raw: bytes
    accepted: bool
    outcome: list[Any]
    """Events when accepted; ``[code, details]`` when refused."""
    note: dict[str, Any]
    """The engine's own marks, such as ``recovered``; mostly empty."""


def place_of(entry: Entry, op: Op | None) -> tuple[bytes, int] | None:
    """(chain, n) of an entry's op: by the op itself, or by the note of the sequencer where its
    bytes were none; None for an op in a format that this build does not know."""
    if op is not None:
        return op.chain, op.n
    return (entry.note["chain"], entry.note["n"]) if "chain" in entry.note else None


def sha256(data: bytes) -> bytes:
    return _sha256(data).digest()


def link(head: bytes, digest: bytes) -> bytes:
    """Next head of a chain: SHA-256(head ‖ digest). Needs the digest only, so a body can be
    erased."""
    return _sha256(head + digest).digest()


ZERO_HEAD = bytes(32)


class Head(NamedTuple):
    """Where a chain ends: how many ops, and the hash over all of them."""

    n: int = 0
    hash: bytes = ZERO_HEAD

    def next(self, body: bytes) -> Head:
        return Head(self.n + 1, link(self.hash, sha256(body)))

    def hashes(self, bodies: Iterable[bytes]) -> list[bytes]:
        """The hash behind each of the bodies that follow; two hashes each and nothing else, for
        this is most of what a long run costs."""
        head, after, sha = self.hash, [], _sha256
        for body in bodies:
            head = sha(head + sha(body).digest()).digest()
            after.append(head)
        return after
