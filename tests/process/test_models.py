"""The commands that show what the models accept, and the settings that add to it."""

import json
from typing import Any

OWN = "date: 2026-11-20\nmodels: [{key: acme, ids: [acme/video-1], inputs: [{path: input.prompt, type: string}]}]\n"
JOB = '{"model": "acme/video-1", "input": {"prompt": "p"}}\n'


def test_models_are_shown_when_somebody_asks(lab: Any) -> None:
    """The table, a page, JSON, and exit 2 with the nearest name; no key and no network."""
    listed = lab.run("models")
    assert (listed.code, listed.out.split("\n")[1].split()) == (0, ["Wan-AI/Wan2.2-I2V", "i2v", "flf2v", "0.18-0.35/s"])
    page = lab.run("models", "Wan-AI/Wan2.2-I2V")
    assert (page.code, page.out.split("\n")[0]) == (0, "Wan-AI/Wan2.2-I2V (wan2.2-i2v, current)")
    assert json.loads(lab.run("models", "kling-v3", "--json").out)["prices_as_of"] == "2026-03-24"
    wrong = lab.run("models", "Wan-AI/Wan2.2-i2v")
    sentence = "pipeline: the catalog has no model 'Wan-AI/Wan2.2-i2v'; did you mean Wan-AI/Wan2.2-I2V?\n"
    assert (wrong.code, wrong.out, wrong.err) == (2, "", sentence)


def test_schema_is_printed_when_an_editor_needs_it(lab: Any) -> None:
    """Standard output holds the schema and nothing else."""
    printed = lab.run("schema")
    assert (printed.code, printed.err) == (0, "")
    assert json.loads(printed.out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_own_models_count_everywhere_when_a_catalog_is_given(lab: Any) -> None:
    """`--catalog`, a config file and `run:` name it; what is wrong in it is a line and exit 2."""
    (lab.path / "own.yaml").write_text(OWN)
    (lab.path / "settings.yaml").write_text("catalog: own.yaml\n")
    (lab.path / "acme.jsonl").write_text(JOB)
    assert lab.run("validate", "acme.jsonl").code == 2
    assert lab.run("validate", "acme.jsonl", "--catalog", "own.yaml").code == 0
    assert lab.run("validate", "acme.jsonl", "-c", "settings.yaml").code == 0
    assert lab.run("models", "acme/video-1", "--catalog", "own.yaml").code == 0
    assert '"acme/video-1"' in lab.run("schema", "--catalog", "own.yaml").out
    ended = lab.run("run", "acme.jsonl", "--rehearse", "--speed", "500", "--catalog", "own.yaml", "--limit", "0")
    assert ended.code == 0
    (lab.path / "own.yaml").write_text(OWN.replace("ids", "idz"))
    wrong = lab.run("validate", "acme.jsonl", "--catalog", "own.yaml")
    assert (wrong.code, wrong.err) == (2, "pipeline: own.yaml:2: acme: idz: no such member; did you mean ids?\n")
