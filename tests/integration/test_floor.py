"""Customers' PCs over real sockets: leases, restarts, wrong clocks, wrong tries, what they may read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from node import bench_floor
from node.bootstrap import open_folder, pair_here
from node.cafe import meter
from node.config import load, save
from node.control import LocalDoor
from node.devices import power
from node.roles import floor as floor_role
from node.roles.client import ClientNode
from node.roles.station import StationNode
from node.roles.tries import APPROVAL_AFTER, ATTACKED_S, MOST_AN_HOUR, Tries
from sync.disk import ReadOnlyDisk
from sync.errors import Disconnected, Refused, StorageFailed
from sync.identity import verify_ed25519
from sync.verify import verify_canon
from tests.support.hall import Hall, hall
from tests.support.nodes import PASSWORD, until
from tests.support.town import Cafe


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=f"^{code}")


async def _back(h: Hall, number: int = 1) -> None:
    """The PC has asked again since its cable is in."""
    pc = h.id_of(number)
    before = h.server.floor._of(pc).at_ms
    await h.join(number)
    await until(lambda: h.server.floor._of(pc).at_ms > before)


# --- a lost network ---------------------------------------------------------------


@pytest.mark.feature("PC-05", "PC-02")
async def test_prepaid_session_ends_at_its_end_without_the_network(tmp_path: Path) -> None:
    """Cable out for ten minutes of a session of fifteen, of which ten are gone: it locks by itself."""
    async with hall(tmp_path) as h:
        session = await h.begin(form="prepaid", amount_minor=100)
        assert h.row(session)["limit_s"] == 1800
        await h.run_s(1500)
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        h.pass_s(290)
        assert h.pcs[1].unlocked
        h.pass_s(310)
        assert h.pcs[1].phase == "over" and h.pcs[1].left_ms == 0
        await _back(h)
        await until(lambda: h.row(session)["state"] == "ended")
        row = h.row(session)
        assert (row["seconds"], row["flags"], row["why"]) == (1800, [], "time-up")
        await until(lambda: h.pcs[1].phase == "free")


@pytest.mark.feature("PC-05", "PC-03")
async def test_bill_of_free_use_is_right_to_the_minute_after_a_lost_network(tmp_path: Path) -> None:
    """Ten minutes without the server count as they ran; nothing is freed, nobody is robbed."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        await h.run_s(300)
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        h.pass_s(600)
        assert h.pcs[1].unlocked
        await _back(h)
        await h.run_s(120)
        await h.server.submit("session.end", {"session": session})
        row = h.row(session)
        assert 1020 <= row["seconds"] <= 1040 and row["flags"] == []
        assert row["due_minor"] == 100


@pytest.mark.feature("PC-05")
async def test_pc_locks_at_the_end_of_its_lease_and_stands_still(tmp_path: Path) -> None:
    """A quarter of an hour without the server; what it ran is settled when it is back."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        h.pass_s(meter.LEASE_S + 1)
        assert h.pcs[1].phase == "lost" and not h.pcs[1].unlocked
        before = h.pcs[1].ran_ms
        h.pass_s(40)
        assert h.pcs[1].ran_ms == before
        await _back(h)
        await until(lambda: h.pcs[1].phase == "running")
        await h.server.submit("session.end", {"session": session})
        assert meter.LEASE_S <= h.row(session)["seconds"] <= meter.LEASE_S + 10


@pytest.mark.feature("PC-05")
async def test_pc_that_never_comes_back_is_billed_to_the_last_contact(tmp_path: Path) -> None:
    """Behind the lease, flagged; a paused one waits on."""
    async with hall(tmp_path, 2) as h:
        session, paused = await h.begin(1), await h.begin(2)
        await h.run_s(600)
        await h.server.submit("session.pause", {"session": paused})
        await until(lambda: h.pcs[2].phase == "paused")
        for number in (1, 2):
            await h.stop(number)
        h.pass_s(meter.GONE_S + 60)
        await until(lambda: h.row(session)["state"] == "due")
        row = h.row(session)
        assert row["flags"] == ["lost"] and 600 <= row["seconds"] <= 620 and row["why"] == "lost"
        assert h.row(paused)["state"] == "paused"


@pytest.mark.feature("PC-05")
async def test_customer_who_leaves_without_the_network_is_billed_to_that_moment(
    tmp_path: Path,
) -> None:
    """The PC locks at once and says so later."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        await h.run_s(300)
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        with pytest.raises(Disconnected):
            await h.pcs[1].ask("call")
        h.pass_s(120)
        await h.pcs[1].end()
        assert h.pcs[1].phase == "over"
        h.pass_s(400)
        await _back(h)
        await until(lambda: h.row(session)["state"] == "due")
        assert 420 <= h.row(session)["seconds"] <= 440 and h.row(session)["why"] == "customer"
        await until(lambda: h.pcs[1].phase == "free")
        await h.pcs[1].end()  # nobody is there


# --- restarts and clocks --------------------------------------------------------------


