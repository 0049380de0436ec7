"""What a run would do and what it would cost: a manifest held against its folder's ledger, without key or network."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.catalog import Quoter
from pipeline.core.errors import FolderError, UsageError
from pipeline.core.files import fold
from pipeline.core.jobs import Job, JobState, Source
from pipeline.core.money import Quote, Spending
from pipeline.core.selecting import selects
from pipeline.core.values import Value
from pipeline.engine.budget import Budget, Caps, caps_of, objection, spent_in
from pipeline.engine.figures import Figures, wall_seconds
from pipeline.manifest import Manifest
from pipeline.settings import Settings

if TYPE_CHECKING:  # a plan is often made before there is a ledger
    from pipeline.ledger import ChangedJob, Known, LedgerReader

BYTES_A_SECOND = 500_000
"""Of video, where the folder holds none to go by: 4 Mbit/s, what the vendor's 720P samples have."""
_BATCH = 500
_NAMED = 20
_COMPARED = 10_000
"""New rows whose outputs are compared with those of the folder but for their case; a run compares all."""
_IN_FLIGHT = (JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING)

T = TypeVar("T")


class Rows(Value):
    """The manifest's rows, by what is known of them; a changed row is counted as that alone."""

    new: int = 0
    changed: int = 0
    waiting: int = 0
    """Enrolled by an earlier run, and not bought yet."""
    in_flight: int = 0
    """Bought, and to be collected before anything else."""
    done: int = 0
    failed: int = 0
    unknown: int = 0


class Time(Value):
    """How long the tasks of a run take."""

    seconds: float | None
    """None where a duration or the concurrency is not known."""
    slots: int | None
    """None where a run finds their number."""
    learned: int
    """Jobs whose duration was learned in this folder."""
    documented: int
    """Jobs whose duration the vendor's documents name."""


class Disk(Value):
    """How much room the videos of a run take."""

    bytes: int | None
    """None where their length is not known."""
    mean: float | None
    """The mean size that it follows from; None where it is assumed by the second (`BYTES_A_SECOND`)."""


class Plan(Value):
    """What one run would do."""

    manifest: str
    folder: str
    rows: Rows
    left: Mapping[JobState, int]
    """Jobs whose rows have left the manifest, by state; what runs is collected all the same, what waits is bought."""
    changed: "Sequence[ChangedJob]"
    """The first of the changed rows."""
    on_changed: str
    to_submit: Figures
    """What this run would buy."""
    beyond_limit: int
    """Jobs that would wait for another run, by `limit`."""
    retried: int
    """Failed jobs that are bought again."""
    resubmitted: int
    """Unknown jobs that are bought again."""
    not_selected: int
    """Jobs that would be bought, were they selected."""
    caps: Caps
    affordable: int
    """Jobs that the caps allow at worst, in the order of the manifest."""
    objection: str | None
    """Why the run would refuse to begin under its caps, or would buy nothing."""
    spending: Sequence[Spending] | None
    """What the folder has come to; None where its ledger did not note that."""
    time: Time
    disk: Disk
    prices_as_of: str
    fetched_again: int = 0
    """Failed jobs of the folder whose videos the run downloads again, unpaid."""
    unknown: int = 0
    """Jobs of the folder whose submit has an unknown outcome."""
    may_be_retried: int = 0
    """Rows of failed jobs that `retry_failed` would buy again."""
    warnings: Sequence[str] = ()
    only_collects: bool = False
    """Whether the objection is to what was bought before, which the run collects all the same."""

    @property
    def refused(self) -> bool:
        """Whether the run would end before it buys anything, with exit code 2."""
        return (self.objection is not None and not self.only_collects) or (
            self.rows.changed > 0 and self.on_changed == "error"
        )


