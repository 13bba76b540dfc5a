"""PIN cards and tickets: who may sell which, once, and what becomes of them."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cafe import orders, pins, receipts, settings
from node.cafe.house import KINDS
from node.cafe.kinds import Acting, read_command
from sync.domain import Context
from sync.errors import Refused
from tests.support.cafe import SERVER, STATION, Rules

DAY_MS = 86_400_000
PATIO = STATION.hex()


def shop(cards: int = 5, mode: int = 1) -> Rules:
    rules = Rules(mode=mode)
    rules.pin_profile("CARD")
    if cards:
        rules.pins("CARD", cards, stock=True)
    return rules


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=code)


def pin(rules: Rules, serial: int) -> dict[str, Any]:
    return rules.row("pins", str(serial))


def shelf(rules: Rules, holder: str = "") -> Any:
    return pins.shelf(rules.view, "CARD", holder)


def sell(rules: Rules, quantity: int = 1, **more: Any) -> str:
    return rules.order(**{"at": SERVER, "by": "Carl", **more}, lines={"CARD": quantity})


def serials_of(rules: Rules, order: str) -> list[int]:
    return [s for line in rules.row("orders", order)["lines"] for s in line.get("serials", ())]


# --- shelves -------------------------------------------------------------------


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)))
def test_shelf_is_a_set_of_serials(there: set[int], other: set[int]) -> None:
    """Ranges say what a set says, whatever is put on and taken off."""

    def of(ranges: pins.Ranges) -> set[int]:
        found = [n for first, last in ranges for n in range(first, last + 1)]
        assert len(set(found)) == len(found) == pins.size(ranges)
        assert all(a[1] + 1 < b[0] for a, b in itertools.pairwise(ranges))
        return set(found)

    ranges = pins.put_on([], there)
    assert of(ranges) == there
    assert of(pins.put_on(ranges, other)) == there | other
    assert of(pins.take_off(ranges, other)) == there - other
    assert pins.lowest(ranges, 3) == sorted(there)[:3]


@pytest.mark.feature("PN-02")
@pytest.mark.parametrize("basket", [("NONE", "SOME"), ("SOME", "NONE")])
def test_station_without_the_server_says_which_card_it_lacks(basket: tuple[str, str]) -> None:
    """Wherever in the basket it stands."""
    rules = Rules(mode=1)
    for profile in basket:
        rules.pin_profile(profile)
    rules.pins("SOME", 2, stock=True)
    serials = [int(row.doc_id) for row in rules.view.table("pins")]
    rules.do("pin.consign", by="Carl", serials=serials, station=STATION.hex())
    body = {"lines": [{"sku": sku, "quantity": 1} for sku in basket], "unseen_s": 60}
    command = read_command(KINDS["order.place"], body)
    with pytest.raises(Refused) as refusal:
        orders.fill(rules.view, command, STATION.hex(), rules.view.cursor)
    assert (refusal.value.code, refusal.value.details["what"]) == ("no-cards", "NONE")


# --- made, stocked, consigned ----------------------------------------------------


@pytest.mark.feature("PN-02", "PN-05")
def test_profile_is_a_product_and_says_how_long_it_is_good() -> None:
    """Without minutes, or with a validity that says no day, there is none."""
    rules = Rules()
    rules.pin_profile("CARD")
    assert rules.row("products", "CARD")["kind"] == "pin_card"
    with refused("already-exists"):
        rules.pin_profile("CARD")
    for wrong, code in (
        ({"minutes": 0}, "out-of-range"),
        ({"validity": "date"}, "bad-field"),
        ({"validity": "sale"}, "bad-field"),
        ({"validity": "use"}, "bad-field"),
    ):
        with refused(code):
            rules.pin_profile("X", **wrong)
    rules.pin_profile("TICKET", form="ticket")
    with refused("no-cards"):
        rules.pins("TICKET", 1)
    with refused("unknown-profile"):
        rules.pins("GHOST", 1)


@pytest.mark.feature("PN-02")
def test_validity_counts_local_days() -> None:
    """A fixed date, days from the sale, or from the first use."""
    of = {"days": 30, "last_day": 500}
    assert pins.valid_through({**of, "validity": "date"}, sold_on=100) == 500
    assert pins.valid_through({**of, "validity": "sale"}, sold_on=100) == 130
    assert pins.valid_through({**of, "validity": "use"}, sold_on=100) == 0
    assert pins.valid_through({**of, "validity": "use"}, sold_on=100, used_on=120) == 150
    assert pins.valid_through({**of, "validity": "none"}, sold_on=100) == 0
    assert pins.use(3600, 60) == (60, 3540, "in_use")
    assert pins.wait_s(4) == 0


@pytest.mark.feature("PN-01", "PN-03")
def test_pin_is_unique_while_it_lives() -> None:
    """Twice in one go, or that of a card or a code that is there, is refused; one that has ended is
    free again."""
    rules = shop(0)
    (secret,) = rules.secrets(1)
    make = {"by": "Ada", "profile": "CARD"}
    with refused("pin-taken"):
        rules.do("pin.make", **make, secrets=[secret, secret])
    rules.do("pin.make", **make, secrets=[secret])
    with refused("pin-taken"):
        rules.do("pin.make", **make, secrets=[secret])
    rules.do("pin.delete", by="Ada", serials=[1], reason="torn")
    rules.do("pin.make", **make, secrets=[secret])
    assert pin(rules, 2)["state"] == "made"
    (spare,) = rules.secrets(1)
    rules.do("pin.spare", secrets=[spare])
    with refused("pin-taken"):
        rules.do("pin.make", **make, secrets=[spare])


@pytest.mark.feature("PN-06", "PN-08", "PN-07")
def test_card_goes_from_made_to_stock_and_back() -> None:
    """Each look is on record; a sheet or list makes it printed; every step is in its history."""
    rules = shop(0)
    rules.pins("CARD", 3)
    rules.do("pin.review", by="Ada", serials=[1, 2], purpose="look")
    assert pin(rules, 1)["state"] == "made"
    rules.do("pin.review", by="Ada", serials=[1, 2], purpose="sheet")
    rules.do("pin.review", by="Ada", serials=[1, 2], purpose="sheet")
    assert pin(rules, 1)["state"] == "printed"
    rules.do("pin.stock", by="Carl", serials=[1, 3], direction="in")
    assert shelf(rules) == [[1, 1], [3, 3]]
    rules.do("pin.stock", by="Carl", serials=[3], direction="out")
    assert (shelf(rules), pin(rules, 3)["state"]) == ([[1, 1]], "printed")
    acts = [act for act, _, _ in pin(rules, 1)["history"]]
    assert acts == ["made", "look", "sheet", "print", "sheet", "stock_in"]
    with refused("bad-state"):
        rules.do("pin.stock", by="Carl", serials=[1], direction="in")
    with refused("repeated"):
        rules.do("pin.stock", by="Carl", serials=[2, 2], direction="in")
    with refused("unknown-serial"):
        rules.do("pin.review", by="Ada", serials=[9], purpose="look")
    rules.do("pin.delete", by="Ada", serials=[1], reason="torn")
    assert (shelf(rules), pin(rules, 1)["state"]) == ([], "deleted")
    with refused("reason-needed"):
        rules.do("pin.delete", by="Ada", serials=[2], reason="")
    with refused("bad-state"):
        rules.do("pin.delete", by="Ada", serials=[1], reason="x")


@pytest.mark.feature("PN-13")
def test_consigned_card_is_sold_by_its_station_alone() -> None:
    """The station hands over its own; the server cannot sell, take out or delete it; nobody sells one
    that they do not hold."""
    rules = shop(3)
    rules.do("pin.consign", by="Carl", serials=[1, 2], station=PATIO)
    assert (shelf(rules), shelf(rules, PATIO)) == ([[3, 3]], [[1, 2]])
    for act, fields in (
        ("pin.stock", {"direction": "out"}),
        ("pin.delete", {"reason": "x"}),
        ("pin.consign", {"station": PATIO}),
    ):
        with refused("not-yours"):
            rules.do(act, by="Ada", serials=[1], **fields)
    order = sell(rules, at=STATION, by="Vera", unseen_s=60)
    assert (rules.state(order), serials_of(rules, order)) == ("collected", [1])
    assert (pin(rules, 1)["state"], shelf(rules, PATIO)) == ("sold", [[2, 2]])
    line = {"sku": "CARD", "quantity": 1, "price_minor": 500, "serials": [2]}
    with refused("not-yours"):
        rules.order(at=SERVER, by="Carl", full_lines=[line])
    line["serials"] = [3]
    order = rules.order(full_lines=[line])
    assert rules.row("orders", order)["flags"] == ["not-yours"]
    assert rules.state(order) == "set_aside"
    assert shelf(rules) == [[3, 3]]
    with refused("unknown-station"):
        rules.do("pin.consign", by="Carl", serials=[3], station="00")


@pytest.mark.feature("PN-13")
def test_card_that_is_not_consigned_is_not_sold_without_the_server() -> None:
    """With it the server gives one of its own stock at once."""
    rules = shop(3)
    with refused("no-cards"):
        sell(rules, at=STATION, by="Vera", unseen_s=60)
    order = sell(rules, 2, at=STATION, by="Vera")
    assert (rules.state(order), serials_of(rules, order)) == ("collected", [1, 2])
    with refused("no-cards"):
        sell(rules, 2)
    order = sell(rules, 2, at=STATION, by="Vera")
    assert rules.row("orders", order)["flags"] == ["no-cards"]
    order = sell(rules)
    assert serials_of(rules, order) == [3]


@pytest.mark.feature("PN-13")
def test_station_returns_what_it_holds_and_is_asked_to() -> None:
    """A recall stands until it holds nothing; the desk returns nothing."""
    rules = shop(3)
    with refused("nothing-to-do"):
        rules.do("pin.recall", by="Carl", station=PATIO)
    rules.do("pin.consign", by="Carl", serials=[1, 2], station=PATIO)
    rules.do("pin.recall", by="Carl", station=PATIO)
    assert rules.view.table("recalls").peek(PATIO) is not None
    with refused("not-yours"):
        rules.do("pin.return", serials=[1])
    with refused("not-yours"):
        rules.do("pin.return", at=STATION, serials=[3])
    rules.do("pin.return", at=STATION, serials=[1, 2])
    assert (shelf(rules), shelf(rules, PATIO)) == ([[1, 3]], [])
    assert rules.view.table("recalls").peek(PATIO) is None


@pytest.mark.feature("PN-13", "PN-08")
def test_cards_of_a_lost_station_are_burnt() -> None:
    """Once it is trusted no more; what it had sold stays sold."""
    rules = shop(3)
    rules.do("pin.consign", by="Carl", serials=[1, 2], station=PATIO)
    sell(rules, at=STATION, by="Vera")
    burn = {"by": "Ada", "station": PATIO}
    with refused("still-trusted"):
        rules.do("pin.burn", **burn, reason="stolen")
    rules.do("station.revoke", by="Ada", station=PATIO)
    with refused("unknown-station"):
        rules.do("pin.consign", by="Carl", serials=[3], station=PATIO)
    with refused("reason-needed"):
        rules.do("pin.burn", **burn, reason=" ")
    rules.do("pin.burn", **burn, reason="stolen")
    assert [pin(rules, n)["state"] for n in (1, 2, 3)] == ["sold", "deleted", "in_stock"]
    with refused("nothing-to-do"):
        rules.do("pin.burn", **burn, reason="stolen")


# --- sold ------------------------------------------------------------------------


@pytest.mark.feature("PN-13", "RP-07", "RP-19")
def test_waiting_order_holds_its_cards() -> None:
    """A denied one puts them back; a collected one sells those that were promised."""
    rules = shop(3, mode=2)
    first, second = (sell(rules, at=STATION, by="Vera") for _ in range(2))
    assert (serials_of(rules, first), shelf(rules)) == ([1], [[3, 3]])
    with refused("promised"):
        rules.do("pin.stock", by="Carl", serials=[1], direction="out")
    with refused("pin-already-sold"):
        line = {"sku": "CARD", "quantity": 1, "price_minor": 500, "serials": [1]}
        rules.order(at=SERVER, by="Carl", full_lines=[line])
    rules.do("order.deny", by="Carl", order=first, reason="no")
    assert shelf(rules) == [[1, 1], [3, 3]]
    rules.do("order.collect", by="Carl", order=second)
    assert (pin(rules, 2)["state"], pin(rules, 2)["order"]) == ("sold", second)
    rules.do("pin.consign", by="Carl", serials=[1], station=PATIO)
    own = sell(rules, at=STATION, by="Vera")
    assert (serials_of(rules, own), shelf(rules, PATIO)) == ([1], [])
    rules.do("order.withdraw", by="Vera", at=STATION, order=own)
    assert shelf(rules, PATIO) == [[1, 1]]


@pytest.mark.feature("PN-07")
@pytest.mark.parametrize("wrong", [[1], [1, 1], [1, 9], [1, 6]])
def test_line_names_as_many_cards_as_it_sells_each_once(wrong: list[int]) -> None:
    """And of its own profile."""
    rules = shop(5)
    rules.pin_profile("LONG")
    rules.pins("LONG", 1, stock=True)
    line = {"sku": "CARD", "quantity": 2, "price_minor": 500, "serials": wrong}
    with refused("unknown-serial" if 9 in wrong else "bad-field"):
        rules.order(at=SERVER, by="Carl", full_lines=[line])


@pytest.mark.feature("PN-02", "PN-07")
def test_validity_from_the_sale_ends_by_the_calendar() -> None:
    """Through its last local day; then the server's calendar ends it, sold or not."""
    rules = shop(0)
    rules.pin_profile("DAYS", validity="sale", days=30)
    rules.pin_profile("DATE", validity="date", last_day=settings.today(rules.view, rules.wall_ms))
    rules.pins("DAYS", 2, stock=True)
    rules.pins("DATE", 1, stock=True)
    rules.order(at=SERVER, by="Carl", lines={"DAYS": 1})
    day = settings.today(rules.view, rules.wall_ms)
    assert [pin(rules, n)["expires"] for n in (1, 2, 3)] == [day + 30, 0, day]
    assert pins.overdue(rules.view, rules.wall_ms) == []
    rules.wall_ms += DAY_MS
    assert pins.overdue(rules.view, rules.wall_ms) == [3]
    for serial in (1, 2):
        with refused("too-early"):
            rules.do("pin.expire", serials=[serial])
    rules.do("pin.expire", serials=[3])
    assert pin(rules, 3)["state"] == "expired"
    assert pins.shelf(rules.view, "DATE", "") == []
    assert pins.overdue(rules.view, rules.wall_ms) == []


