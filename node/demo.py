"""A whole café on this machine: a server, stations, a ticket printer, and cables that can be
pulled.

Each node is a process of its own. One that a signal ends is started again; what was asked of it
meanwhile is asked again under the same key, so nothing is lost and nothing comes twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node import sample
from node.bootstrap import add_operator, create_cafe, pair_here, pair_pc_here
from node.control import CONTROL_FILE, ControlClient, LocalDoor, NotRunning
from node.devices.virtual import Faults, Paper, VirtualPrinter
from node.roles.server import ServerNode
from node.sample import Sale
from node.switch import Switch
from sync.clock import SystemClock
from sync.errors import Disconnected, Refused

PASSWORD = "cabina-demo"
OPERATOR = "Ana Vargas"
VENDORS = ("Óscar Peña", "Lucía Mora", "Marco Salas", "Inés Rojas", "Tomás Vega")
PLACES = ("Patio", "Terrace", "Hall", "Garden", "Street")
PLACES_ES = ("Patio", "Terraza", "Salón", "Jardín", "Calle")
PATIENCE_S = 60.0


class SettableClock(SystemClock):
    """A clock whose wall time the demo sets: the café's time is that of the tickets it sells
    again."""

    def __init__(self) -> None:
        super().__init__()
        self._offset_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self._offset_ms

    def set_wall_ms(self, wall_ms: int) -> None:
        self._offset_ms = wall_ms - super().wall_ms()


@dataclass
class Options:
    """What kind of demo."""

    folder: Path
    mode: int = 2
    stations: int = 2
    language: str = "en"
    currency: str = sample.CURRENCY
    decimals: int | None = sample.DECIMALS
    cash_step_minor: int = sample.CASH_STEP_MINOR
    products: list[dict[str, Any]] = field(default_factory=list)
    opening_ms: int | None = None
    """Café time at the opening; None for now."""
    screens: bool = False
    launcher: list[str] = field(default_factory=lambda: [sys.executable, "-m", "node.cli"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One node in a process of its own, started again whenever a signal ends it."""

    def __init__(
        self,
        name: str,
        folder: Path,
        command: list[str],
        operator: str,
        tell: Callable[[str], None],
    ) -> None:
        """``operator`` is signed in there; empty for a node where nobody is."""
        self.name, self.folder, self.operator = name, folder, operator
        self._command, self._tell = command, tell
        self.client = ControlClient(folder)
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        self.failed = ""
        self.starts = 0
        self.url = ""

    async def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep())
        await self._until_ready()

    async def _until_ready(self) -> None:
        assert self._keeper is not None
        deadline = time.monotonic() + PATIENCE_S
        while not self.ready.is_set():  # it may die again in the moment it was ready
            waiter = asyncio.create_task(self.ready.wait())
            left = deadline - time.monotonic()
            await asyncio.wait(
                {waiter, self._keeper}, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            waiter.cancel()
            if self._keeper.done() or not waiter.done():
                ended = self._keeper.done() and not self._keeper.cancelled()
                fault = self._keeper.exception() if ended else None
                why = self.failed or "no answer"
                raise RuntimeError(f"{self.name} did not start: {why}") from fault

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def kill(self) -> None:
        """Like a power cut for the process."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _keep(self) -> None:
        while True:
            (self.folder / CONTROL_FILE).unlink(missing_ok=True)
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
            )
            self.starts += 1
            self._tell(f"{self.name}: pid {self._process.pid}, {self.folder}")
            reader = asyncio.create_task(self._read(self._process))
            await self._enter(self._process)
            code = await self._process.wait()
            await reader
            self.ready.clear()
            await self.client.close()
            if code >= 0:
                self.failed = f"it ended with code {code}"
                return
            self._tell(f"{self.name}: ended by signal {-code}, starting again")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            text = line.decode(errors="replace").strip()
            if text.startswith("http"):
                self.url = text

    async def _enter(self, process: asyncio.subprocess.Process) -> None:
        """Wait until the node answers, and sign its operator in; a station needs their key
        first."""
        deadline = time.monotonic() + PATIENCE_S
        while process.returncode is None and time.monotonic() < deadline:
            try:
                if self.operator:
                    await self.client.call("sign_in", name=self.operator, password=PASSWORD)
                else:
                    await self.client.call("status")
            except (NotRunning, Refused):
                await asyncio.sleep(0.05)
            else:
                self.ready.set()
                return

    async def call(self, method: str, **params: Any) -> Any:
        """Call the node; if it dies meanwhile, ask it again once it is back. Acts carry a key for
        that."""
        while True:
            await self._until_ready()
            try:
                return await self.client.call(method, **params)
            except NotRunning:
                await asyncio.sleep(0.05)
                if self._process is not None and self._process.returncode is None:
                    continue
                self.ready.clear()
            except Refused as refusal:
                if refusal.code not in ("not-signed-in", "no-grant"):
                    raise
                await asyncio.sleep(0.05)  # it came back this moment and its operator is on the way

    async def stop(self) -> None:
        """Ask the node to stop cleanly."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self.client.close()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(15):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


class Demo:
    """The café: set up with `start`, driven by the methods below, taken down with `stop`."""

    def __init__(self, options: Options, tell: Callable[[str], None] = lambda text: None) -> None:
        self.options = options
        self._tell = tell
        self.printer = VirtualPrinter(options.folder / "printer", Faults())
        self.switches: list[Switch] = []
        self.server: Process | None = None
        self.stations: list[Process] = []
        self.pc: Process | None = None
        """The customers' PC, where there are screens."""
        self.on_paper: Callable[[Paper], None] = lambda paper: None
        self.password = PASSWORD

    async def start(self) -> None:
        options = self.options
        if (options.folder / "server").exists():
            raise Refused("already-created")
        await self.printer.start()
        self.printer.on_paper = lambda paper: self.on_paper(paper)
        clock = SettableClock()
        if options.opening_ms is not None:
            clock.set_wall_ms(options.opening_ms)
        port = free_port()
        server = await create_cafe(
            options.folder / "server",
            name="Cabina Central",
            currency=options.currency,
            language=options.language,
            administrator=OPERATOR,
            password=PASSWORD,
            printer=f"tcp://127.0.0.1:{self.printer.port}",
            port=port,
            mode=options.mode,
            decimals=options.decimals,
            cash_step_minor=options.cash_step_minor,
            clock=clock,
        )
        try:
            await self._stock_up(server)
            places = PLACES_ES if options.language == "es" else PLACES
            for at in range(options.stations):
                await add_operator(server, self._vendor(at), "vendor", PASSWORD)
                switch = Switch(port)
                await switch.start()
                self.switches.append(switch)
                place = places[at % len(places)]
                folder = options.folder / f"station-{at + 1}"
                await pair_here(server, folder, place, ("127.0.0.1", switch.port))
            if options.screens:
                await pair_pc_here(server, options.folder / "pc-1", 1, ("127.0.0.1", port))
        finally:
            await server.stop()
        self.server = self._process("server", "server", OPERATOR)
        self.stations = [
            self._process("station", f"station-{at + 1}", self._vendor(at))
            for at in range(options.stations)
        ]
        if options.screens:
            self.pc = self._process("client", "pc-1", "")
        await self.server.start()
        others = [*self.stations, *([self.pc] if self.pc else [])]
        await asyncio.gather(*(process.start() for process in others))

    async def _stock_up(self, server: ServerNode) -> None:
        """The catalogue that was given, or the sample café's with all it has."""
        door, options = LocalDoor(server), self.options
        if options.products:
            await door.call("import_catalogue", products=options.products)
            return
        products = sample.products(options.language)
        await door.call("import_catalogue", products=products, stock=sample.stock())
        for kind, fields in sample.acts(options.language):
            await server.submit(kind, fields)

    @staticmethod
    def _vendor(at: int) -> str:
        return VENDORS[at % len(VENDORS)] + ("" if at < len(VENDORS) else f" {at + 1}")

    def _process(self, role: str, name: str, operator: str) -> Process:
        folder = self.options.folder / name
        command = [*self.options.launcher, role, "--data", str(folder), "--demo-clock"]
        command.append("--no-browser" if self.options.screens else "--headless")
        return Process(name, folder, command, operator, self._tell)

    async def stop(self) -> None:
        processes = [p for p in (*self.stations, self.pc, self.server) if p is not None]
        await asyncio.gather(*(process.stop() for process in processes))
        for switch in self.switches:
            await switch.stop()
        await self.printer.stop()

    # --- what vendors and the operator do ------------------------------------

    async def sell(self, at: int, sale: Sale, key: bytes, *, set_clock: bool) -> None:
        """A vendor sells one order at station ``at``."""
        station = self.stations[at]
        if set_clock:
            await station.call("set_clock", wall_ms=sale.at_ms)
        await station.call("do", kind="order.place", fields=sale.fields(), key=key.hex())

    async def work_the_queue(self) -> int:
        """The operator collects what waits and looks after the printer; how much there was to
        do."""
        assert self.server is not None
        done = 0
        for order in await self.server.call("show", table="queue"):
            key = hashlib.sha256(b"collect" + order["id"].encode()).digest()[:16]
            fields = {"order": order["id"]}
            with contextlib.suppress(Refused):
                await self.server.call("do", kind="order.collect", fields=fields, key=key.hex())
            done += 1
        unknown = await self.server.call("show", table="prints", where={"state": "unknown"})
        for job in unknown:
            await self._look_at_the_paper(job)
        return done + len(unknown)

    async def _look_at_the_paper(self, job: dict[str, Any]) -> None:
        """Nobody but a person knows whether an unknown ticket came out: the operator looks."""
        assert self.server is not None
        await asyncio.sleep(0.1)  # what the printer has, it prints
        there = job["id"] in self.jobs_on_paper()
        kind = "print.settle" if there else "ticket.reprint"
        with contextlib.suppress(Refused):
            await self.server.call("do", kind=kind, fields={"job": job["id"]})

    def jobs_on_paper(self, *, copies: bool = True) -> Counter[str]:
        """How often each ticket and Z stands on the roll, by its number there."""
        found: Counter[str] = Counter()
        for paper in self.printer.papers:
            text = paper.text
            if not copies and re.search(r"^\* (COPY|COPIA) \*$", text, re.M):
                continue
            for pattern, name in ((r"^Ticket (\d+) ", "t"), (r"^.* Z (\d+)$", "z")):
                if match := re.search(pattern, text, re.M):
                    found[f"{name}-{match[1]}"] += 1
        return found

    async def settled(self) -> bool:
        """True once everything sold is at the server, printed, and seen by every station."""
        assert self.server is not None
        for station in self.stations:
            status = await station.call("status")
            if status["pending"] or not status["online"]:
                return False
        if await self.work_the_queue():
            return False
        return all(
            row["state"] == "printed" for row in await self.server.call("show", table="prints")
        )


Progress = Callable[[int, int], None]


@dataclass
class Plan:
    """What a headless demo sells and when its network is cut."""

    sales: list[Sale]
    outage: Callable[[int, Sale], bool]
    """Whether this sale (with its place in the day) happens while the network is cut."""
    outage_s: float = 0.0
    """At least so long in real seconds."""
    virtual_time: bool = False


async def run_headless(demo: Demo, plan: Plan, progress: Progress) -> dict[str, Any]:
    """Sell the plan's orders from all stations through the outage; collect, print, close; the
    report."""
    began = time.perf_counter()
    try:
        await demo.start()
        report = await _day(demo, plan, progress)
    finally:
        await demo.stop()
    report["seconds"] = round(time.perf_counter() - began, 3)
    return report


async def _day(demo: Demo, plan: Plan, progress: Progress) -> dict[str, Any]:
    keys: list[bytes] = [secrets.token_bytes(16) for _ in plan.sales]
    sold = 0

    async def vendor(at: int, part: list[int]) -> None:
        nonlocal sold
        for number in part:
            await demo.sell(at, plan.sales[number], keys[number], set_clock=plan.virtual_time)
            sold += 1
            progress(sold, len(plan.sales))

    async def operator() -> None:
        assert demo.server is not None
        while True:
            if plan.virtual_time and sold:
                await demo.server.call("set_clock", wall_ms=plan.sales[sold - 1].at_ms)
            with contextlib.suppress(Disconnected):
                await demo.work_the_queue()
            await asyncio.sleep(0.05)

    desk = asyncio.create_task(operator())
    queued_offline = 0
    try:
        for cut, part in _phases(plan):
            before = time.monotonic()
            if cut:
                await _set_network(demo, joined=False)
                queued_offline -= await _unsent(demo)  # what the cut caught on its way
            shares = [part[at :: len(demo.stations)] for at in range(len(demo.stations))]
            await asyncio.gather(*(vendor(at, share) for at, share in enumerate(shares)))
            if cut:
                await asyncio.sleep(max(0.0, plan.outage_s - (time.monotonic() - before)))
                queued_offline += await _unsent(demo)
                await _set_network(demo, joined=True)
    finally:
        desk.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await desk
    await _until(demo.settled)
    report = await _close(demo, plan)
    return {
        "orders": len(plan.sales),
        "queued_offline": queued_offline,
        **report,
        **(await _count(demo, keys)),
    }


def _phases(plan: Plan) -> list[tuple[bool, list[int]]]:
    phases: list[tuple[bool, list[int]]] = []
    for number, sale in enumerate(plan.sales):
        cut = plan.outage(number, sale)
        if not phases or phases[-1][0] != cut:
            phases.append((cut, []))
        phases[-1][1].append(number)
    return phases


async def _set_network(demo: Demo, *, joined: bool) -> None:
    for switch in demo.switches:
        if joined:
            switch.join()
        else:
            switch.cut()
    for station in demo.stations:
        if joined:
            await station.call("hurry")
        await _until(lambda station=station: _is_online(station, joined))  # type: ignore[misc]


async def _unsent(demo: Demo) -> int:
    return sum([(await station.call("status"))["unsent_orders"] for station in demo.stations])


async def _is_online(station: Process, joined: bool) -> bool:
    return bool((await station.call("status"))["online"]) == joined


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the café did not come to rest")
        await asyncio.sleep(0.05)


async def _close(demo: Demo, plan: Plan) -> dict[str, Any]:
    server = demo.server
    assert server is not None
    if plan.virtual_time:
        await server.call("set_clock", wall_ms=plan.sales[-1].at_ms + 60_000)
    opened = (await server.call("show", table="box"))[0]
    key = secrets.token_bytes(16)
    await server.call("do", kind="box.close", fields={}, key=key.hex())
    await _until(demo.settled)
    closed = (await server.call("show", table="boxes", where={"number": str(opened["number"])}))[0]
    operators = {row["id"]: row["name"] for row in await server.call("show", table="operators")}
    z = closed["z"]
    digests: dict[str, str] = {}

    async def agree() -> bool:
        digests.clear()
        cursors = set()
        for process in (server, *demo.stations):
            try:
                answer = await process.call("digest")
            except Refused:
                return False
            digests[process.name] = answer["digest"]
            cursors.add(answer["cursor"])
        return len(cursors) == 1

    await _until(agree)
    return {
        "box": {
            "number": z["number"],
            "total_minor": z["total_minor"],
            "by_vendor": {operators[who]: total for who, total in z["by_vendor"].items()},
        },
        "digests": digests,
        "log_head": (await server.call("status"))["head"],
        "folders": {p.name: str(p.folder) for p in (server, *demo.stations)},
    }


async def _count(demo: Demo, keys: list[bytes]) -> dict[str, Any]:
    assert demo.server is not None
    orders = await demo.server.call("show", table="orders")
    states = Counter(order["state"] for order in orders)
    ids = Counter(order["id"] for order in orders)
    wanted = {key.hex() for key in keys}
    on_paper = demo.jobs_on_paper()
    originals = demo.jobs_on_paper(copies=False)
    tickets = [f"t-{order['ticket']}" for order in orders if order["state"] == "collected"]
    return {
        "collected": states["collected"],
        "denied": states["denied"],
        "set_aside": states["set_aside"],
        "printed": sum(1 for ticket in tickets if on_paper[ticket]),
        "lost": len(wanted - set(ids)),
        "duplicated": len(set(ids) - wanted)
        + sum(times - 1 for job, times in originals.items() if times > 1)
        + (len(tickets) - len(set(tickets))),
    }