def plan(manifest: Manifest, folder: Path, settings: Settings, warnings: Sequence[str] = ()) -> Plan:
    """What a run of the checked manifest into the folder would do, by these settings.

    Memory does not grow with the manifest, apart from a bit a row. Also while a run holds the folder. Raises
    `UsageError` where no job is selected, `FolderError` and `LedgerError` where the folder or its ledger cannot be
    used.
    """
    quoter = Quoter(manifest.catalog)
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} cannot be used: it is no directory")
    if not folder.exists():
        return _Reading(None, quoter, settings).read(manifest, folder, warnings)
    from pipeline.ledger import LEDGER_NAME, LedgerReader, refuse_orphans

    if not (folder / LEDGER_NAME).is_file():
        refuse_orphans(folder)
        return _Reading(None, quoter, settings).read(manifest, folder, warnings)
    with LedgerReader(folder) as reader:
        return _Reading(reader, quoter, settings).read(manifest, folder, warnings)


class _Reading:
    """One reading of the manifest beside the ledger."""

    def __init__(self, reader: "LedgerReader | None", quoter: Quoter, settings: Settings) -> None:
        self._reader = reader
        self._quoter = quoter
        self._settings = settings
        self._counts = reader.counts() if reader else dict.fromkeys(JobState, 0)
        self._spending = reader.spending() if reader else []
        self._caps = caps_of(settings)
        self._budget = Budget(self._caps, spent_in(self._spending or ()))
        self._rows: Counter[str] = Counter()
        self._met: Counter[JobState] = Counter()
        self._marks = _Marks()
        self._changed: list[ChangedJob] = []
        self._taken: list[tuple[Job, str]] = []
        """The first rows that want the output of another job, with that one's id."""
        self._fresh: dict[str, tuple[str, Source, str]] = {}
        """New rows by what their outputs are on a file system that knows no case."""
        self._figures = Figures()
        self._tally = _Tally()
        self._selected = False

    def read(self, manifest: Manifest, folder: Path, warnings: Sequence[str]) -> Plan:
        """The plan."""
        for jobs in _batches(manifest.jobs(), _BATCH):
            known = self._reader.known(jobs) if self._reader else {}
            owners = self._reader.owners([job.output for job in jobs]) if self._reader else {}
            for job in jobs:
                self._meet(job, known.get(job.job_id))
                self._look_at_output(job, known.get(job.job_id), owners.get(job.output, job.job_id))
        self._meet_those_left()
        self._check_selection()
        return self._plan(manifest, folder, warnings)

    # -- the rows

    def _meet(self, job: Job, known: "Known | None") -> None:
        if known is None:
            self._rows["new"] += 1
            self._buy(job)
            return
        self._met[known.state] += 1
        if not known.same:
            self._meet_changed(job, known)
            return
        self._marks.add(known.seq)
        self._rows[_row_word(known.state)] += 1
        self._tally.may_be_retried += known.state is JobState.FAILED and not known.download_again
        if self._is_bought_again(known):
            self._buy(job, known.state)
        self._see(job)

    def _meet_changed(self, job: Job, known: "Known") -> None:
        self._rows["changed"] += 1
        self._see(job)
        if self._reader is not None and len(self._changed) < _NAMED:
            self._changed.append(self._reader.changed(job, known))
        may_rerun = known.state is JobState.QUEUED or known.state.ended
        if self._settings.on_changed == "rerun" and may_rerun:
            self._marks.add(known.seq)
            self._tally.bought_instead += known.state is JobState.FAILED and known.download_again
            self._buy(job)
        elif self._settings.on_changed == "error":
            self._marks.add(known.seq)  # nothing of it is bought before somebody decides

    def _look_at_output(self, job: Job, known: "Known | None", owner: str) -> None:
        """Whether the row would take an output that another job of the folder has."""
        if owner != job.job_id and len(self._taken) < _NAMED and self._is_described(known):
            self._taken.append((job, owner))
        if known is None and self._reader is not None and len(self._fresh) < _COMPARED:
            self._fresh[fold(job.output)] = job.job_id, job.source, job.output

    def _is_described(self, known: "Known | None") -> bool:
        """Whether a run writes down the row's output: it is new, or takes the place of what was enrolled."""
        if known is None:
            return True
        if known.same:
            return known.state in {JobState.QUEUED, JobState.UNKNOWN}
        return self._settings.on_changed == "rerun" and (known.state is JobState.QUEUED or known.state.ended)

    def _collision(self, manifest: Manifest) -> str | None:
        """Why a run would refuse two jobs of one output; no reason is an owner that takes another one itself."""
        if self._reader is None:
            return None
        if not self._taken:
            return self._likeness(self._reader)
        owners, moved = {owner for _, owner in self._taken}, set()
        for job in manifest.jobs():
            if job.job_id in owners:
                known = self._reader.known([job]).get(job.job_id)
                if self._is_described(known) and self._reader.owners([job.output]).get(job.output) != job.job_id:
                    moved.add(job.job_id)
        taken = [(job, owner) for job, owner in self._taken if owner not in moved]
        if not taken:
            return None
        job, owner = taken[0]
        more = f" (and {len(taken) - 1} more like it)" if len(taken) > 1 else ""
        return (
            f"job {job.job_id} ({job.source.file}:{job.source.line}) would write {job.output}, which belongs to "
            f"job {owner} in this output folder; give it another output name, or use another output folder{more}"
        )

    def _likeness(self, reader: "LedgerReader") -> str | None:
        """Why a run would refuse a new output that is an old one but for its case or Unicode form."""
        for output, owner in reader.outputs() if self._fresh else ():
            job_id, source, wanted = self._fresh.get(fold(output), (owner, None, output))
            if source is not None and output != wanted:
                return (
                    f"job {job_id} ({source.file}:{source.line}) would write {wanted}, which is the "
                    f"output {output} of job {owner} in another case or Unicode form; give it another output name"
                )
        return None

    def _meet_those_left(self) -> None:
        """What waits in the ledger and was not met as a row: its row has left, or was changed and the old job is kept.

        Jobs of the ledger are bought whether the manifest names them or not.
        """
        if self._reader is None:
            return
        settings = self._settings
        again = self._reader.queued_again(failed=settings.retry_failed, unknown=settings.resubmit_unknown)
        for seq, state, job in again:
            if seq not in self._marks:
                self._buy(job, state)

    def _is_bought_again(self, known: "Known") -> bool:
        settings = self._settings
        if known.state is JobState.QUEUED:
            return True
        if known.state is JobState.FAILED:
            return settings.retry_failed and not known.download_again
        lost = known.state in {JobState.UNKNOWN, JobState.SUBMITTING} and not known.traceable
        return settings.resubmit_unknown and lost

    def _check_selection(self) -> None:
        """Raises `UsageError` where neither the manifest nor the ledger has a job that is selected."""
        select = self._settings.select
        if select is None or self._selected or (self._reader is not None and self._reader.is_selected(select)):
            return
        raise UsageError(f"no job matches --select {select!r}; nothing would be submitted")

    def _see(self, job: Job) -> bool:
        """Whether the job is selected."""
        chosen = selects(self._settings.select, job.job_id)
        self._selected = self._selected or chosen
        return chosen

    def _buy(self, job: Job, state: JobState = JobState.QUEUED) -> None:
        if not self._see(job):
            self._tally.not_selected += 1
            return
        limit = self._settings.limit
        if limit is not None and self._tally.bought >= limit:
            self._tally.beyond_limit += 1
            return
        quote = self._quoter.quote(job)
        self._figures.add(job, quote)
        self._tally.bought += 1
        self._tally.retried += state is JobState.FAILED
        self._tally.resubmitted += state in {JobState.UNKNOWN, JobState.SUBMITTING}
        if self._tally.fits:
            self._tally.fits = self._budget.reserve(job.job_id, quote)
            self._budget.close(job.job_id)
            self._tally.affordable += self._tally.fits

    # -- the whole

    def _plan(self, manifest: Manifest, folder: Path, warnings: Sequence[str]) -> Plan:
        tally, figures = self._tally, self._figures
        against = objection(self._caps, figures, self._spending or ()) if figures.jobs else None
        collision = self._collision(manifest)
        refusing = collision is not None or objection(self._caps, figures) is not None
        against = collision or against
        return Plan(
            manifest=manifest.file,
            folder=str(folder),
            rows=Rows(**self._rows),
            left={state: self._counts[state] - self._met[state] for state in JobState},
            changed=tuple(self._changed),
            on_changed=self._settings.on_changed,
            to_submit=self._figures,
            beyond_limit=tally.beyond_limit,
            retried=tally.retried,
            resubmitted=tally.resubmitted,
            not_selected=tally.not_selected,
            caps=self._caps,
            affordable=0 if against and not refusing else tally.affordable,
            objection=against,
            only_collects=against is not None and not refusing,
            spending=self._spending,
            time=self._time(),
            disk=_disk(self._figures, self._reader.mean_bytes() if self._reader and self._figures.counts else None),
            prices_as_of=self._quoter.as_of,
            fetched_again=self._fetched_again(),
            unknown=self._counts[JobState.UNKNOWN],
            may_be_retried=tally.may_be_retried,
            warnings=warnings,
        )

    def _fetched_again(self) -> int:
        if self._reader is None or not self._counts[JobState.FAILED]:
            return 0
        return sum(group.comes_again for group in self._reader.failures()) - self._tally.bought_instead

    def _time(self) -> Time:
        counts = self._figures.counts
        known = _learned(self._reader, counts) if self._reader and counts else {}
        slots = None if self._settings.concurrency == "auto" else self._settings.concurrency

        def takes(quote: Quote) -> float | None:
            found = known.get(quote)
            return quote.takes if found is None else found

        return Time(
            None if slots is None else wall_seconds(counts, takes, slots),
            slots,
            sum(number for quote, number in counts.items() if known.get(quote) is not None),
            sum(number for quote, number in counts.items() if known.get(quote) is None and quote.takes is not None),
        )


