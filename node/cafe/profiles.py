"""Registered profiles: what customers of a kind pay, for how long their credit is good, and how
they earn points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from node.cafe import catalog, records, settings
from node.cafe.kinds import Acting, Code, Command, EventKind, Fact, Kind, Name, Price, event
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

CREDIT_SKU = catalog.CREDIT_SKU
CREDIT_NAMES = {"en": "Credit", "es": "Crédito"}
Days = Annotated[int, Meta(ge=0, le=3650)]
Count = Annotated[int, Meta(ge=1, le=10**6)]

# --- commands ----------------------------------------------------------------


class Profile(Command, frozen=True):
    """What a registered profile says."""

    name: Name
    price_minor: Price
    """Of an hour at a PC."""
    minimum_minor: Price = 0
    """Least first charge."""
    expiry_days: Days = 0
    """How long credit is good after a charge; 0 for ever."""
    max_debt_minor: Price = 0
    points: Annotated[int, Meta(ge=0, le=10**6)] = 0
    """Earned for each ``per_minor`` that is paid."""
    per_minor: Annotated[int, Meta(ge=1, le=10**9)] = 1
    on_purchases: bool = False
    """Whether money paid for other things than credit earns points too."""
    need: Count = 10
    """Points that are ``minutes``."""
    minutes: Count = 60
    active: bool = True


class AddProfile(Command, frozen=True):
    """A new profile; a clone is one with the values of another."""

    profile: Code
    values: Profile


class EditProfile(Command, frozen=True):
    """Change, rename, switch off or on."""

    profile: Code
    values: Profile


class EditPoints(Command, frozen=True):
    """Change how a profile's customers earn and redeem points."""

    profile: Code
    points: Annotated[int, Meta(ge=0, le=10**6)]
    per_minor: Annotated[int, Meta(ge=1, le=10**9)]
    need: Count
    minutes: Count
    on_purchases: bool = False


# --- events ------------------------------------------------------------------


class ProfilePut(Fact, frozen=True):
    profile: str
    values: dict[str, Any]
    operator: str
    at_ms: int
    seq: int
    chain: str


# --- decide ------------------------------------------------------------------


def decide_add(tables: Tables, command: AddProfile, acting: Acting) -> list[Event]:
    if tables.table("profiles").peek(command.profile) is not None:
        raise Refused("already-exists", what=command.profile)
    return _put(command.profile, msgspec.to_builtins(command.values), acting)


def decide_edit(tables: Tables, command: EditProfile, acting: Acting) -> list[Event]:
    records.of(tables, "profiles", command.profile, "unknown-profile")
    return _put(command.profile, msgspec.to_builtins(command.values), acting)


def decide_points(tables: Tables, command: EditPoints, acting: Acting) -> list[Event]:
    row = records.of(tables, "profiles", command.profile, "unknown-profile")
    changes = msgspec.to_builtins(command)
    del changes["profile"]
    return _put(command.profile, {**row, **changes}, acting)


def _put(profile: str, values: dict[str, Any], acting: Acting) -> list[Event]:
    context = acting.context
    fact = ProfilePut(
        profile=profile,
        values=values,
        operator=acting.operator_id,
        at_ms=context.at_ms,
        seq=context.seq,
        chain=context.op.chain.hex(),
    )
    return [event("profile.put", fact)]


# --- apply -------------------------------------------------------------------


def apply_put(tables: Tables, fact: ProfilePut) -> None:
    """The first profile makes credit something that is sold."""
    tables.table("profiles").put(fact.profile, fact.values)
    if tables.table("products").peek(CREDIT_SKU) is None:
        name = CREDIT_NAMES[settings.cafe(tables).get("language", "en")]
        values = {"sku": CREDIT_SKU, "name": name, "kind": "credit", "price_minor": 0}
        catalog.put_made(tables, {**values, "open_price": True}, fact.seq, fact.chain)


# --- queries -----------------------------------------------------------------


def of(tables: Tables, profile: str) -> Mapping[str, Any]:
    """Row of a profile, or `Refused` ``unknown-profile``."""
    return records.of(tables, "profiles", profile, "unknown-profile")


KINDS = (
    Kind("profile.add", AddProfile, "profile.edit", decide_add, server_only=True),
    Kind("profile.edit", EditProfile, "profile.edit", decide_edit, server_only=True),
    Kind("points.settings", EditPoints, "points.settings", decide_points, needs_server=True),
)
EVENTS = (EventKind("profile.put", ProfilePut, apply_put),)
