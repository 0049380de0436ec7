"""What ended tasks teach about those that run: at which ages they end, and how questions are best spread over these.

The rule is that of `reference: performance.md` §6, written so that it holds for ends at one age, too. Where tasks of
age `a` end at the rate `h(a)`, the spacing with the least lag for its questions is `g / sqrt(h(a))`; the time for which
a task is then expected to have been over, when the next question comes, is `g² / 2`, whatever the age. So a question
comes whenever so much has gathered: ask rarely while nothing can end, densely where tasks of the kind do, and once
behind a spot where a share of them ends all at once. Pure.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, compress, repeat
from operator import truediv

from pipeline.core.values import Value

_GROWTH = 1.05
_EDGES = tuple(0.5 * _GROWTH**number for number in range(240))
"""Seconds; the first bin lies below them, the last one beyond them, at 17 hours."""
_FLOORS = (0.0, *_EDGES)
_WIDTHS = (0.5, *(edge * (_GROWTH - 1.0) for edge in _EDGES))
BINS = len(_FLOORS)
MEMORY = 200
"""So many ends later an end counts for a third: enough to be sure, few enough to follow a change."""
_BELIEF = 0.1
"""Tasks that the prior is worth: it says that a task of any age is about to take as long again."""
_PRIOR = _BELIEF * math.log(_GROWTH)
_BIG = 1e9
"""Weights are brought back to a fresh end's of 1 beyond this, long before they leave the numbers."""
_ALIKE = 20
"""A curve is drawn anew after a twentieth more ends, and at least with each tenth."""
_SELDOM = 10
_HARDLY_ANY = 1e-9
"""A share of the tasks; what fewer do is lost in the rounding."""


class Curve(Value):
    """Where the questions about a task go: one each time that it has cost as much not to ask as a question is worth.

    Not to ask costs the time for which the task is expected to have been over by then. Where ends are spread over more
    than a spacing, that is one question each time that the integral of `sqrt(h)` has grown by a step; and where many
    tasks end at one age, it is one soon after that age, however few questions there are around it.
    """

    alive: tuple[float, ...]
    """The share of the tasks that reach the lower edge of each bin, and the end."""
    lived: tuple[float, ...]
    """The integral of that up to there, in seconds."""
    effort: float
    """`E`, the mean of `1 / sqrt(h)` where tasks end. A mean lag of `L` seconds takes `E² / 2L` questions a task."""
    known: float
    """No task older than this has ended; seconds."""
    median: float | None
    """The age that half of the tasks reach, in seconds; None where none has ended."""

    def price(self, lag: float) -> float:
        """The seconds of lag that each question has to save, for a mean lag of so many seconds.

        They are those that have gathered since the question before it, and a task takes one question at least.
        """
        return lag / max(1.0, self.effort**2 / (2.0 * lag))

    def next(self, age: float, price: float) -> float:
        """The age at the next question about a task of this age."""
        here = bisect_right(_EDGES, age)
        since = age - _FLOORS[here]
        reached = self.alive[here] - self._ending(here) * since
        if reached < _HARDLY_ANY:
            return age + math.sqrt(2.0 * price * age)  # as where nothing is known
        alive, lived = self.alive, self.lived

        def cost(edge: int) -> float:
            return reached * _FLOORS[edge] - lived[edge]

        spent = reached * age - lived[here] - (alive[here] + reached) / 2.0 * since
        goal = spent + price * reached
        there = here + bisect_right(range(here + 1, BINS), goal, key=cost)
        if there > here:
            age, spent, gone = _FLOORS[there], cost(there), reached - alive[there]
        else:
            gone = 0.0
        rest = goal - spent
        return age + 2.0 * rest / (gone + math.sqrt(gone * gone + 2.0 * self._ending(there) * rest))

    def ending(self, age: float) -> float:
        """The share of the tasks that end in the second around an age."""
        return self._ending(bisect_right(_EDGES, age))

    def _ending(self, here: int) -> float:
        return (self.alive[here] - self.alive[here + 1]) / _WIDTHS[here]


_EMPTY = _PRIOR / _BELIEF
"""The hazard of a bin that no task has reached: the prior's alone."""
_EMPTY_ALIVE = tuple(math.exp(-_EMPTY * number) for number in range(BINS + 1))
_EMPTY_EFFORTS = tuple(
    accumulate(
        (-math.expm1(-_EMPTY) * math.sqrt(width / _EMPTY) for width in reversed(_WIDTHS)),
        lambda later, here: here + math.exp(-_EMPTY) * later,
        initial=0.0,
    )
)[::-1]
"""What a task that reaches a bin adds to the effort from there on, where nothing is known of any bin from it on."""


