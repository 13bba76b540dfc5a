"""Prints what the log says is to be printed, one job at a time, and writes its end back into the
log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tinydb import where

from node.cafe import receipts
from node.devices.ports import Outcome, Printer
from sync.domain import Tables
from sync.errors import Refused, StorageFailed, SyncError

_log = logging.getLogger(__name__)
RETRY_S = 2.0
LAST_PAPER_S = 5.0
"""How long a stop waits for the paper that is coming out."""

Do = Callable[[str, dict[str, Any]], Awaitable[Any]]
Finish = Callable[[dict[str, Any]], dict[str, Any]]
MayPrint = Callable[[str, Mapping[str, Any]], bool]


class Spooler:
    """Takes waiting jobs in their order. ``do(kind, body)`` puts an op of the node itself into the
    log."""

    def __init__(
        self,
        tables: Tables,
        do: Do,
        printer: Printer,
        retry_s: float = RETRY_S,
        may_print: MayPrint = lambda job, row: True,
        finish: Finish = lambda ticket: ticket,
    ) -> None:
        """``may_print(job, row)`` holds back what may be on paper already; ``finish(ticket)`` adds
        what the log does not hold: the server's signature."""
        self._tables, self._do, self._printer = tables, do, printer
        self._may_print, self._finish = may_print, finish
        self._retry_s = retry_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._sending = self._stopping = False
        self.problem = ""
        """Why the next job waits, as a key of `node.text`; empty when nothing stands in the way."""
        self.on_problem: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """The job that is being sent may end first, so that nobody has to look for its paper."""
        self._stopping = True
        if self._task is not None:
            if self._sending:
                await asyncio.wait({self._task}, timeout=LAST_PAPER_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """Something changed: look for work now."""
        self._wake.set()

    async def _run(self) -> None:
        await self._own_up()
        while not self._stopping:
            self._wake.clear()
            job = self._next()
            if job is None:
                await self._wake.wait()
                continue
            try:
                held_up = await self._print(job)
            except SyncError as error:  # a full disk: nothing was sent that is not in the log
                _log.warning("print job %s: %s", job, error)
                held_up = "print.not-ready"
            except Exception:  # one job that cannot be printed must not stop the others
                _log.exception("print job %s", job)
                held_up = await self._give_up(job)
            if held_up != self.problem:
                self.problem = held_up
                self.on_problem()
            if held_up:
                await asyncio.sleep(self._retry_s)

    async def _own_up(self) -> None:
        """Jobs that were being sent when we were stopped: nobody knows; a person decides."""
        for row in self._tables.table("prints").search(where("state") == "sending"):
            body = {"job": str(row.doc_id), "outcome": "unknown", "why": "print.restart"}
            await self._record(body)

    async def _record(self, body: dict[str, Any]) -> None:
        """Write the end of a print: the paper is out, so it must get into the log, however late."""
        while True:
            try:
                await self._do("print.end", body)
            except StorageFailed as error:
                _log.warning("the end of %s waits for the disk: %s", body["job"], error)
                await asyncio.sleep(self._retry_s)
            else:
                return

    def _next(self) -> str | None:
        """The job that has waited longest: the index keeps the order in which jobs came to wait."""
        for row in self._tables.table("prints").matching(where("state") == "waiting"):
            if self._may_print(str(row.doc_id), row):
                return str(row.doc_id)
        return None

    async def _give_up(self, job: str) -> str:
        """A job ended in a mistake of ours: if it was begun a person looks at it; why the next one
        waits, or empty."""
        row = self._tables.table("prints").peek(job)
        if row is None or row["state"] != "sending":
            return "print.fault"
        await self._record({"job": job, "outcome": "unknown", "why": "print.fault"})
        return ""

    async def _print(self, job: str) -> str:
        """Print one job; why it must wait, or empty."""
        problem = await self._printer.check()
        if problem:
            return problem  # before anything is written: a printer may be off for days
        try:
            await self._do("print.start", {"job": job})
        except Refused:
            return ""  # it has moved meanwhile
        self._sending = True
        try:
            ticket = self._finish(receipts.ticket(self._tables, job))
            delivery = await self._printer.print(ticket)
            body = {"job": job, "outcome": str(delivery.outcome), "why": delivery.why}
            await self._record(body)
        finally:
            self._sending = False
        return delivery.why if delivery.outcome is Outcome.NOT_STARTED else ""
