"""Canonical msgpack with limits: the only way in for bytes from a disk or a network.

Canonical means that packing what was unpacked gives the same bytes: shortest forms, no repeated
keys. Bytes are signed and hashed as they are; nothing is ever packed again to check a signature.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import msgpack
import msgspec

from sync.errors import Malformed

MAX_FRAME_BYTES = 4 << 20
"""Largest frame on the wire and in a log. 256 orders of an offline hour are about 80 KiB."""

MAX_DEPTH = 12
MAX_ITEMS = 4096
INT_MAX = (1 << 63) - 1  # msgpack itself ends at -(1 << 63) below


pack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
"""Encode plain values: None, bool, int, str, bytes, list or tuple, dict with str keys.

msgspec writes the bytes that msgpack writes (a property test compares them), three times faster. It
also writes what is none of these, such as dates: `written` stands where our own rules enter.
"""


def unpack(data: bytes, *, max_bytes: int = MAX_FRAME_BYTES) -> Any:
    """Decode hostile bytes, or raise `Malformed` before anything large is built.

    Codes: ``too-large``, ``too-deep``, ``bad-type`` (floats, ext types, keys that are not text),
    ``out-of-range`` (beyond 64 signed bits), ``not-canonical``, ``not-msgpack``.
    """
    if len(data) > max_bytes:
        raise Malformed("too-large", f"{len(data)} bytes, at most {max_bytes}")
    try:
        value = msgpack.unpackb(
            data,
            strict_map_key=True,
            max_str_len=max_bytes,
            max_bin_len=max_bytes,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
            max_ext_len=0,
            ext_hook=_no_extension,
        )
    except Malformed:
        raise
    except msgpack.exceptions.StackError:
        raise Malformed("too-deep") from None
    except msgpack.exceptions.ExtraData:
        raise Malformed("not-canonical", "bytes behind the value") from None
    except UnicodeDecodeError:
        raise Malformed("not-msgpack", "text that is not UTF-8") from None
    except ValueError as error:
        raise Malformed(*_blame(error)) from None
    _check(value)
    if _BIG.search(data):
        _check_range(value)
    if pack(value) != data:
        raise Malformed("not-canonical")
    return value


def deflate(data: bytes) -> bytes:
    """A zlib stream, of the quickest level: the next one takes twice as long for a tenth less."""
    return zlib.compress(data, 1)


def inflate(data: bytes) -> bytes:
    """What a hostile zlib stream holds, which is at most as long as a frame; `Malformed`
    ``not-zlib``, ``too-large``."""
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(data, MAX_FRAME_BYTES)
    except zlib.error as error:
        raise Malformed("not-zlib", str(error)) from None
    if stream.unconsumed_tail:
        raise Malformed("too-large", "unpacked")
    if not stream.eof or stream.unused_data:
        raise Malformed("not-zlib", "its end")
    return plain


def written(events: Any) -> tuple[bytes, list[Any]]:
    """The bytes of events, and what a decoder makes of them, or `Malformed` if none would take
    them. What rules make of an act at a desk or a station goes through here; what they make of a
    pushed run is only packed."""
    data = packed(events)
    try:
        return data, _decode_plain(data)
    except (msgspec.DecodeError, ValueError):
        return data, unpack(data)


def packed(value: Any) -> bytes:
    """`pack`, with `Malformed` for what cannot be written at all."""
    try:
        return pack(value)
    except (UnicodeEncodeError, OverflowError, TypeError, RecursionError) as error:
        raise Malformed("bad-type", str(error)) from None


def _no_extension(code: int, data: Any) -> NoReturn:
    raise Malformed("bad-type", f"msgpack extension {code}")


def unpack_trusted(data: bytes) -> Any:
    """Decode bytes of our own, or under a seal that was checked; form is not checked again."""
    try:
        return _decode_any(data)
    except Malformed:
        raise
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Malformed("not-msgpack", str(error)) from None


_sized: Any = Annotated
_MOST = msgspec.Meta(max_length=MAX_ITEMS)


def whole(least: int = -(1 << 63)) -> Any:
    """Shape of a whole number from ``least`` up to what 64 signed bits hold."""
    return _sized[int, msgspec.Meta(ge=least, le=INT_MAX)]


def exactly(length: int) -> Any:
    """Shape of so many bytes."""
    return _sized[bytes, msgspec.Meta(min_length=length, max_length=length)]


def text(least: int, most: int) -> Any:
    """Shape of a text of so many characters."""
    return _sized[str, msgspec.Meta(min_length=least, max_length=most)]


def _map_of(value: Any) -> Any:
    return _sized[dict.__class_getitem__((str, value)), _MOST]


def _value_type(depth: int) -> Any:
    """A canonical value without bytes, so many containers deep, as msgspec checks types."""
    leaf: Any = None | bool | str | _sized[int, msgspec.Meta(le=INT_MAX)]
    value: Any = leaf
    for _ in range(depth):
        value = leaf | _sized[list.__class_getitem__(value), _MOST] | _map_of(value)
    return value


PLAIN = _map_of(_value_type(5))
"""Shape of a map of plain values without bytes, as most bodies are."""
PLAIN_LIST = _sized[list.__class_getitem__(_value_type(6)), _MOST]
"""Shape of a list of such values, as most events are."""


_decode_plain = msgspec.msgpack.Decoder(_value_type(6)).decode


UNSURE = (msgspec.DecodeError, ValueError, RecursionError)
"""What a decoder of msgspec raises; text that is no UTF-8 is a ValueError there."""


def decoder_of(shape: Any) -> Callable[[bytes], Any]:
    """A decoder that checks types in the same go, in C, for bytes of our own or under a seal that
    was checked. It raises one of `UNSURE` for what does not fit, and takes any form of msgpack."""
    return msgspec.msgpack.Decoder(shape, ext_hook=_no_extension).decode


def fast_decoder(shape: Any) -> Callable[[bytes], tuple[Any, ...] | None]:
    """A decoder of arrays of one shape that also checks limits, and that the form is canonical.

    A way around `unpack` for what is common and well-formed: it gives the items, or None for
    whatever it is not sure of; that is decoded again by `unpack`, which says what is wrong with it.
    """
    decode = msgspec.msgpack.Decoder(shape).decode

    def fast(data: bytes) -> tuple[Any, ...] | None:
        try:
            value: tuple[Any, ...] = decode(data)
        except UNSURE:
            return None
        return value if pack(value) == data else None

    return fast


def _blame(error: ValueError) -> tuple[str, str]:
    """msgpack says in words which limit was passed; turn that into one of our codes."""
    words = str(error)
    if "exceeds max" in words or "is too large" in words:
        return ("bad-type", "ext") if "ext" in words else ("too-large", words)
    if "not allowed for map key" in words:
        return "bad-type", words
    return "not-msgpack", words


_decode_any = msgspec.msgpack.Decoder(ext_hook=_no_extension).decode


_LEAVES = frozenset({str, bytes, bool, type(None), int})
_ALLOWED = _LEAVES | {dict, list}
_TEXT = {str}
_BIG = re.compile(rb"\xcf[\x80-\xff]")
"""Where an unsigned number of 64 bits may stand that does not fit 64 signed ones."""


def _check(value: Any) -> None:
    """Types and depth, one level after the other, each looked at as a set of types."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        kinds = set(map(type, level))
        if kinds <= _LEAVES:
            return
        if not kinds <= _ALLOWED:
            raise Malformed("bad-type", str(kinds - _ALLOWED))
        below: list[Any] = []
        keys: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict:
                keys += item
                below += item.values()
            elif kind is list:
                below += item
        if keys and set(map(type, keys)) != _TEXT:
            raise Malformed("bad-type", "a key that is not text")
        level = below
    raise Malformed("too-deep")


def _check_range(value: Any) -> None:
    """Whole numbers beyond 64 signed bits; only looked for where the bytes can hold one."""
    if type(value) is int:
        if value > INT_MAX:
            raise Malformed("out-of-range", str(value))
    elif type(value) is dict:
        for item in value.values():
            _check_range(item)
    elif type(value) is list:
        for item in value:
            _check_range(item)


def canonical(value: Any) -> Any:
    """The same value with every map in key order, so that equal values pack to equal bytes."""
    if type(value) is dict:
        return {key: canonical(value[key]) for key in sorted(value)}
    if type(value) in (list, tuple):
        return [canonical(item) for item in value]
    return value
