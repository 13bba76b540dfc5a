"""Registered customers: who they are, whether they are locked, and that they are gone.

What a person told of themselves stands in acts of its own and in a table of its own (``people``),
so that it can be taken out of every log when they leave; the account (``customers``) and what moved
on it stay. Contact data are sealed to the café: stations carry them and cannot read them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta
from msgspec.structs import replace
from tinydb import where
from tinydb.queries import QueryInstance

from node.cafe import accounts, bill, box, catalog, pictures, prints, profiles, records
from node.cafe.kinds import Acting, Code, Command, EventKind, Fact, Hex, Kind, Reason, event
from node.cafe.pictures import Picture
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event, Op

HOUR_S, DAY_S = 3600, 86_400
LONGEST_LOCK_S = 365 * DAY_S
LONGEST_REASON = 500
SHORTEST_USER, LONGEST_USER = 4, 32
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 12
CONFLICTS_KEPT = 20

# --- commands ----------------------------------------------------------------

User = Annotated[str, Meta(max_length=40)]
PersonName = Annotated[str, Meta(max_length=60)]
Sealed = Annotated[str, Meta(max_length=2048, pattern=r"^([0-9a-f]{2})*\Z")]


class CreateCustomer(Command, frozen=True):
    """A new account; who it is for is said by `DescribeCustomer`."""

    profile: Code


class Person(Command, frozen=True):
    """What a customer tells of themselves; the sealed ones only the server can read."""

    user: User
    first: PersonName = ""
    last: PersonName = ""
    document: Sealed = ""
    email: Sealed = ""
    phone: Sealed = ""
    birth: Sealed = ""
    photo: Picture = ""
    """A blob that is sealed as well."""


class DescribeCustomer(Command, frozen=True):
    """Say whose a new account is."""

    customer: Hex
    person: Person


class EditCustomer(Command, frozen=True):
    """Change what is known of a person: field → [version of it that was seen, new value]."""

    customer: Hex
    changes: records.ChangeMap


class PersonFields(Command, frozen=True):
    """What may stand in the fields of a person."""

    user: User | None = None
    first: PersonName | None = None
    last: PersonName | None = None
    document: Sealed | None = None
    email: Sealed | None = None
    phone: Sealed | None = None
    birth: Sealed | None = None
    photo: Picture | None = None


class SetProfile(Command, frozen=True):
    """Another profile for a customer."""

    customer: Hex
    profile: Code


class LockCustomer(Command, frozen=True):
    """Bar a customer for some hours or days, or with neither until they are unlocked."""

    customer: Hex
    hours: Annotated[int, Meta(ge=-(10**6), le=10**6)] | None = None
    days: Annotated[int, Meta(ge=-(10**6), le=10**6)] | None = None
    reason: Annotated[str, Meta(max_length=10_000)] = ""


class UnlockCustomer(Command, frozen=True):
    customer: Hex


class SetPassword(Command, frozen=True):
    """A customer has made their password at a PC; done by the server itself."""

    customer: Hex
    verifier: Sealed
    """An Argon2id hash, sealed to the café: stations carry it and cannot read it."""


class ForgetPassword(Command, frozen=True):
    """Delete a customer's password: they make another one at a PC."""

    customer: Hex


class MakeCode(Command, frozen=True):
    """A code with which a customer makes their first password; its secret is made at the server."""

    customer: Hex
    secret: tuple[Hex, Hex]
    """(index, text), as of a PIN."""
    printed: bool = False
    """Whether it gets a paper of its own, and does not wait for the customer's next ticket."""


class DeleteCustomer(Command, frozen=True):
    """A customer leaves: what is left of their credit is paid out or forfeited, a debt is paid
    before or written off, and their personal data is erased."""

    customer: Hex
    credit: Literal["refund", "forfeit"]
    reason: Reason
    write_off: bool = False


# --- events ------------------------------------------------------------------


class CustomerCreated(Fact, frozen=True):
    customer: str
    profile: str
    operator: str
    station: str
    at_ms: int


