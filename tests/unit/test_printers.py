"""Printers of every kind, and the drawer: what is honestly known of each."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from node.devices.drawer import Drawer
from node.devices.escpos import PULSE, Layout, compose, is_done
from node.devices.ports import Delivery, Outcome
from node.devices.printers import Patience, open_printer
from node.devices.virtual import Decoder, Faults, VirtualPrinter
from tests.support.cafe import SERVER, Rules
from tests.unit.test_devices import decoded, ticket

QUICK = Patience(connect_s=1.0, status_s=0.4, finish_s=0.8)


# --- addresses ---------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "tcp://",
        "tcp://host",
        "tcp://host:x",
        "usb://12:34",
        "serial://",
        "cups://a b",
        "gopher://x",
        "tcp://h:1?page=900",
        "tcp://h:1?columns=2",
        "tcp://h:1?encoding=utf-8",
        "tcp://h:1?colour=red",
        "serial:///dev/x?baud=fast",
    ],
)
def test_address_that_is_none_is_refused(address: str) -> None:
    """Before anything is kept of it."""
    with pytest.raises(ValueError):
        open_printer(address)


@pytest.mark.feature("PR-01")
def test_layout_is_the_printers_own() -> None:
    """Columns, code page and cutter: a test page shows whether they are right."""
    page = {**ticket(), "what": "test"}
    layout = Layout(columns=32, encoding="cp1252", page=16, cut=False)
    decoder = decoded(compose(page, b"", layout))
    assert decoder.papers == []
    assert b"\x1bt\x10" in compose(page, b"", layout)
    text = decoded(compose(page, b"0001", Layout(columns=32, encoding="cp1252", page=16)))
    assert "áéíóú" in text.papers[0].text
    assert all(len(line) <= 32 for line in text.papers[0].text.splitlines())


@pytest.mark.feature("PR-01")
def test_ticket_bears_logo_and_code_as_the_roll_shows_them() -> None:
    """A raster of the café's picture, and a QR that reads back to what was signed."""
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.new("RGBA", (600, 300), (0, 0, 0, 255)).save(out, "PNG")
    shown = ticket(picture=out.getvalue(), code="CABINA1.ABC", footer="Hello\nthere")
    decoder = decoded(compose(shown, b"0001"))
    logo, code = decoder.papers[0].stamps
    assert (logo.width_px, logo.height_px, set(logo.dots)) == (384, 192, {0})
    assert code.says == "CABINA1.ABC"
    assert "Hello" in decoder.papers[0].text
    assert not decoder.unknown
    assert decoder.papers[0].picture().height > 300


@pytest.mark.feature("RP-08", "RP-28", "PR-01")
def test_discounts_and_methods_stand_on_the_ticket() -> None:
    """Each with its name; a ticket that is all card has no cash line."""
    line = {"quantity": 1, "name": "Soup", "amount_minor": 150, "off_minor": 50, "note": "hot"}
    shown = ticket(
        lines=[line],
        off=[["Ten", 50]],
        payments=[["card", "Card", 150]],
        tendered_minor=0,
        change_minor=0,
    )
    text = decoded(compose(shown, b"0001")).papers[0].text
    for words in ("Soup", "2,00 €", "Descuento Ten", "-0,50 €", "Card", "hot"):
        assert words in text
    assert "Efectivo" not in text


@pytest.mark.feature("BX-08", "BX-03")
def test_refund_and_x_are_printed() -> None:
    """A refund is marked, signed by hand, and negative; an X is no Z."""
    from node.cafe import receipts

    rules = Rules(mode=1)
    order = rules.order(lines={"COFFEE": 2})
    rules.do("sale.refund", by="Ada", order=order, lines=[{"line": 0, "units": 1}], reason="cold")
    rules.do("cash.move", by="Carl", direction="in", amount_minor=300, reason="Change")
    rules.do("box.x", by="Carl")
    jobs = [str(row.doc_id) for row in rules.view.table("prints")]
    papers = [decoded(compose(receipts.ticket(rules.view, job), b"0001")) for job in jobs]
    texts = [paper.papers[0].text for paper in papers]
    assert any("REFUND" in text and "-€2.00" in text and "cold" in text for text in texts)
    assert any("BOX SO FAR X 1" in text and "Cash in: Change" in text for text in texts)
    assert not any(paper.unknown for paper in papers)


