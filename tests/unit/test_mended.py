"""What once went wrong, or would have: each stays mended."""

from __future__ import annotations

import asyncio
import itertools
import random
import zlib
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from node.bootstrap import create_cafe, open_folder
from node.control import LocalDoor
from node.roles.server import ServerNode
from sync.clock import SystemClock
from sync.codec import pack, unpack, unpack_trusted
from sync.domain import Tables
from sync.driver import Driver
from sync.errors import Damaged, Malformed, Refused, StorageFailed
from sync.frames import Seal, entry_frame, op_frame, seal_frame
from sync.identity import Ed25519Signer, canon_text, seal_text, verify_ed25519
from sync.log import CanonChecker, ChainChecker, Log
from sync.messages import ClientHello, Entries
from sync.op import Entry, Head, encode_op
from sync.protocol import (
    Act,
    Closed,
    CommitFailed,
    Drop,
    Flush,
    NodeKeys,
    Opened,
    Received,
    Tick,
)
from sync.recovery import Opened as OpenedCore
from sync.recovery import open_hub, open_replica, save_view
from sync.view import View
from tests.support.cafe import STATION, Rules
from tests.support.cores import CAFE, LINK, OPERATOR, Bench
from tests.support.disks import SimDisk, SimFile
from tests.support.keep import Keep as KeepDomain
from tests.unit.test_cores import op, patched
from tests.unit.test_log import CHAIN, SIGNER, Writer, new_log, recover


@pytest.mark.feature("RP-25", "SE-04")
def test_money_of_an_operator_who_was_disabled_meanwhile_is_set_aside() -> None:
    """Their grant counts, their right does not: what they sold offline is there for a person."""
    rules = Rules(mode=1)
    rules.do("operator.edit", by="Ada", operator="Vera", enabled=False)
    assert rules.cafe.operator_keys(rules.view, rules.people["Vera"])
    order = rules.order()
    assert rules.row("orders", order)["flags"] == ["right-lost"]


@pytest.mark.feature("BX-04")
def test_cash_of_a_set_aside_sale_counts_in_its_till_once() -> None:
    """It lies in the till whatever a person will say; accepting it later does not count it again."""
    rules = Rules(mode=1)
    rules.do("operator.edit", by="Ada", operator="Vera", denied=["order.place"])
    order = rules.order(lines={"CAKE": 1})
    till = f"{rules.people['Vera'].hex()}/{STATION.hex()}"
    assert rules.box(1)["tills"][till]["cash"] == 350
    assert rules.box(1)["total_minor"] == 0
    rules.do("order.accept", by="Carl", order=order, reason="it was sold")
    assert rules.box(1)["tills"][till]["cash"] == 350
    assert rules.box(1)["total_minor"] == 350


def test_cash_is_judged_by_the_rounding_of_its_time() -> None:
    """A new cash step does not turn a sale of before into a wrong one."""
    rules = Rules(mode=1)
    rules.products(GUM=101)
    base = rules.view.cursor
    body = {
        "lines": [{"sku": "GUM", "quantity": 1, "price_minor": 101}],
        "total_minor": 101, "mode": 1, "label": "S1-1", "box": 1,
        "cash_minor": 101, "tendered_minor": 101,
    }  # fmt: skip
    rules.do("settings.edit", by="Ada", cash_step_minor=5, cash_rounding="up")
    late = rules.do("order.place", by="Vera", at=STATION, base=base, **body)
    assert (rules.state(late), rules.row("orders", late)["cash_minor"]) == ("collected", 101)
    now = rules.do("order.place", by="Vera", at=STATION, **body)
    assert rules.row("orders", now)["flags"] == ["cash-differs"]
    assert rules.row("orders", rules.order(lines={"GUM": 1}))["cash_minor"] == 105


def test_station_whose_copy_was_repaired_is_not_refused_for_its_base() -> None:
    """A cursor that fell back at a hello voids what was acknowledged before."""
    bench = Bench()
    bench.link()
    bench.act({"id": "a"})
    bench.run()
    bench.hub._acked_at[bench.replica.keys.node] = [(0, bench.hub.head.n + 5)]
    for core in (bench.hub, bench.replica):
        bench.give(core, Closed(LINK))
    bench.pass_time(120)
    bench.link()
    bench.act({"id": "b"})
    bench.run()
    assert bench.refusals() == []


