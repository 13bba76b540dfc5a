"""Reports: what was sold, by whom, what, when and how.

All are folds of the same orders and refunds, so a figure is the same wherever it stands.

By day and hour a sale counts when it was made, in the café's own time zone; by box it counts in the
box that it was collected in, as its Z says, and a box belongs to the day on which it was opened.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from tinydb import where

from node.cafe import box, receipts, settings
from sync.domain import Tables
from sync.errors import Refused

DIMENSIONS = (
    "day",
    "hour",
    "vendor",
    "station",
    "pc",
    "product",
    "service",
    "category",
    "method",
    "discount",
    "box",
)
DAY_MS = 86_400_000


@dataclass(slots=True)
class Line:
    """One line of a report; amounts in minor units."""

    key: str
    name: str = ""
    sales: int = 0
    """Orders; of a product, those that it stands on."""
    units: int = 0
    sold_minor: int = 0
    """After discounts, before rounding of cash; of a discount, what it took off."""
    refunded_minor: int = 0
    tax_minor: int = 0

    @property
    def net_minor(self) -> int:
        return self.sold_minor - self.refunded_minor


@dataclass(slots=True)
class Period:
    """Local days of the café, both included."""

    first: dt.date
    last: dt.date
    zone: ZoneInfo

    @property
    def start_ms(self) -> int:
        return self._midnight_ms(self.first)

    @property
    def end_ms(self) -> int:
        """The first instant behind it."""
        return self._midnight_ms(self.last + dt.timedelta(days=1))

    def _midnight_ms(self, day: dt.date) -> int:
        return int(dt.datetime.combine(day, dt.time(), self.zone).timestamp() * 1000)


def period(tables: Tables, first: str, last: str) -> Period:
    """Days written as ``2026-11-22``; `Refused` ``bad-period``."""
    zone = settings.zone(tables)
    try:
        days = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    except ValueError:
        raise Refused("bad-period", what=f"{first} – {last}") from None
    if days[0] > days[1] or not 1970 <= days[0].year <= days[1].year <= 2200:
        raise Refused("bad-period", what=f"{first} – {last}")
    return Period(*days, zone)


@dataclass
class Report:
    """A report in the making: fed with orders and refunds, then read by any dimension."""

    tables: Tables
    of: Period
    found: dict[str, dict[str, Line]] = field(
        default_factory=lambda: {name: {} for name in DIMENSIONS}
    )
    total: Line = field(default_factory=lambda: Line(""))
    cost_minor: int = 0
    """What the sold units cost, as far as their cost is known now."""

    def _line(self, dimension: str, key: str) -> Line:
        lines = self.found[dimension]
        line = lines.get(key)
        if line is None:
            line = lines[key] = Line(key)
        return line

    def _moment(self, at_ms: int) -> tuple[str, str]:
        moment = dt.datetime.fromtimestamp(at_ms / 1000, self.of.zone)
        return moment.date().isoformat(), f"{moment.hour:02d}"

    def add(self, order: Mapping[str, Any]) -> None:
        """Count a collected order."""
        total, units = order["total_minor"], sum(line["quantity"] for line in order["lines"])
        day, hour = self._moment(order["taken_ms"])
        whole = [
            self.total,
            self._line("day", day),
            self._line("hour", hour),
            self._line("vendor", order["operator"]),
            self._line("station", order["station"]),
        ]
        for line in whole:
            line.sales += 1
            line.units += units
            line.sold_minor += total
        if order.get("pc"):  # its time, and what was sold to who sat there
            whole.append(self._line("pc", str(order["pc"])))
            whole[-1].sales += 1
            whole[-1].units += units
            whole[-1].sold_minor += total
        self._add_lines(order["lines"])
        for method, amount in (("cash", order["cash_minor"]), *order["payments"]):
            if amount:
                self._count("method", method, amount, 0)
        for discount, off in order["off"]:
            self._count("discount", discount, off, 0)

    def _add_lines(self, lines: list[dict[str, Any]]) -> None:
        products = self.tables.table("products")
        seen: set[tuple[str, str]] = set()
        for line in lines:
            kind = "product" if line.get("kind", "product") == "product" else "service"
            for dimension, key in ((kind, line["sku"]), ("category", line["category"])):
                first = (dimension, key) not in seen
                seen.add((dimension, key))
                self._count(dimension, key, line["amount_minor"], line["quantity"], first=first)
            row = products.peek(line["sku"])
            self.cost_minor += row["cost_minor"] * line["quantity"] if row is not None else 0

    def _count(
        self, dimension: str, key: str, amount: int, units: int, *, first: bool = True
    ) -> None:
        line = self._line(dimension, key)
        line.sales += first
        line.units += units
        line.sold_minor += amount

    def give_back(self, refund: Mapping[str, Any]) -> None:
        """Count a refund, when it was given."""
        amount = refund["amount_minor"]
        day, hour = self._moment(refund["at_ms"])
        order = self.tables.table("orders").peek(refund["order"]) or {"lines": [], "station": ""}
        for line in (
            self.total,
            self._line("day", day),
            self._line("hour", hour),
            self._line("vendor", refund["vendor"]),
            self._line("station", order["station"]),
        ):
            line.refunded_minor += amount
        if order.get("pc"):
            self._line("pc", str(order["pc"])).refunded_minor += amount
        for method, part in refund["methods"]:
            self._line("method", method).refunded_minor += part
        rest = amount
        for at, _, part in refund["lines"]:
            line = order["lines"][at]
            kind = "product" if line.get("kind", "product") == "product" else "service"
            self._line(kind, line["sku"]).refunded_minor += part
            self._line("category", line["category"]).refunded_minor += part
            rest -= part
        if rest:  # an amount that is of no line
            self._line("product", "").refunded_minor += rest
            self._line("category", "").refunded_minor += rest

    def lines(self, dimension: str) -> list[Line]:
        """Its lines with their names: times in their order, the rest by what was sold."""
        if dimension not in DIMENSIONS:
            raise Refused("bad-field", what=dimension)
        if dimension == "box":
            return [_box_line(row) for row in boxes(self.tables, self.of)]
        found = list(self.found[dimension].values())
        for line in found:
            line.name = self._name(dimension, line.key)
        if dimension == "pc":
            return sorted(found, key=lambda line: int(line.key))
        if dimension in ("day", "hour"):
            return sorted(found, key=lambda line: line.key)
        return sorted(found, key=lambda line: (-line.sold_minor, line.name))

    def _name(self, dimension: str, key: str) -> str:
        tables = self.tables
        if dimension == "vendor":
            return receipts.name_of(tables, key)
        if dimension == "station":
            return receipts.station_name(tables, key)
        if dimension in ("product", "service"):
            row = tables.table("products").peek(key)
            return row["name"] if row is not None else key
        if dimension == "method":
            return receipts.method_name(tables, key)
        if dimension == "discount":
            return receipts.discount_name(tables, key)
        return key


def sales(tables: Tables, of: Period) -> Iterator[Mapping[str, Any]]:
    """Collected orders that were made in a period."""
    orders = tables.table("orders")
    for row in orders.matching(where("taken_ms") >= of.start_ms):
        if row["taken_ms"] < of.end_ms and row["state"] == "collected":
            yield row


def refunds(tables: Tables, of: Period) -> Iterator[Mapping[str, Any]]:
    """Refunds that were given in a period."""
    for row in tables.table("refunds").matching(where("at_ms") >= of.start_ms):
        if row["at_ms"] < of.end_ms:
            yield row


def making(made: Report) -> Iterator[None]:
    """Make a report an order or refund at a time, so that others may have their turn."""
    for order in sales(made.tables, made.of):
        made.add(order)
        yield
    for refund in refunds(made.tables, made.of):
        made.give_back(refund)
        yield


def report(tables: Tables, of: Period) -> Report:
    """The whole report at once."""
    made = Report(tables, of)
    for _ in making(made):
        pass
    return made


def boxes(tables: Tables, of: Period) -> list[dict[str, Any]]:
    """Boxes that were opened in a period, as their Zs say, and the one that is open."""
    found = []
    for row in tables.table("boxes").latest("number", len(tables.table("boxes"))):
        if not of.start_ms <= row["opened_ms"] < of.end_ms:
            continue
        z = row["z"]
        if z is None:
            z = {**box.x_report(tables, 0, ""), "closed_ms": 0}
        found.append(
            {
                "number": row["number"],
                "opened_ms": row["opened_ms"],
                "closed_ms": z["closed_ms"],
                "sales": z["sales"],
                "units": sum(units for units, _ in z["categories"].values()),
                "total_minor": z["total_minor"],
                "refunded_minor": z.get("refunded_minor", 0),
                "rounding_minor": z["rounding_minor"],
                "expected_minor": z["expected_minor"],
                "declared_minor": z.get("declared_minor"),
                "difference_minor": z.get("difference_minor"),
            }
        )
    return found[::-1]


def _box_line(row: Mapping[str, Any]) -> Line:
    line = Line(str(row["number"]), str(row["number"]), row["sales"], row["units"])
    line.sold_minor, line.refunded_minor = row["total_minor"], row["refunded_minor"]
    return line


def vendor_total(tables: Tables, operator: str) -> dict[str, Any]:
    """What a vendor has collected in the open box, by method, and what went back of it."""
    now = box.sums(tables)
    by_method = dict(now["vendor_methods"].get(operator, {}))
    return {
        "collected_minor": now["by_vendor"].get(operator, 0),
        "by_method": by_method,
        "refunded_minor": now["vendor_refunds"].get(operator, 0),
    }
