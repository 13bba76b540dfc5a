"""PIN cards and tickets at real nodes: sold once, printed once, readable by nobody who should not."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import re
import stat
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from PIL import Image

from node import pincards
from node.backup import back_up, restore, set_passphrase
from node.cafe import pins
from node.cards import Design, preview
from node.control import LocalDoor
from node.pincodes import ALPHABET, PinCodes, new_keys
from node.roles.server import ServerNode
from node.shows import SHOWS
from sync.errors import Malformed, Refused
from tests.integration.test_customers import everything_in
from tests.support.nodes import PASSWORD, until
from tests.support.town import Town

CARD = {"sku": "CARD", "name": "3 hours", "form": "card", "minutes": 180, "price_minor": 2000}
TICKET = {**CARD, "sku": "HOUR", "name": "1 hour", "form": "ticket", "minutes": 60}


async def _server(town: Town) -> ServerNode:
    await town.open("one", "two")
    server = town.server
    assert server is not None
    for profile in (CARD, TICKET):
        await server.submit("pin.profile", profile)
    return server


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


# --- the codes ---------------------------------------------------------------------


@pytest.mark.feature("PN-01", "SE-08")
def test_pin_is_of_five_clear_letters_and_opens_with_its_keys_alone() -> None:
    """Thirty characters that nobody confuses; another café's keys, or a changed text, open nothing."""
    assert len(set(ALPHABET)) == 30 and not set("0O1ILU") & set(ALPHABET)
    codes, other = (PinCodes(new_keys(), b"c" * 16) for _ in range(2))
    made = codes.new(500, lambda index: False)
    found = [codes.open(text) for _, text in made]
    assert len(set(found)) == 500
    assert all(re.fullmatch(f"[{ALPHABET}]{{5}}", pin) for pin in found)
    assert [codes.index(f" {pin.lower()} ") for pin in found] == [index for index, _ in made]
    assert {index for index, _ in made}.isdisjoint(other.index(pin) for pin in found)
    _, text = made[0]
    for broken in (text[:-2] + "00", "zz", text[2:]):
        with pytest.raises(Malformed):
            codes.open(broken)
    with pytest.raises(Malformed):
        other.open(text)
    taken = {index for index, _ in made}
    assert taken.isdisjoint(index for index, _ in codes.new(500, taken.__contains__))
    with pytest.raises(Refused, match="no-pins-left"):
        codes.new(1, lambda index: True)


# --- made --------------------------------------------------------------------------


@pytest.mark.feature("PN-03", "PN-01", "PN-14")
async def test_cards_are_made_with_progress_and_can_be_stopped(town: Town) -> None:
    """What was made until then stays, in stock at once if that was asked for."""
    try:
        server = await _server(town)
        heard: list[tuple[int, int]] = []
        made = await pincards.make(
            server, "CARD", 450, stock=True, tell=lambda done, of: heard.append((done, of))
        )
        assert made == list(range(1, 451))
        assert heard == [(200, 450), (400, 450), (450, 450)]
        assert pins.shelf(server.tables, "CARD", "") == [[1, 450]]
        stopped = await pincards.make(
            server, "CARD", 10_000, stock=False, stopped=lambda: pincards.live(server) > 600
        )
        assert len(stopped) == 200
        for count in (0, 10_001):
            with pytest.raises(Refused, match="out-of-range"):
                await pincards.make(server, "CARD", count, stock=False)
        door = LocalDoor(server)
        made_here = await door.call("make_pins", profile="CARD", count=1, stock=False)
        assert made_here == {"first": 651, "last": 651, "live": 651}
        found = await door.call("find_pins", state="in_stock", serials="C-0449-450, 651")
        assert [row["serial"] for row in found] == [449, 450]
        assert "text" not in found[0] and "index" not in found[0]
        for wrong in ("x", "5-4", "", "1-99999", "1,,2"):
            with pytest.raises(Refused, match="bad-field"):
                pincards.read_serials(wrong)
    finally:
        await town.close()


