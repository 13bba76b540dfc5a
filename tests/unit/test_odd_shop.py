"""What a patched station, an odd file, a wrong clock or a hasty owner may send, and what becomes of it."""

from __future__ import annotations

import contextlib
import csv
import io
import random
from typing import Any

import pytest

from node.cafe import box, catalog, orders, receipts, records
from node.cafe.pictures import named
from node.papers import write_csv
from node.roles.server import _read_unsent
from node.text import when
from sync.errors import Refused
from tests.support.cafe import SERVER, STATION, Rules
from tests.support.street import Street
from tests.unit.test_shop import codes, product, refused, with_card

DAY_MS = 1_800_000_000_000


@pytest.fixture
def rules() -> Rules:
    return Rules(mode=1)


@pytest.mark.feature("RP-28")
def test_method_that_was_used_keeps_its_name() -> None:
    """Taken off the list it is not given any more; its tickets, Z and slips still say what it was."""
    rules = with_card()
    rules.order(payments=[{"method": "card", "amount_minor": 200}])
    rules.do("settings.edit", by="Ada", methods=[{"method": "sinpe", "name": "SINPE"}])
    assert receipts.method_name(rules.view, "card") == "Card"
    assert receipts.method_name(rules.view, "gone") == "gone"
    assert receipts.method_name(rules.view, "cash") == ""
    assert receipts.ticket(rules.view, "t-1")["payments"] == [["card", "Card", 200]]
    with refused("unknown-method"):
        rules.order(
            at=SERVER, by="Carl", payments=[{"method": "card", "amount_minor": 200}], cash_minor=0
        )
    late = rules.order(payments=[{"method": "card", "amount_minor": 200}])
    assert rules.state(late) == "collected"
    slips = [{"method": "card", "declared_minor": 390}, {"method": "sinpe", "declared_minor": 5}]
    with refused("repeated"):
        rules.do("box.close", by="Carl", methods=[slips[0], slips[0]])
    rules.do("box.close", by="Carl", methods=slips)
    found = {one["method"]: one for one in rules.row("boxes", "1")["z"]["methods"]}
    assert found["sinpe"]["difference_minor"] == 5  # of a station that is still away


@pytest.mark.feature("BX-06", "SE-09")
@pytest.mark.parametrize("amount", [-1, 10**16, True, 1.5, "1"])
def test_absurd_amount_of_unsent_orders_is_refused(amount: Any) -> None:
    """It would stand in the way of every close."""
    with refused("bad-field"):
        _read_unsent({"orders": [[b"k" * 16, amount]]})
    assert _read_unsent({"orders": [[b"k" * 16, 5]]}) == [(b"k" * 16, 5)]


@pytest.mark.feature("RP-08", "RP-19")
def test_invented_discount_is_seen_by_who_collects() -> None:
    """In Mode 2 it is flagged, in Mode 1 set aside; one that changed since is an old price."""
    rules = Rules(mode=2)
    cut = {"discount": "FREE", "form": "fixed", "value": 10**9}
    order = rules.order(discounts=[cut])
    assert rules.row("orders", order)["flags"] == ["price-differs"]
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    order = rules.order(discounts=[{"discount": "TEN", "form": "percent", "value": 9000}])
    assert rules.row("orders", order)["flags"] == ["price-differs"]
    rules = Rules(mode=1)
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    base = rules.view.cursor
    rules.do("discount.edit", by="Ada", discount="TEN", changes={"value": [1, 500]})
    given = {"discount": "TEN", "form": "percent", "value": 1000}
    order = rules.order(base=base, discounts=[given], total_minor=180, cash_minor=180)
    assert (rules.state(order), rules.row("orders", order)["flags"]) == ("collected", ["old-price"])


