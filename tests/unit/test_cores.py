"""The station's and the server's core face to face, and what outsiders get from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sync.codec import pack
from sync.errors import Disconnected, Refused, StorageFailed
from sync.identity import Ed25519Signer, hello_text, seal_text
from sync.messages import Ack, ClientHello, Proof, Push, decode, encode
from sync.op import Head, encode_op
from sync.protocol import (
    Act,
    Answered,
    Closed,
    Commit,
    CommitFailed,
    Done,
    Flush,
    Opened,
    Question,
    Receipt,
    Received,
    Send,
    Tick,
)
from tests.support.cores import CAFE, LINK, OPERATOR, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.feature("SY-01", "SY-03")
def test_order_walks_from_the_station_to_the_server_and_back(bench: Bench) -> None:
    """Queued offline, sent on the link, sequenced, folded on both sides to one digest."""
    receipt = bench.act({"id": "a"})
    assert isinstance(receipt, Receipt)
    assert receipt.state == "queued"
    assert bench.replica.view.table("orders").row("a") == {"id": "a"}
    assert bench.replica.unsent == 2  # the chain's opening and the order
    bench.link()
    assert bench.replica.unsent == 0
    assert not bench.replica.pending
    assert bench.hub.view.table("orders").row("a") == {"id": "a"}
    assert bench.hub.view.digest() == bench.replica.view.digest()


@pytest.mark.feature("SY-01")
def test_receipt_comes_only_after_the_commit(bench: Bench) -> None:
    """Shown means kept: until the disk has it, nobody is told."""
    act = Act("t", "order.keep", 1, {"id": "a"}, b"k" * 16)
    assert bench.replica.step(act, bench.now) == []
    effects = bench.replica.step(Flush(), bench.now)
    assert [type(e) for e in effects] == [Commit]


@pytest.mark.feature("SY-09")
def test_failed_commit_takes_everything_back_and_voids_the_key(bench: Bench) -> None:
    """The sale is refused before it is shown, and its op id is never used again."""
    bench.act({"id": "first"})
    chain = bench.replica.author.chain
    act = Act("t", "order.keep", 1, {"id": "a"}, b"k" * 16)
    bench.replica.step(act, bench.now)
    bench.replica.step(Flush(), bench.now)
    effects = bench.replica.step(CommitFailed(StorageFailed("full")), bench.now)
    assert any(isinstance(e, Done) and isinstance(e.result, StorageFailed) for e in effects)
    assert bench.replica.view.table("orders").row("a") is None
    assert bench.replica.author.chain != chain
    bench.act({"id": "b"})
    bench.link()
    assert bench.hub.view.table("orders").row("a") is None
    assert bench.hub.view.table("orders").row("b") == {"id": "b"}


def test_failed_commit_at_the_server_drops_its_links_to_send_again(bench: Bench) -> None:
    """Nothing of the round has happened: view, head and chains are as they were."""
    bench.link()
    bench.act({"id": "a"})
    head, digest = bench.hub.head, bench.hub.view.digest()
    for data in bench.to_hub:
        bench.hub.step(Received(LINK, decode(data)), bench.now)
    effects = bench.hub.step(Flush(), bench.now)
    assert isinstance(effects[0], Commit)
    bench._do(bench.hub, bench.hub.step(CommitFailed(StorageFailed("full")), bench.now))
    assert bench.dropped == ["server-disk"]
    assert (bench.hub.head, bench.hub.view.digest()) == (head, digest)
    bench.to_hub.clear()
    for core in (bench.hub, bench.replica):
        bench.give(core, Closed(LINK))
    bench.link()
    assert bench.hub.view.table("orders").row("a") == {"id": "a"}


@pytest.mark.feature("SY-02")
def test_repeated_push_has_one_effect_and_an_ack_each(bench: Bench) -> None:
    """The same op a thousand times: one effect, a thousand acks."""
    bench.link()
    bench.act({"id": "a"})
    bench.run()
    push, before = bench.pushes[-1], bench.hub.head
    for _ in range(1000):
        bench.push(push)
    assert bench.hub.head == before
    assert not bench.dropped


@pytest.mark.feature("SY-02")
def test_same_key_acts_once(bench: Bench) -> None:
    """Asking again under the same key gives the first receipt's effect, pending or not."""
    bench.act({"id": "a"}, key=b"k" * 16)
    again = bench.act({"id": "b"}, key=b"k" * 16)
    assert again.state == "done-before"
    bench.link()
    again = bench.act({"id": "c"}, key=b"k" * 16)
    assert again.state == "done-before"
    assert again.seq > 0
    assert len(bench.hub.view.table("orders")) == 1


