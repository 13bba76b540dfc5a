"""The basket and the catalogue around it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import flet as ft

from node.api import (
    Node,
    Refused,
    accounts,
    box,
    catalog,
    discounts,
    jobs,
    lines,
    pay,
    pcs,
    read_fields,
    settings,
    stations,
    stock,
    taxes,
)
from ui.viewmodels import shelf

MAX_QUANTITY = 10**6
PARKED_AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a basket, before it is priced."""

    sku: str
    quantity: int = 1
    price_minor: int | None = None
    """Of an open price, as it was typed."""
    note: str = ""
    discounts: tuple[str, ...] = ()
    job: str = ""
    """A parked print that is paid with this line."""

    def fields(self) -> dict[str, Any]:
        """As a line of `order.place`."""
        found: dict[str, Any] = {"sku": self.sku, "quantity": self.quantity}
        if self.price_minor is not None:
            found["price_minor"] = self.price_minor
        if self.note:
            found["note"] = self.note
        if self.discounts:
            found["discounts"] = [{"discount": name} for name in self.discounts]
        if self.job:
            found["job"] = self.job
        return found


@dataclass(frozen=True, slots=True)
class Parked:
    """A basket that waits for its customer to come back."""

    items: dict[str, Item]
    discounts: tuple[str, ...]
    at_ms: int
    customer: str = ""
    session: str = ""
    key: str = ""
    """Of its sale: however often a basket comes back, the log takes it once."""


