"""The shop: catalogue, stock, discounts, prints to be paid later, methods of payment, refunds."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cafe import (
    box,
    catalog,
    discounts,
    exceptions,
    jobs,
    money,
    operators,
    orders,
    receipts,
    records,
    refunds,
    stock,
)
from node.cafe import settings as cafe_settings
from node.cafe.house import KINDS, Cafe
from sync.errors import Refused
from sync.identity import Ed25519Signer, node_id, verify_ed25519
from sync.view import View
from tests.support.cafe import SERVER, STATION, Rules

OTHER_KEY = Ed25519Signer(b"9" * 32)
OTHER = node_id(OTHER_KEY.public)


@pytest.fixture
def rules() -> Rules:
    return Rules(mode=1)


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=f"^{code}")


def product(rules: Rules, sku: str, price: int = 100, **more: Any) -> None:
    fields = {"sku": sku, "name": sku.title(), "price_minor": price, **more}
    rules.do("catalog.import", by="Ada", products=[fields])


def codes(rules: Rules) -> list[str]:
    return [str(row["code"]) for row in rules.view.table("exceptions")]


def two_stations(mode: int = 1) -> Rules:
    rules = Rules(mode=mode)
    public = OTHER_KEY.public.hex()
    rules.do("station.enrol", by="Ada", name="Bar", public_key=public, certificate="00")
    return rules


# --- catalogue ---------------------------------------------------------------


@pytest.mark.feature("RP-09", "SY-02")
def test_product_is_made_and_edited_at_a_station(rules: Rules) -> None:
    """A vendor's product sells at once; each edit says which version it saw."""
    new = {"sku": "TEA", "name": "Tea", "price_minor": 120}
    rules.do("product.add", by="Vera", at=STATION, product=new)
    changes = {"price_minor": [1, 130], "category": [1, "Drinks"]}
    rules.do("product.edit", by="Vera", at=STATION, sku="TEA", changes=changes)
    row = rules.row("products", "TEA")
    assert (row["price_minor"], row["category"], row["active"]) == (130, "Drinks", True)
    assert [price for _, price, _ in row["prices"]] == [120, 130]
    assert rules.row("orders", rules.order(lines={"TEA": 2}))["total_minor"] == 260
    with refused("already-exists"):
        rules.do("product.add", by="Ada", product=new)
    with refused("unknown-product"):
        rules.do("product.edit", by="Ada", sku="GHOST", changes={"name": [1, "x"]})
    for changes in ({}, {"name": [1, None]}, {"colour": [1, "red"]}, {"price_minor": [1, -1]}):
        with pytest.raises(Refused):
            rules.do("product.edit", by="Ada", sku="TEA", changes=changes)


@pytest.mark.feature("RP-09")
def test_own_price_of_an_offline_station_is_right_for_its_own_orders() -> None:
    """What a station changed itself it saw at once, whatever its base was; others did not."""
    rules = two_stations()
    base = rules.view.cursor
    changes = {"price_minor": [1, 250]}
    rules.do("product.edit", by="Vera", at=STATION, sku="COFFEE", changes=changes, base=base)
    own = rules.order(base=base)
    assert (rules.state(own), rules.row("orders", own)["flags"]) == ("collected", [])
    line = {"sku": "COFFEE", "quantity": 1, "price_minor": 250}
    body = {"lines": [line], "total_minor": 250, "mode": 1, "label": "S2-1", "box": 1}
    other = rules.do("order.place", by="Vera", at=OTHER, base=base, **body)
    assert rules.row("orders", other)["flags"] == ["price-differs"]


@pytest.mark.feature("RP-09", "SY-02")
def test_second_edit_of_one_field_is_an_exception_that_a_person_resolves(rules: Rules) -> None:
    """Both values and both authors are kept; one click takes the second."""
    rules.do("product.edit", by="Vera", at=STATION, sku="CAKE", changes={"price_minor": [1, 400]})
    second = {"price_minor": [1, 420], "barcode": [1, "777"]}
    rules.do("product.edit", by="Carl", sku="CAKE", changes=second)
    row = rules.row("products", "CAKE")
    assert (row["price_minor"], row["barcode"]) == (400, "777")
    (found,) = exceptions.unresolved(rules.view)
    details = found["details"]
    assert found["code"] == "edit-conflict"
    assert (details["kept"], details["other"]) == (400, 420)
    assert details["kept_by"] == rules.people["Vera"].hex()
    assert details["other_by"] == rules.people["Carl"].hex()
    with refused("bad-field"):
        rules.do("exception.resolve", by="Carl", exception=1)
    with refused("unknown-exception"):
        rules.do("exception.resolve", by="Carl", exception=9)
    rules.do("exception.resolve", by="Carl", exception=1, resolution="take", reason="newer")
    assert rules.row("products", "CAKE")["price_minor"] == 420
    assert exceptions.unresolved(rules.view) == []
    with refused("bad-state"):
        rules.do("exception.resolve", by="Carl", exception=1, resolution="keep")


@pytest.mark.feature("RP-09")
def test_two_that_are_called_the_same_are_told_of() -> None:
    """The same code gets another one, the same name or barcode stays; a person looks at each."""
    rules = two_stations()
    new = {"sku": "TEA", "name": "Tea", "price_minor": 120, "barcode": "55"}
    rules.do("product.add", by="Vera", at=STATION, product=new)
    rules.do("product.add", by="Vera", at=OTHER, product={**new, "price_minor": 130})
    assert rules.row("products", "TEA.2")["price_minor"] == 130
    assert codes(rules) == ["duplicate-sku", "duplicate-name", "duplicate-barcode"]
    rules.do("exception.resolve", by="Carl", exception=1)
    assert len(exceptions.unresolved(rules.view)) == 2


def test_product_that_is_off_sale_is_not_filled_in(rules: Rules) -> None:
    """Its orders of before are as they were; nobody sells it by mistake."""
    rules.do("product.edit", by="Ada", sku="CAKE", changes={"active": [1, False]})
    with refused("not-for-sale"):
        rules.order(lines={"CAKE": 1})


@pytest.mark.feature("RP-06")
def test_open_price_is_typed_at_the_sale(rules: Rules) -> None:
    """A service with an open price has the price of its line, and says what it was for."""
    product(rules, "REPAIR", 0, kind="service", open_price=True)
    with refused("price-needed"):
        rules.order(lines={"REPAIR": 1})
    line = {"sku": "REPAIR", "quantity": 1, "price_minor": 2500, "note": "Laptop"}
    body = {"lines": [line], "total_minor": 2500, "mode": 1, "label": "S1-1", "box": 1}
    order = rules.do("order.place", by="Vera", at=STATION, **body)
    row = rules.row("orders", order)
    assert (row["state"], row["flags"], row["total_minor"]) == ("collected", [], 2500)
    assert row["lines"][0]["note"] == "Laptop"


@pytest.mark.feature("CF-04")
def test_catalogue_goes_out_as_it_came_in(rules: Rules) -> None:
    """CSV both ways: what is written reads back to the same rows."""
    text = (
        "sku,name,price,barcode,category,cost,tax_percent,icon,kind,minimum_stock,stock,points,"
        "open_price\n"
        'A,"Café, negro",1.50,111,Bebidas,0.40,10,coffee,product,5,12,3,\n'
        "B,Reparar,0.00,,,0.00,21.5,,service,1,,0,yes\n"
    )
    products, bad = catalog.read_csv(text, "EUR")
    assert bad == []
    rules.do("catalog.import", by="Ada", products=products, stock=catalog.read_stock(text))
    written = catalog.write_csv(rules.view, "EUR")
    again, bad = catalog.read_csv(written, "EUR")
    assert bad == []
    assert {p["sku"]: p for p in again} == {
        **{p["sku"]: p for p in products},
        **{p["sku"]: p for p in again if p["sku"] in ("COFFEE", "CAKE")},
    }
    assert catalog.read_stock(written) == {"A": 12}
    assert "12" in catalog.write_csv(rules.view, "JPY")