# --- lines -------------------------------------------------------------------


class Roll:
    """The virtual printer's decoder behind file descriptors: what a serial port carries."""

    def __init__(self, fd: int) -> None:
        self.decoder = Decoder(Faults())
        self._fd = fd
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 4096)
            except OSError:
                return
            if not data:
                return
            for answer in self.decoder.feed(data):
                os.write(self._fd, answer)


@pytest.mark.feature("PR-01", "PR-03")
async def test_serial_printer_answers_that_it_is_done() -> None:
    """Real bytes through a real terminal device; the drawer's pulse is a job of its own."""
    import pty
    import tty

    master, slave = pty.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    roll = Roll(master)
    printer = open_printer(f"serial://{os.ttyname(slave)}?baud=19200", QUICK)
    assert await printer.check() == ""
    assert await printer.print(ticket()) == Delivery(Outcome.PRINTED)
    assert await printer.pulse(lambda: False) is Outcome.PRINTED
    for _ in range(100):
        if roll.decoder.pulses:
            break
        await asyncio.sleep(0.02)
    assert (len(roll.decoder.papers), roll.decoder.pulses) == (1, 1)
    roll.decoder.faults.no_paper = True
    assert (await printer.print(ticket())).why == "print.paper"
    os.close(slave)
    os.close(master)
    gone = open_printer("serial:///dev/no-such-port", QUICK)
    assert (await gone.print(ticket())).outcome is Outcome.NOT_STARTED
    assert await gone.pulse(lambda: False) is Outcome.NOT_STARTED


class Usb:
    """What pyusb finds: a device with one endpoint each way."""

    def __init__(self) -> None:
        self.decoder = Decoder(Faults())
        self._back = b""
        self.backend = None

    def is_kernel_driver_active(self, interface: int) -> bool:
        raise NotImplementedError

    def set_configuration(self) -> None:
        pass

    def get_active_configuration(self) -> Any:
        import usb.util

        ends = [
            SimpleNamespace(bEndpointAddress=usb.util.ENDPOINT_OUT | 1, write=self._write),
            SimpleNamespace(bEndpointAddress=usb.util.ENDPOINT_IN | 1, read=self._read),
        ]
        return {(0, 0): ends}

    def _write(self, data: bytes, timeout_ms: int) -> None:
        self._back += b"".join(self.decoder.feed(data))

    def _read(self, size: int, timeout_ms: int) -> bytes:
        import usb.core

        if not self._back:
            raise usb.core.USBTimeoutError("nothing")
        data, self._back = self._back[:size], self._back[size:]
        return data


