"""What a file may be that a model takes: format, bytes, pixels, shape; pure."""

from collections.abc import Iterator

from msgspec import Struct

_NAMES = {
    "image/jpeg": "jpeg", "image/png": "png", "image/webp": "webp", "image/gif": "gif", "image/bmp": "bmp",
    "video/mp4": "mp4", "video/quicktime": "mov", "video/x-msvideo": "avi", "audio/mpeg": "mp3", "audio/mp3": "mp3",
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/mp4": "m4a", "audio/x-m4a": "m4a", "audio/aac": "aac",
    "audio/ogg": "ogg", "audio/x-ms-wma": "wma", "image/jpg": "jpeg",
}  # fmt: skip
"""The word that `formats` uses for a MIME type."""
_ROUNDING = 1e-9
"""So that a picture of exactly 2:5 does not fail because 0.4 is no binary number."""


class Limits(Struct, frozen=True):
    """What the documents allow; a megabyte is a million bytes."""

    formats: tuple[str, ...] = ()
    max_bytes: int | None = None
    max_encoded_bytes: int | None = None
    """Of what is sent as Base64, before it is encoded."""
    max_request_bytes: int | None = None
    min_side: int | None = None
    """Pixels, of the shorter side."""
    max_side: int | None = None
    """Pixels, of the longer side."""
    aspect_min: float | None = None
    """Width divided by height."""
    aspect_max: float | None = None
    min_seconds: float | None = None
    max_seconds: float | None = None
    others: tuple[str, ...] = ()
    """Further limits in words, which are not checked here."""

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What of a video or a sound is not looked at, in words."""
        length = self.min_seconds is not None or self.max_seconds is not None
        sides = self.min_side is not None or self.max_side is not None
        return (*(["length"] if length else []), *(["sides"] if sides else []), *self.others)


UNLIMITED = Limits()


class Facts(Struct, frozen=True):
    """What is known of a file that is to travel inside a request; None is what is not known."""

    mime: str | None = None
    bytes: int | None = None
    width: int | None = None
    """Pixels."""
    height: int | None = None


def beyond_limits(limits: Limits, facts: Facts) -> Iterator[str]:
    """What a file has too much or too little of, each with what would be right."""
    name = _NAMES.get(facts.mime or "", facts.mime)
    if limits.formats and name is not None and name not in {_plain_format(one) for one in limits.formats}:
        allowed = list(dict.fromkeys(_plain_format(one).upper() for one in limits.formats))
        yield f"is {_article(name.upper())}; the model takes {', '.join(allowed[:-1])} or {allowed[-1]}"
    if facts.bytes is not None:
        yield from _beyond_bytes(limits, facts.bytes)
    if facts.width and facts.height:
        yield from _beyond_pixels(limits, facts.width, facts.height)


def _beyond_bytes(limits: Limits, size: int) -> Iterator[str]:
    if limits.max_bytes is not None and size > limits.max_bytes:
        yield f"has {_megabytes(size)}; the model takes at most {_megabytes(limits.max_bytes)}"
    if limits.max_encoded_bytes is not None and size > limits.max_encoded_bytes:
        yield (
            f"has {_megabytes(size)}; the model takes at most {_megabytes(limits.max_encoded_bytes)} inside the "
            "request; make it smaller or give a URL"
        )
    if limits.max_request_bytes is not None and (size + 2) // 3 * 4 > limits.max_request_bytes:
        yield (
            f"has {_megabytes(size)}, a third more in Base64; the model takes requests of at most "
            f"{_megabytes(limits.max_request_bytes)}; make it smaller or give a URL"
        )


def _beyond_pixels(limits: Limits, width: int, height: int) -> Iterator[str]:
    shape = f"is {width} × {height} pixels"
    if limits.min_side is not None and min(width, height) < limits.min_side:
        yield f"{shape}; the model wants at least {limits.min_side} on the shorter side"
    if limits.max_side is not None and max(width, height) > limits.max_side:
        yield f"{shape}; the model takes at most {limits.max_side} on the longer side"
    if limits.aspect_min is not None and width < limits.aspect_min * height * (1 - _ROUNDING):
        yield f"{shape}, width to height {width / height:.4g}; the model wants at least {limits.aspect_min:g}"
    if limits.aspect_max is not None and width > limits.aspect_max * height * (1 + _ROUNDING):
        yield f"{shape}, width to height {width / height:.4g}; the model takes at most {limits.aspect_max:g}"


def _plain_format(name: str) -> str:
    return "jpeg" if name == "jpg" else name


def _megabytes(size: int) -> str:
    text = f"{size / 10**6:.6f}".rstrip("0").rstrip(".")
    return f"{text} MB"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEFHILMNORSX' else 'a'} {name}"
