"""Limits of media values: local files and data inside the manifest are held to what the model's documents allow."""

import base64
import io
import struct

import pytest
from PIL import Image

from pipeline.catalog import Limits, Media, MediaValue
from pipeline.core.jobs import MediaForm
from pipeline.manifest.media import MediaReader

KLING = Limits(formats=("jpg", "jpeg", "png"), max_bytes=10_000_000, min_side=300, aspect_min=0.4, aspect_max=2.5)
FORMATS = Limits(formats=("jpeg", "png", "webp"))
PICTURE = Media("image", ("url", "data_uri"), MediaForm.DATA_URI, limits=KLING)
BARE = Media("image", ("url", "base64"), MediaForm.BASE64, limits=KLING)
VEO = Media("image", ("base64",), MediaForm.OBJECT, limits=FORMATS)
CLIP = Media("video", ("url",), MediaForm.DATA_URI, limits=Limits(formats=("mp4", "mov"), min_seconds=3, min_side=720))
SOUND = Media("audio", ("url", "data_uri"), MediaForm.DATA_URI, limits=Limits(formats=("mp3", "wav"), max_bytes=100))


def png(width, height, size=0):
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    return head.ljust(size, b"\0")


def drawn(kind, width=321, height=400):
    written = io.BytesIO()
    Image.new("RGB", (width, height)).save(written, kind)
    return written.getvalue()


@pytest.fixture
def judge(tmp_path):
    def judged(content, media, name="a.png"):
        (tmp_path / name).write_bytes(content)
        return MediaReader(tmp_path).judge(MediaValue("input.image_url", name, media))

    return judged


@pytest.mark.parametrize(
    "content", [png(300, 300), png(1000, 400), png(400, 1000), png(300, 300, 10_000_000), drawn("JPEG"), drawn("PNG")]
)
def test_picture_passes_when_it_is_within_the_limits(judge, content):
    """Format, bytes, sides and shape at the documented numbers raise nothing."""
    judged = judge(content, PICTURE)
    assert (judged.problem, judged.warning) == (None, None)
    assert judged.file is not None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (png(299, 300), "'a.png' is 299 × 300 pixels; the model wants at least 300 on the shorter side"),
        (png(1001, 400), "the model takes at most 2.5"),
        (png(399, 1000), "the model wants at least 0.4"),
        (png(300, 300, 10_000_001), "has 10.000001 MB; the model takes at most 10 MB"),
        (drawn("WEBP"), "'a.png' is a WEBP; the model takes JPEG or PNG"),
        (drawn("GIF"), "is a GIF; the model takes JPEG or PNG"),
        (drawn("BMP"), "is a BMP; the model takes JPEG or PNG"),
        (png(100, 300), "on the shorter side; it is 100 × 300 pixels, width to height 0.3333"),
    ],
)
def test_picture_is_refused_when_it_is_one_past_a_limit(judge, content, words):
    """Only the header is read, and everything that is wrong with the file is said at once."""
    judged = judge(content, PICTURE)
    assert words in (judged.problem or "")
    assert judged.file is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_size_is_read_from_the_header_when_a_picture_is_of_any_kind(judge, kind):
    """Every kind of picture tells its size without being decoded."""
    media = Media("image", ("url", "data_uri"), MediaForm.DATA_URI, limits=Limits(min_side=322))
    assert "is 321 × 400 pixels" in (judge(drawn(kind), media).problem or "")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0" + b"\xff" * 99, b"BM\0\0"])
def test_author_is_warned_when_a_header_does_not_tell_the_size(judge, content):
    """A picture whose size nobody can read is not refused, and the missing check is named."""
    media = Media("image", ("url", "data_uri"), MediaForm.DATA_URI, limits=Limits(min_side=300))
    judged = judge(content, media)
    assert judged.problem is None
    assert "its size in pixels cannot be read and was not checked" in (judged.warning or "")


def test_author_is_warned_when_a_clip_is_not_looked_into(judge):
    """Of clips and sound, format and bytes are checked; what else is limited is named."""
    judged = judge(b"....ftypisom", CLIP, "a.mp4")
    assert judged.problem is None
    assert "its length and sides were not checked" in (judged.warning or "")
    assert "is an AVI; the model takes MP4 or MOV" in (judge(b"RIFF", CLIP, "a.avi").problem or "")


@pytest.mark.parametrize(("size", "taken"), [(100, True), (101, False)])
def test_bytes_count_when_a_sound_is_limited(judge, size, taken):
    """A sound of the largest documented size is taken, one byte more is not."""
    assert (judge(b"ID3".ljust(size), SOUND, "a.mp3").file is not None) is taken


@pytest.mark.parametrize(
    ("media", "content", "words"),
    [
        (PICTURE, png(300, 300), None),
        (PICTURE, png(299, 300), "the data is 299 × 300 pixels"),
        (PICTURE, png(300, 300, 10_000_001), "the data has 10.000001 MB"),
        (PICTURE, drawn("WEBP"), "the data is a WEBP"),
        (BARE, png(300, 300, 90), None),
        (BARE, png(299, 300, 90), "the data is 299 × 300 pixels"),
        (BARE, drawn("GIF"), "the data is a GIF"),
    ],
)
def test_data_is_held_to_the_limits_when_it_stands_in_the_manifest(tmp_path, media, content, words):
    """A data URI or bare Base64 is a file like any other."""
    mime = "image/webp" if content[8:12] == b"WEBP" else "image/png"
    text = base64.b64encode(content).decode()
    text = text if media is BARE else f"data:{mime};base64,{text}"
    judged = MediaReader(tmp_path).judge(MediaValue("input.image_url", text, media))
    assert (judged.problem is None) if words is None else (words in (judged.problem or ""))


def test_file_becomes_an_object_when_the_model_wants_one(write, jobs):
    """Where Veo takes an object of Base64 and type, a path may stand in its place."""
    (job,) = jobs(
        write(
            "a.yaml",
            "jobs:\n- model: veo-3.1-generate-001\n  input: {prompt: x, image: pic.png}\n"
            "  parameters: {generate_audio: true}\n",
        )
    )
    assert [(file.field, file.form, file.mime) for file in job.files] == [("input.image", "object", "image/png")]


def test_file_becomes_an_object_when_a_cell_names_it(write, jobs):
    """A CSV cell under such a field is a path, or the object as JSON."""
    head = "model,prompt,image,generate_audio\n"
    named = "veo-3.1-generate-001,x,pic.png,true\n"
    whole = 'veo-3.1-generate-001,x,"{""bytesBase64Encoded"":""pic.png"",""mimeType"":""image/png""}",true\n'
    made = jobs(write("a.csv", head + named + whole))
    assert [job.files[0].field for job in made] == ["input.image", "input.image.bytesBase64Encoded"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://example.com/a.png", "the model takes no URL here"),
        ("data:image/png;base64,AAAA", "takes an object here: bytesBase64Encoded and mimeType, or a local file"),
        ("A" * 64, "takes an object here"),
    ],
)
def test_mend_is_said_when_something_else_stands_in_the_place_of_an_object(tmp_path, text, words):
    """A URL or bare data in the place of Veo's object is refused with its right form."""
    judged = MediaReader(tmp_path).judge(MediaValue("input.image", text, VEO))
    assert words in (judged.problem or "")
