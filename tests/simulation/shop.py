"""The little world that is simulated: sales with stock, cards that exist once, tickets that are printed.

The newer of its two versions counts points for some sales, by an event that the older one cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from tinydb import where

from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event, Op

STOCK = 40


class Shop:
    """Kinds: ``sell`` (amount, and a card or none); ``contact``, data of a person; ``picture``, which
    names a blob; of the server's desk ``print.start``, ``print.end``,
    ``enrol``, ``revoke``, and, for everybody to read, ``price``,
    ``forget`` and ``picture``."""

    newer = False
    public = frozenset({"price", "forget", "picture"})
    screens: AbstractSet[bytes] = frozenset()
    """Nodes that may read only what is public and their own."""

    indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {"jobs": (("state",), ())}

    def __init__(self, nodes: dict[bytes, bytes], operators: dict[bytes, bytes]) -> None:
        self.nodes_, self.operators = nodes, operators

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        body = op.body
        if op.kind == "sell":
            if context.operator is None:
                raise Refused("no-grant")
            if body.get("bad") and context.server:
                raise Refused("told-to")
            card = body["card"]
            if card and self.card_is_sold(tables, card):
                raise Refused("card-sold")
            sold: Event = ["sold", 1, {**body, "id": op.key.hex()}]
            if self.newer and body["amount"] % 3 == 0:
                return [sold, ["points", 1, {"points": body["amount"] // 3}]]
            return [sold]
        if op.kind in ("enrol", "revoke") and context.desk:
            return [["node", 1, {**body, "revoked": op.kind == "revoke"}]]
        if op.kind == "contact":
            return [["contact", 1, {**body, "id": op.key.hex()}]]
        if op.kind == "picture":
            return [["picture", 1, op.body]]
        if op.kind == "forget" and context.desk:
            return [["forgot", 1, body]]
        if op.kind == "price" and context.desk:
            return [["priced", 1, body]]
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
        if name == "contact":
            tables.table("contacts").put(body["id"], body)
            return
        if name == "picture":
            tables.table("pictures").put(body["digest"], body)
            return
        if name == "forgot":
            tables.table("contacts").drop(body["id"])
            return
        if name == "priced":
            tables.table("prices").put(body["item"], body)
            return
        if name == "node":
            tables.table("nodes").put(body["node"].hex(), body)
            return
        if name == "points":
            if not self.newer:
                raise Refused("unknown-event")
            row = tables.table("sums").row("points") or {"points": 0}
            tables.table("sums").put("points", {"points": row["points"] + body["points"]})
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
        """What was sold before the restore is not printed again by itself; a card that was sold meanwhile
        is a person's to sort out."""
        name, _, body = event
        if name == "sold" and body["card"] and self.card_is_sold(tables, body["card"]):
            conflicts = tables.table("conflicts").row(body["card"]) or {"times": 0}
            tables.table("conflicts").put(body["card"], {"times": conflicts["times"] + 1})
        if name == "job":
            row = tables.table("jobs").peek(body["job"])
            if row is None or row["state"] == "printed":
                return
            if body["state"] == "sending":
                event = [name, 1, {**body, "state": "unknown"}]
        self.apply(tables, event)
        if name == "sold":
            tables.table("jobs").put(body["id"], {"state": "unknown"})

    def nodes(self, tables: Tables) -> list[bytes]:
        known = {*self.nodes_, *(row["node"] for row in tables.table("nodes"))}
        return [node for node in known if not self.is_revoked(tables, node)]

    def reads_all(self, tables: Tables, node: bytes) -> bool:
        return node not in self.screens

    def is_revoked(self, tables: Tables, node: bytes) -> bool:
        row = tables.table("nodes").peek(node.hex())
        return row is not None and bool(row["revoked"])

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

    def erased(self, tables: Tables, key: bytes) -> None:
        tables.table("refusals").remove(where("key") == key.hex())

    def blobs(self, tables: Tables) -> list[bytes]:
        return [bytes.fromhex(digest) for digest, _ in tables.table("pictures").scan()]

    def node_key(self, tables: Tables, node: bytes) -> bytes | None:
        row = tables.table("nodes").peek(node.hex())
        return row["key"] if row is not None else self.nodes_.get(node)

    def operator_keys(self, tables: Tables, operator: bytes) -> list[bytes]:
        return [self.operators[operator]] if operator in self.operators else []
