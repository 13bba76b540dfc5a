"""Writes a golden folder: the log of a server in which every kind of op and event stands.

    python -m tests.golden.make NAME        adds tests/golden/NAME, which must not be there yet

A kind on somebody's disk is for ever, so a folder here is never written again: a new kind, or a new version of
one, gets a new folder. `test_golden.py` replays all of them and says which kinds have none.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from node.cafe.house import Cafe
from sync.erase import find_bodies
from sync.identity import Ed25519Signer, node_id
from sync.protocol import Act, Checked, Erase, SignIn
from tests.support.cores import CAFE, LINK, Bench
from tests.support.disks import SimDisk
from tests.unit.test_restored import copied, link, part, restart_server, restart_station

FOLDER = Path(__file__).parent


class Day:
    """A day of a café in which everything happens that can."""

    def __init__(self) -> None:
        self.bench = bench = Bench(Cafe())
        bench.log.segment_bytes = 1 << 20
        self.station = bench.replica.keys.node.hex()
        self.people: dict[str, bytes] = {}
        self.signers = {
            name: Ed25519Signer(name.encode().ljust(32, b".")) for name in ("Ada", "Vera")
        }
        self.desk(
            "cafe.create",
            name="Golden",
            currency="EUR",
            language="en",
            cafe_key="00" * 32,
            mode=2,
            remote_pos=True,
        )
        for name, role in (("Ada", "administrator"), ("Vera", "vendor")):
            self.add(name, role)
        self.enrol("Box", bench.server_key.public)
        self.enrol("Patio", bench.station_key.public)
        product = {"sku": "COFFEE", "name": "Coffee", "price_minor": 150, "tax_bp": 1000}
        self.desk("catalog.import", "Ada", products=[product])
        bench.give(bench.replica, SignIn(self.people["Vera"], self.signers["Vera"], 1 << 62))
        bench.link()

    def act(self, core: Any, kind: str, by: str, **body: Any) -> str:
        bench, key = self.bench, self.bench.chance.randbytes(16)
        bench.give(core, Act(kind, kind, 1, body, key, self.people.get(by)))
        bench.run()
        result: Any = bench.results[-1]
        assert not isinstance(result, Exception), (kind, result)
        return key.hex()

    def desk(self, kind: str, by: str = "", **body: Any) -> str:
        return self.act(self.bench.hub, kind, by, **body)

    def sell(self, **more: Any) -> str:
        row = self.bench.replica.view.table("settings").row("cafe")
        assert row is not None
        body = {
            "lines": [{"sku": "COFFEE", "quantity": 2, "price_minor": 150}],
            "total_minor": 300,
            "mode": row["mode"],
            "label": "A-1",
            "box": 1,
            **more,
        }
        return self.act(self.bench.replica, "order.place", "Vera", **body)

    def add(self, name: str, role: str) -> None:
        signer = self.signers[name]
        public = signer.public.hex()
        by = "Ada" if self.people else ""
        self.desk("operator.add", by, name=name, role=role, public_key=public, sealed_key="00")
        rows = self.bench.hub.view.table("operators")
        self.people[name] = next(bytes.fromhex(str(r.doc_id)) for r in rows if r["name"] == name)
        self.bench.give(self.bench.hub, SignIn(self.people[name], signer, 1 << 62))

    def enrol(self, name: str, public: bytes) -> None:
        body = {"name": name, "public_key": public.hex(), "certificate": "00"}
        self.desk("station.enrol", "Ada", **body)

    def job(self, state: str) -> str:
        rows = self.bench.hub.view.table("prints").scan()
        return next(job for job, row in rows if row["state"] == state)


def cafe() -> Bench:
    """Every kind of the café's."""
    day = Day()
    bench = day.bench
    allowed, denied, collected = day.sell(), day.sell(), day.sell()
    day.desk("order.deny", "Ada", order=denied, reason="no milk")
    day.desk("order.allow", "Ada", order=allowed)
    day.desk("order.collect", "Ada", order=collected, tendered_minor=500)
    part(bench)
    late = [day.sell(total_minor=999), day.sell(total_minor=999)]
    bench.link()
    day.desk("order.accept", "Ada", order=late[0], reason="it was before")
    day.desk("order.reject", "Ada", order=late[1], reason="nobody knows")
    day.desk("operator.edit", "Ada", operator="Vera", denied=["ticket.reprint"])
    day.desk("settings.edit", "Ada", mode=1, tolerance_minor=10)
    for _ in range(3):
        day.sell(tendered_minor=300)
    shop(day)
    club(day)
    floor(day)
    day.desk("incident.note", code="cloned", node=day.station)
    for outcome in ("printed", "unknown", "not_started"):
        job = day.job("waiting")
        day.desk("print.start", job=job)
        day.desk("print.end", job=job, outcome=outcome)
    day.desk("print.settle", "Ada", job=day.job("unknown"))
    day.desk("print.hold", job=day.job("waiting"))
    day.desk("ticket.reprint", "Ada", job=day.job("printed"))
    day.desk("station.override", "Ada", station=day.station)
    day.desk("box.close", "Ada", declared_minor=300, leave_minor=0)
    day.desk("station.revoke", "Ada", station=day.station)
    day.desk("pin.burn", "Ada", station=day.station, reason="lost")
    return bench


