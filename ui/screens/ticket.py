"""The ticket in the making: its lines, discounts, how it is paid, and the one key that charges."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import MAX_PRICE_MINOR, Refused, SyncError, accounts, customers, jobs, pcs
from ui.components.guard import part
from ui.components.parts import (
    Focused,
    amount,
    button,
    choice,
    clipped,
    empty,
    field,
    icon,
    line_below,
    named,
    tappable,
    text,
)
from ui.components.people import finder
from ui.format import whole
from ui.keymap import cap
from ui.viewmodels import floor
from ui.viewmodels import sell as model
from ui.viewmodels.sell import Basket, BasketLine
from ui.viewmodels.session import Session, use_session

MOST_RECEIVED_MINOR = 10**9


def _line(s: Session, line: BasketLine) -> ft.Control:
    p = s.palette
    each = s.text("sell.each", price=s.text.money(line.price_minor)) if line.quantity > 1 else ""
    names: list[ft.Control] = [clipped(s, line.title, "strong")]
    if each:
        names.append(text(s, each, "caption", p.text3))
    if line.off_minor:
        less = s.text("sell.less", amount=s.text.money(line.off_minor))
        names.append(text(s, less, "caption", p.collected.text))
    if line.note:
        names.append(clipped(s, line.note, "caption", p.text3))
    if s.sell.current != line.name:
        return tappable(
            ft.Container(
                ft.Row(
                    [
                        ft.Container(
                            text(s, str(line.quantity), "button"),
                            width=40,
                            height=32,
                            border_radius=8,
                            bgcolor=p.surface3,
                            alignment=ft.Alignment.CENTER,
                        ),
                        ft.Column(
                            names, spacing=0, expand=True, alignment=ft.MainAxisAlignment.CENTER
                        ),
                        text(s, s.text.money(line.amount_minor), "strong"),
                    ],
                    spacing=12,
                ),
                height=56 if len(names) < 3 else 72,
                padding=ft.Padding.symmetric(horizontal=16),
                border=line_below(p),
            ),
            lambda e: s.sell.open_line(line.name),
            key=f"line-{line.name}",
        )

    def typed(e: Any) -> None:
        units = whole(e.control.value or "")
        if units:
            s.sell.set_quantity(line.name, units)

    def step(by: int) -> Any:
        return lambda e: s.sell.set_quantity(line.name, line.quantity + by)

    return ft.Container(
        ft.Column(
            [
                ft.Row(
                    [
                        ft.Column(names, spacing=0, expand=True),
                        text(s, s.text.money(line.amount_minor), "strong"),
                    ],
                    vertical_alignment=ft.CrossAxisAlignment.START,
                ),
                ft.Row(
                    [
                        _square(s, ft.Icons.REMOVE_ROUNDED, step(-1), f"less-{line.name}"),
                        field(
                            s,
                            key=f"quantity-{line.name}",
                            value=str(line.quantity),
                            width=72,
                            text_align=ft.TextAlign.CENTER,
                            keyboard_type=ft.KeyboardType.NUMBER,
                            on_submit=typed,
                            on_blur=typed,
                        ),
                        _square(s, ft.Icons.ADD_ROUNDED, step(1), f"more-{line.name}"),
                        ft.Container(expand=True),
                        *_later(s, line),
                        _square(
                            s,
                            ft.Icons.DELETE_OUTLINE_ROUNDED,
                            lambda e: s.sell.set_quantity(line.name, 0),
                            f"drop-{line.name}",
                            p.danger.text,
                        ),
                    ],
                    spacing=8,
                ),
            ],
            spacing=4,
        ),
        key=f"line-{line.name}",
        bgcolor=p.selected,
        padding=ft.Padding.symmetric(horizontal=16, vertical=8),
        border=line_below(p),
    )


def _later(s: Session, line: BasketLine) -> list[ft.Control]:
    """A print, scan or recording may be written down now and paid later."""
    if line.fixed or not model.is_job(s.node, line.sku) or not s.node.may("job.park"):
        return []

    async def park(e: Any) -> None:
        item = s.sell.items.get(line.name)
        if item is None:
            return
        s.sell.set_quantity(line.name, 0)  # first: nobody else finds it in a basket meanwhile
        s.keep_baskets()
        try:
            fields = {"sku": line.sku, "units": line.quantity, "note": line.note}
            await s.node.submit("job.park", fields)
        except SyncError as error:
            s.sell.items = {**s.sell.items, line.name: item}
            s.sell.problem = s.text.error(error)

    return [_square(s, ft.Icons.SCHEDULE_ROUNDED, park, f"later-{line.name}")]


def _square(s: Session, glyph: ft.IconData, on_click: Any, key: str, color: str = "") -> ft.Control:
    return tappable(
        ft.Container(
            icon(glyph, 24, color or s.palette.text2),
            width=48,
            height=48,
            border_radius=8,
            bgcolor=s.palette.surface,
            border=ft.Border.all(1, s.palette.border),
            alignment=ft.Alignment.CENTER,
        ),
        on_click,
        key=key,
    )


async def charge(s: Session) -> None:
    """Place what is in the basket; on a refusal the basket stays and the sentence says why."""
    if s.sell.busy or not s.sell.items or s.sell.asking or s.sell.panel == "customer":
        return
    tendered = _tendered(s)
    if tendered is None and s.node.role == "server" and s.sell.received.strip():
        s.sell.problem = s.text("sell.bad_received")
        return
    try:
        label = await model.charge(s.node, s.sell, tendered)
    except Refused as refusal:
        s.sell.problem = (
            s.text("sell.short", amount=s.text.money(refusal.details["short_minor"]))
            if refusal.code == "too-little"
            else s.text.error(refusal)
        )
        return
    except SyncError as error:
        s.sell.problem = s.text.error(error)
        return
    key = "sell.sold" if s.node.role == "server" else "sell.kept"
    s.say(s.text(key, label=label))


def _tendered(s: Session) -> int | None:
    """What was typed as received, in minor units; None for the exact sum, and for what is none: a
    barcode in this field is no amount that anybody hands over."""
    amount = s.text.parse(s.sell.received) if s.node.role == "server" else None
    return amount if amount is not None and 0 <= amount <= MOST_RECEIVED_MINOR else None


@part
def Ticket() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.sell)
    p = s.palette
    now = model.basket(s.node, s.sell)
    server = s.node.role == "server"

    async def charged(e: Any = None) -> None:
        await charge(s)

    def back() -> None:
        s.sell.close_panel()
        s.sell.current = s.sell.query = ""

    def discounts() -> None:
        shown = s.sell.panel == "discounts"
        s.sell.close_panel()
        s.sell.panel = "" if shown else "discounts"

    s.actions["discounts"] = discounts
    s.actions["back"] = back
    title = s.text("sell.sale" if server else "sell.order", label=model.next_label(s.node))
    counts = s.text("sell.lines", count=len(now.lines)) + " · "
    counts += s.text("sell.units", count=s.sell.units)
    head = ft.Container(
        ft.Row(
            [
                ft.Column(
                    [clipped(s, title, "h2"), clipped(s, counts, "caption", p.text3)],
                    spacing=0,
                    expand=True,
                    alignment=ft.MainAxisAlignment.CENTER,
                ),
                *_tools(s, bool(now.lines)),
            ],
            spacing=0,
        ),
        height=64,
        padding=ft.Padding.only(left=16, right=8),
        border=line_below(p),
    )
    lines: list[ft.Control] = [_middle(s, now)]
    if s.app.toast:
        lines.append(_toast(s))
    return ft.Container(
        ft.Column(
            [
                head,
                *_customer(s),
                *_on_pc(s),
                *_waiting(s),
                ft.Stack(lines, expand=True, fit=ft.StackFit.EXPAND),
                _sums(s, now),
                *_methods(s),
                *([_cash(s, now)] if server and _takes_cash(s, now) else []),
                ft.Container(
                    _charge_button(s, charged, bool(now.lines)),
                    padding=ft.Padding.only(left=16, right=16, top=8, bottom=16),
                ),
            ],
            spacing=0,
        ),
        width=s.measures.panel,
        bgcolor=p.surface,
        border=ft.Border.only(left=ft.BorderSide(1, p.border)),
    )


def _takes_cash(s: Session, now: Basket) -> bool:
    """Whether some of it is paid in cash."""
    if s.sell.method == accounts.CREDIT:
        return now.rest_minor > 0
    return not s.sell.method


def _tools(s: Session, some: bool) -> list[ft.Control]:
    """Customer, discount, park, clear: each a touch wide."""

    def discounts(e: Any) -> None:
        shown = s.sell.panel == "discounts"
        s.sell.close_panel()
        s.sell.panel = "" if shown else "discounts"

    def who(e: Any) -> None:
        if s.sell.panel == "customer":
            s.sell.close_panel()
        else:
            s.sell.ask_customer()

    known = len(s.node.tables.table("customers")) > 0 and s.node.may("customer.read")
    on_pc = bool(floor.live_sessions(s.node)) and floor.sells_on_pcs(s.node)
    tools = [
        *([(ft.Icons.PERSON_ADD_ALT_ROUNDED, "customer", who, True)] if known else []),
        *([(ft.Icons.DESKTOP_WINDOWS_ROUNDED, "pcs", _opener(s, "pcs"), True)] if on_pc else []),
        (ft.Icons.PERCENT_ROUNDED, "discount", discounts, some),
        (ft.Icons.PAUSE_ROUNDED, "park", lambda e: s.sell.park(s.node.clock.wall_ms()), some),
        (ft.Icons.DELETE_SWEEP_ROUNDED, "clear", lambda e: s.sell.clear(), some),
    ]
    return [_tool(s, glyph, name, on_tap if on else None) for glyph, name, on_tap, on in tools]


def _tool(s: Session, glyph: ft.IconData, name: str, on_tap: Any) -> ft.Control:
    label = s.text(f"sell.{name}")
    key = cap("discounts") if name == "discount" else ""
    return ft.Semantics(
        identifier=name,
        label=label,
        button=True,
        content=tappable(
            ft.Container(
                icon(glyph, 24, s.palette.text2 if on_tap else s.palette.border),
                width=48,
                height=48,
                alignment=ft.Alignment.CENTER,
                tooltip=f"{label} {key}".strip(),
            ),
            on_tap,
            key=name,
        ),
    )


def _waiting(s: Session) -> list[ft.Control]:
    """Parked baskets and prints that are not paid, where there are any."""
    found = [("parked", len(s.sell.parked)), ("jobs", len(jobs.pending(s.node.tables)))]
    chips = [
        button(
            s,
            s.text(f"sell.{name}", count=count),
            _opener(s, name),
            kind="tonal" if s.sell.panel == name else "outline",
            key=f"open-{name}",
            expand=True,
        )
        for name, count in found
        if count
    ]
    if not chips:
        return []
    row = ft.Row(chips, spacing=8)
    return [ft.Container(row, padding=ft.Padding.symmetric(horizontal=16, vertical=4))]


def _opener(s: Session, name: str) -> Any:
    def opened(e: Any) -> None:
        shown = s.sell.panel == name
        s.sell.close_panel()
        s.sell.panel = "" if shown else name

    return opened


def _middle(s: Session, now: Basket) -> ft.Control:
    """The lines, or what was opened in their place."""
    if s.sell.asking:
        return _ask_price(s)
    if s.sell.panel == "customer":
        return _who(s)
    if s.sell.panel == "discounts":
        return _discounts(s)
    if s.sell.panel == "pcs":
        return _pcs(s)
    if s.sell.panel == "parked" and s.sell.parked:
        return _parked(s)
    if s.sell.panel == "jobs":
        return _jobs(s)
    if now.lines:
        return ft.ListView([_line(s, line) for line in now.lines], spacing=0, expand=True)
    return empty(
        s, ft.Icons.SHOPPING_BASKET_ROUNDED, s.text("sell.empty"), s.text("sell.empty_next")
    )


def _who(s: Session) -> ft.Control:
    """Whose ticket it is; what waited for that goes on."""

    def searched(value: str) -> None:
        s.sell.who = value

    def chosen(customer: str) -> None:
        wanted = s.sell.wanted
        model.change_customer(s.node, s.sell, customer)
        if wanted and model.is_open_price(s.node, wanted):
            s.sell.ask(wanted)
        elif wanted:
            s.sell.add(wanted)

    def left() -> None:
        s.typing.end()
        s.sell.close_panel()

    return finder(s, s.sell.who, searched, chosen, left)


def _customer(s: Session) -> list[ft.Control]:
    """Whose ticket it is, with what they have; and how to take that back."""
    if not s.sell.customer:
        return []
    p = s.palette
    row = s.node.tables.table("customers").peek(s.sell.customer)
    if row is None or row["deleted"]:
        name, has = s.text("sell.gone"), ""
    else:
        name = customers.full_name(s.node.tables, s.sell.customer)
        points = s.text("customers.for_points", count=row["points"])
        has = f"{s.text.money(row['credit'] + row['bonus'])} · {points}"
    face = ft.Container(
        ft.Row(
            [
                icon(ft.Icons.PERSON_ROUNDED, 20, p.on_selected),
                clipped(s, name, "strong", p.on_selected, expand=True, key="ticket-customer"),
                text(s, has, "label", p.on_selected, key="ticket-account"),
                _tool(
                    s,
                    ft.Icons.CLOSE_ROUNDED,
                    "nobody",
                    lambda e: model.change_customer(s.node, s.sell, ""),
                ),
            ],
            spacing=8,
        ),
        height=48,
        bgcolor=p.selected,
        padding=ft.Padding.only(left=16),
    )
    return [face]


def _on_pc(s: Session) -> list[ft.Control]:
    """The PC whose account it goes on; and how to take that back."""
    if s.sell.method != pcs.PC:
        return []
    p = s.palette
    row = s.node.tables.table("sessions").peek(s.sell.session)
    words = s.text("sell.on_pc", number=row["number"] if row is not None else 0)
    face = ft.Container(
        ft.Row(
            [
                icon(ft.Icons.DESKTOP_WINDOWS_ROUNDED, 20, p.on_selected),
                clipped(s, words, "strong", p.on_selected, expand=True, key="ticket-pc"),
                _tool(s, ft.Icons.CLOSE_ROUNDED, "no_pc", lambda e: s.sell.sell_on("")),
            ],
            spacing=8,
        ),
        height=48,
        bgcolor=p.selected,
        padding=ft.Padding.only(left=16),
    )
    return [face]


def _pcs(s: Session) -> ft.Control:
    """PCs in use: a touch puts the ticket on one's account."""

    def chooser(session: str) -> Any:
        return lambda e: s.sell.sell_on(session)

    rows = [
        choice(s, f"PC {number}", who, "", chooser(session), f"on-pc-{number}",
               on=session == s.sell.session)
        for session, number, who in floor.live_sessions(s.node)
    ]  # fmt: skip
    return _list(s, s.text("sell.which_pc"), rows)


