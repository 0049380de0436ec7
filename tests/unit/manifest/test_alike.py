"""Rows that are judged together: the same jobs, problems and warnings as row by row, whatever the rows hold."""

import csv
import hashlib
import io
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog import Catalog, Entry, Field, check_request
from pipeline.core.errors import ManifestError, Problem
from pipeline.core.jobs import Job
from pipeline.manifest import csv_reader, jsonl_reader, open_manifest, yaml_reader
from pipeline.manifest.alike import Alike
from pipeline.manifest.block import Block
from pipeline.manifest.build import DEFAULT_MODEL, Builder
from pipeline.manifest.expansion import Expander
from pipeline.manifest.media import MediaReader
from pipeline.manifest.outputs import RESERVED
from pipeline.manifest.reading import Reading
from pipeline.manifest.rows import MOST, BrokenFileError, Head, Problems
from pipeline.manifest.source import Kind, Source, source_of
from pipeline.manifest.values import LARGEST_INT

URL = "https://pictures.example.com/a/frame.png"
TEXTS = (
    "the surfer waves",
    "夜の海 🌊",
    "two\nlines\tand a tab",
    "100 % of it, \"quoted\" \\ slashed: 'yes'",
    'a ": colon',
    ":",
)
ODD_TEXTS = (
    "x" * 3000,
    "",
    "  ",
    "nul\0byte",
    "bell\a",
    "half\ud83d",
    "next\x85line",
    "{metadata.shot}",
    "a } brace",
    "{{x}}",
)
ADDRESSES = (
    URL,
    "http://cdn.example.org:8080/x?y=1#z",
    "https://a.b.example.com/%20",
    "https://pictures.example.com/[1]",
)
ODD_ADDRESSES = (
    "https://localhost/a.png",
    "https://10.0.0.1/a.png",
    "https://nas.local/a.png",
    "https://example.com/a b.png",
    "https://example.com/夜.png",
    "https://example.com/{x}.png",
    "https://example.com",
    "https://[::1]/a.png",
    "ftp://example.com/a.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "data:image/png;base64,%",
    "pic.png",
    "no-such.png",
    "",
)


