"""How long the rest of a run takes: from how long tasks of each kind take, and from the slots that serve them. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heapreplace

from pipeline.core.money import Quote

Expected = Callable[[str, float | None], float | None]
"""Seconds that a task of a kind is expected to take before one has ended, from what the documents say of it."""

_MEMORY = 200
"""Ends of a kind that its mean follows: enough to smooth whole waves of slots, few enough to notice a change."""
_PRIOR = 2
"""Ends that an expectation from before counts for: it speaks of another day, or of another machine."""
_FEWEST = 2
"""Tasks that must have ended before anything is said, where nothing was expected of them."""
_SPREADS = 100
"""Ends that tell how far tasks of one kind stray from their mean."""
_OVERDUE = 0.15
"""The part of its age that a task still needs where it is older than what is usual, at least."""
_PLANNED = 1000
"""Jobs whose order on the slots is followed one by one; of more, the rest is divided by the slots."""
_CALM_PART, _CALM_LEAST, _CALM_MOST = 1 / 6, 1.0, 60.0
"""What is said follows two thirds of a change in this part of what is left, in no fewer and no more seconds."""


@dataclass(slots=True)
class _Kind:
    """How long tasks of one kind hold their slots; seconds."""

    mean: float | None = None
    weight: float = 0.0
    ended: int = 0

    def learn(self, seconds: float) -> None:
        self.ended += 1
        self.weight = min(self.weight + 1, _MEMORY)
        self.mean = seconds if self.mean is None else self.mean + (seconds - self.mean) / self.weight


@dataclass(slots=True)
class _Begun:
    kind: str
    at: float


class Calm:
    """Follows an estimate of what is left without its jumps; seconds."""

    def __init__(self) -> None:
        self._shown: tuple[float, float] | None = None

    def follow(self, now: float, known: float | None) -> float | None:
        """What to say where this is known now: what was said before, less the time that passed, and some of the gap."""
        if known is None:
            self._shown = None
            return None
        at, before = self._shown or (now, known)
        expected = max(0.0, before - (now - at))
        calm = min(max(_CALM_PART * max(expected, known), _CALM_LEAST), _CALM_MOST)
        said = known + (expected - known) * math.exp((at - now) / calm)
        self._shown = now, said
        return said


class Outlook:
    """Knows how long tasks of each kind take, and what that makes of those left. Times are monotonic seconds."""

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self._kinds: dict[str, _Kind] = {}
        self._queue: dict[str, int] = {}
        self._begun: dict[str, _Begun] = {}
        self._ended = 0
        self._spreads: deque[float] = deque(maxlen=_SPREADS)
        self._busy: tuple[float, float] | None = None

    # -- what happens

    def expect(self, quotes: Mapping[Quote, int]) -> None:
        """These jobs are about to be submitted."""
        for quote, number in quotes.items():
            self._kind(quote.kind, quote.takes)
            self._queue[quote.kind] = self._queue.get(quote.kind, 0) + number

    def begin(self, job_id: str, kind: str, takes: float | None, now: float) -> None:
        """A job has taken a slot."""
        self._kind(kind, takes)
        self._queue[kind] = max(0, self._queue.get(kind, 0) - 1)
        self._begun[job_id] = _Begun(kind, now)

    def withdraw(self, job_id: str) -> None:
        """The job goes back into the queue."""
        begun = self._begun.pop(job_id, None)
        if begun is not None:
            self._queue[begun.kind] = self._queue.get(begun.kind, 0) + 1

    def forget(self, job_id: str) -> None:
        """The job's slot is free again, and says nothing about how long tasks take."""
        self._begun.pop(job_id, None)

    def end(self, job_id: str, now: float) -> float | None:
        """The job's task has ended. Returns how long it held its slot, where that is known."""
        begun = self._begun.pop(job_id, None)
        self._ended += 1
        if begun is None:
            return None
        kind, took = self._kind(begun.kind, None), now - begun.at
        if kind.mean and kind.ended >= _FEWEST:
            self._spreads.append(took / kind.mean)
        kind.learn(took)
        return took

    # -- what is known

    @property
    def begun(self) -> Iterable[tuple[str, float]]:
        """The jobs that hold slots and since when, the one that began first before the others."""
        return ((job_id, begun.at) for job_id, begun in self._begun.items())

    @property
    def ended(self) -> int:
        """How many tasks have ended."""
        return self._ended

    @property
    def at_work(self) -> int:
        """How many jobs hold a slot."""
        return len(self._begun)

    def kind(self, job_id: str) -> str:
        """The kind of a job that holds a slot."""
        begun = self._begun.get(job_id)
        return begun.kind if begun is not None else ""

    def usual(self, job_id: str) -> float | None:
        """Seconds that such a task takes, where some of its kind have ended."""
        begun = self._begun.get(job_id)
        kind = self._kinds.get(begun.kind) if begun is not None else None
        return kind.mean if kind is not None and kind.ended >= _FEWEST else None

    def left(self, now: float, *, queued: int, slots: int | None, others: int = 0) -> float | None:
        """Seconds until the tasks of `queued` jobs and of all that hold slots have ended; None while nothing tells.

        `others` hold slots since before this run: each is taken for half done.
        """
        usual = self._usual_now(now)
        if not queued and not others and not self._begun:
            return 0.0
        if usual is None:
            return None
        means, average = usual
        ages = [(now - begun.at, means[begun.kind]) for begun in self._begun.values()]
        rests = [max(mean - age, _OVERDUE * min(age, mean)) for age, mean in ages] + others * [average / 2]
        allowed = self._served(now, queued, len(rests), slots or max(1, len(rests)), average)
        stray = self._stray(min(allowed, len(rests) + queued))
        if queued:
            queue = self._work(queued, means, average)
            return finished_after(rests, queue, allowed) + average * max(0.0, stray - 1.0)
        return max((max(mean * stray - age, _OVERDUE * min(age, mean)) for age, mean in ages), default=average / 2)

    # -- the estimate

    def _kind(self, name: str, takes: float | None) -> _Kind:
        kind = self._kinds.get(name)
        if kind is None:
            expected = self._expected(name, takes)
            kind = self._kinds[name] = _Kind(expected, 0.0 if expected is None else _PRIOR)
        return kind

    def _usual_now(self, now: float) -> tuple[Mapping[str, float], float] | None:
        """How long each kind takes, and all on the average; None while nothing is known of some.

        A running task that is older than what is usual tells as much as one that has ended at that age.
        """
        sums = {
            name: [kind.mean * kind.weight, kind.weight]
            for name, kind in self._kinds.items()
            if kind.mean and kind.weight >= _FEWEST
        }
        for begun in self._begun.values():
            total = sums.get(begun.kind)
            age = now - begun.at
            if total is not None and age * total[1] > total[0]:
                total[0] += age * (1 + _OVERDUE)
                total[1] += 1
        means = {name: seconds / weight for name, (seconds, weight) in sums.items()}
        wanted = {name for name, number in self._queue.items() if number} | {b.kind for b in self._begun.values()}
        strange = [name for name in wanted if name not in means]
        if not means or (strange and self._ended < _FEWEST):
            return None
        weights = {name: self._queue.get(name, 0) or 0.001 for name in means}
        average = sum(means[name] * weight for name, weight in weights.items()) / sum(weights.values())
        return {**means, **dict.fromkeys(strange, average)}, average

    def _work(self, queued: int, means: Mapping[str, float], average: float) -> list[tuple[float, int]]:
        """Seconds and jobs of what waits; where another number waits than was expected, the mixture stays."""
        told = sum(self._queue.values())
        if not told:
            return [(average, queued)]
        work, rest = [], queued
        for name, number in sorted(self._queue.items(), key=lambda item: -means.get(item[0], average)):
            part = min(rest, round(number * queued / told))
            rest -= part
            work.append((means.get(name, average), part))
        return [*work, (average, rest)]

    def _served(self, now: float, queued: int, in_use: int, allowed: int, average: float) -> int:
        """Slots that are really filled while jobs wait: refusals, pauses and a cap on submits leave some empty."""
        at, busy = self._busy or (now, float(allowed))
        if queued:
            target = float(min(in_use, allowed))
            busy = target + (busy - target) * math.exp((at - now) / max(average, 1.0))
        self._busy = now, min(busy, float(allowed))
        return max(1, min(allowed, math.ceil(busy - 0.05)))

    def _stray(self, number: int) -> float:
        """How much longer than the mean the longest of so many tasks takes."""
        if len(self._spreads) < _FEWEST or number < 2:
            return 1.0
        spreads = sorted(self._spreads)
        place = min(len(spreads) - 1, int(len(spreads) * number / (number + 1)))
        return max(1.0, spreads[place])


