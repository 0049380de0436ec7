"""What others are told about a run that has ended: facts for machines, a few lines for people. Pure."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.clock import iso
from pipeline.core.jobs import JobState
from pipeline.core.values import Value, made
from pipeline.ledger import FailureGroup, UnknownJob
from pipeline.views.next_step import BY_PROGRAM, Close, Commands, NextStep, next_step
from pipeline.views.spending import spending_facts, spending_lines
from pipeline.views.text import cut, printable

SCHEMA = 1
SHOWN = 5
"""Reasons and unknown jobs that are told; `pipeline status` has them all."""
_MESSAGE = 200
"""Characters of somebody else's message."""
_TOLD_STATES = (JobState.DONE, JobState.FAILED, JobState.UNKNOWN)


class About(Value):
    """Which run it is."""

    run_id: str
    manifest: str
    """Absolute where it is a file."""
    folder: Path
    """Absolute."""
    rehearsal: bool = False
    commands: Commands = BY_PROGRAM
    """What to type next, anywhere."""


class RunEnd(Close, kw_only=True):
    """How a run ended, for those who are told of it elsewhere; Unix seconds."""

    about: About
    started_at: float
    ended_at: float
    ended: Mapping[JobState, int] = made(default_factory=dict)
    """Of the jobs that ended in this run."""
    moved: bool = False
    """Whether the run did anything: submitted, collected or ended a job."""

    @property
    def stopped_early(self) -> bool:
        """Whether something ended the run before its last job."""
        return bool(self.stops) or self.error is not None

    @property
    def next(self) -> NextStep:
        """What a person does now."""
        return next_step(self, self.about.commands.over(str(self.about.folder)))


# -- for machines ------------------------------------------------------------------------------------------------------


def run_facts(end: RunEnd) -> dict[str, Any]:
    """The end of a run as one JSON object, schema 1: what a webhook gets, and `on_finish` on its standard input."""
    return {
        "schema": SCHEMA,
        "event": "run_finished",
        "text": text(end),
        "run_id": end.about.run_id,
        "manifest": end.about.manifest,
        "folder": str(end.about.folder),
        "rehearsal": end.about.rehearsal,
        "exit_code": end.exit_code,
        "started_at": iso(end.started_at),
        "ended_at": iso(end.ended_at),
        "jobs": {state: end.counts.get(state, 0) for state in JobState},
        "ended": {state: end.ended.get(state, 0) for state in _TOLD_STATES},
        "stopped": [{"reason": stop.reason, "message": cut(stop.message, _MESSAGE)} for stop in end.stops],
        "error": None if end.error is None else cut(end.error, _MESSAGE),
        "cost": spending_facts(end.spending),
        "failures": [_failure_facts(group) for group in end.failures[:SHOWN]],
        "unknown": [_unknown_facts(one) for one in end.unknown[:SHOWN]],
        "next": end.next.text,
    }


def as_json(facts: Mapping[str, Any]) -> bytes:
    """One line of ASCII: nothing in it steers a terminal, and undecodable file names are no obstacle."""
    return json.dumps(facts).encode() + b"\n"


def _failure_facts(group: FailureGroup) -> dict[str, Any]:
    return {
        "stage": group.stage,
        "code": group.code,
        "count": group.count,
        "job_id": group.job_id,
        "message": cut(group.message, _MESSAGE),
    }


def _unknown_facts(unknown: UnknownJob) -> dict[str, Any]:
    task = unknown.record.task
    return {
        "job_id": unknown.record.job.job_id,
        "attempt": unknown.record.attempt,
        "sent_at": iso(unknown.intent_at),
        "task_id": task.task_id if task else None,
    }


# -- for people --------------------------------------------------------------------------------------------------------


def headline(end: RunEnd) -> str:
    """`shots: exit 1: 10 done, 2 failed, 0 unknown, 0 remaining`."""
    counts = ", ".join(f"{end.count(state):,} {state}" for state in _TOLD_STATES)
    rehearsed = " (a rehearsal)" if end.about.rehearsal else ""
    name = printable(end.about.folder.name)
    return f"{name}{rehearsed}: exit {end.exit_code}: {counts}, {end.remaining:,} remaining"


def text(end: RunEnd) -> str:
    """The headline, what went wrong, what it cost, and the next step: some lines for a chat."""
    return "\n".join([headline(end), *body_lines(end)])


def body_lines(end: RunEnd) -> Iterator[str]:
    """What comes after the headline."""
    for stop in end.stops:
        yield f"stopped early: {_shown(stop.message)}"
    if end.error is not None:
        yield f"ended by an error: {_shown(end.error)}"
    for group in end.failures[:SHOWN]:
        yield (
            f"{group.count:,} × {printable(group.code)} at {group.stage}, first {group.job_id}: {_shown(group.message)}"
        )
    for one in end.unknown[:SHOWN]:
        yield f"unknown: {one.record.job.job_id}, may have been paid for"
    if end.spending:
        yield from ["cost: none, this was a rehearsal"] if end.about.rehearsal else _spent(end)
    yield end.next.line


def _spent(end: RunEnd) -> Iterator[str]:
    return spending_lines(end.spending, unknown=end.count(JobState.UNKNOWN))


def _shown(message: str) -> str:
    return cut(printable(message), _MESSAGE)