def test_import_opens_the_stock_of_what_was_not_counted_only(rules: Rules) -> None:
    """A second import of the same file does not undo what was sold since."""
    rows = [{"sku": "BEER", "name": "Beer", "price_minor": 100}]
    rules.do("catalog.import", by="Ada", products=rows, stock={"BEER": 10})
    rules.order(lines={"BEER": 4})
    rules.do("catalog.import", by="Ada", products=rows, stock={"BEER": 10})
    assert rules.row("stock", "BEER") == {"on_hand": 6, "held": 0}
    with refused("no-stock"):
        rules.do("catalog.import", by="Ada", products=rows, stock={"WINE": 10})


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("A,a,1,product,-1", "bad-value"),
        ("A,a,1,service,5", "no-stock"),
        ("A,a,1,product,x", "bad-number"),
        ("A,a,1,thing,", "bad-value"),
    ],
)
def test_bad_line_of_a_csv_is_told(row: str, code: str) -> None:
    """Each with its line and why; nothing is imported."""
    _, bad = catalog.read_csv(f"sku,name,price,kind,stock\n{row}\n", "EUR")
    assert [(one.line, one.code) for one in bad] == [(2, code)]


# --- stock -------------------------------------------------------------------


@pytest.mark.feature("RP-10", "RP-05")
def test_stock_moves_with_a_reason_and_warns_when_low(rules: Rules) -> None:
    """In, out, sold; an entry may set a new cost; below the minimum it is listed."""
    product(rules, "BEER", minimum=3)
    move = {"sku": "BEER", "direction": "in", "units": 10, "reason": "Delivery"}
    rules.do("stock.move", by="Vera", at=STATION, **move, cost_minor=60)
    assert rules.row("products", "BEER")["cost_minor"] == 60
    rules.do("stock.move", by="Vera", at=STATION, **{**move, "direction": "out", "units": 2})
    rules.order(lines={"BEER": 4})
    assert (rules.available("BEER"), rules.low_stock()) == (4, [])
    rules.order(lines={"BEER": 1})
    assert rules.low_stock() == [("BEER", 3, 3)]
    rules.do("product.edit", by="Ada", sku="BEER", changes={"active": [1, False]})
    assert rules.low_stock() == []
    product(rules, "HOUR", kind="service")
    for changes, code in (
        ({"sku": "GHOST"}, "unknown-product"),
        ({"sku": "HOUR"}, "no-stock"),
        ({"reason": " "}, "reason-needed"),
        ({"units": 0}, "out-of-range"),
        ({"direction": "out", "cost_minor": 5}, "bad-field"),
    ):
        with refused(code):
            rules.do("stock.move", by="Vera", at=STATION, **{**move, **changes})


@pytest.mark.feature("RP-10", "RP-21")
def test_denied_withdrawn_and_expired_orders_give_back_what_they_held() -> None:
    """A hold is released by whatever ends the order, and sold by its collection."""
    rules = Rules(mode=2)
    product(rules, "BEER")
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=10, reason="x")
    made = [rules.order(lines={"BEER": 2}) for _ in range(4)]
    assert rules.available("BEER") == 2
    rules.do("order.deny", by="Carl", order=made[0], reason="no")
    rules.do("order.withdraw", by="Vera", at=STATION, order=made[1])
    rules.do("settings.edit", by="Ada", order_expiry_s=60)
    with refused("too-early"):
        rules.do("order.expire", order=made[2])
    assert orders.overdue(rules.view, rules.wall_ms) == []
    rules.wall_ms += 60_000
    assert orders.overdue(rules.view, rules.wall_ms) == made[2:]
    rules.do("order.expire", order=made[2])
    rules.do("order.collect", by="Carl", order=made[3])
    assert rules.row("stock", "BEER") == {"on_hand": 8, "held": 0}
    assert [rules.state(order) for order in made] == ["denied", "withdrawn", "expired", "collected"]
    rules.do("settings.edit", by="Ada", order_expiry_s=0)
    assert orders.overdue(rules.view, 1 << 50) == []


@pytest.mark.feature("RP-10", "RP-25")
def test_sale_beyond_the_shelf_is_taken_and_a_person_told(rules: Rules) -> None:
    """Stock goes below zero; the order is flagged and the deficit is an exception."""
    product(rules, "BEER")
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=1, reason="x")
    order = rules.order(lines={"BEER": 3})
    assert rules.row("orders", order)["flags"] == ["oversold"]
    (found,) = exceptions.unresolved(rules.view)
    assert (found["code"], found["details"]) == ("oversold", {"sku": "BEER", "deficit": 2})
    rules = Rules(mode=2)
    product(rules, "BEER")
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=1, reason="x")
    order = rules.order(lines={"BEER": 3})
    assert rules.row("orders", order)["flags"] == ["short"]
    rules.do("order.collect", by="Carl", order=order)
    assert codes(rules) == ["oversold"]


@pytest.mark.feature("RP-30")
def test_count_becomes_corrections_and_a_report(rules: Rules) -> None:
    """Counted amounts are what there is from then on; the differences stay listed with their cost."""
    product(rules, "BEER", cost_minor=60)
    product(rules, "WINE")
    product(rules, "HOUR", kind="service")
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=10, reason="x")
    lines = [{"sku": "BEER", "units": 8}, {"sku": "WINE", "units": 5}]
    rules.do("stock.count", by="Ada", lines=lines, reason="Year's end")
    assert [rules.row("stock", sku)["on_hand"] for sku in ("BEER", "WINE")] == [8, 5]
    assert rules.row("counts", "1")["lines"] == [["BEER", 10, 8, 60], ["WINE", 0, 5, 0]]
    for wrong, code in (
        ([{"sku": "GHOST", "units": 1}], "unknown-product"),
        ([{"sku": "HOUR", "units": 1}], "no-stock"),
        ([lines[0], lines[0]], "repeated"),
    ):
        with refused(code):
            rules.do("stock.count", by="Ada", lines=wrong, reason="x")
    with refused("reason-needed"):
        rules.do("stock.count", by="Ada", lines=lines, reason=" ")
    with refused("no-permission"):
        rules.do("stock.count", by="Carl", lines=lines, reason="x")


def test_set_aside_order_holds_nothing_until_it_is_accepted() -> None:
    """It is in no sum; once a person counts it, it is promised as any other."""
    rules = Rules(mode=2)
    product(rules, "BEER")
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=5, reason="x")
    order = rules.order(lines={"BEER": 2}, total_minor=1)
    assert rules.row("stock", "BEER")["held"] == 0
    rules.do("order.accept", by="Carl", order=order, reason="fine")
    assert rules.row("stock", "BEER")["held"] == 2
    assert stock.available(rules.row("stock", "BEER")) == 3


# --- discounts ---------------------------------------------------------------


@pytest.mark.feature("RP-08")
def test_discount_stands_on_ticket_box_and_line(rules: Rules) -> None:
    """Percent on a line, fixed on the ticket; itemised everywhere; the sum never below zero."""
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    rules.do(
        "discount.add", by="Vera", at=STATION, discount="OFF", name="Off", form="fixed", value=50
    )
    lines = [
        {"sku": "COFFEE", "quantity": 2, "discounts": [{"discount": "TEN"}]},
        {"sku": "CAKE", "quantity": 1},
    ]
    order = rules.order(full_lines=lines, discounts=[{"discount": "OFF"}])
    row = rules.row("orders", order)
    assert (row["total_minor"], row["flags"], row["state"]) == (660, [], "collected")
    assert row["off"] == [["TEN", 40], ["OFF", 50]]
    assert sum(line["amount_minor"] for line in row["lines"]) == 660
    now = rules.box(1)
    assert (now["off_minor"], now["discounts"]) == (90, {"TEN": [1, 40], "OFF": [1, 50]})
    ticket = receipts.ticket(rules.view, "t-1")
    assert ticket["off"] == [["Ten", 40], ["Off", 50]]
    assert receipts.discount_name(rules.view, "GONE") == "GONE"


