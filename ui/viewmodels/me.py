"""Who is signed in: what they have collected, and their password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flet as ft

from node.api import Node, reports
from ui.viewmodels.cash import is_blind


@ft.observable
@dataclass
class MeModel:
    """What is typed."""

    old: str = ""
    new: str = ""
    again: str = ""
    problem: str = ""
    saved: str = ""
    busy: bool = False


def my_total(node: Node) -> dict[str, Any] | None:
    """What the person has collected in the open box; None where the count is blind."""
    if node.operator is None or is_blind(node):
        return None
    return reports.vendor_total(node.tables, node.operator.hex())