@pytest.mark.feature("BX-04", "RP-25")
def test_rejected_sale_of_the_desk_takes_out_only_what_was_counted_in(rules: Rules) -> None:
    """Set aside at the desk its cash was never expected; of a vendor's till it was."""
    line = {"sku": "COFFEE", "quantity": 1, "price_minor": 150}
    desk = rules.order(at=SERVER, by="Carl", full_lines=[line], total_minor=150, cash_minor=150)
    assert rules.state(desk) == "set_aside"
    rules.do("order.reject", by="Carl", order=desk, reason="typo")
    now = box.x_report(rules.view, 0, "")
    assert now["expected_minor"] == 0


@pytest.mark.feature("BX-04")
def test_station_that_stays_away_over_two_closes_owes_nothing_twice(rules: Rules) -> None:
    """Cash that was handed over before its orders came waits for them, however many boxes pass."""
    till = f"{rules.people['Vera'].hex()}/{STATION.hex()}"
    declared = [{"till": till, "declared_minor": 0, "unsent_minor": 200}]
    rules.do("box.close", by="Carl", declared_minor=200, tills=declared)
    assert rules.row("boxes", "1")["z"]["difference_minor"] == 0
    rules.do("till.float", by="Carl", till=till, amount_minor=30)
    now = rules.box(2)["tills"][till]
    assert (box.expected_in_till(now), box.unsettled_in_till(now)) == (30, 200)
    rules.do("box.close", by="Carl")
    z = rules.row("boxes", "2")["z"]
    assert (z["difference_minor"], z["tills"][0]["expected_minor"]) == (0, 30)
    rules.order()
    now = rules.box(3)["tills"][till]
    assert (box.expected_in_till(now), box.unsettled_in_till(now)) == (0, 0)
    rules.order()
    rules.do("box.close", by="Carl")
    assert rules.row("boxes", "3")["z"]["tills"][0]["expected_minor"] == 200
    assert rules.box(4)["tills"] == {}


@pytest.mark.feature("BX-01", "SE-09")
def test_absurd_close_is_refused(rules: Rules) -> None:
    """Counts beyond all money, tills that nobody can have."""
    with refused("out-of-range"):
        rules.do("box.close", by="Carl", counts={"1000000000": 10**6, "900000000": 10**6})
    with refused("out-of-range"):
        rules.do("box.close", by="Carl", counts={str(value): 1 for value in range(1, 80)})
    station, vera = STATION.hex(), rules.people["Vera"].hex()
    for till, code in (
        ("foo", "unknown-operator"),
        (f"{vera}/{'00' * 16}", "unknown-station"),
        (f"{'00' * 16}/{station}", "unknown-operator"),
    ):
        with refused(code):
            tills = [{"till": till, "declared_minor": 0, "unsent_minor": 7}]
            rules.do("box.close", by="Carl", tills=tills)


@pytest.mark.feature("RE-01")
@pytest.mark.parametrize("wall_ms", [1 << 62, -5, 5, 1_700_000_000_000 + 3 * 60_000])
@pytest.mark.parametrize("age_ms", [-1, 0, 7_000])
def test_wrong_clock_moves_no_sale_out_of_its_day(rules: Rules, wall_ms: int, age_ms: int) -> None:
    """A sale stands where the server knows it was made; with an unknown age, where it can be."""
    rules.op_wall_ms, rules.age_ms = wall_ms, age_ms
    taken = rules.row("orders", rules.order())["taken_ms"]
    assert taken == rules.wall_ms - max(0, age_ms)
    assert when(wall_ms, "en", date=True)


def test_right_clock_is_believed(rules: Rules) -> None:
    """A sale of yesterday that comes today keeps its time, also if nobody knows its age."""
    yesterday = rules.wall_ms - 86_400_000
    rules.op_wall_ms, rules.age_ms = yesterday, -1
    assert rules.row("orders", rules.order())["taken_ms"] == yesterday
    rules.age_ms = 86_400_000 - 500
    assert rules.row("orders", rules.order())["taken_ms"] == yesterday


