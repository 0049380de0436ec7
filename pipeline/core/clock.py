"""Time as an argument: the engine never asks the machine what time it is."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for records, one for waiting."""

    def time(self) -> float:
        """Unix seconds; may jump."""

    def monotonic(self) -> float:
        """Seconds that never go back; the same clock as the event loop's."""


class SystemClock:
    """The machine's own clocks."""

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def iso(seconds: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC with milliseconds and `Z`, as every contract of ours writes time."""
    if seconds is None:
        return None
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None  # a stamp from the wire that is no moment in time
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
