"""The catalogue: products and services, their prices now and before, and the CSV they come from."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace
from tinydb import where

from node.cafe import exceptions, operators, pictures, records, stock
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
from node.cafe.money import exponent, major, parse_minor
from node.cafe.pictures import Picture
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

MAX_PRODUCTS_AN_OP = 200
PRICES_KEPT = 64
MAX_SHELF = 10**9

MADE = frozenset({"credit", "pc_time", "pin_card", "pin_ticket", "free_pass", "promotion"})
"""Kinds of products that come with their profile, and that nobody makes by hand."""
CREDIT_SKU = "C:CREDIT"
TIME_SKU = "C:TIME"
ProductKind = Literal["product", "service", "print", "scan", "disc"]
Word = Annotated[str, Meta(max_length=40)]
Minimum = Annotated[int, Meta(ge=0, le=10**6)]

# --- commands ----------------------------------------------------------------


class Product(Command, frozen=True):
    """One thing to sell. ``price_minor`` contains the tax."""

    sku: Code
    name: Name
    price_minor: Price
    category: Word = ""
    barcode: Word = ""
    cost_minor: Price = 0
    tax_bp: BasisPoints = 0
    icon: Word = ""
    picture: Picture = ""
    kind: ProductKind = "product"
    minimum: Minimum = 1
    """Units at or below which it should be ordered again."""
    open_price: bool = False
    """Whether the price is typed at the sale."""
    points: Minimum = 0
    """What it costs in points; 0 if it cannot be had for points."""


class ImportCatalog(Command, frozen=True):
    """Put products: new ones are added, known ones (by sku) take these values."""

    products: Annotated[tuple[Product, ...], Meta(min_length=1, max_length=MAX_PRODUCTS_AN_OP)]
    stock: dict[Code, Annotated[int, Meta(ge=0, le=MAX_SHELF)]] = {}
    """Units on the shelf of those that were not counted so far."""


class AddProduct(Command, frozen=True):
    """A new product, at any node."""

    product: Product


class EditProduct(Command, frozen=True):
    """Change a product: field → [version of it that was seen, new value]."""

    sku: Code
    changes: records.ChangeMap


class ProductFields(Command, frozen=True):
    """What may stand in the fields of a product."""

    name: Name | None = None
    price_minor: Price | None = None
    category: Word | None = None
    barcode: Word | None = None
    cost_minor: Price | None = None
    tax_bp: BasisPoints | None = None
    icon: Word | None = None
    picture: Picture | None = None
    kind: ProductKind | None = None
    minimum: Minimum | None = None
    open_price: bool | None = None
    points: Minimum | None = None
    active: bool | None = None
    """False takes it from sale."""


# --- events ------------------------------------------------------------------


class ProductsPut(Fact, frozen=True):
    products: list[dict[str, Any]]
    seq: int
    """Entry from which these prices hold."""
    stock: dict[str, int] = {}


class ProductAdded(Fact, frozen=True):
    product: dict[str, Any]
    wanted: str
    """The sku that was asked for, which another product may have had already."""
    seq: int
    chain: str
    operator: str
    at_ms: int


# --- decide ------------------------------------------------------------------


def decide_import(tables: Tables, command: ImportCatalog, acting: Acting) -> list[Event]:
    skus: set[str] = set()
    barcodes: set[str] = set()
    for product in command.products:
        if product.sku in skus or (product.barcode and product.barcode in barcodes):
            raise Refused("repeated", what=product.sku)
        skus.add(product.sku)
        barcodes.add(product.barcode)
    for sku in skus:
        _check_free(sku)
        known = tables.table("products").peek(sku)
        if known is not None and known["kind"] in MADE:
            raise Refused("made-by-profile", what=sku)
    if not set(command.stock) <= {p.sku for p in command.products if p.kind == "product"}:
        raise Refused("no-stock", sku=next(iter(set(command.stock) - skus), ""))
    fact = ProductsPut(
        products=[msgspec.to_builtins(product) for product in command.products],
        seq=acting.context.seq,
        stock=command.stock,
    )
    return [event("products.put", fact)]


def decide_add(tables: Tables, command: AddProduct, acting: Acting) -> list[Event]:
    table = tables.table("products")
    product, number = command.product, 1
    _check_free(product.sku)
    while table.peek(product.sku) is not None:
        if not acting.context.server or acting.desk:
            raise Refused("already-exists", what=product.sku)
        number += 1  # two stations, or one and the server, had the same idea offline
        product = replace(product, sku=f"{command.product.sku[:36]}.{number}")
    fact = ProductAdded(
        product=msgspec.to_builtins(product),
        wanted=command.product.sku,
        seq=acting.context.seq,
        chain=acting.context.op.chain.hex(),
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("product.added", fact)]


def _check_free(sku: str) -> None:
    """`Refused` ``made-by-profile`` for the codes of credit and time, which come with the first
    profile and rate."""
    if sku in (CREDIT_SKU, TIME_SKU):
        raise Refused("made-by-profile", what=sku)


def decide_edit(tables: Tables, command: EditProduct, acting: Acting) -> list[Event]:
    row = records.of(tables, "products", command.sku, "unknown-product")
    changes = records.read_changes(command.changes, ProductFields)
    if row["kind"] in MADE:
        if not {"kind", "open_price", "points"}.isdisjoint(changes):
            raise Refused("made-by-profile", what=command.sku)
        if not {"price_minor", "tax_bp"}.isdisjoint(changes):
            operators.check(acting.operator, "profile.edit")
    return [records.edited("products", command.sku, records.merge(row, changes), acting)]


# --- apply -------------------------------------------------------------------

_LATER: dict[str, Any] = {
    "minimum": 1,
    "open_price": False,
    "points": 0,
    "picture": "",
    "active": True,
}
"""Fields that products of earlier versions did not have."""


def apply_put(tables: Tables, fact: ProductsPut) -> None:
    table = tables.table("products")
    for values in fact.products:
        product = {f: v for f, v in values.items() if v or f != "picture"}  # a file names none
        known = table.row(product["sku"])
        row = {**_LATER, **(known or {"prices": [], "order": len(table) + 1})}
        if known is not None:
            changes = {f: v for f, v in product.items() if row.get(f) != v}
            records.bump(row, changes, "", 0)
        row.update(product)
        _put(tables, row, fact.seq, "")
    for sku, units in fact.stock.items():
        stock.open_with(tables, sku, units)


def apply_added(tables: Tables, fact: ProductAdded) -> None:
    table, product = tables.table("products"), fact.product
    sku, name, barcode = product["sku"], fold(product["name"]), product["barcode"]
    note = exceptions.note
    if sku != fact.wanted:
        note(tables, "duplicate-sku", f"products/{sku}", fact.at_ms, first=fact.wanted)
        renamed = {"sku": sku, "seq": fact.seq}
        tables.table("renamed").put(f"{fact.chain}/{fact.wanted}", renamed)
    same = table.get(where("folded") == name)
    if same is not None:
        first = str(same.doc_id)
        note(tables, "duplicate-name", f"products/{sku}", fact.at_ms, first=first)
    other = table.get(where("barcode") == barcode) if barcode else None
    if other is not None:
        first = str(other.doc_id)
        note(tables, "duplicate-barcode", f"products/{sku}", fact.at_ms, first=first)
    row = {**_LATER, "prices": [], "order": len(table) + 1, **product}
    _put(tables, row, fact.seq, fact.chain)


def reapply_added(tables: Tables, fact: ProductAdded) -> None:
    """A product of a lost life: one that this life has under the same code stays."""
    sku = fact.product["sku"]
    if tables.table("products").peek(sku) is None:
        apply_added(tables, fact)
    else:
        exceptions.note(tables, "duplicate-sku", f"products/{sku}", fact.at_ms, first=sku)


def apply_edited(tables: Tables, fact: records.RecordEdited) -> None:
    exceptions.note_conflicts(tables, fact)
    row = tables.table("products").row(fact.record)
    if row is None:
        return
    if "price_minor" in fact.conflicts and fact.chain:
        _, own = fact.conflicts["price_minor"]  # its author has sold at it, and nobody else does
        row["prices"].insert(-1, [records.NEVER, own, fact.chain])
        tables.table("products").put(fact.record, row)
    if fact.values:
        records.apply_values(row, fact)
        _put(tables, row, fact.seq, fact.chain)


def put_made(tables: Tables, values: Mapping[str, Any], seq: int, chain: str) -> None:
    """Put a product that a profile makes."""
    table = tables.table("products")
    plain = {"barcode": "", "cost_minor": 0, "tax_bp": 0, "icon": "", "category": ""}
    row = {**_LATER, **plain, "prices": [], "order": len(table) + 1, **values}
    _put(tables, row, seq, chain)


def _put(tables: Tables, row: dict[str, Any], seq: int, chain: str) -> None:
    """Write a product down, its price of now as the last of its prices."""
    prices = row["prices"]
    if not prices or prices[-1][1] != row["price_minor"]:
        row["prices"] = [*prices, [seq, row["price_minor"], chain]][-PRICES_KEPT:]
    row["search"] = search_text(row)
    row["folded"] = fold(row["name"])
    before = tables.table("products").peek(row["sku"]) or {}
    pictures.follow(tables, row["sku"], before.get("picture", ""), row.get("picture", ""))
    tables.table("products").put(row["sku"], row)


# --- queries -----------------------------------------------------------------


def whole(tables: Tables, given: Mapping[str, Any]) -> dict[str, Any]:
    """A product of a file with what the file does not say as it is now."""
    row = tables.table("products").peek(given.get("sku", ""))
    known = {} if row is None else {f: row[f] for f in Product.__struct_fields__ if f in row}
    return {**known, **given}


def search_text(product: Mapping[str, Any]) -> str:
    """What a search looks in: name, code and barcode, without case and accents."""
    return fold(f"{product['name']} {product['sku']} {product['barcode']}")


_PLAIN = str.maketrans("áàâäãåéèêëíìîïóòôöõúùûüñç", "aaaaaaeeeeiiiiooooouuuunc")


def fold(text: str) -> str:
    """Text without case and accents, as searches compare it."""
    return text.casefold().translate(_PLAIN)


def with_barcode(tables: Tables, barcode: str) -> str:
    """Sku of a product on sale with this barcode, or empty."""
    rows = tables.table("products").search(where("barcode") == barcode)
    return next((str(row["sku"]) for row in rows if row["active"]), "")


def own_sku(tables: Tables, sku: str, base: int, chain: str) -> str:
    """The product that who wrote ``chain`` meant by a code, before they heard that the one they
    had made with it got another."""
    renamed = tables.table("renamed").peek(f"{chain}/{sku}")
    return str(renamed["sku"]) if renamed is not None and base < renamed["seq"] else sku


def price_at(row: Mapping[str, Any], seq: int, chain: str) -> int | None:
    """Price of a product for who had folded entry ``seq`` and wrote ``chain``, whose own earlier
    changes they saw at once; None if they did not know it yet."""
    for since, value, author in reversed(row["prices"]):
        if since <= seq or (author and author == chain):
            price: int = value
            return price
    return None


# --- CSV ---------------------------------------------------------------------

COLUMNS = ("sku", "name", "price")
OPTIONAL = (
    "barcode",
    "category",
    "cost",
    "tax_percent",
    "icon",
    "kind",
    "minimum_stock",
    "stock",
    "points",
    "open_price",
    "active",
)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A line of a CSV file that cannot be taken, and why, as a code with values."""

    line: int
    code: str
    what: str


