"""The way into a running node for this machine's command line: JSON lines on loopback, with a
token.

The token stands in a file that only the owner of the data folder can read, so who may read the
folder may drive the node. One line in, one line out; nothing here is reachable from the network.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from node import backup, config, mirror, office, people, pincards
from node.audit import Search
from node.bootstrap import (
    add_operator,
    change_password,
    first_rate,
    reset_operator,
    switch_remote_pos_on,
)
from node.cafe import catalog, customers, pcs, records, settings
from node.cafe.catalog import MAX_PRODUCTS_AN_OP, write_csv
from node.cafe.house import KINDS
from node.cafe.kinds import read_command
from node.cafe.receipts import test_page
from node.pairing import PairingDoor
from node.roles.base import Node
from node.roles.client import ClientNode
from node.roles.server import ServerNode
from node.roles.station import StationNode
from node.shows import show
from sync.errors import Disconnected, Refused, StorageFailed, SyncError
from sync.op import KEY_BYTES

CONTROL_FILE = "control.json"
MAX_LINE = 8 << 20


class Door(Protocol):
    """A node to call, in this process or another."""

    async def call(self, method: str, **params: Any) -> Any: ...


class LocalDoor:
    """A node in this process."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._calls: dict[str, Callable[..., Awaitable[Any]]] = {
            "do": self._do,
            "show": self._show,
            "status": self._status,
            "sign_in": self._sign_in,
            "sign_out": self._sign_out,
            "digest": self._digest,
            "add_operator": self._add_operator,
            "import_catalogue": self._import_catalogue,
            "export_catalogue": self._export_catalogue,
            "report": self._report,
            "report_file": self._report_file,
            "audit": self._audit,
            "create_customer": self._create_customer,
            "edit_customer": self._edit_customer,
            "customer": self._customer,
            "tracking": self._tracking,
            "tracking_csv": self._tracking_csv,
            "export_customers": self._export_customers,
            "import_customers": self._import_customers,
            "make_pins": self._make_pins,
            "find_pins": self._find_pins,
            "look_at_pins": self._look_at_pins,
            "pin_sheet": self._pin_sheet,
            "pin_list": self._pin_list,
            "change_password": self._change_password,
            "reset_operator": self._reset_operator,
            "test_print": self._test_print,
            "set_printer": self._set_printer,
            "set_picture": self._set_picture,
            "set_clock": self._set_clock,
            "hurry": self._hurry,
            "enable": self._enable,
            "sign_in_here": self._sign_in_here,
            "pair_open": self._pair_open,
            "pair_knock": self._pair_knock,
            "pair_type": self._pair_type,
            "pair_close": self._pair_close,
            "passphrase": self._passphrase,
            "set_passphrase": self._set_passphrase,
            "backup": self._backup,
            "set_mirror": self._set_mirror,
        }
        self._pairing: PairingDoor | None = None

    async def call(self, method: str, **params: Any) -> Any:
        function = self._calls.get(method)
        if function is None:
            raise Refused("unknown-call", method=method)
        return await function(**params)

    async def _do(self, kind: str, fields: dict[str, Any], key: str = "") -> Any:
        try:
            wanted = bytes.fromhex(key) if key else None
        except ValueError:
            raise Refused("bad-field", what="key") from None
        if wanted is not None and len(wanted) != KEY_BYTES:
            raise Refused("bad-field", what="key")
        if KINDS.get(kind) is not None:
            fields = self._by_number(fields)
        receipt = await self.node.submit(kind, fields, wanted)
        return {
            "op": receipt.op_id,
            "key": receipt.key.hex(),
            "state": receipt.state,
            "seq": receipt.seq,
            "events": receipt.events,
        }

    def _by_number(self, fields: dict[str, Any]) -> dict[str, Any]:
        """A PC, or the session there, may be said by the PC's number."""
        tables, found = self.node.tables, dict(fields)
        for name in ("pc", "session"):
            number = fields.get(name)
            if type(number) is int:
                pc = pcs.called(tables, number)
                found[name] = pc if name == "pc" else pcs.of(tables, pc)["session"]
        return found

    async def _enable(self, user: str, password: str, number: int) -> Any:
        node = self._server("session.run")
        return {"session": await node.enable(user, password, number)}

    async def _sign_in_here(self, **how: str) -> Any:
        """Begin at a customers' PC from its own command line: with a password, or a PIN."""
        node = self.node
        if not isinstance(node, ClientNode):
            raise Refused("unknown-call", method="sign_in_here")
        kind = "pin" if "pin" in how else "first" if "code" in how else "sign-in"
        await node.ask(kind, **how)
        return node.status()

    async def _show(
        self, table: str, where: dict[str, str] | None = None, limit: int | None = None
    ) -> Any:
        return show(self.node, table, where or {}, limit)

    async def _status(self) -> Any:
        return self.node.status()

    async def _sign_in(self, name: str, password: str) -> Any:
        return await self.node.sign_in(name, password)

    async def _sign_out(self) -> Any:
        self.node.sign_out()
        return {}

    async def _digest(self) -> Any:
        return {"digest": self.node.digest(), "cursor": self.node.tables.cursor}

    async def _add_operator(self, name: str, role: str, password: str) -> Any:
        if not isinstance(self.node, ServerNode):
            raise Refused("server-only", kind="operator.add")
        receipt = await add_operator(self.node, name, role, password)
        return {"operator": receipt.key.hex()}

    async def _change_password(self, old: str, new: str) -> Any:
        await change_password(self.node, old, new)
        return {}

    async def _reset_operator(self, name: str, password: str) -> Any:
        if not isinstance(self.node, ServerNode):
            raise Refused("server-only", kind="operator.reset")
        await reset_operator(self.node, name, password)
        return {}

    async def _test_print(self) -> Any:
        if not isinstance(self.node, ServerNode) or self.node.printer is None:
            raise Refused("no-printer")
        delivery = await self.node.printer.print(test_page(self.node.tables))
        return {"outcome": str(delivery.outcome), "why": delivery.why}

    async def _set_picture(self, sku: str, data: str, user: str = "") -> Any:
        """The picture of a product, of a customer, or without either the café's logo; without data
        none."""
        node = self.node
        if user:
            self._permitted("customer.edit")
            customer = customers.find(node.tables, user)
            await people.set_photo(node, customer, base64.b64decode(data))
            return {"picture": customers.person(node.tables, customer)["photo"]}
        self._permitted("catalog.edit" if sku else "settings.edit")
        digest = await node.keep_picture(base64.b64decode(data)) if data else ""
        if not sku:
            await node.submit("settings.edit", {"logo": digest})
            return {"picture": digest}
        row = node.tables.table("products").row(sku)
        if row is None:
            raise Refused("unknown-product", sku=sku)
        changes = records.changes_to(row, {"picture": digest})
        if changes:
            await node.submit("product.edit", {"sku": sku, "changes": changes})
        return {"picture": digest}

    async def _set_printer(self, address: str) -> Any:
        node = self._server("settings.edit")
        await node.set_printer(address)
        if bool(settings.cafe(node.tables)["printing"]) != bool(address):
            await node.submit("settings.edit", {"printing": bool(address)})
        return {}

    def _permitted(self, permission: str) -> None:
        """`Refused` unless who is signed in here may."""
        if self.node.operator is None:
            raise Refused("not-signed-in")
        if not self.node.may(permission):
            raise Refused("no-permission", permission=permission)

    async def _export_catalogue(self) -> Any:
        self._permitted("catalog.edit")
        currency = settings.cafe(self.node.tables)["currency"]
        return {"csv": write_csv(self.node.tables, currency)}

    async def _report(self, by: str, first: str, last: str) -> Any:
        self._permitted("report.all")
        made = await office.make_report(self.node, first, last)
        return office.rows_of(self.node, made, by)

    async def _report_file(self, by: str, first: str, last: str, kind: str) -> Any:
        self._permitted("report.all")
        data = await office.report_file(self.node, by, first, last, kind)
        return {"data": base64.b64encode(data).decode()}

    async def _audit(self, limit: int, **search: Any) -> Any:
        node = self._server("audit.read")
        operator = search.pop("operator", "")
        who = office.operator_id(node, operator) if operator else ""
        return await office.find_acts(node, Search(operator=who, **search), limit)

    async def _create_customer(self, profile: str, typed: dict[str, str]) -> Any:
        return {"customer": await people.create(self.node, profile, typed)}

    async def _edit_customer(self, customer: str, typed: dict[str, str]) -> Any:
        return {"changed": await people.edit(self.node, customer, typed)}

    async def _customer(self, user: str) -> Any:
        """One customer, with what the server alone can read."""
        self._permitted("customer.read")
        tables = self.node.tables
        customer = customers.find(tables, user)
        person = customers.person(tables, customer)
        names = {name: person[name] for name in people.NAMES}
        account = tables.table("customers").row(customer) or {}
        return {"id": customer, **names, **people.contact_of(self.node, person), **account}

    async def _tracking(self, user: str, limit: int = 200) -> Any:
        self._permitted("customer.read")
        return people.tracking(self.node, customers.find(self.node.tables, user), limit)

    async def _tracking_csv(self, user: str) -> Any:
        self._permitted("customer.read")
        return {"csv": people.tracking_csv(self.node, customers.find(self.node.tables, user))}

    async def _export_customers(self) -> Any:
        return {"csv": people.export_csv(self._server("customer.edit"))}

    async def _import_customers(self, csv: str, reason: str) -> Any:
        """How many; or its bad rows, and nothing is done."""
        node = self._server("customer.balance")
        rows, bad = people.read_csv(node, csv)
        if bad:
            return {"bad": [[row.line, row.code, row.what] for row in bad]}
        return {"customers": await people.import_rows(node, rows, reason)}

    async def _make_pins(self, profile: str, count: int, stock: bool) -> Any:
        node = self._server("pin.make")
        made = await pincards.make(node, profile, count, stock=stock)
        return {"first": made[0], "last": made[-1], "live": pincards.live(node)}

    async def _find_pins(self, profile: str = "", state: str = "", serials: str = "") -> Any:
        node = self._server("pin.stock")
        known = pincards.read_serials(serials) if serials else ()
        return pincards.find(node, profile=profile, state=state, serials=known)

    async def _look_at_pins(self, serials: str) -> Any:
        node = self._server("pin.review")
        shown = await pincards.reveal(node, pincards.read_serials(serials), "look")
        return [{"serial": serial, "pin": pin} for serial, pin in shown]

    async def _pin_sheet(self, serials: str, background: str = "", **design: Any) -> Any:
        node = self._server("pin.review")
        picture = base64.b64decode(background)
        chosen = pincards.design_of(node, background=picture, **design)
        data = await pincards.sheet(node, pincards.read_serials(serials), chosen)
        return {"data": base64.b64encode(data).decode()}

    async def _pin_list(self, serials: str, kind: str) -> Any:
        node = self._server("pin.review")
        data = await pincards.list_file(node, pincards.read_serials(serials), kind)
        return {"data": base64.b64encode(data).decode()}

    async def _import_catalogue(
        self, products: list[dict[str, Any]], stock: dict[str, int] | None = None
    ) -> Any:
        """The fields of every product are checked before the first is taken."""
        known = stock or {}
        products = [catalog.whole(self.node.tables, product) for product in products]
        chunks = []
        for at in range(0, len(products), MAX_PRODUCTS_AN_OP):
            some = products[at : at + MAX_PRODUCTS_AN_OP]
            shelf = {p["sku"]: known[p["sku"]] for p in some if p["sku"] in known}
            chunks.append({"products": some, "stock": shelf})
        for chunk in chunks:
            read_command(KINDS["catalog.import"], chunk)
        for chunk in chunks:
            await self.node.submit("catalog.import", chunk)
        return {"products": len(products)}

    async def _set_clock(self, wall_ms: int) -> Any:
        """Of a demo's nodes only: the café's time is that of the tickets it sells again."""
        set_wall = getattr(self.node.clock, "set_wall_ms", None)
        if set_wall is None:
            raise Refused("unknown-call", method="set_clock")
        set_wall(wall_ms)
        return {}

    async def _pair_open(
        self, port: int, replaces: str = "", number: int = 0, rate: str = "", again: bool = False
    ) -> Any:
        """The door for a station, or with a ``number`` for a customers' PC; ``again`` lets that
        take the place of the one that has this number."""
        node = self._server("station.pair")
        replaced = node.station_called(replaces) if replaces else ""
        await self._pair_close()
        pc: dict[str, Any] | None = None
        if number:
            old = pcs.numbered(node.tables, number) if again else ""
            rate = rate or (node.tables.table("pcs").peek(old) or {"rate": ""})["rate"]
            pc = {"number": number, "rate": rate or first_rate(node), "replaces": again}
            read_command(KINDS["pc.enrol"], {**pc, "public_key": "", "certificate": ""})
        else:
            await switch_remote_pos_on(node)
        self._pairing = PairingDoor(node, replaced, pc)
        try:
            return {"port": await self._pairing.open(port)}
        except OSError:
            raise Refused("port-taken", port=port) from None

    async def _pair_knock(self) -> Any:
        if self._pairing is None:
            raise Refused("pairing-closed")
        return {"name": (await self._pairing.knock()).name}

    async def _pair_type(self, digits: str) -> Any:
        if self._pairing is None:
            raise Refused("pairing-closed")
        station = await self._pairing.type(digits)
        return {"station": station.node.hex(), "name": station.name}

    async def _pair_close(self) -> Any:
        if self._pairing is not None:
            self._pairing.close()
        return {}

    def _server(self, permission: str) -> ServerNode:
        """The node, if it is a server and who is signed in there has this permission."""
        node = self.node
        if not isinstance(node, ServerNode):
            raise Refused("server-only", kind=permission)
        self._permitted(permission)
        return node

    async def _passphrase(self) -> Any:
        return {"set": backup.has_passphrase(self._server("backup").folder)}

    async def _set_passphrase(self, passphrase: str) -> Any:
        await asyncio.to_thread(backup.set_passphrase, self._server("backup").folder, passphrase)
        return {}

    async def _backup(self, file: str) -> Any:
        if not file or "\0" in file:
            raise Refused("bad-field", what="file")
        return await backup.back_up(self._server("backup"), Path(file))

    async def _set_mirror(self, folder: str) -> Any:
        node = self._server("backup")
        if not folder:
            mirror.drop_mirror(node)
            return {"same_disk": False}
        mirror.set_mirror(node, Path(folder))
        return {"same_disk": mirror.is_same_disk(node.folder, Path(folder))}

    async def _hurry(self) -> Any:
        if isinstance(self.node, StationNode | ClientNode):
            self.node.client.hurry()
        return {}


