"""Free passes and promotions: what is sold, what it gives, and what of it goes back."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from node.cafe import accounts, benefits, lines
from sync.errors import Refused
from tests.support.cafe import SERVER, STATION, Rules

HOUR_MS = 3_600_000
MADRID = ZoneInfo("Europe/Madrid")


def shop() -> tuple[Rules, str]:
    rules = Rules(mode=1)
    rules.do("settings.edit", by="Ada", time_zone="Europe/Madrid")
    return rules, rules.customer("ana.m")


def offer(rules: Rules, sku: str, form: str, **more: Any) -> None:
    fields = {"name": sku.title(), "price_minor": 1000, **more}
    rules.do("offer.add", by="Ada", sku=sku, form=form, **fields)


def sell(rules: Rules, customer: str | None, sku: str, quantity: int = 1, **more: Any) -> str:
    return rules.order(at=SERVER, by="Carl", customer=customer, lines={sku: quantity}, **more)


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=code)


def instant(*fields: int) -> int:
    return int(dt.datetime(*fields, tzinfo=MADRID).timestamp() * 1000)  # type: ignore[misc,arg-type]


@pytest.mark.feature("RP-07")
@pytest.mark.parametrize(
    ("form", "more", "until"),
    [
        ("day", {}, (2026, 6, 2)),
        ("days", {"days": 2}, (2026, 6, 4)),
        ("until", {"until_minute": 630, "next_day": True}, (2026, 6, 2, 10, 30)),
        ("event", {"from_ms": instant(2026, 7, 1), "to_ms": instant(2026, 7, 3)}, (2026, 7, 3)),
    ],
)
def test_pass_has_its_window_from_the_sale_on(
    form: str, more: dict[str, Any], until: tuple[int, ...]
) -> None:
    """An event has its own; each is of the café's own clocks."""
    rules, customer = shop()
    rules.wall_ms = instant(2026, 6, 1, 12)
    offer(rules, "PASS", form, **more)
    sell(rules, customer, "PASS")
    (window,) = rules.row("customers", customer)["passes"]
    since = more.get("from_ms", rules.wall_ms)
    assert (window["from_ms"], window["to_ms"]) == (since, instant(*until))


@pytest.mark.feature("RP-07")
def test_pass_whose_time_is_over_is_not_sold() -> None:
    """Until eleven, at noon."""
    rules, customer = shop()
    rules.wall_ms = instant(2026, 6, 1, 12)
    offer(rules, "PASS", "until", until_minute=660)
    with refused("already-over"):
        sell(rules, customer, "PASS")
    order = rules.order(lines={"PASS": 1}, customer=customer)
    assert rules.row("orders", order)["flags"] == ["already-over"]
    assert rules.state(order) == "set_aside"


@pytest.mark.feature("RP-07", "RP-17")
def test_pass_at_a_station_without_its_server_takes_no_money() -> None:
    """It waits, and is sold when somebody collects it."""
    rules, customer = shop()
    offer(rules, "PASS", "day")
    order = rules.order(lines={"PASS": 1}, customer=customer, unseen_s=5)
    assert rules.state(order) == "pending"
    rules.do("order.collect", by="Carl", order=order)
    assert len(rules.row("customers", customer)["passes"]) == 1


@pytest.mark.feature("RP-07", "BX-08")
def test_pass_goes_back_whole_and_unused() -> None:
    """Once it was used it does not."""
    rules, customer = shop()
    offer(rules, "PASS", "day")
    with refused("out-of-range"):
        sell(rules, customer, "PASS", 2)
    twice = [{"sku": "PASS", "quantity": 1}] * 2
    order = rules.order(at=SERVER, by="Carl", customer=customer, full_lines=twice)
    back = {"by": "Ada", "order": order, "reason": "x"}
    rules.do("sale.refund", **back, lines=[{"line": 1, "units": 1}])
    (left,) = rules.row("customers", customer)["passes"]
    assert left["line"] == 0
    rules.do("sale.refund", **back)
    assert rules.row("customers", customer)["passes"] == []
    other = sell(rules, customer, "PASS")
    (window,) = rules.row("customers", customer)["passes"]
    rules.view.store.writable = True
    accounts.change(rules.view, customer, passes=[{**window, "used": True}])
    rules.view.store.writable = False
    with refused("used-already"):
        rules.do("sale.refund", by="Ada", order=other, reason="x")


