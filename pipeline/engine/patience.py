"""How long the end of a run is waited for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Patience:
    """Without end, until somebody shortens it; whoever asks last never makes it longer again."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._limits: set[asyncio.Timeout] = set()

    def shorten(self, seconds: float) -> None:
        """It ends so many seconds from now, unless it ends before."""
        until = asyncio.get_running_loop().time() + seconds
        if self._until is not None and self._until <= until:
            return
        self._until = until
        for limit in self._limits:
            with contextlib.suppress(RuntimeError):  # it has ended in this very moment
                limit.reschedule(until)

    @contextlib.asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """What waits inside waits no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._until) as limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)