class ControlServer:
    """Answers the command line for a running node."""

    def __init__(self, node: Node) -> None:
        self._door = LocalDoor(node)
        self._path = node.folder / CONTROL_FILE
        self._token = secrets.token_hex(16)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=MAX_LINE)
        port = self._server.sockets[0].getsockname()[1]
        values = {"port": port, "token": self._token, "pid": os.getpid()}
        config.write_private(self._path, json.dumps(values).encode())

    async def stop(self) -> None:
        self._path.unlink(missing_ok=True)
        await self._door.call("pair_close")
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = await self._answer(line)
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # asyncio would print a cancelled handler as an error at the end of the process
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not secrets.compare_digest(str(request["token"]), self._token):
                return {"error": ["refused", "bad-token", {}]}
            result = await self._door.call(request["method"], **request["params"])
            return {"result": result}
        except SyncError as error:
            return {"error": _pack_error(error)}
        except OSError as error:
            return {"error": _pack_error(StorageFailed(str(error)))}
        except (KeyError, TypeError, ValueError) as error:
            return {"error": ["refused", "bad-call", {"what": str(error)}]}


def _pack_error(error: SyncError) -> list[Any]:
    match error:
        case Refused(code=code, details=details):
            return ["refused", code, {k: v for k, v in details.items() if _is_plain(v)}]
        case StorageFailed():
            return ["storage", str(error), {}]
        case Disconnected():
            return ["disconnected", "", {}]
    return ["refused", str(error), {}]


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | bool | list | None)


