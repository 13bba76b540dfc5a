"""PINs in clear: made, found and opened here alone, with keys that stand in no log.

    index   HMAC-SHA-256, cut to 16 bytes: finds a PIN that is typed
    text    AES-SIV of the PIN, bound to the café: what is on a card can be printed again

Without the keys neither says anything, though there are only 30⁵ PINs to try.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from sync.errors import Malformed, Refused

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without what is read as something else: 0 O 1 I L U."""
LENGTH = 5
INDEX_BYTES = 16
HMAC_BYTES, SIV_BYTES = 32, 64
KEY_BYTES = HMAC_BYTES + SIV_BYTES
TRIES = 200
CODE_DIGITS = 6


def new_keys() -> bytes:
    """Keys of a new café."""
    return secrets.token_bytes(HMAC_BYTES) + AESSIV.generate_key(SIV_BYTES * 8)


def normal(pin: str) -> str:
    """A PIN as it is compared: capitals, no blanks."""
    return "".join(pin.split()).upper()


class PinCodes:
    """A café's PINs."""

    def __init__(self, keys: bytes, cafe: bytes) -> None:
        self._hmac, self._siv, self._cafe = keys[:HMAC_BYTES], AESSIV(keys[HMAC_BYTES:]), cafe

    def index(self, pin: str) -> str:
        """Where a PIN is found, in hex."""
        mac = hmac.new(self._hmac, normal(pin).encode(), hashlib.sha256)
        return mac.digest()[:INDEX_BYTES].hex()

    def seal(self, pin: str) -> tuple[str, str]:
        """(index, text) of a PIN in hex."""
        return self.index(pin), self._siv.encrypt(pin.encode(), [self._cafe]).hex()

    def open(self, text: str) -> str:
        """The PIN of a text; `Malformed` if it is of another café, or damaged."""
        try:
            return self._siv.decrypt(bytes.fromhex(text), [self._cafe]).decode()
        except (InvalidTag, ValueError):
            raise Malformed("bad-pin") from None

    def new_code(self) -> tuple[str, str]:
        """(index, text) of a code for one customer's first password: six digits."""
        return self.seal(str(secrets.randbelow(10**CODE_DIGITS)).zfill(CODE_DIGITS))

    def new(self, count: int, is_taken: Callable[[str], bool]) -> list[list[str]]:
        """``[index, text]`` of so many PINs that no index ``is_taken`` by. `Refused` ``no-pins-
        left`` when nearly all are in use."""
        made: dict[str, str] = {}
        tries = 0
        while len(made) < count:
            pin = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
            index, text = self.seal(pin)
            if index not in made and not is_taken(index):
                made[index] = text
                tries = 0
            elif (tries := tries + 1) > TRIES:
                raise Refused("no-pins-left")
        return [[index, text] for index, text in made.items()]
