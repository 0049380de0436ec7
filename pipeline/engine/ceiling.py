"""How many tasks a service takes at once, found by trying. Pure.

More slots bring nothing where the service refuses them (429), or where it accepts the tasks and lets them wait. The
answers tell of the first. The second shows in how long tasks take: by Little's law as many are really under way as
there are slots, divided by the factor by which tasks take longer than they did at the last height that was sound.

The search begins low and triples its slots as long as tasks take no longer. Once something has stopped it, it climbs by
one slot after a while, by more where that goes well, and waits twice as long after each attempt that failed. It goes
down where tasks take much longer at a height that was sound, and back up where that did not make them shorter.
"""

import json
import math
from collections import deque
from dataclasses import dataclass
from itertools import chain
from statistics import fmean, median, pstdev

from pipeline.core.values import Value

START = 4
"""Slots of a search that knows nothing."""
MOST = 500
"""Slots that no search goes beyond: whoever has room for more says so with a number."""

_GROWTH = 3
"""A search that nothing has stopped multiplies its slots by this."""
_PATIENCE = 60
"""Accepted submits on full slots before the first attempt to climb."""
_MOST_PATIENCE = 480
"""The same after many that failed: with two refusals each, they stay well below one submit in a hundred."""
_ROUNDS = 30
"""The same in rounds of the slots, where these are few."""
_FULL = 0.9
"""Share of the slots with a task in them from which on an answer says something about their number."""
_APART = 1.4
"""Heights that differ by less cannot be told apart by how long tasks take; nor are tasks called slow for less."""
_ABOUT = 1.05
"""Heights that differ by less are the same."""
_BROUGHT = 0.25
"""From 0 (more slots brought all that they could) to 1 (they brought nothing): beyond this they brought too little."""
_GROUP = 24
"""Tasks by which a height is judged, or half of the slots where a search is in a hurry."""
_KEPT = 32
"""Durations of a kind that its usual one is taken from."""
_KINDS = 256
"""Kinds remembered at once: a manifest of nothing but kinds must not fill the memory."""


@dataclass(slots=True, eq=False)
class Stay:
    """A task in its slot; seconds on any clock that never goes back."""

    kind: str
    height: int
    """Tasks that ran when it was submitted, itself included."""
    began: float
    ended: float | None = None

    def took(self, now: float) -> float:
        """How long it has been there, as a logarithm."""
        return math.log(max((now if self.ended is None else self.ended) - self.began, 1e-6))


class _Descent(Value):
    """Why there are fewer slots now: at this height tasks took longer than usual, by this factor."""

    height: float
    stretch: float


