"""Ends exchanges that take too long, with one timer for all of them: a timeout object each would cost more.

Both edges that speak HTTP watch over their exchanges so, the questions and the downloads.

Where the timer itself comes late, the process was stopped, the machine slept, or the loop was busy. What came meanwhile
lies in its socket, unread, and the time of the exchange is over all the same: each then has one last moment to read it.
"""

import asyncio
import math
from typing import Any

_LATE = 0.01
"""Seconds after which a timer is late: a loop that has its turns keeps the moment to a millisecond or two."""
_LAST_MOMENT = 0.5
"""Seconds in which what lies in a socket is surely read, by many at once too."""


class Exchange:
    """An exchange under way, in a task of its own for its time; moments are loop times."""

    __slots__ = ("cancelling", "ends_at", "looked_at", "overdue", "spared", "task")

    def __init__(self, task: asyncio.Task[Any], ends_at: float, looked_at: float) -> None:
        self.task = task
        self.cancelling = task.cancelling()
        """Cancellations that the task had on it when it began."""
        self.ends_at = ends_at
        """Its ceiling."""
        self.looked_at = looked_at
        """When it ends, unless something is heard before."""
        self.overdue = False
        self.spared = False
        """Whether it has had its last moment."""

    def rest(self) -> None:
        """Nothing is waited for until it is said how long the next silence may be."""
        self.looked_at = math.inf

    def spare(self, until: float) -> None:
        """It ends no sooner than then, once: nobody could read what it was answered."""
        self.spared, self.looked_at = True, until
        if self.ends_at < until:
            self.ends_at = until


class Ceilings:
    """The exchanges under way. Each has a ceiling, and until then may be silent for some time only."""

    def __init__(self) -> None:
        self._open: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf

    def begin(self, ceiling: float, silence: float) -> Exchange:
        """The running task begins an exchange that may take so long, and say nothing for so long (seconds).

        Hand what comes back to `end`, always.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange needs a task to run in")
        now = task.get_loop().time()
        looked_at = now + (silence if silence < ceiling else ceiling)  # noqa: FURB136 - `min` takes ten times as long
        exchange = Exchange(task, now + ceiling, looked_at)
        self._open.add(exchange)
        if looked_at < self._looks_at:
            self._look_at(looked_at)
        return exchange

    def await_more(self, exchange: Exchange, silence: float) -> None:
        """From now on it may be silent for so long again (seconds)."""
        looked_at = exchange.task.get_loop().time() + silence
        if looked_at > exchange.ends_at:
            looked_at = exchange.ends_at
        exchange.looked_at = looked_at
        if looked_at < self._looks_at:
            self._look_at(looked_at)

    def outlasted(self, exchange: Exchange) -> bool:
        """Whether a cancellation that has just arrived in the task was its ceiling's, and nobody else's."""
        was, exchange.overdue = exchange.overdue, False
        return was and exchange.task.uncancel() <= exchange.cancelling

    def end(self, exchange: Exchange) -> None:
        """The exchange is over."""
        self._open.discard(exchange)
        if exchange.overdue:
            exchange.task.uncancel()  # an answer came all the same

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_at = None, math.inf

    def _look_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_at = asyncio.get_running_loop().call_at(at, self._look), at

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        late = now - self._looks_at > _LATE
        self._timer, self._looks_at = None, math.inf
        for exchange in [exchange for exchange in self._open if exchange.looked_at <= now]:
            if late and not exchange.spared:
                exchange.spare(now + _LAST_MOMENT)
            else:
                self._open.discard(exchange)
                exchange.overdue = True
                exchange.task.cancel()
        at = min((exchange.looked_at for exchange in self._open), default=math.inf)
        if at < math.inf:
            self._look_at(at)
