"""Events in, effects out: the whole language between a core and the driver that runs it.

A core is a plain object: no sockets, files, clocks or chance. The driver (asyncio and real disks,
or a simulation) calls ``step(event, now)`` and carries out the effects in their order. Cores stage
what must be durable together; `Flush` turns it into one `Commit`, and only `Committed` lets
anything be shown or sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Struct

from sync.errors import Refused, SyncError
from sync.identity import Signer, node_id
from sync.messages import Message
from sync.op import Event as DomainEvent
from sync.op import Head, Op


class Now(Struct, frozen=True):
    """Both clocks, as the driver read them for this step."""

    wall_ms: int
    mono_ms: int


NONCE_BYTES = 16
STATUS = "status"
"""Told to listeners beside the names of tables: something about the links has changed."""


@dataclass
class NodeKeys:
    """What a core signs with."""

    cafe: bytes
    signer: Signer
    certificate: bytes
    boot: bytes

    @property
    def node(self) -> bytes:
        return node_id(self.signer.public)


# --- events ------------------------------------------------------------------


class Opened(Struct, frozen=True):
    """A link is up: TLS is done and the other side's certificate is one we pinned."""

    link: int
    peer: bytes
    """Node id that the certificate was pinned for."""
    peer_certificate: bytes
    """SHA-256 of its DER bytes."""


class Received(Struct, frozen=True):
    link: int
    message: Message


class Closed(Struct, frozen=True):
    link: int


class Act(Struct, frozen=True):
    """Somebody at this node wants something done; the answer comes as `Done` with the same
    token."""

    token: Any
    kind: str
    version: int
    body: dict[str, Any]
    key: bytes
    operator: bytes | None = None


class SignIn(Struct, frozen=True):
    """An operator's key was unwrapped here; acts in their name may follow."""

    operator: bytes
    key: Signer
    until_mono_ms: int


class Question(Struct, frozen=True):
    """Ask the server something beside the log."""

    token: Any
    kind: str
    body: dict[str, Any]


class Flush(Struct, frozen=True):
    """The inbox is empty (or enough is staged): make what is staged durable."""


class Committed(Struct, frozen=True):
    """The commit asked for is durable."""


class CommitFailed(Struct, frozen=True):
    error: SyncError


class Abandon(Struct, frozen=True):
    """A step failed by a fault of ours: what its round has staged never happened."""

    error: SyncError


class Kept(Struct, frozen=True):
    """The kept copies of entries are durable up to now."""


class Served(Struct, frozen=True):
    """A `Serve` has sent entries up to ``last``; batches end where commits end, so it may be
    further."""

    link: int
    last: int
    hash: bytes = b""
    """Of that head, where it was asked with one."""


class Rewound(Struct, frozen=True):
    """The copy of the canonical log begins behind ``base`` and ends at ``head`` again; ``view`` is
    what it folds to. ``own`` are all ops of the own log, each with its events and the head of its
    chain."""

    base: Head
    head: Head
    view: Any
    own: Sequence[tuple[Op, list[DomainEvent], Head]]


class Adopted(Struct, frozen=True):
    """The copy of the canonical log begins behind the snapshot now; the fields are `Rewound`'s."""

    head: Head
    view: Any
    own: Sequence[tuple[Op, list[DomainEvent], Head]]


class Compacted(Struct, frozen=True):
    """The snapshot of entry ``seq`` stands for the beginning of our logs now; our copy of the
    canonical one begins behind ``base``."""

    seq: int
    base: Head


class Checked(Struct, frozen=True):
    """A copy of all up to ``head`` is somewhere else: a ``mirror``, or a ``backup``."""

    head: Head
    copy: str


class BlobKept(Struct, frozen=True):
    """A blob is on our disk."""

    digest: bytes


class Erase(Struct, frozen=True):
    """The bodies of what was done under these keys are to be taken out everywhere; `Done` says that
    this is on record."""

    token: Any
    keys: list[Any]
    """``[key, [[seq, chain, n], …]]``: the entries that name it, and where their ops stand."""


class Tick(Struct, frozen=True):
    """About once a second."""


Event = (
    Opened
    | Received
    | Closed
    | Act
    | SignIn
    | Question
    | Flush
    | Committed
    | CommitFailed
    | Abandon
    | Kept
    | Served
    | Rewound
    | Adopted
    | Compacted
    | Checked
    | BlobKept
    | Erase
    | Tick
)

