"""How quick the screens are, as ratios of one run: `python -m tests.bench.screens [search] [click]`.

search   a key in the search of 20,000 products, against the same with 100, on the real session without a
         browser: until what changed has been packed for the client
click    a click on a tile until the new total stands on the screen, against a click on an empty page's
         button until its count does, both in Chromium
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import flet as ft
from playwright.async_api import async_playwright

from node import sample
from node.bootstrap import create_cafe
from node.cli import collect_seldom
from node.control import LocalDoor
from node.roles.server import ServerNode
from tests.e2e.conftest import CHROMIUM
from tests.support.nodes import PASSWORD
from tests.support.screen import Screen
from ui.shell import open_page
from ui.web import serving

FEW, MANY = 100, 20_000
WORDS = ("latte", "product 12", "19", "prod", "zebra")
CLICKS, WARM = 120, 10


async def _cafe(folder: Path, count: int) -> ServerNode:
    node = await create_cafe(
        folder,
        name="Bench",
        currency=sample.CURRENCY,
        language="en",
        administrator="Ana",
        password=PASSWORD,
        printer=None,
        port=0,
        decimals=0,
    )
    products = sample.products("en")
    products += [
        {"sku": f"P{at:05d}", "name": f"Product {at}", "price_minor": 10_000 + at}
        for at in range(count - len(products))
    ]
    await LocalDoor(node).call("import_catalogue", products=products)
    return node


async def search() -> tuple[float, float]:
    """Median seconds a key with (few, many) products."""
    with TemporaryDirectory() as scratch:
        nodes = [await _cafe(Path(scratch) / str(count), count) for count in (FEW, MANY)]
        few, many = (Screen(lambda page, node=node: open_page(page, node)) for node in nodes)
        times: dict[Screen, list[float]] = {few: [], many: []}
        async with few, many:
            for turn in range(6):  # the first is to get warm
                for word in WORDS:
                    for screen in (few, many):
                        found = await _keys(screen, word)
                        times[screen] += found if turn else []
        for node in nodes:
            await node.stop()
    return statistics.median(times[few]), statistics.median(times[many])


async def _keys(screen: Screen, word: str) -> list[float]:
    """Seconds of each key of a word, from an empty field on, that changed the screen."""
    found = []
    for end in range(len(word) + 1):
        control = screen.find("search")
        screen.session.apply_patch(control._i, {"value": word[:end]})
        before = screen.messages
        began = time.perf_counter()
        await screen.session.dispatch_event(control._i, "change", word[:end])
        while screen.messages == before:
            await asyncio.sleep(0)
            if time.perf_counter() - began > 1:  # nothing changed on the screen
                break
        else:
            found.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return found


def _empty(page: ft.Page) -> None:
    count = ft.Text("0")
    shown = ft.Semantics(identifier="count", label="0", content=count)

    def clicked(e: Any) -> None:
        count.value = shown.label = str(int(count.value) + 1)
        page.update()

    button = ft.Semantics(
        identifier="button",
        button=True,
        content=ft.GestureDetector(
            ft.Container(ft.Text("Add"), width=136, height=136), on_tap=clicked
        ),
    )
    page.add(button, shown)


async def click() -> tuple[float, float]:
    """95th percentile of seconds of (an empty page's click, a click on a tile)."""
    with TemporaryDirectory() as scratch:
        node = await _cafe(Path(scratch), FEW)
        async with (
            serving(_empty) as empty_url,
            serving(lambda page: open_page(page, node)) as url,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            empty = await _opened(browser, empty_url)
            sell = await _opened(browser, url)
            times: dict[str, list[float]] = {"empty": [], "sell": []}
            for _ in range(CLICKS):
                times["empty"].append(await _click(empty, "button", "count"))
                times["sell"].append(await _click(sell, "tile-COLA", "total"))
            await browser.close()
        await node.stop()
    tail = {name: statistics.quantiles(found[WARM:], n=20)[-1] for name, found in times.items()}
    return tail["empty"], tail["sell"]


async def _opened(browser: Any, url: str) -> Any:
    page = await browser.new_page(viewport={"width": 1366, "height": 768})
    await page.goto(url)
    await page.wait_for_selector("flt-semantics-placeholder", state="attached")
    await page.evaluate("document.querySelector('flt-semantics-placeholder').click()")
    await asyncio.sleep(3)
    return page


_WAIT = """([name, before]) => {
    const node = document.querySelector(`[flt-semantics-identifier="${name}"]`);
    return node && (node.getAttribute("aria-label") || node.textContent) !== before;
}"""
_TEXT = """(name) => {
    const node = document.querySelector(`[flt-semantics-identifier="${name}"]`);
    return node.getAttribute("aria-label") || node.textContent;
}"""


async def _click(page: Any, what: str, shown: str) -> float:
    before = await page.evaluate(_TEXT, shown)
    place = await page.locator(f'[flt-semantics-identifier="{what}"]').bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    began = time.perf_counter()
    await page.mouse.click(x, y)
    await page.wait_for_function(_WAIT, arg=[shown, before], polling="raf")
    spent = time.perf_counter() - began
    await asyncio.sleep(0.05)
    return spent


ROWS = {"search": (search, 1.5), "click": (click, 1.5)}


def main(names: list[str]) -> int:
    collect_seldom()  # as a node with a screen runs
    for name in names or list(ROWS):
        measure, at_most = ROWS[name]
        floor, ours = asyncio.run(measure())
        print(
            f"{name:8} {ours / floor:5.2f}×  (at most {at_most}×)  "
            f"{ours * 1000:.1f} ms against {floor * 1000:.1f} ms",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
