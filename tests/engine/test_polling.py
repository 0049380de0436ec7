"""What becomes of a running task: questions, failed questions, strange answers, and tasks that take too long."""

from dataclasses import replace

import pytest

from pipeline.core.errors import AmbiguousError, FatalError, RateLimitedError, RejectedError, TransientError
from pipeline.core.events import CallFailed, JobLeft, StrangeStatus
from pipeline.core.jobs import JobState, Task, TaskReport, TaskState
from tests.engine.fakes import FakeService, FakeStore, Theatre, first, jobs, success
from tests.engine.world import BASE_URL

NOT_FOUND = RejectedError("no such task", code="not_found", http_status=404)
SILENT = TransientError("gateway timeout", code="gateway_timeout_error", http_status=504)


@pytest.mark.parametrize(
    ("state", "code"),
    [(TaskState.FAILED, "invalidparameter"), (TaskState.EXPIRED, "expired"), (TaskState.CANCELLED, "cancelled")],
)
def test_the_job_fails_when_the_task_ended_badly(theatre: Theatre, state: TaskState, code: str) -> None:
    """Failed, expired and cancelled are ends and are kept apart; nothing is downloaded or bought again."""
    message = "code=InvalidParameter, message=invalid image url" if state is TaskState.FAILED else None
    service = FakeService(on_status=lambda *_: TaskReport(state, str(state), error_message=message))
    store = FakeStore()
    played = theatre.run(jobs(1), service, store)
    assert played.exit_code == 1
    assert played.moves("j1") == ["submitting", "running", "failed"]
    (line,) = theatre.results()
    assert (line["error"]["stage"], line["error"]["code"]) == ("generate", code)
    assert not store.tried
    assert len(service.sent) == 1


def test_a_question_is_repeated_when_it_fails(theatre: Theatre) -> None:
    """A failed question says nothing about the task: it is asked again, more slowly, and the job succeeds."""
    service = FakeService(on_status=first(*[SILENT] * 8))
    played = theatre.run(jobs(1), service)
    assert played.exit_code == 0
    failed = played.all(CallFailed)
    assert [event.call for event in failed] == ["status"] * 8
    assert failed[0].retry_in < 1.0 < 16.0 < failed[7].retry_in


def test_all_questions_and_submits_pause_when_a_question_is_rate_limited(theatre: Theatre) -> None:
    """A 429 on a status call slows everybody down for as long as the service asks."""
    limited = RateLimitedError("too many", retry_after=30.0)
    service = FakeService(on_status=lambda number, job_id: limited if (number, job_id) == (2, "j1") else None)
    played = theatre.run(jobs(6), service, concurrency=6, submit_rps=1.0)
    refused_at = [at for at, job_id in service.asked if job_id == "j1"][1] + service.status_takes
    quiet = (refused_at, refused_at + 30.0)
    assert not [at for at, _ in service.asked + service.sent if quiet[0] < at < quiet[1]]
    assert played.counts == {"done": 6}


@pytest.mark.parametrize(("answers", "state"), [(5, "done"), (6, "unknown")])
def test_the_job_is_unknown_when_the_service_denies_the_task_six_times(
    theatre: Theatre, answers: int, state: str
) -> None:
    """A fresh id may not be visible at once; six denials end the watch, with the task id on record for a person."""
    service = FakeService(on_status=first(*[NOT_FOUND] * answers))
    played = theatre.run(jobs(1), service)
    assert played.counts == {state: 1}
    record = theatre.record("j1")
    assert record.task is not None
    assert record.task.task_id == "t1-j1"
    if state == "unknown":
        assert played.exit_code == 5
        assert record.outcome is not None
        assert record.outcome.failure is not None
        assert record.outcome.failure.code == "task_unknown"


def about(task_id: str, state: TaskState = TaskState.FAILED) -> TaskReport:
    return TaskReport(state, str(state), ("https://cdn.example/theirs.mp4",), task_id=task_id)


def test_an_answer_says_nothing_when_it_is_about_another_task(theatre: Theatre) -> None:
    """A proxy that mixes answers up files no job under another's end: the question is asked again, and told of."""
    script = [about("t9"), about("t9", TaskState.SUCCEEDED)]
    service = FakeService(on_status=first(*script))
    played = theatre.run(jobs(1), service)
    assert played.counts == {"done": 1}
    assert [event.code for event in played.all(CallFailed)] == ["other_task"] * 2
    assert "theirs" not in theatre.results()[0]["files"][0]["url"]


@pytest.mark.parametrize("echoed", ["t1-j1", "T1-J1", "t1j1 ", None])
def test_an_answer_counts_when_it_names_the_task_however_it_spells_it(theatre: Theatre, echoed: str | None) -> None:
    """Case, dashes and blanks make no other task, and nobody has to echo the id at all."""
    report = TaskReport(TaskState.FAILED, "Failed", task_id=echoed)
    assert theatre.run(jobs(1), FakeService(on_status=first(report))).counts == {"failed": 1}


def test_an_answer_counts_when_the_task_was_asked_for_by_our_own_id(theatre: Theatre) -> None:
    """The service answers under its own id then (§8), which is another one for the same task."""
    lost = AmbiguousError("the connection was lost", code="connection_lost")
    service = FakeService(on_submit=first(lost), on_find=lambda _, ours: Task(ours, BASE_URL))
    service.on_status = lambda *_: about("t1")
    assert theatre.run(jobs(1, "kling-v3"), service).counts == {"failed": 1}


