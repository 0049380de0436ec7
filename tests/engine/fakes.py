"""Scripted fakes of the ports, and a theatre that plays whole runs with them on virtual time and a real ledger."""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pipeline.core.body import Body
from pipeline.core.errors import LedgerError, PipelineError
from pipeline.core.events import Event, JobMoved
from pipeline.core.jobs import EVERY_STATE, Job, JobState, Record, StoredFile, Task, TaskReport, TaskState
from pipeline.core.money import Actual, Quote
from pipeline.core.ports import Prices
from pipeline.engine.batch import Batch, Summary
from pipeline.engine.desk import Stop
from pipeline.ledger import InlineCommitter, Ledger
from pipeline.settings import Settings
from tests.engine.virtual import play
from tests.engine.world import BASE_URL, make_job

EPOCH = 1_700_000_000.0
"""Unix seconds at loop time 0."""
SIGNAL = Stop("signal", "SIGTERM received")

T = TypeVar("T")

Trouble = BaseException | None
RUNNING = TaskReport(TaskState.RUNNING, "Running")


def now() -> float:
    """Loop time."""
    return asyncio.get_running_loop().time()


def first(*troubles: Trouble) -> Callable[..., Trouble]:
    """A script by number: the first calls meet the given troubles (None: no trouble), all later ones none."""
    return lambda number, *_: troubles[number - 1] if number <= len(troubles) else None


def jobs(count: int, model: str = "Wan-AI/Wan2.2-I2V") -> list[Job]:
    """`j1`, `j2`, …"""
    return [make_job(f"j{number}", model) for number in range(1, count + 1)]


def success(task_id: str, videos: int = 1, link: str = "a", usage: Mapping[str, Any] | None = None) -> TaskReport:
    """A finished task with that many URLs, and what the service says that it came to."""
    urls = tuple(f"https://results.example/{link}/{task_id}/{n}" for n in range(1, videos + 1))
    return TaskReport(TaskState.SUCCEEDED, "Success", urls, usage=usage or {})


