"""TinyDB over live rows: its API, our indexes, and documents that are never shared."""

from __future__ import annotations

import copy
import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tinydb import TinyDB, where

from node.cafe.house import Cafe
from sync.codec import decoder_of, pack
from sync.op import Entry
from sync.table import (
    LATE,
    READ_KEPT,
    ReadOnly,
    Rows,
    RowStore,
    RowTable,
    SortedIndex,
    _Changes,
)
from sync.view import View


def table(store: RowStore | None = None) -> RowTable:
    store = store or RowStore({"t": (("state", "a.b"), ("at",))})
    store.writable = True
    return RowTable(store, "t")


def test_table_answers_tinydb_queries_like_tinydb() -> None:
    """Insert, search, update, upsert, remove, count and contains do what TinyDB documents."""
    t = table()
    for at in range(10):
        t.put(f"r{at}", {"state": "odd" if at % 2 else "even", "at": at, "a": {"b": at}})
    assert len(t) == 10
    assert t.count(where("state") == "odd") == 5
    assert {d["at"] for d in t.search((where("state") == "odd") & (where("at") > 4))} == {5, 7, 9}
    assert t.get(where("a")["b"] == 3)["at"] == 3
    assert t.get(doc_id="r3")["at"] == 3
    assert t.get(doc_id="none") is None
    assert [d["at"] for d in t.get(doc_ids=["r1", "r2", "none"])] == [1, 2]
    assert t.contains(where("at") == 9)
    assert not t.contains(doc_id="r99")
    t.update({"state": "changed"}, where("at") < 2)
    assert t.count(where("state") == "changed") == 2
    t.remove(where("state") == "changed")
    assert len(t) == 8
    t.upsert({"at": 2, "state": "even", "a": {}}, where("at") == 2)
    new = t.insert({"at": 50, "state": "new", "a": {"b": 1}})
    assert t.get(doc_id=new)["state"] == "new"
    assert {d["at"] for d in t.search(where("state").one_of(["new", "none"]))} == {50}
    assert {d["at"] for d in t} == {2, 3, 4, 5, 6, 7, 8, 9, 50}
    t.truncate()
    assert len(t) == 0
    with pytest.raises(RuntimeError):
        t.get()
    with pytest.raises(RuntimeError):
        t.contains()


def test_documents_are_never_shared() -> None:
    """Whoever changes what they were given changes nothing else."""
    t = table()
    t.put("r", {"state": "x", "at": 1, "a": {"b": [1]}})
    for document in (t.get(doc_id="r"), t.row("r"), t.search(where("at") == 1)[0], *list(t)):
        assert document is not None
        document["a"]["b"].append(2)
    assert t.row("r") == {"state": "x", "at": 1, "a": {"b": [1]}}


def test_what_was_read_is_what_stands_there() -> None:
    """Rows kept as they were read are bounded, and never older than the last change."""
    store = RowStore({})
    t = table(store)
    for at in range(READ_KEPT + 9):
        t.put(f"r{at}", {"at": at})
    for _ in range(2):
        for at in range(READ_KEPT + 9):
            assert t.peek(f"r{at}") == {"at": at}
    assert len(t._rows.read) <= READ_KEPT
    given = {"at": -1}
    t.put("r1", given)
    given["at"] = 7
    assert t.peek("r1") == t.row("r1") == dict(t.scan())["r1"] == {"at": -1}
    t.drop("r1")
    assert t.peek("r1") is None
    t._rows.load({})
    assert [*t.scan()] == []


def test_copied_view_reads_rows_of_its_own() -> None:
    """A machine that is copied while it runs shares no row with the one it was copied from."""
    view = View(Cafe())
    view.store.writable = True
    view.table("rows").put("r", {"at": 1})
    assert view.table("rows").peek("r") == {"at": 1}
    twin = copy.deepcopy(view)
    assert twin.table("rows")._rows is twin.store.tables["rows"]
    twin.table("rows").put("r", {"at": 2})
    assert view.table("rows").peek("r") == {"at": 1}
    assert twin.table("rows").peek("r") == twin.table("rows").row("r") == {"at": 2}


def test_row_that_is_given_away_stands_as_it_is_and_can_be_taken_back() -> None:
    """It is packed by the first who wants its bytes; copies are none of it; an undo shows what
    stood there before, itself given away or not."""
    store = RowStore({})
    t = table(store)
    t.put("r", {"at": 1})
    assert t.peek("r") == {"at": 1}
    first = {"at": 2}
    t.put("r", first, given=True)
    assert t.peek("r") is first
    store.undo = []
    second = {"at": 3}
    t.put("r", second, given=True)
    assert t.peek("r") is second
    assert t.row("r") == second
    assert t.row("r") is not second
    undo, store.undo = store.undo, None
    store.take_back(undo)
    assert t.peek("r") is first
    assert t._rows.packed == {"r": pack(first)}
    assert t.peek("r") is first, "packed, and read as before"


