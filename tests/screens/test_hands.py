"""What hands do to screens that nobody meant: scans, double touches, the wrong field, somebody else's act."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from node.api import settings
from node.bootstrap import add_operator
from sync.errors import Refused
from tests.screens.test_screens import screen_of
from tests.support.nodes import PASSWORD, Nodes, until
from ui import files, shell
from ui.components import parts
from ui.format import whole
from ui.viewmodels.session import Acts, Session, Typing


async def _sell(nodes: Nodes, sku: str = "TEA") -> None:
    await nodes.server.submit("order.place", {"lines": [{"sku": sku, "quantity": 1}]})


def _orders(node: Any) -> list[list[tuple[str, int]]]:
    return [
        [(line["sku"], line["quantity"]) for line in row["lines"]]
        for row in node.tables.table("orders")
    ]


@pytest.mark.feature("RP-05")
async def test_scans_fill_the_basket_and_never_charge_it(nodes: Nodes) -> None:
    """Enter ends each scan, in the field and at the page, in either order; only one by itself
    charges."""
    async with screen_of(nodes.server) as screen:
        for _ in range(2):
            await screen.type("search", "COFFEE", submit=True)
        await screen.type("search", "LATTE", submit=True)
        assert not _orders(nodes.server)
        assert screen.find("search").value == ""
        control = screen.find("search")  # the page may tell of the key first
        screen.session.apply_patch(control._i, {"value": "TEA"})
        await screen.fire(control, "change", "TEA")
        await screen.press("Enter")
        await screen.fire(screen.find("search"), "submit", "TEA")
        assert not _orders(nodes.server)
        await screen.press("Enter")
    assert _orders(nodes.server) == [[("COFFEE", 2), ("LATTE", 1), ("TEA", 1)]]


@pytest.mark.feature("RP-05")
async def test_scan_into_no_field_goes_to_the_search(nodes: Nodes) -> None:
    """A scanner does not look where it types: its letters and its Enter find their way."""
    async with screen_of(nodes.server) as screen:
        for letter in "COLA":
            await screen.press(letter)
        await screen.press("Enter")
        assert screen.text("total") == "₡1,200" and not _orders(nodes.server)
        for letter in "0000":
            await screen.press(letter)
        await screen.press("Enter")
        assert "0000" in screen.text("problem") and not _orders(nodes.server)
        await screen.press("Enter")
        assert len(_orders(nodes.server)) == 1


def test_enter_is_a_fields_or_the_pages_never_both() -> None:
    """Whichever tells first, one of them counts; a stale letter holds nothing back."""
    typing = Typing()
    assert not typing.takes_enter()
    typing.letter()
    assert typing.takes_enter()
    typing.entered()
    assert not typing.takes_enter()
    typing.letter()
    typing.entered()
    assert typing.takes_enter() and not typing.takes_enter()
    typing.letter()
    typing.end()
    assert not typing.takes_enter()
    for key in ("4", "0", "Shift", "B"):
        typing.key(key)
    assert typing.loose() == "40B" and not typing.loose()
    typing.key("4")
    typing.letter()
    assert not typing.loose()


@pytest.mark.feature("RP-06")
async def test_enter_in_an_open_price_sells_nothing(nodes: Nodes) -> None:
    """It goes into the basket beside what was there; absurd prices and notes are told."""
    wash = {"sku": "FIX", "name": "Repair", "price_minor": 0, "kind": "service", "open_price": True}
    await nodes.server.submit("catalog.import", {"products": [wash]})
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-COFFEE")
        await screen.click("tile-FIX")
        for wrong in ("7501055300075", "1e9", "²", "-1", "5" * 5000):
            await screen.type("open-price", wrong, submit=True)
            assert screen.text("problem") == "Type a price, such as 12.50."
        await screen.type("open-note", "a\tb")
        await screen.type("open-price", "500", submit=True)
        assert not _orders(nodes.server)
        assert screen.text("total") == "₡1,400" and screen.shows("a b")


@pytest.mark.feature("RP-03")
async def test_barcode_in_the_wrong_field_is_told(nodes: Nodes) -> None:
    """Received, quantity and ticket's number take no barcode and no odd digits."""
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-COFFEE")
        for wrong in ("7501055300075", "12²", "x"):
            await screen.type("received", wrong)
            await screen.click("charge")
            assert screen.text("problem") == "What was received is no amount."
        await screen.type("received", "1000", submit=True)
        assert len(_orders(nodes.server)) == 1
        await screen.press("F11")
        for odd in ("5²", "1" * 5000):
            await screen.type("search", odd)
            assert screen.shows("No such sale")
    assert [whole(text) for text in ("12", " 7 ", "²", "1" * 13, "", "-1")] == [
        12,
        7,
        None,
        None,
        None,
        None,
    ]


