"""The script that people write first: one asyncio task a row, all gathered, each waiting for its turn.

Shape: the client quickstart of aiohttp (https://docs.aiohttp.org/en/stable/client_quickstart.html#streaming-response-content)
inside `asyncio.gather` and a semaphore, with `aiofiles` for the chunks as its README shows
(https://github.com/Tinche/aiofiles#usage), and one line appended to a results file a job.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import aiofiles
import aiohttp


async def one(session: aiohttp.ClientSession, turn: asyncio.Semaphore, row: dict[str, Any], given: Any) -> None:
    async with turn:
        request = {"model": "Wan-AI/Wan2.2-I2V", "input": row["input"], "parameters": row.get("parameters", {})}
        async with session.post(f"{given.base_url}/v1/tasks/submit", json=request) as response:
            response.raise_for_status()
            task_id = (await response.json())["output"]["task_id"]
        url = await finished(session, task_id, given)
        if url is None:
            return
        path = given.folder / f"{row['id']}.mp4"
        async with session.get(url) as response:
            response.raise_for_status()
            async with aiofiles.open(path, "wb") as file:
                async for chunk in response.content.iter_chunked(8192):
                    await file.write(chunk)
        async with aiofiles.open(given.folder / "results.jsonl", "a") as file:
            await file.write(json.dumps({"id": row["id"], "task_id": task_id, "url": url, "path": str(path)}) + "\n")


async def finished(session: aiohttp.ClientSession, task_id: str, given: Any) -> str | None:
    """The video's URL, once there is one."""
    while True:
        await asyncio.sleep(given.every)
        async with session.get(f"{given.base_url}/v1/tasks/status", params={"task_id": task_id}) as response:
            response.raise_for_status()
            output = (await response.json())["output"]
        if output["task_status"] == "Success":
            return str(output["urls"][0])
        if output["task_status"] in {"Failure", "Expired"}:
            return None


async def run(given: Any) -> None:
    rows = [json.loads(line) for line in given.manifest.read_text().splitlines()]
    turn = asyncio.Semaphore(given.concurrency)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session:
        await asyncio.gather(*(one(session, turn, row, given) for row in rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("base_url")
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--every", type=float, default=1.0, help="Seconds between two questions about a task.")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(given))


if __name__ == "__main__":
    main()
