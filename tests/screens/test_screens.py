"""The screens as their users use them: clicks, keys and scans, without a browser."""

from __future__ import annotations

from typing import Any

import flet as ft
import pytest

from node.bootstrap import add_operator
from node.cafe import exceptions
from tests.support.nodes import PASSWORD, Nodes, until
from tests.support.screen import Screen
from ui.keymap import KEYS, action_for, cap
from ui.roles import OFF_THE_RAIL, SCREENS
from ui.shell import BODIES, open_page
from ui.theme import DARK, LIGHT, Palette, measures


def screen_of(node: Any, **more: Any) -> Screen:
    return Screen(lambda page: open_page(page, node), **more)


@pytest.mark.feature("RP-01", "RP-20")
async def test_vendor_signs_in_offline_by_name_and_password(nodes: Nodes) -> None:
    """A wrong password says so; the right one opens the POS, without a server."""
    nodes.switch.cut()
    nodes.station.sign_out()
    async with screen_of(nodes.station) as screen:
        await screen.type("name", "Lucía Mora")
        await screen.type("password", "nonsense", submit=True)
        await screen.settle(0.8)
        assert screen.text("problem") == "This password is not right."
        await screen.type("password", PASSWORD, submit=True)
        await screen.settle(0.8)
        assert screen.has("tile-COFFEE")
        assert screen.shows("Lucía Mora")


@pytest.mark.feature("RP-05", "RP-19")
async def test_vendor_sells_with_three_clicks(nodes: Nodes) -> None:
    """A click adds, a click more counts, one charges; the order is the server's a moment later."""
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-LATTE")
        await screen.click("tile-LATTE")
        await screen.click("tile-COLA")
        assert screen.text("total").replace("\xa0", " ") == "₡3,400"
        await screen.click("charge")
        assert screen.shows("S1-0001 kept on this computer")
        assert screen.text("total") == "₡0"
        await until(lambda: len(nodes.server.tables.table("orders")) == 1)
        row = nodes.server.tables.table("orders").all()[0]
        assert (row["total_minor"], row["state"], row["label"]) == (340000, "pending", "S1-0001")


@pytest.mark.feature("RP-24", "RP-17")
async def test_cut_cable_never_stops_a_vendor(nodes: Nodes) -> None:
    """The strip says offline and counts; selling goes on; what waited is sent by itself."""
    async with screen_of(nodes.station) as screen:
        assert screen.text("strip-bold") == "Connected"
        nodes.switch.cut()
        await until(lambda: not nodes.station.online)
        await screen.settle(0.5)
        assert screen.text("strip-bold").startswith("Offline since")
        for _ in range(3):
            await screen.click("tile-COFFEE")
            await screen.click("charge")
        await screen.settle(0.4)
        assert "3 orders waiting" in screen.text("strip-rest")
        assert screen.shows("Save order")
        await screen.click("rail-orders")
        assert screen.shows("Unsent")
        nodes.switch.join()
        nodes.station.client.hurry()
        await until(lambda: len(nodes.server.tables.table("orders")) == 3)
        await screen.settle(0.6)
        assert screen.text("strip-bold") == "Connected"
        assert screen.shows("Pending")
        assert not screen.shows("3 orders waiting")


async def test_basket_is_edited_by_keys_and_buttons(nodes: Nodes) -> None:
    """Plus, minus, a typed quantity, delete, clear; the total follows each."""
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-COFFEE")
        await screen.click("more-COFFEE")
        assert screen.text("total") == "₡1,800"
        await screen.type("quantity-COFFEE", "10", submit=True)
        assert screen.text("total") == "₡9,000"
        await screen.type("quantity-COFFEE", "-3", submit=True)
        assert screen.text("total") == "₡9,000"
        await screen.click("less-COFFEE")
        assert screen.text("total") == "₡8,100"
        await screen.click("drop-COFFEE")
        assert screen.text("total") == "₡0"
        await screen.click("tile-TEA")
        await screen.click("clear")
        assert screen.shows("Nothing in the basket")
        await screen.press("Enter")
        assert not nodes.station.tables.table("orders").all()


