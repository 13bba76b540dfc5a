"""The café's settings and its people, as they are edited."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import KINDS, LocalDoor, Node, operators, settings
from ui.format import Format, whole
from ui.roles import SCREENS
from ui.viewmodels.forms import BadField

SECTIONS = ("cafe", "selling", "methods", "printing", "people", "safety")
TEXTS = {
    "cafe": ("name", "header", "footer", "time_zone"),
    "selling": ("order_expiry_min", "offline_h", "idle_lock_min", "cash_step", "print_step"),
}
SWITCHES = {
    "selling": ("blind_close", "sound", "return_prepaid"),
    "printing": ("drawer_desk", "drawer_remote", "first_code"),
}
ROLES = ("vendor", "cashier", "manager", "administrator")
UNITS = {"order_expiry_min": 60, "offline_h": 3600, "idle_lock_min": 60}
"""Fields that people type in other units than seconds."""
BESIDE = frozenset(
    {
        "backup",
        "box.close_pending",
        "credit.topup",
        "customer.debt",
        "customer.read",
        "discount.apply",
        "job.pay",
    }
)
"""Permissions that are asked for beside that of a kind or a screen."""
LONGEST_METHOD = 24


@ft.observable
@dataclass
class OfficeModel:
    """What is open, and what was typed in it."""

    section: str = "cafe"
    typed: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    saved: str = ""
    # a method of payment to add
    method: str = ""
    # the printer's address
    printer: str = ""
    # people
    person: str = ""
    """Hex id of who is shown, ``+`` for a new one, or empty."""
    name: str = ""
    role: str = "vendor"
    password: str = ""
    again: str = ""
    busy: bool = False
    # backup and mirror
    passphrase: str = ""
    passphrase_again: str = ""
    file: str = ""
    mirror: str = ""

    def go(self, section: str) -> None:
        self.section = section
        self.problem = self.saved = self.person = ""
        self.typed = {}

    def show(self, person: str) -> None:
        self.person = "" if self.person == person else person
        self.name = self.password = self.again = self.problem = self.saved = ""
        self.role = "vendor"


def shown(node: Node, text: Format, name: str) -> str:
    """A setting as it stands in its field."""
    cafe = settings.cafe(node.tables)
    if name in UNITS:
        seconds = cafe.get(seconds_of(name), 0)
        return str(seconds // UNITS[name])
    if name in ("cash_step", "print_step"):
        return text.plain(cafe[f"{name}_minor"])
    return str(cafe.get(name, ""))


def seconds_of(name: str) -> str:
    """Name of the setting in seconds that a field stands for."""
    return f"{name.rpartition('_')[0]}_s"


def changes(node: Node, model: OfficeModel, text: Format) -> dict[str, Any]:
    """What of the open section is to be changed; raises `BadField`."""
    found: dict[str, Any] = {}
    for name in TEXTS.get(model.section, ()):
        if name not in model.typed or model.typed[name].strip() == shown(node, text, name):
            continue
        value = model.typed[name].strip()
        if name in UNITS:
            number = whole(value)
            if number is None:
                raise BadField(name)
            found[seconds_of(name)] = number * UNITS[name]
        elif name in ("cash_step", "print_step"):
            amount = text.parse(value)
            if not amount or amount < 1:
                raise BadField(name)
            found[f"{name}_minor"] = amount
        else:
            found[name] = value
    return found


def methods(node: Node) -> list[dict[str, Any]]:
    return [dict(one) for one in settings.cafe(node.tables).get("methods", ())]


def method_code(name: str, known: list[dict[str, Any]]) -> str:
    """A code for a method of payment that the owner has named; raises `BadField`."""
    folded = operators.fold_name(name)
    plain = re.sub(r"[^a-z0-9]+", "-", _ascii(folded)).strip("-")[: LONGEST_METHOD - 3]
    code = plain if plain[:1].isalpha() else f"m{plain}"
    codes = {one["method"] for one in known} | settings.RESERVED
    if not name.strip():
        raise BadField("method")
    number = 2
    unique = code
    while unique in codes:
        unique, number = f"{code}-{number}", number + 1
    return unique


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def permissions() -> list[str]:
    """Those that something asks for, by name."""
    asked = {kind.permission for kind in KINDS.values()}
    shown = {screen.permission for screens in SCREENS.values() for screen in screens}
    return sorted((asked | shown | BESIDE) - {""})


def permissions_of(row: Mapping[str, Any]) -> list[tuple[str, bool, bool]]:
    """(permission, whether the person has it, whether that is not by their role), by name."""
    own = {*row["granted"], *row["denied"]}
    enabled = {**row, "enabled": True}
    return [(name, operators.may(enabled, name), name in own) for name in permissions()]


def with_permission(row: Mapping[str, Any], permission: str, on: bool) -> dict[str, list[str]]:
    """Of the command `operator.edit`: one permission granted or denied beside the role."""
    by_role = permission in operators.ROLES[row["role"]]
    granted = [name for name in row["granted"] if name != permission]
    denied = [name for name in row["denied"] if name != permission]
    if on and not by_role:
        granted.append(permission)
    if not on and by_role:
        denied.append(permission)
    return {"granted": granted, "denied": denied}


async def test_print(door: LocalDoor, text: Format) -> str:
    """Print a page that shows every character; what came of it, as a sentence; `SyncError`."""
    done = await door.call("test_print")
    return text.why(done["why"]) if done["why"] else text("prints.tested")
