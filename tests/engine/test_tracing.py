"""A lost answer of a model that carries our own id for the task: looked up before a person is asked."""

from pipeline.core.errors import AmbiguousError, RejectedError, TransientError
from pipeline.core.jobs import JobState, Task
from tests.engine.fakes import SIGNAL, FakeService, Theatre, first, jobs
from tests.engine.world import BASE_URL

LOST = AmbiguousError("the connection was lost", code="connection_lost")
TAKEN = RejectedError("external_task_id must be unique", code="param_error", http_status=400)
OUTAGE = TransientError("try later", code="unavailable", http_status=503)
FOUND = Task("t1-j1", BASE_URL)
KLING = "kling-v3"


def test_the_task_is_adopted_when_it_is_found_by_our_id(theatre: Theatre) -> None:
    """A task that our id finds is tracked to its end, and nothing is paid again."""
    service = FakeService(on_submit=first(LOST), on_find=lambda *_: FOUND)
    played = theatre.run(jobs(1, KLING), service)
    assert (played.exit_code, played.counts) == (0, {"done": 1})
    assert len(service.sent) == 1
    assert service.looked_up == service.prepared


def test_the_job_is_submitted_again_under_the_same_id_when_it_is_twice_not_found(theatre: Theatre) -> None:
    """Two answers "no such task", with a pause between, are believed; the same id makes a second task impossible."""
    service = FakeService(on_submit=first(LOST))
    played = theatre.run(jobs(1, KLING), service)
    assert (played.exit_code, played.counts) == (0, {"done": 1})
    assert len(service.looked_up) == 2
    assert len(service.prepared) == 2
    assert len(set(service.prepared)) == 1
    assert theatre.results()[0]["attempts"] == 1


def test_the_task_is_adopted_when_our_id_turns_out_to_be_taken(theatre: Theatre) -> None:
    """A task that became visible late makes the second submit fail on its id, and is found then."""
    service = FakeService(on_submit=first(LOST, TAKEN), on_find=lambda number, _: FOUND if number > 2 else None)
    played = theatre.run(jobs(1, KLING), service)
    assert (played.exit_code, played.counts) == (0, {"done": 1})


def test_a_refusal_is_final_when_no_task_has_our_id(theatre: Theatre) -> None:
    """A second submit that is refused for its own sake fails, once it is sure that no task hides behind the refusal."""
    service = FakeService(on_submit=first(LOST, TAKEN))
    played = theatre.run(jobs(1, KLING), service)
    assert (played.exit_code, played.counts) == (1, {"failed": 1})


def test_the_next_run_looks_it_up_when_it_could_not_be_looked_up(theatre: Theatre) -> None:
    """Questions that fail say nothing: after some of them the run ends, and the next one begins with the question."""
    down = FakeService(on_submit=first(LOST), on_find=lambda *_: OUTAGE)
    for _night in range(3):
        played = theatre.run(jobs(1, KLING), down, resubmit_unknown=True)
        assert (played.exit_code, played.counts) == (3, {"submitting": 1})
    service = FakeService(on_find=lambda *_: FOUND)
    assert theatre.run(jobs(1, KLING), service).counts == {"done": 1}
    assert (len(down.sent), service.sent) == (1, [])
    assert {*down.looked_up, *service.looked_up} == {theatre.record("j1").external_id}


def test_the_host_of_the_submit_is_asked_when_the_endpoint_has_changed_since(theatre: Theatre) -> None:
    """The next run may have another endpoint, which need not know the task that the old one accepted."""
    theatre.run(jobs(1, KLING), FakeService(on_submit=first(LOST), on_find=lambda *_: OUTAGE, base_url="https://old"))
    service = FakeService(on_find=lambda *_: FOUND, base_url="https://new")
    assert theatre.run(jobs(1, KLING), service).counts == {"done": 1}
    assert (service.looked_up_at, service.sent) == (["https://old"], [])


def test_the_job_is_unknown_when_it_could_not_be_looked_up_for_a_day(theatre: Theatre) -> None:
    """Results are kept for a day: what nothing could be learned of for so long is a person's to decide."""
    theatre.run(jobs(1, KLING), FakeService(on_submit=first(LOST), on_find=lambda *_: OUTAGE))
    theatre.now += 86_400.0
    service = FakeService(on_find=lambda *_: OUTAGE)
    played = theatre.run(jobs(1, KLING), service)
    assert (played.exit_code, played.counts) == (5, {"unknown": 1})
    assert (len(service.looked_up), service.sent) == (5, [])


