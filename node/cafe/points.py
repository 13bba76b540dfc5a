"""The arithmetic of points: earned by paying, never by spending; kept whole, the rest carried.

P points for each U that is paid; R points are M minutes.
"""

from __future__ import annotations

from msgspec import Struct

from sync.errors import Refused

MOST_POINTS = 10**12


class Points(Struct, frozen=True):
    """A balance: whole points, and the rest of payments that made no whole point yet, in parts of
    ``unit``."""

    balance: int = 0
    rest: int = 0
    unit: int = 1


def earn(now: Points, paid_minor: int, points: int, unit: int) -> Points:
    """The balance after ``paid_minor`` was paid (below zero: given back) at ``points`` for each
    ``unit`` minor units. Splitting a payment changes nothing, and a refund undoes it exactly."""
    parts = rescale(now.rest, now.unit, unit) + paid_minor * points
    return Points(now.balance + parts // unit, parts % unit, unit)


def rescale(rest: int, unit: int, new_unit: int) -> int:
    """The rest in parts of a new unit; what is less than one part of it is dropped."""
    return rest * new_unit // unit


def redeem_time(balance: int, points: int, need: int, minutes: int) -> tuple[int, int]:
    """(minutes, points taken) for ``points`` of ``balance`` where ``need`` points are ``minutes``:
    the fewest points that give so many.

    `Refused`: ``below-minimum``, ``not-enough-points``.
    """
    if points < need:
        raise Refused("below-minimum", minimum=need)
    _check_enough(balance, points)
    given = points * minutes // need
    return given, -(-given * need // minutes)


def redeem_products(balance: int, lines: list[tuple[int, int]]) -> int:
    """Points that products (value, quantity) take; `Refused` ``not-enough-points``,
    ``not-for-points``."""
    if any(value < 1 for value, _ in lines):
        raise Refused("not-for-points")
    taken = sum(value * quantity for value, quantity in lines)
    _check_enough(balance, taken)
    return taken


def _check_enough(balance: int, points: int) -> None:
    if points > balance:
        raise Refused("not-enough-points", short=points - balance)
