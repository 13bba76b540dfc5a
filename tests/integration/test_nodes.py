"""A server and a station over real sockets, in one process, so that a fault can be put between them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from node.bootstrap import add_operator
from node.control import ControlClient, NotRunning
from sync.disk import OsAppendFile
from sync.errors import Disconnected, Refused, StorageFailed
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
    row = nodes.station.operator_row
    assert row is not None
    assert row["name"] == "Noa Ruiz"


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
    """Who acts hears of it, nothing of it stays, and the next act goes through."""
    replica = nodes.station.replica
    await sell(nodes)
    await until(lambda: not replica.pending)
    head = replica.author.head
    real = replica._queue
    with monkeypatch.context() as broken:

        def fail(*args: Any) -> None:
            real(*args)
            raise ZeroDivisionError("behind half of the work")

        broken.setattr(replica, "_queue", fail)
        with pytest.raises(Refused, match="fault"):
            await asyncio.wait_for(sell(nodes), 5)
    assert (replica.view.pending, len(replica.pending)) == (0, 0)
    assert replica.author.head != head  # a new chain: none of its ids is used twice
    assert "alarm-fault" in [notice["code"] for notice in nodes.station.notices]
    assert all(isinstance(line, str) for line in nodes.station.status()["notices"])
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


async def test_fault_at_the_desk_hurts_nobody_else(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that fails is refused; the acts beside it go through and no link ends."""
    from node.cafe.house import Cafe

    real = Cafe.decide

    def decide(self: Cafe, tables: Any, op: Any, context: Any) -> Any:
        if op.body.get("reason") == "bug":
            raise ZeroDivisionError
        return real(self, tables, op, context)

    monkeypatch.setattr(Cafe, "decide", decide)
    driver, operator = nodes.server.driver, nodes.server.operator
    good = driver.act("settings.edit", 1, {"mode": 1}, operator)
    bad = driver.act("order.deny", 1, {"order": "0c", "reason": "bug"}, operator)
    with pytest.raises(Refused, match="fault"):
        await bad
    await good
    assert nodes.station.online


async def test_keys_are_asked_for_again_after_a_short_break(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that failed is asked again, whatever became of the link meanwhile."""
    real, asked = nodes.station._fetch_keys, []

    async def flap() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise Disconnected
        await real()

    monkeypatch.setattr(nodes.station, "_fetch_keys", flap)
    nodes.station._watch_operators(frozenset({"operators"}))
    await until(lambda: len(asked) == 2)


@pytest.mark.feature("SY-09", "SY-01")
async def test_folder_that_cannot_be_synced_refuses_the_sale_and_loses_none(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a disk answers: refused before it is shown, or kept; at the next start too."""
    station = nodes.station
    nodes.switch.cut()
    await until(lambda: not station.online)
    with monkeypatch.context() as broken:
        broken.setattr(OsAppendFile, "append", lambda *a: 1 / 0)
        broken.setattr(type(station._disk), "_sync_folder", lambda self: no_space())
        with pytest.raises(StorageFailed):
            await sell(nodes)
    assert "alarm-disk" in [notice["code"] for notice in station.notices]
    orders = {await sell(nodes) for _ in range(3)}
    nodes.switch.join()
    station.client.hurry()
    await until(lambda: not station.replica.pending)
    found = {str(row.doc_id) for row in nodes.server.tables.table("orders")}
    assert found == orders


def no_space() -> None:
    raise OSError(28, "No space left on device")
