"""What a start finds on disk, turned into a running core.

    view file (if it fits the log) ─▶ View at its cursor ─▶ tail of canon log ─▶ own log ─▶ core

The view file is disposable: missing, garbled or of another log, the log is folded from its
beginning.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sync import snapshot
from sync.codec import pack, unpack_trusted
from sync.disk import Disk
from sync.domain import Domain
from sync.erase import erase_entries, erase_ops
from sync.errors import Damaged, Malformed, Refused, StorageFailed
from sync.frames import (
    ENTRIES,
    ERASED,
    OP,
    SEGMENT,
    decode_frame,
    decode_segment,
    read_entry,
    read_erased,
    read_op_frame,
    seal_in,
)
from sync.hub import Hub
from sync.identity import Verifier, node_id
from sync.log import CanonChecker, ChainChecker, Commit, Damage, Log, Position, whole_commits
from sync.messages import BATCH_OPS
from sync.mirror import Mirror
from sync.op import Entry, Head, Op, decode_op, link, sha256
from sync.protocol import Adopted, Compacted, NodeKeys, Rewound
from sync.replica import Replica
from sync.snapshot import SNAPSHOT_FILE, Snapshot
from sync.view import ANYWHERE, View, decode_entry_op

_log = logging.getLogger(__name__)
VIEW_FILE = "view"
VIEW_FORMAT = 6
_T = TypeVar("_T")


@dataclass
class Opened:
    """A core and the logs behind it."""

    core: Hub | Replica
    canon: Log
    own: Log | None
    """A station's log of its own ops; the server's stand in the canonical log."""
    damage: list[Damage] = field(default_factory=list)
    rebuilt: int = 0
    """Entries that were folded at this start."""
    snapshot: Snapshot | None = None
    """What a server offers to new stations."""


def save_view(disk: Disk, view: View, head: Head, log: Log) -> None:
    """Write the view file. Needs nothing to be pending; a view of more than the log holds, or of
    less, is not saved."""
    if view.unfolded or view.to_erase or not log.last_seal:
        return
    seal = seal_in(log.last_seal)
    if Head(seal.n, seal.hash) != head:
        return
    body = pack(
        {
            "format": VIEW_FORMAT,
            "head": head.hash,
            "segment": log.position.segment,
            "offset": log.position.offset,
            "seal": log.last_seal,
            "view": view.dump(),
        }
    )
    disk.replace(VIEW_FILE, sha256(body) + body)


def load_view(disk: Disk, view: View, log: Log) -> tuple[Head, Position]:
    """Fill ``view`` from its file, if there is one that is whole and of this log; else leave it."""
    if VIEW_FILE not in disk.names():
        return Head(), Position()
    data = disk.read(VIEW_FILE)
    body = data[32:]
    if len(data) < 33 or sha256(body) != data[:32]:
        _log.warning("the view file is damaged: folding the log again")
        return Head(), Position()
    collecting = gc.isenabled()
    gc.disable()  # many new objects, none of them garbage
    try:
        saved = unpack_trusted(body)
        if saved["format"] != VIEW_FORMAT:
            return Head(), Position()
        position = Position(saved["segment"], saved["offset"])
        if not log.ends_with(saved["seal"], position):
            _log.warning("the view file is of another log: folding the log again")
            return Head(), Position()
        log.resume(saved["seal"])
        view.load(saved["view"])
    finally:
        if collecting:
            gc.enable()
    return Head(view.cursor, saved["head"]), position


def adopt(opened: Opened, frame: bytes, parts: list[bytes]) -> Adopted:
    """Let a station's copy of the canonical log begin behind a snapshot whose header was checked.

    Raises `Malformed`, `StorageFailed`: then the copy is as it was.
    """
    core = opened.core
    assert isinstance(core, Replica) and opened.own is not None
    header = snapshot.read_header(frame, core.keys.cafe, core.server, core.verify)
    view = snapshot.load(header, parts, core.domain)
    opened.canon.disk.replace(SNAPSHOT_FILE, snapshot.file_of(frame, parts))
    opened.canon.begin_behind(header.head, header.chain)
    own = list(own_ops(commit for _, commit in opened.own.commits()))
    return Adopted(header.head, view, own)


def compact(opened: Opened, frame: bytes, parts: list[bytes]) -> Compacted:
    """Let a snapshot whose header was checked stand for the beginning of a station's logs: whole
    files of both are dropped. The view stays as it is.

    Raises `Refused` ``other-history`` if it is not of our history, `Malformed`, `StorageFailed`:
    what is left then is good all the same.
    """
    core, canon, own = opened.core, opened.canon, opened.own
    assert isinstance(core, Replica) and own is not None
    header = snapshot.read_header(frame, core.keys.cafe, core.server, core.verify)
    if canon.head_at(header.seq) != header.head:
        raise Refused("other-history", seq=header.seq)
    canon.disk.replace(SNAPSHOT_FILE, snapshot.file_of(frame, parts))
    start = canon.start_of(header.seq)
    assert start is not None, "its head was found"
    canon.drop_before(start.number)
    newest = next((first.number for first in own.starts()), 0)
    ops = [(number, op) for number, commit in own.commits() for op in _ops(commit)]
    needed = core.needed(header.seq, [op for _, op in ops])
    own.drop_before(min([newest, *(number for number, op in ops if (op.chain, op.n) in needed)]))
    return Compacted(header.seq, canon.base)


def take_out(opened: Opened) -> None:
    """Take the bodies that are to be erased out of the logs of a node, and drop what else holds
    them: the view file, and the server's snapshot (the next checkpoint brings another).

    Raises `StorageFailed`, `Damaged`; it may be tried again.
    """
    core, disk = opened.core, opened.canon.disk
    todo = set(core.view.to_erase)
    if opened.own is not None:
        erase_ops(opened.own, {place for _, place in todo})
        disk.remove(VIEW_FILE)
    seqs = {seq for seq, _ in todo if seq > 0}
    anywhere = {place for seq, place in todo if seq == ANYWHERE}
    if seqs or anywhere:
        erase_entries(opened.canon, seqs, anywhere)
        disk.remove(VIEW_FILE)
        if isinstance(core, Hub):
            disk.remove(SNAPSHOT_FILE)
            core.snapshot, opened.snapshot = 0, None
        else:
            core.compacted = 0  # the snapshot beneath our logs is replaced as soon as may be
    core.view.to_erase -= todo


def _base_of(log: Log, server: bytes, verify: Verifier) -> Snapshot | None:
    """The snapshot that stands for what is not in a station's copy of the log; None if all of it
    is there, or nothing."""
    base = log.find_base()
    if base is not None and not base.n:
        return None
    found = snapshot.read_file(log.disk, log.cafe, server, verify)
    if base is not None and (found is None or found.header.seq < base.n):  # all comes again
        log.rewind(-1)
        log.damage = Damage(SNAPSHOT_FILE, "corrupt", 0, "it does not verify", SNAPSHOT_FILE)
        return None
    return found


def _recover_view(
    disk: Disk, log: Log, checker: CanonChecker, view: View, base: Snapshot | None = None
) -> int:
    """Fold ``view`` up to the end of ``log``, beginning at the snapshot that stands for what is not
    in it any more; how many entries that took."""
    checker.head, position = load_view(disk, view, log)
    if position.segment:
        base = None
    elif base is not None:
        view.adopt(_loaded(base, view.domain))
        checker.expected = base.header.head
    folded = 0
    for entry, op in _entries(log.recover(checker, position), behind=view.cursor):
        view.fold(entry, op)
        folded += 1
    view.jump(max(view.cursor, checker.head.n))
    if base is not None and checker.head.n < base.header.seq:  # a crash while it was being taken
        log.begin_behind(base.header.head, base.header.chain)
        checker.head = log.base
    return folded


def _loaded(found: Snapshot, domain: Domain) -> View:
    return snapshot.load(found.header, found.parts, domain)


def _entries(commits: Iterable[Commit], behind: int = 0) -> Iterator[tuple[Entry, Op | None]]:
    for commit in commits:
        for frame in commit.frames:
            if frame[1] in ENTRIES:
                entry = read_entry(frame)
                if entry.seq > behind:
                    yield entry, decode_entry_op(entry)


def open_hub(
    disk: Disk,
    keys: NodeKeys,
    domain: Domain,
    verify: Verifier,
    random: Callable[[int], bytes],
    mirror: Mirror | None = None,
) -> Opened:
    """The server's core over the logs in ``disk``; what only the ``mirror`` has is taken from
    there. `Damaged` if history before a valid seal was hurt and the mirror does not have it."""
    public = keys.signer.public

    def read(log: Log) -> tuple[View, CanonChecker, int]:
        checker, view = CanonChecker(keys.cafe, public, verify), View(domain)
        base = log.find_base()
        if base is not None and base.n:
            raise Damaged(log.name(1), 0, f"entries 1 to {base.n} are missing")
        return view, checker, _recover_view(disk, log, checker, view)

    log = Log(disk, "canon", keys.cafe, keys.node)
    try:
        view, checker, folded = read(log)
    except Damaged:
        if mirror is None or mirror.head.n < _last_seal_n(disk, log, public, verify):
            raise
        log, (view, checker, folded) = _mended(disk, "canon", keys.cafe, keys.node, read)
    damage = [log.damage] if log.damage else []
    mirrored = mirror is not None and mirror.agrees(log, checker.head)
    if mirror is not None and mirrored and mirror.head.n > checker.head.n:
        before, problem = view.cursor, _take_rest(log, checker, view, mirror)
        folded += view.cursor - before
        what = f"{view.cursor - before} entries"
        damage.append(Damage(log.name(log.position.segment), "refilled", 0, what))
        if problem:
            damage.append(Damage("mirror", "unrefilled", 0, problem))
    complete = mirror is not None and mirror.head == checker.head
    unread = [seq for seq, accepted in view.unfolded.items() if accepted]
    if unread:  # money would be missing from the box without a word
        what = f"this version cannot read entry {unread[0]}: start the one that wrote it"
        raise Damaged(log.name(log.position.segment), 0, what)
    hub = Hub(keys, view, domain, verify, random, head=checker.head, complete=complete)
    ready = snapshot.read_file(disk, keys.cafe, keys.signer.public, verify)
    if ready is not None and ready.header.seq <= hub.head.n and _is_ours(ready.header, view):
        hub.snapshot = ready.header.seq
    else:
        ready = None
    return Opened(hub, log, None, damage, folded, ready)


def _take_rest(log: Log, checker: CanonChecker, view: View, mirror: Mirror) -> str:
    """Append to the server's log what its mirror has behind it; what is wrong there, if it
    is."""
    problem = ""
    try:
        for frames in mirror.log.behind(checker.head.n):
            signed = checker.signed(frames[-1])
            problem = checker.take(frames) if signed else "a seal is not its owner's"
            if problem:
                break
            log.commit(frames, sync=False)
            for entry, op in _entries([Commit(frames, 0)]):
                view.fold(entry, op)
    except Damaged as hurt:
        problem = str(hurt)
    log.sync()
    return problem


def _last_seal_n(disk: Disk, log: Log, public: bytes, verify: Verifier) -> int:
    """How far a damaged log went, by the last seal of the server that can be found in it."""
    checker, last = CanonChecker(log.cafe, public, verify), 0
    for number in log.segments():
        for commit in whole_commits(disk.read(log.name(number))):
            seal = seal_in(commit.frames[-1])
            if seal.n > last and checker.signed(commit.frames[-1]):
                last = seal.n
    return last


def _is_ours(header: snapshot.Header, view: View) -> bool:
    """Whether a snapshot is of this history, not of a life of the server that was lost."""
    ends = [epoch.first - 1 for epoch in view.epochs[1:]] + [view.cursor]
    lives = zip(view.epochs, ends, strict=True)
    return any(life.chain == header.chain and header.seq <= end for life, end in lives)


def open_replica(
    disk: Disk,
    keys: NodeKeys,
    server: bytes,
    domain: Domain,
    verify: Verifier,
    random: Callable[[int], bytes],
    *,
    public_only: bool = False,
    run_ops: int = BATCH_OPS,
) -> Opened:
    """A station's core; ``public_only`` if it may not read everything. ``run_ops`` is how many ops
    it sends in one run at most: the server decides a run in one go, and does nothing else
    meanwhile.

    What is damaged in a log of a station is set aside for a person, and the rest is used: the
    canonical copy is fetched again, selling goes on in a new chain, and what the server has of the
    old one comes back by itself.
    """

    def read_canon(log: Log) -> tuple[View, CanonChecker, int, int]:
        view, checker = View(domain), CanonChecker(keys.cafe, server, verify, jumps=public_only)
        base = _base_of(log, server, verify)
        folded = _recover_view(disk, log, checker, view, base)
        return view, checker, folded, base.header.seq if base else 0

    def read_own(log: Log) -> tuple[list[tuple[Op, list[Any], Head]], ChainChecker]:
        checker = ChainChecker(keys.cafe, keys.signer.public, verify)
        return list(own_ops(log.recover(checker))), checker

    canon, (view, checker, folded, compacted) = _mended(
        disk, "canon", keys.cafe, node_id(server), read_canon
    )
    own, (ops, end) = _mended(disk, "own", keys.cafe, keys.node, read_own)
    head, base = checker.head, canon.base
    replica = Replica(keys, server, view, domain, verify, random, canon=head, base=base)
    replica.run_ops = run_ops
    replica.public_only = public_only
    replica.compacted = compacted
    if end.head.n:  # also where the last body was erased
        replica.before = (end.chain, *end.head)
    replica.restore(ops)
    damage = [log.damage for log in (canon, own) if log.damage]
    if view.unfolded:
        what = f"this version cannot read entry {next(iter(view.unfolded))}"
        damage.append(Damage(canon.name(canon.position.segment), "unfolded", 0, what))
    if view.unshown:
        damage.append(Damage(own.name(own.position.segment), "unshown", 0, "an own op"))
    return Opened(replica, canon, own, damage, folded)


def _mended(
    disk: Disk, kind: str, cafe: bytes, node: bytes, read: Callable[[Log], _T]
) -> tuple[Log, _T]:
    """A log and what ``read`` makes of it; of a damaged one, of what stands before the damage."""
    damage: Damage | None = None
    while True:  # each time the log is shorter
        log = Log(disk, kind, cafe, node)
        try:
            found = read(log)
        except Damaged as hurt:
            _log.error("%s", hurt)
            damage = damage or log.damage
            log.set_aside(hurt)
        else:
            log.damage = damage or log.damage
            return log, found


def rewind(opened: Opened, head: Head) -> Rewound:
    """Cut a station's copy of the canonical log back to ``head``, or to the seal before it (what
    stood behind is kept aside), and fold it again. Raises `StorageFailed`, `Damaged`; it may be
    tried again."""
    core = opened.core
    assert isinstance(core, Replica) and opened.own is not None
    canon = opened.canon
    base = None
    if canon.base.n:
        base = snapshot.read_file(canon.disk, core.keys.cafe, core.server, core.verify)
    if canon.base.n and (base is None or head.n < base.header.seq):
        # The snapshot is of a life of the server that was lost, or does not verify any more.
        base, head = None, canon.rewind(-1)
        if SNAPSHOT_FILE in canon.disk.names():
            canon.disk.replace(f"quarantine-{SNAPSHOT_FILE}", canon.disk.read(SNAPSHOT_FILE))
            canon.disk.remove(SNAPSHOT_FILE)
    else:
        head = canon.rewind(head.n)
        if base is not None and head.n < base.header.seq:  # no seal stands right behind it
            canon.begin_behind(base.header.head, base.header.chain)
            head = canon.base
    view = View(core.domain) if base is None else _loaded(base, core.domain)
    for entry, op in _entries((commit for _, commit in canon.commits()), behind=view.cursor):
        view.fold(entry, op)
    view.jump(head.n)
    own = list(own_ops(commit for _, commit in opened.own.commits()))
    return Rewound(canon.base, head, view, own)


def _ops(commit: Commit) -> Iterator[Op]:
    for frame in commit.frames:
        if frame[1] == OP:
            yield decode_op(read_op_frame(frame)[0], trusted=True)


def own_ops(commits: Iterable[Commit]) -> Iterator[tuple[Op, list[Any], Head]]:
    """(op, events it was shown with, head of its chain) for each own op in a log, in order."""
    chain, head = b"", Head()
    for commit in commits:
        for frame in commit.frames:
            if frame[1] == SEGMENT:
                first = decode_segment(decode_frame(frame))
                chain, head = first.chain, Head(first.n, first.hash)
            if frame[1] == ERASED:
                head = Head(head.n + 1, link(head.hash, read_erased(frame).op_digest))
            if frame[1] != OP:
                continue
            raw, events = read_op_frame(frame)
            op = decode_op(raw, trusted=True)
            if op.chain != chain:
                chain, head = op.chain, Head()
            head = head.next(raw)
            if op.n != head.n:
                raise Malformed("bad-id", f"op {op.n} at place {head.n}")
            yield op, events, head


def close(opened: Opened, disk: Disk) -> None:
    """A clean stop: both logs get their second seal, and the view file is written where that is
    possible."""
    core = opened.core
    try:
        if opened.own is not None:
            opened.own.close()
        opened.canon.close()
        if isinstance(core, Hub):
            save_view(disk, core.view, core.head, opened.canon)
        elif not core.pending:
            save_view(disk, core.view, core.canon, opened.canon)
    except StorageFailed as error:  # nothing is lost: the next start folds the log
        _log.warning("could not finish a clean stop: %s", error)
