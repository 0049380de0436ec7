"""One row made a job, or everything that is wrong with it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from pipeline.catalog import Catalog, Entry, Finding, MediaValue, check_request, did_you_mean, nearest, plain, shown
from pipeline.core.jobs import Job, LocalFile, Source
from pipeline.manifest.digests import loaded, sha256
from pipeline.manifest.media import MediaReader
from pipeline.manifest.outputs import DEFAULT_TEMPLATE, OutputError, is_reserved, render_output
from pipeline.manifest.rows import BrokenFileError, Problems, Row
from pipeline.manifest.values import (
    AS_TEXT,
    BEYOND,
    MOST_REPEATED_NODES,
    MOST_REPEATED_TEXT,
    TOO_MUCH,
    forbidden,
    merged,
    weight,
)

DEFAULT_MODEL = "Wan-AI/Wan2.2-I2V"
JOB_KEYS = ("id", "model", "input", "parameters", "output", "metadata", "matrix", "repeat")
DEFAULT_KEYS = JOB_KEYS[1:-2]
_OF_ONE_JOB = {"id": "an id", "matrix": "a matrix", "repeat": "`repeat`"}
SECTIONS = ("input", "parameters", "metadata")
LONGEST_ID = 128
_FREE_NODES, _FREE_TEXT = 100, 1000
"""Values and characters that `defaults` may add to any number of jobs."""

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class Built(Struct, frozen=True):
    """What became of a row, and what must not occur twice."""

    line: int
    job_id: str | None
    named: bool
    """The author gave the id."""
    output: str | None
    sound: bool
    """Nothing is wrong with it."""
    has_files: bool
    """It names files on this machine."""
    job: Job | None
    """Of a sound row, where it is wanted, or where its id is made of it."""
    merged: Mapping[str, Any]
    """The job over the defaults, as it was written."""
    warned: int
    """Warnings that were given for this row."""
    variant: str
    """Which one of a sweep it is, for messages."""
    said: frozenset[tuple[str, str]]
    """Path and message of the warnings that are given once for the whole file, this row's among them."""


class Builder:
    """Makes jobs of the rows of one manifest."""

    def __init__(
        self,
        file: str,
        defaults: Row | None,
        catalog: Catalog,
        media: MediaReader,
        problems: Problems,
        *,
        jobs_wanted: bool = True,
    ) -> None:
        """Without `jobs_wanted`, a row that has an id is only judged."""
        self._file = file
        self._catalog = catalog
        self._media = media
        self._problems = problems
        self._jobs_wanted = jobs_wanted
        self._defaults = defaults or Row(0, {})
        self._rows = 0
        self._usable_defaults = {
            name: value
            for name, value in self._defaults.values.items()
            if _shape_complaint(name, value, DEFAULT_KEYS) is None
        }
        nodes, text = weight(self._usable_defaults)
        self._repeated_nodes, self._repeated_text = max(0, nodes - _FREE_NODES), max(0, text - _FREE_TEXT)

    def check_defaults(self) -> None:
        """Report what is wrong with the shape of `defaults`, once for all jobs."""
        for name, value in self._defaults.values.items():
            if complaint := _shape_complaint(name, value, DEFAULT_KEYS):
                line = self._defaults.lines.get(name, self._defaults.line)
                self._problems.add(line, complaint, path=f"defaults.{name}")

    def take(self, rows: int) -> bool:
        """Count so many rows more, unless what `defaults` adds to all of them is then beyond every purpose."""
        rows += self._rows
        if rows * self._repeated_nodes > MOST_REPEATED_NODES or rows * self._repeated_text > MOST_REPEATED_TEXT:
            return False
        self._rows = rows
        return True

    def build(self, row: Row) -> Built:
        """The job, with its local files read; what is wrong goes to the problems, each under its own line.

        Raises `BrokenFileError` where what `defaults` has added to all jobs so far is beyond every purpose.
        """
        if not self.take(1):
            raise BrokenFileError(row.line, f"what `defaults` adds to the jobs comes to {TOO_MUCH}")
        gaps = row.gaps | self._defaults.gaps
        return _Building(
            row, self._usable_defaults, self._defaults.lines, gaps, self._problems, self._media, self._catalog
        ).made(self._file, job_wanted=self._jobs_wanted)


