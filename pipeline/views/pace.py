"""How fast videos come in: what ended in the last minutes, and how long the way to the disk is. Pure."""

import math
from collections import deque
from dataclasses import dataclass, field

from pipeline.views.standing import Speed

_SAVED = 50
"""Downloads that their mean follows."""
_TELLING = 8
"""Downloads after which their rate tells something."""
_WINDOW = 300
"""Seconds that a throughput is taken over."""


@dataclass(slots=True)
class Saving:
    """How long videos take from the end of their task until they are on disk, waiting included; seconds."""

    mean: float = 0.0
    ended: int = 0
    first: float | None = None
    """When the first task ended."""
    begun: dict[str, float] = field(default_factory=dict)
    ends: deque[float] = field(default_factory=lambda: deque(maxlen=_SAVED))

    def begin(self, job_id: str, now: float) -> None:
        """The job's task has ended."""
        self.first = now if self.first is None else self.first
        self.begun[job_id] = now

    def end(self, job_id: str, now: float) -> None:
        """The job has ended."""
        begun = self.begun.pop(job_id, None)
        if begun is not None:
            self.ended = min(self.ended + 1, _SAVED)
            self.mean += (now - begun - self.mean) / self.ended
            self.ends.append(now)

    def forget(self, job_id: str) -> None:
        """The job is left to the next run."""
        self.begun.pop(job_id, None)

    def queue(self, left: int, downloads: int, now: float, known: float) -> float:
        """What so many jobs need where finished tasks wait for a free download, at the rate of the last ones.

        The first few tell nothing, unless they take long against what is `known` otherwise.
        """
        if len(self.ends) >= _TELLING:
            return left * (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
        since = 0.0 if self.first is None else now - self.first
        return left * since / (len(self.ends) + downloads / 2) if since > known / 2 else 0.0

    def rest(self, now: float) -> float:
        """What the job still needs whose task has ended last, or will."""
        youngest = now - max(self.begun.values(), default=now)
        return max(self.mean - youngest, 0.0)


@dataclass(slots=True)
class Pace:
    """What came in each of the last seconds."""

    began: float
    seconds: deque[list[float]] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    """Second, jobs, videos and bytes."""

    def add(self, now: float, *, videos: int, size: int) -> None:
        """A job has ended."""
        second = math.floor(now)
        if not self.seconds or self.seconds[-1][0] != second:
            self.seconds.append([second, 0, 0, 0])
        last = self.seconds[-1]
        last[1] += 1
        last[2] += videos
        last[3] += size

    def speed(self, now: float) -> Speed:
        """Over the last minutes, or since the beginning."""
        since = max(self.began, now - _WINDOW)
        span = max(1.0, now - since)
        recent = [each for each in self.seconds if each[0] >= since - 1]
        jobs, videos, size = (sum(each[place] for each in recent) for place in (1, 2, 3))
        return Speed(60 * jobs / span, 60 * videos / span, size / span)

    def rest(self, left: int, now: float) -> float | None:
        """Seconds that so many jobs take at this speed; None before two have ended."""
        speed = self.speed(now).jobs
        return 60 * left / speed if speed and sum(each[1] for each in self.seconds) > 1 else None
