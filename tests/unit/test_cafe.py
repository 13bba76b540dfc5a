"""The café's rules, one room after the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cafe import box, catalog, lines, money, operators, orders, receipts
from node.cafe.house import KINDS
from node.cafe.kinds import Command, Fact, body_of, check_text, read_command
from sync.codec import pack
from sync.errors import Refused
from sync.identity import Ed25519Signer, node_id
from tests.support.cafe import SERVER, STATION, Rules


@pytest.fixture
def rules() -> Rules:
    return Rules()


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=f"^{code}")


# --- money -------------------------------------------------------------------

TAXES = {
    "coffee 2000, tax 10 %": ([(2000, 1000)], [(1000, 2000, 1818, 182)]),
    "299, 4 % (287.5)": ([(299, 400)], [(400, 299, 288, 11)]),
    "33+33+33 at 21 %, 50 at 0 %": (
        [(33, 2100)] * 3 + [(50, 0)],
        [(0, 50, 50, 0), (2100, 99, 82, 17)],
    ),
}


@pytest.mark.parametrize("name", TAXES)
@pytest.mark.feature("RP-05")
def test_tax_is_taken_out_once_a_rate_and_ticket(name: str) -> None:
    """Prices contain the tax; nearest, ties away from zero."""
    lines, expected = TAXES[name]
    assert money.taxes(lines) == expected


PAYS = {
    "1002 cash, step 5, half; pays 2000": ((1002, 0, 2000, 5, "half"), (1000, -2, 1000)),
    "1025, step 50, half (tie)": ((1025, 0, 1050, 50, "half"), (1050, 25, 0)),
    "1001, step 50, up": ((1001, 0, 1050, 50, "up"), (1050, 49, 0)),
    "1002 = 500 credit + cash, step 5": ((1002, 500, None, 5, "half"), (500, -2, 0)),
}


@pytest.mark.parametrize("name", PAYS)
def test_only_the_cash_rest_is_rounded(name: str) -> None:
    """The difference is a line of its own."""
    given_, expected = PAYS[name]
    paid = money.pay(*given_)
    assert (paid.cash, paid.rounding, paid.change) == expected


def test_too_little_cash_is_refused() -> None:
    """The sentence says how much is short."""
    with refused("too-little") as caught:
        money.pay(1000, 0, 900, 1, "half")
    assert caught.value.details == {"short_minor": 100}
    with refused("out-of-range"):
        money.pay(1000, 1001, None, 1, "half")


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**6))
def test_nearest_is_off_by_half_at_most_and_odd_in_sign(numerator: int, denominator: int) -> None:
    """Rounding is to the nearest, and the same for gains and losses."""
    quotient = money.nearest(numerator, denominator)
    assert abs(quotient * denominator - numerator) * 2 <= denominator
    assert money.nearest(-numerator, denominator) == -quotient


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.sampled_from([0, 400, 1000, 2100])), max_size=20)
)
def test_net_and_tax_add_up_to_gross(lines: list[tuple[int, int]]) -> None:
    """No cent appears or goes."""
    for _, gross, net, tax in money.taxes(lines):
        assert net + tax == gross
        assert tax >= 0


@pytest.mark.parametrize(("text", "minor"), [("3.70", 370), ("0", 0), (" 12 ", 1200), ("1.5", 150)])
def test_amounts_are_read_exactly(text: str, minor: int) -> None:
    """Major units with a point, never through a float."""
    assert money.parse_minor(text, "EUR") == minor


@pytest.mark.parametrize("text", ["3.705", "", "a", "1,5", "NaN", "Infinity"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError):
        money.parse_minor(text, "EUR")


# --- texts and fields --------------------------------------------------------


@pytest.mark.parametrize("text", ["a\x1bp0", "a\u202eb", "e\u0301", "a\u200bb", "a\nb", "\ue000"])
@pytest.mark.feature("PR-04", "SE-09")
def test_text_that_could_command_a_printer_or_lie_is_refused(text: str) -> None:
    """ESC p in a name would open a drawer; U+202E would turn a ticket around."""
    with refused("bad-text"):
        check_text(text)


def test_good_text_passes_and_reasons_may_have_lines() -> None:
    """Names in any script; newlines only where people write messages."""
    check_text("Café ñandú ☕ 日本 🙂")
    check_text("one\ntwo", newlines=True)


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "quantity −1": ({"lines": [{"sku": "A", "quantity": -1}]}, "out-of-range"),
    "quantity 0": ({"lines": [{"sku": "A", "quantity": 0}]}, "out-of-range"),
    "quantity 2**63": ({"lines": [{"sku": "A", "quantity": 2**63}]}, "out-of-range"),
    "True as an amount": ({"lines": [{"sku": "A", "quantity": True}]}, "bad-type"),
    "a float": ({"lines": [{"sku": "A", "quantity": 1.5}]}, "bad-type"),
    "price −500": (
        {"lines": [{"sku": "A", "quantity": 1, "price_minor": -500}]},
        "out-of-range",
    ),
    "no lines": ({"lines": []}, "out-of-range"),
    "no field": ({}, "bad-field"),
    "an unknown field": ({"lines": [{"sku": "A", "quantity": 1}], "x": 1}, "bad-field"),
    "a sku with a blank": ({"lines": [{"sku": "A B", "quantity": 1}]}, "bad-text"),
    "a second line's note with ESC": (
        {"lines": [{"sku": "A", "quantity": 1}, {"sku": "A", "quantity": 1, "note": "\x1bp"}]},
        "bad-text",
    ),
    "a label with ESC": ({"lines": [{"sku": "A", "quantity": 1}], "label": "\x1bp"}, "bad-text"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
@pytest.mark.feature("SE-09")
def test_field_that_is_not_of_its_type_or_range_is_refused(name: str) -> None:
    """Each has its code, before any rule sees it."""
    body, code = BAD_FIELDS[name]
    with refused(code):
        read_command(KINDS["order.place"], body)


@pytest.mark.parametrize("field", ["name", "category"])
@pytest.mark.feature("SE-09")
def test_every_text_of_every_row_of_a_list_is_looked_at(field: str) -> None:
    """Wherever it stands, what a printer or a screen would obey is refused."""
    good = {"sku": "A", "name": "Good", "category": "Good", "price_minor": 1}
    read_command(KINDS["catalog.import"], {"products": [good, good]})
    with refused("bad-text"):
        read_command(KINDS["catalog.import"], {"products": [good, {**good, field: "\x1bp"}]})


def test_op_says_what_was_said() -> None:
    """What was not is left out; nothing, none and empty are said where they are not what is usual."""
    line = lines.Line(sku="A", quantity=1)
    said: list[tuple[Command, dict[str, Any]]] = [
        (
            orders.PlaceOrder(lines=(line,), discounts=(), customer=None, cash_minor=0),
            {"lines": [{"sku": "A", "quantity": 1}], "cash_minor": 0, "unseen_s": 0},
        ),
        (orders.CollectOrder(order="00", payments=()), {"order": "00", "payments": []}),
        (orders.DenyOrder(order="00"), {"order": "00", "reason": ""}),
    ]
    for command, body in said:
        assert pack(body_of(command)) == pack(body)


def test_what_is_left_out_where_it_is_as_usual_is_still_canonical() -> None:
    """msgspec chooses the form of a map's head by how many fields a struct has, not by how many it
    writes: above 15 fields that is not the shortest, and nothing that we sign has such a form."""
    shorter = [
        kind
        for base in (Command, Fact)
        for kind in base.__subclasses__()
        if kind.__struct_config__.omit_defaults
    ]
    assert lines.Line in shorter
    assert all(len(kind.__struct_fields__) <= 15 for kind in shorter)
    line = lines.Line(sku="A", quantity=1)
    assert pack(line) == pack({"sku": "A", "quantity": 1})


# --- permissions -------------------------------------------------------------


@pytest.mark.feature("OP-01", "SE-04", "SE-05")
@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.permission])
def test_kind_is_refused_without_its_permission_and_place(kind: str) -> None:
    """Checked where it is sequenced, in this order: node, operator, permission."""
    rules = Rules()
    row = KINDS[kind]
    with refused("unknown-station"):
        rules.do(kind, by="Ada", at=b"x" * 16)
    if row.server_only:
        with refused("server-only"):
            rules.do(kind, by="Ada", at=STATION)
    nobody = "no-permission" if row.judges_right else "no-grant"
    if kind != "order.place":
        with refused(nobody):
            rules.do(kind, **_fields(kind))
    for name, role in (("Vera", "vendor"), ("Carl", "cashier"), ("Ada", "administrator")):
        allowed = row.permission in operators.ROLES[role]
        if not allowed:
            with refused("no-permission"):
                rules.do(kind, by=name, **_fields(kind))


def _fields(kind: str) -> dict[str, Any]:
    if kind == "operator.add":
        return {"name": "New", "role": "vendor", "public_key": "00" * 32, "sealed_key": ""}
    return {}


@pytest.mark.feature("RP-15", "SE-05")
def test_box_close_signed_by_any_station_is_refused() -> None:
    """Only the server closes the box, whoever signs."""
    with refused("server-only"):
        Rules().do("box.close", by="Ada", at=STATION)


def test_single_grants_and_denials_overrule_the_role(rules: Rules) -> None:
    """A right denied singly is gone, one granted singly is there; denied wins."""
    rules.do("operator.edit", by="Ada", operator="vera", granted=["order.authorise"])
    order = rules.order()
    rules.do("order.allow", by="Vera", order=order)
    rules.do("operator.edit", by="Ada", operator="Vera", denied=["order.authorise"])
    with refused("no-permission"):
        rules.do("order.collect", by="Vera", order=order)
    rules.do("operator.edit", by="Ada", operator="Carl", enabled=False)
    with refused("no-permission"):
        rules.do("order.collect", by="Carl", order=order)


def test_last_administrator_stays(rules: Rules) -> None:
    """A café cannot lock itself out."""
    for changes in ({"role": "vendor"}, {"enabled": False}, {"denied": ["operator.edit"]}):
        with refused("last-administrator"):
            rules.do("operator.edit", by="Ada", operator="Ada", **changes)
    with refused("name-taken"):
        rules.add("ADA", "vendor")
    rules.add("Bea", "administrator")
    rules.do("operator.edit", by="Ada", operator="Ada", role="vendor")
    with refused("unknown-permission"):
        rules.do("operator.edit", by="Bea", operator="Ada", granted=["fly"])
    with refused("unknown-operator"):
        rules.do("operator.edit", by="Bea", operator="Nobody", role="vendor")


def test_operator_with_a_weak_key_is_refused(rules: Rules) -> None:
    """A key that anybody can sign for is nobody's."""
    with refused("bad-key"):
        rules.do(
            "operator.add", by="Ada", name="X", role="vendor", public_key="00" * 32, sealed_key=""
        )
    with refused("bad-key"):
        rules.do("station.enrol", by="Ada", name="X", public_key="00" * 32, certificate="00")