class Rows:
    """Draws rows that are mostly sound and mostly alike, for one model or a few."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._catalog = Catalog.load()
        self._oddity = 0.0
        self._models = self._random.choices([DEFAULT_MODEL, *self._catalog.models], k=self._random.randint(1, 3))
        self._shapes = [self._sound_shape() for _ in range(self._random.randint(1, 3))]
        self._oddity = self._random.choice((0.0, 0.0, 0.002, 0.01))

    def rows(self, number: int) -> Iterator[dict[str, Any]]:
        """So many of them."""
        for position in range(number):
            yield self._row(position)

    def _odd(self) -> bool:
        return self._random.random() < self._oddity

    def _sound_shape(self) -> tuple[Entry, list[str], bool]:
        """Fields that may be given together, most of the time."""
        for _ in range(200):
            shape = self._shape()
            self._shapes = [shape]
            row = {"input": {}, "parameters": {}, **self._row(0)}
            entry = self._catalog.entry_for(row["model"], row)
            if self._random.random() < 0.02 or (
                entry and not any(not one.warning for one in check_request(entry, row))
            ):
                break
        return shape

    def _shape(self) -> tuple[Entry, list[str], bool]:
        entry = self._random.choice(self._catalog.entries_of(self._random.choice(self._models)))
        often = self._random.random()
        flat = [
            path
            for path, one in entry.fields.items()
            if one.type not in ("array", "object") or self._random.random() < 0.1
        ]
        chosen = [path for path in flat if entry.fields[path].required or self._random.random() < often]
        return entry, chosen, self._random.random() < 0.7

    def _row(self, position: int) -> dict[str, Any]:
        entry, paths, named = self._random.choice(self._shapes)
        row: dict[str, Any] = {"model": self._random.choice(entry.ids), "input": {}}
        if named:
            row["id"] = f"row-{position}"
        if self._odd():
            row["id"] = self._random.choice(("con", "LPT1.x", "a b", "", "x" * 129, "é", 7, None, "{line}"))
        if self._odd():
            row["output"] = self._random.choice(("{id}/x", "{metadata.shot}", "{shot}", "a\x00", "con.mp4", " ", "{"))
        for path in paths:
            section, name = path.split(".", 1)
            row.setdefault(section, {})[name] = self._value(entry.fields[path])
        if self._random.random() < 0.5:
            row["metadata"] = {"shot": self._random.choice((position, f"s{position}", f"{position} %s"))}
        if self._odd():
            row["metadata"] = self._random.choice(
                ({"a": {"b": 1}}, {"a": [1, None]}, {"a": LARGEST_INT + 1}, {"a\0": 1}, 3)
            )
        if self._odd():
            row["parameters"] = self._random.choice(({"sed": 1}, {"seed": True}, {"seed": 1.0}, {"seed": "1"}, None))
        return row

    def _value(self, described: Field) -> Any:
        if described.enum:
            return "odd" if self._odd() else self._random.choice(described.enum[:2])
        if described.media and described.type == "string":
            return self._random.choice(ODD_ADDRESSES if self._odd() else ADDRESSES)
        if described.type == "string":
            return self._random.choice(ODD_TEXTS if self._odd() else TEXTS)
        if described.type == "integer":
            low, high = int(described.min or 0), int(described.max or 9)
            return self._random.choice((low, high, low - 1, high + 1, 10**30) if self._odd() else (low, high))
        return {"boolean": True, "number": 0.5, "array": [URL], "object": {"url": URL}}[described.type]


def written(kind: Kind, rows: Sequence[dict[str, Any]], seed: int) -> str:
    """The rows as a file of the kind."""
    if kind is Kind.YAML:
        defaults = {"metadata": {"shot": "none", "film": {"name": "sea %s"}}, "parameters": {"resolution": "480P"}}
        return json.dumps({"version": 1, **({"defaults": defaults} if seed % 2 else {}), "jobs": list(rows)})
    if kind is Kind.JSONL:
        lines = [json.dumps(row, ensure_ascii=bool(seed % 2)) for row in rows]
        return "".join(line + ("\n\n" if seed % 5 == 0 and n % 50 == 0 else "\n") for n, line in enumerate(lines))
    names = dict.fromkeys(name for row in rows for name in _cells(row))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), restval=" " if seed % 5 == 0 else "", lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_cells, rows))
    return text.getvalue()


def _cells(row: dict[str, Any]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("input", "parameters", "metadata"):
            inner = value if isinstance(value, dict) else {}
            cells.update((f"{name}.{key}", _cell(one)) for key, one in inner.items() if "\0" not in key)
        else:
            cells[name] = _cell(value)
    return cells


def _cell(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode().replace("\0", "\a")


def blocks_of(source: Source, head: Head, problems: Problems, stream: Any) -> Iterator[Block]:
    if source.kind is Kind.YAML:
        return yaml_reader.read_blocks(stream, problems, head)
    if source.kind is Kind.CSV:
        return csv_reader.read_blocks(stream, problems, Catalog.load(), DEFAULT_MODEL)
    return jsonl_reader.read_blocks(stream, problems)


Told = tuple[list[tuple[int, str | None, bool, str | None]], list[Job], list[Problem], int, tuple[Problem, ...]]


def row_by_row(path: Path) -> Told:
    """What the complete check says of every row by itself."""
    source = source_of(path)
    problems = Problems(source.file)
    head = read_head(source)
    builder = Builder(source.file, head.defaults, Catalog.load(), MediaReader(source.folder), problems)
    builder.check_defaults()
    seen, jobs, expander = [], [], None
    try:
        with source.open() as stream:
            for block in blocks_of(source, head, problems, stream):
                for place in range(len(block.lines)):
                    row = block.between(place, place + 1).row()
                    expander = expander or Expander(
                        head.defaults, Catalog.load(), problems, DEFAULT_MODEL, block.header
                    )
                    for one in expander.rows([row] if row else []):
                        built = builder.build(one)
                        seen.append((built.line, built.job_id, built.named, built.output))
                        jobs += [built.job] if built.job else []
    except BrokenFileError as broken:
        problems.add(broken.line, broken.message)
    return seen, jobs, list(problems.error().problems), problems.total, problems.warnings


def together(path: Path, *, jobs_wanted: bool) -> Told:
    """The same by a reading that judges rows together."""
    source = source_of(path)
    problems = Problems(source.file)
    reading = Reading(
        source, read_head(source), Catalog.load(), MediaReader(source.folder), problems, jobs_wanted=jobs_wanted
    )
    seen, jobs = [], []
    for made in reading.made():
        outputs = made.outputs or [f"{job_id}.mp4" for job_id in made.job_ids]
        seen += list(zip(made.lines, made.job_ids, made.named, outputs, strict=True))
        jobs += made.jobs
    return seen, jobs, list(problems.error().problems), problems.total, problems.warnings


def read_head(source: Source) -> Head:
    if source.kind is not Kind.YAML:
        return Head()
    with source.open() as stream:
        return yaml_reader.read_head(stream)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("seed", range(25))
def test_nothing_changes_when_rows_are_judged_together(write, kind, seed):
    """Ids, outputs, jobs, problems and warnings are those that the complete check gives row by row."""
    rows = list(Rows(seed).rows(150 if kind is Kind.YAML else 300))
    path = write(f"a.{kind.lower()}", written(kind, rows, seed).encode("utf-8", "surrogatepass"))
    expected = row_by_row(path)
    assert together(path, jobs_wanted=True) == expected
    without_jobs = together(path, jobs_wanted=False)
    assert (without_jobs[0], *without_jobs[2:]) == (expected[0], *expected[2:])


@pytest.mark.parametrize("kind", list(Kind))
def test_rows_of_two_forms_are_judged_together_when_both_are_known(write, kind):
    """Once a row of each form has been checked, rows of both need no further look, in whatever order they come."""
    sections = {"input": {"image_url": URL}, "parameters": {"resolution": "480P"}}
    rows = [{"id": f"row-{n}", **sections, **({"metadata": {"shot": str(n)}} if n % 3 else {})} for n in range(60)]
    source = source_of(write(f"a.{kind.lower()}", written(kind, rows, 2)))
    problems = Problems(source.file)
    builder = Builder(source.file, None, Catalog.load(), MediaReader(source.folder), problems)
    alike = Alike(source.file, Catalog.load(), builder, problems, jobs_wanted=True)
    with source.open() as stream:
        block = max(blocks_of(source, Head(), problems, stream), key=lambda one: len(one.lines))
    for place in (0, 1):
        one = block.between(place, place + 1)
        row = one.row()
        assert row is not None
        assert alike.made(one) is None
        alike.learn(one, builder.build(row))
    made = alike.made(block)
    assert made is not None
    assert [job.job_id for job in made.jobs] == [row["id"] for row in rows]
    assert [job.metadata for job in made.jobs] == [row.get("metadata", {}) for row in rows]


ALIKE = "id,image_url,prompt,resolution\n" + "".join(f"row-{n},{URL},the sea {n},480P\n" for n in range(700))


@pytest.mark.parametrize("name", sorted(RESERVED))
@pytest.mark.parametrize("suffix", ["", ".x"])
def test_reserved_name_is_found_when_it_stands_among_many_ids(write, problems, name, suffix):
    """An id that is a device on Windows is refused wherever it stands, in any case."""
    (found,) = problems(write("a.csv", ALIKE.replace("row-650,", f"{name.title()}{suffix},")))
    assert found.line == 652
    assert "reserved" in found.message


def test_lines_are_counted_when_cells_hold_line_breaks(write, problems):
    """A row's line is its first, however many lines the rows before it take, blank ones among them."""
    text = ALIKE.replace("the sea 3,", '"the\n\nsea",').replace("row-5,", "\nrow-5,").replace("row-680,", "a b,")
    (found,) = problems(write("a.csv", text))
    assert found.line == 682 + 2 + 1


