"""What the next run makes of what an earlier one left behind, and of a manifest that has changed."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.core.errors import AmbiguousError, UsageError
from pipeline.core.events import BatchEnded, BatchStarted, RowsKept
from pipeline.core.jobs import Failure, Job, JobState, Stage, StoredFile, Task
from pipeline.core.money import Quote
from pipeline.ledger import Ledger
from tests.engine.fakes import EPOCH, FakeService, FakeStore, Theatre, first, jobs, success
from tests.engine.world import BASE_URL, make_job

STATES = ("queued", "submitting", "running", "fetching", "done", "failed", "unknown", "again")
"""Every state that a run may leave behind; `again` failed at a download that the next run repeats."""


async def lead(ledger: Ledger, job: Job, state: str, quote: Quote | None = None) -> None:
    """Bring an enrolled job into a state as an earlier run would have."""
    name, task = job.job_id, Task(f"t0-{job.job_id}", BASE_URL)
    if state == "queued":
        return
    await ledger.intent(name, base_url=BASE_URL, body_digest="d", at=EPOCH, quote=quote)
    if state in {"submitting", "unknown"}:
        if state == "unknown":
            await ledger.lost(name, Failure(Stage.SUBMIT, "timeout", "no answer"), at=EPOCH)
        return
    await ledger.accepted(name, task, at=EPOCH)
    if state == "failed":
        await ledger.task_failed(name, None, Failure(Stage.GENERATE, "failed", "no reason"), at=EPOCH)
    if state in {"fetching", "done", "again"}:
        await ledger.finished(name, success(task.task_id), at=EPOCH)
    if state == "done":
        await ledger.downloaded(name, (StoredFile(f"videos/{name}.mp4", 1, "00", "u"),), at=EPOCH)
    if state == "again":
        await ledger.download_failed(name, Failure(Stage.DOWNLOAD, "cut", "cut"), at=EPOCH, final=False)


def left_behind(theatre: Theatre, *states: str) -> list[Job]:
    """One job in each state, named after it."""
    rows = [make_job(state) for state in states]

    async def act(ledger: Ledger) -> None:
        await ledger.enroll(rows, "error", EPOCH)
        for job in rows:
            await lead(ledger, job, job.job_id)

    theatre.between_runs(act)
    return rows


def knowing(*names: str) -> FakeService:
    """A service at which the tasks of an earlier run have ended."""
    return FakeService(created={f"t0-{name}": 0.0 for name in names})


# -- recovery


@pytest.mark.parametrize(
    ("state", "end", "sent", "asked", "fetched"),
    [
        ("queued", "done", 1, True, 1),
        ("submitting", "unknown", 0, False, 0),
        ("running", "done", 0, True, 1),
        ("fetching", "done", 0, False, 1),
        ("done", "done", 0, False, 0),
        ("failed", "failed", 0, False, 0),
        ("unknown", "unknown", 0, False, 0),
        ("again", "done", 0, False, 1),
    ],
)
def test_each_state_goes_on_through_its_own_door(
    theatre: Theatre, state: str, end: str, sent: int, asked: bool, fetched: int
) -> None:
    """What is queued is bought, what runs is asked about, what is finished is fetched, and what ended stays."""
    rows = left_behind(theatre, state)
    service, store = knowing(state), FakeStore()
    played = theatre.run(rows, service, store)
    assert played.counts == {end: 1}
    assert (len(service.sent), bool(service.asked), len(store.tried)) == (sent, asked, fetched)


def test_all_states_go_on_together_also_without_the_manifest(theatre: Theatre) -> None:
    """What an earlier run began is finished even when its rows have left the manifest; nothing is paid for twice."""
    left_behind(theatre, *STATES)
    service = knowing(*STATES)
    played = theatre.run([], service, concurrency=2)
    assert played.counts == {"done": 5, "failed": 1, "unknown": 2}
    assert service.sent_jobs == ["queued"]
    assert played.exit_code == 5


def test_the_start_is_told_after_recovery(theatre: Theatre) -> None:
    """Listeners hear where the batch stands when the crew begins, and where it stands at the end."""
    rows = left_behind(theatre, *STATES)
    played = theatre.run(rows, knowing(*STATES))
    started, ended = played.all(BatchStarted)[0], played.all(BatchEnded)[0]
    assert {str(state): n for state, n in started.counts.items() if n} == {
        "queued": 1, "running": 1, "fetching": 2, "done": 1, "failed": 1, "unknown": 2,
    }  # fmt: skip
    assert started.to_submit == 1
    assert ended.counts == (played.summary and played.summary.counts)


def test_adopted_tasks_fill_the_slots_before_anything_new_is_bought(theatre: Theatre) -> None:
    """More running tasks than slots are all asked about, and nothing is submitted until they are fewer again."""
    rows = jobs(6)
    service = FakeService(duration=300.0)
    theatre.run(rows, service, concurrency=4, limit=4, max_runtime=20.0)
    began = theatre.now
    played = theatre.run(rows, service, concurrency=2)
    assert played.counts == {"done": 6}
    ends = sorted(service.created[f"t{n}-j{n}"] for n in range(1, 5))
    assert service.sent_at[4] >= ends[2] > began
    assert len(service.sent) == 6


# -- second tries


def test_failed_jobs_are_bought_again_when_that_is_asked_for(theatre: Theatre) -> None:
    """`--retry-failed` makes another attempt of what failed, and of nothing else; a repeated download stays free."""
    rows = left_behind(theatre, *STATES)
    service = knowing(*STATES)
    played = theatre.run(rows, service, retry_failed=True)
    assert played.counts == {"done": 6, "unknown": 2}
    assert sorted(service.sent_jobs) == ["failed", "queued"]
    assert theatre.record("failed").attempt == 2
    assert theatre.record("again").attempt == 1


def test_unknown_jobs_are_bought_again_when_that_is_asked_for(theatre: Theatre) -> None:
    """`--resubmit-unknown` buys what was lost, also what was caught between intent and answer just now."""
    rows = left_behind(theatre, *STATES)
    service = knowing(*STATES)
    played = theatre.run(rows, service, resubmit_unknown=True)
    assert played.counts == {"done": 7, "failed": 1}
    assert sorted(service.sent_jobs) == ["queued", "submitting", "unknown"]
    assert theatre.record("submitting").attempt == 2
    statuses = [(line["status"], line["attempts"]) for line in theatre.results() if line["job_id"] == "submitting"]
    assert statuses == [("unknown", 1), ("succeeded", 2)]


def test_only_matching_jobs_are_bought_again_when_a_pattern_is_set(theatre: Theatre) -> None:
    """`--select` holds for second tries as it does for first ones."""
    rows = left_behind(theatre, "failed", "unknown", "submitting")
    service = knowing()
    played = theatre.run(rows, service, retry_failed=True, resubmit_unknown=True, select="u*")
    assert service.sent_jobs == ["unknown"]
    assert played.counts == {"done": 1, "failed": 1, "unknown": 1}


@pytest.mark.parametrize("against", [{"budget": Decimal(9)}, {"select": "typo*"}])
def test_nothing_is_queued_again_when_the_run_is_refused(theatre: Theatre, against: dict[str, Any]) -> None:
    """Exit 2 means that nothing was done: what failed or is unknown waits, and no plain run buys it."""
    rows = left_behind(theatre, "failed", "unknown")
    refused = theatre.run(rows, knowing(), **against, retry_failed=True, resubmit_unknown=True)
    assert isinstance(refused.error, UsageError)
    assert "nothing was submitted" in refused.error.message
    service = knowing()
    assert theatre.run(rows, service).counts == {"failed": 1, "unknown": 1}
    assert service.sent == []


@pytest.mark.parametrize("against", [{"budget": Decimal(9)}, {"select": "typo*"}])
def test_a_changed_row_is_as_it_was_when_the_run_is_refused(theatre: Theatre, against: dict[str, Any]) -> None:
    """`rerun` takes a row's place only in a run that begins."""
    (job,) = left_behind(theatre, "done")
    refused = theatre.run([changed(job)], knowing(), on_changed="rerun", **against)
    assert isinstance(refused.error, UsageError)
    assert theatre.record("done").state is JobState.DONE
    assert theatre.record("done").job == job