@pytest.mark.feature("RP-08", "SE-04")
def test_discount_that_the_cafe_does_not_give_is_seen_at_the_server(rules: Rules) -> None:
    """A forged value sets the order aside; the value of its time does not; prints have none."""
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    base = rules.view.cursor
    rules.do("discount.edit", by="Ada", discount="TEN", changes={"value": [1, 500]})
    held = [{"discount": "TEN", "form": "percent", "value": 1000}]
    assert rules.state(rules.order(discounts=held, base=base)) == "collected"
    forged = rules.order(discounts=held)
    assert rules.row("orders", forged)["flags"] == ["price-differs"]
    ghost = [{"discount": "GHOST", "form": "fixed", "value": 50}]
    assert rules.state(rules.order(discounts=ghost)) == "set_aside"
    bare = [{"discount": "TEN"}]
    body = {"total_minor": 200, "mode": 1, "label": "S1-9", "box": 1}
    line = {"sku": "COFFEE", "quantity": 1, "price_minor": 200}
    with refused("bad-field"):
        rules.do("order.place", by="Vera", at=STATION, lines=[line], discounts=bare, **body)
    product(rules, "PAGE", 10, kind="print")
    with refused("not-discountable"):
        rules.order(full_lines=[{"sku": "PAGE", "quantity": 3, "discounts": bare}])
    with refused("not-discountable"):
        rules.order(lines={"PAGE": 1}, discounts=bare)


def test_discounts_are_edited_by_version_and_checked(rules: Rules) -> None:
    """Over 100 percent there is none; who saw an old version makes an exception."""
    with refused("out-of-range"):
        rules.do("discount.add", by="Ada", discount="X", name="X", form="percent", value=10_001)
    rules.do("discount.add", by="Ada", discount="X", name="X", form="fixed", value=20_000)
    with refused("already-exists"):
        rules.do("discount.add", by="Ada", discount="X", name="X", form="fixed", value=1)
    with refused("out-of-range"):
        rules.do("discount.edit", by="Ada", discount="X", changes={"form": [1, "percent"]})
    with refused("unknown-discount"):
        rules.do("discount.edit", by="Ada", discount="Y", changes={"name": [1, "Z"]})
    rules.do("discount.edit", by="Ada", discount="X", changes={"name": [1, "Y"]})
    rules.do("discount.edit", by="Ada", discount="X", changes={"name": [1, "Z"]})
    assert codes(rules) == ["edit-conflict"]
    rules.do("discount.edit", by="Ada", discount="X", changes={"active": [1, False]})
    with refused("unknown-discount"):
        rules.order(discounts=[{"discount": "X"}])
    assert discounts.in_force(rules.row("discounts", "X"), 0, "") is None
    with refused("out-of-range"):
        discounts.price([("product", 100, [("X", "percent", 0)])], [])


@pytest.mark.feature("RP-08", "RP-20", "SE-05")
def test_right_to_give_discounts_is_that_of_its_time(rules: Rules) -> None:
    """Gone since, but known within 72 hours: it counts and says so. Older: a person decides."""
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    base = rules.view.cursor
    rules.do("operator.edit", by="Ada", operator="Vera", denied=["discount.apply"])
    given_ = [{"discount": "TEN"}]
    late = rules.order(discounts=given_, base=base, unseen_s=72 * 3600)
    assert (rules.state(late), rules.row("orders", late)["flags"]) == ("collected", ["right-lost"])
    rules.do("settings.edit", by="Ada", offline_s=0)
    old = rules.order(discounts=given_, base=base, unseen_s=72 * 3600 + 1)
    assert rules.row("orders", old)["flags"] == ["right-lost"]
    assert rules.state(old) == "set_aside"
    rules.do("operator.edit", by="Ada", operator="Vera", denied=[])
    assert rules.state(rules.order(discounts=given_)) == "collected"
    now_denied = {"operator": "Carl", "denied": ["discount.apply"]}
    rules.do("operator.edit", by="Ada", **now_denied)
    with refused("no-permission"):
        rules.order(at=SERVER, by="Carl", discounts=given_)


cuts = st.tuples(st.just("d"), st.sampled_from(["percent", "fixed"]), st.integers(1, 10_000))


