"""Health: when submitting should pause, and in which words."""

import pytest

from pipeline.engine.health import Complaint, Health, HealthRules

RULES = HealthRules(min_free_bytes=500_000_000, max_backlog=100, status_failures=10)


@pytest.mark.parametrize(
    ("free", "backlog", "questions", "downloads", "watched", "complaint"),
    [
        (500_000_000, 0, 0, 0, 0, None),
        (499_999_999, 0, 0, 0, 0, Complaint("disk", "only 500 MB are free for videos")),
        (10**12, 100, 0, 0, 0, None),
        (10**12, 101, 0, 0, 0, Complaint("downloads", "101 finished tasks wait for their download")),
        (10**12, 0, 9, 0, 1, None),
        (10**12, 0, 10, 0, 1, Complaint("outage", "10 status calls in a row failed")),
        (10**12, 0, 10, 0, 0, None),
        (10**12, 0, 0, 9, 0, None),
        (10**12, 0, 0, 10, 0, Complaint("downloads", "10 downloads in a row failed")),
    ],
)
def test_submitting_pauses_one_past_each_limit(
    free: int, backlog: int, questions: int, downloads: int, watched: int, complaint: Complaint | None
) -> None:
    """At the limit all is well, one past it there is a complaint; questions count only where a task is watched."""
    health = Health(RULES, backlog, questions, downloads)
    assert health.complaint(free_bytes=free, watched=watched) == complaint


def test_the_disk_is_complained_about_first_when_everything_is_wrong() -> None:
    """One sentence is enough, and the one that a person can do something about comes first."""
    health = Health(RULES, backlog=1000, failed_questions=1000)
    assert health.complaint(free_bytes=0, watched=5) == Complaint("disk", "only 0 MB are free for videos")
