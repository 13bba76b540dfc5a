"""A server and a station over real sockets, in one process, so that a fault can be put between them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from node.bootstrap import add_operator, open_folder
from node.control import ControlClient, NotRunning
from sync.certificates import make_certificate, pinned_context
from sync.client import FIRST_DELAY_S, Client
from sync.disk import OsAppendFile
from sync.errors import Disconnected, Refused, StorageFailed
from sync.messages import Bye, decode
from sync.server import open_door
from tests.support.nodes import PASSWORD, Nodes, until


async def ask(nodes: Nodes, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(5):
        return await nodes.station.driver.ask(kind, {})


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
        await ask(nodes, "operator.keys")
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
            async with asyncio.timeout(5):
                await sell(nodes)
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
    """A rule that fails is refused; the acts beside it in its round go through and no link
    ends."""
    from node.cafe.house import Cafe

    real = Cafe.decide

    def decide(self: Cafe, tables: Any, op: Any, context: Any) -> Any:
        if op.body.get("reason") == "bug":
            raise ZeroDivisionError
        return real(self, tables, op, context)

    monkeypatch.setattr(Cafe, "decide", decide)
    driver, operator = nodes.server.driver, nodes.server.operator
    before = driver.act("settings.edit", 1, {"mode": 2}, operator)
    good = driver.act("settings.edit", 1, {"mode": 1}, operator)
    bad = driver.act("order.deny", 1, {"order": "0c", "reason": "bug"}, operator)
    with pytest.raises(Refused, match="fault"):
        await bad
    assert (await before).seq < (await good).seq
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


# --- strangers and bad manners at the door ------------------------------------


async def knock(nodes: Nodes, *frames: bytes | str, context: Any = None) -> str:
    """Open a link as the station's key would, send frames, and hear why it ends."""
    await nodes.station.client.stop()
    context = context or nodes.station.client._context
    port = nodes.switch._target_port
    url = f"wss://127.0.0.1:{port}/"
    async with connect(url, ssl=context, proxy=None, max_size=None) as connection:
        for frame in frames:
            await connection.send(frame)
        with contextlib.suppress(ConnectionClosed):
            async for data in connection:
                message = decode(bytes(data))  # type: ignore[arg-type]
                if isinstance(message, Bye):
                    return message.code
    return str(connection.close_code)


@pytest.mark.feature("SE-09", "SY-15")
async def test_link_that_sends_what_is_no_frame_ends_and_is_noted(nodes: Nodes) -> None:
    """Text, noise, and more than any frame may hold; the others sell on."""
    told: list[str] = []
    hook = nodes.server.driver.on_alarm

    def note(code: str, details: dict[str, Any]) -> None:
        told.append(code)
        hook(code, details)

    nodes.server.driver.on_alarm = note
    assert await knock(nodes, "text") == "bad-type"
    assert await knock(nodes, b"\xc1") == "not-msgpack"
    assert await knock(nodes, bytes(5 << 20)) == "1009"
    await until(lambda: "too-large" in told)
    assert {"bad-type", "not-msgpack"} <= set(told)
    nodes.station.client.start()
    order = await sell(nodes)
    await until(lambda: nodes.server.tables.table("orders").peek(order))


@pytest.mark.feature("SE-01", "SE-06")
async def test_certificate_that_is_not_paired_is_refused_and_noted(nodes: Nodes) -> None:
    """A stranger's at the handshake, one that is known no more right behind it."""
    told: list[str] = []
    nodes.server.driver.on_alarm = lambda code, details: told.append(details.get("what", ""))
    private, certificate = make_certificate(b"x" * 16)
    stranger = pinned_context(
        server=False,
        private_key=private,
        certificate=certificate,
        trusted=[nodes.server.keys.certificate],
    )
    with contextlib.suppress(OSError, WebSocketException, EOFError):
        await knock(nodes, b"x", context=stranger)
    await until(lambda: told)
    blind = pinned_context(
        server=False, private_key=private, certificate=certificate, trusted=[certificate]
    )
    with pytest.raises(ssl.SSLError):
        await knock(nodes, b"x", context=blind)
    nodes.server._trusted.clear()
    with contextlib.suppress(OSError, WebSocketException, EOFError):
        await knock(nodes, b"x")
    await until(lambda: "a certificate that is not paired any more" in told)


@pytest.mark.feature("SE-01")
async def test_station_sends_nothing_to_a_server_with_another_certificate(nodes: Nodes) -> None:
    """Even where its context would trust it."""
    client = nodes.station.client
    await client.stop()
    client._server_pin = bytes(32)
    client.start()
    await until(lambda: client.problem == "unpaired")
    await client.stop()
    client._address = lambda: ("127.0.0.1", 1)
    client.start()
    await until(lambda: "Error" in client.problem)
    fresh = Client(nodes.station.driver, client._context, b"", b"", client._address)
    await fresh.stop()