def test_rows_before_it_are_checked_when_a_line_is_no_text(write, problems):
    """What is wrong above the place where a file breaks is reported with it."""
    text = ALIKE.replace("row-3,", "a b,").replace("row-600,", "row-\0,").replace("row-650,", "c d,")
    assert [one.line for one in problems(write("a.csv", text))] == [5, 602]


def test_first_of_the_file_are_kept_when_rows_and_repetitions_are_wrong(write):
    """The problems that are shown are the first of their kind in the file, whenever they were found."""
    text = ALIKE.replace("row-1,", "row-0,").replace(",480P", ",1080P", 690).replace(",1080P", ",480P", 5)
    with open_manifest(write("a.csv", text)) as manifest, pytest.raises(ManifestError) as caught:
        manifest.check()
    assert caught.value.total == 686
    assert [one.line for one in caught.value.problems] == [3, 7, 8, 9]
    assert caught.value.problems[-1].message.endswith("(and 682 more jobs like it)")


def test_all_warnings_are_counted_when_only_a_hundred_are_shown(write):
    """A warning that holds for every row is shown a hundred times, and counted as often as it holds."""
    text = "image_url,seed\n" + "".join(f"{URL},{n}\n" for n in range(700))
    with open_manifest(write("a.csv", text)) as manifest:
        warnings = manifest.check().warnings
    assert len(warnings) == MOST + 1
    assert warnings[99].line == 101
    assert warnings[-1].message == "… and 600 more warnings"


