"""What was ever written to a disk is read by every build, and the vectors say what the build writes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from node.cafe.house import EVENTS, KINDS, Cafe
from sync.frames import ENTRIES, ERASED, read_entry
from sync.identity import Ed25519Signer, node_id, verify_ed25519
from sync.log import Log
from sync.op import ENGINE_KINDS
from sync.protocol import NodeKeys
from sync.recovery import open_hub
from sync.verify import verify_canon
from sync.view import decode_entry_op
from tests.support.disks import SimDisk
from tests.support.keep import Keep
from tests.vectors.make import FILE, written

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = sorted(path.parent for path in GOLDEN.glob("*/*/expected.json"))
OPERATOR = b"o" * 16


def disk_of(folder: Path) -> SimDisk:
    disk = SimDisk(random.Random(1))
    for path in folder.glob("canon-*.log"):
        disk.replace(path.name, path.read_bytes())
    return disk


def domain_of(folder: Path) -> Any:
    if folder.name == "cafe":
        return Cafe()
    keys = [Ed25519Signer(byte * 32).public for byte in (b"s", b"t")]
    return Keep({node_id(k): k for k in keys}, {OPERATOR: Ed25519Signer(b"u" * 32).public})


@pytest.mark.feature("SY-12", "SY-10", "SY-16")
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_log_of_an_older_build_comes_to_what_it_came_to_then(folder: Path) -> None:
    """It verifies, folds to rows that say the same of all that both builds know, and goes on from
    the same head. Tables may be shaped anew, for they are folded anew: what has moved to a row of
    its own is named here, and everything else must be where it was."""
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    cafe, public = bytes.fromhex(expected["café"]), bytes.fromhex(expected["server"])
    server = Ed25519Signer(b"s" * 32)
    assert server.public == public
    domain, disk = domain_of(folder), disk_of(folder)
    found = verify_canon(disk, cafe, node_id(public), public, domain, verify_ed25519)
    assert found.problem is None
    keys = NodeKeys(cafe, server, b"S" * 32, b"boot now")
    view = open_hub(disk, keys, domain, verify_ed25519, random.Random(2).randbytes).core.view
    rows = {name: dict(view.table(name).scan()) for name in sorted(view.store.tables)}
    now = json.loads(json.dumps(rows, default=bytes.hex))
    if (folder.parent.name, folder.name) == ("1", "cafe"):
        now["conflicts"] = now.get("exceptions", {})
        for number, row in now["boxes"].items():
            sums = now["sums"][number]
            tills = {till: one["cash"] for till, one in sums["tills"].items()}
            row |= {**sums, "tills": tills}
        for station, row in now["stations"].items():
            row["orders"] = now["counters"].get(f"orders/{station}", {"value": 0})["value"]
        for row in now["products"].values():
            row["prices"] = [price[:2] for price in row["prices"]]
    else:
        assert view.digest().hex() == expected["digest"]
    assert _contains(now, expected["tables"]) == []
    assert [view.cursor, found.head] == expected["head"]
    assert not view.unfolded


def _contains(now: Any, before: Any, path: str = "") -> list[str]:
    """Places at which ``before`` says something that ``now`` does not."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            lack
            for name, value in before.items()
            for lack in (
                _contains(now[name], value, f"{path}/{name}") if name in now else [f"{path}/{name}"]
            )
        ]
    return [] if now == before else [f"{path}: {now!r} was {before!r}"]


def written_kinds() -> tuple[set[str], set[tuple[str, int]], set[int]]:
    """Kinds of accepted ops, of their events, and tags of entries in all golden logs."""
    ops: set[str] = set()
    events: set[tuple[str, int]] = set()
    tags: set[int] = set()
    for folder in FOLDERS:
        log = Log(disk_of(folder), "canon", b"", b"")
        for _, commit in log.commits():
            for frame in commit.frames:
                tags.add(frame[1])
                if frame[1] not in ENTRIES:
                    continue
                entry = read_entry(frame)
                op = decode_entry_op(entry)
                if op is not None and entry.accepted:
                    ops.add(op.kind)
                    events |= {(event[0], event[1]) for event in entry.outcome}
    return ops, events, tags


@pytest.mark.feature("SY-12")
def test_every_kind_has_a_golden_log() -> None:
    """Whoever adds a kind adds a folder: `python -m tests.golden.make NAME`."""
    ops, events, tags = written_kinds()
    assert {*KINDS, *ENGINE_KINDS} - ops == set()
    assert EVENTS.keys() - events == set()
    assert ERASED in tags


@pytest.mark.feature("SY-12")
def test_vectors_for_other_languages_are_what_this_build_writes() -> None:
    """Every value, signature, frame and message in them: `python -m tests.vectors.make`."""
    assert FILE.read_text("utf-8") == written()
