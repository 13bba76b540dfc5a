"""Rates, PCs, sessions and reservations: the rules, decided and folded as the server does it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from node.cafe import (
    accounts,
    bill,
    customers,
    meter,
    orders,
    pcs,
    pins,
    receipts,
    refunds,
    reports,
    reservations,
    sessions,
    settings,
    settling,
)
from node.cafe.house import Cafe
from sync.errors import Refused
from sync.identity import Ed25519Signer, node_id
from tests.support.cafe import SERVER, STATION, Rules

RATE = {
    "name": "PC",
    "bands": [{"minute": 0, "price_minor": 50, "block_s": 900}],
    "minimum_minor": 100,
    "tax_bp": 1000,
}


class Hall(Rules):
    """A café with PCs."""

    def __init__(self, count: int = 3, *, mode: int = 1, **settings: Any) -> None:
        super().__init__(mode=mode, **settings)
        self.do("rate.put", by="Ada", rate="STD", values=RATE)
        for number in range(1, count + 1):
            self.enrol(number)

    def enrol(self, number: int, **more: Any) -> str:
        key = Ed25519Signer(bytes([100 + number]) * 32)
        fields = {"number": number, "rate": "STD", "certificate": "00", **more}
        self.do("pc.enrol", by="Ada", public_key=key.public.hex(), **fields)
        return node_id(key.public).hex()

    def pc(self, number: int) -> str:
        return pcs.called(self.view, number)

    @contextlib.contextmanager
    def folding(self) -> Iterator[None]:
        """Tables may be written, as while an entry is folded."""
        self.view.store.writable = True
        yield
        self.view.store.writable = False

    def reapply(self, event: Any) -> None:
        """Fold an event that a restored server gets back."""
        with self.folding():
            self.cafe.reapply(self.view, event)

    def begin(self, number: int = 1, **more: Any) -> str:
        return self.do("session.start", by="Carl", pc=self.pc(number), **more)

    def open(self, number: int = 1, **more: Any) -> str:
        """With a PIN, or a customer's password, which is made if it has to be."""
        customer = more.get("customer", "")
        known = customer and self.view.table("customers").peek(customer)
        if known and not customers.has_password(self.view, customer):
            self.do("customer.password", customer=customer, verifier="aa")
        return self.do("session.open", pc=self.pc(number), **more)

    def end(self, session: str, seconds: int, **more: Any) -> None:
        self.do("session.end", by="Carl", session=session, seconds=seconds, **more)

    def close(self, session: str, seconds: int, why: str = "customer", **more: Any) -> None:
        self.do("session.close", session=session, seconds=seconds, why=why, **more)

    def pay(self, session: str, by: str = "Carl", **more: Any) -> None:
        self.do("session.pay", by=by, session=session, **more)

    def session(self, session: str) -> dict[str, Any]:
        return self.row("sessions", session)

    def on_pc(self, session: str, amount: int = 200, at: bytes = SERVER, **more: Any) -> str:
        """A coffee on a PC's account."""
        pays = [{"method": "pc", "amount_minor": amount}]
        by = "Carl" if at == SERVER else "Vera"
        return self.order(at=at, by=by, payments=pays, session=session, **more)

    def card(self, **profile: Any) -> int:
        """A sold card of an hour; its serial."""
        if self.view.table("pin_profiles").peek("CARD") is None:
            self.pin_profile("CARD", **profile)
        self.pins("CARD", 1, stock=True)
        self.order(at=SERVER, by="Carl", lines={"CARD": 1})
        return pins.last_serial(self.view)


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=f"^{code}")


# --- free use and the bill -----------------------------------------------------


@pytest.mark.feature("PC-02", "PC-03", "BX-01")
def test_free_use_is_billed_at_its_end_and_enters_the_box_when_it_is_paid() -> None:
    """Three quarters of an hour begun are three blocks; the money is the box's once it is paid."""
    hall = Hall()
    session = hall.begin()
    with refused("pc-in-use"):
        hall.begin()
    hall.end(session, 1801)
    row = hall.session(session)
    assert (row["state"], row["price_minor"], row["due_minor"]) == ("due", 150, 150)
    assert sessions.who(hall.view, row) == ""
    assert hall.box(1)["total_minor"] == 0
    assert [name for name, _ in sessions.due(hall.view)] == [session]
    hall.pay(session, tendered_minor=200)
    assert hall.session(session)["state"] == "ended" and not sessions.due(hall.view)
    box = hall.box(1)
    assert (box["total_minor"], box["desk_cash"], box["taxes"]) == (
        150,
        150,
        {"1000": [150, 136, 14]},
    )
    (sale,) = hall.view.table("orders").search(orders.where("session") == session)
    assert (sale["change_minor"], sale["pc"], sale["lines"][0]["note"]) == (50, 1, "PC 1 · 0:30")
    with refused("bad-state"):
        hall.pay(session)
    with refused("no-session"):
        hall.pay("00")
    with refused("no-session"):
        hall.end(session, 1)


@pytest.mark.feature("PC-03")
def test_short_session_within_the_grace_costs_nothing() -> None:
    """And leaves nothing due; time that is sold beforehand has no grace."""
    hall = Hall()
    hall.do("rate.put", by="Ada", rate="STD", values={**RATE, "grace_s": 60, "step_minor": 30})
    session = hall.begin()
    hall.end(session, 60)
    assert (hall.session(session)["state"], hall.session(session)["price_minor"]) == ("ended", 0)
    session = hall.begin()
    hall.end(session, 61)
    assert hall.session(session)["price_minor"] == 120  # the minimum of 100, up to the next 30
    assert hall.session(hall.begin(2, form="prepaid", amount_minor=120))["limit_s"] == 1800


@pytest.mark.feature("PC-03")
def test_bad_rates_are_refused() -> None:
    """Bands stand in their order; a PC has a rate that there is."""
    hall = Hall()
    band = {"minute": 60, "price_minor": 1, "block_s": 60}
    with refused("bad-field"):
        hall.do("rate.put", by="Ada", rate="X", values={**RATE, "bands": [band, band]})
    for values in ({"bands": []}, {"bands": [{**band, "block_s": 0}]}, {"minimum_minor": -1}):
        with refused("out-of-range"):
            hall.do("rate.put", by="Ada", rate="X", values={**RATE, **values})
    with refused("unknown-rate"):
        hall.enrol(9, rate="NONE")
    with refused("made-by-profile"):
        hall.products(**{"C:TIME": 5})
    with refused("not-for-sale"):
        hall.order(at=SERVER, by="Carl",
                   full_lines=[{"sku": "C:TIME", "quantity": 1, "price_minor": 5}])  # fmt: skip


@pytest.mark.feature("PC-06")
def test_session_is_paused_moved_and_goes_on() -> None:
    """Only running time counts; the PC that it left is free, the other's rate holds from there."""
    hall = Hall()
    hall.do("rate.put", by="Ada", rate="VIP", values={**RATE, "minimum_minor": 150,
            "bands": [{"minute": 0, "price_minor": 80, "block_s": 900}]})  # fmt: skip
    hall.do("pc.edit", by="Ada", pc=hall.pc(2), rate="VIP", name="Window")
    session = hall.begin()
    with refused("bad-state"):
        hall.do("session.resume", by="Carl", session=session)
    hall.do("session.pause", by="Carl", session=session, seconds=600)
    with refused("bad-state"):
        hall.do("session.pause", by="Carl", session=session, seconds=600)
    hall.wall_ms += 3_600_000
    assert bill.owed_minor(hall.view, session, hall.wall_ms) == 100
    hall.do("session.move", by="Carl", session=session, pc=hall.pc(2))
    assert (
        hall.row("pcs", hall.pc(1))["session"] == "" and hall.session(session)["state"] == "paused"
    )
    hall.do("session.resume", by="Carl", session=session)
    with refused("pc-in-use"):
        hall.do("session.move", by="Carl", session=session, pc=hall.pc(2))
    hall.wall_ms += 600_000
    hall.do("session.end", by="Carl", session=session)  # nobody has measured: by the instants
    row = hall.session(session)
    assert (row["seconds"], row["price_minor"], row["number"]) == (1200, 150, 2)
    assert hall.row("pcs", hall.pc(2))["session"] == ""


@pytest.mark.feature("PC-06")
def test_session_has_so_many_stretches_at_most() -> None:
    """A log holds no endless one."""
    hall = Hall()
    session = hall.begin()
    for number in range(sessions.MOST_SEGMENTS):
        hall.do("session.pause", by="Carl", session=session, seconds=number)
        if number < sessions.MOST_SEGMENTS - 1:
            hall.do("session.resume", by="Carl", session=session)
    with refused("out-of-range"):
        hall.do("session.resume", by="Carl", session=session)
    with refused("out-of-range"):
        hall.do("session.move", by="Carl", session=session, pc=hall.pc(2))


# --- paid beforehand -----------------------------------------------------------------


