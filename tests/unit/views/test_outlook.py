"""The estimate of what is left, held against simulated batches."""

import math
import random
from dataclasses import replace
from statistics import mean

import pytest

from pipeline.core.events import BatchEnded, JobLeft
from pipeline.core.jobs import JobState
from pipeline.views.outlook import finished_after
from pipeline.views.standing import Subject
from tests.unit.views.batches import Batch, Law, Time, life, moved, play, priced, quote, started, told


def around(seconds: float, spread: float = 0.3) -> Law:
    """Durations about a mean, lognormal."""
    return lambda rng, _resolution: seconds * math.exp(rng.gauss(0, spread) - spread**2 / 2)


def by_resolution(rng: random.Random, resolution: str | None) -> float:
    return {"480P": 40.0, "720P": 120.0}[str(resolution)] * math.exp(rng.gauss(0, 0.2))


SMALL = Batch(12, 4, around(50), documented=lambda _: 45.0)
MIDDLE = Batch(100, 10, around(60))
LARGE = Batch(1000, 50, around(50), documented=lambda _: 45.0, downloads=10)
MIXED = Batch(
    *(1000, 50, by_resolution),
    documented=lambda resolution: {"480P": 45.0, "720P": 90.0}[str(resolution)],
    resolution=lambda number: "480P" if number % 5 else "720P",
    downloads=10,
)
BATCHES = {
    "small": (SMALL, 0.25, 0.03),
    "middle, nothing documented": (MIDDLE, 0.06, 0.015),
    "middle, documented thrice as long": (replace(MIDDLE, documented=lambda _: 180.0), 0.12, 0.03),
    "middle, documented a third as long": (replace(MIDDLE, documented=lambda _: 20.0), 0.08, 0.015),
    "large": (LARGE, 0.04, 0.01),
    "two kinds": (MIXED, 0.05, 0.015),
    "downloads are the bottleneck": (Batch(500, 50, around(50), download=10.0), 0.04, 0.03),
    "submits are held back": (Batch(500, 50, around(50), spacing=3.0), 0.05, 0.015),
    "heavy tails": (Batch(1000, 50, lambda rng, _: 20 * min(rng.paretovariate(1.8), 30)), 0.3, 0.02),
}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("batch", "error", "jump"), BATCHES.values(), ids=BATCHES)
def test_the_eta_is_near_and_calm_when_a_batch_goes_on(batch: Batch, error: float, jump: float, seed: int) -> None:
    """From a quarter of a batch on it is off by a few per cent of the whole; between two seconds it jumps by less."""
    found = play(replace(batch, seed=seed))
    assert mean(found.errors(after=0.25)) < error
    assert found.jump() < jump


def test_the_eta_is_told_at_once_when_an_earlier_run_has_learned() -> None:
    """What tasks of the kind took in this folder counts before the documents, and before the first end."""
    subject = Subject(learned=lambda kind: 50.0 if kind == "m 720P" else None)
    price = quote("720P", takes=500.0)
    tally = told(priced({price: 10}), started(queued=10, slots=5), subject=subject)
    assert tally.standing().eta == pytest.approx(100)


def test_what_the_documents_say_shrinks_when_a_rehearsal_is_faster_than_life() -> None:
    """Twenty times the speed makes three seconds of a minute; what this folder has learned is that fast already."""
    price = quote("720P", takes=60.0)
    events = priced({price: 10}), started(queued=10, slots=10)
    assert told(*events, subject=Subject(speed=20.0)).standing().eta == pytest.approx(3)
    learned = Subject(speed=20.0, learned=lambda _kind: 7.0)
    assert told(*events, subject=learned).standing().eta == pytest.approx(7)


def test_no_guess_is_made_when_nothing_is_known() -> None:
    """Before two tasks have ended whose duration nobody knew, nothing is said; after the last job, nothing either."""
    time = Time()
    tally = told(started(queued=10, slots=1), time=time)
    for name, expected in (("a", None), ("b", 160)):
        tally.hear(moved(name, JobState.SUBMITTING))
        tally.hear(moved(name, JobState.RUNNING))
        time.now += 20
        tally.hear(moved(name, JobState.FETCHING))
        tally.hear(moved(name, JobState.DONE))
        assert tally.standing().eta == (None if expected is None else pytest.approx(expected))
    tally.hear(BatchEnded(0.0, {}))
    assert tally.standing().eta is None


def test_the_eta_waits_for_tasks_when_submits_are_refused() -> None:
    """A refused submit takes no time, and says nothing about the jobs that do."""
    tally = told(started(queued=9, slots=3))
    for name in ("a", "b", "c"):
        tally.hear(moved(name, JobState.SUBMITTING))
        tally.hear(moved(name, JobState.FAILED))
    assert tally.standing().eta is None


def test_the_eta_is_never_zero_when_something_still_runs() -> None:
    """The last task takes longer than all before it: a second is left, or more, until it has ended."""
    time = Time()
    tally = told(started(queued=3, slots=3), time=time)
    for name in ("a", "b", "c"):
        tally.hear(moved(name, JobState.SUBMITTING))
        tally.hear(moved(name, JobState.RUNNING))
    time.now += 2
    for name in ("a", "b"):
        tally.hear(moved(name, JobState.FETCHING))
        tally.hear(moved(name, JobState.DONE))
    for _ in range(100):
        time.now += 0.25
        eta = tally.standing().eta
        assert eta is not None
        assert eta >= 1


def test_the_eta_forgets_a_job_when_it_is_left_to_the_next_run() -> None:
    """This run does not wait for it."""
    tally = told(started(queued=3, slots=3), *life("a"), *life("b"), moved("c", JobState.SUBMITTING))
    tally.hear(moved("c", JobState.RUNNING))
    tally.hear(JobLeft(0.0, "c", JobState.RUNNING, "it has been running for 3,600 s"))
    assert tally.standing().eta is None


def test_tasks_of_an_earlier_run_are_waited_for_when_they_hold_slots() -> None:
    """Their age is not known here: each is taken for half done."""
    price = quote("720P", takes=60.0)
    tally = told(priced({price: 2}), started(queued=2, running=2, slots=2))
    assert tally.standing().eta == pytest.approx(90)


@pytest.mark.parametrize(
    ("rests", "queue", "slots", "expected"),
    [
        ([], [(50.0, 12)], 4, 150),
        ([10.0, 40.0], [], 2, 40),
        ([10.0, 40.0], [(30.0, 1)], 2, 40),
        ([10.0, 40.0], [(30.0, 2)], 2, 70),
        ([5.0, 10.0, 15.0], [(30.0, 1)], 2, 40),
        ([], [(100.0, 1), (10.0, 5)], 2, 100),
    ],
)
def test_the_next_job_goes_to_the_next_free_slot_when_the_rest_is_planned(
    rests: list[float], queue: list[tuple[float, int]], slots: int, expected: float
) -> None:
    """Above the limit, the tasks that end first free no slot."""
    assert finished_after(rests, queue, slots) == expected


def test_a_long_queue_is_divided_by_the_slots_when_it_is_planned() -> None:
    """A hundred thousand jobs are not followed one by one, and come out the same."""
    assert finished_after([], [(10.0, 60_000), (40.0, 40_000)], 100) == pytest.approx(22_000, rel=0.01)
