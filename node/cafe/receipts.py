"""What a ticket and a Z say, as lines of values; and the life of a print job.

    waiting ──▶ sending ──▶ printed
                   └──────▶ unknown   a person decides: it is there, or print it again (COPY)
    sending ──▶ waiting     only when the printer never took a byte

The job is in the log before the first byte leaves, and its end is in the log too: a ticket comes
out once, or it is listed for a person.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Literal

from msgspec.structs import replace

from node.cafe import customers, exceptions, settings
from node.cafe.kinds import Acting, Command, EventKind, Fact, Kind, Name, Reason, event
from node.cafe.money import taxes
from sync.codec import pack, unpack
from sync.domain import Tables
from sync.errors import Malformed, Refused
from sync.op import Event

SIGNATURE_BYTES = 64

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
    common = {**_head(tables), "job": job, "what": row["what"], "copy": row["copies"] > 0}
    ref = row["ref"]
    if row["what"] == "z":
        z = tables.table("boxes").peek(ref)
        assert z is not None
        return {**common, "z": z_lines(tables, z["z"])}
    if row["what"] == "x":
        x = tables.table("readings").peek(ref)
        assert x is not None
        return {**common, "z": z_lines(tables, x)}
    if row["what"] == "refund":
        return {**common, **_refund(tables, ref)}
    if row["what"] == "code":
        return {**common, "code_user": _user(tables, ref), "code_text": _code_of(tables, ref)}
    if row["what"] == "pin":
        return {**common, **_pin(tables, ref)}
    return {**common, **_sale(tables, ref)}


def _head(tables: Tables) -> dict[str, Any]:
    cafe = settings.cafe(tables)
    names = ("currency", "decimals", "language", "header", "footer")
    return {"cafe": cafe["name"], **{name: cafe[name] for name in names}}


def test_page(tables: Tables) -> dict[str, Any]:
    """What shows whether the printer is set right."""
    return {**_head(tables), "job": "test", "what": "test", "copy": False}


def _sale(tables: Tables, ref: str) -> dict[str, Any]:
    order = tables.table("orders").peek(ref)
    assert order is not None
    at_ms = next(at for state, at, _ in order["history"] if state == "collected")
    return {
        "number": order["ticket"],
        "order": ref,
        "label": order["label"],
        "pc": order.get("pc", 0),
        "at_ms": at_ms,
        "taken_ms": order["taken_ms"],
        "vendor": name_of(tables, order["operator"]),
        "station": station_name(tables, order["station"]),
        "late_from": order["late_from"],
        "lines": order["lines"],
        "off": [[discount_name(tables, name), less] for name, less in order["off"]],
        "total_minor": order["total_minor"],
        "rounding_minor": order["rounding_minor"],
        "cash_minor": order["cash_minor"],
        "payments": [[m, method_name(tables, m), amount] for m, amount in order["payments"]],
        "customer": _account(tables, order),
        "tendered_minor": order["tendered_minor"],
        "change_minor": order["change_minor"],
        "taxes": taxes((line["amount_minor"], line["tax_bp"]) for line in order["lines"]),
    }


def _account(tables: Tables, order: Mapping[str, Any]) -> dict[str, Any]:
    """The customer's name and what the sale left on their account; empty where it did nothing."""
    after = order.get("account", {}).get("after")
    if not after:
        return {}
    credit, bonus, points = after
    customer = order["account"]["customer"]
    name = customers.full_name(tables, customer)
    shown = {"name": name or "–", "credit": credit, "bonus": bonus, "points": points}
    code = _code_of(tables, customer)
    return {**shown, "user": _user(tables, customer), "code_text": code} if code else shown


def _user(tables: Tables, customer: str) -> str:
    row = tables.table("people").peek(customer)
    return str(row["user"]) if row is not None else "–"


def _code_of(tables: Tables, customer: str) -> str:
    """The code for a first password, as only the server can read it; empty where there is none."""
    row = tables.table("codes").peek(customer)
    allowed = settings.is_on(tables, "first_code")
    return str(row["text"]) if row is not None and allowed else ""


def _refund(tables: Tables, ref: str) -> dict[str, Any]:
    refund = tables.table("refunds").peek(ref)
    assert refund is not None
    order = tables.table("orders").peek(refund["order"])
    assert order is not None
    return {
        "number": order["ticket"],
        "label": order["label"],
        "refund_number": refund["number"],
        "at_ms": refund["at_ms"],
        "vendor": name_of(tables, refund["operator"]),
        "reason": refund["reason"],
        "lines": [
            {"quantity": units, "name": order["lines"][at]["name"], "amount_minor": amount}
            for at, units, amount in refund["lines"]
        ],
        "total_minor": refund["amount_minor"],
        "payments": [[m, method_name(tables, m), amount] for m, amount in refund["methods"]],
        "taxes": [(bp, gross, gross - tax, tax) for bp, gross, tax in refund["taxes"]],
    }


