"""The batch as a page tells it: headline figures, cost and charts, as one value for JSON. Pure but for the reader."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.core.jobs import JobState, Stage
from pipeline.core.money import Spending
from pipeline.folder import REHEARSAL_SUFFIX
from pipeline.ledger import FailureGroup, LedgerReader, Run, Sketch
from pipeline.views.report.charts import charts_of, quantiles, worked
from pipeline.views.report.moments import Moment, Moments, moment_of
from pipeline.views.spending import spending_facts

SHOWN = 20_000
"""Jobs in the gallery at most: failed and unknown ones first, then those that moved last."""
_NAMED_MODELS = 20
_TAKE = re.compile(r"-r([1-9]\d{0,5})$")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger answers at once."""

    counts: dict[JobState, int]
    runs: Sequence[Run]
    failures: Sequence[FailureGroup]
    spending: Sequence[Spending] | None

    @classmethod
    def of(cls, reader: LedgerReader) -> "Standing":
        """This moment."""
        return cls(reader.counts(), reader.runs(), reader.failures(), reader.spending())


NOTHING = Standing(dict.fromkeys(JobState, 0), (), (), ())
"""Of a folder without a batch."""


@dataclass(slots=True)
class Told:
    """What all jobs come to. Memory grows by some hundred bytes a job, whatever the jobs hold."""

    moments: Moments = field(default_factory=Moments)
    _states: dict[int, JobState] = field(default_factory=dict)
    _bytes: dict[int, int] = field(default_factory=dict)
    _unpriced: dict[int, str] = field(default_factory=dict)
    takes: dict[str, int] = field(default_factory=dict)
    """The highest number of a re-roll so far, by the id that it was made of."""

    def hear(self, seq: int, sketch: Sketch) -> Moment:
        """Take a job in, or what has become of it, and tell when it was where."""
        moment = moment_of(sketch)
        self.moments.put(seq, moment)
        self._states[seq] = sketch.state
        if sketch.videos:
            self._bytes[seq] = sum([video.bytes for video in sketch.videos])
        else:
            self._bytes.pop(seq, None)
        if sketch.cost is None and _bought(sketch):
            self._unpriced[seq] = sketch.model
        else:
            self._unpriced.pop(seq, None)
        if take := _TAKE.search(sketch.job_id):
            base = sketch.job_id[: take.start()]
            self.takes[base] = max(self.takes.get(base, 1), int(take[1]))
        return moment

    def state(self, seq: int) -> JobState | None:
        """Where a job stands; None where it was not heard of."""
        return self._states.get(seq)

    def counts(self) -> dict[JobState, int]:
        """How many of the jobs that were heard of are in each state, every state named."""
        found = Counter(self._states.values())
        return {state: found[state] for state in JobState}

    def files(self) -> tuple[int, int]:
        """How many jobs have videos, and their bytes."""
        return len(self._bytes), sum(self._bytes.values())

    def unpriced(self) -> list[tuple[str, int]]:
        """The models whose price is not known, with the jobs that were bought of each; the most frequent first."""
        return Counter(self._unpriced.values()).most_common(_NAMED_MODELS)


def _bought(sketch: Sketch) -> bool:
    """Whether the latest attempt may cost money: a refusal at the submit does not."""
    failure, state = sketch.failure, sketch.state
    refused = failure is not None and failure.stage is Stage.SUBMIT and state is JobState.FAILED
    return sketch.attempt > 0 and state is not JobState.QUEUED and not refused


def batch_facts(folder: Path, standing: Standing, told: Told, *, at: float, live: bool = False) -> dict[str, Any]:
    """Everything that the page says of the batch as a whole; `at` is now, in Unix seconds."""
    name = Path(os.path.abspath(folder)).name or "batch"  # noqa: PTH100 - `..` has a name, whatever links there are
    return {
        "name": _encodable(name),
        "folder": _encodable(str(folder)),
        "rehearsal": name.endswith(REHEARSAL_SUFFIX),
        "live": live,
        "version": __version__,
        "limit": SHOWN,
        "key": standing.runs[0].run_id if standing.runs else name,
        **figures(standing, told, at=at),
        "charts": charts_of(told.moments, standing.runs, standing.failures),
    }


def _encodable(name: str) -> str:
    r"""A name whose bytes are no UTF-8 as a page can hold it: they stand as escapes, such as `\udce9`."""
    return name.encode("utf-8", "backslashreplace").decode()


def figures(standing: Standing, told: Told, *, at: float) -> dict[str, Any]:
    """The part that is quickly made: counts, cost and what else stands at the head of the page."""
    jobs, size = told.files()
    last = told.moments.last
    return {
        "at": round(at, 3),
        "counts": {state: standing.counts.get(state, 0) for state in JobState},
        "runs": [[run.run_id, run.started_at, run.ended_at] for run in standing.runs[-1:]],
        "run_count": len(standing.runs),
        "began": standing.runs[0].started_at if standing.runs else None,
        "last": last or None,
        "worked": round(worked(standing.runs, last), 3),
        "spending": None if standing.spending is None else spending_facts(standing.spending),
        "unpriced": told.unpriced(),
        "saved": [jobs, size],
        "takes": told.takes,
        "typical": quantiles(told.moments.generated()),
    }
