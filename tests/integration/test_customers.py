"""Customers at real nodes: made offline, sealed, tracked, carried by CSV, and forgotten for good."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from node import people
from node.cafe.house import Cafe
from node.control import LocalDoor
from node.people import CONTACT
from node.roles.base import Node
from sync.disk import ReadOnlyDisk
from sync.errors import Refused
from sync.identity import node_id, verify_ed25519
from sync.verify import verify_canon, verify_own
from tests.screens.test_screens import screen_of
from tests.support.nodes import Nodes, until
from ui import files

CANARY = "canary.mail@example.org"
PROFILE = {"name": "Std", "price_minor": 50_000, "points": 1, "per_minor": 50_000}


def everything_in(folder: Path) -> bytes:
    """All bytes of all files of a node."""
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def _profile(nodes: Nodes) -> None:
    await nodes.server.submit("profile.add", {"profile": "STD", "values": PROFILE})
    await until(lambda: nodes.station.tables.table("profiles").peek("STD"))


async def _ana(nodes: Nodes) -> str:
    typed = {"user": "ana.mora", "first": "Ana", "last": "Zapatero", "email": CANARY}
    made = await LocalDoor(nodes.station).call("create_customer", profile="STD", typed=typed)
    await until(lambda: nodes.server.tables.table("people").peek(made["customer"]))
    return str(made["customer"])


@pytest.mark.feature("RC-02", "SY-17", "RP-17")
async def test_customer_made_offline_is_sealed_to_the_server(nodes: Nodes) -> None:
    """A station sells credit to them at once; it cannot read what it has sealed; the server can."""
    await _profile(nodes)
    station = LocalDoor(nodes.station)
    nodes.switch.cut()
    await until(lambda: not nodes.station.online)
    typed = {"user": "ana.mora", "first": "Ana", "email": CANARY, "birth": "1990-02-28"}
    made = await station.call("create_customer", profile="STD", typed=typed)
    line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": 100_000}
    body = {"lines": [line], "customer": made["customer"]}
    await nodes.station.submit("order.place", body)
    shown = await station.call("customer", user="ANA.MORA")
    assert (shown["email"], shown["phone"], shown["first"]) == ("•••", "", "Ana")
    for kind, fields in (
        ("points.redeem", {"customer": made["customer"], "points": 10}),
        ("customer.balance", {"customer": made["customer"], "credit": [0, 1], "reason": "x"}),
    ):
        with pytest.raises(Refused, match="needs-server"):
            await nodes.station.submit(kind, fields)
    nodes.switch.join()
    nodes.station.client.hurry()
    await until(lambda: nodes.server.tables.table("people").peek(made["customer"]))
    there = await LocalDoor(nodes.server).call("customer", user="ana.mora")
    assert (there["email"], there["birth"]) == (CANARY, "1990-02-28")
    (order,) = nodes.server.tables.table("orders")
    await nodes.server.submit("order.collect", {"order": order.doc_id})
    assert (await LocalDoor(nodes.server).call("customer", user="ana.mora"))["credit"] == 100_000
    for node in (nodes.server, nodes.station):
        assert CANARY.encode() not in everything_in(node.folder)


@pytest.mark.feature("RC-06", "RC-09", "SE-08", "SY-17")
async def test_who_leaves_is_in_no_file_any_more_and_chains_verify(nodes: Nodes) -> None:
    """Names go out of the logs of every node, also those of edits that were refused; heads stay."""
    await _profile(nodes)
    customer = await _ana(nodes)
    door = LocalDoor(nodes.server)
    done = await door.call("edit_customer", customer=customer, typed={"last": "Quevedo"})
    assert done["changed"]
    done = await door.call("edit_customer", customer=customer, typed={"email": CANARY})
    assert not done["changed"]
    vendor = {"operator": "Lucía Mora", "granted": ["customer.edit"]}
    await nodes.server.submit("operator.edit", vendor)
    await until(lambda: nodes.station.may("customer.edit"))
    nodes.switch.cut()
    await until(lambda: not nodes.station.online)
    await nodes.server.submit(
        "customer.delete", {"customer": customer, "credit": "forfeit", "reason": "moved"}
    )
    late = {"customer": customer, "changes": {"first": [1, "Tardía"]}}
    await nodes.station.submit("customer.edit", late)
    nodes.switch.join()
    nodes.station.client.hurry()
    gone = [name.encode() for name in ("Zapatero", "Quevedo", "ana.mora", "Tardía")]

    def is_clean() -> bool:
        files = [everything_in(node.folder) for node in (nodes.server, nodes.station)]
        return not any(name in data for name in gone for data in files)

    await until(is_clean)
    await until(lambda: not len(nodes.server.tables.table("erasing")))
    await until(lambda: nodes.station.tables.cursor == nodes.server.tables.cursor)
    assert nodes.server.digest() == nodes.station.digest()
    server = nodes.server
    for folder in (server.folder, nodes.station.folder):
        disk = ReadOnlyDisk(folder)
        checked = verify_canon(
            disk, server.cafe_id, node_id(server.server_key), server.server_key,
            Cafe(), verify_ed25519,
        )  # fmt: skip
        assert checked.problem is None
    keys = nodes.station.keys
    own = verify_own(
        ReadOnlyDisk(nodes.station.folder), server.cafe_id, keys.signer.public, keys.node,
        verify_ed25519,
    )  # fmt: skip
    assert own.problem is None


@pytest.mark.feature("RC-05")
async def test_search_finds_by_the_beginning_of_any_name(nodes: Nodes) -> None:
    """User, last or first name; accents and case are ignored; a new name is found at once."""
    await _profile(nodes)
    door = LocalDoor(nodes.server)
    for user, first, last in (("msolano", "María", "Solano"), ("marco", "Marco", "Núñez")):
        typed = {"user": user, "first": first, "last": last}
        await door.call("create_customer", profile="STD", typed=typed)

    def found(words: str, limit: int = 9) -> list[str]:
        return [row["user"] for row in people.rows_of(nodes.server, words, limit)]

    assert found("mar") == ["marco", "msolano"]
    assert found("sol MARI") == ["msolano"]
    assert found("nun") == ["marco"]
    assert found("olano") == []
    assert found("", 1) == ["marco"]
    await door.call("create_customer", profile="STD", typed={"user": "mario"})
    assert found("mar") == ["marco", "mario", "msolano"]
    assert people.doubtful(nodes.server) == []


@pytest.mark.feature("RC-11", "RC-05")
async def test_tracking_is_a_table_and_a_file(nodes: Nodes) -> None:
    """Each movement with who, where and what is left; the last line is the account."""
    await _profile(nodes)
    customer = await _ana(nodes)
    line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": 150_000}
    await nodes.server.submit("order.place", {"lines": [line], "customer": customer})
    price = nodes.server.tables.table("products").peek("TEA")["price_minor"]  # type: ignore[index]
    pays = [{"method": "credit", "amount_minor": price}]
    tea = [{"sku": "TEA", "quantity": 1}]
    body = {"lines": tea, "customer": customer, "payments": pays}
    await nodes.server.submit("order.place", body)
    await nodes.server.submit("customer.lock", {"customer": customer, "hours": 2, "reason": "x"})
    await nodes.server.submit("customer.unlock", {"customer": customer})
    edit = {"customer": customer, "points": [3, 30], "reason": "gift"}
    await nodes.server.submit("customer.balance", edit)
    await nodes.server.submit("points.redeem", {"customer": customer, "points": 10})
    door = LocalDoor(nodes.server)
    rows = await door.call("tracking", user="ana.mora")
    assert [row["what"] for row in rows] == [
        "redeemed", "edited", "unlocked", "locked", "purchase", "charged", "created",
    ]  # fmt: skip
    assert rows[0]["detail"] == "60 min" and rows[0]["points_after"] == 20
    assert rows[5]["credit"] == rows[5]["balance"] == 150_000
    assert "Credit" in rows[5]["detail"] and rows[3]["detail"].startswith("x → ")
    assert (rows[4]["credit"], rows[4]["balance"]) == (-price, 150_000 - price)
    assert rows[6]["where"].endswith("Terrace")
    text = (await door.call("tracking_csv", user="ana.mora"))["csv"]
    assert len(text.splitlines()) == 8 and "1500.00" in text


@pytest.mark.feature("RC-02", "RC-11")
async def test_customers_go_out_and_come_in_as_csv(nodes: Nodes) -> None:
    """What was exported is imported; one bad line, and nothing is."""
    await _profile(nodes)
    door = LocalDoor(nodes.server)
    good = (
        "user,first_name,last_name,profile,email,birth_date,credit,points,expires\n"
        f"ana.mora,=Ana,Mora,STD,{CANARY},1990-02-28,15.50,7,2030-01-31\n"
        "beto,Beto,Ruiz,STD,,,,,\n"
    )
    bad = good + "abc,x,y,STD,,,,,\nana.MORA,x,y,STD,,,,,\nlong,x,y,NONE,,,1.005,,\n"
    done = await door.call("import_customers", csv=bad, reason="import")
    assert [line for line, _, _ in done["bad"]] == [4, 5, 6]
    assert len(nodes.server.tables.table("people")) == 0
    for wrong in ("user\nx\n", "user,first_name,last_name,profile,shoe\n", "", 'user\n"x'):
        found = await door.call("import_customers", csv=wrong, reason="import")
        assert len(found["bad"]) == 1
    more = good.replace(
        "beto,Beto,Ruiz,STD,,,,,", "beto,Beto,Ruiz,STD,,,,,,9\nmore,M,R,STD,,1-1,x,,"
    )
    assert len((await door.call("import_customers", csv=more, reason="import"))["bad"]) == 2
    assert (await door.call("import_customers", csv=good, reason="import")) == {"customers": 2}
    shown = await door.call("customer", user="ana.mora")
    assert (shown["credit"], shown["points"], shown["first"]) == (1550, 7, "=Ana")
    again = (await door.call("export_customers"))["csv"]
    assert "'=Ana" in again and CANARY in again and "15.50,7,2030-01-31" in again
    done = await door.call("import_customers", csv=again, reason="import")
    assert {code for _, code, _ in done["bad"]} == {"repeated"}


@pytest.mark.feature("RC-03", "RC-02")
async def test_customer_is_checked_before_anything_is_done(nodes: Nodes) -> None:
    """No account without a name stays behind; each wrong field is a sentence."""
    await _profile(nodes)
    door = LocalDoor(nodes.server)
    for typed, code in (
        ({"user": "abc"}, "bad-user"),
        ({"user": "good", "birth": "31/12/1990"}, "bad-value"),
        ({"user": "good", "birth": "0001-01-01"}, "bad-value"),
        ({"user": "good", "email": "x" * 201}, "too-long"),
        ({"user": "good", "first": "\x1bp"}, "bad-text"),
    ):
        with pytest.raises(Refused, match=code):
            await door.call("create_customer", profile="STD", typed=typed)
    customer = await _ana(nodes)
    with pytest.raises(Refused, match="name-taken"):
        await door.call("create_customer", profile="STD", typed={"user": "Ana.Mora"})
    assert len(nodes.server.tables.table("customers")) == 1
    person = nodes.server.tables.table("people").row(customer)
    assert person is not None and all(name in person for name in CONTACT)


@pytest.mark.feature("RC-02", "RC-09", "SY-17")
async def test_photo_is_seen_at_the_server_alone_and_goes_with_its_customer(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chosen at a station it is sealed like all else; what is no picture is a sentence."""
    out = io.BytesIO()
    Image.new("RGB", (600, 400), "#C08040").save(out, "PNG")
    await _profile(nodes)
    customer = await _ana(nodes)
    vendor = {"operator": "Lucía Mora", "granted": ["customer.edit"]}
    await nodes.server.submit("operator.edit", vendor)
    await until(lambda: nodes.station.may("customer.edit"))
    station = LocalDoor(nodes.station)
    wrong = base64.b64encode(b"no picture").decode()
    with pytest.raises(Refused, match="bad-picture"):
        await station.call("set_picture", sku="", data=wrong, user="ana.mora")
    data = base64.b64encode(out.getvalue()).decode()
    await station.call("set_picture", sku="", data=data, user="ana.mora")

    def person(node: Node) -> dict[str, Any]:
        return node.tables.table("people").row(customer) or {}

    await until(lambda: people.photo_of(nodes.server, person(nodes.server)))
    small = people.photo_of(nodes.server, person(nodes.server))
    assert small is not None and Image.open(io.BytesIO(small)).size == (384, 256)
    assert people.photo_of(nodes.station, person(nodes.station)) is None
    for node in (nodes.server, nodes.station):
        assert small not in everything_in(node.folder)
    chosen = [("x.png", out.getvalue())]

    async def pick(*endings: str) -> tuple[str, bytes] | None:
        return chosen.pop() if chosen else None

    monkeypatch.setattr(files, "pick", pick)
    async with screen_of(nodes.server) as screen:
        await screen.press("F8")
        await screen.click(f"customer-{customer}")
        assert screen.has("photo")
        await screen.click("tab-data")
        await screen.click("photo-drop")
        assert not screen.has("photo")
        for _ in range(2):
            await screen.click("photo-pick")
            await screen.settle(0.3)
        assert screen.has("photo")
    body = {"customer": customer, "credit": "forfeit", "reason": "moved"}
    await nodes.server.submit("customer.delete", body)
    assert not list(nodes.server.tables.table("pictures").scan())
    assert people.photo_of(nodes.server, {"photo": "00" * 32}) is None
    bare = nodes.server.driver.add_blob(b"x" * 100).hex()
    assert people.photo_of(nodes.server, {"photo": bare}) is None