def read_csv(text: str, currency: str) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """Products in a CSV file with a head line, and its bad rows. Any bad row means: import nothing.

    Columns: sku, name, price; and of `OPTIONAL` those that are wanted: what a file does not have is
    not in the products, and stays as it is. Amounts in major units with a point. ``stock`` is taken
    of what was not counted so far; ``active`` is only written.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        head = reader.fieldnames or []
        rows = [(reader.line_num, values) for values in reader]
    except csv.Error as error:
        return [], [BadRow(reader.line_num, "bad-columns", str(error))]
    missing = [column for column in COLUMNS if column not in head]
    unknown = [column for column in head if column not in COLUMNS + OPTIONAL]
    if missing or unknown:
        return [], [BadRow(1, "bad-columns", ", ".join(missing or unknown))]
    products: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    seen: dict[str, int] = {}
    for line, values in rows:
        try:
            product = _product(values, currency)
            for code in filter(None, (product["sku"], product.get("barcode"))):
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
    shelf = values.get("stock") or ""
    if shelf and not 0 <= int(shelf) <= MAX_SHELF:
        raise Refused("bad-value", what=f"stock {shelf}")

    def text_of(cell: str) -> str:
        return tidy(unquoted(cell))

    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "sku": ("sku", tidy),
        "name": ("name", text_of),
        "price": ("price_minor", lambda text: parse_minor(text, currency)),
        "barcode": ("barcode", text_of),
        "category": ("category", text_of),
        "cost": ("cost_minor", lambda text: parse_minor(text or "0", currency)),
        "tax_percent": ("tax_bp", lambda text: percent_to_bp(text or "0")),
        "icon": ("icon", text_of),
        "kind": ("kind", lambda text: tidy(text) or "product"),
        "minimum_stock": ("minimum", lambda text: int(text or "1")),
        "points": ("points", lambda text: int(text or "0")),
        "open_price": ("open_price", lambda text: tidy(text).lower() in ("1", "yes", "true")),
    }
    product: dict[str, Any] = {
        name: read(values[column]) for column, (name, read) in readers.items() if column in values
    }
    try:
        msgspec.convert(product, Product, strict=True)
    except msgspec.ValidationError as error:
        raise Refused("bad-value", what=str(error)) from None
    if shelf and product.get("kind", "product") != "product":
        raise Refused("no-stock", what=product["sku"])
    for text in product.values():
        if isinstance(text, str):
            try:
                check_text(text)
            except Refused:
                raise Refused("bad-text", what=repr(text)) from None
    return product


_RUN = tuple("=+-@\t\r'")
"""What a cell may begin with that a spreadsheet would run, and what keeps it from that."""


def quoted(text: str) -> str:
    """A cell that a spreadsheet shows and does not run."""
    return f"'{text}" if text.startswith(_RUN) else text


def unquoted(cell: str) -> str:
    """The text of a cell that `quoted` wrote."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_RUN) else cell