def _learned(reader: "LedgerReader", quotes: Iterable[Quote]) -> Mapping[Quote, float | None]:
    """How long such tasks took in earlier runs."""
    from pipeline.engine.durations import KEY, typical  # a plan without earlier runs has nothing to ask them

    learned = reader.recall(KEY)
    return {quote: typical(learned, quote.kind) for quote in quotes} if learned else {}


class _Tally:
    """What was counted while the rows went by."""

    bought: int = 0
    beyond_limit: int = 0
    retried: int = 0
    may_be_retried: int = 0
    bought_instead: int = 0
    """Failed at their download, and changed: they are bought anew."""
    resubmitted: int = 0
    not_selected: int = 0
    affordable: int = 0
    fits: bool = True
    """No job so far was beyond the caps."""


class _Marks:
    """A bit for each number."""

    def __init__(self) -> None:
        self.bits = bytearray()

    def add(self, number: int) -> None:
        place, bit = divmod(number, 8)
        if place >= len(self.bits):
            self.bits.extend(bytes(place + 1 - len(self.bits)))
        self.bits[place] |= 1 << bit

    def __contains__(self, number: int) -> bool:
        place, bit = divmod(number, 8)
        return place < len(self.bits) and bool(self.bits[place] >> bit & 1)


def _row_word(state: JobState) -> str:
    if state in _IN_FLIGHT:
        return "in_flight"
    return "waiting" if state is JobState.QUEUED else str(state)


def _disk(figures: Figures, mean: float | None) -> Disk:
    if mean is not None:
        return Disk(round(mean * figures.jobs), mean)
    known = all(quote.seconds is not None for quote in figures.counts)
    return Disk(figures.seconds() * BYTES_A_SECOND // 1000 if known else None, None)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    waiting = iter(items)
    while batch := list(islice(waiting, size)):
        yield batch