def test_what_was_to_be_bought_again_is_bought_by_the_next_run_when_one_ends_early(theatre: Theatre) -> None:
    """A person has said so once: what the limit left of it waits as new jobs do, and needs no second word."""
    rows = jobs(3)
    theatre.run(rows, FakeService(on_submit=first(*[AmbiguousError("lost", code="timeout")] * 3)), concurrency=1)
    limited = theatre.run(rows, FakeService(), resubmit_unknown=True, limit=1)
    assert limited.counts == {"done": 1, "queued": 2}
    assert theatre.run(rows, FakeService()).counts == {"done": 3}


# -- changed rows


def changed(job: Job) -> Job:
    """The same row, buying something else."""
    return replace(job, digest="another", parameters={"resolution": "720P"})


def test_nothing_is_submitted_when_a_row_has_changed(theatre: Theatre) -> None:
    """By default a changed row is an error that names itself, and new rows are not enrolled either."""
    rows = left_behind(theatre, "done", "queued")
    service = knowing()
    played = theatre.run([changed(rows[0]), rows[1], make_job("new")], service)
    assert isinstance(played.error, UsageError)
    where, what = "jobs.yaml:1: job done (done)", "jobs.yaml:1: parameters.resolution changed"
    assert played.error.message.startswith(f"{where} is not what was enrolled from {what}\n")
    assert "--on-changed keep" in played.error.message
    assert service.sent == []
    assert theatre.run(rows, service).counts == {"done": 2}


