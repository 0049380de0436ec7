"""The floor of every client that is built on aiohttp: the same requests and nothing else.

A submit, three questions and the video, from as many coroutines as there are slots: no ledger, no schedule, no file,
no results. Timeouts are built once, as aiohttp's own documentation advises
(https://docs.aiohttp.org/en/stable/client_quickstart.html#timeouts). `--close` gives each submit a connection of its
own, so that a paid request never meets one that the server has just closed.
"""

import argparse
import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

_QUESTIONS = 3


async def worker(
    session: aiohttp.ClientSession, paid: aiohttp.ClientSession, bodies: Iterator[bytes], url: str
) -> None:
    for body in bodies:
        async with paid.post(
            f"{url}/v1/tasks/submit", data=body, headers={"Content-Type": "application/json"}
        ) as answer:
            task_id = json.loads(await answer.read())["output"]["task_id"]
        for _ in range(_QUESTIONS):
            async with session.get(f"{url}/v1/tasks/status", params={"task_id": task_id}) as answer:
                output = json.loads(await answer.read())["output"]
        async with session.get(output["urls"][0]) as answer:
            await answer.read()


async def run(given: Any) -> None:
    rows = [json.loads(line) for line in given.manifest.read_text().splitlines()]
    bodies = (json.dumps({"model": "Wan-AI/Wan2.2-I2V", "input": row["input"]}).encode() for row in rows)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
    session = aiohttp.ClientSession(
        timeout=timeout, headers={"Authorization": "Bearer key"}, connector=aiohttp.TCPConnector(limit=0)
    )
    paid = aiohttp.ClientSession(
        timeout=timeout,
        headers={"Authorization": "Bearer key"},
        connector=aiohttp.TCPConnector(limit=0, force_close=given.close),
    )
    async with session, paid:
        await asyncio.gather(*(worker(session, paid, bodies, given.base_url) for _ in range(given.concurrency)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("base_url")
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--close", action="store_true", help="A connection of its own for each submit.")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