@pytest.mark.feature("PC-02", "PC-06")
def test_prepaid_time_is_sold_at_once_and_can_be_added_to() -> None:
    """Its end stands fixed; more is counted from there; too little is refused, and by any method."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", methods=[{"method": "card", "name": "Card"}])
    with refused("below-minimum"):
        hall.begin(form="prepaid", amount_minor=99)
    with refused("below-minimum"):
        hall.begin(form="prepaid")
    with refused("bad-field"):
        hall.begin(amount_minor=100)
    with refused("bad-field"):
        hall.begin(form="prepaid", amount_minor=100, customer=hall.customer("maria"))
    with refused("unknown-method"):
        hall.begin(form="prepaid", amount_minor=100, payments=[{"method": "x", "amount_minor": 1}])
    card = [{"method": "card", "amount_minor": 120}]
    session = hall.begin(form="prepaid", amount_minor=120, payments=card)
    assert hall.box(1)["methods"]["card"] == [120, 0] and hall.session(session)["limit_s"] == 1800
    hall.do("session.add", by="Carl", session=session, amount_minor=100, seconds=1700)
    assert hall.session(session)["limit_s"] == 3600
    hall.close(session, 9999, "time-up")
    row = hall.session(session)
    assert (row["seconds"], row["state"], row["why"]) == (3600, "ended", "time-up")
    assert hall.box(1)["total_minor"] == 220
    with refused("not-prepaid"):
        hall.do("session.add", by="Carl", session=hall.begin(2), amount_minor=100)


@pytest.mark.feature("PC-02", "BX-08")
def test_what_was_paid_beforehand_and_not_used_goes_back_where_the_cafe_does_that() -> None:
    """As a refund, when an operator ends it; not otherwise, and not what the whole run cost."""
    hall = Hall()
    hall.end(hall.begin(form="prepaid", amount_minor=220), 1000)
    assert hall.box(1)["refunds"] == 0
    hall.do("settings.edit", by="Ada", return_prepaid=True)
    session = hall.begin(form="prepaid", amount_minor=220)
    hall.end(session, 1000)
    assert (hall.box(1)["refunds"], hall.box(1)["refunded_minor"]) == (1, 120)
    hall.end(hall.begin(form="prepaid", amount_minor=100), 1800)
    assert hall.box(1)["refunds"] == 1
    gone = hall.begin(form="prepaid", amount_minor=200)
    hall.do("sale.refund", by="Ada", order=gone, reason="was wrong")
    hall.end(gone, 10)  # it went back already
    assert hall.box(1)["refunds"] == 2


@pytest.mark.feature("PC-01", "BX-08")
def test_what_waits_to_go_back_is_given_once_or_kept() -> None:
    """Who ends at the PC finds it at the desk; all that was bought counts, the last first, and no
    more goes back than is left of it."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", return_prepaid=True)
    session = hall.begin(form="prepaid", amount_minor=100)
    for _ in range(2):
        hall.do("session.add", by="Carl", session=session, amount_minor=150)
    hall.close(session, 600)
    row = hall.session(session)
    assert (row["state"], row["due_minor"], row["back_minor"]) == ("due", 0, 300)
    assert [name for name, _ in sessions.due(hall.view)] == [session]
    with refused("bad-state"):
        hall.pay(session)
    hall.do("session.give-back", by="Carl", session=session)
    assert (hall.box(1)["refunds"], hall.box(1)["cash_refunds"]) == (2, 300)
    assert hall.session(session)["state"] == "ended" and len(hall.view.table("refunds")) == 2
    with refused("nothing-to-do"):
        hall.do("session.give-back", by="Carl", session=session)
    with refused("no-session"):
        hall.do("session.give-back", by="Carl", session="00")

    kept = hall.begin(form="prepaid", amount_minor=200)
    hall.close(kept, 600, why="lost")
    hall.do("session.give-back", by="Carl", session=kept, keep=True)
    assert hall.session(kept)["state"] == "ended" and hall.box(1)["cash_refunds"] == 300

    by_hand = hall.begin(form="prepaid", amount_minor=200)
    hall.close(by_hand, 600)
    hall.do("sale.refund", by="Ada", order=by_hand, reason="asked", amount_minor=60)
    hall.do("session.give-back", by="Carl", session=by_hand)
    assert hall.box(1)["cash_refunds"] == 400
    all_of_it = hall.begin(form="prepaid", amount_minor=200)
    hall.close(all_of_it, 600)
    hall.do("sale.refund", by="Ada", order=all_of_it, reason="asked")
    hall.do("session.give-back", by="Carl", session=all_of_it)
    assert hall.box(1)["cash_refunds"] == 600 and not sessions.due(hall.view)


@pytest.mark.feature("PC-01", "PC-09")
def test_deposit_that_a_session_did_not_use_goes_back() -> None:
    """Of free use too; what a known customer has left stays theirs to ask for."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", return_prepaid=True)
    made = [
        hall.do("reservation.make", by="Carl", pc=hall.pc(number), name="Ana", minutes=60,
                from_ms=hall.wall_ms, deposit_minor=500)
        for number in (1, 2, 3)
    ]  # fmt: skip
    hall.end(hall.begin(1, reservation=made[0]), 600)
    assert hall.box(1)["cash_refunds"] == 400
    more = hall.begin(2, form="prepaid", amount_minor=100, reservation=made[1])
    assert hall.session(more)["orders"] == [made[1], more]
    hall.end(more, 600)
    assert hall.box(1)["cash_refunds"] == 900
    known = hall.begin(3, reservation=made[2], customer=hall.customer("maria"))
    hall.end(known, 600)
    assert hall.box(1)["cash_refunds"] == 900 and hall.session(known)["back_minor"] == 0


# --- sales on its account ---------------------------------------------------------------


@pytest.mark.feature("RP-18", "RP-28")
def test_sales_on_a_pcs_account_are_paid_with_its_session() -> None:
    """They stand under "PC" until then; paying moves them to cash, and no sale counts twice."""
    hall = Hall()
    session = hall.begin()
    hall.on_pc(session)
    hall.on_pc(session, at=STATION)
    box = hall.box(1)
    assert (box["methods"]["pc"], box["desk_cash"], box["total_minor"]) == ([400, 0], 0, 400)
    hall.end(session, 60)
    assert hall.session(session)["due_minor"] == 500
    hall.pay(session)
    box = hall.box(1)
    assert (box["methods"]["pc"], box["methods"]["cash"], box["desk_cash"]) == (
        [0, 0],
        [500, 0],
        500,
    )
    assert box["total_minor"] == 500 and sum(box["by_vendor"].values()) == 500
    assert box["rounding_minor"] == 0


@pytest.mark.feature("RP-18")
def test_rounding_of_a_sessions_cash_stands_in_the_box_once() -> None:
    """With the sales where they are paid in cash, with the time otherwise."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", cash_step_minor=100,
            methods=[{"method": "card", "name": "Card"}])  # fmt: skip
    hall.products(GUM=30)
    session = hall.begin()
    hall.on_pc(session, 30, lines={"GUM": 1})
    hall.end(session, 2700)
    hall.pay(session)  # 150 + 30: 200 in cash
    assert (hall.box(1)["desk_cash"], hall.box(1)["rounding_minor"]) == (200, 20)
    session = hall.begin()
    hall.end(session, 2700)
    hall.pay(session)
    assert (hall.box(1)["desk_cash"], hall.box(1)["rounding_minor"]) == (400, 70)
    session = hall.begin()
    hall.on_pc(session, 30, lines={"GUM": 1})
    hall.end(session, 2700)
    hall.pay(session, payments=[{"method": "card", "amount_minor": 180}])
    assert hall.box(1)["methods"]["card"] == [180, 0] and hall.box(1)["methods"]["pc"] == [0, 0]
    with refused("out-of-range"):
        again = hall.begin()
        hall.end(again, 60)
        hall.pay(again, payments=[{"method": "card", "amount_minor": 101}])
    with refused("unknown-method"):
        hall.pay(again, payments=[{"method": "credit", "amount_minor": 1}])


@pytest.mark.feature("RP-18", "RP-19")
def test_only_a_live_session_takes_sales_and_only_in_mode_1_with_the_server() -> None:
    """In Mode 2 it is refused; so it is without the server; what was handed over already waits."""
    hall = Hall()
    session = hall.begin()
    with refused("no-session"):
        hall.on_pc("00")
    with refused("no-session"):
        hall.order(at=SERVER, by="Carl", payments=[{"method": "pc", "amount_minor": 200}])
    with refused("needs-server"):
        hall.on_pc(session, at=STATION, unseen_s=5)
    hall.profile()
    buys = [{"sku": "C:CREDIT", "quantity": 1, "price_minor": 200}]
    with refused("credit-for-credit"):
        hall.on_pc(session, full_lines=buys, customer=hall.customer("maria"))
    hall.end(session, 60)
    late = hall.on_pc(session, at=STATION)
    assert hall.row("orders", late)["flags"] == ["no-session"] and hall.state(late) == "set_aside"
    hall.do("settings.edit", by="Ada", mode=2)
    with refused("mode-2-no-pc"):
        hall.on_pc(hall.begin(), at=STATION)