# --- orders ------------------------------------------------------------------


@pytest.mark.feature("RP-19", "RP-21")
def test_mode_2_order_waits_is_allowed_and_collected(rules: Rules) -> None:
    """pending → allowed → collected; the sale enters the box when the operator collects."""
    order = rules.order(lines={"COFFEE": 2, "CAKE": 1})
    assert rules.state(order) == "pending"
    assert rules.box(1)["total_minor"] == 0
    rules.do("order.allow", by="Carl", order=order)
    assert rules.state(order) == "allowed"
    rules.do("order.collect", by="Carl", order=order)
    row = rules.row("orders", order)
    assert (row["state"], row["ticket"], row["total_minor"]) == ("collected", 1, 750)
    assert rules.box(1)["total_minor"] == 750
    assert [state for state, _, _ in row["history"]] == ["pending", "allowed", "collected"]


@pytest.mark.feature("RP-19", "RP-21")
def test_order_is_denied_only_with_a_reason_and_only_while_it_waits(rules: Rules) -> None:
    """The reason reaches the vendor; nothing enters the box."""
    order = rules.order()
    for reason in ("", "  "):
        with refused("reason-needed"):
            rules.do("order.deny", by="Carl", order=order, reason=reason)
    rules.do("order.deny", by="Carl", order=order, reason="Out of stock")
    assert rules.row("orders", order)["reason"] == "Out of stock"
    for kind, more in (("order.deny", {"reason": "x"}), ("order.allow", {}), ("order.collect", {})):
        with refused("bad-state"):
            rules.do(kind, by="Carl", order=order, **more)
    with refused("unknown-order"):
        rules.do("order.allow", by="Carl", order="00" * 16)
    assert rules.box(1)["sales"] == 0


