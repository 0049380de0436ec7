"""What becomes of a submit: slots, pace, refusals, lost answers, and what is left alone."""

import itertools

import pytest

from pipeline.core.errors import (
    AmbiguousError,
    DownloadError,
    FatalError,
    RateLimitedError,
    RejectedError,
    Scope,
    TransientError,
)
from pipeline.core.events import BatchStarted, CallFailed, SubmittingPaused, SubmittingResumed
from tests.engine.fakes import RUNNING, FakeService, FakeStore, Theatre, first, jobs, now
from tests.engine.world import make_job

FATAL = FatalError("api key quota exceeded", code="forbidden", http_status=403, scope=Scope.RUN)
LIMITED = RateLimitedError("too many", code="rate_limit", http_status=429)
LOST = AmbiguousError("the connection was lost", code="connection_lost")
OUTAGE = TransientError("try later", code="unavailable", http_status=503)
REJECTED = RejectedError("sensitive", code="sensitive_check_error", http_status=400)


# -- slots


def test_the_slot_is_free_when_the_task_ends_while_its_download_still_runs(theatre: Theatre) -> None:
    """A slow disk or host never keeps a submit from leaving: slots belong to tasks alone."""
    service, store = FakeService(), FakeStore(takes=5000.0)
    played = theatre.run(jobs(4), service, store, concurrency=1, downloads=1)
    assert played.exit_code == 0
    assert service.sent_at[-1] < 60.0
    assert played.took > 20_000.0


def test_no_more_tasks_run_than_there_are_slots(theatre: Theatre) -> None:
    """A slot is held from before the submit until the task is final, so with two slots never three tasks run."""
    service = FakeService()
    assert theatre.run(jobs(7), service, concurrency=2).exit_code == 0
    ends = [service.created[f"t{number}-j{number}"] for number in range(1, 8)]
    assert all(service.sent_at[n + 2] >= min(ends[n], ends[n + 1]) for n in range(5))


def test_a_slot_is_refilled_at_once_when_its_task_is_seen_to_end(theatre: Theatre) -> None:
    """Between the answer that a task has ended and the next submit no time passes."""
    service = FakeService()
    theatre.run(jobs(2), service, concurrency=1)
    last_question = max(at for at, job_id in service.asked if job_id == "j1")
    assert service.sent_at[1] == pytest.approx(last_question + service.status_takes)


# -- refusals of the account


def test_one_request_is_spent_when_the_first_answer_is_fatal(theatre: Theatre) -> None:
    """A wrong key or an empty account costs exactly one request, however many slots there are; all jobs stay queued."""
    service = FakeService(on_submit=lambda *_: FATAL)
    played = theatre.run(jobs(30), service, concurrency=20)
    assert service.sent_jobs == ["j1"]
    assert played.counts == {"queued": 30}
    assert played.stops == ["refused"]
    assert played.exit_code == 4
    assert theatre.record("j1").attempt == 0


def test_running_tasks_are_collected_when_the_account_is_refused_in_the_middle(theatre: Theatre) -> None:
    """After a fatal answer nothing more is submitted, and what is already paid for is brought home."""
    service = FakeService(on_submit=first(*[None] * 7, FATAL))
    played = theatre.run(jobs(30), service, concurrency=5)
    assert played.counts["done"] == 7
    assert played.counts["queued"] == 23
    assert len(service.sent) == 8
    assert played.exit_code == 4


def test_only_that_model_stays_queued_when_the_account_may_not_use_a_model(theatre: Theatre) -> None:
    """A refused model is tried no further, and every other job goes on; the run says that the account was refused."""
    refusal = RejectedError("not supported", code="model_error", http_status=400, scope=Scope.MODEL)
    service = FakeService(on_submit=lambda _number, job: refusal if job.model == "x" else None)
    rows = [make_job(f"{model}{n}", model) for n in range(4) for model in ("x", "y")]
    played = theatre.run(rows, service, concurrency=1)
    assert played.counts == {"queued": 4, "done": 4}
    assert service.sent_jobs == ["x0", "y0", "y1", "y2", "y3"]
    assert played.stops == ["refused"]
    assert played.exit_code == 4


# -- refusals of a job


def test_one_job_fails_and_the_others_go_on_when_it_is_rejected(theatre: Theatre) -> None:
    """A rejected job is on record with the service's words, is not sent again, and frees its slot."""
    service = FakeService(on_submit=lambda _number, job: REJECTED if job.job_id == "j2" else None)
    played = theatre.run(jobs(3), service, concurrency=1)
    assert played.counts == {"done": 2, "failed": 1}
    assert played.exit_code == 1
    (line,) = [line for line in theatre.results() if line["job_id"] == "j2"]
    assert line["error"] == {
        "stage": "submit",
        "code": "sensitive_check_error",
        "message": "sensitive",
        "http_status": 400,
    }
    again = theatre.run(jobs(3), service)
    assert again.exit_code == 1
    assert len(service.sent) == 3


