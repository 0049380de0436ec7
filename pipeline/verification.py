"""Every video of a batch held against its record; what differs is fetched again by the next run."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from pipeline.api import new_run_id
from pipeline.core.errors import FolderBusyError, FolderError
from pipeline.core.jobs import StoredFile
from pipeline.core.values import Value
from pipeline.folder import hold
from pipeline.ledger import Ledger, LedgerReader
from pipeline.settings import FetchSettings
from pipeline.videos import LocalVideoStore


class Comparison(Value):
    """One video and its record."""

    job_id: str
    file: StoredFile
    verdict: str | None
    """What is wrong, in words; None where the file is what the record says."""
    fetched_again: bool = False
    """Whether the next run fetches it again; not where the folder cannot be changed now."""


async def compare(folder: Path) -> AsyncIterator[Comparison]:
    """Compare every video of the batch in `folder` with its record: length and SHA-256.

    A job with a video that differs goes back to `fetching`, unless a run holds the folder or it cannot be written.
    Raises `UsageError` where the folder holds no batch.
    """
    async with AsyncExitStack() as stack:
        reader = stack.enter_context(LedgerReader(folder))  # one moment of the ledger, whatever changes below
        store = await stack.enter_async_context(LocalVideoStore(folder, FetchSettings()))
        ledger = await _ledger_to_change(stack, folder)
        back: set[str] = set()
        for job_id, file in reader.files():
            verdict = await store.verify(file)
            if verdict and ledger and job_id not in back:
                await ledger.fetch_again(job_id, at=time.time())
                back.add(job_id)
            yield Comparison(job_id, file, verdict, fetched_again=job_id in back)


async def _ledger_to_change(stack: AsyncExitStack, folder: Path) -> Ledger | None:
    try:
        stack.enter_context(hold(folder))
        ledger = await Ledger.open(folder, run_id=new_run_id(), at=time.time(), counts_as_run=False)
    except (FolderBusyError, FolderError):
        return None
    stack.push_async_callback(lambda: ledger.close(at=time.time()))
    return ledger
