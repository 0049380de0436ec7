"""The downloaders: bring the videos of finished tasks to disk, as many at a time as there are downloaders."""

import asyncio
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pipeline.core.errors import (
    DownloadError,
    FatalError,
    FolderError,
    InterruptedDownloadError,
    LinkExpiredError,
    NoSpaceError,
    PipelineError,
    RejectedError,
    ServiceError,
)
from pipeline.core.jobs import Failure, Record, Stage, StoredFile
from pipeline.core.ports import Service, VideoStore
from pipeline.core.values import Value
from pipeline.engine.account import Account
from pipeline.engine.asking import ask
from pipeline.engine.backoff import Backoff
from pipeline.engine.desk import Desk, Stop
from pipeline.engine.due import DueQueue
from pipeline.engine.health import Health

_GONE = "link_gone"
"""The service itself says, at every try, that the video is gone: no later run can bring it."""


_MOST_BUGS = 10
"""So many in one run are no matter of single videos any more: nothing more is bought."""
_LONGEST_COMPLAINT = 300
"""Characters of what a bug says for itself."""


class FetchRules(Value):
    """When a download is given up in this run."""

    tries: int = 5
    """Of one video."""
    longest_pause: float = 60.0
    """Seconds; no pause that a host asks for is longer."""


@dataclass(slots=True)
class _Transfer:
    """One finished task on its way to the disk, video after video."""

    record: Record
    files: list[StoredFile] = field(default_factory=list)
    """What is there already, in order."""
    output: str | None = None
    """Where the next video goes, once that is settled."""
    tries: int = 0
    """Of that video, so far."""
    expired: bool = False
    """Its URL no longer holds."""
    refreshed: bool = False
    """Its URL is fresh from the service, since the last pause."""
    sought: bool = False
    """Whether what is on record of an earlier fetch was looked for on the disk."""

    @property
    def whole(self) -> bool:
        """Whether every video of the task is there."""
        return self.record.report is None or len(self.files) >= len(self.record.report.urls)

    def take(self, stored: StoredFile) -> None:
        """One more video is there; what was learned of its URL says nothing about the next one's."""
        self.files.append(stored)
        self.output, self.tries, self.expired, self.refreshed = None, 0, False, False


