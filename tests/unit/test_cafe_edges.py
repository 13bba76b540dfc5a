"""What the café's rules say where nothing usual stands: empty tables, forged fields, other versions."""

from __future__ import annotations

from typing import Any

import pytest

from node.cafe.house import EVENTS, KINDS, Cafe
from node.cafe.kinds import read_command
from sync.domain import Context
from sync.errors import Refused
from sync.identity import Ed25519Signer
from sync.op import Entry, encode_op
from sync.view import View
from tests.support.cafe import SERVER, STATION, STATION_KEY, Rules

LINE = {
    "sku": "X", "name": "X", "category": "", "quantity": 1, "price_minor": 1, "amount_minor": 1,
    "tax_bp": 0,
}  # fmt: skip
OF_NOTHING: dict[str, dict[str, Any]] = {
    # an event of each kind that speaks of a row, where that row is not
    "box.closed": {"number": 7, "z": {}},
    "operator.key-sealed": {"operator": "0a", "sealed_key": "00"},
    "operator.edited": {"operator": "0a", "changes": {"role": "vendor"}},
    "station.revoked": {"station": "0b"},
    "order.allowed": {"order": "0c", "operator": "0a", "at_ms": 1},
    "order.denied": {"order": "0c", "operator": "0a", "reason": "no", "at_ms": 1},
    "order.collected": {
        "order": "0c", "operator": "0a", "at_ms": 1, "ticket": 1, "box": 7, "cash_minor": 1,
        "rounding_minor": 0, "tendered_minor": 1, "change_minor": 0, "late_from": 0, "flags": [],
    },
    "order.withdrawn": {"order": "0c", "operator": "0a", "at_ms": 1},
    "operator.reset": {"operator": "0a", "public_key": "00"},
    "box.handed-over": {
        "box": 7, "before": "", "operator": "0a", "expected_minor": 0, "declared_minor": None,
        "at_ms": 1,
    },
    "cash.moved": {"box": 7, "amount_minor": 1, "reason": "x", "operator": "0a", "at_ms": 1},
    "exception.resolved": {
        "exception": 7, "code": "oversold", "ref": "x", "resolution": "noted", "reason": "",
        "operator": "0a", "at_ms": 1,
    },
    "job.cancelled": {"job": "0d", "reason": "x", "operator": "0a", "at_ms": 1},
    "product.edited": {
        "table": "products", "record": "GHOST", "values": {"name": "x"}, "conflicts": {},
        "operator": "0a", "chain": "", "seq": 1, "at_ms": 1,
    },
    "discount.edited": {
        "table": "discounts", "record": "GHOST", "values": {"name": "x"}, "conflicts": {},
        "operator": "0a", "chain": "", "seq": 1, "at_ms": 1,
    },
    "sale.refunded": {
        "refund": "0e", "order": "0c", "number": 1, "amount_minor": 1, "methods": [],
        "cash_due_minor": 0, "taxes": [], "lines": [], "restocked": [], "reason": "x",
        "operator": "0a", "at_ms": 1, "box": 7,
    },
    "print.moved": {"job": "t-9", "state": "printed", "why": "", "copy": False},
}  # fmt: skip


def empty() -> tuple[Cafe, View]:
    cafe = Cafe()
    return cafe, View(cafe)


def fold(view: View, *events: list[Any]) -> None:
    raw = op("x", {}).raw
    view.fold(Entry(view.cursor + 1, 0, 0, raw, True, list(events), {}), op("x", {}))
    assert not view.unfolded


def op(kind: str, body: dict[str, Any], *, chain: bytes = SERVER, version: int = 1) -> Any:
    return encode_op(
        chain=chain + b"epoch000", n=1, kind=kind, version=version, body=body, grant=0, base=0,
        key=bytes(16), wall_ms=0, mono_ms=0, boot=bytes(8),
    )  # fmt: skip


@pytest.mark.parametrize("name", OF_NOTHING)
@pytest.mark.feature("SY-05")
def test_event_about_a_row_that_is_not_there_changes_no_other(name: str) -> None:
    """Folding never fails: what stands in a log has happened."""
    _, view = empty()
    fold(view, [name, 1, OF_NOTHING[name]])
    assert {n for n, t in view.store.tables.items() if t.packed} <= {"prints", "counters"}
    assert (name, 1) in EVENTS


