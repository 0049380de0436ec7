"""Media values: URLs, data URIs, bare Base64 and files on this machine, each checked as far as it can be here."""

import functools
import io
import os
import re
import stat
from collections import OrderedDict
from typing import BinaryIO

from msgspec import Struct

from pipeline.catalog import Facts, Limits, Media, MediaValue, beyond_limits, listed, plain, shown
from pipeline.core.files import open_regular
from pipeline.core.jobs import LocalFile, MediaForm
from pipeline.core.patterns import pattern
from pipeline.manifest.digests import sha256

LARGEST_FILE = 14_900_000
"""Bytes of a file; in Base64, and with the rest of the request, it fills the 20 MB that a submit may have."""
REMEMBERED = 10_000
"""Files whose hash is kept, so that a picture named by many rows is read once."""

PUBLIC_HOST = pattern(
    r"https?://(?:[A-Za-z0-9-]+\.)+(?!(?:localhost|local|internal|lan)[:/])[a-z]{2,24}(?::[0-9]{1,4})?/"
)
"""How a URL on a public host begins; sound for every model that takes URLs."""
_SCHEME = pattern(r"([A-Za-z][A-Za-z0-9+.-]+):(/{1,2})")
_DATA = pattern(r"data:([A-Za-z0-9][\w.+-]*/[\w.+-]+)((?:;[\w.+-]+=[\w.+-]+)*);base64,", re.ASCII)
_NO_SCHEME = pattern(
    r"(//)?(www\.)?([A-Za-z0-9-]+\.)+(?!(?:png|jpe?g|webp|gif|bmp|mp4|mov|avi|mp3|wav)[:/])[A-Za-z]{2,24}(:\d+)?/.*|(//)?www\..*"
)
_BASE64 = pattern(r"[A-Za-z0-9+/]{64,}={0,2}")
_SUFFIX_MIMES = {
    ".mp4": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo",
    ".mp3": "audio/mpeg", ".wav": "audio/wav", ".m4a": "audio/mp4", ".aac": "audio/aac", ".ogg": "audio/ogg",
}  # fmt: skip
_KINDS = {
    "image": "a picture (PNG, JPEG, WebP, GIF or BMP)",
    "video": "a video (.mp4, .mov or .avi)",
    "audio": "sound (.mp3, .wav, .m4a, .aac or .ogg)",
}


class Judgement(Struct, frozen=True):
    """What a media value turned out to be."""

    file: LocalFile | None = None
    """Where it is a local file."""
    problem: str | None = None
    warning: str | None = None
    general: bool = False
    """The warning is about the field and not about this value: once is enough."""


class _Content(Struct, frozen=True):
    """What one look at a file's bytes told."""

    sha256: str
    bytes: int
    mime: str | None
    width: int | None = None
    """Pixels, where they were asked for and the header tells."""
    height: int | None = None


class MediaError(ValueError):
    """A local file that cannot be sent; the message says why."""


def _absolute(folder: str, text: str) -> str:
    from pathlib import Path  # which URLs do without

    return str((Path(folder) / text).absolute())