class _Building:
    """The making of one job."""

    def __init__(
        self,
        row: Row,
        defaults: Mapping[str, Any],
        default_lines: Mapping[str, int],
        gaps: frozenset[str],
        problems: Problems,
        media: MediaReader,
        catalog: Catalog,
    ) -> None:
        self._row = row
        self._default_lines = default_lines
        self._gaps = gaps
        self._problems = problems
        self._media = media
        self._catalog = catalog
        self._bad = not row.sound or bool(gaps)
        self._meant: set[str] = set()
        """Dotted paths of what was written under a wrong name, which says all there is to say of it."""
        self._given = {name: value for name, value in row.values.items() if value is not None}
        self._merged = merged(defaults, self._given)
        self._warned = 0
        self._said: set[tuple[str, str]] = set()
        raw_id = self._given.get("id")
        self._job_id = raw_id if isinstance(raw_id, str) and _id_complaint(raw_id) is None else None

    def made(self, file: str, *, job_wanted: bool) -> Built:
        self._check_shape()
        model = self._merged.get("model", DEFAULT_MODEL)
        sections = {name: self._section(name) for name in SECTIONS}
        request = {"model": model, "input": sections["input"], "parameters": sections["parameters"]}
        files: tuple[LocalFile, ...] = ()
        if isinstance(model, str) and ("model" in self._merged or not self._gaps & {"", "model"}):
            files = self._check_request(model, request)
        for path, complaint in forbidden(sections["metadata"], "metadata"):
            self._add(path, complaint)
        named = "id" in self._given
        digest = None if self._bad or (named and not job_wanted) else _digest(request, files)
        job_id = self._job_id if named or digest is None else id_for(digest)
        output = self._output({**request, "metadata": sections["metadata"]}, job_id)
        if self._bad or digest is None or job_id is None or output is None:
            return self._built(job_id, output, files, None)
        source = Source(file, self._row.line)
        job = Job(
            job_id,
            digest,
            model,
            sections["input"],
            sections["parameters"],
            output,
            source,
            sections["metadata"],
            files,
        )
        return self._built(job_id, output, files, job)

    def _built(self, job_id: str | None, output: str | None, files: tuple[LocalFile, ...], job: Job | None) -> Built:
        return Built(
            line=self._row.line,
            job_id=job_id,
            named="id" in self._given,
            output=output,
            sound=not self._bad and job_id is not None and output is not None,
            has_files=bool(files),
            job=job,
            merged=self._merged,
            warned=self._warned,
            variant=self._row.variant,
            said=frozenset(self._said),
        )

    def _check_shape(self) -> None:
        for name, value in self._given.items():
            if complaint := _shape_complaint(name, value, JOB_KEYS):
                meant = self._meant_by(name) if name not in JOB_KEYS else None
                self._add(name, f"a job has no such key; {meant}" if meant else complaint)

    def _meant_by(self, name: str) -> str | None:
        """What was probably meant by a key that no job has, as the end of a sentence."""
        model = self._merged.get("model", DEFAULT_MODEL)
        entries = self._catalog.entries_of(model) if isinstance(model, str) else ()
        paths = {path.rpartition(".")[2]: path for entry in entries for path in entry.fields if path.count(".") == 1}
        if name in paths:
            self._meant.add(paths[name])
            return f"it belongs under {paths[name].partition('.')[0]}"
        near = nearest(name, (*JOB_KEYS, *paths))
        if near is None:
            return None
        self._meant.add(paths.get(near, near))
        return f"did you mean {paths.get(near, near)}?"

    def _section(self, name: str) -> dict[str, Any]:
        value = self._merged.get(name)
        return value if isinstance(value, dict) else {}

    def _check_request(self, model: str, request: dict[str, Any]) -> tuple[LocalFile, ...]:
        entry = self._catalog.entry_for(model, request)
        values = list(entry.media_values(request)) if entry else []
        long = {value.path for value in values}
        hopeless = set()
        beyond = []
        for section in ("input", "parameters"):
            for path, complaint in forbidden(request[section], section, long):
                if entry and complaint.startswith(BEYOND):
                    beyond.append(path)
                    continue
                hopeless.add(path)
                self._add(path, complaint)
        if entry is None:
            self._add(*self._catalog.why_none(model))
            return ()
        self._check_status(entry, model)
        findings = check_request(entry, request)
        self._meant |= {finding.meant for finding in findings if finding.meant and not finding.warning}
        for finding in findings:
            if finding.path not in hopeless and not self._follows(finding):
                (self._warn if finding.warning else self._add)(finding.path, finding.message)
        told = {finding.path for finding in findings if not finding.warning}
        for path in beyond:
            if path not in told:  # what the model takes instead says more
                self._add(path, f"{BEYOND}; {'make it smaller' if entry.field_at(path) else AS_TEXT}")
        return tuple(self._files([value for value in values if value.path not in hopeless], request))

    def _follows(self, finding: Finding) -> bool:
        """Whether something is only found because a part of what was written could not be read, or has a wrong name."""
        if finding.path in self._gaps:
            return True
        return finding.missing and any(not gap or f"{finding.path}.".startswith(f"{gap}.") for gap in self._elsewhere())

    def _elsewhere(self) -> frozenset[str]:
        """Dotted paths at and below which something was written that is not found there."""
        return self._gaps | self._meant

    def _check_status(self, entry: Entry, model: str) -> None:
        if entry.status == "withdrawn":
            self._add("model", f"{plain(model)} was withdrawn by the vendor; choose a current model")
        elif entry.status == "superseded":
            self._warn("model", f"{plain(model)} is superseded by a newer model of the vendor", general=True)

    def _files(self, values: list[MediaValue], request: Mapping[str, Any]) -> Iterator[LocalFile]:
        for value in values:
            judged = self._media.judge(value)
            if judged.problem:
                self._add(value.path, judged.problem)
            elif judged.warning:
                self._warn(value.path, judged.warning, general=judged.general)
            if judged.file:
                self._check_mime(judged.file, request)
                yield judged.file

    def _check_mime(self, file: LocalFile, request: Mapping[str, Any]) -> None:
        """Where the request says the type beside the bytes, the two must agree."""
        *around, _ = file.field.split(".")
        value: Any = request
        for name in around:
            value = value[int(name)] if isinstance(value, list) else value[name]
        said = value.get("mimeType") if isinstance(value, Mapping) else None
        if isinstance(said, str) and said != file.mime:
            self._add(
                ".".join((*around, "mimeType")), f"says {shown(said)}, but the file is {file.mime}; write {file.mime}"
            )

    def _output(self, request: Mapping[str, Any], job_id: str | None) -> str | None:
        template = self._merged.get("output", DEFAULT_TEMPLATE)
        if not isinstance(template, str) or not isinstance(request["model"], str):
            return None
        if template == DEFAULT_TEMPLATE and job_id:
            return f"{job_id}.mp4"  # what else would come of it
        try:
            # A row without a usable id still has its template looked at.
            output = render_output(template, job_id or "id", self._row.line, request)
        except OutputError as error:
            self._add("output", str(error))
            return None
        return output if job_id else None

    def _add(self, path: str, message: str) -> None:
        self._bad = True
        line, own = self._place(path)
        if own:
            self._problems.add(line, message, job_id=self._job_id, path=path, variant=self._row.variant)
        elif self._problems.first_time(path, message):
            self._problems.add(line, message, path=f"defaults.{path}")

    def _warn(self, path: str, message: str, *, general: bool = False) -> None:
        line, own = self._place(path)
        if own and not general:
            self._warned += 1
            self._problems.warn(line, message, job_id=self._job_id, path=path, variant=self._row.variant)
            return
        self._said.add((path, message))
        self._problems.warn_once(line, message, about=path, job_id=self._job_id, own=own)

    def _place(self, path: str) -> tuple[int, bool]:
        """The line of the key at fault, and whether it stands in the job and not in `defaults`."""
        if path not in self._row.lines and path in self._default_lines:
            return self._default_lines[path], False
        names = path.split(".")
        for length in range(len(names), 0, -1):
            line = self._row.lines.get(".".join(names[:length]))
            if line is not None:
                return line, True
        return self._row.line, True


