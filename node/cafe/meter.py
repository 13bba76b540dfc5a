"""The arithmetic of time at a PC: what it costs, how far money goes, what a lost network adds.

    segment  ``(start, end, rate)``: running time at one rate, between two instants of the server
    block    the unit that is charged, whole; blocks lie end to end on *running* time, so that one
             goes on across a pause or a move; it belongs to the band and the rate where it starts

Instants are seconds of UTC, lengths are seconds, money is in minor units.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from node.cafe.credit import Time, use_time
from node.cafe.money import up_to
from sync.errors import Refused

MOST_S = 86_400
"""So much time is sold at once."""
LEASE_S = 900
"""So long a PC goes on without its server."""
CLOCK_SLACK_S = 5
"""More than that over what is possible means a clock that is off."""
GONE_S = LEASE_S + 60
"""After so long without a word a session is settled without its PC."""
NEVER_S = 1 << 40


class Band(NamedTuple):
    """From this minute of the local day on, each block of so many seconds costs so much."""

    minute: int
    price_minor: int
    block_s: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What time costs; ``bands`` by their minute. Before the first one yesterday's last goes on."""

    bands: tuple[Band, ...]
    minimum_minor: int = 0
    grace_s: int = 0
    """So short a session costs nothing."""
    step_minor: int = 1
    """Prices go up to the next multiple of this."""

    def band_at(self, instant_s: int, zone: dt.tzinfo) -> Band:
        if len(self.bands) == 1:
            return self.bands[0]
        local = dt.datetime.fromtimestamp(instant_s, zone)
        minute = local.hour * 60 + local.minute
        return self.bands[bisect_right(self.bands, minute, key=lambda band: band.minute) - 1]


class Segment(NamedTuple):
    """Running time at one rate."""

    start_s: int
    end_s: int
    rate: str


class Price(NamedTuple):
    """What running time costs."""

    seconds: int
    blocks: int
    minor: int


class Step(NamedTuple):
    """Where on the running time something begins that costs: a block, or within a block another
    rate, which has a minimum of its own."""

    offset_s: int
    price_minor: int
    rate: Rate
    block: bool = True


def steps(
    segments: Sequence[Segment], rates: Mapping[str, Rate], zone: dt.tzinfo
) -> Iterator[Step]:
    """What begins on running time, in its order."""
    ran = due = 0
    for start, end, name in segments:
        rate = rates[name]
        if ran < due and start < end:
            yield Step(ran, 0, rate, block=False)
        while due < ran + end - start:
            band = rate.band_at(start + due - ran, zone)
            yield Step(due, band.price_minor, rate)
            due += band.block_s
        ran += end - start


class _Sum:
    """Blocks that are added up: minimum and step are the largest of the rates used."""

    def __init__(self, *, after_buckets: bool) -> None:
        self._after_buckets = after_buckets
        self._sum = self._minimum = 0
        self._step = 1

    def add(self, step: Step) -> int:
        """The price with this one."""
        self._sum += step.price_minor
        self._step = max(self._step, step.rate.step_minor)
        if not self._after_buckets:
            self._minimum = max(self._minimum, step.rate.minimum_minor)
        return up_to(max(self._sum, self._minimum), self._step)


def price(
    segments: Sequence[Segment],
    rates: Mapping[str, Rate],
    zone: dt.tzinfo,
    *,
    after_buckets: bool = False,
) -> Price:
    """What billed time costs. ``after_buckets``: passes, promotions or redeemed points paid for
    some of the session already, and no minimum is asked for the rest."""
    seconds = length_s(segments)
    first = next((rates[name] for start, end, name in segments if end > start), None)
    if first is None or (seconds <= first.grace_s and not after_buckets):
        return Price(seconds, 0, 0)
    total, count, minor = _Sum(after_buckets=after_buckets), 0, 0
    for step in steps(segments, rates, zone):
        minor = total.add(step)
        count += step.block
    return Price(seconds, count, minor)


def length_s(segments: Sequence[Segment]) -> int:
    """Running time."""
    return sum(end - start for start, end, _ in segments)


def affordable_s(
    segments: Sequence[Segment],
    rates: Mapping[str, Rate],
    zone: dt.tzinfo,
    sum_minor: int,
    *,
    after_buckets: bool = False,
) -> int:
    """How much of this running time a sum pays, in whole blocks."""
    total = _Sum(after_buckets=after_buckets)
    for step in steps(segments, rates, zone):
        if total.add(step) > sum_minor:
            return step.offset_s
    return length_s(segments)