async def test_basket_that_cannot_be_priced_says_so_and_the_rest_stays(nodes: Nodes) -> None:
    """A parked print that somebody else paid meanwhile takes nothing with it."""
    server = nodes.server
    fields = {"sku": "PRINT-BW", "units": 4}
    receipt = await server.submit("job.park", fields)
    async with screen_of(server) as screen:
        await screen.click("tile-COFFEE")
        await screen.click("open-jobs")
        await screen.click(f"job-{receipt.key.hex()}")
        await screen.press("Escape")
        line = {"sku": "PRINT-BW", "quantity": 4, "job": receipt.key.hex()}
        await server.submit("order.place", {"lines": [line]})
        await screen.settle(0.3)
        assert screen.text("total") == "₡900"
        await screen.click("tile-TEA")
        assert screen.shows("Iced lemon tea")


async def test_what_is_touched_while_a_sale_is_written_stays(nodes: Nodes) -> None:
    """The disk takes its time; what comes meanwhile is the next sale's."""
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-TEA")
        charge, cola = screen.find("charge"), screen.find("tile-COLA")
        await asyncio.gather(
            screen.session.dispatch_event(charge._i, "tap", None),
            screen.session.dispatch_event(cola._i, "tap", None),
        )
        await screen.settle(0.4)
        sold = [line for lines in _orders(nodes.server) for line in lines]
        left = [("COLA", 1)] if screen.text("total") == "₡1,200" else []
        assert sorted(sold + left) == [("COLA", 1), ("TEA", 1)]


async def test_two_touches_near_to_each_other_are_one_act(nodes: Nodes, slow_hands: None) -> None:
    """Stock is entered once, a print is written down once, a station is not revoked by a double
    click."""
    async with screen_of(nodes.server) as screen:
        await screen.press("F2")
        await screen.click("product-COLA")
        await screen.type("stock-units", "10")
        await screen.type("stock-reason", "bought")
        button = screen.find("stock-in")
        for _ in range(2):
            await screen.session.dispatch_event(button._i, "tap", None)
        await screen.settle(0.3)
        row = nodes.server.tables.table("stock").row("COLA")
        assert row is not None and row["on_hand"] == 10
        await screen.press("F10")
        button = screen.find("cash-x")
        for _ in range(2):
            await screen.session.dispatch_event(button._i, "tap", None)
        await screen.settle(0.3)
    assert len(nodes.server.tables.table("readings")) == 1
    acts = Acts()
    assert acts.begin("a") and not acts.begin("a") and acts.begin("b")
    acts.end("a")
    assert not acts.begin("a")


@pytest.mark.feature("BX-01")
async def test_count_of_one_box_closes_no_other(nodes: Nodes) -> None:
    """Closed elsewhere meanwhile: the page begins again with the box that is open."""
    await _sell(nodes)
    async with screen_of(nodes.server) as screen:
        await screen.press("F7")
        await screen.click("only-total")
        await screen.press("9")
        for _ in range(3):
            await screen.click("forward")
        await nodes.server.submit("box.close", {"declared_minor": 0})
        await screen.settle(0.3)
        assert screen.has("only-total") and not screen.has("difference")
        assert not screen.shows("BOX CLOSE Z 1")
        for _ in range(6):
            await screen.press("Enter")
    assert nodes.server.tables.table("boxes").row("2")["state"] == "open"  # type: ignore[index]


@pytest.mark.feature("BX-02")
async def test_blind_count_is_needed_and_stands(nodes: Nodes) -> None:
    """Enter by itself closes nothing; each till is counted; what was seen is not counted again;
    totals of the open box stand nowhere else."""
    server = nodes.server
    await _sell(nodes)
    await server.submit("settings.edit", {"blind_close": True})
    async with screen_of(server) as screen:
        await screen.press("F7")
        await screen.click("forward")
        assert screen.text("problem").startswith("Count first")
        await screen.click("only-total")
        await screen.press("1")
        await screen.click("forward")
        assert screen.has("difference")
        await screen.press("Escape")
        await screen.press("F7")
        assert screen.has("difference") and not screen.has("field-total")
        for _ in range(8):
            await screen.press("Enter")
        assert server.tables.table("boxes").row("1")["state"] == "open"  # type: ignore[index]
        await screen.press("F10")
        assert not screen.has("cash-x") and not screen.shows("₡950")
        await screen.open("reports")
        await screen.settle(0.3)
        await screen.click("by-box")
        assert screen.has("box-1")
    with pytest.raises(Refused, match="count-first"):
        await server.submit("box.x", {})
    async with screen_of(nodes.station) as screen:
        await screen.press("F6")
        await until(lambda: settings.cafe(nodes.station.tables).get("blind_close"))
        await screen.settle(0.3)
        assert not screen.has("collected-total")


