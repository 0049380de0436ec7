"""A simulated service and result host that keep the truth, so that a checker can hold the engine to its promises."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.core.clock import Clock
from pipeline.core.errors import (
    AmbiguousError,
    FatalError,
    InterruptedDownloadError,
    LinkExpiredError,
    NoSpaceError,
    RateLimitedError,
    RejectedError,
    Scope,
    ServiceError,
    TransientError,
    UnusableResultError,
)
from pipeline.core.jobs import Job, Source, StoredFile, Task, TaskReport, TaskState

BASE_URL = "https://service.example"
TRACEABLE = frozenset({"kling-v3"})
"""Models that carry a caller's id."""
UNREADABLE = "file_changed"
"""The code with which this machine refuses a job: free of charge, and no attempt."""


def make_job(name: str, model: str = "Wan-AI/Wan2.2-I2V") -> Job:
    """A job that is complete in itself."""
    content = {"image_url": f"https://example.com/{name}.jpg"}
    digest = hashlib.sha256(f"{model}{content}".encode()).hexdigest()
    return Job(name, digest, model, content, {}, f"{name}.mp4", Source("jobs.yaml", 1))


@dataclass(frozen=True, slots=True)
class Odds:
    """How often things go wrong; probabilities, counts and seconds."""

    lost_before: float = 0.0
    """The answer is lost and no task exists."""
    lost_after: float = 0.0
    """The answer is lost and a task exists."""
    outage: float = 0.0
    rate_limited: float = 0.0
    rejected: float = 0.0
    fatal_after: int | None = None
    """The account is refused from this submit on."""
    account_limit: int | None = None
    """More tasks at a time are answered with 429."""
    status_failure: float = 0.0
    status_rate_limited: float = 0.0
    invisible: float = 0.0
    """A fresh task id is not known at first."""
    strange_word: float = 0.0
    task_failure: float = 0.0
    stuck: float = 0.0
    empty_success: float = 0.0
    second_video: float = 0.0
    link_life: float = 1e9
    cut: float = 0.0
    unusable: float = 0.0
    no_space: float = 0.0
    low_disk: float = 0.0
    """A look at the free space finds too little."""
    unreadable: float = 0.0
    """This machine refuses to prepare a job."""
    latency: float = 0.2
    duration: float = 30.0


@dataclass(slots=True)
class TrueTask:
    """What really exists at the service, and is paid for."""

    task_id: str
    job_id: str
    created: float
    ends: float
    state: TaskState
    videos: int
    told: bool = False
    """The answer with the id has left the service."""
    asked: int = 0
    empty_answers: int = 0
    invisible: int = 0


@dataclass(slots=True)
class World:
    """The truth, over all runs."""

    rng: random.Random
    odds: Odds
    clock: Clock
    tasks: dict[str, TrueTask] = field(default_factory=dict)
    by_external_id: dict[str, TrueTask] = field(default_factory=dict)
    posts: Counter[str] = field(default_factory=Counter)
    """Paid requests that arrived, by job."""
    risky_posts: Counter[str] = field(default_factory=Counter)
    """…of which the sender cannot be sure that they created nothing."""
    files: dict[str, str] = field(default_factory=dict)
    """Whole files, by path: the URL's essence."""
    left: set[str] = field(default_factory=set)
    """Jobs that this run looks after no more, though their tasks may go on."""
    most_in_flight: int = 0
    refused_at: float | None = None
    """When the service first told the client of this run that the account is refused."""
    posts_after_refusal: int = 0
    questions: int = 0
    on_disk: Callable[[str], tuple[str, str | None]] = lambda _job_id: ("submitting", None)
    """State and task id of a job as a crash in this moment would leave them."""
    hasty: list[str] = field(default_factory=list)
    """Calls that left before the disk knew what they were about."""
    bug_after: int | None = None
    """So many calls of this run go well; the next one meets a bug in a port."""

    @property
    def now(self) -> float:
        """Unix seconds, in virtual time."""
        return self.clock.time()

    def in_flight(self) -> int:
        """Tasks that the service works on now and that the client knows of and looks after."""
        return sum(task.told and task.ends > self.now and task.job_id not in self.left for task in self.tasks.values())

    def only_known(self, job_ids: set[str]) -> None:
        """A new client: of the tasks that exist it knows those of the given jobs."""
        for task in self.tasks.values():
            task.told = task.told and task.job_id in job_ids

    def called(self) -> None:
        """A port is called. Raises ZeroDivisionError where it is time for the bug."""
        if self.bug_after is None:
            return
        self.bug_after -= 1
        if self.bug_after < 0:
            raise ZeroDivisionError("a bug in a port")

    def leaves(self, call: str, job_id: str, task_id: str | None = None) -> None:
        """A call is about to leave the client."""
        state, known = self.on_disk(job_id)
        if (call == "submit" and state != "submitting") or (task_id is not None and task_id != known):
            self.hasty.append(f"{call} of job {job_id}, which is {state} with task {known}")

    def by_job(self) -> Counter[str]:
        """Paid tasks of each job."""
        return Counter(task.job_id for task in self.tasks.values())


