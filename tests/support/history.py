"""A café with ten days behind it, for pictures and for whoever wants to look at full screens."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

from node import sample
from node.bootstrap import add_operator, create_cafe, pair_here
from node.control import LocalDoor
from node.demo import SettableClock
from node.devices.virtual import VirtualPrinter
from node.roles.server import ServerNode
from tests.support.nodes import PASSWORD, until

DAYS = 10
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
UNPLUGGED = ("127.0.0.1", 1)


@contextlib.asynccontextmanager
async def cafe_with_history(folder: Path, language: str) -> AsyncIterator[ServerNode]:
    """A running server: people, stations, sales of ten days, a refund, a count, a print of which
    nobody knows the end."""
    clock, printer = SettableClock(), VirtualPrinter()
    await printer.start()
    node = await create_cafe(
        folder / "server",
        name="Café Central",
        currency=sample.CURRENCY,
        language=language,
        administrator="Ana Vargas",
        password=PASSWORD,
        printer=f"tcp://127.0.0.1:{printer.port}",
        port=0,
        decimals=sample.DECIMALS,
        cash_step_minor=sample.CASH_STEP_MINOR,
        clock=clock,
    )
    try:
        door = LocalDoor(node)
        products = sample.products(language)
        shelf = {sku: units * 10 for sku, units in sample.stock().items()}
        await door.call("import_catalogue", products=products, stock=shelf)
        for kind, fields in sample.acts(language):
            await node.submit(kind, fields)
        await add_operator(node, "Lucía Mora", "vendor", PASSWORD)
        await add_operator(node, "Óscar Peña", "cashier", PASSWORD)
        for place in ("Terraza", "Patio"):
            await pair_here(node, folder / place, place, UNPLUGGED)
        await _sell(node, clock, language)
        count = {"lines": [{"sku": "COLA", "units": 430}, {"sku": "WATER", "units": 441}]}
        await node.submit("stock.count", {**count, "reason": "Sunday"})
        printer.faults.drop_after_bytes = 60
        await node.submit("order.place", {"lines": [{"sku": "LATTE", "quantity": 2}]})
        prints = node.tables.table("prints")
        await until(lambda: any(row["state"] == "unknown" for _, row in prints.scan()))
        yield node
    finally:
        await node.stop()
        await printer.stop()


async def _sell(node: ServerNode, clock: SettableClock, language: str) -> None:
    chance, now_ms = random.Random(3), int(time.time() * 1000)
    skus = [p["sku"] for p in sample.products(language) if not p["open_price"]]
    moments = [
        now_ms - day * DAY_MS - chance.randrange(1, 10 * HOUR_MS)
        for day in range(DAYS)
        for _ in range(chance.randrange(8, 15))
    ]
    last = ""
    for at_ms in sorted(moments):
        clock.set_wall_ms(at_ms)
        picked = chance.sample(skus, chance.randrange(1, 4))
        lines = [{"sku": sku, "quantity": chance.randrange(1, 4)} for sku in picked]
        fields = {"lines": lines}
        if picked[0] in ("LATTE", "COFFEE", "HEADPHONES"):
            fields["discounts"] = [{"discount": "STUDENT"}]
        last = (await node.submit("order.place", fields)).key.hex()
    clock.set_wall_ms(now_ms)
    await node.submit("sale.refund", {"order": last, "reason": "Cold"})
