"""Two nodes that know nothing of each other: commitment, digits, tries, and whoever sits between them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import pytest

from node import config, pairing
from node.bootstrap import create_cafe, open_folder
from node.control import LocalDoor
from node.pairing import PairingDoor, join
from node.roles.server import ServerNode
from node.roles.station import StationNode
from sync.errors import Refused
from tests.integration.conftest import ROOT, Cabina
from tests.support.nodes import PASSWORD, until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerNode]:
    made = await create_cafe(
        tmp_path / "server",
        name="Test",
        currency="EUR",
        language="en",
        administrator="Ana",
        password=PASSWORD,
        printer=None,
        port=0,
        remote_pos=True,
    )
    await made.listen()
    try:
        yield made
    finally:
        await made.stop()


class Knock:
    """A station that knocks, in a task of its own."""

    def __init__(self, folder: Path, port: int, *, yes: bool = True) -> None:
        self.shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def confirm() -> bool:
            return yes

        work = join(folder, "127.0.0.1", port, "Terrace", self.shown.set_result, confirm)
        self.task = asyncio.ensure_future(work)


@pytest.mark.feature("SE-01")
async def test_station_is_paired_by_the_digits_that_it_shows(
    server: ServerNode, tmp_path: Path
) -> None:
    """Typed at the server, confirmed at the station; then it signs on and has the café's tables."""
    door = LocalDoor(server)
    with pytest.raises(Refused, match="pairing-closed"):
        await door.call("pair_knock")
    with pytest.raises(Refused, match="pairing-closed"):
        await door.call("pair_type", digits="000000")
    port = (await door.call("pair_open", port=0))["port"]
    knock = Knock(tmp_path / "station", port)
    assert (await door.call("pair_knock")) == {"name": "Terrace"}
    digits = await knock.shown
    assert len(digits) == 6
    wrong = "000000" if digits != "000000" else "111111"
    with pytest.raises(Refused) as refused:
        await door.call("pair_type", digits=wrong)
    assert refused.value.details == {"left": 2}
    assert not server.tables.table("stations").all()
    paired = await door.call("pair_type", digits=f" {digits} ")
    await knock.task
    station = open_folder(tmp_path / "station")
    assert isinstance(station, StationNode)
    assert station.node_id == paired["station"]
    await station.start()
    try:
        await until(lambda: station.online and station.tables.cursor == server.tables.cursor)
    finally:
        await station.stop()
    with pytest.raises(Refused, match="already-created"):
        await Knock(tmp_path / "station", port).task
    with pytest.raises(OSError, match="failed"):
        await Knock(tmp_path / "other", port).task


@pytest.mark.feature("SE-01", "SE-03", "RP-29")
async def test_station_takes_the_place_of_another(server: ServerNode, tmp_path: Path) -> None:
    """The same number and labels that go on, a new key; the old one is trusted no more, and what it
    still had to say is kept."""
    door = LocalDoor(server)
    old = await paired(door, tmp_path / "old")
    await old.start()
    await until(lambda: old.online and old.tables.cursor == server.tables.cursor)
    await old.stop()
    with pytest.raises(Refused, match="unknown-station"):
        await door.call("pair_open", port=0, replaces="Nobody")
    new = await paired(door, tmp_path / "new", replaces="Terrace")
    rows = dict(server.tables.table("stations").scan())
    before, after = rows[old.node_id], rows[new.node_id]
    assert before["revoked"]
    assert not after["revoked"]
    assert (before["number"], before["label"]) == (after["number"], after["label"])
    await new.start()
    await until(lambda: new.online and new.tables.cursor == server.tables.cursor)
    await new.stop()
    third = await paired(door, tmp_path / "third", replaces=after["label"])
    assert server.tables.table("stations").peek(third.node_id)["number"] == after["number"]  # type: ignore[index]


async def paired(door: LocalDoor, folder: Path, replaces: str = "") -> StationNode:
    port = (await door.call("pair_open", port=0, replaces=replaces))["port"]
    knock = Knock(folder, port)
    await door.call("pair_knock")
    await door.call("pair_type", digits=await knock.shown)
    await knock.task
    station = open_folder(folder)
    assert isinstance(station, StationNode)
    return station


@pytest.mark.feature("SE-01")
async def test_three_wrong_guesses_close_the_door(server: ServerNode, tmp_path: Path) -> None:
    """Nobody is let in, and the station hears why."""
    door = PairingDoor(server)
    knock = Knock(tmp_path / "station", await door.open(0))
    digits = await knock.shown
    for _ in range(3):
        with pytest.raises(Refused, match="wrong-digits"):
            await door.type("123456" if digits != "123456" else "654321")
    with pytest.raises(Refused, match="wrong-digits"):
        await knock.task
    with pytest.raises(Refused, match="pairing-closed"):
        await door.type(digits)
    assert not server.tables.table("stations").all()
    assert not (tmp_path / "station" / config.CONFIG_FILE).exists()


