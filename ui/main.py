"""The `cabina` command: opens what needs a screen, and hands all else to `node.cli`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

from node import cli
from node.api import ClientNode, Node


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit code."""
    frozen = getattr(sys, "frozen", False)
    launcher = [sys.executable] if frozen else [sys.executable, "-m", "ui.main"]
    return cli.main(argv, serve=_serve, demo_screens=_demo, launcher=launcher)


async def _stopped() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _serve(node: Node, args: argparse.Namespace) -> None:
    """A node's screen, until a signal ends it."""
    from ui.baskets import keep  # late: Flet takes a second
    from ui.client_page import open_client_page
    from ui.kiosk import Kiosk
    from ui.shell import open_page
    from ui.web import browser, open_window, serving

    def page_main(page: Any) -> None:
        if isinstance(node, ClientNode):
            open_client_page(page, node)
        else:
            open_page(page, node)

    async with serving(page_main, args.screen_port) as url:
        print(url, flush=True)
        found = browser()
        if isinstance(node, ClientNode) and args.kiosk and found:
            windows = asyncio.create_task(Kiosk(node, url, found).follow())
            await _stopped()
            windows.cancel()
            await asyncio.gather(windows, return_exceptions=True)
            return
        if not args.no_browser:
            open_window(url)
        await _stopped()
        keep(node)


async def _demo(args: argparse.Namespace) -> None:
    """The demo's own page, with its nodes each in a process and on a screen of its own."""
    from ui.screens.demo import run_demo

    await run_demo(args, _stopped)


if __name__ == "__main__":
    sys.exit(main())
