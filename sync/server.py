"""Listens for stations: TLS 1.3, only pinned certificates, then the hub's own sign-on.

Who has not shown a paired certificate yet gets little: three seconds, and few sockets at a time, so
that a flood of slow or silent ones costs the honest nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve

from sync.certificates import PinnedContext, peer_certificate, pin
from sync.driver import Driver
from sync.link import OPTIONS, run_link

_log = logging.getLogger(__name__)
HANDSHAKE_S = 3.0
STRANGERS_AN_ADDRESS = 8
STRANGERS = 64
"""Sockets at once whose owner is not known yet."""


class _Stranger(socket.socket):
    """An accepted socket that is counted until it is closed or its owner is known."""

    at_end: Callable[[], None] | None = None

    def known(self) -> None:
        at_end, self.at_end = self.at_end, None
        if at_end is not None:
            at_end()

    def close(self) -> None:
        self.known()
        super().close()


class _Door(socket.socket):
    """A listening socket that lets in only so many strangers; the others are closed at once."""

    strangers: Counter[str]

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        host = str(address[0])
        if self.strangers[host] >= STRANGERS_AN_ADDRESS or self.strangers.total() >= STRANGERS:
            connection.close()
            raise BlockingIOError
        stranger = _Stranger(fileno=connection.detach())
        self.strangers[host] += 1
        stranger.at_end = lambda: self._leave(host)
        return stranger, address

    def _leave(self, host: str) -> None:
        self.strangers[host] -= 1
        if not self.strangers[host]:
            del self.strangers[host]


def open_door(host: str, port: int) -> _Door:
    """A listening socket; `OSError` when the port is taken, or none."""
    if not 0 <= port < 1 << 16:  # getaddrinfo would take the rest of it
        raise OSError(errno.EINVAL, f"port {port}")
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    door = _Door(family, kind, proto)
    door.strangers = Counter()
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.setblocking(False)
    except OSError:
        door.close()
        raise
    return door


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
        accepted = connection.transport.get_extra_info("socket")
        getattr(accepted, "_sock", accepted).known()
        shown = peer_certificate(connection.transport.get_extra_info("ssl_object"))
        peer = node_of_pin(pin(shown)) if shown else None
        if peer is None:
            refused("a certificate that is not paired any more")
            return
        reason = await run_link(driver, connection, peer, pin(shown))
        _log.info("station %s left: %s", peer.hex(), reason)

    door = open_door(host, port)
    limits: dict[str, Any] = {"ssl_handshake_timeout": HANDSHAKE_S, "backlog": 2 * STRANGERS}
    return await serve(handle, sock=door, ssl=context, **limits, **OPTIONS)


def port_of(server: Server) -> int:
    """The port that was really taken (asking for 0 takes a free one)."""
    return int(next(iter(server.sockets)).getsockname()[1])


async def close(server: Server) -> None:
    """Say goodbye to everybody; who has not left within five seconds is left standing."""
    server.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            await server.wait_closed()
