"""What a ledger's connection remembers of its own writing changes nothing but the time that a step takes."""

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.core.jobs import Failure, Job, JobState, Stage, StoredFile, Task, TaskReport, TaskState
from pipeline.core.money import Actual, Quote
from pipeline.ledger import LedgerConflictError, enrolment, queries, transitions
from pipeline.ledger import connection as module
from pipeline.ledger.connection import Attempt, LedgerConnection
from pipeline.ledger.schema import open_for_writing

RUN, HOST = "run-1", "https://api.example.com"
FAILURE = Failure(Stage.GENERATE, "moderation", "refused", 400)
STORED = StoredFile("videos/a.mp4", 7, "ab" * 32, "https://cdn.example.com/a.mp4")
QUOTES = (None, Quote("kind", "model"), Quote("kind", "model", longest=8, currency="CNY", expected=9, worst=14))

MakeJob = Callable[..., Job]
BringTo = Callable[..., None]


def step(ledger: LedgerConnection, rng: random.Random, name: str, at: float) -> None:
    """One thing that may happen to the job in the state that it is in."""
    state = ledger.execute("SELECT state FROM jobs WHERE job_id = ?", (name,)).fetchone()[0]
    quote, actual = rng.choice(QUOTES), rng.choice([Actual(), Actual(rng.randrange(99), 5, "CNY"), Actual(None, 5)])
    report = TaskReport(TaskState.SUCCEEDED, "Success", finish_time=at, usage={"duration": at})
    task = Task(f"task-{at}", HOST, rng.choice([None, f"request-{at}"]))
    failed = Failure(Stage.DOWNLOAD, "gone", "not there")
    moves: dict[str, list[Callable[[], object]]] = {
        JobState.QUEUED: [
            lambda: transitions.intent(ledger, name, HOST, "d", at, "local", 0, rng.choice([None, "ours"]), quote)
        ],
        JobState.SUBMITTING: [
            *[lambda: transitions.accepted(ledger, name, task, at)] * 3,
            lambda: transitions.withdraw(ledger, name, at, doubted=rng.random() < 0.5),
            lambda: transitions.lost(ledger, RUN, name, FAILURE, at),
            lambda: transitions.refused(ledger, RUN, name, FAILURE, at),
            lambda: transitions.recover(ledger, RUN, at),
        ],
        JobState.RUNNING: [
            *[lambda: transitions.finished(ledger, name, report, at, actual)] * 3,
            lambda: transitions.task_failed(ledger, RUN, name, rng.choice([None, report]), FAILURE, at),
            lambda: transitions.vanished(ledger, RUN, name, FAILURE, at),
        ],
        JobState.FETCHING: [
            lambda: transitions.downloaded(ledger, RUN, name, rng.choice([(), (STORED,)]), at),
            lambda: transitions.refreshed(ledger, name, report, at),
            lambda: transitions.download_failed(ledger, RUN, name, failed, at, final=rng.random() < 0.5),
        ],
        JobState.DONE: [lambda: transitions.fetch_again(ledger, name, at)],
        JobState.FAILED: [
            lambda: transitions.retry_failed(ledger, name, at),
            lambda: transitions.recover(ledger, RUN, at),
            lambda: name in {one for one, *_ in queries.stored(ledger)} and transitions.found_whole(ledger, name, at),
        ],
        JobState.UNKNOWN: [
            lambda: transitions.resubmit_unknown(ledger, name, at),
            lambda: transitions.resolve_write_off(ledger, RUN, name, at, "gave up"),
            lambda: transitions.resolve_task(ledger, name, task, at),
        ],
    }
    rng.choice(moves[state])()


@pytest.mark.parametrize("seed", range(4))
def test_steps_leave_the_same_bytes_when_nothing_is_remembered(seed: int, tmp_path: Path, make_job: MakeJob) -> None:
    """A thousand steps at random: a ledger that forgets before each of them is equal to one that remembers."""
    names = [f"j{number}" for number in range(9)]
    dumps = []
    for forgetful in (False, True):
        rng = random.Random(seed)
        with closing(open_for_writing(tmp_path / str(forgetful))) as ledger:
            enrolment.enroll(ledger, [make_job(name) for name in names], "error", 1.0)
            for number in range(1000):
                if rng.random() < 0.3:
                    queries.queued(ledger, None, rng.randrange(9), 5)
                if forgetful:
                    ledger.forget_all()
                step(ledger, rng, rng.choice(names), 2.0 + number)
            ledger.count()
            dumps.append(list(ledger.iterdump()))
    assert dumps[0] == dumps[1]


def test_nothing_is_written_when_what_is_remembered_is_wrong(connection: LedgerConnection, bring_to: BringTo) -> None:
    """A memory that the file contradicts is a conflict, and is forgotten: the next step goes by the file."""
    bring_to(connection, JobState.SUBMITTING)
    before = list(connection.iterdump())
    connection.remember("wave-01", Attempt(1, 1, "running", "{}"))
    with pytest.raises(LedgerConflictError, match="is submitting and cannot be finished"):
        transitions.finished(connection, "wave-01", TaskReport(TaskState.SUCCEEDED, "Success"), 5.0)
    assert list(connection.iterdump()) == before
    transitions.accepted(connection, "wave-01", Task("a1b2", HOST), 6.0)


def test_oldest_attempts_are_forgotten_when_there_are_many(
    connection: LedgerConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered stays small: so many attempts, and none whose job holds a picture."""
    monkeypatch.setattr(module, "_MOST", 3)
    for number in range(5):
        connection.remember(f"j{number}", Attempt(number, 1, "running", "{}"))
    connection.remember("heavy", Attempt(9, 1, "running", "x" * 5000))
    known = {name for name in ("j0", "j1", "j2", "j3", "j4", "heavy") if connection.attempt(name)}
    assert known == {"j2", "j3", "j4"}


def test_no_attempt_begins_when_the_queue_is_remembered_wrongly(
    connection: LedgerConnection, bring_to: BringTo
) -> None:
    """The number of an attempt is the file's: a queue that was read too long ago gives no second first attempt."""
    bring_to(connection, JobState.UNKNOWN)
    transitions.resolve_resubmit(connection, "wave-01", 5.0)
    before = list(connection.iterdump())
    connection.remember("wave-01", Attempt(1, 0, "queued", "{}"))
    with pytest.raises(LedgerConflictError, match="is queued and cannot be begun"):
        transitions.intent(connection, "wave-01", HOST, "d", 6.0, "local", 0)
    assert list(connection.iterdump()) == before
    assert transitions.intent(connection, "wave-01", HOST, "d", 7.0, "local", 0) == 2
