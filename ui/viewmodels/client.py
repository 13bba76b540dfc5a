"""What a customer types at a PC; none of it outlives the session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import ClientNode, rates, settings
from ui.format import Format
from ui.viewmodels import shelf
from ui.viewmodels.floor import hour_minor

PIN_LENGTH = 5
WARN_AT_S = (600, 300)
SHOWN_AT_ONCE = 60
NEWS_MS = 900_000
"""So long a message of the desk stands on a locked page."""
DAY_MINUTES = 1440


@ft.observable
@dataclass
class ClientModel:
    """The fields of the locked page and of the session's panel."""

    tab: str = "user"
    step: str = ""
    """``first`` while a first password is made."""
    declined: str = ""
    """User name of whom the desk expects, who is not here."""
    user: str = ""
    password: str = ""
    again: str = ""
    code: str = ""
    pin: str = ""
    panel: str = ""
    """In a session: ``redeem``, ``order``, ``leaving``, or nothing."""
    points: str = ""
    message: str = ""
    query: str = ""
    """What is looked for among what can be ordered."""
    category: str = ""
    basket: dict[str, int] = field(default_factory=dict)
    folded: bool = False
    problem: str = ""
    saved: str = ""
    busy: bool = False

    @property
    def typed(self) -> tuple[str, ...]:
        """What somebody has left on the locked page."""
        tab = self.tab if self.tab != "user" else ""
        fields = (self.user, self.password, self.again, self.code, self.pin, self.step)
        return (*fields, self.problem, self.declined, tab)

    def forget(self) -> None:
        """Nothing that was typed stays for who comes next."""
        self.tab = "user"
        self.step = self.user = self.password = self.again = self.code = self.pin = ""
        self.declined = ""
        self.leave()
        self.folded = False

    def leave(self) -> None:
        """Back to the panel itself."""
        self.panel = self.points = self.message = self.problem = self.saved = ""
        self.query = self.category = ""
        self.basket = {}

    def turn(self, tab: str) -> None:
        self.tab, self.step = tab, ""
        self.password = self.again = self.code = self.pin = self.problem = ""

    def begin_first(self, user: str) -> None:
        """Make a first password."""
        self.step, self.user = "first", user
        self.password = self.again = self.code = self.problem = ""

    def put(self, sku: str, more: int) -> None:
        """More or fewer of a product."""
        units = min(99, self.basket.get(sku, 0) + more)
        self.basket = {k: v for k, v in {**self.basket, sku: units}.items() if v > 0}


def notable(node: ClientNode) -> tuple[Any, ...]:
    """What a customer has to see though they have folded their panel: grows with each news."""
    said = [number for number, who, *_ in node.state.get("messages", ()) if who == "desk"]
    session = node.session or {}
    return (
        warning(node.left_ms), max(said, default=0), bool(session.get("ends_in_ms")), node.online,
    )  # fmt: skip


def told(node: ClientNode) -> tuple[str, int] | None:
    """What the desk has said last to a PC that nobody uses, and when; None for nothing new."""
    said = [one for one in node.state.get("messages", ()) if one[1] == "desk"]
    if not said or node.now_ms - said[-1][3] > NEWS_MS:
        return None
    return str(said[-1][2]), int(said[-1][3])


def warning(left_ms: int | None) -> int:
    """Minutes of the warning that stands now: 10, 5, or 0 for none."""
    if left_ms is None:
        return 0
    return min((at_s for at_s in WARN_AT_S if left_ms <= at_s * 1000), default=0) // 60


def bands(node: ClientNode, text: Format) -> list[tuple[str, str]]:
    """(when, what) of the PC's rate, as the locked page shows it."""
    row = node.tables.table("rates").peek(node.state.get("rate", ""))
    if row is None:
        return []
    known = rates.rate_of(row).bands
    found = []
    for at, band in enumerate(known):
        price = text.money(hour_minor(band.price_minor, band.block_s))
        amount = text("client.an_hour", amount=price)
        if len(known) == 1:
            found.append((text("client.all_day"), amount))
            continue
        until = known[(at + 1) % len(known)].minute
        when = text("client.from_to", since=_clock(band.minute), until=_clock(until))
        found.append((when, amount))
    if row["minimum_minor"]:
        found.append((text("client.minimum"), text.money(row["minimum_minor"])))
    return found


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def menu(
    node: ClientNode, query: str = "", category: str = "", basket: Mapping[str, int] | None = None
) -> list[Mapping[str, Any]]:
    """What can be ordered from a PC: what is in the basket, then the first that fit."""
    products = node.tables.table("products")
    mine = [row for sku in basket or {} if (row := products.peek(sku)) is not None]
    found = shelf.find(node, query, category, most=SHOWN_AT_ONCE, fits=shelf.can_be_ordered)[0]
    return [*mine, *[row for row in found if row["sku"] not in (basket or {})]]


def gifts(node: ClientNode) -> list[Mapping[str, Any]]:
    """Products that points can be changed for."""
    return shelf.find(node, "", most=SHOWN_AT_ONCE, fits=lambda row: bool(row["points"]))[0]


def total_minor(node: ClientNode, basket: Mapping[str, int]) -> int:
    products = node.tables.table("products")
    rows = ((products.peek(sku), units) for sku, units in basket.items())
    return sum(row["price_minor"] * units for row, units in rows if row is not None)


def cafe_name(node: ClientNode) -> str:
    return str(settings.cafe(node.tables).get("name", "Cabina"))