@given(
    st.lists(
        st.tuples(st.sampled_from(["product", "service", "print"]), st.integers(0, 10**6)),
        min_size=1,
        max_size=8,
    ),
    st.lists(cuts, max_size=3),
)
@pytest.mark.feature("RP-08")
def test_discounts_take_what_they_say_and_never_more(
    lines: list[tuple[str, int]], on_ticket: list[discounts.Cut]
) -> None:
    """Off and left add up, no line is below zero, and prints keep their price."""
    gross = [(kind, amount, ()) for kind, amount in lines]
    if on_ticket and all(kind == "print" for kind, _ in lines):
        with refused("not-discountable"):
            discounts.price(gross, on_ticket)
        return
    priced = discounts.price(gross, on_ticket)
    assert priced.total + priced.off_minor == sum(amount for _, amount in lines)
    for (kind, amount), left in zip(lines, priced.amounts, strict=True):
        assert 0 <= left <= amount
        assert kind != "print" or left == amount


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_shares_sum_to_the_whole(amount: int, weights: list[int]) -> None:
    """Nothing is lost in spreading; no part is more than one off its exact share."""
    parts = money.shares(amount, weights)
    total = sum(weights)
    assert sum(parts) == (amount if total else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert not total or abs(part * total - amount * weight) < total


# --- prints to be paid later -------------------------------------------------


def pages(rules: Rules, **more: Any) -> str:
    product(rules, "PAGE", 15, kind="print")
    job = {"sku": "PAGE", "units": 7, "copies": 2, "price_minor": 15, "note": "PC 3", **more}
    return rules.do("job.park", by="Vera", at=STATION, **job)


@pytest.mark.feature("RP-11")
def test_print_is_parked_and_paid_later_at_its_price_of_then(rules: Rules) -> None:
    """Its price is fixed when it is made; the order that pays it bears it as a line."""
    job = pages(rules)
    assert rules.row("jobs", job)["amount_minor"] == 210
    product(rules, "PAGE", 99, kind="print")
    order = rules.order(full_lines=[{"sku": "X", "quantity": 1, "job": job}])
    row = rules.row("orders", order)
    assert (row["total_minor"], row["flags"]) == (210, [])
    assert row["lines"][0]["quantity"] == 14
    assert (rules.row("jobs", job)["state"], rules.row("jobs", job)["order"]) == ("paid", order)
    with refused("bad-state"):
        rules.order(full_lines=[{"sku": "X", "quantity": 1, "job": job}])
    with refused("unknown-job"):
        rules.order(full_lines=[{"sku": "X", "quantity": 1, "job": "00"}])
    with refused("bad-state"):
        rules.do("job.cancel", by="Ada", job=job, reason="jam")


@pytest.mark.feature("RP-11", "RP-25")
def test_print_that_is_paid_twice_counts_and_is_told() -> None:
    """Two stations took the money: both are in their tills, one must go back."""
    rules = two_stations()
    job = pages(rules)
    line = {"sku": "PAGE", "quantity": 7, "copies": 2, "price_minor": 15, "job": job}
    body = {"lines": [line], "total_minor": 210, "mode": 1, "label": "S", "box": 1}
    base = rules.view.cursor
    first = rules.do("order.place", by="Vera", at=STATION, base=base, **body)
    second = rules.do("order.place", by="Vera", at=OTHER, base=base, **body)
    assert [rules.state(order) for order in (first, second)] == ["collected"] * 2
    (found,) = exceptions.unresolved(rules.view)
    assert (found["code"], found["ref"], found["details"]["first"]) == (
        "already-paid",
        second,
        first,
    )
    assert rules.box(1)["total_minor"] == 420


@pytest.mark.feature("RP-11", "BX-01", "OP-02")
def test_pending_prints_stop_the_close_of_who_may_not_leave_them(rules: Rules) -> None:
    """A cashier takes the money or asks; who may close with them does, and they wait on."""
    job = pages(rules)
    with refused("pendings") as caught:
        rules.do("box.close", by="Carl")
    assert caught.value.details == {"count": 1}
    rules.do("box.close", by="Ada")
    assert rules.row("boxes", "1")["z"]["pending_jobs"] == 1
    assert [str(row.doc_id) for row in jobs.pending(rules.view)] == [job]
    with refused("reason-needed"):
        rules.do("job.cancel", by="Ada", job=job, reason=" ")
    with refused("unknown-job"):
        rules.do("job.cancel", by="Ada", job="00", reason="x")
    rules.do("job.cancel", by="Ada", job=job, reason="jam")
    assert rules.row("jobs", job)["state"] == "cancelled"
    rules.do("box.close", by="Carl")


def test_price_of_prints_goes_up_to_the_cafes_step(rules: Rules) -> None:
    """7 × 15 with a step of 50 is 150; what is no print, or has no price, is refused."""
    rules.do("settings.edit", by="Ada", print_step_minor=50)
    job = pages(rules, copies=1)
    assert rules.row("jobs", job)["amount_minor"] == 150
    assert rules.row("orders", rules.order(lines={"PAGE": 7}))["total_minor"] == 150
    for changes, code in (
        ({"sku": "GHOST"}, "unknown-product"),
        ({"sku": "COFFEE"}, "no-job"),
        ({"price_minor": 14}, "price-differs"),
        ({"units": -1}, "out-of-range"),
    ):
        with refused(code):
            pages(rules, **changes)
    product(rules, "POSTER", 10**9, kind="print")
    with refused("out-of-range"):
        huge = {"sku": "POSTER", "units": 10**6, "copies": 10**6, "price_minor": 10**9}
        rules.do("job.park", by="Vera", at=STATION, **huge)
    base = rules.view.cursor
    rules.do("settings.edit", by="Ada", print_step_minor=1000)
    line = {"sku": "PAGE", "quantity": 7, "price_minor": 15}
    body = {"lines": [line], "total_minor": 150, "mode": 1, "label": "S", "box": 1}
    late = rules.do("order.place", by="Vera", at=STATION, base=base, **body)
    assert rules.state(late) == "collected", "by the step of its time"
    with refused("bad-field"):
        rules.do("job.park", by="Vera", at=STATION, sku="PAGE", units=1)
    filled = jobs.fill(rules.view, jobs.ParkJob(sku="PAGE", units=1))
    assert filled.price_minor == 15
    assert jobs.fill(rules.view, filled) is filled
    ghost = jobs.ParkJob(sku="GHOST", units=1)
    assert jobs.fill(rules.view, ghost) is ghost


# --- methods of payment ------------------------------------------------------


def with_card(mode: int = 1) -> Rules:
    rules = Rules(mode=mode)
    methods = [{"method": "card", "name": "Card"}, {"method": "sinpe", "name": "SINPE"}]
    rules.do("settings.edit", by="Ada", methods=methods)
    return rules


@pytest.mark.feature("RP-28")
def test_owners_methods_never_enter_the_drawer_and_are_declared_apart() -> None:
    """Card and cash on one ticket: the till expects the cash alone; slips are declared on their own."""
    rules = with_card()
    rules.order(payments=[{"method": "card", "amount_minor": 150}])
    desk = rules.order(at=SERVER, by="Carl", payments=[{"method": "card", "amount_minor": 200}])
    assert rules.row("orders", desk)["cash_minor"] == 0
    till = f"{rules.people['Vera'].hex()}/{STATION.hex()}"
    assert rules.box(1)["tills"][till]["cash"] == 50
    declared = [{"method": "card", "declared_minor": 340}]
    for wrong in ("cash", "credit", "other"):
        with refused("unknown-method"):
            rules.do("box.close", by="Carl", methods=[{"method": wrong, "declared_minor": 1}])
    rules.do("box.close", by="Carl", methods=declared)
    z = rules.row("boxes", "1")["z"]
    card = next(one for one in z["methods"] if one["method"] == "card")
    assert (card["net_minor"], card["declared_minor"], card["difference_minor"]) == (350, 340, -10)
    assert z["expected_minor"] == 50
    ticket = receipts.ticket(rules.view, "t-1")
    assert ticket["payments"] == [["card", "Card", 150]]


@pytest.mark.feature("RP-28")
def test_method_that_is_not_the_cafes_is_refused_or_doubted() -> None:
    """At the desk it is refused; what a vendor has taken already waits for a person."""
    rules = with_card()
    for payments, code in (
        ([{"method": "gold", "amount_minor": 1}], "unknown-method"),
        ([{"method": "card", "amount_minor": 1}] * 2, "unknown-method"),
        ([{"method": "card", "amount_minor": 201}], "out-of-range"),
    ):
        with refused(code):
            rules.order(at=SERVER, by="Carl", payments=payments, cash_minor=0)
        order = rules.order(payments=payments, cash_minor=0)
        assert rules.state(order) == "set_aside"
    for methods in ([{"method": "cash", "name": "x"}], [{"method": "a", "name": "x"}] * 2):
        with refused("repeated"):
            rules.do("settings.edit", by="Ada", methods=methods)


@pytest.mark.feature("RP-28", "RP-19")
def test_order_that_waits_is_paid_as_the_operator_takes_it() -> None:
    """The vendor's note of the method counts unless the operator takes the money another way."""
    rules = with_card(mode=2)
    card = [{"method": "card", "amount_minor": 200}]
    noted, other = (rules.order(payments=card) for _ in range(2))
    rules.do("order.collect", by="Carl", order=noted)
    rules.do("order.collect", by="Carl", order=other, payments=[], tendered_minor=500)
    assert rules.row("orders", noted)["cash_minor"] == 0
    assert rules.row("orders", other)["change_minor"] == 300
    third = rules.order()
    for payments, code in (
        ([{"method": "gold", "amount_minor": 1}], "unknown-method"),
        ([{"method": "card", "amount_minor": 201}], "out-of-range"),
    ):
        with refused(code):
            rules.do("order.collect", by="Carl", order=third, payments=payments)
    assert rules.box(1)["mode2_cash"] == 200


# --- refunds -----------------------------------------------------------------


@pytest.mark.feature("BX-08")
def test_refund_in_parts_sums_to_the_whole(rules: Rules) -> None:
    """Units, amounts and the rest: what went back is the sale, to the cent, and the shelf has it."""
    product(rules, "BEER", 333, tax_bp=2100)
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=9, reason="x")
    order = rules.order(lines={"BEER": 3, "CAKE": 1})
    total = rules.row("orders", order)["total_minor"]
    back = {"order": order, "reason": "cold"}
    rules.do("sale.refund", by="Ada", **back, lines=[{"line": 0, "units": 1}])
    rules.do("sale.refund", by="Ada", **back, amount_minor=100)
    rules.do("sale.refund", by="Ada", **back, lines=[{"line": 0, "units": 2}], restock=False)
    rules.do("sale.refund", by="Ada", **back)
    row = rules.row("orders", order)
    assert (row["state"], row["total_minor"], row["refunded"]["minor"]) == (
        "collected",
        total,
        total,
    )
    assert rules.row("stock", "BEER")["on_hand"] == 7
    now = rules.box(1)
    assert (now["refunds"], now["refunded_minor"], now["cash_refunds"]) == (4, total, total)
    given_tax = {bp: tax for bp, (_, tax) in now["refunded_taxes"].items()}
    assert given_tax == {bp: tax for bp, (_, _, tax) in now["taxes"].items()}
    assert now["vendor_refunds"] == {rules.people["Vera"].hex(): total}
    with refused("out-of-range"):
        rules.do("sale.refund", by="Ada", **back, amount_minor=1)


@pytest.mark.feature("BX-08", "OP-02")
def test_refund_is_checked(rules: Rules) -> None:
    """Right, state, reason, amount, method."""
    order = rules.order(lines={"COFFEE": 2})
    good = {"order": order, "reason": "cold"}
    with refused("no-permission"):
        rules.do("sale.refund", by="Carl", **good)
    aside = rules.order(total_minor=1)
    for changes, code in (
        ({"order": "00"}, "unknown-order"),
        ({"order": aside}, "bad-state"),
        ({"reason": " "}, "reason-needed"),
        ({"amount_minor": 401}, "out-of-range"),
        ({"amount_minor": 1, "lines": [{"line": 0, "units": 1}]}, "bad-field"),
        ({"lines": [{"line": 0, "units": 1}] * 2}, "repeated"),
        ({"lines": [{"line": 5, "units": 1}]}, "out-of-range"),
        ({"lines": [{"line": 0, "units": 3}]}, "out-of-range"),
        ({"method": "card"}, "out-of-range"),
    ):
        with refused(code):
            rules.do("sale.refund", by="Ada", **{**good, **changes})