READERS: list[Callable[[RowTable], Any]] = [
    lambda t: {name: t.row(name) for name in "abc"},
    lambda t: {name: t.peek(name) for name in "abc"},
    lambda t: {name: t.get(doc_id=name) for name in "abc"},
    lambda t: {doc.doc_id: doc for doc in t},
    lambda t: dict(t.scan()),
    lambda t: {doc.doc_id: doc for doc in t.search(where("state") == "x")},
    lambda t: {doc.doc_id: doc for doc in t.matching(where("at").test(lambda at: at >= 0))},
    lambda t: [doc["at"] for doc in t.latest("at", 3)],
    lambda t: {name: decode(packed) for name, packed in t._rows.packed.items()},
    lambda t: (len(t), t._storage.read(), "a" in t._rows),
]
"""Every way to read a table."""
ACTS = st.sampled_from(["put", "given", "drop", "begin", "back"])
decode = decoder_of(dict)


@given(
    st.lists(st.tuples(ACTS, st.sampled_from("abc"), st.integers(-1, 9)), max_size=30),
    st.lists(st.integers(0, len(READERS) - 1), max_size=30),
)
def test_who_gives_a_row_away_changes_nothing_that_can_be_read(
    acts: list[tuple[str, str, int]], reads: list[int]
) -> None:
    """Whatever is written, given away, dropped and taken back, and whoever looks in between: it
    reads as if every row had been packed at once."""
    tables = [table(), table()]
    for step, (act, name, value) in enumerate(acts):
        for at, t in enumerate(tables):
            store = t._storage
            row = {"at": value, "state": "xy"[value % 2], "a": {"b": [value]}}
            if act == "begin":
                store.undo = []
            elif act == "back":
                store.take_back(store.undo or [])
                store.undo = None
            elif act == "drop":
                t.drop(name)
            else:
                t.put(name, row, given=act == "given" and at == 0)
        look = READERS[reads[step % len(reads)]] if reads else READERS[0]
        assert look(tables[0]) == look(tables[1])
    for look in READERS:
        assert look(tables[0]) == look(tables[1])


@pytest.mark.parametrize("order", ["up", "down", "any", "one"])
def test_order_is_kept_however_values_come(order: str) -> None:
    """Whether they come nearly in order, backwards, at random or are all the same."""
    count = 5 * LATE
    values = list(range(count)) if order != "one" else [7] * count
    if order == "down":
        values.reverse()
    if order == "any":
        random.Random(1).shuffle(values)
    t = table()
    for number, value in enumerate(values):
        t.put(f"r{number * 7919 % 1000:04d}", {"at": value})
    expected = sorted((value, f"r{n * 7919 % 1000:04d}") for n, value in enumerate(values))
    assert t._rows.in_order[("at",)]._order == expected
    for number in range(0, count, 3):
        t.drop(f"r{number * 7919 % 1000:04d}")
        expected.remove((values[number], f"r{number * 7919 % 1000:04d}"))
    assert t._rows.in_order[("at",)]._order == expected


def test_table_is_read_only_outside_of_a_fold() -> None:
    """Screens can look, and only look."""
    store = RowStore({})
    t = table(store)
    t.put("r", {"a": 1})
    store.writable = False
    for write in (
        lambda: t.insert({"a": 1}),
        lambda: t.put("r", {"a": 2}),
        lambda: t.drop("r"),
    ):
        with pytest.raises(ReadOnly):
            write()
    assert t.all() == [{"a": 1}]


def test_index_knows_who_has_a_value_and_who_has_it_no_more() -> None:
    """One row of a value or several, gained later, lost, or never had; None is a value, too."""
    rows = Rows("t", by_value=("state", "a.b"))
    state, nested = rows.by_value[("state",)], rows.by_value[("a", "b")]

    def put(row_id: str, row: dict[str, Any] | None) -> None:
        rows.put(row_id, None if row is None else pack(row))

    put("r", {"at": 1})
    put("s", {"a": 7})
    assert [*state.find(None), *nested.find(None), *nested.find(7)] == []
    put("r", {"state": "x", "a": {"b": 2}})
    put("s", {"state": "x", "a": {"b": None}})
    put("q", {"state": "x"})
    assert ([*state.find("x")], [*nested.find(2)], [*nested.find(None)]) == (
        ["r", "s", "q"],
        ["r"],
        ["s"],
    )
    put("s", None)
    put("r", {"state": "y", "a": {"b": 2}})
    assert ([*state.find("x")], [*state.find("y")], [*nested.find(None)]) == (["q"], ["r"], [])
    put("q", {"at": 1})
    put("r", {})
    assert [*state.find("x"), *state.find("y"), *nested.find(2)] == []