@pytest.mark.feature("RP-17", "RP-23")
def test_mode_1_order_is_collected_when_it_is_sequenced(rules: Rules) -> None:
    """The vendor's sale is final; its cash stands in their till."""
    rules = Rules(mode=1)
    order = rules.order(lines={"CAKE": 2})
    assert rules.state(order) == "collected"
    till = f"{rules.people['Vera'].hex()}/{STATION.hex()}"
    assert rules.box(1)["tills"][till]["cash"] == 700


@pytest.mark.feature("RP-23")
def test_order_keeps_the_mode_it_was_taken_in(rules: Rules) -> None:
    """A change of mode reaches an offline station later; what it took meanwhile stays what it was."""
    rules = Rules(mode=1)
    base = rules.view.cursor
    rules.do("settings.edit", by="Ada", mode=2)
    late = rules.order(mode=1, base=base)
    assert rules.state(late) == "collected"
    forged = rules.order(mode=1)
    assert rules.state(forged) == "set_aside"
    assert rules.row("orders", forged)["flags"] == ["mode-differs"]
    with refused("bad-mode"):
        rules.order(at=SERVER, by="Carl", mode=2)
    with refused("bad-mode"):
        rules.order(mode=0)


@pytest.mark.feature("RP-03")
def test_desk_and_station_sell_by_the_same_rules(rules: Rules) -> None:
    """The same basket gives the same totals and the same ticket on both."""
    rules = Rules(mode=1)
    here = rules.order(at=SERVER, by="Carl", lines={"COFFEE": 3})
    there = rules.order(lines={"COFFEE": 3})
    one, other = rules.row("orders", here), rules.row("orders", there)
    for name in ("total_minor", "lines", "cash_minor", "rounding_minor", "state"):
        assert one[name] == other[name]
    tickets = [receipts.ticket(rules.view, f"t-{n}") for n in (1, 2)]
    assert tickets[0]["taxes"] == tickets[1]["taxes"]
    assert tickets[0]["lines"] == tickets[1]["lines"]


