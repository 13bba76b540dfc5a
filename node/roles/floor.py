"""The floor: customers' PCs as the server sees them, second by second.

A PC asks all the time ("how do I stand?") and says how long its session has run; the answer waits
until something has changed, or a few seconds. Nothing of that is in the log: an act is written only
when a stretch of running time ends. Meanwhile the last contacts stand in a file of their own.

    in contact   the server's monotonic clock says how long a session has run
    lost         what the PC says, at most the time that passed, the lease, and what was left
    never back   settled as it was at the last contact
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from node import config
from node.cafe import accounts, bill, customers, meter, pcs, pins, profiles, sessions, settings
from node.cafe.kinds import check_text
from node.pincodes import normal
from node.roles.tries import Tries
from sync.errors import Malformed, Refused, SyncError
from sync.sealed import Cost, open_body, seal_body

if TYPE_CHECKING:
    from node.roles.server import ServerNode

_log = logging.getLogger(__name__)
FLOOR_FILE = "floor"
TICK_MS = 5_000
"""So long an answer waits for something to have changed."""
QUIET_MS = 15_000
"""A PC that has said nothing for so long is out of contact."""
SAVE_MS = 60_000
LOOK_EVERY_S = 1.0
STANDING_MS = 5_000
"""How old the reckoning of a session may be that runs on an account."""
LATE_MS = 10_000
"""A session is over at its limit, although it was noticed so much later."""
ENDING_MS = 60_000
"""So long who is locked has to end what they do."""
MESSAGES_KEPT = 30
SAY_EVERY_MS = 2_000
SOME = 8
"""Sessions that are looked at in one go."""
MOST_MS = 10**10


NOT_RECKONED = bill.Standing(0, 0, "money")
NOBODY: Mapping[str, Any] = {"state": ""}


@dataclass
class Meter:
    """How long a session has run, and since when the PC was heard of it."""

    acked_ms: int
    at_ms: int
    """Monotonic."""
    flags: set[str] = field(default_factory=set)
    standing: bill.Standing = NOT_RECKONED
    reckoned_ms: int = -STANDING_MS
    barred_ms: int | None = None
    """When it was seen that its customer is locked."""


@dataclass
class Seen:
    """A PC as it was heard last."""

    at_ms: int = -(10**9)
    version: int = 1
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    signature: tuple[Any, ...] = ()
    power: str = ""
    """What it shall do, until it has heard of it."""
    power_at: int = 0
    """Version of the state in which it was told so; 0 before."""
    messages: list[list[Any]] = field(default_factory=list)
    """``[number, who, text, UTC ms]`` of its session; who is ``desk`` or ``pc``."""
    said: int = 0
    said_ms: int = -SAY_EVERY_MS
    called_ms: int = 0
    """UTC of a call for the desk that nobody has answered; 0 for none."""
    ordering: asyncio.Lock = field(default_factory=asyncio.Lock)
    orders: list[str] = field(default_factory=list)
    """What its customer has ordered."""
    session: str = ""


class Floor:
    """All PCs; everything here belongs to the event loop's thread."""

    def __init__(self, node: ServerNode) -> None:
        self._node = node
        self._meters: dict[str, Meter] = {}
        self._seen: dict[str, Seen] = {}
        self.tries = Tries(lambda: node.clock.mono_ms() / 1000, self._attacked)
        self._task: asyncio.Task[None] | None = None
        self._entering = asyncio.Lock()
        """One password at a time: none is tried before it is known whether the last was wrong."""
        self._begun_ms = self._now()
        self._saved_ms = 0
        self._dirty = False
        self._asks = {
            "pc.tick": self._tick,
            "pc.sign-in": self._sign_in,
            "pc.first": self._first,
            "pc.pin": self._pin,
            "pc.end": self._end,
            "pc.redeem": self._redeem,
            "pc.order": self._order,
            "pc.say": self._say,
            "pc.call": self._call,
        }

    # --- life ----------------------------------------------------------------

    def start(self) -> None:
        self._load()
        self._node.driver.subscribe(self._tables_changed)
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._save()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    def _now(self) -> int:
        return self._node.clock.mono_ms()

    # --- last contacts ---------------------------------------------------------

    def _load(self) -> None:
        """What was known before this start: a monotonic clock ends with its process, so the time
        that has passed meanwhile is by the wall clock, and the lease bounds it."""
        tables, now = self._node.tables, self._now()
        known: dict[str, Any] = {}
        wall_ms = self._node.clock.wall_ms()
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            saved = json.loads((self._node.folder / FLOOR_FILE).read_text("utf-8"))
            for session, (acked_ms, at_wall_ms, flags) in saved["sessions"].items():
                gap = max(0, wall_ms - int(at_wall_ms))
                known[session] = Meter(int(acked_ms), now - gap, set(map(str, flags)))
        for session, row in sessions.running(tables):
            least = bill.closed_s(row) * 1000
            one = known.get(session)
            if one is None or one.acked_ms < least:
                begun_ms = row["open_s"] * 1000 or wall_ms
                one = Meter(least, now - max(0, wall_ms - begun_ms))
            self._meters[session] = one

    def _save(self) -> None:
        now, wall_ms = self._now(), self._node.clock.wall_ms()
        self._saved_ms, self._dirty = now, False
        known = {
            session: [one.acked_ms, wall_ms - (now - one.at_ms), sorted(one.flags)]
            for session, one in self._meters.items()
        }
        with contextlib.suppress(OSError):  # a full disk: the one of before will do
            text = json.dumps({"sessions": known})
            config.write_private(self._node.folder / FLOOR_FILE, text.encode())

    # --- running time ------------------------------------------------------------

    def _meter(self, session: str, row: Mapping[str, Any]) -> Meter:
        """Of a session that lives; new for one that has begun just now."""
        one = self._meters.get(session)
        if one is None:
            one = self._meters[session] = Meter(bill.closed_s(row) * 1000, self._now())
            self._dirty = True
        return one

    def ran_ms(self, session: str, row: Mapping[str, Any]) -> int:
        """Running time of a session by now; without contact what is likely."""
        one = self._meter(session, row)
        if row["state"] != "running":
            return one.acked_ms
        gap = self._now() - one.at_ms
        return one.acked_ms + (gap if gap <= QUIET_MS else min(gap, meter.LEASE_S * 1000))

    def measured(self, session: str) -> tuple[int | None, tuple[str, ...]]:
        """(running seconds of a session up to now, or to the last contact; flags), for an act that
        ends a stretch of it."""
        row = self._node.tables.table("sessions").peek(session)
        if row is None or row["state"] not in bill.LIVE:
            return None, ()
        one = self._meter(session, row)
        self._run_on(one, row)
        if row["state"] == "running" and self._now() - one.at_ms > QUIET_MS:
            one.flags.add("lost")  # it may have run on since
        return self._whole_s(one, row), tuple(sorted(one.flags))

    def _run_on(self, one: Meter, row: Mapping[str, Any]) -> None:
        """Up to now, while the PC is in contact."""
        now = self._now()
        gap = now - one.at_ms
        if gap <= QUIET_MS:
            one.acked_ms += gap if row["state"] == "running" else 0
            one.at_ms = now

    def _whole_s(self, one: Meter, row: Mapping[str, Any]) -> int:
        """Whole seconds; noticing the end a little late costs nobody a block."""
        limit_ms = one.standing.limit_s * 1000
        late = one.acked_ms - limit_ms
        return (limit_ms if limit_ms and 0 < late <= LATE_MS else one.acked_ms) // 1000

    def _heard(self, session: str, row: Mapping[str, Any], said_ms: int | None) -> None:
        """The PC is there, and says how long its session has run."""
        one, now = self._meter(session, row), self._now()
        gap = now - one.at_ms
        if gap > QUIET_MS and row["state"] == "running":
            end_ms = row["limit_s"] * 1000 or meter.NEVER_S * 1000
            said_ms = one.acked_ms if said_ms is None else said_ms
            more_ms, left_ms = said_ms - one.acked_ms, end_ms - one.acked_ms
            one.acked_ms, flag = meter.lease(one.acked_ms, more_ms, gap, left_ms, second=1000)
            one.flags |= {flag} if flag else set()
            if more_ms < min(gap, left_ms, meter.LEASE_S * 1000) - QUIET_MS:
                one.flags.add("lost")  # switched off meanwhile, or it says less than it ran
            one.at_ms, one.reckoned_ms = now, -STANDING_MS
            self._dirty = True
        else:
            self._run_on(one, row)

    def standing(self, session: str, row: Mapping[str, Any]) -> bill.Standing:
        """What a session has cost so far, and how far it goes."""
        one, now = self._meter(session, row), self._now()
        if now - one.reckoned_ms >= STANDING_MS:
            ran_s = self.ran_ms(session, row) // 1000
            one.standing, one.reckoned_ms = bill.standing(self._node.tables, row, ran_s), now
        return one.standing

    # --- once a second -------------------------------------------------------------

    async def look(self) -> None:
        """End what is over."""
        tables, now = self._node.tables, self._now()
        for number, (session, _) in enumerate(sessions.running(tables)):
            if number % SOME == 0:
                await asyncio.sleep(0)  # what else wants the loop has its turn
            row = tables.table("sessions").peek(session)
            if row is None or row["state"] not in bill.LIVE:
                continue
            try:
                why = self._over(session, row, self._meter(session, row), now)
                if why:
                    await self._close(session, why)
            except Exception as error:  # one session's trouble must not stop the others' clocks
                _log.exception("session %s: %r", session, error)
        for session in tuple(self._meters):  # by now: one may have begun while others ended
            if (tables.table("sessions").peek(session) or NOBODY)["state"] not in bill.LIVE:
                del self._meters[session]
                self._dirty = True
        if self._dirty or now - self._saved_ms >= SAVE_MS:
            self._save()

    def _over(self, session: str, row: Mapping[str, Any], one: Meter, now: int) -> str:
        """Why a session ends now; empty if it goes on."""
        tables = self._node.tables
        if row["state"] == "paused":
            one.at_ms = now  # its time stands still, whether the PC is there or not
        if now - one.at_ms <= QUIET_MS:
            limit_s = self.standing(session, row).limit_s
            if (
                limit_s
                and row["state"] == "running"
                and self.ran_ms(session, row) >= limit_s * 1000
            ):
                return "time-up"
        elif now - max(one.at_ms, self._begun_ms) > meter.GONE_S * 1000:
            return "lost"  # so long after our own start, too: PCs need a while to come back
        if (tables.table("pcs").peek(row["pc"]) or {}).get("session") != session:
            return "gone"  # two lives of a server have used one PC
        if row["why"]:
            return str(row["why"])
        account = tables.table("customers").peek(row["customer"]) if row["customer"] else None
        if account is None or not accounts.is_locked(account, self._node.clock.wall_ms()):
            one.barred_ms = None
        elif one.barred_ms is None:
            one.barred_ms = now
            self._bump(row["pc"])
        elif now - one.barred_ms >= ENDING_MS:
            return "locked"
        return ""

    async def _close(self, session: str, why: str) -> None:
        seconds, flags = self.measured(session)
        if seconds is None:
            return
        body: dict[str, Any] = {"session": session, "seconds": seconds, "why": why}
        if flags:
            body["flags"] = list(flags)
        try:
            await self._node.do_self("session.close", body)
        except SyncError as error:  # a full disk, or an operator was faster: the next round sees
            _log.info("session %s is not closed: %s", session, error)
        self._node.upkeep.look_again()

    # --- what has changed --------------------------------------------------------------

    def _tables_changed(self, names: frozenset[str]) -> None:
        if not names.isdisjoint(("sessions", "pcs", "customers", "settings")):
            self._compare(orders=False)
        elif "orders" in names:
            self._compare(orders=True)

    def _compare(self, *, orders: bool) -> None:
        """Tell the PCs of which something has changed; of ``orders`` alone those that have some."""
        tables = self._node.tables
        for pc, row in tables.table("pcs").scan():
            seen = self._of(pc)
            if orders and not seen.orders:
                continue
            signature = self._signature(row, seen)
            if signature != seen.signature:
                if seen.session != row["session"]:
                    self._begin(seen, row["session"])
                seen.signature = signature
                self._bump(pc)
            if row["session"] in self._meters:
                self._meters[row["session"]].reckoned_ms = -STANDING_MS

    def _signature(self, row: Mapping[str, Any], seen: Seen) -> tuple[Any, ...]:
        tables = self._node.tables
        session = tables.table("sessions").peek(row["session"]) if row["session"] else None
        parts: list[Any] = [row["locked"], row["number"], str(row["expects"]), row["session"]]
        if session is not None:
            names = ("state", "limit_s", "sales_minor", "pc")
            parts += [session[name] for name in names]
            account = tables.table("customers").peek(session["customer"])
            if account is not None:
                parts += [account["moves"], str(account["lock"]), str(account["promotions"])]
            known = tables.table("orders")
            parts += [(known.peek(order) or {}).get("state") for order in seen.orders]
        return tuple(parts)

    def _begin(self, seen: Seen, session: str) -> None:
        """What was said and ordered was of the session before."""
        seen.session = session
        seen.messages, seen.orders, seen.said, seen.called_ms = [], [], 0, 0

    def _of(self, pc: str) -> Seen:
        return self._seen.setdefault(pc, Seen())

    def _bump(self, pc: str) -> None:
        seen = self._of(pc)
        seen.version += 1
        seen.changed.set()
        self._node.tell(frozenset({"floor"}))

    # --- what the operator does -----------------------------------------------------------

    def online(self, pc: str) -> bool:
        """Whether a PC is in contact."""
        return self._now() - self._of(pc).at_ms <= QUIET_MS

    def check_online(self, pc: str) -> None:
        """`Refused` ``pc-offline``: nobody would unlock it."""
        row = pcs.of(self._node.tables, pc)
        if not self.online(pc):
            raise Refused("pc-offline", number=row["number"])

    def tell(self, pc: str, text: str) -> None:
        """A message from the desk; without a PC to all that are in contact."""
        for one in [pc] if pc else [one for one, _ in pcs.trusted(self._node.tables)]:
            self._add_message(one, "desk", text)

    def power(self, pc: str, action: str) -> None:
        """The PC does it as soon as it hears of it."""
        seen = self._of(pc)
        seen.power, seen.power_at = action, 0
        self._bump(pc)

    def answered(self, pc: str) -> None:
        """Somebody looks after the PC that has called."""
        if self._of(pc).called_ms:
            self._of(pc).called_ms = 0
            self._bump(pc)

    def _add_message(self, pc: str, who: str, text: str) -> None:
        seen = self._of(pc)
        number = seen.messages[-1][0] + 1 if seen.messages else 1
        seen.messages.append([number, who, text, self._node.clock.wall_ms()])
        del seen.messages[:-MESSAGES_KEPT]
        self._bump(pc)

    def view(self, pc: str) -> dict[str, Any]:
        """How the desk sees a PC: contact, messages, calls, tries."""
        seen = self._of(pc)
        wait_s, blocked = self.tries.waits(pc)
        return {
            "online": self.online(pc),
            "called_ms": seen.called_ms,
            "messages": list(seen.messages),
            "wait_s": wait_s,
            "blocked": blocked,
        }

    def _attacked(self) -> None:
        self._node.note_attack()

    # --- what a PC asks -----------------------------------------------------------------------

    async def answer(self, pc: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """A PC's question; what is refused is an answer too, with what a person should know."""
        ask = self._asks.get(kind)
        row = self._node.tables.table("pcs").peek(pc)
        if ask is None or row is None or row["revoked"]:
            raise Refused("wrong-scope", kind=kind)
        seen = self._of(pc)
        if not self.online(pc):
            seen.power = ""  # that was for a computer which was on then
        seen.at_ms = self._now()
        try:
            return await ask(pc, body)
        except Refused as refusal:
            plain = {
                name: value
                for name, value in refusal.details.items()
                if type(value) in (str, int, bool)
            }
            return {"refused": refusal.code, "details": plain}

    async def _tick(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        said, version = _number(body, "ran_ms", MOST_MS), _number(body, "seen", MOST_MS)
        tables, seen = self._node.tables, self._of(pc)
        if seen.power_at and not 0 < version < seen.power_at:
            seen.power, seen.power_at = "", 0  # it has heard of it, or has started again since
        row = pcs.of(tables, pc)
        session = row["session"]
        if session:
            running = pcs.live(tables, session)
            mine = body.get("session") == session
            self._heard(session, running, said if mine else None)
            if mine and body.get("ended") is True:
                await self._close(session, "customer")
        mac = body.get("mac", "")
        if mac and mac != row["mac"] and not row["mac"]:
            with contextlib.suppress(SyncError):
                await self._node.do_self("pc.mac", {"pc": pc, "mac": mac})
        if version == seen.version:
            seen.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_MS / 1000):
                    await seen.changed.wait()
        return self.state(pc)

    def state(self, pc: str) -> dict[str, Any]:
        """All that a PC shows, as plain values."""
        tables, seen = self._node.tables, self._of(pc)
        row = pcs.of(tables, pc)
        wait_s, blocked = self.tries.waits(pc)
        state: dict[str, Any] = {
            "version": seen.version,
            "now_ms": self._node.clock.wall_ms(),
            "number": row["number"],
            "name": row["name"],
            "rate": row["rate"],
            "locked": row["locked"],
            "reason": row["reason"],
            "wait_s": wait_s,
            "blocked": blocked,
            "called": bool(seen.called_ms),
            "lease_ms": meter.LEASE_S * 1000,
            "expects": self._expected(row),
            "messages": list(seen.messages),
        }
        if seen.power:
            state["power"], seen.power_at = seen.power, seen.power_at or seen.version
        if row["session"]:
            state["session"] = self._session_state(row["session"], seen)
        return state

    def _expected(self, row: Mapping[str, Any]) -> str:
        """User name of who shall make a password here; empty for nobody."""
        expects = row["expects"]
        if not expects or expects["until_ms"] < self._node.clock.wall_ms():
            return ""
        person = self._node.tables.table("people").peek(expects["customer"])
        return str(person["user"]) if person is not None else ""

    def _session_state(self, session: str, seen: Seen) -> dict[str, Any]:
        tables = self._node.tables
        row = pcs.live(tables, session)
        one = self._meter(session, row)
        price, limit_s, source = self.standing(session, row)
        known = tables.table("orders")
        ordered = [known.peek(order) for order in seen.orders]
        state: dict[str, Any] = {
            "id": session,
            "form": row["form"],
            "state": row["state"],
            "who": sessions.who(tables, row),
            "ran_ms": self.ran_ms(session, row),
            "limit_ms": limit_s * 1000,
            "price_minor": price,
            "sales_minor": row["sales_minor"],
            "started_ms": row["started_ms"],
            "source": source,
            "ends_in_ms": 0,
            "orders": [[o["label"], o["total_minor"], o["state"]] for o in ordered if o],
        }
        if one.barred_ms is not None:
            state["ends_in_ms"] = max(1, ENDING_MS - (self._now() - one.barred_ms))
        if row["customer"]:
            state["account"] = self._account(row["customer"])
        return state

    def _account(self, customer: str) -> dict[str, Any]:
        """What a customer sees of their own account; it is never written down at the PC."""
        tables = self._node.tables
        row = accounts.of(tables, customer)
        profile = profiles.of(tables, row["profile"])
        promotion_s = sum(one["seconds"] for one in row["promotions"] if one["active"])
        return {
            "name": customers.full_name(tables, customer),
            "credit": row["credit"],
            "bonus": row["bonus"],
            "points": row["points"],
            "minutes": (accounts.redeemed_s(row) + promotion_s) // 60,
            "need": profile["need"],
            "worth": profile["minutes"],
            "expires": row["expires"],
        }

    # --- signing in ----------------------------------------------------------------------------

    async def enter(self, pc: str, user: str, password: str, by: bytes | None = None) -> str:
        """A customer begins a session with their password, at the PC or at the desk (``by`` an
        operator); the session. `Refused`: ``wrong-entry`` with how many tries are ``left``,
        ``first-password``, ``password-needed``, ``locked-out``, ``ask-desk``, and
        what `session.open` refuses."""
        folded = customers.fold_user(user)
        async with self._entering:
            self.tries.check(pc, folded)
            customer = self._known(user)
            sealed = self._node.tables.table("verifiers").peek(customer) if customer else None
            if customer and sealed is None:
                if by is None:  # it says who has no password yet: not to be asked for ever
                    self.tries.wrong(pc)
                raise Refused("first-password", user=user)
            if not password:
                raise Refused("password-needed")  # so it is for names that nobody has, too
            right = await self._verify(sealed["sealed"] if sealed is not None else "", password)
            if not right or self._node.tables.table("verifiers").peek(customer) != sealed:
                raise Refused("wrong-entry", left=self.tries.wrong(pc, folded))
            self.tries.right(pc, folded)
        return await self._open(pc, {"customer": customer}, by)

    def _known(self, user: str) -> str:
        try:
            return customers.find(self._node.tables, user)
        except Refused:
            return ""

    async def _open(self, pc: str, who: dict[str, Any], by: bytes | None = None) -> str:
        receipt = await self._node.do_self("session.open", {"pc": pc, **who}, by)
        return str(receipt.key.hex())

    async def _verify(self, sealed: str, password: str) -> bool:
        """Whether a password is that of a verifier; it takes as long where there is none."""
        node = self._node
        phc = ""
        if sealed:
            try:
                phc = open_body(node.keys.cafe_key, node.cafe_id, bytes.fromhex(sealed)).decode()
            except (Malformed, ValueError) as error:
                _log.error("a verifier cannot be opened: %s", error)
        right = await asyncio.to_thread(_matches, phc, password)
        return right and bool(sealed)

    async def _sign_in(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        await self.enter(pc, _text(body, "user", 80), _text(body, "password", 200))
        return self.state(pc)

    async def _first(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        """A customer makes their password: where the desk has let them, or with the code of their
        ticket."""
        user, password = _text(body, "user", 80), _text(body, "password", 200)
        folded = customers.fold_user(user)
        self.tries.check(pc, folded)
        customers.check_password(password)
        customer = self._known(user)
        node, row = self._node, pcs.of(self._node.tables, pc)
        pcs.check_idle(node.tables, pc)
        if not customer or customers.has_password(node.tables, customer):
            raise Refused("wrong-entry", left=self.tries.wrong(pc, folded))
        expects = row["expects"] or {"customer": "", "until_ms": 0}
        let = expects["customer"] == customer and expects["until_ms"] >= node.clock.wall_ms()
        if not let:
            self._check_code(pc, folded, customer, _text(body, "code", 40))
        async with self._entering:
            phc = await asyncio.to_thread(hash_password, password)
        verifier = self.verifier_of(phc)
        await node.do_self("customer.password", {"customer": customer, "verifier": verifier})
        self.tries.right(pc, folded)
        await self._open(pc, {"customer": customer})
        return self.state(pc)

    def verifier_of(self, phc: str) -> str:
        """A password's hash as it goes into an act: sealed to the café."""
        node = self._node
        public = bytes.fromhex(settings.cafe(node.tables)["cafe_key"])
        return seal_body(public, node.cafe_id, phc.encode()).hex()

    def _check_code(self, pc: str, folded: str, customer: str, code: str) -> None:
        tables = self._node.tables
        row = tables.table("codes").peek(customer)
        if not code or row is None or not settings.is_on(tables, "first_code"):
            self.tries.wrong(pc)
            raise Refused("needs-desk")
        if self._node.codes.index(code) != row["index"]:
            raise Refused("wrong-code-here", left=self.tries.wrong(pc, folded))

    async def _pin(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        self.tries.check(pc)
        pin = normal(_text(body, "pin", 40))
        serial = pins.by_index(self._node.tables, self._node.codes.index(pin))
        if not serial:
            raise Refused("wrong-pin", left=self.tries.wrong(pc))
        await self._open(pc, {"serial": serial})
        self.tries.right(pc)
        return self.state(pc)

    # --- in a session ----------------------------------------------------------------------------

    def _session(self, pc: str, form: str = "") -> tuple[str, Mapping[str, Any]]:
        """The session at a PC, or `Refused` ``no-session``."""
        tables = self._node.tables
        session = pcs.of(tables, pc)["session"]
        row = pcs.live(tables, session)
        if form and row["form"] != form:
            raise Refused("no-session")
        return session, row

    async def _end(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        session, row = self._session(pc)
        self._heard(session, row, _number(body, "ran_ms", MOST_MS))
        await self._close(session, "customer")
        return self.state(pc)

    async def _redeem(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        _, row = self._session(pc, "customer")
        fields: dict[str, Any] = {"customer": row["customer"]}
        fields |= {name: body[name] for name in ("points", "products") if name in body}
        await self._node.do_self("points.redeem-here", fields)
        return self.state(pc)

    async def _order(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        session, _ = self._session(pc)
        seen = self._of(pc)
        waiting = self._node.tables.table("orders")
        async with seen.ordering:
            open_ = [o for o in seen.orders if (waiting.peek(o) or {}).get("state") == "pending"]
            if len(open_) >= MOST_ORDERS:
                raise Refused("too-many")
            fields = {"session": session, "lines": body.get("lines", [])}
            receipt = await self._node.do_self("order.from-pc", fields)
            seen.orders = [*seen.orders, receipt.key.hex()][-MESSAGES_KEPT:]
        self._bump(pc)
        return self.state(pc)

    async def _say(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        text = _text(body, "text", 200).strip()
        check_text(text)
        self._session(pc)
        seen, now = self._of(pc), self._now()
        if not text:
            raise Refused("nothing-to-do")
        if now - seen.said_ms < SAY_EVERY_MS or seen.said >= MESSAGES_KEPT:
            raise Refused("too-many")
        seen.said, seen.said_ms = seen.said + 1, now
        self._add_message(pc, "pc", text)
        seen.called_ms = self._node.clock.wall_ms()
        return self.state(pc)

    async def _call(self, pc: str, body: dict[str, Any]) -> dict[str, Any]:
        seen = self._of(pc)
        if not seen.called_ms:
            seen.called_ms = self._node.clock.wall_ms()
            self._bump(pc)
        return self.state(pc)


MOST_ORDERS = 5
"""That wait for the desk at once, of one PC."""
COST = Cost()


def hash_password(password: str) -> str:
    """Argon2id of a password as PHC text. Blocks: call it in a thread."""
    kdf = Argon2id(
        salt=secrets.token_bytes(16),
        length=32,
        iterations=COST.passes,
        lanes=COST.lanes,
        memory_cost=COST.memory_kib,
    )
    return str(kdf.derive_phc_encoded(password.encode()))


def _matches(phc: str, password: str) -> bool:
    """Whether a password is that of a verifier; it takes as long where there is none. Blocks."""
    if not phc:
        hash_password(password)
        return False
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except (InvalidKey, ValueError):
        return False
    return True


def _text(body: Mapping[str, Any], name: str, longest: int) -> str:
    """A text of a question, or `Refused`."""
    value = body.get(name, "")
    if type(value) is not str or len(value) > longest:
        raise Refused("bad-field", what=name)
    return value


def _number(body: Mapping[str, Any], name: str, most: int) -> int:
    value = body.get(name, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise Refused("bad-field", what=name)
    return value