@pytest.mark.feature("SE-04")
def test_bytes_that_name_another_nodes_chain_touch_nothing_of_it() -> None:
    """A paired station cannot answer, erase or renumber what another one has done."""
    bench = Bench()
    bench.link()
    foreign = bench.hub.keys.node + b"elsewher"
    bench.push(patched(bench, [op(bench, 1, chain=foreign)]))
    assert bench.refusals() == ["bad-id"]
    for view in (bench.hub.view, bench.replica.view):
        assert foreign not in view.chains
        assert view.chains[bench.replica.keys.node + b"patched!"].n == 1
    assert bench.hub.view.digest() == bench.replica.view.digest()


def test_grant_that_was_refused_is_signed_afresh() -> None:
    """One refusal does not leave a station without a voice until the next sign-in."""
    bench = Bench()
    bench.sign_in()
    operators, bench.domain.operators = bench.domain.operators, {}
    bench.act({"id": "a"}, operator=OPERATOR)
    bench.link()
    assert bench.refusals() == ["unknown-operator", "no-grant"]
    bench.domain.operators = operators
    bench.act({"id": "b"}, operator=OPERATOR)
    bench.run()
    assert bench.hub.view.table("orders").row("b") == {"id": "b"}


@pytest.mark.feature("SE-06")
def test_station_that_is_revoked_is_sent_nothing_more() -> None:
    """Its link ends with the commit that revokes it."""
    bench = Bench()
    bench.link()
    bench.domain.revoked.add(bench.replica.keys.node)
    bench.pass_time(1)
    bench.give(bench.hub, Act("t", "order.keep", 1, {"id": "x"}, b"k" * 16))
    assert bench.dropped == ["revoked"]
    assert not bench.to_replica


def test_key_or_chain_of_the_wrong_length_never_gets_into_an_op() -> None:
    """What no decoder would take is refused where it is made."""
    for changes in ({"key": b"x"}, {"chain": b"x"}, {"boot": b"x"}):
        values: dict[str, Any] = {
            "chain": CHAIN, "n": 1, "kind": "k", "version": 1, "body": {}, "grant": 0, "base": 0,
            "key": bytes(16), "wall_ms": 0, "mono_ms": 0, "boot": bytes(8), **changes,
        }  # fmt: skip
        with pytest.raises(Malformed):
            encode_op(**values)
    bench = Bench()
    assert isinstance(bench.act({"id": "a"}, key=b"short"), Malformed)


@pytest.mark.feature("SY-09")
def test_bytes_of_a_failed_commit_that_could_not_be_taken_back_never_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The disk kept them and refused to cut them: the next segment says that they do not count."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    writer.commit()

    def fail(self: SimFile, *args: object) -> None:
        disk.durable["own-000001.log"] += disk.buffered["own-000001.log"]
        disk.buffered["own-000001.log"] = b""
        self.close()
        raise StorageFailed("EIO")

    with monkeypatch.context() as broken:
        broken.setattr(SimFile, "sync", fail)
        broken.setattr(SimFile, "truncate", fail)
        with pytest.raises(StorageFailed):
            writer.commit()
    head = writer.head
    writer.commit(1)
    assert sorted(disk.names()) == ["own-000001.log", "own-000002.log"]
    again, ops = recover(disk)
    assert ops == head.n + 1 == 3
    assert [len(commit.frames) for _, commit in again.commits()] == [4, 3]


def test_log_whose_first_commit_failed_still_says_whose_it_is() -> None:
    """The retry writes the segment's first frame too."""
    disk = SimDisk(random.Random(1), error_rate=1.0)
    writer = Writer(new_log(disk))
    with pytest.raises(StorageFailed):
        writer.commit()
    disk.error_rate = 0.0
    writer.commit()
    assert disk.durable[disk.names()[-1]][16 + 8 + 1] == 6  # the SEGMENT tag of the first frame
    assert recover(disk)[1] == 2


