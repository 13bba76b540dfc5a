"""What a command kind is: its fields, who may do it and where, and the rule that decides it.

Commands are imperative and may be refused; events are past and are only folded. Both are frozen
structs; a kind and its version stand for ever.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import msgspec
import msgspec.inspect
from msgspec import Meta

from sync.domain import Context, Tables
from sync.errors import Refused
from sync.op import Event


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields of a command, checked before any rule sees them."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of an event. Unknown fields are passed over: a newer server may add some."""


Name = Annotated[str, Meta(min_length=1, max_length=80)]
Code = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9._:/+-]+\Z")]
Reason = Annotated[str, Meta(max_length=500)]
Hex = Annotated[str, Meta(max_length=4096, pattern=r"^([0-9a-f]{2})*\Z")]
Quantity = Annotated[int, Meta(ge=1, le=10**6)]
Price = Annotated[int, Meta(ge=0, le=10**9)]
"""Minor units of the café's currency."""
Amount = Annotated[int, Meta(ge=0, le=10**15)]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000)]


class Acting(msgspec.Struct, frozen=True, gc=False):
    """Who acts where, for a rule to judge."""

    context: Context
    operator_id: str
    """Hex id; empty when no person acts."""
    operator: Mapping[str, Any]
    station: Mapping[str, Any]
    """Row of the acting node; empty for the server's desk."""
    station_id: str
    """Hex id of the acting station; empty for the desk."""
    permitted: bool
    """Whether the operator holds the kind's permission now."""

    @property
    def desk(self) -> bool:
        return not self.station


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of kinds; a kind without a row is refused."""

    name: str
    command: type[Command]
    permission: str
    """Empty for what only a node itself does."""
    decide: Callable[[Tables, Any, Acting], list[Event]]
    server_only: bool = False
    judges_right: bool = False
    """The rule itself looks at `Acting.permitted`, since the act took money and must not be
    refused."""
    anyone: bool = False
    """Whoever is signed in may do it, to what is their own."""
    needs_server: bool = False
    """A station does it only while it hears the server."""
    version: int = 1


def read_command(kind: Kind, body: Mapping[str, Any]) -> Any:
    """The command in a body, or `Refused`: ``bad-type``, ``out-of-range``, ``bad-text``, ``bad-
    field``."""
    return read_fields(body, kind.command)


def read_fields(body: Mapping[str, Any], of: type[Command]) -> Any:
    """A command or a part of one, or `Refused` as `read_command` says."""
    try:
        command = msgspec.convert(body, of, strict=True)
    except msgspec.ValidationError as error:
        raise Refused(_code_of(str(error)), what=str(error)) from None
    check = _check_of(of)
    if check is not None:
        check(command)
    return command


def body_of(command: Command) -> dict[str, Any]:
    """A command as it stands in an op: what was not said is left out."""
    usual = _empty_by_default(type(command))
    said: dict[str, Any] = msgspec.to_builtins(command)
    return {
        name: value
        for name, value in said.items()
        if value is not None and (value or name not in usual)
    }


@functools.cache
def _empty_by_default(command: type[Command]) -> frozenset[str]:
    """Fields that are lists, and empty where nothing is said."""
    return frozenset(f.name for f in msgspec.structs.fields(command) if f.default == ())


def _code_of(words: str) -> str:
    """msgspec tells what is wrong in words; ours are codes."""
    if "unknown field" in words or "missing required field" in words:
        return "bad-field"
    if "matching regex" in words:
        return "bad-text"
    if any(sign in words for sign in (">=", "<=", " > ", " < ", "length")):
        return "out-of-range"
    return "bad-type"


_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def check_text(text: str, *, newlines: bool = False) -> None:
    """Refuse (``bad-text``) control, format, surrogate and private-use characters and text that is
    not NFC.

    A product name with ESC p in it would open a drawer; U+202E would make a ticket lie.
    """
    if newlines:
        text = text.replace("\n", "")
    if text.isascii() and text.isprintable():
        return
    if not unicodedata.is_normalized("NFC", text):
        raise Refused("bad-text", text=text[:40])
    for character in text:
        if unicodedata.category(character) in _FORBIDDEN:
            raise Refused("bad-text", text=text[:40])


_MULTILINE = frozenset({"reason", "message", "header", "footer"})
Check = Callable[[Any], None]


@functools.cache
def _check_of(command: type[Command]) -> Check | None:
    """What looks at every free text of a command, and at nothing else; None if it has none."""
    return _check(msgspec.inspect.type_info(command), "")


def _check(of: msgspec.inspect.Type, name: str) -> Check | None:
    match of:
        case msgspec.inspect.StrType(pattern=None):
            return partial(check_text, newlines=name in _MULTILINE)
        case msgspec.inspect.StructType(fields=fields):
            return _check_fields([(f.name, c) for f in fields if (c := _check(f.type, f.name))])
        case msgspec.inspect.VarTupleType(item_type=item):
            return _check_each(_check(item, name))
        case msgspec.inspect.UnionType(types=types):
            (some,) = (t for t in types if not isinstance(t, msgspec.inspect.NoneType))
            check = _check(some, name)
            return (lambda value: None if value is None else check(value)) if check else None
    return None


def _check_fields(checks: list[tuple[str, Check]]) -> Check | None:
    def look(command: Any) -> None:
        for name, check in checks:
            if value := getattr(command, name):
                check(value)

    return look if checks else None


def _check_each(check: Check | None) -> Check | None:
    def look(values: Any) -> None:
        for value in values:
            check(value)  # type: ignore[misc]

    return look if check else None


def tidy(text: str) -> str:
    """Text as it should be at entry: NFC, no blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def event(kind: str, fact: Fact, version: int = 1) -> Event:
    """An event as it stands in the log; its fact is packed as the map of its fields."""
    return [kind, version, fact]


Apply = Callable[[Tables, Any], None]


@dataclass(frozen=True, slots=True)
class EventKind:
    """How one kind of event is read and folded."""

    name: str
    fact: type[Fact]
    apply: Apply
    version: int = 1
    reapply: Apply | None = None
    """How it is folded when a restored server gets it back, if that may meet what its desk has done
    meanwhile."""