class PersonDescribed(Fact, frozen=True):
    """Folded into ``people`` and nothing else: it can be erased."""

    customer: str
    person: dict[str, Any]
    wanted: str
    """The user name that was asked for, which somebody else may have had already."""
    key: str


class PersonEdited(Fact, frozen=True):
    """Folded into ``people`` and nothing else: it can be erased."""

    customer: str
    values: dict[str, Any]
    conflicts: dict[str, list[Any]]
    settled: list[str]
    """Fields whose conflict a person has looked at."""
    operator: str
    at_ms: int
    key: str


class ProfileSet(Fact, frozen=True):
    customer: str
    profile: str
    operator: str
    at_ms: int


class CustomerLocked(Fact, frozen=True):
    customer: str
    locked: bool
    until_ms: int
    """Server's UTC; 0 until somebody unlocks."""
    reason: str
    operator: str
    station: str
    at_ms: int


class PasswordSet(Fact, frozen=True):
    customer: str
    verifier: str
    """Empty: it was deleted."""
    operator: str
    station: str
    at_ms: int


class CodeMade(Fact, frozen=True):
    customer: str
    secret: list[str]
    printed: bool = False
    seq: int = 0


class CustomerDeleted(Fact, frozen=True):
    customer: str
    paid_out_minor: int
    forfeited_minor: int
    """Credit and bonus that went."""
    written_off_minor: int
    reason: str
    operator: str
    at_ms: int
    box: int
    keys: list[str]
    """Of the acts whose bodies are to be erased."""


# --- who -----------------------------------------------------------------------


def fold_user(user: str) -> str:
    """A user name as it is compared: NFC, case-folded."""
    return unicodedata.normalize("NFC", user).strip().casefold()


def check_user(user: str) -> str:
    """The user name as it is kept, or `Refused` ``bad-user``."""
    kept = unicodedata.normalize("NFC", user).strip()
    if not SHORTEST_USER <= len(kept) <= LONGEST_USER or "~" in kept:
        raise Refused("bad-user", shortest=SHORTEST_USER, longest=LONGEST_USER)
    return kept


def free_name(user: str, is_taken: Any) -> tuple[str, bool]:
    """(the name that is still free, whether it is another than was wanted)."""
    name, number = user, 1
    while is_taken(fold_user(name)):
        number += 1
        name = f"{user}~{number}"
    return name, number > 1


def where_user(folded: str) -> QueryInstance:
    """The person with this user name, as `fold_user` writes it."""
    return cast(QueryInstance, where("folded") == folded)


def find(tables: Tables, user: str) -> str:
    """Id of the customer with this user name, or `Refused` ``unknown-customer``."""
    row = tables.table("people").get(where_user(fold_user(user)))
    if row is None:
        raise Refused("unknown-customer", what=user[:40])
    return str(row.doc_id)


def person(tables: Tables, customer: str) -> Mapping[str, Any]:
    """What is known of who has an account, or `Refused` ``unknown-customer``."""
    return records.of(tables, "people", customer, "unknown-customer")


def full_name(tables: Tables, customer: str) -> str:
    """First and last name, or the user name; empty for who has left."""
    row = tables.table("people").peek(customer)
    if row is None:
        return ""
    return f"{row['first']} {row['last']}".strip() or str(row["user"])


# --- locks ---------------------------------------------------------------------

BARRED = frozenset({"sign-in", "redeem", "spend", "transfer"})
"""What a locked customer cannot do; charging and receiving go on."""


def lock_until(at_s: int, hours: int | None, days: int | None, reason: str) -> int | None:
    """Instant at which a lock ends, None for never. `Refused` ``out-of-range``, ``too-long``."""
    if len(reason) > LONGEST_REASON:
        raise Refused("too-long", what="reason", longest=LONGEST_REASON)
    if hours is None and days is None:
        return None
    length_s = (hours or 0) * HOUR_S + (days or 0) * DAY_S
    if not HOUR_S <= length_s <= LONGEST_LOCK_S:
        raise Refused("out-of-range", what="hours")
    return at_s + length_s


