"""The demo's own page: the nodes, the cables between them, and the paper as it prints."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import contextvars
import io
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flet as ft

from node.api import Demo, DemoOptions, DemoProcess, NotRunning, SyncError, money, sample, say
from ui import alive
from ui.components.parts import STATE_ICONS, icon
from ui.format import drawable, texts
from ui.theme import LIGHT, Palette, Tint, style
from ui.web import open_window, serving

POLL_S = 0.4
PAPERS_SHOWN = 8
BURST = 20


@ft.observable
@dataclass
class Picture:
    """What the page shows; one a session, filled from the demo by polling."""

    version: int = 0


@dataclass
class State:
    """What the demo was like when it was last looked at."""

    server: dict[str, Any] = field(default_factory=dict)
    stations: list[dict[str, Any]] = field(default_factory=list)
    pc: dict[str, Any] = field(default_factory=dict)
    orders: list[dict[str, Any]] = field(default_factory=list)
    agree: bool = False


class Watcher:
    """Asks every node how it is, again and again, and tells the pages."""

    def __init__(self, demo: Demo, language: str) -> None:
        self.demo, self.language = demo, language
        self.state = State()
        self.listeners: set[Callable[[], None]] = set()
        self._papers: list[bytes] = []
        demo.on_paper = self._printed
        self.printed = 0

    def _printed(self, paper: Any) -> None:
        data = io.BytesIO()
        paper.picture().save(data, "PNG")
        self._papers = [data.getvalue(), *self._papers][:PAPERS_SHOWN]
        self.printed += 1

    @property
    def papers(self) -> list[bytes]:
        return list(self._papers)

    def text(self, key: str, **values: Any) -> str:
        return texts(self.language)[key].format(**values)

    def demo_money(self, amount_minor: int) -> str:
        options = self.demo.options
        return money(amount_minor, self.language, options.currency, options.decimals)

    async def run(self) -> None:
        while True:
            await self._look()
            for listener in tuple(self.listeners):
                listener()
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        assert self.demo.server is not None
        state = State(server=await _ask(self.demo.server, "status"))
        state.orders = await _ask(self.demo.server, "show", table="orders") or []
        for station in self.demo.stations:
            state.stations.append(await _ask(station, "status"))
        if self.demo.pc is not None:
            state.pc = await _ask(self.demo.pc, "status")
        digests = [await _ask(self.demo.server, "digest")]
        for station, status in zip(self.demo.stations, state.stations, strict=True):
            if status and status["online"]:
                digests.append(await _ask(station, "digest"))
        known = [d for d in digests if d]
        same_cursor = len({d["cursor"] for d in known}) == 1
        state.agree = (
            len(known) == len(digests) and same_cursor and len({d["digest"] for d in known}) == 1
        )
        self.state = state


async def _ask(process: DemoProcess, method: str, **params: Any) -> Any:
    """One question to a node; {} while it is down or catching up."""
    if not process.ready.is_set():
        return {}
    try:
        return await process.client.call(method, **params)
    except (NotRunning, SyncError):
        return {}


# --- the page ----------------------------------------------------------------


class _Draw:
    """Small parts in the light theme; the demo's page has no node of its own."""

    palette: Palette = LIGHT

    def text(self, value: str, name: str = "body", color: str = "", **more: Any) -> ft.Text:
        return ft.Text(drawable(value), style=style(name, color or self.palette.text), **more)

    def card(self, content: ft.Control, **more: Any) -> ft.Container:
        more.setdefault("border", ft.Border.all(1, self.palette.border))
        return ft.Container(
            content, bgcolor=self.palette.surface, border_radius=12, padding=16, **more
        )

    def button(
        self, label: str, on_click: Any, *, kind: str = "outline", glyph: Any = None, **more: Any
    ) -> ft.Container:
        p = self.palette
        ground, ink, line = {
            "outline": (p.surface, p.text, p.outline),
            "tonal": (p.selected, p.on_selected, None),
            "danger": (p.surface, p.danger.text, p.danger.text),
        }[kind]
        inside: list[ft.Control] = [icon(glyph, 20, ink)] if glyph else []
        if label:
            inside.append(ft.Text(label, style=style("button", ink)))
        return ft.Container(
            ft.Row(inside, spacing=8, alignment=ft.MainAxisAlignment.CENTER, tight=True),
            height=48,
            bgcolor=ground,
            border=ft.Border.all(1, line) if line else None,
            border_radius=8,
            padding=ft.Padding.symmetric(horizontal=12),
            alignment=ft.Alignment.CENTER,
            ink=True,
            on_click=on_click,
            **more,
        )

    def pill(self, tint: Tint, glyph: Any, label: str) -> ft.Control:
        return ft.Container(
            ft.Row(
                [icon(glyph, 16, tint.text), ft.Text(label, style=style("label", tint.text))],
                spacing=4,
                tight=True,
            ),
            bgcolor=tint.ground,
            border_radius=6,
            height=24,
            padding=ft.Padding.symmetric(horizontal=8),
        )


