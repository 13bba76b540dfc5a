"""Folders that are put back from copies or used twice: real nodes, files, sockets and paper."""

from __future__ import annotations

import shutil

import pytest

from node.shows import show
from sync.errors import Refused
from tests.support.nodes import PASSWORD, until
from tests.support.town import Town, rows, sell

ORDERS = 500
"""That each of two stations sells behind the copy: a thousand are lost."""


@pytest.mark.timeout(300)
@pytest.mark.feature("SY-07", "SY-02", "SY-16")
async def test_server_put_back_from_before_a_thousand_orders_gets_them_all_back(town: Town) -> None:
    """Each with its recorded outcome, none printed again, though the desk sold meanwhile; who is absent is
    waited for or overridden, and what they bring later is an exception."""
    await town.open("one", "two", "three")
    assert town.server is not None
    await sell(town.stations["one"], 10)
    await until(lambda: town.papers() == 10)
    shutil.copytree(town.folder / "server", town.folder.parent / "copy")
    for name in ("one", "two"):
        await sell(town.stations[name], ORDERS)
    everybody = [town.server, *town.stations.values()]
    await until(lambda: town.papers() == 10 + 2 * ORDERS, 120)
    await until(lambda: all(len(rows(n)) == 10 + 2 * ORDERS for n in everybody))
    head = town.server.hub.head.n
    await until(lambda: all(s.replica.canon.n >= head for s in town.stations.values()))
    await town.stop("one", "two")
    await sell(town.server)
    await until(lambda: town.papers() == 11 + 2 * ORDERS)
    await until(lambda: town.stations["three"].replica.canon == town.server.hub.head)
    before = rows(town.server)
    await town.stop("three")
    await town.stop_server()
    shutil.rmtree(town.folder / "server")
    shutil.copytree(town.folder.parent / "copy", town.folder / "server")

    server = await town.start_server()
    assert len(rows(server)) == 10
    meanwhile = await sell(server)
    await until(lambda: town.papers() == 12 + 2 * ORDERS)
    with pytest.raises(Refused, match="stations-missing"):
        await server.submit("box.close", {})
    for name in ("one", "two"):
        await town.start(name)
    await until(lambda: len(server.missing()) == 1)
    orders = rows(server)
    assert len(orders) == 11 + 2 * ORDERS
    for order, row in orders.items():
        if order not in meanwhile:
            assert row == before[order]
    await until(lambda: len(rows(town.stations["one"])) == len(orders))
    assert town.papers() == 12 + 2 * ORDERS, "nothing is printed twice"
    assert {row["state"] for row in rows(server, "prints").values()} <= {"printed", "unknown"}

    with pytest.raises(Refused, match="stations-missing"):
        await server.submit("box.close", {})
    await server.submit("station.override", {"station": server.missing()[0]})
    await server.submit("box.close", {})
    await until(lambda: town.papers() == 13 + 2 * ORDERS)
    three = await town.start("three")
    await until(lambda: three.online and set(before) <= set(rows(server)))
    (late,) = [r for r in show(server, "exceptions", {}, None) if r["code"] == "collected-late"]
    assert late["ref"] == next(iter(set(before) - set(orders)))
    nodes = [server, three, *town.stations.values()]
    await until(lambda: len({n.tables.digest() for n in nodes if not n.tables.pending}) == 1)
    await until(lambda: not any(n.tables.pending for n in nodes))
    assert town.papers() == 13 + 2 * ORDERS
    assert not server.missing()
    await town.close()
    town.verify()


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-06")
async def test_station_folder_used_on_two_machines_loses_and_doubles_nothing(town: Town) -> None:
    """Both sell on; every order is there once; the owner is told."""
    await town.open("one")
    assert town.server is not None
    server = town.server
    first = town.stations["one"]
    sold = await sell(first, 5)
    shutil.copytree(
        first.folder, town.folder / "two", ignore=shutil.ignore_patterns("lock", "control*")
    )
    second = await town.start("two")
    await until(lambda: second.online and first.online)
    await second.sign_in("Noa Ruiz", PASSWORD)
    sold += await sell(first, 20)
    sold += await sell(second, 20)
    await until(lambda: set(rows(server)) == set(sold))
    for link in server.hub.links.values():
        link.since_ms -= 10_000  # they have been there for a while
    sold += await sell(first, 1) + await sell(second, 1)
    await until(lambda: any(n["code"] == "alarm-cloned" for n in server.notices))
    await until(lambda: [r for r in show(server, "incidents", {}, None) if r["code"] == "cloned"])
    await until(lambda: not first.tables.pending and not second.tables.pending)
    await until(lambda: len({n.tables.digest() for n in (server, first, second)}) == 1)
    assert set(rows(server)) == set(sold)
    await until(lambda: town.papers() == len(sold))


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-06")
async def test_station_put_back_from_a_copy_gets_its_orders_back(town: Town) -> None:
    """What the server has of it comes back; it sells on; a person is told."""
    await town.open("one")
    assert town.server is not None
    server = town.server
    sold = await sell(town.stations["one"], 5)
    await until(lambda: len(rows(server)) == 5)
    shutil.copytree(town.folder / "one", town.folder.parent / "copy")
    sold += await sell(town.stations["one"], 20)
    await until(lambda: len(rows(server)) == 25)
    await town.stop("one")
    shutil.rmtree(town.folder / "one")
    shutil.copytree(town.folder.parent / "copy", town.folder / "one")
    one = await town.start("one")
    await one.sign_in("Noa Ruiz", PASSWORD)
    sold += await sell(one)
    await until(lambda: set(rows(server)) == set(sold) == set(rows(one)))
    await until(lambda: any(n["code"] == "alarm-station-restored" for n in server.notices))
    await until(lambda: not one.tables.pending and one.tables.digest() == server.tables.digest())


@pytest.mark.timeout(120)
@pytest.mark.feature("SE-06")
async def test_orders_of_a_revoked_station_are_kept_as_refused(town: Town) -> None:
    """They are in the log, visible, and count nowhere."""
    await town.open("one")
    assert town.server is not None
    server, one = town.server, town.stations["one"]
    await one.client.stop()
    await until(lambda: not server.hub.online())
    (order,) = await sell(one)
    await server.submit("station.revoke", {"station": one.node_id})
    one.client.start()
    await until(lambda: rows(server, "refusals"))
    (refusal,) = [r for r in rows(server, "refusals").values() if r["kind"] == "order.place"]
    assert (refusal["code"], refusal["key"]) == ("revoked", order)
    assert not rows(server)
    await until(lambda: one.client.problem == "revoked")
