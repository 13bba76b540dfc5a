"""Lines of an order: what each costs, and whether that is what the catalogue said.

A node fills in the prices it shows; the server prices the same lines again with the catalogue as
that node had folded it, and says what is off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace

from node.cafe import benefits, catalog, discounts, jobs
from node.cafe.kinds import Code, Command, Hex, Price, Quantity
from node.cafe.money import MAX_QUANTITY, MAX_TICKET_MINOR, line_amount
from sync.domain import Tables
from sync.errors import Refused

SERVICES = frozenset({"service", *jobs.JOB_KINDS})
Discounts = Annotated[tuple[discounts.Applied, ...], Meta(max_length=8)]


class Line(Command, frozen=True, omit_defaults=True):
    """``quantity`` units of a product at the price that was shown; what is as with most lines is
    not written."""

    sku: Code
    quantity: Quantity
    """Of a print or scan: page sides of one copy."""
    price_minor: Price | None = None
    """Filled in by the node where it is sold, unless it was typed."""
    copies: Annotated[int, Meta(ge=1, le=10**6)] = 1
    discounts: Discounts = ()
    note: Annotated[str, Meta(max_length=80)] = ""
    """What an open price is for."""
    job: Hex | None = None
    """A parked print, scan or recording that is paid with this line."""
    serials: Annotated[tuple[Annotated[int, Meta(ge=1, le=10**9)], ...], Meta(max_length=200)] = ()
    """Of PIN cards: those that are handed over; the server names them where a station does not."""


@dataclass(slots=True)
class Judged:
    """An order's lines as they are kept, and what the catalogue says of them."""

    lines: list[dict[str, Any]]
    off: list[list[Any]]
    """``[discount, what it took off]``."""
    total: int
    """By the prices and discounts that were claimed."""
    off_base: int
    """What ``total`` has more than it should have had by the catalogue that its author saw."""
    off_now: int
    """The same, by the catalogue as it is now."""

    @property
    def units(self) -> list[tuple[str, int]]:
        """(sku, units) of what is taken from the shelf."""
        return units_of(self.lines)

    @property
    def kinds(self) -> set[str]:
        return {line["kind"] for line in self.lines}


def kinds_of(tables: Tables, lines: Sequence[Line]) -> set[str]:
    """Kinds of the products that lines name, as far as they are known here."""
    rows = map(tables.table("products").peek, [line.sku for line in lines])
    return {row["kind"] for row in rows if row is not None}


