"""Reports: the same figure everywhere, since all are folds of one log."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.cafe import reports
from node.cafe import settings as cafe
from node.papers import Sheet, write_csv, write_pdf
from sync.errors import Refused
from tests.support.cafe import SERVER, STATION, Rules

HOUR_MS = 3_600_000


def shop() -> Rules:
    rules = Rules(mode=1)
    rules.do("settings.edit", by="Ada", time_zone="America/Costa_Rica",
             methods=[{"method": "card", "name": "Card"}])  # fmt: skip
    wash = {"sku": "WASH", "name": "Wash", "price_minor": 700, "kind": "service"}
    rules.do("catalog.import", by="Ada", products=[wash])
    rules.do("discount.add", by="Ada", discount="TEN", name="Ten", form="percent", value=1000)
    # 2023-11-14 16:13:20 in Costa Rica
    return rules


def all_time(rules: Rules) -> reports.Report:
    return reports.report(rules.view, reports.period(rules.view, "2000-01-01", "2100-01-01"))


@pytest.mark.feature("RE-01", "RP-22")
def test_report_counts_each_sale_once_in_every_dimension() -> None:
    """By vendor, station, product, service, category, hour, day, method, discount and box."""
    rules = shop()
    rules.order(lines={"COFFEE": 2, "WASH": 1}, discounts=[{"discount": "TEN"}])
    rules.order(total_minor=1)  # set aside: it is in no sum
    rules.wall_ms += 2 * HOUR_MS
    card = [{"method": "card", "amount_minor": 350}]
    rules.order(at=SERVER, by="Carl", lines={"CAKE": 1}, payments=card)
    made = all_time(rules)

    def of(dimension: str) -> list[tuple[str, int, int, int]]:
        return [(ln.name, ln.sales, ln.units, ln.sold_minor) for ln in made.lines(dimension)]

    assert of("vendor") == [("Vera", 1, 3, 990), ("Carl", 1, 1, 350)]
    assert of("station") == [("S1 · Patio", 1, 3, 990), ("", 1, 1, 350)]
    assert of("product") == [("Coffee", 1, 2, 360), ("Cake", 1, 1, 350)]
    assert of("service") == [("Wash", 1, 1, 630)]
    assert of("category") == [("", 2, 4, 1340)]
    assert of("hour") == [("16", 1, 3, 990), ("18", 1, 1, 350)]
    assert of("day") == [("2023-11-14", 2, 4, 1340)]
    assert of("method") == [("", 1, 0, 990), ("Card", 1, 0, 350)]
    assert of("discount") == [("Ten", 1, 0, 110)]
    assert of("box") == [("1", 2, 4, 1340)]
    with pytest.raises(Refused, match="bad-field"):
        made.lines("colour")


@pytest.mark.feature("RE-01", "BX-08")
def test_refund_counts_on_its_own_day_and_line() -> None:
    """What goes back is a column of its own; an amount of no line has none."""
    rules = shop()
    order = rules.order(lines={"COFFEE": 2, "WASH": 1})
    rules.wall_ms += 24 * HOUR_MS
    back = {"order": order, "reason": "x"}
    rules.do("sale.refund", by="Ada", **back, lines=[{"line": 0, "units": 1}])
    rules.do("sale.refund", by="Ada", **back, lines=[{"line": 1, "units": 1}])
    rules.do("sale.refund", by="Ada", **back, amount_minor=50)
    made = all_time(rules)
    assert [(ln.key, ln.sold_minor, ln.refunded_minor) for ln in made.lines("day")] == [
        ("2023-11-14", 1100, 0),
        ("2023-11-15", 0, 950),
    ]
    assert [(ln.key, ln.net_minor) for ln in made.lines("product")] == [("COFFEE", 200), ("", -50)]
    assert [ln.net_minor for ln in made.lines("service")] == [0]
    assert made.total.net_minor == 150
    first = reports.period(rules.view, "2023-11-14", "2023-11-14")
    assert reports.report(rules.view, first).total.refunded_minor == 0
    later = reports.period(rules.view, "2023-11-15", "2023-11-15")
    assert reports.report(rules.view, later).total.refunded_minor == 950
    assert reports.vendor_total(rules.view, rules.people["Vera"].hex()) == {
        "collected_minor": 1100, "by_method": {"cash": 1100}, "refunded_minor": 950,
    }  # fmt: skip


@pytest.mark.feature("RE-01")
def test_box_counts_on_the_day_of_its_opening() -> None:
    """What is sold behind midnight belongs to the evening's box by box, and to its own day by day."""
    rules = shop()
    rules.order(lines={"COFFEE": 1})
    rules.wall_ms += 12 * HOUR_MS  # 04:13 of the next day; the box is still open
    rules.order(lines={"COFFEE": 2})
    rules.do("box.close", by="Ada")
    rules.order(lines={"COFFEE": 4})

    def of(day: str, dimension: str) -> list[tuple[str, int, int]]:
        made = reports.report(rules.view, reports.period(rules.view, day, day))
        return [(ln.key, ln.units, ln.sold_minor) for ln in made.lines(dimension)]

    assert of("2023-11-14", "box") == [("1", 3, 600)]
    assert of("2023-11-14", "day") == [("2023-11-14", 1, 200)]
    assert of("2023-11-15", "box") == [("2", 4, 800)]
    assert of("2023-11-15", "day") == [("2023-11-15", 6, 1200)]


