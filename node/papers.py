"""Reports as files: CSV for another program, PDF for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import font_source_sans_pro
from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from node.cafe.catalog import quoted

INK, GREY, ACCENT = "#132022", "#5F6D6F", "#0B6169"
BARS = 31
"""So many bars at most: a month of days."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table for people: texts are ready, ``bars`` are (label, whole number) for a chart."""

    title: str
    subtitle: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    totals: Sequence[str] = ()
    bars: Sequence[tuple[str, int]] = ()


def write_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV. What a spreadsheet would take for a formula stands behind an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: object) -> object:
    return quoted(value) if isinstance(value, str) else value


def write_pdf(sheet: Sheet) -> bytes:
    """A sheet on A4: its chart above, the table under it with its head on every page."""
    _fonts()
    out = io.BytesIO()
    page = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=18 * mm,
        rightMargin=18 * mm,
        topMargin=16 * mm,
        bottomMargin=16 * mm,
        title=sheet.title,
    )
    head = ParagraphStyle("head", fontName="Source-Bold", fontSize=18, leading=22, textColor=INK)
    small = ParagraphStyle("small", fontName="Source", fontSize=10, leading=14, textColor=GREY)
    story = [_text(sheet.title, head), _text(sheet.subtitle, small), Spacer(1, 6 * mm)]
    if sheet.bars:
        story += [_chart(sheet.bars[:BARS], page.width), Spacer(1, 6 * mm)]
    story.append(_table(sheet, page.width))
    page.build(story, onFirstPage=_foot, onLaterPages=_foot)
    return out.getvalue()


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Paragraph(escaped, style)


def _fonts() -> None:
    if "Source" not in pdfmetrics.getRegisteredFontNames():
        folder = Path(str(font_source_sans_pro.__file__)).parent / "files"
        for name, file in (("Source", "Regular"), ("Source-Bold", "Semibold")):
            pdfmetrics.registerFont(TTFont(name, str(folder / f"SourceSansPro-{file}.ttf")))


def _chart(bars: Sequence[tuple[str, int]], width: float) -> Drawing:
    drawing = Drawing(width, 60 * mm)
    chart = VerticalBarChart()
    chart.x, chart.y, chart.width, chart.height = 8 * mm, 12 * mm, width - 10 * mm, 46 * mm
    chart.data = [[max(0, amount) for _, amount in bars]]
    chart.categoryAxis.categoryNames = [label for label, _ in bars]
    chart.categoryAxis.labels.fontName = "Source"
    chart.categoryAxis.labels.fontSize = 8
    chart.categoryAxis.labels.angle = 40 if len(bars) > 8 else 0
    chart.categoryAxis.labels.boxAnchor = "ne" if len(bars) > 8 else "n"
    chart.valueAxis.visible = False
    chart.valueAxis.valueMin = 0
    chart.bars[0].fillColor = colors.HexColor(ACCENT)
    chart.bars[0].strokeColor = None
    drawing.add(chart)
    return drawing


def _table(sheet: Sheet, width: float) -> Table:
    rows = [list(sheet.columns), *[list(row) for row in sheet.rows]]
    if sheet.totals:
        rows.append(list(sheet.totals))
    others = max(1, len(sheet.columns) - 1)
    table = Table(rows, colWidths=[width * 0.36, *[width * 0.64 / others] * others], repeatRows=1)
    looks = [
        ("FONT", (0, 0), (-1, -1), "Source", 9),
        ("FONT", (0, 0), (-1, 0), "Source-Bold", 9),
        ("TEXTCOLOR", (0, 0), (-1, 0), colors.HexColor(GREY)),
        ("TEXTCOLOR", (0, 1), (-1, -1), colors.HexColor(INK)),
        ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, colors.HexColor("#DCE2E2")),
    ]
    if sheet.totals:
        looks.append(("FONT", (0, -1), (-1, -1), "Source-Bold", 9))
    table.setStyle(TableStyle(looks))
    return table


def _foot(canvas: object, document: object) -> None:
    canvas.setFont("Source", 8)  # type: ignore[attr-defined]
    number = str(document.page)  # type: ignore[attr-defined]
    canvas.drawRightString(A4[0] - 18 * mm, 9 * mm, number)  # type: ignore[attr-defined]
