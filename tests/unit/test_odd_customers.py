"""What customers, their credit and cards meet on odd days: each case was once a mistake of ours."""

from __future__ import annotations

from typing import Any

import pytest

from node.cafe import accounts, customers, pins, settings
from sync.errors import Refused
from tests.support.cafe import SERVER, STATION, Rules
from tests.unit.test_cafe_recovered import again, lost

DAY_MS = 86_400_000
PATIO = STATION.hex()


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=code)


def line(sku: str, price: int, quantity: int = 1, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "quantity": quantity, "price_minor": price, **more}


def gone(rules: Rules, kind: str, **body: Any) -> list[Any]:
    """Events of an act of a life that is lost."""
    return lost(rules, lambda: rules.do(kind, **body))


def account(rules: Rules, customer: str, *names: str) -> tuple[int, ...]:
    row = rules.row("customers", customer)
    return tuple(row[name] for name in names)


def offer(rules: Rules, sku: str, form: str, **more: Any) -> None:
    fields = {"name": sku.title(), "price_minor": 1000, **more}
    rules.do("offer.add", by="Ada", sku=sku, form=form, **fields)


def cards(count: int = 3, mode: int = 1, **more: Any) -> Rules:
    rules = Rules(mode=mode)
    rules.pin_profile("CARD", **more)
    rules.pins("CARD", count, stock=True)
    return rules


# --- money ---------------------------------------------------------------------


@pytest.mark.feature("BX-08", "RP-28", "RC-07")
def test_bonus_never_leaves_as_cash() -> None:
    """What the account paid goes back to the account, and money for credit goes back as money."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    offer(rules, "MORE", "recharge", gets_minor=2000)
    rules.order(at=SERVER, by="Carl", customer=customer, lines={"MORE": 1})
    rules.products(MUG=1000)
    both = [line("C:CREDIT", 1000), line("MUG", 1000)]
    pays = [{"method": "credit", "amount_minor": 1000}]
    order = rules.order(at=SERVER, by="Carl", customer=customer, full_lines=both, payments=pays)
    assert account(rules, customer, "credit", "bonus") == (2000, 0)
    back = {"by": "Ada", "order": order, "reason": "x"}
    mug = {**back, "lines": [{"line": 1, "units": 1}]}
    for method in ("cash", "card"):
        with refused("out-of-range"):
            rules.do("sale.refund", **mug, method=method)
    with refused("out-of-range"):
        rules.do("sale.refund", **back, lines=[{"line": 0, "units": 1}], method="credit")
    rules.do("sale.refund", **mug)
    assert account(rules, customer, "credit", "bonus") == (2000, 1000)
    assert rules.box(1)["cash_refunds"] == 0
    rules.do("sale.refund", **back)
    assert account(rules, customer, "credit", "bonus") == (1000, 1000)
    assert rules.box(1)["cash_refunds"] == 1000


@pytest.mark.feature("RP-07", "OP-02")
def test_price_of_a_recharge_makes_no_bonus_negative_and_is_not_a_vendors() -> None:
    """Its price is its profile's; above what it gives the bonus is nothing."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    offer(rules, "MORE", "recharge", gets_minor=2000)
    edit = {"sku": "MORE", "changes": {"price_minor": [1, 5000]}}
    with refused("no-permission"):
        rules.do("product.edit", by="Vera", at=STATION, **edit)
    rules.do("product.edit", by="Ada", **edit)
    rules.order(at=SERVER, by="Carl", customer=customer, lines={"MORE": 1})
    assert account(rules, customer, "credit", "bonus") == (5000, 0)


