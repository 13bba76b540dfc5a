"""Time comes in as an argument, so that a simulation can own it."""

from __future__ import annotations

import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for people, which may jump, and one for durations, which never goes back."""

    boot: bytes
    """8 random bytes; monotonic times compare only under the same boot id."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 in UTC, as this machine believes."""

    def mono_ms(self) -> int:
        """Milliseconds on a clock that never goes back."""


class SystemClock:
    """The clocks of this machine.

    The boot id belongs to the process, not to the machine: a monotonic clock may restart with a
    container or a resume, and "unknown" is then the honest answer for an age.
    """

    def __init__(self) -> None:
        self.boot = secrets.token_bytes(8)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000