@pytest.mark.feature("BX-08", "PN-08")
def test_refunded_card_is_worth_nothing() -> None:
    """Only while nobody has used it, and the whole line."""
    rules = shop(4)
    order = sell(rules, 2)
    back = {"by": "Ada", "order": order, "reason": "x"}
    with refused("whole-lines"):
        rules.do("sale.refund", **back, lines=[{"line": 0, "units": 1}])
    used = sell(rules)
    rules.view.store.writable = True
    rules.view.table("pins").put("3", {**pin(rules, 3), "state": "in_use"})
    rules.view.store.writable = False
    with refused("bad-state"):
        rules.do("sale.refund", by="Ada", order=used, reason="x")
    rules.do("sale.refund", **back)
    assert [pin(rules, n)["state"] for n in (1, 2)] == ["deleted", "deleted"]


# --- tickets -----------------------------------------------------------------------


@pytest.mark.feature("PN-11", "PN-12", "RP-07")
def test_ticket_is_made_at_its_sale_and_needs_a_printer() -> None:
    """One code, one ticket, one print job; without a code or a printer there is no sale."""
    rules = Rules(mode=1)
    assert not pins.wants_spares(rules.view)
    rules.pin_profile("HOUR", form="ticket")
    assert pins.wants_spares(rules.view)
    desk = {"at": SERVER, "by": "Carl", "lines": {"HOUR": 2}}
    with refused("no-codes"):
        rules.order(**desk)
    rules.spares(3)
    rules.spares(1)
    rules.do("printer.note", ready=False)
    with refused("nothing-to-do"):
        rules.do("printer.note", ready=False)
    with refused("printer-not-ready"):
        rules.order(**desk)
    taken = rules.order(lines={"HOUR": 1})
    assert rules.row("orders", taken)["flags"] == ["printer-not-ready"]
    rules.do("printer.note", ready=True)
    order = rules.order(**desk)
    assert serials_of(rules, order) == [1, 2]
    assert pins.spares_left(rules.view) == 2
    assert [pin(rules, n)["state"] for n in (1, 2)] == ["sold", "sold"]
    jobs = [row["ref"] for _, row in rules.view.table("prints").scan() if row["what"] == "pin"]
    assert jobs == ["1", "2"]
    none = Rules(mode=1, printing=False)
    none.pin_profile("HOUR", form="ticket")
    none.spares(1)
    with refused("printer-not-ready"):
        none.order(at=SERVER, by="Carl", lines={"HOUR": 1})


