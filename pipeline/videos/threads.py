"""Blocking work in a few threads of one's own, safe to cancel."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Asked = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""A call, and the future that waits for it."""

_THREADS = 8
"""At most; they are made when needed. More only queue up at the disk, and hashing wants a core each."""


class OwnThreads:
    """A few threads for one kind of blocking work, so that it never holds up anybody else's.

    A hop through them costs half of one through a `ThreadPoolExecutor`, whose futures live in two worlds at once;
    these belong to the event loop, and the threads only knock.
    """

    def __init__(self, name: str, most: int = _THREADS) -> None:
        self._name = name
        self._most = most
        self._threads: list[threading.Thread] = []
        self._calls: SimpleQueue[_Asked | None] = SimpleQueue()
        self._under_way: dict[asyncio.Future[Any], asyncio.Future[None] | None] = {}
        """Calls begun and not ended, each with who waits for its end although it was cancelled."""

    def start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begin the call; hand the future to `settled`, or await it and leave the thread alone."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._under_way[future] = None
        if len(self._threads) < self._most and len(self._threads) < len(self._under_way):
            self._add_thread()
        self._calls.put((future, call, args, kwargs))
        return future

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Begin the call; what is returned waits for its end."""
        return self.settled(self.start(call, *args, **kwargs))

    async def settled(self, work: asyncio.Future[T], hurry: Callable[[], None] = lambda: None) -> T:
        """The result of a call, waited for to its end even when the waiter is cancelled meanwhile.

        A thread cannot be stopped, and closing its file under it could hit a stranger's descriptor. So a cancellation
        is passed on only after the call has ended; what it then has to say goes unheard. `hurry` is called at the
        cancellation, to tell long work that it may end early.
        """
        try:
            return await work
        except asyncio.CancelledError as exc:
            cancelled = exc
        if not work.cancelled():
            work.exception()  # marks an error as seen: asyncio reports the others as lost
        while work in self._under_way:
            hurry()
            ended = self._under_way[work] = work.get_loop().create_future()
            try:
                await ended
            except asyncio.CancelledError as exc:
                cancelled = exc
        raise cancelled

    def close(self) -> None:
        """End each thread once it has nothing to do. What nobody has waited for is not waited for here either."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._calls.put(None)

    def _add_thread(self) -> None:
        # A daemon: a call that hangs in the system for ever must not hold up the end of the process.
        thread = threading.Thread(target=self._serve, name=f"{self._name}_{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ended(self, future: asyncio.Future[Any], value: object, error: BaseException | None) -> None:
        """What a thread knocks for."""
        waiter = self._under_way.pop(future)
        if future.cancelled():
            if waiter is not None and not waiter.done():
                waiter.set_result(None)
        elif error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    # -- on the threads

    def _serve(self) -> None:
        while (asked := self._calls.get()) is not None:
            self._work(*asked)
            del asked  # it holds a block of bytes, and the next call may be long in coming

    def _work(
        self, future: asyncio.Future[Any], call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        value: object = None
        error: BaseException | None = None
        try:
            value = call(*args, **kwargs)
        except BaseException as exc:  # noqa: BLE001 - handed to whoever waits for the call
            error = exc
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            future.get_loop().call_soon_threadsafe(self._ended, future, value, error)
        del error  # it holds this frame, which must not hold it
