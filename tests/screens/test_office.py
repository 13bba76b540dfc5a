"""The screens of the office, used as their users use them: clicks, keys and what is typed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tinydb import where

from node.api import operators
from node.bootstrap import add_operator
from node.cafe.house import KINDS
from node.devices.virtual import VirtualPrinter
from tests.screens.test_screens import screen_of
from tests.support.nodes import PASSWORD, Nodes, until
from ui import activity, files, shell, sound
from ui.components.chart import top_of
from ui.format import texts
from ui.roles import OFF_THE_RAIL, SCREENS
from ui.viewmodels.office import permissions


async def _sell(nodes: Nodes, sku: str = "LATTE", quantity: int = 2) -> str:
    """One sale at the desk; its id."""
    lines = [{"sku": sku, "quantity": quantity}]
    receipt = await nodes.server.submit("order.place", {"lines": lines})
    return receipt.key.hex()


@pytest.mark.feature("RE-01", "RE-02", "RP-22")
async def test_reports_show_figures_chart_and_table_and_give_files(
    nodes: Nodes, saved: dict[str, bytes]
) -> None:
    """What was sold and given back stands in figures, by any dimension, and in the files alike."""
    sale = await _sell(nodes)
    await _sell(nodes, "COLA", 1)
    await nodes.server.submit("sale.refund", {"order": sale, "reason": "cold"})
    async with screen_of(nodes.server) as screen:
        await screen.open("reports")
        await screen.settle(0.4)
        assert screen.text("figure-net").replace("\xa0", " ") == "₡1,200"
        assert screen.text("figure-tickets") == "2"
        assert screen.has("chart") and screen.has(f"line-{nodes.server.operator.hex()}")  # type: ignore[union-attr]
        await screen.click("by-product")
        assert screen.keys("line-") == ["line-LATTE", "line-COLA"]
        await screen.click("save-csv")
        (name,) = saved
        assert name.startswith("cabina-product-") and b"White coffee,1,2," in saved[name]
        await screen.click("save-pdf")
        await until(lambda: len(saved) == 2)
        assert next(d for n, d in saved.items() if n.endswith("pdf")).startswith(b"%PDF")
        await screen.click("by-box")
        assert screen.has("box-1") and screen.shows("open")


@pytest.mark.feature("RE-01")
async def test_report_of_other_days_is_compared_and_bad_days_are_told(nodes: Nodes) -> None:
    """Days without sales say so; days that are none are a sentence; a week shows its days."""
    await _sell(nodes)
    async with screen_of(nodes.server) as screen:
        await screen.open("reports")
        await screen.click("period-yesterday")
        await screen.settle(0.3)
        assert screen.shows("Nothing was sold then")
        await screen.click("period-days")
        await screen.type("period-first", "yesterday", submit=True)
        await screen.settle(0.3)
        assert "yesterday" in screen.text("problem")
        await screen.click("period-week")
        await screen.settle(0.3)
        assert screen.shows("Sales by day") and screen.has("figure-net")


def test_axis_ends_above_the_largest_bar() -> None:
    """The top is a round number that holds the largest value and has four whole parts."""
    assert [top_of(value) for value in (0, 1, 7, 72_400, 100_000, 990_001)] == [
        4,
        1,
        8,
        80_000,
        100_000,
        1_000_000,
    ]


@pytest.mark.feature("BX-08")
async def test_sale_is_found_and_given_back_in_part_and_whole(nodes: Nodes) -> None:
    """Units are chosen line by line; a reason is needed; what is left goes back at once."""
    sale = await _sell(nodes)
    await _sell(nodes, "COLA", 1)
    async with screen_of(nodes.server) as screen:
        await screen.press("F11")
        assert len(screen.keys("sale-")) == 2
        await screen.type("search", "white coffee")
        assert screen.keys("sale-") == [f"sale-{sale}"]
        await screen.type("search", "2")
        assert len(screen.keys("sale-")) == 1 and screen.keys("sale-") != [f"sale-{sale}"]
        await screen.type("search", "")
        await screen.click(f"sale-{sale}")
        await screen.click("back-more-0")
        await screen.click("back-more-0")
        await screen.click("back-more-0")
        assert screen.text("back-0") == "2"
        await screen.click("back-less-0")
        await screen.click("refund")
        assert "reason" in screen.text("problem").lower()
        await screen.type("refund-reason", "Cold")
        await screen.click("refund")
        assert screen.text("saved").startswith("₡1,100 given back")
        assert screen.text("left") == "₡1,100"
        await screen.type("refund-reason", "Cold too")
        await screen.click("refund")
        assert screen.text("left") == "₡0" and not screen.has("refund")
        assert screen.shows("Refunded")
    assert len(nodes.server.tables.table("refunds")) == 2


@pytest.mark.feature("PR-03", "OP-02")
async def test_print_of_unknown_end_is_settled_or_printed_again(nodes: Nodes) -> None:
    """The screen says what nobody knows the end of, why, and what to do; each way is one click."""
    server = nodes.server
    printer = VirtualPrinter()
    await printer.start()
    async with screen_of(server) as screen:
        await screen.open("settings")
        await screen.click("section-printing")
        await screen.type("printer-address", "printer:", submit=True)
        await screen.settle(0.3)
        assert "no printer's address" in screen.text("problem")
        await screen.type("printer-address", f"tcp://127.0.0.1:{printer.port}", submit=True)
        await screen.settle(0.4)
        assert screen.text("saved") == "Saved"
        await screen.click("printer-test")
        await until(lambda: printer.papers)
        await screen.settle(0.3)
        assert "test page is out" in screen.text("saved")
        printer.faults.drop_after_bytes = 40
        await _sell(nodes)
        await until(lambda: server.tables.table("prints").count(where("state") == "unknown") == 1)
        printer.faults.drop_after_bytes = None
        (job,) = (str(row.doc_id) for row in server.tables.table("prints"))
        await screen.settle(0.3)
        await screen.open("prints")
        assert screen.has(f"job-{job}") and screen.shows("Look at the printer")
        await screen.click(f"again-{job}")
        await until(lambda: server.tables.table("prints").row(job)["state"] == "printed")  # type: ignore[index]
        await screen.settle(0.3)
        assert screen.shows("Printed last") and screen.has(f"job-{job}")
        printer.faults.drop_after_bytes = 40
        await screen.click(f"again-{job}")
        await until(lambda: server.tables.table("prints").row(job)["state"] == "unknown")  # type: ignore[index]
        printer.faults.drop_after_bytes = None
        await screen.settle(0.3)
        await screen.click(f"settle-{job}")
        assert server.tables.table("prints").row(job)["state"] == "printed"  # type: ignore[index]
        await screen.click("test-print")
        await screen.settle(0.5)
        assert "test page is out" in screen.text("saved")
        row = server.tables.table("orders").all()[0]
        await screen.open("sales")
        await screen.click(f"sale-{row.doc_id}")
        await screen.click("reprint")
        await until(lambda: sum("COPY" in ticket.text for ticket in printer.papers) >= 2)
    await printer.stop()


@pytest.mark.feature("RP-02", "SE-01")
async def test_stations_are_let_in_only_while_the_remote_pos_is_on(nodes: Nodes) -> None:
    """Switched off, the door closes and the vendor goes on selling; on again, all comes by itself.
    A station that is trusted no more needs a second click."""
    async with screen_of(nodes.server) as screen:
        await screen.open("stations")
        assert screen.shows("Here")
        await screen.turn("remote-pos", False)
        await until(lambda: not nodes.station.online)
        await nodes.station.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
        await screen.settle(0.3)
        assert screen.find("pair-open").disabled
        assert screen.text("saved").startswith("The remote POS is off")
        await screen.turn("remote-pos", True)
        nodes.station.client.hurry()
        await until(lambda: len(nodes.server.tables.table("orders")) == 1)
        await screen.settle(0.3)
        await screen.click("revoke-S1")
        assert screen.shows("Sure?")
        await screen.click("keep-S1")
        await screen.click("revoke-S1")
        await screen.click("sure-S1")
        assert screen.shows("Trusted no more")
    row = nodes.server.tables.table("stations").row(nodes.station.node_id)
    assert row is not None and row["revoked"]


@pytest.mark.feature("SE-01")
async def test_pairing_is_walked_through_on_the_screen(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page shows the address, then who knocks; wrong digits are a sentence; closing ends it."""
    monkeypatch.setattr("ui.viewmodels.stations.PAIRING_PORT", 0)
    async with screen_of(nodes.server) as screen:
        await screen.open("stations")
        await screen.click("pair-open")
        await screen.settle(0.3)
        assert screen.text("join-command").startswith("cabina station --join 127.0.0.1:")
        await screen.click("pair-close")
        await screen.settle(0.3)
        assert not screen.has("join-command")


