"""A station with much to send: it sends first, and folds what comes without redoing all of it at
each run."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from sync.messages import Entries, decode
from sync.op import Head
from sync.protocol import Received, Tick
from tests.golden.make import Day
from tests.support.cores import LINK, OPERATOR, Bench
from tests.unit.test_restored import part, twin

COUNT = 40


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Day:
    """A café in Mode 1: the server's outcome of a sale bears its ticket, so none is as it was
    shown. Eight orders are a backlog, and entries come sixteen at a time."""
    monkeypatch.setattr("sync.hub.BACKLOG_OPS", 8)
    monkeypatch.setattr("sync.hub.WINDOW", 16)
    monkeypatch.setattr("sync.archive.BATCH_OPS", 16)
    monkeypatch.setattr("sync.replica.CREDIT_EVERY", 8)
    made = Day()
    made.desk("settings.edit", "Ada", mode=1)
    made.bench.replica.run_ops, made.bench.replica.lifted_above = 8, 4
    return made


def shown(day: Day) -> int:
    return len(day.bench.replica.view.table("orders"))


def hear_some(day: Day) -> None:
    """Run until the station has folded some of its own orders, and not all."""
    bench = day.bench
    for _ in range(10_000):
        if bench.to_hub:
            bench.hear(bench.hub)
        if bench.to_replica:
            bench.hear(bench.replica)
        if 0 < len(bench.replica.pending) < COUNT and bench.replica._lifted:
            return
        if not bench.to_hub and not bench.to_replica:
            bench.pass_time(1)
            for core in (bench.hub, bench.replica):
                bench.give(core, Tick())
    raise AssertionError("nothing was ever lifted")


def sell_offline(day: Day) -> None:
    part(day.bench)
    for _ in range(COUNT):
        day.sell()
    assert shown(day) == COUNT
    day.bench.meet()


@pytest.mark.feature("SY-02", "SY-05")
def test_long_backlog_is_folded_and_all_of_it_is_there_in_the_end(day: Day) -> None:
    """Whatever is off the tables meanwhile, both sides agree when it is done."""
    sell_offline(day)
    hear_some(day)
    assert shown(day) < COUNT
    untold = day.bench.replica.view.store.changed
    assert "orders" not in untold, "somebody would draw what is not there for the moment"
    while day.bench.replica.pending:
        hear_rest(day)
    bench = day.bench
    assert shown(day) == COUNT
    assert bench.replica.view.digest() == bench.hub.view.digest()
    assert "orders" in bench.replica.view.store.changed
    assert bench.replica.canon == Head(bench.hub.head.n, bench.hub.head.hash)


def hear_rest(day: Day) -> None:
    day.bench.run()
    day.bench.pass_time(1)
    for core in (day.bench.hub, day.bench.replica):
        day.bench.give(core, Tick())


@pytest.mark.parametrize("what", ["a sale", "the link goes", "nothing comes for a second"])
@pytest.mark.feature("SY-01", "SY-04")
def test_what_is_off_the_tables_is_back_before_anybody_needs_it(day: Day, what: str) -> None:
    """Who sells, or looks while nothing comes, sees every order that was ever shown."""
    sell_offline(day)
    hear_some(day)
    if what == "a sale":
        day.sell()
        assert shown(day) == COUNT + 1
    elif what == "the link goes":
        part(day.bench)
        assert shown(day) == COUNT
    else:
        for _ in range(2):
            day.bench.pass_time(1)
            day.bench.give(day.bench.replica, Tick())
        assert shown(day) == COUNT
    assert not day.bench.replica._lifted


@pytest.mark.feature("SY-03", "SY-14")
def test_what_came_and_was_not_folded_is_asked_for_again_when_the_link_goes(day: Day) -> None:
    """The next hello begins from what is folded: nobody is told of another history."""
    sell_offline(day)
    bench = day.bench
    while not bench.replica._inbox:
        if bench.to_hub:
            bench.hear(bench.hub)
        if bench.to_replica:
            coming = decode(bench.to_replica.pop(0))
            if isinstance(coming, Entries):  # its disk is busy: nothing is folded meanwhile
                bench._do(bench.replica, bench.replica.step(Received(LINK, coming), bench.now))
            else:
                bench.give(bench.replica, Received(LINK, coming))
    part(bench)
    bench.link()
    while bench.replica.pending:
        hear_rest(day)
    assert "other-history" not in bench.alarms
    assert bench.replica.view.digest() == bench.hub.view.digest()


def test_entries_that_are_as_they_were_shown_are_folded_while_all_is_off_the_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What settles in its place otherwise must be put on the tables then."""
    bench = Bench()
    for number in range(3):
        bench.act({"id": str(number)})
    bench.meet()
    bench.replica._lift()
    with monkeypatch.context() as busy:  # as if more were coming all the time
        busy.setattr(bench.replica, "_lay_back", lambda: None)
        bench.run()
    assert not bench.replica.pending
    bench.replica._lay_back()
    assert len(bench.replica.view.table("orders")) == 3
    assert bench.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-03")
