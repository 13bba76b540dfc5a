"""The folder on another disk where a server's data stand a second time. It is a whole server's
folder: if the first disk dies, ``cabina server`` runs on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from node import config
from node.pictures import copy_missing
from node.roles.server import ServerNode
from sync.disk import OsAppendFile, OsDisk
from sync.errors import Refused, StorageFailed, SyncError
from sync.identity import verify_ed25519
from sync.mirror import Mirror

_log = logging.getLogger(__name__)
MARKER = "mirror.json"
"""Tells the folder from an empty one that stands in its place while its disk is not there."""


class MirrorDisk(OsDisk):
    """A folder whose disk may go away, and leave the folder it was mounted on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._there()
        super().__init__(folder)

    def _there(self) -> None:
        if not (self._folder / MARKER).is_file():
            raise StorageFailed(f"{self._folder} is not there")

    def open(self, name: str) -> OsAppendFile:
        self._there()
        return super().open(name)


def make_mirror(server: Path, folder: Path) -> None:
    """Make ``folder`` ready to be the mirror of the server in another folder.

    `Refused` ``mirror-in-use`` if something else is in it, `StorageFailed` if it cannot be written.
    """
    settings, marker = config.load(server), folder / MARKER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if marker.exists():
            known = json.loads(marker.read_text(encoding="utf-8"))
            if known.get("cafe") != settings.cafe:
                raise Refused("mirror-in-use", folder=str(folder))
        elif any(folder.iterdir()):
            raise Refused("mirror-in-use", folder=str(folder))
        _copy_settings(server, folder)
        config.write_private(marker, json.dumps({"cafe": settings.cafe}).encode())
    except (OSError, ValueError) as error:
        raise StorageFailed(str(error)) from error


def _copy_settings(server: Path, folder: Path) -> None:
    """What a server needs beside its log."""
    (folder / "keys").mkdir(mode=0o700, exist_ok=True)
    for key in (server / "keys").iterdir():
        config.write_private(folder / "keys" / key.name, key.read_bytes())
    config.save(folder, replace(config.load(server), mirror=None))


def set_mirror(node: ServerNode, folder: Path) -> None:
    """Keep a mirror there from now on; it is filled beside everything else. As `make_mirror`."""
    make_mirror(node.folder, folder)
    node.config.mirror = str(folder)
    config.save(node.folder, node.config)
    node.follow(opener(node.folder, folder, node.cafe_id, node.keys), None)


def drop_mirror(node: ServerNode) -> None:
    """Keep none; what stands there stays."""
    node.config.mirror = None
    config.save(node.folder, node.config)
    node.unfollow()


def is_same_disk(one: Path, other: Path) -> bool:
    """A mirror there would die with the server's own disk."""
    return one.stat().st_dev == other.stat().st_dev


def opener(server: Path, folder: Path, cafe: bytes, keys: config.Keys) -> Callable[[], Mirror]:
    """How the mirror of the server in one folder is opened in the other, and opened again when its
    disk has come back. Settings and keys may have changed since: they are copied each time."""
    held: list[OsDisk] = []

    def open_mirror() -> Mirror:
        while held:
            held.pop().close()
        try:
            disk = MirrorDisk(folder)
            held.append(disk)
            public = keys.signer.public
            mirror = Mirror(disk, cafe, keys.node, public, verify_ed25519, release=disk.close)
        except (OSError, SyncError) as error:
            raise StorageFailed(str(error)) from error
        try:
            _copy_settings(server, folder)
            copy_missing(server, folder)
        except (OSError, SyncError) as error:  # what it has of the log counts all the same
            _log.error("the mirror's settings: %s", error)
        return mirror

    return open_mirror
