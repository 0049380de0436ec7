"""Runs `peers/raw_server.py` beside a benchmark, in a process of its own, and asks it what it has seen."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SERVER = Path(__file__).parent / "peers" / "raw_server.py"


class RawService:
    """The service as a benchmark sees it."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def counts(self) -> dict[str, Any]:
        """Requests since the last `reset` by kind, and when the first of them came (`time.monotonic`)."""
        return self._asked("counts")

    def reset(self) -> None:
        """Count anew."""
        self._asked("reset")

    def environ(self, **more: str) -> Mapping[str, str]:
        """The environment of a `pipeline` command that works for this service, on Python's own event loop as its peers
        do; compiled modules are kept, as installed programs keep theirs."""
        plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        own = {"MODELVERSE_ENDPOINT": self.base_url, "MODELVERSE_API_KEY": "benchmark-key-0123456789abcdef"}
        return plain | own | {"PYTHONHASHSEED": "0", "PIPELINE_EVENT_LOOP": "standard"} | more

    def _asked(self, what: str) -> Any:
        with urllib.request.urlopen(f"{self.base_url}/{what}") as answer:
            return json.load(answer)


@contextmanager
def raw_service(*arguments: str) -> Iterator[RawService]:
    """The server, running until the block ends; `arguments` are those of `peers/raw_server.py`."""
    command: Sequence[str] = [sys.executable, str(_SERVER), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the server was started without pipes")
        try:
            yield RawService(process.stdout.readline().strip())
        finally:
            process.stdin.close()


def write_manifest(path: Path, jobs: int) -> Path:
    """A JSONL manifest of so many jobs."""
    rows = (
        {
            "id": f"job-{number:06}",
            "input": {
                "image_url": f"https://example.com/pictures/{number}.jpg",
                "prompt": "the surfer waves at the camera while the sun sets behind the sea",
            },
            "parameters": {"resolution": "480P"},
        }
        for number in range(jobs)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
