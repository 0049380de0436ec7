"""How a run ends early: signals, the deadline, a broken ledger, a bug; and what each leaves behind."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pipeline.core.body import Body
from pipeline.core.errors import (
    AmbiguousError,
    FatalError,
    FolderError,
    InterruptedDownloadError,
    LedgerError,
    RateLimitedError,
    RejectedError,
    Scope,
    TransientError,
)
from pipeline.core.events import BatchEnded, JobLeft, Stopping
from pipeline.core.jobs import Job, JobState, Task
from pipeline.engine.batch import Batch
from pipeline.engine.desk import Stop
from tests.engine.fakes import SIGNAL, FakeService, FakeStore, Played, Theatre, jobs, now
from tests.engine.replacing import replaced


def ask(batch: Batch) -> None:
    """The first signal."""
    batch.go_home(SIGNAL)


def insist(batch: Batch) -> None:
    """The second one."""
    batch.go_home(Stop("signal", "second SIGTERM received"), 0.0)


# -- signals


def test_an_outstanding_submit_is_waited_for_when_a_stop_is_asked_for(theatre: Theatre) -> None:
    """The answer to a paid request is worth a short grace: the task id is on record, and the rest stays queued."""
    service = FakeService(submit_takes=6.0)
    played = theatre.run(jobs(3), service, at={2.0: ask}, grace=8.0)
    assert played.counts == {"running": 1, "queued": 2}
    assert played.exit_code == 3
    assert played.took == 6.0
    record = theatre.record("j1")
    assert record.task is not None
    assert theatre.run(jobs(3), service).counts == {"done": 3}
    assert service.sent_jobs == ["j1", "j2", "j3"]


def test_an_outstanding_submit_is_unknown_when_its_answer_outlasts_the_grace(theatre: Theatre) -> None:
    """When the grace is over the run ends, and a request whose answer did not come may have cost money."""
    service = FakeService(submit_takes=60.0)
    played = theatre.run(jobs(3), service, at={2.0: ask}, grace=8.0)
    assert played.counts == {"unknown": 1, "queued": 2}
    assert played.exit_code == 3
    assert played.took == 10.0
    assert theatre.results()[0]["error"]["code"] == "interrupted"


@pytest.mark.parametrize(("act", "took"), [(ask, 10.0), (insist, 2.0)])
def test_a_job_stays_queued_when_the_run_ends_before_its_request_has_left(
    theatre: Theatre, act: Callable[[Batch], None], took: float
) -> None:
    """While a connection is being made nothing has been paid for: nothing is in doubt, and the next run buys once."""
    service = FakeService(connecting_takes=60.0)
    played = theatre.run(jobs(3), service, at={2.0: act}, grace=8.0)
    assert (played.counts, played.took) == ({"queued": 3}, took)
    assert played.all(JobLeft) == []
    service.connecting_takes = 0.5
    assert theatre.run(jobs(3), service).counts == {"done": 3}
    assert service.sent_jobs == ["j1", "j2", "j3"]


@pytest.mark.parametrize("at_once", [1, 3])
def test_nothing_is_in_doubt_when_the_disk_is_gone_before_a_request_has_left(theatre: Theatre, at_once: int) -> None:
    """The last look finds no disk at all: the error ends the run, and what has not left is queued again."""

    def free() -> int:
        if now() >= 2.0:
            raise FolderError("gone")
        return 10**12

    service = FakeService(connecting_takes=3.0)
    played = theatre.run(jobs(3), service, FakeStore(free=free), concurrency=at_once)
    assert isinstance(played.error, FolderError)
    assert {theatre.record(job_id).state for job_id in ("j1", "j2", "j3")} == {JobState.QUEUED}
    assert theatre.run(jobs(3), service).counts == {"done": 3}
    assert sorted(service.sent_jobs) == ["j1", "j2", "j3"]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_nothing_is_in_doubt_when_whoever_connects_is_sent_home_twice(theatre: Theatre, turns: int) -> None:
    """However often and however soon it is told again, what has not left is queued again."""

    def again(task: asyncio.Task[Any], left: int) -> None:
        task.cancel()
        if left:
            asyncio.get_running_loop().call_soon(again, task, left - 1)

    def send_home(_batch: Batch) -> None:
        for task in asyncio.all_tasks():
            if "Producer._work" in repr(task):
                again(task, turns)

    service = FakeService(connecting_takes=3.0)
    theatre.run(jobs(1), service, at={2.0: send_home})
    assert theatre.run(jobs(1), service).counts == {"done": 1}
    assert service.sent_jobs == ["j1"]


def test_a_request_does_not_leave_when_submitting_has_stopped_while_it_was_connecting(theatre: Theatre) -> None:
    """The account is refused while others still connect: their jobs stay in the queue, and none is sent."""
    service = FakeService(
        connecting_takes=0.0, submit_takes=1.0, on_submit=lambda *_: FatalError("no quota", scope=Scope.RUN)
    )
    original = service.submit

    async def submit(job: Job, body: Body, wanted: Callable[[], bool]) -> Task | None:
        service.connecting_takes = 0.0 if job.job_id == "j1" else 3.0
        return await original(job, body, wanted)

    with replaced(FakeService, "submit", lambda _self, *given: submit(*given)):
        played = theatre.run(jobs(3), service, concurrency=3)
    assert (played.counts, service.sent_jobs) == ({"queued": 3}, ["j1"])


def test_running_downloads_are_waited_for_when_a_stop_is_asked_for(theatre: Theatre) -> None:
    """A download under way gets the grace; one that waits in line is not begun."""
    service, store = FakeService(duration=1.0), FakeStore(takes=15.0)
    played = theatre.run(jobs(3), service, store, concurrency=3, downloads=1, at={10.0: ask}, grace=8.0)
    assert played.counts == {"done": 1, "fetching": 2}
    assert played.exit_code == 3
    assert len(store.tried) == 1
    assert 10.0 < played.took < 18.0
    assert theatre.run(jobs(3), service, store).counts == {"done": 3}
    assert len(service.sent) == 3


def test_a_download_stays_fetching_when_it_outlasts_the_grace(theatre: Theatre) -> None:
    """A transfer that is cut by the end of the run has not failed; the next run goes on with it."""
    service, store = FakeService(duration=1.0), FakeStore(takes=500.0)
    played = theatre.run(jobs(1), service, store, at={10.0: ask}, grace=8.0)
    assert played.counts == {"fetching": 1}
    assert played.took == 18.0
    assert played.exit_code == 3


@pytest.mark.parametrize("stop_at", [4.0, 5.5])
def test_a_download_stays_fetching_when_it_breaks_off_while_the_run_ends(theatre: Theatre, stop_at: float) -> None:
    """A broken transfer during the grace, or one that waits for its next try, is left and is no failure."""
    cut = InterruptedDownloadError("cut", code="cut", retry_after=30.0)
    store = FakeStore(takes=2.0, on_fetch=lambda *_: cut)
    played = theatre.run(jobs(1), FakeService(duration=1.0), store, at={stop_at: ask})
    assert played.counts == {"fetching": 1}
    assert played.exit_code == 3
    assert played.took < 8.0
    assert len(store.tried) == 1


def test_running_tasks_are_left_at_once_when_a_stop_is_asked_for(theatre: Theatre) -> None:
    """Remote tasks go on by themselves: nobody waits for them, and the next run collects them first."""
    service = FakeService(duration=1000.0)
    played = theatre.run(jobs(5), service, concurrency=5, at={20.0: ask})
    assert played.counts == {"running": 5}
    assert played.took < 20.2
    assert {event.reason for event in played.all(JobLeft)} <= {"SIGTERM received", "the run ended"}
    service.duration = 10.0
    assert theatre.run(jobs(5), service).counts == {"done": 5}
    assert len(service.sent) == 5


def test_everything_ends_at_once_when_a_second_signal_comes(theatre: Theatre) -> None:
    """The second signal ends the grace; an outstanding submit becomes unknown and is on record."""
    service = FakeService(submit_takes=60.0)
    played = theatre.run(jobs(2), service, at={2.0: ask, 3.0: insist}, grace=30.0)
    assert played.took == 3.0
    assert played.counts == {"unknown": 1, "queued": 1}
    assert played.stops == ["signal", "signal"]


def test_a_longer_grace_never_extends_a_shorter_one(theatre: Theatre) -> None:
    """Whoever asks last cannot keep a run from ending when it was told to."""
    service = FakeService(submit_takes=60.0)
    played = theatre.run(jobs(1), service, at={2.0: insist, 2.5: ask}, grace=30.0)
    assert played.took == 2.0


def test_the_run_ends_when_a_stop_comes_before_it_has_begun_to_submit(theatre: Theatre) -> None:
    """A signal in the very first moment finds nothing to undo."""
    service = FakeService()
    played = theatre.run(jobs(3), service, at={0.0: ask})
    assert played.exit_code == 3
    assert played.took < 1.0
    assert len(service.sent) <= 1


def test_a_stop_during_a_pause_ends_the_run_at_once(theatre: Theatre) -> None:
    """Nobody sits out a backoff that no longer matters."""
    service = FakeService(on_submit=lambda *_: TransientError("later", retry_after=50.0))
    played = theatre.run(jobs(3), service, at={10.0: ask})
    assert played.took == 10.0
    assert played.counts == {"queued": 3}


def in_turns(turns: int, act: Callable[[Batch], None]) -> Callable[[Batch], None]:
    """What happens so many turns of the event loop later."""

    def wait(batch: Batch) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(in_turns(turns - 1, act), batch)
        else:
            act(batch)

    return wait


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("submit_takes", [5.999, 6.0])
def test_an_answer_is_on_record_when_it_comes_in_the_moment_in_which_the_grace_ends(
    theatre: Theatre, submit_takes: float, turns: int
) -> None:
    """A task id that is in hand is never dropped, whichever turn of the event loop ends the run."""
    service = FakeService(submit_takes=submit_takes)
    played = theatre.run(jobs(1), service, at={2.0: ask, submit_takes: in_turns(turns, insist)}, grace=8.0)
    assert played.counts == {"running": 1}
    assert theatre.run(jobs(1), service).counts == {"done": 1}


# -- the deadline


def test_the_run_goes_home_when_its_time_is_over(theatre: Theatre) -> None:
    """`--max-runtime` is the same stop on a clock: running tasks are left, and the next run goes on."""
    service = FakeService(duration=30.0)
    played = theatre.run(jobs(4), service, concurrency=1, max_runtime=50.0)
    assert 50.0 <= played.took <= 58.0
    assert played.exit_code == 3
    assert [event.reason for event in played.all(Stopping)] == ["deadline"]
    assert played.counts == {"done": 1, "running": 1, "queued": 2}
    assert theatre.run(jobs(4), service, concurrency=1, max_runtime=5000.0).exit_code == 0
    assert len(service.sent) == 4


def test_the_deadline_is_forgotten_when_the_batch_ends_before_it(theatre: Theatre) -> None:
    """A run that has finished in time was not stopped."""
    played = theatre.run(jobs(1), FakeService(), max_runtime=10_000.0)
    assert played.exit_code == 0
    assert played.stops == []
    assert played.took < 100.0


# -- a broken ledger


def full_after(commits: int) -> Callable[[], None]:
    """What happens before each commit when the disk has room for so many."""
    room = iter(range(commits))

    def fail() -> None:
        if next(room, None) is None:
            raise OSError(28, "No space left on device")

    return fail


@pytest.mark.parametrize("last_commit", range(1, 21))
def test_the_run_ends_with_the_ledger_s_error_when_a_commit_fails(theatre: Theatre, last_commit: int) -> None:
    """Whichever commit fails, the run ends with that one sentence; the next one completes and pays nothing twice."""
    service = FakeService()
    played = theatre.run(jobs(4), service, concurrency=2, before_commit=full_after(last_commit))
    assert type(played.error) is LedgerError
    assert not played.all(BatchEnded)
    again = theatre.run(jobs(4), service, concurrency=2)
    caught = again.counts.get("unknown", 0)
    assert again.counts == {state: n for state, n in {"done": 4 - caught, "unknown": caught}.items() if n}
    assert caught <= 2
    assert len(service.sent) == len(set(service.sent_jobs))


@pytest.mark.parametrize("last_commit", range(2, 20))
def test_every_task_is_named_when_the_ledger_breaks_before_its_id_is_written(
    theatre: Theatre, last_commit: int
) -> None:
    """Many answers may come at that moment: whichever error ends the run, no id that was told to us is forgotten."""
    service = FakeService()
    played = theatre.run(jobs(12), service, concurrency=6, before_commit=full_after(last_commit))
    recorded = {record.task.task_id for job in jobs(12) if (record := theatre.record(job.job_id)).task}
    named = {
        task_id for task_id in service.created if f"has task {task_id}, which is not on record" in str(played.error)
    }
    assert named | recorded == set(service.created)
    assert not named & recorded


@pytest.mark.parametrize("last_commit", range(2, 20))
def test_no_paid_task_is_forgotten_when_the_ledger_breaks_while_its_answer_is_on_the_way(
    theatre: Theatre, last_commit: int
) -> None:
    """The service creates a task when the request reaches it: answers that come within the grace are waited for."""
    service = FakeService(submit_takes=7.0, duration=3.0)
    played = theatre.run(jobs(12), service, concurrency=6, before_commit=full_after(last_commit))
    recorded = {job.job_id for job in jobs(12) if theatre.record(job.job_id).task}
    named = {job_id for job_id in service.sent_jobs if f"job {job_id} has task t" in str(played.error)}
    assert named | recorded == set(service.sent_jobs)
    assert not named & recorded


def test_an_answer_is_not_waited_for_longer_than_the_grace_when_the_ledger_breaks(theatre: Theatre) -> None:
    """A service that never answers cannot hold a run that is over."""
    service = FakeService()
    service.on_submit = lambda number, _job: setattr(service, "submit_takes", 500.0)

    def fail() -> None:
        if len(service.sent) > 2:
            raise OSError(28, "No space left on device")

    played = theatre.run(jobs(12), service, concurrency=6, before_commit=fail, grace=5.0)
    assert type(played.error) is LedgerError
    assert 5.0 <= played.took < 30.0


# -- errors, whatever they are


class Falling:
    """A service whose answers become slow after six submits, and a store whose first video ends the run."""

    def __init__(self, error: Exception, *, answer: Exception | None = None, slow: float = 6.0) -> None:
        self.service = FakeService(duration=1.0, on_submit=self._submit)
        self.store = FakeStore(takes=0.1, on_fetch=lambda *_: error)
        self._answer = answer
        self._slow = slow
        self._quick = 0

    def _submit(self, number: int, _job: Job) -> Exception | None:
        if number == 6:
            self.service.submit_takes, self._quick = self._slow, len(self.service.sent)
        return self._answer if number > self._quick > 0 else None

    def play(
        self, theatre: Theatre, at: Mapping[float, Callable[[Batch], object]] | None = None, **more: Any
    ) -> Played:
        """A run that the store ends while answers are on their way."""
        return theatre.run(jobs(12), self.service, self.store, concurrency=12, at=at, **more)

    def late(self, theatre: Theatre) -> set[str]:
        """The states of the jobs whose answers were on their way."""
        return {str(theatre.record(job_id).state) for job_id in self.service.sent_jobs[self._quick :]}


def test_answers_on_their_way_are_waited_for_when_an_error_ends_the_run(theatre: Theatre) -> None:
    """They get the same grace as at a stop: each names a task that is paid for, and the next run collects it."""
    falling = Falling(FolderError("gone"))
    played = falling.play(theatre)
    assert isinstance(played.error, FolderError)
    assert falling.late(theatre) == {"running"}
    assert played.took < 10.0
    assert theatre.run(jobs(12), falling.service).counts == {"done": 12}
    assert len(falling.service.sent) == 12


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (RejectedError("no", code="moderation"), "failed"),
        (RateLimitedError("slow down"), "queued"),
        (TransientError("later"), "queued"),
        (FatalError("who are you"), "queued"),
        (RejectedError("not this model", scope=Scope.MODEL), "queued"),
        (AmbiguousError("what", code="http_500"), "unknown"),
    ],
)
def test_a_late_refusal_is_judged_as_ever_when_an_error_ends_the_run(
    theatre: Theatre, answer: Exception, state: str
) -> None:
    """What surely created nothing is no doubt only because the run is over."""
    falling = Falling(FolderError("gone"), answer=answer)
    played = falling.play(theatre)
    assert isinstance(played.error, FolderError)
    assert falling.late(theatre) == {state}


def test_answers_are_unknown_when_they_outlast_the_grace_that_an_error_leaves(theatre: Theatre) -> None:
    """Nobody waits for ever."""
    falling = Falling(FolderError("gone"), slow=60.0)
    played = falling.play(theatre, grace=2.0)
    assert played.took < 6.0
    assert falling.late(theatre) == {"unknown"}


def test_answers_are_not_waited_for_when_a_signal_insists_after_an_error(theatre: Theatre) -> None:
    """A stop at once means this grace too."""
    falling = Falling(FolderError("gone"), slow=60.0)
    played = falling.play(theatre, at={4.5: ask, 5.0: insist}, grace=30.0)
    assert played.took == 5.0
    assert isinstance(played.error, FolderError)
    assert falling.late(theatre) == {"unknown"}


# -- bugs


@pytest.mark.parametrize("port", ["prepare", "submit", "status", "fetch"])
@pytest.mark.parametrize("turns", range(0, 30, 3))
def test_a_bug_is_seen_and_every_slot_comes_back_when_a_port_breaks(theatre: Theatre, port: str, turns: int) -> None:
    """A bug is an exception, not an outcome: the crew goes home at once, in whatever moment it strikes."""
    countdown = turns

    def strike(*_: object) -> ZeroDivisionError | None:
        nonlocal countdown
        countdown -= 1
        return ZeroDivisionError("a bug") if countdown < 0 else None

    service, store = FakeService(duration=2.0, submit_takes=0.1), FakeStore()
    setattr(store if port == "fetch" else service, f"on_{port}", strike)
    played = theatre.run(jobs(40), service, store, concurrency=5)
    assert isinstance(played.error, ExceptionGroup)
    assert played.error.subgroup(ZeroDivisionError) is not None
    for script in ("on_prepare", "on_submit"):
        setattr(service, script, lambda *_: None)
    service.on_status = lambda *_: None
    again = theatre.run(jobs(40), service, concurrency=5)
    assert set(again.counts) <= {"done", "unknown"}
    assert len(service.sent) == len(set(service.sent_jobs)) == 40


def test_a_bug_is_seen_together_with_the_known_error_that_came_with_it(theatre: Theatre) -> None:
    """A known error never hides a bug."""
    broken = False

    def fail() -> None:
        if broken:
            raise OSError(28, "No space left on device")

    def strike(number: int, _job_id: str) -> None:
        nonlocal broken
        broken = True
        raise ZeroDivisionError("a bug")

    service = FakeService(on_status=strike)
    played = theatre.run(jobs(9), service, concurrency=9, before_commit=fail, submit_rps=5.0)
    assert isinstance(played.error, ExceptionGroup)
    assert played.error.subgroup(ZeroDivisionError) is not None


def test_every_task_is_named_when_a_bug_ends_a_run_whose_ledger_breaks(theatre: Theatre) -> None:
    """A bug comes with the same last words: nobody else has the ids of those tasks."""
    falling, broken = Falling(FolderError("gone")), False

    def fail() -> None:
        if broken:
            raise OSError(28, "No space left on device")

    def strike(number: int, _job_id: str) -> None:
        nonlocal broken
        broken = True
        raise ZeroDivisionError("a bug")

    falling.service.on_status = strike
    played = falling.play(theatre, before_commit=fail)
    assert isinstance(played.error, ExceptionGroup)
    assert played.error.subgroup(ZeroDivisionError) is not None
    unrecorded = [task_id for task_id in falling.service.created if theatre.record(task_id.split("-")[1]).task is None]
    assert unrecorded
    assert all(f"has task {task_id}, which is not on record" in str(played.error) for task_id in unrecorded)


def test_a_job_is_named_when_the_ledger_cannot_take_back_that_it_is_about_to_be_submitted(theatre: Theatre) -> None:
    """The next run finds the intent, and nothing that says that its request never left: a person is told."""

    def fail() -> None:
        if now() > 2.0:
            raise OSError(28, "No space left on device")

    class Connecting(FakeService):
        async def submit(self, job: Job, body: Body, wanted: Callable[[], bool]) -> Task | None:
            self.connecting_takes = 0.0 if job.job_id == "j1" else 60.0
            return await super().submit(job, body, wanted)

    service = Connecting(duration=2.0)
    played = theatre.run(jobs(3), service, concurrency=3, before_commit=fail)
    assert service.sent_jobs == ["j1"]
    named = [f"job {job_id} was not submitted, which is not on record" for job_id in ("j2", "j3")]
    assert [line for line in str(played.error).splitlines() if line.startswith("job ")] == named
    assert isinstance(played.error, LedgerError)


def test_nothing_is_submitted_when_the_manifest_raises_while_it_streams(theatre: Theatre) -> None:
    """What `jobs` raises comes out as it is, nothing was enrolled and nothing was sent."""

    class Broken(list):  # type: ignore[type-arg] # any iterable will do
        def __iter__(self):  # type: ignore[no-untyped-def] # as list
            yield from jobs(2)
            raise RejectedError("the manifest is gone")

    service = FakeService()
    played = theatre.run(Broken(), service)
    assert isinstance(played.error, RejectedError)
    assert service.sent == []
    assert theatre.run([], service).counts == {}
