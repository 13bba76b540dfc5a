"""Rates: what a PC costs by the hour of the day, as the owner sets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from node.cafe import catalog, records, settings
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
    event,
)
from node.cafe.meter import Band, Rate
from node.cafe.money import nearest
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

TIME_SKU = catalog.TIME_SKU
TIME_NAMES = {"en": "PC time", "es": "Tiempo de PC"}
HOUR_S, DAY_MINUTES = 3600, 1440
PROFILE_BLOCK_S = 900
"""Customers whose profile has a price of its own pay by the quarter of an hour."""
Block = Annotated[int, Meta(ge=60, le=86_400)]

# --- commands ----------------------------------------------------------------


class RateBand(Command, frozen=True):
    """A price for each block, from a minute of the local day on."""

    minute: Annotated[int, Meta(ge=0, lt=DAY_MINUTES)]
    price_minor: Price
    block_s: Block = 900


class RateValues(Command, frozen=True):
    """What a rate says."""

    name: Name
    bands: Annotated[tuple[RateBand, ...], Meta(min_length=1, max_length=24)]
    minimum_minor: Price = 0
    grace_s: Annotated[int, Meta(ge=0, le=3600)] = 0
    """So short a session costs nothing."""
    step_minor: settings.Step = 1
    """Prices go up to the next multiple of this."""
    tax_bp: BasisPoints = 0


class PutRate(Command, frozen=True):
    """A new rate, or other values for one; sessions that run keep what they began with."""

    rate: Code
    values: RateValues


# --- events ------------------------------------------------------------------


class RatePut(Fact, frozen=True):
    rate: str
    values: dict[str, Any]
    seq: int
    chain: str


# --- decide ------------------------------------------------------------------


def decide_put(tables: Tables, command: PutRate, acting: Acting) -> list[Event]:
    minutes = [band.minute for band in command.values.bands]
    if minutes != sorted(set(minutes)):
        raise Refused("bad-field", what="bands")
    fact = RatePut(
        rate=command.rate,
        values=msgspec.to_builtins(command.values),
        seq=acting.context.seq,
        chain=acting.context.op.chain.hex(),
    )
    return [event("rate.put", fact)]


# --- apply -------------------------------------------------------------------


def apply_put(tables: Tables, fact: RatePut) -> None:
    """The first rate makes time something that is sold."""
    tables.table("rates").put(fact.rate, fact.values)
    if tables.table("products").peek(TIME_SKU) is None:
        name = TIME_NAMES[settings.cafe(tables).get("language", "en")]
        values = {"sku": TIME_SKU, "name": name, "kind": "pc_time", "price_minor": 0}
        catalog.put_made(tables, {**values, "open_price": True}, fact.seq, fact.chain)


# --- queries -----------------------------------------------------------------


def of(tables: Tables, rate: str) -> Mapping[str, Any]:
    """Row of a rate, or `Refused` ``unknown-rate``."""
    return records.of(tables, "rates", rate, "unknown-rate")


def in_force(tables: Tables, rate: str, profile: str = "") -> tuple[str, dict[str, Any]]:
    """(name, values) of what somebody pays at a PC: their profile's own price, or the PC's rate.
    They go into the session, which keeps them."""
    row = dict(of(tables, rate))
    known = tables.table("profiles").peek(profile) if profile else None
    if known is None or not known["price_minor"]:
        return rate, row
    price = nearest(known["price_minor"] * PROFILE_BLOCK_S, HOUR_S)
    band = {"minute": 0, "price_minor": price, "block_s": PROFILE_BLOCK_S}
    values = {"name": known["name"], "bands": [band], "tax_bp": row["tax_bp"], "minimum_minor": 0}
    return f"@{profile}", {**values, "grace_s": 0, "step_minor": row["step_minor"]}


def rate_of(values: Mapping[str, Any]) -> Rate:
    """A rate as the arithmetic takes it."""
    bands = tuple(Band(b["minute"], b["price_minor"], b["block_s"]) for b in values["bands"])
    return Rate(bands, values["minimum_minor"], values["grace_s"], values["step_minor"])


KINDS = (Kind("rate.put", PutRate, "rate.edit", decide_put, server_only=True),)
EVENTS = (EventKind("rate.put", RatePut, apply_put),)
