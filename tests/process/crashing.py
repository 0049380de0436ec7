"""The test build of the command: the product as it is, with places around it where the process kills itself.

    PIPELINE_CRASH_AT=answer-received:3 python -m tests.process.crashing run shots.yaml

passes `answer-received` twice and dies there the third time, by SIGKILL, as if the machine had ended it; another signal
may be named by PIPELINE_CRASH_BY. Everything is wrapped from outside; the product knows nothing of the variables.
"""

import array
import asyncio
import fcntl
import os
import signal
import termios
from collections.abc import Callable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

from pipeline.cli import main
from pipeline.core.body import Body
from pipeline.core.jobs import TaskReport
from pipeline.engine.poller import Pollers
from pipeline.ledger import Ledger, results
from pipeline.modelverse.client import ModelVerseClient
from pipeline.modelverse.lines import Line
from pipeline.videos import partfile
from pipeline.videos.partfile import PartFile
from pipeline.views import summary

VARIABLE = "PIPELINE_CRASH_AT"
SIGNAL = "PIPELINE_CRASH_BY"

POINTS: Mapping[str, str] = {
    "enrolled": "the manifest is in the ledger, nothing was submitted",
    "intent-durable": "the intent is on disk, the paid request has not left",
    "body-sent": "the service has the whole request, its answer has not been read",
    "answer-received": "the task id is in memory only",
    "task-id-durable": "the task id is on disk, nobody looks after the task yet",
    "end-seen": "the task has ended, which is in memory only",
    "slot-freed": "its slot is free for the next job, its end is still in memory only",
    "fetching-durable": "its end is on disk, none of its video",
    "part-begun": "an empty part is there, no byte of the video",
    "part-written": "the bytes are there, unchecked and unflushed",
    "before-rename": "the file is whole and flushed, under its unfinished name",
    "after-rename": "the file has its final name, its folder is not flushed, the ledger does not know",
    "done-durable": "the end of the job is in the ledger and not in the results file",
    "line-torn": "half of the results line is in the file",
    "line-appended": "the results line is in the file, its length is not on record",
    "closing": "every job has ended, the run has not",
    "closed": "the run is closed, its last lines are not out",
}
"""Every place, and what a crash there leaves behind."""

Reached = Callable[[str], None]


def countdown(order: str, number: signal.Signals) -> Reached:
    """What sends the process a signal when the named place is reached for the nth time; `order` is `place:n`."""
    wanted, _, times = order.partition(":")
    if wanted not in POINTS:
        raise SystemExit(f"{VARIABLE}: there is no {wanted!r}; there are {', '.join(POINTS)}")
    left = int(times or 1)

    def reached(point: str) -> None:
        nonlocal left
        if point == wanted:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)

    return reached


# -- wrapping ----------------------------------------------------------------------------------------------------------


def wrap(owner: type | ModuleType, name: str, around: Callable[..., Any]) -> None:
    """Put `around(original, *args)` in the place of a function of the product."""
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(lambda *args, **kwargs: around(original, *args, **kwargs)))


def crash_when_durable(reached: Reached, point: str, method: str) -> None:
    """The ledger's futures are done when the transition is on disk; we hear of it before whoever awaits it."""

    def around(original: Callable[..., asyncio.Future[Any]], *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        future = original(*args, **kwargs)
        future.add_done_callback(lambda _done: reached(point))
        return future

    wrap(Ledger, method, around)


def crash_in_calls(reached: Reached) -> None:
    """Around the calls to the service."""

    paid: set[Line] = set()

    def send(original: Callable[..., None], line: Line, head: bytes, body: Body | None = None) -> None:
        original(line, head, body)
        if body is not None:
            paid.add(line)

    async def answer(original: Callable[..., Any], line: Line) -> Any:
        if line in paid:
            paid.remove(line)
            while not _arrived(line._protocol.transport):
                await asyncio.sleep(0)
            reached("body-sent")
        return await original(line)

    async def submit(original: Callable[..., Any], *args: Any) -> Any:
        task = await original(*args)
        reached("answer-received")
        return task

    async def status(original: Callable[..., Any], *args: Any) -> TaskReport:
        report: TaskReport = await original(*args)
        if report.state.ended:
            reached("end-seen")
        return report

    wrap(Line, "send", send)
    wrap(Line, "answer", answer)
    wrap(ModelVerseClient, "submit", submit)
    wrap(ModelVerseClient, "status", status)


def _arrived(transport: asyncio.WriteTransport) -> bool:
    """Whether the other end's system has acknowledged every byte (SIOCOUTQ, tcp(7))."""
    waiting = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, waiting)
    return transport.get_write_buffer_size() == 0 and waiting[0] == 0


def crash_in_files(reached: Reached) -> None:
    """Around the steps that make a video and a results line."""

    def after(owner: type, name: str, point: str) -> None:
        def around(original: Callable[..., Any], *args: Any) -> Any:
            answer = original(*args)
            reached(point)
            return answer

        wrap(owner, name, around)

    def move(original: Callable[..., None], path: str, target: str) -> None:
        if not path.endswith(".part"):
            return original(path, target)
        reached("before-rename")
        original(path, target)
        return reached("after-rename")

    def write_lines(original: Callable[..., int], descriptor: int, content: bytes) -> int:
        reached("done-durable")
        original(descriptor, content[: len(content) // 2])
        reached("line-torn")
        original(descriptor, content[len(content) // 2 :])
        reached("line-appended")
        return len(content)

    after(Pollers, "_give_up_slot", "slot-freed")
    after(PartFile, "_begin", "part-begun")
    after(PartFile, "append", "part-written")
    wrap(partfile, "move", move)
    wrap(results, "_write", write_lines)


def crash_at_the_end(reached: Reached) -> None:
    """Before the ledger is told that the run is over, and before the command tells it."""

    async def close(original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        reached("closing")
        await original(*args, **kwargs)

    def lines(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        reached("closed")
        return original(*args, **kwargs)

    wrap(Ledger, "close", close)
    wrap(summary, "spoken_lines", lines)


def arm(order: str, number: signal.Signals) -> None:
    """Put every place around the product and let the ordered one kill."""
    reached = countdown(order, number)
    for point, method in {
        "enrolled": "enroll",
        "intent-durable": "intent",
        "task-id-durable": "accepted",
        "fetching-durable": "finished",
    }.items():
        crash_when_durable(reached, point, method)
    crash_in_calls(reached)
    crash_in_files(reached)
    crash_at_the_end(reached)


if __name__ == "__main__":
    if VARIABLE in os.environ:
        arm(os.environ[VARIABLE], signal.Signals[os.environ.get(SIGNAL, "SIGKILL")])
    main()
