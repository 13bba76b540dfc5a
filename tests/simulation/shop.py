"""The little world that is simulated: sales with stock, cards that exist once, tickets that are printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event, Op

STOCK = 40


class Shop:
    """Kinds: ``sell`` (amount, and a card or none), ``print.start``, ``print.end`` of the server."""

    indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"jobs": (("state",), ())}

    def __init__(self, nodes: dict[bytes, bytes], operators: dict[bytes, bytes]) -> None:
        self.nodes_, self.operators = nodes, operators

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        body = op.body
        if op.kind == "sell":
            if context.operator is None:
                raise Refused("no-grant")
            if body.get("bad"):
                raise Refused("told-to")
            card = body["card"]
            if card and self.card_is_sold(tables, card):
                raise Refused("card-sold")
            return [["sold", 1, {**body, "id": op.key.hex()}]]
        if op.kind in ("print.start", "print.end") and context.desk:
            row = tables.table("jobs").peek(body["job"])
            if row is None:
                raise Refused("unknown-job")
            return [["job", 1, body]]
        raise Refused("unknown-kind")

    def card_is_sold(self, tables: Tables, card: str) -> bool:
        return tables.table("cards").peek(card) is not None

    def apply(self, tables: Tables, event: Event) -> None:
        name, _, body = event
        if name == "job":
            tables.table("jobs").put(body["job"], {"state": body["state"]})
            return
        tables.table("sales").put(body["id"], body)
        till = tables.table("sums").row("till") or {"money": 0, "stock": STOCK}
        till["money"] += body["amount"]
        till["stock"] -= 1
        tables.table("sums").put("till", till)
        if body["card"]:
            row = tables.table("cards").row(body["card"]) or {"sold": 0}
            row["sold"] += 1
            tables.table("cards").put(body["card"], row)
        tables.table("jobs").put(body["id"], {"state": "waiting"})

    def reapply(self, tables: Tables, event: Event) -> None:
        self.apply(tables, event)

    def nodes(self, tables: Tables) -> list[bytes]:
        return list(self.nodes_)

    def refused(
        self,
        tables: Tables,
        op: Op | None,
        code: str,
        details: Mapping[str, Any],
        seq: int,
        at_ms: int,
    ) -> None:
        tables.table("refusals").put(str(seq), {"code": code, "key": op.key.hex() if op else ""})

    def node_key(self, tables: Tables, node: bytes) -> bytes | None:
        return self.nodes_.get(node)

    def operator_key(self, tables: Tables, operator: bytes) -> bytes | None:
        return self.operators.get(operator)
