"""Every video of a batch held against its record; what differs is fetched again by the next run."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from pipeline.api import new_run_id
from pipeline.core.errors import FolderBusyError, FolderError
from pipeline.core.jobs import JobState, StoredFile
from pipeline.core.values import Value
from pipeline.core.words import many
from pipeline.folder import hold
from pipeline.ledger import Ledger, LedgerReader
from pipeline.settings import FetchSettings
from pipeline.videos import LocalVideoStore
from pipeline.videos.places import PARTS, VIDEOS


class Comparison(Value):
    """One video and its record."""

    job_id: str
    file: StoredFile
    verdict: str | None
    """What is wrong, in words; None where the file is what the record says, or nobody can tell."""
    unread: str | None = None
    """Why the file cannot be compared; that is no difference, and changes nothing."""
    fetched_again: bool = False
    """Whether the next run fetches it again; not where the folder cannot be changed now."""
    done_again: bool = False
    """Whether its job was to be fetched again, or had failed at that, and is done again."""

    @property
    def whole(self) -> bool:
        """Whether the file is what the record says."""
        return self.verdict is None and self.unread is None


async def compare(folder: Path) -> AsyncIterator[Comparison]:
    """Compare every video of the batch in `folder` with its record: length and SHA-256.

    A job with a video that differs goes back to `fetching`, and one that was sent there (or failed there) is done again
    where all its videos are whole; unless a run holds the folder or it cannot be written. What lacks a video because
    it failed is no difference.

    Raises `UsageError` where the folder holds no batch, and `FolderError` where no video can be found at all, in a
    place that was never written to: its disk may not be there. Nothing is changed then.
    """
    async with AsyncExitStack() as stack:
        reader = stack.enter_context(LedgerReader(folder))  # one moment of the ledger, whatever changes below
        _require_videos(folder, reader)
        store = await stack.enter_async_context(LocalVideoStore(folder, FetchSettings()))
        ledger = await _ledger_to_change(stack, folder)
        for job_id, state, files in reader.stored():
            found = [await _compared(store, job_id, file) for file in files]
            for one in await _settled(ledger, state, found):
                yield one


async def _compared(store: LocalVideoStore, job_id: str, file: StoredFile) -> Comparison:
    try:
        return Comparison(job_id, file, await store.verify(file))
    except FolderError as error:
        return Comparison(job_id, file, None, unread=error.message)


async def _settled(ledger: Ledger | None, state: JobState, found: list[Comparison]) -> list[Comparison]:
    """What is found of a job's videos, with what follows from it, once that is on record."""
    job_id = found[0].job_id
    if state is JobState.DONE:
        differs = any(one.verdict for one in found)
        if differs and ledger:
            await ledger.fetch_again(job_id, at=time.time())
        return [replace(one, fetched_again=differs and ledger is not None) for one in found]
    if all(one.whole for one in found):
        if ledger:
            await ledger.found_whole(job_id, at=time.time())
        return [replace(one, done_again=ledger is not None) for one in found]
    return [replace(one, fetched_again=True) for one in found] if state is JobState.FETCHING else []


def _require_videos(folder: Path, reader: LedgerReader) -> None:
    """Raises `FolderError` where nothing is as the videos of the batch were left: neither a file nor their folder."""
    if os.path.isdir(folder / VIDEOS / PARTS):  # noqa: PTH112 - also where asking is refused
        return
    files = 0
    for _, _, stored in reader.stored():
        if any(_may_be_there(folder / file.path) for file in stored):
            return
        files += len(stored)
    if files:
        raise FolderError(
            f"{folder / VIDEOS}: none of {many(files, 'file')} on record is there; is the disk that they are on "
            "mounted? Nothing was changed"
        )


def _may_be_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):  # it is for the comparison to say why
        return True
    return True


async def _ledger_to_change(stack: AsyncExitStack, folder: Path) -> Ledger | None:
    try:
        stack.enter_context(hold(folder))
        ledger = await Ledger.open(folder, run_id=new_run_id(), at=time.time(), counts_as_run=False)
    except (FolderBusyError, FolderError):
        return None
    stack.push_async_callback(lambda: ledger.close(at=time.time()))
    return ledger