def _unpack_error(kind: str, code: str, details: dict[str, Any]) -> SyncError:
    match kind:
        case "storage":
            return StorageFailed(code)
        case "disconnected":
            return Disconnected()
    return Refused(code, **details)


class NotRunning(Exception):
    """No node runs on this folder."""


class ControlClient:
    """Calls a node that runs in another process on this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._one = asyncio.Lock()

    async def connect(self) -> None:
        """Raises `NotRunning`."""
        try:
            values = json.loads((self._folder / CONTROL_FILE).read_text(encoding="utf-8"))
            self._token = values["token"]
            self._streams = await asyncio.open_connection(
                "127.0.0.1", values["port"], limit=MAX_LINE
            )
        except (OSError, ValueError, KeyError):
            raise NotRunning(str(self._folder)) from None

    async def call(self, method: str, **params: Any) -> Any:
        """The node's answer; `NotRunning` if it went away before answering."""
        async with self._one:
            if self._streams is None:
                await self.connect()
            assert self._streams is not None
            reader, writer = self._streams
            request = {"token": self._token, "method": method, "params": params}
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            except (ConnectionError, ValueError):
                line = b""
            except asyncio.CancelledError:
                await self.close()  # its answer would be taken for that of the next call
                raise
            if not line.endswith(b"\n"):  # it died in the middle of its answer
                await self.close()
                raise NotRunning(str(self._folder))
        answer = json.loads(line)
        if "error" in answer:
            raise _unpack_error(*answer["error"])
        return answer["result"]

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with contextlib.suppress(ConnectionError, OSError):
                await writer.wait_closed()
