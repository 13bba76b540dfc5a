"""A client that was written from `sync/README.md` alone works with our server, and reads the vectors."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from node.bench import Documents, Pair
from sync.disk import ReadOnlyDisk
from sync.frames import ENTRY, read_entry
from sync.identity import node_id, verify_ed25519
from sync.log import Log as OurLog
from sync.verify import verify_canon, verify_own
from tests.foreign import client as foreign
from tests.foreign.client import EngineError, Head, Station
from tests.vectors.make import FILE

pytestmark = pytest.mark.timeout(120)


def value_of(value: Any) -> Any:
    """As it was before it became JSON."""
    if isinstance(value, str) and value.startswith("hex:"):
        return bytes.fromhex(value[4:])
    if isinstance(value, str) and value.startswith("int:"):
        return int(value[4:])
    if isinstance(value, list):
        return [value_of(item) for item in value]
    if isinstance(value, dict):
        return {key: value_of(item) for key, item in value.items()}
    return value


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    found: dict[str, Any] = value_of(json.loads(FILE.read_text("utf-8")))
    return found


@pytest.mark.feature("SY-12")
def test_values_are_read_and_refused_as_the_vectors_say(vectors: dict[str, Any]) -> None:
    """Canonical forms, and what is none of them."""
    for case in vectors["values"]:
        if "refused" in case:
            with pytest.raises(EngineError):
                foreign.unpack(case["refused"], depth=12)
        else:
            assert foreign.unpack(case["bytes"]) == case["value"]
            assert foreign.pack(case["value"]) == case["bytes"]


@pytest.mark.feature("SY-12", "SE-01")
def test_texts_signatures_and_digits_are_those_of_the_vectors(vectors: dict[str, Any]) -> None:
    """Byte for byte; Ed25519 has no chance in it."""
    signed = vectors["signed"]
    key = foreign.Ed25519PrivateKey.from_private_bytes(signed["seed"])
    assert foreign.node_id(signed["public"]) == signed["node"]
    texts = {name: (case["fields"], case) for name, case in signed["texts"].items()}
    cafe = signed["café"]
    seal, canon, snap = (texts[name][0] for name in ("seal", "canon", "snapshot"))
    grant = texts["grant"][0]
    made = {
        "seal": foreign.seal_text(cafe, Head(seal["chain"], seal["n"], seal["hash"])),
        "canon": foreign.canon_text(cafe, Head(canon["chain"], canon["seq"], canon["hash"])),
        "grant": foreign.grant_text(
            cafe, grant["operator"], grant["chain"], grant["n"], grant["until"]
        ),
        "hello": foreign.signed("cabina:hello:1", cafe, *texts["hello"][0].values()),
        "snapshot": foreign.signed("cabina:snap:1", cafe, *snap.values()),
    }
    for name, (_, case) in texts.items():
        assert made[name] == case["text"], name
        assert key.sign(case["text"]) == case["signature"]
    pairing = vectors["pairing"]
    first, second, third, _ = (message["value"] for message in pairing["messages"])
    server = foreign.card_digest(*second[1:5])
    station = foreign.card_digest(*third[:4])
    assert [server, station] == list(pairing["digests"].values())
    assert first[1] == foreign.sha(b"cabina:pair:1" + third[4] + station)
    nonces = second[5] + third[4]
    assert foreign.pairing_digits(second[0], server, station, nonces) == pairing["digits"]


@pytest.mark.feature("SY-12", "SY-16")
def test_ops_logs_and_a_conversation_are_those_of_the_vectors(
    vectors: dict[str, Any], tmp_path: Path
) -> None:
    """Ops link to the heads that are stated; both logs verify to their last seal."""
    chained = b""
    for case in vectors["ops"]["ops"]:
        op = foreign.decode_op(case["bytes"])
        assert [1, *op] == case["fields"]
        assert foreign.encode_op(op) == case["bytes"]
        chained = foreign.link(chained or foreign.ZERO, case["bytes"])
        assert case["head"] == [op.n, chained]
    frames, end = foreign.read_commit(vectors["ops"]["own log"]["file"], 0)
    assert frames == vectors["ops"]["own log"]["frames"]
    assert end == len(vectors["ops"]["own log"]["file"])
    talk = vectors["conversation"]
    assert [m["value"][0] for m in talk["messages"][:4]] == [1, 2, 3, 4]
    for message in talk["messages"]:
        assert foreign.unpack(message["bytes"]) == message["value"]
    for name, data in {**talk["canonical log"], **talk["own log"]}.items():
        (tmp_path / name).write_bytes(data)
    key = foreign.Ed25519PrivateKey.from_private_bytes(talk["server"]["seed"]).public_key()
    node = foreign.node_id(key.public_bytes_raw())
    log = foreign.Log(tmp_path, "canon", talk["café"], node, key)
    assert log.read()
    assert not list(tmp_path.glob("quarantine-*"))
    before, after = talk["erased entry"]["before"], talk["erased entry"]["after"]
    start = Head(bytes(24), foreign.unpack(before)[1] - 1, bytes(32))
    assert len(before) == len(after)
    assert log.step(start, before) == log.step(start, after)


class Café:
    """A server in a process of its own, which may be killed, and who may sign on to it."""

    def __init__(self, folder: Path, stations: int = 2) -> None:
        folder.mkdir()
        self.pair = Pair(folder, stations)
        self.pair.save()
        self.process: subprocess.Popen[str] | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "node.cli", "bench", f"server:{self.pair.folder}"]
        command_line = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **command_line)  # type: ignore[call-overload]
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate(timeout=20)
        self.process = None

    def settings(self, at: int, **more: Any) -> dict[str, Any]:
        server, station = self.pair.server, self.pair.stations[at]
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "cafe": self.pair.cafe.hex(),
            "server_public": server.signer.public.hex(),
            "server_certificate_der": server.certificate.hex(),
            "station": {
                "ed25519_seed": station.signer.private.hex(),
                "tls_key_pem": station.tls_key.decode(),
                "tls_certificate_der": station.certificate.hex(),
            },
            **more,
        }

    def entries(self) -> list[Any]:
        """Accepted orders as the server's log has them, read by ours."""
        disk = ReadOnlyDisk(self.pair.folder / "server")
        log = OurLog(disk, "canon", self.pair.cafe, self.pair.server.node)
        frames = [frame for _, commit in log.commits() for frame in commit.frames]
        found = [read_entry(frame) for frame in frames if frame[1] == ENTRY]
        return [e.outcome[0][2]["id"] for e in found if e.accepted and e.outcome]