@pytest.mark.feature("OP-03")
async def test_audit_finds_acts_by_person_kind_words_and_day(nodes: Nodes) -> None:
    """Each act has who, where, when; a filter narrows; a day that is none is told."""
    await _sell(nodes)
    await nodes.server.submit(
        "cash.move", {"direction": "in", "amount_minor": 500, "reason": "change from the bank"}
    )
    async with screen_of(nodes.server) as screen:
        await screen.open("audit")
        await screen.settle(0.4)
        everything = len(screen.keys("act-"))
        assert everything > 4 and screen.shows("Cash in or out")
        await screen.click("group-cash.")
        await screen.settle(0.3)
        (act,) = screen.keys("act-")
        await screen.click(act)
        assert screen.shows("change from the bank")
        await screen.click("group-")
        await screen.settle(0.3)
        await screen.type("audit-words", "bank", submit=True)
        await screen.settle(0.3)
        assert screen.keys("act-") == [act]
        await screen.type("audit-words", "nothing has this")
        await screen.click("audit-look")
        await screen.settle(0.3)
        assert screen.shows("Nothing fits")
        await screen.type("audit-day", "soon", submit=True)
        await screen.settle(0.3)
        assert "soon" in screen.text("problem")


@pytest.mark.feature("CF-01", "RP-23", "RP-28", "BX-02")
async def test_settings_are_changed_and_checked(nodes: Nodes) -> None:
    """Every section saves as an op; what cannot be is a sentence and changes nothing."""
    cafe = nodes.server.tables.table("settings")

    def now() -> dict[str, Any]:
        row = cafe.row("cafe")
        assert row is not None
        return row

    async with screen_of(nodes.server) as screen:
        await screen.press(",", ctrl=True)
        await screen.type("settings-name", "Café Nuevo")
        await screen.type("settings-header", "Calle 1\nTel. 22")
        await screen.click("settings-save")
        assert (now()["name"], now()["header"]) == ("Café Nuevo", "Calle 1\nTel. 22")
        await screen.type("settings-time_zone", "Mars/Olympus")
        await screen.click("settings-save")
        assert "Mars/Olympus" in screen.text("problem")
        await screen.click("section-selling")
        await screen.turn("settings-mode", False)
        assert now()["mode"] == 1
        await screen.turn("settings-blind_close", True)
        assert now()["blind_close"] is True
        await screen.type("settings-idle_lock_min", "soon")
        await screen.click("settings-save")
        assert screen.has("problem") and not now().get("idle_lock_s")
        await screen.type("settings-idle_lock_min", "10")
        await screen.type("settings-cash_step", "25")
        await screen.click("settings-save")
        assert (now()["idle_lock_s"], now()["cash_step_minor"]) == (600, 2500)
        await screen.click("section-methods")
        await screen.type("method-name", "Tarjeta de crédito", submit=True)
        await screen.type("method-name", "Credit", submit=True)
        assert [m["method"] for m in now()["methods"]] == ["tarjeta-de-credito", "credit-2"]
        await screen.turn("method-credit-2", False)
        assert [m["active"] for m in now()["methods"]] == [True, False]
        await screen.click("section-cafe")
        await screen.click("language-es")
        await screen.settle(0.3)
        assert screen.shows("Ajustes") and now()["language"] == "es"


