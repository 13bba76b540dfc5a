"""A station in one file that shares no line with the engine: what `sync/README.md` says is all it knows.

It makes its own log, keeps its copy of the canonical log and speaks the wire. It leaves out what a station may do without:
forks of a chain, giving entries back to a restored server, compaction, erasing what it has already written, blobs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import select
import shutil
import ssl
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

COMMIT, ENTRY, OP, SEAL, RUN_SEAL, ERASED, SEGMENT, SNAPSHOT = range(8)
ZERO = bytes(32)
FRAME_LIMIT, OP_LIMIT, FILE_SIZE = 4 << 20, 64 << 10, 4 << 20
BATCH_OPS, BATCH_BYTES, BATCHES = 256, 128 << 10, 4
PASSING = {"stopping", "silence", "gap", "server-disk"}  # a link that ended so may be tried again


class EngineError(Exception):
    """Something that does not follow the formats; the first argument is a short code."""


class Torn(EngineError):
    """A file that ends before its last commit does."""


class Head(NamedTuple):
    """Where a chain or the canonical log stands."""

    chain: bytes
    n: int
    hash: bytes


NOWHERE = Head(bytes(24), 0, ZERO)


# --- values and signed texts ---


def sha(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def node_id(public: bytes) -> bytes:
    """The id of the node with this Ed25519 public key."""
    return sha(public)[:16]


def link(head: bytes, body: bytes) -> bytes:
    """The hash of a head after one more body."""
    return sha(head + sha(body))


def pack(value: Any) -> bytes:
    """Canonical msgpack of a value that was made here."""
    return bytes(msgpack.packb(value))


def check_value(value: Any, depth: int) -> None:
    """Refuse what the formats do not know; containers nest `depth` deep, scalars are free."""
    if isinstance(value, list | dict):
        if depth < 1 or len(value) > 4096:
            raise EngineError("too-deep" if depth < 1 else "too-large")
        if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            raise EngineError("bad-type")
        for item in value.values() if isinstance(value, dict) else value:
            check_value(item, depth - 1)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise EngineError("out-of-range")
    elif value is not None and not isinstance(value, str | bytes):
        raise EngineError("bad-type")


def unpack(data: bytes, limit: int = FRAME_LIMIT, depth: int = 16) -> Any:
    """Read canonical msgpack. An op is at most 12 deep; a frame that repeats its body, deeper."""
    if len(data) > limit:
        raise EngineError("too-large")
    try:
        value = msgpack.unpackb(data, strict_map_key=False)
    except msgpack.ExtraData:
        raise EngineError("not-canonical") from None
    except (ValueError, TypeError, msgpack.UnpackException):
        raise EngineError("not-msgpack") from None
    check_value(value, depth)
    if pack(value) != data:
        raise EngineError("not-canonical")
    return value


def signed(purpose: str, cafe: bytes, *fields: bytes | int) -> bytes:
    """The text that a signature of this purpose covers."""
    parts = [f if isinstance(f, bytes) else f.to_bytes(8, "big") for f in fields]
    return purpose.encode().ljust(16, b"\0") + cafe + b"".join(parts)


def seal_text(cafe: bytes, head: Head) -> bytes:
    """A node over its own ops."""
    return signed("cabina:seal:1", cafe, *head)


def canon_text(cafe: bytes, head: Head) -> bytes:
    """The server over the canonical log."""
    return signed("cabina:canon:1", cafe, *head)


def grant_text(cafe: bytes, operator: bytes, chain: bytes, n: int, until: int) -> bytes:
    """An operator over a sign-in."""
    return signed("cabina:grant:1", cafe, operator, chain, n, until)


def hello_text(cafe: bytes, node: bytes, nonces: bytes, own: bytes, peer: bytes) -> bytes:
    """A node over the client's nonce and the server's, its own certificate and the peer's."""
    return signed("cabina:hello:1", cafe, node, nonces, sha(own), sha(peer))


