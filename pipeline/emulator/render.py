"""Makes the clips: a slow camera move over the job's picture, as real H.264 (extra `[emulator]`: PyAV, Pillow)."""

import base64
import binascii
import io
import math
import re
import struct
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

from pipeline.emulator.scenery import draw_scene

FRAMES_PER_SECOND = 24
_BT709, _LIMITED_RANGE = 1, 1  # FFmpeg's numbers; untagged files look different from browser to browser
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*")


class BadPictureError(Exception):
    """The bytes are no picture that can be used."""


# -- the picture that was sent


def picture_bytes(value: str) -> bytes | None:
    """The bytes of a data URI or of bare Base64; None for a URL, which is not fetched. Raises `BadPictureError`."""
    if re.match(r"https?://", value, re.IGNORECASE):
        return None
    if value[:5].lower() == "data:":
        head, _, value = value.partition(",")
        if not head.lower().endswith(";base64"):
            raise BadPictureError("invalid image")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPictureError("invalid image") from error


def check_picture(content: bytes) -> None:
    """Raises `BadPictureError` where the bytes cannot be decoded, or would decode to something far too large.

    Without Pillow only the first bytes are looked at.
    """
    try:
        from PIL import Image
    except ImportError:
        if not content.startswith(_SIGNATURES):
            raise BadPictureError("invalid image") from None
        return
    _open(Image, content, (64, 64))


def _open(image: Any, content: bytes, size: tuple[int, int]) -> Any:
    """The decoded picture in RGB, upright; `size` lets a large JPEG be decoded smaller, never below it."""
    from PIL import ImageOps

    try:
        picture = image.open(io.BytesIO(content))
        bomb = picture.width * picture.height > image.MAX_IMAGE_PIXELS
        picture.draft("RGB", (size[0] * 2, size[1] * 2))
        upright = picture if bomb else ImageOps.exif_transpose(picture).convert("RGB")
    except Exception as error:  # a damaged picture makes Pillow raise anything, from OSError to SyntaxError
        raise BadPictureError("invalid image") from error
    if bomb:
        raise BadPictureError("invalid image")
    return upright