def percent_to_bp(text: str) -> int:
    """Basis points of ``21`` or ``21.5``; `ValueError` if it is no percentage."""
    return parse_minor(text, "EUR")  # two decimals of percent are basis points


def percent_text(bp: int) -> str:
    """A percentage as `percent_to_bp` reads it."""
    return major(bp, 2)


def read_stock(text: str) -> dict[str, int]:
    """Units on the shelf by sku, of a file that `read_csv` found good; those that name any."""
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    return {tidy(row["sku"]): int(row["stock"]) for row in rows if row.get("stock")}


def write_csv(tables: Tables, currency: str) -> str:
    """The whole catalogue as `read_csv` takes it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS + OPTIONAL, lineterminator="\n")
    writer.writeheader()
    shelves = tables.table("stock")
    for row in tables.table("products").latest("order", len(tables.table("products")))[::-1]:
        shelf = shelves.peek(row["sku"])
        writer.writerow(
            {
                "sku": row["sku"],
                **{f: quoted(row[f]) for f in ("name", "barcode", "category", "icon")},
                "kind": row["kind"],
                "price": major(row["price_minor"], exponent(currency)),
                "cost": major(row["cost_minor"], exponent(currency)),
                "tax_percent": percent_text(row["tax_bp"]),
                "minimum_stock": row["minimum"],
                "points": row["points"],
                "open_price": "yes" if row["open_price"] else "",
                "stock": shelf["on_hand"] if shelf is not None and shelf["on_hand"] >= 0 else "",
                "active": "yes" if row["active"] else "no",
            }
        )
    return out.getvalue()


KINDS = (
    Kind("catalog.import", ImportCatalog, "catalog.edit", decide_import, server_only=True),
    Kind("product.add", AddProduct, "catalog.edit", decide_add),
    Kind("product.edit", EditProduct, "catalog.edit", decide_edit),
)
EVENTS = (
    EventKind("products.put", ProductsPut, apply_put),
    EventKind("product.added", ProductAdded, apply_added, reapply=reapply_added),
    EventKind("product.edited", records.RecordEdited, apply_edited),
)
INDEXES = {"products": (("barcode", "category", "folded"), ("order",))}