@pytest.mark.feature("BX-08", "RP-28")
def test_money_goes_back_the_way_it_came() -> None:
    """Cash first, then the other methods; or the one that is named, up to what it paid. Cash is
    rounded in sum."""
    rules = with_card()
    rules.do("settings.edit", by="Ada", cash_step_minor=5)
    product(rules, "ODD", 502)
    order = rules.order(lines={"ODD": 1}, payments=[{"method": "card", "amount_minor": 200}])
    assert rules.row("orders", order)["cash_minor"] == 300
    back = {"order": order, "reason": "x"}
    rules.do("sale.refund", by="Ada", **back, amount_minor=100, method="card")
    rules.do("sale.refund", by="Ada", **back, amount_minor=101)
    rules.do("sale.refund", by="Ada", **back)
    gone = rules.row("orders", order)["refunded"]
    assert (gone["minor"], gone["cash_given"], gone["methods"]) == (502, 300, {"card": 200})
    refunds = sorted(rules.view.table("refunds"), key=lambda row: row["number"])
    assert [row["methods"] for row in refunds] == [
        [["card", 100]],
        [["cash", 100]],
        [["cash", 200], ["card", 100]],
    ]
    ticket = receipts.ticket(rules.view, f"r-{refunds[2].doc_id[:16]}")
    assert ticket["payments"] == [["cash", "", 200], ["card", "Card", 100]]


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=6),
    st.lists(st.integers(1, 700), max_size=8),
)
@pytest.mark.feature("BX-08")
def test_no_more_goes_back_than_was_paid(units: list[tuple[int, int]], amounts: list[int]) -> None:
    """Whatever is asked for in whatever order: box, taxes and cash never go below zero, and the
    last refund leaves exactly nothing."""
    rules = Rules(mode=1, cash_step_minor=5)
    product(rules, "A", 333, tax_bp=2100)
    product(rules, "B", 101, tax_bp=400)
    order = rules.order(lines={"A": 7, "B": 11})
    for line, count in units:
        asked = {"line": line % 2, "units": count}
        with contextlib.suppress(Refused):
            rules.do("sale.refund", by="Ada", order=order, reason="x", lines=[asked])
    for amount in amounts:
        with contextlib.suppress(Refused):
            rules.do("sale.refund", by="Ada", order=order, reason="x", amount_minor=amount)
    with contextlib.suppress(Refused):
        rules.do("sale.refund", by="Ada", order=order, reason="x")
    row, now = rules.row("orders", order), rules.box(1)
    assert row["refunded"]["minor"] == row["total_minor"] == now["refunded_minor"]
    assert row["refunded"]["cash_given"] == row["cash_minor"] == now["cash_refunds"]
    assert {bp: tax for bp, (_, tax) in now["refunded_taxes"].items()} == {
        bp: tax for bp, (_, _, tax) in now["taxes"].items()
    }


def test_rejected_sale_of_mode_1_goes_back_out_of_the_box(rules: Rules) -> None:
    """Its cash stays in the vendor's till; who paid gets it from the box: together they agree."""
    order = rules.order(total_minor=1, cash_minor=200)
    rules.do("order.reject", by="Carl", order=order, reason="no")
    assert rules.state(order) == "denied"
    now = rules.box(1)
    (till,) = now["tills"].values()
    assert (till["cash"], now["cash_refunds"], now["sales"]) == (200, 200, 0)


# --- tills, cash, X and hand-over --------------------------------------------


@pytest.mark.feature("BX-04")
def test_float_and_cash_for_orders_that_have_not_come_settle_in_the_till() -> None:
    """What a vendor handed over early opens their next till; the late orders settle against it."""
    rules = Rules(mode=1, opening_minor=1000)
    vera = rules.people["Vera"].hex()
    till = f"{vera}/{STATION.hex()}"
    rules.do("till.float", by="Carl", till=till, amount_minor=500)
    rules.order(lines={"CAKE": 2})
    declared = {"till": till, "declared_minor": 1190, "unsent_minor": 400}
    rules.do("box.close", by="Carl", tills=[declared], declared_minor=2080, leave_minor=0)
    z = rules.row("boxes", "1")["z"]
    assert (z["tills"][0]["expected_minor"], z["tills"][0]["difference_minor"]) == (1200, -10)
    assert (z["handed_over_minor"], z["expected_minor"], z["difference_minor"]) == (400, 2090, -10)
    rules.order(lines={"COFFEE": 2}, box=1)
    row = rules.box(2)
    assert box.expected_in_till(row["tills"][till]) == 0
    assert row["late"] == 1
    for wrong, code in (
        ({"till": f"{'0' * 32}/{STATION.hex()}"}, "unknown-operator"),
        ({"till": f"{vera}/{'0' * 32}"}, "unknown-station"),
    ):
        with refused(code):
            rules.do("till.float", by="Carl", amount_minor=1, **wrong)


@pytest.mark.feature("BX-04")
def test_cash_may_be_handed_over_by_a_vendor_who_has_no_till_yet(rules: Rules) -> None:
    """All of their orders are still on the way: the Z names the cash."""
    till = f"{rules.people['Vera'].hex()}/{STATION.hex()}"
    with refused("unknown-till"):
        rules.do("box.close", by="Carl", tills=[{"till": till, "declared_minor": 5}])
    early = {"till": till, "declared_minor": 0, "unsent_minor": 700}
    rules.do("box.close", by="Carl", tills=[early])
    assert rules.row("boxes", "1")["z"]["expected_minor"] == 700


@pytest.mark.feature("BX-05")
def test_cash_goes_in_and_out_with_a_reason(rules: Rules) -> None:
    """Both are on the X and the Z, with who and why."""
    rules.do("cash.move", by="Carl", direction="in", amount_minor=300, reason="Change")
    rules.do("cash.move", by="Carl", direction="out", amount_minor=100, reason="Bread")
    with refused("reason-needed"):
        rules.do("cash.move", by="Carl", direction="out", amount_minor=100, reason=" ")
    x = box.x_report(rules.view, 0, "")
    assert (x["expected_minor"], [move[:2] for move in x["moves"]]) == (
        200,
        [[300, "Change"], [-100, "Bread"]],
    )


@pytest.mark.feature("BX-03")
def test_x_is_taken_at_any_time_and_printed(rules: Rules) -> None:
    """Each X stands as it was read; the box goes on."""
    rules.order()
    rules.do("box.x", by="Carl")
    rules.order()
    rules.do("box.x", by="Carl")
    shown = [receipts.ticket(rules.view, f"x-1-{n}")["z"]["total_minor"] for n in (1, 2)]
    assert shown == [200, 400]


@pytest.mark.feature("BX-02")
def test_blind_close_wants_the_count_first(rules: Rules) -> None:
    """Nobody closes by repeating what the screen expects."""
    rules.do("settings.edit", by="Ada", blind_close=True)
    with refused("count-first"):
        rules.do("box.close", by="Carl")
    with refused("bad-arithmetic"):
        rules.do("box.close", by="Carl", counts={"100": 2}, declared_minor=201)
    with refused("bad-text"):
        rules.do("box.close", by="Carl", counts={"-5": 2})
    rules.do("box.close", by="Carl", counts={"100": 2, "5": 1})
    z = rules.row("boxes", "1")["z"]
    assert (z["declared_minor"], z["difference_minor"]) == (205, 205)


@pytest.mark.feature("BX-07")
def test_box_is_handed_over_without_a_close(rules: Rules) -> None:
    """The next operator goes on; the Z names both and what was counted between them."""
    rules.order(at=SERVER, by="Carl")
    with refused("unknown-operator"):
        rules.do("box.hand-over", by="Carl", next_operator="Vera")
    with refused("unknown-operator"):
        rules.do("box.hand-over", by="Carl", next_operator="Nobody")
    rules.do("box.hand-over", by="Carl", next_operator="ada", declared_minor=190)
    carl, ada = rules.people["Carl"].hex(), rules.people["Ada"].hex()
    rules.do("box.close", by="Ada")
    z = receipts.ticket(rules.view, "z-1")["z"]
    assert rules.row("boxes", "1")["z"]["operators"][0][:4] == [carl, ada, 200, 190]
    assert z["operators"][0][:2] == ["Carl", "Ada"]


