"""The one door for screens and programs.

    async with open_node(folder) as node:
        receipt = await node.submit("order.place", {"lines": [{"sku": "COFFEE", "quantity": 2}]})
        rows = node.tables.table("orders").search(where("state") == "pending")
        stop = node.changes(lambda names: ...)

A `Node` signs people in (`sign_in`), submits commands (`submit`), shows TinyDB tables (`tables`)
and tells which of them changed (`changes`). Screens use nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from node import office, people, pincards, sample
from node.audit import Search
from node.bootstrap import create_cafe, open_folder
from node.cafe import (
    accounts,
    benefits,
    bill,
    box,
    catalog,
    customers,
    discounts,
    exceptions,
    jobs,
    lines,
    operators,
    orders,
    pcs,
    pins,
    profiles,
    rates,
    receipts,
    records,
    reports,
    reservations,
    sessions,
    settings,
    settling,
    stations,
    stock,
)
from node.cafe.house import KINDS
from node.cafe.kinds import read_fields
from node.cafe.money import MAX_PRICE_MINOR, exponent, major, parse_minor, pay, taxes
from node.cafe.operators import may
from node.cards import COLOURS, FONTS, preview
from node.config import NoNode
from node.control import ControlClient, ControlServer, LocalDoor, NotRunning
from node.demo import Demo
from node.demo import Options as DemoOptions
from node.demo import Process as DemoProcess
from node.devices.escpos import z_text
from node.roles.base import Node
from node.roles.client import ClientNode
from node.roles.server import ServerNode
from node.roles.station import StationNode
from node.text import (
    count,
    currency_sign,
    day,
    explain,
    locale,
    money,
    number,
    percent,
    say,
    short,
    when,
)
from sync.clock import Clock
from sync.errors import Refused, StorageFailed, SyncError
from sync.protocol import Receipt


@contextlib.asynccontextmanager
async def open_node(folder: Path, clock: Clock | None = None) -> AsyncIterator[Node]:
    """A started node; a station is connecting, a server listens only once `ServerNode.listen` is
    called.

    Raises `NoNode`, `FolderBusy`, `Damaged`, `StorageFailed`.
    """
    node = open_folder(folder, clock)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


__all__ = [
    "COLOURS",
    "FONTS",
    "KINDS",
    "MAX_PRICE_MINOR",
    "ClientNode",
    "ControlClient",
    "ControlServer",
    "Demo",
    "DemoOptions",
    "DemoProcess",
    "LocalDoor",
    "NoNode",
    "Node",
    "NotRunning",
    "Receipt",
    "Refused",
    "Search",
    "ServerNode",
    "StationNode",
    "StorageFailed",
    "SyncError",
    "accounts",
    "benefits",
    "bill",
    "box",
    "catalog",
    "count",
    "create_cafe",
    "currency_sign",
    "customers",
    "day",
    "discounts",
    "exceptions",
    "explain",
    "exponent",
    "jobs",
    "lines",
    "locale",
    "major",
    "may",
    "money",
    "number",
    "office",
    "open_node",
    "operators",
    "orders",
    "parse_minor",
    "pay",
    "pcs",
    "people",
    "percent",
    "pincards",
    "pins",
    "preview",
    "profiles",
    "rates",
    "read_fields",
    "receipts",
    "records",
    "reports",
    "reservations",
    "sample",
    "say",
    "sessions",
    "settings",
    "settling",
    "short",
    "stations",
    "stock",
    "taxes",
    "when",
    "z_text",
]
