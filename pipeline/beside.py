"""What happens beside a run: metrics, hooks, sidecars, the report, and telling others how it ended.

Nothing here can fail, delay or change the run. It hears events and only takes note; its work is done in asyncio tasks
and threads of its own, and whatever goes wrong becomes an `ExtraFailed`. `finish` comes after the batch, while the
folder is still held. A stop limits its patience, so that the whole process ends in time.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.core.errors import PipelineError
from pipeline.core.events import Event, ExtraFailed, JobMoved, Listener
from pipeline.core.jobs import ENDED, EVERY_STATE, JobState
from pipeline.core.values import Value
from pipeline.engine.batch import Summary
from pipeline.ledger import Ledger, LedgerReader
from pipeline.settings import Notify, Settings
from pipeline.views import metrics, notify, sidecar
from pipeline.views.facts import SHOWN, About, RunEnd
from pipeline.views.hooks import JobHooks, run_hook
from pipeline.views.metrics import LastRun, MetricsFile, Now
from pipeline.views.next_step import buys_again, is_unselected

BUG = 70
"""The exit code of a run that ends by a bug."""
PATIENCE = 2.0
"""Seconds that are left for everything here, after a batch that was told to stop."""
MORE_THAN_GRACE = 0.5
"""Seconds after the grace of a stop at which everything here has ended, whatever the batch took of it."""
AT_ONCE = 0.25
"""Seconds, where the stop leaves no grace at all."""
LONGEST_WORK = 600.0
"""Seconds that the report, and that sidecars, may take after a run that was not told to stop."""

MOST_REPORTED = 100_000
"""Jobs of a batch up to which a run writes the report by itself: for a million it takes a quarter of a minute and some
two hundred megabytes, and a run's memory does not grow with its batch."""

_TELL_EVERY = 60.0
"""Seconds in which a kind of failure is told once."""
_WAITING_SIDECARS = 5000
"""Jobs' ids in memory; what does not fit is found by the look at the folder at the end."""
_SIDECARS_AT_ONCE = 50
_TOLD_KEY = "on_job.told"
_LAST_RUN_KEY = "metrics.last_run"

WriteReport = Callable[[Path], object]
Work = Callable[[], Awaitable[object]]


def write_report(folder: Path) -> Path:
    """Write the folder's report.html."""
    from pipeline.views import report  # its template engine is imported when there is something to report

    return report.write_report(folder)


def wants_report(settings: Settings, end: RunEnd) -> bool:
    """Whether the end of a run is to be reported: it did something, and the batch is not too large for that."""
    return settings.report and end.moved and sum(end.counts.values()) <= MOST_REPORTED


def check(settings: Settings) -> None:
    """Refuse settings that cannot work here, before anything is submitted. Raises `UsageError`; may take a moment."""
    if settings.metrics_file is not None:
        metrics.check_library()
    if settings.notify is not None:
        notify.check_channels(settings.notify)


