"""PIN cards and tickets: their profiles, their life, and who may sell which.

    made ─print─▶ printed ─stock in─▶ in_stock ─sell─▶ sold ─first use─▶ in_use ─▶ used_up
      └────────── stock in ──────────────▲ │ stock out ─▶ printed
    deleted, and expired by the calendar, end it

A card is known by its serial; its PIN stands here only as an index (HMAC) and a text (AES-SIV),
under keys that live on the server's machine and in no log. What is in stock has one holder, the
server or a station, who alone sells it; a holder's stock is a shelf of ranges of serials. A ticket
is a card that is made at its sale, of codes which the server keeps ready.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from tinydb import where

from node.cafe import (
    catalog,
    exceptions,
    prints,
    records,
    settings,
)
from node.cafe.kinds import (
    Acting,
    BasisPoints,
    Code,
    Command,
    EventKind,
    Fact,
    Hex,
    Kind,
    Name,
    Price,
    Reason,
    event,
)
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

MOST_AN_OP = 200
SECRET_KINDS = frozenset({"pin_card", "pin_ticket"})
Serial = Annotated[int, Meta(ge=1, le=10**9)]
MOST_SERIALS = 1_000
Serials = Annotated[tuple[Serial, ...], Meta(min_length=1, max_length=MOST_SERIALS)]
Secret = tuple[
    Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")],
    Annotated[str, Meta(pattern=r"^([0-9a-f]{2}){17,64}\Z")],
]
"""(index, text) of a PIN in hex, as `node.secrets` makes them."""
Secrets = Annotated[tuple[Secret, ...], Meta(min_length=1, max_length=MOST_AN_OP)]

# --- commands ----------------------------------------------------------------


class AddPinProfile(Command, frozen=True):
    """A new kind of card or ticket, which is a product from then on."""

    sku: Code
    name: Name
    form: Literal["card", "ticket"]
    minutes: Annotated[int, Meta(ge=1, le=10**5)]
    price_minor: Price
    tax_bp: BasisPoints = 0
    category: catalog.Word = ""
    validity: Literal["none", "date", "sale", "use"] = "none"
    days: Annotated[int, Meta(ge=0, le=3650)] = 0
    """Counted from the sale, or from the first use."""
    last_day: Annotated[int, Meta(ge=0, le=3_652_059)] = 0
    """Ordinal of the fixed local date."""


class MakePins(Command, frozen=True):
    """Put new PINs; their secrets are made at the server."""

    profile: Code
    secrets: Secrets
    stock: bool = False
    """Whether they enter the server's stock at once."""


class SparePins(Command, frozen=True):
    """Codes kept ready for the next tickets; done by the server itself."""

    secrets: Secrets


class ReviewPins(Command, frozen=True):
    """Somebody looks at PINs: each look is on record. A sheet or a list makes them printed."""

    serials: Serials
    purpose: Literal["look", "sheet", "list"]


class StockPins(Command, frozen=True):
    """Enter printed cards into the server's stock, or take them out."""

    serials: Serials
    direction: Literal["in", "out"]


class ConsignPins(Command, frozen=True):
    """Give cards of the server's stock to a station, which alone sells them from then on."""

    serials: Serials
    station: Hex


class ReturnPins(Command, frozen=True):
    """A station gives back cards that it holds."""

    serials: Serials


class RecallPins(Command, frozen=True):
    """Ask a station for what it holds: it gives it back at its next contact."""

    station: Hex


class BurnPins(Command, frozen=True):
    """A station is lost: the cards that it holds are worth nothing any more."""

    station: Hex
    reason: Reason


class DeletePins(Command, frozen=True):
    serials: Serials
    reason: Reason


class ExpirePins(Command, frozen=True):
    """The server's calendar ends what was good until yesterday."""

    serials: Serials


# --- events ------------------------------------------------------------------


class PinProfileAdded(Fact, frozen=True):
    profile: dict[str, Any]
    seq: int
    chain: str


class PinsMade(Fact, frozen=True):
    profile: str
    first: int
    """Serial of the first; the others follow."""
    secrets: list[list[str]]
    stock: bool
    operator: str
    at_ms: int


class PinsSpared(Fact, frozen=True):
    first: int
    secrets: list[list[str]]


class PinsMoved(Fact, frozen=True):
    """Serials went to another state or holder."""

    act: str
    serials: list[int]
    state: str
    """Empty if it stays."""
    holder: str
    """Hex id of a station, empty for the server."""
    operator: str
    at_ms: int
    reason: str = ""