@pytest.mark.feature("SY-05")
def test_bad_op_is_set_aside_and_the_rest_go_on(bench: Bench) -> None:
    """1 bad in 1,000: refused, malformed or unknown, it blocks nobody."""
    bench.link()
    replica = bench.replica
    for number in range(1000):
        kind = "order.mystery" if number == 500 else "order.keep"
        body = {"id": str(number)}
        if number == 500:  # what a patched station would send: past its own rules
            replica.domain.decide = lambda *a: []  # type: ignore[method-assign]
        bench.give(replica, Act("t", kind, 1, body, bench.chance.randbytes(16)))
        if number == 500:
            del replica.domain.decide  # type: ignore[method-assign]
    bench.run()
    assert len(bench.hub.view.table("orders")) == 999
    assert bench.refusals() == ["unknown-kind"]
    assert not replica.pending
    assert bench.hub.view.digest() == replica.view.digest()


def patched(bench: Bench, raws: list[bytes]) -> Push:
    """A push that a patched station makes of any bytes, properly sealed in a chain of its own."""
    chain = bench.replica.keys.node + b"patched!"
    head = Head()
    for raw in raws:
        head = head.next(raw)
    seal = bench.station_key.sign(seal_text(CAFE, chain, head.n, head.hash))
    return Push(chain, 1, raws, seal, b"statioid", 1_000)


def op(bench: Bench, n: int = 1, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "chain": bench.replica.keys.node + b"patched!",
        "n": n,
        "kind": "order.keep",
        "version": 1,
        "body": {"id": f"p{n}"},
        "grant": 0,
        "base": 0,
        "key": bench.chance.randbytes(16),
        "wall_ms": 0,
        "mono_ms": 0,
        "boot": b"statioid",
    }
    return encode_op(**{**values, **changes}).raw


@pytest.mark.feature("SY-05", "SE-09")
def test_malformed_op_gets_an_entry_and_its_neighbours_count(bench: Bench) -> None:
    """Bytes that are no op are refused with their code; what comes behind goes on."""
    bench.link()
    floats = pack([1, bench.replica.keys.node + b"patched!", 2, "k", 1, {}, 0, 0, bytes(16), 0, 0])
    elsewhere = op(bench, 9)
    bench.push(patched(bench, [op(bench, 1), floats, b"\xc1", elsewhere, op(bench, 5)]))
    assert bench.refusals() == ["bad-type", "not-msgpack", "bad-id"]
    assert {str(d.doc_id) for d in bench.hub.view.table("orders")} == {"p1", "p5"}
    assert bench.hub.view.digest() == bench.replica.view.digest()


@pytest.mark.feature("SE-04")
def test_op_that_names_an_operator_without_a_grant_is_refused(bench: Bench) -> None:
    """An outsider's try: it is noted, and nothing is lost."""
    bench.link()
    first = op(bench, 1)
    bench.push(patched(bench, [first, op(bench, 2, grant=1)]))
    assert bench.refusals() == ["no-grant"]
    forged = {"operator": OPERATOR, "until": 1, "signature": bytes(64)}
    chain = bench.replica.keys.node + b"patched2"
    grant = op(bench, 1, chain=chain, kind="grant.open", body=forged)
    acting = op(bench, 2, chain=chain, grant=1)
    head = Head().next(grant).next(acting)
    seal = bench.station_key.sign(seal_text(CAFE, chain, 2, head.hash))
    bench.push(Push(chain, 1, [grant, acting], seal, b"statioid", 1_000))
    assert bench.refusals() == ["no-grant", "bad-grant", "no-grant"]


def test_operators_act_under_the_grant_they_signed(bench: Bench) -> None:
    """One grant an operator and chain; without a sign-in nobody acts in their name."""
    with_nobody = bench.act({"id": "a"}, operator=OPERATOR)
    assert isinstance(with_nobody, Refused)
    assert with_nobody.code == "not-signed-in"
    bench.sign_in()
    bench.act({"id": "a"}, operator=OPERATOR)
    bench.act({"id": "b"}, operator=OPERATOR)
    bench.link()
    kinds = [waiting.kind for waiting in map(_decode, bench.pushes[-1].ops)]
    assert kinds == ["chain.open", "grant.open", "order.keep", "order.keep"]
    assert not bench.refusals()


def _decode(raw: bytes) -> Any:
    from sync.op import decode_op

    return decode_op(raw)


