"""The learned schedule: cold start, two clocks, budget, drain, and what a run hands on to the next one."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.jobs import TaskState
from pipeline.engine.durations import Kind, recollect, typical, written
from pipeline.engine.schedule import LONGEST, SHORTEST, Course, LearnedSchedule

PENDING, RUNNING = TaskState.PENDING, TaskState.RUNNING


def followed(schedule: LearnedSchedule, *, kind: str = "a", born: float = 0.0, now: float | None = None) -> Course:
    """A task that the schedule follows."""
    course = Course(kind, born)
    schedule.begin(course, born if now is None else now)
    return course


def learn(schedule: LearnedSchedule, *durations: float, kind: str = "a") -> LearnedSchedule:
    """Let tasks end after so many seconds each."""
    for took in durations:
        schedule.ended(followed(schedule, kind=kind), took + 1.0, took)
    return schedule


def fifties(count: int = 300, spread: float = 0.1) -> list[float]:
    rng = random.Random(5)
    return [50.0 * math.exp(rng.gauss(0.0, spread)) for _ in range(count)]


# -- one task


def test_the_typical_duration_is_that_of_the_kind_when_one_has_ended() -> None:
    """Who orders the jobs learns the median, in this run and in the next one, and nothing of a kind that is new."""
    schedule = learn(LearnedSchedule(), *fifties())
    assert schedule.typical("a") == pytest.approx(50.0, rel=0.1)
    assert schedule.typical("b") is None
    later = LearnedSchedule()
    later.recall(schedule.written())
    assert later.typical("a") == pytest.approx(50.0, rel=0.1)


def test_the_kinds_that_ended_last_are_known_when_there_are_thousands() -> None:
    """A manifest in which every job is of a kind of its own does not fill the memory."""
    schedule = LearnedSchedule()
    for number in range(3000):
        learn(schedule, 50.0, kind=f"k{number}")
        learn(schedule, 50.0, kind="common")
    known = [number for number in range(3000) if schedule.typical(f"k{number}")]
    assert known == list(range(3000 - len(known), 3000))
    assert len(known) < 1000
    assert schedule.typical("common") is not None


def test_what_was_learned_is_not_written_out_when_only_one_kind_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of a thousand classes asks for each of them again and again: that must not read all of them each time."""
    schedule = learn(LearnedSchedule(), *fifties())
    monkeypatch.setattr("pipeline.engine.schedule.written", lambda _kinds: pytest.fail("written out"))
    assert schedule.typical("a") is not None


def test_the_first_question_comes_soon_when_nothing_is_known() -> None:
    """A kind that nobody has seen end is asked about after some two seconds, then ever less often."""
    schedule = LearnedSchedule()
    course = Course("a", 0.0)
    assert 1.0 < schedule.begin(course, 0.0) < 2.5
    assert schedule.delay(course, 5.0) < schedule.delay(course, 50.0) < schedule.delay(course, 500.0)


@pytest.mark.parametrize("lag", [1.0, 10.0])
@pytest.mark.parametrize("age", [600.0, 3600.0, 86_400.0])
def test_slow_tasks_are_noticed_within_a_minute_when_none_has_ended(lag: float, age: float) -> None:
    """No spacing is longer than a minute beyond the ages that are known."""
    schedule = LearnedSchedule(lag)
    assert schedule.delay(followed(schedule), age) <= LONGEST


def test_ages_at_which_nothing_ends_are_skipped_when_the_kind_is_known() -> None:
    """The first question comes shortly before the earliest ends; kinds are kept apart."""
    schedule = learn(LearnedSchedule(), *fifties())
    assert 30.0 < schedule.begin(Course("a", 0.0), 0.0) < 48.0
    assert schedule.begin(Course("b", 0.0), 0.0) < 2.5


def test_an_adopted_task_is_asked_about_at_once_when_it_may_have_ended() -> None:
    """Young ones wait for the question that they would have had anyway."""
    schedule = learn(LearnedSchedule(), *fifties())
    first = schedule.begin(Course("a", 0.0), 0.0)
    young, old = Course("a", born=-20.0), Course("a", born=-60.0)
    assert schedule.begin(young, 0.0) == pytest.approx(first - 20.0)
    assert schedule.begin(old, 0.0) == 0.0
    assert (young.seen, old.seen) == (-20.0, None)


