"""Outputs of a task's second, third, … video never meet another job's."""

import sqlite3

import pytest

from pipeline.core.errors import UsageError
from pipeline.ledger import enrolment, transitions
from tests.unit.ledger.conftest import make_job


def _enroll(connection: sqlite3.Connection, *names: str) -> None:
    enrolment.enroll(connection, [make_job(name, output=f"{name}.mp4") for name in names], "error", 1.0)


def test_output_is_reserved_when_it_is_free(connection: sqlite3.Connection) -> None:
    """A job may claim a free name, and claim it again after a crash."""
    _enroll(connection, "wave-01")
    assert transitions.claim(connection, "wave-01", "wave-01-2.mp4")
    assert transitions.claim(connection, "wave-01", "wave-01-2.mp4")


def test_output_is_refused_when_it_is_another_jobs(connection: sqlite3.Connection) -> None:
    """A name that another job's video has, or has claimed, cannot be claimed."""
    _enroll(connection, "wave-01", "wave-01-2", "other")
    assert not transitions.claim(connection, "wave-01", "wave-01-2.mp4")
    assert transitions.claim(connection, "wave-01", "wave-01-3.mp4")
    assert not transitions.claim(connection, "other", "wave-01-3.mp4")


def test_new_row_is_refused_when_its_output_was_claimed(connection: sqlite3.Connection) -> None:
    """A job enrolled later cannot overwrite the second video of an earlier one; the error names both."""
    _enroll(connection, "wave-01")
    transitions.claim(connection, "wave-01", "wave-01-2.mp4")
    with pytest.raises(UsageError, match=r"wave-01-2 .*wave-01-2\.mp4.* wave-01 "):
        _enroll(connection, "wave-01-2")