@pytest.mark.feature("SE-01")
async def test_door_closes_by_itself(
    server: ServerNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its time nobody comes in: not who waits, and not who never came."""
    monkeypatch.setattr(pairing, "OPEN_S", 0.3)
    door = PairingDoor(server)
    knock = Knock(tmp_path / "station", await door.open(0))
    await knock.shown
    with pytest.raises(Refused, match="pairing-closed"):
        await knock.task
    empty = PairingDoor(server)
    await empty.open(0)
    with pytest.raises(Refused, match="pairing-closed"):
        await empty.knock()


@pytest.mark.feature("SE-01")
async def test_only_one_knocks_at_a_time_and_noise_is_forgotten(
    server: ServerNode, tmp_path: Path
) -> None:
    """A second station is told; who talks nonsense makes room for the next."""
    door = PairingDoor(server)
    port = await door.open(0)
    for noise in (b"", b"\x00\x00\x00\x01\xc1", b"\xff\xff\xff\xff"):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(noise)
        writer.write_eof()
        await until(lambda: not door._busy)
        writer.close()
    knock = Knock(tmp_path / "one", port)
    digits = await knock.shown
    for _ in range(2):  # being turned away makes no room
        with pytest.raises(Refused, match="pairing-busy"):
            await Knock(tmp_path / "two", port).task
    await door.type(digits)
    await knock.task
    # The same station again, which has lost what it knew: it is the same one to the server.
    (tmp_path / "one" / config.CONFIG_FILE).unlink()
    again = PairingDoor(server)
    knock = Knock(tmp_path / "one", await again.open(0))
    await again.type(await knock.shown)
    await knock.task
    assert len(server.tables.table("stations")) == 1


@pytest.mark.feature("SE-01")
async def test_station_that_nobody_confirms_trusts_nobody(
    server: ServerNode, tmp_path: Path
) -> None:
    """Somebody else may have said "paired"."""
    door = PairingDoor(server)
    knock = Knock(tmp_path / "station", await door.open(0), yes=False)
    await door.type(await knock.shown)
    with pytest.raises(Refused, match="not-confirmed"):
        await knock.task
    assert not (tmp_path / "station" / config.CONFIG_FILE).exists()


@pytest.mark.feature("SE-01", "SE-04")
async def test_who_may_not_pair_opens_no_door(server: ServerNode) -> None:
    """And a port in use is said."""
    door = LocalDoor(server)
    taken = PairingDoor(server)
    port = await taken.open(0)
    with pytest.raises(Refused, match="port-taken"):
        await door.call("pair_open", port=port)
    taken.close()
    server.sign_out()
    with pytest.raises(Refused, match="not-signed-in"):
        await door.call("pair_open", port=0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ui.main", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8"},
    )


def read_until(stream: IO[str], pattern: str) -> str:
    """What the first group of the pattern matches in what a process says."""
    said = ""
    while (found := re.search(pattern, said)) is None:
        more = stream.read(1)
        assert more, said
        said += more
    return found[1]


@pytest.mark.timeout(120)
@pytest.mark.feature("SE-01", "CF-02")
def test_station_is_paired_by_command_line(cafe: Path, cabina: Cabina, tmp_path: Path) -> None:
    """Two people at two terminals: one reads six digits, one types them; the station then runs."""
    port, knock = free_port(), free_port()
    server = start("server", "--headless", "--data", cafe, "--port", str(port), "--json")
    running = [server]
    try:
        assert server.stdout is not None
        assert json.loads(server.stdout.readline())["port"] == port
        assert (
            cabina(
                "sign-in", "Ada", "--data", cafe, "--password-stdin", stdin="secret-one\n"
            ).returncode
            == 0
        )
        pair = start("pair", "--data", cafe, "--port", str(knock))
        running.append(pair)
        assert pair.stderr is not None
        assert pair.stdin is not None
        read_until(pair.stderr, f"(HOST|THIS-COMPUTER):{knock}")
        folder = tmp_path / "station"
        station = start(
            "station",
            "--headless",
            "--data",
            folder,
            "--join",
            f"127.0.0.1:{knock}",
            "--name",
            "Bar",
        )
        running.append(station)
        assert station.stderr is not None
        assert station.stdin is not None
        digits = read_until(station.stderr, r": (\d{6})\n")
        read_until(pair.stderr, "(“Bar” knocks)")
        wrong = "000000" if digits != "000000" else "111111"
        pair.stdin.write(f"{wrong}\n{digits}\n")
        pair.stdin.flush()
        out, err = pair.communicate(timeout=30)
        assert pair.returncode == 0, err
        assert "Tries left: 2" in err
        assert "“Bar” is paired" in out
        station.stdin.write("y\n")
        station.stdin.flush()

        def online() -> bool:
            shown = cabina("show", "status", "--data", folder, "--json")
            return shown.returncode == 0 and json.loads(shown.stdout)[0]["online"]

        for _ in range(20):
            if online():
                break
        else:
            raise AssertionError("the station is not online")
    finally:
        for process in running:
            process.kill()
            process.wait(timeout=30)
    nobody = cabina(
        "station", "--headless", "--data", tmp_path / "x", "--join", f"127.0.0.1:{knock}"
    )
    assert nobody.returncode == 1
    assert "cabina pair" in nobody.stderr
