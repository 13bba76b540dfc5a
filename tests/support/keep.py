"""The trivial domain of the benchmarks, with operators and a way to be refused, for the engine's tests."""

from __future__ import annotations

from node.bench import Documents
from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event, Op


class Keep(Documents):
    """Keeps documents; refuses those that say ``refuse: true``. Prices are for everybody to read; people
    can be forgotten."""

    public = frozenset({"price.set"})

    def __init__(
        self, nodes: dict[bytes, bytes], operators: dict[bytes, bytes] | None = None
    ) -> None:
        super().__init__(nodes)
        self.operators = operators or {}
        self.revoked: set[bytes] = set()
        self.customers: set[bytes] = set()
        """Nodes that may read only what is public and their own."""

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        if op.body.get("refuse"):
            raise Refused("told-to")
        if op.kind == "price.set":
            return [["priced", 1, op.body]]
        if op.kind == "person.keep":
            return [["met", 1, op.body]]
        if op.kind == "person.forget":
            return [["forgotten", 1, op.body]]
        return super().decide(tables, op, context)

    def apply(self, tables: Tables, event: Event) -> None:
        if event[0] == "priced":
            tables.table("prices").put(event[2]["id"], event[2])
        elif event[0] == "met":
            tables.table("people").put(event[2]["id"], event[2])
        elif event[0] == "forgotten":
            tables.table("people").drop(event[2]["id"])
        else:
            super().apply(tables, event)

    def reads_all(self, tables: Tables, node: bytes) -> bool:
        return node not in self.customers

    def blobs(self, tables: Tables) -> list[bytes]:
        rows = tables.table("orders").scan()
        return [bytes.fromhex(row["picture"]) for _, row in rows if "picture" in row]

    def is_revoked(self, tables: Tables, node: bytes) -> bool:
        return node in self.revoked

    def operator_keys(self, tables: Tables, operator: bytes) -> list[bytes]:
        return [self.operators[operator]] if operator in self.operators else []
