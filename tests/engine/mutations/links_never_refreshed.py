"""Promise 2: what is paid for is fetched while the service has it. Here an expired link is the end."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.errors import InterruptedDownloadError
from pipeline.core.jobs import Record
from pipeline.engine.downloader import Downloaders
from tests.engine.replacing import replaced

CAUGHT = r"was not fetched in calm weather"


async def _refuse(downloaders: Downloaders, record: Record, position: int) -> Record:
    raise InterruptedDownloadError("the link has expired", code="link_expired")


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Downloaders, "_refresh", _refuse):
        yield
