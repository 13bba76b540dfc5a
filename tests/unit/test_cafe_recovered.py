"""The café's rules in a server that was put back from an old copy: nothing is dropped, nothing counts twice."""

from __future__ import annotations

from typing import Any

import pytest

from node.cafe import exceptions
from sync.errors import Refused
from tests.support.cafe import STATION, Rules

pytestmark = pytest.mark.feature("SY-07")


@pytest.fixture
def rules() -> Rules:
    return Rules(mode=1)


def again(rules: Rules, events: list[Any]) -> None:
    """Fold events as those of an entry that came back."""
    rules.view.store.writable = True
    for event in events:
        rules.cafe.reapply(rules.view, event)
    rules.view.store.writable = False


def lost(rules: Rules, act: Any) -> list[Any]:
    """Events of an act of a life that is lost: what it did to the tables is taken back."""
    before = {name: dict(table.packed) for name, table in rules.view.store.tables.items()}
    known = rules.view.cursor, dict(rules.view.keys), dict(rules.view.chains)
    events: list[Any] = []
    fold = rules.cafe.apply

    def spy(tables: Any, event: Any) -> None:
        events.append(event)
        fold(tables, event)

    rules.cafe.apply = spy  # type: ignore[method-assign]
    try:
        act()
    finally:
        del rules.cafe.apply
    for name, table in rules.view.store.tables.items():
        table.load(dict(before.get(name, {})))
    rules.view.cursor, rules.view.keys, rules.view.chains = known
    return events


def codes(rules: Rules) -> list[str]:
    return [row["code"] for row in rules.view.table("exceptions")]


def box(rules: Rules, number: int = 1) -> dict[str, Any]:
    return rules.box(number)


def test_order_that_comes_back_is_as_it_was_and_its_ticket_is_a_persons_to_decide(
    rules: Rules,
) -> None:
    """Its money counts in the box it was counted in; it is not printed by itself."""
    events = lost(rules, rules.order)
    assert not rules.view.table("orders").all()
    again(rules, events)
    (order,) = rules.view.table("orders")
    assert (order["state"], order["ticket"]) == ("collected", 1)
    assert box(rules)["total_minor"] == 200
    assert (rules.row("prints", "t-1")["state"], rules.row("prints", "t-1")["why"]) == (
        "unknown",
        "print.restored",
    )
    again(rules, [["print.moved", 1, {"job": "t-1", "state": "sending", "why": "", "copy": False}]])
    assert rules.row("prints", "t-1")["state"] == "unknown"
    printed = ["print.moved", 1, {"job": "t-1", "state": "printed", "why": "", "copy": False}]
    again(rules, [printed])
    assert rules.row("prints", "t-1")["state"] == "printed"
    again(rules, [["print.moved", 1, {"job": "t-1", "state": "waiting", "why": "", "copy": True}]])
    again(rules, [["print.moved", 1, {"job": "t-9", "state": "waiting", "why": "", "copy": True}]])
    assert rules.row("prints", "t-1")["state"] == "printed"
    assert codes(rules) == []


def test_ticket_number_that_was_given_in_both_lives_is_told(rules: Rules) -> None:
    """Both orders keep it; the second print has a name of its own, and counts go on behind both."""
    events = lost(rules, rules.order)
    rules.order()
    again(rules, events)
    assert codes(rules) == ["ticket-twice"]
    assert sorted(row["state"] for row in rules.view.table("prints")) == ["unknown", "waiting"]
    moved = ["print.moved", 1, {"job": "t-1", "state": "printed", "why": "", "copy": False}]
    again(rules, [moved])
    assert rules.row("prints", "t-1")["state"] == "waiting", "that was the other one's paper"
    assert box(rules)["total_minor"] == 400
    third = rules.order()
    assert rules.row("orders", third)["ticket"] == 2


def test_ticket_that_comes_back_takes_no_number_back(rules: Rules) -> None:
    """However low the number of a lost life's ticket, the next one is behind all that were given."""
    events = lost(rules, rules.order)
    for _ in range(3):
        rules.order()
    again(rules, events)
    assert rules.row("orders", rules.order())["ticket"] == 4


def test_order_that_was_collected_in_both_lives_counts_once(rules: Rules) -> None:
    """The second time its money was taken is told."""
    rules = Rules(mode=2)
    order = rules.order()
    events = lost(rules, lambda: rules.do("order.collect", by="Carl", order=order))
    rules.do("order.collect", by="Carl", order=order)
    again(rules, events)
    assert codes(rules) == ["collected-twice"]
    assert box(rules)["total_minor"] == 200


def test_order_that_was_denied_here_and_collected_there_is_told(rules: Rules) -> None:
    """A person sees that two lives decided otherwise; the first news stays."""
    rules = Rules(mode=2)
    order = rules.order()
    denied = lost(rules, lambda: rules.do("order.deny", by="Carl", order=order, reason="no"))
    allowed = lost(rules, lambda: rules.do("order.allow", by="Carl", order=order))
    again(rules, allowed)
    assert rules.state(order) == "allowed"
    rules.do("order.collect", by="Carl", order=order)
    again(rules, [*denied, *allowed])
    assert rules.state(order) == "collected"
    assert codes(rules) == ["decided-twice", "decided-twice"]
    other = rules.order()
    again(rules, lost(rules, lambda: rules.do("order.deny", by="Carl", order=other, reason="no")))
    assert rules.state(other) == "denied"
    again(rules, [["order.denied", 1, {**denied[0][2], "order": other}]])
    assert codes(rules) == ["decided-twice", "decided-twice"]


