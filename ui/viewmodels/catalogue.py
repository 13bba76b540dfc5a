"""The catalogue and the shelf, as people edit them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import LocalDoor, Node, catalog, records
from ui.format import Format, whole
from ui.viewmodels import shelf
from ui.viewmodels.forms import NEW, BadField, next_code

KINDS = ("product", "service", "print", "scan", "disc")
AMOUNTS, TEXTS = ("price", "cost"), ("name", "category", "barcode")
SHOWN_AT_ONCE = 60


@ft.observable
@dataclass
class CatalogueModel:
    """What is being looked for and edited."""

    tab: str = "products"
    """``products``, ``discounts`` or ``count``."""
    query: str = ""
    selected: str = ""
    """Sku, `NEW`, or nothing."""
    shown: dict[str, Any] = field(default_factory=dict)
    """The product as it stood when it was opened: changes name the versions of that."""
    typed: dict[str, str] = field(default_factory=dict)
    kind: str = "product"
    icon: str = ""
    picture: str = ""
    """SHA-256 in hex, or empty."""
    open_price: bool = False
    active: bool = True
    units: str = ""
    reason: str = ""
    problem: str = ""
    saved: str = ""
    """A sentence on what was done last."""

    def open(self, node: Node, text: Format, sku: str) -> None:
        """Show a product, or an empty form for a new one."""
        row = node.tables.table("products").row(sku) if sku != NEW else None
        self.selected, self.shown = sku, row or {}
        known = row or {}
        self.typed = {
            "sku": known.get("sku", ""),
            **{name: known.get(name, "") for name in TEXTS},
            "price": text.plain(known["price_minor"]) if row else "",
            "cost": text.plain(known["cost_minor"]) if row else "",
            "tax": catalog.percent_text(known.get("tax_bp", 0)).removesuffix(".00"),
            "minimum": str(known.get("minimum", 1)),
        }
        self.kind = known.get("kind", "product")
        self.icon = known.get("icon", "")
        self.picture = known.get("picture", "")
        self.open_price = known.get("open_price", False)
        self.active = known.get("active", True)
        self.units = self.reason = self.problem = self.saved = ""

    def close(self) -> None:
        self.selected = self.problem = self.saved = ""


class BadRows(Exception):
    """A file was not taken; its argument is a list of sentences."""


def values_of(model: CatalogueModel, text: Format) -> dict[str, Any]:
    """The fields of a product as they are typed; `BadField`."""
    typed = {name: value.strip() for name, value in model.typed.items()}
    if not typed["name"]:
        raise BadField("name")
    found: dict[str, Any] = {name: typed[name] for name in TEXTS}
    for name in AMOUNTS:
        amount = text.parse(typed[name] or "0")
        if amount is None or amount < 0:
            raise BadField(name)
        found[f"{name}_minor"] = amount
    try:
        found["tax_bp"] = catalog.percent_to_bp(typed["tax"].replace(",", ".") or "0")
    except ValueError:
        raise BadField("tax") from None
    minimum = whole(typed["minimum"] or "0")
    if minimum is None:
        raise BadField("minimum")
    found["minimum"] = minimum
    found.update(
        kind=model.kind,
        icon=model.icon,
        picture=model.picture,
        open_price=model.open_price,
        active=model.active,
    )
    return found


async def save(node: Node, model: CatalogueModel, text: Format) -> tuple[str, bool]:
    """Add or change the product; (its sku, whether somebody else was faster with one of the fields,
    which is an exception now). Raises `BadField`, `SyncError`."""
    values = values_of(model, text)
    if model.selected == NEW:
        sku = model.typed["sku"].strip() or next_code(node, "products", "{:04d}")
        del values["active"]
        await node.submit("product.add", {"product": {"sku": sku, **values}})
        return sku, False
    changes = records.changes_to(model.shown, values)
    if not changes:
        return model.selected, False
    receipt = await node.submit("product.edit", {"sku": model.selected, "changes": changes})
    return model.selected, any(body.get("conflicts") for _, _, body in receipt.events)


async def move_stock(node: Node, model: CatalogueModel, direction: str) -> None:
    """Enter or withdraw units; raises `BadField`, `SyncError`."""
    units = whole(model.units)
    if units is None:
        raise BadField("units")
    await node.submit(
        "stock.move",
        {
            "sku": model.selected,
            "direction": direction,
            "units": units,
            "reason": model.reason.strip(),
        },
    )
    model.units = model.reason = ""


async def import_csv(node: Node, door: LocalDoor, data: bytes, text: Format) -> int:
    """Take products from a CSV file; how many. Raises `BadRows` with a sentence a row, or
    `SyncError`; nothing is taken unless all is right."""
    try:
        written = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRows([text("catalogue.not_csv")]) from None
    products, bad = catalog.read_csv(written, text.currency)
    if bad:
        raise BadRows([f"{row.line}: {text.say(f'csv.{row.code}', what=row.what)}" for row in bad])
    stock = catalog.read_stock(written)
    done = await door.call("import_catalogue", products=products, stock=stock)
    return int(done["products"])


def found(node: Node, model: CatalogueModel) -> tuple[list[Mapping[str, Any]], bool]:
    """(products that fit the search, on sale or not, at most so many; whether there are more)."""
    return shelf.find(node, model.query, most=SHOWN_AT_ONCE, all_of_them=True)
