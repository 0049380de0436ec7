"""An event loop on virtual time: nobody waits, and waiting for nothing is an error that names itself."""

import asyncio
import contextlib
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Crash(BaseException):
    """The process is gone."""


class Deadlock(AssertionError):  # noqa: N818 - the name says it
    """Everything waits and nothing is scheduled."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when everything waits, and then at once to the next timer.

    `at_turn` is called with the number of each turn of the loop and may raise `Crash`.
    """

    def __init__(self, at_turn: Callable[[int], None] = lambda _: None) -> None:
        self.now = 0.0
        self._abandoned = False
        super().__init__(_JumpingSelector(self, at_turn))
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
        with contextlib.suppress(RuntimeError):
            coroutine.close()
            return


class _JumpingSelector(selectors.SelectSelector):
    """Looks at real file descriptors without waiting, and moves the clock instead."""

    def __init__(self, loop: VirtualLoop, at_turn: Callable[[int], None]) -> None:
        super().__init__()
        self._loop = loop
        self._at_turn = at_turn
        self._turn = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._turn += 1
        self._at_turn(self._turn)
        ready = super().select(0)
        if not ready and timeout is None:
            raise Deadlock("every coroutine waits and no timer is set")
        if not ready and timeout:
            self._loop.now += timeout
        return ready


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
