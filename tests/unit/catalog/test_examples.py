"""The requests of the vendor's documents, the examples of our own, and the two forms of the catalog."""

import json
from pathlib import Path

import pytest

from pipeline.catalog import Catalog, check_request, estimate, example_of
from pipeline.catalog.audit import complaints_about_entry
from pipeline.catalog.twin import TWIN, load_twin, twin_of

CATALOG = Catalog.load()
VENDOR = [
    json.loads(line)
    for line in (Path(__file__).parent / "examples" / "vendor.jsonl").read_text(encoding="utf-8").splitlines()
]
"""Request bodies of the documents, prompts and hosts replaced. `sources` says where each stands, by the aliases
and commits of the catalog's `provenance`; `errors` and `warnings` name the paths of the defects that the catalog's
quirks list, `repeated` the keys that a body gives twice."""


@pytest.mark.parametrize("example", VENDOR, ids=lambda one: one["sources"][0])
def test_vendor_example_passes_when_it_is_replayed(example):
    """A documented request has the shape that its page describes, and no finding but its listed defects."""
    body = example["body"]
    entry = CATALOG.entry_for(body["model"], body)
    assert entry is not None
    assert entry.key == example["entry"]
    found = check_request(entry, body)
    assert [one.path for one in found if not one.warning] == example["errors"]
    assert [one.path for one in found if one.warning] == example["warnings"]


def test_every_entry_has_an_example_of_the_vendor_when_they_are_counted():
    """No request shape of the catalog rests on a page whose example was not replayed."""
    assert {example["entry"] for example in VENDOR} == {entry.key for entry in CATALOG.entries}


def test_defects_of_the_examples_are_those_of_the_catalog_when_they_are_compared():
    """Every finding in a documented request is listed among its entry's quirks, and every listed one is found."""
    listed = {
        (row.key, quirk.example["path"], quirk.example["code"])
        for row in load_twin().models
        for quirk in row.quirks
        if quirk.example
    }
    codes = {"errors": "unknown_field", "warnings": "ignored_field", "repeated": "duplicate_key"}
    found = {
        (example["entry"], path, code)
        for example in VENDOR
        for kind, code in codes.items()
        for path in example.get(kind, ())
    }
    assert found == listed


@pytest.mark.parametrize("entry", CATALOG.entries, ids=lambda entry: entry.key)
def test_own_example_passes_when_it_is_checked(entry):
    """The example that `pipeline models` shows is taken by its entry without a finding."""
    example = example_of(entry)
    assert CATALOG.entry_for(example["model"], example) is entry
    assert check_request(entry, example) == []
    assert estimate(entry, example).currency == "CNY"


def test_twin_is_equal_when_the_catalog_changes():
    """models.json is what `python -m pipeline.catalog` makes of models.yaml."""
    twin = Path(TWIN)
    assert twin.read_bytes() == twin_of(twin.with_suffix(".yaml").read_text(encoding="utf-8"))


def test_shipped_catalog_passes_its_own_audit_when_it_is_looked_at():
    """What a user's catalog is held to, ours is held to."""
    written = load_twin()
    limits = frozenset(written.media_limits)
    assert [complaint for row in written.models for complaint in complaints_about_entry(row, limits)] == []