class MediaReader:
    """Judges media values; reads and hashes the local files among them."""

    def __init__(self, folder: str) -> None:
        self._absolute = functools.lru_cache(REMEMBERED)(functools.partial(_absolute, folder))
        self._known: OrderedDict[tuple[int | str, ...], _Content] = OrderedDict()

    def judge(self, value: MediaValue) -> Judgement:
        """Whether the value can be sent, and the file that it names if it names one."""
        text, media = value.text, value.media
        if not text.strip():
            return Judgement(problem="is empty; give a URL, a data URI or the path of a file")
        if text != text.strip():
            return Judgement(problem=f"{shown(text)} has blanks around it; remove them")
        if text[:5].lower() == "data:" or (media.form is MediaForm.OBJECT and _BASE64.fullmatch(text)):
            return _judge_data(text, media)
        if scheme := _SCHEME.match(text):
            return _judge_url(text, scheme[1].lower(), scheme[2], media)
        if media.takes_bare_base64 and _BASE64.fullmatch(text):
            return _judge_base64(text, media)
        return self._judge_path(value)

    def _judge_path(self, value: MediaValue) -> Judgement:
        media = value.media
        try:
            path = self._absolute(value.text)
            content = self._content(path, value.text, _asks_for_pixels(media.limits))
            _check_kind(content.mime, media.kind, value.text)
            _check_limits(media, Facts(content.mime, content.bytes, content.width, content.height), shown(value.text))
        except MediaError as error:
            return Judgement(problem=str(error))
        file = LocalFile(value.path, path, content.sha256, content.bytes, content.mime or "", media.form)
        warnings = (_doubt(media, f"a local file is sent as {_FORMS[media.form]}"), _unchecked(media, content))
        return Judgement(file, warning="; ".join(filter(None, warnings)) or None, general=True)

    def _content(self, path: str, text: str, measured: bool) -> _Content:
        try:
            status = os.stat(path)  # noqa: PTH116 - a Path for each of a million rows costs more than the call
            _check_file(status.st_mode, status.st_size, text)
            suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - as above
            # The file and not its name: one that is written in several ways, or linked, is hashed once.
            identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            key = (*identity, suffix, measured)
            if key not in self._known:
                with open(path, "rb", opener=open_regular) as stream:  # it may be another one since it was looked at
                    content = _look_at(stream, suffix, measured)
                _check_file(status.st_mode, content.bytes, text)
                self._known[key] = content
        except (FileNotFoundError, NotADirectoryError) as exc:
            raise MediaError(_no_file(text)) from exc
        except (OSError, ValueError) as exc:
            if isinstance(exc, MediaError):
                raise
            raise MediaError(
                f"{shown(text)} cannot be read: {getattr(exc, 'strerror', None) or 'no file has such a name'}"
            ) from exc
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]


_FORMS = {
    MediaForm.DATA_URI: "a data URI",
    MediaForm.BASE64: "bare Base64",
    MediaForm.OBJECT: "an object with its type",
}


def _doubt(media: Media, what: str) -> str | None:
    return f"{what}, and {media.doubt}: the service may refuse it" if media.doubt else None


def _check_file(mode: int, size: int, text: str) -> None:
    if stat.S_ISDIR(mode):
        raise MediaError(f"{shown(text)} is a directory; name a file in it")
    if not stat.S_ISREG(mode):
        raise MediaError(f"{shown(text)} is not a regular file")
    if size == 0:
        raise MediaError(f"{shown(text)} is an empty file")
    if size > LARGEST_FILE:
        raise MediaError(
            f"{shown(text)} has {size} bytes; the most that can be sent is {LARGEST_FILE / 10**6:g} MB, "
            "because the service takes requests of 20 MB; make it smaller or give a URL"
        )


def _check_limits(media: Media, facts: Facts, what: str) -> None:
    """Raises `MediaError` with everything that the model's documents do not allow."""
    beyond = list(beyond_limits(media.limits, facts))
    if beyond:
        raise MediaError(f"{what} {'; it '.join(beyond)}")


def _asks_for_pixels(limits: Limits) -> bool:
    return any(one is not None for one in (limits.min_side, limits.max_side, limits.aspect_min, limits.aspect_max))


def _unchecked(media: Media, content: _Content) -> str | None:
    """What the model limits and nobody here has looked at."""
    if (content.mime or "").startswith("image/"):
        unread = content.width is None and _asks_for_pixels(media.limits)
        return "its size in pixels cannot be read and was not checked" if unread else None
    unchecked = media.limits.unchecked
    return (
        f"its {listed(unchecked, 'and')} {'was' if len(unchecked) == 1 else 'were'} not checked" if unchecked else None
    )


def _pixels(stream: BinaryIO) -> tuple[int | None, int | None]:
    """Width and height of a picture, from its header."""
    import imagesize  # it loads an HTTP client, which a manifest of URLs does not need

    try:
        width, height = imagesize.get(stream)
    except Exception:  # noqa: BLE001  # whatever a strange header does to the library, the size is then not known
        return None, None
    return (width, height) if width > 0 and height > 0 else (None, None)


def _look_at(stream: BinaryIO, suffix: str, measured: bool) -> _Content:
    digest, size, start = sha256(), 0, b""
    while size <= LARGEST_FILE and (chunk := stream.read(1 << 20)):
        start = start or chunk[:16]
        digest.update(chunk)
        size += len(chunk)
    mime = _mime(start, suffix)
    stream.seek(0)
    width, height = _pixels(stream) if measured and (mime or "").startswith("image/") else (None, None)
    return _Content(digest.hexdigest(), size, mime, width, height)


