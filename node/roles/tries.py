"""Wrong passwords and PINs at customers' PCs: each makes the next one wait longer, and a series
brings the operator; a café full of guesses slows the PCs that guess, and nobody else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from node.cafe.pins import wait_s
from sync.errors import Refused

FREE_TRIES = 5
APPROVAL_AFTER = 12
"""So many in a row at one PC, and an operator has to let it go on."""
HOUR_S = 3600
MOST_AN_HOUR = 60
"""More than that in the whole café is an attack."""
ATTACKED_S = 300
MOST_NAMES = 10_000


class Tries:
    """What was tried wrongly, by PC and by user name; ``now_s`` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float], alarm: Callable[[], None]) -> None:
        self._now_s, self._alarm = now_s, alarm
        self._wrong: dict[str, tuple[int, float]] = {}
        """Per PC or ``user/name``: how many in a row, and until when it waits."""
        self._users: dict[str, set[str]] = {}
        """Names that were tried wrongly at a PC, until they or an operator have come."""
        self._hour: deque[tuple[float, str]] = deque()
        self._alarmed = False

    def check(self, pc: str, user: str = "") -> None:
        """`Refused` ``ask-desk`` where an operator has to look, ``locked-out`` with the seconds to
        wait."""
        now = self._now_s()
        count, _ = self._wrong.get(pc, (0, 0.0))
        if count >= APPROVAL_AFTER:
            raise Refused("ask-desk")
        # A name waits where it was tried: who guesses at one PC shuts its owner out of no other.
        for name in (pc, *({f"user/{user}"} & self._users.get(pc, set()))):
            _, until_s = self._wrong.get(name, (0, 0.0))
            if now < until_s:
                raise Refused("locked-out", seconds=int(until_s - now) + 1)

    def wrong(self, pc: str, user: str = "") -> int:
        """Count one; how many are left before this PC waits."""
        now = self._now_s()
        self._hour.append((now, pc))
        while self._hour[0][0] <= now - HOUR_S:
            self._hour.popleft()
        attacked = len(self._hour) > MOST_AN_HOUR
        if attacked and not self._alarmed:
            self._alarm()
            for other in {pc for _, pc in self._hour}:  # once: from then on each by its own tries
                self._wait(other, 0, ATTACKED_S)
        self._alarmed = attacked
        if attacked:
            self._wait(pc, 0, ATTACKED_S)
        self._wait(pc, 1, wait_s(self.count(pc) + 1))
        if user:
            if len(self._wrong) >= MOST_NAMES:
                self._wrong.clear()
                self._users.clear()
            name = f"user/{user}"
            self._users.setdefault(pc, set()).add(name)
            self._wait(name, 1, wait_s(self.count(name) + 1))
        return max(0, FREE_TRIES - self.count(pc))

    def _wait(self, name: str, more: int, seconds: int) -> None:
        count, until_s = self._wrong.get(name, (0, 0.0))
        self._wrong[name] = (count + more, max(until_s, self._now_s() + seconds))

    def right(self, pc: str, user: str = "") -> None:
        """Somebody has come in: what was wrong before was a slip."""
        self._wrong.pop(pc, None)
        self._wrong.pop(f"user/{user}", None)
        self._users.get(pc, set()).discard(f"user/{user}")

    def unblock(self, pc: str) -> None:
        """An operator lets a PC go on, and who has tried there."""
        self._wrong.pop(pc, None)
        for name in self._users.pop(pc, ()):
            self._wrong.pop(name, None)

    def count(self, name: str) -> int:
        """How many in a row."""
        return self._wrong.get(name, (0, 0.0))[0]

    def waits(self, pc: str) -> tuple[int, bool]:
        """(seconds that a PC waits, whether an operator has to look)."""
        count, until_s = self._wrong.get(pc, (0, 0.0))
        left_s = until_s - self._now_s()
        return (int(left_s) + 1 if left_s > 0 else 0), count >= APPROVAL_AFTER
