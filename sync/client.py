"""Keeps a station connected: reconnects for ever, with backoff and jitter, and blocks nobody
meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from sync.certificates import PinnedContext, peer_certificate, pin
from sync.driver import Driver
from sync.link import OPTIONS, run_link

_log = logging.getLogger(__name__)
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 8.0


class Client:
    """Holds one link to the server open."""

    def __init__(
        self,
        driver: Driver,
        context: PinnedContext,
        server_node: bytes,
        server_pin: bytes,
        address: Callable[[], tuple[str, int]],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``address`` is asked before each try, so that the server may move."""
        self._driver, self._context = driver, context
        self._server_node, self._server_pin = server_node, server_pin
        self._address, self._jitter = address, jitter
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.problem = ""
        """Why the last try failed; empty while connected."""

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hurry(self) -> None:
        """Try again now instead of at the end of the pause."""
        self._hurry.set()

    async def _run(self) -> None:
        delay_s = FIRST_DELAY_S
        while True:
            began = asyncio.get_running_loop().time()
            await self._once()
            if asyncio.get_running_loop().time() - began > LONGEST_DELAY_S:
                delay_s = FIRST_DELAY_S  # pragma: no cover - CPython 3.11 does not trace it here
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s * (0.5 + self._jitter())):
                    await self._hurry.wait()
                delay_s = FIRST_DELAY_S / 2
            delay_s = min(LONGEST_DELAY_S, delay_s * 2)

    async def _once(self) -> None:
        host, port = self._address()
        try:
            async with connect(
                f"wss://{host}:{port}/", ssl=self._context, proxy=None, **OPTIONS
            ) as connection:
                shown = peer_certificate(connection.transport.get_extra_info("ssl_object"))
                if pin(shown) != self._server_pin:
                    self.problem = "unpaired"
                    self._driver.on_alarm("unpaired", {"host": host})
                    return
                self.problem = ""
                reason = await run_link(
                    self._driver, connection, self._server_node, self._server_pin
                )
                # A frame that is resumed by an exception below it is not traced by CPython 3.11.
                self.problem = reason  # pragma: no cover
                _log.info("link ended: %s", reason)  # pragma: no cover
        except (OSError, WebSocketException, TimeoutError, EOFError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            _log.info("no server at %s:%d: %s", host, port, self.problem)