def shop(day: Day) -> None:
    """What else a café does all day."""
    row = day.bench.replica.view.table("products").row("COFFEE")
    assert row is not None
    page = {"sku": "PAGE", "name": "Page", "price_minor": 15, "kind": "print"}
    day.act(day.bench.replica, "product.add", "Vera", product=page)
    for value in (160, 170):  # the second saw an old version
        changes = {"barcode": [1, str(value)]}
        day.act(day.bench.replica, "product.edit", "Vera", sku="COFFEE", changes=changes)
    day.desk("exception.resolve", "Ada", exception=1, resolution="take")
    day.desk("discount.add", "Ada", discount="TEN", name="Ten", form="percent", value=1000)
    day.desk("discount.edit", "Ada", discount="TEN", changes={"value": [1, 500]})
    move = {"sku": "COFFEE", "direction": "in", "units": 100, "reason": "delivery"}
    day.desk("stock.move", "Ada", **move)
    day.desk("stock.count", "Ada", lines=[{"sku": "COFFEE", "units": 90}], reason="counted")
    part(day.bench)
    for core, who in ((day.bench.replica, "Vera"), (day.bench.hub, "Ada")):
        twin = {"sku": "TWIN", "name": f"Of {who}", "price_minor": 20}
        day.act(core, "product.add", who, product=twin)
    day.bench.link()
    jobs = [
        day.act(
            day.bench.replica, "job.park", "Vera", sku="PAGE", units=3, copies=1, price_minor=15
        )
        for _ in range(2)
    ]
    day.desk("job.cancel", "Ada", job=jobs[0], reason="jam")
    methods = [{"method": "card", "name": "Card"}]
    day.desk("settings.edit", "Ada", methods=methods, order_expiry_s=1, mode=2)
    waiting = [day.sell() for _ in range(2)]
    day.act(day.bench.replica, "order.withdraw", "Vera", order=waiting[0])
    day.bench.pass_time(2)
    day.desk("order.expire", order=waiting[1])
    day.desk("settings.edit", "Ada", order_expiry_s=0, mode=1)
    line = {"sku": "COFFEE", "quantity": 1, "price_minor": 150, "discounts": [
        {"discount": "TEN", "form": "percent", "value": 500}]}  # fmt: skip
    paid = {"sku": "PAGE", "quantity": 3, "price_minor": 15, "job": jobs[1]}
    sold = day.sell(
        lines=[line, paid],
        total_minor=187,
        payments=[{"method": "card", "amount_minor": 100}],
        cash_minor=87,
    )
    day.desk("sale.refund", "Ada", order=sold, lines=[{"line": 0, "units": 1}], reason="cold")
    day.desk("cash.move", "Ada", direction="in", amount_minor=500, reason="change")
    till = f"{day.people['Vera'].hex()}/{day.station}"
    day.desk("till.float", "Ada", till=till, amount_minor=100)
    day.desk("box.x", "Ada")
    day.desk("drawer.open", "Ada", reason="change")
    day.desk("box.hand-over", "Ada", next_operator="Ada")
    day.desk("operator.password", "Ada", sealed_key="01")
    key = Ed25519Signer(b"Vera anew".ljust(32, b".")).public
    day.desk("operator.reset", operator="Vera", public_key=key.hex(), sealed_key="02")


