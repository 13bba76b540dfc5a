"""How a PIN card looks: parts in mm, drawn on sheets to be cut (PDF) or as a preview (PNG)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import font_source_sans_pro
import segno
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

WIDTH_MM, HEIGHT_MM = 85.6, 54.0
"""ISO/IEC 7810 ID-1, as a bank card."""
COLUMNS, ROWS = 2, 5
A_SHEET = COLUMNS * ROWS
CUT_MM = 5.0
FONTS = {"regular": "Regular", "semibold": "Semibold", "black": "Black", "italic": "Italic"}
COLOURS = ("#0B6169", "#7A3BA8", "#8A4B12", "#132022")
WHITE, INK = "#FFFFFF", "#132022"
PREVIEW_DOTS_A_MM = 10
BACKGROUND_DOTS = (1011, 638)
"""A card at 300 dots an inch."""


@dataclass(frozen=True, slots=True)
class Design:
    """What the café chooses; pictures are PNG or JPEG that `node.pictures.opened` has seen."""

    title: str
    font: str = "semibold"
    colour: str = COLOURS[0]
    background: bytes = b""
    logo: bytes = b""
    qr: bool = True


@dataclass(frozen=True, slots=True)
class Card:
    """One card, its texts ready."""

    pin: str
    serial: str
    name: str
    terms: str


@dataclass(frozen=True, slots=True)
class Part:
    """A shape in mm from the top left of its card: a rectangle, a text on its base line, a picture
    or a QR code."""

    kind: str
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    colour: str = INK
    text: str = ""
    size_mm: float = 0.0
    font: str = "Regular"
    picture: bytes = field(default=b"", repr=False)


def parts_of(design: Design, card: Card) -> list[Part]:
    """The card as it is drawn, from back to front."""
    font = FONTS[design.font]
    parts = [Part("fill", 0, 0, WIDTH_MM, HEIGHT_MM, design.colour)]
    if design.background:
        parts.append(Part("picture", 0, 0, WIDTH_MM, HEIGHT_MM, picture=design.background))
    left = 5.0
    if design.logo:
        parts.append(Part("picture", 5, 4, 10, 10, picture=design.logo))
        left = 18.0
    parts += [
        Part("text", left, 9.5, colour=WHITE, text=design.title, size_mm=4.6, font=font),
        Part("text", 5, 22, colour=WHITE, text=card.name, size_mm=9, font=font),
        Part("text", 5, 28, colour=WHITE, text=card.terms, size_mm=3.2, font="Regular"),
        Part("fill", 5, 38, 32, 11, WHITE),
        Part("text", 8, 46, text=" ".join(card.pin), size_mm=7, font="Semibold"),
        Part("text", 40, 48.5, colour=WHITE, text=card.serial, size_mm=2.8, font="Regular"),
    ]
    if design.qr:
        parts += [
            Part("fill", 61, 30, 19.6, 19, WHITE),
            Part("qr", 62.3, 31, 17, 17, text=card.pin),
        ]
    return parts


def runs_of(text: str) -> tuple[int, list[tuple[int, int, int]]]:
    """(modules on a side, dark runs as (column, row, length)) of a QR code."""
    matrix = [list(row) for row in segno.make(text, micro=False, error="m").matrix]
    runs = []
    for row, line in enumerate(matrix):
        start = None
        for column, dark in enumerate([*line, 0]):
            if dark and start is None:
                start = column
            elif not dark and start is not None:
                runs.append((start, row, column - start))
                start = None
    return len(matrix), runs


# --- on paper ----------------------------------------------------------------


def sheets(design: Design, cards: Sequence[Card]) -> bytes:
    """Cards on A4, ten a sheet, with marks to cut along."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, pageCompression=1)
    canvas.setTitle(design.title)
    pictures = {
        data: ImageReader(io.BytesIO(data)) for data in (design.background, design.logo) if data
    }
    left = (A4[0] - COLUMNS * WIDTH_MM * mm) / 2
    top = A4[1] - (A4[1] - ROWS * HEIGHT_MM * mm) / 2
    for at, card in enumerate(cards):
        place = at % A_SHEET
        if at and not place:
            canvas.showPage()
        if not place:
            _marks(canvas, left, top)
        row, column = divmod(place, COLUMNS)
        x, y = left + column * WIDTH_MM * mm, top - row * HEIGHT_MM * mm
        canvas.saveState()
        clip = canvas.beginPath()
        clip.rect(x, y - HEIGHT_MM * mm, WIDTH_MM * mm, HEIGHT_MM * mm)
        canvas.clipPath(clip, stroke=0, fill=0)
        for part in parts_of(design, card):
            _draw(canvas, part, x, y, pictures)
        canvas.restoreState()
    canvas.save()
    return out.getvalue()


