"""How two nodes that know nothing of each other come to trust each other: by six digits.

    station                                  server
      commitment ─────────────────────────▶             nobody can choose what comes later
      ◀──────── café, its card, its nonce
      its card, its nonce ────────────────▶             opens the commitment
      digits on its screen    ⇢ a person ⇢              types them: three tries, two minutes
      ◀──────────────────────────── "paired"            and says so at the station

Whoever sits between the two has bound themself to a nonce on either side before they knew the
others: their digits agree by chance alone, one time in a million.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sync.codec import pack, unpack
from sync.errors import Malformed
from sync.identity import CAFE_BYTES, check_public_key, node_id
from sync.op import sha256

NONCE_BYTES = 32
MESSAGE_BYTES = 16 << 10
DIGITS = 6
VERSION = 1
_PURPOSE = b"cabina:pair:1"
_CODE = re.compile("[a-z-]{0,40}")
_ROLE = re.compile("[a-z]{1,16}")


@dataclass(frozen=True, slots=True)
class Card:
    """Who a node says it is."""

    role: str
    """What it wants to be, in the words of the nodes; both sides have to mean the same."""
    name: str
    public: bytes
    certificate: bytes
    """DER."""

    @property
    def node(self) -> bytes:
        return node_id(self.public)

    def digest(self) -> bytes:
        return sha256(pack(_card(self)))


@dataclass(frozen=True, slots=True)
class Invitation:
    """The server's answer to a commitment."""

    cafe: bytes
    server: Card
    nonce: bytes
    port: int
    """Where it listens for paired stations."""


def commitment(card: Card, nonce: bytes) -> bytes:
    """What the station is bound to from its first message on."""
    return sha256(_PURPOSE + nonce + card.digest())


def digits(invitation: Invitation, station: Card, nonce: bytes) -> str:
    """The six digits that both sides compute: over both cards, both nonces and the café."""
    text = _PURPOSE + invitation.cafe + invitation.server.digest() + station.digest()
    number = int.from_bytes(sha256(text + invitation.nonce + nonce)[:8], "big")
    return str(number % 10**DIGITS).zfill(DIGITS)


# --- the messages ------------------------------------------------------------


def first(commit: bytes) -> bytes:
    return pack([VERSION, commit])


def read_first(data: bytes) -> bytes:
    match unpack(data, max_bytes=MESSAGE_BYTES):
        case [int(version), bytes(commit)] if version == VERSION and len(commit) == 32:
            return commit
    raise Malformed("bad-pairing", "commitment")


def second(invitation: Invitation) -> bytes:
    i = invitation
    return pack([i.cafe, *_card(i.server), i.nonce, i.port])


def read_second(data: bytes) -> Invitation:
    match unpack(data, max_bytes=MESSAGE_BYTES):
        case [
            bytes(cafe),
            str(role),
            str(name),
            bytes(public),
            bytes(cert),
            bytes(nonce),
            int(port),
        ]:
            if len(cafe) == CAFE_BYTES and len(nonce) == NONCE_BYTES and 0 < port < 1 << 16:
                return Invitation(cafe, _read_card(role, name, public, cert), nonce, port)
    raise Malformed("bad-pairing", "invitation")


def third(card: Card, nonce: bytes) -> bytes:
    return pack([*_card(card), nonce])


def read_third(data: bytes, commit: bytes) -> tuple[Card, bytes]:
    """The station's card and nonce, or `Malformed` if they are not what it was bound to."""
    match unpack(data, max_bytes=MESSAGE_BYTES):
        case [str(role), str(name), bytes(public), bytes(certificate), bytes(nonce)]:
            card = _read_card(role, name, public, certificate)
            if len(nonce) == NONCE_BYTES and commitment(card, nonce) == commit:
                return card, nonce
    raise Malformed("bad-pairing", "card")


def last(code: str) -> bytes:
    """Empty for paired, else why not."""
    return pack([code])


def read_last(data: bytes) -> str:
    match unpack(data, max_bytes=MESSAGE_BYTES):
        case [str(code)] if _CODE.fullmatch(code):  # somebody will see it on a terminal
            return code
    raise Malformed("bad-pairing", "end")


def _card(card: Card) -> list[Any]:
    return [card.role, card.name, card.public, card.certificate]


def _read_card(role: str, name: str, public: bytes, certificate: bytes) -> Card:
    check_public_key(public)
    if not 0 < len(name) <= 80:
        raise Malformed("bad-pairing", "name")
    if not _ROLE.fullmatch(role):
        raise Malformed("bad-pairing", "role")
    return Card(role, name, public, certificate)
