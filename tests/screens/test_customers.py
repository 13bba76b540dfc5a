"""The screens of customers and PINs, used as their users use them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from PIL import Image

from node.control import LocalDoor
from tests.screens.test_screens import screen_of
from tests.support.nodes import PASSWORD, Nodes, until
from ui import files

PROFILE = {"name": "Std", "price_minor": 50_000, "points": 1, "per_minor": 50_000, "need": 2}


async def _profile(nodes: Nodes) -> None:
    await nodes.server.submit("profile.add", {"profile": "STD", "values": PROFILE})
    await until(lambda: nodes.station.tables.table("profiles").peek("STD"))


async def _ana(nodes: Nodes, credit: int = 300_000) -> str:
    await _profile(nodes)
    typed = {"user": "ana.mora", "first": "Ana", "last": "Mora"}
    made = await LocalDoor(nodes.server).call("create_customer", profile="STD", typed=typed)
    customer = str(made["customer"])
    if credit:
        line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": credit}
        await nodes.server.submit("order.place", {"lines": [line], "customer": customer})
    return customer


def row(nodes: Nodes, customer: str) -> dict[str, Any]:
    found = nodes.server.tables.table("customers").row(customer)
    assert found is not None
    return found


@pytest.mark.feature("RC-01", "RC-02", "RC-03", "RC-05")
async def test_profile_and_customer_are_made_on_the_screen(nodes: Nodes) -> None:
    """First the profile, else the screen says so; a short name is a sentence; what is paid at once
    is credit."""
    async with screen_of(nodes.server) as screen:
        await screen.press("F8")
        await screen.click("customer-new")
        assert screen.shows("There is no registered profile")
        await screen.click("customers-tab-profiles")
        await screen.click("profiles-new")
        await screen.type("profile-name", "Students")
        await screen.type("profile-minimum", "x")
        await screen.click("profile-save")
        assert "Minimum" in screen.text("problem")
        await screen.type("profile-minimum", "500")
        await screen.type("profile-points", "1")
        await screen.click("profile-save")
        assert screen.text("saved") == "Saved"
        await screen.click("profile-clone")
        await screen.type("profile-name", "Others")
        await screen.click("profile-save")
        assert len(nodes.server.tables.table("profiles")) == 2
        await screen.click("customers-tab-people")
        await screen.click("customer-new")
        await screen.type("customer-user", "ana")
        await screen.type("customer-initial", "1000")
        await screen.click("new-save")
        assert screen.text("problem").startswith("A user name has 4 to 32")
        await screen.type("customer-user", "ana.mora")
        await screen.type("customer-initial", "10")
        await screen.click("new-save")
        assert "Pays now" in screen.text("problem")
        await screen.type("customer-initial", "1000")
        await screen.type("customer-email", "ana@example.org")
        await screen.click("new-save")
        assert screen.text("customer-title") == "ana.mora"
        assert screen.text("figure-credit").replace("\xa0", " ") == "₡1,000"
        await screen.click("customers-back")
        await screen.type("search", "ana")
        (found,) = [key for key in screen.keys("customer-") if len(key) > 30]
        await screen.click(found)
        assert screen.shows("Credit added") and screen.shows("Account made")


@pytest.mark.feature("RP-04", "RC-05", "RP-28")
async def test_credit_is_added_and_spent_at_the_desk(nodes: Nodes) -> None:
    """F9 asks whose and how much; a ticket of theirs may be paid with it, the rest in cash."""
    customer = await _ana(nodes, 0)
    server = nodes.server
    async with screen_of(server) as screen:
        await screen.press("F9")
        await screen.type("find-customer", "mor")
        await screen.click(f"pick-{customer}")
        assert screen.text("ticket-customer") == "Ana Mora"
        await screen.type("open-price", "1000")
        await screen.click("open-add")
        await screen.press("Enter")
        assert row(nodes, customer)["credit"] == 100_000
        await screen.click("customer")
        await screen.type("find-customer", "ana", submit=True)
        await screen.click("tile-LATTE")
        await screen.click("method-credit")
        price = server.tables.table("products").peek("LATTE")["price_minor"]  # type: ignore[index]
        assert screen.shows("Left to pay") and price > 100_000
        await screen.press("Enter")
        assert row(nodes, customer)["credit"] == 0
        (order,) = server.tables.table("orders").latest("taken_ms", 1)
        assert order["payments"] == [["credit", 100_000]]
        assert order["cash_minor"] == price - 100_000
        await screen.click("customer")
        await screen.click("find-leave")
        assert not screen.has("find-customer")


@pytest.mark.feature("RC-06", "RC-07", "RC-11", "RC-12", "RC-13", "RC-16", "RC-09")
async def test_account_is_corrected_locked_redeemed_transferred_and_closed(
    nodes: Nodes, saved: dict[str, bytes]
) -> None:
    """Each act in its tab, each with its sentence; minutes have no field; the record is a file."""
    customer = await _ana(nodes)
    typed = {"user": "bea.ruiz"}
    await LocalDoor(nodes.server).call("create_customer", profile="STD", typed=typed)
    mug = {"sku": "MUG", "name": "Mug", "price_minor": 100, "points": 1}
    await nodes.server.submit("product.add", {"product": mug})
    async with screen_of(nodes.server) as screen:
        await screen.press("F8")
        await screen.click(f"customer-{customer}")
        await screen.click("tab-data")
        await screen.type("customer-last", "Mora Díaz")
        await screen.click("data-save")
        assert screen.text("saved") == "Saved"
        await screen.click("tab-balance")
        assert not screen.has("customer-minutes")
        await screen.type("customer-points", "8")
        await screen.click("balance-save")
        assert screen.has("problem")
        await screen.type("customer-expires", "soon")
        await screen.click("balance-save")
        assert "Good through" in screen.text("problem")
        await screen.type("customer-expires", "2030-01-31")
        await screen.type("customer-reason", "a gift")
        await screen.click("balance-save")
        assert screen.text("saved") == "Saved"
        assert row(nodes, customer)["points"] == 8
        await screen.click("tab-lock")
        await screen.type("customer-hours", "0")
        await screen.click("lock")
        assert screen.has("problem")
        await screen.type("customer-hours", "2")
        await screen.click("lock")
        assert screen.has("locked-until")
        await screen.click("tab-redeem")
        await screen.type("customer-points", "2")
        await screen.click("redeem")
        assert "locked" in screen.text("problem")
        await screen.click("tab-lock")
        await screen.click("unlock")
        await screen.click("tab-redeem")
        await screen.type("customer-points", "2")
        await screen.click("redeem")
        assert screen.text("figure-redeemed").replace("\xa0", " ") == "60 min"
        await screen.click("redeem-more-MUG")
        await screen.click("redeem")
        assert row(nodes, customer)["points"] == 5
        await screen.click("tab-transfer")
        await screen.type("customer-to", "bea.ruiz")
        await screen.type("customer-amount", "500")
        await screen.click("transfer")
        assert row(nodes, customer)["credit"] == 250_000
        await screen.click("tab-tracking")
        await screen.click("what-charged")
        assert len(screen.keys("move-")) == 1
        await screen.click("tracking-csv")
        assert b"redeemed" in saved["cabina-ana.mora.csv"]
        await screen.click("tab-delete")
        await screen.click("delete-refund")
        assert screen.has("problem")
        await screen.type("customer-reason", "moved")
        await screen.click("delete-refund")
        assert screen.shows("ana.mora was deleted")
        assert row(nodes, customer)["deleted"]
        assert not screen.has(f"customer-{customer}")


@pytest.mark.feature("RC-11")
async def test_list_goes_out_and_comes_in_as_a_file(
    nodes: Nodes, saved: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad file is told line by line; those near their end are listed apart."""
    await _ana(nodes)

    async def pick(*endings: str) -> tuple[str, bytes] | None:
        return chosen[0]

    chosen: list[Any] = [None]
    monkeypatch.setattr(files, "pick", pick)
    async with screen_of(nodes.server) as screen:
        await screen.press("F8")
        await screen.click("customers-export")
        text = saved["cabina-customers.csv"].decode()
        assert [line["user"] for line in csv.DictReader(io.StringIO(text))] == ["ana.mora"]
        await screen.click("customers-import")
        chosen[0] = ("x.csv", saved["cabina-customers.csv"])
        await screen.click("customers-import")
        assert "2:" in screen.text("problem")
        chosen[0] = ("x.csv", text.replace("ana.mora", "eva.mora").encode())
        await screen.click("customers-import")
        assert screen.text("saved") == "1 customer imported"
        await screen.click("near")
        assert screen.shows("No customers here")