@pytest.mark.feature("SY-08")
def test_recovery_names_the_place_of_damage_in_an_older_segment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Older segments are never cut."""
    monkeypatch.setattr("sync.log.MAX_SEGMENT_BYTES", 600)
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    for _ in range(4):
        writer.commit()
    data = bytearray(disk.durable["own-000001.log"])
    data[100] ^= 1
    disk.durable["own-000001.log"] = bytes(data)
    with pytest.raises(Damaged):
        list(new_log(disk).recover(ChainChecker(CAFE, SIGNER.public, verify_ed25519)))
    assert disk.durable["own-000001.log"] == bytes(data)
    assert Head() == Head(0, bytes(32))


async def _cafe(folder: Path) -> ServerNode:
    return await create_cafe(
        folder, name="T", currency="EUR", language="en", administrator="Ada",
        password="secret-one", printer=None, port=0, remote_pos=True,
    )  # fmt: skip


async def test_bad_certificate_or_sealed_key_keeps_nobody_else_out(tmp_path: Path) -> None:
    """One bad row is passed over, now and at every later start."""
    node = await _cafe(tmp_path)
    key = Ed25519Signer.generate().public.hex()
    await node.submit("station.enrol", {"name": "x", "public_key": key, "certificate": "00"})
    other = Ed25519Signer.generate().public.hex()
    fields = {"name": "Bob", "role": "vendor", "public_key": other, "sealed_key": "00"}
    await node.submit("operator.add", fields)
    assert list(node._keys_for_stations()) == [node.operator.hex() if node.operator else ""]
    await node.stop()
    again = open_folder(tmp_path)
    await again.start()
    await again.sign_in("Ada", "secret-one")
    await again.stop()


@pytest.mark.feature("SE-07")
async def test_wrong_passwords_at_once_count_each(tmp_path: Path) -> None:
    """Guessing in parallel is no way around the wait."""
    node = await _cafe(tmp_path)
    try:
        tries = [node.sign_in("Ada", f"wrong-{n}") for n in range(12)]
        found = await asyncio.gather(*tries, return_exceptions=True)
        codes = [error.code for error in found if isinstance(error, Refused)]
        assert codes == ["wrong-password"] * 5 + ["locked-out"] * 7
    finally:
        await node.stop()


async def test_café_that_could_not_be_made_can_be_made_again(tmp_path: Path) -> None:
    """A name that no ticket could carry is refused, and nothing of the try is left."""
    with pytest.raises(Refused, match="bad-text"):
        await create_cafe(
            tmp_path, name="bad\x1bname", currency="EUR", language="en", administrator="Ada",
            password="secret-one", printer=None, port=0,
        )  # fmt: skip
    node = await _cafe(tmp_path)
    with pytest.raises(Refused, match="bad-field"):
        await LocalDoor(node).call("do", kind="box.close", fields={}, key="ab")
    await node.stop()


async def test_view_file_of_another_log_is_not_believed(tmp_path: Path) -> None:
    """Older logs put back beside a newer view: the log is folded, and nothing is cut."""
    node = await _cafe(tmp_path)
    await node.stop()
    log = tmp_path / "canon-000001.log"
    old = log.read_bytes()
    for _ in range(2):
        again = open_folder(tmp_path)
        await again.start()
        await again.stop()
    log.write_bytes(old)
    again = open_folder(tmp_path)
    assert again._opened.rebuilt == again.tables.cursor > 0
    assert log.read_bytes() == old
    again._blob_disk.close()
    again._disk.close()


async def test_nothing_is_folded_again_after_stops_without_news(tmp_path: Path) -> None:
    """The view file keeps fitting its log, start after start."""
    node = await _cafe(tmp_path)
    await node.stop()
    for _ in range(3):
        again = open_folder(tmp_path)
        assert again._opened.rebuilt == 0
        again._blob_disk.close()
        again._disk.close()
    for _ in range(2):
        again = open_folder(tmp_path)
        await again.start()
        await again.stop()
        assert again._opened.rebuilt == 0


@pytest.mark.feature("SY-15")
def test_backlog_of_long_orders_goes_out_in_pushes_of_bounded_size() -> None:
    """What a push becomes must still fit a frame: pushes are cut by bytes too, and larger ones refused."""
    from sync.messages import PUSH_BYTES, Push, decode, encode

    bench = Bench()
    for number in range(40):
        bench.act({"id": str(number), "text": "x" * 20_000})
    bench.link()
    assert len(bench.hub.view.table("orders")) == 40
    assert bench.replica.unsent == 0
    bench.give(bench.hub, Tick())  # a backlog hears of its outcomes within a second of its end
    bench.run()
    assert not bench.replica.pending
    assert not bench.dropped
    assert max(sum(map(len, push.ops)) for push in bench.pushes) <= PUSH_BYTES
    large = Push(bench.replica.author.chain, 1, [b"x" * 60_000] * 3, bytes(64), bytes(8), 0)
    bench.push(decode(encode(large)))  # type: ignore[arg-type]
    assert bench.dropped == ["bad-push"]


def test_verify_wants_a_seal_of_the_station_behind_its_ops() -> None:
    """A server alone cannot write that a station has sold something."""
    from sync.frames import RUN_SEAL
    from sync.verify import verify_canon

    bench = Bench()
    bench.act({"id": "a"})
    bench.link()

    def verified(log: Log) -> Any:
        return verify_canon(
            log.disk,
            CAFE,
            bench.hub.keys.node,
            bench.server_key.public,
            bench.domain,
            verify_ed25519,
        )

    assert verified(bench.log).problem is None
    forged = Log(SimDisk(random.Random(1)), "canon", CAFE, bench.hub.keys.node)
    for _, commit in bench.log.commits():
        forged.commit([frame for frame in commit.frames if frame[1] not in (RUN_SEAL, 6)])
    found = verified(forged)
    assert found.problem is not None
    assert "no seal of its station" in found.problem.what


@pytest.mark.feature("SY-08")
def test_crash_inside_the_first_commit_of_a_segment_costs_nothing_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is left of the new segment, the one before it counts whole, start after start."""
    monkeypatch.setattr("sync.log.MAX_SEGMENT_BYTES", 600)
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    while len(disk.names()) < 2:
        writer.commit()
    ops = writer.head.n - 2
    second = disk.durable["own-000002.log"]
    first_only = SimDisk(random.Random(1))
    first_only.durable = {"own-000001.log": disk.durable["own-000001.log"]}
    first_only.buffered = {"own-000001.log": b""}
    head = writer_head(first_only)
    for cut in (0, 5, 30, len(second) - 1):
        torn = SimDisk(random.Random(1))
        torn.durable = {**disk.durable, "own-000002.log": second[:cut]}
        torn.buffered = dict.fromkeys(torn.durable, b"")
        log, found = recover(torn)
        assert found == ops
        again = Writer(log)
        again.head = head
        again.commit()
        assert recover(torn)[1] == ops + 2
        assert recover(torn)[1] == ops + 2
    flipped = bytearray(second)
    flipped[40] ^= 1
    hurt = SimDisk(random.Random(1))
    hurt.durable = {**disk.durable, "own-000002.log": bytes(flipped)}
    hurt.buffered = dict.fromkeys(hurt.durable, b"")
    log, found = recover(hurt)
    assert found == ops
    again = Writer(log)
    again.head = head
    again.commit()
    assert recover(hurt)[1] == ops + 2


