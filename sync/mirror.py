"""The server's log a second time, on another disk: what was acknowledged stands on both.

    own disk   ├─────────────────────────▶ 1020      At a start the longer one gives the other its
    mirror     ├────────────────▶ 940                rest, if both agree where the shorter one ends.

A commit goes to the mirror once the server's own disk has it, never before: what that disk refuses
must stand nowhere. A mirror that fails, or keeps a commit waiting for longer than a second, is left
behind, told, opened again and brought up beside everything else.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from sync.disk import Disk
from sync.erase import Place, erase_entries, erased_by
from sync.errors import Damaged, Refused, StorageFailed
from sync.frames import seal_in
from sync.identity import Verifier
from sync.log import CanonChecker, Log, Position
from sync.op import Head

_log = logging.getLogger(__name__)
PATIENCE_S = 1.0
"""How long a commit waits for the mirror before that is left behind."""
SLICE_FILES = 2
"""A slice stands in so many files besides the last one."""
SLICE_BYTES = 4 << 20
"""So much is copied between two looks at what else there is to do."""


class Mirror:
    """A copy of the canonical log in a folder of its own."""

    def __init__(
        self,
        disk: Disk,
        cafe: bytes,
        node: bytes,
        public: bytes,
        verify: Verifier,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        """Look where it ends; what is damaged there is set aside, and comes again. ``release`` lets
        go of the folder at the end."""
        self.release = release
        while True:  # each time it is shorter
            self.log = Log(disk, "canon", cafe, node)
            checker = CanonChecker(cafe, public, verify)
            try:
                self.log.recover_end(checker)
                break
            except Damaged as hurt:
                _log.error("mirror: %s", hurt)
                self.log.set_aside(hurt)
        self.head = checker.head
        """How far it goes."""
        last = Position(max(0, self.log.position.segment - SLICE_FILES))
        for _, commit in self.log.commits(last):  # a crash may have come between
            self._erase(*erased_by(commit.frames))

    def agrees(self, log: Log, head: Head) -> bool:
        """Whether this log, which ends at ``head``, and the mirror are of one history."""
        n = min(head.n, self.head.n)
        try:
            mine = self.head if n == self.head.n else self.log.head_at(n)
            return mine == (head if n == head.n else log.head_at(n))
        except Damaged as hurt:
            _log.error("mirror: %s", hurt)
            return False

    def commit(self, frames: list[bytes]) -> None:
        """Make durable what follows our head. Raises `StorageFailed`."""
        self.log.commit(frames)
        self._ends(frames)
        self._erase(*erased_by(frames))

    def catch_up(self, log: Log, to: Head, most_bytes: int = SLICE_BYTES) -> None:
        """Copy what ``log`` has behind our head, up to ``to``, or a slice of it.

        `Refused` ``mirror-differs`` if we are of another history; `StorageFailed`.
        """
        if self.head.n > to.n or not self.agrees(log, to):
            raise Refused("mirror-differs")
        size, last, seqs, places = 0, None, set[int](), set[Place]()
        for frames in log.behind(self.head.n):
            seal = seal_in(frames[-1])
            if seal.n > to.n or size > most_bytes:
                break
            self.log.commit(frames, sync=False)
            size, last = size + sum(map(len, frames)), frames
            erased = erased_by(frames)
            seqs |= erased[0]
            places |= erased[1]
        if last is not None:
            self.log.sync()
            self._ends(last)
            self._erase(seqs, places)

    def _erase(self, seqs: set[int], places: set[Place]) -> None:
        if seqs or places:
            erase_entries(self.log, seqs, places)

    def _ends(self, frames: list[bytes]) -> None:
        seal = seal_in(frames[-1])
        self.head = Head(seal.n, seal.hash)

    def close(self) -> None:
        self.log.close()


class MirrorWriter:
    """Keeps a mirror up with the server's log, in a thread of its own.

    ``open_mirror`` raises `StorageFailed` while its disk is not there. ``tell`` hears
    ``mirror-lost``, ``mirror-back`` and ``mirror-differs``.
    """

    def __init__(
        self,
        log: Log,
        open_mirror: Callable[[], Mirror],
        mirror: Mirror | None,
        head: Head,
        tell: Callable[[str], None],
    ) -> None:
        """``head`` is where the server's log ends now."""
        self._log, self._open, self._mirror, self._tell = log, open_mirror, mirror, tell
        self._thread = ThreadPoolExecutor(1, "mirror")
        self._job: Future[Mirror] | None = None
        self.following = mirror is not None and mirror.head == head
        """Whether all that is acknowledged stands there."""
        self.lost = False
        """Its disk is not there, or failed."""
        self.differs = False
        """It is of another history: a person must see to it."""

    @property
    def state(self) -> str:
        """``following``, ``behind``, ``lost`` or ``differs``."""
        if self.following:
            return "following"
        return "differs" if self.differs else "lost" if self.lost else "behind"

    def commit(self, frames: list[bytes]) -> None:
        """What the server's own disk has just made durable."""
        mirror = self._mirror
        if not self.following or mirror is None:
            return

        def write() -> Mirror:
            with _let_go_of(mirror):
                mirror.commit(frames)
            return mirror

        job = self._thread.submit(write)
        try:
            job.result(PATIENCE_S)
        except Exception as error:  # the server's own disk has it: nothing here may undo that
            self._mirror, self._job = None, job
            self._lose(error)

    def tick(self, head: Head) -> None:
        """One step of bringing it up to ``head``, beside everything else."""
        if self.following or self.differs:
            return
        if self._job is not None:
            if not self._job.done():
                return
            error, job, self._job = self._job.exception(), self._job, None
            if isinstance(error, Refused):
                self.differs = True
                self._tell(error.code)
                return
            if error is None:
                self._mirror = job.result()
            else:
                self._mirror = None
                self._lose(error)
        if self._mirror is not None and self._mirror.head == head:
            self.following, self.lost = True, False
            self._tell("mirror-back")
        else:
            self._job = self._thread.submit(self._bring_up, self._mirror, head)

    def _lose(self, error: BaseException) -> None:
        self.following = False
        _log.log(logging.INFO if self.lost else logging.ERROR, "the mirror is lost: %r", error)
        if not self.lost:
            self.lost = True
            self._tell("mirror-lost")

    def _bring_up(self, mirror: Mirror | None, head: Head) -> Mirror:
        if mirror is None:
            return self._open()
        with _let_go_of(mirror):
            mirror.catch_up(self._log, head)
        return mirror

    def close(self) -> None:
        """Close its log, if its disk lets us, and let go of it; of one that hangs once it has come
        back, for until then it may still be written to."""
        job, mirror = self._job, self._mirror
        hanging = wait([job] if job is not None else [], PATIENCE_S).not_done
        self._thread.shutdown(wait=False, cancel_futures=True)
        if hanging:
            hanging.pop().add_done_callback(_release)
            return
        if job is not None and job.exception() is None:
            mirror = job.result()
        if mirror is not None:
            try:
                if self.following:
                    mirror.close()
            except StorageFailed as error:
                _log.warning("the mirror could not be closed: %s", error)
            mirror.release()


@contextlib.contextmanager
def _let_go_of(mirror: Mirror) -> Iterator[None]:
    """Release it if it fails: it is opened anew then."""
    try:
        yield
    except BaseException:
        mirror.release()
        raise


def _release(job: Future[Mirror]) -> None:
    if job.exception() is None:
        job.result().release()