@ft.observable
@dataclass
class SellModel:
    """One vendor's basket. ``items`` are its lines by a name of their own: the sku, where there is
    one line of it only."""

    items: dict[str, Item] = field(default_factory=dict)
    discounts: tuple[str, ...] = ()
    """Of the whole ticket."""
    method: str = ""
    """What it is paid with; empty for cash."""
    current: str = ""
    """Name of the line that is open."""
    asking: str = ""
    """Sku whose price is being asked for."""
    panel: str = ""
    """What is open beside the basket: ``discounts``, ``jobs``, ``parked``, ``customer``, ``pcs``,
    or nothing."""
    customer: str = ""
    """Whose ticket it is; empty for nobody's."""
    session: str = ""
    """Session at a PC whose account it may go on; empty for none."""
    who: str = ""
    """What was typed to find a customer."""
    wanted: str = ""
    """Sku that waits for a customer to be chosen."""
    price: str = ""
    note: str = ""
    """Of what is being asked for, as it is typed."""
    parked: tuple[Parked, ...] = ()
    query: str = ""
    category: str = ""
    as_list: bool = False
    received: str = ""
    problem: str = ""
    """A sentence about what the last try could not do."""
    busy: bool = False
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    """Of the sale that this basket becomes."""

    def add(self, sku: str, price_minor: int | None = None, note: str = "") -> None:
        """One more of a product; of an open price, one more line."""
        name = sku
        if price_minor is None:
            known = self.items.get(sku, Item(sku, 0))
            item = replace(known, quantity=min(MAX_QUANTITY, known.quantity + 1))
        else:
            name, item = self._free(sku), Item(sku, 1, price_minor, note)
        self.items = {**self.items, name: item}
        self.close_panel()
        self.current = name

    def add_job(self, job: str, sku: str, units: int) -> None:
        """Pay a parked print with this ticket."""
        if all(item.job != job for item in self.items.values()):
            self.items = {**self.items, self._free(sku): Item(sku, max(1, units), job=job)}
        self.problem = ""

    def _free(self, sku: str) -> str:
        number = 1
        while (name := f"{sku}#{number}") in self.items:
            number += 1
        return name

    def set_quantity(self, name: str, quantity: int) -> None:
        """Zero or less takes the line away."""
        items = dict(self.items)
        if quantity <= 0:
            items.pop(name, None)
        else:
            known = items.get(name, Item(name))
            items[name] = replace(known, quantity=min(MAX_QUANTITY, quantity))
        self.items = items
        self.current = name if name in items else ""
        self.problem = ""

    def toggle_discount(self, discount: str) -> None:
        """Give a discount to the line that is open, or to the whole ticket; or take it back."""
        item = self.items.get(self.current)
        if item is None:
            self.discounts = _toggled(self.discounts, discount)
        else:
            changed = replace(item, discounts=_toggled(item.discounts, discount))
            self.items = {**self.items, self.current: changed}
        self.problem = ""

    def open_line(self, name: str) -> None:
        self.current = "" if self.current == name else name

    def quantity_of(self, sku: str) -> int:
        """Units of a product in the basket."""
        return sum(item.quantity for item in self.items.values() if item.sku == sku)

    def choose_customer(self, customer: str) -> None:
        """The ticket is theirs from now on; nobody's if empty. What is paid with credit is not
        any more."""
        self.close_panel()
        self.customer = customer
        if self.method == accounts.CREDIT:
            self.method = ""

    def sell_on(self, session: str) -> None:
        """The ticket goes on a PC's account from now on; on none if empty."""
        self.close_panel()
        self.session = session
        self.method = pcs.PC if session else "" if self.method == pcs.PC else self.method

    def ask(self, sku: str) -> None:
        """Ask for the price of a product."""
        self.close_panel()
        self.asking = sku

    def ask_customer(self, wanted: str = "") -> None:
        """Ask whose ticket it is; ``wanted`` goes into the basket then."""
        self.close_panel()
        self.panel, self.wanted = "customer", wanted

    def close_panel(self) -> None:
        """Nothing is asked for any more."""
        self.panel = self.who = self.wanted = self.asking = self.price = self.note = ""
        self.problem = ""

    def clear(self) -> None:
        self.items, self.discounts, self.method = {}, (), ""
        self.close_panel()
        self.customer = self.session = self.current = self.received = ""
        self.key = secrets.token_hex(16)

    def park(self, at_ms: int) -> None:
        """Put the basket aside for later; the oldest goes when there are too many."""
        one = self.basket(at_ms)
        if one is not None:
            self.parked = (*self.parked, one)[-PARKED_AT_ONCE:]
            self.clear()

    def basket(self, at_ms: int = 0) -> Parked | None:
        """What stands in the basket; None if nothing does."""
        session = self.session if self.method == pcs.PC else ""
        if not self.items:
            return None
        return Parked(self.items, self.discounts, at_ms, self.customer, session, self.key)

    def adopt(self, basket: Parked | None, parked: tuple[Parked, ...], at_ms: int) -> None:
        """Go on with what stood in another page; its basket is parked if this one is not empty."""
        self.parked = (*parked, *self.parked)
        if basket is None:
            return
        if self.items:
            self.parked = (*self.parked, replace(basket, at_ms=at_ms))
        else:
            self._go_on(basket)

    def _go_on(self, one: Parked) -> None:
        self.clear()
        self.items, self.discounts, self.customer = one.items, one.discounts, one.customer
        self.key = one.key or self.key
        self.sell_on(one.session)

    def take_back(self, at: int, at_ms: int) -> None:
        """Go on with a parked basket; what is in this one is parked in its place."""
        if at >= len(self.parked):
            return  # it was taken by the touch before
        one = self.parked[at]
        self.parked = self.parked[:at] + self.parked[at + 1 :]
        self.park(at_ms)
        self._go_on(one)

    @property
    def units(self) -> int:
        return sum(item.quantity for item in self.items.values())


