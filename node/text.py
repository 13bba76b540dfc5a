"""Words, money and times for people, by language. Used by tickets, the command line and the
screens."""

from __future__ import annotations

import datetime as dt
import functools
import json
from decimal import Decimal
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import (
    format_compact_decimal,
    format_decimal,
    format_percent,
    get_currency_symbol,
)

from node.cafe.money import exponent
from sync.errors import Damaged, Disconnected, FolderBusy, Refused, StorageFailed, SyncError

LANGUAGES = ("en", "es")
_HOME = {"CRC": "CR", "USD": "US", "MXN": "MX", "ARS": "AR", "COP": "CO", "CLP": "CL", "PYG": "PY"}
"""Country whose way of writing numbers goes with a currency."""


@functools.cache
def words(language: str) -> dict[str, str]:
    """All sentences of a language; English where a language is not known."""
    name = f"words/{language if language in LANGUAGES else 'en'}.json"
    loaded: dict[str, str] = json.loads(
        resources.files("node").joinpath(name).read_text(encoding="utf-8")
    )
    return loaded


class _Gaps(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "…"


def say(language: str, key: str, **values: Any) -> str:
    """The sentence of a key, its gaps filled."""
    return words(language)[key].format_map(_Gaps(values))


@functools.cache
def locale(language: str, currency: str) -> Locale:
    country = _HOME.get(currency)
    if language == "es" and country and country != "US":
        return Locale("es", country)
    return Locale(language)


@functools.cache
def currency_sign(language: str, currency: str) -> str:
    """The sign of a currency as its own country writes it."""
    sign = str(get_currency_symbol(currency, locale(language, currency)))
    if sign == currency and currency in _HOME:
        sign = str(get_currency_symbol(currency, Locale("es", _HOME[currency])))
    return sign


def number(amount_minor: int, language: str, currency: str, decimals: int | None = None) -> str:
    """An amount without its sign: ``1 900`` or ``3,70``."""
    places = exponent(currency)
    shown = places if decimals is None else min(decimals, places)
    value = Decimal(amount_minor).scaleb(-places)
    pattern = "#,##0" + ("." + "0" * shown if shown else "")
    text = format_decimal(
        value, format=pattern, locale=locale(language, currency), decimal_quantization=True
    )
    return str(text).replace("\u202f", "\xa0")


@functools.lru_cache(maxsize=4096)  # the same prices are drawn again with each change
def money(amount_minor: int, language: str, currency: str, decimals: int | None = None) -> str:
    """An amount with its sign, as people of that language write it: ``₡6 900``, ``3,70 €``."""
    text = number(abs(amount_minor), language, currency, decimals)
    sign = currency_sign(language, currency)
    minus = "−" if amount_minor < 0 else ""
    pattern = str(locale(language, currency).currency_formats["standard"].pattern)
    if pattern.partition(";")[0].endswith("¤"):
        return f"{minus}{text}\xa0{sign}"
    return f"{minus}{sign}{text}"


def percent(bp: int, language: str) -> str:
    """``13 %`` for 1300 basis points."""
    pattern = "#,##0.## %" if language == "es" else "#,##0.##%"
    text = str(format_percent(Decimal(bp) / 10_000, format=pattern, locale=Locale(language)))
    return text.replace("\u202f", "\xa0")


def count(value: int, language: str) -> str:
    """A plain number with its groups: ``12,430``."""
    return str(format_decimal(value, locale=Locale(language))).replace("\u202f", "\xa0")


def short(amount_minor: int, language: str, currency: str) -> str:
    """An amount in few characters, for a chart's side: ``80K``."""
    value = Decimal(amount_minor).scaleb(-exponent(currency))
    text = format_compact_decimal(value, locale=Locale(language), fraction_digits=1)
    return str(text).replace("\u202f", "\xa0")


def day(date: dt.date, language: str, *, year: bool = True) -> str:
    """A date as people of that language write it: ``Nov 22, 2026``; without its year ``22/11``."""
    pattern = "medium" if year else ("d/M" if language == "es" else "MMM d")
    return str(format_date(date, pattern, locale=language))


def when(
    at_ms: int, language: str, *, seconds: bool = False, date: bool = False, zone: str = ""
) -> str:
    """A time of day, or a date with it, in a time zone, or else in this machine's."""
    try:
        moment = dt.datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone) if zone else None)
    except (OverflowError, ValueError, OSError):  # a clock that shows what is no time
        return "–"
    moment = moment.astimezone() if moment.tzinfo is None else moment
    if date:
        return str(format_datetime(moment, "dd-MM-yyyy HH:mm", locale=language))
    return str(format_time(moment, "HH:mm:ss" if seconds else "HH:mm", locale=language))


def explain(error: SyncError, language: str) -> str:
    """One sentence about an error that a person can act on."""
    match error:
        case Refused(code=code, details=details):
            table = words(language)
            for key in (f"refused.{code}.{details.get('kind', '')}", f"refused.{code}"):
                if key in table:
                    return say(language, key, **details)
            return say(language, "refused.other", code=code)
        case StorageFailed():
            return say(language, "error.storage", what=str(error))
        case FolderBusy(folder=folder):
            return say(language, "error.folder-busy", folder=folder)
        case Damaged(log=log, offset=offset, what=what):
            return say(language, "error.damaged", log=log, offset=offset, what=what)
        case Disconnected():
            return say(language, "error.no-server")
    return say(language, "refused.other", code=str(error))