@pytest.fixture
def cafe(tmp_path: Path) -> Iterator[Café]:
    cafe = Café(tmp_path / "café")
    try:
        yield cafe
    finally:
        cafe.kill()


@pytest.mark.feature("SY-01", "SY-02", "SY-03", "SY-05", "SY-16")
def test_foreign_stations_sell_and_agree_with_the_server(cafe: Café, tmp_path: Path) -> None:
    """Backlogs, a refusal, a restart of everything; our own tools verify what it wrote."""
    stations = [Station(tmp_path / f"{at}", cafe.settings(at)) for at in range(2)]
    for at, station in enumerate(stations):
        for number in range(700):
            station.sell("order.keep", {"id": f"{at}-{number}", "text": "x" * (number % 50)})
        station.sell("no.kind", {})
        assert station.sync(30)
    cafe.kill()
    cafe.start()
    for station in stations:
        station.close()
    stations = [Station(tmp_path / f"{at}", cafe.settings(at)) for at in range(2)]
    assert all(station.sync(30) for station in [*stations, stations[0]])
    rows = stations[0].rows
    assert len(rows) == 1400
    assert rows == stations[1].rows
    assert [code for _, code in stations[0].refused] == ["unknown-kind"] * 2
    assert sorted(cafe.entries()) == sorted(rows)
    public = cafe.pair.server.signer.public
    domain = Documents({m.node: m.signer.public for m in (cafe.pair.server, *cafe.pair.stations)})
    for at, station in enumerate(stations):
        station.close()
        disk = ReadOnlyDisk(tmp_path / f"{at}")
        copy = verify_canon(disk, cafe.pair.cafe, node_id(public), public, domain, verify_ed25519)
        member = cafe.pair.stations[at]
        own = verify_own(disk, cafe.pair.cafe, member.signer.public, member.node, verify_ed25519)
        assert (copy.problem, own.problem) == (None, None)
        assert copy.head == station.hash.hex()


@pytest.mark.feature("SY-01", "SY-02", "SY-04", "SY-06")
def test_nothing_is_lost_or_doubled_though_every_process_is_killed(
    cafe: Café, tmp_path: Path
) -> None:
    """`kill -9` of both stations and the server, again and again, whatever they are doing."""
    shown: list[str] = []
    folders = [tmp_path / "0", tmp_path / "1"]
    for turn in range(4):
        children = []
        for at, folder in enumerate(folders):
            settings = tmp_path / f"settings-{at}.json"
            settings.write_text(json.dumps(cafe.settings(at)), "utf-8")
            command = [sys.executable, "-m", "tests.foreign.sell", folder, settings, f"{turn}-{at}"]
            children.append(
                subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True)
            )
        time.sleep(1.0 + turn / 3)
        if turn % 2:
            cafe.kill()
            time.sleep(0.2)
            cafe.start()
            time.sleep(0.5)
        for child in children:
            child.kill()
            out, _ = child.communicate(timeout=20)
            shown += out.split("\n")[:-1]  # the last line may be torn, and so never shown
    stations = [Station(folder, cafe.settings(at)) for at, folder in enumerate(folders)]
    assert all(station.sync(40) for station in [*stations, *stations])
    there = cafe.entries()
    assert len(shown) > 50
    assert set(shown) <= set(there), "shown and not there"
    assert len(there) == len(set(there)), "an order is there twice"
    for station in stations:
        assert set(station.rows) == set(there)
        station.close()
