"""What is checked while a run goes on: each paid request as it leaves, each event when it is told, each rest."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from pipeline.core.events import BatchStarted, Event, JobLeft, JobMoved, SlotsChanged, Stopping
from pipeline.core.jobs import Job, JobState, Outcome, Stage
from pipeline.engine.batch import Batch
from pipeline.engine.ceiling import MOST
from pipeline.ledger import LEDGER_NAME
from pipeline.settings import Settings
from tests.engine.snapshot import Snapshot
from tests.engine.world import TRACEABLE, UNREADABLE, Onlooker, World

End = tuple[str, int, str | None, JobState]
"""Job, attempt, task and state."""

_ON_DISK = "SELECT state, attempt, task_id FROM jobs WHERE job_id = ?"
_LOOK_BEFORE_BUYING = 5.0
"""Seconds between the producer's last look at the disk and its paid request, slow ledger and waiting included."""


@dataclass(slots=True)
class Told:
    """What all runs of a seed together have told or sent; whoever was told may rely on it."""

    tasks: set[str] = field(default_factory=set)
    ends: Counter[End] = field(default_factory=Counter)
    risked: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Requests that may have created something, by job and attempt."""


class Watch(Onlooker):
    """The eyes and ears of the checker over one run. What it sees amiss stands in `complaints`."""

    def __init__(
        self, settings: Settings, world: World, folder: Path, told: Told, before: Snapshot, time: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._world = world
        self._path = folder / LEDGER_NAME
        self._told = told
        self._time = time
        self._charged_before, self._tasks_before = world.charged(), len(world.tasks)
        self._connection: sqlite3.Connection | None = None
        self._refused: set[str | None] = set()
        self._stopped: str | None = None
        self.submitted: set[str] = set()
        self._bought: set[str] = set()
        self._fetching = {
            id_ for id_, row in before.rows.items() if row.state is JobState.FETCHING or row.download_again
        }
        self._adopted = sum(row.state in {JobState.RUNNING, JobState.SUBMITTING} for row in before.rows.values())
        self._started = False
        self._in_use = 0
        self._in_hand: set[str] = set()
        self._changed = False
        """The number of slots changed since the last rest."""
        self._beyond = 0
        """Jobs taken up while more slots were in use than are allowed."""
        self.batch: Batch | None = None
        self.complaints: list[str] = []
        self.events = 0
        self.dead = False
        self.asked_to_stop: float | None = None

    def close(self) -> None:
        """Look no more."""
        if self._connection is not None:
            self._connection.close()

    def selects_something(self) -> bool:
        """Whether this run wants any job that is in the ledger."""
        names = [name for (name,) in self._look().execute("SELECT job_id FROM jobs")]
        return any(fnmatchcase(name, self._settings.select or "*") for name in names)

    # -- events -------------------------------------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """A listener of the batch; the dead tell nothing."""
        if self.dead:
            return
        self.events += 1
        match event:
            case BatchStarted():
                self._started, self._changed = True, True
            case JobMoved():
                self._moved(event)
            case SlotsChanged():
                self._changed = True
            case JobLeft():
                self._world.left.add(event.job_id)
                self._fetching.discard(event.job_id)
            case Stopping():
                self._stops(event)

    def _moved(self, event: JobMoved) -> None:
        job_id = event.job.job_id
        if event.task_id is not None:
            self._told.tasks.add(event.task_id)
        if event.state is JobState.RUNNING and job_id in self.submitted:
            self._count_bought(job_id)
        if event.state is JobState.FETCHING:
            self._fetching.add(job_id)
        if event.state is JobState.UNKNOWN:
            self._world.left.add(job_id)
        if event.state.ended:
            self._fetching.discard(job_id)
            if not may_come_again(event.outcome):
                self._told.ends[job_id, event.attempt, event.task_id, event.state] += 1
        for file in event.outcome.files if event.outcome else ():
            if file.path not in self._world.files:
                self._complain(f"job {job_id} was called done before {file.path} was whole")

    def _stops(self, event: Stopping) -> None:
        if event.reason in {"signal", "deadline"} and self.asked_to_stop is None:
            self.asked_to_stop = self._time()
        if event.reason != "refused":  # the truth itself tells of refusals, and whether they are a model's
            self._stopped = event.reason

    # -- requests -----------------------------------------------------------------------------------------------------

    def submit_leaves(self, job: Job) -> int:
        state, attempt, _ = self._on_disk(job.job_id)
        self.submitted.add(job.job_id)
        what = f"a submit of job {job.job_id} left"
        if state != JobState.SUBMITTING:
            self._complain(f"{what} without a durable intent: it is {state} on disk")
        if None in self._refused:
            self._complain(f"{what} after the account was refused")
        if job.model in self._refused:
            self._complain(f"{what} after its model was refused")
        if self._stopped is not None:
            self._complain(f"{what} after submitting had stopped: {self._stopped}")
        if not fnmatchcase(job.job_id, self._settings.select or "*"):
            self._complain(f"{what} though it was not selected")
        window = self._world.odds.disk_full
        if window.holds(self._world.age) and window.holds(self._world.age - _LOOK_BEFORE_BUYING):
            self._complain(f"{what} while the disk was full")
        return attempt

    def submit_risked(self, job: Job, attempt: int) -> None:
        self._told.risked[job.job_id, attempt] += 1
        if job.model in TRACEABLE:
            return  # the same id of ours makes a second task of an attempt impossible, however often it is asked for
        self._count_bought(job.job_id)
        if self._told.risked[job.job_id, attempt] > 1:
            self._complain(f"attempt {attempt} of job {job.job_id} was sent twice")

    def _count_bought(self, job_id: str) -> None:
        self._bought.add(job_id)
        if self._settings.limit is not None and len(self._bought) > self._settings.limit:
            self._complain(f"{len(self._bought)} jobs were bought with a limit of {self._settings.limit}")

    def created(self) -> None:
        self.check_spending()

    def check_spending(self) -> None:
        """What the service could charge at worst never goes beyond the caps of the run in which it grew."""
        settings, charged, tasks = self._settings, self._world.charged(), len(self._world.tasks)
        if settings.budget is not None and charged > max(settings.budget * 1_000_000, self._charged_before):
            self._complain(f"{charged / 1e6:g} could be charged with a budget of {settings.budget}")
        if settings.max_jobs is not None and tasks > max(settings.max_jobs, self._tasks_before):
            self._complain(f"{tasks} tasks were bought with a cap of {settings.max_jobs}")

    def accepted(self) -> None:
        concurrency = MOST if self._settings.concurrency == "auto" else self._settings.concurrency
        slots, in_flight = max(concurrency, self._adopted), self._world.in_flight()
        if in_flight > slots:
            self._complain(f"{in_flight} tasks were in flight on {slots} slots")

    def question_leaves(self, job_id: str, task_id: str) -> None:
        state, _, known = self._on_disk(job_id)
        if known != task_id:
            self._complain(f"task {task_id} was asked about before its id was durable: job {job_id} is {state} on disk")

    def refused(self, model: str | None) -> None:
        self._refused.add(model)

    def collided(self, output: str) -> None:
        self._complain(f"two downloads wrote to {output} at a time")

    # -- rest ---------------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Time is about to pass: whoever holds a slot now holds it on purpose."""
        if self.batch is None or not self._started or self.dead:
            return
        slots, in_hand = self.batch.account.slots, set(self.batch._desk._in_hand)
        self._check_slots(slots.in_use, slots.limit, len(in_hand - self._in_hand))
        self._in_use, self._in_hand, self._changed = slots.in_use, in_hand, False
        self._check_need(slots.in_use, len(in_hand - self._fetching))

    def _check_slots(self, in_use: int, limit: int, taken_up: int) -> None:
        """Where the number of slots has shrunk, those in use stay, and no new ones are given out beyond it."""
        if self._changed or in_use <= limit:
            self._beyond = 0
            return
        self._beyond += taken_up
        # The producer may have held one slot without a job when the number shrank.
        if in_use > self._in_use or self._beyond > 1:
            self._complain(f"{in_use} slots were in use with {limit} allowed, and jobs were taken up all the same")

    def _check_need(self, in_use: int, jobs: int) -> None:
        needed = jobs + 1  # the producer takes a slot before it takes a job
        if in_use > needed:
            self._complain(f"{in_use} slots were in use for {jobs} jobs that are not fetched yet")

    def _on_disk(self, job_id: str) -> tuple[str, int, str | None]:
        """State, attempt and task of a job as a crash in this moment would leave them."""
        with closing(self._look().execute(_ON_DISK, (job_id,))) as cursor:
            row: tuple[str, int, str | None] = cursor.fetchone()
        return row

    def _look(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path)
        return self._connection

    def _complain(self, sentence: str) -> None:
        if not self.dead:
            self.complaints.append(sentence)


def may_come_again(outcome: Outcome | None) -> bool:
    """A download may fail once in every run, and this machine may refuse a job as often as it is asked to buy it."""
    failure = outcome.failure if outcome else None
    return failure is not None and (failure.stage is Stage.DOWNLOAD or failure.code == UNREADABLE)
