"""Promise 2: an accepted task is tracked until its videos are on disk. Here only the first URL is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from pipeline.core.jobs import Record, TaskReport
from pipeline.engine.desk import Desk
from tests.engine.replacing import replaced

CAUGHT = r"files of 2 videos"


_finished = Desk.finished


def _first_only(desk: Desk, record: Record, report: TaskReport) -> Record:
    return _finished(desk, record, replace(report, urls=report.urls[:1]))


@contextmanager
def broken() -> Iterator[None]:
    with replaced(Desk, "finished", _first_only):
        yield
