"""All colours, sizes and fonts. Colour means state or "next step", never decoration."""

from __future__ import annotations

from dataclasses import dataclass

import flet as ft

REGULAR, SEMIBOLD, BOLD = "Source", "Source SemiBold", "Source Bold"
FONT_FILES = {
    REGULAR: "SourceSansPro-Regular.ttf",
    SEMIBOLD: "SourceSansPro-Semibold.ttf",
    BOLD: "SourceSansPro-Bold.ttf",
}


@dataclass(frozen=True, slots=True)
class Tint:
    """Text or icon on its own ground."""

    text: str
    ground: str


@dataclass(frozen=True, slots=True)
class Palette:
    """The tokens of one brightness."""

    ground: str
    surface: str
    surface2: str
    surface3: str
    border: str
    outline: str
    text: str
    text2: str
    text3: str
    accent: str
    on_accent: str
    selected: str
    on_selected: str
    danger: Tint
    on_danger: str
    rail: str
    rail_on: str
    rail_idle: str
    logo: Tint
    pending: Tint
    allowed: Tint
    collected: Tint
    printed: Tint
    aside: Tint
    plates: tuple[Tint, ...]


LIGHT = Palette(
    ground="#F2F4F4",
    surface="#FFFFFF",
    surface2="#F8F9F9",
    surface3="#E9EDED",
    border="#DCE2E2",
    outline="#7C898A",
    text="#132022",
    text2="#465456",
    text3="#5F6D6F",
    accent="#0B6169",
    on_accent="#FFFFFF",
    selected="#D5EBEB",
    on_selected="#064047",
    danger=Tint("#B3261E", "#FCE5E3"),
    on_danger="#FFFFFF",
    rail="#10262A",
    rail_on="#24494E",
    rail_idle="#A8BDBF",
    logo=Tint("#0B6169", "#FFFFFF"),
    pending=Tint("#8A5200", "#FFF0D2"),
    allowed=Tint("#1A55B5", "#E2ECFC"),
    collected=Tint("#186A36", "#DCF2E3"),
    printed=Tint("#465458", "#E7EBEC"),
    aside=Tint("#7838A6", "#F2E6FA"),
    plates=(
        Tint("#8A4B12", "#F8EBDD"),
        Tint("#5B5F17", "#EFF0DA"),
        Tint("#0F5E8C", "#E0EEF6"),
        Tint("#4C4C96", "#E9E9F7"),
        Tint("#8A2F63", "#F8E4EF"),
        Tint("#2F5D4B", "#E1EFE8"),
    ),
)
DARK = Palette(
    ground="#0D1415",
    surface="#151F21",
    surface2="#1A2628",
    surface3="#243234",
    border="#2C3B3E",
    outline="#75868A",
    text="#E9EFEF",
    text2="#B5C1C2",
    text3="#8E9C9E",
    accent="#5FCBCF",
    on_accent="#00292C",
    selected="#143F44",
    on_selected="#BCEEEF",
    danger=Tint("#FF9D93", "#461B19"),
    on_danger="#151F21",
    rail="#0A1011",
    rail_on="#1B3B3F",
    rail_idle="#93A5A7",
    logo=Tint("#00292C", "#5FCBCF"),
    pending=Tint("#F6BC55", "#3A2B0E"),
    allowed=Tint("#93BAFF", "#182C4E"),
    collected=Tint("#74D394", "#12341F"),
    printed=Tint("#B6C4C7", "#273336"),
    aside=Tint("#D5AAF6", "#34214B"),
    plates=(
        Tint("#E9B98B", "#35271A"),
        Tint("#CFD28A", "#2B2C17"),
        Tint("#8CC7EA", "#152C3A"),
        Tint("#B6B6F2", "#26264A"),
        Tint("#EFA6CF", "#3C1D2E"),
        Tint("#97CDB6", "#182F26"),
    ),
)

# name: (size, line height, family)
_STYLES = {
    "total": (48, 56, SEMIBOLD),
    "sign": (28, 32, SEMIBOLD),
    "figure": (32, 40, SEMIBOLD),
    "figure_s": (24, 32, SEMIBOLD),
    "h1": (20, 28, SEMIBOLD),
    "h2": (17, 24, SEMIBOLD),
    "body": (16, 20, REGULAR),
    "strong": (16, 20, SEMIBOLD),
    "button": (16, 20, SEMIBOLD),
    "big_button": (19, 24, SEMIBOLD),
    "label": (14, 16, SEMIBOLD),
    "caption": (14, 16, REGULAR),
    "tile": (15, 18, SEMIBOLD),
    "micro": (12, 14, SEMIBOLD),
}


def style(name: str, color: str) -> ft.TextStyle:
    """A text style with its colour: a style of a `TextTheme` without one would be black in dark
    too."""
    size, line, family = _STYLES[name]
    return ft.TextStyle(
        size=size, height=line / size, font_family=family, letter_spacing=0, color=color
    )


def theme_of(palette: Palette) -> ft.Theme:
    """Flet's theme of one brightness."""
    text = {
        "display_large": "total",
        "headline_large": "figure",
        "headline_small": "figure_s",
        "title_large": "h1",
        "title_medium": "h2",
        "body_large": "body",
        "body_medium": "body",
        "body_small": "caption",
        "label_large": "button",
        "label_medium": "label",
        "label_small": "micro",
    }
    return ft.Theme(
        font_family=REGULAR,
        text_theme=ft.TextTheme(**{name: style(ours, palette.text) for name, ours in text.items()}),
        scaffold_bgcolor=palette.ground,
        color_scheme=ft.ColorScheme(
            primary=palette.accent,
            on_primary=palette.on_accent,
            primary_container=palette.selected,
            on_primary_container=palette.on_selected,
            secondary_container=palette.selected,
            surface=palette.surface,
            on_surface=palette.text,
            on_surface_variant=palette.text2,
            surface_container_lowest=palette.surface,
            surface_container_low=palette.ground,
            surface_container=palette.surface2,
            surface_container_high=palette.surface3,
            surface_container_highest=palette.surface3,
            outline=palette.outline,
            outline_variant=palette.border,
            error=palette.danger.text,
            on_error=palette.on_danger,
            error_container=palette.danger.ground,
            inverse_surface=palette.rail,
            surface_tint=ft.Colors.TRANSPARENT,
        ),
    )


@dataclass(frozen=True, slots=True)
class Measures:
    """What depends on the width of the window, in pixels."""

    rail: int
    panel: int
    side: int
    columns: int
    tile: int
    compact: bool = False
    """A small window: what can be left out is."""


def measures(width: float) -> Measures:
    if width < 1280:
        return Measures(rail=56, panel=344, side=320, columns=4, tile=112, compact=True)
    if width < 1700:
        return Measures(rail=80, panel=400, side=320, columns=5, tile=136)
    if width < 2300:
        return Measures(rail=80, panel=440, side=360, columns=8, tile=136)
    return Measures(rail=80, panel=520, side=400, columns=10, tile=152)
