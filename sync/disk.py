"""The disk as the engine sees it: one flat folder of append-only files and whole files.

Short writes are seen, and a failed sync poisons its descriptor: after one, the kernel may answer
the next sync on the same descriptor with success although the pages are gone.

A file takes room ahead of what is written, so that a sync need not write down a new length as well
(a third of what it takes). Zeros stand in that room until `close`, and after a crash.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from sync.errors import FolderBusy, StorageFailed

ROOM_BYTES = 256 << 10
"""So much room is taken at once."""


class AppendFile(Protocol):
    """A file that only grows, or is cut back to a length."""

    size: int
    """What was written, and of a file just opened all there is; zeros may stand behind it."""

    def append(self, data: bytes) -> None:
        """Write all of ``data`` at the end, or raise `StorageFailed`; durable only after `sync`."""

    def sync(self) -> None:
        """Make what was written durable, or raise `StorageFailed` and refuse all further use."""

    def truncate(self, size: int) -> None: ...

    def close(self) -> None:
        """Cut off the room that was not needed."""


class Disk(Protocol):
    """A folder with one writer."""

    def names(self) -> list[str]: ...

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes: ...

    def open(self, name: str) -> AppendFile: ...

    def replace(self, name: str, data: bytes) -> None:
        """Write a whole file so that after a crash either the old or the new one is there."""

    def remove(self, name: str) -> None: ...


def _sync(fd: int) -> None:
    if sys.platform == "darwin":  # pragma: no cover - fsync there does not reach the platter
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(fd)
    else:  # pragma: no cover - Windows
        os.fsync(fd)


class OsAppendFile:
    """`AppendFile` over a descriptor of the operating system."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0)
        self._fd: int | None = os.open(path, flags, 0o600)
        self.size = self._room = os.lseek(self._fd, 0, os.SEEK_END)

    def _live(self) -> int:
        if self._fd is None:
            raise StorageFailed(f"{self._path.name} is closed after a failure")
        return self._fd

    def append(self, data: bytes) -> None:
        fd = self._live()
        try:
            if self.size + len(data) > self._room:
                self._take_room(fd, self.size + max(len(data), ROOM_BYTES))
            written = os.write(fd, data)
        except OSError as error:
            raise StorageFailed(str(error)) from error
        if written != len(data):  # a full disk takes a part and says so only by this number
            raise StorageFailed(f"only {written} of {len(data)} bytes were written")
        self.size += written

    def _take_room(self, fd: int, end: int) -> None:
        """Have the file reach as far as ``end``, if the disk can and has so much."""
        self._room = max(self._room, self.size)
        if hasattr(os, "posix_fallocate"):  # pragma: no branch - not on Windows and macOS
            try:
                os.posix_fallocate(fd, self.size, end - self.size)
                self._room = end
            except OSError:  # it may have got some of it
                os.ftruncate(fd, self.size)

    def sync(self) -> None:
        try:
            _sync(self._live())
        except OSError as error:
            self.close()  # tried again on this descriptor it would say "fine"
            raise StorageFailed(str(error)) from error

    def truncate(self, size: int) -> None:
        try:
            os.ftruncate(self._live(), size)
            self.size = self._room = os.lseek(self._live(), size, os.SEEK_SET)
        except OSError as error:
            raise StorageFailed(str(error)) from error

    def close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            if self._room > self.size:
                with contextlib.suppress(OSError):  # a start cuts it off
                    os.ftruncate(fd, self.size)
            with contextlib.suppress(OSError):  # what counts was synced before
                os.close(fd)


class OsDisk:
    """A data folder on a real disk, held by this process alone until `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = FileLock(folder / "lock", timeout=0, mode=0o600, thread_local=False)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise FolderBusy(str(folder)) from None
        except OSError as error:
            raise StorageFailed(str(error)) from error

    def close(self) -> None:
        self._lock.release()

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        with (self.folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def open(self, name: str) -> OsAppendFile:
        fresh = not (self.folder / name).exists()
        file = None
        try:
            file = OsAppendFile(self.folder / name)
            if fresh:
                self._sync_folder()
        except OSError as error:
            if file is not None:
                file.close()
            raise StorageFailed(str(error)) from error
        return file

    def replace(self, name: str, data: bytes) -> None:
        temporary = self.folder / f"{name}.new"
        try:
            fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
            os.replace(temporary, self.folder / name)
            self._sync_folder()
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StorageFailed(str(error)) from error

    def remove(self, name: str) -> None:
        try:
            (self.folder / name).unlink(missing_ok=True)
            self._sync_folder()
        except OSError as error:
            raise StorageFailed(str(error)) from error

    def _sync_folder(self) -> None:
        sync_folder(self.folder)


def sync_folder(folder: Path) -> None:
    """What was created, renamed or removed in a folder stays so after the power has failed."""
    if os.name == "nt":  # pragma: no cover - folders cannot be opened there
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class ReadOnlyDisk:
    """A folder to look into, also while another process works in it. Takes no lock and changes
    nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        with (self.folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def open(self, name: str) -> AppendFile:
        raise StorageFailed("this folder is only looked at")

    def replace(self, name: str, data: bytes) -> None:
        raise StorageFailed("this folder is only looked at")

    def remove(self, name: str) -> None:
        raise StorageFailed("this folder is only looked at")
