"""Customers: found, made, looked at; their account, its record, and what is done with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

from node.api import ServerNode, SyncError, customers, people, records
from node.api import profiles as profiles_
from ui import files
from ui.components.guard import part
from ui.components.office import (
    Column,
    Row,
    attempt,
    figure,
    head,
    note,
    page,
    pill,
    segments,
    switch,
    table,
)
from ui.components.parts import (
    Focused,
    button,
    card,
    clipped,
    empty,
    field,
    icon_button,
    named,
    text,
)
from ui.keymap import cap
from ui.screens.profiles import profiles
from ui.viewmodels import customers as model
from ui.viewmodels.customers import NEEDS, PERSON, TABS
from ui.viewmodels.sell import change_customer
from ui.viewmodels.session import Session, use_session

MOVEMENTS = ("charged", "purchase", "redeemed", "edited", "locked")


async def _try(s: Session, work: Callable[[], Awaitable[Any]], done: str) -> bool:
    return await attempt(s, s.customers, "customers", work, done)


def _field(s: Session, name: str, shown: str = "", *, on_enter: Any = None, **more: Any) -> Any:
    """A field of the form that is open."""
    form = s.customers

    def changed(e: Any) -> None:
        form.put(name, e.control.value or "")

    return field(
        s,
        key=f"customer-{name}",
        label=s.text(f"customers.{name}"),
        value=form.get(name, shown),
        on_change=changed,
        on_submit=on_enter,
        **more,
    )


def _told(s: Session) -> list[ft.Control]:
    form = s.customers
    words = form.problem or form.saved
    return [note(s, words, bad=bool(form.problem))] if words else []


# --- the list ------------------------------------------------------------------


def _state(s: Session, row: dict[str, Any]) -> str | ft.Control:
    p = s.palette
    if model.is_locked(s.node, row):
        return pill(s, s.text("customers.is_locked"), p.danger.text, p.danger.ground)
    if row["credit"] < 0:
        return pill(s, s.text("customers.in_debt"), p.pending.text, p.pending.ground)
    return ""


def _rows(s: Session) -> ft.Control:
    rows, narrow = [], s.customers.making
    for row in model.found(s.node, s.customers):

        def opened(e: Any, customer: str = row["id"]) -> None:
            s.typing.end()
            s.customers.open(customer)

        name = f"{row['first']} {row['last']}".strip() or row["user"]
        day = model.date_of(row["expires"])
        rows.append(
            Row(
                f"customer-{row['id']}",
                [
                    name,
                    row["user"],
                    _state(s, row),
                    *([] if narrow else [row["profile"], s.text.date(day) if day else ""]),
                    s.text.count(row["points"]),
                    s.text.money(row["credit"]),
                ],
                opened,
            )
        )
    if not rows:
        what = s.text("customers.none")
        return empty(s, ft.Icons.GROUP_ROUNDED, what, s.text("customers.none_next"))
    columns = [
        Column(s.text("customers.name")),
        Column(s.text("customers.user"), 160),
        Column("", 112),
        *(
            []
            if narrow
            else [
                Column(s.text("customers.profile"), 96, roomy=True),
                Column(s.text("customers.expires"), 128, roomy=True),
            ]
        ),
        Column(s.text("customers.points"), 80, right=True),
        Column(s.text("customers.credit"), 112, right=True),
    ]
    return table(s, columns, rows, expand=True)


def _new(s: Session) -> ft.Control:
    form = s.customers
    known = model.active_profiles(s.node)

    async def save(e: Any = None) -> None:
        made: list[Any] = []

        async def work() -> None:
            profile, amount = model.first_charge(s.node, form, s.text)
            made[:] = [await model.create(s.node, form, profile), amount]

        if not await _try(s, work, ""):
            return
        customer, amount = made
        s.typing.end()
        form.open(customer)  # they are made: what fails from here on is told at their account
        if amount:
            await _try(s, lambda: model.charge(s.node, customer, amount), "")
        if not form.problem:
            form.saved = s.text("customers.made")

    if not known:
        what, step = s.text("customers.no_profile"), s.text("customers.no_profile_next")
        return ft.Column([card(s, empty(s, ft.Icons.BADGE_ROUNDED, what, step))], width=400)
    chosen = form.profile or known[0][0]
    parts: list[ft.Control] = [text(s, s.text("customers.new"), "h2")]
    if len(known) > 1:

        def choose(profile: str) -> None:
            form.profile = profile

        parts.append(segments(s, known, chosen, choose, "profile"))
    parts += [
        Focused(lambda box: _field(s, "user", ref=box)),
        _field(s, "first"),
        _field(s, "last"),
        _field(s, "initial", keyboard_type=ft.KeyboardType.NUMBER),
        *[_field(s, name) for name in people.CONTACT],
        *_told(s),
    ]
    column = ft.Column(
        parts, spacing=8, scroll=ft.ScrollMode.AUTO, expand=True,
        horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
    )  # fmt: skip
    buttons = ft.Row(
        [
            button(s, s.text("sell.cancel"), lambda e: form.close(), key="new-cancel", expand=True),
            button(
                s, s.text("customers.make"), save, kind="filled", key="new-save", expand=True,
                disabled=form.busy,
            ),
        ],
        spacing=8,
    )  # fmt: skip
    return card(s, ft.Column([column, buttons], spacing=8, expand=True), width=s.measures.panel)


def _list(s: Session) -> ft.Control:
    form = s.customers

    def searched(e: Any) -> None:
        form.query = e.control.value or ""

    def near(e: Any) -> None:
        form.near = not form.near

    async def export(e: Any) -> None:
        try:
            data = (await s.door.call("export_customers"))["csv"].encode()
        except SyncError as error:
            form.problem = s.text.error(error)
        else:
            await files.save("cabina-customers.csv", data)

    async def bring(e: Any) -> None:
        await _bring(s)

    tools: list[ft.Control] = [
        button(
            s, s.text("customers.near"), near, key="near", kind="tonal" if form.near else "outline"
        )
    ]
    if s.node.role == "server" and s.node.may("customer.balance"):
        tools += [
            icon_button(
                s, ft.Icons.DOWNLOAD_ROUNDED, s.text("customers.export"), export, "customers-export"
            ),
            icon_button(
                s, ft.Icons.UPLOAD_ROUNDED, s.text("customers.import"), bring, "customers-import"
            ),
        ]
    if s.node.may("customer.create"):
        label = s.text("customers.new")
        adder = button(
            s,
            label,
            lambda e: form.new(),
            kind="filled",
            glyph=ft.Icons.PERSON_ADD_ROUNDED,
            key="customer-new",
        )
        tools.append(named("customer-new", label, adder, button=True))
    search = field(
        s,
        key="search",
        hint_text=s.text("customers.search"),
        value=form.query,
        prefix_icon=ft.Icons.SEARCH_ROUNDED,
        expand=True,
        autofocus=not form.making,
        on_change=searched,
    )
    left: list[ft.Control] = [head(s, s.text("screen.customers"), search, *tools)]
    left += [] if form.making else _told(s)
    left.append(_rows(s))
    body: list[ft.Control] = [ft.Column(left, spacing=12, expand=True)]
    if form.making:
        body.append(_new(s))
    return ft.Row(body, spacing=16, expand=True, vertical_alignment=ft.CrossAxisAlignment.STRETCH)


async def _bring(s: Session) -> None:
    """Customers of a file: all of them, or none and why."""
    form = s.customers
    picked = await files.pick("csv")
    if picked is None:
        return
    form.problem = form.saved = ""
    form.busy = True
    try:
        csv = picked[1].decode("utf-8", "replace")
        reason = s.text.say("import.customers")
        done = await s.door.call("import_customers", csv=csv, reason=reason)
    except SyncError as error:
        form.problem = s.text.error(error)
        return
    finally:
        form.busy = False
    if "bad" in done:
        lines = [
            f"{line}: {s.text.say(f'csv.{code}', what=what)}" for line, code, what in done["bad"]
        ]
        more = len(lines) - 5
        form.problem = "\n".join([*lines[:5], *([f"… +{more}"] if more > 0 else [])])
    else:
        form.saved = s.text("customers.brought", count=done["customers"])


# --- one account ---------------------------------------------------------------


def add_credit(s: Session, customer: str) -> None:
    """To the basket, which asks for whom, where that is not known, and how much."""
    if not (s.node.may("credit.topup") and s.node.may("customer.read")):
        return
    s.go("sell")
    customer = customer or s.sell.customer
    if model.account_of(s.node, customer) is None:
        s.sell.ask_customer(profiles_.CREDIT_SKU)
    else:
        change_customer(s.node, s.sell, customer)
        s.sell.ask(profiles_.CREDIT_SKU)


def _face(s: Session, row: dict[str, Any], initials: str) -> ft.Control:
    """The photo, where the server has one, or else the initials."""
    photo = people.photo_of(s.node, row)
    if photo is not None:
        return ft.Image(
            src=photo, width=48, height=48, border_radius=24, fit=ft.BoxFit.COVER, key="photo"
        )
    return ft.Container(
        text(s, initials, "h2", s.palette.on_selected),
        width=48,
        height=48,
        border_radius=24,
        bgcolor=s.palette.selected,
        alignment=ft.Alignment.CENTER,
    )


def _top(s: Session, row: dict[str, Any]) -> ft.Control:
    p, form = s.palette, s.customers
    name = f"{row['first']} {row['last']}".strip() or row["user"]
    initials = "".join(part[0] for part in name.split()[:2]).upper()
    locked = model.is_locked(s.node, row)
    made = s.text.moment(row["created_ms"]).split(" ")[0]
    profile = model.rule_of(s.node, row)["name"]
    words = s.text("customers.since", user=row["user"], profile=profile, day=made)
    state = pill(
        s,
        s.text("customers.is_locked" if locked else "customers.not_locked"),
        p.danger.text if locked else p.printed.text,
        p.danger.ground if locked else p.printed.ground,
    )
    return ft.Row(
        [
            icon_button(
                s,
                ft.Icons.ARROW_BACK_ROUNDED,
                s.text("customers.back"),
                lambda e: form.close(),
                "customers-back",
            ),
            _face(s, row, initials),
            ft.Column(
                [
                    ft.Row([clipped(s, name, "h1", key="customer-title"), state], spacing=8),
                    clipped(s, words, "caption", p.text3),
                ],
                spacing=0,
                expand=True,
            ),
            button(
                s,
                s.text("customers.add_credit"),
                lambda e: add_credit(s, row["id"]),
                kind="filled",
                glyph=ft.Icons.ADD_CARD_ROUNDED,
                key="add-credit",
                key_label=cap("add_credit"),
                disabled=not s.node.may("credit.topup"),
            ),
        ],
        spacing=12,
    )  # fmt: skip


def _figures(s: Session, row: dict[str, Any]) -> ft.Control:
    now_ms = s.node.clock.wall_ms()
    day, rule = model.date_of(row["expires"]), model.rule_of(s.node, row)
    online = s.node.hears_server
    until = s.text("customers.until", day=s.text.date(day)) if day else ""
    if row["bonus"]:
        bonus = s.text("customers.and_bonus", amount=s.text.money(row["bonus"]))
        until = f"{bonus} · {until}" if until else bonus
    as_of = "" if online else s.text("customers.as_of", time=s.text.time(_seen_ms(s)))
    worth = s.text("customers.worth", points=rule["need"], minutes=rule["minutes"])
    redeemed = sum(seconds for seconds, _, _ in row["redeemed"]) // 60
    promotions = model.time_left_s(row, now_ms) // 60
    passes = [one for one in row["passes"] if one["active"] and one["to_ms"] > now_ms]
    ends = s.text("customers.pass_until", at=s.text.moment(passes[0]["to_ms"])) if passes else ""
    minutes = s.text("customers.minutes", count=promotions)
    return ft.Row(
        [
            figure(s, s.text("customers.credit"), s.text.money(row["credit"]),
                   " · ".join(filter(None, (until, as_of))), key="figure-credit"),
            figure(s, s.text("customers.points"), s.text.count(row["points"]), worth,
                   key="figure-points"),
            figure(s, s.text("customers.redeemed"), s.text("customers.minutes", count=redeemed),
                   s.text("customers.nobody_edits"), key="figure-redeemed"),
            figure(s, s.text("customers.promotions"), minutes, ends, key="figure-promotions"),
        ],
        spacing=12,
    )  # fmt: skip


def _seen_ms(s: Session) -> int:
    since = s.node.status().get("offline_since_ms")
    return int(since or s.node.clock.wall_ms())


def _tracking(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    form = s.customers

    async def export(e: Any) -> None:
        data = people.tracking_csv(s.node, row["id"]).encode("utf-8-sig")
        await files.save(f"cabina-{row['user']}.csv", data)

    def choose(what: str) -> None:
        form.what = what

    options = [("", s.text("customers.all"))]
    options += [(what, s.text(f"move.{what}")) for what in MOVEMENTS]
    p, money = s.palette, s.text.money
    rows = []
    found = people.tracking(s.node, row["id"], form.older, what=form.what)
    for one in found:
        credit = one["credit"] + one["bonus"]
        ink = p.collected.text if credit > 0 else p.text
        shown = text(s, f"{'+' if credit > 0 else ''}{money(credit)}", "strong", ink)
        rows.append(
            Row(
                f"move-{one['number']}",
                [
                    one["at"],
                    s.text(f"move.{one['what']}"),
                    one["detail"],
                    one["by"] or s.text("customers.server"),
                    shown if credit else "",
                    f"{one['points']:+d}" if one["points"] else "",
                    money(one["balance"]),
                ],
            )
        )
    columns = [
        Column(s.text.say("track.at"), 136),
        Column(s.text.say("track.what"), 152),
        Column(s.text.say("track.detail")),
        Column(s.text.say("track.by"), 120, roomy=True),
        Column(s.text.say("track.credit"), 112, right=True),
        Column(s.text.say("track.points"), 72, right=True),
        Column(s.text.say("track.balance"), 112, right=True),
    ]
    saver = button(s, "CSV", export, glyph=ft.Icons.DOWNLOAD_ROUNDED, key="tracking-csv")

    def older(e: Any) -> None:
        form.older += model.SHOWN_AT_ONCE

    more = button(s, s.text("customers.older"), older, key="older")
    return [
        ft.Row(
            [ft.Container(segments(s, options, form.what, choose, "what"), expand=True), saver],
            spacing=8,
        ),
        table(s, columns, rows, expand=True, height=40, most=form.older),
        *([more] if len(found) == form.older else []),
    ]


def _data(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    form = s.customers
    contact = people.contact_of(s.node, row)
    shown = {**{name: row[name] for name in people.NAMES}, **contact}

    async def save(e: Any = None) -> None:
        typed = {name: form.typed[name] for name in PERSON if name in form.typed}

        changed: list[bool] = []

        async def work() -> None:
            changed.append(await people.edit(s.node, row["id"], typed))

        if await _try(s, work, s.text("product.saved")):
            form.typed = {}
            form.saved = s.text("product.saved" if changed[0] else "customers.unchanged")

    def settler(name: str, value: str) -> Any:
        async def settle(e: Any) -> None:
            changes = {name: [records.version(row, name), value]}
            body = {"customer": row["id"], "changes": changes}
            await _try(s, lambda: s.node.submit("customer.edit", body), s.text("product.saved"))

        return settle

    async def choose(profile: str) -> None:
        body = {"customer": row["id"], "profile": profile}
        await _try(s, lambda: s.node.submit("customer.profile", body), s.text("product.saved"))

    parts: list[ft.Control] = []
    for name in PERSON:
        parts.append(_field(s, name, shown[name], on_enter=save))
        if name in row["conflicts"] and s.node.role == "server":
            other = row["conflicts"][name][1]
            clear = people.opened(s.node, other) if name in people.CONTACT else other
            parts.append(
                ft.Row(
                    [
                        button(
                            s,
                            s.text("customers.keep", value=shown[name]),
                            settler(name, row[name]),
                            key=f"keep-{name}",
                        ),
                        button(
                            s,
                            s.text("customers.take", value=clear),
                            settler(name, other),
                            kind="accent",
                            key=f"take-{name}",
                        ),
                    ],
                    spacing=8,
                )
            )
    known = model.active_profiles(s.node)
    if len(known) > 1:
        parts.append(segments(s, known, row["profile"], choose, "profile"))

    async def pick(e: Any) -> None:
        found = await files.pick("png", "jpg", "jpeg")
        if found is not None:
            await _try(
                s, lambda: people.set_photo(s.node, row["id"], found[1]), s.text("product.saved")
            )

    async def drop(e: Any) -> None:
        await _try(s, lambda: people.set_photo(s.node, row["id"], b""), s.text("product.saved"))

    photo = [button(s, s.text("customers.photo"), pick, key="photo-pick")]
    if row.get("photo"):
        label = s.text("pins.without")
        photo.append(icon_button(s, ft.Icons.CLOSE_ROUNDED, label, drop, "photo-drop"))
    return [
        *parts,
        ft.Row(photo, spacing=8),
        *_password(s, row),
        _saver(s, s.text("product.save"), save, "data-save"),
    ]


def _password(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    """Whether they have a password; nobody here sets or reads it."""
    node, customer = s.node, row["id"]
    has = customers.has_password(node.tables, customer)
    known = s.text("customers.has_password" if has else "customers.no_password")
    acts: list[ft.Control] = []

    def ask(e: Any) -> None:
        s.customers.sure = True

    def keep(e: Any) -> None:
        s.customers.sure = False

    async def forget(e: Any) -> None:
        s.customers.sure = False
        work = lambda: node.submit("customer.forget", {"customer": customer})  # noqa: E731
        await _try(s, work, s.text("customers.forgot"))

    async def code(e: Any) -> None:
        assert isinstance(node, ServerNode)
        await _try(s, lambda: node.print_code(customer), s.text("product.saved"))

    def enable(e: Any) -> None:
        s.enable_pc(row["user"])

    if has and node.may("customer.password") and s.customers.sure:
        known = s.text("customers.sure_forget")
        acts = [
            button(s, s.text("queue.keep"), keep, key="password-keep"),
            button(s, s.text("customers.forget"), forget, kind="danger", key="password-sure"),
        ]
    elif has and node.may("customer.password"):
        words = s.text("customers.forget")
        acts.append(button(s, words, ask, kind="danger_text", key="password-forget"))
    elif isinstance(node, ServerNode) and node.printer and node.may("customer.password"):
        acts.append(button(s, s.text("customers.new_code"), code, key="password-code"))
    if isinstance(node, ServerNode) and node.may("session.run") and not s.customers.sure:
        acts.append(button(s, s.text("customers.enable"), enable, key="customer-enable"))
    return [ft.Row([text(s, known, "body", s.palette.text2, expand=True), *acts], spacing=8)]


def _saver(s: Session, label: str, act: Any, key: str, kind: str = "filled") -> ft.Control:
    return ft.Row(
        [
            ft.Container(expand=True),
            button(s, label, act, kind=kind, key=key, disabled=s.customers.busy),
        ]
    )


def _balance(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    seen = s.customers.shown or row
    day = model.date_of(seen["expires"])
    sign = "-" if seen["credit"] < 0 else ""

    async def save(e: Any = None) -> None:
        if await _try(
            s, lambda: model.save_balance(s.node, s.customers, s.text), s.text("product.saved")
        ):
            s.customers.typed = {}
            model.remember(s.node, s.customers)

    return [
        text(s, s.text("customers.balance_what"), "body", s.palette.text2),
        _field(s, "credit", f"{sign}{s.text.plain(abs(seen['credit']))}"),
        _field(s, "points", str(seen["points"])),
        _field(s, "expires", day.isoformat() if day else "", hint_text="2027-01-12"),
        _field(s, "reason", on_enter=save),
        _saver(s, s.text("customers.apply"), save, "balance-save"),
    ]


def _lock(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    async def lock(e: Any = None) -> None:
        await _try(s, lambda: model.lock(s.node, s.customers), s.text("customers.locked"))

    async def unlock(e: Any = None) -> None:
        body = {"customer": row["id"]}
        await _try(s, lambda: s.node.submit("customer.unlock", body), s.text("customers.unlocked"))

    if model.is_locked(s.node, row):
        until = row["lock"]["until_ms"]
        words = (
            s.text("customers.locked_until", at=s.text.moment(until))
            if until
            else s.text("customers.locked_forever")
        )
        return [
            text(s, words, "body", key="locked-until"),
            text(s, row["lock"]["reason"], "body", s.palette.text2),
            _saver(s, s.text("customers.unlock"), unlock, "unlock"),
        ]
    return [
        text(s, s.text("customers.lock_what"), "body", s.palette.text2),
        ft.Row([_field(s, "hours", expand=True), _field(s, "days", expand=True)], spacing=8),
        _field(s, "reason", multiline=True, min_lines=2, max_lines=4, height=96),
        _saver(s, s.text("customers.lock"), lock, "lock", "danger"),
    ]


def _redeem(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    form, rule = s.customers, model.rule_of(s.node, row)

    async def redeem(e: Any = None) -> None:
        if await _try(s, lambda: model.redeem(s.node, form), s.text("customers.was_redeemed")):
            form.typed, form.products = {}, {}

    def change(sku: str, by: int) -> Any:
        def changed(e: Any) -> None:
            units = max(0, form.products.get(sku, 0) + by)
            form.products = {**form.products, sku: units}

        return changed

    worth = s.text("customers.worth", points=rule["need"], minutes=rule["minutes"])
    parts: list[ft.Control] = [
        text(s, worth, "body", s.palette.text2),
        _field(s, "points", on_enter=redeem, keyboard_type=ft.KeyboardType.NUMBER),
    ]
    for sku, name, points in model.redeemable(s.node):
        units = form.products.get(sku, 0)
        parts.append(
            ft.Row(
                [
                    clipped(s, name, "strong", expand=True),
                    text(s, s.text("customers.for_points", count=points), "body", s.palette.text2),
                    button(s, "−", change(sku, -1), key=f"redeem-less-{sku}", width=48),
                    text(s, str(units), "h2", width=32, text_align=ft.TextAlign.CENTER),
                    button(s, "+", change(sku, 1), key=f"redeem-more-{sku}", width=48),
                ],
                spacing=4,
            )
        )
    return [*parts, _saver(s, s.text("customers.redeem"), redeem, "redeem")]


def _benefits(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    products = s.node.tables.table("products")

    def turner(one: dict[str, Any]) -> Any:
        async def turned(on: bool) -> None:
            body = {"customer": row["id"], "order": one["order"], "sku": one["sku"], "active": on}
            await _try(s, lambda: s.node.submit("customer.benefit", body), s.text("product.saved"))

        return turned

    parts: list[ft.Control] = []
    for one in (*row["passes"], *row["promotions"]):
        name = str((products.peek(one["sku"]) or {"name": one["sku"]})["name"])
        if "to_ms" in one:
            words = s.text("customers.pass_of", at=s.text.moment(one["to_ms"]))
        else:
            words = s.text("customers.promotion_of", count=one["seconds"] // 60)
        key = f"benefit-{one['sku']}-{one['order'][:8]}"
        parts.append(switch(s, f"{name} · {words}", one["active"], turner(one), key))
    return parts or [text(s, s.text("customers.no_benefits"), "body", s.palette.text2)]


def _transfer(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    async def give(e: Any = None) -> None:
        if await _try(
            s, lambda: model.transfer(s.node, s.customers, s.text), s.text("customers.transferred")
        ):
            s.customers.typed = {}

    return [
        _field(s, "to"),
        _field(s, "amount", on_enter=give, keyboard_type=ft.KeyboardType.NUMBER),
        _saver(s, s.text("customers.transfer"), give, "transfer"),
    ]


def _delete(s: Session, row: dict[str, Any]) -> list[ft.Control]:
    form = s.customers

    def deleter(credit: str) -> Any:
        async def act(e: Any = None) -> None:
            name = row["user"]
            if await _try(s, lambda: model.delete(s.node, form, credit), ""):
                form.close()
                form.saved = s.text("customers.deleted", name=name)

        return act

    left = max(0, row["credit"])
    words = s.text("customers.delete_what", amount=s.text.money(left))
    parts: list[ft.Control] = [text(s, words, "body", s.palette.text2)]
    if row["credit"] < 0:
        owed = s.text("customers.write_off", amount=s.text.money(-row["credit"]))
        parts.append(
            switch(s, owed, form.write_off, lambda on: setattr(form, "write_off", on), "write-off")
        )
    parts.append(_field(s, "reason"))
    if left:
        if s.node.role == "server":
            parts.append(
                _saver(s, s.text("customers.pay_out"), deleter("refund"), "delete-refund", "danger")
            )
        words = s.text("customers.forfeit")
    else:
        words = s.text("customers.delete")
    return [*parts, _saver(s, words, deleter("forfeit"), "delete-forfeit", "danger")]


FORMS = {
    "data": _data,
    "balance": _balance,
    "lock": _lock,
    "redeem": _redeem,
    "benefits": _benefits,
    "transfer": _transfer,
    "delete": _delete,
}


def _detail(s: Session, row: dict[str, Any]) -> ft.Control:
    form = s.customers
    may = [t for t in TABS if t not in NEEDS or s.node.may(NEEDS[t])]
    tab = form.tab if form.tab in may else "tracking"
    options = [(name, s.text(f"customers.tab_{name}")) for name in may]

    def show(name: str) -> None:
        form.show(name)
        if name == "balance":
            model.remember(s.node, form)

    parts: list[ft.Control] = [
        _top(s, row),
        _figures(s, row),
        segments(s, options, tab, show, "tab"),
    ]
    if tab == "tracking":
        parts += [*_told(s), *_tracking(s, row)]
    else:
        inside = ft.Column(
            [ft.Container(height=4), *FORMS[tab](s, row), *_told(s)],
            spacing=12,
            scroll=ft.ScrollMode.AUTO,
            horizontal_alignment=ft.CrossAxisAlignment.STRETCH,
        )
        parts.append(card(s, inside, width=560, expand=True))
    return ft.Column(parts, spacing=12, expand=True)


@part
def Customers() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.customers)
    ft.use_state(s.profiles)
    form = s.customers

    def tracking() -> None:
        if form.selected:
            form.show("tracking")

    s.actions["back"] = form.close
    s.actions["tracking"] = tracking
    row = model.account_of(s.node, form.selected) if form.selected else None
    if row is not None:
        return page(s, _detail(s, row))
    if form.selected and s.node.tables.table("customers").peek(form.selected) is not None:
        gone = empty(
            s, ft.Icons.PERSON_OFF_ROUNDED, s.text("sell.gone"), s.text("customers.none_next")
        )
        back = button(s, s.text("customers.back"), lambda e: form.close(), key="customers-back")
        return page(s, ft.Row([back]), gone)
    names = ["people"]
    if s.node.role == "server" and s.node.may("profile.edit"):
        names += ["profiles", "offers"]
    elif s.node.may("points.settings"):
        names.append("points")
    tab = s.profiles.tab if s.profiles.tab in names else "people"
    if len(names) == 1:
        return page(s, _list(s))
    tabs = [(name, s.text(f"customers.{name}")) for name in names]

    def choose(name: str) -> None:
        s.profiles.go(name)

    chooser = segments(s, tabs, tab, choose, "customers-tab")
    body = _list(s) if tab == "people" else profiles(s)
    return page(s, chooser, body)
