"""Words of both languages, money as people write it."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

import node
from node.cafe.house import KINDS
from node.text import LANGUAGES, explain, money, percent, say, when, words
from sync.errors import Damaged, Disconnected, FolderBusy, Refused, StorageFailed
from ui.format import drawable, texts

SOURCES = Path(str(node.__file__)).parent


def _gaps(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("table", [words, texts])
@pytest.mark.feature("CF-02")
def test_both_languages_have_the_same_sentences_with_the_same_gaps(table: object) -> None:
    """English and Spanish are complete from the first string on."""
    english, spanish = (table(language) for language in LANGUAGES)  # type: ignore[operator]
    assert english.keys() == spanish.keys()
    for key in english:
        assert _gaps(english[key]) == _gaps(spanish[key]), key


MONEY = {
    ("es", "CRC", 0): ("₡6 900", "−₡450"),
    ("en", "CRC", 0): ("₡6,900", "−₡450"),
    ("es", "EUR", None): ("6.900,00 €", "−450,00 €"),
    ("en", "USD", None): ("$6,900.00", "−$450.00"),
}


@pytest.mark.parametrize("case", MONEY)
@pytest.mark.feature("CF-02")
def test_money_is_written_as_its_country_does(case: tuple[str, str, int | None]) -> None:
    """Sign, grouping and decimals by locale; blanks do not break."""
    plus, minus = MONEY[case]
    assert money(690000, *case).replace("\xa0", " ") == plus
    assert money(-45000, *case).replace("\xa0", " ") == minus


def test_percent_and_time_by_language() -> None:
    """13 % in Spanish, 13% in English."""
    assert percent(1300, "es").replace("\xa0", " ") == "13 %"
    assert percent(1050, "en") == "10.5%"
    assert re.fullmatch(r"\d\d:\d\d", when(0, "en"))
    assert re.fullmatch(r"\d\d-\d\d-\d{4} \d\d:\d\d", when(0, "es", date=True))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_has_a_sentence(language: str) -> None:
    """A person reads what to do, never a code alone."""
    for error in (
        StorageFailed("full"),
        FolderBusy("/x"),
        Damaged("canon", 1, "x"),
        Disconnected(),
        Refused("server-only", kind="box.close"),
        Refused("no-permission", permission="x"),
        Refused("never-heard-of"),
        Refused("bad-state"),
    ):
        assert len(explain(error, language)) > 10
    assert "…" in say(language, "refused.no-permission")
    assert KINDS


def test_sign_that_the_font_lacks_is_drawn_as_a_box() -> None:
    """One emoji in a name must not make the client ask for glyphs for ever."""
    assert drawable("Café ₡ → 🙂") == "Café ₡ → □"


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_refusal_has_a_sentence_of_its_own(language: str) -> None:
    """Whatever code is raised where a person asks for something, they read what to do."""
    raised = {
        call.args[0].value
        for path in SOURCES.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and getattr(call.func, "id", "") == "Refused"
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    assert len(raised) > 80
    known = {key.removeprefix("refused.") for key in words(language)}
    told = {key.partition(".")[0] for key in known}
    assert raised - told == set()
