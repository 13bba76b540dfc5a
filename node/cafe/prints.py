"""What is to be printed, and whether the printer is well."""

from __future__ import annotations

from node.cafe import settings
from node.cafe.kinds import Acting, Command, EventKind, Fact, Kind, event
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event


class NotePrinter(Command, frozen=True):
    """The printer has become ready, or is not any more; done by the server itself."""

    ready: bool


class PrinterNoted(Fact, frozen=True):
    ready: bool


def decide_note(tables: Tables, command: NotePrinter, acting: Acting) -> list[Event]:
    if is_ready(tables) == command.ready:
        raise Refused("nothing-to-do")
    return [event("printer.noted", PrinterNoted(ready=command.ready))]


def apply_noted(tables: Tables, fact: PrinterNoted) -> None:
    tables.table("counters").put("printer", {"value": int(fact.ready)})


def queue(tables: Tables, job: str, what: str, ref: str) -> None:
    """Something is to be printed once; nothing happens in a café without a printer."""
    if settings.cafe(tables).get("printing"):
        row = {
            "what": what,
            "ref": ref,
            "state": "waiting",
            "why": "",
            "tries": 0,
            "copies": 0,
            "older": False,
        }
        tables.table("prints").put(job, row)


def hold(tables: Tables, job: str, *, unknown: bool) -> None:
    """It may be on paper already: not to be printed by itself (``unknown``: a person decides), or
    only once it is sure that nothing was lost."""
    table = tables.table("prints")
    row = table.row(job)
    if row is not None:
        row.update({"state": "unknown", "why": "print.restored"} if unknown else {"older": True})
        table.put(job, row)


def is_ready(tables: Tables) -> bool:
    """Whether the café has a printer, and it was well when it was looked at last."""
    row = tables.table("counters").peek("printer")
    return bool(settings.cafe(tables).get("printing")) and (row is None or bool(row["value"]))


KINDS = (Kind("printer.note", NotePrinter, "", decide_note, server_only=True),)
EVENTS = (EventKind("printer.noted", PrinterNoted, apply_noted),)
