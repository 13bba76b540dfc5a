"""Bodies that only the server may read, and keys that only a password opens.

A sealed body is public to carry and opaque to read: every chain stays whole everywhere, and a lost
server gets it back from its stations. X25519, HKDF-SHA-256, ChaCha20-Poly1305; passwords by
Argon2id.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sync.errors import Malformed, Refused
from sync.identity import Ed25519Signer

_ONCE = bytes(12)  # a nonce may be fixed where every key is used once


def _body_key(shared: bytes, ephemeral: bytes, public: bytes, cafe: bytes) -> bytes:
    kdf = HKDF(SHA256(), 32, salt=ephemeral + public, info=b"cabina:sealed:1" + cafe)
    return kdf.derive(shared)


def seal_body(public: bytes, cafe: bytes, plain: bytes) -> bytes:
    """Seal ``plain`` to the café's public key: 32 bytes of ephemeral key, then the ciphertext."""
    ephemeral = X25519PrivateKey.generate()
    own = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    key = _body_key(shared, own, public, cafe)
    return own + ChaCha20Poly1305(key).encrypt(_ONCE, plain, cafe)


def open_body(private: bytes, cafe: bytes, sealed: bytes) -> bytes:
    """Open what `seal_body` made, or raise `Malformed`."""
    key = X25519PrivateKey.from_private_bytes(private)
    public = key.public_key().public_bytes_raw()
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(sealed[:32]))
        body_key = _body_key(shared, sealed[:32], public, cafe)
        return ChaCha20Poly1305(body_key).decrypt(_ONCE, sealed[32:], cafe)
    except (InvalidTag, ValueError):
        raise Malformed("bad-sealed") from None


def new_cafe_key() -> tuple[bytes, bytes]:
    """(private, public) of a new café."""
    key = X25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class Cost:
    """What one guess of a password costs: Argon2id's memory, passes and lanes."""

    memory_kib: int = 19 * 1024
    passes: int = 2
    lanes: int = 1


def wrap_key(key: Ed25519Signer, password: str, cost: Cost = Cost()) -> dict[str, Any]:
    """An operator's private key under a password, as plain values. Takes a sixth of a second."""
    return lock(key.private, password, cost)


def lock(plain: bytes, password: str, cost: Cost = Cost()) -> dict[str, Any]:
    """Bytes under a password, as plain values. Takes a sixth of a second."""
    salt = secrets.token_bytes(16)
    kdf = Argon2id(
        salt=salt,
        length=32,
        iterations=cost.passes,
        lanes=cost.lanes,
        memory_cost=cost.memory_kib,
    )
    box = ChaCha20Poly1305(kdf.derive(password.encode())).encrypt(_ONCE, plain, None)
    return {
        "salt": salt,
        "memory_kib": cost.memory_kib,
        "passes": cost.passes,
        "lanes": cost.lanes,
        "box": box,
    }


MAX_COST = Cost(memory_kib=1 << 20, passes=16, lanes=16)


def unwrap_key(wrapped: dict[str, Any], password: str) -> Ed25519Signer:
    """The operator's key, or `Refused` ``wrong-password``. Blocks: call it in a thread."""
    try:
        return Ed25519Signer(unlock(wrapped, password))
    except ValueError:
        raise Malformed("bad-type", "wrapped key") from None


def unlock(locked: dict[str, Any], password: str) -> bytes:
    """What `lock` was given, or `Refused` ``wrong-password``. Blocks: call it in a thread."""
    try:
        memory, passes, lanes = locked["memory_kib"], locked["passes"], locked["lanes"]
        if not (
            8 <= memory <= MAX_COST.memory_kib
            and 1 <= passes <= MAX_COST.passes
            and 1 <= lanes <= MAX_COST.lanes
        ):
            raise Malformed("out-of-range", "Argon2 cost")
        kdf = Argon2id(
            salt=locked["salt"], length=32, iterations=passes, lanes=lanes, memory_cost=memory
        )
        return ChaCha20Poly1305(kdf.derive(password.encode())).decrypt(_ONCE, locked["box"], None)
    except (KeyError, TypeError, ValueError):
        raise Malformed("bad-type", "locked bytes") from None
    except InvalidTag:
        raise Refused("wrong-password") from None
