"""Client PCs: the customers' computers, what stands on their account, and what they are told.

A PC is a node with a key of its own, and that key does nothing: what a customer does there is asked
beside the log, and the server writes it down. Its sessions are in `sessions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta
from tinydb import where

from node.cafe import bill, rates, records
from node.cafe.kinds import Acting, Code, Command, EventKind, Fact, Hex, Kind, event
from sync.domain import Tables
from sync.errors import Malformed, Refused
from sync.identity import check_public_key, node_id
from sync.op import Event

PC = bill.PC
EXPECTED_MS = 600_000
"""So long a PC waits for a customer who shall make a password there."""
Number = Annotated[int, Meta(ge=1, le=9999)]
Mac = Annotated[str, Meta(pattern=r"^(([0-9a-f]{2}:){5}[0-9a-f]{2})?\Z")]
Text = Annotated[str, Meta(min_length=1, max_length=200)]
PcName = Annotated[str, Meta(max_length=40)]

# --- commands ----------------------------------------------------------------


class EnrolPc(Command, frozen=True):
    """Take a paired node into the café as a customers' computer."""

    number: Number
    rate: Code
    public_key: Hex
    certificate: Hex
    """DER bytes of its self-signed certificate."""
    name: PcName = ""
    replaces: bool = False
    """Whether the one that has this number now is trusted no more."""


class EditPc(Command, frozen=True):
    """Change what a PC is; what is not given stays."""

    pc: Hex
    number: Number | None = None
    name: PcName | None = None
    rate: Code | None = None
    mac: Mac | None = None
    """Address of its network card, to wake it up."""


class NoteMac(Command, frozen=True):
    """A PC has told the address of its network card; done by the server itself."""

    pc: Hex
    mac: Mac


class RevokePc(Command, frozen=True):
    """Trust this PC no more."""

    pc: Hex


class LockPc(Command, frozen=True):
    """Nobody can use a PC until it is unlocked; a session that runs there goes on."""

    pc: Hex
    locked: bool
    reason: Annotated[str, Meta(max_length=80)] = ""


class MessagePc(Command, frozen=True):
    """Say something on the screen of a PC, or without one of all."""

    message: Text
    pc: Hex = ""


class PowerPc(Command, frozen=True):
    """Shut a PC down, start it again, or wake it up."""

    pc: Hex
    action: Literal["shutdown", "restart", "wake"]


class UnblockPc(Command, frozen=True):
    """Let somebody try again at a PC where wrong passwords or PINs were typed in series."""

    pc: Hex


class EnablePc(Command, frozen=True):
    """Let a customer who has no password yet make it at this PC, within ten minutes."""

    customer: Hex
    pc: Hex


# --- events ------------------------------------------------------------------


class PcEnrolled(Fact, frozen=True):
    pc: str
    number: int
    name: str
    rate: str
    public_key: str
    certificate: str
    revoked: str
    """The one whose place it takes; empty for none."""


class PcEdited(Fact, frozen=True):
    pc: str
    values: dict[str, Any]


class PcRevoked(Fact, frozen=True):
    pc: str


class PcLocked(Fact, frozen=True):
    pc: str
    locked: bool
    reason: str


class PcTold(Fact, frozen=True):
    """On record alone: it takes effect beside the log."""

    pc: str
    what: str
    text: str
    operator: str
    at_ms: int


class PcEnabled(Fact, frozen=True):
    pc: str
    customer: str
    until_ms: int


# --- decide ------------------------------------------------------------------


def decide_enrol(tables: Tables, command: EnrolPc, acting: Acting) -> list[Event]:
    public = bytes.fromhex(command.public_key)
    try:
        check_public_key(public)
    except Malformed:
        raise Refused("bad-key") from None
    pc = node_id(public).hex()
    known = tables.table("stations").contains(doc_id=pc)
    if known or tables.table("pcs").contains(doc_id=pc):
        raise Refused("already-enrolled")
    rates.of(tables, command.rate)
    other = numbered(tables, command.number)
    if other and not command.replaces:
        raise Refused("already-exists", what=f"PC {command.number}")
    fact = PcEnrolled(
        pc=pc,
        number=command.number,
        name=command.name,
        rate=command.rate,
        public_key=command.public_key,
        certificate=command.certificate,
        revoked=other,
    )
    if other:
        check_idle(tables, other)
    return [event("pc.enrolled", fact)]


def decide_edit(tables: Tables, command: EditPc, acting: Acting) -> list[Event]:
    of(tables, command.pc)
    names = ("number", "name", "rate", "mac")
    values = {n: v for n in names if (v := getattr(command, n)) is not None}
    if not values:
        raise Refused("nothing-to-do")
    if command.rate is not None:
        rates.of(tables, command.rate)
    if command.number is not None and numbered(tables, command.number) not in ("", command.pc):
        raise Refused("already-exists", what=f"PC {command.number}")
    return [event("pc.edited", PcEdited(pc=command.pc, values=values))]


