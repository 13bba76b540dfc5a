"""Tests touch faster than people do."""

from __future__ import annotations

import pytest

from ui import files


@pytest.fixture(autouse=True)
def quick_hands(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No pause between two touches, but where that pause is what is tested."""
    if "slow_hands" not in request.fixturenames:
        monkeypatch.setattr("ui.viewmodels.session.AGAIN_S", 0.0)


@pytest.fixture
def slow_hands() -> None:
    """Two touches that are near to each other are one, as for people."""


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files that screens have given to the person: no browser is here to keep them."""
    kept: dict[str, bytes] = {}

    async def save(name: str, data: bytes) -> None:
        kept[name] = data

    monkeypatch.setattr(files, "save", save)
    return kept