@pytest.mark.feature("BX-06")
def test_z_names_every_station_and_what_it_still_has(rules: Rules) -> None:
    """Last contact, head of its log, orders and amount that are known to be unsent."""
    seen = {"station": STATION.hex(), "seen_ms": 5, "head": 9, "unsent": 2, "unsent_minor": 700}
    rules.do("box.close", by="Carl", stations=[seen])
    (shown,) = receipts.ticket(rules.view, "z-1")["z"]["stations"]
    assert (shown["name"], shown["head"], shown["unsent_minor"]) == ("S1 · Patio", 9, 700)


@pytest.mark.feature("PR-02")
def test_drawer_opens_by_two_settings_and_never_late(rules: Rules) -> None:
    """A desk sale by one, a remote one by the other; one that is older than 30 s opens nothing."""
    rules.order(at=SERVER, by="Carl")
    assert box.pulses(rules.view) == (1, 0)
    rules.order()
    assert box.pulses(rules.view)[0] == 1
    rules.do("settings.edit", by="Ada", drawer_desk=False, drawer_remote=True)
    rules.order(at=SERVER, by="Carl")
    assert box.pulses(rules.view)[0] == 1
    rules.age_ms = 30_000
    rules.order()
    assert box.pulses(rules.view) == (2, 30_000)
    for age_ms in (30_001, -1):
        rules.age_ms = age_ms
        rules.order()
    assert box.pulses(rules.view)[0] == 2
    rules.age_ms = 0
    with refused("reason-needed"):
        rules.do("drawer.open", by="Carl", reason=" ")
    rules.do("drawer.open", by="Carl", reason="Change")
    assert box.pulses(rules.view)[0] == 3


@pytest.mark.feature("PR-01", "SE-02")
def test_code_on_a_ticket_is_the_servers_own(rules: Rules) -> None:
    """It says number, instant, amount and order, and one changed letter breaks it."""
    key = Ed25519Signer.generate()
    rules.order()
    text = receipts.code_text(b"c" * 16, receipts.ticket(rules.view, "t-1"))
    code = receipts.write_code(text, key.sign(text))
    found, signature, says = receipts.read_code(code)
    assert verify_ed25519(key.public, signature, found)
    assert (says["number"], says["amount_minor"], says["currency"]) == (1, 200, "EUR")
    broken = 0
    for at in range(len(code)):
        other = "A" if code[at] != "A" else "B"
        try:
            found, signature, _ = receipts.read_code(code[:at] + other + code[at + 1 :])
        except Refused:
            broken += 1
        else:
            broken += not verify_ed25519(key.public, signature, found) or found == text
    assert broken == len(code)
    for nonsense in ("", "CABINA1.", "CABINA1.AAAA", "X" + code, code[:40]):
        with refused("bad-code"):
            receipts.read_code(nonsense)


@pytest.mark.feature("RP-21", "RP-19")
def test_place_in_the_queue_counts_those_that_wait_before() -> None:
    """Allowed ones are through; what does not wait has no place."""
    rules = Rules(mode=2)
    made = [rules.order() for _ in range(3)]
    rules.do("order.allow", by="Carl", order=made[1])
    assert [orders.queue_place(rules.view, order) for order in (*made, "00")] == [1, 0, 2, 0]


@pytest.mark.feature("RP-19")
def test_order_is_withdrawn_by_its_vendor_alone_or_the_server() -> None:
    """Another vendor may not; too late it is refused."""
    rules = Rules(mode=2)
    rules.add("Vic", "vendor")
    first, second, third = (rules.order() for _ in range(3))
    with refused("not-yours"):
        rules.do("order.withdraw", by="Vic", at=STATION, order=first)
    rules.do("order.withdraw", by="Carl", order=first)
    rules.do("order.allow", by="Carl", order=second)
    with refused("bad-state"):
        rules.do("order.withdraw", by="Vera", at=STATION, order=second)
    with refused("reason-needed"):
        rules.do("order.deny", by="Carl", order=third)


@pytest.mark.feature("RP-20")
def test_station_that_has_not_seen_its_server_for_too_long_queues_all() -> None:
    """The setting's time over, its sales wait as Mode 2; one that says otherwise is set aside."""
    rules = Rules(mode=1)
    limit = 72 * 3600
    assert rules.state(rules.order(unseen_s=limit)) == "collected"
    assert rules.state(rules.order(unseen_s=limit + 1)) == "pending"
    forged = rules.order(unseen_s=limit + 1, mode=1)
    assert rules.row("orders", forged)["flags"] == ["mode-differs"]


def test_clock_that_is_off_is_flagged(rules: Rules) -> None:
    """The sale counts; a person should set that clock."""
    assert rules.row("orders", rules.order())["flags"] == []
    rules.op_wall_ms = rules.wall_ms - 60_001
    assert rules.row("orders", rules.order())["flags"] == ["clock"]


@pytest.mark.feature("OP-05")
def test_own_password_is_changed_and_a_forgotten_one_reset(rules: Rules) -> None:
    """The key of before still counts for what it has signed; only the server resets."""
    rules.do("operator.password", by="Vera", at=STATION, sealed_key="0102")
    assert rules.row("operators", rules.people["Vera"].hex())["sealed_key"] == "0102"
    with refused("no-grant"):
        rules.do("operator.password", sealed_key="0102")
    old = rules.cafe.operator_keys(rules.view, rules.people["Vera"])
    new = Ed25519Signer.generate().public
    fields = {"public_key": new.hex(), "sealed_key": "03"}
    rules.do("operator.reset", operator="vera", **fields)
    assert rules.cafe.operator_keys(rules.view, rules.people["Vera"]) == [*old, new]
    with refused("unknown-operator"):
        rules.do("operator.reset", operator="Nobody", **fields)
    with refused("bad-key"):
        rules.do("operator.reset", operator="Vera", public_key="00" * 32, sealed_key="03")
    with refused("server-only"):
        rules.do("operator.reset", by="Ada", at=STATION, operator="Vera", **fields)


def test_small_questions_have_their_answers(rules: Rules) -> None:
    """A barcode of what is on sale, a test page, how often rows changed, the mode of before."""
    product(rules, "BEER", barcode="77")
    assert catalog.with_barcode(rules.view, "77") == "BEER"
    rules.do("product.edit", by="Ada", sku="BEER", changes={"active": [1, False]})
    assert catalog.with_barcode(rules.view, "77") == ""
    assert receipts.test_page(rules.view)["what"] == "test"
    before = rules.view.table("products").version
    product(rules, "WINE")
    assert rules.view.table("products").version > before
    assert cafe_settings.mode_at({}, 1) == 2
    assert cafe_settings.cash_at({}, 1) == (1, "half")


def test_settings_are_checked(rules: Rules) -> None:
    """A zone that is none is refused; the rest is kept as it was given."""
    with refused("unknown-time-zone"):
        rules.do("settings.edit", by="Ada", time_zone="Mars/Olympus")
    rules.do("settings.edit", by="Ada", time_zone="America/Costa_Rica", header="Here\nThere")
    assert rules.row("settings", "cafe")["time_zone"] == "America/Costa_Rica"


# --- where nothing usual stands ----------------------------------------------


def test_versions_of_a_record_go_with_its_changes(rules: Rules) -> None:
    """What a screen sends back are the fields that differ, each with the version that was shown."""
    rules.do("product.edit", by="Ada", sku="CAKE", changes={"name": [1, "Pie"]})
    row = rules.row("products", "CAKE")
    assert (records.version(row, "name"), records.version(row, "icon")) == (2, 1)
    wanted = {"name": "Tart", "icon": "", "barcode": "9"}
    changes = records.changes_to(row, wanted)
    assert changes == {"name": (2, "Tart"), "barcode": (1, "9")}
    rules.do("product.edit", by="Ada", sku="CAKE", changes=changes)
    assert rules.row("products", "CAKE")["name"] == "Tart"


