"""One loop that hands out one call a turn and sleeps for a millisecond between turns.

Shape: `api_request_parallel_processor.py` of the OpenAI cookbook
(https://github.com/openai/openai-cookbook/blob/main/examples/api_request_parallel_processor.py), our own code: a
dispatcher takes the next call from a queue whenever the request budget allows, starts an asyncio task for it, and
appends each result to a JSONL file. A task that is still running goes back into the queue.
"""

import argparse
import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

_TURN = 0.001
"""Seconds."""


@dataclass
class Tracker:
    """What is under way, as the script's own status line shows it."""

    started: int = 0
    in_progress: int = 0
    succeeded: int = 0


@dataclass
class Call:
    """One request of one job; the answer of one makes the next."""

    row: dict[str, Any]
    task_id: str = ""
    url: str = ""
    not_before: float = 0.0

    async def send(
        self, session: aiohttp.ClientSession, queue: "asyncio.Queue[Call]", tracker: Tracker, given: Any
    ) -> None:
        if self.url:
            await self._fetch(session, given)
            tracker.in_progress -= 1
            tracker.succeeded += 1
        else:
            await (self._ask(session, given) if self.task_id else self._submit(session, given))
            queue.put_nowait(self)

    async def _submit(self, session: aiohttp.ClientSession, given: Any) -> None:
        request = {"model": "Wan-AI/Wan2.2-I2V", "input": self.row["input"]}
        async with session.post(f"{given.base_url}/v1/tasks/submit", json=request) as response:
            self.task_id = (await response.json())["output"]["task_id"]
        self.not_before = time.time() + given.every

    async def _ask(self, session: aiohttp.ClientSession, given: Any) -> None:
        async with session.get(f"{given.base_url}/v1/tasks/status", params={"task_id": self.task_id}) as response:
            output = (await response.json())["output"]
        if output["task_status"] == "Success":
            self.url = output["urls"][0]
        self.not_before = time.time() + given.every

    async def _fetch(self, session: aiohttp.ClientSession, given: Any) -> None:
        async with session.get(self.url) as response:
            (given.folder / f"{self.row['id']}.mp4").write_bytes(await response.read())
        with (given.folder / "results.jsonl").open("a") as file:
            file.write(json.dumps([self.row, {"task_id": self.task_id, "url": self.url}]) + "\n")


async def run(given: Any) -> None:
    rows = iter([json.loads(line) for line in given.manifest.read_text().splitlines()])
    queue: asyncio.Queue[Call] = asyncio.Queue()
    tracker, under_way, exhausted = Tracker(), set(), False
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer key"}) as session:
        while not exhausted or tracker.in_progress:
            call = None
            if not queue.empty():
                call = queue.get_nowait()
                if call.not_before > time.time():
                    queue.put_nowait(call)
                    call = None
            elif not exhausted and tracker.in_progress < given.concurrency:
                row = next(rows, None)
                exhausted = row is None
                if row is not None:
                    call = Call(row)
                    tracker.started += 1
                    tracker.in_progress += 1
            if call is not None:
                sending = asyncio.create_task(call.send(session, queue, tracker, given))
                under_way.add(sending)
                sending.add_done_callback(under_way.discard)
            await asyncio.sleep(_TURN)


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
