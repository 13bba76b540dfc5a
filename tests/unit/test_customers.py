"""Customers: who they are, their credit, points and time, and that they can go."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from node.cafe import accounts, credit, customers, receipts, settings
from node.cafe.kinds import body_of
from sync.errors import Refused
from tests.support.cafe import SERVER, STATION, Rules

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


def account(rules: Rules, customer: str, *names: str) -> Any:
    row = rules.row("customers", customer)
    found = tuple(row[name] for name in names)
    return found[0] if len(found) == 1 else found


@contextlib.contextmanager
def writing(rules: Rules) -> Iterator[None]:
    """As inside a fold."""
    rules.view.store.writable = True
    yield
    rules.view.store.writable = False


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=code)


# --- profiles ------------------------------------------------------------------


@pytest.mark.feature("RC-01", "RP-12")
def test_profile_is_made_cloned_renamed_and_disabled() -> None:
    """The first makes credit a product; a customer of one that is off cannot be made."""
    rules = Rules()
    with refused("unknown-profile"):
        rules.do("customer.create", by="Carl", profile="STD")
    rules.profile()
    assert rules.row("products", "C:CREDIT")["kind"] == "credit"
    with refused("already-exists"):
        rules.profile()
    clone = {**rules.row("profiles", "STD"), "name": "Students", "minimum_minor": 500}
    rules.do("profile.add", by="Ada", profile="STUD", values=clone)
    rules.do("profile.edit", by="Ada", profile="STUD", values={**clone, "active": False})
    assert rules.row("profiles", "STUD")["points"] == 1
    with refused("unknown-profile"):
        rules.do("customer.create", by="Carl", profile="STUD")
    customer = rules.customer("ana.m")
    with refused("unknown-profile"):
        rules.do("customer.profile", by="Carl", customer=customer, profile="STUD")
    rules.do("profile.edit", by="Ada", profile="STUD", values=clone)
    rules.do("customer.profile", by="Carl", customer=customer, profile="STUD")
    assert account(rules, customer, "profile") == "STUD"
    rule = {"points": 3, "per_minor": 700, "need": 7, "minutes": 20, "on_purchases": True}
    rules.do("points.settings", by="Ada", profile="STUD", **rule)
    row = rules.row("profiles", "STUD")
    assert {name: row[name] for name in rule} == rule
    assert row["minimum_minor"] == 500
    spanish = Rules()
    spanish.do("settings.edit", by="Ada", language="es")
    spanish.profile()
    assert spanish.row("products", "C:CREDIT")["name"] == "Crédito"


def test_products_that_a_profile_makes_are_nobodys_else() -> None:
    """A catalogue file cannot turn a card into coffee, nor an edit into an open price."""
    rules = Rules()
    rules.pin_profile("CARD")
    product = {"sku": "CARD", "name": "Card", "price_minor": 1}
    with refused("made-by-profile"):
        rules.do("catalog.import", by="Ada", products=[product])
    with refused("made-by-profile"):
        rules.do("product.edit", by="Ada", sku="CARD", changes={"open_price": [1, True]})
    rules.do("product.edit", by="Vera", at=STATION, sku="CARD", changes={"category": [1, "PC"]})
    rules.do("product.edit", by="Ada", sku="CARD", changes={"price_minor": [1, 700]})
    assert rules.row("products", "CARD")["price_minor"] == 700


# --- who -----------------------------------------------------------------------


@pytest.mark.feature("RC-02", "RC-03")
@pytest.mark.parametrize("user", ["abc", " ab  ", "x" * 33, "ana~2"])
def test_user_name_has_its_length_and_no_tilde(user: str) -> None:
    """Four characters at least: the bound is the same for whoever asks."""
    rules = Rules()
    rules.profile()
    customer = rules.do("customer.create", by="Carl", profile="STD")
    with refused("bad-user"):
        rules.do("customer.describe", by="Carl", customer=customer, person={"user": user})


@pytest.mark.feature("RC-03")
def test_user_name_is_unique_under_case_and_accents_composed() -> None:
    """At the desk a taken name is refused; of two stations' the second is renamed, and its money
    stays with it."""
    rules = Rules(mode=1)
    first = rules.customer("José")
    assert customers.find(rules.view, "JOSE\u0301") == first
    with refused("unknown-customer"):
        customers.find(rules.view, "nobody")
    with refused("name-taken"):
        rules.customer("josé")
    other = rules.do("customer.create", by="Vera", at=STATION, profile="STD")
    person = {"user": "JOSÉ", "first": "José", "last": "Mora"}
    rules.do("customer.describe", by="Vera", at=STATION, customer=other, person=person)
    rules.charge(other, 1000, at=STATION, by="Vera")
    assert rules.row("people", other)["user"] == "JOSÉ~2"
    assert account(rules, other, "credit") == 1000
    assert [customer for customer, _ in customers.doubtful(rules.view)] == [other]
    rules.do("customer.edit", by="Carl", customer=other, changes={"user": [1, "jmora"]})
    assert not customers.doubtful(rules.view)
    assert customers.full_name(rules.view, other) == "José Mora"
    assert customers.full_name(rules.view, first) == "José"
    assert customers.full_name(rules.view, "00") == ""
    assert customers.person(rules.view, first)["user"] == "José"
    with refused("already-exists"):
        rules.do("customer.describe", by="Carl", customer=first, person={"user": "again"})
    with refused("name-taken"):
        rules.do("customer.edit", by="Carl", customer=other, changes={"user": [2, "José"]})
    rules.do("customer.edit", by="Carl", customer=other, changes={"user": [2, "JMora"]})
    assert rules.row("people", other)["user"] == "JMora"


@pytest.mark.feature("RC-06")
def test_edits_of_a_person_merge_and_conflicts_wait() -> None:
    """Another field merges; of the same the first stays, with both values beside it until a person
    has looked."""
    rules = Rules()
    customer = rules.customer("ana.m")
    edit = {"by": "Carl", "customer": customer}
    rules.do("customer.edit", **edit, changes={"phone": [1, "aa"]})
    rules.do("customer.edit", **edit, changes={"email": [1, "bb"]})
    rules.do("customer.edit", **edit, changes={"phone": [1, "cc"]})
    row = rules.row("people", customer)
    assert (row["phone"], row["email"]) == ("aa", "bb")
    assert row["conflicts"]["phone"][:2] == ["aa", "cc"]
    assert customers.doubtful(rules.view)
    rules.do("customer.edit", **edit, changes={"phone": [2, "cc"]})
    assert rules.row("people", customer)["phone"] == "cc"
    assert not customers.doubtful(rules.view)
    with refused("unknown-customer"):
        rules.do("customer.edit", by="Carl", customer="00", changes={"phone": [1, "aa"]})
    bare = rules.do("customer.create", by="Carl", profile="STD")
    with refused("unknown-customer"):
        rules.do("customer.edit", by="Carl", customer=bare, changes={"phone": [1, "aa"]})


# --- locks -----------------------------------------------------------------------


@pytest.mark.feature("RC-12", "RC-13")
def test_lock_bars_spending_and_ends_by_itself_or_by_hand() -> None:
    """Charging goes on; at its end the customer is free again without anybody."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"credit": 1000, "points": 20})
    other = rules.customer("bea.m")
    rules.do("customer.lock", by="Carl", customer=customer, hours=1, reason="noise")
    pays = [{"method": "credit", "amount_minor": 200}]
    coffee = {"at": SERVER, "by": "Carl", "customer": customer, "payments": pays}
    with refused("barred"):
        rules.order(**coffee)
    with refused("barred"):
        rules.do("points.redeem", by="Vera", customer=customer, points=10)
    with refused("barred"):
        rules.do("credit.transfer", by="Carl", customer=customer, to=other, amount_minor=5)
    rules.do("credit.transfer", by="Ada", customer=rules.customer("rich", {"credit": 9}),
             to=customer, amount_minor=9)  # fmt: skip
    rules.charge(customer, 500)
    rules.wall_ms += HOUR_MS
    rules.order(**coffee)
    assert account(rules, customer, "credit") == 1309
    rules.do("customer.lock", by="Carl", customer=customer, reason="for ever")
    rules.wall_ms += 400 * DAY_MS
    with refused("barred"):
        rules.order(**coffee)
    rules.do("customer.unlock", by="Carl", customer=customer)
    rules.order(**coffee)
    with refused("not-locked"):
        rules.do("customer.unlock", by="Carl", customer=customer)
    for wrong in ({"hours": 0}, {"hours": -5}, {"days": 366}):
        with refused("out-of-range"):
            rules.do("customer.lock", by="Carl", customer=customer, **wrong)
    with refused("too-long"):
        rules.do("customer.lock", by="Carl", customer=customer, days=1, reason="x" * 501)


