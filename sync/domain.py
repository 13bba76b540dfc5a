"""The port through which the engine meets the world it serves; it knows nothing else of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from sync.op import Event, Op
from sync.table import RowTable


class Tables(Protocol):
    """Named TinyDB tables; writable only inside a fold."""

    def table(self, name: str) -> RowTable: ...


class Context(Struct, frozen=True, gc=False):
    """What a decision may know besides the tables."""

    op: Op
    operator: bytes | None
    """Who acts, by a grant that holds; None when no person does."""
    server: bool
    """True where the op is being sequenced; False where a station decides what will probably
    happen."""
    desk: bool
    """True if the op's author is the server itself."""
    seq: int
    """Number of the entry in the making; at a station, the next one after what it has folded."""
    at_ms: int
    """Server's UTC at the server, the station's own at a station."""
    age_ms: int
    """Monotonic age at arrival, or -1."""
    older: bool = False
    """Whether the op was made before this start of the server, as far as that is known; if it was
    put back from an old copy, it may have decided it before."""
    lost: bool = False
    """Whether it was made before the server found out that it had lost a part of its history."""


class Domain(Protocol):
    """Rules of the world: what happens, what that changes, and whose keys count."""

    indexes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    """Per table: paths indexed by value, and paths indexed in order."""

    public: frozenset[str]
    """Kinds of ops that every node may read, with the events they had."""

    def reads_all(self, tables: Tables, node: bytes) -> bool:
        """Whether an enrolled node gets the whole log, or only what is public and its own."""
        ...

    def decide(self, tables: Tables, op: Op, context: Context) -> list[Event]:
        """What happens, or raise `Refused`. Pure: no clock, no disk, no chance."""
        ...

    def apply(self, tables: Tables, event: Event) -> None:
        """Fold one event. Never refuses: what is in the log has happened."""
        ...

    def reapply(self, tables: Tables, event: Event) -> None:
        """Fold one event of an entry that a restored server got back. Meanwhile its desk may have
        gone on: what does not fit any more is noted for a person, never dropped, never done
        twice."""
        ...

    def refused(
        self,
        tables: Tables,
        op: Op | None,
        code: str,
        details: Mapping[str, Any],
        seq: int,
        at_ms: int,
    ) -> None:
        """Fold a refusal, so that a person can find it. ``op`` is None when its bytes were no
        op."""
        ...

    def erased(self, tables: Tables, key: bytes) -> None:
        """Fold that the bodies of ops under this key were taken out: what `refused` has noted of
        them goes, for nothing could note it again."""
        ...

    def nodes(self, tables: Tables) -> Iterable[bytes]:
        """Ids of the nodes that are enrolled and not revoked."""
        ...

    def blobs(self, tables: Tables) -> Iterable[bytes]:
        """SHA-256 of the blobs that rows name; every node that has such a row is to have them. It
        is asked once a second."""
        ...

    def node_key(self, tables: Tables, node: bytes) -> bytes | None:
        """Public key of a node that was ever enrolled."""
        ...

    def is_revoked(self, tables: Tables, node: bytes) -> bool:
        """Whether an enrolled node is trusted no more: what it sends is kept, and never
        accepted."""
        ...

    def operator_keys(self, tables: Tables, operator: bytes) -> Sequence[bytes]:
        """Public keys that an operator has had, the newest last, enabled or not: whether they may
        act is `decide`'s to say. Empty for nobody."""
        ...
