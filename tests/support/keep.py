"""The trivial domain that the engine is measured and simulated with: keep the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event, Op


class Keep:
    """Accepts ``order.keep`` with a body that has an ``id``; refuses ``refuse: true`` and unknown
    kinds."""

    indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}

    def __init__(self, nodes: dict[bytes, bytes], operators: dict[bytes, bytes] | None = None):
        self.nodes = nodes
        self.operators = operators or {}

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        if op.kind != "order.keep":
            raise Refused("unknown-kind", kind=op.kind)
        if op.body.get("refuse"):
            raise Refused("told-to")
        return [["kept", 1, op.body]]

    def apply(self, tables: Tables, event: Event) -> None:
        body = event[2]
        tables.table("orders").put(body["id"], body)

    def refused(
        self,
        tables: Tables,
        op: Op | None,
        code: str,
        details: Mapping[str, Any],
        seq: int,
        at_ms: int,
    ) -> None:
        tables.table("refusals").put(str(seq), {"code": code})

    def node_key(self, tables: Tables, node: bytes) -> bytes | None:
        return self.nodes.get(node)

    def operator_key(self, tables: Tables, operator: bytes) -> bytes | None:
        return self.operators.get(operator)
