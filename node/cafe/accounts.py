"""What moves on a customer's account: charges, purchases, points, time; and the record of it.

Every change goes through `move`, which writes the movement with what is left beside it: the running
balance is the account. What a sale or a refund does is worked out where it is decided, and stands
in its event; here it is only added up.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from tinydb import where

from node.cafe import benefits, bill, box, credit, exceptions, profiles, records, settings, stock
from node.cafe.kinds import Acting, Code, Command, EventKind, Fact, Hex, Kind, Quantity, event
from node.cafe.money import MAX_TICKET_MINOR
from node.cafe.operators import may
from node.cafe.points import MOST_POINTS, Points, earn, redeem_products, redeem_time
from sync.domain import Tables
from sync.errors import Refused
from sync.op import Event

CREDIT = bill.CREDIT
FOR_CUSTOMERS = frozenset({"credit", "free_pass", "promotion"})
"""Kinds of lines that only a registered customer can have."""
NEAR_DAYS = 7
MOST_BUCKETS = 200
"""Passes, promotions and redemptions that an account holds at once."""
MOST_MINUTES = 10**9

# --- commands ----------------------------------------------------------------

Money = Annotated[int, Meta(ge=-(10**15), le=10**15)]


class EditBalance(Command, frozen=True):
    """Correct credit, points or expiry by hand: each as ``[was, is]``; minutes cannot be."""

    customer: Hex
    credit: tuple[Money, Money] | None = None
    points: tuple[Money, Money] | None = None
    expires: tuple[int, int] | None = None
    """Ordinals of local days, 0 for never."""
    reason: Annotated[str, Meta(max_length=500)] = ""


class TransferCredit(Command, frozen=True):
    customer: Hex
    to: Hex
    amount_minor: box.Sum


class Wanted(Command, frozen=True):
    sku: Code
    quantity: Quantity = 1


class RedeemPoints(Command, frozen=True):
    """Change points into time, or into products."""

    customer: Hex
    points: Annotated[int, Meta(ge=1, le=10**12)] | None = None
    products: Annotated[tuple[Wanted, ...], Meta(max_length=20)] = ()


class UndoRedeem(Command, frozen=True):
    """Take back what was redeemed, as long as nothing of it was used."""

    redemption: Hex


class SwitchBenefit(Command, frozen=True):
    """Stop a customer's free pass or promotion, or let it go on: what is left of it stays."""

    customer: Hex
    order: Hex
    sku: Code
    active: bool


class ExpireCredit(Command, frozen=True):
    """The server's calendar ends what was good until yesterday."""

    customer: Hex


# --- events ------------------------------------------------------------------


class BalanceEdited(Fact, frozen=True):
    customer: str
    credit: int
    """What was added to it; negative if it is less now."""
    points: int
    expires: list[int] | None
    """``[was, is]``."""
    reason: str
    operator: str
    at_ms: int


class CreditTransferred(Fact, frozen=True):
    customer: str
    to: str
    amount_minor: int
    expires: int
    """Of who receives it."""
    operator: str
    at_ms: int


class PointsRedeemed(Fact, frozen=True):
    redemption: str
    customer: str
    points: int
    minutes: int
    products: list[list[Any]]
    """``[sku, name, quantity, points]``."""
    units: list[list[Any]]
    """``[sku, units]`` that left the shelf."""
    operator: str
    station: str
    at_ms: int
    box: int
    seq: int


class RedeemUndone(Fact, frozen=True):
    redemption: str
    operator: str
    at_ms: int
    box: int


class BenefitSwitched(Fact, frozen=True):
    customer: str
    order: str
    sku: str
    active: bool
    operator: str
    at_ms: int


class CreditExpired(Fact, frozen=True):
    customer: str
    credit: int
    bonus: int
    at_ms: int


# --- an account ----------------------------------------------------------------


def new_account(profile: str, at_ms: int) -> dict[str, Any]:
    """Row of a new account."""
    return {
        "profile": profile,
        "deleted": False,
        "lock": None,
        "credit": 0,
        "bonus": 0,
        "expires": 0,
        "points": 0,
        "rest": 0,
        "unit": 1,
        "redeemed": [],
        "promotions": [],
        "passes": [],
        "charges": 0,
        "moves": 0,
        "created_ms": at_ms,
    }


def points_of(row: Mapping[str, Any]) -> Points:
    return Points(row["points"], row["rest"], row["unit"])


def redeemed_s(row: Mapping[str, Any]) -> int:
    """Seconds that were redeemed and are left."""
    return sum(seconds for seconds, _, _ in row["redeemed"])


def change(tables: Tables, customer: str, **fields: Any) -> None:
    """Put fields of an account that are no sums."""
    table = tables.table("customers")
    row = table.row(customer)
    if row is not None:
        table.put(customer, {**row, **fields})


