"""The catalog on a screen: at 80 columns, complete, and its examples can be used."""

import json
import re
from pathlib import Path

import pytest

from pipeline.catalog import Catalog
from pipeline.core.errors import UsageError
from pipeline.manifest import open_manifest
from pipeline.views.models import WIDTH, model_page, models_json, models_table

CATALOG = Catalog.load()
OWN = """\
date: 2026-11-20
models:
  - {key: veo-3.1, price: {currency: EUR, cases: [{unit: per_second, amount: 2.5}]}}
  - key: acme
    ids: [acme/video-1]
    inputs:
      - path: input.clips
        type: array
        min_items: 2
        required: true
        media: {kind: video, forms: [url]}
        items: {type: object, fields: [{name: video_url, type: string, required: true}]}
      - {path: input.shape, type: string, required: true, enum: ["16:9"]}
      - {path: input.strength, type: number, required: true, min: 0.5, max: 0.5}
      - {path: input.cut, type: boolean, required: true}
"""


def test_every_model_has_a_line_when_the_catalog_is_listed() -> None:
    """Id, kinds and price in a few words, the day of the prices below, within 80 columns."""
    lines = models_table(CATALOG)
    assert max(map(len, lines)) <= WIDTH
    assert [line.split()[0] for line in lines[1 : len(CATALOG.models) + 1]] == list(CATALOG.models)
    table = "\n".join(lines)
    assert re.search(r"^Wan-AI/Wan2\.2-I2V +i2v flf2v +0\.18-0\.35/s$", table, re.MULTILINE)
    assert re.search(r"^viduq3-pro +i2v flf2v +0\.3125-0\.9375/s$", table, re.MULTILINE)
    assert re.search(r"^kling-v3-motion-control +motion +- superseded$", table, re.MULTILINE)
    assert "as published on 2026-03-24" in table


@pytest.mark.parametrize("entry", CATALOG.entries, ids=lambda entry: entry.key)
def test_page_fits_and_its_example_validates_when_an_entry_is_shown(entry, tmp_path: Path) -> None:
    """Every field and rule is there, nothing is wider than 80 columns, and the example is a manifest that passes."""
    lines = model_page(CATALOG, entry.key)
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    assert all(path in text for path in entry.fields)
    manifest = tmp_path / "example.yaml"
    manifest.write_text("\n".join(lines[lines.index("an example:") + 1 :]))
    for name in re.findall(r"(\w+\.(?:jpg|mp4|mp3))", text):
        (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0")
    if entry.status != "withdrawn":
        with open_manifest(manifest) as opened:
            assert opened.check().jobs == 1


def test_page_says_what_a_user_asks_when_the_default_model_is_shown() -> None:
    """Values, ranges, defaults, rules in words, price with its day, time and quirks."""
    text = re.sub(r"\s+", " ", "\n".join(model_page(CATALOG, "Wan-AI/Wan2.2-I2V")))
    for words in (
        "picture to video and first and last frame to video",
        "parameters.resolution 480P or 720P; 480P by default",
        "parameters.duration 5 or 8; estimates assume 5",
        "parameters.seed integer, 0 to 2147483647",
        "- exactly one of input.image_url and input.first_frame_url",
        "- input.prompt required with first_frame_url",
        "0.35 a second with resolution 720P",
        "price list of 2026-03-24, ucloud:price.md",
        "50 s with resolution 480P",
        "Two request forms in one entry",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kling-v3-omni", "jpg/jpeg/png, at most 10 MB, at least 300 pixels a side, width to height 0.4 to 2.5"),
        ("kling-v3-omni", "parameters.duration 3 to 10 with refer_type feature in video_list"),
        (
            "kling-v3-omni",
            "aspect_ratio required with no refer_type base in video_list (only a video edit may omit it)",
        ),
        ("kling-v3-omni", "1.2 a second of the clip to edit with refer_type base in video_list"),
        ("vidu-lip-sync", "at least one of input.audio_url and input.text"),
        ("vidu-lip-sync", "0.625 for each 5 s begun of the finished video"),
        ("vidu-lip-sync", "text, 4 to 2000 characters"),
        ("vidu-extend", "7 69.7-72.9 163.5-172 166.8-172.3"),
        ("kling-v2-6", "5: 2.5 10: 5.0"),
        ("viduq2-pro", "+ 0.46875 a video with model viduq2-pro, viduq2-turbo or viduq2-pro-fast and audio true"),
        ("doubao-seedance-1-5-pro-251215", "tokens: inferred. Reproduces the one documented sample"),
        ("veo-3.1-generate-001", "unknown: the price list has none for this model"),
        ("Wan-AI/Wan2.6-I2V", "no img_url: img_url is listed as optional on an image-to-video model [a warning]"),
    ],
)
def test_rules_and_prices_are_in_words_when_a_model_is_shown(name: str, words: str) -> None:
    """Each kind of rule, limit and price has its sentence."""
    assert words in re.sub(r"\s+", " ", "\n".join(model_page(CATALOG, name)))


