"""The rows of `cabina bench` about customers' PCs: two hundred of them on one server, and a day.

The server is a process of its own; the PCs and stations share this one, over real sockets.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from node import bench_cafe
from node.bench import own_command, until
from node.bootstrap import add_operator, open_folder, pair_here, pair_pc_here
from node.cafe import pcs
from node.roles import floor
from node.roles.base import Node
from node.roles.client import ClientNode
from node.roles.server import ServerNode
from node.roles.station import StationNode

PASSWORD = "bench-secret"
PIN_WORD = "Abcd1234"
"""Every customer's password."""
PCS, STATIONS, ORDERS = 200, 5, 20_000
WATCHED_S = 20.0
SIGN_INS = 7
MEGABYTE = 1 << 20
BAND = {"minute": 0, "price_minor": 50, "block_s": 900}
RATE = {"name": "PC", "bands": [BAND], "minimum_minor": 100}
PROFILE = {"name": "Std", "price_minor": 400}


async def _hall(folder: Path, count: int, stations: int = 0) -> None:
    """A café with so many PCs and stations, nothing running."""
    server, products = await bench_cafe.new_cafe(folder)
    await server.submit("catalog.import", {"products": products})
    await server.submit("rate.put", {"rate": "STD", "values": RATE})
    await server.submit("profile.add", {"profile": "STD", "values": PROFILE})
    server.config.port = await server.listen()
    for number in range(1, count + 1):
        await pair_pc_here(server, folder / f"pc-{number}", number, ("127.0.0.1", 1))
    for number in range(1, stations + 1):
        await add_operator(server, f"Vera {number}", "vendor", PASSWORD)
        await pair_here(server, folder / f"station-{number}", f"S{number}", ("127.0.0.1", 1))
    server.keep_session()
    await server.stop()


async def _open(folder: Path, port: int) -> Any:
    node = open_folder(folder)
    assert node.config.server is not None
    node.config.server.port = port
    await node.start()
    return node


async def _pcs(folder: Path, count: int, port: int) -> list[ClientNode]:
    """All of them, in contact."""
    found: list[ClientNode] = []
    for number in range(1, count + 1):
        found.append(await _open(folder / f"pc-{number}", port))
        if number % 8 == 0:  # the server lets only so many strangers of one address in at once
            await until(lambda: all(pc.online for pc in found))
    await until(lambda: all(pc.online and "version" in pc.state for pc in found))
    return found


# --- the server's process -------------------------------------------------------


async def serve(folder: Path, what: str) -> None:
    """The server by itself: says its port, does what its workload wants of it, says what it has
    measured, and ends with who started it."""
    node: Node = open_folder(folder / "server")
    assert isinstance(node, ServerNode)
    await node.start()
    if what == "sign-in":
        await _register(node)
    print(await node.listen(), flush=True)
    gc.collect()
    gc.freeze()
    await WORK[what](node)
    await asyncio.to_thread(sys.stdin.read)


async def _in_contact(node: ServerNode, count: int) -> None:
    while sum(node.floor.online(p) for p, _ in pcs.trusted(node.tables)) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.2)


async def _watch_floor(node: ServerNode) -> None:
    """All PCs in use, half of them by customers on credit: how much of a core that takes."""
    await _in_contact(node, PCS)
    for number, (pc, _) in enumerate(pcs.trusted(node.tables)):
        if number % 2:
            customer = await _customer(node, number)
            await node.do_self("session.open", {"pc": pc, "customer": customer})
        else:
            await node.submit("session.start", {"pc": pc})
    await asyncio.sleep(floor.TICK_MS / 1000)
    began, cpu, longest = time.perf_counter(), time.process_time(), 0.0
    while (now := time.perf_counter()) - began < WATCHED_S:
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - now - 0.005)
    used = time.process_time() - cpu
    print(json.dumps([used / (now - began), longest]), flush=True)


async def _register(node: ServerNode) -> None:
    """Customers with credit and a password."""
    for number in range(SIGN_INS):
        await _customer(node, number)


@functools.cache
def _hash() -> str:
    """Of the password that all of them have; one is made, since it takes a while."""
    return floor.hash_password(PIN_WORD)


async def _customer(node: ServerNode, number: int) -> str:
    """A customer with credit and a password."""
    customer = (await node.submit("customer.create", {"profile": "STD"})).key.hex()
    person = {"user": f"user{number:04d}"}
    await node.submit("customer.describe", {"customer": customer, "person": person})
    line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": 5_000}
    await node.submit("order.place", {"lines": [line], "customer": customer})
    verifier = node.floor.verifier_of(_hash())
    await node.do_self("customer.password", {"customer": customer, "verifier": verifier})
    return customer


async def _watch_sign_in(node: ServerNode) -> None:
    """Customers with passwords; then it answers."""


