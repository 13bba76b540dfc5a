"""Tickets as ESC/POS bytes, composed whole in memory, and what a printer's answers mean."""

from __future__ import annotations

import datetime as dt
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from node.cafe.pins import label
from node.text import currency_sign, money, percent, say, when
from node.text import day as day_text

PAGES = {"cp437": 0, "cp850": 2, "cp852": 18, "cp858": 19, "cp1252": 16, "iso8859-15": 40}
"""Code pages by Python's name, and the number that most printers have for each."""
STATUS = b"\x10\x04\x01\x10\x04\x02\x10\x04\x04"  # DLE EOT n: printer, cause of offline, paper
REPORT_ALL = b"\x1da\xff"  # GS a: report every change of state
PULSE = b"\x1bp\x00\x19\xfa"  # ESC p: drawer 1, on for 50 ms, off for 500 ms
_ASK_DONE = b"\x1d(H\x06\x0000"  # GS ( H fn 48: answers 37 22 d1..d4 00 when it is reached
_DONE = b"\x37\x22"
_DOTS = 384
"""Width of the narrowest roll that a logo must fit on."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a printer wants its tickets."""

    columns: int = 42
    encoding: str = "cp858"
    page: int = 19
    """Number of the code page: what the printer calls ``encoding``."""
    cut: bool = True


def _dummy() -> Any:
    """python-escpos composing into memory. Imported late: it takes 0.4 s and writes a cache on
    import."""
    os.environ.setdefault(
        "ESCPOS_CAPABILITIES_PICKLE_DIR", tempfile.mkdtemp(prefix="cabina-escpos-")
    )
    from escpos.printer import Dummy

    # MagicEncode would change code pages in the middle of a ticket; ours is fixed.
    return Dummy(magic_encode_args={"encoding": "CP858", "disabled": True})


def warm_up() -> None:
    """Pay for that import in a thread, before the first ticket would stall everything else."""
    _dummy()


def compose(ticket: dict[str, Any], job: bytes, layout: Layout | None = None) -> bytes:
    """Bytes of one ticket, refund, X, Z or test page; ``job`` is 4 bytes that the printer gives
    back when it is done, or none for one that gives nothing back."""
    layout = layout or Layout()
    paper = _dummy()
    paper._raw(b"\x1b@\x1bt" + bytes([layout.page]))  # ESC @: as new; ESC t: code page
    _PARTS[ticket["what"]](_Page(paper, ticket, layout), ticket)
    if layout.cut:
        paper.cut()
    else:
        paper._raw(b"\n" * 6)
    if job:
        paper._raw(_ASK_DONE + job)
    output: bytes = paper.output
    return output


def problem_of(state: bytes) -> str:
    """Why a printer cannot print now, as a key of `node.text`, by its three status bytes; empty if
    it can, or does not say."""
    if not state:
        return ""
    if state[1] & 0x04:
        return "print.cover"
    if state[2] & 0x60:
        return "print.paper"
    if state[0] & 0x08:
        return "print.not-ready"
    return ""


def is_done(heard: bytes, job: bytes) -> bool:
    """Whether the printer has said that it has reached the end of this job."""
    return _DONE + job + b"\0" in heard