# --- credit --------------------------------------------------------------------


@pytest.mark.feature("RP-04", "RC-05", "RC-15")
@pytest.mark.parametrize("mode", [1, 2])
def test_credit_counts_when_its_money_does(mode: int) -> None:
    """In Mode 2 nothing is added before the order is collected, and a denied one leaves no trace."""
    rules = Rules(mode=mode)
    customer = rules.customer("ana.m")
    order = rules.charge(customer, 2500, at=STATION, by="Vera")
    if mode == 2:
        assert account(rules, customer, "credit", "points", "moves") == (0, 0, 1)
        denied = rules.charge(customer, 100, at=STATION, by="Vera")
        rules.do("order.deny", by="Carl", order=denied, reason="no money")
        assert account(rules, customer, "credit", "moves") == (0, 1)
        rules.do("order.collect", by="Carl", order=order)
    assert account(rules, customer, "credit", "points", "rest") == (2500, 2, 500)
    (last,) = rules.moves(customer, 1)
    assert (last["what"], last["credit"], last["credit_after"], last["points"]) == (
        "charged", 2500, 2500, 2,
    )  # fmt: skip
    assert rules.box(1)["methods"]["cash"] == [2500, 0]


@pytest.mark.feature("RC-02", "RP-04")
def test_first_charge_has_its_minimum() -> None:
    """At the desk less is refused; what a station took already stands, and is flagged."""
    rules = Rules(mode=1)
    rules.profile(minimum_minor=500)
    customer = rules.customer("ana.m")
    with refused("below-minimum"):
        rules.charge(customer, 499)
    order = rules.charge(customer, 499, at=STATION, by="Vera")
    assert rules.row("orders", order)["flags"] == ["below-minimum"]
    assert account(rules, customer, "credit") == 499
    rules.charge(customer, 1)
    with refused("out-of-range"):
        rules.charge(customer, 0)


