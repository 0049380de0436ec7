"""The real command in real processes, in an empty folder, against an emulator in a process of its own."""

import base64
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from tests.conftest import loops_of

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "pipeline")
TEST_BUILD = (sys.executable, "-m", "tests.process.crashing")
"""The same command with crash points around it."""
SECRET = "sk-9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d"
PATIENCE = 30.0
"""Seconds after which a process that says nothing is considered hanging."""

QUICK = {"poll_lag": 0.05}
"""Settings for an emulator that is much faster than life."""


class Emulator:
    """`pipeline emulator` in its own process."""

    def __init__(self, lab: "Lab", scenario: Mapping[str, Any], speed: float) -> None:
        self._lab = lab
        self.folder = lab.path / "emulator"
        file = lab.path / "scenario.yaml"
        file.write_text(yaml.safe_dump({"clips": "tiny", **scenario}))
        arguments = ("emulator", "--scenario", file, "--speed", speed, "--folder", self.folder)
        self._process = lab.start(*arguments)
        self.url = ""
        while not self.url:
            found = re.match(rb"export MODELVERSE_ENDPOINT=(\S+)", self._process.output.next())
            self.url = found[1].decode() if found else ""

    def bought(self) -> Counter[str]:
        """How often each prompt was accepted: what a real batch would have paid for."""
        lines = (self.folder / "tasks.jsonl").read_text().splitlines()
        return Counter(json.loads(line)["prompt"] for line in lines)

    def task_id(self, prompt: str) -> str:
        """The task that was accepted for a prompt."""
        lines = (self.folder / "tasks.jsonl").read_text().splitlines()
        return next(found["task_id"] for line in lines if (found := json.loads(line))["prompt"] == prompt)

    def stop(self) -> dict[str, int]:
        """End it, and return its closing statistics."""
        assert self._process.end(signal.SIGINT) == 0
        closing = self._process.output.whole().decode().splitlines()[-1]
        facts = (fact.split(" ", 1) for fact in closing.split(", "))
        return {name: int(number.replace(",", "")) for number, name in facts}


class Stream:
    """The lines of a pipe as they come."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._seen: list[bytes] = []
        self._reader = threading.Thread(target=self._read, args=(pipe,))
        self._reader.start()

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                self._seen.append(line)
                self._lines.put(line)
        self._lines.put(b"")

    def next(self) -> bytes:
        """The next line; empty at the end."""
        return self._lines.get(timeout=PATIENCE)

    def whole(self) -> bytes:
        """Everything, once the process has ended."""
        self._reader.join(PATIENCE)
        return b"".join(self._seen)


class Process:
    """A command that runs."""

    def __init__(self, arguments: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout
        assert self._process.stderr
        self.output, self.log = Stream(self._process.stdout), Stream(self._process.stderr)

    @property
    def pid(self) -> int:
        """For looking at it from outside."""
        return self._process.pid

    def events(self) -> Iterator[dict[str, Any]]:
        """The JSON log as it comes, up to the end of the process."""
        while line := self.log.next():
            yield json.loads(line)

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], times: int = 1) -> bool:
        """Wait until so many events were logged; False where the process ended before."""
        for event in self.events():
            times -= wanted(event)
            if times <= 0:
                return True
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code."""
        return self._process.wait(seconds)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it, if it has not ended, and return the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(PATIENCE)


class Ended:
    """A command that has ended."""

    def __init__(self, ended: subprocess.CompletedProcess[bytes]) -> None:
        self.code = ended.returncode
        self.out = ended.stdout.decode()
        self.err = ended.stderr.decode()

    @property
    def last(self) -> str:
        """The last line of standard output."""
        return self.out.splitlines()[-1]


def reveals(content: bytes, secret: str) -> bool:
    """Whether the key stands there: as it is, as JSON, URLs or HTML may escape it, or in Base64."""
    spelt = (
        rf"(?:{re.escape(char)}|\\\\?{re.escape(char)}|\\\\?u00{ord(char):02x}|\\\\?x{ord(char):02x}"
        rf"|%(?:25)*{ord(char):02x}|&#0*{ord(char)};|&#x0*{ord(char):02x};)"
        for char in secret
    )
    encoded = base64.b64encode(secret.encode()).rstrip(b"=")[:-1]
    return bool(re.search("".join(spelt).encode(), content, re.IGNORECASE)) or encoded in content


