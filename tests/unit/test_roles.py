"""Each kind × each role × each place: what is allowed, and what is refused where ops are sequenced."""

from __future__ import annotations

from typing import Any

import pytest

from node.cafe import operators
from node.cafe.house import KINDS, Cafe
from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event, Op, sha256
from sync.protocol import Act
from tests.support.cafe import SERVER, STATION, Rules
from tests.support.street import Street

PEOPLE = {"Vera": "vendor", "Carl": "cashier", "Mia": "manager", "Ada": "administrator"}
RIGHTS = {"no-permission", "server-only", "no-grant", "unknown-station"}
FULL: dict[str, dict[str, Any]] = {
    "operator.add": {
        "name": "New",
        "role": "vendor",
        "public_key": "00" * 32,
        "sealed_key": "",
    },
    "order.place": {
        "lines": [{"sku": "COFFEE", "quantity": 1, "price_minor": 150}],
        "total_minor": 150,
        "mode": 2,
        "label": "A-1",
        "box": 1,
    },
}
"""Kinds whose rule looks at the right itself, and so wants whole fields first."""


def _outcome(rules: Rules, kind: str, who: str, at: bytes) -> str:
    """Code of the refusal, or empty."""
    try:
        rules.do(kind, by=who, at=at, **FULL.get(kind, {}))
    except Refused as refusal:
        return refusal.code
    return ""


@pytest.mark.feature("OP-01", "OP-02", "SE-04", "SE-05", "RP-14", "RP-15")
@pytest.mark.parametrize("at", [SERVER, STATION], ids=["desk", "station"])
@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.permission])
def test_kind_is_done_by_its_roles_at_its_places_alone(kind: str, who: str, at: bytes) -> None:
    """The first thing that is refused is the right; whoever has it hears of their fields instead."""
    rules = Rules(mode=2)
    rules.add("Mia", "manager")
    row = KINDS[kind]
    here = at == SERVER or not (row.server_only or row.permission in operators.SERVER_ONLY)
    has = row.permission in operators.ROLES[PEOPLE[who]]
    code = _outcome(rules, kind, who, at)
    if not here:
        assert code == "server-only"
    elif not has:
        assert code == "no-permission"
    else:
        assert code not in RIGHTS


class Patched(Cafe):
    """The rules of a station whose owner wants none."""

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        return []


@pytest.mark.feature("SE-05", "RP-14", "RP-15", "OP-01")
def test_patched_station_gets_nothing_past_the_sequencer() -> None:
    """Its own screen would not offer it, its core signs and sends it all the same: the server refuses
    each, on record, and not a row changes."""
    street = Street(1, 1_800_000_000_000, theirs=Patched())
    product = {"sku": "TEA", "name": "Tea", "price_minor": 150, "tax_bp": 1000}
    street.desk("catalog.import", products=[product])
    station = street.replicas[1]
    vendor = next(
        bytes.fromhex(i)
        for i, row in street.hub.view.table("operators").scan()
        if row["role"] == "vendor"
    )
    barred = [
        name
        for name, kind in KINDS.items()
        if kind.server_only or kind.permission not in ("", *operators.ROLES["vendor"])
    ]
    assert {"box.close", "sale.refund", "operator.add", "settings.edit", "print.end"} <= set(barred)
    before = _rows(street)
    for number, kind in enumerate(barred, 1):
        key = sha256(kind.encode())[:16]
        street.give(station, Act(kind, kind, KINDS[kind].version, FULL.get(kind, {}), key, vendor))
        street.run()
        refusals = list(street.hub.view.table("refusals"))
        assert len(refusals) == number, kind
        last = max(refusals, key=lambda row: int(row["seq"]))
        assert (last["kind"], last["code"] in RIGHTS) == (kind, True), (kind, last["code"])
    assert _rows(street) == before
    assert street.sell(1, [{"sku": "TEA", "quantity": 1}]).state == "queued"


def _rows(street: Street) -> dict[str, Any]:
    names = ("orders", "boxes", "sums", "products", "operators", "settings", "stations", "prints")
    return {name: {i: dict(row) for i, row in street.hub.view.table(name).scan()} for name in names}