@pytest.mark.feature("SY-12")
def test_event_of_a_later_version_changes_nothing_and_is_noted() -> None:
    """A node one version behind folds what it knows, and knows what it did not."""
    _, view = empty()
    one = op("x", {})
    for seq, event in enumerate((["order.denied", 99, {"a": 1}], ["never.heard", 1, {}]), 1):
        view.fold(Entry(seq, 0, 0, one.raw, True, [event], {}), one)
    assert not any(t.packed for t in view.store.tables.values())
    assert view.unfolded == {1: True, 2: True}


def test_order_set_aside_before_there_is_a_box_or_its_station() -> None:
    """Its cash cannot be counted, and nothing else is lost."""
    _, view = empty()
    placed = {
        "order": "0c", "label": "S1-1", "station": "0b", "operator": "0a", "mode": 1,
        "lines": [LINE], "total_minor": 1, "taken_ms": 1, "at_ms": 1, "box": 1,
        "state": "set_aside", "flags": ["right-lost"], "cash_minor": None,
    }  # fmt: skip
    fold(view, ["order.placed", 1, placed])
    row = view.table("orders").row("0c")
    assert row is not None
    assert row["in_till"] is True
    fold(view, ["order.collected", 1, {**OF_NOTHING["order.collected"], "order": "0c"}])
    assert not view.table("boxes").row("7")
    opened = {"number": 7, "opening_minor": 0, "operator": "0a", "at_ms": 1}
    fold(view, ["order.placed", 1, {**placed, "order": "0d", "lines": []}])
    fold(view, ["box.opened", 1, opened])
    sold = {**OF_NOTHING["order.collected"], "order": "0d", "ticket": 0}  # as a station folds it
    fold(view, ["order.collected", 1, sold])
    assert view.table("sums").row("7")["taxes"] == {}  # type: ignore[index]


def test_cash_that_is_wrong_and_a_tender_below_it_are_one_doubt() -> None:
    """Both say that the money in the till is not what it should be."""
    rules = Rules(mode=1)
    body = {
        "lines": [{"sku": "COFFEE", "quantity": 1, "price_minor": 200}],
        "total_minor": 200, "mode": 1, "cash_minor": 300, "tendered_minor": 100,
    }  # fmt: skip
    order = rules.do("order.place", by="Vera", at=STATION, **body)
    assert rules.row("orders", order)["flags"] == ["cash-differs"]


@pytest.mark.parametrize(
    ("kind", "version"), [("nobody.knows", 1), ("box.close", 2), ("chain.reopen", 1)]
)
@pytest.mark.feature("SY-05", "SY-12")
def test_kind_without_a_row_is_refused(kind: str, version: int) -> None:
    """Unknown kinds and versions are refused with a reason, whoever signs them."""
    rules = Rules()
    act = op(kind, {}, version=version)
    context = Context(act, rules.people["Ada"], True, True, 1, 0, 0)
    with pytest.raises(Refused, match="unknown-kind"):
        rules.cafe.decide(rules.view, act, context)


@pytest.mark.feature("SY-05")
def test_refusal_is_there_for_a_person_to_find() -> None:
    """With what it was about, if that can be said."""
    _, view = empty()
    act = op("order.place", {}, chain=STATION)
    view.fold(Entry(1, 5, 0, act.raw, False, ["no-grant", {"x": 1}], {}), act)
    note = {"chain": STATION + b"epoch000", "n": 2}
    view.fold(Entry(2, 6, 0, b"\xc1", False, ["not-msgpack", {}], note), None)
    rows = [dict(row) for row in view.table("refusals")]
    assert [(r["code"], r["kind"], r["node"]) for r in rows] == [
        ("no-grant", "order.place", STATION.hex()),
        ("not-msgpack", "", ""),
    ]
    body = {"keys": [[act.key, [[1, act.chain, 1]]]]}
    erased = op("canon.erased", body)
    view.fold(Entry(3, 7, 0, erased.raw, True, [], {}), erased)
    assert [row["code"] for row in view.table("refusals")] == ["not-msgpack"]


