"""What two nodes say to each other before they trust each other."""

from __future__ import annotations

from typing import Any

import pytest

from sync import pairing as protocol
from sync.codec import pack
from sync.errors import Malformed
from sync.identity import Ed25519Signer
from sync.pairing import Card, Invitation

STATION = Card("station", "S", Ed25519Signer(b"1" * 32).public, b"cert")
SERVER = Card("server", "V", Ed25519Signer(b"2" * 32).public, b"cert")
INVITATION = Invitation(b"c" * 16, SERVER, b"n" * 32, 8470)


@pytest.mark.feature("SE-01")
def test_digits_depend_on_everything_that_both_must_agree_on() -> None:
    """Café, cards and nonces of both: whoever changes one of them changes the digits."""
    own = b"o" * 32
    base = protocol.digits(INVITATION, STATION, own)
    other = Card("station", "M", Ed25519Signer(b"3" * 32).public, b"cert")
    changed = [
        protocol.digits(Invitation(b"d" * 16, SERVER, b"n" * 32, 8470), STATION, own),
        protocol.digits(Invitation(b"c" * 16, other, b"n" * 32, 8470), STATION, own),
        protocol.digits(Invitation(b"c" * 16, SERVER, b"m" * 32, 8470), STATION, own),
        protocol.digits(INVITATION, other, own),
        protocol.digits(INVITATION, STATION, b"p" * 32),
    ]
    assert base not in changed
    assert base == protocol.digits(INVITATION, STATION, own)


@pytest.mark.feature("SE-01", "SE-03", "SE-09")
def test_messages_are_read_back_or_refused() -> None:
    """Another form, another length, a key of small order, or a card that was not committed to."""
    own = b"o" * 32
    commit = protocol.commitment(STATION, own)
    assert protocol.read_first(protocol.first(commit)) == commit
    assert STATION.node != SERVER.node
    assert protocol.read_second(protocol.second(INVITATION)) == INVITATION
    assert protocol.read_third(protocol.third(STATION, own), commit) == (STATION, own)
    assert protocol.read_last(protocol.last("x")) == "x"
    weak = Card("station", "W", bytes(32), b"cert")
    bad: list[tuple[Any, bytes]] = [
        (protocol.read_first, pack([2, commit])),
        (protocol.read_second, pack([1])),
        (protocol.read_second, protocol.second(Invitation(b"c", SERVER, b"n" * 32, 8470))),
        (protocol.read_second, protocol.second(Invitation(b"c" * 16, weak, b"n" * 32, 8470))),
        (lambda d: protocol.read_third(d, commit), protocol.third(STATION, b"p" * 32)),
        (
            lambda d: protocol.read_third(d, commit),
            protocol.third(Card("station", "", SERVER.public, b""), own),
        ),
        (
            lambda d: protocol.read_third(d, commit),
            protocol.third(Card("Station!", "S", SERVER.public, b""), own),
        ),
        (lambda d: protocol.read_third(d, commit), pack([])),
        (protocol.read_last, pack([1])),
        (protocol.read_last, pack(["\x1b[2Jpaired"])),
    ]
    for read, data in bad:
        with pytest.raises(Malformed):
            read(data)