@pytest.mark.feature("BX-08", "RP-18")
def test_refund_of_a_sale_on_a_pc_goes_where_its_money_is() -> None:
    """Off the account while that is not paid; in cash once it was."""
    hall = Hall()
    session = hall.begin()
    first, second, third = (hall.on_pc(session) for _ in range(3))
    hall.do("sale.refund", by="Ada", order=first, reason="cold")
    assert hall.session(session)["sales_minor"] == 400
    hall.end(session, 60)
    assert hall.session(session)["due_minor"] == 500
    hall.do("sale.refund", by="Ada", order=second, reason="cold")
    assert (hall.session(session)["due_minor"], hall.box(1)["cash_refunds"]) == (300, 0)
    hall.pay(session)
    hall.do("sale.refund", by="Ada", order=third, reason="cold")
    assert hall.box(1)["cash_refunds"] == 200
    only = hall.begin(2)
    coffee = hall.on_pc(only)
    hall.do("rate.put", by="Ada", rate="FREE", values={**RATE, "minimum_minor": 0,
            "bands": [{"minute": 0, "price_minor": 0, "block_s": 900}]})  # fmt: skip
    hall.do("pc.edit", by="Ada", pc=hall.pc(3), rate="FREE")
    hall.end(only, 0)
    assert hall.session(only)["state"] == "due"
    hall.do("sale.refund", by="Ada", order=coffee, reason="cold")
    assert hall.session(only)["state"] == "ended"
    pcs.charge(hall.view, "no such session", 5, "")


def _back(hall: Hall, order: str, **more: Any) -> dict[str, Any]:
    """Give all or a part of a sale back; where it went."""
    hall.do("sale.refund", by="Ada", order=order, reason="cold", **more)
    for row in hall.view.table("refunds").search(orders.where("order") == order):
        last = row
    return dict(last["methods"])


@pytest.mark.feature("BX-08", "RP-18", "RC-10")
def test_what_paid_a_sale_on_a_pc_gets_it_back() -> None:
    """The customer's bonus and credit, a card, cash: each what it gave; no gift becomes cash."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", methods=[{"method": "card", "name": "Card"}])
    customer = hall.customer("maria", {"credit": 150})
    with hall.folding():
        accounts.change(hall.view, customer, bonus=100)
    session = hall.open(customer=customer)
    first, second, third = (hall.on_pc(session, customer=customer) for _ in range(3))
    hall.close(session, 60)  # 125 of time: 100 bonus and 25 credit; then 125 credit for coffees
    assert hall.session(session)["due_minor"] == 475
    assert _back(hall, first, amount_minor=150) == {"pc": 150}
    assert hall.session(session)["due_minor"] == 325
    hall.pay(session, payments=[{"method": "card", "amount_minor": 300}])
    with refused("out-of-range"):
        hall.do("sale.refund", by="Ada", order=first, reason="x", method="bonus")
    assert _back(hall, first) == {"cash": 25, "card": 25}
    assert _back(hall, second) == {"card": 200}
    assert _back(hall, third) == {"card": 75, "credit": 125}
    row = hall.row("customers", customer)
    assert (row["credit"], row["bonus"]) == (125, 0)
    box = hall.box(1)
    assert (box["cash_refunds"], box["desk_cash"], box["methods"]["pc"]) == (25, 25, [150, 150])
    assert (box["methods"]["card"], box["methods"]["credit"]) == ([300, 300], [250, 125])
    (time,) = hall.view.table("orders").search(
        (orders.where("session") == session) & (orders.where("total_minor") == 125)
    )
    assert _back(hall, str(time.doc_id)) == {"credit": 125}
    row = hall.row("customers", customer)
    assert (row["credit"], row["bonus"]) == (150, 100)


@pytest.mark.feature("BX-08", "RP-18")
def test_rounded_cash_of_a_session_goes_back_as_it_came() -> None:
    """Parts and whole agree, also where credit paid a part; points that it earned go too."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", cash_step_minor=50)
    hall.profile(on_purchases=True, per_minor=10)
    hall.products(GUM=140)
    customer = hall.customer("maria", {"credit": 165})
    session = hall.open(customer=customer)
    gum, other = (hall.on_pc(session, 140, lines={"GUM": 1}) for _ in range(2))
    hall.close(session, 60)  # 125 and 280, of which 165 are paid
    assert hall.session(session)["due_minor"] == 240
    hall.pay(session)
    assert (hall.box(1)["desk_cash"], hall.row("customers", customer)["points"]) == (250, 24)
    assert _back(hall, gum) == {"cash": 150}
    assert _back(hall, other) == {"cash": 100, "credit": 40}
    row = hall.row("customers", customer)
    assert (row["points"], row["credit"]) == (0, 40)
    assert hall.box(1)["cash_refunds"] == 250


@pytest.mark.feature("BX-08", "RC-15")
@pytest.mark.parametrize("paid", [False, True])
def test_points_of_a_sale_on_a_pc_go_back_where_they_were_earned(paid: bool) -> None:
    """What was handed over with the sale earned there, what the session paid earned with that."""
    hall = Hall()
    hall.profile(on_purchases=True, per_minor=100)
    hall.products(CAKE=1000)
    customer = hall.customer("maria")
    session = hall.begin(customer=customer)
    cake = hall.on_pc(session, 600, lines={"CAKE": 1}, customer=customer)
    assert hall.row("customers", customer)["points"] == 4
    if paid:
        hall.end(session, 0)
        hall.pay(session)
        assert hall.row("customers", customer)["points"] == 10
    assert _back(hall, cake) == ({"cash": 1000} if paid else {"cash": 400, "pc": 600})
    assert hall.row("customers", customer)["points"] == 0


@pytest.mark.feature("RE-01", "RP-18")
def test_what_was_sold_on_a_pc_stays_its_sellers_when_it_is_paid() -> None:
    """Whoever takes the money: each vendor's total by method is that of what they sold."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", methods=[{"method": "card", "name": "Card"}],
            cash_step_minor=50)  # fmt: skip
    hall.products(GUM=130)
    session = hall.begin()
    gone = hall.on_pc(session, at=STATION)
    hall.on_pc(session, at=STATION)
    hall.on_pc(session, 130, lines={"GUM": 1})
    hall.do("sale.refund", by="Ada", order=gone, reason="cold")
    hall.end(session, 60)  # 100 of time
    hall.pay(session, by="Ada", payments=[{"method": "card", "amount_minor": 250}])
    by = hall.box(1)["vendor_methods"]
    vera, carl = (by[hall.people[name].hex()] for name in ("Vera", "Carl"))
    assert vera == {"pc": 200, "card": 150, "cash": 50}  # 200 of it went back: refunds stand apart
    assert carl == {"pc": 0, "cash": 150}


@pytest.mark.feature("BX-08")
def test_sale_on_a_pc_whose_customer_has_left_goes_back_in_money_alone() -> None:
    """There is no account for the rest; and what no session here has paid is not given out."""
    hall = Hall()
    hall.add("Mia", "manager")
    customer = hall.customer("maria", {"credit": 225})
    session = hall.open(customer=customer)
    first, second = (hall.on_pc(session) for _ in range(2))
    hall.close(session, 60)
    hall.pay(session)
    hall.do("customer.delete", by="Mia", customer=customer, credit="forfeit", reason="left")
    assert _back(hall, first) == {"cash": 200}
    with refused("deleted"):
        _back(hall, second)
    lost = hall.on_pc(hall.begin(2))
    with hall.folding():
        hall.view.table("sessions").drop(hall.row("orders", lost)["session"])
        pcs.give_back(hall.view, {"session": "gone"})
    assert _back(hall, lost) == {"pc": 200} and hall.box(1)["cash_refunds"] == 200


@pytest.mark.feature("PC-04", "RP-17")
def test_order_from_a_pc_waits_for_the_desk_and_may_go_on_the_account() -> None:
    """Nobody has paid; whoever collects it is its vendor; only plain things can be ordered."""
    hall = Hall(mode=2)
    session = hall.begin()
    lines = [{"sku": "COFFEE", "quantity": 2}]
    order = hall.do("order.from-pc", session=session, lines=lines)
    row = hall.row("orders", order)
    assert (row["state"], row["total_minor"], row["pc"], row["mode"]) == ("pending", 400, 1, 2)
    pays = [{"method": "pc", "amount_minor": 400}]
    hall.do("order.collect", by="Carl", order=order, payments=pays)
    assert hall.session(session)["sales_minor"] == 400
    assert hall.row("orders", order)["operator"] == hall.people["Carl"].hex()
    hall.pin_profile("CARD")
    for wrong in ([{"sku": "CARD", "quantity": 1}],
                  [{"sku": "COFFEE", "quantity": 1, "job": "00"}]):  # fmt: skip
        with pytest.raises(Refused):
            hall.do("order.from-pc", session=session, lines=wrong)
    other = hall.do("order.from-pc", session=session, lines=lines)
    hall.end(session, 60)
    with refused("no-session"):
        hall.do("order.from-pc", session=session, lines=lines)
    with refused("no-session"):
        hall.do("order.collect", by="Carl", order=other, payments=pays)
    hall.do("order.collect", by="Carl", order=other)
    assert hall.box(1)["mode2_cash"] == 400


# --- customers ---------------------------------------------------------------------------


@pytest.mark.feature("PC-02", "RC-10")
def test_customers_credit_pays_the_time_and_then_the_sales() -> None:
    """By itself when the session ends: bonus, credit; the rest is due; the price is the profile's."""
    hall = Hall()
    customer = hall.customer("maria", {"credit": 400})
    session = hall.open(customer=customer)
    with refused("in-session"):
        hall.open(2, customer=customer)
    assert bill.session_of(hall.view, customer) == session
    row = hall.session(session)
    assert row["rate"] == "@STD" and row["rates"]["@STD"]["bands"][0]["price_minor"] == 125
    standing = bill.standing(hall.view, row, 0)
    assert (standing.limit_s, standing.source) == (2700, "money")
    hall.on_pc(session)
    hall.close(session, 1000)
    row = hall.session(session)
    assert (row["state"], row["due_minor"]) == ("due", 50)
    assert (
        hall.row("customers", customer)["credit"] == 0
        and not hall.row("customers", customer)["session"]
    )
    box = hall.box(1)
    assert (box["methods"]["credit"], box["methods"]["pc"]) == ([400, 0], [50, 0])
    assert hall.view.table("prints").peek("t-2") is None  # who signs out needs no paper
    hall.pay(session)
    assert hall.session(session)["state"] == "ended" and hall.box(1)["desk_cash"] == 50
    whats = [move["what"] for move in hall.moves(customer, 4)]
    assert whats == ["purchase", "purchase", "pc-ended", "pc-started"]
    hall.open(2, serial=hall.card())
    with refused("not-enough-credit"):
        hall.open(customer=customer)


