"""The three formats say the same thing."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from pipeline.core.errors import ManifestError
from pipeline.core.jobs import MediaForm, Source
from pipeline.manifest import open_manifest

URL = "https://example.com/beach.jpg"
PROMPT = 'שלום 🌊👩‍🚀 “quoted”, with a comma\nand "a second" line'

YAML = """\
# a comment above
version: 1
run: {concurrency: 20, max_runtime: 5h}
defaults:
  parameters: {resolution: 480P, seed: 7}
  metadata: {film: {name: sea, year: 2024}}
  output: "{metadata.film.name}/{id}.mp4"
jobs:
  - id: wave-01
    input: {image_url: https://example.com/beach.jpg, prompt: waves}
    parameters: {resolution: 720P}
    metadata: {film: {year: 2025}}
  - id: wave-02
    input: {image_url: pic.png}
    output: "{model}/{line}-{parameters.seed}"
"""


def test_job_wins_over_defaults_when_both_give_a_field(write, jobs):
    """Defaults are merged into every job at every depth; the job's own value wins."""
    first, second = jobs(write("shots.yaml", YAML))
    assert first.parameters == {"resolution": "720P", "seed": 7}
    assert first.metadata == {"film": {"name": "sea", "year": 2025}}
    assert first.output == "sea/wave-01.mp4"
    assert second.parameters == {"resolution": "480P", "seed": 7}
    assert second.output == "Wan-AI-Wan2.2-I2V/13-7.mp4"


def test_run_settings_are_offered_when_the_manifest_has_them(write):
    """`run:` is handed on as it stands; validating it is the settings' business."""
    with open_manifest(write("shots.yaml", YAML)) as manifest:
        assert (manifest.run, manifest.name) == ({"concurrency": 20, "max_runtime": "5h"}, "shots")
        assert manifest.file.endswith("shots.yaml")


def test_run_and_defaults_count_when_they_stand_below_the_jobs(write, jobs):
    """The order of the top-level keys does not matter."""
    head, tail = YAML.split("jobs:\n")
    path = write("late.yaml", f"jobs:\n{tail}{head}")
    assert jobs(path)[0].parameters == {"resolution": "720P", "seed": 7}
    with open_manifest(path) as manifest:
        assert manifest.run["concurrency"] == 20


def test_local_file_is_described_when_a_media_value_names_it(write, jobs):
    """A local file is recorded with its bytes' hash, and the job keeps the path as it was written."""
    path = write("shots.yaml", YAML)
    job = jobs(path)[1]
    (file,) = job.files
    assert job.input == {"image_url": "pic.png"}
    assert (file.field, file.path, file.mime) == ("input.image_url", str(path.parent / "pic.png"), "image/png")
    assert (file.bytes, file.form, len(file.sha256)) == (29, MediaForm.DATA_URI, 64)
    assert job.source == Source(str(path), 13)


def test_jobs_are_equal_when_written_in_another_format(write, jobs):
    """A job means the same in YAML, CSV and JSONL."""
    as_yaml = f"jobs:\n- id: a\n  input: {{image_url: {URL}, prompt: {yaml.dump(PROMPT, allow_unicode=True, width=999)}"
    as_yaml = as_yaml.rstrip("\n") + "}\n  parameters: {seed: 5}\n  metadata: {shot: x}\n"
    quoted = PROMPT.replace('"', '""')
    as_csv = f'id,image_url,input.prompt,seed,metadata.shot\na,{URL},"{quoted}",5,x\n'
    escaped = PROMPT.replace('"', '\\"').replace("\n", "\\n")
    given = f'{{"image_url":"{URL}","prompt":"{escaped}"}}'
    as_jsonl = f'{{"id":"a","input":{given},"parameters":{{"seed":5}},"metadata":{{"shot":"x"}}}}'
    read = [
        jobs(write(name, text))[0] for name, text in (("a.yaml", as_yaml), ("a.csv", as_csv), ("a.jsonl", as_jsonl))
    ]
    assert {job.digest for job in read} == {read[0].digest}
    assert all(job.input == {"image_url": URL, "prompt": PROMPT} for job in read)
    assert all(job.metadata == {"shot": "x"} and job.job_id == "a" for job in read)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", f"jobs:\n- id: a\n  input:\n    image_url: {URL}\n"),
        ("a.yml", f"jobs: [{{id: a, input: {{image_url: '{URL}'}}}}]\n"),
        ("a.csv", f"id,image_url\n\na,{URL}\n\n"),
        ("a.jsonl", f'\n{{"id": "a", "input": {{"image_url": "{URL}"}}}}\n\n'),
        ("a.ndjson", f'{{"id": "a", "input": {{"image_url": "{URL}"}}}}'),
    ],
)
def test_file_is_read_when_it_has_a_mark_or_other_line_ends(write, jobs, name, text, mark, end):
    """A byte order mark, CRLF and blank lines change nothing."""
    (job,) = jobs(write(name, mark + text.replace("\n", end).encode()))
    assert (job.job_id, job.input) == ("a", {"image_url": URL})


def test_line_is_the_first_of_the_row_when_a_cell_has_line_breaks(write, jobs):
    """A CSV row is known by the line that it begins in."""
    text = f'id,prompt,image_url\na,"one\ntwo\n\nfour",{URL}\n\nb,x,{URL}\n'
    assert [job.source.line for job in jobs(write("a.csv", text))] == [2, 7]


