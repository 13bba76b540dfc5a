"""Backups: one file with everything a server needs to begin again, and how it begins again.

    backup = zip of  about.json · node.json · canon-NNNNNN.log … · snapshot · pictures/… · tls.crt ·
             secrets

``secrets`` holds the server's keys under the recovery passphrase (Argon2id, ChaCha20-Poly1305);
without it a backup can be verified and read by nobody who is not the café.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from node import config
from node.bootstrap import check_password, open_folder
from node.cafe.house import Cafe
from node.pictures import NAME, PICTURES_FOLDER
from node.roles.server import ServerNode
from sync.disk import ReadOnlyDisk
from sync.errors import Damaged, Malformed, Refused, StorageFailed
from sync.identity import Ed25519Signer, node_id, verify_ed25519
from sync.op import sha256
from sync.protocol import Checked
from sync.sealed import lock, unlock
from sync.snapshot import SNAPSHOT_FILE
from sync.verify import Verified, verify_canon

FORMAT = 1
ABOUT, SECRETS, CERTIFICATE = "about.json", "secrets", "tls.crt"
RECOVERY_FILE = "recovery"
"""In the folder of keys: the keys themselves under the recovery passphrase, for each backup."""
_SECRET = ("node.key", "tls.key", "cafe.key", "pins.key")
_FILE = re.compile(r"canon-\d{6}\.log")
_PICTURE = re.compile(rf"{PICTURES_FOLDER}/{NAME.pattern}")
COPY_BYTES = 1 << 20


def has_passphrase(folder: Path) -> bool:
    return (folder / "keys" / RECOVERY_FILE).exists()


def set_passphrase(folder: Path, passphrase: str) -> None:
    """From now on backups open with this passphrase. Takes a sixth of a second: in a thread."""
    check_password(passphrase)
    keys = folder / "keys"
    plain = msgpack.packb({name: (keys / name).read_bytes() for name in _SECRET})
    config.write_private(keys / RECOVERY_FILE, msgpack.packb(lock(plain, passphrase)))


async def back_up(node: ServerNode, target: Path) -> dict[str, Any]:
    """Write a backup of a running server and put it on record; stations need not keep longer what
    is in it. `Refused` ``no-passphrase``, ``unread-entries``; `StorageFailed`."""
    if not has_passphrase(node.folder):
        raise Refused("no-passphrase")
    head = await node.driver.make_snapshot()
    end = node.log_position
    about = {
        "format": FORMAT,
        "cafe": node.config.cafe,
        "public_key": node.keys.signer.public.hex(),
        "seq": head.n,
        "head": head.hash.hex(),
        "at_ms": node.clock.wall_ms(),
    }

    def write() -> int:
        temporary = target.with_name(f"{target.name}.new")
        try:
            with temporary.open("wb") as file:
                temporary.chmod(0o600)
                _write(file, node.folder, about, end.segment, end.offset)
                file.flush()
                os.fsync(file.fileno())
            size = temporary.stat().st_size
            os.replace(temporary, target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageFailed(str(error)) from error
        return size

    size = await asyncio.to_thread(write)
    node.driver.post(Checked(head, "backup"))
    return {"file": str(target), "seq": head.n, "bytes": size}


def _write(file: Any, folder: Path, about: dict[str, Any], last: int, end: int) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(ABOUT, json.dumps(about, indent=1))
        for name in (config.CONFIG_FILE, SNAPSHOT_FILE):
            archive.write(folder / name, name)
        archive.write(folder / "keys" / CERTIFICATE, CERTIFICATE)
        archive.write(folder / "keys" / RECOVERY_FILE, SECRETS)
        for picture in sorted((folder / PICTURES_FOLDER).glob("*")):
            if NAME.fullmatch(picture.name):
                archive.write(picture, f"{PICTURES_FOLDER}/{picture.name}")
        for log in sorted(folder.glob("canon-*.log")):
            number = int(log.stem[-6:])
            left = log.stat().st_size if number < last else end if number == last else 0
            with log.open("rb") as source, archive.open(log.name, "w") as into:
                while left > 0 and (data := source.read(min(COPY_BYTES, left))):
                    into.write(data)
                    left -= len(data)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a folder holds after a backup was put into it."""

    checked: Verified
    at_ms: int
    """When the backup was made, by the server's clock."""


_NO_BACKUP = (
    zipfile.BadZipFile,
    zlib.error,
    Malformed,
    EOFError,
    LookupError,
    NotImplementedError,  # a way of packing that Python does not know
    RuntimeError,  # a password on the zip itself
    TypeError,
    ValueError,
)
"""What reading something else, or something damaged, ends in."""


def restore(file: Path, folder: Path, passphrase: str) -> Restored:
    """Put a backup into an empty folder. The keys are opened and the log is verified before
    anything counts.

    `Refused` ``already-created``, ``bad-backup``, ``wrong-password``; `Damaged`, `StorageFailed`.
    """
    if (folder / config.CONFIG_FILE).exists():
        raise Refused("already-created")
    try:
        with zipfile.ZipFile(file) as archive:
            return _restore(archive, folder, passphrase)
    except _NO_BACKUP as error:
        raise Refused("bad-backup", what=str(error)[:80]) from None
    except OSError as error:
        if error.errno == errno.EINVAL:  # its table points to where no file can be
            raise Refused("bad-backup", what=str(error)) from None
        raise StorageFailed(str(error)) from error


def _restore(archive: zipfile.ZipFile, folder: Path, passphrase: str) -> Restored:
    about = json.loads(archive.read(ABOUT))
    if about["format"] != FORMAT:
        raise Malformed("bad-format", f"format {about['format']}")
    plain = unlock(msgpack.unpackb(archive.read(SECRETS)), passphrase)
    secrets: dict[str, bytes] = msgpack.unpackb(plain)
    public = Ed25519Signer(secrets["node.key"]).public
    for place in (folder, folder / "keys", folder / PICTURES_FOLDER):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (SNAPSHOT_FILE, *filter(_FILE.fullmatch, archive.namelist())):
        config.write_private(folder / name, archive.read(name))
    cafe = bytes.fromhex(about["cafe"])
    disk = ReadOnlyDisk(folder)
    checked = verify_canon(disk, cafe, node_id(public), public, Cafe(), verify_ed25519)
    if checked.problem is not None:
        problem = checked.problem
        raise Damaged(problem.log, problem.offset, f"{problem.where}: {problem.what}")
    for name in filter(_PICTURE.fullmatch, archive.namelist()):
        data = archive.read(name)
        if sha256(data).hex() != Path(name).name:
            raise Malformed("bad-blob", name)
        config.write_private(folder / name, data)
    for name in _SECRET:
        config.write_private(folder / "keys" / name, secrets[name])
    config.write_private(folder / "keys" / CERTIFICATE, archive.read(CERTIFICATE))
    config.write_private(folder / "keys" / RECOVERY_FILE, archive.read(SECRETS))
    config.write_private(folder / config.CONFIG_FILE, archive.read(config.CONFIG_FILE))
    return Restored(checked, about["at_ms"])


async def stations_in(folder: Path) -> list[str]:
    """Names of the stations that a server which begins again here will wait for."""
    node = open_folder(folder)
    try:
        assert isinstance(node, ServerNode)
        rows = [node.tables.table("stations").peek(station) for station in node.missing()]
        return [f"{row['label']} {row['name']}" for row in rows if row]
    finally:
        await node.stop()