def test_rows_that_are_loaded_are_read_in_place_of_those_before() -> None:
    """Whatever was read before, and by whomever."""
    t = table()
    t.put("r", {"at": 1})
    assert t.peek("r") == {"at": 1}
    t._rows.load({"r": pack({"at": 2}), "s": pack({"at": 3})})
    assert (t.peek("r"), t.peek("s")) == ({"at": 2}, {"at": 3})
    t.put("r", {"at": 4})
    assert t.peek("r") == {"at": 4}


def test_rows_that_nobody_has_any_more_are_gone_at_once() -> None:
    """No cycle keeps them until the collector comes by: that is seldom in a node."""
    rows = Rows("t", by_value=("state",))
    rows.put("r", pack({"state": "x"}))
    assert rows.read["r"] == {"state": "x"}
    seen = weakref.ref(rows)
    collecting = gc.isenabled()
    gc.disable()
    try:
        del rows
        assert seen() is None
    finally:
        if collecting:
            gc.enable()


def test_undo_takes_back_rows_and_indexes() -> None:
    """What a trial has changed is gone without a trace."""
    store = RowStore({"t": (("state",), ("at",))})
    t = table(store)
    t.put("a", {"state": "x", "at": 1})
    store.undo = []
    t.put("a", {"state": "y", "at": 5})
    t.put("b", {"state": "x", "at": 2})
    t.drop("a")
    undo, store.undo = store.undo, None
    store.take_back(undo)
    assert t.row("a") == {"state": "x", "at": 1}
    assert t.row("b") is None
    assert [d["at"] for d in t.search(where("state") == "x")] == [1]
    assert [d["at"] for d in t.latest("at", 10)] == [1]


def test_database_over_the_store_drops_tables() -> None:
    """TinyDB's own object works over the storage."""
    db = TinyDB(storage=RowStore, indexes={})
    db.storage.writable = True  # type: ignore[attr-defined]
    db.table_class = RowTable
    db.table("one").insert({"a": 1})
    db.table("two").insert({"a": 2})
    assert db.tables() == {"one", "two"}
    db.drop_table("one")
    assert db.tables() == {"two"}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-50, 50) | st.none()), max_size=60))
def test_indexes_agree_with_a_scan_whatever_was_written(
    writes: list[tuple[int, int | None]],
) -> None:
    """An index finds exactly the rows that a look at every row finds."""
    t = table()
    for row_id, value in writes:
        if value is None:
            t.drop(str(row_id))
        else:
            t.put(str(row_id), {"state": value % 5, "at": value, "a": {}})
    rows = dict(t.scan())
    for state in range(5):
        expected = {i for i, row in rows.items() if row["state"] == state}
        assert {str(d.doc_id) for d in t.search(where("state") == state)} == expected
    for bound in (-20, 0, 7):
        for query, keep in (
            (where("at") < bound, lambda v, b=bound: v < b),
            (where("at") <= bound, lambda v, b=bound: v <= b),
            (where("at") > bound, lambda v, b=bound: v > b),
            (where("at") >= bound, lambda v, b=bound: v >= b),
        ):
            expected = {i for i, row in rows.items() if keep(row["at"])}
            assert {str(d.doc_id) for d in t.search(query)} == expected
    page = [d["at"] for d in t.latest("at", 5, skip=2)]
    assert page == sorted((row["at"] for row in rows.values()), reverse=True)[2:7]


class _Writes:
    """A domain whose events are writes, or a fault."""

    def __init__(self) -> None:
        self.indexes = {"t": (("state",), ("at",))}

    def apply(self, tables: Any, event: Any) -> None:
        row_id, at, given = event
        if row_id == FAULT:
            raise ValueError("a fault of a rule")
        if at is None:
            tables.table("t").drop(row_id)
        else:
            tables.table("t").put(row_id, {"state": at % 3, "at": at}, given=given)


FAULT = "3"
ENTRIES = st.lists(
    st.lists(
        st.tuples(st.sampled_from("0123"), st.integers(-9, 9) | st.none(), st.booleans()),
        max_size=4,
    ),
    max_size=8,
)


def _write(view: View, entries: list[list[tuple[str, int | None, bool]]]) -> list[bool]:
    """Apply entries; which of them took effect."""
    done = []
    for seq, events in enumerate(entries, 1):
        try:
            view.apply(Entry(seq, 0, 0, b"", True, [*events], {}), None)
            done.append(True)
        except ValueError:
            done.append(False)
    return done


