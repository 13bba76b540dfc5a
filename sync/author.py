"""A node as the author of ops: its chain since this start, and who is signed in at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sync.errors import Refused
from sync.grant import sign_grant
from sync.op import KEY_BYTES, Head, Op, encode_op
from sync.protocol import NodeKeys, Now, SignIn

EPOCH_BYTES = 8


class Author:
    """Makes the ops of one chain and knows under which grant each operator acts in it."""

    def __init__(self, keys: NodeKeys, random: Callable[[int], bytes]) -> None:
        self._keys, self._random = keys, random
        self._operators: dict[bytes, SignIn] = {}
        self.renew()

    def renew(self) -> None:
        """Begin a chain that nobody has seen: none of the ids of the last one is used again."""
        self.chain = self._keys.node + self._random(EPOCH_BYTES)
        self.head = Head()
        self._grants: dict[bytes, int] = {}

    def op(
        self,
        now: Now,
        base: int,
        kind: str,
        version: int,
        body: dict[str, Any],
        key: bytes | None = None,
        grant: int = 0,
    ) -> Op:
        """The next op of the chain, with a fresh key unless one is given; `Malformed` for a body
        that no decoder would take. It counts once `wrote` is told."""
        return encode_op(
            chain=self.chain,
            n=self.head.n + 1,
            kind=kind,
            version=version,
            body=body,
            grant=grant,
            base=base,
            key=key or self._random(KEY_BYTES),
            wall_ms=now.wall_ms,
            mono_ms=now.mono_ms,
            boot=self._keys.boot,
        )

    def wrote(self, op: Op) -> None:
        self.head = self.head.next(op.raw)

    # --- who acts ------------------------------------------------------------

    def sign_in(self, event: SignIn) -> None:
        self._operators[event.operator] = event
        self._grants.pop(event.operator, None)

    def grant_of(self, operator: bytes) -> int | None:
        """``n`` of the grant under which they act in this chain."""
        return self._grants.get(operator)

    def grant_body(self, operator: bytes) -> dict[str, Any]:
        """Body of a grant as the next op of the chain; `Refused` ``not-signed-in``."""
        signed_in = self._operators.get(operator)
        if signed_in is None:
            raise Refused("not-signed-in")
        return sign_grant(
            signed_in.key,
            self._keys.cafe,
            operator,
            self.chain,
            self.head.n + 1,
            signed_in.until_mono_ms,
        )

    def granted(self, operator: bytes) -> int:
        """The op just written is their grant."""
        self._grants[operator] = self.head.n
        return self.head.n

    def grant_refused(self, op: Op) -> None:
        """The server refused this grant: whoever acts next signs a fresh one."""
        if op.chain == self.chain:
            self._grants = {who: n for who, n in self._grants.items() if n != op.n}
