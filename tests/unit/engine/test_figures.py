"""What many jobs come to: counts by price, sums by currency, the time on so many slots."""

import pytest

from pipeline.core.money import Quote, Spending
from pipeline.engine.figures import Figures, Sum, currencies, wall_seconds
from tests.engine.world import make_job

CNY = Quote("a", "m", seconds=5000, longest=8000, currency="CNY", expected=900_000, worst=1_440_000, takes=50.0)
EUR = Quote("b", "m", seconds=5000, longest=5000, currency="EUR", expected=100, worst=None, takes=100.0)
UNKNOWN = Quote("c", "m")


def figures(*quotes: Quote) -> Figures:
    counted = Figures()
    for number, quote in enumerate(quotes, 1):
        counted.add(make_job(f"j{number}"), quote)
    return counted


def test_jobs_are_counted_by_what_they_cost() -> None:
    """Alike jobs are one number; the first without a price and the first without a length are named."""
    found = figures(CNY, CNY, EUR, UNKNOWN, UNKNOWN)
    assert found.counts == {CNY: 2, EUR: 1, UNKNOWN: 2}
    assert (found.jobs, found.unpriced, found.unmeasured) == (5, 3, 2)
    assert (found.first_unpriced and found.first_unpriced[0]) == "j3"
    assert (found.first_unmeasured and found.first_unmeasured[0]) == "j4"
    assert found.seconds() == 15_000


def test_each_currency_is_summed_up_apart() -> None:
    """Nothing is converted; an unknown price is in no sum, and a sum with an open end has no worst case."""
    assert figures(CNY, EUR, CNY, UNKNOWN).sums() == [
        Sum("CNY", 2, 1_800_000, 2_880_000),
        Sum("EUR", 1, 100, None),
    ]
    assert figures(UNKNOWN).sums() == []


@pytest.mark.parametrize(("slots", "seconds"), [(1, 250.0), (2, 125.0), (3, 100.0), (100, 100.0)])
def test_a_batch_takes_its_work_over_its_slots_and_no_less_than_its_longest_task(slots: int, seconds: float) -> None:
    """Three tasks of 50 s and one of 100 s."""
    assert wall_seconds({CNY: 3, EUR: 1}, lambda quote: quote.takes, slots) == seconds


def test_the_time_is_unknown_when_that_of_one_job_is() -> None:
    """A sum without a part would be too small; nothing to do takes no time."""
    assert wall_seconds({CNY: 3, UNKNOWN: 1}, lambda quote: quote.takes, 2) is None
    assert wall_seconds({}, lambda quote: quote.takes, 2) == 0.0


def test_currencies_are_those_of_jobs_and_of_purchases() -> None:
    """What has no price has no currency."""
    assert currencies([CNY, UNKNOWN], [Spending("EUR"), Spending("")]) == ["CNY", "EUR"]
