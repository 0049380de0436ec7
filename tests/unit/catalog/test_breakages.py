"""Deliberate mistakes: each is found, at its path, with the sentence that says what would be right."""

import pytest

from pipeline.catalog import Catalog, check_request

CATALOG = Catalog.load()
WAN = "Wan-AI/Wan2.2-I2V"
OMNI, O1 = "kling-v3-omni", "kling-video-o1"
SEEDANCE, VEO = "doubao-seedance-1-5-pro-251215", "veo-3.1-generate-001"
URL = "https://example.com/a.jpg"
TEXT = {"type": "text", "text": "p"}


def picture(role=None):
    return {"type": "image_url", "image_url": {"url": URL}, **({"role": role} if role else {})}


def shots(*durations):
    return [{"index": place + 1, "prompt": "p", "duration": text} for place, text in enumerate(durations)]


def omni(prompt="p", **parameters):
    return OMNI, {"prompt": prompt}, {"aspect_ratio": "16:9", **parameters}


def sequence(duration, *durations):
    multi = {"multi_shot": True, "shot_type": "customize", "multi_prompt": shots(*durations)}
    return OMNI, {}, {"aspect_ratio": "16:9", "duration": duration, **multi}


def img2video(model, **parameters):
    return model, {"first_frame_url": URL}, {"vidu_type": "img2video", **parameters}


