"""The worked examples' way into the product: each rule of a case is the product's own function.

`run(case)` gives what the product says, in the words of the case's ``then``; a refusal gives
``{"refused": code}``. Nothing is computed here that the product computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from node.cafe import box, discounts, jobs, lines, money, operators, orders, records, refunds
from sync.errors import Refused
from tests.support.cafe import SERVER, Rules

Given = Mapping[str, Any]


def run(case: Mapping[str, Any]) -> dict[str, Any]:
    """What the product makes of one example."""
    try:
        return RULES[case["when"]["rule"]](case["given"], case["when"])
    except Refused as refusal:
        return {"refused": refusal.code}


# --- 1 money -----------------------------------------------------------------


def _split_tax(given: Given, when: Given) -> dict[str, Any]:
    net, tax = money.split_tax(given["gross"], given["bp"])
    return {"net": net, "tax": tax}


def _taxes(given: Given, when: Given) -> dict[str, Any]:
    names = ("bp", "gross", "net", "tax")
    found = money.taxes((gross, bp) for gross, bp in given["lines"])
    return {"result": [dict(zip(names, rate, strict=True)) for rate in found]}


def _pay(given: Given, when: Given) -> dict[str, Any]:
    other = sum(amount for _, amount in given["other"])
    paid = money.pay(given["total"], other, when["tendered"], given["step"], given["mode"])
    return {"cash": paid.cash, "rounding": paid.rounding, "change": paid.change}


def _line_amount(given: Given, when: Given) -> dict[str, Any]:
    return {"result": money.line_amount(given["qty"], given["price"])}


def _refund_units(given: Given, when: Given) -> dict[str, Any]:
    amount = money.refund_units(given["amount"], given["qty"], given["before"], when["units"])
    return {"amount": amount}


def _refund_tax(given: Given, when: Given) -> dict[str, Any]:
    return {"tax": money.refund_tax(given["gross"], given["before"], when["amount"], given["bp"])}


def _refund_cash(given: Given, when: Given) -> dict[str, Any]:
    cash = money.refund_cash(
        given["total"], given["cash_paid"], given["before"], given["given"], when["amount"],
        given["step"], given.get("mode", "half"),
    )  # fmt: skip
    return {"cash": cash}


# --- 2 discounts -------------------------------------------------------------


def _cuts(given: list[Given]) -> list[discounts.Cut]:
    return [(f"d{at}", cut["kind"], cut["value"]) for at, cut in enumerate(given)]


def _ticket(given: Given, when: Given) -> dict[str, Any]:
    gross = [
        (ln["kind"], money.line_amount(ln["qty"], ln["price"]), _cuts(ln["discounts"]))
        for ln in given["lines"]
    ]
    priced = discounts.price(gross, _cuts(when.get("ticket_discounts", [])))
    by_rate = [
        (amount, ln["bp"]) for amount, ln in zip(priced.amounts, given["lines"], strict=True)
    ]
    return {
        "lines": priced.amounts,
        "discount": priced.off_minor,
        "total": priced.total,
        "taxes": _taxes({"lines": by_rate}, {})["result"],
    }


# --- 3 orders ----------------------------------------------------------------


def _order_place(given: Given, when: Given) -> dict[str, Any]:
    state, took_money = orders.placement(
        given["mode"], when["kinds"], node=when.get("node", "station"), online=given["online"],
        on_pc=when.get("on_pc", False),
    )  # fmt: skip
    return {"state": state, "money_taken": took_money}


def _order_act(given: Given, when: Given) -> dict[str, Any]:
    act, reason, desk = when["act"], when.get("reason", ""), when.get("node") != "station"
    if act == "refund":
        refunds.check_sale(given["state"], reason, desk=desk)
        left = refunds.left_of(given["total"], given["refunded"])
        refunded = given["refunded"] + refunds.check_amount(when["amount"], left)
        left = refunds.left_of(given["total"], refunded)
        return {"state": given["state"], "refunded": refunded, "left": left}
    state = orders.check_act(act, given["state"], desk=desk, reason=reason)
    if act == "expire" and not orders.has_expired(given["waited_s"], given["expiry_s"]):
        return {"refused": "too-early"}
    return {"state": state}


def _queue_place(given: Given, when: Given) -> dict[str, Any]:
    waiting = [seq for seq, state in given["orders"] if state == "pending"]
    return {"place": orders.place_among(waiting, when["seq"])}


# --- 4 stock: through a whole café -------------------------------------------


def _stock(given: Given, when: Given) -> dict[str, Any]:
    rules = Rules(mode=2)
    product = {"sku": "BEER", "name": "Beer", "price_minor": 100, "minimum": given["minimum"]}
    rules.do("catalog.import", by="Ada", products=[product], stock={"BEER": given["on_hand"]})
    waiting: list[str] = []
    flags = []
    for at, (what, units) in enumerate(when["events"]):
        order = ""
        if what == "order":
            order = rules.order(lines={"BEER": units})
            waiting.append(order)
        elif what == "release":
            rules.do("order.deny", by="Carl", order=waiting.pop(0), reason="no")
        elif what == "collect":
            rules.do("order.collect", by="Carl", order=waiting.pop(0))
        elif what == "sale":
            order = rules.order(lines={"BEER": units}, at=SERVER, by="Carl")
        else:
            fields = {"sku": "BEER", "direction": what, "units": units, "reason": "x"}
            rules.do("stock.move", by="Vera", **fields)
        if order:
            flags += [[at, code, missing] for _, code, missing in rules.deficits]
    row = rules.row("stock", "BEER")
    low = [sku for sku, _, _ in rules.low_stock()]
    return {
        "on_hand": row["on_hand"],
        "held": row["held"],
        "available": rules.available("BEER"),
        "low": "BEER" in low,
        "flags": flags,
    }


# --- 5 tills and box ---------------------------------------------------------


def _till(given: Given, when: Given) -> dict[str, Any]:
    till = {
        "float": given["float_"],
        "cash": sum(given["sales_cash"]),
        "handed_before": given.get("handed", 0),
    }
    return _short(box.judge_till("x/y", till, when.get("declared"), 0), "difference")


def _short(judged: Mapping[str, Any], *more: str) -> dict[str, Any]:
    return {name: judged[f"{name}_minor"] for name in ("expected", "declared", *more)}


def _box(given: Given, when: Given) -> dict[str, Any]:
    box.check_pendings(given.get("pendings", 0), allowed=False)
    names = {
        "desk_cash": "desk_cash", "mode2_cash": "mode2_cash", "cash_in": "cash_in",
        "cash_out": "cash_out", "refunds": "cash_refunds",
    }  # fmt: skip
    now = box.empty_sums()
    for name, ours in names.items():
        now[ours] = sum(given.get(name, []))
    tills = []
    for at, till in enumerate(given.get("tills", [])):
        now["floats"] += till["float"]
        sums = {"float": till["float"], "cash": sum(till["sales"]), "handed_before": 0}
        tills.append(box.judge_till(str(at), sums, till["declared"], 0))
    leave = when.get("leave", 0)
    settled = box.settle(given["opening"], now, tills, when.get("declared"), leave)
    return {
        **_short(settled, "difference", "withdrawn"),
        "tills_difference": sum(till["difference_minor"] for till in tills),
        "next_opening": settled["leave_minor"],
    }


def _box_of(given: Given, when: Given) -> dict[str, Any]:
    opened = 1 + max(number for number, seq in given["closes"] if seq < when["seq"])
    counted, late = box.counted_in(given["order_box"], opened)
    return {"counted_in": counted, "from_box": late}


def _by_method(given: Given, when: Given) -> dict[str, Any]:
    methods: dict[str, list[int]] = {}
    for method, amount in given["sales"]:
        box.count_method(methods, method, sold=amount)
    for method, amount in when["refunds"]:
        box.count_method(methods, method, refunded=amount)
    names = ("sold", "refunded", "net")
    return {
        one["method"]: {name: one[f"{name}_minor"] for name in names}
        for one in box.judge_methods(methods, ())
    }


# --- 11 prints, scans, recordings --------------------------------------------


def _job_price(given: Given, when: Given) -> dict[str, Any]:
    units, copies = given["units"], given["copies"]
    price = money.job_price(units, copies, given["unit_price"], given.get("step", 1))
    return {"units": units * copies, "price": price}


def _job_act(given: Given, when: Given) -> dict[str, Any]:
    if when["act"] == "pay":
        return {"state": "paid", "flag": jobs.flag_of_payment(given["state"])}
    jobs.check_cancel(given["state"], when["reason"])
    return {"state": "cancelled"}


# --- 13 permissions ----------------------------------------------------------


def _may(given: Given, when: Given) -> dict[str, Any]:
    row = {
        "enabled": given.get("enabled", True),
        "role": given["role"],
        "granted": given.get("grant", []),
        "denied": given.get("deny", []),
    }
    code = operators.may_do(row, when["permission"], desk=given.get("node") != "station")
    return {"refused": code} if code else {"ok": True}


# --- 14 conflicts ------------------------------------------------------------


def _edits(given: Given, when: Given) -> dict[str, Any]:
    row: dict[str, Any] = dict(given["record"])
    outcomes = []
    for op in when["ops"]:
        if op == "delete":
            row["deleted"] = True
            outcomes.append("ok")
            continue
        changes = {field: (seen, value) for field, (seen, value) in op.items()}
        try:
            merged = records.merge(row, changes)
        except Refused as refusal:
            outcomes.append(refusal.code)
            continue
        fact = records.RecordEdited(
            table="x", record="x", values=merged.values, conflicts=merged.conflicts, operator="",
            chain="", seq=1, at_ms=1,
        )  # fmt: skip
        records.apply_values(row, fact)
        outcomes += [f"conflict:{field}" for field in merged.conflicts] or ["ok"]
    return {"record": {field: row[field] for field in given["record"]}, "outcomes": outcomes}


# --- 15 what the server computes again ---------------------------------------


def _recheck(given: Given, when: Given) -> dict[str, Any]:
    paid, quantity = when["price_paid"], when.get("qty", 1)
    doubts, flags = lines.judge_sum(
        given["mode"],
        when["claimed_total"],
        when["own_total"],
        quantity * (paid - given["price_at_base"]),
        quantity * (paid - given["price_now"]),
        given.get("tolerance", 0),
    )
    state, _ = orders.placement(given["mode"], ["product"], node="station", online=True)
    return {"state": "set_aside" if doubts else state, "flags": doubts + flags}


def _sale_right(given: Given, when: Given) -> dict[str, Any]:
    stands, flag = operators.judge_right(given["had_at_base"], given["has_now"], when["base_age_s"])
    return {"state": "collected" if stands else "set_aside", "flags": [flag] if flag else []}


def _clock_flag(given: Given, when: Given) -> dict[str, Any]:
    return {"flag": orders.clock_is_off(when["skew_s"] * 1000)}


def _pulse(given: Given, when: Given) -> dict[str, Any]:
    return {"opens": orders.is_fresh(when["age_s"] * 1000)}


RULES: dict[str, Callable[[Given, Given], dict[str, Any]]] = {
    "box": _box,
    "box_of": _box_of,
    "by_method": _by_method,
    "clock_flag": _clock_flag,
    "edits": _edits,
    "job_act": _job_act,
    "job_price": _job_price,
    "line_amount": _line_amount,
    "may": _may,
    "order_act": _order_act,
    "order_place": _order_place,
    "pay": _pay,
    "pulse": _pulse,
    "queue_place": _queue_place,
    "recheck": _recheck,
    "refund_cash": _refund_cash,
    "refund_tax": _refund_tax,
    "refund_units": _refund_units,
    "sale_right": _sale_right,
    "split_tax": _split_tax,
    "stock": _stock,
    "taxes": _taxes,
    "ticket": _ticket,
    "till": _till,
}
