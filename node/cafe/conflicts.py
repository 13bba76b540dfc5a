"""What a restored server got back and could not simply fold: a person looks at each.

A server that was put back from an old copy may have sold, collected or closed before its stations
gave back what it had lost. Nothing of either life is dropped, and nothing counts twice; where both
say something about one thing, the later news is written here.
"""

from __future__ import annotations

from typing import Any

from sync.domain import Tables

CODES = frozenset(
    {
        "box-differs",
        "closed-twice",
        "collected-late",
        "collected-twice",
        "decided-twice",
        "opened-twice",
        "ticket-twice",
    }
)


def note(tables: Tables, code: str, ref: str, **details: Any) -> None:
    """Write down that ``ref`` (an order, a box, a job) has news from a life that was lost."""
    assert code in CODES
    table = tables.table("conflicts")
    number = len(table) + 1
    table.put(str(number), {"number": number, "code": code, "ref": ref, "details": details})


def known(tables: Tables, code: str, ref: str) -> bool:
    """Whether it was written down already."""
    rows = tables.table("conflicts").scan()
    return any(row["code"] == code and row["ref"] == ref for _, row in rows)


INDEXES = {"conflicts": ((), ("number",))}