@pytest.mark.feature("RP-07", "RC-01")
async def test_pass_is_made_and_sold_to_somebody(nodes: Nodes) -> None:
    """Its tile asks for the customer first; each form asks for what it needs."""
    customer = await _ana(nodes)
    async with screen_of(nodes.server) as screen:
        await screen.press("F8")
        await screen.click("customers-tab-offers")
        await screen.click("offers-new")
        await screen.type("profile-name", "All day")
        await screen.type("profile-price", "3000")
        await screen.click("offer-save")
        assert screen.text("saved") == "Saved"
        for form, fields in (
            ("until", {"until": "23:00"}),
            ("days", {"days": "3"}),
            ("combo", {"parts": "2 TEA, COLA", "minutes": "30", "minutes_list": "500"}),
            ("recharge", {"gets": "4000"}),
            ("event", {"from": "2030-01-01 10:00", "to": "2030-01-02 02:00"}),
        ):
            await screen.click("offers-new")
            await screen.click(f"offer-{form}")
            await screen.type("profile-price", "3000")
            await screen.click("offer-save")
            assert "Name" in screen.text("problem")
            await screen.type("profile-name", f"Of {form}")
            for name, value in fields.items():
                await screen.type(f"profile-{name}", value)
            await screen.click("offer-save")
            assert screen.text("saved") == "Saved", form
        assert len(nodes.server.tables.table("offers")) == 6
        rows = nodes.server.tables.table("offers").scan()
        skus = {r["form"]: sku for sku, r in rows}
        await screen.press("F5")
        await screen.type("search", "All day")
        await screen.click(f"tile-{skus['day']}")
        await screen.click(f"pick-{customer}")
        await screen.type("search", "combo")
        await screen.click(f"tile-{skus['combo']}")
        assert screen.shows("Of combo")
        await screen.press("Enter")
        assert len(row(nodes, customer)["passes"]) == 1
        assert row(nodes, customer)["promotions"][0]["seconds"] == 1800


