"""Second copies of a server's data: what they hold, who can read it, and how a café goes on from them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from node.backup import back_up, has_passphrase, restore, set_passphrase, stations_in
from node.bootstrap import add_operator, open_folder
from node.mirror import MARKER, set_mirror
from node.roles.server import ServerNode
from sync.errors import Damaged, Refused, StorageFailed
from sync.sealed import open_body, seal_body
from tests.integration.conftest import Cabina
from tests.support.nodes import PASSWORD, until
from tests.support.town import Town, rows, sell

CANARY = b"a canary that only the server may read"
PASSPHRASE = "correct horse battery"


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def backed_up(town: Town, file: Path) -> None:
    assert town.server is not None
    set_passphrase(town.folder / "server", PASSPHRASE)
    await back_up(town.server, file)


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-07", "SY-17", "SE-15")
async def test_sealed_body_is_read_by_no_station_and_opens_again_on_a_restored_server(
    town: Town, tmp_path: Path
) -> None:
    """It was lost with the server; a station carried it, opaque; the recovery passphrase opens it."""
    await town.open("one")
    server = town.server
    assert server is not None
    await sell(town.stations["one"], 5)
    await backed_up(town, tmp_path / "backup")
    cafe_key = bytes.fromhex(rows(server, "settings")["cafe"]["cafe_key"])
    sealed = seal_body(cafe_key, server.cafe_id, CANARY).hex()
    body = {"name": "Canary", "role": "vendor", "public_key": "aa" * 32, "sealed_key": sealed}
    with pytest.raises(Refused, match="bad-key"):
        await server.submit("operator.add", body)
    public = server.keys.signer.public.hex()
    await server.submit("operator.add", {**body, "public_key": public})
    await add_operator(server, "Eva Late", "vendor", PASSWORD)
    await sell(town.stations["one"], 5)
    one = town.stations["one"]
    await until(lambda: rows(one, "operators").keys() == rows(server, "operators").keys())
    await town.stop("one")
    await town.stop_server()
    assert bytes.fromhex(sealed) in everything_in(town.folder / "one") or (
        sealed.encode() in everything_in(town.folder / "one")
    ), "the station carries it"
    for place in (town.folder / "one", tmp_path / "backup"):
        data = everything_in(place) if place.is_dir() else place.read_bytes()
        assert CANARY not in data
    assert (town.folder / "server" / "keys" / "cafe.key").read_bytes() not in everything_in(
        town.folder / "one"
    )
    shutil.rmtree(town.folder / "server")
    with pytest.raises(Refused, match="wrong-password"):
        restore(tmp_path / "backup", town.folder / "server", "not that one")
    restored = restore(tmp_path / "backup", town.folder / "server", PASSPHRASE)
    assert restored.checked.problem is None
    assert await stations_in(town.folder / "server") == ["S1 one"]
    again = await town.start_server()
    assert "Canary" not in {row["name"] for row in rows(again, "operators").values()}
    await town.start("one")
    await until(lambda: not again.missing() and len(rows(again)) == 10)
    (row,) = [row for row in rows(again, "operators").values() if row["name"] == "Canary"]
    opened = open_body(again.keys.cafe_key, again.cafe_id, bytes.fromhex(row["sealed_key"]))
    assert opened == CANARY
    assert (await again.sign_in("Eva Late", PASSWORD))["name"] == "Eva Late"


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-11", "SY-02", "SY-16")
async def test_stations_drop_what_is_in_a_backup(town: Town, tmp_path: Path) -> None:
    """Their logs begin later then; they sell on, verify, and start again from what is left."""
    await town.open("one")
    server, one = town.server, town.stations["one"]
    assert server is not None

    async def again() -> None:
        """The station's process begins again, with files so small that there is something to drop."""
        await town.stop("one")
        started = await town.start("one")
        await started.sign_in("Noa Ruiz", PASSWORD)
        started._opened.canon.segment_bytes = 4000
        assert started._opened.own is not None
        started._opened.own.segment_bytes = 4000
        started.replica.worth_a_snapshot = 10

    await again()
    one = town.stations["one"]
    await sell(one, 40)
    await again()
    one = town.stations["one"]
    await sell(one)
    await until(lambda: one.replica.canon == server.hub.head and not one.tables.pending)
    await backed_up(town, tmp_path / "backup")
    await until(lambda: one.replica.compacted > 0)
    assert one.replica.base.n > 0
    assert not (one.folder / "own-000001.log").exists()
    await sell(one, 3)
    await until(lambda: len(rows(server)) == len(rows(one)) == 44)
    await again()
    one = town.stations["one"]
    await until(lambda: one.tables.digest() == server.tables.digest())
    await town.close()
    town.verify()


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-07", "PR-03")
async def test_mirror_makes_waiting_for_stations_needless(town: Town, tmp_path: Path) -> None:
    """The server was put back from an old copy: the second disk has the rest, nothing is printed again,
    and the box closes although the stations are away."""
    await town.open("one")
    server = town.server
    assert server is not None
    set_mirror(server, tmp_path / "mirror")
    await until(lambda: server.status()["mirror"] == "following")
    set_passphrase(server.folder, PASSPHRASE)
    await sell(town.stations["one"], 5)
    await until(lambda: town.papers() == 5)
    shutil.copytree(
        town.folder / "server", tmp_path / "copy", ignore=shutil.ignore_patterns("lock")
    )
    await sell(town.stations["one"], 20)
    await sell(server, 5)
    await until(lambda: town.papers() == 30)
    before = rows(server)
    await town.stop("one")
    await town.stop_server()
    shutil.rmtree(town.folder / "server")
    shutil.copytree(tmp_path / "copy", town.folder / "server")
    again = await town.start_server()
    assert rows(again) == before
    assert [notice["code"] for notice in again.notices] == ["damage-refilled"]
    assert (again.missing(), again.status()["mirror"]) == ([], "following")
    await again.submit("box.close", {})
    await until(lambda: town.papers() == 31)
    one = await town.start("one")
    await until(lambda: one.replica.canon == again.hub.head)
    assert not again.hub.restored
    await town.stop("one")
    await town.stop_server()
    shutil.rmtree(town.folder / "server")
    assert has_passphrase(tmp_path / "mirror"), "chosen since the mirror was made"
    on_mirror = open_folder(tmp_path / "mirror")
    assert isinstance(on_mirror, ServerNode)
    assert rows(on_mirror) == before, "the second disk is a whole server"
    await on_mirror.stop()


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-07", "SY-09")
async def test_second_disk_that_is_pulled_out_is_told_and_brought_up_when_it_is_back(
    town: Town, tmp_path: Path
) -> None:
    """Selling goes on; nothing is written to the folder that it was mounted on."""
    await town.open()
    server = town.server
    assert server is not None
    mirror, drawer = tmp_path / "mirror", tmp_path / "drawer"
    set_mirror(server, mirror)
    await until(lambda: server.status()["mirror"] == "following")
    server.driver.mirror._mirror.log.segment_bytes = 1  # type: ignore[union-attr]
    mirror.rename(drawer)
    mirror.mkdir()
    await sell(server, 3)
    await until(lambda: server.status()["mirror"] == "lost")
    assert [notice["code"] for notice in server.notices] == ["alarm-mirror-lost"]
    assert not list(mirror.iterdir())
    mirror.rmdir()
    drawer.rename(mirror)
    await until(lambda: server.status()["mirror"] == "following")
    assert not server.notices
    await town.stop_server()
    mirror.rename(drawer)
    again = await town.start_server()
    await until(lambda: again.status()["mirror"] == "lost")
    await sell(again)


