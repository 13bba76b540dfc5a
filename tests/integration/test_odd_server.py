"""A server whose owner, printer, port or stations do what nobody meant."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import msgpack
import pytest
from tinydb import where

from node import config
from node.bootstrap import add_operator
from node.control import ControlClient, ControlServer, LocalDoor
from node.devices.virtual import VirtualPrinter
from sync.errors import Refused, StorageFailed
from sync.sealed import seal_body
from tests.support.nodes import PASSWORD, Nodes, until


@pytest.mark.feature("PR-03")
async def test_job_that_cannot_be_printed_stops_no_other(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in one ticket lists that one; the next comes out."""
    server = nodes.server
    printer = VirtualPrinter()
    await printer.start()
    await LocalDoor(server).call("set_printer", address=f"tcp://127.0.0.1:{printer.port}")
    assert server.spooler is not None and server.printer is not None
    real = server.printer.print
    faults = [KeyError("method.gone")]

    async def print_(ticket: Any) -> Any:
        if faults:
            raise faults.pop()
        return await real(ticket)

    monkeypatch.setattr(server.printer, "print", print_)
    for _ in range(2):
        await server.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
    await until(lambda: len(printer.papers) == 1)
    prints = server.tables.table("prints")
    (odd,) = prints.search(where("state") == "unknown")
    assert odd["why"] == "print.fault"

    async def check() -> str:
        raise UnicodeError("idna")

    monkeypatch.setattr(server.printer, "check", check)
    await server.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
    await until(lambda: server.spooler and server.spooler.problem == "print.fault")
    monkeypatch.undo()
    await until(lambda: len(printer.papers) == 2)
    await LocalDoor(server).call("set_printer", address="")
    await printer.stop()


