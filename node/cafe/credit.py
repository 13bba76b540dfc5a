"""The arithmetic of a customer's account: what is added, what is spent first, what ends on a day.

    credit   was paid for; below zero it is a debt
    bonus    was given; it is never paid out nor transferred
    time     of free passes, promotions and redeemed points, used before any money, by the second

Days are ordinals of local dates (`datetime.date.toordinal`), 0 for none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from node.cafe.money import MAX_TICKET_MINOR
from sync.errors import Refused

DAY_NEVER = 0


class Balance(msgspec.Struct, frozen=True):
    """What an account holds, in minor units; ``expires`` is the last day on which it is good."""

    credit: int = 0
    bonus: int = 0
    expires: int = DAY_NEVER


def top_up(
    now: Balance,
    amount: int,
    *,
    bonus: int = 0,
    first: bool = False,
    minimum: int = 0,
    today: int = 0,
    valid_days: int = 0,
) -> Balance:
    """The account after credit was paid for; a debt is paid by adding. ``valid_days`` 0 sets no
    expiry.

    `Refused`: ``below-minimum`` for a first charge, ``out-of-range`` for a later one of nothing.
    """
    if first and amount < minimum:
        raise Refused("below-minimum", minimum_minor=minimum)
    if not first and amount < 1:
        raise Refused("out-of-range", what="amount_minor")
    check_room(now.credit + amount)
    expires = max(now.expires, today + valid_days) if valid_days and amount else now.expires
    return Balance(now.credit + amount, now.bonus + bonus, expires)


def check_room(amount: int) -> None:
    """`Refused` ``out-of-range`` for more than an account can hold, either way."""
    if abs(amount) > MAX_TICKET_MINOR:
        raise Refused("out-of-range", what="credit")


def expire(now: Balance, today: int) -> tuple[Balance, int]:
    """(the account, what is forfeited) on a day: credit above zero and bonus go; a debt stays."""
    if not now.expires or today <= now.expires:
        return now, 0
    forfeited = max(0, now.credit) + now.bonus
    return Balance(min(0, now.credit), 0, DAY_NEVER), forfeited


def spend(now: Balance, amount: int, max_debt: int = 0) -> tuple[Balance, tuple[int, int, int]]:
    """(the account, (of the bonus, of the credit, as debt)) after ``amount`` was spent.

    `Refused` ``not-enough-credit`` if it takes more than the account holds and may owe.
    """
    of_bonus = min(now.bonus, amount)
    of_credit = min(max(0, now.credit), amount - of_bonus)
    debt = amount - of_bonus - of_credit
    credit = now.credit - of_credit - debt
    if debt and credit < -max_debt:
        raise Refused("not-enough-credit", short_minor=-max_debt - credit)
    return Balance(credit, now.bonus - of_bonus, now.expires), (of_bonus, of_credit, debt)


def balance_of(row: Mapping[str, Any]) -> Balance:
    """That of an account's row."""
    return Balance(row["credit"], row["bonus"], row["expires"])


class Settled(NamedTuple):
    """How a bill is paid, and what of it stays due."""

    bonus: int
    credit: int
    cash: int
    debt: int
    due: int


def settle(now: Balance, cost: int, *, cash: int = 0, max_debt: int = 0) -> Settled:
    """Pay a bill: bonus, credit, then ``cash`` (or what else is handed over), then the whole rest
    as debt if it is within ``max_debt``; else it stays due."""
    of_bonus = min(now.bonus, cost)
    of_credit = min(max(0, now.credit), cost - of_bonus)
    of_cash = min(cash, cost - of_bonus - of_credit)
    rest = cost - of_bonus - of_credit - of_cash
    debt = rest if now.credit - of_credit - rest >= -max_debt else 0
    return Settled(of_bonus, of_credit, of_cash, debt, rest - debt)


def check_refund(credit: int, paid: int, refunded: int, amount: int) -> None:
    """`Refused` ``not-enough-credit`` if so much of a top-up of ``paid``, ``refunded`` of it being
    back already, cannot go back: it was spent meanwhile, or is more than was paid."""
    if amount > min(paid - refunded, credit):
        raise Refused("not-enough-credit", short_minor=amount - min(paid - refunded, credit))


def transfer(source: Balance, target: Balance, amount: int) -> tuple[Balance, Balance]:
    """Both accounts after credit went from one to the other, good until the later of both days.

    `Refused` ``not-enough-credit``, ``out-of-range``.
    """
    if amount > source.credit:
        raise Refused("not-enough-credit", short_minor=amount - max(0, source.credit))
    check_room(target.credit + amount)
    dates = (source.expires, target.expires)
    if target.credit <= 0 and not target.bonus and not target.expires:  # it had nothing to keep
        expires = source.expires
    else:
        expires = max(dates) if all(dates) else DAY_NEVER
    left = Balance(source.credit - amount, source.bonus, source.expires)
    return left, Balance(target.credit + amount, target.bonus, expires)


# --- time ---------------------------------------------------------------------


@dataclass(slots=True)
class Time:
    """Which time was used: seconds of passes, promotions and redeemed points, and what is billed
    as ``[from, to)`` instants."""

    passes: int
    promotion: int
    redeemed: int
    billed: list[list[int]]
    promotions_left: list[int]
    """Per promotion as given."""
    redeemed_left: list[int]

    @property
    def billed_s(self) -> int:
        return sum(end - start for start, end in self.billed)


def use_time(
    start: int,
    seconds: int,
    passes: Sequence[tuple[int, int]],
    promotions: Sequence[tuple[int, int, int]],
    redeemed: Sequence[tuple[int, int]],
) -> Time:
    """Use ``seconds`` of time from an instant on: free passes ``[from, to)``, then promotions
    (seconds, end, age; the one that ends first, then the oldest), then redeemed ones (seconds, age;
    the oldest), then money."""
    promotion_left = [left for left, _, _ in promotions]
    redeemed_left = [left for left, _ in redeemed]
    used = Time(0, 0, 0, [], promotion_left, redeemed_left)
    now, end = start, start + seconds
    while now < end:
        inside = [until for since, until in passes if since <= now < until]
        if inside:
            until = min(end, max(inside))
            used.passes += until - now
            now = until
            continue
        until = min([end, *(since for since, _ in passes if since > now)])
        known = [
            (ends, age, at)
            for at, (_, ends, age) in enumerate(promotions)
            if promotion_left[at] and ends > now
        ]
        older = [(age, at) for at, (_, age) in enumerate(redeemed) if redeemed_left[at]]
        if known:
            ends, _, at = min(known)
            run = min(promotion_left[at], ends - now, until - now)
            promotion_left[at] -= run
            used.promotion += run
        elif older:
            _, at = min(older)
            run = min(redeemed_left[at], until - now)
            redeemed_left[at] -= run
            used.redeemed += run
        else:
            run = until - now
            if used.billed and used.billed[-1][1] == now:
                used.billed[-1][1] = until
            else:
                used.billed.append([now, until])
        now += run
    return used
