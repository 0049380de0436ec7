"""Media values: URLs, data URIs, bare Base64 and files on this machine, each checked as far as it can be here."""

import binascii
import hashlib
import ipaddress
import re
import stat
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from pipeline.catalog import Media, MediaValue, plain, shown
from pipeline.core.jobs import LocalFile, MediaForm

LARGEST_FILE = 50_000_000
"""Bytes; the largest picture that any model documents."""
REMEMBERED = 10_000
"""Files whose hash is kept, so that a picture named by many rows is read once."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/{1,2})")
_DATA = re.compile(r"data:([A-Za-z0-9][\w.+-]*/[\w.+-]+)((?:;[\w.+-]+=[\w.+-]+)*);base64,", re.ASCII)
_NO_SCHEME = re.compile(
    r"(//)?(www\.)?([A-Za-z0-9-]+\.)+(?!(?:png|jpe?g|webp|gif|bmp|mp4|mov|avi|mp3|wav)[:/])[A-Za-z]{2,24}(:\d+)?/.*|(//)?www\..*"
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{64,}={0,2}")
_SUFFIX_MIMES = {
    ".mp4": "video/mp4", ".mov": "video/quicktime", ".avi": "video/x-msvideo",
    ".mp3": "audio/mpeg", ".wav": "audio/wav", ".m4a": "audio/mp4", ".aac": "audio/aac", ".ogg": "audio/ogg",
}  # fmt: skip
_KINDS = {
    "image": "a picture (PNG, JPEG, WebP, GIF or BMP)",
    "video": "a video (.mp4, .mov or .avi)",
    "audio": "sound (.mp3, .wav, .m4a, .aac or .ogg)",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a media value turned out to be."""

    file: LocalFile | None = None
    """Where it is a local file."""
    problem: str | None = None
    warning: str | None = None
    general: bool = False
    """The warning is about the field and not about this value: once is enough."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What one look at a file's bytes told."""

    sha256: str
    bytes: int
    mime: str | None


class MediaError(ValueError):
    """A local file that cannot be sent; the message says why."""


class MediaReader:
    """Judges media values; reads and hashes the local files among them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: OrderedDict[tuple[str, int, int], _Content] = OrderedDict()

    def judge(self, value: MediaValue) -> Judgement:
        """Whether the value can be sent, and the file that it names if it names one."""
        text, media = value.text, value.media
        if not text.strip():
            return Judgement(problem="is empty; give a URL, a data URI or the path of a file")
        if text != text.strip():
            return Judgement(problem=f"{shown(text)} has blanks around it; remove them")
        if text[:5].lower() == "data:":
            return _judge_data(text, media)
        if scheme := _SCHEME.match(text):
            return _judge_url(text, scheme[1].lower(), scheme[2], media)
        if media.takes_bare_base64 and _BASE64.fullmatch(text):
            return Judgement(problem=_base64_complaint(text))
        return self._judge_path(value)

    def _judge_path(self, value: MediaValue) -> Judgement:
        try:
            path = (self._folder / value.text).absolute()
            content = self._content(path, value.text)
            _check_kind(content.mime, value.media.kind, value.text)
        except MediaError as error:
            return Judgement(problem=str(error))
        form = value.media.form
        mime = content.mime or ""
        file = LocalFile(value.path, str(path), content.sha256, content.bytes, mime, form)
        return Judgement(file, warning=_doubt(value.media, f"a local file is sent as {_FORMS[form]}"), general=True)

    def _content(self, path: Path, text: str) -> _Content:
        try:
            status = path.stat()
            _check_file(status.st_mode, status.st_size, text)
            key = (str(path), status.st_size, status.st_mtime_ns)
            if key not in self._known:
                with path.open("rb") as stream:
                    self._known[key] = _look_at(stream, path.suffix.lower())
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


_FORMS = {MediaForm.DATA_URI: "a data URI", MediaForm.BASE64: "bare Base64"}


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
        raise MediaError(f"{shown(text)} has {size} bytes; the most that can be sent is {LARGEST_FILE // 10**6} MB")


def _look_at(stream: BinaryIO, suffix: str) -> _Content:
    digest, size, start = hashlib.sha256(), 0, b""
    while chunk := stream.read(1 << 20):
        start = start or chunk[:16]
        digest.update(chunk)
        size += len(chunk)
    return _Content(digest.hexdigest(), size, _mime(start, suffix))


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
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local = "." not in host.rstrip(".") or host.rstrip(".").endswith((".localhost", ".local", ".internal", ".lan"))
    else:
        local = not address.is_global
    return f"{plain(host)} is a private address: the service will not be able to fetch it" if local else None


def _judge_data(text: str, media: Media) -> Judgement:
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
    problem = _base64_complaint(text[head.end() :])
    doubt = None if "data_uri" in media.forms else _doubt(media, "this is a data URI")
    return Judgement(problem=problem, warning=doubt, general=True)


def _base64_complaint(text: str) -> str | None:
    if not text:
        return "the data URI holds no data"
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        return f"is not valid Base64: {plain(str(error)).lower()}"
    return None