def move(
    tables: Tables,
    customer: str,
    what: str,
    at_ms: int,
    operator: str,
    *,
    station: str = "",
    ref: str = "",
    credit: int = 0,
    bonus: int = 0,
    points: int = 0,
    seconds: int = 0,
    **details: Any,
) -> None:
    """Change an account's sums, and write down what happened with what is left."""
    table = tables.table("customers")
    row = table.row(customer)
    if row is None:
        return
    row["credit"] += credit
    row["bonus"] += bonus
    if row["bonus"] < 0:  # spent in two lives of the server: it was never there twice
        row["credit"] += row["bonus"]
        credit, bonus, row["bonus"] = credit + row["bonus"], bonus - row["bonus"], 0
    row["points"] += points
    row["moves"] += 1
    table.put(customer, row)
    number = row["moves"]
    movement = {
        "customer": customer,
        "number": number,
        "what": what,
        "at_ms": at_ms,
        "operator": operator,
        "station": station,
        "ref": ref,
        "credit": credit,
        "bonus": bonus,
        "points": points,
        "seconds": seconds,
        "credit_after": row["credit"],
        "bonus_after": row["bonus"],
        "points_after": row["points"],
        "details": details,
    }
    tables.table("movements").put(f"{customer}/{number}", movement)


# --- what a sale does ------------------------------------------------------------


def of(tables: Tables, customer: str) -> Mapping[str, Any]:
    """Row of an account that is there, or `Refused` ``unknown-customer``, ``deleted``."""
    row = records.of(tables, "customers", customer, "unknown-customer")
    if row["deleted"]:
        raise Refused("deleted")
    return row


def credit_lines_minor(lines: Iterable[Mapping[str, Any]]) -> int:
    """What of an order's lines buys credit, and so cannot be paid with it."""
    return sum(line["amount_minor"] for line in lines if buys_credit(line))


def _by_account(payments: Iterable[Sequence[Any]]) -> int:
    """What of ``[method, amount]`` is the customer's account."""
    return sum(amount for method, amount in payments if method == CREDIT)


def buys_credit(line: Mapping[str, Any]) -> bool:
    """Whether what was paid for a line is on the account now."""
    return line["kind"] == "credit" or "credit_minor" in line


def problems(
    tables: Tables,
    customer: str,
    lines: Sequence[Mapping[str, Any]],
    payments: Iterable[Sequence[Any]],
    acting: Acting,
    *,
    money: bool,
) -> Iterator[Refused]:
    """Why a sale cannot be put on an account: ``customer-needed``, ``unknown-customer``,
    ``deleted``, ``out-of-range``, ``credit-for-credit``, and where it is final (``money``)
    ``barred``, ``not-enough-credit``, ``already-over``; last ``below-minimum``."""
    needs = any(line["kind"] in FOR_CUSTOMERS for line in lines)
    paid = _by_account(payments)
    if not needs and not paid:
        if customer and tables.table("customers").peek(customer) is None:
            yield Refused("unknown-customer", what="")
        return
    if not customer:
        yield Refused("customer-needed")
        return
    try:
        row = of(tables, customer)
    except Refused as refusal:
        yield refusal
        return
    yield from _limits(tables, row, lines)
    bought = credit_lines_minor(lines)
    if paid > sum(line["amount_minor"] for line in lines) - bought:
        yield Refused("credit-for-credit")
    for look in (_spend, _windows) if money else ():
        try:
            if look is _windows:
                _windows(tables, lines, acting.context.at_ms)
            elif paid:
                _spend(tables, row, paid, acting)
        except Refused as refusal:
            yield refusal
    if any(line["kind"] == "credit" for line in lines):
        minimum = profiles.of(tables, row["profile"])["minimum_minor"]
        if row["charges"] == 0 and bought < minimum:
            yield Refused("below-minimum", minimum_minor=minimum)


def _limits(
    tables: Tables, row: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]
) -> Iterator[Refused]:
    """What no account can hold, and no pass can be."""
    profile, bought = profiles.of(tables, row["profile"]), credit_lines_minor(lines)
    total = sum(line["amount_minor"] for line in lines)
    points_ = row["points"] + total * profile["points"] // profile["per_minor"]
    bonus = row["bonus"] + sum(line.get("bonus_minor", 0) for line in lines)
    times = sum("minutes" in line or line["kind"] == "free_pass" for line in lines)
    too_much = max(abs(row["credit"] + bought), bonus) > MAX_TICKET_MINOR
    if too_much or abs(points_) > MOST_POINTS or len(_left(row)) + times > MOST_BUCKETS:
        yield Refused("out-of-range", what="account")
    if any(line["kind"] == "free_pass" and line["quantity"] != 1 for line in lines):
        yield Refused("out-of-range", what="quantity")
    charges = [line["amount_minor"] for line in lines if line["kind"] == "credit"]
    if row["charges"] and charges and sum(charges) < 1:
        yield Refused("out-of-range", what="amount_minor")