def writer_head(disk: SimDisk) -> Head:
    checker = ChainChecker(CAFE, SIGNER.public, verify_ed25519)
    for _ in new_log(disk).recover(checker):
        pass
    return checker.head


@pytest.mark.feature("SY-05", "SE-09")
def test_op_with_text_that_is_no_utf8_is_malformed_and_nothing_more() -> None:
    """One bad byte of a paired station is refused; it never reaches past the decoder."""
    good = op(Bench(), 1)
    from sync.op import decode_op

    with pytest.raises(Malformed, match="not-msgpack"):
        decode_op(good.replace(b"order.keep", b"order.k\xff\xfep"))
    fields = unpack(good)
    fields[5] = {"a": [0] * 5000}
    with pytest.raises(Malformed, match="too-large"):
        decode_op(pack(fields))
    bench = Bench()
    bench.link()
    bad = op(bench, 2).replace(b"order.keep", b"order.k\xff\xfep")
    bench.push(patched(bench, [op(bench, 1), bad, op(bench, 3)]))
    assert bench.refusals() == ["not-msgpack"]
    assert len(bench.hub.view.table("orders")) == 2


def test_tender_below_the_cash_is_a_doubt_where_the_money_was_taken_already() -> None:
    """A sale that was made is never refused; where it is being made, it is."""
    rules = Rules(mode=1)
    late = rules.order(lines={"CAKE": 1}, tendered_minor=1, cash_minor=350)
    assert rules.row("orders", late)["flags"] == ["cash-differs"]
    assert rules.state(rules.order(mode=2, tendered_minor=1)) == "pending"
    with pytest.raises(Refused, match="too-little"):
        rules.order(at=b"v" * 16, by="Carl", tendered_minor=1)


