"""Which bytes of a file a request gets."""

import pytest

from pipeline.emulator.delivery import choose
from pipeline.emulator.links import Links
from pipeline.emulator.scenario import Trouble


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [
        (None, 200, (0, 100)),
        ("bytes=0-", 206, (0, 100)),
        ("bytes=40-", 206, (40, 100)),
        ("bytes=99-", 206, (99, 100)),
        ("bytes=100-", 416, (0, 0)),
        ("bytes=10-19", 206, (10, 20)),
        ("bytes=10-5000", 206, (10, 100)),
        ("bytes=-30", 206, (70, 100)),
        ("bytes=-500", 206, (0, 100)),
        ("bytes=-0", 416, (0, 0)),
        ("bytes=9-3", 200, (0, 100)),
        ("bytes=0-1,5-6", 200, (0, 100)),
        ("lines=1-2", 200, (0, 100)),
    ],
)
def test_part_is_as_asked_when_a_range_is_given(wanted, status, span):
    """Satisfiable ranges are partial, those beyond the end are refused, unknown ones are ignored."""
    part = choose(100, '"e"', wanted, None)
    assert (part.status, (part.start, part.stop)) == (status, span)
    assert part.headers["Content-Length"] == str(span[1] - span[0])
    expected = {206: f"bytes {span[0]}-{span[1] - 1}/100", 416: "bytes */100", 200: None}[status]
    assert part.headers.get("Content-Range") == expected


@pytest.mark.parametrize(("if_range", "status"), [('"e"', 206), ('"f"', 200), ('W/"e"', 200), ("e", 200)])
def test_whole_file_is_sent_when_the_validator_is_another(if_range, status):
    """A range is honoured only for the very same strong validator."""
    assert choose(100, '"e"', "bytes=50-", if_range).status == status


def test_length_lies_when_a_rule_says_so():
    """A cut sends less than it announces; a wrong length announces more than there is."""
    cut = choose(100, '"e"', "bytes=50-", None, Trouble(at="download", do="cut", bytes=20))
    assert (cut.start, cut.stop, cut.headers["Content-Length"]) == (50, 70, "50")
    lie = choose(100, '"e"', None, None, Trouble(at="download", do="wrong_length", bytes=7))
    assert (lie.stop, lie.headers["Content-Length"]) == (100, "107")


def test_ranges_are_ignored_when_a_rule_says_so():
    """A host without ranges sends the whole file and says so."""
    part = choose(100, '"e"', "bytes=50-", None, Trouble(at="download", do="no_range"))
    assert (part.status, part.headers["Accept-Ranges"]) == (200, "none")


def test_link_is_refused_when_it_was_touched():
    """A signed link opens as it was given, and not when re-encoded, moved to another file or prolonged."""
    links = Links(b"secret")
    for moment in range(50):  # enough for signatures with +, / and =
        path, _, query = links.sign("/output/a.mp4", 1000.5 + moment).partition("?")
        assert links.refusal(path, query, 1000.0) is None
        assert links.refusal(path, query, 1001.0 + moment) == "Request has expired"
        assert links.refusal("/output/b.mp4", query, 1000.0)
        assert links.refusal(path, query.replace("Expires=1", "Expires=2"), 1000.0)
        assert links.refusal(path, query.replace("%3D", "="), 1000.0)
    assert links.refusal("/output/a.mp4", "", 0.0)
    assert links.refusal("/output/a.mp4", "Expires=²&Signature=x", 0.0)
