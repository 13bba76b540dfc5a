"""A café's rules without an engine: acts are decided and folded at once, as the server would."""

from __future__ import annotations

from typing import Any

from node.cafe import accounts, orders, stock
from node.cafe.house import KINDS, Cafe
from node.cafe.kinds import body_of, read_command
from node.cafe.profiles import CREDIT_SKU
from sync.codec import written
from sync.domain import Context
from sync.identity import Ed25519Signer, node_id
from sync.op import Entry, Op, encode_op
from sync.view import View

SERVER = b"v" * 16
STATION_KEY = Ed25519Signer(b"1" * 32)
STATION = node_id(STATION_KEY.public)


class Rules:
    """Names of operators stand for their ids; ``at`` is the server (desk) or the station."""

    def __init__(self, *, mode: int = 2, printing: bool = True, **settings: Any) -> None:
        self.cafe = Cafe()
        self.view = View(self.cafe)
        self._n = 0
        self.older = self.lost = False
        """Whether what is done next was made before the server's start, and before it lost history."""
        self.wall_ms = 1_700_000_000_000
        self.op_wall_ms = 0
        """What the author's clock says; 0 for the right time."""
        self.age_ms = 0
        self.folded: list[tuple[Entry, Op]] = []
        """All that was done, as the log has it."""
        self.people: dict[str, bytes] = {}
        self._secrets = 0
        self.deficits: list[list[Any]] = []
        """Of the last act."""
        self.do(
            "cafe.create",
            name="Test",
            currency="EUR",
            language="en",
            cafe_key="00" * 32,
            mode=mode,
            printing=printing,
            remote_pos=True,
            **settings,
        )
        for name, role in (("Ada", "administrator"), ("Carl", "cashier"), ("Vera", "vendor")):
            self.add(name, role)
        self.do(
            "station.enrol",
            by="Ada",
            name="Patio",
            public_key=STATION_KEY.public.hex(),
            certificate="00",
        )
        self.products(COFFEE=200, CAKE=350)

    def add(self, name: str, role: str) -> None:
        public = Ed25519Signer.generate().public.hex()
        by = "Ada" if self.people else ""
        self.do("operator.add", by=by, name=name, role=role, public_key=public, sealed_key="00")
        found = [str(d.doc_id) for d in self.view.table("operators") if d["name"] == name]
        self.people[name] = bytes.fromhex(found[0])

    def products(self, **prices: int) -> None:
        products = [
            {"sku": sku, "name": sku.title(), "price_minor": price, "tax_bp": 1000}
            for sku, price in prices.items()
        ]
        self.do("catalog.import", by="Ada", products=products)

    def profile(self, profile: str = "STD", **values: Any) -> None:
        """A registered profile: points for each 1000, 10 points are 60 minutes."""
        known = {"name": profile.title(), "price_minor": 500, "points": 1, "per_minor": 1000}
        self.do("profile.add", by="Ada", profile=profile, values={**known, **values})

    def customer(
        self, user: str, balance: dict[str, int] | None = None, profile: str = "STD"
    ) -> str:
        """A customer with this user name; the id."""
        if self.view.table("profiles").peek(profile) is None:
            self.profile(profile)
        customer = self.do("customer.create", by="Carl", profile=profile)
        self.do("customer.describe", by="Carl", customer=customer, person={"user": user})
        if balance:
            fields = {name: [0, value] for name, value in balance.items()}
            self.do("customer.balance", by="Ada", customer=customer, reason="as told", **fields)
        return customer

    def charge(self, customer: str, amount: int, **more: Any) -> str:
        """Add credit; the order's id."""
        line = {"sku": CREDIT_SKU, "quantity": 1, "price_minor": amount}
        more = {"at": SERVER, "by": "Carl", **more}
        return self.order(full_lines=[line], customer=customer, **more)

    def moves(self, customer: str, count: int) -> list[Any]:
        """The newest movements of an account."""
        return list(accounts.movements(self.view, customer, count))

    def pin_profile(self, sku: str, form: str = "card", **more: Any) -> None:
        """A profile of an hour."""
        fields = {"name": sku.title(), "minutes": 60, "price_minor": 500, **more}
        self.do("pin.profile", by="Ada", sku=sku, form=form, **fields)

    def secrets(self, count: int) -> list[list[str]]:
        """(index, text) of so many PINs that nobody has."""
        self._secrets += count
        numbers = range(self._secrets - count, self._secrets)
        return [[f"{number:032x}", f"{number:042x}"] for number in numbers]

    def pins(self, profile: str, count: int, **more: Any) -> None:
        """Make cards."""
        self.do("pin.make", by="Ada", profile=profile, secrets=self.secrets(count), **more)

    def spares(self, count: int) -> None:
        """Codes for tickets."""
        self.do("pin.spare", secrets=self.secrets(count))

    def do(
        self, kind: str, *, by: str = "", at: bytes = SERVER, base: int | None = None, **body: Any
    ) -> str:
        """Do one act at the server; the op's key in hex. Raises `Refused`."""
        return self.outcome(kind, by=by, at=at, base=base, **body)[0]

    def outcome(
        self, kind: str, *, by: str = "", at: bytes = SERVER, base: int | None = None, **body: Any
    ) -> tuple[str, list[Any]]:
        """(key, events) of an act."""
        self._n += 1
        key = self._n.to_bytes(16, "big")
        op = encode_op(
            chain=at + b"epoch000",
            n=self._n,
            kind=kind,
            version=1,
            body=body,
            grant=0,
            base=self.view.cursor if base is None else base,
            key=key,
            wall_ms=self.op_wall_ms or self.wall_ms - max(0, self.age_ms),
            mono_ms=0,
            boot=bytes(8),
        )
        context = Context(
            op=op,
            operator=self.people.get(by),
            server=True,
            desk=at == SERVER,
            seq=self.view.cursor + 1,
            at_ms=self.wall_ms,
            age_ms=self.age_ms,
            older=self.older,
            lost=self.lost,
        )
        _, events = written(self.cafe.decide(self.view, op, context))
        self.deficits = [
            missing
            for kind, _, fact in events
            if kind in ("order.placed", "order.sold")
            for missing in (fact.get("placed") or fact)["deficits"]
        ]
        entry = Entry(self.view.cursor + 1, self.wall_ms, 0, op.raw, True, events, {})
        self.view.fold(entry, op)
        self.folded.append((entry, op))
        return key.hex(), events

    def order(
        self, *, by: str = "Vera", at: bytes = STATION, base: int | None = None, **fields: Any
    ) -> str:
        """Place an order; what is not given is filled in as a node does it."""
        lines = fields.pop("full_lines", None) or [
            {"sku": sku, "quantity": n} for sku, n in fields.pop("lines", {"COFFEE": 1}).items()
        ]
        command = read_command(KINDS["order.place"], {"lines": lines, **fields})
        station = "" if at == SERVER else at.hex()
        filled = orders.fill(self.view, command, station, self.view.cursor)
        return self.do("order.place", by=by, at=at, base=base, **body_of(filled))

    def row(self, table: str, row_id: str) -> dict[str, Any]:
        row = self.view.table(table).row(row_id)
        assert row is not None
        return row

    def low_stock(self) -> list[tuple[str, int, int]]:
        return stock.low(self.view)

    def available(self, sku: str) -> int:
        return stock.available(self.row("stock", sku))

    def box(self, number: int) -> dict[str, Any]:
        """A box and its sums."""
        return {**self.row("boxes", str(number)), **self.row("sums", str(number))}

    def state(self, order: str) -> str:
        return str(self.row("orders", order)["state"])