@pytest.mark.feature("RP-04", "RP-28")
def test_line_for_a_customer_needs_one() -> None:
    """Credit without a customer, for a stranger, or paid with credit is no sale."""
    rules = Rules(mode=1)
    rules.profile()
    line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": 100}
    desk = {"at": SERVER, "by": "Carl", "full_lines": [line]}
    with refused("customer-needed"):
        rules.order(**desk)
    with refused("unknown-customer"):
        rules.order(**desk, customer="aa")
    customer = rules.customer("ana.m", balance={"credit": 1000})
    with refused("credit-for-credit"):
        pays = [{"method": "credit", "amount_minor": 100}]
        rules.order(**desk, customer=customer, payments=pays)
    with refused("unknown-method"):
        rules.order(at=SERVER, by="Carl", payments=[{"method": "credit", "amount_minor": 1}])
    order = rules.order(full_lines=[line])
    assert rules.row("orders", order)["flags"] == ["customer-needed"]
    assert rules.state(order) == "set_aside"


@pytest.mark.feature("RP-04", "OP-02")
def test_charging_needs_its_right() -> None:
    """Who may sell may not charge credit for it."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    rules.do("operator.edit", by="Ada", operator="Carl", denied=["credit.topup"])
    with refused("no-permission"):
        rules.charge(customer, 100)


@pytest.mark.feature("RP-28", "RC-11")
def test_purchase_takes_bonus_then_credit_then_debt() -> None:
    """Debt only by who may give it, within the profile's maximum."""
    rules = Rules(mode=1)
    rules.profile(max_debt_minor=300)
    customer = rules.customer("ana.m", balance={"credit": 100})
    rules.do("offer.add", by="Ada", sku="MORE", name="More", form="recharge", price_minor=100,
             gets_minor=150)  # fmt: skip
    rules.order(at=SERVER, by="Carl", lines={"MORE": 1}, customer=customer)
    assert account(rules, customer, "credit", "bonus") == (200, 50)

    def buy(amount: int, by: str, price: int) -> str:
        line = {"sku": "OPEN", "quantity": 1, "price_minor": price}
        pays = [{"method": "credit", "amount_minor": amount}]
        return rules.order(at=SERVER, by=by, full_lines=[line], customer=customer, payments=pays)

    rules.do("product.add", by="Ada", product={
        "sku": "OPEN", "name": "Open", "price_minor": 0, "open_price": True})  # fmt: skip
    first = buy(220, "Carl", 250)
    assert account(rules, customer, "credit", "bonus") == (30, 0)
    assert rules.row("orders", first)["cash_minor"] == 30
    with refused("not-enough-credit"):
        buy(31, "Carl", 31)
    with refused("not-enough-credit"):
        buy(331, "Ada", 331)
    buy(330, "Ada", 330)
    assert account(rules, customer, "credit") == -300
    rules.charge(customer, 1000)
    assert account(rules, customer, "credit") == 700
    assert rules.box(1)["methods"]["credit"] == [550, 0]


