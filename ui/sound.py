"""The sound of a new order: two short tones, made here so that no file has to be shipped."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import math
import struct
import wave
from typing import Any

import flet as ft
import flet_audio

RATE_HZ, TONE_S = 22_050, 0.14
TONES_HZ = (880, 1175)
VOLUME = 0.35
PATIENCE_S = 5.0


@functools.cache
def chime() -> bytes:
    """A WAV file, 16 bits, one channel."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        for tone in TONES_HZ:
            count = int(RATE_HZ * TONE_S)
            file.writeframes(b"".join(_sample(tone, n, count) for n in range(count)))
    return out.getvalue()


def _sample(tone_hz: int, number: int, count: int) -> bytes:
    fade = 1 - number / count
    value = VOLUME * fade * math.sin(2 * math.pi * tone_hz * number / RATE_HZ)
    return struct.pack("<h", int(value * 32_767))


def make(page: ft.Page) -> Any:
    """What plays the chime on this page."""
    audio = flet_audio.Audio(src=chime())
    page.services.append(audio)
    return audio


async def play(audio: Any) -> None:
    """Sound it; a browser that lets no page sound before it was touched is no trouble."""
    with contextlib.suppress(RuntimeError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await audio.play()