@pytest.mark.feature("PN-13", "RP-07", "RP-17")
async def test_two_stations_offline_sell_a_hundred_consigned_cards_once_each(town: Town) -> None:
    """Fifty each; a card that is not consigned is refused; after the reconnect all are sold, none
    twice; what is recalled comes back."""
    try:
        server = await _server(town)
        await pincards.make(server, "CARD", 120, stock=True)
        for at, name in enumerate(("one", "two")):
            serials = list(range(1 + 50 * at, 51 + 50 * at))
            station = town.stations[name]
            body = {"serials": serials, "station": station.node_id}
            await server.submit("pin.consign", body)
            await until(lambda: pins.shelf(station.tables, "CARD", station.node_id))
        await town.stop_server()
        sold = []
        for station in town.stations.values():
            await until(lambda: not station.online)
            for _ in range(25):
                receipt = await station.submit(
                    "order.place", {"lines": [{"sku": "CARD", "quantity": 2}]}
                )
                sold.append(receipt.key.hex())
            with pytest.raises(Refused, match="no-cards"):
                await station.submit("order.place", {"lines": [{"sku": "CARD", "quantity": 1}]})
        server = await town.start_server()
        orders = server.tables.table("orders")
        await until(lambda: len(orders) == 50)
        found = [
            s for order in sold for line in orders.row(order)["lines"] for s in line["serials"]
        ]
        assert sorted(found) == list(range(1, 101))
        assert all(orders.row(order)["state"] == "collected" for order in sold)
        states = {row["state"] for row in pincards.find(server, serials=range(1, 101))}
        assert states == {"sold"}
        assert not len(server.tables.table("exceptions"))
        one = town.stations["one"]
        await server.submit("pin.consign", {"serials": [101, 102], "station": one.node_id})
        await server.submit("pin.recall", {"station": one.node_id})
        await until(lambda: pins.shelf(server.tables, "CARD", "") == [[101, 120]])
    finally:
        await town.close()


# --- secrets ------------------------------------------------------------------------


def _decoded(picture: Image.Image) -> list[str]:
    formats = zxingcpp.BarcodeFormat.QRCode
    return sorted(code.text for code in zxingcpp.read_barcodes(picture, formats=formats))


@pytest.mark.feature("PN-11", "PN-12", "SE-08", "SE-15")
async def test_ticket_shows_its_pin_on_paper_alone(town: Town) -> None:
    """The same PIN comes after a print that failed, once; a QR of it beside it; and in no file of any
    node, backup or list of rows does it stand."""
    try:
        server = await _server(town)
        await until(lambda: pins.spares_left(server.tables) >= 2)
        town.printer.faults.paper_out_after_lines = 0
        town.printer.decoder.faults.no_paper = True
        with pytest.raises(Refused, match="printer-not-ready"):
            await server.submit("order.place", {"lines": [{"sku": "HOUR", "quantity": 1}]})
        town.printer.decoder.faults.no_paper = False
        town.printer.faults.paper_out_after_lines = None
        receipt = await server.submit("order.place", {"lines": [{"sku": "HOUR", "quantity": 1}]})
        prints = server.tables.table("prints")
        await until(lambda: all(row["state"] == "printed" for _, row in prints.scan()))
        papers = [paper for paper in town.printer.papers if "PIN TICKET" in paper.text]
        assert len(papers) == 1
        (spaced,) = re.findall(rf"(?:[{ALPHABET}] ){{4}}[{ALPHABET}]", papers[0].text)
        pin = spaced.replace(" ", "")
        assert _decoded(papers[0].picture()) == [pin]
        assert pincards.by_pin(server, pin.lower()) == 1
        order = server.tables.table("orders").row(receipt.key.hex())
        assert order is not None and order["lines"][0]["serials"] == [1]
        set_passphrase(server.folder, "correct horse battery")
        await back_up(server, town.folder / "all.zip")
        canaries = [pin.encode(), spaced.encode(), PASSWORD.encode()]
        door = LocalDoor(server)
        shown = [await door.call("show", table=table) for table in SHOWS if table != "status"]
        shown += [await door.call("export_catalogue"), await door.call("export_customers")]
        said = json.dumps(shown, default=str).encode()
        assert not any(canary in said for canary in canaries)
        for folder in (server.folder, *(node.folder for node in town.stations.values())):
            data = everything_in(folder)
            assert not any(canary in data for canary in canaries)
        keys = server.folder / "keys" / "pins.key"
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        assert keys.read_bytes() not in (town.folder / "all.zip").read_bytes()
        for station in town.stations.values():
            assert not (station.folder / "keys" / "pins.key").exists()
        again = town.folder / "again"
        restore(town.folder / "all.zip", again, "correct horse battery")
        assert (again / "keys" / "pins.key").read_bytes() == keys.read_bytes()
    finally:
        await town.close()