@pytest.mark.feature("RP-09", "RP-17", "RP-25")
def test_own_price_that_lost_to_another_still_makes_honest_sales() -> None:
    """A vendor changed the price offline and sold at it; somebody else had changed it first: the
    sale stands, with an old price, and nobody else may sell at it. So with a discount."""
    street = Street(2, DAY_MS, mode=1)
    tea = {"sku": "TEA", "name": "Tea", "price_minor": 200, "tax_bp": 1000}
    street.desk("catalog.import", products=[tea])
    street.desk("discount.add", discount="TEN", name="Ten", form="percent", value=1000)
    street.cut(1)
    street.desk("product.edit", sku="TEA", changes={"price_minor": [1, 300]})
    street.desk("discount.edit", discount="TEN", changes={"value": [1, 500]})
    street.edit(1, "product.edit", sku="TEA", changes={"price_minor": [1, 250]})
    street.edit(1, "discount.edit", discount="TEN", changes={"value": [1, 2000]})
    sale = street.sell(1, [{"sku": "TEA", "quantity": 1}], discounts=[{"discount": "TEN"}])
    street.join(1)
    row = street.hub.view.table("orders").peek(sale.key.hex())
    assert row is not None and (row["state"], row["total_minor"]) == ("collected", 200)
    assert row["flags"] == ["old-price"]
    product_row = street.hub.view.table("products").peek("TEA")
    assert product_row is not None and product_row["price_minor"] == 300
    chain = product_row["prices"][-2][2]
    assert catalog.price_at(product_row, 1 << 62, "other") == 300
    assert catalog.price_at(product_row, 2, chain) == 250
    later = street.sell(1, [{"sku": "TEA", "quantity": 1}])
    row = street.hub.view.table("orders").peek(later.key.hex())
    assert row is not None and (row["total_minor"], row["flags"]) == (300, [])


@pytest.mark.feature("RP-09", "RP-25")
def test_sale_of_a_product_that_got_another_code_is_of_that_product() -> None:
    """Two made a product with one code; each one's sales are of their own."""
    street = Street(2, DAY_MS, mode=1)
    street.cut(1)
    desk = {"sku": "NEW", "name": "Desk thing", "price_minor": 200}
    mine = {"sku": "NEW", "name": "Station thing", "price_minor": 250}
    street.desk("product.add", product=desk)
    street.edit(1, "product.add", product=mine)
    sale = street.sell(1, [{"sku": "NEW", "quantity": 1}])
    street.join(1)
    row = street.hub.view.table("orders").peek(sale.key.hex())
    assert row is not None and row["state"] == "collected"
    assert row["lines"][0]["name"] == "Station thing" and row["lines"][0]["sku"] == "NEW.2"
    later = street.sell(1, [{"sku": "NEW", "quantity": 1}])
    row = street.hub.view.table("orders").peek(later.key.hex())
    assert row is not None and row["lines"][0]["name"] == "Desk thing"
    assert street.replicas[1].view.digest() == street.hub.view.digest()


@pytest.mark.feature("CF-04")
def test_file_that_was_written_is_read_and_absent_columns_change_nothing(rules: Rules) -> None:
    """Also with something oversold; a file of three columns leaves tax, cost and the rest alone."""
    product(rules, "BEER", 100, tax_bp=1000, cost_minor=40, category="Drinks", barcode="123")
    rules.do("stock.move", by="Ada", sku="BEER", direction="in", units=1, reason="x")
    rules.order(lines={"BEER": 3})
    text = catalog.write_csv(rules.view, "EUR")
    products, bad = catalog.read_csv(text, "EUR")
    assert not bad and len(products) == len(rules.view.table("products"))
    products, bad = catalog.read_csv("sku,name,price\nBEER,Beer,2.00\nNEW,New,1\n", "EUR")
    assert not bad and products[0] == {"sku": "BEER", "name": "Beer", "price_minor": 200}
    rules.do(
        "catalog.import", by="Ada", products=[catalog.whole(rules.view, one) for one in products]
    )
    row = rules.row("products", "BEER")
    assert (row["price_minor"], row["tax_bp"], row["cost_minor"]) == (200, 1000, 40)
    assert (row["category"], row["barcode"]) == ("Drinks", "123")