def _list(s: Session, title: str, rows: list[ft.Control]) -> ft.Control:
    head = ft.Container(
        text(s, title, "label", s.palette.text2),
        padding=ft.Padding.symmetric(horizontal=16, vertical=8),
    )
    return ft.ListView([head, *rows], spacing=0, expand=True)


def _discounts(s: Session) -> ft.Control:
    """What the café gives: for the line that is open, or else for the whole ticket."""
    known = model.discount_list(s.node)
    if not known:
        glyph, what = ft.Icons.PERCENT_ROUNDED, s.text("sell.no_discounts")
        return empty(s, glyph, what, s.text("sell.no_discounts_next"))
    item = s.sell.items.get(s.sell.current)
    given = item.discounts if item else s.sell.discounts
    if item:
        row = s.node.tables.table("products").peek(item.sku)
        title = s.text("sell.discount_of", name=row["name"] if row else item.sku)
    else:
        title = s.text("sell.discount_all")
    rows = []
    for code, name, form, value in known:
        shown = s.text.percent(value) if form == "percent" else s.text.money(value)
        toggle = _toggler(s, code)
        on = code in given
        rows.append(choice(s, name, "", f"−{shown}", toggle, f"discount-{code}", on=on))
    return _list(s, title, rows)


def _toggler(s: Session, code: str) -> Any:
    return lambda e: s.sell.toggle_discount(code)


