"""`cabina bench --peers DIR`: ours beside other engines on the same five workloads, in one run.

``DIR`` holds a script ``run-all.sh`` that measures the others and writes ``results/NAME.json`` for
each. Ours is measured before and after them, so that a machine that slows down meanwhile shows.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from node.bench import WORKLOADS, seconds_of

TITLES = {
    "W1": "reconnect 10,000",
    "W2": "8 x 2,000",
    "W3": "bootstrap 50,000",
    "W4": "live p50 / p99",
    "W5": "local write p50 / p99",
}
WHOLE = ("W1", "W2", "W3")
"""Workloads that take seconds as a whole; the others are many short ones."""
DOCUMENTS = 50_000
NOT_PEERS = ("all", "limits")


@dataclass(frozen=True, slots=True)
class Line:
    """One engine: milliseconds a workload, (p50, p99) where it was done many times."""

    name: str
    workloads: dict[str, list[float]]
    durability: str
    note: str = ""


def measure_ours(name: str) -> Line:
    """All workloads once."""
    found = {}
    for workload in WORKLOADS:
        print(f"== {name} {workload} {TITLES[workload]}", file=sys.stderr, flush=True)
        seconds = sorted(seconds_of(workload))
        ms = [1000 * statistics.median(seconds)]
        if workload not in WHOLE:
            ms.append(1000 * seconds[int(len(seconds) * 0.99)])
        found[workload] = [round(value, 3) for value in ms]
    return Line(name, found, "both sides, signed, fdatasync")


def read_peer(name: str, result: dict[str, Any]) -> Line:
    """What a peer's script has written; of several ways it took, its quickest."""
    if "always" in result:  # one that can be told to make each message durable
        always = {"durability": "at the server, each message synced", **result["always"]}
        return read_peer(name, always)
    found: dict[str, list[float]] = {}
    notes: list[str] = []
    for workload in WHOLE:
        key = min((k for k in result if k.startswith(f"{workload}_s")), key=len, default="")
        if key:
            found[workload] = [round(1000 * result[key], 3)]
        if key.startswith(f"{workload}_s_"):  # such as W3_s_in_memory_only
            notes.append(key.replace("_s_", " ").replace("_", " "))
    for workload in set(TITLES) - set(WHOLE):
        ways = [value for key, value in result.items() if key.startswith(workload)]
        if workload == "W5":
            ways.append(result.get("FULL"))  # a database: each write durable
        timed = [
            way.get("insert", way)
            for way in ways
            if isinstance(way, dict) and way.get("docs", DOCUMENTS) == DOCUMENTS
        ]
        quickest = min((t for t in timed if "p50_ms" in t), key=lambda t: t["p50_ms"], default=None)
        if quickest is not None:
            found[workload] = [round(quickest["p50_ms"], 3), round(quickest["p99_ms"], 3)]
    count = result.get("W3_count", DOCUMENTS)
    if count != DOCUMENTS:
        notes.append(f"W3 of {count:,} only")
    nested = [way.get("durability", "") for way in result.values() if isinstance(way, dict)]
    durability = result.get("durability") or next(filter(None, nested), "")
    return Line(name, found, str(durability), ", ".join(notes))


def ahead(ours: Line, peers: list[Line], workload: str) -> bool:
    """Whether the first figure of ours is the best of all."""
    others = [peer.workloads[workload][0] for peer in peers if workload in peer.workloads]
    return all(ours.workloads[workload][0] < other for other in others)


def compare(folder: Path, *, as_json: bool) -> int:
    """Measure all and print the table; 1 if the peers cannot be run."""
    script = folder / "run-all.sh"
    if not script.is_file():
        print(f"{script}: not there", file=sys.stderr)
        return 1
    began = time.time()
    before = measure_ours("Cabina")
    command = ["/bin/bash", str(script.absolute())]
    with subprocess.Popen(  # noqa: S603 - as asked
        command, cwd=folder, stdout=subprocess.PIPE, text=True
    ) as others:
        for line in others.stdout or ():
            print(line, end="", file=sys.stderr, flush=True)
    after = measure_ours("Cabina, again")
    files = sorted((folder / "results").glob("*.json"))
    old = [file for file in files if file.stat().st_mtime < began]  # of a run before this one
    for file in old:
        print(f"{file.stem}: gave no result in this run", file=sys.stderr)
    peers = [
        read_peer(file.stem, json.loads(file.read_text(encoding="utf-8")))
        for file in files
        if file.stem not in NOT_PEERS and file not in old
    ]
    if as_json:
        print(json.dumps([asdict(line) for line in (before, after, *peers)]))
        return 0
    print(_cells("", [TITLES[w] for w in TITLES]))
    for each in (before, after, *peers):
        print(_cells(each.name, [_cell(each, workload) for workload in TITLES]))
    print(_cells("ahead of all", ["yes" if ahead(before, peers, w) else "no" for w in TITLES]))
    for each in (before, *peers):
        print(f"{each.name}: {each.durability}{'; ' if each.note else ''}{each.note}")
    return 0


def _cells(name: str, cells: list[str]) -> str:
    return f"{name:<16}" + "".join(f"{cell:>24}" for cell in cells)


def _cell(line: Line, workload: str) -> str:
    values = line.workloads.get(workload)
    if values is None:
        return "-"
    if workload in WHOLE:
        return f"{values[0] / 1000:.2f} s"
    return " / ".join(f"{value:.2f}" for value in values) + " ms"