def test_station_that_cannot_send_all_at_once_hears_the_others_all_the_same(day: Day) -> None:
    """What comes waits some seconds behind what is to be sent, and no longer."""
    sell_offline(day)
    bench = day.bench
    for _ in range(3):
        bench.hear(*[core for core, queue in ((bench.hub, bench.to_hub),) if queue])
        if bench.to_replica:
            bench.hear(bench.replica)
    before = bench.replica.canon.n
    queued: list[Any] = bench.to_hub[:]
    bench.to_hub.clear()  # the way up is stuck
    day.desk("box.x", "Ada")
    for _ in range(8):
        bench.pass_time(1)
        bench.give(bench.hub, Tick())
        while bench.to_replica:
            bench.hear(bench.replica)
        bench.to_hub.clear()
        bench.give(bench.replica, Tick())
    assert bench.replica.canon.n > before
    assert queued


def with_backlog_under_way() -> Bench:
    """400 orders in runs of forty; the server has heard none of them yet."""
    bench = Bench()
    bench.replica.run_ops = 40
    for number in range(400):
        bench.act({"id": str(number)})
    bench.meet()
    while not bench.pushes:
        for core, queue in ((bench.hub, bench.to_hub), (bench.replica, bench.to_replica)):
            if queue:
                bench.hear(core)
    return bench


@pytest.mark.feature("SY-03")
def test_who_sends_a_backlog_hears_its_end_at_once_and_meanwhile_every_five_seconds() -> None:
    """Entries would be folded beneath all that waits, again and again, while acks wait behind."""
    bench = with_backlog_under_way()
    heard = []
    while bench.to_hub:
        bench.hear(bench.hub)
        bench.pass_time(1)
        bench.give(bench.hub, Tick())
        told = [decode(message) for message in bench.to_replica]
        heard.append(sum(isinstance(message, Entries) for message in told))
    grew = [second for second, (a, b) in enumerate(itertools.pairwise([0, *heard]), 1) if b > a]
    assert grew == [5, 10, len(heard)]
    bench.run()
    assert not bench.replica.pending
    assert bench.replica.view.digest() == bench.hub.view.digest()


@pytest.mark.feature("SY-03")
def test_who_has_a_backlog_and_sends_none_of_it_hears_within_two_seconds() -> None:
    """It is not known to be sending any more."""
    bench = with_backlog_under_way()
    bench.hear(bench.hub)
    bench.to_hub.clear()  # the way up is stuck
    for _ in range(2):
        bench.pass_time(1)
        bench.give(bench.hub, Tick())
    assert any(isinstance(decode(message), Entries) for message in bench.to_replica)


@pytest.mark.feature("SY-03")
def test_who_is_done_hears_within_a_second_though_others_go_on_sending() -> None:
    """A long backlog elsewhere keeps nobody from what became of their own orders."""
    bench = Bench()
    for number in range(400):
        bench.act({"id": str(number)})
    bench.meet()
    elsewhere = LINK + 1
    while bench.to_hub or bench.to_replica:
        bench.hub._sending[elsewhere] = bench.hub._ticks
        for core, queue in ((bench.hub, bench.to_hub), (bench.replica, bench.to_replica)):
            if queue:
                bench.hear(core)
    assert (bench.replica.unsent, len(bench.replica.pending)) == (0, 401)
    bench.hub._sending[elsewhere] = bench.hub._ticks
    bench.give(bench.hub, Tick())
    bench.run()
    assert not bench.replica.pending


@pytest.mark.feature("SY-03", "SY-06")
def test_backlog_that_came_again_in_another_chain_is_over() -> None:
    """The ops of a forked branch are never sent under the chain that the hello told of."""
    bench = Bench()
    bench.sign_in()
    bench.link()
    bench.act({"id": "0"}, operator=OPERATOR)
    bench.run()
    part(bench)
    other = twin(bench)
    bench.act({"id": "first"}, operator=OPERATOR)
    for number in range(400):
        other.act({"id": str(number)}, operator=OPERATOR)
    bench.link()
    part(bench)
    other.link()
    for _ in range(3):
        other.pass_time(1)
        other.give(other.hub, Tick())
        other.run()
    link = other.hub.links[LINK]
    assert not other.replica.pending
    assert other.hub._owes(link) > 0
    assert not link.many and not other.hub._sending
