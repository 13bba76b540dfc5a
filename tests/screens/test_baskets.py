"""Baskets outlive their page, and what was sold never stands in one again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node.roles.base import BASKETS_FILE
from tests.screens.test_screens import screen_of
from tests.support.nodes import Nodes
from ui import baskets, shell
from ui.viewmodels.sell import SellModel


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages look five times a second."""
    monkeypatch.setattr(shell, "CLOCK_S", 0.2)


def start_again(node: Any) -> None:
    """As after a crash of the process: no page of before is known."""
    baskets._shelves.pop(node, None)


@pytest.mark.feature("RP-02", "OP-04")
async def test_reload_and_restart_find_the_baskets_again(nodes: Nodes) -> None:
    """The one in the making with its discounts, the parked ones, and each once."""
    await nodes.server.submit(
        "discount.add", {"discount": "TEN", "name": "Ten", "form": "percent", "value": 1000}
    )
    node = nodes.server
    async with screen_of(node) as first:
        await first.click("tile-LATTE")
        await first.click("park")
        await first.click("tile-TEA")
        await first.click("discount")
        await first.click("discount-TEN")
        total = first.text("total")
        await first.cut()  # its browser loads it again
        async with screen_of(node) as second:
            assert second.text("total") == total and second.shows("1 parked")
            await first.come_back()
            assert first.text("total") == "₡0" and not first.shows("1 parked")
    start_again(node)
    async with screen_of(node) as third:
        assert third.text("total") == total and third.shows("1 parked")
        await third.click("charge")
    start_again(node)
    async with screen_of(node) as fourth:
        assert fourth.text("total") == "₡0" and fourth.shows("1 parked")
    assert len(node.tables.table("orders")) == 1


@pytest.mark.feature("RP-01")
@pytest.mark.parametrize("refuse", [False, True])
async def test_page_that_is_loaded_again_while_it_sells(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, refuse: bool
) -> None:
    """The next page has the basket, whatever becomes of its sale: gone once it is sold, even if it
    was sold by a page that is over; there if it was refused."""
    node = nodes.station
    submit = node.submit

    async def slow(kind: str, fields: dict[str, Any], key: bytes) -> Any:
        await asyncio.sleep(0.5)
        return await submit(kind, {**fields, "lines": []} if refuse else fields, key)

    async with screen_of(node) as screen:
        await screen.click("tile-LATTE")
        with monkeypatch.context() as slowly:
            slowly.setattr(node, "submit", slow)
            selling = asyncio.create_task(screen.click("charge"))
            await asyncio.sleep(0.1)
            await screen.cut()
            async with screen_of(node) as second:
                assert second.text("total") == "₡1,100"
                await selling
                await second.settle(0.5)
                assert second.text("total") == ("₡1,100" if refuse else "₡0")
                assert (b"LATTE" in node.kept_baskets()) is refuse
        await screen.come_back()
        assert screen.text("total") == "₡0"
    assert len(node.tables.table("orders")) == (not refuse)


async def test_windows_of_one_node_have_baskets_of_their_own(nodes: Nodes) -> None:
    """What is shown is not taken away, however often a connection breaks; what any of them sells is
    sold, and what any of them leaves is there for the next."""
    node = nodes.server
    async with screen_of(node) as older:
        await older.click("tile-LATTE")
        async with screen_of(node) as newer:
            assert newer.text("total") == "₡0"
            await newer.cut()
            await older.settle(0.5)
            await newer.come_back()
            await newer.click("tile-TEA")
            await older.cut()
            await newer.settle(0.5)
            await older.come_back()
            assert (older.text("total"), newer.text("total")) == ("₡1,100", "₡950")
            assert b"LATTE" in node.kept_baskets() and b"TEA" in node.kept_baskets()
            await older.click("charge")
            await older.settle(0.5)
            assert b"LATTE" not in node.kept_baskets() and b"TEA" in node.kept_baskets()
            await older.click("tile-COLA")
            await older.cut()  # and loaded again
            async with screen_of(node) as again:
                assert again.text("total") == "₡1,200"
        async with screen_of(node) as last:
            assert last.text("total") == "₡950" and last.shows("1 parked")
    assert len(node.tables.table("orders")) == 1


@pytest.mark.parametrize("data", [b"{}", b"\xff", b'[[{"items": 1}, []]]', b"[null", None])
async def test_file_that_cannot_be_read_is_an_empty_basket(
    nodes: Nodes, data: bytes | None
) -> None:
    """Nothing stops selling for it, nor for a folder in its place."""
    if data is None:
        (nodes.station.folder / BASKETS_FILE).mkdir()
    else:
        nodes.station.keep_baskets(data)
    async with screen_of(nodes.station) as screen:
        assert screen.text("total") == "₡0"
        await screen.click("tile-TEA")
        await screen.click("charge")
    assert len(nodes.station.tables.table("orders")) == 1