@pytest.mark.feature("SE-03", "RP-29")
def test_station_that_takes_anothers_place_counts_on(rules: Rules) -> None:
    """Its orders bear the next labels; nobody takes the place of what is not there, or the server's."""
    rules.order()
    fields = {"name": "Patio", "certificate": "00"}
    key = Ed25519Signer(b"2" * 32).public
    for nobody in ("ff" * 16, SERVER.hex()):
        with pytest.raises(Refused, match="unknown-station"):
            rules.do("station.enrol", by="Ada", public_key=key.hex(), replaces=nobody, **fields)
    old, new = STATION.hex(), node_id(key)
    body = {**fields, "public_key": key.hex(), "replaces": old}
    rules.do("station.enrol", by="Ada", **body)
    assert rules.row("stations", old)["revoked"]
    label = rules.row("orders", rules.order(at=new))["label"]
    assert label == f"{rules.row('stations', old)['label']}-0002"
    third = Ed25519Signer(b"3" * 32).public
    again = {**fields, "public_key": third.hex(), "replaces": old}
    with pytest.raises(Refused, match="unknown-station"):
        rules.do("station.enrol", by="Ada", **again)
    assert not rules.row("stations", new.hex())["revoked"], "its place is taken"
    rules.do("station.revoke", by="Ada", station=new.hex())
    rules.do("station.enrol", by="Ada", **{**again, "replaces": new.hex()})
    row = rules.row("stations", node_id(third).hex())
    assert row["number"] == rules.row("stations", old)["number"]


@pytest.mark.feature("RP-29")
def test_tickets_have_no_gaps(rules: Rules) -> None:
    """Only what was collected gets a number, and each the next."""
    placed = [rules.order() for _ in range(6)]
    rules.do("order.deny", by="Carl", order=placed[2], reason="x")
    for order in (placed[5], placed[0], placed[3], placed[1]):
        rules.do("order.collect", by="Carl", order=order)
    tickets = sorted(row["ticket"] for row in rules.view.table("orders") if row["ticket"])
    assert tickets == [1, 2, 3, 4]