@pytest.mark.feature("SY-08")
def test_own_log_whose_last_seal_is_not_ours_is_used_up_to_one_that_is() -> None:
    """Checksums and hashes can be made by anybody: what no signature of ours covers is set aside,
    and a person is told."""
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    for _ in range(2):
        writer.commit()
    good = writer.head.n
    whole = disk.durable["own-000001.log"]
    writer.commit()
    data = bytearray(disk.durable["own-000001.log"])
    signature_at = len(data) - 64
    data[signature_at] ^= 1
    body_at = data.rindex(b"\x95\x03")  # the seal frame, its checksum put right again
    body = bytes(data[body_at:])
    data[body_at - 4 : body_at] = zlib.crc32(body).to_bytes(4, "little")
    disk.durable["own-000001.log"] = bytes(data)
    keys = NodeKeys(CAFE, SIGNER, b"C" * 32, b"bootboot")
    server = Ed25519Signer(b"s" * 32).public
    domain = KeepDomain({})
    for damaged in (True, False):
        opened = open_replica(
            disk, keys, server, domain, verify_ed25519, random.Random(2).randbytes
        )
        assert [waiting.op.n for waiting in opened.core.pending] == list(range(1, good + 1))  # type: ignore[union-attr]
        assert [d.kind for d in opened.damage] == (["corrupt"] if damaged else [])
        assert disk.durable["own-000001.log"] == whole
    copies = [name for name in disk.names() if name.startswith("quarantine-own")]
    assert [disk.durable[name] for name in copies] == [bytes(data[len(whole) :])]


@pytest.mark.feature("SY-08", "SY-10")
def test_copy_of_the_canonical_log_with_a_foreign_seal_is_fetched_again() -> None:
    """A station does not show what the server has not signed, whatever stands in its folder."""
    bench = Bench()
    bench.link()
    forger = Ed25519Signer(b"f" * 32)
    head, frames = Head(), []
    for seq in (1, 2):
        one = op(bench, seq, chain=bench.hub.keys.node + b"forgedby")
        event = ["kept", 1, {"id": f"forged {seq}"}]
        frames.append(entry_frame(Entry(seq, 0, 0, one, True, [event], {})))
        head = head.next(frames[-1])
    chain = bench.hub.keys.node + b"forgedby"
    signature = forger.sign(canon_text(CAFE, chain, head.n, head.hash))
    disk = SimDisk(random.Random(1))
    Log(disk, "canon", CAFE, bench.hub.keys.node).commit(
        [*frames, seal_frame(Seal(chain, head.n, head.hash, signature))]
    )
    opened = open_replica(
        disk,
        bench.replica.keys,
        bench.server_key.public,
        bench.domain,
        verify_ed25519,
        random.Random(2).randbytes,
    )
    assert opened.core.view.cursor == 0
    assert not len(opened.core.view.table("orders"))
    assert [d.kind for d in opened.damage] == ["corrupt"]
    assert any(name.startswith("quarantine-canon") for name in disk.names())


@pytest.mark.feature("SY-09")
def test_seal_of_a_copy_that_could_not_be_synced_is_not_the_last_one() -> None:
    """The view file names the seal that the durable log ends with, never one that was cut."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    writer.commit()
    durable = log.last_seal
    disk.error_rate = 0.0
    head = writer.head
    log_commit, log.commit = log.commit, partial(log.commit, sync=False)  # type: ignore[method-assign]
    writer.commit()
    log.commit = log_commit  # type: ignore[method-assign]
    assert log.last_seal != durable
    disk.error_rate = 1.0
    with pytest.raises(StorageFailed):
        log.sync()
    disk.error_rate = 0.0
    assert log.last_seal == durable
    view = View(KeepDomain({}))
    save_view(disk, view, writer.head, log)
    assert "view" not in disk.names()
    save_view(disk, view, head, log)
    assert "view" in disk.names()


@pytest.mark.feature("SY-05")
def test_events_that_cannot_be_folded_are_refused_as_a_fault() -> None:
    """A bug in a rule's second half blocks nobody and leaves no half of itself behind."""

    class HalfBroken(KeepDomain):
        def apply(self, tables: Tables, event: list[Any]) -> None:
            super().apply(tables, event)
            if event[2].get("bug"):
                raise KeyError("bug")

    bench = Bench()
    bench.hub.domain = bench.hub.sequencer._domain = HalfBroken(
        bench.keys, {OPERATOR: bench.operator_key.public}
    )
    bench.hub.view.domain = bench.hub.domain
    bench.link()
    bench.push(
        patched(bench, [op(bench, 1), op(bench, 2, body={"id": "x", "bug": True}), op(bench, 3)])
    )
    assert bench.refusals() == ["fault"]
    assert bench.hub.view.table("orders").row("x") is None
    assert len(bench.hub.view.table("orders")) == 2
    assert bench.hub.view.digest() == bench.replica.view.digest()
    bench.give(bench.hub, Act("t", "order.keep", 1, {"id": "y", "bug": True}, b"k" * 16))
    assert [r.code for r in bench.results if isinstance(r, Refused)] == ["fault"]
    bench.give(bench.hub, Act("t", "order.keep", 1, {"id": "y"}, b"k" * 16))
    bench.run()
    assert bench.replica.view.table("orders").row("y") == {"id": "y"}


