"""Texts, money, times and counts as this screen's language writes them."""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import font_source_sans_pro
from fontTools.ttLib import TTFont

from node.api import (
    Node,
    SyncError,
    count,
    currency_sign,
    day,
    explain,
    exponent,
    major,
    money,
    number,
    parse_minor,
    percent,
    say,
    settings,
    short,
    when,
)
from ui.theme import FONT_FILES, REGULAR

BOX = "□"
_AMOUNT = re.compile(r"-?(\d{1,15}(\.\d{0,6})?|\.\d{1,6})", re.ASCII)
_WHOLE = re.compile(r"\d{1,12}", re.ASCII)


def whole(typed: str) -> int | None:
    """A whole number as people type it; None if it is none."""
    plain = typed.strip()
    return int(plain) if _WHOLE.fullmatch(plain) else None


@functools.cache
def texts(language: str) -> dict[str, str]:
    """All texts of the screens in a language."""
    file = resources.files("ui").joinpath(f"i18n/{language}.json")
    loaded: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def font_file(name: str) -> Path:
    """Path of one of our font files, from the package that brings them."""
    return Path(str(font_source_sans_pro.__file__)).parent / "files" / FONT_FILES[name]


@functools.cache
def _drawable() -> frozenset[int]:
    with TTFont(font_file(REGULAR), lazy=True) as font:
        return frozenset(font.getBestCmap())


def drawable(text: str) -> str:
    """Text with □ for what our font lacks: a glyph that no font has makes the client ask for
    ever."""
    known = _drawable()
    return "".join(c if ord(c) in known or c == "\n" else BOX for c in text)


class Format:
    """How one node's screen writes things."""

    def __init__(self, node: Node, language: str = "") -> None:
        self.language = language or node.language
        cafe = settings.cafe(node.tables)
        self.currency: str = cafe.get("currency", "EUR")
        self.decimals: int | None = cafe.get("decimals")
        self.zone: str = cafe.get("time_zone", "")

    def __call__(self, key: str, **values: Any) -> str:
        """The text of a key; with ``count`` the singular ``key.one`` where there is one."""
        known = texts(self.language)
        if values.get("count") == 1 and f"{key}.one" in known:
            key = f"{key}.one"
        return known[key].format(**values)

    def money(self, amount_minor: int) -> str:
        return money(amount_minor, self.language, self.currency, self.decimals)

    def parse(self, typed: str) -> int | None:
        """Minor units of an amount as people type it, with a comma or a point; None if it is no
        amount."""
        plain = "".join(typed.split()).replace(",", ".")
        if not _AMOUNT.fullmatch(plain):
            return None
        try:
            return parse_minor(plain, self.currency)
        except ValueError:
            return None

    def plain(self, amount_minor: int) -> str:
        """An amount as `parse` reads it back: ``12.50``."""
        return major(amount_minor, exponent(self.currency)).removesuffix(".00")

    def number(self, amount_minor: int) -> str:
        return number(amount_minor, self.language, self.currency, self.decimals)

    @property
    def sign(self) -> str:
        return currency_sign(self.language, self.currency)

    def sign_first(self) -> bool:
        return self.money(1).startswith(self.sign)

    def short(self, amount_minor: int) -> str:
        """An amount in few characters, for a chart's side."""
        return short(amount_minor, self.language, self.currency)

    def count(self, value: int) -> str:
        return count(value, self.language)

    def date(self, date: dt.date) -> str:
        return day(date, self.language)

    def day(self, date: dt.date) -> str:
        """A date without its year."""
        return day(date, self.language, year=False)

    def moment(self, at_ms: int) -> str:
        """A date and a time."""
        return when(at_ms, self.language, date=True, zone=self.zone)

    def percent(self, bp: int) -> str:
        return percent(bp, self.language)

    def time(self, at_ms: int, *, seconds: bool = False) -> str:
        return when(at_ms, self.language, seconds=seconds, zone=self.zone)

    def age(self, age_ms: int) -> str:
        """``48 s``, ``4 min``, ``2 h``."""
        seconds = max(0, age_ms // 1000)
        if seconds < 60:
            return f"{seconds} s"
        if seconds < 3600:
            return f"{seconds // 60} min"
        return f"{seconds // 3600} h"

    def flag(self, flag: str) -> str:
        """Why an order is flagged or set aside."""
        return texts(self.language).get(f"flag.{flag}", flag)

    def why(self, key: str) -> str:
        """Why a printer waits."""
        return say(self.language, key)

    def say(self, key: str, **values: Any) -> str:
        """A text that the paper shares with the screen."""
        return say(self.language, key, **values)

    def kind(self, kind: str) -> str:
        """What an act is called; its own name if it is of the engine."""
        return texts(self.language).get(f"kind.{kind}", kind)

    def error(self, error: SyncError) -> str:
        return drawable(explain(error, self.language))
