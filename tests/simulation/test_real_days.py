"""95 days of a real bakery, sold again from five stations whose cables come and go."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tinydb import where

from node.cafe import box, catalog, reports
from tests.support.street import Street

DATA = Path(__file__).parents[2].parent / "shared" / "data"
STATIONS = 5
STOCK = 100_000
CUT, JOIN, AWAY_AT_NIGHT = 0.06, 0.12, 0.2
"""Chances: that a cable is cut or joined before a ticket, and that one is still out at night."""


@dataclass
class Ticket:
    """One ticket of the file."""

    at_ms: int
    lines: Counter[str] = field(default_factory=Counter)


def _days() -> dict[str, list[Ticket]]:
    """The tickets of each day, in their order."""
    with (DATA / "bakery-catalogue.csv").open(encoding="utf-8") as file:
        skus = {row["name"]: row["sku"] for row in csv.DictReader(file)}
    days: dict[str, dict[str, Ticket]] = defaultdict(dict)
    with (DATA / "bakery-tickets.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            moment = dt.datetime.fromisoformat(f"{row['date']}T{row['time']}+00:00")
            tickets = days[row["date"]]
            ticket = tickets.setdefault(row["ticket"], Ticket(int(moment.timestamp() * 1000)))
            ticket.lines[skus[row["item"]]] += 1
    return {
        day: sorted(tickets.values(), key=lambda one: one.at_ms) for day, tickets in days.items()
    }


def _products() -> list[dict[str, object]]:
    """The price list of the data, whose columns are not those of ours."""
    with (DATA / "bakery-catalogue.csv").open(encoding="utf-8") as file:
        return [
            {
                "sku": row["sku"],
                "name": row["name"],
                "barcode": row["barcode"],
                "category": row["category"],
                "price_minor": catalog.percent_to_bp(row["price"]),
                "cost_minor": catalog.percent_to_bp(row["cost"]),
                "tax_bp": int(row["tax_percent"]) * 100,
            }
            for row in csv.DictReader(file)
        ]


@dataclass
class Books:
    """What must be true, kept by the test alone, from the file."""

    price: dict[str, int]
    arrived: dict[str, int] = field(default_factory=dict)
    """Order → its total, of all that the server has and that are sold."""
    counted: int = 0
    sold: Counter[str] = field(default_factory=Counter)

    def total(self, ticket: Ticket) -> int:
        return sum(self.price[sku] * units for sku, units in ticket.lines.items())


@pytest.mark.skipif(not DATA.exists(), reason="the real tickets are not beside this project")
@pytest.mark.timeout(900)
@pytest.mark.feature(
    "BX-01", "BX-03", "BX-04", "RE-02", "RP-17", "RP-19", "RP-24", "RP-27", "RP-29"
)
def test_ninety_five_real_days_from_five_stations() -> None:
    """Each Z is the sum of the tickets that were here when it was closed, what was away comes in
    the next one as late, an X at any moment is the running sum, no unit of stock is lost, and the
    year's report is the sum of the Zs."""
    chance = random.Random(95)
    days = _days()
    assert len(days) == 95
    products = _products()
    first = min(ticket.at_ms for ticket in next(iter(days.values())))
    street = Street(STATIONS, first - 3_600_000, mode=1)
    for at in range(0, len(products), 50):
        some = products[at : at + 50]
        stock = {str(product["sku"]): STOCK for product in some}
        street.desk("catalog.import", products=some, stock=stock)
    street.run()
    price = {str(p["sku"]): int(str(p["price_minor"])) for p in products}
    books = Books(price)
    pending: dict[str, tuple[int, Ticket]] = {}
    """Order → (its total, ticket), of those that the server has not sold yet."""
    zs = []
    checked = 0
    for number, (day, tickets) in enumerate(days.items()):
        if number % 7 == 3:  # every week the mode changes, some stations hear of it later
            street.desk("settings.edit", mode=1 + number // 7 % 2)
        for ticket in tickets:
            street.at(ticket.at_ms)
            for station in street.replicas:
                if station in street.joined and chance.random() < CUT:
                    street.cut(station)
                elif station not in street.joined and chance.random() < JOIN:
                    street.join(station)
            station = chance.randrange(STATIONS + 1)
            lines = [{"sku": sku, "quantity": units} for sku, units in ticket.lines.items()]
            receipt = street.sell(station, lines)
            pending[receipt.key.hex()] = (books.total(ticket), ticket)
            if chance.random() < 0.2:
                _collect(street, chance, most=5)
                _take_in(street, books, pending)
                _check_x(street, books)
                checked += 1
        away = {s for s in street.replicas if chance.random() < AWAY_AT_NIGHT}
        for station in street.replicas:
            if station in away:
                street.cut(station)
            else:
                street.join(station)
        _collect(street, chance, most=10_000)
        _take_in(street, books, pending)
        _check_x(street, books)
        before = sum(z["total_minor"] for z in zs)
        street.desk("box.close", leave_minor=0)
        z = street.hub.view.table("boxes").peek(str(number + 1))["z"]  # type: ignore[index]
        assert z["total_minor"] == sum(books.arrived.values()) - before, day
        assert z["difference_minor"] == 0 and z["rounding_minor"] == 0
        zs.append(z)
    for station in street.replicas:
        street.join(station)
    _collect(street, chance, most=10_000)
    _take_in(street, books, pending)
    street.desk("box.close", leave_minor=0)
    zs.append(street.hub.view.table("boxes").peek(str(len(days) + 1))["z"])  # type: ignore[index]
    assert not pending and checked > 500
    _check_the_year(street, books, days, zs)


def _collect(street: Street, chance: random.Random, most: int) -> None:
    """The operator takes the money of orders that wait; of some only after allowing them."""
    rows = street.hub.view.table("orders")
    waiting = [i for state in ("pending", "allowed") for i in _ids(street, state)]
    for order in waiting[:most]:
        row = rows.peek(order)
        if row is not None and row["state"] == "pending" and chance.random() < 0.3:
            street.desk("order.allow", order=order)
        street.desk("order.collect", order=order)


def _ids(street: Street, state: str) -> list[str]:
    rows = street.hub.view.table("orders").search(where("state") == state)
    return [str(row.doc_id) for row in rows]


def _take_in(street: Street, books: Books, pending: dict[str, tuple[int, Ticket]]) -> None:
    """Orders that are sold by now, by what the server has."""
    rows = street.hub.view.table("orders")
    for order in list(pending):
        row = rows.peek(order)
        if row is not None and row["state"] == "collected":
            total, ticket = pending.pop(order)
            assert row["total_minor"] == total and not row["flags"], row["flags"]
            books.arrived[order] = total
            books.sold.update(ticket.lines)


def _check_x(street: Street, books: Books) -> None:
    """An X and the shelf at this moment are the running sums."""
    tables = street.hub.view
    x = box.x_report(tables, street.now.wall_ms, "")
    closed = sum(
        row["z"]["total_minor"] for _, row in tables.table("boxes").scan() if row["z"] is not None
    )
    assert closed + x["total_minor"] == sum(books.arrived.values())
    assert sum(x["by_vendor"].values()) == x["total_minor"]
    for sku, units in books.sold.most_common(5):  # all of them once the year is over
        row = tables.table("stock").peek(sku)
        assert row is not None and row["on_hand"] == STOCK - units


def _check_the_year(
    street: Street, books: Books, days: dict[str, list[Ticket]], zs: list[dict[str, int]]
) -> None:
    tables = street.hub.view
    file_total = sum(books.total(ticket) for tickets in days.values() for ticket in tickets)
    assert sum(z["total_minor"] for z in zs) == file_total == sum(books.arrived.values())
    units = Counter[str]()
    for tickets in days.values():
        for ticket in tickets:
            units.update(ticket.lines)
    assert books.sold == units
    for sku in books.price:
        row = tables.table("stock").peek(sku)
        assert row is not None and (row["on_hand"], row["held"]) == (STOCK - units[sku], 0)
    names = list(days)
    year = reports.report(tables, reports.period(tables, names[0], names[-1]))
    assert year.total.sold_minor == file_total
    assert year.total.sales == sum(map(len, days.values()))
    by_day = {line.key: line.sold_minor for line in year.lines("day")}
    assert by_day == {day: sum(map(books.total, tickets)) for day, tickets in days.items()}
    late = sum(z["late"] for z in zs)
    assert late > 20
    tickets = sorted(row["ticket"] for _, row in tables.table("orders").scan())
    assert tickets == list(range(1, len(tickets) + 1))
    assert not street.alarms
    for replica in street.replicas.values():
        assert replica.view.digest() == tables.digest()
