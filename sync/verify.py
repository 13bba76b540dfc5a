"""Checks a log with public keys alone, read-only, and names the first thing that is not as it was
written.

Checked are every checksum, the chain through all entries and ops, the seals of the server and of
each station over the runs it pushed, and the grants under which operators acted. Of a copy that
begins behind a snapshot, that the server has signed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sync import snapshot
from sync.disk import Disk
from sync.domain import Domain
from sync.errors import Damaged, Malformed, Refused
from sync.frames import (
    ENTRIES,
    ERASED,
    JUMP,
    OP,
    RUN_SEAL,
    Seal,
    read_entry,
    read_jump,
    seal_in,
)
from sync.grant import operator_of, read_grant
from sync.identity import Verifier, node_id, seal_text
from sync.log import CanonChecker, ChainChecker, Commit, Log, Position
from sync.op import GRANT_OPEN, NODE_BYTES, ZERO_HEAD, Head, Op
from sync.snapshot import SNAPSHOT_FILE
from sync.view import View, decode_entry_op


@dataclass(frozen=True, slots=True)
class Problem:
    """The first thing that does not verify."""

    log: str
    offset: int
    where: str
    """Entry or op that it concerns, or the commit behind the last good one."""
    what: str


@dataclass
class Verified:
    """What was checked, and the first problem if there is one."""

    log: str
    entries: int = 0
    ops: int = 0
    seals: int = 0
    head: str = ZERO_HEAD.hex()
    short_end: bool = False
    """The last commit is cut short, as a crash leaves it; it was never shown."""
    problem: Problem | None = None


class _Wrong(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(what)
        self.where, self.what = where, what


def verify_canon(
    disk: Disk,
    cafe: bytes,
    node: bytes,
    server: bytes,
    domain: Domain,
    verify: Verifier,
    progress: Callable[[int], None] = lambda entries: None,
    *,
    public_only: bool = False,
) -> Verified:
    """Check the canonical log in a folder, the server's own or a station's copy.

    In the copy of a node that may not read everything, what others signed cannot be checked by
    their own keys: the server's seals cover it.
    """
    log = Log(disk, "canon", cafe, node)
    checker = CanonChecker(cafe, server, verify, jumps=public_only)
    view = View(domain)
    result = Verified("canon")
    begins = log.find_base()
    base = snapshot.read_file(disk, cafe, server, verify) if begins and begins.n else None
    if base is not None:
        view = snapshot.load(base.header, base.parts, domain)
        checker.expected = base.header.head
    checker.head = log.base
    known: dict[bytes, bytes] = {}
    erased: dict[bytes, int] = {}
    own = node_id(server)

    def key_of(station: bytes) -> bytes | None:
        public = domain.node_key(view, station) or known.get(station)
        if public is not None:
            known[station] = public  # a station that is revoked later has signed all the same
        return public

    def check(commit: Commit) -> None:
        open_runs: dict[bytes, int] = {}
        for frame in commit.frames:
            if frame[1] == JUMP:
                view.jump(read_jump(frame, Head(view.cursor)).n)
            elif frame[1] in ENTRIES:
                entry = read_entry(frame)
                if "erased" in entry.note:
                    erased[entry.note["key"]] = entry.seq
                where = f"entry {entry.seq}"
                if base is not None and entry.seq <= base.header.seq:
                    continue  # the server's seals cover it; what it rests on is not here any more
                if entry.seq != view.cursor + 1:
                    raise _Wrong(where, f"it stands behind entry {view.cursor}")
                op = decode_entry_op(entry)
                if op is not None and entry.accepted:
                    where += f" ({op.kind}, op {op.n} of {op.chain.hex()})"
                if op is not None and entry.accepted and not public_only:
                    _check_grant(op, view, domain, cafe, verify, where)
                chain = op.chain if op is not None else entry.note["chain"]
                if chain[:NODE_BYTES] != own and not public_only:
                    open_runs[chain] = entry.seq
                view.fold(entry, op)
                if view.unfolded:
                    raise _Wrong(where, "this version cannot read it")
                result.entries += 1
                result.ops += op is not None
            elif frame[1] == RUN_SEAL and (base is None or view.cursor > base.header.seq):
                seal = seal_in(frame)
                _check_run(seal, view, key_of(seal.chain[:NODE_BYTES]), cafe, verify)
                open_runs.pop(seal.chain, None)
                result.seals += 1
        for chain, seq in open_runs.items():
            raise _Wrong(f"entry {seq}", f"no seal of its station stands behind it ({chain.hex()})")
        progress(result.entries)

    if begins and begins.n and (base is None or base.header.seq < begins.n):
        what = f"nothing stands for entries 1 to {begins.n}"
        result.problem = Problem(log.name(1), 0, "entry 1", what)
        return result
    _walk(log, checker, check, result)
    for key, seq in erased.items():
        if key not in view.erased and not result.problem:
            what = "its body is gone, and no entry of the server says that it shall"
            result.problem = Problem(log.name(1), 0, f"entry {seq}", what)
    if base is not None and not result.problem and checker.head.n < base.header.seq:
        what = f"entries {checker.head.n + 1} to {base.header.seq} are missing"
        result.problem = Problem(SNAPSHOT_FILE, 0, f"entry {checker.head.n + 1}", what)
    result.head = checker.head.hash.hex()
    return result


def _check_grant(
    op: Op, view: View, domain: Domain, cafe: bytes, verify: Verifier, where: str
) -> None:
    try:
        if op.kind == GRANT_OPEN:
            read_grant(op, cafe, domain.operator_keys(view, op.body["operator"]), verify)
        operator_of(op, view.grants)
    except Refused:
        raise _Wrong(where, "its grant does not hold") from None


def _check_run(seal: Seal, view: View, public: bytes | None, cafe: bytes, verify: Verifier) -> None:
    where = f"op {seal.n} of {seal.chain.hex()}"
    known = view.chains.get(seal.chain)
    if known is None or (known.n, known.hash) != (seal.n, seal.hash):
        raise _Wrong(where, "its station's seal does not fit the ops before it")
    text = seal_text(cafe, seal.chain, seal.n, seal.hash)
    if public is None or not verify(public, seal.signature, text):
        raise _Wrong(where, "its station did not sign it")


def verify_own(disk: Disk, cafe: bytes, author: bytes, node: bytes, verify: Verifier) -> Verified:
    """Check a station's log of its own ops."""
    log = Log(disk, "own", cafe, node)
    log.find_base()
    checker = ChainChecker(cafe, author, verify, log.base, log.base_chain)
    result = Verified("own")

    def check(commit: Commit) -> None:
        result.ops += sum(frame[1] in (OP, ERASED) for frame in commit.frames)

    _walk(log, checker, check, result)
    result.head = checker.head.hash.hex()
    return result


