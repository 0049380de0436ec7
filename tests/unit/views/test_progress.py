"""What progress writes, with time as an argument; a terminal in memory shows what comes of it."""

import asyncio
import io
import os

import pyte
import pytest

from pipeline.core.events import BatchEnded, Stopping
from pipeline.core.jobs import JobState
from pipeline.views.progress import (
    PLAIN_EVERY,
    LiveProgress,
    NoProgress,
    PlainProgress,
    keep_drawing,
    open_progress,
    plain_line,
    rows,
)
from pipeline.views.purse import Money
from pipeline.views.standing import Speed, Standing, Subject
from tests.unit.views.batches import Time, life, moved, started

# -- a plain line ------------------------------------------------------------------------------------------------------

MIDWAY = Standing({JobState.DONE: 7, JobState.FAILED: 1, JobState.RUNNING: 2, JobState.QUEUED: 2}, 65, 32.4)


def test_a_plain_line_says_everything_when_a_batch_is_midway() -> None:
    """Elapsed, jobs, counts that are not zero, the time left, the speed, the money, and what is in the way."""
    assert plain_line(MIDWAY) == "1:05  12 jobs: 7 done, 1 failed, 2 running, 2 queued; about 32 s left"
    busy = Standing(
        MIDWAY.counts,
        65,
        slots=3,
        slots_wanted=4,
        speed=Speed(7.38, 6.46, 1_500_000),
        money=(Money("CNY", spent=900_000, to_come=1_800_000),),
        note="429: paused 3 s",
    )
    assert plain_line(busy).split("; ")[1:] == [
        "7.4 jobs/min, 6.5 videos/min, 1.5 MB/s",
        "3 slots allowed",
        "0.90 CNY spent, 1.80 to come",
        "429: paused 3 s",
    ]


def test_a_plain_line_makes_no_guess_when_nothing_is_known_yet() -> None:
    """What is not known is not named, and a rehearsal speaks of no money."""
    assert plain_line(Standing({JobState.QUEUED: 1}, 0)) == "0:00  1 job: 0 done, 1 queued"
    rehearsal = Standing({JobState.QUEUED: 1}, 0, subject=Subject(rehearsal=True), money=(Money("CNY", 1),))
    assert plain_line(rehearsal) == "0:00  1 job: 0 done, 1 queued"


def test_a_note_from_outside_is_harmless_when_it_is_written() -> None:
    """A message of the service cannot steer the terminal."""
    assert plain_line(Standing({JobState.DONE: 1}, 0, note="\x1b[2J")).endswith(r"; \x1b[2J")


# -- plain progress ----------------------------------------------------------------------------------------------------


def plain(time: Time) -> tuple[PlainProgress, io.StringIO]:
    stream = io.StringIO()
    return PlainProgress(stream, time), stream


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_plain_lines_are_rare_when_a_batch_goes_on() -> None:
    """A line at the start, one every quarter of a minute, and one at the end."""
    time = Time()
    progress, stream = plain(time)
    progress.hear(started(queued=3))
    assert len(lines(stream)) == 1
    for event in life("a"):
        progress.hear(event)
    time.now += PLAIN_EVERY - 0.1
    progress.tick()
    assert len(lines(stream)) == 1
    time.now += 0.1
    progress.tick()
    progress.tick()
    assert len(lines(stream)) == 2
    progress.hear(BatchEnded(0.0, {JobState.DONE: 2, JobState.QUEUED: 1}))
    time.now += 10 * PLAIN_EVERY
    progress.tick()
    assert len(lines(stream)) == 3


