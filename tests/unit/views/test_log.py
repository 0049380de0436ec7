"""Events as log lines."""

import json

import pytest

from pipeline.core import events
from pipeline.core.events import (
    BatchEnded,
    BatchPriced,
    BatchStarted,
    CallFailed,
    Event,
    ExtraFailed,
    FolderAwaited,
    JobLeft,
    JobMoved,
    QuestionsLate,
    RowsKept,
    SlotsChanged,
    Stopping,
    StrangeStatus,
    SubmittingPaused,
    SubmittingResumed,
)
from pipeline.core.jobs import Failure, Job, JobState, Outcome, Source, Stage, StoredFile
from pipeline.core.money import Actual, Quote
from pipeline.views.log import REPEAT_AFTER, JsonLog, Level, TextLog, as_json, level_of, sentence

JOB = Job("wave", "d", "m", {"prompt": "the prompt"}, {}, "wave.mp4", Source("m.yaml", 1))
FILE = StoredFile("videos/wave.mp4", 10, "ab", "https://host/secret?signature=1")
FAILURE = Failure(Stage.GENERATE, "failed", "no \x1b[31mreason", 400)
DONE = JobMoved(1.5, JOB, JobState.DONE, 1, "t1", Outcome(JobState.DONE, (FILE,)))
FAILED = JobMoved(1.5, JOB, JobState.FAILED, 2, "t1", Outcome(JobState.FAILED, (), FAILURE))
UNKNOWN = JobMoved(1.5, JOB, JobState.UNKNOWN, 1, None, Outcome(JobState.UNKNOWN, (), FAILURE))
RUNNING = JobMoved(1.5, JOB, JobState.RUNNING, 1, "t1")
STARTED = BatchStarted(1.5, {JobState.QUEUED: 2}, 1)
FASTER = BatchStarted(1.5, {JobState.QUEUED: 2}, 1, loop="uvloop")
CALL = CallFailed(1.5, "submit", "wave", "rate_limit", "slow down", 2.0)
QUOTE = Quote("m", "m", currency="CNY", expected=900_000, worst=1_440_000)
PRICED = BatchPriced(1.5, {QUOTE: 2, Quote("n", "n"): 1}, (), 12.0)
ALL = [
    (FAILED, Level.ERRORS, "job_moved", "wave: failed (failed at generate): no \x1b[31mreason"),
    (
        UNKNOWN,
        Level.ERRORS,
        "job_moved",
        "wave: unknown, may have been paid for (failed at generate): no \x1b[31mreason",
    ),
    (Stopping(1.5, "signal", "SIGTERM received"), Level.ERRORS, "stopping", "stopping: SIGTERM received"),
    (CALL, Level.NOTABLE, "call_failed", "wave: submit call failed (rate_limit), again in 2.0 s: slow down"),
    (SubmittingPaused(1.5, "disk"), Level.NOTABLE, "submitting_paused", "submitting is paused: disk"),
    (SubmittingResumed(1.5), Level.NOTABLE, "submitting_resumed", "submitting goes on"),
    (
        StrangeStatus(1.5, "wave", "Paused"),
        Level.NOTABLE,
        "strange_status",
        "wave: the service says 'Paused', which nobody documented; asking on",
    ),
    (
        QuestionsLate(1.5, 2.34, 9.0, "raise --pollers"),
        Level.NOTABLE,
        "questions_late",
        "questions leave 2.3 s late, 9.0 s at worst: raise --pollers",
    ),
    (DONE, Level.FINISHED, "job_moved", "wave: done, videos/wave.mp4"),
    (
        FolderAwaited(1.5, "outputs/shots", 600.0),
        Level.NOTABLE,
        "folder_awaited",
        "another run holds outputs/shots; waiting for it to end, for 10 min 0 s at most",
    ),
    (RUNNING, Level.EVERYTHING, "job_moved", "wave: running, task t1"),
    (SlotsChanged(1.5, 3), Level.EVERYTHING, "slots_changed", "3 slots allowed"),
    (
        JobLeft(1.5, "wave", JobState.RUNNING, "the run ended"),
        Level.ERRORS,
        "job_left",
        "wave: left running for the next run: the run ended",
    ),
    (RowsKept(1.5, 1, ("a",)), Level.NOTABLE, "rows_kept", "1 row changed and was left as enrolled (a)"),
    (
        RowsKept(1.5, 1, ("a",), in_flight=True),
        Level.NOTABLE,
        "rows_kept",
        "1 row changed and was left as enrolled while in flight; the next run with --on-changed rerun buys anew (a)",
    ),
    (RowsKept(1.5, 2, ("a", "b")), Level.NOTABLE, "rows_kept", "2 rows changed and were left as enrolled (a, b)"),
    (
        RowsKept(1.5, 1200, ("a", "b")),
        Level.NOTABLE,
        "rows_kept",
        "1,200 rows changed and were left as enrolled (a, b, …)",
    ),
    (STARTED, Level.EVERYTHING, "batch_started", "started: 0 done, 2 queued; 1 to submit"),
    (FASTER, Level.EVERYTHING, "batch_started", "started: 0 done, 2 queued; 1 to submit, on uvloop"),
    (PRICED, Level.EVERYTHING, "batch_priced", "3 jobs to submit are priced"),
    (
        ExtraFailed(1.5, "notify", "the webhook answers 500"),
        Level.ERRORS,
        "extra_failed",
        "notify failed, and the run goes on: the webhook answers 500",
    ),
    (BatchEnded(1.5, {JobState.DONE: 2}), Level.EVERYTHING, "batch_ended", "ended: 2 done"),
]


