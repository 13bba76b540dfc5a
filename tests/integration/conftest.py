"""Real processes and sockets: a café in a folder, its nodes in this process or in their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.town import Town

ROOT = Path(__file__).parent.parent.parent
Cabina = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cabina() -> Cabina:
    """Run one `cabina` command to its end."""

    def run(*words: str | Path, stdin: str = "", timeout: float = 150) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "ui.main", *map(str, words)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=ROOT,
            env={**os.environ, "LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8"},
        )

    return run


@pytest.fixture
def cafe(tmp_path: Path, cabina: Cabina) -> Path:
    """Folder of a new café's server, its administrator signed in for the command line."""
    folder = tmp_path / "server"
    made = cabina(
        "server", "--init", "--headless", "--data", folder, "--name", "Test", "--currency", "EUR",
        "--language", "en", "--operator", "Ada", "--printer", "none", "--port", "70000",
        "--password-stdin", stdin="secret-one\n",
    )  # fmt: skip
    assert made.returncode == 1, made.stderr  # it is made; then that port cannot be opened
    signed = cabina("sign-in", "Ada", "--data", folder, "--password-stdin", stdin="secret-one\n")
    assert signed.returncode == 0, signed.stderr
    return folder


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
async def town(tmp_path: Path) -> Any:
    (tmp_path / "cafe").mkdir()
    made = Town(tmp_path / "cafe")
    yield made
    await made.close()
