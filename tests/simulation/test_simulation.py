"""Seeds in, invariants checked: the real cores on faulty disks and links."""

from __future__ import annotations

import pytest

from tests.simulation.world import World, simulate
from tests.simulation.zoo import ZOO

CHUNKS = 8
KEPT_SEEDS = (14, 81)
"""Seeds that failed once; they found that a lost push without a successor was never sent again."""


@pytest.mark.feature("SY-01", "SY-02", "SY-03", "SY-05", "SY-10")
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_world_keeps_every_invariant_whatever_the_seed(chunk: int, seeds: int) -> None:
    """Shown orders are there once, keys are unique, sums and digests agree, tickets are printed once."""
    for seed in range(chunk, seeds, CHUNKS):
        try:
            simulate(seed)
        except Exception as error:
            pytest.fail(
                f"seed {seed}: {error}\nreplay: pytest tests/simulation -k replay --seed {seed}"
            )


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


@pytest.mark.parametrize("name", list(ZOO))
def test_zoo_bug_is_caught_by_some_seed(name: str) -> None:
    """A planted bug that survives its seeds would mean that an invariant is blind."""
    for seed in range(150):
        try:
            simulate(seed, ZOO[name])
        except Exception:
            return
    pytest.fail(f"{name!r} survived 150 seeds")
