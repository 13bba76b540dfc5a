"""A whole café in real processes: a day with an outage, killed nodes, and outsiders at the door."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from node import config, sample
from node.bootstrap import open_folder
from node.demo import Demo, Options
from node.roles.server import ServerNode
from sync.certificates import make_certificate, pinned_context
from tests.integration.conftest import ROOT, Cabina, report

DAY = "2016-11-05"


def day_total(data: Path, day: str) -> tuple[int, int]:
    """(tickets, minor units) of a day, by the two files alone."""
    with (data / "bakery-catalogue.csv").open(encoding="utf-8") as file:
        price = {row["name"]: round(float(row["price"]) * 100) for row in csv.DictReader(file)}
    tickets: dict[str, int] = defaultdict(int)
    with (data / "bakery-tickets.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["date"] == day:
                tickets[row["ticket"]] += price[row["item"]]
    return len(tickets), sum(tickets.values())


def day_words(data: Path, folder: Path, mode: int) -> list[str]:
    return [
        "demo", "--headless", "--json", "--data", str(folder), "--mode", str(mode),
        "--catalogue", str(data / "bakery-catalogue.csv"),
        "--tickets", str(data / "bakery-tickets.csv"),
        "--day", DAY, "--outage-from", "11:00", "--outage-to", "13:00",
    ]  # fmt: skip


def check_day(found: dict[str, Any], data: Path) -> None:
    tickets, total = day_total(data, DAY)
    assert found["orders"] == tickets
    assert (found["lost"], found["duplicated"], found["set_aside"]) == (0, 0, 0)
    assert found["printed"] == found["collected"] == tickets
    assert found["queued_offline"] > 0
    assert len(set(found["digests"].values())) == 1
    assert len(found["digests"]) == 3
    assert found["box"]["total_minor"] == total
    assert sum(found["box"]["by_vendor"].values()) == total


@pytest.mark.parametrize("mode", [1, 2])
@pytest.mark.feature("RP-17", "RP-19", "RP-22", "RP-24", "SY-02", "SY-03", "BX-01", "PR-01")
def test_real_day_through_an_outage(
    mode: int, tmp_path: Path, cabina: Cabina, shared_data: Path
) -> None:
    """Nothing lost, nothing twice, every ticket printed, the box right to the cent; verify agrees."""
    found = report(cabina(*day_words(shared_data, tmp_path / "day", mode)))
    check_day(found, shared_data)
    for folder in found["folders"].values():
        verified = cabina("verify", "--data", folder)
        assert verified.returncode == 0, verified.stderr
    log = Path(found["folders"]["server"]) / "canon-000001.log"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 0x20
    log.write_bytes(bytes(data))
    flipped = cabina("verify", "--data", found["folders"]["server"])
    assert flipped.returncode == 1
    assert "entry" in flipped.stderr


KILLED_AT_BYTES = {"server": 100_000, "station-2": 20_000}
"""How long a node's log is when it dies, somewhere in the middle of the day."""