@pytest.mark.feature("RE-01")
def test_days_are_those_of_the_cafes_zone() -> None:
    """A day of 23 hours ends at its midnight, wherever the server stands."""
    rules = Rules()
    rules.do("settings.edit", by="Ada", time_zone="Europe/Madrid")
    day = reports.period(rules.view, "2026-03-29", "2026-03-29")
    assert day.end_ms - day.start_ms == 23 * HOUR_MS
    assert cafe.date_at(rules.view, day.start_ms) == dt.date(2026, 3, 29)
    assert cafe.date_at(rules.view, day.start_ms - 1) == dt.date(2026, 3, 28)
    for wrong in (("2026-03-30", "2026-03-29"), ("x", "2026-03-29"), ("0001-01-01", "2026-03-29")):
        with pytest.raises(Refused, match="bad-period"):
            reports.period(rules.view, *wrong)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["desk", "vendor", "refund", "close", "discount"]),
            st.integers(1, 9),
            st.integers(0, 30 * HOUR_MS),
        ),
        max_size=25,
    )
)
@pytest.mark.feature("RE-02", "BX-03", "RP-22")
def test_figures_agree_in_every_view(acts: list[tuple[str, int, int]]) -> None:
    """Sum of the boxes' Zs and the X = report = sum over vendors, days, hours, methods; at any
    moment."""
    rules = shop()
    made: list[str] = []
    for what, number, pause_ms in acts:
        rules.wall_ms += pause_ms
        if what == "desk":
            made.append(rules.order(at=SERVER, by="Carl", lines={"CAKE": number}))
        elif what == "vendor":
            made.append(rules.order(lines={"COFFEE": number, "WASH": 1}))
        elif what == "discount":
            made.append(rules.order(lines={"COFFEE": number}, discounts=[{"discount": "TEN"}]))
        elif what == "close":
            rules.do("box.close", by="Ada")
        elif made:
            try:
                rules.do("sale.refund", by="Ada", order=made[-1], reason="x", amount_minor=number)
            except Refused as refusal:
                assert refusal.code == "out-of-range"  # noqa: PT017 - all of it may be back
    report = all_time(rules)
    total = report.total
    for dimension in ("day", "hour", "vendor", "station", "box"):
        lines = report.lines(dimension)
        assert sum(ln.sold_minor for ln in lines) == total.sold_minor, dimension
        assert sum(ln.refunded_minor for ln in lines) == total.refunded_minor, dimension
        assert sum(ln.sales for ln in lines) == total.sales, dimension
    lines = report.lines("product") + report.lines("service")
    assert sum(ln.net_minor for ln in lines) == total.net_minor
    assert sum(ln.sold_minor for ln in report.lines("method")) == total.sold_minor
    boxes = reports.boxes(rules.view, reports.period(rules.view, "2000-01-01", "2100-01-01"))
    assert sum(one["total_minor"] for one in boxes) == total.sold_minor
    assert sum(one["refunded_minor"] for one in boxes) == total.refunded_minor
    by_box = {ln.key: (ln.sold_minor, ln.refunded_minor) for ln in report.lines("box")}
    for one in boxes:
        expected = by_box.get(str(one["number"]), (0, 0))
        assert (one["total_minor"], one["refunded_minor"]) == expected
    shown = sum(reports.vendor_total(rules.view, who.hex())["collected_minor"]
                for who in rules.people.values())  # fmt: skip
    assert shown == boxes[-1]["total_minor"]
    early = reports.period(rules.view, "2000-01-01", "2000-01-02")
    assert reports.boxes(rules.view, early) == []


def test_report_names_what_is_gone_by_its_code() -> None:
    """A product that nobody knows any more still has its line."""
    rules = Rules(mode=1)
    line = {"sku": "GHOST", "quantity": 1, "price_minor": 5}
    body = {"lines": [line], "total_minor": 5, "mode": 1, "label": "S1-1", "box": 1}
    order = rules.do("order.place", by="Vera", at=STATION, **body)
    rules.do("order.accept", by="Carl", order=order, reason="it was there")
    assert [ln.name for ln in all_time(rules).lines("product")] == ["GHOST"]


# --- papers ------------------------------------------------------------------


@pytest.mark.feature("RE-01")
def test_csv_holds_what_it_was_given_and_no_formula() -> None:
    """A name that begins as a formula does is a text for every spreadsheet."""
    text = write_csv(["a", "b"], [["=1+1", 5], ['x,"y"', -5], ["@z", 0]])
    assert list(csv.reader(io.StringIO(text)))[1:] == [
        ["'=1+1", "5"],
        ['x,"y"', "-5"],
        ["'@z", "0"],
    ]


@pytest.mark.feature("RE-01")
@pytest.mark.parametrize("count", [0, 3, 200])
def test_pdf_is_made_of_any_number_of_rows(count: int) -> None:
    """With a chart where there is something to draw; markup in a name is only text."""
    rows: list[list[Any]] = [[f"<b>{n} & co", "1", "€2"] for n in range(count)]
    bars = [(f"<{n}>", n) for n in range(count)]
    totals = ["Total", "1", "€2"] if count else ()
    sheet = Sheet("Sales <by> day", "Café", ["Day", "Sales", "Net"], rows, totals, bars)
    data = write_pdf(sheet)
    assert data.startswith(b"%PDF-")
    assert data.count(b"/Type /Page\n") >= (2 if count > 100 else 1)
