"""Seeds in, invariants checked: the real cores on faulty disks and links.

``--seeds N`` says how many; ``--zoo N`` counts for each planted bug how many of N seeds catch it, and prints
the table; a seed that fails is written to ``kept-seeds.txt`` beside this file and runs in every test from then on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulation.world import World, plan_of, simulate
from tests.simulation.zoo import ZOO

CHUNKS = 16
ZOO_SEEDS = 2000
KEPT = Path(__file__).with_name("kept-seeds.txt")
KEPT_SEEDS = [int(line.split()[0]) for line in KEPT.read_text().splitlines() if line.strip()]


def keep(seed: int, error: Exception) -> None:
    if seed not in KEPT_SEEDS:
        with KEPT.open("a", encoding="utf-8") as file:
            file.write(f"{seed}  {str(error).splitlines()[0][:90]}\n")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What is logged of thousands of worlds would be kept until a test ends, each with its world."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(0)
@pytest.mark.feature("SY-01", "SY-02", "SY-03", "SY-05", "SY-06", "SY-07", "SY-10", "SY-13")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_world_keeps_every_invariant_whatever_the_seed(chunk: int, seeds: int) -> None:
    """Shown orders are there once, keys are unique, sums and digests agree, tickets are printed once."""
    for seed in range(chunk, seeds, CHUNKS):
        try:
            simulate(seed)
        except Exception as error:
            keep(seed, error)
            replay = f"pytest tests/simulation -k replay --seed {seed}"
            raise AssertionError(f"seed {seed}: {error}\nreplay: {replay}") from error


@pytest.mark.parametrize("seed", KEPT_SEEDS)
def test_world_keeps_every_invariant_at_a_seed_that_failed_once(seed: int) -> None:
    """What was mended stays mended."""
    simulate(seed)


def test_replay_of_one_seed(request: pytest.FixtureRequest) -> None:
    """``--seed N`` runs one seed alone; without it, seed 0."""
    simulate(request.config.getoption("--seed"))


def test_world_is_decided_by_its_seed_alone() -> None:
    """The same seed gives the same trace, another one another."""
    first, again, other = World(7).run(), World(7).run(), World(8).run()
    assert first.trace.digest() == again.trace.digest()
    assert first.trace.digest() != other.trace.digest()


def test_zoo_is_large_enough() -> None:
    """At least twenty ways to be wrong."""
    assert len(ZOO) >= 20


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", list(ZOO))
def test_zoo_bug_is_caught_by_some_seed(
    name: str, request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """A planted bug that survives its seeds would mean that an invariant is blind."""
    count: int = request.config.getoption("--zoo")
    caught = _caught(name, count or ZOO_SEEDS, all_of_them=count > 0)
    assert caught, f"{name!r} survived {count or ZOO_SEEDS} seeds"
    if count:
        record_property("zoo", f"{name:<34} {len(caught):>5} of {count}   first {caught[0]}")


def _caught(name: str, count: int, *, all_of_them: bool) -> list[int]:
    caught = []
    bugs = ZOO[name]
    first = [] if all_of_them else [bugs.caught_by]
    for seed in [*first, *range(count)]:
        if not bugs.needs <= plan_of(seed):
            continue
        try:
            simulate(seed, bugs)
        except (AttributeError, NameError, TypeError):
            raise  # a mistake of the bug's own
        except Exception:
            caught.append(seed)
            if not all_of_them:
                break
    return caught
