"""The worked examples' way into the product: each rule of a case is the product's own function.

`run(case)` gives what the product says, in the words of the case's ``then``; a refusal gives
``{"refused": code}``. Nothing is computed here that the product computes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from node.cafe import (
    accounts,
    benefits,
    box,
    credit,
    customers,
    discounts,
    jobs,
    lines,
    meter,
    money,
    operators,
    orders,
    pins,
    points,
    records,
    refunds,
)
from sync.errors import Refused
from tests.support.cafe import SERVER, STATION, Rules

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


# --- 6 credit ----------------------------------------------------------------


def _balance(given: Given, prefix: str = "") -> credit.Balance:
    expires = given.get(f"{prefix}expires") or 0
    return credit.Balance(
        given.get(prefix.rstrip("_") or "credit", 0), given.get("bonus", 0), expires
    )


def _topup(given: Given, when: Given) -> dict[str, Any]:
    after = credit.top_up(
        _balance(given), when["amount"], first=given.get("first", False),
        minimum=given.get("minimum_initial", 0), today=given.get("today", 0),
        valid_days=given.get("expiry_days", 0),
    )  # fmt: skip
    return {"credit": after.credit, "bonus": after.bonus, "expires": after.expires or None}


def _expire(given: Given, when: Given) -> dict[str, Any]:
    after, forfeited = credit.expire(_balance(given), when["today"])
    return {"credit": after.credit, "bonus": after.bonus, "forfeited": forfeited}


def _spend(given: Given, when: Given) -> dict[str, Any]:
    after, (of_bonus, of_credit, _) = credit.spend(_balance(given), when["amount"])
    return {
        "credit": after.credit, "bonus": after.bonus, "from_bonus": of_bonus, "from_credit": of_credit,
    }  # fmt: skip


def _refund_topup(given: Given, when: Given) -> dict[str, Any]:
    credit.check_refund(given["credit"], given["paid"], given["refunded"], when["amount"])
    return {"credit": given["credit"] - when["amount"]}


def _transfer(given: Given, when: Given) -> dict[str, Any]:
    source, target = credit.transfer(
        credit.Balance(given["src"], 0, given["src_expires"]),
        credit.Balance(given["dst"], 0, given["dst_expires"]),
        when["amount"],
    )
    return {"src": source.credit, "dst": target.credit, "dst_expires": target.expires}


def _use_buckets(given: Given, when: Given) -> dict[str, Any]:
    used = credit.use_time(
        given["start"], when["seconds"], given["passes"], given["promos"], given["redeemed"]
    )
    return {
        "pass": used.passes,
        "promotion": used.promotion,
        "redeemed": used.redeemed,
        "billed": used.billed_s,
        "billed_at": used.billed,
        "promos_left": used.promotions_left,
        "redeemed_left": used.redeemed_left,
    }


# --- 7 points ----------------------------------------------------------------


def _earn(given: Given, when: Given) -> dict[str, Any]:
    now = points.Points(given["balance"], given["rest"], 1000)
    for amount in when["amounts"]:
        now = points.earn(now, amount, given.get("points", 1), given.get("unit", 1000))
    return {"points": now.balance, "rest": now.rest}


def _redeem_time(given: Given, when: Given) -> dict[str, Any]:
    minutes, taken = points.redeem_time(
        given["balance"], when["points"], given.get("need", 10), given.get("minutes", 60)
    )
    return {"minutes": minutes, "taken": taken, "points": given["balance"] - taken}


def _redeem_product(given: Given, when: Given) -> dict[str, Any]:
    taken = points.redeem_products(given["balance"], [(given["value"], when["qty"])])
    return {"taken": taken, "points": given["balance"] - taken}


def _rescale(given: Given, when: Given) -> dict[str, Any]:
    return {"rest": points.rescale(given["rest"], given["old_unit"], when["new_unit"])}


# --- 8 locks -----------------------------------------------------------------


def _lock_until(given: Given, when: Given) -> dict[str, Any]:
    hours, days = when.get("hours"), when.get("days")
    return {"until": customers.lock_until(given["at"], hours, days, when.get("reason", ""))}


def _locked_at(given: Given, when: Given) -> dict[str, Any]:
    lock = None
    for _, until in given["events"]:
        lock = {"until_ms": (until or 0) * 1000, "reason": ""}
    locked = accounts.is_locked({"lock": lock}, when["now"] * 1000)
    return {"locked": locked, "flags": []}


def _barred(given: Given, when: Given) -> dict[str, Any]:
    return {"barred": when["act"] in customers.BARRED}


# --- 9 PINs ------------------------------------------------------------------


def _pin_step(given: Given, when: Given) -> dict[str, Any]:
    names = {"server": "", "station": "s"}
    holder = names[given.get("holder", "server")]
    state, after = pins.step(when["act"], given["state"], holder, names[when.get("by", "server")])
    return {"state": state, "holder": "station" if after else "server"}


def _pin_valid_through(given: Given, when: Given) -> dict[str, Any]:
    profile = {"validity": given["mode"], "days": given["days"], "last_day": 0}
    return {"through": pins.valid_through(profile, sold_on=when["sold_on"])}


def _pin_use(given: Given, when: Given) -> dict[str, Any]:
    left, taken, state = given["left_s"], [], ""
    for wanted in when["sessions"]:
        some, left, state = pins.use(left, wanted)
        taken.append(some)
    return {"taken": taken, "left_s": left, "state": state}


def _pin_ticket(given: Given, when: Given) -> dict[str, Any]:
    rules = Rules(mode=1)
    rules.pin_profile("HOUR", form="ticket")
    rules.spares(3)
    if given.get("printer") == "off":
        rules.do("printer.note", ready=False)
    rules.order(at=SERVER, by="Carl", lines={"HOUR": 1})
    (job,) = [name for name, row in rules.view.table("prints").scan() if row["what"] == "pin"]
    outcomes = {"failed": "not_started", "ok": "printed", "unknown": "unknown"}
    for result in when["print_results"]:
        rules.do("print.start", job=job)
        rules.do("print.end", job=job, outcome=outcomes[result])
    row = rules.row("prints", job)
    return {
        "pins": len(rules.view.table("pins")),
        "sales": rules.box(1)["sales"],
        "printed": row["state"] == "printed",
        "copies": row["copies"],
        "listed": row["state"] == "unknown",
    }


def _pin_wait(given: Given, when: Given) -> dict[str, Any]:
    return {"wait_s": pins.wait_s(when["wrong"])}


# --- 10 sessions and rates ---------------------------------------------------


def _rate(given: Given) -> meter.Rate:
    return meter.Rate(tuple(meter.Band(*band) for band in given["bands"]), given["minimum"])


def _session_price(given: Given, when: Given) -> dict[str, Any]:
    segments = [meter.Segment(*segment) for segment in given["segments"]]
    rates = {name: _rate(rate) for name, rate in given["rates"].items()}
    zone = _Zone(given.get("offsets", [[0, 0]]))
    seconds, blocks, minor = meter.price(segments, rates, zone)
    return {"seconds": seconds, "blocks": blocks, "price": minor}


def _prepaid_time(given: Given, when: Given) -> dict[str, Any]:
    rate, zone = _rate(given["rate"]), _Zone(given["offsets"])
    seconds, left = meter.prepaid(when["amount"], given["start"], rate, zone)
    return {"seconds": seconds, "left": left}


def _prepaid_end(given: Given, when: Given) -> dict[str, Any]:
    used, returnable = when["used_price"], when["returnable"]
    return {"refund": meter.unused(given["paid"], used, returnable=returnable)}


def _lease(given: Given, when: Given) -> dict[str, Any]:
    billed, flag = meter.lease(given["acked_s"], when["reported_s"], when["elapsed_s"])
    return {"billed_s": billed, "flag": flag}


def _settle(given: Given, when: Given) -> dict[str, Any]:
    now = credit.Balance(given["credit"])
    paid = credit.settle(
        now,
        given["cost"],
        cash=when["cash"],
        max_debt=given["max_debt"] if given["may_debt"] else 0,
    )
    names = ("bonus", "credit", "cash", "debt", "due")
    return dict(zip(names, paid, strict=True))


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


# --- 12 free passes and promotions -------------------------------------------


class _Zone(dt.tzinfo):
    """A zone as its offsets: ``[instant, seconds east]`` from that instant on."""

    def __init__(self, offsets: list[list[int]]) -> None:
        self._offsets = offsets

    def _at(self, instant: float) -> dt.timedelta:
        east = [east for since, east in self._offsets if since <= instant]
        return dt.timedelta(seconds=(east or [self._offsets[0][1]])[-1])

    def utcoffset(self, local: dt.datetime | None) -> dt.timedelta:
        """Of the reading that ``fold`` names, as `zoneinfo` does it."""
        assert local is not None
        naive = local.replace(tzinfo=dt.UTC).timestamp()
        before = [east for since, east in self._offsets if since + east <= naive]
        after = [east for since, east in zip(
            [since for since, _ in self._offsets],
            [self._offsets[max(0, at - 1)][1] for at in range(len(self._offsets))], strict=True)
            if since + east <= naive]  # fmt: skip
        earlier = self._offsets[max(0, len(after) - 1)][1]
        later = self._offsets[max(0, len(before) - 1)][1]
        readings = (earlier, later) if earlier >= later else (later, earlier)
        return dt.timedelta(seconds=readings[local.fold])

    def dst(self, local: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)

    def fromutc(self, moment: dt.datetime) -> dt.datetime:
        return moment + self._at(moment.replace(tzinfo=dt.UTC).timestamp())


def _pass_window(given: Given, when: Given) -> dict[str, Any]:
    offer = {
        "form": given["kind"],
        "until_minute": given.get("until_minute", 0),
        "next_day": given.get("next_day", False),
        "days": given.get("days", 0),
    }
    since, until = benefits.window(offer, when["sold_at"] * 1000, _Zone(given["offsets"]))
    return {"from": since // 1000, "to": until // 1000}


def _promo_split(given: Given, when: Given) -> dict[str, Any]:
    amounts = benefits.split(given["price"], [weight for _, weight in when["parts"]])
    names = [name for name, _ in when["parts"]]
    return {"parts": [[name, part] for name, part in zip(names, amounts, strict=True)]}


def _promo_recharge(given: Given, when: Given) -> dict[str, Any]:
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    pays, gets = when["pays"], when["gets"]
    rules.do("offer.add", by="Ada", sku="MORE", name="More", form="recharge", price_minor=pays,
             gets_minor=gets)  # fmt: skip
    rules.order(at=SERVER, by="Carl", lines={"MORE": 1}, customer=customer)
    row = rules.row("customers", customer)
    return {"credit": row["credit"], "bonus": row["bonus"], "cash": rules.box(1)["cash_minor"]}


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


def _names(given: Given, when: Given) -> dict[str, Any]:
    taken: set[str] = set()
    found = []
    for wanted in when["requests"]:
        name, rename = customers.free_name(wanted, taken.__contains__)
        taken.add(customers.fold_user(name))
        found.append({"name": name, "rename": rename})
    return {"accounts": found}


def _double_redeem(given: Given, when: Given) -> dict[str, Any]:
    rules = Rules(mode=1)
    customer = rules.customer("ana.m", balance={"points": given["balance"]})
    results: list[Any] = []
    for asked in when["asks"]:
        try:
            _, events = rules.outcome("points.redeem", by="Vera", customer=customer, points=asked)
        except Refused as refusal:
            results.append(refusal.code)
        else:
            results.append(events[0][2]["minutes"])
    return {"results": results, "points": rules.row("customers", customer)["points"]}


def _pin_sold_twice(given: Given, when: Given) -> dict[str, Any]:
    """Two copies of one station's disk sold the same card before the server heard of either."""
    rules = Rules(mode=1)
    rules.pin_profile("CARD", price_minor=given["price"])
    rules.pins("CARD", 1, stock=True)
    rules.do("pin.consign", by="Carl", serials=[1], station=STATION.hex())
    line = {"sku": "CARD", "quantity": 1, "price_minor": given["price"], "serials": [1]}
    sold = [
        rules.order(full_lines=[line], cash_minor=given["price"], label=f"{seller}-1")
        for seller in when["sellers"]
    ]
    first = rules.row("pins", "1")["order"]
    flags = [flag for order in sold for flag in rules.row("orders", order)["flags"]]
    return {
        "cash_counted": rules.box(1)["cash_minor"],
        "pin_sold_by": when["sellers"][sold.index(first)],
        "flags": flags,
    }


