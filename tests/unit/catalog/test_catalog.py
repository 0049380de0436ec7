"""The catalog: which shape a request has, what is wrong with it, where a column belongs."""

import subprocess
import sys

import pytest
from msgspec.structs import replace

from pipeline.catalog import MISSING, Catalog, UnknownColumnError, check_request, typed_text
from pipeline.catalog.wording import SHOWN, nearest, plain, shown
from pipeline.core.jobs import MediaForm

WAN = "Wan-AI/Wan2.2-I2V"
CATALOG = Catalog.load()


def findings(model: str, input: dict, parameters: dict | None = None, *, warnings: bool = False):  # noqa: A002  # the request's own word
    request = {"model": model, "input": input, "parameters": parameters or {}}
    entry = CATALOG.entry_for(model, request)
    assert entry is not None
    return [(one.path, one.message) for one in check_request(entry, request) if one.warning is warnings]


def test_catalog_is_not_parsed_when_the_package_is_imported():
    """Importing costs nothing that is not used; the catalog is read at the first call and once."""
    program = "import pipeline.catalog.catalog as c; print(c._shipped.cache_info().currsize)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}
    )
    assert done.stdout.strip() == "0"
    assert Catalog.load() is CATALOG


def test_every_entry_is_read_when_the_catalog_loads():
    """All 37 shapes of the catalog are there, each with an id, fields and known paths in its rules."""
    assert len(CATALOG.entries) == 37
    for entry in CATALOG.entries:
        assert entry.ids
        assert entry.fields
        rule_paths = {path for rule in entry.rules for path in rule.paths}
        assert rule_paths <= {*entry.fields, "model"}
        assert entry.idempotency is None or entry.idempotency in entry.fields


@pytest.mark.parametrize(
    ("model", "input", "parameters", "key"),
    [
        (WAN, {}, {}, "wan2.2-i2v"),
        ("MiniMax-Hailuo-2.3", {"first_frame_image": "x"}, {}, "hailuo-2.3-i2v"),
        ("MiniMax-Hailuo-2.3", {}, {}, "hailuo-2.3-t2v"),
        ("kling-v2-6", {}, {"image_tail": "x"}, "kling-v2-6-i2v"),
        ("kling-v3", {}, {}, "kling-v3-t2v"),
        ("kling-v3", {"video_url": "x"}, {}, "kling-v3-motion"),
        ("kling-v3", {}, {"kling_v3_type": "i2v"}, "kling-v3-i2v"),
        ("viduq2", {"images": []}, {"vidu_type": "reference2video"}, "vidu-reference2video-images"),
    ],
)
def test_shape_is_chosen_by_the_body_when_pages_share_an_id(model, input, parameters, key):  # noqa: A002  # the request's own word
    """A model id and, where several shapes share it, the selector's conditions pick the entry."""
    entry = CATALOG.entry_for(model, {"input": input, "parameters": parameters})
    assert entry is not None
    assert entry.key == key


@pytest.mark.parametrize(
    ("model", "path", "words"),
    [
        ("wan-ai/wan2.2-i2v", "model", "did you mean Wan-AI/Wan2.2-I2V?"),
        ("nothing like it", "model", "the catalog has no model"),
        ("sora-2", "model", "speaks another protocol (POST /v1/videos"),
        ("wan2.7-image", "model", "is no video model"),
        ("viduq1", "model", "was withdrawn by the vendor"),
        ("pixverse-v6", "model", "no document of the vendor describes it"),
        ("viduq2", "parameters.vidu_type", "write text2video or reference2video"),
    ],
)
def test_reason_is_given_when_a_request_has_no_entry(model, path, words):
    """An unknown model gets its nearest name or what is known of it, an undecided one the field that decides."""
    assert CATALOG.entry_for(model, {"input": {}, "parameters": {}}) is None
    where, message = CATALOG.why_none(model)
    assert where == path
    assert words in message


