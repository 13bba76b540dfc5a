"""The fast way through the decoder and the careful one say the same of every frame."""

from __future__ import annotations

from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from sync.codec import PLAIN, fast_decoder, pack, unpack, whole
from sync.errors import Malformed

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.floats()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=12,
)
FAST = fast_decoder(tuple[whole(), bytes, PLAIN])


def slow(data: bytes) -> Any:
    try:
        return unpack(data)
    except Malformed:
        return None


@given(
    st.integers(0, 2**64 - 1), st.binary(max_size=4), st.dictionaries(st.text(max_size=4), VALUES)
)
def test_fast_decoder_takes_nothing_that_the_careful_one_refuses(
    number: int, blob: bytes, body: dict[str, Any]
) -> None:
    """What it gives is what `unpack` gives; what it is not sure of it leaves alone."""
    data = msgpack.packb([number, blob, body])
    value = FAST(data)
    if value is not None:
        assert list(value) == slow(data)


@given(st.binary(max_size=60))
def test_fast_decoder_is_never_sure_of_noise_that_is_not_canonical(data: bytes) -> None:
    """Random bytes raise nothing but `Malformed`, and both ways agree."""
    value = FAST(data)
    if value is not None:
        assert list(value) == slow(data)


@given(VALUES)
def test_unpack_gives_back_what_is_plain_and_refuses_the_rest(value: Any) -> None:
    """Whatever passes packs to the same bytes again."""
    data = msgpack.packb(value)
    found = slow(data)
    assert found is None or pack(found) == data


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(max_size=40), inner)
        ),
    )
)
def test_pack_writes_what_msgpack_writes(value: Any) -> None:
    """The encoder we chose for its speed gives the reference encoder's bytes."""
    assert pack(value) == msgpack.packb(value)