# --- decide --------------------------------------------------------------------


def decide_create(tables: Tables, command: CreateCustomer, acting: Acting) -> list[Event]:
    profile = profiles.of(tables, command.profile)
    if not profile["active"]:
        raise Refused("unknown-profile", what=command.profile)
    fact = CustomerCreated(
        customer=acting.context.op.key.hex(),
        profile=command.profile,
        operator=acting.operator_id,
        station=acting.station_id,
        at_ms=acting.context.at_ms,
    )
    return [event("customer.created", fact)]


def decide_describe(tables: Tables, command: DescribeCustomer, acting: Acting) -> list[Event]:
    of(tables, command.customer)
    people = tables.table("people")
    if people.peek(command.customer) is not None:
        raise Refused("already-exists", what="customer")
    wanted = check_user(command.person.user)
    name = _free(tables, wanted, acting)
    person = {**msgspec.to_builtins(command.person), "user": name}
    key = acting.context.op.key.hex()
    fact = PersonDescribed(customer=command.customer, person=person, wanted=wanted, key=key)
    return [event("customer.described", fact)]


def _free(tables: Tables, wanted: str, acting: Acting) -> str:
    """A user name that nobody has: at the place where it is asked for it is the wanted one, or
    `Refused` ``name-taken``."""
    people = tables.table("people")
    name, other = free_name(wanted, lambda folded: people.contains(where_user(folded)))
    if other and (acting.desk or not acting.context.server):
        raise Refused("name-taken", name=wanted)
    return name


def decide_edit(tables: Tables, command: EditCustomer, acting: Acting) -> list[Event]:
    of(tables, command.customer)
    row = tables.table("people").peek(command.customer)
    if row is None:
        raise Refused("unknown-customer", what="")
    changes = dict(records.read_changes(command.changes, PersonFields))
    if "user" in changes:
        seen, wanted = changes["user"]
        kept = check_user(wanted)
        if fold_user(kept) != row["folded"]:
            kept = _free(tables, kept, acting)
        changes["user"] = (seen, kept)
    merged = records.merge(row, changes)
    fact = PersonEdited(
        customer=command.customer,
        values=merged.values,
        conflicts=merged.conflicts,
        settled=[field for field in changes if field in row["conflicts"]] if acting.desk else [],
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
        key=acting.context.op.key.hex(),
    )
    return [event("customer.edited", fact)]


def decide_profile(tables: Tables, command: SetProfile, acting: Acting) -> list[Event]:
    of(tables, command.customer)
    if not profiles.of(tables, command.profile)["active"]:
        raise Refused("unknown-profile", what=command.profile)
    fact = ProfileSet(
        customer=command.customer,
        profile=command.profile,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("customer.profile-set", fact)]


