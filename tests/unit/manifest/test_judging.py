"""By what a manifest is checked: the user's own catalog, and what happens to fields that no catalog knows."""

import pytest

from pipeline.core.errors import ManifestError, SettingsError
from pipeline.manifest import open_manifest
from pipeline.settings import Layer

OWN = "date: 2026-11-20\nmodels: [{key: acme, ids: [acme/video-1], inputs: [{path: input.prompt, type: string}]}]\n"
NEWER = "jobs:\n- {input: {image_url: 'https://example.com/a.jpg', mood: dark}}\n"
ACME = "jobs:\n- {model: acme/video-1, input: {prompt: p}}\n"


def check(path, flags=None, config=None):
    with open_manifest(path) as manifest:
        manifest.judge_by(flags or {}, config)
        return manifest.check(), manifest


def test_unknown_field_is_a_mistake_when_nobody_allows_it(write):
    """Fields that the catalog does not know are refused by default."""
    with pytest.raises(ManifestError, match="the model has no such field"):
        check(write("a.yaml", NEWER))


@pytest.mark.parametrize("place", ["flags", "config", "run", "environment"])
def test_unknown_field_is_sent_when_the_user_allows_it(write, monkeypatch, place):
    """`allow_unknown_fields` may stand wherever settings stand; the field is then a warning."""
    run = "run: {allow_unknown_fields: true}\n" if place == "run" else ""
    if place == "environment":
        monkeypatch.setenv("PIPELINE_ALLOW_UNKNOWN_FIELDS", "true")
    flags = {"allow_unknown_fields": True} if place == "flags" else {}
    config = Layer("c.yaml", {"allow_unknown_fields": True}) if place == "config" else None
    checked, manifest = check(write("a.yaml", run + NEWER), flags, config)
    assert [warning.path for warning in checked.warnings] == ["input.mood"]
    assert [job.input["mood"] for job in manifest.jobs()] == ["dark"]


def test_field_is_missing_when_its_wrong_name_is_sent_as_it_is(write):
    """Where a wrong name is no mistake, what the model requires is missing all the same."""
    with pytest.raises(ManifestError) as caught:
        check(write("a.yaml", "jobs:\n- input: {imageUrl: x}\n"), {"allow_unknown_fields": True})
    assert [one.path for one in caught.value.problems] == ["input.image_url"]


@pytest.mark.parametrize("variable", ["PIPELINE_ENDPOINT", "MODELVERSE_ENDPOINT"])
def test_endpoint_is_refused_when_a_variable_names_none(write, monkeypatch, variable):
    """What a run would refuse is refused by a check as well, without a `run:` or a flag."""
    monkeypatch.setenv(variable, "nowhere")
    with pytest.raises(SettingsError, match="'nowhere' is not a base URL"):
        check(write("a.jsonl", '{"input": {"image_url": "https://example.com/a.jpg"}}'))


def test_catalog_is_found_beside_the_manifest_when_run_names_it(write):
    """A manifest and the catalog that it names move together."""
    write("own.yaml", OWN)
    checked, manifest = check(write("a.yaml", "run: {catalog: own.yaml}\n" + ACME))
    assert checked.jobs == 1
    assert "acme/video-1" in manifest.catalog.models


def test_catalog_is_found_from_the_working_directory_when_a_flag_names_it(write, monkeypatch, tmp_path):
    """A flag wins over the manifest, and is read as the shell's user means it."""
    (tmp_path / "elsewhere").mkdir()
    write("elsewhere/own.yaml", OWN)
    monkeypatch.chdir(tmp_path / "elsewhere")
    path = write("a.yaml", "run: {catalog: missing.yaml}\n" + ACME)
    assert check(path, {"catalog": "own.yaml"})[0].jobs == 1


def test_model_is_unknown_when_its_catalog_is_not_named(write):
    """Without the user's catalog their model is a mistake."""
    with pytest.raises(ManifestError, match="the catalog has no model 'acme/video-1'"):
        check(write("a.yaml", ACME))


def test_sentence_is_said_when_the_named_catalog_is_wrong(write):
    """What is wrong in the catalog stops the check, with the catalog's file and line."""
    write("own.yaml", OWN.replace("ids", "idz"))
    with pytest.raises(SettingsError, match=r"own\.yaml:2: acme: idz: no such member; did you mean ids\?"):
        check(write("a.yaml", "run: {catalog: own.yaml}\n" + ACME))


def test_wrong_setting_is_left_to_the_check_when_it_stands_in_the_manifest(write):
    """A `catalog` that is no text is one of the manifest's problems, beside the others."""
    path = write("a.yaml", "run: {catalog: 5}\n" + NEWER)
    with open_manifest(path) as manifest:
        manifest.judge_by({})
        with pytest.raises(ManifestError) as caught:
            manifest.check()
    assert [problem.path for problem in caught.value.problems] == ["run.catalog", "input.mood"]


def test_a_setting_is_refused_when_it_is_wrong_outside_the_manifest(write):
    """Also one that decides nothing about the check: a run would refuse it, and says all that is wrong."""
    path = write("a.yaml", "run: {limit: none}\n" + NEWER)
    with open_manifest(path) as manifest, pytest.raises(SettingsError) as caught:
        manifest.judge_by({}, Layer("c.yaml", {"limit": "no number"}))
    origins = [line.split(": ")[0] for line in caught.value.message.splitlines()]
    assert origins == ["c.yaml", str(path)]


@pytest.mark.parametrize("flags", [{"allow_unknown_fields": True}, {"catalog": "own.yaml"}])
def test_manifest_is_not_known_again_when_something_else_decides_too(write, monkeypatch, tmp_path, flags):
    """Only a manifest that is checked by the shipped catalog alone is the same because its bytes are."""
    write("own.yaml", OWN)
    monkeypatch.chdir(tmp_path)
    path = write("a.yaml", NEWER.replace(", mood: dark", ""))
    assert check(path)[1].identity() is not None
    assert check(path, flags)[1].identity() is None