@pytest.mark.parametrize(
    ("model", "input", "parameters"),
    [
        (WAN, {"image_url": "x"}, {}),
        (WAN, {"image_url": "x", "prompt": "p"}, {"resolution": "720P"}),
        (WAN, {"first_frame_url": "x", "last_frame_url": "y", "prompt": "p"}, {"duration": 8, "seed": 2147483647}),
        ("kling-v3-omni", {"prompt": "p"}, {"aspect_ratio": "16:9"}),
        ("kling-v3-omni", {"prompt": "p"}, {"video_list": [{"video_url": "x"}]}),
        ("vidu-lip-sync", {"video_url": "x", "text": "four"}, {"vidu_type": "lip-sync", "speed": 1}),
        ("vidu-lip-sync", {"video_url": "x", "text": "x" * 2000}, {"vidu_type": "lip-sync", "speed": 0.5}),
        ("happyhorse-1.0-r2v", {"prompt": "p", "images": ["x"] * 9}, {}),
        (
            "viduq2",
            {"prompt": "p", "subjects": [{"id": "a", "images": ["x"], "voice_id": ""}]},
            {"vidu_type": "reference2video"},
        ),
    ],
)
def test_nothing_is_found_when_a_request_is_sound(model, input, parameters):  # noqa: A002  # the request's own word
    """A request that the documents allow passes, at the limits too."""
    assert findings(model, input, parameters) == []


@pytest.mark.parametrize(
    ("model", "input", "parameters", "path", "words"),
    [
        (WAN, {}, {}, "input.image_url", "give exactly one of input.image_url and input.first_frame_url"),
        (WAN, {"image_url": None}, {}, "input.image_url", "must be text, but it is null; leave the field out"),
        (
            WAN,
            {"image_url": "x", "first_frame_url": "y", "prompt": "p"},
            {},
            "input.first_frame_url",
            "excludes input.image_url",
        ),
        (WAN, {"first_frame_url": "x"}, {}, "input.prompt", "the model requires it with input.first_frame_url"),
        (WAN, {"image_url": "x", "promt": "p"}, {}, "input.promt", "did you mean prompt?"),
        (WAN, {"image_url": "x", "seed": 1}, {}, "input.seed", "it belongs under parameters"),
        (WAN, {"image_url": 5}, {}, "input.image_url", "must be text, not the integer 5; put it in quotes"),
        (WAN, {"image_url": ["x"]}, {}, "input.image_url", "must be text, not an array of 1"),
        (WAN, {"image_url": "x"}, {"resolution": "480p"}, "parameters.resolution", "write 480P (the spelling counts)"),
        (
            WAN,
            {"image_url": "x"},
            {"resolution": "4K"},
            "parameters.resolution",
            "'4K' is not offered; the model offers 480P or 720P",
        ),
        (WAN, {"image_url": "x"}, {"duration": 6}, "parameters.duration", "6 is not offered; the model offers 5 or 8"),
        (
            WAN,
            {"image_url": "x"},
            {"duration": "5"},
            "parameters.duration",
            "not the text '5'; write it without quotes",
        ),
        (
            WAN,
            {"image_url": "x"},
            {"duration": "6"},
            "parameters.duration",
            "must be an integer, and 6 is not offered; the model offers 5 or 8",
        ),
        (
            WAN,
            {"image_url": "x"},
            {"seed": "99999999999999999999"},
            "parameters.seed",
            "must be an integer, and 99999999999999999999 is out of range; the model takes 0 to 2147483647",
        ),
        (
            WAN,
            {"image_url": "x"},
            {"resolution": 480},
            "parameters.resolution",
            "must be text, not the integer 480; the model offers 480P or 720P; did you mean 480P?",
        ),
        (WAN, {"image_url": "x"}, {"duration": 5.0}, "parameters.duration", "must be an integer, not 5.0; write 5"),
        (WAN, {"image_url": "x"}, {"duration": True}, "parameters.duration", "must be an integer, not a boolean true"),
        (WAN, {"image_url": "x"}, {"seed": -1}, "parameters.seed", "the model takes 0 to 2147483647"),
        (WAN, {"image_url": "x"}, {"seed": 2**31}, "parameters.seed", "is out of range"),
        ("Wan-AI/Wan2.2-T2V", {}, {}, "input.prompt", "is missing; the model requires it"),
        ("Wan-AI/Wan2.2-T2V", {"prompt": " "}, {}, "input.prompt", "is empty; the model requires it"),
        ("happyhorse-1.0-r2v", {"prompt": "p", "images": []}, {}, "input.images", "wants at least 1"),
        ("happyhorse-1.0-r2v", {"prompt": "p", "images": ["x"] * 10}, {}, "input.images", "takes at most 9"),
        ("happyhorse-1.0-r2v", {"prompt": "p", "images": ["x", 1]}, {}, "input.images.1", "must be text"),
        (
            "happyhorse-1.0-t2v",
            {"prompt": "p"},
            {"watermark": "yes"},
            "parameters.watermark",
            "must be a boolean, not the text 'yes'",
        ),
        (
            "vidu-lip-sync",
            {"video_url": "x"},
            {"vidu_type": "lip-sync"},
            "input.audio_url",
            "give at least one of input.audio_url",
        ),
        (
            "vidu-lip-sync",
            {"video_url": "x", "text": "abc"},
            {"vidu_type": "lip-sync"},
            "input.text",
            "has 3 characters",
        ),
        (
            "vidu-lip-sync",
            {"video_url": "x", "text": "x" * 2001},
            {"vidu_type": "lip-sync"},
            "input.text",
            "takes at most 2000",
        ),
        (
            "vidu-lip-sync",
            {"video_url": "x", "text": "four"},
            {},
            "parameters.vidu_type",
            "requires it: write lip-sync",
        ),
        ("kling-v3-omni", {"prompt": "p"}, {}, "parameters.aspect_ratio", "only a video edit may omit it"),
        ("kling-v3-omni", {}, {"aspect_ratio": "1:1"}, "input.prompt", "with parameters.multi_shot by default"),
        (
            "kling-v3-omni",
            {},
            {"aspect_ratio": "1:1", "multi_shot": True},
            "parameters.multi_prompt",
            "with parameters.multi_shot: true",
        ),
        (
            "veo-3.1-generate-001",
            {"prompt": "p", "image": {"mimeType": "image/png"}},
            {},
            "input.image.bytesBase64Encoded",
            "is missing",
        ),
        (
            "veo-3.1-generate-001",
            {"prompt": "p", "image": {"mimeTyp": "x"}},
            {},
            "input.image.mimeTyp",
            "did you mean mimeType?",
        ),
        (
            "doubao-seedance-1-5-pro-251215",
            {"content": [{"type": "image"}]},
            {},
            "input.content.0.type",
            "did you mean image_url?",
        ),
        (
            "doubao-seedance-1-5-pro-251215",
            {"content": [{"text": "x"}]},
            {},
            "input.content.0.type",
            "text, image_url or draft_task",
        ),
        (
            "doubao-seedance-1-5-pro-251215",
            {"content": [{"type": "image_url", "image_url": {}}]},
            {},
            "input.content.0.image_url.url",
            "is missing",
        ),
    ],
)
def test_path_and_mend_are_given_when_a_field_is_wrong(model, input, parameters, path, words):  # noqa: A002  # the request's own word
    """Every field is held against its entry: name, type, values, range, length, and what belongs together."""
    found = findings(model, input, parameters)
    assert any(where == path and words in message for where, message in found), found