def decide_lock(tables: Tables, command: LockCustomer, acting: Acting) -> list[Event]:
    of(tables, command.customer)
    at_ms = acting.context.at_ms
    until_s = lock_until(at_ms // 1000, command.hours, command.days, command.reason)
    until_ms = 0 if until_s is None else until_s * 1000 + at_ms % 1000
    return _locked(command.customer, True, until_ms, command.reason, acting)


def decide_unlock(tables: Tables, command: UnlockCustomer, acting: Acting) -> list[Event]:
    row = of(tables, command.customer)
    if not row["lock"]:
        raise Refused("not-locked")
    return _locked(command.customer, False, 0, "", acting)


def _locked(customer: str, locked: bool, until_ms: int, reason: str, acting: Acting) -> list[Event]:
    fact = CustomerLocked(
        customer=customer,
        locked=locked,
        until_ms=until_ms,
        reason=reason,
        operator=acting.operator_id,
        station=acting.station_id,
        at_ms=acting.context.at_ms,
    )
    return [event("customer.locked", fact)]


def decide_password(tables: Tables, command: SetPassword, acting: Acting) -> list[Event]:
    of(tables, command.customer)
    if has_password(tables, command.customer):
        raise Refused("has-password")
    return _password(command.customer, command.verifier, acting)


def decide_forget(tables: Tables, command: ForgetPassword, acting: Acting) -> list[Event]:
    of(tables, command.customer)
    if not has_password(tables, command.customer):
        raise Refused("nothing-to-do")
    return _password(command.customer, "", acting)


def _password(customer: str, verifier: str, acting: Acting) -> list[Event]:
    fact = PasswordSet(
        customer=customer,
        verifier=verifier,
        operator=acting.operator_id,
        station=acting.station_id,
        at_ms=acting.context.at_ms,
    )
    return [event("customer.password-set", fact)]


def decide_code(tables: Tables, command: MakeCode, acting: Acting) -> list[Event]:
    of(tables, command.customer)
    if has_password(tables, command.customer):
        raise Refused("has-password")
    fact = CodeMade(
        customer=command.customer,
        secret=list(command.secret),
        printed=command.printed,
        seq=acting.context.seq,
    )
    return [event("customer.code-made", fact)]


def decide_delete(tables: Tables, command: DeleteCustomer, acting: Acting) -> list[Event]:
    row = of(tables, command.customer)
    if not command.reason.strip():
        raise Refused("reason-needed")
    if row.get("session"):
        raise Refused("in-session")
    credit, bonus = row["credit"], row["bonus"]
    if credit > 0 and command.credit == "refund" and not acting.desk:
        raise Refused("server-only", kind="customer.delete")
    if credit < 0 and not command.write_off:
        raise Refused("in-debt", debt_minor=-credit)
    opened = box.current(tables)
    paid_out = max(0, credit) if command.credit == "refund" else 0
    person = tables.table("people").peek(command.customer) or {"keys": []}
    refused = [
        str(other["key"])
        for other in tables.table("refusals").search(where("about") == command.customer)
    ]
    fact = CustomerDeleted(
        customer=command.customer,
        paid_out_minor=paid_out,
        forfeited_minor=max(0, credit) - paid_out + bonus,
        written_off_minor=max(0, -credit),
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
        box=opened["number"],
        keys=[*person["keys"], *refused],
    )
    return [event("customer.deleted", fact)]


def of(tables: Tables, customer: str) -> Mapping[str, Any]:
    """Row of an account, or `Refused`: ``unknown-customer``, ``deleted``."""
    row = records.of(tables, "customers", customer, "unknown-customer")
    if row["deleted"]:
        raise Refused("deleted")
    return row


# --- apply -----------------------------------------------------------------------


def apply_created(tables: Tables, fact: CustomerCreated) -> None:
    row = accounts.new_account(fact.profile, fact.at_ms)
    tables.table("customers").put(fact.customer, row)
    accounts.move(tables, fact.customer, "created", fact.at_ms, fact.operator, station=fact.station)


def apply_described(tables: Tables, fact: PersonDescribed) -> None:
    row = {**fact.person, "keys": [fact.key], "conflicts": {}}
    row["renamed"] = fact.wanted if fact.person["user"] != fact.wanted else ""
    _put_person(tables, fact.customer, row)


def reapply_described(tables: Tables, fact: PersonDescribed) -> None:
    """Of a lost life: who has left stays forgotten, and a name that somebody has now is theirs."""
    people = tables.table("people")
    if _is_gone(tables, fact.customer):
        tables.table("erasing").put(fact.key, {"customer": fact.customer})
    elif people.peek(fact.customer) is None:
        wanted = fact.person["user"]
        name, _ = free_name(wanted, lambda folded: people.contains(where_user(folded)))
        apply_described(tables, replace(fact, person={**fact.person, "user": name}))


def reapply_edited(tables: Tables, fact: PersonEdited) -> None:
    if _is_gone(tables, fact.customer):
        tables.table("erasing").put(fact.key, {"customer": fact.customer})
    else:
        apply_edited(tables, fact)


def _is_gone(tables: Tables, customer: str) -> bool:
    row = tables.table("customers").peek(customer)
    return row is not None and bool(row["deleted"])


def apply_edited(tables: Tables, fact: PersonEdited) -> None:
    row = tables.table("people").row(fact.customer)
    if row is None:
        return
    row["conflicts"] = {f: c for f, c in row["conflicts"].items() if f not in fact.settled}
    for field, values in fact.conflicts.items():
        _, first, _ = row.get("versions", {}).get(field, [1, "", 0])
        row["conflicts"][field] = [*values, first, fact.operator, fact.at_ms]
    records.bump(row, fact.values, fact.operator, fact.at_ms)
    row.update(fact.values)
    if "user" in fact.values:
        row["renamed"] = fact.values["user"] if "~" in fact.values["user"] else ""
    row["keys"].append(fact.key)
    _put_person(tables, fact.customer, row)


def _put_person(tables: Tables, customer: str, row: dict[str, Any]) -> None:
    row["folded"] = fold_user(row["user"])
    row["search"] = catalog.fold(f"{row['user']} {row['last']} {row['first']}")
    before = tables.table("people").peek(customer) or {}
    pictures.follow(tables, f"people/{customer}", before.get("photo", ""), row.get("photo", ""))
    tables.table("people").put(customer, row)


def apply_profile(tables: Tables, fact: ProfileSet) -> None:
    accounts.change(tables, fact.customer, profile=fact.profile)
    accounts.move(tables, fact.customer, "profile", fact.at_ms, fact.operator, detail=fact.profile)


def apply_locked(tables: Tables, fact: CustomerLocked) -> None:
    lock = {"until_ms": fact.until_ms, "reason": fact.reason} if fact.locked else None
    accounts.change(tables, fact.customer, lock=lock)
    accounts.move(
        tables,
        fact.customer,
        "locked" if fact.locked else "unlocked",
        fact.at_ms,
        fact.operator,
        station=fact.station,
        detail=fact.reason,
        until_ms=fact.until_ms,
    )


def apply_password(tables: Tables, fact: PasswordSet) -> None:
    verifiers = tables.table("verifiers")
    if fact.verifier:
        verifiers.put(fact.customer, {"sealed": fact.verifier})
    else:
        verifiers.drop(fact.customer)
    tables.table("codes").drop(fact.customer)
    if not fact.verifier:
        bill.end_soon(tables, bill.session_of(tables, fact.customer), "password")
    what = "password-made" if fact.verifier else "password-deleted"
    accounts.move(tables, fact.customer, what, fact.at_ms, fact.operator, station=fact.station)


def apply_code(tables: Tables, fact: CodeMade) -> None:
    index, text = fact.secret
    tables.table("codes").put(fact.customer, {"index": index, "text": text})
    if fact.printed:
        prints.queue(tables, f"c-{fact.seq}", "code", fact.customer)


def apply_deleted(tables: Tables, fact: CustomerDeleted) -> None:
    row = tables.table("customers").peek(fact.customer)
    if row is None or row["deleted"]:
        return
    credit, bonus = row["credit"], row["bonus"]
    accounts.move(
        tables, fact.customer, "deleted", fact.at_ms, fact.operator,
        credit=-credit, bonus=-bonus, detail=fact.reason,
    )  # fmt: skip
    accounts.change(tables, fact.customer, deleted=True, lock=None, expires=0)
    person_ = tables.table("people").peek(fact.customer) or {}
    pictures.follow(tables, f"people/{fact.customer}", person_.get("photo", ""), "")
    for name in ("people", "verifiers", "codes"):
        tables.table(name).drop(fact.customer)
    for key in fact.keys:
        tables.table("erasing").put(key, {"customer": fact.customer})
    if fact.paid_out_minor:
        moved = box.CashMoved(
            box=fact.box,
            amount_minor=-fact.paid_out_minor,
            reason=fact.reason,
            operator=fact.operator,
            at_ms=fact.at_ms,
        )
        box.apply_moved(tables, moved)


def reapply_deleted(tables: Tables, fact: CustomerDeleted) -> None:
    """What was paid out in a box that this life has closed is for a person."""
    row = tables.table("customers").peek(fact.customer)
    if row is None or row["deleted"]:
        return
    paid_out, fact = fact.paid_out_minor, replace(fact, paid_out_minor=0)
    apply_deleted(tables, fact)
    if paid_out:
        moved = box.CashMoved(
            box=fact.box,
            amount_minor=-paid_out,
            reason=fact.reason,
            operator=fact.operator,
            at_ms=fact.at_ms,
        )
        box.reapply_moved(tables, moved)


def note_refused(tables: Tables, refusal: dict[str, Any], op: Op) -> None:
    """An act with personal data was refused: it is erased with its customer, or at once if there is
    none; what it said stands in no refusal."""
    about = op.body.get("customer")
    refusal["about"] = about if isinstance(about, str) else ""
    refusal["details"] = {}
    row = tables.table("customers").peek(refusal["about"])
    if row is None or row["deleted"]:
        tables.table("erasing").put(op.key.hex(), {"customer": refusal["about"]})


# --- queries ---------------------------------------------------------------------


def doubtful(tables: Tables) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """People with a name that somebody else had first, or with an edit that came second."""
    return [
        (customer, row)
        for customer, row in tables.table("people").scan()
        if row["renamed"] or row["conflicts"]
    ]


def has_password(tables: Tables, customer: str) -> bool:
    return tables.table("verifiers").peek(customer) is not None


def without_code(tables: Tables, most: int) -> list[str]:
    """Accounts that have neither a password nor a code to make one with."""
    found = []
    codes, verifiers = tables.table("codes"), tables.table("verifiers")
    for customer, _ in tables.table("people").scan():
        if codes.peek(customer) is None and verifiers.peek(customer) is None:
            found.append(customer)
            if len(found) == most:
                break
    return found


def check_password(password: str) -> None:
    """`Refused` ``bad-password`` for what no customer's password may be: 8 to 12 ASCII letters and
    digits, one of each at least; case counts."""
    plain = password.isascii() and password.isalnum()
    both = any(c.isdigit() for c in password) and any(c.isalpha() for c in password)
    if not (plain and both and SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD):
        raise Refused("bad-password", shortest=SHORTEST_PASSWORD, longest=LONGEST_PASSWORD)


KINDS = (
    Kind("customer.create", CreateCustomer, "customer.create", decide_create),
    Kind("customer.describe", DescribeCustomer, "customer.create", decide_describe),
    Kind("customer.edit", EditCustomer, "customer.edit", decide_edit),
    Kind("customer.profile", SetProfile, "customer.edit", decide_profile, needs_server=True),
    Kind("customer.lock", LockCustomer, "customer.lock", decide_lock),
    Kind("customer.unlock", UnlockCustomer, "customer.lock", decide_unlock),
    Kind("customer.password", SetPassword, "", decide_password, server_only=True),
    Kind("customer.forget", ForgetPassword, "customer.password", decide_forget, needs_server=True),
    Kind("customer.code", MakeCode, "", decide_code, server_only=True),
    Kind("customer.delete", DeleteCustomer, "customer.delete", decide_delete, needs_server=True),
)
EVENTS = (
    EventKind("customer.created", CustomerCreated, apply_created),
    EventKind("customer.described", PersonDescribed, apply_described, reapply=reapply_described),
    EventKind("customer.edited", PersonEdited, apply_edited, reapply=reapply_edited),
    EventKind("customer.profile-set", ProfileSet, apply_profile),
    EventKind("customer.locked", CustomerLocked, apply_locked),
    EventKind("customer.password-set", PasswordSet, apply_password),
    EventKind("customer.code-made", CodeMade, apply_code),
    EventKind("customer.deleted", CustomerDeleted, apply_deleted, reapply=reapply_deleted),
)
INDEXES = {"people": (("folded",), ()), "refusals": (("key", "about"), ("seq",))}
PERSONAL = frozenset({"customer.describe", "customer.edit"})
"""Kinds whose bodies hold personal data, and are erased with their customer."""
