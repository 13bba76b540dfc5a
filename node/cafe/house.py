"""The whole café as the engine sees it: the table of kinds, and who may do what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from tinydb import where

from node.cafe import (
    accounts,
    benefits,
    box,
    catalog,
    customers,
    discounts,
    exceptions,
    jobs,
    operators,
    orders,
    pcs,
    pictures,
    pins,
    prints,
    profiles,
    rates,
    receipts,
    refunds,
    reservations,
    sessions,
    settings,
    settling,
    stations,
    stock,
)
from node.cafe.kinds import Acting, EventKind, Fact, Kind, read_command
from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event, Op

_ROOMS = (
    settings,
    operators,
    stations,
    catalog,
    discounts,
    stock,
    jobs,
    profiles,
    rates,
    pcs,
    customers,
    accounts,
    benefits,
    pins,
    orders,
    refunds,
    reservations,
    sessions,
    settling,
    box,
    prints,
    receipts,
    exceptions,
)

KINDS: dict[str, Kind] = {kind.name: kind for room in _ROOMS for kind in room.KINDS}
EVENTS: dict[tuple[str, int], EventKind] = {
    (event.name, event.version): event for room in _ROOMS for event in room.EVENTS
}


def _read_event(event: Event) -> tuple[EventKind, Fact]:
    name, version, body = event
    kind = EVENTS.get((name, version))
    if kind is None:  # of a later version of Cabina: whoever folds it must know that it did not
        raise Refused("unknown-event", kind=name, version=version)
    if type(body) is kind.fact:  # it was decided just now, and has not been on paper yet
        return kind, body
    return kind, msgspec.convert(body, kind.fact)


def _node(tables: Tables, node: bytes) -> Mapping[str, Any] | None:
    """Row of a station or PC that was ever enrolled."""
    name = node.hex()
    return tables.table("stations").peek(name) or tables.table("pcs").peek(name)


class Cafe:
    """`sync.domain.Domain` of a café."""

    public = frozenset(
        {
            "cafe.create",
            "settings.edit",
            "catalog.import",
            "product.add",
            "product.edit",
            "rate.put",
        }
    )
    """What customers' PCs read: what stands on the locked page and on the menu."""

    indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        **operators.INDEXES,
        **stations.INDEXES,
        **catalog.INDEXES,
        **stock.INDEXES,
        **jobs.INDEXES,
        **orders.INDEXES,
        **refunds.INDEXES,
        **box.INDEXES,
        **receipts.INDEXES,
        **exceptions.INDEXES,
        **accounts.INDEXES,
        **customers.INDEXES,
        **pins.INDEXES,
        **reservations.INDEXES,
        **sessions.INDEXES,
    }

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        kind = KINDS.get(op.kind)
        if kind is None or kind.version != op.version:
            raise Refused("unknown-kind", kind=op.kind)
        acting = self._acting(tables, kind, op, context)
        command = read_command(kind, op.body)
        return kind.decide(tables, command, acting)

    def _acting(self, tables: Tables, kind: Kind, op: Op, context: Context) -> Acting:
        """Check place and right, in this order: node, operator, permission."""
        station: Mapping[str, Any] = {}
        station_id = ""
        if not context.desk:
            station_id = op.node.hex()
            station = tables.table("stations").peek(station_id) or {}
            if not station and tables.table("pcs").peek(station_id) is not None:
                raise Refused("wrong-scope", kind=kind.name)
            if not station or station["revoked"]:
                raise Refused("unknown-station")
        operator_id = context.operator.hex() if context.operator else ""
        operator = tables.table("operators").peek(operator_id) or {}
        lacks = operators.may_do(operator, kind.permission, desk=context.desk)
        if lacks == "server-only" or (kind.server_only and not context.desk):
            raise Refused("server-only", kind=kind.name)
        permitted = not lacks
        if kind.permission and not operator and not (context.desk and kind.judges_right):
            raise Refused("no-grant")
        if not permitted and not kind.judges_right:
            raise Refused("no-permission", permission=kind.permission)
        if kind.anyone and not operator.get("enabled"):
            raise Refused("no-grant")
        return Acting(context, operator_id, operator, station, station_id, permitted)

    def apply(self, tables: Tables, event: Event) -> None:
        kind, fact = _read_event(event)
        kind.apply(tables, fact)

    def reapply(self, tables: Tables, event: Event) -> None:
        kind, fact = _read_event(event)
        (kind.reapply or kind.apply)(tables, fact)

    def refused(
        self,
        tables: Tables,
        op: Op | None,
        code: str,
        details: Mapping[str, Any],
        seq: int,
        at_ms: int,
    ) -> None:
        row = {
            "seq": seq,
            "at_ms": at_ms,
            "code": code,
            "details": dict(details),
            "kind": op.kind if op is not None else "",
            "node": op.node.hex() if op is not None else "",
            "key": op.key.hex() if op is not None else "",
        }
        if op is not None and op.kind in customers.PERSONAL:
            customers.note_refused(tables, row, op)
        tables.table("refusals").put(str(seq), row)

    def erased(self, tables: Tables, key: bytes) -> None:
        tables.table("refusals").remove(where("key") == key.hex())
        tables.table("erasing").drop(key.hex())

    def nodes(self, tables: Tables) -> list[bytes]:
        return [
            bytes.fromhex(node)
            for name in ("stations", "pcs")
            for node, row in tables.table(name).scan()
            if not row["revoked"]
        ]

    def reads_all(self, tables: Tables, node: bytes) -> bool:
        return tables.table("pcs").peek(node.hex()) is None

    def blobs(self, tables: Tables) -> list[bytes]:
        return list(pictures.named(tables))

    def node_key(self, tables: Tables, node: bytes) -> bytes | None:
        row = _node(tables, node)
        return None if row is None else bytes.fromhex(row["public_key"])

    def is_revoked(self, tables: Tables, node: bytes) -> bool:
        row = _node(tables, node)
        return row is not None and bool(row["revoked"])

    def operator_keys(self, tables: Tables, operator: bytes) -> Sequence[bytes]:
        row = tables.table("operators").peek(operator.hex())
        return [bytes.fromhex(key) for key in row["keys"]] if row is not None else ()
