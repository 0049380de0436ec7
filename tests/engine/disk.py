"""The disk under the ledger of one run: it may be slow, be full from some moment on, or lose the process in any moment.

A moment is any point at which a write could be cut short: before a commit, after it and before its results lines are
appended, in the middle of an append, after it, and around the remembering of the results file's length. Whatever was
not committed when the process dies is lost: its connection is thrown away with the transaction in it.
"""

import asyncio
import errno
import os
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.core.errors import LedgerError
from pipeline.ledger import RESULTS_NAME, InlineCommitter, results, schema, writer
from tests.engine.replacing import replaced
from tests.engine.virtual import Crash

BEFORE_COMMIT = "before a commit"
AFTER_COMMIT = "after a commit"
BEFORE_APPEND = "before an append"
TORN = "in the middle of an append"
AFTER_APPEND = "after an append"
BEFORE_REMEMBERING = "before the length is remembered"
OWN_TRANSACTION = "before a transaction of the ledger itself"
MOMENTS = (BEFORE_COMMIT, AFTER_COMMIT, BEFORE_APPEND, TORN, AFTER_APPEND, BEFORE_REMEMBERING, OWN_TRANSACTION)


class Disk:
    """Counts its moments: the process dies in the nth of a kind (from 1), or its disk is full from there on."""

    def __init__(
        self,
        folder: Path,
        rng: random.Random,
        met: Counter[str],
        *,
        dies_at: tuple[str, int] | None = None,
        full_from: tuple[str, int] | None = None,
        latency: float = 0.0,
    ) -> None:
        self._folder = folder
        self._rng = rng
        self._met = met
        self._dies_at = dies_at
        self._full_from = full_from
        self._latency = latency
        self._moments: Counter[str] = Counter()
        self.full = False
        """It has run full; nothing was written since."""
        self._committer: _Committer | None = None

    def committer(self, folder: Path) -> InlineCommitter:
        """The ledger's committer on this disk."""
        self._committer = _Committer(folder, lambda: self._moment(BEFORE_COMMIT), self._delay)
        return self._committer

    def die(self) -> None:
        """Nothing is written any more, whoever still asks for it."""
        if self._committer is not None:
            self._committer.die()

    def bury(self, *, power_cut: bool) -> None:
        """Let go of the files of the dead; a power cut also takes what the results file had not flushed."""
        if self._committer is None:
            return
        self._committer.bury()
        path = self._folder / RESULTS_NAME
        if power_cut and path.exists():
            os.truncate(path, self._rng.randint(min(self._flushed(), path.stat().st_size), path.stat().st_size))

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Put this disk under the ledger."""
        with ExitStack() as stack:
            stack.enter_context(replaced(results, "_write", self._torn(results._write)))
            stack.enter_context(replaced(results, "_REMEMBER_EVERY", self._rng.choice([1, 1000, 256 * 1024])))
            for module in (schema, results):
                stack.enter_context(replaced(module, "transaction", self._transaction(module.transaction)))
            for name, what in (("append", AFTER_COMMIT), ("_remember", BEFORE_REMEMBERING)):
                method = self._preceded(getattr(results.ResultsFile, name), what)
                stack.enter_context(replaced(results.ResultsFile, name, method))
            yield

    def _delay(self) -> float:
        return self._rng.uniform(0.0, self._latency) if self._latency else 0.0

    def _moment(self, name: str) -> None:
        self._moments[name] += 1
        now = (name, self._moments[name])
        if now == self._dies_at:
            self._met[f"crash {name}"] += 1
            self.die()
            raise Crash(name)
        self.full = self.full or now == self._full_from
        if self.full:
            self._met[f"ledger's disk full {name}"] += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def _torn(self, write: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
        def torn(descriptor: int, content: bytes) -> int:
            self._moment(BEFORE_APPEND)
            done = self._rng.randrange(len(content))
            write(descriptor, content[:done])
            self._moment(TORN)
            write(descriptor, content[done:])
            self._moment(AFTER_APPEND)
            return len(content)

        return torn

    def _preceded(self, method: Callable[..., None], what: str) -> Callable[..., None]:
        def preceded(file: results.ResultsFile, connection: sqlite3.Connection) -> None:
            self._moment(what)
            method(file, connection)

        return preceded

    def _transaction(self, original: Callable[[sqlite3.Connection], Any]) -> Callable[[sqlite3.Connection], Any]:
        @contextmanager
        def transaction(connection: sqlite3.Connection) -> Iterator[None]:
            with original(connection):
                yield
                self._moment(OWN_TRANSACTION)

        return transaction

    def _flushed(self) -> int:
        """The length of the results file that the ledger relies on."""
        with suppress(sqlite3.Error):
            connection = sqlite3.connect(self._folder / schema.LEDGER_NAME)
            try:
                return int(connection.execute("SELECT results_bytes FROM meta").fetchone()[0])
            finally:
                connection.close()
        return 0


class _Committer(InlineCommitter):
    """Commits after a while, so that others gather meanwhile and time passes between a wish and its durability."""

    def __init__(self, folder: Path, before_commit: writer.Hook, delay: Callable[[], float]) -> None:
        super().__init__(folder, before_commit)
        self._delay = delay

    async def start(self) -> None:
        await super().start()
        self._loop: Any = _LaterLoop(asyncio.get_running_loop(), self._delay)

    def die(self) -> None:
        self._closed, self._broken, self._waiting = True, LedgerError("the process is gone"), []

    def bury(self) -> None:
        if hasattr(self, "_writer"):
            with suppress(OSError, sqlite3.Error):
                self._writer.abandon()


class _LaterLoop:
    """What a committer needs of an event loop; what is to be called soon is called when the disk has had its time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: Callable[[], float]) -> None:
        self._loop = loop
        self._delay = delay
        self.create_future = loop.create_future

    def call_soon(self, callback: Callable[[], None]) -> None:
        delay = self._delay()
        if delay:
            self._loop.call_later(delay, callback)
        else:
            self._loop.call_soon(callback)
