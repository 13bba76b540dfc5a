"""`cabina bench`: our figures as ratios inside one run, on a domain that only keeps documents.

The reference of each row is measured in the same process a moment before or after it, so that a
slow or noisy machine moves both. Absolute seconds here say little; the ratio says much.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import msgpack
from tinydb import where
from websockets.asyncio.client import ClientConnection, connect

from sync.certificates import PinnedContext, make_certificate, pin, pinned_context
from sync.client import Client
from sync.clock import SystemClock
from sync.disk import OsDisk
from sync.domain import Context, Tables
from sync.driver import TICK_S, Driver
from sync.errors import Refused
from sync.frames import ENTRY, read_frames
from sync.hub import Hub
from sync.identity import Ed25519Signer, hello_text, node_id, verify_ed25519
from sync.link import OPTIONS
from sync.messages import (
    PROTOCOL,
    Ack,
    ClientHello,
    Entries,
    Proof,
    ServerHello,
    decode,
    encode,
)
from sync.op import ZERO_HEAD, Entry, Event, Head, Op, encode_op
from sync.protocol import NONCE_BYTES, Checked, NodeKeys
from sync.recovery import Opened, close, open_hub, open_replica
from sync.replica import Replica
from sync.server import listen, port_of
from sync.snapshot import SNAPSHOT_FILE, read_header, split
from sync.table import RowTable
from sync.view import View

REPEATS = 3
COMMIT_BYTES = 900
"""One order, its events beside it and its seal, as they stand in a station's log."""


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: ``value`` and ``reference`` in seconds, the ratio between them, and its
    target."""

    name: str
    value: float
    unit: str
    reference: float
    ratio: float
    target: float
    met: bool


class Documents:
    """The trivial domain: keep the document."""

    public: frozenset[str] = frozenset()
    indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def __init__(self, nodes: dict[bytes, bytes]) -> None:
        self._nodes = nodes

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        if op.kind != "order.keep":
            raise Refused("unknown-kind", kind=op.kind)
        return [["kept", 1, op.body]]

    def apply(self, tables: Tables, event: Event) -> None:
        tables.table("orders").put(event[2]["id"], event[2])

    def reapply(self, tables: Tables, event: Event) -> None:
        self.apply(tables, event)

    def refused(
        self,
        tables: Tables,
        op: Op | None,
        code: str,
        details: Mapping[str, Any],
        seq: int,
        at_ms: int,
    ) -> None:
        tables.table("refusals").put(str(seq), {"code": code, "key": op.key.hex() if op else ""})

    def erased(self, tables: Tables, key: bytes) -> None:
        tables.table("refusals").remove(where("key") == key.hex())

    def nodes(self, tables: Tables) -> list[bytes]:
        return list(self._nodes)

    def reads_all(self, tables: Tables, node: bytes) -> bool:
        return True

    def blobs(self, tables: Tables) -> list[bytes]:
        return []

    def node_key(self, tables: Tables, node: bytes) -> bytes | None:
        return self._nodes.get(node)

    def is_revoked(self, tables: Tables, node: bytes) -> bool:
        return False

    def operator_keys(self, tables: Tables, operator: bytes) -> Sequence[bytes]:
        return ()


def order(station: str, number: int) -> dict[str, Any]:
    """The common workload: an order of three lines, about 200 bytes of msgpack."""
    lines: list[dict[str, Any]] = [
        {
            "sku": f"SKU{(number * 7 + k * 13) % 500:05d}",
            "qty": 1 + (number + k) % 4,
            "price": 150 + (number * 31 + k * 97) % 2000,
        }
        for k in range(3)
    ]
    return {
        "id": f"{station}-{number:08d}",
        "kind": "order",
        "station": station,
        "operator": f"operator{number % 5}",
        "customer": f"cust{number % 300:05d}",
        "lines": lines,
        "total": sum(line["qty"] * line["price"] for line in lines),
        "ts": 1_760_000_000_000 + number * 1000,
    }


@dataclass
class Member:
    """A node of the bench: its keys, and its folder's name."""

    name: str
    signer: Ed25519Signer
    tls_key: bytes
    certificate: bytes

    @classmethod
    def make(cls, name: str) -> Member:
        signer = Ed25519Signer.generate()
        return cls(name, signer, *make_certificate(node_id(signer.public)))

    @property
    def node(self) -> bytes:
        return node_id(self.signer.public)