@pytest.mark.feature("PC-05")
async def test_session_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    """Running time goes on where it was; the time that the server was away counts as the PC ran."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        await h.run_s(300)
        await h.server.stop()
        await until(lambda: not h.pcs[1].online)
        h.pass_s(200)
        await h.restart_server()
        await _back(h)
        await until(lambda: h.pcs[1].phase == "running")
        await h.server.submit("session.end", {"session": session})
        assert 500 <= h.row(session)["seconds"] <= 530 and h.row(session)["flags"] == []


@pytest.mark.feature("PC-05", "SE-12")
async def test_pc_that_starts_again_is_locked_until_it_has_heard_the_server(tmp_path: Path) -> None:
    """Then its session goes on; the time that it was off is not billed."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        await h.run_s(300)
        h.cut(1)
        await h.stop(1)
        h.pass_s(600)
        pc = await h.start(1)
        assert not pc.unlocked and pc.state["number"] == 1
        await _back(h)
        await until(lambda: pc.phase == "running")
        await h.server.submit("session.end", {"session": session})
        assert 300 <= h.row(session)["seconds"] <= 330
        kept = (tmp_path / "pc-1" / "pc").read_text()
        assert "messages" not in json.loads(kept)["state"] and oct(
            (tmp_path / "pc-1" / "pc").stat().st_mode
        ).endswith("600")


@pytest.mark.feature("PC-05", "SY-13")
async def test_wrong_clocks_change_no_bill(tmp_path: Path) -> None:
    """The PC's is in 1970, then the server's jumps a day: running time is monotonic differences."""
    async with hall(tmp_path) as h:
        h.clocks[1].wrong_ms = -h.clocks[1].wall_ms()
        session = await h.begin()
        await h.run_s(300)
        h.clock.wrong_ms = 86_400_000
        await h.run_s(60)
        await h.server.submit("session.end", {"session": session})
        assert 360 <= h.row(session)["seconds"] <= 380


@pytest.mark.feature("PC-05")
async def test_pc_that_reports_more_than_can_be_is_billed_what_can_be(tmp_path: Path) -> None:
    """And flagged; a file of last contacts that is hurt or gone changes nothing else."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        h.pass_s(100)
        h.pcs[1]._base_ms += 500_000  # its clock ran five times as fast
        await _back(h)
        await until(lambda: "clock" in h.server.floor._meters[session].flags)
        await h.server.stop()
        (tmp_path / "server" / "floor").write_text("{")
        await h.restart_server()
        await _back(h)
        await h.server.submit("session.end", {"session": session})
        assert 95 <= h.row(session)["seconds"] <= 130


@pytest.mark.feature("PC-05", "PC-02")
async def test_session_survives_a_server_that_was_away_for_long(tmp_path: Path) -> None:
    """PCs need a while to come back: what was lost is the lease's, and the rest of the time stays."""
    async with hall(tmp_path) as h:
        session = await h.begin(form="prepaid", amount_minor=1000)
        await h.run_s(300)
        h.cut(1)
        await h.server.stop()
        h.pass_s(1200)
        h.clock.wrong_ms = 365 * 86_400_000  # and its clock is wrong since
        await h.restart_server()
        await asyncio.sleep(2.5)  # it has looked twice
        assert h.row(session)["state"] == "running"
        await _back(h)
        await until(lambda: h.pcs[1].phase == "running")
        await h.server.submit("session.end", {"session": session})
        assert 1200 <= h.row(session)["seconds"] <= 1240


@pytest.mark.feature("PC-05", "SE-04")
async def test_pc_that_says_less_than_passed_is_seen(tmp_path: Path) -> None:
    """A quiet quarter of a minute with no running time, again and again, is no free time unseen."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        h.pass_s(120)
        pc = h.pcs[1]
        pc._base_at_ms = h.clocks[1].mono_ms()  # "it has not run meanwhile"
        await _back(h)
        await h.server.submit("session.end", {"session": session})
        assert h.row(session)["flags"] == ["lost"]


@pytest.mark.feature("PC-06", "PC-05")
async def test_time_of_a_pause_is_not_lost_though_the_pc_was_off(tmp_path: Path) -> None:
    """It goes on where it stood; nobody takes the pause for a PC that never came back."""
    async with hall(tmp_path) as h:
        session = await h.begin(form="prepaid", amount_minor=1000)
        await h.run_s(60)
        await h.server.submit("session.pause", {"session": session})
        await h.stop(1)
        h.pass_s(7200)
        await asyncio.sleep(1.5)
        await h.server.submit("session.resume", {"session": session})
        await asyncio.sleep(1.5)
        assert h.row(session)["state"] == "running"
        pc = await h.start(1)
        await until(lambda: pc.phase == "running")
        await h.server.submit("session.end", {"session": session})
        assert 60 <= h.row(session)["seconds"] <= 90 and h.row(session)["flags"] == []


@pytest.mark.feature("PC-05")
async def test_customer_who_left_without_the_network_has_left_after_a_restart(
    tmp_path: Path,
) -> None:
    """Whoever comes next does not sit on their account."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        await h.run_s(300)
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        await h.pcs[1].end()
        await h.stop(1)
        pc = await h.start(1)
        await _back(h)
        await until(lambda: h.row(session)["state"] == "due")
        assert h.row(session)["why"] == "customer"
        await until(lambda: pc.phase == "free")


