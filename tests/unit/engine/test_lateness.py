"""How late questions leave: mean and worst of the last minute."""

import pytest

from pipeline.engine.lateness import Late, Lateness


def test_the_mean_and_the_worst_are_those_of_the_last_minute() -> None:
    """What was late two minutes ago does not count any more."""
    lateness = Lateness()
    lateness.note(0.0, 100.0)
    for second in range(100, 140):
        lateness.note(float(second), 1.0)
    lateness.note(140.0, 42.0)
    assert lateness.lately(141.0) == Late(41, pytest.approx(2.0), 42.0)


def test_nothing_is_late_when_nothing_was_asked() -> None:
    """No question, no lateness; also when the last one is long ago."""
    lateness = Lateness()
    assert lateness.lately(0.0) == Late()
    lateness.note(5.0, 3.0)
    assert lateness.lately(64.9).questions == 1
    assert lateness.lately(65.0) == Late()
