"""How fast the account may be used: decided from the service's answers alone, without waiting. Pure.

Three numbers come out: when the next submit may leave, how many submits may be under way at once (the window),
and how many slots are allowed. A run begins with one submit alone, so that a wrong key or an empty account costs one
refused request; each accepted submit doubles the window. A refused or unanswered submit closes it to one again.

The slots have a hard ceiling, below which they shrink and grow back, or a search for one.
"""

from pipeline.engine.backoff import Backoff
from pipeline.engine.ceiling import Ceiling

_STEPS_DOWN = 2
"""Refusals in a row that a search answers without a pause; after more of them it was not the number of tasks."""


class Pace:
    """One limiter for the whole account; times are monotonic seconds brought by the caller."""

    def __init__(self, ceiling: int | Ceiling, *, rps: float | None, longest_pause: float, backoff: Backoff) -> None:
        self.search = ceiling if isinstance(ceiling, Ceiling) else None
        """The search for a ceiling, where no number was given."""
        self._ceiling = ceiling.most if isinstance(ceiling, Ceiling) else ceiling
        self._spacing = 1.0 / rps if rps else 0.0
        self._longest_pause = longest_pause
        self._backoff = backoff
        self._next_at = 0.0
        self._paused_until = 0.0
        self._setbacks = 0
        self._accepted_since_change = 0
        self._outage_since: float | None = None
        self._slots = self._ceiling
        self.window = 1
        """Submits that may be under way at once."""
        self.lost_in_a_row = 0
        """Submits with a lost answer since the last answer of any other kind."""

    @property
    def slots(self) -> int:
        """Slots allowed now."""
        return self._slots if self.search is None else self.search.slots

    @property
    def most(self) -> int:
        """Slots that may be reached, as far as anybody knows."""
        return self._ceiling if self.search is None else self.search.hope

    def delay(self, now: float) -> float:
        """Seconds until the next submit may leave; 0 means now."""
        return max(0.0, self._next_at - now, self._paused_until - now)

    def leave(self, now: float) -> None:
        """A submit leaves. While it might have left before, nobody wanted to submit: that is no time of an outage."""
        if self._outage_since is not None:
            self._outage_since += max(0.0, now - max(self._next_at, self._paused_until, self._outage_since))
        self._next_at = max(now, self._next_at) + self._spacing

    def accepted(self, running: int = 0) -> None:
        """A submit was accepted, and with its task so many run: open the window.

        Below a hard ceiling the slots grow back by one for each full round of accepts.
        """
        self._answered()
        self._setbacks = 0
        self.window = min(2 * self.window, self._ceiling)
        if self.search is None:
            self._grow_back()
        else:
            self.search.accepted(running)

    def rejected(self) -> None:
        """A submit was refused for its own sake: the account is fine."""
        self._answered()
        self._setbacks = 0
        self.window = min(2 * self.window, self._ceiling)

    def rate_limited(self, now: float, retry_after: float | None, running: int, flying: int = 0) -> float:
        """The service asks to slow down: pause, and allow no more slots than tasks that run. Returns the pause.

        Of several refusals that fall into one pause only the first counts: they answer the same burst. A search takes
        the other submits that are `flying` for tasks that run. Where it may have met the service's limit there is no
        pause: the job is tried once more, and then waits for a task to end.
        """
        self._answered()
        if self.search is not None:
            explained = self.search.refused(running + flying)
            if explained and retry_after is None and self._setbacks < _STEPS_DOWN:
                self._setbacks += 1
                self.window = 1
                return 0.0
        elif now >= self._paused_until:
            self._shrink(running)
        return self._pause(now, min(retry_after or 0.0, self._longest_pause))

    def hold(self, until: float) -> None:
        """No submit leaves before `until`."""
        self._paused_until = max(self._paused_until, until)

    def unanswered(self, now: float, retry_after: float | None) -> float:
        """The service could not answer and surely created nothing: pause. Returns the pause."""
        self.lost_in_a_row = 0
        if self._outage_since is None:
            self._outage_since = now
        return self._pause(now, min(retry_after or 0.0, self._longest_pause))

    def lost(self, now: float) -> float:
        """The answer to a submit was lost: go on one at a time, more slowly with each loss. Returns the pause."""
        self.lost_in_a_row += 1
        return self._pause(now, 0.0)

    def outage(self, now: float) -> float:
        """Seconds in which submits were tried and met nothing but outages; 0 while they are answered."""
        return 0.0 if self._outage_since is None else now - self._outage_since

    def _answered(self) -> None:
        self._outage_since = None
        self.lost_in_a_row = 0

    def _pause(self, now: float, at_least: float) -> float:
        if now >= self._paused_until:
            self._setbacks += 1
        self.window = 1
        wait = self._backoff.delay(self._setbacks, at_least)
        self._paused_until = max(self._paused_until, now + wait)
        return self._paused_until - now

    def _grow_back(self) -> None:
        self._accepted_since_change += 1
        if self._slots < self._ceiling and self._accepted_since_change >= self._slots:
            self._slots += 1
            self._accepted_since_change = 0

    def _shrink(self, running: int) -> None:
        self._slots = max(1, min(self._slots, max(running, self._slots * 7 // 10)))
        self._accepted_since_change = 0
