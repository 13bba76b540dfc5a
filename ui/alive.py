"""What keeps a page alive: it is drawn again where Flet has stopped, or where a browser comes back.

    beat of its clock ─▶ a mark is asked for ─▶ drawn by the next beat?  no ─▶ draw it anew

Flet draws all changes of a page in one task, without a word if that ends by an exception: the page
would show for ever what it showed then, at a customers' PC a session that is over. The guard of the
parts keeps ours out of it; this is for the rest.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import flet as ft

from ui.viewmodels.session import Session, SessionContext, use_session

_log = logging.getLogger(__name__)


@ft.component
def _Mark() -> ft.Control:
    s = use_session()
    ft.use_state(s.beat)
    s.drawn = s.beat.version
    return ft.Container(width=0, height=0)


@ft.component
def _Root(s: Session, shell: Callable[[], ft.Control]) -> ft.Control:
    root: ft.Control = SessionContext(
        s, lambda: ft.Column([shell(), _Mark()], spacing=0, expand=True)
    )
    return root


def show(page: ft.Page, root: Any, *args: Any) -> Callable[[], None]:
    """Draw a component as all of a page, also in a browser that was cut off and comes back; what is
    given back draws it anew.

    A browser that comes back is given the page as it stands: with a full one of ours it is busy for
    ever. And Flet does not draw what changes while it is away.
    """

    def clear(e: Any = None) -> None:
        page.views[0].controls = []
        page.update()

    def begin(e: Any = None) -> None:
        clear()
        if page.session.connection is not None:
            page.render(root, *args)

    _forgive(page.session)
    page.on_disconnect, page.on_connect = clear, begin
    begin()
    return begin


def _forgive(session: Any) -> None:
    """A browser may answer for a field that has left the screen meanwhile, such as one that was
    given the focus; Flet takes that for a fault, and ends the connection."""
    handle = session.handle_invoke_method_results

    def answered(control_id: int, *answer: Any) -> None:
        if control_id in session.index:
            handle(control_id, *answer)

    if not hasattr(handle, "forgiving"):
        answered.forgiving = True  # type: ignore[attr-defined]
        session.handle_invoke_method_results = answered


def draw(
    page: ft.Page,
    s: Session,
    shell: Callable[[], ft.Control],
    every_s: float,
    *acts: Callable[[], None],
) -> Callable[[], Any]:
    """Show a session's ``shell`` on a page, and do ``acts`` every so many seconds until the
    function that is given back is called."""
    begin = show(page, _Root, s, shell)

    def look() -> None:
        if page.session.connection is None:
            return
        if s.drawn != s.beat.version:
            _log.error("the page stood still: it is drawn anew")
            begin()
        s.beat.version += 1

    async def clock() -> None:
        faulty: set[Any] = set()
        while True:
            await asyncio.sleep(every_s)
            for act in (*acts, look):
                try:
                    act()
                    faulty.discard(act)
                except Exception:
                    if act not in faulty:  # once is enough for what goes wrong each second
                        _log.exception("at a beat of the page's clock")
                    faulty.add(act)

    return asyncio.get_running_loop().create_task(clock()).cancel