def _parked(s: Session) -> ft.Control:
    rows = []
    for at, one in enumerate(s.sell.parked):
        products = s.node.tables.table("products")
        known = [products.peek(item.sku) for item in one.items.values()]
        title = ", ".join(row["name"] for row in known if row is not None)
        rows.append(choice(s, title, s.text.time(one.at_ms), "", _taker(s, at), f"parked-{at}"))
    return _list(s, s.text("sell.parked", count=len(rows)), rows)


def _taker(s: Session, at: int) -> Any:
    def taken(e: Any) -> None:
        s.sell.take_back(at, s.node.clock.wall_ms())

    return taken


def _jobs(s: Session) -> ft.Control:
    """Prints, scans and recordings that wait for their money; a touch puts one on the ticket."""
    rows = []
    for row in jobs.pending(s.node.tables):
        job = str(row.doc_id)
        on = any(item.job == job for item in s.sell.items.values())
        title = f"{row['units'] * row['copies']} {row['name']}"
        detail = f"{s.text.time(row['at_ms'])} {row['note']}".strip()
        value = s.text.money(row["amount_minor"])
        add = _job_adder(s, job, row["sku"], row["units"])
        rows.append(choice(s, title, detail, value, add, f"job-{job}", on=on))
    return _list(s, s.text("sell.jobs", count=len(rows)), rows)


