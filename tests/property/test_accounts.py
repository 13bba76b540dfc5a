"""Laws of customers' accounts, over histories that nobody thought of."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.cafe import credit, points
from node.cafe.house import Cafe
from sync.errors import Refused
from sync.view import View
from tests.support.cafe import SERVER, STATION, Rules

AMOUNT = st.integers(0, 5_000)


@pytest.mark.feature("RC-15")
@given(
    st.lists(st.integers(1, 10_000), min_size=1, max_size=12),
    st.integers(1, 50),
    st.integers(1, 3_000),
    st.integers(0, 2_999),
)
def test_splitting_a_charge_changes_nothing(
    parts: list[int], rate: int, unit: int, rest: int
) -> None:
    """Any split of a top-up gives the same points and the same rest; refunds undo them exactly."""
    start = points.Points(5, rest % unit, unit)
    now = start
    for part in parts:
        now = points.earn(now, part, rate, unit)
    assert now == points.earn(start, sum(parts), rate, unit)
    for part in reversed(parts):
        now = points.earn(now, -part, rate, unit)
    assert now == start


@pytest.mark.feature("RC-16")
@given(st.integers(1, 500), st.integers(1, 50), st.integers(1, 300))
def test_no_fewer_points_give_the_same_time(wanted: int, need: int, minutes: int) -> None:
    """What is taken gives what was promised, and one point less would not."""
    try:
        given_, taken = points.redeem_time(10_000, wanted, need, minutes)
    except Refused:
        assert wanted < need
        return
    assert taken <= wanted
    assert taken * minutes // need == given_
    assert taken == 0 or (taken - 1) * minutes // need < given_


@pytest.mark.feature("RC-07")
@given(
    st.integers(0, 5_000),
    st.lists(st.tuples(st.integers(0, 4_000), st.integers(1, 4_000)), max_size=3),
    st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(0, 6_000), st.integers(0, 9)), max_size=4
    ),
    st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 9)), max_size=4),
)
def test_each_second_is_of_one_bucket(
    seconds: int,
    passes: list[tuple[int, int]],
    promotions: list[tuple[int, int, int]],
    redeemed: list[tuple[int, int]],
) -> None:
    """A count of seconds, one by one, by the order that was agreed on."""
    windows = [(since, since + length) for since, length in passes]
    used = credit.use_time(0, seconds, windows, promotions, redeemed)
    left, old = [p[0] for p in promotions], [r[0] for r in redeemed]
    found: Counter[str] = Counter()
    for now in range(seconds):
        if any(since <= now < until for since, until in windows):
            found["pass"] += 1
            continue
        some = [(p[1], p[2], at) for at, p in enumerate(promotions) if left[at] and p[1] > now]
        older = [(r[1], at) for at, r in enumerate(redeemed) if old[at]]
        if some:
            left[min(some)[2]] -= 1
            found["promotion"] += 1
        elif older:
            old[min(older)[1]] -= 1
            found["redeemed"] += 1
        else:
            found["billed"] += 1
    assert (used.passes, used.promotion, used.redeemed, used.billed_s) == (
        found["pass"], found["promotion"], found["redeemed"], found["billed"],
    )  # fmt: skip
    assert (used.promotions_left, used.redeemed_left) == (left, old)


# --- whole histories ---------------------------------------------------------------

ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["charge", "recharge", "buy", "redeem", "undo", "refund", "edit", "transfer", "lock",
             "unlock", "mug", "combo", "day"]
        ),
        st.integers(0, 1),
        AMOUNT,
        st.sampled_from(["Ada", "Carl", "Vera"]),
    ),
    max_size=30,
)  # fmt: skip


class Oracle:
    """What the accounts should hold, by a few lines of its own."""

    def __init__(self) -> None:
        self.credit, self.bonus = [0, 0], [0, 0]
        self.points, self.minutes = [0, 0], [0, 0]

    def rows(self) -> list[tuple[int, ...]]:
        return list(zip(self.credit, self.bonus, self.points, self.minutes, strict=True))


class History:
    """Two customers, and whatever anybody does with them."""

    def __init__(self) -> None:
        self.rules = Rules(mode=1)
        self.rules.profile(points=1, per_minor=1, need=7, minutes=20)
        mug = {"sku": "MUG", "name": "Mug", "price_minor": 900, "points": 6}
        self.rules.do("catalog.import", by="Ada", products=[mug], stock={"MUG": 50})
        fields = {"price_minor": 100, "gets_minor": 150}
        self.rules.do("offer.add", by="Ada", sku="MORE", name="M", form="recharge", **fields)
        self.rules.do("offer.add", by="Ada", sku="TIME", name="T", form="combo", price_minor=40,
                      minutes=30)  # fmt: skip
        self.who = [self.rules.customer("ana.m"), self.rules.customer("bea.m")]
        self.charges: list[tuple[int, str, int]] = []
        self.redeemed: list[tuple[int, str]] = []
        self.oracle = Oracle()

    def act(self, what: str, at: int, amount: int, by: str) -> None:
        """One act; a refusal changes nothing, and the oracle hears nothing of it."""
        try:
            getattr(self, what)(at, amount, by)
        except Refused:
            pass

    def charge(self, at: int, amount: int, by: str) -> None:
        order = self.rules.charge(self.who[at], amount, by=by)
        self.charges.append((at, order, amount))
        self.oracle.credit[at] += amount
        self.oracle.points[at] += amount

    def recharge(self, at: int, amount: int, by: str) -> None:
        self.rules.order(at=SERVER, by=by, customer=self.who[at], lines={"MORE": 1})
        self.oracle.credit[at] += 100
        self.oracle.bonus[at] += 50
        self.oracle.points[at] += 100

    def combo(self, at: int, amount: int, by: str) -> None:
        self.rules.order(at=SERVER, by=by, customer=self.who[at], lines={"TIME": 1})
        self.oracle.minutes[at] += 30

    def buy(self, at: int, amount: int, by: str) -> None:
        pays = [{"method": "credit", "amount_minor": 200}]
        self.rules.order(at=SERVER, by=by, customer=self.who[at], payments=pays)
        of_bonus = min(200, self.oracle.bonus[at])
        self.oracle.bonus[at] -= of_bonus
        self.oracle.credit[at] -= 200 - of_bonus

    def redeem(self, at: int, amount: int, by: str) -> None:
        body = {"customer": self.who[at], "points": amount}
        key = self.rules.do("points.redeem", by=by, **body)
        minutes = amount * 20 // 7
        self.oracle.points[at] -= -(-minutes * 7 // 20)
        self.oracle.minutes[at] += minutes
        self.redeemed.append((at, key))

    def mug(self, at: int, amount: int, by: str) -> None:
        body = {"customer": self.who[at], "products": [{"sku": "MUG"}]}
        self.rules.do("points.redeem", by=by, **body)
        self.oracle.points[at] -= 6

    def undo(self, at: int, amount: int, by: str) -> None:
        if not self.redeemed:
            return
        owner, key = self.redeemed[amount % len(self.redeemed)]
        row = self.rules.row("redemptions", key)
        self.rules.do("points.undo", by=by, redemption=key)
        self.oracle.points[owner] += row["points"]
        self.oracle.minutes[owner] -= row["minutes"]

    def refund(self, at: int, amount: int, by: str) -> None:
        if not self.charges:
            return
        owner, order, paid = self.charges[amount % len(self.charges)]
        self.rules.do("sale.refund", by=by, order=order, reason="x")
        self.oracle.credit[owner] -= paid
        self.oracle.points[owner] -= paid

    def edit(self, at: int, amount: int, by: str) -> None:
        row = self.rules.row("customers", self.who[at])
        body = {"customer": self.who[at], "credit": [row["credit"], amount], "reason": "x"}
        self.rules.do("customer.balance", by=by, **body)
        self.oracle.credit[at] = amount

    def transfer(self, at: int, amount: int, by: str) -> None:
        body = {"customer": self.who[at], "to": self.who[1 - at], "amount_minor": amount}
        self.rules.do("credit.transfer", by=by, **body)
        self.oracle.credit[at] -= amount
        self.oracle.credit[1 - at] += amount

    def lock(self, at: int, amount: int, by: str) -> None:
        self.rules.do("customer.lock", by=by, customer=self.who[at], hours=1 + amount % 30)

    def unlock(self, at: int, amount: int, by: str) -> None:
        self.rules.do("customer.unlock", by=by, customer=self.who[at])

    def day(self, at: int, amount: int, by: str) -> None:
        self.rules.wall_ms += amount * 20_000

    def rows(self) -> list[tuple[int, ...]]:
        found = []
        for customer in self.who:
            row = self.rules.row("customers", customer)
            seconds = sum(left for left, _, _ in row["redeemed"])
            seconds += sum(bucket["seconds"] for bucket in row["promotions"])
            found.append((row["credit"], row["bonus"], row["points"], seconds // 60))
        return found


@pytest.mark.feature("RC-07", "RC-11", "RC-16", "RE-02")
@settings(max_examples=120, deadline=None)
@given(ACTS)
def test_accounts_hold_what_an_oracle_says_and_their_record_sums_to_it(acts: list[Any]) -> None:
    """Credit, bonus, points and minutes, whoever does what; the movements' running balance is the
    account; nothing but redeeming, buying and their undoing changes minutes."""
    history = History()
    for what, at, amount, by in acts:
        history.act(what, at, amount, by)
    assert history.rows() == history.oracle.rows()
    for customer in history.who:
        row = history.rules.row("customers", customer)
        moves = [
            history.rules.row("movements", f"{customer}/{number}")
            for number in range(1, row["moves"] + 1)
        ]
        for name in ("credit", "bonus", "points"):
            assert sum(move[name] for move in moves) == row[name]
            assert moves[-1][f"{name}_after"] == row[name]


@pytest.mark.feature("RC-07", "OP-01")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["customer.balance", "points.settings", "customer.edit",
                             "customer.profile", "customer.benefit", "profile.edit"]),
            st.sampled_from(["Ada", "Carl", "Vera"]),
            st.sampled_from([SERVER, STATION]),
            st.dictionaries(
                st.sampled_from(["credit", "points", "expires", "reason", "redeemed",
                                 "promotions", "minutes", "seconds", "changes", "active"]),
                st.one_of(st.integers(-9, 9), st.just([0, 5]), st.just("x"),
                          st.just({"redeemed": [1, 5]})),
                max_size=4,
            ),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_no_role_edits_minutes_by_any_command(acts: list[Any]) -> None:
    """Whatever fields are made up: they are refused, or minutes stay as they are."""
    history = History()
    rules, customer = history.rules, history.who[0]
    history.charge(0, 500, "Carl")
    history.redeem(0, 14, "Carl")
    history.combo(0, 0, "Carl")
    before = [rules.row("customers", customer)[name] for name in ("redeemed", "promotions")]
    minutes = [bucket["seconds"] for bucket in before[1]]
    for kind, by, at, fields in acts:
        try:
            rules.do(kind, by=by, at=at, customer=customer, **fields)
        except Refused:
            pass
    after = rules.row("customers", customer)
    assert after["redeemed"] == before[0]
    assert [bucket["seconds"] for bucket in after["promotions"]] == minutes


@pytest.mark.feature("RE-02", "SY-12")
@settings(max_examples=15, deadline=None)
@given(ACTS)
def test_log_that_is_replayed_comes_to_the_same(acts: list[Any]) -> None:
    """Three times over, into tables of their own: the same digest."""
    history = History()
    for what, at, amount, by in acts:
        history.act(what, at, amount, by)
    for _ in range(3):
        view = View(Cafe())
        for entry, op in history.rules.folded:
            view.fold(entry, op)
        assert view.digest() == history.rules.view.digest()