@pytest.mark.feature("RP-28")
def test_station_sells_on_credit_what_the_server_still_finds_there() -> None:
    """Mode 1: the money was promised; if it is not there a person decides."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"credit": 250})
    pays = [{"method": "credit", "amount_minor": 200}]
    first = rules.order(customer=customer, payments=pays)
    second = rules.order(customer=customer, payments=pays)
    assert (rules.state(first), rules.state(second)) == ("collected", "set_aside")
    assert rules.row("orders", second)["flags"] == ["not-enough-credit"]
    with refused("not-enough-credit"):
        rules.do("order.accept", by="Carl", order=second, reason="yes")
    rules.charge(customer, 500)
    rules.do("order.accept", by="Carl", order=second, reason="yes")
    assert account(rules, customer, "credit") == 350


@pytest.mark.feature("RP-28")
def test_waiting_order_on_credit_is_paid_when_it_is_collected() -> None:
    """Not before, and only if it is there then."""
    rules = Rules(mode=2)
    customer = rules.customer("ana.m")
    order = rules.order(customer=customer, payments=[{"method": "credit", "amount_minor": 200}])
    with refused("not-enough-credit"):
        rules.do("order.collect", by="Carl", order=order)
    rules.do("order.collect", by="Carl", order=rules.charge(customer, 300, at=STATION, by="Vera"))
    rules.do("order.collect", by="Carl", order=order)
    assert account(rules, customer, "credit") == 100


@pytest.mark.feature("RC-15", "RC-01")
def test_points_are_for_money_and_for_purchases_where_the_profile_says_so() -> None:
    """What is paid with credit earns nothing."""
    rules = Rules(mode=1)
    rules.profile(points=2, per_minor=100, on_purchases=True)
    customer = rules.customer("ana.m", balance={"credit": 150})
    pays = [{"method": "credit", "amount_minor": 150}]
    rules.order(at=SERVER, by="Carl", customer=customer, payments=pays, lines={"COFFEE": 1})
    assert account(rules, customer, "points", "rest") == (1, 0)
    rules.profile("NONE", points=0, on_purchases=True)
    rules.do("customer.profile", by="Carl", customer=customer, profile="NONE")
    rules.order(at=SERVER, by="Carl", customer=customer)
    assert account(rules, customer, "points", "credit") == (1, 0)


@pytest.mark.feature("RC-18")
def test_credit_expires_after_its_last_day() -> None:
    """On that day it is still good; near it it is listed; a debt and points stay."""
    rules = Rules(mode=1)
    rules.profile(expiry_days=10)
    customer = rules.customer("ana.m")
    rules.charge(customer, 700)
    day = settings.today(rules.view, rules.wall_ms)
    assert account(rules, customer, "expires") == day + 10
    assert accounts.near_expiry(rules.view, rules.wall_ms) == []
    rules.wall_ms += 3 * DAY_MS
    ((near, _),) = accounts.near_expiry(rules.view, rules.wall_ms)
    assert near == customer
    rules.wall_ms += 7 * DAY_MS
    assert accounts.overdue(rules.view, rules.wall_ms) == []
    with refused("too-early"):
        rules.do("credit.expire", customer=customer)
    rules.wall_ms += DAY_MS
    assert accounts.overdue(rules.view, rules.wall_ms) == [customer]
    rules.do("credit.expire", customer=customer)
    assert account(rules, customer, "credit", "expires") == (0, 0)
    (last,) = rules.moves(customer, 1)
    assert (last["what"], last["credit"]) == ("expired", -700)


@pytest.mark.feature("RC-06", "RC-07")
def test_balance_is_corrected_with_a_reason_by_who_may() -> None:
    """Each value says what it was; what has changed meanwhile is not overwritten; minutes have no
    field at all."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    edit = {"by": "Ada", "customer": customer}
    day = dt.date(2026, 12, 31).toordinal()
    changes = {"credit": [0, 500], "points": [0, 7], "expires": [0, day]}
    with refused("reason-needed"):
        rules.do("customer.balance", **edit, **changes)
    with refused("no-permission"):
        rules.do("customer.balance", by="Carl", customer=customer, **changes, reason="x")
    rules.do("customer.balance", **edit, **changes, reason="found")
    assert account(rules, customer, "credit", "points", "expires") == (500, 7, day)
    with refused("changed-meanwhile"):
        rules.do("customer.balance", **edit, credit=[0, 1], reason="x")
    with refused("nothing-to-do"):
        rules.do("customer.balance", **edit, credit=[500, 500], reason="x")
    with refused("out-of-range"):
        rules.do("customer.balance", **edit, expires=[day, -1], reason="x")
    with refused("bad-field"):
        rules.do("customer.balance", **edit, redeemed=[0, 60], reason="x")
    rules.do("customer.balance", **edit, points=[7, 3], reason="x")
    (last,) = rules.moves(customer, 1)
    assert (last["what"], last["points"], last["details"]) == ("edited", -4, {"reason": "x"})


