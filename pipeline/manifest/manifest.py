"""A manifest: opened, checked whole, streamed as jobs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.catalog import Catalog, shown
from pipeline.core.errors import Problem
from pipeline.core.jobs import Job
from pipeline.manifest import csv_reader, jsonl_reader, yaml_reader
from pipeline.manifest.build import DEFAULT_MODEL, Builder, Built
from pipeline.manifest.media import MediaReader
from pipeline.manifest.outputs import fold
from pipeline.manifest.rows import BrokenFileError, Problems, Row
from pipeline.manifest.source import Kind, Source, source_of
from pipeline.manifest.uniques import Uniques, mark
from pipeline.manifest.yaml_reader import Head
from pipeline.settings import complaints_about


@dataclass(frozen=True, slots=True)
class Checked:
    """A manifest without a problem."""

    jobs: int
    """How many there are."""
    warnings: tuple[Problem, ...]
    """What may go wrong all the same; capped, with a last line about the others."""


def open_manifest(path: str | Path) -> "Manifest":
    """Open a manifest: `.yaml`, `.yml`, `.csv`, `.jsonl`, `.ndjson`, or `-` for standard input.

    Standard input is spooled to an unnamed temporary file, because a manifest is read twice. Its format is taken
    from its first line that is neither blank nor a comment: JSONL if the line starts with `{`, goes on, and does
    not name `jobs`; CSV if it is nothing but words between commas; YAML otherwise.

    Raises `ManifestError` where there is no such file, or none that can be a manifest. What is wrong inside is
    said by `Manifest.check`.
    """
    return Manifest(source_of(path), Catalog.load())


class Manifest:
    """One manifest file. Nothing of it is kept in memory; every reading streams."""

    def __init__(self, source: Source, catalog: Catalog) -> None:
        self._source = source
        self._catalog = catalog
        self._media = MediaReader(source.folder)
        self._head = self._read_head()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what came through standard input."""
        self._source.close()

    @property
    def name(self) -> str:
        """The stem of the file's name, `stdin` for standard input: the default output folder is named after it."""
        return self._source.name

    @property
    def file(self) -> str:
        """The file as the user named it, `stdin` for standard input."""
        return self._source.file

    @property
    def run(self) -> Mapping[str, Any]:
        """The settings under `run:`; `check` tells what is wrong with them. Empty where there are none."""
        return self._head.run

    def check(self) -> Checked:
        """Read the whole file. Raises `ManifestError` with every problem (the first hundred in full).

        Memory grows by sixteen bytes a row, for finding ids and outputs that occur twice.
        """
        problems = Problems(self.file)
        for name, complaint in complaints_about(self._head.run).items():
            problems.add(self._head.run_lines.get(name), complaint, path=f"run.{name}")
        ids, outputs = Uniques(), Uniques()
        rows = jobs = 0
        for built in self._built(problems):
            rows += 1
            jobs += built.job is not None
            if built.job_id is not None:
                ids.add(built.job_id)
            if built.output is not None:
                outputs.add(fold(built.output))
        self._name_repeated(ids.repeated(), outputs.repeated(), problems)
        if not rows and not problems.total:
            problems.add(None, self._nothing())
        if problems.total:
            raise problems.error()
        return Checked(jobs, problems.warnings)

    def jobs(self) -> Iterator[Job]:
        """The checked jobs again, in the order of the file.

        Raises `ManifestError` at the first row that is wrong: the file has changed since it was checked.
        """
        problems = Problems(self.file)
        for built in self._built(problems):
            if built.job is None or problems.total:
                break
            yield built.job
        if problems.total:
            raise problems.error()

    def _read_head(self) -> Head:
        if self._source.kind is not Kind.YAML:
            return Head()
        try:
            with self._source.open() as stream:
                return yaml_reader.read_head(stream)
        except BrokenFileError:
            return Head()  # the check meets the same spot and reports it

    def _built(self, problems: Problems) -> Iterator[Built]:
        builder = Builder(self.file, self._head.defaults, self._catalog, self._media, problems)
        builder.check_defaults()
        try:
            for row in self._rows(problems):
                yield builder.build(row)
        except BrokenFileError as broken:
            problems.add(broken.line, broken.message)

    def _rows(self, problems: Problems) -> Iterator[Row]:
        with self._source.open() as stream:
            if self._source.kind is Kind.YAML:
                yield from yaml_reader.read_rows(stream, problems, self._head)
            elif self._source.kind is Kind.CSV:
                yield from csv_reader.read_rows(stream, problems, self._catalog, DEFAULT_MODEL)
            else:
                yield from jsonl_reader.read_rows(stream, problems)

    def _name_repeated(self, ids: frozenset[int], outputs: frozenset[int], problems: Problems) -> None:
        """The second look at keys that seem to occur twice: find their rows and report all but the first."""
        if not ids and not outputs:
            return
        first_ids: dict[str, Built] = {}
        first_outputs: dict[str, Built] = {}
        for built in self._built(Problems(self.file)):
            if built.job_id is not None and mark(built.job_id) in ids:
                first = first_ids.setdefault(built.job_id, built)
                if first is not built:
                    _report_id(built, first, problems)
            if built.output is not None and mark(fold(built.output)) in outputs:
                first = first_outputs.setdefault(fold(built.output), built)
                if first is not built and first.job_id != built.job_id:
                    _report_output(built, first, problems)

    def _nothing(self) -> str:
        with self._source.open() as stream:
            blank = not stream.read(65_536).strip()
        if blank:
            return "the file is empty; write at least one job"
        what = {Kind.YAML: "the list of jobs is empty", Kind.CSV: "there is a header and no row below it"}
        return f"there are no jobs: {what.get(self._source.kind, 'every line is blank')}"


def _report_id(built: Built, first: Built, problems: Problems) -> None:
    if built.named or first.named:
        message = f"the id is already used in line {first.line}; every job needs its own"
        problems.add(built.line, message, job_id=built.job_id, path="id")
    else:
        message = f"is an exact duplicate of line {first.line}; give both an id if the video is wanted twice"
        problems.add(built.line, message)


def _report_output(built: Built, first: Built, problems: Problems) -> None:
    where = f"the output of line {first.line} (job {first.job_id})"
    if built.output == first.output:
        message = f"{shown(built.output)} is also {where}; put {{id}} into the template or choose another name"
    else:
        message = (
            f"{shown(built.output)} is {where} in another case or Unicode form; some systems take them for one file"
        )
    problems.add(built.line, message, job_id=built.job_id, path="output")
