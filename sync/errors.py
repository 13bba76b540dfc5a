"""What can go wrong, grouped by what the caller does next.

SyncError
├── Refused            a rule said no: tell a person; the code says which rule
├── Malformed          bytes that are not what they claim: refuse and count them
├── StorageFailed      the disk did not take it: nothing was shown, try again when it has room
├── Damaged            a log that is not what was written: a person must know
├── FolderBusy         another process holds the data folder
├── Unpaired           the other side is not who we were paired with
└── Disconnected       the network went away: it comes back by itself
"""

from __future__ import annotations

from typing import Any


class SyncError(Exception):
    """Root of all errors that this engine raises on purpose."""


class Refused(SyncError):
    """A rule refused a command or an op.

    ``code`` is a stable machine word such as ``no-grant``; ``details`` are plain values that a
    sentence for a person can be made from. Sentences are not the engine's business.
    """

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code if not details else f"{code} {details}")
        self.code = code
        self.details = details


class Malformed(SyncError):
    """Bytes from outside that break a format or a limit; ``code`` is ``too-large``, ``bad-
    type``…"""

    def __init__(self, code: str, what: str = "") -> None:
        super().__init__(f"{code}: {what}" if what else code)
        self.code = code
        self.what = what


class StorageFailed(SyncError):
    """A write or a sync failed; what was not yet durable has been taken back."""


class Damaged(SyncError):
    """A log holds bytes that were not written by its owner, or lost some before a valid seal."""

    def __init__(self, log: str, offset: int, what: str) -> None:
        super().__init__(f"{log} is damaged at byte {offset}: {what}")
        self.log = log
        self.offset = offset
        self.what = what


class FolderBusy(SyncError):
    """Another process holds this data folder (one writer, SY-18)."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.folder = folder


class Unpaired(SyncError):
    """The other side showed a certificate or a key that we were not paired with."""


class Disconnected(SyncError):
    """There is no link at the moment."""