@pytest.mark.feature("PC-05")
async def test_pc_asks_for_nothing_before_it_has_heard_how_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that comes first would make it forget that its customer had left."""
    async with hall(tmp_path) as h:
        session = await h.begin()
        await h.run_s(60)
        h.cut(1)
        await until(lambda: not h.pcs[1].online)
        await h.pcs[1].end()
        await h.stop(1)
        may_tick, tick = asyncio.Event(), ClientNode._tick

        async def late(pc: ClientNode) -> None:
            await may_tick.wait()
            await tick(pc)

        monkeypatch.setattr(ClientNode, "_tick", late)
        pc = await h.start(1)
        await h.join(1)
        with pytest.raises(Disconnected):
            await pc.ask("call")
        may_tick.set()
        await until(lambda: h.row(session)["state"] == "due" and pc.phase == "free")
        await pc.ask("call")


@pytest.mark.feature("RC-08")
async def test_password_that_is_deleted_while_it_is_looked_at_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash takes a while, and the desk was faster."""
    async with hall(tmp_path) as h:
        maria = await h.customer("maria", 1000, "Abcd1234")
        looked = floor_role._matches

        def slow(phc: str, password: str) -> bool:
            right = looked(phc, password)
            asyncio.run_coroutine_threadsafe(
                h.server.submit("customer.forget", {"customer": maria}), loop
            ).result(10)
            return right

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(floor_role, "_matches", slow)
        with refused("wrong-entry"):
            await h.pcs[1].ask("sign-in", user="maria", password="Abcd1234")
        assert h.pcs[1].phase == "free"


@pytest.mark.feature("RC-04")
async def test_customer_is_there_though_their_code_could_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is not told as a failure; the code comes later."""
    async with hall(tmp_path) as h:
        door = LocalDoor(h.server)
        with monkeypatch.context() as broken:
            broken.setattr(h.server, "give_code", _full)
            made = await door.call("create_customer", profile="STD", typed={"user": "maria"})
        await until(lambda: h.server.tables.table("codes").peek(made["customer"]) is not None)


async def _full(customer: str) -> None:
    raise StorageFailed("full")


@pytest.mark.feature("PC-05")
async def test_pc_whose_server_answers_no_more_locks_at_the_end_of_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the link stands or not."""
    async with hall(tmp_path) as h:
        await h.begin()
        pc = h.pcs[1]

        async def silent(kind: str, body: dict[str, Any]) -> dict[str, Any]:
            await asyncio.sleep(0.01)
            raise TimeoutError

        monkeypatch.setattr(pc, "_ask", silent)
        await asyncio.sleep(0.5)
        assert pc.online and pc.unlocked
        h.clocks[1].moved_ms += (meter.LEASE_S + 1) * 1000
        assert pc.phase == "lost"


# --- by whom, and what is refused ---------------------------------------------------------


@pytest.mark.feature("RC-04", "RC-10", "SE-07")
async def test_first_password_needs_the_desk_or_the_code_of_the_ticket(tmp_path: Path) -> None:
    """So nobody takes over a name with credit; then it opens any PC, capitals counting."""
    async with hall(tmp_path, 2) as h:
        pc, other = h.pcs[1], h.pcs[2]
        maria = await h.customer("maria", 1000)
        with refused("first-password"):
            await pc.ask("sign-in", user="maria", password="x")
        with refused("needs-desk"):
            await pc.ask("first", user="maria", password="Abcd1234", code="")
        with refused("bad-password"):
            await pc.ask("first", user="maria", password="abcdefgh", code=h.code_of(maria))
        with refused("wrong-code-here"):
            await pc.ask("first", user="maria", password="Abcd1234", code="000000x")
        with refused("wrong-entry"):
            await pc.ask("first", user="nobody", password="Abcd1234", code="1")
        await pc.ask("first", user="maria", password="Abcd1234", code=h.code_of(maria))
        assert pc.unlocked and pc.session is not None and pc.session["account"]["credit"] == 1000
        with refused("in-session"):
            await other.ask("sign-in", user="Maria", password="Abcd1234")
        await pc.end()
        with refused("wrong-entry"):
            await other.ask("sign-in", user="maria", password="abcd1234")
        with refused("wrong-entry"):
            await other.ask("first", user="maria", password="Other123", code="1")
        pepe = await h.customer("pepe", 1000)
        assert await h.server.enable("pepe", "", 2) == ""
        await until(lambda: other.state.get("expects") == "pepe")
        await other.ask("first", user="pepe", password="Pepe1234", code="")
        assert other.unlocked
        await other.end()
        assert await h.server.enable("PEPE", "Pepe1234", 1) != ""
        await until(lambda: pc.unlocked)
        row = h.row(pc.session["id"])  # type: ignore[index]
        assert (row["customer"], row["operator"]) == (pepe, h.server.operator.hex())  # type: ignore[union-attr]
        with refused("pc-in-use"):
            await h.server.enable("maria", "Abcd1234", 1)
        with refused("unknown-pc"):
            await h.server.enable("maria", "Abcd1234", 99)