def _marks(canvas: Any, left: float, top: float) -> None:
    canvas.setLineWidth(0.3)
    canvas.setStrokeColor(HexColor("#5F6D6F"))
    bottom, right = top - ROWS * HEIGHT_MM * mm, left + COLUMNS * WIDTH_MM * mm
    for column in range(COLUMNS + 1):
        x = left + column * WIDTH_MM * mm
        canvas.line(x, top + 1 * mm, x, top + CUT_MM * mm)
        canvas.line(x, bottom - 1 * mm, x, bottom - CUT_MM * mm)
    for row in range(ROWS + 1):
        y = top - row * HEIGHT_MM * mm
        canvas.line(left - 1 * mm, y, left - CUT_MM * mm, y)
        canvas.line(right + 1 * mm, y, right + CUT_MM * mm, y)


def _draw(canvas: Any, part: Part, x: float, y: float, pictures: dict[bytes, ImageReader]) -> None:
    left, top = x + part.x * mm, y - part.y * mm
    width, height = part.width * mm, part.height * mm
    canvas.setFillColor(HexColor(part.colour))
    match part.kind:
        case "fill":
            canvas.rect(left, top - height, width, height, stroke=0, fill=1)
        case "picture":
            canvas.drawImage(pictures[part.picture], left, top - height, width, height, mask="auto")
        case "text":
            font = _registered(part.font)
            width = pdfmetrics.stringWidth(part.text, font, part.size_mm * mm)
            canvas.setFont(font, _fitted(part, width, mm))
            canvas.drawString(left, top, part.text)
        case "qr":
            count, runs = runs_of(part.text)
            dot = width / count
            for column, row, length in runs:
                canvas.rect(
                    left + column * dot, top - (row + 1) * dot, length * dot, dot, stroke=0, fill=1
                )


def _registered(font: str) -> str:
    name = f"Card-{font}"
    if name not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(name, str(_file(font))))
    return name


def _file(font: str) -> Path:
    folder = Path(str(font_source_sans_pro.__file__)).parent / "files"
    return folder / f"SourceSansPro-{font}.ttf"


def _fitted(part: Part, width: float, unit: float) -> float:
    """Size of a text so that it does not run off the card; ``width`` is that of its own size."""
    size, room = part.size_mm * unit, (WIDTH_MM - part.x - 4) * unit
    return size if width <= room else size * room / width


# --- on the screen -----------------------------------------------------------


def preview(design: Design, card: Card) -> bytes:
    """One card as PNG."""
    unit = PREVIEW_DOTS_A_MM
    image = Image.new("RGB", (round(WIDTH_MM * unit), round(HEIGHT_MM * unit)), design.colour)
    draw = ImageDraw.Draw(image)
    for part in parts_of(design, card):
        box = [part.x * unit, part.y * unit]
        box += [box[0] + part.width * unit, box[1] + part.height * unit]
        match part.kind:
            case "fill":
                draw.rectangle(box, fill=part.colour)
            case "picture":
                _paste(image, part, unit)
            case "text":
                width = _screen_font(part.font, part.size_mm * unit).getlength(part.text)
                font = _screen_font(part.font, _fitted(part, width, unit))
                draw.text((box[0], box[1]), part.text, part.colour, font, anchor="ls")
            case "qr":
                count, runs = runs_of(part.text)
                dot = part.width * unit / count
                for column, row, length in runs:
                    at = (box[0] + column * dot, box[1] + row * dot)
                    draw.rectangle(
                        (*at, at[0] + length * dot - 1, at[1] + dot - 1), fill=part.colour
                    )
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _screen_font(font: str, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_file(font), size)


def _paste(image: Image.Image, part: Part, unit: int) -> None:
    size = (round(part.width * unit), round(part.height * unit))
    with Image.open(io.BytesIO(part.picture)) as picture:
        small = picture.convert("RGBA").resize(size)
    image.paste(small, (round(part.x * unit), round(part.y * unit)), small)
