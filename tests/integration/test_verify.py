"""Every byte of real logs flipped, every offset cut: nothing goes unseen, and each time the place is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from node.cli import main
from sync.errors import Damaged
from sync.identity import verify_ed25519
from sync.log import CanonChecker, Log, read_commit
from sync.verify import verify_canon, verify_own
from tests.support.cores import CAFE, OPERATOR, Bench
from tests.support.disks import SimDisk
from tests.support.town import Town, sell
from tests.unit.test_restored import copied, desk

FILE, OWN = "canon-000001.log", "own-000001.log"
NAMED = re.compile(r"(the commit behind )?(entry|op) \d+|behind (entry|op) \d+")


@pytest.fixture(scope="module")
def bench() -> Bench:
    """A server's log of its desk's and a station's orders, and that station's own."""
    bench = Bench()
    bench.sign_in()
    bench.link()
    for at in range(2):
        desk(bench, f"desk-{at}")
        bench.act({"id": f"station-{at}"}, operator=OPERATOR)
        bench.run()
    return bench


def ends(data: bytes) -> list[int]:
    """Where commits end."""
    found = [0]
    while (commit := read_commit(data, found[-1])) is not None:
        found.append(commit.end)
    return found


def with_data(bench: Bench, data: bytes) -> SimDisk:
    disk = copied(bench.log)
    disk.durable[FILE] = data
    return disk


@pytest.mark.feature("SY-16", "SY-08")
def test_any_flipped_byte_of_the_canonical_log_is_named_and_told_apart(bench: Bench) -> None:
    """By `verify` as entry or commit; at a start as damage of the last commit, or before it."""
    whole = copied(bench.log).durable[FILE]
    last = ends(whole)[-2]
    keys = bench.hub.keys
    public = keys.signer.public
    for at in range(len(whole)):
        disk = with_data(bench, whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        found = verify_canon(disk, CAFE, keys.node, public, bench.domain, verify_ed25519)
        assert found.problem is not None, f"byte {at} changed unseen"
        assert NAMED.match(found.problem.where), found.problem
        assert (found.problem.log, found.problem.offset <= at) == (FILE, True)
        log = Log(disk, "canon", CAFE, keys.node)
        try:
            list(log.recover(CanonChecker(CAFE, public, verify_ed25519)))
            kind = log.damage.kind if log.damage else "unseen"
        except Damaged:
            kind = "corrupt"
        assert kind == ("corrupt" if at < last else "quarantined"), at
    whole = copied(bench.own).durable[OWN]
    station = bench.replica.keys
    for at in range(len(whole)):
        disk = copied(bench.own)
        disk.durable[OWN] = whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :]
        found = verify_own(disk, CAFE, station.signer.public, station.node, verify_ed25519)
        assert found.problem is not None, f"byte {at} changed unseen"
        assert NAMED.match(found.problem.where), found.problem


@pytest.mark.feature("SY-16", "SY-08")
def test_log_cut_at_any_offset_shows_it(bench: Bench) -> None:
    """Inside a commit its end is short: torn, never more; between two, the head is another one than others hold."""
    whole = copied(bench.log).durable[FILE]
    keys, public = bench.hub.keys, bench.server_key.public
    between, heads = ends(whole), set()
    for size in range(len(whole)):
        disk = with_data(bench, whole[:size])
        found = verify_canon(disk, CAFE, keys.node, public, bench.domain, verify_ed25519)
        assert found.problem is None
        assert found.short_end == (size not in between)
        assert found.head != bench.hub.head.hash.hex(), "whoever holds the head sees the cut"
        heads.add(found.head)
        log = Log(disk, "canon", CAFE, keys.node)
        list(log.recover(CanonChecker(CAFE, public, verify_ed25519)))
        kind = log.damage.kind if log.damage else "whole"
        assert kind == ("whole" if size in between else "torn"), size
    assert len(heads) == len(between) - 1


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-16")
async def test_flipped_bytes_of_a_cafe_are_named_by_command_line(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line: the file, the byte, the entry or op, and what is wrong with it."""
    await town.open("one")
    await sell(town.stations["one"], 3)
    await town.close()
    flip_some(town.folder / "one", capsys)


def flip_some(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (FILE, OWN):
        path = folder / name
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 25)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            assert _verify(folder) == 1
            line = capsys.readouterr().err
            assert line.startswith(f"{name}, byte "), line
            assert NAMED.search(line), line
            assert line.count("\n") == 1
        path.write_bytes(whole)
    assert _verify(folder) == 0


def _verify(folder: Path) -> int:
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as thread:  # it runs a loop of its own
        return thread.submit(main, ["verify", "--data", str(folder)]).result()
