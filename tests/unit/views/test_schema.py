"""The JSON Schema of a manifest: what is right passes, what an editor can see fails."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipeline.catalog import Catalog, example_of
from pipeline.views.schema import manifest_schema, schema_text

ROOT = Path(__file__).parents[3]
CATALOG = Catalog.load()
SCHEMA = manifest_schema(CATALOG)
MANIFEST = Draft202012Validator(SCHEMA)
LINE = Draft202012Validator({**SCHEMA["$defs"]["line"], "$defs": SCHEMA["$defs"]})
VENDOR = [
    json.loads(line)
    for line in (ROOT / "tests/unit/catalog/examples/vendor.jsonl").read_text(encoding="utf-8").splitlines()
]
CONFIGS = [
    path
    for path in (ROOT / "configs").glob("*.yaml")
    if re.search(r"^jobs:", path.read_text(encoding="utf-8"), re.MULTILINE)
]
URL = "https://example.com/a.jpg"


def complaints(job: dict[str, Any], **around: Any) -> list[str]:
    return [error.message for error in MANIFEST.iter_errors({"jobs": [job], **around})]


def test_schema_is_one_of_2020_12_when_it_is_made() -> None:
    """The schema itself is valid, and every reference in it leads somewhere."""
    Draft202012Validator.check_schema(SCHEMA)
    references = {part.split('"')[0] for part in schema_text(CATALOG).split('"$ref": "#/$defs/')[1:]}
    assert references <= {name.replace(" ", "%20") for name in SCHEMA["$defs"]}


def test_file_under_configs_is_equal_when_catalog_or_settings_change() -> None:
    """configs/manifest.schema.json is what `pipeline schema` prints."""
    assert (ROOT / "configs/manifest.schema.json").read_text(encoding="utf-8") == schema_text(CATALOG) + "\n"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_manifest_passes_when_it_is_one_of_the_configs(path: Path) -> None:
    """Every manifest that ships with the project is without a complaint."""
    assert [error.message for error in MANIFEST.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))] == []


def test_editor_finds_the_schema_when_the_demo_is_opened() -> None:
    """The demo's first line is the one that switches editors on."""
    first = (ROOT / "configs/demo.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=manifest.schema.json"


@pytest.mark.parametrize("example", VENDOR, ids=lambda one: one["sources"][0])
def test_vendor_example_is_judged_alike_when_the_schema_reads_it(example: dict[str, Any]) -> None:
    """What validation takes, the schema takes; listed defects and withdrawn models fail in both."""
    entry = next(entry for entry in CATALOG.entries if entry.key == example["entry"])
    refused = bool(example["errors"]) or entry.status == "withdrawn"
    assert (list(LINE.iter_errors(example["body"])) != []) is refused


@pytest.mark.parametrize("entry", CATALOG.entries, ids=lambda entry: entry.key)
def test_own_example_passes_when_the_schema_reads_it(entry) -> None:
    """The example of every model that may be bought is without a complaint, as a line and in a manifest."""
    if entry.status != "withdrawn":
        assert list(LINE.iter_errors(example_of(entry))) == []
        assert complaints(example_of(entry)) == []


@pytest.mark.parametrize(
    "job",
    [
        {"input": {}},
        {"input": {"image_url": URL, "first_frame_url": URL, "prompt": "p"}},
        {"input": {"first_frame_url": URL}},
        {"input": {"image_url": URL, "promt": "p"}},
        {"input": {"image_url": 5}},
        {"input": {"image_url": URL}, "parameters": {"resolution": "480p"}},
        {"input": {"image_url": URL}, "parameters": {"duration": 10}},
        {"input": {"image_url": URL}, "parameters": {"seed": -1}},
        {"input": {"image_url": URL}, "paramters": {}},
        {"model": "Wan-AI/Wan2.2-i2v", "input": {"image_url": URL}},
        {"model": "viduq2", "input": {"prompt": "p"}},
        {"model": "viduq2", "input": {}, "parameters": {"vidu_type": "text2video"}},
        {"model": "MiniMax-Hailuo-02", "input": {"prompt": "p"}, "parameters": {"duration": 10, "resolution": "1080P"}},
        {"model": "MiniMax-Hailuo-02", "input": {"prompt": "p" * 2001}},
        {"model": "kling-v3-omni", "input": {"prompt": "p"}},
        {"model": "kling-v3-omni", "parameters": {"multi_shot": True, "shot_type": "customize", "aspect_ratio": "1:1"}},
        {
            "model": "kling-v3-omni",
            "input": {"prompt": "p"},
            "parameters": {"aspect_ratio": "1:1", "sound": "on", "video_list": [{"video_url": URL}]},
        },
        {
            "model": "kling-v3-omni",
            "input": {"prompt": "p"},
            "parameters": {
                "aspect_ratio": "1:1",
                "duration": 11,
                "video_list": [{"video_url": URL, "refer_type": "feature"}],
            },
        },
        {
            "model": "viduq2-pro",
            "input": {"first_frame_url": URL},
            "parameters": {"vidu_type": "img2video", "duration": 11},
        },
        {"model": "vidu-lip-sync", "input": {"video_url": URL}, "parameters": {"vidu_type": "lip-sync"}},
        {"model": "doubao-seedance-1-5-pro-251215", "input": {"content": [{"type": "image"}]}},
        {"model": "doubao-seedance-1-5-pro-251215", "input": {"content": [{"type": "text"}]}},
        {"model": "happyhorse-1.0-r2v", "input": {"prompt": "p", "images": []}},
    ],
)
def test_mistake_is_seen_when_a_job_is_broken(job: dict[str, Any]) -> None:
    """Unknown fields, wrong types, values and ranges, what is missing, and the rules that a schema can say."""
    assert complaints(job) != []
    assert list(LINE.iter_errors(job)) != []


def test_defaults_count_when_they_carry_the_fields() -> None:
    """Where `defaults` may give a field, nothing is called missing, and their model is the jobs' own."""
    shared = {"model": "viduq2", "parameters": {"vidu_type": "text2video"}}
    assert complaints({"input": {"prompt": "p"}}, defaults=shared) == []
    assert complaints({"input": {"promt": "p"}}, defaults=shared) != []
    assert complaints({"input": {"prompt": "p"}}, defaults={"model": "viduq2"}) != []
    assert complaints({"input": {"image_url": URL}}, defaults={"modle": "viduq2"}) != []


def test_sweep_is_not_called_incomplete_when_its_matrix_gives_the_fields() -> None:
    """A job with a matrix is checked as far as it goes."""
    assert complaints({"input": {"prompt": "p"}, "matrix": {"image_url": [URL]}, "repeat": 2}) == []
    assert complaints({"model": "viduq2", "input": {"promt": "p"}, "matrix": {"seed": [1]}}) != []


def test_settings_are_checked_when_they_stand_in_the_manifest() -> None:
    """`run:` knows every setting, with units where people write them."""
    job = {"input": {"image_url": URL}}
    assert complaints(job, run={"max_runtime": "5h", "concurrency": 20, "min_free_bytes": "2GiB"}) == []
    assert complaints(job, run={"concurency": 20}) != []
    assert complaints(job, run={"concurrency": 0}) != []
