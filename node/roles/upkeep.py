"""What a server does by itself as time goes by: ends what is over, keeps codes ready, erases."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from node.cafe import (
    accounts,
    customers,
    orders,
    pins,
    prints,
    settings,
)
from sync.errors import Refused, SyncError

if TYPE_CHECKING:
    from node.roles.server import ServerNode

_log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
PRINTER_EVERY_S = 5.0
SPARES_LOW, SPARES_MADE = 50, 100
ERASED_AT_ONCE = 100
CODES_AT_ONCE = 20

Do = Callable[[str, dict[str, Any]], Awaitable[Any]]


class Upkeep:
    """Goes round once a second; what fails is tried again the next time."""

    def __init__(self, node: ServerNode, do: Do) -> None:
        self._node, self._do = node, do
        self._task: asyncio.Task[None] | None = None
        self._day = 0
        self._codes_at: list[int] = []
        """Versions of the tables in which nobody lacked a code."""
        self._printer_due_s = 0.0

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            chores = (
                self._end_orders,
                self._end_days,
                self.keep_spares,
                self._give_codes,
                self._erase,
            )
            for chore in chores:
                try:
                    await chore()
                except SyncError as error:  # a full disk, or somebody was faster
                    _log.info("%s: %s", chore.__name__, error)
            await self._watch_printer()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _end_orders(self) -> None:
        node = self._node
        for order in orders.overdue(node.tables, node.clock.wall_ms()):
            with contextlib.suppress(SyncError):  # looked at meanwhile
                await self._do("order.expire", {"order": order})

    async def _end_days(self) -> None:
        """Once a day, and at the start: credit and PINs that were good until yesterday."""
        tables, now_ms = self._node.tables, self._node.clock.wall_ms()
        day = settings.today(tables, now_ms)
        if day == self._day:
            return
        for customer in accounts.overdue(tables, now_ms):
            with contextlib.suppress(Refused):
                await self._do("credit.expire", {"customer": customer})
        serials = pins.overdue(tables, now_ms)
        for at in range(0, len(serials), pins.MOST_AN_OP):
            with contextlib.suppress(Refused):
                await self._do("pin.expire", {"serials": serials[at : at + pins.MOST_AN_OP]})
        self._day = day

    async def keep_spares(self) -> None:
        """Codes for the next PIN tickets, where the café sells such."""
        tables = self._node.tables
        if pins.wants_spares(tables) and pins.spares_left(tables) < SPARES_LOW:
            codes = self._node.codes.new(SPARES_MADE, lambda index: pins.is_taken(tables, index))
            await self._do("pin.spare", {"secrets": codes})

    async def _give_codes(self) -> None:
        """A code for who has no password yet: it stands on their next ticket."""
        tables = self._node.tables
        versions = [tables.table(name).version for name in ("people", "codes", "verifiers")]
        if versions == self._codes_at:
            return
        missing = customers.without_code(tables, CODES_AT_ONCE)
        for customer in missing:
            await self._node.give_code(customer)
        if not missing:
            self._codes_at = versions

    def look_again(self) -> None:
        """Something that kept an account or a card from ending is over."""
        self._day = 0

    async def _erase(self) -> None:
        """Take what people told of themselves out of every log once they have left."""
        keys = [bytes.fromhex(key) for key, _ in self._node.tables.table("erasing").scan()]
        if keys:
            await self._node.driver.erase(keys[:ERASED_AT_ONCE])

    async def _watch_printer(self) -> None:
        """A printer that was not well is looked at again, where tickets wait for it."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._printer_due_s and not prints.is_ready(self._node.tables):
            self._printer_due_s = now_s + PRINTER_EVERY_S
            await self.look_at_printer()

    async def look_at_printer(self) -> None:
        """Write down whether the printer is well, for who sells PIN tickets."""
        node = self._node
        if node.printer is None or not pins.wants_spares(node.tables):
            return
        ready = not await node.printer.check()
        if ready != prints.is_ready(node.tables):
            with contextlib.suppress(SyncError):
                await self._do("printer.note", {"ready": ready})