@pytest.mark.feature("RC-11")
def test_transfer_moves_credit_and_the_later_date() -> None:
    """Bonus is not transferred; nobody gives to themselves, or more than they have."""
    rules = Rules(mode=1)
    day = 739_000
    source = rules.customer("ana.m", balance={"credit": 500, "expires": day})
    target = rules.customer("bea.m", balance={"credit": 10, "expires": day + 9})
    give = {"by": "Carl", "customer": source, "to": target}
    for wrong, code in (({**give, "to": source}, "bad-field"), (give, "not-enough-credit")):
        with refused(code):
            rules.do("credit.transfer", **wrong, amount_minor=501)
    rules.do("credit.transfer", **give, amount_minor=200)
    assert account(rules, source, "credit", "expires") == (300, day)
    assert account(rules, target, "credit", "expires") == (210, day + 9)
    fresh, lasting = rules.customer("new.m"), rules.customer("old.m", balance={"credit": 1})
    for other, expires in ((fresh, day), (lasting, 0)):
        rules.do("credit.transfer", by="Carl", customer=source, to=other, amount_minor=1)
        assert account(rules, other, "expires") == expires


# --- points ----------------------------------------------------------------------


@pytest.mark.feature("RC-16", "RC-07", "RP-28")
def test_points_become_time_or_products_and_can_be_undone_unused() -> None:
    """Stock moves; the Z counts points as points; undoing gives all of it back once."""
    rules = Rules(mode=1)
    mug = {"sku": "MUG", "name": "Mug", "price_minor": 900, "points": 6}
    wash = {"sku": "WASH", "name": "Wash", "price_minor": 9, "points": 1, "kind": "service"}
    rules.do("catalog.import", by="Ada", products=[mug, wash], stock={"MUG": 5})
    customer = rules.customer("ana.m", balance={"points": 40})
    redeem = {"by": "Vera", "customer": customer}
    time = rules.do("points.redeem", **redeem, points=15)
    assert account(rules, customer, "points") == 25
    assert accounts.redeemed_s(rules.row("customers", customer)) == 90 * 60
    wanted = [{"sku": "MUG", "quantity": 2}, {"sku": "WASH"}]
    things = rules.do("points.redeem", **redeem, products=wanted)
    assert account(rules, customer, "points") == 12
    assert rules.row("stock", "MUG")["on_hand"] == 3
    assert rules.box(1)["methods"]["points"] == [28, 0]
    assert rules.box(1)["total_minor"] == 0
    for wrong, code in (
        ({"points": 9}, "below-minimum"),
        ({"points": 13}, "not-enough-points"),
        ({"products": [{"sku": "COFFEE"}]}, "not-for-points"),
        ({"products": [{"sku": "MUG", "quantity": 3}]}, "not-enough-points"),
        ({"products": [{"sku": "GHOST"}]}, "unknown-product"),
        ({}, "bad-field"),
        ({"points": 10, "products": wanted}, "bad-field"),
    ):
        with refused(code):
            rules.do("points.redeem", **redeem, **wrong)
    rules.do("product.edit", by="Ada", sku="WASH", changes={"active": [1, False]})
    with refused("not-for-sale"):
        rules.do("points.redeem", **redeem, products=[{"sku": "WASH"}])
    for one in (time, things):
        rules.do("points.undo", by="Vera", redemption=one)
        with refused("bad-state"):
            rules.do("points.undo", by="Vera", redemption=one)
    assert account(rules, customer, "points", "redeemed") == (40, [])
    assert rules.row("stock", "MUG")["on_hand"] == 5
    assert rules.box(1)["methods"]["points"] == [28, 28]
    with refused("unknown-redemption"):
        rules.do("points.undo", by="Vera", redemption="00")