@pytest.mark.feature("RC-08", "RC-12")
async def test_deleted_password_and_lock_end_a_live_session(tmp_path: Path) -> None:
    """At once, and after a warning; the next sign-in makes a new password."""
    async with hall(tmp_path) as h:
        pc = h.pcs[1]
        maria = await h.customer("maria", 1000, "Abcd1234")
        await pc.ask("sign-in", user="maria", password="Abcd1234")
        session = pc.session["id"]  # type: ignore[index]
        await h.server.submit("customer.forget", {"customer": maria})
        await until(lambda: pc.phase == "free")
        assert h.row(session)["why"] == "password"
        await until(lambda: h.server.tables.table("codes").peek(maria) is not None)
        await pc.ask("first", user="maria", password="Newer123", code=h.code_of(maria))
        session = pc.session["id"]  # type: ignore[index]
        await h.server.submit("customer.lock", {"customer": maria, "hours": 1, "reason": "noise"})
        await until(lambda: bool(pc.session and pc.session["ends_in_ms"]))
        await h.server.submit("customer.unlock", {"customer": maria})
        await until(lambda: bool(pc.session and not pc.session["ends_in_ms"]))
        await h.server.submit("customer.lock", {"customer": maria, "hours": 1, "reason": "noise"})
        await until(lambda: bool(pc.session and pc.session["ends_in_ms"]))
        h.pass_s(61)
        await until(lambda: pc.phase == "free")
        assert h.row(session)["why"] == "locked"
        with refused("barred"):
            await pc.ask("sign-in", user="maria", password="Newer123")


@pytest.mark.feature("PN-14", "SE-07")
async def test_wrong_tries_wait_longer_and_then_for_the_desk(tmp_path: Path) -> None:
    """Five are free; the others wait; a dozen want an operator; another PC is not stopped."""
    async with hall(tmp_path, 2) as h:
        pc = h.pcs[1]
        for left in (4, 3, 2, 1, 0):
            with pytest.raises(Refused, match=r"^wrong-pin") as found:
                await pc.ask("pin", pin="AAAAA")
            assert found.value.details["left"] == left
        with refused("locked-out"):
            await pc.ask("pin", pin="AAAAA")
        with refused("wrong-pin"):
            await h.pcs[2].ask("pin", pin="AAAAA")
        for _ in range(APPROVAL_AFTER - 5):
            h.pass_s(901)
            await h.join(1)
            with refused("wrong-pin"):
                await pc.ask("pin", pin="AAAAA")
        h.pass_s(901)
        with refused("ask-desk"):
            await pc.ask("pin", pin="AAAAA")
        assert h.server.floor.view(h.id_of(1))["blocked"]
        await h.server.submit("pc.unblock", {"pc": h.id_of(1)})
        with refused("wrong-pin"):
            await pc.ask("pin", pin="AAAAA")


@pytest.mark.feature("SE-07", "RC-10")
async def test_passwords_that_come_at_once_are_counted_one_by_one(tmp_path: Path) -> None:
    """A burst has as many free tries as a person: the right one behind them does not get in."""
    async with hall(tmp_path) as h:
        pc = h.pcs[1]
        await h.customer("maria", 1000, "Abcd1234")
        words = [f"Wrong{at:03d}" for at in range(9)] + ["Abcd1234"]
        asked = [pc.ask("sign-in", user="maria", password=word) for word in words]
        codes = [
            getattr(e, "code", "in") for e in await asyncio.gather(*asked, return_exceptions=True)
        ]
        assert codes[:7] == ["wrong-entry"] * 5 + ["locked-out"] * 2
        assert set(codes[7:]) <= {"locked-out", "too-many"}  # a link has so many open at once
        asked = [pc.ask("call") for _ in range(20)] + [
            pc.driver.ask("pc.tick", {}) for _ in range(20)
        ]
        codes = [
            getattr(e, "code", "") for e in await asyncio.gather(*asked, return_exceptions=True)
        ]
        assert "too-many" in codes
        h.pass_s(1000)
        await h.join(1)
        await pc.ask("sign-in", user="maria", password="Abcd1234")


@pytest.mark.feature("SE-07", "RC-04")
async def test_names_without_a_password_are_not_to_be_asked_for_ever(tmp_path: Path) -> None:
    """Each such answer is a try of that PC; at the desk it is none, and an operator frees both the
    PC and who has tried there."""
    async with hall(tmp_path) as h:
        pc, tries, name = h.pcs[1], h.server.floor.tries, h.id_of(1)
        maria = await h.customer("maria", 1000)
        for _ in range(3):
            with refused("first-password"):
                await pc.ask("sign-in", user="maria", password="x")
        with refused("needs-desk"):
            await pc.ask("first", user="maria", password="Abcd1234", code="")
        assert await h.server.enable("maria", "", 1) == "" and tries.count(name) == 4
        await h.server.submit("pc.unblock", {"pc": name})
        await pc.ask("first", user="maria", password="Abcd1234")
        await pc.end()
        for _ in range(5):
            with refused("wrong-entry"):
                await pc.ask("sign-in", user="maria", password="x")
        with refused("locked-out"):
            await pc.ask("sign-in", user="maria", password="Abcd1234")
        await h.server.submit("pc.unblock", {"pc": name})
        await pc.ask("sign-in", user="maria", password="Abcd1234")
        assert h.row(pc.session["id"])["customer"] == maria  # type: ignore[index]