def test_nothing_is_sent_when_this_machine_refuses_a_job(theatre: Theatre) -> None:
    """A local file that is gone ends the job before any request, as attempt 0."""
    gone = RejectedError("input.image_url: a.png is gone", code="file_changed")
    service = FakeService(on_prepare=lambda job: gone if job.job_id == "j1" else None)
    played = theatre.run(jobs(2), service)
    assert played.moves("j1") == ["failed"]
    assert played.counts == {"failed": 1, "done": 1}
    assert service.sent_jobs == ["j2"]
    assert theatre.record("j1").attempt == 0


def test_a_job_waits_when_this_machine_is_short_of_what_reading_its_picture_takes(theatre: Theatre) -> None:
    """Too many open files are nobody's fault: the job is tried again, and fails where that lasts like an outage."""
    short = TransientError("a.png: Too many open files", code="local_file_unreadable")
    attempts = iter([short, short])
    service = FakeService(on_prepare=lambda _job: next(attempts, None))
    played = theatre.run(jobs(2), service)
    assert (played.exit_code, played.counts) == (0, {"done": 2})
    assert [event.code for event in played.all(CallFailed)] == ["local_file_unreadable"] * 2
    never = theatre.run([make_job("j3")], FakeService(on_prepare=lambda _job: short), outage_timeout=60.0)
    assert (never.exit_code, never.moves("j3"), never.took) == (1, ["failed"], 60.0)
    assert theatre.record("j3").attempt == 0


def test_one_request_is_spent_when_local_refusals_come_before_a_fatal_answer(theatre: Theatre) -> None:
    """A refusal of this machine says nothing about the account, so the first real submit still goes alone."""
    gone = RejectedError("gone", code="file_changed")
    service = FakeService(on_submit=lambda *_: FATAL, on_prepare=lambda job: gone if job.job_id < "j4" else None)
    played = theatre.run(jobs(9), service, concurrency=9)
    assert len(service.sent) == 1
    assert played.counts == {"failed": 3, "queued": 6}
    assert played.exit_code == 4


# -- pace


def test_all_submits_pause_when_one_is_rate_limited(theatre: Theatre) -> None:
    """A 429 with Retry-After holds every submit back for that long, and no job fails because of it."""
    limited = RateLimitedError("too many", code="rate_limit", http_status=429, retry_after=20.0)
    service = FakeService(duration=100.0, on_submit=first(None, None, limited))
    played = theatre.run(jobs(6), service, concurrency=6)
    refused_at = service.sent_at[2] + service.submit_takes
    late = [at for at in service.sent_at if at > refused_at]
    assert min(late) == pytest.approx(refused_at + 20.0)
    assert played.counts == {"done": 6}
    (failed,) = played.all(CallFailed)
    assert (failed.call, failed.code, failed.retry_in) == ("submit", "rate_limit", 20.0)


def test_a_pause_is_cut_when_the_service_asks_for_more_than_the_ceiling(theatre: Theatre) -> None:
    """No single pause is longer than `retry_after_ceiling`, whatever a header says."""
    limited = RateLimitedError("too many", retry_after=86_400.0)
    service = FakeService(on_submit=first(limited))
    theatre.run(jobs(1), service, retry_after_ceiling=30.0)
    assert service.sent_at == [0.0, 30.5]


def test_the_refused_job_is_the_next_one_when_the_pause_is_over(theatre: Theatre) -> None:
    """A rate-limited job keeps its place in the line, and its refused tries are no attempts."""
    service = FakeService(on_submit=first(LIMITED, LIMITED))
    theatre.run(jobs(3), service, concurrency=1)
    assert service.sent_jobs == ["j1", "j1", "j1", "j2", "j3"]
    assert {line["attempts"] for line in theatre.results()} == {1}


