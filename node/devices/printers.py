"""Printers: what carries a ticket's bytes, and what can honestly be said of them afterwards.

A line that goes both ways (network, USB, serial) is asked before and answers behind:

    DLE EOT 1, 2, 4 ─▶ state      NOT_STARTED if it cannot print now: nothing has been sent
    ticket ‖ GS ( H ─▶ answer     PRINTED; no answer, or a broken line: UNKNOWN, a person decides

What only takes bytes (a device file, a queue of the system) says PRINTED when it has taken all of
them, and UNKNOWN when it stopped half-way.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import select
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from node.devices.escpos import (
    PAGES,
    PULSE,
    REPORT_ALL,
    STATUS,
    Layout,
    compose,
    is_done,
    problem_of,
    warm_up,
)
from node.devices.ports import Delivery, Outcome, Printer

CONNECT_S, STATUS_S, FINISH_S = 3.0, 1.0, 20.0
POLL_S = 0.2
BAUD = 9600


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a printer is waited for: to connect, to tell its state, to end a ticket."""

    connect_s: float = CONNECT_S
    status_s: float = STATUS_S
    finish_s: float = FINISH_S


class Line(Protocol):
    """A line to a printer that goes both ways. Both raise `OSError` when it is cut."""

    async def write(self, data: bytes) -> None: ...

    async def read(self) -> bytes:
        """What came, at least a byte."""
        ...


Connect = Callable[[], AbstractAsyncContextManager[Line]]


class ReportingPrinter:
    """A printer at the end of a line that goes both ways."""

    def __init__(
        self,
        connect: Connect,
        layout: Layout | None = None,
        *,
        blind: bool = False,
        patience: Patience | None = None,
    ) -> None:
        """``blind``: it never tells its state, and its owner says that what was sent is printed."""
        self._connect, self._layout, self._blind = connect, layout or Layout(), blind
        self._patience = patience or Patience()
        self._jobs = secrets.randbelow(10_000)  # a late answer is to another run's number
        self._one = asyncio.Lock()

    async def check(self) -> str:
        if "escpos.printer" not in sys.modules:
            await asyncio.to_thread(warm_up)
        try:
            async with self._line() as line:
                return problem_of(await self._state(line))
        except (OSError, TimeoutError):
            return "print.offline"

    async def print(self, ticket: dict[str, Any]) -> Delivery:
        self._jobs = (self._jobs + 1) % 10_000
        job = b"%04d" % self._jobs
        payload = compose(ticket, b"" if self._blind else job, self._layout)
        sent = False
        try:
            async with self._line() as line:
                state = await self._state(line)
                problem = problem_of(state)
                if problem:
                    return Delivery(Outcome.NOT_STARTED, problem)
                sent = True
                async with asyncio.timeout(self._patience.finish_s):
                    await line.write((REPORT_ALL if state else b"") + payload)
                if self._blind:
                    return Delivery(Outcome.PRINTED, "print.blind")
                if not state:
                    return Delivery(Outcome.UNKNOWN, "print.blind")
                async with asyncio.timeout(self._patience.finish_s):
                    return await _confirmed(line, job)
        except TimeoutError:
            why = "print.no-answer" if sent else "print.offline"
        except OSError:
            why = "print.broken" if sent else "print.offline"
        return Delivery(Outcome.UNKNOWN if sent else Outcome.NOT_STARTED, why)

    async def pulse(self, is_late: Callable[[], bool]) -> Outcome:
        sent = False
        try:
            async with self._line() as line:
                if is_late() or problem_of(await self._state(line)) == "print.not-ready":
                    return Outcome.NOT_STARTED
                async with asyncio.timeout(self._patience.status_s):
                    sent = not is_late()
                    if sent:
                        await line.write(PULSE)
        except (OSError, TimeoutError):
            return Outcome.UNKNOWN if sent else Outcome.NOT_STARTED
        return Outcome.PRINTED if sent else Outcome.NOT_STARTED

    @contextlib.asynccontextmanager
    async def _line(self) -> AsyncIterator[Line]:
        async with self._one, contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(self._patience.connect_s):
                line = await stack.enter_async_context(self._connect())
            yield line

    async def _state(self, line: Line) -> bytes:
        """Three status bytes; empty for a printer that does not report."""
        if self._blind:
            return b""
        heard = b""
        try:
            async with asyncio.timeout(self._patience.status_s):
                await line.write(STATUS)
                while len(heard) < 3:
                    heard += await line.read()
        except TimeoutError:
            return b""
        return heard[:3]


