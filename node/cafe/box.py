"""The box: the cash session, its tills, its close and the Z that never changes.

box:   expected = opening + desk cash + Mode 2 cash + Σ declared tills
till:  expected = cash a vendor took in Mode 1 at a station; declared and judged apart from the box
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from tinydb import where

from node.cafe import conflicts, settings
from node.cafe.kinds import (
    Acting,
    Amount,
    Command,
    EventKind,
    Fact,
    Kind,
    Name,
    event,
    read_command,
)
from node.cafe.money import taxes
from node.cafe.operators import find, may
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

# --- commands ----------------------------------------------------------------


class DeclaredTill(Command, frozen=True):
    """What a vendor handed over for their till."""

    till: Name
    """``operator/station`` in hex, as the box lists it."""
    declared_minor: Amount


class CloseBox(Command, frozen=True):
    """Close the open box. What is not declared is taken as expected."""

    declared_minor: Amount | None = None
    leave_minor: Amount = 0
    tills: Annotated[tuple[DeclaredTill, ...], Meta(max_length=200)] = ()
    next_operator: Annotated[str, Meta(max_length=80)] = ""


# --- events ------------------------------------------------------------------


class BoxOpened(Fact, frozen=True):
    number: int
    opening_minor: int
    operator: str
    at_ms: int


class BoxClosed(Fact, frozen=True):
    number: int
    z: dict[str, Any]
    """The whole Z as it was when it was printed."""


# --- decide ------------------------------------------------------------------


def decide_close(tables: Tables, command: CloseBox, acting: Acting) -> list[Event]:
    z = preview(tables, command, acting.context.at_ms, acting.operator_id)
    opened = BoxOpened(
        number=z["number"] + 1,
        opening_minor=command.leave_minor,
        operator=z["next_operator"],
        at_ms=acting.context.at_ms,
    )
    return [
        event("box.closed", BoxClosed(number=z["number"], z=z)),
        event("box.opened", opened),
    ]


def preview_of(tables: Tables, fields: dict[str, Any], at_ms: int, operator: str) -> dict[str, Any]:
    """`preview` from the fields of a command that has not been checked yet."""
    return preview(tables, read_command(KINDS[0], fields), at_ms, operator)


def preview(tables: Tables, command: CloseBox, at_ms: int, operator: str) -> dict[str, Any]:
    """The Z that this close would give, or `Refused`."""
    row = open_box(tables)
    if row is None:
        raise Refused("no-open-box")
    declared_tills = {till.till: till.declared_minor for till in command.tills}
    unknown = set(declared_tills) - set(row["tills"])
    if unknown or len(declared_tills) != len(command.tills):
        raise Refused("unknown-till", what=next(iter(unknown), "twice"))
    tills = []
    for till, expected in sorted(row["tills"].items()):
        declared = declared_tills.get(till, expected)
        tills.append(
            {
                "till": till,
                "expected_minor": expected,
                "declared_minor": declared,
                "difference_minor": declared - expected,
            }
        )
    handed_over = sum(till["declared_minor"] for till in tills)
    expected = row["opening_minor"] + row["desk_cash"] + row["mode2_cash"] + handed_over
    declared = expected if command.declared_minor is None else command.declared_minor
    if command.leave_minor > declared:
        raise Refused("out-of-range", what="leave_minor")
    next_operator = operator
    if command.next_operator:
        found = find(tables, command.next_operator)
        if found is None or not may(found[1], "box.close"):
            raise Refused("unknown-operator", name=command.next_operator)
        next_operator = found[0]
    return {
        "number": row["number"],
        "opened_ms": row["opened_ms"],
        "closed_ms": at_ms,
        "operator": operator,
        "opening_minor": row["opening_minor"],
        "sales": row["sales"],
        "total_minor": row["total_minor"],
        "rounding_minor": row["rounding_minor"],
        "cash_minor": row["cash_minor"],
        "by_vendor": dict(row["by_vendor"]),
        "categories": {name: list(sums) for name, sums in row["categories"].items()},
        "taxes": {bp: list(sums) for bp, sums in row["taxes"].items()},
        "late": row["late"],
        "tickets": list(row["tickets"]),
        "waiting": sum(
            tables.table("orders").count(where("state") == state)
            for state in ("pending", "allowed")
        ),
        "set_aside": tables.table("orders").count(where("state") == "set_aside"),
        "tills": tills,
        "expected_minor": expected,
        "declared_minor": declared,
        "difference_minor": declared - expected,
        "withdrawn_minor": declared - command.leave_minor,
        "leave_minor": command.leave_minor,
        "next_operator": next_operator,
    }


# --- apply -------------------------------------------------------------------


def apply_opened(tables: Tables, fact: BoxOpened) -> None:
    tables.table("boxes").put(
        str(fact.number),
        {
            "number": fact.number,
            "state": "open",
            "opened_ms": fact.at_ms,
            "operator": fact.operator,
            "opening_minor": fact.opening_minor,
            "sales": 0,
            "total_minor": 0,
            "rounding_minor": 0,
            "cash_minor": 0,
            "desk_cash": 0,
            "mode2_cash": 0,
            "by_vendor": {},
            "tills": {},
            "categories": {},
            "taxes": {},
            "late": 0,
            "tickets": [0, 0],
            "z": None,
        },
    )
    tables.table("counters").put("box", {"value": fact.number})


def apply_closed(tables: Tables, fact: BoxClosed) -> None:
    boxes = tables.table("boxes")
    row = boxes.row(str(fact.number))
    if row is not None:
        boxes.put(str(fact.number), {**row, "state": "closed", "z": fact.z})
    queue_print(tables, f"z-{fact.number}", "z", str(fact.number))


def reapply_closed(tables: Tables, fact: BoxClosed) -> None:
    """Its Z stands as it was printed; what this box has counted beside it is for a person."""
    row = tables.table("boxes").peek(str(fact.number))
    if row is None or row["state"] == "closed":
        if row is not None and row["z"] != fact.z:
            conflicts.note(tables, "closed-twice", str(fact.number), z=fact.z)
        return
    if row["total_minor"] != fact.z["total_minor"]:
        more = row["total_minor"] - fact.z["total_minor"]
        conflicts.note(tables, "box-differs", str(fact.number), more_minor=more)
    apply_closed(tables, fact)
    hold_print(tables, f"z-{fact.number}", unknown=True)


def reapply_opened(tables: Tables, fact: BoxOpened) -> None:
    if tables.table("boxes").peek(str(fact.number)) is None:
        apply_opened(tables, fact)
    else:
        conflicts.note(tables, "opened-twice", str(fact.number), opening_minor=fact.opening_minor)


def add_sale(
    tables: Tables, number: int, order_id: str, order: Mapping[str, Any], ticket: int
) -> str:
    """Count a collected order in the sums of its box, and queue its ticket; the print job, or
    empty."""
    boxes = tables.table("boxes")
    row = boxes.row(str(number))
    if row is None:
        return ""
    job = ""
    total, cash = order["total_minor"], order["cash_minor"]
    row["sales"] += 1
    row["total_minor"] += total
    row["rounding_minor"] += order["rounding_minor"]
    row["cash_minor"] += cash
    row["late"] += bool(order["late_from"])
    _add(row["by_vendor"], order["operator"], total)
    if order["mode"] == 0:
        row["desk_cash"] += cash
    elif order["mode"] == 2:
        row["mode2_cash"] += cash
    elif not order["in_till"]:
        _add(row["tills"], f"{order['operator']}/{order['station']}", cash)
    for line in order["lines"]:
        units, amount = row["categories"].get(line["category"], [0, 0])
        row["categories"][line["category"]] = [
            units + line["quantity"],
            amount + line["amount_minor"],
        ]
    for bp, gross, net, tax in taxes((ln["amount_minor"], ln["tax_bp"]) for ln in order["lines"]):
        sums = row["taxes"].get(str(bp), [0, 0, 0])
        row["taxes"][str(bp)] = [sums[0] + gross, sums[1] + net, sums[2] + tax]
    if ticket:
        first, last = row["tickets"]
        row["tickets"] = [first or ticket, max(last, ticket)]
        tables.table("counters").put("ticket", {"value": max(ticket, next_ticket(tables) - 1)})
        job = f"t-{ticket}"
        other = tables.table("prints").peek(job)
        if other is not None and other["ref"] != order_id:  # given in two lives of the server
            conflicts.note(tables, "ticket-twice", job, order=order_id)
            job = f"t-{ticket}-{order_id[:8]}"
        queue_print(tables, job, "ticket", order_id)
    boxes.put(str(number), row)
    return job


def add_till_cash(tables: Tables, operator: str, station: str, cash_minor: int) -> None:
    """Count cash in a vendor's till of the open box; the sale itself is not counted yet."""
    opened = open_box(tables)
    if opened is not None:
        boxes = tables.table("boxes")
        row = boxes.row(str(opened["number"]))
        assert row is not None
        _add(row["tills"], f"{operator}/{station}", cash_minor)
        boxes.put(str(opened["number"]), row)


