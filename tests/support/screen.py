"""Drives a real Flet session without a browser: the only file of the tests that knows Flet's inside.

A real `Session` and `Page` talk to a connection of ours, which packs every message (that is what takes the
snapshot for the next difference) and throws it away. Controls are found by key in the live tree.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flet as ft
import msgpack
from flet.components.component import Component
from flet.controls.base_control import BaseControl
from flet.controls.context import _context_page, context
from flet.messaging.connection import Connection
from flet.messaging.protocol import MessageAction, configure_encode_object_for_msgpack
from flet.messaging.session import Session
from flet.pubsub.pubsub_hub import PubSubHub

_pack = configure_encode_object_for_msgpack(BaseControl)


class _Connection(Connection):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.executor = ThreadPoolExecutor(2)
        self.pubsubhub = PubSubHub(self.loop, self.executor)
        self.page_url = "http://test/"
        self._screen = screen

    def send_message(self, message: Any) -> None:
        msgpack.packb([message.action, message.body], default=_pack)
        self._screen.messages += 1
        if message.action == MessageAction.SESSION_CRASHED:
            self._screen.crash = message.body.message
        elif message.action == MessageAction.INVOKE_METHOD:
            body = message.body
            self._screen.calls.append(body.name)
            self.loop.call_soon(
                self._screen.session.handle_invoke_method_results,
                body.control_id,
                body.call_id,
                None,
                None,
            )

    def dispose(self) -> None:
        self.executor.shutdown(wait=False)


async def cut_off(page: ft.Page) -> None:
    """End the connection of a browser that shows this page; it will come again by itself."""
    connection: Any = page.session.connection
    await connection._FletApp__websocket.close(1001)


class _Faults(logging.Handler):
    """Keeps what the guard of the screens' parts says."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Screen:
    """One page, as its user sees it. Use as ``async with Screen(main) as screen``."""

    def __init__(
        self, main: Callable[[ft.Page], Any], width: int = 1366, height: int = 768
    ) -> None:
        self._main, self._size = main, (width, height)
        self.crash = ""
        self.calls: list[str] = []
        self.messages = 0
        """How many were sent to the client."""
        self.may_fault = False
        """Whether a part that cannot be drawn is what is looked for."""
        self._faults = _Faults()

    async def __aenter__(self) -> Screen:
        logging.getLogger("ui.components.guard").addHandler(self._faults)
        self._connection = _Connection(self)
        self.session = Session(self._connection)
        self.page = self.session.page
        self._token = _context_page.set(self.page)
        width, height = self._size
        self.session.apply_page_patch(
            {
                "route": "/",
                "width": width,
                "height": height,
                "platform": "linux",
                "web": True,
                "pwa": False,
                "debug": False,
                "test": True,
            }
        )
        msgpack.packb(self.session.get_page_patch(), default=_pack)
        context.reset_auto_update()
        self._main(self.page)
        await self.session.after_event(self.page)
        await self.settle()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.fire(self.page, "close")
        logging.getLogger("ui.components.guard").removeHandler(self._faults)
        self.session.close()
        await asyncio.sleep(0)
        self._connection.dispose()
        _context_page.reset(self._token)

    async def cut(self) -> None:
        """The browser's connection breaks; `come_back` joins it again."""
        self._connection.dispose = lambda: None  # type: ignore[method-assign]
        await self.session.disconnect(3600)

    async def come_back(self) -> None:
        await self.session.connect(self._connection)
        await self.settle()

    async def settle(self, seconds: float = 0.12) -> None:
        """Let what was started finish: renders, and changes of the node, which come in bursts."""
        await asyncio.sleep(seconds)
        assert not self.crash, self.crash
        assert self.may_fault or not self.faults, self.faults
        task = self.session._Session__updates_task
        assert task is None or not task.done() or task.cancelled(), task.exception()

    @property
    def faults(self) -> list[str]:
        """Parts that could not be drawn, as the log has them."""
        return self._faults.found

    # --- finding -------------------------------------------------------------

    def _walk(self) -> Iterator[BaseControl]:
        seen: set[int] = set()
        stack: list[Any] = [self.page]
        while stack:
            item = stack.pop()
            if isinstance(item, list | tuple):
                stack.extend(reversed(item))
                continue
            if not dataclasses.is_dataclass(item) or id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, BaseControl):
                if getattr(item, "visible", True) is False:
                    continue
                yield item
            for field in reversed(dataclasses.fields(item)):
                if "skip" in field.metadata or field.name in ("_parent", "parent"):
                    continue
                child = getattr(item, field.name, None)
                if isinstance(child, list | tuple) or dataclasses.is_dataclass(child):
                    stack.append(child)

    def find(self, key: str) -> Any:
        """The one control with this key that is drawn itself (no component, no label around it)."""
        found = [
            c for c in self._walk() if c.key == key and not isinstance(c, Component | ft.Semantics)
        ]
        assert len(found) == 1, f"{len(found)} controls with key {key!r}"
        return found[0]

    def has(self, key: str) -> bool:
        return any(c.key == key and not isinstance(c, Component) for c in self._walk())

    def keys(self, prefix: str) -> list[str]:
        """Keys of drawn controls that begin so, in the order of the screen."""
        found = [str(c.key) for c in self._walk() if str(c.key or "").startswith(prefix)]
        return list(dict.fromkeys(found))

    def texts(self) -> list[str]:
        """All words on the screen."""
        words = []
        for control in self._walk():
            if isinstance(control, ft.Text):
                spans = "".join(span.text or "" for span in control.spans or [])
                words.append((control.value or "") + spans)
        return words

    def shows(self, words: str) -> bool:
        return any(words in text for text in self.texts())

    def text(self, key: str) -> str:
        control = self.find(key)
        return (control.value or "") + "".join(s.text or "" for s in control.spans or [])

    # --- acting --------------------------------------------------------------

    async def fire(self, control: Any, event: str, data: Any = None) -> None:
        assert not getattr(control, "disabled", False), f"{control.key} is disabled"
        await self.session.dispatch_event(control._i, event, data)
        await self.settle()

    async def click(self, key: str) -> None:
        control = self.find(key)
        tapped = isinstance(control, ft.GestureDetector)
        await self.fire(control, "tap" if tapped else "click")

    async def scroll(self, key: str, to: float) -> None:
        """As if a list of 10,000 pixels in a window of 600 were scrolled as far."""
        data = {"event_type": "update", "pixels": to, "min_scroll_extent": 0}
        data |= {"max_scroll_extent": 9_400, "viewport_dimension": 600}
        await self.fire(self.find(key), "scroll", data)

    async def open(self, name: str) -> None:
        """Go to a screen by the rail, or by what stands behind its last entry."""
        if not self.has(f"rail-{name}"):
            await self.click("rail-more")
        await self.click(f"rail-{name}" if self.has(f"rail-{name}") else f"more-{name}")

    async def type(self, key: str, value: str, *, submit: bool = False) -> None:
        """Type into a field; ``submit`` presses Enter in it."""
        control = self.find(key)
        self.session.apply_patch(control._i, {"value": value})
        await self.fire(control, "change", value)
        if submit:  # the page hears of the key as well
            control = self.find(key)
            self.session.apply_patch(control._i, {"value": value})
            await self.fire(control, "submit", value)
            await self.press("Enter")

    async def turn(self, key: str, on: bool) -> None:
        """Switch something on or off."""
        control = self.find(key)
        self.session.apply_patch(control._i, {"value": on})
        await self.fire(control, "change", on)

    async def press(self, key: str, *, ctrl: bool = False, alt: bool = False) -> None:
        keys = {"key": key, "ctrl": ctrl, "shift": False, "alt": alt, "meta": False}
        await self.fire(self.page, "keyboard_event", keys)
