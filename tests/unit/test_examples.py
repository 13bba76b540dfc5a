"""The worked examples of the café's rules, each through the product's own functions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.rules import RULES, run

HERE = Path(__file__).parents[1] / "data" / "examples.json"
CASES: list[dict[str, Any]] = json.loads(HERE.read_text("utf-8"))
SECTIONS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15")
FEATURES = {
    "1": ["RP-05"],
    "2": ["RP-08"],
    "3": ["RP-17", "RP-19"],
    "4": ["RP-10"],
    "5": ["BX-01", "BX-04", "RP-28"],
    "6": ["RP-04", "RC-18"],
    "7": ["RC-15", "RC-16"],
    "8": ["RC-12"],
    "9": ["PN-07", "PN-12"],
    "10": ["PC-02", "PC-03", "PC-05"],
    "11": ["RP-11"],
    "12": ["RP-07"],
    "13": ["OP-01", "OP-02"],
    "14": ["RP-09"],
    "15": ["RP-17", "RP-20", "PR-02"],
}


def section(case: dict[str, Any]) -> str:
    return str(case["section"]).split()[0]


def built() -> list[Any]:
    return [
        pytest.param(
            case,
            id=case["name"],
            marks=pytest.mark.feature(*FEATURES[section(case)]),
        )
        for case in CASES
        if section(case) in SECTIONS
    ]


@pytest.mark.parametrize("case", built())
def test_example_holds(case: dict[str, Any]) -> None:
    """What the product says of an example is what was agreed on."""
    assert run(case) == case["then"]


def test_every_rule_of_these_sections_has_its_way_into_the_product() -> None:
    """No example of them is passed over."""
    rules = {case["when"]["rule"] for case in CASES if section(case) in SECTIONS}
    assert set(RULES) == rules


def test_copy_of_the_examples_is_the_agreed_one(shared_data: Path) -> None:
    """Our copy is byte by byte what was agreed on."""
    agreed = shared_data.parent / "spec" / "examples.json"
    assert HERE.read_bytes() == agreed.read_bytes()