def _job_adder(s: Session, job: str, sku: str, units: int) -> Any:
    return lambda e: s.sell.add_job(job, sku, units)


def _ask_price(s: Session) -> ft.Control:
    """The price of a service that has none of its own, and what it is for."""
    sku = s.sell.asking
    row = s.node.tables.table("products").peek(sku)

    def keep(name: str) -> Any:
        def changed(e: Any) -> None:
            setattr(s.sell, name, e.control.value or "")

        return changed

    def add(e: Any = None) -> None:
        price = s.text.parse(s.sell.price)
        if price is None or not 0 <= price <= MAX_PRICE_MINOR:
            s.sell.problem = s.text("sell.no_price")
        else:
            s.typing.end()
            s.sell.add(sku, price, " ".join(s.sell.note.split())[:80])

    def leave(e: Any) -> None:
        s.typing.end()
        s.sell.close_panel()

    def price(box: Any) -> ft.Control:
        return field(
            s,
            ref=box,
            key="open-price",
            label=s.text("sell.price"),
            value=s.sell.price,
            keyboard_type=ft.KeyboardType.NUMBER,
            text_align=ft.TextAlign.RIGHT,
            on_change=keep("price"),
            on_submit=add,
        )

    return ft.Container(
        ft.Column(
            [
                text(s, row["name"] if row else sku, "h2"),
                Focused(price),
                *(
                    []
                    if row is not None and row["kind"] == "credit"
                    else [
                        field(
                            s,
                            key="open-note",
                            label=s.text("sell.note"),
                            value=s.sell.note,
                            on_change=keep("note"),
                            on_submit=add,
                        )
                    ]
                ),
                ft.Row(
                    [
                        button(s, s.text("sell.cancel"), leave, key="open-leave", expand=True),
                        button(
                            s,
                            s.text("sell.add"),
                            add,
                            kind="filled",
                            key="open-add",
                            expand=True,
                        ),
                    ],
                    spacing=8,
                ),
            ],
            spacing=12,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        ),
        padding=16,
    )


