"""Customers by command line and screen: made in one go, their contact data sealed and opened, the
record of what moved, CSV both ways."""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from node.cafe import accounts, customers, receipts, records, settings
from node.cafe.catalog import BadRow, fold, quoted, unquoted
from node.cafe.house import KINDS
from node.cafe.kinds import read_command, tidy
from node.cafe.money import exponent, major, parse_minor
from node.papers import write_csv
from node.pictures import is_small, shrink
from node.roles.base import Node
from node.roles.server import ServerNode
from node.text import say, when
from sync.errors import Malformed, Refused
from sync.sealed import open_body, seal_body

CONTACT = ("document", "email", "phone", "birth")
"""What of a person only the server can read."""
NAMES = ("user", "first", "last")
LONGEST_CONTACT = 200


def seal(node: Node, text: str) -> str:
    """A contact datum as it goes into an op; empty stays empty. `Refused` ``too-long``."""
    if len(text) > LONGEST_CONTACT:
        raise Refused("too-long", what=text[:20], longest=LONGEST_CONTACT)
    if not text:
        return ""
    public = bytes.fromhex(settings.cafe(node.tables)["cafe_key"])
    return seal_body(public, node.cafe_id, text.encode()).hex()


def contact_of(node: Node, person: Mapping[str, Any]) -> dict[str, str]:
    """Contact data in clear; at a station, and of what cannot be opened, ``•••``."""
    return {name: opened(node, person[name]) for name in CONTACT}


def opened(node: Node, sealed: str) -> str:
    """One contact datum in clear, as `contact_of` shows it."""
    if not sealed:
        return ""
    if not isinstance(node, ServerNode):
        return "•••"
    try:
        return open_body(node.keys.cafe_key, node.cafe_id, bytes.fromhex(sealed)).decode()
    except (Malformed, ValueError):
        return "•••"


def person_of(node: Node, typed: Mapping[str, str]) -> dict[str, str]:
    """A person as an op holds them; `Refused` ``bad-user``, ``bad-value``, ``too-long``."""
    _check_birth(typed.get("birth", ""))
    person = {name: tidy(typed.get(name, "")) for name in NAMES}
    person["user"] = customers.check_user(person["user"])
    sealed = {name: seal(node, tidy(typed.get(name, ""))) for name in CONTACT}
    return {name: value for name, value in {**person, **sealed}.items() if value}


def _check_birth(text: str) -> None:
    try:
        born = dt.date.fromisoformat(text) if text else None
    except ValueError:
        raise Refused("bad-value", what=text[:20]) from None
    if born is not None and not 1880 <= born.year <= 2200:
        raise Refused("bad-value", what=text[:20])


async def set_photo(node: Node, customer: str, data: bytes) -> None:
    """A PNG or JPEG of a customer, sealed to the café like all that they tell; none if it is empty.
    `Refused` ``bad-picture``, `StorageFailed`."""
    row = customers.person(node.tables, customer)
    digest = ""
    if data:
        small = await asyncio.to_thread(shrink, data)
        public = bytes.fromhex(settings.cafe(node.tables)["cafe_key"])
        digest = node.driver.add_blob(seal_body(public, node.cafe_id, small)).hex()
    changes = records.changes_to({"photo": "", **row}, {"photo": digest})
    if changes:
        await node.submit("customer.edit", {"customer": customer, "changes": changes})


def photo_of(node: Node, person: Mapping[str, Any]) -> bytes | None:
    """A customer's photo as WebP, at the server; None where there is none, or it is on its way."""
    digest = person.get("photo", "")
    sealed = node.driver.blob(bytes.fromhex(digest)) if digest else None
    if sealed is None or not isinstance(node, ServerNode):
        return None
    try:
        small = open_body(node.keys.cafe_key, node.cafe_id, sealed)
    except Malformed:
        return None
    return small if is_small(small) else None


async def create(node: Node, profile: str, typed: Mapping[str, str]) -> str:
    """A new customer; the id. The name is looked at before anything is done. `Refused`: ``bad-
    user``, ``name-taken``, ``unknown-profile``, ``no-permission``…"""
    person = person_of(node, typed)
    read_command(KINDS["customer.describe"], {"customer": "", "person": person})
    try:
        customers.find(node.tables, person["user"])
    except Refused:
        pass  # nobody has it
    else:
        raise Refused("name-taken", name=person["user"])
    receipt = await node.submit("customer.create", {"profile": profile})
    customer = receipt.key.hex()
    await node.submit("customer.describe", {"customer": customer, "person": person})
    return customer