def club(day: Day) -> None:
    """Customers, points, passes, PIN cards and tickets."""
    values = {"name": "Std", "price_minor": 500, "points": 1, "per_minor": 100, "expiry_days": 1}
    for profile in ("STD", "OLD"):
        day.desk("profile.add", "Ada", profile=profile, values=values)
    day.desk("profile.edit", "Ada", profile="OLD", values={**values, "name": "Old"})
    rule = {"points": 2, "per_minor": 100, "need": 10, "minutes": 60}
    day.desk("points.settings", "Ada", profile="STD", **rule)
    ana, bea = (day.desk("customer.create", "Ada", profile="STD") for _ in range(2))
    for customer, user in ((ana, "ana.m"), (bea, "bea.m")):
        day.desk("customer.describe", "Ada", customer=customer, person={"user": user})
    day.desk("customer.edit", "Ada", customer=ana, changes={"first": [1, "Ana"]})
    day.desk("customer.profile", "Ada", customer=ana, profile="OLD")
    day.desk("customer.lock", "Ada", customer=ana, hours=1, reason="noise")
    day.desk("customer.unlock", "Ada", customer=ana)
    day.desk("offer.add", "Ada", sku="DAY", name="Day", form="day", price_minor=700)
    mug = {"sku": "MUG", "name": "Mug", "price_minor": 900, "points": 3}
    day.desk("product.add", "Ada", product=mug)

    def sell(customer: str, *lines: tuple[str, int], **more: Any) -> str:
        full = [{"sku": sku, "quantity": 1, "price_minor": price} for sku, price in lines]
        total = sum(price for _, price in lines)
        cash = {"cash_minor": total, **more}
        return day.sell(lines=full, total_minor=total, customer=customer, **cash)

    charge = sell(ana, ("C:CREDIT", 3000), ("DAY", 700))
    benefit = {"customer": ana, "order": charge, "sku": "DAY", "active": False}
    day.desk("customer.benefit", "Ada", **benefit)
    sell(ana, ("MUG", 900), payments=[{"method": "credit", "amount_minor": 900}], cash_minor=0)
    day.desk("customer.balance", "Ada", customer=ana, points=[30, 40], reason="as promised")
    day.desk("points.redeem", "Ada", customer=ana, points=10)
    mugs = day.desk("points.redeem", "Ada", customer=ana, products=[{"sku": "MUG"}])
    day.desk("points.undo", "Ada", redemption=mugs)
    day.desk("sale.refund", "Ada", order=charge, lines=[{"line": 1, "units": 1}], reason="rain")
    day.desk("credit.transfer", "Ada", customer=ana, to=bea, amount_minor=100)
    fields = {"price_minor": 500, "minutes": 60, "validity": "sale", "days": 1}
    for sku, form in (("CARD", "card"), ("HOUR", "ticket")):
        day.desk("pin.profile", "Ada", sku=sku, name=sku.title(), form=form, **fields)
    secrets = [[f"{number:032x}", f"{number:042x}"] for number in range(9)]
    day.desk("pin.make", "Ada", profile="CARD", secrets=secrets[:6])
    day.desk("pin.spare", secrets=secrets[6:])
    day.desk("pin.review", "Ada", serials=[1, 2, 3, 4, 5, 6], purpose="sheet")
    day.desk("pin.stock", "Ada", serials=[1, 2, 3, 4, 5], direction="in")
    day.desk("pin.consign", "Ada", serials=[1, 2, 3], station=day.station)
    day.sell(
        lines=[{"sku": "CARD", "quantity": 1, "price_minor": 500, "serials": [1]}],
        total_minor=500,
        cash_minor=500,
    )
    sell("", ("HOUR", 500))
    day.desk("pin.recall", "Ada", station=day.station)
    day.act(day.bench.replica, "pin.return", "", serials=[2])
    day.desk("pin.delete", "Ada", serials=[5], reason="torn")
    day.desk("printer.note", ready=False)
    day.bench.pass_time(3 * 24 * 3600)
    day.desk("credit.expire", customer=bea)
    day.desk("pin.expire", serials=[1])
    day.desk("customer.delete", "Ada", customer=bea, credit="forfeit", reason="moved")