def _methods(s: Session) -> list[ft.Control]:
    """Cash or one of the owner's methods, where there are any."""
    known = model.methods(s.node, s.sell.customer, s.sell.session)
    if not known:
        return []
    chips: list[ft.Control] = []
    for method, name in [("", s.text("sell.cash")), *known]:
        label, key = name or s.text.say(f"method.{method}"), f"method-{method or 'cash'}"
        kind = "tonal" if s.sell.method == method else "outline"
        chip = button(s, label, _payer(s, method), kind=kind, key=key)
        chips.append(named(key, label, chip, button=True))
    row = ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN)
    return [ft.Container(row, padding=ft.Padding.only(left=16, right=16, bottom=8))]


def _payer(s: Session, method: str) -> Any:
    def chosen(e: Any) -> None:
        s.sell.method, s.sell.problem = method, ""

    return chosen


def _toast(s: Session) -> ft.Control:
    return ft.Container(
        ft.Row(
            [
                icon(ft.Icons.CHECK_ROUNDED, 20, "#FFFFFF"),
                clipped(s, s.app.toast, "body", "#FFFFFF", expand=True, key="toast"),
            ],
            spacing=12,
        ),
        height=48,
        bgcolor="#10262A",
        border_radius=8,
        padding=ft.Padding.symmetric(horizontal=16),
        left=16,
        right=16,
        bottom=16,
        shadow=ft.BoxShadow(blur_radius=24, offset=ft.Offset(0, 8), color="#2910262A"),
    )