@pytest.mark.feature("RP-11", "SE-04")
def test_line_that_is_not_the_job_it_names_waits_for_a_person() -> None:
    """A job nobody knows, or another's, lends no price to anything; the server's desk refuses it."""
    rules = Rules(mode=1)
    product(rules, "PAGE", 15, kind="print")
    line = {"sku": "PAGE", "quantity": 2, "price_minor": 15, "job": "0f"}
    body = {"lines": [line], "total_minor": 30, "mode": 1, "label": "S", "box": 1}
    order = rules.do("order.place", by="Vera", at=STATION, **body)
    assert rules.state(order) == "set_aside"
    job = rules.do("job.park", by="Vera", at=STATION, sku="PAGE", units=0, price_minor=15)
    coffee = {"sku": "COFFEE", "quantity": 1, "price_minor": 1, "job": job}
    forged = rules.do(
        "order.place", by="Vera", at=STATION, **{**body, "lines": [coffee], "total_minor": 0}
    )
    assert rules.state(forged) == "set_aside"
    with refused("unknown-job"):
        desk = {**body, "mode": 0, "lines": [line]}
        rules.do("order.place", by="Carl", **desk)
    with refused("repeated"):
        rules.order(full_lines=[{"sku": "X", "quantity": 1, "job": job}] * 2)
    huge = {**line, "quantity": 10**6, "copies": 2}
    with refused("out-of-range"):
        rules.do("order.place", by="Vera", at=STATION, **{**body, "lines": [huge]})


def test_discount_that_takes_nothing_off_leaves_the_line_as_it_was(rules: Rules) -> None:
    """A free line, and an open price beside a changed one."""
    product(rules, "FREE", 0)
    product(rules, "REPAIR", 0, kind="service", open_price=True)
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    lines = [
        {"sku": "FREE", "quantity": 1, "discounts": [{"discount": "TEN"}]},
        {"sku": "REPAIR", "quantity": 1, "price_minor": 500},
        {"sku": "COFFEE", "quantity": 1, "price_minor": 199},
    ]
    order = rules.order(full_lines=lines)
    row = rules.row("orders", order)
    assert row["flags"] == ["price-differs"]
    assert "off_minor" not in row["lines"][0]


def test_desk_takes_no_less_than_it_asks(rules: Rules) -> None:
    """Too little is refused before anything is written."""
    with refused("too-little"):
        rules.order(at=SERVER, by="Carl", tendered_minor=100)
    filled = rules.order(at=SERVER, by="Carl", cash_minor=200, tendered_minor=500)
    assert rules.row("orders", filled)["change_minor"] == 300
    with refused("too-little"):
        rules.order(at=SERVER, by="Carl", cash_minor=200, tendered_minor=100)


def test_box_that_is_not_open_has_nothing_running() -> None:
    """Before a café is made there is no box."""
    view = View(Cafe())
    assert box.running(view) is None
    assert box.sums(view)["sales"] == 0
    with refused("no-open-box"):
        box.current(view)


def test_refund_is_the_servers_and_right_that_is_there_is_enough() -> None:
    """The rules themselves say so, whatever stands before them."""
    with refused("server-only"):
        refunds.check_sale("collected", "x", desk=False)
    for kind in KINDS.values():
        assert kind.server_only or kind.permission not in operators.SERVER_ONLY, kind.name
    assert operators.judge_right(False, True, 10**9) == (True, "")


@pytest.mark.feature("SY-06", "SY-07")
def test_what_ended_in_a_lost_life_ends_again_and_counts_once() -> None:
    """A restored server folds withdrawn, expired and sold orders of its first life as they were."""
    rules = Rules(mode=2)
    product(rules, "BEER")
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=5, reason="x")
    first, second, third = (rules.order(lines={"BEER": 1}) for _ in range(3))
    by = {"operator": rules.people["Vera"].hex(), "at_ms": 1}
    again(rules, ["order.withdrawn", 1, {"order": first, **by}])
    again(rules, ["order.expired", 1, {"order": second, **by}])
    rules.do("order.deny", by="Carl", order=third, reason="no")
    again(rules, ["order.withdrawn", 1, {"order": third, **by}])
    again(rules, ["order.expired", 1, {"order": third, **by}])
    assert [rules.state(order) for order in (first, second, third)] == [
        "withdrawn",
        "expired",
        "denied",
    ]
    assert rules.row("stock", "BEER") == {"on_hand": 5, "held": 0}
    assert codes(rules) == ["decided-twice", "decided-twice"]
    rules = Rules(mode=1)
    _, events = rules.outcome("order.place", by="Vera", at=STATION, **SOLD)
    again(rules, events[0])
    assert codes(rules) == ["collected-twice"]
    sold = {**events[0][2]}
    other = {"order": "ee" * 16}
    sold = {"placed": {**sold["placed"], **other}, "collected": {**sold["collected"], **other}}
    again(rules, ["order.sold", 1, sold])
    assert rules.box(1)["sales"] == 2
    assert box.pulses(rules.view)[0] == 0
    waits = {**sold["placed"], "order": "dd" * 16, "mode": 2, "cash_minor": None}
    again(rules, ["order.placed", 1, waits])
    again(rules, ["order.collected", 1, {**sold["collected"], "order": "dd" * 16}])
    assert rules.box(1)["sales"] == 3


SOLD = {
    "lines": [{"sku": "COFFEE", "quantity": 1, "price_minor": 200}],
    "total_minor": 200,
    "mode": 1,
    "label": "S1-1",
    "box": 1,
}


def again(rules: Rules, event: list[Any]) -> None:
    """Fold an event as it comes back to a restored server."""
    rules.view.store.writable = True
    rules.view.store.undo = []
    rules.cafe.reapply(rules.view, event)
    rules.view.store.writable = False


def test_short_is_no_exception_and_a_cost_for_nothing_is_passed_over(rules: Rules) -> None:
    """Only what was sold and is not there is told; an entry of a product that is gone counts."""
    rules.view.store.writable = True
    rules.view.store.undo = []
    stock.note_oversold(rules.view, [["BEER", "short", 1]], "0c", 1)
    fact = {
        "sku": "GHOST", "units": 1, "reason": "x", "cost_minor": 5, "operator": "", "station": "",
        "at_ms": 1,
    }  # fmt: skip
    rules.cafe.apply(rules.view, ["stock.moved", 1, fact])
    jobs.apply_paid(rules.view, "0f", "0c", 1)
    assert codes(rules) == []
    assert rules.row("stock", "GHOST")["on_hand"] == 1
    assert rules.low_stock() == []


# --- what a patched station, or a second life of the server, may send ---------


@pytest.mark.feature("RP-08", "RP-25")
def test_discount_on_what_may_not_have_one_any_more_is_doubted_never_refused(rules: Rules) -> None:
    """The vendor took the money when it was a product; somebody made it a print meanwhile."""
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    base = rules.view.cursor
    line = {"sku": "COFFEE", "quantity": 1, "price_minor": 200}
    cut = [{"discount": "TEN", "form": "percent", "value": 1000}]
    body = {
        "lines": [line],
        "discounts": cut,
        "total_minor": 180,
        "mode": 1,
        "label": "S",
        "box": 1,
    }
    rules.do("product.edit", by="Ada", sku="COFFEE", changes={"kind": [1, "print"]})
    order = rules.do("order.place", by="Vera", at=STATION, base=base, **body)
    assert rules.state(order) == "set_aside"
    other = {**body, "lines": [{**line, "price_minor": 199}]}
    assert rules.state(rules.do("order.place", by="Vera", at=STATION, base=base, **other)) == (
        "set_aside"
    )
    with refused("not-discountable"):
        rules.do("order.place", by="Carl", **{**body, "mode": 0})
    forged = [{"discount": "GHOST", "form": "percent", "value": 20_000}]
    order = rules.do("order.place", by="Vera", at=STATION, **{**body, "discounts": forged})
    assert rules.state(order) == "set_aside"


