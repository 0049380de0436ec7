"""Progress on stderr: one calm screen on a terminal, a plain line now and then elsewhere, or nothing."""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from pipeline.core.events import BatchEnded, BatchStarted, Event
from pipeline.core.jobs import JobState
from pipeline.views.outlet import Outlet
from pipeline.views.picture import Line, cost_text, last_picture, picture, plainly, speed_text, words
from pipeline.views.standing import Standing, Subject
from pipeline.views.tally import Tally, nothing_to_do
from pipeline.views.text import cells, clock, many, printable, roughly

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.segment import Segment

PLAIN_EVERY = 15.0
"""Seconds between two plain lines, at least."""
LIVE_EVERY = 0.25
"""Seconds between two drawings of the live view."""

_SHARE = 3 / 4
"""Of the terminal's rows that the live view takes at most: the rest is for lines that stay."""
_HELD = 5000
"""Lines that wait for a terminal that is held; more are lost."""

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

    def resume(self) -> None:
        """Go on after the process was stopped (Ctrl-Z): somebody else has written meanwhile."""

    def close(self) -> None:
        """Leave the screen in order."""


# -- words: pure -------------------------------------------------------------------------------------------------------


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
    said = [f"{clock(standing.elapsed)}  {many(standing.total, 'job')}: {counts_text(standing)}"]
    said += [] if standing.eta is None else [f"about {roughly(standing.eta)} left"]
    said += [text] if (text := speed_text(standing).removeprefix("; ")) else []
    if standing.slots is not None and standing.slots != standing.slots_wanted:
        said.append(f"{many(standing.slots, 'slot')} allowed")
    if standing.money and not standing.subject.rehearsal:
        said.append(cost_text(standing))
    return "; ".join([*said, printable(standing.note)] if standing.note else said)


