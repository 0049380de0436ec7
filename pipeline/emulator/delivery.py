"""Which bytes of a file a request gets (`Range`, `If-Range`: RFC 9110 §13.1.5, §14), and what a rule cuts off."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.emulator.scenario import Trouble

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a file and how it is announced."""

    status: int
    """200 whole, 206 partial, 416 nothing there."""
    start: int
    stop: int
    """The byte after the last one that is sent."""
    headers: Mapping[str, str]


def choose(length: int, etag: str, wanted: str | None, if_range: str | None, rule: Trouble | None = None) -> Part:
    """The part of a file of `length` bytes that answers the headers `Range` and `If-Range`."""
    ranged = rule is None or rule.do != "no_range"
    headers = {"ETag": etag, "Accept-Ranges": "bytes" if ranged else "none", "Content-Type": "video/mp4"}
    span = _span(wanted or "", length) if ranged and if_range in (None, etag) else None
    if span is None:
        return _announce(Part(200, 0, length, headers), rule)
    start, stop = span
    if start >= stop:
        return Part(416, 0, 0, headers | {"Content-Range": f"bytes */{length}", "Content-Length": "0"})
    return _announce(Part(206, start, stop, headers | {"Content-Range": f"bytes {start}-{stop - 1}/{length}"}), rule)


def _span(wanted: str, length: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for no range or one that we do not know and may ignore."""
    match = _RANGE.fullmatch(wanted.strip())
    if not match:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(0, length - int(suffix)), length if int(suffix) else 0
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, length) if last else length


def _announce(part: Part, rule: Trouble | None) -> Part:
    size = part.stop - part.start
    lie = rule.bytes if rule and rule.do == "wrong_length" else 0
    sent = min(size, rule.bytes) if rule and rule.do == "cut" else size
    return Part(part.status, part.start, part.start + sent, dict(part.headers) | {"Content-Length": str(size + lie)})