def test_order_that_is_here_already_is_not_placed_again(rules: Rules) -> None:
    """What has become of it since stays."""
    rules = Rules(mode=2)
    kept: list[Any] = []
    kept += lost(rules, lambda: rules.order())
    again(rules, kept)
    (order,) = rules.view.table("orders")
    rules.do("order.collect", by="Carl", order=str(order.doc_id))
    again(rules, kept)
    assert rules.state(str(order.doc_id)) == "collected"


def test_sale_of_a_box_that_was_closed_without_it_counts_in_the_open_one(rules: Rules) -> None:
    """Its Z is frozen; the sale is late, and told."""
    events = lost(rules, rules.order)
    rules.do("box.close", by="Ada")
    again(rules, events)
    (order,) = rules.view.table("orders")
    assert (order["sold_in"], order["late_from"]) == (2, 1)
    assert box(rules, 2)["total_minor"] == 200
    assert box(rules, 1)["total_minor"] == 0
    assert codes(rules) == ["collected-late"]


def test_close_that_comes_back_stands_as_it_was_printed(rules: Rules) -> None:
    """What this life has sold in that box beside it is told, with the amount."""
    events = lost(rules, lambda: rules.do("box.close", by="Ada"))
    rules.order()
    again(rules, events)
    assert box(rules, 1)["state"] == "closed"
    assert box(rules, 1)["z"]["total_minor"] == 0
    assert rules.row("prints", "z-1")["state"] == "unknown"
    assert box(rules, 2)["state"] == "open"
    (row,) = rules.view.table("exceptions")
    assert (row["code"], row["details"]) == ("box-differs", {"more_minor": 200})


def test_close_that_comes_back_and_fits_is_told_to_nobody(rules: Rules) -> None:
    """Nothing was sold in that box beside it."""
    again(rules, lost(rules, lambda: rules.do("box.close", by="Ada")))
    assert box(rules, 2)["state"] == "open"
    assert codes(rules) == []


def test_box_that_was_closed_in_both_lives_keeps_the_first_z(rules: Rules) -> None:
    """The other Z is kept beside it; the box that is open stays."""
    events = lost(rules, lambda: rules.do("box.close", by="Ada"))
    rules.order()
    rules.do("box.close", by="Ada")
    again(rules, events)
    assert box(rules, 1)["z"]["total_minor"] == 200
    assert codes(rules) == ["closed-twice", "opened-twice"]
    again(rules, [["box.closed", 1, {"number": 99, "z": {}}]])
    again(rules, [["box.closed", 1, {"number": 1, "z": box(rules, 1)["z"]}]])
    assert codes(rules) == ["closed-twice", "opened-twice"]


def test_ticket_of_an_order_that_is_older_than_the_server_waits(rules: Rules) -> None:
    """Until it is sure that nothing was lost; if something was, it is a person's to decide."""
    place = rules.order
    for lost_, state, older in ((False, "waiting", True), (True, "unknown", False)):
        rules.older, rules.lost = True, lost_
        ticket = rules.row("orders", place())["ticket"]
        row = rules.row("prints", f"t-{ticket}")
        assert (row["state"], row["older"]) == (state, older)


def test_older_order_prints_nothing_where_there_is_no_printer() -> None:
    """And nothing fails."""
    rules = Rules(mode=1, printing=False)
    rules.older = True
    rules.order()
    assert not rules.view.table("prints").all()


def test_print_is_held_once(rules: Rules) -> None:
    """The server holds what waits when it finds out that it has lost a part of its history."""
    rules.order()
    rules.do("print.hold", job="t-1")
    assert rules.row("prints", "t-1")["why"] == "print.restored"
    with pytest.raises(Refused, match="bad-state"):
        rules.do("print.hold", job="t-1")


def test_station_is_overridden_by_who_may_close_the_box(rules: Rules) -> None:
    """On record; a vendor may not, and nobody overrides who is revoked or unknown."""
    rules.do("station.override", by="Carl", station=STATION.hex())
    assert rules.row("stations", STATION.hex())["overridden_ms"] == rules.wall_ms
    again(rules, [["station.overridden", 1, {"station": "ff", "operator": "", "at_ms": 1}]])
    with pytest.raises(Refused, match="no-permission"):
        rules.do("station.override", by="Vera", station=STATION.hex())
    rules.do("station.revoke", by="Ada", station=STATION.hex())
    for station in (STATION.hex(), "ff" * 16):
        with pytest.raises(Refused, match="unknown-station"):
            rules.do("station.override", by="Ada", station=station)


def test_codes_of_conflicts_are_known() -> None:
    """Each has a sentence somewhere; a new one must be named first."""
    with pytest.raises(AssertionError):
        exceptions.note(Rules().view, "something", "x")