def test_author_is_warned_when_a_field_has_no_effect():
    """A field that is documented as without effect is accepted with a warning."""
    found = findings("MiniMax-Hailuo-02", {"prompt": "p"}, {"fast_pretreatment": True}, warnings=True)
    assert [path for path, _ in found] == ["parameters.fast_pretreatment"]


@pytest.mark.parametrize(
    ("model", "path", "form", "doubtful"),
    [
        (WAN, "input.image_url", MediaForm.DATA_URI, True),
        (WAN, "input.first_frame_url", MediaForm.DATA_URI, True),
        ("MiniMax-Hailuo-02", "input.first_frame_image", MediaForm.DATA_URI, False),
        ("kling-v2-6", "parameters.image", MediaForm.BASE64, False),
        ("kling-v3-motion-control", "input.img_url", MediaForm.BASE64, True),
        ("openai/sora-2/image-to-video", "input.first_frame_url", MediaForm.DATA_URI, True),
    ],
)
def test_form_of_a_local_file_is_known_when_a_field_takes_media(model, path, form, doubtful):
    """A file is written as the documents say, and what they leave open is marked as doubtful."""
    field = CATALOG.field(model, path)
    assert field is not None
    assert field.media is not None
    assert (field.media.form, field.media.doubt is not None) == (form, doubtful)


