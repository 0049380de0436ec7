"""How late the event loop runs, and how long questions and submits take, while videos arrive.

    python -m tests.benchmarks.downloads.lag HOST COUNT FOLDER store|inline

`store` is the product's; `inline` writes in the event loop, as a script does that opens its files with `open`.
Prints JSON, in milliseconds: the loop's lag, the questions and the submits, and how many seconds the downloads took.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from pipeline.core.jobs import Job, Source, Task
from pipeline.modelverse.client import ModelVerseClient
from pipeline.settings import FetchSettings, ServiceSettings
from pipeline.videos import LocalVideoStore

BEAT = 0.005
"""Seconds between two looks at the clock."""
_BLOCK = 1 << 20


async def beat(lags: list[float]) -> None:
    """How much later than it asked for the loop comes back, for ever."""
    while True:
        due = time.perf_counter() + BEAT
        await asyncio.sleep(BEAT)
        lags.append(1000 * (time.perf_counter() - due))


async def again_and_again(call: Callable[[], Awaitable[object]], times: list[float]) -> None:
    """One call after another with a short rest, for ever."""
    while True:
        began = time.perf_counter()
        await call()
        times.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(BEAT)


async def by_store(base: str, count: int, folder: Path) -> None:
    async with LocalVideoStore(folder, FetchSettings()) as store:
        await asyncio.gather(*(store.fetch(f"{base}/{number}.mp4", f"{number}.mp4") for number in range(count)))


async def inline(base: str, count: int, folder: Path) -> None:
    (folder / "videos").mkdir()
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(
            *(_one_inline(session, f"{base}/{n}.mp4", folder / "videos" / f"{n}.mp4") for n in range(count))
        )


async def _one_inline(session: aiohttp.ClientSession, url: str, path: Path) -> None:
    async with session.get(url) as response:
        with path.open("wb") as file:
            async for chunk in response.content.iter_chunked(_BLOCK):
                file.write(chunk)


async def main() -> None:
    host, count, folder, way = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    lags: list[float] = []
    questions: list[float] = []
    submits: list[float] = []
    job = Job("a", "0" * 64, "Wan-AI/Wan2.2-I2V", {"prompt": "a wave"}, {}, "a.mp4", Source("a.csv", 1))
    async with ModelVerseClient(ServiceSettings(endpoint=host), "benchmark") as service:
        body = await service.prepare(job)
        others = [
            asyncio.create_task(beat(lags)),
            asyncio.create_task(again_and_again(lambda: service.status(Task("t-1", host)), questions)),
            asyncio.create_task(again_and_again(lambda: service.submit(job, body), submits)),
        ]
        began = time.perf_counter()
        await (by_store if way == "store" else inline)(f"{host}/8", count, folder)
        seconds = time.perf_counter() - began
        for other in others:
            other.cancel()
        await asyncio.wait(others)
    print(json.dumps({"lags": lags, "questions": questions, "submits": submits, "seconds": seconds}))


if __name__ == "__main__":
    asyncio.run(main())
