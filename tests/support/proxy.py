"""A network that is worse than none: between a station and its server, with faults to switch on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Carries TCP from its own port to another on this machine; what it does to it may change at any time."""

    to_port: int
    latency_s: float = 0.0
    bytes_a_second: float = 0.0
    """0 for no limit."""
    stalled: bool = False
    """Half-open: nothing is carried, nothing is closed, who connects is taken."""
    refuses: bool = False
    """Who connects is reset at once."""
    port: int = 0
    carried: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """All connections end with a FIN, as when a process dies."""
        for writer in list(self._writers):
            writer.close()

    def reset(self) -> None:
        """All connections end with a RST, as when a machine comes back from a power cut."""
        for writer in list(self._writers):
            linger = struct.pack("ii", 1, 0)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.transport.abort()
            return
        self._writers.add(writer)
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self.to_port)
            self._writers.add(far)
            await asyncio.gather(self._carry(reader, far), self._carry(far_reader, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, far):
                if end is not None:
                    self._writers.discard(end)
                    end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if self.bytes_a_second:
                    await asyncio.sleep(len(data) / self.bytes_a_second)
                while self.stalled:  # noqa: ASYNC110 - tests flip it from outside
                    await asyncio.sleep(0.05)
                writer.write(data)
                self.carried += len(data)
                await writer.drain()
        writer.close()
