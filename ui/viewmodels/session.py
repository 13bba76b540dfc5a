"""One session of a screen: its node, what it shows, and the models of its screens."""

from __future__ import annotations

import asyncio
import time
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
from ui.viewmodels.client import ClientModel
from ui.viewmodels.count import CountModel
from ui.viewmodels.customers import CustomersModel
from ui.viewmodels.discounts import DiscountsModel
from ui.viewmodels.floor import FloorModel, PcsModel
from ui.viewmodels.me import MeModel
from ui.viewmodels.office import OfficeModel
from ui.viewmodels.orders import OrdersModel, QueueModel
from ui.viewmodels.pins import PinsModel
from ui.viewmodels.profiles import ProfilesModel
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


TYPING_S = 3.0
"""A letter and the Enter behind it are nearer to each other, by far."""
LEFT_S = 60.0
"""What a customer has typed at the desk stands there so long."""
AGAIN_S = 0.4
"""Two touches that are nearer to each other are one."""
TOAST_S = 4.0
RAIL_ENTRY, RAIL_ENDS = 56, 152
"""Heights: of an entry, and of what stands above and below them."""


class Typing:
    """Whether somebody types into a field.

    Flet tells the page of every key, also of those that a field takes, before or after the field
    has told of them: without this an Enter that ends a scan would charge as well.
    """

    def __init__(self) -> None:
        self._letter_at = -TYPING_S
        self._owed_until = 0.0
        """Until when an Enter of the page is one that a field has told of already."""
        self._early = False
        """The page has told of an Enter that the field will tell of."""
        self._loose, self._loose_at = "", 0.0
        """Letters that the page has told of and no field has taken, and when the last one came."""

    def letter(self) -> None:
        """A field has got a letter."""
        self._letter_at, self._early, self._loose = time.monotonic(), False, ""

    def key(self, key: str) -> None:
        """The page tells of a key. If a field has the focus, it tells of the same letter next."""
        if len(key) == 1 and key.isprintable():
            now = time.monotonic()
            self._loose = key if now - self._loose_at > TYPING_S else self._loose + key
            self._loose_at = now

    def loose(self) -> str:
        """What was typed into no field, such as a scan: a scanner does not look where it types."""
        found, self._loose = self._loose, ""
        return found if time.monotonic() - self._loose_at < TYPING_S else ""

    def end(self) -> None:
        """The field is gone from the screen."""
        self._letter_at = -TYPING_S

    def entered(self) -> None:
        """A field tells of an Enter."""
        self._owed_until = 0.0 if self._early else time.monotonic() + TYPING_S
        self._letter_at, self._early = -TYPING_S, False

    def takes_enter(self) -> bool:
        """Whether the Enter that the page tells of now is a field's."""
        now = time.monotonic()
        if now < self._owed_until:
            self._owed_until = 0.0
            return True
        self._early = now - self._letter_at < TYPING_S
        return self._early