@pytest.mark.feature("SY-12", "SY-05")
def test_entry_of_a_newer_server_that_a_station_cannot_fold_blocks_nothing() -> None:
    """It is passed over and told; what comes behind it is folded."""

    class Older(KeepDomain):
        def apply(self, tables: Tables, event: list[Any]) -> None:
            if event[2].get("newer"):
                raise KeyError("newer")
            super().apply(tables, event)

    bench = Bench()
    bench.replica.view.domain = Older(bench.keys)
    bench.link()
    for number, newer in enumerate((False, True, False)):
        body = {"id": str(number), "newer": newer}
        bench.give(bench.hub, Act("t", "order.keep", 1, body, bytes(15) + bytes([number])))
    bench.run()
    assert [str(row.doc_id) for row in bench.replica.view.table("orders")] == ["0", "2"]
    assert bench.replica.canon == bench.hub.head
    assert bench.alarms == ["unfolded"]
    kept = SimDisk(random.Random(1))
    save_view(kept, bench.replica.view, bench.replica.canon, bench.log)
    assert "view" not in kept.names()  # the next version folds it all
    save_view(kept, bench.hub.view, bench.hub.head, bench.log)
    assert "view" in kept.names()


def test_server_does_not_start_over_history_that_it_cannot_read() -> None:
    """Money would be missing from the box without a word."""

    class Older(KeepDomain):
        def apply(self, tables: Tables, event: list[Any]) -> None:
            raise KeyError("newer")

    bench = Bench()
    bench.give(bench.hub, Act("t", "order.keep", 1, {"id": "a"}, bytes(16)))
    disk = bench.log.disk
    bench.log.close()
    chance = random.Random(3).randbytes
    with pytest.raises(Damaged, match="start the one that wrote it"):
        open_hub(disk, bench.hub.keys, Older(bench.keys), verify_ed25519, chance)
    open_hub(disk, bench.hub.keys, bench.domain, verify_ed25519, chance)


def test_pending_op_that_cannot_be_shown_any_more_is_told_and_blocks_nothing() -> None:
    """What it rests on is gone; the server will say what becomes of it."""

    class Picky(KeepDomain):
        picky = False

        def apply(self, tables: Tables, event: list[Any]) -> None:
            super().apply(tables, event)
            if self.picky and event[2]["id"] == "mine":
                raise KeyError("gone")

    bench = Bench()
    picky = bench.replica.view.domain = Picky(bench.keys)
    bench.act({"id": "mine"})
    picky.picky = True
    bench.give(bench.hub, Act("t", "order.keep", 1, {"id": "theirs"}, bytes(16)))
    bench.link()
    assert "unshown" in bench.alarms
    assert bench.replica.canon == bench.hub.head
    assert not bench.replica.pending
    assert bench.hub.view.table("orders").row("mine") == {"id": "mine"}


@pytest.mark.feature("SY-05")
def test_refused_op_does_not_raise_the_base_of_its_chain() -> None:
    """One absurd cursor does not make every later op of that station a lie."""
    bench = Bench()
    bench.link()
    bench.push(patched(bench, [op(bench, 1), op(bench, 2, base=10**9), op(bench, 3), op(bench, 4)]))
    assert bench.refusals() == ["bad-base"]
    assert len(bench.hub.view.table("orders")) == 3
    chain = bench.replica.keys.node + b"patched!"
    for view in (bench.hub.view, bench.replica.view):
        assert view.chains[chain].base < 10**9
        assert view.chains[chain].n == 4


