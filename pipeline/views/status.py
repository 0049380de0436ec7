"""Where a batch stands, from its ledger, for people and for scripts. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.clock import iso
from pipeline.core.jobs import JobState, remaining
from pipeline.core.money import Spending
from pipeline.core.values import Value
from pipeline.ledger import FailureGroup, Run, UnknownJob
from pipeline.views.reasons import failure_line, unknown_line
from pipeline.views.spending import spending_facts, spending_lines
from pipeline.views.text import many, printable


class BatchStatus(Value):
    """One moment of a batch."""

    folder: str
    counts: Mapping[JobState, int]
    runs: Sequence[Run]
    failures: Sequence[FailureGroup]
    unknown: Sequence[UnknownJob]
    spending: Sequence[Spending] | None = ()
    """What its attempts came to; None where the version that wrote the ledger did not note it."""
    prices_as_of: str | None = None
    """The day of the prices that the last run went by."""
    rehearsal: bool = False
    """Nothing of it was paid."""
    holder: int | None = None
    """The process of this machine that holds the folder; 0 where none does, None where nobody can tell."""

    @property
    def total(self) -> int:
        """All jobs."""
        return sum(self.counts.values())

    @property
    def remaining(self) -> int:
        """Jobs that have not ended."""
        return remaining(self.counts)


def status_lines(status: BatchStatus, resolve: str) -> list[str]:
    """The status for people; `resolve` is the beginning of the command that decides about an unknown job."""
    lines = [f"{printable(status.folder)}: {many(status.total, 'job')}, {status.remaining:,} remaining"]
    lines += [f"  {_run(status.runs[-1], status.holder)}"] if status.runs else []
    lines += [f"{status.counts.get(state, 0):>8,} {state}" for state in JobState]
    live = "a rehearsal: nothing was paid; live: " if status.rehearsal else ""
    as_of, unknown = printable(status.prices_as_of or ""), status.counts.get(JobState.UNKNOWN, 0)
    lines += [f"{live}{line}" for line in spending_lines(status.spending or (), as_of, unknown)]
    if status.failures:
        lines += ["failed, by reason:", *map(failure_line, status.failures)]
    if status.unknown:
        lines += ["unknown, each waits for a decision:", *map(unknown_line, status.unknown)]
        lines.append(f"  to decide: {resolve} JOB --task-id ID | --resubmit | --write-off")
    if status.remaining and status.holder == 0:
        twice = "" if status.rehearsal else "; nothing is paid for twice"
        lines.append(f"to go on: run the manifest again, as before{twice}")
    return lines


def _run(run: Run, holder: int | None) -> str:
    if run.ended_at is None:
        began = f"run {run.run_id} began {iso(run.started_at)}"
        if holder:
            return f"{began} and goes on (process {holder})"
        ended = "it goes on, or was killed" if holder is None else "it was killed, or goes on elsewhere"
        return f"{began} and has not ended ({ended})"
    return f"last run {run.run_id}: {iso(run.started_at)} to {iso(run.ended_at)}"


def status_json(status: BatchStatus) -> str:
    """The status for scripts: one JSON object, on several lines."""
    import json

    content: dict[str, Any] = {
        "folder": status.folder,
        "total": status.total,
        "remaining": status.remaining,
        "jobs": {state: status.counts.get(state, 0) for state in JobState},
        "spending": None if status.spending is None else spending_facts(status.spending),
        "prices_as_of": status.prices_as_of,
        "rehearsal": status.rehearsal,
        "last_run": _run_facts(status.runs[-1]) if status.runs else None,
        "holder": status.holder,
        "failures": [_failure_facts(group) for group in status.failures],
        "unknown": [_unknown_facts(unknown) for unknown in status.unknown],
    }
    return json.dumps(content, indent=2)


def _run_facts(run: Run) -> dict[str, Any]:
    return {"run_id": run.run_id, "started_at": iso(run.started_at), "ended_at": iso(run.ended_at)}


def _failure_facts(group: FailureGroup) -> dict[str, Any]:
    return {
        "stage": group.stage,
        "code": group.code,
        "count": group.count,
        "job_id": group.job_id,
        "message": group.message,
        "comes_again": group.comes_again,
    }


def _unknown_facts(unknown: UnknownJob) -> dict[str, Any]:
    record = unknown.record
    failure = record.outcome.failure if record.outcome else None
    return {
        "job_id": record.job.job_id,
        "attempt": record.attempt,
        "sent_at": iso(unknown.intent_at),
        "body_sha256": unknown.body_digest,
        "base_url": unknown.base_url,
        "external_id": record.external_id,
        "task_id": record.task.task_id if record.task else None,
        "error": None
        if failure is None
        else {
            "stage": failure.stage,
            "code": failure.code,
            "message": failure.message,
            "http_status": failure.http_status,
        },
    }
