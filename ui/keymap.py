"""All keys, as data: they drive the handlers, the labels, the help and the tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """One key on some screens; ``screens`` empty means everywhere."""

    key: str
    """As Flet names it: ``Enter``, ``F5``, ``K``."""
    action: str
    ctrl: bool = False
    alt: bool = False
    screens: tuple[str, ...] = ()

    @property
    def cap(self) -> str:
        """What stands on the key cap beside a label."""
        name = {"Escape": "Esc", " ": "Space"}.get(self.key, self.key)
        return f"{'Ctrl ' if self.ctrl else ''}{'Alt ' if self.alt else ''}{name}"


KEYS = (
    Key("P", "go_floor", ctrl=True),
    Key("H", "enable_pc", ctrl=True),
    Key(" ", "start_pc", screens=("floor",)),
    Key("F5", "go_sell"),
    Key("F6", "go_orders"),
    Key("F7", "go_box"),
    Key("F10", "go_cash"),
    Key("F2", "go_catalogue"),
    Key("F3", "go_exceptions"),
    Key("F8", "go_customers"),
    Key("F9", "add_credit"),
    Key("F11", "go_sales"),
    Key("F12", "go_me"),
    Key("L", "lock", ctrl=True),
    *[Key(str(n % 10), f"rail_{n}", alt=True) for n in range(1, 11)],
    Key(",", "go_settings", ctrl=True),
    Key("K", "search", ctrl=True, screens=("sell",)),
    Key("Enter", "charge", screens=("sell", "floor")),
    Key("F4", "discounts", screens=("sell",)),
    Key(
        "Escape",
        "back",
        screens=(
            "sell",
            "queue",
            "box",
            "cash",
            "catalogue",
            "sales",
            "customers",
            "pins",
            "floor",
            "pcs",
        ),
    ),
    Key("A", "allow", alt=True, screens=("queue", "sell")),
    Key("X", "deny", alt=True, screens=("queue",)),
    Key("C", "collect", alt=True, screens=("queue",)),
    Key("Enter", "next", screens=("box",)),
)


def action_for(key: str, *, ctrl: bool, alt: bool, screen: str) -> str:
    """Action of a key on a screen, or empty."""
    for known in KEYS:
        if (known.key, known.ctrl, known.alt) == (key, ctrl, alt) and (
            not known.screens or screen in known.screens
        ):
            return known.action
    return ""


def cap(action: str) -> str:
    """Key cap of an action."""
    return next((key.cap for key in KEYS if key.action == action), "")