class Pair:
    """A server and its stations of the trivial domain, each with its folder, in this process."""

    def __init__(self, folder: Path, stations: int = 1) -> None:
        self.folder = folder
        self.cafe = secrets.token_bytes(16)
        self.clock = SystemClock()
        self.server = Member.make("server")
        self.stations = [Member.make(f"station-{at}") for at in range(stations)]
        self._disks: list[tuple[Opened, OsDisk]] = []

    @property
    def domain(self) -> Documents:
        return Documents({m.node: m.signer.public for m in (self.server, *self.stations)})

    def keys(self, member: Member) -> NodeKeys:
        return NodeKeys(self.cafe, member.signer, pin(member.certificate), self.clock.boot)

    def open_server(self) -> Driver:
        disk = OsDisk(self.folder / "server")
        keys = self.keys(self.server)
        opened = open_hub(disk, keys, self.domain, verify_ed25519, secrets.token_bytes)
        return self._run(opened, disk)

    def open_station(self, at: int = 0) -> Driver:
        station = self.stations[at]
        disk = OsDisk(self.folder / station.name)
        server, keys = self.server.signer.public, self.keys(station)
        opened = open_replica(disk, keys, server, self.domain, verify_ed25519, secrets.token_bytes)
        return self._run(opened, disk)

    def _run(self, opened: Opened, disk: OsDisk) -> Driver:
        self._disks.append((opened, disk))
        driver = Driver(opened, self.clock)
        driver.start()
        return driver

    def close(self) -> None:
        for opened, disk in self._disks:
            close(opened, disk)
            disk.close()
        self._disks.clear()

    async def listen(self, server: Driver) -> Any:
        context = pinned_context(
            server=True,
            private_key=self.server.tls_key,
            certificate=self.server.certificate,
            trusted=[station.certificate for station in self.stations],
        )
        known = {pin(station.certificate): station.node for station in self.stations}
        return await listen(server, context, known.get, "127.0.0.1", 0)

    def client(self, driver: Driver, port: int, at: int = 0) -> Client:
        station = self.stations[at]
        server_pin, address = pin(self.server.certificate), ("127.0.0.1", port)
        return Client(driver, self.context(station), self.server.node, server_pin, lambda: address)

    def context(self, station: Member) -> PinnedContext:
        return pinned_context(
            server=False,
            private_key=station.tls_key,
            certificate=station.certificate,
            trusted=[self.server.certificate],
        )

    # --- a server in a process of its own, as it is in a café -----------------

    def save(self) -> None:
        """Write down who is who, for the server's process."""
        members = [
            [m.name, m.signer.private, m.tls_key, m.certificate]
            for m in (self.server, *self.stations)
        ]
        (self.folder / "pair").write_bytes(msgpack.packb([self.cafe, members]))

    @classmethod
    def load(cls, folder: Path) -> Pair:
        pair = cls(folder, stations=0)
        pair.cafe, members = msgpack.unpackb((folder / "pair").read_bytes())
        known = [Member(name, Ed25519Signer(key), *tls) for name, key, *tls in members]
        pair.server, *pair.stations = known
        return pair

    async def start_server(self) -> tuple[asyncio.subprocess.Process, int]:
        """The server's process, and its port."""
        self.save()
        process = await asyncio.create_subprocess_exec(
            *own_command(f"server:{self.folder}"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        return process, int((await process.stdout.readline()).decode())


async def _fill(driver: Driver, name: str, count: int) -> None:
    for at in range(0, count, 2000):
        batch = range(at, min(count, at + 2000))
        await asyncio.gather(*(driver.act("order.keep", 1, order(name, i)) for i in batch))


async def _end(
    process: asyncio.subprocess.Process, clients: list[Client], drivers: list[Driver]
) -> None:
    """Stop the stations and the server's process."""
    for client in clients:
        await client.stop()
    process.terminate()
    await process.wait()
    for driver in drivers:
        await driver.stop()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - looked at from outside, as a stopwatch would
        await asyncio.sleep(0.001)


def _median(function: Callable[[], float], times: int) -> float:
    return statistics.median(function() for _ in range(times))


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[Callable[[], float]]:
    """What measures one append and `fdatasync` of an order's bytes, in seconds; to be called behind
    each commit, for in a row of nothing but syncs one is cheaper."""
    fd = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    payload = os.urandom(COMMIT_BYTES)

    def sync() -> float:
        began = time.perf_counter()
        os.write(fd, payload)
        os.fdatasync(fd)
        return time.perf_counter() - began

    try:
        yield sync
    finally:
        os.close(fd)


async def bench_commit(folder: Path) -> tuple[float, float]:
    """One durable signed order into a replica of 50,000 orders, against one `fdatasync` of its
    bytes."""
    spent, floors = await _commits(folder)
    return statistics.median(spent), statistics.median(floors)


async def touch(act: Callable[[], Awaitable[object]]) -> float:
    """Seconds that it takes, for somebody whose touch the loop has come to just now."""
    await asyncio.sleep(0)
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


async def _commits(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds of 400 of them, and of the floor beside each."""
    pair = Pair(folder)
    station = pair.open_station()
    await _fill(station, "old", 50_000)
    gc.collect()
    gc.freeze()
    spent, floors = [], []
    with beside(folder) as sync:
        for number in range(400):
            document = order("new", number)
            spent.append(await touch(partial(station.act, "order.keep", 1, document)))
            floors.append(sync())
    await station.stop()
    pair.close()
    return spent, floors


async def bench_reconnect(folder: Path) -> tuple[float, float]:
    """10,000 orders queued offline, over TLS, until they are durable at the server; against raw
    decode.

    The server runs in a process of its own, as it does in a café.
    """
    count = 10_000
    pair = Pair(folder)
    raw = [msgpack.packb(order("pos", i)) for i in range(count)]
    reference = _median(lambda: _time_decode(raw), 7)
    spent = await _send_all(pair, count)
    reference = statistics.median([reference, _median(lambda: _time_decode(raw), 7)])
    pair.close()
    return spent, reference


async def bench_fan_in(folder: Path) -> tuple[float, float]:
    """2,000 queued orders of each of 8 stations at once, until all are durable at the server;
    against 16,000 of one."""
    folders = [folder / name for name in ("one", "eight")]
    for each in folders:
        each.mkdir()
    one, eight = Pair(folders[0]), Pair(folders[1], stations=8)
    alone = await _send_all(one, 16_000)
    one.close()
    together = await _send_all(eight, 2_000)
    eight.close()
    return together, alone


def when_sent(drivers: list[Driver]) -> asyncio.Future[float]:
    """When these stations know that all they have is durable at the server, by
    `time.perf_counter`. They tell it a little later if the answers come with the last ack: those
    are folded in the same round."""
    cores = [driver.core for driver in drivers if isinstance(driver.core, Replica)]
    ended: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def watch(core: Replica) -> None:
        step = core.step

        def watched(event: Any, now: Any) -> Any:
            effects = step(event, now)
            if not ended.done() and all(one.signed_on and not one.unsent for one in cores):
                ended.set_result(time.perf_counter())
            return effects

        core.step = watched  # type: ignore[method-assign]

    for core in cores:
        watch(core)
    return ended


async def _send_all(pair: Pair, count: int) -> float:
    """Seconds until ``count`` orders that each station has queued are durable at the server."""
    drivers = [pair.open_station(at) for at in range(len(pair.stations))]
    for at, driver in enumerate(drivers):
        await _fill(driver, f"pos{at}", count)
    process, port = await pair.start_server()
    gc.collect()
    gc.freeze()
    clients = [pair.client(driver, port, at) for at, driver in enumerate(drivers)]
    sent = when_sent(drivers)
    began = time.perf_counter()
    for client in clients:
        client.start()
    spent = await sent - began
    await _end(process, clients, drivers)
    return spent


async def bench_bootstrap(folder: Path) -> tuple[float, float]:
    """A new station from 50,000 documents of a server in a process of its own, until all can be
    read; against raw decode of the snapshot that it fetches."""
    pair = Pair(folder)
    server = pair.open_server()
    await _fill(server, "doc", 50_000)
    server.post(Checked(await server.make_snapshot(), "backup"))
    await server.stop()
    pair.close()
    header, parts = split((folder / "server" / SNAPSHOT_FILE).read_bytes())
    known = read_header(header, pair.cafe, pair.server.signer.public, verify_ed25519)
    fetched = [parts[at] for at in known.needed(keys=False)]
    process, port = await pair.start_server()
    driver = pair.open_station()
    gc.collect()
    gc.freeze()
    reference = _median(lambda: _time_unzip(fetched), REPEATS)
    client = pair.client(driver, port)
    table = driver.core.view.table("orders")
    began = time.perf_counter()
    client.start()
    await until(lambda: table.contains(doc_id="doc-00049999"))
    spent = time.perf_counter() - began
    assert len(table) == 50_000
    await client.stop()
    process.terminate()
    await process.wait()
    await driver.stop()
    pair.close()
    return spent, reference


def _time_unzip(parts: list[bytes]) -> float:
    gc.disable()
    began = time.perf_counter()
    kept = [msgpack.unpackb(zlib.decompress(part), strict_map_key=False) for part in parts]
    spent = time.perf_counter() - began
    assert kept
    gc.enable()
    return spent


async def bench_replay(folder: Path) -> tuple[float, float]:
    """100,000 entries from the log alone, without a view file, to the first read; against raw
    frames and decode of entries and ops."""
    pair = Pair(folder)
    server = pair.open_server()
    await _fill(server, "doc", 100_000)
    await server.stop()
    pair.close()
    (folder / "server" / "view").unlink()
    log = sorted((folder / "server").glob("canon-*.log"))
    reference = _median(lambda: _time_frames(log), REPEATS)
    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    server = pair.open_server()
    assert server.core.view.table("orders").row("doc-00099999") is not None
    spent = time.perf_counter() - began
    await server.stop()
    pair.close()
    return spent, reference


def _time_frames(files: list[Path]) -> float:
    gc.disable()
    began = time.perf_counter()
    for file in files:
        for frame in read_frames(file.read_bytes()):
            value = msgpack.unpackb(frame, strict_map_key=False)
            if value[0] == ENTRY:
                msgpack.unpackb(value[4])
    spent = time.perf_counter() - began
    gc.enable()
    return spent


def _time_decode(raw: list[bytes]) -> float:
    began = time.perf_counter()
    for data in raw:
        msgpack.unpackb(data)
    return time.perf_counter() - began


async def _serve(folder: Path) -> None:
    """A server by itself: prints its port, and runs until it is ended."""
    gc.freeze()
    pair = Pair.load(folder)
    server = await pair.listen(pair.open_server())
    print(port_of(server), flush=True)
    await asyncio.to_thread(sys.stdin.read)  # until who started it is gone


async def bench_live(folder: Path) -> tuple[float, float]:
    """One order: durable at the station, decided and durable at the server, seen at the station.

    Against two `fdatasync`, one echo of its size over the loopback, one signature and one check.
    """
    spent, floors = await _round_trips(folder)
    return statistics.median(spent), statistics.median(floors)


async def _round_trips(folder: Path) -> tuple[list[float], list[float]]:
    """Seconds of 300 of them, and of the floor beside every tenth."""
    pair = Pair(folder)
    server, station = pair.open_server(), pair.open_station()
    listening = await pair.listen(server)
    client = pair.client(station, port_of(listening))
    client.start()
    replica = station.core
    assert isinstance(replica, Replica)
    await until(lambda: replica.signed_on)
    spent, floors = [], []
    echo = await _Echo.start()
    for number in range(300):
        seen = asyncio.Event()

        def look(names: frozenset[str], seen: asyncio.Event = seen) -> None:
            if not replica.pending:
                seen.set()

        stop = station.subscribe(look)
        began = time.perf_counter()
        await station.act("order.keep", 1, order("live", number))
        if replica.pending:
            await seen.wait()
        spent.append(time.perf_counter() - began)
        stop()
        if number % 10 == 0:
            floors.append(await _live_floor(folder, pair, echo))
    echo.close()
    await client.stop()
    listening.close()
    await listening.wait_closed()
    await station.stop()
    await server.stop()
    pair.close()
    return spent, floors


class _Echo:
    """A bare TCP echo, the floor of any round trip."""

    def __init__(self, server: asyncio.Server, reader: Any, writer: Any) -> None:
        self._server, self._reader, self._writer = server, reader, writer

    @classmethod
    async def start(cls) -> _Echo:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(4096):
                writer.write(data)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        return cls(server, *await asyncio.open_connection("127.0.0.1", port))

    async def once(self, payload: bytes) -> None:
        self._writer.write(payload)
        await self._reader.readexactly(len(payload))

    def close(self) -> None:
        self._writer.close()
        self._server.close()


@lru_cache(maxsize=8)
def _entries_in(data: bytes) -> int:
    """How many entries a message brings; all listeners are sent the same."""
    message = decode(data)
    if not isinstance(message, Entries):
        return 0
    return sum(frame[1] == ENTRY for frame in message.frames)


class _Listener:
    """A station that signs on, takes entries in and acknowledges them once a second, as stations
    do, and does no more: on a machine of its own a station's folding keeps no other one waiting."""

    def __init__(self, pair: Pair, at: int, port: int) -> None:
        self._cursor = 0
        self._heard = asyncio.Event()
        self._pair, self._member = pair, pair.stations[at]
        self._task = asyncio.create_task(self._listen(port))
        self._task.add_done_callback(lambda _: self._heard.set())

    async def reach(self, seq: int) -> None:
        """Wait until it has the entry with this number."""
        while self._cursor < seq:
            if self._task.done():
                await self._task
            self._heard.clear()
            await self._heard.wait()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, port: int) -> None:
        context = self._pair.context(self._member)
        async with connect(
            f"wss://127.0.0.1:{port}/", ssl=context, proxy=None, **OPTIONS
        ) as connection:
            await self._sign_on(connection)
            told = time.monotonic()
            async for data in connection:
                if entries := _entries_in(data):
                    self._cursor += entries
                    self._heard.set()
                    if time.monotonic() - told > TICK_S:
                        told = time.monotonic()
                        await connection.send(encode(Ack([], self._cursor)))
        raise ConnectionError("the server has left")

    async def _sign_on(self, connection: ClientConnection) -> None:
        pair, member, nonce = self._pair, self._member, secrets.token_bytes(NONCE_BYTES)
        who = (PROTOCOL, pair.cafe, member.node, pair.clock.boot, pair.clock.wall_ms())
        await connection.send(encode(ClientHello(*who, nonce, [], 0, ZERO_HEAD)))
        hello = decode(await connection.recv(decode=False))
        assert isinstance(hello, ServerHello)
        ours, theirs = pin(member.certificate), pin(pair.server.certificate)
        text = hello_text(pair.cafe, member.node, nonce + hello.nonce, ours, theirs)
        await connection.send(encode(Proof(member.signer.sign(text), 0, ZERO_HEAD, False)))


async def bench_fan_out(folder: Path) -> tuple[float, float]:
    """One order of a station until the last of 50 stations has its entry, the server in a process
    of its own; against `live`. Two of them are whole, the one that sells and one that folds what
    comes; the others only take it in."""
    (folder / "live").mkdir()
    alone, _ = await _round_trips(folder / "live")
    pair = Pair(folder, stations=50)
    process, port = await pair.start_server()
    drivers = [pair.open_station(at) for at in range(2)]
    clients = [pair.client(driver, port, at) for at, driver in enumerate(drivers)]
    for client in clients:
        client.start()
    cores = [driver.core for driver in drivers if isinstance(driver.core, Replica)]
    await drivers[0].act("order.keep", 1, order("live", 0))
    await until(lambda: all(core.canon.n and not core.pending for core in cores))
    end = cores[0].canon.n
    listeners = []
    for at in range(2, 50):  # one after the other: the door lets few strangers in at a time
        listeners.append(_Listener(pair, at, port))
        await listeners[-1].reach(end)
    folded = asyncio.Event()

    def look(names: frozenset[str]) -> None:
        if all(core.canon.n == end and not core.pending for core in cores):
            folded.set()

    for driver in drivers:
        driver.subscribe(look)
    spent = []
    for number in range(1, 201):
        end += 1
        folded.clear()
        began = time.perf_counter()
        await drivers[0].act("order.keep", 1, order("live", number))
        await folded.wait()
        for listener in listeners:
            await listener.reach(end)
        spent.append(time.perf_counter() - began)
    for listener in listeners:
        await listener.stop()
    await _end(process, clients, drivers)
    pair.close()
    return statistics.median(spent), statistics.median(alone)


async def _live_floor(folder: Path, pair: Pair, echo: _Echo) -> float:
    payload = os.urandom(400)
    signer = pair.stations[0].signer
    spent = []
    fd = os.open(folder / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(2):
            os.write(fd, payload)
            os.fdatasync(fd)
        signature = signer.sign(payload)
        await echo.once(payload)
        verify_ed25519(signer.public, signature, payload)
        spent.append(time.perf_counter() - began)
    os.close(fd)
    return statistics.median(spent)


async def bench_cold_start(folder: Path) -> tuple[float, float]:
    """100,000 documents and a tail of 2,000 entries, to the first read; against raw decode of the
    file."""
    pair = Pair(folder)
    server = pair.open_server()
    await _fill(server, "doc", 100_000)
    await server.stop()
    pair.close()
    view_file = (folder / "server" / "view").read_bytes()
    server = pair.open_server()
    await _fill(server, "tail", 2_000)
    await server.stop()
    pair.close()
    (folder / "server" / "view").write_bytes(view_file)  # as a crash would have left it
    gc.collect()
    gc.freeze()
    began = time.perf_counter()
    server = pair.open_server()
    assert isinstance(server.core, Hub)
    assert server.core.view.table("orders").row("tail-00001999") is not None
    spent = time.perf_counter() - began
    reference = _median(lambda: _time_view_decode(view_file), REPEATS)
    await server.stop()
    pair.close()
    return spent, reference


def _time_view_decode(data: bytes) -> float:
    gc.disable()
    began = time.perf_counter()
    msgpack.unpackb(data[32:], strict_map_key=False)
    spent = time.perf_counter() - began
    gc.enable()
    return spent


async def bench_commit_growth(folder: Path) -> tuple[float, float]:
    """One commit into a replica of 200,000 orders, against the same with 1,000."""
    pair = Pair(folder)
    station = pair.open_station()
    medians = []
    for name, more in (("few", 1_000), ("many", 199_000)):
        await _fill(station, name, more)
        gc.collect()
        gc.freeze()
        spent = []
        for number in range(300):
            document = order(f"{name}-new", number)
            spent.append(await touch(partial(station.act, "order.keep", 1, document)))
        medians.append(statistics.median(spent))
    await station.stop()
    pair.close()
    return medians[1], medians[0]


async def bench_rebase(folder: Path) -> tuple[float, float]:
    """1,000 own orders that wait, over 1,000 new entries of another station; against folding
    those alone."""
    pair = Pair(folder)
    mine, theirs = pair.stations[0].signer, pair.server.signer

    def core() -> Replica:
        keys, domain = pair.keys(pair.stations[0]), pair.domain
        view = View(domain)
        return Replica(keys, theirs.public, view, domain, verify_ed25519, secrets.token_bytes)

    def ops(signer: Ed25519Signer, name: str) -> list[Op]:
        chain = node_id(signer.public) + secrets.token_bytes(8)
        return [
            encode_op(
                chain=chain,
                n=n,
                kind="order.keep",
                version=1,
                body=order(name, n),
                grant=0,
                base=0,
                key=secrets.token_bytes(16),
                wall_ms=0,
                mono_ms=0,
                boot=pair.clock.boot,
            )
            for n in range(1, 1001)
        ]

    entries: list[tuple[Entry, Op | None]] = [
        (Entry(seq, 0, 0, op.raw, True, [["kept", 1, op.body]], {}), op)
        for seq, op in enumerate(ops(theirs, "theirs"), 1)
    ]
    waiting = ops(mine, "mine")
    hashes = Head().hashes(op.raw for op in waiting)
    heads = [Head(n, hashed) for n, hashed in enumerate(hashes, 1)]
    spent, folded = [], []
    for _ in range(15):
        alone, under = core(), core()
        under.restore(
            [(op, [["kept", 1, op.body]], head) for op, head in zip(waiting, heads, strict=True)]
        )
        began = time.perf_counter()
        alone.fold(entries)
        half = time.perf_counter()
        under.fold(entries)
        spent.append(time.perf_counter() - half)
        folded.append(half - began)
        assert len(under.pending) == 1000
    pair.close()
    return statistics.median(spent), statistics.median(folded)


class _Sorted(Documents):
    """Documents found by their customer and listed by their time."""

    indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "orders": (("customer",), ("ts",))
    }


def _hundred_thousand() -> tuple[RowTable, dict[str, dict[str, Any]]]:
    """A table of so many orders, and a dict of them."""
    view = View(_Sorted({}))
    plain = {f"doc-{number:08d}": order("doc", number) for number in range(100_000)}
    view.push([["kept", 1, document] for document in plain.values()])
    gc.collect()
    gc.freeze()
    return view.table("orders"), plain


async def bench_read(folder: Path) -> tuple[float, float]:
    """One of 100,000 orders by its id, and those of one customer by an index (the slower of the
    two, a row), against looking the same up in a dict of the same orders."""
    table, plain = _hundred_thousand()
    ids = [f"doc-{number * 7919 % 100_000:08d}" for number in range(2_000)]

    def by_id() -> float:
        began = time.perf_counter()
        for name in ids:
            table.get(doc_id=name)
        return (time.perf_counter() - began) / len(ids)

    def by_index() -> float:
        began = time.perf_counter()
        found = sum(len(table.search(where("customer") == f"cust{n:05d}")) for n in range(20))
        return (time.perf_counter() - began) / found

    def look_up() -> float:
        began = time.perf_counter()
        for name in ids:
            plain.get(name)
        return (time.perf_counter() - began) / len(ids)

    return max(_median(by_id, 15), _median(by_index, 15)), _median(look_up, 15)


async def bench_read_page(folder: Path) -> tuple[float, float]:
    """A page of 50 of 100,000 orders by a sorted index, against looking as many up in a dict of
    the same orders."""
    table, plain = _hundred_thousand()
    ids = [f"doc-{number:08d}" for number in range(99_999, 98_999, -1)]

    def page() -> float:
        began = time.perf_counter()
        for skip in range(0, 1000, 50):
            table.latest("ts", 50, skip)
        return (time.perf_counter() - began) / 20

    def look_up() -> float:
        began = time.perf_counter()
        for name in ids:
            plain.get(name)
        return (time.perf_counter() - began) / 20

    return _median(page, 15), _median(look_up, 15)


Bench = Callable[[Path], Coroutine[Any, Any, tuple[float, float]]]
BENCHES: dict[str, tuple[Bench, float]] = {
    "commit": (bench_commit, 1.5),
    "commit-growth": (bench_commit_growth, 1.3),
    "reconnect": (bench_reconnect, 8.0),
    "fan-in": (bench_fan_in, 1.5),
    "bootstrap": (bench_bootstrap, 2.0),
    "replay": (bench_replay, 7.0),
    "live": (bench_live, 3.0),
    "fan-out": (bench_fan_out, 3.0),
    "cold-start": (bench_cold_start, 2.0),
    "rebase": (bench_rebase, 3.5),
    "read": (bench_read, 20.0),
    "read-page": (bench_read_page, 30.0),
}


async def _reconnect_seconds(folder: Path) -> list[float]:
    pair = Pair(folder)
    try:
        return [await _send_all(pair, 10_000)]
    finally:
        pair.close()


async def _fan_in_seconds(folder: Path) -> list[float]:
    pair = Pair(folder, stations=8)
    try:
        return [await _send_all(pair, 2_000)]
    finally:
        pair.close()


async def _bootstrap_seconds(folder: Path) -> list[float]:
    return [(await bench_bootstrap(folder))[0]]


async def _live_seconds(folder: Path) -> list[float]:
    return (await _round_trips(folder))[0]


async def _write_seconds(folder: Path) -> list[float]:
    return (await _commits(folder))[0]


WORKLOADS: dict[str, Callable[[Path], Coroutine[Any, Any, list[float]]]] = {
    "W1": _reconnect_seconds,
    "W2": _fan_in_seconds,
    "W3": _bootstrap_seconds,
    "W4": _live_seconds,
    "W5": _write_seconds,
}
"""What other engines are measured on as well; each gives seconds, one or many of them."""


def seconds_of(name: str) -> list[float]:
    """Run one workload in a process of its own."""
    done = subprocess.run(  # noqa: S603 - our own
        own_command(f"once:{name}"), stdout=subprocess.PIPE, check=True
    )
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def own_command(word: str) -> list[str]:
    """This module in a process of its own, from source or from the bundle."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "bench", word]
    # -P: what is installed, and not the checkout that somebody stands in
    return [sys.executable, "-P", "-m", "node.cli", "bench", word]


def _median_run(name: str) -> tuple[float, float]:
    """(value, reference) of the run whose ratio is the median one: machines are noisy. Each run has
    a process of its own, so that none inherits another's memory."""
    runs: list[list[float]] = []
    for _ in range(REPEATS):
        command = own_command(f"once:{name}")
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603 - our own
        runs.append(json.loads(done.stdout))
    value, reference = sorted(runs, key=lambda run: run[0] / run[1])[REPEATS // 2]
    return value, reference


def _form() -> str:
    """How the modules run that `packaging/compiled.py` compiles where Cabina is installed."""
    compiled = inspect.getfile(RowTable).endswith(tuple(EXTENSION_SUFFIXES))
    return "compiled" if compiled else "plain Python"


def _once(name: str, benches: Mapping[str, tuple[Bench, float]]) -> None:
    with tempfile.TemporaryDirectory(prefix="cabina-bench-") as folder:
        measure = WORKLOADS[name] if name in WORKLOADS else benches[name][0]
        print(json.dumps(asyncio.run(measure(Path(folder)))))


def run(
    names: list[str],
    benches: Mapping[str, tuple[Bench, float]],
    *,
    as_json: bool,
    units: Mapping[str, str] | None = None,
) -> int:
    """Measure the named ones of ``benches`` (all of them by default) and print their rows; values
    are seconds where ``units`` says nothing else."""
    if len(names) == 1 and names[0].startswith("server:"):
        asyncio.run(_serve(Path(names[0].removeprefix("server:"))))
        return 0
    if len(names) == 1 and names[0].startswith("once:"):
        _once(names[0].removeprefix("once:"), benches)
        return 0
    unknown = [name for name in names if name not in benches]
    if unknown:
        print(f"{unknown[0]}: {', '.join(benches)}", file=sys.stderr)
        return 2
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"what each sale passes through is {_form()}; {python}", file=sys.stderr)
    rows = []
    for name in names or list(benches):
        _, target = benches[name]
        value, reference = _median_run(name)
        ratio = value / reference
        rows.append(
            Row(
                name=name,
                value=round(value, 6),
                unit=(units or {}).get(name, "s"),
                reference=round(reference, 6),
                ratio=round(ratio, 2),
                target=target,
                met=ratio <= target,
            )
        )
        if not as_json:
            row = rows[-1]
            print(
                f"{row.name:<12} {row.value:>10.6f} s  reference {row.reference:.6f} s  "
                f"ratio {row.ratio:>6.2f}  target {row.target:g}  {'met' if row.met else 'NOT MET'}"
            )
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
    return 0
