"""A ticket printer that is not there: listens on a TCP port, understands ESC/POS, keeps every
ticket.

It decodes by the ESC/POS command reference, not with the library that composes our tickets, so that
a mistake there is not made twice. It can be told to run out of paper, to stall, to break off, to be
off.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import font_source_sans_pro
import segno
from PIL import Image, ImageDraw, ImageFont

# Commands by their first two bytes: how many parameter bytes follow (ESC/POS command reference).
_PARAMETERS = {
    b"\x1b@": 0,
    b"\x1b!": 1,
    b"\x1b-": 1,
    b"\x1b2": 0,
    b"\x1b3": 1,
    b"\x1bE": 1,
    b"\x1bG": 1,
    b"\x1bM": 1,
    b"\x1bR": 1,
    b"\x1ba": 1,
    b"\x1bd": 1,
    b"\x1bp": 3,
    b"\x1bt": 1,
    b"\x1bV": 1,
    b"\x1b{": 1,
    b"\x1dB": 1,
    b"\x1d!": 1,
    b"\x1db": 1,
    b"\x1dL": 2,
    b"\x1dW": 2,
    b"\x1da": 1,
    b"\x1dr": 1,
    b"\x10\x04": 1,
}
_PAGES = {0: "cp437", 2: "cp850", 16: "cp1252", 19: "cp858"}
CELL_W, CELL_H, MARGIN = 9, 18, 14


@functools.cache
def _font(bold: bool, size_px: int) -> ImageFont.FreeTypeFont:
    """A font with accents; each character gets a cell of its own, as on a printer."""
    name = "SourceSansPro-Semibold.ttf" if bold else "SourceSansPro-Regular.ttf"
    folder = Path(str(font_source_sans_pro.__file__)).parent / "files"
    return ImageFont.truetype(str(folder / name), size_px)


@dataclass(frozen=True, slots=True)
class Run:
    """One printed line: its text, where it stands, and how many times as wide and high it is."""

    text: str
    align: str
    width: int
    height: int
    bold: bool


@dataclass(frozen=True, slots=True)
class Stamp:
    """A picture between the lines: a logo, or a QR code and what it says."""

    width_px: int
    height_px: int
    dots: bytes
    """One byte a dot: 0 is black."""
    says: str = ""


@dataclass(frozen=True, slots=True)
class Paper:
    """A ticket that was cut off the roll."""

    lines: tuple[Run | Stamp, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines if isinstance(line, Run))

    @property
    def stamps(self) -> list[Stamp]:
        return [line for line in self.lines if isinstance(line, Stamp)]

    def picture(self, columns: int = 42) -> Image.Image:
        """The ticket as it looks on the roll."""
        height = MARGIN * 2 + sum(
            CELL_H * max(1, line.height) if isinstance(line, Run) else line.height_px
            for line in self.lines
        )
        image = Image.new("L", (MARGIN * 2 + columns * CELL_W, height), 255)
        draw = ImageDraw.Draw(image)
        top = MARGIN
        for line in self.lines:
            if isinstance(line, Stamp):
                stamp = Image.frombytes("L", (line.width_px, line.height_px), line.dots)
                image.paste(stamp, ((image.width - line.width_px) // 2, top))
                top += line.height_px
                continue
            wide, high = CELL_W * line.width, CELL_H * line.height
            font = _font(line.bold, 14 * line.height)
            left = MARGIN
            if line.align == "center":
                left += (columns * CELL_W - len(line.text) * wide) // 2
            for at, character in enumerate(line.text):
                spot = (left + at * wide + wide // 2, top + high // 2)
                draw.text(spot, character, 0, font, anchor="mm")
            top += high
        return image


@dataclass
class Faults:
    """What goes wrong, if anything."""

    no_paper: bool = False
    paper_out_after_lines: int | None = None
    """Lines until the paper ends, from now on."""
    stall: bool = False
    """Take bytes and say nothing."""
    drop_after_bytes: int | None = None
    """Break the connection after so many bytes of a job."""


class Decoder:
    """Turns a stream of ESC/POS bytes into papers, drawer pulses and answers."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.papers: list[Paper] = []
        self.pulses = 0
        self.unknown: list[bytes] = []
        self._lines: list[Run | Stamp] = []
        self._code = b""
        """What stands in the printer's memory for a QR."""
        self._rest = b""
        self._text = bytearray()
        self._reset()

    def _reset(self) -> None:
        self._page, self._align, self._bold, self._width, self._height = (
            "cp437",
            "left",
            False,
            1,
            1,
        )

    @property
    def out_of_paper(self) -> bool:
        return self.faults.no_paper or self.faults.paper_out_after_lines == 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; the answers to send back. While the paper is out, printing bytes wait in the
        buffer."""
        answers: list[bytes] = []
        if self.out_of_paper:  # real-time commands are seen as they come, before what waits
            for at in range(len(data) - 2):
                if data[at : at + 2] == b"\x10\x04":
                    answers.append(self._status(data[at + 2]))
            data = re.sub(rb"\x10\x04[\s\S]", b"", data)
        self._rest += data
        while self._rest and (step := self._step(answers)):
            self._rest = self._rest[step:]
        return answers

    def _step(self, answers: list[bytes]) -> int:
        """Carry out what stands first; how many bytes that took, 0 to wait for more."""
        rest = self._rest
        if rest[:2] == b"\x10\x04":
            if len(rest) < 3:
                return 0
            answers.append(self._status(rest[2]))
            return 3
        if self.out_of_paper:
            return 0
        byte = rest[0]
        if byte == 0x0A:
            self._line()
            return 1
        if byte not in (0x1B, 0x1D, 0x10):
            self._text.append(byte)
            return 1
        if len(rest) < 2:
            return 0
        if rest[:2] == b"\x1dV":  # cut: function A has one parameter, function B two
            if len(rest) < 3 or (rest[2] in (65, 66) and len(rest) < 4):
                return 0
            self._cut()
            return 4 if rest[2] in (65, 66) else 3
        if rest[:2] == b"\x1d(":  # GS ( x pL pH …
            if len(rest) < 5 or len(rest) < 5 + (size := rest[3] + 256 * rest[4]):
                return 0
            if rest[2:3] == b"H" and rest[5:7] == b"00":
                answers.append(b"\x37\x22" + rest[7 : 5 + size] + b"\0")
            elif rest[2:3] == b"k" and rest[5:6] == b"1":
                self._qr(rest[6], rest[8 : 5 + size])
            return 5 + size
        if rest[:3] == b"\x1dv0":  # GS v 0 m xL xH yL yH: a raster of bytes × lines
            if len(rest) < 8:
                return 0
            wide, high = rest[4] + 256 * rest[5], rest[6] + 256 * rest[7]
            if len(rest) < 8 + wide * high:
                return 0
            self._raster(wide, high, rest[8 : 8 + wide * high])
            return 8 + wide * high
        count = _PARAMETERS.get(rest[:2])
        if count is None:
            self.unknown.append(rest[:2])
            return 2
        if len(rest) < 2 + count:
            return 0
        self._command(rest[:2], rest[2 : 2 + count])
        return 2 + count

    def _qr(self, function: int, data: bytes) -> None:
        """Function 80 takes what a code says, 81 prints it; the others set its looks."""
        if function == 80:
            self._code = data
        elif function == 81:
            out = io.BytesIO()
            segno.make(self._code, error="l", micro=False).save(out, kind="png", scale=3)
            image = Image.open(out).convert("L")
            says = self._code.decode("ascii", "replace")
            self._lines.append(Stamp(image.width, image.height, image.tobytes(), says))

    def _raster(self, wide: int, high: int, data: bytes) -> None:
        bits = "".join(f"{byte:08b}" for byte in data)
        self._lines.append(Stamp(wide * 8, high, bytes(0 if bit == "1" else 255 for bit in bits)))

    def _status(self, kind: int) -> bytes:
        if kind == 4:
            return bytes([0x12 | (0x60 if self.out_of_paper else 0)])
        if kind == 1:
            return bytes([0x12 | (0x08 if self.out_of_paper else 0)])
        return bytes([0x12 | (0x20 if self.out_of_paper else 0)])

    def _command(self, command: bytes, value: bytes) -> None:
        match command:
            case b"\x1b@":
                self._reset()
            case b"\x1bt":
                self._page = _PAGES.get(value[0], "cp437")
            case b"\x1ba":
                self._align = {0: "left", 1: "center", 2: "right"}.get(value[0] % 48, "left")
            case b"\x1bE":
                self._bold = bool(value[0] & 1)
            case b"\x1b!":
                self._bold = bool(value[0] & 8)
                self._height, self._width = 1 + (value[0] >> 4 & 1), 1 + (value[0] >> 5 & 1)
            case b"\x1d!":
                self._height, self._width = 1 + (value[0] & 7), 1 + (value[0] >> 4 & 7)
            case b"\x1bd":
                for _ in range(value[0]):
                    self._line()
            case b"\x1bp":
                self.pulses += 1

    def _line(self) -> None:
        text = self._text.decode(self._page, "replace")
        self._text.clear()
        self._lines.append(Run(text, self._align, self._width, self._height, self._bold))
        if self.faults.paper_out_after_lines:
            self.faults.paper_out_after_lines -= 1

    def _cut(self) -> None:
        lines = list(self._lines)
        while lines and isinstance(lines[-1], Run) and not lines[-1].text:
            lines.pop()
        self.papers.append(Paper(tuple(lines)))
        self._lines.clear()


@dataclass
class VirtualPrinter:
    """The printer at a port. Give it a folder and it keeps each ticket there as text and PNG."""

    folder: Path | None = None
    faults: Faults = field(default_factory=Faults)
    on_paper: Callable[[Paper], None] = lambda paper: None

    def __post_init__(self) -> None:
        self.decoder = Decoder(self.faults)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def papers(self) -> list[Paper]:
        return self.decoder.papers

    async def start(self, port: int = 0) -> None:
        """Switch on. `OSError` if the port is taken."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Switch off: connections break."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.transport.abort()
            self._server = None

    @property
    def on(self) -> bool:
        return self._server is not None

    def new_roll(self) -> None:
        """Put in paper: what waits in the buffer is printed."""
        self.faults.no_paper = False
        self.faults.paper_out_after_lines = None
        self._take(b"", None)

    def _take(self, data: bytes, writer: asyncio.StreamWriter | None) -> None:
        before = len(self.papers)
        answers = self.decoder.feed(data)
        for number, paper in enumerate(self.papers[before:], before + 1):
            self._keep(number, paper)
            self.on_paper(paper)
        targets = self._writers if writer is None else {writer}
        for target in targets:
            target.write(b"".join(answers))

    def _keep(self, number: int, paper: Paper) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{number:05d}.txt").write_text(paper.text, encoding="utf-8")
            paper.picture().save(self.folder / f"{number:05d}.png")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        taken = 0
        try:
            while data := await reader.read(4096):
                limit = self.faults.drop_after_bytes
                if limit is not None and taken + len(data) > limit:
                    self._take(data[: max(0, limit - taken)], writer)
                    self.faults.drop_after_bytes = None
                    writer.transport.abort()
                    return
                taken += len(data)
                if not self.faults.stall:
                    self._take(data, writer)
                    await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
