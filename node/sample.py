"""The sample café of the demo: a small catalogue in two languages, and days of real tickets to sell
again."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# (sku, English, Spanish, category, price in minor units of CRC, icon)
_PRODUCTS = (
    ("COFFEE", "Black coffee", "Café negro", "drinks", 90000, "coffee"),
    ("LATTE", "White coffee", "Café con leche", "drinks", 110000, "coffee"),
    ("TEA", "Iced lemon tea", "Té frío limón", "drinks", 95000, "tea"),
    ("COLA", "Cola 600 ml", "Cola 600 ml", "drinks", 120000, "glass"),
    ("WATER", "Water 500 ml", "Agua 500 ml", "drinks", 80000, "water"),
    ("EMPANADA", "Cheese empanada", "Empanada de queso", "food", 115000, "bakery"),
    ("SANDWICH", "Ham and cheese sandwich", "Sándwich jamón y queso", "food", 190000, "lunch"),
    ("COOKIES", "Oat cookies", "Galletas de avena", "food", 45000, "cookie"),
    ("ICECREAM", "Ice cream", "Helado", "food", 100000, "icecream"),
    ("PEANUTS", "Salted peanuts", "Maní salado", "food", 60000, "snack"),
    ("PRINT-BW", "Print B/W", "Impresión B/N", "prints", 7500, "print"),
    ("PRINT-COL", "Print colour", "Impresión color", "prints", 25000, "print"),
    ("SCAN", "Scan", "Escaneo", "prints", 20000, "scan"),
    ("DISC", "Burn a disc", "Grabar disco", "prints", 150000, "disc"),
    ("CV", "Résumé typing", "Currículum", "services", 300000, "document"),
    ("USB32", "USB stick 32 GB", "Memoria USB 32 GB", "accessories", 650000, "usb"),
    ("HEADPHONES", "Headphones", "Audífonos", "accessories", 490000, "headphones"),
    ("CABLE", "Charging cable", "Cable de carga", "accessories", 280000, "cable"),
)
_PRICED = tuple(product for product in _PRODUCTS if product[0] != "CV")
"""Those whose price is not typed at the sale."""
_CATEGORIES = {
    "drinks": ("Drinks", "Bebidas"),
    "food": ("Food", "Comida"),
    "prints": ("Prints", "Impresión"),
    "services": ("Services", "Servicios"),
    "accessories": ("Accessories", "Accesorios"),
}
_KINDS = {"PRINT-BW": "print", "PRINT-COL": "print", "SCAN": "scan", "DISC": "disc"}
CURRENCY, DECIMALS, CASH_STEP_MINOR, TAX_BP = "CRC", 0, 500, 1300


def products(language: str) -> list[dict[str, Any]]:
    """The sample catalogue, as `catalog.import` takes it."""
    at = 1 if language == "es" else 0
    return [
        {
            "sku": sku,
            "name": (english, spanish)[at],
            "category": _CATEGORIES[category][at],
            "price_minor": price,
            "tax_bp": TAX_BP,
            "icon": icon,
            "kind": _KINDS.get(sku, "service" if category == "services" else "product"),
            "open_price": sku == "CV",
            "minimum": 6,
        }
        for sku, english, spanish, category, price, icon in _PRODUCTS
    ]


def stock() -> dict[str, int]:
    """Units on the shelf of those products that a café counts."""
    counted = {"drinks": 48, "food": 24, "accessories": 5}
    return {
        sku: counted[category] for sku, _, _, category, _, _ in _PRODUCTS if category in counted
    }


def acts(language: str) -> list[tuple[str, dict[str, Any]]]:
    """What else the sample café has: discounts, and methods of payment beside cash."""
    at = 1 if language == "es" else 0
    discounts = (
        ("STUDENT", ("Student card", "Carné de estudiante"), "percent", 1000),
        ("LOYAL", ("Regular customer", "Cliente habitual"), "fixed", 20000),
    )
    methods = [
        {"method": "card", "name": ("Card", "Tarjeta")[at]},
        {"method": "sinpe", "name": "SINPE"},
    ]
    return [
        ("settings.edit", {"methods": methods, "time_zone": "America/Costa_Rica"}),
        ("rate.put", {"rate": "STD", "values": rate(language)}),
        ("profile.add", {"profile": "STD", "values": profile(language)}),
        *(
            ("discount.add", {"discount": code, "name": names[at], "form": form, "value": value})
            for code, names, form, value in discounts
        ),
    ]


def rate(language: str) -> dict[str, Any]:
    """What an hour at a PC costs: cheaper in the morning, a quarter of an hour at least."""
    bands = [(0, 20000), (720, 25000), (1260, 20000)]
    return {
        "name": "Horario" if language == "es" else "Timetable",
        "bands": [
            {"minute": minute, "price_minor": price, "block_s": 900} for minute, price in bands
        ],
        "minimum_minor": 25000,
        "step_minor": CASH_STEP_MINOR,
        "tax_bp": TAX_BP,
    }


def profile(language: str) -> dict[str, Any]:
    """Registered customers of the sample café."""
    name = "Registrado" if language == "es" else "Registered"
    points = {"points": 1, "per_minor": 50000, "need": 10, "minutes": 45}
    return {"name": name, "price_minor": 80000, **points}


@dataclass(frozen=True, slots=True)
class Sale:
    """One order to be sold again: when, and how many of what."""

    at_ms: int
    lines: tuple[tuple[str, int], ...]

    def fields(self) -> dict[str, Any]:
        return {"lines": [{"sku": sku, "quantity": quantity} for sku, quantity in self.lines]}


def invented(count: int, seed: int, start_ms: int) -> list[Sale]:
    """``count`` orders made up by chance, a minute apart."""
    chance = random.Random(seed)
    sales = []
    for number in range(count):
        picked = chance.sample(_PRICED, chance.randint(1, 3))
        lines = tuple((product[0], chance.randint(1, 3)) for product in picked)
        sales.append(Sale(start_ms + number * 60_000, lines))
    return sales


def real_day(tickets: Path, day: str, skus: dict[str, str]) -> list[Sale]:
    """The tickets of one day of a file ``date,time,ticket,item``, in their order.

    ``skus`` gives the sku of each item's name. Raises `ValueError` for a day without tickets or an
    item that the catalogue does not have.
    """
    found: dict[str, tuple[int, Counter[str]]] = {}
    with tickets.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["date"] != day:
                continue
            if row["item"] not in skus:
                raise ValueError(f"the catalogue has no {row['item']!r}")
            moment = dt.datetime.fromisoformat(f"{row['date']}T{row['time']}").astimezone()
            _, lines = found.setdefault(row["ticket"], (int(moment.timestamp() * 1000), Counter()))
            lines[skus[row["item"]]] += 1
    if not found:
        raise ValueError(f"no tickets on {day}")
    return [Sale(at_ms, tuple(lines.items())) for at_ms, lines in found.values()]
