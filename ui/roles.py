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


SELL = Screen("sell", ft.Icons.POINT_OF_SALE_ROUNDED)
ORDERS = Screen("orders", ft.Icons.RECEIPT_LONG_ROUNDED)
QUEUE = Screen("queue", ft.Icons.INBOX_ROUNDED, "order.authorise")
CASH = Screen("cash", ft.Icons.ACCOUNT_BALANCE_WALLET_ROUNDED, "box.x")
BOX = Screen("box", ft.Icons.PAYMENTS_ROUNDED, "box.close")
EXCEPTIONS = Screen("exceptions", ft.Icons.FLAG_ROUNDED, "exception.resolve")
CATALOGUE = Screen("catalogue", ft.Icons.INVENTORY_2_ROUNDED, "catalog.edit")

SCREENS: dict[str, tuple[Screen, ...]] = {
    "station": (SELL, ORDERS, CATALOGUE),
    "server": (SELL, QUEUE, EXCEPTIONS, CASH, CATALOGUE, BOX),
}