def test_used_time_is_not_undone() -> None:
    """Whoever sat at a PC with it has had it."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"points": 40})
    redemption = rules.do("points.redeem", by="Vera", customer=customer, points=10)
    left = rules.row("customers", customer)["redeemed"]
    with writing(rules):
        accounts.change(rules.view, customer, redeemed=[[60, *left[0][1:]]])
    with refused("used-already"):
        rules.do("points.undo", by="Vera", redemption=redemption)


# --- refunds ---------------------------------------------------------------------


@pytest.mark.feature("RC-15", "BX-08")
def test_refund_of_a_charge_takes_credit_and_points_back() -> None:
    """Up to what is left of it and of the credit; points may go below zero, and then nothing is
    redeemed."""
    rules = Rules(mode=1)
    rules.profile(points=10)
    customer = rules.customer("ana.m")
    order = rules.charge(customer, 1000)
    rules.do("points.redeem", by="Vera", customer=customer, points=10)
    back = {"by": "Ada", "order": order, "reason": "mistake"}
    with refused("lines-needed"):
        rules.do("sale.refund", **back, amount_minor=300)
    pays = [{"method": "credit", "amount_minor": 200}]
    rules.order(at=SERVER, by="Carl", customer=customer, payments=pays)
    with refused("not-enough-credit"):
        rules.do("sale.refund", **back)
    rules.charge(customer, 1000)
    rules.do("sale.refund", **back)
    assert account(rules, customer, "credit", "points") == (800, 0)
    with refused("below-minimum"):
        rules.do("points.redeem", by="Vera", customer=customer, points=5)


@pytest.mark.feature("BX-08", "RP-28")
def test_refund_of_a_purchase_gives_credit_then_bonus_back() -> None:
    """In parts too; bonus never becomes credit."""
    rules = Rules(mode=1)
    rules.profile(on_purchases=True, per_minor=100)
    customer = rules.customer("ana.m", balance={"credit": 100})
    rules.do("offer.add", by="Ada", sku="MORE", name="More", form="recharge", price_minor=50,
             gets_minor=200)  # fmt: skip
    recharge = rules.order(at=SERVER, by="Carl", lines={"MORE": 1}, customer=customer)
    pays = [{"method": "credit", "amount_minor": 250}]
    order = rules.order(at=SERVER, by="Carl", customer=customer, payments=pays, lines={"COFFEE": 2})
    assert account(rules, customer, "credit", "bonus", "points", "rest") == (50, 0, 2, 0)
    with refused("used-already"):
        rules.do("sale.refund", by="Ada", order=recharge, reason="x")
    back = {"by": "Ada", "order": order, "reason": "cold"}
    rules.do("sale.refund", **back, amount_minor=150, method="cash")
    rules.do("sale.refund", **back, amount_minor=120)
    assert account(rules, customer, "credit", "bonus", "points") == (150, 20, 0)
    rules.do("sale.refund", **back)
    assert account(rules, customer, "credit", "bonus") == (150, 150)
    rules.do("sale.refund", by="Ada", order=recharge, reason="x")
    assert account(rules, customer, "credit", "bonus", "points", "rest") == (100, 0, 0, 0)


# --- leaving ---------------------------------------------------------------------


@pytest.mark.feature("RC-09")
@pytest.mark.parametrize("what", ["refund", "forfeit"])
def test_deleted_customer_leaves_a_tombstone(what: str) -> None:
    """Credit is paid out of the box or forfeited, on record; what they told is gone; what comes later
    is refused."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"credit": 500})
    rules.do("customer.edit", by="Carl", customer=customer, changes={"first": [1, "Ana"]})
    delete = {"by": "Ada", "customer": customer, "credit": what}
    with refused("reason-needed"):
        rules.do("customer.delete", **delete, reason=" ")
    if what == "refund":
        with refused("server-only"):
            rules.do("customer.delete", **delete, at=STATION, reason="moved")
    rules.do("customer.delete", **delete, reason="moved")
    assert rules.view.table("people").peek(customer) is None
    assert len(rules.view.table("erasing")) == 2
    assert account(rules, customer, "credit", "deleted") == (0, True)
    assert rules.box(1)["cash_out"] == (500 if what == "refund" else 0)
    with refused("deleted"):
        rules.do("customer.edit", by="Carl", customer=customer, changes={"first": [2, "X"]})
    with refused("deleted"):
        rules.charge(customer, 10)
    again = rules.customer("ana.m")
    assert again != customer