def _all_of(view: View) -> Any:
    t = view.table("t")
    found = [sorted(d.doc_id for d in t.search(where("state") == n)) for n in range(3)]
    return dict(t.scan()), found, [d.doc_id for d in t.latest("at", 9)], view.digest()


@pytest.mark.feature("SY-09")
@given(ENTRIES, ENTRIES)
def test_trial_that_is_dropped_leaves_no_trace(before: Any, tried: Any) -> None:
    """Rows and indexes are as they were before it, whatever it has written, how often, and which
    of its rules failed in the middle; a trial that is kept comes to the same as none."""
    view, plain = View(_Writes()), View(_Writes())  # type: ignore[arg-type]
    for one in (view, plain):
        _write(one, before)
    was = _all_of(view)
    view.begin_trial()
    done = _write(view, tried)
    view.drop_trial()
    assert _all_of(view) == was
    view.begin_trial()
    assert _write(view, tried) == done == _write(plain, tried)
    view.keep_trial()
    assert _all_of(view) == _all_of(plain)
    for _ in range(2):  # what one trial has changed is none of the next one's
        was = _all_of(view)
        view.begin_trial()
        _write(view, before)
        view.drop_trial()
        assert _all_of(view) == was
        _write(view, before)


@pytest.mark.feature("SY-09")
def test_fold_that_is_stopped_leaves_no_half_of_an_entry() -> None:
    """Also where what comes through is no fault of a rule, in a trial and without one."""

    class Stopped(_Writes):
        def apply(self, tables: Any, event: Any) -> None:
            super().apply(tables, event)
            raise KeyboardInterrupt

    view = View(Stopped())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        _write(view, [[("0", 3, False)]])
    view.begin_trial()
    with pytest.raises(KeyboardInterrupt):
        _write(view, [[("0", 3, False)]])
    assert dict(view.table("t").scan()) == {}


def test_sorted_index_passes_over_what_is_no_number() -> None:
    """Rows of mixed kinds do not break an order."""
    index = SortedIndex(("at",))
    index.enter("a", {"at": "text"})
    index.enter("b", {})
    index.enter("c", {"at": 3})
    index.move("a", {"at": "text"}, None)
    assert index.last(5) == ["c"]


def test_storage_takes_whole_tables_and_what_is_none() -> None:
    """As a plain storage of TinyDB's it gives back what it was given."""
    store = RowStore({})
    store.writable = True
    assert store.read() is None
    store.write({"t": {"a": {"n": 1}, "b": {"n": 2}}, "other": [1, 2], "number": 3})
    assert store.read() == {"t": {"a": {"n": 1}, "b": {"n": 2}}, "other": [1, 2], "number": 3}
    store.write({"t": {"b": {"n": 3}}})
    assert store.read() == {"t": {"b": {"n": 3}}}
    store.write({})
    assert store.read() is None
    RowTable(store, "kept", persist_empty=True)
    assert store.read() == {"kept": {}}


def test_cached_query_follows_every_change() -> None:
    """A cache is off unless asked for; then no change goes past it."""
    store = RowStore({})
    store.writable = True
    table = RowTable(store, "t", cache_size=2)
    table.insert_multiple([{"n": 1}, {"n": 1}])
    query = where("n") == 1
    assert table.count(query) == table.count(query) == 2
    assert query in table._query_cache
    table.put("9", {"n": 1})
    assert [str(d.doc_id) for d in table.search(query)] == ["1", "2", "9"]
    found = table.search(query)
    found[0]["n"] = 7
    assert table.row("1") == {"n": 1}
    limit = 1
    by_code = where("n").test(lambda n: n == limit)
    unsure = where("n").map(lambda n: n) == 1
    assert table.count(by_code) == table.count(unsure) == 3
    assert unsure not in table._query_cache
    table.put("3", {"n": 5})
    assert [table.insert({"n": 5}) for _ in range(2)] == ["4", "5"]


@pytest.mark.parametrize("cache_size", [0, 2])
def test_row_that_goes_while_one_looks_is_passed_over(cache_size: int) -> None:
    """What `matching` has not reached yet may be dropped, with a cache or without; who changes a
    row that is not there is told."""
    store = RowStore({})
    store.writable = True
    t = RowTable(store, "t", cache_size=cache_size)
    for name in "abc":
        t.put(name, {"n": 1})
    for left in ("ac", "a"):
        found = t.matching(where("n") == 1)
        assert next(found).doc_id == "a"
        t.drop("b" if left == "ac" else "c")
        assert [doc.doc_id for doc in found] == [*left[1:]]
    with pytest.raises(KeyError):
        _Changes(t._rows)["b"]
