"""A server with customers' PCs in this process, each behind a cable of its own, on a clock that tests move."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from node import sample
from node.bootstrap import add_operator, create_cafe, open_folder, pair_pc_here
from node.control import LocalDoor
from node.roles import floor
from node.roles.client import ClientNode
from node.roles.server import ServerNode
from node.switch import Switch
from sync.clock import SystemClock
from tests.support.nodes import PASSWORD, until

RATE = {
    "name": "PC",
    "bands": [{"minute": 0, "price_minor": 50, "block_s": 900}],
    "minimum_minor": 100,
}
PROFILE = {"name": "Std", "price_minor": 400, "points": 1, "per_minor": 100, "need": 10}


class MovedClock(SystemClock):
    """The clocks of this machine and as much more as a test says; the one for people may also be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.moved_ms = self.wrong_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.moved_ms + self.wrong_ms

    def mono_ms(self) -> int:
        return super().mono_ms() + self.moved_ms


class Hall:
    """The server, and PCs by number."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, MovedClock()
        self.pcs: dict[int, ClientNode] = {}
        self.clocks: dict[int, MovedClock] = {}
        self.switches: dict[int, Switch] = {}
        self.server: ServerNode
        self.port = 0

    async def open(self, count: int = 1, language: str = "en", **settings: Any) -> None:
        self.server = await create_cafe(
            self.folder / "server", name="Hall", currency="EUR", language=language,
            administrator="Ana Vargas", password=PASSWORD, printer=None, port=0, clock=self.clock,
            **settings,
        )  # fmt: skip
        await LocalDoor(self.server).call("import_catalogue", products=sample.products(language))
        await add_operator(self.server, "Carl", "cashier", PASSWORD)
        await self.server.submit("rate.put", {"rate": "STD", "values": RATE})
        await self.server.submit("profile.add", {"profile": "STD", "values": PROFILE})
        self.port = self.server.config.port = await self.server.listen()
        for number in range(1, count + 1):
            await self.add(number)

    async def add(self, number: int) -> ClientNode:
        switch = self.switches[number] = Switch(self.port)
        await switch.start()
        folder = self.folder / f"pc-{number}"
        await pair_pc_here(self.server, folder, number, ("127.0.0.1", switch.port))
        return await self.start(number)

    async def start(self, number: int) -> ClientNode:
        clock = self.clocks[number] = MovedClock()
        clock.moved_ms = self.clock.moved_ms
        pc = open_folder(self.folder / f"pc-{number}", clock)
        assert isinstance(pc, ClientNode)
        pc.switch = lambda action: None
        self.pcs[number] = pc
        await pc.start()
        if self.switches[number].joined:
            await until(lambda: pc.online and pc.phase != "starting" and "version" in pc.state)
        return pc

    async def stop(self, number: int) -> None:
        await self.pcs.pop(number).stop()

    async def restart_server(self) -> ServerNode:
        server = open_folder(self.folder / "server", self.clock)
        assert isinstance(server, ServerNode)
        server.config.port = self.port
        await server.start()
        await server.listen()
        await server.sign_in("Ana Vargas", PASSWORD)
        self.server = server
        return server

    async def close(self) -> None:
        for number in list(self.pcs):
            await self.stop(number)
        for switch in self.switches.values():
            await switch.stop()
        await self.server.stop()

    # --- what happens ------------------------------------------------------------

    def pass_s(self, seconds: int) -> None:
        """Time goes on for everybody."""
        for clock in (self.clock, *self.clocks.values()):
            clock.moved_ms += seconds * 1000

    async def run_s(self, seconds: int) -> None:
        """Time goes on while everybody who is connected goes on asking."""
        floor = self.server.floor
        while seconds > 0:
            self.pass_s(min(10, seconds))
            seconds -= 10
            now = self.clock.mono_ms()
            here = [
                (self.id_of(number), pc.session) for number, pc in self.pcs.items() if pc.online
            ]
            known = [
                floor._meters[session["id"]]
                for _, session in here
                if session and self.row(session["id"])["state"] in ("running", "paused")
            ]
            await until(
                lambda here=here, known=known, now=now: (
                    all(floor._of(pc).at_ms >= now for pc, _ in here)
                    and all(one.at_ms >= now for one in known)
                )
            )

    def id_of(self, number: int) -> str:
        return next(
            pc for pc, row in self.server.tables.table("pcs").scan()
            if row["number"] == number and not row["revoked"]
        )  # fmt: skip

    async def begin(self, number: int = 1, **fields: Any) -> str:
        """A session that an operator starts; its id, once the PC is unlocked."""
        body = {"pc": self.id_of(number), **fields}
        session = (await self.server.submit("session.start", body)).key.hex()
        await until(lambda: self.pcs[number].unlocked)
        return session

    def row(self, session: str) -> dict[str, Any]:
        row = self.server.tables.table("sessions").row(session)
        assert row is not None
        return row

    async def customer(self, user: str, credit: int = 0, password: str = "") -> str:
        """A customer with credit; with a password it is made at PC 1 by the code of their ticket."""
        typed = {"user": user, "first": user.title()}
        door = LocalDoor(self.server)
        customer = (await door.call("create_customer", profile="STD", typed=typed))["customer"]
        if credit:
            line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": credit}
            await self.server.submit("order.place", {"lines": [line], "customer": customer})
        if password:
            code = self.code_of(customer)
            await self.pcs[1].ask("first", user=user, password=password, code=code)
            await self.pcs[1].end()
        return str(customer)

    def code_of(self, customer: str) -> str:
        row = self.server.tables.table("codes").row(customer)
        assert row is not None
        return self.server.codes.open(row["text"])

    def cut(self, number: int) -> None:
        self.switches[number].cut()

    async def join(self, number: int) -> None:
        self.switches[number].join()
        self.pcs[number].client.hurry()
        await until(lambda: self.pcs[number].online)


@contextlib.asynccontextmanager
async def hall(folder: Path, count: int = 1, **settings: Any) -> AsyncIterator[Hall]:
    """An open hall, closed at the end."""
    made, tick_ms = Hall(folder), floor.TICK_MS
    floor.TICK_MS = 50  # time passes quickly here
    try:
        await made.open(count, **settings)
        yield made
    finally:
        floor.TICK_MS = tick_ms
        await made.close()