async def edit(node: Node, customer: str, typed: Mapping[str, str]) -> bool:
    """Change what differs from what is known; whether something did. `Refused` as `create`."""
    row = customers.person(node.tables, customer)
    _check_birth(typed.get("birth", ""))
    known = contact_of(node, row)
    values = {name: tidy(typed[name]) for name in NAMES if name in typed}
    for name in CONTACT:
        if name in typed and tidy(typed[name]) != known[name]:
            values[name] = seal(node, tidy(typed[name]))
    changes = records.changes_to(row, values)
    if not changes:
        return False
    await node.submit("customer.edit", {"customer": customer, "changes": changes})
    return True


def rows_of(node: Node, words: str, limit: int) -> list[dict[str, Any]]:
    """Customers whose names begin so, with their accounts."""
    found = []
    for customer in find(node, words, limit):
        account = node.tables.table("customers").row(customer)
        person = node.tables.table("people").peek(customer)
        if account is not None and person is not None:
            names = {name: person[name] for name in NAMES}
            found.append({"id": customer, **names, **account})
    return found


_shelves: WeakKeyDictionary[Node, tuple[int, list[tuple[str, str]], list[str]]] = (
    WeakKeyDictionary()
)
"""Per node: version of the table of people, (words that are searched, id) in their order, and the
ids of those that need a person."""


def _known(node: Node) -> tuple[list[tuple[str, str]], list[str]]:
    """Made anew only when somebody has changed: screens ask with every key."""
    table = node.tables.table("people")
    kept = _shelves.get(node)
    if kept is None or kept[0] != table.version:
        rows = sorted((f" {row['search']}", customer) for customer, row in table.scan())
        doubtful = [customer for customer, _ in customers.doubtful(node.tables)]
        kept = _shelves[node] = (table.version, rows, doubtful)
    return kept[1], kept[2]


def find(node: Node, words: str, limit: int) -> list[str]:
    """Ids of customers whose user, last or first name begin with these words, accents ignored."""
    wanted = [f" {word}" for word in fold(words).split()]
    fitting = (one for text, one in _known(node)[0] if all(word in text for word in wanted))
    return list(islice(fitting, limit))


def doubtful(node: Node) -> list[str]:
    """Ids of people with a name that somebody else had first, or an edit that came second."""
    return _known(node)[1]


# --- what moved --------------------------------------------------------------

TRACKED = ("at", "what", "detail", "by", "credit", "bonus", "points", "minutes", "balance")


def tracking(
    node: Node, customer: str, count: int = 200, before: int = 1 << 62, what: str = ""
) -> list[dict[str, Any]]:
    """Movements of an account for people, the newest first; ``what`` one kind alone."""
    tables, language = node.tables, node.language
    zone = settings.cafe(tables).get("time_zone", "")
    found: list[dict[str, Any]] = []
    for row in accounts.movements(tables, customer, 1 << 30 if what else count, before):
        if len(found) == count:
            break
        if what in ("", row["what"]):
            found.append(
                {
                    "number": row["number"],
                    "at_ms": row["at_ms"],
                    "at": when(row["at_ms"], language, date=True, zone=zone),
                    "what": row["what"],
                    "detail": detail_of(node, row),
                    "by": receipts.name_of(tables, row["operator"]) if row["operator"] else "",
                    "where": receipts.station_name(tables, row["station"]),
                    "credit": row["credit"],
                    "bonus": row["bonus"],
                    "points": row["points"],
                    "minutes": row["seconds"] // 60,
                    "balance": row["credit_after"] + row["bonus_after"],
                    "points_after": row["points_after"],
                }
            )
    return found


def detail_of(node: Node, row: Mapping[str, Any]) -> str:
    """What a movement is about, in a few words."""
    tables, language = node.tables, node.language
    details, ref = row["details"], row["ref"]
    match row["what"]:
        case "charged" | "purchase" | "refunded":
            order = tables.table("orders").peek(ref)
            if order is None:
                return ""
            names = ", ".join(f"{line['quantity']} {line['name']}" for line in order["lines"][:3])
            return f"{names} · {order['label']}"
        case "given" | "received":
            return customers.full_name(tables, ref) or "–"
        case "redeemed" if details["products"]:
            return ", ".join(f"{units} {name}" for _, name, units, _ in details["products"])
        case "redeemed" | "redeem-undone":
            minutes = abs(row["seconds"]) // 60
            return say(language, "pin.minutes", minutes=minutes) if minutes else ""
        case "locked" if details.get("until_ms"):
            until = when(details["until_ms"], language, date=True)
            return f"{details['detail']} → {until}" if details["detail"] else f"→ {until}"
        case "edited":
            return str(details["reason"])
    return str(details.get("detail", ""))


