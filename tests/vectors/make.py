"""Writes `engine.json`: examples of all that `sync/README.md` describes, for clients in other languages.

    python -m tests.vectors.make

Bytes are text in hexadecimal behind ``hex:``, whole numbers that a double cannot hold are behind ``int:``. Nothing in it is by chance: the same build writes the same file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sync.audience import redacted
from sync.codec import pack, unpack_trusted
from sync.erase import find_bodies
from sync.frames import (
    ENTRY,
    Segment,
    erased_frame,
    read_entry,
    segment_frame,
)
from sync.identity import (
    Ed25519Signer,
    canon_text,
    grant_text,
    hello_text,
    node_id,
    seal_text,
    snapshot_text,
)
from sync.log import encode_commit
from sync.op import ZERO_HEAD, Head, Op, decode_op, encode_op
from sync.pairing import Card, Invitation, commitment, digits, first, last, second, third
from sync.protocol import Erase, SignIn
from tests.support.cores import CAFE, OPERATOR, Bench
from tests.support.disks import SimDisk

FILE = Path(__file__).with_name("engine.json")


def plain(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, bytes):
        return f"hex:{value.hex()}"
    if type(value) is int and abs(value) > 2**53:
        return f"int:{value}"
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


class Line(list[bytes]):
    """What one side sends, written down."""

    def __init__(self, sender: str, talk: list[dict[str, Any]]) -> None:
        super().__init__()
        self.sender, self.talk = sender, talk

    def append(self, data: bytes) -> None:
        self.talk.append({"from": self.sender, "bytes": data, "value": unpack_trusted(data)})
        super().append(data)


def _op(**more: Any) -> Op:
    fields: dict[str, Any] = {
        "chain": node_id(Ed25519Signer(b"t" * 32).public) + b"epoch-01",
        "n": 2,
        "kind": "order.keep",
        "version": 1,
        "body": {"id": "a", "lines": [{"sku": "COFFEE", "quantity": 2}], "total": 700},
        "grant": 0,
        "base": 0,
        "key": b"key of an effect",
        "wall_ms": 1_760_000_000_000,
        "mono_ms": 12_345,
        "boot": b"boot id.",
        **more,
    }
    return encode_op(**fields)


def _values() -> list[dict[str, Any]]:
    """Canonical forms, and what is none of them."""
    good: list[Any] = [
        None, True, 0, 127, 128, 255, 256, 65_535, 65_536, 2**32, 2**63 - 1, -1, -32, -33, -(2**63),
        "", "é", "x" * 32, b"", b"\x00" * 256, [], [1, "a"], {}, {"b": 1, "a": [None]},
    ]  # fmt: skip
    bad = {
        "cd0001": "a longer form than is needed",
        "82a16101a16102": "a key twice",
        "810101": "a key that is no text",
        "ca3f800000": "a float",
        "cf8000000000000000": "more than 63 bits",
        "c0c0": "bytes behind the value",
        "a1ff": "text that is no UTF-8",
        "d40100": "an extension",
        "91" * 13 + "90": "deeper than 12",
    }
    return [{"value": value, "bytes": pack(value)} for value in good] + [
        {"refused": bytes.fromhex(data), "why": why} for data, why in bad.items()
    ]


def _signed() -> dict[str, Any]:
    """Texts and signatures of fixed keys."""
    key, head = Ed25519Signer(b"t" * 32), bytes(range(32))
    node, chain = node_id(key.public), node_id(key.public) + b"epoch-01"
    texts = {
        "seal": (seal_text(CAFE, chain, 5, head), {"chain": chain, "n": 5, "hash": head}),
        "canon": (canon_text(CAFE, chain, 5, head), {"chain": chain, "seq": 5, "hash": head}),
        "grant": (
            grant_text(CAFE, OPERATOR, chain, 2, 99),
            {"operator": OPERATOR, "chain": chain, "n": 2, "until": 99},
        ),
        "hello": (
            hello_text(CAFE, node, b"1" * 16 + b"2" * 16, b"3" * 32, b"4" * 32),
            {"node": node, "client nonce": b"1" * 16, "server nonce": b"2" * 16,
             "own certificate": b"3" * 32, "peer certificate": b"4" * 32},
        ),
        "snapshot": (
            snapshot_text(CAFE, chain, 5, head, b"5" * 32),
            {"chain": chain, "seq": 5, "hash": head, "list": b"5" * 32},
        ),
    }  # fmt: skip
    return {
        "seed": b"t" * 32,
        "public": key.public,
        "node": node,
        "café": CAFE,
        "texts": {
            name: {"fields": fields, "text": text, "signature": key.sign(text)}
            for name, (text, fields) in texts.items()
        },
    }


def _ops() -> dict[str, Any]:
    """Two ops, the heads behind them, and a commit of an own log with both."""
    key = Ed25519Signer(b"t" * 32)
    opening = _op(n=1, kind="chain.open", body={"before": None}, key=b"key of the start")
    order = _op()
    one = Head().next(opening.raw)
    two = one.next(order.raw)
    seal = key.sign(seal_text(CAFE, order.chain, two.n, two.hash))
    frames = [
        segment_frame(Segment("own", CAFE, order.node, 1, 0, bytes(24), 0, ZERO_HEAD)),
        pack([2, opening.raw, []]),
        pack([2, order.raw, [["kept", 1, order.body]]]),
        pack([3, order.chain, two.n, two.hash, seal]),
    ]
    return {
        "ops": [
            {"fields": unpack_trusted(op.raw), "bytes": op.raw, "head": list(head)}
            for op, head in ((opening, one), (order, two))
        ],
        "own log": {"frames": frames, "file": encode_commit(frames)},
        "erased": erased_frame(order, frames[2]),
    }


def _conversation() -> dict[str, Any]:
    """A station that sold offline meets its server; both sides' messages, and all files behind it."""
    bench = Bench()
    talk: list[dict[str, Any]] = []
    bench.to_hub, bench.to_replica = Line("station", talk), Line("server", talk)
    bench.give(bench.replica, SignIn(OPERATOR, bench.operator_key, 1 << 62))
    bench.act({"id": "offline"}, operator=OPERATOR)
    bench.act(
        {"id": "ana", "data": "a person who wants to be forgotten"}, "person.keep", key=b"k" * 16
    )
    bench.link()
    bench.act({"id": "online"}, operator=OPERATOR)
    bench.run()
    head = bench.hub.head
    frames, _ = bench.archive.after(0)
    found = find_bodies(bench.log, {b"k" * 16: bench.hub.view.keys[b"k" * 16]})
    bench.give(bench.hub, Erase(None, found))
    bench.run()
    body = next(f for f in frames if f[1] == ENTRY and b"wants to be" in f)
    entry = read_entry(body)
    return {
        "café": CAFE,
        "server": {"seed": b"s" * 32, "certificate": b"S" * 32},
        "station": {"seed": b"t" * 32, "certificate": b"T" * 32},
        "operator": {"id": OPERATOR, "seed": b"u" * 32},
        "messages": talk,
        "canonical log": _files(bench.log.disk),
        "own log": _files(bench.own.disk, "own"),
        "head": list(head),
        "erased entry": {
            "before": body,
            "after": erased_frame(decode_op(entry.op_raw), body, entry.seq),
        },
        "for a reader of what is public": redacted(
            frames, Head(), b"nobody's node id", frozenset()
        ),
    }


def _files(disk: Any, kind: str = "canon") -> dict[str, bytes]:
    assert isinstance(disk, SimDisk)
    return {name: disk.read(name) for name in disk.names() if name.startswith(kind)}


def _pairing() -> dict[str, Any]:
    server = Card("server", "Box", Ed25519Signer(b"s" * 32).public, b"certificate of the server")
    station = Card(
        "station", "Patio", Ed25519Signer(b"t" * 32).public, b"certificate of the station"
    )
    invitation, nonce = Invitation(CAFE, server, b"1" * 32, 8787), b"2" * 32
    messages = [
        first(commitment(station, nonce)),
        second(invitation),
        third(station, nonce),
        last(""),
    ]
    return {
        "messages": [{"bytes": data, "value": unpack_trusted(data)} for data in messages],
        "digests": {"server": server.digest(), "station": station.digest()},
        "digits": digits(invitation, station, nonce),
    }


def build() -> dict[str, Any]:
    """The whole file as JSON values."""
    parts = {
        "values": _values(),
        "signed": _signed(),
        "ops": _ops(),
        "conversation": _conversation(),
        "pairing": _pairing(),
    }
    value: dict[str, Any] = plain(parts)
    return value


def written() -> str:
    """The whole file."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
