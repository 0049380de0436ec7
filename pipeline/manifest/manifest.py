"""A manifest: opened, checked whole, streamed as jobs."""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct

from pipeline.catalog import Catalog, shown
from pipeline.core.errors import Problem
from pipeline.core.files import fold
from pipeline.core.jobs import Job
from pipeline.manifest.alike import Made
from pipeline.manifest.media import MediaReader
from pipeline.manifest.reading import Reading
from pipeline.manifest.rows import BrokenFileError, Head, Problems
from pipeline.manifest.source import Kind, Source, source_of
from pipeline.manifest.uniques import Uniques, mark, name_of, names_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Layer

_VARIABLES = ("PIPELINE_", "MODELVERSE_ENDPOINT")
"""How the names begin of those that may say something about settings."""


class Checked(Struct, frozen=True):
    """A manifest without a problem."""

    jobs: int
    """How many there are."""
    warnings: tuple[Problem, ...]
    """What may go wrong all the same; capped, with a last line about the others."""


def _names(made: Made) -> Iterable[str]:
    """What stands for each row's id and output: one name where the output is the id with its suffix."""
    if made.outputs is None:
        return names_of(made.job_ids)
    pairs = zip(made.job_ids, made.outputs, strict=True)
    return (name for pair in pairs for name in {name_of(text) for text in pair if text is not None})


class _Seen(Struct, frozen=True):
    """What must not occur twice of one row."""

    line: int
    job_id: str | None
    named: bool
    output: str | None
    variant: str


