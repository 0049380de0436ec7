"""What the emulator says when it ends."""

from dataclasses import asdict

from pipeline.emulator.service import Statistics
from pipeline.views.farewell import farewell


def test_every_count_has_a_noun_when_the_emulator_ends() -> None:
    """The line is a list of `number words`, which people and scripts can read."""
    seen = Statistics(submits=1, tasks=2, questions=1234, downloads=2, troubles=1, leaked_keys=0, peak=2)
    assert farewell(asdict(seen)) == (
        "1 submit, 2 tasks, 1,234 questions, 2 downloads, 1 trouble played, 0 leaked keys, 2 tasks at most at a time"
    )


def test_what_says_nothing_is_left_out_when_nobody_called() -> None:
    """No trouble and no peak are not worth a word."""
    assert farewell(asdict(Statistics(0, 0, 0, 0, 0, 0, 0))) == (
        "0 submits, 0 tasks, 0 questions, 0 downloads, 0 leaked keys"
    )
