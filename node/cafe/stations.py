"""Stations: nodes that were paired with the server, and what happened at its door."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from node.cafe import settings
from node.cafe.kinds import Acting, Command, EventKind, Fact, Hex, Kind, Name, event
from sync.domain import Tables
from sync.errors import Malformed, Refused
from sync.identity import check_public_key, node_id
from sync.op import Event

# --- commands ----------------------------------------------------------------


class EnrolStation(Command, frozen=True):
    """Take a paired node into the café as a vendor's station."""

    name: Name
    public_key: Hex
    certificate: Hex
    """DER bytes of its self-signed certificate."""
    replaces: Annotated[str, Meta(max_length=32)] = ""
    """A station whose place it takes: its number and the labels of its orders go on, and its key is
    trusted no more."""


class RevokeStation(Command, frozen=True):
    """Trust this station no more."""

    station: Hex


class OverrideStation(Command, frozen=True):
    """Do not wait for this station, which has not been seen since the server started: whatever it
    may hold that the server has lost comes as an exception later."""

    station: Hex


class NoteIncident(Command, frozen=True):
    """The server noted something at its door or on its disk."""

    code: Name
    node: Hex = ""
    what: Name | None = None
    count: int = 1


# --- events ------------------------------------------------------------------


class StationEnrolled(Fact, frozen=True):
    station: str
    number: int
    name: str
    public_key: str
    certificate: str
    orders: int = 0
    """How many orders its label has counted before."""


class StationRevoked(Fact, frozen=True):
    station: str


class StationOverridden(Fact, frozen=True):
    station: str
    operator: str
    at_ms: int


class IncidentNoted(Fact, frozen=True):
    seq: int
    at_ms: int
    code: str
    node: str
    what: str
    count: int


# --- decide ------------------------------------------------------------------


def decide_enrol(tables: Tables, command: EnrolStation, acting: Acting) -> list[Event]:
    if not settings.remote_pos(tables):
        raise Refused("remote-pos-off")
    public = bytes.fromhex(command.public_key)
    try:
        check_public_key(public)
    except Malformed:
        raise Refused("bad-key") from None
    station = node_id(public).hex()
    known = tables.table("stations").contains(doc_id=station)
    if known or tables.table("pcs").contains(doc_id=station):
        raise Refused("already-enrolled")
    number = 1 + max((row["number"] for row in tables.table("stations")), default=0)
    counted, revoked = 0, []
    if command.replaces:
        old = tables.table("stations").peek(command.replaces)
        if old is None or command.replaces == acting.context.op.node.hex():
            raise Refused("unknown-station")
        number = old["number"]
        same = [i for i, row in tables.table("stations").scan() if row["number"] == number]
        counted = max(orders_of(tables, i) for i in same)
        others = (r for i, r in tables.table("stations").scan() if i != command.replaces)
        if any(row["number"] == number and not row["revoked"] for row in others):
            raise Refused("unknown-station")  # another one has its place already
        if not old["revoked"]:
            revoked = [event("station.revoked", StationRevoked(station=command.replaces))]
    enrolled = StationEnrolled(
        station=station,
        number=number,
        name=command.name,
        public_key=command.public_key,
        certificate=command.certificate,
        orders=counted,
    )
    return [event("station.enrolled", enrolled), *revoked]


def decide_revoke(tables: Tables, command: RevokeStation, acting: Acting) -> list[Event]:
    row = tables.table("stations").peek(command.station)
    if row is None or row["revoked"]:
        raise Refused("unknown-station")
    return [event("station.revoked", StationRevoked(station=command.station))]


def decide_override(tables: Tables, command: OverrideStation, acting: Acting) -> list[Event]:
    row = tables.table("stations").peek(command.station)
    if row is None or row["revoked"]:
        raise Refused("unknown-station")
    fact = StationOverridden(
        station=command.station, operator=acting.operator_id, at_ms=acting.context.at_ms
    )
    return [event("station.overridden", fact)]


def decide_incident(tables: Tables, command: NoteIncident, acting: Acting) -> list[Event]:
    return [
        event(
            "incident.noted",
            IncidentNoted(
                seq=acting.context.seq,
                at_ms=acting.context.at_ms,
                code=command.code,
                node=command.node,
                what=command.what or "",
                count=command.count,
            ),
        )
    ]


# --- apply -------------------------------------------------------------------


def apply_enrolled(tables: Tables, fact: StationEnrolled) -> None:
    tables.table("stations").put(
        fact.station,
        {
            "number": fact.number,
            "label": f"S{fact.number}",
            "name": fact.name,
            "public_key": fact.public_key,
            "certificate": fact.certificate,
            "revoked": False,
            "overridden_ms": 0,
        },
    )
    if fact.orders:
        tables.table("counters").put(f"orders/{fact.station}", {"value": fact.orders})


def apply_revoked(tables: Tables, fact: StationRevoked) -> None:
    table = tables.table("stations")
    row = table.row(fact.station)
    if row is not None:
        table.put(fact.station, {**row, "revoked": True})


def apply_overridden(tables: Tables, fact: StationOverridden) -> None:
    table = tables.table("stations")
    row = table.row(fact.station)
    if row is not None:
        table.put(fact.station, {**row, "overridden_ms": fact.at_ms})


def apply_incident(tables: Tables, fact: IncidentNoted) -> None:
    row: dict[str, Any] = {
        "seq": fact.seq,
        "at_ms": fact.at_ms,
        "code": fact.code,
        "node": fact.node,
        "what": fact.what,
        "count": fact.count,
    }
    tables.table("incidents").put(str(fact.seq), row)


# --- queries -----------------------------------------------------------------


def orders_of(tables: Tables, station: str) -> int:
    """How many orders its label has counted."""
    row = tables.table("counters").peek(f"orders/{station}")
    return 0 if row is None else int(row["value"])


def next_label(tables: Tables, station: str) -> str:
    """Label of a station's next order; empty for the desk."""
    row = tables.table("stations").peek(station)
    return f"{row['label']}-{orders_of(tables, station) + 1:04d}" if row is not None else ""


KINDS = (
    Kind("station.enrol", EnrolStation, "station.pair", decide_enrol, server_only=True),
    Kind("station.revoke", RevokeStation, "station.pair", decide_revoke, server_only=True),
    Kind("station.override", OverrideStation, "box.close", decide_override, server_only=True),
    Kind("incident.note", NoteIncident, "", decide_incident, server_only=True),
)
EVENTS = (
    EventKind("station.enrolled", StationEnrolled, apply_enrolled),
    EventKind("station.revoked", StationRevoked, apply_revoked),
    EventKind("station.overridden", StationOverridden, apply_overridden),
    EventKind("incident.noted", IncidentNoted, apply_incident),
)
INDEXES = {"incidents": ((), ("seq",))}
