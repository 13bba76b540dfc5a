"""Box close: count, see the differences, choose float and next operator, look at the Z, print
it."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import SyncError, box, office, z_text
from ui.components.guard import part
from ui.components.paper import paper
from ui.components.parts import amount, button, card, icon, line_below, named, tappable, text
from ui.keymap import cap
from ui.viewmodels import boxclose as model
from ui.viewmodels.boxclose import STEPS
from ui.viewmodels.cash import is_blind
from ui.viewmodels.session import Session, use_session


def _steps(s: Session, opened: Any) -> ft.Control:
    p = s.palette
    marks: list[ft.Control] = [
        text(s, s.text("close.title", number=opened["number"]), "h1", expand=True)
    ]
    for at, name in enumerate(STEPS):
        done, here = at < s.box.step, at == s.box.step
        ground = p.collected.text if done else p.accent if here else p.surface3
        ink = p.surface if done else p.on_accent if here else p.text2
        inside: ft.Control = (
            icon(ft.Icons.CHECK_ROUNDED, 16, ink) if done else text(s, str(at + 1), "label", ink)
        )
        marks.append(
            ft.Container(
                inside,
                width=28,
                height=28,
                border_radius=14,
                bgcolor=ground,
                alignment=ft.Alignment.CENTER,
            )
        )
        marks.append(text(s, s.text(f"close.{name}"), "strong" if here else "body"))
    return ft.Row(marks, spacing=8)


# --- 1: count ----------------------------------------------------------------


def _piece(s: Session, piece: int) -> ft.Control:
    p = s.palette
    name = str(piece)
    count = s.box.counts.get(name, 0)
    on = s.box.field_name == name
    row: list[ft.Control] = [
        text(s, s.text.money(piece), "strong", width=76 if s.measures.compact else 86),
        text(s, "×", "body", p.text3),
        _box_field(s, name, str(count) if count else "", on, 64 if s.measures.compact else 72),
    ]
    if not s.measures.compact:
        sum_of_piece = s.text.money(piece * count)
        right = ft.TextAlign.RIGHT
        row.append(text(s, sum_of_piece, "body", p.text2, expand=True, text_align=right))
    return ft.Row(row, spacing=8 if s.measures.compact else 12)


def _box_field(s: Session, name: str, shown: str, on: bool, width: int | None) -> ft.Control:
    p = s.palette

    def choose(e: Any) -> None:
        s.box.field_name = name

    face = tappable(
        ft.Container(
            text(s, shown or "0", "h2", p.text if shown else p.text3),
            width=width,
            height=40 if s.measures.compact else 48,
            border_radius=8,
            bgcolor=p.surface,
            border=ft.Border.all(2 if on else 1, p.accent if on else p.outline),
            padding=ft.Padding.symmetric(horizontal=12),
            alignment=ft.Alignment.CENTER_RIGHT,
        ),
        choose,
        key=f"field-{name}",
    )
    return named(f"field-{name}", _field_label(s, name), face)


def _count(s: Session) -> ft.Control:
    p = s.palette
    notes, coins = s.box.pieces(s.text.currency)
    if s.box.only_total or not notes + coins:
        body: ft.Control = ft.Column(
            [
                text(s, s.text("close.total_only"), "body", p.text2),
                _money_field(s, "total", s.box.counts.get("total", 0)),
            ],
            spacing=12,
            expand=True,
        )
    else:
        columns = []
        for title, pieces in (("close.notes", notes), ("close.coins", coins)):
            rows = [_piece(s, piece) for piece in pieces]
            columns.append(
                ft.Column(
                    [text(s, s.text(title), "label", p.text3), *rows],
                    spacing=8 if s.measures.compact else 12,
                    expand=True,
                    scroll=ft.ScrollMode.AUTO,
                )
            )
        body = ft.Row(
            columns,  # type: ignore[arg-type]
            spacing=16 if s.measures.compact else 32,
            expand=True,
            vertical_alignment=ft.CrossAxisAlignment.START,
        )
    how = text(s, s.text("close.how"), "caption", p.text3)
    foot = ft.Row(
        [
            ft.Column(
                [
                    text(s, s.text("close.counted"), "h2"),
                    *([] if s.measures.compact else [how]),
                ],
                spacing=0,
                expand=True,
            ),
            amount(s, s.box.counted_minor(), key="counted"),
        ],
        vertical_alignment=ft.CrossAxisAlignment.END,
    )
    return card(
        s, ft.Column([body, ft.Divider(height=1), foot], spacing=12, expand=True), expand=True
    )


def _money_field(s: Session, name: str, typed: int) -> ft.Control:
    shown = s.text.money(typed * s.box.unit_minor) if typed else ""
    return _box_field(s, name, shown, s.box.field_name == name, None)


def _keypad(s: Session, next_field: Any) -> ft.Control:
    p = s.palette
    key_height = 44 if s.measures.compact else 56

    def key(label: str, value: str) -> ft.Control:
        return tappable(
            ft.Container(
                icon(ft.Icons.BACKSPACE_ROUNDED, 24, p.text)
                if value == "<"
                else text(s, label, "h1"),
                height=key_height,
                border_radius=8,
                border=ft.Border.all(1, p.outline),
                bgcolor=p.surface,
                alignment=ft.Alignment.CENTER,
            ),
            lambda e: s.box.press(value),
            key=f"key-{value}",
            expand=True,
        )

    rows = [ft.Row([key(c, c) for c in row], spacing=8) for row in ("789", "456", "123")]
    rows.append(ft.Row([key("0", "0"), key("00", "00"), key("", "<")], spacing=8))
    name = s.box.field_name

    def toggle(e: Any) -> None:
        s.box.only_total = not s.box.only_total
        s.box.field_name = "total" if s.box.only_total else ""

    return card(
        s,
        ft.Column(
            [
                text(s, _field_label(s, name), "caption", p.text3),
                text(s, str(s.box.value(name)) if name else "–", "figure"),
                *rows,
                button(
                    s,
                    s.text("close.next"),
                    next_field,
                    kind="tonal",
                    key="next-field",
                    key_label=cap("next"),
                    height=key_height,
                ),
                ft.Container(expand=True),
                button(
                    s,
                    s.text("close.pieces" if s.box.only_total else "close.only_total"),
                    toggle,
                    glyph=ft.Icons.CALCULATE_ROUNDED,
                    key="only-total",
                ),
            ],
            spacing=8,
            expand=True,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        ),
        width=216 if s.measures.compact else 256,
    )


def _field_label(s: Session, name: str) -> str:
    if not name:
        return s.text("close.pick_field")
    if name == "total":
        return s.text("close.counted")
    kind, _, what = name.partition(":")
    if kind == "till":
        return model.till_name(s.node, what)
    if kind == "unsent":
        return f"{s.text('close.unsent')} · {model.till_name(s.node, what)}"
    if kind == "method":
        return office.method_name(s.node, what)
    if name == "leave":
        return s.text("close.leave")
    return s.text("close.piece", piece=s.text.money(int(name)))


def _declared(s: Session, name: str, title: str, expected: int) -> list[ft.Control]:
    """A field for what was handed over, with what was expected unless the count is blind."""
    blind = is_blind(s.node)
    shown = "" if blind else s.text("close.expected", amount=s.text.money(expected))
    declared = s.box.amount_minor(name)
    beside: list[ft.Control] = [text(s, shown, "caption", s.palette.text3, expand=True)]
    if not blind:
        beside.append(_difference(s, declared, expected))
    return [text(s, title, "strong"), ft.Row(beside), _money_field(s, name, s.box.value(name))]


def _tills(s: Session) -> ft.Control:
    p = s.palette
    tills = model.tills_of(s.node)
    rows: list[ft.Control] = [
        ft.Container(text(s, s.text("close.tills"), "h2"), padding=16, border=line_below(p))
    ]
    for till, sums, waits in tills:
        expected = box.expected_in_till(sums)
        parts = _declared(s, f"till:{till}", model.till_name(s.node, till), expected)
        if waits:
            name = f"unsent:{till}"
            parts.append(text(s, s.text("close.unsent"), "caption", p.pending.text))
            parts.append(_money_field(s, name, s.box.value(name)))
        rows.append(ft.Container(ft.Column(parts, spacing=4), padding=16, border=line_below(p)))
    if not tills:
        rows.append(ft.Container(text(s, s.text("close.no_tills"), "body", p.text2), padding=16))
    methods = box.sums(s.node.tables)["methods"]
    for method in model.methods_of(s.node):
        sold, refunded = methods[method]
        label = _field_label(s, f"method:{method}")
        parts = _declared(s, f"method:{method}", label, sold - refunded)
        rows.append(ft.Container(ft.Column(parts, spacing=4), padding=16, border=line_below(p)))
    width = 232 if s.measures.compact else s.measures.side + 40
    return card(s, ft.ListView(rows, expand=True, spacing=0), width=width, padding=0)


def _difference(s: Session, declared: int | None, expected: int) -> ft.Control:
    p = s.palette
    if declared is None:
        return text(s, s.text("close.undeclared"), "caption", p.text3)
    if declared == expected:
        return text(s, s.text("close.fits"), "label", p.collected.text)
    return text(s, s.text.money(declared - expected), "label", p.danger.text)


# --- 2, 3, 4 -----------------------------------------------------------------


def _rows(s: Session, pairs: list[tuple[str, int]]) -> list[ft.Control]:
    return [
        ft.Row(
            [
                text(s, label, "body", s.palette.text2, expand=True),
                text(s, s.text.money(value), "strong"),
            ]
        )
        for label, value in pairs
    ]


def _differences(s: Session, z: dict[str, Any]) -> ft.Control:
    p = s.palette
    color = p.text if z["difference_minor"] == 0 else p.danger.text
    tills = [
        (f"{till['name']} · {s.text('close.difference')}", till["difference_minor"])
        for till in z["tills"]
    ]
    return card(
        s,
        ft.Column(
            [
                *_rows(
                    s,
                    [
                        (s.text("close.opening"), z["opening_minor"]),
                        (s.text("close.cash_sales"), z["cash_minor"]),
                        *tills,
                        (s.text("close.expected_box"), z["expected_minor"]),
                        (s.text("close.declared"), z["declared_minor"]),
                    ],
                ),
                ft.Divider(height=1),
                ft.Row(
                    [
                        text(s, s.text("close.difference"), "h2", expand=True),
                        amount(s, z["difference_minor"], key="difference", color=color),
                    ]
                ),
            ],
            spacing=12,
        ),
        expand=True,
    )


def _float(s: Session) -> ft.Control:
    p = s.palette

    def chosen(e: Any) -> None:
        s.box.next_operator = e.control.value or ""

    return card(
        s,
        ft.Column(
            [
                text(s, s.text("close.leave"), "h2"),
                text(s, s.text("close.leave_why"), "body", p.text2),
                _money_field(s, "leave", s.box.leave),
                ft.Container(height=8),
                text(s, s.text("close.next_operator"), "h2"),
                ft.Dropdown(
                    key="next-operator",
                    value=s.box.next_operator or None,
                    options=[
                        ft.DropdownOption(key=name, text=name) for name in model.closers(s.node)
                    ],
                    on_select=chosen,
                    width=320,
                ),
            ],
            spacing=8,
        ),
        expand=True,
    )


def _result(s: Session, z: dict[str, Any]) -> ft.Control:
    notes = [s.text("close.z_never")]
    if z["waiting"]:
        notes.append(s.text("close.waiting", count=z["waiting"]))
    return ft.Column(
        [
            card(
                s,
                ft.Column(
                    [
                        text(s, s.text("close.result"), "label", s.palette.text3),
                        ft.Row(
                            [
                                text(s, s.text("close.box_total"), "body", expand=True),
                                amount(s, z["total_minor"] + z["rounding_minor"], key="box-total"),
                            ]
                        ),
                        *_rows(
                            s,
                            [
                                (s.text("close.difference"), z["difference_minor"]),
                                (s.text("close.withdrawn"), z["withdrawn_minor"]),
                                (s.text("close.leave"), z["leave_minor"]),
                            ],
                        ),
                    ],
                    spacing=8,
                ),
            ),
            card(
                s,
                ft.Column(
                    [
                        ft.Row(
                            [
                                icon(ft.Icons.LOCK_ROUNDED, 20, s.palette.text2),
                                text(s, note, expand=True),
                            ]
                        )
                        for note in notes
                    ],
                    spacing=12,
                ),
            ),
        ],
        spacing=12,
        width=480,
    )


@part
def BoxClose() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    opened = box.running(s.node.tables) or {"number": 0}
    if s.box.number != opened["number"]:  # it was closed elsewhere meanwhile: count this one
        s.box = s.new_box()
        s.box.number = opened["number"]
        s.box.field_name = model.fields_in_order(s.node, s.box)[0]
    ft.use_state(s.box)
    p = s.palette
    if not opened["number"]:
        return ft.Container(expand=True)
    blind = is_blind(s.node)
    problem = s.box.problem
    z: dict[str, Any] | None = None
    if s.box.step > 0:
        try:
            z = model.z_preview(s.node, s.box)
        except SyncError as error:
            problem = s.text.error(error)

    def next_field(e: Any = None) -> None:
        names = model.fields_in_order(s.node, s.box)
        at = names.index(s.box.field_name) + 1 if s.box.field_name in names else 0
        if at < len(names):
            s.box.field_name = names[at]
        else:
            s.box.field_name = ""

    async def forward(e: Any = None) -> None:
        s.box.problem = ""
        tills = [till for till, _, _ in model.tills_of(s.node)]
        if s.box.step == 0 and not s.box.is_counted(tills, blind=blind):
            s.box.problem = s.text("close.count_first")
            return
        if s.box.step < len(STEPS) - 1:
            s.box.step += 1
            s.box.field_name = "leave" if STEPS[s.box.step] == "float" else ""
            return
        if s.box.busy:
            return
        s.box.busy = True
        try:
            await s.node.submit("box.close", s.box.fields(s.node))
        except SyncError as error:
            s.box.problem = s.text.error(error)
            s.box.busy = False
            return
        s.box = s.new_box()
        s.say(s.text("close.done", number=opened["number"]))
        s.go("sell")

    def backward(e: Any = None) -> None:
        counted = blind and s.box.step == 1
        if s.box.step and not counted:
            s.box.step -= 1
            s.box.field_name = ""
        else:  # a blind count stands once its difference was seen
            s.go("sell")

    async def enter() -> None:
        if s.box.step == 0 and s.box.field_name:
            next_field()
        elif s.box.step < len(STEPS) - 1:  # the box itself is closed by a touch, not in passing
            await forward()

    s.actions.update(next=enter, back=backward)
    match STEPS[s.box.step]:
        case "count":
            body: list[ft.Control] = [_count(s), _keypad(s, next_field), _tills(s)]
            go = s.text("close.see_differences")
        case "differences":
            body = [_differences(s, z)] if z else []
            go = s.text("close.to_float")
        case "float":
            body = [_float(s), _keypad(s, next_field)]
            go = s.text("close.see_z")
        case _:
            pairs = z_text(z, s.text.say, s.text.money, s.text.language) if z else []
            body = [paper(s, pairs), _result(s, z)] if z else []
            go = s.text("close.finish")
    last = s.box.step == len(STEPS) - 1
    go_on = button(
        s,
        go,
        forward,
        kind="filled",
        key="forward",
        large=True,
        height=56,
        glyph=ft.Icons.PRINT_ROUNDED if last else None,
        key_label="" if last else cap("next"),
        disabled=s.box.busy or (s.box.step > 0 and z is None),
    )
    foot = ft.Container(
        ft.Row(
            [
                button(s, s.text("close.back"), backward, key="back", key_label=cap("back")),
                text(s, problem, "body", p.danger.text, expand=True, key="problem"),
                named("forward", go, go_on),
            ],
            spacing=16,
        ),
        height=72,
        bgcolor=p.surface,
        padding=ft.Padding.symmetric(horizontal=16),
        border=ft.Border.only(top=ft.BorderSide(1, p.border)),
    )
    return ft.Column(
        [
            ft.Container(
                ft.Column(
                    [
                        _steps(s, opened),
                        ft.Row(
                            body,
                            spacing=16,
                            expand=True,
                            vertical_alignment=ft.CrossAxisAlignment.STRETCH,
                        ),
                    ],
                    spacing=12,
                    expand=True,
                ),
                expand=True,
                padding=ft.Padding.only(left=16, right=16, top=12, bottom=12),
            ),
            foot,
        ],
        spacing=0,
        expand=True,
    )
