"""The café itself: its name, currency, language and how it works."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from msgspec import Meta

from node.cafe import pictures
from node.cafe.kinds import Acting, Amount, Command, EventKind, Fact, Hex, Kind, Name, event
from node.cafe.pictures import Picture
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Step = Annotated[int, Meta(ge=1, le=10**6)]
Mode = Annotated[int, Meta(ge=1, le=2)]
Zone = Annotated[str, Meta(min_length=1, max_length=40)]

RESERVED = frozenset({"cash", "credit", "points", "pc"})
"""Methods of payment that every café has."""
DEFAULTS: Mapping[str, Any] = {
    "header": "",
    "footer": "",
    "time_zone": "UTC",
    "methods": [],
    "blind_close": False,
    "drawer_desk": True,
    "drawer_remote": False,
    "order_expiry_s": 0,
    "offline_s": 72 * 3600,
    "print_step_minor": 1,
    "tolerance_minor": 0,
}
"""Settings that a café has before anybody sets them."""

ON_UNLESS_SET = frozenset({"first_code"})
"""Switches that are on in a café that has never touched them."""

# --- commands ----------------------------------------------------------------


class CreateCafe(Command, frozen=True):
    """The first act of a café, done once by its server."""

    name: Name
    currency: Currency
    language: Literal["en", "es"]
    cafe_key: Hex
    """Public X25519 key that bodies for the server alone are sealed to."""
    cash_step_minor: Step = 1
    cash_rounding: Literal["half", "up"] = "half"
    mode: Mode = 2
    printing: bool = True
    decimals: Annotated[int, Meta(ge=0, le=4)] | None = None
    """Decimals that amounts are shown with; None for the currency's own."""
    tolerance_minor: Amount = 0
    remote_pos: bool = False
    """Whether stations may be paired and connect."""
    time_zone: Zone = "UTC"
    opening_minor: Amount = 0


class PaymentMethod(Command, frozen=True):
    """A method that the owner names: it never enters the drawer, and is declared apart."""

    method: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,23}\Z")]
    name: Name
    active: bool = True


Lines = Annotated[str, Meta(max_length=500)]
Days = Annotated[int, Meta(ge=0, le=365 * 86400)]


class EditSettings(Command, frozen=True):
    """Change settings; what is not given stays."""

    name: Name | None = None
    header: Lines | None = None
    """Lines below the name on a ticket: address, tax number, telephone."""
    footer: Lines | None = None
    time_zone: Zone | None = None
    """IANA name: a day begins at its midnight."""
    methods: Annotated[tuple[PaymentMethod, ...], Meta(max_length=20)] | None = None
    blind_close: bool | None = None
    """Count the box before any total is shown."""
    drawer_desk: bool | None = None
    drawer_remote: bool | None = None
    """Whether the drawer opens with each sale at the desk, and of the remote POS."""
    order_expiry_s: Days | None = None
    """Seconds after which an order that nobody looked at ends; 0 for never."""
    offline_s: Days | None = None
    """Seconds without contact after which a station's sales wait for the server again."""
    print_step_minor: Step | None = None
    """Prices of prints, scans and recordings go up to the next multiple of this."""
    language: Literal["en", "es"] | None = None
    cash_step_minor: Step | None = None
    cash_rounding: Literal["half", "up"] | None = None
    mode: Mode | None = None
    printing: bool | None = None
    decimals: Annotated[int, Meta(ge=0, le=4)] | None = None
    tolerance_minor: Amount | None = None
    logo: Picture | None = None
    """Stands at the head of tickets."""
    remote_pos: bool | None = None
    idle_lock_s: Days | None = None
    """Seconds without a touch or a key after which a screen locks itself; 0 for never."""
    return_prepaid: bool | None = None
    """Whether who has paid a PC beforehand gets back what they did not use."""
    first_code: bool | None = None
    """Whether tickets of customers without a password bear a code to make one with."""
    sound: bool | None = None
    """Whether the server's screen sounds when an order comes."""


# --- events ------------------------------------------------------------------


class SettingsSet(Fact, frozen=True):
    values: dict[str, Any]
    seq: int
    """Entry from which they hold, so that an old act can be judged by the settings of its time."""


# --- decide ------------------------------------------------------------------