def snap_text(cafe: bytes, head: Head, parts: bytes) -> bytes:
    """The server over a snapshot and its list of parts."""
    return signed("cabina:snap:1", cafe, *head, sha(parts))


def verify(key: Ed25519PublicKey, signature: bytes, text: bytes, code: str) -> None:
    """Raise this code unless the signature is the key's."""
    try:
        key.verify(signature, text)
    except InvalidSignature:
        raise EngineError(code) from None


def card_digest(role: str, name: str, public: bytes, certificate: bytes) -> bytes:
    """What pairing says of one side."""
    return sha(pack([role, name, public, certificate]))


def pairing_digits(cafe: bytes, server: bytes, station: bytes, nonces: bytes) -> str:
    """The six digits, from both cards' digests and the nonces: the server's, the station's."""
    digest = sha(b"cabina:pair:1" + cafe + server + station + nonces)
    return f"{int.from_bytes(digest[:8], 'big') % 10**6:06d}"


# --- ops, frames, commits, snapshots ---


class Op(NamedTuple):
    """What a station signs; the format number 1 stands before it."""

    chain: bytes
    n: int
    kind: str
    version: int
    body: dict[str, Any]
    grant: int
    base: int
    key: bytes
    wall: int
    mono: int
    boot: bytes


def decode_op(data: bytes) -> Op:
    """Read an op and check each field."""
    value = unpack(data, OP_LIMIT, 12)
    types = [int, bytes, int, str, int, dict, int, int, bytes, int, int, bytes]
    if not isinstance(value, list) or [type(item) for item in value] != types:
        raise EngineError("bad-type")
    op = Op(*value[1:])
    if value[0] != 1 or (len(op.chain), len(op.key), len(op.boot)) != (24, 16, 8):
        raise EngineError("bad-format" if value[0] != 1 else "bad-type")
    if min(op.n, op.version, len(op.kind)) < 1 or min(op.grant, op.base, op.mono) < 0:
        raise EngineError("out-of-range")
    return op


def encode_op(op: Op) -> bytes:
    """The bytes that are linked and sent, forever as they are here."""
    data = pack([1, *op])
    decode_op(data)
    return data


def frame(body: bytes) -> bytes:
    """A body with its length and CRC."""
    return struct.pack("<II", len(body), zlib.crc32(body)) + body


def read_frames(data: bytes) -> list[bytes]:
    """The bodies of whole frames, each with its CRC checked."""
    bodies, at = [], 0
    while at < len(data):
        length, crc = struct.unpack_from("<II", data.ljust(at + 8, b"\0"), at)
        body, at = data[at + 8 : at + 8 + length], at + 8 + length
        if length > FRAME_LIMIT or at > len(data) or zlib.crc32(body) != crc:
            raise EngineError("bad-frame")
        bodies.append(body)
    return bodies


def commit(bodies: list[bytes]) -> bytes:
    """One commit: how long the rest is, then the frames; the last one is a seal."""
    rest = b"".join(frame(body) for body in bodies)
    return frame(pack([COMMIT, struct.pack("<I", len(rest))])) + rest


