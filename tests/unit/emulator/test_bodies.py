"""What a submit's body may say (modelverse-api.md §4 and §14)."""

import json

import pytest

from pipeline.emulator.bodies import MODELS, BadBodyError, read_submission

URL = "https://example.com/a.jpg"


def wan(given: object = None, parameters: object = None) -> bytes:
    given = {"image_url": URL} if given is None else given
    return json.dumps({"model": "Wan-AI/Wan2.2-I2V", "input": given, "parameters": parameters}).encode()


def test_submission_is_read_when_it_has_the_form_of_the_source_page():
    """The source page's body is accepted as it stands there, prompt and resolution optional."""
    found = read_submission(wan({"image_url": URL, "prompt": "waves"}, {"resolution": "720P"}))
    assert (found.prompt, found.picture, found.size, found.duration) == ("waves", URL, (1280, 720), 5)
    assert read_submission(wan()).size == (832, 480)


def test_submission_is_read_when_it_has_the_newer_form():
    """The newer form brings a duration, a seed and a last frame."""
    given = {"first_frame_url": URL, "last_frame_url": URL, "prompt": "p", "negative_prompt": "n"}
    found = read_submission(wan(given, {"duration": 8, "seed": 7}))
    assert (found.picture, found.duration, found.seed) == (URL, 8, 7)


@pytest.mark.parametrize(
    ("given", "parameters", "said"),
    [
        ({}, {}, "image_url is required"),
        ({"prompt": "p"}, {}, "image_url is required"),
        ({"image_url": URL, "first_frame_url": URL, "prompt": "p"}, {}, "exclude each other"),
        ({"image_url": ""}, {}, "image_url must be"),
        ({"image_url": 5}, {}, "image_url must be"),
        ({"first_frame_url": URL}, {}, "prompt is required"),
        ({"first_frame_url": URL, "prompt": "p", "last_frame_url": []}, {}, "last_frame_url must be"),
        ({"image_url": URL, "prompt": 5}, {}, "prompt must be a string"),
        (None, {"resolution": "480p"}, "resolution must be 480P or 720P"),
        (None, {"resolution": "1080P"}, "resolution must be 480P or 720P"),
        (None, {"duration": 6}, "duration must be 5 or 8"),
        (None, {"duration": 5.0}, "duration must be"),
        (None, {"duration": True}, "duration must be"),
        (None, {"seed": -1}, "seed must be"),
        (None, {"seed": 2**31}, "seed must be"),
        ([1], {}, "input must be an object"),
        (None, [1], "parameters must be an object"),
    ],
)
def test_body_is_refused_when_wan_would_refuse_it(given, parameters, said):
    """Wan2.2-I2V's fields are checked, and the complaint begins as the vendor's."""
    with pytest.raises(BadBodyError) as caught:
        read_submission(wan(given, parameters))
    assert caught.value.code == "param_error"
    assert caught.value.message.startswith("Invalid param: ")
    assert said in caught.value.message


def test_seed_is_accepted_when_it_is_at_the_limit():
    """The largest seed passes; one past it does not (above)."""
    assert read_submission(wan(None, {"seed": 2**31 - 1})).seed == 2**31 - 1


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"{}", b'{"model": 5}', b'{"model": ""}', b"\xff"])
def test_body_is_refused_when_it_is_no_request(raw):
    """Whatever arrives, the answer is a param_error and never a traceback."""
    with pytest.raises(BadBodyError, match="Invalid param"):
        read_submission(raw)


def test_model_is_refused_when_nobody_offers_it():
    """An unknown model is a model_error that names it; every listed one passes."""
    with pytest.raises(BadBodyError, match="not support model") as caught:
        read_submission(b'{"model": "Wan-AI/Wan9"}')
    assert caught.value.code == "model_error"
    others = [name for name in MODELS if name != "Wan-AI/Wan2.2-I2V"]
    assert all(read_submission(json.dumps({"model": name}).encode()).model == name for name in others)


@pytest.mark.parametrize(
    ("model", "body"),
    [
        ("kling-v2-6", {"parameters": {"image": "QUJD"}}),
        ("kling-v3-omni", {"parameters": {"image_list": [{"image_url": "QUJD"}]}}),
        ("doubao-seedance-2-0-260128", {"input": {"content": [{"text": "p"}, {"image_url": {"url": "QUJD"}}]}}),
        ("veo-3.1-generate-001", {"input": {"image": {"bytesBase64Encoded": "QUJD", "mimeType": "image/png"}}}),
        ("viduq2", {"input": {"images": ["QUJD"]}}),
        ("MiniMax-Hailuo-02", {"input": {"first_frame_image": "QUJD"}}),
    ],
)  # fmt: skip
def test_picture_is_found_when_a_model_carries_it_elsewhere(model, body):
    """Each family's own place for the picture is known."""
    assert read_submission(json.dumps({"model": model} | body).encode()).picture == "QUJD"


def test_body_is_refused_when_kling_gets_a_data_uri():
    """Kling wants Base64 without a prefix."""
    with pytest.raises(BadBodyError, match="without a data: prefix"):
        read_submission(b'{"model": "kling-v2-6", "parameters": {"image": "data:image/png;base64,QUJD"}}')