def _left(row: Mapping[str, Any]) -> list[Any]:
    """Buckets in which some time is left."""
    some = [bucket for bucket in row["promotions"] if bucket["seconds"]]
    return [*some, *row["passes"], *(one for one in row["redeemed"] if one[0])]


def check_sale(
    tables: Tables,
    customer: str,
    lines: Sequence[Mapping[str, Any]],
    payments: Iterable[Sequence[Any]],
    acting: Acting,
    *,
    forgiven: frozenset[str] = frozenset(),
) -> None:
    """`Refused` for the first of the `problems` of a sale that is final now, but for those that are
    ``forgiven``."""
    for refusal in problems(tables, customer, lines, payments, acting, money=True):
        if refusal.code not in forgiven:
            raise refusal


def _windows(tables: Tables, lines: Iterable[Mapping[str, Any]], at_ms: int) -> list[list[Any]]:
    """``[from, to, sku, line]`` of the passes that are sold now; `Refused` ``already-over``."""
    zone, offers = settings.zone(tables), tables.table("offers")
    return [
        [*benefits.window(offers.row(line["sku"]) or {}, at_ms, zone), line["sku"], at]
        for at, line in enumerate(lines)
        if line["kind"] == "free_pass"
    ]


def _spend(
    tables: Tables, row: Mapping[str, Any], amount: int, acting: Acting
) -> tuple[int, int, int]:
    """(of the bonus, of the credit, as debt); `Refused` ``barred``, ``not-enough-credit``."""
    check_free(row, acting.context.at_ms)
    may_owe = acting.desk and may(acting.operator, "customer.debt")
    most = profiles.of(tables, row["profile"])["max_debt_minor"] if may_owe else 0
    now, _ = credit.expire(credit.balance_of(row), settings.today(tables, acting.context.at_ms))
    credit.spend(now, amount + _used_at_pc(tables, row, acting), most)
    return credit.spend(now, amount, most)[1]


def _used_at_pc(tables: Tables, row: Mapping[str, Any], acting: Acting) -> int:
    """What the session that an account is in has cost so far: nobody can spend it again."""
    return bill.owed_minor(tables, row.get("session", ""), acting.context.at_ms)


def _credit_at_pc(tables: Tables, row: Mapping[str, Any], acting: Acting) -> int:
    """What of that the bonus does not pay."""
    return max(0, _used_at_pc(tables, row, acting) - int(row["bonus"]))


def check_free(row: Mapping[str, Any], at_ms: int) -> None:
    """`Refused` ``barred`` for a customer who is locked now."""
    if is_locked(row, at_ms):
        raise Refused("barred", reason=row["lock"]["reason"])


def is_locked(row: Mapping[str, Any], now_ms: int) -> bool:
    """Whether a customer is barred now; the last lock in the server's order is the one that
    counts."""
    lock = row["lock"]
    return bool(lock) and (lock["until_ms"] == 0 or now_ms < lock["until_ms"])


def of_sale(
    tables: Tables,
    customer: str,
    lines: Sequence[Mapping[str, Any]],
    payments: Iterable[Sequence[Any]],
    acting: Acting,
) -> dict[str, Any]:
    """What a sale that is final now does to the account, as its event says it; empty for nothing.
    `check_sale` comes before. A charge for somebody who has left is for a person."""
    row = tables.table("customers").peek(customer) if customer else None
    bought = credit_lines_minor(lines)
    if row is None or (row["deleted"] and not bought):
        return {}
    if row["deleted"]:
        return {"customer": customer, "unclaimed": bought}
    at_ms = acting.context.at_ms
    profile = profiles.of(tables, row["profile"])
    paid = _by_account(payments)
    total = sum(line["amount_minor"] for line in lines)
    later = sum(amount for method, amount in payments if method == bill.PC)  # earns when it is paid
    earning = bought + (total - bought - paid - later if profile["on_purchases"] else 0)
    bonus = sum(line.get("bonus_minor", 0) for line in lines)
    does: dict[str, Any] = {"customer": customer, "credit": bought, "bonus": bonus}
    day = settings.today(tables, at_ms)
    now, gone = credit.expire(credit.balance_of(row), day)
    if gone:  # good until yesterday, and nobody has looked since
        does["expired"] = [row["credit"] - now.credit, row["bonus"]]
    if bought:
        days = profile["expiry_days"]
        does["expires"] = credit.top_up(now, bought, today=day, valid_days=days).expires
    if paid:
        does["spent"] = list(_spend(tables, row, paid, acting))
    if earning and profile["points"]:
        does["earned"] = [earning, profile["points"], profile["per_minor"]]
    passes = _windows(tables, lines, at_ms)
    minutes = [
        [line["minutes"] * 60, _end_of(tables, at_ms, line["days"]), line["sku"], at]
        for at, line in enumerate(lines)
        if "minutes" in line
    ]
    return does | ({"passes": passes} if passes else {}) | ({"minutes": minutes} if minutes else {})


