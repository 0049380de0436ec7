"""Events as log lines: sentences for people, or one JSON object a line for machines."""

import json
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from pipeline.core.clock import iso
from pipeline.core.events import (
    BatchEnded,
    BatchPriced,
    BatchStarted,
    CallFailed,
    Event,
    ExtraFailed,
    FolderAwaited,
    JobLeft,
    JobMoved,
    QuestionsLate,
    RowsKept,
    SlotsChanged,
    Stopping,
    StrangeStatus,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import Failure, JobState, Outcome
from pipeline.core.money import Actual, Quote, exact
from pipeline.views.plan import priced_facts
from pipeline.views.progress import counts_text
from pipeline.views.standing import Standing
from pipeline.views.text import many, printable, span

REPEAT_AFTER = 60.0
"""Seconds for which the same trouble with the same kind of call, or another job left behind, is not told again."""

_LEFT = "left"
"""The kind of trouble of which the run's end tells how often it went untold."""
_MOST_TROUBLES = 1000
"""Remembered at once; a service that invents a code for every answer must not fill the memory."""


class Level(IntEnum):
    """How much a reader wants to know; each level includes those before it."""

    ERRORS = 0
    """Jobs that failed, became unknown or were left, and why a run stops."""
    NOTABLE = 1
    """Also pauses, the run that is waited for, calls that are made again, and words that nobody documented."""
    FINISHED = 2
    """Also every finished video."""
    EVERYTHING = 3


# -- text: pure --------------------------------------------------------------------------------------------------------


_LEVELS: Mapping[type[Event], Level] = {
    CallFailed: Level.NOTABLE,
    SubmittingPaused: Level.NOTABLE,
    SubmittingResumed: Level.NOTABLE,
    QuestionsLate: Level.NOTABLE,
    StrangeStatus: Level.NOTABLE,
    FolderAwaited: Level.NOTABLE,
    RowsKept: Level.NOTABLE,
    JobLeft: Level.ERRORS,
    ExtraFailed: Level.ERRORS,
    Stopping: Level.ERRORS,
}
_MOVED_LEVELS: Mapping[JobState, Level] = {
    JobState.FAILED: Level.ERRORS,
    JobState.UNKNOWN: Level.ERRORS,
    JobState.DONE: Level.FINISHED,
}


def level_of(event: Event) -> Level:
    """To whom the event matters; asked of every event, before anything is made of it."""
    if isinstance(event, JobMoved):
        return _MOVED_LEVELS.get(event.state, Level.EVERYTHING)
    return _LEVELS.get(type(event), Level.EVERYTHING)


def sentence(event: Event) -> str:
    """What the event says."""
    match event:
        case JobMoved():
            return _moved(event)
        case CallFailed():
            return f"{event.job_id}: {_again(event)}"
        case SubmittingPaused():
            return f"submitting is paused: {event.reason}"
        case SubmittingResumed():
            return "submitting goes on"
        case SlotsChanged():
            return f"{many(event.limit, 'slot')} allowed"
        case QuestionsLate():
            worst = f"{event.worst:.1f} s at worst"
            return f"questions leave {event.mean:.1f} s late, {worst}: {event.mend}"
        case StrangeStatus():
            return f"{event.job_id}: the service says {event.word!r}, which nobody documented; asking on"
        case JobLeft():
            return f"{event.job_id}: left {event.state} for the next run: {event.reason}"
        case ExtraFailed():
            return f"{event.what} failed, and the run goes on: {event.message}"
        case Stopping():
            return f"stopping: {event.message}"
        case FolderAwaited():
            wait = f"waiting for it to end, for {span(event.seconds)} at most"
            return f"another run holds {event.folder}; {wait}"
        case RowsKept():
            left = "1 row changed and was" if event.count == 1 else f"{event.count:,} rows changed and were"
            more = ", …" if event.count > len(event.job_ids) else ""
            why = " while in flight; the next run with --on-changed rerun buys anew" if event.in_flight else ""
            return f"{left} left as enrolled{why} ({', '.join(event.job_ids)}{more})"
        case BatchStarted():
            loop = "" if event.loop in {"", "asyncio"} else f", on {event.loop}"
            return f"started: {counts_text(Standing(event.counts, 0.0))}; {event.to_submit} to submit{loop}"
        case BatchPriced():
            return f"{many(sum(event.quotes.values()), 'job')} to submit are priced"
        case BatchEnded():
            return f"ended: {counts_text(Standing(event.counts, 0.0))}"
        case _:
            return type(event).__name__


def _moved(event: JobMoved) -> str:
    name = event.job.job_id
    failure = event.outcome.failure if event.outcome else None
    match event.state:
        case JobState.FAILED:
            return f"{name}: failed{_because(failure)}"
        case JobState.UNKNOWN:
            return f"{name}: unknown, may have been paid for{_because(failure)}"
        case JobState.DONE:
            files = event.outcome.files if event.outcome else ()
            return f"{name}: done, {', '.join(file.path for file in files)}"
        case _:
            task = f", task {event.task_id}" if event.task_id else ""
            return f"{name}: {event.state}{task}"


def _because(failure: Failure | None) -> str:
    return f" ({failure.code} at {failure.stage}): {failure.message}" if failure else ""


def _again(event: CallFailed) -> str:
    return f"{event.call} call failed ({event.code}), again in {span(event.retry_in)}: {event.message}"


# -- JSON: pure --------------------------------------------------------------------------------------------------------


def as_json(event: Event) -> str:
    """The event as one JSON object: `event` is its stable name, `time` is ISO 8601 in UTC; ASCII only."""
    name, facts = _facts(event)
    return json.dumps({"event": name, "time": iso(event.at), **facts})


def _facts(event: Event) -> tuple[str, dict[str, Any]]:
    match event:
        case JobMoved():
            return "job_moved", _moved_facts(event)
        case CallFailed(call=call, job_id=job_id, code=code, message=message, retry_in=retry_in):
            facts = {"call": call, "job_id": job_id, "code": code, "message": message, "retry_in": round(retry_in, 3)}
            return "call_failed", facts
        case SubmittingPaused():
            return "submitting_paused", {"reason": event.reason}
        case SubmittingResumed():
            return "submitting_resumed", {}
        case SlotsChanged():
            return "slots_changed", {"limit": event.limit}
        case QuestionsLate():
            return "questions_late", {
                "mean": round(event.mean, 3),
                "worst": round(event.worst, 3),
                "mend": event.mend,
            }
        case StrangeStatus():
            return "strange_status", {"job_id": event.job_id, "word": event.word}
        case JobLeft():
            return "job_left", {"job_id": event.job_id, "state": event.state, "reason": event.reason}
        case ExtraFailed():
            return "extra_failed", {"what": event.what, "message": event.message}
        case Stopping():
            return "stopping", {"reason": event.reason, "message": event.message}
        case FolderAwaited():
            return "folder_awaited", {"folder": event.folder, "seconds": event.seconds}
        case RowsKept():
            facts = {"count": event.count, "job_ids": list(event.job_ids)}
            return "rows_kept", facts | {"in_flight": event.in_flight}
        case BatchStarted():
            facts = {"counts": dict(event.counts), "to_submit": event.to_submit, "slots": event.slots}
            return "batch_started", facts | {"loop": event.loop}
        case BatchPriced():
            return "batch_priced", priced_facts(event)
        case BatchEnded():
            return "batch_ended", {"counts": dict(event.counts)}
        case _:
            return "other", {}


def _moved_facts(event: JobMoved) -> dict[str, Any]:
    facts = {"job_id": event.job.job_id, "state": event.state, "attempt": event.attempt, "task_id": event.task_id}
    if event.quote is not None:
        facts |= {"quote": _quote_facts(event.quote)}
    if event.actual is not None:
        facts |= {"actual": _actual_facts(event.actual)}
    return facts | _outcome_facts(event.outcome) if event.outcome else facts


def _quote_facts(quote: Quote) -> dict[str, Any]:
    """What the attempt may cost: exact decimals, null where unknown."""
    expected, worst = (None if amount is None else exact(amount) for amount in (quote.expected, quote.worst))
    return {"currency": quote.currency or None, "expected": expected, "worst": worst}


def _actual_facts(actual: Actual) -> dict[str, Any]:
    """What the attempt came to by the usage that the service reported."""
    return {
        "cost": None if actual.cost is None else exact(actual.cost),
        "video_seconds": None if actual.seconds is None else actual.seconds / 1000,
    }


def _outcome_facts(outcome: Outcome) -> dict[str, Any]:
    files = [{"path": file.path, "bytes": file.bytes} for file in outcome.files]
    failure = outcome.failure
    if failure is None:
        return {"files": files, "error": None}
    error = {"stage": failure.stage, "code": failure.code, "message": failure.message}
    return {"files": files, "error": error | {"http_status": failure.http_status}}


# -- the listeners -----------------------------------------------------------------------------------------------------


class TextLog:
    """Writes a line with the local time for every event that matters to the level; repeated troubles are gathered."""

    def __init__(
        self, write: Callable[[str], None], level: Level, get_time: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._level = level
        self._get_time = get_time
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def hear(self, event: Event) -> None:
        """Write the event's line, or none."""
        if level_of(event) > self._level:
            if type(event) is BatchEnded:
                self._tell_rest(event.at)
            return
        text, trouble = sentence(event), _repeated(event)
        if trouble and self._level < Level.EVERYTHING:
            gathered = self._gather(trouble)
            if gathered is None:
                return
            text += f" ({gathered:,} more like this since)" if gathered else ""
        self._stamped(event.at, text)

    def _stamped(self, at: float, text: str) -> None:
        stamp = time.strftime("%H:%M:%S", time.localtime(at))
        self._write(f"{stamp} {printable(text)}")

    def _tell_rest(self, at: float) -> None:
        """How many jobs more than those that were named are left to the next run."""
        for (kind, state), (_, untold) in self._told.items():
            if kind == _LEFT and untold:
                self._stamped(at, f"{untold:,} more left {state} for the next run")

    def warn(self, warning: str) -> None:
        """Write a line about something that may go wrong."""
        if self._level >= Level.NOTABLE:
            self._write(f"warning: {printable(warning)}")

    def _gather(self, trouble: tuple[str, str]) -> int | None:
        """How often the trouble went untold since it was told last; None where it is too early to tell it again."""
        now = self._get_time()
        told_at, untold = self._told.get(trouble, (-REPEAT_AFTER, 0))
        if now - told_at < REPEAT_AFTER:
            self._told[trouble] = (told_at, untold + 1)
            return None
        if len(self._told) >= _MOST_TROUBLES:
            self._told.clear()
        self._told[trouble] = (now, 0)
        return untold


def _repeated(event: Event) -> tuple[str, str] | None:
    """What an event has in common with others that need not be told one by one."""
    match event:
        case CallFailed(call=call, code=code):
            return call, code
        case JobLeft(state=state):
            return _LEFT, state
        case QuestionsLate():
            return "status", "late"
        case SubmittingPaused() | SubmittingResumed():
            return "submitting", type(event).__name__
        case _:
            return None


class JsonLog:
    """Writes a JSON object for every event that matters to the level."""

    def __init__(self, write: Callable[[str], None], level: Level) -> None:
        self._write = write
        self._level = level

    def hear(self, event: Event) -> None:
        """Write the event's object, or none."""
        if level_of(event) <= self._level:
            self._write(as_json(event))

    def warn(self, warning: str) -> None:
        """Write an object about something that may go wrong."""
        if self._level >= Level.NOTABLE:
            self._write(json.dumps({"event": "warning", "time": iso(time.time()), "message": warning}))
