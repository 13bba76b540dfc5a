"""From a node's change feed to one session's screen: on its loop, with its context, bursts made
one.

An observable belongs to one session. The node knows no observable: it calls a plain function, and
that asks this session's loop to refresh under the context copied when the page was made.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

from node.api import Node

SHORTEST_PAUSE_S = 0.05


class Bridge:
    """Calls ``refresh`` after changes, at most every 50 ms, until `close`."""

    def __init__(self, node: Node, refresh: Callable[[frozenset[str]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._refresh = refresh
        self._names: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._last = 0.0
        self._closed = False
        self._unsubscribe = node.changes(self._changed)

    def _changed(self, names: frozenset[str]) -> None:
        first = not self._names
        self._names |= names
        if first:
            self._loop.call_soon_threadsafe(self._plan)

    def _plan(self) -> None:
        if self._timer is None and not self._closed:
            wait = max(0.0, self._last + SHORTEST_PAUSE_S - self._loop.time())
            self._timer = self._loop.call_later(wait, self._run, context=self._context)

    def _run(self) -> None:
        self._timer = None
        self._last = self._loop.time()
        names, self._names = frozenset(self._names), set()
        if names:
            self._refresh(names)

    def close(self) -> None:
        self._closed = True
        self._unsubscribe()
        if self._timer is not None:
            self._timer.cancel()
