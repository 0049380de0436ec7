"""The tally of a batch, with time as an argument."""

import tracemalloc
from dataclasses import replace

import pytest

from pipeline.core.events import (
    BatchEnded,
    BatchPriced,
    CallFailed,
    Event,
    JobMoved,
    QuestionsLate,
    SlotsChanged,
    Stopping,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import JobState, Stage
from pipeline.core.money import Actual, Spending
from pipeline.views.purse import Money
from pipeline.views.standing import Reason
from pipeline.views.tally import SHOWN, Tally, nothing_to_do
from tests.unit.views.batches import Time, life, moved, priced, quote, started, told


def shown(tally: Tally) -> dict[str, int]:
    return {str(state): count for state, count in tally.standing().counts.items() if count}


# -- counts ------------------------------------------------------------------------------------------------------------


def test_counts_follow_a_job_when_it_moves() -> None:
    """A job leaves the count of its old state when it enters that of the new one."""
    tally = told(started(queued=2), moved("a", JobState.SUBMITTING))
    assert shown(tally) == {"submitting": 1, "queued": 1}
    for event in list(life("a"))[1:]:
        tally.hear(event)
    assert shown(tally) == {"done": 1, "queued": 1}


def test_counts_stay_right_when_a_submit_is_taken_back() -> None:
    """A job that goes back to the queue and comes again is counted once."""
    back_and_forth = [moved("a", JobState.SUBMITTING), moved("a", JobState.QUEUED), moved("a", JobState.SUBMITTING)]
    assert shown(told(started(queued=1), *back_and_forth)) == {"submitting": 1}


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ("running", moved("a", JobState.FETCHING)),
        ("fetching", moved("a", JobState.DONE)),
        ("running", moved("a", JobState.UNKNOWN)),
        ("queued", moved("a", JobState.FAILED, Stage.SUBMIT)),
        ("running", moved("a", JobState.FAILED, Stage.GENERATE)),
        ("fetching", moved("a", JobState.FAILED, Stage.DOWNLOAD)),
    ],
)
def test_counts_stay_right_when_an_earlier_run_began_the_job(before: str, event: JobMoved) -> None:
    """The first that is heard of a job tells where it stood."""
    assert shown(told(started(**{before: 1}), event)) == {str(event.state): 1}


def test_the_ledger_has_the_last_word_when_the_batch_ends() -> None:
    """The counts at the end are the ledger's own."""
    assert shown(told(started(queued=1), BatchEnded(0.0, {JobState.QUEUED: 0, JobState.DONE: 1}))) == {"done": 1}


@pytest.mark.parametrize(
    ("counts", "idle"),
    [
        ({"done": 3, "failed": 1, "unknown": 1}, True),
        ({"queued": 1}, False),
        ({"running": 1}, False),
        ({"fetching": 1}, False),
        ({"submitting": 1}, False),
    ],
)
def test_there_is_nothing_to_do_when_nothing_can_be_submitted_or_collected(counts: dict[str, int], idle: bool) -> None:
    """Jobs that have ended ask for nothing, whatever their end."""
    assert nothing_to_do(started(**counts)) is idle


# -- troubles ----------------------------------------------------------------------------------------------------------


def test_a_refusal_is_noted_while_it_holds_when_there_are_too_many() -> None:
    """429 is shown with the seconds that are left of the pause, and no longer."""
    time = Time()
    tally = told(started(queued=1, slots=2), CallFailed(0.0, "submit", "a", "rate_limit", "slow down", 12.0), time=time)
    assert tally.standing().note == "429: paused 12 s"
    time.now += 4.5
    assert tally.standing().note == "429: paused 8 s"
    time.now += 7.5
    assert tally.standing().note == ""


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (CallFailed(0.0, "submit", "a", "connect_failed", "no", 5.0), "submit calls fail (connect_failed): paused 5 s"),
        (CallFailed(0.0, "status", "a", "timeout", "no", 5.0), "status calls fail (timeout)"),
        (QuestionsLate(0.0, 2.34, 9.0, "raise --pollers"), "questions leave 2.3 s late: raise --pollers"),
        (SubmittingPaused(0.0, "only 3 MB are free"), "submitting is paused: only 3 MB are free"),
        (Stopping(0.0, "signal", "SIGTERM received"), "stopping: SIGTERM received"),
        (SlotsChanged(0.0, 3), "the service took no more than 3 tasks lately"),
    ],
)
def test_what_slows_a_run_down_is_noted_when_it_happens(event: Event, note: str) -> None:
    """A person who wonders why it is slow finds the reason beside the slots."""
    assert told(started(queued=9, slots=8), event).standing().note == note


