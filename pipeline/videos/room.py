"""How much is free where the videos go, without waiting for a disk that takes its time to say so."""

import asyncio
from pathlib import Path

from pipeline.core.clock import Clock
from pipeline.core.errors import PipelineError
from pipeline.videos.places import VIDEOS, dangling, disk_errors, free_bytes
from pipeline.videos.threads import OwnThreads

_STALE = 1.0
"""Seconds after which the disk is asked anew."""


class Room:
    """The free space as last seen. It is asked before every submit, and a disk that hangs must not hold one up."""

    def __init__(self, folder: Path, threads: OwnThreads, clock: Clock) -> None:
        self._folder = folder
        self._threads = threads
        self._clock = clock
        self._seen: int | PipelineError | None = None
        self._seen_at = 0.0
        self._looking: asyncio.Future[int] | None = None

    def free_bytes(self) -> int:
        """Bytes; the first answer is the disk's own, later ones are what a thread saw when last asked.

        Raises like `disk_errors` where it cannot be told.
        """
        if self._seen is None:
            self._seen, self._seen_at = self._look(), self._clock.monotonic()
        elif self._looking is None and self._clock.monotonic() - self._seen_at >= _STALE:
            self._looking = self._threads.start(self._look)
            self._looking.add_done_callback(self._note)
        if isinstance(self._seen, PipelineError):
            raise self._seen
        return self._seen

    def _note(self, looked: asyncio.Future[int]) -> None:
        self._looking, self._seen_at = None, self._clock.monotonic()
        error = looked.exception()
        self._seen = error if isinstance(error, PipelineError) else looked.result()

    def _look(self) -> int:
        videos = self._folder / VIDEOS
        with disk_errors:
            try:
                return free_bytes(videos)
            except FileNotFoundError as error:
                if videos.is_symlink():
                    raise dangling(str(videos)) from error
                return free_bytes(self._folder)