def floor(day: Day) -> None:
    """PCs, their rates, sessions of each form, reservations, first passwords."""
    band = {"minute": 0, "price_minor": 50, "block_s": 900}
    values = {"name": "PC", "bands": [band], "minimum_minor": 100, "grace_s": 60, "tax_bp": 1000}
    day.desk("rate.put", "Ada", rate="STD", values=values)
    pcs = []
    for number in (1, 2):
        key = Ed25519Signer(bytes([100 + number]) * 32)
        fields = {"number": number, "rate": "STD", "public_key": key.public.hex()}
        day.desk("pc.enrol", "Ada", certificate="00", **fields)
        pcs.append(node_id(key.public).hex())
    one, two = pcs
    day.desk("pc.edit", "Ada", pc=one, name="Window")
    day.desk("pc.mac", pc=one, mac="02:00:00:00:00:01")
    for locked in (True, False):
        day.desk("pc.lock", "Ada", pc=two, locked=locked, reason="cleaning")
    day.desk("pc.message", "Ada", pc=one, message="Hello")
    day.desk("pc.power", "Ada", pc=one, action="wake")
    day.desk("pc.unblock", "Ada", pc=one)
    eva = day.desk("customer.create", "Ada", profile="STD")
    day.desk("customer.describe", "Ada", customer=eva, person={"user": "eva.q"})
    day.desk("customer.balance", "Ada", customer=eva, credit=[0, 5000], reason="gift")
    day.desk("customer.balance", "Ada", customer=eva, points=[0, 20], reason="gift")
    day.desk("customer.code", customer=eva, secret=["00" * 16, "00" * 20])
    day.desk("pc.enable", "Ada", customer=eva, pc=one)
    day.desk("customer.password", customer=eva, verifier="aa")
    session = day.desk("session.open", pc=one, customer=eva)
    day.desk("points.redeem-here", customer=eva, points=10)
    day.desk("session.pause", "Ada", session=session, seconds=60)
    day.desk("session.move", "Ada", session=session, pc=two)
    day.desk("session.resume", "Ada", session=session)
    day.desk("session.close", session=session, seconds=7200, why="customer", flags=["clock"])
    day.desk("customer.forget", "Ada", customer=eva)
    fields = {"pc": one, "name": "Ana", "minutes": 60, "deposit_minor": 100}
    now_ms = day.bench.now.wall_ms
    kept = day.desk("reservation.make", "Ada", from_ms=now_ms, **fields)
    gone = day.desk("reservation.make", "Ada", from_ms=now_ms + 7_200_000, **fields)
    day.desk("reservation.end", "Ada", reservation=gone, refund=True, reason="ill")
    more = {"form": "prepaid", "reservation": kept, "amount_minor": 50}
    session = day.desk("session.start", "Ada", pc=one, **more)
    day.desk("session.add", "Ada", session=session, amount_minor=100, seconds=60)
    day.desk("session.close", session=session, seconds=9000, why="time-up")
    day.desk("settings.edit", "Ada", return_prepaid=True)
    session = day.desk("session.start", "Ada", pc=one, form="prepaid", amount_minor=300)
    day.desk("session.close", session=session, seconds=10, why="customer")
    day.desk("session.give-back", "Ada", session=session)
    session = day.desk("session.start", "Ada", pc=one)
    line = {"sku": "COFFEE", "quantity": 1}
    pays = [{"method": "pc", "amount_minor": 150}]
    order = day.desk("order.from-pc", session=session, lines=[line])
    day.desk("order.collect", "Ada", order=order, payments=pays)
    day.desk("session.end", "Ada", session=session, seconds=1801)
    day.desk("session.pay", "Ada", session=session)
    day.desk("sale.refund", "Ada", order=order, reason="cold")
    day.desk("pc.revoke", "Ada", pc=two)


