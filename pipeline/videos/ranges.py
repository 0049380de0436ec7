"""When to go on where an earlier try stopped, and whether an answer fits what is here. Pure.

A part may only grow by bytes of the very same file. Three things vouch for that: `If-Range` with a strong ETag or a
Last-Modified date (the host compares), the total length (we compare), and the URL. What nobody sees is a file that
changed under the same ETag and length; its first bytes are still checked, and its hash is that of what is on disk.
"""

import re
from enum import Enum

from msgspec import Struct

from pipeline.videos.addresses import same_object
from pipeline.videos.dates import moment_of

_CONTENT_RANGE = re.compile(r"bytes[ \t]+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.ASCII | re.IGNORECASE)
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{1,1000}"')


class Validator(Struct, frozen=True):
    """What identifies the file that the bytes of a part belong to."""

    url: str
    """Verbatim, as the service gave it."""
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None
    """Length of the whole file in bytes, where the host told."""
    boot: str = ""
    """Of this machine, while the part was written: unflushed bytes survive a crash of ours, but no power cut."""

    @property
    def if_range(self) -> str | None:
        """What `If-Range` may carry: a strong ETag, else the date (RFC 9110 §13.1.5)."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


class Kept(Struct, frozen=True):
    """What an earlier try left on disk."""

    size: int = 0
    validator: Validator | None = None


class ContentRange(Struct, frozen=True):
    """A `Content-Range` header: bytes `first` to `last`, both included, of `total`."""

    first: int | None
    last: int | None
    total: int | None


class Head(Struct, frozen=True):
    """The part of an answer's head that decides about its bytes."""

    status: int
    etag: str | None = None
    last_modified: str | None = None
    content_length: int | None = None
    content_range: ContentRange | None = None


class Join(Enum):
    """What to do with the bytes of an answer."""

    ANEW = "anew"
    """They are the file from its first byte: whatever is here is replaced."""
    APPEND = "append"
    """They go on exactly where the part ends."""
    COMPLETE = "complete"
    """There are none to come: the part already has the whole length."""
    RESTART = "restart"
    """They do not fit: ask again, without a range."""


class Decision(Struct, frozen=True):
    """How to join an answer, and the length of the whole file in bytes where it is known."""

    join: Join
    total: int | None = None


_RESTART = Decision(Join.RESTART)


def parse_content_range(text: str | None) -> ContentRange | None:
    """The header's value, or None where it is missing, malformed or impossible."""
    match = _CONTENT_RANGE.fullmatch(text.strip()) if text else None
    if not match:
        return None
    first, last, total = (int(group) if group and group != "*" else None for group in match.groups())
    if first is not None and last is not None and (last < first or (total is not None and last >= total)):
        return None
    return ContentRange(first, last, total)


def parse_length(text: str | None) -> int | None:
    """The value of a Content-Length header in bytes, or None where it is missing or no number that a file can have."""
    return int(text) if text and _LENGTH.fullmatch(text.strip()) else None


def usable_etag(text: str | None) -> str | None:
    """The ETag if it is one that can be sent back, else None."""
    return text if text and _ETAG.fullmatch(text) else None


def usable_date(text: str | None) -> str | None:
    """The Last-Modified date, verbatim, if it is one, else None."""
    return text if text and moment_of(text) else None


def range_headers(kept: Kept, url: str) -> dict[str, str]:
    """The headers that ask for the rest of what is kept; none where only the first byte will do.

    With `If-Range` any URL may go on, since a fresh one for the same result may look quite different; the length must
    then be known as a second witness. Without it, only another signature of the same object may.
    """
    validator = kept.validator
    if not kept.size or validator is None or (validator.total is not None and kept.size > validator.total):
        return {}
    same, guard = same_object(validator.url, url), validator.if_range
    if validator.total is None and not (same and guard):
        return {}
    if guard:
        return {"Range": f"bytes={kept.size}-", "If-Range": guard}
    return {"Range": f"bytes={kept.size}-"} if same else {}


def decide(kept: Kept, asked: bool, head: Head) -> Decision:
    """What to do with an answer of status 200, 203, 206 or 416; `asked` says whether a range was asked for."""
    if head.status == 416:
        return _beyond_the_end(kept, head) if asked else _RESTART
    if head.status != 206:
        return Decision(Join.ANEW, head.content_length)
    return _partial(kept if asked else Kept(), head)


def _beyond_the_end(kept: Kept, head: Head) -> Decision:
    known = [total for total in (_kept_total(kept), _told_total(head)) if total is not None]
    if known and all(total == kept.size for total in known):
        return Decision(Join.COMPLETE, kept.size)
    return _RESTART


def _partial(kept: Kept, head: Head) -> Decision:
    told = head.content_range
    if told is None or told.first is None or told.last is None or told.first != kept.size:
        return _RESTART
    if head.content_length not in {None, told.last - told.first + 1}:
        return _RESTART
    total = told.total if told.total is not None else _kept_total(kept)
    if total is None or total <= told.last or _kept_total(kept) not in {None, total}:
        return _RESTART
    if _other_file(kept.validator, head):
        return _RESTART
    return Decision(Join.APPEND if kept.size else Join.ANEW, total)


def _other_file(validator: Validator | None, head: Head) -> bool:
    if validator is None or validator.etag is None or head.etag is None:
        return False
    return validator.etag != head.etag


def _kept_total(kept: Kept) -> int | None:
    return kept.validator.total if kept.validator else None


def _told_total(head: Head) -> int | None:
    return head.content_range.total if head.content_range else None