async def _confirmed(line: Line, job: bytes) -> Delivery:
    """Read until the printer says that it has reached the end of this job."""
    heard = b""
    while not is_done(heard, job):
        try:
            heard = (heard + await line.read())[-512:]
        except OSError:
            return Delivery(Outcome.UNKNOWN, "print.broken")
    return Delivery(Outcome.PRINTED)


# --- lines that go both ways -------------------------------------------------


class _Network:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read(self) -> bytes:
        data = await self._reader.read(256)
        if not data:
            raise ConnectionResetError
        return data


def network(host: str, port: int) -> Connect:
    """A printer on a TCP port."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Line]:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield _Network(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    return connect


class _Threaded:
    """A line whose calls block: each is made in a thread, and a read gives up by itself."""

    def __init__(self, write: Callable[[bytes], Any], read: Callable[[], bytes]) -> None:
        self._write, self._read = write, read

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(self._write, data)

    async def read(self) -> bytes:
        while True:
            data = await asyncio.to_thread(self._read)
            if data:
                return data


def serial(device: str, baud: int) -> Connect:
    """A printer on a serial port."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Line]:
        import serial as pyserial  # late: few cafés have one

        def open_() -> Any:
            return pyserial.Serial(
                device, baud, timeout=POLL_S, write_timeout=FINISH_S, rtscts=False
            )

        port = await asyncio.to_thread(open_)  # its errors are `OSError`s
        try:
            yield _Threaded(port.write, lambda: port.read(max(1, port.in_waiting)))
        finally:
            await asyncio.to_thread(port.close)

    return connect


def usb(vendor: int, product: int) -> Connect:
    """A printer on USB, by its two numbers."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Line]:
        import usb.core  # late: few cafés have one
        import usb.util

        def open_() -> Any:
            try:
                device = usb.core.find(idVendor=vendor, idProduct=product)
            except usb.core.NoBackendError as error:  # the system has no libusb
                raise OSError(str(error)) from None
            if device is None:
                raise OSError(f"no printer {vendor:04x}:{product:04x} on USB")
            with contextlib.suppress(NotImplementedError, usb.core.USBError):
                if device.is_kernel_driver_active(0):
                    device.detach_kernel_driver(0)
            device.set_configuration()
            return device

        def endpoint(interface: Any, direction: int) -> Any:
            return usb.util.find_descriptor(
                interface,
                custom_match=lambda e: usb.util.endpoint_direction(e.bEndpointAddress) == direction,
            )

        device = await asyncio.to_thread(open_)  # `USBError` is an `OSError`
        try:
            interface = device.get_active_configuration()[(0, 0)]
            out = endpoint(interface, usb.util.ENDPOINT_OUT)
            back = endpoint(interface, usb.util.ENDPOINT_IN)

            def read() -> bytes:
                try:
                    return bytes(back.read(64, int(POLL_S * 1000)))
                except usb.core.USBTimeoutError:
                    return b""

            yield _Threaded(lambda data: out.write(data, int(FINISH_S * 1000)), read)
        finally:
            await asyncio.to_thread(usb.util.dispose_resources, device)

    return connect


# --- what only takes bytes ---------------------------------------------------


class FilePrinter:
    """A device file (``/dev/usb/lp0``), a pipe, or a plain file."""

    def __init__(
        self, path: str, layout: Layout | None = None, patience: Patience | None = None
    ) -> None:
        self._path, self._layout = path, layout or Layout()
        self._patience = patience or Patience()

    async def check(self) -> str:
        try:
            os.close(self._open())
        except OSError:
            return "print.offline"
        return ""

    async def print(self, ticket: dict[str, Any]) -> Delivery:
        return await asyncio.to_thread(self._send, compose(ticket, b"", self._layout))

    async def pulse(self, is_late: Callable[[], bool]) -> Outcome:
        if is_late():
            return Outcome.NOT_STARTED
        return (await asyncio.to_thread(self._send, PULSE)).outcome

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)

    def _send(self, data: bytes) -> Delivery:
        taken = 0
        try:
            fd = self._open()
        except OSError:
            return Delivery(Outcome.NOT_STARTED, "print.offline")
        try:
            while taken < len(data):
                _, ready, _ = select.select([], [fd], [], self._patience.finish_s)
                if not ready:  # out of paper: it takes no more
                    break
                taken += os.write(fd, data[taken:])
        except OSError:
            return Delivery(Outcome.UNKNOWN if taken else Outcome.NOT_STARTED, "print.broken")
        finally:
            os.close(fd)
        if taken == len(data):
            return Delivery(Outcome.PRINTED)
        return Delivery(Outcome.UNKNOWN if taken else Outcome.NOT_STARTED, "print.no-answer")


class QueuePrinter:
    """A queue of CUPS: its job is watched until the system says that it is out."""

    def __init__(
        self, queue: str, layout: Layout | None = None, patience: Patience | None = None
    ) -> None:
        self._queue, self._layout = queue, layout or Layout()
        self._patience = patience or Patience()

    async def check(self) -> str:
        code, said = await self._call(b"", "lpstat", "-p", self._queue)
        if code:
            return "print.offline"
        return "print.not-ready" if " disabled " in said else ""

    async def print(self, ticket: dict[str, Any]) -> Delivery:
        return await self._send(compose(ticket, b"", self._layout))

    async def pulse(self, is_late: Callable[[], bool]) -> Outcome:
        if await self.check() or is_late():
            return Outcome.NOT_STARTED
        return (await self._send(PULSE, give_up=True)).outcome

    async def _send(self, data: bytes, *, give_up: bool = False) -> Delivery:
        code, said = await self._call(data, "lp", "-d", self._queue, "-o", "raw")
        found = re.search(r"request id is (\S+)", said)
        if code or found is None:
            return Delivery(Outcome.NOT_STARTED, "print.offline")
        try:
            async with asyncio.timeout(self._patience.finish_s):
                while await self._waits(found[1]):  # noqa: ASYNC110 - the system tells nobody
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            if give_up:  # nobody shall find it in the queue tomorrow
                await self._call(b"", "cancel", found[1])
            return Delivery(Outcome.UNKNOWN, "print.no-answer")
        return Delivery(Outcome.PRINTED)

    async def _waits(self, job: str) -> bool:
        code, said = await self._call(b"", "lpstat", "-W", "not-completed", "-o", self._queue)
        return bool(code) or any(line.split()[:1] == [job] for line in said.splitlines())

    async def _call(self, data: bytes, *words: str) -> tuple[int, str]:
        """Run a command of the system's; (exit code, what it said)."""
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError:
            return 127, ""
        said, _ = await process.communicate(data)
        return process.returncode or 0, said.decode(errors="replace")


