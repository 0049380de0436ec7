"""The ledger for whoever only looks, also while a run writes to it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.core.jobs import Job, JobState, Record, StoredFile
from pipeline.ledger import queries
from pipeline.ledger.codec import Spec, from_json
from pipeline.ledger.faults import translated
from pipeline.ledger.overview import Overview
from pipeline.ledger.queries import Known, Story

if TYPE_CHECKING:  # whoever asks nothing of the kind does without
    from pipeline.ledger.enrolment import ChangedJob, Reading
    from pipeline.ledger.sketches import Sketch


class LedgerReader(Overview):
    """One moment of a ledger, down to its jobs, as `Overview` is one of the whole."""

    def is_selected(self, select: str) -> bool:
        """Whether the shell pattern matches any job, whatever its state."""
        with translated(self._path):
            return queries.is_selected(self._connection, select)

    def record(self, job_id: str) -> Record | None:
        """What is known of one job; None where it is not enrolled."""
        with translated(self._path):
            return queries.record(self._connection, job_id)

    def records(self, state: JobState, *, limit: int) -> list[Record]:
        """The first `limit` jobs in a state, in the order of enrolment."""
        with translated(self._path):
            return queries.records(self._connection, state, limit)

    def known(self, jobs: Sequence[Job]) -> dict[str, Known]:
        """Those of the jobs that are enrolled, by id; some hundreds at a time."""
        with translated(self._path):
            return queries.known(self._connection, jobs)

    def owners(self, outputs: Sequence[str]) -> dict[str, str]:
        """The jobs that have these outputs, by output; some hundreds at a time."""
        with translated(self._path):
            return queries.owners(self._connection, outputs)

    def outputs(self) -> Iterator[tuple[str, str]]:
        """Every output with its job, streamed."""
        return self._stream(queries.outputs(self._connection))

    def changed(self, job: Job, known: Known) -> "ChangedJob":
        """What the row of an enrolled job buys otherwise than before."""
        from pipeline.ledger.enrolment import changed_job

        return changed_job(job, known.state, from_json(known.spec, Spec))

    def queued_again(self, *, failed: bool, unknown: bool) -> Iterator[tuple[int, JobState, Job]]:
        """Every job that waits, streamed, with those that failed or are unknown and are to be bought again."""
        return self._stream(queries.queued_again(self._connection, failed=failed, unknown=unknown))

    def mean_bytes(self) -> float | None:
        """The mean size of what one of the latest jobs brought; None where none has."""
        with translated(self._path):
            return queries.mean_bytes(self._connection)

    def last_reading(self) -> "Reading | None":
        """The reading that the last enrolment was made of, where enrolling the same again would change nothing."""
        from pipeline.ledger.enrolment import last_reading

        with translated(self._path):
            return last_reading(self._connection) if self._has_memory else None

    def sketches(self, after: int = 0) -> "Iterator[tuple[int, Sketch]]":
        """What became so far of every job after the cursor, in the order of enrolment, with its cursor; streamed."""
        return self._sketches(after=after)

    def moved(self, since: float) -> "Iterator[tuple[int, Sketch]]":
        """The same of every job that has moved since then (Unix seconds, that moment included); streamed."""
        return self._sketches(since=since)

    def newest(self, limit: int) -> list[int]:
        """The cursors of so many jobs that moved last, failed and unknown ones before all others."""
        with translated(self._path):
            return queries.newest(self._connection, limit)

    def _sketches(self, *, after: int = 0, since: float | None = None) -> "Iterator[tuple[int, Sketch]]":
        from pipeline.ledger.sketches import sketches

        has = {"has_purchases": self._has_purchases, "has_notices": self._has_notices}
        return self._stream(sketches(self._connection, after=after, since=since, **has))

    def story(self, job_id: str) -> Story | None:
        """What became so far of one job; None where it is not enrolled. For a ledger that a run has opened."""
        with translated(self._path):
            return queries.story(self._connection, job_id)

    def ended(self, after: int) -> Iterator[tuple[int, Story]]:
        """Every job with a results line after the cursor for its latest attempt, with the line's number; streamed.

        For a ledger that a run has opened.
        """
        return self._stream(queries.ended(self._connection, after))

    def last_line(self) -> int:
        """The number of the newest results line: the cursor after which the ends to come stand."""
        with translated(self._path):
            return queries.last_line(self._connection)

    def lines(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Up to `limit` results lines after the cursor in the file's order, each with its number."""
        with translated(self._path):
            return queries.lines(self._connection, after, limit)

    def ended_counts(self, after: int) -> dict[JobState, int]:
        """How the jobs stand now that have a results line after the cursor, by state."""
        with translated(self._path):
            return queries.ended_counts(self._connection, after)

    def files(self) -> Iterator[tuple[str, StoredFile]]:
        """Every video that should be on disk with its job's id, streamed."""
        return self._stream(queries.files(self._connection))

    def stored(self) -> Iterator[tuple[str, JobState, tuple[StoredFile, ...]]]:
        """Every job with videos on record, streamed: done, or done once and to be fetched again, or failed at that."""
        return self._stream(queries.stored(self._connection))

    def latest(self) -> Iterator[str]:
        """The newest results line of each job that has one, without newlines, in the file's order, streamed."""
        return self._stream(queries.latest(self._connection))
