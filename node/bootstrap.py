"""Where a node is put together: keys, disk, core, devices; and how a café and a station come to
be."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import msgpack
import tzlocal

from node import config
from node.cafe import settings as cafe_settings
from node.cafe.house import Cafe
from node.cafe.kinds import check_text
from node.devices.printers import open_printer
from node.mirror import opener
from node.roles.base import Node
from node.roles.client import ClientNode
from node.roles.server import ServerNode
from node.roles.station import StationNode
from sync.clock import Clock, SystemClock
from sync.disk import OsDisk
from sync.errors import Refused, StorageFailed
from sync.identity import Ed25519Signer, verify_ed25519
from sync.protocol import Receipt
from sync.recovery import open_hub, open_replica
from sync.sealed import new_cafe_key, seal_body, wrap_key

RUN_OPS = 80
"""Orders that a station sends in one run: the rules take the server about 0.1 ms for each, and
nothing else has its turn meanwhile."""
SHORTEST_PASSWORD = 6


def open_folder(folder: Path, clock: Clock | None = None) -> Node:
    """The node in a folder, not started yet.

    Raises `NoNode`, `FolderBusy` (another process holds it), `Damaged`.
    """
    settings = config.load(folder)
    clock = clock or SystemClock()
    keys = config.load_keys(folder)
    cafe = bytes.fromhex(settings.cafe)
    disk = OsDisk(folder)
    try:
        core_keys = keys.for_core(cafe, clock)
        if settings.role == "server":
            return _open_server(folder, disk, settings, keys, clock)
        assert settings.server is not None
        server = bytes.fromhex(settings.server.public_key)
        is_client = settings.role == "client"
        opened = open_replica(
            disk,
            core_keys,
            server,
            Cafe(),
            verify_ed25519,
            secrets.token_bytes,
            public_only=is_client,
            run_ops=RUN_OPS,
        )
        if is_client:
            return ClientNode(folder, disk, settings, keys, opened, clock)
        return StationNode(folder, disk, settings, keys, opened, clock)
    except BaseException:
        disk.close()
        raise


def _open_server(
    folder: Path, disk: OsDisk, settings: config.Config, keys: config.Keys, clock: Clock
) -> ServerNode:
    cafe, mirror = bytes.fromhex(settings.cafe), None
    opening = opener(folder, Path(settings.mirror), cafe, keys) if settings.mirror else None
    if opening is not None:
        with contextlib.suppress(StorageFailed):  # the node tells it, and goes on looking for it
            mirror = opening()
    core_keys = keys.for_core(cafe, clock)
    opened = open_hub(disk, core_keys, Cafe(), verify_ed25519, secrets.token_bytes, mirror)
    printer = open_printer(settings.printer) if settings.printer else None
    node = ServerNode(folder, disk, settings, keys, opened, clock, printer)
    if opening is not None:
        node.follow(opening, mirror)
    return node


async def create_cafe(
    folder: Path,
    *,
    name: str,
    currency: str,
    language: str,
    administrator: str,
    password: str,
    printer: str | None,
    port: int = config.DEFAULT_PORT,
    host: str = "127.0.0.1",
    mode: int = 2,
    decimals: int | None = None,
    cash_step_minor: int = 1,
    remote_pos: bool = False,
    clock: Clock | None = None,
) -> ServerNode:
    """Make a café with its server in a folder, started, its administrator signed in."""
    if (folder / config.CONFIG_FILE).exists():
        raise Refused("already-created")
    check_password(password)
    check_text(administrator)
    private, public = new_cafe_key()
    config.make_keys(folder, private)
    settings = config.Config(
        role="server",
        cafe=secrets.token_hex(16),
        language=language,
        host=host,
        port=port,
        printer=printer,
    )
    config.save(folder, settings)
    node = open_folder(folder, clock)
    assert isinstance(node, ServerNode)
    try:
        await node.start()
        body = {
            "name": name,
            "currency": currency,
            "language": language,
            "cafe_key": public.hex(),
            "mode": mode,
            "printing": printer is not None,
            "cash_step_minor": cash_step_minor,
            "remote_pos": remote_pos,
            "time_zone": time_zone(),
        }
        if decimals is not None:
            body["decimals"] = decimals
        await node.driver.act("cafe.create", 1, body)
        await add_operator(node, administrator, "administrator", password)
        await node.sign_in(administrator, password)
    except BaseException:
        await node.stop()
        for path in made_here(folder):  # not a café yet: it may be tried again
            path.unlink(missing_ok=True)
        raise
    return node


def time_zone() -> str:
    """This machine's time zone by its IANA name; UTC if it has none."""
    with contextlib.suppress(LookupError, OSError, ValueError):
        name = str(tzlocal.get_localzone_name())
        if name in available_timezones():
            return name
    return "UTC"