class _Page:
    """Lines of text on a roll of a fixed number of columns."""

    def __init__(self, paper: Any, ticket: dict[str, Any], layout: Layout) -> None:
        self._paper = paper
        self._ticket = ticket
        self.layout = layout
        self.language: str = ticket["language"]

    def say(self, key: str, **values: Any) -> str:
        return say(self.language, key, **values)

    def money(self, amount_minor: int) -> str:
        currency = self._ticket["currency"]
        text = money(amount_minor, self.language, currency, self._ticket["decimals"])
        sign = currency_sign(self.language, currency)
        encoding = self.layout.encoding
        if sign.encode(encoding, "ignore").decode(encoding) != sign:
            text = text.replace(sign, f"{currency} ")  # CP858 has no ₡
        return text

    def _print(self, text: str) -> None:
        self._paper._raw((text + "\n").encode(self.layout.encoding))

    def _printable(self, text: str) -> str:
        return printable(text, self.layout.encoding)

    def line(self, left: str = "", right: str = "", *, large: bool = False) -> None:
        columns = self.layout.columns // (2 if large else 1)
        left, right = self._printable(left), self._printable(right)
        room = max(0, columns - len(right) - (1 if right else 0))
        self._print(f"{left[:room]:<{room}}{' ' if right else ''}{right}".rstrip())

    def wrapped(self, text: str, right: str) -> None:
        """A name that may need two lines, its amount behind the last."""
        text = self._printable(text)
        room = self.layout.columns - len(self._printable(right)) - 1
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
        self._print(self._printable(text)[: self.layout.columns // (2 if large else 1)])
        self._paper.set(align="left", bold=False, normal_textsize=True)

    def large(self, left: str, right: str) -> None:
        self._paper.set(bold=True, double_height=True, double_width=True)
        self.line(left, right, large=True)
        self._paper.set(bold=False, normal_textsize=True)

    def rule(self) -> None:
        self.line("-" * self.layout.columns)

    def qr(self, text: str) -> None:
        self._paper.set(align="center")
        self._paper.qr(text, native=True, size=4)
        self._paper.set(align="left")

    def picture(self, png: bytes) -> None:
        with Image.open(io.BytesIO(png)) as image:
            image.thumbnail((_DOTS, _DOTS))
            plain = Image.new("L", image.size, 255)
            mask = image.convert("RGBA")
            plain.paste(mask.convert("L"), mask=mask.getchannel("A"))
        self._paper.set(align="center")
        self._paper.image(plain, impl="bitImageRaster")
        self._paper.set(align="left")


def printable(text: str, encoding: str = "cp858") -> str:
    """Text that carries no printer command and no sign that the code page lacks."""
    text = text.replace("\xa0", " ").replace("−", "-").replace("–", "-")
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text.encode(encoding, "replace").decode(encoding)


def _ticket(page: _Page, ticket: dict[str, Any]) -> None:
    _head(page, ticket)
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
        gross = line["amount_minor"] + line.get("off_minor", 0)
        page.wrapped(f"{line['quantity']} {line['name']}", page.money(gross))
        if line.get("note"):
            page.line(f"  {line['note']}")
        if line.get("kind") == "pin_card":
            serials = ", ".join(label("card", serial) for serial in line["serials"])
            page.wrapped(f"  {page.say('ticket.serials', serials=serials)}", "")
    for name, less in ticket["off"]:
        page.wrapped(page.say("ticket.discount", name=name), page.money(-less))
    if ticket["rounding_minor"]:
        page.line(page.say("ticket.rounding"), page.money(ticket["rounding_minor"]))
    page.rule()
    page.large(
        page.say("ticket.total"), page.money(ticket["total_minor"] + ticket["rounding_minor"])
    )
    _taxes(page, ticket)
    for method, name, amount in ticket["payments"]:
        page.line(name or page.say(f"method.{method}"), page.money(amount))
    if ticket["tendered_minor"] or not ticket["payments"]:
        page.line(
            page.say("ticket.cash", amount=page.money(ticket["tendered_minor"])),
            page.say("ticket.change", amount=page.money(ticket["change_minor"]))
            if ticket["change_minor"]
            else "",
        )
    if ticket.get("customer"):
        _account(page, ticket["customer"])
    page.line()
    for text in ticket["footer"].splitlines() or [page.say("ticket.thanks")]:
        page.centre(text)
    if ticket.get("code"):
        page.qr(ticket["code"])


def _account(page: _Page, customer: dict[str, Any]) -> None:
    """What the sale has left on the customer's account."""
    page.rule()
    page.line(page.say("ticket.customer", name=customer["name"]))
    page.line(page.say("ticket.balance"), page.money(customer["credit"]))
    if customer["bonus"]:
        page.line(page.say("ticket.bonus"), page.money(customer["bonus"]))
    page.line(page.say("ticket.points"), str(customer["points"]))
    if customer.get("code_text"):
        _code(page, customer["user"], customer["code_text"])


def _code(page: _Page, user: str, code: str) -> None:
    """With it a customer makes their first password."""
    page.rule()
    page.centre(page.say("ticket.code"))
    page.centre(page.say("ticket.code-user", user=user))
    page.centre(" ".join(code), large=True)


def _code_paper(page: _Page, ticket: dict[str, Any]) -> None:
    _head(page, ticket)
    _code(page, ticket["code_user"], ticket["code_text"])


def _pin(page: _Page, ticket: dict[str, Any]) -> None:
    """The one paper on which a PIN stands in clear."""
    _head(page, ticket)
    page.centre(page.say("ticket.pin"))
    page.centre(ticket["name"], large=True)
    page.line()
    page.centre(" ".join(ticket["pin"]), large=True)
    page.line()
    page.line(page.say("ticket.pin-minutes", minutes=ticket["minutes"]))
    if ticket["expires"]:
        page.line(
            page.say(
                "ticket.pin-until",
                day=day_text(dt.date.fromordinal(ticket["expires"]), page.language),
            )
        )
    serial = label("ticket", ticket["serial"])
    page.line(page.say("ticket.pin-serial", serial=serial), page.money(ticket["price_minor"]))
    page.qr(ticket["pin"])


def _head(page: _Page, ticket: dict[str, Any]) -> None:
    if ticket.get("picture"):
        page.picture(ticket["picture"])
    page.centre(ticket["cafe"], large=True)
    for text in ticket["header"].splitlines():
        page.centre(text)
    if ticket["copy"]:
        page.centre(f"* {page.say('ticket.copy')} *", large=True)
    page.line()


def _taxes(page: _Page, ticket: dict[str, Any]) -> None:
    for bp, _, _, tax in ticket["taxes"]:
        if bp:
            rate = percent(bp, page.language)
            page.line(page.say("ticket.vat", rate=rate), page.money(tax))


def _refund(page: _Page, ticket: dict[str, Any]) -> None:
    _head(page, ticket)
    page.centre(page.say("ticket.refund"), large=True)
    at = when(ticket["at_ms"], page.language, date=True)
    page.line(page.say("ticket.refund-of", number=ticket["number"]), at)
    page.line(page.say("ticket.order", label=ticket["label"]), ticket["vendor"])
    page.rule()
    for line in ticket["lines"]:
        page.wrapped(f"{line['quantity']} {line['name']}", page.money(-line["amount_minor"]))
    page.rule()
    page.large(page.say("ticket.total"), page.money(-ticket["total_minor"]))
    _taxes(page, ticket)
    for method, name, amount in ticket["payments"]:
        page.line(name or page.say(f"method.{method}"), page.money(-amount))
    page.line()
    for text in ticket["reason"].splitlines():
        page.line(text)
    page.line()
    page.line(page.say("ticket.signature"))


def _test(page: _Page, ticket: dict[str, Any]) -> None:
    """What shows whether columns, code page and cutter are set right."""
    _head(page, ticket)
    page.line("123456789 " * (page.layout.columns // 10))
    page.line("áéíóú ÁÉÍÓÚ ñÑ üÜ ¿¡ ç ª º °", "€ $ £ ¥")
    page.line(page.say("print.test-page", name=page.layout.encoding, number=page.layout.page))
    page.rule()
    page.large(page.say("ticket.total"), page.money(1234567))


def _z(page: _Page, ticket: dict[str, Any]) -> None:
    page.centre(ticket["cafe"], large=True)
    if ticket["copy"]:
        page.centre(f"* {page.say('ticket.copy')} *", large=True)
    page.line()
    for left, right in z_text(ticket["z"], page.say, page.money, page.language):
        if left == "-":
            page.rule()
        elif left.startswith("#"):
            page.large(left[1:], right)
        else:
            page.line(left, right)


_PARTS: dict[str, Callable[[_Page, dict[str, Any]], None]] = {
    "ticket": _ticket,
    "pin": _pin,
    "code": _code_paper,
    "refund": _refund,
    "test": _test,
    "x": _z,
    "z": _z,
}

Pairs = list[tuple[str, str]]


def z_text(
    z: dict[str, Any], word: Callable[..., str], money_text: Callable[[int], str], language: str
) -> Pairs:
    """A Z, or an X, as pairs (left, right); ``-`` is a rule, a leading ``#`` means large. The
    screen shows it too."""
    closed = "declared_minor" in z
    lines: Pairs = [
        ("#" + word("z.title" if closed else "x.title", number=z["number"]), ""),
        ("", ""),
        (word("z.opened"), when(z["opened_ms"], language, date=True)),
        (word("z.closed" if closed else "x.read"), when(z["closed_ms"], language, date=True)),
        (word("z.operator"), z["operator"]),
    ]
    lines += [(word("z.handed-over", name=after), "") for _, after, *_ in z["operators"]]
    lines.append((word("z.sales"), str(z["sales"])))
    if z["tickets"][1]:
        lines.append((word("z.tickets"), f"{z['tickets'][0]} - {z['tickets'][1]}"))
    if z["categories"]:
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
    for name, (times, off) in sorted(z["discounts"].items()):
        lines.append((word("z.discount", name=name, times=times), money_text(-off)))
    if z.get("refunds"):
        lines.append((word("z.refunds", times=z["refunds"]), money_text(-z["refunded_minor"])))
    if z["by_vendor"]:
        lines += [("-", ""), (word("z.vendors"), "")]
    lines += [(f"  {name}", money_text(total)) for name, total in sorted(z["by_vendor"].items())]
    lines += _methods(z, word, money_text)
    lines += [("-", ""), (word("z.opening"), money_text(z["opening_minor"]))]
    for amount, reason, _, _ in z["moves"]:
        lines.append((word("z.in" if amount > 0 else "z.out", reason=reason), money_text(amount)))
    lines += _tills(z, word, money_text, closed=closed)
    lines.append((word("z.expected"), money_text(z["expected_minor"])))
    if closed:
        lines += [
            (word("z.declared"), money_text(z["declared_minor"])),
            (word("z.difference"), money_text(z["difference_minor"])),
            (word("z.withdrawn"), money_text(z["withdrawn_minor"])),
            (word("z.leave", number=z["number"] + 1), money_text(z["leave_minor"])),
            (word("z.next"), z["next_operator"]),
        ]
    for name in ("late", "waiting", "set_aside", "pending_jobs"):
        if z.get(name):
            lines.append((word(f"z.{name}"), str(z[name])))
    return lines + _stations(z, word, money_text, language)


def _methods(
    z: dict[str, Any], word: Callable[..., str], money_text: Callable[[int], str]
) -> Pairs:
    lines: Pairs = []
    for one in z["methods"]:
        if one["sold_minor"] or one["refunded_minor"]:
            name = one["name"] or word(f"method.{one['method']}")
            in_points = one["method"] == "points"  # they are counted, and never money
            net = str(one["net_minor"]) if in_points else money_text(one["net_minor"])
            lines.append((f"  {name}", net))
            if one["difference_minor"]:
                lines.append((f"    {word('z.difference')}", money_text(one["difference_minor"])))
    return [("-", ""), (word("z.methods"), ""), *lines] if lines else []


def _tills(
    z: dict[str, Any], word: Callable[..., str], money_text: Callable[[int], str], *, closed: bool
) -> Pairs:
    lines: Pairs = []
    for till in z["tills"]:
        lines.append((till["name"], money_text(till["declared_minor"])))
        if till["difference_minor"]:
            lines.append((f"  {word('z.difference')}", money_text(till["difference_minor"])))
        if till.get("unsent_minor"):
            lines.append((f"  {word('z.unsent-cash')}", money_text(till["unsent_minor"])))
    return lines


def _stations(
    z: dict[str, Any],
    word: Callable[..., str],
    money_text: Callable[[int], str],
    language: str,
) -> Pairs:
    lines: Pairs = []
    for one in z["stations"]:
        seen = when(one["seen_ms"], language) if one["seen_ms"] else word("z.not-seen")
        lines.append((f"{one['name']} #{one['head']}", seen))
        if one["unsent"]:
            text = word("z.unsent", number=one["unsent"])
            lines.append((f"  {text}", money_text(one["unsent_minor"])))
    return [("-", ""), (word("z.stations"), ""), *lines] if lines else []
