"""What is to be printed: what waits and why, and what nobody knows the end of."""

from __future__ import annotations

from typing import Any

import flet as ft
from tinydb import where

from node.api import ServerNode, SyncError, box, receipts
from ui.components.guard import part
from ui.components.office import head, note, page, pill
from ui.components.parts import button, card, empty, icon, text
from ui.viewmodels import office as model
from ui.viewmodels.sales import print_of
from ui.viewmodels.session import Session, use_session

SHOWN_AT_ONCE = 60
LAST = 12
_GLYPHS = {
    "unknown": ft.Icons.HELP_ROUNDED,
    "sending": ft.Icons.PRINT_ROUNDED,
    "waiting": ft.Icons.HOURGLASS_TOP_ROUNDED,
    "printed": ft.Icons.CHECK_CIRCLE_ROUNDED,
}


def _name(s: Session, row: Any) -> str:
    """What a job prints."""
    what, ref, tables = row["what"], row["ref"], s.node.tables
    if what in ("z", "x"):
        return s.text(f"prints.{what}", number=ref.partition("-")[0])
    if what == "refund":
        refund = tables.table("refunds").peek(ref) or {"amount_minor": 0, "order": ""}
        amount = s.text.money(refund["amount_minor"])
        return s.text("prints.refund", amount=amount)
    order = tables.table("orders").peek(ref)
    if order is None:
        return str(row.doc_id)
    amount = s.text.money(order["total_minor"])
    who = receipts.name_of(tables, order["operator"])
    return s.text("prints.ticket", number=order["ticket"], amount=amount, who=who)


def _doer(s: Session, kind: str, job: str) -> Any:
    async def do(e: Any) -> None:
        s.app.problem = ""
        try:
            await s.node.submit(kind, {"job": job})
        except SyncError as error:
            s.app.problem = s.text.error(error)

    return do


def _one(s: Session, row: Any) -> ft.Control:
    p, job, state = s.palette, str(row.doc_id), row["state"]
    tint = {"unknown": p.danger, "waiting": p.pending, "sending": p.allowed, "printed": p.printed}[
        state
    ]
    why = s.text.why(row["why"]) if row["why"] else ""
    if state == "waiting":
        trouble = s.node.status()["printer"]
        why = s.text.why(trouble) if trouble not in ("", "none") else why
    words: list[ft.Control] = [text(s, _name(s, row), "strong")]
    if why or state == "unknown":
        next_step = s.text("prints.look") if state == "unknown" else ""
        words.append(text(s, f"{why}. {next_step}".strip(". ") + ".", "body", p.text2))
    parts: list[ft.Control] = [
        icon(_GLYPHS[state], 24, tint.text),
        ft.Column(words, spacing=2, expand=True),
        pill(s, s.text(f"prints.{state}"), tint.text, tint.ground),
    ]
    if s.node.may("ticket.reprint"):
        if state == "unknown":
            there = _doer(s, "print.settle", job)
            parts.append(button(s, s.text("prints.there"), there, key=f"settle-{job}"))
        if state in ("unknown", "printed"):
            again = _doer(s, "ticket.reprint", job)
            kind = "accent" if state == "unknown" else "outline"
            parts.append(button(s, s.text("prints.again"), again, kind=kind, key=f"again-{job}"))
    return card(s, ft.Row(parts, spacing=12), key=f"job-{job}", padding=12)


def _last_printed(s: Session) -> list[Any]:
    """Jobs of the last tickets that are on paper, by their numbers."""
    tables, found = s.node.tables, []
    last = box.next_ticket(tables) - 1
    for ticket in range(last, max(0, last - LAST), -1):
        for order in tables.table("orders").search(where("ticket") == ticket):
            known = print_of(s.node, {**order, "id": str(order.doc_id)})
            if known is not None and known[1]["state"] == "printed":
                found.append(tables.table("prints").get(doc_id=known[0]))
    return found


@part
def Prints() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    said, say = ft.use_state("")
    prints = s.node.tables.table("prints")
    rows = [
        row
        for state in ("unknown", "sending", "waiting")
        for row in prints.search(where("state") == state)
    ]

    async def test(e: Any) -> None:
        s.app.problem = ""
        try:
            say(await model.test_print(s.door, s.text))
        except SyncError as error:
            s.app.problem = s.text.error(error)

    parts: list[ft.Control] = [
        head(
            s,
            s.text("screen.prints"),
            ft.Container(expand=True),
            button(
                s,
                s.text("prints.test"),
                test,
                glyph=ft.Icons.PRINT_ROUNDED,
                key="test-print",
                disabled=not isinstance(s.node, ServerNode) or s.node.printer is None,
            ),
        )
    ]
    if s.app.problem or said:
        parts.append(note(s, s.app.problem or said, bad=bool(s.app.problem)))
    jobs = [_one(s, row) for row in rows[:SHOWN_AT_ONCE]]
    if len(rows) > SHOWN_AT_ONCE:
        more = s.text("table.more", count=len(rows) - SHOWN_AT_ONCE)
        jobs.append(text(s, more, "caption"))
    printed = [_one(s, row) for row in _last_printed(s)]
    if printed:
        jobs += [text(s, s.text("prints.last"), "h2"), *printed]
    if not jobs:
        what = s.text("prints.none")
        parts.append(empty(s, ft.Icons.PRINT_ROUNDED, what, s.text("prints.none_next")))
    else:
        parts.append(ft.ListView(jobs, spacing=8, expand=True))
    return page(s, *parts)