@pytest.mark.feature("RC-08")
async def test_deleted_password_ends_what_the_desk_began_too(tmp_path: Path) -> None:
    """Of whom it was; who never had one goes on."""
    async with hall(tmp_path, 2) as h:
        maria = await h.customer("maria", 1000, "Abcd1234")
        pepe = await h.customer("pepe", 1000)
        session = await h.begin(1, customer=maria)
        other = await h.begin(2, customer=pepe)
        await h.server.submit("customer.forget", {"customer": maria})
        await until(lambda: h.pcs[1].phase == "free")
        assert h.row(session)["why"] == "password" and h.row(other)["state"] == "running"


@pytest.mark.feature("PC-01", "PC-04")
async def test_who_ends_at_the_pc_finds_what_was_not_used_at_the_desk(tmp_path: Path) -> None:
    """Nobody hands money over at a PC; the operator does, once."""
    async with hall(tmp_path) as h:
        await h.server.submit("settings.edit", {"return_prepaid": True})
        session = await h.begin(form="prepaid", amount_minor=300)
        await h.run_s(30)
        await h.pcs[1].end()
        await until(lambda: h.pcs[1].phase == "free")
        assert (h.row(session)["state"], h.row(session)["back_minor"]) == ("due", 200)
        receipt = await h.server.submit("session.give-back", {"session": session})
        assert [name for name, _, _ in receipt.events] == ["sale.refunded", "session.returned"]
        assert h.row(session)["state"] == "ended"


@pytest.mark.feature("PC-04")
async def test_orders_that_come_at_once_are_as_many_as_may_wait(tmp_path: Path) -> None:
    """Five, however they are sent."""
    async with hall(tmp_path) as h:
        await h.begin()
        line = {"sku": "LATTE", "quantity": 1}
        asked = [h.pcs[1].ask("order", lines=[line]) for _ in range(9)]
        codes = [
            getattr(e, "code", "") for e in await asyncio.gather(*asked, return_exceptions=True)
        ]
        assert sorted(codes) == [""] * 5 + ["too-many"] * 4


@pytest.mark.feature("RC-12")
async def test_lock_ends_what_the_desk_began_for_a_customer_too(tmp_path: Path) -> None:
    """After the same minute."""
    async with hall(tmp_path) as h:
        maria = await h.customer("maria", 1000)
        session = await h.begin(customer=maria)
        await h.server.submit("customer.lock", {"customer": maria, "hours": 1, "reason": "noise"})
        await until(lambda: bool(h.pcs[1].session and h.pcs[1].session["ends_in_ms"]))
        h.pass_s(61)
        await until(lambda: h.row(session)["state"] != "running")
        assert h.row(session)["why"] == "locked"


@pytest.mark.feature("PN-14")
def test_guesses_all_over_the_cafe_slow_those_pcs_alone() -> None:
    """Over sixty an hour: five minutes a try where it happened, one alarm; an hour later it is over."""
    now, alarms = [0.0], []
    tries = Tries(lambda: now[0], lambda: alarms.append(now[0]))
    for number in range(MOST_AN_HOUR + 1):
        tries.wrong(f"pc-{number % 30}")
        now[0] += 1
    assert len(alarms) == 1
    with refused("locked-out"):
        tries.check("pc-7")
    tries.check("another")
    now[0] += ATTACKED_S + 1
    tries.check("pc-7")
    now[0] += 3600
    tries.wrong("pc-7", "maria")
    assert tries.waits("pc-7") == (0, False) and len(alarms) == 1
    for _ in range(5):
        tries.wrong("pc-9", "maria")
    tries.check("pc-10", "maria")  # she is not shut out of the café
    tries.right("pc-9", "eva")  # who guesses comes in with a name of their own
    with refused("locked-out"):
        tries.check("pc-9", "maria")
    tries.unblock("pc-9")
    tries.check("pc-9", "maria")


@pytest.mark.feature("PN-14")
def test_attack_at_one_pc_does_not_hold_those_up_who_slipped_once() -> None:
    """They wait five minutes for their next try, not for as long as somebody goes on guessing."""
    now = [0.0]
    tries = Tries(lambda: now[0], lambda: None)
    tries.wrong("honest")
    for _ in range(MOST_AN_HOUR + 1):
        tries.wrong("guesser")
    with refused("locked-out"):
        tries.check("honest")
    now[0] += ATTACKED_S - 1
    tries.wrong("guesser")
    now[0] += 2
    tries.check("honest")
    tries.wrong("other")
    with refused("locked-out"):
        tries.check("other")


