"""The page's own socket: who hangs, who goes, and what is too large."""

from __future__ import annotations

import asyncio
import http.client
from typing import Any

import flet as ft
import msgpack
import pytest
import websockets
from flet.messaging.protocol import MessageAction

from tests.support.nodes import until
from ui.web import MAX_MESSAGE_BYTES, serving


async def _browser(url: str) -> Any:
    """What a browser does: it trades the token for a cookie, and registers at the page's socket."""
    host, query = url.removeprefix("http://").split("/", 1)

    def cookie() -> str:
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request("GET", f"/{query}")
        answer = connection.getresponse().getheader("set-cookie")
        connection.close()
        assert answer is not None
        return answer.split(";")[0]

    headers = {"Cookie": await asyncio.to_thread(cookie)}
    socket = await websockets.connect(
        f"ws://{host}/ws",
        origin=f"http://{host}",  # type: ignore[arg-type]
        additional_headers=headers,
        max_size=None,
        compression=None,
        max_queue=1,
    )
    page = {"route": "/", "width": 1366, "height": 768, "platform": "linux", "web": True}
    page |= {"pwa": False, "debug": False, "test": False}
    body = {"session_id": "", "page_name": "", "page": page}
    await socket.send(b"\x00" + msgpack.packb([MessageAction.REGISTER_CLIENT.value, body]))
    await socket.recv()
    return socket


@pytest.mark.feature("RP-01")
async def test_page_whose_browser_hangs_and_dies_counts_as_left() -> None:
    """It reads nothing, what is sent to it fails, and then it is gone: nobody sees the page any
    more, and the next one may take its basket."""
    pages: list[ft.Page] = []
    async with serving(pages.append) as url:
        socket = await _browser(url)
        await until(lambda: pages)
        session = pages[0].session
        connection: Any = session.connection
        socket.transport.pause_reading()
        for number in range(400):
            pages[0].title = f"{number}" + "x" * 100_000
            pages[0].update()
            await asyncio.sleep(0.01)
            if connection._FletApp__send_queue.qsize() > 3:
                break
        assert connection._FletApp__send_queue.qsize() > 3
        socket.transport.abort()
        await until(lambda: session.connection is None)


async def test_large_file_comes_through_and_a_huge_one_ends_the_link_alone() -> None:
    """A photograph of a camera is one message; the page stays for whoever comes back."""
    pages: list[ft.Page] = []
    async with serving(pages.append) as url:
        socket = await _browser(url)
        await until(lambda: pages)
        await socket.send(b"\x02" + bytes(20 << 20))  # of no kind that Flet knows: passed over
        await (await socket.ping())
        assert pages[0].session.connection is not None
        with pytest.raises(websockets.ConnectionClosed):
            await socket.send(b"\x02" + bytes(MAX_MESSAGE_BYTES))
            await socket.recv()
        await until(lambda: pages[0].session.connection is None)
