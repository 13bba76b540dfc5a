"""Who signs what: node keys, operator keys, and the texts that are signed.

A signed text is purpose (16 bytes) ‖ café id (16) ‖ fields of fixed width, so that no signature can
ever be taken for one of another purpose, café or field.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from nacl import bindings
from nacl.exceptions import BadSignatureError

from sync.errors import Malformed
from sync.op import NODE_BYTES, sha256

CAFE_BYTES = 16
PRIVATE_BYTES = PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64


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
    """Ed25519 by libsodium, in two thirds of the time that OpenSSL takes; deterministic, so a seal
    made twice is the same seal."""

    def __init__(self, private: bytes) -> None:
        self.public, self._pair = bindings.crypto_sign_seed_keypair(private)
        self.private = private

    @classmethod
    def generate(cls) -> Ed25519Signer:
        return cls(secrets.token_bytes(PRIVATE_BYTES))

    def sign(self, text: bytes) -> bytes:
        return bindings.crypto_sign(text, self._pair)[:SIGNATURE_BYTES]


def verify_ed25519(public: bytes, signature: bytes, text: bytes) -> bool:
    """True if ``signature`` over ``text`` was made by the holder of ``public``."""
    if len(signature) != SIGNATURE_BYTES or len(public) != PUBLIC_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + text, public)
    except BadSignatureError:
        return False
    return True


def check_public_key(public: bytes) -> None:
    """Raise `Malformed` unless ``public`` is a canonical Ed25519 point of prime order: with others
    anyone can make signatures that some verifier takes (SE-03)."""
    if len(public) != PUBLIC_BYTES:
        raise Malformed("bad-key", "a public key has 32 bytes")
    if not bindings.crypto_core_ed25519_is_valid_point(public):
        raise Malformed("bad-key", "not a point of prime order")
