"""Values to columns and back: what the ledger keeps as JSON, and the record that a row makes."""

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from pipeline.core.jobs import (
    Failure,
    Job,
    JobState,
    LocalFile,
    Outcome,
    Record,
    Source,
    Stage,
    StoredFile,
    Task,
    TaskReport,
)

T = TypeVar("T")
Columns = sqlite3.Row | Mapping[str, Any]

_STEERING = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that JSON lets pass: C1 controls, line separators, marks of direction. They stand in texts only."""
_LONE = "\\ud"
"""How the standard library begins an escaped lone surrogate; msgspec never escapes a character that UTF-8 has."""


class Spec(msgspec.Struct, frozen=True):
    """The part of a job that no question is ever asked about: one JSON column."""

    model: str
    input: Mapping[str, Any]
    parameters: Mapping[str, Any]
    metadata: Mapping[str, Any]
    source: Source
    files: tuple[LocalFile, ...]


class SentFile(msgspec.Struct, frozen=True):
    """A local file that was sent with a job: what tells its bytes, and never the bytes."""

    field: str
    """Where the job names its path, such as `input.image_url`."""
    bytes: int
    sha256: str


class Bought(msgspec.Struct, frozen=True):
    """What a results line repeats of a spec: passed on as JSON, because nobody looks into it on the way."""

    model: msgspec.Raw
    input: msgspec.Raw
    parameters: msgspec.Raw
    metadata: msgspec.Raw
    source: msgspec.Raw
    files: tuple[SentFile, ...] = ()


_BOUGHT = msgspec.json.Decoder(Bought)


# -- JSON -----------------------------------------------------------------------------------------------------------


def to_json(value: object) -> str:
    """JSON that `from_json` reads back exactly, lone surrogates (undecodable file names) included."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value))


def from_json(text: str, kind: type[T]) -> T:
    """What `to_json` wrote."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:  # an escaped lone surrogate, which only the standard library reads
        return msgspec.convert(json.loads(text), kind)


def to_strict_json(text: str) -> str:
    """What `to_json` wrote, for every strict reader: lone surrogates become U+FFFD, what is no number becomes null."""
    if _LONE not in text:
        return text
    return msgspec.json.encode(_well_formed(json.loads(text))).decode()


def steerless(text: str) -> str:
    """JSON that is safe to look at: what could steer a terminal, or turn its writing direction, is escaped."""
    if text.isascii() and "\x7f" not in text:
        return text
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def well_formed(text: str) -> str:
    """The text without lone surrogates, which SQLite cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _well_formed(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_well_formed(key): _well_formed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_well_formed(item) for item in value]
    return value


# -- rows -----------------------------------------------------------------------------------------------------------


def spec_of(job: Job) -> str:
    """The spec column of a job."""
    return to_json(Spec(job.model, job.input, job.parameters, job.metadata, job.source, job.files))


def kind_of(job: Job) -> str:
    """The kind column of a job."""
    kind = job.kind
    return kind if kind.isascii() else well_formed(kind)


def kind_of_spec(text: str) -> str:
    """The kind column of a job that is known by its spec column only."""
    spec = from_json(text, Spec)
    return kind_of(Job("", "", spec.model, spec.input, spec.parameters, "", spec.source))


def bought_by(spec: str) -> Bought:
    """What a spec column says of the purchase, as strict JSON."""
    return _BOUGHT.decode(to_strict_json(spec))


def columns_of(row: sqlite3.Row) -> Mapping[str, Any]:
    """A row by the names of its columns: a row itself looks through all names each time that it is asked for one."""
    return dict(zip(row.keys(), row, strict=True))


def record_of(row: Columns) -> Record:
    """The record that a whole row of `jobs` makes."""
    state = JobState(row["state"])
    return Record(
        job=job_of(row),
        state=state,
        attempt=row["attempt"],
        task=_task_of(row),
        report=from_json(row["report"], TaskReport) if row["report"] else None,
        submitted_at=row["submitted_at"],
        outcome=_outcome_of(row, state) if state.ended else None,
        external_id=row["external_id"],
        base_url=row["base_url"],
        stored=files_of(row["files"]) if row["files"] and state is JobState.FETCHING else (),
    )


def files_of(text: str) -> tuple[StoredFile, ...]:
    """The stored files of a `files` column."""
    return from_json(text, tuple[StoredFile, ...])


def job_of(row: Columns) -> Job:
    """The job of a row of `jobs` that has its id, digest, output and spec."""
    spec = from_json(row["spec"], Spec)
    return Job(
        job_id=row["job_id"],
        digest=row["digest"],
        model=spec.model,
        input=spec.input,
        parameters=spec.parameters,
        output=row["output"],
        source=spec.source,
        metadata=spec.metadata,
        files=spec.files,
    )


def _task_of(row: Columns) -> Task | None:
    if row["task_id"] is None:
        return None
    return Task(row["task_id"], row["base_url"], row["request_id"])


def _outcome_of(row: Columns, state: JobState) -> Outcome:
    files = files_of(row["files"]) if row["files"] and state is JobState.DONE else ()
    return Outcome(state, files, failure_of(row))


def failure_of(row: Columns) -> Failure | None:
    """Why the job of a whole row of `jobs` ended badly, where it did."""
    if row["failure_code"] is None:
        return None
    stage = Stage(row["failure_stage"])
    return Failure(stage, row["failure_code"], row["failure_message"], row["failure_status"])
