"""Baskets outlive their page: a reload, a window that was closed, a node that was started again.

    page's clock ─▶ file in the node's folder ─▶ the next page, unless the one before is still shown

What is about to be sold is taken out of the file first: after a crash in between it would stand in
the basket again, and be sold twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakKeyDictionary

import msgspec

from node.api import Node
from ui.viewmodels.sell import Parked, SellModel

_log = logging.getLogger(__name__)
_kept = msgspec.json.Decoder(tuple[Parked | None, tuple[Parked, ...]])


class Keeper:
    """Keeps the baskets of one page; takes those of the one before when that is gone."""

    def __init__(self, node: Node, model: SellModel, shown: Callable[[], bool]) -> None:
        self._node, self._model, self._shown = node, model, shown
        self._written = b""
        before = _newest.get(node)
        if before is None:
            self._read()
        elif not before._shown():
            self._take(before)
        _newest[node] = self

    def keep(self) -> None:
        """Write down what stands in the baskets, where it is not written already."""
        newest = _newest[self._node]
        if newest is not self:
            if newest._shown():
                return
            self._take(newest)
            _newest[self._node] = self
        self._write(self._model.basket())

    def sell(self) -> None:
        """What is in the basket is being sold; the parked ones stay."""
        if self._written and _newest[self._node] is self:
            self._write(None)

    def _write(self, basket: Parked | None) -> None:
        some = basket is not None or self._model.parked
        data = msgspec.json.encode((basket, self._model.parked)) if some else b""
        if data == self._written:
            return
        try:
            self._node.keep_baskets(data)
            self._written = data
        except OSError as error:
            _log.warning("baskets cannot be kept: %s", error)

    def _read(self) -> None:
        data = self._node.kept_baskets()
        try:
            basket, parked = _kept.decode(data) if data else (None, ())
        except msgspec.DecodeError as error:
            _log.warning("kept baskets cannot be read: %s", error)
            return
        self._written = data
        self._model.adopt(basket, parked, self._node.clock.wall_ms())

    def _take(self, other: Keeper) -> None:
        theirs, self._written = other._model, other._written
        self._model.adopt(theirs.basket(), theirs.parked, self._node.clock.wall_ms())
        theirs.clear()
        theirs.parked = ()


_newest: WeakKeyDictionary[Node, Keeper] = WeakKeyDictionary()
"""The page of each node that was opened last."""