@pytest.mark.feature("RP-04", "OP-02", "BX-08")
def test_recharge_is_a_charge() -> None:
    """It needs the same right; a free one goes back with its bonus."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    offer(rules, "MORE", "recharge", gets_minor=2000)
    rules.do("discount.add", by="Ada", discount="ALL", name="All", form="percent", value=10_000)
    free = rules.order(at=SERVER, by="Carl", customer=customer, lines={"MORE": 1},
                       discounts=[{"discount": "ALL"}])  # fmt: skip
    assert account(rules, customer, "credit", "bonus") == (0, 2000)
    rules.do("sale.refund", by="Ada", order=free, lines=[{"line": 0, "units": 1}], reason="x")
    assert account(rules, customer, "credit", "bonus") == (0, 0)
    rules.do("operator.edit", by="Ada", operator="Carl", denied=["credit.topup"])
    with refused("no-permission"):
        rules.order(at=SERVER, by="Carl", customer=customer, lines={"MORE": 1})


@pytest.mark.feature("RP-04", "RP-17")
def test_every_doubt_of_a_charge_is_told_and_the_mild_ones_pass() -> None:
    """Below the minimum is only told; credit for credit waits for a person, and so does what the
    account has not; none of them is refused once money was taken."""
    rules = Rules(mode=1)
    rules.profile(minimum_minor=5000)
    customer = rules.customer("ana.m", balance={"credit": 3000})
    pays = [{"method": "credit", "amount_minor": 3000}]
    order = rules.order(full_lines=[line("C:CREDIT", 3000)], customer=customer, payments=pays)
    row = rules.row("orders", order)
    assert row["state"] == "set_aside"
    assert set(row["flags"]) == {"credit-for-credit", "below-minimum"}
    rules.do("customer.lock", by="Carl", customer=customer, hours=1)
    pays = [{"method": "credit", "amount_minor": 200}]
    barred = rules.order(customer=customer, payments=pays)
    assert rules.row("orders", barred)["flags"] == ["barred"]
    short = rules.order(full_lines=[line("C:CREDIT", 100)], customer=customer, cash_minor=90)
    assert rules.row("orders", short)["flags"] == ["cash-differs", "below-minimum"]
    rules.do("order.accept", by="Carl", order=short, reason="counted")
    assert account(rules, customer, "credit") == (3100,)


def test_account_takes_no_more_than_a_log_can_hold() -> None:
    """Points and time too: a fold that cannot be written would lose the sale."""
    rules = Rules(mode=1)
    rules.profile(points=10**6, per_minor=1, need=1, minutes=10**6)
    customer = rules.customer("ana.m")
    with refused("out-of-range"):
        rules.charge(customer, 10**9)
    order = rules.charge(customer, 10**9, at=STATION, by="Vera")
    assert rules.state(order) == "set_aside"
    rules.do("customer.balance", by="Ada", customer=customer, points=[0, 10**12], reason="x")
    with refused("out-of-range"):
        rules.do("points.redeem", by="Vera", customer=customer, points=10**12)


@pytest.mark.feature("RC-16", "RC-07")
def test_no_bucket_is_pushed_out() -> None:
    """Two hundred redemptions at once are enough; none is lost for another."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"points": 10_000})
    for _ in range(accounts.MOST_BUCKETS):
        rules.do("points.redeem", by="Vera", customer=customer, points=10)
    with refused("out-of-range"):
        rules.do("points.redeem", by="Vera", customer=customer, points=10)
    assert accounts.redeemed_s(rules.row("customers", customer)) == 3600 * accounts.MOST_BUCKETS


@pytest.mark.feature("RC-18")
def test_credit_of_yesterday_is_gone_before_anybody_looks() -> None:
    """It is not spent, and a new charge does not wake it."""
    rules = Rules(mode=1)
    today = settings.today(rules.view, rules.wall_ms)
    customer = rules.customer("ana.m", balance={"credit": 500, "expires": today - 1})
    with refused("not-enough-credit"):
        pays = [{"method": "credit", "amount_minor": 200}]
        rules.order(at=SERVER, by="Carl", customer=customer, payments=pays)
    rules.charge(customer, 100)
    assert account(rules, customer, "credit", "expires") == (100, 0)
    assert [move["what"] for move in rules.moves(customer, 2)] == ["charged", "expired"]


@pytest.mark.feature("RC-09", "BX-08")
def test_sales_of_who_has_left_are_collected_and_refunded() -> None:
    """Where nothing of it was on their account, it was never about them."""
    rules = Rules(mode=2)
    customer = rules.customer("ana.m")
    waiting = rules.order(customer=customer)
    sold = rules.order(at=SERVER, by="Carl", customer=customer)
    rules.do("customer.delete", by="Ada", customer=customer, credit="forfeit", reason="x")
    rules.do("order.collect", by="Carl", order=waiting)
    for order in (waiting, sold):
        rules.do("sale.refund", by="Ada", order=order, reason="x")
    with refused("unknown-customer"):
        rules.order(at=SERVER, by="Carl", customer="aa")


@pytest.mark.feature("RC-09", "RP-04")
def test_unclaimed_money_goes_back_in_parts() -> None:
    """What is left of it goes on waiting."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    rules.do("customer.delete", by="Ada", customer=customer, credit="forfeit", reason="x")
    two = [line("C:CREDIT", 1000), line("C:CREDIT", 2000)]
    order = rules.order(full_lines=two, customer=customer)
    assert rules.row("unclaimed", order)["amount_minor"] == 3000
    back = {"by": "Ada", "order": order, "reason": "x"}
    rules.do("sale.refund", **back, lines=[{"line": 0, "units": 1}])
    assert rules.row("unclaimed", order)["amount_minor"] == 2000
    rules.do("sale.refund", **back)
    assert rules.view.table("unclaimed").peek(order) is None
    rules.view.store.writable = True
    accounts.apply_refund(rules.view, {"customer": "", "unclaimed": 1}, order, "", 0)


@pytest.mark.feature("RC-01")
def test_nothing_stands_in_credits_place() -> None:
    """Its code is nobody's, before the first profile too."""
    rules = Rules()
    product = {"sku": "C:CREDIT", "name": "Mine", "price_minor": 1}
    with refused("made-by-profile"):
        rules.do("product.add", by="Vera", at=STATION, product=product)
    with refused("made-by-profile"):
        rules.do("catalog.import", by="Ada", products=[product])


