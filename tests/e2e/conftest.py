"""A real browser on a real demo: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; its absence skips a test only outside of CI. Playwright's loop ends with the module."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing in CI")
        pytest.skip("Chromium is not installed here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


class Running:
    """`cabina demo` in a process, and the addresses of its screens."""

    def __init__(self, folder: Path, language: str = "en") -> None:
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "ui.main", "demo", "--no-browser", "--language", language,
                "--data", str(folder),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )  # fmt: skip
        self.urls: dict[str, str] = {}
        self.ready = threading.Event()
        self.pids: dict[str, list[int]] = {}
        for stream, name in ((self.process.stdout, "demo"), (self.process.stderr, "")):
            threading.Thread(target=self._read, args=(stream, name), daemon=True).start()

    def _read(self, stream: Any, name: str) -> None:
        for line in stream:
            who, _, rest = line.strip().partition(": ")
            if name and line.startswith("http"):
                self.urls[name] = line.strip()
            elif rest.startswith("pid "):
                self.pids.setdefault(who, []).append(int(rest[4:].split(",")[0]))
            elif rest.startswith("http"):
                self.urls[who] = rest
            if len(self.urls) == 5:
                self.ready.set()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("demo"))
    try:
        assert running.ready.wait(60), running.urls
        yield running
    finally:
        running.stop()


def open_screen(browser: Any, url: str) -> Any:
    """A page with its semantics tree on; nothing outside this machine may be asked for."""
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.route(
        lambda asked: "127.0.0.1" not in asked and not asked.startswith(("data:", "blob:")),
        lambda route: route.abort(),
    )
    page.goto(url)
    page.wait_for_selector("flt-semantics-placeholder", state="attached", timeout=60_000)
    page.evaluate("document.querySelector('flt-semantics-placeholder').click()")
    return page


def by_id(page: Any, identifier: str) -> Any:
    return page.locator(f'[flt-semantics-identifier="{identifier}"]').first
