"""The floor, PCs and rates, and the customers' own pages, used as their users use them."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tinydb import where

from node.bootstrap import open_folder, pair_here
from node.control import LocalDoor
from node.roles.station import StationNode
from tests.screens.test_screens import screen_of
from tests.support.hall import PROFILE, RATE, Hall, hall
from tests.support.nodes import PASSWORD, until
from tests.support.screen import Screen
from ui import client_page, kiosk
from ui.client_page import open_client_page
from ui.format import Format
from ui.viewmodels import client as client_model
from ui.viewmodels import floor as model
from ui.viewmodels.audit import today
from ui.viewmodels.forms import BadField
from ui.viewmodels.session import Session


@pytest_asyncio.fixture
async def room(tmp_path: Path) -> AsyncIterator[Hall]:
    """Three PCs."""
    async with hall(tmp_path, 3) as made:
        yield made


def page_of(h: Hall, number: int = 1, **size: int) -> Screen:
    pc = h.pcs[number]
    return Screen(lambda page: open_client_page(page, pc), **size)


def _session(h: Hall, number: int) -> str:
    return str(h.server.tables.table("pcs").peek(h.id_of(number))["session"])  # type: ignore[index]


# --- the floor --------------------------------------------------------------------


@pytest.mark.feature("PC-01", "PC-02", "PC-06")
async def test_operator_starts_pauses_moves_ends_and_charges(room: Hall) -> None:
    """By touch and by Space; the bill follows by itself, and the change is counted."""
    h, server = room, room.server
    async with screen_of(server) as screen:
        await screen.press("P", ctrl=True)
        assert screen.keys("pc-")[:3] == ["pc-1", "pc-2", "pc-3"]
        await screen.click("pc-1")
        await screen.press(" ")
        await until(lambda: h.pcs[1].unlocked)
        await screen.settle(0.3)
        assert screen.text("pc-time").startswith("0:0") and screen.shows("Free use")
        await screen.press(" ")  # it is in use: nothing
        assert len(server.tables.table("sessions")) == 1 and not screen.has("problem")
        await screen.click("do-hold")
        assert h.row(_session(h, 1))["state"] == "paused" and screen.shows("paused")
        await screen.click("do-hold")
        await screen.click("do-move")
        await screen.click("to-2")
        await until(lambda: h.pcs[2].unlocked)
        await screen.click("pc-2")
        await screen.click("do-message")
        await screen.type("floor-message", "Your print is ready", submit=True)
        await until(lambda: bool(h.pcs[2].state["messages"]))
        await screen.click("do-lock")
        await until(lambda: h.pcs[2].phase == "held")
        await screen.click("do-lock")
        await h.run_s(60)
        await screen.click("do-end")
        assert screen.text("due").endswith("1.00") and screen.has("floor-received")
        await screen.type("floor-received", "5")
        assert screen.shows("4.00")
        await screen.click("floor-enter")
        assert server.tables.table("sessions").count(where("state") == "due") == 0
        assert screen.shows("Paid.")
        await screen.click("floor-filter-all")
        await screen.click("pc-3")
        await screen.press("Escape")


@pytest.mark.feature("PC-02", "PC-06")
async def test_prepaid_time_is_bought_and_added_to(room: Hall) -> None:
    """What is typed wrongly is a sentence; the time stands on the card."""
    h = room
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-prepaid")
        await screen.type("floor-amount", "a lot", submit=True)
        assert "Amount" in screen.text("problem")
        await screen.type("floor-amount", "0.50", submit=True)
        assert screen.has("problem") and not h.pcs[1].unlocked
        await screen.type("floor-amount", "1", submit=True)
        await until(lambda: h.pcs[1].unlocked)
        await screen.settle(0.3)
        assert screen.shows("left") and screen.text("pc-time") in ("0:29", "0:30")
        await screen.click("do-add")
        await screen.type("floor-amount", "2")
        await screen.type("floor-received", "x", submit=True)
        assert screen.has("problem")
        await screen.type("floor-received", "5", submit=True)
        assert h.row(_session(h, 1))["limit_s"] == 5400
        await h.run_s(5400)
        await until(lambda: h.pcs[1].phase == "free")
        await screen.settle(0.3)
        assert screen.has("do-start") and not screen.has("do-end")


@pytest.mark.feature("RC-10", "RC-04")
async def test_operator_enables_a_pc_for_a_customer(room: Hall) -> None:
    """Ctrl+H anywhere; who has no password makes it at that PC; a wrong one is told and gone."""
    h = room
    await h.customer("maria", 1000, "Abcd1234")
    await h.customer("pepe", 1000)
    async with screen_of(h.server) as screen:
        await screen.press("H", ctrl=True)
        await screen.type("floor-user", "maria")
        await screen.type("floor-password", "wrong123")
        await screen.type("floor-number", "x", submit=True)
        assert "PC number" in screen.text("problem")
        await screen.type("floor-number", "9", submit=True)
        assert "no PC 9" in screen.text("problem")
        assert screen.find("floor-password").value == ""
        await screen.type("floor-number", "2", submit=True)
        assert "Type your password" in screen.text("problem")
        assert h.server.floor.tries.count(h.id_of(2)) == 0
        await screen.type("floor-password", "wrong123", submit=True)
        assert "not right" in screen.text("problem")
        await screen.type("floor-password", "Abcd1234")
        await screen.click("floor-enter")
        await until(lambda: h.pcs[2].unlocked)
        await screen.settle(0.3)
        assert screen.text("pc-who") == "maria"
        await screen.click("do-credit")
        assert screen.shows("Maria") and screen.shows("€10.00")
        await screen.open("customers")
        (pepe,) = [i for i, row in h.server.tables.table("people").scan() if row["user"] == "pepe"]
        await screen.click(f"customer-{pepe}")
        await screen.click("tab-data")
        assert screen.shows("No password yet")
        await screen.click("customer-enable")
        assert screen.find("floor-user").value == "pepe"
        await screen.type("floor-number", "3", submit=True)
        await until(lambda: h.pcs[3].state.get("expects") == "pepe")
        assert screen.shows("Waits for pepe")
    async with page_of(h, 3) as pc:
        assert "pepe" in pc.text("first-title")
        await pc.type("client-password", "Pepe1234")
        await pc.type("client-again", "Pepe1235", submit=True)
        assert "not the same" in pc.text("problem")
        await pc.type("client-password", "Pepe1234")
        await pc.type("client-again", "Pepe1234", submit=True)
        await until(lambda: h.pcs[3].unlocked)
        await pc.settle(0.3)
        assert pc.has("time") and pc.shows("Pepe")
    async with screen_of(h.server) as screen:
        await screen.open("customers")
        await screen.click(f"customer-{pepe}")
        await screen.click("tab-data")
        await screen.click("password-forget")
        await screen.click("password-keep")
        await screen.click("password-forget")
        await screen.click("password-sure")
        await until(lambda: not h.pcs[3].unlocked)
        assert screen.shows("No password yet")


@pytest.mark.feature("RP-18", "PC-01")
async def test_sale_goes_on_a_pcs_account_and_is_paid_with_it(room: Hall) -> None:
    """From the floor, or chosen on the ticket; it stands on the PC's side until it is paid."""
    h = room
    session = await h.begin(1)
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-sell")
        assert screen.text("ticket-pc").endswith("PC 1")
        await screen.click("tile-TEA")
        await screen.press("Enter")
        assert h.row(session)["sales_minor"] > 0
        await screen.click("pcs")
        await screen.click("on-pc-1")
        await screen.click("no_pc")
        assert not screen.has("ticket-pc")
        await screen.open("floor")
        await screen.settle(0.3)
        assert screen.shows("1 Iced lemon tea")
        await h.server.submit("session.end", {"session": session})
        await screen.settle(0.3)
        assert screen.shows("To pay")
        await screen.click("owed-1")
        await screen.click("floor-enter")
        assert h.row(session)["state"] == "ended"


