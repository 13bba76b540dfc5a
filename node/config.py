"""A node's own folder: what it is, whom it trusts, and its keys. All files are for its owner
alone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from platformdirs import user_data_path

from node import pincodes
from sync.certificates import make_certificate, pin
from sync.clock import Clock
from sync.disk import sync_folder
from sync.identity import Ed25519Signer, node_id
from sync.protocol import NodeKeys

CONFIG_FILE = "node.json"
DEFAULT_PORT = 8470


def default_folder() -> Path:
    """The platform's place for this user's data."""
    return user_data_path("cabina", appauthor=False)


class NoNode(Exception):
    """There is no node in this folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder))
        self.folder = folder


@dataclass
class Trusted:
    """The server, as a station or a customers' PC knows it."""

    public_key: str
    certificate: str
    host: str
    port: int


@dataclass
class Config:
    """What stands in ``node.json``."""

    role: str
    """``server``, ``station`` or ``client``."""
    cafe: str
    """Café id in hex."""
    language: str = "en"
    host: str = "127.0.0.1"
    """Address a server listens on."""
    port: int = DEFAULT_PORT
    printer: str | None = None
    """Address of the ticket printer, as `node.devices.printers.open_printer` takes it."""
    mirror: str | None = None
    """Folder on another disk where a server's data stand a second time."""
    server: Trusted | None = None
    """Of a station or a PC: whom it was paired with."""
    vendor: str | None = None
    """Of a PC that is a station too: that one's folder."""


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read; after a crash it is the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    sync_folder(path.parent)


def save(folder: Path, config: Config) -> None:
    write_private(folder / CONFIG_FILE, json.dumps(asdict(config), indent=1).encode())


def load(folder: Path) -> Config:
    """The node's configuration, or `NoNode`."""
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NoNode(folder) from None
    if values.get("server"):
        values["server"] = Trusted(**values["server"])
    return Config(**values)


@dataclass(frozen=True, slots=True)
class Keys:
    """A node's private things: its Ed25519 key, its TLS key and certificate, a server's café key
    and the keys of its PINs."""

    signer: Ed25519Signer
    tls_key: bytes
    certificate: bytes
    cafe_key: bytes = b""
    pin_keys: bytes = b""

    @property
    def node(self) -> bytes:
        return node_id(self.signer.public)

    def for_core(self, cafe: bytes, clock: Clock) -> NodeKeys:
        return NodeKeys(cafe, self.signer, pin(self.certificate), clock.boot)


def make_keys(folder: Path, cafe_key: bytes = b"") -> Keys:
    """New keys for a new node, written to its ``keys`` folder."""
    signer = Ed25519Signer.generate()
    tls_key, certificate = make_certificate(node_id(signer.public))
    keys = folder / "keys"
    for place in (folder, keys):  # `parents` would make the folder readable for others
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(keys / "node.key", signer.private)
    write_private(keys / "tls.key", tls_key)
    write_private(keys / "tls.crt", certificate)
    pin_keys = pincodes.new_keys() if cafe_key else b""
    if cafe_key:
        write_private(keys / "cafe.key", cafe_key)
        write_private(keys / "pins.key", pin_keys)
    return Keys(signer, tls_key, certificate, cafe_key, pin_keys)


def load_keys(folder: Path) -> Keys:
    keys = folder / "keys"
    is_server = (keys / "cafe.key").exists()
    return Keys(
        Ed25519Signer((keys / "node.key").read_bytes()),
        (keys / "tls.key").read_bytes(),
        (keys / "tls.crt").read_bytes(),
        (keys / "cafe.key").read_bytes() if is_server else b"",
        (keys / "pins.key").read_bytes() if is_server else b"",
    )