def of_time(tables: Tables, customer: str, amount_minor: int, spent: list[int]) -> dict[str, Any]:
    """What paying a session does to its customer's account: ``spent`` (bonus, credit, debt) leaves
    it, and money beside that earns points where the profile says so."""
    row = tables.table("customers").peek(customer)
    if row is None or row["deleted"]:
        return {}
    profile = profiles.of(tables, row["profile"])
    does: dict[str, Any] = {"customer": customer, "credit": 0, "bonus": 0, "spent": spent}
    earning = amount_minor - sum(spent) if profile["on_purchases"] else 0
    if earning and profile["points"]:
        does["earned"] = [earning, profile["points"], profile["per_minor"]]
    return does if earning or any(spent) else {}


def of_time_back(
    tables: Tables, session: Mapping[str, Any], methods: Iterable[Sequence[Any]], cash_due: int
) -> dict[str, Any]:
    """What it does to a customer's account that something goes back which their session had paid:
    ``methods`` and ``cash_due`` of it. `Refused` ``deleted`` if there is no account for it."""
    row = tables.table("customers").peek(session["customer"]) if session["customer"] else None
    paid, took = _by_account(methods), session["took"]
    if row is None or (row["deleted"] and not paid):
        return {}
    of(tables, session["customer"])
    does: dict[str, Any] = {"customer": session["customer"], "credit": 0, "bonus": 0}
    money = cash_due + sum(amount for _, amount in methods) - paid
    if paid:
        does["given_back"] = _to_account(took["spent"], session["gave"], paid)
    if money and took["earned"]:
        does["earned"] = [-money, *took["earned"]]
    return does if paid or "earned" in does else {}


def end_session(
    tables: Tables, customer: str, session: str, used: Mapping[str, Any], lasted: tuple[int, int]
) -> None:
    """A session is over: what it has used of the account's time is gone. ``lasted`` are the
    instants of its begin and end, in ms."""
    table = tables.table("customers")
    row = table.row(customer)
    if row is None:
        return
    if row.get("session") == session:
        row["session"] = ""
    for order, line, seconds in used.get("promotions", ()):
        for one in row["promotions"]:
            if (one["order"], one["line"]) == (order, line):
                one["seconds"] = max(0, one["seconds"] - seconds)
    taken = dict(used.get("redeemed", ()))
    row["redeemed"] = [
        [max(0, left - taken.get(ref, 0)), at, ref] for left, at, ref in row["redeemed"]
    ]
    begun, ended = lasted
    for one in row["passes"] if used.get("passes") else ():
        if one["from_ms"] <= ended and begun < one["to_ms"]:
            one["used"] = True
    table.put(customer, row)


def _end_of(tables: Tables, at_ms: int, days: int) -> int:
    """End of the N-th local day after an instant, in ms; 0 for never."""
    if not days:
        return 0
    return benefits.end_of_day_ms(settings.today(tables, at_ms) + days, settings.zone(tables))


def apply_sale(
    tables: Tables, does: Mapping[str, Any], order: str, row: Mapping[str, Any], at_ms: int
) -> list[int]:
    """Fold what a sale does to an account; ``[credit, bonus, points]`` after it."""
    customer, operator = does["customer"], row["operator"]
    if "unclaimed" in does:
        amount = does["unclaimed"]
        kept = {"customer": customer, "amount_minor": amount, "at_ms": at_ms}
        tables.table("unclaimed").put(order, kept)
        exceptions.note(tables, "customer-deleted", order, at_ms, amount_minor=amount)
        return []
    account = tables.table("customers").row(customer)
    if account is None:
        return []
    if "expired" in does:
        tables.table("customers").put(customer, {**account, "expires": 0})
        of_credit, of_bonus = does["expired"]
        move(tables, customer, "expired", at_ms, "", credit=-of_credit, bonus=-of_bonus)
        account = tables.table("customers").row(customer) or account
    points = _earn(account, does)
    if does["credit"]:
        account.update(expires=does["expires"], charges=account["charges"] + 1)
    _add_buckets(account, does, order)
    tables.table("customers").put(customer, account)
    spent = does.get("spent", [0, 0, 0])
    bought = does["credit"] or does["bonus"]
    what = "charged" if bought else "purchase"
    move(
        tables, customer, what, at_ms, operator,
        station=row["station"], ref=order, points=points,
        credit=does["credit"] - spent[1] - spent[2], bonus=does["bonus"] - spent[0],
        seconds=sum(one[0] for one in does.get("minutes", ())),
    )  # fmt: skip
    now = tables.table("customers").peek(customer) or account
    return [now["credit"], now["bonus"], now["points"]]