def test_an_answer_counts_when_the_task_was_asked_for_by_the_authors_own_id(theatre: Theatre) -> None:
    """A person may resolve an unknown job with the id that the manifest gave its task."""
    job = replace(jobs(1)[0], parameters={"external_task_id": "mine-1"})
    service = FakeService(on_submit=first(AmbiguousError("lost", code="timeout")), on_status=lambda *_: about("t1"))
    assert theatre.run([job], service).counts == {"unknown": 1}
    theatre.between_runs(lambda ledger: ledger.resolve_task("j1", Task("mine-1", BASE_URL), at=theatre.now))
    assert theatre.run([job], service).counts == {"failed": 1}


def test_a_strange_word_is_told_once_and_the_task_is_asked_about_on(theatre: Theatre) -> None:
    """A status word nobody documented is no end: one line in the log, and the job succeeds."""
    strange = TaskReport(TaskState.UNRECOGNISED, "Dreaming")
    service = FakeService(on_status=first(*[strange] * 4))
    played = theatre.run(jobs(1), service)
    assert played.exit_code == 0
    assert [(event.job_id, event.word) for event in played.all(StrangeStatus)] == [("j1", "Dreaming")]


@pytest.mark.parametrize(("answers", "counts"), [(4, {"done": 1}), (5, {"failed": 1})])
def test_the_job_fails_when_success_comes_without_a_url_five_times(
    theatre: Theatre, answers: int, counts: dict[str, int]
) -> None:
    """URLs may come a little later than the word; after five empty answers the job fails with the raw body."""
    empty = TaskReport(TaskState.SUCCEEDED, "Success", excerpt='{"output": {}}')
    service = FakeService(on_status=first(*[empty] * answers))
    played = theatre.run(jobs(1), service)
    assert played.counts == counts
    if "failed" in counts:
        (line,) = theatre.results()
        assert line["error"]["code"] == "no_result"
        assert '{"output": {}}' in line["error"]["message"]


def test_the_slot_is_given_back_when_a_task_runs_too_long_and_the_next_run_collects_it(theatre: Theatre) -> None:
    """After `task_timeout` the job stays running for another day, its slot serves others, and nothing is lost."""
    service = FakeService(duration=10.0)
    service.on_status = lambda _n, job_id: TaskReport(TaskState.RUNNING, "Running") if job_id == "j1" else None
    played = theatre.run(jobs(3), service, concurrency=1, task_timeout=100.0)
    assert played.counts == {"running": 1, "done": 2}
    assert played.exit_code == 3
    (left,) = played.all(JobLeft)
    assert (left.job_id, left.state) == ("j1", JobState.RUNNING)
    service.on_status = lambda *_: None
    again = theatre.run(jobs(3), service, concurrency=1, task_timeout=100.0)
    assert again.exit_code == 0
    assert service.sent_jobs == ["j1", "j2", "j3"]


def test_an_old_task_is_asked_about_three_times_before_it_is_left_again(theatre: Theatre) -> None:
    """A task that is older than `task_timeout` when a run adopts it still gets its questions."""
    service = FakeService(duration=1e9)
    theatre.run(jobs(1), service, task_timeout=10.0)
    theatre.now += 1000.0
    before = len(service.asked)
    assert theatre.run(jobs(1), service, task_timeout=10.0).exit_code == 3
    assert len(service.asked) - before == 3
    service.on_status = lambda *_: SILENT
    before = len(service.asked)
    assert theatre.run(jobs(1), service, task_timeout=10.0).counts == {"running": 1}
    assert len(service.asked) - before == 3


def test_tasks_are_left_for_the_next_run_when_the_service_refuses_to_answer(theatre: Theatre) -> None:
    """A revoked key ends submitting at the first refused question; after three the task waits for a better day."""
    refused = FatalError("bad key", code="auth_error", http_status=401)
    service = FakeService(on_status=lambda *_: refused)
    played = theatre.run(jobs(5), service, concurrency=2)
    assert played.counts == {"running": 2, "queued": 3}
    assert played.stops == ["refused"]
    assert played.exit_code == 4
    assert service.questions == {"j1": 3, "j2": 3}
    service.on_status = lambda *_: None
    assert theatre.run(jobs(5), service, concurrency=2).counts == {"done": 5}


def test_tasks_are_asked_about_at_the_host_that_gave_them(theatre: Theatre) -> None:
    """A changed endpoint is for new tasks; what runs elsewhere is asked about there."""
    service = FakeService(duration=100.0, base_url="https://old.example")
    theatre.run(jobs(1), service, max_runtime=5.0, grace=0.0)
    record = theatre.record("j1")
    assert record.task is not None
    assert record.task.base_url == "https://old.example"
    service.base_url = "https://new.example"
    seen = []

    class Watching(FakeService):
        async def status(self, task):  # type: ignore[no-untyped-def] # as FakeService
            seen.append(task.base_url)
            return success(task.task_id)

    assert theatre.run(jobs(1), Watching(base_url="https://new.example")).exit_code == 0
    assert seen == ["https://old.example"]
