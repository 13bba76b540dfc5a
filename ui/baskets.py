"""Baskets outlive their page: a reload, a window that was closed, a node that was started again.

    pages of a node ─▶ one file in its folder ─▶ the next page takes what no page shows any more

Each basket has the key of its sale. One that stands somewhere although it was sold, because its
page was loaded again meanwhile or the file was not written since, is known by its order and goes;
and whoever is quicker than that sells nothing, for the log takes a key once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary, ref

import msgspec

from node.api import Node
from ui.viewmodels.sell import Parked, SellModel

_log = logging.getLogger(__name__)
Kept = tuple[Parked | None, tuple[Parked, ...]]
"""What stands in a page: its basket, and those that are parked."""
NOTHING: Kept = (None, ())
_pages = msgspec.json.Decoder(list[Kept])


@dataclass
class _Shelf:
    """Everything of one node: what its pages have, and what of them is gone."""

    pages: list[Keeper] = field(default_factory=list)
    left: list[Kept] = field(default_factory=list)
    """Of pages that are over, the newest last."""
    written: bytes | None = b""
    """What the file holds; None if that is not sure."""


_shelves: WeakKeyDictionary[Node, _Shelf] = WeakKeyDictionary()


def keep(node: Node) -> None:
    """Write down what stands in the node's baskets, where it is not written already."""
    shelf = _shelves.get(node)
    if shelf is None:
        return
    for page in shelf.pages:
        page.drop_sold(node)
    kept = [*shelf.left, *(page.kept() for page in shelf.pages)]
    some = [one for one in kept if one != NOTHING]
    data = msgspec.json.encode(some) if some else b""
    if data != shelf.written:
        shelf.written = None
        try:
            node.keep_baskets(data)
            shelf.written = data
        except OSError as error:
            _log.warning("baskets cannot be kept: %s", error)


class Keeper:
    """Keeps the baskets of one page until it is over, and begins with what others have left.

    ``shown()`` tells whether somebody sees the page. One that a browser left without a word may
    stay for an hour: a new page takes what it has.
    """

    def __init__(self, node: Node, model: SellModel, shown: Callable[[], bool]) -> None:
        self._node, self._model, self._shown = ref(node), model, shown
        shelf = _shelves.get(node)
        if shelf is None:
            shelf = _shelves[node] = _read(node)
        left, shelf.left = shelf.left, []
        left += [page.leave() for page in shelf.pages if not page._shown()]
        for basket, parked in reversed(left):  # the last one's basket goes on, others are parked
            model.adopt(basket, parked, node.clock.wall_ms())
        self.drop_sold(node)
        shelf.pages.append(self)

    def keep(self) -> None:
        node = self._node()
        if node is not None:
            keep(node)

    def end(self) -> None:
        """The page is over: what it has is for the next one."""
        node = self._node()
        shelf = _shelves.get(node) if node is not None else None
        if shelf is None or self not in shelf.pages:
            return
        shelf.pages.remove(self)
        if (left := self.leave()) != NOTHING:
            shelf.left.append(left)
        self.keep()

    def kept(self) -> Kept:
        return self._model.basket(), self._model.parked

    def drop_sold(self, node: Node) -> None:
        """What was sold from another page, or in another life of this process, stands here no
        more."""
        orders = node.tables.table("orders")
        if not self._model.busy and orders.peek(self._model.key) is not None:
            self._model.clear()  # who is selling it clears it, but for what came in meanwhile
        unsold = tuple(one for one in self._model.parked if orders.peek(one.key) is None)
        if len(unsold) < len(self._model.parked):
            self._model.parked = unsold

    def leave(self) -> Kept:
        """What the page has; from now on another one has it."""
        kept = self.kept()
        self._model.parked = ()
        self._model.clear()
        return kept


def _read(node: Node) -> _Shelf:
    try:
        data = node.kept_baskets()
        left = _pages.decode(data) if data else []
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("kept baskets cannot be read: %s", error)
        return _Shelf(written=None)
    return _Shelf(left=left, written=data)