def _earn(account: dict[str, Any], does: Mapping[str, Any]) -> int:
    """Points that are earned or taken back; the rest is carried in the account."""
    if "earned" not in does:
        return 0
    after = earn(points_of(account), *does["earned"])
    account.update(rest=after.rest, unit=after.unit)
    return after.balance - int(account["points"])


def _add_buckets(account: dict[str, Any], does: Mapping[str, Any], order: str) -> None:
    account["promotions"] = [one for one in account["promotions"] if one["seconds"]]
    for since, until, sku, at in does.get("passes", ()):
        account["passes"].append(
            {
                "from_ms": since,
                "to_ms": until,
                "sku": sku,
                "order": order,
                "line": at,
                "active": True,
            }
        )
    for seconds, ends_ms, sku, at in does.get("minutes", ()):
        account["promotions"].append(
            {
                "seconds": seconds,
                "of": seconds,
                "ends_ms": ends_ms,
                "sku": sku,
                "order": order,
                "line": at,
                "active": True,
            }
        )
    now_ms = max((one[0] for one in does.get("passes", ())), default=0)
    if not account.get("session"):  # which may have run on one that is over
        account["passes"] = [one for one in account["passes"] if one["to_ms"] > now_ms]


# --- what a refund does ------------------------------------------------------------


def of_refund(
    tables: Tables,
    order: str,
    sale: Mapping[str, Any],
    back: Sequence[Sequence[int]],
    methods: Iterable[Sequence[Any]],
    amount: int,
    acting: Acting,
) -> dict[str, Any]:
    """What giving back ``back`` lines of a sale does to the account, and of what was handed over
    with it ``amount``: what a session has paid later has earned its points there.

    `Refused`: ``deleted``, ``not-enough-credit``, ``used-already``, ``in-session``.
    """
    did = sale.get("account")
    if not did:
        return {}
    lines, customer = sale["lines"], did["customer"]
    gone = sum(part for at, _, part in back if buys_credit(lines[at]))
    if "unclaimed" in did:
        return {"customer": customer, "unclaimed": gone}
    paid = _by_account(methods)
    bonus_back = did["bonus"] and any("bonus_minor" in lines[at] for at, _, _ in back)
    bound = [at for at, _, _ in back if lines[at]["kind"] in FOR_CUSTOMERS or "of" in lines[at]]
    row = tables.table("customers").peek(customer)
    if row is None or (row["deleted"] and not (gone or paid or bonus_back or bound)):
        return {}
    row = of(tables, customer)
    does: dict[str, Any] = {"customer": customer, "credit": -gone, "bonus": 0}
    if gone:
        before = sale.get("refunded", {}).get("credit", 0)
        left = row["credit"] - _credit_at_pc(tables, row, acting)
        credit.check_refund(left, did["credit"], before, gone)
    if bonus_back:
        _check_untouched(row, did, gone)
        does["bonus"] = -did["bonus"]
    _take_back_buckets(row, order, lines, back, does)
    if paid:
        does["given_back"] = _to_account(did["spent"], sale.get("refunded", {}), paid)
    if "earned" in did:
        earning, rate, unit = did["earned"]
        most = gone + (amount - gone - paid if earning > did["credit"] else 0)
        if most:
            does["earned"] = [-most, rate, unit]
    return does


def _check_untouched(row: Mapping[str, Any], did: Mapping[str, Any], gone: int) -> None:
    if gone != did["credit"] or row["bonus"] < did["bonus"]:
        raise Refused("used-already")


def _take_back_buckets(
    row: Mapping[str, Any],
    order: str,
    lines: Sequence[Mapping[str, Any]],
    back: Sequence[Sequence[int]],
    does: dict[str, Any],
) -> None:
    """Passes and minutes go back whole, and only while nobody has used them."""
    back_at = {at: units for at, units, _ in back}
    combos = {line["of"] for at, line in enumerate(lines) if at in back_at and "of" in line}
    for at, line in enumerate(lines):
        whole = back_at.get(at, 0) == line["quantity"]
        if line.get("of", -1) in combos and not whole:
            raise Refused("used-already")
    mine = []
    for at in back_at:
        for name, is_it in (
            ("passes", lines[at]["kind"] == "free_pass"),
            ("promotions", "minutes" in lines[at]),
        ):
            if not is_it:
                continue
            found = [b for b in row[name] if (b["order"], b["line"]) == (order, at)]
            untouched = [b for b in found if b.get("of") == b.get("seconds") and not b.get("used")]
            if not untouched:
                raise Refused("used-already")
            mine.append(at)
    if mine:
        _check_idle(row)
        does["buckets"] = mine