def decide_mac(tables: Tables, command: NoteMac, acting: Acting) -> list[Event]:
    if of(tables, command.pc)["mac"] == command.mac:
        raise Refused("nothing-to-do")
    return [event("pc.edited", PcEdited(pc=command.pc, values={"mac": command.mac}))]


def decide_revoke(tables: Tables, command: RevokePc, acting: Acting) -> list[Event]:
    of(tables, command.pc)
    check_idle(tables, command.pc)
    return [event("pc.revoked", PcRevoked(pc=command.pc))]


def decide_lock(tables: Tables, command: LockPc, acting: Acting) -> list[Event]:
    if of(tables, command.pc)["locked"] == command.locked:
        raise Refused("nothing-to-do")
    fact = PcLocked(pc=command.pc, locked=command.locked, reason=command.reason)
    return [event("pc.locked", fact)]


def decide_message(tables: Tables, command: MessagePc, acting: Acting) -> list[Event]:
    if command.pc:
        of(tables, command.pc)
    return _told(command.pc, "message", command.message, acting)


def decide_power(tables: Tables, command: PowerPc, acting: Acting) -> list[Event]:
    row = of(tables, command.pc)
    if command.action == "wake" and not row["mac"]:
        raise Refused("no-address")
    if command.action != "wake":
        check_idle(tables, command.pc)
    return _told(command.pc, command.action, "", acting)


def decide_unblock(tables: Tables, command: UnblockPc, acting: Acting) -> list[Event]:
    of(tables, command.pc)
    return _told(command.pc, "unblock", "", acting)


def _told(pc: str, what: str, text: str, acting: Acting) -> list[Event]:
    operator, at_ms = acting.operator_id, acting.context.at_ms
    fact = PcTold(pc=pc, what=what, text=text, operator=operator, at_ms=at_ms)
    return [event("pc.told", fact)]


def decide_enable(tables: Tables, command: EnablePc, acting: Acting) -> list[Event]:
    of(tables, command.pc)
    account = records.of(tables, "customers", command.customer, "unknown-customer")
    if account["deleted"]:
        raise Refused("deleted")
    if tables.table("verifiers").peek(command.customer) is not None:
        raise Refused("has-password")
    check_idle(tables, command.pc)
    until_ms = acting.context.at_ms + EXPECTED_MS
    fact = PcEnabled(pc=command.pc, customer=command.customer, until_ms=until_ms)
    return [event("pc.enabled", fact)]


# --- apply -------------------------------------------------------------------


def apply_enrolled(tables: Tables, fact: PcEnrolled) -> None:
    if fact.revoked:
        apply_revoked(tables, PcRevoked(pc=fact.revoked))
    old = tables.table("pcs").peek(fact.revoked) if fact.revoked else None
    row = {
        "number": fact.number,
        "name": (old["name"] if old is not None else "") or fact.name,
        "rate": fact.rate,
        "mac": "",
        "public_key": fact.public_key,
        "certificate": fact.certificate,
        "revoked": False,
        "locked": False,
        "reason": "",
        "session": "",
        "expects": None,
    }
    tables.table("pcs").put(fact.pc, row)
    if fact.revoked:
        _take_over(tables, fact.revoked, fact.pc)


def _take_over(tables: Tables, old: str, new: str) -> None:
    """What is owed at a PC, or reserved of it, is so at the one that has its number now."""
    for name, state in (("sessions", "due"), ("reservations", "open")):
        table = tables.table(name)
        for row in table.search((where("pc") == old) & (where("state") == state)):
            table.put(str(row.doc_id), {**row, "pc": new})


def apply_edited(tables: Tables, fact: PcEdited) -> None:
    change(tables, fact.pc, **fact.values)


def apply_revoked(tables: Tables, fact: PcRevoked) -> None:
    change(tables, fact.pc, revoked=True)


def apply_locked(tables: Tables, fact: PcLocked) -> None:
    change(tables, fact.pc, locked=fact.locked, reason=fact.reason)


def apply_told(tables: Tables, fact: PcTold) -> None:
    """It is on record; whoever did it tells the PC."""


def apply_enabled(tables: Tables, fact: PcEnabled) -> None:
    change(tables, fact.pc, expects={"customer": fact.customer, "until_ms": fact.until_ms})


def change(tables: Tables, pc: str, **values: Any) -> None:
    """Put fields of a PC."""
    table = tables.table("pcs")
    row = table.row(pc)
    if row is not None:
        table.put(pc, {**row, **values})