ERRORS = {
    "length that is not offered": (
        (WAN, {"first_frame_url": URL, "prompt": "p"}, {"duration": 10}),
        ("parameters.duration", "10 is not offered; the model offers 5 or 8"),
    ),
    "wrong case of a value": (
        (WAN, {"image_url": URL}, {"resolution": "720p"}),
        (
            "parameters.resolution",
            "'720p' is not offered; the model offers 480P or 720P; write 720P (the spelling counts)",
        ),
    ),
    "no picture": (
        (WAN, {"prompt": "p"}, {}),
        ("input.image_url", "is missing; give exactly one of input.image_url and input.first_frame_url"),
    ),
    "two pictures": (
        (WAN, {"image_url": URL, "first_frame_url": URL, "prompt": "p"}, {}),
        (
            "input.first_frame_url",
            "excludes input.image_url; give exactly one of input.image_url and input.first_frame_url",
        ),
    ),
    "last frame without a first": (
        (WAN, {"image_url": URL, "last_frame_url": URL}, {}),
        ("input.first_frame_url", "is missing; the model requires it with input.last_frame_url"),
    ),
    "newer form without a prompt": (
        (WAN, {"first_frame_url": URL}, {}),
        ("input.prompt", "is missing; the model requires it with input.first_frame_url"),
    ),
    "misspelt field": (
        (WAN, {"image_url": URL, "promt": "p"}, {}),
        ("input.promt", "the model has no such field; did you mean prompt?"),
    ),
    "field in the wrong section": (
        (WAN, {"image_url": URL, "resolution": "480P"}, {}),
        ("input.resolution", "no such field here; it belongs under parameters"),
    ),
    "number in quotes": (
        ("Wan-AI/Wan2.5-T2V", {"prompt": "p"}, {"size": "832x480", "seed": "7"}),
        ("parameters.seed", "must be an integer, not the text '7'; write it without quotes"),
    ),
    "seed below the range": (
        ("Wan-AI/Wan2.5-T2V", {"prompt": "p"}, {"size": "832x480", "seed": -2}),
        ("parameters.seed", "-2 is out of range; the model takes -1 to 2147483647"),
    ),
    "size of the other tier": (
        ("Wan-AI/Wan2.2-T2V", {"prompt": "p"}, {"resolution": "480P", "size": "1280x720"}),
        (
            "parameters.size",
            "'1280x720' is not offered with parameters.resolution: '480P'; choose 832x480 or 480x832",
        ),
    ),
    "required parameter": (
        ("Wan-AI/Wan2.5-I2V", {"first_frame_url": URL, "prompt": "p"}, {}),
        ("parameters.resolution", "is missing; the model requires it: 480p, 720p or 1080p"),
    ),
    "ten seconds at the larger tier": (
        ("MiniMax-Hailuo-02", {"prompt": "p"}, {"duration": 10, "resolution": "1080P"}),
        ("parameters.resolution", "'1080P' is not offered with parameters.duration: 10; write 768P"),
    ),
    "prompt that is too long": (
        ("MiniMax-Hailuo-02", {"prompt": "p" * 2001}, {}),
        ("input.prompt", "has 2001 characters; the model takes at most 2000"),
    ),
    "last frame alone for Veo": (
        (
            VEO,
            {"prompt": "p", "last_frame": {"bytesBase64Encoded": "x", "mimeType": "image/png"}},
            {"generate_audio": True},
        ),
        ("input.image", "is missing; the model requires it with input.last_frame"),
    ),
    "unknown type of a picture": (
        (VEO, {"prompt": "p", "image": {"bytesBase64Encoded": "x", "mimeType": "image/gif"}}, {"generate_audio": True}),
        (
            "input.image.mimeType",
            "'image/gif' is not offered; the model offers image/jpeg, image/png or image/webp; did you mean image/png?",
        ),
    ),
    "draft beside a text": (
        (SEEDANCE, {"content": [TEXT, {"type": "draft_task", "draft_task": {"id": "t"}}]}, {}),
        ("input.content", "has a draft_task beside other items; a draft_task stands alone"),
    ),
    "two pictures without roles": (
        (SEEDANCE, {"content": [TEXT, picture(), picture("last_frame")]}, {}),
        ("input.content", "has two pictures; say which is which: role: first_frame and role: last_frame"),
    ),
    "two first frames": (
        (SEEDANCE, {"content": [picture("first_frame"), picture("first_frame")]}, {}),
        ("input.content", "has 2 pictures with the role first_frame; give one"),
    ),
    "last frame alone for Seedance": (
        (SEEDANCE, {"content": [TEXT, picture("last_frame")]}, {}),
        ("input.content", "has a last_frame without a first_frame; give both"),
    ),
    "three plain pictures": (
        (SEEDANCE, {"content": [picture(), picture(), picture()]}, {}),
        ("input.content", "has 3 pictures as frames; the model takes at most two"),
    ),
    "draft above 480p": (
        (SEEDANCE, {"content": [TEXT]}, {"draft": True, "resolution": "720p"}),
        (
            "parameters.resolution",
            "'720p' is not offered with parameters.draft: true and parameters.resolution; write 480p",
        ),
    ),
    "role that the variant does not have": (
        (SEEDANCE, {"content": [picture("reference_image")]}, {}),
        ("input.content.0.role", "'reference_image' is not offered; the model offers first_frame or last_frame"),
    ),
    "seven seconds without a clip": (
        (O1, {"prompt": "p"}, {"duration": 7}),
        (
            "parameters.duration",
            "7 is not offered (text-to-video and first-frame clips are 5 or 10 s only); choose 5 or 10",
        ),
    ),
    "end frame alone": (
        (O1, {"prompt": "p"}, {"image_list": [{"image_url": URL, "type": "end_frame"}]}),
        ("parameters.image_list", "has an end_frame without a first_frame; give both, or the first_frame alone"),
    ),
    "end frame among three": (
        (
            O1,
            {"prompt": "p"},
            {
                "image_list": [{"image_url": URL, "type": kind} for kind in ("first_frame", "end_frame")]
                + [{"image_url": URL}]
            },
        ),
        ("parameters.image_list", "has 3 pictures; with an end_frame the model takes at most two"),
    ),
    "frame beside a clip to edit": (
        omni(image_list=[{"image_url": URL, "type": "first_frame"}], video_list=[{"video_url": URL}]),
        (
            "parameters.image_list",
            "has a first_frame, but parameters.video_list holds a clip to edit; leave the type out",
        ),
    ),
    "five pictures beside a clip": (
        omni(image_list=[{"image_url": URL}] * 5, video_list=[{"video_url": URL}]),
        ("parameters.image_list", "has 5 items; the model takes at most 4 with parameters.video_list"),
    ),
    "sound beside a clip": (
        omni(sound="on", video_list=[{"video_url": URL}]),
        ("parameters.sound", "'on' is not offered with parameters.video_list; write off"),
    ),
    "eleven seconds beside a reference clip": (
        omni(duration=11, video_list=[{"video_url": URL, "refer_type": "feature"}]),
        (
            "parameters.duration",
            "11 is out of range with refer_type: 'feature' in parameters.video_list; write 3 to 10",
        ),
    ),
    "shape that is not said": (
        (OMNI, {"prompt": "p"}, {}),
        ("parameters.aspect_ratio", "is missing; the model requires it (only a video edit may omit it)"),
    ),
    "shots that do not add up": (
        sequence(5, "2", "2"),
        ("parameters.multi_prompt", "its shots add up to 4 s, but parameters.duration is 5; make the two equal"),
    ),
    "shot of no length": (
        sequence(5, "0", "5"),
        (
            "parameters.multi_prompt.0.duration",
            "'0' is no length of a shot; write whole seconds from 1 on, in quotes",
        ),
    ),
    "many shots and none told": (
        (OMNI, {}, {"aspect_ratio": "16:9", "multi_shot": True, "shot_type": "customize"}),
        ("parameters.multi_prompt", "is missing; the model requires it with parameters.multi_shot: true"),
    ),
    "eleven seconds on Q2": (
        img2video("viduq2-pro", duration=11),
        ("parameters.duration", "11 is out of range with model: viduq2-pro; write 1 to 10"),
    ),
    "small tier on the fast model": (
        img2video("viduq2-pro-fast", resolution="540p"),
        ("parameters.resolution", "'540p' is not offered with model: viduq2-pro-fast; choose 720p or 1080p"),
    ),
    "silence on Q3": (
        img2video("viduq3-pro", audio=False),
        ("parameters.audio", "false is not offered (audio cannot be switched off on viduq3-pro); write true"),
    ),
    "lip sync of nothing": (
        ("vidu-lip-sync", {"video_url": URL}, {"vidu_type": "lip-sync"}),
        ("input.audio_url", "is missing; give at least one of input.audio_url and input.text"),
    ),
    "too many subjects": (
        (
            "viduq2",
            {"prompt": "p", "subjects": [{"id": "a", "images": [URL], "voice_id": ""}] * 8},
            {"vidu_type": "reference2video"},
        ),
        ("input.subjects", "has 8 items; the model takes at most 7"),
    ),
    "subject of no picture": (
        (
            "viduq2",
            {"prompt": "p", "subjects": [{"id": "a", "images": [], "voice_id": ""}]},
            {"vidu_type": "reference2video"},
        ),
        ("input.subjects.0.images", "has 0 items; the model wants at least 1"),
    ),
}
WARNINGS = {
    "fields of the other form": (
        (WAN, {"image_url": URL}, {"duration": 5}),
        (
            "parameters.duration",
            "does not belong here (the source page does not list these fields for the image_url form); leave it out",
        ),
    ),
    "no picture where one is expected": (
        ("Wan-AI/Wan2.6-I2V", {"prompt": "p"}, {}),
        ("input.img_url", "img_url is listed as optional on an image-to-video model"),
    ),
    "field without effect": (
        ("Wan-AI/Wan2.6-T2V", {"prompt": "p"}, {"size": "1280x720", "prompt_extend": False, "shot_type": "multi"}),
        ("parameters.shot_type", "has no effect with parameters.prompt_extend: false"),
    ),
    "draft whose tier is not said": (
        (SEEDANCE, {"content": [TEXT]}, {"draft": True}),
        ("parameters.draft", "draft mode is 480p only while the default is 720p: say 480p"),
    ),
    "length of an edited clip": (
        (O1, {"prompt": "p"}, {"duration": 5, "video_list": [{"video_url": URL, "refer_type": "base"}]}),
        (
            "parameters.duration",
            "has no effect (an edited clip keeps the input length and is billed by it, rounded to whole seconds)",
        ),
    ),
    "tier without a price": (
        img2video("viduq2-pro", resolution="360p"),
        (
            "parameters.resolution",
            "360p and 2K have no row in the price list (an older list billed them as 540p and 1080p)",
        ),
    ),
}


