"""What is told of jobs, and what is not made because nobody listens."""

from pipeline.core.events import BatchEnded, BatchStarted, JobMoved
from pipeline.core.jobs import ENDED, JobState
from pipeline.engine.desk import Stop
from tests.engine.fakes import FakeService, Theatre, jobs

LIFE = [JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING, JobState.DONE]


def test_every_move_is_told_when_the_listener_wants_all(theatre: Theatre) -> None:
    """Each state of a job's life is an event, in its order."""
    played = theatre.run(jobs(2), FakeService(), concurrency=1)
    for job_id in ("j1", "j2"):
        assert [event.state for event in played.all(JobMoved) if event.job.job_id == job_id] == LIFE
    assert played.moved


def test_ends_alone_are_told_when_the_listener_wants_no_more(theatre: Theatre) -> None:
    """No event is made of a move that nobody wants to hear of; the events of the batch stay."""
    played = theatre.run(jobs(2), FakeService(), concurrency=1, moves=ENDED)
    assert [event.state for event in played.all(JobMoved)] == [JobState.DONE, JobState.DONE]
    assert len(played.all(BatchStarted)) == len(played.all(BatchEnded)) == 1


def test_a_run_has_moved_something_when_it_is_stopped_before_any_end(theatre: Theatre) -> None:
    """What belongs to the end of a run that did something does not depend on who listened."""
    stopped = {10.0: lambda batch: batch.go_home(Stop("signal", "stopped"), 0.0)}
    played = theatre.run(jobs(2), FakeService(), at=stopped, moves=ENDED)
    assert (played.all(JobMoved), played.moved) == ([], True)
