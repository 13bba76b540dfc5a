"""A grant: an operator's own signature that they act at this node, from this op on.

Made at sign-in with the operator's key, which only their password unwraps, so a patched station
cannot speak for somebody who never signed in there. It works offline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sync.errors import Refused
from sync.identity import Signer, Verifier, grant_text
from sync.op import Op

OPERATOR_BYTES = 16
NO_LIMIT = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Grant:
    """Operator ``operator`` acts in ``chain`` from op ``from_n`` on, until a monotonic instant."""

    operator: bytes
    chain: bytes
    from_n: int
    until_mono_ms: int
    """On the node's monotonic clock (the grant and its ops share one boot): no wall clock can
    stretch it."""
    signature: bytes


def sign_grant(
    key: Signer, cafe: bytes, operator: bytes, chain: bytes, from_n: int, until_mono_ms: int
) -> dict[str, Any]:
    """Body of a `grant.open` op."""
    text = grant_text(cafe, operator, chain, from_n, until_mono_ms)
    return {"operator": operator, "until": until_mono_ms, "signature": key.sign(text)}


def read_grant(op: Op, cafe: bytes, keys: Sequence[bytes], verify: Verifier) -> Grant:
    """The grant in a `grant.open` op, or `Refused`: ``bad-grant``, ``unknown-operator``. ``keys``
    are the operator's: what an earlier one has signed may come late."""
    body = op.body
    operator, until, signature = body.get("operator"), body.get("until"), body.get("signature")
    if (
        set(body) != {"operator", "until", "signature"}
        or type(operator) is not bytes
        or len(operator) != OPERATOR_BYTES
        or type(until) is not int
        or not 0 <= until <= NO_LIMIT
        or type(signature) is not bytes
        or len(signature) != 64
    ):
        raise Refused("bad-grant")
    if not keys:
        raise Refused("unknown-operator")
    text = grant_text(cafe, operator, op.chain, op.n, until)
    if not any(verify(public, signature, text) for public in reversed(keys)):
        raise Refused("bad-grant")
    return Grant(operator, op.chain, op.n, until, signature)


def operator_of(op: Op, grants: dict[tuple[bytes, int], tuple[bytes, int]]) -> bytes | None:
    """Who acts in ``op`` by the grants seen so far, ``{(chain, n): (operator, until)}``.

    None when the op claims nobody. `Refused` ``no-grant`` when it claims a grant that does not
    hold.
    """
    if not op.grant:
        return None
    known = grants.get((op.chain, op.grant))
    if known is None or op.mono_ms > known[1]:
        raise Refused("no-grant")
    return known[0]
