"""The café's discounts, as they are edited."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flet as ft

from node.api import Node, catalog, records
from ui.format import Format
from ui.viewmodels.forms import NEW, BadField, next_code


@ft.observable
@dataclass
class DiscountsModel:
    """What is being edited."""

    selected: str = ""
    shown: dict[str, Any] = field(default_factory=dict)
    """The discount as it stood when it was opened."""
    name: str = ""
    form: str = "percent"
    value: str = ""
    problem: str = ""
    saved: str = ""

    def open(self, node: Node, text: Format, discount: str) -> None:
        row = node.tables.table("discounts").row(discount) if discount != NEW else None
        self.selected, self.shown = discount, row or {}
        self.name = row["name"] if row else ""
        self.form = row["form"] if row else "percent"
        self.value = shown_value(text, row) if row else ""
        self.problem = self.saved = ""


def shown_value(text: Format, row: dict[str, Any]) -> str:
    """Its value as it is typed: percent, or an amount."""
    if row["form"] == "percent":
        return catalog.percent_text(row["value"]).removesuffix(".00")
    return text.plain(row["value"])


def _value(model: DiscountsModel, text: Format) -> int:
    typed = model.value.strip().replace(",", ".")
    if model.form == "percent":
        try:
            found = catalog.percent_to_bp(typed)
        except ValueError:
            raise BadField("value") from None
    else:
        found = text.parse(typed) or 0
    if found < 1:
        raise BadField("value")
    return found


async def save(node: Node, model: DiscountsModel, text: Format) -> str:
    """Add or change a discount; its code. Raises `BadField`, `SyncError`."""
    if not model.name.strip():
        raise BadField("name")
    values = {"name": model.name.strip(), "form": model.form, "value": _value(model, text)}
    if model.selected == NEW:
        code = next_code(node, "discounts", "D{}")
        await node.submit("discount.add", {"discount": code, **values})
        return code
    changes = records.changes_to(model.shown, values)
    if changes:
        fields = {"discount": model.selected, "changes": changes}
        await node.submit("discount.edit", fields)
    return model.selected


async def turn(node: Node, discount: str, on: bool) -> None:
    """Give it, or give it no more; raises `SyncError`."""
    row = node.tables.table("discounts").row(discount)
    changes = records.changes_to(row or {}, {"active": on})
    await node.submit("discount.edit", {"discount": discount, "changes": changes})
