"""What the first bytes of a file say, and where an MP4 ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.videos.kinds import OPENING_BYTES, boxes_close, excerpt, kind_of


def box(name, content=b""):
    return struct.pack(">I4s", 8 + len(content), name) + content


def wide_box(name, content=b""):
    return struct.pack(">I4sQ", 1, name, 16 + len(content)) + content


WHOLE = box(b"ftyp", b"isom0000") + box(b"moov", b"x" * 20) + box(b"mdat", b"y" * 50)


def closes(data, **how):
    return boxes_close(lambda offset, count: data[offset : offset + count], len(data), **how)


@pytest.mark.parametrize(
    ("opening", "kind"),
    [
        (WHOLE, "mp4"),
        (box(b"moov", b"x"), "mp4"),
        (struct.pack(">I4s", 1, b"mdat"), "mp4"),
        (box(b"wide") + box(b"mdat"), "mp4"),
        (b"\x1aE\xdf\xa3\x01", "matroska"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "avi"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "wav"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "webp"),
        (b"GIF89a", "gif"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90", "mp3"),
        (b"\xff\xf1\x50", "aac"),
        (b"OggS\x00", "ogg"),
        ((b"G" + b"\x00" * 187) * 2, "mpegts"),
    ],
)
def test_media_is_recognised_when_its_first_bytes_are_known(opening, kind):
    """Videos, and the pictures and sound that the same API returns, are known by their first bytes."""
    assert kind_of(opening) == kind


@pytest.mark.parametrize(
    "opening",
    [
        b"",
        b"<!DOCTYPE html>",
        b'{"error": "expired"}',
        b"<?xml version='1.0'?><Error/>",
        b"plain text",
        b"    free text that only looks like a box",
        b"\xff\xfeh\x00t\x00m\x00l\x00",
        b"\xef\xbb\xbf<html>",
        b"\x1f\x8b\x08\x00",
        b"PK\x03\x04",
        b"RIFF\x00\x00\x00\x00JUNK",
        b"RIFF",
        b"G" * 100,
        b"\x00" * OPENING_BYTES,
        b"\xff",
    ],
)
def test_nothing_is_recognised_when_the_bytes_are_no_media(opening):
    """Pages, data, text in any encoding, archives and zeros are no videos."""
    assert kind_of(opening) is None


@given(st.text(max_size=600))
def test_page_is_never_recognised_when_it_begins_with_a_tag_or_a_brace(text):
    """Whatever follows, an HTML, XML or JSON opening is no video."""
    for first in "<{[":
        assert kind_of((first + "!-- " + text).encode("utf-8", "surrogatepass")) is None


@given(st.binary(max_size=OPENING_BYTES))
def test_first_bytes_never_fail_when_they_are_junk(opening):
    """Junk has an answer, and its excerpt is bounded and printable."""
    kind_of(opening)
    assert excerpt(opening).isprintable()
    assert len(excerpt(opening)) <= 121


def test_excerpt_has_no_controls_when_the_page_has():
    """A hostile page cannot write to a terminal through our error message."""
    assert excerpt(b"<html>\r\n\x1b[31m\xe2\x80\xae bad\x00</html>") == "<html> [31m bad </html>"


def test_boxes_close_when_the_file_is_whole():
    """The walk ends exactly at the end, also through a box of 64-bit length."""
    assert closes(WHOLE)
    assert closes(box(b"ftyp", b"isom") + wide_box(b"mdat", b"y" * 9) + box(b"moov"))


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_boxes_do_not_close_when_the_file_is_cut_anywhere(cut):
    """No proper beginning of a whole file passes for one."""
    assert not closes(WHOLE[:cut])


@pytest.mark.parametrize(
    "data",
    [
        WHOLE + b"\x00",
        box(b"ftyp") + box(b"mdat", b"y"),
        box(b"ftyp") + box(b"moov"),
        box(b"moov") + struct.pack(">I4s", 0, b"mdat") + b"to the end",
        box(b"moov") + struct.pack(">I4s", 7, b"mdat"),
        box(b"moov") + struct.pack(">I4sQ", 1, b"mdat", 15),
        box(b"moov") + struct.pack(">I4s", 1, b"mdat"),
    ],
)
def test_boxes_do_not_close_when_nothing_shows_the_end(data):
    """Trailing bytes, a missing index or media box, an open-ended or an impossible length show no end."""
    assert not closes(data)


OPEN_ENDED = box(b"ftyp", b"isom") + box(b"moov") + struct.pack(">I4s", 0, b"mdat") + b"to the end"
FRAGMENTED = box(b"ftyp", b"isom") + box(b"moov") + (box(b"moof", b"m") + box(b"mdat", b"y" * 9)) * 3 + box(b"mfra")


@pytest.mark.parametrize(
    "data",
    [WHOLE, FRAGMENTED, FRAGMENTED[:-8], OPEN_ENDED, box(b"ftyp", b"avif") + box(b"meta", b"x") + box(b"mdat", b"y")],
)
def test_boxes_close_when_the_end_is_told_otherwise_and_nothing_speaks_against_it(data):
    """Fragments, a picture's boxes and a last box that reaches to the end are whole where the end is known."""
    assert closes(data, open_end=True)
    assert closes(data) is (data != OPEN_ENDED)


@pytest.mark.parametrize(
    "data",
    [
        WHOLE[:-1],
        FRAGMENTED[:-9],
        OPEN_ENDED[: OPEN_ENDED.index(b"mdat")],
        box(b"ftyp") + box(b"moov"),
        box(b"ftyp") + struct.pack(">I4s", 0, b"mdat") + b"to the end",
    ],
)
def test_boxes_do_not_close_when_a_box_is_cut_although_the_end_is_told(data):
    """A last box that names its length must have it, and an index or media data must not be missing."""
    assert not closes(data, open_end=True)


def test_walk_gives_up_when_the_boxes_are_hostile():
    """A file of a million empty boxes costs a bounded time."""
    asked = []

    def read_at(offset, count):
        asked.append(offset)
        return box(b"free")

    assert not boxes_close(read_at, 8_000_000)
    assert len(asked) == 100_000


@given(st.binary(max_size=200))
def test_walk_never_fails_when_the_file_is_junk(data):
    """Junk does not close, and does not fail."""
    assert closes(data) in {True, False}
    assert closes(data, open_end=True) in {True, False}