@pytest.mark.feature("OP-04")
async def test_forms_and_secrets_go_with_who_filled_them_in(nodes: Nodes) -> None:
    """Whoever comes next finds the basket, and nothing else; a right that is gone closes its
    screen."""
    server = nodes.server
    await add_operator(server, "Rita Solís", "manager", PASSWORD)
    async with screen_of(server) as screen:
        await screen.click("tile-COFFEE")
        await screen.click("me")
        await screen.type("password-old", "ana-secret")
        await screen.press("F10")
        await screen.click("cash-in")
        await screen.type("cash-amount", "900")
        await screen.press("L", ctrl=True)
        await screen.settle(0.3)
        await server.sign_in("Rita Solís", PASSWORD)
        await screen.settle(0.3)
        assert screen.text("total") == "₡900"
        await screen.click("me")
        assert screen.find("password-old").value == ""
        await screen.press("F10")
        assert not screen.has("cash-amount")
        await screen.open("reports")
        await screen.settle(0.3)
        await server.sign_in("Lucía Mora", PASSWORD)
        await screen.settle(0.3)
        assert screen.has("tile-COFFEE") and not screen.has("figure-net")


@pytest.mark.feature("OP-04")
async def test_page_that_opens_after_hours_is_locked(nodes: Nodes) -> None:
    """No page was open meanwhile: the next one asks who is there."""
    await nodes.server.submit("settings.edit", {"idle_lock_s": 60})
    async with screen_of(nodes.server) as screen:
        assert screen.has("tile-COFFEE")
    shell._touched[nodes.server] -= 3600
    async with screen_of(nodes.server) as screen:
        assert screen.has("name") and not screen.has("tile-COFFEE")


async def test_queue_keys_act_on_what_is_chosen_alone(nodes: Nodes) -> None:
    """Un-chosen, an order is not collected by a key."""
    await nodes.station.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
    await until(lambda: len(nodes.server.tables.table("orders")) == 1)
    (row,) = nodes.server.tables.table("orders")
    async with screen_of(nodes.server) as screen:
        await screen.press("F6")
        await screen.fire(screen.find(f"choose-{row.doc_id}"), "change", True)
        await screen.press("Escape")
        await screen.press("C", alt=True)
        assert nodes.server.tables.table("orders").all()[0]["state"] == "pending"


async def test_notice_is_seen_at_a_station_too(nodes: Nodes) -> None:
    """A disk that refuses to write is no "Connected · all sent"."""
    async with screen_of(nodes.station) as screen:
        nodes.station._alarm("disk", {"what": "full"})
        await screen.settle(0.3)
        assert "all sent" not in screen.text("strip-rest")
        assert screen.text("strip-bold") != "Connected"


