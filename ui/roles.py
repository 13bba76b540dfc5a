"""Who sees what: one table gives each role its screens and their icons."""

from __future__ import annotations

from dataclasses import dataclass

import flet as ft


@dataclass(frozen=True, slots=True)
class Screen:
    """One entry of the rail. Its title is the text ``screen.<name>``."""

    name: str
    icon: ft.IconData
    permission: str = ""
    """Without it the entry is not shown; what it does is checked by the server anyway."""


FLOOR = Screen("floor", ft.Icons.DESKTOP_WINDOWS_ROUNDED, "session.run")
PCS = Screen("pcs", ft.Icons.DISPLAY_SETTINGS_ROUNDED, "rate.edit")
"""Rates and the PCs themselves; reached from the floor."""
SELL = Screen("sell", ft.Icons.POINT_OF_SALE_ROUNDED)
ORDERS = Screen("orders", ft.Icons.RECEIPT_LONG_ROUNDED)
QUEUE = Screen("queue", ft.Icons.INBOX_ROUNDED, "order.authorise")
CASH = Screen("cash", ft.Icons.ACCOUNT_BALANCE_WALLET_ROUNDED, "box.x")
BOX = Screen("box", ft.Icons.PAYMENTS_ROUNDED, "box.close")
EXCEPTIONS = Screen("exceptions", ft.Icons.FLAG_ROUNDED, "exception.resolve")
CUSTOMERS = Screen("customers", ft.Icons.GROUP_ROUNDED, "customer.read")
PINS = Screen("pins", ft.Icons.STYLE_ROUNDED, "pin.stock")
CARDS = Screen("pins", ft.Icons.STYLE_ROUNDED, "order.place")
"""At a station: the cards that it holds."""
CATALOGUE = Screen("catalogue", ft.Icons.INVENTORY_2_ROUNDED, "catalog.edit")

SALES = Screen("sales", ft.Icons.RECEIPT_LONG_ROUNDED, "sale.refund")
REPORTS = Screen("reports", ft.Icons.BAR_CHART_ROUNDED, "report.all")
PRINTS = Screen("prints", ft.Icons.PRINT_ROUNDED, "ticket.reprint")
STATIONS = Screen("stations", ft.Icons.HUB_ROUNDED, "box.close")
AUDIT = Screen("audit", ft.Icons.HISTORY_ROUNDED, "audit.read")
SETTINGS = Screen("settings", ft.Icons.SETTINGS_ROUNDED, "settings.edit")
ME = Screen("me", ft.Icons.PERSON_ROUNDED)
MORE = Screen("more", ft.Icons.MORE_HORIZ_ROUNDED)
"""Shown where the window is too low for the whole rail."""

SCREENS: dict[str, tuple[Screen, ...]] = {
    "client": (),
    "station": (SELL, ORDERS, CUSTOMERS, CARDS, CATALOGUE),
    "server": (
        FLOOR,
        SELL,
        QUEUE,
        CUSTOMERS,
        PINS,
        CASH,
        EXCEPTIONS,
        CATALOGUE,
        SALES,
        REPORTS,
        PRINTS,
        STATIONS,
        AUDIT,
        SETTINGS,
    ),
}
OFF_THE_RAIL: dict[str, tuple[Screen, ...]] = {
    "client": (),
    "station": (ME, MORE),
    "server": (BOX, PCS, ME, MORE),
}
"""Screens that are reached from another one, or by their key."""
