"""Listens for stations: TLS 1.3, only pinned certificates, then the hub's own sign-on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from websockets.asyncio.server import Server, ServerConnection, serve

from sync.certificates import PinnedContext, peer_certificate, pin
from sync.driver import Driver
from sync.link import OPTIONS, run_link

_log = logging.getLogger(__name__)


async def listen(
    driver: Driver,
    context: PinnedContext,
    node_of_pin: Callable[[bytes], bytes | None],
    host: str,
    port: int,
) -> Server:
    """Serve stations until the result is closed. ``node_of_pin`` tells whose certificate a pin is.

    Raises `OSError` when the port is taken.
    """

    def refused(reason: str) -> None:
        driver.on_alarm("unpinned", {"what": reason})

    context.note_refusal = refused

    async def handle(connection: ServerConnection) -> None:
        shown = peer_certificate(connection.transport.get_extra_info("ssl_object"))
        peer = node_of_pin(pin(shown)) if shown else None
        if peer is None:
            refused("a certificate that is not paired any more")
            return
        reason = await run_link(driver, connection, peer, pin(shown))
        _log.info("station %s left: %s", peer.hex(), reason)

    return await serve(handle, host, port, ssl=context, **OPTIONS)


def port_of(server: Server) -> int:
    """The port that was really taken (asking for 0 takes a free one)."""
    return int(next(iter(server.sockets)).getsockname()[1])


async def close(server: Server) -> None:
    server.close()
    await asyncio.wait_for(server.wait_closed(), 5)
