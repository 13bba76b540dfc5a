"""The café's rows of `cabina bench`: the same workloads through the real rules, tables and indexes.

Each order has three lines of a catalogue of 200 products, of whose stock the café keeps count, and
is a sale that is final where it was made (Mode 1): the dearest kind to decide.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from node.bench import Bench, bench_reconnect, beside, own_command, touch, until, when_sent
from node.bootstrap import create_cafe, open_folder, pair_here
from node.roles.base import Node
from node.roles.server import ServerNode
from node.roles.station import StationNode

PASSWORD = "bench-secret"
PRODUCTS = 200


def sale(number: int) -> dict[str, Any]:
    lines = [
        {"sku": f"SKU{(number * 7 + k * 13) % PRODUCTS:03d}", "quantity": 1 + (number + k) % 4}
        for k in range(3)
    ]
    return {"lines": lines}


async def new_cafe(folder: Path) -> tuple[ServerNode, list[dict[str, Any]]]:
    """An open café, and the products that it shall sell."""
    server = await create_cafe(
        folder / "server",
        name="Bench",
        currency="EUR",
        language="en",
        administrator="Ada",
        password=PASSWORD,
        printer=None,
        port=0,
        mode=1,
        remote_pos=True,
    )
    products = [
        {"sku": f"SKU{at:03d}", "name": f"Product {at}", "price_minor": 100 + at, "tax_bp": 1000}
        for at in range(PRODUCTS)
    ]
    return server, products


async def _cafe(folder: Path) -> None:
    """A café and its one station, both signed in, nothing running."""
    server, products = await new_cafe(folder)
    stock = {product["sku"]: 10**6 for product in products}
    await server.submit("catalog.import", {"products": products, "stock": stock})
    port = await server.listen()
    await pair_here(server, folder / "station", "Station", ("127.0.0.1", port))
    station = open_folder(folder / "station")
    await station.start()
    await until(lambda: (folder / "station" / "operators.keys").exists())
    for node in (server, station):
        await node.sign_in("Ada", PASSWORD)
        node.keep_session()
    await station.stop()
    await server.stop()


async def _queue(station: StationNode, count: int) -> None:
    """Sell while nobody is there."""
    await station.client.stop()
    for at in range(0, count, 1000):
        batch = range(at, min(count, at + 1000))
        await asyncio.gather(*(station.submit("order.place", sale(i)) for i in batch))


async def _open_station(folder: Path) -> StationNode:
    node = open_folder(folder / "station")
    assert isinstance(node, StationNode)
    await node.start()
    return node


async def bench_commit_cafe(folder: Path) -> tuple[float, float]:
    """One sale through `Node.submit` with the café's rules until it is durable, at a station that
    holds 50,000 orders; against one `fdatasync` of its bytes."""
    await _cafe(folder)
    station = await _open_station(folder)
    await _queue(station, 50_000)
    gc.collect()
    gc.freeze()
    spent, floors = [], []
    with beside(folder) as sync:
        for number in range(300):
            fields = sale(number)
            spent.append(await touch(partial(station.submit, "order.place", fields)))
            floors.append(sync())
    await station.stop()
    return statistics.median(spent), statistics.median(floors)


async def bench_reconnect_cafe(folder: Path) -> tuple[float, float]:
    """10,000 sales queued offline, over TLS, until they are decided and durable at the server;
    against `reconnect`, the same with rules that only keep a document."""
    for name in ("engine", "café"):
        (folder / name).mkdir()
    alone, _ = await bench_reconnect(folder / "engine")
    await _cafe(folder / "café")
    station = await _open_station(folder / "café")
    await _queue(station, 10_000)
    command = own_command(f"café:{folder / 'café'}")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    assert station.config.server is not None
    station.config.server.port = port
    gc.collect()
    gc.freeze()
    sent = when_sent([station.driver])
    began = time.perf_counter()
    station.client.start()
    spent = await sent - began
    await station.stop()
    process.terminate()
    await process.wait()
    server = open_folder(folder / "café" / "server")
    table = server.tables.table("orders")
    assert len(table) == 10_000
    assert all(row["state"] == "collected" and not row["flags"] for _, row in table.scan())
    await server.start()
    await server.stop()
    return spent, alone


async def serve(folder: Path) -> None:
    """The café's server by itself: prints its port, and runs until who started it is gone."""
    node = await _open_server(folder)
    print(await node.listen(), flush=True)
    gc.collect()
    gc.freeze()
    await asyncio.to_thread(sys.stdin.read)


async def _open_server(folder: Path) -> ServerNode:
    node: Node = open_folder(folder / "server")
    assert isinstance(node, ServerNode)
    await node.start()
    return node


async def bench_pause(folder: Path) -> tuple[float, float]:
    """Longest stall of the server's event loop while 10,000 sales of one station arrive; against
    20 ms."""
    await _cafe(folder)
    station = await _open_station(folder)
    await _queue(station, 10_000)
    await station.stop()
    server = await _open_server(folder)
    port = await server.listen()
    gc.collect()
    gc.freeze()
    command = own_command(f"station:{port}:{folder}")
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)
    orders = server.tables.table("orders")
    longest, last = 0.0, time.perf_counter()
    while len(orders) < 10_000:
        await asyncio.sleep(0)
        now = time.perf_counter()
        if len(orders):
            longest = max(longest, now - last)
        last = now
    process.terminate()
    await process.wait()
    await server.stop()
    return longest, 0.020


async def send(folder: Path, port: int) -> None:
    """The station by itself, until who started it is gone."""
    node = open_folder(folder / "station")
    assert isinstance(node, StationNode) and node.config.server is not None
    node.config.server.port = port
    await node.start()
    await asyncio.to_thread(sys.stdin.read)


BENCHES: dict[str, tuple[Bench, float]] = {
    "commit-cafe": (bench_commit_cafe, 2.5),
    "reconnect-cafe": (bench_reconnect_cafe, 6.0),
    "pause": (bench_pause, 1.0),
}
