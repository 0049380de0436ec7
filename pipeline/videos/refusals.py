"""What an answer means that brings no file. Pure."""

import re

from pipeline.core.errors import DownloadError, InterruptedDownloadError, LinkExpiredError
from pipeline.videos.dates import moment_of

_LATER = frozenset({202, 408, 425, 429})
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)


def refused(status: int, host: str, retry_after: float | None, excerpt: str) -> DownloadError:
    """The error for a status that is neither a file nor a redirect.

    Every 4xx that does not say "later" counts as a link that no longer serves: object stores answer 400, 401 and 403
    alike to an expired signature, asking for a fresh URL costs nothing, and giving up would cost a paid video.
    """
    message = f"{host} answered {status}" + (f": {excerpt}" if excerpt else "")
    if 400 <= status < 500 and status not in _LATER:
        return LinkExpiredError(message, code="link_expired", http_status=status)
    return InterruptedDownloadError(message, code=f"http_{status}", http_status=status, retry_after=retry_after)


def retry_after_seconds(value: str | None, now: float) -> float | None:
    """Seconds from `now` (Unix seconds) that a `Retry-After` header asks for, a date or a number; None otherwise."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = moment_of(text)
    return None if moment is None else max(0.0, moment.timestamp() - now)
