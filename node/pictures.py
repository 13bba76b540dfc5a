"""Pictures of products and the café's logo: taken small and plain, whatever a person brings."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from node.config import CONFIG_FILE, write_private
from sync.errors import Refused

PICTURES_FOLDER = "pictures"
NAME = re.compile(r"[0-9a-f]{64}")
"""A picture's file bears its SHA-256."""
MAX_BYTES_IN, MAX_BYTES_OUT = 5 << 20, 32 << 10
MAX_PIXELS = 40_000_000
SIDE_PX = 384
"""As wide as the narrowest roll: enough for a tile, and for a ticket."""
_NO_PICTURE = (
    OSError,
    SyntaxError,
    ValueError,
    struct.error,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)
"""What reading something else, or something hurt or absurd, ends in."""
_TRIES = ((1.0, 85), (1.0, 70), (0.75, 70), (0.5, 60), (0.35, 50), (0.25, 40))
"""(part of the size, quality), until it fits."""


def shrink(data: bytes) -> bytes:
    """A PNG or JPEG of at most 5 MB as a WebP of at most 32 KB, without anything but its pixels.
    `Refused` ``bad-picture``."""
    plain = _opened(data)
    plain.thumbnail((SIDE_PX, SIDE_PX))
    for part, quality in _TRIES:
        size = (max(1, int(plain.width * part)), max(1, int(plain.height * part)))
        out = io.BytesIO()
        plain.resize(size).save(out, "WEBP", quality=quality)
        if out.tell() <= MAX_BYTES_OUT:
            break
    return out.getvalue()


def for_paper(data: bytes, width_px: int, height_px: int) -> bytes:
    """A PNG or JPEG of at most 5 MB as a picture that fills so many dots. `Refused` ``bad-
    picture``."""
    plain = ImageOps.fit(_opened(data), (width_px, height_px))
    out = io.BytesIO()
    if plain.mode == "RGBA":
        plain.save(out, "PNG")
    else:
        plain.save(out, "JPEG", quality=85)
    return out.getvalue()


def _opened(data: bytes) -> Image.Image:
    """The picture, upright and plain; `Refused` ``bad-picture``."""
    if len(data) > MAX_BYTES_IN:
        raise Refused("bad-picture", what=f"{len(data) / 2**20:.1f} MB > 5 MB")
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Refused("bad-picture", what=f"{image.width} × {image.height}")
            upright = ImageOps.exif_transpose(image)
            plain = upright.convert("RGBA" if _is_clear(upright) else "RGB")
    except _NO_PICTURE as error:
        raise Refused("bad-picture", what=str(error)[:80]) from None
    return plain


def is_small(data: bytes) -> bool:
    """Whether a picture is as `shrink` makes them: others may come from a patched station."""
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
            return len(data) <= MAX_BYTES_OUT and max(image.size) <= SIDE_PX
    except _NO_PICTURE:
        return False


def copy_missing(node: Path, other: Path) -> None:
    """Pictures of one node's folder that another, its mirror, lacks. Does nothing while that is
    not there; `OSError`."""
    if not (other / CONFIG_FILE).is_file():
        return
    there = other / PICTURES_FOLDER
    there.mkdir(mode=0o700, exist_ok=True)
    for picture in (node / PICTURES_FOLDER).glob("*"):
        if NAME.fullmatch(picture.name) and not (there / picture.name).exists():
            write_private(there / picture.name, picture.read_bytes())


def _is_clear(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