@pytest.mark.feature("PC-08", "PC-09")
async def test_pc_is_reserved_and_switched(room: Hall) -> None:
    """A time that is none is told; the reservation is begun with, or given up; power is asked for."""
    h = room
    asked: list[str] = []
    h.pcs[2].switch = asked.append
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-reserve")
        await screen.type("floor-time", "25:00")
        await screen.type("floor-name", "Ana", submit=True)
        assert "Time" in screen.text("problem")
        now = Format(h.server).time(h.server.clock.wall_ms())
        await screen.type("floor-time", now)
        await screen.type("floor-deposit", "1")
        await screen.click("floor-enter")
        assert screen.shows(f"{now} · Ana")
        await screen.click("do-begin-0")
        await until(lambda: h.pcs[1].unlocked)
        await screen.settle(0.3)
        assert screen.shows("Paid beforehand")
        await screen.click("pc-2")
        await screen.click("do-restart")
        await until(lambda: asked == ["restart"])
        await screen.click("do-reserve")
        await screen.type("floor-time", now)
        await screen.type("floor-minutes", "0")
        await screen.type("floor-name", "Eva", submit=True)
        assert "Minutes" in screen.text("problem")
        await screen.type("floor-minutes", "30", submit=True)
        await screen.click("do-give-up-0")
        assert screen.shows("Give the reservation up?")
        await screen.click("give-up-keep")
        assert not screen.shows("Eva")


@pytest.mark.feature("PC-09", "BX-08")
async def test_reservation_of_another_day_and_what_becomes_of_its_deposit(room: Hall) -> None:
    """Several stand in their order; a deposit goes back only by who may give money back."""
    h = room
    tomorrow = dt.date.fromisoformat(today(h.server)) + dt.timedelta(days=3)
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        for day, name in ((tomorrow, "Ana"), (tomorrow + dt.timedelta(days=1), "Eva")):
            await screen.click("do-reserve")
            await screen.type("floor-day", "31/12")
            await screen.type("floor-time", "18:30")
            await screen.type("floor-name", name, submit=True)
            assert "Day" in screen.text("problem")
            await screen.type("floor-day", "2020-01-01", submit=True)
            assert "Day" in screen.text("problem")
            await screen.type("floor-day", day.isoformat())
            await screen.type("floor-deposit", "5", submit=True)
        assert screen.has("do-give-up-1") and not screen.has("do-give-up-2")
        assert not screen.shows("18:30 · Ana")  # that is not today
        await screen.click("do-give-up-0")
        assert screen.shows("5.00")
        await screen.click("floor-leave")
        assert screen.has("do-give-up-1")
        await screen.click("do-give-up-0")
        await screen.click("give-up-back")
        assert "Give back" in screen.text("saved") and not screen.has("do-give-up-1")
    await h.server.sign_in("Carl", PASSWORD)
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-give-up-0")
        assert not screen.has("give-up-back")
        await screen.click("give-up-keep")
        assert screen.shows("given up") and not screen.has("do-give-up-0")


