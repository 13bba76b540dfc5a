"""Pairing over the network: the server's door, open for two minutes, and the station's knock.

What is said and what is checked is `sync.pairing`; here are the sockets, the clock and the tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography import x509

from node import config
from node.cafe.kinds import check_text
from node.roles.server import ServerNode
from sync import pairing
from sync.errors import Malformed, Refused, SyncError
from sync.pairing import Card, Invitation

PAIRING_PORT = config.DEFAULT_PORT + 1
OPEN_S = 120.0
TRIES = 3
MESSAGE_S = 5.0


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(len(data).to_bytes(4, "big") + data)
    await writer.drain()


async def _receive(reader: asyncio.StreamReader, patience_s: float = MESSAGE_S) -> bytes:
    async with asyncio.timeout(patience_s):
        length = int.from_bytes(await reader.readexactly(4), "big")
        if length > pairing.MESSAGE_BYTES:
            raise Malformed("too-large", "a message of the pairing")
        return await reader.readexactly(length)


# --- the server's side -------------------------------------------------------


class PairingDoor:
    """Lets one station or PC in, if a person types the digits that it shows."""

    def __init__(
        self, server: ServerNode, replaces: str = "", pc: dict[str, Any] | None = None
    ) -> None:
        """``replaces`` is the id of a station whose place it takes; empty for none. ``pc``: number
        and rate of a customers' PC, and whether it ``replaces`` one; None for a station."""
        self._server, self._replaces, self._pc = server, replaces, pc
        self._listener: asyncio.Server | None = None
        self._knocked = asyncio.Event()
        self._typed: asyncio.Future[str] | None = None
        self._shown = ""
        self._tries = TRIES
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self.station: Card | None = None
        """Who knocks."""

    async def open(self, port: int) -> int:
        """Listen for two minutes; the port. `Refused` ``no-permission``, `OSError`."""
        if not self._server.may("station.pair"):
            raise Refused("no-permission", permission="station.pair")
        host = self._server.config.host
        self._listener = await asyncio.start_server(self._serve, host, port)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(OPEN_S, self.close)
        return int(self._listener.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Nobody else comes in."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._typed is not None and not self._typed.done():
            self._typed.set_result("pairing-closed")
        self._knocked.set()

    async def knock(self) -> Card:
        """Wait for a station; `Refused` ``pairing-closed`` if none came in time."""
        await self._knocked.wait()
        if self.station is None or self._listener is None:
            raise Refused("pairing-closed")
        return self.station

    async def type(self, digits: str) -> Card:
        """The digits that a person has read at the station. `Refused` ``wrong-digits``, with how
        many tries are ``left``; ``pairing-closed``."""
        station = await self.knock()
        assert self._typed is not None
        if not secrets.compare_digest(digits.strip().encode(), self._shown.encode()):
            self._tries -= 1
            if not self._tries:
                self._typed.set_result("wrong-digits")
                self.close()
            raise Refused("wrong-digits", left=self._tries)
        await self._enrol(station)
        self._typed.set_result("")
        self.close()
        return station

    async def _enrol(self, station: Card) -> None:
        table = "stations" if self._pc is None else "pcs"
        known = self._server.tables.table(table).peek(station.node.hex())
        certificate = station.certificate.hex()
        if known is not None and not known["revoked"] and known["certificate"] == certificate:
            if self._replaces:
                raise Refused("already-enrolled")
            return  # it was enrolled before, and has lost what it knew of us
        body: dict[str, Any] = {
            "name": station.name,
            "public_key": station.public.hex(),
            "certificate": certificate,
        }
        if self._pc is not None:
            await self._server.submit("pc.enrol", {**body, **self._pc})
            return
        if self._replaces:
            body["replaces"] = self._replaces
        await self._server.submit("station.enrol", body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            if self._busy:
                with contextlib.suppress(OSError):
                    await _send(writer, pairing.last("pairing-busy"))
                return
            self._busy = True
            try:
                await self._pair(reader, writer)
            except (SyncError, OSError, EOFError, TimeoutError, ValueError, asyncio.CancelledError):
                self.station, self._typed = None, None
                self._knocked.clear()
            finally:
                self._busy = False

    async def _pair(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = self._server
        commit = pairing.read_first(await _receive(reader))
        card = Card("server", "server", server.keys.signer.public, server.keys.certificate)
        nonce = secrets.token_bytes(pairing.NONCE_BYTES)
        invitation = Invitation(server.cafe_id, card, nonce, server.port)
        await _send(writer, pairing.second(invitation))
        station, own = pairing.read_third(await _receive(reader), commit)
        check_text(station.name)  # it will be seen on a terminal
        if station.role != ("station" if self._pc is None else "client"):
            await _send(writer, pairing.last("wrong-role"))
            raise Refused("wrong-role")
        x509.load_der_x509_certificate(station.certificate)
        self._shown = pairing.digits(invitation, station, own)
        self._typed = asyncio.get_running_loop().create_future()
        self.station = station
        self._knocked.set()
        await _send(writer, pairing.last(await self._typed))


# --- the station's side ------------------------------------------------------


async def join(
    folder: Path,
    host: str,
    port: int,
    name: str,
    show: Callable[[str], None],
    confirm: Callable[[], Awaitable[bool]],
    role: str = "station",
) -> None:
    """Pair the ``station``, or as ``client`` the customers' PC, in ``folder`` with the server at
    ``host``.

    ``show`` puts the digits where a person can read them; ``confirm`` asks at this station whether
    the server has taken them. `Refused` with the server's reason, ``not-confirmed``, ``already-
    created``; `OSError` if nobody answers.
    """
    if (folder / config.CONFIG_FILE).exists():
        raise Refused("already-created")
    has_keys = (folder / "keys" / "node.key").exists()
    keys = config.load_keys(folder) if has_keys else config.make_keys(folder)
    card = Card(role, name, keys.signer.public, keys.certificate)
    nonce = secrets.token_bytes(pairing.NONCE_BYTES)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        await _send(writer, pairing.first(pairing.commitment(card, nonce)))
        answer = await _receive(reader)
        with contextlib.suppress(Malformed):
            raise Refused(pairing.read_last(answer))
        invitation = pairing.read_second(answer)
        await _send(writer, pairing.third(card, nonce))
        show(pairing.digits(invitation, card, nonce))
        code = pairing.read_last(await _receive(reader, OPEN_S + MESSAGE_S))
        if code:
            raise Refused(code)
    except (EOFError, TimeoutError):
        raise Refused("pairing-closed") from None
    finally:
        writer.close()
    if not await confirm():
        raise Refused("not-confirmed")
    server = invitation.server
    trusted = config.Trusted(server.public.hex(), server.certificate.hex(), host, invitation.port)
    settings = config.Config(role=role, cafe=invitation.cafe.hex(), server=trusted)
    config.save(folder, settings)