@pytest.mark.feature("CF-04")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sku,name,price\nA,b,1E+999999\n", "bad-number"),
        ("sku,name,price\nA,b,1e5\n", "bad-number"),
        ("sku,name,price\nA," + "x" * 140_000 + ",1\n", "bad-columns"),
        ("sku,name,price\rA,b,1\r", "bad-columns"),
    ],
)
def test_odd_file_is_told_by_its_row(text: str, code: str) -> None:
    """Numbers beyond all bounds, fields beyond all bounds."""
    products, bad = catalog.read_csv(text, "EUR")
    assert not products and bad[0].code == code


@pytest.mark.feature("RP-08")
def test_second_value_that_fits_no_more_is_not_taken(rules: Rules) -> None:
    """An amount of 20,000 is no percentage."""
    rules.do("discount.add", by="Ada", discount="D", name="D", form="fixed", value=500)
    rules.do("discount.edit", by="Ada", discount="D", changes={"value": [1, 600]})
    rules.do("discount.edit", by="Vera", at=STATION, discount="D", changes={"value": [1, 20_000]})
    rules.do("discount.edit", by="Ada", discount="D", changes={"form": [1, "percent"]})
    assert codes(rules) == ["edit-conflict"]
    with refused("out-of-range"):
        rules.do("exception.resolve", by="Ada", exception=1, resolution="take")
    rules.do("exception.resolve", by="Ada", exception=1, resolution="keep")
    with refused("out-of-range"):
        rules.do("discount.edit", by="Ada", discount="D", changes={"value": [2**50, 5]})


@pytest.mark.feature("RP-11")
def test_print_that_could_never_be_paid_is_not_parked(rules: Rules) -> None:
    """More pages than a ticket can hold."""
    product(rules, "PAGE", 1, kind="print")
    with refused("out-of-range"):
        rules.do("job.park", by="Vera", sku="PAGE", units=2000, copies=1000, price_minor=1)


@pytest.mark.feature("BX-08")
def test_sale_that_came_to_nothing_is_given_back_with_its_units(rules: Rules) -> None:
    """Units go back on the shelf; money there is none."""
    product(rules, "GIFT", 0)
    rules.do("stock.move", by="Ada", sku="GIFT", direction="in", units=5, reason="x")
    order = rules.order(lines={"GIFT": 2})
    rules.do("sale.refund", by="Ada", order=order, lines=[{"line": 0, "units": 1}], reason="x")
    rules.do("sale.refund", by="Ada", order=order, reason="x")
    assert rules.row("stock", "GIFT")["on_hand"] == 5
    with refused("out-of-range"):
        rules.do("sale.refund", by="Ada", order=order, reason="x")


@pytest.mark.feature("BX-08", "RE-02")
def test_rounding_of_a_refund_stands_in_the_box() -> None:
    """Total and rounding, less refunds, are the net of all methods: after any sales and refunds."""
    rules = Rules(mode=1, cash_step_minor=500, cash_rounding="half")
    product(rules, "CAKE", 1200)
    chance = random.Random(4)
    for _ in range(40):
        order = rules.order(lines={"CAKE": chance.randint(1, 3)}, cash_minor=None)
        for _ in range(chance.randint(0, 3)):
            amount = chance.choice([None, 100, 700, 1200])
            more = {} if amount is None else {"amount_minor": amount}
            with contextlib.suppress(Refused):  # no more than is left
                rules.do("sale.refund", by="Ada", order=order, reason="x", **more)
        now = rules.box(1)
        net = sum(sold - back for sold, back in now["methods"].values())
        assert now["total_minor"] + now["rounding_minor"] - now["refunded_minor"] == net


@pytest.mark.feature("RP-29")
def test_station_bears_its_own_label_alone(rules: Rules) -> None:
    """A label of another station's is not taken; any other word is."""
    assert rules.row("orders", rules.order(label="S9-0001"))["label"] == "S1-0001"
    assert rules.row("orders", rules.order(label="S1-0077"))["label"] == "S1-0077"
    assert rules.row("orders", rules.order(label="Table 4"))["label"] == "Table 4"
    desk = rules.order(at=SERVER, by="Carl", label="S1-0001", cash_minor=200)
    assert rules.row("orders", desk)["label"].startswith("D-")


