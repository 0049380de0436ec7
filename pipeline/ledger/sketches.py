"""What became of each job, for whoever tells of a whole batch: as much as a page shows, read by the ten thousand."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from pipeline.core.jobs import ENDED, Failure, JobState, LocalFile, Source, Stage
from pipeline.ledger.codec import Spec, from_json
from pipeline.ledger.purchases import Cost, cost_of
from pipeline.ledger.queries import bare

_STATES = {state.value: state for state in JobState}
_ENDED = frozenset(state.value for state in ENDED)
_cost = lru_cache(maxsize=256)(cost_of)
"""Most jobs of a batch cost the same."""


class Video(msgspec.Struct, frozen=True):
    """A video on disk."""

    path: str
    """Relative to the output folder, POSIX."""
    bytes: int


class Answer(msgspec.Struct, frozen=True):
    """When a task was by the service's own clock; Unix seconds."""

    submit_time: float | None = None
    finish_time: float | None = None


_UNANSWERED = Answer()


class Sketch(msgspec.Struct, frozen=True):
    """What became of a job so far, as `Story` tells it in full; Unix seconds on this machine's clock."""

    job_id: str
    state: JobState
    attempt: int
    output: str
    spec: str
    """JSON: what the job buys, and where it stands."""
    model: str
    input: Mapping[str, Any]
    parameters: Mapping[str, Any]
    metadata: Mapping[str, Any]
    source: Source
    media: tuple[LocalFile, ...]
    """The local files that it names."""
    moved_at: float
    intent_at: float | None
    noticed_at: float | None
    submitted_at: float | None
    task_id: str | None
    answer: Answer
    """That ended the task."""
    videos: tuple[Video, ...]
    """Of a job that has ended."""
    failure: Failure | None
    """Why it ended badly, where it did."""
    cost: Cost | None


# -- reading --------------------------------------------------------------------------------------------------------

_FACTS = """
    SELECT seq, job_id, state, jobs.attempt, output, spec, moved_at, intent_at, submitted_at, task_id, report, files,
        failure_stage, failure_code, failure_message, failure_status,
"""
_COSTS = "currency, expected, actual FROM jobs LEFT JOIN purchases ON job = seq AND purchases.attempt = jobs.attempt"
_NO_COSTS = "NULL, NULL, NULL FROM jobs"
_AFTER = "WHERE seq > ? ORDER BY seq"
_SINCE = "WHERE moved_at >= ? ORDER BY seq"


def sketches(
    connection: sqlite3.Connection,
    *,
    after: int = 0,
    since: float | None = None,
    has_purchases: bool,
    has_notices: bool,
) -> Iterator[tuple[int, Sketch]]:
    """Every job after the cursor in the order of enrolment, each with its own cursor.

    With `since` (Unix seconds), every job that has moved then or later instead.
    """
    where, given = (_AFTER, after) if since is None else (_SINCE, since)
    noticed, costs = "noticed_at" if has_notices else "NULL", _COSTS if has_purchases else _NO_COSTS
    quickly = _quick_readers()
    for seq, *facts in bare(connection).execute(f"{_FACTS} {noticed}, {costs} {where}", (given,)):
        try:
            sketch = _sketch(quickly, *facts)
        except msgspec.DecodeError:  # an escaped lone surrogate, most likely
            sketch = _sketch(_CAREFULLY, *facts)
        yield seq, sketch


class _Readers(NamedTuple):
    """Of the JSON in three columns."""

    spec: Callable[[str], Spec]
    answer: Callable[[str], Answer]
    videos: Callable[[str], tuple[Video, ...]]


_CAREFULLY = _Readers(
    lambda text: from_json(text, Spec),
    lambda text: from_json(text, Answer),
    lambda text: from_json(text, tuple[Video, ...]),
)


@cache
def _quick_readers() -> _Readers:
    """Made when they are wanted: that takes longer than reading some rows."""
    decoder = msgspec.json.Decoder
    return _Readers(decoder(Spec).decode, decoder(Answer).decode, decoder(tuple[Video, ...]).decode)


def _sketch(
    read: _Readers,
    job_id: str,
    state: str,
    attempt: int,
    output: str,
    spec: str,
    moved_at: float,
    intent_at: float | None,
    submitted_at: float | None,
    task_id: str | None,
    report: str | None,
    files: str | None,
    stage: str,
    code: str | None,
    message: str,
    status: int | None,
    noticed_at: float | None,
    *cost: Any,
) -> Sketch:
    bought, ended = read.spec(spec), state in _ENDED
    return Sketch(  # partly by place: so many names in one call would make a dictionary of them
        job_id,
        _STATES[state],
        attempt,
        output,
        spec,
        bought.model,
        bought.input,
        bought.parameters,
        bought.metadata,
        bought.source,
        bought.files,
        moved_at=moved_at,
        intent_at=intent_at,
        noticed_at=noticed_at,
        submitted_at=submitted_at,
        task_id=task_id,
        answer=read.answer(report) if report else _UNANSWERED,
        videos=read.videos(files) if files and state == JobState.DONE else (),
        failure=Failure(Stage(stage), code, message, status) if ended and code is not None else None,
        cost=_cost(*cost),
    )