def test_a_plain_line_tells_each_phase_when_it_begins() -> None:
    """The last job is submitted, the last task has ended, the run stops: each is told once, and none twice."""
    progress, stream = plain(Time())
    progress.hear(started(queued=2))
    for event in (moved("a", JobState.SUBMITTING), moved("a", JobState.RUNNING)):
        progress.hear(event)
    assert len(lines(stream)) == 1
    progress.hear(moved("b", JobState.SUBMITTING))
    assert len(lines(stream)) == 2
    for event in (moved("b", JobState.QUEUED), moved("b", JobState.SUBMITTING), moved("b", JobState.RUNNING)):
        progress.hear(event)
    assert len(lines(stream)) == 2
    progress.hear(moved("b", JobState.FETCHING))
    progress.hear(moved("a", JobState.FETCHING))
    assert len(lines(stream)) == 3
    progress.hear(Stopping(0.0, "signal", "SIGTERM received"))
    progress.hear(Stopping(0.0, "disk", "full"))
    assert [line.split("; ")[-1] for line in lines(stream)[3:]] == ["stopping: SIGTERM received"]


def test_no_plain_line_is_written_when_there_is_nothing_to_do() -> None:
    """A night without work fills nobody's mailbox."""
    progress, stream = plain(Time())
    progress.hear(started(done=2, failed=1))
    progress.hear(BatchEnded(0.0, {JobState.DONE: 2, JobState.FAILED: 1}))
    progress.tick()
    progress.close()
    assert stream.getvalue() == ""


