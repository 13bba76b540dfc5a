"""Renders the screens in their states to PNG: `python tests/screens/gallery.py [folder]`.

A demo café runs for each language; Chromium draws it in both themes and several sizes. Whoever changes a
screen looks at these pictures, beside those of the design.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.async_api import async_playwright
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

from node.control import LocalDoor  # noqa: E402
from tests.e2e.conftest import CHROMIUM, Running, by_id  # noqa: E402
from tests.support.hall import Hall, hall  # noqa: E402
from tests.support.history import cafe_with_history  # noqa: E402
from tests.support.nodes import until  # noqa: E402
from ui.client_page import open_client_page  # noqa: E402
from ui.shell import open_page  # noqa: E402
from ui.web import serving  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
SIZES = ((1024, 600), (1366, 768), (1920, 1080))
SETTLE_S = 0.8


def shoot(page: Any, folder: Path, name: str) -> None:
    """A picture once the pixels have followed the semantics."""
    page.mouse.move(2, 2)  # away from what would show a tooltip
    time.sleep(SETTLE_S)
    page.screenshot(path=folder / f"{name}.png")
    print(folder / f"{name}.png")


def open_sized(browser: Any, url: str, size: tuple[int, int]) -> Any:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(url)
    page.wait_for_selector("flt-semantics-placeholder", state="attached", timeout=60_000)
    page.evaluate("document.querySelector('flt-semantics-placeholder').click()")
    time.sleep(SETTLE_S)
    return page


def fill_basket(page: Any) -> None:
    for sku in ("LATTE", "LATTE", "EMPANADA", "COLA", "PRINT-BW"):
        by_id(page, f"tile-{sku}").click()


def draw(browser: Any, demo: Running, folder: Path, language: str, size: tuple[int, int]) -> None:
    """All pictures of one language and size."""
    mark = f"{language}-{size[0]}"
    board = open_sized(browser, demo.urls["demo"], (1366, 768))
    station = open_sized(browser, demo.urls["station-2"], size)
    server = open_sized(browser, demo.urls["server"], size)
    fill_basket(station)
    shoot(station, folder, f"sell-online-{mark}")
    station.keyboard.press("Enter")
    time.sleep(SETTLE_S)
    fill_basket(server)
    shoot(server, folder, f"sell-server-incoming-{mark}")
    server.keyboard.press("Enter")
    time.sleep(SETTLE_S)
    by_id(board, "cable-1").click()
    time.sleep(1.5)
    for _ in range(2):
        by_id(station, "tile-TEA").click()
        station.keyboard.press("Enter")
        time.sleep(SETTLE_S)
    fill_basket(station)
    shoot(station, folder, f"sell-offline-{mark}")
    shoot(board, folder, f"demo-{mark}")
    by_id(station, "theme").click()
    shoot(station, folder, f"sell-offline-dark-{mark}")
    station.keyboard.press("F6")
    shoot(station, folder, f"my-orders-dark-{mark}")
    by_id(station, "theme").click()
    shoot(station, folder, f"my-orders-{mark}")
    server.keyboard.press("F6")
    shoot(server, folder, f"queue-{mark}")
    draw_shop(server, folder, mark)
    server.keyboard.press("F7")
    by_id(server, "field-100000").click()
    server.keyboard.type("4")
    shoot(server, folder, f"box-count-{mark}")
    by_id(server, "theme").click()
    shoot(server, folder, f"box-count-dark-{mark}")
    for button in ("forward",) * 3:
        by_id(server, button).click()
        time.sleep(SETTLE_S)
    shoot(server, folder, f"box-z-dark-{mark}")
    by_id(server, "theme").click()
    shoot(server, folder, f"box-z-{mark}")
    server.keyboard.press("F6")
    by_id(server, "theme").click()
    shoot(server, folder, f"queue-dark-{mark}")
    by_id(server, "theme").click()
    by_id(board, "cable-1").click()
    for page in (station, server, board):
        page.close()


def draw_shop(server: Any, folder: Path, mark: str) -> None:
    """Discounts, open box, catalogue and exceptions, in both themes."""
    server.keyboard.press("F5")
    for sku in ("LATTE", "EMPANADA"):
        by_id(server, f"tile-{sku}").click()
    by_id(server, "discount").click()
    for theme in ("", "dark-"):
        shoot(server, folder, f"sell-discount-{theme}{mark}")
        by_id(server, "theme").click()
    by_id(server, "clear").click()
    for key, name in (("F10", "cash"), ("F2", "catalogue"), ("F3", "exceptions")):
        server.keyboard.press(key)
        time.sleep(SETTLE_S)
        if name == "cash":
            by_id(server, "cash-in").click()
        if name == "catalogue":
            by_id(server, "product-COLA").click()
        for theme in ("", "dark-"):
            shoot(server, folder, f"{name}-{theme}{mark}")
            by_id(server, "theme").click()


OFFICE = {
    "sales": (),
    "prints": (),
    "stations": (),
    "audit": (),
    "settings": ("selling", "methods", "printing", "people", "safety"),
}
"""Screen of the office → its sections beside the first."""


async def draw_office(folder: Path, scratch: Path, language: str) -> None:
    """The office's screens of a café with ten days behind it, in each size and both themes."""
    async with (
        cafe_with_history(scratch, language) as node,
        serving(lambda page: open_page(page, node)) as url,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for size in SIZES:
            page = await browser.new_page(viewport={"width": size[0], "height": size[1]})
            await page.goto(url)
            await page.wait_for_selector("flt-semantics-placeholder", state="attached")
            await page.evaluate("document.querySelector('flt-semantics-placeholder').click()")
            await asyncio.sleep(2)
            await Office(page, folder, f"{language}-{size[0]}").draw(node)
            await page.close()
        await browser.close()


class Office:
    """One page at one size."""

    def __init__(self, page: Any, folder: Path, mark: str) -> None:
        self._page, self._folder, self._mark = page, folder, mark

    async def click(self, name: str) -> None:
        await self._page.locator(f'[flt-semantics-identifier="{name}"]').click()
        await asyncio.sleep(SETTLE_S)

    async def go(self, screen: str) -> None:
        rail = self._page.locator(f'[flt-semantics-identifier="rail-{screen}"]')
        if await rail.count():
            await self.click(f"rail-{screen}")
        else:
            await self.click("rail-more")
            await self.click(f"more-{screen}")

    async def shoot(self, name: str) -> None:
        """In both themes."""
        for theme in ("", "dark-"):
            await self._page.mouse.move(2, 2)
            await asyncio.sleep(SETTLE_S)
            path = self._folder / f"{name}-{theme}{self._mark}.png"
            await self._page.screenshot(path=path)
            print(path)
            await self.click("theme")
        await self._page.mouse.move(2, 2)  # its tooltip would lie over the button beside it
        await asyncio.sleep(SETTLE_S)

    async def picture(self, name: str) -> None:
        """As it is; the customers' pages have one theme."""
        await self._page.mouse.move(2, 2)
        await asyncio.sleep(SETTLE_S)
        path = self._folder / f"{name}-{self._mark}.png"
        await self._page.screenshot(path=path)
        print(path)

    async def draw(self, node: Any) -> None:
        await self.go("reports")
        await self.shoot("reports-day")
        await self.click("period-month")
        await self.click("by-product")
        await self.shoot("reports")
        for screen, sections in OFFICE.items():
            await self.go(screen)
            if screen == "sales":
                (newest,) = node.tables.table("orders").latest("taken_ms", 1)
                await self.click(f"sale-{newest.doc_id}")
            if screen == "audit":
                await self.click("group-sale.")
            await self.shoot(screen)
            for section in sections:
                await self.click(f"section-{section}")
                if section == "people":
                    rows = node.tables.table("operators").scan()
                    who = next(i for i, row in rows if row["role"] == "cashier")
                    await self.click(f"person-{who}")
                await self.shoot(f"settings-{section}")
        await self.draw_club(node)
        for tab in ("discounts", "count"):
            await self.go("catalogue")
            await self.click(f"tab-{tab}")
            await self.shoot(f"catalogue-{tab}")
        await self.click("me")
        await self.shoot("me")

    async def draw_club(self, node: Any) -> None:
        """Customers and PIN cards."""
        await self.go("customers")
        await self.shoot("customers")
        people = node.tables.table("people").scan()
        maria = next(i for i, row in people if row["user"] == "maria.solano")
        await self.click(f"customer-{maria}")
        await self.shoot("customer")
        for tab in ("data", "lock", "redeem"):
            await self.click(f"tab-{tab}")
            await self.shoot(f"customer-{tab}")
        await self.click("customers-back")
        await self.click("customer-new")
        await self.shoot("customer-new")
        await self.click("customers-tab-profiles")
        await self.click("profile-EST")
        await self.shoot("customers-profiles")
        await self.click("customers-tab-offers")
        await self.click("offers-new")
        await self.shoot("customers-offers")
        await self.click("customers-tab-people")
        await self.go("pins")
        for tab in ("make", "stock", "tracking", "profiles"):
            await self.click(f"tab-{tab}")
            await self.shoot(f"pins-{tab}")
        await self.go("sell")
        await self.click("customer")
        await self.shoot("sell-customer")
        await self.click(f"pick-{maria}")
        await self.click("tile-LATTE")
        await self.click("method-credit")
        await self.shoot("sell-credit")
        await self.click("clear")


FLOOR_PCS = 24


async def draw_floor(folder: Path, scratch: Path, language: str) -> None:
    """The floor of 24 PCs, PCs and rates, and the customers' own pages in their states."""
    async with (
        hall(scratch, FLOOR_PCS, language=language) as h,
        serving(lambda page: open_page(page, h.server)) as desk,
        serving(lambda page: open_client_page(page, h.pcs[1])) as one,
        serving(lambda page: open_client_page(page, h.pcs[3])) as three,
        async_playwright() as playwright,
    ):
        await _fill_floor(h)
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for size in SIZES:
            pages = [await _open(browser, url, size) for url in (desk, one, three)]
            mark = f"{language}-{size[0]}"
            office = Office(pages[0], folder, mark)
            await office.go("floor")
            await office.click("pc-1")
            await office.shoot("floor")
            await office.click("pc-3")
            await office.shoot("floor-free")
            await office.click("do-prepaid")
            await office.shoot("floor-prepaid")
            await office.click("floor-leave")
            await office.click("pc-11")
            await office.click("owed-11")
            await office.shoot("floor-pay")
            await office.click("floor-leave")
            await office.click("pc-12")
            await office.shoot("floor-unused")
            await office.click("pc-6")
            await office.click("do-reserve")
            await office.shoot("floor-reserve")
            await office.click("floor-leave")
            await office.click("do-give-up-0")
            await office.shoot("floor-give-up")
            await office.click("floor-leave")
            await office.click("go-pcs")
            await office.shoot("pcs")
            await office.click("pcs-tab-rates")
            await office.click("rate-row-STD")
            await office.shoot("rates")
            await office.go("floor")
            client = Office(pages[1], folder, mark)
            await client.picture("client-session")
            for panel in ("redeem", "order", "end"):
                await client.click(f"client-{panel}")
                await client.picture(f"client-{panel}")
                await client.click("client-leave")
            locked = Office(pages[2], folder, mark)
            await locked.picture("client-locked")
            await locked.click("client-tab-pin")
            await pages[2].keyboard.type("A7K", delay=150)
            await locked.picture("client-pin")
            await locked.click("client-tab-user")
            for page in pages:
                await page.close()
        small = await _open(browser, one, (392, 688))
        await Office(small, folder, f"{language}-392").picture("client-session")
        await browser.close()


async def _open(browser: Any, url: str, size: tuple[int, int]) -> Any:
    page = await browser.new_page(viewport={"width": size[0], "height": size[1]})
    await page.goto(url)
    await page.wait_for_selector("flt-semantics-placeholder", state="attached")
    await page.evaluate("document.querySelector('flt-semantics-placeholder').click()")
    await asyncio.sleep(2)
    return page


async def _fill_floor(h: Hall) -> None:
    """PCs in every state that there is."""
    server, door = h.server, LocalDoor(h.server)
    await h.customer("maria.solano", 3_450, "Abcd1234")
    profile = {"sku": "CARD", "name": "Hour", "form": "card", "minutes": 60, "price_minor": 500}
    await server.submit("pin.profile", profile)
    await door.call("make_pins", profile="CARD", count=3, stock=True)
    pins = await door.call("look_at_pins", serials="1-3")
    await server.submit("order.place", {"lines": [{"sku": "CARD", "quantity": 3}]})
    await h.pcs[1].ask("sign-in", user="maria.solano", password="Abcd1234")
    await h.pcs[4].ask("pin", pin=pins[0]["pin"])
    for number in (2, 8, 11, 14, 17, 22, 23):
        await h.begin(number)
    await server.submit("settings.edit", {"return_prepaid": True})
    for number, amount in ((5, 250), (12, 400), (13, 150), (19, 400)):
        await h.begin(number, form="prepaid", amount_minor=amount)
    await h.run_s(2400)
    row = server.tables.table("pcs").peek(h.id_of(2)) or {}
    coffee = {"lines": [{"sku": "LATTE", "quantity": 2}], "session": row["session"]}
    pays = [{"method": "pc", "amount_minor": 220_000}]
    await server.submit("order.place", {**coffee, "payments": pays})
    ended = (server.tables.table("pcs").peek(h.id_of(11)) or {})["session"]
    await server.submit("session.end", {"session": ended})
    await h.pcs[12].end()
    paused = (server.tables.table("pcs").peek(h.id_of(14)) or {})["session"]
    await server.submit("session.pause", {"session": paused})
    await server.submit("pc.lock", {"pc": h.id_of(20), "locked": True})
    now_ms = server.clock.wall_ms()
    kept = {"pc": h.id_of(6), "name": "Ana", "from_ms": now_ms + 3_600_000, "minutes": 60}
    await server.submit("reservation.make", {**kept, "deposit_minor": 200})
    kept |= {"name": "Eva", "from_ms": now_ms + 3 * 86_400_000}
    await server.submit("reservation.make", kept)
    h.cut(9)
    h.cut(23)
    await until(lambda: not h.pcs[9].online and not h.pcs[23].online)
    await h.run_s(20)
    await h.pcs[1].ask("say", text="Thanks! One white coffee, please.")
    words = {"pc": h.id_of(1), "message": "Your print is ready: 4 pages."}
    await server.submit("pc.message", words)
    await h.pcs[1].ask("order", lines=[{"sku": "LATTE", "quantity": 1}])


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, TemporaryDirectory() as scratch:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for language in ("en", "es"):
            demo = Running(Path(scratch) / language, language)
            try:
                assert demo.ready.wait(60)
                for size in SIZES:
                    draw(browser, demo, folder, language, size)
            finally:
                demo.stop()
        browser.close()
    for language in ("en", "es"):
        with TemporaryDirectory() as scratch:
            asyncio.run(draw_floor(folder, Path(scratch), language))
        with TemporaryDirectory() as scratch:
            asyncio.run(draw_office(folder, Path(scratch), language))
    return 0


if __name__ == "__main__":
    sys.exit(main())