def read_commit(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The bodies of the commit at this place behind its first frame, and where it ends."""
    if at + 16 > len(data):
        raise Torn("torn")
    first = data[at + 8 : at + 16]
    if data[at : at + 16] != frame(first) or first[:4] != b"\x92\x00\xc4\x04":
        raise EngineError("bad-commit")
    end = at + 16 + int.from_bytes(first[4:], "little")
    if end > len(data):
        raise Torn("torn")
    return read_frames(data[at + 16 : end]), end


def read_header(
    body: bytes, cafe: bytes, server: Ed25519PublicKey
) -> tuple[Head, list[tuple[str, bytes]]]:
    """The head of a snapshot and its parts' names and hashes, once the signature is verified."""
    tag, form, chain, seq, hash_, parts, signature = unpack(body)
    head = Head(chain, seq, hash_)
    if (tag, form) != (SNAPSHOT, 1) or chain[:16] != node_id(server.public_bytes_raw()):
        raise EngineError("bad-snapshot")
    verify(server, signature, snap_text(cafe, head, parts), "bad-snapshot")
    return head, [(name, digest) for name, digest in unpack(parts)]


def read_part(body: bytes, name: str, digest: bytes) -> Any:
    """The rows of one part."""
    inner = zlib.decompressobj()
    if sha(body) == digest:
        said, rows = unpack(inner.decompress(body, FRAME_LIMIT))
        if said == name and inner.eof:
            return rows
    raise EngineError("bad-snapshot")


def read_snapshot(
    data: bytes, cafe: bytes, server: Ed25519PublicKey
) -> tuple[Head, list[tuple[str, Any]]]:
    """A snapshot file: its head, and each part's name and rows; a name may come several times."""
    header, *bodies = read_frames(data)
    head, parts = read_header(header, cafe, server)
    if len(bodies) != len(parts):
        raise EngineError("bad-snapshot")
    both = [(*part, body) for part, body in zip(parts, bodies, strict=True)]
    return head, [(n, read_part(b, n, d)) for n, d, b in both if b or n != "keys"]


# --- the disk ---


def sync_folder(folder: Path) -> None:
    """Make new, renamed and dropped names durable."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


class Log:
    """The own log ("own") or the canonical one ("canon") of a folder: sealed commits in files."""

    def __init__(
        self, folder: Path, name: str, cafe: bytes, node: bytes, owner: Ed25519PublicKey
    ) -> None:
        self.folder, self.name, self.cafe, self.node, self.owner = folder, name, cafe, node, owner
        self.owner_node = node_id(owner.public_bytes_raw())
        self.head = self.start = NOWHERE
        self.number = self.size = 0
        self.full, self.last_seal = True, b""
        self.handle: int | None = None

    def paths(self) -> list[Path]:
        """The files, the oldest first."""
        return sorted(self.folder.glob(f"{self.name}-[0-9][0-9][0-9][0-9][0-9][0-9].log"))

    def step(self, head: Head, body: bytes) -> Head:
        """The head behind one more frame."""
        value, own = unpack(body), self.name == "own"
        if value[0] == ENTRY and not own and value[1] == head.n + 1:
            return Head(head.chain, value[1], link(head.hash, body))
        if value[0] == OP and own:
            op = decode_op(value[1])
            before = Head(op.chain, 0, ZERO) if op.n == 1 else head
            if (op.chain, op.n) == (before.chain, before.n + 1):
                return Head(op.chain, op.n, link(before.hash, value[1]))
        if value[0] == ERASED and (own or value[1] == head.n + 1):
            return Head(head.chain, head.n + 1, sha(head.hash + value[5 if own else 2]))
        if value[0] == RUN_SEAL and not own:
            return head
        if value[0] == SEAL and tuple(value[2:4]) == head[1:]:
            sealed = Head(*value[1:4])
            if sealed.chain[:16] == self.owner_node and (sealed == head or not own):
                text = seal_text(self.cafe, sealed) if own else canon_text(self.cafe, sealed)
                verify(self.owner, value[4], text, "bad-seal")
                return sealed
        raise EngineError("bad-log")

    def segment(self, body: bytes) -> tuple[int, int, Head]:
        """A file's first frame: its number, the length of the file before, the head there."""
        value = unpack(body)
        if value[:5] != [SEGMENT, 1, self.name, self.cafe, self.node] or len(value) != 10:
            raise EngineError("bad-segment")
        return value[5], value[6], Head(*value[7:])

    def durable(self, path: Path, after: Path | None) -> bytes:
        """What a file holds, as far as the file after it vouches for it."""
        data = path.read_bytes()
        try:
            first = read_commit(after.read_bytes(), 0)[0][0] if after else None
            return data[: self.segment(first)[1]] if first else data
        except (EngineError, IndexError):
            return data

    def read(self) -> list[tuple[bytes, Head]]:
        """All frames with the head behind each; a torn or damaged end is cut."""
        found: list[tuple[bytes, Head]] = []
        paths = self.paths()
        for place, path in enumerate(paths):
            after = paths[place + 1] if place + 1 < len(paths) else None
            data, number, good = self.durable(path, after), int(path.stem[-6:]), 0
            damage: EngineError | None = None if data else Torn("empty")
            while good < len(data) and damage is None:
                try:
                    good = self.read_one(data, good, number, place == 0, found)
                except EngineError as error:
                    damage = error
            if good:
                self.number, self.size, self.full = number, good, False
            if damage is not None:
                self.cut(paths[place:], good, isinstance(damage, Torn) and after is None)
                break
        return found

    def read_one(
        self, data: bytes, at: int, number: int, oldest: bool, found: list[tuple[bytes, Head]]
    ) -> int:
        """Verify the commit at this place, take it, and say where it ends."""
        bodies, end = read_commit(data, at)
        if not bodies or unpack(bodies[-1])[0] != SEAL:
            raise EngineError("bad-commit")
        head, taken = self.head, []
        if at == 0:
            said, _, start = self.segment(bodies.pop(0))
            if oldest:
                head = self.start = start
            if (said, start) != (number, head) or not (oldest or number == self.number + 1):
                raise EngineError("bad-segment")
        for body in bodies:
            head = self.step(head, body)
            taken.append((body, head))
        self.head, self.last_seal = head, bodies[-1]
        found.extend(taken)
        return end

    def cut(self, paths: list[Path], good: int, torn: bool) -> None:
        """Keep a file up to its last good seal; what was not merely torn is put aside first."""
        for path in paths:
            if not torn:
                shutil.copyfile(path, self.folder / f"quarantine-{path.name}-{time.time_ns()}")
            if path == paths[0] and good:
                os.truncate(path, good)
            else:
                path.unlink()
        sync_folder(self.folder)

    def append(self, bodies: list[bytes], seal: bytes) -> None:
        """One commit: one write and one fdatasync. The next file begins when this one is full."""
        data = commit([*bodies, seal])
        fresh = self.full or self.size + len(data) > FILE_SIZE
        if fresh:
            start = [SEGMENT, 1, self.name, self.cafe, self.node, self.number + 1, self.size]
            data = commit([pack([*start, *self.head]), *bodies, seal])
            self.release()
        path = self.folder / f"{self.name}-{self.number + fresh:06d}.log"
        try:
            if self.handle is None:
                flags = os.O_CREAT | os.O_TRUNC if fresh else 0
                self.handle = os.open(path, os.O_WRONLY | flags, 0o600)
            if os.pwrite(self.handle, data, 0 if fresh else self.size) != len(data):
                raise OSError("short write")
            os.fdatasync(self.handle)
            if fresh:
                sync_folder(self.folder)
        except OSError:
            # A descriptor whose sync failed is never used again; the next commit begins a file.
            self.release()
            self.full = True
            raise
        self.number, self.size = self.number + fresh, len(data) + (0 if fresh else self.size)
        self.full, self.head, self.last_seal = False, Head(*unpack(seal)[1:4]), seal

    def drop(self, begin: Head) -> None:
        """Forget all files: what comes next begins at this head."""
        self.release()
        for path in self.paths():
            path.unlink()
        sync_folder(self.folder)
        self.head = self.start = begin
        self.last_seal, self.size, self.full = b"", 0, True

    def release(self) -> None:
        """Give the descriptor back."""
        if self.handle is not None:
            os.close(self.handle)
        self.handle = None

    def close(self) -> None:
        """A clean stop: the last seal once more."""
        if self.last_seal:
            self.append([], self.last_seal)
        self.release()


# --- a station ---


class Station:
    """What one station made, what it knows of the café, and how it speaks with the server.

    After an EngineError it must be opened again from its folder.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = Path(folder), settings
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.cafe, own = bytes.fromhex(settings["cafe"]), settings["station"]
        self.key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(own["ed25519_seed"]))
        public = bytes.fromhex(settings["server_public"])
        self.server, self.server_node = Ed25519PublicKey.from_public_bytes(public), node_id(public)
        self.node = node_id(self.key.public_key().public_bytes_raw())
        self.certificate = bytes.fromhex(own["tls_certificate_der"])
        self.server_certificate = bytes.fromhex(settings["server_certificate_der"])
        self.boot, self.behind = os.urandom(8), int(settings.get("snapshot_behind", 4096))
        self.gone = 0  # snapshots that went while they were fetched
        self.canon = Log(self.folder, "canon", self.cafe, self.server_node, self.server)
        self.log = Log(self.folder, "own", self.cafe, self.node, self.key.public_key())
        self.ops: dict[bytes, list[tuple[bytes, bytes]]] = {}  # by chain: op, the hash behind it
        for body, head in self.log.read():
            if (value := unpack(body))[0] == OP:
                self.ops.setdefault(head.chain, []).append((value[1], head.hash))
        self.chain = self.node + os.urandom(8)
        self.load()
        before = list(self.log.head) if self.log.last_seal else None
        self.sell("chain.open", {"before": before})

    def load(self) -> None:
        """Fold the snapshot, then the copy of the canonical log behind it."""
        path, frames = self.folder / "snapshot", self.canon.read()
        self.begin(NOWHERE, [])
        if path.exists():
            head, parts = read_snapshot(path.read_bytes(), self.cafe, self.server)
            if all(h[1:] != head[1:] for h in [self.canon.start, *(h for _, h in frames)]):
                self.canon.drop(head)
                frames = []
            self.begin(head, parts)
        for body, head in frames:
            if head.n >= self.cursor:
                self.fold(body, head)

    def begin(self, head: Head, parts: list[tuple[str, Any]]) -> None:
        """Know what a snapshot says, and nothing else."""
        self.cursor, self.hash = head.n, head.hash
        self.rows: dict[Any, Any] = {}
        self.refused: list[tuple[int, str]] = []
        self.heads: dict[bytes, tuple[int, bytes]] = {}  # of all chains, as far as they are folded
        self.epochs: list[tuple[bytes, int, bytes]] = []
        for name, rows in parts:
            if name == "/orders":
                self.rows |= rows
            elif name == "/refusals":
                self.refused += [(int(seq), row["code"]) for seq, row in rows.items()]
            elif name == "chains":
                self.heads |= {chain: (n, hash_) for chain, n, hash_, _ in rows}
            elif name == "epochs":
                self.epochs += [(chain, seq, hash_) for chain, seq, hash_ in rows]

    def fold(self, body: bytes, head: Head) -> None:
        """Take one frame of the canonical log, with the head behind it."""
        value = unpack(body)
        if value[0] == RUN_SEAL:
            sealed = Head(*value[1:4])
            if self.heads.get(sealed.chain) != sealed[1:]:
                raise EngineError("bad-seal")
            if sealed.chain[:16] == self.node:  # the other stations' keys are not known here
                text = seal_text(self.cafe, sealed)
                verify(self.key.public_key(), value[4], text, "bad-seal")
        if value[0] == ERASED and head.n > self.cursor:
            _, _, _, chain, n, digest, _, _, _ = value
            self.heads[chain] = (n, sha(self.heads.get(chain, (0, ZERO))[1] + digest))
            self.cursor, self.hash = head.n, head.hash
        if value[0] != ENTRY or head.n <= self.cursor:
            return
        _, seq, _, _, data, accepted, outcome, note = value
        op = None if "chain" in note else decode_op(data)
        chain, n = (op.chain, op.n) if op else (note["chain"], note["n"])
        last, hash_ = self.heads.get(chain, (0, ZERO))
        mine = self.ops.get(chain, [])
        if (n <= len(mine) and mine[n - 1][0] != data) or (n > len(mine) and chain == self.chain):
            raise EngineError("forked")
        opens = op is not None and op.kind == "chain.open" and chain[:16] == self.server_node
        if n != last + 1 or (opens and op and op.body != {"canon": [self.cursor, self.hash]}):
            raise EngineError("bad-entries")
        if opens:
            self.epochs.append((chain, seq, self.hash))
        for kind, version, event in outcome if accepted else []:
            if (kind, version) == ("kept", 1):
                self.rows[event["id"]] = event
        if not accepted:
            self.refused.append((seq, outcome[0]))
        self.heads[chain] = (n, link(hash_, data))
        self.cursor, self.hash = head.n, head.hash

    def pending(self) -> list[bytes]:
        """Own chains with ops that have no entry yet, the oldest first."""
        return [c for c, ops in self.ops.items() if self.heads.get(c, (0, ZERO))[0] < len(ops)]

    def sell(self, kind: str, body: dict[str, Any]) -> tuple[bytes, int]:
        """Sign an op and make it durable here; its id is its chain and its number there."""
        made, key = self.ops.get(self.chain, []), os.urandom(16)
        n, wall, mono = len(made) + 1, time.time_ns() // 10**6, time.monotonic_ns() // 10**6
        op = Op(self.chain, n, kind, 1, body, 0, self.cursor, key, wall, mono, self.boot)
        data = encode_op(op)
        head = Head(self.chain, n, link(made[-1][1] if made else ZERO, data))
        seal = pack([SEAL, *head, self.key.sign(seal_text(self.cafe, head))])
        self.log.append([pack([OP, data, []])], seal)
        self.ops.setdefault(self.chain, []).append((data, head.hash))
        return self.chain, n

    def sync(self, seconds: float) -> bool:
        """Send and take until nothing is left on either side, or the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                with self.dial() as socket:
                    if Link(self, socket, deadline).run():
                        return True
            except ssl.SSLCertVerificationError:
                raise EngineError("other-certificate") from None
            except (OSError, WebSocketException):
                time.sleep(0.1)
        return False

    def dial(self) -> ClientConnection:
        """A websocket over TLS; both certificates are pinned."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version, context.check_hostname = ssl.TLSVersion.TLSv1_3, False
        context.sslsocket_class = TurnSocket
        context.load_verify_locations(cadata=self.server_certificate)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as pem:
            own = self.settings["station"]["tls_key_pem"]
            pem.write(own + ssl.DER_cert_to_PEM_cert(self.certificate))
            pem.flush()
            context.load_cert_chain(pem.name)
        uri = f"wss://{self.settings['host']}:{self.settings['port']}/"
        options: dict[str, Any] = {"ping_interval": 4, "ping_timeout": 6, "close_timeout": 2}
        options |= {"compression": None, "proxy": None, "max_size": FRAME_LIMIT}
        socket = connect(uri, ssl=context, open_timeout=5, legacy=True, **options)
        assert isinstance(socket, ClientConnection) and isinstance(socket.socket, ssl.SSLSocket)
        if socket.socket.getpeercert(binary_form=True) != self.server_certificate:
            socket.close()
            raise EngineError("other-certificate")
        return socket

    def close(self) -> None:
        """A clean stop."""
        self.log.close()
        self.canon.close()
        os.close(self.lock)


# --- the wire ---


class TurnSocket(ssl.SSLSocket):
    """A TLS socket whose reader and writer take turns.

    websockets reads in a thread of its own; OpenSSL does not allow both at once on one connection.
    """

    turns: threading.Lock | None = None

    def turn(self) -> threading.Lock:
        """The lock of this connection."""
        self.setblocking(False)
        self.turns = self.turns or threading.Lock()
        return self.turns

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Wait outside of the turn, read inside of it."""
        while True:
            try:
                with self.turn():
                    return super().recv(buflen, flags)
            except ssl.SSLWantReadError:
                try:
                    select.select([self], [], [], 1)
                except ValueError:  # closed meanwhile
                    return b""

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Write everything, piece by piece."""
        view = memoryview(data)
        while len(view):
            try:
                with self.turn():
                    view = view[super().send(view, flags) :]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                select.select([], [self], [], 1)


class Link:
    """One connection of a station."""

    def __init__(self, station: Station, socket: ClientConnection, deadline: float) -> None:
        self.station, self.socket, self.deadline = station, socket, deadline
        self.head = self.snapshot = self.unsynced = 0
        self.batches: Iterator[tuple[bytes, int, list[tuple[bytes, bytes]]]] = iter(())
        self.under_way: list[tuple[bytes, int]] = []
        self.frames: list[bytes] = []
        self.seal, self.synced = b"", time.monotonic()

    def send(self, *fields: Any) -> None:
        """One message."""
        self.socket.send(pack(list(fields)))

    def receive(self, seconds: float) -> list[Any] | None:
        """The next message, or None if none came in that time."""
        try:
            data = self.socket.recv(timeout=max(0.0, seconds))
        except TimeoutError:
            return None
        if not isinstance(data, bytes):
            raise EngineError("bad-message")
        message = unpack(data)
        if message[0] == 14:
            inner = zlib.decompressobj()
            message = unpack(inner.decompress(message[1], FRAME_LIMIT))
            if not inner.eof or message[0] != 6:
                raise EngineError("bad-message")
        if message[0] == 13:
            raise OSError(message[1]) if message[1] in PASSING else EngineError(message[1])
        return list(message)

    def run(self) -> bool:
        """Sign on, then push, take and acknowledge; True once nothing is left."""
        s = self.station
        if self.sign_on():
            self.fetch_snapshot()
        try:
            while time.monotonic() < self.deadline:
                while len(self.under_way) < BATCHES and (batch := next(self.batches, None)):
                    self.push(*batch)
                if s.cursor >= self.head and not self.frames and not s.pending():
                    return True
                self.take(self.receive(min(0.2, self.deadline - time.monotonic())))
                due = self.unsynced >= 512 or time.monotonic() - self.synced >= 1
                if self.frames and (due or s.cursor >= self.head):
                    self.keep()
                    self.send(5, [], s.cursor)
        finally:
            self.keep()
        return False

    def sign_on(self) -> bool:
        """Both hellos and the proof; True if it begins with the snapshot."""
        s, nonce = self.station, os.urandom(16)
        heads = [[chain, len(s.ops[chain]), s.ops[chain][-1][1]] for chain in s.pending()]
        wall = time.time_ns() // 10**6
        self.send(1, 1, s.cafe, s.node, s.boot, wall, nonce, heads, s.cursor, s.hash)
        hello = self.receive(5)
        if hello is None or hello[:4] != [2, 1, s.cafe, s.server_node] or len(hello) != 12:
            raise OSError("silence") if hello is None else EngineError("bad-hello")
        theirs, durable, self.head, hash_, epochs, self.snapshot, signature = hello[5:]
        nonces, certificates = nonce + theirs, (s.server_certificate, s.certificate)
        text = hello_text(s.cafe, s.server_node, nonces, *certificates)
        verify(s.server, signature, text, "bad-proof")
        parted = s.cursor > self.head or (s.cursor == self.head and s.hash != hash_)
        for chain, first, before in epochs:
            unknown = first <= s.cursor and (chain, first, before) not in s.epochs
            parted |= unknown or (first == s.cursor + 1 and before != s.hash)
        if parted:
            raise EngineError("other-history")
        begins = s.gone < 3 and self.snapshot - s.cursor >= s.behind
        text = hello_text(s.cafe, s.node, nonces, *certificates[::-1])
        self.send(3, s.key.sign(text), s.cursor, s.hash, begins)
        for chain, n, known in durable:
            mine = s.ops[chain]
            if (n > len(mine) and chain == s.chain) or (
                0 < n <= len(mine) and known != mine[n - 1][1]
            ):
                raise EngineError("forked")
        self.batches = self.cut([(chain, n) for chain, n, _ in durable])
        return begins

    def cut(
        self, starts: list[tuple[bytes, int]]
    ) -> Iterator[tuple[bytes, int, list[tuple[bytes, bytes]]]]:
        """What the server lacks, in batches: chain, first n, ops with the hashes behind them."""
        for chain, sent in starts:
            ops = self.station.ops[chain]
            while sent < len(ops):
                end = size = 0
                for data, _ in ops[sent : sent + BATCH_OPS]:
                    size += len(data)
                    if size > BATCH_BYTES:
                        break
                    end += 1
                yield chain, sent + 1, ops[sent : sent + end]
                sent += end

    def push(self, chain: bytes, first: int, ops: list[tuple[bytes, bytes]]) -> None:
        """One batch under one seal."""
        s, head = self.station, Head(chain, first + len(ops) - 1, ops[-1][1])
        seal, mono = s.key.sign(seal_text(s.cafe, head)), time.monotonic_ns() // 10**6
        self.send(4, chain, first, [data for data, _ in ops], seal, s.boot, mono)
        self.under_way.append((chain, head.n))

    def take(self, message: list[Any] | None) -> None:
        """An ack or entries."""
        if message and message[0] == 5:
            done = {chain: n for chain, n, _ in message[1]}
            self.under_way = [(c, n) for c, n in self.under_way if n > done.get(c, 0)]
            self.head = max(self.head, message[2])
        elif message and message[0] == 6:
            s = self.station
            head, found = Head(bytes(24), s.cursor, s.hash), []
            for body in message[1]:
                head = s.canon.step(head, body)
                found.append((body, head))
            if head.chain == bytes(24):
                raise EngineError("bad-entries")
            for body, at in found[:-1]:
                s.fold(body, at)
            if head.chain != s.epochs[-1][0]:
                raise EngineError("bad-seal")
            self.frames += [body for body, _ in found[:-1]]
            self.seal, self.unsynced = found[-1][0], self.unsynced + len(found)
            self.head = max(self.head, head.n)

    def keep(self) -> None:
        """Make the entries durable that came since the last time."""
        if self.frames:
            self.station.canon.append(self.frames, self.seal)
        self.frames, self.unsynced, self.synced = [], 0, time.monotonic()

    def fetch_snapshot(self) -> None:
        """Begin from the server's snapshot: four parts at a time, durable before the ack."""
        s, seq = self.station, self.snapshot
        bodies = self.parts(seq, [0])
        _, parts = read_header(bodies[0], s.cafe, s.server)
        for first in range(1, len(parts) + 1, 4):
            bodies += self.parts(seq, list(range(first, min(first + 4, len(parts) + 1))))
        data = b"".join(frame(body) for body in bodies)
        head, rows = read_snapshot(data, s.cafe, s.server)
        if head.n != seq:
            raise EngineError("bad-snapshot")
        path = s.folder / "snapshot.new"
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        path.rename(s.folder / "snapshot")
        sync_folder(s.folder)
        s.canon.drop(head)
        s.begin(head, rows)
        self.send(5, [], s.cursor)

    def parts(self, seq: int, numbers: list[int]) -> list[bytes]:
        """Some parts at once. A snapshot that is gone ends the link; the next one tries again."""
        for number in numbers:
            self.send(10, seq, number)
        found = []
        for number in numbers:
            message = self.receive(10)
            if message is None or message[:3] != [7, seq, number]:
                self.station.gone += 1
                raise OSError("snapshot gone")
            found.append(bytes(message[3]))
        return found