@dataclass(frozen=True, slots=True)
class FakePrices:
    """`Prices` by script; amounts in whole units of money, lengths in whole seconds, None where nobody knows."""

    worst: Callable[[str], float | None] = lambda _job_id: 2
    """What a job costs at worst, by its id; the half of it is expected."""
    longest: Callable[[str], int | None] = lambda _job_id: 5
    currency: Callable[[str], str] = lambda _job_id: "CNY"

    def quote(self, job: Job) -> Quote:
        worst, longest = self.worst(job.job_id), self.longest(job.job_id)
        seconds = None if longest is None else longest * 1000
        if worst is None:
            return Quote(job.kind, job.model, seconds=seconds, longest=seconds)
        most = round(worst * 1_000_000)
        return Quote(job.kind, job.model, None, seconds, seconds, self.currency(job.job_id), most // 2, most)

    def actual(self, _job: Job, usage: Mapping[str, Any]) -> Actual:
        """As the usage says it: `cost` in units, `seconds`."""
        cost, seconds = usage.get("cost"), usage.get("seconds")
        micro, thousandths = (None if cost is None else round(cost * 1_000_000)), seconds and round(seconds * 1000)
        return Actual(micro, thousandths, "CNY")


@dataclass(slots=True)
class FakeService:
    """`Service` by script. Every call takes its time and is on record; without a script everything goes well."""

    duration: float = 10.0
    """Seconds from a submit's answer to the end of its task."""
    connecting_takes: float = 0.0
    """Seconds until a paid request leaves."""
    submit_takes: float = 0.5
    status_takes: float = 0.1
    on_prepare: Callable[[Job], Trouble] = lambda _job: None
    on_submit: Callable[[int, Job], Trouble] = lambda _number, _job: None
    """Asked with the number of the request (from 1), over all jobs."""
    on_status: Callable[[int, str], TaskReport | Trouble] = lambda _number, _job_id: None
    """Asked with the number of the question about this job's task (from 1); None: by the task's duration."""
    on_find: Callable[[int, str], Task | Trouble] = lambda _number, _external_id: None
    """Asked with the number of the look-up (from 1) and our own id; None: there is no such task."""
    usage: Callable[[str], Mapping[str, Any]] = lambda _job_id: {}
    """What the task of a job came to, as the answer about its good end says."""
    base_url: str = BASE_URL
    looked_up: list[str] = field(default_factory=list)
    looked_up_at: list[str] = field(default_factory=list)
    """The hosts, in the same order."""
    prepared: list[str | None] = field(default_factory=list)
    """Our own ids in the bodies, in order."""
    sent: list[tuple[float, str]] = field(default_factory=list)
    """When each paid request left, and for which job."""
    asked: list[tuple[float, str]] = field(default_factory=list)
    created: dict[str, float] = field(default_factory=dict)
    """When each accepted task ends."""

    def traceable(self, job: Job) -> bool:
        return job.model == "kling-v3"

    async def prepare(self, job: Job, external_id: str | None = None) -> Body:
        _raise(self.on_prepare(job))
        self.prepared.append(external_id)
        return Body.of(job.digest.encode())

    async def find(self, external_id: str, base_url: str) -> Task | None:
        self.looked_up.append(external_id)
        self.looked_up_at.append(base_url)
        await asyncio.sleep(self.status_takes)
        answer = self.on_find(len(self.looked_up), external_id)
        if isinstance(answer, Task):
            self.created.setdefault(answer.task_id, now() + self.duration)
            return answer
        _raise(answer)
        return None

    async def submit(self, job: Job, body: Body, wanted: Callable[[], bool]) -> Task | None:
        if self.connecting_takes:
            await asyncio.sleep(self.connecting_takes)
            if not wanted():
                return None
        body.sent = True
        self.sent.append((now(), job.job_id))
        number = len(self.sent)
        await asyncio.sleep(self.submit_takes)
        _raise(self.on_submit(number, job))
        task_id = f"t{number}-{job.job_id}"
        self.created[task_id] = now() + self.duration
        return Task(task_id, self.base_url)

    async def status(self, task: Task) -> TaskReport:
        job_id = task.task_id.partition("-")[2]
        self.asked.append((now(), job_id))
        number = self.questions[job_id]
        await asyncio.sleep(self.status_takes)
        answer = self.on_status(number, job_id)
        if isinstance(answer, TaskReport):
            return answer
        _raise(answer)
        if now() < self.created[task.task_id]:
            return RUNNING
        return success(task.task_id, usage=self.usage(job_id))

    @property
    def questions(self) -> Counter[str]:
        """How often each job was asked about."""
        return Counter(job_id for _, job_id in self.asked)

    @property
    def sent_jobs(self) -> list[str]:
        """Which jobs were submitted, in order."""
        return [job_id for _, job_id in self.sent]

    @property
    def sent_at(self) -> list[float]:
        """When."""
        return [at for at, _ in self.sent]


@dataclass(slots=True)
class FakeStore:
    """`VideoStore` by script."""

    takes: float = 1.0
    on_fetch: Callable[[int, str, str], Trouble] = lambda _number, _url, _output: None
    """Asked with the number of the try of this output (from 1), the URL and the output."""
    free: Callable[[], int] = lambda: 10**12
    tried: list[tuple[float, str, str]] = field(default_factory=list)
    """When, which URL, to which output."""
    discarded: list[str] = field(default_factory=list)

    def free_bytes(self) -> int:
        return self.free()

    async def fetch(self, url: str, output: str) -> StoredFile:
        self.tried.append((now(), url, output))
        number = sum(output == earlier for _, _, earlier in self.tried)
        await asyncio.sleep(self.takes)
        _raise(self.on_fetch(number, url, output))
        return StoredFile(f"videos/{output}", len(url), hashlib.sha256(url.encode()).hexdigest(), url)

    async def discard(self, output: str) -> None:
        self.discarded.append(output)

    async def verify(self, file: StoredFile) -> str | None:
        return None


def _raise(trouble: Any) -> None:
    if isinstance(trouble, BaseException):
        raise trouble


@dataclass(frozen=True, slots=True)
class Played:
    """What one run looked like from outside."""

    summary: Summary | None
    error: BaseException | None
    events: list[Event]
    began: float
    ended: float
    moved: bool

    @property
    def exit_code(self) -> int:
        assert self.summary is not None, f"the run ended with {self.error!r}"
        return self.summary.exit_code

    @property
    def counts(self) -> dict[str, int]:
        """Jobs by state, without the empty states."""
        assert self.summary is not None, f"the run ended with {self.error!r}"
        return {str(state): n for state, n in self.summary.counts.items() if n}

    @property
    def stops(self) -> list[str]:
        """The reasons why submitting ended early."""
        return [] if self.summary is None else [stop.reason for stop in self.summary.stops]

    @property
    def took(self) -> float:
        return self.ended - self.began

    def moves(self, job_id: str) -> list[str]:
        """The states that a job went through."""
        moved = (event for event in self.events if isinstance(event, JobMoved))
        return [str(event.state) for event in moved if event.job.job_id == job_id]

    def all(self, kind: type[Event]) -> list[Any]:
        """The events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]


class LoopClock:
    """The clock of whatever loop runs."""

    def time(self) -> float:
        return EPOCH + now()

    def monotonic(self) -> float:
        return now()


class Theatre:
    """One output folder; each `run` is a process of its own, five seconds after the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 0.0

    def run(
        self,
        rows: Sequence[Job],
        service: FakeService,
        store: FakeStore | None = None,
        *,
        at: Mapping[float, Callable[[Batch], object]] | None = None,
        before_commit: Callable[[], None] | None = None,
        prices: Prices | None = None,
        moves: Container[JobState] = EVERY_STATE,
        **settings: Any,
    ) -> Played:
        """Play one run to its end. `at`: what happens to the batch so many seconds after the start.

        `moves`: the states in which its listener wants to hear of a job.
        """
        made = Settings(**settings)

        async def story() -> Played:
            ledger = await self._open(before_commit)
            try:
                return await self._perform(ledger, rows, service, store or FakeStore(), at or {}, made, prices, moves)
            finally:
                with suppress(LedgerError):  # a broken one says so again, behind the error that is already told
                    await ledger.close()

        played = play(story(), since=self.now)
        self.now = played.ended + 5.0
        return played

    def between_runs(self, act: Callable[[Ledger], Awaitable[T]]) -> T:
        """Do something to the ledger while no batch runs."""

        async def story() -> T:
            async with await self._open() as ledger:
                return await act(ledger)

        return play(story(), since=self.now)

    def record(self, job_id: str) -> Record:
        """What the ledger knows of a job, between two runs."""
        record = self.between_runs(lambda ledger: ledger.record(job_id))
        assert record is not None
        return record

    def results(self) -> list[dict[str, Any]]:
        """The lines of the results file."""
        return [json.loads(line) for line in (self.folder / "results.jsonl").read_text("utf-8").splitlines()]

    async def _open(self, before_commit: Callable[[], None] | None = None) -> Ledger:
        return await Ledger.open(
            self.folder,
            run_id=f"run-{self.now:.0f}",
            at=EPOCH + now(),
            committer=lambda folder: InlineCommitter(folder, before_commit),
        )

    async def _perform(
        self,
        ledger: Ledger,
        rows: Sequence[Job],
        service: FakeService,
        store: FakeStore,
        at: Mapping[float, Callable[[Batch], object]],
        settings: Settings,
        prices: Prices | None,
        moves: Container[JobState],
    ) -> Played:
        events: list[Event] = []
        batch = Batch(
            ledger,
            service,
            store,
            settings,
            clock=LoopClock(),
            listener=events.append,
            rng=random.Random(1),
            prices=prices,
            moves=moves,
        )
        began = now()
        cues = [asyncio.get_running_loop().call_later(after, cue, batch) for after, cue in at.items()]
        summary, error = None, None
        try:
            summary = await batch.run(rows)
        except (PipelineError, BaseExceptionGroup) as raised:
            error = raised
        for cue in cues:
            cue.cancel()
        assert batch.account.slots.in_use == 0, "every slot comes back, however the run ends"
        return Played(summary, error, events, began, now(), batch.moved)
