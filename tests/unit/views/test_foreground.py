"""What a run in the foreground says first, and what it holds back."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.events import BatchPriced, BatchStarted, FolderAwaited
from pipeline.core.jobs import JobState
from pipeline.core.money import Quote, Spending
from pipeline.foreground import Opening, Order, conduct, subject_of
from pipeline.settings import Settings
from pipeline.views.screen import open_screen
from tests.unit.views.batches import life, moved

MANIFEST = """\
version: 1
jobs:
  - id: wave
    input: {image_url: "http://localhost/wave.jpg", prompt: camera pans left}
"""
PRICED = BatchPriced(0.0, {Quote("m", "m", currency="CNY", expected=900_000, worst=900_000): 1}, (), 12.0)
STARTED = BatchStarted(0.0, {JobState.QUEUED: 1}, 1, 4)
IDLE = BatchStarted(0.0, {JobState.DONE: 1}, 0, 4)


def opened(stream: io.StringIO, *, verbose: bool = False, log_format: str = "text") -> Opening:
    screen = open_screen(stream, Settings(log_format=log_format), quiet=False, verbose=verbose)
    return Opening(screen, ["a warning"], rehearsal=False, verbose=verbose, prices_as_of="2026-03-24")


def test_a_run_says_first_what_may_go_wrong_and_what_it_buys_when_there_is_something_to_do() -> None:
    """Warnings, then prices, then where the batch stands: before anything is submitted."""
    stream = io.StringIO()
    opening = opened(stream)
    opening.hear(PRICED)
    assert stream.getvalue() == ""
    opening.hear(STARTED)
    assert [line.split(":")[0] for line in stream.getvalue().splitlines()] == [
        "warning",
        "to submit",
        "  expected 0.90 CNY, at worst 0.90 CNY (prices of 2026-03-24)",
        "0",
    ]
    assert not opening.idle


@pytest.mark.parametrize("verbose", [False, True])
def test_a_run_says_nothing_when_there_is_nothing_to_do(verbose: bool) -> None:
    """Neither the warnings nor the prices of what is long done, unless somebody wants to know everything."""
    stream = io.StringIO()
    opening = opened(stream, verbose=verbose)
    opening.hear(PRICED)
    opening.hear(IDLE)
    opening.close()
    assert opening.idle
    assert ("warning: a warning" in stream.getvalue()) is verbose
    assert (stream.getvalue() == "") is not verbose


def test_what_was_held_back_is_said_when_the_run_ends_before_it_begins() -> None:
    """A warning may be what a person needs who is told that the budget cannot be kept."""
    stream = io.StringIO()
    opening = opened(stream)
    opening.close()
    opening.close()
    assert stream.getvalue() == "warning: a warning\n"


def test_a_log_of_objects_keeps_its_order_when_the_beginning_is_held_back() -> None:
    """The warnings are still its first lines."""
    stream = io.StringIO()
    opening = opened(stream, log_format="json")
    for event in (PRICED, STARTED):
        opening.hear(event)
    names = [line.split('"')[3] for line in stream.getvalue().splitlines()]
    assert names == ["warning", "batch_priced", "batch_started"]


def test_what_a_run_brings_is_counted_when_jobs_end() -> None:
    """Ends, videos and bytes of this run alone, and what the folder had come to before."""
    opening = opened(io.StringIO())
    spending = (Spending("CNY", spent=1),)
    for event in (BatchPriced(0.0, {}, spending, None), STARTED, *life("a"), moved("b", JobState.FAILED)):
        opening.hear(event)
    assert opening.before == spending
    assert opening.harvest.ended == {JobState.DONE: 1, JobState.FAILED: 1}
    assert (opening.harvest.videos, opening.harvest.bytes) == (1, 1_000_000)


def an_order(folder: Path, **changes: object) -> Order:
    """Of a manifest with one job."""
    (folder / "shots.yaml").write_text(MANIFEST)
    (folder / "key").write_text("sk-1")
    given = Order(
        manifest=str(folder / "shots.yaml"),
        output=folder / "out",
        config=None,
        flags={},
        rehearse=True,
        speed=None,
        scenario=None,
        api_key_file=folder / "key",
        quiet=False,
        verbose=False,
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def test_the_screen_begins_with_what_an_earlier_run_has_learned_when_there_was_one(tmp_path: Path) -> None:
    """How long tasks of a kind take in this folder; nothing where there was none, or of another kind."""
    (tmp_path / "calm.yaml").write_text("clips: tiny\n")
    order = an_order(tmp_path, speed=250.0, scenario=tmp_path / "calm.yaml", flags={"poll_lag": 0.05})
    folder = tmp_path / "out-rehearsal"
    assert subject_of(order, "shots.yaml", folder, Settings()).learned("Wan-AI/Wan2.2-I2V") is None
    ending = conduct(order, io.StringIO())
    assert (ending.exit_code, ending.idle, ending.harvest.videos) == (0, False, 1)
    subject = subject_of(order, "shots.yaml", folder, Settings())
    assert 0 < (subject.expected("Wan-AI/Wan2.2-I2V", 60.0) or 0) < 60.0 / 250 * 20
    assert subject.learned("another kind") is None
    assert (subject.folder, subject.rehearsal, subject.speed) == (str(folder), True, 250)


@pytest.mark.parametrize(("rehearse", "verbose", "warned"), [(False, True, True), (True, False, False)])
def test_warnings_are_shown_when_they_concern_the_run(
    tmp_path: Path, rehearse: bool, verbose: bool, warned: bool
) -> None:
    """A run that may submit nothing has nothing to do, and says its warnings to those who want to know everything."""
    order = an_order(tmp_path, flags={"limit": 0}, rehearse=rehearse, verbose=verbose)
    stream = io.StringIO()
    ending = conduct(order, stream)
    assert ending.idle
    assert ("warning: " in stream.getvalue()) is warned


def test_a_run_that_waits_says_so_while_it_waits() -> None:
    """Only prices are held back until it is known whether there is anything to buy."""
    stream = io.StringIO()
    screen = open_screen(stream, Settings(progress="none"), quiet=False, verbose=False)
    opening = Opening(screen, ["about the picture"], rehearsal=False, verbose=False, prices_as_of="2026-03-24")
    opening.hear(FolderAwaited(0.0, "outputs/shots", 600.0))
    screen.close()
    assert "outputs/shots" in stream.getvalue()
    assert "about the picture" not in stream.getvalue()