@pytest.mark.feature("PC-02")
def test_time_of_passes_promotions_and_points_goes_first_and_no_minimum_follows() -> None:
    """By the second; what is left stays; and a session that is covered whole costs nothing."""
    hall = Hall()
    hall.do("offer.add", by="Ada", sku="MIN", name="Minutes", form="combo", price_minor=100,
            minutes=10, minutes_list_minor=100)  # fmt: skip
    hall.do("offer.add", by="Ada", sku="DAY", name="Day", form="day", price_minor=100)
    customer = hall.customer("maria", {"credit": 1000, "points": 10})
    hall.do("points.redeem", by="Carl", customer=customer, points=10)
    hall.order(at=SERVER, by="Carl", lines={"MIN": 1}, customer=customer)
    hall.order(at=SERVER, by="Carl", lines={"MIN": 1}, customer=customer)
    session = hall.open(customer=customer)
    row = hall.session(session)
    assert [bill.standing(hall.view, row, s).source for s in (0, 1199, 1200, 4799, 4800)] == [
        "promotion", "promotion", "redeemed", "redeemed", "money",
    ]  # fmt: skip
    assert bill.standing(hall.view, row, 4800).limit_s == 4800 + 8 * 900
    hall.close(session, 1300)
    account = hall.row("customers", customer)
    assert [one["seconds"] for one in account["promotions"]] == [0, 0]
    assert account["redeemed"][0][0] == 3500
    assert (account["credit"], hall.session(session)["price_minor"]) == (1000, 0)
    session = hall.open(customer=customer)
    hall.close(session, 3560)  # a minute of it is billed: a block, no minimum
    assert hall.session(session)["price_minor"] == 125
    hall.order(at=SERVER, by="Carl", lines={"DAY": 1}, customer=customer)
    session = hall.open(customer=customer)
    assert bill.standing(hall.view, hall.session(session), 5).source == "passes"
    hall.close(session, 3000)
    account = hall.row("customers", customer)
    assert (account["credit"], account["passes"][0]["used"]) == (875, True)
    day = hall.view.table("orders").get(orders.where("lines").any(orders.where("sku") == "DAY"))
    assert day is not None
    with refused("used-already"):
        hall.do("sale.refund", by="Ada", order=str(day.doc_id), reason="no")


@pytest.mark.feature("PC-02", "RP-18")
def test_rich_account_runs_for_a_day_and_pays_for_what_was_sold() -> None:
    """Where its minutes cover the time, its credit pays the sales; and a lost life pays it once."""
    hall = Hall()
    hall.do("offer.add", by="Ada", sku="MIN", name="Minutes", form="combo", price_minor=100,
            minutes=60, minutes_list_minor=100)  # fmt: skip
    customer = hall.customer("maria", {"credit": 10**8})
    hall.order(at=SERVER, by="Carl", lines={"MIN": 1}, customer=customer)
    session = hall.open(customer=customer)
    assert bill.standing(hall.view, hall.session(session), 0).limit_s == 86_400
    hall.on_pc(session)
    hall.close(session, 60)
    assert hall.session(session)["state"] == "ended"
    assert hall.row("customers", customer)["credit"] == 10**8 - 200
    assert hall.box(1)["methods"]["pc"] == [0, 0] and hall.box(1)["methods"]["credit"] == [200, 0]
    free = hall.begin(2)
    hall.do("settings.edit", by="Ada", methods=[{"method": "card", "name": "Card"}])
    hall.do("rate.put", by="Ada", rate="STD", values={**RATE, "grace_s": 60})
    short = hall.begin(3)
    hall.on_pc(short)
    hall.end(short, 5)
    hall.pay(short, payments=[{"method": "card", "amount_minor": 200}])
    assert hall.box(1)["methods"]["card"] == [200, 0]
    hall.end(free, 60)
    paid = hall.outcome("session.pay", by="Carl", session=free)[1][-1]
    with hall.folding():
        row = hall.session(free)
        hall.view.table("sessions").put(free, {**row, "due_minor": 100, "paid_minor": 0})
    hall.reapply(paid)
    assert hall.session(free)["due_minor"] == 0 and len(hall.view.table("exceptions")) == 0


@pytest.mark.feature("PC-02")
def test_benefit_that_was_switched_off_is_not_used() -> None:
    """Its minutes are frozen, and the money pays."""
    hall = Hall()
    hall.do("offer.add", by="Ada", sku="MIN", name="Minutes", form="combo", price_minor=100,
            minutes=10, minutes_list_minor=100)  # fmt: skip
    customer = hall.customer("maria", {"credit": 1000})
    order = hall.order(at=SERVER, by="Carl", lines={"MIN": 1}, customer=customer)
    hall.do("customer.benefit", by="Ada", customer=customer, order=order, sku="MIN", active=False)
    session = hall.open(customer=customer)
    hall.close(session, 300)
    account = hall.row("customers", customer)
    assert (account["promotions"][0]["seconds"], account["credit"]) == (600, 875)


@pytest.mark.feature("PC-02", "RC-12")
def test_debt_is_for_who_may_and_within_the_maximum() -> None:
    """The whole rest as debt, else it stays due."""
    hall = Hall()
    hall.add("Mia", "manager")
    hall.profile(max_debt_minor=300)
    customer = hall.customer("maria", {"credit": 200})
    session = hall.begin(customer=customer)
    assert hall.session(session)["form"] == "free"
    hall.end(session, 3600)
    assert hall.session(session)["due_minor"] == 300
    with refused("no-permission"):
        hall.pay(session, debt_minor=200)
    with refused("not-enough-credit"):
        hall.pay(session, by="Mia", debt_minor=301)
    hall.pay(session, by="Mia", debt_minor=200)
    assert hall.row("customers", customer)["credit"] == -200
    assert hall.box(1)["desk_cash"] == 100
    anybody = hall.begin()
    hall.end(anybody, 60)
    with refused("customer-needed"):
        hall.pay(anybody, by="Mia", debt_minor=10)


@pytest.mark.feature("RC-15")
def test_money_for_time_earns_points_where_the_profile_says_so() -> None:
    """Money alone: what the account pays earns nothing, and a sale on a PC earns when it is paid."""
    hall = Hall()
    hall.profile(on_purchases=True, per_minor=100)
    customer = hall.customer("maria", {"credit": 250})
    session = hall.begin(customer=customer)
    hall.on_pc(session, customer=customer)
    assert hall.row("customers", customer)["points"] == 0
    hall.end(session, 3600)  # 500 and 200, of which 250 are paid by the account
    assert hall.session(session)["due_minor"] == 450
    hall.pay(session)
    assert hall.row("customers", customer)["points"] == 4


@pytest.mark.feature("RC-07", "PC-02")
def test_credit_that_was_over_when_a_session_began_does_not_pay_it() -> None:
    """Until it is forfeited too; what is added meanwhile is new."""
    hall = Hall()
    customer = hall.customer("maria", {"credit": 1000})
    day = settings.today(hall.view, hall.wall_ms)
    hall.do("customer.balance", by="Ada", customer=customer, expires=[0, day - 1], reason="x")
    session = hall.begin(customer=customer)
    assert (
        bill.balance_of(hall.view, hall.session(session), hall.row("customers", customer)).credit
        == 0
    )
    hall.charge(customer, 300)
    hall.end(session, 3600)
    assert hall.session(session)["due_minor"] == 200


@pytest.mark.feature("RC-16", "RC-13", "PC-02")
def test_time_that_a_live_session_may_be_using_does_not_go_back() -> None:
    """What is used is known at its end: until then a pass, minutes and redeemed points stay."""
    hall = Hall()
    hall.add("Mia", "manager")
    customer = hall.customer("maria", {"points": 20})
    for sku, form, more in (("DAY", "day", {}),
                            ("MIN", "combo", {"minutes": 10, "minutes_list_minor": 100})):  # fmt: skip
        hall.do("offer.add", by="Ada", sku=sku, name=sku, form=form, price_minor=100, **more)
    bought = [
        hall.order(at=SERVER, by="Carl", lines={sku: 1}, customer=customer)
        for sku in ("DAY", "MIN")
    ]
    redeemed = hall.do("points.redeem", by="Carl", customer=customer, points=10)
    session = hall.open(customer=customer)
    with refused("in-session"):
        hall.do("points.undo", by="Mia", redemption=redeemed)
    for order in bought:
        with refused("in-session"):
            hall.do("sale.refund", by="Mia", order=order, reason="x")
    hall.close(session, 0)
    hall.do("sale.refund", by="Mia", order=bought[1], reason="x")
    hall.do("points.undo", by="Mia", redemption=redeemed)
    assert hall.row("customers", customer)["points"] == 20


