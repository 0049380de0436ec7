"""The downloaders: bring the videos of finished tasks to disk, as many at a time as there are downloaders."""

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.core.errors import (
    DownloadError,
    FatalError,
    InterruptedDownloadError,
    LinkExpiredError,
    NoSpaceError,
    RejectedError,
    ServiceError,
)
from pipeline.core.jobs import Failure, Record, Stage, StoredFile
from pipeline.core.ports import Service, VideoStore
from pipeline.engine.account import Account
from pipeline.engine.backoff import Backoff
from pipeline.engine.desk import Desk, Stop
from pipeline.engine.health import Health

_GONE = "link_gone"
"""The service itself says, at every try, that the video is gone: no later run can bring it."""


@dataclass(frozen=True, slots=True)
class FetchRules:
    """When a download is given up in this run."""

    tries: int = 5
    """Of one video."""
    longest_pause: float = 60.0
    """Seconds; no pause that a host asks for is longer."""


class Downloaders:
    """The pool and the line of finished tasks before it."""

    def __init__(
        self,
        service: Service,
        store: VideoStore,
        desk: Desk,
        health: Health,
        account: Account,
        *,
        backoff: Backoff,
        rules: FetchRules,
    ) -> None:
        self._service = service
        self._store = store
        self._desk = desk
        self._health = health
        self._account = account
        self._backoff = backoff
        self._rules = rules
        self._line: asyncio.Queue[Record] = asyncio.Queue()
        self._dismissed = asyncio.Event()

    def fetch(self, record: Record) -> None:
        """Put a finished task into the line; a part that an earlier run fetched is gone on with."""
        if self._dismissed.is_set():
            self._desk.leave(record, "the run ended")
            return
        self._health.backlog += 1
        self._line.put_nowait(record)

    def dismiss(self, reason: str) -> None:
        """Begin no further download; those under way go on."""
        self._dismissed.set()
        while not self._line.empty():
            self._leave(self._line.get_nowait(), reason)

    async def run(self) -> None:
        """One downloader: bring one task's videos after the other, for ever."""
        while True:
            record = await self._line.get()
            try:
                record, files = await self._bring(record)
            except NoSpaceError as error:
                self._account.stop()
                self._desk.stop(Stop("disk", error.message))
                self._leave(record, error.message)
            except DownloadError as error:
                await self._given_up(record, error)
            except asyncio.CancelledError:
                self._leave(record, "the run ended")
                raise
            else:  # its end is being written down from here on, also for a downloader that is sent home meanwhile
                self._health.backlog -= 1
                await self._desk.downloaded(record, files)

    async def _bring(self, record: Record) -> tuple[Record, tuple[StoredFile, ...]]:
        """All videos of one task, in order; the job is done when the last one is there."""
        files: list[StoredFile] = []
        while record.report is not None and len(files) < len(record.report.urls):
            output = await self._output(record, len(files))
            if record.attempt > 1:
                await self._store.discard(output)  # what is left there may belong to an earlier attempt's task
            record, stored = await self._one(record, len(files), output)
            files.append(stored)
        return record, tuple(files)

    async def _output(self, record: Record, position: int) -> str:
        """Where a task's video number `position` goes: never where another job's video goes."""
        name = output_name(record.job.output, position)
        if position == 0 or await self._desk.claim(record, name):
            return name
        path = PurePosixPath(name)
        return str(path.with_name(f"{path.stem}-{record.job.digest[:8]}{path.suffix}"))

    async def _one(self, record: Record, position: int, output: str) -> tuple[Record, StoredFile]:
        """One video, over as many tries as the rules allow; the record comes back with fresh URLs if there were any."""
        tries, expired, refreshed = 0, False, False
        while True:
            try:
                if expired:
                    record = await self._refresh(record, position)
                    expired, refreshed = False, True
                return record, await self._store.fetch(_url(record, position), output)
            except InterruptedDownloadError as error:
                tries += 1
                if not await self._once_more(record, error, tries):
                    raise
            except LinkExpiredError:
                if refreshed:
                    raise
                expired = True

    async def _refresh(self, record: Record, position: int) -> Record:
        """Ask the service for fresh URLs. Raises a `DownloadError` where it has none."""
        if record.task is None:
            raise ValueError(f"job {record.job.job_id} has no task to ask about")
        try:
            report = await self._service.status(record.task)
        except RejectedError as error:
            message = f"the service no longer has the video: {error.message}"
            raise InterruptedDownloadError(message, code=_GONE) from error
        except ServiceError as error:
            if isinstance(error, FatalError):
                self._account.stop()
                self._desk.stop(Stop("refused", error.message, account_refused=True))
            message = f"the link has expired and no fresh one could be had: {error.message}"
            raise InterruptedDownloadError(message, code=error.code, retry_after=error.retry_after) from error
        if position >= len(report.urls):
            raise InterruptedDownloadError(
                "the link has expired and the service gave no fresh one", code="link_expired"
            )
        return self._desk.refreshed(record, report)

    async def _once_more(self, record: Record, error: InterruptedDownloadError, tries: int) -> bool:
        """Wait for the next try of a video; False where there is none in this run."""
        if tries >= self._rules.tries or self._dismissed.is_set():
            return False
        wait = self._backoff.delay(tries, min(error.retry_after or 0.0, self._rules.longest_pause))
        self._desk.call_failed("download", record, error.code, error.message, wait)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._dismissed.wait()
        return not self._dismissed.is_set()

    async def _given_up(self, record: Record, error: DownloadError) -> None:
        """The videos do not come in this run; a transfer that breaks off while the run ends has not failed."""
        if self._dismissed.is_set() and isinstance(error, InterruptedDownloadError):
            self._leave(record, error.message)
            return
        self._health.backlog -= 1
        failure = Failure(Stage.DOWNLOAD, error.code, error.message, error.http_status)
        await self._desk.download_failed(record, failure, final=error.code == _GONE)

    def _leave(self, record: Record, reason: str) -> None:
        """The job stays `fetching` for the next run."""
        self._health.backlog -= 1
        self._desk.leave(record, reason)


def output_name(output: str, position: int) -> str:
    """The file name of a task's video number `position` (from 0): `a.mp4`, `a-2.mp4`, `a-3.mp4`, …"""
    if position == 0:
        return output
    path = PurePosixPath(output)
    return str(path.with_name(f"{path.stem}-{position + 1}{path.suffix}"))


def _url(record: Record, position: int) -> str:
    if record.report is None or position >= len(record.report.urls):
        raise LinkExpiredError("the service no longer names this video", code="link_expired")
    return record.report.urls[position]
