"""Who did what, where and when: the server's own log, read backwards until enough is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sync.frames import ENTRIES, ERASED, read_entry
from sync.log import Log, Position
from sync.op import ENGINE_KINDS, GRANT_OPEN, OP_AGAIN, Op
from sync.view import decode_entry_op

Grants = Mapping[tuple[bytes, int], tuple[bytes, int]]
"""(chain, n) → (operator, until)."""


@dataclass(frozen=True, slots=True)
class Act:
    """One act as it stands in the log."""

    seq: int
    at_ms: int
    operator: str
    """Hex id; empty for what a node did by itself."""
    node: str
    kind: str
    accepted: bool
    code: str
    """Why it was refused; empty if it was not."""
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for; empty fields fit everything."""

    operator: str = ""
    node: str = ""
    kind: str = ""
    """A kind, or its beginning: ``order.``."""
    mentions: str = ""
    """A text that stands in a field: an order's or a customer's id, a product's code, a reason."""
    from_ms: int = 0
    to_ms: int = 1 << 62
    people_only: bool = True
    """Leave out what nodes do by themselves."""

    def fits(self, act: Act) -> bool:
        return (
            self.from_ms <= act.at_ms < self.to_ms
            and (not self.operator or act.operator == self.operator)
            and (not self.node or act.node == self.node)
            and act.kind.startswith(self.kind)
            and (bool(act.operator) or not self.people_only)
            and (not self.mentions or _mentions(act.body, self.mentions.casefold()))
        )


def acts(log: Log, grants: Grants, search: Search, before: int = 1 << 62) -> Iterator[Act]:
    """Acts with a seq below ``before`` that fit, the newest first. It reads files: not to be run on
    the event loop."""
    for start in log.starts():
        if start.n >= before:
            continue
        found = []
        for number, commit in log.commits(Position(start.number)):
            if number != start.number:
                break
            for frame in commit.frames:
                if frame[1] in ENTRIES and frame[1] != ERASED:
                    act = _act(frame, grants)
                    if act is not None and act.seq < before and search.fits(act):
                        found.append(act)
        yield from reversed(found)


def _act(frame: bytes, grants: Grants) -> Act | None:
    """The act of an entry; None for what the engine writes for itself."""
    entry = read_entry(frame)
    op: Op | None = decode_entry_op(entry)
    if op is None or (op.kind in ENGINE_KINDS and op.kind not in (GRANT_OPEN, OP_AGAIN)):
        return None
    held = grants.get((op.chain, op.n if op.kind == GRANT_OPEN else op.grant))
    return Act(
        seq=entry.seq,
        at_ms=entry.at_ms,
        operator=held[0].hex() if held else "",
        node=op.node.hex(),
        kind=op.kind,
        accepted=entry.accepted,
        code="" if entry.accepted else str(entry.outcome[0]),
        body=op.body,
    )


def _mentions(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        return any(_mentions(item, text) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_mentions(item, text) for item in value)
    if isinstance(value, bytes):
        return text in value.hex()
    return text in str(value).casefold()
