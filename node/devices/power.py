"""Switching computers on and off: a magic packet from the server, a command at the PC itself."""

from __future__ import annotations

import logging
import subprocess
import sys
import uuid

from wakeonlan import send_magic_packet

_log = logging.getLogger(__name__)
COMMANDS: dict[str, dict[str, list[str]]] = {
    "linux": {"shutdown": ["systemctl", "poweroff"], "restart": ["systemctl", "reboot"]},
    "win32": {"shutdown": ["shutdown", "/s", "/t", "0"], "restart": ["shutdown", "/r", "/t", "0"]},
    "darwin": {"shutdown": ["shutdown", "-h", "now"], "restart": ["shutdown", "-r", "now"]},
}


def wake(mac: str) -> None:
    """Ask the network card with this address to start its computer; nobody answers."""
    try:
        send_magic_packet(mac)
    except OSError as error:
        _log.warning("no magic packet could be sent: %s", error)


def own_mac() -> str:
    """Address of a network card of this computer; empty if the system tells none."""
    number = uuid.getnode()
    if number >> 40 & 1:  # made up by Python
        return ""
    return ":".join(f"{number:012x}"[at : at + 2] for at in range(0, 12, 2))


def switch(action: str) -> None:
    """Shut this computer down, or start it again; its system has to allow that."""
    command = COMMANDS.get(sys.platform, {}).get(action)
    if command is None:
        _log.error("%s: not known on %s", action, sys.platform)
        return
    try:
        subprocess.Popen(command)  # noqa: S603 - our own list
    except OSError as error:
        _log.error("%s: %s", action, error)