@pytest.mark.feature("SY-01", "SY-02", "PR-03")
def test_day_with_killed_nodes_ends_in_the_same_figures(tmp_path: Path, shared_data: Path) -> None:
    """kill -9 of the server and of a station in the middle: the same sums, the same tickets."""
    process = subprocess.Popen(
        [sys.executable, "-m", "node.cli", *day_words(shared_data, tmp_path / "day", 2)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stderr is not None
    started: dict[str, int] = defaultdict(int)
    lines: list[str] = []

    def read() -> None:
        """Kill each node's first process once it has written a part of the day."""
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            name, _, rest = line.partition(": pid ")
            if rest and name in KILLED_AT_BYTES:
                started[name] += 1
                if started[name] == 1:
                    pid = int(rest.split(",")[0])
                    threading.Thread(target=kill_midway, args=(name, pid)).start()

    def kill_midway(name: str, pid: int) -> None:
        kind = "canon" if name == "server" else "own"
        log = tmp_path / "day" / name / f"{kind}-000001.log"
        while process.poll() is None:
            if log.exists() and log.stat().st_size > KILLED_AT_BYTES[name]:
                os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    assert process.stdout is not None
    output = process.stdout.read()
    assert process.wait(150) == 0, "".join(lines)
    reader.join()
    check_day(json.loads(output), shared_data)
    assert started == dict.fromkeys(KILLED_AT_BYTES, 2), "".join(lines)


@pytest.mark.feature("RP-24", "RP-27")
def test_invented_day_in_spanish_with_three_stations(tmp_path: Path, cabina: Cabina) -> None:
    """Without files the demo brings its own catalogue and orders."""
    found = report(
        cabina(
            "demo", "--headless", "--json", "--data", tmp_path / "d", "--orders", "18",
            "--stations", "3", "--language", "es", "--seed", "5",
        )
    )  # fmt: skip
    assert found["collected"] == found["printed"] == 18
    assert found["queued_offline"] == 6
    assert len(found["box"]["by_vendor"]) == 3
    papers = sorted((tmp_path / "d" / "printer").glob("*.txt"))
    assert "IVA 13" in papers[0].read_text(encoding="utf-8")
    assert papers[0].with_suffix(".png").stat().st_size > 500
    again = cabina("demo", "--headless", "--data", tmp_path / "d")
    assert again.returncode == 1


BAD_DEMOS: dict[str, list[str]] = {
    "tickets alone": ["--tickets", "x"],
    "an outage without tickets": ["--outage-from", "10:00"],
    "no orders": ["--orders", "0"],
    "mode 3": ["--mode", "3"],
}


@pytest.mark.parametrize("name", BAD_DEMOS)
def test_demo_with_wrong_arguments_ends_with_2(name: str, cabina: Cabina) -> None:
    """Said at once, before anything is set up."""
    with_help = cabina("demo", "--headless", *BAD_DEMOS[name])
    assert with_help.returncode == 2


def test_day_without_tickets_or_with_unknown_items_is_a_sentence(
    tmp_path: Path, cabina: Cabina
) -> None:
    """The file is named, and what is wrong with it."""
    (tmp_path / "c.csv").write_text("sku,name,price\nA,Apple,1\n", encoding="utf-8")
    (tmp_path / "t.csv").write_text(
        "date,time,ticket,item\n2020-01-01,10:00:00,1,Pear\n", encoding="utf-8"
    )
    for day, words in (("2020-01-02", "no tickets"), ("2020-01-01", "Pear")):
        done = cabina(
            "demo", "--headless", "--catalogue", tmp_path / "c.csv", "--tickets",
            tmp_path / "t.csv", "--day", day,
        )  # fmt: skip
        assert done.returncode == 1
        assert words in done.stderr


# --- outsiders at the door ---------------------------------------------------


async def _with_server(folder: Path, act: Any) -> list[dict[str, Any]]:
    """Set a small café up, let ``act`` knock, and give back the incidents that were noted."""
    demo = Demo(Options(folder=folder, stations=1))
    await demo.start()
    assert demo.server is not None
    try:
        settings = config.load(folder / "server")
        await act(demo, settings)
        for _ in range(100):
            incidents: list[dict[str, Any]] = await demo.server.call("show", table="incidents")
            if incidents:
                break
            await asyncio.sleep(0.05)
        await demo.sell(0, sample.invented(1, 1, 0)[0], b"k" * 16, set_clock=False)
        for _ in range(200):
            orders = await demo.server.call("show", table="orders")
            if orders:
                break
            await asyncio.sleep(0.05)
        assert len(orders) == 1, "an outsider must not keep a vendor from selling"
        return incidents
    finally:
        await demo.stop()


@pytest.mark.feature("SE-02")
async def test_client_without_a_pinned_certificate_is_refused_and_noted(tmp_path: Path) -> None:
    """The handshake fails; a person can find it; vendors sell on."""

    async def knock(demo: Demo, settings: config.Config) -> None:
        server = config.load_keys(tmp_path / "server").certificate
        key, certificate = make_certificate(b"stranger")
        context = pinned_context(
            server=False, private_key=key, certificate=certificate, trusted=[server]
        )
        with pytest.raises((OSError, ConnectionClosed, InvalidMessage, EOFError)):
            async with connect(
                f"wss://127.0.0.1:{settings.port}/", ssl=context, proxy=None
            ) as link:
                await link.recv()

    incidents = await _with_server(tmp_path, knock)
    assert [row["code"] for row in incidents] == ["unpinned"]


@pytest.mark.feature("SE-09", "SY-15")
async def test_frame_of_16_mib_ends_the_connection_and_is_noted(tmp_path: Path) -> None:
    """Refused by its size, from a certificate that is known."""

    async def flood(demo: Demo, settings: config.Config) -> None:
        station = config.load_keys(tmp_path / "station-1")
        server = config.load_keys(tmp_path / "server").certificate
        context = pinned_context(
            server=False,
            private_key=station.tls_key,
            certificate=station.certificate,
            trusted=[server],
        )
        with pytest.raises(ConnectionClosed):
            async with connect(
                f"wss://127.0.0.1:{settings.port}/", ssl=context, proxy=None, max_size=None
            ) as link:
                await link.send(b"\x80" * (16 << 20))
                await link.recv()
                await link.recv()

    incidents = await _with_server(tmp_path, flood)
    assert "too-large" in [row["code"] for row in incidents]


@pytest.mark.feature("RP-15", "SE-05")
def test_box_close_at_a_station_is_refused(tmp_path: Path, cabina: Cabina) -> None:
    """`server-only`, with a sentence; the station's folder is opened as it lies there."""
    found = report(
        cabina("demo", "--headless", "--json", "--data", tmp_path / "d", "--orders", "2")
    )
    folder = found["folders"]["station-1"]
    signed = cabina(
        "sign-in", "Óscar Peña", "--password-stdin", "--data", folder, stdin="cabina-demo\n"
    )
    assert signed.returncode == 0, signed.stderr
    done = cabina("do", "box.close", "--data", folder)
    assert (done.returncode, done.stderr) == (1, "Only the server closes the box.\n")
    sold = report(
        cabina(
            "do", "order.place", 'lines=[{"sku":"COFFEE","quantity":1}]', "--data", folder, "--json"
        )
    )
    assert sold["state"] == "queued"


async def test_restarted_server_keeps_what_it_knew(tmp_path: Path) -> None:
    """A clean stop and a start: the same digest, and nothing is folded again."""
    demo = Demo(Options(folder=tmp_path, stations=1))
    await demo.start()
    await demo.stop()
    digests = []
    for _ in range(2):
        node = open_folder(tmp_path / "server")
        assert isinstance(node, ServerNode)
        digests.append(node.digest())
        assert node._opened.rebuilt == 0
        node._blob_disk.close()
        node._disk.close()
    assert digests[0] == digests[1]