def test_the_heaviest_trouble_is_noted_when_there_are_several() -> None:
    """A stop before a pause, a pause before a refusal; what is over is not told any more."""
    tally = told(started(queued=1), CallFailed(0.0, "submit", "a", "http_429", "no", 5.0))
    tally.hear(SubmittingPaused(0.0, "disk full"))
    assert tally.standing().note == "submitting is paused: disk full"
    tally.hear(SubmittingResumed(0.0))
    assert tally.standing().note == "429: paused 5 s"
    tally.hear(Stopping(0.0, "budget", "the budget is used up"))
    assert tally.standing().note == "stopping: the budget is used up"


def test_slots_are_counted_against_those_asked_for_when_the_service_allows_fewer() -> None:
    """In use, allowed now, and allowed where nothing is in the way."""
    standing = told(
        started(queued=9, running=2, slots=8), moved("a", JobState.SUBMITTING), SlotsChanged(0, 5)
    ).standing()
    assert (standing.in_slots, standing.slots, standing.slots_wanted) == (3, 5, 8)


# -- money -------------------------------------------------------------------------------------------------------------

PRICE = replace(quote(), worst=1_440_000)


def test_money_moves_with_the_job_when_it_is_bought() -> None:
    """To come, reserved at worst while it runs, spent as the service reports it."""
    tally = told(priced({PRICE: 2}), started(queued=2))
    assert tally.standing().money == (Money("CNY", to_come=1_800_000, expected=1_800_000),)
    tally.hear(moved("a", JobState.SUBMITTING, price=PRICE))
    assert tally.standing().money == (Money("CNY", reserved=1_440_000, to_come=900_000, expected=1_800_000),)
    tally.hear(moved("a", JobState.RUNNING))
    tally.hear(moved("a", JobState.FETCHING, actual=Actual(700_000, 5000)))
    assert tally.standing().money == (Money("CNY", spent=700_000, to_come=900_000, expected=1_600_000),)
    tally.hear(moved("a", JobState.DONE))
    assert tally.standing().money == (Money("CNY", spent=700_000, to_come=900_000, expected=1_600_000),)


@pytest.mark.parametrize(
    ("end", "spent", "reserved"),
    [
        (moved("a", JobState.FAILED, Stage.SUBMIT), 0, 0),
        (moved("a", JobState.UNKNOWN), 0, 1_440_000),
    ],
)
def test_only_what_may_have_been_bought_counts_when_a_submit_goes_wrong(
    end: JobMoved, spent: int, reserved: int
) -> None:
    """A refused request cost nothing; one whose answer was lost may have."""
    tally = told(priced({PRICE: 1}), started(queued=1), moved("a", JobState.SUBMITTING, price=PRICE), end)
    (found,) = tally.standing().money
    assert (found.spent, found.reserved, found.doubted) == (spent, reserved, reserved)


def test_a_failed_task_counts_in_full_when_the_service_reports_nothing() -> None:
    """Whether the vendor charges it is not documented."""
    events = [moved("a", JobState.SUBMITTING, price=PRICE), moved("a", JobState.RUNNING)]
    tally = told(priced({PRICE: 1}), started(queued=1), *events, moved("a", JobState.FAILED, Stage.GENERATE))
    assert tally.standing().money == (Money("CNY", spent=900_000, expected=900_000),)


def test_a_submit_that_is_taken_back_is_to_come_again_when_nothing_was_created() -> None:
    """It is counted once, wherever it is."""
    tally = told(priced({PRICE: 1}), started(queued=1), moved("a", JobState.SUBMITTING, price=PRICE))
    tally.hear(moved("a", JobState.QUEUED))
    assert tally.standing().money == (Money("CNY", to_come=900_000, expected=900_000),)


def test_an_unknown_price_is_counted_in_jobs_when_nobody_published_it() -> None:
    """It is no zero: the jobs are named apart from the money, before and after they were bought."""
    strange = quote(expected=None)
    tally = told(priced({PRICE: 1, strange: 2}), started(queued=3))
    assert tally.standing().money == (Money("CNY", to_come=900_000, expected=900_000), Money("", jobs=2))
    for event in (moved("a", JobState.SUBMITTING, price=strange), *list(life("a"))[1:]):
        tally.hear(event)
    assert tally.standing().money == (Money("CNY", to_come=900_000, expected=900_000), Money("", jobs=2))


def test_only_a_part_is_to_come_when_this_run_submits_fewer_than_wait() -> None:
    """With --limit the mixture of what waits counts."""
    tally = told(priced({PRICE: 10}))
    tally.hear(started(queued=4))
    assert tally.standing().money == (Money("CNY", to_come=3_600_000, expected=3_600_000),)


