"""Customers on the screen: who is looked for, whose account is open, and what is typed there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import MAX_PRICE_MINOR, Node, Refused, accounts, customers, people, profiles
from ui.format import Format, whole
from ui.viewmodels.forms import BadField

PERSON = (*people.NAMES, *people.CONTACT)
SHOWN_AT_ONCE = 60
TABS = ("tracking", "data", "balance", "lock", "redeem", "benefits", "transfer", "delete")
NEEDS = {
    "data": "customer.edit",
    "balance": "customer.balance",
    "lock": "customer.lock",
    "redeem": "points.redeem",
    "benefits": "customer.benefit",
    "transfer": "credit.transfer",
    "delete": "customer.delete",
}


@ft.observable
@dataclass
class CustomersModel:
    """What is open; ``typed`` are the fields of the form that is shown."""

    query: str = ""
    near: bool = False
    """Whether those are listed whose credit ends soon."""
    selected: str = ""
    tab: str = "tracking"
    what: str = ""
    """Kind of movement that tracking is about; empty for all."""
    making: bool = False
    profile: str = ""
    typed: dict[str, str] = field(default_factory=dict)
    products: dict[str, int] = field(default_factory=dict)
    """Sku → units that are redeemed."""
    shown: dict[str, int] = field(default_factory=dict)
    """Sums of the account as they stood when the form was opened."""
    older: int = SHOWN_AT_ONCE
    """Movements that are listed."""
    write_off: bool = False
    sure: bool = False
    """Whether it is asked once more before the password is deleted."""
    problem: str = ""
    saved: str = ""
    busy: bool = False

    def open(self, customer: str) -> None:
        self.selected, self.making = customer, False
        self.show("tracking")

    def show(self, tab: str) -> None:
        self.tab, self.older, self.shown = tab, SHOWN_AT_ONCE, {}
        self.typed, self.products, self.write_off, self.sure = {}, {}, False, False
        self.problem = self.saved = ""

    def new(self) -> None:
        self.selected, self.making, self.profile = "", True, ""
        self.typed, self.problem, self.saved = {}, "", ""

    def close(self) -> None:
        self.selected, self.making = "", False
        self.problem = self.saved = ""

    def get(self, name: str, shown: str = "") -> str:
        """A field as it was typed, or else as it is shown."""
        return self.typed.get(name, shown)

    def put(self, name: str, value: str) -> None:
        self.typed = {**self.typed, name: value}


def found(node: Node, model: CustomersModel) -> list[dict[str, Any]]:
    """Customers that fit, with their accounts."""
    if model.near:
        near = {who for who, _ in accounts.near_expiry(node.tables, node.clock.wall_ms())}
        fitting = [who for who in people.find(node, model.query, 1 << 30) if who in near]
        return [row for who in fitting[:SHOWN_AT_ONCE] if (row := account_of(node, who))]
    return people.rows_of(node, model.query, SHOWN_AT_ONCE)


def account_of(node: Node, customer: str) -> dict[str, Any] | None:
    """The account that is open, with its person; None once they have left."""
    person = node.tables.table("people").row(customer)
    account = node.tables.table("customers").row(customer)
    if person is None or account is None or account["deleted"]:
        return None
    return {"id": customer, **person, **account}


def active_profiles(node: Node) -> list[tuple[str, str]]:
    """(code, name) of the profiles that customers may have, by name."""
    rows = node.tables.table("profiles").scan()
    return sorted(((c, r["name"]) for c, r in rows if r["active"]), key=lambda one: one[1])


def is_locked(node: Node, row: Mapping[str, Any]) -> bool:
    return accounts.is_locked(row, node.clock.wall_ms())


def time_left_s(row: Mapping[str, Any], now_ms: int) -> int:
    """Seconds of promotions that are good still."""
    return sum(
        bucket["seconds"]
        for bucket in row["promotions"]
        if bucket["active"] and (bucket["ends_ms"] == 0 or bucket["ends_ms"] > now_ms)
    )


def redeemable(node: Node) -> list[tuple[str, str, int]]:
    """(sku, name, points) of what can be had for points, by name."""
    rows = node.tables.table("products").scan()
    some = [(sku, r["name"], r["points"]) for sku, r in rows if r["points"] and r["active"]]
    return sorted(some, key=lambda one: one[1])


def rule_of(node: Node, row: Mapping[str, Any]) -> Mapping[str, Any]:
    return profiles.of(node.tables, row["profile"])


def date_of(day: int) -> dt.date | None:
    return dt.date.fromordinal(day) if day else None


def first_charge(node: Node, model: CustomersModel, text: Format) -> tuple[str, int]:
    """(profile, what is paid at once) of the customer that is being made. Raises `BadField`,
    `Refused`."""
    known = active_profiles(node)
    profile = model.profile or (known[0][0] if known else "")
    amount = text.parse(model.get("initial") or "0")
    row = node.tables.table("profiles").peek(profile)
    minimum = row["minimum_minor"] if row is not None else 0
    if amount is None or not max(0, minimum) <= amount <= MAX_PRICE_MINOR:
        raise BadField("initial")
    if amount and not node.may("credit.topup"):
        raise Refused("no-permission", permission="credit.topup")
    return profile, amount


async def create(node: Node, model: CustomersModel, profile: str) -> str:
    """A new customer. Raises `SyncError`."""
    return await people.create(node, profile, {name: model.get(name) for name in PERSON})


async def charge(node: Node, customer: str, amount_minor: int) -> None:
    """What a new customer pays at once. Raises `SyncError`."""
    line = {"sku": profiles.CREDIT_SKU, "quantity": 1, "price_minor": amount_minor}
    await node.submit("order.place", {"lines": [line], "customer": customer})


def remember(node: Node, model: CustomersModel) -> None:
    """The sums as they stand now: what is corrected is what was seen."""
    row = customers.of(node.tables, model.selected)
    model.shown = {name: row[name] for name in ("credit", "points", "expires")}


async def save_balance(node: Node, model: CustomersModel, text: Format) -> None:
    """One act for all that was changed. Raises `BadField`, `SyncError`."""
    row = model.shown or customers.of(node.tables, model.selected)
    changes: dict[str, Any] = {}
    if "credit" in model.typed:
        sign, typed = -1 if model.typed["credit"].strip().startswith("-") else 1, model.typed
        amount = text.parse(typed["credit"].strip().lstrip("-"))
        if amount is None:
            raise BadField("credit")
        changes["credit"] = [row["credit"], sign * amount]
    if "points" in model.typed:
        digits = model.typed["points"].strip()
        points = whole(digits.lstrip("-"))
        if points is None:
            raise BadField("points")
        changes["points"] = [row["points"], -points if digits.startswith("-") else points]
    if "expires" in model.typed:
        try:
            day = dt.date.fromisoformat(model.typed["expires"].strip() or "0001-01-01").toordinal()
        except ValueError:
            raise BadField("expires") from None
        changes["expires"] = [row["expires"], 0 if day == 1 else day]
    changes = {name: pair for name, pair in changes.items() if pair[0] != pair[1]}
    body = {"customer": model.selected, "reason": model.get("reason").strip(), **changes}
    await node.submit("customer.balance", body)


async def lock(node: Node, model: CustomersModel) -> None:
    """For hours, for days, or with neither until somebody unlocks. Raises `BadField`,
    `SyncError`."""
    body: dict[str, Any] = {"customer": model.selected, "reason": model.get("reason").strip()}
    for name in ("hours", "days"):
        typed = model.get(name).strip()
        if typed:
            value = whole(typed)
            if value is None:
                raise BadField(name)
            body[name] = value
    await node.submit("customer.lock", body)


async def redeem(node: Node, model: CustomersModel) -> None:
    """The points that were typed for time, or the products that were chosen. Raises `BadField`,
    `SyncError`."""
    body: dict[str, Any] = {"customer": model.selected}
    wanted = [{"sku": sku, "quantity": units} for sku, units in model.products.items() if units]
    if wanted and model.get("points").strip():
        raise BadField("products")
    if wanted:
        body["products"] = wanted
    else:
        points = whole(model.get("points").strip())
        if points is None:
            raise BadField("points")
        body["points"] = points
    await node.submit("points.redeem", body)


async def transfer(node: Node, model: CustomersModel, text: Format) -> None:
    """Raises `BadField`, `SyncError`."""
    amount = text.parse(model.get("amount"))
    if not amount:
        raise BadField("amount")
    to = customers.find(node.tables, model.get("to"))
    body = {"customer": model.selected, "to": to, "amount_minor": amount}
    await node.submit("credit.transfer", body)


async def delete(node: Node, model: CustomersModel, credit: str) -> None:
    body = {
        "customer": model.selected,
        "credit": credit,
        "write_off": model.write_off,
        "reason": model.get("reason").strip(),
    }
    await node.submit("customer.delete", body)
