"""A café in a folder of its own, whose nodes come and go: real files, sockets and paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node import config, sample
from node.bootstrap import add_operator, create_cafe, open_folder, pair_here
from node.cafe.house import Cafe
from node.control import LocalDoor
from node.devices.virtual import VirtualPrinter
from node.roles.server import ServerNode
from node.roles.station import StationNode
from sync.disk import ReadOnlyDisk
from sync.identity import verify_ed25519
from sync.verify import verify_canon, verify_own
from tests.support.nodes import PASSWORD, until


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
            printer=f"tcp://127.0.0.1:{self.printer.port}",
            port=0,
            mode=1,
            remote_pos=True,
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


async def sell(node: StationNode | ServerNode, count: int = 1) -> list[str]:
    """Order ids."""
    keys = []
    for _ in range(count):
        receipt = await node.submit("order.place", {"lines": [{"sku": "COFFEE", "quantity": 1}]})
        keys.append(receipt.key.hex())
    return keys


def rows(node: Any, table: str = "orders") -> dict[str, Any]:
    return {str(row.doc_id): dict(row) for row in node.tables.table(table)}
