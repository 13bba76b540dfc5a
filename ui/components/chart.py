"""Bars over time: what was sold by hour or day."""

from __future__ import annotations

from collections.abc import Sequence

import flet as ft
import flet_charts as charts

from ui.components.parts import text
from ui.theme import style
from ui.viewmodels.session import Session

LINES = 4
"""Lines across the chart, and so amounts at its side."""
MOST_LABELS = 16


def top_of(largest: int) -> int:
    """The end of an axis: 1, 2, 4, 5, 6, 8 or 10 × a power of ten, the first that holds the largest
    value."""
    if largest <= 0:
        return LINES
    power: int = 10 ** max(0, len(str(largest)) - 1)
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= largest)


def bars(
    s: Session, points: Sequence[tuple[str, int]], *, height: int = 200, key: str = ""
) -> ft.Control:
    """``points`` are (label, minor units). The largest stands out; each tells its amount."""
    p = s.palette
    values = [max(0, amount) for _, amount in points]
    largest = max(values, default=0)
    top = top_of(largest)
    every = max(1, -(-len(points) // MOST_LABELS))
    width = max(4.0, min(32.0, 560.0 / max(1, len(points))))
    groups = [
        charts.BarChartGroup(
            x=at,
            rods=[
                charts.BarChartRod(
                    from_y=0,
                    to_y=value,
                    width=width,
                    color=p.accent if value == largest else ft.Colors.with_opacity(0.45, p.accent),
                    border_radius=ft.BorderRadius.only(top_left=4, top_right=4),
                    tooltip=charts.BarChartRodTooltip(
                        text=f"{points[at][0]}\n{s.text.money(points[at][1])}",
                        text_style=style("label", p.surface),
                    ),
                )
            ],
        )
        for at, value in enumerate(values)
    ]
    side = [
        charts.ChartAxisLabel(
            value=top * step // LINES,
            label=text(s, s.text.short(top * step // LINES), "micro", p.text3),
        )
        for step in range(LINES + 1)
    ]
    foot = [
        charts.ChartAxisLabel(value=at, label=text(s, label, "micro", p.text3))
        for at, (label, _) in enumerate(points)
        if at % every == 0
    ]
    chart: ft.Control = charts.BarChart(
        key=key or None,
        groups=groups,
        height=height,
        max_y=top,
        min_y=0,
        interactive=True,
        tooltip=charts.BarChartTooltip(bgcolor=p.text),
        left_axis=charts.ChartAxis(labels=side, label_size=56, label_spacing=top // LINES or 1),
        bottom_axis=charts.ChartAxis(labels=foot, label_size=24, label_spacing=1),
        horizontal_grid_lines=charts.ChartGridLines(interval=top / LINES, color=p.border, width=1),
    )
    return chart
