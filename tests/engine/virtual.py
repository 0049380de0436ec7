"""An event loop on virtual time: nobody waits, and waiting for nothing is an error that names itself."""

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_TURNS_IN_A_MICROSECOND = 1000
"""Far more than the engine ever needs at one moment."""


class Crash(SystemExit):
    """The process is gone; asyncio lets this through at once from wherever it happens, a callback included."""


class Deadlock(AssertionError):  # noqa: N818 - the name says it
    """Everything waits and nothing is scheduled."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when everything waits, and then at once to the next timer.

    `at_turn` is called with the number of each turn of the loop and may raise `Crash`; `at_rest` is called whenever
    nothing is left to do at this moment, right before time passes.
    """

    def __init__(self, at_turn: Callable[[int], None] = lambda _: None, at_rest: Callable[[], None] = int) -> None:
        self.now = 0.0
        self._abandoned = False
        super().__init__(_JumpingSelector(self, at_turn, at_rest))
        self.set_exception_handler(lambda _loop, context: self.lost.append(context))
        self.lost: list[dict[str, object]] = []
        """Exceptions that nobody took."""

    def time(self) -> float:
        return self.now

    def abandon(self) -> None:
        """Drop every task as a dying process would: nothing is awaited, nothing is cleaned up in order."""
        tasks = asyncio.all_tasks(self)
        self.close()
        self._abandoned = True
        for task in tasks:
            task._log_destroy_pending = False
            _bury(task.get_coro())

    def _check_closed(self) -> None:
        """Whatever the garbage collector still runs may talk to the dead loop; nobody listens."""
        if not self._abandoned:
            super()._check_closed()


def _bury(coroutine: Any) -> None:
    """End a coroutine of a dead process; cleaning up may want to wait, and is told again that there is no time."""
    for _ in range(20):
        with contextlib.suppress(Exception):
            coroutine.close()
            return


class _JumpingSelector(selectors.SelectSelector):
    """Looks at real file descriptors without waiting, and moves the clock instead."""

    def __init__(self, loop: VirtualLoop, at_turn: Callable[[int], None], at_rest: Callable[[], None]) -> None:
        super().__init__()
        self._loop = loop
        self._at_turn = at_turn
        self._at_rest = at_rest
        self._since = 0
        self._then = 0.0
        self._turn = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turn += 1
        self._at_turn(self._turn)
        self._creep()
        ready = super().select(0)
        if not ready and timeout is None:
            raise Deadlock("every coroutine waits and no timer is set")
        if not ready and timeout:
            self._at_rest()
            self._loop.now += timeout
        return ready

    def _creep(self) -> None:
        """Turning costs a real loop time, which ends waits that are shorter than its timers can tell."""
        if self._loop.now != self._then:
            self._then, self._since = self._loop.now, self._turn
        elif self._turn - self._since > _TURNS_IN_A_MICROSECOND:
            self._loop.now += 1e-6


def play(story: Coroutine[Any, Any, T], *, since: float = 0.0) -> T:
    """Run a coroutine to its end on a virtual loop whose time begins at `since`; nothing may be left or lost."""
    loop = VirtualLoop()
    loop.now = since
    try:
        value = loop.run_until_complete(story)
        left = asyncio.all_tasks(loop)
    finally:
        loop.close()
    assert not left, f"asyncio tasks are left behind: {left}"
    assert not loop.lost, f"an exception was lost: {loop.lost}"
    return value


class StoppedClock:
    """The clock of the time before the first loop."""

    def time(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 0.0


class VirtualClock:
    """The clock that belongs to a virtual loop; `epoch` is what its wall clock says at loop time 0."""

    def __init__(self, loop: VirtualLoop, epoch: float) -> None:
        self._loop = loop
        self.epoch = epoch

    def time(self) -> float:
        return self.epoch + self._loop.now

    def monotonic(self) -> float:
        return self._loop.now


class WallClock:
    """The clocks of a client whose wall clock may be set: `ahead` seconds before the true time, or behind it."""

    def __init__(self, true: VirtualClock, ahead: float) -> None:
        self._true = true
        self.ahead = ahead

    def time(self) -> float:
        return self._true.time() + self.ahead

    def monotonic(self) -> float:
        return self._true.monotonic()

    def jump(self, seconds: float) -> None:
        """Somebody sets the clock, forward or back."""
        self.ahead += seconds