@pytest.mark.feature("PR-01")
async def test_usb_printer_is_found_by_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints and says so; one that is not plugged in has not started."""
    import usb.core
    import usb.util

    device: list[Any] = [Usb()]
    monkeypatch.setattr(usb.core, "find", lambda **wanted: device[0])
    monkeypatch.setattr(usb.util, "find_descriptor", lambda ends, custom_match: next(
        end for end in ends if custom_match(end)))  # fmt: skip
    monkeypatch.setattr(usb.util, "dispose_resources", lambda device: None)
    printer = open_printer("usb://04b8:0202", QUICK)
    assert (await printer.print(ticket())).outcome is Outcome.PRINTED
    assert len(device[0].decoder.papers) == 1
    device[0] = None
    assert await printer.check() == "print.offline"

    def no_library(**wanted: Any) -> Any:
        raise usb.core.NoBackendError("no libusb")

    monkeypatch.setattr(usb.core, "find", no_library)
    assert await printer.check() == "print.offline"


@pytest.mark.feature("PR-03")
async def test_printer_that_never_answers_counts_as_its_owner_says() -> None:
    """Without their word each ticket is unknown; with it, what was sent is printed."""
    roll = VirtualPrinter(faults=Faults(stall=True))
    await roll.start()
    try:
        mute = open_printer(f"tcp://127.0.0.1:{roll.port}", QUICK)
        assert (await mute.print(ticket())).outcome is Outcome.UNKNOWN
        trusted = open_printer(f"tcp://127.0.0.1:{roll.port}?blind=yes", QUICK)
        assert await trusted.check() == ""
        assert await trusted.print(ticket()) == Delivery(Outcome.PRINTED, "print.blind")
    finally:
        await roll.stop()


# --- what only takes bytes ---------------------------------------------------


@pytest.mark.feature("PR-01")
async def test_file_takes_whole_tickets_one_after_the_other(tmp_path: Path) -> None:
    """Each reads back; a folder that is not there has not started."""
    printer = open_printer(f"file://{tmp_path}/roll", QUICK)
    assert await printer.check() == ""
    for _ in range(2):
        assert await printer.print(ticket()) == Delivery(Outcome.PRINTED)
    assert await printer.pulse(lambda: False) is Outcome.PRINTED
    decoder = decoded((tmp_path / "roll").read_bytes())
    assert (len(decoder.papers), decoder.pulses) == (2, 1)
    gone = open_printer(f"file://{tmp_path}/none/roll", QUICK)
    assert await gone.check() == "print.offline"
    assert (await gone.print(ticket())).outcome is Outcome.NOT_STARTED


@pytest.mark.feature("PR-03")
async def test_device_that_takes_no_more_is_unknown(tmp_path: Path) -> None:
    """A pipe that nobody empties: some of the ticket may be out."""
    path = tmp_path / "lp0"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    printer = open_printer(f"file://{path}", QUICK)
    long = ticket(lines=[{"quantity": 1, "name": "x" * 40, "amount_minor": 1}] * 3000)
    delivery = await printer.print(long)
    assert (delivery.outcome, delivery.why) == (Outcome.UNKNOWN, "print.no-answer")
    assert (await printer.print(ticket())).outcome is Outcome.NOT_STARTED, "it takes not a byte"
    os.close(reader)
    assert (await printer.print(ticket())).outcome is Outcome.NOT_STARTED


LP = """#!/bin/sh
case "$(basename $0) $*" in
 "lpstat -p gone"*) exit 1;;
 "lpstat -p paused"*) echo "printer paused disabled since today";;
 "lpstat -p"*) echo "printer office is idle.";;
 "lp -d refuses"*) exit 1;;
 "lp "*) cat > {folder}/job; echo "request id is office-12 (0 file(s))"; echo 3 > {folder}/left;;
 "lpstat -W"*) left=$(cat {folder}/left); echo $((left - 1)) > {folder}/left
   [ $left -gt 0 ] && echo "office-12  ada  1024  today";;