class Ceiling:
    """The search; `slots` is how many are allowed now."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        """Slots that the search does not go beyond."""
        self.slots = min(START, most)
        """Slots allowed now; they follow each decision to go up by one with each accepted submit."""
        self._goal = self._held = self._sound = self.slots
        self._searching = True
        self._patience = _PATIENCE
        self._accepted = 0
        self._step = 0
        self._doubted = 0
        self._group: list[Stay] = []
        self._usual: dict[str, deque[float]] = {}
        self._descent: _Descent | None = None

    def recall(self, memory: str | None) -> None:
        """Begin near the place that an earlier search has found; text that is not its says nothing."""
        known, limited = _read(memory)
        if known is None:
            return
        self._goal = self._held = self._sound = min(known, self.most)
        self.slots = math.ceil(self._goal * _FULL)
        self._searching = not limited
        if limited:
            self._patience = _MOST_PATIENCE // 2

    @property
    def memory(self) -> str:
        """What the next search may begin with."""
        return json.dumps({"slots": self._held, "limited": not self._searching})

    @property
    def hope(self) -> int:
        """Slots that may be reached, as far as anybody knows."""
        return self.most if self._searching else self._held

    # -- answers to submits -----------------------------------------------------------------------------------------

    def accepted(self, running: int) -> None:
        """A submit was accepted; with its task so many run."""
        if running >= self._doubted:
            self._doubted = 0
        if running < _FULL * self.slots:
            return
        if self.slots < self._goal:
            self.slots += 1
            return
        self._accepted += 1
        if not self._searching and self._accepted >= self._wait:
            self._climb()

    def refused(self, running: int) -> bool:
        """A submit was refused while so many tasks ran. Returns whether their number may be the reason.

        It takes two refusals at a height, and no accepted submit there in between: a single one has other reasons too.
        """
        if running < _FULL * self.slots - 1:
            self.slots = max(1, running, self.slots * 7 // 10)
            return False
        if self._doubted:
            self._settle(min(self.slots, max(1, running)))
            self._doubted = 0
        else:
            self._doubted = running + 1
        return True

    @property
    def _wait(self) -> int:
        """Accepted submits on full slots before the next step up; a round of them while it goes well."""
        return self.slots if self._step else min(self._patience, _ROUNDS * self.slots)

    def _climb(self) -> None:
        """One slot more, then two, four and so on, as long as it goes well; no further than can be judged."""
        judged = max(self._goal, math.ceil(_APART * self._sound))
        step = 2 * self._step or 1
        goal = min(self._goal + step, judged, self.most)
        if goal > self._goal:
            self._held, self._step = self._goal, step
            self._aim(goal)

    def _settle(self, slots: int) -> None:
        """What was tried does not work, or what was good is good no more."""
        if self._step:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
        self._searching = False
        self._step = 0
        self._held = slots
        self.slots = min(self.slots, slots)
        self._aim(slots)

    def _aim(self, goal: int) -> None:
        self._goal = goal
        self._accepted = 0
        self._group = []

    # -- how long tasks take ----------------------------------------------------------------------------------------

    def began(self, kind: str, running: int, now: float) -> Stay:
        """A task of this kind was accepted; with it so many run."""
        stay = Stay(kind, running, now)
        if len(self._group) < self._size and running >= _FULL * self._goal:
            self._group.append(stay)
        return stay

    def ended(self, stay: Stay, now: float) -> None:
        """The task has left its slot. An eighth of those that are judged may be stuck."""
        stay.ended = now
        over = sum(other.ended is not None for other in self._group)
        if len(self._group) >= self._size and 8 * over >= 7 * len(self._group):
            group, self._group = self._group, []
            self._judge(group, now)

    @property
    def _size(self) -> int:
        return max(START, min(_GROUP, self._goal // 2)) if self._searching or self._step else _GROUP

    def _judge(self, group: list[Stay], now: float) -> None:
        """So many tasks were submitted at about this height, and nearly all of them have ended."""
        height, stretch = median(stay.height for stay in group), self._stretch(group, now)
        descent, self._descent = self._descent, None
        if descent and stretch > descent.stretch * (height / descent.height) ** _BROUGHT:
            self._usual.clear()  # fewer slots have made nothing shorter: it is the service that has become slower
            self._learn(group, now)
            self._held = self._sound = round(descent.height)
            self._aim(self._sound)
        elif stretch > self._bearable(height, len(group)):
            self._crowded(height, stretch)
        else:
            self._bears(height, group, now)

    def _stretch(self, group: list[Stay], now: float) -> float:
        """By which factor tasks take longer than usual; 1 where nobody knows what is usual."""
        usual = {kind: fmean(took) for kind, took in self._usual.items()}
        longer = [stay.took(now) - usual[stay.kind] for stay in group if stay.kind in usual]
        return math.exp(fmean(longer)) if longer else 1.0

    def _bearable(self, height: float, tasks: int) -> float:
        """The factor from which on tasks must be waiting, chance aside."""
        known = list(chain.from_iterable([took - fmean(took_) for took in took_] for took_ in self._usual.values()))
        chance = math.exp(2 * pstdev(known) / math.sqrt(tasks)) if known else 1.0
        higher = height / self._sound
        return chance * (higher**_BROUGHT if higher >= _APART else _APART)

    def _crowded(self, height: float, stretch: float) -> None:
        """Tasks wait: go back to where they did not, or down where they do there as well."""
        room = round(height / stretch)
        if height >= _APART * self._sound:
            self._settle(max(self._sound, room))
        else:
            self._descent = _Descent(height, stretch)
            self._sound = max(min(self._goal, START), self._goal // 2, room)
            self._settle(self._sound)
            self._patience = _PATIENCE  # it has been better, and may soon be so again

    def _bears(self, height: float, group: list[Stay], now: float) -> None:
        """Tasks take no longer than they did."""
        if height <= _ABOUT * self._sound or height >= _APART * self._sound:
            self._sound = max(self._sound, round(height))
            self._learn(group, now)
        if self._searching:
            self._held = self._goal
            self._aim(min(_GROWTH * self._goal, self.most))

    def _learn(self, group: list[Stay], now: float) -> None:
        if len(self._usual) >= _KINDS:
            self._usual.clear()
        for stay in group:
            self._usual.setdefault(stay.kind, deque(maxlen=_KEPT)).append(stay.took(now))


def _read(memory: str | None) -> tuple[int | None, bool]:
    """Slots, and whether something had stopped the search; nothing where the text says nothing."""
    try:
        found = json.loads(memory or "{}")
        return (max(1, int(found["slots"])), bool(found["limited"])) if found else (None, False)
    except (ValueError, TypeError, KeyError):
        return None, False
