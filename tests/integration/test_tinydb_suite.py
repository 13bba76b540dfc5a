"""TinyDB's own tests, from its source distribution, over our `Storage` and `Table`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DIFFERENT = {"tests/test_tables.py::test_table_repr"}
"""Asserts the literal names of TinyDB's own classes."""


def test_tinydbs_own_tests_pass_over_our_storage_and_table(tmp_path: Path) -> None:
    """All of them but those that assert a class's name, each of which is listed here."""
    wanted = f"tinydb=={version('tinydb')}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
    fetched = subprocess.run(
        [*command, "--disable-pip-version-check", wanted, "-d", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if fetched.returncode and not os.environ.get("CI"):
        pytest.skip("TinyDB's source distribution cannot be fetched here")
    assert fetched.returncode == 0, fetched.stderr
    with tarfile.open(next(tmp_path.glob("tinydb-*.tar.gz"))) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    suite = next((tmp_path / "source").glob("tinydb-*/tests"))
    shutil.copy(ROOT / "tests" / "support" / "tinydb_conftest.py", suite / "conftest.py")
    run = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-p", "no:asyncio",
            "-c", os.devnull, "--rootdir", str(suite.parent), "tests",
        ],
        cwd=suite.parent, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    failed = set(re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.M))
    assert failed == DIFFERENT, run.stdout[-4000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed is not None
    assert int(passed[1]) > 140
