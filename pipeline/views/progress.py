"""Progress on stderr: a live line or two on a terminal, a plain line now and then elsewhere, or nothing."""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, TextIO

from pipeline.core.events import BatchEnded, BatchStarted, Event
from pipeline.core.jobs import JobState
from pipeline.views.tally import Standing, Tally
from pipeline.views.text import cells, clock, cut, many, printable

PLAIN_EVERY = 15.0
"""Seconds between two plain lines, at least."""
LIVE_EVERY = 0.25
"""Seconds between two drawings of the live lines."""

_ASCII = str.maketrans("━╌…", "#-~")
"""For terminals that know no other characters."""

Kind = Literal["auto", "rich", "plain", "none"]

_ORDER = (
    JobState.DONE,
    JobState.FAILED,
    JobState.UNKNOWN,
    JobState.FETCHING,
    JobState.RUNNING,
    JobState.SUBMITTING,
    JobState.QUEUED,
)


class Progress(Protocol):
    """Shows how a batch goes on, and lets others write lines without tearing the picture."""

    def hear(self, event: Event) -> None:
        """Take an event into account."""

    def tick(self) -> None:
        """Draw, where it is time to."""

    def line(self, text: str) -> None:
        """Write a line that stays."""

    def close(self) -> None:
        """Leave the screen in order."""


# -- drawing: pure -----------------------------------------------------------------------------------------------------


def counts_text(standing: Standing) -> str:
    """`3 done, 1 failed, 6 running, 2 queued`; only `done` is named when there is none."""
    shown = [
        f"{standing.counts.get(state, 0):,} {state}"
        for state in _ORDER
        if standing.counts.get(state) or state is JobState.DONE
    ]
    return ", ".join(shown)


def plain_line(standing: Standing) -> str:
    """The batch in one line of any length, for logs."""
    parts = [f"{clock(standing.elapsed)}  {many(standing.total, 'job')}: {counts_text(standing)}"]
    return "; ".join(parts + _left(standing) + _remarks(standing))


def live_lines(standing: Standing, width: int) -> str:
    """The batch in two lines of at most `width` cells: how far it is, and what is going on."""
    share = "  ".join([f" {standing.ended:,}/{standing.total:,}", clock(standing.elapsed), *_left(standing)])
    room = max(0, min(40, width - len(share)))
    filled = room * standing.ended // standing.total if standing.total else 0
    first = "━" * filled + "╌" * (room - filled) + share
    second = "; ".join([counts_text(standing), *_remarks(standing)])
    return f"{cut(first.lstrip(), width)}\n{cut(second, width)}"


def rows(picture: str, width: int) -> int:
    """Rows that the lines of a picture take on a terminal that wraps them at `width` cells."""
    return sum(max(1, -(-cells(line) // width)) for line in picture.splitlines())


def _left(standing: Standing) -> list[str]:
    return [] if standing.eta is None else [f"about {clock(standing.eta)} left"]


def _remarks(standing: Standing) -> list[str]:
    remarks = [] if standing.slots is None else [f"{many(standing.slots, 'slot')} allowed"]
    return [*remarks, printable(standing.note)] if standing.note else remarks


# -- the three kinds ---------------------------------------------------------------------------------------------------


class PlainProgress:
    """A line at the start, when the last job has been submitted, every quarter of a minute, and where a run ended."""

    def __init__(self, write: Callable[[str], None], get_time: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._get_time = get_time
        self._tally = Tally(get_time)
        self._due = float("inf")
        self._queued = False
        self._drawn: Mapping[JobState, int] = {}

    def hear(self, event: Event) -> None:
        self._tally.hear(event)
        match event:
            case BatchStarted():
                self._queued = event.to_submit > 0
                self._draw()
            case BatchEnded():
                if self._tally.standing().counts != self._drawn:
                    self._draw()
                self._due = float("inf")
            case _ if self._queued and not self._tally.queued:
                self._queued = False
                self._draw()

    def tick(self) -> None:
        if self._get_time() >= self._due:
            self._draw()

    def line(self, text: str) -> None:
        self._write(text)

    def close(self) -> None:
        """Nothing is left to be tidied up."""

    def _draw(self) -> None:
        self._due = self._get_time() + PLAIN_EVERY
        standing = self._tally.standing()
        self._drawn = standing.counts
        self._write(plain_line(standing))


class LiveProgress:
    """Two lines at the bottom of a terminal, redrawn in place; lines that stay go above them, wrapped at spaces."""

    def __init__(self, stream: TextIO, get_time: Callable[[], float] = time.monotonic) -> None:
        from rich.console import Console
        from rich.control import Control
        from rich.live import Live
        from rich.segment import ControlType
        from rich.text import Text

        self._text = Text
        self._up = Control((ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
        self._tally = Tally(get_time)
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._shown = False
        self._picture = ""
        self._width = 0

    def hear(self, event: Event) -> None:
        self._tally.hear(event)
        if isinstance(event, BatchStarted):
            self._shown = True
            self._width = self._console.width
            self._guarded(self._live.start)
            self.tick()

    def tick(self) -> None:
        if self._shown:
            self._guarded(self._draw)

    def line(self, text: str) -> None:
        if self._shown and self._console.width != self._width:
            self.tick()
        to_a_pipe = not self._console.is_terminal
        self._guarded(lambda: self._console.print(self._text(text), soft_wrap=to_a_pipe))

    def close(self) -> None:
        """Leave the last picture where it is, an empty line below it."""
        self.tick()
        if self._shown:
            self._shown = False
            self._guarded(self._live.stop)
            self._guarded(self._console.line)

    def _draw(self) -> None:
        width = self._console.width
        picture = live_lines(self._tally.standing(), width - 1)
        if self._console.options.ascii_only:
            picture = picture.translate(_ASCII)
        if width < self._width:
            self._climb(rows(self._picture, width) - rows(self._picture, self._width))
        self._picture, self._width = picture, width
        text = self._text(picture, no_wrap=True)
        text.highlight_regex(r"━+", "green")
        text.highlight_regex(r"[\d,]+ (failed|unknown)", "red")
        self._live.update(text, refresh=True)

    def _climb(self, more: int) -> None:
        """A narrower terminal has wrapped the old picture: erase the rows that it takes more than before."""
        for _ in range(more):
            self._console.control(self._up)

    def _guarded(self, draw: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):  # a terminal that went away must not end a paid run
            draw()


class NoProgress:
    """Shows nothing, but lets lines through."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def hear(self, event: Event) -> None:
        """Nothing is shown."""

    def tick(self) -> None:
        """Nothing is drawn."""

    def line(self, text: str) -> None:
        self._write(text)

    def close(self) -> None:
        """Nothing is left to be tidied up."""


def open_progress(kind: Kind, stream: TextIO) -> Progress:
    """The progress of that kind; `auto` is `rich` on a terminal that can move its cursor, and `plain` elsewhere."""
    if kind == "auto":
        kind = "rich" if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"
    if kind == "rich":
        return LiveProgress(stream)
    write = line_writer(stream)
    return PlainProgress(write) if kind == "plain" else NoProgress(write)


def line_writer(stream: TextIO) -> Callable[[str], None]:
    """A function that writes a line at once; a reader that went away or a full disk must not end a paid run."""

    def write(text: str) -> None:
        with contextlib.suppress(OSError):
            stream.write(text + "\n")
            stream.flush()

    return write


async def keep_drawing(progress: Progress) -> None:
    """Let the progress draw whenever it is time to, for ever."""
    while True:
        await asyncio.sleep(LIVE_EVERY)
        progress.tick()
