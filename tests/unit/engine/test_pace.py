"""Pace: window, slots, pauses, spacing and counters, decided from the service's answers."""

import random

import pytest

from pipeline.engine.backoff import Backoff
from pipeline.engine.ceiling import MOST, START, Ceiling
from pipeline.engine.pace import Pace


class Highest(random.Random):
    """Always the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def make_pace(ceiling: int = 10, *, rps: float | None = None, longest_pause: float = 60.0) -> Pace:
    backoff = Backoff(first=1.0, maximum=60.0, rng=Highest())
    return Pace(ceiling, rps=rps, longest_pause=longest_pause, backoff=backoff)


def test_the_window_doubles_up_to_the_ceiling_when_submits_are_answered() -> None:
    """One submit goes first alone; each accepted or rejected one doubles the window up to the number of slots."""
    pace = make_pace(5)
    seen = [pace.window]
    for answer in (pace.accepted, pace.rejected, pace.accepted, pace.accepted):
        answer()
        seen.append(pace.window)
    assert seen == [1, 2, 4, 5, 5]


@pytest.mark.parametrize("setback", ["rate_limited", "unanswered", "lost"])
def test_the_window_closes_to_one_when_a_submit_meets_trouble(setback: str) -> None:
    """After a refused, unanswered or lost submit they go one at a time again."""
    pace = make_pace()
    pace.accepted()
    pace.accepted()
    if setback == "rate_limited":
        pace.rate_limited(0.0, None, 5)
    elif setback == "unanswered":
        pace.unanswered(0.0, None)
    else:
        pace.lost(0.0)
    assert pace.window == 1
    assert pace.delay(0.0) == 1.0


def test_slots_shrink_once_when_a_burst_is_refused() -> None:
    """Refusals that fall into one pause answer one burst, so only the first takes slots away."""
    pace = make_pace()
    pace.rate_limited(0.0, None, 0)
    assert pace.slots == 7
    pace.rate_limited(0.5, None, 0)
    assert pace.slots == 7
    pace.rate_limited(1.5, None, 0)
    assert pace.slots == 4


@pytest.mark.parametrize(("running", "slots"), [(0, 7), (7, 7), (8, 8), (9, 9), (10, 10), (50, 10)])
def test_slots_shrink_to_what_runs_when_that_is_more_than_seven_tenths(running: int, slots: int) -> None:
    """Tasks that run were accepted, so a refusal never takes the slots below their number."""
    pace = make_pace()
    pace.rate_limited(0.0, None, running)
    assert pace.slots == slots


def test_one_slot_stays_when_every_submit_is_refused() -> None:
    """Concurrency never shrinks to nothing."""
    pace = make_pace(2)
    for burst in range(5):
        pace.rate_limited(burst * 1000.0, None, 0)
    assert pace.slots == 1


def test_a_slot_grows_back_when_a_full_round_was_accepted() -> None:
    """With seven slots the seventh accept, and not the sixth, adds the eighth, and so on up to the ceiling."""
    pace = make_pace(8)
    pace.rate_limited(0.0, None, 7)
    assert pace.slots == 7
    for _ in range(6):
        pace.accepted()
    assert pace.slots == 7
    pace.accepted()
    assert pace.slots == 8
    for _ in range(20):
        pace.accepted()
    assert pace.slots == 8


def test_growing_starts_over_when_another_burst_is_refused() -> None:
    """Accepts from before a refusal do not count towards the next slot."""
    pace = make_pace(10)
    pace.rate_limited(0.0, None, 0)
    for _ in range(6):
        pace.accepted()
    pace.rate_limited(100.0, None, 6)
    assert pace.slots == 6
    for _ in range(5):
        pace.accepted()
    assert pace.slots == 6
    pace.accepted()
    assert pace.slots == 7


@pytest.mark.parametrize(("asked", "pause"), [(None, 1.0), (0.5, 1.0), (7.0, 7.0), (60.0, 60.0), (61.0, 60.0)])
def test_the_pause_is_what_the_service_asks_for_up_to_the_ceiling(asked: float | None, pause: float) -> None:
    """Retry-After is honoured where it is longer than our own delay, and never beyond the ceiling."""
    pace = make_pace()
    assert pace.rate_limited(5.0, asked, 0) == pause
    assert pace.delay(5.0) == pause
    assert pace.delay(5.0 + pause) == 0.0
    assert make_pace().unanswered(5.0, asked) == pause


def test_pauses_double_when_setbacks_follow_each_other_and_start_over_after_an_accept() -> None:
    """Each burst of trouble waits twice as long as the one before; an accepted submit forgets them all."""
    pace, now, waits = make_pace(), 0.0, []
    for _ in range(3):
        waits.append(pace.unanswered(now, None))
        now += waits[-1]
    assert waits == [1.0, 2.0, 4.0]
    pace.accepted()
    assert pace.unanswered(now, None) == 1.0


def test_a_pause_is_never_shortened_when_a_second_answer_asks_for_less() -> None:
    """Of two pauses the longer one holds."""
    pace = make_pace()
    pace.rate_limited(0.0, 30.0, 0)
    assert pace.rate_limited(1.0, 2.0, 0) == 29.0
    pace.hold(10.0)
    assert pace.delay(1.0) == 29.0
    pace.hold(40.0)
    assert pace.delay(1.0) == 39.0


def test_submits_are_spaced_when_a_rate_is_set() -> None:
    """With four a second the next submit leaves a quarter of a second after the last; idle time is not saved up."""
    pace = make_pace(rps=4.0)
    delays = []
    for now in (0.0, 0.0, 0.25, 9.0, 9.0):
        delays.append(pace.delay(now))
        pace.leave(now + delays[-1])
    assert delays == [0.0, 0.25, 0.25, 0.0, 0.25]


def test_submits_are_not_spaced_when_no_rate_is_set() -> None:
    """By default only the window and the slots hold submits back."""
    pace = make_pace()
    for _ in range(100):
        pace.leave(0.0)
    assert pace.delay(0.0) == 0.0


def test_an_outage_lasts_from_the_first_unanswered_submit_until_any_answer() -> None:
    """Its age counts from the first outage in a row; any answer ends it, a lost one does not."""
    pace = make_pace()
    assert pace.outage(50.0) == 0.0
    pace.unanswered(100.0, None)
    pace.unanswered(150.0, None)
    pace.lost(160.0)
    assert pace.outage(400.0) == 300.0
    pace.rejected()
    assert pace.outage(500.0) == 0.0
    pace.unanswered(600.0, None)
    pace.rate_limited(610.0, None, 0)
    assert pace.outage(700.0) == 0.0


def test_an_outage_does_not_grow_while_nothing_is_submitted() -> None:
    """A backlog, a full disk or full slots say nothing about the service: only time in which it is tried counts."""
    pace = make_pace()
    pace.unanswered(100.0, None)
    pace.leave(1101.0)  # might have left at 101
    pace.unanswered(1103.0, None)
    assert pace.outage(1103.0) == 3.0
    pace.leave(1103.0 + pace.delay(1103.0))
    pace.unanswered(1110.0, None)
    assert pace.outage(1110.0) == 10.0


@pytest.mark.parametrize("answer", ["accepted", "rejected", "rate_limited", "unanswered"])
def test_lost_answers_are_counted_from_zero_when_any_other_answer_comes(answer: str) -> None:
    """Only an unbroken row of lost answers is counted."""
    pace = make_pace()
    pace.lost(0.0)
    pace.lost(10.0)
    assert pace.lost_in_a_row == 2
    {
        "accepted": pace.accepted,
        "rejected": pace.rejected,
        "rate_limited": lambda: pace.rate_limited(20.0, None, 0),
        "unanswered": lambda: pace.unanswered(20.0, None),
    }[answer]()
    assert pace.lost_in_a_row == 0
    pace.lost(30.0)
    assert pace.lost_in_a_row == 1


# -- with a search instead of a number --------------------------------------------------------------------------------


def searching(slots: int) -> Pace:
    """A pace whose search has found so many slots."""
    search = Ceiling()
    search.recall(f'{{"slots": {slots}, "limited": true}}')
    search.slots = slots
    return Pace(search, rps=None, longest_pause=60.0, backoff=Backoff(first=1.0, maximum=60.0, rng=Highest()))


def test_the_slots_are_those_of_the_search_when_no_number_was_given() -> None:
    """They begin low, and what may be reached is the search's own hope."""
    pace = Pace(Ceiling(), rps=None, longest_pause=60.0, backoff=Backoff())
    assert (pace.slots, pace.most) == (START, MOST)
    assert make_pace(10).most == 10


def test_no_pause_is_made_when_the_search_has_met_the_limit() -> None:
    """The refused job is tried once more, then waits for a task to end; a third refusal is something else."""
    pace = searching(20)
    assert [pace.rate_limited(0.0, None, 19) for _ in range(3)] == [0.0, 0.0, 4.0]
    assert pace.slots == 19


def test_the_search_counts_submits_under_way_when_one_is_refused() -> None:
    """They may make tasks just as well as those that run."""
    pace = searching(20)
    for _ in range(2):
        pace.rate_limited(0.0, None, 15, flying=3)
    assert pace.slots == 18


def test_the_search_pauses_when_the_service_asks_for_a_pause() -> None:
    """Retry-After is honoured, whatever the reason of the refusal."""
    pace = searching(20)
    assert pace.rate_limited(0.0, 7.0, 19) == 7.0
    assert pace.delay(0.0) == 7.0


def test_the_search_pauses_when_far_fewer_tasks_run_than_slots_allow() -> None:
    """Such a refusal is about the rate, and not about the number of tasks."""
    pace = searching(20)
    assert pace.rate_limited(0.0, None, 3) == 1.0
    assert pace.slots == 14
