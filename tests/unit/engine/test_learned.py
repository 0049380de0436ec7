"""What ends teach: hazards, the curve of questions, and how long a task is taken to have lasted."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.learned import BINS, Ends, curve, median, observed

COLD = curve([0.0] * BINS)
AGES = st.floats(0.0, 1e6)


def after(*ages: float, still_open: tuple[float, ...] = ()) -> Ends:
    """What is known once tasks have ended at these ages."""
    ends = Ends()
    for age in ages:
        ends.add(age, lambda: still_open)
    return ends


def lognormal(count: int, middle: float = 50.0, spread: float = 0.3, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [middle * math.exp(rng.gauss(0.0, spread)) for _ in range(count)]


# -- the curve


def test_the_spacing_grows_with_the_root_of_the_age_when_nothing_is_known() -> None:
    """The prior is the same at every scale: a first question after some two seconds, at a minute one every ten."""
    price, ages = COLD.price(1.0), [0.0]
    while ages[-1] < 3600.0:
        ages.append(COLD.next(ages[-1], price))
    spacings = [later - earlier for earlier, later in itertools.pairwise(ages)]
    assert 1.0 < ages[1] < 2.5
    assert all(later > 0.98 * earlier for earlier, later in itertools.pairwise(spacings))  # bins are a little coarse
    at_a_minute = COLD.next(60.0, price) - 60.0
    assert 8.0 < at_a_minute < 13.0
    assert COLD.next(240.0, price) - 240.0 == pytest.approx(2.0 * at_a_minute, rel=0.1)


@given(st.lists(AGES, max_size=20), st.lists(AGES, max_size=20))
def test_the_curve_is_that_of_all_bins_when_most_of_them_are_empty(ages: list[float], still_open: list[float]) -> None:
    """What lies beyond everything seen is summed up once, and sums up to what working through it does."""
    weights = after(*ages).handed_out()
    all_bins = [*weights, *[0.0] * (BINS - len(weights))]
    worked_through = [*all_bins[:-1], all_bins[-1] or 1e-300]  # an end in the last bin, of no weight
    short, whole = curve(weights, still_open), curve(worked_through, still_open)
    assert short.alive == pytest.approx(whole.alive, rel=1e-9)
    assert short.lived == pytest.approx(whole.lived, rel=1e-9)
    assert short.effort == pytest.approx(whole.effort, rel=1e-12)


def test_questions_are_dense_where_tasks_end_and_rare_before() -> None:
    """After tasks of about 50 s, the first question skips the ages at which none has ended."""
    learned = after(*lognormal(400, spread=0.1)).curve
    price = learned.price(1.0)
    assert 30.0 < learned.next(0.0, price) < 48.0
    assert learned.next(50.0, price) - 50.0 < 3.0


def test_the_lag_is_as_wanted_when_tasks_go_on_as_learned() -> None:
    """A mean lag of L seconds takes about E² / 2L questions a task, and half the lag takes twice as many."""
    learned = after(*lognormal(2000)).curve
    asked: dict[float, float] = {}
    for lag in (0.5, 1.0, 2.0):
        price, lags, questions = learned.price(lag), [], 0
        for end in lognormal(2000, seed=2):
            age = 0.0
            while age < end:
                age = learned.next(age, price)
                questions += 1
            lags.append(age - end)
        assert sum(lags) / len(lags) == pytest.approx(lag, rel=0.1)
        asked[lag] = questions / len(lags)
        assert asked[lag] == pytest.approx(learned.effort**2 / (2.0 * lag), rel=0.15)
    assert asked[0.5] > 1.7 * asked[1.0] > 2.9 * asked[2.0]


@pytest.mark.parametrize("failing", [0.02, 0.05, 0.1, 0.35, 1.0])
@pytest.mark.parametrize("early", [1.2, 4.0])
def test_the_lag_is_as_wanted_when_some_tasks_end_at_one_early_age(failing: float, early: float) -> None:
    """Refused pictures fail at once, the other tasks take a minute: a question follows soon where many have failed."""
    rng = random.Random(7)

    def tasks(seed: int) -> list[float]:
        return [early if rng.random() < failing else took for took in lognormal(2000, spread=0.2, seed=seed)]

    learned = after(*tasks(1)).curve
    price, lags = learned.price(1.0), []
    for end in tasks(2):
        age = 0.0
        while age < end:
            age = learned.next(age, price)
        lags.append(age - end)
    assert sum(lags) / len(lags) < 1.25


def test_open_tasks_count_as_having_reached_their_age() -> None:
    """After the first end of a wave, the forty-nine that are still open make it an early one, not the usual one."""
    alone, in_a_wave = after(30.0).curve, after(30.0, still_open=(30.0,) * 49).curve
    assert in_a_wave.ending(30.0) < alone.ending(30.0) / 4.0
    assert in_a_wave.effort > alone.effort


def test_a_change_is_followed_when_tasks_become_shorter() -> None:
    """Older ends fade: a few dozen tasks after a shift the questions are where tasks end by now."""
    ends = after(*lognormal(600, middle=90.0))
    before = ends.curve.ending(20.0)
    for age in lognormal(60, middle=20.0):
        ends.add(age, tuple)
    assert ends.curve.ending(20.0) > 10.0 * before
    assert ends.curve.next(0.0, ends.curve.price(1.0)) < 20.0


@given(st.floats(100.0, 1e7))
def test_an_old_task_is_asked_about_for_ever_when_none_has_lasted_so_long(age: float) -> None:
    """Beyond all that is known the prior goes on: the next question is never further off than the task is old."""
    learned = after(*lognormal(300, middle=20.0)).curve
    assert age < learned.next(age, learned.price(1.0)) < 2.0 * age


@given(
    st.lists(st.floats(0.0, 1e5), max_size=40), st.lists(st.floats(0.0, 1e5), max_size=10), AGES, st.floats(0.01, 60.0)
)
def test_the_next_question_is_later_and_finite_whatever_was_learned(
    ends: list[float], still_open: list[float], age: float, lag: float
) -> None:
    """Whatever ended and whatever is open, time goes on and questions come."""
    learned = after(*ends, still_open=tuple(still_open)).curve
    following = learned.next(age, learned.price(lag))
    assert age < following < math.inf
    assert 0.0 < learned.effort < math.inf


@given(st.lists(st.floats(0.1, 1e4), max_size=40), AGES, AGES, st.floats(0.01, 60.0))
def test_an_older_task_is_never_asked_about_before_a_younger_one_at_its_age(
    ends: list[float], one: float, other: float, lag: float
) -> None:
    """The next question comes at a later age for a later age, and for a larger lag."""
    learned = after(*ends).curve
    price, (young, old) = learned.price(lag), sorted((one, other))
    assert learned.next(young, price) <= learned.next(old, price) * (1.0 + 1e-9)
    assert learned.next(young, price) <= learned.next(young, 2.0 * price) * (1.0 + 1e-9)


# -- the ends


def test_weights_stay_numbers_when_a_batch_is_long() -> None:
    """A hundred thousand ends later a fresh one still counts one, and all together about two hundred."""
    ends = Ends()
    ends.fresh = 1e9
    ends.weights[100], ends.last = 200e9, 100
    for _ in range(2):
        ends.add(50.0, tuple)
    assert ends.fresh < 2.0
    assert sum(ends.handed_out()) == pytest.approx(201.0, rel=0.01)


def test_the_median_is_the_age_that_half_of_the_tasks_reach() -> None:
    """Within the width of a bin; None while nothing has ended."""
    assert after(*lognormal(500)).curve.median == pytest.approx(50.0, rel=0.06)
    assert after(7.0).curve.median == pytest.approx(7.0, rel=0.06)
    assert COLD.median is None
    assert median([0.0] * BINS) is None


# -- one task


@pytest.mark.parametrize(
    ("stamps", "after", "until", "took"),
    [
        ((100.25, 150.75), 40.0, 60.0, 50.5),
        ((100.0, 150.0), 40.0, 60.0, 50.0),
        ((100.0, 150.0), 50.0, 60.0, 50.5),
        ((100.0, 150.0), 40.0, 49.5, 49.25),
        ((100.0, 150.0), None, 9000.0, 50.0),
        ((None, None), 40.0, 60.0, 50.0),
        ((100.0, None), 40.0, 60.0, 50.0),
        ((150.0, 100.0), 40.0, 60.0, 50.0),
        ((None, None), None, 9000.0, None),
        ((100.0, 100.0), 40.0, 60.0, 40.0),
        ((100.0, 100_000.0), 40.0, 60.0, 60.0),
    ],
)
def test_a_duration_is_what_stamps_and_questions_agree_on(
    stamps: tuple[float | None, float | None], after: float | None, until: float, took: float | None
) -> None:
    """Stamps count; whole seconds are narrowed by our questions; strange ones cannot contradict what we saw."""
    assert observed(*stamps, after, until) == took
