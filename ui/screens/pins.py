"""PIN cards: generated and designed, in stock and consigned, followed, and looked at on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

from node.api import COLOURS, FONTS, Refused, ServerNode, StationNode, pincards, pins
from ui import files
from ui.components.guard import part
from ui.components.office import (
    Column,
    Row,
    attempt,
    figure,
    head,
    note,
    page,
    segments,
    switch,
    table,
    typed,
)
from ui.components.parts import (
    button,
    card,
    choice,
    clipped,
    empty,
    field,
    icon_button,
    tappable,
    text,
)
from ui.viewmodels import pins as model
from ui.viewmodels.session import Session, use_session


async def _try(s: Session, work: Callable[[], Awaitable[Any]], done: str) -> bool:
    if not s.pins.busy:
        s.pins.hush()  # what was looked at is hidden again
    return await attempt(s, s.pins, "pins", work, done)


def _told(s: Session) -> list[ft.Control]:
    words = s.pins.problem or s.pins.saved
    return [note(s, words, bad=bool(s.pins.problem))] if words else []


def _server(s: Session) -> ServerNode:
    assert isinstance(s.node, ServerNode)
    return s.node


# --- generate and design -------------------------------------------------------


def _make(s: Session) -> ft.Control:
    form = s.pins
    known = model.known_profiles(s.node, "card")
    if not known:
        what, step = s.text("pins.no_profile"), s.text("pins.no_profile_next")
        return empty(s, ft.Icons.STYLE_ROUNDED, what, step)

    async def make(e: Any = None) -> None:
        made: list[int] = []

        async def work() -> None:
            made.extend(await model.make(_server(s), form))

        if form.of == 0 and await _try(s, work, ""):
            form.saved = s.text("pins.made", count=len(made), serials=form.serials)
            live = pincards.live(_server(s))
            if live > pincards.LIVE_WARNED:
                form.saved += " " + s.text.say("pin.many", count=live)

    def stop(e: Any) -> None:
        form.stopping = True

    def choose(code: str) -> None:
        form.profile = code

    chosen = model.chosen_profile(s.node, form)
    parts: list[ft.Control] = [
        segments(s, known, chosen, choose, "profile"),
        typed(s, form, "count", s.text("pins.count"), key="pins-count", on_enter=make,
              keyboard_type=ft.KeyboardType.NUMBER),
        switch(s, s.text("pins.stock_at_once"), form.stock,
               lambda on: setattr(form, "stock", on), "pins-stock"),
    ]  # fmt: skip
    if form.of:
        parts += [
            ft.ProgressBar(value=form.done / form.of, color=s.palette.accent,
                           bgcolor=s.palette.surface3),
            ft.Row([
                text(s, s.text("pins.progress", done=form.done, of=form.of), "body", expand=True),
                button(s, s.text("pins.stop"), stop, key="pins-stop"),
            ]),
        ]  # fmt: skip
    parts += [ft.Divider(height=1), text(s, s.text("pins.design"), "h2"), *_design(s), *_told(s)]
    column = ft.Column(
        parts, spacing=8, expand=True, scroll=ft.ScrollMode.AUTO,
        horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
    )  # fmt: skip
    label = s.text("pins.generate_stock" if form.stock else "pins.generate")
    maker = button(s, label, make, kind="filled", key="pins-make", disabled=bool(form.of),
                   glyph=ft.Icons.STYLE_ROUNDED, expand=True)  # fmt: skip
    left = card(s, ft.Column([column, ft.Row([maker])], spacing=8, expand=True), width=456)
    return ft.Row(
        [left, _preview(s)],
        spacing=16,
        expand=True,
        vertical_alignment=ft.CrossAxisAlignment.STRETCH,
    )


def _design(s: Session) -> list[ft.Control]:
    form, p = s.pins, s.palette

    def colour(value: str) -> Any:
        def chosen(e: Any) -> None:
            form.colour = value

        return chosen

    def pick(name: str) -> Any:
        async def picked(e: Any) -> None:
            found = await files.pick("png", "jpg", "jpeg")
            if found is None:
                return
            before = getattr(form, name)
            setattr(form, name, found[1])
            form.hush()
            try:
                model.sample(_server(s), form)
            except Refused as refusal:
                setattr(form, name, before)
                form.problem = s.text.error(refusal)

        return picked

    def drop(name: str) -> Any:
        return lambda e: setattr(form, name, b"")

    fonts = [(name, s.text(f"pins.font_{name}")) for name in FONTS]
    swatches: list[ft.Control] = [
        tappable(
            ft.Container(
                width=48, height=48, border_radius=8, bgcolor=value,
                border=ft.Border.all(3, p.accent if form.colour == value else p.surface),
            ),
            colour(value),
            key=f"colour-{value}",
        )
        for value in COLOURS
    ]  # fmt: skip
    pictures: list[ft.Control] = []
    for name in ("background", "logo"):
        label = s.text(f"pins.{name}")
        pictures.append(button(s, label, pick(name), key=f"pins-{name}", expand=True))
        if getattr(form, name):
            drop_it = s.text("pins.without")
            pictures.append(
                icon_button(s, ft.Icons.CLOSE_ROUNDED, drop_it, drop(name), f"pins-no-{name}")
            )
    return [
        typed(s, form, "title", s.text("pins.title"), key="pins-title"),
        segments(s, fonts, form.font, lambda name: setattr(form, "font", name), "font"),
        ft.Row(swatches, spacing=8),
        ft.Row(pictures, spacing=8),
        switch(s, s.text("pins.qr"), form.qr, lambda on: setattr(form, "qr", on), "pins-qr"),
    ]


def _preview(s: Session) -> ft.Control:
    form = s.pins

    async def sheet(e: Any) -> None:
        await _file(s, "sheet")

    async def listed(e: Any) -> None:
        await _file(s, "list")

    may = s.node.may("pin.review")
    try:
        picture = model.sample(_server(s), form)
    except Refused as refusal:  # a picture that was changed under us
        return ft.Column([note(s, s.text.error(refusal), bad=True)], expand=True)
    words = s.text("pins.preview")
    return ft.Column(
        [
            ft.Row([
                text(s, words, "label", s.palette.text2, expand=True),
                text(s, s.text("pins.sample"), "caption", s.palette.text3),
            ]),
            ft.Image(src=picture, width=428, height=270, border_radius=12, key="pins-preview"),
            card(s, ft.Column(
                [
                    text(s, s.text("pins.paper"), "h2"),
                    text(s, s.text("pins.paper_what"), "body", s.palette.text2),
                    typed(s, form, "serials", s.text("pins.serials"), key="pins-serials",
                          hint_text="501-540, 550"),
                    ft.Row([
                        button(s, s.text("pins.sheet"), sheet, key="pins-sheet", disabled=not may,
                               glyph=ft.Icons.PICTURE_AS_PDF_ROUNDED),
                        button(s, s.text("pins.list"), listed, key="pins-list", disabled=not may,
                               glyph=ft.Icons.LIST_ROUNDED),
                    ], spacing=8),
                ],
                spacing=8,
            )),
        ],
        spacing=12,
        expand=True,
        scroll=ft.ScrollMode.AUTO,
    )  # fmt: skip


async def _file(s: Session, what: str) -> None:
    """A sheet or a list for the person to keep; who made it is on record."""
    form, node = s.pins, _server(s)

    async def work() -> None:
        serials = model.chosen(form)
        if what == "sheet":
            data = await pincards.sheet(node, serials, model.design(node, form))
            await files.save("cabina-pins.pdf", data)
        else:
            data = await pincards.list_file(node, serials, "csv")
            await files.save("cabina-pins.csv", data)

    await _try(s, work, s.text("pins.written"))


# --- stock -----------------------------------------------------------------------


def _name(s: Session, sku: str) -> str:
    return str((s.node.tables.table("products").peek(sku) or {"name": sku})["name"])


def _stock(s: Session) -> ft.Control:
    form = s.pins
    places = dict(model.stations(s.node))
    rows = []
    for sku, holder, ranges in model.shelves(s.node):
        where = places.get(holder, holder[:8]) if holder else s.text("pins.here")

        def chosen(e: Any, holder: str = holder, ranges: Any = ranges) -> None:
            form.serials = ", ".join(
                str(first) if first == last else f"{first}-{last}" for first, last in ranges
            )
            form.station = holder

        rows.append(
            Row(
                f"shelf-{sku}-{holder}",
                [_name(s, sku), where, model.ranges_text(ranges), str(pins.size(ranges))],
                chosen,
            )
        )
    columns = [
        Column(s.text("pins.profile"), 160),
        Column(s.text("pins.holder"), 160),
        Column(s.text("pins.serials")),
        Column(s.text("pins.units"), 80, right=True),
    ]
    if rows:
        left: ft.Control = table(s, columns, rows, expand=True)
    else:
        left = empty(
            s, ft.Icons.STYLE_ROUNDED, s.text("pins.no_stock"), s.text("pins.no_stock_next")
        )

    def act(kind: str, **more: Any) -> Any:
        async def done(e: Any = None) -> None:
            async def work() -> None:
                await pincards.in_pieces(_server(s), kind, model.chosen(form), **more)

            await _try(s, work, s.text("pins.moved"))

        return done

    async def consign(e: Any = None) -> None:
        await act("pin.consign", station=form.station)()

    async def recall(e: Any = None) -> None:
        body = {"station": form.station}
        await _try(s, lambda: s.node.submit("pin.recall", body), s.text("pins.recalled"))

    def choose(station: str) -> None:
        form.station = station

    stations = model.stations(s.node)
    parts: list[ft.Control] = [
        text(s, s.text("pins.move"), "h2"),
        typed(s, form, "serials", s.text("pins.serials"), key="stock-serials",
              hint_text="501-540, 550"),
        ft.Row([
            button(s, s.text("pins.in"), act("pin.stock", direction="in"), key="stock-in",
                   expand=True),
            button(s, s.text("pins.out"), act("pin.stock", direction="out"), key="stock-out",
                   expand=True),
        ], spacing=8),
    ]  # fmt: skip
    if stations and s.node.may("pin.consign"):
        parts += [
            ft.Divider(height=1),
            text(s, s.text("pins.consign_what"), "body", s.palette.text2),
            segments(s, stations, form.station, choose, "station"),
            ft.Row([
                button(s, s.text("pins.consign"), consign, key="consign", kind="filled",
                       expand=True, disabled=not form.station),
                button(s, s.text("pins.recall"), recall, key="recall", expand=True,
                       disabled=not form.station),
            ], spacing=8),
        ]  # fmt: skip
    stretch = ft.CrossAxisAlignment.STRETCH
    column = ft.Column([*parts, *_told(s)], spacing=8, horizontal_alignment=stretch)
    right = card(s, column, width=s.measures.panel)
    return ft.Row(
        [ft.Column([left], expand=True), right],
        spacing=16,
        expand=True,
        vertical_alignment=ft.CrossAxisAlignment.STRETCH,
    )


# --- tracking ----------------------------------------------------------------------


def _tracking(s: Session) -> ft.Control:
    form = s.pins
    try:
        found = model.found(_server(s), form)
    except Refused as refusal:
        found = []
        form_problem = s.text.error(refusal)
    else:
        form_problem = ""
    rows = []
    for row in found[: model.MOST_SHOWN]:
        serial = row["serial"]
        day = dt.date.fromordinal(row["expires"]) if row["expires"] else None
        rows.append(
            Row(
                f"pin-{serial}",
                [
                    pins.label(model.form_of(s.node, row), serial),
                    _name(s, row["profile"]),
                    s.text(f"pins.state_{row['state']}"),
                    s.text("customers.minutes", count=row["left_s"] // 60),
                    s.text.date(day) if day else "",
                    s.text.moment(row["history"][-1][1]),
                    form.looked.get(serial, "•••••"),
                ],
            )
        )

    async def look(e: Any = None) -> None:
        shown: list[tuple[int, str]] = []

        async def work() -> None:
            shown.extend(await pincards.reveal(_server(s), model.chosen(form), "look"))

        if await _try(s, work, s.text("pins.on_record")):
            form.looked = dict(shown)

    async def delete(e: Any = None) -> None:
        async def work() -> None:
            reason = form.reason.strip()
            await pincards.in_pieces(_server(s), "pin.delete", model.chosen(form), reason=reason)

        await _try(s, work, s.text("pins.deleted"))

    async def again(e: Any = None) -> None:
        """One ticket's paper once more."""

        async def work() -> None:
            for serial in model.chosen(form):
                await s.node.submit("ticket.reprint", {"job": f"p-{serial}"})

        await _try(s, work, s.text("sales.copy"))

    columns = [
        Column(s.text("pins.serial"), 88),
        Column(s.text("pins.profile")),
        Column(s.text("pins.state"), 112),
        Column(s.text("pins.left"), 88, right=True),
        Column(s.text("pins.until"), 120, roomy=True),
        Column(s.text("pins.last"), 144, roomy=True),
        Column("PIN", 88, right=True),
    ]
    states = [(state, s.text(f"pins.state_{state or 'all'}")) for state in model.STATES]
    profiles = [("", s.text("pins.all")), *model.known_profiles(s.node)]

    def searched(e: Any) -> None:
        form.look_for("serials", e.control.value or "")

    tools: list[ft.Control] = [
        field(
            s,
            key="track-serials",
            label=s.text("pins.serials"),
            value=form.serials,
            on_change=searched,
            width=240,
        ),
        ft.Container(
            typed(s, form, "reason", s.text("cash.reason"), key="track-reason"), width=200
        ),
        button(s, s.text("pins.look"), look, key="look", disabled=not s.node.may("pin.review")),
        button(s, s.text("pins.print_again"), again, key="print-again",
               disabled=not s.node.may("ticket.reprint")),
        button(s, s.text("pins.delete"), delete, key="pins-delete", kind="danger",
               disabled=not s.node.may("pin.delete")),
    ]  # fmt: skip
    told = [note(s, form_problem, bad=True)] if form_problem else _told(s)
    body: ft.Control = table(s, columns, rows, expand=True, height=40)
    if not rows:
        body = empty(s, ft.Icons.SEARCH_OFF_ROUNDED, s.text("pins.none"), s.text("pins.none_next"))
    return ft.Column(
        [
            segments(s, states, form.state, lambda name: form.look_for("state", name), "state"),
            segments(
                s, profiles, form.of_profile, lambda name: form.look_for("of_profile", name), "of"
            ),
            ft.Row(tools, spacing=8, scroll=ft.ScrollMode.HIDDEN),
            *told,
            body,
        ],
        spacing=8,
        expand=True,
    )