@pytest.mark.feature("SY-08")
def test_chain_with_a_foreign_seal_is_not_vouched_for_by_the_next_one() -> None:
    """Each start opens a chain of its own: every one of them needs its owner's seal."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    forger = Ed25519Signer(b"f" * 32)
    for key, chain in ((forger, CHAIN[:16] + b"forgedby"), (SIGNER, CHAIN)):
        one = encode_op(
            chain=chain, n=1, kind="sell", version=1, body={"forged": key is forger}, grant=0,
            base=0, key=chain[-16:], wall_ms=0, mono_ms=0, boot=bytes(8),
        )  # fmt: skip
        head = Head().next(one.raw)
        signature = key.sign(seal_text(CAFE, chain, 1, head.hash))
        log.commit([op_frame(one.raw), seal_frame(Seal(chain, 1, head.hash, signature))])
    opened = reopened(disk)
    assert not opened.core.pending  # type: ignore[union-attr]
    assert [d.kind for d in opened.damage] == ["corrupt"]


def reopened(disk: SimDisk) -> OpenedCore:
    """The station of `Writer`, started over its folder."""
    keys = NodeKeys(CAFE, SIGNER, b"C" * 32, b"bootboot")
    server = Ed25519Signer(b"s" * 32).public
    chance = random.Random(2).randbytes
    return open_replica(disk, keys, server, KeepDomain({}), verify_ed25519, chance)


@pytest.mark.feature("SY-08")
def test_copies_of_damage_at_the_same_place_are_all_kept() -> None:
    """The second one may hold the only copy of an order; the same one again is kept once."""
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    writer.commit()
    whole = disk.durable["own-000001.log"]
    writer.commit()
    tail = disk.durable["own-000001.log"][len(whole) :]
    for flip in (30, 40, 40):
        hurt = bytearray(tail)
        hurt[flip] ^= 1
        disk.durable["own-000001.log"] = whole + bytes(hurt)
        recover(disk)
    copies = [name for name in disk.names() if name.startswith("quarantine")]
    assert len(copies) == 2


@pytest.mark.feature("SY-08")
def test_damage_in_an_early_segment_sets_the_later_ones_aside_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A station uses what stands before the damage and keeps the rest for a person."""
    monkeypatch.setattr("sync.log.MAX_SEGMENT_BYTES", 600)
    disk = SimDisk(random.Random(1))
    writer = Writer(new_log(disk))
    while len(disk.names()) < 3:
        writer.commit()
    later = [disk.durable[f"own-00000{n}.log"] for n in (2, 3)]
    data = bytearray(disk.durable["own-000001.log"])
    data[-5] ^= 1
    disk.durable["own-000001.log"] = bytes(data)
    opened = reopened(disk)
    assert opened.core.pending  # type: ignore[union-attr]
    assert [name for name in disk.names() if name.startswith("own")] == ["own-000001.log"]
    copies = {disk.durable[name] for name in disk.names() if name.startswith("quarantine")}
    assert set(later) <= copies


def test_what_no_decoder_gives_back_never_gets_into_an_op_or_an_event() -> None:
    """Dates, floats, text that is none, depth: refused where they are made."""
    bench = Bench()
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"d": deep}
    for value in (1.5, datetime(2026, 1, 1, tzinfo=UTC), "\ud800", 2**70, deep, object()):
        assert isinstance(bench.act({"id": "a", "value": value}), Malformed), value
    bench.act({"id": "a", "value": (1,)})
    assert bench.replica.pending[-1].op.body["value"] == [1]  # as everybody else will read it
    with pytest.raises(Malformed):
        unpack_trusted(b"\x91" * 100_000 + b"\x01")


@pytest.mark.feature("SY-09")
async def test_copy_that_is_kept_again_after_a_failure_holds_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A new segment makes durable what stands before it; only the rest is written again."""
    monkeypatch.setattr("sync.log.MAX_SEGMENT_BYTES", 500)
    bench = Bench()
    bench.link()
    for number in range(6):
        key = bytes(15) + bytes([number])
        bench.give(bench.hub, Act("t", "order.keep", 1, {"id": str(number)}, key))
    commits = [commit.frames for _, commit in bench.log.commits()]
    for failing in range(1, 40):
        disk = SimDisk(random.Random(1))
        log = Log(disk, "canon", CAFE, bench.hub.keys.node)
        driver = Driver(OpenedCore(bench.replica, log, None), SystemClock())
        driver._kept.waiting = [[f for f in frames if f[1] != 6] for frames in commits]
        calls = itertools.count(1)
        monkeypatch.setattr(disk, "fails", lambda calls=calls, at=failing: next(calls) == at)
        while not driver._kept.sync():
            pass
        monkeypatch.setattr(disk, "fails", lambda: False)
        checker = CanonChecker(CAFE, bench.server_key.public, verify_ed25519)
        again = Log(disk, "canon", CAFE, bench.hub.keys.node)
        assert len(list(again.recover(checker))) == len(commits)
        assert checker.head == bench.hub.head


@pytest.mark.feature("SY-09")
@pytest.mark.parametrize("failures", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("clean", [True, False])
def test_sale_that_a_disk_refused_never_comes_back_however_often_it_fails(
    failures: int, clean: bool
) -> None:
    """The write is whole, the sync fails, and so does every attempt to cut it: at the next start
    there is what was shown, and nothing else."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    writer.commit()
    left = [failures]

    def keep_all(self: SimFile) -> None:
        disk.durable[self._name] += disk.buffered[self._name]
        disk.buffered[self._name] = b""
        if left[0]:
            left[0] -= 1
            self.close()
            raise StorageFailed("EIO")

    real_open = SimDisk.open

    def flaky_open(self: SimDisk, name: str) -> SimFile:
        if 0 < left[0] < failures:
            left[0] -= 1
            raise StorageFailed("no descriptor")
        return real_open(self, name)

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(SimFile, "sync", keep_all)
        broken.setattr(SimDisk, "open", flaky_open)
        before = writer.head
        for _ in range(failures + 1):
            try:
                writer.commit(1)
            except StorageFailed:
                assert writer.head == before
            else:
                before = writer.head
        shown = writer.head.n
        if clean:
            log.close()
        else:
            log.mend()
    _, ops = recover(disk)
    assert ops == shown
    assert recover(disk)[1] == shown