def _pin(tables: Tables, ref: str) -> dict[str, Any]:
    """A PIN ticket; the PIN itself is opened by the server when it is printed."""
    row = tables.table("pins").peek(ref)
    assert row is not None
    product = tables.table("products").peek(row["profile"])
    assert product is not None
    return {
        "serial": row["serial"],
        "name": product["name"],
        "minutes": row["left_s"] // 60,
        "price_minor": product["price_minor"],
        "expires": row["expires"],
        "text": row["text"],
        "at_ms": row["made_ms"],
    }


def method_name(tables: Tables, method: str) -> str:
    """The owner's name of a method of payment; empty for cash, credit, points and a PC's account,
    whose names are words of the language."""
    for known in settings.cafe(tables).get("methods", ()):
        if known["method"] == method:
            return str(known["name"])
    return "" if method in settings.RESERVED else method


def discount_name(tables: Tables, discount: str) -> str:
    """A discount's name, as it is now."""
    row = tables.table("discounts").peek(discount)
    return row["name"] if row is not None else discount


def z_lines(tables: Tables, z: Mapping[str, Any]) -> dict[str, Any]:
    """A Z or an X with the names of its people, stations, methods and discounts. One that was
    written by an earlier version has fewer lines."""
    people = ("by_vendor", "vendor_refunds")
    named: dict[str, Any] = {
        name: {name_of(tables, who): total for who, total in z.get(name, {}).items()}
        for name in people
    }
    named["operators"] = [
        [name_of(tables, before), name_of(tables, after), *rest]
        for before, after, *rest in z.get("operators", ())
    ]
    named["methods"] = [
        {**one, "name": method_name(tables, one["method"])} for one in z.get("methods", ())
    ]
    named["discounts"] = {
        discount_name(tables, name): given for name, given in z.get("discounts", {}).items()
    }
    named["moves"] = [
        [amount, reason, name_of(tables, who), at_ms]
        for amount, reason, who, at_ms in z.get("moves", ())
    ]
    named["stations"] = [
        {**one, "name": station_name(tables, one["station"])} for one in z.get("stations", ())
    ]
    tills = []
    for till in z["tills"]:
        operator, _, station = till["till"].partition("/")
        name = f"{station_name(tables, station)} · {name_of(tables, operator)}"
        tills.append({**till, "name": name})
    return {
        **z,
        **named,
        "operator": name_of(tables, z["operator"]),
        "next_operator": name_of(tables, z.get("next_operator", "")),
        "tills": tills,
    }


# --- the code on a ticket ----------------------------------------------------

_CODE = "CABINA1"
_PREFIX = b"cabina ticket\0"


def code_text(cafe: bytes, shown: Mapping[str, Any]) -> bytes:
    """What the server signs of a ticket, so that nobody can make one up: café, number, instant,
    amount with its currency, and order."""
    fields = [
        cafe,
        shown["number"],
        shown["at_ms"],
        shown["total_minor"] + shown["rounding_minor"],
        shown["currency"],
        bytes.fromhex(shown["order"]),
    ]
    return _PREFIX + pack(fields)


def write_code(text: bytes, signature: bytes) -> str:
    """The verification code: letters and digits that a QR holds densely."""
    body = base64.b32encode(text[len(_PREFIX) :] + signature).decode().rstrip("=")
    return f"{_CODE}.{body}"


def read_code(code: str) -> tuple[bytes, bytes, dict[str, Any]]:
    """(text, signature, what it says) of a verification code; `Refused` ``bad-code`` for what is
    none."""
    kind, _, body = code.strip().partition(".")
    try:
        data = base64.b32decode(body + "=" * (-len(body) % 8))
        said = unpack(data[:-SIGNATURE_BYTES], max_bytes=200)
        cafe, number, at_ms, amount, currency, order = said
    except (ValueError, TypeError, Malformed):
        raise Refused("bad-code") from None
    shapes = (bytes, int, int, int, str, bytes)
    if kind != _CODE or tuple(map(type, said)) != shapes:
        raise Refused("bad-code")
    says = {
        "cafe": cafe.hex(),
        "number": number,
        "at_ms": at_ms,
        "amount_minor": amount,
        "currency": currency,
        "order": order.hex(),
    }
    return _PREFIX + data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:], says


KINDS = (
    Kind("print.start", StartPrint, "", decide_start, server_only=True),
    Kind("print.end", EndPrint, "", decide_end, server_only=True),
    Kind("print.hold", HoldPrint, "", decide_hold, server_only=True),
    Kind("print.settle", SettlePrint, "ticket.reprint", decide_settle, server_only=True),
    Kind("ticket.reprint", ReprintTicket, "ticket.reprint", decide_reprint, server_only=True),
)
EVENTS = (EventKind("print.moved", PrintMoved, apply_moved, reapply=reapply_moved),)
INDEXES = {"prints": (("state",), ())}
