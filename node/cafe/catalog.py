"""The catalogue: products and services, their prices now and before, and the CSV they come from."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node.cafe.kinds import (
    Acting,
    BasisPoints,
    Code,
    Command,
    EventKind,
    Fact,
    Kind,
    Name,
    Price,
    check_text,
    event,
    tidy,
)
from node.cafe.money import parse_minor
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

MAX_PRODUCTS_AN_OP = 200
PRICES_KEPT = 64

# --- commands ----------------------------------------------------------------


class Product(Command, frozen=True):
    """One thing to sell. ``price_minor`` contains the tax."""

    sku: Code
    name: Name
    price_minor: Price
    category: Annotated[str, Meta(max_length=40)] = ""
    barcode: Annotated[str, Meta(max_length=40)] = ""
    cost_minor: Price = 0
    tax_bp: BasisPoints = 0
    icon: Annotated[str, Meta(max_length=40)] = ""
    kind: Literal["product", "service"] = "product"


class ImportCatalog(Command, frozen=True):
    """Put products: new ones are added, known ones (by sku) take these values."""

    products: Annotated[tuple[Product, ...], Meta(min_length=1, max_length=MAX_PRODUCTS_AN_OP)]


# --- events ------------------------------------------------------------------


class ProductsPut(Fact, frozen=True):
    products: list[dict[str, Any]]
    seq: int
    """Entry from which these prices hold."""


# --- decide ------------------------------------------------------------------


def decide_import(tables: Tables, command: ImportCatalog, acting: Acting) -> list[Event]:
    skus: set[str] = set()
    barcodes: set[str] = set()
    for product in command.products:
        if product.sku in skus or (product.barcode and product.barcode in barcodes):
            raise Refused("repeated", what=product.sku)
        skus.add(product.sku)
        barcodes.add(product.barcode)
    products = [msgspec.to_builtins(product) for product in command.products]
    return [event("products.put", ProductsPut(products=products, seq=acting.context.seq))]


# --- apply -------------------------------------------------------------------


def apply_put(tables: Tables, fact: ProductsPut) -> None:
    table = tables.table("products")
    for product in fact.products:
        known = table.peek(product["sku"])
        prices = [] if known is None else [list(price) for price in known["prices"]]
        if not prices or prices[-1][1] != product["price_minor"]:
            prices.append([fact.seq, product["price_minor"]])
        row = {**product, "prices": prices[-PRICES_KEPT:], "search": search_text(product)}
        row["order"] = known["order"] if known is not None else len(table) + 1
        table.put(product["sku"], row)


# --- queries -----------------------------------------------------------------


def search_text(product: Mapping[str, Any]) -> str:
    """What a search looks in: name, code and barcode, without case and accents."""
    return fold(f"{product['name']} {product['sku']} {product['barcode']}")


_PLAIN = str.maketrans("áàâäãåéèêëíìîïóòôöõúùûüñç", "aaaaaaeeeeiiiiooooouuuunc")


def fold(text: str) -> str:
    """Text without case and accents, as searches compare it."""
    return text.casefold().translate(_PLAIN)


def price_at(row: Mapping[str, Any], seq: int) -> int | None:
    """Price of a product for somebody who had folded entry ``seq``; None if it was not known
    yet."""
    price: int | None = None
    for since, value in row["prices"]:
        if since <= seq:
            price = value
    return price


# --- CSV ---------------------------------------------------------------------

COLUMNS = ("sku", "name", "price")
OPTIONAL = ("barcode", "category", "cost", "tax_percent", "icon", "kind", "minimum_stock", "points")


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line of a CSV file that cannot be taken, and why, as a code with values."""

    line: int
    code: str
    what: str


def read_csv(text: str, currency: str) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """Products in a CSV file with a head line, and its bad rows. Any bad row means: import nothing.

    Columns: sku, name, price; barcode, category, cost, tax_percent, icon, kind if wanted. Amounts
    in major units with a point. minimum_stock and points are accepted and not used yet.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    head = reader.fieldnames or []
    missing = [column for column in COLUMNS if column not in head]
    unknown = [column for column in head if column not in COLUMNS + OPTIONAL]
    if missing or unknown:
        return [], [BadRow(1, "bad-columns", ", ".join(missing or unknown))]
    products: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    seen: dict[str, int] = {}
    for values in reader:
        line = reader.line_num
        try:
            product = _product(values, currency)
            for code in filter(None, (product["sku"], product["barcode"])):
                if code in seen:
                    raise Refused("repeated", what=f"{code} (line {seen[code]})")
                seen[code] = line
            products.append(product)
        except Refused as refusal:
            bad.append(BadRow(line, refusal.code, str(refusal.details.get("what", ""))))
        except ValueError as error:
            bad.append(BadRow(line, "bad-number", str(error)))
    if not products and not bad:
        bad.append(BadRow(1, "empty", ""))
    return products, bad


def _product(values: Mapping[str, Any], currency: str) -> dict[str, Any]:
    if None in values or None in values.values():
        raise Refused("bad-columns", what="too many or too few values")
    product: dict[str, Any] = {
        "sku": tidy(values["sku"]),
        "name": tidy(values["name"]),
        "price_minor": parse_minor(values["price"], currency),
        "barcode": tidy(values.get("barcode", "")),
        "category": tidy(values.get("category", "")),
        "cost_minor": parse_minor(values.get("cost") or "0", currency),
        "tax_bp": _percent_to_bp(values.get("tax_percent") or "0"),
        "icon": tidy(values.get("icon", "")),
        "kind": tidy(values.get("kind", "")) or "product",
    }
    try:
        msgspec.convert(product, Product, strict=True)
    except msgspec.ValidationError as error:
        raise Refused("bad-value", what=str(error)) from None
    for text in product.values():
        if isinstance(text, str):
            try:
                check_text(text)
            except Refused:
                raise Refused("bad-text", what=repr(text)) from None
    return product


def _percent_to_bp(text: str) -> int:
    return parse_minor(text, "EUR")  # two decimals of percent are basis points


KINDS = (Kind("catalog.import", ImportCatalog, "catalog.edit", decide_import, server_only=True),)
EVENTS = (EventKind("products.put", ProductsPut, apply_put),)
INDEXES = {"products": (("barcode", "category"), ("order",))}