async def test_product_that_is_known_no_more_is_told_and_can_be_taken_out(nodes: Nodes) -> None:
    """A basket of yesterday may hold what the café has no more."""
    nodes.station.keep_baskets(
        b'[[{"items": {"GONE": {"sku": "GONE"}}, "discounts": [], "at_ms": 0}, []]]'
    )
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-TEA")
        await screen.click("charge")
        assert screen.text("problem")
        await screen.click("clear")
        await screen.click("tile-TEA")
        await screen.click("charge")
    assert len(nodes.station.tables.table("orders")) == 1


@pytest.mark.feature("RP-01", "SE-01")
async def test_disk_that_refuses_to_forget_sells_nothing_twice(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in the file after a crash although it was sold is known by its order; and the log
    takes the key of a sale once."""
    node = nodes.server
    async with screen_of(node) as screen:
        await screen.click("tile-LATTE")
        await screen.settle(0.5)
        (kept,) = baskets._pages.decode(node.kept_baskets())
        with monkeypatch.context() as broken:
            broken.setattr(node, "keep_baskets", _full)
            await screen.click("charge")
            assert b"LATTE" in node.kept_baskets()
            start_again(node)
            async with screen_of(node) as second:
                assert second.text("total") == "₡0"
        key = bytes.fromhex(kept[0].key)
        again = await node.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]}, key)
        assert again.state == "done-before"
    assert len(node.tables.table("orders")) == 1


async def test_basket_that_was_sold_already_says_so(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the page's clock has seen it: the first touch sells nothing, and a person decides."""
    node = nodes.station
    async with screen_of(node) as screen:
        await screen.click("tile-LATTE")
        await screen.settle(0.5)
        ((basket, _),) = baskets._pages.decode(node.kept_baskets())
        monkeypatch.setattr(baskets.Keeper, "drop_sold", lambda keeper, node: None)
        tea = {"lines": [{"sku": "TEA", "quantity": 1}]}
        await node.submit("order.place", tea, bytes.fromhex(basket.key))
        await screen.click("charge")
        assert screen.text("problem") == "This was done already."
        assert screen.text("total") == "₡1,100" and len(node.tables.table("orders")) == 1
        await screen.click("charge")
        assert screen.text("total") == "₡0" and len(node.tables.table("orders")) == 2


async def test_file_is_written_again_after_a_disk_that_failed_behind_it(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows what it holds then."""
    node = nodes.server
    keep = node.keep_baskets

    def half(data: bytes) -> None:
        keep(data)
        raise OSError("the folder could not be synced")

    async with screen_of(node) as screen:
        with monkeypatch.context() as broken:
            broken.setattr(node, "keep_baskets", half)
            await screen.click("tile-LATTE")
            await screen.settle(0.5)
            assert b"LATTE" in node.kept_baskets()
        await screen.click("clear")
        await screen.settle(0.5)
        assert node.kept_baskets() == b""


async def test_page_that_ends_leaves_its_basket_at_once(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the next beat; and a node that is stopped writes what its pages have."""
    node = nodes.station
    monkeypatch.setattr(shell, "CLOCK_S", 60.0)
    async with screen_of(node) as screen:
        await screen.click("tile-LATTE")
        assert node.kept_baskets() == b""
    assert b"LATTE" in node.kept_baskets()
    start_again(node)
    async with screen_of(node) as second:
        assert second.text("total") == "₡1,100"
        await second.click("park")
        baskets.keep(node)
        assert b"LATTE" in node.kept_baskets() and b'"at_ms":0' not in node.kept_baskets()


def test_baskets_of_many_pages_lose_none() -> None:
    """Customer, discounts and key go with each; more than one page may park are kept all the same."""
    models = [SellModel(), SellModel(), SellModel()]
    for at, model in enumerate(models[:2]):
        for number in range(12):
            model.add(f"SKU{at}-{number}")
            model.park(number)
        model.add("LAST")
        model.customer, model.discounts = f"c{at}", ("TEN",)
    last = models[2]
    for model in models[:2]:
        last.adopt(model.basket(), model.parked, 99)
    assert (last.customer, last.discounts, last.key) == ("c0", ("TEN",), models[0].key)
    assert len(last.parked) == 25
    assert {name for one in last.parked for name in one.items} == {
        *(f"SKU{at}-{number}" for at in range(2) for number in range(12)),
        "LAST",
    }


def _full(data: bytes) -> None:
    raise OSError("no space")


async def test_disk_that_refuses_stops_no_sale(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Baskets are not kept then, and the log says so."""
    monkeypatch.setattr(nodes.station, "keep_baskets", _full)
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-TEA")
        await asyncio.sleep(0.5)
        await screen.click("charge")
    assert len(nodes.station.tables.table("orders")) == 1
    assert any("no space" in record.message for record in caplog.records)
    assert not (nodes.station.folder / BASKETS_FILE).exists()
