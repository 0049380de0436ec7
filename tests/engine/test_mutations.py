"""The checker bites: every broken promise in `mutations/` is caught, so that its silence over a seed says something."""

import importlib
import pkgutil
import re

import pytest

from tests.engine import mutations
from tests.engine.checker import Violation
from tests.engine.simulate import scratch_folder, simulate

SEEDS = 1000
"""The rarest is met about once in two hundred. The product as it is passes the same seeds: the first half in
test_simulation.py, all with `python -m tests.engine.simulate 0:1000`."""
NAMES = sorted(module.name for module in pkgutil.iter_modules(mutations.__path__))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", NAMES)
def test_the_simulation_complains_when_a_promise_is_broken(name: str) -> None:
    """Each mutation is caught within a thousand seeds, and by a sentence about the promise that it breaks."""
    mutation = importlib.import_module(f"{mutations.__name__}.{name}")
    with mutation.broken():
        sentence = first_violation()
    assert sentence is not None, f"{SEEDS} seeds do not notice: {mutation.__doc__}"
    assert re.search(mutation.CAUGHT, sentence), sentence


def first_violation() -> str | None:
    """What the first seed that does not pass says."""
    for seed in range(SEEDS):
        with scratch_folder() as scratch:
            try:
                simulate(seed, scratch)
            except Violation as violation:
                return str(violation)
    return None
