"""Stations: who is here, who may hold something back, and the door for a new one."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import ServerNode, SyncError
from ui.components.guard import part
from ui.components.office import head, note, page, pill, switch, typed
from ui.components.parts import button, card, empty, icon, text
from ui.viewmodels import stations as model
from ui.viewmodels.session import Session, use_session


async def _do(s: Session, kind: str, fields: dict[str, Any], done: str) -> None:
    form = s.stations
    form.problem = form.done = form.sure = ""
    try:
        await s.node.submit(kind, fields)
    except SyncError as error:
        form.problem = s.text.error(error)
    else:
        form.done = done


def _one(s: Session, row: dict[str, Any]) -> ft.Control:
    p, form = s.palette, s.stations
    tint = {
        "online": p.collected,
        "offline": p.pending,
        "missing": p.danger,
        "revoked": p.printed,
    }[row["state"]]
    seen = s.text("stations.seen", time=s.text.moment(row["seen_ms"])) if row["seen_ms"] else ""
    details = [seen or s.text("stations.not_seen"), s.text("stations.head", count=row["head"])]
    if row["unsent"]:
        amount = s.text.money(row["unsent_minor"])
        details.append(s.text("stations.unsent", count=row["unsent"], amount=amount))
    parts: list[ft.Control] = [
        icon(ft.Icons.POINT_OF_SALE_ROUNDED, 24, tint.text),
        ft.Column(
            [
                text(s, f"{row['label']} · {row['name']}", "strong"),
                text(s, " · ".join(details), "body", p.text2),
            ],
            spacing=2,
            expand=True,
        ),
        pill(s, s.text(f"stations.state.{row['state']}"), tint.text, tint.ground),
    ]
    station, label = row["station"], row["label"]

    async def skip(e: Any) -> None:
        await _do(
            s, "station.override", {"station": station}, s.text("stations.skipped", label=label)
        )

    def ask(e: Any) -> None:
        form.sure = station

    async def revoke(e: Any) -> None:
        await _do(
            s, "station.revoke", {"station": station}, s.text("stations.revoked_now", label=label)
        )

    if row["state"] == "missing" and s.node.may("box.close"):
        parts.append(button(s, s.text("stations.skip"), skip, key=f"skip-{label}"))
    if row["state"] != "revoked" and s.node.may("station.pair"):
        if form.sure == station:  # where the first touch was stands what takes it back
            words = s.text("stations.sure")
            parts.append(button(s, words, revoke, kind="danger_filled", key=f"sure-{label}"))
            keep = button(s, s.text("queue.keep"), lambda e: form.forget(), key=f"keep-{label}")
            parts.append(keep)
        else:
            words = s.text("stations.revoke")
            parts.append(button(s, words, ask, kind="danger_text", key=f"revoke-{label}"))
    return card(s, ft.Row(parts, spacing=12), padding=12, key=f"station-{label}")


async def _open_door(s: Session) -> None:
    form = s.stations
    form.problem = form.done = ""
    try:
        opened = await s.door.call("pair_open", port=model.PAIRING_PORT)
    except SyncError as error:
        form.problem = s.text.error(error)
        return
    form.step, form.knocking, form.digits = "open", "", ""
    form.address = f"{model.address_of(s.node.config.host)}:{opened['port']}"
    try:
        knock = await s.door.call("pair_knock")
    except SyncError as error:  # nobody came in two minutes
        if form.step:
            form.step, form.problem = "", s.text.error(error)
        return
    form.step, form.knocking = "digits", knock["name"]


def _door(s: Session) -> ft.Control:
    """The door for a new station: its address, then the digits that it shows."""
    form = s.stations

    async def shut(e: Any = None) -> None:
        form.step = ""
        await s.door.call("pair_close")

    async def enter(e: Any = None) -> None:
        form.problem = ""
        try:
            known = await s.door.call("pair_type", digits=form.digits)
        except SyncError as error:
            form.problem, form.digits = s.text.error(error), ""
            return
        form.step, form.done = "", s.text("stations.paired", name=known["name"])

    parts: list[ft.Control] = []
    if form.step == "open":
        command = f"cabina station --join {form.address}"
        parts += [
            text(s, s.text("stations.wait"), "strong"),
            text(s, command, "h2", selectable=True, key="join-command"),
            ft.ProgressBar(color=s.palette.accent, bgcolor=s.palette.surface3),
        ]
    else:
        parts += [
            text(s, s.text("stations.knocks", name=form.knocking), "strong"),
            ft.Row(
                [
                    typed(
                        s,
                        form,
                        "digits",
                        s.text("stations.digits"),
                        key="pair-digits",
                        on_enter=enter,
                        width=200,
                        autofocus=True,
                    ),
                    button(s, s.text("stations.let_in"), enter, kind="filled", key="pair-enter"),
                ],
                spacing=8,
            ),
        ]
    parts.append(ft.Row([button(s, s.text("sell.cancel"), shut, key="pair-close")]))
    return card(s, ft.Column(parts, spacing=12))


@part
def Stations() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.stations)
    node, form = s.node, s.stations
    assert isinstance(node, ServerNode)
    on = model.is_on(node)

    def new(e: Any) -> None:
        ft.context.page.run_task(_open_door, s)  # it waits for whoever knocks

    async def turn(value: bool) -> None:
        done = s.text("stations.on" if value else "stations.off")
        await _do(s, "settings.edit", {"remote_pos": value}, done)

    parts: list[ft.Control] = [
        head(
            s,
            s.text("screen.stations"),
            ft.Container(expand=True),
            button(
                s,
                s.text("stations.new"),
                new,
                kind="tonal",
                glyph=ft.Icons.ADD_ROUNDED,
                key="pair-open",
                disabled=bool(form.step) or not on or not node.may("station.pair"),
            ),
        )
    ]
    if node.may("settings.edit"):
        parts.append(
            card(s, switch(s, s.text("stations.remote_pos"), on, turn, "remote-pos"), padding=12)
        )
    if form.problem or form.done:
        parts.append(note(s, form.problem or form.done, bad=bool(form.problem)))
    if form.step:
        parts.append(_door(s))
    rows = [_one(s, row) for row in model.rows(node)]
    if rows:
        parts.append(ft.ListView(rows, spacing=8, expand=True))
    else:
        step = s.text("stations.none_next" if on else "stations.off_next")
        parts.append(empty(s, ft.Icons.HUB_ROUNDED, s.text("stations.none"), step))
    return page(s, *parts)
