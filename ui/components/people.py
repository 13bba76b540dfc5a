"""Finding a customer: the same field and list wherever one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flet as ft

from node.api import people
from ui.components.parts import Focused, choice, empty, field, icon_button, text
from ui.viewmodels.session import Session

SHOWN_AT_ONCE = 12


def finder(
    s: Session, query: str, searched: Callable[[str], None], chosen: Callable[[str], None],
    left: Callable[[], None],
) -> ft.Control:  # fmt: skip
    """Type the beginning of a user, last or first name, and touch who it is."""
    rows: list[ft.Control] = []
    found = people.rows_of(s.node, query, SHOWN_AT_ONCE)
    for row in found:

        def tapped(e: Any, customer: str = row["id"]) -> None:
            s.typing.end()
            chosen(customer)

        name = f"{row['first']} {row['last']}".strip() or row["user"]
        detail = row["user"] if name != row["user"] else ""
        rows.append(
            choice(s, name, detail, s.text.money(row["credit"]), tapped, f"pick-{row['id']}")
        )

    def enter(e: Any) -> None:
        if len(found) == 1:
            s.typing.end()
            chosen(found[0]["id"])

    def finding(box: Any) -> ft.Control:
        return field(
            s,
            ref=box,
            key="find-customer",
            hint_text=s.text("customers.search"),
            value=query,
            prefix_icon=ft.Icons.SEARCH_ROUNDED,
            on_change=lambda e: searched(e.control.value or ""),
            on_submit=enter,
        )

    top = ft.Container(
        ft.Row(
            [
                ft.Container(Focused(finding), expand=True),
                icon_button(
                    s,
                    ft.Icons.CLOSE_ROUNDED,
                    s.text("sell.cancel"),
                    lambda e: left(),
                    "find-leave",
                ),
            ],
            spacing=8,
        ),
        padding=ft.Padding.all(12),
    )
    if not rows:
        what = s.text("customers.none")
        body: ft.Control = empty(s, ft.Icons.GROUP_ROUNDED, what, s.text("customers.none_next"))
    else:
        body = ft.ListView(rows, spacing=0, expand=True)
    title = ft.Container(
        text(s, s.text("sell.who"), "label", s.palette.text2),
        padding=ft.Padding.only(left=16, top=8),
    )
    return ft.Column([title, top, body], spacing=0, expand=True)