_draw = _Draw()


def _station(w: Watcher, at: int, status: dict[str, Any]) -> ft.Control:
    p = LIGHT
    process = w.demo.stations[at]
    cut = not w.demo.switches[at].joined
    unsent = status.get("unsent_orders", 0)
    if not status:
        pill = _draw.pill(p.danger, ft.Icons.POWER_OFF_ROUNDED, w.text("demo.starting"))
    elif unsent or cut:
        pill = _draw.pill(
            p.pending, ft.Icons.CLOUD_OFF_ROUNDED, w.text("demo.waiting", count=unsent)
        )
    else:
        pill = _draw.pill(p.collected, ft.Icons.CLOUD_DONE_ROUNDED, w.text("demo.all_sent"))
    name = f"{status.get('label', '')} · {status.get('name', process.name)}"
    own = sum(order["station"] == status.get("node") for order in w.state.orders) + unsent

    def send(count: int) -> Any:
        async def sent(e: Any) -> None:
            chance = secrets.randbelow(1 << 30)
            for sale in sample.invented(count, chance, int(time.time() * 1000)):
                with contextlib.suppress(SyncError):
                    await w.demo.sell(at, sale, secrets.token_bytes(16), set_clock=False)

        return sent

    return _draw.card(
        ft.Column(
            [
                ft.Row(
                    [
                        ft.Container(
                            icon(ft.Icons.STOREFRONT_ROUNDED, 24, p.on_selected),
                            width=40,
                            height=40,
                            border_radius=10,
                            bgcolor=p.selected,
                            alignment=ft.Alignment.CENTER,
                        ),
                        ft.Column(
                            [
                                _draw.text(name, "strong"),
                                _draw.text(process.operator, "caption", p.text3),
                            ],
                            spacing=0,
                            expand=True,
                        ),
                        ft.IconButton(
                            ft.Icons.OPEN_IN_NEW_ROUNDED,
                            tooltip=w.text("demo.open"),
                            url=process.url,
                        ),
                    ],
                    spacing=12,
                ),
                ft.Row(
                    [
                        pill,
                        ft.Container(expand=True),
                        _draw.text(w.text("demo.orders", count=own), "caption", p.text3),
                    ]
                ),
                ft.Row(
                    [
                        _draw.button(
                            w.text("demo.send"),
                            send(1),
                            kind="tonal",
                            glyph=ft.Icons.SEND_ROUNDED,
                            expand=True,
                            key=f"send-{at}",
                        ),
                        _draw.button(f"×{BURST}", send(BURST), key=f"burst-{at}"),
                    ],
                    spacing=8,
                ),
            ],
            spacing=10,
        ),
        width=280,
        border=ft.Border.all(2, p.danger.text) if cut else ft.Border.all(1, p.border),
    )