def test_it_is_said_when_no_job_is_selected(theatre: Theatre) -> None:
    """A pattern that matches no job at all is a mistake in the command, and no run that went well."""
    service = FakeService()
    played = theatre.run(jobs(3), service, select="nomatch-*")
    assert isinstance(played.error, UsageError)
    assert "nomatch-*" in played.error.message
    assert service.sent == []


def test_many_changed_rows_are_counted_when_not_all_are_named(theatre: Theatre) -> None:
    """Twenty are named, the rest is a number."""
    rows = jobs(23)
    theatre.run(rows, FakeService())
    played = theatre.run([changed(job) for job in rows], FakeService())
    assert isinstance(played.error, UsageError)
    lines = played.error.message.splitlines()
    assert len(lines) == 22
    assert lines[20] == "… and 3 more"


def test_a_changed_row_stays_as_it_was_when_it_is_to_be_kept(theatre: Theatre) -> None:
    """With `keep` what was bought stays, and a queued job is bought as it was enrolled."""
    rows = left_behind(theatre, "done", "queued")
    played = theatre.run([changed(job) for job in rows], knowing(), on_changed="keep")
    assert played.counts == {"done": 2}
    assert theatre.record("queued").job.digest == rows[1].digest
    assert theatre.record("done").attempt == 1


@pytest.mark.parametrize(
    ("state", "sent"), [("queued", 1), ("done", 1), ("failed", 1), ("unknown", 1), ("running", 0), ("fetching", 0)]
)
def test_a_changed_row_is_bought_anew_when_that_is_asked_for(theatre: Theatre, state: str, sent: int) -> None:
    """With `rerun` the new row takes the old one's place, except where a task may be under way, and that is told."""
    (job,) = left_behind(theatre, state)
    service = knowing(state)
    played = theatre.run([changed(job)], service, on_changed="rerun")
    assert played.counts == {"done": 1}
    assert len(service.sent) == sent
    assert (theatre.record(state).job.digest == "another") == bool(sent)
    left = [(event.job_ids, event.in_flight) for event in played.all(RowsKept)]
    assert left == ([] if sent else [((state,), True)])


def test_nothing_happens_when_everything_has_ended(theatre: Theatre) -> None:
    """The same command again tomorrow finds nothing to do and says so with exit 0."""
    rows = jobs(3)
    service, store = FakeService(), FakeStore()
    theatre.run(rows, service, store)
    asked = len(service.asked)
    again = theatre.run(list(reversed(rows)), service, store)
    assert again.exit_code == 0
    assert again.took == 0.0
    assert (len(service.sent), len(service.asked), len(store.tried)) == (3, asked, 3)
    assert len(theatre.results()) == 3


def test_the_states_of_a_job_are_told_in_their_order(theatre: Theatre) -> None:
    """Listeners hear of every state, and the last one brings the outcome."""
    played = theatre.run(jobs(1), FakeService())
    assert played.moves("j1") == [JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING, JobState.DONE]
