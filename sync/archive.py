"""Reads the canonical log back for peers: from memory for what is recent, from disk for the
rest."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from sync.audience import redacted
from sync.errors import Damaged
from sync.frames import ENTRIES, RUN_SEAL, seal_in
from sync.log import Log, Position
from sync.messages import BATCH_BYTES, BATCH_OPS
from sync.op import Head

RECENT_BYTES = 16 << 20
PLACES_KEPT = 4096


def entries_in(frames: list[bytes]) -> int:
    return sum(frame[1] in ENTRIES for frame in frames)


class Archive:
    """Batches of frames behind any entry, each closed by a seal."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._recent: list[tuple[int, int, list[bytes]]] = []
        """(first seq, number of entries, frames) of the newest commits."""
        self._recent_bytes = 0
        self._places: dict[int, Position] = {}
        """Where the batch behind an entry begins on disk, as found while reading; a bounded
        memory."""
        self._newest: tuple[int, list[bytes], Head] | None = None
        """What was read last (behind which entry, frames, where they end): many links ask for the
        same when one commit goes to all of them."""

    def add(self, first_seq: int, frames: list[bytes]) -> None:
        """Remember a commit that has just become durable."""
        self._newest = None
        count = entries_in(frames)
        if count == 0:
            return
        self._recent.append((first_seq, count, frames))
        self._recent_bytes += sum(map(len, frames))
        if self._recent_bytes > RECENT_BYTES:
            half = len(self._recent) // 2
            self._recent_bytes -= sum(sum(map(len, old)) for _, _, old in self._recent[:half])
            del self._recent[:half]

    def run(self, head: Head, reader: bytes, public: frozenset[str]) -> tuple[list[bytes], Head]:
        """One batch behind ``head`` as ``reader`` may read it (empty: all of it), and its own head.
        Who asks for the same again is given the same list: nobody changes it.

        `Damaged` if the log holds nothing there.
        """
        if self._newest is None or self._newest[0] != head.n:
            frames, last = self.after(head.n)
            if not frames:
                raise Damaged("canon", 0, f"nothing stands behind entry {head.n}")
            self._newest = head.n, frames, Head(last, seal_in(frames[-1]).hash)
        _, frames, ends = self._newest
        return (redacted(frames, head, reader, public) if reader else frames), ends

    def after(self, seq: int) -> tuple[list[bytes], int]:
        """One batch: frames of the entries behind ``seq`` with a seal last, and its last seq.

        A batch ends at the end of a commit, so that its seal is one that stands in the log.
        """
        batch: list[bytes] = []
        last, size, seal = seq, 0, b""
        for first_seq, count, frames, place in self._from(seq):
            if first_seq + count - 1 <= seq:
                continue
            keep = [f for f in frames[:-1] if f[1] in ENTRIES or f[1] == RUN_SEAL]
            if first_seq <= seq:  # a reader inside a commit: give it the rest of that commit
                keep = _behind(keep, seq - first_seq + 1)
            grown = size + sum(map(len, keep))
            if batch and (grown > BATCH_BYTES or last - seq + count > BATCH_OPS):
                self._note_place(last, place)
                break
            batch += keep
            last, size, seal = first_seq + count - 1, grown, frames[-1]
        if seal:
            batch.append(seal)
        return batch, last

    def _from(self, seq: int) -> Iterator[tuple[int, int, list[bytes], Position | None]]:
        """(first seq, count, frames, place on disk or None) of commits that may hold what is
        wanted."""
        if self._recent and self._recent[0][0] <= seq + 1:
            start_at = bisect_right(self._recent, seq + 1, key=lambda commit: commit[0]) - 1
            for first_seq, count, frames in self._recent[start_at : start_at + BATCH_OPS + 1]:
                yield first_seq, count, frames, None
            return
        start_seq = max((at for at in self._places if at <= seq), default=self._log.base.n)
        start = self._places.get(start_seq, Position())
        next_seq = start_seq + 1
        segment, offset = start.segment, start.offset
        for number, commit in self._log.commits(start):
            if number != segment:
                segment, offset = number, 0
            count = entries_in(commit.frames)
            if count:
                yield next_seq, count, commit.frames, Position(segment, offset)
            next_seq += count
            offset = commit.end

    def _note_place(self, seq: int, place: Position | None) -> None:
        if place is not None:
            if len(self._places) > PLACES_KEPT:
                self._places.clear()
            self._places[seq] = place


def _behind(frames: list[bytes], skip: int) -> list[bytes]:
    entries = [at for at, frame in enumerate(frames) if frame[1] in ENTRIES]
    return frames[entries[skip] :]