def _pc(w: Watcher) -> ft.Control:
    """The customers' PC: what it shows, and the way to its screen."""
    p, process = LIGHT, w.demo.pc
    assert process is not None
    status = w.state.pc
    in_use = status.get("phase") in ("running", "paused")
    pill = (
        _draw.pill(p.allowed, ft.Icons.PERSON_ROUNDED, w.text("demo.in_use"))
        if in_use
        else _draw.pill(p.collected, ft.Icons.LOCK_ROUNDED, w.text("demo.free"))
        if status
        else _draw.pill(p.danger, ft.Icons.POWER_OFF_ROUNDED, w.text("demo.starting"))
    )
    plate = ft.Container(
        icon(ft.Icons.DESKTOP_WINDOWS_ROUNDED, 24, p.on_selected),
        width=40,
        height=40,
        border_radius=10,
        bgcolor=p.selected,
        alignment=ft.Alignment.CENTER,
    )
    opener = ft.IconButton(
        ft.Icons.OPEN_IN_NEW_ROUNDED, tooltip=w.text("demo.open"), url=process.url
    )
    name = _draw.text(w.text("demo.pc", number=status.get("number", 1)), "strong", expand=True)
    return _draw.card(
        ft.Column([ft.Row([plate, name, opener], spacing=12), ft.Row([pill])], spacing=10),
        width=280,
    )


def _cable(w: Watcher, at: int, status: dict[str, Any]) -> ft.Control:
    p = LIGHT
    switch = w.demo.switches[at]
    color = p.collected.text if switch.joined else p.danger.text

    async def toggled(e: Any) -> None:
        if e.control.value:
            switch.join()
            with contextlib.suppress(SyncError, NotRunning):
                await w.demo.stations[at].client.call("hurry")
        else:
            switch.cut()

    line: list[ft.Control] = [ft.Container(height=4, bgcolor=color, expand=True, border_radius=2)]
    if not switch.joined:
        line += [icon(ft.Icons.CONTENT_CUT_ROUNDED, 24, color), line[0]]
        line[2] = ft.Container(height=4, bgcolor=color, expand=True, border_radius=2)
    words = (
        w.text("demo.joined")
        if switch.joined
        else w.text("demo.ops", count=status.get("unsent", 0))
    )
    return ft.Column(
        [
            _draw.text(words, "caption", p.text2),
            ft.Row(line, spacing=4),
            ft.Row(
                [
                    _draw.text(
                        w.text("demo.network" if switch.joined else "demo.cut"), "label", color
                    ),
                    ft.Semantics(
                        identifier=f"cable-{at}",
                        content=ft.Switch(
                            value=switch.joined,
                            key=f"cable-{at}",
                            on_change=toggled,
                            active_track_color=p.accent,
                        ),
                    ),
                ],
                alignment=ft.MainAxisAlignment.CENTER,
            ),
        ],
        expand=True,
        spacing=4,
        horizontal_alignment=ft.CrossAxisAlignment.CENTER,
        alignment=ft.MainAxisAlignment.CENTER,
    )


