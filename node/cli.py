"""The command line of nodes without screens. `ui.main` hands everything here that needs none.

Exit codes: 0 done, 1 refused or failed (one line on stderr says what to do), 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import gc
import getpass
import json
import locale
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import Progress as Bar

from node import config, sample
from node.backup import restore, stations_in
from node.bootstrap import create_cafe, open_folder
from node.cafe import receipts
from node.cafe.catalog import read_csv, read_stock
from node.cafe.house import KINDS, Cafe
from node.cafe.reports import DIMENSIONS
from node.cards import FONTS
from node.control import ControlClient, ControlServer, Door, LocalDoor, NotRunning
from node.demo import Demo, Options, Plan, SettableClock, run_headless
from node.devices.printers import open_printer
from node.pairing import PAIRING_PORT, join
from node.pincards import LIVE_WARNED
from node.roles.base import Node
from node.roles.client import ClientNode
from node.roles.server import ServerNode
from node.text import explain, money, say, when
from sync.disk import ReadOnlyDisk
from sync.errors import Refused, SyncError
from sync.identity import node_id, verify_ed25519
from sync.verify import Verified, verify_canon, verify_own

Serve = Callable[[Node, argparse.Namespace], Awaitable[None]]
"""Shows a node's screen until it is closed."""


class Failure(Exception):
    """Ends the command with one line and an exit code."""

    def __init__(self, line: str, code: int = 1) -> None:
        super().__init__(line)
        self.code = code


