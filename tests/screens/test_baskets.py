"""Baskets outlive their page, and what was sold never stands in one again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node.roles.base import BASKETS_FILE
from tests.screens.test_screens import screen_of
from tests.support.nodes import Nodes
from ui import baskets, shell


@pytest.fixture(autouse=True)
def quick_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages look five times a second."""
    monkeypatch.setattr(shell, "CLOCK_S", 0.2)


def start_again(node: Any) -> None:
    """As after a start of the process: no page of before is known."""
    baskets._newest.pop(node, None)


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
        connection = first.session.connection
        connection.dispose = lambda: None  # type: ignore[method-assign]
        await first.session.disconnect(3600)  # its browser loads it again
        async with screen_of(node) as second:
            assert second.text("total") == total and second.shows("1 parked")
            await first.session.connect(connection)
            await first.settle()
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
async def test_crash_while_it_is_sold_puts_nothing_back(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order may be durable: what it holds is not in the file any more when it is written. One
    that was refused is kept again."""
    node = nodes.station
    async with screen_of(node) as screen:
        await screen.click("tile-LATTE")
        await screen.settle(0.5)
        kept = []
        submit = node.submit

        async def watched(kind: str, fields: dict[str, Any]) -> Any:
            kept.append(node.kept_baskets())
            return await submit(kind, {**fields, "lines": []})

        monkeypatch.setattr(node, "submit", watched)
        assert b"LATTE" in node.kept_baskets()
        await screen.click("charge")
        assert kept == [b""]
        await screen.settle(0.5)
        assert screen.text("problem") and b"LATTE" in node.kept_baskets()


async def test_second_window_has_baskets_of_its_own(nodes: Nodes) -> None:
    """What stands in a window that is still shown is not taken away; when the newer one goes, its
    basket is parked in the older."""
    async with screen_of(nodes.server) as first:
        await first.click("tile-LATTE")
        async with screen_of(nodes.server) as second:
            assert second.text("total") == "₡0"
            await second.click("tile-TEA")
            await first.settle(0.5)
            assert b"LATTE" not in nodes.server.kept_baskets()
        await first.settle(0.5)
        assert first.text("total") == "₡1,100" and first.shows("1 parked")
        kept = nodes.server.kept_baskets()
        assert b"LATTE" in kept and b"TEA" in kept


@pytest.mark.parametrize("data", [b"{}", b"\xff", b'[{"items": 1}, []]', b"[null"])
async def test_file_that_cannot_be_read_is_an_empty_basket(nodes: Nodes, data: bytes) -> None:
    """Nothing stops selling for it."""
    nodes.station.keep_baskets(data)
    async with screen_of(nodes.station) as screen:
        assert screen.text("total") == "₡0"
        await screen.click("tile-TEA")
        await screen.click("charge")
    assert len(nodes.station.tables.table("orders")) == 1


async def test_product_that_is_known_no_more_is_told_and_can_be_taken_out(nodes: Nodes) -> None:
    """A basket of yesterday may hold what the café has no more."""
    nodes.station.keep_baskets(
        b'[{"items": {"GONE": {"sku": "GONE"}}, "discounts": [], "at_ms": 0}, []]'
    )
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-TEA")
        await screen.click("charge")
        assert screen.text("problem")
        await screen.click("clear")
        await screen.click("tile-TEA")
        await screen.click("charge")
    assert len(nodes.station.tables.table("orders")) == 1


async def test_disk_that_refuses_stops_no_sale(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Baskets are not kept then, and the log says so."""

    def full(data: bytes) -> None:
        raise OSError("no space")

    monkeypatch.setattr(nodes.station, "keep_baskets", full)
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-TEA")
        await asyncio.sleep(0.5)
        await screen.click("charge")
    assert len(nodes.station.tables.table("orders")) == 1
    assert any("no space" in record.message for record in caplog.records)
    assert not (nodes.station.folder / BASKETS_FILE).exists()
