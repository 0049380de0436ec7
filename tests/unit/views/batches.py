"""Events as a run tells them, a clock that is moved by hand, and whole batches played on it."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from pipeline.core.events import BatchPriced, BatchStarted, Event, JobMoved
from pipeline.core.jobs import Failure, Job, JobState, Outcome, Source, Stage, StoredFile
from pipeline.core.money import Actual, Quote
from pipeline.views.standing import Subject
from pipeline.views.tally import Tally


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def job(job_id: str, resolution: str | None = None) -> Job:
    parameters = {"resolution": resolution} if resolution else {}
    return Job(job_id, "d", "m", {}, parameters, f"{job_id}.mp4", Source("m.yaml", 1))


def quote(resolution: str | None = None, expected: int | None = 900_000, takes: float | None = None) -> Quote:
    """What such a job costs: 0.90 CNY unless another amount is given."""
    return Quote(
        job("any", resolution).kind, "m", resolution, currency="CNY", expected=expected, worst=expected, takes=takes
    )


def moved(
    job_id: str,
    state: JobState,
    stage: Stage = Stage.SUBMIT,
    *,
    resolution: str | None = None,
    price: Quote | None = None,
    actual: Actual | None = None,
    code: str = "code",
) -> JobMoved:
    failure = Failure(stage, code, f"message of {job_id}") if state in (JobState.FAILED, JobState.UNKNOWN) else None
    files = (StoredFile(f"videos/{job_id}.mp4", 1_000_000, "ab", "u"),) if state is JobState.DONE else ()
    outcome = Outcome(state, files, failure) if state.ended else None
    return JobMoved(0.0, job(job_id, resolution), state, 1, outcome=outcome, quote=price, actual=actual)


def life(job_id: str) -> Iterator[JobMoved]:
    for state in (JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING, JobState.DONE):
        yield moved(job_id, state)


def started(*, slots: int | None = None, **counts: int) -> BatchStarted:
    states = {JobState(name): count for name, count in counts.items()}
    return BatchStarted(0.0, states, counts.get("queued", 0), slots)


def priced(quotes: Mapping[Quote, int]) -> BatchPriced:
    return BatchPriced(0.0, quotes, (), None)


def told(*events: Event, time: Time | None = None, subject: Subject | None = None) -> Tally:
    tally = Tally(time or Time(), subject)
    for event in events:
        tally.hear(event)
    return tally


# -- whole batches -----------------------------------------------------------------------------------------------------

Law = Callable[[random.Random, str | None], float]
"""Seconds that a task of a resolution takes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is played, in seconds."""

    jobs: int
    slots: int
    law: Law
    documented: Callable[[str | None], float | None] = lambda _resolution: None
    resolution: Callable[[int], str | None] = lambda _number: None
    download: float = 1.0
    downloads: int = 4
    spacing: float = 0.0
    """Between two submits."""
    failing: float = 0.02
    """The part of the tasks that fail."""
    look: float = 1.0
    """Between two looks at the estimate."""
    seed: int = 1


@dataclass(slots=True)
class Estimates:
    """What was said about the end of a batch, and when it came."""

    end: float = 0.0
    seen: list[tuple[float, float | None]] = field(default_factory=list)

    def errors(self, after: float = 0.0) -> list[float]:
        """How wrong each was, as a part of the whole batch, from this part of it on."""
        told = [(at, eta) for at, eta in self.seen if eta is not None and at >= after * self.end]
        return [abs(at + eta - self.end) / self.end for at, eta in told]

    def jump(self) -> float:
        """The largest change from one look to the next beyond the time that passed, as a part of the whole batch."""
        told = [(at, eta) for at, eta in self.seen if eta is not None and at < 0.98 * self.end]
        return max(abs(later + then - at - eta) for (at, eta), (then, later) in itertools.pairwise(told)) / self.end


def play(batch: Batch) -> Estimates:
    """Play the batch on a clock of its own, and look at the estimate again and again."""
    return _Play(batch).play()


class _Play:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.rng = random.Random(batch.seed)
        self.time = Time()
        self.time.now = 0.0
        self.tally = Tally(self.time, Subject(downloads=batch.downloads))
        self.due: list[tuple[float, int, str, int]] = []
        self.left = list(range(batch.jobs))[::-1]
        self.free_slots, self.free_downloads = batch.slots, batch.downloads
        self.to_fetch: list[int] = []
        self.submit_at = 0.0
        self.step = 0

    def play(self) -> Estimates:
        found, look, open_jobs = Estimates(), 0.0, self.batch.jobs
        quotes: dict[Quote, int] = {}
        for number in range(self.batch.jobs):
            quotes[self.quote(number)] = quotes.get(self.quote(number), 0) + 1
        self.tally.hear(priced(quotes))
        self.tally.hear(started(queued=self.batch.jobs, slots=self.batch.slots))
        self.submit()
        while open_jobs:
            at, _, what, number = heappop(self.due)
            while look < at:
                self.time.now = look
                found.seen.append((look, self.tally.standing().eta))
                look += self.batch.look
            self.time.now = at
            open_jobs -= getattr(self, what)(number)
        found.end = self.time.now
        return found

    def quote(self, number: int) -> Quote:
        resolution = self.batch.resolution(number)
        return quote(resolution, takes=self.batch.documented(resolution))

    def at(self, seconds: float, what: str, number: int) -> None:
        self.step += 1
        heappush(self.due, (self.time.now + seconds, self.step, what, number))

    def tell(self, number: int, state: JobState, stage: Stage = Stage.GENERATE, price: Quote | None = None) -> None:
        self.tally.hear(moved(str(number), state, stage, resolution=self.batch.resolution(number), price=price))

    def submit(self) -> None:
        while self.free_slots and self.left:
            self.free_slots -= 1
            self.submit_at = max(self.submit_at, self.time.now)
            self.at(self.submit_at - self.time.now, "submitting", self.left.pop())
            self.submit_at += self.batch.spacing

    def submitting(self, number: int) -> int:
        self.tell(number, JobState.SUBMITTING, price=self.quote(number))
        self.at(self.rng.uniform(0.1, 0.3), "running", number)
        return 0

    def running(self, number: int) -> int:
        self.tell(number, JobState.RUNNING)
        takes = self.batch.law(self.rng, self.batch.resolution(number))
        self.at(takes + self.rng.expovariate(2.0), "ended", number)
        return 0

    def ended(self, number: int) -> int:
        failed = self.rng.random() < self.batch.failing
        self.tell(number, JobState.FAILED if failed else JobState.FETCHING)
        self.free_slots += 1
        self.submit()
        if not failed:
            self.to_fetch.append(number)
            self.fetch()
        return int(failed)

    def fetch(self) -> None:
        while self.free_downloads and self.to_fetch:
            self.free_downloads -= 1
            self.at(self.batch.download * self.rng.uniform(0.5, 1.5), "fetched", self.to_fetch.pop(0))

    def fetched(self, number: int) -> int:
        self.tell(number, JobState.DONE)
        self.free_downloads += 1
        self.fetch()
        return 1
