"""Money in whole minor units: rounding, tax, cash. Nearest, ties away from zero, unless said
otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from babel.numbers import get_currency_precision
from msgspec import Struct

from sync.errors import Refused

MAX_QUANTITY, MAX_PRICE_MINOR = 10**6, 10**9
_AMOUNT = re.compile(r"[+-]?(\d{1,15}(\.\d{0,8})?|\.\d{1,8})", re.ASCII)
MAX_TICKET_MINOR = 10**15


def nearest(numerator: int, denominator: int) -> int:
    """Divide to the nearest whole number, ties away from zero. ``denominator`` > 0."""
    if numerator < 0:
        return -nearest(-numerator, denominator)
    return (2 * numerator + denominator) // (2 * denominator)


def up_to(amount: int, step: int) -> int:
    """The next multiple of ``step`` at or above ``amount``."""
    return -(-amount // step) * step


def split_tax(gross_minor: int, tax_bp: int) -> tuple[int, int]:
    """(net, tax) of a price that contains the tax; ``tax_bp`` in basis points."""
    net = nearest(gross_minor * 10_000, 10_000 + tax_bp)
    return net, gross_minor - net


def taxes(lines: Iterable[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """(bp, gross, net, tax) once a rate, of lines (gross, bp): rounded once a rate and ticket."""
    gross: dict[int, int] = {}
    for amount, bp in lines:
        gross[bp] = gross.get(bp, 0) + amount
    return taxes_of(gross)


def taxes_of(gross: Mapping[int, int]) -> list[tuple[int, int, int, int]]:
    """The same of what each rate's lines come to, ``{bp: gross}``."""
    found = []
    for bp, total in sorted(gross.items()):
        net, tax = split_tax(total, bp)
        found.append((bp, total, net, tax))
    return found


class Cash(Struct, frozen=True):
    """The cash part of a payment."""

    cash: int
    rounding: int
    """What rounding to the cash step added (or took); a line of its own, untaxed."""
    change: int


def pay(total: int, other: int, tendered: int | None, step: int, mode: str) -> Cash:
    """Cash for what other methods leave of ``total``; only that rest is rounded (``half`` or
    ``up``).

    `Refused` ``too-little`` when ``tendered`` does not cover it; None means the exact sum.
    """
    rest = total - other
    if rest < 0:
        raise Refused("out-of-range")
    cash = up_to(rest, step) if mode == "up" else nearest(rest, step) * step
    given = cash if tendered is None else tendered
    if given < cash:
        raise Refused("too-little", short_minor=cash - given)
    return Cash(cash, cash - rest, given - cash)


def line_amount(quantity: int, price_minor: int) -> int:
    """Quantity × price; `Refused` ``out-of-range`` for either beyond 1…10⁶ and 0…10⁹."""
    if not (1 <= quantity <= MAX_QUANTITY and 0 <= price_minor <= MAX_PRICE_MINOR):
        raise Refused("out-of-range", what="quantity, price")
    return quantity * price_minor


def job_price(units: int, copies: int, price_minor: int, step: int) -> int:
    """Price of a print, scan or recording: units × copies × price, up to the next ``step``."""
    if units < 0 or copies < 0:
        raise Refused("out-of-range", what="units")
    return up_to(units * copies * price_minor, step)


def shares(amount: int, weights: Sequence[int]) -> list[int]:
    """``amount`` pro rata by largest remainder, ties to the earlier; the parts sum to it.

    ``weights`` are not negative; all zero gives nothing to anybody.
    """
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda at: -(amount * weights[at] % total))
    for at in by_rest[: amount - sum(parts)]:
        parts[at] += 1
    return parts


# --- refunds: parts that sum to the whole ------------------------------------


def refund_units(amount: int, quantity: int, before: int, units: int) -> int:
    """What ``units`` more of a line give back when ``before`` of its ``quantity`` are back."""
    if units < 1 or before + units > quantity:
        raise Refused("out-of-range", what="units")
    return amount * (before + units) // quantity - amount * before // quantity


def refund_tax(gross: int, before: int, amount: int, tax_bp: int) -> int:
    """Tax that goes with ``amount`` of a rate's ``gross``, ``before`` of it being back already:
    the tax of what stood before less that of what is left."""
    left = gross - before
    return split_tax(left, tax_bp)[1] - split_tax(left - amount, tax_bp)[1]


def refund_cash(
    due: int, cash_paid: int, before: int, given: int, amount: int, step: int, mode: str
) -> int:
    """Cash to give back for ``amount`` of the ``due`` that was paid with ``cash_paid``: rounded in
    sum, so that parts and whole agree; the last part gives all that is left."""
    if before + amount == due:
        return cash_paid - given
    back = before + amount
    rounded = up_to(back, step) if mode == "up" else nearest(back, step) * step
    return max(0, min(rounded, cash_paid) - given)


def exponent(currency: str) -> int:
    """Minor units of a currency as a power of ten: 2 for EUR."""
    return int(get_currency_precision(currency))


def major(amount_minor: int, places: int) -> str:
    """An amount that is not negative in major units with a point, as `parse_minor` reads it."""
    digits = f"{amount_minor:0{places + 1}d}"
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def parse_minor(text: str, currency: str) -> int:
    """Minor units of an amount such as ``3.70``; `ValueError` if it is no amount of this
    currency."""
    plain = text.strip()
    if not _AMOUNT.fullmatch(plain):
        raise ValueError(f"{plain[:40]!r} is not an amount")
    value = Decimal(plain).scaleb(exponent(currency))
    if value != value.to_integral_value():
        raise ValueError(f"{text!r} has more decimals than {currency}")
    return int(value)
