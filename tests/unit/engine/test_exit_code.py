"""The exit code of a run, as tabled in the README."""

import pytest

from pipeline.core.jobs import JobState
from pipeline.engine.batch import Summary
from pipeline.engine.desk import Stop

REFUSED = Stop("refused", "no more", account_refused=True)
SIGNAL = Stop("signal", "SIGTERM received")


@pytest.mark.parametrize(
    ("counts", "stops", "code"),
    [
        ({}, (), 0),
        ({"done": 3}, (), 0),
        ({"done": 3, "failed": 1}, (), 1),
        ({"done": 3, "failed": 1, "unknown": 1}, (), 5),
        ({"done": 3, "running": 1}, (), 3),
        ({"done": 3, "fetching": 1, "unknown": 1}, (), 3),
        ({"submitting": 1}, (), 3),
        ({"queued": 1, "done": 1}, (SIGNAL,), 3),
        ({"queued": 1, "unknown": 1}, (SIGNAL,), 3),
        ({"queued": 1, "done": 1}, (), 0),
        ({"queued": 1, "failed": 1}, (), 1),
        ({"done": 2}, (SIGNAL,), 0),
        ({"failed": 2}, (SIGNAL,), 1),
        ({"queued": 1}, (REFUSED,), 4),
        ({"running": 1}, (SIGNAL, REFUSED), 4),
        ({"done": 2}, (REFUSED,), 0),
        ({"failed": 1, "unknown": 1}, (REFUSED,), 5),
    ],
)
def test_the_first_code_of_the_order_wins_when_several_apply(
    counts: dict[str, int], stops: tuple[Stop, ...], code: int
) -> None:
    """4, then 3, then 5, then 1, then 0; jobs that a limit or a pattern left queued are nobody's failure."""
    assert Summary({JobState(state): n for state, n in counts.items()}, stops).exit_code == code