class PinsRecalled(Fact, frozen=True):
    station: str
    operator: str
    at_ms: int


# --- the life of a card ----------------------------------------------------------

ENDED = frozenset({"used_up", "expired", "deleted"})
OPENS = frozenset({"sold", "in_use"})
"""States in which a PIN starts a PC."""
STEPS: Mapping[str, tuple[frozenset[str], str]] = {
    "print": (frozenset({"made"}), "printed"),
    "stock_in": (frozenset({"made", "printed"}), "in_stock"),
    "stock_out": (frozenset({"in_stock"}), "printed"),
    "consign": (frozenset({"in_stock"}), "in_stock"),
    "return": (frozenset({"in_stock"}), "in_stock"),
    "sell": (frozenset({"in_stock"}), "sold"),
    "use": (frozenset({"sold", "in_use"}), "in_use"),
    "refund": (frozenset({"sold"}), "deleted"),
    "burn": (frozenset({"in_stock"}), "deleted"),
    "delete": (frozenset({"made", "printed", "in_stock", "sold", "in_use", "expired"}), "deleted"),
    "expire": (frozenset({"made", "printed", "in_stock", "sold", "in_use"}), "expired"),
}
BY_HOLDER = frozenset({"sell", "return", "stock_out", "consign", "delete"})
"""What only who holds a card may do with it, while it is in stock."""


def step(act: str, state: str, holder: str, by: str) -> tuple[str, str]:
    """(state, holder) of a card after an act by ``by``: a station's id, or empty for the server.

    `Refused`: ``bad-state``, ``not-yours``.
    """
    before, after = STEPS[act]
    if state not in before:
        raise Refused("bad-state", state=state, label="")
    if act in BY_HOLDER and state == "in_stock" and holder != by:
        raise Refused("not-yours")
    if act in ("return", "burn", "delete", "refund", "expire"):
        return after, ""
    return after, holder


def valid_through(profile: Mapping[str, Any], *, sold_on: int, used_on: int = 0) -> int:
    """Last local day on which a PIN is good, as an ordinal; 0 for ever."""
    match profile["validity"]:
        case "date":
            return int(profile["last_day"])
        case "sale":
            return sold_on + int(profile["days"])
        case "use":
            return used_on + int(profile["days"]) if used_on else 0
    return 0


def use(left_s: int, wanted_s: int) -> tuple[int, int, str]:
    """(seconds taken, seconds left, state) when a session of ``wanted_s`` ends."""
    taken = min(left_s, wanted_s)
    left = left_s - taken
    return taken, left, "in_use" if left else "used_up"


def wait_s(wrong: int) -> int:
    """Seconds that a PC waits after so many wrong PINs in a row."""
    return min(30 * 2 ** (wrong - 5), 900) if wrong >= 5 else 0


# --- shelves -----------------------------------------------------------------------

Ranges = list[list[int]]