@pytest.mark.feature("PC-01", "BX-08")
async def test_what_waits_to_go_back_stands_on_the_floor(room: Hall) -> None:
    """With who paid it still at the desk, or kept where nobody comes."""
    h = room
    await h.server.submit("settings.edit", {"return_prepaid": True})
    for number in (1, 2):
        await h.begin(number, form="prepaid", amount_minor=300)
        await h.run_s(30)
        await h.pcs[number].end()
        await until(lambda number=number: h.pcs[number].phase == "free")
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.settle(0.3)
        assert screen.shows("Give back €2.00") and screen.shows("Open bills 2")
        await screen.click("pc-1")
        await screen.click("back-1")
        assert "Give back €2.00" in screen.text("saved") and not screen.has("back-1")
        await screen.click("pc-2")
        await screen.click("keep-2")
        await screen.click("floor-leave")
        await screen.click("keep-2")
        await screen.click("keep-sure")
        assert "keeps" in screen.text("saved") and not screen.shows("Give back")
    assert h.server.tables.table("sums").peek("1")["cash_refunds"] == 200  # type: ignore[index]


@pytest.mark.feature("PC-07", "PN-14", "PC-05")
async def test_floor_shows_who_needs_a_person(room: Hall) -> None:
    """Calls, wrong tries, lost networks, time that ends soon; filters count them."""
    h = room
    await h.begin(1, form="prepaid", amount_minor=100)
    await h.begin(2)
    for _ in range(12):
        h.server.floor.tries.wrong(h.id_of(3))
    await h.run_s(1300)
    h.cut(2)
    await until(lambda: not h.pcs[2].online)
    await h.run_s(20)
    await h.pcs[1].ask("say", text="How long?")
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        known = {one.number: one for one in model.cards(h.server)}
        assert [known[n].alert for n in (1, 2, 3)] == ["amber", "amber", "red"]
        assert model.calls(h.server) == 2
        await screen.click("floor-filter-lost")
        assert [k for k in screen.keys("pc-") if k[3:].isdigit()] == ["pc-2"]
        await screen.click("floor-filter-all")
        await screen.click("pc-1")
        assert screen.shows("How long?")
        await screen.click("do-answer")
        assert model.calls(h.server) == 1
        await screen.click("pc-3")
        await screen.click("do-unblock")
        assert model.calls(h.server) == 0
        await screen.click("tell-all")
        await screen.type("floor-message", "We close at ten", submit=True)
        await until(lambda: "ten" in h.pcs[1].state["messages"][-1][2])


async def test_floor_without_pcs_says_how_to_get_one(tmp_path: Path) -> None:
    """And leads to where they are paired."""
    async with hall(tmp_path, 0) as h, screen_of(h.server) as screen:
        await screen.open("floor")
        assert screen.shows("No PCs yet")
        await screen.click("go-pcs")
        await screen.click("go-floor")


@pytest.mark.feature("RC-10")
async def test_password_of_a_customer_does_not_wait_for_the_next_one(room: Hall) -> None:
    """Left by the rail, or typed and left at a PC: it is gone."""
    h = room
    async with screen_of(h.server) as screen:
        await screen.press("H", ctrl=True)
        await screen.type("floor-user", "maria")
        await screen.type("floor-password", "Secret12")
        await screen.open("sell")
        await screen.open("floor")
        assert screen.find("floor-password").value == ""
    async with page_of(h) as pc:
        await pc.type("client-user", "maria")
        await pc.type("client-password", "Secret12")
        await pc.settle(1.2)
        assert pc.find("client-password").value == "Secret12"
        h.pass_s(61)
        await until(lambda: pc.find("client-password").value == "")
        assert pc.find("client-user").value == ""


