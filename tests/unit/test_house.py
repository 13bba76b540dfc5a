"""The house itself: style, types, floors, and what the project must be whole without."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import node
import sync
import ui
from tests.conftest import FEATURE_IDS, SHARED

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
CHECKS = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "floors": ["lint-imports"],
}


@pytest.mark.parametrize("name", CHECKS)
def test_check_passes(name: str) -> None:
    """ruff, mypy strict and the contracts of the floors are tests like all others."""
    command = CHECKS[name]
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    sys.version_info < (3, 11, 4),
    reason="this Python tells of lines behind a match that it does not run (gh-103971)",
)
def test_every_branch_of_the_engine_and_the_rules_is_covered(tmp_path: Path) -> None:
    """By tests that say what they prove: the simulation does not count."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
            "tests/unit", "tests/property", "tests/integration/test_nodes.py",
            "--ignore", "tests/unit/test_house.py",
            "--cov=sync", "--cov=node.cafe", "--cov-fail-under=100",
            "--cov-report=term-missing:skip-covered",
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_our_packages_are_ours() -> None:
    """`node` and `sync` exist elsewhere as other projects: ours must be the ones that are found."""
    for package in (node, sync, ui):
        assert Path(str(package.__file__)).parent.parent == ROOT


def test_ids_are_those_of_the_specification() -> None:
    """Our copy of the list is whole, and the shared one's where that is present."""
    assert len(FEATURE_IDS) == len(set(FEATURE_IDS)) > 100
    if not SHARED.is_dir():
        pytest.skip("the specification is not here")
    found = set()
    for file in (SHARED / "spec").glob("*.md"):
        pattern = r"^\| ((?:RP|RC|PN|BX|PR|PC|OP|RE|CF|SY|SE)-\d\d) "
        found |= set(re.findall(pattern, file.read_text(encoding="utf-8"), re.M))
    assert set(FEATURE_IDS) == found


def test_only_the_named_rooms_open_sockets_or_know_printers() -> None:
    """Two files of the engine open connections; two of the devices know ESC/POS."""
    users = {
        path.name
        for path in (ROOT / "sync").glob("*.py")
        if re.search(r"websockets\.asyncio\.(client|server)", path.read_text(encoding="utf-8"))
    }
    assert users == {"client.py", "server.py"}
    printers = {
        path.name
        for folder in ("sync", "node", "ui")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^\s*(from|import) escpos", path.read_text(encoding="utf-8"), re.M)
    }
    assert printers == {"escpos.py"}


def test_flet_and_its_companion_are_pinned_exactly() -> None:
    """Another version of the web client would be fetched at run time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {line.partition("==")[0]: line.partition("==")[2] for line in project["dependencies"]}
    assert pins["flet"] == pins["flet-web"] == "1.0.5"


def test_packaging_is_no_package() -> None:
    """It would shadow PyPI's `packaging`."""
    assert not (ROOT / "packaging" / "__init__.py").exists()
