"""The windows of a customers' PC: the whole screen while it is locked, a small one in a session.

A page cannot change the window it is in, so there are two, of the same address: whichever is not
wanted is closed. What keeps people from closing the first one is the operating system's to do.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from node.api import ClientNode

SIZE = (392, 688)
LOOK_S = 0.3

Open = Callable[[list[str]], "subprocess.Popen[bytes]"]


def command_of(browser: str, url: str, profile: Path, *, locked: bool) -> list[str]:
    """How a window is opened: full screen, or small."""
    shared = [
        browser,
        f"--user-data-dir={profile}",
        "--no-first-run",
        "--disable-features=Translate",
    ]
    if locked:
        return [*shared, "--kiosk", url]
    return [*shared, f"--app={url}", f"--window-size={SIZE[0]},{SIZE[1]}"]


class Kiosk:
    """Keeps the right window open; one that was closed is opened again."""

    def __init__(self, node: ClientNode, url: str, browser: str, run: Open | None = None) -> None:
        self._node, self._url, self._browser = node, url, browser
        self._run: Open = run or _run
        self._window: subprocess.Popen[bytes] | None = None
        self._locked: bool | None = None

    async def follow(self) -> None:
        """Until it is cancelled."""
        with tempfile.TemporaryDirectory(
            prefix="cabina-window-", ignore_cleanup_errors=True
        ) as place:
            try:
                while True:
                    self.look(Path(place))
                    await asyncio.sleep(LOOK_S)
            finally:
                self._close()

    def look(self, place: Path) -> None:
        """Open the window that is wanted now, if it is not."""
        locked = not self._node.unlocked
        gone = self._window is None or self._window.poll() is not None
        if locked == self._locked and not gone:
            return
        self._close()
        self._locked = locked
        profile = place / ("locked" if locked else "session")
        self._window = self._run(command_of(self._browser, self._url, profile, locked=locked))

    def _close(self) -> None:
        if self._window is not None and self._window.poll() is None:
            self._window.terminate()


def _run(command: list[str]) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603 - our own list
