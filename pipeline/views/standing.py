"""One moment of a batch, as the views draw and write it. Pure."""

from collections.abc import Callable, Mapping

from pipeline.core.jobs import JobState
from pipeline.core.values import Value
from pipeline.views.purse import Money

IN_SLOTS = (JobState.SUBMITTING, JobState.RUNNING)
"""States in which a job holds a slot."""


def nothing_learned(_kind: str) -> float | None:
    """No earlier run has learned how long tasks of this kind take."""
    return None


class Subject(Value):
    """What a run is about, as far as that is known before it begins."""

    manifest: str = ""
    folder: str = ""
    rehearsal: bool = False
    """Nothing is paid."""
    speed: float = 1.0
    """How many times faster than life the service is: what the documents say takes so much less."""
    downloads: int = 1
    """How many may be under way at the same time."""
    learned: Callable[[str], float | None] = nothing_learned
    """Seconds that a task of a kind takes, as an earlier run in this folder has learned it."""

    def expected(self, kind: str, takes: float | None) -> float | None:
        """Seconds that a task of this kind takes: as learned here, or else as the documents have it."""
        learned = self.learned(kind)
        return learned if learned is not None else None if takes is None else takes / self.speed


class Running(Value):
    """A job whose task runs."""

    job_id: str
    kind: str
    age: float
    """Seconds since this run submitted it."""
    usual: float | None = None
    """Seconds that such tasks take; None while nobody knows."""


class Finished(Value):
    """A job whose videos are on disk."""

    path: str
    """Of the first of its files."""
    bytes: int
    took: float | None = None
    """Seconds from its submit to its last byte; None where an earlier run submitted it."""


class Reason(Value):
    """Why jobs of this run failed, or became unknown."""

    code: str
    stage: str
    count: int
    first: str
    """The first such job."""
    message: str
    unknown: bool = False


class Speed(Value):
    """What a run brings, over the last minutes."""

    jobs: float = 0.0
    """That ended, a minute."""
    videos: float = 0.0
    """That came to disk, a minute."""
    bytes: float = 0.0
    """That came to disk, a second; of finished files."""


class Standing(Value):
    """One moment of a batch; seconds."""

    counts: Mapping[JobState, int]
    elapsed: float
    eta: float | None = None
    """Until the last job of this run has ended, at least a second; None while nothing tells."""
    slots: int | None = None
    """Allowed now; None where nobody said."""
    slots_wanted: int | None = None
    """Allowed where nothing is in the way."""
    note: str = ""
    """Why things are slower than they could be."""
    subject: Subject = Subject()
    speed: Speed = Speed()
    money: tuple[Money, ...] = ()
    spent_before: tuple[tuple[str, int], ...] = ()
    """What had ended in the folder before this run began has cost: currency and millionths."""
    running: tuple[Running, ...] = ()
    """The oldest first."""
    running_before: int = 0
    """Tasks that an earlier run submitted, and whose age is not known here."""
    finished: tuple[Finished, ...] = ()
    """The latest first."""
    reasons: tuple[Reason, ...] = ()
    """The most frequent first."""

    @property
    def total(self) -> int:
        """All jobs of the batch."""
        return sum(self.counts.values())

    @property
    def ended(self) -> int:
        """Jobs of the batch with which nothing more happens."""
        return sum(number for state, number in self.counts.items() if state.ended)

    @property
    def in_slots(self) -> int:
        """Jobs that hold a slot."""
        return sum(self.counts.get(state, 0) for state in IN_SLOTS)
