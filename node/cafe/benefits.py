"""Free passes and promotions: what they are, and what a customer who buys one has.

    pass    a window of time, ``[from, to)``: an event, a day, until an hour, some days
    combo   one price for products and minutes; the price is split over its parts by list price
    recharge  pays A gets B: A is credit, B − A bonus

Each is a product of its own, made with its offer. Windows are decided once, by the server's time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from node.cafe import catalog, records
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
    Quantity,
    event,
)
from node.cafe.money import shares
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

Form = Literal["event", "day", "until", "days", "combo", "recharge"]
PASSES = frozenset({"event", "day", "until", "days"})
Instant = Annotated[int, Meta(ge=0, le=2**42)]
"""Milliseconds of UTC."""
MINUTE_S, DAY_MINUTES = 60, 1440

# --- commands ----------------------------------------------------------------


class Part(Command, frozen=True):
    """Units of a product in a combo."""

    sku: Code
    quantity: Quantity = 1


class AddOffer(Command, frozen=True):
    """A new free pass or promotion, which is a product from then on."""

    sku: Code
    name: Name
    form: Form
    price_minor: Price
    tax_bp: BasisPoints = 0
    category: catalog.Word = ""
    from_ms: Instant = 0
    to_ms: Instant = 0
    """Of an event."""
    until_minute: Annotated[int, Meta(ge=0, lt=DAY_MINUTES)] = 0
    """Minute of the local day; of *until*."""
    next_day: bool = False
    days: Annotated[int, Meta(ge=0, le=366)] = 0
    """Of *days*; of a combo, how long its minutes are good, 0 for ever."""
    parts: Annotated[tuple[Part, ...], Meta(max_length=20)] = ()
    minutes: Annotated[int, Meta(ge=0, le=10**5)] = 0
    minutes_list_minor: Price = 0
    """What the minutes would cost by themselves: their weight in the split."""
    gets_minor: Price = 0
    """Of a recharge: credit and bonus together."""


# --- events ------------------------------------------------------------------


class OfferAdded(Fact, frozen=True):
    offer: dict[str, Any]
    seq: int
    chain: str


# --- decide ------------------------------------------------------------------


def decide_add(tables: Tables, command: AddOffer, acting: Acting) -> list[Event]:
    if tables.table("products").peek(command.sku) is not None:
        raise Refused("already-exists", what=command.sku)
    check_offer(command)
    for part in command.parts:
        product = records.of(tables, "products", part.sku, "unknown-product")
        if product["kind"] not in ("product", "service"):
            raise Refused("bad-field", what="parts")
    fact = OfferAdded(
        offer=msgspec.to_builtins(command),
        seq=acting.context.seq,
        chain=acting.context.op.chain.hex(),
    )
    return [event("offer.added", fact)]


def check_offer(command: AddOffer) -> None:
    """`Refused` ``bad-field`` for an offer that lacks what its form needs."""
    wrong = {
        "event": not command.from_ms < command.to_ms,
        "day": False,
        "until": False,
        "days": command.days < 1,
        "combo": not (command.parts or command.minutes),
        "recharge": command.gets_minor < command.price_minor or command.price_minor < 1,
    }
    if wrong[command.form]:
        needs = {"event": "to_ms", "days": "days", "combo": "parts", "recharge": "gets_minor"}
        raise Refused("bad-field", what=needs[command.form])
    if command.form == "combo" and len({part.sku for part in command.parts}) < len(command.parts):
        raise Refused("repeated", what="parts")


# --- apply -------------------------------------------------------------------


def apply_added(tables: Tables, fact: OfferAdded) -> None:
    offer = fact.offer
    kind = "free_pass" if offer["form"] in PASSES else "promotion"
    fields = ("sku", "name", "price_minor", "tax_bp", "category")
    product = {name: offer[name] for name in fields}
    catalog.put_made(tables, {**product, "kind": kind}, fact.seq, fact.chain)
    row = {name: value for name, value in offer.items() if name not in fields}
    tables.table("offers").put(offer["sku"], row)


# --- what a sale of one gives ------------------------------------------------


def expand(tables: Tables, line: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The lines that a priced line is kept as: a combo becomes its parts, anything else stays."""
    offer = tables.table("offers").peek(line["sku"])
    if offer is None or offer["form"] not in ("combo", "recharge"):
        return [dict(line)]
    quantity = line["quantity"]
    if offer["form"] == "recharge":
        pays = line["amount_minor"]  # after discounts: credit is never given for less than it is
        more = max(0, offer["gets_minor"] * quantity - pays)
        return [{**line, "credit_minor": pays, "bonus_minor": more}]
    products = tables.table("products")
    weights, found = [], []
    for part in offer["parts"]:
        row = products.peek(part["sku"])
        assert row is not None  # products stay
        units = part["quantity"] * quantity
        weights.append(row["price_minor"] * units)
        found.append(
            {
                "sku": part["sku"],
                "name": row["name"],
                "category": row["category"],
                "kind": row["kind"],
                "quantity": units,
                "price_minor": row["price_minor"],
                "tax_bp": row["tax_bp"],
                "combo": line["sku"],
            }
        )
    if offer["minutes"]:
        weights.append(offer["minutes_list_minor"] * quantity)
        own = {name: line[name] for name in ("sku", "name", "category", "kind", "tax_bp")}
        price = offer["minutes_list_minor"]
        more = {"quantity": quantity, "price_minor": price, "combo": line["sku"]}
        found.append({**own, **more, "minutes": offer["minutes"] * quantity, "days": offer["days"]})
    amounts = split(line["amount_minor"], weights)
    return [{**part, "amount_minor": amount} for part, amount in zip(found, amounts, strict=True)]


def split(amount_minor: int, list_minor: Sequence[int]) -> list[int]:
    """A combo's price over its parts, by their list prices; what has none goes to the first."""
    if not sum(list_minor):
        return [amount_minor, *[0] * (len(list_minor) - 1)]
    return shares(amount_minor, list_minor)


def window(offer: Mapping[str, Any], sold_ms: int, zone: dt.tzinfo) -> tuple[int, int]:
    """``[from, to)`` in ms of a pass that is sold at an instant; `Refused` ``already-over``."""
    sold = dt.datetime.fromtimestamp(sold_ms / 1000, zone)
    day, form = sold.date(), offer["form"]
    if form == "event":
        since, until = offer["from_ms"], offer["to_ms"]
    elif form == "until":
        last = day + dt.timedelta(days=bool(offer["next_day"]))
        hour, minute = divmod(offer["until_minute"], MINUTE_S)
        since, until = sold_ms, instant_ms(last, dt.time(hour, minute), zone)
    else:
        days = offer["days"] if form == "days" else 0
        midnight = day + dt.timedelta(days=days + 1)
        since, until = sold_ms, instant_ms(midnight, dt.time(), zone)
    if until <= sold_ms:
        raise Refused("already-over")
    return since, until


def instant_ms(day: dt.date, time: dt.time, zone: dt.tzinfo) -> int:
    """An instant by the café's clocks; the later reading of a time that is twice or never there."""
    readings = [
        dt.datetime.combine(day, time.replace(fold=fold), zone).timestamp() for fold in (0, 1)
    ]
    return int(max(readings) * 1000)


def end_of_day_ms(day: int, zone: dt.tzinfo) -> int:
    """The instant at which a local day, an ordinal, is over."""
    return instant_ms(dt.date.fromordinal(day + 1), dt.time(), zone)


KINDS = (Kind("offer.add", AddOffer, "promo.edit", decide_add, server_only=True),)
EVENTS = (EventKind("offer.added", OfferAdded, apply_added),)