def test_names_that_were_guessed_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are remembered at most."""
    monkeypatch.setattr("node.roles.tries.MOST_NAMES", 3)
    tries = Tries(lambda: 0.0, lambda: None)
    for number in range(9):
        tries.wrong("pc", f"user{number}")
    assert len(tries._wrong) <= 4


@pytest.mark.feature("PN-10", "PN-14")
async def test_pin_opens_two_pcs_one_after_the_other(tmp_path: Path) -> None:
    """What is left goes with it; it is read with any capitals and blanks."""
    async with hall(tmp_path, 2) as h:
        server, door = h.server, LocalDoor(h.server)
        profile = {"sku": "CARD", "name": "Hour", "form": "card", "minutes": 60, "price_minor": 500}
        await server.submit("pin.profile", profile)
        await door.call("make_pins", profile="CARD", count=1, stock=True)
        ((_, pin),) = [
            (p["serial"], p["pin"]) for p in await door.call("look_at_pins", serials="1")
        ]
        with refused("wrong-pin"):  # it was not sold yet
            await h.pcs[1].ask("pin", pin=pin)
        await server.submit("order.place", {"lines": [{"sku": "CARD", "quantity": 1}]})
        await h.pcs[1].ask("pin", pin=f" {pin.lower()[:3]} {pin[3:]}")
        await h.run_s(600)
        with refused("in-session"):
            await h.pcs[2].ask("pin", pin=pin)
        await h.pcs[1].end()
        await h.pcs[2].ask("pin", pin=pin)
        left = h.pcs[2].left_ms
        assert left is not None and 2_950_000 <= left <= 3_000_000
        await h.run_s(3000)
        await until(lambda: h.pcs[2].phase == "free")
        with refused("wrong-pin"):
            await h.pcs[2].ask("pin", pin=pin)


@pytest.mark.feature("RC-17", "PC-04")
async def test_customer_redeems_orders_and_writes_at_the_pc(tmp_path: Path) -> None:
    """All of it by asking; what is refused says why; the account is there while the session is."""
    async with hall(tmp_path) as h:
        pc, tables = h.pcs[1], h.server.tables
        maria = await h.customer("maria", 2000, "Abcd1234")
        await pc.ask("call")
        await until(lambda: h.server.floor.view(h.id_of(1))["called_ms"] > 0)
        with refused("no-session"):
            await pc.ask("redeem", points=10)
        await pc.ask("sign-in", user="maria", password="Abcd1234")
        await pc.ask("redeem", points=20)
        assert pc.session is not None and pc.session["account"]["minutes"] == 120
        assert tables.table("customers").peek(maria)["points"] == 0
        with refused("not-enough-points"):
            await pc.ask("redeem", points=10)
        with pytest.raises(Refused):
            await pc.ask("redeem", points="ten")
        await pc.ask("order", lines=[{"sku": "LATTE", "quantity": 2}])
        assert pc.session["orders"][0][2] == "pending"
        (order,) = tables.table("orders").search(client_role_where("pc", 1))
        await h.server.submit("order.collect", {"order": str(order.doc_id)})
        await until(lambda: pc.session["orders"][0][2] == "collected")  # type: ignore[index]
        with refused("unknown-product"):
            await pc.ask("order", lines=[{"sku": "NO", "quantity": 1}])
        for _ in range(floor_role.MOST_ORDERS):
            await pc.ask("order", lines=[{"sku": "TEA", "quantity": 1}])
        with refused("too-many"):
            await pc.ask("order", lines=[{"sku": "TEA", "quantity": 1}])
        await pc.ask("say", text="Two coffees, please")
        with refused("too-many"):
            await pc.ask("say", text="and fast")
        for text in ("", "\x1bp", "x" * 201, 7):
            with pytest.raises(Refused):
                await pc.ask("say", text=text)
        await h.server.submit("pc.message", {"pc": h.id_of(1), "message": "At once"})
        await until(lambda: len(pc.state["messages"]) == 2)
        assert [m[1] for m in pc.state["messages"]] == ["pc", "desk"]
        await h.server.submit("pc.message", {"message": "Closing at ten"})
        await until(lambda: len(pc.state["messages"]) == 3)
        await pc.end()
        assert pc.session is None and pc.state["messages"] == []


def client_role_where(name: str, value: Any) -> Any:
    from tinydb import where

    return where(name) == value


@pytest.mark.feature("PC-06", "PC-08")
async def test_operator_moves_locks_switches_and_wakes(tmp_path: Path) -> None:
    """The PCs follow at once; one without contact is not started; power goes by the PC's own system."""
    async with hall(tmp_path, 2) as h:
        done: list[str] = []
        h.pcs[1].switch = done.append
        h.server.wake = done.append
        session = await h.begin(1)
        await h.server.submit("session.move", {"session": session, "pc": h.id_of(2)})
        await until(lambda: h.pcs[2].unlocked and h.pcs[1].phase == "free")
        await h.server.submit("pc.lock", {"pc": h.id_of(2), "locked": True, "reason": "Ask us"})
        await until(lambda: h.pcs[2].phase == "held")
        assert h.pcs[2].state["reason"] == "Ask us" and h.row(session)["state"] == "running"
        await h.server.submit("pc.lock", {"pc": h.id_of(2), "locked": False})
        await until(lambda: h.pcs[2].unlocked)
        await h.server.submit("pc.power", {"pc": h.id_of(1), "action": "restart"})
        await until(lambda: done == ["restart"])
        await h.pcs[1].ask("call")
        await h.run_s(20)
        assert done == ["restart"]  # once
        if not h.server.tables.table("pcs").peek(h.id_of(1))["mac"]:
            await h.server.submit("pc.edit", {"pc": h.id_of(1), "mac": "02:00:00:00:00:01"})
        await h.server.submit("pc.power", {"pc": h.id_of(1), "action": "wake"})
        assert len(done) == 2 and len(done[1]) == 17
        h.cut(1)
        h.pass_s(20)
        with refused("pc-offline"):
            await h.server.submit("session.start", {"pc": h.id_of(1)})
        assert not h.server.floor.online(h.id_of(1))
        for action in ("shutdown", "restart"):  # it would do it when somebody switches it on
            with refused("pc-offline"):
                await h.server.submit("pc.power", {"pc": h.id_of(1), "action": action})
        h.server.floor.power(h.id_of(1), "shutdown")
        h.pass_s(20)
        await h.join(1)
        await until(lambda: h.server.floor.online(h.id_of(1)))
        await h.pcs[1].ask("call")
        assert len(done) == 2


