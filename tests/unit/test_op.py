"""Ops, heads and grants."""

from __future__ import annotations

from typing import Any

import pytest

from sync.codec import pack, unpack
from sync.errors import Malformed, Refused
from sync.grant import NO_LIMIT, operator_of, read_grant, sign_grant
from sync.identity import Ed25519Signer, check_public_key, verify_ed25519
from sync.op import Head, Op, decode_op, encode_op, link, sha256

CHAIN, KEY, BOOT, CAFE = b"n" * 16 + b"e" * 8, b"k" * 16, b"b" * 8, b"c" * 16


def make(**changes: Any) -> Op:
    values: dict[str, Any] = {
        "chain": CHAIN,
        "n": 3,
        "kind": "order.place",
        "version": 1,
        "body": {"a": 1},
        "grant": 0,
        "base": 0,
        "key": KEY,
        "wall_ms": 1,
        "mono_ms": 2,
        "boot": BOOT,
    }
    return encode_op(**{**values, **changes})


def test_op_goes_there_and_back_with_its_bytes() -> None:
    """Bytes are kept as they were signed."""
    op = make()
    assert decode_op(op.raw) == op
    assert op.node == CHAIN[:16]


BAD_FIELDS = {
    "format": (0, 2, "bad-format"),
    "short chain": (1, b"n" * 8, "bad-type"),
    "n of 0": (2, 0, "out-of-range"),
    "n that is true": (2, True, "bad-type"),
    "an empty kind": (3, "", "out-of-range"),
    "a long kind": (3, "k" * 41, "out-of-range"),
    "a body that is a list": (5, [], "bad-type"),
    "a grant that is not before": (6, 3, "out-of-range"),
    "a negative base": (7, -1, "out-of-range"),
    "a short key": (8, b"k", "bad-type"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
@pytest.mark.feature("SE-09")
def test_op_with_a_bad_field_is_malformed(name: str) -> None:
    """Every field is checked by type, length and range."""
    at, value, code = BAD_FIELDS[name]
    fields = unpack(make().raw)
    fields[at] = value
    with pytest.raises(Malformed) as caught:
        decode_op(pack(fields))
    assert caught.value.code == code


def test_op_larger_than_the_limit_is_not_made() -> None:
    """What no server would take is refused where it is made."""
    with pytest.raises(Malformed, match="too-large"):
        make(body={"a": "x" * (64 << 10)})


def test_head_needs_only_the_digest_of_a_body() -> None:
    """A body can be erased and the chain still verifies."""
    head = Head().next(b"one").next(b"two")
    assert head == Head(2, link(link(bytes(32), sha256(b"one")), sha256(b"two")))


@pytest.mark.feature("SE-04")
def test_grant_counts_only_with_the_operators_own_signature() -> None:
    """A patched station cannot speak for somebody who never signed in there."""
    key, other = Ed25519Signer.generate(), Ed25519Signer.generate()
    operator = b"o" * 16
    good = make(kind="grant.open", body=sign_grant(key, CAFE, operator, CHAIN, 3, NO_LIMIT))
    assert read_grant(good, CAFE, [key.public], verify_ed25519).operator == operator
    assert read_grant(good, CAFE, [key.public, other.public], verify_ed25519).chain == CHAIN
    wrong: list[tuple[list[bytes], str]] = [([other.public], "bad-grant"), ([], "unknown-operator")]
    for keys, code in wrong:
        with pytest.raises(Refused, match=code):
            read_grant(good, CAFE, keys, verify_ed25519)
    elsewhere = make(n=4, kind="grant.open", body=good.body)
    with pytest.raises(Refused, match="bad-grant"):
        read_grant(elsewhere, CAFE, [key.public], verify_ed25519)
    with pytest.raises(Refused, match="bad-grant"):
        read_grant(
            make(kind="grant.open", body={"operator": 1}), CAFE, [key.public], verify_ed25519
        )


def test_grant_lapses_by_the_monotonic_clock_alone() -> None:
    """No wall clock can stretch a grant."""
    grants = {(CHAIN, 1): (b"o" * 16, 1000)}
    assert operator_of(make(grant=1, mono_ms=1000, wall_ms=10**15), grants) == b"o" * 16
    with pytest.raises(Refused, match="no-grant"):
        operator_of(make(grant=1, mono_ms=1001), grants)
    with pytest.raises(Refused, match="no-grant"):
        operator_of(make(grant=2), grants)
    assert operator_of(make(), grants) is None


SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


@pytest.mark.parametrize("public", SMALL_ORDER)
@pytest.mark.feature("SE-03")
def test_key_of_small_order_or_form_is_not_enrolled(public: str) -> None:
    """With such keys anybody could make signatures that verify."""
    with pytest.raises(Malformed, match="bad-key"):
        check_public_key(bytes.fromhex(public))


@pytest.mark.feature("SE-03")
def test_real_keys_pass_the_key_check() -> None:
    """Keys that the library makes are of full order."""
    for _ in range(5):
        check_public_key(Ed25519Signer.generate().public)
    with pytest.raises(Malformed):
        check_public_key(b"short")
