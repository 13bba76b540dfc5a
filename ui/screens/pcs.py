"""Rates, the PCs themselves, and the door for a new one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

from node.api import Refused, ServerNode, SyncError, pcs
from ui.components.guard import part
from ui.components.office import Column, Row, attempt, head, note, page, segments, table
from ui.components.parts import card, field, named_button, text
from ui.format import whole
from ui.keymap import cap
from ui.viewmodels import floor as model
from ui.viewmodels.forms import NEW
from ui.viewmodels.session import Session, use_session
from ui.viewmodels.stations import PAIRING_PORT, address_of

PC_FIELDS = ("number", "name", "rate", "mac")


async def _do(s: Session, work: Callable[[], Awaitable[Any]], done: str) -> bool:
    return await attempt(s, s.pcs, "pcs", work, done)


def _box(s: Session, name: str, on_enter: Any, **more: Any) -> ft.Control:
    form = s.pcs
    label = s.text(f"pcs.{name.rstrip('0123456789')}")

    def changed(e: Any) -> None:
        form.fields = {**form.fields, name: e.control.value or ""}

    return field(
        s, key=f"pcs-{name}", label=label, value=form.fields.get(name, ""), on_change=changed,
        on_submit=on_enter, **more,
    )  # fmt: skip


def _told(s: Session) -> list[ft.Control]:
    form = s.pcs
    if not (form.problem or form.saved):
        return []
    return [note(s, form.problem or form.saved, bad=bool(form.problem))]


# --- PCs ---------------------------------------------------------------------------


def _pc_rows(s: Session) -> list[Row]:
    node, form = s.node, s.pcs
    assert isinstance(node, ServerNode)
    rows = []
    for pc, row in pcs.trusted(node.tables):

        def chosen(e: Any, pc: str = pc, row: Any = row) -> None:
            form.open(pc, {name: str(row[name]) for name in PC_FIELDS})

        state = s.text("pcs.here" if node.floor.online(pc) else "pcs.away")
        rate = node.tables.table("rates").peek(row["rate"]) or {"name": row["rate"]}
        cells = [str(row["number"]), row["name"], rate["name"], state]
        rows.append(Row(f"pc-row-{row['number']}", cells, chosen, form.selected == pc))
    return rows


def _pc_form(s: Session) -> list[ft.Control]:
    form, node = s.pcs, s.node
    pc = form.selected
    row = node.tables.table("pcs").peek(pc)
    if row is None:
        return []

    async def save(e: Any = None) -> None:
        async def work() -> None:
            values = model.pc_values(form.fields)
            known = node.tables.table("pcs").peek(pc) or {}
            changes = {name: v for name, v in values.items() if v != known.get(name)}
            await node.submit("pc.edit", {"pc": pc, **changes})

        await _do(s, work, s.text("pcs.saved"))

    async def revoke(e: Any) -> None:
        if await _do(s, lambda: node.submit("pc.revoke", {"pc": pc}), s.text("pcs.revoked")):
            form.selected = ""

    def ask(e: Any) -> None:
        form.sure = pc

    def keep(e: Any) -> None:
        form.sure = ""

    if form.sure == pc:
        last: list[ft.Control] = [
            named_button(s, s.text("queue.keep"), keep, key="pcs-keep"),  # where a double touch is
            named_button(s, s.text("pcs.sure"), revoke, kind="danger_filled", key="pcs-sure"),
        ]
    else:
        last = [named_button(s, s.text("pcs.revoke"), ask, kind="danger_text", key="pcs-revoke")]
    return [
        text(s, f"PC {row['number']}", "h2"),
        _box(s, "number", save),
        _box(s, "name", save),
        *_rate_chips(s),
        _box(s, "mac", save, hint_text="02:00:00:00:00:01"),
        named_button(s, s.text("pcs.save"), save, kind="filled", key="pcs-save",
               disabled=not node.may("settings.edit")),
        *(last if node.may("station.pair") else []),
    ]  # fmt: skip


def _rate_chips(s: Session) -> list[ft.Control]:
    form = s.pcs

    def chooser(rate: str) -> Callable[[Any], None]:
        def chosen(e: Any) -> None:
            form.fields = {**form.fields, "rate": rate}

        return chosen

    chips = [
        named_button(s, row["name"], chooser(rate), key=f"pcs-rate-{rate}",
               kind="tonal" if form.fields.get("rate") == rate else "outline")
        for rate, row in sorted(s.node.tables.table("rates").scan())
    ]  # fmt: skip
    if not chips:
        return [text(s, s.text("pcs.no_rate"), "body", s.palette.danger.text)]
    return [ft.Row(chips, spacing=8, scroll=ft.ScrollMode.HIDDEN)]


# --- the door ------------------------------------------------------------------------


async def _open_door(s: Session, *, replaces: bool = False) -> None:
    """``replaces``: the PC that has this number now is trusted no more."""
    form = s.pcs
    opened: dict[str, Any] = {}

    async def work() -> None:
        number = model.number_in(form.fields.get("number", ""))
        rate = "" if replaces else form.fields.get("rate", "")
        how = {"number": number, "rate": rate, "again": replaces}
        form.door = number
        opened.update(await s.door.call("pair_open", port=PAIRING_PORT, **how))

    if not await _do(s, work, ""):
        return
    form.step, form.digits, form.knocking = "open", "", ""
    form.address = f"{address_of(s.node.config.host)}:{opened['port']}"
    try:
        form.knocking = (await s.door.call("pair_knock"))["name"]
    except SyncError as error:  # nobody came in two minutes, or it was shut
        form.problem = s.text.error(error) if form.step else ""
        form.step = ""
        return
    form.step = "digits"


def _door(s: Session) -> list[ft.Control]:
    """A new PC: its number, the command that it runs, the digits that it shows."""
    form = s.pcs

    typed = whole(form.fields.get("number", ""))
    taken = bool(typed and pcs.numbered(s.node.tables, typed))

    def begin(e: Any) -> None:
        if not taken or form.sure == f"replace-{typed}":
            ft.context.page.run_task(_open_door, s, replaces=taken)
        else:
            form.sure = f"replace-{typed}"

    async def shut(e: Any = None) -> None:
        form.step = ""
        await s.door.call("pair_close")

    async def enter(e: Any = None) -> None:
        over: list[bool] = []

        async def work() -> None:
            try:
                await s.door.call("pair_type", digits=form.digits)
            except Refused as refusal:  # too late, or too many wrong digits
                if refusal.code == "pairing-closed" or refusal.details.get("left") == 0:
                    over.append(True)
                raise

        done = s.text("pcs.paired", number=form.door)
        if await _do(s, work, done):
            form.step = ""
            form.open("", {})
            form.saved = done
        elif over:
            form.step, form.problem = "", s.text("pcs.door_shut")
        form.digits = ""

    def digits(e: Any) -> None:
        form.digits = e.control.value or ""

    if form.step == "open":
        return [
            text(s, s.text("pcs.wait"), "strong"),
            text(s, f"cabina client --join {form.address}", "h2", selectable=True),
            ft.ProgressBar(color=s.palette.accent, bgcolor=s.palette.surface3),
            named_button(s, s.text("sell.cancel"), shut, key="pcs-shut"),
        ]
    if form.step == "digits":
        return [
            text(s, s.text("stations.knocks", name=form.knocking), "strong"),
            field(s, key="pcs-digits", label=s.text("stations.digits"), value=form.digits,
                  on_change=digits, on_submit=enter, autofocus=True),
            named_button(s, s.text("stations.let_in"), enter, kind="filled", key="pcs-let-in"),
            named_button(s, s.text("sell.cancel"), shut, key="pcs-shut"),
        ]  # fmt: skip
    opens: list[ft.Control] = []
    if taken and form.sure == f"replace-{typed}":
        opens.append(text(s, s.text("pcs.taken", number=typed), "body", s.palette.danger.text))
        label = s.text("pcs.replace", number=typed)
        opens.append(named_button(s, label, begin, kind="danger_filled", key="pcs-replace"))
    else:
        opens.append(named_button(s, s.text("pcs.open_door"), begin, kind="filled", key="pcs-open"))
    return [
        text(s, s.text("pcs.new"), "h2"),
        _box(s, "number", begin, autofocus=True),
        *([] if taken else _rate_chips(s)),
        *opens,
        text(s, s.text("pcs.door_hint"), "body", s.palette.text2),
    ]


# --- rates -----------------------------------------------------------------------------


def _rate_rows(s: Session) -> list[Row]:
    form, rows = s.pcs, []
    for rate, row in sorted(s.node.tables.table("rates").scan()):

        def chosen(e: Any, rate: str = rate, row: Any = row) -> None:
            form.open(rate, model.rate_fields(s.text, row))

        prices = sorted({model.hour_minor(b["price_minor"], b["block_s"]) for b in row["bands"]})
        shown = s.text.money(prices[0])
        if len(prices) > 1:
            shown += f" – {s.text.money(prices[-1])}"
        cells = [
            row["name"],
            s.text("floor.an_hour", amount=shown),
            s.text.money(row["minimum_minor"]),
        ]
        rows.append(Row(f"rate-row-{rate}", cells, chosen, form.selected == rate))
    return rows


def _rate_form(s: Session) -> list[ft.Control]:
    form, node = s.pcs, s.node
    if not form.selected:
        return []

    async def save(e: Any = None) -> None:
        rate = model.next_rate(node) if form.selected == NEW else form.selected

        async def work() -> None:
            values = model.rate_values(s.text, form.fields)
            await node.submit("rate.put", {"rate": rate, "values": values})

        if await _do(s, work, s.text("pcs.saved")):
            form.selected = rate

    bands: list[ft.Control] = []
    for at in range(model.bands_in(form.fields)):
        bands.append(
            ft.Row(
                [ft.Container(_box(s, f"{name}{at}", save), expand=1)
                 for name in ("from", "price", "block")],
                spacing=8,
            )
        )  # fmt: skip
    return [
        text(s, s.text("pcs.new_rate") if form.selected == NEW else form.fields["name"], "h2"),
        _box(s, "name", save, autofocus=form.selected == NEW),
        text(s, s.text("pcs.bands"), "label", s.palette.text2),
        *bands,
        ft.Row([ft.Container(_box(s, name, save), expand=1) for name in ("minimum", "grace")],
               spacing=8),
        ft.Row([ft.Container(_box(s, name, save), expand=1) for name in ("step", "tax")],
               spacing=8),
        text(s, s.text("pcs.rate_hint"), "caption", s.palette.text3),
        named_button(s, s.text("pcs.save"), save, kind="filled", key="pcs-save"),
    ]  # fmt: skip


# --- the screen ---------------------------------------------------------------------------


@part
def Pcs() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.pcs)
    form = s.pcs
    assert isinstance(s.node, ServerNode)
    in_pcs = form.tab == "pcs"

    def new(e: Any) -> None:
        if in_pcs:
            rates = sorted(rate for rate, _ in s.node.tables.table("rates").scan())
            numbers = [row["number"] for _, row in pcs.trusted(s.node.tables)]
            fields = {"number": str(max(numbers, default=0) + 1), "rate": rates[0] if rates else ""}
            form.open(NEW, fields)
        else:
            form.open(NEW, model.rate_fields(s.text, None))

    s.actions["back"] = lambda: s.go("floor")
    tabs = [(name, s.text(f"pcs.tab.{name}")) for name in ("pcs", "rates")]
    may_add = s.node.may("station.pair") if in_pcs else True
    top = head(
        s,
        s.text("screen.pcs"),
        ft.Container(expand=True),
        named_button(s, s.text("screen.floor"), lambda e: s.go("floor"), key="go-floor",
               key_label=cap("back"), glyph=ft.Icons.ARROW_BACK_ROUNDED),
        named_button(s, s.text("pcs.new" if in_pcs else "pcs.new_rate"), new, kind="tonal",
               glyph=ft.Icons.ADD_ROUNDED, key="pcs-new", disabled=not may_add),
    )  # fmt: skip
    if in_pcs:
        columns = [Column(s.text("pcs.number"), 72), Column(s.text("pcs.name")),
                   Column(s.text("pcs.rate")), Column(s.text("pcs.state"), 120)]  # fmt: skip
        rows = _pc_rows(s)
        side = _door(s) if form.selected == NEW or form.step else _pc_form(s)
    else:
        columns = [Column(s.text("pcs.name")), Column(s.text("pcs.prices"), right=True),
                   Column(s.text("pcs.minimum"), 120, right=True)]  # fmt: skip
        rows = _rate_rows(s)
        side = _rate_form(s)
    parts: list[ft.Control] = [
        ft.Container(table(s, columns, rows, expand=True, most=200), expand=True)
    ]
    if side:
        form_card = card(
            s, ft.Column([*_told(s), *side], spacing=10, scroll=ft.ScrollMode.AUTO,
                         horizontal_alignment=ft.CrossAxisAlignment.STRETCH),
            width=s.measures.side + 40,
        )  # fmt: skip
        parts.append(form_card)
    return page(
        s,
        top,
        segments(s, tabs, form.tab, form.turn, "pcs-tab"),
        *([] if side else _told(s)),
        ft.Row(parts, spacing=12, expand=True, vertical_alignment=ft.CrossAxisAlignment.STRETCH),
    )
