"""The charts' data, over all jobs of a batch, small enough to stand in a page. Pure; seconds."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, repeat
from operator import sub
from typing import Any

from pipeline.ledger import FailureGroup, Run
from pipeline.views.report.moments import Moments

BINS = 120
"""Points of a chart over time."""
BARS = 40
"""Of the throughput."""
RUNS = 6
"""The last runs that have charts of their own, beside those of all runs."""
KINDS = 10
"""Kinds of jobs whose durations are shown: the most frequent."""
REASONS = 10
"""Reasons of failure that are shown: the most frequent."""
_PARTS = ("submit", "generate", "notice", "download")


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time that charts are drawn for."""

    begin: float
    end: float
    run_id: str | None = None
    """None where it stands for all runs."""

    @property
    def width(self) -> float:
        """Of one point."""
        return max(self.end - self.begin, 1.0) / BINS


def charts_of(moments: Moments, runs: Sequence[Run], failures: Sequence[FailureGroup]) -> dict[str, Any]:
    """Everything that is drawn."""
    return {
        "windows": _over_time(moments, windows_of(runs, moments.last)),
        "parts": {part: quantiles(values) for part, values in zip(_PARTS, moments.times(), strict=True)},
        "kinds": _kinds(moments.generated_by_kind()),
        "failures": _failures(failures),
    }


def windows_of(runs: Sequence[Run], last: float) -> list[Window]:
    """All runs together, then the last ones, each up to its end, or to where it was last heard of."""
    if not runs:
        return []
    ends = _ends(runs, last)
    whole = Window(runs[0].started_at, max(*ends, last, runs[0].started_at))
    each = [Window(run.started_at, end, run.run_id) for run, end in zip(runs, ends, strict=True)]
    return [whole, *(each[-RUNS:] if len(each) > 1 else [])]


def worked(runs: Sequence[Run], last: float) -> float:
    """How long the runs took together."""
    return sum(end - run.started_at for run, end in zip(runs, _ends(runs, last), strict=True))


def _ends(runs: Sequence[Run], last: float) -> list[float]:
    """When each run ended; one that was killed, or goes on, when the next one began or something last moved."""
    befores = [*(run.started_at for run in runs[1:]), last]
    return [
        max(run.started_at, min(before, last) if run.ended_at is None else run.ended_at)
        for run, before in zip(runs, befores, strict=False)  # without a run there is nothing before anything
    ]


def quantiles(values: Sequence[float]) -> dict[str, float] | None:
    """What a sorted list of numbers is like: tenth, middle and ninetieth of a hundred; None where it is empty."""
    if not values:
        return None
    at = {name: values[min(len(values) - 1, int(share * len(values)))] for name, share in _SHARES.items()}
    return {"count": len(values), "total": round(sum(values), 3)} | {
        name: round(value, 3) for name, value in at.items()
    }


_SHARES = {"low": 0.1, "middle": 0.5, "high": 0.9, "most": 1.0}


def _kinds(durations: dict[str, list[float]]) -> list[dict[str, Any]]:
    most = sorted(durations.items(), key=lambda one: (-len(one[1]), one[0]))[:KINDS]
    return [{"kind": kind, **(quantiles(values) or {})} for kind, values in most]


def _failures(groups: Iterable[FailureGroup]) -> list[dict[str, Any]]:
    found = sorted(groups, key=lambda group: -group.count)
    shown = [{"stage": one.stage, "code": one.code[:80], "count": one.count} for one in found[:REASONS]]
    rest = sum(one.count for one in found[REASONS:])
    return [*shown, *([{"stage": "", "code": "other reasons", "count": rest}] if rest else [])]


# -- over time ------------------------------------------------------------------------------------------------------


def _over_time(moments: Moments, windows: Sequence[Window]) -> list[dict[str, Any]]:
    """How many jobs were in each stage at the same time, and how many ended, in every window."""
    stages, ended = list(moments.stages()), moments.ends()
    return [
        {
            "run": window.run_id,
            "begin": round(window.begin, 3),
            "end": round(window.end, 3),
            "width": window.width,
            "bar": window.width * BINS / BARS,
            "stages": [levels(begins, ends, window) for begins, ends in stages],
            "ended": {state: _bars(moved, window) for state, moved in ended.items()},
        }
        for window in windows
    ]


def levels(begins: Sequence[float], ends: Sequence[float], window: Window) -> list[float]:
    """How many were there at the same time, on average over each point of a window; both lists are sorted.

    What passed between two edges since all begins, less what passed since all ends, is the time that was spent there.
    """
    since = [came - left for came, left in zip(_passed(begins, window), _passed(ends, window), strict=True)]
    return [round((after - before) / window.width, 2) for before, after in pairwise(since)]


def _passed(moments: Sequence[float], window: Window) -> Iterator[float]:
    """The seconds from each of the moments to each edge of a window, summed up; what lies outside of it is cut off."""
    earlier = bisect_left(moments, window.begin)
    within = moments[earlier : bisect_left(moments, window.end)]
    sums = list(accumulate(map(sub, within, repeat(window.begin)), initial=0.0))
    for edge in range(BINS + 1):
        passed = min(edge * window.width, window.end - window.begin)
        here = bisect_left(within, window.begin + passed)
        yield (earlier + here) * passed - sums[here]


def _bars(moved: Sequence[float], window: Window) -> list[int]:
    """How many of the sorted moments fall into each bar of a window; its very end belongs to the last one."""
    last = bisect_right(moved, window.end)
    bar = window.width * BINS / BARS
    edges = (min(last, bisect_left(moved, window.begin + number * bar)) for number in range(BARS))
    return [after - before for before, after in pairwise((*edges, last))]
