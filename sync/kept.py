"""A station's copy of the canonical log, as it grows: what came is kept a little later than it is
folded, since it can be fetched again."""

from __future__ import annotations

import logging

from sync.errors import StorageFailed
from sync.frames import seal_in
from sync.log import Log

_log = logging.getLogger(__name__)


class KeptCopy:
    """Runs of entries that wait for the disk."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.waiting: list[list[bytes]] = []

    def add(self, frames: list[bytes]) -> None:
        self.waiting.append(frames)

    def forget(self) -> None:
        """The log begins anew: what waits is fetched again."""
        self.waiting.clear()

    def sync(self) -> bool:
        """Write all that waits, and make it durable. False if the disk refused: what it did not
        take waits on."""
        log = self._log
        try:
            for frames in self.waiting:
                log.commit(frames, sync=False)
            log.sync()
        except StorageFailed as error:
            _log.error("the disk refused the copy of the log: %s", error)
            durable = log.sealed_n  # a new segment makes durable what stands before it
            self.waiting = [f for f in self.waiting if seal_in(f[-1]).n > durable]
            return False
        self.waiting.clear()
        return True
