"""What a printer is to us: something that takes a ticket's bytes and says honestly what
happened."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class Outcome(enum.StrEnum):
    """Only ``NOT_STARTED`` may be tried again by itself; ``UNKNOWN`` is for a person."""

    PRINTED = "printed"
    NOT_STARTED = "not_started"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one try, and why as a key of `node.text` (``print.paper``…)."""

    outcome: Outcome
    why: str = ""


class Printer(Protocol):
    """One ticket at a time."""

    async def check(self) -> str:
        """Why it cannot print now, as a key of `node.text`; empty if it can."""
        ...

    async def print(self, ticket: dict[str, Any]) -> Delivery:
        """Print a ticket of `node.cafe.receipts.ticket`. Never raises for what a printer does."""
        ...

    async def pulse(self, is_late: Callable[[], bool]) -> Outcome:
        """Open the drawer once: ``PRINTED`` when the pulse was sent. Only ``NOT_STARTED`` may be
        tried again. ``is_late()`` is asked just before: what is late is not sent."""
        ...
