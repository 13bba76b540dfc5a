"""The catalogue in its order, ready to be searched at each key."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

from node.api import Node, catalog


@dataclass(slots=True)
class _Shelf:
    """All products as they were at one version of their table."""

    version: int
    products: list[tuple[str, str, str, bool]]
    """(sku, text to search in, category, whether it is on sale), in the catalogue's order."""
    categories: list[str]
    """Names of those with something on sale, in that order."""
    menu: list[str]
    """Of these, those with something that can be ordered from a PC."""
    texts: str
    """All texts to search in, a line each: one look through it is quicker than one a product."""
    starts: list[int]
    """Where each product's line begins in ``texts``."""

    def fitting(self, words: list[str]) -> Iterator[int]:
        """Places of the products whose text has every word, in the catalogue's order."""
        if not words:
            yield from range(len(self.products))
            return
        longest, end = max(words, key=len), 0
        while (found := self.texts.find(longest, end)) >= 0:
            at = bisect_right(self.starts, found) - 1
            text = self.products[at][1]
            end = self.starts[at] + len(text) + 1
            if all(word in text for word in words):
                yield at


def can_be_ordered(row: Mapping[str, Any]) -> bool:
    """From a PC: products and services with a price."""
    return row["kind"] in ("product", "service") and not row["open_price"]


_shelves: WeakKeyDictionary[Node, _Shelf] = WeakKeyDictionary()


def _shelf(node: Node) -> _Shelf:
    table = node.tables.table("products")
    known = _shelves.get(node)
    if known is None or known.version != table.version:
        rows = sorted((row for _, row in table.scan()), key=lambda row: row["order"])
        on_sale = [row for row in rows if row["category"] and row["active"]]
        products = [
            (r["sku"], r["search"], r["category"], r["active"])
            for r in rows
            if r["kind"] != "pc_time"  # that is sold on the floor
        ]
        lengths = (len(text) + 1 for _, text, _, _ in products)
        known = _shelves[node] = _Shelf(
            version=table.version,
            products=products,
            categories=list(dict.fromkeys(row["category"] for row in on_sale)),
            menu=list(dict.fromkeys(row["category"] for row in on_sale if can_be_ordered(row))),
            texts="\n".join(text for _, text, _, _ in products),
            starts=list(accumulate(lengths, initial=0))[:-1],
        )
    return known


def find(
    node: Node,
    query: str,
    category: str = "",
    *,
    most: int,
    all_of_them: bool = False,
    fits: Callable[[Mapping[str, Any]], bool] | None = None,
) -> tuple[list[Mapping[str, Any]], bool]:
    """(products that fit, at most so many; whether there are more), in the catalogue's order;
    ``all_of_them`` also those that are off sale, ``fits`` says which rows beside."""
    words, table = catalog.fold(query).split(), node.tables.table("products")
    found: list[Mapping[str, Any]] = []
    known = _shelf(node)
    for at in known.fitting(words):
        sku, _, of, active = known.products[at]
        if (category and of != category) or not (active or all_of_them):
            continue
        row = table.peek(sku)
        assert row is not None
        if fits is not None and not fits(row):
            continue
        if len(found) == most:
            return found, True
        found.append(row)
    return found, False


def categories(node: Node) -> list[str]:
    """Names of the categories, in the order in which the catalogue has them."""
    return _shelf(node).categories


def menu_categories(node: Node) -> list[str]:
    """Those with something that can be ordered from a PC."""
    return _shelf(node).menu