@pytest.mark.feature("RC-12", "RC-09", "PC-02")
def test_account_in_a_session_is_kept_for_it() -> None:
    """It is not spent, given away, left to expire or deleted from under it."""
    hall = Hall()
    customer, other = hall.customer("maria", {"credit": 500}), hall.customer("pepe")
    session = hall.open(customer=customer)
    hall.wall_ms += 1000_000  # two blocks: 250
    pays = [{"method": "credit", "amount_minor": 200}]
    with refused("not-enough-credit"):
        hall.order(at=SERVER, by="Carl", lines={"CAKE": 1}, customer=customer,
                   payments=[{"method": "credit", "amount_minor": 350}])  # fmt: skip
    with refused("not-enough-credit"):
        hall.do("credit.transfer", by="Carl", customer=customer, to=other, amount_minor=300)
    hall.order(at=SERVER, by="Carl", customer=customer, payments=pays)
    hall.do("credit.transfer", by="Carl", customer=customer, to=other, amount_minor=50)
    with refused("in-session"):
        hall.do("customer.delete", by="Ada", customer=customer, credit="refund", reason="x")
    day = settings.today(hall.view, hall.wall_ms)
    hall.do("customer.balance", by="Ada", customer=customer, expires=[0, day - 1], reason="x")
    with refused("in-session"):
        hall.do("credit.expire", customer=customer)
    hall.close(session, 1000)
    assert hall.row("customers", customer)["credit"] == 0  # 250 were left, and good when it began
    hall.do("customer.balance", by="Ada", customer=customer, credit=[0, 500], reason="x")
    with refused("not-enough-credit"):
        hall.open(customer=customer)  # what is over is over
    hall.do("customer.lock", by="Carl", customer=other, hours=1)
    with refused("barred"):
        hall.open(customer=other)


def test_customer_whose_name_somebody_has_begins_no_session() -> None:
    """Until they are renamed."""
    hall = Hall()
    customer = hall.customer("maria", {"credit": 500})
    row = hall.row("people", customer)
    with hall.folding():
        hall.view.table("people").put(customer, {**row, "renamed": "maria~2"})
    with refused("name-taken"):
        hall.open(customer=customer)
    assert sessions.who(hall.view, {"customer": "gone", "serial": 0}) == "–"


@pytest.mark.feature("PC-02")
def test_account_that_left_is_paid_by_hand() -> None:
    """A session of a profile without a price is charged by the PC's rate."""
    hall = Hall()
    hall.profile("FREE", price_minor=0)
    customer = hall.customer("maria", {"credit": 500}, profile="FREE")
    assert hall.session(hall.open(customer=customer))["rate"] == "STD"
    assert accounts.of_time(hall.view, "nobody", 100, [0, 0, 0]) == {}
    accounts.end_session(hall.view, "nobody", "", {}, (0, 0))


# --- PINs --------------------------------------------------------------------------------


@pytest.mark.feature("PN-10", "PC-02")
def test_pin_works_on_any_pc_and_keeps_what_is_left() -> None:
    """From its first use on; used up at the end; nobody uses it twice at once."""
    hall = Hall()
    serial = hall.card(validity="use", days=1)
    session = hall.open(serial=serial)
    with refused("in-session"):
        hall.open(2, serial=serial)
    assert hall.session(session)["limit_s"] == 3600
    assert bill.standing(hall.view, hall.session(session), 5).source == "pin"
    assert sessions.who(hall.view, hall.session(session)) == "C-0001"
    hall.close(session, 1000)
    row = hall.row("pins", str(serial))
    assert (row["left_s"], row["state"], row["session"]) == (2600, "in_use", "")
    assert row["expires"] == settings.today(hall.view, hall.wall_ms) + 1
    session = hall.open(2, serial=serial)
    hall.close(session, 9000, "time-up")
    assert hall.row("pins", str(serial))["state"] == "used_up"
    with refused("bad-state"):
        hall.open(serial=serial)
    with refused("bad-field"):
        hall.open()
    assert pins.by_index(hall.view, "00" * 16) == 0 and not hall.session(session)["due_minor"]


@pytest.mark.feature("PN-10")
def test_pin_ends_with_its_last_day() -> None:
    """At the café's midnight, whatever is left; and behind it it opens nothing."""
    hall = Hall()
    day = settings.today(hall.view, hall.wall_ms)
    serial = hall.card(validity="date", last_day=day)
    midnight_s = (day - 719_162) * 86_400 - hall.wall_ms // 1000
    hall.wall_ms += (midnight_s - 600) * 1000
    session = hall.open(serial=serial)
    assert hall.session(session)["limit_s"] == 600
    hall.close(session, 100)
    hall.wall_ms += 601_000
    with refused("already-over"):
        hall.open(serial=serial)
    later = hall.card()
    hall.do("pin.delete", by="Ada", serials=[later], reason="x")
    pins.take(hall.view, later, "s", 0)
    pins.give(hall.view, 999, "s", 5, 0)
    assert pins.by_index(hall.view, hall.row("pins", str(later))["index"]) == 0


def test_card_deleted_while_it_is_used_stays_deleted() -> None:
    """Its session ends with what it had."""
    hall = Hall()
    serial = hall.card()
    session = hall.open(serial=serial)
    hall.do("pin.delete", by="Ada", serials=[serial], reason="x")
    hall.close(session, 100)
    assert hall.row("pins", str(serial))["state"] == "deleted"


# --- PCs -----------------------------------------------------------------------------------


@pytest.mark.feature("PC-01", "PC-08", "SE-03")
def test_pcs_are_enrolled_changed_and_taken_out() -> None:
    """Each number once; a number is taken over only on purpose, and never under a session."""
    hall = Hall()
    first = hall.pc(1)
    with refused("already-exists"):
        hall.do(
            "pc.enrol", by="Ada", number=1, rate="STD", public_key=_public(90), certificate="00"
        )
    with refused("already-enrolled"):
        hall.enrol(1)
    with refused("already-enrolled"):
        hall.do("pc.enrol", by="Ada", number=8, rate="STD", certificate="00",
                public_key=Ed25519Signer(b"1" * 32).public.hex())  # fmt: skip
    with refused("bad-key"):
        hall.do("pc.enrol", by="Ada", number=8, rate="STD", public_key="00" * 32, certificate="00")
    session = hall.begin()
    again = {"number": 1, "rate": "STD", "public_key": _public(90), "certificate": "00"}
    with refused("pc-in-use"):
        hall.do("pc.enrol", by="Ada", replaces=True, **again)
    hall.end(session, 0)
    hall.do("pc.enrol", by="Ada", replaces=True, **again)
    assert hall.pc(1) != first and hall.row("pcs", first)["revoked"]
    with refused("unknown-pc"):
        pcs.of(hall.view, first)
    with refused("unknown-pc"):
        pcs.called(hall.view, 77)
    with refused("nothing-to-do"):
        hall.do("pc.edit", by="Ada", pc=hall.pc(2))
    with refused("already-exists"):
        hall.do("pc.edit", by="Ada", pc=hall.pc(2), number=3)
    hall.do("pc.edit", by="Ada", pc=hall.pc(2), number=2, mac="02:00:00:00:00:01")
    with refused("bad-text"):
        hall.do("pc.edit", by="Ada", pc=hall.pc(2), mac="nowhere")
    hall.do("pc.mac", pc=hall.pc(3), mac="02:00:00:00:00:02")
    with refused("nothing-to-do"):
        hall.do("pc.mac", pc=hall.pc(3), mac="02:00:00:00:00:02")
    hall.do("pc.revoke", by="Ada", pc=hall.pc(3))
    assert [row["number"] for _, row in pcs.trusted(hall.view)] == [1, 2]
    pcs.change(hall.view, "no such PC", number=9)


def _public(seed: int) -> str:
    return Ed25519Signer(bytes([seed]) * 32).public.hex()


@pytest.mark.feature("PC-06", "PC-08")
def test_locked_pc_takes_nobody_and_power_waits_for_the_end() -> None:
    """What the desk says to a PC is on record; a PC in use is not switched off."""
    hall = Hall()
    pc = hall.pc(1)
    hall.do("pc.lock", by="Carl", pc=pc, locked=True, reason="cleaning")
    with refused("nothing-to-do"):
        hall.do("pc.lock", by="Carl", pc=pc, locked=True)
    with refused("pc-locked"):
        hall.begin()
    hall.do("pc.lock", by="Carl", pc=pc, locked=False)
    for kind, more in (("pc.message", {"message": "hi", "pc": pc}), ("pc.message", {"message": "all"}),
                       ("pc.unblock", {"pc": pc})):  # fmt: skip
        hall.do(kind, by="Carl", **more)
    with refused("no-address"):
        hall.do("pc.power", by="Ada", pc=pc, action="wake")
    hall.do("pc.mac", pc=pc, mac="02:00:00:00:00:01")
    hall.do("pc.power", by="Ada", pc=pc, action="wake")
    hall.do("pc.power", by="Ada", pc=pc, action="restart")
    hall.begin()
    with refused("pc-in-use"):
        hall.do("pc.power", by="Ada", pc=pc, action="shutdown")