def _toggled(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(n for n in names if n != name) if name in names else (*names, name)


@dataclass(frozen=True, slots=True)
class BasketLine:
    name: str
    """Of the line in the basket."""
    sku: str
    title: str
    quantity: int
    price_minor: int
    amount_minor: int
    """After its discounts and its share of the ticket's."""
    off_minor: int
    note: str
    fixed: bool
    """Whether its quantity cannot be changed here."""


@dataclass(frozen=True, slots=True)
class Basket:
    """The basket with the prices that hold now, by the rules that will judge the order."""

    lines: tuple[BasketLine, ...]
    subtotal_minor: int
    """Before discounts."""
    off: tuple[tuple[str, int], ...]
    """(name of the discount, what it takes off)."""
    rounding_minor: int
    total_minor: int
    taxes: tuple[tuple[int, int], ...]
    """(basis points, tax) of each rate above 0."""
    problem: str = ""
    """Code of what the rules would refuse now."""
    by_credit_minor: int = 0
    """Of the total, what the customer's account pays."""

    @property
    def rest_minor(self) -> int:
        """What is left to pay."""
        return self.total_minor - self.by_credit_minor


EMPTY = Basket((), 0, (), 0, 0, ())


def basket(node: Node, model: SellModel) -> Basket:
    """What the basket costs; what has gone from the catalogue is left out."""
    products = node.tables.table("products")
    known = {name: item for name, item in model.items.items() if products.peek(item.sku)}
    if not known:
        return EMPTY
    try:
        return _priced(node, model, known, discounted=True)
    except Refused as refusal:
        problem = refusal.code
    try:  # a discount that fits nothing: it says so, and all else is shown
        return replace(_priced(node, model, known, discounted=False), problem=problem)
    except Refused:
        pass
    good = {name: item for name, item in known.items() if _is_good(node, model, name, item)}
    if not good:
        return replace(EMPTY, problem=problem)
    try:
        return replace(_priced(node, model, good, discounted=False), problem=problem)
    except Refused:  # together they come to more than a ticket may
        return replace(EMPTY, problem=problem)


def _is_good(node: Node, model: SellModel, name: str, item: Item) -> bool:
    """Whether a line can be priced by itself."""
    try:
        _priced(node, model, {name: item}, discounted=False)
    except Refused:
        return False
    return True


def _priced(node: Node, model: SellModel, items: Mapping[str, Item], *, discounted: bool) -> Basket:
    tables = node.tables
    wanted = []
    for item in items.values():
        row = tables.table("products").peek(item.sku)
        assert row is not None
        shown = item if discounted else replace(item, discounts=())
        fields = shown.fields()
        if not item.job:
            fields.setdefault("price_minor", row["price_minor"])
        wanted.append(read_fields(fields, lines.Line))
    filled = lines.fill(tables, wanted)
    given = [discounts.Applied(discount=name) for name in model.discounts if discounted]
    on_ticket = lines.fill_discounts(tables, given)
    judged = lines.judge(tables, filled, on_ticket, tables.cursor, "", taken=False)
    cafe = settings.cafe(tables)
    step, mode = cafe.get("cash_step_minor", 1), cafe.get("cash_rounding", "half")
    by_credit = _by_credit(node, model, judged) if model.method == accounts.CREDIT else 0
    other = by_credit if model.method == accounts.CREDIT else judged.total if model.method else 0
    rounding = pay(judged.total, other, None, step, mode).rounding
    gross = [(line["amount_minor"], line["tax_bp"]) for line in judged.lines]
    left = list(judged.lines)
    shown_lines = []
    for name, item in items.items():
        line, amount = left[0], 0
        while left and (left[0] is line or left[0].get("combo") == item.sku == line.get("combo")):
            amount += left.pop(0)["amount_minor"]
        row = tables.table("products").peek(item.sku) or line
        combo = "combo" in line
        shown_lines.append(
            BasketLine(
                name=name,
                sku=item.sku,
                title=row["name"],
                quantity=item.quantity if combo else line["quantity"],
                price_minor=row["price_minor"] if combo else line["price_minor"],
                amount_minor=amount,
                off_minor=line.get("off_minor", 0),
                note=item.note,
                fixed=bool(item.job) or line["kind"] == "credit",
            )
        )
    return Basket(
        lines=tuple(shown_lines),
        subtotal_minor=judged.total + sum(off for _, off in judged.off),
        off=tuple((discount_title(node, name), off) for name, off in judged.off),
        rounding_minor=rounding,
        total_minor=judged.total + rounding,
        taxes=tuple((bp, tax) for bp, _, _, tax in taxes(gross) if bp),
        by_credit_minor=by_credit,
    )


def _by_credit(node: Node, model: SellModel, judged: lines.Judged) -> int:
    """What the account has for it: never for credit itself."""
    row = node.tables.table("customers").peek(model.customer)
    if row is None:
        return 0
    bought = accounts.credit_lines_minor(judged.lines)
    has: int = row["bonus"] + max(0, row["credit"])
    return max(0, min(has, judged.total - bought))


# --- what can be sold --------------------------------------------------------


def visible(node: Node, model: SellModel, most: int) -> tuple[list[Mapping[str, Any]], bool]:
    """(products on sale that fit category and search, at most so many; whether there are more)."""
    return shelf.find(node, model.query, model.category, most=most)


def scanned(node: Node, text: str) -> str:
    """Sku of the one product with this code or barcode, or that a search finds alone; empty if
    none."""
    text = text.strip()
    products = node.tables.table("products")
    row = products.peek(text)
    if row is not None and row["active"]:
        return text
    by_code = catalog.with_barcode(node.tables, text) if text else ""
    if by_code:
        return by_code
    found, _ = visible(node, SellModel(query=text), most=2)
    return str(found[0]["sku"]) if text and len(found) == 1 else ""


def is_job(node: Node, sku: str) -> bool:
    """Whether it is a print, scan or recording."""
    row = node.tables.table("products").peek(sku)
    return row is not None and row["kind"] in jobs.JOB_KINDS


def is_open_price(node: Node, sku: str) -> bool:
    """Whether the price is typed at the sale."""
    row = node.tables.table("products").peek(sku)
    return row is not None and bool(row["open_price"])


def stock_of(node: Node, sku: str) -> tuple[int, bool] | None:
    """(units that can be promised, whether that is low) of a product that is counted."""
    left, row = node.tables.table("stock").peek(sku), node.tables.table("products").peek(sku)
    if left is None or row is None:
        return None
    return stock.available(left), stock.is_low(left, row["minimum"])


def discount_list(node: Node) -> list[tuple[str, str, str, int]]:
    """(code, name, form, value) of the discounts that are given now, by name."""
    rows = node.tables.table("discounts").scan()
    found = [(i, r["name"], r["form"], r["value"]) for i, r in rows if r["active"]]
    return sorted(found, key=lambda one: one[1])


def discount_title(node: Node, discount: str) -> str:
    row = node.tables.table("discounts").peek(discount)
    return row["name"] if row is not None else discount


def methods(node: Node, customer: str = "", session: str = "") -> list[tuple[str, str]]:
    """(method, name) of what people may pay with beside cash; a customer with their credit too, and
    who is at a PC on its account: their names are words of the language."""
    known = [
        (method["method"], method["name"])
        for method in settings.cafe(node.tables).get("methods", ())
        if method["active"]
    ]
    own = [(accounts.CREDIT, "")] if customer else []
    return [*known, *own, *([(pcs.PC, "")] if session else [])]


def change_customer(node: Node, model: SellModel, customer: str) -> None:
    """The ticket is somebody else's: what only the one before can have is parked with them."""
    theirs = any(needs_customer(node, item.sku) for item in model.items.values())
    if model.customer and customer != model.customer and theirs:
        model.park(node.clock.wall_ms())
    model.choose_customer(customer)


def needs_customer(node: Node, sku: str) -> bool:
    """Whether only a registered customer can have it."""
    row = node.tables.table("products").peek(sku)
    return row is not None and row["kind"] in accounts.FOR_CUSTOMERS


def next_label(node: Node) -> str:
    """Label of the order or sale in the making."""
    if node.role == "server":
        return str(box.next_ticket(node.tables))
    return stations.next_label(node.tables, node.node_id)


async def charge(node: Node, model: SellModel, tendered_minor: int | None) -> str:
    """Place the order; its label. Raises `SyncError`, and then the basket is as it was."""
    if model.method and model.method not in dict(methods(node, model.customer, model.session)):
        model.method = ""
        raise Refused("unknown-method", what=model.method)
    if model.method == pcs.PC:
        try:
            pcs.live(node.tables, model.session)
        except Refused:
            model.sell_on("")
            raise
    label = next_label(node)
    fields: dict[str, Any] = {"lines": [item.fields() for item in model.items.values()]}
    if model.discounts:
        fields["discounts"] = [{"discount": name} for name in model.discounts]
    if model.customer:
        fields["customer"] = model.customer
    if model.method:
        now = basket(node, model)
        total = now.by_credit_minor if model.method == accounts.CREDIT else now.total_minor
        fields["payments"] = [{"method": model.method, "amount_minor": total}] if total else []
    if model.method == pcs.PC:
        fields["session"] = model.session
    if tendered_minor is not None and model.method in ("", accounts.CREDIT):
        fields["tendered_minor"] = tendered_minor
    sold, given = model.items, model.discounts
    model.busy = True
    try:
        receipt = await node.submit("order.place", fields, bytes.fromhex(model.key))
        if receipt.state == "done-before":  # who is told so decides what becomes of the basket
            model.key = secrets.token_hex(16)
            raise Refused("already-done", seq=receipt.seq)
        later = {name: item for name, item in model.items.items() if sold.get(name) is not item}
        model.clear()
        model.items = later  # what was touched while this one was written down
        if later:
            model.discounts = tuple(d for d in model.discounts if d not in given)
    finally:
        model.busy = False
    return label
