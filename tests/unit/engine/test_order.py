"""Which jobs go first: when the order of the manifest is left, which classes lead, and what is guessed."""

from dataclasses import replace

import pytest

from pipeline.engine.order import Order, guess, leaders, longest_goes_first
from tests.engine.world import make_job


@pytest.mark.parametrize(
    ("order", "queued", "limit", "longest"),
    [
        ("auto", 499, None, True),
        ("auto", 500, None, False),
        ("auto", 499, 499, True),
        ("auto", 499, 498, False),
        ("manifest", 1, None, False),
        ("longest-first", 10**6, 2, True),
    ],
)
def test_the_longest_goes_first_when_the_batch_is_small(
    order: Order, queued: int, limit: int | None, longest: bool
) -> None:
    """With 50 slots `auto` does so below 500 jobs, and never where a limit leaves some of them out."""
    assert longest_goes_first(order, queued=queued, limit=limit, slots=50) is longest


@pytest.mark.parametrize(
    ("seconds", "lead"),
    [([], []), ([7.0], [0]), ([40.0, 120.0], [1]), ([100.0, 90.0, 89.9], [0, 1]), ([50.0, 50.0, 50.0], [0, 1, 2])],
)
def test_classes_that_take_about_as_long_lead_together(seconds: list[float], lead: list[int]) -> None:
    """Within a tenth of the longest nothing is gained by an order of its own."""
    assert leaders(seconds) == lead


@pytest.mark.parametrize(
    ("parameters", "seconds"),
    [
        ({}, 50.0),
        ({"duration": 10}, 100.0),
        ({"duration": "10"}, 100.0),
        ({"duration": -1}, 50.0),
        ({"duration": "long"}, 50.0),
        ({"size": "832*480"}, 50.0),
        ({"size": "1280*720"}, 50.0 * 1280 * 720 / (832 * 480)),
        ({"resolution": "960p"}, 50.0 * 960**2 * (16 / 9) / (832 * 480)),
        ({"resolution": "nice"}, 50.0),
    ],
)
def test_durations_are_guessed_by_length_and_pixels_when_nothing_is_known(
    parameters: dict[str, object], seconds: float
) -> None:
    """In proportion to both; what a job does not say is taken from the vendor's sample."""
    assert guess(replace(make_job("a"), parameters=parameters)) == pytest.approx(seconds)
