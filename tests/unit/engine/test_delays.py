"""Backoff and schedule: how long until a call is made again, and when the next question is due."""

import random

import pytest

from pipeline.engine.backoff import Backoff
from pipeline.engine.schedule import GrowingSchedule


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


def test_the_spacing_grows_by_a_quarter_up_to_ten_seconds() -> None:
    """The default: one second to the first question, then a quarter more each time, and never more than ten."""
    schedule = GrowingSchedule()
    delays = [schedule.delay(asked=asked, age=0.0) for asked in range(12)]
    assert delays[:3] == [1.0, 1.25, 1.5625]
    assert delays[10] == pytest.approx(1.25**10)
    assert delays[11] == 10.0
    assert schedule.delay(asked=10**9, age=1e9) == 10.0


@pytest.mark.parametrize(
    ("schedule", "delays"),
    [
        (GrowingSchedule(2.0, 1.0, 10.0), [2.0, 2.0, 2.0]),
        (GrowingSchedule(2.0, 3.0, 7.0), [2.0, 6.0, 7.0]),
        (GrowingSchedule(8.0, 1.25, 5.0), [5.0, 5.0, 5.0]),
    ],
)
def test_the_spacing_follows_the_settings(schedule: GrowingSchedule, delays: list[float]) -> None:
    """First delay, growth and ceiling are all settable, and the ceiling holds for the first delay as well."""
    assert [schedule.delay(asked=asked, age=0.0) for asked in range(3)] == delays


def test_the_spacing_is_the_ceiling_when_growth_leaves_the_numbers() -> None:
    """However often a task is asked about, the delay is a finite number."""
    assert GrowingSchedule(1e6, 10.0, 1e7).delay(asked=10**6, age=0.0) == 1e7
