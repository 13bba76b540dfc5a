"""A server and a station over real sockets, in one process, so that a fault can be put between them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from node.bootstrap import add_operator
from node.control import ControlClient, NotRunning
from sync.errors import Disconnected, Refused
from tests.support.nodes import PASSWORD, Nodes, until


async def sell(nodes: Nodes, sku: str = "") -> str:
    """An order of one product at the station; its id."""
    product = next(iter(nodes.station.tables.table("products")))
    body = {"lines": [{"sku": sku or str(product.doc_id), "quantity": 1}]}
    receipt = await nodes.station.submit("order.place", body)
    return receipt.key.hex()


@pytest.mark.feature("RP-20")
async def test_new_vendor_signs_in_at_a_station_that_is_on_line_already(nodes: Nodes) -> None:
    """Their wrapped key comes with the news of them, not with the next connection."""
    await add_operator(nodes.server, "Noa Ruiz", "vendor", PASSWORD)

    async def may_enter() -> bool:
        with contextlib.suppress(Refused):
            await nodes.station.sign_in("Noa Ruiz", PASSWORD)
            return True
        return False

    for _ in range(60):
        if await may_enter():
            break
        await asyncio.sleep(0.1)
    assert nodes.station.operator is not None


@pytest.mark.feature("SE-06")
async def test_revoked_station_gets_no_keys(nodes: Nodes) -> None:
    """Even where its link were still open."""
    await nodes.server.submit("station.revoke", {"station": nodes.station.node_id})
    peer = bytes.fromhex(nodes.station.node_id)
    with pytest.raises(Refused, match="unknown-station"):
        await nodes.server._answer(peer, "operator.keys", {})
    await until(lambda: not nodes.station.online)
    with pytest.raises(Disconnected):
        await nodes.station.driver.ask("operator.keys", {})


async def test_question_that_fails_is_answered_and_hurts_nobody(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault behind an answer is told as such; the link stays."""

    async def fail(peer: bytes, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("broken")

    monkeypatch.setattr(nodes.server.driver, "on_inquire", fail)
    with pytest.raises(Refused, match="fault"):
        await asyncio.wait_for(nodes.station.driver.ask("operator.keys", {}), 5)
    order = await sell(nodes)
    await until(lambda: nodes.server.tables.table("orders").peek(order))


@pytest.mark.feature("SY-05")
async def test_fault_in_a_step_voids_its_round_and_nothing_else(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of ours while a push is taken: the station sends again, the server works on."""
    sequencer, real = nodes.server.hub.sequencer, nodes.server.hub.sequencer.take_run
    faults = []

    def once(*args: Any) -> list[bytes]:
        if faults:
            return real(*args)
        frames = real(*args)
        faults.append(frames)
        raise KeyError("a bug of ours, behind half of the work")

    monkeypatch.setattr(sequencer, "take_run", once)
    order = await sell(nodes)
    await until(lambda: nodes.server.tables.table("orders").peek(order))
    await until(lambda: not nodes.station.replica.pending)
    assert len(faults) == 1
    assert nodes.server.hub.view.digest() == nodes.station.replica.view.digest()


@pytest.mark.feature("SY-05")
async def test_fault_at_an_act_is_answered(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who acts hears of it, and the next act goes through."""
    with monkeypatch.context() as broken:
        broken.setattr(nodes.station.replica.author, "op", lambda *a, **k: 1 / 0)
        with pytest.raises(Refused, match="fault"):
            await asyncio.wait_for(sell(nodes), 5)
    order = await sell(nodes)
    await until(lambda: nodes.server.tables.table("orders").peek(order))


@pytest.mark.feature("SY-08", "SY-05")
async def test_damaged_part_of_the_servers_log_ends_the_link_that_needs_it(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as an incident; the server itself sells on."""
    nodes.switch.cut()
    await until(lambda: not nodes.station.online)
    told = []
    hook = nodes.server.driver.on_alarm

    def note(code: str, details: dict[str, Any]) -> None:
        told.append(code)
        hook(code, details)

    monkeypatch.setattr(nodes.server.driver, "on_alarm", note)
    monkeypatch.setattr(nodes.server.driver.archive, "after", lambda seq: ([], seq))
    await nodes.server.submit("settings.edit", {"mode": 1})
    nodes.switch.join()
    await until(lambda: "log-damaged" in told)
    await until(lambda: nodes.station.client.problem == "server-log")
    await nodes.server.submit("settings.edit", {"mode": 2})
    monkeypatch.undo()
    nodes.station.client.hurry()
    await until(lambda: not nodes.station.replica.pending and nodes.station.online)
    order = await sell(nodes)
    await until(lambda: nodes.server.tables.table("orders").peek(order))


async def test_copy_of_a_station_is_kept_as_soon_as_it_has_caught_up(nodes: Nodes) -> None:
    """A crash in the first second must not cost a station the catalogue it could sell from."""
    assert nodes.station.replica._durable >= nodes.station.replica._goal > 0


async def test_answer_cut_in_the_middle_is_no_answer(tmp_path: Any) -> None:
    """A node that dies while it answers is not running, whatever half a line says."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"result": 1')
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "control.json").write_text(f'{{"port": {port}, "token": "x"}}')
    with pytest.raises(NotRunning):
        await ControlClient(tmp_path).call("status")
    server.close()
