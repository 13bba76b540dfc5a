"""The audit: every act with who, where and when, found by person, kind, words and day."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import ServerNode, SyncError
from ui.components.guard import part
from ui.components.office import Column, Row, head, note, page, segments, table, typed
from ui.components.parts import button, card, empty, text
from ui.viewmodels import audit as model
from ui.viewmodels.session import Session, use_session

LONGEST_SHOWN = 120


async def _load(s: Session, *, on: bool = False) -> None:
    assert isinstance(s.node, ServerNode)
    s.audit.problem = ""
    try:
        await model.load(s.node, s.audit, on=on)
    except SyncError as error:
        s.audit.problem = s.text.error(error)


def _filters(s: Session) -> list[ft.Control]:
    form = s.audit

    async def look(e: Any = None) -> None:
        await _load(s)

    async def person(e: Any) -> None:
        form.person = e.control.value or ""
        await _load(s)

    async def group(name: str) -> None:
        form.group = name
        await _load(s)

    people = [ft.DropdownOption(key=key, text=name) for key, name in model.people(s.node)]
    everybody = ft.DropdownOption(key="", text=s.text("audit.everybody"))
    return [
        head(
            s,
            s.text("screen.audit"),
            ft.Dropdown(
                key="audit-person",
                value=form.person,
                options=[everybody, *people],
                on_select=person,
                width=200,
                dense=True,
            ),
            typed(
                s,
                form,
                "words",
                s.text("audit.words"),
                key="audit-words",
                on_enter=look,
                expand=True,
            ),
            typed(
                s,
                form,
                "day",
                s.text("audit.day"),
                key="audit-day",
                on_enter=look,
                width=136,
                hint_text=model.today(s.node),
            ),
            button(
                s,
                s.text("audit.look"),
                look,
                glyph=ft.Icons.SEARCH_ROUNDED,
                key="audit-look",
                kind="tonal",
            ),
        ),
        segments(
            s,
            [(name, s.text(f"audit.group.{name or 'all'}")) for name in model.GROUPS],
            form.group,
            group,
            "group",
        ),
    ]


def _detail(s: Session, act: dict[str, Any]) -> ft.Control:
    rows: list[ft.Control] = [
        text(s, s.text.kind(act["kind"]), "h1"),
        text(s, f"{act['kind']} · #{act['seq']}", "caption", s.palette.text3),
    ]
    if not act["accepted"]:
        rows.append(note(s, s.text("audit.refused", code=act["code"]), bad=True, key="refused"))
    for name, value in act["body"].items():
        shown = str(value)
        if len(shown) > LONGEST_SHOWN:
            shown = f"{shown[:LONGEST_SHOWN]}…"
        rows.append(text(s, name, "label", s.palette.text3))
        rows.append(text(s, shown, "body", selectable=True))
    return card(
        s,
        ft.Column(rows, spacing=4, scroll=ft.ScrollMode.AUTO, expand=True),
        width=s.measures.panel,
    )


@part
def Audit() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.audit)
    form = s.audit

    async def first() -> None:
        await _load(s)

    ft.use_effect(first, [])
    parts = _filters(s)
    if form.problem:
        parts.append(note(s, form.problem, bad=True))
    if form.busy:
        parts.append(ft.ProgressBar(color=s.palette.accent, bgcolor=s.palette.surface3))
    rows = []
    for act in form.found:

        def opened(e: Any, seq: int = act["seq"]) -> None:
            form.selected = 0 if form.selected == seq else seq

        what = s.text.kind(act["kind"])
        if not act["accepted"]:
            what = f"{what} · {s.text('audit.not_done')}"
        rows.append(
            Row(
                f"act-{act['seq']}",
                [
                    act["at"],
                    act["name"] or "–",
                    what,
                    act["where"] or s.text.say("report.desk"),
                    f"#{act['seq']}",
                ],
                opened,
                chosen=form.selected == act["seq"],
            )
        )
    if not rows and not form.busy:
        what, step = s.text("audit.none"), s.text("audit.none_next")
        parts.append(empty(s, ft.Icons.HISTORY_ROUNDED, what, step))
        return page(s, *parts)
    columns = [
        Column(s.text("audit.when"), 152),
        Column(s.text("audit.who"), 160),
        Column(s.text("audit.what")),
        Column(s.text("audit.where"), 152, roomy=True),
        Column(s.text("audit.seq"), 88, right=True, roomy=True),
    ]

    async def older(e: Any) -> None:
        await _load(s, on=True)

    left: list[ft.Control] = [table(s, columns, rows, expand=True)]
    if form.more:
        left.append(ft.Row([button(s, s.text("audit.older"), older, key="audit-older")]))
    body: list[ft.Control] = [ft.Column(left, spacing=8, expand=True)]
    chosen = next((act for act in form.found if act["seq"] == form.selected), None)
    if chosen is not None:
        body.append(_detail(s, chosen))
    stretch = ft.CrossAxisAlignment.STRETCH
    parts.append(ft.Row(body, spacing=16, expand=True, vertical_alignment=stretch))
    return page(s, *parts)
