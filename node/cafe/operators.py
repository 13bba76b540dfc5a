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

VENDOR = frozenset(
    {
        "order.place",
        "credit.topup",
        "customer.create",
        "customer.read",
        "discount.apply",
        "points.redeem",
        "job.park",
        "job.pay",
        "stock.move",
        "catalog.edit",
        "discount.edit",
        "report.own",
    }
)
CASHIER = VENDOR | {
    "order.authorise",
    "session.run",
    "customer.edit",
    "customer.lock",
    "customer.password",
    "cash.move",
    "drawer.open",
    "ticket.reprint",
    "box.open",
    "box.close",
    "box.x",
    "till.float",
    "pin.consign",
    "pin.stock",
    "credit.transfer",
    "exception.resolve",
    "reservation.edit",
}
MANAGER = CASHIER | {
    "points.settings",
    "customer.balance",
    "customer.delete",
    "customer.debt",
    "sale.refund",
    "job.cancel",
    "pin.make",
    "pin.review",
    "pin.delete",
    "box.close_pending",
    "report.all",
    "audit.read",
    "customer.benefit",
    "profile.edit",
    "rate.edit",
    "promo.edit",
    "stock.count",
    "pc.power",
}
ADMINISTRATOR = MANAGER | {"operator.edit", "station.pair", "settings.edit", "backup"}
SERVER_ONLY = frozenset(
    {
        "order.authorise",
        "session.run",
        "cash.move",
        "drawer.open",
        "ticket.reprint",
        "box.open",
        "box.close",
        "box.x",
        "till.float",
        "pin.consign",
        "pin.stock",
        "exception.resolve",
        "reservation.edit",
        "customer.debt",
        "sale.refund",
        "pin.make",
        "pin.review",
        "pin.delete",
        "box.close_pending",
        "audit.read",
        "profile.edit",
        "rate.edit",
        "promo.edit",
        "stock.count",
        "pc.power",
        "operator.edit",
        "station.pair",
        "settings.edit",
        "backup",
    }
)
"""What can be done at the server alone, whoever asks."""
RIGHTS_KEPT = 64
LONGEST_UNSEEN_S = 72 * 3600
"""A right that was known so long ago at most, when the person acted, still counts."""
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


class ChangePassword(Command, frozen=True):
    """An operator's own key, wrapped under a new password at the node where they signed in."""

    sealed_key: Hex


class ResetOperator(Command, frozen=True):
    """A new key and password for an operator who has forgotten theirs, made at the server."""

    operator: Name
    public_key: Hex
    sealed_key: Hex


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
    seq: int = 0


class OperatorReset(Fact, frozen=True):
    operator: str
    public_key: str


# --- decide ------------------------------------------------------------------


def decide_add(tables: Tables, command: AddOperator, acting: Acting) -> list[Event]:
    first = len(tables.table("operators")) == 0
    if not first and not acting.permitted:
        raise Refused("no-permission", permission="operator.edit")
    if first and command.role != "administrator":
        raise Refused("first-is-administrator")
    if find(tables, command.name) is not None:
        raise Refused("name-taken", name=command.name)
    _check_key(command.public_key)
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


def _check_key(public_key: str) -> None:
    try:
        check_public_key(bytes.fromhex(public_key))
    except Malformed:
        raise Refused("bad-key") from None


def decide_password(tables: Tables, command: ChangePassword, acting: Acting) -> list[Event]:
    fact = OperatorKeySealed(operator=acting.operator_id, sealed_key=command.sealed_key)
    return [event("operator.key-sealed", fact)]


def decide_reset(tables: Tables, command: ResetOperator, acting: Acting) -> list[Event]:
    found = find(tables, command.operator)
    if found is None:
        raise Refused("unknown-operator", name=command.operator)
    _check_key(command.public_key)
    operator, _ = found
    return [
        event("operator.reset", OperatorReset(operator=operator, public_key=command.public_key)),
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
    fact = OperatorEdited(operator=operator, changes=changes, seq=acting.context.seq)
    return [event("operator.edited", fact)]


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
            "keys": [fact.public_key],
            "sealed_key": "",
            "rights": [],
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
        before = {name: row[name] for name in ("role", "granted", "denied", "enabled")}
        row["rights"] = [*row["rights"], [fact.seq, before]][-RIGHTS_KEPT:]
        table.put(fact.operator, {**row, **fact.changes})


def apply_reset(tables: Tables, fact: OperatorReset) -> None:
    """What the key before has signed stays signed: it may come from a station that was offline."""
    table = tables.table("operators")
    row = table.row(fact.operator)
    if row is not None:
        keys = [*row["keys"], fact.public_key]
        table.put(fact.operator, {**row, "public_key": fact.public_key, "keys": keys})


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


def check(row: Mapping[str, Any], permission: str) -> None:
    """`Refused` ``no-permission`` unless an operator holds it now."""
    if not may(row, permission):
        raise Refused("no-permission", permission=permission)


def may_at(row: Mapping[str, Any], permission: str, seq: int) -> bool:
    """Whether an operator held a permission for somebody who had folded entry ``seq``."""
    for changed, before in row.get("rights", ()):
        if changed > seq:
            return may(before, permission)
    return may(row, permission)


def may_do(row: Mapping[str, Any], permission: str, *, desk: bool) -> str:
    """Why an operator may not do something at the server (``desk``) or a station now; empty if
    they may, or nobody needs to be asked."""
    if permission in SERVER_ONLY and not desk:
        return "server-only"
    return "" if not permission or may(row, permission) else "no-permission"


def judge_right(had_at_base: bool, has_now: bool, unseen_s: int) -> tuple[bool, str]:
    """(whether an act that took money stands, flag) by the right of who did it: as it was known to
    the node, if that had seen the server within 72 hours when the person acted, or as it is now."""
    if has_now:
        return True, ""
    return had_at_base and unseen_s <= LONGEST_UNSEEN_S, "right-lost"


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
    Kind("operator.password", ChangePassword, "", decide_password, anyone=True),
    Kind("operator.reset", ResetOperator, "", decide_reset, server_only=True),
)
EVENTS = (
    EventKind("operator.added", OperatorAdded, apply_added),
    EventKind("operator.key-sealed", OperatorKeySealed, apply_key),
    EventKind("operator.edited", OperatorEdited, apply_edited),
    EventKind("operator.reset", OperatorReset, apply_reset),
)
INDEXES = {"operators": (("folded",), ())}