# --- cards -----------------------------------------------------------------------


@pytest.mark.feature("BX-08", "PN-08")
def test_money_of_a_card_goes_back_with_the_card() -> None:
    """No plain amount; and the second sale of a card does not take it from who bought it first."""
    rules = cards()
    order = rules.order(at=SERVER, by="Carl", lines={"CARD": 1})
    back = {"by": "Ada", "reason": "x"}
    with refused("lines-needed"):
        rules.do("sale.refund", **back, order=order, amount_minor=500)
    rules.do("pin.consign", by="Carl", serials=[2], station=PATIO)
    first, second = (rules.order(full_lines=[line("CARD", 500, serials=[2])]) for _ in range(2))
    rules.do("sale.refund", **back, order=second)
    assert rules.row("pins", "2")["state"] == "sold"
    rules.do("sale.refund", **back, order=first)
    assert rules.row("pins", "2")["state"] == "deleted"


@pytest.mark.feature("PN-13", "PN-07")
def test_ticket_sells_as_many_cards_as_it_says() -> None:
    """One serial twice, or one that another line takes from the shelf, is refused."""
    rules = cards(1)
    named = line("CARD", 500, serials=[1])
    for wrong, code in (([named, named], "bad-field"), ([named, line("CARD", 500)], "no-cards")):
        with refused(code):
            rules.order(at=SERVER, by="Carl", full_lines=wrong)
    two = cards(2)
    order = two.order(at=SERVER, by="Carl", full_lines=[line("CARD", 500), named])
    assert [ln["serials"] for ln in two.row("orders", order)["lines"]] == [[2], [1]]


@pytest.mark.feature("PN-13", "RP-17")
def test_doubtful_sale_keeps_the_card_that_was_handed_over() -> None:
    """Nobody sells it meanwhile; accepted it is theirs, rejected it is free again."""
    rules = cards(2)
    rules.do("pin.consign", by="Carl", serials=[1, 2], station=PATIO)
    doubtful = [
        rules.order(full_lines=[line("CARD", 500, serials=[serial])], cash_minor=1)
        for serial in (1, 2)
    ]
    assert pins.shelf(rules.view, "CARD", PATIO) == []
    rules.do("order.accept", by="Carl", order=doubtful[0], reason="paid")
    rules.do("order.reject", by="Carl", order=doubtful[1], reason="no")
    assert rules.row("pins", "1")["state"] == "sold"
    assert pins.shelf(rules.view, "CARD", PATIO) == [[2, 2]]
    short = rules.order(full_lines=[line("CARD", 500, 2, serials=[2])], cash_minor=1)
    assert rules.state(short) == "set_aside"
    assert pins.shelf(rules.view, "CARD", PATIO) == [[2, 2]]


@pytest.mark.feature("PN-13", "RP-19")
def test_accepted_order_is_promised_its_cards() -> None:
    """Set aside it held none; allowed it does, and nobody sells the last one before it."""
    rules = cards(1, mode=2)
    order = rules.order(lines={"CARD": 1}, total_minor=1)
    assert rules.state(order) == "set_aside"
    rules.do("order.accept", by="Carl", order=order, reason="yes")
    with refused("no-cards"):
        rules.order(at=SERVER, by="Carl", lines={"CARD": 1})
    rules.do("order.collect", by="Carl", order=order)
    assert rules.row("pins", "1")["order"] == order


@pytest.mark.feature("PN-02", "PN-07")
def test_card_past_its_day_is_not_sold_and_one_promise_stops_no_expiry() -> None:
    """A ticket of a profile whose day has passed neither."""
    rules = Rules(mode=2)
    today = settings.today(rules.view, rules.wall_ms)
    rules.pin_profile("CARD", validity="date", last_day=today)
    rules.pin_profile("HOUR", form="ticket", validity="date", last_day=today)
    rules.pins("CARD", 3, stock=True)
    rules.spares(2)
    order = rules.order(lines={"CARD": 1})
    rules.wall_ms += DAY_MS
    with refused("already-over"):
        rules.do("order.collect", by="Carl", order=order)
    with refused("already-over"):
        rules.order(at=SERVER, by="Carl", lines={"HOUR": 1})
    rules.do("pin.expire", serials=[1, 2, 3])
    assert {rules.row("pins", str(n))["state"] for n in (1, 2, 3)} == {"expired"}
    rules.do("order.deny", by="Carl", order=order, reason="late")
    assert pins.shelf(rules.view, "CARD", "") == []


