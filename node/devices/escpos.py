"""Tickets as ESC/POS bytes, and a network printer that says what became of them.

A ticket is composed whole in memory and sent once. Before it the printer is asked for its state;
behind it stands a command that the printer answers only when everything before has been executed:

    DLE EOT 1, 2, 4 ─▶ state      NOT_STARTED if it cannot print now: nothing has been sent
    ticket ‖ GS ( H ─▶ answer     PRINTED; no answer, or a broken line: UNKNOWN, a person decides
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any

from node.devices.ports import Delivery, Outcome
from node.text import currency_sign, money, percent, say, when

COLUMNS = 42
CODE_PAGE = "cp858"
_RESET_AND_PAGE = (
    b"\x1b@\x1bt\x13"  # ESC @, then ESC t 19: code page 858 (Latin 1 with the euro sign)
)
_STATUS = b"\x10\x04\x01\x10\x04\x02\x10\x04\x04"  # DLE EOT n: printer, cause of offline, paper
_REPORT_ALL = b"\x1da\xff"  # GS a: report every change of state
_ASK_DONE = b"\x1d(H\x06\x0000"  # GS ( H fn 48: answers 37 22 d1..d4 00 when it is reached
_DONE = b"\x37\x22"


def _dummy() -> Any:
    """python-escpos composing into memory. Imported late: it takes 0.4 s and writes a cache on
    import."""
    os.environ.setdefault(
        "ESCPOS_CAPABILITIES_PICKLE_DIR", tempfile.mkdtemp(prefix="cabina-escpos-")
    )
    from escpos.printer import Dummy

    # MagicEncode would change code pages in the middle of a ticket; ours is fixed.
    return Dummy(magic_encode_args={"encoding": CODE_PAGE.upper(), "disabled": True})


def warm_up() -> None:
    """Pay for that import in a thread, before the first ticket would stall everything else."""
    _dummy()


def compose(ticket: dict[str, Any], job: bytes) -> bytes:
    """Bytes of one ticket or Z; ``job`` is 4 bytes that the printer gives back when it is done."""
    paper = _dummy()
    paper._raw(_RESET_AND_PAGE)
    page = _Page(paper, ticket)
    if ticket["what"] == "z":
        _z(page, ticket["z"])
    else:
        _ticket(page, ticket)
    paper.cut()
    paper._raw(_ASK_DONE + job)
    output: bytes = paper.output
    return output


class _Page:
    """Lines of text on a roll of a fixed number of columns."""

    def __init__(self, paper: Any, ticket: dict[str, Any]) -> None:
        self._paper = paper
        self._ticket = ticket
        self.language: str = ticket["language"]

    def say(self, key: str, **values: Any) -> str:
        return say(self.language, key, **values)

    def money(self, amount_minor: int) -> str:
        currency = self._ticket["currency"]
        text = money(amount_minor, self.language, currency, self._ticket["decimals"])
        sign = currency_sign(self.language, currency)
        if sign.encode(CODE_PAGE, "ignore").decode(CODE_PAGE) != sign:
            text = text.replace(sign, f"{currency} ")  # CP858 has no ₡
        return text

    def line(self, left: str = "", right: str = "", *, columns: int = COLUMNS) -> None:
        left = printable(left)
        right = printable(right)
        room = max(0, columns - len(right) - (1 if right else 0))
        self._paper._raw(
            (f"{left[:room]:<{room}}{' ' if right else ''}{right}".rstrip() + "\n").encode(
                CODE_PAGE
            )
        )

    def wrapped(self, text: str, right: str) -> None:
        """A name that may need two lines, its amount behind the last."""
        text = printable(text)
        room = COLUMNS - len(printable(right)) - 1
        while len(text) > room:
            cut = text.rfind(" ", 0, room + 1)
            cut = cut if cut > room // 2 else room
            self.line(text[:cut])
            text = "  " + text[cut:].strip()
        self.line(text, right)

    def centre(self, text: str, *, large: bool = False) -> None:
        self._paper.set(
            align="center",
            bold=large,
            double_height=large,
            double_width=large,
            normal_textsize=not large,
        )
        self._paper._raw(
            (printable(text)[: COLUMNS // (2 if large else 1)] + "\n").encode(CODE_PAGE)
        )
        self._paper.set(align="left", bold=False, normal_textsize=True)

    def large(self, left: str, right: str) -> None:
        self._paper.set(bold=True, double_height=True, double_width=True)
        self.line(left, right, columns=COLUMNS // 2)
        self._paper.set(bold=False, normal_textsize=True)

    def rule(self) -> None:
        self.line("-" * COLUMNS)


def printable(text: str) -> str:
    """Text that carries no printer command and no sign that the code page lacks."""
    text = text.replace("\xa0", " ").replace("−", "-").replace("–", "-")
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text.encode(CODE_PAGE, "replace").decode(CODE_PAGE)


def _ticket(page: _Page, ticket: dict[str, Any]) -> None:
    page.centre(ticket["cafe"], large=True)
    if ticket["copy"]:
        page.centre(f"* {page.say('ticket.copy')} *", large=True)
    page.line()
    at = when(ticket["at_ms"], page.language, date=True)
    page.line(page.say("ticket.ticket", number=ticket["number"]), at)
    if ticket["station"]:
        page.line(page.say("ticket.order", label=ticket["label"]), ticket["vendor"])
        page.line(ticket["station"])
    else:
        page.line(ticket["vendor"])
    if ticket["late_from"]:
        page.line(page.say("ticket.late", box=ticket["late_from"]))
    page.rule()
    for line in ticket["lines"]:
        page.wrapped(f"{line['quantity']} {line['name']}", page.money(line["amount_minor"]))
    if ticket["rounding_minor"]:
        page.line(page.say("ticket.rounding"), page.money(ticket["rounding_minor"]))
    page.rule()
    page.large(
        page.say("ticket.total"), page.money(ticket["total_minor"] + ticket["rounding_minor"])
    )
    for bp, _, _, tax in ticket["taxes"]:
        if bp:
            rate = percent(bp, page.language)
            page.line(page.say("ticket.vat", rate=rate), page.money(tax))
    page.line(
        page.say("ticket.cash", amount=page.money(ticket["tendered_minor"])),
        page.say("ticket.change", amount=page.money(ticket["change_minor"]))
        if ticket["change_minor"]
        else "",
    )
    page.line()
    page.centre(page.say("ticket.thanks"))


def _z(page: _Page, z: dict[str, Any]) -> None:
    page.centre(page._ticket["cafe"], large=True)
    if page._ticket["copy"]:
        page.centre(f"* {page.say('ticket.copy')} *", large=True)
    page.line()
    for left, right in z_text(z, page.say, page.money, page.language):
        if left == "-":
            page.rule()
        elif left.startswith("#"):
            page.large(left[1:], right)
        else:
            page.line(left, right)


def z_text(
    z: dict[str, Any], word: Callable[..., str], money_text: Callable[[int], str], language: str
) -> list[tuple[str, str]]:
    """The Z as pairs (left, right); ``-`` is a rule, a leading ``#`` means large. The screen shows
    it too."""
    lines = [
        ("#" + word("z.title", number=z["number"]), ""),
        ("", ""),
        (word("z.opened"), when(z["opened_ms"], language, date=True)),
        (word("z.closed"), when(z["closed_ms"], language, date=True)),
        (word("z.operator"), z["operator"]),
        (word("z.sales"), str(z["sales"])),
    ]
    if z["tickets"][1]:
        lines.append((word("z.tickets"), f"{z['tickets'][0]} - {z['tickets'][1]}"))
    lines.append(("-", ""))
    for name, (units, amount) in sorted(z["categories"].items()):
        label = name or word("z.no-category")
        lines.append((f"{label[:20]:<20} {units:>5} {word('unit.units')}", money_text(amount)))
    if z["rounding_minor"]:
        lines.append((word("z.rounding"), money_text(z["rounding_minor"])))
    lines += [
        ("-", ""),
        ("#" + word("ticket.total"), money_text(z["total_minor"] + z["rounding_minor"])),
    ]
    for bp, (_, _, tax) in sorted(z["taxes"].items(), key=lambda item: int(item[0])):
        if int(bp):
            lines.append((word("z.vat", rate=percent(int(bp), language)), money_text(tax)))
    lines += [("-", ""), (word("z.vendors"), "")]
    lines += [(f"  {name}", money_text(total)) for name, total in sorted(z["by_vendor"].items())]
    lines += [("-", ""), (word("z.opening"), money_text(z["opening_minor"]))]
    for till in z["tills"]:
        lines.append((till["name"], money_text(till["declared_minor"])))
        if till["difference_minor"]:
            lines.append((f"  {word('z.difference')}", money_text(till["difference_minor"])))
    lines += [
        (word("z.expected"), money_text(z["expected_minor"])),
        (word("z.declared"), money_text(z["declared_minor"])),
        (word("z.difference"), money_text(z["difference_minor"])),
        (word("z.withdrawn"), money_text(z["withdrawn_minor"])),
        (word("z.leave", number=z["number"] + 1), money_text(z["leave_minor"])),
        (word("z.next"), z["next_operator"]),
    ]
    if z["late"]:
        lines.append((word("z.late"), str(z["late"])))
    if z["waiting"]:
        lines.append((word("z.waiting"), str(z["waiting"])))
    return lines


class NetworkPrinter:
    """An ESC/POS printer on a TCP port."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connect_s: float = 3.0,
        status_s: float = 1.0,
        finish_s: float = 20.0,
    ) -> None:
        self.host, self.port = host, port
        self._connect_s, self._status_s, self._finish_s = connect_s, status_s, finish_s
        self._jobs = 0

    async def check(self) -> str:
        if "escpos.printer" not in sys.modules:
            await asyncio.to_thread(warm_up)
        try:
            async with self._connection() as (reader, writer):
                return _problem(await self._state(reader, writer))
        except (OSError, TimeoutError):
            return "print.offline"

    async def print(self, ticket: dict[str, Any]) -> Delivery:
        self._jobs = (self._jobs + 1) % 10_000
        job = b"%04d" % self._jobs
        payload = compose(ticket, job)
        sent = False
        try:
            async with self._connection() as (reader, writer):
                state = await self._state(reader, writer)
                problem = _problem(state)
                if problem:
                    return Delivery(Outcome.NOT_STARTED, problem)
                sent = True
                writer.write((_REPORT_ALL if state else b"") + payload)
                async with asyncio.timeout(self._finish_s):
                    await writer.drain()
                if not state:
                    return Delivery(Outcome.UNKNOWN, "print.blind")
                async with asyncio.timeout(self._finish_s):
                    return await _confirmed(reader, job)
        except TimeoutError:
            why = "print.no-answer" if sent else "print.offline"
        except OSError:
            why = "print.broken" if sent else "print.offline"
        return Delivery(Outcome.UNKNOWN if sent else Outcome.NOT_STARTED, why)

    @contextlib.asynccontextmanager
    async def _connection(
        self,
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        async with asyncio.timeout(self._connect_s):
            reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _state(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """Three status bytes; empty for a clone that does not report."""
        writer.write(_STATUS)
        try:
            async with asyncio.timeout(self._status_s):
                return await reader.readexactly(3)
        except TimeoutError:
            return b""
        except asyncio.IncompleteReadError:
            raise ConnectionResetError from None


def _problem(state: bytes) -> str:
    """Why the printer cannot print now, by its three status bytes; empty if it can."""
    if not state:
        return ""
    if state[1] & 0x04:
        return "print.cover"
    if state[2] & 0x60:
        return "print.paper"
    if state[0] & 0x08:
        return "print.not-ready"
    return ""


async def _confirmed(reader: asyncio.StreamReader, job: bytes) -> Delivery:
    """Read until the printer says that it has reached the end of this job."""
    heard = b""
    while _DONE + job + b"\0" not in heard:
        chunk = await reader.read(256)
        if not chunk:
            return Delivery(Outcome.UNKNOWN, "print.broken")
        heard = (heard + chunk)[-512:]
    return Delivery(Outcome.PRINTED)