@pytest.mark.parametrize(("event", "level", "_name", "text"), ALL)
def test_an_event_has_a_sentence_when_it_is_logged(event: Event, level: Level, _name: str, text: str) -> None:
    """Every event says what happened, and to whom it matters."""
    assert (level_of(event), sentence(event)) == (level, text)


@pytest.mark.parametrize(("event", "_level", "name", "_text"), ALL)
def test_an_event_has_a_stable_name_when_it_is_logged_as_json(
    event: Event, _level: Level, name: str, _text: str
) -> None:
    """Scripts find events by name; the time is ISO 8601 in UTC; a line is ASCII and one line."""
    line = as_json(event)
    found = json.loads(line)
    assert (found["event"], found["time"]) == (name, "1970-01-01T00:00:01.500Z")
    assert line.isascii()
    assert "\n" not in line


def test_every_event_is_told_when_there_is_a_log() -> None:
    """No event is without a name of its own and facts; `submitting_resumed` says everything by its name."""
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert {type(event) for event, *_ in ALL} == kinds - {Event}
    for event, _, name, _ in ALL:
        facts = json.loads(as_json(event)).keys() - {"event", "time"}
        assert bool(facts) is (name != "submitting_resumed")


def test_money_is_exact_when_a_move_is_logged_as_json() -> None:
    """What an attempt may cost stands with its submit, what it came to with its end; what is not known is null."""
    submitted = json.loads(as_json(JobMoved(1.5, JOB, JobState.SUBMITTING, 1, quote=QUOTE)))
    assert submitted["quote"] == {"currency": "CNY", "expected": "0.90", "worst": "1.44"}
    unpriced = json.loads(as_json(JobMoved(1.5, JOB, JobState.SUBMITTING, 1, quote=Quote("n", "n"))))
    assert unpriced["quote"] == {"currency": None, "expected": None, "worst": None}
    ended = json.loads(as_json(JobMoved(1.5, JOB, JobState.FETCHING, 1, "t1", actual=Actual(875_000, 5040))))
    assert ended["actual"] == {"cost": "0.875", "video_seconds": 5.04}
    ended = json.loads(as_json(JobMoved(1.5, JOB, JobState.FETCHING, 1, "t1", actual=Actual())))
    assert ended["actual"] == {"cost": None, "video_seconds": None}