@pytest.mark.feature("SE-03")
def test_keys_of_strangers_are_nobodys() -> None:
    """Only who is enrolled has a key that counts."""
    cafe, view = empty()
    assert cafe.node_key(view, b"n" * 16) is None
    assert not cafe.operator_keys(view, b"o" * 16)
    rules = Rules()
    assert rules.cafe.node_key(rules.view, STATION) == STATION_KEY.public


@pytest.mark.feature("BX-01")
def test_there_is_no_closing_and_no_selling_before_a_café_has_a_box() -> None:
    """Both say so."""
    cafe, view = empty()
    close = op("box.close", {})
    with pytest.raises(Refused, match="no-grant"):
        cafe.decide(view, close, Context(close, None, True, True, 1, 0, 0))
    public = Ed25519Signer.generate().public.hex()
    added = {"operator": "0a" * 16, "name": "Ada", "role": "administrator", "public_key": public}
    fold(view, ["operator.added", 1, added])
    ada = bytes.fromhex("0a" * 16)
    with pytest.raises(Refused, match="no-open-box"):
        cafe.decide(view, close, Context(close, ada, True, True, 1, 0, 0))
    placed = {
        "order": "0c", "label": "S1-1", "station": "", "operator": "0a", "mode": 2, "lines": [],
        "total_minor": 0, "taken_ms": 1, "at_ms": 1, "box": 0, "state": "pending", "flags": [],
        "cash_minor": None,
    }  # fmt: skip
    fold(view, ["order.placed", 1, placed])
    collect = op("order.collect", {"order": "0c"})
    with pytest.raises(Refused, match="no-open-box"):
        cafe.decide(view, collect, Context(collect, ada, True, True, 5, 0, 0))


def test_café_is_made_at_its_server_and_once() -> None:
    """A station cannot make one, and nobody can make it again."""
    rules = Rules()
    fields = {"name": "T", "currency": "EUR", "language": "en", "cafe_key": "00" * 32}
    with pytest.raises(Refused, match="already-created"):
        rules.do("cafe.create", **fields)
    with pytest.raises(Refused, match="server-only"):
        rules.do("cafe.create", at=STATION, **fields)


def test_first_operator_is_an_administrator() -> None:
    """Otherwise nobody could ever add another."""
    cafe, view = empty()
    public = Ed25519Signer.generate().public.hex()
    body = {"name": "V", "role": "vendor", "public_key": public, "sealed_key": "00"}
    add = op("operator.add", body)
    with pytest.raises(Refused, match="first-is-administrator"):
        cafe.decide(view, add, Context(add, None, True, True, 1, 0, 0))


@pytest.mark.feature("SE-03")
def test_station_with_a_weak_key_is_not_enrolled() -> None:
    """The neutral element signs anything."""
    with pytest.raises(Refused, match="bad-key"):
        Rules().do(
            "station.enrol", by="Ada", name="x", public_key="01" + "00" * 31, certificate="00"
        )


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "no total": ({"total_minor": None}, "bad-field"),
    "no price": ({"lines": [{"sku": "COFFEE", "quantity": 1}]}, "bad-field"),
    "desk mode at a station": ({"mode": 0}, "bad-mode"),
    "more than any ticket": (
        {"lines": [{"sku": "COFFEE", "quantity": 10**6, "price_minor": 10**9}] * 9},
        "out-of-range",
    ),
    "a quantity beyond 64 bits": (
        {"lines": [{"sku": "COFFEE", "quantity": 2**70, "price_minor": 1}]},
        "out-of-range",
    ),
    "a product nobody has": (
        {"lines": [{"sku": "NONE", "quantity": 1, "price_minor": 1}], "total_minor": 1},
        "unknown-product",
    ),
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.feature("SE-09")
def test_order_that_no_screen_of_ours_makes_is_refused(name: str) -> None:
    """Whoever signs it."""
    rules = Rules(mode=2)
    changes, code = FORGED[name]
    body = {
        "lines": [{"sku": "COFFEE", "quantity": 1, "price_minor": 200}],
        "total_minor": 200, "mode": 2, **changes,
    }  # fmt: skip
    kind = KINDS["order.place"]
    context = Context(
        op("order.place", {}, chain=STATION), rules.people["Vera"], True, False, 9, 0, 0
    )
    with pytest.raises(Refused) as refusal:
        acting = rules.cafe._acting(rules.view, kind, context.op, context)
        kind.decide(rules.view, read_command(kind, body), acting)
    assert refusal.value.code == code


