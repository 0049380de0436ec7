"""Group commit: many steps in one transaction, so that a thousand transitions cost a few flushes.

There is no timer: while one group is flushed to the disk the next one gathers, and that is window enough. What one turn
of the event loop asks for is handed over together, so that the thread does not wake for a part of it.

A step that raises fails alone, because every step finds out that it cannot be done before it writes. A group that
cannot be committed fails as a whole and breaks the ledger: from then on every call raises `LedgerError`.

What a step did stays done when the caller that waits for it is cancelled.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Concatenate, ParamSpec, TypeVar

from pipeline.core.errors import LedgerError
from pipeline.ledger.connection import LedgerConnection
from pipeline.ledger.faults import translated
from pipeline.ledger.results import RESULTS_NAME, ResultsFile, refuse_orphans
from pipeline.ledger.schema import LEDGER_NAME, close_on_error, open_for_writing

P = ParamSpec("P")
T = TypeVar("T")

Hook = Callable[[], None]
"""Called right before a commit; what it raises fails the commit, as a full disk would."""


_Step = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...], dict[str, Any]]
"""One thing to do in a transaction: the future that waits for its durability, a function, and what it is called with.

A bare tuple: with a thousand callers the event loop does little else than make these.
"""
_Answer = tuple[Any, Exception | None]


# -- the work, without waiting --------------------------------------------------------------------------------------


class _GroupWriter:
    """One connection and one results file; used by one thread only."""

    def __init__(self, folder: Path, before_commit: Hook | None) -> None:
        self._ledger_path = folder / LEDGER_NAME
        self._results_path = folder / RESULTS_NAME
        self._before_commit = before_commit
        refuse_orphans(folder)
        self._connection = open_for_writing(folder)
        with close_on_error(self._connection), translated(self._results_path):
            self._results = ResultsFile(folder, self._connection)
        self.broken: LedgerError | None = None
        """Why nothing can be written any more."""

    def commit(self, group: Sequence[_Step]) -> list[_Answer]:
        """Carry the steps out in one transaction and export the results lines that they made.

        Raises `LedgerError` where nothing of the group was committed.
        """
        if self.broken:
            raise self.broken
        try:
            with translated(self._ledger_path):
                self._connection.execute("BEGIN IMMEDIATE")
                answers = self._answers(group)
                self._connection.count()
                self._results.remember_if_due(self._connection)
                self._commit()
        except LedgerError as error:
            self._break(error)
            raise
        except Exception as error:
            complaint = LedgerError(f"{self._ledger_path}: cannot go on: {error!r}")
            self._break(complaint)
            raise complaint from error
        self._export()
        return answers

    def _answers(self, group: Sequence[_Step]) -> list[_Answer]:
        connection, answers = self._connection, list[_Answer]()
        for _, function, args, kwargs in group:
            try:
                answers.append((function(connection, *args, **kwargs), None))
            except sqlite3.Error:
                raise  # the transaction can no longer be trusted, so the whole group fails
            except Exception as error:  # noqa: BLE001 - handed to the caller that waits for this step
                answers.append((None, error))
        return answers

    def _commit(self) -> None:
        if self._before_commit:
            self._before_commit()
        self._connection.execute("COMMIT")

    def _export(self) -> None:
        """The group is durable whatever happens here; lines that do not reach the file are exported next time."""
        try:
            with translated(self._results_path):
                self._results.append(self._connection)
        except LedgerError as error:
            self.broken = error

    def _break(self, error: LedgerError) -> None:
        self.broken = error
        self._connection.rolled_back()
        with suppress(sqlite3.Error):
            self._connection.rollback()

    def close(self) -> None:
        """Note how far the results file has come and close. Raises `LedgerError` where the ledger is broken.

        The last connection that closes also writes the log back and removes it (https://sqlite.org/wal.html).
        """
        try:
            if self.broken:
                raise self.broken
            with translated(self._results_path):
                self._results.remember_now(self._connection)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Drop everything that is not committed, as a crash would."""
        self._results.close()
        self._connection.close()


def _deliver(group: Sequence[_Step], answers: Sequence[_Answer]) -> None:
    for (future, _, _, _), (value, error) in zip(group, answers, strict=True):
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _fail(group: Sequence[_Step], error: LedgerError) -> None:
    for future, _, _, _ in group:
        if not future.done():
            future.set_exception(_again(error))
            future.exception()  # nobody needs to await it: every later call says the same


def _again(error: LedgerError) -> LedgerError:
    """The same complaint for another caller, so that tracebacks do not pile up in one exception."""
    copy = LedgerError(error.message)
    copy.__cause__ = error
    return copy


_OVER = "the ledger is closed"


# -- a thread that does it ------------------------------------------------------------------------------------------


class Committer:
    """Group commit on a thread of its own; belongs to the event loop that starts it."""

    def __init__(self, folder: Path, before_commit: Hook | None = None) -> None:
        self._folder = folder
        self._before_commit = before_commit
        self._gathering: list[_Step] = []
        self._queue: SimpleQueue[list[_Step] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="ledger", daemon=True)
        self._broken: LedgerError | None = None

    async def start(self) -> None:
        """Open the ledger. Raises `LedgerError`; where it is cancelled, it first closes what it opened."""
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._closing = False
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            self._queue.put(None)
            await asyncio.wait([self._closed])  # the caller is about to give the folder to others
            raise

    def enqueue(
        self, function: Callable[Concatenate[LedgerConnection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Have `function` called in the next transaction; what is returned is done when that is durable.

        Raises `LedgerError` at once where the ledger is broken.
        """
        if self._broken:
            raise _again(self._broken)
        if self._closing:
            raise RuntimeError(_OVER)
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._gathering:
            self._loop.call_soon(self._hand_over)
        self._gathering.append((future, function, args, kwargs))
        return future

    def _hand_over(self) -> None:
        group, self._gathering = self._gathering, []
        if group:
            self._queue.put(group)

    async def close(self) -> None:
        """Carry out what is queued, and close. Raises `LedgerError` where the ledger is broken."""
        if not self._closing:
            self._closing = True
            self._hand_over()
            self._queue.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()

    # -- on the thread

    def _run(self) -> None:
        try:
            writer = _GroupWriter(self._folder, self._before_commit)
        except BaseException as error:  # noqa: BLE001 - raised again by `start`
            self._tell(_settle, self._opened, error)
            self._tell(_settle, self._closed, None)
            return
        self._tell(_settle, self._opened, None)
        while self._commit_next(writer):
            pass
        try:
            writer.close()
        except BaseException as error:  # noqa: BLE001 - raised again by `close`
            self._tell(_settle, self._closed, error)
        else:
            self._tell(_settle, self._closed, None)

    def _commit_next(self, writer: _GroupWriter) -> bool:
        """Wait for steps, take whatever else has gathered, and commit it. False when it is time to close."""
        taken = [self._queue.get()]
        taken += [self._queue.get() for _ in range(self._queue.qsize())]  # nobody else takes from it
        group = [step for steps in taken if steps is not None for step in steps]
        try:
            answers = writer.commit(group) if group else []
        except LedgerError as error:
            self._broken = error
            self._tell(_fail, group, error)
        else:
            self._broken = writer.broken
            self._tell(_deliver, group, answers)
        return None not in taken

    def _tell(self, function: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop is gone, and with it everybody who could listen
            self._loop.call_soon_threadsafe(function, *args)


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


# -- or the event loop itself ---------------------------------------------------------------------------------------


class InlineCommitter:
    """Group commit without a thread: whatever one turn of the event loop asks for is committed in the next.

    For loops whose time is not the machine's; each commit blocks the loop.
    """

    def __init__(self, folder: Path, before_commit: Hook | None = None) -> None:
        self._folder = folder
        self._before_commit = before_commit
        self._waiting: list[_Step] = []
        self._broken: LedgerError | None = None
        self._closed = False

    async def start(self) -> None:
        """Open the ledger. Raises `LedgerError`."""
        self._loop = asyncio.get_running_loop()
        self._writer = _GroupWriter(self._folder, self._before_commit)

    def enqueue(
        self, function: Callable[Concatenate[LedgerConnection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """As `Committer.enqueue`."""
        if self._broken:
            raise _again(self._broken)
        if self._closed:
            raise RuntimeError(_OVER)
        future: asyncio.Future[T] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._commit_waiting)
        self._waiting.append((future, function, args, kwargs))
        return future

    async def close(self) -> None:
        """As `Committer.close`; after a crash there is nothing left to close."""
        if not self._closed:
            self._commit_waiting()
            self._closed = True
            self._writer.close()

    def crash(self) -> None:
        """Abandon everything that is not committed; whoever waits for it, or asks for more, gets a `LedgerError`."""
        if self._closed:
            return
        self._closed = True
        self._broken = LedgerError("the ledger was abandoned")
        waiting, self._waiting = self._waiting, []
        _fail(waiting, self._broken)
        self._writer.abandon()

    def _commit_waiting(self) -> None:
        group, self._waiting = self._waiting, []
        if not group:
            return
        try:
            answers = self._writer.commit(group)
        except LedgerError as error:
            self._broken = error
            _fail(group, error)
        else:
            self._broken = self._writer.broken
            _deliver(group, answers)