def open_manifest(path: "str | Path") -> "Manifest":
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
        """Read the whole file. Raises `ManifestError` with every problem (of more than a hundred, the first of
        each kind in full).

        Memory grows by eight bytes a row, for finding ids and outputs that occur twice; by sixteen where a row has an
        output that is not named after its id.
        """
        problems = Problems(self.file)
        if self._head.run:
            self._check_run(problems)
        names = Uniques()
        rows = jobs = 0
        for made in self._made(problems):
            rows += len(made.lines)
            jobs += len(made.lines) if made.sound else 0
            names.update(_names(made))
        self._name_repeated(names.repeated(), problems)
        if not rows and not problems.total:
            problems.add(None, self._nothing())
        if problems.total:
            raise problems.error()
        return Checked(jobs, problems.warnings)

    @property
    def catalog(self) -> Catalog:
        """What the jobs are checked by."""
        return self._catalog

    def judge_by(self, flags: Mapping[str, Any], config: "Layer | None" = None) -> None:
        """Check by the settings `catalog` and `allow_unknown_fields`, wherever they are made.

        A catalog that `run:` names is looked for beside the manifest, any other from the working directory. Raises
        `SettingsError` for whatever is wrong with any setting outside `run:`, and for what is wrong in the catalog.
        """
        if not (config or self.run or flags or any(name.startswith(_VARIABLES) for name in os.environ)):
            return  # before the settings are imported, because nothing is set
        from pathlib import Path

        from pipeline.settings import Layer, environment_layer, judging_settings

        own = dict(self.run)
        if isinstance(own.get("catalog"), str):
            own["catalog"] = os.path.join(self._source.folder, own["catalog"])  # noqa: PTH118 - as there
        run = Layer(f"{self.file}: run", own, in_manifest=True)
        chosen = judging_settings(*([config] if config else []), run, environment_layer(), Layer("flags", flags))
        catalog = Catalog.load(Path(chosen.catalog) if chosen.catalog else None)
        self._catalog = catalog.letting_unknown_pass() if chosen.allow_unknown_fields else catalog

    def identity(self) -> str | None:
        """By what this manifest is known again (`identity_of`); None where that cannot be told.

        Two equal ones mean the same jobs, unless a local file that they name has other bytes.
        """
        if self._catalog is not Catalog.load():
            return None  # a catalog of the user's own decides as well, and may change
        from pipeline.manifest.identity import identity_of  # only a run asks

        try:
            return identity_of(self._source)
        except BrokenFileError:
            return None  # the check meets the same spot and reports it

    def jobs(self) -> Iterator[Job]:
        """The checked jobs again, in the order of the file.

        Raises `ManifestError` at the first row that is wrong: the file has changed since it was checked.
        """
        problems = Problems(self.file)
        for made in self._made(problems, jobs_wanted=True):
            if not made.sound or problems.total:
                break
            yield from made.jobs
        if problems.total:
            raise problems.error()

    def _check_run(self, problems: Problems) -> None:
        from pipeline.settings import complaints_about

        for name, complaint in complaints_about(self._head.run).items():
            problems.add(self._head.run_lines.get(name), complaint, path=f"run.{name}")

    def _read_head(self) -> Head:
        if self._source.kind is not Kind.YAML:
            return Head()
        from pipeline.manifest import yaml_reader  # its library is slow to import, and two formats go without

        try:
            with self._source.open() as stream:
                return yaml_reader.read_head(stream)
        except BrokenFileError:
            return Head()  # the check meets the same spot and reports it

    def _made(self, problems: Problems, *, jobs_wanted: bool = False) -> Iterator[Made]:
        reading = Reading(self._source, self._head, self._catalog, self._media, problems, jobs_wanted=jobs_wanted)
        return reading.made()

    def _name_repeated(self, repeated: frozenset[int], problems: Problems) -> None:
        """The second look at names that seem to occur twice: find their rows and report all but the first."""
        if not repeated:
            return
        first_ids: dict[str, _Seen] = {}
        first_outputs: dict[str, _Seen] = {}
        for seen in self._seen():
            if seen.job_id is not None and mark(name_of(seen.job_id)) in repeated:
                first = first_ids.setdefault(seen.job_id, seen)
                if first is not seen:
                    _report_id(seen, first, problems)
            if seen.output is not None and mark(name_of(seen.output)) in repeated:
                first = first_outputs.setdefault(fold(seen.output), seen)
                if first is not seen and first.job_id != seen.job_id:
                    _report_output(seen, first, problems)

    def _seen(self) -> Iterator["_Seen"]:
        for made in self._made(Problems(self.file)):
            outputs = made.outputs or [f"{job_id}.mp4" for job_id in made.job_ids]
            for seen in zip(made.lines, made.job_ids, made.named, outputs, strict=True):
                yield _Seen(*seen, made.variant)

    def _nothing(self) -> str:
        with self._source.open() as stream:
            blank = not stream.read(65_536).strip()
        if blank:
            return "the file is empty; write at least one job"
        what = {Kind.YAML: "the list of jobs is empty", Kind.CSV: "there is a header and no row below it"}
        return f"there are no jobs: {what.get(self._source.kind, 'every line is blank')}"


def _report_id(seen: _Seen, first: _Seen, problems: Problems) -> None:
    if seen.named or first.named:
        message = f"the id is already used in {_place(first)}; every job needs its own"
        problems.add(seen.line, message, job_id=seen.job_id, path="id", variant=seen.variant)
    else:
        message = f"is an exact duplicate of {_place(first)}; give both an id if the video is wanted twice"
        problems.add(seen.line, message, variant=seen.variant)


def _place(seen: _Seen) -> str:
    return f"line {seen.line} ({seen.variant})" if seen.variant else f"line {seen.line}"


def _report_output(seen: _Seen, first: _Seen, problems: Problems) -> None:
    where = f"the output of line {first.line} (job {first.job_id})"
    if seen.output == first.output:
        message = f"{shown(seen.output)} is also {where}; put {{id}} into the template or choose another name"
    else:
        message = (
            f"{shown(seen.output)} is {where} in another case or Unicode form, "
            "and some systems take them for one file; choose another name"
        )
    problems.add(seen.line, message, job_id=seen.job_id, path="output", variant=seen.variant)