def _resident_mb() -> float:
    """Memory of this process now."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / MEGABYTE


async def _live_a_day(node: ServerNode) -> None:
    """PCs are started and ended all day long; the box is closed; memory on the way."""
    await _in_contact(node, PCS)
    known = [pc for pc, _ in pcs.trusted(node.tables)]
    orders, marks, turn = node.tables.table("orders"), list[float](), 0
    while len(orders) < ORDERS:
        pc = known[turn % PCS]
        turn += 1
        session = (node.tables.table("pcs").peek(pc) or {})["session"]
        if session:
            await node.submit("session.end", {"session": session})
            if (node.tables.table("sessions").peek(session) or {})["state"] == "due":
                await node.submit("session.pay", {"session": session})
        else:
            await node.submit("session.start", {"pc": pc})
        if len(orders) >= ORDERS * (len(marks) + 1) // 4:
            marks.append(_resident_mb())
        await asyncio.sleep(0.01)
    for session in [row["session"] for _, row in pcs.trusted(node.tables) if row["session"]]:
        await node.submit("session.end", {"session": session})
    await node.submit("box.close", {})
    marks.append(_resident_mb())
    print(
        f"memory at each quarter and after the Z, MB: {[round(m) for m in marks]}", file=sys.stderr
    )
    print(json.dumps([marks[-1]]), flush=True)


WORK: dict[str, Callable[[ServerNode], Awaitable[None]]] = {
    "floor": _watch_floor,
    "sign-in": _watch_sign_in,
    "day": _live_a_day,
}


async def _start(folder: Path, what: str) -> tuple[asyncio.subprocess.Process, int]:
    """(the server's process, its port)."""
    process = await asyncio.create_subprocess_exec(
        *own_command(f"floor:{what}:{folder}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    return process, int(await process.stdout.readline())


async def _said(process: asyncio.subprocess.Process) -> list[float]:
    assert process.stdout is not None
    found: list[float] = json.loads(await process.stdout.readline())
    process.terminate()
    await process.wait()
    return found


# --- the rows ----------------------------------------------------------------------


async def bench_floor(folder: Path) -> tuple[float, float]:
    """Share of one core that two hundred PCs in use take of the server; against a fifth of one."""
    await _hall(folder, PCS)
    process, port = await _start(folder, "floor")
    found = await _pcs(folder, PCS, port)
    used, _ = await _said(process)
    await _end(process, found)
    return used, 0.2


async def bench_floor_pause(folder: Path) -> tuple[float, float]:
    """Longest stall of the server's loop meanwhile; against 20 ms."""
    await _hall(folder, PCS)
    process, port = await _start(folder, "floor")
    found = await _pcs(folder, PCS, port)
    _, longest = await _said(process)
    await _end(process, found)
    return longest, 0.020


async def bench_sign_in(folder: Path) -> tuple[float, float]:
    """A customer's sign-in at one of two hundred PCs until it is unlocked, without the password's
    hash; against 300 ms."""
    await _hall(folder, PCS)
    process, port = await _start(folder, "sign-in")
    found = await _pcs(folder, PCS, port)
    spent = []
    for number, pc in enumerate(found[:SIGN_INS]):
        began = time.perf_counter()
        floor.hash_password(PIN_WORD)
        hashed = time.perf_counter() - began
        began = time.perf_counter()
        await pc.ask("sign-in", user=f"user{number:04d}", password=PIN_WORD)
        spent.append(time.perf_counter() - began - hashed)
        assert pc.unlocked
    await _end(process, found)
    return max(0.0001, median(spent)), 0.300


async def bench_day(folder: Path) -> tuple[float, float]:
    """Megabytes of the server after 20,000 orders of five stations, two hundred PCs in use all the
    while, a box close and its Z; against 300."""
    await _hall(folder, PCS, STATIONS)
    process, port = await _start(folder, "day")
    found: list[Node] = list(await _pcs(folder, PCS, port))
    stations: list[StationNode] = []
    for number in range(1, STATIONS + 1):
        station: StationNode = await _open(folder / f"station-{number}", port)
        await until((station.folder / "operators.keys").exists)
        await until(lambda s=station: len(s.tables.table("operators")) > STATIONS)  # type: ignore[misc]
        await station.sign_in(f"Vera {number}", PASSWORD)
        stations.append(station)
    for number in range(ORDERS + 100):
        sale = bench_cafe.sale(number)
        await stations[number % STATIONS].submit("order.place", sale)
        while sum(s.replica.unsent for s in stations) > 200:  # noqa: ASYNC110 - as people are slow
            await asyncio.sleep(0.01)
    (used,) = await _said(process)
    for node in (*found, *stations):
        await node.stop()
    return used, 300.0


async def _end(process: asyncio.subprocess.Process, found: list[ClientNode]) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()
    for pc in found:
        await pc.stop()


BENCHES: dict[str, tuple[Any, float]] = {
    "floor": (bench_floor, 1.0),
    "floor-pause": (bench_floor_pause, 1.0),
    "sign-in": (bench_sign_in, 1.0),
    "day": (bench_day, 1.0),
}
UNITS = {"floor": "cores", "day": "MB"}