class Complaints:
    """Tells what went wrong: each kind at once, and then now and then."""

    def __init__(self, tell: Callable[[str, str], None], get_time: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._get_time = get_time
        self._told: dict[str, tuple[float, int, str]] = {}

    def hear(self, what: str, message: str) -> None:
        """Something of this kind failed."""
        now = self._get_time()
        told_at, untold, _ = self._told.get(what, (now - _TELL_EVERY, 0, ""))
        if now - told_at < _TELL_EVERY:
            self._told[what] = told_at, untold + 1, message
            return
        self._told[what] = now, 0, message
        self._tell(what, _gathered(message, untold))

    def close(self) -> None:
        """Tell of what went untold: the last of each kind."""
        for what, (_, untold, message) in self._told.items():
            if untold:
                self._tell(what, _gathered(message, untold - 1))
        self._told.clear()


def _gathered(message: str, more: int) -> str:
    return f"{message} ({more:,} more since the last)" if more else message


class Ended(Value):
    """How the batch ended: with a summary, or with an error."""

    summary: Summary | None = None
    error: Exception | None = None

    @property
    def exit_code(self) -> int:
        """Of the whole run."""
        if self.summary is not None:
            return self.summary.exit_code
        return self.error.exit_code if isinstance(self.error, PipelineError) else BUG

    @property
    def message(self) -> str | None:
        """What ended the run, where that was an error."""
        if self.error is None:
            return None
        return self.error.message if isinstance(self.error, PipelineError) else f"a bug: {type(self.error).__name__}"


class Beside:
    """Everything beside one run; an async context manager whose `finish` is called inside it."""

    def __init__(
        self,
        settings: Settings,
        about: About,
        ledger: Ledger,
        *,
        tell: Listener,
        slots_used: Callable[[], int] = lambda: 0,
        moved: Callable[[], bool] = lambda: False,
        report: WriteReport = write_report,
    ) -> None:
        from pipeline.videos.threads import OwnThreads

        self._settings = settings
        self._about = about
        self._ledger = ledger
        self._tell = tell
        self._slots_used = slots_used
        self._has_moved = moved
        self._write_report = report
        self._complaints = Complaints(lambda what, message: tell(ExtraFailed(time.time(), what, message)))
        self._started_at = time.time()
        self._base = 0
        """The last results line when the run began."""
        self._threads = {name: OwnThreads(name, most=1) for name in ("facts", "metrics", "sidecar", "report", "on_job")}
        self._running: list[asyncio.Task[Any]] = []
        self._heard = metrics.Heard()
        self._file: MetricsFile | None = None
        self._last_run = LastRun()
        self._in_progress = True
        self._hooks: JobHooks | None = None
        self._telling_jobs: asyncio.Task[None] | None = None
        self._unwritten: deque[str] = deque()
        self._sidecar = settings.sidecar
        self._sidecar_news = asyncio.Event()
        self._channels = notify.Channels(settings.notify.apprise) if settings.notify else None
        self._hurried = asyncio.Event()
        self._leave_at: float | None = None
        self._patience: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    # -- while the run goes on -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self._guarded(self._wanted, self._begin)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def moves(self) -> frozenset[JobState]:
        """The states in which it wants to hear of a job."""
        return ENDED if self._settings.metrics_file is None else EVERY_STATE

    def hear(self, event: Event) -> None:
        """Take note of an event; never waits, never raises."""
        if self._file is not None:
            self._heard.hear(event)
        if not isinstance(event, JobMoved):
            return
        if self._hooks is not None and event.state.ended:
            self._hooks.wake()
        if self._sidecar and event.state is JobState.DONE and len(self._unwritten) < _WAITING_SIDECARS:
            self._unwritten.append(event.job.job_id)
            self._sidecar_news.set()

    def hurry(self, grace: float) -> None:
        """The run was told to stop, with so much grace (seconds): begin nothing more, and end in time."""
        now = asyncio.get_running_loop().time()
        self._leave_by(now + (grace + MORE_THAN_GRACE if grace > 0 else AT_ONCE))
        if self._patience is not None:  # the batch has ended already
            self._leave_by(now + PATIENCE)
        self._hurried.set()
        if self._hooks is not None:
            self._hooks.hurry()

    def _leave_by(self, at: float) -> None:
        self._leave_at = at if self._leave_at is None else min(at, self._leave_at)
        if self._patience is not None:
            with contextlib.suppress(RuntimeError):  # over already
                self._patience.reschedule(self._leave_at)

    async def _begin(self) -> None:
        settings = self._settings
        told = await self._ledger.recall(_TOLD_KEY)
        self._base = await self._threads["facts"].start(_last_line, self._about.folder)
        if settings.on_job is not None:
            self._begin_hooks(settings.on_job, told)
        elif told:
            self._remember(_TOLD_KEY, "")  # what ends without a command is never told of
        if settings.sidecar:
            self._start("sidecar", self._write_sidecars)
        if settings.metrics_file is not None:
            self._last_run = LastRun.load(await self._ledger.recall(_LAST_RUN_KEY))
            self._begin_metrics(settings.metrics_file)

    @property
    def _wanted(self) -> str:
        """What a failure of everything here is told as: the first of what was asked for."""
        settings = self._settings
        asked = {
            "on_job": settings.on_job,
            "on_finish": settings.on_finish,
            "notify": settings.notify,
            "metrics": settings.metrics_file,
            "sidecar": settings.sidecar,
        }
        return next((what for what, value in asked.items() if value), "report")

    def _start(self, what: str, work: Work) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guarded(what, work))
        self._running.append(task)
        return task

    async def _guarded(self, what: str, work: Work) -> None:
        """Whatever the work raises is told and goes no further."""
        try:
            await work()
        except PipelineError as error:
            self._complaints.hear(what, error.message)
        except Exception as error:  # noqa: BLE001 - a bug beside the run must not reach it
            words = "" if what == "notify" else f": {error}"  # a library's words may hold an address
            self._complaints.hear(what, f"a bug: {type(error).__name__}{words}")

    def _remember(self, key: str, text: str) -> None:
        with contextlib.suppress(PipelineError):  # a ledger that cannot go on says so to the run
            self._ledger.remember(key, text)

    async def _close(self) -> None:
        """End everything that still runs; commands are killed."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._complaints.close()
        for threads in self._threads.values():
            threads.close()
        if self._channels is not None:
            self._channels.close()

    # -- when the run has ended ----------------------------------------------------------------------------------------

    async def finish(self, ended: Ended) -> None:
        """Do what belongs to the end of the run, one thing after the other; in a hurry, all at the same time."""
        begun: dict[str, asyncio.Task[None]] = {}
        self._stop_telling_after_deadline(ended)
        try:
            async with asyncio.timeout_at(self._leave_at) as self._patience:
                await self._guarded(self._wanted, partial(self._finish, ended, begun))
        except TimeoutError:
            for what in [what for what, task in begun.items() if task.cancelled() or not task.done()]:
                self._complaints.hear(what, "it was cut short, because the run was told to stop")
        self._complaints.close()

    async def _finish(self, ended: Ended, begun: "dict[str, asyncio.Task[None]]") -> None:
        """Begin each step when the one before has ended, or in a hurry, and wait for all of them."""
        hurried = asyncio.create_task(self._hurried.wait())
        self._running.append(hurried)
        if self._leave_at is not None:
            self._leave_by(asyncio.get_running_loop().time() + PATIENCE)
        end = await self._look(ended)
        for what, work in self._steps(end):
            begun[what] = self._start(what, work)
            await asyncio.wait([begun[what], hurried], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*begun.values())

    def _steps(self, end: RunEnd) -> Iterator[tuple[str, Work]]:
        settings = self._settings
        if self._hooks is not None:
            yield "on_job", partial(self._tell_jobs, self._hooks)
        if settings.sidecar:
            yield "sidecar", self._complete_sidecars
        if wants_report(settings, end):
            yield "report", self._report
        if self._file is not None:
            yield "metrics", partial(self._write_last_metrics, self._file, end)
        if settings.notify is not None and notify.wants(settings.notify, end):
            yield "notify", partial(self._notify, settings.notify, end)
        if settings.on_finish is not None:
            yield "on_finish", partial(self._on_finish, settings.on_finish, end)

    async def _look(self, ended: Ended) -> RunEnd:
        """The end of the run by its ledger; by the run's own word where that cannot be read."""
        known: dict[str, Any] = {}
        with contextlib.suppress(PipelineError):  # then there is nothing more to tell
            known = await self._threads["facts"].start(_facts, self._about.folder, self._base)
        summary = ended.summary
        stops = summary.stops if summary else ()
        known = {"counts": summary.counts if summary else {}} | known
        return RunEnd(
            about=self._about,
            exit_code=ended.exit_code,
            started_at=self._started_at,
            ended_at=time.time(),
            moved=self._has_moved() or bool(known.get("ended")),
            stops=stops,
            error=ended.message,
            unselected=is_unselected(known["counts"], stops, self._settings),
            selected=self._settings.select is not None,
            rebuys=buys_again(self._settings),
            **known,
        )

    # -- on_job --------------------------------------------------------------------------------------------------------

    def _begin_hooks(self, command: str, told: str | None) -> None:
        """Go on where the last run with a command ended; else with what ends from now on."""
        after = int(told) if told else self._base
        if not told:
            self._remember(_TOLD_KEY, str(after))
        self._hooks = JobHooks(
            command,
            self._settings.hook_timeout,
            self._about,
            told=after,
            lines=self._lines,
            remember=lambda number: self._remember(_TOLD_KEY, str(number)),
            complain=lambda message: self._complaints.hear("on_job", message),
        )
        self._telling_jobs = self._start("on_job", self._hooks.run)

    async def _lines(self, after: int, limit: int) -> list[tuple[int, str]]:
        return await self._threads["on_job"].start(_lines, self._about.folder, after, limit)

    async def _tell_jobs(self, hooks: JobHooks) -> None:
        """Wait until every job is told of."""
        hooks.close()
        if self._telling_jobs is not None:
            await asyncio.wait([self._telling_jobs])

    def _stop_telling_after_deadline(self, ended: Ended) -> None:
        """A run that was given so long leaves commands that have not begun soon to the next one."""
        stops = ended.summary.stops if ended.summary else ()
        if self._hooks is not None and any(stop.reason == "deadline" for stop in stops):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._settings.hook_timeout, self._hooks.hurry)

    # -- sidecars ------------------------------------------------------------------------------------------------------

    async def _write_sidecars(self) -> None:
        """Write them as jobs end, for ever."""
        while True:
            await self._sidecar_news.wait()
            self._sidecar_news.clear()
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        await self._write([self._unwritten.popleft() for _ in range(len(self._unwritten))])

    async def _write(self, ids: list[str]) -> None:
        """Some at a time, so that little goes on in a thread that nobody waits for any more."""
        for begin in range(0, len(ids), _SIDECARS_AT_ONCE):
            some = ids[begin : begin + _SIDECARS_AT_ONCE]
            for message in await self._threads["sidecar"].start(_sidecars, self._about.folder, some):
                self._complaints.hear("sidecar", message)

    async def _complete_sidecars(self) -> None:
        """Write those that still wait, and those that an earlier run could not."""
        async with _within(LONGEST_WORK, "the sidecars"):
            await self._write_waiting()
            ended = self._hurried.is_set
            await self._write(await self._threads["sidecar"].start(sidecar.missing, self._about.folder, ended))

    # -- the report ----------------------------------------------------------------------------------------------------

    async def _report(self) -> None:
        async with _within(LONGEST_WORK, "the report"):
            await self._threads["report"].start(self._write_report, self._about.folder)

    # -- metrics -------------------------------------------------------------------------------------------------------

    def _begin_metrics(self, file: str) -> None:
        self._file = MetricsFile(Path(file).absolute(), self._about, started_at=self._started_at, after=self._base)
        self._start("metrics", partial(self._keep_metrics, self._file))

    async def _keep_metrics(self, file: MetricsFile) -> None:
        """Write the file now and then, for ever; one that cannot be written is tried again."""
        while True:
            await self._guarded("metrics", partial(self._write_metrics, file))
            await asyncio.sleep(metrics.EVERY)

    async def _write_metrics(self, file: MetricsFile) -> None:
        now = Now(time.time(), self._heard.copy(), self._slots_used(), self._last_run, self._in_progress)
        await self._threads["metrics"].start(file.write, now)

    async def _write_last_metrics(self, file: MetricsFile, end: RunEnd) -> None:
        self._last_run = self._last_run.after(end.exit_code, end.ended_at)
        self._remember(_LAST_RUN_KEY, self._last_run.dump())
        self._in_progress = False
        await self._write_metrics(file)

    # -- telling of the end --------------------------------------------------------------------------------------------

    async def _notify(self, told: Notify, end: RunEnd) -> None:
        """The webhook and the channels at the same time; what one meets is nothing to the others."""
        ways: list[Work] = []
        if told.webhook is not None:
            ways.append(partial(notify.post, told.webhook, end))
        if told.apprise and self._channels is not None:
            ways.append(partial(self._channels.tell, end))
        await asyncio.gather(*(self._guarded("notify", way) for way in ways))

    async def _on_finish(self, command: str, end: RunEnd) -> None:
        wrong = await run_hook(command, end, self._settings.hook_timeout)
        if wrong:
            self._complaints.hear("on_finish", wrong)


@contextlib.asynccontextmanager
async def _within(seconds: float, what: str) -> AsyncIterator[None]:
    """Raises `PipelineError` where the block takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise PipelineError(f"{what} took longer than {seconds:g} s") from None


# -- on threads --------------------------------------------------------------------------------------------------------


def _last_line(folder: Path) -> int:
    with LedgerReader(folder) as reader:
        return reader.last_line()


def _lines(folder: Path, after: int, limit: int) -> list[tuple[int, str]]:
    with LedgerReader(folder) as reader:
        return reader.lines(after, limit)


def _sidecars(folder: Path, ids: list[str]) -> list[str]:
    wrong: list[str] = []
    if ids:
        sidecar.write_for(folder, ids, wrong.append)
    return wrong


def _facts(folder: Path, after: int) -> dict[str, Any]:
    """What the ledger knows about the end of a run that began after a results line."""
    with LedgerReader(folder) as reader:
        return {
            "counts": reader.counts(),
            "ended": reader.ended_counts(after),
            "failures": reader.failures(),
            "unknown": list(islice(reader.unknown(), SHOWN)),
            "spending": reader.spending() or (),
        }
