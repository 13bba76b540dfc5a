"""Registered profiles, and the free passes and promotions that customers can buy."""

from __future__ import annotations

from typing import Any

import flet as ft

from node.api import SyncError
from ui.components.office import note, segments, switch
from ui.components.parts import button, card, choice, empty, field, named, text
from ui.viewmodels import profiles as model
from ui.viewmodels.forms import NEW, BadField
from ui.viewmodels.session import Session


def _field(s: Session, name: str, label: str = "") -> ft.Control:
    def changed(e: Any) -> None:
        s.profiles.put(name, e.control.value or "")

    return field(
        s,
        key=f"profile-{name}",
        label=s.text(f"profiles.{label or name}"),
        value=s.profiles.typed.get(name, ""),
        on_change=changed,
    )


async def _save(s: Session, work: Any, opened: Any) -> None:
    form = s.profiles
    form.problem = form.saved = ""
    try:
        code = await work(s.node, s.text, form)
    except BadField as bad:
        form.problem = s.text("product.bad", field=s.text(f"profiles.{bad.args[0]}"))
    except SyncError as error:
        form.problem = s.text.error(error)
    else:
        opened(code)
        form.saved = s.text("product.saved")


def _told(s: Session) -> list[ft.Control]:
    words = s.profiles.problem or s.profiles.saved
    return [note(s, words, bad=bool(s.profiles.problem))] if words else []


def _profile_form(s: Session) -> ft.Control:
    form = s.profiles

    async def save(e: Any = None) -> None:
        def opened(code: str) -> None:
            model.open_profile(s.node, s.text, form, code)

        await _save(s, model.save_profile, opened)

    parts = [
        text(s, s.text("profiles.new") if form.selected == NEW else form.selected, "h2"),
        *[_field(s, name) for name in model.PROFILE],
        switch(
            s,
            s.text("profiles.on_purchases"),
            form.on_purchases,
            lambda on: setattr(form, "on_purchases", on),
            "profile-on_purchases",
        ),
        switch(
            s,
            s.text("profiles.active"),
            form.active,
            lambda on: setattr(form, "active", on),
            "profile-active",
        ),
        *_told(s),
    ]
    clone = button(s, s.text("profiles.clone"), lambda e: model.clone(form), key="profile-clone",
                   disabled=form.selected == NEW)  # fmt: skip
    saver = button(s, s.text("product.save"), save, kind="filled", key="profile-save")
    return _card(s, parts, [clone, ft.Container(expand=True), saver])


def _points_form(s: Session) -> ft.Control:
    """What of a profile may be changed at a station too, while the server is in reach."""
    form = s.profiles

    async def save(e: Any = None) -> None:
        def opened(code: str) -> None:
            model.open_profile(s.node, s.text, form, code)

        await _save(s, model.save_points, opened)

    parts = [
        text(s, form.typed.get("name", ""), "h2"),
        *[_field(s, name) for name in model.POINTS],
        switch(
            s,
            s.text("profiles.on_purchases"),
            form.on_purchases,
            lambda on: setattr(form, "on_purchases", on),
            "profile-on_purchases",
        ),
        *_told(s),
    ]
    saver = button(s, s.text("product.save"), save, kind="filled", key="points-save")
    return _card(s, parts, [ft.Container(expand=True), saver])


def _offer_form(s: Session) -> ft.Control:
    form = s.profiles

    async def save(e: Any = None) -> None:
        await _save(s, model.save_offer, lambda code: setattr(form, "selected", ""))

    def choose(name: str) -> None:
        form.form = name

    options = [(name, s.text(f"profiles.{name}_form")) for name in model.FORMS]
    parts = [
        text(s, s.text("profiles.new_offer"), "h2"),
        segments(s, options, form.form, choose, "offer"),
        _field(s, "name"),
        _field(s, "price", "offer_price"),
        *[_field(s, name) for name in model.OF_FORM[form.form]],
    ]
    if form.form == "until":
        parts.append(
            switch(
                s,
                s.text("profiles.next_day"),
                form.next_day,
                lambda on: setattr(form, "next_day", on),
                "offer-next_day",
            )
        )
    saver = button(s, s.text("product.save"), save, kind="filled", key="offer-save")
    return _card(s, [*parts, *_told(s)], [ft.Container(expand=True), saver])


def _card(s: Session, parts: list[ft.Control], buttons: list[ft.Control]) -> ft.Control:
    column = ft.Column(
        [ft.Container(height=4), *parts],  # the label of a field stands over its edge
        spacing=8,
        expand=True,
        scroll=ft.ScrollMode.AUTO,
        horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
    )
    inside = ft.Column([column, ft.Row(buttons, spacing=8)], spacing=8, expand=True)
    return card(s, inside, width=s.measures.panel)


def profiles(s: Session) -> ft.Control:
    """The list of the tab that is open, and its form."""
    form = s.profiles
    of_people = form.tab in ("profiles", "points")
    rows: list[ft.Control] = []
    if of_people:
        known = s.node.tables.table("profiles").scan()
        for code, row in sorted(known, key=lambda one: one[1]["name"]):

            def opened(e: Any, code: str = code) -> None:
                model.open_profile(s.node, s.text, form, code)

            detail = "" if row["active"] else s.text("discounts.off")
            price = s.text("profiles.an_hour", price=s.text.money(row["price_minor"]))
            on = form.selected == code
            rows.append(choice(s, row["name"], detail, price, opened, f"profile-{code}", on=on))
    else:
        products = s.node.tables.table("products")
        for sku, row in s.node.tables.table("offers").scan():
            product = products.peek(sku) or {"name": sku, "price_minor": 0}
            price = s.text.money(product["price_minor"])
            detail = s.text(f"profiles.{row['form']}_form")
            rows.append(choice(s, product["name"], detail, price, None, f"offer-{sku}"))

    def new(e: Any) -> None:
        if of_people:
            model.open_profile(s.node, s.text, form, NEW)
        else:
            model.open_offer(form)

    name = "profiles" if of_people else "offers"
    label = s.text(f"{name}.add")
    adder = named(
        f"{name}-new",
        label,
        button(s, label, new, kind="tonal", key=f"{name}-new", glyph=ft.Icons.ADD_ROUNDED),
        button=True,
    )
    if rows:
        listed: ft.Control = ft.ListView(rows, expand=True)
    else:
        listed = empty(
            s, ft.Icons.BADGE_ROUNDED, s.text(f"{name}.none"), s.text(f"{name}.none_next")
        )
    hard = ft.ClipBehavior.HARD_EDGE
    left = ft.Column(
        [
            *([] if form.tab == "points" else [ft.Row([ft.Container(expand=True), adder])]),
            *([] if form.selected else _told(s)),
            card(s, listed, padding=0, expand=True, clip_behavior=hard),
        ],
        spacing=8,
        expand=True,
    )
    body: list[ft.Control] = [left]
    if form.selected:
        forms = {"profiles": _profile_form, "points": _points_form, "offers": _offer_form}
        body.append(forms[form.tab](s))
    return ft.Row(body, spacing=16, expand=True, vertical_alignment=ft.CrossAxisAlignment.STRETCH)
