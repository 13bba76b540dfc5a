"""A customer at two real PCs in a real browser, and the operator at the floor."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import flet as ft
import pytest

from node.control import LocalDoor
from tests.e2e.conftest import by_id, open_screen
from tests.support.hall import Hall, hall
from tests.support.screen import cut_off
from ui.client_page import open_client_page
from ui.shell import open_page
from ui.web import serving

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


class Floor:
    """Two PCs and their server on a loop of their own, each with its page served."""

    def __init__(self, folder: Path) -> None:
        self.urls: dict[str, str] = {}
        self.pages: list[ft.Page] = []
        """Those of the server, as they were opened."""
        self.pin = self.code = ""
        self.hall: Hall
        self._folder, self._up, self._end = folder, threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._up.wait(60)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _serve(self) -> None:
        async with hall(self._folder, 2) as h:
            self.hall = h
            door = LocalDoor(h.server)
            profile = {
                "sku": "CARD",
                "name": "Hour",
                "form": "card",
                "minutes": 60,
                "price_minor": 500,
            }
            await h.server.submit("pin.profile", profile)
            await door.call("make_pins", profile="CARD", count=1, stock=True)
            await h.server.submit("order.place", {"lines": [{"sku": "CARD", "quantity": 1}]})
            self.pin = (await door.call("look_at_pins", serials="1"))[0]["pin"]
            self.code = h.code_of(await h.customer("maria", 2000))
            async with (
                serving(self._open_server) as server,
                serving(lambda page: open_client_page(page, h.pcs[1])) as one,
                serving(lambda page: open_client_page(page, h.pcs[2])) as two,
            ):
                self.urls = {"server": server, "pc-1": one, "pc-2": two}
                self._up.set()
                await self._end.wait()

    def _open_server(self, page: ft.Page) -> None:
        self.pages.append(page)
        open_page(page, self.hall.server)

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the floor's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(30)


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    made = Floor(tmp_path)
    yield made
    made.stop()


def type_in(page: Any, words: str, label: str = "") -> None:
    """As people do: into the field that has the focus, about as fast as they are."""
    if label:
        page.get_by_label(label).click()
    page.wait_for_function("document.activeElement?.tagName === 'INPUT'", timeout=15_000)
    page.wait_for_timeout(500)
    page.keyboard.type(words, delay=100)


@pytest.mark.feature("RC-04", "RC-10", "RC-17", "PN-10", "PC-02", "PC-04")
def test_customer_makes_a_password_redeems_orders_and_uses_a_pin_twice(
    browser: Any, floor: Floor
) -> None:
    """First password, redeem, order, end; a PIN on two PCs, the rest of it used later."""
    from playwright.sync_api import expect

    one, two = open_screen(browser, floor.urls["pc-1"]), open_screen(browser, floor.urls["pc-2"])
    server = open_screen(browser, floor.urls["server"])
    type_in(one, "maria", "User name")
    one.keyboard.press("Enter")
    expect(one.get_by_label("Code of your ticket")).to_be_visible()
    for label, words in (
        ("Password", "Abcd1234"),
        ("The same again", "Abcd1234"),
        ("Code of your ticket", floor.code),
    ):
        type_in(one, words, label)
    one.keyboard.press("Enter")
    expect(by_id(one, "time")).to_be_visible(timeout=15_000)
    by_id(one, "client-redeem").click()
    type_in(one, "20", "Points")
    by_id(one, "client-take").click()
    expect(one.get_by_text("Your minutes are here").first).to_be_visible()
    by_id(one, "client-order").click()
    by_id(one, "more-LATTE").click()
    expect(one.get_by_text("Send · €1,100.00").first).to_be_visible()
    by_id(one, "client-send-order").click()
    expect(one.get_by_text("Your order is at the desk").first).to_be_visible()
    server.keyboard.press("F6")
    waits = "1 White coffee"  # a label for who hears the page, once it stands with its buttons
    expect(server.get_by_text(waits).or_(server.get_by_label(waits)).first).to_be_visible()
    server.keyboard.press("Control+p")
    expect(server.get_by_role("button", name="maria").first).to_be_visible()
    by_id(one, "client-end").click()
    by_id(one, "client-sure").click()
    expect(by_id(one, "client-tab-pin")).to_be_visible(timeout=15_000)
    by_id(one, "client-tab-pin").click()
    type_in(one, floor.pin)
    one.keyboard.press("Enter")
    expect(by_id(one, "time")).to_be_visible(timeout=15_000)
    floor.do(floor.hall.run_s(600))
    by_id(one, "client-end").click()
    by_id(one, "client-sure").click()
    expect(by_id(one, "client-tab-pin")).to_be_visible(timeout=15_000)
    by_id(two, "client-tab-pin").click()
    type_in(two, floor.pin)
    two.keyboard.press("Enter")
    expect(by_id(two, "time")).to_contain_text("0:4", timeout=15_000)
    by_id(server, "pc-2").click()
    by_id(server, "do-end").click()
    expect(by_id(two, "client-tab-pin")).to_be_visible(timeout=15_000)
    by_id(server, "pc-1").click()
    server.wait_for_timeout(500)  # people look which PC it is that they start
    server.keyboard.press("Space")
    expect(by_id(one, "time")).to_be_visible(timeout=15_000)
    server.keyboard.press("Control+h")
    expect(server.get_by_label("PC number")).to_be_visible()
    for page in (one, two, server):
        page.close()


@pytest.mark.feature("RP-01")
def test_screen_whose_connection_broke_goes_on_where_it_was(browser: Any, floor: Floor) -> None:
    """The browser comes back by itself, twice; its basket stands, it answers, and it shows what has
    changed meanwhile."""
    from playwright.sync_api import expect

    server = open_screen(browser, floor.urls["server"])
    by_id(server, "tile-COFFEE").click()
    total = by_id(server, "total")
    before = total.text_content()
    for _ in range(2):
        floor.do(cut_off(floor.pages[0]))
        server.wait_for_timeout(3_000)
        by_id(server, "tile-COFFEE").click()
        expect(total).not_to_have_text(before)
        before = total.text_content()
    assert len(floor.pages) == 1, "it is the same session"
    floor.do(cut_off(floor.pages[0]))
    floor.do(_sign_out(floor))
    expect(by_id(server, "tile-COFFEE")).to_have_count(0, timeout=15_000)


async def _sign_out(floor: Floor) -> None:
    floor.hall.server.sign_out()
