"""Fetching the server's snapshot over a link: a few parts at a time, each checked as it comes."""

from __future__ import annotations

from dataclasses import dataclass, field

from sync.errors import Malformed
from sync.identity import Verifier
from sync.messages import SnapshotPart
from sync.op import sha256
from sync.snapshot import Header, read_header

PARTS_ASKED = 4


@dataclass
class Fetch:
    """One snapshot on its way. The header was asked for (part 0) when it was made."""

    seq: int
    heard_ms: int
    """When the last part came."""
    keys: bool
    """Whether the keys of effects are needed: by who has made ops before."""
    beneath: bool = False
    """It is to stand for the beginning of our logs, not to take the place of all of it."""
    frame: bytes = b""
    header: Header | None = None
    _parts: dict[int, bytes] = field(default_factory=dict)
    _needed: list[int] = field(default_factory=list)
    _asked: int = 0

    @property
    def done(self) -> bool:
        return self.header is not None and len(self._parts) == len(self._needed)

    @property
    def parts(self) -> list[bytes]:
        """All parts in their order; those that were not needed are empty."""
        assert self.header is not None
        return [self._parts.get(at, b"") for at in range(len(self.header.parts))]

    def take(
        self, message: SnapshotPart, cafe: bytes, server: bytes, verify: Verifier
    ) -> list[int]:
        """Take one frame; numbers of those to ask for next. `Malformed` ``bad-snapshot``."""
        if message.seq != self.seq:
            raise Malformed("bad-snapshot", "it is gone")
        if self.header is None:
            header = read_header(message.data, cafe, server, verify)
            if message.number != 0 or header.seq != self.seq:
                raise Malformed("bad-snapshot", "header")
            self.header, self.frame = header, message.data
            self._needed = header.needed(keys=self.keys)
        else:
            at = message.number - 1
            if at not in self._needed[: self._asked] or at in self._parts:
                raise Malformed("bad-snapshot", "not asked for")
            if sha256(message.data) != self.header.parts[at][1]:
                raise Malformed("bad-snapshot", f"part {at}")
            self._parts[at] = message.data
        to = min(len(self._needed), len(self._parts) + PARTS_ASKED)
        wanted = self._needed[self._asked : to]
        self._asked = to
        return [at + 1 for at in wanted]
