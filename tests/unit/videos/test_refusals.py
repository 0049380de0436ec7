"""What statuses, Retry-After and a slow pace mean."""

import pytest

from pipeline.core.errors import InterruptedDownloadError, LinkExpiredError
from pipeline.videos.refusals import refused, retry_after_seconds
from pipeline.videos.transport import Pace


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 410, 451])
def test_link_counts_as_expired_when_the_host_refuses_it(status):
    """A fresh URL is asked for whatever 4xx an object store chooses for an expired signature."""
    error = refused(status, "cdn", None, "Request has expired")
    assert isinstance(error, LinkExpiredError)
    assert (error.http_status, error.message) == (status, f"cdn answered {status}: Request has expired")


@pytest.mark.parametrize("status", [202, 204, 304, 408, 425, 429, 500, 503, 599])
def test_download_is_tried_again_when_the_host_cannot_serve_now(status):
    """These say nothing about the file."""
    error = refused(status, "cdn", 7.0, "")
    assert isinstance(error, InterruptedDownloadError)
    assert (error.http_status, error.retry_after, error.code) == (status, 7.0, f"http_{status}")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 30 ", 30.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 +99999999999999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("9" * 5000, None),
        ("", None),
        (None, None),
    ],
)
def test_pause_is_read_when_it_is_a_number_or_a_date(value, seconds):
    """Seconds from now, never negative; junk is no pause."""
    assert retry_after_seconds(value, now=60.0) == seconds


def test_pace_is_too_slow_when_a_whole_window_stays_below_the_limit():
    """1,024 bytes a second over a window is the limit: exactly that is fine, one byte less is not."""
    assert not Pace(60).too_slow(60 * 1024, 60)
    assert Pace(60).too_slow(60 * 1024 - 1, 60)
    assert not Pace(60).too_slow(1, 59.9)


def test_pace_is_judged_anew_when_a_window_has_ended():
    """A fast beginning does not pay for a slow end."""
    pace = Pace(60)
    assert not pace.too_slow(10**9, 60)
    assert not pace.too_slow(100, 30)
    assert pace.too_slow(100, 30)