# --- effects -----------------------------------------------------------------


class Commit(Struct, frozen=True):
    """Append these frames to the node's own log, sync, and answer `Committed` or `CommitFailed`."""

    frames: list[bytes]


class Keep(Struct, frozen=True):
    """Append these frames to the copy of the canonical log; no sync needed yet."""

    frames: list[bytes]


class SyncKept(Struct, frozen=True):
    """Sync the copy of the canonical log and answer `Kept`."""


class Send(Struct, frozen=True):
    link: int
    message: Message


class Serve(Struct, frozen=True):
    """Send the entries behind ``after`` to this link, in batches, about up to ``last``; say
    `Served`. To a ``reader`` that may not read everything, with jumps; ``hash`` is then that of
    the head ``after``."""

    link: int
    after: int
    last: int
    reader: bytes = b""
    hash: bytes = b""


class Rewind(Struct, frozen=True):
    """Cut the copy of the canonical log back to this head or a seal before it, keep aside what
    stood behind, fold it anew, and say `Rewound`. It is asked for again until that has worked."""

    head: Head


class Adopt(Struct, frozen=True):
    """Begin anew from this snapshot, whose header was checked: keep it, drop the log before it, and
    say `Adopted`. If the disk refuses, the link is to be dropped; nothing has changed then."""

    header: bytes
    parts: list[bytes]


class Compact(Struct, frozen=True):
    """Let this snapshot, whose header was checked, stand for the beginning of both logs, and say
    `Compacted`. If the disk refuses, nothing is lost and nothing is asked again."""

    header: bytes
    parts: list[bytes]


class SetAside(Struct, frozen=True):
    """Keep these entries of a lost life in a file: what came before them is missing. If the disk
    refuses, the link that they came from must be dropped: they would be acknowledged."""

    link: int
    node: bytes
    seq: int
    frames: list[bytes]


class ServePart(Struct, frozen=True):
    """Send this frame of the snapshot to the link."""

    link: int
    seq: int
    number: int


class GiveBlob(Struct, frozen=True):
    """Send this blob to the link, or say that it is not here."""

    link: int
    digest: bytes


class KeepBlob(Struct, frozen=True):
    """Keep this blob, which is what its name says, and say `BlobKept`. If the disk refuses it is
    asked for again some time."""

    digest: bytes
    data: bytes


class Drop(Struct, frozen=True):
    """Say goodbye with a reason, and close."""

    link: int
    code: str


class Receipt(Struct, frozen=True):
    """What became of an act: ``accepted`` (sequenced), ``queued`` (durable here) or ``done-
    before``."""

    chain: bytes
    n: int
    key: bytes
    state: str
    events: list[DomainEvent] = []
    seq: int = 0

    @property
    def op_id(self) -> str:
        return f"{self.chain.hex()}:{self.n}"


class Done(Struct, frozen=True):
    token: Any
    result: Receipt | SyncError


class Inquire(Struct, frozen=True):
    """A peer asks something beside the log; the driver answers through `Send` of an `Answer`."""

    link: int
    peer: bytes
    number: int
    kind: str
    body: dict[str, Any]


class Answered(Struct, frozen=True):
    token: Any
    result: dict[str, Any] | Refused | SyncError


class Alarm(Struct, frozen=True):
    """Something that a person should be able to find later."""

    code: str
    details: dict[str, Any]


Effect = (
    Commit
    | Keep
    | SyncKept
    | Rewind
    | Adopt
    | Compact
    | Send
    | Serve
    | ServePart
    | GiveBlob
    | KeepBlob
    | SetAside
    | Drop
    | Done
    | Inquire
    | Answered
    | Alarm
)

MAX_STAGED_BYTES = 256 << 10
MAX_STAGED_ENTRIES = 512


class Staged(Struct):
    """What waits for the next commit, and what to do when it is durable."""

    begun: bool = False
    frames: list[bytes] = []
    entries: int = 0
    size_bytes: int = 0
    then: list[Effect] = []

    def add(self, frames: list[bytes], entries: int) -> None:
        self.frames += frames
        self.entries += entries
        self.size_bytes += sum(map(len, frames))

    @property
    def full(self) -> bool:
        return self.size_bytes >= MAX_STAGED_BYTES or self.entries >= MAX_STAGED_ENTRIES
