"""Operators, roles and permissions: who may do what, checked where an op is sequenced."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from tinydb import where

from node.cafe.kinds import Acting, Command, EventKind, Fact, Hex, Kind, Name, event
from sync.domain import Tables
from sync.errors import Malformed, Refused
from sync.identity import check_public_key
from sync.op import Event

VENDOR = frozenset({"order.place", "catalog.edit", "report.own"})
CASHIER = VENDOR | {"order.authorise", "box.close", "ticket.reprint"}
MANAGER = CASHIER | {"report.all", "audit.read"}
ADMINISTRATOR = MANAGER | {"operator.edit", "station.pair", "settings.edit", "backup"}
ROLES: dict[str, frozenset[str]] = {
    "vendor": VENDOR,
    "cashier": CASHIER,
    "manager": MANAGER,
    "administrator": ADMINISTRATOR,
}

Role = Literal["vendor", "cashier", "manager", "administrator"]

# --- commands ----------------------------------------------------------------


class AddOperator(Command, frozen=True):
    """A new operator; their key was made and wrapped under their password at the server."""

    name: Name
    role: Role
    public_key: Hex
    sealed_key: Hex
    """The wrapped private key, sealed to the café: stations carry it and cannot read it."""


class EditOperator(Command, frozen=True):
    """Change an operator's role or single permissions, or switch them off and on."""

    operator: Name
    role: Role | None = None
    granted: tuple[str, ...] | None = None
    denied: tuple[str, ...] | None = None
    enabled: bool | None = None


# --- events ------------------------------------------------------------------


class OperatorAdded(Fact, frozen=True):
    operator: str
    name: str
    role: str
    public_key: str


class OperatorKeySealed(Fact, frozen=True):
    operator: str
    sealed_key: str


class OperatorEdited(Fact, frozen=True):
    operator: str
    changes: dict[str, Any]


# --- decide ------------------------------------------------------------------


def decide_add(tables: Tables, command: AddOperator, acting: Acting) -> list[Event]:
    first = len(tables.table("operators")) == 0
    if not first and not acting.permitted:
        raise Refused("no-permission", permission="operator.edit")
    if first and command.role != "administrator":
        raise Refused("first-is-administrator")
    if find(tables, command.name) is not None:
        raise Refused("name-taken", name=command.name)
    try:
        check_public_key(bytes.fromhex(command.public_key))
    except Malformed:
        raise Refused("bad-key") from None
    operator = acting.context.op.key.hex()
    return [
        event(
            "operator.added",
            OperatorAdded(
                operator=operator,
                name=command.name,
                role=command.role,
                public_key=command.public_key,
            ),
        ),
        event(
            "operator.key-sealed",
            OperatorKeySealed(operator=operator, sealed_key=command.sealed_key),
        ),
    ]


def decide_edit(tables: Tables, command: EditOperator, acting: Acting) -> list[Event]:
    found = find(tables, command.operator)
    if found is None:
        raise Refused("unknown-operator", name=command.operator)
    changes = {
        name: list(value) if isinstance(value, tuple) else value
        for name in ("role", "granted", "denied", "enabled")
        if (value := getattr(command, name)) is not None
    }
    operator, row = found
    unknown = set(changes.get("granted", ())) | set(changes.get("denied", ()))
    if not unknown <= ADMINISTRATOR:
        raise Refused("unknown-permission", what=sorted(unknown - ADMINISTRATOR)[0])
    if _is_last_administrator(tables, operator, {**row, **changes}):
        raise Refused("last-administrator")
    return [event("operator.edited", OperatorEdited(operator=operator, changes=changes))]


def _is_last_administrator(tables: Tables, operator: str, after: Mapping[str, Any]) -> bool:
    """True if nobody could administer the café any more once ``operator`` is as in ``after``."""
    if may(after, "operator.edit"):
        return False
    return not any(
        may(row, "operator.edit")
        for row in tables.table("operators")
        if str(row.doc_id) != operator
    )


# --- apply -------------------------------------------------------------------


def apply_added(tables: Tables, fact: OperatorAdded) -> None:
    tables.table("operators").put(
        fact.operator,
        {
            "name": fact.name,
            "folded": fold_name(fact.name),
            "role": fact.role,
            "granted": [],
            "denied": [],
            "enabled": True,
            "public_key": fact.public_key,
            "sealed_key": "",
        },
    )


def apply_key(tables: Tables, fact: OperatorKeySealed) -> None:
    table = tables.table("operators")
    row = table.row(fact.operator)
    if row is not None:
        table.put(fact.operator, {**row, "sealed_key": fact.sealed_key})


def apply_edited(tables: Tables, fact: OperatorEdited) -> None:
    table = tables.table("operators")
    row = table.row(fact.operator)
    if row is not None:
        table.put(fact.operator, {**row, **fact.changes})


# --- queries -----------------------------------------------------------------


def fold_name(name: str) -> str:
    """A name as it is compared: NFC, case-folded."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def find(tables: Tables, name: str) -> tuple[str, Mapping[str, Any]] | None:
    """(id, row) of an operator by name."""
    row = tables.table("operators").get(where("folded") == fold_name(name))
    return None if row is None else (str(row.doc_id), row)


def may(row: Mapping[str, Any], permission: str) -> bool:
    """Whether an operator holds a permission: enabled, not denied it, by role or granted singly."""
    if not row.get("enabled") or permission in row["denied"]:
        return False
    return permission in ROLES[row["role"]] or permission in row["granted"]


KINDS = (
    Kind(
        "operator.add",
        AddOperator,
        "operator.edit",
        decide_add,
        server_only=True,
        judges_right=True,
    ),
    Kind("operator.edit", EditOperator, "operator.edit", decide_edit, server_only=True),
)
EVENTS = (
    EventKind("operator.added", OperatorAdded, apply_added),
    EventKind("operator.key-sealed", OperatorKeySealed, apply_key),
    EventKind("operator.edited", OperatorEdited, apply_edited),
)
INDEXES = {"operators": (("folded",), ())}
