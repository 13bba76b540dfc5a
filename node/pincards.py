"""PIN cards by command line and screen: made, looked at, put on sheets and lists.

What shows a PIN is on record before it is shown, and no file of ours keeps it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any

from tinydb import where

from node.cafe import pins, settings
from node.cards import BACKGROUND_DOTS, FONTS, Card, Design, sheets
from node.papers import Sheet, write_csv, write_pdf
from node.pictures import for_paper
from node.roles.server import ServerNode
from node.text import day, money, say
from sync.errors import Refused

MOST_MADE = 10_000
LIVE_WARNED = 2_000
"""So many PINs that open a PC are easy to guess one of: the café is told."""
LOGO_DOTS = (300, 300)
_RANGE = re.compile(r"([0-9]{1,9})(?:\s*[-–]\s*([0-9]{1,9}))?")

Tell = Callable[[int, int], None]


async def make(
    node: ServerNode,
    profile: str,
    count: int,
    *,
    stock: bool,
    tell: Tell = lambda done, of: None,
    stopped: Callable[[], bool] = lambda: False,
) -> list[int]:
    """Make so many cards; the serials of those that were made before ``stopped`` said so.

    ``tell(done, of)`` hears how far it is. `Refused`: ``out-of-range``, ``unknown-profile``, ``no-
    cards``, ``no-pins-left``, ``no-permission``.
    """
    if not 1 <= count <= MOST_MADE:
        raise Refused("out-of-range", what="count")
    made: list[int] = []
    while len(made) < count and not stopped():
        some = min(pins.MOST_AN_OP, count - len(made))
        secrets = node.codes.new(some, lambda index: pins.is_taken(node.tables, index))
        body = {"profile": profile, "secrets": secrets, "stock": stock}
        receipt = await node.submit("pin.make", body)
        first = receipt.events[0][2]["first"]
        made += range(first, first + some)
        tell(len(made), count)
        await asyncio.sleep(0)
    return made


def live(node: ServerNode) -> int:
    """PINs that are not over."""
    rows = node.tables.table("pins").scan()
    return sum(row["state"] not in pins.ENDED for _, row in rows)


def read_serials(text: str) -> list[int]:
    """Serials of ``501-540, C-0550``; `Refused` ``bad-field`` for what says none."""
    found: list[int] = []
    for piece in text.upper().replace("C-", "").replace("T-", "").split(","):
        said = _RANGE.fullmatch(piece.strip())
        if said is None:
            raise Refused("bad-field", what=piece.strip()[:40] or "serials")
        low, high = int(said[1]), int(said[2] or said[1])
        if not low <= high < low + MOST_MADE - len(found):
            raise Refused("bad-field", what=piece.strip())
        found += range(low, high + 1)
    return found


async def reveal(node: ServerNode, serials: Sequence[int], purpose: str) -> list[tuple[int, str]]:
    """(serial, PIN) of cards or tickets, once it is on record who looked. `Refused` ``unknown-
    serial``, ``no-permission``."""
    await in_pieces(node, "pin.review", serials, purpose=purpose)
    rows = [pins.of(node.tables, serial) for serial in serials]
    return [(row["serial"], node.codes.open(row["text"])) for row in rows]


async def in_pieces(node: ServerNode, kind: str, serials: Sequence[int], **more: Any) -> None:
    """Do one thing with many cards: as many acts as it takes. `Refused`, and then those before the
    refused act are done."""
    for at in range(0, len(serials), pins.MOST_SERIALS):
        body = {"serials": list(serials[at : at + pins.MOST_SERIALS]), **more}
        await node.submit(kind, body)


def design_of(
    node: ServerNode,
    *,
    title: str = "",
    font: str = "semibold",
    colour: str = "",
    background: bytes = b"",
    logo: bytes = b"",
    qr: bool = True,
) -> Design:
    """What a person chose, its pictures ready for paper. `Refused` ``bad-picture``, ``bad-
    field``."""
    if font not in FONTS:
        raise Refused("bad-field", what="font")
    known = Design(title=title or settings.cafe(node.tables)["name"], font=font, qr=qr)
    if colour and not (len(colour) == 7 and colour[0] == "#" and _is_hex(colour[1:])):
        raise Refused("bad-field", what="colour")
    return Design(
        title=known.title[:40],
        font=font,
        colour=colour or known.colour,
        background=for_paper(background, *BACKGROUND_DOTS) if background else b"",
        logo=for_paper(logo, *LOGO_DOTS) if logo else b"",
        qr=qr,
    )


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)


def card_of(node: ServerNode, sku: str, serial: int, pin: str) -> Card:
    """What stands on a card of a profile."""
    product = node.tables.table("products").peek(sku)
    profile = pins.of_profile(node.tables, sku)
    assert product is not None  # it came with the profile
    cafe, language = settings.cafe(node.tables), node.language
    price = money(product["price_minor"], language, cafe["currency"], cafe["decimals"])
    return Card(
        pin=pin,
        serial=pins.label(profile["form"], serial),
        name=str(product["name"]),
        terms=f"{price} · {terms_of(profile, language)}",
    )


def terms_of(profile: Any, language: str) -> str:
    """How long a PIN of a profile is good, in words."""
    match profile["validity"]:
        case "date":
            last = day(dt.date.fromordinal(profile["last_day"]), language)
            return say(language, "pin.until", day=last)
        case "sale" | "use":
            return say(language, f"pin.days-{profile['validity']}", days=profile["days"])
    return say(language, "pin.for-ever")


async def sheet(node: ServerNode, serials: Sequence[int], design: Design) -> bytes:
    """Cards on A4 to be cut, as PDF."""
    shown = await reveal(node, serials, "sheet")
    profiles = {serial: pins.of(node.tables, serial)["profile"] for serial in serials}
    cards = [card_of(node, profiles[serial], serial, pin) for serial, pin in shown]
    return await asyncio.to_thread(sheets, design, cards)


async def list_file(node: ServerNode, serials: Sequence[int], kind: str) -> bytes:
    """Serials and PINs for one's own design, as the bytes of a ``csv`` or ``pdf`` file."""
    shown = await reveal(node, serials, "list")
    language = node.language
    columns = [say(language, f"pin.{name}") for name in ("serial", "pin", "profile")]
    rows = []
    for serial, pin in shown:
        row = pins.of(node.tables, serial)
        product = node.tables.table("products").peek(row["profile"]) or {"name": row["profile"]}
        form = pins.of_profile(node.tables, row["profile"])["form"]
        rows.append([pins.label(form, serial), pin, product["name"]])
    if kind == "csv":
        return write_csv(columns, rows).encode("utf-8-sig")
    cafe = str(settings.cafe(node.tables)["name"])
    paper = Sheet(say(language, "pin.list"), cafe, columns, rows)
    return await asyncio.to_thread(write_pdf, paper)


def find(
    node: ServerNode,
    *,
    profile: str = "",
    state: str = "",
    serials: Sequence[int] = (),
    most: int = 1 << 30,
) -> list[dict[str, Any]]:
    """Cards and tickets that fit, the newest ``most`` of them by serial; without what leads to
    their PINs."""
    table, last = node.tables.table("pins"), pins.last_serial(node.tables)
    found: list[dict[str, Any]] = []
    for serial in sorted(set(serials), reverse=True) if serials else range(last, 0, -1):
        row = table.peek(str(serial))
        if row is None or profile not in ("", row["profile"]) or state not in ("", row["state"]):
            continue
        found.append({name: row[name] for name in row if name not in ("index", "text")})
        if len(found) == most:
            break
    return found[::-1]


def by_pin(node: ServerNode, pin: str) -> int | None:
    """Serial of the live card or ticket with this PIN."""
    index = node.codes.index(pin)
    for row in node.tables.table("pins").search(where("index") == index):
        if row["state"] not in pins.ENDED:
            return int(row["serial"])
    return None