def units_of(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """(sku, units) of the lines that are products of the shelf."""
    return [(ln["sku"], ln["quantity"]) for ln in lines if ln.get("kind") == "product"]


def fill(tables: Tables, lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines with the prices and discounts that this node shows; `Refused` for what it does not
    sell."""
    filled = []
    paid = [line.job for line in lines if line.job is not None]
    if len(set(paid)) < len(paid):
        raise Refused("repeated", what="job")
    for line in lines:
        if line.job is not None:
            line = _of_job(tables, line)
        elif line.price_minor is None:
            row = product(tables, line.sku)
            if row["open_price"]:
                raise Refused("price-needed", sku=line.sku)
            if not row["active"]:
                raise Refused("not-for-sale", sku=line.sku)
            line = replace(line, price_minor=row["price_minor"])
        if line.discounts:
            line = replace(line, discounts=fill_discounts(tables, line.discounts))
        filled.append(line)
    return tuple(filled)


def fill_discounts(
    tables: Tables, given: Sequence[discounts.Applied]
) -> tuple[discounts.Applied, ...]:
    """Discounts at the values that this node shows; `Refused` for one that is given no more."""
    filled = []
    for one in given:
        if one.form is None or one.value is None:
            row = tables.table("discounts").peek(one.discount)
            if row is None or not row["active"]:
                raise Refused("unknown-discount", what=one.discount)
            one = replace(one, form=row["form"], value=row["value"])
        filled.append(one)
    return tuple(filled)


def _of_job(tables: Tables, line: Line) -> Line:
    job = tables.table("jobs").peek(line.job or "")
    if job is None:
        raise Refused("unknown-job", job=line.job)
    if job["state"] != "pending":
        raise Refused("bad-state", state=job["state"], label=job["name"])
    units = {"quantity": max(1, job["units"]), "copies": max(1, job["copies"])}
    return replace(line, sku=job["sku"], price_minor=job["price_minor"], **units)


def product(tables: Tables, sku: str) -> Mapping[str, Any]:
    """Row of a product, or `Refused`."""
    row = tables.table("products").peek(sku)
    if row is None:
        raise Refused("unknown-product", sku=sku)
    return row


def judge(
    tables: Tables,
    lines: Sequence[Line],
    on_ticket: Sequence[discounts.Applied],
    base: int,
    chain: str,
    *,
    taken: bool,
) -> Judged:
    """Price lines by what they claim, and by the catalogue at ``base`` and now.

    ``taken``: money was taken for them already, so that an unknown product is no refusal.
    `Refused`: ``unknown-product``, ``bad-field``, ``out-of-range``, ``not-discountable``.
    """
    if len(tables.table("renamed")):
        lines = [replace(o, sku=catalog.own_sku(tables, o.sku, base, chain)) for o in lines]
    found: list[dict[str, Any]] = []
    same_base = same_now = True
    products = tables.table("products")
    for line in lines:
        row, claimed = products.peek(line.sku), line.price_minor
        if claimed is None:
            raise Refused("bad-field", what="price_minor")
        if row is None and not taken:
            raise Refused("unknown-product", sku=line.sku)
        if line.copies * line.quantity > MAX_QUANTITY:
            raise Refused("out-of-range", what="quantity")
        found.append(_kept(tables, line, row, claimed, base))
        if line.job is not None:
            if not _is_its_job(tables, line):
                if not taken:
                    raise Refused("unknown-job", job=line.job)
                same_base = same_now = False
        elif row is None:
            same_base = same_now = False
        elif not row["open_price"]:
            if claimed != row["price_minor"]:
                same_now = False
            if claimed != catalog.price_at(row, base, chain):
                same_base = False
    cuts = [tuple(map(_cut, line.discounts)) if line.discounts else () for line in lines]
    ticket_cuts = tuple(map(_cut, on_ticket))
    cut = bool(ticket_cuts) or any(cuts)
    try:
        judged = _price(found, cuts, ticket_cuts) if cut else _uncut(found)
    except Refused:  # what it was given for may have changed since: its sum is doubted, not lost
        if not taken:
            raise
        judged = _uncut(found)
    if cut:
        same_base = same_base and _in_force(tables, cuts, ticket_cuts, base, chain)
        same_now = same_now and _in_force(tables, cuts, ticket_cuts, NOW, chain)
    if not same_base:
        judged.off_base = judged.total - _expected(
            tables, lines, found, cuts, ticket_cuts, base, chain
        )
    if not same_now:
        judged.off_now = judged.total - _expected(
            tables, lines, found, cuts, ticket_cuts, NOW, chain
        )
    if "promotion" in judged.kinds:
        judged.lines = [
            {**part, "of": place} if "combo" in part else part
            for place, line in enumerate(found)
            for part in benefits.expand(tables, line)
        ]
    return judged


NOW = 1 << 62
"""A place in the log behind every entry."""


def _is_its_job(tables: Tables, line: Line) -> bool:
    """Whether a line that pays a job is that job, at the price that was fixed when it was made."""
    job = tables.table("jobs").peek(line.job or "")
    return job is not None and (
        (job["sku"], job["price_minor"], max(1, job["units"]), max(1, job["copies"]))
        == (line.sku, line.price_minor, line.quantity, line.copies)
    )


def _kept(
    tables: Tables, line: Line, row: Mapping[str, Any] | None, price_minor: int, base: int
) -> dict[str, Any]:
    """A line as an order keeps it, before discounts."""
    if row is None:
        name, category, kind, tax_bp = line.sku, "", "product", 0
    else:
        name, category, kind, tax_bp = row["name"], row["category"], row["kind"], row["tax_bp"]
    kept = {
        "sku": line.sku,
        "name": name,
        "category": category,
        "kind": kind,
        "quantity": line.quantity * line.copies,
        "price_minor": price_minor,
        "amount_minor": _amount(tables, kind, line, price_minor, base),
        "tax_bp": tax_bp,
    }
    if line.note:
        kept["note"] = line.note
    if line.job is not None:
        kept["job"] = line.job
    if line.serials and kind == "pin_card":
        kept["serials"] = list(line.serials)
    return kept


def _amount(tables: Tables, kind: str, line: Line, price_minor: int, base: int) -> int:
    if line.job is not None:
        job = tables.table("jobs").peek(line.job)
        if job is not None:
            amount: int = job["amount_minor"]  # fixed when it was made
            return amount
    if kind in jobs.JOB_KINDS:
        return jobs.amount_of(tables, line.quantity, line.copies, price_minor, base)
    return line_amount(line.quantity * line.copies, price_minor)


def _cut(given: discounts.Applied) -> discounts.Cut:
    if given.form is None or given.value is None:
        raise Refused("bad-field", what="discount")
    return given.discount, given.form, given.value


def _uncut(found: list[dict[str, Any]]) -> Judged:
    """Lines without any discount."""
    total = sum([line["amount_minor"] for line in found])
    return Judged(found, [], _check_total(total), 0, 0)


def _price(
    found: list[dict[str, Any]],
    cuts: Sequence[tuple[discounts.Cut, ...]],
    ticket_cuts: Sequence[discounts.Cut],
) -> Judged:
    """Take the discounts off the lines' amounts."""
    gross = [
        (line["kind"], line["amount_minor"], cut) for line, cut in zip(found, cuts, strict=True)
    ]
    priced = discounts.price(gross, ticket_cuts)
    for line, amount in zip(found, priced.amounts, strict=True):
        if amount != line["amount_minor"]:
            line["off_minor"] = line["amount_minor"] - amount
            line["amount_minor"] = amount
    off = [[name, less] for name, less in priced.off]
    return Judged(found, off, _check_total(priced.total), 0, 0)


def _check_total(total: int) -> int:
    if total > MAX_TICKET_MINOR:
        raise Refused("out-of-range", what="total")
    return total


def _in_force(
    tables: Tables,
    cuts: Sequence[tuple[discounts.Cut, ...]],
    ticket_cuts: Sequence[discounts.Cut],
    base: int,
    chain: str,
) -> bool:
    """Whether every discount was given as the café gave it at ``base``."""
    table = tables.table("discounts")
    for name, form, value in (*ticket_cuts, *(cut for of_line in cuts for cut in of_line)):
        row = table.peek(name)
        if row is None or discounts.in_force(row, base, chain) != (form, value):
            return False
    return True


def _expected(
    tables: Tables,
    lines: Sequence[Line],
    found: Sequence[Mapping[str, Any]],
    cuts: Sequence[tuple[discounts.Cut, ...]],
    ticket_cuts: Sequence[discounts.Cut],
    base: int,
    chain: str,
) -> int:
    """Total by the catalogue at ``base``; far below any total if it does not know a product."""
    gross = []
    for line, kept, of_line in zip(lines, found, cuts, strict=True):
        row = tables.table("products").peek(line.sku)
        price: int | None = kept["price_minor"]
        if row is None or (line.job is not None and not _is_its_job(tables, line)):
            price = None
        elif not row["open_price"] and line.job is None:
            price = catalog.price_at(row, base, chain)
        if price is None:
            return -MAX_TICKET_MINOR
        known = tuple(_known(tables, cut, base, chain) for cut in of_line)
        gross.append((kept["kind"], _amount(tables, kept["kind"], line, price, base), known))
    known_on_ticket = tuple(_known(tables, cut, base, chain) for cut in ticket_cuts)
    try:
        priced = discounts.price(
            [(kind, amount, [cut for cut in cut_list if cut]) for kind, amount, cut_list in gross],
            [cut for cut in known_on_ticket if cut],
        )
    except Refused:
        return -MAX_TICKET_MINOR
    return priced.total


def _known(tables: Tables, cut: discounts.Cut, base: int, chain: str) -> discounts.Cut | None:
    """A discount as the café gave it at ``base``; None if it did not."""
    row = tables.table("discounts").peek(cut[0])
    held = discounts.in_force(row, base, chain) if row is not None else None
    return (cut[0], *held) if held else None


def judge_sum(
    mode: int, claimed: int, total: int, off_base: int, off_now: int, tolerance: int
) -> tuple[list[str], list[str]]:
    """(doubts that set an order aside, flags beside it) of its sums; minor units.

    ``claimed`` is what its author says it comes to, ``total`` what its lines come to; ``off_base``
    and ``off_now`` as in `Judged`.
    """
    doubts = ["bad-arithmetic"] if claimed != total else []
    if mode == 2:  # nothing was paid yet: the operator sees the difference
        return doubts, ["price-differs"] if off_now else []
    if off_base:
        within = abs(off_base) <= tolerance
        return (doubts, ["price-differs"]) if within else ([*doubts, "price-differs"], [])
    return doubts, ["old-price"] if off_now else []
