"""Laws of the money of a session, over sales, payments and refunds that nobody thought of."""

from __future__ import annotations

import contextlib
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from node.cafe import accounts, orders
from sync.errors import Refused
from tests.support.cafe import SERVER
from tests.unit.test_sessions import Hall

PRICES = {"COFFEE": 200, "GUM": 7, "CAKE": 350}
SUMS = ("credit", "bonus", "points", "rest")


@st.composite
def acts(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """What is done while a session runs and after it: sales on its account, payments, refunds."""
    share = st.integers(1, 100)
    sale = st.tuples(
        st.sampled_from(sorted(PRICES)), st.integers(1, 4), share, st.sampled_from(["", "card"]),
        st.booleans(),
    )  # fmt: skip
    refund = st.tuples(st.integers(0, 3), share, st.sampled_from([None, "cash", "card", "credit"]))
    one = st.one_of(
        st.tuples(st.just("sale"), sale),
        st.tuples(st.just("refund"), refund),
        st.tuples(st.just("pay"), st.tuples(share, share)),
    )
    running = draw(st.lists(one.filter(lambda act: act[0] != "pay"), max_size=5))
    after = draw(st.lists(one.filter(lambda act: act[0] != "sale"), max_size=5))
    return [*running, ("end", draw(st.sampled_from([0, 60, 900, 2000]))), *after]


class Case:
    """One café, one session, and what has been sold there."""

    def __init__(self, credit: int, bonus: int, step: int, known: bool) -> None:
        self.hall = hall = Hall(1, cash_step_minor=step)
        methods = [{"method": "card", "name": "Card"}]
        hall.do("settings.edit", by="Ada", methods=methods)
        hall.add("Mia", "manager")
        hall.profile(on_purchases=True, per_minor=10, max_debt_minor=300)
        hall.products(GUM=7, CAKE=350)
        self.customer = hall.customer("maria", {"credit": credit} if credit else None)
        with hall.folding():
            accounts.change(hall.view, self.customer, bonus=bonus)
        self.sums = self.account()
        self.session = hall.begin(**({"customer": self.customer} if known else {}))
        self.known, self.sold = known, list[str]()

    def account(self) -> dict[str, int]:
        return {name: self.hall.row("customers", self.customer)[name] for name in SUMS}

    def sale(self, sku: str, units: int, percent: int, other: str, named: bool) -> None:
        price = PRICES[sku] * units
        on_pc = max(1, price * percent // 100)
        pays = [{"method": "pc", "amount_minor": on_pc}]
        if other and price > on_pc:
            pays.append({"method": other, "amount_minor": price - on_pc})
        more = {"customer": self.customer} if named else {}
        order = self.hall.order(at=SERVER, by="Carl", lines={sku: units}, payments=pays,
                                session=self.session, **more)  # fmt: skip
        self.sold.append(order)

    def left(self, order: str) -> int:
        row = self.hall.row("orders", order)
        return int(row["total_minor"] - (row.get("refunded") or {"minor": 0})["minor"])

    def refund(self, at: int, percent: int, method: str | None) -> None:
        if at < len(self.sold) and (left := self.left(self.sold[at])):
            amount = max(1, left * percent // 100)
            self.hall.do("sale.refund", by="Mia", order=self.sold[at], amount_minor=amount,
                         reason="x", method=method)  # fmt: skip

    def pay(self, by_card: int, as_debt: int) -> None:
        due = self.hall.session(self.session)["due_minor"]
        card = due * by_card // 100
        debt = (due - card) * as_debt // 100 if self.known else 0
        pays = [{"method": "card", "amount_minor": card}] if card else []
        self.hall.pay(self.session, by="Mia", payments=pays, debt_minor=debt)

    def end(self, seconds: int) -> None:
        self.hall.end(self.session, seconds)

    def check(self) -> None:
        """What stands on the account is what is to be paid, and no method gives more than it took."""
        row = self.hall.session(self.session)
        took, gave = row["took"], row["gave"]
        methods = self.hall.box(1)["methods"]
        sold, back = methods.get("pc", [0, 0])
        assert sold - back == row["sales_minor"] - row["sales_paid_minor"] >= 0
        assert row["sales_paid_minor"] == took["cash_due"] + sum(took["methods"].values())
        assert all(amount <= took["methods"][name] for name, amount in gave["methods"].items())
        assert gave["cash_due"] <= took["cash_due"] and gave["cash"] <= took["cash"]
        assert sum(amount for _, amount in row["sold_by"]) == row["sales_minor"]


@pytest.mark.feature("RP-18", "BX-08", "RC-15")
@settings(max_examples=60, deadline=None)
@given(
    acts(),
    st.integers(0, 900),
    st.integers(0, 200),
    st.sampled_from([1, 5, 50]),
    st.booleans(),
)
def test_all_that_a_session_moved_can_go_back_to_where_it_came_from(
    done: list[tuple[str, Any]], credit: int, bonus: int, step: int, known: bool
) -> None:
    """However it is sold, paid and refunded in parts: when all of it is back, each method has given
    what it took, the drawer too, and the customer's credit, bonus and points are as before."""
    case = Case(credit, bonus, step, known)
    for name, how in done:
        with contextlib.suppress(Refused):
            getattr(case, name)(*(how if isinstance(how, tuple) else (how,)))
        case.check()
    if case.hall.session(case.session)["due_minor"]:
        case.pay(0, 0)
    mine = case.hall.view.table("orders").search(orders.where("session") == case.session)
    for row in mine:
        if case.left(str(row.doc_id)):
            case.hall.do("sale.refund", by="Mia", order=str(row.doc_id), reason="x")
        case.check()
    box = case.hall.box(1)
    assert all(sold == back for sold, back in box["methods"].values())
    assert box["cash_minor"] == box["cash_refunds"] and case.account() == case.sums
