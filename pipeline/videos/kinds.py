"""What the first bytes of a file say, and whether an MP4 ends where it should. Pure."""

import struct
from collections.abc import Callable

OPENING_BYTES = 512
"""How much of the beginning is looked at: enough for two packets of an MPEG transport stream."""

_SIGNATURES = (
    (b"\x1aE\xdf\xa3", "matroska"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"ID3", "mp3"),
    (b"FLV\x01", "flv"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x00\x00\x01\xb3", "mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)
_RIFF = {b"AVI ": "avi", b"WAVE": "wav", b"WEBP": "webp"}
_FIRST_BOXES = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip"})
_MP3_FRAMES = frozenset({0xFB, 0xFA, 0xF3, 0xF2, 0xE3, 0xE2})
_AAC_FRAMES = frozenset({0xF1, 0xF9})
_TS_PACKET = 188
_PRINTABLE_BYTE = 0x20
"""A size field that begins with a smaller byte cannot be the beginning of a text."""
_INDICES = frozenset({b"moov", b"meta"})
_MOST_BOXES = 100_000
_EXCERPT_CHARACTERS = 120


def kind_of(opening: bytes) -> str | None:
    """The kind of media that begins with these bytes, such as `mp4`, or None where it is none that we know.

    Pictures and sound count: the same task API returns them too.
    """
    boxed = _boxed(opening)
    if boxed is not None:  # which nearly every video is
        return boxed
    for signature, kind in _SIGNATURES:
        if opening.startswith(signature):
            return kind
    if opening[:4] == b"RIFF":
        return _RIFF.get(opening[8:12])
    return _framed(opening)


def _boxed(opening: bytes) -> str | None:
    name = opening[4:8]
    if name == b"ftyp" or (name in _FIRST_BOXES and opening[0] < _PRINTABLE_BYTE):
        return "mp4"
    return None


def _framed(opening: bytes) -> str | None:
    if len(opening) > 1 and opening[0] == 0xFF:
        return "mp3" if opening[1] in _MP3_FRAMES else "aac" if opening[1] in _AAC_FRAMES else None
    if len(opening) > _TS_PACKET and opening[0] == 0x47 and opening[_TS_PACKET] == 0x47:
        return "mpegts"
    return None


def excerpt(opening: bytes) -> str:
    """The beginning in readable characters, for an error message: no controls, no line breaks, bounded."""
    text = opening[: 4 * _EXCERPT_CHARACTERS].decode("utf-8", "replace")
    words = "".join(character if character.isprintable() else " " for character in text).split()
    shown = " ".join(words)
    return shown if len(shown) <= _EXCERPT_CHARACTERS else shown[:_EXCERPT_CHARACTERS] + "…"


def boxes_close(read_at: Callable[[int, int], bytes], size: int, *, open_end: bool = False) -> bool:
    """Whether the top-level boxes of an MP4 end exactly at `size`, with an index and media data among them.

    This is the only sign of a whole file where an answer names no length. `open_end` allows a last box that reaches
    "to the end of the file": it shows nothing, so it is allowed only where something else tells that the end has come.
    What this cannot see is a fragmented MP4 that was cut exactly between two fragments. `read_at(offset, count)` gives
    bytes of the file. Layout: ISO/IEC 14496-12 §4.2; pictures have `meta` for an index.
    """
    offset, seen = 0, set[bytes]()
    for _ in range(_MOST_BOXES):
        if offset >= size:
            break
        length, name = _box(read_at(offset, 16), size - offset if open_end else 0)
        if length == 0:
            return False
        seen.add(name)
        offset += length
    return offset == size and b"mdat" in seen and not seen.isdisjoint(_INDICES)


def _box(header: bytes, rest: int) -> tuple[int, bytes]:
    """Length (bytes, header included) and name of a box; length 0 where it has no usable one.

    `rest` is the length of a box that reaches to the end of the file.
    """
    if len(header) < 8:
        return 0, b""
    length, name = struct.unpack(">I4s", header[:8])
    smallest = 8
    if length == 0:
        length = rest
    elif length == 1 and len(header) == 16:
        (length,) = struct.unpack(">Q", header[8:])
        smallest = 16
    return (length if length >= smallest else 0), name