def _no_such() -> None:
    raise OSError("no such thing")


def test_computers_are_switched_by_their_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses or does not know is told in the log, and ends nothing."""
    ran: list[Any] = []
    monkeypatch.setattr(power.subprocess, "Popen", ran.append)
    monkeypatch.setattr(power.sys, "platform", "linux")
    power.switch("shutdown")
    power.switch("dance")
    monkeypatch.setattr(power.subprocess, "Popen", lambda command: _no_such())
    power.switch("restart")
    assert ran == [["systemctl", "poweroff"]]
    sent: list[str] = []
    monkeypatch.setattr(power, "send_magic_packet", sent.append)
    power.wake("02:00:00:00:00:01")
    monkeypatch.setattr(power, "send_magic_packet", lambda mac: _no_such())
    power.wake("02:00:00:00:00:01")
    assert sent == ["02:00:00:00:00:01"]
    monkeypatch.setattr(power.uuid, "getnode", lambda: 0x020000000001)
    assert power.own_mac() == "02:00:00:00:00:01"
    monkeypatch.setattr(power.uuid, "getnode", lambda: 1 << 40)
    assert power.own_mac() == ""


# --- what a PC may read and do ------------------------------------------------------------


def _files_with(folder: Path, canary: bytes) -> list[Path]:
    return [f for f in folder.rglob("*") if f.is_file() and canary in f.read_bytes()]


@pytest.mark.feature("SY-17", "SE-15", "PC-04")
async def test_pc_holds_nothing_of_people_money_or_secrets(tmp_path: Path) -> None:
    """Public tables only; canaries typed there stand in no file of any node; its copy verifies."""
    async with hall(tmp_path, 2) as h:
        await h.customer("canaryuser", 5000, "Canary99")
        await h.pcs[1].ask("sign-in", user="canaryuser", password="Canary99")
        await h.pcs[1].ask("say", text="canary words")
        with refused("wrong-pin"):
            await h.pcs[2].ask("pin", pin="CNRYX")
        await h.server.submit(
            "product.add", {"product": {"sku": "NEW", "name": "New", "price_minor": 5}}
        )
        await until(lambda: h.pcs[2].tables.table("products").peek("NEW") is not None)
        tables = {name for name in h.pcs[2].tables.store.tables if len(h.pcs[2].tables.table(name))}
        assert not tables & {
            "customers",
            "people",
            "orders",
            "operators",
            "pcs",
            "sessions",
            "verifiers",
        }
        for number in (1, 2):
            await h.stop(number)
        for folder in ("pc-1", "pc-2"):
            assert not _files_with(tmp_path / folder, b"canaryuser")
        for canary in (b"Canary99", b"CNRYX", b"canary words"):
            assert not _files_with(tmp_path, canary)
        settings, keys = load(tmp_path / "server"), h.server.keys
        result = verify_canon(
            ReadOnlyDisk(tmp_path / "pc-1"), bytes.fromhex(settings.cafe), keys.node,
            keys.signer.public, Cafe(), verify_ed25519, public_only=True,
        )  # fmt: skip
        assert result.problem is None and result.entries > 0


@pytest.mark.feature("SE-04", "RP-26")
async def test_pc_asks_only_what_pcs_ask(tmp_path: Path) -> None:
    """No operators' keys, no acts; a station asks nothing of the floor; odd questions are refused."""
    async with hall(tmp_path) as h:
        pc = h.pcs[1]
        with refused("wrong-scope"):
            await pc.submit("order.place", {"lines": []})
        with refused("wrong-scope"):
            await pc.driver.ask("operator.keys", {})
        for body in ({"ran_ms": -1}, {"ran_ms": "x"}, {"seen": 1 << 40}):
            answer = await pc.driver.ask("pc.tick", body)
            assert answer["refused"] == "bad-field"
        for kind in ("pc.pin", "pc.sign-in"):
            answer = await pc.driver.ask(kind, {"pin": 5, "user": 5})
            assert answer["refused"] == "bad-field"
        await pair_here(h.server, tmp_path / "station", "Bar", ("127.0.0.1", h.port))
        station = open_folder(tmp_path / "station")
        assert isinstance(station, StationNode)
        await station.start()
        await until(lambda: station.online)
        with refused("unknown-question"):
            await station.driver.ask("pc.tick", {})
        await h.server.submit("settings.edit", {"remote_pos": False})
        await until(lambda: not station.online)
        await until(lambda: pc.online)  # customers' PCs are no remote POS
        await asyncio.sleep(0.5)
        assert not station.online
        await station.stop()
        await h.server.submit("pc.revoke", {"pc": h.id_of(1)})
        await until(lambda: not pc.online)


