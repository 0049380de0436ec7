"""Limits of files: at the limit a file passes, one past it the sentence says what would be right."""

import pytest

from pipeline.catalog import Catalog, Facts, Limits, beyond_limits

CATALOG = Catalog.load()
LIMITS = Limits(
    formats=("jpg", "jpeg", "png"),
    max_bytes=10_000_000,
    max_encoded_bytes=5_000_000,
    max_request_bytes=8_000_000,
    min_side=300,
    max_side=3850,
    aspect_min=0.4,
    aspect_max=2.5,
)


@pytest.mark.parametrize(
    "facts",
    [
        Facts(),
        Facts("image/png", 5_000_000, 300, 300),
        Facts("image/jpeg", 5_000_000, 1000, 400),
        Facts("image/jpg", 1, 400, 1000),
        Facts("image/png", 1, 3850, 1540),
        Facts("image/png", 1, 306, 765),
    ],
)
def test_nothing_is_said_when_a_file_is_at_its_limits(facts):
    """The documented numbers themselves are allowed, and what is not known is not complained about."""
    assert list(beyond_limits(LIMITS, facts)) == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (Facts("image/webp"), "is a WEBP; the model takes JPEG or PNG"),
        (Facts("image/tiff"), "is an IMAGE/TIFF; the model takes JPEG or PNG"),
        (
            Facts(bytes=5_000_001),
            "has 5.000001 MB; the model takes at most 5 MB inside the request; make it smaller or give a URL",
        ),
        (Facts(width=299, height=300), "is 299 × 300 pixels; the model wants at least 300 on the shorter side"),
        (Facts(width=3851, height=2000), "is 3851 × 2000 pixels; the model takes at most 3850 on the longer side"),
        (
            Facts(width=399, height=1000),
            "is 399 × 1000 pixels, width to height 0.399; the model wants at least 0.4",
        ),
        (
            Facts(width=1001, height=400),
            "is 1001 × 400 pixels, width to height 2.502; the model takes at most 2.5",
        ),
    ],
)
def test_mend_is_said_when_a_file_is_one_past_a_limit(facts, sentence):
    """Every limit has its sentence, with the number that is too large or too small and the one that is allowed."""
    assert list(beyond_limits(LIMITS, facts)) == [sentence]


@pytest.mark.parametrize(
    ("size", "said"), [(10_000_000, []), (10_000_001, ["has 10.000001 MB; the model takes at most 10 MB"])]
)
def test_bytes_are_counted_when_a_file_may_not_be_larger(size, said):
    """The limit of the file itself."""
    assert list(beyond_limits(Limits(max_bytes=10_000_000), Facts(bytes=size))) == said


@pytest.mark.parametrize(("size", "fits"), [(6_000_000, True), (6_000_001, False)])
def test_base64_is_counted_when_a_request_may_not_be_larger(size, fits):
    """A limit of the whole request counts the file as it travels, a third larger."""
    said = list(beyond_limits(Limits(max_request_bytes=8_000_000), Facts(bytes=size)))
    assert (said == []) is fits


@pytest.mark.parametrize(
    ("model", "path", "check"),
    [
        ("kling-v2-6", "parameters.image", ("jpg", "jpeg", "png")),
        ("MiniMax-Hailuo-02", "input.first_frame_image", ("jpg", "jpeg", "png", "webp")),
        ("veo-3.1-generate-001", "input.image", ("jpeg", "png", "webp")),
    ],
)
def test_limits_are_those_of_the_catalog_when_a_field_takes_media(model, path, check):
    """`media.limits` names an entry of `media_limits`."""
    field = CATALOG.field(model, path)
    assert field is not None
    assert field.media is not None
    assert field.media.limits.formats == check


def test_megabyte_is_a_million_bytes_when_a_limit_is_read():
    """The documents do not define MB: the smaller reading counts."""
    field = CATALOG.field("MiniMax-Hailuo-02", "input.first_frame_image")
    assert field is not None
    assert field.media is not None
    assert field.media.limits.max_bytes == 20_000_000
