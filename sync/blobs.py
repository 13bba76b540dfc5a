"""Large pieces that ops only name by their SHA-256, such as pictures: who lacks one asks for it.

    tables name it ─▶ lacking ─▶ want (one link, a few at once) ─▶ blob ─▶ kept ─▶ here

They stand in a folder of their own and travel behind everything else. One that is not what its name
says was never here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sync.disk import Disk
from sync.errors import Malformed, Refused, StorageFailed
from sync.op import sha256

MAX_BLOB_BYTES = 256 << 10
AT_ONCE = 4
AGAIN_MS = 30_000
"""Who did not have it, or did not answer, may be asked again after that."""


@dataclass
class Wanted:
    """What a node lacks, and whom it has asked."""

    here: set[bytes] = field(default_factory=set)
    _asked: dict[tuple[bytes, int], int] = field(default_factory=dict)
    """(digest, link) → monotonic ms."""
    _waiting: dict[bytes, int] = field(default_factory=dict)
    """Digest → link that is to answer."""

    def ask(
        self, named: Iterable[bytes], links: Sequence[int], now_ms: int
    ) -> list[tuple[int, bytes]]:
        """(link, digest) of what is to be asked for now."""
        for key, at_ms in list(self._asked.items()):
            if now_ms - at_ms > AGAIN_MS or key[1] not in links:
                del self._asked[key]
        self._waiting = {d: ln for d, ln in self._waiting.items() if (d, ln) in self._asked}
        wanted: list[tuple[int, bytes]] = []
        for digest in named:
            if len(self._waiting) >= AT_ONCE:
                break
            link = next((ln for ln in links if (digest, ln) not in self._asked), None)
            if digest in self.here or digest in self._waiting or link is None:
                continue
            self._asked[digest, link], self._waiting[digest] = now_ms, link
            wanted.append((link, digest))
        return wanted

    def take(self, link: int, digest: bytes, data: bytes) -> bool:
        """Whether an answer is to be kept; False if that side does not have it either. `Malformed`
        for what was not asked for, or is something else."""
        if self._waiting.get(digest) != link:
            if (digest, link) in self._asked:  # it was slow, and asked for once more
                return False
            raise Malformed("bad-blob", "not asked for")
        del self._waiting[digest]
        if data and (len(data) > MAX_BLOB_BYTES or sha256(data) != digest):
            raise Malformed("bad-blob", "not what its name says")
        return bool(data)


class BlobFolder:
    """The blobs of a node on its disk, a file each."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def digests(self) -> set[bytes]:
        names = [name for name in self._disk.names() if len(name) == 64]
        return {bytes.fromhex(name) for name in names if set(name) <= set("0123456789abcdef")}

    def add(self, data: bytes) -> bytes:
        """Keep one; its digest. Raises `Refused` ``too-large``, `StorageFailed`."""
        if not 0 < len(data) <= MAX_BLOB_BYTES:
            raise Refused("too-large", at_most=MAX_BLOB_BYTES)
        digest = sha256(data)
        self._disk.replace(digest.hex(), data)
        return digest

    def get(self, digest: bytes) -> bytes | None:
        """One of them, whole; None if it is not here, or not what its name says."""
        try:
            data = self._disk.read(digest.hex())
        except (OSError, StorageFailed):
            return None
        return data if sha256(data) == digest else None

    def keep_only(self, named: Iterable[bytes]) -> None:
        """Remove what nothing names any more. Raises `StorageFailed`."""
        for digest in self.digests() - set(named):
            self._disk.remove(digest.hex())
