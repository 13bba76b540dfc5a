"""Baskets outlive their page: a reload, a window that was closed, a node that was started again.

    pages of a node ─▶ one file in its folder ─▶ the next page takes what no page shows any more

What is being sold stands in no basket that is written down or taken: after a crash it would be sold
twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

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
    written: bytes = b""


_shelves: WeakKeyDictionary[Node, _Shelf] = WeakKeyDictionary()


class Keeper:
    """Keeps the baskets of one page until it is over, and begins with what others have left.

    ``shown()`` tells whether somebody sees the page. One that a browser left without a word may
    stay for an hour: a new page takes what it has.
    """

    def __init__(self, node: Node, model: SellModel, shown: Callable[[], bool]) -> None:
        self._node, self._model, self._shown = node, model, shown
        shelf = _shelves.get(node)
        if shelf is None:
            shelf = _shelves[node] = _read(node)
        left, shelf.left = shelf.left, []
        left += [page._leave() for page in shelf.pages if not page._shown()]
        for basket, parked in reversed(left):  # the newest basket is the one that goes on
            model.adopt(basket, parked, node.clock.wall_ms())
        shelf.pages.append(self)

    def keep(self) -> None:
        """Write down what stands in the node's baskets, where it is not written already."""
        shelf = _shelves[self._node]
        kept = [*shelf.left, *(page._kept() for page in shelf.pages)]
        some = [one for one in kept if one != NOTHING]
        data = msgspec.json.encode(some) if some else b""
        if data != shelf.written:
            try:
                self._node.keep_baskets(data)
                shelf.written = data
            except OSError as error:
                _log.warning("baskets cannot be kept: %s", error)

    def end(self) -> None:
        """The page is over: what it has is for the next one."""
        shelf = _shelves[self._node]
        if self in shelf.pages:
            shelf.pages.remove(self)
            if (left := self._leave()) != NOTHING:
                shelf.left.append(left)
        self.keep()

    def _kept(self) -> Kept:
        return None if self._model.busy else self._model.basket(), self._model.parked

    def _leave(self) -> Kept:
        kept = self._kept()
        self._model.parked = ()
        if not self._model.busy:
            self._model.clear()
        return kept


def _read(node: Node) -> _Shelf:
    try:
        data = node.kept_baskets()
        return _Shelf(left=_pages.decode(data) if data else [], written=data)
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("kept baskets cannot be read: %s", error)
        return _Shelf()
