"""Sales: find one, look at it, print it again, give money back."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import SyncError, office, receipts
from ui.components.guard import part
from ui.components.office import Column, Row, head, note, page, pill, switch, table, typed
from ui.components.parts import button, card, clipped, empty, field, text
from ui.viewmodels import sales as model
from ui.viewmodels.orders import summary
from ui.viewmodels.session import Session, use_session


def _list(s: Session) -> ft.Control:
    p = s.palette
    rows = []
    for row in model.find(s.node, s.sales.query):
        back = model.refunded_minor(row)
        state: str | ft.Control = ""
        if back:
            words = "sales.all_back" if back == row["total_minor"] else "sales.part_back"
            state = pill(s, s.text(words), p.danger.text, p.danger.ground)

        def opened(e: Any, order: str = row["id"]) -> None:
            s.sales.open(order)

        rows.append(
            Row(
                f"sale-{row['id']}",
                [
                    str(row["ticket"] or "–"),
                    s.text.moment(row["taken_ms"]),
                    receipts.name_of(s.node.tables, row["operator"]),
                    summary(row),
                    state,
                    s.text.money(row["total_minor"]),
                ],
                opened,
                chosen=s.sales.selected == row["id"],
            )
        )
    if not rows:
        what = s.text("sales.none")
        return empty(s, ft.Icons.RECEIPT_LONG_ROUNDED, what, s.text("sales.none_next"))
    columns = [
        Column(s.text("sales.ticket"), 64),
        Column(s.text("orders.time"), 144),
        Column(s.text.say("report.vendor"), 120, roomy=True),
        Column(s.text("orders.content")),
        Column("", 116, roomy=True),
        Column(s.text("orders.total"), 104, right=True),
    ]
    return table(s, columns, rows, expand=True)


def _one_line(s: Session, row: dict[str, Any], at: int) -> ft.Control:
    """A line of the sale, with how many units of it go back."""
    line, left = row["lines"][at], model.units_left(row, at)
    back = s.sales.units.get(str(at), 0)

    def change(by: int) -> Any:
        def changed(e: Any) -> None:
            units = max(0, min(left, back + by))
            s.sales.units = {**s.sales.units, str(at): units}

        return changed

    words = f"{line['quantity']} × {line['name']}"
    parts: list[ft.Control] = [
        ft.Column(
            [
                clipped(s, words, "strong"),
                clipped(s, s.text.money(line["amount_minor"]), "caption", s.palette.text3),
            ],
            spacing=0,
            expand=True,
        )
    ]
    if left and s.node.may("sale.refund"):
        parts += [
            button(s, "−", change(-1), key=f"back-less-{at}", width=48),
            text(s, str(back), "h2", width=32, text_align=ft.TextAlign.CENTER, key=f"back-{at}"),
            button(s, "+", change(1), key=f"back-more-{at}", width=48),
        ]
    elif not left:
        parts.append(text(s, s.text("sales.all_back"), "label", s.palette.danger.text))
    return ft.Row(parts, spacing=4)


def _detail(s: Session, row: dict[str, Any]) -> ft.Control:
    form, tables = s.sales, s.node.tables
    left = row["total_minor"] - model.refunded_minor(row)

    async def refund(e: Any = None) -> None:
        if form.busy:
            return
        form.busy, form.problem = True, ""
        try:
            receipt = await s.node.submit("sale.refund", model.refund_fields(form))
        except SyncError as error:
            form.problem = s.text.error(error)
        else:
            amount = next(body["amount_minor"] for _, _, body in receipt.events)
            form.open("")
            form.selected = row["id"]
            form.done = s.text("sales.given", amount=s.text.money(amount))
        finally:
            form.busy = False

    async def again(e: Any = None) -> None:
        found = model.print_of(s.node, row)
        assert found is not None
        try:
            await s.node.submit("ticket.reprint", {"job": found[0]})
        except SyncError as error:
            form.problem = s.text.error(error)
        else:
            form.done = s.text("sales.copy")

    place = receipts.station_name(tables, row["station"]) or s.text.say("report.desk")
    who = receipts.name_of(tables, row["operator"])
    paid = [(s.text.say("method.cash"), row["cash_minor"])] if row["cash_minor"] else []
    for method, amount in row["payments"]:
        name = office.method_name(s.node, method)
        paid.append((name, amount))
    lines: list[ft.Control] = [_one_line(s, row, at) for at in range(len(row["lines"]))]
    lines += [
        ft.Row([text(s, name, "body", s.palette.text2, expand=True), text(s, s.text.money(amount))])
        for name, amount in paid
    ]
    parts: list[ft.Control] = [
        text(s, s.text("orders.ticket", number=row["ticket"] or "–"), "h1"),
        clipped(s, f"{s.text.moment(row['taken_ms'])} · {who} · {place}", "caption"),
        ft.Divider(height=1),
        ft.Column(lines, spacing=8, expand=True, scroll=ft.ScrollMode.AUTO),
        ft.Divider(height=1),
        ft.Row(
            [
                text(s, s.text("sales.left"), "body", expand=True),
                text(s, s.text.money(left), "h1", key="left"),
            ]
        ),
    ]
    if left and s.node.may("sale.refund"):
        some = any(form.units.values())
        parts += [
            typed(s, form, "reason", s.text("cash.reason"), key="refund-reason"),
            switch(
                s,
                s.text("sales.restock"),
                form.restock,
                lambda on: setattr(form, "restock", on),
                "refund-restock",
            ),
            button(
                s,
                s.text("sales.refund_some" if some else "sales.refund_all"),
                refund,
                kind="danger",
                glyph=ft.Icons.ASSIGNMENT_RETURN_ROUNDED,
                key="refund",
                disabled=form.busy,
            ),
        ]
    found = model.print_of(s.node, row)
    if found is not None and s.node.may("ticket.reprint"):
        off = found[1]["state"] not in ("printed", "unknown")
        parts.append(
            button(
                s,
                s.text("sales.print_copy"),
                again,
                glyph=ft.Icons.PRINT_ROUNDED,
                key="reprint",
                disabled=off,
            )
        )
    if form.problem or form.done:
        parts.append(note(s, form.problem or form.done, bad=bool(form.problem)))
    return card(
        s,
        ft.Column(
            parts, spacing=8, expand=True, horizontal_alignment=ft.CrossAxisAlignment.STRETCH
        ),
        width=s.measures.panel,
    )


@part
def Sales() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.sales)

    def searched(e: Any) -> None:
        s.sales.query = e.control.value or ""

    s.actions["back"] = lambda: s.sales.open("")
    search = field(
        s,
        key="search",
        hint_text=s.text("sales.search"),
        value=s.sales.query,
        prefix_icon=ft.Icons.SEARCH_ROUNDED,
        expand=True,
        autofocus=True,
        on_change=searched,
    )
    body: list[ft.Control] = [
        ft.Column([head(s, s.text("screen.sales"), search), _list(s)], spacing=12, expand=True)
    ]
    row = s.node.tables.table("orders").row(s.sales.selected) if s.sales.selected else None
    if row is not None:
        body.append(_detail(s, {"id": s.sales.selected, **row}))
    stretch = ft.CrossAxisAlignment.STRETCH
    return page(s, ft.Row(body, spacing=16, expand=True, vertical_alignment=stretch))