@pytest.mark.feature("PN-12", "RP-17")
def test_ticket_at_a_station_without_its_server_waits() -> None:
    """No money is taken; it is made, and printed once, when it is collected."""
    rules = Rules(mode=1)
    rules.pin_profile("HOUR", form="ticket")
    rules.spares(2)
    order = rules.order(lines={"HOUR": 1}, unseen_s=9)
    assert (rules.state(order), len(rules.view.table("pins"))) == ("pending", 0)
    rules.do("order.collect", by="Carl", order=order)
    assert serials_of(rules, order) == [1]


# --- a server that was put back ------------------------------------------------------


def test_cards_of_a_lost_life_meet_those_of_this_one() -> None:
    """Serials that this life gave to others are for a person; what it sold stays sold."""
    rules = shop(2)
    _, events = Rules(mode=1), None
    other = shop(0)
    _, events = other.outcome(
        "pin.make", by="Ada", profile="CARD", secrets=rules.secrets(3), stock=True
    )
    (made,) = events
    rules.view.store.writable = True
    rules.cafe.reapply(rules.view, made)
    codes = [row["code"] for _, row in rules.view.table("exceptions").scan()]
    assert codes == ["decided-twice"]
    fresh = shop(0)
    fresh.view.store.writable = True
    fresh.cafe.reapply(fresh.view, made)
    assert shelf(fresh) == [[1, 3]]
    rules.view.store.writable = False
    sell(rules)
    moved = pins.PinsMoved(
        act="delete", serials=[1, 2, 9], state="deleted", holder="", operator="", at_ms=0
    )
    rules.view.store.writable = True
    rules.cafe.reapply(rules.view, ["pins.moved", 1, moved])
    rules.cafe.apply(rules.view, ["pins.moved", 1, moved])
    assert [pin(rules, n)["state"] for n in (1, 2)] == ["deleted", "deleted"]
    ghost = pins.PinsMade(profile="GHOST", first=9, secrets=[["00", "00"]], stock=False,
                          operator="", at_ms=0)  # fmt: skip
    rules.cafe.apply(rules.view, ["pins.made", 1, ghost])
    assert rules.view.table("pins").peek("9") is None