@pytest.mark.feature("RP-26")
async def test_pc_and_station_on_one_computer_have_two_keys(tmp_path: Path) -> None:
    """Each with its own folder and scope; the station sells, the PC's key never."""
    async with hall(tmp_path) as h:
        await pair_here(h.server, tmp_path / "vendor", "PC 1", ("127.0.0.1", h.port))
        assert load(tmp_path / "vendor").role == "station"
        settings = load(tmp_path / "pc-1")
        settings.vendor = str(tmp_path / "vendor")
        save(tmp_path / "pc-1", settings)
        assert load(tmp_path / "pc-1").vendor == str(tmp_path / "vendor")
        vendor = open_folder(tmp_path / "vendor")
        assert isinstance(vendor, StationNode) and vendor.keys.node != h.pcs[1].keys.node
        await vendor.start()
        await until(lambda: (tmp_path / "vendor" / "operators.keys").exists())
        await until(lambda: len(vendor.tables.table("operators")) == 2)
        await vendor.sign_in("Carl", PASSWORD)
        await vendor.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 1}]})
        await until(lambda: h.server.tables.table("orders").count(client_role_where("pc", 0)) == 0)
        await vendor.stop()


async def test_faults_of_the_floor_stop_no_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that breaks the reckoning each time is in the log; the others end at their ends."""
    async with hall(tmp_path, 2) as h:
        floor = h.server.floor
        broken = await h.begin(1)
        over, failed = floor._over, []

        def fails(session: str, *more: Any) -> str:
            if session == broken:
                failed.append(session)
                raise RuntimeError("always")
            return over(session, *more)

        monkeypatch.setattr(floor, "_over", fails)
        session = await h.begin(2, form="prepaid", amount_minor=100)
        await h.run_s(1800)
        await until(lambda: h.row(session)["state"] == "ended")
        assert failed and h.row(broken)["state"] == "running"
        await floor._close(session, "desk")  # it is over already
        assert floor.measured("none") == (None, ())


@pytest.mark.feature("PC-02")
async def test_session_that_begins_while_another_is_closed_keeps_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has run by then is not forgotten at the end of that round."""
    async with hall(tmp_path, 2) as h:
        floor, close, made = h.server.floor, h.server.floor._close, {}
        session = await h.begin(1, form="prepaid", amount_minor=100)

        async def slow(session: str, why: str) -> None:
            await close(session, why)
            if not made:
                second = await h.begin(2)
                await until(lambda: second in floor._meters)
                made[second] = floor._meters[second]

        monkeypatch.setattr(floor, "_close", slow)
        await h.run_s(1800)
        await until(lambda: h.row(session)["state"] == "ended" and bool(made))
        await asyncio.sleep(1.5)
        (second,) = made
        assert floor._meters[second] is made[second]


@pytest.mark.feature("PC-01")
async def test_command_line_names_pcs_by_their_numbers(tmp_path: Path) -> None:
    """`do`, `show floor`, `enable`, and a sign-in at the PC's own."""
    async with hall(tmp_path) as h:
        door = LocalDoor(h.server)
        await h.customer("maria", 1000, "Abcd1234")
        done = await door.call("do", kind="session.start", fields={"pc": 1})
        await until(lambda: h.pcs[1].unlocked)
        (row,) = await door.call("show", table="floor")
        assert (row["number"], row["state"], row["session"]) == (1, "running", done["key"])
        await door.call("do", kind="session.end", fields={"session": 1})
        with refused("unknown-pc"):
            await door.call("do", kind="session.start", fields={"pc": 9})
        opened = await door.call("enable", user="maria", password="Abcd1234", number=1)
        assert opened["session"]
        await until(lambda: h.pcs[1].unlocked)
        await h.pcs[1].end()
        at_pc = LocalDoor(h.pcs[1])
        status = await at_pc.call("sign_in_here", user="maria", password="Abcd1234")
        assert status["phase"] == "running" and status["form"] == "customer"
        with refused("wrong-pin"):
            await at_pc.call("sign_in_here", pin="AAAAA")
        with refused("server-only"):
            await at_pc.call("show", table="floor")
        with refused("unknown-call"):
            await door.call("sign_in_here", pin="AAAAA")
        await at_pc.call("hurry")
        assert isinstance(h.pcs[1], ClientNode)


async def test_customers_of_the_benches_can_begin(tmp_path: Path) -> None:
    """What is measured is a floor that runs: its customers sign in, and sessions open for them."""
    async with hall(tmp_path, 2) as h:
        customer = await bench_floor._customer(h.server, 1)
        await h.server.do_self("session.open", {"pc": h.id_of(1), "customer": customer})
        await until(lambda: h.pcs[1].unlocked)
        await bench_floor._customer(h.server, 2)
        await h.pcs[2].ask("sign-in", user="user0002", password=bench_floor.PIN_WORD)
        assert h.pcs[2].unlocked