def _check_idle(row: Mapping[str, Any]) -> None:
    """`Refused` ``in-session``: what time is used now is known only at its end."""
    if row.get("session"):
        raise Refused("in-session")


def _to_account(spent: Sequence[int], gone: Mapping[str, Any], paid: int) -> list[int]:
    """``[bonus, credit]`` that ``paid`` more of a purchase gives back: the debt first, which is
    credit too, then the credit, then the bonus."""
    _, of_credit, debt = spent
    before = gone.get("methods", {}).get(CREDIT, 0)
    to_credit = max(0, min(paid, of_credit + debt - before))
    return [paid - to_credit, to_credit]


def apply_refund(
    tables: Tables, does: Mapping[str, Any], order: str, operator: str, at_ms: int
) -> None:
    """Fold what a refund does to an account."""
    customer = does["customer"]
    if "unclaimed" in does:
        waiting = tables.table("unclaimed").row(order)
        if waiting is not None:
            waiting["amount_minor"] -= does["unclaimed"]
            tables.table("unclaimed").put(order, waiting)
            if waiting["amount_minor"] <= 0:
                tables.table("unclaimed").drop(order)
        return
    account = tables.table("customers").row(customer)
    if account is None:
        return
    points = _earn(account, does)
    gone = does.get("buckets", ())
    for name in ("passes", "promotions"):
        account[name] = [
            b for b in account[name] if not (b["order"] == order and b["line"] in gone)
        ]
    tables.table("customers").put(customer, account)
    bonus, of_credit = does.get("given_back", [0, 0])
    move(
        tables, customer, "refunded", at_ms, operator, ref=order, points=points,
        credit=does["credit"] + of_credit, bonus=does["bonus"] + bonus,
    )  # fmt: skip


# --- decide --------------------------------------------------------------------


def decide_balance(tables: Tables, command: EditBalance, acting: Acting) -> list[Event]:
    row = of(tables, command.customer)
    if not command.reason.strip():
        raise Refused("reason-needed")
    changes = {}
    for name in ("credit", "points", "expires"):
        said = getattr(command, name)
        if said is None:
            continue
        was, wanted = said
        if row[name] != was:
            raise Refused("changed-meanwhile", what=name)
        if wanted != was:
            changes[name] = wanted
    if not changes:
        raise Refused("nothing-to-do")
    expires = changes.get("expires")
    if expires is not None and not 0 <= expires <= dt.date.max.toordinal():
        raise Refused("out-of-range", what="expires")
    credit.check_room(changes.get("credit", 0))
    fact = BalanceEdited(
        customer=command.customer,
        credit=changes.get("credit", row["credit"]) - row["credit"],
        points=changes.get("points", row["points"]) - row["points"],
        expires=None if expires is None else [row["expires"], expires],
        reason=command.reason,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("balance.edited", fact)]


def decide_transfer(tables: Tables, command: TransferCredit, acting: Acting) -> list[Event]:
    if command.customer == command.to:
        raise Refused("bad-field", what="to")
    source, target = of(tables, command.customer), of(tables, command.to)
    check_free(source, acting.context.at_ms)
    of_credit = _credit_at_pc(tables, source, acting)
    credit.transfer(
        credit.balance_of(source), credit.balance_of(target), command.amount_minor + of_credit
    )
    _, after = credit.transfer(
        credit.balance_of(source), credit.balance_of(target), command.amount_minor
    )
    fact = CreditTransferred(
        customer=command.customer,
        to=command.to,
        amount_minor=command.amount_minor,
        expires=after.expires,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("credit.transferred", fact)]


def decide_redeem(tables: Tables, command: RedeemPoints, acting: Acting) -> list[Event]:
    row = of(tables, command.customer)
    check_free(row, acting.context.at_ms)
    profile = profiles.of(tables, row["profile"])
    minutes, products, units = 0, [], []
    if command.products and command.points is None:
        values: list[tuple[int, int]] = []
        for one in command.products:
            product = records.of(tables, "products", one.sku, "unknown-product")
            if not product["active"]:
                raise Refused("not-for-sale", sku=one.sku)
            values.append((product["points"], one.quantity))
            taken = product["points"] * one.quantity
            products.append([one.sku, product["name"], one.quantity, taken])
            if product["kind"] == "product":
                units.append([one.sku, one.quantity])
        points = redeem_products(row["points"], values)
    elif command.points is not None and not command.products:
        need, worth = profile["need"], profile["minutes"]
        minutes, points = redeem_time(row["points"], command.points, need, worth)
    else:
        raise Refused("bad-field", what="points, products")
    if minutes > MOST_MINUTES or (minutes and len(_left(row)) >= MOST_BUCKETS):
        raise Refused("out-of-range", what="points")
    fact = PointsRedeemed(
        redemption=acting.context.op.key.hex(),
        customer=command.customer,
        points=points,
        minutes=minutes,
        products=products,
        units=units,
        operator=acting.operator_id,
        station=acting.station_id,
        at_ms=acting.context.at_ms,
        box=box.current(tables)["number"],
        seq=acting.context.seq,
    )
    return [event("points.redeemed", fact)]


