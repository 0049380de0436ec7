"""What standard error shows, by the settings."""

import io
import json

import pytest

from pipeline.core.events import BatchEnded, BatchStarted, Stopping, SubmittingPaused
from pipeline.core.jobs import JobState
from pipeline.settings import Settings
from pipeline.views.screen import open_screen

EVENTS = [
    BatchStarted(0.0, {JobState.QUEUED: 1}, 1),
    SubmittingPaused(0.0, "disk"),
    Stopping(0.0, "signal", "SIGTERM received"),
]


def heard(quiet: bool = False, verbose: bool = False, **settings: str) -> list[str]:
    stream = io.StringIO()
    screen = open_screen(stream, Settings(**settings), quiet=quiet, verbose=verbose)
    for event in EVENTS:
        screen.hear(event)
    screen.say("a word to a person")
    screen.close()
    return stream.getvalue().splitlines()


def test_progress_and_notable_events_are_shown_when_nothing_is_said() -> None:
    """Counts, pauses, stops, and a word to a person."""
    progress, paused, stopping, phase, word = heard()
    assert progress == "0:00  1 job: 0 done, 1 queued"
    assert paused.endswith("submitting is paused: disk")
    assert phase.endswith("stopping: SIGTERM received")
    assert stopping.endswith("stopping: SIGTERM received")
    assert word == "a word to a person"


def test_only_errors_are_shown_when_the_run_is_quiet() -> None:
    """No counts, no pauses, no words."""
    (stopping,) = heard(quiet=True, progress="plain")
    assert stopping.endswith("stopping: SIGTERM received")


def test_everything_is_shown_when_the_run_is_verbose() -> None:
    """The start is told as well, and the log line stands before the newer counts."""
    lines = heard(verbose=True)
    assert lines[0].endswith("started: 0 done, 1 queued; 1 to submit")
    assert len(lines) == 6


@pytest.mark.parametrize(
    ("quiet", "names"), [(False, ["batch_started", "submitting_paused", "stopping"]), (True, ["stopping"])]
)
def test_every_line_is_an_object_when_the_log_is_json(quiet: bool, names: list[str]) -> None:
    """`auto` shows no progress beside it, and nobody is talked to."""
    assert [json.loads(line)["event"] for line in heard(quiet=quiet, log_format="json")] == names


def test_progress_stays_when_it_is_asked_for_beside_a_json_log() -> None:
    """Whoever names the kind gets it."""
    assert heard(log_format="json", progress="plain")[1] == "0:00  1 job: 0 done, 1 queued"


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("quiet", [False, True])
def test_a_warning_is_logged_when_the_run_is_not_quiet(log_format: str, quiet: bool) -> None:
    """What may go wrong in a manifest is told in the format of the log."""
    stream = io.StringIO()
    open_screen(stream, Settings(log_format=log_format), quiet=quiet, verbose=False).warn("a\x1b: odd")
    if quiet:
        assert stream.getvalue() == ""
    elif log_format == "text":
        assert stream.getvalue() == "warning: a\\x1b: odd\n"
    else:
        found = json.loads(stream.getvalue())
        assert (found["event"], found["message"]) == ("warning", "a\x1b: odd")


@pytest.mark.parametrize("kind", ["plain", "rich"])
def test_the_run_goes_on_when_showing_it_fails(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a view is told once, in words; log lines still come, and nothing is drawn any more."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    screen = open_screen(stream, Settings(progress=kind), quiet=False, verbose=False)
    screen.hear(EVENTS[0])
    monkeypatch.setattr("pipeline.views.tally.Tally.standing", lambda _self: 1 / 0)
    for _ in range(3):
        screen.hear(BatchEnded(0.0, {}))
        screen.tick()
        screen.resume()
    screen.hear(EVENTS[2])
    screen.say("a word to a person")
    screen.close()
    said = stream.getvalue()
    assert said.count("warning: the screen failed (ZeroDivisionError: division by zero)") == 1
    assert said.index("the screen failed") < said.index("stopping: SIGTERM received") < said.index("a word to a person")