def _shape_complaint(name: str, value: Any, keys: tuple[str, ...]) -> str | None:
    """What is wrong with a member of a job (or of `defaults`) before anything is known of the model."""
    if name in _OF_ONE_JOB and name not in keys:
        return f"{_OF_ONE_JOB[name]} belongs to one job; write it there"
    if name not in keys:
        hint = did_you_mean(name, keys) if nearest(name, keys) else f"; known are {', '.join(keys)}"
        return f"a job has no such key{hint}"
    if name in SECTIONS:
        return None if isinstance(value, dict | None) else f"must be a mapping, not {shown(value)}"
    if value is not None and not isinstance(value, str):
        return f"must be text, not {shown(value)}; write it in quotes"
    if name == "id" and value is not None:
        return _id_complaint(value)
    return None if value is None or value.strip() else "is empty; leave it out or give a value"


def _id_complaint(job_id: str) -> str | None:
    if not job_id.strip():
        return "is empty; leave it out or give a value"
    if len(job_id) > LONGEST_ID:
        return f"has {len(job_id)} characters; an id has at most {LONGEST_ID}"
    if not re.fullmatch(_ID, job_id):
        form = "ASCII letters, digits, '.', '_' and '-' only, a letter or digit first"
        return f"{shown(job_id)} is no id: {form}; {_better(job_id)}"
    if is_reserved(job_id):
        return f"{shown(job_id)} is a reserved device name on Windows; choose another id"
    return None


