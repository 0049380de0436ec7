"""Prometheus metrics of a run, in a file that a textfile collector reads; docs/metrics.md explains each.

What the ledger knows is read from it at each writing; only what no ledger keeps is counted from events. Counters and
histograms begin at nothing with each run.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import __version__
from pipeline.core.errors import PipelineError, UsageError
from pipeline.core.events import (
    BatchStarted,
    CallFailed,
    Event,
    ExtraFailed,
    JobMoved,
    SlotsChanged,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import JobState
from pipeline.core.money import Spending
from pipeline.core.values import Value
from pipeline.ledger import FailureGroup, LedgerReader, Story
from pipeline.views.facts import About
from pipeline.views.text import cut, printable
from pipeline.views.whole import is_of_the_batch, is_ours, write_whole

if TYPE_CHECKING:
    from prometheus_client.core import Metric

EVERY = 15.0
"""Seconds between two writings of the file."""
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)
"""Upper bounds of the histograms, in seconds: from a small download to a task over night."""
STAGES = ("submit", "generate", "notice", "download", "whole")
MOST_REASONS = 30
"""Kinds of trouble that are told apart in one metric; a service that invents codes fills no time series database."""
OTHER = "other"

GAUGES = {
    "pipeline_jobs": "Jobs of the folder by state.",
    "pipeline_failed_jobs": "Failed jobs of the folder by stage and code; the rarest codes together as other.",
    "pipeline_spend": "Money of the folder by currency and basis: actual, estimated or reserved.",
    "pipeline_paid_tasks": "Tasks of the folder that were bought, or may have been, by currency.",
    "pipeline_slots_allowed": "Remote tasks that may run at the same time.",
    "pipeline_slots_used": "Remote tasks that run or are being submitted.",
    "pipeline_submitting_paused": "1 while no submit leaves for now, else 0.",
    "pipeline_run_in_progress": "1 while the run goes on, 0 once it has ended.",
    "pipeline_run_started_timestamp_seconds": "When the run began.",
    "pipeline_written_timestamp_seconds": "When these metrics were written; old while a run is in progress: killed.",
    "pipeline_last_run_exit_code": "Exit code of the last run that ended.",
    "pipeline_last_run_ended_timestamp_seconds": "When the last run ended.",
    "pipeline_last_success_timestamp_seconds": "When the last run with exit code 0 ended.",
}
COUNTERS = {
    "pipeline_submits": "Submits of this run that were about to leave.",
    "pipeline_call_failures": "Calls of this run that failed and are made again, by call and code.",
    "pipeline_downloaded_bytes": "Bytes of the videos that became whole in this run.",
    "pipeline_extra_failures": "Failures beside the run: hooks, notifications, report, sidecars and this file.",
}
"""Without the `_total` that their samples have."""
HISTOGRAMS = {
    "pipeline_stage_seconds": "Seconds that jobs done in this run spent in each stage.",
}
INFOS = {"pipeline_run": "The run: its id, manifest, version, and whether it is a rehearsal."}
"""Without the `_info` that their samples have."""

_INSTALL = "pip install 'video-batch-pipeline[metrics]'"
_LONGEST_CODE = 60

Values = Mapping[tuple[str, ...], float]
"""Values by the values of their labels."""
_MODE = 0o644
"""The collector is another user."""
_HEAD = b"# HELP pipeline_"
"""How every file of ours begins."""


def check_library() -> None:
    """Raises `UsageError` where the extra is not installed."""
    if find_spec("prometheus_client") is None:
        raise UsageError(f"metrics_file needs the library of Prometheus: {_INSTALL}")


class MetricsError(PipelineError):
    """The metrics file could not be written."""


# -- what is counted ---------------------------------------------------------------------------------------------------


class LastRun(Value):
    """What outlives a run, for the next one's file; Unix seconds."""

    exit_code: int | None = None
    ended_at: float | None = None
    success_at: float | None = None

    def after(self, exit_code: int, at: float) -> "LastRun":
        """…once a run has ended."""
        return LastRun(exit_code, at, at if exit_code == 0 else self.success_at)

    def dump(self) -> str:
        """For the ledger's memory."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str | None) -> "LastRun":
        """What `dump` wrote; nothing where that cannot be read."""
        try:
            return cls(**json.loads(text or "{}"))
        except (ValueError, TypeError):
            return cls()


@dataclass(slots=True)
class Heard:
    """What only events tell."""

    submits: int = 0
    call_failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    extra_failures: Counter[str] = field(default_factory=Counter)
    slots_allowed: int | None = None
    paused: bool = False

    def hear(self, event: Event) -> None:
        """Count an event."""
        match event:
            case JobMoved(state=JobState.SUBMITTING):
                self.submits += 1
            case CallFailed(call=call, code=code):
                known = (call, code) in self.call_failures or len(self.call_failures) < MOST_REASONS
                self.call_failures[call, code if known else OTHER] += 1
            case ExtraFailed(what=what):
                self.extra_failures[what] += 1
            case BatchStarted(slots=slots):
                self.slots_allowed = slots
            case SlotsChanged(limit=limit):
                self.slots_allowed = limit
            case SubmittingPaused():
                self.paused = True
            case SubmittingResumed():
                self.paused = False

    def copy(self) -> "Heard":
        """This moment, for another thread."""
        counters = Counter(self.call_failures), Counter(self.extra_failures)
        return Heard(self.submits, *counters, self.slots_allowed, self.paused)


class Histogram:
    """Seconds, counted by the bounds that they keep within."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.sum += seconds
        place = next((place for place, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))
        self._counts[place] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Upper bounds with how many kept within each."""
        bounds, total, found = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"], 0, []
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


def stage_seconds(story: Story) -> Iterator[tuple[str, float]]:
    """How long a job that is done spent in each stage, as far as is known.

    The service's own clock says how long it took to generate, and set against ours it says how late we noticed; clocks
    that disagree make a span that cannot be, which is left out.
    """
    record, report = story.record, story.record.report
    sent, answered, noticed, whole = story.intent_at, record.submitted_at, story.noticed_at, story.moved_at
    began, ended = (report.submit_time, report.finish_time) if report else (None, None)
    spans = (
        ("submit", sent, answered),
        ("generate", *((answered, noticed) if began is None or ended is None else (began, ended))),
        ("notice", ended, noticed),
        ("download", noticed, whole),
        ("whole", sent, whole),
    )
    for stage, start, end in spans:
        if start is not None and end is not None and end >= start:
            yield stage, end - start


class Found(Value):
    """What the ledger says at one moment."""

    counts: Mapping[JobState, int]
    failures: Sequence[FailureGroup]
    spending: Sequence[Spending]


class Now(Value):
    """What the loop says at the same moment."""

    at: float
    heard: Heard
    slots_used: int
    last_run: LastRun
    in_progress: bool


class MetricsFile:
    """The file and what it is made of. `write` is called on one thread at a time, and never on the event loop."""

    def __init__(self, path: Path, about: About, *, started_at: float, after: int) -> None:
        self._path = path
        self._about = about
        self._started_at = started_at
        self._read = after
        """The last results line whose job is counted."""
        self._bytes = 0
        self._stages = {stage: Histogram() for stage in STAGES}

    def write(self, now: Now) -> None:
        """Bring the file up to this moment. Raises `MetricsError` and `LedgerError`; the old file stays then."""
        text = exposition(self._families(now, self._look()))
        try:
            if is_of_the_batch(self._path, self._about.folder) or not is_ours(self._path, _HEAD):
                raise MetricsError(f"{self._path} is there and holds no metrics of ours; it stays as it is")
            write_whole(self._path, text, mode=_MODE)
        except OSError as error:
            raise MetricsError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def _look(self) -> Found:
        with LedgerReader(self._about.folder) as reader:
            for number, story in reader.ended(self._read):
                self._read = number
                if story.record.state is JobState.DONE:
                    self._count(story)
            return Found(reader.counts(), reader.failures(), reader.spending() or ())

    def _count(self, story: Story) -> None:
        for stage, seconds in stage_seconds(story):
            self._stages[stage].observe(seconds)
        files = story.record.outcome.files if story.record.outcome else ()
        self._bytes += sum(file.bytes for file in files)

    # -- as Prometheus has it

    def _families(self, now: Now, found: Found) -> "Iterator[Metric]":
        family = Families(str(self._about.folder))
        yield family.info("pipeline_run", self._labels())
        yield from self._of_the_folder(family, found)
        yield from self._of_the_run(family, now)
        yield from self._of_the_last(family, now.last_run)

    def _labels(self) -> dict[str, str]:
        about = self._about
        return {
            "run_id": about.run_id,
            "manifest": about.manifest,
            "version": __version__,
            "rehearsal": str(about.rehearsal).lower(),
        }

    def _of_the_folder(self, family: "Families", found: Found) -> "Iterator[Metric]":
        jobs: Values = {(state,): found.counts.get(state, 0) for state in JobState}
        yield family.gauge("pipeline_jobs", jobs, "state")
        yield family.gauge("pipeline_failed_jobs", _reasons(found.failures), "stage", "code")
        spend: Values = {}
        for one in found.spending:
            if one.currency:
                amounts = {
                    "actual": one.spent - one.estimated,
                    "estimated": one.estimated,
                    "reserved": one.reserved,
                }
                spend = {**spend, **{(one.currency, basis): amount / 1e6 for basis, amount in amounts.items()}}
        yield family.gauge("pipeline_spend", spend, "currency", "basis")
        tasks: Values = {(one.currency or "unknown",): one.tasks for one in found.spending}
        yield family.gauge("pipeline_paid_tasks", tasks, "currency")

    def _of_the_run(self, family: "Families", now: Now) -> "Iterator[Metric]":
        heard = now.heard
        yield family.gauge("pipeline_run_in_progress", {(): now.in_progress})
        yield family.gauge("pipeline_run_started_timestamp_seconds", {(): self._started_at})
        yield family.gauge("pipeline_written_timestamp_seconds", {(): now.at})
        if heard.slots_allowed is not None:
            yield family.gauge("pipeline_slots_allowed", {(): heard.slots_allowed})
        yield family.gauge("pipeline_slots_used", {(): now.slots_used})
        yield family.gauge("pipeline_submitting_paused", {(): heard.paused})
        yield family.counter("pipeline_submits", {(): heard.submits})
        failures: Values = {(call, _code(code)): number for (call, code), number in heard.call_failures.items()}
        yield family.counter("pipeline_call_failures", failures, "call", "code")
        yield family.counter("pipeline_downloaded_bytes", {(): self._bytes})
        extras: Values = {(what,): number for what, number in heard.extra_failures.items()}
        yield family.counter("pipeline_extra_failures", extras, "what")
        yield family.histogram("pipeline_stage_seconds", self._stages, "stage")

    def _of_the_last(self, family: "Families", last: LastRun) -> "Iterator[Metric]":
        known = {
            "pipeline_last_run_exit_code": last.exit_code,
            "pipeline_last_run_ended_timestamp_seconds": last.ended_at,
            "pipeline_last_success_timestamp_seconds": last.success_at,
        }
        for name, value in known.items():
            if value is not None:
                yield family.gauge(name, {(): value})


def _reasons(failures: Sequence[FailureGroup]) -> dict[tuple[str, ...], float]:
    """Failed jobs by reason, the most frequent first; beyond so many reasons, one for each stage."""
    found: Counter[tuple[str, ...]] = Counter()
    for place, group in enumerate(failures):
        found[group.stage, _code(group.code) if place < MOST_REASONS else OTHER] += group.count
    return dict(found)


def _code(code: str) -> str:
    return cut(printable(code), _LONGEST_CODE)


class Families:
    """Makes the library's families; every sample names the folder, so that the files of many batches lie together."""

    def __init__(self, folder: str) -> None:
        self._folder = folder.encode(errors="backslashreplace").decode()

    def gauge(self, name: str, values: Values, *labels: str) -> "Metric":
        """Values by the values of their labels."""
        from prometheus_client.core import GaugeMetricFamily

        family = GaugeMetricFamily(name, GAUGES[name], labels=["folder", *labels])
        for label_values, value in values.items():
            family.add_metric([self._folder, *label_values], float(value))
        return family

    def counter(self, name: str, values: Values, *labels: str) -> "Metric":
        """Values by the values of their labels; the samples are called `<name>_total`."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(name, COUNTERS[name], labels=["folder", *labels])
        for label_values, value in values.items():
            family.add_metric([self._folder, *label_values], float(value))
        return family

    def histogram(self, name: str, values: Mapping[str, Histogram], label: str) -> "Metric":
        """Histograms by the value of their label."""
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(name, HISTOGRAMS[name], labels=["folder", label])
        for label_value, one in values.items():
            family.add_metric([self._folder, label_value], buckets=one.buckets(), sum_value=one.sum)
        return family

    def info(self, name: str, facts: Mapping[str, str]) -> "Metric":
        """One sample called `<name>_info` whose labels are the facts."""
        from prometheus_client.core import InfoMetricFamily

        family = InfoMetricFamily(name, INFOS[name], labels=["folder"])
        clean = {label: value.encode(errors="backslashreplace").decode() for label, value in facts.items()}
        family.add_metric([self._folder], clean)
        return family


class _Fixed:
    """A collector of what is handed to it."""

    def __init__(self, families: "Sequence[Metric]") -> None:
        self._families = families

    def collect(self) -> "Iterator[Metric]":
        """The families, once."""
        yield from self._families


def exposition(families: "Iterator[Metric]") -> bytes:
    """The text format of Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Fixed(list(families)))
    return generate_latest(registry)
