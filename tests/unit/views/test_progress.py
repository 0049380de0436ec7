"""The tally and what progress shows of it, with time as an argument."""

import asyncio
import io
import itertools
import os
from collections.abc import Iterator

import pytest

from pipeline.core.events import (
    BatchEnded,
    BatchStarted,
    CallFailed,
    Event,
    JobLeft,
    JobMoved,
    SlotsChanged,
    Stopping,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import Failure, Job, JobState, Outcome, Source, Stage
from pipeline.views.progress import (
    PLAIN_EVERY,
    LiveProgress,
    NoProgress,
    PlainProgress,
    keep_drawing,
    line_writer,
    live_lines,
    open_progress,
    plain_line,
    rows,
)
from pipeline.views.tally import Standing, Tally


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def moved(job_id: str, state: JobState, stage: Stage = Stage.SUBMIT) -> JobMoved:
    job = Job(job_id, "d", "m", {}, {}, f"{job_id}.mp4", Source("m.yaml", 1))
    failure = Failure(stage, "code", "message") if state in (JobState.FAILED, JobState.UNKNOWN) else None
    return JobMoved(0.0, job, state, 1, outcome=Outcome(state, (), failure) if state.ended else None)


def life(job_id: str) -> Iterator[JobMoved]:
    for state in (JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING, JobState.DONE):
        yield moved(job_id, state)


def started(**counts: int) -> BatchStarted:
    return BatchStarted(0.0, {JobState(name): count for name, count in counts.items()}, counts.get("queued", 0))


def told(*events: Event, time: Time | None = None) -> Tally:
    tally = Tally(time or Time())
    for event in events:
        tally.hear(event)
    return tally


def shown(tally: Tally) -> dict[str, int]:
    return {str(state): count for state, count in tally.standing().counts.items() if count}


# -- the tally ---------------------------------------------------------------------------------------------------------


def test_counts_follow_a_job_when_it_moves() -> None:
    """A job leaves the count of its old state when it enters that of the new one."""
    tally = told(started(queued=2), moved("a", JobState.SUBMITTING))
    assert shown(tally) == {"submitting": 1, "queued": 1}
    for event in list(life("a"))[1:]:
        tally.hear(event)
    assert shown(tally) == {"done": 1, "queued": 1}


def test_counts_stay_right_when_a_submit_is_taken_back() -> None:
    """A job that goes back to the queue and comes again is counted once."""
    back_and_forth = [moved("a", JobState.SUBMITTING), moved("a", JobState.QUEUED), moved("a", JobState.SUBMITTING)]
    assert shown(told(started(queued=1), *back_and_forth)) == {"submitting": 1}


@pytest.mark.parametrize(
    ("before", "event"),
    [
        ("running", moved("a", JobState.FETCHING)),
        ("fetching", moved("a", JobState.DONE)),
        ("running", moved("a", JobState.UNKNOWN)),
        ("queued", moved("a", JobState.FAILED, Stage.SUBMIT)),
        ("running", moved("a", JobState.FAILED, Stage.GENERATE)),
        ("fetching", moved("a", JobState.FAILED, Stage.DOWNLOAD)),
    ],
)
def test_counts_stay_right_when_an_earlier_run_began_the_job(before: str, event: JobMoved) -> None:
    """The first that is heard of a job tells where it stood."""
    assert shown(told(started(**{before: 1}), event)) == {str(event.state): 1}


def test_the_ledger_has_the_last_word_when_the_batch_ends() -> None:
    """The counts at the end are the ledger's own."""
    assert shown(told(started(queued=1), BatchEnded(0.0, {JobState.QUEUED: 0, JobState.DONE: 1}))) == {"done": 1}


def test_the_eta_is_what_is_left_at_the_rate_so_far_when_two_jobs_have_ended() -> None:
    """Two of ten in twenty seconds leave eighty; before the second end nothing is said, and after the last nothing."""
    time = Time()
    tally = told(started(queued=10), time=time)
    time.now += 20
    for event in life("a"):
        tally.hear(event)
    assert tally.standing().eta is None
    for event in life("b"):
        tally.hear(event)
    assert tally.standing().eta == 80
    tally.hear(BatchEnded(0.0, {}))
    assert tally.standing().eta is None


def test_the_eta_waits_for_tasks_when_submits_are_refused() -> None:
    """A refused submit takes no time, and says nothing about the jobs that do."""
    tally = told(started(queued=9))
    for name in ("a", "b", "c"):
        tally.hear(moved(name, JobState.SUBMITTING))
        tally.hear(moved(name, JobState.FAILED))
    assert tally.standing().eta is None


def wave(slots: int, time: Time) -> Tally:
    """A hundred jobs, so many of them submitted at once."""
    tally = told(started(queued=100), time=time)
    for number in range(slots):
        tally.hear(moved(str(number), JobState.SUBMITTING))
        tally.hear(moved(str(number), JobState.RUNNING))
    return tally


def test_the_eta_is_sober_when_the_first_of_many_slots_end() -> None:
    """Ten tasks of a minute at a time make ten minutes for a hundred, though only two have ended yet."""
    time = Time()
    tally = wave(10, time)
    time.now += 58
    for number in range(2):
        tally.hear(moved(str(number), JobState.FETCHING))
        tally.hear(moved(str(number), JobState.DONE))
    assert tally.standing().eta == pytest.approx(540, rel=0.1)


def test_the_eta_moves_calmly_when_a_wave_ends() -> None:
    """Between two looks the estimate follows time, and not the accident of which task ended just now."""
    time, seen = Time(), []
    tally = wave(10, time)
    for number in range(10):
        time.now += 55 if number == 0 else 1
        tally.hear(moved(str(number), JobState.FETCHING))
        tally.hear(moved(str(number), JobState.DONE))
        seen.append(tally.standing().eta)
    told_etas = [eta for eta in seen if eta is not None]
    assert len(told_etas) == 9
    assert all(abs(later - earlier) < 20 for earlier, later in itertools.pairwise(told_etas))


def test_the_eta_is_never_zero_when_something_still_runs() -> None:
    """The last task takes longer than all before it: a second is left, or more, until it has ended."""
    time = Time()
    tally = told(started(queued=3), time=time)
    for name in ("a", "b", "c"):
        tally.hear(moved(name, JobState.SUBMITTING))
        tally.hear(moved(name, JobState.RUNNING))
    time.now += 2
    for name in ("a", "b"):
        tally.hear(moved(name, JobState.FETCHING))
        tally.hear(moved(name, JobState.DONE))
    for _ in range(100):
        time.now += 0.25
        eta = tally.standing().eta
        assert eta is not None
        assert eta >= 1


def test_the_eta_forgets_a_job_when_it_is_left_to_the_next_run() -> None:
    """This run does not wait for it."""
    tally = told(started(queued=3), *life("a"), *life("b"), moved("c", JobState.SUBMITTING))
    tally.hear(moved("c", JobState.RUNNING))
    assert tally.standing().eta is not None
    tally.hear(JobLeft(0.0, "c", JobState.RUNNING, "it has been running for 3,600 s"))
    assert tally.standing().eta is None


def test_the_eta_follows_the_recent_rate_when_the_batch_is_long() -> None:
    """After two hundred ends, older ones no longer count."""
    time = Time()
    tally = told(started(queued=1000), time=time)
    for number in range(400):
        time.now += 10 if number < 200 else 1
        for event in life(str(number)):
            tally.hear(event)
    assert tally.standing().eta == pytest.approx(600, rel=0.01)


def test_a_refusal_is_noted_when_it_is_fresh() -> None:
    """A failed call is named until the call is made again; a pause until it is over; a stop for good."""
    time = Time()
    tally = told(started(queued=1), CallFailed(0.0, "submit", "a", "rate_limit", "slow down", 5.0), time=time)
    assert tally.standing().note == "submit calls fail (rate_limit)"
    time.now += 5
    assert tally.standing().note == ""
    tally.hear(SubmittingPaused(0.0, "disk full"))
    assert tally.standing().note == "submitting is paused: disk full"
    tally.hear(SubmittingResumed(0.0))
    assert tally.standing().note == ""
    tally.hear(Stopping(0.0, "signal", "SIGTERM received"))
    assert tally.standing().note == "stopping: SIGTERM received"


# -- drawing -----------------------------------------------------------------------------------------------------------

MIDWAY = Standing({JobState.DONE: 7, JobState.FAILED: 1, JobState.RUNNING: 2, JobState.QUEUED: 2}, 65, 32.4)


def test_a_plain_line_says_everything_when_a_batch_is_midway() -> None:
    """Elapsed, jobs, counts that are not zero, and the time left."""
    assert plain_line(MIDWAY) == "1:05  12 jobs: 7 done, 1 failed, 2 running, 2 queued; about 0:32 left"


def test_a_plain_line_makes_no_guess_when_nothing_is_known_yet() -> None:
    """What is not known is not named."""
    assert plain_line(Standing({JobState.QUEUED: 1}, 0)) == "0:00  1 job: 0 done, 1 queued"


def test_nothing_is_left_when_every_job_has_ended() -> None:
    """The last line names no remaining time."""
    assert plain_line(Standing({JobState.DONE: 2}, 3700)) == "1:01:40  2 jobs: 2 done"


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (
            80,
            f"{'━' * 26}{'╌' * 14} 8/12  1:05  about 0:32 left\n7 done, 1 failed, 2 running, 2 queued",
        ),
        (40, "━━━━━━━━╌╌╌╌ 8/12  1:05  about 0:32 left\n7 done, 1 failed, 2 running, 2 queued"),
        (20, "8/12  1:05  about 0…\n7 done, 1 failed, 2…"),
    ],
)
def test_live_lines_fit_when_the_terminal_is_narrow(width: int, expected: str) -> None:
    """The bar shrinks first, then the words are cut."""
    drawn = live_lines(MIDWAY, width)
    assert drawn == expected
    assert all(len(line) <= width for line in drawn.splitlines())


