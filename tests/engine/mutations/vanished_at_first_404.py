"""Promise 2: an accepted task is tracked to its end. Here the first 404 ends it, though it may only be late."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.errors import ServiceError
from pipeline.engine.poller import Pollers, Watch
from tests.engine.replacing import replaced

CAUGHT = r"was given up, though"


_after_silence = Pollers._after_silence


async def _hasty(pollers: Pollers, watch: Watch, error: ServiceError, wait: float) -> None:
    if watch.refusals:
        watch.refusals = pollers._rules.refusals
    await _after_silence(pollers, watch, error, wait)


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Pollers, "_after_silence", _hasty):
        yield
