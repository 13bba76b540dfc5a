"""Registered profiles, free passes, promotions and PIN profiles on the screen: their forms."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import Node, read_fields, settings
from node.api import benefits as offers
from node.api import profiles as registered
from ui.format import Format, whole
from ui.viewmodels.forms import NEW, BadField, next_code

MONEY = ("price", "minimum", "max_debt", "per", "gets", "minutes_list")
COUNTS = ("expiry_days", "points", "need", "minutes", "days")
PROFILE = {
    "name": "", "price": "0", "minimum": "0", "expiry_days": "0", "max_debt": "0", "points": "0",
    "per": "1000", "need": "10", "minutes": "60",
}  # fmt: skip
POINTS = ("points", "per", "need", "minutes")
"""Fields of a profile that say what points are worth."""
OFFER = {
    "name": "", "price": "0", "from": "", "to": "", "until": "22:00", "days": "1", "minutes": "0",
    "minutes_list": "0", "parts": "", "gets": "0",
}  # fmt: skip
OF_FORM = {
    "event": ("from", "to"),
    "day": (),
    "until": ("until",),
    "days": ("days",),
    "combo": ("parts", "minutes", "minutes_list", "days"),
    "recharge": ("gets",),
}
"""Fields of an offer beside its name and price."""
FORMS = tuple(OF_FORM)


@ft.observable
@dataclass
class ProfilesModel:
    """The form that is open: a code, `NEW`, or nothing."""

    tab: str = "people"
    selected: str = ""
    form: str = "day"
    next_day: bool = False
    active: bool = True
    on_purchases: bool = False
    typed: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    saved: str = ""

    def go(self, tab: str) -> None:
        """To another tab: a form is of one."""
        self.tab = tab
        self.selected = self.problem = self.saved = ""
        self.typed = {}

    def put(self, name: str, value: str) -> None:
        self.typed = {**self.typed, name: value}


def open_profile(node: Node, text: Format, model: ProfilesModel, code: str) -> None:
    """The form of a profile, or an empty one."""
    row = node.tables.table("profiles").peek(code)
    model.selected, model.problem, model.saved = code, "", ""
    typed = dict(PROFILE)
    if row is not None:
        typed |= {
            "name": row["name"],
            "price": text.plain(row["price_minor"]),
            "minimum": text.plain(row["minimum_minor"]),
            "max_debt": text.plain(row["max_debt_minor"]),
            "per": text.plain(row["per_minor"]),
            **{name: str(row[name]) for name in ("expiry_days", "points", "need", "minutes")},
        }
        model.active, model.on_purchases = row["active"], row["on_purchases"]
    else:
        model.active, model.on_purchases = True, False
    model.typed = typed


def clone(model: ProfilesModel) -> None:
    """A new profile with the values of the one that is shown."""
    model.selected, model.saved, model.problem = NEW, "", ""


async def save_profile(node: Node, text: Format, model: ProfilesModel) -> str:
    """Its code. Raises `BadField`, `SyncError`."""
    values: dict[str, Any] = {
        "name": _name(model),
        "price_minor": _money(text, model, "price"),
        "minimum_minor": _money(text, model, "minimum"),
        "max_debt_minor": _money(text, model, "max_debt"),
        "per_minor": _money(text, model, "per") or _bad("per"),
        **{name: _count(model, name) for name in ("expiry_days", "points", "need", "minutes")},
        "active": model.active,
        "on_purchases": model.on_purchases,
    }
    new = model.selected == NEW
    code = next_code(node, "profiles", "R{}") if new else model.selected
    read_fields(values, registered.Profile)
    kind = "profile.add" if new else "profile.edit"
    await node.submit(kind, {"profile": code, "values": values})
    return code


async def save_points(node: Node, text: Format, model: ProfilesModel) -> str:
    """How a profile's customers earn and redeem; its code. Raises `BadField`, `SyncError`."""
    body: dict[str, Any] = {
        "profile": model.selected,
        "per_minor": _money(text, model, "per") or _bad("per"),
        **{name: _count(model, name) for name in ("points", "need", "minutes")},
        "on_purchases": model.on_purchases,
    }
    await node.submit("points.settings", body)
    return model.selected


def open_offer(model: ProfilesModel) -> None:
    """An empty form; an offer that is sold is changed as a product."""
    model.selected, model.typed, model.problem, model.saved = NEW, dict(OFFER), "", ""
    model.form, model.next_day = "day", False


async def save_offer(node: Node, text: Format, model: ProfilesModel) -> str:
    """Its code. Raises `BadField`, `SyncError`."""
    sku = next_code(node, "offers", "O{}")
    body: dict[str, Any] = {
        "sku": sku,
        "name": _name(model),
        "form": model.form,
        "price_minor": _money(text, model, "price"),
    }
    wanted = OF_FORM[model.form]
    if "from" in wanted:
        body |= {"from_ms": _instant(node, model, "from"), "to_ms": _instant(node, model, "to")}
    if "until" in wanted:
        body |= {"until_minute": _minute(model), "next_day": model.next_day}
    for name in ("days", "minutes"):
        if name in wanted:
            body[name] = _count(model, name)
    if "minutes_list" in wanted:
        body["minutes_list_minor"] = _money(text, model, "minutes_list")
        body["parts"] = _parts(model)
    if "gets" in wanted:
        body["gets_minor"] = _money(text, model, "gets")
    await node.submit("offer.add", body)
    return sku


def _bad(name: str) -> Any:
    raise BadField(name)


def _name(model: ProfilesModel) -> str:
    return " ".join(model.typed.get("name", "").split()) or str(_bad("name"))


def _money(text: Format, model: ProfilesModel, name: str) -> int:
    amount = text.parse(model.typed.get(name, "") or "0")
    return _bad(name) if amount is None or amount < 0 else amount


def _count(model: ProfilesModel, name: str) -> int:
    value = whole(model.typed.get(name, "").strip() or "0")
    return _bad(name) if value is None else value


def _minute(model: ProfilesModel) -> int:
    try:
        time = dt.time.fromisoformat(model.typed.get("until", "").strip())
    except ValueError:
        return int(_bad("until"))
    return time.hour * 60 + time.minute


def _instant(node: Node, model: ProfilesModel, name: str) -> int:
    """An instant by the café's clocks, of ``2026-12-24 18:00``."""
    try:
        moment = dt.datetime.fromisoformat(model.typed.get(name, "").strip())
    except ValueError:
        return int(_bad(name))
    zone = settings.zone(node.tables)
    return offers.instant_ms(moment.date(), moment.time(), zone)


def _parts(model: ProfilesModel) -> list[dict[str, Any]]:
    """Of ``2 COFFEE, CAKE``."""
    parts = []
    for piece in filter(None, (one.strip() for one in model.typed.get("parts", "").split(","))):
        first, _, rest = piece.partition(" ")
        units = whole(first)
        sku = rest.strip() if units is not None and rest else piece
        parts.append({"sku": sku, "quantity": units if units is not None and rest else 1})
    return parts
