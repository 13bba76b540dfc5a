"""TinyDB over live rows: work per write is O(change), reads use indexes and are always checked
again.

TinyDB's own extension points, a `Storage` and a `Table` class, are all that is used. Rows live in
memory (their truth is a log), packed: a tenth of what they take as dicts. Few that change all the
time stay as they are between two changes. Documents handed out are copies, never shared.
"""

from __future__ import annotations

import bisect
import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from tinydb.queries import QueryInstance, QueryLike
from tinydb.storages import Storage
from tinydb.table import Document, Table
from tinydb.utils import freeze

from sync.codec import decoder_of, pack

Row = dict[str, Any]
Kept = bytes | Row
"""How a table holds a row: packed, or as it is, from whoever gave it away."""
LATE = 64
"""So many of the highest values of an index are looked at first."""
READ_KEPT = 4096
"""So many rows of a table are also kept as they were read."""

_unpack: Callable[[bytes], Row] = decoder_of(dict)


class _Document(Document):
    """`Document` by the constructor of a dict: 0.2 µs a row instead of 0.3."""

    __init__: Callable[[Document, Row], None] = dict.__init__


def _document(row: Row, row_id: Any) -> Document:
    """A row that is the caller's."""
    document: Document = _Document(row)
    document.doc_id = row_id
    return document


def _wanted(condition: QueryLike) -> tuple[str, Any]:
    """(field, value) of the commonest of all conditions, which needs no way along a path; an empty
    field for any other."""
    match getattr(condition, "_hash", None):
        case ("==", (str(name),), (str() | int()) as value):
            return name, value
    return "", None


class ReadOnly(Exception):
    """A table was written outside of a fold: a bug of ours."""


class HashIndex:
    """Row ids by the value at a path: equality in O(1)."""

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        self._first, *self._rest = path
        self._ids: dict[Any, str | dict[str, None]] = {}
        """Mostly a value has one row."""

    def _value(self, row: Row) -> Any:
        value = row.get(self._first, HashIndex)  # no value that a row can have
        for part in self._rest:
            value = value.get(part, HashIndex) if type(value) is dict else HashIndex
        kind = type(value)
        if kind is dict or kind is list:
            return freeze(value)  # type: ignore[no-untyped-call]
        return value

    def enter(self, row_id: str, row: Row) -> None:
        """Take up a row that was not there."""
        self.add(row_id, self._value(row))

    def move(self, row_id: str, before: Row, after: Row | None) -> None:
        """Follow a change of a row; None is no row. Most changes leave most values as they were."""
        new = HashIndex if after is None else self._value(after)
        old = self._value(before)
        if old is not new and (old != new or type(old) is not type(new)):
            self.drop(row_id, old)
            self.add(row_id, new)

    def add(self, row_id: str, value: Any) -> None:
        if value is not HashIndex:
            ids = self._ids.setdefault(value, row_id)
            if type(ids) is dict:
                ids[row_id] = None
            elif ids != row_id:
                self._ids[value] = dict.fromkeys((str(ids), row_id))

    def drop(self, row_id: str, value: Any) -> None:
        ids = self._ids.get(value)
        if type(ids) is dict:
            ids.pop(row_id, None)
        if ids == row_id or ids == {}:
            del self._ids[value]

    def find(self, value: Any) -> Iterable[str]:
        ids = self._ids.get(value, ())
        return (ids,) if isinstance(ids, str) else ids

    def clear(self) -> None:
        self._ids.clear()


class SortedIndex(HashIndex):
    """Row ids in the order of a whole number at a path: ranges and pages without a scan."""

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(path)
        self._order: list[tuple[int, str]] = []

    def add(self, row_id: str, value: Any) -> None:
        if type(value) is int:
            item, order = (value, row_id), self._order
            if not order or item > order[-1]:
                order.append(item)
            else:  # most come in order, or nearly so
                late = max(0, len(order) - LATE)
                bisect.insort(order, item, late if item > order[late] else 0)

    def drop(self, row_id: str, value: Any) -> None:
        item = (value, row_id)
        if type(value) is int:
            at = bisect.bisect_left(self._order, item)
            if at < len(self._order) and self._order[at] == item:
                del self._order[at]

    def clear(self) -> None:
        self._order.clear()

    def between(self, op: str, value: int) -> list[str]:
        low, high = 0, len(self._order)
        if op == "<":
            high = bisect.bisect_left(self._order, (value,))
        elif op == "<=":
            high = bisect.bisect_left(self._order, (value + 1,))
        elif op == ">":
            low = bisect.bisect_left(self._order, (value + 1,))
        else:
            low = bisect.bisect_left(self._order, (value,))
        return [row_id for _, row_id in self._order[low:high]]

    def last(self, count: int, skip: int = 0) -> list[str]:
        """Ids of the ``count`` highest values behind the ``skip`` highest, highest first."""
        end = len(self._order) - skip
        return [row_id for _, row_id in reversed(self._order[max(0, end - count) : max(0, end)])]