def test_fold_of_cards_that_are_not_here_tells_a_person() -> None:
    """Sold twice in two lives: the first stays, and the second is told."""
    rules = shop(1)
    rules.view.store.writable = True
    row = {"lines": [{"sku": "CARD"}], "operator": ""}
    pins.apply_sale(rules.view, [[0, [7], 0, []]], "aa", dict(row), 0)
    pins.apply_sale(rules.view, [[0, [8], 0, [5]]], "bb", dict(row), 0)
    pins.hold(rules.view, [[0, [7]]], "aa")
    pins.release(rules.view, [[0, [7]]], "aa")
    pins.apply_refund(rules.view, [7, 1], "", 0)
    codes = [row["code"] for _, row in rules.view.table("exceptions").scan()]
    assert codes == ["pin-already-sold", "pin-already-sold"]
    assert pin(rules, 1)["state"] == "in_stock"


def test_order_of_cards_and_coffee_sells_both() -> None:
    """Lines that are no cards pass by."""
    rules = shop(3)
    lines = {"COFFEE": 1, "CARD": 1}
    order = rules.order(at=SERVER, by="Carl", lines=lines)
    assert serials_of(rules, order) == [1]
    rules.do("sale.refund", by="Ada", order=order, reason="x")
    waiting = rules.order(lines=lines, mode=2, cash_minor=None)
    assert serials_of(rules, waiting) == [2]
    line = {"sku": "CARD", "quantity": 1, "price_minor": 500, "serials": [3]}
    both = [{"sku": "COFFEE", "quantity": 1}, line]
    assert serials_of(rules, rules.order(at=SERVER, by="Carl", full_lines=both)) == [3]