def findings(model, input, parameters, *, warning):  # noqa: A002  # the request's own word
    request = {"model": model, "input": input, "parameters": parameters}
    entry = CATALOG.entry_for(model, request)
    assert entry is not None
    return [(one.path, one.message) for one in check_request(entry, request) if one.warning is warning]


@pytest.mark.parametrize(("request_", "expected"), ERRORS.values(), ids=ERRORS)
def test_one_sentence_is_said_when_a_request_is_broken(request_, expected):
    """A mistake is found once, at the field to change, with what would be right."""
    assert findings(*request_, warning=False) == [expected]


@pytest.mark.parametrize(("request_", "expected"), WARNINGS.values(), ids=WARNINGS)
def test_author_is_warned_when_a_request_is_doubtful(request_, expected):
    """What the vendor would take all the same is a warning and no error."""
    assert findings(*request_, warning=True) == [expected]
    assert findings(*request_, warning=False) == []


def test_enough_is_broken_on_purpose_when_the_suite_is_counted():
    """At least 28 mistakes are caught."""
    assert len(ERRORS) >= 28


@pytest.mark.parametrize(
    ("model", "input", "parameters"),
    [
        sequence(5, "2", "3"),
        omni(duration=10, video_list=[{"video_url": URL, "refer_type": "feature"}]),
        omni(image_list=[{"image_url": URL}] * 4, video_list=[{"video_url": URL}]),
        omni(image_list=[{"image_url": URL, "type": kind} for kind in ("first_frame", "end_frame")]),
        (O1, {"prompt": "p"}, {"duration": 7, "video_list": [{"video_url": URL, "refer_type": "feature"}]}),
        (O1, {"prompt": "p"}, {"image_list": [{"image_url": URL}] * 3}),
        img2video("viduq2-pro", duration=10),
        img2video("viduq3-pro", duration=16, audio=True),
        (SEEDANCE, {"content": [TEXT, picture("first_frame"), picture("last_frame")]}, {}),
        (SEEDANCE, {"content": [{"type": "draft_task", "draft_task": {"id": "t"}}]}, {}),
        ("doubao-seedance-2-0-260128", {"content": [TEXT, *[picture("reference_image")] * 9]}, {}),
        ("MiniMax-Hailuo-02", {"prompt": "p" * 2000}, {"duration": 10}),
        (VEO, {"prompt": "p", "image": "picture.png", "last_frame": "end.png"}, {"generate_audio": False}),
    ],
)
def test_nothing_is_said_when_a_request_is_just_within_the_rules(model, input, parameters):  # noqa: A002  # the request's own word
    """At its limit a rule holds its tongue."""
    assert findings(model, input, parameters, warning=False) == []


def test_unknown_fields_pass_with_a_warning_when_the_user_asks_for_it():
    """A field newer than the catalog can be sent; its misspelt sister is still seen."""
    request = {"model": WAN, "input": {"image_url": URL, "promt": "p"}, "parameters": {"camera": "left"}}
    entry = CATALOG.letting_unknown_pass().entry_for(WAN, request)
    assert entry is not None
    assert [(one.path, one.message, one.warning) for one in check_request(entry, request)] == [
        ("input.promt", "the model has no such field; did you mean prompt? (it is sent as it is)", True),
        (
            "parameters.camera",
            "the model has no such field; known are duration, resolution and seed (it is sent as it is)",
            True,
        ),
    ]
    assert CATALOG.entry_for(WAN, request) is not entry