@pytest.mark.feature("RP-05")
async def test_search_and_scanner_find_products(nodes: Nodes) -> None:
    """Accents and case ignored; a code with Enter adds; an unknown one says what to do."""
    async with screen_of(nodes.station) as screen:
        await screen.type("search", "resume")
        assert screen.keys("tile-") == ["tile-CV"]
        await screen.type("search", "nothing like it")
        assert screen.shows("No “nothing like it”")
        await screen.type("search", "COLA", submit=True)
        assert screen.text("total") == "₡1,200"
        await screen.type("search", "4006381333931", submit=True)
        assert "Check the code" in screen.text("problem")
        await screen.type("search", "")
        await screen.click("category-Food")
        assert "tile-EMPANADA" in screen.keys("tile-")
        assert "tile-COFFEE" not in screen.keys("tile-")
        await screen.click("category-")
        await screen.click("view-list")
        assert screen.has("tile-COFFEE")
        await screen.press("Enter")
        assert screen.shows("S1-0001 kept on this computer")


@pytest.mark.feature("RP-01")
@pytest.mark.parametrize("width", [560, 1024, 2560])
async def test_first_products_are_more_than_fill_the_window(nodes: Nodes, width: int) -> None:
    """However small its tiles are: what does not fill it cannot be scrolled, and there are more."""
    products = [
        {"sku": f"P{at:03d}", "name": f"Thing {at}", "price_minor": 100} for at in range(200)
    ]
    await nodes.server.submit("catalog.import", {"products": products})
    async with screen_of(nodes.server, width=width, height=1000) as screen:
        grid = screen.find("products")
        shown, columns = len(grid.controls), grid.runs_count
        m = measures(width)
        room = width - m.rail - m.panel - 32 - 8 * (columns - 1)
        height = room / columns / grid.child_aspect_ratio
        assert shown < 200, "there are more"
        assert shown / columns * (height + 8) > 1000


@pytest.mark.feature("RP-01")
@pytest.mark.parametrize("view", ["grid", "list"])
async def test_products_come_as_far_as_somebody_scrolls(nodes: Nodes, view: str) -> None:
    """What fills the window at first, more near its end, and from the start again for another search."""
    count = 200
    products = [
        {"sku": f"P{at:03d}", "name": f"Thing {at}", "price_minor": 100} for at in range(count)
    ]
    await nodes.server.submit("catalog.import", {"products": products})
    async with screen_of(nodes.server) as screen:
        if view == "list":
            await screen.click("view-list")
        await screen.type("search", "thing")
        first = len(screen.keys("tile-"))
        assert 10 < first < 60
        await screen.scroll("products", to=0)
        assert len(screen.keys("tile-")) == first, "the end is far"
        for times in range(2, 100):
            await screen.scroll("products", to=9_500)
            if (shown := len(screen.keys("tile-"))) == count:
                break
            assert shown == times * first
        assert shown == count
        # A list that listens no more is another one to the client, which shows it from its top again.
        assert screen.find("products").on_scroll is not None
        await screen.type("search", "thing 1")
        assert len(screen.keys("tile-")) == first