@pytest.mark.feature("PC-01", "BX-01")
async def test_floor_says_what_goes_out_of_the_till(room: Hall) -> None:
    """Change after rounding and debt, change of prepaid time, what was paid and not used."""
    h, server = room, room.server
    await server.submit("settings.edit", {"cash_step_minor": 5, "return_prepaid": True})
    values = {"name": "PC", "minimum_minor": 0,
              "bands": [{"minute": 0, "price_minor": 153, "block_s": 900}]}  # fmt: skip
    await server.submit("rate.put", {"rate": "STD", "values": values})
    row = {"max_debt_minor": 1000, **PROFILE}
    await server.submit("profile.edit", {"profile": "STD", "values": row})
    maria = await h.customer("maria")
    bills = [await h.begin(1), await h.begin(2, customer=maria)]
    await h.run_s(30)
    for session in bills:
        await server.submit("session.end", {"session": session})
    async with screen_of(server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("owed-1")
        await screen.type("floor-received", "1.54")
        assert not screen.shows("Change")
        await screen.type("floor-received", "5")
        assert screen.shows("3.45")
        await screen.click("floor-enter")
        assert "3.45" in screen.text("saved")
        await screen.click("pc-2")
        await screen.click("owed-2")
        due = h.row(bills[1])["due_minor"]
        await screen.type("floor-debt", "0.50")
        await screen.type("floor-received", "5")
        assert screen.shows(f"{(500 - (due - 50)) / 100:.2f}")
        await screen.press("Escape")
        await screen.click("pc-3")
        await screen.click("do-prepaid")
        await screen.type("floor-amount", "4.60")
        await screen.type("floor-received", "10", submit=True)
        assert "5.40" in screen.text("saved")
        await until(lambda: h.pcs[3].unlocked)
        await h.run_s(30)
        await screen.settle(0.3)
        await screen.click("do-end")
        assert "Give back" in screen.text("saved") and "3.05" in screen.text("saved")


@pytest.mark.feature("PC-01", "RC-09")
async def test_bill_of_a_customer_who_has_left_is_paid(room: Hall) -> None:
    """The account is gone, the debt of the PC is not."""
    h = room
    maria = await h.customer("maria")
    session = await h.begin(1, customer=maria)
    await h.run_s(30)
    await h.server.submit("session.end", {"session": session})
    gone = {"customer": maria, "credit": "forfeit", "reason": "asked"}
    await h.server.submit("customer.delete", gone)
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("owed-1")
        assert screen.has("due") and not screen.has("floor-debt")
        await screen.click("floor-enter")
        assert h.row(session)["state"] == "ended"


@pytest.mark.feature("PC-06", "PC-07")
async def test_what_was_begun_for_one_does_not_go_to_another(room: Hall) -> None:
    """More time, and a message, whose PC has another session or is gone meanwhile."""
    h = room
    first = await h.begin(1, form="prepaid", amount_minor=100)
    third = await h.begin(3)
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-add")
        await screen.type("floor-amount", "2")
        await h.server.submit("session.end", {"session": first})
        second = await h.begin(1, form="prepaid", amount_minor=100)
        await screen.settle(0.3)
        await screen.click("floor-enter")
        assert screen.has("problem") and h.row(second)["paid_minor"] == 100
        await screen.click("pc-3")
        await screen.click("do-message")
        await screen.type("floor-message", " ", submit=True)
        assert "Message" in screen.text("problem")
        await screen.type("floor-message", "For you alone")
        await h.server.submit("session.end", {"session": third})
        await h.server.submit("pc.revoke", {"pc": h.id_of(3)})
        await screen.settle(0.3)
        assert not screen.has("floor-message")


@pytest.mark.feature("PC-01", "PC-09", "BX-01")
async def test_what_is_open_at_a_pc_is_found_whoever_uses_it(room: Hall) -> None:
    """Its bill, its reservations, those that are over; and of PCs that were taken out."""
    h, server = room, room.server
    await server.submit("settings.edit", {"methods": [{"method": "card", "name": "Card"}]})
    for number in (1, 2):
        session = await h.begin(number)
        await h.run_s(30)
        await server.submit("session.end", {"session": session})
        await until(lambda number=number: h.pcs[number].phase == "free")
    await h.begin(1)
    now_ms = server.clock.wall_ms()
    for name, from_ms, pc in (("Ana", now_ms - 3_000_000, 1), ("Eva", now_ms + 7_200_000, 1),
                              ("Leo", now_ms + 7_200_000, 3)):  # fmt: skip
        body = {"pc": h.id_of(pc), "name": name, "from_ms": from_ms, "minutes": 60}
        await server.submit("reservation.make", body)
    await h.run_s(900)
    await server.submit("pc.revoke", {"pc": h.id_of(2)})
    await server.submit("pc.revoke", {"pc": h.id_of(3)})
    async with screen_of(server) as screen:
        await screen.open("floor")
        await screen.settle(0.3)
        assert screen.shows("taken out") and screen.has("owed-2") and screen.shows("Leo")
        assert screen.has("do-give-up-0") and not screen.has("do-begin-0")
        assert screen.shows("To pay €1.00")
        await screen.click("pc-1")
        assert screen.has("do-give-up-1") and screen.shows("Its time has passed")
        assert screen.has("do-begin-1") and not screen.has("do-begin-0")  # Ana's is over
        with pytest.raises(AssertionError, match="disabled"):
            await screen.click("do-begin-1")  # it is not time
        await screen.click("owed-1")
        await screen.click("pay-card")
        await screen.press("Enter")
        assert screen.shows("Paid") and not screen.has("owed-1")
        await screen.click("do-lock")
        await until(lambda: h.pcs[1].phase == "held")
        await screen.settle(0.3)
        assert screen.shows("Locked")


@pytest.mark.feature("PC-01", "BX-08")
async def test_money_that_goes_back_is_told_by_its_method(room: Hall) -> None:
    """Somebody has to do it on the terminal; and what has gone back already is not promised."""
    h, server = room, room.server
    methods = [{"method": "card", "name": "Card"}]
    await server.submit("settings.edit", {"methods": methods, "return_prepaid": True})
    pays = [{"method": "card", "amount_minor": 300}]
    sessions = []
    for number in (1, 2):
        sessions.append(await h.begin(number, form="prepaid", amount_minor=300, payments=pays))
    await h.run_s(30)
    await h.pcs[2].end()
    await until(lambda: h.row(sessions[1])["state"] == "due")
    async with screen_of(server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-end")
        assert "Give back €2.00 by Card" in screen.text("saved")
        await server.submit("sale.refund", {"order": sessions[1], "reason": "asked"})
        await screen.click("pc-2")
        await screen.settle(0.3)
        assert screen.has("back-2") and not screen.shows("Give back €2.00")
        await screen.click("back-2")
        assert "already" in screen.text("saved") and not screen.has("back-2")


async def test_double_touch_does_not_start_what_came_under_the_finger(
    room: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button of free use moves up when something above it is done."""
    h = room
    await h.server.submit("pc.lock", {"pc": h.id_of(1), "locked": True})
    monkeypatch.setattr("ui.viewmodels.session.AGAIN_S", 60.0)  # however slow this machine is
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-lock")
        await screen.click("do-start")
        await screen.press(" ")
        assert not _session(h, 1)
        monkeypatch.setattr("ui.viewmodels.session.AGAIN_S", 0.0)
        await screen.click("do-start")
        assert _session(h, 1)


async def test_password_that_a_customer_left_at_the_desk_is_forgotten(
    room: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute in which nobody has typed."""
    now = [1000.0]
    monkeypatch.setattr("ui.viewmodels.session.time.monotonic", lambda: now[0])
    s = Session(room.server)
    s.go("floor")
    s.floor.open("enable")
    s.floor.user, s.floor.password = "maria", "Secret12"
    s.forget_left()
    now[0] += 59
    s.forget_left()
    assert s.floor.password == "Secret12"
    s.floor.number = "1"
    s.forget_left()
    now[0] += 61
    s.forget_left()
    assert (s.floor.password, s.floor.panel) == ("", "")


@pytest.mark.feature("RP-18")
async def test_ticket_says_whose_account_it_is_on_while_it_is(room: Hall) -> None:
    """Cash is not the PC's; a parked ticket is still; a session that is over is left."""
    h = room
    session = await h.begin(1)
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("pc-1")
        await screen.click("do-sell")
        await screen.click("tile-TEA")
        await screen.click("method-cash")
        assert not screen.has("ticket-pc")
        await screen.click("method-pc")
        await screen.click("park")
        assert not screen.has("ticket-pc")
        await screen.click("open-parked")
        await screen.click("parked-0")
        assert screen.text("ticket-pc").endswith("PC 1")
        await h.server.submit("session.end", {"session": session})
        await screen.press("Enter")
        assert screen.shows("no session") and not screen.has("ticket-pc")
        await screen.press("Enter")
        (order,) = [row for _, row in h.server.tables.table("orders").scan() if row["payments"] == []
                    and row["lines"][0]["sku"] == "TEA"]  # fmt: skip
        assert order["state"] == "collected"


@pytest.mark.feature("PC-07")
async def test_folded_panel_opens_for_what_a_customer_has_to_see(room: Hall) -> None:
    """A message of the desk, and the end that comes near."""
    h = room
    await h.begin(1, form="prepaid", amount_minor=100)
    async with page_of(h) as pc:
        await pc.settle(1.2)
        await pc.click("fold")
        assert not pc.has("fold")
        await h.server.submit("pc.message", {"message": "Quiet, please", "pc": h.id_of(1)})
        await until(lambda: pc.has("fold"))
        assert pc.shows("Quiet, please")
        await pc.click("fold")
        await h.run_s(1300)
        await until(lambda: pc.has("warning"))


# --- PCs and rates --------------------------------------------------------------------


@pytest.mark.feature("PC-03", "CF-01")
async def test_rates_are_set_and_pcs_changed(room: Hall) -> None:
    """By hours of the day; each field that cannot be is named; a PC is taken out on purpose only."""
    h = room
    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("go-pcs")
        await screen.click("pcs-tab-rates")
        await screen.click("pcs-new")
        for name, value, told in (
            ("price0", "", "Price"), ("price0", "0.80", "Name"), ("name", "VIP", ""),
        ):  # fmt: skip
            await screen.type(f"pcs-{name}", value, submit=True)
            if told:
                assert told in screen.text("problem")
        assert h.server.tables.table("rates").peek("R2") is not None
        for name, wrong, right in (("from1", "26:00", "22:00"), ("block1", "0", "30"),
                                   ("grace", "99", "2"), ("tax", "x", "13")):  # fmt: skip
            await screen.type("pcs-price1", "0.30")
            await screen.type(f"pcs-{name}", wrong, submit=True)
            assert screen.has("problem"), name
            await screen.type(f"pcs-{name}", right)
        await screen.click("pcs-save")
        row = h.server.tables.table("rates").row("R2")
        assert row is not None and [b["minute"] for b in row["bands"]] == [0, 1320]
        assert (row["grace_s"], row["tax_bp"], row["bands"][1]["block_s"]) == (120, 1300, 1800)
        await screen.click("rate-row-R2")
        await screen.click("pcs-tab-pcs")
        await screen.click("pc-row-2")
        await screen.type("pcs-number", "x", submit=True)
        assert "Number" in screen.text("problem")
        await screen.type("pcs-number", "7")
        await screen.type("pcs-name", "Window")
        await screen.click("pcs-rate-R2")
        await screen.click("pcs-save")
        pc = h.server.tables.table("pcs").peek(h.id_of(7))
        assert pc is not None and (pc["name"], pc["rate"]) == ("Window", "R2")
        await screen.click("pcs-revoke")
        await screen.click("pcs-keep")
        await screen.click("pcs-revoke")
        await screen.click("pcs-sure")
        assert not screen.has("pc-row-7")


@pytest.mark.feature("SE-01", "PC-01")
async def test_pc_is_paired_from_the_screen(room: Hall, tmp_path: Path) -> None:
    """Its number is asked for, then the digits that it shows; a station does not get in by that door."""
    from node import pairing

    h = room
    shown: list[str] = []

    async def yes() -> bool:
        return True

    async with screen_of(h.server) as screen:
        await screen.open("floor")
        await screen.click("go-pcs")
        await screen.click("pcs-new")
        assert screen.find("pcs-number").value == "4"
        await screen.click("pcs-open")
        await screen.settle(0.3)
        assert screen.shows("cabina client --join")
        port = pairing.PAIRING_PORT
        from sync.errors import Refused, SyncError

        with pytest.raises(Refused, match="wrong-role"):
            await pairing.join(tmp_path / "other", "127.0.0.1", port, "Bar", shown.append, yes)
        joining = asyncio.create_task(
            pairing.join(tmp_path / "pc-4", "127.0.0.1", port, "Four", shown.append, yes, "client")
        )
        await until(lambda: bool(shown))
        await screen.settle(0.3)
        await screen.type("pcs-digits", shown[-1])
        await screen.click("pcs-let-in")
        await joining
        first = h.id_of(4)
        assert screen.shows("PC 4 is paired")
        await h.server.submit("rate.put", {"rate": "VIP", "values": {**RATE, "name": "VIP"}})
        await h.server.submit("pc.edit", {"pc": first, "rate": "VIP", "name": "Window"})
        await screen.click("pcs-new")
        await screen.type("pcs-number", "99999")
        await screen.click("pcs-open")
        assert "Number" in screen.text("problem")
        await screen.type("pcs-number", "4")
        await screen.click("pcs-open")
        assert screen.shows("takes its place")  # with a new disk it is another computer
        await screen.click("pcs-replace")
        await until(lambda: screen.shows("cabina client --join"))
        many = len(shown)
        joining = asyncio.create_task(
            pairing.join(tmp_path / "new", "127.0.0.1", port, "Four", shown.append, yes, "client")
        )
        await until(lambda: len(shown) > many)
        await screen.settle(0.3)
        await screen.click("pc-row-1")
        await screen.type("pcs-digits", shown[-1])
        await screen.click("pcs-let-in")
        await joining
        row = h.server.tables.table("pcs").peek(h.id_of(4)) or {}
        assert h.id_of(4) != first and (row["rate"], row["name"]) == ("VIP", "Window")
        assert screen.shows("PC 4 is paired")
        await screen.click("pcs-new")
        await screen.type("pcs-number", "5")
        await screen.click("pcs-open")
        await until(lambda: screen.shows("cabina client --join"))
        many = len(shown)
        joining = asyncio.create_task(
            pairing.join(tmp_path / "five", "127.0.0.1", port, "Five", shown.append, yes, "client")
        )
        await until(lambda: len(shown) > many)
        await screen.settle(0.3)
        for _ in range(3):
            await screen.type("pcs-digits", "000000")
            await screen.click("pcs-let-in")
        assert screen.shows("The door is shut") and not screen.has("pcs-digits")
        with pytest.raises(SyncError):
            await joining
        await screen.click("pcs-new")
        await screen.type("pcs-number", "5")
        await screen.click("pcs-open")
        await screen.settle(0.2)
        await screen.click("pcs-shut")


# --- the customers' own pages -----------------------------------------------------------


@pytest.mark.feature("PC-04", "PN-10", "PC-07")
async def test_customer_enters_with_a_pin_and_is_warned(room: Hall) -> None:
    """Cells fill as it is typed; wrong ones say how many tries are left; warnings at ten and five."""
    h = room
    door = LocalDoor(h.server)
    profile = {"sku": "CARD", "name": "Hour", "form": "card", "minutes": 20, "price_minor": 500}
    await h.server.submit("pin.profile", profile)
    await door.call("make_pins", profile="CARD", count=1, stock=True)
    pin = (await door.call("look_at_pins", serials="1"))[0]["pin"]
    await h.server.submit("order.place", {"lines": [{"sku": "CARD", "quantity": 1}]})
    async with page_of(h) as pc:
        assert pc.text("pc-number") == "1" and "Free" in pc.text("headline")
        await pc.click("client-tab-pin")
        await pc.type("client-pin", "ab")
        await pc.click("client-enter")
        assert "5 characters" in pc.text("problem")
        await pc.type("client-pin", "22222", submit=True)
        assert "Tries left: 4" in pc.text("problem") and pc.find("client-pin").value == ""
        await pc.type("client-pin", pin.lower(), submit=True)
        await until(lambda: h.pcs[1].unlocked)
        await pc.settle(1.2)
        assert pc.text("time").startswith("0:19") or pc.text("time").startswith("0:20")
        assert not pc.has("warning") and not pc.has("client-redeem")
        await h.run_s(660)
        await pc.settle(1.2)
        assert "10 minutes" in pc.text("warning")
        await h.run_s(300)
        await pc.settle(1.2)
        assert "5 minutes" in pc.text("warning")
        await pc.click("fold")
        assert pc.has("unfold") and pc.has("time")
        await pc.click("unfold")
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        h.pass_s(300)
        await pc.settle(1.3)
        assert "over" in pc.text("headline") and not pc.has("client-enter")
        await h.join(1)
        await until(lambda: h.pcs[1].phase == "free")
        await pc.settle(1.2)
        assert pc.has("client-enter") and pc.find("client-user").value == ""
    assert client_model.warning(None) == 0 and client_model.warning(601_000) == 0


@pytest.mark.feature("PC-04", "RC-17", "RC-04")
async def test_customer_makes_a_password_redeems_orders_and_leaves(room: Hall) -> None:
    """All of it at the PC, in Spanish too; who has gone leaves nothing behind."""
    h = room
    gift = {"sku": "MUG", "name": "Mug", "price_minor": 900, "points": 3}
    await h.server.submit("product.add", {"product": gift})
    maria = await h.customer("maria", 2000)
    await until(lambda: h.pcs[1].tables.table("products").peek("MUG") is not None)
    async with page_of(h) as pc:
        await pc.click("speak-es")
        assert pc.shows("Libre.") and pc.has("client-user")
        await pc.click("speak-en")
        await pc.click("call")
        assert pc.shows("The desk was called")
        await pc.click("client-enter")  # nothing is typed yet
        await pc.type("client-user", "maria")
        await pc.type("client-password", "whatever", submit=True)
        assert pc.has("client-code")
        await pc.click("client-back")
        await pc.type("client-user", "maria", submit=True)
        await pc.type("client-password", "Abcd1234")
        await pc.type("client-again", "Abcd1234")
        await pc.type("client-code", h.code_of(maria), submit=True)
        await until(lambda: h.pcs[1].unlocked)
        await pc.settle(0.4)
        await pc.click("client-redeem")
        await pc.type("client-points", "x", submit=True)
        assert pc.has("problem")
        await pc.type("client-points", "10")
        await pc.click("client-take")
        assert pc.shows("Your minutes are here")
        await pc.click("client-redeem")
        await pc.click("gift-MUG")
        assert pc.shows("Fetch it at the desk")
        await pc.click("client-order")
        await pc.type("client-query", "zzz")
        assert pc.shows("Nothing fits") and not pc.has("more-TEA")
        await pc.type("client-query", "tea")
        assert pc.has("more-TEA") and not pc.has("more-LATTE")
        await pc.type("client-query", "")
        row = h.server.tables.table("products").peek("TEA")
        await pc.click(f"menu-{row['category']}")  # type: ignore[index]
        await pc.click("more-TEA")
        await pc.click("more-TEA")
        await pc.click("less-TEA")
        assert pc.text("units-TEA") == "1"
        await pc.click("client-send-order")
        (order,) = h.server.tables.table("orders").search(where("pc") == 1)
        assert order["state"] == "pending"
        await pc.type("client-message", "With milk", submit=True)
        assert pc.text("said-1") == "With milk"
        await pc.click("client-end")
        await pc.click("client-leave")
        await pc.click("client-end")
        await pc.click("client-sure")
        await until(lambda: h.pcs[1].phase == "free")
        await pc.settle(0.4)
        assert pc.find("client-user").value == "" and not pc.shows("Maria")
    async with screen_of(h.server) as screen:
        await screen.open("queue")
        assert screen.shows("PC 1")


@pytest.mark.feature("PC-04")
async def test_language_of_a_customer_goes_with_them_and_no_further(room: Hall) -> None:
    """From the locked window to that of the session, which is another, and back to the café's."""
    h = room
    async with page_of(h) as locked:
        await locked.click("speak-es")
    await h.server.submit("settings.edit", {"return_prepaid": True})
    await h.begin(1, form="prepaid", amount_minor=300)
    async with page_of(h) as pc:
        assert pc.shows("Tiempo restante")
        await pc.click("speak-en")
        assert pc.shows("Time left") and pc.has("speak-es")
        await pc.click("speak-es")
        await pc.click("client-end")
        assert pc.shows("se le devuelve en el mostrador")
        await pc.click("client-sure")
        await until(lambda: h.pcs[1].phase == "free")
        await pc.settle(0.4)
        assert pc.shows("Free.") and h.pcs[1].chosen_language == ""


@pytest.mark.feature("PC-04", "RC-10")
async def test_who_is_not_expected_gets_in_and_reads_what_the_desk_says(room: Hall) -> None:
    """Another can sit down before the one whom the desk expects; nothing chosen stays for others."""
    h = room
    await h.customer("pepe", 1000)
    await h.server.enable("pepe", "", 1)
    await until(lambda: h.pcs[1].state.get("expects") == "pepe")
    async with page_of(h, width=1024, height=600) as pc:
        assert pc.has("first-title")
        await pc.click("client-back")
        assert pc.has("client-user") and pc.find("client-user").value == ""
        await h.server.submit("pc.message", {"message": "We close in ten minutes"})
        await until(lambda: bool(h.pcs[1].state["messages"]))
        await pc.settle(0.3)
        assert "ten minutes" in pc.text("desk-says")
        await pc.click("client-tab-pin")
        await pc.type("client-pin", "22222", submit=True)
        await pc.click("speak-es")
        await pc.settle(1.2)
        assert pc.has("problem") and h.pcs[1].chosen_language == "es"
        h.pass_s(61)
        await until(lambda: h.pcs[1].chosen_language == "")
        await pc.settle(1.2)
        assert not pc.has("problem") and pc.shows("Free.") and pc.has("first-title")


@pytest.mark.feature("PC-04")
async def test_menu_keeps_what_is_in_the_basket_in_sight(room: Hall) -> None:
    """Whatever is looked for; a category in which nothing can be ordered is none."""
    h = room
    product = {"sku": "FIX", "name": "Repair", "price_minor": 0, "kind": "service",
               "open_price": True, "category": "Workshop"}  # fmt: skip
    await h.server.submit("product.add", {"product": product})
    await until(lambda: h.pcs[1].tables.table("products").peek("FIX") is not None)
    await h.begin(1)
    async with page_of(h) as pc:
        await pc.click("client-order")
        assert not pc.has("menu-Workshop")
        await pc.click("more-TEA")
        await pc.type("client-query", "latte")
        assert pc.text("units-TEA") == "1" and pc.keys("more-")[0] == "more-TEA"
        await pc.click("client-leave")
        assert pc.has("client-order") and not pc.has("client-query")


@pytest.mark.feature("PC-05", "PC-06")
async def test_locked_page_says_why(room: Hall) -> None:
    """Paused, locked by the desk, no contact, too many tries: each with the next step."""
    h = room
    session = await h.begin(1)
    async with page_of(h, width=1024, height=600) as pc:
        assert pc.has("time") and pc.shows("So far")
        await h.server.submit("session.pause", {"session": session})
        await until(lambda: h.pcs[1].phase == "paused")
        await pc.settle(0.3)
        assert "Paused" in pc.text("headline")
        await h.server.submit("pc.lock", {"pc": h.id_of(1), "locked": True, "reason": "Ask us"})
        await until(lambda: h.pcs[1].phase == "held")
        await pc.settle(0.3)
        assert "Ask us" in pc.text("headline")
        await h.server.submit("pc.lock", {"pc": h.id_of(1), "locked": False})
        await h.server.submit("session.end", {"session": session})
        await until(lambda: h.pcs[1].phase == "free")
        for _ in range(12):
            h.server.floor.tries.wrong(h.id_of(1))
        h.server.floor._bump(h.id_of(1))
        await until(lambda: bool(h.pcs[1].state["blocked"]))
        await pc.settle(0.3)
        assert "desk" in pc.text("headline")
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        await pc.settle(0.4)
        assert "No network" in pc.text("link")


async def _vendor(h: Hall, folder: Path) -> StationNode:
    """PC 1 is a vendor's station as well."""
    await h.server.submit("settings.edit", {"remote_pos": True})
    await pair_here(h.server, folder / "vendor", "PC 1", ("127.0.0.1", h.port))
    vendor = open_folder(folder / "vendor")
    assert isinstance(vendor, StationNode)
    await vendor.start()
    await until(lambda: (folder / "vendor" / "operators.keys").exists())
    await until(lambda: len(vendor.tables.table("operators")) == 2)
    h.pcs[1].vendor = vendor
    return vendor


async def _sign_in(pc: Screen, name: str) -> None:
    await pc.click("vendor")
    await pc.type("name", name)
    await pc.type("password", PASSWORD, submit=True)
    await pc.settle(0.6)


@pytest.mark.feature("RP-26")
async def test_vendor_sells_at_a_pc_and_leaves_it_locked(room: Hall, tmp_path: Path) -> None:
    """ "Vendor" opens the station's screens with its own sign-in; signing out is the locked page again."""
    h = room
    vendor = await _vendor(h, tmp_path)
    async with page_of(h) as pc:
        await pc.click("vendor")
        assert pc.has("name")
        await pc.click("leave")
        assert pc.has("pc-number")
        await _sign_in(pc, "Carl")
        await pc.click("tile-TEA")
        await pc.press("Enter")
        await until(lambda: len(vendor.tables.table("orders")) == 1)
        await pc.press("L", ctrl=True)
        await pc.settle(0.3)
        assert pc.has("pc-number") and vendor.operator is None
        await _sign_in(pc, "Carl")
        assert vendor.operator is not None
    assert vendor.operator is None  # the page was closed: whoever comes next is not Carl
    async with page_of(h) as pc:
        await _sign_in(pc, "Carl")
        await h.begin(1)  # the PC is its customer's from now on
        await pc.settle(0.4)
        assert pc.has("time") and vendor.operator is None
    await vendor.stop()


@pytest.mark.feature("RP-26")
async def test_vendors_page_ends_while_its_browser_is_away(
    room: Hall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser comes back to a session whose clock runs; the next vendor can come, and finds no
    basket of the one before."""
    monkeypatch.setattr(client_page, "TICK_S", 0.1)
    h = room
    vendor = await _vendor(h, tmp_path)
    async with page_of(h) as pc:
        await _sign_in(pc, "Carl")
        await pc.click("tile-TEA")
        await pc.cut()
        session = await h.begin(1)
        await until(lambda: vendor.operator is None)
        assert not pc.page.views[0].controls, "what a browser that comes back can take in"
        await pc.come_back()
        before = pc.text("time")
        await until(lambda: pc.text("time") != before)
        await h.server.submit("session.end", {"session": session})
        await until(lambda: pc.has("vendor"))
        await _sign_in(pc, "Ana Vargas")
        assert pc.text("total") == "€0.00"
    await vendor.stop()


@pytest.mark.feature("PC-04")
async def test_kiosk_shows_the_whole_screen_only_while_it_is_locked(
    room: Hall, tmp_path: Path
) -> None:
    """One window for each; what a customer closes is opened again."""

    class Window:
        def __init__(self, command: list[str]) -> None:
            self.command, self.open = command, True

        def poll(self) -> int | None:
            return None if self.open else 0

        def terminate(self) -> None:
            self.open = False

    windows: list[Window] = []

    def run(command: list[str]) -> subprocess.Popen[bytes]:
        windows.append(Window(command))
        return windows[-1]  # type: ignore[return-value]

    shown = kiosk.Kiosk(room.pcs[1], "http://x/", "browser", run)
    following = asyncio.create_task(shown.follow())
    await until(lambda: len(windows) == 1)
    assert "--kiosk" in windows[0].command
    windows[0].open = False
    await until(lambda: len(windows) == 2)
    await room.begin(1)
    await until(lambda: len(windows) == 3)
    assert "--app=http://x/" in windows[2].command and not windows[1].open
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert not windows[2].open
    quick = kiosk._run(["true"])
    assert quick.wait() == 0


def test_times_and_amounts_that_cannot_be_are_named() -> None:
    """The next such time of the day; an amount within what money can be."""
    text = Format.__new__(Format)
    text.currency, text.decimals, text.zone, text.language = "EUR", None, "Europe/Madrid", "en"
    noon = 1_780_308_000_000
    assert model.instant_of(text, "12:30", noon) == noon + 1_800_000
    assert model.instant_of(text, "11:00", noon) == noon + 23 * 3_600_000
    for wrong in ("", "24:00", "12", "x:y"):
        with pytest.raises(BadField):
            model.instant_of(text, wrong, noon)
    with pytest.raises(BadField):
        model.money_of(text, "0", "amount")
    assert model.span(5076) == "1:24" and model.span(5076, with_seconds=True) == "1:24:36"
    fields: dict[str, Any] = model.rate_fields(text, None)
    assert fields["from0"] == "00:00" and fields["price1"] == ""
    with pytest.raises(BadField):
        model.rate_values(text, {**fields, "name": "X", "price0": "1", "tax": "inf"})
    with pytest.raises(BadField):  # a band without a price is not left out
        model.rate_values(text, {**fields, "name": "X", "price0": "1", "from1": "10:00"})


def test_rate_that_is_saved_untouched_stays_as_it_is() -> None:
    """However many bands it has, and to the second."""
    text = Format.__new__(Format)
    text.currency, text.decimals, text.zone, text.language = "EUR", None, "UTC", "en"
    bands = [{"minute": 60 * at, "price_minor": at, "block_s": 900 + 30 * at} for at in range(6)]
    rate = {"name": "Six", "bands": bands, "minimum_minor": 100, "grace_s": 90, "step_minor": 5,
            "tax_bp": 1300}  # fmt: skip
    assert model.rate_values(text, model.rate_fields(text, rate)) == rate
    for wrong in ("x", "1:99"):
        with pytest.raises(BadField):
            model.rate_values(text, {**model.rate_fields(text, rate), "grace": wrong})