def rows(lines: Sequence[str], width: int) -> int:
    """Rows that the lines of a picture take on a terminal that wraps them at `width` cells."""
    return sum(max(1, -(-cells(line) // width)) for line in lines)


# -- the three kinds ---------------------------------------------------------------------------------------------------


class PlainProgress:
    """A line at the start, at each change of phase, every quarter of a minute, and where a run ended.

    The phases: jobs are submitted, the last tasks run, the last videos are fetched, and the run stops early.
    """

    def __init__(
        self, stream: TextIO | Outlet, get_time: Callable[[], float] = time.monotonic, subject: Subject | None = None
    ) -> None:
        self._outlet = stream if isinstance(stream, Outlet) else Outlet(stream)
        self._get_time = get_time
        self._tally = Tally(get_time, subject)
        self._due = float("inf")
        self._phase = 0
        self._drawn: Mapping[JobState, int] = {}

    def hear(self, event: Event) -> None:
        self._tally.hear(event)
        if isinstance(event, BatchStarted):
            if not nothing_to_do(event):
                self._phase = self._tally.phase
                self._draw()
        elif isinstance(event, BatchEnded):
            if self._due < float("inf") and self._tally.standing().counts != self._drawn:
                self._draw()
            self._due = float("inf")
        elif self._due < float("inf") and self._tally.phase > self._phase:
            self._phase = self._tally.phase
            self._draw()

    def tick(self) -> None:
        if self._get_time() >= self._due:
            self._draw()

    def line(self, text: str) -> None:
        self._outlet.write(text + "\n")
        self._outlet.flush()

    def resume(self) -> None:
        """Lines follow lines."""

    def close(self) -> None:
        self._outlet.close()

    def _draw(self) -> None:
        self._due = self._get_time() + PLAIN_EVERY
        standing = self._tally.standing()
        self._drawn = standing.counts
        self.line(plain_line(standing))


class LiveProgress:
    """One screen at the bottom of a terminal, redrawn in place; lines that stay go above it, wrapped at spaces.

    It is drawn when it is time to, lines and all, in one piece; nothing is drawn while the terminal is held.
    """

    def __init__(
        self, stream: TextIO | Outlet, get_time: Callable[[], float] = time.monotonic, subject: Subject | None = None
    ) -> None:
        from rich.console import Console

        self._outlet = stream if isinstance(stream, Outlet) else Outlet(stream)
        self._tally = Tally(get_time, subject)
        self._console = Console(file=self._outlet, highlight=False, markup=False, emoji=False)  # type: ignore[arg-type]
        self._ascii = self._console.options.ascii_only or _knows_ascii_only(os.environ)
        self._shown = False
        self._lines: deque[str] = deque(maxlen=_HELD)
        self._drawn: list[str] = []

    def hear(self, event: Event) -> None:
        self._tally.hear(event)
        if isinstance(event, BatchStarted) and not nothing_to_do(event):
            self._shown = self._console.is_terminal
            self.tick()

    def tick(self) -> None:
        if self._shown and not self._outlet.busy:
            width, height = self._console.size
            standing = self._tally.standing()
            self._redraw(picture(standing, width - 1, max(1, int(height * _SHARE))), width)

    def line(self, text: str) -> None:
        if self._shown:
            self._lines.append(text)
        else:
            self._print(text)

    def resume(self) -> None:
        """Draw anew, below what somebody else has written."""
        self._drawn = []
        self.tick()

    def close(self) -> None:
        """Let the view fall in to two lines that stay, an empty line below them."""
        if self._shown:
            self._shown = False
            width = self._console.width
            self._redraw(last_picture(self._tally.standing(), width - 1), width)
            self._console.print("\n")
        self._outlet.close()

    def _print(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(text), soft_wrap=not self._console.is_terminal)

    def _redraw(self, lines: list[Line], width: int) -> None:
        """Put the lines in the old picture's place; where the terminal has become narrower, it has wrapped that."""
        if self._ascii:
            lines = plainly(lines)
        up = rows(self._drawn, width) - 1 if self._drawn else 0  # the cursor stands in its last row
        self._console.print(_Frame(list(self._lines), lines, up), end="", crop=False, no_wrap=True, overflow="ignore")
        self._lines.clear()
        self._drawn = [words(line) for line in lines]


class _Frame:
    """One drawing: rich turns it into what the terminal understands."""

    def __init__(self, above: Sequence[str], lines: Sequence[Line], up: int) -> None:
        self._above = above
        self._lines = lines
        self._up = up

    def __rich_console__(self, console: object, options: object) -> "Iterator[RenderableType | Segment]":
        from rich.segment import ControlType, Segment
        from rich.style import Style
        from rich.text import Text

        def control(code: str) -> Segment:
            return Segment(
                code, None, [(ControlType.CURSOR_UP, 0)]
            )  # what it is matters to nobody, that it is one does

        yield control("\r" + (f"\x1b[{self._up}A" if self._up else ""))
        if self._above:
            yield control("\x1b[J")
        for text in self._above:
            yield Text(text, no_wrap=False, overflow="fold")
        yield control("\x1b[?7l")  # a character that is wider than we think is cut off, and does not wrap
        for number, line in enumerate(self._lines):
            if number:
                yield Segment("\n")
            for text, style in line:
                yield Segment(text, Style.parse(style) if style else None)
            yield control("\x1b[K")
        yield control("\x1b[J\x1b[?7h")


class NoProgress:
    """Shows nothing, but lets lines through."""

    def __init__(self, stream: TextIO | Outlet) -> None:
        self._outlet = stream if isinstance(stream, Outlet) else Outlet(stream)

    def hear(self, event: Event) -> None:
        """Nothing is shown."""

    def tick(self) -> None:
        """Nothing is drawn."""

    def line(self, text: str) -> None:
        self._outlet.write(text + "\n")
        self._outlet.flush()

    def resume(self) -> None:
        """Lines follow lines."""

    def close(self) -> None:
        self._outlet.close()


def open_progress(kind: Kind, stream: TextIO, subject: Subject | None = None) -> Progress:
    """The progress of that kind; `auto` is `rich` on a terminal that can move its cursor, and `plain` elsewhere."""
    if kind == "auto":
        kind = "rich" if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"
    if kind == "rich":
        return LiveProgress(stream, subject=subject)
    return PlainProgress(stream, subject=subject) if kind == "plain" else NoProgress(stream)


class Drawn(Protocol):
    """Draws when it is time to."""

    def tick(self) -> None:
        """It may be."""


async def keep_drawing(shown: Drawn) -> None:
    """Let it draw whenever it is time to, for ever."""
    while True:
        await asyncio.sleep(LIVE_EVERY)
        shown.tick()


def _knows_ascii_only(environ: Mapping[str, str]) -> bool:
    """Whether the locale says so, which Python takes for UTF-8: where none is set, terminals mostly know UTF-8."""
    named = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "")
    return named in ("C", "POSIX")