def decide_undo(tables: Tables, command: UndoRedeem, acting: Acting) -> list[Event]:
    row = records.of(tables, "redemptions", command.redemption, "unknown-redemption")
    if row["undone"]:
        raise Refused("bad-state", state="undone", label="")
    account = of(tables, row["customer"])
    mine = [left for left, of_, ref in account["redeemed"] if ref == command.redemption]
    if row["minutes"] and mine != [row["minutes"] * 60]:
        raise Refused("used-already")
    if row["minutes"]:
        _check_idle(account)
    fact = RedeemUndone(
        redemption=command.redemption,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
        box=box.current(tables)["number"],
    )
    return [event("redeem.undone", fact)]


def decide_benefit(tables: Tables, command: SwitchBenefit, acting: Acting) -> list[Event]:
    row = of(tables, command.customer)
    known = [
        one["active"]
        for one in (*row["passes"], *row["promotions"])
        if (one["order"], one["sku"]) == (command.order, command.sku)
    ]
    if not known:
        raise Refused("unknown-benefit")
    if all(active == command.active for active in known):
        raise Refused("nothing-to-do")
    if not command.active:  # what it has used so far would cost money
        _check_idle(row)
    fact = BenefitSwitched(
        customer=command.customer,
        order=command.order,
        sku=command.sku,
        active=command.active,
        operator=acting.operator_id,
        at_ms=acting.context.at_ms,
    )
    return [event("benefit.switched", fact)]


def decide_expire(tables: Tables, command: ExpireCredit, acting: Acting) -> list[Event]:
    row = of(tables, command.customer)
    at_ms = acting.context.at_ms
    if row.get("session"):  # it pays with what was good when it began
        raise Refused("in-session")
    after, forfeited = credit.expire(credit.balance_of(row), settings.today(tables, at_ms))
    if after.expires == row["expires"]:
        raise Refused("too-early")
    credit_gone = row["credit"] - after.credit
    fact = CreditExpired(
        customer=command.customer, credit=credit_gone, bonus=forfeited - credit_gone, at_ms=at_ms
    )
    return [event("credit.expired", fact)]


# --- apply -----------------------------------------------------------------------


def apply_balance(tables: Tables, fact: BalanceEdited) -> None:
    details: dict[str, Any] = {"reason": fact.reason}
    if fact.expires is not None:
        change(tables, fact.customer, expires=fact.expires[1])
        details["expires"] = fact.expires
    move(
        tables, fact.customer, "edited", fact.at_ms, fact.operator,
        credit=fact.credit, points=fact.points, **details,
    )  # fmt: skip


def reapply_expired(tables: Tables, fact: CreditExpired) -> None:
    """What this life has let expire too is forfeited once."""
    row = tables.table("customers").peek(fact.customer)
    if row is not None:
        credit_gone = min(fact.credit, max(0, row["credit"]))
        bonus = min(fact.bonus, row["bonus"])
        apply_expired(tables, msgspec.structs.replace(fact, credit=credit_gone, bonus=bonus))


def reapply_redeemed(tables: Tables, fact: PointsRedeemed) -> None:
    """Points that both lives have taken are for a person."""
    apply_redeemed(tables, fact)
    note_short(tables, fact.customer, fact.redemption, fact.at_ms)


def note_short(tables: Tables, customer: str, ref: str, at_ms: int) -> None:
    """Tell a person of an account from which two lives of a server have taken the same."""
    row = tables.table("customers").peek(customer)
    if row is not None and (row["credit"] < 0 or row["points"] < 0):
        short = -min(row["credit"], row["points"], 0)
        exceptions.note(tables, "account-short", ref, at_ms, short=short)


def apply_transferred(tables: Tables, fact: CreditTransferred) -> None:
    amount, at_ms = fact.amount_minor, fact.at_ms
    move(tables, fact.customer, "given", at_ms, fact.operator, ref=fact.to, credit=-amount)
    change(tables, fact.to, expires=fact.expires)
    move(tables, fact.to, "received", at_ms, fact.operator, ref=fact.customer, credit=amount)


