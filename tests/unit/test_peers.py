"""The table beside other engines: their results are read as they write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node import peers
from node.peers import Line, ahead, compare, read_peer

RESULT = {
    "durability": "no fsync",
    "W1_s": 3.08,
    "W2_s": 5.2,
    "W3_s": 11.5,
    "W3_count": 5000,
    "W4_live": {"p50_ms": 17.04, "p99_ms": 35.0},
    "W4_direct": {"p50_ms": 7.5, "p99_ms": 23.0},
    "W4_note": "words",
}
DATABASE = {
    "W5_50k": {
        "docs": 50_000,
        "insert": {"p50_ms": 905.0, "p99_ms": 1226.0},
        "durability": "fsync",
    },
    "W5_500": {"docs": 500, "insert": {"p50_ms": 9.0, "p99_ms": 12.0}},
}
OURS = Line(
    "Cabina", {"W1": [130.0], "W2": [370.0], "W3": [350.0], "W4": [1.3, 2.0], "W5": [0.2, 0.4]}, ""
)


def test_result_of_a_peer_is_read_at_its_best() -> None:
    """Its quickest way counts, and only one of the whole size; what it did not do stays open."""
    pouch = read_peer("pouchdb", RESULT)
    assert pouch.workloads == {"W1": [3080.0], "W2": [5200.0], "W3": [11500.0], "W4": [7.5, 23.0]}
    assert (pouch.durability, pouch.note) == ("no fsync", "W3 of 5,000 only")
    tiny = read_peer("tinydb", DATABASE)
    assert tiny.workloads == {"W5": [905.0, 1226.0]}
    assert tiny.durability == "fsync"
    sqlite = read_peer(
        "sqlite", {"FULL": {"docs": 50_000, "insert": {"p50_ms": 0.1, "p99_ms": 1.0}}}
    )
    bus = {"W1_s": 3.05, "W3_s_in_memory_only": 2.1, "W4": {"p50_ms": 0.6, "p99_ms": 1.0}}
    nats = read_peer("nats", {"always": bus, "default": {"W1_s": 1.0}})
    assert nats.workloads == {"W1": [3050.0], "W3": [2100.0], "W4": [0.6, 1.0]}
    assert (nats.note, "synced" in nats.durability) == ("W3 in memory only", True)
    assert ahead(OURS, [pouch, tiny], "W1")
    assert not ahead(OURS, [pouch, tiny, sqlite], "W5")


def test_table_is_measured_in_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours before and after theirs; a folder without their script is told."""
    assert compare(tmp_path, as_json=False) == 1
    assert "run-all.sh" in capsys.readouterr().err
    script = "mkdir -p results; cat > results/pouchdb.json <<E\n" + json.dumps(RESULT) + "\nE\n"
    (tmp_path / "run-all.sh").write_text(script)
    asked: list[str] = []

    def seconds(workload: str) -> list[float]:
        asked.append(workload)
        return [ms / 1000 for ms in OURS.workloads[workload]]

    monkeypatch.setattr(peers, "seconds_of", seconds)
    assert compare(tmp_path, as_json=False) == 0
    table = capsys.readouterr().out
    assert "0.13 s" in table
    assert "7.50 / 23.00 ms" in table
    assert "yes" in table
    assert asked == [*OURS.workloads] * 2
    assert compare(tmp_path, as_json=True) == 0
    lines = json.loads(capsys.readouterr().out)
    assert [line["name"] for line in lines] == ["Cabina", "Cabina, again", "pouchdb"]
