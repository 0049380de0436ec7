"""Commands of the user's own for what happens: one for every job that ends (`on_job`), one for the end of a run.

A command is `/bin/sh -c COMMAND` in a process group of its own. The facts are in its environment, under names that no
setting of ours has, and on its standard input as one JSON object. Its time is limited; when its shell has ended or its
time is up, whatever is left of the group is killed.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, Any

from pipeline.core.errors import PipelineError
from pipeline.core.jobs import JobState
from pipeline.views.facts import About, RunEnd, as_json, run_facts
from pipeline.views.text import cut, printable

PREFIX = "VIDEO_BATCH_"
"""Of every variable: `PIPELINE_…` are settings of this program, which a command may well call."""
AT_ONCE = 4
"""Commands of `on_job` at the same time."""

_SECRET = "MODELVERSE_API_KEY"  # noqa: S105 - the name of the variable
_PAGE = 20
"""Results lines that are read at once; one may hold a picture of megabytes."""
_KEPT = 4096
"""Bytes of a command's output that are kept: its end, where it says what was wrong."""
_SHOWN = 200
_LONGEST = 1000
"""Characters of a message in a variable; the whole of it stands in the JSON."""
_PIPE = 2**20
"""Bytes of output that are taken at once, where the system allows so much."""
_REAPED_IN = 1.0
"""Seconds that a killed process may take to be gone."""

Lines = Callable[[int, int], Awaitable[list[tuple[int, str]]]]
"""Up to so many results lines after a cursor, each with its number."""


# -- what a command is told: pure --------------------------------------------------------------------------------------


def job_variables(about: About, line: Mapping[str, Any]) -> dict[str, str]:
    """The facts of a job that ended, by the names of `on_job`; `line` is its results line."""
    files = [str(about.folder / file["path"]) for file in line["files"]]
    error = line["error"] or {}
    return {
        "EVENT": "job_ended",
        **_common(about, line["run_id"]),
        "JOB_ID": line["job_id"],
        "STATUS": line["status"],
        "ATTEMPTS": str(line["attempts"]),
        "MODEL": line["model"],
        "TASK_ID": line["task_id"] or "",
        "FILE": files[0] if files else "",
        "FILES": "\n".join(files),
        "ERROR_STAGE": error.get("stage", ""),
        "ERROR_CODE": error.get("code", ""),
        "ERROR_MESSAGE": error.get("message", ""),
    }


def run_variables(end: RunEnd) -> dict[str, str]:
    """The facts of a run that ended, by the names of `on_finish`."""
    return {
        "EVENT": "run_finished",
        **_common(end.about, end.about.run_id),
        "EXIT_CODE": str(end.exit_code),
        "DONE": str(end.count(JobState.DONE)),
        "FAILED": str(end.count(JobState.FAILED)),
        "UNKNOWN": str(end.count(JobState.UNKNOWN)),
        "REMAINING": str(end.remaining),
        "NEXT": end.next.text,
    }


def _common(about: About, run_id: str) -> dict[str, str]:
    return {
        "RUN_ID": run_id,
        "MANIFEST": about.manifest,
        "FOLDER": str(about.folder),
        "REHEARSAL": "1" if about.rehearsal else "0",
    }