@pytest.mark.feature("PN-04", "PN-08", "SE-08")
async def test_sheet_of_ten_cards_is_read_back_by_a_stranger(town: Town, tmp_path: Path) -> None:
    """Each QR says its card's PIN; who made the sheet is on record; the next ten are on the next
    page; nothing of it stays in a file of ours."""
    try:
        server = await _server(town)
        await pincards.make(server, "CARD", 11, stock=True)
        door = LocalDoor(server)
        done = await door.call("pin_sheet", serials="1-11", title="Cabina Central", font="black")
        data = base64.b64decode(done["data"])
        shown = {
            row["serial"]: row["pin"] for row in await door.call("look_at_pins", serials="1-11")
        }
        document = pypdfium2.PdfDocument(data)
        pages = [page.render(scale=4).to_pil() for page in document]
        assert [len(_decoded(page)) for page in pages] == [10, 1]
        found = sorted(_decoded(pages[0]) + _decoded(pages[1]))
        assert found == sorted(shown.values())
        text = document[0].get_textpage().get_text_range()
        assert "C-0001" in text and "Cabina Central" in text
        acts = [act for act, _, _ in server.tables.table("pins").peek("1")["history"]]  # type: ignore[index]
        assert acts == ["in_stock", "sheet", "look"]
        listed = await door.call("pin_list", serials="1,2", kind="csv")
        rows = list(csv.reader(io.StringIO(base64.b64decode(listed["data"]).decode("utf-8-sig"))))
        assert [row[1] for row in rows[1:]] == [shown[1], shown[2]]
        paper = await door.call("pin_list", serials="1,2", kind="pdf")
        assert base64.b64decode(paper["data"]).startswith(b"%PDF-")
        await asyncio.sleep(0)
        data = everything_in(server.folder)
        assert not any(pin.encode() in data for pin in shown.values())
    finally:
        await town.close()


@pytest.mark.feature("PN-04")
async def test_design_has_a_picture_or_a_sentence(town: Town) -> None:
    """A background of 50 MB, or that is no picture, is refused; a good one fills the card."""
    try:
        server = await _server(town)
        red = io.BytesIO()
        Image.new("RGB", (300, 100), "#C00000").save(red, "PNG")
        clear = io.BytesIO()
        Image.new("RGBA", (50, 50), (0, 255, 0, 128)).save(clear, "PNG")
        for wrong in (bytes(50 << 20), b"no picture"):
            with pytest.raises(Refused, match="bad-picture"):
                pincards.design_of(server, background=wrong)
        for wrong_fields in ({"font": "comic"}, {"colour": "red"}, {"colour": "#12345g"}):
            with pytest.raises(Refused, match="bad-field"):
                pincards.design_of(server, **wrong_fields)
        plain = pincards.design_of(server, colour="#132022", qr=False)
        design = pincards.design_of(server, background=red.getvalue(), logo=clear.getvalue())
        card = pincards.card_of(server, "CARD", 7, "A7K4M")
        assert (card.serial, card.name) == ("C-0007", "3 hours")
        assert card.terms.endswith("does not expire")
        with Image.open(io.BytesIO(preview(design, card))) as image:
            assert image.size == (856, 540)
            assert image.getpixel((700, 40))[0] > 150  # type: ignore[index]
            assert _decoded(image.copy()) == ["A7K4M"]
        with Image.open(io.BytesIO(preview(plain, card))) as image:
            assert _decoded(image.copy()) == []
        long = Design("A very long title for a very small card, on and on")
        assert preview(long, card).startswith(b"\x89PNG")
    finally:
        await town.close()


@pytest.mark.feature("PN-02")
def test_terms_say_how_long_a_pin_is_good() -> None:
    """In both languages."""
    of: dict[str, Any] = {"days": 30, "last_day": 739_951}
    said = [
        pincards.terms_of({**of, "validity": validity}, language)
        for language in ("en", "es")
        for validity in ("date", "sale", "use", "none")
    ]
    assert len(set(said)) == 8
    assert "30 days from the sale" in said[1]
