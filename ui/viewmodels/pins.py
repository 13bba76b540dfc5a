"""PIN cards on the screen: what is made, where they are, and who looks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import COLOURS, Node, ServerNode, pincards, pins, preview
from ui.format import Format, whole
from ui.viewmodels.forms import BadField, next_code

TABS = {
    "make": "pin.make",
    "stock": "pin.stock",
    "tracking": "pin.stock",
    "profiles": "profile.edit",
}
"""Tab → who sees it."""
VALIDITY = ("none", "date", "sale", "use")
STATES = ("", "made", "printed", "in_stock", "sold", "in_use", "used_up", "expired", "deleted")
SAMPLE_PIN = "A7K4M"
MOST_SHOWN = 60


@ft.observable
@dataclass
class PinsModel:
    """What is open, and what is typed there."""

    tab: str = "make"
    profile: str = ""
    of_profile: str = ""
    """Of what tracking is about; empty for all."""
    busy: bool = False
    count: str = "10"
    stock: bool = True
    serials: str = ""
    state: str = ""
    station: str = ""
    reason: str = ""
    title: str = ""
    font: str = "semibold"
    colour: str = COLOURS[0]
    background: bytes = b""
    logo: bytes = b""
    qr: bool = True
    form: str = "card"
    validity: str = "none"
    typed: dict[str, str] = field(default_factory=dict)
    done: int = 0
    """Cards that are made of those that are being made."""
    of: int = 0
    stopping: bool = False
    looked: dict[int, str] = field(default_factory=dict)
    """Serial → PIN, of those that were looked at; gone with the next step."""
    problem: str = ""
    saved: str = ""

    def go(self, tab: str) -> None:
        self.tab = tab
        self.hush()

    def look_for(self, name: str, value: str) -> None:
        """Another filter: what was looked at is hidden again."""
        setattr(self, name, value)
        self.looked = {}

    def hush(self) -> None:
        self.problem = self.saved = ""
        self.looked = {}

    def put(self, name: str, value: str) -> None:
        self.typed = {**self.typed, name: value}


def known_profiles(node: Node, form: str = "") -> list[tuple[str, str]]:
    """(code, name) of the kinds of cards and tickets, by name."""
    products = node.tables.table("products")
    found = []
    for sku, row in node.tables.table("pin_profiles").scan():
        if form in ("", row["form"]):
            found.append((sku, str((products.peek(sku) or {"name": sku})["name"])))
    return sorted(found, key=lambda one: one[1])


def chosen_profile(node: Node, model: PinsModel) -> str:
    """The kind of cards that is chosen, or else the first."""
    known = known_profiles(node, "card")
    codes = [code for code, _ in known]
    return model.profile if model.profile in codes else (codes[0] if codes else "")


def shelves(node: Node) -> list[tuple[str, str, list[list[int]]]]:
    """(profile, holder, ranges of serials), by profile and holder."""
    rows = node.tables.table("shelves").scan()
    return sorted((row["profile"], row["holder"], row["ranges"]) for _, row in rows)


def ranges_text(ranges: list[list[int]], form: str = "card") -> str:
    """``C-0001–C-0040, C-0050``."""
    return ", ".join(
        pins.label(form, first)
        if first == last
        else f"{pins.label(form, first)}–{pins.label(form, last)}"
        for first, last in ranges
    )


def stations(node: Node) -> list[tuple[str, str]]:
    """(id, label and name) of the stations that may hold cards."""
    rows = node.tables.table("stations").scan()
    found = [
        (station, f"{row['label']} {row['name']}")
        for station, row in rows
        if not row["revoked"] and station != node.node_id
    ]
    return sorted(found, key=lambda one: one[1])


def sample(node: ServerNode, model: PinsModel) -> bytes:
    """The card as it is designed, with a PIN that opens nothing. Raises `Refused`."""
    profile = chosen_profile(node, model)
    card = pincards.card_of(node, profile, 1, SAMPLE_PIN)
    return preview(design(node, model), card)


def design(node: ServerNode, model: PinsModel) -> Any:
    """Raises `Refused`."""
    return pincards.design_of(
        node,
        title=model.title.strip(),
        font=model.font,
        colour=model.colour,
        background=model.background,
        logo=model.logo,
        qr=model.qr,
    )


async def make(node: ServerNode, model: PinsModel) -> list[int]:
    """Make cards, with progress, until they are made or somebody stops. Raises `BadField`,
    `SyncError`."""
    count = whole(model.count.strip())
    if count is None or not 1 <= count <= pincards.MOST_MADE:
        raise BadField("count")
    profile = chosen_profile(node, model)

    def tell(done: int, of: int) -> None:
        model.done, model.of = done, of

    model.stopping, model.done, model.of = False, 0, count
    try:
        made = await pincards.make(
            node, profile, count, stock=model.stock, tell=tell, stopped=lambda: model.stopping
        )
    finally:
        model.of = 0
    model.serials = f"{made[0]}-{made[-1]}" if made else ""
    return made


def chosen(model: PinsModel) -> list[int]:
    """The serials that were typed. Raises `Refused`."""
    return pincards.read_serials(model.serials)


def found(node: ServerNode, model: PinsModel) -> list[dict[str, Any]]:
    """Cards and tickets that fit, the newest first. Raises `Refused`."""
    serials = pincards.read_serials(model.serials) if model.serials.strip() else ()
    rows = pincards.find(
        node, profile=model.of_profile, state=model.state, serials=serials, most=MOST_SHOWN
    )
    return rows[::-1]


def form_of(node: Node, row: Mapping[str, Any]) -> str:
    return str(pins.of_profile(node.tables, row["profile"])["form"])


async def add_profile(node: Node, model: PinsModel, text: Format) -> str:
    """A new kind of card or ticket; its code. Raises `BadField`, `SyncError`."""
    name = " ".join(model.typed.get("name", "").split())
    price = text.parse(model.typed.get("price", ""))
    minutes = whole(model.typed.get("minutes", "").strip())
    if not name:
        raise BadField("name")
    if price is None or price < 0:
        raise BadField("price")
    if not minutes:
        raise BadField("minutes")
    body: dict[str, Any] = {
        "sku": next_code(node, "pin_profiles", "T{}" if model.form == "ticket" else "C{}"),
        "name": name,
        "form": model.form,
        "minutes": minutes,
        "price_minor": price,
        "validity": model.validity,
    }
    if model.validity == "date":
        try:
            day = dt.date.fromisoformat(model.typed.get("last_day", "").strip())
        except ValueError:
            raise BadField("last_day") from None
        body["last_day"] = day.toordinal()
    elif model.validity != "none":
        body["days"] = whole(model.typed.get("days", "").strip()) or 0
    await node.submit("pin.profile", body)
    return str(body["sku"])
