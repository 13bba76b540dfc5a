"""The built-in set of pictures for products."""

from __future__ import annotations

import flet as ft

from ui.theme import Tint
from ui.viewmodels.session import Session

ICONS: dict[str, ft.IconData] = {
    "coffee": ft.Icons.LOCAL_CAFE_ROUNDED,
    "tea": ft.Icons.EMOJI_FOOD_BEVERAGE_ROUNDED,
    "glass": ft.Icons.LOCAL_DRINK_ROUNDED,
    "water": ft.Icons.WATER_DROP_ROUNDED,
    "bakery": ft.Icons.BAKERY_DINING_ROUNDED,
    "lunch": ft.Icons.LUNCH_DINING_ROUNDED,
    "cookie": ft.Icons.COOKIE_ROUNDED,
    "icecream": ft.Icons.ICECREAM_ROUNDED,
    "snack": ft.Icons.FASTFOOD_ROUNDED,
    "print": ft.Icons.PRINT_ROUNDED,
    "scan": ft.Icons.DOCUMENT_SCANNER_ROUNDED,
    "disc": ft.Icons.ALBUM_ROUNDED,
    "document": ft.Icons.DESCRIPTION_ROUNDED,
    "usb": ft.Icons.USB_ROUNDED,
    "headphones": ft.Icons.HEADPHONES_ROUNDED,
    "cable": ft.Icons.CABLE_ROUNDED,
    "pizza": ft.Icons.LOCAL_PIZZA_ROUNDED,
    "bar": ft.Icons.LOCAL_BAR_ROUNDED,
    "game": ft.Icons.SPORTS_ESPORTS_ROUNDED,
    "phone": ft.Icons.SMARTPHONE_ROUNDED,
    "repair": ft.Icons.BUILD_ROUNDED,
    "copy": ft.Icons.CONTENT_COPY_ROUNDED,
    "photo": ft.Icons.PHOTO_CAMERA_ROUNDED,
    "gift": ft.Icons.CARD_GIFTCARD_ROUNDED,
}


def plate(
    s: Session, name: str, picture: str, size_px: int, glyph_px: int, tint: Tint
) -> ft.Control:
    """A product's picture if it has one and that is here, or its icon, on a plate."""
    data = s.node.picture(picture)
    if data is not None:
        return ft.Image(
            src=data,
            width=size_px,
            height=size_px,
            fit=ft.BoxFit.COVER,
            border_radius=10,
            gapless_playback=True,
            exclude_from_semantics=True,
        )
    return ft.Container(
        ft.Icon(product_icon(name), size=glyph_px, color=tint.text),
        width=size_px,
        height=size_px,
        border_radius=10,
        bgcolor=tint.ground,
        alignment=ft.Alignment.CENTER,
    )


def product_icon(name: str) -> ft.IconData:
    """The icon with this name, or a bag."""
    return ICONS.get(name, ft.Icons.SHOPPING_BAG_ROUNDED)