def test_discount_that_nobody_could_give_is_never_offered_as_a_resolution(rules: Rules) -> None:
    """Taking the second value must leave a discount that can be given."""
    rules.do("discount.add", by="Ada", discount="X", name="X", form="fixed", value=20_000)
    rules.do("discount.edit", by="Ada", discount="X", changes={"value": [1, 500]})
    rules.do("discount.edit", by="Ada", discount="X", changes={"form": [1, "percent"]})
    with refused("out-of-range"):
        rules.do("discount.edit", by="Ada", discount="X", changes={"value": [1, 20_000]})


@pytest.mark.feature("RP-25", "RP-28", "BX-08")
def test_doubtful_order_that_is_accepted_counts_what_its_lines_come_to() -> None:
    """Methods that are none, twice, or for more than the order: nothing of it can be refunded
    beyond what was sold."""
    rules = with_card()
    card = {"method": "card", "amount_minor": 100}
    for payments in (
        [{"method": "card", "amount_minor": 500}],
        [card, card, card],
        [{"method": "cash", "amount_minor": 200}, card],
    ):
        order = rules.order(payments=payments, cash_minor=0)
        rules.do("order.accept", by="Carl", order=order, reason="it was so")
        for part in (1, 50, None):
            more = {} if part is None else {"amount_minor": part}
            rules.do("sale.refund", by="Ada", order=order, reason="x", **more)
        row = rules.row("orders", order)
        assert row["refunded"]["minor"] == row["total_minor"] == 200
        assert all(paid >= 0 for paid in row["refunded"]["methods"].values())
    wrong = rules.order(total_minor=10**6, cash_minor=200)
    rules.do("order.accept", by="Carl", order=wrong, reason="a typing error")
    row = rules.row("orders", wrong)
    assert (row["total_minor"], row["cash_minor"], row["rounding_minor"]) == (200, 200, 0)
    methods = rules.box(1)["methods"]
    assert all(sold >= back >= 0 for sold, back in methods.values())


@pytest.mark.feature("SE-09", "BX-01")
def test_no_vendor_makes_a_box_that_cannot_be_closed(rules: Rules, monkeypatch: Any) -> None:
    """Sums stay where a log can hold them, and lists of names where a Z can."""
    monkeypatch.setattr("node.cafe.box.MOST_IN_A_BOX", 10_000)
    claimed = rules.order(total_minor=1, cash_minor=10_001)
    assert rules.state(claimed) == "set_aside" and rules.box(1)["claimed_cash"] == 0
    with refused("out-of-range"):
        rules.order(at=SERVER, by="Carl", lines={"COFFEE": 60})
    monkeypatch.setattr("node.cafe.box.NAMES_IN_A_BOX", 2)
    for at in range(4):
        product(rules, f"P{at}", 10, category=f"c{at}")
        discount = f"D{at}"
        rules.do("discount.add", by="Ada", discount=discount, name="x", form="fixed", value=1)
        rules.order(lines={f"P{at}": 1}, discounts=[{"discount": discount}])
        rules.do("cash.move", by="Carl", direction="in", amount_minor=10, reason=f"r{at}")
    now = rules.box(1)
    assert (set(now["categories"]), set(now["discounts"])) == ({"c0", "c1", "…"}, {"D0", "D1", "…"})
    assert [move[1] for move in now["moves"]] == ["r2", "r3"]
    assert (now["cash_in"], now["off_minor"]) == (40, 4)


@pytest.mark.feature("SY-02", "CF-04")
def test_import_is_an_edit_too(rules: Rules) -> None:
    """Who saw the version before it makes an exception."""
    rules.products(CAKE=300)
    rules.do("product.edit", by="Vera", at=STATION, sku="CAKE", changes={"price_minor": [1, 250]})
    assert rules.row("products", "CAKE")["price_minor"] == 300
    assert codes(rules) == ["edit-conflict"]


@pytest.mark.feature("SY-07", "BX-03", "PR-02", "PR-03")
def test_acts_of_a_lost_life_of_the_server_count_once_and_open_nothing() -> None:
    """Cash, floats, X, refunds, counts, products and resolutions that come back: into their box while
    it is open; for a person where this life has closed it or done the same."""
    rules = Rules(mode=1)
    vera = rules.people["Vera"].hex()
    till = f"{vera}/{STATION.hex()}"
    order = rules.order(lines={"COFFEE": 1})
    by = {"operator": rules.people["Ada"].hex(), "at_ms": 1}

    def event(kind: str, **body: Any) -> list[Any]:
        return [kind, 1, {**by, **body}]

    moved = event("cash.moved", box=1, amount_minor=300, reason="x")
    given = event("till.float-given", box=1, till=till, amount_minor=50)
    handed = event("box.handed-over", box=1, before="", expected_minor=0, declared_minor=None)
    for one in (moved, given, handed, event("drawer.opened", reason="x")):
        again(rules, one)
    now = rules.box(1)
    assert (now["cash_in"], now["floats"], len(now["operators"])) == (300, 50, 1)
    assert box.pulses(rules.view)[0] == 0
    rules.do("box.x", by="Carl")
    x = ["box.read", 1, {"number": 1, "reading": 1, "x": {"total_minor": 9}}]
    again(rules, x)
    assert rules.row("readings", "1-1")["total_minor"] == 200
    again(rules, ["box.read", 1, {**x[2], "reading": 2}])
    assert rules.row("prints", "x-1-2")["state"] == "unknown"
    _, events = rules.outcome("sale.refund", by="Ada", order=order, reason="x", amount_minor=150)
    again(rules, events[0])
    assert rules.row("orders", order)["refunded"]["minor"] == 150
    again(rules, [*events[0][:2], {**events[0][2], "order": "ff" * 16}])
    rules.do("stock.count", by="Ada", lines=[{"sku": "CAKE", "units": 5}], reason="x")
    count = {"number": 1, "lines": [["CAKE", 0, 7, 0]], "reason": "x"}
    again(rules, event("stock.counted", **count))
    again(rules, event("stock.counted", **{**count, "number": 2, "lines": [["COFFEE", 0, 3, 0]]}))
    assert [rules.row("stock", sku)["on_hand"] for sku in ("CAKE", "COFFEE")] == [5, 3]
    tea = {"sku": "CAKE", "name": "Other", "price_minor": 1, "category": "", "barcode": "",
           "kind": "product"}  # fmt: skip
    added = {"product": tea, "wanted": "CAKE", "seq": 1, "chain": ""}
    again(rules, event("product.added", **added))
    scone = {**tea, "sku": "SCONE", "name": "Scone"}
    again(rules, event("product.added", **{**added, "product": scone, "wanted": "SCONE"}))
    assert rules.row("products", "CAKE")["name"] == "Cake"
    assert rules.row("products", "SCONE")["name"] == "Scone"
    found = codes(rules)
    assert found == ["refunded-twice", "decided-twice", "duplicate-sku"]
    wrong = event("exception.resolved", exception=1, code="oversold", ref="x", resolution="noted",
                  reason="")  # fmt: skip
    again(rules, wrong)
    assert len(exceptions.unresolved(rules.view)) == 3
    rules.do("box.close", by="Ada")
    second = rules.order(lines={"COFFEE": 1})
    for one in (moved, given, handed):
        again(rules, one)
    assert codes(rules)[3:] == ["box-differs", "box-differs"]
    assert rules.box(1)["cash_in"] == 300
    late = {**events[0][2], "order": second, "refund": "ee" * 16, "number": 1}
    again(rules, ["sale.refunded", 1, late])
    assert rules.box(2)["refunded_minor"] == 150
    more = {**late, "refund": "dd" * 16, "number": 2, "amount_minor": 10, "box": 2}
    again(rules, ["sale.refunded", 1, more])
    assert rules.box(2)["refunded_minor"] == 160
    assert rules.row("prints", f"r-{'ee' * 8}")["state"] == "unknown"


@pytest.mark.feature("SY-07", "BX-03")
def test_z_of_a_lost_life_is_compared_with_all_that_this_one_counted() -> None:
    """The same sales and other cash are another box: a person is told."""
    rules = Rules(mode=1)
    z = box.preview_of(rules.view, {}, 1, "")
    rules.do("cash.move", by="Carl", direction="in", amount_minor=500, reason="x")
    again(rules, ["box.closed", 1, {"number": 1, "z": z}])
    assert codes(rules) == ["box-differs"]