@pytest.mark.feature("RP-21", "RP-19")
async def test_operator_allows_collects_and_denies_in_the_queue(nodes: Nodes) -> None:
    """Orders come by themselves; a denial wants a reason, and the vendor sees it."""
    for _ in range(3):
        await nodes.station.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
    await until(lambda: len(nodes.server.tables.table("orders")) == 3)
    first, second, third = (
        str(row.doc_id)
        for row in sorted(nodes.server.tables.table("orders"), key=lambda row: row["label"])
    )
    async with screen_of(nodes.server) as screen, screen_of(nodes.station) as vendor:
        assert screen.has("incoming-allow")
        await screen.press("F6")
        await screen.click(f"allow-{first}")
        await screen.click(f"collect-{first}")
        await screen.click(f"deny-{second}")
        await screen.click("reason-other")
        assert screen.find("deny-now").disabled
        await screen.type("reason", "The kettle broke")
        await screen.click("deny-now")
        await screen.fire(screen.find(f"choose-{third}"), "change", True)
        await screen.press("C", alt=True)
        orders = nodes.server.tables.table("orders")
        assert [orders.row(o)["state"] for o in (first, second, third)] == [  # type: ignore[index]
            "collected",
            "denied",
            "collected",
        ]
        await vendor.press("F6")
        await vendor.settle(0.3)
        assert vendor.shows("The kettle broke")
        assert vendor.shows("Ticket 1")
        await vendor.click(f"order-{second}")
        await vendor.click("again")
        assert vendor.text("total") == "₡950"


@pytest.mark.feature("RP-03")
async def test_desk_sells_with_cash_and_change(nodes: Nodes) -> None:
    """Too little is said in money; enough gives the change, and the sale is in the box."""
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-SANDWICH")
        await screen.type("received", "1000")
        await screen.click("charge")
        assert screen.text("problem") == "₡900 short. Take more or drop a line."
        await screen.type("received", "2000")
        assert screen.text("change") == "₡100"
        await screen.click("charge")
        assert screen.shows("Sale 1 charged")
        row = nodes.server.tables.table("orders").all()[0]
        assert (row["state"], row["change_minor"]) == ("collected", 10000)


@pytest.mark.feature("BX-01")
async def test_box_is_closed_by_the_guided_page(nodes: Nodes) -> None:
    """Count by pieces, see the difference, leave a float, look at the Z, close."""
    await nodes.server.submit("order.place", {"lines": [{"sku": "COFFEE", "quantity": 3}]})
    async with screen_of(nodes.server) as screen:
        await screen.press("F7")
        await screen.click("field-100000")
        await screen.click("key-2")
        await screen.press("Enter")
        await screen.press("1")
        assert screen.text("counted") == "₡2,500"
        await screen.press("Backspace")
        await screen.press("1")
        await screen.click("forward")
        assert screen.text("difference") == "−₡200"
        await screen.click("forward")
        await screen.press("5")
        await screen.press("0")
        await screen.press("0")
        await screen.click("forward")
        assert screen.shows("BOX CLOSE Z 1")
        assert screen.text("box-total") == "₡2,700"
        await screen.click("back")
        await screen.click("forward")
        await screen.click("forward")
        z = nodes.server.tables.table("boxes").row("1")["z"]  # type: ignore[index]
        assert (z["declared_minor"], z["difference_minor"], z["leave_minor"]) == (
            250000,
            -20000,
            50000,
        )
        assert screen.shows("Box 1 closed")


async def test_box_cannot_leave_more_than_was_counted(nodes: Nodes) -> None:
    """The page says why, and Back still works."""
    async with screen_of(nodes.server) as screen:
        await screen.press("F7")
        await screen.click("only-total")
        await screen.press("1")
        for _ in range(3):
            await screen.click("forward") if not screen.has("field-leave") else await screen.press(
                "9"
            )
        await screen.press("9")
        await screen.settle()
        assert "range" in screen.text("problem")
        assert screen.find("forward").disabled
        await screen.click("back")


@pytest.mark.feature("OP-01")
async def test_vendor_at_the_server_sees_neither_queue_nor_box(nodes: Nodes) -> None:
    """The rail follows the permissions; keys do not get around it."""
    await nodes.server.sign_in("Lucía Mora", PASSWORD)
    async with screen_of(nodes.server) as screen:
        assert screen.keys("rail-") == ["rail-sell", "rail-customers", "rail-catalogue"]
        await screen.press("F7")
        assert screen.has("tile-COFFEE")
        await screen.click("me")
        await screen.click("sign-out")
        await screen.settle(0.3)
        assert screen.has("password")


