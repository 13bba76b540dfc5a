"""The owner's papers by command line and screen: catalogue out, reports, who did what."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from node.audit import Search, acts
from node.cafe import operators, receipts, reports, settings
from node.papers import Sheet, write_csv, write_pdf
from node.roles.base import Node
from node.roles.server import ServerNode
from node.text import money, say, when
from sync.errors import Refused

AT_A_TIME = 500
"""Orders that are counted before others on the event loop have their turn."""
ACTS_AT_ONCE = 200
COLUMNS = ("sales", "units", "sold", "refunded", "net")


async def make_report(node: Node, first: str, last: str) -> reports.Report:
    """A report of a period's days, made while everything else goes on; `Refused`
    ``bad-period``."""
    of = reports.period(node.tables, first, last)
    made = reports.Report(node.tables, of)
    for number, _ in enumerate(reports.making(made), 1):
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
    return made


def method_name(node: Node, method: str) -> str:
    """What a method of payment is called: by its owner, or by the café's language."""
    return receipts.method_name(node.tables, method) or say(node.language, f"method.{method}")


def line_name(node: Node, dimension: str, line: reports.Line) -> str:
    """What a line of a report is called, in the café's language."""
    language = node.language
    if dimension == "method":
        return method_name(node, line.key)
    if dimension == "station" and not line.key:
        return say(language, "report.desk")
    if dimension == "hour":
        return f"{line.key}:00"
    return line.name or say(language, "z.no-category")


def rows_of(node: Node, made: reports.Report, dimension: str) -> list[dict[str, Any]]:
    """A report's lines as values; `Refused` ``bad-field`` for a dimension that is none."""
    return [
        {
            "key": line.key,
            "name": line_name(node, dimension, line),
            "sales": line.sales,
            "units": line.units,
            "sold_minor": line.sold_minor,
            "refunded_minor": line.refunded_minor,
            "net_minor": line.net_minor,
        }
        for line in made.lines(dimension)
    ]


def sheet_of(
    node: Node, made: reports.Report, dimension: str, first: str, last: str
) -> tuple[Sheet, Sequence[Sequence[object]]]:
    """(the report for people, its rows as plain values)."""
    cafe = settings.cafe(node.tables)
    language, currency, decimals = node.language, cafe["currency"], cafe["decimals"]

    def show(amount_minor: int) -> str:
        return money(amount_minor, language, currency, decimals)

    rows = rows_of(node, made, dimension)
    names = ("sold_minor", "refunded_minor", "net_minor")
    plain = [[r["name"], r["sales"], r["units"], *(r[n] for n in names)] for r in rows]
    texts = [
        [r["name"], str(r["sales"]), str(r["units"]), *(show(r[n]) for n in names)] for r in rows
    ]
    total = made.total
    sums = (total.sold_minor, total.refunded_minor, total.net_minor)
    whole = dimension in ("day", "hour", "vendor", "station")
    sheet = Sheet(
        title=say(language, "report.title", by=say(language, f"report.{dimension}")),
        subtitle=f"{cafe['name']} · {first} – {last}",
        columns=[
            say(language, f"report.{dimension}"),
            *(say(language, f"report.{c}") for c in COLUMNS),
        ],
        rows=texts,
        totals=[
            say(language, "ticket.total"),
            str(total.sales),
            str(total.units),
            *(show(amount) for amount in sums),
        ]
        if whole
        else (),
        bars=[(r["name"][:16], r["net_minor"]) for r in rows],
    )
    return sheet, plain


async def report_file(node: Node, dimension: str, first: str, last: str, kind: str) -> bytes:
    """A report as the bytes of a ``csv`` or ``pdf`` file."""
    made = await make_report(node, first, last)
    sheet, plain = sheet_of(node, made, dimension, first, last)
    if kind == "pdf":
        return await asyncio.to_thread(write_pdf, sheet)
    return write_csv(sheet.columns, plain).encode("utf-8-sig")


async def find_acts(
    node: ServerNode, search: Search, limit: int = ACTS_AT_ONCE, before: int = 1 << 62
) -> list[dict[str, Any]]:
    """Acts that fit, newest first, with names; read in a thread."""
    grants = dict(node.tables.grants)
    log = node.log

    def read() -> list[Any]:
        return list(itertools.islice(acts(log, grants, search, before), limit))

    found = await asyncio.to_thread(read)
    tables = node.tables
    zone = settings.cafe(tables).get("time_zone", "")
    return [
        {
            **asdict(act),
            "body": _readable(act.body),
            "name": receipts.name_of(tables, act.operator) if act.operator else "",
            "where": receipts.station_name(tables, act.node),
            "at": when(act.at_ms, node.language, date=True, zone=zone),
        }
        for act in found
    ]


def _readable(value: Any) -> Any:
    """A body whose bytes are hex."""
    if isinstance(value, dict):
        return {name: _readable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_readable(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def operator_id(node: Node, name: str) -> str:
    """Id of an operator by name; `Refused` ``unknown-operator``."""
    found = operators.find(node.tables, name)
    if found is None:
        raise Refused("unknown-operator", name=name)
    return found[0]