@pytest.mark.feature("RC-09")
def test_debt_is_paid_or_written_off_before_leaving() -> None:
    """Nobody leaves in debt by mistake."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"credit": -50})
    delete = {"by": "Ada", "customer": customer, "credit": "forfeit", "reason": "x"}
    with refused("in-debt"):
        rules.do("customer.delete", **delete)
    _, events = rules.outcome("customer.delete", **delete, write_off=True)
    assert events[0][2]["written_off_minor"] == 50
    assert account(rules, customer, "credit") == 0


@pytest.mark.feature("RC-09", "RP-04")
def test_money_for_who_has_left_waits_unclaimed() -> None:
    """It is in the till, and no account has it; a refund gives it back."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    waiting = Rules(mode=2)
    other = waiting.customer("ana.m")
    order = waiting.charge(other, 100, at=STATION, by="Vera")
    waiting.do("customer.delete", by="Ada", customer=other, credit="forfeit", reason="x")
    with refused("deleted"):
        waiting.do("order.collect", by="Carl", order=order)
    rules.do("customer.delete", by="Ada", customer=customer, credit="forfeit", reason="x")
    order = rules.charge(customer, 100, at=STATION, by="Vera")
    assert rules.row("unclaimed", order)["amount_minor"] == 100
    codes = [row["code"] for _, row in rules.view.table("exceptions").scan()]
    assert codes == ["customer-deleted"]
    rules.do("sale.refund", by="Ada", order=order, reason="nobody's")
    assert len(rules.view.table("unclaimed")) == 0
    mixed = [{"sku": "C:CREDIT", "quantity": 1, "price_minor": 5}, {"sku": "COFFEE", "quantity": 1}]
    order = rules.order(full_lines=mixed, customer=customer)
    assert rules.row("orders", order)["flags"] == ["customer-deleted"]
    assert rules.state(order) == "set_aside"


def test_refused_personal_data_is_noted_by_its_customer_alone() -> None:
    """A refusal keeps nothing of what was said, and its body goes with the customer."""
    rules = Rules()
    customer = rules.customer("ana.m")
    row: dict[str, Any] = {"details": {"what": "secret"}}

    op: Any = SimpleNamespace(body={"customer": customer}, key=b"k" * 16)
    with writing(rules):
        customers.note_refused(rules.view, row, op)
    assert row == {"about": customer, "details": {}}
    assert len(rules.view.table("erasing")) == 0
    rules.do("customer.delete", by="Ada", customer=customer, credit="forfeit", reason="x")
    with writing(rules):
        customers.note_refused(rules.view, row, op)
        op.body = {"customer": 5}
        customers.note_refused(rules.view, row, op)
    assert row["about"] == ""
    assert rules.view.table("erasing").peek((b"k" * 16).hex()) is not None


def test_fold_of_what_is_not_here_changes_nothing() -> None:
    """A restored server may hear of accounts whose making it has lost."""
    rules = Rules(mode=1)
    rules.profile()
    table = rules.view.table("customers")
    facts: list[Any] = [
        customers.PersonEdited(customer="aa", values={}, conflicts={}, settled=[], operator="",
                               at_ms=0, key="00"),
        customers.CustomerDeleted(customer="aa", paid_out_minor=5, forfeited_minor=0,
                                  written_off_minor=0, reason="", operator="", at_ms=0, box=1,
                                  keys=[]),
        accounts.BalanceEdited(customer="aa", credit=5, points=0, expires=[0, 1], reason="",
                               operator="", at_ms=0),
        accounts.PointsRedeemed(redemption="bb", customer="aa", points=1, minutes=1, products=[],
                                units=[], operator="", station="", at_ms=0, box=1, seq=1),
        accounts.RedeemUndone(redemption="bb", operator="", at_ms=0, box=1),
        accounts.BenefitSwitched(
            customer="aa", order="", sku="", active=True, operator="", at_ms=0
        ),
    ]  # fmt: skip
    names = ["customer.edited", "customer.deleted", "balance.edited", "points.redeemed",
             "redeem.undone", "benefit.switched"]  # fmt: skip
    with writing(rules):
        for name, fact in zip(names, facts, strict=True):
            rules.cafe.apply(rules.view, [name, 1, fact])
        does = {"customer": "aa", "credit": 1, "bonus": 0}
        accounts.apply_sale(rules.view, does, "00", {"operator": "", "station": ""}, 0)
        accounts.apply_refund(rules.view, does, "00", "", 0)
        rules.view.table("redemptions").put("cc", {"customer": "aa", "undone": False})
        accounts.apply_undone(rules.view, accounts.RedeemUndone(
            redemption="cc", operator="", at_ms=0, box=1))  # fmt: skip
        rules.cafe.reapply(rules.view, ["customer.deleted", 1, facts[1]])
    assert len(table) == 0
    assert rules.moves("aa", 5) == []
    assert accounts.of_sale(rules.view, "aa", [], [], None) == {}  # type: ignore[arg-type]


