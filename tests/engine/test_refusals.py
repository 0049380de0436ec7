"""A refusal reaches everybody who could still submit, whichever call brings it."""

from pipeline.core.errors import AmbiguousError, FatalError, LinkExpiredError, RejectedError, Scope
from pipeline.core.jobs import TaskReport
from tests.engine.fakes import SIGNAL, FakeService, FakeStore, Theatre, first, jobs, success

LOST = AmbiguousError("the connection was lost", code="connection_lost")
NOT_YOURS = RejectedError("not your model", code="model_error", http_status=400, scope=Scope.MODEL)
KEY_REFUSED = FatalError("the key is refused", code="auth_error", http_status=401, scope=Scope.RUN)
KLING = "kling-v3"


def test_nothing_of_the_model_is_submitted_when_jobs_of_a_refused_model_wait_for_their_turn(theatre: Theatre) -> None:
    """Jobs that already hold a slot hear of the refusal too, and stay queued."""
    service = FakeService(on_submit=first(None, NOT_YOURS, NOT_YOURS))
    played = theatre.run(jobs(10), service, concurrency=8)
    assert len(service.sent) == 3, "one alone, then two at a time: those were under way"
    assert (played.exit_code, played.counts) == (4, {"done": 1, "queued": 9})


def test_submitting_stops_when_a_look_up_is_refused(theatre: Theatre) -> None:
    """A refused key is a refused key, also where only a lost submit was asked for."""
    service = FakeService(on_submit=first(LOST), on_find=lambda *_: KEY_REFUSED, duration=1.0)
    played = theatre.run(jobs(20, KLING), service, concurrency=1, submit_rps=0.5)
    refused_at = 2.0 + 2 * service.submit_takes
    assert played.stops == ["refused"]
    assert played.exit_code == 4
    assert all(at <= refused_at for at in service.sent_at)


def test_submitting_stops_when_the_question_for_a_fresh_link_is_refused(theatre: Theatre) -> None:
    """A refused key is a refused key, also where only a link had expired."""

    def on_status(number: int, job_id: str) -> TaskReport | FatalError:
        return success(f"t1-{job_id}") if number == 1 else KEY_REFUSED

    expired = LinkExpiredError("forbidden", code="link_expired", http_status=403)
    store = FakeStore(on_fetch=lambda *_: expired)
    service = FakeService(on_status=on_status)
    played = theatre.run(jobs(50), service, store, concurrency=1, submit_rps=0.2)
    assert (played.exit_code, played.stops) == (4, ["refused"])
    assert len(service.sent) < 3


def test_a_job_stays_queued_when_it_is_not_selected_and_its_lost_submit_made_no_task(theatre: Theatre) -> None:
    """What another run left is looked up, but bought again only by a run that wants it."""
    lost = FakeService(on_submit=first(LOST))
    theatre.run(jobs(2, KLING), lost, at={1.0: lambda batch: batch.go_home(SIGNAL)}, concurrency=1, select="j1")
    service = FakeService()
    played = theatre.run(jobs(2, KLING), service, select="j2")
    assert service.sent_jobs == ["j2"]
    assert len(service.looked_up) == 2
    assert played.counts == {"done": 1, "queued": 1}


def test_the_job_is_unknown_and_submitting_stops_when_a_doubtful_answer_closes_the_account(theatre: Theatre) -> None:
    """A 500 about the balance may hide a paid task: that job is not sent again, nor is anything else bought."""
    doubtful = AmbiguousError("no balance", code="internal_error", http_status=500, scope=Scope.RUN)
    service = FakeService(on_submit=first(None, doubtful))
    played = theatre.run(jobs(10), service, concurrency=1)
    assert (played.exit_code, played.stops) == (4, ["refused"])
    assert played.counts == {"done": 1, "unknown": 1, "queued": 8}
    assert theatre.run(jobs(10), FakeService()).counts == {"done": 9, "unknown": 1}
