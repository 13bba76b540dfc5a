"""The café's settings, its people, its printer and its safety."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import flet as ft

from node.api import SyncError, settings
from ui import files
from ui.components.guard import part
from ui.components.office import head, note, page, pill, segments, switch
from ui.components.office import typed as typed_field
from ui.components.parts import button, card, choice, clipped, field, text
from ui.viewmodels import office as model
from ui.viewmodels.forms import BadField
from ui.viewmodels.office import SECTIONS, SWITCHES, TEXTS
from ui.viewmodels.session import Session, use_session


async def _try(s: Session, work: Callable[[], Awaitable[Any]], done: str) -> bool:
    """Do something; what came of it stands below the form. True if it was done."""
    form = s.office
    form.problem = form.saved = ""
    form.busy = True
    try:
        await work()
    except BadField as bad:
        form.problem = s.text("product.bad", field=s.text(f"settings.{bad.args[0]}"))
    except SyncError as error:
        form.problem = s.text.error(error)
    except (OSError, ValueError) as error:  # a path that is none
        form.problem = s.text("settings.bad_path", what=str(error))
    else:
        form.saved = done
    finally:
        form.busy = False
        form.passphrase = form.passphrase_again = form.password = form.again = ""
    return not form.problem


def _edit(s: Session, values: dict[str, Any]) -> Callable[[], Awaitable[Any]]:
    async def edit() -> None:
        await s.node.submit("settings.edit", values)

    return edit


def _setter(s: Session, name: str) -> Callable[[bool], Any]:
    async def set_it(on: bool) -> None:
        value: Any = (2 if on else 1) if name == "mode" else on
        await _try(s, _edit(s, {name: value}), s.text("settings.saved"))

    return set_it


def _text_field(s: Session, name: str, **more: Any) -> ft.Control:
    form = s.office

    def changed(e: Any) -> None:
        form.typed = {**form.typed, name: e.control.value or ""}

    if name in ("header", "footer"):
        more = {"multiline": True, "min_lines": 2, "max_lines": 4, "height": None, **more}
    return field(
        s,
        key=f"settings-{name}",
        label=s.text(f"settings.{name}"),
        value=form.typed.get(name, model.shown(s.node, s.text, name)),
        on_change=changed,
        **more,
    )


def _save(s: Session) -> ft.Control:
    async def save(e: Any = None) -> None:
        async def work() -> None:
            values = model.changes(s.node, s.office, s.text)
            if values:
                await s.node.submit("settings.edit", values)
            s.office.typed = {}

        await _try(s, work, s.text("settings.saved"))

    return ft.Row(
        [
            ft.Container(expand=True),
            button(s, s.text("product.save"), save, kind="filled", key="settings-save"),
        ]
    )


def _languages(s: Session) -> ft.Control:
    async def choose(name: str) -> None:
        await _try(s, _edit(s, {"language": name}), s.text("settings.saved"))

    languages = [("en", "English"), ("es", "Español")]
    return ft.Row(
        [
            text(s, s.text("settings.language"), "body", expand=True),
            segments(s, languages, s.text.language, choose, "language"),
        ]
    )


def _logo(s: Session) -> ft.Control:
    """The picture at the head of tickets."""
    digest = settings.cafe(s.node.tables).get("logo", "")
    data = s.node.picture(digest)

    async def choose(e: Any) -> None:
        chosen = await files.pick("png", "jpg", "jpeg")
        if chosen is None:
            return

        async def work() -> None:
            await _edit(s, {"logo": await s.node.keep_picture(chosen[1])})()

        await _try(s, work, s.text("settings.saved"))

    async def drop(e: Any) -> None:
        await _try(s, _edit(s, {"logo": ""}), s.text("settings.saved"))

    parts: list[ft.Control] = [text(s, s.text("settings.logo"), "body", expand=True)]
    if data is not None:
        parts.append(ft.Image(src=data, height=56, fit=ft.BoxFit.CONTAIN, key="logo"))
        parts.append(button(s, s.text("product.no_picture"), drop, kind="text", key="logo-drop"))
    words = s.text("product.picture")
    parts.append(button(s, words, choose, glyph=ft.Icons.IMAGE_ROUNDED, key="logo-choose"))
    return ft.Row(parts, spacing=12)


def _cafe(s: Session) -> list[ft.Control]:
    return [
        *[_text_field(s, name) for name in TEXTS["cafe"]],
        _languages(s),
        _logo(s),
        _save(s),
    ]


def _selling(s: Session) -> list[ft.Control]:
    cafe = settings.cafe(s.node.tables)
    mode = switch(
        s, s.text("settings.mode"), cafe.get("mode") == 2, _setter(s, "mode"), "settings-mode"
    )
    return [
        mode,
        text(s, s.text("settings.mode_what"), "caption", s.palette.text3),
        *[
            switch(
                s,
                s.text(f"settings.{name}"),
                settings.is_on(s.node.tables, name),
                _setter(s, name),
                f"settings-{name}",
            )
            for name in SWITCHES["selling"]
        ],
        ft.Divider(height=1),
        *[_text_field(s, name) for name in TEXTS["selling"]],
        _save(s),
    ]


def _methods(s: Session) -> list[ft.Control]:
    known = model.methods(s.node)

    async def add(e: Any = None) -> None:
        async def work() -> None:
            now = model.methods(s.node)
            code = model.method_code(s.office.method, now)
            one = {"method": code, "name": s.office.method.strip(), "active": True}
            await s.node.submit("settings.edit", {"methods": [*now, one]})
            s.office.method = ""

        await _try(s, work, s.text("settings.saved"))

    def turn(code: str) -> Callable[[bool], Any]:
        async def turned(on: bool) -> None:
            now = [{**m, "active": on} if m["method"] == code else m for m in model.methods(s.node)]
            await _try(s, _edit(s, {"methods": now}), s.text("settings.saved"))

        return turned

    rows = [
        switch(s, one["name"], one["active"], turn(one["method"]), f"method-{one['method']}")
        for one in known
    ]
    return [
        text(s, s.text("settings.methods_what"), "caption", s.palette.text3),
        switch_off(s, s.text.say("method.cash")),
        *rows,
        ft.Row(
            [
                typed_field(
                    s,
                    s.office,
                    "method",
                    s.text("settings.method"),
                    key="method-name",
                    on_enter=add,
                    expand=True,
                ),
                button(s, s.text("settings.add"), add, kind="tonal", key="method-add"),
            ],
            spacing=8,
        ),
    ]


def switch_off(s: Session, label: str) -> ft.Control:
    """What is always on."""
    return ft.Row(
        [text(s, label, "body", expand=True), ft.Switch(value=True, disabled=True)], spacing=12
    )


def _printing(s: Session) -> list[ft.Control]:
    form = s.office
    now = s.node.config.printer or ""

    async def save(e: Any = None) -> None:
        async def work() -> None:
            await s.door.call("set_printer", address=form.printer.strip())

        await _try(s, work, s.text("settings.saved"))

    async def test(e: Any = None) -> None:
        form.problem = form.saved = ""
        try:
            form.saved = await model.test_print(s.door, s.text)
        except SyncError as error:
            form.problem = s.text.error(error)

    return [
        text(s, s.text("settings.printer_now", address=now or s.text("settings.none")), "body"),
        typed_field(
            s,
            form,
            "printer",
            s.text("settings.printer"),
            key="printer-address",
            on_enter=save,
            hint_text="tcp://192.168.1.50:9100",
        ),
        text(s, s.text("settings.printer_what"), "caption", s.palette.text3),
        ft.Row(
            [
                button(s, s.text("prints.test"), test, key="printer-test", disabled=not now),
                ft.Container(expand=True),
                button(s, s.text("product.save"), save, kind="filled", key="printer-save"),
            ],
            spacing=8,
        ),
        ft.Divider(height=1),
        *[
            switch(
                s,
                s.text(f"settings.{name}"),
                settings.is_on(s.node.tables, name),
                _setter(s, name),
                f"settings-{name}",
            )
            for name in SWITCHES["printing"]
        ],
    ]


# --- people ------------------------------------------------------------------


def _person_row(s: Session, key: str, row: Any) -> ft.Control:
    role = s.text(f"role.{row['role']}")
    state = "" if row["enabled"] else s.text("people.off")
    on = s.office.person == key
    return choice(s, row["name"], role, state, lambda e: s.office.show(key), f"person-{key}", on=on)


def _roles(s: Session, chosen: str, choose: Callable[[str], Any]) -> ft.Control:
    return segments(s, [(r, s.text(f"role.{r}")) for r in model.ROLES], chosen, choose, "role")


def _new_person(s: Session) -> list[ft.Control]:
    form = s.office

    async def add(e: Any = None) -> None:
        async def work() -> None:
            await s.door.call(
                "add_operator", name=form.name.strip(), role=form.role, password=form.password
            )

        if form.password != form.again:
            form.problem = s.text("people.differ")
            return
        name = form.name.strip()
        if await _try(s, work, s.text("people.added", name=name)):
            saved = form.saved
            form.show("")
            form.saved = saved

    def role(name: str) -> None:
        form.role = name

    return [
        text(s, s.text("people.new"), "h2"),
        typed_field(s, form, "name", s.text("sign_in.name"), key="person-name", autofocus=True),
        _roles(s, form.role, role),
        typed_field(
            s,
            form,
            "password",
            s.text("sign_in.password"),
            key="person-password",
            password=True,
        ),
        typed_field(
            s,
            form,
            "again",
            s.text("people.again"),
            key="person-again",
            password=True,
            on_enter=add,
        ),
        ft.Row(
            [
                ft.Container(expand=True),
                button(
                    s,
                    s.text("settings.add"),
                    add,
                    kind="filled",
                    key="person-add",
                    disabled=form.busy or not form.name.strip(),
                ),
            ]
        ),
    ]


def _person(s: Session, key: str, row: Any) -> list[ft.Control]:
    name = row["name"]

    async def edit(**fields: Any) -> None:
        async def work() -> None:
            await s.node.submit("operator.edit", {"operator": name, **fields})

        await _try(s, work, s.text("settings.saved"))

    async def role(chosen: str) -> None:
        await edit(role=chosen)

    async def enable(on: bool) -> None:
        await edit(enabled=on)

    rows = []
    for permission, has, own in model.permissions_of(row):

        async def turned(on: bool, permission: str = permission) -> None:
            now = s.node.tables.table("operators").row(key) or row
            await edit(**model.with_permission(now, permission, on))

        label = s.text(f"permission.{permission}")
        rows.append(switch(s, f"{label} *" if own else label, has, turned, f"may-{permission}"))
    return [
        text(s, name, "h2"),
        _roles(s, row["role"], role),
        switch(
            s,
            s.text("people.on"),
            row["enabled"],
            enable,
            "person-enabled",
        ),
        text(s, s.text("people.permissions"), "label", s.palette.text3),
        *rows,
    ]


def _people(s: Session) -> list[ft.Control]:
    form = s.office
    people = sorted(s.node.tables.table("operators").scan(), key=lambda one: one[1]["name"])
    rows: list[ft.Control] = [
        button(
            s,
            s.text("people.new"),
            lambda e: form.show("+"),
            kind="tonal",
            glyph=ft.Icons.PERSON_ADD_ROUNDED,
            key="person-new",
        ),
        *[_person_row(s, key, row) for key, row in people],
    ]
    right: list[ft.Control] = []
    if form.person == "+":
        right = _new_person(s)
    elif form.person:
        right = _person(s, form.person, s.node.tables.table("operators").row(form.person))
    stretch = ft.CrossAxisAlignment.STRETCH
    return [
        ft.Row(
            [
                ft.Column(rows, spacing=8, expand=2, horizontal_alignment=stretch),
                ft.Column(right, spacing=12, expand=3, horizontal_alignment=stretch),
            ],
            spacing=24,
            vertical_alignment=ft.CrossAxisAlignment.START,
        )
    ]


# --- backup and mirror -------------------------------------------------------


def _safety(s: Session) -> list[ft.Control]:
    form, p = s.office, s.palette
    state = s.node.status().get("mirror", "none")

    async def passphrase(e: Any = None) -> None:
        if form.passphrase != form.passphrase_again:
            form.problem = s.text("people.differ")
            return

        async def work() -> None:
            await s.door.call("set_passphrase", passphrase=form.passphrase)

        await _try(s, work, s.text("safety.passphrase_set"))

    async def backup(e: Any = None) -> None:
        async def work() -> None:
            await s.door.call("backup", file=form.file.strip())

        await _try(s, work, s.text("safety.backed_up", file=form.file.strip()))

    async def mirror(e: Any = None) -> None:
        folder, made = form.mirror.strip(), {"same_disk": False}

        async def work() -> None:
            made.update(await s.door.call("set_mirror", folder=folder))

        words = s.text("safety.mirror_set" if folder else "safety.mirror_off")
        if await _try(s, work, words) and made["same_disk"]:
            form.saved = s.text("safety.same_disk")

    tint = {"following": p.collected, "none": p.pending, "behind": p.pending}.get(state, p.danger)
    return [
        text(s, s.text("safety.passphrase"), "h2"),
        text(s, s.text("safety.passphrase_what"), "caption", p.text3),
        ft.Row(
            [
                typed_field(
                    s,
                    form,
                    "passphrase",
                    s.text("safety.passphrase"),
                    key="passphrase",
                    password=True,
                    expand=True,
                ),
                typed_field(
                    s,
                    form,
                    "passphrase_again",
                    s.text("people.again"),
                    key="passphrase-again",
                    password=True,
                    expand=True,
                    on_enter=passphrase,
                ),
                button(s, s.text("product.save"), passphrase, key="passphrase-set"),
            ],
            spacing=8,
        ),
        ft.Divider(height=1),
        text(s, s.text("safety.backup"), "h2"),
        ft.Row(
            [
                typed_field(
                    s,
                    form,
                    "file",
                    s.text("safety.file"),
                    key="backup-file",
                    expand=True,
                    on_enter=backup,
                ),
                button(
                    s,
                    s.text("safety.back_up"),
                    backup,
                    kind="tonal",
                    key="backup-now",
                    disabled=form.busy or not form.file.strip(),
                ),
            ],
            spacing=8,
        ),
        ft.Divider(height=1),
        ft.Row(
            [
                text(s, s.text("safety.mirror"), "h2", expand=True),
                pill(s, s.text(f"safety.mirror.{state}"), tint.text, tint.ground),
            ]
        ),
        text(s, s.text("safety.mirror_what"), "caption", p.text3),
        ft.Row(
            [
                typed_field(
                    s,
                    form,
                    "mirror",
                    s.text("safety.folder"),
                    key="mirror-folder",
                    expand=True,
                    on_enter=mirror,
                ),
                button(s, s.text("product.save"), mirror, key="mirror-set", disabled=form.busy),
            ],
            spacing=8,
        ),
    ]


_BODIES = {
    "cafe": _cafe,
    "selling": _selling,
    "methods": _methods,
    "printing": _printing,
    "people": _people,
    "safety": _safety,
}


@part
def Settings() -> ft.Control:
    s = use_session()
    ft.use_state(s.app)
    ft.use_state(s.feed)
    ft.use_state(s.office)
    form = s.office
    sections = [(name, s.text(f"settings.section.{name}")) for name in SECTIONS]
    body = _BODIES[form.section](s)
    wide = form.section == "people"
    parts: list[ft.Control] = [
        head(
            s,
            s.text("screen.settings"),
            segments(s, sections, form.section, form.go, "section"),
            ft.Container(expand=True),
            clipped(s, settings.cafe(s.node.tables).get("currency", ""), "label", s.palette.text3),
        )
    ]
    if form.problem or form.saved:
        parts.append(note(s, form.problem or form.saved, bad=bool(form.problem)))
    if form.busy:
        parts.append(ft.ProgressBar(color=s.palette.accent, bgcolor=s.palette.surface3))
    stretch = ft.CrossAxisAlignment.STRETCH
    inside = card(
        s,
        ft.Column(body, spacing=12, horizontal_alignment=stretch),
        width=960 if wide else 640,
    )
    parts.append(ft.Column([inside], scroll=ft.ScrollMode.AUTO, expand=True))
    return page(s, *parts)