@pytest.mark.feature("RC-04", "RC-10")
def test_pc_waits_for_who_shall_make_a_password_there() -> None:
    """Only for who has none; a session ends the waiting."""
    hall = Hall()
    customer = hall.customer("maria", {"credit": 500})
    hall.do("pc.enable", by="Carl", customer=customer, pc=hall.pc(1))
    assert hall.row("pcs", hall.pc(1))["expects"]["customer"] == customer
    hall.do("customer.password", customer=customer, verifier="00")
    with refused("has-password"):
        hall.do("pc.enable", by="Carl", customer=customer, pc=hall.pc(1))
    hall.open(customer=customer)
    assert hall.row("pcs", hall.pc(1))["expects"] is None
    gone = hall.customer("pepe")
    hall.do("customer.delete", by="Ada", customer=gone, credit="refund", reason="x")
    with refused("deleted"):
        hall.do("pc.enable", by="Carl", customer=gone, pc=hall.pc(2))


@pytest.mark.feature("RC-04", "RC-08", "SE-07")
def test_password_is_made_once_deleted_and_made_again() -> None:
    """A code goes with it, and is worth nothing then; all of it is gone with the customer."""
    hall = Hall()
    customer = hall.customer("maria")
    assert hall.view.table("codes").peek(customer) is None
    secret = ["00" * 16, "00" * 20]
    hall.do("customer.code", customer=customer, secret=secret)
    hall.do("customer.password", customer=customer, verifier="aa")
    assert hall.view.table("codes").peek(customer) is None
    for kind, more in (
        ("customer.password", {"verifier": "bb"}),
        ("customer.code", {"secret": secret}),
    ):
        with refused("has-password"):
            hall.do(kind, customer=customer, **more)
    session = hall.begin(customer=customer)
    hall.do("customer.forget", by="Carl", customer=customer)
    assert hall.session(session)["why"] == "password"  # the floor ends it, whoever began it
    hall.close(session, 60, "password")
    hall.pay(session)
    with refused("nothing-to-do"):
        hall.do("customer.forget", by="Carl", customer=customer)
    hall.do("customer.code", customer=customer, secret=secret, printed=True)
    assert any(row["what"] == "code" for _, row in hall.view.table("prints").scan())
    hall.do("customer.password", customer=customer, verifier="cc")
    hall.do("customer.delete", by="Ada", customer=customer, credit="refund", reason="x")
    assert len(hall.view.table("verifiers")) == 0


@pytest.mark.feature("RC-04")
@pytest.mark.parametrize(
    "word", ["abc1234", "abcdefgh", "12345678", "abcdefgh12345", "abcd 123", "ábcd1234"]
)
def test_odd_passwords_of_customers_are_refused(word: str) -> None:
    """8 to 12 ASCII letters and digits, one of each at least."""
    from node.cafe import customers

    with refused("bad-password"):
        customers.check_password(word)
    customers.check_password("Abcdefg1")


def test_customers_without_a_code_are_found_some_at_a_time() -> None:
    """Who has a password or a code is passed over."""
    from node.cafe import customers

    hall = Hall()
    ids = [hall.customer(f"user{number}") for number in range(4)]
    assert len(customers.without_code(hall.view, 2)) == 2
    hall.do("customer.password", customer=ids[0], verifier="aa")
    hall.do("customer.code", customer=ids[1], secret=["00" * 16, "00" * 20])
    assert set(customers.without_code(hall.view, 9)) == {ids[2], ids[3]}
    for customer in ids[2:]:
        hall.do("customer.code", customer=customer, secret=["00" * 16, "00" * 20])
    assert customers.without_code(hall.view, 9) == []


@pytest.mark.feature("RC-04")
def test_ticket_of_a_customer_without_a_password_bears_their_code() -> None:
    """As only the server can read it; not where the café has switched that off, nor afterwards."""
    hall = Hall()
    customer = hall.customer("maria")
    hall.charge(customer, 500)
    assert "code_text" not in receipts.ticket(hall.view, "t-1")["customer"]
    hall.do("customer.code", customer=customer, secret=["00" * 16, "ab" * 20], printed=True)
    shown = receipts.ticket(hall.view, "t-1")["customer"]
    assert (shown["user"], shown["code_text"]) == ("maria", "ab" * 20)
    paper = next(job for job, row in hall.view.table("prints").scan() if row["what"] == "code")
    assert receipts.ticket(hall.view, paper)["code_user"] == "maria"
    hall.do("settings.edit", by="Ada", first_code=False)
    assert "code_text" not in receipts.ticket(hall.view, "t-1")["customer"]
    hall.do("customer.delete", by="Ada", customer=customer, credit="refund", reason="x")
    gone = receipts.ticket(hall.view, paper)
    assert (gone["code_user"], gone["code_text"]) == ("–", "")


@pytest.mark.feature("RE-01", "RE-02")
def test_report_by_pc_counts_its_time_and_what_was_sold_to_it() -> None:
    """In the order of the numbers; what went back is taken off."""
    hall = Hall()
    for number, seconds in ((2, 60), (1, 1801)):
        session = hall.begin(number)
        coffee = hall.on_pc(session)
        hall.end(session, seconds)
        hall.pay(session)
    hall.do("sale.refund", by="Ada", order=coffee, reason="cold")
    hall.order(at=SERVER, by="Carl")
    day = settings.date_at(hall.view, hall.wall_ms).isoformat()
    made = reports.report(hall.view, reports.period(hall.view, day, day))
    lines = [(line.key, line.sold_minor, line.refunded_minor) for line in made.lines("pc")]
    assert lines == [("1", 350, 200), ("2", 300, 0)]
    assert made.total.sold_minor == 850


# --- reservations -----------------------------------------------------------------------------


@pytest.mark.feature("PC-09")
def test_reserved_pc_is_kept_and_its_deposit_pays() -> None:
    """From a quarter of an hour before on, for who has it; the deposit is money of the box at once."""
    hall = Hall()
    hall.add("Mia", "manager")
    pc, now = hall.pc(1), hall.wall_ms
    fields = {"pc": pc, "name": "Ana", "from_ms": now + 1_800_000, "minutes": 60}
    kept = hall.do("reservation.make", by="Carl", deposit_minor=120, **fields)
    assert hall.box(1)["desk_cash"] == 120
    with refused("reserved"):
        hall.do("reservation.make", by="Carl", **fields)
    with refused("already-over"):
        hall.do("reservation.make", by="Carl", **{**fields, "from_ms": 0})
    with refused("unknown-customer"):
        hall.do("reservation.make", by="Carl", customer="00", **{**fields, "pc": hall.pc(2)})
    hall.end(hall.begin(), 0)  # it is not time yet
    hall.wall_ms += 1_000_000
    with refused("reserved"):
        hall.begin()
    with refused("unknown-reservation"):
        hall.begin(2, reservation=kept)
    assert [row["name"] for row in reservations.open_of(hall.view, pc)] == ["Ana"]
    session = hall.begin(reservation=kept)
    hall.end(session, 2000)
    assert hall.session(session)["due_minor"] == 30
    hall.pay(session)
    assert (hall.box(1)["total_minor"], hall.row("reservations", kept)["state"]) == (150, "used")
    with refused("bad-state"):
        hall.do("reservation.end", by="Carl", reservation=kept, refund=False, reason="x")


@pytest.mark.feature("PC-09")
def test_reservation_is_given_up_with_or_without_its_deposit() -> None:
    """Giving money back wants the right to; a reason is asked for."""
    hall = Hall()
    hall.add("Mia", "manager")
    fields = {"pc": hall.pc(1), "name": "Ana", "minutes": 10}
    made = [
        hall.do("reservation.make", by="Carl", from_ms=hall.wall_ms + at * 3_600_000,
                deposit_minor=deposit, **fields)
        for at, deposit in ((1, 100), (2, 100), (3, 0))
    ]  # fmt: skip
    with refused("reason-needed"):
        hall.do("reservation.end", by="Carl", reservation=made[0], refund=False, reason=" ")
    with refused("no-permission"):
        hall.do("reservation.end", by="Carl", reservation=made[0], refund=True, reason="ill")
    hall.do("reservation.end", by="Mia", reservation=made[0], refund=True, reason="ill")
    hall.do("reservation.end", by="Carl", reservation=made[1], refund=False, reason="late")
    hall.do("reservation.end", by="Carl", reservation=made[2], refund=True, reason="late")
    assert (hall.box(1)["cash_refunds"], hall.box(1)["desk_cash"]) == (100, 200)
    prepaid = hall.do(
        "reservation.make", by="Carl", from_ms=hall.wall_ms, deposit_minor=120, **fields
    )
    session = hall.begin(form="prepaid", reservation=prepaid)
    assert hall.session(session)["limit_s"] == 1800


# --- what must not come of it -----------------------------------------------------------------


