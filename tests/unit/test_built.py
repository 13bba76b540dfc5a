"""What runs here: the sources as they are, or what was compiled of them when Cabina was installed."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import node.cafe.orders
import sync.table

HERE = Path(__file__).parents[2]


def test_the_engine_and_the_rules_run_as_they_were_installed() -> None:
    """From a checkout each change of a file is seen at once; installed they are compiled, where
    there is a C compiler and Python's headers."""
    files = [Path(str(module.__file__)) for module in (sync.table, node.cafe.orders)]
    from_checkout = files[0].parents[1] == HERE
    headers = Path(sysconfig.get_path("include"), "Python.h")
    compiled = not from_checkout and shutil.which("cc") is not None and headers.exists()
    assert [file.suffix == ".py" for file in files] == [not compiled] * 2