@pytest.mark.feature("SY-14")
async def test_link_that_held_long_begins_its_pauses_anew(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pauses grow with every try that fails; a station that was on line for long waits like one
    that has just begun."""
    monkeypatch.setattr("sync.client.LONGEST_DELAY_S", 0.05)
    await nodes.station.client.stop()
    real, pauses = asyncio.timeout, []

    def bounded(pause_s: float) -> asyncio.Timeout:
        pauses.append(pause_s)
        return real(pause_s)

    holds = iter((0.1, 0, 0, 0.1))
    done = asyncio.Event()

    class Scripted(Client):
        async def _once(self) -> None:
            held_s = next(holds, None)
            if held_s is None:
                done.set()
                await asyncio.Event().wait()
            elif held_s:
                await asyncio.sleep(held_s)

    client = nodes.station.client
    scripted = Scripted(
        nodes.station.driver, client._context, b"", b"", client._address, jitter=lambda: 0.5
    )
    monkeypatch.setattr("sync.client.asyncio.timeout", bounded)
    scripted.start()
    await done.wait()
    monkeypatch.undo()
    await scripted.stop()
    assert pauses == [FIRST_DELAY_S, 0.05, 0.05, FIRST_DELAY_S]


async def test_watch_that_broke_does_not_keep_a_station_from_closing(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its logs are closed and its folder is free all the same."""
    monkeypatch.setattr(nodes.station, "tell", lambda names: 1 / 0)
    nodes.switch.cut()
    watch = nodes.station._watch
    assert watch is not None
    await until(watch.done)
    monkeypatch.undo()
    await nodes.station.stop()
    again = open_folder(nodes.station.folder)
    await again.stop()


@pytest.mark.feature("SY-15")
async def test_peer_that_does_not_read_is_dropped(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is buffered without a limit."""
    monkeypatch.setattr("sync.link.MAX_QUEUED_BYTES", 10)
    wire = next(iter(nodes.server.driver._wires.values()))
    wire.send(Bye("a goodbye that is longer than the whole queue"))
    await until(lambda: not nodes.station.online)
    monkeypatch.undo()
    await until(lambda: nodes.station.online)


async def test_question_that_is_refused_is_answered_with_its_code(nodes: Nodes) -> None:
    """A question that nobody knows."""
    with pytest.raises(Refused, match="unknown-question"):
        await ask(nodes, "no such thing")


async def test_node_that_stops_ends_its_tasks(nodes: Nodes) -> None:
    """An answer under way does not hold it up."""
    never = asyncio.Event()

    async def wait(peer: bytes, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        await never.wait()
        return {}

    nodes.server.driver.on_inquire = wait
    asked = nodes.station.driver.ask("operator.keys", {})
    await until(lambda: nodes.server.driver._tasks)
    await nodes.server.driver.stop()
    await until(lambda: not nodes.server.driver._tasks)
    with pytest.raises(Disconnected):
        async with asyncio.timeout(5):
            await asked


# --- before sign-on ----------------------------------------------------------


def door_of(nodes: Nodes) -> Any:
    (door,) = nodes.server._listener.sockets  # type: ignore[union-attr]
    return getattr(door, "_sock", door)


@pytest.mark.feature("SE-10")
async def test_silent_sockets_cost_the_honest_nothing(nodes: Nodes) -> None:
    """A hundred from elsewhere say nothing: eight are let in for three seconds; a station comes and goes
    meanwhile, and in the end nobody is left."""
    door = door_of(nodes)
    port = door.getsockname()[1]
    flood = []
    for _ in range(100):
        silent = socket.socket()
        silent.bind(("127.0.0.2", 0))
        silent.setblocking(False)
        silent.connect_ex(("127.0.0.1", port))
        flood.append(silent)
    nodes.switch.cut()
    await until(lambda: not nodes.station.online)
    assert 0 < door.strangers["127.0.0.2"] <= 8
    nodes.switch.join()
    nodes.station.client.hurry()
    await until(lambda: nodes.station.online, 2)
    await until(lambda: not door.strangers)
    for silent in flood:
        silent.close()


@pytest.mark.feature("SE-10")
async def test_strangers_from_everywhere_are_bounded_too(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many addresses they come from."""
    monkeypatch.setattr("sync.server.STRANGERS", 3)
    door = door_of(nodes)
    port = door.getsockname()[1]
    flood = []
    for at in range(2, 12):
        silent = socket.socket()
        silent.bind((f"127.0.0.{at}", 0))
        silent.setblocking(False)
        silent.connect_ex(("127.0.0.1", port))
        flood.append(silent)
    await until(lambda: door.strangers.total() == 3)
    await asyncio.sleep(0.05)
    assert door.strangers.total() == 3
    for silent in flood:
        silent.close()
    await until(lambda: not door.strangers)


@pytest.mark.feature("SE-10")
async def test_hello_that_is_too_long_ends_the_link(nodes: Nodes) -> None:
    """Large frames are for those who have signed on."""
    assert await knock(nodes, bytes(200_000)) == "too-large"


def test_port_that_is_taken_is_an_error() -> None:
    """The caller says so in words; nothing is left open."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        open_door("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(OSError, match="70000"):
        open_door("127.0.0.1", 70_000)
