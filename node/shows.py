"""Tables and reports as people ask for them: ``cabina show orders``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node import people
from node.cafe import box, pcs, receipts, sessions
from node.roles.base import Node
from node.roles.server import ServerNode
from sync.errors import Refused

Rows = list[dict[str, Any]]


def _all(table: str) -> Callable[[Node], Rows]:
    def rows(node: Node) -> Rows:
        return [{"id": str(row.doc_id), **_plain(row)} for row in node.tables.table(table)]

    return rows


def _plain(row: Any) -> dict[str, Any]:
    hidden = ("search", "sealed_key", "prices", "modes", "folded")
    return {name: value for name, value in row.items() if name not in hidden}


def _orders(node: Node) -> Rows:
    rows = []
    for row in _all("orders")(node):
        row["vendor"] = receipts.name_of(node.tables, row["operator"])
        rows.append(row)
    return sorted(rows, key=lambda row: row["taken_ms"])


def _state(*states: str) -> Callable[[Node], Rows]:
    def rows(node: Node) -> Rows:
        return [row for row in _orders(node) if row["state"] in states]

    return rows


def _exceptions(node: Node) -> Rows:
    """Orders that were set aside, and what else a person has to look at or has resolved."""
    return [*_state("set_aside")(node), *_all("exceptions")(node)]


def _customers(node: Node) -> Rows:
    return people.rows_of(node, "", 1 << 30)


def _pins(node: Node) -> Rows:
    """Without what leads to a PIN."""
    return [
        {name: value for name, value in row.items() if name not in ("index", "text")}
        for row in _all("pins")(node)
    ]


def _box(node: Node) -> Rows:
    opened = box.running(node.tables)
    return [opened] if opened else []


def _floor(node: Node) -> Rows:
    """Every PC: who is there, for how long, and what it comes to; at the server."""
    if not isinstance(node, ServerNode):
        raise Refused("server-only", kind="floor")
    rows: Rows = []
    for pc, row in pcs.trusted(node.tables):
        live = node.tables.table("sessions").peek(row["session"]) if row["session"] else None
        shown = {"number": row["number"], "pc": pc, "rate": row["rate"], "locked": row["locked"]}
        shown |= {"online": node.floor.online(pc), "state": "free", "session": row["session"]}
        if live is not None:
            ran_s = node.floor.ran_ms(row["session"], live) // 1000
            price, limit_s, _ = node.floor.standing(row["session"], live)
            shown |= {
                "state": live["state"],
                "form": live["form"],
                "who": sessions.who(node.tables, live),
                "ran_s": ran_s,
                "left_s": max(0, limit_s - ran_s) if limit_s else None,
                "price_minor": price,
                "sales_minor": live["sales_minor"],
            }
        rows.append(shown)
    return rows


def _status(node: Node) -> Rows:
    return [node.status()]


SHOWS: dict[str, Callable[[Node], Rows]] = {
    "orders": _orders,
    "queue": _state("pending", "allowed"),
    "sales": _state("collected"),
    "exceptions": _exceptions,
    "products": _all("products"),
    "stock": _all("stock"),
    "counts": _all("counts"),
    "discounts": _all("discounts"),
    "jobs": _all("jobs"),
    "refunds": _all("refunds"),
    "profiles": _all("profiles"),
    "customers": _customers,
    "pins": _pins,
    "pin_profiles": _all("pin_profiles"),
    "offers": _all("offers"),
    "shelves": _all("shelves"),
    "redemptions": _all("redemptions"),
    "rates": _all("rates"),
    "pcs": _all("pcs"),
    "floor": _floor,
    "sessions": _all("sessions"),
    "reservations": _all("reservations"),
    "operators": _all("operators"),
    "stations": _all("stations"),
    "box": _box,
    "boxes": _all("boxes"),
    "prints": _all("prints"),
    "refusals": _all("refusals"),
    "incidents": _all("incidents"),
    "settings": _all("settings"),
    "status": _status,
}


def show(node: Node, table: str, where: dict[str, str], limit: int | None) -> Rows:
    """Rows of a table or report; `Refused` ``unknown-table``, ``unknown-field``."""
    rows = SHOWS.get(table)
    if rows is None:
        raise Refused("unknown-table", table=table, known=", ".join(sorted(SHOWS)))
    found = rows(node)
    for name, value in where.items():
        if found and not any(name in row for row in found):
            raise Refused("bad-field", what=name)
        found = [row for row in found if str(row.get(name)) == value]
    return found if limit is None else found[-limit:] if limit else []
