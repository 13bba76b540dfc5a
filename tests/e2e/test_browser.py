"""Two people at real screens in a real browser: a vendor at a station, the operator at the server."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import Running, by_id, open_screen

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.mark.feature("RP-01", "RP-19", "RP-21", "RP-24")
def test_order_goes_from_a_click_at_the_station_to_a_ticket_at_the_server(
    browser: Any, demo: Running
) -> None:
    """Clicks add, Enter sends, Alt A allows; the cable is cut, selling goes on, all is sent."""
    from playwright.sync_api import expect

    station = open_screen(browser, demo.urls["station-1"])
    server = open_screen(browser, demo.urls["server"])
    by_id(station, "tile-LATTE").click()
    by_id(station, "tile-LATTE").click()
    by_id(station, "tile-COLA").click()
    expect(by_id(station, "total")).to_contain_text("₡3,400")
    station.keyboard.press("Enter")
    expect(by_id(station, "total")).to_contain_text("Total ₡0")
    expect(server.get_by_text("2 White coffee, 1 Cola 600 ml").first).to_be_visible()
    server.keyboard.press("Alt+a")
    expect(server.get_by_text("2 White coffee, 1 Cola 600 ml")).to_have_count(0)
    server.keyboard.press("F6")
    expect(server.get_by_text("Allowed, to be collected · 1").first).to_be_visible()
    switchboard = open_screen(browser, demo.urls["demo"])
    by_id(switchboard, "cable-0").click()
    expect(by_id(station, "strip")).to_contain_text("Offline since", timeout=15_000)
    by_id(station, "tile-TEA").click()
    station.keyboard.press("Enter")
    expect(by_id(station, "strip")).to_contain_text("1 order waiting")
    by_id(switchboard, "cable-0").click()
    expect(by_id(station, "strip")).to_contain_text("all sent", timeout=15_000)
    row = server.get_by_role("group", name=re.compile("S1-0002 1 Iced lemon tea"))
    expect(row.first).to_be_visible()
    for page in (station, server, switchboard):
        page.close()


@pytest.mark.feature("SE-11")
def test_screen_opens_only_with_the_token_of_this_start(browser: Any, demo: Running) -> None:
    """No token, no page; another site's page cannot reach the websocket."""
    bare = demo.urls["server"].partition("?")[0]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(bare)
    assert refused.value.code == 403
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(bare + "?token=guess")
    assert refused.value.code == 403
    page = open_screen(browser, demo.urls["server"])
    stolen = browser.new_page()
    stolen.goto(bare)
    assert "address" in stolen.content()
    closed = stolen.evaluate(
        """url => new Promise(done => {
            const socket = new WebSocket(url);
            socket.onclose = event => done(event.code);
            socket.onopen = () => done("open");
        })""",
        bare.replace("http", "ws") + "ws",
    )
    assert closed != "open"
    page.close()
    stolen.close()


_IN_FIELD = "['INPUT', 'TEXTAREA'].includes((document.activeElement || {}).tagName)"


@pytest.mark.feature("RP-05")
def test_scanner_fills_the_basket_and_charges_nothing(browser: Any, demo: Running) -> None:
    """Four scans as a scanner types them, into the search and beside it; then one Enter sends."""
    from playwright.sync_api import expect

    station = open_screen(browser, demo.urls["station-2"])
    expect(by_id(station, "tile-TEA")).to_be_visible(timeout=30_000)
    for code, total in (("TEA", "₡950"), ("COLA", "₡2,150")):
        station.wait_for_function(_IN_FIELD)
        station.keyboard.type(code, delay=5)
        station.keyboard.press("Enter")
        expect(by_id(station, "total")).to_contain_text(total)
    by_id(station, "tile-TEA").click()  # the focus is nowhere now
    expect(by_id(station, "total")).to_contain_text("₡3,100")
    station.wait_for_function(f"!({_IN_FIELD})")
    station.keyboard.type("TEA", delay=5)
    station.keyboard.press("Enter")
    expect(by_id(station, "total")).to_contain_text("₡4,050")
    station.wait_for_timeout(500)
    station.keyboard.press("Enter")
    expect(by_id(station, "total")).to_contain_text("Total ₡0")
    station.close()


@pytest.mark.feature("RE-01", "CF-04")
def test_reports_are_drawn_and_kept_as_a_file(browser: Any, demo: Running) -> None:
    """A real chart, and a real download."""
    from playwright.sync_api import expect

    server = open_screen(browser, demo.urls["server"])
    expect(by_id(server, "tile-TEA")).to_be_visible(timeout=30_000)
    by_id(server, "tile-TEA").click()
    server.wait_for_timeout(500)
    server.keyboard.press("Enter")
    expect(by_id(server, "total")).to_contain_text("Total ₡0")
    by_id(server, "rail-reports").click()
    expect(server.get_by_text("Sales by hour").first).to_be_visible()
    with server.expect_download() as kept:
        server.get_by_text("CSV", exact=True).first.click()
    assert kept.value.suggested_filename.startswith("cabina-vendor-")
    server.close()