def test_base_may_not_lie_below_what_the_station_had_acknowledged(bench: Bench) -> None:
    """A station cannot act by old prices after it has said that it knows the new ones."""
    bench.link()
    bench.act({"id": "a"})
    bench.run()
    bench.give(bench.replica, Tick())
    bench.run()
    bench.pass_time(120)
    fresh = op(bench, 1, base=0, mono_ms=bench.now.mono_ms)
    push = replace(patched(bench, [fresh]), mono_ms=bench.now.mono_ms)
    bench.push(push)
    assert bench.refusals() == ["bad-base"]
    old = op(bench, 2, base=0, mono_ms=0)
    chain_head = Head().next(fresh).next(old)
    chain = bench.replica.keys.node + b"patched!"
    seal = bench.station_key.sign(seal_text(CAFE, chain, 2, chain_head.hash))
    bench.push(Push(chain, 2, [old], seal, b"statioid", bench.now.mono_ms))
    assert bench.refusals() == ["bad-base"], "an old backlog is not refused for its base"
    above = op(bench, 3, base=10**6)
    chain_head = chain_head.next(above)
    seal = bench.station_key.sign(seal_text(CAFE, chain, 3, chain_head.hash))
    bench.push(Push(chain, 3, [above], seal, b"statioid", bench.now.mono_ms))
    assert bench.refusals() == ["bad-base", "bad-base"]


OUTSIDERS: dict[str, tuple[Any, str]] = {
    "a push before sign-on": (Push(bytes(24), 1, [b"x"], bytes(64), bytes(8), 0), "out-of-turn"),
    "another café": (
        ClientHello(1, b"x" * 16, b"", b"", 0, bytes(16), [], 0, bytes(32)),
        "other-cafe",
    ),
    "another protocol": (
        ClientHello(9, CAFE, b"", b"", 0, bytes(16), [], 0, bytes(32)),
        "bad-protocol",
    ),
    "another node": (
        ClientHello(1, CAFE, b"n" * 16, b"", 0, bytes(16), [], 0, bytes(32)),
        "bad-hello",
    ),
}


@pytest.mark.parametrize("name", OUTSIDERS)
@pytest.mark.feature("SE-02")
def test_outsider_is_turned_away_and_noted(bench: Bench, name: str) -> None:
    """Nothing of theirs is taken, and a person can find it."""
    message, code = OUTSIDERS[name]
    before = bench.hub.head
    bench.give(bench.hub, Opened(LINK, bench.replica.keys.node, b"T" * 32))
    bench.push(message)
    assert bench.dropped == [code]
    assert code in bench.alarms
    assert bench.hub.head == before


@pytest.mark.feature("SE-02")
def test_proof_must_be_the_nodes_own_over_both_nonces_and_certificates(bench: Bench) -> None:
    """A signature by another key, or over other certificates, signs nobody on."""
    bench.give(bench.hub, Opened(LINK, bench.replica.keys.node, b"T" * 32))
    hello = ClientHello(1, CAFE, bench.replica.keys.node, b"", 0, bytes(16), [], 0, bytes(32))
    bench.give(bench.hub, Received(LINK, hello))
    nonce = decode(bench.to_replica[-1]).nonce  # type: ignore[union-attr]
    text = hello_text(CAFE, bench.replica.keys.node, bytes(16) + nonce, b"X" * 32, b"S" * 32)
    bench.give(bench.hub, Received(LINK, Proof(bench.station_key.sign(text), 0, bytes(32), False)))
    assert bench.dropped == ["bad-proof"]
    assert not bench.hub.online()


@pytest.mark.feature("SE-02")
def test_station_signs_on_to_its_own_server_only(bench: Bench) -> None:
    """Another key that answers is turned away, whatever its certificate says."""
    bench.replica.server = Ed25519Signer.generate().public
    bench.link()
    assert "bad-hello" in bench.dropped
    assert not bench.replica.signed_on


def test_push_with_a_seal_that_does_not_fit_is_turned_away(bench: Bench) -> None:
    """Nobody can add to a chain but its node."""
    bench.link()
    push = patched(bench, [op(bench, 1)])
    bench.push(replace(push, seal=bytes(64)))
    assert bench.dropped == ["bad-seal"]
    bench.push(replace(push, chain=b"x" * 24))
    assert bench.dropped[-1] == "bad-push"
    bench.push(replace(push, first_n=5))
    assert bench.dropped[-1] == "gap"
    assert not bench.hub.view.table("orders").all()


