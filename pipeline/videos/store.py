"""Brings result URLs to whole files in a folder of this machine."""

from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from yarl import URL

from pipeline.core.clock import Clock, SystemClock
from pipeline.core.errors import InterruptedDownloadError, NoSpaceError, UnusableResultError
from pipeline.core.jobs import StoredFile
from pipeline.settings import FetchSettings
from pipeline.videos.addresses import checked_address
from pipeline.videos.comparison import Comparison
from pipeline.videos.part import Part
from pipeline.videos.partfile import Assurance, Proof
from pipeline.videos.places import Places
from pipeline.videos.ranges import Decision, Join, Validator, decide, range_headers
from pipeline.videos.room import Room
from pipeline.videos.threads import OwnThreads
from pipeline.videos.transport import Answer, Transport

_MACHINE_CLOCK = SystemClock()
_ASSURANCE = Assurance()


class LocalVideoStore:
    """The videos below `<folder>/videos/`; an async context manager, and a `core.ports.VideoStore`.

    The output folder itself must exist; everything below it is made when the first video arrives.
    """

    def __init__(
        self,
        folder: Path,
        settings: FetchSettings,
        clock: Clock = _MACHINE_CLOCK,
        *,
        assurance: Assurance = _ASSURANCE,
        threads: OwnThreads | None = None,
    ) -> None:
        self._folder = folder
        self._places = Places(folder)
        self._settings = settings
        self._transport = Transport(settings, clock)
        self._assurance = assurance
        self._threads = threads or OwnThreads("videos")
        self._room = Room(folder, self._threads, clock)
        self._busy: set[str] = set()

    async def __aenter__(self) -> Self:
        self._transport.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._transport.close()
        finally:
            self._threads.close()

    def free_bytes(self) -> int:
        """Free space where the videos go, as seen within the last second or when last asked.

        Only the first answer waits for the disk. Raises `FolderError` where it cannot be told.
        """
        return self._room.free_bytes()

    async def fetch(self, url: str, output: str) -> StoredFile:
        """Download `url` to `output` (relative to `videos/`), going on where an earlier try of this output stopped.

        On return the file under its final name is complete, checked, hashed and flushed. A cancellation, an
        interruption and a full disk keep the bytes that have arrived; an unusable result removes them.

        Raises `InterruptedDownloadError` (try again), `LinkExpiredError` (ask for a fresh URL), `UnusableResultError`
        (`bad_url`, `bad_output`, `not_a_video`, `too_large`, `encoded`, `too_many_redirects`), `NoSpaceError`,
        `DownloadError` (`bad_place`) where nothing but the output's own place is shut, which keeps the bytes too, and
        `FolderError` where the output folder is gone or read-only.
        """
        address, place = checked_address(url), self._places.of(output)
        if output in self._busy:
            raise InterruptedDownloadError(f"{output} is being downloaded already", code="busy")
        self._busy.add(output)
        part = Part(place, self._threads, self._assurance)
        try:
            await part.prepare()
            size, sha256 = await self._bring(address, url, part)
        except UnusableResultError:
            await part.discard()
            raise
        except BaseException:
            await part.abandon()
            raise
        finally:
            self._busy.discard(output)
        return StoredFile(place.name, size, sha256, url)

    async def discard(self, output: str) -> None:
        """Remove what an unfinished download of `output` left, for a result that is no longer wanted."""
        await Part(self._places.of(output), self._threads, self._assurance).discard()

    async def verify(self, file: StoredFile) -> str | None:
        """What is wrong with a stored file, in words, or None where it still is what the record says.

        Raises `FolderError` where the file cannot be read, which says nothing about what it holds.
        """
        relative = PurePosixPath(file.path)
        if relative.is_absolute() or ".." in relative.parts:
            return "lies outside the output folder"
        comparison = Comparison(self._folder / relative, file)
        try:
            while await self._threads.run(comparison.step):
                pass
            return comparison.verdict
        finally:
            await self._threads.run(comparison.close)

    async def _bring(self, address: URL, url: str, part: Part) -> tuple[int, str]:
        """Ask for the rest, and once more for the whole where the answer cannot be joined to what is here."""
        for _ in range(2):
            headers = range_headers(part.kept, url)
            answer = await self._transport.get(address, headers)
            try:
                decision = decide(part.kept, bool(headers), answer.head)
                if decision.join is not Join.RESTART:
                    return await self._take(answer, decision, url, part)
            finally:
                answer.close()
            part.forget()
        raise InterruptedDownloadError(f"{address.host} answers with ranges nobody asked for", code="bad_range")

    async def _take(self, answer: Answer, decision: Decision, url: str, part: Part) -> tuple[int, str]:
        self._refuse_above_limit(decision.total or 0)
        _require_room(part.room, (decision.total or 0) - part.kept.size)
        if decision.join is Join.ANEW:
            part.begin(Validator(url, answer.head.etag, answer.head.last_modified, decision.total))
        else:
            part.resume()
        if decision.join is not Join.COMPLETE:
            await self._pour(answer, part, decision.total)
        return await part.publish(Proof(decision.total, by_close=decision.total is None and answer.ends_by_close))

    async def _pour(self, answer: Answer, part: Part, total: int | None) -> None:
        while chunk := await answer.read():
            self._refuse_above_limit(part.size + len(chunk))
            await part.write(chunk)
            if total is not None and part.size > total:
                break  # publishing will say so; what else comes is no part of the file

    def _refuse_above_limit(self, size: int) -> None:
        if size > self._settings.max_bytes:
            raise UnusableResultError(
                f"the result is larger than the limit of {self._settings.max_bytes} bytes", code="too_large"
            )


def _require_room(free: int, size: int) -> None:
    """A file that cannot fit is not begun: a disk filled to the brim would stop the ledger as well."""
    if size > free:
        raise NoSpaceError(
            f"a video of {size / 1e6:,.1f} MB is to come and {free / 1e6:,.1f} MB are free", code="no_space"
        )
