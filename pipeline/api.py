"""The doors for a program: read a manifest, run it, and iterate over the results as they come.

The command line goes through the same doors; this is the one place where the real parts are put together.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from pipeline.beside import Beside, Ended, check
from pipeline.catalog import Catalog, Quoter
from pipeline.core.clock import LoopClock
from pipeline.core.errors import LedgerError, PipelineError, UsageError
from pipeline.core.events import Event, FolderAwaited, JobMoved, Listener, nobody
from pipeline.core.jobs import ENDED, EVERY_STATE, Failure, Job, JobState
from pipeline.core.values import Value
from pipeline.engine.batch import Batch, Summary
from pipeline.engine.desk import Stop
from pipeline.folder import default_folder, hold_when_free, run_folder
from pipeline.ledger import PRICES_KEY, Ledger, LedgerReader, Reading
from pipeline.manifest import Manifest, open_manifest
from pipeline.modelverse.wire import Traits
from pipeline.settings import Settings, read_api_key, settings_for
from pipeline.views.facts import About
from pipeline.views.next_step import BY_PROGRAM, Commands

REHEARSAL_SPEED = 20.0

_STATUS = {JobState.DONE: "succeeded", JobState.FAILED: "failed", JobState.UNKNOWN: "unknown"}


class Result(Value):
    """How one job ended in this run."""

    job_id: str
    status: str
    """`succeeded`, `failed` or `unknown`, as in results.jsonl."""
    files: tuple[Path, ...]
    failure: Failure | None
    attempt: int
    task_id: str | None
    job: Job


class Examined(Value):
    """A manifest without a problem."""

    reading: Reading
    checked: bool
    """False where the folder's ledger knows it already, and no row was read."""