def curve(ends: Sequence[float], open_ages: Iterable[float] = ()) -> Curve:
    """The curve after these ends by bin, the latest one counting 1, with tasks open at these ages.

    Without the open ones, the first ends of a wave would make all tasks look short. Most bins lie beyond everything
    that has been seen, and are not worked through; `ends` need not have them.
    """
    last = _last_of(ends)
    open_bins = [bisect_right(_EDGES, age) for age in open_ages]
    used = min(BINS, 1 + max((last + 1, *open_bins)))
    seen = [*ends[:used], *repeat(0.0, used - len(ends))]
    smooth = [(a + 2.0 * b + c) / 4.0 for a, b, c in zip((0.0, *seen), seen, (*seen[1:], 0.0), strict=False)]
    leaving = smooth.copy()
    for here in open_bins:
        leaving[here] += 1.0
    hazards, reached = [_EMPTY] * used, 0.0
    for number in reversed(range(used)):
        reached += leaving[number]
        hazards[number] = (smooth[number] + _PRIOR) / (reached - leaving[number] / 2.0 + _BELIEF)
    effort, reaching, alive = 0.0, 1.0, []
    for hazard, width in zip(hazards, _WIDTHS, strict=False):
        alive.append(reaching)
        ending = reaching * -math.expm1(-hazard)
        effort += ending * math.sqrt(width / hazard)
        reaching -= ending
    effort += reaching * _EMPTY_EFFORTS[used]
    alive += [reaching * share for share in _EMPTY_ALIVE[: BINS + 1 - used]]
    lived = accumulate(
        (width * (before + after) / 2.0 for width, before, after in zip(_WIDTHS, alive, alive[1:], strict=False)),
        initial=0.0,
    )
    known = _FLOORS[last] + _WIDTHS[last] if last >= 0 else 0.0
    return Curve(tuple(alive), tuple(lived), effort, known, median(ends))


def median(ends: Sequence[float]) -> float | None:
    """The age that half of the tasks reach, in seconds; None where none has ended."""
    below = list(accumulate(ends))
    if not below or not below[-1]:
        return None
    here = bisect_left(below, below[-1] / 2.0)
    return _FLOORS[here] + _WIDTHS[here] / 2.0


def _last_of(ends: Sequence[float]) -> int:
    """The last bin in which a task ended; -1 where none has."""
    return max(compress(range(BINS), ends), default=-1)


_COLD = curve([0.0] * BINS)


class Ends:
    """The ages at which the last couple of hundred tasks ended, older ones fading, and the curve that they make."""

    __slots__ = ("_drawn", "count", "curve", "fresh", "last", "weights")

    def __init__(self, weights: list[float] | None = None) -> None:
        """As `weights` were handed out."""
        self.weights = [0.0] * BINS if weights is None else weights
        self.fresh = 1.0
        """What the latest end weighs."""
        self.count = self._drawn = round(sum(self.weights))
        self.curve: Curve = _COLD if weights is None else curve(weights)
        self.last = _last_of(self.weights)
        """The last bin in which a task ended; -1 before there is one."""

    def add(self, age: float, open_ages: Callable[[], Iterable[float]]) -> None:
        """A task ended at this age while others are open at theirs; seconds."""
        self.fresh *= 1.0 + 1.0 / MEMORY
        here = bisect_right(_EDGES, age)
        self.weights[here] += self.fresh
        if here > self.last:
            self.last = here
        if self.fresh > _BIG:
            self.weights[: self.last + 1], self.fresh = self.handed_out(), 1.0
        self.count += 1
        if self.count - self._drawn >= min(_SELDOM, self._drawn / _ALIKE):
            self.curve, self._drawn = curve(self.handed_out(), open_ages()), self.count

    def handed_out(self) -> list[float]:
        """The weights by bin, the latest end counting 1; nothing beyond the last bin in which a task ended."""
        return list(map(truediv, self.weights[: self.last + 1], repeat(self.fresh)))


def observed(submitted: float | None, finished: float | None, after: float | None, until: float) -> float | None:
    """How long a task took, in seconds of age; it was open at the age `after` and found ended at the age `until`.

    The service's stamps tell it better than our questions (no skew between clocks, and no bias by when we ask); where
    they are whole seconds, both tell a part. Without stamps the middle is as good as any age, and where nobody knows
    when it was last open (`after` is None), nobody can tell.
    """
    if submitted is None or finished is None or not finished >= submitted:
        return None if after is None else (after + until) / 2.0
    after = after or 0.0
    took, slack = finished - submitted, float(submitted % 1.0 == finished % 1.0 == 0.0)
    low, high = max(after, took - slack), min(until, took + slack)
    return (low + high) / 2.0 if low <= high else min(max(took, after), until)