def _add(sums: dict[str, int], key: str, amount: int) -> None:
    sums[key] = sums.get(key, 0) + amount


def queue_print(tables: Tables, job: str, what: str, ref: str) -> None:
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


def hold_print(tables: Tables, job: str, *, unknown: bool) -> None:
    """It may be on paper already: not to be printed by itself (``unknown``: a person decides), or
    only once it is sure that nothing was lost."""
    table = tables.table("prints")
    row = table.row(job)
    if row is not None:
        row.update({"state": "unknown", "why": "print.restored"} if unknown else {"older": True})
        table.put(job, row)


# --- queries -----------------------------------------------------------------


def open_box(tables: Tables) -> Mapping[str, Any] | None:
    """Row of the box that is open."""
    counter = tables.table("counters").peek("box")
    return None if counter is None else tables.table("boxes").peek(str(counter["value"]))


def next_ticket(tables: Tables) -> int:
    """The next ticket number of the café: no gaps, since only the server gives them."""
    counter = tables.table("counters").peek("ticket")
    return 1 if counter is None else counter["value"] + 1


KINDS = (Kind("box.close", CloseBox, "box.close", decide_close, server_only=True),)
EVENTS = (
    EventKind("box.opened", BoxOpened, apply_opened, reapply=reapply_opened),
    EventKind("box.closed", BoxClosed, apply_closed, reapply=reapply_closed),
)
INDEXES = {"boxes": (("state",), ("number",))}