@pytest.mark.feature("CF-01", "PR-01")
async def test_printer_is_changed_whole_or_not_at_all(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several at once leave one spooler; a disk that refuses leaves the one before."""
    server, door = nodes.server, LocalDoor(nodes.server)
    printers = [VirtualPrinter() for _ in range(3)]
    for printer in printers:
        await printer.start()
    addresses = [f"tcp://127.0.0.1:{printer.port}" for printer in printers]
    await asyncio.gather(*(door.call("set_printer", address=one) for one in addresses))
    running = [t for t in asyncio.all_tasks() if "Spooler._run" in repr(t.get_coro())]
    assert len(running) == 1 and config.load(server.folder).printer == server.config.printer
    before = server.spooler

    def full(*args: Any) -> None:
        raise OSError("no room")

    with monkeypatch.context() as broken, pytest.raises(StorageFailed):
        broken.setattr(config, "save", full)
        await door.call("set_printer", address="")
    assert server.spooler is before
    with pytest.raises(Refused, match="bad-printer"):
        await door.call("set_printer", address="nonsense://")
    await door.call("set_printer", address="")
    for printer in printers:
        await printer.stop()


@pytest.mark.feature("RP-02")
async def test_taken_port_is_told_and_tried_again(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has it: a notice; given back, the door opens by itself and the notice goes."""
    server = nodes.server
    monkeypatch.setattr("node.roles.server.PORT_RETRY_S", 0.1)
    await server.submit("settings.edit", {"remote_pos": False})
    await until(lambda: server._listener is None)
    with socket.create_server(("127.0.0.1", server.port)):
        await server.submit("settings.edit", {"remote_pos": True})
        await until(lambda: any("port" in notice for notice in server.status()["notices"]))
    await until(lambda: server._listener is not None)
    await until(lambda: not server.status()["notices"])
    nodes.station.client.hurry()
    await until(lambda: nodes.station.online)


@pytest.mark.feature("RP-02", "SE-01")
async def test_refused_pairing_changes_nothing(nodes: Nodes) -> None:
    """Whoever may not, or names a station that is none, switches nothing on."""
    server, door = nodes.server, LocalDoor(nodes.server)
    await server.submit("settings.edit", {"remote_pos": False})
    with pytest.raises(Refused, match="unknown-station"):
        await door.call("pair_open", port=0, replaces="Nobody")
    await server.sign_in("Lucía Mora", PASSWORD)
    with pytest.raises(Refused, match="no-permission"):
        await door.call("pair_open", port=0)
    row = server.tables.table("settings").row("cafe")
    assert row is not None and row["remote_pos"] is False


@pytest.mark.feature("OP-01", "OP-05", "SE-04")
async def test_key_that_is_none_keeps_nobody_else_out(nodes: Nodes) -> None:
    """A patched station seals nonsense as its vendor's key: that one cannot sign in at the server,
    and others still get theirs."""
    server, station = nodes.server, nodes.station
    row = server.tables.table("settings").row("cafe")
    assert row is not None
    public = bytes.fromhex(row["cafe_key"])
    for at, nonsense in enumerate((b"\xc1", msgpack.packb([1, 2]))):
        sealed = seal_body(public, server.cafe_id, nonsense).hex()
        await station.submit("operator.password", {"sealed_key": sealed})
        await until(lambda sealed=sealed: _key_of(server, "Lucía Mora") == sealed)
        with pytest.raises(Refused, match="no-keys"):
            await server.sign_in("Lucía Mora", PASSWORD)
        await add_operator(server, f"New {at}", "vendor", PASSWORD)
        keys = server._keys_for_stations()
        assert len(keys) == 2 + at
    assert (await server.sign_in("Ana Vargas", PASSWORD))["name"] == "Ana Vargas"


def _key_of(server: Any, name: str) -> str:
    rows = server.tables.table("operators")
    return str(next(row["sealed_key"] for row in rows if row["name"] == name))


@pytest.mark.feature("OP-02", "OP-03", "RE-01")
async def test_papers_of_the_owner_are_for_who_may_see_them(nodes: Nodes) -> None:
    """Report, audit and catalogue ask for their right, at the server and at a station; signed out
    there is none. The audit comes through the door of a running server with its bytes as hex."""
    server = nodes.server
    await server.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
    control = ControlServer(server)
    await control.start()
    client = ControlClient(server.folder)
    try:
        acts = await client.call("audit", limit=50)
        assert any(act["kind"] == "order.place" for act in acts)
        assert "hex" not in json.dumps(acts) and "grant.open" in {act["kind"] for act in acts}
        days = {"first": "2020-01-01", "last": "2199-01-01"}
        assert await client.call("report", by="product", **days)
        await server.sign_in("Lucía Mora", PASSWORD)
        calls: tuple[tuple[str, dict[str, Any]], ...] = (
            ("audit", {"limit": 5}),
            ("report", {"by": "product", **days}),
            ("report_file", {"by": "product", "kind": "csv", **days}),
            ("set_picture", {"sku": "", "data": ""}),
            ("set_printer", {"address": ""}),
            ("backup", {"file": "/tmp/x"}),
        )
        for method, params in calls:
            with pytest.raises(Refused, match="no-permission"):
                await client.call(method, **params)
        with pytest.raises(Refused, match="no-permission"):
            await LocalDoor(nodes.station).call("report", by="product", **days)
        server.sign_out()
        for method, params in (*calls[:3], ("export_catalogue", {})):
            with pytest.raises(Refused, match="not-signed-in"):
                await client.call(method, **params)
        await server.sign_in("Ana Vargas", PASSWORD)
        with pytest.raises(Refused, match="bad-field"):
            await client.call("backup", file="a\0b")
    finally:
        await client.close()
        await control.stop()


async def test_picture_of_a_patched_station_is_not_shown(nodes: Nodes, tmp_path: Path) -> None:
    """Larger than ours are, or no picture at all: the icon stands instead."""
    for data in (b"no picture at all", b"RIFF" + bytes(60_000)):
        digest = nodes.station.driver.add_blob(data).hex()
        changes = {"picture": [1 if data[0] == 110 else 2, digest]}
        await nodes.station.submit("product.edit", {"sku": "COLA", "changes": changes})
        await until(lambda digest=digest: nodes.server.driver.blob(bytes.fromhex(digest)))
        assert nodes.server.picture(digest) is None
