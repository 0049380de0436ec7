"""The truth of a simulation: what exists at the service, what lies on the disk, and how often things go wrong."""

import hashlib
import math
import random
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.core.clock import Clock
from pipeline.core.jobs import Job, Source, TaskState
from pipeline.core.money import Actual, Quote

BASE_URL = "https://service.example"
WAN = "Wan-AI/Wan2.2-I2V"
OTHER = "other/model"
TRACEABLE = frozenset({"kling-v3"})
"""Models that carry a caller's id."""
UNREADABLE = "file_changed"
"""The code with which this machine refuses a job: free of charge, and no attempt."""


def make_job(name: str, model: str = WAN) -> Job:
    """A job that is complete in itself."""
    content = {"image_url": f"https://example.com/{name}.jpg"}
    digest = hashlib.sha256(f"{model}{content}".encode()).hexdigest()
    return Job(name, digest, model, content, {}, f"{name}.mp4", Source("jobs.yaml", 1))


def price_of(job_id: str) -> Quote:
    """What a job may cost at the simulated service: one to three units at worst, half of it where all goes well."""
    worst = (1 + int(job_id[1:]) % 3) * 1_000_000
    return Quote("", "", seconds=5000, longest=5000, currency="CNY", expected=worst // 2, worst=worst)


class SimulatedPrices:
    """`Prices` of the simulated service, whose usage names the cost itself."""

    def quote(self, job: Job) -> Quote:
        return price_of(job.job_id)

    def actual(self, _job: Job, usage: Mapping[str, Any]) -> Actual:
        return Actual(usage.get("cost"))


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time; seconds since the world began."""

    begins: float = math.inf
    ends: float = math.inf

    def holds(self, moment: float) -> bool:
        """Whether it is now."""
        return self.begins <= moment < self.ends


NEVER = Window()


@dataclass(frozen=True, slots=True)
class Odds:
    """How often things go wrong; probabilities, counts and seconds."""

    # -- submits
    lost_before: float = 0.0
    """The answer is lost, garbled or never comes, and no task exists."""
    lost_after: float = 0.0
    """…and a task exists."""
    outage: float = 0.0
    rate_limited: float = 0.0
    rejected: float = 0.0
    account_limit: int | None = None
    """More tasks at a time are answered with 429."""
    closed: Window = NEVER
    """The account is refused."""
    closed_to_questions: bool = False
    """…and so are questions."""
    model_closed: Window = NEVER
    """The account may not use the first model in the manifest."""
    down: Window = NEVER
    """The service cannot be reached."""
    unreadable: float = 0.0
    """This machine refuses to prepare a job."""

    # -- tasks
    status_failure: float = 0.0
    status_rate_limited: float = 0.0
    invisible: float = 0.0
    """A fresh task id is not known at first."""
    never_visible: float = 0.0
    """…or never, though the task is paid for."""
    strange_word: float = 0.0
    task_failure: float = 0.0
    stuck: float = 0.0
    empty_success: float = 0.0
    second_video: float = 0.0
    forgotten: float = 0.0
    """The service soon knows nothing of the finished task any more, and its files are gone."""

    # -- downloads
    link_life: float = 1e9
    cut: float = 0.0
    """At each block of a file."""
    changed: float = 0.0
    """The file behind a URL is another one than at the try before."""
    careless_host: bool = False
    """Whatever is at the same place has the same validator."""
    unusable: float = 0.0
    no_space: float = 0.0
    low_disk: float = 0.0
    """A look at the free space finds too little."""
    disk_full: Window = NEVER
    block_seconds: float = 0.5
    """To bring one block of a file to disk."""

    slow_connection: float = 0.0
    """A submit leaves late."""
    latency: float = 0.2
    duration: float = 30.0


@dataclass(slots=True)
class TrueTask:
    """What really exists at the service, and is paid for."""

    task_id: str
    job_id: str
    attempt: int
    duration: float
    state: TaskState
    external_id: str | None = None
    cheap: bool = False
    """It comes to half of its worst case, which its usage says."""
    videos: int = 1
    created: float = 0.0
    told: bool = False
    """The answer with the id has left the service."""
    asked: int = 0
    empty_answers: int = 0
    invisible: float = 0
    """So many questions are answered with "no such task"."""
    patience: float = math.inf
    """So many questions after its end are answered; at the next one it is forgotten."""
    forgotten: bool = False
    """The service knows nothing of it any more, and its files are gone."""

    @property
    def ends(self) -> float:
        """Unix seconds."""
        return self.created + self.duration

    def charge(self, now: float) -> int:
        """What it costs, in millionths: at worst until it has ended well, and half of that for every second job."""
        worst = price_of(self.job_id).worst or 0
        told = self.state is TaskState.SUCCEEDED and self.ends <= now
        return worst // 2 if told and self.cheap else worst

    @property
    def lost_at_the_service(self) -> bool:
        """Whether nobody could bring its videos, whatever they do."""
        return self.forgotten or self.invisible == math.inf


@dataclass(slots=True)
class PartOnDisk:
    """An unfinished download: the validator of what it belongs to, and its blocks by where they came from."""

    validator: str
    blocks: list[str] = field(default_factory=list)


class Onlooker:
    """Sees every call when it leaves the client and when it takes effect; this one does not care."""

    def submit_leaves(self, job: Job) -> int:
        """A paid request leaves. Returns the attempt that it belongs to."""
        return 1

    def submit_risked(self, job: Job, attempt: int) -> None:
        """…and from here on nobody but the service can say whether it created something."""

    def created(self) -> None:
        """The service has made a task, and may charge for it."""

    def accepted(self) -> None:
        """A client learns of its task."""

    def question_leaves(self, job_id: str, task_id: str) -> None:
        """A client asks about a task."""

    def refused(self, model: str | None) -> None:
        """A client learns that the account, or its use of a model, is refused."""

    def collided(self, output: str) -> None:
        """Two downloads write to the same place."""


@dataclass(slots=True)
class World:
    """The truth, over all runs."""

    rng: random.Random
    odds: Odds
    clock: Clock
    """Of the service; a client's may be wrong."""
    closed_model: str = OTHER
    began: float = 0.0
    tasks: dict[str, TrueTask] = field(default_factory=dict)
    by_external_id: dict[str, TrueTask] = field(default_factory=dict)
    drawn: int = 0
    """Tasks that were thought up, whether they came to be or not."""
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Whole files, by path: where each block came from."""
    parts: dict[str, PartOnDisk] = field(default_factory=dict)
    """By output."""
    busy: set[str] = field(default_factory=set)
    """Outputs that are being written."""
    versions: Counter[str] = field(default_factory=Counter)
    """How often a file at the result host was replaced."""
    left: set[str] = field(default_factory=set)
    """Jobs that this run looks after no more, though their tasks may go on."""
    onlooker: Onlooker = field(default_factory=Onlooker)
    bug_after: int | None = None
    """So many calls of this run go well; the next one meets a bug in a port."""
    met: Counter[str] = field(default_factory=Counter)
    """What went wrong, and how often."""

    def __post_init__(self) -> None:
        self.began = self.now

    @property
    def now(self) -> float:
        """Unix seconds, in virtual time."""
        return self.clock.time()

    @property
    def age(self) -> float:
        """Seconds since the world began."""
        return self.now - self.began

    def charged(self) -> int:
        """What the service could charge for everything that exists, in millionths."""
        return sum(task.charge(self.now) for task in self.tasks.values())

    def in_flight(self) -> int:
        """Tasks that the service works on now and that the client knows of and looks after."""
        return sum(task.told and task.ends > self.now and task.job_id not in self.left for task in self.tasks.values())

    def forget_clients(self, known: Collection[str]) -> None:
        """A new client begins: of the tasks that exist it knows those of the given jobs."""
        for task in self.tasks.values():
            task.told = task.told and task.job_id in known
        self.left.clear()
        self.busy.clear()

    def luck(self, probability: float, what: str) -> bool:
        """Whether it happens now; it is counted."""
        if probability <= 0 or self.rng.random() >= probability:
            return False
        self.met[what] += 1
        return True

    def holds(self, window: Window, what: str) -> bool:
        """Whether the window is open now; counted where it was felt."""
        if not window.holds(self.age):
            return False
        self.met[what] += 1
        return True

    def called(self) -> None:
        """A port is called. Raises ZeroDivisionError where it is time for the bug."""
        if self.bug_after is None:
            return
        self.bug_after -= 1
        if self.bug_after < 0:
            self.met["bug in a port"] += 1
            raise ZeroDivisionError("a bug in a port")