esac
exit 0
"""


@pytest.mark.feature("PR-01", "PR-03")
async def test_queue_of_the_system_is_watched_until_its_job_is_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PRINTED when CUPS lists it no more; off, paused and refusing are said."""
    for name in ("lp", "lpstat"):
        path = tmp_path / name
        path.write_text(LP.replace("{folder}", str(tmp_path)), encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("node.devices.printers.POLL_S", 0.02)
    printer = open_printer("cups://office", QUICK)
    assert await printer.check() == ""
    assert await printer.print(ticket()) == Delivery(Outcome.PRINTED)
    assert len(decoded((tmp_path / "job").read_bytes()).papers) == 1
    assert await printer.pulse(lambda: False) is Outcome.PRINTED
    assert (tmp_path / "job").read_bytes() == PULSE
    assert await open_printer("cups://gone", QUICK).check() == "print.offline"
    assert await open_printer("cups://paused", QUICK).check() == "print.not-ready"
    refuses = open_printer("cups://refuses", QUICK)
    assert (await refuses.print(ticket())).outcome is Outcome.NOT_STARTED
    monkeypatch.setattr("node.devices.printers.POLL_S", 5.0)
    assert (await printer.print(ticket())).why == "print.no-answer"
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert await printer.check() == "print.offline"


def test_answer_is_known_by_its_job() -> None:
    """Another job's answer, or a part of it, is none."""
    assert is_done(b"xx\x37\x220001\0", b"0001")
    assert not is_done(b"\x37\x220002\0", b"0001")
    assert not is_done(b"\x37\x220001", b"0001")


# --- the drawer --------------------------------------------------------------


class Kicks:
    """A printer of which only the drawer is looked at."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.tried = 0

    async def check(self) -> str:
        return ""

    async def print(self, ticket: dict[str, Any]) -> Delivery:
        raise AssertionError("no ticket is printed here")

    async def pulse(self, is_late: Callable[[], bool]) -> Outcome:
        self.tried += 1
        return self.outcomes.pop(0) if self.outcomes else Outcome.PRINTED


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def turn(times: int = 30) -> None:
    for _ in range(times):
        await asyncio.sleep(0.002)


@pytest.mark.feature("PR-02")
async def test_drawer_opens_once_for_each_sale_and_never_for_those_of_before() -> None:
    """A start sends none; several sales in one round are one pulse; who cannot be reached is tried
    again, and one that may have got it is not."""
    rules, clock = Rules(mode=1), Clock()
    rules.order(at=SERVER, by="Carl")
    kicks = Kicks(Outcome.NOT_STARTED, Outcome.NOT_STARTED, Outcome.PRINTED, Outcome.UNKNOWN)
    drawer = Drawer(rules.view, kicks, clock, retry_s=0.001)
    drawer.look()
    await turn()
    assert kicks.tried == 0, "of before the start"
    rules.order(at=SERVER, by="Carl")
    rules.order(at=SERVER, by="Carl")
    drawer.look()
    await turn()
    assert kicks.tried == 3, "tried until it was sent"
    drawer.look()
    await turn()
    assert kicks.tried == 3
    rules.order(at=SERVER, by="Carl")
    drawer.look()
    await turn()
    assert kicks.tried == 4, "it may have opened"
    await drawer.stop()


@pytest.mark.feature("PR-02")
async def test_pulse_that_waited_behind_a_ticket_is_not_sent_late(tmp_path: Path) -> None:
    """Whatever it waited for, its age is asked just before; and so it is in every kind of printer."""
    roll = VirtualPrinter()
    await roll.start()
    try:
        for address in (f"tcp://127.0.0.1:{roll.port}", f"file://{tmp_path}/roll"):
            printer = open_printer(address, QUICK)
            assert await printer.pulse(lambda: True) is Outcome.NOT_STARTED
        late = iter([False, True])
        printer = open_printer(f"tcp://127.0.0.1:{roll.port}", QUICK)
        assert await printer.pulse(lambda: next(late)) is Outcome.NOT_STARTED
        assert roll.decoder.pulses == 0
    finally:
        await roll.stop()


@pytest.mark.feature("PR-03")
async def test_answer_to_another_runs_ticket_confirms_none() -> None:
    """Numbers of jobs begin anywhere: a late answer from before a restart fits almost never."""
    firsts = {vars(open_printer("tcp://h:1"))["_jobs"] for _ in range(40)}
    assert len(firsts) > 20


@pytest.mark.feature("PR-02")
async def test_drawer_that_cannot_be_reached_in_time_stays_shut() -> None:
    """A pulse is never later than 30 s behind its sale, by a clock that nobody sets."""
    rules, clock = Rules(mode=1), Clock()
    rules.do("settings.edit", by="Ada", drawer_remote=True)
    kicks = Kicks(*[Outcome.NOT_STARTED] * 1000)
    drawer = Drawer(rules.view, kicks, clock, retry_s=0.001)
    rules.age_ms = 20_000
    rules.order()
    drawer.look()
    await turn(5)
    tried = kicks.tried
    assert tried > 0
    clock.now_s += 10.5
    await turn()
    late = kicks.tried
    await turn()
    assert kicks.tried == late, "it went on behind its time"
    kicks.outcomes.clear()
    rules.age_ms = 0
    rules.order()
    drawer.look()
    await drawer.stop()
