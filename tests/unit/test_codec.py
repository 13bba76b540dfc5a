"""The decoder: hostile bytes are refused by limit and form before anything is built."""

from __future__ import annotations

import struct

import msgpack
import pytest

from sync.codec import INT_MAX, canonical, pack, unpack, unpack_trusted, written
from sync.errors import Malformed

BAD = {
    "nested arrays": (b"\x91" * 1023 + b"\xc0", "too-deep"),
    "deep arrays": (b"\x91" * 20 + b"\xc0", "too-deep"),
    "an array header of 4 G": (b"\xdd\xff\xff\xff\xff", "too-large"),
    "a map header of 4 G": (b"\xdf\xff\xff\xff\xff", "too-large"),
    "a text header of 4 G": (b"\xdb\xff\xff\xff\xff", "not-msgpack"),
    "ext": (b"\xd4\x05\x00", "bad-type"),
    "an empty ext": (b"\xc7\x00\x05", "bad-type"),
    "a timestamp": (b"\xd6\xff\x00\x00\x00\x01", "bad-type"),
    "a float": (b"\xcb" + struct.pack(">d", 1.5), "bad-type"),
    "NaN": (b"\xcb" + struct.pack(">d", float("nan")), "bad-type"),
    "a float in a map in a list": (msgpack.packb([{"a": [1.5]}]), "bad-type"),
    "a number key": (b"\x81\x01\x01", "bad-type"),
    "a bytes key": (b"\x81\xc4\x01a\x01", "bad-type"),
    "a number that is too long": (b"\xcd\x00\x01", "not-canonical"),
    "a repeated key": (b"\x82\xa1a\x01\xa1a\x02", "not-canonical"),
    "bytes behind the value": (b"\x01\x02", "not-canonical"),
    "a cut value": (b"\x92\x01", "not-msgpack"),
    "no UTF-8": (b"\xa2\xff\xfe", "not-msgpack"),
    "a never used tag": (b"\xc1", "not-msgpack"),
    "2**63": (msgpack.packb(2**63), "out-of-range"),
    "2**63 within": (msgpack.packb({"a": [2**63]}), "out-of-range"),
    "nothing": (b"", "not-msgpack"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.feature("SE-09")
def test_unpack_refuses_what_is_not_canonical_or_too_much(name: str) -> None:
    """Each hostile form has its code."""
    data, code = BAD[name]
    with pytest.raises(Malformed) as caught:
        unpack(data)
    assert caught.value.code == code


@pytest.mark.feature("SE-09")
def test_unpack_refuses_a_frame_of_16_mib() -> None:
    """Size is looked at before anything else."""
    with pytest.raises(Malformed, match="too-large"):
        unpack(b"\x80" * (16 << 20))


def test_unpack_gives_back_what_was_packed() -> None:
    """Plain values go there and back, in their order."""
    value = {"z": [1, -5, INT_MAX, None, True, "ñ", b"\x00"], "a": {}}
    assert unpack(pack(value)) == value
    assert list(unpack(pack(value))) == ["z", "a"]


def test_unpack_trusted_still_refuses_what_is_no_msgpack() -> None:
    """Bytes under a seal may still be cut by a bug; they raise, they do not crash."""
    for data in (b"\xc1", b"\x92\x01", b"\xd4\x05\x00", b""):
        with pytest.raises(Malformed):
            unpack_trusted(data)


def test_canonical_orders_every_map() -> None:
    """Equal values pack to equal bytes, whatever the order they were built in."""
    one, other = {"b": [{"y": 1, "x": 2}], "a": 0}, {"a": 0, "b": [{"x": 2, "y": 1}]}
    assert pack(canonical(one)) == pack(canonical(other))


def test_value_of_ours_is_what_every_decoder_will_give_back() -> None:
    """Tuples turn to lists, bytes stay, floats and dates are refused."""
    value = [("kept", 1, {"a": (1, b"x")})]
    assert written(value) == (pack(value), [["kept", 1, {"a": [1, b"x"]}]])
    assert written((1, "a")) == (pack((1, "a")), [1, "a"])
    for value in ([1.5], {"a": {1: 2}}, [2**63], "\ud800", object()):
        with pytest.raises(Malformed):
            written(value)