def test_only_urls_are_taken_when_seedance_gets_a_clip():
    """Seedance 2.0 takes pictures as data URIs too, clips and sound by URL only."""
    content = [{"type": kind, kind: {"url": "x"}} for kind in ("image_url", "video_url", "audio_url")]
    request = {"input": {"content": content}}
    entry = CATALOG.entry_for("doubao-seedance-2-0-260128", request)
    assert entry is not None
    found = [(value.media.kind, value.media.forms) for value in entry.media_values(request)]
    assert found == [("image", ("url", "data_uri")), ("video", ("url",)), ("audio", ("url",))]


def test_extra_headers_are_known_when_a_model_wants_them():
    """HappyHorse wants a header on the submit, other models none."""
    horse = CATALOG.entry_for("happyhorse-1.0-t2v", {})
    wan = CATALOG.entry_for(WAN, {})
    assert horse is not None
    assert wan is not None
    assert (dict(horse.headers), dict(wan.headers)) == ({"X-DashScope-Async": "enable"}, {})


@pytest.mark.parametrize(
    ("name", "model", "path"),
    [
        ("image_url", WAN, "input.image_url"),
        ("resolution", WAN, "parameters.resolution"),
        ("image", "kling-v2-6", "parameters.image"),
        ("image", "veo-3.1-generate-001", "input.image"),
        ("prompt", None, "input.prompt"),
    ],
)
def test_column_is_resolved_when_the_model_has_one_field_of_the_name(name, model, path):
    """A bare name means the model's field of that name, wherever it stands."""
    assert CATALOG.resolve_column(name, model) == path


@pytest.mark.parametrize(
    ("name", "model", "words"),
    [
        ("image", WAN, "has no field of this name; did you mean image_url?"),
        ("promt", None, "no model has a field of this name; did you mean prompt?"),
        ("zzz", None, "no model has a field of this name"),
    ],
)
def test_column_is_refused_when_no_field_has_the_name(name, model, words):
    """An unknown column is answered with the nearest name."""
    with pytest.raises(UnknownColumnError) as caught:
        CATALOG.resolve_column(name, model)
    assert words in str(caught.value)


def test_column_is_refused_when_two_fields_have_the_name():
    """An ambiguous name is answered with the two that are meant."""
    both = Catalog([entry for entry in CATALOG.entries if entry.key in ("veo-3.1", "kling-v2-6-i2v")], {})
    merged = Catalog([replace(one, ids=("m",)) for one in both.entries], {})
    with pytest.raises(UnknownColumnError, match=r"ambiguous; write input\.image or parameters\.image"):
        merged.resolve_column("image", "m")


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("parameters.duration", " 5 ", 5),
        ("parameters.duration", "5.0", MISSING),
        ("parameters.duration", "five", MISSING),
        ("parameters.duration", "9" * 30, MISSING),
        ("parameters.guidance_scale", "5", 5),
        ("parameters.guidance_scale", "1.5e0", 1.5),
        ("parameters.guidance_scale", "nan", MISSING),
        ("parameters.guidance_scale", "1e999", MISSING),
        ("parameters.bgm", "TRUE", True),
        ("parameters.bgm", "no", MISSING),
        ("input.prompt", " 5 ", " 5 "),
        ("input.images", '["a"]', ["a"]),
        ("input.images", '{"a": 1}', MISSING),
        ("input.images", "[" * 100_000, MISSING),
        ("input.subjects", '[{"id": 1, "id": 2}]', MISSING),
    ],
)
def test_cell_is_typed_when_the_field_allows_it(path, text, value):
    """A text becomes what the field wants, or nothing where it cannot."""
    field = CATALOG.field("viduq2", path)
    assert field is not None
    typed = typed_text(field, text)
    assert typed is value if value is MISSING else (typed == value and type(typed) is type(value))


def test_value_is_cut_and_escaped_when_it_is_shown():
    """Messages stay short and printable whatever the value is."""
    assert shown("a\x1b\u202e\ud800") == "'a\\x1b\\u202e\\ud800'"
    assert shown("x" * SHOWN) == repr("x" * SHOWN)
    assert len(shown("x" * (SHOWN + 1))) == SHOWN + 2
    assert plain("a\nb") == "a\\nb"
    assert nearest("PROMT" * 1, ["prompt", "seed"]) == "prompt"