def _server(w: Watcher) -> ft.Control:
    p = LIGHT
    status, orders = w.state.server, w.state.orders
    states = [order["state"] for order in orders]
    box = status.get("box") or {"number": 0, "total_minor": 0}
    assert w.demo.server is not None

    def fact(label: str, value: str, key: str = "") -> ft.Control:
        return ft.Row(
            [
                _draw.text(label, "body", p.text2, expand=True),
                _draw.text(value, "strong", key=key or None),
            ]
        )

    async def printer(e: Any) -> None:
        if e.control.value:
            await w.demo.printer.start(w.demo.printer.port)
        else:
            await w.demo.printer.stop()

    async def collect(e: Any) -> None:
        with contextlib.suppress(SyncError, NotRunning):
            await w.demo.work_the_queue()

    last = sorted(orders, key=lambda order: order["history"][-1][1], reverse=True)[:4]
    tint = p.collected if w.state.agree else p.pending
    known = texts(w.language)
    words = "demo.agree" if w.state.agree else "demo.catching"
    return _draw.card(
        ft.Column(
            [
                ft.Row(
                    [
                        ft.Container(
                            icon(ft.Icons.DNS_ROUNDED, 24, p.on_accent),
                            width=40,
                            height=40,
                            border_radius=10,
                            bgcolor=p.accent,
                            alignment=ft.Alignment.CENTER,
                        ),
                        ft.Column(
                            [
                                _draw.text(w.text("demo.server"), "strong"),
                                _draw.text(w.demo.server.operator, "caption", p.text3),
                            ],
                            spacing=0,
                            expand=True,
                        ),
                        ft.IconButton(
                            ft.Icons.OPEN_IN_NEW_ROUNDED,
                            tooltip=w.text("demo.open"),
                            url=w.demo.server.url,
                        ),
                    ],
                    spacing=12,
                ),
                _draw.text(w.text("demo.entries"), "caption", p.text3),
                _draw.text(f"{status.get('cursor', 0):,}", "total", key="entries"),
                _draw.text(
                    w.text("demo.head", head=str(status.get("head", ""))[:6]),
                    "caption",
                    p.text3,
                ),
                ft.Divider(height=1),
                fact(w.text("demo.queue"), str(sum(s in ("pending", "allowed") for s in states))),
                fact(w.text("demo.collected"), str(states.count("collected")), "collected"),
                fact(w.text("demo.aside"), str(states.count("set_aside"))),
                fact(w.text("demo.box", number=box["number"]), w.demo_money(box["total_minor"])),
                _draw.button(
                    w.text("demo.collect"),
                    collect,
                    kind="tonal",
                    glyph=ft.Icons.CHECK_CIRCLE_ROUNDED,
                    key="collect",
                ),
                ft.Divider(height=1),
                _draw.text(w.text("demo.last"), "label", p.text3),
                *[
                    ft.Row(
                        [
                            icon(STATE_ICONS[order["state"]], 20, p.text2),
                            _draw.text(
                                f"{order['label']} {known['state.' + order['state']].lower()}",
                                "caption",
                                expand=True,
                            ),
                        ]
                    )
                    for order in last
                ],
                ft.Container(expand=True),
                ft.Container(
                    ft.Row(
                        [
                            icon(ft.Icons.VERIFIED_ROUNDED, 24, tint.text),
                            ft.Column(
                                [
                                    _draw.text(w.text(words), "strong", tint.text, key="agree"),
                                    _draw.text(w.text("demo.agree_what"), "caption", tint.text),
                                ],
                                spacing=0,
                            ),
                        ]
                    ),
                    bgcolor=tint.ground,
                    border_radius=8,
                    padding=12,
                ),
                ft.Row(
                    [
                        icon(ft.Icons.PRINT_ROUNDED, 24, p.text2),
                        _draw.text(w.text("demo.printer"), "body", p.text2, expand=True),
                        ft.Switch(
                            value=w.demo.printer.on,
                            on_change=printer,
                            key="printer",
                            active_track_color=p.accent,
                        ),
                    ]
                ),
            ],
            spacing=8,
        ),
        width=280,
    )


def _roll(w: Watcher) -> ft.Control:
    p = LIGHT
    head = ft.Row(
        [
            icon(ft.Icons.RECEIPT_LONG_ROUNDED, 24, p.text2),
            _draw.text(w.text("demo.roll"), "strong", expand=True),
            _draw.text(w.text("demo.printed", count=w.printed), "caption", p.text2, key="printed"),
        ],
        spacing=8,
    )
    papers: list[ft.Control] = [
        ft.Image(src=paper, width=343, fit=ft.BoxFit.FIT_WIDTH) for paper in w.papers
    ]
    if not papers:
        papers = [_draw.text(w.text("demo.no_paper"), "body", p.text3)]
    return ft.Container(
        ft.Column([head, ft.ListView(papers, spacing=12, expand=True)], spacing=16, expand=True),
        width=400,
        bgcolor=p.surface3,
        padding=20,
        border=ft.Border.only(left=ft.BorderSide(1, p.border)),
    )