def _sums(s: Session, now: Basket) -> ft.Control:
    p = s.palette
    rows: list[ft.Control] = []
    if now.rounding_minor or now.off:
        rows.append(_sum(s, s.text("sell.subtotal"), s.text.money(now.subtotal_minor)))
    rows += [_sum(s, name, s.text.money(-off)) for name, off in now.off]
    if now.by_credit_minor:
        rows.append(_sum(s, s.text("sell.by_credit"), s.text.money(now.by_credit_minor)))
        rows.append(_sum(s, s.text("sell.rest"), s.text.money(now.rest_minor)))
    if now.rounding_minor:
        rows.append(_sum(s, s.text("sell.rounding"), s.text.money(now.rounding_minor)))
    rates = "  ".join(
        s.text("sell.vat", rate=s.text.percent(bp), amount=s.text.money(tax))
        for bp, tax in now.taxes
    )
    problem = s.sell.problem or (s.text.say(f"refused.{now.problem}") if now.problem else "")
    if problem:
        rows.append(text(s, problem, "body", p.danger.text, key="problem"))
    rows.append(
        ft.Row(
            [
                ft.Column(
                    [text(s, s.text("sell.total"), "h2"), clipped(s, rates, "caption", p.text3)],
                    spacing=0,
                    expand=True,
                ),
                named(
                    "total",
                    f"{s.text('sell.total')} {s.text.money(now.total_minor)}",
                    amount(s, now.total_minor, key="total"),
                ),
            ],
            vertical_alignment=ft.CrossAxisAlignment.END,
        )
    )
    return ft.Container(
        ft.Column(rows, spacing=4),
        padding=ft.Padding.only(left=16, right=16, top=12, bottom=8),
        border=ft.Border.only(top=ft.BorderSide(1, p.border)),
    )


def _sum(s: Session, label: str, value: str) -> ft.Control:
    color = s.palette.text2
    return ft.Row([text(s, label, "body", color, expand=True), text(s, value, "body", color)])


def _cash(s: Session, now: Basket) -> ft.Control:
    p = s.palette

    def typed(e: Any) -> None:
        s.sell.received = e.control.value or ""

    async def entered(e: Any) -> None:
        await charge(s)

    given = _tendered(s)
    change = given - now.rest_minor if given is not None else 0
    return ft.Container(
        ft.Row(
            [
                field(
                    s,
                    key="received",
                    label=s.text("sell.received"),
                    value=s.sell.received,
                    text_align=ft.TextAlign.RIGHT,
                    keyboard_type=ft.KeyboardType.NUMBER,
                    expand=1,
                    on_change=typed,
                    on_submit=entered,
                ),
                ft.Container(
                    ft.Row(
                        [
                            text(s, s.text("sell.change"), "caption", p.text3, expand=True),
                            text(
                                s,
                                s.text.money(change),
                                "h2",
                                p.danger.text if change < 0 else p.text,
                                key="change",
                            ),
                        ]
                    ),
                    expand=1,
                    height=48,
                    border_radius=8,
                    bgcolor=p.surface2,
                    border=ft.Border.all(1, p.border),
                    padding=ft.Padding.symmetric(horizontal=12),
                ),
            ],
            spacing=8,
        ),
        padding=ft.Padding.symmetric(horizontal=16),
    )


def _charge_button(s: Session, charge: Any, ready: bool) -> ft.Control:
    if s.node.role == "server":
        label, glyph = s.text("sell.charge"), ft.Icons.PAYMENTS_ROUNDED
    elif s.node.status()["online"]:
        label, glyph = s.text("sell.send"), ft.Icons.SEND_ROUNDED
    else:
        label, glyph = s.text("sell.keep"), ft.Icons.SAVE_ROUNDED
    return ft.Semantics(
        identifier="charge",
        label=label,
        button=True,
        content=ft.Row(
            [
                button(
                    s,
                    label,
                    charge,
                    kind="filled",
                    glyph=glyph,
                    key_label=cap("charge"),
                    key="charge",
                    height=64,
                    expand=True,
                    large=True,
                    disabled=not ready or s.sell.busy,
                )
            ]
        ),
    )
