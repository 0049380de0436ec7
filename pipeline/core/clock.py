"""Time as an argument: the engine never asks the machine what time it is."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic as _monotonic
from time import time as _time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for records, one for waiting."""

    def time(self) -> float:
        """Unix seconds; may jump."""

    def monotonic(self) -> float:
        """Seconds that never go back; the same clock as the event loop's."""


class SystemClock:
    """The machine's own clocks, asked without a detour: a job asks two dozen times."""

    monotonic = staticmethod(_monotonic)
    time = staticmethod(_time)


class LoopClock:
    """The machine's clock for records, and for waiting that of an event loop, which is not always the machine's.

    uvloop's goes on while a laptop sleeps; moments that were taken elsewhere would then all lie in its past.
    """

    __slots__ = ("monotonic",)

    def __init__(self, loop_time: Callable[[], float]) -> None:
        self.monotonic = loop_time

    time = staticmethod(_time)


def iso(seconds: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC with milliseconds and `Z`, as every contract of ours writes time."""
    if seconds is None:
        return None
    try:
        moment = math.floor(seconds) * 1_000_000 + round(seconds % 1.0 * 1_000_000)
        return f"{_whole_second(moment // 1_000_000)}.{moment // 1000 % 1000:03}Z"
    except (OverflowError, OSError, ValueError):
        return None  # a stamp from the wire that is no moment in time


@lru_cache(maxsize=1000)
def _whole_second(second: int) -> str:
    """Most moments lie in a second that was just written, and reading a calendar is the slow part."""
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")