class SimulatedService:
    """`Service` with odds; each call takes virtual time before and after the moment of truth."""

    base_url = BASE_URL

    def __init__(self, world: World) -> None:
        self._world = world

    def traceable(self, job: Job) -> bool:
        return job.model in TRACEABLE

    async def prepare(self, job: Job, external_id: str | None = None) -> bytes:
        await asyncio.sleep(0)
        self._world.called()
        if self._luck(self._world.odds.unreadable):
            raise RejectedError("the picture has changed", code=UNREADABLE)
        return f"{job.digest} {external_id or ''}".encode()

    async def submit(self, job: Job, body: bytes) -> Task:
        world, odds = self._world, self._world.odds
        world.leaves("submit", job.job_id)
        if world.refused_at is not None:
            world.posts_after_refusal += 1
        await self._latency()
        world.called()
        world.posts[job.job_id] += 1
        refusal = self._refusal(job)
        if refusal is not None:
            await self._latency()
            if isinstance(refusal, FatalError) and world.refused_at is None:
                world.refused_at = world.now
            raise refusal
        external_id = body.decode().partition(" ")[2]
        if external_id and external_id in world.by_external_id:
            await self._latency()
            raise RejectedError("external_task_id must be unique", code="param_error", http_status=400)
        world.risky_posts[job.job_id] += 1
        if self._luck(odds.lost_before):
            raise AmbiguousError("the connection was lost", code="connection_lost")
        task = self._create(job)
        if external_id:
            world.by_external_id[external_id] = task
        await self._latency()
        if self._luck(odds.lost_after):
            raise AmbiguousError("the connection was lost", code="connection_lost")
        task.told = True
        world.most_in_flight = max(world.most_in_flight, world.in_flight())
        return Task(task.task_id, BASE_URL, request_id="r")

    async def status(self, task: Task) -> TaskReport:
        world = self._world
        world.questions += 1
        world.leaves("status", world.tasks[task.task_id].job_id, task.task_id)
        await self._latency()
        world.called()
        self._fail_question()
        report = self._report(world.tasks[task.task_id])
        await self._latency()
        return report

    async def find(self, external_id: str) -> Task | None:
        await self._latency()
        self._world.called()
        self._fail_question()
        truth = self._world.by_external_id.get(external_id)
        await self._latency()
        if truth is None:
            return None
        truth.told = True
        return Task(truth.task_id, BASE_URL)

    def _refusal(self, job: Job) -> ServiceError | None:
        world, odds = self._world, self._world.odds
        if odds.fatal_after is not None and sum(world.posts.values()) > odds.fatal_after:
            return FatalError("quota exceeded", code="forbidden", http_status=403, scope=Scope.RUN)
        running = sum(task.ends > world.now for task in world.tasks.values())
        if odds.account_limit is not None and running >= odds.account_limit:
            return RateLimitedError("too many", code="rate_limit", http_status=429)
        if self._luck(odds.rate_limited):
            after = world.rng.choice([None, 1.0, 7.0])
            return RateLimitedError("too many", code="rate_limit", http_status=429, retry_after=after)
        if self._luck(odds.outage):
            return TransientError("try later", code="unavailable", http_status=503)
        if self._luck(odds.rejected):
            return RejectedError("sensitive", code="sensitive_check_error", http_status=400)
        return None

    def _fail_question(self) -> None:
        odds = self._world.odds
        if self._luck(odds.status_failure):
            raise TransientError("gateway timeout", code="gateway_timeout_error", http_status=504)
        if self._luck(odds.status_rate_limited):
            raise RateLimitedError("too many", code="rate_limit", http_status=429)

    def _create(self, job: Job) -> TrueTask:
        world, odds = self._world, self._world.odds
        duration = world.rng.lognormvariate(0.0, 0.4) * odds.duration
        if self._luck(odds.stuck):
            duration += 50_000.0
        bad = world.rng.choice([TaskState.FAILED, TaskState.EXPIRED, TaskState.CANCELLED])
        task = TrueTask(
            f"t{len(world.tasks):04d}-{job.job_id}",
            job.job_id,
            created=world.now,
            ends=world.now + duration,
            state=bad if self._luck(odds.task_failure) else TaskState.SUCCEEDED,
            videos=2 if self._luck(odds.second_video) else 1,
            empty_answers=2 if self._luck(odds.empty_success) else 0,
            invisible=2 if self._luck(odds.invisible) else 0,
        )
        world.tasks[task.task_id] = task
        return task

    def _report(self, truth: TrueTask) -> TaskReport:
        world = self._world
        truth.asked += 1
        if truth.asked <= truth.invisible:
            raise RejectedError("no such task", code="not_found", http_status=404)
        if self._luck(world.odds.strange_word):
            return TaskReport(TaskState.UNRECOGNISED, "Dreaming")
        if truth.ends > world.now:
            return TaskReport(TaskState.RUNNING, "Running")
        if truth.state is not TaskState.SUCCEEDED:
            return TaskReport(truth.state, str(truth.state), error_message="code=Oops, message=it failed")
        if truth.empty_answers > 0:
            truth.empty_answers -= 1
            return TaskReport(truth.state, "Success")
        expires = world.now + world.odds.link_life
        urls = tuple(f"https://results.example/{truth.task_id}/{n}?expires={expires}" for n in range(truth.videos))
        return TaskReport(truth.state, "Success", urls, submit_time=truth.created, finish_time=truth.ends)

    def _luck(self, probability: float) -> bool:
        return probability > 0 and self._world.rng.random() < probability

    async def _latency(self) -> None:
        await asyncio.sleep(self._world.rng.expovariate(1.0 / self._world.odds.latency))


