"""The learned schedule in whole runs: what is asked when, what the next run knows, and what a person is told."""

import itertools
import json

import pytest

from pipeline.core.events import QuestionsLate
from pipeline.core.jobs import TaskReport, TaskState
from pipeline.engine.durations import KEY
from pipeline.ledger import Ledger
from tests.engine.fakes import EPOCH, FakeService, Theatre, jobs, now


class Stamping(FakeService):
    """Tells when each task was submitted and ended, in whole seconds."""

    async def status(self, task):  # type: ignore[no-untyped-def] # as FakeService
        report = await super().status(task)
        ended = self.created[task.task_id]
        if report.state is not TaskState.SUCCEEDED or now() < ended:
            return report
        submitted = EPOCH + ended - self.duration
        return TaskReport(
            report.state, report.word, report.urls, submit_time=int(submitted), finish_time=int(EPOCH + ended)
        )


def remembered(theatre: Theatre) -> dict[str, object]:
    """What the ledger holds about durations."""

    async def recall(ledger: Ledger) -> str | None:
        return await ledger.recall(KEY)

    kinds: dict[str, object] = json.loads(theatre.between_runs(recall) or '{"kinds": {}}')["kinds"]
    return kinds


def test_questions_become_fewer_and_lag_shorter_when_tasks_have_ended(theatre: Theatre) -> None:
    """After the first dozens of tasks, the next is asked about a few times and found soon after its end."""
    service = Stamping(duration=50.0)
    theatre.run(jobs(200), service, concurrency=10)
    late = [f"j{number}" for number in range(151, 201)]
    assert sum(service.questions[job_id] for job_id in late) / 50 < 5
    ends = {task_id.partition("-")[2]: end for task_id, end in service.created.items()}
    found = {job_id: at for at, job_id in service.asked}
    assert sum(found[job_id] - ends[job_id] for job_id in late) / 50 < 1.5


def test_the_next_run_begins_with_what_this_one_learned(theatre: Theatre) -> None:
    """The first task of a second run is asked about as the last one of the first."""
    theatre.run(jobs(60), Stamping(duration=50.0), concurrency=10)
    service = Stamping(duration=50.0)
    theatre.run(jobs(61), service, concurrency=10)
    assert service.questions["j61"] < 5
    assert min(at for at, _ in service.asked) - service.sent_at[0] > 25.0


def test_a_run_begins_cold_when_the_ledger_remembers_rubbish(theatre: Theatre) -> None:
    """What was remembered is only ever a help."""

    async def spoil(ledger: Ledger) -> None:
        await ledger.remember(KEY, '{"version": 1, "kinds": {"a": 7}}')

    theatre.between_runs(spoil)
    assert theatre.run(jobs(3), Stamping()).exit_code == 0
    assert len(remembered(theatre)) == 1


def test_questions_stay_within_the_budget_when_there_is_one(theatre: Theatre) -> None:
    """No second has more questions than `status_rps` allows, and everything is found all the same."""
    service = FakeService(duration=30.0)
    assert theatre.run(jobs(60), service, concurrency=30, status_rps=3.0).counts == {"done": 60}
    asked = [at for at, _ in service.asked]
    assert all(later - earlier >= 1.0 - 1e-6 for earlier, later in zip(asked, asked[3:], strict=False))
    unbound = FakeService(duration=30.0)
    theatre.run(jobs(90)[60:], unbound, concurrency=30, pollers=30)
    asked = [at for at, _ in unbound.asked]
    assert any(later - earlier < 1.0 for earlier, later in zip(asked, asked[3:], strict=False))


def test_a_stuck_task_starves_nobody_when_the_budget_is_short(theatre: Theatre) -> None:
    """One task that never ends takes its share of the questions, and no more."""
    service = FakeService(duration=20.0)
    running = TaskReport(TaskState.RUNNING, "Running")
    service.on_status = lambda _number, job_id: running if job_id == "j1" else None
    played = theatre.run(jobs(60), service, concurrency=5, status_rps=1.0, task_timeout=2000.0)
    assert played.counts == {"running": 1, "done": 59}
    done_by = max(at for at, job_id in service.asked if job_id != "j1")
    of_the_stuck = sum(at <= done_by for at, job_id in service.asked if job_id == "j1")
    assert of_the_stuck < len(service.asked) / 5
    assert done_by < 600.0


def test_a_person_is_told_when_questions_leave_late(theatre: Theatre) -> None:
    """One poller for fifty tasks and slow answers cannot keep up: the mean, the worst, and the mend are told."""
    service = FakeService(duration=60.0, status_takes=1.0)
    played = theatre.run(jobs(50), service, concurrency=50, pollers=1)
    told = played.all(QuestionsLate)
    assert told
    assert all(1.0 < event.mean <= event.worst for event in told)
    assert {event.mend for event in told} == {"raise --pollers"}
    assert all(later.at - earlier.at >= 10.0 for earlier, later in itertools.pairwise(told))


def test_nobody_is_told_when_the_pool_is_large_enough(theatre: Theatre) -> None:
    """A pool that keeps up is silent; questions that wait for the budget are told of with both mends."""
    service = FakeService(duration=60.0, status_takes=1.0)
    assert not theatre.run(jobs(50), service, concurrency=50, pollers=50).all(QuestionsLate)
    bound = theatre.run(jobs(100)[50:], service, concurrency=50, pollers=50, status_rps=0.2)
    assert {event.mend for event in bound.all(QuestionsLate)} == {"raise status_rps or --pollers"}


def test_an_adopted_task_is_asked_about_at_once_when_it_may_have_ended(theatre: Theatre) -> None:
    """The next run finds at its first question what ended while nobody looked."""
    service = FakeService(duration=50.0)
    theatre.run(jobs(3), service, concurrency=3, max_runtime=5.0, grace=0.0)
    theatre.now += 1000.0
    began, before = theatre.now, len(service.asked)
    assert theatre.run(jobs(3), service, concurrency=3).exit_code == 0
    assert [at for at, _ in service.asked[before:]] == [pytest.approx(began, abs=0.2)] * 3


def test_a_success_without_a_url_is_asked_about_with_patience(theatre: Theatre) -> None:
    """URLs may come a while after the word, however densely tasks of that age are asked about."""
    theatre.run(jobs(100), Stamping(duration=50.0), concurrency=10)

    class Hesitating(Stamping):
        async def status(self, task):  # type: ignore[no-untyped-def] # as FakeService
            report = await super().status(task)
            without = report.state is TaskState.SUCCEEDED and now() < self.created[task.task_id] + 25.0
            return TaskReport(report.state, report.word) if without else report

    assert theatre.run(jobs(101), Hesitating(duration=50.0)).counts == {"done": 101}