PRICES: dict[str, tuple[int, dict[str, Any], str, list[str]]] = {
    # mode, what the vendor's op says, state, flags
    "the price of its time, now another": (1, {"stale": True}, "collected", ["old-price"]),
    "Mode 2, price of its time": (2, {"stale": True}, "pending", ["price-differs"]),
    "a forged price": (1, {"price": 199}, "set_aside", ["price-differs"]),
    "Mode 2, a forged price": (2, {"price": 199}, "pending", ["price-differs"]),
    "a wrong sum": (1, {"total_minor": 999}, "set_aside", ["bad-arithmetic"]),
    "Mode 2, a wrong sum": (2, {"total_minor": 999}, "set_aside", ["bad-arithmetic"]),
}


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.feature("RP-25", "SE-04")
def test_server_computes_again(name: str) -> None:
    """Prices by the catalogue at the op's base, sums exactly; what does not fit waits for a person."""
    mode, given_, state, flags = PRICES[name]
    rules = Rules(mode=mode)
    base = rules.view.cursor
    body: dict[str, Any] = {
        "lines": [{"sku": "COFFEE", "quantity": 1, "price_minor": given_.get("price", 200)}],
        "total_minor": given_.get("total_minor", given_.get("price", 200)),
        "mode": mode,
        "label": "S1-1",
        "box": 1,
    }
    if given_.get("stale"):
        rules.products(COFFEE=300)
    order = rules.do("order.place", by="Vera", at=STATION, base=base, **body)
    row = rules.row("orders", order)
    assert (row["state"], row["flags"]) == (state, flags)
    if state == "set_aside":
        assert rules.box(1)["sales"] == 0


def test_price_within_the_tolerance_is_taken_and_flagged() -> None:
    """The tolerance is on the total."""
    rules = Rules(mode=1, tolerance_minor=10)
    line = {"sku": "COFFEE", "quantity": 10, "price_minor": 199}
    body = {"lines": [line], "total_minor": 1990, "mode": 1, "label": "S1-1", "box": 1}
    order = rules.do("order.place", by="Vera", at=STATION, **body)
    assert rules.row("orders", order)["flags"] == ["price-differs"]
    assert rules.state(order) == "collected"


@pytest.mark.feature("RP-25")
def test_money_taken_without_the_right_is_set_aside_never_refused() -> None:
    """The cash is in the till whatever the rules say: a person decides."""
    rules = Rules(mode=1)
    rules.do("operator.edit", by="Ada", operator="Vera", denied=["order.place"])
    order = rules.order()
    assert rules.row("orders", order)["flags"] == ["right-lost"]
    with refused("reason-needed"):
        rules.do("order.accept", by="Carl", order=order)
    rules.do("order.accept", by="Carl", order=order, reason="It was sold")
    assert rules.state(order) == "collected"
    rules = Rules(mode=2)
    rules.do("operator.edit", by="Ada", operator="Vera", denied=["order.place"])
    with refused("no-permission"):
        rules.order()


def test_unknown_product_is_set_aside_where_money_was_taken_and_refused_elsewhere() -> None:
    """A product that was never there, or is gone."""
    line = {"sku": "GHOST", "quantity": 1, "price_minor": 5}
    for mode, code in ((1, ""), (2, "unknown-product")):
        rules = Rules(mode=mode)
        body = {"lines": [line], "total_minor": 5, "mode": mode, "label": "S1-1", "box": 1}
        if code:
            with refused(code):
                rules.do("order.place", by="Vera", at=STATION, **body)
        else:
            order = rules.do("order.place", by="Vera", at=STATION, **body)
            assert rules.state(order) == "set_aside"


def test_set_aside_mode_2_order_is_accepted_into_the_queue_or_rejected() -> None:
    """A person's word moves it on, with a reason."""
    rules = Rules()
    orders = [rules.order(total_minor=1) for _ in range(2)]
    rules.do("order.accept", by="Carl", order=orders[0], reason="fine")
    rules.do("order.reject", by="Carl", order=orders[1], reason="no")
    assert [rules.state(order) for order in orders] == ["allowed", "denied"]