def _mime(start: bytes, suffix: str) -> str | None:
    """Pictures by their first bytes, because names lie; the others by their suffix."""
    signatures = (
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"GIF8", "image/gif"),
        (b"BM", "image/bmp"),
    )
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for sign, mime in signatures if start.startswith(sign)), _SUFFIX_MIMES.get(suffix))


def _check_kind(mime: str | None, kind: str, text: str) -> None:
    if kind in _KINDS and not (mime or "").startswith(f"{kind}/"):
        found = f"; its content is {mime}" if mime else ""
        raise MediaError(f"{shown(text)} is not {_KINDS[kind]}{found}")
    if mime is None:
        raise MediaError(f"{shown(text)} is neither {_KINDS['image']} nor a video or sound file with a known suffix")


def _no_file(text: str) -> str:
    if _NO_SCHEME.fullmatch(text):
        url = f"https://{plain(text.lstrip('/'), 200)}"
        return f"{shown(text)} looks like a URL without a scheme; write {url} (there is no such file)"
    return f"there is no file {shown(text)}; paths are relative to the manifest's folder"


def _judge_url(text: str, scheme: str, slashes: str, media: Media) -> Judgement:
    if scheme == "file":
        rest = text.split(":", 1)[1].removeprefix("//").removeprefix("localhost")
        return Judgement(problem=f"file: URLs mean nothing to the service; write the path instead: {plain(rest, 200)}")
    if scheme not in ("http", "https"):
        return Judgement(
            problem=f"{plain(scheme)}: URLs cannot be fetched by the service; use http(s), a data URI or a local file"
        )
    if "url" not in media.forms:
        return Judgement(problem="the model takes no URL here; name a local file or give its Base64")
    if slashes != "//":
        return Judgement(problem=f"{shown(text)} is no URL; write {scheme}://")
    if re.search(r"[\s\\]", text):
        return Judgement(problem=f"{shown(text)} contains a blank or a backslash; write %20 for a blank")
    if PUBLIC_HOST.match(text):
        return Judgement()
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        return Judgement(problem=f"{shown(text)} is no URL: {plain(str(error))}")
    if not host or host.startswith("."):
        return Judgement(problem=f"{shown(text)} has no host; write https://example.com/…")
    return Judgement(warning=_unreachable(host))


def _unreachable(host: str) -> str | None:
    """Why the vendor's machines will probably not reach the host."""
    import ipaddress

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local = "." not in host.rstrip(".") or host.rstrip(".").endswith((".localhost", ".local", ".internal", ".lan"))
    else:
        local = not address.is_global
    return f"{plain(host)} is a private address: the service will not be able to fetch it" if local else None


def _judge_data(text: str, media: Media) -> Judgement:
    if media.form is MediaForm.OBJECT:
        return Judgement(problem="the model takes an object here: bytesBase64Encoded and mimeType, or a local file")
    head = _DATA.match(text)
    if head is None:
        return Judgement(
            problem=f"{shown(text[:40])} is no data URI; write data:image/png;base64,… with the right type"
        )
    if media.takes_bare_base64 and "base64_unspecified" not in media.forms:
        return Judgement(problem=f"the model takes bare Base64 here; leave out {shown(head[0])}")
    mime = head[1]
    if mime != mime.lower():
        return Judgement(problem=f"write the type in lower case: data:{mime.lower()};base64,…")
    if media.kind in _KINDS and not mime.startswith(f"{media.kind}/"):
        return Judgement(problem=f"the data URI holds {plain(mime)}; the model wants {_KINDS[media.kind]}")
    judged = _judge_base64(text[head.end() :], media, mime)
    doubt = None if "data_uri" in media.forms else _doubt(media, "this is a data URI")
    return judged if judged.problem else Judgement(warning=doubt, general=True)


def _judge_base64(text: str, media: Media, mime: str | None = None) -> Judgement:
    """The bytes inside the manifest: whether they are Base64, and within the model's limits."""
    if not text:
        return Judgement(problem="the data URI holds no data")
    import binascii

    try:
        content = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        return Judgement(problem=f"is not valid Base64: {plain(str(error)).lower()}")
    found = mime or _mime(content[:16], "")
    measured = _asks_for_pixels(media.limits) and (found or "").startswith("image/")
    width, height = _pixels(io.BytesIO(content)) if measured else (None, None)
    try:
        _check_limits(media, Facts(found, len(content), width, height), "the data")
    except MediaError as error:
        return Judgement(problem=str(error))
    return Judgement()