def test_station_turns_away_entries_that_are_not_its_servers(bench: Bench) -> None:
    """A changed entry does not fit the seal; a seal of another key is none."""
    bench.link()
    bench.act({"id": "a"})
    bench.hear(bench.hub)
    data = next(d for d in bench.to_replica if decode(d).TAG == 6)
    flipped = data.replace(b"order.keep", b"order.kept")
    bench.to_replica.clear()
    bench.give(bench.replica, Received(LINK, decode(flipped)))
    assert bench.dropped == ["other-history"]
    assert bench.replica.view.cursor < bench.hub.head.n


@pytest.mark.feature("SY-14")
def test_silent_peer_is_dropped(bench: Bench) -> None:
    """A side that owes an answer and says nothing is gone, whatever its socket thinks."""
    bench.give(bench.hub, Opened(LINK, bench.replica.keys.node, b"T" * 32))
    bench.pass_time(4)
    bench.give(bench.hub, Tick())
    assert bench.dropped == ["silence"]
    bench.give(bench.replica, Opened(LINK, bench.hub.keys.node, b"S" * 32))
    bench.pass_time(11)
    bench.give(bench.replica, Tick())
    assert bench.dropped == ["silence", "silence"]


def test_idle_link_is_left_alone(bench: Bench) -> None:
    """Nobody owes anybody anything: an hour of silence is fine, and so is the first order after it."""
    bench.link()
    bench.give(bench.replica, Tick())
    bench.run()
    bench.pass_time(3600)
    bench.act({"id": "a"})
    for core in (bench.hub, bench.replica):
        bench.give(core, Tick())
    bench.run()
    assert not bench.dropped
    assert not bench.replica.pending


def test_acks_of_a_cursor_that_was_never_sent_end_the_link(bench: Bench) -> None:
    """A station cannot claim to know what it was not told."""
    bench.link()
    bench.push(Ack([], 10**6))
    assert bench.dropped == ["bad-cursor"]


def test_question_without_a_link_is_answered_by_disconnected(bench: Bench) -> None:
    """Nothing waits for a network that is not there."""
    effects = bench.replica.step(Question("q", "operator.keys", {}), bench.now)
    assert isinstance(effects[0], Answered)
    assert isinstance(effects[0].result, Disconnected)
    bench.link()
    effects = bench.replica.step(Question("q", "operator.keys", {}), bench.now)
    assert isinstance(effects[0], Send)
    effects = bench.replica.step(Closed(LINK), bench.now)
    assert isinstance(effects[0].result, Disconnected)  # type: ignore[union-attr]


@pytest.mark.feature("SY-04", "SY-02")
def test_backlog_of_thousands_goes_out_in_windows_of_batches(bench: Bench) -> None:
    """However long the station was alone, all is sent with no human step, a window at a time."""
    for number in range(3000):
        bench.give(
            bench.replica,
            Act("t", "order.keep", 1, {"id": str(number)}, number.to_bytes(16, "big")),
        )
    bench.pass_time(30 * 86400)
    bench.link()
    assert max(len(push.ops) for push in bench.pushes) <= 256
    assert len(bench.hub.view.table("orders")) == 3000
    assert not bench.replica.pending
    assert bench.hub.view.digest() == bench.replica.view.digest()


@pytest.mark.feature("SY-04", "SY-02")
def test_runs_of_one_commit_are_told_of_together(bench: Bench) -> None:
    """Of several runs of a chain that one commit made durable its station hears once, by the last
    head; of another chain in it for itself."""
    bench.replica.run_ops = 2
    for number in range(4):
        bench.act({"id": str(number)})
    chain = bench.replica.author.chain
    bench.replica.author.renew()  # as after a start
    bench.act({"id": "in a new chain"})
    bench.meet()
    for core in (bench.hub, bench.replica, bench.hub):  # hello, hello, proof
        bench.hear(core)
    runs = [decode(data) for data in bench.to_hub]
    bench.to_hub.clear()
    assert len(runs) == 4
    for run in runs:
        bench._do(bench.hub, bench.hub.step(Received(LINK, run), bench.now))
    assert not any(isinstance(decode(data), Ack) for data in bench.to_replica)
    bench.flush(bench.hub)
    acks = [ack for ack in map(decode, bench.to_replica) if isinstance(ack, Ack)]
    assert [(told, n) for ack in acks for told, n, _ in ack.heads] == [
        (chain, 5),
        (bench.replica.author.chain, 2),
    ]
    bench.run()
    assert not bench.replica.pending
    assert bench.hub.view.digest() == bench.replica.view.digest()


def test_encoding_of_every_message_goes_there_and_back() -> None:
    """The wire keeps every field."""
    for message in (
        *(m for m, _ in OUTSIDERS.values()),
        Proof(bytes(64), 0, bytes(32), False),
        Ack([], 3),
    ):
        assert decode(encode(message)) == message