# -- the live view -----------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A terminal in memory, of a size that a test may change; its screen shows what came of all that was written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 80, rows: int = 24) -> None:
        super().__init__()
        monkeypatch.setenv("TERM", "xterm-256color")
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "LC_ALL", "LC_CTYPE", "LANG"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("os.get_terminal_size", lambda _fd=0: os.terminal_size((self.columns, self.rows)))
        self.columns, self.rows = columns, rows
        self.pty = pyte.HistoryScreen(columns, rows)
        self.feed = pyte.Stream(self.pty)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.feed.feed(text.replace("\n", "\r\n"))
        return super().write(text)

    def screen(self) -> list[str]:
        shown = [line.rstrip() for line in self.pty.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.pty.resize(rows, columns)


def live(terminal: Terminal, time: Time | None = None) -> LiveProgress:
    return LiveProgress(terminal, time or Time(), Subject("shots.yaml", "outputs/shots"))


def test_the_view_is_redrawn_in_place_when_a_terminal_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens, one view stands on the screen, and the lines that stay are above it."""
    terminal = Terminal(monkeypatch)
    progress = open_progress("auto", terminal, Subject("shots.yaml", "outputs/shots"))
    assert isinstance(progress, LiveProgress)
    progress.tick()
    assert terminal.screen() == []
    progress.hear(started(queued=2, slots=2))
    assert terminal.screen()[0] == "shots.yaml → outputs/shots"
    for number, event in enumerate((*life("a"), moved("b", JobState.SUBMITTING))):
        progress.hear(event)
        progress.line(f"line {number}: [bold]not markup[/bold]")
        progress.tick()
    shown = terminal.screen()
    assert shown[:5] == [f"line {number}: [bold]not markup[/bold]" for number in range(5)]
    assert shown[5] == "shots.yaml → outputs/shots"
    assert "█ 1 done  ▓ 0 downloading  ▒ 1 running  ░ 0 waiting" in shown[7]
    assert sum("slowest running" in line for line in shown) == 1


def test_two_lines_stay_when_the_view_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The view falls in, and an empty line stands below what stays; a line that waited is still written."""
    terminal = Terminal(monkeypatch)
    progress = live(terminal)
    progress.hear(started(queued=1, slots=1))
    for event in life("a"):
        progress.hear(event)
    progress.line("the last word")
    progress.close()
    assert terminal.screen() == ["the last word", "█" * 66 + " 1/1  in 0:00", "█ 1 done"]
    assert terminal.pty.cursor.y == 4


def test_lines_that_stay_are_wrapped_at_spaces_when_the_terminal_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word is broken on no terminal that has room for it, before the view is there and while it is."""
    terminal = Terminal(monkeypatch, 20, 20)
    progress = live(terminal)
    text, wrapped = "wave: failed (timeout): nothing came", ["wave: failed", "(timeout): nothing", "came"]
    progress.line(text)
    assert terminal.screen() == wrapped
    progress.hear(started(queued=2))
    progress.line(text)
    progress.tick()
    assert terminal.screen()[:6] == wrapped * 2


def test_a_pipe_gets_lines_as_they_are_when_rich_is_asked_for() -> None:
    """Nothing is drawn into a pipe, and no line is wrapped for it."""
    pipe = io.StringIO()
    progress = open_progress("rich", pipe)
    progress.hear(started(queued=1))
    progress.line("word " * 30)
    progress.tick()
    progress.close()
    assert pipe.getvalue() == "word " * 30 + "\n"


def test_the_view_follows_when_the_terminal_changes_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Higher and wider, it shows more; lower, less; and never is a part of an older view left above a newer one."""
    terminal = Terminal(monkeypatch)
    progress = live(terminal)
    progress.hear(started(queued=200, slots=100))
    for number in range(90):
        progress.hear(moved(f"job-{number}", JobState.SUBMITTING))
    progress.tick()
    heights = []
    for columns, height in ((80, 40), (160, 50), (160, 30)):
        terminal.resize(columns, height)
        progress.tick()
        shown = terminal.screen()
        heights.append(len(shown))
        assert sum("shots.yaml" in line for line in shown) == 1
        assert sum("slowest running" in line for line in shown) == 1
    assert heights[0] > 20
    assert heights[1] > heights[0]
    assert heights[2] < heights[1]


@pytest.mark.parametrize(("columns", "more"), [(100, 0), (80, 0), (79, 0), (78, 1), (40, 2)])
def test_the_old_view_is_replaced_when_the_terminal_has_wrapped_it(
    monkeypatch: pytest.MonkeyPatch, columns: int, more: int
) -> None:
    """A narrower terminal has wrapped what stood there: the new view begins so many rows higher."""
    terminal = Terminal(monkeypatch, 80, 8)
    progress = live(terminal)
    progress.hear(started(queued=2, slots=2))
    progress.tick()
    before = len(terminal.getvalue())
    terminal.resize(columns, 8)
    progress.tick()
    climbed = int(terminal.getvalue()[before:].split("A", 1)[0].removeprefix("\r\x1b["))
    assert climbed == 5 + more


def test_the_view_begins_anew_when_the_process_was_stopped_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-Z and `fg`, what the shell has written is not drawn over."""
    terminal = Terminal(monkeypatch, 80, 40)
    progress = live(terminal)
    progress.hear(started(queued=2))
    terminal.write("\n[1]+ Stopped\n$ fg\n")
    progress.resume()
    shown = terminal.screen()
    assert shown.index("[1]+ Stopped") + 1 == shown.index("$ fg")
    assert shown.index("$ fg") < 39 - shown[::-1].index("shots.yaml → outputs/shots")
    progress.tick()
    assert sum("shots.yaml" in line for line in terminal.screen()) == 2


def test_a_failure_beside_the_run_is_still_told_when_the_view_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be written fails after the last job has ended."""
    terminal = Terminal(monkeypatch)
    progress = live(terminal)
    progress.hear(started(queued=1))
    progress.close()
    progress.line("report failed")
    progress.close()
    assert terminal.screen()[-1] == "report failed"


@pytest.mark.parametrize(("width", "taken"), [(9, 2), (8, 2), (7, 3), (4, 4), (3, 5)])
def test_rows_are_counted_when_a_terminal_wraps_a_picture(width: int, taken: int) -> None:
    """A line that fits takes one row, one cell more takes another; a wide character takes two cells."""
    assert rows(["12345678", "1海23"], width) == taken


def test_a_character_that_is_wider_than_thought_breaks_no_line_when_it_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While the view is drawn, the terminal wraps nothing; afterwards it wraps again."""
    terminal = Terminal(monkeypatch)
    live(terminal).hear(started(queued=1))
    written = terminal.getvalue()
    assert written.index("\x1b[?7l") < written.index("shots.yaml") < written.index("\x1b[?7h")
    assert written.endswith("\x1b[?7h")


@pytest.mark.parametrize("no_color", [False, True])
def test_colours_are_left_out_when_nobody_wants_them(monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    """NO_COLOR is honoured: the same characters, and no colour."""
    terminal = Terminal(monkeypatch)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    live(terminal).hear(started(done=1, queued=1))
    colours = {cell.fg for row in terminal.pty.buffer.values() for cell in row.values()}
    assert (colours == {"default"}) is no_color
    assert "█ 1 done" in terminal.screen()[2]


@pytest.mark.parametrize(("locale", "ascii_only"), [({}, False), ({"LANG": "C"}, True), ({"LANG": "C.UTF-8"}, False)])
@pytest.mark.parametrize("stronger", [{}, {"LC_ALL": "POSIX"}])
def test_the_view_is_ascii_when_the_locale_knows_no_more(
    monkeypatch: pytest.MonkeyPatch, locale: dict[str, str], ascii_only: bool, stronger: dict[str, str]
) -> None:
    """The C locale gets ASCII, though Python takes it for UTF-8; where nothing is set, UTF-8 it is."""
    terminal = Terminal(monkeypatch)
    for name, value in {**locale, **stronger}.items():
        monkeypatch.setenv(name, value)
    live(terminal).hear(started(done=1, queued=1))
    assert "\n".join(terminal.screen()).isascii() is (ascii_only or bool(stronger))


def test_the_view_is_ascii_when_the_stream_s_encoding_knows_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """No character of the bar becomes an escape or a question mark."""

    class Narrow(Terminal):
        encoding = "latin-1"

    terminal = Narrow(monkeypatch)
    live(terminal).hear(started(done=1, queued=1))
    assert terminal.screen()[0] == "shots.yaml > outputs/shots"
    assert terminal.screen()[1].startswith("#######")


def test_nothing_is_drawn_when_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence will say so."""
    terminal = Terminal(monkeypatch)
    progress = live(terminal)
    progress.hear(started(done=5))
    progress.tick()
    progress.close()
    assert terminal.getvalue() == ""


def test_nothing_is_drawn_when_the_terminal_is_held() -> None:
    """Ctrl-S holds the screen, not the run: what is to be drawn is drawn when it is let go, and lines are kept."""
    controller, held = os.openpty()
    stream = os.fdopen(held, "w")
    progress = LiveProgress(stream, Time())
    progress.hear(started(queued=1))
    for _ in range(50):
        progress._outlet.write("x" * 10_000)  # nobody reads the other side
    assert progress._outlet.busy
    progress.line("kept")
    progress.tick()
    assert list(progress._lines) == ["kept"]
    os.close(controller)
    progress.close()
    stream.close()


# -- which kind --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("term", ["dumb", None])
def test_progress_is_plain_when_the_terminal_cannot_move_its_cursor(
    monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    """`auto` animates nothing on a dumb terminal."""
    terminal = Terminal(monkeypatch)
    monkeypatch.setenv("TERM", term) if term else monkeypatch.delenv("TERM", raising=False)
    assert isinstance(open_progress("auto", terminal), PlainProgress)


def test_progress_is_plain_when_stderr_is_no_terminal() -> None:
    """`auto` writes no escape sequence into a file."""
    assert isinstance(open_progress("auto", io.StringIO()), PlainProgress)


def test_lines_still_come_when_there_is_no_progress() -> None:
    """`none` hides the counts alone."""
    stream = io.StringIO()
    progress = open_progress("none", stream)
    progress.hear(started(queued=1))
    progress.tick()
    progress.line("words")
    progress.close()
    assert isinstance(progress, NoProgress)
    assert stream.getvalue() == "words\n"


async def test_progress_is_drawn_until_it_is_cancelled_when_a_run_goes_on() -> None:
    """The drawing asks again and again."""
    drawn = asyncio.Event()

    class Once(NoProgress):
        def tick(self) -> None:
            drawn.set()

    drawing = asyncio.create_task(keep_drawing(Once(io.StringIO())))
    await drawn.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
