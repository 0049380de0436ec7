"""How long tasks of each kind take: what a run learns, hands on to the next one as text, and tells whoever plans."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pipeline.engine.learned import BINS, MEMORY, Ends, median

KEY = "durations"
"""Under which the ledger remembers."""
_VERSION = 1
_KINDS = 200
"""Kinds that are handed on, those that ended last: nobody knows how many a manifest brings."""
_GLANCE = 0.7
"""How soon to look again at a pending task: a part of what tasks mostly have left when they are first seen running."""
_STRANGE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)
"""What text that is not ours may raise while it is read."""


class Kind:
    """One kind of tasks, learned on two clocks."""

    __slots__ = ("running", "total", "waits")

    def __init__(self, total: Ends | None = None, running: Ends | None = None, *, waits: bool = False) -> None:
        self.total = total or Ends()
        """By age since the submit's answer."""
        self.running = running or Ends()
        """By age since an answer first said `Running`: what counts where tasks wait in somebody else's line."""
        self.waits = waits
        """Tasks of this kind were seen pending."""

    @property
    def glance(self) -> float:
        """Seconds between two looks whether a pending task runs by now; in less, it cannot well have ended."""
        return _GLANCE * (self.running.curve.median or 0.0)

    def by_running(self, lag: float) -> bool:
        """Whether the clock that begins with `Running` needs fewer questions for this mean lag, in seconds.

        It does not where the line is our own: then the total age tells as much, and needs no looks at pending tasks.
        """
        total, running = self.total.curve, self.running.curve
        if not self.waits or total.median is None or running.median is None:
            return False
        looks = 0.5 + max(0.0, total.median - running.median) / self.glance
        return running.effort**2 / (2.0 * lag) + looks < total.effort**2 / (2.0 * lag)


def written(kinds: Mapping[str, Kind]) -> str:
    """What was learned, as text; the last of `kinds` ended last."""
    latest = [(name, kind) for name, kind in kinds.items() if kind.total.count][-_KINDS:]
    content = {
        name: {"total": _sparse(kind.total), "running": _sparse(kind.running), "waits": kind.waits}
        for name, kind in latest
    }
    return json.dumps({"version": _VERSION, "kinds": content}, separators=(",", ":"))


def recollect(text: str | None) -> dict[str, Kind]:
    """What an earlier run learned; nothing where the text is not ours or of another version."""
    try:
        return {
            name: Kind(Ends(_dense(kind["total"])), Ends(_dense(kind["running"])), waits=bool(kind["waits"]))
            for name, kind in _kinds(text).items()
        }
    except _STRANGE:
        return {}


def typical(text: str | None, kind: str) -> float | None:
    """The seconds that half of the tasks of a kind take, as an earlier run learned it; None where none did."""
    try:
        return median(_dense(_kinds(text)[kind]["total"]))
    except _STRANGE:
        return None


@lru_cache(maxsize=1)
def _kinds(text: str | None) -> Mapping[str, Any]:
    """What the text holds; who asks for one kind after the other does not have it read again each time."""
    content = json.loads(text or "null")
    if content["version"] != _VERSION:
        raise ValueError("written by another version")
    return dict(content["kinds"])


def _sparse(ends: Ends) -> list[tuple[int, float]]:
    return [(number, round(weight, 4)) for number, weight in enumerate(ends.handed_out()) if weight >= 0.0001]


def _dense(pairs: list[tuple[int, float]]) -> list[float]:
    weights = [0.0] * BINS
    for number, weight in pairs:
        if not (0 <= number < BINS and 0.0 < weight <= MEMORY + 1):
            raise ValueError("no such bin, or no such weight")
        weights[number] = float(weight)
    return weights
