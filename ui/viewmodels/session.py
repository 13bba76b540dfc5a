"""One session of a screen: its node, what it shows, and the models of its screens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flet as ft

from node.api import Node, exponent
from ui.format import Format
from ui.roles import SCREENS, Screen
from ui.theme import DARK, LIGHT, Measures, Palette, measures
from ui.viewmodels.boxclose import BoxModel
from ui.viewmodels.cash import CashModel
from ui.viewmodels.catalogue import CatalogueModel
from ui.viewmodels.orders import OrdersModel, QueueModel
from ui.viewmodels.sell import SellModel


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


@ft.observable
@dataclass
class Feed:
    """Grows whenever the node's tables, its link or the clock have changed."""

    version: int = 0


class Session:
    """Everything one page needs; never shared with another page."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.text = Format(node)
        self.app = AppModel()
        self.feed = Feed()
        self.sell = SellModel()
        self.orders = OrdersModel()
        self.queue = QueueModel()
        self.box = self.new_box()
        self.cash = CashModel()
        self.catalogue = CatalogueModel()
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
        """What the person who is signed in may open."""
        return [
            screen
            for screen in SCREENS[self.node.role]
            if not screen.permission or self.node.may(screen.permission)
        ]

    def go(self, screen: str) -> None:
        if self.node.operator is None:
            screen = "sign_in"
        elif screen not in {known.name for known in self.screens()}:
            return
        self.actions.clear()
        self.app.problem = ""
        self.app.screen = screen

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
