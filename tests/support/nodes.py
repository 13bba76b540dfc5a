"""A server and a station in this process, with a cable between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio

from node import sample
from node.bootstrap import add_operator, create_cafe, open_folder, pair_here
from node.control import LocalDoor
from node.roles.server import ServerNode
from node.roles.station import StationNode
from node.switch import Switch

PASSWORD = "secret-one"


@dataclass
class Nodes:
    """The two nodes, and the cable."""

    server: ServerNode
    station: StationNode
    switch: Switch


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    """Signed in on both sides, the cable joined, a sample catalogue in English."""
    server = await create_cafe(
        tmp_path / "server",
        name="Test",
        currency=sample.CURRENCY,
        language="en",
        administrator="Ana Vargas",
        password=PASSWORD,
        printer=None,
        port=0,
        remote_pos=True,
        decimals=0,
        cash_step_minor=500,
    )
    await LocalDoor(server).call("import_catalogue", products=sample.products("en"))
    await add_operator(server, "Lucía Mora", "vendor", PASSWORD)
    switch = Switch(await server.listen())
    await switch.start()
    await pair_here(server, tmp_path / "station", "Terrace", ("127.0.0.1", switch.port))
    station = open_folder(tmp_path / "station")
    assert isinstance(station, StationNode)
    await station.start()
    await until(lambda: (tmp_path / "station" / "operators.keys").exists())
    await until(lambda: len(station.tables.table("operators")) == 2)
    await station.sign_in("Lucía Mora", PASSWORD)
    try:
        yield Nodes(server, station, switch)
    finally:
        await station.stop()
        await switch.stop()
        await server.stop()


async def until(condition: Callable[[], object], patience_s: int = 30) -> None:
    for _ in range(patience_s * 50):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")