def _better(job_id: str) -> str:
    """What would be an id; of letters that may look like others, their number is told instead."""
    other = next((one for one in job_id if one.isalnum() and not one.isascii()), None)
    if other:
        return f"U+{ord(other):04X} is no ASCII {'letter' if other.isalpha() else 'digit'}"
    better = re.sub(r"[^A-Za-z0-9._-]+", "-", job_id).lstrip("._-")[:LONGEST_ID]
    return f"write {better}" if better else "choose another id"


def _digest(request: Mapping[str, Any], files: tuple[LocalFile, ...]) -> str:
    """SHA-256 of what is bought, local files by their bytes, so that a renamed file is the same purchase."""
    bought = request
    for file in files:
        bought = _replaced(bought, file.field.split("."), {"sha256": file.sha256})
    return digest_of(canonical(bought))


def canonical(bought: Mapping[str, Any]) -> str:
    """The one way to write a request, whatever the order of its fields; ledgers hold digests of it, so it stays."""
    import json  # a check of rows that have ids writes none

    return json.dumps(bought, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def digest_of(text: str) -> str:
    """Hex SHA-256."""
    return sha256(text.encode()).hexdigest()


def digests_of(texts: Iterable[str]) -> list[str]:
    """The same of many."""
    return [made.hexdigest() for made in map(loaded(), map(str.encode, texts))]


def id_for(digest: str) -> str:
    """The id of a job to which its author gave none."""
    return f"j-{digest[:20]}"


def _replaced(value: Any, path: list[str], new: Any) -> Any:
    """A copy of the value with something else at the path."""
    if not path:
        return new
    first, *rest = path
    if isinstance(value, list):
        place = int(first)
        return [*value[:place], _replaced(value[place], rest, new), *value[place + 1 :]]
    return {**value, first: _replaced(value[first], rest, new)}