def made_here(folder: Path) -> list[Path]:
    """Files of a node that was never finished."""
    return [
        folder / config.CONFIG_FILE,
        folder / "view",
        *folder.glob("canon-*.log"),
        *(folder / "keys").glob("*"),
    ]


def check_password(password: str) -> None:
    if len(password) < SHORTEST_PASSWORD:
        raise Refused("weak-password", least=SHORTEST_PASSWORD)


async def add_operator(node: ServerNode, name: str, role: str, password: str) -> Receipt:
    """A new operator: their key is made here and wrapped under their password."""
    public, sealed = await _new_key(node, password)
    body = {"name": name, "role": role, "public_key": public, "sealed_key": sealed}
    return await node.submit("operator.add", body)


async def _new_key(node: ServerNode, password: str) -> tuple[str, str]:
    """(public key, private key as it is kept: wrapped and sealed) of an operator, in hex."""
    check_password(password)
    signer = Ed25519Signer.generate()
    _, sealed = await _wrapped(node, signer, password)
    return signer.public.hex(), sealed


async def _wrapped(node: Node, signer: Ed25519Signer, password: str) -> tuple[dict[str, Any], str]:
    """(an operator's key wrapped under a password, the same sealed to the café in hex)."""
    wrapped = await asyncio.to_thread(wrap_key, signer, password)
    row = node.tables.table("settings").peek("cafe")
    assert row is not None
    cafe_public = bytes.fromhex(row["cafe_key"])
    return wrapped, seal_body(cafe_public, node.cafe_id, msgpack.packb(wrapped)).hex()


async def change_password(node: Node, old: str, new: str) -> Receipt:
    """The operator who is signed in gets a new password, at any node, offline too. `Refused`:
    ``wrong-password``, ``weak-password``, ``not-signed-in``."""
    check_password(new)
    row = node.operator_row
    if row is None or node.operator is None:
        raise Refused("not-signed-in")
    await node.sign_in(row["name"], old)  # whoever finds the screen open does not know it
    wrapped, sealed = await _wrapped(node, node.own_signer(), new)
    receipt = await node.submit("operator.password", {"sealed_key": sealed})
    node.keep_wrapped(node.operator.hex(), wrapped)
    return receipt


async def reset_operator(node: ServerNode, name: str, password: str) -> Receipt:
    """A new key and password for who has forgotten theirs, on the server's own machine, on
    record."""
    public, sealed = await _new_key(node, password)
    body = {"operator": name, "public_key": public, "sealed_key": sealed}
    receipt: Receipt = await node.driver.act("operator.reset", 1, body, node.operator)
    return receipt


async def switch_remote_pos_on(node: ServerNode) -> None:
    """Stations may be paired and connect from now on, by who is signed in."""
    if not cafe_settings.remote_pos(node.tables):
        await node.submit("settings.edit", {"remote_pos": True})


async def pair_here(server: ServerNode, folder: Path, name: str, address: tuple[str, int]) -> None:
    """Make a station in a folder of this machine and let both sides write down the other's keys."""
    await switch_remote_pos_on(server)
    await _enrol_here(server, folder, address, "station", {"name": name})


async def pair_pc_here(
    server: ServerNode, folder: Path, number: int, address: tuple[str, int], rate: str = ""
) -> None:
    """The same for a customers' PC; without a rate it has the café's first."""
    fields = {"number": number, "rate": rate or first_rate(server)}
    await _enrol_here(server, folder, address, "client", fields)


def first_rate(server: ServerNode) -> str:
    """The café's first rate, or `Refused` ``no-rate``."""
    rates = sorted(name for name, _ in server.tables.table("rates").scan())
    if not rates:
        raise Refused("no-rate")
    return rates[0]


async def _enrol_here(
    server: ServerNode, folder: Path, address: tuple[str, int], role: str, fields: dict[str, Any]
) -> None:
    keys = config.make_keys(folder)
    shown = {"public_key": keys.signer.public.hex(), "certificate": keys.certificate.hex()}
    kind = "pc.enrol" if role == "client" else "station.enrol"
    await server.submit(kind, {**fields, **shown})
    config.save(
        folder,
        config.Config(
            role=role,
            cafe=server.config.cafe,
            language=server.config.language,
            server=config.Trusted(
                server.keys.signer.public.hex(), server.keys.certificate.hex(), *address
            ),
        ),
    )