def test_every_shape_is_shown_when_several_share_an_id() -> None:
    """A model id with several request shapes gets a page for each."""
    assert sum(line.startswith("kling-v3 (") for line in model_page(CATALOG, "kling-v3")) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Wan-AI/Wan2.2-i2v", "did you mean Wan-AI/Wan2.2-I2V?"),
        ("hailuo-2", "did you mean hailuo-02?"),
        ("sora-2", "speaks another protocol"),
        ("\x1b[2J", r"'\x1b[2J'"),
    ],
)
def test_nearest_name_is_offered_when_the_model_is_unknown(name: str, words: str) -> None:
    """Exit 2 with what was probably meant, or with what is known of the id."""
    with pytest.raises(UsageError) as caught:
        model_page(CATALOG, name)
    assert words in caught.value.message
    with pytest.raises(UsageError):
        models_json(CATALOG, name)


def test_json_holds_the_same_when_a_script_asks() -> None:
    """One object: the day of the prices, and every entry with fields, rules, amounts as text, and its example."""
    whole = json.loads(models_json(CATALOG))
    assert whole["prices_as_of"] == "2026-03-24"
    assert [entry["key"] for entry in whole["entries"]] == [entry.key for entry in CATALOG.entries]
    (wan,) = json.loads(models_json(CATALOG, "Wan-AI/Wan2.2-I2V"))["entries"]
    seed = {"type": "integer", "required": False, "min": 0, "max": 2147483647, "note": "newer form"}
    assert wan["fields"]["parameters.seed"] == seed
    assert wan["price"]["cases"][0] == {
        "when": "resolution 720P",
        "unit": "per_second",
        "amount": "0.35",
        "table": None,
    }
    assert wan["example"]["model"] == "Wan-AI/Wan2.2-I2V"
    (veo,) = json.loads(models_json(CATALOG, "veo-3.1"))["entries"]
    assert veo["price"] is None


def test_own_models_are_shown_like_ours_when_a_catalog_adds_them(tmp_path: Path) -> None:
    """Another currency and another day are said, and an example is found for fields of every type."""
    own = tmp_path / "own.yaml"
    own.write_text(OWN)
    catalog = Catalog.load(own)
    table = "\n".join(models_table(catalog))
    assert "Prices in CNY and EUR, as published on 2026-03-24 and 2026-11-20 in own.yaml" in table
    assert "price list of 2026-11-20, own.yaml" in "\n".join(model_page(catalog, "veo-3.1"))
    text = "\n".join(model_page(catalog, "acme/video-1"))
    assert text.count("- video_url: https://example.com/clip.mp4") == 2
    assert 'shape: "16:9"' in text
    assert "strength: 0.5" in text
    assert "cut: false" in text


HOSTILE = """\
date: 2026-11-20
source: "\\e[2J"
models:
  - key: "evil\\x9b"
    ids: ["\\e[31mx/y", plain]
    kinds: [t2v]
    inputs: [{path: input.prompt, type: string, note: "\\u202e", enum: ["\\e[1m", b]}]
    rules: [{id: "\\x07", fire: true, why: "\\e]0;title\\a"}]
    notes: ["\\e[5m"]
    price: {cases: [{unit: per_video, amount: 1, why: "\\e[6n"}]}
"""


def test_nothing_steers_the_terminal_when_a_catalog_is_hostile(tmp_path: Path) -> None:
    """Names, notes, values and reasons of a catalog that is not ours are written as text; in JSON they are escaped."""
    (tmp_path / "own.yaml").write_text(HOSTILE)
    catalog = Catalog.load(tmp_path / "own.yaml")
    for line in (*models_table(catalog), *model_page(catalog, "plain")):
        assert line.isprintable(), line
    assert models_json(catalog).isascii()
