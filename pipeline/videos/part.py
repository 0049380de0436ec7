"""The bytes of one download on their way to the disk: one block gathered, at most one block in flight."""

import asyncio
from contextlib import suppress

from pipeline.core.errors import PipelineError
from pipeline.videos.kinds import OPENING_BYTES
from pipeline.videos.partfile import Assurance, PartFile, Proof, require_media
from pipeline.videos.places import Place
from pipeline.videos.ranges import Kept, Validator
from pipeline.videos.threads import OwnThreads

BLOCK_BYTES = 1 << 20
"""One thread hop each: smaller blocks pay for hops, larger ones fall out of the cache."""
SMALL_BYTES = 2 << 20
"""A file that is known to be no longer is gathered whole and takes one hop: it comes and goes without a validator."""


class Part:
    """What an output has so far. Used by one download at a time, then either published, abandoned or discarded."""

    def __init__(self, place: Place, threads: OwnThreads, assurance: Assurance) -> None:
        self.kept = Kept()
        self.size = 0
        """Bytes so far, those still in memory included."""
        self.room = 0
        """Bytes that were free on the disk when the download began."""
        self._file = PartFile(place, assurance)
        self._threads = threads
        self._validator = Validator(url="")
        self._opening: bytes | None = None
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._hop_at = BLOCK_BYTES
        self._in_flight: asyncio.Future[None] | None = None

    async def prepare(self) -> None:
        """Make the folders and see what an earlier try left, and how much room there is."""
        self.kept, self.room = await self._threads.run(self._file.prepare)

    def forget(self) -> None:
        """Go on as if nothing had been kept; the old bytes stay until new ones replace them."""
        self.kept = Kept()

    def begin(self, validator: Validator) -> None:
        """Expect the file from its first byte; nothing on disk changes before the first block is full."""
        self._validator, self._opening, self.size = validator, b"", 0
        small = validator.total is not None and validator.total <= SMALL_BYTES
        self._hop_at = SMALL_BYTES + 1 if small else BLOCK_BYTES

    def resume(self) -> None:
        """Go on after the kept bytes, which are hashed while the first new block arrives.

        Nothing is awaited here: a library buffer that is not read when the host cuts the connection is lost, and a
        host that cuts often would never get us any further.
        """
        self._in_flight = self._threads.start(self._file.reopen, self.kept.size)
        self.size = self.kept.size

    async def write(self, chunk: bytes) -> None:
        """Take more bytes. Raises `UnusableResultError` as soon as the first ones show that this is no video."""
        self._gathered.append(chunk)
        self._gathered_size += len(chunk)
        self.size += len(chunk)
        if self._opening is not None:
            self._look(chunk)
        if self._gathered_size >= self._hop_at:
            await self._landed()
            self._in_flight = self._threads.start(self._file.append, self._taken(), self._validator)

    async def publish(self, proof: Proof) -> tuple[int, str]:
        """Put the rest on disk and the file under its name; returns length (bytes) and hex SHA-256."""
        await self._landed()
        published = self._threads.start(self._file.publish, self._taken(), self._validator, proof)
        return await self._threads.settled(published, self._file.hurry)

    async def abandon(self) -> None:
        """Keep what has arrived for the next try, and close.

        The disk's own errors are not raised: there already is a reason for leaving, and it may be a cancellation.
        """
        self._file.hurry()
        try:
            with suppress(PipelineError):
                await self._landed()
                if self._gathered:
                    await self._threads.run(self._file.append, self._taken(), self._validator)
        finally:
            with suppress(PipelineError):
                await self._threads.run(self._file.close)

    async def discard(self) -> None:
        """Remove everything that has arrived."""
        self._taken()
        self._file.hurry()
        with suppress(PipelineError):
            await self._landed()
        await self._threads.run(self._file.discard)

    def _look(self, chunk: bytes) -> None:
        self._opening = (self._opening or b"") + chunk[:OPENING_BYTES]
        if len(self._opening) >= OPENING_BYTES:
            opening, self._opening = self._opening[:OPENING_BYTES], None
            require_media(opening)

    async def _landed(self) -> None:
        """Wait for the block in flight; its error is raised here, once."""
        if self._in_flight is not None:
            work, self._in_flight = self._in_flight, None
            await self._threads.settled(work, self._file.hurry)

    def _taken(self) -> list[bytes]:
        taken, self._gathered, self._gathered_size = self._gathered, [], 0
        return taken
