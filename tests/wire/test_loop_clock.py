"""A run in a program whose event loop has a clock of its own."""

import asyncio
from pathlib import Path

import pipeline
from tests.wire.modelverse.parts import ACCEPTED, RUNNING
from tests.wire.servers import ScriptedServer

JOB = '{"id": "a", "input": {"image_url": "https://example.com/a.jpg", "prompt": "p"}}\n'


class LoopAhead(asyncio.SelectorEventLoop):
    """Its clock went on while the machine's stood still, as uvloop's does on a laptop that sleeps."""

    def time(self) -> float:
        return super().time() + 100_000


def test_questions_keep_their_time_when_the_clock_of_the_loop_is_another(tmp_path: Path) -> None:
    """The engine waits by the clock that wakes it; by the machine's, every question would be due at once."""
    (tmp_path / "m.jsonl").write_text(JOB)

    async def story() -> tuple[int, int]:
        async with ScriptedServer([ACCEPTED, RUNNING]) as server:
            settings = {"endpoint": server.url, "max_runtime": 1.0, "grace": 0.0, "poll_lag": 0.02, "report": False}
            async with pipeline.run(tmp_path / "m.jsonl", tmp_path / "out", api_key="k" * 20, **settings) as batch:
                await batch.summary()
            return server.count("POST"), server.count("GET")

    with asyncio.Runner(loop_factory=LoopAhead) as runner:
        submits, questions = runner.run(story())
    assert submits == 1
    assert 1 <= questions <= 20