# --- by address --------------------------------------------------------------


def open_printer(address: str, patience: Patience | None = None) -> Printer:
    """The printer at an address; `ValueError` with what is wrong of it.

    ``tcp://HOST:PORT``, ``serial:///dev/ttyUSB0?baud=19200``, ``usb://04b8:0202``,
    ``cups://QUEUE``, ``file:///dev/usb/lp0``; of all: ``columns=``, ``encoding=``, ``page=``,
    ``cut=no``; of the first three ``blind=yes`` for one that never answers.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    layout = _layout(options)
    blind = options.pop("blind", "no") == "yes"
    baud = int(options.pop("baud", BAUD))
    if options:
        raise ValueError(f"unknown: {', '.join(options)}")
    match parts.scheme:
        case "tcp" if parts.hostname and parts.port:
            connect = network(parts.hostname, parts.port)
        case "serial" if parts.path:
            connect = serial(parts.path, baud)
        case "usb" if re.fullmatch(r"[0-9a-fA-F]{4}:[0-9a-fA-F]{4}", parts.netloc):
            vendor, product = parts.netloc.split(":")
            connect = usb(int(vendor, 16), int(product, 16))
        case "file" if parts.path:
            return FilePrinter(parts.path, layout, patience)
        case "cups" if re.fullmatch(r"[A-Za-z0-9_.-]+", parts.netloc):
            return QueuePrinter(parts.netloc, layout, patience)
        case _:
            raise ValueError(address)
    return ReportingPrinter(connect, layout, blind=blind, patience=patience)


def _layout(options: dict[str, str]) -> Layout:
    layout = Layout()
    if "encoding" in options:
        encoding = options.pop("encoding")
        if encoding not in PAGES:
            raise ValueError(f"{encoding}: one of {', '.join(PAGES)}")
        layout = replace(layout, encoding=encoding, page=PAGES[encoding])
    if "page" in options:
        layout = replace(layout, page=_between(options.pop("page"), 0, 255))
    if "columns" in options:
        layout = replace(layout, columns=_between(options.pop("columns"), 24, 80))
    return replace(layout, cut=options.pop("cut", "yes") != "no")


def _between(text: str, least: int, most: int) -> int:
    number = int(text)
    if not least <= number <= most:
        raise ValueError(f"{number}: from {least} to {most}")
    return number