def test_nothing_is_learned_when_nobody_can_tell_how_long_a_task_took() -> None:
    """An end without a duration only closes the task."""
    schedule = LearnedSchedule()
    schedule.ended(followed(schedule), 9000.0, None)
    assert json.loads(schedule.written())["kinds"] == {}


@given(
    durations=st.lists(st.floats(0.0, 1e5), max_size=30),
    age=st.floats(0.0, 1e6),
    lag=st.floats(0.01, 1e4),
    budget=st.none() | st.floats(0.01, 1e3),
    pending=st.booleans(),
    draining=st.booleans(),
)
def test_a_delay_is_finite_and_not_too_short_whatever_happened(
    *, durations: list[float], age: float, lag: float, budget: float | None, pending: bool, draining: bool
) -> None:
    """No history makes a task forgotten, or asked about without pause."""
    schedule = learn(LearnedSchedule(lag, budget), *durations)
    course = followed(schedule)
    schedule.saw(course, age, PENDING if pending else RUNNING)
    if draining:
        schedule.drain()
    assert SHORTEST <= schedule.delay(course, age) < math.inf


# -- two clocks


def in_a_line(schedule: LearnedSchedule, count: int, longest_wait: float, seed: int = 3) -> None:
    """Tasks that wait for others for any time, then run for about 50 s; each is asked about as the schedule wants."""
    rng = random.Random(seed)
    for number in range(count):
        born = 1000.0 * number
        begins = born + rng.uniform(0.0, longest_wait)
        ends = begins + 50.0 * math.exp(rng.gauss(0.0, 0.1))
        course = Course("a", born)
        now = born + schedule.begin(course, born)
        while now < ends:
            schedule.saw(course, now, PENDING if now < begins else RUNNING)
            now += schedule.delay(course, now)
        schedule.ended(course, now, ends - born)


def test_a_pending_task_is_only_looked_at_now_and_then_when_others_are_before_it() -> None:
    """While the service has not begun, nothing can end: no age makes the questions dense."""
    schedule = LearnedSchedule()
    in_a_line(schedule, 200, longest_wait=300.0)
    course = followed(schedule)
    for age in range(0, 400, 10):
        schedule.saw(course, float(age), PENDING)
        assert schedule.delay(course, float(age)) > 15.0


def test_the_clock_begins_with_running_when_others_are_before_us() -> None:
    """Two tasks that have run as long are asked about alike, however long each waited."""
    schedule = LearnedSchedule()
    in_a_line(schedule, 200, longest_wait=300.0)
    delays = []
    for waited in (0.0, 250.0):
        course = followed(schedule)
        schedule.saw(course, waited, RUNNING)
        delays.append(schedule.delay(course, waited + 40.0))
    assert delays[0] == pytest.approx(delays[1])
    assert delays[0] < 5.0


def test_the_total_age_counts_when_every_task_waits_as_long() -> None:
    """A line of our own moves at its own pace: there the age tells as much, and no looks are needed."""
    schedule = LearnedSchedule()
    in_a_line(schedule, 200, longest_wait=2.0)
    assert Kind.by_running(recollect(schedule.written())["a"], 1.0) is False
    assert schedule.begin(Course("a", 0.0), 0.0) > 30.0


def test_pending_means_nothing_when_it_was_never_seen() -> None:
    """Without a line there is one clock, and a task first seen running is followed by its age."""
    schedule = learn(LearnedSchedule(), *fifties())
    course = followed(schedule)
    schedule.saw(course, 40.0, RUNNING)
    same = followed(schedule)
    assert schedule.delay(course, 50.0) == schedule.delay(same, 50.0)


# -- all tasks together