def test_deletion_of_a_lost_life_pays_out_of_the_open_box_only() -> None:
    """What was paid out of a box that this life has closed is for a person."""
    for closed in (False, True):
        rules = Rules(mode=1)
        customer = rules.customer("ana.m", balance={"credit": 500})
        fact = customers.CustomerDeleted(
            customer=customer, paid_out_minor=500, forfeited_minor=0, written_off_minor=0,
            reason="x", operator="", at_ms=0, box=1, keys=[],
        )  # fmt: skip
        if closed:
            rules.do("box.close", by="Ada", declared_minor=0)
        with writing(rules):
            for _ in range(2):
                rules.cafe.reapply(rules.view, ["customer.deleted", 1, fact])
        codes = [row["code"] for _, row in rules.view.table("exceptions").scan()]
        assert codes == (["box-differs"] if closed else [])
        assert rules.box(1)["cash_out"] == (0 if closed else 500)
    other = rules.customer("bea.m")
    fact = customers.CustomerDeleted(
        customer=other, paid_out_minor=0, forfeited_minor=0, written_off_minor=0,
        reason="x", operator="", at_ms=0, box=1, keys=[],
    )  # fmt: skip
    with writing(rules):
        rules.cafe.reapply(rules.view, ["customer.deleted", 1, fact])
    assert account(rules, other, "deleted")


def test_command_says_what_it_was_given() -> None:
    """What is not said of a person is not in the op."""
    command = customers.DescribeCustomer(customer="00", person=customers.Person(user="ana.m"))
    assert body_of(command)["person"]["user"] == "ana.m"


def test_account_holds_no_more_than_a_log_can() -> None:
    """Neither by a charge nor by hand."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"credit": 10**15})
    with refused("out-of-range"):
        rules.charge(customer, 1)
    with refused("out-of-range"):
        credit.top_up(credit.Balance(), 0)
    full = credit.Balance(10**15)
    with refused("out-of-range"):
        credit.transfer(credit.Balance(5), full, 5)


def test_time_that_is_billed_in_pieces_is_one_piece() -> None:
    """Where a promotion ends just as another begins nobody pays twice for the border."""
    used = credit.use_time(0, 100, [(40, 60)], [(10, 15, 1)], [])
    assert (used.promotion, used.passes, used.billed) == (10, 20, [[10, 40], [60, 100]])
    used = credit.use_time(0, 100, [(40, 60), (80, 80)], [(10, 5, 1)], [(3, 2), (4, 1)])
    assert (used.promotion, used.redeemed, used.billed_s) == (5, 7, 68)
    assert used.billed == [[12, 40], [60, 100]]


@pytest.mark.feature("PR-01", "RC-11")
def test_ticket_says_what_is_left_on_the_account() -> None:
    """Of who has left it says no name any more."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    rules.charge(customer, 2500)
    shown = receipts.ticket(rules.view, "t-1")
    assert shown["customer"] == {"name": "ana.m", "credit": 2500, "bonus": 0, "points": 2}
    delete = {"customer": customer, "credit": "forfeit", "reason": "x"}
    rules.do("customer.delete", by="Ada", **delete)
    assert receipts.ticket(rules.view, "t-1")["customer"]["name"] == "–"
    pays = [{"method": "credit", "amount_minor": 100}]
    other = rules.customer("bea.m", balance={"credit": 500})
    rules.order(at=SERVER, by="Carl", customer=other, payments=pays)
    assert receipts.ticket(rules.view, "t-2")["payments"] == [["credit", "", 100]]