def test_output_is_found_twice_when_another_row_has_it_for_its_id(write, problems):
    """A name that one row is given for its id and another by its template is one file."""
    text = ALIKE.replace("resolution\n", "resolution,output\n", 1).replace("480P\n", "480P,\n")
    path = write("a.csv", text.replace("the sea 600,480P,", "the sea 600,480P,ROW-7.MP4"))
    (found,) = problems(path)
    assert (found.line, found.path) == (602, "output")


@pytest.mark.parametrize(("rows", "lines"), [(1111, []), (1112, [1115])])
def test_defaults_are_refused_when_they_add_up_to_a_gigabyte(write, problems, rows, lines):
    """What `defaults` adds to rows that are judged together is counted as for any other row."""
    shot = "x" * (900_000 + 1000 - len("metadata") - len("shot"))
    text = f"version: 1\ndefaults: {{metadata: {{shot: {shot}}}}}\njobs:\n"
    text += "".join(f"  - {{id: row-{n}, input: {{image_url: {URL}}}}}\n" for n in range(rows))
    assert [one.line for one in problems(write("a.yaml", text))] == lines


def test_digest_is_that_of_the_written_request_when_rows_are_judged_together(write, jobs):
    """Ledgers hold digests: SHA-256 of the request as JSON with sorted names and nothing between them."""
    read = jobs(
        write("a.csv", "image_url,prompt,seed\n" + "".join(f'{URL},"sea ""{n}"" 夜 %",{n}\n' for n in range(200)))
    )
    for number, job in enumerate(read):
        text = (
            f'{{"input":{{"image_url":"{URL}","prompt":"sea \\"{number}\\" 夜 %"}},'
            f'"model":"Wan-AI/Wan2.2-I2V","parameters":{{"seed":{number}}}}}'
        )
        assert job.digest == hashlib.sha256(text.encode()).hexdigest()


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(['":', '\\":'])
)
NAMES = st.sampled_from(["shot", "a", "\u00e9", ":", '"', "a b"])
SECTION = st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(NAMES, SCALARS, max_size=2))
JOB = st.fixed_dictionaries({"input": SECTION}, optional={"metadata": SECTION, "id": SCALARS})
GLUE = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), (",\t", "\t:\r")])


@given(JOB, GLUE, st.booleans(), st.sampled_from(["", '"id": 1, ', '"id" :1,', '"input": {"a": 1, "a": 2}, ']))
def test_quick_decoding_is_the_careful_one_when_it_gives_a_table(job, glue, ascii_only, twice):
    """A line that is decoded quickly has the values that the careful reading gives, and no name twice."""
    line = "{" + twice + json.dumps(job, separators=glue, ensure_ascii=ascii_only)[1:] + "\n"
    problems = Problems("a.jsonl")
    block = jsonl_reader.JsonlBlock(problems, range(1, 2), [line])
    table, row = block.table(), block.row()
    if table is None:
        return
    assert row is not None
    values = {name: one for name, one in row.values.items() if name == "id"}
    sections = {f"{name}.{key}": one for name in ("input", "metadata") for key, one in row.values.get(name, {}).items()}
    assert repr({name: column[0] for name, column in table.columns.items()}) == repr({**values, **sections})