def put_on(ranges: Ranges, serials: Iterable[int]) -> Ranges:
    """The ranges ``[first, last]`` with these serials too."""
    wanted = sorted(serials)
    merged: Ranges = []
    for first, last in sorted([*ranges, *([serial, serial] for serial in wanted)]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return merged


def take_off(ranges: Ranges, serials: Iterable[int]) -> Ranges:
    """The ranges without these serials."""
    left: Ranges = []
    gone = sorted(set(serials))
    for first, last in ranges:
        start = first
        for serial in gone:
            if start <= serial <= last:
                if start < serial:
                    left.append([start, serial - 1])
                start = serial + 1
        if start <= last:
            left.append([start, last])
    return left


def size(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)


def lowest(ranges: Ranges, count: int) -> list[int]:
    """The first serials of a shelf, as many as there are up to ``count``."""
    found: list[int] = []
    for first, last in ranges:
        found += range(first, min(last, first + count - len(found) - 1) + 1)
    return found


def shelf(tables: Tables, profile: str, holder: str) -> Ranges:
    """What a holder has of a profile, ready to be sold."""
    row = tables.table("shelves").row(f"{profile}/{holder}")
    return [] if row is None else row["ranges"]


def label(form: str, serial: int) -> str:
    """A serial as people read it: ``C-0501``, of a ticket ``T-0502``."""
    return f"{'T' if form == 'ticket' else 'C'}-{serial:04d}"


# --- decide --------------------------------------------------------------------


def decide_profile(tables: Tables, command: AddPinProfile, acting: Acting) -> list[Event]:
    if tables.table("products").peek(command.sku) is not None:
        raise Refused("already-exists", what=command.sku)
    wrong = {
        "none": False,
        "date": not command.last_day,
        "sale": not command.days,
        "use": not command.days,
    }
    if wrong[command.validity]:
        raise Refused("bad-field", what="days" if command.validity != "date" else "last_day")
    fact = PinProfileAdded(
        profile=msgspec.to_builtins(command),
        seq=acting.context.seq,
        chain=acting.context.op.chain.hex(),
    )
    return [event("pin.profile-added", fact)]


def decide_make(tables: Tables, command: MakePins, acting: Acting) -> list[Event]:
    profile = of_profile(tables, command.profile)
    if profile["form"] != "card":
        raise Refused("no-cards", what=command.profile)
    _check_new(tables, command.secrets)
    fact = PinsMade(
        profile=command.profile,
        first=_next(tables),
        secrets=[list(secret) for secret in command.secrets],
        stock=command.stock,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("pins.made", fact)]


def _check_new(tables: Tables, secrets: Sequence[Secret]) -> None:
    """`Refused` ``pin-taken`` for a PIN that another card, ticket or spare has while it lives."""
    indexes = {index for index, _ in secrets}
    if len(indexes) < len(secrets) or any(is_taken(tables, index) for index in indexes):
        raise Refused("pin-taken")


def is_taken(tables: Tables, index: str) -> bool:
    """Whether a live PIN has this index."""
    live = any(
        row["state"] not in ENDED for row in tables.table("pins").search(where("index") == index)
    )
    return live or tables.table("spares").contains(where("index") == index)


def decide_spare(tables: Tables, command: SparePins, acting: Acting) -> list[Event]:
    _check_new(tables, command.secrets)
    counter = tables.table("counters").peek("spares")
    fact = PinsSpared(
        first=(counter["last"] if counter is not None else 0) + 1,
        secrets=[list(secret) for secret in command.secrets],
    )
    return [event("pins.spared", fact)]


def decide_review(tables: Tables, command: ReviewPins, acting: Acting) -> list[Event]:
    for serial in command.serials:
        of(tables, serial)
    events = [_moved(command.purpose, command.serials, "", "", acting)]
    if command.purpose != "look":
        made = [s for s in command.serials if of(tables, s)["state"] == "made"]
        if made:
            events.append(_moved("print", made, "printed", "", acting))
    return events


def decide_stock(tables: Tables, command: StockPins, acting: Acting) -> list[Event]:
    act = f"stock_{command.direction}"
    return [_stepped(tables, act, command.serials, "", acting)]


def decide_consign(tables: Tables, command: ConsignPins, acting: Acting) -> list[Event]:
    station = records.of(tables, "stations", command.station, "unknown-station")
    if station["revoked"]:
        raise Refused("unknown-station")
    _check_steps(tables, "consign", command.serials, "")
    return [_moved("consign", command.serials, "", command.station, acting)]


def decide_return(tables: Tables, command: ReturnPins, acting: Acting) -> list[Event]:
    if acting.desk:
        raise Refused("not-yours")
    return [_stepped(tables, "return", command.serials, acting.station_id, acting)]


def decide_recall(tables: Tables, command: RecallPins, acting: Acting) -> list[Event]:
    records.of(tables, "stations", command.station, "unknown-station")
    if not held_by(tables, command.station):
        raise Refused("nothing-to-do")
    fact = PinsRecalled(
        station=command.station, operator=acting.operator_id, at_ms=acting.context.at_ms
    )
    return [event("pins.recalled", fact)]


def decide_burn(tables: Tables, command: BurnPins, acting: Acting) -> list[Event]:
    if not command.reason.strip():
        raise Refused("reason-needed")
    station = records.of(tables, "stations", command.station, "unknown-station")
    if not station["revoked"]:
        raise Refused("still-trusted")
    serials = held_by(tables, command.station)
    if not serials:
        raise Refused("nothing-to-do")
    return [
        _moved("burn", serials[at : at + MOST_SERIALS], "deleted", "", acting, command.reason)
        for at in range(0, len(serials), MOST_SERIALS)
    ]


def decide_delete(tables: Tables, command: DeletePins, acting: Acting) -> list[Event]:
    if not command.reason.strip():
        raise Refused("reason-needed")
    _check_steps(tables, "delete", command.serials, "")
    return [_moved("delete", command.serials, "deleted", "", acting, command.reason)]


def decide_expire(tables: Tables, command: ExpirePins, acting: Acting) -> list[Event]:
    today = settings.today(tables, acting.context.at_ms)
    for serial in command.serials:
        row = of(tables, serial)
        if not row["expires"] or today <= row["expires"]:
            raise Refused("too-early")
    _check_steps(tables, "expire", command.serials, "")
    return [_moved("expire", command.serials, "expired", "", acting)]


def _check_steps(tables: Tables, act: str, serials: Sequence[int], by: str) -> str:
    """State of all after an act, or `Refused`."""
    if len(set(serials)) < len(serials):
        raise Refused("repeated", what="serials")
    after = ""
    for serial in serials:
        row = of(tables, serial)
        if row["order"] and row["state"] == "in_stock" and act != "expire":
            raise Refused("promised", what=str(serial))
        after, _ = step(act, row["state"], row["holder"], by)
    return after


def _stepped(tables: Tables, act: str, serials: Sequence[int], by: str, acting: Acting) -> Event:
    state = _check_steps(tables, act, serials, by)
    return _moved(act, serials, state, "", acting)


def _moved(
    act: str,
    serials: Sequence[int],
    state: str,
    holder: str,
    acting: Acting,
    reason: str = "",
) -> Event:
    fact = PinsMoved(
        act=act,
        serials=list(serials),
        state=state,
        holder=holder,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
        reason=reason,
    )
    return event("pins.moved", fact)


# --- a sale --------------------------------------------------------------------


def is_sold_here(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an order has cards or tickets."""
    return not SECRET_KINDS.isdisjoint([line["kind"] for line in lines])


def waits_for_server(lines: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an order has cards that only the server can name."""
    return any(line["kind"] == "pin_card" and "serials" not in line for line in lines)


def check_sale(
    tables: Tables,
    lines: Sequence[Mapping[str, Any]],
    holder: str,
    *,
    final: bool,
    today: int,
    order: str = "",
) -> None:
    """`Refused` if these cards and tickets cannot be sold by a holder: ``not-yours``, ``pin-
    already-sold``, ``no-cards``, ``already-over``, ``bad-field``; where the sale is ``final``
    ``printer-not-ready``, ``no-codes``. ``order`` may be promised some of them."""
    tickets = 0
    wanted: dict[str, int] = {}
    named = named_in(lines)
    if len(set(named)) < len(named):
        raise Refused("bad-field", what="serials")
    for line in lines:
        if line["kind"] == "pin_ticket":
            tickets += line["quantity"]
            last_day = of_profile(tables, line["sku"])["last_day"]
            if last_day and final and last_day < today:
                raise Refused("already-over")
        elif line["kind"] == "pin_card" and "serials" not in line:
            wanted[line["sku"]] = wanted.get(line["sku"], 0) + line["quantity"]
        elif line["kind"] == "pin_card":
            _check_serials(tables, line, holder, order, today)
    for sku, count in wanted.items():
        if size(take_off(shelf(tables, sku, ""), named)) < count:
            raise Refused("no-cards", what=sku)
    if tickets and final:
        if not prints.is_ready(tables):
            raise Refused("printer-not-ready")
        if spares_left(tables) < tickets:
            raise Refused("no-codes")


def named_in(lines: Sequence[Mapping[str, Any]]) -> list[int]:
    """Serials that an order's lines name themselves."""
    return [serial for line in lines for serial in line.get("serials", ())]


def _check_serials(
    tables: Tables, line: Mapping[str, Any], holder: str, order: str, today: int
) -> None:
    serials = line["serials"]
    if len(serials) != line["quantity"]:
        raise Refused("bad-field", what="serials")
    for serial in serials:
        row = of(tables, serial)
        if row["profile"] != line["sku"]:
            raise Refused("bad-field", what="serials")
        if row["expires"] and row["expires"] < today:
            raise Refused("already-over")
        if order and row["order"] == order and row["state"] == "in_stock":
            continue
        if row["state"] in ("sold", "in_use", "used_up") or row["order"]:
            raise Refused("pin-already-sold", what=label("card", serial))
        step("sell", row["state"], row["holder"], holder)


def handed_over(tables: Tables, lines: Sequence[Mapping[str, Any]], holder: str) -> list[list[Any]]:
    """``[line, serials]`` of the cards that a holder has given to a customer whose order waits for
    a person: nobody else may sell them meanwhile."""
    found: list[list[Any]] = []
    taken: set[int] = set()
    for at, line in enumerate(lines):
        mine = []
        for serial in line.get("serials", ()):
            row = tables.table("pins").peek(str(serial))
            free = row is not None and row["state"] == "in_stock" and not row["order"]
            if row is not None and free and row["holder"] == holder and serial not in taken:
                mine.append(serial)
        if mine and len(mine) == line["quantity"]:
            taken.update(mine)
            found.append([at, mine])
    return found


def fill(tables: Tables, sku: str, quantity: int, holder: str, taken: set[int]) -> tuple[int, ...]:
    """The serials that a station sells of its own; none if it holds too few."""
    row = tables.table("pin_profiles").peek(sku)
    if row is None or row["form"] != "card" or not holder:
        return ()
    ranges = take_off(shelf(tables, sku, holder), taken)
    found = lowest(ranges, quantity)
    return tuple(found) if len(found) == quantity else ()


def of_sale(tables: Tables, lines: Sequence[Mapping[str, Any]], at_ms: int) -> list[list[Any]]:
    """What a sale that is final now does: ``[line, serials, last day, [spare, …]]`` of each line
    of cards or tickets. `check_sale` comes before."""
    found: list[list[Any]] = []
    today, spare, serial = settings.today(tables, at_ms), _first_spare(tables), _next(tables)
    taken = set(named_in(lines))
    for at, line in enumerate(lines):
        if line["kind"] not in SECRET_KINDS:
            continue
        profile = of_profile(tables, line["sku"])
        last_day = valid_through(profile, sold_on=today)
        if line["kind"] == "pin_ticket":
            count = line["quantity"]
            numbers = list(range(serial, serial + count))
            found.append([at, numbers, last_day, list(range(spare, spare + count))])
            serial, spare = serial + count, spare + count
        elif "serials" in line:
            found.append([at, list(line["serials"]), last_day, []])
        else:
            ranges = take_off(shelf(tables, line["sku"], ""), taken)
            numbers = lowest(ranges, line["quantity"])
            taken.update(numbers)
            found.append([at, numbers, last_day, []])
    return found


def promise(tables: Tables, lines: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """``[line, serials]`` that an order which waits holds."""
    taken = set(named_in(lines))
    found = []
    for at, line in enumerate(lines):
        if line["kind"] != "pin_card":
            continue
        serials = list(line.get("serials", ()))
        if not serials:
            serials = lowest(take_off(shelf(tables, line["sku"], ""), taken), line["quantity"])
            taken.update(serials)
        found.append([at, serials])
    return found


# --- apply -----------------------------------------------------------------------


def apply_profile(tables: Tables, fact: PinProfileAdded) -> None:
    profile = fact.profile
    fields = ("sku", "name", "price_minor", "tax_bp", "category")
    product = {name: profile[name] for name in fields}
    kind = f"pin_{profile['form']}"
    catalog.put_made(tables, {**product, "kind": kind}, fact.seq, fact.chain)
    row = {name: value for name, value in profile.items() if name not in fields}
    tables.table("pin_profiles").put(profile["sku"], row)


def apply_made(tables: Tables, fact: PinsMade) -> None:
    profile = tables.table("pin_profiles").peek(fact.profile)
    if profile is None:
        return
    serials = range(fact.first, fact.first + len(fact.secrets))
    for serial, secret in zip(serials, fact.secrets, strict=True):
        state = "in_stock" if fact.stock else "made"
        _put(tables, serial, fact.profile, profile, secret, state, fact.at_ms)
    _count(tables, serials[-1])
    if fact.stock:
        _put_on(tables, fact.profile, "", serials)


def _put(
    tables: Tables,
    serial: int,
    sku: str,
    profile: Mapping[str, Any],
    secret: Sequence[str],
    state: str,
    at_ms: int,
) -> None:
    row = {
        "serial": serial,
        "profile": sku,
        "state": state,
        "holder": "",
        "order": "",
        "index": secret[0],
        "text": secret[1],
        "left_s": profile["minutes"] * 60,
        "expires": profile["last_day"] if profile["validity"] == "date" else 0,
        "made_ms": at_ms,
        "history": [[state, at_ms, ""]],
    }
    tables.table("pins").put(str(serial), row)


def reapply_made(tables: Tables, fact: PinsMade) -> None:
    """Cards of a lost life; if this life has given their serials to others, a person is told that
    they are worth nothing."""
    if tables.table("pins").peek(str(fact.first)) is None:
        apply_made(tables, fact)
    else:
        exceptions.note(tables, "decided-twice", f"pins/{fact.first}", fact.at_ms)


def apply_spared(tables: Tables, fact: PinsSpared) -> None:
    table, counters = tables.table("spares"), tables.table("counters")
    for number, (index, text) in enumerate(fact.secrets, fact.first):
        table.put(str(number), {"index": index, "text": text})
    row = counters.peek("spares") or {"next": 1, "last": 0}
    last = max(row["last"], fact.first + len(fact.secrets) - 1)
    counters.put("spares", {"next": row["next"], "last": last})


def apply_moved(tables: Tables, fact: PinsMoved) -> None:
    holders = set()
    for serial in fact.serials:
        row = tables.table("pins").row(str(serial))
        if row is None or row["state"] in ("deleted", "used_up"):
            continue
        before = (row["state"], row["holder"])
        holders.add(row["holder"])
        if fact.act in ("consign", "return"):
            row["holder"] = fact.holder
        elif fact.state:
            row.update(state=fact.state, holder="")
        row["history"].append([fact.act, fact.at_ms, fact.operator])
        _keep(tables, serial, row, before)
    for holder in sorted(holders):
        _end_recall(tables, holder)


def reapply_moved(tables: Tables, fact: PinsMoved) -> None:
    """What this life has sold stays sold."""
    pins = tables.table("pins")
    known = [pins.peek(str(serial)) for serial in fact.serials]
    serials = [
        serial
        for serial, row in zip(fact.serials, known, strict=True)
        if row is not None and row["state"] not in OPENS
    ]
    apply_moved(tables, msgspec.structs.replace(fact, serials=serials))


def apply_recalled(tables: Tables, fact: PinsRecalled) -> None:
    tables.table("recalls").put(fact.station, {"at_ms": fact.at_ms, "operator": fact.operator})


def hold(tables: Tables, promised: Iterable[Sequence[Any]], order: str) -> None:
    """These cards are promised to an order that waits."""
    for _, serials in promised:
        for serial in serials:
            row = tables.table("pins").row(str(serial))
            if row is not None and row["state"] == "in_stock" and not row["order"]:
                _take_off(tables, row["profile"], row["holder"], [serial])
                tables.table("pins").put(str(serial), {**row, "order": order})


def release(tables: Tables, promised: Iterable[Sequence[Any]], order: str) -> None:
    """Take back what `hold` has promised."""
    for _, serials in promised:
        for serial in serials:
            row = tables.table("pins").row(str(serial))
            if row is not None and row["state"] == "in_stock" and row["order"] == order:
                _put_on(tables, row["profile"], row["holder"], [serial])
                tables.table("pins").put(str(serial), {**row, "order": ""})


def apply_sale(
    tables: Tables, sold: Iterable[Sequence[Any]], order: str, row: dict[str, Any], at_ms: int
) -> list[str]:
    """Cards and tickets are sold; the print jobs of the tickets. A card that somebody else has sold
    first stays theirs, and a person is told."""
    jobs: list[str] = []
    for at, serials, last_day, spares in sold:
        line = row["lines"][at]
        row["lines"] = with_serials(row["lines"], at, serials)
        for position, serial in enumerate(serials):
            if spares and _make_ticket(tables, serial, line["sku"], spares[position], at_ms):
                jobs.append(f"p-{serial}")
            _sell(tables, serial, order, last_day, row["operator"], at_ms)
    return jobs


def with_serials(
    lines: Sequence[dict[str, Any]], at: int, serials: Sequence[int]
) -> list[dict[str, Any]]:
    """The lines of an order, one of them with its cards."""
    return [
        {**line, "serials": list(serials)} if place == at else line
        for place, line in enumerate(lines)
    ]


def _make_ticket(tables: Tables, serial: int, sku: str, spare: int, at_ms: int) -> bool:
    """False if its serial or its code is another's already, in a life that was put back."""
    profile = tables.table("pin_profiles").peek(sku)
    secret = tables.table("spares").peek(str(spare))
    if profile is None or secret is None or tables.table("pins").peek(str(serial)) is not None:
        return False
    tables.table("spares").drop(str(spare))
    counters = tables.table("counters")
    row = counters.peek("spares") or {"next": 1, "last": 0}
    counters.put("spares", {**row, "next": max(row["next"], spare + 1)})
    secrets = [secret["index"], secret["text"]]
    _put(tables, serial, sku, profile, secrets, "in_stock", at_ms)
    _count(tables, serial)
    prints.queue(tables, f"p-{serial}", "pin", str(serial))
    return True


def _sell(
    tables: Tables, serial: int, order: str, last_day: int, operator: str, at_ms: int
) -> None:
    table = tables.table("pins")
    row = table.row(str(serial))
    if row is None or row["state"] != "in_stock" or row["order"] not in ("", order):
        exceptions.note(tables, "pin-already-sold", order, at_ms, serial=serial)
        return
    before = (row["state"], row["holder"])
    row.update(state="sold", expires=row["expires"] or last_day)
    row["history"].append(["sell", at_ms, operator])
    promised, row["order"] = row["order"], order
    if not promised:
        _take_off(tables, row["profile"], before[1], [serial])
    table.put(str(serial), row)
    _end_recall(tables, before[1])


def check_refund(
    tables: Tables, order: str, lines: Sequence[Mapping[str, Any]], back: Any
) -> list[int]:
    """Serials of an order that go back with these lines ``[line, units, amount]``; a card that
    somebody else has bought first stays theirs. `Refused` ``bad-state`` if one was used, ``whole-
    lines`` for a part of a line."""
    found: list[int] = []
    for at, units, _ in back:
        line = lines[at]
        if line["kind"] not in SECRET_KINDS:
            continue
        if units != line["quantity"]:
            raise Refused("whole-lines")
        for serial in line["serials"]:
            row = of(tables, serial)
            if row["order"] == order:
                step("refund", row["state"], row["holder"], "")
                found.append(serial)
    return found


def take(tables: Tables, serial: int, session: str, at_ms: int) -> None:
    """A PC begins with it: what is left belongs to that session until it ends."""
    row = tables.table("pins").row(str(serial))
    if row is None or row["state"] not in OPENS:
        return
    if row["state"] == "sold":
        day = settings.today(tables, at_ms)
        profile = tables.table("pin_profiles").peek(row["profile"]) or {"validity": "none"}
        row["expires"] = row["expires"] or valid_through(profile, sold_on=day, used_on=day)
        row["history"].append(["use", at_ms, ""])
    row.update(state="in_use", session=session)
    tables.table("pins").put(str(serial), row)


def give(tables: Tables, serial: int, session: str, taken_s: int, at_ms: int) -> None:
    """A session with it has ended, and used so much of it."""
    row = tables.table("pins").row(str(serial))
    if row is None:
        return
    if row.get("session") == session:
        row["session"] = ""
    if row["state"] == "in_use":
        _, row["left_s"], row["state"] = use(row["left_s"], taken_s)
        row["history"].append(["used", at_ms, ""])
    tables.table("pins").put(str(serial), row)


def by_index(tables: Tables, index: str) -> int:
    """Serial of the PIN that opens a PC under this index; 0 for none."""
    rows = tables.table("pins").search(where("index") == index)
    return next((int(row["serial"]) for row in rows if row["state"] in OPENS), 0)


def apply_refund(tables: Tables, serials: Iterable[int], operator: str, at_ms: int) -> None:
    """Cards whose money went back are worth nothing any more."""
    for serial in serials:
        row = tables.table("pins").row(str(serial))
        if row is not None and row["state"] == "sold":
            row.update(state="deleted")
            row["history"].append(["refund", at_ms, operator])
            tables.table("pins").put(str(serial), row)


def _keep(tables: Tables, serial: int, row: dict[str, Any], before: tuple[str, str]) -> None:
    """Write a card down; it stands on the shelf of who may sell it."""
    after = (row["state"], row["holder"])
    if after != before and not row["order"]:
        if before[0] == "in_stock":
            _take_off(tables, row["profile"], before[1], [serial])
        if after[0] == "in_stock":
            _put_on(tables, row["profile"], after[1], [serial])
    tables.table("pins").put(str(serial), row)


def _put_on(tables: Tables, profile: str, holder: str, serials: Iterable[int]) -> None:
    ranges = put_on(shelf(tables, profile, holder), serials)
    tables.table("shelves").put(
        f"{profile}/{holder}", {"profile": profile, "holder": holder, "ranges": ranges}
    )


def _take_off(tables: Tables, profile: str, holder: str, serials: Iterable[int]) -> None:
    ranges = take_off(shelf(tables, profile, holder), serials)
    if ranges:
        row = {"profile": profile, "holder": holder, "ranges": ranges}
        tables.table("shelves").put(f"{profile}/{holder}", row)
    else:
        tables.table("shelves").drop(f"{profile}/{holder}")


def _end_recall(tables: Tables, station: str) -> None:
    """A station that holds nothing any more has given back what it was asked for."""
    recalls = tables.table("recalls")
    if station and recalls.peek(station) is not None and not held_by(tables, station):
        recalls.drop(station)


def _count(tables: Tables, serial: int) -> None:
    counters = tables.table("counters")
    row = counters.peek("pins") or {"value": 0}
    counters.put("pins", {"value": max(row["value"], serial)})


# --- queries ---------------------------------------------------------------------


def of(tables: Tables, serial: int) -> Mapping[str, Any]:
    """Row of a card or ticket, or `Refused` ``unknown-serial``."""
    return records.of(tables, "pins", str(serial), "unknown-serial")


def of_profile(tables: Tables, sku: str) -> Mapping[str, Any]:
    """Row of a profile, or `Refused` ``unknown-profile``."""
    return records.of(tables, "pin_profiles", sku, "unknown-profile")


def last_serial(tables: Tables) -> int:
    """The highest serial that was given; 0 for none."""
    counter = tables.table("counters").peek("pins")
    return 0 if counter is None else int(counter["value"])


def _next(tables: Tables) -> int:
    return last_serial(tables) + 1


def _first_spare(tables: Tables) -> int:
    counter = tables.table("counters").peek("spares")
    return 1 if counter is None else counter["next"]


def spares_left(tables: Tables) -> int:
    """Codes that are ready for tickets."""
    counter = tables.table("counters").peek("spares")
    return 0 if counter is None else counter["last"] - counter["next"] + 1


def wants_spares(tables: Tables) -> bool:
    """Whether the café sells tickets."""
    profiles = tables.table("pin_profiles")
    return any(row["form"] == "ticket" for _, row in profiles.scan())


def held_by(tables: Tables, station: str) -> list[int]:
    """Serials that a station holds and may sell, or has promised to an order that waits."""
    rows = tables.table("pins").search(where("holder") == station)
    return sorted(row["serial"] for row in rows if row["state"] == "in_stock")


def overdue(tables: Tables, at_ms: int) -> list[int]:
    """Serials that were good until yesterday."""
    day = settings.today(tables, at_ms)
    rows = tables.table("pins").matching((where("expires") >= 1) & (where("expires") < day))
    return sorted(row["serial"] for row in rows if row["state"] not in ENDED)


KINDS = (
    Kind("pin.profile", AddPinProfile, "profile.edit", decide_profile, server_only=True),
    Kind("pin.make", MakePins, "pin.make", decide_make, server_only=True),
    Kind("pin.spare", SparePins, "", decide_spare, server_only=True),
    Kind("pin.review", ReviewPins, "pin.review", decide_review, server_only=True),
    Kind("pin.stock", StockPins, "pin.stock", decide_stock, server_only=True),
    Kind("pin.consign", ConsignPins, "pin.consign", decide_consign, server_only=True),
    Kind("pin.return", ReturnPins, "", decide_return),
    Kind("pin.recall", RecallPins, "pin.consign", decide_recall, server_only=True),
    Kind("pin.burn", BurnPins, "pin.delete", decide_burn, server_only=True),
    Kind("pin.delete", DeletePins, "pin.delete", decide_delete, server_only=True),
    Kind("pin.expire", ExpirePins, "", decide_expire, server_only=True),
)
EVENTS = (
    EventKind("pin.profile-added", PinProfileAdded, apply_profile),
    EventKind("pins.made", PinsMade, apply_made, reapply=reapply_made),
    EventKind("pins.spared", PinsSpared, apply_spared),
    EventKind("pins.moved", PinsMoved, apply_moved, reapply=reapply_moved),
    EventKind("pins.recalled", PinsRecalled, apply_recalled),
)
INDEXES = {
    "pins": (("index", "holder"), ("expires",)),
    "spares": (("index",), ()),
}