def test_folder_of_somebody_else_is_no_mirror(tmp_path: Path, cafe: Path) -> None:
    """Nothing in it is touched."""
    from node.mirror import MirrorDisk, make_mirror

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "beach.png").write_bytes(b"x")
    with pytest.raises(Refused, match="mirror-in-use"):
        make_mirror(cafe, tmp_path / "photos")
    make_mirror(cafe, tmp_path / "mirror")
    make_mirror(cafe, tmp_path / "mirror")
    (tmp_path / "mirror" / MARKER).write_text('{"cafe": "another"}')
    with pytest.raises(Refused, match="mirror-in-use"):
        make_mirror(cafe, tmp_path / "mirror")
    (tmp_path / "mirror" / MARKER).write_text("no JSON")
    with pytest.raises(StorageFailed):
        make_mirror(cafe, tmp_path / "mirror")
    with pytest.raises(StorageFailed):
        MirrorDisk(tmp_path / "photos")


@pytest.mark.timeout(120)
@pytest.mark.feature("SY-08", "SY-16")
async def test_backup_with_any_byte_changed_is_refused_or_whole(town: Town, tmp_path: Path) -> None:
    """Never a café with something else in it, and never a fault."""
    await town.open()
    assert town.server is not None
    await sell(town.server, 3)
    await backed_up(town, tmp_path / "backup")
    head = town.server.hub.head
    whole = (tmp_path / "backup").read_bytes()
    refused = 0
    for turn, at in enumerate(range(0, len(whole), len(whole) // 60)):
        bad, folder = tmp_path / f"bad-{turn}", tmp_path / f"folder-{turn}"
        changed = bytes([whole[at] ^ 0x55]) if turn % 2 else b""
        bad.write_bytes(whole[:at] + changed + whole[at + 1 :])
        try:
            restored = restore(bad, folder, PASSPHRASE)
        except (Refused, Damaged):
            refused += 1
            assert not (folder / "node.json").exists()
        else:  # a date or a flag of the zip itself
            assert restored.checked.problem is None
            assert restored.checked.entries <= head.n
    assert refused > 40


@pytest.mark.feature("SY-07")
def test_backup_and_mirror_by_command_line(cafe: Path, cabina: Cabina, tmp_path: Path) -> None:
    """What a person is asked, told, and refused."""
    file, server = tmp_path / "town.backup", ("--data", cafe)
    assert "passphrase" in cabina("backup", file, *server).stderr
    weak = cabina("backup", file, *server, "--passphrase-stdin", stdin="abc\n")
    assert (weak.returncode, file.exists()) == (1, False)
    done = cabina("backup", file, *server, "--passphrase-stdin", stdin=f"{PASSPHRASE}\n")
    assert done.returncode == 0, done.stderr
    assert "entry" in done.stdout
    assert file.stat().st_mode & 0o777 == 0o600
    assert cabina("backup", file, *server).returncode == 0, "the passphrase is known by now"
    again = tmp_path / "again"
    wrong = cabina("restore", file, "--data", again, "--passphrase-stdin", stdin="no\n")
    assert wrong.returncode == 1
    back = cabina("restore", file, "--data", again, "--passphrase-stdin", stdin=f"{PASSPHRASE}\n")
    assert back.returncode == 0, back.stderr
    assert "verified" in back.stdout
    assert cabina("verify", "--data", again).returncode == 0
    twice = cabina("restore", file, "--data", again, "--passphrase-stdin", stdin=f"{PASSPHRASE}\n")
    assert twice.returncode == 1
    garbled = tmp_path / "garbled"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    garbled.write_bytes(bytes(data))
    for bad in (garbled, Path(__file__)):
        refused = cabina(
            "restore", bad, "--data", tmp_path / "new", "--passphrase-stdin", stdin=PASSPHRASE
        )
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert not (tmp_path / "new" / "node.json").exists()
    assert cabina("mirror", *server).returncode == 2
    on = cabina("mirror", tmp_path / "mirror", *server)
    assert (on.returncode, "same disk" in on.stdout) == (0, True)
    assert cabina("mirror", "--off", *server).returncode == 0
    assert cabina("sign-out", *server).returncode == 0
    refused = cabina("mirror", tmp_path / "mirror", *server)
    assert refused.returncode == 1