def test_labels_count_up_a_station() -> None:
    """Human labels of orders are labels; keys identify."""
    rules = Rules()
    labels = [rules.row("orders", rules.order())["label"] for _ in range(3)]
    assert labels == ["S1-0001", "S1-0002", "S1-0003"]


# --- box ---------------------------------------------------------------------


@pytest.mark.feature("BX-01")
def test_close_withdraws_leaves_a_float_and_opens_the_next_box(rules: Rules) -> None:
    """Declared, difference, withdrawn, next opening; numbers are consecutive."""
    rules.do("order.collect", by="Carl", order=rules.order(lines={"CAKE": 4}))
    with refused("out-of-range"):
        rules.do("box.close", by="Carl", declared_minor=2000, leave_minor=2001)
    rules.do("box.close", by="Carl", declared_minor=1390, leave_minor=500, next_operator="ada")
    z = rules.row("boxes", "1")["z"]
    assert (z["expected_minor"], z["declared_minor"], z["difference_minor"]) == (1400, 1390, -10)
    assert (z["withdrawn_minor"], z["leave_minor"]) == (890, 500)
    assert z["next_operator"] == rules.people["Ada"].hex()
    opened = box.open_box(rules.view)
    assert opened is not None
    assert (opened["number"], opened["opening_minor"]) == (2, 500)
    with refused("unknown-operator"):
        rules.do("box.close", by="Carl", next_operator="Vera")


@pytest.mark.feature("BX-04")
def test_till_and_box_are_judged_apart() -> None:
    """A shortage of a till does not count twice."""
    rules = Rules(mode=1, opening_minor=1000)
    rules.order(lines={"CAKE": 4})
    till = f"{rules.people['Vera'].hex()}/{STATION.hex()}"
    declared = [{"till": till, "declared_minor": 1390}]
    rules.do("box.close", by="Carl", declared_minor=2390, tills=declared)
    z = rules.row("boxes", "1")["z"]
    assert z["tills"][0]["difference_minor"] == -10
    assert z["difference_minor"] == 0
    with refused("unknown-till"):
        rules.do("box.close", by="Carl", tills=[{"till": "x", "declared_minor": 1}])


@pytest.mark.feature("BX-03", "BX-06")
def test_closed_box_never_changes_and_late_sales_enter_the_next() -> None:
    """Orders of a closed box enter the open one, tagged with the box they came from."""
    rules = Rules(mode=1)
    rules.order()
    rules.do("box.close", by="Carl")
    z = rules.box(1)
    late = rules.order(box=1)
    assert rules.box(1) == z
    assert rules.row("orders", late)["late_from"] == 1
    assert rules.box(2)["late"] == 1
    assert rules.box(2)["total_minor"] == 200


@pytest.mark.feature("RP-22", "RE-02")
@given(st.lists(st.tuples(st.sampled_from(["Vera", "Carl"]), st.integers(1, 9)), max_size=12))
def test_sums_of_the_box_are_the_sums_of_its_orders(sales: list[tuple[str, int]]) -> None:
    """The same figure is the same in every view."""
    rules = Rules()
    for who, count in sales:
        order = rules.order(by=who, lines={"COFFEE": count, "CAKE": 1})
        rules.do("order.collect", by="Carl", order=order)
    row = rules.box(1)
    orders = [o for o in rules.view.table("orders") if o["state"] == "collected"]
    assert row["total_minor"] == sum(o["total_minor"] for o in orders)
    assert row["sales"] == len(orders)
    for name, operator in rules.people.items():
        own = sum(o["total_minor"] for o in orders if o["operator"] == operator.hex())
        assert row["by_vendor"].get(operator.hex(), 0) == own, name
    assert sum(amount for _, amount in row["categories"].values()) == row["total_minor"]
    assert sum(gross for gross, _, _ in row["taxes"].values()) == row["total_minor"]


# --- printing ----------------------------------------------------------------