def test_a_note_from_outside_is_harmless_when_it_is_drawn() -> None:
    """A message of the service cannot steer the terminal."""
    standing = Standing({JobState.QUEUED: 1}, 0, slots=3, note="paused: \x1b[2J")
    assert live_lines(standing, 80).splitlines()[1] == r"0 done, 1 queued; 3 slots allowed; paused: \x1b[2J"
    assert told(SlotsChanged(0.0, 3)).standing().slots == 3


@pytest.mark.parametrize(("width", "taken"), [(9, 2), (8, 2), (7, 3), (4, 4), (3, 5)])
def test_rows_are_counted_when_a_terminal_wraps_a_picture(width: int, taken: int) -> None:
    """A line that fits takes one row, one cell more takes another; a wide character takes two cells."""
    assert rows("12345678\n1海23", width) == taken


# -- the three kinds ---------------------------------------------------------------------------------------------------


def test_plain_lines_are_rare_when_a_batch_goes_on() -> None:
    """At the start, when the last job was submitted, at the end, and otherwise every quarter of a minute."""
    time, lines = Time(), []
    progress = PlainProgress(lines.append, time)
    progress.hear(started(queued=2))
    assert len(lines) == 1
    for event in life("a"):
        progress.hear(event)
    time.now += PLAIN_EVERY - 0.1
    progress.tick()
    assert len(lines) == 1
    time.now += 0.1
    progress.tick()
    progress.tick()
    assert len(lines) == 2
    progress.hear(moved("b", JobState.SUBMITTING))
    assert len(lines) == 3
    progress.hear(BatchEnded(0.0, {JobState.DONE: 2}))
    time.now += 10 * PLAIN_EVERY
    progress.tick()
    assert len(lines) == 4