class Downloaders:
    """The pool and the line of finished tasks before it. Nobody waits at a host that broke off: others go first."""

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
        self._line: DueQueue[_Transfer] = DueQueue()
        self._dismissed = False
        self._bugs = 0

    def fetch(self, record: Record) -> None:
        """Put a finished task into the line; a part that an earlier run fetched is gone on with."""
        if self._dismissed:
            self._desk.leave(record, "the run ended")
            return
        self._health.backlog += 1
        self._put(_Transfer(record))

    def dismiss(self, reason: str) -> None:
        """Begin no further download; those under way go on."""
        self._dismissed = True
        for transfer in self._line.clear():
            self._leave(transfer, reason)

    async def run(self) -> None:
        """One downloader: bring one task's videos after the other, for ever.

        The first bug that it met is raised, to be seen, when it is sent home.
        """
        first: Exception | None = None
        try:
            while True:
                bug = await self._attend(await self._line.get())
                first = first or bug
        except asyncio.CancelledError:
            if first is None:
                raise
        raise first

    async def _attend(self, transfer: _Transfer) -> Exception | None:
        """Bring the videos of one task, and see to what becomes of it.

        A bug in a download is returned: it is that job's failure for now, so that it holds up neither the others nor
        the next run.
        """
        try:
            await self._bring(transfer)
        except NoSpaceError as error:
            self._account.stop()
            self._desk.stop(Stop("disk", error.message))
            self._leave(transfer, error.message)
        except InterruptedDownloadError as error:
            await self._broke_off(transfer, error)
        except DownloadError as error:
            await self._give_up(transfer, error)
        except asyncio.CancelledError:
            self._leave(transfer, "the run ended")
            raise
        except PipelineError:
            raise
        except Exception as bug:  # noqa: BLE001 - `run` raises it in the end
            await self._give_up(transfer, self._by_a_bug(bug))
            return bug
        else:  # its end is being written down from here on, also for a downloader that is sent home meanwhile
            self._health.backlog -= 1
            self._health.failed_downloads = 0
            await self._desk.downloaded(transfer.record, tuple(transfer.files))
        return None

    async def _bring(self, transfer: _Transfer) -> None:
        """All videos of one task, in order; the job is done when the last one is there."""
        await self._find(transfer)
        while not transfer.whole:
            if transfer.output is None:
                transfer.output = await self._output(transfer.record, len(transfer.files))
                if transfer.record.attempt > 1:  # what is left there may belong to an earlier attempt's task
                    await self._store.discard(transfer.output)
            transfer.take(await self._one(transfer, transfer.output))

    async def _find(self, transfer: _Transfer) -> None:
        """Take what was whole once and is so again: a disk may have been away for a while."""
        if transfer.sought:
            return
        transfer.sought = True
        stored = transfer.record.stored
        if stored and await are_whole(self._store, stored):
            transfer.files += stored

    async def _output(self, record: Record, position: int) -> str:
        """Where a task's video number `position` goes: never where another job's video goes."""
        name = output_name(record.job.output, position)
        if position == 0 or await self._desk.claim(record, name):
            return name
        path = PurePosixPath(name)
        return str(path.with_name(f"{path.stem}-{record.job.digest[:8]}{path.suffix}"))

    async def _one(self, transfer: _Transfer, output: str) -> StoredFile:
        """The next video; its URL is asked for anew, once for each try, where it has expired."""
        position = len(transfer.files)
        if not transfer.expired:
            try:
                return await self._store.fetch(_url(transfer.record, position), output)
            except LinkExpiredError:
                if transfer.refreshed:
                    raise
                transfer.expired = True
        transfer.record = await self._refresh(transfer.record, position)
        transfer.expired, transfer.refreshed = False, True
        return await self._store.fetch(_url(transfer.record, position), output)

    async def _refresh(self, record: Record, position: int) -> Record:
        """Ask the service for fresh URLs. Raises a `DownloadError` where it has none."""
        try:
            report = await ask(self._service, record)
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

    async def _broke_off(self, transfer: _Transfer, error: InterruptedDownloadError) -> None:
        """Back into the line for the next try, unless there is none in this run."""
        transfer.tries += 1
        transfer.refreshed = False  # a URL that was fresh may have expired by the next try, which comes after a pause
        if self._dismissed:  # a transfer that breaks off while the run ends has not failed
            self._leave(transfer, error.message)
        elif transfer.tries >= self._rules.tries:
            await self._give_up(transfer, error)
        else:
            wait = self._backoff.delay(transfer.tries, min(error.retry_after or 0.0, self._rules.longest_pause))
            self._desk.call_failed("download", transfer.record, error.code, error.message, wait)
            self._put(transfer, wait)

    async def _give_up(self, transfer: _Transfer, error: DownloadError) -> None:
        """The videos do not come in this run."""
        self._health.backlog -= 1
        self._health.failed_downloads += 1
        failure = Failure(Stage.DOWNLOAD, error.code, error.message, error.http_status)
        await self._desk.download_failed(transfer.record, failure, final=error.code == _GONE)

    def _by_a_bug(self, bug: Exception) -> DownloadError:
        """The failure of the job whose download met a bug; where they are many, nothing more is bought."""
        self._bugs += 1
        if self._bugs >= _MOST_BUGS:
            self._account.stop()
        return DownloadError(f"a bug of ours: {type(bug).__name__}: {bug}"[:_LONGEST_COMPLAINT], code="bug")

    def _put(self, transfer: _Transfer, wait: float = 0.0) -> None:
        self._line.put(transfer, asyncio.get_running_loop().time() + wait)

    def _leave(self, transfer: _Transfer, reason: str) -> None:
        """The job stays `fetching` for the next run."""
        self._health.backlog -= 1
        self._desk.leave(transfer.record, reason)


async def are_whole(store: VideoStore, stored: tuple[StoredFile, ...]) -> bool:
    """Whether all videos on record are on the disk, as they were; not where nobody can tell."""
    try:
        return not any([await store.verify(file) for file in stored])
    except FolderError:
        return False


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
