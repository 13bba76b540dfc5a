"""Tickets as bytes, the virtual printer that reads them, and what a delivery ends in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node.cafe import receipts
from node.devices.escpos import compose, printable
from node.devices.ports import Outcome, Printer
from node.devices.printers import Patience, open_printer
from node.devices.spooler import Spooler
from node.devices.virtual import Decoder, Faults, VirtualPrinter
from sync.errors import Refused, StorageFailed
from tests.support.cafe import Rules


def ticket(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "job": "t-1",
        "what": "ticket",
        "header": "",
        "footer": "",
        "off": [],
        "payments": [],
        "copy": False,
        "cafe": "Cíber El Ñandú",
        "currency": "EUR",
        "decimals": None,
        "language": "es",
        "number": 17,
        "label": "S2-0421",
        "at_ms": 1_790_000_000_000,
        "taken_ms": 0,
        "vendor": "Lucía Mora",
        "station": "S2 · Terraza",
        "late_from": 0,
        "lines": [{"quantity": 2, "name": "Café con leche", "amount_minor": 220}],
        "total_minor": 220,
        "rounding_minor": 0,
        "tendered_minor": 300,
        "change_minor": 80,
        "taxes": [(1000, 220, 200, 20)],
    }
    return {**values, **changes}


def at(port: int, patience: Patience | None = None) -> Printer:
    """The printer at a port of this machine."""
    return open_printer(f"tcp://127.0.0.1:{port}", patience)


def decoded(data: bytes) -> Decoder:
    decoder = Decoder(Faults())
    decoder.feed(data)
    return decoder


@pytest.mark.feature("PR-01")
def test_ticket_reads_as_it_was_meant_on_the_paper() -> None:
    """Accents, euro sign, columns, tax, vendor, station and order; no command that the reader lacks."""
    decoder = decoded(compose(ticket(), b"0001"))
    assert len(decoder.papers) == 1
    text = decoder.papers[0].text
    for words in (
        "Cíber El Ñandú",
        "Ticket 17",
        "Pedido S2-0421",
        "2 Café con leche",
        "2,20 €",
        "IVA 10 % incluido",
        "Vuelto 0,80 €",
        "Lucía Mora",
    ):
        assert words in text
    assert not decoder.unknown
    assert decoder.pulses == 0
    assert all(len(line) <= 42 for line in text.splitlines())


@pytest.mark.feature("PR-03", "BX-03")
def test_copy_says_copy_and_keeps_its_number() -> None:
    """A reprint cannot be taken for the first."""
    text = decoded(compose(ticket(copy=True), b"0001")).papers[0].text
    assert "* COPIA *" in text
    assert "Ticket 17" in text


@pytest.mark.feature("PR-01")
def test_sign_that_the_code_page_lacks_becomes_the_iso_code() -> None:
    """CP858 has no ₡."""
    text = decoded(compose(ticket(currency="CRC", decimals=0), b"0001")).papers[0].text
    assert "CRC 2" in text


@pytest.mark.feature("PR-04")
def test_text_carries_no_command_to_the_printer() -> None:
    """Whatever a name holds, the drawer stays shut and the paper uncut."""
    evil = ticket(
        cafe="A\x1bp\x00\x19\x19B",
        lines=[{"quantity": 1, "name": "x\x1dV\x00y\x10\x04\x01", "amount_minor": 1}],
    )
    decoder = decoded(compose(evil, b"0001"))
    assert decoder.pulses == 0
    assert len(decoder.papers) == 1
    assert printable("a\x1bp☕−–") == "a?p?--"


def test_late_sale_and_long_names_stand_on_the_ticket() -> None:
    """LATE names the box; a long name takes two lines and keeps its amount."""
    name = "Un café con leche muy grande con doble azúcar y canela"
    text = (
        decoded(
            compose(
                ticket(
                    late_from=7,
                    rounding_minor=-2,
                    lines=[{"quantity": 1, "name": name, "amount_minor": 1}],
                ),
                b"0001",
            )
        )
        .papers[0]
        .text
    )
    assert "TARDÍO · de la caja 7" in text
    assert "canela" in text
    assert "Redondeo" in text


@pytest.mark.feature("BX-03")
def test_z_reads_as_the_box_was_closed() -> None:
    """Sums by category, tax, vendor, till and what was declared."""
    rules = Rules(mode=1)
    rules.order(lines={"COFFEE": 2})
    rules.order(lines={"CAKE": 1})
    rules.do("box.close", by="Carl", declared_minor=700, leave_minor=100, next_operator="Ada")
    decoder = decoded(compose(receipts.ticket(rules.view, "z-1"), b"0001"))
    text = decoder.papers[0].text
    for words in ("BOX CLOSE Z 1", "€7.50", "Vera", "S1 · Patio", "Difference", "-€0.50", "Ada"):
        assert words in text, words
    assert not decoder.unknown


def test_picture_of_a_paper_has_its_size() -> None:
    """The roll is shown as it looks."""
    paper = decoded(compose(ticket(), b"0001")).papers[0]
    picture = paper.picture()
    assert picture.width > 300
    assert picture.height > 18 * len(paper.lines)


# --- deliveries --------------------------------------------------------------


async def test_printer_that_is_well_prints_and_says_so() -> None:
    """The answer behind the last byte means that it is on paper."""
    roll = VirtualPrinter()
    await roll.start()
    try:
        printer = at(roll.port)
        assert await printer.check() == ""
        assert (await printer.print(ticket())).outcome is Outcome.PRINTED
        assert len(roll.papers) == 1
    finally:
        await roll.stop()


FAULTS: dict[str, tuple[Faults, Outcome, str]] = {
    "no paper": (Faults(no_paper=True), Outcome.NOT_STARTED, "print.paper"),
    "paper out in the middle": (
        Faults(paper_out_after_lines=3),
        Outcome.UNKNOWN,
        "print.no-answer",
    ),
    "broken off": (Faults(drop_after_bytes=200), Outcome.UNKNOWN, "print.broken"),
    "mute": (Faults(stall=True), Outcome.UNKNOWN, "print.blind"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.feature("PR-03")
async def test_printer_with_a_fault_has_an_honest_outcome(name: str) -> None:
    """NOT_STARTED only when no byte of the ticket left; else UNKNOWN, and nothing is tried again."""
    faults, outcome, why = FAULTS[name]
    roll = VirtualPrinter(faults=faults)
    await roll.start()
    try:
        printer = at(roll.port, Patience(status_s=0.3, finish_s=0.6))
        delivery = await printer.print(ticket())
        assert (delivery.outcome, delivery.why) == (outcome, why)
        assert len(roll.papers) == 0
        if name == "paper out in the middle":
            assert await printer.check() == "print.paper"
            roll.new_roll()  # the buffer finishes the ticket: a blind retry would have printed it twice
            assert len(roll.papers) == 1
    finally:
        await roll.stop()


async def test_printer_that_is_off_has_not_started() -> None:
    """Nothing listens: the job waits."""
    printer = at(1, Patience(connect_s=0.5))
    assert await printer.check() == "print.offline"
    assert (await printer.print(ticket())).outcome is Outcome.NOT_STARTED


class Desk:
    """Does the spooler's own acts on a café's rules; the disk may refuse some."""

    def __init__(self, rules: Rules) -> None:
        self.rules, self.refuse = rules, 0
        self.kinds: list[str] = []

    async def __call__(self, kind: str, body: dict[str, Any]) -> None:
        if self.refuse and kind == "print.end":
            self.refuse -= 1
            raise StorageFailed("full")
        self.kinds.append(kind)
        self.rules.do(kind, **body)


def sold(count: int) -> Rules:
    rules = Rules()
    for _ in range(count):
        rules.do("order.collect", by="Carl", order=rules.order())
    return rules


async def settle(rules: Rules, states: set[str]) -> None:
    for _ in range(300):
        if {row["state"] for row in rules.view.table("prints")} <= states:
            return
        await asyncio.sleep(0.02)
    raise AssertionError([dict(row) for row in rules.view.table("prints")])


@pytest.mark.feature("PR-03")
async def test_spooler_prints_each_job_once_in_order() -> None:
    """Start and end of each are in the log around its bytes, also when the disk refuses for a while."""
    rules = sold(4)
    roll, desk = VirtualPrinter(), Desk(rules)
    desk.refuse = 2
    await roll.start()
    spooler = Spooler(rules.view, desk, at(roll.port), retry_s=0.05)
    spooler.start()
    try:
        await settle(rules, {"printed"})
    finally:
        await spooler.stop()
        await roll.stop()
    numbers = [paper.text.split("Ticket ")[1].split()[0] for paper in roll.papers]
    assert numbers == ["1", "2", "3", "4"]
    assert desk.kinds == ["print.start", "print.end"] * 4


@pytest.mark.feature("PR-03")
async def test_spooler_waits_while_the_printer_is_off_and_writes_nothing_meanwhile() -> None:
    """A printer may be off for days: the log does not grow by it."""
    rules = sold(1)
    roll, desk = VirtualPrinter(), Desk(rules)
    await roll.start()
    port = roll.port
    await roll.stop()
    spooler = Spooler(rules.view, desk, at(port), retry_s=0.05)
    spooler.start()
    try:
        await asyncio.sleep(0.4)
        assert spooler.problem == "print.offline"
        assert desk.kinds == []
        await roll.start(port)
        await settle(rules, {"printed"})
        assert spooler.problem == ""
    finally:
        await spooler.stop()
        await roll.stop()


@pytest.mark.feature("PR-03")
async def test_job_that_was_being_sent_at_a_stop_is_unknown() -> None:
    """Nobody knows whether it came out: it is listed for a person, never printed by itself."""
    rules = sold(1)
    rules.do("print.start", job="t-1")
    roll, desk = VirtualPrinter(), Desk(rules)
    await roll.start()
    spooler = Spooler(rules.view, desk, at(roll.port), retry_s=0.05)
    spooler.start()
    try:
        await settle(rules, {"unknown"})
    finally:
        await spooler.stop()
        await roll.stop()
    assert rules.row("prints", "t-1")["why"] == "print.restart"
    assert roll.papers == []


@pytest.mark.feature("PR-03")
async def test_spooler_stops_at_any_moment() -> None:
    """Whatever it was doing: it ends, and the paper that was coming out is known to have come out."""
    roll = VirtualPrinter()
    await roll.start()
    for turns in range(60):
        rules = sold(2)
        desk = Desk(rules)
        spooler = Spooler(rules.view, desk, at(roll.port))
        spooler.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await spooler.stop()
        assert {row["state"] for row in rules.view.table("prints")} <= {"waiting", "printed"}
        assert desk.kinds.count("print.start") == desk.kinds.count("print.end")
    await roll.stop()


@pytest.mark.feature("PR-03")
async def test_stop_does_not_wait_for_a_printer_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its job is a person's question at the next start."""
    monkeypatch.setattr("node.devices.spooler.LAST_PAPER_S", 0.05)
    rules = sold(1)
    roll, desk = VirtualPrinter(), Desk(rules)
    await roll.start()
    spooler = Spooler(rules.view, desk, at(roll.port))
    real = roll.decoder.feed
    monkeypatch.setattr(
        roll.decoder, "feed", lambda data: [a for a in real(data) if not a.startswith(b"\x37")]
    )
    spooler.start()
    await settle(rules, {"sending"})
    async with asyncio.timeout(10):
        await spooler.stop()
    assert rules.row("prints", "t-1")["state"] == "sending"
    await roll.stop()


def test_unknown_job_cannot_be_composed() -> None:
    """A job is rendered from the log alone."""
    with pytest.raises(Refused, match="unknown-job"):
        receipts.ticket(Rules().view, "t-9")