class _ReadRows(dict[str, Row]):
    """Rows as they were read, for reading only; whoever is not among them is read."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Kept] = {}

    def __missing__(self, row_id: str) -> Row | None:
        kept = self.kept.get(row_id)
        if kept is None:
            return None
        if len(self) >= READ_KEPT:
            self.clear()
        row = self[row_id] = _row_of(kept)
        return row


def _row_of(kept: Kept) -> Row:
    """A row for reading only."""
    return kept if isinstance(kept, dict) else _unpack(kept)


class Rows:
    """The rows of one table and their indexes; the only place where a row changes."""

    def __init__(
        self, name: str, by_value: Iterable[str] = (), in_order: Iterable[str] = ()
    ) -> None:
        self.name = name
        self.read = _ReadRows()
        self._kept = self.read.kept
        self._loose: set[str] = set()
        """Rows that may not be packed."""
        self.version = 0
        """Counts changes, so that whoever remembers a result knows when it is old."""
        self.persist_empty = False
        """Whether TinyDB shall see the table while it has no rows."""
        self.by_value = {p: HashIndex(p) for p in (tuple(i.split(".")) for i in by_value)}
        self.in_order = {p: SortedIndex(p) for p in (tuple(i.split(".")) for i in in_order)}
        self._indexes: list[HashIndex] = [*self.by_value.values(), *self.in_order.values()]

    @property
    def packed(self) -> dict[str, bytes]:
        """All rows, packed by now."""
        kept: dict[str, Any] = self._kept
        if self._loose:
            for row_id in self._loose:
                row = kept.get(row_id)
                if type(row) is dict:
                    kept[row_id] = pack(row)
            self._loose.clear()
        return kept

    def copy(self, row_id: str) -> Row | None:
        """A row of the caller's own, or None."""
        kept = self._kept.get(row_id)
        if type(kept) is bytes:
            return _unpack(kept)
        return None if kept is None else _unpack(pack(kept))

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def scan(self) -> Iterator[tuple[str, Row]]:
        """All (id, row), for reading only; none may change meanwhile."""
        for row_id, kept in self._kept.items():
            row = self.read.get(row_id)
            yield row_id, _row_of(kept) if row is None else row

    def put(self, row_id: str, kept: Kept | None, row: Row | None = None) -> Kept | None:
        """Set or (with None) remove a row; what stood there before is returned. ``row`` is what a
        packed one holds, if the caller has it at hand: it is only looked at."""
        self.version += 1
        old = self._kept.get(row_id)
        read = self.read.pop(row_id, None)
        if self._indexes:
            after = (row or _row_of(kept)) if kept is not None else None
            if old is not None:
                before = read or _row_of(old)
                for index in self._indexes:
                    index.move(row_id, before, after)
            elif after is not None:
                for index in self._indexes:
                    index.enter(row_id, after)
        if kept is None:
            self._kept.pop(row_id, None)
            return old
        self._kept[row_id] = kept
        if type(kept) is dict:
            self._loose.add(row_id)
            if read is not None:
                self.read[row_id] = kept
        return old

    def load(self, packed: dict[str, bytes]) -> None:
        """Hold these rows and no others; the caller gives the dict away."""
        self.version += 1
        kept: dict[str, Any] = packed
        self._kept = self.read.kept = kept
        self._loose.clear()
        self.read.clear()
        for index in self._indexes:
            index.clear()
        if self._indexes:
            for row_id, row in self.scan():
                for index in self._indexes:
                    index.enter(row_id, row)


Undo = tuple[Rows, str, "Kept | None"]