def decide_create(tables: Tables, command: CreateCafe, acting: Acting) -> list[Event]:
    if cafe(tables):
        raise Refused("already-created")
    _check_zone(command.time_zone)
    values = {
        name: getattr(command, name)
        for name in command.__struct_fields__
        if name != "opening_minor"
    }
    opened = {
        "number": 1,
        "opening_minor": command.opening_minor,
        "operator": "",
        "at_ms": acting.context.at_ms,
    }
    return [
        event("settings.set", SettingsSet(values=values, seq=acting.context.seq)),
        ["box.opened", 1, opened],
    ]


def decide_edit(tables: Tables, command: EditSettings, acting: Acting) -> list[Event]:
    values = {
        name: value
        for name in command.__struct_fields__
        if (value := getattr(command, name)) is not None
    }
    if not values:
        raise Refused("nothing-to-do")
    if command.time_zone is not None:
        _check_zone(command.time_zone)
    if command.methods is not None:
        names = [method.method for method in command.methods]
        if len(set(names)) < len(names) or RESERVED & set(names):
            raise Refused("repeated", what=next(iter(RESERVED & set(names)), "methods"))
        values["methods"] = [msgspec.to_builtins(method) for method in command.methods]
        values["methods"] += [
            {**known, "active": False}
            for known in cafe(tables).get("methods", ())
            if known["method"] not in names
        ]  # what was paid by it keeps its name
    return [event("settings.set", SettingsSet(values=values, seq=acting.context.seq))]


def _check_zone(name: str) -> None:
    if name not in available_timezones():
        raise Refused("unknown-time-zone", what=name)


# --- apply -------------------------------------------------------------------


def apply_set(tables: Tables, fact: SettingsSet) -> None:
    table = tables.table("settings")
    before = cafe(tables).get("logo", "")
    pictures.follow(tables, "cafe/logo", before, fact.values.get("logo", before))
    row = table.row("cafe") or {**DEFAULTS, "modes": [], "cash": []}
    row.update(fact.values)
    if {"cash_step_minor", "cash_rounding"} & set(fact.values):
        row["cash"].append([fact.seq, row["cash_step_minor"], row["cash_rounding"]])
    if "print_step_minor" in fact.values:
        steps = row.setdefault("print_steps", [])
        steps.append([fact.seq, fact.values["print_step_minor"]])
    if "mode" in fact.values:
        row["modes"].append([fact.seq, fact.values["mode"]])
    table.put("cafe", row)


# --- queries -----------------------------------------------------------------


def cafe(tables: Tables) -> Mapping[str, Any]:
    """The settings; empty before the café was created."""
    return tables.table("settings").peek("cafe") or {}


def zone(tables: Tables) -> ZoneInfo:
    """The café's own time zone."""
    return ZoneInfo(cafe(tables).get("time_zone", "UTC"))


def date_at(tables: Tables, at_ms: int) -> dt.date:
    """The café's own date at an instant."""
    return dt.datetime.fromtimestamp(at_ms / 1000, zone(tables)).date()


def today(tables: Tables, at_ms: int) -> int:
    """Its ordinal."""
    return date_at(tables, at_ms).toordinal()


def is_on(tables: Tables, name: str) -> bool:
    """Whether a setting that is on or off is on."""
    return bool(cafe(tables).get(name, name in ON_UNLESS_SET))


def remote_pos(tables: Tables) -> bool:
    """Whether stations may be paired and connect: off until the server switches it on."""
    return bool(cafe(tables).get("remote_pos"))


def mode_at(settings: Mapping[str, Any], seq: int) -> int:
    """Mode in force for somebody who had folded entry ``seq``, by the row of settings."""
    for since, mode in reversed(settings.get("modes", ())):
        if since <= seq:
            return int(mode)
    return 2


def cash_at(settings: Mapping[str, Any], seq: int) -> tuple[int, str]:
    """(cash step, how it is rounded) for somebody who had folded entry ``seq``."""
    for since, step, rounding in reversed(settings.get("cash", ())):
        if since <= seq:
            return step, rounding
    return 1, "half"


def print_step_at(settings: Mapping[str, Any], seq: int) -> int:
    """Step that prices of prints go up to, for somebody who had folded entry ``seq``."""
    for since, step in reversed(settings.get("print_steps", ())):
        if since <= seq:
            return int(step)
    return 1


KINDS = (
    Kind("cafe.create", CreateCafe, "", decide_create, server_only=True),
    Kind("settings.edit", EditSettings, "settings.edit", decide_edit, server_only=True),
)
EVENTS = (EventKind("settings.set", SettingsSet, apply_set),)
