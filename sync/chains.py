"""What the engine writes into chains by itself: where one begins, that one is frozen, an op again.

node/epoch 1:  open ─ op ─ op ─ op A          a copy of this process went on alone, and the
                             ╰─ op B          server has A: this branch is frozen with B in it
node/epoch 2:  open ─ frozen(epoch 1) ─ again(op B) ─ op …
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sync.errors import Malformed, Refused
from sync.grant import read_grant
from sync.identity import Verifier
from sync.op import CHAIN_BYTES, ENGINE_KINDS, NODE_BYTES, Head, Op, decode_op

Place = tuple[bytes, int, bytes]
"""Chain, n and head: where a chain stood."""


def place_body(place: Place | None) -> list[Any] | None:
    return list(place) if place else None


def _read_place(value: Any) -> Place:
    match value:
        case [bytes(chain), int(n), bytes(head)] if (
            len(chain) == CHAIN_BYTES and n > 0 and len(head) == 32
        ):
            return chain, n, head
    raise Refused("bad-field", what="place of a chain")


def read_open(op: Op) -> Place | None:
    """Where a station says its chain before this one ended, or `Refused` ``bad-field``."""
    if set(op.body) != {"before"}:  # only the server names a canonical head
        raise Refused("bad-field", what="chain.open")
    before = op.body["before"]
    return None if before is None else _read_place(before)


def frozen_body(chain: bytes, head: Head) -> dict[str, Any]:
    """That a branch of a chain ends here: the server has another op in one of its places."""
    return {"branch": [chain, *head]}


def read_frozen(op: Op) -> Place:
    """The end of a branch that its author has frozen, or `Refused` ``bad-field``."""
    if set(op.body) != {"branch"}:
        raise Refused("bad-field", what="chain.frozen")
    place = _read_place(op.body["branch"])
    if place[0][:NODE_BYTES] != op.node:
        raise Refused("bad-field", what="chain.frozen")
    return place


def again_body(op: Op, grant: bytes) -> dict[str, Any]:
    """An op of a frozen branch as it was signed, and the grant it was made under, in a new one."""
    return {"op": op.raw, "grant": grant}


def read_inner(op: Op) -> tuple[Op, bytes]:
    """The op inside an `op.again` and its grant, unchecked; `Refused` or `Malformed`."""
    raw, grant = op.body.get("op"), op.body.get("grant")
    if set(op.body) != {"op", "grant"} or type(raw) is not bytes or type(grant) is not bytes:
        raise Refused("bad-field", what="op.again")
    return decode_op(raw), grant


def read_again(
    op: Op,
    cafe: bytes,
    keys_of: Callable[[bytes], Sequence[bytes]],
    verify: Verifier,
) -> tuple[Op, bytes | None]:
    """The op inside an `op.again` and who acted in it; `Refused` or `Malformed` if it is not its
    author's, or not under a grant of its own chain."""
    inner, grant = read_inner(op)
    if inner.node != op.node or inner.key != op.key or inner.kind in ENGINE_KINDS:
        raise Malformed("bad-id")
    if not inner.grant:
        return inner, None
    opened = decode_op(grant)
    if (opened.chain, opened.n) != (inner.chain, inner.grant):
        raise Refused("no-grant")
    operator = opened.body.get("operator")
    keys = keys_of(operator) if type(operator) is bytes else ()
    held = read_grant(opened, cafe, keys, verify)
    if inner.mono_ms > held.until_mono_ms:
        raise Refused("no-grant")
    return inner, held.operator
