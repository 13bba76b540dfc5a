"""Laws of time at a PC, over sessions, rates and accounts that nobody thought of."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import assume, given, settings

from node.cafe import meter
from node.cafe.meter import Band, Buckets, Rate, Segment
from sync.errors import Refused

ZONE = ZoneInfo("Europe/Madrid")
START = 1_774_742_400
"""An hour before the clocks go forward."""


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    minutes = draw(st.lists(st.integers(0, 1439), min_size=1, max_size=4, unique=True))
    bands = [
        Band(minute, draw(st.integers(0, 500)), draw(st.integers(1, 40)) * 60)
        for minute in sorted(minutes)
    ]
    more = draw(st.integers(0, 300)), draw(st.integers(0, 120)), draw(st.integers(1, 50))
    return Rate(tuple(bands), *more)


@st.composite
def sessions(draw: st.DrawFn) -> list[Segment]:
    """Stretches of running time with pauses between them, at one of two rates."""
    found, now = [], START + draw(st.integers(0, 86_400))
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(0, 7200))
        found.append(Segment(now, now + length, draw(st.sampled_from("AB"))))
        now += length + draw(st.integers(0, 3600))
    return found


def by_the_second(segments: list[Segment], known: dict[str, Rate]) -> int:
    """The price of a session, counted one second after the other."""
    total = minimum = 0
    step, left = 1, 0
    used = [known[name] for start, end, name in segments if end > start]
    if not used or sum(end - start for start, end, _ in segments) <= used[0].grace_s:
        return 0
    for start, end, name in segments:
        for second in range(start, end):
            rate = known[name]
            minimum, step = max(minimum, rate.minimum_minor), max(step, rate.step_minor)
            if not left:
                band = rate.band_at(second, ZONE)
                total, left = total + band.price_minor, band.block_s
            left -= 1
    return -(-max(total, minimum) // step) * step


@pytest.mark.feature("PC-03")
@given(segments=sessions(), one=rates(), two=rates())
@settings(max_examples=60)
def test_price_is_that_of_counting_seconds(segments: list[Segment], one: Rate, two: Rate) -> None:
    """Blocks end to end on running time, whatever pauses, moves and clock changes lie between."""
    known = {"A": one, "B": two}
    assert meter.price(segments, known, ZONE).minor == by_the_second(segments, known)


@pytest.mark.feature("PC-02")
@given(
    rate=rates(), money=st.integers(0, 5000), ran=st.integers(0, 7200), given_s=st.integers(0, 5000)
)
@settings(max_examples=150)
def test_account_pays_for_all_that_it_lets_run(
    rate: Rate, money: int, ran: int, given_s: int
) -> None:
    """At its end a session costs no more than the account has, and a second more would."""
    known = {"A": Rate(rate.bands, rate.minimum_minor, 0, rate.step_minor)}
    buckets = Buckets(redeemed=[(given_s, 1)] if given_s else [])

    def price(seconds: int) -> int:
        used = meter.use([Segment(START, START + seconds, "A")], buckets)
        return meter.price(used.billed, known, ZONE, after_buckets=used.has_buckets).minor

    assume(price(ran) <= money)
    reach = meter.reach_s([Segment(START, START + ran, "A")], buckets, known, ZONE, money)
    assert price(reach) <= money
    assert reach == meter.MOST_S or price(reach + 1) > money


@pytest.mark.feature("PC-02")
@given(rate=rates(), money=st.integers(1, 5000))
@settings(max_examples=150)
def test_prepaid_time_costs_what_it_was_sold_for(rate: Rate, money: int) -> None:
    """What is left of the sum would not buy the next block."""
    try:
        sold = meter.prepaid(money, START, rate, ZONE)
    except Refused as refusal:
        sold = (0, refusal.details["minimum_minor"])
    seconds, left = sold
    if not seconds:
        assert left > money
        return
    plain = {"A": Rate(rate.bands, rate.minimum_minor, 0, rate.step_minor)}
    run = [Segment(START, START + seconds, "A")]
    assert meter.price(run, plain, ZONE).minor == money - left >= 0
    longer = [Segment(START, START + seconds + 1, "A")]
    assert seconds == meter.MOST_S or meter.price(longer, plain, ZONE).minor > money


@pytest.mark.feature("PC-05")
@given(
    acked=st.integers(0, 10**5), reported=st.integers(-100, 10**5), elapsed=st.integers(0, 10**5),
    left=st.integers(0, 10**5),
)  # fmt: skip
def test_lost_network_neither_frees_nor_robs(
    acked: int, reported: int, elapsed: int, left: int
) -> None:
    """Never back, never more than passed, than the lease, than was left, or than the PC says."""
    billed, flag = meter.lease(acked, reported, elapsed, left)
    gained = billed - acked
    assert 0 <= gained <= min(elapsed, left, meter.LEASE_S, max(0, reported))
    assert bool(flag) == (reported > min(elapsed, left, meter.LEASE_S) + 5)