async def test_part_that_cannot_be_drawn_takes_no_other_with_it(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence stands in its place, and the next screen is drawn as ever."""
    async with screen_of(nodes.server) as screen:
        monkeypatch.setattr(
            "ui.screens.exceptions.exceptions.unresolved", lambda tables: [{"code": "nonsense"}]
        )
        screen.may_fault = True
        await screen.press("F3")
        assert screen.shows("This part cannot be shown") and screen.faults
        await screen.press("F5")
        assert screen.has("tile-COFFEE")


async def test_method_that_is_given_up_while_chosen_is_not_taken(nodes: Nodes) -> None:
    """The sale is refused with a sentence, and cash is there again."""
    card = {"method": "card", "name": "Card", "active": True}
    await nodes.server.submit("settings.edit", {"methods": [card]})
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-COFFEE")
        await screen.click("method-card")
        await nodes.server.submit("settings.edit", {"methods": [{**card, "active": False}]})
        await screen.settle(0.3)
        await screen.click("charge")
        assert not _orders(nodes.server) and screen.text("problem")
        await screen.click("charge")
    assert len(_orders(nodes.server)) == 1


async def test_same_field_of_two_people_is_told_where_it_is_saved(nodes: Nodes) -> None:
    """Not "saved": theirs stands, and mine is an exception."""
    async with screen_of(nodes.server) as screen:
        await screen.press("F2")
        await screen.click("product-COLA")
        await nodes.server.submit(
            "product.edit", {"sku": "COLA", "changes": {"price_minor": [1, 99900]}}
        )
        await screen.type("product-price", "1300")
        await screen.click("product-save")
        assert screen.text("problem").startswith("Somebody else")


async def test_hand_over_with_what_is_no_amount_is_not_done(nodes: Nodes) -> None:
    """An unreadable count is told, and so is nobody chosen."""
    await add_operator(nodes.server, "Rita Solís", "manager", PASSWORD)
    async with screen_of(nodes.server) as screen:
        await screen.press("F10")
        await screen.click("cash-hand-over")
        await screen.click("cash-do")
        assert screen.text("problem") == "Choose who."
        await screen.click("who-Rita Solís")
        await screen.type("cash-amount", "12..5")
        await screen.click("cash-do")
        assert screen.text("problem").startswith("Type an amount")
        await screen.type("cash-amount", "12.5")
        await screen.click("cash-do")
        assert screen.shows("handed over")


@pytest.mark.feature("RP-01")
async def test_page_that_stands_still_is_drawn_anew(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in Flet's own drawing ends its task: the page's clock sees it, and sells go on."""
    monkeypatch.setattr(shell, "CLOCK_S", 0.2)
    async with screen_of(nodes.station) as screen:
        screen.may_fault = True
        patch = screen.session.patch_control

        def fails(*args: Any, **more: Any) -> None:
            monkeypatch.setattr(screen.session, "patch_control", patch)
            raise KeyError("of Flet's own")

        monkeypatch.setattr(screen.session, "patch_control", fails)
        with pytest.raises(AssertionError, match="of Flet's own"):
            await screen.click("tile-LATTE")
        await asyncio.sleep(0.6)
        assert screen.text("total") == "₡1,100"
        await screen.click("tile-LATTE")
        assert screen.text("total") == "₡2,200"
        await screen.click("charge")
    assert _orders(nodes.station) == [[("LATTE", 2)]]


@pytest.mark.feature("RP-01", "OP-04")
async def test_browser_that_was_away_shows_what_is_now(nodes: Nodes) -> None:
    """What changes while a browser is cut off, such as who is signed in, stands there when it comes
    back."""
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-LATTE")
        await screen.cut()
        nodes.station.sign_out()
        await asyncio.sleep(0.3)
        await screen.come_back()
        assert not screen.has("tile-LATTE")
        assert screen.text("kept") == "One line waits in the basket"


async def test_fault_at_one_beat_leaves_the_clock_running(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever raises once, or each time: the next beat locks the screen all the same."""
    monkeypatch.setattr(shell, "CLOCK_S", 0.05)
    monkeypatch.setattr(Session, "forget_left", lambda s: 1 // 0)
    await nodes.server.submit("settings.edit", {"idle_lock_s": 60})
    async with screen_of(nodes.server) as screen:
        await screen.settle(0.3)
        shell._touched[nodes.server] -= 61
        await until(lambda: nodes.server.operator is None)
    assert [r.levelname for r in caplog.records if r.name == "ui.alive"] == ["ERROR"]


@pytest.mark.feature("RP-05")
async def test_field_that_has_gone_when_it_answers_breaks_nothing(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a scan the field is given the focus; who leaves the screen at once is not cut off by
    the browser's late answer, nor does the scan wait for it for ever."""
    monkeypatch.setattr(parts, "FOCUS_S", 0.2)
    async with screen_of(nodes.server) as screen:
        answer = screen.session.handle_invoke_method_results
        late: list[tuple[Any, ...]] = []
        monkeypatch.setattr(
            screen.session, "handle_invoke_method_results", lambda *given: late.append(given)
        )
        for key in (*"TEA", "Enter", "F6"):
            await screen.press(key)
        assert not screen.has("search") and len(late) == 1
        with pytest.raises(RuntimeError, match="not registered"):
            type(screen.session).handle_invoke_method_results(screen.session, *late[0])
        answer(*late[0])
        await screen.press("F5")
        assert screen.text("total") == "₡950"


async def test_dialog_whose_browser_was_cut_off_ends_with_no_file(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would ever answer: its button is alive again. One that stands open is waited for."""
    monkeypatch.setattr(files, "LOOK_S", 0.05)

    class Picker:
        async def pick_files(self, **more: Any) -> Any:
            await asyncio.Event().wait()

    monkeypatch.setattr(files.ft, "FilePicker", Picker)
    async with screen_of(nodes.server) as screen:
        dialog = asyncio.create_task(files.pick("png"))
        await asyncio.sleep(0.3)
        assert not dialog.done()
        await screen.cut()
        async with asyncio.timeout(5):
            assert await dialog is None
        await screen.come_back()
