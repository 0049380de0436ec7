"""The camera and its clips."""

import io
import itertools
import struct
import sys
import zlib

import av
import pytest
from PIL import Image

from pipeline.emulator.render import BadPictureError, Order, check_picture, picture_bytes, read_move, render, tiny_clip
from pipeline.emulator.scenery import draw_scene


@pytest.mark.parametrize(
    ("prompt", "across", "down", "closer"),
    [
        ("camera pans left", -1, 0, 0),
        ("the camera slowly pans to the right, birds rise", 1, 0, 0),
        ("Pan Right.", 1, 0, 0),
        ("camera tilts up to the stars", 0, -1, 0),
        ("camera pans down the tower", 0, 1, 0),
        ("zoom in on the robot", 0, 0, 1),
        ("slow dolly in, rain on the window", 0, 0, 1),
        ("the camera pulls back", 0, 0, -1),
        ("zooming out while the camera moves left", -1, 0, -1),
        ("camera drifts from left to right", 1, 0, 0),
        ("camera drifts from right to left", -1, 0, 0),
        ("the left hand waves", 0, 0, 1),
        ("", 0, 0, 1),
    ],
)
def test_camera_moves_as_told_when_the_prompt_says_how(prompt, across, down, closer):
    """Direction words beside a camera word steer the move; without any, the camera slowly comes closer."""
    move = read_move(prompt, 1)
    start, end = move.at(0.0), move.at(1.0)
    if across or down:
        assert (round(end.x - start.x) > 0) - (round(end.x - start.x) < 0) == across
        assert (round(end.y - start.y) > 0) - (round(end.y - start.y) < 0) == down
    assert (end.zoom > start.zoom) - (end.zoom < start.zoom) == closer


def test_camera_goes_around_when_the_prompt_says_orbit():
    """An orbit sweeps across on an arc."""
    move = read_move("the camera orbits the lighthouse", 1)
    assert move.at(1.0).x - move.at(0.0).x > 1
    assert move.at(0.5).y < move.at(0.0).y - 0.3


def test_view_stays_inside_when_the_camera_moves():
    """No view leaves the picture, and no step is a jump."""
    for prompt in ("pan left", "orbit", "zoom out", "camera tilts up, zoom in", "", "pan right and down"):
        views = [read_move(prompt, 3).at(number / 71) for number in range(72)]
        assert all(view.zoom >= 1 and abs(view.x) <= 1 and abs(view.y) <= 1 for view in views)
        steps = [abs(a.x - b.x) + abs(a.y - b.y) for a, b in itertools.pairwise(views)]
        assert max(steps) < 0.15


def test_clip_lasts_longer_when_more_seconds_are_bought():
    """Three fifths of the seconds bought, within two and five."""
    frames = [Order("", (832, 480), duration, 0, "").frames for duration in (1, 5, 8, 600)]
    assert frames == [48, 72, 115, 120]


def test_scene_is_the_same_when_its_origin_is():
    """A picture known by its URL alone is drawn, always the same, never like another."""
    first, again, other = (draw_scene(origin, (64, 36)).tobytes() for origin in ("http://a", "http://a", "http://b"))
    assert first == again != other


def test_picture_is_left_alone_when_it_is_a_url():
    """A URL is not fetched."""
    assert picture_bytes("https://example.com/a.jpg") is None
    assert picture_bytes("data:image/png;base64,QUJD") == picture_bytes("QUJD") == b"ABC"


def test_picture_is_refused_when_it_is_a_bomb():
    """A few bytes that would decode to far too many pixels are no picture."""
    side = 20_000
    assert side * side > (Image.MAX_IMAGE_PIXELS or 0)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    with pytest.raises(BadPictureError):
        check_picture(b"\x89PNG\r\n\x1a\n" + body)


def test_picture_passes_when_it_is_a_picture():
    """Grey, transparent and indexed pictures of every size are pictures."""
    for mode, size in (("L", (1, 1)), ("RGBA", (3, 900)), ("P", (640, 480))):
        target = io.BytesIO()
        Image.new(mode, size).save(target, "PNG")
        check_picture(target.getvalue())


def test_tiny_clip_is_unlike_another_when_its_mark_is():
    """The mark sits in a box of its own behind the same video."""
    assert tiny_clip("a-0") != tiny_clip("b-0")
    assert tiny_clip("a-0").endswith(b"freea-0")


def test_clip_stands_upright_when_its_picture_does(tmp_path):
    """A portrait picture makes a portrait clip of the same resolution."""
    target = io.BytesIO()
    Image.linear_gradient("L").resize((90, 160)).save(target, "PNG")
    assert render(Order("", (832, 480), 1, 0, ""), target.getvalue(), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.frames, stream.pix_fmt) == (480, 832, 48, "yuv420p")


def test_nothing_is_rendered_when_the_extra_is_missing(tmp_path, monkeypatch):
    """Without Pillow and PyAV there is no clip to make, and pictures are known by their first bytes alone."""
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "av", None)
    assert not render(Order("", (832, 480), 5, 0, "http://a"), None, tmp_path / "clip.mp4")
    check_picture(b"\xff\xd8\xff and so on")
    with pytest.raises(BadPictureError):
        check_picture(b"hello")