# --- profiles ------------------------------------------------------------------------


def _profiles(s: Session) -> ft.Control:
    form = s.pins

    async def save(e: Any = None) -> None:
        if await _try(s, lambda: model.add_profile(s.node, form, s.text), s.text("product.saved")):
            form.typed = {}

    def one(name: str, **more: Any) -> ft.Control:
        def changed(e: Any) -> None:
            form.put(name, e.control.value or "")

        return field(s, key=f"pin-{name}", label=s.text(f"pins.{name}"),
                     value=form.typed.get(name, ""), on_change=changed, **more)  # fmt: skip

    rows: list[ft.Control] = []
    products = s.node.tables.table("products")
    for sku, name in model.known_profiles(s.node):
        row, product = pins.of_profile(s.node.tables, sku), products.peek(sku)
        terms = pincards.terms_of(row, s.text.language)
        kind = s.text(f"pins.form_{row['form']}")
        detail = f"{kind} · {s.text('customers.minutes', count=row['minutes'])} · {terms}"
        price = s.text.money(product["price_minor"]) if product else ""
        rows.append(choice(s, name, detail, price, None, f"pin-profile-{sku}"))
    if rows:
        listed: ft.Control = ft.ListView(rows, expand=True)
    else:
        listed = empty(
            s, ft.Icons.STYLE_ROUNDED, s.text("pins.no_profile"), s.text("pins.no_profile_next")
        )
    forms = [(name, s.text(f"pins.form_{name}")) for name in ("card", "ticket")]
    validity = [(name, s.text(f"pins.valid_{name}")) for name in model.VALIDITY]
    parts: list[ft.Control] = [
        text(s, s.text("pins.new_profile"), "h2"),
        segments(s, forms, form.form, lambda name: setattr(form, "form", name), "form"),
        one("name"),
        one("minutes"),
        one("price"),
        segments(s, validity, form.validity, lambda name: setattr(form, "validity", name), "valid"),
    ]
    if form.validity == "date":
        parts.append(one("last_day", hint_text="2026-12-31"))
    elif form.validity != "none":
        parts.append(one("days"))
    saver = button(s, s.text("product.save"), save, kind="filled", key="pin-profile-save")
    column = ft.Column(
        [*parts, *_told(s), ft.Row([ft.Container(expand=True), saver])],
        spacing=8,
        horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
    )
    hard = ft.ClipBehavior.HARD_EDGE
    return ft.Row(
        [
            card(s, listed, padding=0, expand=True, clip_behavior=hard),
            ft.Column([card(s, column)], width=s.measures.panel),
        ],
        spacing=16,
        expand=True,
        vertical_alignment=ft.CrossAxisAlignment.STRETCH,
    )


