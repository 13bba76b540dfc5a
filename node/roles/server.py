"""The server: holds the box and the printer, takes every station's ops, and is the only one to
close."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import msgspec
from msgspec.structs import replace
from tinydb import where
from websockets.asyncio.server import Server as WebsocketServer

from node import config
from node.cafe import box, customers, operators, pcs, receipts, sessions, settings
from node.cafe.house import KINDS
from node.cafe.kinds import Command, body_of, read_command
from node.cafe.money import MAX_TICKET_MINOR
from node.devices import power
from node.devices.drawer import Drawer
from node.devices.ports import Printer
from node.devices.printers import open_printer
from node.devices.spooler import Spooler
from node.pictures import copy_missing
from node.pincodes import PinCodes
from node.roles.base import Node
from node.roles.floor import Floor
from node.roles.upkeep import Upkeep
from sync import server as listener
from sync.certificates import pin, pinned_context
from sync.clock import Clock
from sync.disk import OsDisk
from sync.errors import Malformed, Refused, StorageFailed, SyncError
from sync.hub import Hub
from sync.log import Log, Position
from sync.mirror import Mirror, MirrorWriter
from sync.op import KEY_BYTES, NODE_BYTES
from sync.protocol import STATUS, Receipt
from sync.recovery import Opened
from sync.sealed import open_body

_log = logging.getLogger(__name__)
INCIDENT_EVERY_S = 60.0
HOLD_RETRY_S = 2.0
PORT_RETRY_S = 5.0
UNSENT_TOLD = 2_000
"""Orders at most that a station names when it says what it still has."""


class ServerNode(Node):
    """The node on the operator's desk."""

    role = "server"

    def __init__(
        self,
        folder: Path,
        disk: OsDisk,
        settings_: config.Config,
        keys: config.Keys,
        opened: Opened,
        clock: Clock,
        printer: Printer | None,
    ) -> None:
        super().__init__(folder, disk, settings_, keys, opened, clock)
        assert isinstance(opened.core, Hub)
        self.hub = opened.core
        self.driver.on_alarm = self._alarm
        self.driver.on_inquire = self._answer
        self.printer: Printer | None = None
        self.spooler: Spooler | None = None
        self.drawer: Drawer | None = None
        self._take_printer(printer)
        self._unsent: dict[str, list[tuple[bytes, int]]] = {}
        """Per station, (key, amount) of the orders that it said it still has."""
        self._waited = frozenset(
            str(row.doc_id)
            for row in self.tables.table("prints").search(where("state") == "waiting")
        )
        """Jobs that have waited since before this start."""
        self._overridden: set[str] = set()
        self._listener: WebsocketServer | None = None
        self._listening, self._changing_printer = asyncio.Lock(), asyncio.Lock()
        self._may_listen = False
        """Whether stations are to be let in once the remote POS is on."""
        self._look_at_door = asyncio.Event()
        """Set when the door may have to be opened or closed."""
        self.port = settings_.port
        """Where stations find it."""
        self._context = pinned_context(
            server=True,
            private_key=keys.tls_key,
            certificate=keys.certificate,
            trusted=[],
        )
        self._trusted: dict[bytes, bytes] = {}
        self._incidents: dict[str, tuple[int, asyncio.TimerHandle | None]] = {}
        self._notes: set[asyncio.Task[Any]] = set()
        self._online: frozenset[bytes] = frozenset()
        self.codes = PinCodes(keys.pin_keys, self.cafe_id)
        self.upkeep = Upkeep(self, self.do_self)
        self.floor = Floor(self)
        self.wake: Callable[[str], None] = power.wake
        self._let_in: tuple[bool, bool] = (False, False)
        """Whether stations and PCs were let in when the door was opened."""

    async def start(self) -> None:
        await super().start()
        self._trust_stations()
        self.driver.subscribe(self._changed)
        if self.spooler:
            self.spooler.start()
        self.upkeep.start()
        self.floor.start()

    async def listen(self) -> int:
        """Open the door for stations and PCs, or, while the remote POS is off and there is no PC,
        do so once there is somebody to be let in; the port. `OSError` when it is taken."""
        self._may_listen, self.port = True, _free_port(self.config.host, self.config.port)
        await self._follow_remote_pos()
        self._in_background(self._keep_door())
        return self.port

    async def _follow_remote_pos(self) -> None:
        """The door stands open only while there is somebody to be let in: stations while the remote
        POS is on, customers' PCs. Whoever may not come in any more is put out with all others, who
        come back."""
        async with self._listening:
            wanted = (settings.remote_pos(self.tables), bool(pcs.trusted(self.tables)))
            on = self._may_listen and any(wanted)
            if self._listener is not None and (not on or (self._let_in[0] and not wanted[0])):
                closing, self._listener = self._listener, None
                await listener.close(closing)
            self._let_in = wanted
            if on and self._listener is None:
                self._listener = await listener.listen(
                    self.driver, self._context, self._node_of_pin, self.config.host, self.port
                )
                self.port = listener.port_of(self._listener)

    async def stop(self) -> None:
        self._may_listen = False
        await self._follow_remote_pos()
        await self._drop_printer()
        await self.upkeep.stop()
        await self.floor.stop()
        for _, timer in self._incidents.values():
            if timer is not None:
                timer.cancel()
        for task in self._notes:
            task.cancel()
        await super().stop()

    # --- the printer ---------------------------------------------------------

    def _take_printer(self, printer: Printer | None) -> None:
        self.printer = printer
        if printer is None:
            self.spooler = self.drawer = None
            return
        self.spooler = Spooler(
            self.tables,
            self.do_self,
            printer,
            may_print=self._may_print,
            finish=self._finish_ticket,
        )
        self.spooler.on_problem = lambda: self.tell(frozenset({"status"}))
        self.drawer = Drawer(self.tables, printer, clock_s(self.clock))

    async def _drop_printer(self) -> None:
        if self.spooler:
            await self.spooler.stop()
        if self.drawer:
            await self.drawer.stop()

    async def set_printer(self, address: str) -> None:
        """Print at another address from now on, or nowhere if it is empty; it stands in the
        node's own settings. `Refused` ``bad-printer``."""
        printer = None
        if address:
            try:
                printer = open_printer(address)
            except ValueError as error:
                raise Refused("bad-printer", what=str(error)) from None
        async with self._changing_printer:
            try:
                config.save(self.folder, dataclasses.replace(self.config, printer=address or None))
            except OSError as error:
                raise StorageFailed(str(error)) from error
            self.config.printer = address or None
            await self._drop_printer()
            self._take_printer(printer)
            if self.spooler:
                self.spooler.start()
        self.tell(frozenset({STATUS}))

    # --- where its data stand a second time ----------------------------------

    @property
    def log_position(self) -> Position:
        """End of what is durable in its log."""
        return self._opened.canon.position

    @property
    def log(self) -> Log:
        """All that was ever done, for reading."""
        return self._opened.canon

    def follow(self, open_mirror: Callable[[], Mirror], mirror: Mirror | None) -> None:
        """Keep a mirror from now on; it may not be there yet."""
        self.unfollow()
        log, head = self._opened.canon, self.hub.head
        tell = lambda code: self._alarm(code, {})  # noqa: E731
        self.driver.mirror = MirrorWriter(log, open_mirror, mirror, head, tell)

    def _picture_came(self, digest: bytes) -> None:
        super()._picture_came(digest)
        if self.config.mirror:
            self._in_background(self._mirror_pictures(Path(self.config.mirror)))

    async def _mirror_pictures(self, mirror: Path) -> None:
        try:
            await asyncio.to_thread(copy_missing, self.folder, mirror)
        except OSError as error:  # they come when it is opened again
            _log.warning("pictures were not copied to the mirror: %s", error)

    def unfollow(self) -> None:
        """Keep none."""
        old, self.driver.mirror = self.driver.mirror, None
        if old is not None:
            old.close()

    # --- a server that may have been put back from an old copy ---------------

    def station_called(self, name: str) -> str:
        """Id of the station with this name or label, best of one that is trusted. `Refused`
        ``unknown-station`` if there is none, or more than one place."""
        rows = [(i, r) for i, r in self.tables.table("stations").scan() if i != self.node_id]
        found = [(i, r) for i, r in rows if name in (r["name"], r["label"])]
        found = [(i, r) for i, r in found if not r["revoked"]] or found
        if len({row["number"] for _, row in found}) != 1:
            raise Refused("unknown-station")
        return found[-1][0]

    def missing(self) -> list[str]:
        """Stations that may hold what this server has lost: they have not been seen since it
        started, and nobody has said not to wait for them."""
        unreported = {node.hex() for node in self.hub.unreported()}
        return sorted(unreported - self._overridden)

    async def submit(
        self, kind: str, fields: dict[str, Any] | Command | None = None, key: bytes | None = None
    ) -> Receipt:
        if kind == "box.close" and (missing := self.missing()):
            labels = [self.tables.table("stations").peek(station) for station in missing]
            names = ", ".join(f"{row['label']} {row['name']}" for row in labels if row)
            raise Refused("stations-missing", names=names)
        if kind in ("order.place", "order.collect") and self._has_ticket(fields):
            await self.upkeep.look_at_printer()
        if kind in ("session.start", "session.move", "pc.power"):
            body = _plain(fields)
            if body.get("action") != "wake":
                self.floor.check_online(str(body.get("pc", "")))
        receipt = await super().submit(kind, fields, key)
        if kind == "customer.create":
            try:
                await self.give_code(receipt.key.hex())
            except SyncError as error:  # the account is there; it gets its code later
                _log.info("no code yet: %s", error)
        for name, _, body in receipt.events:
            if name == "pc.told":
                self._tell_pc(body)
        if kind == "station.override":
            for _, _, body in receipt.events:
                self._overridden.add(body["station"])
            self._look_again()
        return receipt

    def _tell_pc(self, told: Mapping[str, Any]) -> None:
        """What an operator wants of a PC."""
        pc, what = told["pc"], told["what"]
        if what == "message":
            self.floor.tell(pc, told["text"])
        elif what == "unblock":
            self.floor.tries.unblock(pc)
        elif what == "wake":
            self.wake(pcs.of(self.tables, pc)["mac"])
        else:
            self.floor.power(pc, what)
        if pc:
            self.floor.answered(pc)

    async def give_code(self, customer: str, by: bytes | None = None) -> None:
        """A code with which a customer makes their first password; ``by`` an operator it is printed
        at once. `Refused`, `StorageFailed`."""
        secret = list(self.codes.new_code())
        body = {"customer": customer, "secret": secret, "printed": by is not None}
        await self.do_self("customer.code", body, by)

    async def print_code(self, customer: str) -> None:
        """A new code for who has lost theirs, on paper alone. `Refused`."""
        if not self.may("customer.password") or self.operator is None:
            raise Refused("no-permission", permission="customer.password")
        if self.printer is None:
            raise Refused("no-printer")
        await self.give_code(customer, self.operator)

    def note_attack(self) -> None:
        """PINs are being guessed in the café."""
        self._alarm("pin-guessing", {})

    async def enable(self, user: str, password: str, number: int) -> str:
        """A customer begins at a PC from the server's desk, where they type their password; the
        session, or empty where they have none yet and shall make it at that PC. `Refused`."""
        if self.operator is None:
            raise Refused("not-signed-in")
        if not self.may("session.run"):
            raise Refused("no-permission", permission="session.run")
        pc = pcs.called(self.tables, number)
        self.floor.check_online(pc)
        try:
            return await self.floor.enter(pc, user, password, self.operator)
        except Refused as refusal:
            if refusal.code != "first-password":
                raise
        await self.submit("pc.enable", {"customer": customers.find(self.tables, user), "pc": pc})
        return ""

    def _has_ticket(self, fields: dict[str, Any] | Command | None) -> bool:
        """Whether an order that is placed or collected has PIN tickets."""
        body = _plain(fields)
        order = self.tables.table("orders").peek(str(body.get("order", ""))) or body
        profiles = self.tables.table("pin_profiles")
        lines = order.get("lines")
        if not isinstance(lines, list | tuple):  # whatever was sent: it is refused when it is read
            return False
        found = [line for line in lines if isinstance(line, dict)]
        known = [profiles.peek(str(line.get("sku", ""))) for line in found]
        return any(row is not None and row["form"] == "ticket" for row in known)

    def _may_print(self, job: str, row: Mapping[str, Any]) -> bool:
        older = row["older"] or job in self._waited
        return not older or not (self.hub.restored or self.missing())

    def _look_again(self) -> None:
        """Somebody has reported or was overridden: what was held back may be printed now."""
        if self.spooler:
            self.spooler.wake()
        self.tell(frozenset({"status"}))

    async def _hold_prints(self) -> None:
        """It was: whatever was to be printed before may be on paper."""
        for row in self.tables.table("prints").search(where("state") == "waiting"):
            if row["older"] or str(row.doc_id) in self._waited:
                await self._hold(str(row.doc_id))

    async def _hold(self, job: str) -> None:
        """It must get into the log before the next start, however late the disk allows it."""
        while True:
            try:
                await self.do_self("print.hold", {"job": job})
            except StorageFailed:
                await asyncio.sleep(HOLD_RETRY_S)
            except Refused:  # it has moved meanwhile
                return
            else:
                return

    # --- stations ------------------------------------------------------------

    def _changed(self, names: frozenset[str]) -> None:
        if not names.isdisjoint(("stations", "pcs")):
            self._trust_stations()
        if not names.isdisjoint(("settings", "pcs")):
            self._look_at_door.set()
        if self.spooler and not names.isdisjoint(("prints", STATUS)):
            self.spooler.wake()
        if self.drawer and "counters" in names:
            self.drawer.look()

    async def _keep_door(self) -> None:
        """Follow the remote POS; as long as somebody else has the port, try again and again."""
        while True:
            await self._look_at_door.wait()
            self._look_at_door.clear()
            try:
                await self._follow_remote_pos()
            except OSError as error:
                _log.error("stations cannot be let in: %s", error)
                self._alarm("port-taken", {"what": str(self.port)})
                asyncio.get_running_loop().call_later(PORT_RETRY_S, self._look_at_door.set)
            else:
                self._no_longer("port-taken")

    def _trust_stations(self) -> None:
        for row in (*self.tables.table("stations"), *self.tables.table("pcs")):
            certificate = bytes.fromhex(row["certificate"])
            if pin(certificate) not in self._trusted:
                try:
                    self._context.trust(certificate)
                except (ssl.SSLError, ValueError) as error:
                    _log.error("%s has no proper certificate: %s", row["name"], error)
                    continue
            self._trusted[pin(certificate)] = bytes.fromhex(str(row.doc_id))

    def _node_of_pin(self, fingerprint: bytes) -> bytes | None:
        """Whose certificate it is. One that was revoked may still leave what it had to say: the
        engine keeps that as refused, and tells it nothing. Stations come in only while the remote
        POS is on."""
        node = self._trusted.get(fingerprint)
        if node is None or settings.remote_pos(self.tables):
            return node
        return node if self.tables.table("pcs").peek(node.hex()) is not None else None

    async def _answer(self, peer: bytes, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Questions of a node that signed on, and is still one of ours."""
        if self.tables.table("pcs").peek(peer.hex()) is not None:
            return await self.floor.answer(peer.hex(), kind, body)
        row = self.tables.table("stations").peek(peer.hex())
        if row is None or row["revoked"]:
            raise Refused("unknown-station")
        if kind == "operator.keys":
            return {"keys": self._keys_for_stations()}
        if kind == "station.unsent":
            self._unsent[peer.hex()] = _read_unsent(body)
            return {}
        raise Refused("unknown-question", kind=kind)

    def _keys_for_stations(self) -> dict[str, Any]:
        """Wrapped keys of the operators who may sell at a station."""
        keys: dict[str, Any] = {}
        for row in self.tables.table("operators"):
            if not operators.may(row, "order.place"):
                continue
            try:
                keys[str(row.doc_id)] = self._wrapped_key(str(row.doc_id), row)
            except Malformed as error:  # one that cannot be opened keeps nobody else out
                _log.error("the key of %s cannot be opened: %s", row["name"], error)
        return keys

    def _wrapped_key(self, operator: str, row: Any) -> dict[str, Any]:
        sealed = bytes.fromhex(row["sealed_key"])
        try:
            wrapped = msgpack.unpackb(open_body(self.keys.cafe_key, self.cafe_id, sealed))
        except (ValueError, msgpack.exceptions.UnpackException) as error:
            raise Malformed("bad-key", str(error)) from None
        if not isinstance(wrapped, dict):
            raise Malformed("bad-key", "no wrapped key")
        return wrapped

    # --- the box -------------------------------------------------------------

    def _fill(self, command: Command) -> Command:
        command = super()._fill(command)
        if isinstance(command, box.CloseBox):
            return replace(command, stations=tuple(self.stations_now()))
        measured = (sessions.PauseSession, sessions.MoveSession, sessions.AddTime)
        if isinstance(command, (*measured, sessions.EndSession)):
            seconds, flags = self.floor.measured(command.session)
            command = replace(command, seconds=seconds)
            if isinstance(command, sessions.EndSession):
                command = replace(command, flags=flags)
        return command

    def stations_now(self) -> Iterator[box.StationSeen]:
        """How each station stands: what the Z says of it."""
        heads: Counter[str] = Counter()
        for chain, head in self.tables.chains.items():
            heads[chain[:NODE_BYTES].hex()] += head.n
        for station, row in self.tables.table("stations").scan():
            if row["revoked"]:
                continue
            left = [
                amount
                for key, amount in self._unsent.get(station, ())
                if key not in self.tables.keys
            ]
            yield box.StationSeen(
                station=station,
                seen_ms=self.hub.last_seen_ms.get(bytes.fromhex(station), 0),
                head=heads[station],
                unsent=len(left),
                unsent_minor=sum(left),
            )

    def _finish_ticket(self, ticket: dict[str, Any]) -> dict[str, Any]:
        """What the log does not hold: the café's logo, and the server's own signature of a sale,
        which anybody can check with its public key."""
        logo = self.picture(settings.cafe(self.tables).get("logo", ""))
        if logo is not None:
            ticket = {**ticket, "picture": logo}
        if ticket["what"] == "code":
            return {**ticket, "code_text": self._in_clear(ticket["code_text"])}
        customer = ticket.get("customer") or {}
        if "code_text" in customer:
            clear = self._in_clear(customer["code_text"])
            ticket = {**ticket, "customer": {**customer, "code_text": clear}}
        if ticket["what"] == "pin":
            return {**ticket, "pin": self.codes.open(ticket["text"])}
        if ticket["what"] == "ticket":
            text = receipts.code_text(self.cafe_id, ticket)
            code = receipts.write_code(text, self.keys.signer.sign(text))
            return {**ticket, "code": code}
        return ticket

    def _in_clear(self, text: str) -> str:
        """A customer's code in clear, on its way to the paper; empty if it is no more."""
        try:
            return self.codes.open(text) if text else ""
        except Malformed:
            return ""

    # --- acts of the node itself ---------------------------------------------

    async def do_self(self, kind: str, body: dict[str, Any], by: bytes | None = None) -> Any:
        """An act of the server itself, or ``by`` an operator for whom it does it."""
        body = body_of(read_command(KINDS[kind], body))
        return await self.driver.act(kind, KINDS[kind].version, body, by)

    def _alarm(self, code: str, details: dict[str, Any]) -> None:
        """Note what happened at the door, at most once a minute a kind, with how often it did."""
        super()._alarm(code, details)
        if code == "mirror-back":
            self._no_longer("mirror-lost")
        if code == "recovering":
            self._in_background(self._hold_prints())
        count, timer = self._incidents.get(code, (0, None))
        if timer is not None:
            self._incidents[code] = (count + 1, timer)
            return
        loop = asyncio.get_running_loop()
        node = details.get("node", b"")
        what = str(details.get("what", ""))[:80]
        self._note(code, node.hex() if isinstance(node, bytes) else "", what, 1)
        timer = loop.call_later(INCIDENT_EVERY_S, self._more_incidents, code)
        self._incidents[code] = (0, timer)

    def _no_longer(self, code: str) -> None:
        """What a person was told is not so any more."""
        gone = [notice for notice in self.notices if notice["code"] == f"alarm-{code}"]
        for notice in gone:
            self.notices.remove(notice)
        if gone:
            self.tell(frozenset({STATUS}))

    def _more_incidents(self, code: str) -> None:
        count, _ = self._incidents.pop(code)
        if count:
            self._note(code, "", "", count)

    def _note(self, code: str, node: str, what: str, count: int) -> None:
        if code in ("disk", "peer-left"):
            return  # a disk that is full cannot note it; a goodbye is no incident
        body = {"code": code, "node": node, "what": what or None, "count": count}

        async def write() -> None:
            try:
                await self.do_self(
                    "incident.note", {name: v for name, v in body.items() if v is not None}
                )
            except SyncError as error:
                _log.warning("could not note %s: %s", code, error)

        self._in_background(write())

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    # --- how it is -----------------------------------------------------------

    def status(self) -> dict[str, Any]:
        opened = box.running(self.tables)
        online = {node.hex() for node in self.hub.online()}
        stations = [
            {
                "station": str(row.doc_id),
                "label": row["label"],
                "name": row["name"],
                "online": str(row.doc_id) in online,
            }
            for row in self.tables.table("stations")
        ]
        return {
            **super().status(),
            "head": self.hub.head.hash.hex(),
            "box": opened,
            "stations": stations,
            "missing": self.missing(),
            "restored": self.hub.restored,
            "mirror": self.driver.mirror.state if self.driver.mirror else "none",
            "printer": "none" if self.spooler is None else self.spooler.problem,
        }


def _free_port(host: str, port: int) -> int:
    """This port, or with 0 any, if nobody has it now: it is told before the door opens at it.
    `OSError`."""
    try:
        with socket.create_server((host, port)) as found:
            return int(found.getsockname()[1])
    except OverflowError:
        raise OSError(f"{port} is no port") from None


def clock_s(clock: Clock) -> Callable[[], float]:
    """Seconds on a clock that nobody sets."""
    return lambda: clock.mono_ms() / 1000


def _read_unsent(body: dict[str, Any]) -> list[tuple[bytes, int]]:
    """What a station says it still has; `Refused` for what is no such list."""
    found = body.get("orders")
    if type(found) is not list or len(found) > UNSENT_TOLD:
        raise Refused("bad-field", what="orders")
    for one in found:
        if type(one) is not list or len(one) != 2:
            raise Refused("bad-field", what="orders")
        key, amount = one
        if type(key) is not bytes or len(key) != KEY_BYTES or type(amount) is not int:
            raise Refused("bad-field", what="orders")
        if not 0 <= amount <= MAX_TICKET_MINOR:
            raise Refused("bad-field", what="orders")
    return [(key, amount) for key, amount in found]


def _plain(fields: dict[str, Any] | Command | None) -> dict[str, Any]:
    """What is submitted, as plain values; nobody has read it yet."""
    return dict(msgspec.to_builtins(fields)) if isinstance(fields, Command) else fields or {}