@pytest.mark.feature("OP-01", "OP-02")
async def test_people_are_added_and_their_permissions_set_one_by_one(nodes: Nodes) -> None:
    """A role, then single permissions beside it, given and taken back; the last administrator
    stays."""
    async with screen_of(nodes.server) as screen:
        await screen.press(",", ctrl=True)
        await screen.click("section-people")
        await screen.click("person-new")
        await screen.type("person-name", "Noa Ruiz")
        await screen.click("role-cashier")
        await screen.type("person-password", "one-secret")
        await screen.type("person-again", "two-secret", submit=True)
        assert "not the same" in screen.text("problem")
        await screen.type("person-again", "one-secret", submit=True)
        await screen.settle(1.0)
        assert screen.text("saved") == "Noa Ruiz can sign in now"
        found = operators.find(nodes.server.tables, "Noa Ruiz")
        assert found is not None and found[1]["role"] == "cashier"
        key = found[0]

        def may(permission: str) -> bool:
            row = nodes.server.tables.table("operators").row(key)
            assert row is not None
            return operators.may(row, permission)

        await screen.click(f"person-{key}")
        await screen.turn("may-report.all", True)
        await screen.turn("may-drawer.open", False)
        assert may("report.all") and not may("drawer.open")
        await screen.turn("may-report.all", False)
        await screen.turn("may-drawer.open", True)
        assert not may("report.all") and may("drawer.open")
        await screen.click("role-vendor")
        assert not may("box.close")
        await screen.turn("person-enabled", False)
        assert not may("order.place")
        await screen.click(f"person-{nodes.server.operator.hex()}")  # type: ignore[union-attr]
        await screen.click("role-vendor")
        assert screen.has("problem")


