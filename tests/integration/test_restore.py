"""Folders that are put back from copies or used twice: real nodes, files, sockets and paper."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from node import sample
from node.bootstrap import add_operator, create_cafe, open_folder, pair_here
from node.cafe.house import Cafe
from node.control import LocalDoor
from node.devices.virtual import VirtualPrinter
from node.roles.server import ServerNode
from node.roles.station import StationNode
from node.shows import show
from sync.disk import ReadOnlyDisk
from sync.errors import Refused
from sync.identity import verify_ed25519
from sync.verify import verify_canon, verify_own
from tests.support.nodes import PASSWORD, until

ORDERS = 500
"""That each of two stations sells behind the copy: a thousand are lost."""


class Town:
    """A café in a folder of its own, whose nodes come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printer = VirtualPrinter()
        self.server: ServerNode | None = None
        self.stations: dict[str, StationNode] = {}
        self.port = 0

    async def open(self, *names: str) -> None:
        await self.printer.start()
        self.server = await create_cafe(
            self.folder / "server",
            name="Town",
            currency="EUR",
            language="en",
            administrator="Ana Vargas",
            password=PASSWORD,
            printer=("127.0.0.1", self.printer.port),
            port=0,
            mode=1,
        )
        await LocalDoor(self.server).call("import_catalogue", products=sample.products("en"))
        await add_operator(self.server, "Noa Ruiz", "vendor", PASSWORD)
        self.port = self.server.config.port = await self.server.listen()
        for name in names:
            await pair_here(self.server, self.folder / name, name, ("127.0.0.1", self.port))
            await self.start(name)
            station = self.stations[name]
            await until((station.folder / "operators.keys").exists)
            await station.sign_in("Noa Ruiz", PASSWORD)

    async def start_server(self) -> ServerNode:
        server = open_folder(self.folder / "server")
        assert isinstance(server, ServerNode)
        server.config.port = self.port
        await server.start()
        await server.listen()
        await server.sign_in("Ana Vargas", PASSWORD)
        self.server = server
        return server

    async def start(self, name: str) -> StationNode:
        station = open_folder(self.folder / name)
        assert isinstance(station, StationNode)
        await station.start()
        self.stations[name] = station
        return station

    async def stop(self, *names: str) -> None:
        for name in names:
            await self.stations.pop(name).stop()

    async def stop_server(self) -> None:
        assert self.server is not None
        await self.server.stop()
        self.server = None

    async def close(self) -> None:
        await self.stop(*self.stations)
        if self.server is not None:
            await self.stop_server()
        await self.printer.stop()

    def papers(self) -> int:
        return len(self.printer.papers)

    def verify(self) -> None:
        """Every log in every folder verifies with public keys alone."""
        from node import config

        settings = config.load(self.folder / "server")
        cafe = bytes.fromhex(settings.cafe)
        server = config.load_keys(self.folder / "server")
        for folder in self.folder.iterdir():
            keys = config.load_keys(folder)
            disk = ReadOnlyDisk(folder)
            public = server.signer.public
            result = verify_canon(disk, cafe, server.node, public, Cafe(), verify_ed25519)
            assert result.problem is None, (folder.name, result.problem)
            if folder.name != "server":
                own = verify_own(disk, cafe, keys.signer.public, keys.node, verify_ed25519)
                assert own.problem is None


@pytest.fixture
async def town(tmp_path: Path) -> Any:
    (tmp_path / "cafe").mkdir()
    made = Town(tmp_path / "cafe")
    yield made
    await made.close()


async def sell(node: StationNode | ServerNode, count: int = 1) -> list[str]:
    """Order ids."""
    keys = []
    for _ in range(count):
        receipt = await node.submit("order.place", {"lines": [{"sku": "COFFEE", "quantity": 1}]})
        keys.append(receipt.key.hex())
    return keys


def rows(node: Any, table: str = "orders") -> dict[str, Any]:
    return {str(row.doc_id): dict(row) for row in node.tables.table(table)}


