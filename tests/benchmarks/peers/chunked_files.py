"""The usual download script: `iter_chunked` into `aiofiles`, all videos gathered.

Shape: "Streaming Response Content" of aiohttp's client quickstart
(https://docs.aiohttp.org/en/stable/client_quickstart.html#streaming-response-content) with the file of aiofiles' README
(https://github.com/Tinche/aiofiles#usage); 64 KiB is the chunk that answers to "how do I download large files" advise.

    python -m tests.benchmarks.peers.chunked_files BASE COUNT FOLDER

Prints JSON: seconds and CPU seconds from the first request to the last file, without starting Python.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import aiofiles
import aiohttp

CHUNK = 65_536


class Stopwatch:
    """What has gone by since it was made."""

    def __init__(self) -> None:
        self._began = self._now()

    def read(self) -> dict[str, float]:
        """Seconds on the wall and on the processor."""
        return {key: now - began for (key, now), began in zip(self._now().items(), self._began.values(), strict=True)}

    def _now(self) -> dict[str, float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {"wall": time.perf_counter(), "cpu": used.ru_utime + used.ru_stime}


async def one(session: aiohttp.ClientSession, url: str, path: Path) -> None:
    async with session.get(url) as response:
        response.raise_for_status()
        async with aiofiles.open(path, "wb") as file:
            async for chunk in response.content.iter_chunked(CHUNK):
                await file.write(chunk)


async def main() -> None:
    base, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    watch = Stopwatch()
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one(session, f"{base}/{n}.mp4", folder / f"{n}.mp4") for n in range(count)))
    print(json.dumps(watch.read()))


if __name__ == "__main__":
    asyncio.run(main())