def test_a_finished_job_is_complete_when_it_is_logged_as_json() -> None:
    """What became of the job is there; neither the prompt nor the signed URL is."""
    found = json.loads(as_json(DONE))
    assert found | {"files": None} == {
        "event": "job_moved",
        "time": "1970-01-01T00:00:01.500Z",
        "job_id": "wave",
        "state": "done",
        "attempt": 1,
        "task_id": "t1",
        "files": None,
        "error": None,
    }
    assert found["files"] == [{"path": "videos/wave.mp4", "bytes": 10}]
    assert json.loads(as_json(FAILED))["error"] == {
        "stage": "generate",
        "code": "failed",
        "message": "no \x1b[31mreason",
        "http_status": 400,
    }


@pytest.mark.parametrize("level", list(Level))
def test_a_level_includes_those_before_it_when_events_are_logged(level: Level) -> None:
    """Nobody who wants to know more misses what others are told."""
    text, objects = [], []
    plain, machine = TextLog(text.append, level, lambda: 0.0), JsonLog(objects.append, level)
    for event, *_ in ALL:
        plain.hear(event)
        machine.hear(event)
    expected = sum(wanted <= level for _, wanted, *_ in ALL)
    assert (len(text), len(objects)) == (expected, expected)


def test_a_line_is_harmless_when_its_words_come_from_outside() -> None:
    """What the service says cannot steer the terminal."""
    lines: list[str] = []
    TextLog(lines.append, Level.ERRORS).hear(FAILED)
    assert lines[0].endswith(r"no \x1b[31mreason")


def test_a_trouble_is_told_once_a_minute_when_it_repeats() -> None:
    """The same trouble with the same call is gathered; another one is told at once; verbose tells all."""
    now, lines, everything = [0.0], [], []
    log, verbose = TextLog(lines.append, Level.NOTABLE, lambda: now[0]), TextLog(everything.append, Level.EVERYTHING)
    for _ in range(4):
        log.hear(CALL)
        verbose.hear(CALL)
    log.hear(CallFailed(1.5, "submit", "wave", "timeout", "nothing came", 2.0))
    assert (len(lines), len(everything)) == (2, 4)
    now[0] = REPEAT_AFTER - 0.1
    log.hear(CALL)
    assert len(lines) == 2
    now[0] = REPEAT_AFTER
    log.hear(CALL)
    assert lines[2].endswith("slow down (4 more like this since)")


def test_a_pause_that_comes_and_goes_is_told_once_a_minute_when_it_flickers() -> None:
    """Of a disk that is full and free again every second, the log keeps one line of each kind."""
    lines: list[str] = []
    log = TextLog(lines.append, Level.NOTABLE, lambda: 0.0)
    for _ in range(5):
        log.hear(SubmittingPaused(1.5, "disk"))
        log.hear(SubmittingResumed(1.5))
    assert [line.split(" ", 1)[1] for line in lines] == ["submitting is paused: disk", "submitting goes on"]


def test_jobs_left_behind_are_told_once_when_they_are_many() -> None:
    """Why the first one was left is why all are: a stop with a hundred running tasks is two lines, not a hundred."""
    lines: list[str] = []
    log = TextLog(lines.append, Level.ERRORS, lambda: 0.0)
    for name in ("one", "two", "three"):
        log.hear(JobLeft(1.5, name, JobState.RUNNING, "SIGTERM received"))
    log.hear(BatchEnded(2.5, {JobState.RUNNING: 3}))
    assert [line.split(" ", 1)[1] for line in lines] == [
        "one: left running for the next run: SIGTERM received",
        "2 more left running for the next run",
    ]


def test_nothing_more_is_told_at_the_end_when_each_job_that_was_left_was_named() -> None:
    """One job, one line; of repeated calls the end tells nothing."""
    lines: list[str] = []
    log = TextLog(lines.append, Level.NOTABLE, lambda: 0.0)
    log.hear(JobLeft(1.5, "one", JobState.RUNNING, "SIGTERM received"))
    for _ in range(3):
        log.hear(CallFailed(1.5, "status", "one", "http_500", "no", 1.0))
    log.hear(BatchEnded(2.5, {JobState.RUNNING: 1}))
    assert len(lines) == 2