def test_one_plain_line_is_enough_when_there_is_nothing_to_do() -> None:
    """The end is told where it differs from the start."""
    lines: list[str] = []
    progress = PlainProgress(lines.append, Time())
    progress.hear(started(done=2))
    progress.hear(BatchEnded(0.0, {JobState.DONE: 2}))
    assert lines == ["0:00  2 jobs: 2 done"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_live_lines_are_redrawn_in_place_when_a_terminal_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that stay are written above the picture; the last picture stays, an empty line below it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    progress = open_progress("auto", terminal)
    assert isinstance(progress, LiveProgress)
    progress.tick()
    assert terminal.getvalue() == ""
    progress.hear(started(queued=2))
    assert "0 done, 2 queued" in terminal.getvalue()
    progress.hear(moved("a", JobState.SUBMITTING))
    progress.tick()
    assert "0 done, 1 submitting, 1 queued" in terminal.getvalue()
    progress.line("a: [bold]not markup[/bold]")
    assert "a: [bold]not markup[/bold]\n" in terminal.getvalue()
    progress.close()
    assert terminal.getvalue().endswith("0 done, 1 submitting, 1 queued\n\x1b[?25h\n")


def test_a_line_is_wrapped_at_a_space_when_the_terminal_is_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word is broken on no terminal that has room for it; a pipe gets the line as it is."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        LiveProgress(stream).line("wave: failed (timeout): nothing came")
    assert [line.rstrip() for line in terminal.getvalue().splitlines()] == [
        "wave: failed",
        "(timeout): nothing",
        "came",
    ]
    assert pipe.getvalue() == "wave: failed (timeout): nothing came\n"


@pytest.mark.parametrize(("columns", "climbed"), [(60, 0), (50, 0), (49, 1), (24, 2)])
def test_the_old_picture_is_erased_when_the_terminal_became_narrower(
    monkeypatch: pytest.MonkeyPatch, columns: int, climbed: int
) -> None:
    """The terminal has wrapped what stood there: the rows that it takes now are erased before the new picture."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    width = [80]
    monkeypatch.setattr("os.get_terminal_size", lambda _fd: os.terminal_size((width[0], 24)))
    terminal = Terminal()
    progress = LiveProgress(terminal, Time())
    progress.hear(started(queued=2))
    written = len(terminal.getvalue())
    width[0] = columns
    progress.tick()
    up = "\x1b[2K\x1b[1A"
    assert terminal.getvalue()[written:].startswith(up * climbed + "\r" + up)


def test_the_last_picture_is_a_whole_line_when_it_goes_into_a_pipe() -> None:
    """What comes after it starts on a line of its own; nothing is drawn before the end."""
    pipe = io.StringIO()
    progress = open_progress("rich", pipe)
    progress.hear(started(queued=1))
    progress.tick()
    progress.close()
    assert pipe.getvalue().splitlines()[1] == "0 done, 1 queued"
    assert pipe.getvalue().endswith("queued\n")


def test_a_picture_is_ascii_when_the_terminal_knows_no_more() -> None:
    """No character of the bar becomes an escape."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    progress = LiveProgress(stream, Time())
    progress.hear(started(done=1, queued=1))
    progress.close()
    stream.flush()
    assert raw.getvalue().splitlines()[0] == b"#" * 20 + b"-" * 20 + b" 1/2  0:00"


@pytest.mark.parametrize("term", ["dumb", None])
def test_progress_is_plain_when_the_terminal_cannot_move_its_cursor(
    monkeypatch: pytest.MonkeyPatch, term: str | None
) -> None:
    """`auto` animates nothing on a dumb terminal."""
    monkeypatch.setenv("TERM", term) if term else monkeypatch.delenv("TERM", raising=False)
    assert isinstance(open_progress("auto", Terminal()), PlainProgress)


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


def test_a_run_goes_on_when_nobody_can_be_told() -> None:
    """A closed pipe or a full disk behind stderr is no reason to end a paid run."""

    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    line_writer(Broken())("words")


async def test_progress_is_drawn_until_it_is_cancelled_when_a_run_goes_on() -> None:
    """The drawing asks again and again."""
    drawn = asyncio.Event()

    class Once(NoProgress):
        def tick(self) -> None:
            drawn.set()

    drawing = asyncio.create_task(keep_drawing(Once(print)))
    await drawn.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