async def test_printer_that_waits_is_said_on_the_strip(nodes: Nodes) -> None:
    """What is wrong, how many tickets wait, and that nothing is lost."""
    from node.devices.printers import open_printer
    from node.devices.spooler import Spooler

    node = nodes.server
    node.spooler = Spooler(node.tables, node.do_self, open_printer("tcp://127.0.0.1:1"))
    node.spooler.problem = "print.paper"
    async with screen_of(node) as screen:
        assert screen.text("strip-bold") == "Printer: out of paper"
        assert "nothing is lost" in screen.text("strip-rest")


@pytest.mark.feature("CF-02")
async def test_every_screen_draws_in_both_languages_themes_and_all_widths(nodes: Nodes) -> None:
    """Nothing breaks from 1024×600 to 2560×1440, light or dark, English or Spanish."""
    await nodes.station.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
    await until(lambda: len(nodes.server.tables.table("orders")) == 1)
    for language in ("es", "en"):
        await nodes.server.submit("settings.edit", {"language": language})
        await until(lambda: nodes.station.language == language)
        for width, height in ((1024, 600), (1366, 768), (2560, 1440)):
            for node in (nodes.server, nodes.station):
                async with screen_of(node, width=width, height=height) as screen:
                    await screen.fire(screen.find("theme"), "click")
                    for key in screen.keys("rail-"):
                        await screen.click(key)
                        assert len(screen.texts()) > 10
                        if key == "rail-orders":
                            title = "Mis pedidos" if language == "es" else "My orders"
                            assert screen.shows(title)


async def test_two_sessions_of_one_node_share_no_basket(nodes: Nodes) -> None:
    """An observable belongs to one session."""
    async with screen_of(nodes.station) as one, screen_of(nodes.station) as other:
        await one.click("tile-COFFEE")
        assert one.text("total") == "₡900"
        assert other.text("total") == "₡0"
        await one.click("charge")
        await other.press("F6")
        assert other.shows("S1-0001")


