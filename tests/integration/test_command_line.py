"""The command line as a person uses it, and what wrong input gets: one line, and nothing lost."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from node.bootstrap import create_cafe
from node.cli import kinds, parser
from node.devices.virtual import Decoder, Faults
from tests.integration.conftest import Cabina, report


@pytest.mark.feature("CF-03", "OP-01")
def test_new_café_sells_by_command_line(cafe: Path, cabina: Cabina, tmp_path: Path) -> None:
    """Made, catalogue imported, sold, shown, box closed, verified; all without a screen."""
    catalogue = tmp_path / "c.csv"
    catalogue.write_text("sku,name,price,tax_percent\nCOFFEE,Coffee,2.50,10\n", encoding="utf-8")
    assert report(cabina("import", "catalogue", catalogue, "--data", cafe, "--json")) == {
        "products": 1
    }
    lines = 'lines=[{"sku":"COFFEE","quantity":2}]'
    done = report(cabina("do", "order.place", lines, "--data", cafe, "--json"))
    assert done["state"] == "accepted"
    sales = json.loads(cabina("show", "sales", "--data", cafe, "--json").stdout)
    assert [(row["total_minor"], row["ticket"], row["vendor"]) for row in sales] == [
        (500, 1, "Ada")
    ]
    again = report(
        cabina("do", "order.place", lines, "--key", done["key"], "--data", cafe, "--json")
    )
    assert again["state"] == "done-before"
    closed = report(cabina("do", "box.close", "declared_minor=500", "--data", cafe, "--json"))
    assert [kind for kind, _, _ in closed["events"]] == ["box.closed", "box.opened"]
    verified = cabina("verify", "--data", cafe)
    assert verified.returncode == 0, verified.stderr
    assert "ok" in verified.stdout
    assert cabina("sign-out", "--data", cafe).returncode == 0
    refused = cabina("do", "order.place", lines, "--data", cafe)
    assert refused.returncode == 1
    assert "sign in" in refused.stderr.lower()


WRONG: dict[str, list[str]] = {
    "an unknown kind": ["do", "order.fly"],
    "a node's own kind": ["do", "print.start", 'job="t-1"'],
    "a missing field": ["do", "order.place"],
    "a wrong type": ["do", "order.place", "lines=7"],
    "an unknown field": ["do", "box.close", "colour=1"],
    "a negative amount": ["do", "box.close", "leave_minor=-1"],
    "no FIELD=VALUE": ["do", "box.close", "leave"],
    "a bad key": ["do", "box.close", "--key", "xyz"],
    "an unknown table": ["show", "unicorns"],
    "an unknown field of a table": ["show", "operators", "--where", "colour=1"],
    "no password": ["sign-in", "Ada"],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_end_with_2_and_one_line(name: str, cafe: Path, cabina: Cabina) -> None:
    """One line on stderr says what to do; nothing was written."""
    done = cabina(*WRONG[name], "--data", cafe)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_wrong_passwords_and_folders_say_what_to_do(
    cafe: Path, cabina: Cabina, tmp_path: Path
) -> None:
    """Refused or failed is 1, with a sentence."""
    wrong = cabina("sign-in", "Ada", "--password-stdin", "--data", cafe, stdin="nonsense\n")
    assert (wrong.returncode, wrong.stderr) == (1, "This password is not right.\n")
    nobody = cabina("sign-in", "Bob", "--password-stdin", "--data", cafe, stdin="nonsense\n")
    assert nobody.stderr == wrong.stderr
    empty = cabina("show", "orders", "--data", tmp_path / "none")
    assert empty.returncode == 1
    assert "cabina demo" in empty.stderr
    other = cabina("station", "--headless", "--data", cafe)
    assert other.returncode == 1
    again = cabina(
        "server", "--init", "--headless", "--data", cafe, "--name", "x", "--currency", "EUR",
        "--language", "en", "--operator", "x", "--printer", "none", "--password-stdin",
        stdin="secret-two\n",
    )  # fmt: skip
    assert again.returncode == 1
    weak = cabina("operator", "add", "Bea", "--password-stdin", "--data", cafe, stdin="short\n")
    assert weak.returncode == 1
    assert "6" in weak.stderr


@pytest.mark.feature("CF-04")
def test_catalogue_with_bad_rows_imports_nothing_and_lists_each(
    cafe: Path, cabina: Cabina, tmp_path: Path
) -> None:
    """All or nothing."""
    catalogue = tmp_path / "c.csv"
    catalogue.write_text("sku,name,price\nA,Apple,1\nB,,2\nC,Cat,x\n", encoding="utf-8")
    done = cabina("import", "catalogue", catalogue, "--data", cafe)
    assert done.returncode == 1
    assert "3:" in done.stderr
    assert "4:" in done.stderr
    assert json.loads(cabina("show", "products", "--data", cafe, "--json").stdout) == []
    missing = cabina("import", "catalogue", tmp_path / "none.csv", "--data", cafe)
    assert missing.returncode == 1


def test_port_in_use_is_said_and_nothing_is_lost(cafe: Path, cabina: Cabina) -> None:
    """A clear sentence, and the folder is free again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = cabina("server", "--headless", "--data", cafe, "--port", port)
    assert done.returncode == 1
    assert port in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert cabina("show", "operators", "--data", cafe).returncode == 0