def apply_redeemed(tables: Tables, fact: PointsRedeemed) -> None:
    seconds = fact.minutes * 60
    account = tables.table("customers").row(fact.customer)
    if account is None:
        return
    if seconds:
        account["redeemed"] = [one for one in account["redeemed"] if one[0]]
        account["redeemed"].append([seconds, fact.seq, fact.redemption])
        tables.table("customers").put(fact.customer, account)
    move(
        tables, fact.customer, "redeemed", fact.at_ms, fact.operator, station=fact.station,
        ref=fact.redemption, points=-fact.points, seconds=seconds, products=fact.products,
    )  # fmt: skip
    stock.sell(tables, [(sku, units) for sku, units in fact.units])
    box.count_points(tables, fact.box, taken=fact.points)
    row = {
        "customer": fact.customer,
        "points": fact.points,
        "minutes": fact.minutes,
        "products": fact.products,
        "units": fact.units,
        "undone": False,
        "at_ms": fact.at_ms,
    }
    tables.table("redemptions").put(fact.redemption, row)


def apply_undone(tables: Tables, fact: RedeemUndone) -> None:
    table = tables.table("redemptions")
    row = table.row(fact.redemption)
    if row is None or row["undone"]:
        return
    table.put(fact.redemption, {**row, "undone": True})
    account = tables.table("customers").row(row["customer"])
    if account is None:
        return
    account["redeemed"] = [one for one in account["redeemed"] if one[2] != fact.redemption]
    tables.table("customers").put(row["customer"], account)
    move(
        tables, row["customer"], "redeem-undone", fact.at_ms, fact.operator,
        ref=fact.redemption, points=row["points"], seconds=-row["minutes"] * 60,
    )  # fmt: skip
    stock.restock(tables, [(sku, units) for sku, units in row["units"]])
    box.count_points(tables, fact.box, given_back=row["points"])


def apply_benefit(tables: Tables, fact: BenefitSwitched) -> None:
    row = tables.table("customers").row(fact.customer)
    if row is None:
        return
    for one in (*row["passes"], *row["promotions"]):
        if (one["order"], one["sku"]) == (fact.order, fact.sku):
            one["active"] = fact.active
    tables.table("customers").put(fact.customer, row)
    what = "benefit-on" if fact.active else "benefit-off"
    move(tables, fact.customer, what, fact.at_ms, fact.operator, ref=fact.order, detail=fact.sku)


def apply_expired(tables: Tables, fact: CreditExpired) -> None:
    change(tables, fact.customer, expires=0)
    move(tables, fact.customer, "expired", fact.at_ms, "", credit=-fact.credit, bonus=-fact.bonus)


# --- queries ---------------------------------------------------------------------


def movements(
    tables: Tables, customer: str, count: int, before: int = 1 << 62
) -> Iterator[Mapping[str, Any]]:
    """Movements of an account, the newest first, read as they are needed."""
    row = tables.table("customers").peek(customer)
    last = min(before - 1, row["moves"] if row is not None else 0)
    table = tables.table("movements")
    numbers = range(last, max(0, last - count), -1)
    yield from filter(None, (table.peek(f"{customer}/{number}") for number in numbers))


def near_expiry(tables: Tables, at_ms: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Accounts whose credit is good for seven days at most, the nearest first."""
    last = settings.today(tables, at_ms) + NEAR_DAYS
    rows = tables.table("customers").matching(where("expires") <= last)
    found = [(str(row.doc_id), row) for row in rows if row["expires"] and not row["deleted"]]
    return sorted(found, key=lambda one: one[1]["expires"])


def overdue(tables: Tables, at_ms: int) -> list[str]:
    """Accounts whose credit was good until yesterday."""
    day = settings.today(tables, at_ms)
    rows = tables.table("customers").matching(where("expires") < day)
    return [str(row.doc_id) for row in rows if row["expires"] and not row["deleted"]]


KINDS = (
    Kind("customer.balance", EditBalance, "customer.balance", decide_balance, needs_server=True),
    Kind("credit.transfer", TransferCredit, "credit.transfer", decide_transfer, needs_server=True),
    Kind("points.redeem", RedeemPoints, "points.redeem", decide_redeem, needs_server=True),
    Kind("points.redeem-here", RedeemPoints, "", decide_redeem, server_only=True),
    Kind("points.undo", UndoRedeem, "points.redeem", decide_undo, needs_server=True),
    Kind("customer.benefit", SwitchBenefit, "customer.benefit", decide_benefit, needs_server=True),
    Kind("credit.expire", ExpireCredit, "", decide_expire, server_only=True),
)
EVENTS = (
    EventKind("balance.edited", BalanceEdited, apply_balance),
    EventKind("credit.transferred", CreditTransferred, apply_transferred),
    EventKind("points.redeemed", PointsRedeemed, apply_redeemed, reapply=reapply_redeemed),
    EventKind("redeem.undone", RedeemUndone, apply_undone),
    EventKind("benefit.switched", BenefitSwitched, apply_benefit),
    EventKind("credit.expired", CreditExpired, apply_expired, reapply=reapply_expired),
)
INDEXES = {"customers": ((), ("expires",))}
