"""One websocket connection as the driver's wire: an outgoing queue, and a reader that decodes or
ends it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from websockets.asyncio.connection import Connection, broadcast
from websockets.exceptions import ConnectionClosed

from sync.codec import MAX_FRAME_BYTES
from sync.driver import Driver
from sync.errors import Malformed
from sync.messages import Blob, Bye, Entries, Message, SnapshotPart, decode, encode
from sync.protocol import Closed, Opened, Received

_log = logging.getLogger(__name__)
MAX_QUEUED_BYTES = 16 << 20
TOO_BIG = 1009
BULK = (SnapshotPart, Blob)
"""What nobody waits for: a sale never stands behind it."""
HELLO_BYTES = 128 << 10
"""Of a hello: two thousand chains with unsent orders."""
FULL_BYTES = 1 << 18
"""So much that the socket has not taken yet lets the rest wait in our own queue."""
OPTIONS: dict[str, Any] = {
    "compression": None,
    "max_size": MAX_FRAME_BYTES,
    "max_queue": 8,
    "write_limit": FULL_BYTES,
    "ping_interval": 4,
    "ping_timeout": 5,
    "open_timeout": 3,
    "close_timeout": 1,
}
"""Of both sides. A half-open link is noticed within ten seconds; nothing is compressed twice."""


class SocketWire:
    """Sends in order, but for what is bulk: that goes when nothing else waits. What finds the
    socket free is written at once. A peer that does not read is dropped when its queue is full."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: asyncio.PriorityQueue[tuple[int, int, bytes]] = asyncio.PriorityQueue()
        self._sent = 0
        self._queued_bytes = 0
        """In the queue, or on their way out of it."""

    def send(self, message: Message) -> None:
        data, bulk = _encoded(message), isinstance(message, BULK)
        full = self._connection.transport.get_write_buffer_size() > FULL_BYTES
        if bulk or full or self._queued_bytes:
            self._put(data, bulk=bulk)
        else:
            self._write(data)

    def _write(self, data: bytes) -> None:
        try:
            broadcast((self._connection,), data, raise_exceptions=True)
        except Exception:  # a link delivers in order, or it ends
            _log.exception("a message could not be written")
            self._connection.transport.abort()

    def _put(self, data: bytes, *, bulk: bool = False) -> None:
        self._queued_bytes += len(data)
        if self._queued_bytes > MAX_QUEUED_BYTES:
            self._connection.transport.abort()
            return
        self._sent += 1
        self._queue.put_nowait((int(bulk), self._sent, data))

    def drop(self, code: str) -> None:
        self._put(encode(Bye(code)))
        self._put(b"")

    async def pump(self) -> None:
        """Carry the queue to the socket until it closes."""
        while data := (await self._queue.get())[2]:
            await self._connection.send(data)
            self._queued_bytes -= len(data)
        await self._connection.close()


_newest: tuple[Entries, bytes] | None = None


def _encoded(message: Message) -> bytes:
    """`encode`, but what goes to many links one after the other is packed once."""
    global _newest
    if not isinstance(message, Entries):
        return encode(message)
    if _newest is None or _newest[0].frames is not message.frames:
        _newest = message, encode(message)
    return _newest[1]


async def run_link(
    driver: Driver, connection: Connection, peer: bytes, certificate_pin: bytes
) -> str:
    """Run one connection until it ends; why it ended, for the log."""
    wire = SocketWire(connection)
    link = driver.attach(wire)
    driver.post(Opened(link, peer, certificate_pin))
    pump = asyncio.create_task(wire.pump())
    reason = "closed"
    try:
        most = HELLO_BYTES
        async for data in connection:
            if isinstance(data, str):
                raise Malformed("bad-type", "a text frame")
            if len(data) > most:
                raise Malformed("too-large", "a hello")
            most = MAX_FRAME_BYTES
            message = decode(data)
            if isinstance(message, Bye):
                reason = message.code
            driver.post(Received(link, message))
            while driver.crowded:  # noqa: ASYNC110 - its socket fills, and its sender waits
                await asyncio.sleep(0)
    except Malformed as error:
        reason = error.code
        driver.on_alarm(error.code, {"node": peer, "what": error.what})
        wire.drop(error.code)
        await asyncio.wait({pump}, timeout=1)
    except ConnectionClosed as closed:
        sent = closed.sent.code if closed.sent is not None else 0
        if sent == TOO_BIG:
            reason = "too-large"
            driver.on_alarm("too-large", {"node": peer})
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        driver.post(Closed(link))
        driver.detach(link)
        await connection.close()
    return reason