def unknown_after_a_day(theatre: Theatre) -> str:
    """A job whose submit could not be looked up for a day; its id of ours."""
    down = FakeService(on_submit=first(LOST), on_find=lambda *_: OUTAGE)
    theatre.run(jobs(1, KLING), down)
    theatre.now += 86_400.0
    assert theatre.run(jobs(1, KLING), down).counts == {"unknown": 1}
    return down.looked_up[0]


def test_an_unknown_job_is_looked_up_before_it_is_bought_again(theatre: Theatre) -> None:
    """Whoever says --resubmit-unknown pays for no task that our id still finds."""
    ours, service = unknown_after_a_day(theatre), FakeService(on_find=lambda *_: FOUND)
    assert theatre.run(jobs(1, KLING), service).counts == {"unknown": 1}
    assert theatre.run(jobs(1, KLING), service, resubmit_unknown=True).counts == {"done": 1}
    assert (service.sent, service.looked_up) == ([], [ours])


def test_an_unknown_job_is_bought_under_the_same_id_when_it_is_not_found(theatre: Theatre) -> None:
    """Told twice that there is no such task, the job is sent again, and a second task is impossible."""
    ours, service = unknown_after_a_day(theatre), FakeService()
    assert theatre.run(jobs(1, KLING), service, resubmit_unknown=True).counts == {"done": 1}
    assert (service.looked_up, service.prepared) == ([ours] * 2, [ours])


def test_an_unknown_job_stays_so_when_it_still_cannot_be_looked_up(theatre: Theatre) -> None:
    """Where the questions fail nothing is bought; a person can still say --resubmit for this one job."""
    unknown_after_a_day(theatre)
    service = FakeService(on_find=lambda *_: OUTAGE)
    assert theatre.run(jobs(1, KLING), service, resubmit_unknown=True).counts == {"unknown": 1}
    assert service.sent == []
    theatre.between_runs(lambda ledger: ledger.resolve_resubmit("j1", at=theatre.now))
    assert theatre.run(jobs(1, KLING), service).counts == {"done": 1}
    assert len(service.sent) == 1


def test_the_job_is_not_bought_again_when_only_one_look_up_did_not_find_it(theatre: Theatre) -> None:
    """One answer "no such task" among questions that fail is not enough to pay again."""
    script = [OUTAGE, None, OUTAGE, OUTAGE, OUTAGE]
    service = FakeService(on_submit=first(LOST), on_find=lambda number, _: script[number - 1])
    assert theatre.run(jobs(1, KLING), service).counts == {"submitting": 1}
    assert len(service.sent) == 1


def test_the_next_run_looks_it_up_when_the_run_ends_before(theatre: Theatre) -> None:
    """A submit that can be looked up stays `submitting` over a stop, and the next run begins with the question."""
    stopped = theatre.run(
        jobs(1, KLING), FakeService(on_submit=first(LOST)), at={1.0: lambda batch: batch.go_home(SIGNAL)}
    )
    assert (stopped.exit_code, stopped.counts) == (3, {"submitting": 1})
    service = FakeService(on_find=lambda *_: FOUND)
    assert theatre.run(jobs(1, KLING), service).exit_code == 0
    assert service.sent == []
    assert service.looked_up == [theatre.record("j1").external_id]


def test_the_submit_is_looked_up_when_it_was_cancelled(theatre: Theatre) -> None:
    """A second signal in the middle of a submit leaves no unknown job where our id can tell."""
    stopped = theatre.run(
        jobs(1, KLING), FakeService(submit_takes=50.0), at={1.0: lambda batch: batch.go_home(SIGNAL, grace=0.0)}
    )
    assert stopped.counts == {"submitting": 1}
    assert theatre.run(jobs(1, KLING), FakeService(on_find=lambda *_: FOUND)).exit_code == 0
    assert theatre.record("j1").state is JobState.DONE


def test_each_attempt_has_its_own_id_when_a_job_is_bought_again(theatre: Theatre) -> None:
    """An id is never used for another body or another attempt."""
    service = FakeService(on_submit=first(RejectedError("sensitive", code="sensitive_check_error")))
    assert theatre.run(jobs(1, KLING), service).exit_code == 1
    assert theatre.run(jobs(1, KLING), service, retry_failed=True).exit_code == 0
    assert len(set(service.prepared)) == 2
    assert service.looked_up == []