@pytest.mark.feature("PN-13")
def test_station_with_many_cards_is_burnt_in_several_events() -> None:
    """However many it held."""
    rules = Rules(mode=1)
    rules.pin_profile("CARD")
    for _ in range(6):
        rules.pins("CARD", 200, stock=True)
    for first in (1, 601):
        serials = list(range(first, first + 600))
        rules.do("pin.consign", by="Carl", serials=serials, station=PATIO)
    rules.do("station.revoke", by="Ada", station=PATIO)
    _, events = rules.outcome("pin.burn", by="Ada", station=PATIO, reason="stolen")
    assert [len(body["serials"]) for _, _, body in events] == [1000, 200]
    assert pins.held_by(rules.view, PATIO) == []


# --- two lives ---------------------------------------------------------------------


@pytest.mark.feature("SY-07", "RC-18")
def test_expired_credit_of_two_lives_is_forfeited_once() -> None:
    """And what both lives have spent is told."""
    rules = Rules(mode=1)
    today = settings.today(rules.view, rules.wall_ms)
    customer = rules.customer("ana.m", balance={"credit": 700, "expires": today - 1})
    events = gone(rules, "credit.expire", customer=customer)
    rules.do("credit.expire", customer=customer)
    again(rules, events)
    assert account(rules, customer, "credit") == (0,)
    other = rules.customer("bea.m", balance={"points": 10})
    events = gone(rules, "points.redeem", by="Vera", customer=other, points=10)
    rules.do("points.redeem", by="Vera", customer=other, points=10)
    again(rules, events)
    codes = [row["code"] for _, row in rules.view.table("exceptions").scan()]
    assert codes == ["account-short"]
    ghost = accounts.CreditExpired(customer="aa", credit=5, bonus=0, at_ms=0)
    again(rules, [["credit.expired", 1, ghost]])


@pytest.mark.feature("SY-07", "RP-28")
def test_bonus_that_two_lives_have_spent_is_no_debt_of_its_own() -> None:
    """It falls on the credit, and a person is told of an account below nothing."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    offer(rules, "MORE", "recharge", price_minor=100, gets_minor=300)
    rules.order(at=SERVER, by="Carl", customer=customer, lines={"MORE": 1})
    pays = [{"method": "credit", "amount_minor": 200}]
    sale = {"lines": [line("COFFEE", 200)], "total_minor": 200, "mode": 0, "label": "D-9",
            "box": 1, "cash_minor": 0, "customer": customer, "payments": pays}  # fmt: skip
    events = gone(rules, "order.place", by="Carl", **sale)
    rules.do("order.place", by="Carl", **sale)
    again(rules, events)
    assert account(rules, customer, "credit", "bonus") == (-100, 0)
    codes = [row["code"] for _, row in rules.view.table("exceptions").scan()]
    assert "account-short" in codes


@pytest.mark.feature("SY-07", "RC-09", "RC-03")
def test_lost_life_brings_nobody_back_who_has_left() -> None:
    """What they told is erased again; a name that somebody has now is theirs."""
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    edited = gone(rules, "customer.edit", by="Carl", customer=customer,
                  changes={"first": [1, "Ana"]})  # fmt: skip
    bare = rules.do("customer.create", by="Carl", profile="STD")
    person = {"user": "secret.name"}
    described = gone(rules, "customer.describe", by="Carl", customer=bare, person=person)
    other = rules.do("customer.create", by="Carl", profile="STD")
    pepe = gone(rules, "customer.describe", by="Carl", customer=other, person={"user": "pepe"})
    rules.customer("Pepe")
    again(rules, pepe)
    again(rules, pepe)
    assert rules.row("people", other)["user"] == "pepe~2"
    kept = gone(rules, "customer.edit", by="Carl", customer=other, changes={"first": [1, "P"]})
    again(rules, kept)
    assert rules.row("people", other)["first"] == "P"
    for who in (customer, bare):
        rules.do("customer.delete", by="Ada", customer=who, credit="forfeit", reason="x")
    before = len(rules.view.table("erasing"))
    again(rules, edited)
    again(rules, described)
    assert rules.view.table("people").peek(bare) is None
    assert len(rules.view.table("erasing")) == before + 2
    assert [who for who, _ in customers.doubtful(rules.view)] == [other]