def test_keys_are_unique_on_each_screen_and_have_caps() -> None:
    """One table drives handlers, labels and tests."""
    everywhere = {
        screen.name for role in (SCREENS, OFF_THE_RAIL) for rail in role.values() for screen in rail
    }
    for screen in (*everywhere, "sign_in"):
        combinations = [
            (key.key, key.ctrl, key.alt) for key in KEYS if not key.screens or screen in key.screens
        ]
        assert len(combinations) == len(set(combinations))
    assert action_for("Enter", ctrl=False, alt=False, screen="sell") == "charge"
    assert action_for("Enter", ctrl=True, alt=False, screen="sell") == ""
    assert (cap("allow"), cap("search"), cap("back")) == ("Alt A", "Ctrl K", "Esc")
    assert everywhere <= set(BODIES)


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    a, b = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (a + 0.05) / (b + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_has_contrast_aa(palette: Palette) -> None:
    """4.5:1 for text on its ground, 3:1 for the line of a field."""
    p = palette
    pairs = [(p.text, p.surface), (p.text2, p.surface), (p.text3, p.surface), (p.text3, p.ground)]
    pairs += [(p.on_accent, p.accent), (p.on_selected, p.selected), (p.on_danger, p.danger.text)]
    states = (p.pending, p.allowed, p.collected, p.danger, p.printed, p.aside)
    pairs += [(tint.text, tint.ground) for tint in (*states, *p.plates)]
    for text, ground in pairs:
        assert _contrast(text, ground) >= 4.5, (text, ground)
    assert _contrast(p.outline, p.surface) >= 3.0


def test_measures_follow_the_width() -> None:
    """Rail, panel and columns by the width of the window."""
    assert [measures(w).columns for w in (1024, 1366, 1920, 2560)] == [4, 5, 8, 10]
    assert measures(1024).rail == 56
    assert isinstance(ft.Icons.SELL, ft.IconData)


@pytest.mark.feature("RP-08", "RP-03")
async def test_discount_is_given_to_a_line_or_to_the_whole_ticket(nodes: Nodes) -> None:
    """F4 opens the café's discounts; each is itemised, and the order is what the screen showed."""
    for code, form, value in (("TEN", "percent", 1000), ("OFF", "fixed", 10000)):
        body = {"discount": code, "name": code.title(), "form": form, "value": value}
        await nodes.server.submit("discount.add", body)
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-SANDWICH")
        await screen.press("F4")
        assert screen.shows("Discount on Ham and cheese sandwich")
        await screen.click("discount-TEN")
        assert screen.text("total") == "₡1,710"
        await screen.press("F4")
        await screen.click("line-SANDWICH")
        await screen.press("Escape")
        await screen.press("F4")
        await screen.click("discount-OFF")
        assert screen.text("total") == "₡1,610"
        await screen.press("F4")
        assert screen.shows("Ten")
        await screen.press("Enter")
        assert screen.shows("Sale 1 charged")
    (row,) = nodes.server.tables.table("orders")
    assert (row["total_minor"], row["off"]) == (161_000, [["TEN", 19_000], ["OFF", 10_000]])


@pytest.mark.feature("RP-28")
async def test_ticket_is_paid_by_a_method_of_the_owners(nodes: Nodes) -> None:
    """Chosen with one touch; no cash is asked for, and none enters the box."""
    methods = [{"method": "card", "name": "Card"}]
    await nodes.server.submit("settings.edit", {"methods": methods})
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-SANDWICH")
        assert screen.has("received")
        await screen.click("method-card")
        assert not screen.has("received")
        await screen.click("charge")
        assert screen.shows("Sale 1 charged")
        await screen.click("tile-SANDWICH")
        assert screen.has("received"), "the next one is cash again"
    (row,) = nodes.server.tables.table("orders")
    assert (row["cash_minor"], row["payments"]) == (0, [["card", 190_000]])


@pytest.mark.feature("RP-05")
async def test_basket_is_parked_and_taken_back(nodes: Nodes) -> None:
    """Its customer went for the purse; the next one is served, and nothing is typed twice."""
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-COFFEE")
        await screen.click("park")
        assert screen.shows("Nothing in the basket")
        await screen.click("tile-TEA")
        await screen.click("open-parked")
        await screen.click("parked-0")
        assert screen.text("total") == "₡900"
        await screen.click("open-parked")
        assert screen.shows("Iced lemon tea")


@pytest.mark.feature("RP-11")
async def test_print_is_written_down_now_and_paid_later(nodes: Nodes) -> None:
    """Parked from the basket, and put on another ticket with one touch."""
    page = {"sku": "PAGE", "name": "Page", "price_minor": 5000, "kind": "print"}
    await nodes.server.submit("catalog.import", {"products": [page]})
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-PAGE")
        await screen.type("quantity-PAGE", "7", submit=True)
        await screen.click("later-PAGE")
        assert screen.shows("Nothing in the basket")
        await screen.click("tile-COFFEE")
        await screen.click("open-jobs")
        (job,) = nodes.server.tables.table("jobs")
        await screen.click(f"job-{job.doc_id}")
        await screen.press("Escape")
        assert screen.text("total") == "₡1,250"
        await screen.press("Enter")
    (job,) = nodes.server.tables.table("jobs")
    assert job["state"] == "paid"


@pytest.mark.feature("RP-06")
async def test_open_price_is_asked_for_with_what_it_is_for(nodes: Nodes) -> None:
    """What is no price is said; the line bears the note."""
    wash = {"sku": "FIX", "name": "Repair", "price_minor": 0, "kind": "service", "open_price": True}
    await nodes.server.submit("catalog.import", {"products": [wash]})
    async with screen_of(nodes.server) as screen:
        await screen.click("tile-FIX")
        await screen.type("open-price", "x")
        await screen.click("open-add")
        assert screen.text("problem") == "Type a price, such as 12.50."
        await screen.type("open-price", "2 500,00")
        await screen.type("open-note", "Laptop")
        await screen.click("open-add")
        assert screen.text("total") == "₡2,500"
        assert screen.shows("Laptop")
        await screen.press("Enter")
    (row,) = nodes.server.tables.table("orders")
    assert row["lines"][0]["note"] == "Laptop"


@pytest.mark.feature("RP-05", "RP-10")
async def test_tile_says_how_many_are_left(nodes: Nodes) -> None:
    """Of what is counted; few are in the colour of a warning."""
    move = {"sku": "COLA", "direction": "in", "units": 2, "reason": "x"}
    async with screen_of(nodes.server) as screen:
        assert not screen.has("stock-COLA")
        await nodes.server.submit("stock.move", move)
        await screen.settle(0.3)
        assert screen.text("stock-COLA") == "2"
        await screen.click("tile-COLA")
        await screen.press("Enter")
        await screen.settle(0.3)
        assert screen.text("stock-COLA") == "1"
        assert screen.find("stock-COLA").style.color == "#B3261E"


@pytest.mark.feature("BX-03", "BX-05", "BX-04", "BX-07")
async def test_open_box_is_read_filled_and_handed_over(nodes: Nodes) -> None:
    """Cash in and out, a float, an X, the drawer, the next operator: each from one page."""
    server = nodes.server
    await add_operator(server, "Rita", "cashier", PASSWORD)
    async with screen_of(server) as screen:
        await screen.press("F10")
        await screen.click("cash-in")
        await screen.type("cash-amount", "0")
        await screen.click("cash-do")
        assert screen.text("problem") == "Type an amount above zero."
        await screen.type("cash-amount", "1000")
        await screen.click("cash-do")
        assert screen.text("problem") == "Give a reason."
        await screen.type("cash-reason", "Change", submit=True)
        assert screen.shows("Cash in: Change")
        await screen.click("cash-out")
        await screen.type("cash-amount", "300")
        await screen.type("cash-reason", "Bread", submit=True)
        await screen.click("cash-float")
        (till,) = screen.keys("who-")[:1]
        await screen.click(till)
        await screen.type("cash-amount", "200", submit=True)
        await screen.click("cash-x")
        await screen.click("cash-drawer")
        await screen.type("cash-reason", "Coins", submit=True)
        await screen.click("cash-hand-over")
        await screen.click("who-Rita")
        await screen.click("cash-do")
        await screen.settle(0.3)
        assert screen.shows("Handed over to Rita")
        await screen.press("Escape")
        assert not screen.has("cash-do")
        await server.submit("settings.edit", {"blind_close": True})
        await screen.settle(0.3)
        assert screen.shows("Totals are shown after the count")
        assert not screen.shows("Cash in: Change")
    now = server.tables.table("sums").row("1")
    assert now is not None
    assert (now["cash_in"], now["cash_out"], now["floats"], now["readings"]) == (
        100_000, 30_000, 20_000, 1,
    )  # fmt: skip


@pytest.mark.feature("BX-02")
async def test_blind_close_shows_no_expected_sum_before_the_count(nodes: Nodes) -> None:
    """Neither of the box nor of a till."""
    server = nodes.server
    await server.submit("settings.edit", {"blind_close": True, "mode": 1})
    await until(lambda: nodes.station.tables.cursor == server.tables.cursor)
    await nodes.station.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
    await until(lambda: len(server.tables.table("orders")) == 1)
    async with screen_of(server) as screen:
        await screen.press("F7")
        assert screen.keys("field-till:")
        assert not screen.shows("₡950")


@pytest.mark.feature("RP-09", "RP-10", "RP-06")
async def test_vendor_edits_the_catalogue_at_a_station(nodes: Nodes) -> None:
    """A new product sells at once, also offline; a bad field is named; stock moves with a reason."""
    nodes.switch.cut()
    async with screen_of(nodes.station) as screen:
        await screen.press("F2")
        await screen.click("product-new")
        await screen.click("product-save")
        assert screen.text("problem") == "“Name” cannot be read. Correct it."
        await screen.type("product-name", "Herbal tea")
        await screen.type("product-price", "abc")
        await screen.click("product-save")
        assert "Price" in screen.text("problem")
        await screen.type("product-price", "750")
        await screen.type("product-tax", "13")
        await screen.type("product-category", "Drinks")
        await screen.click("icon-tea")
        await screen.click("product-save")
        assert screen.text("saved") == "Saved"
        (sku,) = [row["sku"] for row in nodes.station.tables.table("products")
                  if row["name"] == "Herbal tea"]  # fmt: skip
        assert sku.startswith("S1-")
        await screen.type("stock-units", "12")
        await screen.click("stock-in")
        assert screen.text("problem") == "Give a reason."
        await screen.type("stock-reason", "Delivery")
        await screen.click("stock-in")
        assert screen.text("on-hand") == "12 on the shelf, 0 promised"
        await screen.type("product-price", "800")
        await screen.click("product-save")
        await screen.press("F5")
        await screen.click(f"tile-{sku}")
        assert screen.text("total") == "₡800"
        await screen.press("Enter")
    nodes.switch.join()
    nodes.station.client.hurry()
    await until(lambda: len(nodes.server.tables.table("orders")) == 1)
    (order,) = nodes.server.tables.table("orders")
    assert (order["state"], order["flags"]) == ("pending", [])
    product = nodes.server.tables.table("products").row(sku)
    assert product is not None
    assert (product["price_minor"], product["icon"], product["tax_bp"]) == (80_000, "tea", 1300)


@pytest.mark.feature("RP-09", "SY-02")
async def test_two_edits_of_one_field_meet_as_an_exception(nodes: Nodes) -> None:
    """The screen sends the version it showed, so the second one takes nothing away unseen."""
    async with screen_of(nodes.server) as one, screen_of(nodes.server) as other:
        for screen in (one, other):
            await screen.press("F2")
            await screen.type("search", "cola")
            await screen.click("product-COLA")
        await one.type("product-price", "1300")
        await one.click("product-save")
        await other.type("product-price", "1350")
        await other.click("product-save")
    product = nodes.server.tables.table("products").row("COLA")
    assert product is not None
    assert product["price_minor"] == 130_000
    (found,) = nodes.server.tables.table("exceptions")
    assert (found["details"]["kept"], found["details"]["other"]) == (130_000, 135_000)
    async with screen_of(nodes.server) as screen:
        await screen.press("F3")
        assert screen.shows("₡1,300")
        assert screen.shows("₡1,350")
        await screen.click("take-1")
        await screen.settle(0.3)
        assert screen.shows("Nothing needs you")
    product = nodes.server.tables.table("products").row("COLA")
    assert product is not None
    assert product["price_minor"] == 135_000


@pytest.mark.feature("RP-25", "SY-07")
async def test_every_exception_has_its_sentence(nodes: Nodes) -> None:
    """Whatever a person must look at is said in both languages, with what can be done."""
    view = nodes.server.tables
    for language in ("es", "en"):
        await nodes.server.submit("settings.edit", {"language": language})
        async with screen_of(nodes.server) as screen:
            view.store.writable = True
            for code in exceptions.RESOLUTIONS:
                exceptions.note(
                    view, code, "products/COLA", 1, sku="COLA", deficit=2, field="name", kept="a",
                    kept_by="", other="b", other_by="",
                )  # fmt: skip
            view.store.writable = False
            await screen.press("F3")
            await screen.settle(0.3)
            assert len(screen.keys("exception-")) >= len(exceptions.RESOLUTIONS)
