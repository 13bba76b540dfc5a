"""The View: tables and registers, folded from the canonical log, with what is still pending on top.

    folded entries ──▶ tables, keys, heads, grants         cursor = seq of the last one folded
    own pending ops ──▶ the same tables, each with an undo list, the newest on top

It is never the truth: it can be thrown away and folded again to the same digest.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from sync.codec import canonical, pack
from sync.domain import Domain
from sync.errors import Malformed
from sync.history import RECOVERED, Epoch, begins_epoch
from sync.op import (
    CANON_CHECKED,
    CANON_ERASED,
    CANON_RESTORED,
    CHAIN_OPEN,
    ENGINE_KINDS,
    GRANT_OPEN,
    ZERO_HEAD,
    Entry,
    Event,
    Head,
    Op,
    decode_op,
    link,
    place_of,
    sha256,
)
from sync.table import Kept, Rows, RowStore, RowTable, Undo

_log = logging.getLogger(__name__)
ANYWHERE = -1
"""For a seq: wherever the entry stands by now."""


class ChainHead(NamedTuple):
    """What is known of a chain: where it ends, and the highest base its author has named."""

    n: int
    hash: bytes
    base: int


class _Tables(dict[str, RowTable]):
    """The tables of a store that were asked for."""

    def __init__(self, store: RowStore) -> None:
        super().__init__()
        self._store = store

    def __missing__(self, name: str) -> RowTable:
        table = self[name] = RowTable(self._store, name)
        return table


class View:
    """Tables (`table`) and the registers that the engine itself needs."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.store = RowStore(domain.indexes)
        self._tables = _Tables(self.store)
        self.table: Callable[[str], RowTable] = self._tables.__getitem__
        self.cursor = 0
        self.keys: dict[bytes, int] = {}
        """Key of an effect → seq of the entry that had it; kept for ever."""
        self.chains: dict[bytes, ChainHead] = {}
        self.grants: dict[tuple[bytes, int], tuple[bytes, int]] = {}
        """(chain, n) → (operator, until on the node's monotonic clock)."""
        self.epochs: list[Epoch] = []
        """Lives of the server, in their order."""
        self.restored_ms = 0
        """When the server found out last that it had lost a part of its history; 0 if never."""
        self.checkpoint = Head()
        """All up to here is also on another disk of the server's, or in a backup."""
        self.unfolded: dict[int, bool] = {}
        """Entries that this build could not fold (bugs, or a newer server), and whether they were
        accepted. Such a view is never saved."""
        self.unshown = 0
        """How often a pending op could not be shown: what it rests on is gone."""
        self.to_erase: set[tuple[int, tuple[bytes, int]]] = set()
        """(seq, place of the op) of entries whose bodies are to be taken out of our logs: seq is 0
        if that is done in the canonical one, `ANYWHERE` if the entry has moved since. Until it is,
        the view is not saved: the next start hears of it again."""
        self.erased: dict[bytes, list[tuple[bytes, int]]] = {}
        """Keys whose bodies were taken out → places of the ops that named them."""
        self._pending: deque[list[Undo]] = deque()
        self._trial: dict[bytes, ChainHead | None] | None = None
        """Chains that a trial has changed, as they were before it."""
        self._trial_rows: dict[tuple[Rows, str], Kept | None] = {}
        """Rows that it has changed, likewise."""
        self._trial_from: tuple[Any, ...] = ()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy's tables are its own."""
        self.__dict__.update(state)
        self.table = self._tables.__getitem__

    # --- folding what is canonical -------------------------------------------

    def fold(
        self, entry: Entry, op: Op | None, *, effects: bool = True, head: bytes | None = None
    ) -> None:
        """Fold the next entry. ``op`` is its decoded op, None if malformed.

        ``head`` is the hash of its chain behind it, if the caller knows it already.

        ``effects=False`` leaves the tables alone: they already hold the same events as pending.
        An entry that this build's rules cannot fold (it came from another one) changes no table,
        is noted in `unfolded`, and blocks nothing.
        """
        if effects:
            try:
                self.apply(entry, op)
            except Exception:
                _log.exception("entry %d cannot be folded", entry.seq)
                self.unfolded[entry.seq] = entry.accepted
        self.register(entry, op)
        place = place_of(entry, op)
        if place is None:
            self.unfolded[entry.seq] = entry.accepted
            return
        chain, n = place
        known = self.chains.get(chain)
        if head is None:
            digest = entry.note.get("erased") or sha256(entry.op_raw)
            head = link(known.hash if known else ZERO_HEAD, digest)
        self.advance(chain, n, head, op.base if op and entry.accepted else 0)

    def apply(self, entry: Entry, op: Op | None) -> None:
        """First part of `fold`: what the entry does to the tables. Whatever the domain's rules
        raise leaves them as they were."""
        store = self.store
        undo: list[Undo] = []
        store.undo, store.writable = undo, True
        try:
            if entry.accepted:
                fold = self.domain.reapply if RECOVERED in entry.note else self.domain.apply
                for event in entry.outcome:
                    fold(self, event)
                if op is not None and op.kind == CANON_ERASED:
                    for key, _ in op.body["keys"]:
                        self.domain.erased(self, key)
            else:
                code, details = entry.outcome
                self.domain.refused(self, op, code, details, entry.seq, entry.at_ms)
        except BaseException:  # also who stops us: no half of an entry stays
            store.take_back(undo)
            raise
        finally:
            store.undo, store.writable = None, False
        if self._trial is not None:
            for rows, row_id, old in undo:
                self._trial_rows.setdefault((rows, row_id), old)

    def register(self, entry: Entry, op: Op | None) -> None:
        """Second part: the cursor moves on, and key, grant and epoch are remembered."""
        assert entry.seq > self.cursor, (entry.seq, self.cursor)
        self.cursor = entry.seq
        if op is not None:
            self.keys.setdefault(op.key, entry.seq)
            if op.kind in ENGINE_KINDS and entry.accepted:
                self._register_own(entry, op)
        elif "key" in entry.note:  # erased
            self.keys.setdefault(entry.note["key"], entry.seq)
            self.to_erase.add((0, (entry.note["chain"], entry.note["n"])))

    def _register_own(self, entry: Entry, op: Op) -> None:
        if op.kind == GRANT_OPEN:
            self.grants[(op.chain, op.n)] = (op.body["operator"], op.body["until"])
        elif op.kind == CANON_RESTORED:
            self.restored_ms = max(self.restored_ms, entry.at_ms)
        elif op.kind == CANON_CHECKED and RECOVERED not in entry.note:
            self.checkpoint = Head(op.body["seq"], op.body["hash"])
        elif op.kind == CANON_ERASED:
            for key, bodies in op.body["keys"]:
                self.erased.setdefault(key, [(chain, n) for _, chain, n in bodies])
                for seq, chain, n in bodies:
                    moved = RECOVERED in entry.note
                    self.to_erase.add((ANYWHERE if moved else seq, (chain, n)))
        elif op.kind == CHAIN_OPEN and begins_epoch(entry, op):
            self.epochs.append(Epoch(op.chain, entry.seq, op.body["canon"][1]))

    def jump(self, seq: int) -> None:
        """All up to ``seq`` is folded; what was not, this node may not read."""
        assert seq >= self.cursor, (seq, self.cursor)
        self.cursor = seq

    def advance(self, chain: bytes, n: int, head: bytes, base: int) -> None:
        """Third part, for one entry or for a run at once: how far a chain has come."""
        known = self.chains.get(chain)
        if known and known.base > base:
            base = known.base
        if self._trial is not None:
            self._trial.setdefault(chain, known)
        self.chains[chain] = ChainHead(n, head, base)

    # --- a trial: fold, and take it back if the disk refuses -----------------

    def begin_trial(self) -> None:
        """Remember every change until `keep_trial` or `drop_trial`."""
        assert self._trial is None and not self._pending
        self._trial = {}
        self._trial_from = (
            len(self.keys),
            len(self.grants),
            len(self.erased),
            len(self.epochs),
            self.cursor,
            self.restored_ms,
            self.checkpoint,
            set(self.to_erase),
        )

    def keep_trial(self) -> None:
        self._trial = None
        self._trial_rows.clear()

    def drop_trial(self) -> None:
        assert self._trial is not None
        self.store.take_back([(*at, old) for at, old in self._trial_rows.items()])
        self._trial_rows.clear()
        for chain, known in self._trial.items():
            if known is None:
                del self.chains[chain]
            else:
                self.chains[chain] = known
        self._trial = None
        keys, grants, erased, epochs, self.cursor, *rest = self._trial_from
        self.restored_ms, self.checkpoint, self.to_erase = rest
        while len(self.keys) > keys:  # these only grow, and a dict keeps its order
            self.keys.popitem()
        while len(self.grants) > grants:
            self.grants.popitem()
        while len(self.erased) > erased:
            self.erased.popitem()
        del self.epochs[epochs:]

    # --- what is pending -----------------------------------------------------

    def push(self, events: list[Event]) -> bool:
        """Show one more pending op on top. False if that cannot be: then it changes no table."""
        store = self.store
        undo: list[Undo] = []
        store.undo, store.writable = undo, True
        try:
            for event in events:
                self.domain.apply(self, event)
        except Exception:
            _log.exception("a pending op cannot be shown")
            store.take_back(undo)
            undo.clear()
            self.unshown += 1
            return False
        finally:
            self._pending.append(undo)
            store.undo, store.writable = None, False
        return True

    def pop(self) -> None:
        """Take back the newest pending op."""
        self.store.take_back(self._pending.pop())

    def settle(self) -> None:
        """The oldest pending op came back just as it was shown: it is canonical now."""
        self._pending.popleft()

    @property
    def pending(self) -> int:
        return len(self._pending)

    # --- what it is ----------------------------------------------------------

    def digest(self) -> bytes:
        """SHA-256 over all rows of all tables, in an order of their own; needs nothing to be
        pending."""
        assert not self._pending
        total = hashlib.sha256()
        for name in sorted(self.store.tables):
            for row_id, row in sorted(self.store.tables[name].scan()):
                total.update(sha256(pack([name, row_id, canonical(row)])))
        return total.digest()

    def registers(self) -> dict[str, list[Any]]:
        """What the engine knows beside the tables, as plain rows; needs nothing to be pending."""
        assert not self._pending
        return {
            "keys": [*zip(self.keys, self.keys.values(), strict=True)],
            "chains": [(c, *head) for c, head in self.chains.items()],
            "grants": [(c, n, o, u) for (c, n), (o, u) in self.grants.items()],
            "erased": [*zip(self.erased, self.erased.values(), strict=True)],
            "epochs": list(self.epochs),
            "restored": [self.restored_ms],
            "checkpoint": [*self.checkpoint],
        }

    def take_register(self, name: str, rows: list[Any]) -> None:
        """Take rows that `registers` gave; `Malformed` for a name that it never gives."""
        match name:
            case "keys":
                self.keys.update(rows)
            case "chains":
                self.chains.update((c, ChainHead(n, h, base)) for c, n, h, base in rows)
            case "grants":
                self.grants.update(((c, n), (o, u)) for c, n, o, u in rows)
            case "erased":
                self.erased.update((key, [(c, n) for c, n in places]) for key, places in rows)
            case "restored":
                (self.restored_ms,) = rows
            case "checkpoint":
                self.checkpoint = Head(*rows)
            case "epochs":
                self.epochs += (Epoch(*row) for row in rows)
            case _:
                raise Malformed("bad-type", f"register {name}")

    def dump(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "cursor": self.cursor,
            "tables": {name: table.packed for name, table in self.store.tables.items()},
            "registers": self.registers(),
        }

    def load(self, dump: dict[str, Any]) -> None:
        """Become what `dump` gave."""
        tables: dict[str, dict[str, bytes]] = dump["tables"]
        for name, packed in tables.items():
            self.store.rows(name).load(packed)
        for name, register in dump["registers"].items():
            self.take_register(name, register)
        self.cursor = dump["cursor"]

    def adopt(self, other: View) -> None:
        """Become what ``other`` is, with nothing pending; tables that were handed out stay the
        same objects. ``other`` is given away."""
        assert self._trial is None and not other._pending
        for name in {*self.store.tables, *other.store.tables}:
            self.store.rows(name).load(other.store.rows(name).packed)
            self.store.changed.add(name)
        self.cursor, self.unfolded, self.epochs = other.cursor, other.unfolded, other.epochs
        self.keys, self.chains, self.grants = other.keys, other.chains, other.grants
        self.restored_ms, self.checkpoint = other.restored_ms, other.checkpoint
        self.to_erase, self.erased = other.to_erase, other.erased
        self._pending.clear()


def decode_entry_op(entry: Entry) -> Op | None:
    """The op of an entry; None if its bytes are no op (then it was refused as malformed)."""
    if "chain" in entry.note:  # whatever these bytes say, they stood somewhere else
        return None
    try:
        return decode_op(entry.op_raw, trusted=entry.accepted)
    except Malformed:
        return None