@pytest.mark.feature("SY-07", "CF-01")
async def test_backup_and_mirror_are_made_from_the_screen(nodes: Nodes, tmp_path: Any) -> None:
    """A passphrase typed twice, one file, a second folder; each says what came of it."""
    async with screen_of(nodes.server) as screen:
        await screen.press(",", ctrl=True)
        await screen.click("section-safety")
        await screen.type("backup-file", str(tmp_path / "all.zip"), submit=True)
        await screen.settle(0.5)
        assert "passphrase" in screen.text("problem")
        await screen.type("passphrase", "correct horse battery")
        await screen.type("passphrase-again", "correct horse", submit=True)
        assert "not the same" in screen.text("problem")
        await screen.type("passphrase-again", "correct horse battery", submit=True)
        await screen.settle(1.0)
        await screen.type("backup-file", str(tmp_path / "all.zip"), submit=True)
        await screen.settle(1.0)
        assert (tmp_path / "all.zip").stat().st_size > 1000
        await screen.type("mirror-folder", str(tmp_path / "mirror"), submit=True)
        await until(lambda: nodes.server.status()["mirror"] == "following")
        await screen.settle(0.3)
        assert screen.shows("Complete") and "same disk" in screen.text("saved")
        await screen.type("mirror-folder", "", submit=True)
        assert screen.shows("None") and nodes.server.status()["mirror"] == "none"