@pytest.mark.timeout(300)
@pytest.mark.feature("SY-07", "SY-02", "SY-16")
async def test_server_put_back_from_before_a_thousand_orders_gets_them_all_back(town: Town) -> None:
    """Each with its recorded outcome, none printed again, though the desk sold meanwhile; who is absent is
    waited for or overridden, and what they bring later is an exception."""
    await town.open("one", "two", "three")
    assert town.server is not None
    await sell(town.stations["one"], 10)
    await until(lambda: town.papers() == 10)
    shutil.copytree(town.folder / "server", town.folder.parent / "copy")
    for name in ("one", "two"):
        await sell(town.stations[name], ORDERS)
    everybody = [town.server, *town.stations.values()]
    await until(lambda: town.papers() == 10 + 2 * ORDERS, 120)
    await until(lambda: all(len(rows(n)) == 10 + 2 * ORDERS for n in everybody))
    head = town.server.hub.head.n
    await until(lambda: all(s.replica.canon.n >= head for s in town.stations.values()))
    await town.stop("one", "two")
    await sell(town.server)
    await until(lambda: town.papers() == 11 + 2 * ORDERS)
    await until(lambda: town.stations["three"].replica.canon == town.server.hub.head)
    before = rows(town.server)
    await town.stop("three")
    await town.stop_server()
    shutil.rmtree(town.folder / "server")
    shutil.copytree(town.folder.parent / "copy", town.folder / "server")

    server = await town.start_server()
    assert len(rows(server)) == 10
    meanwhile = await sell(server)
    await until(lambda: town.papers() == 12 + 2 * ORDERS)
    with pytest.raises(Refused, match="stations-missing"):
        await server.submit("box.close", {})
    for name in ("one", "two"):
        await town.start(name)
    await until(lambda: len(server.missing()) == 1)
    orders = rows(server)
    assert len(orders) == 11 + 2 * ORDERS
    for order, row in orders.items():
        if order not in meanwhile:
            assert row == before[order]
    await until(lambda: len(rows(town.stations["one"])) == len(orders))
    assert town.papers() == 12 + 2 * ORDERS, "nothing is printed twice"
    assert {row["state"] for row in rows(server, "prints").values()} <= {"printed", "unknown"}

    with pytest.raises(Refused, match="stations-missing"):
        await server.submit("box.close", {})
    await server.submit("station.override", {"station": server.missing()[0]})
    await server.submit("box.close", {})
    await until(lambda: town.papers() == 13 + 2 * ORDERS)
    three = await town.start("three")
    await until(lambda: three.online and set(before) <= set(rows(server)))
    (late,) = [r for r in show(server, "exceptions", {}, None) if r["code"] == "collected-late"]
    assert late["ref"] == next(iter(set(before) - set(orders)))
    nodes = [server, three, *town.stations.values()]
    await until(lambda: len({n.tables.digest() for n in nodes if not n.tables.pending}) == 1)
    await until(lambda: not any(n.tables.pending for n in nodes))
    assert town.papers() == 13 + 2 * ORDERS
    assert not server.missing()
    await town.close()
    town.verify()


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-06")
async def test_station_folder_used_on_two_machines_loses_and_doubles_nothing(town: Town) -> None:
    """Both sell on; every order is there once; the owner is told."""
    await town.open("one")
    assert town.server is not None
    server = town.server
    first = town.stations["one"]
    sold = await sell(first, 5)
    shutil.copytree(
        first.folder, town.folder / "two", ignore=shutil.ignore_patterns("lock", "control*")
    )
    second = await town.start("two")
    await until(lambda: second.online and first.online)
    await second.sign_in("Noa Ruiz", PASSWORD)
    sold += await sell(first, 20)
    sold += await sell(second, 20)
    await until(lambda: set(rows(server)) == set(sold))
    for link in server.hub.links.values():
        link.since_ms -= 10_000  # they have been there for a while
    sold += await sell(first, 1) + await sell(second, 1)
    await until(lambda: any(n["code"] == "alarm-cloned" for n in server.notices))
    await until(lambda: [r for r in show(server, "incidents", {}, None) if r["code"] == "cloned"])
    await until(lambda: not first.tables.pending and not second.tables.pending)
    await until(lambda: len({n.tables.digest() for n in (server, first, second)}) == 1)
    assert set(rows(server)) == set(sold)
    await until(lambda: town.papers() == len(sold))


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-06")
async def test_station_put_back_from_a_copy_gets_its_orders_back(town: Town) -> None:
    """What the server has of it comes back; it sells on; a person is told."""
    await town.open("one")
    assert town.server is not None
    server = town.server
    sold = await sell(town.stations["one"], 5)
    await until(lambda: len(rows(server)) == 5)
    shutil.copytree(town.folder / "one", town.folder.parent / "copy")
    sold += await sell(town.stations["one"], 20)
    await until(lambda: len(rows(server)) == 25)
    await town.stop("one")
    shutil.rmtree(town.folder / "one")
    shutil.copytree(town.folder.parent / "copy", town.folder / "one")
    one = await town.start("one")
    await one.sign_in("Noa Ruiz", PASSWORD)
    sold += await sell(one)
    await until(lambda: set(rows(server)) == set(sold) == set(rows(one)))
    await until(lambda: any(n["code"] == "alarm-station-restored" for n in server.notices))
    await until(lambda: not one.tables.pending and one.tables.digest() == server.tables.digest())


@pytest.mark.timeout(120)
@pytest.mark.feature("SE-06")
async def test_orders_of_a_revoked_station_are_kept_as_refused(town: Town) -> None:
    """They are in the log, visible, and count nowhere."""
    await town.open("one")
    assert town.server is not None
    server, one = town.server, town.stations["one"]
    await one.client.stop()
    await until(lambda: not server.hub.online())
    (order,) = await sell(one)
    await server.submit("station.revoke", {"station": one.node_id})
    one.client.start()
    await until(lambda: rows(server, "refusals"))
    (refusal,) = [r for r in rows(server, "refusals").values() if r["kind"] == "order.place"]
    assert (refusal["code"], refusal["key"]) == ("revoked", order)
    assert not rows(server)
    await until(lambda: one.client.problem == "revoked")
