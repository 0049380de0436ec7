"""Moments as text."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.clock import iso


@given(st.floats(-6e10, 2.5e11) | st.integers(0, 4 * 10**12).map(lambda thousandths: thousandths / 1000))
def test_a_moment_is_written_as_the_calendar_has_it_when_it_is_one(seconds: float) -> None:
    """Microseconds are rounded and thousandths cut, before 1970 too."""
    moment = datetime.fromtimestamp(seconds, UTC)
    assert iso(seconds) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 1e300, 1e12])
def test_nothing_is_written_when_a_stamp_is_no_moment(seconds: float) -> None:
    """The service may send anything for a time."""
    assert iso(seconds) is None
