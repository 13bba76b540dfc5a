"""The café itself: its name, currency, language and how it works."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from node.cafe.kinds import Acting, Amount, Command, EventKind, Fact, Hex, Kind, Name, event
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
Step = Annotated[int, Meta(ge=1, le=10**6)]
Mode = Annotated[int, Meta(ge=1, le=2)]

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
    opening_minor: Amount = 0


class EditSettings(Command, frozen=True):
    """Change settings; what is not given stays."""

    name: Name | None = None
    language: Literal["en", "es"] | None = None
    cash_step_minor: Step | None = None
    cash_rounding: Literal["half", "up"] | None = None
    mode: Mode | None = None
    printing: bool | None = None
    decimals: Annotated[int, Meta(ge=0, le=4)] | None = None
    tolerance_minor: Amount | None = None


# --- events ------------------------------------------------------------------


class SettingsSet(Fact, frozen=True):
    values: dict[str, Any]
    seq: int
    """Entry from which they hold, so that an old act can be judged by the settings of its time."""


# --- decide ------------------------------------------------------------------


def decide_create(tables: Tables, command: CreateCafe, acting: Acting) -> list[Event]:
    if cafe(tables):
        raise Refused("already-created")
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
    return [event("settings.set", SettingsSet(values=values, seq=acting.context.seq))]


# --- apply -------------------------------------------------------------------


def apply_set(tables: Tables, fact: SettingsSet) -> None:
    table = tables.table("settings")
    row = table.row("cafe") or {"modes": [], "cash": []}
    row.update(fact.values)
    if {"cash_step_minor", "cash_rounding"} & set(fact.values):
        row["cash"].append([fact.seq, row["cash_step_minor"], row["cash_rounding"]])
    if "mode" in fact.values:
        row["modes"].append([fact.seq, fact.values["mode"]])
    table.put("cafe", row)


# --- queries -----------------------------------------------------------------


def cafe(tables: Tables) -> Mapping[str, Any]:
    """The settings; empty before the café was created."""
    return tables.table("settings").peek("cafe") or {}


def mode_at(tables: Tables, seq: int) -> int:
    """Mode in force for somebody who had folded entry ``seq``."""
    mode = 2
    for since, value in cafe(tables).get("modes", []):
        if since <= seq:
            mode = value
    return mode


def cash_at(tables: Tables, seq: int) -> tuple[int, str]:
    """(cash step, how it is rounded) for somebody who had folded entry ``seq``."""
    found = (1, "half")
    for since, step, rounding in cafe(tables).get("cash", []):
        if since <= seq:
            found = (step, rounding)
    return found


KINDS = (
    Kind("cafe.create", CreateCafe, "", decide_create, server_only=True),
    Kind("settings.edit", EditSettings, "settings.edit", decide_edit, server_only=True),
)
EVENTS = (EventKind("settings.set", SettingsSet, apply_set),)