def prepaid(sum_minor: int, start_s: int, rate: Rate, zone: dt.tzinfo) -> tuple[int, int]:
    """(seconds that a sum buys from an instant on, what is left of it); a day at most.

    `Refused` ``below-minimum`` where it buys nothing.
    """
    known, day = {"": rate}, [Segment(start_s, start_s + MOST_S, "")]
    seconds = affordable_s(day, known, zone, sum_minor)
    if sum_minor < rate.minimum_minor or not seconds:
        first = rate.band_at(start_s, zone).price_minor
        least = up_to(max(rate.minimum_minor, first), rate.step_minor)
        raise Refused("below-minimum", minimum_minor=least)
    run = [Segment(start_s, start_s + seconds, "")]
    grown = Rate(rate.bands, rate.minimum_minor, 0, rate.step_minor)  # no grace: it was sold
    return seconds, sum_minor - price(run, {"": grown}, zone).minor


def unused(paid_minor: int, price_minor: int, *, returnable: bool) -> int:
    """What goes back to who has paid beforehand and ends earlier."""
    return max(0, paid_minor - price_minor) if returnable else 0


def lease(
    acked: int, reported: int, elapsed: int, left: int = NEVER_S * 1000, *, second: int = 1
) -> tuple[int, str]:
    """(running time after a lost network, flag): of what the PC says it ran since ``acked`` no more
    than time has passed, the lease allows, and was left. ``second`` is what a second counts: 1000
    for lengths in milliseconds."""
    most = max(0, min(elapsed, LEASE_S * second, left))
    gained = min(max(0, reported), most)
    return acked + gained, "clock" if reported > most + CLOCK_SLACK_S * second else ""


# --- time that is paid for already ------------------------------------------------


@dataclass(slots=True)
class Used:
    """Where a session's time came from."""

    passes: int
    promotion: int
    redeemed: int
    billed: list[Segment]
    offsets: list[int]
    """Where on the running time each billed segment begins."""
    promotions_left: list[int]
    redeemed_left: list[int]

    @property
    def has_buckets(self) -> bool:
        return bool(self.passes or self.promotion or self.redeemed)


class Buckets(NamedTuple):
    """Time that an account holds, in seconds and instants."""

    passes: list[tuple[int, int]] = []
    """``[from, to)``"""
    promotions: list[tuple[int, int, int]] = []
    """seconds, end, age"""
    redeemed: list[tuple[int, int]] = []
    """seconds, age"""


def buckets_of(account: Mapping[str, Any]) -> Buckets:
    """The time of an account that may be used; what was switched off is held back."""
    passes = [
        (one["from_ms"] // 1000, one["to_ms"] // 1000) for one in account["passes"] if one["active"]
    ]
    promotions = [
        (one["seconds"] if one["active"] else 0, one["ends_ms"] // 1000 or NEVER_S, age)
        for age, one in enumerate(account["promotions"])
    ]
    redeemed = [(seconds, age) for seconds, age, _ in account["redeemed"]]
    return Buckets(passes, promotions, redeemed)


def use(segments: Sequence[Segment], buckets: Buckets) -> Used:
    """Use the time of segments: passes, promotions, redeemed points by the second, then money."""
    passes, promotions, redeemed = buckets
    used = Used(0, 0, 0, [], [], [s for s, _, _ in promotions], [s for s, _ in redeemed])
    ran = 0
    for start, end, rate in segments:
        time: Time = use_time(
            start,
            end - start,
            passes,
            [
                (left, ends, age)
                for left, (_, ends, age) in zip(used.promotions_left, promotions, strict=True)
            ],
            [(left, age) for left, (_, age) in zip(used.redeemed_left, redeemed, strict=True)],
        )
        used.passes += time.passes
        used.promotion += time.promotion
        used.redeemed += time.redeemed
        used.billed += [Segment(since, until, rate) for since, until in time.billed]
        used.offsets += [ran + since - start for since, _ in time.billed]
        ran += end - start
        used.promotions_left, used.redeemed_left = time.promotions_left, time.redeemed_left
    return used


def reach_s(
    segments: Sequence[Segment],
    buckets: Buckets,
    rates: Mapping[str, Rate],
    zone: dt.tzinfo,
    sum_minor: int,
) -> int:
    """Running time after which a session that has run for ``segments``, and goes on at the last
    one's rate, has used up its buckets and a sum of money; a day at most."""
    *before, (start, _, rate) = segments
    ran = length_s(before)
    whole = [*before, Segment(start, start + max(0, MOST_S - ran), rate)]
    used = use(whole, buckets)
    paid = affordable_s(used.billed, rates, zone, sum_minor, after_buckets=used.has_buckets)
    if paid >= length_s(used.billed):
        return MOST_S
    ends = list(accumulate(end - since for since, end, _ in used.billed))
    at = bisect_right(ends, paid)
    since, end, _ = used.billed[at]
    return used.offsets[at] + paid - (ends[at] - (end - since))