class Lab:
    """An empty folder to work in. At its end, nothing that was written holds the key, a traceback or an escape."""

    def __init__(self, path: Path, event_loop: str = "standard") -> None:
        self.path = path
        self.secret = SECRET
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(path),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "NO_PROXY": "*",
            "MODELVERSE_API_KEY": SECRET,
            "PIPELINE_EVENT_LOOP": event_loop,
        }
        self._processes: list[Process] = []
        self._outputs: list[bytes] = []

    def emulator(self, *, speed: float = 250.0, **scenario: Any) -> Emulator:
        """Start an emulator that every later command talks to."""
        started = Emulator(self, scenario, speed)
        self.environment["MODELVERSE_ENDPOINT"] = started.url
        return started

    def run(
        self, *arguments: object, stdin: str = "", limits: Callable[[], None] | None = None, **environment: str
    ) -> Ended:
        """Run a command to its end; `limits` is called in the new process before it becomes the command.

        Python is kept from writing what it compiles under them: half of it would break every later command.
        """
        return self._run([*COMMAND, *map(str, arguments)], environment, stdin, limits)

    def crash(self, point: str, *arguments: object) -> None:
        """Run the test build of a command until it kills itself at a point (`name:count`), which it has to reach."""
        ended = self._run([*TEST_BUILD, *map(str, arguments)], {"PIPELINE_CRASH_AT": point})
        assert ended.code == -signal.SIGKILL, (point, ended.out, ended.err)

    def disturb(self, point: str, number: signal.Signals, *arguments: object) -> Ended:
        """Run the test build of a command that sends itself a signal at a point, to its end."""
        return self._run(
            [*TEST_BUILD, *map(str, arguments)], {"PIPELINE_CRASH_AT": point, "PIPELINE_CRASH_BY": number.name}
        )

    def _run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        stdin: str = "",
        limits: Callable[[], None] | None = None,
    ) -> Ended:
        ended = subprocess.run(
            command,
            cwd=self.path,
            env={**self.environment, **environment, **({"PYTHONDONTWRITEBYTECODE": "1"} if limits else {})},
            input=stdin.encode(),
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            preexec_fn=limits,
        )
        self._outputs += [ended.stdout, ended.stderr]
        return Ended(ended)

    def start(self, *arguments: object) -> Process:
        """Start a command and go on."""
        process = Process([*COMMAND, *map(str, arguments)], self.path, self.environment)
        self._processes.append(process)
        return process

    def manifest(self, *prompts: str, name: str = "shots.yaml", **settings: Any) -> str:
        """Write a YAML manifest with a job for each prompt, whose id is the prompt with hyphens."""
        jobs = [
            {
                "id": prompt.replace(" ", "-"),
                "input": {"image_url": f"https://example.com/{number}.jpg", "prompt": prompt},
            }
            for number, prompt in enumerate(prompts)
        ]
        content = {"version": 1, "run": {**QUICK, **settings}, "jobs": jobs}
        (self.path / name).write_text(yaml.safe_dump(content))
        return name

    def results(self, folder: str = "outputs/shots") -> list[dict[str, Any]]:
        """The results lines as they stand in the file."""
        return [json.loads(line) for line in (self.path / folder / "results.jsonl").read_text().splitlines()]

    def close(self) -> None:
        """End what runs, and look at everything that was written."""
        for process in self._processes:
            process.end()
            self._outputs += [process.output.whole(), process.log.whole()]
        for output in self._outputs:
            assert b"\x1b" not in output
            assert b"Traceback" not in output, output.decode()
            assert b"pipeline: a bug" not in output, output.decode()
            assert not reveals(output, self.secret), output.decode()
        for file in self.path.rglob("*"):
            assert not file.is_file() or not reveals(file.read_bytes(), self.secret), file


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Commands run on Python's own event loop, and on uvloop where a test says that the loop has a part in it."""
    if "lab" in metafunc.fixturenames:
        names = loops_of(metafunc.config, metafunc.definition)
        settings = {"asyncio": "standard", "uvloop": "auto"}
        ids = [pytest.HIDDEN_PARAM] if len(names) == 1 else names
        metafunc.parametrize("lab", [settings[name] for name in names], ids=ids, indirect=True)


@pytest.fixture
def lab(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A place to run commands in."""
    made = Lab(tmp_path, request.param)
    try:
        yield made
    finally:
        made.close()