class Run:
    """A run in progress: `async with` it, then `await` its `summary()`, or iterate over it (if made with `iterate`).

    Leaving the block early stops the run as a signal would: what is paid for is on record for the next run.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        *,
        examined: Examined,
        settings: Settings,
        api_key: str | None = None,
        rehearse: bool = False,
        speed: float = REHEARSAL_SPEED,
        scenario: Path | None = None,
        listener: Listener = nobody,
        moves: frozenset[JobState] = EVERY_STATE,
        iterate: bool = False,
        commands: Commands = BY_PROGRAM,
    ) -> None:
        """`moves` are the states in which the listener wants to hear of a job, those of an end among them.

        `commands` are what to type next, for those who are told of its end.
        """
        self.folder = run_folder(folder, rehearse=rehearse)
        self._manifest = manifest
        self._examined = examined
        self._settings = settings
        self._api_key = api_key
        self._rehearse = rehearse
        self._speed = speed
        self._scenario = scenario
        self._listener = listener
        self._moves = moves
        self._commands = commands
        self._iterate = iterate  # results nobody takes would pile up
        self._results: asyncio.Queue[Result | None] = asyncio.Queue()
        self._open = contextlib.AsyncExitStack()
        self._batch: Batch | None = None
        self._beside: Beside | None = None
        self._running: asyncio.Task[Summary] | None = None
        self._over = False
        self._waited = False
        """Another run held the folder, and this one waited for it."""
        self._failing = False
        """An error is under way that says more than anything that goes wrong while everything is closed."""

    async def __aenter__(self) -> "Run":
        async with contextlib.AsyncExitStack() as stack:
            self._batch, self._beside = await self._assemble(stack)
            self._open = stack.pop_all()
        self._running = asyncio.create_task(self._to_the_end(self._batch, self._beside))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or not self._over:  # what belongs to the end of a whole run has its time
            self.stop("signal", "the program left the run")
        try:
            if self._running is not None:
                await self._ended(self._running)
        finally:
            failure = _failure(self._running)
            self._failing = error is not None or failure is not None
            await self._open.aclose()
        if error is None and failure is not None:
            raise failure
        if error is not None and isinstance(failure, LedgerError) and failure is not error:
            error.add_note(failure.message)  # it may name tasks that are not on record

    async def _ended(self, running: "asyncio.Task[Summary]") -> None:
        """Wait for the end of the run; cancelled, it ends the run at once and passes the cancellation on."""
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            self.stop("signal", "the program was cancelled", grace=0.0)
            await asyncio.wait({running})
            raise

    async def __aiter__(self) -> AsyncIterator[Result]:
        while (result := await self._results.get()) is not None:
            yield result

    async def summary(self) -> Summary:
        """Wait for the end. Raises what ended the run early, where that was an error."""
        if self._running is None:
            raise RuntimeError("enter the run first")
        return await asyncio.shield(self._running)

    def stop(self, reason: str, message: str, grace: float | None = None) -> None:
        """Ask the run to end within the grace (seconds; the setting's by default)."""
        if self._batch is not None and not self._over:
            self._batch.go_home(Stop(reason, message), grace)
        if self._beside is not None:
            self._beside.hurry(self._settings.grace if grace is None else grace)

    async def _assemble(self, stack: contextlib.AsyncExitStack) -> tuple[Batch, Beside]:
        """Every real part, opened in the order in which they depend on each other."""
        if self._settings.notify is not None or self._settings.metrics_file is not None:
            await asyncio.to_thread(check, self._settings)
        await stack.enter_async_context(hold_when_free(self.folder, self._settings.wait_lock, self._await_folder))
        settings, api_key = await self._account(stack)
        catalog = self._manifest.catalog
        run_id = new_run_id()
        ledger = await Ledger.open(self.folder, run_id=run_id, at=time.time())
        stack.push_async_callback(self._close, ledger)
        ledger.remember(PRICES_KEY, catalog.prices_as_of)
        made = Beside(
            settings,
            self._about(run_id),
            ledger,
            tell=self._hear,
            slots_used=self._slots_used,
            moved=lambda: self._batch is not None and self._batch.moved,
        )
        beside = await stack.enter_async_context(made)
        # The slowest import, which a command has begun beside all this, is waited for as late as can be.
        from pipeline.modelverse.client import ModelVerseClient
        from pipeline.videos import LocalVideoStore
        from pipeline.videos.names import OwnResolver

        names = OwnResolver("service-names")  # a name server that does not answer must not hold up a stop
        stack.push_async_callback(names.close)
        client = ModelVerseClient(settings.service, api_key, traits_for=_traits_by(catalog), resolver=names)
        service = await stack.enter_async_context(client)
        store = await stack.enter_async_context(LocalVideoStore(self.folder, settings.fetch))
        batch = Batch(
            ledger,
            service,
            store,
            settings,
            clock=LoopClock(asyncio.get_running_loop().time),
            listener=self._hear,
            seconds=lambda job: _typical_seconds(catalog, job),
            prices=Quoter(catalog),
            moves=self._moves | beside.moves,
        )
        return batch, beside

    async def _close(self, ledger: Ledger) -> None:
        """A ledger that is broken says so again; behind an error, which may name what is not on record, it is quiet."""
        try:
            await ledger.close(at=time.time())
        except LedgerError:
            if not self._failing:
                raise

    def _about(self, run_id: str) -> About:
        file = Path(self._manifest.file)
        manifest = str(file.absolute()) if file.is_file() else self._manifest.file
        return About(run_id, manifest, self.folder.absolute(), self._rehearse, self._commands)

    def _slots_used(self) -> int:
        return self._batch.account.slots.in_use if self._batch is not None else 0

    async def _account(self, stack: contextlib.AsyncExitStack) -> tuple[Settings, str]:
        """Where to submit and with which key: the real service, or the emulator on this machine."""
        if not self._rehearse:
            return self._settings, self._api_key if self._api_key is not None else read_api_key(None)
        from pipeline.emulator import Emulator, Scenario

        scenario = Scenario.load(self._scenario) if self._scenario else Scenario()
        emulator = Emulator(scenario, speed=self._speed, folder=self.folder / ".emulator")
        await stack.enter_async_context(emulator)
        lag = self._settings.poll_lag / self._speed  # the service's time is compressed, and so is what is wanted of it
        return msgspec.structs.replace(self._settings, endpoint=emulator.base_url, poll_lag=lag), "rehearsal"

    async def _to_the_end(self, batch: Batch, beside: Beside) -> Summary:
        """The batch, and then what belongs to its end; the folder is held all the while."""
        try:
            summary = await self._to_the_last_job(batch)
        except Exception as error:
            await beside.finish(Ended(error=error))
            raise
        await beside.finish(Ended(summary))
        return summary

    async def _to_the_last_job(self, batch: Batch) -> Summary:
        try:
            if self._waited:  # a manifest that is known would not be looked at again
                self._require_unchanged()
            return await batch.run(self._jobs(), self._examined.reading)
        finally:
            self._over = True
            self._results.put_nowait(None)

    def _jobs(self) -> Iterator[Job]:
        """The manifest's jobs, as they were when it was checked.

        A manifest that is known is never read; where its ledger has changed since it was looked up, it is checked now.
        """
        if not self._examined.checked:
            self._manifest.check()
        yield from self._manifest.jobs()
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        if self._manifest.identity() != self._examined.reading.identity:
            raise UsageError(
                f"{self._manifest.file} changed since it was checked and nothing was submitted; "
                "run the same command again"
            )

    def _await_folder(self) -> None:
        self._waited = True
        self._listener(FolderAwaited(time.time(), str(self.folder), self._settings.wait_lock or 0.0))

    def _hear(self, event: Event) -> None:
        self._listener(event)
        if self._beside is not None:
            self._beside.hear(event)
        if self._iterate and isinstance(event, JobMoved) and event.outcome is not None:
            files = tuple(self.folder / file.path for file in event.outcome.files)
            failure = event.outcome.failure
            self._results.put_nowait(
                Result(event.job.job_id, _STATUS[event.state], files, failure, event.attempt, event.task_id, event.job)
            )


@contextlib.asynccontextmanager
async def run(
    manifest: str | Path,
    folder: str | Path | None = None,
    *,
    rehearse: bool = False,
    api_key: str | None = None,
    listener: Listener = nobody,
    **settings: Any,
) -> AsyncIterator[Run]:
    """Check a manifest and run it: `async with run("shots.yaml") as batch: async for result in batch: ...`.

    `folder` is `outputs/<manifest name>` by default; with `rehearse` the built-in emulator takes the service's place
    (nothing is paid). Settings are given by name and win over the manifest's `run:`. Raises `PipelineError`s.
    """
    with open_manifest(manifest) as opened:
        opened.judge_by(settings)
        target = Path(folder) if folder is not None else default_folder(opened.name)
        examined = await asyncio.to_thread(examine, opened, run_folder(target, rehearse=rehearse))
        chosen = settings_for(opened.run, opened.file, settings)
        made = Run(
            opened,
            target,
            examined=examined,
            settings=chosen,
            api_key=None if rehearse else api_key or read_api_key(None),
            rehearse=rehearse,
            listener=listener,
            moves=ENDED if listener is nobody else EVERY_STATE,
            iterate=True,
        )
        async with made as running:
            yield running


def examine(manifest: Manifest, folder: Path) -> Examined:
    """Check the manifest, unless it is the very one that was last enrolled into the folder, whole.

    Raises `ManifestError` with every problem.
    """
    identity = manifest.identity()
    known = _last_reading(folder)
    if known is not None and identity is not None and known.identity == identity:
        return Examined(known, checked=False)
    warnings = tuple(str(warning) for warning in manifest.check().warnings)
    return Examined(Reading(identity, warnings), checked=True)


def _failure(running: "asyncio.Task[Summary] | None") -> BaseException | None:
    """What ended the run, where that was an error."""
    if running is None or not running.done():
        return None
    return asyncio.CancelledError() if running.cancelled() else running.exception()


def _last_reading(folder: Path) -> Reading | None:
    try:
        with LedgerReader(folder) as reader:
            return reader.last_reading()
    except PipelineError:  # no batch yet, or a ledger that the run will complain about
        return None


def new_run_id() -> str:
    """Sortable by time, distinct within a second: `20261122T020000Z-3f2a`."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + secrets.token_hex(2)


def _traits_by(catalog: Catalog) -> Callable[[Job], Traits]:
    """What a job's model wants beside its fields. Most want nothing, whatever the shape of the request."""
    plain = Traits()

    @cache
    def wants_something(model: str) -> bool:
        return any(Traits(entry.headers, entry.idempotency) != plain for entry in catalog.entries_of(model))

    def traits(job: Job) -> Traits:
        if not wants_something(job.model):
            return plain
        entry = catalog.entry_for(job.model, {"input": job.input, "parameters": job.parameters})
        return Traits(entry.headers, entry.idempotency) if entry else plain

    return traits


def _typical_seconds(catalog: Catalog, job: Job) -> float | None:
    request = {"input": job.input, "parameters": job.parameters}
    entry = catalog.entry_for(job.model, request)
    return entry.typical_seconds_for(request) if entry else None