class RowStore(Storage):
    """TinyDB's storage for tables whose rows live here; every write notes how to take it back."""

    def __init__(self, indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
        self._indexes = indexes
        self.tables: dict[str, Rows] = {}
        self.undo: list[Undo] | None = None
        self.changed: set[str] = set()
        self.writable = False
        self._other: dict[str, Any] = {}
        """What TinyDB was asked to store that is no table of rows."""

    def rows(self, name: str) -> Rows:
        table = self.tables.get(name)
        if table is None:
            by_value, in_order = self._indexes.get(name, ((), ()))
            table = self.tables[name] = Rows(name, by_value, in_order)
        return table

    def put(self, table: Rows, row_id: str, row: Row | None, *, given: bool = False) -> None:
        if not self.writable:
            raise ReadOnly(table.name)
        old = table.put(row_id, row if given or row is None else pack(row), row)
        if self.undo is not None:
            self.undo.append((table, row_id, old))
        self.changed.add(table.name)

    def take_back(self, undo: list[Undo]) -> None:
        for table, row_id, old in reversed(undo):
            table.put(row_id, old)
            self.changed.add(table.name)

    def read(self) -> dict[str, dict[str, Any]] | None:
        tables = {
            name: {row_id: _unpack(packed) for row_id, packed in table.packed.items()}
            for name, table in self.tables.items()
            if len(table) or table.persist_empty
        }
        return {**self._other, **tables} or None

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        """TinyDB comes here only to drop tables, or as a plain storage; rows change through
        `put`."""
        self._other = {name: value for name, value in data.items() if not _is_table(value)}
        for name, table in list(self.tables.items()):
            for row_id in list(table.packed):
                if row_id not in data.get(name, ()):
                    self.put(table, row_id, None)
        for name, rows in data.items():
            if name not in self._other:
                for row_id, row in rows.items():
                    self.put(self.rows(name), row_id, dict(row))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(row, Mapping) for row in value.values())


