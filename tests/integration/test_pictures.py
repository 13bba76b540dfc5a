"""Pictures of products and the logo: taken small, carried to every node, kept in mirror and backup."""

from __future__ import annotations

import base64
import io
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from node.backup import back_up, restore, set_passphrase
from node.bootstrap import open_folder
from node.control import LocalDoor
from node.devices.virtual import VirtualPrinter
from node.mirror import set_mirror
from node.pictures import MAX_BYTES_OUT, PICTURES_FOLDER, shrink
from sync.errors import Refused
from tests.screens.test_screens import screen_of
from tests.support.nodes import Nodes, until
from ui import files


def picture(width: int = 800, height: int = 600, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """Noise, which no format makes small."""
    chance = random.Random(width * height)
    image = Image.frombytes(mode, (width, height), chance.randbytes(width * height * len(mode)))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@pytest.mark.feature("RP-09")
@pytest.mark.parametrize(
    "data",
    [
        picture(),
        picture(mode="RGBA"),
        picture(kind="JPEG"),
        picture(1200, 40),
        picture(1, 1),
    ],
)
def test_picture_is_taken_small(data: bytes) -> None:
    """At most 32 KB and 384 px, whatever it was; it is still a picture."""
    small = shrink(data)
    assert len(small) <= MAX_BYTES_OUT
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "WEBP" and max(image.size) <= 384


@pytest.mark.feature("RP-09")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(100),
        picture()[:200],
        bytes(6 << 20),
        b"<svg/>",
    ],
)
def test_what_is_no_picture_is_refused_with_a_sentence(data: bytes) -> None:
    """Neither other formats, nor half files, nor more than 5 MB."""
    with pytest.raises(Refused) as refused:
        shrink(data)
    assert refused.value.code == "bad-picture"


@pytest.mark.feature("RP-09")
def test_picture_with_more_pixels_than_memory_is_not_unpacked() -> None:
    """A few bytes that say they are 100,000 × 100,000 are refused before they are read."""
    out = io.BytesIO()
    Image.new("1", (9000, 9000)).save(out, "PNG")
    with pytest.raises(Refused) as refused:
        shrink(out.getvalue())
    assert refused.value.code == "bad-picture"


@pytest.mark.feature("RP-09", "SY-07")
async def test_picture_made_at_a_station_offline_reaches_the_server_its_mirror_and_backup(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chosen on the screen while the cable is out, shown at once, at the server a moment after it
    is in again; a restored server has it, and what nothing names any more goes."""
    server, station = nodes.server, nodes.station
    monkeypatch.setattr(files, "pick", _picker(picture()))
    set_mirror(server, tmp_path / "mirror")
    nodes.switch.cut()
    async with screen_of(station) as screen:
        await screen.press("F2")
        await screen.click("product-COLA")
        await screen.click("picture-choose")
        await screen.settle(0.5)
        await screen.click("product-save")
        assert screen.text("saved") == "Saved"
    row = station.tables.table("products").row("COLA")
    assert row is not None and len(row["picture"]) == 64
    digest = row["picture"]
    assert station.picture(digest) is not None
    nodes.switch.join()
    station.client.hurry()
    await until(lambda: server.picture(digest))
    await until(lambda: (tmp_path / "mirror" / PICTURES_FOLDER / digest).exists())
    set_passphrase(server.folder, "correct horse battery")
    await back_up(server, tmp_path / "all.zip")
    restore(tmp_path / "all.zip", tmp_path / "again", "correct horse battery")
    assert (tmp_path / "again" / PICTURES_FOLDER / digest).read_bytes() == server.picture(digest)
    await LocalDoor(server).call("set_picture", sku="COLA", data="")
    assert not list(server.tables.table("pictures").scan())
    again = open_folder(tmp_path / "again")
    await again.start()
    assert (tmp_path / "again" / PICTURES_FOLDER / digest).exists()
    await again.stop()


def _plain(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (20, 20, 20)).save(out, "JPEG")
    return out.getvalue()


def _picker(data: bytes) -> Any:
    async def pick(*endings: str) -> tuple[str, bytes]:
        assert "png" in endings
        return "a.png", data

    return pick


@pytest.mark.feature("PR-01", "CF-01")
async def test_logo_stands_on_each_ticket(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chosen in the settings, it is the first thing on the paper; a file that is none is told."""
    server, door = nodes.server, LocalDoor(nodes.server)
    printer = VirtualPrinter()
    await printer.start()
    try:
        await door.call("set_printer", address=f"tcp://127.0.0.1:{printer.port}")
        monkeypatch.setattr(files, "pick", _picker(b"no picture"))
        async with screen_of(server) as screen:
            await screen.press(",", ctrl=True)
            await screen.click("logo-choose")
            assert "picture" in screen.text("problem").lower()
            monkeypatch.setattr(files, "pick", _picker(_plain(400, 200)))
            await screen.settle(0.5)  # two touches that are nearer are one
            await screen.click("logo-choose")
            await screen.settle(0.4)
            assert screen.has("logo")
            await server.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
            await until(lambda: printer.papers)
            logo, code = printer.papers[0].stamps
            assert logo.width_px == 384 and code.says.startswith("CABINA1.")
            await screen.click("logo-drop")
            await screen.settle(0.3)
            assert not screen.has("logo")
    finally:
        await door.call("set_printer", address="")
        await printer.stop()


async def test_picture_is_set_by_command_line(nodes: Nodes) -> None:
    """A product's or the café's; an unknown product is refused."""
    door = LocalDoor(nodes.server)
    data = base64.b64encode(picture()).decode()
    done = await door.call("set_picture", sku="COLA", data=data)
    row = nodes.server.tables.table("products").row("COLA")
    assert row is not None and row["picture"] == done["picture"]
    again = await door.call("set_picture", sku="COLA", data=data)
    assert again == done
    await door.call("set_picture", sku="", data=data)
    owners = nodes.server.tables.table("pictures").row(done["picture"])
    assert owners == {"owners": ["COLA", "cafe/logo"]}
    with pytest.raises(Refused, match="unknown-product"):
        await door.call("set_picture", sku="NOPE", data=data)
