"""Backoff: how long until a call is made again."""

import random

import pytest

from pipeline.engine.backoff import Backoff


@pytest.mark.parametrize(("failures", "capped"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (10_000, 60.0)])
def test_delays_double_up_to_the_ceiling_and_spread_below_it(failures: int, capped: float) -> None:
    """The capped delay itself is randomised, between half of it and all of it, also at the ceiling."""
    backoff = Backoff(first=1.0, maximum=60.0, rng=random.Random(7))
    delays = [backoff.delay(failures) for _ in range(300)]
    assert capped / 2 <= min(delays) < capped * 0.55
    assert capped * 0.95 < max(delays) <= capped


def test_a_delay_is_never_shorter_than_asked_for_when_the_service_asked() -> None:
    """What a service asks for is a floor, and no ceiling of ours cuts it."""
    backoff = Backoff(first=1.0, maximum=2.0, rng=random.Random(7))
    assert backoff.delay(1, at_least=30.0) == 30.0
    assert 0.5 <= backoff.delay(1, at_least=0.1) <= 1.0
