"""What every node does: submit commands, show tables, sign people in, tell of changes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from node import config
from node.cafe import jobs, operators, orders, settings
from node.cafe.house import KINDS
from node.cafe.kinds import Command, body_of, read_command
from node.pictures import PICTURES_FOLDER, is_small, shrink
from node.text import say
from sync.blobs import BlobFolder
from sync.certificates import pin, pinned_context
from sync.client import Client
from sync.clock import Clock
from sync.disk import OsDisk
from sync.driver import Driver
from sync.errors import Malformed, Refused
from sync.grant import NO_LIMIT
from sync.identity import Ed25519Signer, node_id
from sync.protocol import Receipt
from sync.recovery import Opened, close
from sync.sealed import unwrap_key
from sync.view import View

SESSION_FILE = "session"
BASKETS_FILE = "baskets"
PICTURES_AT_HAND = 500
TRIES_BEFORE_WAIT = 5
LONGEST_WAIT_S = 900
TOLD = frozenset(
    {
        "bad-entries",
        "bad-server",
        "bare-body",
        "cloned",
        "disk",
        "fault",
        "fork",
        "history-missing",
        "log-damaged",
        "mirror-differs",
        "mirror-lost",
        "not-erased",
        "other-history",
        "pin-guessing",
        "port-taken",
        "recovering",
        "server-restored",
        "skew",
        "station-restored",
        "unfolded",
        "unshown",
    }
)


def client_of(node: Node) -> Client:
    """What keeps a paired node connected to its server."""
    server = node.config.server
    assert server is not None
    certificate = bytes.fromhex(server.certificate)
    context = pinned_context(
        server=False,
        private_key=node.keys.tls_key,
        certificate=node.keys.certificate,
        trusted=[certificate],
    )
    return Client(
        node.driver,
        context,
        node_id(bytes.fromhex(server.public_key)),
        pin(certificate),
        lambda: (server.host, server.port),
        jitter=lambda: secrets.randbelow(1000) / 1000,
    )


class Node:
    """A running node. Everything here belongs to the event loop's thread."""

    role = ""

    def __init__(
        self,
        folder: Path,
        disk: OsDisk,
        settings_: config.Config,
        keys: config.Keys,
        opened: Opened,
        clock: Clock,
    ) -> None:
        self.folder, self.config, self.keys, self.clock = folder, settings_, keys, clock
        self._disk, self._opened = disk, opened
        self._blob_disk = OsDisk(folder / PICTURES_FOLDER)
        self.driver = Driver(opened, clock, BlobFolder(self._blob_disk))
        self.driver.on_blob = self._picture_came
        self.cafe_id = bytes.fromhex(settings_.cafe)
        self._pictures: dict[str, bytes] = {}
        self.operator: bytes | None = None
        """Who is signed in at this node's screen and command line."""
        self._signers: dict[bytes, Ed25519Signer] = {}
        self._wrong: dict[str, tuple[int, float]] = {}
        self._submitting = asyncio.Lock()
        self._signing_in = asyncio.Lock()
        self._watchers: set[Callable[[frozenset[str]], None]] = set()
        self.driver.subscribe(self.tell)
        self.driver.on_alarm = self._alarm
        self.notices: list[dict[str, Any]] = []
        """What was found at start that a person should know."""
        for damage in opened.damage:
            self.notices.append(
                {
                    "code": f"damage-{damage.kind}",
                    "log": damage.log,
                    "offset": damage.offset,
                    "copy": damage.copy,
                    "what": damage.what,
                }
            )

    # --- life ----------------------------------------------------------------

    async def start(self) -> None:
        self.driver.start()
        self._resume_session()

    async def stop(self) -> None:
        await self.driver.stop()
        close(self._opened, self._disk)
        self._blob_disk.close()
        self._disk.close()

    # --- tables --------------------------------------------------------------

    @property
    def tables(self) -> View:
        """The café's tables (TinyDB), for reading."""
        return self.driver.core.view

    @cached_property
    def node_id(self) -> str:
        return self.keys.node.hex()

    @property
    def server_key(self) -> bytes:
        """The server's public key: with it alone tickets and logs can be checked."""
        server = self.config.server
        return bytes.fromhex(server.public_key) if server else self.keys.signer.public

    @property
    def language(self) -> str:
        return str(settings.cafe(self.tables).get("language", self.config.language))

    def changes(self, listener: Callable[[frozenset[str]], None]) -> Callable[[], None]:
        """Call ``listener`` with names of tables (or ``status``) that changed; returns how to stop
        that."""
        self._watchers.add(listener)
        return lambda: self._watchers.discard(listener)

    def tell(self, names: frozenset[str]) -> None:
        """Say that these tables (or ``status``, ``floor``, ``pc``) have changed."""
        for watcher in tuple(self._watchers):
            watcher(names)

    # --- commands ------------------------------------------------------------

    async def submit(
        self, kind: str, fields: dict[str, Any] | Command | None = None, key: bytes | None = None
    ) -> Receipt:
        """Do one thing as the operator who is signed in.

        The receipt comes once it is durable here: ``queued`` at a station, ``accepted`` at the
        server. Raises `Refused` (nothing happened) or `StorageFailed` (nothing happened, and it was
        not shown).
        """
        known = KINDS.get(kind)
        if known is None or not (known.permission or known.anyone):
            raise Refused("unknown-kind", kind=kind)
        if self.operator is None and len(self.tables.table("operators")):
            raise Refused("not-signed-in")
        if known.needs_server and not self.hears_server:
            raise Refused("needs-server", kind=kind)
        body = msgspec.to_builtins(fields) if isinstance(fields, Command) else dict(fields or {})
        command = read_command(known, body)
        async with self._submitting:  # labels are given in the order in which ops are made
            command = self._fill(command)
            return await self.driver.act(kind, known.version, body_of(command), self.operator, key)

    def _fill(self, command: Command) -> Command:
        """What the node knows better than who asks: prices, the box, the label."""
        if isinstance(command, orders.PlaceOrder):
            return orders.fill(self.tables, command, self._station_id(), self.tables.cursor)
        if isinstance(command, jobs.ParkJob):
            return jobs.fill(self.tables, command)
        return command

    @property
    def hears_server(self) -> bool:
        """Whether what only the server can say is at hand."""
        return True

    def _station_id(self) -> str:
        return ""

    # --- pictures ------------------------------------------------------------

    async def keep_picture(self, data: bytes) -> str:
        """Take a PNG or JPEG that a product or the café will name; its digest in hex. `Refused`
        ``bad-picture``, `StorageFailed`."""
        small = await asyncio.to_thread(shrink, data)
        return self.driver.add_blob(small).hex()

    def picture(self, digest: str) -> bytes | None:
        """A picture that a row names, as WebP; None while it is on its way."""
        if digest not in self._pictures and digest:
            data = self.driver.blob(bytes.fromhex(digest))
            if data is None or not is_small(data):
                return None
            if len(self._pictures) >= PICTURES_AT_HAND:
                self._pictures.pop(next(iter(self._pictures)))
            self._pictures[digest] = data
        return self._pictures.get(digest)

    def _picture_came(self, digest: bytes) -> None:
        self.tell(frozenset({"pictures"}))

    # --- people --------------------------------------------------------------

    async def sign_in(self, name: str, password: str) -> dict[str, Any]:
        """Unwrap an operator's key with their password; they act here from now on.

        `Refused`: ``wrong-password`` (also for a name that nobody has), ``locked-out``, ``no-
        keys``.
        """
        who = operators.fold_name(name)
        async with self._signing_in:  # one guess after the other, whoever guesses
            tries, until_s = self._wrong.get(who, (0, 0.0))
            if time.monotonic() < until_s:
                raise Refused("locked-out", seconds=int(until_s - time.monotonic()) + 1)
            return await self._check_password(name, password, who, tries)

    async def _check_password(
        self, name: str, password: str, who: str, tries: int
    ) -> dict[str, Any]:
        found = operators.find(self.tables, name)
        if len(self.tables.table("operators")) == 0:
            raise Refused("no-keys", name=name)
        try:
            if found is None or not found[1]["enabled"]:
                await asyncio.sleep(0.2)  # as long as a wrong password takes, more or less
                raise Refused("wrong-password")
            operator, row = found
            wrapped = self._wrapped_key(operator, row)
            signer = await asyncio.to_thread(unwrap_key, wrapped, password)
        except Malformed:
            raise Refused("no-keys", name=name) from None
        except Refused as refusal:
            if refusal.code == "wrong-password":
                wait_s = 30 * 2 ** (tries + 1 - TRIES_BEFORE_WAIT)
                blocked = tries + 1 >= TRIES_BEFORE_WAIT
                until_s = time.monotonic() + min(wait_s, LONGEST_WAIT_S) if blocked else 0.0
                self._wrong[who] = (tries + 1, until_s)
            raise
        self._wrong.pop(who, None)
        self._enter(bytes.fromhex(operator), signer)
        return {"operator": operator, "name": row["name"], "role": row["role"]}

    def _wrapped_key(self, operator: str, row: Any) -> dict[str, Any]:
        raise NotImplementedError

    def _enter(self, operator: bytes, signer: Ed25519Signer) -> None:
        self.operator = operator
        self._signers[operator] = signer
        self.driver.sign_in(operator, signer, NO_LIMIT)
        self.tell(frozenset({"status"}))

    def own_signer(self) -> Ed25519Signer:
        """Key of the operator who is signed in."""
        assert self.operator is not None
        return self._signers[self.operator]

    def keep_wrapped(self, operator: str, wrapped: dict[str, Any]) -> None:
        """An operator's key was wrapped anew: a node that keeps its own copy takes it."""

    def sign_out(self) -> None:
        self.operator = None
        (self.folder / SESSION_FILE).unlink(missing_ok=True)
        self.tell(frozenset({"status"}))

    def keep_session(self) -> None:
        """For the command line: let the next process on this folder act as the same operator.

        The unwrapped key stands in a file of the owner's until ``cabina sign-out``.
        """
        if self.operator is not None:
            data = self.operator + self._signers[self.operator].private
            config.write_private(self.folder / SESSION_FILE, data)

    def keep_baskets(self, data: bytes) -> None:
        """What the next screen of this node shall find in its baskets."""
        config.write_private(self.folder / BASKETS_FILE, data)

    def kept_baskets(self) -> bytes:
        path = self.folder / BASKETS_FILE
        return path.read_bytes() if path.exists() else b""

    def _resume_session(self) -> None:
        path = self.folder / SESSION_FILE
        if path.exists():
            data = path.read_bytes()
            if len(data) == 48 and self.tables.table("operators").contains(doc_id=data[:16].hex()):
                self._enter(data[:16], Ed25519Signer(data[16:]))

    @property
    def operator_row(self) -> dict[str, Any] | None:
        """Row of who is signed in."""
        if self.operator is None:
            return None
        return self.tables.table("operators").row(self.operator.hex())

    def may(self, permission: str) -> bool:
        row = self.operator_row
        return row is not None and operators.may(row, permission)

    # --- how it is -----------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What the strip shows and ``show status`` prints."""
        row = self.operator_row
        return {
            "role": self.role,
            "node": self.node_id,
            "cafe": settings.cafe(self.tables).get("name", ""),
            "cursor": self.tables.cursor,
            "server_key": self.server_key.hex(),
            "operator": row["name"] if row else "",
            "notices": [self.explain(notice) for notice in self.notices],
        }

    def digest(self) -> str:
        """Digest of the shared tables; only once nothing is pending."""
        if self.tables.pending:
            raise Refused("pending")
        return self.tables.digest().hex()

    def explain(self, notice: dict[str, Any]) -> str:
        """A notice as a sentence."""
        return say(self.language, f"error.{notice['code']}", **notice)

    def _alarm(self, code: str, details: dict[str, Any]) -> None:
        """What the engine met while it ran; once each, a person should know of these."""
        known = [notice["code"] for notice in self.notices]
        if code in TOLD and f"alarm-{code}" not in known:
            self.notices.append({"code": f"alarm-{code}", **details})
            self.tell(frozenset({"status"}))