@pytest.mark.feature("SY-18")
def test_folder_that_another_process_holds_is_refused(cafe: Path, cabina: Cabina) -> None:
    """One writer; the message names the folder."""
    from sync.disk import OsDisk

    held = OsDisk(cafe)
    try:
        done = cabina("server", "--headless", "--data", cafe)
    finally:
        held.close()
    assert done.returncode == 1
    assert str(cafe) in done.stderr


@pytest.mark.feature("SY-08")
def test_half_written_log_is_cut_and_told(cafe: Path, cabina: Cabina) -> None:
    """A torn end was never shown: the node starts and says so."""
    name = sorted(cafe.glob("canon-*.log"))[-1]
    whole = name.read_bytes()
    name.write_bytes(whole + whole[:50])
    (cafe / "view").unlink()
    shown = json.loads(cabina("show", "status", "--data", cafe, "--json").stdout)
    assert shown[0]["notices"]
    assert cabina("verify", "--data", cafe).returncode == 0


@pytest.mark.feature("SY-10")
def test_view_file_cut_in_half_is_folded_again(cafe: Path, cabina: Cabina) -> None:
    """The View is disposable."""
    before = cabina("show", "operators", "--data", cafe, "--json").stdout
    view = cafe / "view"
    view.write_bytes(view.read_bytes()[: view.stat().st_size // 2])
    assert cabina("show", "operators", "--data", cafe, "--json").stdout == before


@pytest.mark.feature("SY-08", "SY-16")
def test_flipped_byte_fails_verify_and_stops_the_server_with_a_sentence(
    cafe: Path, cabina: Cabina
) -> None:
    """History that was hurt is never cut; a person is told where."""
    log = cafe / "canon-000001.log"
    data = bytearray(log.read_bytes())
    data[len(data) // 3] ^= 1
    log.write_bytes(bytes(data))
    (cafe / "view").unlink()
    verified = cabina("verify", "--data", cafe)
    assert verified.returncode == 1
    assert "canon-000001.log, byte" in verified.stderr
    assert "entry" in verified.stderr
    started = cabina("show", "orders", "--data", cafe)
    assert started.returncode == 1
    assert "damaged" in started.stderr
    assert log.read_bytes() == bytes(data)


def test_kinds_lists_every_kind_that_a_person_can_submit() -> None:
    """With fields, types and permission."""
    listed = {kind["kind"]: kind for kind in kinds()}
    assert listed["order.place"]["permission"] == "order.place"
    assert listed["box.close"]["server_only"]
    assert "print.start" not in listed
    fields = {field["name"]: field for field in listed["order.deny"]["fields"]}
    assert fields["order"]["required"]
    assert "500" in fields["reason"]["type"]


def test_every_command_has_help() -> None:
    """--help works for each of them."""
    for command in ("demo", "server", "station", "sign-in", "do", "show", "kinds", "verify"):
        with pytest.raises(SystemExit) as ended:
            parser().parse_args([command, "--help"])
        assert ended.value.code == 0


def test_bench_prints_value_reference_and_ratio(cabina: Cabina) -> None:
    """A row for each name; an unknown name is wrong arguments."""
    assert cabina("bench", "nothing").returncode == 2
    rows = json.loads(cabina("bench", "live", "--json").stdout)
    assert rows[0]["name"] == "live"
    assert rows[0]["ratio"] == pytest.approx(rows[0]["value"] / rows[0]["reference"], rel=0.05)
    assert rows[0]["met"] == (rows[0]["ratio"] <= rows[0]["target"])


@pytest.fixture
def shop(cafe: Path, cabina: Cabina, tmp_path: Path) -> Path:
    """A café that has sold one coffee."""
    catalogue = tmp_path / "c.csv"
    catalogue.write_text("sku,name,price,stock\nCOFFEE,Coffee,2.50,10\n", encoding="utf-8")
    report(cabina("import", "catalogue", catalogue, "--data", cafe, "--json"))
    lines = 'lines=[{"sku":"COFFEE","quantity":2}]'
    report(cabina("do", "order.place", lines, "--data", cafe, "--json"))
    return cafe


@pytest.mark.feature("RE-01", "RP-22")
def test_report_is_shown_and_written_by_command_line(
    shop: Path, cabina: Cabina, tmp_path: Path
) -> None:
    """The same figures as a table, as CSV and as PDF; a period that is none is said."""
    period = ("--from", "2000-01-01", "--to", "2100-01-01", "--data", shop)
    files = [tmp_path / "r.csv", tmp_path / "r.pdf"]
    done = cabina("report", "product", *period, "--csv", files[0], "--pdf", files[1], "--json")
    (row,) = json.loads(done.stdout)
    assert (row["name"], row["units"], row["net_minor"]) == ("Coffee", 2, 500)
    assert files[0].read_text("utf-8-sig").splitlines() == [
        "Product,Sales,Units,Sold,Refunded,Net",
        "Coffee,1,2,500,0,500",
    ]
    assert files[1].read_bytes().startswith(b"%PDF-")
    wrong = cabina("report", "day", "--from", "2100-01-01", "--to", "2000-01-01", "--data", shop)
    assert wrong.returncode == 1
    assert "2026-11-22" in wrong.stderr


@pytest.mark.feature("CF-04", "RP-10")
def test_catalogue_goes_out_and_in_by_command_line(
    shop: Path, cabina: Cabina, tmp_path: Path
) -> None:
    """What is written can be imported again and changes nothing."""
    file = tmp_path / "out.csv"
    assert cabina("export", "catalogue", file, "--data", shop).returncode == 0
    text = file.read_text("utf-8")
    assert "COFFEE,Coffee,2.50" in text
    assert cabina("import", "catalogue", file, "--data", shop).returncode == 0
    again = tmp_path / "again.csv"
    cabina("export", "catalogue", again, "--data", shop)
    assert again.read_text("utf-8") == text
    nowhere = cabina("export", "catalogue", tmp_path / "none" / "x.csv", "--data", shop)
    assert nowhere.returncode == 1


@pytest.mark.feature("OP-03")
def test_audit_finds_who_did_what(shop: Path, cabina: Cabina) -> None:
    """By person, kind and what it mentions; the newest first; a sign-in is an act too."""

    def kinds(*words: str) -> list[str]:
        found = json.loads(cabina("audit", *words, "--data", shop, "--json").stdout)
        return [act["kind"] for act in found]

    everything = kinds("--operator", "Ada")
    assert {"order.place", "catalog.import", "grant.open"} <= set(everything)
    assert kinds("--kind", "order.") == ["order.place"]
    assert kinds("--mentions", "coffee", "--limit", "1") == ["order.place"]
    assert kinds("--mentions", "unicorn") == []
    text = cabina("audit", "--kind", "order.", "--data", shop).stdout
    assert "Ada" in text
    assert cabina("audit", "--operator", "Bob", "--data", shop).returncode == 1


@pytest.mark.feature("OP-05")
def test_password_is_changed_and_a_forgotten_one_reset(shop: Path, cabina: Cabina) -> None:
    """Who knows the old one changes it; on the server's own machine it is reset, on record."""

    def signs_in(password: str) -> bool:
        words = ("sign-in", "Ada", "--password-stdin", "--data", shop)
        return cabina(*words, stdin=f"{password}\n").returncode == 0

    change = ("password", "--password-stdin", "--data", shop)
    assert cabina(*change, stdin="nonsense\nsecret-new\n").returncode == 1
    assert cabina(*change, stdin="secret-one\nsecret-new\n").returncode == 0
    assert signs_in("secret-new")
    assert not signs_in("secret-one")
    assert cabina(*change, stdin="secret-new\nx\n").returncode == 1
    reset = ("operator", "reset", "Ada", "--password-stdin", "--data", shop)
    assert cabina(*reset, stdin="secret-three\n").returncode == 0
    assert signs_in("secret-three")
    assert not signs_in("secret-new")
    found = json.loads(cabina("audit", "--kind", "operator.", "--data", shop, "--json").stdout)
    assert [act["kind"] for act in found[:2]] == ["operator.reset", "operator.password"]
    verified = cabina("verify", "--data", shop)
    assert verified.returncode == 0, verified.stderr


@pytest.mark.feature("PR-01", "SE-02")
async def test_ticket_is_checked_with_the_public_key_alone(tmp_path: Path, cabina: Cabina) -> None:
    """What the QR on the paper says is genuine; one digit changed is not; the key is enough, and no
    folder is needed."""
    roll, folder = tmp_path / "roll", tmp_path / "cafe"
    node = await create_cafe(
        folder, name="Paper", currency="EUR", language="en", administrator="Ada",
        password="secret-one", printer=f"file://{roll}", port=0,
    )  # fmt: skip
    product = {"sku": "TEA", "name": "Tea", "price_minor": 120}
    await node.submit("catalog.import", {"products": [product]})
    await node.submit("order.place", {"lines": [{"sku": "TEA", "quantity": 3}]})
    async with asyncio.timeout(20):
        while node.tables.table("prints").all()[0]["state"] != "printed":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    key = node.server_key.hex()
    await node.stop()
    decoder = Decoder(Faults())
    decoder.feed(roll.read_bytes())
    (stamp,) = decoder.papers[0].stamps
    assert decoder.pulses == 1
    here = report(cabina("verify", "--ticket", stamp.says, "--data", folder, "--json"))
    assert (here["number"], here["amount_minor"]) == (1, 360)
    elsewhere = ("--data", tmp_path / "none")
    assert cabina("verify", "--ticket", stamp.says, "--key", key, *elsewhere).returncode == 0
    forged = stamp.says[:30] + ("A" if stamp.says[30] != "A" else "B") + stamp.says[31:]
    wrong = cabina("verify", "--ticket", forged, "--key", key, *elsewhere)
    assert wrong.returncode == 1
    assert "ticket" in wrong.stderr
    assert cabina("verify", "--ticket", stamp.says, "--key", "xyz", *elsewhere).returncode == 2
    done = json.loads(cabina("show", "status", "--data", folder, "--json").stdout)
    assert done[0]["server_key"] == key
