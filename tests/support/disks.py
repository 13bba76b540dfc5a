"""A disk that forgets: what was not synced is lost or torn at a crash, and errors come by chance."""

from __future__ import annotations

import random
from collections.abc import Callable

from sync.errors import StorageFailed


class SimFile:
    """`sync.disk.AppendFile` in memory."""

    def __init__(self, disk: SimDisk, name: str) -> None:
        self._disk, self._name = disk, name
        self._open = True

    @property
    def size(self) -> int:
        return len(self._disk.durable[self._name]) + len(self._disk.buffered[self._name])

    def append(self, data: bytes) -> None:
        assert self._open, "used after a failure"
        if self._disk.fails():
            cut = self._disk.chance.randrange(len(data) + 1)
            self._disk.buffered[self._name] += data[:cut]
            raise StorageFailed("short write")
        self._disk.buffered[self._name] += data
        left = self._disk.room[self._name] - len(data)
        self._disk.room[self._name] = left if left >= 0 else self._disk.room_bytes

    def sync(self) -> None:
        assert self._open, "used after a failure"
        self._disk.at_sync()
        if self._disk.fails():
            # The kernel drops what it could not write, and would say "fine" the next time.
            lost = self._disk.buffered[self._name]
            kept = self._disk.chance.randrange(len(lost) + 1)
            self._disk.durable[self._name] += lost[:kept]
            self._disk.buffered[self._name] = b""
            self._open = False
            raise StorageFailed("EIO")
        self._disk.durable[self._name] += self._disk.buffered[self._name]
        self._disk.buffered[self._name] = b""

    def truncate(self, size: int) -> None:
        if self._disk.fails():
            raise StorageFailed("EIO")
        whole = self._disk.durable[self._name] + self._disk.buffered[self._name]
        self._disk.durable[self._name] = whole[: min(size, len(self._disk.durable[self._name]))]
        self._disk.buffered[self._name] = whole[len(self._disk.durable[self._name]) : size]
        self._disk.room[self._name] = 0

    def close(self) -> None:
        if self._open:
            self._disk.room[self._name] = 0
        self._open = False


class SimDisk:
    """`sync.disk.Disk` in memory with power cuts and errors."""

    def __init__(self, chance: random.Random, error_rate: float = 0.0, room_bytes: int = 0) -> None:
        self.chance, self.error_rate, self.room_bytes = chance, error_rate, room_bytes
        self.durable: dict[str, bytes] = {}
        self.buffered: dict[str, bytes] = {}
        self.room: dict[str, int] = {}
        """So many zeros stand behind what was written to a file."""
        self.at_sync: Callable[[], None] = lambda: None
        """Called before each sync: where a power cut tears what was written."""

    def fails(self) -> bool:
        return self.error_rate > 0 and self.chance.random() < self.error_rate

    def crash(self) -> None:
        """Power cut: of what was not synced, some beginning survives, and mostly the room."""
        for name, data in self.buffered.items():
            self.durable[name] += data[: self.chance.randrange(len(data) + 1)]
            self.buffered[name] = b""
            if len(self.durable[name]) % 5 == 0:
                self.room[name] = 0

    def names(self) -> list[str]:
        return sorted(self.durable)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        if name not in self.durable:
            raise FileNotFoundError(name)
        data = self._whole(name)
        return data[offset:] if size < 0 else data[offset : offset + size]

    def _whole(self, name: str) -> bytes:
        return self.durable[name] + self.buffered[name] + bytes(self.room.get(name, 0))

    def open(self, name: str) -> SimFile:
        if self.fails():
            raise StorageFailed("no descriptor")
        self.durable.setdefault(name, b"")
        self.buffered.setdefault(name, b"")
        self.buffered[name] = self._whole(name)[len(self.durable[name]) :]
        self.room[name] = 0
        return SimFile(self, name)

    def replace(self, name: str, data: bytes) -> None:
        self.durable[name] = data
        self.buffered[name] = b""
        self.room[name] = 0

    def remove(self, name: str) -> None:
        self.durable.pop(name, None)
        self.buffered.pop(name, None)
        self.room.pop(name, None)