def _topup_deleted(given: Given, when: Given) -> dict[str, Any]:
    rules = Rules(mode=1)
    customer = rules.customer("ana.m")
    rules.do("customer.delete", by="Ada", customer=customer, credit="forfeit", reason="moved")
    line = {"sku": "C:CREDIT", "quantity": 1, "price_minor": when["amount"]}
    order = rules.order(full_lines=[line], customer=customer)
    (flag,) = rules.row("orders", order)["flags"]
    known = rules.view.table("unclaimed").peek(order)
    account = "unclaimed" if known is not None else "customer"
    return {"cash": rules.box(1)["cash_minor"], "account": account, "flag": flag}


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
    "barred": _barred,
    "box": _box,
    "box_of": _box_of,
    "by_method": _by_method,
    "clock_flag": _clock_flag,
    "double_redeem": _double_redeem,
    "earn": _earn,
    "edits": _edits,
    "expire": _expire,
    "job_act": _job_act,
    "job_price": _job_price,
    "lease": _lease,
    "line_amount": _line_amount,
    "lock_until": _lock_until,
    "locked_at": _locked_at,
    "may": _may,
    "names": _names,
    "order_act": _order_act,
    "order_place": _order_place,
    "pass_window": _pass_window,
    "pay": _pay,
    "pin_sold_twice": _pin_sold_twice,
    "pin_step": _pin_step,
    "pin_ticket": _pin_ticket,
    "pin_use": _pin_use,
    "pin_valid_through": _pin_valid_through,
    "pin_wait": _pin_wait,
    "prepaid_end": _prepaid_end,
    "prepaid_time": _prepaid_time,
    "promo_recharge": _promo_recharge,
    "promo_split": _promo_split,
    "pulse": _pulse,
    "queue_place": _queue_place,
    "recheck": _recheck,
    "redeem_product": _redeem_product,
    "redeem_time": _redeem_time,
    "refund_cash": _refund_cash,
    "refund_tax": _refund_tax,
    "refund_topup": _refund_topup,
    "refund_units": _refund_units,
    "rescale": _rescale,
    "sale_right": _sale_right,
    "session_price": _session_price,
    "settle": _settle,
    "spend": _spend,
    "split_tax": _split_tax,
    "stock": _stock,
    "taxes": _taxes,
    "ticket": _ticket,
    "till": _till,
    "topup": _topup,
    "topup_deleted": _topup_deleted,
    "transfer": _transfer,
    "use_buckets": _use_buckets,
}
