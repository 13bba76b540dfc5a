"""What every unit test also watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sync.codec import pack
from sync.table import Row, Rows, RowStore


@pytest.fixture(autouse=True)
def given_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows that were given away to a table are changed by nobody, nor is what is in them."""
    given: list[tuple[str, Row, bytes]] = []
    put = RowStore.put

    def watched(store: RowStore, table: Rows, row_id: str, row: Row | None, **more: Any) -> None:
        put(store, table, row_id, row, **more)
        if more.get("given") and row is not None:
            given.append((table.name, row, pack(row)))

    monkeypatch.setattr(RowStore, "put", watched)
    yield
    assert all(pack(row) == was for _, row, was in given)
