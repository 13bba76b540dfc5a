"""A station: a vendor's remote POS. It never stops selling, and never loses an order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from pathlib import Path
from typing import Any

import msgpack
from msgspec.structs import replace

from node import config
from node.cafe import orders, pins
from node.cafe.house import KINDS
from node.cafe.kinds import Command
from node.roles.base import Node, client_of
from sync.clock import Clock
from sync.disk import OsDisk
from sync.errors import Refused, SyncError
from sync.op import Op
from sync.recovery import Opened
from sync.replica import Replica

_log = logging.getLogger(__name__)
KEYS_FILE = "operators.keys"
CONTACT_FILE = "contact"
CONTACT_EVERY_MS = 60_000
UNSENT_TOLD = 2_000
"""Orders at most that are named when the server is told what is still here."""
WATCH_S = 0.25
ANSWER_S = 5.0
RETRY_S = 1.0


class StationNode(Node):
    """A node that was paired with a server."""

    role = "station"

    def __init__(
        self,
        folder: Path,
        disk: OsDisk,
        settings: config.Config,
        keys: config.Keys,
        opened: Opened,
        clock: Clock,
    ) -> None:
        super().__init__(folder, disk, settings, keys, opened, clock)
        assert isinstance(opened.core, Replica)
        self.replica = opened.core
        self.client = client_of(self)
        self.offline_since_ms: int | None = clock.wall_ms()
        self._watch: asyncio.Task[None] | None = None
        self._last: tuple[Any, ...] = ()
        self._keys_due_s = 0.0
        """When to ask for operators' keys, on the loop's clock."""
        self._seen_ms = self._last_contact_ms()
        """When the server was heard last, on this machine's monotonic clock; below 0 if that was
        before this start."""
        self._contact_due_ms = 0
        self._returning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await super().start()
        self.driver.subscribe(self._watch_operators)
        self.driver.subscribe(self._watch_recall)
        self._watch_recall(frozenset({"recalls"}))
        self.client.start()
        self._watch = asyncio.get_running_loop().create_task(self._follow_link())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            # Whatever the watch ended with must not keep the logs from being closed.
            await asyncio.gather(self._watch, return_exceptions=True)
        await self.client.stop()
        await super().stop()

    def _station_id(self) -> str:
        return self.node_id

    # --- the link ------------------------------------------------------------

    @property
    def online(self) -> bool:
        return self.replica.signed_on

    @property
    def unseen_s(self) -> int:
        """Seconds since the server was heard last; 0 only while it is."""
        return 0 if self.online else max(1, (self.clock.mono_ms() - self._seen_ms) // 1000)

    @property
    def hears_server(self) -> bool:
        return self.online

    def _last_contact_ms(self) -> int:
        """By the file of the run before, and the wall clock: a monotonic one ends with its boot."""
        try:
            wall_ms = int((self.folder / CONTACT_FILE).read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return self.clock.mono_ms()  # it was paired just now
        return self.clock.mono_ms() - max(0, self.clock.wall_ms() - wall_ms)

    def _note_contact(self) -> None:
        """The server is there: write it down once a minute, and when it goes."""
        now_ms = self._seen_ms = self.clock.mono_ms()
        if now_ms >= self._contact_due_ms:
            self._contact_due_ms = now_ms + CONTACT_EVERY_MS
            with contextlib.suppress(OSError):  # a full disk: the one of before will do
                text = str(self.clock.wall_ms())
                config.write_private(self.folder / CONTACT_FILE, text.encode())

    def _fill(self, command: Command) -> Command:
        if isinstance(command, orders.PlaceOrder):
            command = replace(command, unseen_s=self.unseen_s)
        return super()._fill(command)

    @property
    def unsent_orders(self) -> int:
        """Orders that the server is not known to have."""
        return len(self.unsent_ops())

    def unsent_ops(self) -> list[Op]:
        """Ops of those."""
        unsent = list(self.replica.pending)[len(self.replica.pending) - self.replica.unsent :]
        return [waiting.op for waiting in unsent if waiting.op.kind == "order.place"]

    async def _follow_link(self) -> None:
        """Tell screens when the link comes and goes; fetch operators' keys whenever it comes, and
        whenever there is news of an operator."""
        pause_s = RETRY_S
        while True:
            online = self.online
            if online:
                self._note_contact()
            if online and self.offline_since_ms is not None:
                self.offline_since_ms, self._keys_due_s = None, 0.0
                await self._tell_unsent()
            elif not online and self.offline_since_ms is None:
                self.offline_since_ms = self.clock.wall_ms()
                self._contact_due_ms = 0
            now_s = asyncio.get_running_loop().time()
            if online and now_s >= self._keys_due_s:
                self._keys_due_s = math.inf
                try:
                    await self._fetch_keys()
                    pause_s = RETRY_S
                except Exception as error:  # a full disk, a refusal: the watch goes on
                    _log.info("operators' keys did not come: %r", error)
                    self._keys_due_s = min(self._keys_due_s, now_s + pause_s)
                    pause_s = min(60.0, pause_s * 2)
            now = (online, self.replica.unsent, self.client.problem)
            if now != self._last:
                self._last = now
                self.tell(frozenset({"status"}))
            await asyncio.sleep(WATCH_S)

    def _watch_operators(self, names: frozenset[str]) -> None:
        if "operators" in names:
            self._keys_due_s = 0.0

    async def _tell_unsent(self) -> None:
        """Say what is still here, so that a Z can name it if the link goes again before it is
        sent."""
        ops = self.unsent_ops()[:UNSENT_TOLD]
        unsent = [[op.key, op.body.get("total_minor", 0)] for op in ops]
        if unsent:
            with contextlib.suppress(SyncError, TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await self.driver.ask("station.unsent", {"orders": unsent})

    async def _fetch_keys(self) -> None:
        """Wrapped keys of the operators who may sign in here; kept for the days without a
        network."""
        async with asyncio.timeout(ANSWER_S):
            answer = await self.driver.ask("operator.keys", {})
        config.write_private(self.folder / KEYS_FILE, msgpack.packb(answer["keys"]))

    def keep_wrapped(self, operator: str, wrapped: dict[str, Any]) -> None:
        keys = self._kept_keys()
        config.write_private(self.folder / KEYS_FILE, msgpack.packb({**keys, operator: wrapped}))

    def _kept_keys(self) -> dict[str, Any]:
        try:
            keys: dict[str, Any] = msgpack.unpackb((self.folder / KEYS_FILE).read_bytes())
        except FileNotFoundError:
            return {}
        return keys

    def _wrapped_key(self, operator: str, row: Any) -> dict[str, Any]:
        keys = self._kept_keys()
        if operator not in keys:
            raise Refused("no-keys", name=row["name"])
        wrapped: dict[str, Any] = keys[operator]
        return wrapped

    # --- cards ---------------------------------------------------------------

    async def return_cards(self, serials: list[int]) -> None:
        """Give cards back to the server; `Refused` ``not-yours``, ``promised``."""
        for at in range(0, len(serials), pins.MOST_SERIALS):
            body = {"serials": serials[at : at + pins.MOST_SERIALS]}
            await self.driver.act("pin.return", KINDS["pin.return"].version, body, self.operator)

    def _watch_recall(self, names: frozenset[str]) -> None:
        """The server wants its cards back: it gets those that nobody was promised."""
        if "recalls" in names and self.tables.table("recalls").peek(self.node_id) is not None:
            shelves = self.tables.table("shelves").scan()
            serials = [
                serial
                for _, row in shelves
                if row["holder"] == self.node_id
                for serial in pins.lowest(row["ranges"], pins.size(row["ranges"]))
            ]
            if serials:
                self._returning = asyncio.get_running_loop().create_task(self._give_back(serials))

    async def _give_back(self, serials: list[int]) -> None:
        try:
            await self.return_cards(serials)
        except SyncError as error:  # sold meanwhile, or a full disk: once more at the next start
            _log.info("cards were not given back: %s", error)

    # --- how it is -----------------------------------------------------------

    def status(self) -> dict[str, Any]:
        row = self.tables.table("stations").peek(self.node_id)
        return {
            **super().status(),
            "online": self.online,
            "offline_since_ms": self.offline_since_ms,
            "unsent": self.replica.unsent,
            "unsent_orders": self.unsent_orders,
            "pending": len(self.replica.pending),
            "problem": self.client.problem,
            "skew_ms": self.replica.skew_ms,
            "label": row["label"] if row else "",
            "name": row["name"] if row else "",
        }
