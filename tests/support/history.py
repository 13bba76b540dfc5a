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
        await _club(node, clock)
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


PEOPLE = (
    ("maria.solano", "María", "Solano Rojas", 300_000),
    ("jorge.v", "Jorge", "Vargas", 0),
    ("lucia.n", "Lucía", "Núñez Mora", 50_000),
    ("el_beto", "Alberto", "Ruiz", 1_200_000),
)


async def _club(node: ServerNode, clock: SettableClock) -> None:
    """Customers, their credit and points, a pass; PIN cards, some of them at a station."""
    door, now_ms = LocalDoor(node), clock.wall_ms()
    values = {"name": "Estudiante", "price_minor": 60_000, "points": 2, "per_minor": 50_000,
              "need": 10, "minutes": 45, "expiry_days": 60}  # fmt: skip
    await node.submit("profile.add", {"profile": "EST", "values": values})
    await node.submit("offer.add", {"sku": "DAY", "name": "Día libre", "form": "day",
                                    "price_minor": 300_000})  # fmt: skip
    clock.set_wall_ms(now_ms - 3 * DAY_MS)
    made = []
    for user, first, last, amount in PEOPLE:
        typed = {"user": user, "first": first, "last": last, "email": f"{user}@example.org"}
        customer = (await door.call("create_customer", profile="EST", typed=typed))["customer"]
        made.append(customer)
        if amount:
            line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": amount}
            await node.submit("order.place", {"lines": [line], "customer": customer})
    maria, jorge = made[0], made[1]
    clock.set_wall_ms(now_ms - DAY_MS)
    pays = [{"method": "credit", "amount_minor": 110_000}]
    coffee = [{"sku": "LATTE", "quantity": 1}]
    await node.submit("order.place", {"lines": coffee, "customer": maria, "payments": pays})
    await node.submit("points.redeem", {"customer": maria, "points": 10})
    await node.submit("customer.lock", {"customer": jorge, "hours": 48, "reason": "Noise"})
    clock.set_wall_ms(now_ms)
    line = [{"sku": "DAY", "quantity": 1}]
    await node.submit("order.place", {"lines": line, "customer": maria})
    for sku, form, name, minutes, price in (
        ("C3H", "card", "3 horas", 180, 200_000),
        ("T1H", "ticket", "1 hora", 60, 80_000),
    ):
        await node.submit("pin.profile", {"sku": sku, "name": name, "form": form, "days": 30,
                          "minutes": minutes, "price_minor": price, "validity": "use"})  # fmt: skip
    await door.call("make_pins", profile="C3H", count=40, stock=True)
    stations = node.tables.table("stations").scan()
    place = next(station for station, row in stations if row["name"] == "Terraza")
    await node.submit("pin.consign", {"serials": list(range(1, 11)), "station": place})
    await node.submit("order.place", {"lines": [{"sku": "C3H", "quantity": 2}]})


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
