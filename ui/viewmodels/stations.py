"""Stations of the café, how each stands, and the door for a new one."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

import flet as ft

from node.api import ServerNode, settings

PAIRING_PORT = 8471


@ft.observable
@dataclass
class StationsModel:
    """What is going on at the door."""

    step: str = ""
    """``open`` (waiting for a station), ``digits`` (it shows some), or empty."""
    address: str = ""
    knocking: str = ""
    """Name of who knocks."""
    digits: str = ""
    problem: str = ""
    done: str = ""
    sure: str = ""
    """Station that is about to be trusted no more."""

    def forget(self) -> None:
        """Nobody is sure any more."""
        self.sure = ""


def rows(node: ServerNode) -> list[dict[str, Any]]:
    """Every station: who, whether it is here, what is known of it."""
    online = {n.hex() for n in node.hub.online()}
    missing = set(node.missing())
    found = []
    seen = {one.station: one for one in node.stations_now()}
    for station, row in node.tables.table("stations").scan():
        known = seen.get(station)
        state = "online" if station in online else "missing" if station in missing else "offline"
        found.append(
            {
                "station": station,
                "label": row["label"],
                "name": row["name"],
                "number": row["number"],
                "state": "revoked" if row["revoked"] else state,
                "seen_ms": known.seen_ms if known else 0,
                "head": known.head if known else 0,
                "unsent": known.unsent if known else 0,
                "unsent_minor": known.unsent_minor if known else 0,
            }
        )
    return sorted(found, key=lambda row: (row["state"] == "revoked", row["number"]))


def address_of(host: str) -> str:
    """Where a station finds this machine: its address in the network if it listens to all of it."""
    if host and not ipaddress.ip_address(host).is_unspecified:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses the way out
        except OSError:
            return socket.gethostname()
        return str(asked.getsockname()[0])


def is_on(node: ServerNode) -> bool:
    """Whether stations may sell at all."""
    return bool(settings.cafe(node.tables).get("remote_pos"))
