"""A day of a printer at which everything goes wrong that can, with real bytes over a real socket."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from pathlib import Path

import pytest
from tinydb import where

from node.bootstrap import create_cafe
from node.cafe.box import pulses
from node.devices import printers
from node.devices.virtual import VirtualPrinter
from node.roles.server import ServerNode
from sync.clock import SystemClock
from tests.support.nodes import PASSWORD, until

TWO_HOURS_MS = 2 * 3600 * 1000


class PassedClock(SystemClock):
    """This machine's clocks, some time further on."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_ms = 0

    def wall_ms(self) -> int:
        return super().wall_ms() + self.passed_ms

    def mono_ms(self) -> int:
        return super().mono_ms() + self.passed_ms


class Desk:
    """The desk of a café, its printer, and what was sold."""

    def __init__(self, node: ServerNode, printer: VirtualPrinter, clock: PassedClock) -> None:
        self.node, self.printer, self.clock = node, printer, clock
        self.sold = 0

    async def sell(self, count: int = 1) -> None:
        for _ in range(count):
            lines = [{"sku": "TEA", "quantity": 1}]
            await self.node.submit("order.place", {"lines": lines})
            self.sold += 1

    def jobs(self, *states: str) -> list[str]:
        prints = self.node.tables.table("prints")
        return [
            str(row.doc_id) for state in states for row in prints.search(where("state") == state)
        ]

    def on_paper(self) -> Counter[int]:
        """Ticket number → how many papers bear it that are no COPY."""
        found: Counter[int] = Counter()
        for paper in self.printer.papers:
            number = re.search(r"^Ticket\s+(\d+)", paper.text, re.MULTILINE)
            if number and "COPY" not in paper.text:
                found[int(number[1])] += 1
        return found

    async def settled(self) -> None:
        """Nothing waits, nothing is being sent, and the drawer has been looked at."""
        await until(lambda: not self.jobs("waiting", "sending"))
        await asyncio.sleep(0.7)


@pytest.mark.feature("PR-01", "PR-02", "PR-03", "BX-05")
async def test_each_ticket_is_printed_once_or_listed_and_no_pulse_is_late_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paper out in the middle, a stall, a cut after some bytes, two hours off: what is known to be
    on paper is there once, what is not known is listed, and the drawer never opens afterwards."""
    quick = printers.Patience(connect_s=1.0, status_s=0.5, finish_s=0.8)
    monkeypatch.setattr(printers, "Patience", lambda: quick)
    printer, clock = VirtualPrinter(), PassedClock()
    await printer.start()
    node = await create_cafe(
        tmp_path / "server",
        name="Test",
        currency="EUR",
        language="en",
        administrator="Ana",
        password=PASSWORD,
        printer=f"tcp://127.0.0.1:{printer.port}",
        port=0,
        clock=clock,
    )
    try:
        assert node.spooler is not None
        node.spooler._retry_s = 0.1
        product = {"sku": "TEA", "name": "Tea", "price_minor": 150, "tax_bp": 1000}
        await node.submit("catalog.import", {"products": [product]})
        await node.submit("settings.edit", {"drawer_desk": True})
        await _day(Desk(node, printer, clock))
    finally:
        await node.stop()
        await printer.stop()


async def _day(desk: Desk) -> None:
    printer, decoder = desk.printer, desk.printer.decoder
    await desk.sell(3)
    await desk.settled()
    assert len(desk.jobs("printed")) == 3 and 1 <= decoder.pulses <= 3

    printer.faults.paper_out_after_lines = 6
    await desk.sell(2)
    await until(lambda: desk.jobs("unknown") or desk.node.spooler.problem)  # type: ignore[union-attr]
    await asyncio.sleep(1.5)
    assert desk.jobs("waiting"), "the second has to wait for paper"
    printer.new_roll()
    await desk.settled()

    printer.faults.stall = True
    await desk.sell()
    await asyncio.sleep(2.0)
    printer.faults.stall = False
    await desk.settled()

    printer.faults.drop_after_bytes = 60
    await desk.sell()
    await until(lambda: len(desk.jobs("unknown")) >= 1)
    printer.faults.drop_after_bytes = None
    await desk.settled()

    port, before = printer.port, decoder.pulses
    await printer.stop()
    await desk.sell(3)
    await asyncio.sleep(1.0)
    assert len(desk.jobs("waiting")) == 3 and desk.node.spooler.problem  # type: ignore[union-attr]
    desk.clock.passed_ms += TWO_HOURS_MS
    await asyncio.sleep(0.6)
    await printer.start(port)
    await desk.settled()
    assert decoder.pulses == before, "the drawer opened two hours late"

    await desk.sell()
    await desk.settled()
    asked, _ = pulses(desk.node.tables)
    assert decoder.pulses <= asked == desk.sold

    prints = desk.node.tables.table("prints")
    papers, unknown = desk.on_paper(), set(desk.jobs("unknown"))
    assert 1 <= len(unknown) <= 4
    for number in range(1, desk.sold + 1):
        if f"t-{number}" in unknown:
            assert papers[number] <= 1
        else:
            row = prints.row(f"t-{number}")
            assert row is not None and row["state"] == "printed" and papers[number] == 1
    for job in unknown:  # a person looks: it is there, or it is printed again as a COPY
        there = papers[int(job.removeprefix("t-"))]
        await desk.node.submit("print.settle" if there else "ticket.reprint", {"job": job})
    await desk.settled()
    assert not desk.jobs("unknown", "waiting", "sending")
    copies = [paper for paper in printer.papers if "COPY" in paper.text]
    assert len(copies) == sum(papers[int(job.removeprefix("t-"))] == 0 for job in unknown)
    assert max(desk.on_paper().values()) == 1