def tracking_csv(node: Node, customer: str) -> str:
    """All movements of an account as CSV; amounts in major units with a point."""
    places = exponent(settings.cafe(node.tables)["currency"])

    def amount(minor: int) -> str:
        return f"{'-' if minor < 0 else ''}{major(abs(minor), places)}"

    rows = [
        [
            row["at"], row["what"], row["detail"], row["by"], amount(row["credit"]),
            amount(row["bonus"]), row["points"], row["minutes"], amount(row["balance"]),
        ]
        for row in tracking(node, customer, 1 << 30)
    ]  # fmt: skip
    return write_csv([say(node.language, f"track.{name}") for name in TRACKED], rows)


# --- CSV ---------------------------------------------------------------------

COLUMNS = ("user", "first_name", "last_name", "profile")
OPTIONAL = ("document", "email", "phone", "birth_date", "credit", "points", "expires")
_FIELDS = {"user": "user", "first_name": "first", "last_name": "last", "birth_date": "birth"}


def export_csv(node: Node) -> str:
    """Every customer as `read_csv` takes them."""
    places = exponent(settings.cafe(node.tables)["currency"])
    rows = []
    for customer in find(node, "", 1 << 30):
        person = customers.person(node.tables, customer)
        account = accounts.of(node.tables, customer)
        contact = contact_of(node, person)
        sign = "-" if account["credit"] < 0 else ""
        day = dt.date.fromordinal(account["expires"]).isoformat() if account["expires"] else ""
        rows.append(
            [
                quoted(person["user"]), quoted(person["first"]), quoted(person["last"]),
                account["profile"], *(quoted(contact[name]) for name in CONTACT),
                f"{sign}{major(abs(account['credit']), places)}", account["points"], day,
            ]
        )  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([COLUMNS + OPTIONAL, *rows])
    return out.getvalue()


def read_csv(node: Node, text: str) -> tuple[list[dict[str, Any]], list[BadRow]]:
    """Customers in a CSV file, and its bad rows. Any bad row means: import nothing."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    try:
        head = reader.fieldnames or []
        rows = [(reader.line_num, values) for values in reader]
    except csv.Error as error:
        return [], [BadRow(reader.line_num, "bad-columns", str(error))]
    unknown = [column for column in head if column not in COLUMNS + OPTIONAL]
    missing = [column for column in COLUMNS if column not in head]
    if missing or unknown:
        return [], [BadRow(1, "bad-columns", ", ".join(missing or unknown))]
    found: list[dict[str, Any]] = []
    bad: list[BadRow] = []
    seen: dict[str, int] = {}
    for line, values in rows:
        try:
            one = _read_row(node, values)
            folded = customers.fold_user(one["typed"]["user"])
            if folded in seen:
                raise Refused("repeated", what=f"{one['typed']['user']} (line {seen[folded]})")
            if node.tables.table("people").contains(customers.where_user(folded)):
                raise Refused("repeated", what=one["typed"]["user"])
            seen[folded] = line
            found.append(one)
        except Refused as refusal:
            what = str(refusal.details.get("what", ""))
            code = refusal.code if refusal.code in ("bad-columns", "repeated") else "bad-value"
            bad.append(BadRow(line, code, what or refusal.code))
        except ValueError as error:
            bad.append(BadRow(line, "bad-number", str(error)))
    if not found and not bad:
        bad.append(BadRow(1, "empty", ""))
    return found, bad


def _read_row(node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
    if None in values or None in values.values():
        raise Refused("bad-columns", what="too many or too few values")
    typed = {_FIELDS.get(column, column): unquoted(cell) for column, cell in values.items()}
    person = person_of(node, typed)  # all is refused here, before anybody is made
    read_command(KINDS["customer.describe"], {"customer": "", "person": person})
    profile = tidy(values["profile"])
    known = node.tables.table("profiles").peek(profile)
    if known is None or not known["active"]:
        raise Refused("unknown-profile", what=profile)
    currency = settings.cafe(node.tables)["currency"]
    balance = {
        "credit": parse_minor(values.get("credit") or "0", currency),
        "points": int(values.get("points") or "0"),
        "expires": _ordinal(values.get("expires") or ""),
    }
    changes = {name: [0, value] for name, value in balance.items()}
    read_command(KINDS["customer.balance"], {"customer": "", "reason": "x", **changes})
    return {"profile": profile, "typed": typed, "balance": balance}


def _ordinal(text: str) -> int:
    return dt.date.fromisoformat(text).toordinal() if text else 0


async def import_rows(
    node: Node, rows: Sequence[Mapping[str, Any]], reason: str, tell: Any = lambda done, of: None
) -> int:
    """Make the customers of a file that `read_csv` found good; how many."""
    for number, row in enumerate(rows, 1):
        customer = await create(node, row["profile"], row["typed"])
        changes = {name: [0, value] for name, value in row["balance"].items() if value}
        if changes:
            body = {"customer": customer, "reason": reason, **changes}
            await node.submit("customer.balance", body)
        tell(number, len(rows))
    return len(rows)