def engine() -> Bench:
    """Every kind of the engine's: starts, grants, a restore, a fork, a checkpoint, an erased body."""
    bench = Bench()
    bench.sign_in()
    bench.link()
    bench.act({"id": "one"}, operator=b"o" * 16)
    bench.act(
        {"id": "ana", "data": "somebody who wants to be forgotten"}, "person.keep", key=b"k" * 16
    )
    bench.run()
    early, station = copied(bench.log), copied(bench.own)
    bench.act({"id": "two"}, operator=b"o" * 16)
    bench.run()
    chain, head = bench.replica.author.chain, bench.replica.author.head
    restart_server(bench, early)
    link(bench)
    part(bench)
    bench.copy.close()
    bench.own.close()
    # An older copy of the process wakes up in the same chain.
    restart_station(bench, station)
    bench.sign_in()
    del head
    author = bench.replica.author
    author.chain, author.head = chain, _place_before(bench, chain)
    author._grants = {b"o" * 16: 2}
    bench.act({"id": "of the copy"}, operator=b"o" * 16)
    link(bench)
    bench.give(bench.hub, Checked(bench.hub.head, "backup"))
    body = {"id": "ana"}
    bench.give(bench.hub, Act("f", "person.forget", 1, body, bench.chance.randbytes(16)))
    found = find_bodies(bench.log, {b"k" * 16: bench.hub.view.keys[b"k" * 16]})
    bench.give(bench.hub, Erase(None, found))
    bench.run()
    assert LINK in bench.hub.links
    return bench


def _place_before(bench: Bench, chain: bytes) -> Any:
    assert bench.replica.before is not None
    before, n, head = bench.replica.before
    assert before == chain
    from sync.op import Head

    return Head(n, head)


def files_of(bench: Bench) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The server's log, and what it must come to."""
    from sync.recovery import Opened, take_out

    if bench.hub.view.to_erase:
        take_out(Opened(bench.hub, bench.log, None))
    bench.log.close()
    disk: Any = bench.log.disk
    assert isinstance(disk, SimDisk)
    view = bench.hub.view
    names = [name for name in disk.names() if name.startswith("canon-")]
    expected = {
        "café": CAFE.hex(),
        "server": bench.server_key.public.hex(),
        "head": [bench.hub.head.n, bench.hub.head.hash.hex()],
        "digest": view.digest().hex(),
        "tables": {
            name: rows
            for name in sorted(view.store.tables)
            if (rows := dict(view.table(name).scan()))
        },
    }
    return {name: disk.read(name) for name in names}, expected


def main(name: str) -> None:
    for part_, make in (("cafe", cafe), ("engine", engine)):
        folder = FOLDER / name / part_
        folder.mkdir(parents=True)
        files, expected = files_of(make())
        for file, data in files.items():
            (folder / file).write_bytes(data)
        text = json.dumps(expected, indent=1, ensure_ascii=False, default=bytes.hex)
        (folder / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
