"""What a ticket and a Z say, as lines of values; and the life of a print job.

    waiting ──▶ sending ──▶ printed
                   └──────▶ unknown   a person decides: it is there, or print it again (COPY)
    sending ──▶ waiting     only when the printer never took a byte

The job is in the log before the first byte leaves, and its end is in the log too: a ticket comes
out once, or it is listed for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from node.cafe import exceptions, settings
from node.cafe.kinds import Acting, Command, EventKind, Fact, Kind, Name, Reason, event
from node.cafe.money import taxes
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

# --- commands ----------------------------------------------------------------


class StartPrint(Command, frozen=True):
    """The spooler is about to send the first byte of a job."""

    job: Name


class EndPrint(Command, frozen=True):
    """What became of a job that was started."""

    job: Name
    outcome: Literal["printed", "not_started", "unknown"]
    why: Reason = ""


class HoldPrint(Command, frozen=True):
    """The server has lost a part of its history: this job may be on paper already."""

    job: Name


class SettlePrint(Command, frozen=True):
    """A person has seen the paper of an unknown job: it is there."""

    job: Name


class ReprintTicket(Command, frozen=True):
    """Print again, marked COPY: a ticket or Z that was printed, or one whose print is unknown."""

    job: Name


# --- events ------------------------------------------------------------------


class PrintMoved(Fact, frozen=True):
    job: str
    state: str
    why: str
    copy: bool
    """Whether this print is one more copy."""


# --- decide ------------------------------------------------------------------


def _job(tables: Tables, job: str, *states: str) -> Mapping[str, Any]:
    row = tables.table("prints").peek(job)
    if row is None:
        raise Refused("unknown-job", job=job)
    if row["state"] not in states:
        raise Refused("bad-state", state=row["state"], label=job)
    return row


def _moved(job: str, state: str, why: str = "", copy: bool = False) -> list[Event]:
    return [event("print.moved", PrintMoved(job=job, state=state, why=why, copy=copy))]


def decide_start(tables: Tables, command: StartPrint, acting: Acting) -> list[Event]:
    _job(tables, command.job, "waiting")
    return _moved(command.job, "sending")


def decide_hold(tables: Tables, command: HoldPrint, acting: Acting) -> list[Event]:
    _job(tables, command.job, "waiting")
    return _moved(command.job, "unknown", "print.restored")


_AFTER = {"printed": "printed", "not_started": "waiting", "unknown": "unknown"}


def decide_end(tables: Tables, command: EndPrint, acting: Acting) -> list[Event]:
    _job(tables, command.job, "sending")
    return _moved(command.job, _AFTER[command.outcome], command.why)


def decide_settle(tables: Tables, command: SettlePrint, acting: Acting) -> list[Event]:
    _job(tables, command.job, "unknown")
    return _moved(command.job, "printed")


def decide_reprint(tables: Tables, command: ReprintTicket, acting: Acting) -> list[Event]:
    _job(tables, command.job, "printed", "unknown")
    return _moved(command.job, "waiting", copy=True)


# --- apply -------------------------------------------------------------------


def apply_moved(tables: Tables, fact: PrintMoved) -> None:
    table = tables.table("prints")
    row = table.row(fact.job)
    if row is not None:
        row.update(state=fact.state, why=fact.why)
        row["tries"] += fact.state == "sending"
        row["copies"] += fact.copy
        table.put(fact.job, row)


def reapply_moved(tables: Tables, fact: PrintMoved) -> None:
    """What is on paper stays printed; what was being sent is unknown, as at any start."""
    row = tables.table("prints").peek(fact.job)
    if row is None or row["state"] == "printed":
        return
    if exceptions.known(tables, "ticket-twice", fact.job):  # the job of this life has this name
        return
    if fact.state in ("sending", "waiting"):
        fact = replace(fact, state="unknown", why="print.restored")
    apply_moved(tables, fact)


# --- queries: what stands on the paper ---------------------------------------


def name_of(tables: Tables, operator: str) -> str:
    """An operator's name by id."""
    row = tables.table("operators").peek(operator)
    return row["name"] if row is not None else "–"


def station_name(tables: Tables, station: str) -> str:
    """``S1 · Patio``, or empty for the desk."""
    row = tables.table("stations").peek(station) if station else None
    return f"{row['label']} · {row['name']}" if row is not None else ""


def ticket(tables: Tables, job: str) -> dict[str, Any]:
    """Everything a printer needs for a job, by the log alone; raises `Refused` if there is no such
    job."""
    row = tables.table("prints").peek(job)
    if row is None:
        raise Refused("unknown-job", job=job)
    cafe = settings.cafe(tables)
    common = {
        "job": job,
        "what": row["what"],
        "copy": row["copies"] > 0,
        "cafe": cafe["name"],
        "currency": cafe["currency"],
        "decimals": cafe["decimals"],
        "language": cafe["language"],
    }
    if row["what"] == "z":
        z = tables.table("boxes").peek(row["ref"])
        assert z is not None
        return {**common, "z": z_lines(tables, z["z"])}
    order = tables.table("orders").peek(row["ref"])
    assert order is not None
    return {
        **common,
        "number": order["ticket"],
        "label": order["label"],
        "at_ms": order["history"][-1][1],
        "taken_ms": order["taken_ms"],
        "vendor": name_of(tables, order["operator"]),
        "station": station_name(tables, order["station"]),
        "late_from": order["late_from"],
        "lines": order["lines"],
        "total_minor": order["total_minor"],
        "rounding_minor": order["rounding_minor"],
        "tendered_minor": order["tendered_minor"],
        "change_minor": order["change_minor"],
        "taxes": taxes((line["amount_minor"], line["tax_bp"]) for line in order["lines"]),
    }


def z_lines(tables: Tables, z: Mapping[str, Any]) -> dict[str, Any]:
    """A Z with the names of its people and stations."""
    tills = []
    for till in z["tills"]:
        operator, _, station = till["till"].partition("/")
        name = f"{station_name(tables, station)} · {name_of(tables, operator)}"
        tills.append({**till, "name": name})
    return {
        **z,
        "operator": name_of(tables, z["operator"]),
        "next_operator": name_of(tables, z["next_operator"]),
        "by_vendor": {name_of(tables, who): sum_ for who, sum_ in z["by_vendor"].items()},
        "tills": tills,
    }


KINDS = (
    Kind("print.start", StartPrint, "", decide_start, server_only=True),
    Kind("print.end", EndPrint, "", decide_end, server_only=True),
    Kind("print.hold", HoldPrint, "", decide_hold, server_only=True),
    Kind("print.settle", SettlePrint, "ticket.reprint", decide_settle, server_only=True),
    Kind("ticket.reprint", ReprintTicket, "ticket.reprint", decide_reprint, server_only=True),
)
EVENTS = (EventKind("print.moved", PrintMoved, apply_moved, reapply=reapply_moved),)
INDEXES = {"prints": (("state",), ())}
