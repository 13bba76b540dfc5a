"""What forms have in common: a field that cannot be taken, and codes for what is new."""

from __future__ import annotations

from node.api import Node

NEW = "+"
"""What is selected while something new is being written."""


class BadField(Exception):
    """A field holds what cannot be taken; its argument is the field's name."""


def next_code(node: Node, table: str, mark: str) -> str:
    """A code that no other node makes up: it bears this one's label, then ``mark`` with the first
    number that is free, such as ``S1-D3`` for ``D{}``."""
    row = node.tables.table("stations").peek(node.node_id)
    label = row["label"] if row is not None else "P"
    rows = node.tables.table(table)
    number = len(rows) + 1
    while rows.peek(code := f"{label}-{mark.format(number)}") is not None:
        number += 1
    return code