@pytest.mark.feature("RP-07")
def test_combo_is_split_by_list_price_and_moves_stock() -> None:
    """One price for products and minutes; each part has its tax, and its place in the reports."""
    rules, customer = shop()
    soda = {"sku": "SODA", "name": "Soda", "price_minor": 600, "tax_bp": 2100}
    rules.do("catalog.import", by="Ada", products=[soda], stock={"SODA": 10})
    parts = [{"sku": "SODA", "quantity": 2}]
    offer(rules, "BOTH", "combo", parts=parts, minutes=30, minutes_list_minor=300, days=7)
    order = sell(rules, customer, "BOTH", 2)
    row = rules.row("orders", order)
    found = [(ln["sku"], ln["quantity"], ln["amount_minor"]) for ln in row["lines"]]
    assert found == [("SODA", 4, 1600), ("BOTH", 2, 400)]
    assert rules.row("stock", "SODA")["on_hand"] == 6
    (bucket,) = rules.row("customers", customer)["promotions"]
    assert bucket["seconds"] == 3600
    assert rules.moves(customer, 1)[0]["seconds"] == 3600
    sold = dt.datetime.fromtimestamp(rules.wall_ms / 1000, MADRID).date()
    assert bucket["ends_ms"] == instant(*(sold + dt.timedelta(8)).timetuple()[:3])
    back = {"by": "Ada", "order": order, "reason": "x"}
    with refused("used-already"):
        rules.do("sale.refund", **back, lines=[{"line": 0, "units": 1}])
    with refused("used-already"):
        rules.do("sale.refund", **back, lines=[{"line": 1, "units": 2}])
    with refused("lines-needed"):
        rules.do("sale.refund", **back, amount_minor=100)
    rules.do("sale.refund", **back)
    assert rules.row("customers", customer)["promotions"] == []
    assert rules.row("stock", "SODA")["on_hand"] == 10


@pytest.mark.feature("RP-07")
def test_used_minutes_of_a_combo_do_not_go_back() -> None:
    """The products would; the minutes are gone."""
    rules, customer = shop()
    offer(rules, "TIME", "combo", minutes=30)
    order = sell(rules, customer, "TIME")
    (bucket,) = rules.row("customers", customer)["promotions"]
    assert bucket["ends_ms"] == 0
    rules.view.store.writable = True
    accounts.change(rules.view, customer, promotions=[{**bucket, "seconds": 1}])
    rules.view.store.writable = False
    with refused("used-already"):
        rules.do("sale.refund", by="Ada", order=order, reason="x")


@pytest.mark.feature("RP-07", "RP-08")
def test_combo_of_products_needs_no_customer_and_takes_discounts() -> None:
    """The discount comes off the one price, before it is split."""
    rules, customer = shop()
    parts = [{"sku": "COFFEE"}, {"sku": "CAKE"}]
    offer(rules, "SNACK", "combo", parts=parts, price_minor=500)
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    order = sell(rules, None, "SNACK", discounts=[{"discount": "TEN"}])
    row = rules.row("orders", order)
    assert row["total_minor"] == 450
    assert [ln["amount_minor"] for ln in row["lines"]] == [164, 286]
    line = lines.Line(sku="SNACK", quantity=1, price_minor=500)
    judged = lines.judge(rules.view, (line,), (), rules.view.cursor, "", taken=False)
    assert judged.kinds == {"product"}, "it is sold as what is in it"
    offer(rules, "TIME", "combo", minutes=30)
    both = rules.order(at=SERVER, by="Carl", customer=customer, lines={"TIME": 1, "CAKE": 1})
    assert [ln["sku"] for ln in rules.row("orders", both)["lines"]] == ["TIME", "CAKE"]
    rules.do("sale.refund", by="Ada", order=order, reason="x")


