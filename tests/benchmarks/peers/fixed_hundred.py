"""The script that picks a round number: a hundred at a time, and a 429 is tried again after a while.

Shape: a semaphore around the whole life of a task, and the vendors' usual advice for 429, which is to try again with
exponentially growing, randomised pauses (https://cookbook.openai.com/examples/how_to_handle_rate_limits#retrying-with-exponential-backoff),
as `tenacity.wait_random_exponential(min=1, max=60)` makes them.
"""

import argparse
import asyncio
import random
from typing import Any

import aiohttp

PARALLEL = 100


async def one(session: aiohttp.ClientSession, turn: asyncio.Semaphore, given: Any) -> None:
    async with turn:
        await finished(session, await submitted(session, given), given)


async def submitted(session: aiohttp.ClientSession, given: Any) -> str:
    """The id of the task, however often it takes."""
    body = {"model": "Wan-AI/Wan2.2-I2V", "input": {"image_url": "https://example.com/a.png"}, "parameters": {}}
    tries = 0
    while True:
        async with session.post(f"{given.base_url}/v1/tasks/submit", json=body) as response:
            if response.status != 429:
                response.raise_for_status()
                return str((await response.json())["output"]["task_id"])
        await asyncio.sleep(random.uniform(0.0, max(1.0, min(60.0, 2.0**tries))) / given.speed)
        tries += 1


async def finished(session: aiohttp.ClientSession, task_id: str, given: Any) -> None:
    """Wait for the end of the task, a question every other second."""
    while True:
        await asyncio.sleep(2.0 / given.speed)
        async with session.get(f"{given.base_url}/v1/tasks/status", params={"task_id": task_id}) as response:
            response.raise_for_status()
            if (await response.json())["output"]["task_status"] not in {"Pending", "Running"}:
                return


async def run(given: Any) -> None:
    turn = asyncio.Semaphore(PARALLEL)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session:
        await asyncio.gather(*(one(session, turn, given) for _ in range(given.jobs)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base_url")
    parser.add_argument("jobs", type=int)
    parser.add_argument("speed", type=float, help="how many times faster than life the service is")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