class SimulatedStore:
    """`VideoStore` with odds; a file is in `World.files` whole or not at all."""

    def __init__(self, world: World) -> None:
        self._world = world

    def free_bytes(self) -> int:
        return 0 if self._world.rng.random() < self._world.odds.low_disk else 10**12

    async def fetch(self, url: str, output: str) -> StoredFile:
        world, odds = self._world, self._world.odds
        await asyncio.sleep(world.rng.expovariate(1.0 / 2.0))
        world.called()
        essence, _, expires = url.partition("?expires=")
        if float(expires) < world.now:
            raise LinkExpiredError("forbidden", code="link_expired", http_status=403)
        if world.rng.random() < odds.cut:
            raise InterruptedDownloadError("cut", code="cut")
        if world.rng.random() < odds.unusable:
            raise UnusableResultError("it is a web page", code="not_a_video")
        if world.rng.random() < odds.no_space:
            raise NoSpaceError("no space is left for videos")
        path = f"videos/{output}"
        world.files[path] = essence
        return StoredFile(path, len(essence), hashlib.sha256(essence.encode()).hexdigest(), url)

    async def discard(self, output: str) -> None:
        await asyncio.sleep(0)

    async def verify(self, file: StoredFile) -> str | None:
        return None if file.path in self._world.files else "it is missing"
