"""Which URLs we open. Signed URLs go out byte for byte as they came in. Pure."""

import re
from urllib.parse import urljoin

from yarl import URL

from pipeline.core.errors import UnusableResultError

_LONGEST = 32_768
"""Characters; far above every signed URL, far below what makes a request line a burden."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_HTTP = re.compile(r"(https?://[^/?#]*)([^#]*)", re.IGNORECASE | re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STRAY_BYTE = re.compile(r"[\udc80-\udcff]")
"""Bytes of a header that are not UTF-8 arrive like this; they go back out as the bytes they were."""
_NOT_SENDABLE = re.compile(r"[^\x21-\x7e]+")


def checked_address(text: str) -> URL:
    """The URL as it will be sent: http or https, with a host, without user name and password.

    Nothing is normalised; only spaces and characters beyond ASCII, which no request line can carry, are
    percent-encoded as browsers do. Raises `UnusableResultError` with the code `bad_url`.
    """
    if not isinstance(text, str) or len(text) > _LONGEST or _CONTROLS.search(text):
        raise _bad_url(text, "is not a URL")
    match = _HTTP.match(text)
    if not match:
        raise _bad_url(text, "is not an http or https URL with a host")
    origin, rest = match.groups()
    if "@" in origin:
        raise _bad_url(origin.split("//")[0], "result URL carries a user name or password, which we never send")
    try:
        address = URL(origin + _NOT_SENDABLE.sub(_percent_encoded, rest), encoded=True)
        reachable = not _NOT_SENDABLE.search(origin) and bool(address.host) and address.port != 0
    except ValueError as exc:
        raise _bad_url(text, "is not a well-formed URL") from exc
    if not reachable:
        raise _bad_url(text, "names no host that can be reached")
    return address


def redirect_address(base: URL, location: str) -> URL:
    """Where a `Location` header leads; checked like every other address."""
    location = _STRAY_BYTE.sub(lambda stray: f"%{ord(stray[0]) - 0xDC00:02X}", location)
    if _SCHEME.match(location):
        return checked_address(location)
    try:
        joined = urljoin(str(base), location)
    except ValueError as exc:
        raise _bad_url(location, "is not a place that a redirect can lead to") from exc
    return checked_address(joined)


def same_object(one: str, other: str) -> bool:
    """Whether two URLs differ in nothing but their query: then they are two signatures for one stored object."""
    return one.partition("?")[0] == other.partition("?")[0]


def _percent_encoded(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def _bad_url(text: object, complaint: str) -> UnusableResultError:
    shown = repr(text)
    shown = shown if len(shown) <= 100 else shown[:100] + "…"
    return UnusableResultError(f"{shown} {complaint}", code="bad_url")
