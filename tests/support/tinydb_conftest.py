"""Takes the place of `conftest.py` in TinyDB's own tests: they run over our storage and table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tinydb
import tinydb.storages
from tinydb.middlewares import CachingMiddleware
from tinydb.table import Table

from sync.table import RowStore, RowTable

PlainMemory = tinydb.storages.MemoryStorage


class MemoryStorage(RowStore):
    """Our storage outside of a fold, with TinyDB's name for one in memory."""

    def __init__(self) -> None:
        super().__init__({})
        self.writable = True


class Numbered(RowTable):
    """Our table with TinyDB's whole numbers as ids and its cache of queries."""

    document_id_class = int  # type: ignore[assignment]


def table_class(storage: Any, name: str, **options: Any) -> Table:
    if not isinstance(storage, RowStore):
        return Table(storage, name, **options)
    return Numbered(storage, name, **{"cache_size": Table.default_query_cache_capacity, **options})


tinydb.storages.MemoryStorage = MemoryStorage  # type: ignore[misc,assignment]
tinydb.TinyDB.table_class = staticmethod(table_class)  # type: ignore[assignment]


@pytest.fixture
def db() -> Iterator[tinydb.TinyDB]:
    found = tinydb.TinyDB(storage=MemoryStorage)
    found.drop_tables()
    found.insert_multiple({"int": 1, "char": c} for c in "abc")
    return found


@pytest.fixture
def storage() -> Any:
    return CachingMiddleware(PlainMemory)()
