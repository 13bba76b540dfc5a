"""A part of a screen that cannot be drawn must not take the others with it.

An exception in a component ends Flet's own update task, and with it every later change of the
page. So each part is drawn under this guard: what went wrong is in the log, and a sentence stands
in its place.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

import flet as ft

from ui.components.parts import empty
from ui.viewmodels.session import use_session

_log = logging.getLogger(__name__)


def part(draw: Callable[..., ft.Control]) -> Any:
    """A component that shows a sentence instead of what it cannot draw."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> ft.Control:
        try:
            return draw(*args, **kwargs)
        except Exception:
            _log.exception("%s cannot be drawn", draw.__name__)
            s = use_session()
            return empty(s, ft.Icons.BUILD_ROUNDED, s.text("fault"), s.text("fault_next"))

    return ft.component(drawn)