def finished_after(rests: Iterable[float], queue: Iterable[tuple[float, int]], slots: int) -> float:
    """Seconds until all is done where each free slot takes the next job: `rests` is what running tasks still need.

    `queue` has seconds a job and how many such jobs, in their order.
    """
    waiting = [[seconds, number] for seconds, number in queue if number]
    free = sorted(rests)
    free = free[max(0, len(free) - slots) :] + [0.0] * max(0, slots - len(free))
    beyond = sum(number for _, number in waiting) - max(_PLANNED, 2 * slots)
    if beyond > 0:
        free = _poured(free, _taken(waiting, beyond), waiting[-1][0])
    heapify(free)
    for seconds, number in waiting:
        for _ in range(int(number)):
            heapreplace(free, free[0] + seconds)
    return max(free)


def _taken(waiting: list[list[float]], number: float) -> float:
    """Take so many jobs out of what waits, of each kind its part. Returns the seconds that they take."""
    part = number / sum(each[1] for each in waiting)
    work = 0.0
    for each in waiting:
        taken = int(each[1] * part)
        each[1] -= taken
        work += each[0] * taken
    return work


def _poured(free: list[float], work: float, seconds: float) -> list[float]:
    """When each slot is free again after they have shared much work, each then at another point of its task."""
    level = (sum(free) + work) / len(free)
    steps = len(free)
    return [level + seconds * ((step + 0.5) / steps - 0.5) for step in range(steps)]
