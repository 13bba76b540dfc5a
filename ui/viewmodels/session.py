"""One session of a screen: its node, what it shows, and the models of its screens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flet as ft

from node.api import LocalDoor, Node, exponent, settings
from ui.format import Format
from ui.roles import MORE, OFF_THE_RAIL, SCREENS, Screen
from ui.theme import DARK, LIGHT, Measures, Palette, measures
from ui.viewmodels.audit import AuditModel
from ui.viewmodels.boxclose import BoxModel
from ui.viewmodels.cash import CashModel
from ui.viewmodels.catalogue import CatalogueModel
from ui.viewmodels.count import CountModel
from ui.viewmodels.discounts import DiscountsModel
from ui.viewmodels.me import MeModel
from ui.viewmodels.office import OfficeModel
from ui.viewmodels.orders import OrdersModel, QueueModel
from ui.viewmodels.reports import ReportsModel
from ui.viewmodels.sales import SalesModel
from ui.viewmodels.sell import SellModel
from ui.viewmodels.stations import StationsModel


@ft.observable
@dataclass
class AppModel:
    """What the shell depends on."""

    screen: str = "sign_in"
    dark: bool = False
    width: float = 1366
    height: float = 768
    toast: str = ""
    problem: str = ""
    locked: str = ""
    """Name of who was signed in when the screen locked itself or was handed on; empty if nobody
    was."""


@ft.observable
@dataclass
class Feed:
    """Grows whenever the node's tables, its link or the clock have changed."""

    version: int = 0


RAIL_ENTRY, RAIL_ENDS = 56, 152
"""Heights: of an entry, and of what stands above and below them."""


class Session:
    """Everything one page needs; never shared with another page."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.door = LocalDoor(node)
        self.text = Format(node)
        self.app = AppModel()
        self.feed = Feed()
        self.sell = SellModel()
        self.orders = OrdersModel()
        self.queue = QueueModel()
        self.box = self.new_box()
        self.cash = CashModel()
        self.catalogue = CatalogueModel()
        self.discounts = DiscountsModel()
        self.count = CountModel()
        self.sales = SalesModel()
        self.reports = ReportsModel()
        self.stations = StationsModel()
        self.audit = AuditModel()
        self.office = OfficeModel()
        self.me = MeModel()
        self.actions: dict[str, Callable[[], Any]] = {}
        """What keys do on the screen that is shown; the screen fills it when it is drawn."""

    def new_box(self) -> BoxModel:
        places = exponent(self.text.currency)
        shown = places if self.text.decimals is None else min(places, self.text.decimals)
        return BoxModel(unit_minor=10 ** (places - shown))

    @property
    def palette(self) -> Palette:
        return DARK if self.app.dark else LIGHT

    @property
    def measures(self) -> Measures:
        return measures(self.app.width)

    def screens(self) -> list[Screen]:
        """What the person who is signed in may open from the rail."""
        return [screen for screen in SCREENS[self.node.role] if self._may_open(screen)]

    def _may_open(self, screen: Screen) -> bool:
        return not screen.permission or self.node.may(screen.permission)

    def rail(self) -> tuple[list[Screen], list[Screen]]:
        """(entries of the rail, those behind its last one, which the window has no room for)."""
        known = self.screens()
        room = max(3, int(self.app.height - RAIL_ENDS) // RAIL_ENTRY)
        if len(known) <= room:
            return known, []
        return [*known[: room - 1], MORE], known[room - 1 :]

    def go(self, screen: str) -> None:
        if self.node.operator is None:
            screen = "sign_in"
        elif screen not in self._within_reach():
            return
        self.actions.clear()
        self.app.problem = ""
        self.app.screen = screen

    def _within_reach(self) -> set[str]:
        off = [known for known in OFF_THE_RAIL[self.node.role] if self._may_open(known)]
        return {known.name for known in (*self.screens(), *off)}

    def lock(self) -> None:
        """Whoever comes next signs in; what is in the basket stays there."""
        row = self.node.operator_row
        self.app.locked = row["name"] if row else ""
        self.node.sign_out()

    def leave(self) -> None:
        """The person goes: the next one begins with an empty name."""
        self.node.sign_out()
        self.app.locked = ""

    def idle_lock_s(self) -> int:
        """Seconds after which an untouched screen locks itself; 0 for never."""
        return int(settings.cafe(self.node.tables).get("idle_lock_s", 0))

    def refresh(self, names: frozenset[str]) -> None:
        """The node has changed: draw again what shows it."""
        if "settings" in names:
            self.text = Format(self.node)
        if self.node.operator is None and self.app.screen != "sign_in":
            self.app.screen = "sign_in"
        elif self.node.operator is not None and self.app.screen == "sign_in":
            self.app.screen = "sell"
        self.feed.version += 1

    def say(self, toast: str) -> None:
        self.app.toast = toast


SessionContext: Any = ft.create_context(None)


def use_session() -> Session:
    """The session of the page that is being drawn."""
    session: Session | None = ft.use_context(SessionContext)
    assert session is not None
    return session