def language() -> str:
    """Language of this terminal."""
    name = os.environ.get("LC_ALL") or os.environ.get("LANG") or (locale.getlocale()[0] or "")
    return "es" if name.startswith("es") else "en"


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--data", type=Path, metavar="DIR", help="data folder of the node")
    common.add_argument("--json", action="store_true", help="one JSON document on stdout")
    common.add_argument("--verbose", action="store_true", help="say on stderr what happens")
    top = argparse.ArgumentParser(
        prog="cabina", description="An open, offline-first cybercafé manager with a remote POS."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    demo = add(
        "demo", "a whole café on this machine: server, stations, printer, and cables to pull"
    )
    demo.add_argument("--headless", action="store_true", help="sell a day without screens")
    demo.add_argument("--orders", type=_positive, default=60)
    demo.add_argument("--outage", type=float, default=0.0, metavar="S", help="seconds, at least")
    demo.add_argument("--seed", type=int, default=1)
    demo.add_argument("--mode", type=int, choices=(1, 2), default=2)
    demo.add_argument("--stations", type=_positive, default=2)
    demo.add_argument("--catalogue", type=Path, metavar="FILE")
    demo.add_argument("--tickets", type=Path, metavar="FILE")
    demo.add_argument("--day", metavar="YYYY-MM-DD")
    demo.add_argument("--outage-from", metavar="HH:MM")
    demo.add_argument("--outage-to", metavar="HH:MM")
    demo.add_argument("--language", choices=("en", "es"), default=language())
    demo.add_argument("--no-browser", action="store_true", help="only say where the screens are")

    server = add("server", "run the server of a café")
    server.add_argument("--init", action="store_true", help="make a new café first")
    server.add_argument("--name", help="name of the café")
    server.add_argument("--currency", help="ISO code, such as EUR")
    server.add_argument("--language", choices=("en", "es"))
    server.add_argument("--operator", help="name of the first administrator")
    server.add_argument("--password-stdin", action="store_true")
    server.add_argument(
        "--printer",
        help="tcp://HOST:PORT, usb://, serial://, cups://, file:// (see README), or none",
    )
    server.add_argument("--host", help="address to listen on")
    server.add_argument("--port", type=int)
    station = add("station", "run a station; --join pairs it first")
    station.add_argument("--join", metavar="HOST[:PORT]", help="pair with the server there")
    station.add_argument("--name", default="", help="what the station is called")
    client = add("client", "run a customers' PC; --join pairs it first")
    client.add_argument("--join", metavar="HOST[:PORT]", help="pair with the server there")
    client.add_argument("--name", default="", help="what the PC is called, beside its number")
    client.add_argument("--kiosk", action="store_true", help="full screen while it is locked")
    client.add_argument(
        "--vendor", type=Path, metavar="DIR", help="folder of a station on the same computer"
    )
    for role in (server, station, client):
        role.add_argument("--headless", action="store_true", help="without a screen")
        role.add_argument("--screen-port", type=int, default=0, help=argparse.SUPPRESS)
        role.add_argument("--no-browser", action="store_true", help="only say where the screen is")
        role.add_argument("--demo-clock", action="store_true", help=argparse.SUPPRESS)

    sign_in = add("sign-in", "the operator for the commands that follow")
    sign_in.add_argument("name")
    sign_in.add_argument("--password-stdin", action="store_true")
    add("sign-out", "nobody, for the commands that follow")
    pair = add("pair", "at the server: let a station in that shows six digits")
    pair.add_argument("--port", type=int, default=PAIRING_PORT, help="where stations knock")
    pair.add_argument("--replaces", default="", metavar="NAME", help="take this station's place")
    pair.add_argument("--pc", type=_positive, default=0, metavar="NUMBER", help="a customers' PC")
    pair.add_argument("--rate", default="", help="of the PC; without it the café's first")
    pair.add_argument("--again", action="store_true", help="in place of the PC of this number")
    enable = add("enable", "at the server: a customer begins at a PC; they type their password")
    enable.add_argument("user")
    enable.add_argument("number", type=_positive, help="of the PC")
    enable.add_argument("--password-stdin", action="store_true")

    add("password", "a new password for who is signed in").add_argument(
        "--password-stdin", action="store_true", help="two lines: the old one, the new one"
    )
    operator = add("operator", "add an operator, or reset a forgotten password at the server")
    operator.add_argument("action", choices=("add", "reset"))
    operator.add_argument("name")
    operator.add_argument("--role", default="vendor")
    operator.add_argument("--password-stdin", action="store_true")

    do = add(
        "do", 'submit one command: cabina do order.place lines=\'[{"sku":"COFFEE","quantity":2}]\''
    )
    do.add_argument("kind")
    do.add_argument("fields", nargs="*", metavar="FIELD=VALUE")
    do.add_argument("--key", default="", help="32 hex digits: the same key has one effect only")
    show = add("show", "rows of a table or report")
    show.add_argument("table")
    show.add_argument("--where", action="append", default=[], metavar="FIELD=VALUE")
    show.add_argument("--limit", type=_positive)
    add("kinds", "every command kind with its fields, types and permission")
    verify = add("verify", "check signatures and chains with public keys alone")
    verify.add_argument("--log", type=Path, metavar="FOLDER", help="another node's folder")
    verify.add_argument("--ticket", metavar="CODE", help="what the QR on a ticket says")
    verify.add_argument("--key", metavar="HEX", help="the server's public key, of show status")
    importer = add("import", "import a catalogue, or customers, as CSV")
    exporter = add("export", "write the catalogue, or the customers, as CSV")
    for command in (importer, exporter):
        command.add_argument("what", choices=("catalogue", "customers"))
        command.add_argument("file", type=Path)
    report = add("report", "what was sold in a period, by one of: " + ", ".join(DIMENSIONS))
    report.add_argument("by", choices=DIMENSIONS, metavar="BY")
    report.add_argument("--from", dest="first", required=True, metavar="YYYY-MM-DD")
    report.add_argument("--to", dest="last", required=True, metavar="YYYY-MM-DD")
    report.add_argument("--csv", type=Path, metavar="FILE")
    report.add_argument("--pdf", type=Path, metavar="FILE")
    customer = add("customer", "a registered customer: made, changed, looked at, tracked")
    customer.add_argument("action", choices=("add", "edit", "show", "tracking"))
    customer.add_argument("user")
    customer.add_argument("--profile", default="", help="of add")
    for name in ("user", "first", "last", "document", "email", "phone", "birth"):
        customer.add_argument(f"--{name}", dest=f"new_{name}", help="of add and edit")
    customer.add_argument("--csv", type=Path, metavar="FILE", help="of tracking")
    cards = add("pins", "at the server: PIN cards are made, found, looked at, printed")
    cards.add_argument("action", choices=("make", "find", "look", "sheet", "list"))
    cards.add_argument("what", nargs="?", default="", help="profile of make; else 501-540,550")
    cards.add_argument("--count", type=_positive, default=1)
    cards.add_argument("--stock", action="store_true", help="enter them into stock at once")
    cards.add_argument("--state", default="")
    cards.add_argument("--profile", default="")
    cards.add_argument("--file", type=Path, help="of sheet (PDF) and list (CSV or PDF)")
    cards.add_argument("--title", default="")
    cards.add_argument("--font", default="semibold", choices=tuple(FONTS))
    cards.add_argument("--colour", default="")
    cards.add_argument("--background", type=Path, help="a PNG or JPEG")
    cards.add_argument("--no-qr", action="store_true")
    audit = add("audit", "at the server: who did what, where and when, the newest first")
    audit.add_argument("--operator", default="", metavar="NAME")
    audit.add_argument("--kind", default="", help="a kind, or its beginning: order.")
    audit.add_argument("--mentions", default="", metavar="TEXT", help="stands in one of its fields")
    audit.add_argument("--limit", type=_positive, default=50)
    printer = add("printer", "at the server: print a test page, or use another printer")
    printer.add_argument("action", choices=("test", "set"))
    printer.add_argument("address", nargs="?", default="", help="of set; none for no printer")
    picture = add("picture", "a PNG or JPEG for a product, or the logo of the café's tickets")
    picture.add_argument("file", type=Path)
    picture.add_argument("--sku", default="", help="of the product; without it: the logo")
    picture.add_argument("--customer", default="", metavar="USER", help="of the customer")
    backup = add("backup", "at the server, while it runs: write all of it into one file")
    backup.add_argument("file", type=Path)
    backup.add_argument("--new-passphrase", action="store_true", help="choose another passphrase")
    restore = add("restore", "put a backup into an empty data folder")
    restore.add_argument("file", type=Path)
    for command in (backup, restore):
        command.add_argument("--passphrase-stdin", action="store_true")
    mirror = add("mirror", "at the server: keep everything on a second disk as well")
    mirror.add_argument("folder", type=Path, nargs="?", help="a folder on that disk")
    mirror.add_argument("--off", action="store_true", help="keep none")
    bench = add("bench", "measure, as ratios inside one run")
    bench.add_argument("names", nargs="*", metavar="NAME")
    bench.add_argument("--peers", type=Path, metavar="DIR", help="beside others, run in there")
    return top


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


def main(
    argv: Sequence[str] | None = None,
    *,
    serve: Serve | None = None,
    demo_screens: Callable[[argparse.Namespace], Awaitable[None]] | None = None,
    launcher: list[str] | None = None,
) -> int:
    """Run one command; the exit code. ``serve`` and ``demo_screens`` are given by those who have
    screens."""
    args = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("websockets").setLevel(logging.WARNING if args.verbose else logging.CRITICAL)
    try:
        if args.command == "bench":
            from node.benches import main as bench  # late: they bring workloads of their own
            from node.peers import compare

            collect_seldom()  # as a node runs, in each process of a bench
            if args.peers is not None:
                return compare(args.peers, as_json=args.json)
            return bench(args.names, as_json=args.json)
        return asyncio.run(_command(args, serve, demo_screens, launcher or own_launcher()))
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.code
    except config.NoNode as missing:
        print(say(language(), "error.no-node", folder=missing.folder), file=sys.stderr)
        return 1
    except SyncError as error:
        print(explain(error, language()), file=sys.stderr)
        return 2 if isinstance(error, Refused) and error.code in _ARGUMENT_CODES else 1
    except KeyboardInterrupt:
        return 130


_ARGUMENT_CODES = {
    "unknown-kind",
    "unknown-table",
    "bad-field",
    "bad-type",
    "out-of-range",
    "bad-text",
    "unknown-permission",
}


def own_launcher() -> list[str]:
    """How to start another process of this program."""
    frozen = getattr(sys, "frozen", False)
    return [sys.executable] if frozen else [sys.executable, "-m", "node.cli"]


async def _command(
    args: argparse.Namespace,
    serve: Serve | None,
    demo_screens: Callable[[argparse.Namespace], Awaitable[None]] | None,
    launcher: list[str],
) -> int:
    args.launcher = launcher
    folder: Path = args.data or config.default_folder()
    match args.command:
        case "demo":
            if args.headless or demo_screens is None:
                return await _demo(args)
            await demo_screens(args)
            return 0
        case "server" | "station" | "client":
            return await _run_node(args, folder, serve)
        case "kinds":
            _print(args, kinds(), _kinds_lines)
            return 0
        case "verify" if args.ticket:
            return _verify_ticket(args, folder)
        case "verify":
            return _verify(args, args.log or folder)
        case "restore":
            return await _restore(args, folder)
    async with _door(folder) as door:
        return await _at_door(args, folder, door)


@contextlib.asynccontextmanager
async def _door(folder: Path) -> AsyncIterator[Door]:
    """The node that runs on this folder, or else the folder itself."""
    config.load(folder)
    client = ControlClient(folder)
    try:
        await client.connect()
    except NotRunning:
        node = open_folder(folder)
        try:
            await node.start()
            yield LocalDoor(node)
        finally:
            await node.stop()
    else:
        try:
            yield client
        except NotRunning:
            raise Failure(say(language(), "error.not-running", folder=folder)) from None
        finally:
            await client.close()


async def _at_door(args: argparse.Namespace, folder: Path, door: Door) -> int:
    match args.command:
        case "do":
            fields = dict(_pair(text) for text in args.fields)
            if args.key and (len(args.key) != 32 or set(args.key) - set("0123456789abcdef")):
                raise Failure("--key: 32 hex digits", 2)
            result = await door.call("do", kind=args.kind, fields=fields, key=args.key)
            _print(args, result, lambda r: [f"{r['state']} {r['op']}"])
        case "show":
            where = dict(text.partition("=")[::2] for text in args.where)
            rows = await door.call("show", table=args.table, where=where, limit=args.limit)
            _print(args, rows, _row_lines)
        case "sign-in":
            who = await door.call("sign_in", name=args.name, password=_password(args))
            if isinstance(door, LocalDoor):
                door.node.keep_session()
            _print(args, who, lambda w: [f"{w['name']} ({w['role']})"])
        case "sign-out":
            await door.call("sign_out")
            _print(args, {}, lambda _: [])
        case "password":
            old = _secret("password", "old password", from_stdin=args.password_stdin)
            new = _secret("password", "new password", from_stdin=args.password_stdin)
            await door.call("change_password", old=old, new=new)
            _print(args, {}, lambda _: [])
        case "operator" if args.action == "reset":
            await door.call("reset_operator", name=args.name, password=_password(args))
            _print(args, {}, lambda _: [])
        case "operator":
            added = await door.call(
                "add_operator", name=args.name, role=args.role, password=_password(args)
            )
            _print(args, added, lambda a: [a["operator"]])
        case "import" if args.what == "customers":
            await _import_customers(args, door)
        case "import":
            await _import(args, door)
        case "export":
            _write(args.file, (await door.call(f"export_{args.what}"))["csv"].encode())
        case "customer":
            await _customer(args, door)
        case "pins":
            await _pins(args, door)
        case "report":
            await _report(args, door)
        case "audit":
            names = ("operator", "kind", "mentions")
            search = {name: getattr(args, name) for name in names}
            found = await door.call("audit", limit=args.limit, **search)
            _print(args, found, _act_lines)
        case "printer":
            if args.action == "set":
                address = "" if args.address == "none" else args.address
                await door.call("set_printer", address=address)
            else:
                done = await door.call("test_print")
                _print(args, done, lambda d: [d["outcome"]])
        case "picture":
            data = base64.b64encode(_read(args.file)).decode()
            done = await door.call("set_picture", sku=args.sku, data=data, user=args.customer)
            _print(args, done, lambda d: [d["picture"]])
        case "enable":
            call = {"user": args.user, "password": _password(args), "number": args.number}
            done = await door.call("enable", **call)
            shown = "pc.enabled" if done["session"] else "pc.first"
            _print(args, done, lambda _: [say(language(), shown, number=args.number)])
        case "pair":
            await _pair_station(args, door)
        case "backup":
            await _backup(args, door)
        case "mirror":
            await _mirror(args, door)
    return 0


async def _backup(args: argparse.Namespace, door: Door) -> None:
    """Ask for a passphrase the first time; write the file."""
    ready = await door.call("passphrase")
    if args.new_passphrase or not ready["set"]:
        _tell(say(language(), "backup.passphrase"))
        await door.call("set_passphrase", passphrase=_passphrase(args, twice=True))
    done = await door.call("backup", file=str(args.file.absolute()))
    size = done["bytes"] / 1e6
    _print(
        args, done, lambda d: [say(language(), "backup.done", **{**d, "megabytes": f"{size:.1f}"})]
    )


async def _restore(args: argparse.Namespace, folder: Path) -> int:
    """Put it back, and say what is to come from stations."""
    restored = await asyncio.to_thread(restore, args.file, folder, _passphrase(args))
    stations = await stations_in(folder)
    at = when(restored.at_ms, language(), date=True)
    entries, head = restored.checked.entries, restored.checked.head
    result = {"entries": entries, "head": head, "at_ms": restored.at_ms, "stations": stations}
    lines = [say(language(), "restore.done", at=at, entries=entries)]
    if stations:
        lines.append(say(language(), "restore.stations", names=", ".join(stations)))
    _print(args, result, lambda _: lines)
    return 0


async def _mirror(args: argparse.Namespace, door: Door) -> None:
    if args.off == bool(args.folder):
        raise Failure("cabina mirror FOLDER, or --off", 2)
    folder = "" if args.off else str(args.folder.absolute())
    done = await door.call("set_mirror", folder=folder)
    key = "mirror.off" if args.off else "mirror.same-disk" if done["same_disk"] else "mirror.on"
    _print(args, done, lambda _: [say(language(), key, folder=folder)])


def _passphrase(args: argparse.Namespace, *, twice: bool = False) -> str:
    first = _secret("passphrase", from_stdin=args.passphrase_stdin)
    if twice and not args.passphrase_stdin and getpass.getpass("again: ") != first:
        raise Failure(say(language(), "backup.differ"))
    return first


async def _pair_station(args: argparse.Namespace, door: Door) -> None:
    """Open the door, wait for a station, and let a person type its digits."""
    how = {"replaces": args.replaces, "number": args.pc, "rate": args.rate, "again": args.again}
    port = (await door.call("pair_open", port=args.port, **how))["port"]
    try:
        _tell(say(language(), "pair.open", port=port))
        name = (await door.call("pair_knock"))["name"]
        while True:
            digits = await _line(say(language(), "pair.digits", name=name))
            try:
                paired = await door.call("pair_type", digits=digits)
            except Refused as refusal:
                if refusal.code != "wrong-digits" or not refusal.details.get("left"):
                    raise
                _tell(explain(refusal, language()))
            else:
                break
    finally:
        await door.call("pair_close")
    _print(args, paired, lambda p: [say(language(), "pair.done", name=p["name"])])


async def _join(args: argparse.Namespace, folder: Path) -> None:
    host, _, port = args.join.partition(":")
    if port and not port.isdigit():
        raise Failure("--join: HOST or HOST:PORT", 2)

    async def confirm() -> bool:
        return (await _line(say(language(), "pair.confirm"))).lower() in (
            "y",
            "yes",
            "s",
            "sí",
            "si",
        )

    def show(digits: str) -> None:
        _tell(say(language(), "pair.show", digits=digits))

    name = args.name or socket.gethostname()
    try:
        where = (host, int(port or PAIRING_PORT))
        await join(folder, *where, name[:40], show, confirm, role=args.command)
    except OSError:
        raise Failure(say(language(), "error.no-pairing", host=host)) from None


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _line(question: str) -> str:
    """A person's answer, without stopping what runs beside it."""
    print(question, end=" ", file=sys.stderr, flush=True)
    line: str = await asyncio.to_thread(sys.stdin.readline)
    if not line:
        raise Refused("pairing-closed")
    return line.strip()


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Failure(f"{text}: FIELD=VALUE", 2)
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _password(args: argparse.Namespace) -> str:
    return _secret("password", from_stdin=args.password_stdin)


def _secret(what: str, shown: str = "", *, from_stdin: bool) -> str:
    """A line that nobody sees; ``shown`` asks for it where there are several."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise Failure(f"--{what}-stdin", 2)
    return getpass.getpass(f"{shown or what}: ")


# --- nodes -------------------------------------------------------------------


def collect_seldom() -> None:
    """Most of what a node makes stays: looking for garbage in it is for nothing."""
    gc.set_threshold(50_000, 20, 100)


async def _run_node(args: argparse.Namespace, folder: Path, serve: Serve | None) -> int:
    collect_seldom()
    if args.command == "server" and args.init:
        node: Node = await _init(args, folder)
    else:
        if args.command != "server" and args.join:
            await _join(args, folder)
        settings = config.load(folder)
        if settings.role != args.command:
            raise Failure(say(language(), "error.wrong-role", role=args.command, folder=folder))
        if args.command == "server":
            settings.host = args.host or settings.host
            settings.port = settings.port if args.port is None else args.port
            config.save(folder, settings)
        node = open_folder(folder, SettableClock() if args.demo_clock else None)
        await node.start()
        if isinstance(node, ClientNode):
            await _start_vendor(args, folder, node)
    control = ControlServer(node)
    gc.collect()
    gc.freeze()  # what was loaded stays: a full collection over it would stall everybody
    try:
        for notice in node.notices:
            print(node.explain(notice), file=sys.stderr)
        if isinstance(node, ServerNode):
            try:
                port = await node.listen()
            except OSError:
                line = say(language(), "error.port", port=node.config.port)
                raise Failure(line) from None
            if args.json:
                print(json.dumps({"port": port, "folder": str(folder)}), flush=True)
        await control.start()
        if args.headless or serve is None:
            await _until_signal()
        else:
            await serve(node, args)
    finally:
        await control.stop()
        if isinstance(node, ClientNode) and node.vendor is not None:
            await node.vendor.stop()
        await node.stop()
    return 0


async def _start_vendor(args: argparse.Namespace, folder: Path, node: ClientNode) -> None:
    """The station on the same computer, with a key and a folder of its own."""
    wanted = str(args.vendor.absolute()) if args.vendor else node.config.vendor
    if not wanted:
        return
    if config.load(Path(wanted)).role != "station":
        raise Failure(say(language(), "error.wrong-role", role="station", folder=wanted))
    node.vendor = open_folder(Path(wanted))
    await node.vendor.start()
    if wanted != node.config.vendor:
        node.config.vendor = wanted
        config.save(folder, node.config)


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt does it
            loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _init(args: argparse.Namespace, folder: Path) -> ServerNode:
    """Ask for what was not given: five things, and a password."""
    name = args.name or _ask("--name", "Name of the café")
    currency = (args.currency or _ask("--currency", "Currency (EUR, CRC…)")).upper()
    spoken = args.language or _ask("--language", "Language (en, es)")
    operator = args.operator or _ask("--operator", "First administrator")
    printer = args.printer or _ask("--printer", "Ticket printer (HOST:PORT or none)")
    if printer != "none":
        try:
            open_printer(printer)
        except ValueError as error:
            raise Failure(f"--printer: {error}", 2) from None
    if spoken not in ("en", "es"):
        raise Failure("--language: en, es", 2)
    return await create_cafe(
        folder,
        name=name,
        currency=currency,
        language=spoken,
        administrator=operator,
        password=_password(args),
        printer=None if printer == "none" else printer,
        host=args.host or "127.0.0.1",
        port=config.DEFAULT_PORT if args.port is None else args.port,
    )


def _ask(option: str, question: str) -> str:
    if not sys.stdin.isatty():
        raise Failure(f"{option}: {question}", 2)
    return input(f"{question}: ").strip()


# --- import ------------------------------------------------------------------


def _read_catalogue(file: Path, currency: str) -> list[dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(say(language(), "error.file", file=file, what=error)) from None
    products, bad = read_csv(text, currency)
    if bad:
        lines = [say(language(), "error.catalogue", count=len(bad), file=file)]
        lines += [
            f"  {row.line}: {say(language(), f'csv.{row.code}', what=row.what)}" for row in bad
        ]
        raise Failure("\n".join(lines))
    return products


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(say(language(), "error.file", file=file, what=error)) from None


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise Failure(say(language(), "error.file", file=file, what=error)) from None


async def _report(args: argparse.Namespace, door: Door) -> None:
    period = {"by": args.by, "first": args.first, "last": args.last}
    for kind in ("csv", "pdf"):
        file = getattr(args, kind)
        if file is not None:
            made = await door.call("report_file", kind=kind, **period)
            _write(file, base64.b64decode(made["data"]))
    _print(args, await door.call("report", **period), _row_lines)


def _act_lines(acts: list[dict[str, Any]]) -> list[str]:
    return [
        f"{act['at']}  {act['name'] or '–':<16} {act['where'] or '–':<16} {act['kind']}"
        + (f"  ({act['code']})" if act["code"] else "")
        for act in acts
    ]


async def _import_customers(args: argparse.Namespace, door: Door) -> None:
    text = _read(args.file).decode("utf-8", "replace")
    reason = say(language(), "import.customers")
    done = await door.call("import_customers", csv=text, reason=reason)
    if "bad" in done:
        lines = [say(language(), "error.catalogue", count=len(done["bad"]), file=args.file)]
        lines += [
            f"  {line}: {say(language(), f'csv.{code}', what=what)}"
            for line, code, what in done["bad"]
        ]
        raise Failure("\n".join(lines))
    _print(args, done, lambda d: [str(d["customers"])])


async def _customer(args: argparse.Namespace, door: Door) -> None:
    names = ("user", "first", "last", "document", "email", "phone", "birth")
    typed = {n: text for n in names if (text := getattr(args, f"new_{n}")) is not None}
    match args.action:
        case "add":
            typed["user"] = args.user
            done = await door.call("create_customer", profile=args.profile, typed=typed)
            _print(args, done, lambda d: [d["customer"]])
        case "edit":
            known = await door.call("customer", user=args.user)
            done = await door.call("edit_customer", customer=known["id"], typed=typed)
            _print(args, done, lambda _: [])
        case "show":
            found = await door.call("customer", user=args.user)
            _print(args, found, lambda f: _row_lines([f]))
        case _ if args.csv is not None:
            _write(args.csv, (await door.call("tracking_csv", user=args.user))["csv"].encode())
        case _:
            _print(args, await door.call("tracking", user=args.user), _row_lines)


PINS_A_CALL = 200


async def _pins(args: argparse.Namespace, door: Door) -> None:
    match args.action:
        case "make":
            await _make_pins(args, door)
        case "find":
            search = {"profile": args.profile, "state": args.state, "serials": args.what}
            _print(args, await door.call("find_pins", **search), _row_lines)
        case "look":
            shown = await door.call("look_at_pins", serials=args.what)
            _print(args, shown, lambda rows: [f"{r['serial']}  {r['pin']}" for r in rows])
        case _ if args.file is None:
            raise Failure("--file", 2)
        case "sheet":
            background = base64.b64encode(_read(args.background) if args.background else b"")
            design = {"title": args.title, "font": args.font, "colour": args.colour}
            done = await door.call(
                "pin_sheet",
                serials=args.what,
                background=background.decode(),
                qr=not args.no_qr,
                **design,
            )
            _write(args.file, base64.b64decode(done["data"]))
        case "list":
            kind = "pdf" if args.file.suffix == ".pdf" else "csv"
            done = await door.call("pin_list", serials=args.what, kind=kind)
            _write(args.file, base64.b64decode(done["data"]))


async def _make_pins(args: argparse.Namespace, door: Door) -> None:
    """A call for some at a time: the bar moves, and Ctrl+C ends it between two."""
    first, last, live = 0, 0, 0
    with _bar(args, "pins") as advance:
        for at in range(0, args.count, PINS_A_CALL):
            count = min(PINS_A_CALL, args.count - at)
            done = await door.call("make_pins", profile=args.what, count=count, stock=args.stock)
            first, last, live = first or done["first"], done["last"], done["live"]
            advance(at + count, args.count)
    if live > LIVE_WARNED:
        _tell(say(language(), "pin.many", count=live))
    result = {"first": first, "last": last, "live": live}
    _print(args, result, lambda r: [f"{r['first']}-{r['last']}"])


async def _import(args: argparse.Namespace, door: Door) -> None:
    settings = (await door.call("show", table="settings"))[0]
    products = _read_catalogue(args.file, settings["currency"])
    shelf = read_stock(args.file.read_text(encoding="utf-8"))
    result = await door.call("import_catalogue", products=products, stock=shelf)
    _print(args, result, lambda r: [str(r["products"])])


# --- verify ------------------------------------------------------------------


def _verify_ticket(args: argparse.Namespace, folder: Path) -> int:
    """Whether this café's server has signed the ticket, by its public key alone."""
    if args.key:
        try:
            public = bytes.fromhex(args.key)
        except ValueError:
            raise Failure("--key: hex digits", 2) from None
    else:
        settings = config.load(folder)
        known = settings.server
        public = (
            bytes.fromhex(known.public_key) if known else config.load_keys(folder).signer.public
        )
    text, signature, says = receipts.read_code(args.ticket)
    if not verify_ed25519(public, signature, text):
        raise Refused("wrong-code")
    _print(
        args,
        says,
        lambda s: [
            say(
                language(),
                "verify.ticket",
                number=s["number"],
                amount=money(s["amount_minor"], language(), s["currency"]),
                at=when(s["at_ms"], language(), date=True),
            )
        ],
    )
    return 0


def _verify(args: argparse.Namespace, folder: Path) -> int:
    settings = config.load(folder)
    keys = config.load_keys(folder)
    cafe = bytes.fromhex(settings.cafe)
    server = bytes.fromhex(settings.server.public_key) if settings.server else keys.signer.public
    disk = ReadOnlyDisk(folder)
    with _bar(args, "verify") as advance:
        results = [
            verify_canon(
                disk,
                cafe,
                node_id(server),
                server,
                Cafe(),
                verify_ed25519,
                lambda n: advance(n, None),
                public_only=settings.role == "client",
            )
        ]
    if settings.role != "server":
        results.append(verify_own(disk, cafe, keys.signer.public, keys.node, verify_ed25519))
    _print(
        args, [msgspec.to_builtins(result) for result in results], lambda _: map(_verdict, results)
    )
    for result in results:
        if result.problem is not None:
            found = result.problem
            print(f"{found.log}, byte {found.offset}: {found.where}: {found.what}", file=sys.stderr)
            return 1
    return 0


def _verdict(result: Verified) -> str:
    end = ", short end" if result.short_end else ""
    good = "ok" if result.problem is None else "BAD"
    counts = f"{result.entries} entries, {result.ops} ops, {result.seals} seals"
    return f"{result.log}: {good}, {counts}{end}"


# --- demo --------------------------------------------------------------------


async def _demo(args: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        folder = args.data or Path(
            stack.enter_context(
                tempfile.TemporaryDirectory(prefix="cabina-demo-", ignore_cleanup_errors=True)
            )
        )
        options = Options(
            folder=folder,
            mode=args.mode,
            stations=args.stations,
            language=args.language,
            launcher=args.launcher,
        )
        plan = _plan(args, options)
        demo = Demo(options, lambda text: print(text, file=sys.stderr, flush=True))
        with _bar(args, "orders") as advance:
            report = await run_headless(demo, plan, advance)
    if args.data is None:
        report.pop("folders")
    _print(args, report, lambda r: [f"{name}: {value}" for name, value in r.items()])
    return 0 if report["lost"] == 0 and report["duplicated"] == 0 else 1


def _plan(args: argparse.Namespace, options: Options) -> Plan:
    real = (args.catalogue, args.tickets, args.day)
    if not any(real):
        if args.outage_from or args.outage_to:
            raise Failure("--outage-from, --outage-to: with --tickets", 2)
        start_ms = SettableClock().wall_ms()
        sales = sample.invented(args.orders, args.seed, start_ms)
        first, last = len(sales) // 3, 2 * len(sales) // 3
        return Plan(sales, lambda number, _: first <= number < last, args.outage)
    if not all(real):
        raise Failure("--catalogue, --tickets and --day go together", 2)
    options.currency, options.decimals, options.cash_step_minor = "EUR", None, 1
    options.products = _read_catalogue(args.catalogue, "EUR")
    skus = {product["name"]: product["sku"] for product in options.products}
    try:
        sales = sample.real_day(args.tickets, args.day, skus)
    except (OSError, KeyError, ValueError) as error:
        raise Failure(say(language(), "error.file", file=args.tickets, what=error)) from None
    options.opening_ms = sales[0].at_ms - 60_000
    begin, end = _clock_ms(args.day, args.outage_from), _clock_ms(args.day, args.outage_to)
    if (begin is None) != (end is None) or (begin or 0) > (end or 0):
        raise Failure("--outage-from and --outage-to: HH:MM, in this order", 2)

    def outage(number: int, sale: sample.Sale) -> bool:
        return begin is not None and end is not None and begin <= sale.at_ms < end

    return Plan(sales, outage, 0.0, virtual_time=True)


def _clock_ms(day: str, text: str | None) -> int | None:
    import datetime as dt

    if text is None:
        return None
    try:
        return int(dt.datetime.fromisoformat(f"{day}T{text}").astimezone().timestamp() * 1000)
    except ValueError:
        raise Failure(f"{day} {text}: YYYY-MM-DD, HH:MM", 2) from None


# --- what is shown -----------------------------------------------------------


@contextlib.contextmanager
def _bar(args: argparse.Namespace, what: str) -> Any:
    """A progress bar on a terminal; nothing elsewhere."""
    console = Console(stderr=True)
    with Bar(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(args: argparse.Namespace, result: Any, lines: Callable[[Any], Any]) -> None:
    if args.json:
        print(json.dumps(result, ensure_ascii=False, default=str))
        return
    for line in lines(result):
        print(line)


def _row_lines(rows: list[dict[str, Any]]) -> list[str]:
    return [
        "  ".join(
            f"{name}={json.dumps(value, ensure_ascii=False, default=str)}"
            for name, value in row.items()
        )
        for row in rows
    ]


def kinds() -> list[dict[str, Any]]:
    """Every kind that a person can submit."""
    listed = []
    for kind in sorted(KINDS.values(), key=lambda kind: kind.name):
        if not kind.permission:
            continue
        fields = [
            {
                "name": field.encode_name,
                "type": _type_name(field.type),
                "required": field.required,
            }
            for field in msgspec.structs.fields(kind.command)
        ]
        listed.append(
            {
                "kind": kind.name,
                "version": kind.version,
                "permission": kind.permission,
                "server_only": kind.server_only,
                "fields": fields,
            }
        )
    return listed


def _type_name(annotation: Any) -> str:
    schema = msgspec.json.schema(annotation)
    name = schema.get("type") or " | ".join(
        str(option.get("type", "object")) for option in schema.get("anyOf", [])
    )
    limits = [
        f"{key}={schema[key]}"
        for key in ("minimum", "maximum", "minLength", "maxLength")
        if key in schema
    ]
    if "enum" in schema:
        name = "|".join(map(str, schema["enum"]))
    return f"{name or 'object'}{' ' + ' '.join(limits) if limits else ''}"


def _kinds_lines(listed: list[dict[str, Any]]) -> list[str]:
    lines = []
    for kind in listed:
        where = " (server)" if kind["server_only"] else ""
        lines.append(f"{kind['kind']} v{kind['version']}  {kind['permission']}{where}")
        lines += [
            f"    {field['name']}{'' if field['required'] else '?'}: {field['type']}"
            for field in kind["fields"]
        ]
    return lines


if __name__ == "__main__":
    sys.exit(main())
