"""A customer's computer: locked until somebody signs in, and again when their time is over.

It asks the server all the time how it stands, and shows that. Without the server its session goes
on by its own monotonic clock, to its end or to the end of the lease, and then it locks; what it ran
is said at the next contact. What a customer types and owns is in memory alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from node import config
from node.cafe.kinds import Command
from node.devices import power
from node.roles.base import Node, client_of
from sync.clock import Clock
from sync.disk import OsDisk
from sync.errors import Disconnected, Refused, SyncError
from sync.protocol import Receipt
from sync.recovery import Opened
from sync.replica import Replica

_log = logging.getLogger(__name__)
SESSION_FILE = "pc"
ANSWER_S = 10.0
"""The server answers at once, or holds a tick for five seconds."""
RETRY_S = 0.25
SAVE_MS = 10_000
LEASE_MS = 900_000
NOT_WRITTEN = ("version", "now_ms", "messages", "session", "power", "expects")
"""Of what the server says: is asked for again after a start, and belongs to no file."""


class ClientNode(Node):
    """A node that was paired as a customers' computer."""

    role = "client"

    def __init__(
        self,
        folder: Path,
        disk: OsDisk,
        settings: config.Config,
        keys: config.Keys,
        opened: Opened,
        clock: Clock,
    ) -> None:
        super().__init__(folder, disk, settings, keys, opened, clock)
        assert isinstance(opened.core, Replica)
        self.replica = opened.core
        self.client = client_of(self)
        self.switch: Callable[[str], None] = power.switch
        """Shuts this computer down or starts it again."""
        self.vendor: Node | None = None
        """The station on the same computer, if it is one too."""
        self.chosen_language = ""
        """Of who is here now, at whatever window; empty for the café's."""
        self.state: dict[str, Any] = {}
        """What the server said last."""
        self._session: dict[str, Any] | None = None
        self._base_ms = 0
        """Running time of the session when the server was heard last."""
        self._base_at_ms = self._contact_ms = clock.mono_ms()
        self._heard = False
        """Whether the server has said since our start how we stand."""
        self._ended = False
        """Whether its customer has ended the session without the server."""
        self._before: tuple[str, int, bool] = ("", 0, False)
        """(session, running time, whether its customer had ended it) as this computer knew them
        before its start."""
        self._saved_ms = -SAVE_MS
        self._watch: asyncio.Task[None] | None = None
        self._shown: tuple[Any, ...] = ()
        self._mac = ""

    async def start(self) -> None:
        await super().start()
        self._load()
        self.client.start()
        self._mac = await asyncio.to_thread(power.own_mac)
        self._watch = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._save()
        await self.client.stop()
        await super().stop()

    async def submit(
        self, kind: str, fields: dict[str, Any] | Command | None = None, key: bytes | None = None
    ) -> Receipt:
        """Nothing is done in the name of this key."""
        raise Refused("wrong-scope", kind=kind)

    # --- the session ---------------------------------------------------------

    @property
    def online(self) -> bool:
        return self.replica.signed_on

    @property
    def session(self) -> dict[str, Any] | None:
        """The session here as the server said it; None while there is none."""
        return self._session

    @property
    def now_ms(self) -> int:
        """UTC as the server has it: this computer's own clock may be wrong."""
        heard_ms = self.state.get("now_ms")
        if heard_ms is None:
            return self.clock.wall_ms()
        return int(heard_ms) + self.clock.mono_ms() - self._contact_ms

    @property
    def ran_ms(self) -> int:
        """Running time of the session: by our own clock since the server was heard, no further
        than its end and the lease."""
        if self._session is None:
            return 0
        if self._session["state"] != "running" or self._ended:
            return self._base_ms
        gone_ms = self.clock.mono_ms() - self._base_at_ms
        lease_ms = int(self.state.get("lease_ms", LEASE_MS))
        ran_ms = self._base_ms + min(gone_ms, lease_ms)
        limit_ms = int(self._session["limit_ms"])
        return min(ran_ms, limit_ms) if limit_ms else ran_ms

    @property
    def left_ms(self) -> int | None:
        """Time that is left; None where nobody has set an end."""
        if self._session is None or not self._session["limit_ms"]:
            return None
        return max(0, int(self._session["limit_ms"]) - self.ran_ms)

    @property
    def phase(self) -> str:
        """``free``, ``running``, ``paused``, ``over`` (its time, until the server has heard of it),
        ``lost`` (the lease), ``held`` (locked by the desk), ``starting`` (nothing heard yet)."""
        if not self.state:
            return "starting"
        if self.state["locked"]:
            return "held"
        if self._session is None:
            return "free"
        if self._ended or self.left_ms == 0:
            return "over"
        if self._session["state"] == "paused":
            return "paused"
        lease_ms = int(self.state["lease_ms"])
        if self.clock.mono_ms() - self._contact_ms >= lease_ms:
            return "lost"
        return "running"

    @property
    def unlocked(self) -> bool:
        """Whether the customer may use this computer now."""
        return self.phase == "running"

    # --- asking the server -------------------------------------------------------

    async def _follow(self) -> None:
        """Ask how we stand, again and again."""
        while True:
            if self.online:
                try:
                    await self._tick()
                except (SyncError, TimeoutError) as error:
                    _log.info("no answer: %r", error)
                    await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(RETRY_S)
            self._look()

    def _look(self) -> None:
        """Tell the screen what time alone has changed, and write the running time down."""
        now = (self.phase, self.online, self.client.problem)
        if now != self._shown:
            self._shown = now
            self.tell(frozenset({"pc"}))
        if self._session is not None and self.clock.mono_ms() - self._saved_ms >= SAVE_MS:
            self._save()

    async def _tick(self) -> None:
        session, ran_ms, ended = self._known()
        body = {
            "session": session,
            "ran_ms": ran_ms,
            "ended": ended,
            "seen": int(self.state.get("version", 0)),
            "mac": self._mac,
        }
        self._take(await self._ask("pc.tick", body))
        self._heard = True

    async def _ask(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(ANSWER_S):
            answer = await self.driver.ask(kind, body)
        if "refused" in answer:
            raise Refused(answer["refused"], **answer["details"])
        return answer

    def _take(self, answer: dict[str, Any]) -> None:
        """What the server says is so."""
        before = self._session["id"] if self._session is not None else ""
        shown = _seen_by_people(self.state)
        now_ms = self.clock.mono_ms()
        self.state = answer
        self._contact_ms = self._base_at_ms = now_ms
        self._session = answer.get("session")
        self._before = ("", 0, False)
        if self._session is None or self._session["id"] != before:
            self._ended = False
            if before:
                self.chosen_language = ""  # of who has gone
            self._save()
        if self._session is not None:
            self._base_ms = int(self._session["ran_ms"])
        if _seen_by_people(answer) != shown:
            self.tell(frozenset({"pc"}))
        action = answer.get("power")
        if action:
            _log.info("the desk wants: %s", action)
            self.switch(str(action))

    async def ask(self, kind: str, **body: Any) -> None:
        """What a customer does here: ``sign-in``, ``first``, ``pin``, ``redeem``, ``order``,
        ``say``, ``call``. `Refused` with the server's reason, `Disconnected`."""
        if not (self.online and self._heard):  # it has to hear first how we stood before our start
            raise Disconnected
        try:
            self._take(await self._ask(f"pc.{kind}", body))
        except TimeoutError:
            raise Disconnected from None

    async def end(self) -> None:
        """The customer leaves; without the server it hears of it later."""
        if self._session is None:
            return
        with contextlib.suppress(SyncError, TimeoutError):
            self._take(await self._ask("pc.end", {"ran_ms": self.ran_ms}))
            return
        self._base_ms, self._ended = self.ran_ms, True
        self._save()
        self.tell(frozenset({"pc"}))

    # --- what is known without the server ------------------------------------------

    def _known(self) -> tuple[str, int, bool]:
        """The session here, how long it ran, and whether its customer has left."""
        if self._session is None:
            return self._before
        return self._session["id"], self.ran_ms, self._ended

    def _load(self) -> None:
        """Number and name; and how long a session ran, which only the server may let go on."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            saved = json.loads((self.folder / SESSION_FILE).read_text("utf-8"))
            self.state = dict(saved["state"])
            self._before = (str(saved["session"]), int(saved["ran_ms"]), bool(saved["ended"]))

    def _save(self) -> None:
        self._saved_ms = self.clock.mono_ms()
        if not self.state:
            return
        session, ran_ms, ended = self._known()
        state = {name: value for name, value in self.state.items() if name not in NOT_WRITTEN}
        saved = {"state": state, "session": session, "ran_ms": ran_ms, "ended": ended}
        with contextlib.suppress(OSError):  # a full disk: the one of before will do
            config.write_private(self.folder / SESSION_FILE, json.dumps(saved).encode())

    # --- how it is --------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        session = self._session
        return {
            **super().status(),
            "online": self.online,
            "problem": self.client.problem,
            "number": self.state.get("number", 0),
            "name": self.state.get("name", ""),
            "phase": self.phase,
            "session": session["id"] if session is not None else "",
            "form": session["form"] if session is not None else "",
            "ran_ms": self.ran_ms,
            "left_ms": self.left_ms,
        }


def _seen_by_people(state: dict[str, Any]) -> dict[str, Any]:
    """A state without what grows by itself."""
    session = state.get("session")
    if session is not None:
        session = {name: value for name, value in session.items() if name != "ran_ms"}
    plain = {n: v for n, v in state.items() if n not in ("version", "now_ms", "session")}
    return {**plain, "session": session}