def test_what_the_folder_came_to_is_told_when_an_earlier_run_spent() -> None:
    """What had ended, each currency apart; what has no known price has no amount."""
    spending = (Spending("", tasks=1, unpriced=1), Spending("CNY", tasks=2, spent=900_000, at_most=2_000_000))
    assert told(BatchPriced(0.0, {}, spending, None)).standing().spent_before == (("CNY", 900_000),)


def test_an_adopted_task_is_this_runs_when_it_ends_here() -> None:
    """Reserved at worst from the beginning, as the ledger has it, and then spent."""
    spending = Spending("CNY", tasks=4, spent=900_000, reserved=3 * 1_440_000, at_most=9_000_000)
    adopted = {"a": PRICE, "b": PRICE}
    tally = told(BatchPriced(0.0, {}, (spending,), None, adopted), started(running=2, unknown=1, done=1))
    assert tally.standing().money == (Money("CNY", reserved=4_320_000, doubted=1_440_000, expected=1_800_000),)
    tally.hear(moved("a", JobState.FETCHING, actual=Actual(700_000, 5000)))
    tally.hear(moved("b", JobState.FAILED, Stage.GENERATE))
    standing = tally.standing()
    assert standing.money == (Money("CNY", spent=1_600_000, reserved=1_440_000, doubted=1_440_000, expected=1_600_000),)
    assert standing.spent_before == (("CNY", 900_000),)


# -- jobs and reasons --------------------------------------------------------------------------------------------------


def test_the_oldest_come_first_when_tasks_run() -> None:
    """With their ages and what is usual; those of an earlier run are only counted."""
    time = Time()
    tally = told(started(queued=5, running=1, slots=9), *life("x"), *life("y"), time=time)
    for name in ("a", "b"):
        tally.hear(moved(name, JobState.SUBMITTING))
        time.now += 10
    standing = tally.standing()
    assert [(one.job_id, one.age, one.kind) for one in standing.running] == [("a", 20.0, "m"), ("b", 10.0, "m")]
    assert standing.running_before == 1


def test_the_latest_come_first_when_videos_are_on_disk() -> None:
    """With their size and how long they took from the submit on."""
    time = Time()
    tally = told(started(queued=2), time=time)
    for event in life("a"):
        tally.hear(event)
        time.now += 5
    tally.hear(moved("b", JobState.DONE))
    assert [(one.path, one.took) for one in tally.standing().finished] == [
        ("videos/b.mp4", None),
        ("videos/a.mp4", 15.0),
    ]


def test_failures_are_grouped_by_reason_when_jobs_fail() -> None:
    """The most frequent first, each with its first job; unknown jobs apart."""
    tally = told(started(queued=9))
    for name, code in (("a", "x"), ("b", "y"), ("c", "y")):
        tally.hear(moved(name, JobState.FAILED, code=code))
    tally.hear(moved("d", JobState.UNKNOWN, code="y"))
    assert tally.standing().reasons == (
        Reason("y", "submit", 2, "b", "message of b"),
        Reason("x", "submit", 1, "a", "message of a"),
        Reason("y", "submit", 1, "d", "message of d", unknown=True),
    )


def test_throughput_is_that_of_the_last_minutes_when_a_batch_is_long() -> None:
    """Jobs, videos and bytes; what is older than five minutes does not count."""
    time = Time()
    tally = told(started(queued=9), time=time)
    time.now += 60
    for event in (*life("a"), moved("b", JobState.FAILED)):
        tally.hear(event)
    speed = tally.standing().speed
    assert (speed.jobs, speed.videos, speed.bytes) == (2, 1, pytest.approx(1_000_000 / 60))
    time.now += 302
    assert tally.standing().speed.jobs == 0


def test_memory_does_not_grow_when_the_batch_does() -> None:
    """What is kept of the jobs that have ended is bounded: ten times the jobs need no more room."""
    time = Time()

    def room(jobs: int) -> int:
        tally = told(priced({PRICE: jobs}), started(queued=jobs, slots=1), time=time)
        for number in range(jobs):
            time.now += 0.2
            ends = moved(f"j{number}", JobState.FAILED, code=f"code{number}") if number % 10 == 0 else None
            tally.hear(moved(f"j{number}", JobState.SUBMITTING, price=PRICE))
            for event in [ends] if ends else list(life(f"j{number}"))[1:]:
                tally.hear(event)
        assert len(tally.standing().finished) == SHOWN
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = room(3_000)
        assert room(30_000) - first < 20_000
    finally:
        tracemalloc.stop()
