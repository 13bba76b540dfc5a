"""Opens the cash drawer: each pulse once, and none that is late.

What asks for a pulse is a fact in the log; how long ago that was is counted on a monotonic clock. A
pulse that may have been sent is never sent again, and after a start none of before is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from node.cafe import box
from node.cafe.orders import FRESH_MS
from node.devices.ports import Outcome, Printer
from sync.domain import Tables

_log = logging.getLogger(__name__)
RETRY_S = 0.5


class Drawer:
    """Follows the pulses that the tables ask for, from now on."""

    def __init__(
        self,
        tables: Tables,
        printer: Printer,
        mono_s: Callable[[], float],
        late_s: float = FRESH_MS / 1000,
        retry_s: float = RETRY_S,
    ) -> None:
        self._tables, self._printer, self._mono_s = tables, printer, mono_s
        self._late_s, self._retry_s = late_s, retry_s
        self._seen, _ = box.pulses(tables)
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Something changed: open it if that is asked for. Several at once are one."""
        number, age_ms = box.pulses(self._tables)
        if number > self._seen:
            self._until_s = self._mono_s() + self._late_s - age_ms / 1000
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._open())
        self._seen = number

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _is_late(self) -> bool:
        return self._mono_s() > self._until_s

    async def _open(self) -> None:
        while not self._is_late():
            if await self._printer.pulse(self._is_late) is not Outcome.NOT_STARTED:
                return
            await asyncio.sleep(self._retry_s)
        _log.warning("the drawer was not opened: the printer could not be reached in time")
