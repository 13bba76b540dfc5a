"""Who signs what: node keys, operator keys, and the texts that are signed.

A signed text is purpose (16 bytes) ‖ café id (16) ‖ fields of fixed width, so that no signature can
ever be taken for one of another purpose, café or field.
"""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from sync.errors import Malformed
from sync.op import NODE_BYTES, sha256

CAFE_BYTES = 16


def _purpose(name: str) -> bytes:
    return f"cabina:{name}:1".encode().ljust(16, b"\0")[:16]


SEAL_PURPOSE = _purpose("seal")
CANON_PURPOSE = _purpose("canon")
CHECKPOINT_PURPOSE = _purpose("check")
HELLO_PURPOSE = _purpose("hello")
TICKET_PURPOSE = _purpose("ticket")
SNAPSHOT_PURPOSE = _purpose("snap")
GRANT_PURPOSE = _purpose("grant")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def seal_text(cafe: bytes, chain: bytes, n: int, head: bytes) -> bytes:
    return SEAL_PURPOSE + cafe + chain + u64(n) + head


def canon_text(cafe: bytes, chain: bytes, seq: int, head: bytes) -> bytes:
    """A seal over the canonical log; a purpose of its own, since the server also signs a chain of
    ops."""
    return CANON_PURPOSE + cafe + chain + u64(seq) + head


def grant_text(
    cafe: bytes, operator: bytes, chain: bytes, from_n: int, until_mono_ms: int
) -> bytes:
    """``operator`` is a 16-byte id; the node is the first 16 bytes of ``chain``."""
    return GRANT_PURPOSE + cafe + operator + chain + u64(from_n) + u64(until_mono_ms)


def snapshot_text(cafe: bytes, chain: bytes, seq: int, head: bytes, digest: bytes) -> bytes:
    """``digest`` is over the parts of the snapshot."""
    return SNAPSHOT_PURPOSE + cafe + chain + u64(seq) + head + digest


def hello_text(
    cafe: bytes, node: bytes, nonces: bytes, own_certificate: bytes, peer_certificate: bytes
) -> bytes:
    """``nonces`` are the client's 16 and the server's 16 bytes; certificates are SHA-256 of the
    DER."""
    return HELLO_PURPOSE + cafe + node + nonces + own_certificate + peer_certificate


class Signer(Protocol):
    """A private key that never leaves its holder."""

    public: bytes

    def sign(self, text: bytes) -> bytes: ...


class Verifier(Protocol):
    """Checks a signature under a raw 32-byte public key."""

    def __call__(self, public: bytes, signature: bytes, text: bytes) -> bool: ...


def node_id(public: bytes) -> bytes:
    """A node is its key: the first 16 bytes of SHA-256 of the public key."""
    return sha256(public)[:NODE_BYTES]


class Ed25519Signer:
    """Ed25519 by `cryptography`; deterministic, so a seal made twice is the same seal."""

    def __init__(self, private: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.private = private
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Ed25519Signer:
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    def sign(self, text: bytes) -> bytes:
        return self._key.sign(text)


_keys: dict[bytes, Ed25519PublicKey] = {}


def verify_ed25519(public: bytes, signature: bytes, text: bytes) -> bool:
    """True if ``signature`` over ``text`` was made by the holder of ``public``."""
    key = _keys.get(public)
    if key is None:
        if len(_keys) > 1024:
            _keys.clear()
        key = _keys[public] = Ed25519PublicKey.from_public_bytes(public)
    try:
        key.verify(signature, text)
    except InvalidSignature:
        return False
    return True


# --- the key check at enrolment (SE-03) --------------------------------------
# `cryptography` accepts the small-order points, with which anyone can make signatures that verify.
# Edwards arithmetic after RFC 8032, section 5.1.4, in extended coordinates.

_P = 2**255 - 19
_D = -121665 * pow(121666, _P - 2, _P) % _P
_L = 2**252 + 27742317777372353535851937790883648493
_Point = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)


def check_public_key(public: bytes) -> None:
    """Raise `Malformed` unless ``public`` is a canonical Ed25519 point of full (prime) order."""
    if len(public) != 32:
        raise Malformed("bad-key", "a public key has 32 bytes")
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    sign = public[31] >> 7
    if y >= _P:
        raise Malformed("bad-key", "not canonical")
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if (v * x * x - u) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if (v * x * x - u) % _P:
        raise Malformed("bad-key", "not on the curve")
    if x == 0 and sign:
        raise Malformed("bad-key", "not canonical")
    if x & 1 != sign:
        x = _P - x
    point = (x, y, 1, x * y % _P)
    if _is_neutral(point) or not _is_neutral(_times(_L, point)):
        raise Malformed("bad-key", "not of full order")


def _add(a: _Point, b: _Point) -> _Point:
    left = (a[1] - a[0]) * (b[1] - b[0]) % _P
    right = (a[1] + a[0]) * (b[1] + b[0]) % _P
    c, d = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = right - left, d - c, d + c, right + left
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: _Point) -> _Point:
    total = _NEUTRAL
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _is_neutral(point: _Point) -> bool:
    return point[0] % _P == 0 and (point[1] - point[2]) % _P == 0