@pytest.mark.feature("RP-07", "RC-15")
def test_recharge_gives_credit_for_what_was_paid_and_the_rest_as_bonus() -> None:
    """Points are for the part that was paid; with a discount the rest is bonus too."""
    rules, customer = shop()
    offer(rules, "MORE", "recharge", price_minor=10_000, gets_minor=12_000)
    sell(rules, customer, "MORE")
    row = rules.row("customers", customer)
    assert (row["credit"], row["bonus"], row["points"]) == (10_000, 2000, 10)
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    sell(rules, customer, "MORE", discounts=[{"discount": "TEN"}])
    row = rules.row("customers", customer)
    assert (row["credit"], row["bonus"], row["points"]) == (19_000, 5000, 19)


@pytest.mark.parametrize(
    "fields",
    [
        {"form": "event", "from_ms": 5, "to_ms": 5},
        {"form": "days"},
        {"form": "combo"},
        {"form": "recharge", "gets_minor": 999},
        {"form": "recharge", "price_minor": 0},
        {"form": "combo", "parts": [{"sku": "PAGE"}]},
    ],
)
def test_offer_that_gives_nothing_is_none(fields: dict[str, Any]) -> None:
    """What its form needs is asked for."""
    rules, _ = shop()
    page = {"sku": "PAGE", "name": "Page", "price_minor": 15, "kind": "print"}
    rules.do("product.add", by="Ada", product=page)
    with refused("bad-field"):
        offer(rules, "X", **fields)


def test_offer_has_a_code_of_its_own_and_parts_that_are_there() -> None:
    """A product's code is taken; a part is a product, once."""
    rules, _ = shop()
    with refused("already-exists"):
        offer(rules, "COFFEE", "day")
    with refused("unknown-product"):
        offer(rules, "X", "combo", parts=[{"sku": "GHOST"}])
    with refused("repeated"):
        offer(rules, "X", "combo", parts=[{"sku": "COFFEE"}] * 2)
    assert benefits.split(7, [0, 0]) == [7, 0]


@pytest.mark.feature("RP-17")
def test_customers_credit_is_not_spent_without_the_server() -> None:
    """A station that is alone says so before anybody believes it."""
    rules, customer = shop()
    with refused("needs-server"):
        rules.order(
            customer=customer,
            payments=[{"method": "credit", "amount_minor": 200}],
            unseen_s=5,
            at=STATION,
        )


@pytest.mark.feature("RC-14")
def test_benefit_is_stopped_and_goes_on_as_it_was() -> None:
    """What is left of it stays; what is not there, or so already, is refused."""
    rules, customer = shop()
    offer(rules, "PASS", "day")
    offer(rules, "TIME", "combo", minutes=30)
    order = sell(rules, customer, "TIME")
    sell(rules, customer, "PASS")
    stop = {"by": "Ada", "customer": customer, "order": order, "sku": "TIME"}
    with refused("no-permission"):
        rules.do("customer.benefit", **{**stop, "by": "Carl"}, active=False)
    rules.do("customer.benefit", **stop, active=False)
    row = rules.row("customers", customer)
    assert [one["active"] for one in (*row["promotions"], *row["passes"])] == [False, True]
    assert row["promotions"][0]["seconds"] == 1800
    with refused("nothing-to-do"):
        rules.do("customer.benefit", **stop, active=False)
    with refused("unknown-benefit"):
        rules.do("customer.benefit", **{**stop, "sku": "PASS"}, active=False)
    rules.do("customer.benefit", **stop, active=True)
    assert rules.moves(customer, 1)[0]["what"] == "benefit-on"