@pytest.mark.feature("BX-07")
def test_hand_over_is_from_who_had_the_box(rules: Rules) -> None:
    """Not from whoever types it."""
    rules.add("Mia", "manager")
    rules.do("box.close", by="Carl", next_operator="Carl")
    rules.do("box.hand-over", by="Ada", next_operator="Mia")
    (handed,) = rules.row("boxes", "2")["operators"]
    assert handed[:2] == [rules.people["Carl"].hex(), rules.people["Mia"].hex()]


@pytest.mark.feature("RP-17", "RP-25")
def test_claimed_cash_beyond_all_bounds_stops_nobody_else(rules: Rules) -> None:
    """It is set aside with what a ticket can come to, and other people's sales go on."""
    for _ in range(3):
        order = rules.order(cash_minor=10**15)
        assert rules.state(order) == "set_aside"
    paid = [{"method": "gold", "amount_minor": 10**9}]
    assert rules.state(rules.order(payments=paid, cash_minor=10**15)) == "set_aside"
    assert rules.box(1)["claimed_cash"] <= 4 * (10**9 + 200)
    assert rules.state(rules.order()) == "collected"
    assert rules.state(rules.order(at=SERVER, by="Carl", cash_minor=200)) == "collected"


def test_pictures_are_named_by_who_shows_them(rules: Rules) -> None:
    """The last that lets go of one lets it go; stations are paired only while that is switched on."""
    a, b = "aa" * 32, "bb" * 32
    tables = rules.view
    for sku in ("X", "Y"):
        product(rules, sku, picture=a)
    product(rules, "X", 5)  # a file names none
    assert rules.row("pictures", a) == {"owners": ["X", "Y"]}
    rules.do("product.edit", by="Ada", sku="X", changes={"picture": [1, b]})
    assert sorted(named(tables)) == [bytes.fromhex(a), bytes.fromhex(b)]
    rules.do("product.edit", by="Ada", sku="Y", changes={"picture": [1, ""]})
    assert rules.cafe.blobs(tables) == [bytes.fromhex(b)]
    rules.do("settings.edit", by="Ada", logo=b)
    assert rules.row("pictures", b) == {"owners": ["X", "cafe/logo"]}
    rules.do("settings.edit", by="Ada", remote_pos=False)
    with refused("remote-pos-off"):
        rules.do("station.enrol", by="Ada", name="x", public_key="00", certificate="")
    assert orders.clock_is_off(10**9) and records.NEVER > 1 << 40


@pytest.mark.feature("BX-02", "BX-03")
def test_no_x_is_read_while_the_count_is_blind(rules: Rules) -> None:
    """It would say what is expected."""
    rules.do("settings.edit", by="Ada", blind_close=True)
    with refused("count-first"):
        rules.do("box.x", by="Carl")


@pytest.mark.feature("SE-14", "CF-04")
@pytest.mark.parametrize("name", ["=1+1", "-5", "@cmd", "+x", "'quoted", "'=x", "plain", "a=b"])
def test_name_that_a_spreadsheet_would_run_is_quoted_and_read_back(rules: Rules, name: str) -> None:
    """In the catalogue and in every table that is given out; the name itself stays what it was."""
    product(rules, "ODD")
    rules.do("product.edit", by="Ada", sku="ODD", changes={"name": [1, name]})
    text = catalog.write_csv(rules.view, "EUR")
    cells = [row["name"] for row in csv.DictReader(io.StringIO(text)) if row["sku"] == "ODD"]
    assert not cells[0].startswith(("=", "+", "-", "@"))
    products, bad = catalog.read_csv(text, "EUR")
    assert not bad and products[-1]["name"] == name
    assert write_csv(["a"], [[name]]).splitlines()[1].strip('"') == cells[0]