@pytest.mark.feature("RP-13", "OP-05")
async def test_vendor_sees_their_total_unless_it_is_blind_and_changes_their_password(
    nodes: Nodes,
) -> None:
    """What they collected in the open box, hidden while counts are blind; a new password holds at
    once, also offline."""
    await nodes.server.submit("settings.edit", {"mode": 1})
    await until(lambda: nodes.station.tables.table("settings").row("cafe")["mode"] == 1)  # type: ignore[index]
    await nodes.station.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 2}]})
    async with screen_of(nodes.station) as screen:
        await screen.click("me")
        await screen.settle(0.4)
        assert screen.text("my-total") == "₡1,900"
        await nodes.server.submit("settings.edit", {"blind_close": True})
        await until(lambda: nodes.station.tables.table("settings").row("cafe")["blind_close"])  # type: ignore[index]
        await screen.settle(0.3)
        assert screen.has("my-total-hidden") and not screen.shows("₡1,900")
        nodes.switch.cut()
        await screen.type("password-old", PASSWORD)
        await screen.type("password-new", "another-one")
        await screen.type("password-again", "another")
        await screen.click("password-change")
        assert "not the same" in screen.text("problem")
        await screen.type("password-again", "another-one")
        await screen.type("password-old", "nonsense-here")
        await screen.click("password-change")
        await screen.settle(1.0)
        assert "not right" in screen.text("problem")
        await screen.type("password-old", PASSWORD)
        await screen.click("password-change")
        await screen.settle(1.5)
        assert screen.text("saved").startswith("It is changed")
        await screen.click("sign-out")
        await screen.settle(0.3)
        await screen.type("name", "Lucía Mora")
        await screen.type("password", "another-one", submit=True)
        await screen.settle(1.0)
        assert screen.has("tile-COFFEE")


