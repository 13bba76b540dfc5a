"""Which pictures rows name, so that every node keeps those and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from sync.domain import Tables

Picture = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
"""SHA-256 of a picture in hex; empty for none."""


def follow(tables: Tables, owner: str, before: str, after: str) -> None:
    """``owner`` names one picture instead of another."""
    if before == after:
        return
    table = tables.table("pictures")
    if before:
        owners = [name for name in (table.row(before) or {"owners": []})["owners"] if name != owner]
        if owners:
            table.put(before, {"owners": owners})
        else:
            table.drop(before)
    if after:
        owners = (table.row(after) or {"owners": []})["owners"]
        table.put(after, {"owners": sorted({*owners, owner})})


def named(tables: Tables) -> Iterator[bytes]:
    """Digest of each picture that some row names."""
    for digest, _ in tables.table("pictures").scan():
        yield bytes.fromhex(digest)