@pytest.mark.feature("RC-05", "RC-02", "RP-24")
async def test_station_offline_knows_its_customers(nodes: Nodes) -> None:
    """It finds them, says as of when, makes new ones, and offers nothing that needs the server's
    right."""
    customer = await _ana(nodes)
    await until(lambda: nodes.station.tables.table("people").peek(customer))
    nodes.switch.cut()
    await until(lambda: not nodes.station.online)
    async with screen_of(nodes.station) as screen:
        await screen.press("F8")
        await screen.click(f"customer-{customer}")
        assert screen.shows("as of")
        assert "tab-balance" not in screen.keys("tab-")
        await screen.click("tab-redeem")
        await screen.type("customer-points", "2")
        await screen.click("redeem")
        assert screen.has("problem")
        await screen.press("Escape")
        await screen.click("customer-new")
        await screen.type("customer-user", "new.one")
        await screen.click("new-save")
        assert screen.text("customer-title") == "new.one"
        await screen.click("add-credit")
        assert screen.has("open-price")


# --- PINs --------------------------------------------------------------------------


@pytest.mark.feature("PN-02", "PN-03", "PN-04", "PN-06", "PN-08")
async def test_cards_are_generated_designed_and_put_on_paper(
    nodes: Nodes, saved: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile first; the preview is live; sheets and lists are files; a bad picture is told."""
    red = io.BytesIO()
    Image.new("RGB", (200, 100), "#C00000").save(red, "PNG")
    chosen: list[Any] = [None, ("x.png", b"no picture"), ("x.png", red.getvalue())]

    async def pick(*endings: str) -> tuple[str, bytes] | None:
        return chosen.pop(0)  # type: ignore[no-any-return]

    monkeypatch.setattr(files, "pick", pick)
    server = nodes.server
    async with screen_of(server) as screen:
        await screen.open("pins")
        assert screen.shows("There is no PIN profile")
        await screen.click("tab-profiles")
        await screen.click("pin-profile-save")
        assert "Name" in screen.text("problem")
        await screen.type("pin-name", "3 hours")
        await screen.type("pin-price", "2000")
        await screen.click("pin-profile-save")
        assert "Minutes" in screen.text("problem")
        await screen.type("pin-minutes", "180")
        await screen.click("valid-date")
        await screen.click("pin-profile-save")
        assert "Last day" in screen.text("problem")
        await screen.click("valid-use")
        await screen.type("pin-days", "30")
        await screen.click("pin-profile-save")
        assert screen.text("saved") == "Saved"
        await screen.click("tab-make")
        before = screen.find("pins-preview").src
        await screen.type("pins-title", "Cabina Central")
        assert screen.find("pins-preview").src != before
        for _ in range(2):
            await screen.click("pins-background")
        assert screen.text("problem").startswith("This is no picture")
        await screen.click("pins-background")
        await screen.click("pins-no-background")
        await screen.type("pins-count", "0")
        await screen.click("pins-make")
        assert "How many" in screen.text("problem")
        await screen.type("pins-count", "12")
        await screen.click("pins-make")
        assert screen.text("saved").startswith("12 cards made: 1-12")
        await screen.click("pins-sheet")
        assert saved["cabina-pins.pdf"].startswith(b"%PDF")
        await screen.click("pins-list")
        assert saved["cabina-pins.csv"].count(b"\n") == 13
        await screen.click("tab-tracking")
        assert screen.shows("C-0012") and screen.shows("•••••")
        await screen.type("track-serials", "12")
        await screen.click("look")
        listed = saved["cabina-pins.csv"].decode("utf-8-sig").splitlines()[-1].split(",")
        assert screen.shows(listed[1])
        await screen.click("pins-delete")
        assert screen.has("problem")
        await screen.type("track-reason", "torn")
        await screen.click("pins-delete")
        assert screen.text("saved") == "Deleted."
        await screen.click("state-deleted")
        assert screen.keys("pin-") == ["pin-12"]
        await screen.type("track-serials", "x")
        assert screen.has("problem")
        await screen.click("pins-sell")
        assert screen.has("charge")


@pytest.mark.feature("PN-06", "PN-09", "PN-13")
async def test_cards_are_consigned_sold_returned_and_recalled(nodes: Nodes) -> None:
    """At the station they are listed, sold without the server, and given back."""
    server, station = nodes.server, nodes.station
    await server.submit("settings.edit", {"mode": 1})
    profile = {"sku": "CARD", "name": "3 hours", "form": "card", "minutes": 180, "price_minor": 500}
    await server.submit("pin.profile", profile)
    await LocalDoor(server).call("make_pins", profile="CARD", count=6, stock=True)
    async with screen_of(server) as screen:
        await screen.open("pins")
        await screen.click("tab-stock")
        assert screen.shows("C-0001–C-0006")
        await screen.type("stock-serials", "1-4")
        await screen.click(f"station-{station.node_id}")
        await screen.click("consign")
        assert screen.text("saved") == "Done."
        await screen.type("stock-serials", "6")
        await screen.click("stock-out")
        await screen.click("stock-in")
        assert screen.text("saved") == "Done."
    await until(lambda: station.tables.table("shelves").peek(f"CARD/{station.node_id}"))
    nodes.switch.cut()
    await until(lambda: not station.online)
    async with screen_of(station) as screen:
        await screen.open("pins")
        assert screen.text("held") == "4"
        await screen.press("F5")
        await screen.type("search", "3 hours")
        await screen.click("tile-CARD")
        await screen.press("Enter")
        await screen.open("pins")
        assert screen.text("held") == "3"
        await screen.type("return-serials", "1")
        await screen.click("return")
        assert screen.has("problem")
        await screen.type("return-serials", "4")
        await screen.click("return")
        assert screen.text("saved") == "Given back."
    nodes.switch.join()
    station.client.hurry()
    await until(lambda: server.tables.table("pins").peek("1")["state"] == "sold")  # type: ignore[index]
    async with screen_of(server) as screen:
        await screen.open("pins")
        await screen.click("tab-stock")
        await screen.click(f"shelf-CARD-{station.node_id}")
        await screen.click("recall")
        assert screen.has("saved")
    await until(lambda: not server.tables.table("shelves").peek(f"CARD/{station.node_id}"))
    async with screen_of(station) as screen:
        await screen.open("pins")
        assert screen.shows("No cards are consigned here")


# --- odd hands ---------------------------------------------------------------------


@pytest.mark.feature("RP-04")
async def test_credit_that_was_typed_for_one_is_never_charged_to_another(nodes: Nodes) -> None:
    """F9 on a ticket keeps its customer; another customer's credit parks the first one's; Enter
    while a customer is asked for charges nothing, and the amount stays while others sell."""
    ana = await _ana(nodes, 0)
    typed = {"user": "bea.ruiz"}
    made = await LocalDoor(nodes.server).call("create_customer", profile="STD", typed=typed)
    bea = str(made["customer"])
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-COFFEE")
        await screen.press("F9")
        await screen.press("Enter")
        assert not len(nodes.server.tables.table("orders").latest("taken_ms", 9))
        await screen.press("Escape")
        await screen.click("clear")
        await screen.press("F9")
        await screen.click(f"pick-{ana}")
        await screen.type("open-price", "1000")
        await nodes.station.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
        await until(lambda: len(nodes.server.tables.table("orders")) == 1)
        await screen.settle(0.3)
        assert screen.find("open-price").value == "1000"
        await screen.click("open-add")
        await screen.press("F9")
        assert screen.text("ticket-customer") == "Ana Mora" and screen.has("open-price")
        await screen.click("open-leave")
        await screen.click("customer")
        await screen.click(f"pick-{bea}")
        assert screen.text("ticket-customer") == "bea.ruiz" and not screen.keys("line-")
        await screen.click("open-parked")
        await screen.click("parked-0")
        assert screen.text("ticket-customer") == "Ana Mora"
        await screen.press("Enter")
    assert (row(nodes, ana)["credit"], row(nodes, bea)["credit"]) == (100_000, 0)


@pytest.mark.feature("RC-06", "RC-16")
async def test_correction_is_of_what_was_seen_and_enter_acts_once(nodes: Nodes) -> None:
    """What came meanwhile is not overwritten; a second Enter does nothing more."""
    customer = await _ana(nodes)
    await nodes.server.submit(
        "customer.balance", {"customer": customer, "points": [6, 8], "reason": "x"}
    )
    async with screen_of(nodes.server) as screen:
        await screen.press("F8")
        await screen.click(f"customer-{customer}")
        await screen.click("tab-balance")
        await screen.type("customer-credit", "2900")
        line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": 500_000}
        await nodes.server.submit("order.place", {"lines": [line], "customer": customer})
        await screen.type("customer-reason", "counted")
        await screen.click("balance-save")
        assert "meanwhile" in screen.text("problem")
        assert row(nodes, customer)["credit"] == 800_000
        await screen.click("tab-redeem")
        await screen.type("customer-points", "2")
        field = screen.find("customer-points")
        points = row(nodes, customer)["points"]
        for _ in range(2):
            await screen.session.dispatch_event(field._i, "submit", "2")
        await screen.settle(0.5)
        assert row(nodes, customer)["points"] == points - 2


@pytest.mark.feature("RC-06", "RC-03")
async def test_conflict_of_a_person_is_settled_with_a_touch(nodes: Nodes) -> None:
    """Either value, also the one that stands; what is of nobody is told without a crash."""
    customer = await _ana(nodes, 0)
    for value, sealed in (("Dos", "aa" * 60), ("Uno", "bb" * 60)):
        changes = {"last": [1, value], "phone": [1, sealed]}
        await nodes.server.submit("customer.edit", {"customer": customer, "changes": changes})
    async with screen_of(nodes.server) as screen:
        await screen.press("F3")
        await screen.click(f"open-{customer}")
        assert screen.has("take-phone")
        await screen.click("keep-last")
        assert not screen.has("keep-last")
        await screen.click("take-phone")
        await screen.click("data-save")
        assert screen.text("saved") == "Nothing was changed."
        await screen.press("F3")
        assert screen.shows("Nothing needs you")
        await screen.press("F8")
        delete = {"customer": customer, "credit": "forfeit", "reason": "x"}
        await nodes.server.submit("customer.delete", delete)
        await screen.settle(0.3)
        assert screen.shows("This customer has left")
        await screen.press("F9")
        assert screen.has("find-customer")


@pytest.mark.feature("PN-08", "SE-08")
async def test_pins_hide_again_and_odd_serials_break_nothing(nodes: Nodes) -> None:
    """With the next filter or step, another screen, or another person; a form is of one tab."""
    server = nodes.server
    profile = {"sku": "CARD", "name": "3 hours", "form": "card", "minutes": 180, "price_minor": 500}
    await server.submit("pin.profile", profile)
    await LocalDoor(server).call("make_pins", profile="CARD", count=3, stock=True)
    async with screen_of(server) as screen:
        await screen.open("pins")
        await screen.click("tab-tracking")
        for odd in ("1-²", "9" * 5000, "3-1", "1-99999"):
            await screen.type("track-serials", odd)
            assert screen.has("problem")
        await screen.type("track-serials", "1-3")
        for leave in ("state-", "pins-delete", "rail"):
            await screen.click("look")
            assert not screen.shows("•••••")
            if leave == "rail":
                await screen.press("F5")
                await screen.open("pins")
            else:
                await screen.click(leave)
            assert screen.shows("•••••")
        await screen.press("L", ctrl=True)
        assert screen.shows("password") or screen.has("password")
    await server.sign_in("Ana Vargas", PASSWORD)
    async with screen_of(server) as screen:
        await screen.press("F8")
        await screen.click("customers-tab-profiles")
        await screen.click("profiles-new")
        await screen.type("profile-name", "Students")
        await screen.click("customers-tab-offers")
        assert not screen.has("profile-name")
        await screen.click("offers-new")
        await screen.click("offer-recharge")
        await screen.click("offer-save")
        assert "Name" in screen.text("problem")


@pytest.mark.feature("OP-01", "RP-04")
async def test_who_may_not_charge_is_offered_nothing(nodes: Nodes) -> None:
    """Neither the key nor the tile opens a list of customers."""
    await _ana(nodes)
    denied = {"operator": "Lucía Mora", "denied": ["credit.topup", "customer.read"]}
    await nodes.server.submit("operator.edit", denied)
    await nodes.server.sign_in("Lucía Mora", PASSWORD)
    async with screen_of(nodes.server) as screen:
        await screen.press("F9")
        assert not screen.has("find-customer")
        await screen.type("search", "Credit")
        await screen.click("tile-C:CREDIT")
        assert not screen.has("find-customer")
        assert screen.text("problem").startswith("Choose a customer")


@pytest.mark.feature("RP-12", "RC-15")
async def test_points_are_set_at_a_station_while_the_server_is_there(nodes: Nodes) -> None:
    """By who may, and nothing else of a profile; without the server it is a sentence."""
    await _ana(nodes, 0)
    async with screen_of(nodes.station) as screen:
        await screen.press("F8")
        assert not screen.keys("customers-tab-")
    granted = {"operator": "Lucía Mora", "granted": ["points.settings"]}
    await nodes.server.submit("operator.edit", granted)
    await until(lambda: nodes.station.may("points.settings"))
    async with screen_of(nodes.station) as screen:
        await screen.press("F8")
        await screen.click("customers-tab-points")
        await screen.click("profile-STD")
        assert not screen.has("profile-price")
        await screen.type("profile-points", "3")
        await screen.type("profile-per", "0")
        await screen.click("points-save")
        assert screen.has("problem")
        await screen.type("profile-per", "1000")
        await screen.click("points-save")
        assert screen.text("saved") == "Saved"
        known = nodes.server.tables.table("profiles")
        await until(lambda: known.peek("STD")["per_minor"] == 100_000)  # type: ignore[index]
        nodes.switch.cut()
        await until(lambda: not nodes.station.online)
        await screen.click("points-save")
        assert "server" in screen.text("problem")