@pytest.mark.feature("PN-12", "SE-08")
def test_print_job_of_a_ticket_holds_no_pin() -> None:
    """It names a serial; what is printed is opened when it is sent."""
    rules = Rules(mode=1)
    rules.pin_profile("HOUR", form="ticket", validity="sale", days=1)
    rules.spares(1)
    rules.order(at=SERVER, by="Carl", lines={"HOUR": 1})
    shown = receipts.ticket(rules.view, "p-1")
    assert (shown["serial"], shown["minutes"], shown["price_minor"]) == (1, 60, 500)
    assert shown["text"] == pin(rules, 1)["text"] and "pin" not in shown


@pytest.mark.feature("RP-17", "RP-28")
def test_station_leaves_to_the_server_what_only_that_can_finish() -> None:
    """What it shows of its own is no sale yet."""
    rules = shop(3)
    command = read_command(KINDS["order.place"], {"lines": [{"sku": "CARD", "quantity": 1}]})
    filled = orders.fill(rules.view, command, PATIO, rules.view.cursor)
    assert filled.mode == 1
    op: Any = SimpleNamespace(
        chain=STATION + b"epoch000", base=0, key=b"k" * 16, wall_ms=0, node=STATION
    )
    context = Context(
        op=op, operator=rules.people["Vera"], server=False, desk=False, seq=99, at_ms=1, age_ms=0
    )
    acting = Acting(context, rules.people["Vera"].hex(), rules.row(
        "operators", rules.people["Vera"].hex()), rules.row("stations", PATIO), PATIO, True)  # fmt: skip
    ((kind, _, _),) = orders.decide_place(rules.view, filled, acting)
    assert kind == "order.placed"