@pytest.mark.feature("PR-03")
def test_print_job_ends_printed_or_unknown_and_a_reprint_says_copy(rules: Rules) -> None:
    """A ticket comes out once, or it is listed for a person."""
    rules.do("order.collect", by="Carl", order=rules.order())
    assert rules.row("prints", "t-1")["state"] == "waiting"
    rules.do("print.start", job="t-1")
    with refused("bad-state"):
        rules.do("print.start", job="t-1")
    rules.do("print.end", job="t-1", outcome="not_started", why="print.paper")
    assert rules.row("prints", "t-1")["state"] == "waiting"
    rules.do("print.start", job="t-1")
    rules.do("print.end", job="t-1", outcome="unknown", why="print.broken")
    with refused("bad-state"):
        rules.do("print.start", job="t-1")
    rules.do("ticket.reprint", by="Carl", job="t-1")
    assert receipts.ticket(rules.view, "t-1")["copy"]
    rules.do("print.start", job="t-1")
    rules.do("print.end", job="t-1", outcome="unknown")
    rules.do("print.settle", by="Carl", job="t-1")
    assert rules.row("prints", "t-1")["state"] == "printed"
    with refused("unknown-job"):
        rules.do("print.start", job="t-99")


def test_café_without_a_printer_has_no_jobs() -> None:
    """Nothing waits for a printer that is not there."""
    rules = Rules(printing=False)
    rules.do("order.collect", by="Carl", order=rules.order())
    assert not rules.view.table("prints").all()


# --- catalogue ---------------------------------------------------------------


@pytest.mark.feature("CF-04")
def test_csv_with_bad_rows_lists_every_one_and_gives_nothing() -> None:
    """Wrong columns, bad numbers, repeated codes: each with its line."""
    text = "sku,name,price,barcode\nA,Apple,1.00,1\nA,Again,1.00,2\nB,,1.00,3\nC,Cat,x,4\nD,D\x1bp,1,5\nE,E,-1,6\nF,F,1,1\n"
    _, bad = catalog.read_csv(text, "EUR")
    assert [(row.line, row.code) for row in bad] == [
        (3, "repeated"),
        (4, "bad-value"),
        (5, "bad-number"),
        (6, "bad-text"),
        (7, "bad-value"),
        (8, "repeated"),
    ]
    assert catalog.read_csv("sku,price\nA,1", "EUR")[1][0].code == "bad-columns"
    assert catalog.read_csv("sku,name,price,colour\n", "EUR")[1][0].what == "colour"
    assert catalog.read_csv("sku,name,price\n", "EUR")[1][0].code == "empty"
    assert catalog.read_csv("sku,name,price\nA,B\n", "EUR")[1][0].code == "bad-columns"


def test_csv_gives_products_in_minor_units_and_basis_points() -> None:
    """A byte order mark is passed over; percent may have decimals."""
    text = "\ufeffsku,name,price,tax_percent,cost\nA,Café,3.70,10.5,1.2\n"
    products, bad = catalog.read_csv(text, "EUR")
    assert not bad
    assert products[0]["price_minor"] == 370
    assert products[0]["tax_bp"] == 1050
    assert products[0]["cost_minor"] == 120


def test_catalogue_keeps_the_prices_of_before(rules: Rules) -> None:
    """An old act is judged by the price of its time."""
    base = rules.view.cursor
    rules.products(COFFEE=300)
    row = rules.row("products", "COFFEE")
    assert catalog.price_at(row, base, "") == 200
    assert catalog.price_at(row, rules.view.cursor, "") == 300
    assert catalog.price_at(row, 0, "") is None
    with refused("repeated"):
        rules.do(
            "catalog.import",
            by="Ada",
            products=[{"sku": "A", "name": "a", "price_minor": 1}] * 2,
        )


def test_settings_that_change_nothing_are_refused(rules: Rules) -> None:
    """An act without an effect is not written down."""
    with refused("nothing-to-do"):
        rules.do("settings.edit", by="Ada")
    with refused("already-created"):
        rules.do("cafe.create", name="X", currency="EUR", language="en", cafe_key="00")


@pytest.mark.feature("SE-06")
def test_revoked_station_is_known_no_more(rules: Rules) -> None:
    """What it sends is refused from then on."""
    rules.do("station.revoke", by="Ada", station=STATION.hex())
    with refused("unknown-station"):
        rules.order()
    assert rules.cafe.is_revoked(rules.view, STATION)
    assert list(rules.cafe.nodes(rules.view)) == []
    with refused("unknown-station"):
        rules.do("station.revoke", by="Ada", station=STATION.hex())