@pytest.mark.feature("PC-04", "SE-04")
def test_customer_at_a_pc_names_products_and_nothing_else() -> None:
    """No price, note or discount of their own, and no more than people carry."""
    hall = Hall(mode=2)
    session = hall.begin()
    coffee = {"sku": "COFFEE", "quantity": 1}
    for more in (
        {"price_minor": 1},
        {"note": "PAID IN CASH"},
        {"discounts": []},
        {"quantity": 100},
    ):
        with refused("bad-field|out-of-range"):
            hall.do("order.from-pc", session=session, lines=[{**coffee, **more}])
    order = hall.do("order.from-pc", session=session, lines=[coffee])
    assert hall.row("orders", order)["total_minor"] == 200


@pytest.mark.feature("RP-18", "BX-01")
def test_sale_on_a_pc_that_is_accepted_after_its_session_is_due() -> None:
    """It is paid as the rest was; one on a session that never was is not accepted."""
    hall = Hall()
    session = hall.begin()
    hall.end(session, 60)
    hall.pay(session)
    late = hall.on_pc(session, at=STATION)
    assert hall.state(late) == "set_aside"
    hall.do("order.accept", by="Carl", order=late, reason="served")
    row = hall.session(session)
    assert (row["state"], row["due_minor"]) == ("due", 200)
    hall.pay(session)
    box = hall.box(1)
    assert (hall.session(session)["state"], box["methods"]["pc"][0]) == ("ended", 0)
    assert box["desk_cash"] == box["total_minor"] == 300
    lost = hall.on_pc("00", at=STATION)
    with refused("no-session"):
        hall.do("order.accept", by="Carl", order=lost, reason="served")
    hall.do("order.reject", by="Carl", order=lost, reason="nobody knows")


@pytest.mark.feature("PC-02", "RC-12")
def test_benefit_in_use_is_not_switched_off_and_not_lost() -> None:
    """What a session has used of it would cost money; a new pass does not push the old one out."""
    hall = Hall()
    hall.do("offer.add", by="Ada", sku="DAY", name="Day", form="day", price_minor=100)
    customer = hall.customer("maria", {"credit": 5000})
    order = hall.order(at=SERVER, by="Carl", lines={"DAY": 1}, customer=customer)
    session = hall.open(customer=customer)
    off = {"customer": customer, "order": order, "sku": "DAY", "active": False}
    with refused("in-session"):
        hall.do("customer.benefit", by="Ada", **off)
    ends_ms = hall.row("customers", customer)["passes"][0]["to_ms"]
    hall.wall_ms = ends_ms + 3_600_000
    ran_s = (hall.wall_ms - hall.session(session)["started_ms"]) // 1000
    before = bill.standing(hall.view, hall.session(session), ran_s).price_minor
    hall.order(at=SERVER, by="Carl", lines={"DAY": 1}, customer=customer)
    assert bill.standing(hall.view, hall.session(session), ran_s).price_minor <= before
    assert hall.row("customers", customer)["passes"][0]["to_ms"] == ends_ms
    hall.close(session, ran_s)
    hall.do("customer.benefit", by="Ada", **off)


@pytest.mark.feature("PC-02", "RC-12")
def test_pass_for_another_day_is_not_used_by_a_session_of_today() -> None:
    """So it can still go back."""
    hall = Hall()
    day_ms = 86_400_000
    hall.do("offer.add", by="Ada", sku="DAY", name="Day", form="days", days=2, price_minor=100)
    hall.do("offer.add", by="Ada", sku="EV", name="Party", form="event", price_minor=700,
            from_ms=hall.wall_ms + 7 * day_ms, to_ms=hall.wall_ms + 8 * day_ms)  # fmt: skip
    customer = hall.customer("maria", {"credit": 1000})
    party = hall.order(at=SERVER, by="Carl", lines={"EV": 1}, customer=customer)
    hall.order(at=SERVER, by="Carl", lines={"DAY": 1}, customer=customer)
    hall.close(hall.open(customer=customer), 60)
    used = {one["sku"]: one.get("used") for one in hall.row("customers", customer)["passes"]}
    assert used == {"EV": None, "DAY": True}
    hall.do("sale.refund", by="Ada", order=party, reason="ill")


@pytest.mark.feature("RC-05", "BX-08")
def test_credit_that_a_session_has_used_does_not_go_back() -> None:
    """Not while it runs either."""
    hall = Hall()
    customer = hall.customer("maria")
    charged = hall.charge(customer, 1000)
    session = hall.open(customer=customer)
    hall.wall_ms += 3_600_000
    with refused("not-enough-credit"):
        hall.do("sale.refund", by="Ada", order=charged, reason="x")
    hall.close(session, 3600)
    assert hall.session(session)["due_minor"] == 0


@pytest.mark.feature("PC-02", "PC-06")
def test_time_added_at_the_last_second_counts() -> None:
    """The end that was noticed before it was sequenced is no end any more."""
    hall = Hall()
    session = hall.begin(form="prepaid", amount_minor=100)
    hall.do("session.add", by="Carl", session=session, amount_minor=100, seconds=1800)
    with refused("too-early"):
        hall.close(session, 1800, "time-up")
    hall.close(session, 3600, "time-up")
    assert hall.session(session)["seconds"] == 3600


@pytest.mark.feature("PC-09", "BX-08")
def test_deposit_that_went_back_buys_nothing_and_a_reservation_ends() -> None:
    """Neither time nor a second refund; what was given back in part counts as the rest."""
    hall = Hall()
    fields = {"pc": hall.pc(1), "name": "Ana", "minutes": 60}
    kept = hall.do("reservation.make", by="Carl", from_ms=hall.wall_ms, deposit_minor=1000,
                   **fields)  # fmt: skip
    hall.do("sale.refund", by="Ada", order=kept, amount_minor=880, reason="x")
    later = hall.do("reservation.make", by="Carl", from_ms=hall.wall_ms + 3_600_000,
                    deposit_minor=500, **fields)  # fmt: skip
    hall.do("sale.refund", by="Ada", order=later, reason="x")
    hall.do("reservation.end", by="Carl", reservation=later, refund=True, reason="x")
    session = hall.begin(form="prepaid", reservation=kept)
    assert (hall.session(session)["limit_s"], hall.session(session)["paid_minor"]) == (1800, 120)
    hall.end(session, 10)
    old = hall.do("reservation.make", by="Carl", from_ms=hall.wall_ms, deposit_minor=500, **fields)
    hall.wall_ms += 3_600_000
    with refused("already-over"):
        hall.begin(form="prepaid", reservation=old)


@pytest.mark.feature("BX-01", "RP-09")
@pytest.mark.parametrize(("time", "gum", "cash"), [(140, 5, 100), (5, 140, 100), (30, 15, 0)])
def test_rounding_makes_no_part_of_a_bill_negative(time: int, gum: int, cash: int) -> None:
    """It goes with the larger part, and as far as that is nothing with the other."""
    hall = Hall()
    hall.do("settings.edit", by="Ada", cash_step_minor=100)
    hall.products(GUM=gum)
    hall.do("rate.put", by="Ada", rate="STD", values={**RATE, "minimum_minor": 0,
            "bands": [{"minute": 0, "price_minor": time, "block_s": 900}]})  # fmt: skip
    session = hall.begin()
    hall.on_pc(session, gum, lines={"GUM": 1})
    hall.end(session, 60)
    hall.pay(session, tendered_minor=100)
    (of_time,) = [
        str(row.doc_id)
        for row in hall.view.table("orders").search(orders.where("session") == session)
        if row["lines"][0]["kind"] == "pc_time"
    ]
    assert hall.box(1)["desk_cash"] == cash
    assert 0 <= hall.row("orders", of_time)["cash_minor"] <= cash
    assert hall.row("orders", of_time)["change_minor"] == 100 - cash


# --- where it is done ----------------------------------------------------------------------------


@pytest.mark.feature("RP-14", "SE-04", "RP-26")
def test_key_of_a_pc_does_nothing() -> None:
    """Whatever it signs is out of its scope; it reads what is public, and counts as a node."""
    hall = Hall()
    pc = bytes.fromhex(hall.pc(1))
    for kind in ("order.place", "box.close", "session.start", "points.redeem"):
        with refused("wrong-scope"):
            hall.do(kind, by="Ada", at=pc)
    domain = Cafe()
    assert pc in domain.nodes(hall.view) and not domain.reads_all(hall.view, pc)
    assert domain.reads_all(hall.view, STATION)
    assert domain.node_key(hall.view, pc) is not None and not domain.is_revoked(hall.view, pc)
    hall.do("pc.revoke", by="Ada", pc=pc.hex())
    assert domain.is_revoked(hall.view, pc) and pc not in domain.nodes(hall.view)


@pytest.mark.feature("RP-14")
def test_station_charges_no_time_and_starts_no_pc() -> None:
    """Free use and prepaid time are the server's, whatever a station sends."""
    hall = Hall()
    for kind in ("session.start", "session.add", "session.pay", "session.end"):
        with refused("server-only"):
            hall.do(kind, by="Ada", at=STATION)
    line = {"sku": "C:TIME", "quantity": 1, "price_minor": 100}
    with refused("server-only"):
        hall.order(full_lines=[line], mode=1)


# --- a server that was put back --------------------------------------------------------------------