def test_concurrency_shrinks_when_the_account_takes_fewer_and_grows_back_after(theatre: Theatre) -> None:
    """The account's own limit is found by refusals, nobody fails, and the slots come back when it takes more."""
    opened: list[float] = []

    def limit(number: int, _job: object) -> RateLimitedError | None:
        if not opened and number > 80:
            opened.append(now())
        running = sum(ends > now() for ends in service.created.values())
        return LIMITED if running >= (3 if not opened else 10) else None

    service = FakeService(duration=30.0, on_submit=limit)
    limits: list[tuple[float, int]] = []

    def look(batch: object) -> None:
        limits.append((now(), batch.account.slots.limit))  # type: ignore[attr-defined] # cues are given the batch

    played = theatre.run(jobs(200), service, concurrency=10, at={float(t): look for t in range(0, 1500, 10)})
    assert played.counts == {"done": 200}
    assert played.exit_code == 0
    assert min(n for _, n in limits) in {2, 3}
    assert max(n for at, n in limits if at > opened[0]) == 10


def test_outages_are_waited_out_when_they_pass(theatre: Theatre) -> None:
    """A service that cannot answer is asked again more and more slowly, one submit at a time, and no job fails."""
    service = FakeService(on_submit=first(*[OUTAGE] * 5))
    played = theatre.run(jobs(3), service, concurrency=3)
    assert played.counts == {"done": 3}
    gaps = [later - earlier for earlier, later in itertools.pairwise(service.sent_at[:6])]
    assert all(gap > 2**n / 2 for n, gap in enumerate(gaps))


def test_submitting_stops_when_an_outage_outlasts_its_limit(theatre: Theatre) -> None:
    """After `outage_timeout` of nothing but outages the run ends; the jobs stay queued for the next one."""
    service = FakeService(on_submit=lambda *_: OUTAGE)
    played = theatre.run(jobs(3), service, outage_timeout=100.0)
    assert played.stops == ["outage"]
    assert played.counts == {"queued": 3}
    assert played.exit_code == 3
    assert 100.0 < played.took < 200.0


def test_submitting_goes_on_when_an_outage_is_met_long_after_another_one(theatre: Theatre) -> None:
    """Two outages with nothing but a full disk between them are not one that lasted as long as the disk was full."""
    service = FakeService(duration=300.0, on_submit=first(None, OUTAGE, OUTAGE))
    store = FakeStore(free=lambda: 0 if 1.0 < now() < 250.0 else 10**12)
    played = theatre.run(jobs(2), service, store, concurrency=2, outage_timeout=100.0)
    assert played.stops == []
    assert played.counts == {"done": 2}
    assert service.sent_at[-1] > 250.0


# -- lost answers


def test_the_job_is_unknown_when_the_answer_is_lost(theatre: Theatre) -> None:
    """A lost answer is never repaired by sending again: the slot is free, the others go on, and a person decides."""
    service = FakeService(on_submit=first(None, LOST))
    played = theatre.run(jobs(3), service, concurrency=1)
    assert played.counts == {"done": 2, "unknown": 1}
    assert played.exit_code == 5
    assert service.sent_jobs == ["j1", "j2", "j3"]
    again = theatre.run(jobs(3), service)
    assert again.exit_code == 5
    assert len(service.sent) == 3


@pytest.mark.parametrize(("losses", "unknown", "stops"), [(4, 4, []), (5, 5, ["lost_answers"])])
def test_submitting_stops_when_five_answers_in_a_row_are_lost(
    theatre: Theatre, losses: int, unknown: int, stops: list[str]
) -> None:
    """Four may be bad luck; five in a row may each have cost money, and are enough."""
    service = FakeService(on_submit=first(*[LOST] * losses))
    played = theatre.run(jobs(8), service, concurrency=8)
    assert played.stops == stops
    assert played.counts["unknown"] == unknown
    assert len(service.sent) == (5 if stops else 8)
    assert played.exit_code == (3 if stops else 5)


# -- what is chosen


@pytest.mark.parametrize(("limit", "sent"), [(0, 0), (2, 2), (3, 3), (4, 3)])
def test_no_more_jobs_are_submitted_than_the_limit(theatre: Theatre, limit: int, sent: int) -> None:
    """`--limit` counts jobs that were bought; the rest stays queued, and that is no failure."""
    service = FakeService(on_submit=first(LIMITED))
    played = theatre.run(jobs(3), service, limit=limit)
    assert played.counts.get("done", 0) == sent
    assert played.exit_code == 0
    assert played.all(BatchStarted)[0].to_submit == min(limit, 3)


def test_only_matching_jobs_are_submitted_when_a_pattern_is_set(theatre: Theatre) -> None:
    """`--select` chooses what is submitted; what an earlier run left running is collected all the same."""
    service = FakeService(duration=500.0)
    first_run = theatre.run(jobs(3), service, limit=1, max_runtime=20.0, grace=1.0)
    assert first_run.counts == {"running": 1, "queued": 2}
    second = theatre.run(jobs(3), service, select="j3")
    assert second.counts == {"done": 2, "queued": 1}
    assert service.sent_jobs == ["j1", "j3"]


