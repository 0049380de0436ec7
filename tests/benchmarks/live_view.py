"""What the live view costs: the processor time of a drawing, beside rich's own progress bars on the same terminal."""

import io
import os
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from rich.console import Console
from rich.progress import Progress

from pipeline.core.events import BatchPriced, BatchStarted, JobMoved
from pipeline.core.jobs import Failure, Job, JobState, Outcome, Source, Stage, StoredFile
from pipeline.core.money import Actual, Quote
from pipeline.views.progress import LIVE_EVERY, LiveProgress
from pipeline.views.standing import Subject
from tests.benchmarks.harness import Figure, at_most, interleaved, noted, publish, ratios

_SLOTS = 500
_SIZES = ((80, 24), (200, 50))
_DRAWINGS = 40
_ROUNDS = 11
_EVENTS = 4
"""Of a job, from its submit to its end."""
_METHOD = (
    f"A batch with {_SLOTS} running tasks, drawn {_DRAWINGS} times in a round into a terminal that takes everything, "
    "with a job that ends between two drawings. Processor time, as a part of one core at the "
    f"{1 / LIVE_EVERY:g} drawings a second that a run makes. The peer is `rich.progress.Progress` with a bar for every "
    "row that the view has at that size, refreshed as often in the same round."
)


class Terminal(io.StringIO):
    """Takes everything, and says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def main() -> None:
    os.environ["TERM"] = "xterm-256color"
    figures = [
        figure for columns, rows in _SIZES for jobs in (1_000, 100_000) for figure in _drawn(columns, rows, jobs)
    ]
    publish("live_view", "The live view", _METHOD, [*figures, _heard()])


def _drawn(columns: int, rows: int, jobs: int) -> list[Figure]:
    with mock.patch("os.get_terminal_size", return_value=os.terminal_size((columns, rows))):
        view = _View(jobs)
        bars = _bars(rows * 3 // 4)
        times = interleaved({"view": lambda: _timed(view.draw), "bars": lambda: _timed(bars)}, _ROUNDS)
    where = f"{columns} × {rows}, {jobs:,} jobs"
    share = [100 * seconds / LIVE_EVERY for seconds in times["view"]]
    return [
        at_most(f"{where}: part of one core", share, 3.0, peer="", unit="%"),
        noted(f"{where}: a drawing", ratios(times["view"], times["bars"]), peer="rich's progress bars"),
    ]


def _timed(draw: Callable[[], object]) -> float:
    """Processor seconds of one drawing."""
    begun = time.process_time()
    for _ in range(_DRAWINGS):
        draw()
    return (time.process_time() - begun) / _DRAWINGS


class _View:
    """The product's view of a batch that is midway, on a clock of its own."""

    def __init__(self, jobs: int) -> None:
        self._now = 0.0
        self._next = 0
        self._progress = LiveProgress(Terminal(), lambda: self._now, Subject("shots.yaml", "outputs/shots"))
        quote = Quote("m 480P", "m", "480P", currency="CNY", expected=900_000, worst=900_000, takes=60.0)
        self._quote = quote
        self._progress.hear(BatchPriced(0.0, {quote: jobs // 2}, (), None))
        counts = {JobState.DONE: jobs - jobs // 2, JobState.QUEUED: jobs // 2}
        self._progress.hear(BatchStarted(0.0, counts, jobs // 2, _SLOTS))
        for number in range(_SLOTS):
            self._now += 1.2
            self._begin(number)

    def draw(self) -> None:
        self._now += LIVE_EVERY
        self._end(self._next)
        self._begin(self._next + _SLOTS)
        self._next += 1
        self._progress.tick()

    def _begin(self, number: int) -> None:
        self._tell(number, JobState.SUBMITTING, quote=self._quote)
        self._tell(number, JobState.RUNNING)

    def _end(self, number: int) -> None:
        if number % 50 == 0:
            failure = Failure(Stage.GENERATE, f"reason{number % 250}", "the motion could not be reconciled")
            self._tell(number, JobState.FAILED, outcome=Outcome(JobState.FAILED, (), failure))
            return
        self._tell(number, JobState.FETCHING, actual=Actual(900_000, 5000))
        file = StoredFile(f"videos/shot-{number:06}.mp4", 2_400_000, "ab", "u")
        self._tell(number, JobState.DONE, outcome=Outcome(JobState.DONE, (file,)))

    def _tell(self, number: int, state: JobState, **facts: Any) -> None:
        name = f"shot-{number:06}"
        job = Job(name, "d", "m", {}, {"resolution": "480P"}, f"{name}.mp4", Source("shots.yaml", number))
        self._progress.hear(JobMoved(0.0, job, state, 1, "t", **facts))


def _bars(rows: int) -> Callable[[], object]:
    """Rich's own, with a bar for each row."""
    progress = Progress(
        console=Console(file=Terminal()), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
    )
    bars = [progress.add_task(f"shot-{number:06}", total=600) for number in range(rows)]
    progress.start()

    def draw() -> None:
        for bar in bars:
            progress.advance(bar)
        progress.refresh()

    return draw


def _heard() -> Figure:
    """What an event costs that nobody looks at."""
    view = _View(1_000_000)

    def hear() -> float:
        begun = time.process_time()
        for _ in range(1000):
            view._end(view._next)
            view._begin(view._next + _SLOTS)
            view._next += 1
        return (time.process_time() - begun) / (1000 * _EVENTS) * 1e6

    return noted("hearing an event", [hear() for _ in range(_ROUNDS)], peer="", unit="µs")


if __name__ == "__main__":
    main()