@pytest.mark.parametrize(("budget", "stretched"), [(1000.0, False), (5.0, True)])
def test_spacings_are_stretched_alike_when_the_budget_is_short(budget: float, stretched: bool) -> None:
    """Fifty tasks that want more questions than there are get their share; enough budget changes nothing."""
    free = learn(LearnedSchedule(), *fifties(spread=0.3))
    bound = learn(LearnedSchedule(1.0, budget), *fifties(spread=0.3))
    courses = [(followed(free, born=float(n)), followed(bound, born=float(n))) for n in range(50)]
    demand = sum(1.0 / free.delay(course, 60.0) for course, _ in courses)
    allowed = sum(1.0 / bound.delay(course, 60.0) for _, course in courses)
    assert (allowed < demand * 0.99) is stretched
    if stretched:
        assert allowed <= budget * 1.2


def test_the_last_tasks_get_the_questions_of_the_free_slots_when_nothing_is_left_to_submit() -> None:
    """In the drain sparse questions come closer, down to a fixed interval with the same mean lag; dense ones stay."""
    schedule = learn(LearnedSchedule(), *fifties())
    courses = [followed(schedule) for _ in range(50)]
    last, long_open, usual = courses[0], 500.0, 50.0
    before = schedule.delay(last, long_open), schedule.delay(last, usual)
    schedule.drain()
    assert schedule.delay(last, long_open) == before[0]
    for course in courses[25:]:
        schedule.leave(course)
    assert schedule.delay(last, long_open) == pytest.approx(before[0] / 2.0)
    for course in courses[1:25]:
        schedule.leave(course)
    assert schedule.delay(last, long_open) == 2.0
    assert schedule.delay(last, usual) == min(before[1], 2.0)


# -- what the next run is told


def test_the_next_run_asks_as_this_one_when_it_recalls() -> None:
    """What was learned goes through the ledger's text without loss."""
    schedule, later = learn(LearnedSchedule(), *fifties()), LearnedSchedule()
    in_a_line(schedule, 60, longest_wait=300.0)
    later.recall(schedule.written())
    assert later.written() == schedule.written()
    assert later.begin(Course("a", 0.0), 0.0) == pytest.approx(schedule.begin(Course("a", 0.0), 0.0), rel=0.05)


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "null", "[]", "rubbish", "{}", '{"version": 1}', '{"version": 1, "kinds": 7}', "[" * 100_000),
        '{"version": 2, "kinds": {}}',
        '{"version": 1, "kinds": {"a": {}}}',
        *(
            f'{{"version": 1, "kinds": {{"a": {{"total": {ends}, "running": [], "waits": false}}}}}}'
            for ends in ("7", "[[1]]", "[[-1, 1]]", "[[241, 1]]", "[[0, 0]]", "[[0, 202]]", "[[0, NaN]]", '[["a", 1]]')
        ),
        '{"version": 1, "kinds": {"a": {"total": [[1.5, 1]], "running": [], "waits": false}}}',
    ],
)
def test_a_run_begins_cold_when_what_was_remembered_is_not_ours(text: str | None) -> None:
    """Rubbish, or what another version wrote, is no error."""
    schedule = LearnedSchedule()
    schedule.recall(text)
    assert schedule.begin(Course("a", 0.0), 0.0) == LearnedSchedule().begin(Course("a", 0.0), 0.0)
    assert typical(text, "a") is None


def test_the_kinds_that_ended_last_are_handed_on_when_there_are_many() -> None:
    """The text is bounded, and a kind that goes on ending stays in it."""
    schedule = LearnedSchedule()
    for number in range(201):
        learn(schedule, 5.0, kind=f"k{number}")
    learn(schedule, 5.0, kind="k1")
    kinds = recollect(schedule.written())
    assert len(kinds) == 200
    assert "k1" in kinds
    assert "k0" not in kinds


def test_the_median_is_told_when_a_plan_wants_to_know() -> None:
    """A pure reading of the stored text; nothing for kinds that never ended."""
    text = learn(LearnedSchedule(), *fifties()).written()
    assert typical(text, "a") == pytest.approx(50.0, rel=0.06)
    assert typical(text, "b") is None
    assert typical(written({}), "a") is None