@pytest.mark.feature("OP-04")
async def test_idle_station_locks_itself_and_keeps_its_basket(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody touches it: it locks; the next person types a password and finds the basket. Who is
    there is not locked out."""
    await add_operator(nodes.server, "Óscar Peña", "vendor", PASSWORD)
    await until(lambda: len(nodes.station.tables.table("operators")) == 3)
    await until(
        lambda: operators.find(nodes.station.tables, "Óscar Peña")[0] in nodes.station._kept_keys()
    )  # type: ignore[index]
    await nodes.server.submit("settings.edit", {"idle_lock_s": 60})
    await until(lambda: nodes.station.tables.table("settings").row("cafe").get("idle_lock_s"))  # type: ignore[union-attr]
    monkeypatch.setattr(shell, "CLOCK_S", 0.05)
    async with screen_of(nodes.station) as screen:
        await screen.click("tile-LATTE")
        await screen.settle(0.3)
        assert screen.has("tile-LATTE")
        shell._touched[nodes.station] -= 61
        await until(lambda: nodes.station.operator is None and screen.has("kept"))
        assert screen.text("kept") == "One line waits in the basket"
        assert screen.find("name").value == "Lucía Mora"
        await screen.type("name", "Óscar Peña")
        await screen.type("password", PASSWORD, submit=True)
        await screen.settle(1.0)
        assert screen.text("total") == "₡1,100"
        await screen.press("L", ctrl=True)
        await screen.settle(0.3)
        assert screen.find("name").value == "Óscar Peña"
        await screen.type("password", PASSWORD, submit=True)
        await screen.settle(1.0)
        await screen.click("charge")
    row = nodes.station.tables.table("orders").all()[0]
    assert row["operator"] == operators.find(nodes.station.tables, "Óscar Peña")[0]  # type: ignore[index]


@pytest.mark.feature("RP-21")
async def test_new_order_sounds_once_if_that_is_wished(nodes: Nodes) -> None:
    """With the setting each new order plays the chime; without it, and for what changes, nothing
    does."""
    order = {"lines": [{"sku": "TEA", "quantity": 1}]}
    async with screen_of(nodes.server) as screen:
        await nodes.station.submit("order.place", order)
        await until(lambda: len(nodes.server.tables.table("orders")) == 1)
        await screen.settle(0.4)
        assert "play" not in screen.calls
        await nodes.server.submit("settings.edit", {"sound": True})
        await nodes.station.submit("order.place", order)
        await until(lambda: len(nodes.server.tables.table("orders")) == 2)
        await screen.settle(0.4)
        assert screen.calls.count("play") == 1
        last = max(nodes.server.tables.table("orders"), key=lambda row: row["seq"])
        await nodes.server.submit("order.collect", {"order": str(last.doc_id)})
        await screen.settle(0.4)
        assert screen.calls.count("play") == 1
    assert sound.chime()[:4] == b"RIFF" and len(sound.chime()) > 10_000


@pytest.mark.feature("RP-08", "RP-09")
async def test_discounts_are_made_and_changed_at_a_station(nodes: Nodes) -> None:
    """A vendor makes one, offline too; a value that is none is told; given no more, it is gone."""
    nodes.switch.cut()
    async with screen_of(nodes.station) as screen:
        await screen.press("F2")
        await screen.click("tab-discounts")
        await screen.click("discount-new")
        await screen.type("discount-name", "Happy hour")
        await screen.type("discount-value", "lots", submit=True)
        assert "Value" in screen.text("problem")
        await screen.type("discount-value", "15", submit=True)
        assert screen.text("saved") == "Saved" and screen.has("discount-S1-D1")
        await screen.click("form-fixed")
        await screen.type("discount-value", "200", submit=True)
        row = nodes.station.tables.table("discounts").row("S1-D1")
        assert row is not None and (row["form"], row["value"]) == ("fixed", 20_000)
        await screen.turn("discount-active", False)
        assert screen.shows("given no more")
    nodes.switch.join()
    nodes.station.client.hurry()
    discounts = nodes.server.tables.table("discounts")
    await until(lambda: (discounts.row("S1-D1") or {"active": True})["active"] is False)


@pytest.mark.feature("RP-30")
async def test_stock_is_counted_by_scans_and_its_difference_is_a_report(nodes: Nodes) -> None:
    """Each scan counts one; a number may be typed; saved, the shelf is what was found."""
    await nodes.server.submit(
        "stock.move", {"sku": "COLA", "direction": "in", "units": 10, "reason": "bought"}
    )
    async with screen_of(nodes.server) as screen:
        await screen.press("F2")
        await screen.click("tab-count")
        await screen.type("count-search", "COLA", submit=True)
        await screen.type("count-search", "cola 600", submit=True)
        assert screen.find("counted-COLA").value == "2"
        await screen.type("count-search", "coffee", submit=True)
        assert "coffee" in screen.text("problem")
        await screen.type("counted-COLA", "8")
        await screen.click("count-save")
        assert "reason" in screen.text("problem").lower()
        await screen.type("count-reason", "Sunday", submit=True)
        assert screen.has("difference-COLA") and screen.shows("-2")
    row = nodes.server.tables.table("stock").row("COLA")
    assert row is not None and row["on_hand"] == 8


@pytest.mark.feature("CF-04")
async def test_catalogue_goes_out_and_comes_in_as_a_file(
    nodes: Nodes, saved: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is read again; a bad row is named with its line, and nothing is taken."""
    chosen: list[tuple[str, bytes] | None] = [
        None,
        ("a.csv", b"sku,name\nA,b\n"),
        ("b.csv", b"\xff"),
    ]

    async def pick(*endings: str) -> tuple[str, bytes] | None:
        assert endings == ("csv",)
        return chosen.pop(0)

    monkeypatch.setattr(files, "pick", pick)
    async with screen_of(nodes.server) as screen:
        await screen.press("F2")
        await screen.click("csv-export")
        data = saved["cabina-catalogue.csv"]
        await screen.click("csv-import")
        assert not screen.has("problem")
        await screen.click("csv-import")
        assert screen.text("problem").startswith("1:")
        await screen.click("csv-import")
        assert "UTF-8" in screen.text("problem")
        chosen.append(("c.csv", data.replace(b"Black coffee", b"Blacker coffee")))
        await screen.click("csv-import")
        await screen.settle(0.3)
        assert screen.has("saved")
    row = nodes.server.tables.table("products").row("COFFEE")
    assert row is not None and row["name"] == "Blacker coffee"


@pytest.mark.feature("BX-04", "RP-28", "BX-06")
async def test_close_declares_methods_and_cash_of_orders_that_are_still_away(
    nodes: Nodes,
) -> None:
    """Slips of a card and cash for orders that are not here are typed apart, and stand in the Z."""
    server, station = nodes.server, nodes.station
    card = [{"method": "card", "name": "Card", "active": True}]
    await server.submit("settings.edit", {"mode": 1, "methods": card})
    await until(lambda: station.tables.table("settings").row("cafe")["mode"] == 1)  # type: ignore[index]
    tea = [{"sku": "TEA", "quantity": 1}]
    payments = [{"method": "card", "amount_minor": 95_000}]
    await station.submit("order.place", {"lines": tea})
    await server.submit("order.place", {"lines": tea, "payments": payments})
    await until(lambda: len(server.tables.table("orders")) == 2)
    nodes.switch.cut()
    await until(lambda: not server.hub.online())
    await station.submit("order.place", {"lines": tea})
    (till,) = server.tables.table("sums").row("1")["tills"]  # type: ignore[index]
    async with screen_of(server) as screen:
        await screen.press("F10")
        await screen.click("cash-close")
        await screen.click("only-total")
        for name, typed in (
            ("total", "0"),
            (f"till:{till}", "950"),
            (f"unsent:{till}", "950"),
            ("method:card", "900"),
        ):
            await screen.click(f"field-{name}")
            for digit in typed:
                await screen.press(digit)
        for _ in range(4):
            await screen.click("forward")
        await screen.settle(0.3)
    z = server.tables.table("boxes").row("1")["z"]  # type: ignore[index]
    assert (z["handed_over_minor"], z["difference_minor"]) == (95_000, 0)
    (card_line,) = (line for line in z["methods"] if line["method"] == "card")
    assert card_line["difference_minor"] == -5_000
    assert z["stations"][0]["head"] >= 1


def test_everything_that_is_shown_by_name_has_its_words() -> None:
    """Kinds of acts, permissions and screens have a name in both languages."""
    names = {f"kind.{kind}" for kind in KINDS} | {f"permission.{name}" for name in permissions()}
    names |= {
        f"screen.{screen.name}"
        for role in (SCREENS, OFF_THE_RAIL)
        for rail in role.values()
        for screen in rail
    }
    for language in ("en", "es"):
        assert names <= set(texts(language))
    assert texts("en").keys() == texts("es").keys()


async def test_low_window_puts_the_rest_behind_more(nodes: Nodes) -> None:
    """At 600 px the rail ends in "More"; every screen is reached from there, and by its key."""
    async with screen_of(nodes.server, width=1024, height=600) as screen:
        assert "rail-more" in screen.keys("rail-") and "rail-settings" not in screen.keys("rail-")
        await screen.click("rail-more")
        assert "more-settings" in screen.keys("more-")
        await screen.click("more-settings")
        assert screen.has("section-cafe")
        await screen.press("3", alt=True)
        assert screen.shows("No orders wait")


async def test_what_the_page_does_by_itself_is_no_touch(nodes: Nodes) -> None:
    """A resize keeps no screen unlocked; a click does."""
    async with screen_of(nodes.station) as screen:
        times: list[float] = []
        activity.watch(screen.page, lambda name: times.append(asyncio.get_running_loop().time()))
        await screen.fire(screen.page, "resize", {"width": 1200, "height": 700})
        assert not times
        await screen.click("tile-TEA")
        assert times
