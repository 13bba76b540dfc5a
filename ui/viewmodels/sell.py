"""The basket and the catalogue around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import Node, box, catalog, pay, settings, stations, taxes

SHOWN_AT_ONCE = 120
MAX_QUANTITY = 10**6


@ft.observable
@dataclass
class SellModel:
    """One vendor's basket. ``lines`` maps sku to quantity, in the order they were added."""

    lines: dict[str, int] = field(default_factory=dict)
    current: str = ""
    """Sku of the line that is open."""
    query: str = ""
    category: str = ""
    as_list: bool = False
    received: str = ""
    problem: str = ""
    """A sentence about what the last try could not do."""
    busy: bool = False

    def add(self, sku: str) -> None:
        self.lines = {**self.lines, sku: min(MAX_QUANTITY, self.lines.get(sku, 0) + 1)}
        self.current = sku
        self.problem = ""

    def set_quantity(self, sku: str, quantity: int) -> None:
        """Zero or less takes the line away."""
        lines = dict(self.lines)
        if quantity <= 0:
            lines.pop(sku, None)
        else:
            lines[sku] = min(MAX_QUANTITY, quantity)
        self.lines = lines
        self.current = sku if sku in lines else ""
        self.problem = ""

    def open_line(self, sku: str) -> None:
        self.current = "" if self.current == sku else sku

    def clear(self) -> None:
        self.lines, self.current, self.received, self.problem = {}, "", "", ""

    @property
    def units(self) -> int:
        return sum(self.lines.values())


@dataclass(frozen=True, slots=True)
class BasketLine:
    sku: str
    name: str
    quantity: int
    price_minor: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Basket:
    """The basket with the prices that hold now."""

    lines: tuple[BasketLine, ...]
    subtotal_minor: int
    rounding_minor: int
    total_minor: int
    taxes: tuple[tuple[int, int], ...]
    """(basis points, tax) of each rate above 0."""


def basket(node: Node, model: SellModel) -> Basket:
    """What the basket costs; unknown products have gone from the catalogue and are left out."""
    products = node.tables.table("products")
    lines, gross = [], []
    for sku, quantity in model.lines.items():
        row = products.peek(sku)
        if row is None:
            continue
        amount = quantity * row["price_minor"]
        lines.append(BasketLine(sku, row["name"], quantity, row["price_minor"], amount))
        gross.append((amount, row["tax_bp"]))
    subtotal = sum(line.amount_minor for line in lines)
    cafe = settings.cafe(node.tables)
    step, mode = cafe.get("cash_step_minor", 1), cafe.get("cash_rounding", "half")
    rounding = pay(subtotal, 0, None, step, mode).rounding
    rates = tuple((bp, tax) for bp, _, _, tax in taxes(gross) if bp)
    return Basket(tuple(lines), subtotal, rounding, subtotal + rounding, rates)


def visible(node: Node, model: SellModel) -> list[Mapping[str, Any]]:
    """Products that fit category and search, in the catalogue's order, at most so many at once."""
    words = catalog.fold(model.query).split()
    found = []
    for _, row in node.tables.table("products").scan():
        if model.category and row["category"] != model.category:
            continue
        if all(word in row["search"] for word in words):
            found.append(row)
    found.sort(key=lambda row: row["order"])
    return found[:SHOWN_AT_ONCE]


def categories(node: Node) -> list[str]:
    """Names of the categories, in the order in which the catalogue has them."""
    names: dict[str, None] = {}
    for _, row in node.tables.table("products").scan():
        if row["category"]:
            names[row["category"]] = None
    return list(names)


def scanned(node: Node, text: str) -> str:
    """Sku of the one product with this code or barcode, or that a search finds alone; empty if
    none."""
    text = text.strip()
    products = node.tables.table("products")
    if products.peek(text) is not None:
        return text
    by_code = [row["sku"] for _, row in products.scan() if text and row["barcode"] == text]
    if by_code:
        return str(by_code[0])
    found = visible(node, SellModel(query=text))
    return str(found[0]["sku"]) if text and len(found) == 1 else ""


def next_label(node: Node) -> str:
    """Label of the order or sale in the making."""
    if node.role == "server":
        return str(box.next_ticket(node.tables))
    row = node.tables.table("stations").peek(node.node_id)
    count = stations.orders_of(node.tables, node.node_id) + 1
    return f"{row['label']}-{count:04d}" if row else ""


async def charge(node: Node, model: SellModel, tendered_minor: int | None) -> str:
    """Place the order; its label. Raises `SyncError`, and then the basket is as it was."""
    label = next_label(node)
    fields: dict[str, Any] = {
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in model.lines.items()]
    }
    if tendered_minor is not None:
        fields["tendered_minor"] = tendered_minor
    model.busy = True
    try:
        await node.submit("order.place", fields)
        model.clear()
    finally:
        model.busy = False
    return label
