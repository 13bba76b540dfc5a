"""Real faults: networks that lag, stall and break, disks that are full or fail at any call."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.bootstrap import add_operator, open_folder, pair_here
from node.roles.station import StationNode
from sync.errors import StorageFailed
from tests.support.nodes import PASSWORD, until
from tests.support.proxy import Proxy
from tests.support.town import Town, rows, sell

# --- the network -------------------------------------------------------------


@pytest.fixture
async def proxy(town: Town) -> AsyncIterator[Proxy]:
    """A café whose station reaches its server through a proxy."""
    await town.open()
    assert town.server is not None
    made = Proxy(town.port)
    await made.start()
    await pair_here(town.server, town.folder / "one", "one", ("127.0.0.1", made.port))
    station = await town.start("one")
    await until((station.folder / "operators.keys").exists)
    await station.sign_in("Noa Ruiz", PASSWORD)
    yield made
    await made.stop()


async def agreed(town: Town, sold: list[str]) -> None:
    """Every order is there once, on both sides, and nothing waits."""
    server, one = town.server, town.stations["one"]
    assert server is not None
    await until(lambda: set(rows(server)) == set(sold) and not one.tables.pending, 60)
    await until(lambda: one.tables.digest() == server.tables.digest())
    assert not rows(server, "refusals")


FAULTS: dict[str, Callable[[Proxy], Any]] = {
    "cut": Proxy.cut,
    "reset": Proxy.reset,
}


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-02", "SY-14")
@pytest.mark.parametrize("fault", FAULTS)
async def test_link_that_breaks_in_the_middle_of_everything(
    town: Town, proxy: Proxy, fault: str
) -> None:
    """Again and again, wherever the bytes are: each order is there once."""
    one = town.stations["one"]
    sold = []
    for _ in range(12):
        sold += await sell(one, 5)
        carried = proxy.carried
        await until(lambda was=carried: proxy.carried > was)  # type: ignore[misc]
        FAULTS[fault](proxy)
        await until(lambda: not one.online)
        one.client.hurry()
    await agreed(town, sold)


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-14", "SY-02")
async def test_half_open_link_is_noticed_by_both_sides_and_selling_never_waits(
    town: Town, proxy: Proxy
) -> None:
    """Nothing comes and nothing closes: each side finds out by itself; connecting through it fails, too."""
    server, one = town.server, town.stations["one"]
    assert server is not None
    sold = await sell(one, 3)
    await until(lambda: one.online and len(rows(server)) == 3)
    proxy.stalled = True
    sold += await sell(one, 10)
    await until(lambda: not one.online and not server.hub.online(), 20)
    sold += await sell(one, 10)
    assert len(rows(server)) == 3
    proxy.stalled = False
    await agreed(town, sold)


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-14", "SY-15")
async def test_slow_and_narrow_network_carries_everything_in_the_end(
    town: Town, proxy: Proxy
) -> None:
    """A tenth of a second each way and a modem's width: selling does not wait for it."""
    one = town.stations["one"]
    proxy.latency_s, proxy.bytes_a_second = 0.1, 60_000.0
    sold = await sell(one, 60)
    assert len(rows(one)) == 60
    proxy.refuses = True
    proxy.reset()
    sold += await sell(one, 20)
    await until(lambda: not one.online)
    proxy.refuses = False
    await agreed(town, sold)


# --- the disk ----------------------------------------------------------------


@pytest.fixture
async def station_folder(town: Town, tmp_path: Path) -> Path:
    """A station that has been in use, and is stopped."""
    await town.open("one")
    assert town.server is not None
    await add_operator(town.server, "Eva Late", "vendor", PASSWORD)
    await sell(town.stations["one"], 3)
    await until(lambda: not town.stations["one"].tables.pending)
    await town.stop("one")
    return town.folder / "one"


async def started(folder: Path) -> StationNode:
    """That station, without a network."""
    station = open_folder(folder)
    assert isinstance(station, StationNode)
    station.client.start = lambda: None  # type: ignore[method-assign]
    await station.start()
    await station.sign_in("Noa Ruiz", PASSWORD)
    return station


async def tried(station: StationNode, count: int) -> list[str]:
    """Sell so many times; the orders that were shown as kept."""
    shown = []
    for _ in range(count):
        try:
            shown += await sell(station)
        except StorageFailed:
            continue
    return shown


CALLS = ("open", "write", "fdatasync", "fsync", "ftruncate", "replace")


class FailingCall:
    """Lets the n-th of the operating system's calls on one folder fail."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.calls, self.fails_at = str(folder), 0, 0
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(first: Any, *args: Any, **kwargs: Any) -> Any:
            where = str(first)
            if isinstance(first, int):
                try:
                    where = str(Path(f"/proc/self/fd/{first}").readlink())
                except OSError:
                    where = ""
            if where.startswith(self.folder):
                self.calls += 1
                if self.calls == self.fails_at:
                    raise OSError(errno.EIO, "injected")
            return real(first, *args, **kwargs)

        return call


@pytest.mark.timeout(240)
@pytest.mark.feature("SY-09", "SY-01")
async def test_input_output_error_at_each_call_loses_nothing_that_was_shown(
    station_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was shown as kept is there at the next start, what was refused is not; later sales go on."""
    first = await started(station_folder)
    before = set(rows(first))
    await first.stop()
    reached, at, refused = True, 0, 0
    while reached:
        at += 1
        folder = tmp_path / f"try-{at}"
        shutil.copytree(station_folder, folder)
        shown: list[str] = []
        with monkeypatch.context() as patch:
            failing = FailingCall(folder, patch)
            failing.fails_at = at
            try:
                station = await started(folder)
            except StorageFailed:  # told with a sentence; it is started again
                reached = True
            else:
                shown = await tried(station, 4)
                refused += 4 - len(shown)
                assert len(shown) >= 3, "one fault refuses one sale at most"
                assert set(rows(station)) == before | set(shown)
                await station.stop()
                reached = failing.calls >= at
        again = await started(folder)
        assert set(rows(again)) == before | set(shown), f"call {at}"
        assert len(await sell(again, 2)) == 2
        await again.stop()
    assert at > 12, "the calls were counted"
    assert refused > 4


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room on it."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False
    )
    if mounted.returncode:
        pytest.skip("only root can mount a file system here")
    yield folder
    subprocess.run(["/bin/umount", "-l", folder], check=True)


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-09", "SY-01")
async def test_full_disk_refuses_before_it_shows_and_sells_again_when_there_is_room(
    station_folder: Path, small_disk: Path
) -> None:
    """Every sale that was shown is there; what did not fit was never shown."""
    folder = small_disk / "one"
    shutil.copytree(station_folder, folder)
    station = await started(folder)
    before, shown = set(rows(station)), []
    with pytest.raises(StorageFailed):
        while True:
            shown += await sell(station)
    shown += await tried(station, 3)
    assert set(rows(station)) == before | set(shown)
    subprocess.run(["/bin/mount", "-o", "remount,size=4m", small_disk], check=True)  # noqa: ASYNC221
    shown += await sell(station, 3)
    await station.stop()
    again = await started(folder)
    assert set(rows(again)) == before | set(shown)
    assert len(shown) > 50
    await again.stop()