@pytest.mark.feature("SY-07", "PC-05")
def test_session_of_a_lost_life_does_not_take_a_pc_from_this_one() -> None:
    """It stands beside it, for the floor to close; what both lives were paid is for a person."""
    hall = Hall()
    customer = hall.customer("maria", {"credit": 500})
    lost = hall.outcome("session.start", by="Carl", pc=hall.pc(1))[1]
    first = lost[0][2]["session"]
    hall.end(first, 0)
    mine = hall.begin()
    row = {**lost[0][2], "session": "aa" * 16}
    hall.reapply(["session.started", 1, row])
    assert hall.row("pcs", hall.pc(1))["session"] == mine
    assert hall.session("aa" * 16)["state"] == "running"
    taken = hall.open(2, customer=customer)
    other = {**row, "session": "bb" * 16, "pc": hall.pc(3), "customer": customer}
    hall.reapply(["session.started", 1, other])
    assert bill.session_of(hall.view, customer) == taken
    hall.close("bb" * 16, 10, "gone")
    hall.close("aa" * 16, 10, "gone")
    assert hall.row("pcs", hall.pc(1))["session"] == mine
    hall.reapply(hall.outcome("session.pay", by="Carl", session="aa" * 16)[1][-1])
    assert hall.row("exceptions", "1")["code"] == "decided-twice"
    assert hall.row("pcs", hall.pc(3))["session"] == ""
    assert bill.session_of(hall.view, customer) == taken
    hall.end(mine, 60)
    paid = hall.outcome("session.pay", by="Carl", session=mine)[1]
    hall.reapply(paid[-1])
    noted = hall.row("exceptions", "2")
    assert noted["code"] == "decided-twice" and hall.session(mine)["due_minor"] == 0


@pytest.mark.feature("SY-07", "BX-01")
def test_money_of_a_lost_life_counts_once_and_in_an_open_box() -> None:
    """Time that this life has paid by itself, sales paid into a box that is closed, a card, a move,
    a deposit: each where it is, and what cannot be so is for a person."""
    hall = Hall()
    customer = hall.customer("maria", {"credit": 1000})
    session = hall.begin(customer=customer)
    lost = hall.outcome("session.end", by="Carl", session=session, seconds=3600)[1]
    total = hall.box(1)["total_minor"]
    assert (hall.row("customers", customer)["credit"], total) == (500, 500)
    for event in lost:
        hall.reapply(event)
    assert (hall.row("customers", customer)["credit"], hall.box(1)["total_minor"]) == (500, total)
    notes = [row["code"] for _, row in hall.view.table("exceptions").scan()]
    assert notes == ["decided-twice"] * 2

    coffee = hall.begin()
    hall.on_pc(coffee)
    hall.end(coffee, 60)
    row = hall.session(coffee)
    paid = hall.outcome("session.pay", by="Carl", session=coffee)[1]
    with hall.folding():
        hall.view.table("sessions").put(coffee, row)
    hall.do("box.close", by="Carl", declared_minor=300, leave_minor=0)
    closed = hall.box(1)
    hall.reapply(paid[-1])
    assert hall.box(1) == closed and hall.box(2)["desk_cash"] == 200

    serial = hall.card()
    begun = hall.outcome("session.open", pc=hall.pc(1), serial=serial)[1]
    mine = begun[0][2]["session"]
    hall.reapply(["session.started", 1, {**begun[0][2], "session": "aa" * 16}])
    assert hall.row("pins", str(serial))["session"] == mine
    hall.close("aa" * 16, 60, "gone")
    with refused("in-session"):
        hall.open(2, serial=serial)
    held = hall.outcome("session.pause", by="Carl", session=mine)[1]
    hall.reapply(held[0])
    assert hall.row("pcs", hall.pc(1))["session"] == mine
    moved = hall.outcome("session.move", by="Carl", session=mine, pc=hall.pc(2))[1]
    hall.do("session.move", by="Carl", session=mine, pc=hall.pc(1))
    other = hall.begin(2)
    hall.reapply(moved[0])
    assert hall.row("pcs", hall.pc(2))["session"] == other
    kept = hall.do("reservation.make", by="Carl", pc=hall.pc(3), name="Ana", minutes=60,
                   from_ms=hall.wall_ms, deposit_minor=100)  # fmt: skip
    used = hall.outcome("session.start", by="Carl", pc=hall.pc(3), reservation=kept)[1]
    hall.reapply(["session.started", 1, {**used[0][2], "session": "bb" * 16}])
    assert hall.row("exceptions", str(len(hall.view.table("exceptions"))))["ref"] == "bb" * 16


@pytest.mark.feature("BX-08", "SY-07")
def test_refund_gives_no_more_than_it_is_of_where_two_lives_were_paid_otherwise() -> None:
    """More went back in cash than this life was paid in it: the rest is none of another method's."""
    row = {"sales_minor": 400, "sales_paid_minor": 400, "took": {"cash_due": 0, "cash": 0,
           "methods": {"card": 400}}, "gave": {"cash_due": 200, "cash": 200, "methods": {}}}  # fmt: skip
    assert bill.paid_with(row, 200) == {"card": 200}


@pytest.mark.feature("PC-09")
def test_deposit_that_was_given_back_by_hand_pays_no_free_use() -> None:
    """What is held of it pays, and no more; and a reservation is used in its time."""
    hall = Hall()
    hall.add("Mia", "manager")
    fields = {"pc": hall.pc(1), "name": "Ana", "minutes": 60, "deposit_minor": 500}
    kept = hall.do("reservation.make", by="Carl", from_ms=hall.wall_ms, **fields)
    session = hall.begin(reservation=kept)
    hall.do("sale.refund", by="Mia", order=kept, reason="x")
    hall.end(session, 3600)
    assert hall.session(session)["due_minor"] == 200
    hall.pay(session)
    later = hall.do("reservation.make", by="Carl", from_ms=hall.wall_ms + 86_400_000, **fields)
    with refused("too-early"):
        hall.begin(reservation=later)


@pytest.mark.feature("PC-01", "SE-03")
def test_pc_with_a_new_disk_takes_over_what_is_open_at_the_old_one() -> None:
    """Its bills, what is to be given back, and its reservations; and one key is one thing."""
    hall = Hall()
    session = hall.begin(1)
    hall.end(session, 60)
    kept = hall.do("reservation.make", by="Carl", pc=hall.pc(1), name="Ana", minutes=60,
                   from_ms=hall.wall_ms + 86_400_000)  # fmt: skip
    old, key = hall.pc(1), Ed25519Signer(b"z" * 32)
    hall.do("pc.enrol", by="Ada", public_key=key.public.hex(), number=1, rate="STD",
            certificate="00", replaces=True)  # fmt: skip
    new = hall.pc(1)
    assert new != old and hall.session(session)["pc"] == new
    assert hall.row("reservations", kept)["pc"] == new
    hall.pay(session)
    with refused("already-enrolled"):
        hall.do(
            "station.enrol", by="Ada", name="Two", public_key=key.public.hex(), certificate="00"
        )


@pytest.mark.feature("PC-02", "SE-04", "RC-08")
def test_session_is_opened_by_who_may_and_with_a_password_that_is_there() -> None:
    """Both are looked at where it is sequenced; and nobody buys more than a day ahead."""
    hall = Hall()
    customer = hall.customer("maria", {"credit": 1000})
    with refused("no-permission"):
        hall.do("session.open", by="Vera", at=SERVER, pc=hall.pc(1), customer=customer)
    with refused("first-password"):
        hall.do("session.open", pc=hall.pc(1), customer=customer)
    session = hall.begin(2, form="prepaid", amount_minor=4800)
    assert hall.session(session)["limit_s"] == 86_400
    with refused("out-of-range"):
        hall.do("session.add", by="Carl", session=session, amount_minor=100, seconds=0)


def test_facts_about_what_is_not_here_change_nothing() -> None:
    """What is folded has happened, but not always here."""
    hall = Hall()
    session = hall.begin()
    hall.end(session, 60)
    before = hall.view.digest()
    hall.view.store.writable = True
    held = sessions.SessionHeld(session=session, pc="", number=1, state="paused", seconds=5, rate="",
                                rates={}, operator="", at_ms=0)  # fmt: skip
    sessions.apply_held(hall.view, held)
    ended = sessions.SessionEnded(session=session, seconds=1, price_minor=1, due_minor=1, used={}, back_minor=0,
                                  why="lost", flags=[], operator="", at_ms=0)  # fmt: skip
    sessions.apply_ended(hall.view, ended)
    added = sessions.TimeAdded(session="x", order="", paid_minor=1, limit_s=1, operator="", at_ms=0)
    sessions.apply_extended(hall.view, added)
    paid = settling.SessionPaid(session="x", time_minor=1, sales_minor=0, methods=[], cash_minor=0,
                                rounding_minor=0, account={}, operator="", at_ms=0, box=1)  # fmt: skip
    settling.apply_paid(hall.view, paid)
    back = settling.SessionReturned(session="x", amount_minor=1, kept=False, operator="", at_ms=0)
    settling.apply_returned(hall.view, back)
    assert refunds.left_in(hall.view, "x") == 0
    reservations.apply_ended(hall.view, reservations.ReservationEnded(reservation="x", reason="",
                             operator="", at_ms=0))  # fmt: skip
    hall.view.store.writable = False
    assert hall.view.digest() == before
    assert meter.LEASE_S == 900
