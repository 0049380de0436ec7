"""The simulated result host and the disk for videos: blocks arrive one by one, and a file is whole or not there."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.core.errors import (
    InterruptedDownloadError,
    LinkExpiredError,
    NoSpaceError,
    UnusableResultError,
)
from pipeline.core.jobs import StoredFile
from tests.engine.world import PartOnDisk, World

BLOCKS = 3
"""Of every file."""
STALL_TIMEOUT = 60.0


class SimulatedStore:
    """`VideoStore` with odds. It joins blocks where the validators agree, as the real one must."""

    def __init__(self, world: World) -> None:
        self._world = world

    def free_bytes(self) -> int:
        odds = self._world.odds
        full = self._world.holds(odds.disk_full, "look at a full disk")
        return 0 if full or self._world.luck(odds.low_disk, "look at a low disk") else 10**12

    async def fetch(self, url: str, output: str) -> StoredFile:
        world = self._world
        with self._alone(output):
            await asyncio.sleep(world.rng.expovariate(1.0 / 2.0))
            world.called()
            essence = self._serve(url)
            self._meet_trouble(output)
            part = self._part(essence, output)
            while len(part.blocks) < BLOCKS:
                await self._block(part, essence)
            path = f"videos/{output}"
            world.files[path] = tuple(part.blocks)
            del world.parts[output]
        return StoredFile(path, len(essence), hashlib.sha256(essence.encode()).hexdigest(), url)

    async def discard(self, output: str) -> None:
        await asyncio.sleep(0)
        part = self._world.parts.pop(output, None)
        self._world.met["part of an old task discarded"] += part is not None and bool(part.blocks)

    async def verify(self, file: StoredFile) -> str | None:
        return None if file.path in self._world.files else "it is missing"

    @contextmanager
    def _alone(self, output: str) -> Iterator[None]:
        if output in self._world.busy:
            self._world.onlooker.collided(output)
        self._world.busy.add(output)
        try:
            yield
        finally:
            self._world.busy.discard(output)

    def _serve(self, url: str) -> str:
        """What the URL stands for. Raises `LinkExpiredError` where the host does not serve it any more."""
        essence, _, expires = url.partition("?expires=")
        task_id = essence.split("/")[-2]
        if float(expires) < self._world.now or self._world.tasks[task_id].forgotten:
            self._world.met["expired link"] += 1
            raise LinkExpiredError("forbidden", code="link_expired", http_status=403)
        return essence

    def _meet_trouble(self, output: str) -> None:
        world, odds = self._world, self._world.odds
        if world.luck(odds.unusable, "unusable result"):
            world.parts.pop(output, None)
            raise UnusableResultError("it is a web page", code="not_a_video")
        self._require_room()

    def _require_room(self) -> None:
        world, odds = self._world, self._world.odds
        if world.holds(odds.disk_full, "download on a full disk") or world.luck(odds.no_space, "no space for a video"):
            raise NoSpaceError("no space is left for videos")

    def _part(self, essence: str, output: str) -> PartOnDisk:
        """What an earlier try left, where its validator still fits; else a new beginning."""
        world, odds = self._world, self._world.odds
        part = world.parts.get(output)
        if part is not None and world.luck(odds.changed, "file changed under a resumed download"):
            world.versions[essence] += 1
        validator = f"{output if odds.careless_host else essence}@{world.versions[essence]}"
        if part is None or part.validator != validator:
            part = PartOnDisk(validator)
        elif part.blocks:
            world.met["resumed download"] += 1
        world.parts[output] = part
        return part

    async def _block(self, part: PartOnDisk, essence: str) -> None:
        world, odds = self._world, self._world.odds
        if world.luck(odds.cut, "cut download"):
            if world.luck(0.1, "stalled download"):
                await asyncio.sleep(STALL_TIMEOUT)
            raise InterruptedDownloadError("cut", code="cut")
        await asyncio.sleep(world.rng.expovariate(1.0 / odds.block_seconds))
        self._require_room()
        part.blocks.append(f"{essence}@{world.versions[essence]}")