# -- the camera


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera looks: magnification, and position from -1 (left, top) to 1 (right, bottom)."""

    zoom: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Move:
    """A camera move from one view to another. `arc` bends it; `sway` is the unrest of a hand."""

    start: View
    end: View
    arc: float = 0.0
    sway: float = 0.0

    def at(self, progress: float) -> View:
        """The view at a progress from 0 to 1, gently started and gently ended."""
        eased = 0.5 - 0.5 * math.cos(math.pi * progress)
        zoom = self.start.zoom * (self.end.zoom / self.start.zoom) ** eased
        x = self.start.x + (self.end.x - self.start.x) * eased + self.sway * math.sin(5.1 * progress)
        y = self.start.y + (self.end.y - self.start.y) * eased + self.sway * math.sin(3.7 * progress + 1.0)
        return View(zoom, _within(x), _within(y + self.arc * math.sin(math.pi * progress)))


_TRAVEL = (
    r"\b(?:pan|truck|track|drift|slid|glid|sweep|swing|doll|mov|travel|tilt|crane|boom|ris|float)(?:\w*)\b[^.;,]{0,30}?"
)


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_LEFT = _words(_TRAVEL + r"\bleft\b(?! to right)", r"\bright to left\b", r"\bleftwards?\b")
_RIGHT = _words(_TRAVEL + r"\bright\b(?! to left)", r"\bleft to right\b", r"\brightwards?\b", r"\bcamera follows\b")
_UP = _words(_TRAVEL + r"\bup(?:wards?)?\b", r"\bcamera (?:rises|climbs|ascends)\b")
_DOWN = _words(_TRAVEL + r"\bdown(?:wards?)?\b", r"\bcamera (?:sinks|descends|lowers)\b")
_IN = _words(
    r"\b(?:zoom|doll|push|mov|track)\w*\b[^.;,]{0,12}?\bin\b", r"\bcloser\b", r"\bclose[- ]?up\b", r"\btowards\b"
)
_OUT = _words(r"\b(?:zoom|doll|pull|mov|track)\w*\b[^.;,]{0,12}?\b(?:out|back|away)\b", r"\breveals?\b")
_AROUND = _words(r"\borbit", r"\bcircl(?:es|ing)\b", r"\barcs\b", r"\baround\b")


def read_move(prompt: str, seed: int) -> Move:
    """The camera move that a prompt asks for; a slow approach with a slight drift where it asks for none."""
    across = bool(_RIGHT.search(prompt)) - bool(_LEFT.search(prompt))
    down = bool(_DOWN.search(prompt)) - bool(_UP.search(prompt))
    depth = bool(_IN.search(prompt)) - bool(_OUT.search(prompt))
    sway = 0.03
    if _AROUND.search(prompt):
        side = across or 1
        return Move(View(1.22, -0.85 * side, 0.3), View(1.34, 0.85 * side, 0.3), arc=-0.7, sway=sway)
    if not (across or down or depth):
        dice = Random(f"{seed}:{prompt}")  # noqa: S311 - a drift wants to be repeatable, not secret
        return Move(View(1.04, 0, 0), View(1.16, dice.uniform(-0.6, 0.6), dice.uniform(-0.4, 0.4)), sway=sway)
    wide = 1.2 if across or down else 1.0
    near, far = wide * 1.28, wide
    zooms = {1: (far, near), -1: (near, far), 0: (far, far)}[depth]
    return Move(View(zooms[0], -0.9 * across, -0.9 * down), View(zooms[1], 0.9 * across, 0.9 * down), sway=sway)


def _within(value: float) -> float:
    return max(-1.0, min(1.0, value))


# -- the clip


@dataclass(frozen=True, slots=True)
class Order:
    """A clip to be made."""

    prompt: str
    size: tuple[int, int]
    """Pixels for a landscape picture; a portrait one turns it."""
    duration: int
    """Seconds that were bought; the clip lasts three fifths of it, from 2 to 5 s."""
    seed: int
    origin: str
    """Where the picture comes from; a scene drawn from it stands in where there are no bytes."""

    @property
    def frames(self) -> int:
        """How many frames the clip has."""
        return round(FRAMES_PER_SECOND * max(2.0, min(5.0, 0.6 * self.duration)))


def render(order: Order, picture: bytes | None, target: Path) -> bool:
    """Make the clip as an MP4 with its index in front; about a second of CPU.

    False where the extra is not installed, or where the libraries that are cannot make it.
    Raises `BadPictureError`.
    """
    try:
        import av
        from PIL import Image
    except ImportError:
        return False
    still = _open(Image, picture, order.size) if picture else draw_scene(order.origin, order.size)
    size = order.size if still.width >= still.height else (order.size[1], order.size[0])
    try:
        _encode(av, _fit(still, size), order, size, target)
    except av.error.FFmpegError:  # such as a build of FFmpeg without an H.264 encoder
        return False
    return True


def _encode(av: Any, still: Any, order: Order, size: tuple[int, int], target: Path) -> None:
    move = read_move(order.prompt, order.seed)
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = _stream(container, size)
        for number in range(order.frames):
            picture = _look(still, move.at(number / (order.frames - 1)), size)
            frame = av.VideoFrame.from_image(picture)
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _stream(container: Any, size: tuple[int, int]) -> Any:
    stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"preset": "veryfast", "crf": "22"})
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.thread_count = 1  # the same bytes on every machine, and the other core for the batch
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _fit(still: Any, size: tuple[int, int]) -> Any:
    """The largest part with the aspect of the clip, at a resolution that the nearest view can use."""
    from PIL import Image, ImageOps

    most = max(1.0, min(1.35, still.width / size[0], still.height / size[1]))
    return ImageOps.fit(still, (round(size[0] * most), round(size[1] * most)), Image.Resampling.LANCZOS)


def _look(still: Any, view: View, size: tuple[int, int]) -> Any:
    """One frame. The box keeps its fractions of a pixel, so that a slow move does not jitter."""
    from PIL import Image

    width, height = still.width / view.zoom, still.height / view.zoom
    left, top = (still.width - width) * (1 + view.x) / 2, (still.height - height) * (1 + view.y) / 2
    return still.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


# -- where nothing can be rendered


@cache
def _tiny() -> bytes:
    return files("pipeline.emulator").joinpath("tiny.mp4").read_bytes()


def tiny_clip(mark: str) -> bytes:
    """The clip that ships with the package; a `free` box with the mark at its end tells one task's from another's."""
    note = mark.encode()
    return _tiny() + struct.pack(">I4s", 8 + len(note), b"free") + note