@pytest.mark.feature("SY-09", "SY-08")
def test_torn_beginning_of_a_segment_still_says_what_does_not_count() -> None:
    """Void bytes behind the file before, then a power cut inside the commit that said so."""
    disk = SimDisk(random.Random(1))
    log = new_log(disk)
    writer = Writer(log)
    writer.commit()
    whole = disk.durable["own-000001.log"]
    ahead = Writer(new_log(SimDisk(random.Random(1))))
    ahead.head = writer.head
    ahead.commit(1)
    void = next(iter(ahead.log.disk.durable.values()))  # type: ignore[attr-defined]
    log._file = None
    writer.commit(1)
    second = disk.durable["own-000002.log"]
    disk.durable["own-000001.log"] = whole + void[60:]
    disk.durable["own-000002.log"] = second[: len(second) - 40]
    assert recover(disk)[1] == 2
    assert disk.durable["own-000001.log"] == whole


def test_hello_answered_beside_a_push_stands_or_falls_with_it() -> None:
    """Its heads may count what is not durable yet: if the disk refuses, that link ends too."""
    bench = Bench()
    bench.link()
    run = patched(bench, [op(bench, 1)])
    bench.hub.step(Received(LINK, run), bench.now)
    bench.hub.step(Opened(LINK + 1, bench.replica.keys.node, b"T" * 32), bench.now)
    chain = [run.chain, 1, bytes(32)]
    hello = ClientHello(1, CAFE, bench.replica.keys.node, b"", 0, bytes(16), [chain], 0, bytes(32))
    assert bench.hub.step(Received(LINK + 1, hello), bench.now) == []
    bench.hub.step(Flush(), bench.now)
    effects = bench.hub.step(CommitFailed(StorageFailed("full")), bench.now)
    assert {e.link for e in effects if isinstance(e, Drop)} == {LINK, LINK + 1}


def test_act_whose_events_cannot_be_shown_is_refused_before_anything_is_kept() -> None:
    """No money is taken for a sale that no table holds."""

    class Broken(KeepDomain):
        def apply(self, tables: Tables, event: list[Any]) -> None:
            raise KeyError("bug")

    bench = Bench()
    bench.replica.view.domain = Broken(bench.keys)
    found = bench.act({"id": "a"})
    assert isinstance(found, Refused)
    assert found.code == "fault"
    assert (bench.replica.view.pending, len(bench.replica.pending)) == (1, 1)  # the chain's start


def test_fault_behind_a_commit_of_the_server_answers_who_waits() -> None:
    """What is durable is told, whatever the links come to."""
    bench = Bench()
    bench.link()
    bench.hub._tell_all = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    bench.give(bench.hub, Act("t", "order.keep", 1, {"id": "a"}, bytes(16)))
    assert bench.results[-1].state == "accepted"  # type: ignore[union-attr]
    assert bench.alarms == ["fault"]


@pytest.mark.feature("SY-12", "SY-05")
def test_op_in_a_format_of_a_newer_server_blocks_nothing() -> None:
    """Its events are folded; only its place in its chain is not known."""
    bench = Bench()
    bench.link()
    at = bench.replica.canon
    raw = pack([9, "a format of its own"])
    frame = entry_frame(Entry(at.n + 1, 0, 0, raw, True, [["kept", 1, {"id": "n"}]], {}))
    head = at.next(frame)
    chain = bench.hub.keys.node + b"whatever"
    signature = bench.server_key.sign(canon_text(CAFE, chain, head.n, head.hash))
    seal = seal_frame(Seal(chain, head.n, head.hash, signature))
    bench.give(bench.replica, Received(LINK, Entries([frame, seal])))
    assert bench.replica.canon == head
    assert bench.replica.view.table("orders").row("n") == {"id": "n"}
    assert bench.alarms == ["unfolded"]