@ft.component
def DemoPage(w: Watcher, picture: Picture) -> ft.Control:
    ft.use_state(picture)
    p = LIGHT
    stations = w.state.stations or [{} for _ in w.demo.stations]

    def kill(e: Any) -> None:
        assert w.demo.server is not None
        w.demo.server.kill()

    head = ft.Container(
        ft.Row(
            [
                ft.Container(
                    icon(ft.Icons.DOOR_FRONT_DOOR_ROUNDED, 26, "#FFFFFF"),
                    width=40,
                    height=40,
                    border_radius=10,
                    bgcolor=p.rail,
                    alignment=ft.Alignment.CENTER,
                ),
                ft.Column(
                    [
                        _draw.text(w.text("demo.title"), "h1"),
                        _draw.text(
                            w.text("demo.what", count=len(w.demo.stations) + 2)
                            + " "
                            + w.text("demo.password", password=w.demo.password),
                            "caption",
                            p.text3,
                        ),
                    ],
                    spacing=0,
                    expand=True,
                    alignment=ft.MainAxisAlignment.CENTER,
                ),
                _draw.button(
                    w.text("demo.kill"),
                    kill,
                    kind="danger",
                    glyph=ft.Icons.POWER_OFF_ROUNDED,
                    key="kill",
                ),
            ],
            spacing=12,
        ),
        height=88,
        bgcolor=p.surface,
        padding=ft.Padding.symmetric(horizontal=24),
        border=ft.Border.only(bottom=ft.BorderSide(1, p.border)),
    )
    rows = [
        ft.Row([_station(w, at, status), _cable(w, at, status)], spacing=12)
        for at, status in enumerate(stations)
    ]
    if w.demo.pc is not None:
        rows.append(ft.Row([_pc(w), ft.Container(expand=True)], spacing=12))
    left = ft.Column(rows, expand=True, spacing=24, scroll=ft.ScrollMode.AUTO)  # type: ignore[arg-type]
    return ft.Container(
        ft.Row(
            [
                ft.Column(
                    [
                        head,
                        ft.Container(
                            ft.Row(
                                [left, _server(w)],
                                spacing=12,
                                expand=True,
                                vertical_alignment=ft.CrossAxisAlignment.STRETCH,
                            ),
                            expand=True,
                            padding=24,
                        ),
                    ],
                    spacing=0,
                    expand=True,
                ),
                _roll(w),
            ],
            spacing=0,
            expand=True,
            vertical_alignment=ft.CrossAxisAlignment.STRETCH,
        ),
        expand=True,
        bgcolor=p.ground,
    )


def open_demo_page(page: ft.Page, watcher: Watcher) -> None:
    from ui.shell import dress

    dress(page)
    page.title = "Cabina demo"
    picture = Picture()
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()

    def refresh() -> None:
        picture.version += 1

    def changed() -> None:
        loop.call_soon(refresh, context=context)

    watcher.listeners.add(changed)
    page.on_close = lambda e: watcher.listeners.discard(changed)
    alive.show(page, DemoPage, watcher, picture)


async def run_demo(args: argparse.Namespace, until: Callable[[], Awaitable[None]]) -> None:
    """Set the café up, open the screens, and keep it until a signal comes."""
    folder = args.data or Path(tempfile.mkdtemp(prefix="cabina-demo-"))
    options = DemoOptions(
        folder=folder,
        mode=args.mode,
        stations=args.stations,
        language=args.language,
        screens=True,
        launcher=args.launcher,
    )
    demo = Demo(options, lambda line: print(line, file=sys.stderr, flush=True))
    try:
        await demo.start()
        watcher = Watcher(demo, args.language)
        watching = asyncio.create_task(watcher.run())
        async with serving(lambda page: open_demo_page(page, watcher)) as url:
            print(url, flush=True)
            for process in (demo.server, *demo.stations, demo.pc):
                assert process is not None
                print(f"{process.name}: {process.url}", file=sys.stderr)
            if not args.no_browser and open_window(url) is None:
                print(say(args.language, "demo.open"), file=sys.stderr)
            await until()
        watching.cancel()
    finally:
        await demo.stop()
        if args.data is None:
            shutil.rmtree(folder, ignore_errors=True)
