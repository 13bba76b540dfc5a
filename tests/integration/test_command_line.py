"""The command line as a person uses it, and what wrong input gets: one line, and nothing lost."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from node.cli import kinds, parser
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