# --- at a station --------------------------------------------------------------------


def _mine(s: Session, node: StationNode) -> ft.Control:
    """The cards that this station holds and alone can sell."""
    form = s.pins

    async def give_back(e: Any = None) -> None:
        async def work() -> None:
            await node.return_cards(model.chosen(form))

        await _try(s, work, s.text("pins.returned"))

    mine = [(sku, ranges) for sku, holder, ranges in model.shelves(node) if holder == node.node_id]
    if not mine:
        what, step = s.text("pins.none_here"), s.text("pins.none_here_next")
        return page(s, head(s, s.text("screen.pins")),
                    empty(s, ft.Icons.STYLE_ROUNDED, what, step))  # fmt: skip
    rows = [
        Row(
            f"shelf-{sku}",
            [_name(s, sku), model.ranges_text(ranges), str(pins.size(ranges))],
        )
        for sku, ranges in mine
    ]
    columns = [
        Column(s.text("pins.profile"), 200),
        Column(s.text("pins.serials")),
        Column(s.text("pins.units"), 80, right=True),
    ]
    total = sum(pins.size(ranges) for _, ranges in mine)
    return page(
        s,
        head(s, s.text("screen.pins")),
        ft.Row([figure(s, s.text("pins.held"), str(total), s.text("pins.alone"), key="held")]),
        table(s, columns, rows, expand=True),
        ft.Row(
            [
                typed(
                    s, form, "serials", s.text("pins.serials"), key="return-serials", expand=True
                ),
                button(s, s.text("pins.return"), give_back, key="return"),
            ],
            spacing=8,
        ),
        *_told(s),
    )


@part
def Pins() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.pins)
    if isinstance(s.node, StationNode):
        return _mine(s, s.node)
    form = s.pins
    may = [
        (tab, s.text(f"pins.tab_{tab}")) for tab, right in model.TABS.items() if s.node.may(right)
    ]
    if not may:  # nobody is signed in any more
        return page(s)
    tab = form.tab if any(form.tab == name for name, _ in may) else may[0][0]
    s.actions["back"] = form.hush
    bodies = {"make": _make, "stock": _stock, "tracking": _tracking, "profiles": _profiles}

    def sell(e: Any) -> None:
        s.go("sell")

    return page(
        s,
        ft.Row(
            [
                segments(s, may, tab, form.go, "tab"),
                ft.Container(expand=True),
                clipped(s, s.text("pins.sell_what"), "caption", s.palette.text3),
                button(s, s.text("pins.sell"), sell, key="pins-sell",
                       glyph=ft.Icons.POINT_OF_SALE_ROUNDED),
            ],
            spacing=12,
        ),
        bodies[tab](s),
    )  # fmt: skip