def environment(facts: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a command: the process's own without the API key, and the facts."""
    kept = {name: value for name, value in environ.items() if name != _SECRET and not name.startswith(PREFIX)}
    return kept | {f"{PREFIX}{name}": _value(name, value) for name, value in facts.items()}


def _value(name: str, value: str) -> str:
    """As an environment can carry it: encodable, without NUL, and a message of a sensible length."""
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        value = ascii(value)
    value = value.replace("\0", "")
    return cut(value, _LONGEST) if name.endswith("_MESSAGE") else value


# -- one command -------------------------------------------------------------------------------------------------------


async def carry_out(command: str, variables: Mapping[str, str], told: bytes, limit: float) -> str | None:
    """Run a shell command to its end, or to the end of its time (seconds), and return what went wrong, or None.

    Cancelled, it kills the command. Nothing is raised for what the command or the system does.
    """
    with _file_of(told) as stdin, _Tail() as tail:
        try:
            shell = _shell(command, environment(variables), stdin, tail.entrance)
        except (OSError, ValueError) as error:
            return f"it cannot be started: {getattr(error, 'strerror', None) or error}"
        tail.listen()
        ended = _end_of(shell)
        try:
            await asyncio.wait({ended}, timeout=limit)
        finally:
            in_time = ended.done()
            await _kill(shell, ended)
        if not in_time:
            return _with(f"it was killed after {limit:g} s", tail)
        return None if ended.result() == 0 else _with(_said(ended.result()), tail)


def _shell(command: str, environ: Mapping[str, str], stdin: IO[bytes], output: int) -> subprocess.Popen[bytes]:
    """Begin the command. Not through the event loop, for every loop has rules of its own for what a process inherits:
    uvloop's leave it our open files, and signals that we were told to ignore."""
    return subprocess.Popen(  # noqa: S603 - the command is the user's own
        ("/bin/sh", "-c", command), stdin=stdin, stdout=output, stderr=output, env=environ, start_new_session=True
    )


def _end_of(shell: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """The exit code, once it has ended; a thread of its own waits for that."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def wait() -> None:
        code = shell.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, code)

    def tell(code: int) -> None:
        if not ended.done():
            ended.set_result(code)

    threading.Thread(target=wait, name="hook", daemon=True).start()
    return ended


async def _kill(shell: subprocess.Popen[bytes], ended: asyncio.Future[int]) -> None:
    """Kill what is left of the group, and see the shell gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(shell.pid, signal.SIGKILL)
    await asyncio.wait({ended}, timeout=_REAPED_IN)


def _said(code: int) -> str:
    if code < 0:
        return f"it was ended by signal {-code}"
    return f"exit code {code}"


def _with(complaint: str, tail: "_Tail") -> str:
    line = tail.last_line()
    return f"{complaint}: {line}" if line else complaint


def _file_of(content: bytes) -> IO[bytes]:
    """A file that holds the content, to be read from its beginning: unlike a pipe, it waits for no reader."""
    if sys.platform == "linux":
        file: IO[bytes] = os.fdopen(os.memfd_create("facts"), "w+b")
    else:
        import tempfile

        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(content)
    file.seek(0)
    return file


class _Tail:
    """Takes whatever is written into a pipe, and keeps its end. Whoever still holds the pipe holds up nobody."""

    def __init__(self) -> None:
        self._exit, self.entrance = os.pipe()
        """The descriptor that is written to."""
        self._kept = b""
        self._open = True

    def __enter__(self) -> "_Tail":
        os.set_blocking(self._exit, False)
        with contextlib.suppress(OSError, AttributeError):  # a larger pipe makes fewer turns of the loop
            fcntl.fcntl(self._exit, fcntl.F_SETPIPE_SZ, _PIPE)
        return self

    def listen(self) -> None:
        """Let go of the entrance, which the command has now, and take what comes."""
        os.close(self.entrance)
        self._open = False
        asyncio.get_running_loop().add_reader(self._exit, self._take)

    def last_line(self) -> str:
        """The last line that is not empty, cut, and harmless to a terminal."""
        self._take()
        lines = self._kept.decode(errors="replace").split("\n")
        return cut(printable(next((line.strip() for line in reversed(lines) if line.strip()), "")), _SHOWN)

    def _take(self) -> None:
        try:
            taken = os.read(self._exit, _PIPE)
        except BlockingIOError:
            return
        if not taken:
            asyncio.get_running_loop().remove_reader(self._exit)
        self._kept = (self._kept + taken)[-_KEPT:] if len(taken) < _KEPT else taken[-_KEPT:]

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._exit)
        os.close(self._exit)
        if self._open:
            os.close(self.entrance)


# -- a command for every job -------------------------------------------------------------------------------------------


class JobHooks:
    """Tells `on_job` of every job that ends, some at a time, from the results lines in their order.

    Nothing waits in memory: the lines are the queue, and a cursor says up to which one everybody was told. It is
    remembered as commands end, so that a run that was killed leaves what it did not tell to the next one; a command
    that was under way then is carried out again.
    """

    def __init__(
        self,
        command: str,
        limit: float,
        about: About,
        *,
        told: int,
        lines: Lines,
        remember: Callable[[int], None],
        complain: Callable[[str], None],
    ) -> None:
        self._command = command
        self._limit = limit
        self._about = about
        self._lines = lines
        self._remember = remember
        self._complain = complain
        self._told = self._begun = told
        self._under_way: set[int] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._news = asyncio.Event()
        self._news.set()
        self._closing = False
        self._hurried = False

    def wake(self) -> None:
        """A job has ended."""
        self._news.set()

    def close(self) -> None:
        """No further job will end: `run` returns when everything is told."""
        self._closing = True
        self._news.set()

    def hurry(self) -> None:
        """Begin no further command: `run` returns when those under way have ended."""
        self._hurried = True
        self._news.set()

    async def run(self) -> None:
        """Tell of every job until there is none left to tell of."""
        async with asyncio.TaskGroup() as group:
            while not self._hurried:
                self._news.clear()
                closing = self._closing
                page = await self._page()
                await self._begin(group, page)
                if not page:
                    if closing or self._hurried:
                        return
                    await self._news.wait()

    async def _page(self) -> list[tuple[int, str]]:
        """The next lines; none, and an end to it, where they cannot be read."""
        try:
            return await self._lines(self._begun, _PAGE)
        except PipelineError as error:
            self._complain(error.message)
            self.hurry()
            return []

    async def _begin(self, group: asyncio.TaskGroup, page: list[tuple[int, str]]) -> None:
        """Begin a command for each line, as soon as there is room for it."""
        for number, line in page:
            await self._room.acquire()
            if self._hurried:
                return
            self._under_way.add(number)
            self._begun = number
            group.create_task(self._tell(number, line))

    async def _tell(self, number: int, line: str) -> None:
        try:
            facts: dict[str, Any] = json.loads(line)
            variables = job_variables(self._about, facts)
            wrong = await carry_out(self._command, variables, line.encode() + b"\n", self._limit)
        finally:
            self._room.release()
        if wrong:
            self._complain(f"job {facts['job_id']}: {wrong}")
        self._under_way.discard(number)
        self._note()

    def _note(self) -> None:
        """Remember up to which line everybody was told."""
        told = min(self._under_way) - 1 if self._under_way else self._begun
        if told > self._told:
            self._told = told
            self._remember(told)


# -- a command for the run ---------------------------------------------------------------------------------------------


async def run_hook(command: str, end: RunEnd, limit: float) -> str | None:
    """Carry out `on_finish`; returns what went wrong, or None."""
    return await carry_out(command, run_variables(end), as_json(run_facts(end)), limit)
