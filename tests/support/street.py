"""A café's server and several stations in virtual time: the real cores and rules, no sockets, no files.

Each station's cable is cut and joined by whoever drives it; what was on its way is lost then.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from node.cafe import orders
from node.cafe.house import KINDS, Cafe
from node.cafe.kinds import body_of, read_command
from sync.archive import Archive
from sync.errors import SyncError
from sync.hub import Hub
from sync.identity import Ed25519Signer, verify_ed25519
from sync.log import Log
from sync.messages import Entries, decode, encode
from sync.op import Head
from sync.protocol import (
    Act,
    Alarm,
    Closed,
    Commit,
    Committed,
    Done,
    Drop,
    Effect,
    Event,
    Flush,
    Kept,
    NodeKeys,
    Now,
    Opened,
    Receipt,
    Received,
    Send,
    Serve,
    Served,
    SignIn,
    SyncKept,
)
from sync.replica import Replica
from sync.view import View
from tests.support.disks import SimDisk

CAFE = b"c" * 16
NEVER = 1 << 62


class Street:
    """One server, and stations by number from 1; ``people`` are (name, role), the first of them the
    administrator at the desk, then one vendor a station."""

    def __init__(
        self, stations: int, start_ms: int, theirs: Cafe | None = None, **settings: Any
    ) -> None:
        """``theirs`` are the rules that stations go by, if not the café's."""
        self._theirs = theirs or Cafe()
        self.chance = random.Random(1)
        self.domain = Cafe()
        self.now = Now(start_ms, 1_000)
        self._server_key = Ed25519Signer(b"s" * 32)
        keys = NodeKeys(CAFE, self._server_key, b"S" * 32, b"serverid")
        self.log = Log(SimDisk(self.chance), "canon", CAFE, keys.node)
        self.archive = Archive(self.log)
        bytes_ = self.chance.randbytes
        self.hub = Hub(keys, View(self.domain), self.domain, verify_ed25519, bytes_)
        self.alarms: list[str] = []
        self._results: list[Receipt | SyncError] = []
        self._work: deque[tuple[Hub | Replica, Effect]] = deque()
        self._mail: deque[tuple[int, bool, bytes]] = deque()
        """(station, whether it goes to the server, message)."""
        self.replicas: dict[int, Replica] = {}
        self.joined: set[int] = set()
        self._do(self.hub, self.hub.open(self.now))
        self._people: dict[str, bytes] = {}
        self.desk("cafe.create", name="Street", currency="EUR", language="en",
                  cafe_key="00" * 32, remote_pos=True, printing=True, **settings)  # fmt: skip
        self.add("Ada", "administrator")
        for number in range(1, stations + 1):
            self.add(f"Vendor {number}", "vendor")
            self._pair(number)

    # --- people and nodes ----------------------------------------------------

    def _signer(self, name: str) -> Ed25519Signer:
        return Ed25519Signer(name.encode().ljust(32, b"."))

    def add(self, name: str, role: str) -> None:
        public = self._signer(name).public.hex()
        self.desk("operator.add", name=name, role=role, public_key=public, sealed_key="00")
        rows = self.hub.view.table("operators").scan()
        self._people[name] = next(bytes.fromhex(i) for i, row in rows if row["name"] == name)
        if role == "administrator":
            self.give(self.hub, SignIn(self._people[name], self._signer(name), NEVER))

    def _pair(self, number: int) -> None:
        key = Ed25519Signer(bytes([number]) * 32)
        body = {"name": f"Place {number}", "public_key": key.public.hex(), "certificate": "00"}
        self.desk("station.enrol", **body)
        keys = NodeKeys(CAFE, key, bytes([number]) * 32, bytes([number]) * 8)
        replica = self.replicas[number] = Replica(
            keys,
            self._server_key.public,
            View(self._theirs),
            self._theirs,
            verify_ed25519,
            self.chance.randbytes,
        )
        self.join(number)
        name = f"Vendor {number}"
        self.give(replica, SignIn(self._people[name], self._signer(name), NEVER))
        self.run()

    # --- what is driven ------------------------------------------------------

    def at(self, wall_ms: int) -> None:
        """Time goes on to this instant; it never goes back."""
        on = max(0, wall_ms - self.now.wall_ms)
        self.now = Now(self.now.wall_ms + on, self.now.mono_ms + on)

    def join(self, number: int) -> None:
        """The cable of a station is in; everything that waited comes through."""
        if number in self.joined:
            return
        self.joined.add(number)
        station = self.replicas[number]
        self.give(self.hub, Opened(number, station.keys.node, bytes([number]) * 32))
        self.give(station, Opened(number, self.hub.keys.node, b"S" * 32))
        self.run()

    def cut(self, number: int) -> None:
        """It is out; what was under way is lost."""
        if number in self.joined:
            self.joined.remove(number)
            self._mail = deque(one for one in self._mail if one[0] != number)
            self.give(self.hub, Closed(number))
            self.give(self.replicas[number], Closed(number))

    def desk(self, kind: str, **body: Any) -> Receipt:
        """An act of the administrator, or before there is one of the server itself."""
        return self._act(self.hub, kind, body, self._people.get("Ada"), "")

    def edit(self, number: int, kind: str, **body: Any) -> Receipt:
        """An act of a station's vendor."""
        who = self._people[f"Vendor {number}"]
        return self._act(self.replicas[number], kind, body, who, "")

    def sell(self, number: int, lines: list[dict[str, Any]], **more: Any) -> Receipt:
        """An order of a station's vendor, or at 0 of the desk; raises what refuses it."""
        body = {"lines": lines, **more}
        if not number:
            return self._act(self.hub, "order.place", body, self._people["Ada"], "")
        station = self.replicas[number]
        who = self._people[f"Vendor {number}"]
        return self._act(station, "order.place", body, who, station.keys.node.hex())

    def _act(
        self, core: Hub | Replica, kind: str, body: Any, who: bytes | None, station: str
    ) -> Receipt:
        known = KINDS[kind]
        command = read_command(known, body)
        if isinstance(command, orders.PlaceOrder):
            command = orders.fill(core.view, command, station, core.view.cursor)
        key = self.chance.randbytes(16)
        self.give(core, Act(kind, kind, known.version, body_of(command), key, who))
        self.run()
        result = self._results[-1]
        if isinstance(result, SyncError):
            raise result
        return result

    # --- how it runs ---------------------------------------------------------

    def give(self, core: Hub | Replica, event: Event) -> None:
        self._do(core, core.step(event, self.now))
        self._do(core, core.step(Flush(), self.now))

    def run(self) -> None:
        """Carry messages until none is left."""
        while self._mail:
            number, up, data = self._mail.popleft()
            core = self.hub if up else self.replicas[number]
            self.give(core, Received(number, decode(data)))

    def _do(self, core: Hub | Replica, effects: list[Effect]) -> None:
        mine = core is self.hub
        for effect in effects:
            match effect:
                case Send(link, message):
                    if link in self.joined:
                        self._mail.append((link, not mine, encode(message)))
                case Commit(frames):
                    if frames and mine:
                        self.log.commit(frames)
                        self.archive.add(self.hub.head.n + 1, frames)
                    self._do(core, core.step(Committed(), self.now))
                case Serve(link, after, last, reader, hash_):
                    head = Head(after, hash_)
                    while head.n < last:
                        frames, head = self.archive.run(head, reader, self.domain.public)
                        self._mail.append((link, False, encode(Entries(frames))))
                    self._do(core, core.step(Served(link, *head), self.now))
                case SyncKept():
                    self._do(core, core.step(Kept(), self.now))
                case Done(_, result):
                    self._results.append(result)
                case Drop(_, code) | Alarm(code, _):
                    self.alarms.append(code)
                case _:
                    pass
