"""Options, the feature report, and fixtures that every kind of test uses."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import hypothesis
import pytest

from tests.support.nodes import nodes

__all__ = ["nodes"]
hypothesis.settings.register_profile("cabina", deadline=None)  # machines are shared and noisy
hypothesis.settings.load_profile("cabina")
HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
FEATURE_IDS = tuple(
    re.findall(r"^([A-Z]{2}-\d{2})$", (HERE / "data" / "features.txt").read_text(), re.M)
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=2000, help="how many seeds are simulated")
    parser.addoption("--zoo", type=int, default=0, help="count what catches each planted bug")
    parser.addoption("--seed", type=int, default=0, help="the one seed that is replayed")
    parser.addoption(
        "--features", action="store_true", help="print each id of the specification with its tests"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    proofs: dict[str, list[str]] = defaultdict(list)
    for item in items:
        for mark in item.iter_markers("feature"):
            for feature in mark.args:
                if feature not in FEATURE_IDS:
                    raise pytest.UsageError(f"{item.nodeid}: no feature {feature}")
                proofs[feature].append(item.nodeid)
    if config.getoption("--features"):
        for feature in FEATURE_IDS:
            names = sorted({name.partition("[")[0] for name in proofs[feature]})
            print(f"{feature}  {', '.join(names) or 'none'}")
        items.clear()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--features") and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.getreports("passed")
    rows = [value for r in reports for name, value in r.user_properties if name == "zoo"]
    if rows:
        terminalreporter.section("planted bugs, and how many seeds caught them")
        for row in sorted(set(rows)):
            terminalreporter.write_line(row)


@pytest.fixture
def seeds(request: pytest.FixtureRequest) -> int:
    count: int = request.config.getoption("--seeds")
    return count


@pytest.fixture
def shared_data() -> Path:
    """Folder of the real tickets; tests that need it are skipped only where it is missing."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("the folder with the real tickets is not here")
    return folder