def test_products_of_an_order_are_known_where_it_is_made() -> None:
    """A basket with a product that was taken out says which one."""
    with pytest.raises(Refused, match="unknown-product"):
        Rules().order(lines={"NONE": 1})


def test_catalogue_imported_again_leaves_prices_and_places_alone() -> None:
    """The same price is no news."""
    rules = Rules()
    before = rules.row("products", "COFFEE")
    rules.products(COFFEE=200)
    after = rules.row("products", "COFFEE")
    assert (after["prices"], after["order"]) == (before["prices"], before["order"])


def test_texts_are_looked_at_wherever_they_stand() -> None:
    """Maps, lists and numbers within a body are walked too."""
    good = {"sku": "A", "name": "x", "price_minor": 1, "tax_bp": 0}
    rules = Rules()
    rules.do("catalog.import", by="Ada", products=[good])
    with pytest.raises(Refused, match="bad-text"):
        rules.do("catalog.import", by="Ada", products=[good, {**good, "name": "x\u202ey"}])
    rules.do("operator.edit", by="Ada", operator="Vera", granted=["box.close"], enabled=True)
    with pytest.raises(Refused, match="unknown-permission"):
        rules.do("operator.edit", by="Ada", operator="Vera", granted=["fly"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"order": 1}, "bad-type"),
        ({"order": "0c", "tendered_minor": 2**70}, "out-of-range"),
        ({"order": "0c", "tendered_minor": -1}, "out-of-range"),
        ({"order": "0c", "more": 1}, "bad-field"),
        ({}, "bad-field"),
        ({"order": "no hex"}, "bad-text"),
        ({"order": "0c", "tendered_minor": [1]}, "bad-type"),
    ],
)
@pytest.mark.feature("SE-09")
def test_field_at_fault_has_a_code(body: dict[str, Any], code: str) -> None:
    """One of four, from which a sentence for a person is made."""
    with pytest.raises(Refused) as refusal:
        read_command(KINDS["order.collect"], body)
    assert refusal.value.code == code


def test_administrator_may_do_everything_but_disappear() -> None:
    """The last one keeps the right to add another, also where others are there without it."""
    rules = Rules()
    rules.do("operator.edit", by="Ada", operator="Ada", denied=["box.close"])
    with pytest.raises(Refused, match="last-administrator"):
        rules.do("operator.edit", by="Ada", operator="Ada", enabled=False)
    rules.add("Eve", "administrator")
    rules.do("operator.edit", by="Ada", operator="Ada", enabled=False)


def test_station_is_enrolled_and_revoked_once() -> None:
    """A second time is told, not done."""
    rules = Rules()
    with pytest.raises(Refused, match="already-enrolled"):
        rules.do(
            "station.enrol", by="Ada", name="x", public_key=STATION_KEY.public.hex(),
            certificate="00",
        )  # fmt: skip
    with pytest.raises(Refused, match="unknown-station"):
        rules.do("station.revoke", by="Ada", station="ff" * 16)


def test_incident_is_noted_by_the_server_itself() -> None:
    """With what is known of it."""
    rules = Rules()
    rules.do("incident.note", code="unpinned", node="", count=3)
    rules.do("incident.note", code="gap", node="0b", what="x", count=1)
    assert [(r["code"], r["count"]) for r in rules.view.table("incidents")] == [
        ("unpinned", 3), ("gap", 1),
    ]  # fmt: skip


def test_z_shown_before_the_close_is_the_z_of_the_close() -> None:
    """The preview is made of the same fields by the same rule."""
    from node.cafe.box import preview_of

    rules = Rules(mode=1)
    rules.order()
    ada = rules.people["Ada"].hex()
    shown = preview_of(rules.view, {"leave_minor": 50}, rules.wall_ms, ada)
    rules.do("box.close", by="Ada", leave_minor=50)
    assert rules.row("boxes", "1")["z"] == shown