def test_cells_are_typed_when_the_catalog_knows_the_field(write, jobs):
    """Integers, booleans and JSON in cells become what the model's field wants; empty cells are not given."""
    text = (
        "model,prompt,images,duration,watermark,resolution,metadata.n\n"
        'happyhorse-1.0-r2v,hi,"[""https://e.com/1.png"", ""pic.png""]",5,FALSE,,12\n'
        "Wan-AI/Wan2.2-T2V,hello,,8,,480P,\n"
    )
    first, second = jobs(write("a.csv", text))
    assert first.input == {"prompt": "hi", "images": ["https://e.com/1.png", "pic.png"]}
    assert first.parameters == {"duration": 5, "watermark": False}
    assert first.metadata == {"n": "12"}
    assert first.files[0].field == "input.images.1"
    assert (second.parameters, second.metadata) == ({"duration": 8, "resolution": "480P"}, {})


def test_scalars_follow_the_core_rules_when_yaml_is_read(write, jobs):
    """`no`, `on`, dates and times stay text; ids stay as written; numbers are those of YAML 1.2."""
    text = (
        f"jobs:\n- id: no\n  input: {{image_url: '{URL}'}}\n"
        "  metadata: {a: yes, b: 2024-01-01, c: 12:30:00, d: 0o17, e: 0x1F, f: 1e3,"
        " g: ~, h: 1_000, i: '5', j: True, k: 010}\n"
        f"- id: 01\n  input: {{image_url: '{URL}'}}\n- id: 2024-01-01\n  input: {{image_url: '{URL}'}}\n"
    )
    first, second, third = jobs(write("a.yaml", text))
    values = ["yes", "2024-01-01", "12:30:00", 15, 31, 1000.0, None, "1_000", "5", True, 10]
    assert first.metadata == dict(zip("abcdefghijk", values, strict=True))
    assert [job.job_id for job in (first, second, third)] == ["no", "01", "2024-01-01"]


def test_anchors_work_when_they_stand_in_the_job_or_in_defaults(write, jobs):
    """An alias stands for a value of its own job or of `defaults`."""
    text = (
        f"defaults: {{input: &sea {{image_url: '{URL}'}}}}\n"
        "jobs:\n- {id: a, input: *sea, metadata: {x: &n [1, 2], y: *n}}\n- {id: b, input: *sea}\n"
    )
    first, second = jobs(write("a.yaml", text))
    assert first.metadata == {"x": [1, 2], "y": [1, 2]}
    assert first.input == second.input == {"image_url": URL}


def test_yaml_is_read_when_the_c_parser_is_missing(write, problems, jobs, monkeypatch):
    """PyYAML without its C part reads the same jobs and finds the same lines."""
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert [job.job_id for job in jobs(write("a.yaml", YAML))] == ["wave-01", "wave-02"]
    assert [one.line for one in problems(write("b.yaml", YAML.replace("waves}", "waves")))] == [11]


def feed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


@pytest.mark.parametrize(
    "text",
    [
        f"# jobs\n\njobs:\n- {{id: a, input: {{image_url: '{URL}'}}}}\n",
        f'{{"jobs": [{{"id": "a", "input": {{"image_url": "{URL}"}}}}]}}\n',
        f'{{\n"jobs": [{{"id": "a", "input": {{"image_url": "{URL}"}}}}]}}\n',
        f'{{"id": "a", "input": {{"image_url": "{URL}"}}}}\n',
        f"\nid,image_url\na,{URL}\n",
        f'"id", "image_url"\na,{URL}\n'.replace(", ", ","),
    ],
    ids=["yaml", "json on a line", "json", "jsonl", "csv", "quoted csv"],
)
def test_format_is_recognised_when_standard_input_is_read(monkeypatch, text):
    """Standard input says its format by its first line and can be read twice."""
    feed(monkeypatch, text.encode())
    with open_manifest("-") as manifest:
        assert (manifest.name, manifest.file, manifest.check().jobs) == ("stdin", "stdin", 1)
        assert next(manifest.jobs()).input == {"image_url": URL}


def test_paths_start_at_the_working_directory_when_standard_input_is_read(monkeypatch, tmp_path: Path, write):
    """A manifest without a folder takes relative paths from where the command runs."""
    write("unused.txt", "")
    monkeypatch.chdir(tmp_path)
    feed(monkeypatch, b"image_url\npic.png\n")
    with open_manifest("-") as manifest:
        manifest.check()
        assert next(manifest.jobs()).files[0].path == str(tmp_path / "pic.png")


def test_single_bare_column_is_csv_when_standard_input_is_read(monkeypatch):
    """One word on the first line is a CSV header: no YAML manifest can begin so."""
    feed(monkeypatch, f"image_url\n{URL}\n".encode())
    with open_manifest("-") as manifest:
        assert manifest.check().jobs == 1


def test_jobs_stop_when_the_file_changed_after_the_check(write):
    """A row that is wrong at the second reading ends it with its problem."""
    path = write("a.csv", f"id,image_url\na,{URL}\nb,{URL}\n")
    with open_manifest(path) as manifest:
        manifest.check()
        path.write_text(f"id,image_url\na,{URL}\nb,\n")
        reading = manifest.jobs()
        assert next(reading).job_id == "a"
        with pytest.raises(ManifestError, match=r"a\.csv:3: job b: input\.image_url: is missing"):
            next(reading)