def charge(tables: Tables, session: str, amount_minor: int, seller: str) -> None:
    """Put something on a PC's account, or take it off again: its session pays it at its end, and
    one that has ended already has something to pay again. ``seller`` is the operator whose sale it
    is."""
    table = tables.table("sessions")
    row = table.row(session)
    if row is None:
        return
    row["sales_minor"] += amount_minor
    if amount_minor < 0:
        row["sold_by"] = _without(row["sold_by"], seller, -amount_minor)
    else:
        row["sold_by"] = [*row["sold_by"], [seller, amount_minor]]
    if row["state"] not in bill.LIVE:
        row["due_minor"] = max(0, row["due_minor"] + amount_minor)
        row["state"] = bill.state_of(row)
    table.put(session, row)


def _without(sold_by: list[list[Any]], seller: str, amount_minor: int) -> list[list[Any]]:
    """Sales on an account after something that somebody sold last has gone back."""
    left = []
    for who, amount in reversed(sold_by):
        gone = min(amount, amount_minor) if who == seller else 0
        amount_minor -= gone
        left.append([who, amount - gone])
    return [one for one in reversed(left) if one[1]]


def give_back(tables: Tables, of_session: Mapping[str, Any]) -> None:
    """Something that was sold on a PC's account, and paid, goes back to what has paid it."""
    table = tables.table("sessions")
    row = table.row(of_session["session"])
    if row is None:
        return
    gave = row["gave"] = {**row["gave"], "methods": dict(row["gave"]["methods"])}
    gave["cash_due"] += of_session["cash_due"]
    gave["cash"] += of_session["cash"]
    for method, amount in of_session["methods"]:
        gave["methods"][method] = gave["methods"].get(method, 0) + amount
    table.put(of_session["session"], row)


# --- queries -----------------------------------------------------------------


def of(tables: Tables, pc: str) -> Mapping[str, Any]:
    """Row of a PC that is trusted, or `Refused` ``unknown-pc``."""
    row = records.of(tables, "pcs", pc, "unknown-pc")
    if row["revoked"]:
        raise Refused("unknown-pc", what=str(row["number"]))
    return row


def numbered(tables: Tables, number: int) -> str:
    """Id of the PC with this number; empty for none."""
    for pc, row in tables.table("pcs").scan():
        if row["number"] == number and not row["revoked"]:
            return pc
    return ""


def called(tables: Tables, number: int) -> str:
    """Id of the PC with this number, or `Refused` ``unknown-pc``."""
    pc = numbered(tables, number)
    if not pc:
        raise Refused("unknown-pc", what=str(number))
    return pc


def trusted(tables: Tables) -> list[tuple[str, Mapping[str, Any]]]:
    """PCs that are in use in the café, by their numbers."""
    found = [(pc, row) for pc, row in tables.table("pcs").scan() if not row["revoked"]]
    return sorted(found, key=lambda one: int(one[1]["number"]))


def check_idle(tables: Tables, pc: str) -> None:
    """`Refused` ``pc-in-use`` while a session is there."""
    row = tables.table("pcs").peek(pc)
    if row is not None and row["session"]:
        raise Refused("pc-in-use", number=row["number"])


def live(tables: Tables, session: str) -> Mapping[str, Any]:
    """Row of a session that has not ended, or `Refused` ``no-session``."""
    row = tables.table("sessions").peek(session)
    if row is None or row["state"] not in bill.LIVE:
        raise Refused("no-session")
    return row


KINDS = (
    Kind("pc.enrol", EnrolPc, "station.pair", decide_enrol, server_only=True),
    Kind("pc.edit", EditPc, "settings.edit", decide_edit, server_only=True),
    Kind("pc.mac", NoteMac, "", decide_mac, server_only=True),
    Kind("pc.revoke", RevokePc, "station.pair", decide_revoke, server_only=True),
    Kind("pc.lock", LockPc, "session.run", decide_lock, server_only=True),
    Kind("pc.message", MessagePc, "session.run", decide_message, server_only=True),
    Kind("pc.power", PowerPc, "pc.power", decide_power, server_only=True),
    Kind("pc.unblock", UnblockPc, "session.run", decide_unblock, server_only=True),
    Kind("pc.enable", EnablePc, "session.run", decide_enable, server_only=True),
)
EVENTS = (
    EventKind("pc.enrolled", PcEnrolled, apply_enrolled),
    EventKind("pc.edited", PcEdited, apply_edited),
    EventKind("pc.revoked", PcRevoked, apply_revoked),
    EventKind("pc.locked", PcLocked, apply_locked),
    EventKind("pc.told", PcTold, apply_told),
    EventKind("pc.enabled", PcEnabled, apply_enabled),
)