class Acts:
    """What has been begun by a touch and not ended, by the key of its button."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._began: dict[str, float] = {}

    def begin(self, key: str) -> bool:
        """False while it runs, and for the second touch of a double one."""
        now = time.monotonic()
        if key in self._running or now - self._began.get(key, -AGAIN_S) < AGAIN_S:
            return False
        self._running.add(key)
        self._began[key] = now
        return True

    def end(self, key: str) -> None:
        self._running.discard(key)

    def alone(self, key: str) -> bool:
        """Whether no other act began a moment ago: what it did may have put this one's button under
        the finger."""
        now = time.monotonic()
        return all(now - at >= AGAIN_S for other, at in self._began.items() if other != key)


class Session:
    """Everything one page needs; never shared with another page."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.door = LocalDoor(node)
        self.language = ""
        """Chosen at this page; empty for the café's."""
        self.turn_back: Callable[[], None] | None = None
        """Goes back to what was on the page before; None where this is all of it."""
        self.text = Format(node)
        self.app = AppModel()
        self.feed = Feed()
        self.ticks = Feed()
        """Grows each second, for what shows time and nothing else: a field that is drawn again
        while somebody types may lose a letter."""
        self.beat, self.drawn = Feed(), 0
        """Beats of the page's clock, and the last one that was drawn."""
        self.sell = SellModel()
        self.keep_baskets: Callable[[], None] = lambda: None
        """Writes the baskets down; the page's clock does so too."""
        self.client = ClientModel()
        self._forget()
        self._person = node.operator
        self.typing, self.acts = Typing(), Acts()
        self._left: tuple[str, ...] = ()
        self._left_at = 0.0
        """Since when what somebody has typed to enable a PC stands there."""
        self.actions: dict[str, Callable[[], Any]] = {}
        """What keys do on the screen that is shown; the screen fills it when it is drawn."""

    def _forget(self) -> None:
        """Forms, searches and secrets go with who filled them in; only the basket stays."""
        self.orders = OrdersModel()
        self.queue = QueueModel()
        self.box = self.new_box()
        self.cash = CashModel()
        self.floor = FloorModel()
        self.pcs = PcsModel()
        self.customers = CustomersModel()
        self.profiles = ProfilesModel()
        self.pins = PinsModel()
        self.catalogue = CatalogueModel()
        self.discounts = DiscountsModel()
        self.count = CountModel()
        self.sales = SalesModel()
        self.reports = ReportsModel()
        self.stations = StationsModel()
        self.audit = AuditModel()
        self.office = OfficeModel()
        self.me = MeModel()

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
        self.typing.end()
        self.app.problem = ""
        self.pins.looked = {}
        self.floor.password = ""  # a customer typed it, and has gone
        self.app.screen = screen

    def _within_reach(self) -> set[str]:
        off = [known for known in OFF_THE_RAIL[self.node.role] if self._may_open(known)]
        return {known.name for known in (*self.screens(), *off)}

    def forget_left(self) -> None:
        """What a customer has typed at the desk, and left there, is gone after a while."""
        form, now = self.floor, time.monotonic()
        typed = (form.user, form.password, form.number) if form.panel == "enable" else ()
        if typed != self._left:
            self._left, self._left_at = typed, now
        elif any(typed) and now - self._left_at >= LEFT_S:
            form.leave()

    def enable_pc(self, user: str = "") -> None:
        """Begin to enable a PC for a registered customer: they type their password there."""
        if self.node.role != "server" or not self.node.may("session.run"):
            return
        row = self.node.tables.table("pcs").peek(self.floor.selected)
        self.go("floor")
        self.floor.open("enable")
        self.floor.user = user
        self.floor.number = str(row["number"]) if row is not None and not row["session"] else ""

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
            self.text = Format(self.node, self.language)
        if self.node.operator != self._person:
            self._person = self.node.operator
            self._forget()
            self.actions.clear()
            self.app.problem = ""
            self.app.screen = "sign_in" if self.node.operator is None else "sell"
        elif self.node.operator is not None and self.app.screen not in self._within_reach():
            self.actions.clear()
            self.app.screen = "sell"  # the right to it was taken away meanwhile
        self.feed.version += 1

    def speak(self, language: str) -> None:
        """Another language at this page, until it is closed."""
        self.language = language
        self.text = Format(self.node, language)
        self.feed.version += 1

    def say(self, toast: str) -> None:
        """A sentence that stands for some seconds."""
        self.app.toast = toast
        asyncio.get_running_loop().call_later(TOAST_S, self._hush, toast)

    def _hush(self, toast: str) -> None:
        if self.app.toast == toast:
            self.app.toast = ""


SessionContext: Any = ft.create_context(None)


def use_session() -> Session:
    """The session of the page that is being drawn."""
    session: Session | None = ft.use_context(SessionContext)
    assert session is not None
    return session