# -- health


def test_submitting_pauses_when_the_disk_is_full_and_goes_on_when_there_is_room(theatre: Theatre) -> None:
    """Below the floor no submit leaves while something is under way; with room again they go on."""
    store = FakeStore(free=lambda: 0 if 25.0 < now() < 100.0 else 10**12)
    service = FakeService(duration=200.0)
    played = theatre.run(jobs(9), service, store, concurrency=9, submit_rps=0.1, min_free_bytes=1)
    assert played.counts == {"done": 9}
    assert [at for at in service.sent_at if at < 100.0] == [0.0, 10.0, 20.0]
    (paused,) = played.all(SubmittingPaused)
    assert paused.reason == "only 0 MB are free for videos"
    assert len(played.all(SubmittingResumed)) == 1


def test_submitting_stops_when_the_disk_is_full_and_nothing_is_under_way(theatre: Theatre) -> None:
    """Where no download could free room, waiting would be waiting for a person: nothing is bought, exit 3."""
    service = FakeService()
    played = theatre.run(jobs(3), service, FakeStore(free=lambda: 499), min_free_bytes=500)
    assert played.stops == ["disk"]
    assert played.exit_code == 3
    assert service.sent == []
    assert theatre.run(jobs(3), service, FakeStore(free=lambda: 500), min_free_bytes=500).exit_code == 0


def test_submitting_pauses_when_too_many_finished_tasks_wait_for_their_download(theatre: Theatre) -> None:
    """Nothing more is bought while the videos pile up at the service, and buying goes on when they come in."""
    service, store = FakeService(duration=2.0), FakeStore(takes=300.0)
    played = theatre.run(jobs(6), service, store, concurrency=1, downloads=1, max_backlog=2)
    assert played.counts == {"done": 6}
    assert played.all(SubmittingPaused)[0].reason == "3 finished tasks wait for their download"
    assert len(played.all(SubmittingResumed)) == len(played.all(SubmittingPaused))
    assert [at > 300.0 for at in service.sent_at] == [False, False, False, True, True, True]


def test_submitting_pauses_when_downloads_fail_in_a_row_and_resumes_when_a_video_comes(theatre: Theatre) -> None:
    """What is paid for does not arrive: nothing more is bought until one does; a later run fetches the others."""

    def shut(*_: object) -> DownloadError | None:
        return DownloadError("no way in", code="bad_place") if now() < 500.0 else None

    service, store = FakeService(duration=30.0), FakeStore(on_fetch=shut)
    service.on_status = lambda _number, job_id: RUNNING if job_id == "j12" and now() < 600.0 else None
    played = theatre.run(jobs(40), service, store, concurrency=12)
    assert 11 <= played.counts["failed"] <= 24  # those of the slots at that moment are bought already
    assert played.counts["done"] == 40 - played.counts["failed"]
    (paused,) = played.all(SubmittingPaused)
    assert paused.reason == "11 downloads in a row failed"
    assert len(played.all(SubmittingResumed)) == 1
    assert not [at for at in service.sent_at if 60.0 < at < 600.0]
    assert theatre.run(jobs(40), service, store).counts == {"done": 40}


def test_submitting_stops_when_no_download_goes_well_and_nothing_is_under_way(theatre: Theatre) -> None:
    """Nobody is left who could show that it is over: the run ends with what it says, and the next one goes on."""
    shut = DownloadError("no way in", code="bad_place")
    service = FakeService()
    played = theatre.run(jobs(99), service, FakeStore(on_fetch=lambda *_: shut), concurrency=5)
    assert (played.stops, played.exit_code) == (["downloads"], 3)
    assert 10 <= played.counts["failed"] == len(service.sent) <= 20
    assert theatre.run(jobs(99), service).counts == {"done": 99}
    assert len(service.sent) == 99


def test_submitting_pauses_when_status_calls_fail_and_resumes_with_an_answer(theatre: Theatre) -> None:
    """Ten questions in a row without an answer hold submits back; the first answer lets them go on."""

    def silent(_number: int, _job_id: str) -> TransientError | None:
        return TransientError("gateway timeout", http_status=504) if 10.0 < now() < 500.0 else None

    service = FakeService(duration=30.0, on_status=silent)
    played = theatre.run(jobs(40), service, concurrency=40, submit_rps=0.1)
    assert played.counts == {"done": 40}
    (paused,) = played.all(SubmittingPaused)
    assert "status calls in a row failed" in paused.reason
    assert len(played.all(SubmittingResumed)) == 1
    assert not [at for at in service.sent_at if 60.0 < at < 500.0]