def _walk(
    log: Log,
    checker: CanonChecker | ChainChecker,
    check: Callable[[Commit], None],
    result: Verified,
) -> None:
    name, at = "", 0
    unit = "entry" if isinstance(checker, CanonChecker) else "op"
    try:
        for name, at, commit in _commits(log, result):
            before = checker.head.n
            wrong = checker.take(commit.frames)
            if wrong:
                raise _Wrong(f"the commit behind {unit} {before}", wrong)
            if not checker.signed(commit.frames[-1]):
                raise _Wrong(f"{unit} {checker.head.n}", "the seal behind it is not its owner's")
            result.seals += 1
            check(commit)
    except _Wrong as wrong_:
        result.problem = Problem(name, at, wrong_.where, wrong_.what)
    except Damaged as damaged:
        where = f"the commit behind {unit} {checker.head.n}"
        result.problem = Problem(damaged.log, damaged.offset, where, damaged.what)
    except (Malformed, AssertionError, KeyError) as error:
        result.problem = Problem(name, at, f"behind {unit} {checker.head.n}", str(error))


def _commits(log: Log, result: Verified) -> Iterator[tuple[str, int, Commit]]:
    at, segment = 0, 0
    for number, commit in log.commits(Position()):
        if number != segment:
            segment, at = number, 0
        yield log.name(number), at, commit
        at = commit.end
    if segments := log.segments():
        result.short_end = log.size(segments[-1]) > (at if segments[-1] == segment else 0)
