"""The dates of a result host's headers. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LONGEST = 100
"""Characters; no date is longer."""


def moment_of(text: str) -> datetime | None:
    """The moment that a date of HTTP or mail names, in UTC where it names no zone; None for everything else.

    The library answers what it cannot read with any of four errors: what a host sends must end no run.
    """
    if len(text) > _LONGEST or not (text.isascii() and text.isprintable()):
        return None
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