class _Changes(MutableMapping[str, Any]):
    """What TinyDB's updaters see: rows, copied when touched, changes kept aside."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.new: dict[str, Row | None] = {}

    def __getitem__(self, row_id: str) -> Row:
        if row_id in self.new:
            row = self.new[row_id]
            if row is None:
                raise KeyError(row_id)
            return row
        copy = self._rows.copy(row_id)
        if copy is None:
            raise KeyError(row_id)
        self.new[row_id] = copy
        return copy

    def __setitem__(self, row_id: str, row: Row) -> None:
        self.new[row_id] = row

    def __delitem__(self, row_id: str) -> None:
        if row_id not in self:
            raise KeyError(row_id)
        self.new[row_id] = None

    def __contains__(self, row_id: object) -> bool:
        if row_id in self.new:
            return self.new[row_id] is not None
        return row_id in self._rows

    def __iter__(self) -> Iterator[str]:
        old = self._rows.packed
        yield from [i for i in old if i not in self.new or self.new[i] is not None]
        yield from [i for i, row in self.new.items() if i not in old and row is not None]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        self.new = dict.fromkeys(self._rows.packed)


class RowTable(Table):
    """A TinyDB table of a `RowStore`. Ids are text. Beyond TinyDB: `row`, `put`, `drop`,
    `latest`."""

    document_id_class = str  # type: ignore[assignment]
    default_query_cache_capacity = 0

    _storage: RowStore

    def __init__(
        self, storage: RowStore, name: str, cache_size: int = 0, persist_empty: bool = False
    ):
        self._rows = storage.rows(name)
        self.row: Callable[[str], Row | None] = self._rows.copy
        """A copy of one row, or None."""
        self.peek: Callable[[str], Mapping[str, Any] | None] = self._rows.read.__getitem__
        """One row without the copy, for reading only; None if there is none."""
        self._rows.persist_empty |= persist_empty
        self._cached = 0
        """Version of the rows that cached results are of."""
        super().__init__(storage, name, cache_size=cache_size, persist_empty=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> RowTable:
        return RowTable(copy.deepcopy(self._storage, memo), self.name)

    # --- ours ----------------------------------------------------------------

    def scan(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """All (id, row), for reading only."""
        return self._rows.scan()

    @property
    def version(self) -> int:
        """Counts changes of the rows: whoever remembers a result knows when it is old."""
        return self._rows.version

    def put(self, row_id: str, row: Row, *, given: bool = False) -> None:
        """Set a row, as it is now. Who changes it no more, nor what is in it, may say that it is
        ``given`` away: it is not packed then until somebody asks for a copy or for all bytes, so it
        must be one that can be."""
        self._storage.put(self._rows, row_id, row, given=given)

    def drop(self, row_id: str) -> None:
        self._storage.put(self._rows, row_id, None)

    def latest(self, path: str, count: int, skip: int = 0) -> list[Document]:
        """A page of the rows with the highest whole number at ``path``, highest first."""
        index = self._rows.in_order[tuple(path.split("."))]
        return self._documents(index.last(count, skip))

    def _documents(self, row_ids: Iterable[str]) -> list[Document]:
        packed, unpack = self._rows.packed, _unpack
        return [_document(unpack(packed[row_id]), row_id) for row_id in row_ids]

    # --- TinyDB's ------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._rows)

    def _update_table(self, updater: Callable[[Any], None]) -> None:
        changes = _Changes(self._rows)
        updater(changes)
        for row_id, row in changes.new.items():
            self._storage.put(self._rows, row_id, None if row is None else dict(row))
        self.clear_cache()

    def _get_next_id(self) -> Any:
        next_id: int | None = self._next_id
        if next_id is None:
            known = (int(row_id) for row_id in self._rows.packed if str(row_id).isdigit())
            next_id = max(known, default=0) + 1
        while self.document_id_class(next_id) in self._rows:  # put there by somebody else
            next_id += 1
        self._next_id = next_id + 1  # type: ignore[assignment]
        return self.document_id_class(next_id)

    def _matching(self, condition: QueryLike) -> Iterator[tuple[str, Row]]:
        """(id, copy) of the rows that match; from the cache, where the caller asked for one (it is
        off by default: TinyDB's key of a query forgets the flags of a regular expression)."""
        return self._remembered(condition) if self._query_cache.capacity else self._found(condition)

    def _remembered(self, condition: QueryLike) -> Iterator[tuple[str, Row]]:
        if self._cached != self._rows.version:
            self.clear_cache()
            self._cached = self._rows.version
        known: Any = self._query_cache.get(condition)
        if known is None:
            known = [row_id for row_id, _ in self._found(condition)]
            if getattr(condition, "is_cacheable", lambda: True)():
                self._query_cache[condition] = known
        for row_id in known:
            row = self._rows.copy(row_id)
            if row is not None:
                yield row_id, row

    def _found(self, condition: QueryLike) -> Iterator[tuple[str, Row]]:
        for row_id in self._candidates(condition):
            row = self._rows.copy(row_id)
            if row is not None and condition(row):
                yield row_id, row

    def _candidates(self, condition: QueryLike) -> list[str]:
        planned = self._plan(condition._hash) if isinstance(condition, QueryInstance) else None
        return list(self._rows.packed if planned is None else planned)

    def _plan(self, query: Any) -> Iterable[str] | None:
        """Candidate ids for a query by what TinyDB remembers of it; None means look at every
        row."""
        match query:
            case ("==", tuple(path), value) if path in self._rows.by_value:
                return self._rows.by_value[path].find(value)
            case ("one_of", tuple(path), tuple(values)) if path in self._rows.by_value:
                index = self._rows.by_value[path]
                return [row_id for value in values for row_id in index.find(value)]
            case (("<" | "<=" | ">" | ">=") as op, tuple(path), int(value)) if (
                path in self._rows.in_order and type(value) is int
            ):
                return self._rows.in_order[path].between(op, value)
            case ("and", frozenset(parts)):
                plans = [list(plan) for part in parts if (plan := self._plan(part)) is not None]
                return min(plans, key=len) if plans else None
        return None

    def matching(self, cond: QueryLike) -> Iterator[Document]:
        """What `search` gives, one after the other, each copied when it is reached."""
        return (_document(row, row_id) for row_id, row in self._matching(cond))

    def search(self, cond: QueryLike) -> list[Document]:
        if self._query_cache.capacity:
            return list(self.matching(cond))
        packed, unpack, found = self._rows.packed, _unpack, []
        field, value = _wanted(cond)
        for row_id in self._candidates(cond):  # as `_found`, without its turns
            document = _Document(unpack(packed[row_id]))
            if document.get(field) == value if field else cond(document):
                document.doc_id = row_id
                found.append(document)
        return found

    def count(self, cond: QueryLike) -> int:
        return sum(1 for _ in self._matching(cond))

    def contains(self, cond: QueryLike | None = None, doc_id: Any = None) -> bool:
        if doc_id is not None:
            return doc_id in self._rows
        if cond is None:
            raise RuntimeError("You have to pass either cond or doc_id")
        return next(self._matching(cond), None) is not None

    def get(self, cond: QueryLike | None = None, doc_id: Any = None, doc_ids: Any = None) -> Any:
        if doc_id is not None:
            row = self._rows.copy(doc_id)
            return None if row is None else _document(row, doc_id)
        if doc_ids is not None:
            return self._documents([row_id for row_id in doc_ids if row_id in self._rows])
        if cond is None:
            raise RuntimeError("You have to pass either cond or doc_id or doc_ids")
        return next(self.matching(cond), None)

    def update(self, fields: Any, cond: QueryLike | None = None, doc_ids: Any = None) -> list[Any]:
        if doc_ids is None and cond is not None:
            doc_ids = [row_id for row_id, _ in self._matching(cond)]
        return super().update(fields, doc_ids=doc_ids)

    def remove(self, cond: QueryLike | None = None, doc_ids: Any = None) -> list[Any]:
        if doc_ids is None and cond is not None:
            doc_ids = [row_id for row_id, _ in self._matching(cond)]
        return super().remove(doc_ids=doc_ids)

    def __iter__(self) -> Iterator[Document]:
        for row_id, packed in list(self._rows.packed.items()):
            yield _document(_unpack(packed), row_id)
