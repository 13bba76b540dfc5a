"""The trivial domain of the benchmarks, with operators and a way to be refused, for the engine's tests."""

from __future__ import annotations

from node.bench import Documents
from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event, Op


class Keep(Documents):
    """Keeps documents; refuses those that say ``refuse: true``."""

    def __init__(
        self, nodes: dict[bytes, bytes], operators: dict[bytes, bytes] | None = None
    ) -> None:
        super().__init__(nodes)
        self.operators = operators or {}
        self.revoked: set[bytes] = set()

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        if op.body.get("refuse"):
            raise Refused("told-to")
        return super().decide(tables, op, context)

    def is_revoked(self, tables: Tables, node: bytes) -> bool:
        return node in self.revoked

    def operator_key(self, tables: Tables, operator: bytes) -> bytes | None:
        return self.operators.get(operator)
