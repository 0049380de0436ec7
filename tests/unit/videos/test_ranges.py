"""When a part may grow, and by which bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.videos.ranges import (
    ContentRange,
    Decision,
    Head,
    Join,
    Kept,
    Validator,
    decide,
    parse_content_range,
    parse_length,
    range_headers,
    usable_date,
    usable_etag,
)
from pipeline.videos.refusals import retry_after_seconds

URL = "https://cdn.example/o/1.mp4?sig=a"
SIGNED_AGAIN = "https://cdn.example/o/1.mp4?sig=b"
ELSEWHERE = "https://other.example/x"
DATE = "Sun, 22 Nov 2026 02:00:00 GMT"
STRONG = Validator(URL, etag='"v1"', total=1000)
KEPT = Kept(400, STRONG)


def partial(first=400, last=999, total=1000, etag='"v1"', length=None):
    return Head(206, etag, None, length, ContentRange(first, last, total))


@pytest.mark.parametrize("url", [URL, SIGNED_AGAIN, ELSEWHERE])
def test_range_is_asked_under_any_url_when_strong_etag_and_length_are_known(url):
    """A fresh URL for the same result goes on at the same byte, guarded by If-Range."""
    assert range_headers(KEPT, url) == {"Range": "bytes=400-", "If-Range": '"v1"'}


def test_date_guards_the_range_when_there_is_no_strong_etag():
    """A weak ETag is never sent in If-Range; the date is."""
    kept = Kept(400, Validator(URL, etag='W/"v1"', last_modified=DATE, total=1000))
    assert range_headers(kept, URL) == {"Range": "bytes=400-", "If-Range": DATE}


@pytest.mark.parametrize(("url", "asked"), [(URL, True), (SIGNED_AGAIN, True), (ELSEWHERE, False)])
def test_length_alone_guards_the_range_when_the_object_is_the_same(url, asked):
    """Without If-Range only another signature of the same object may go on."""
    kept = Kept(400, Validator(URL, etag='W/"v1"', total=1000))
    assert range_headers(kept, url) == ({"Range": "bytes=400-"} if asked else {})


@pytest.mark.parametrize(("url", "asked"), [(URL, True), (ELSEWHERE, False)])
def test_etag_alone_guards_the_range_when_the_object_is_the_same(url, asked):
    """Without a known length an ETag is believed for its own object only."""
    assert bool(range_headers(Kept(400, Validator(URL, etag='"v1"')), url)) is asked


@pytest.mark.parametrize(
    "kept", [Kept(), Kept(0, STRONG), Kept(400), Kept(400, Validator(URL)), Kept(1001, STRONG)], ids=repr
)
def test_no_range_is_asked_when_nothing_vouches_for_the_part(kept):
    """Without bytes, without a validator, or with more bytes than the file has, only the first byte will do."""
    assert range_headers(kept, URL) == {}


def test_range_is_asked_when_the_part_is_exactly_complete():
    """The last byte may have arrived just before a crash; one past it is refused above."""
    assert range_headers(Kept(1000, STRONG), URL)["Range"] == "bytes=1000-"


def test_answer_is_appended_when_it_starts_at_our_byte_and_the_length_agrees():
    """A 206 that fits goes on where the part ends."""
    assert decide(KEPT, True, partial()) == Decision(Join.APPEND, 1000)
    assert decide(KEPT, True, partial(total=None)) == Decision(Join.APPEND, 1000)
    assert decide(KEPT, True, partial(etag=None, length=600)) == Decision(Join.APPEND, 1000)


@pytest.mark.parametrize(
    "head",
    [
        partial(first=399),
        partial(first=401),
        partial(first=0),
        partial(total=1001),
        partial(last=1000, total=None),
        partial(etag='"v2"'),
        partial(length=599),
        replace(partial(), content_range=None),
        replace(partial(), content_range=ContentRange(None, None, 1000)),
        Head(416, content_range=ContentRange(None, None, 400)),
        Head(416),
    ],
    ids=repr,
)
def test_everything_starts_over_when_the_answer_does_not_fit(head):
    """One byte off, another length, another ETag or no Content-Range: nothing is joined."""
    assert decide(KEPT, True, head) == Decision(Join.RESTART)


def test_whole_file_replaces_the_part_when_the_host_answers_200():
    """A changed file, or a host without ranges, brings everything from the first byte."""
    assert decide(KEPT, True, Head(200, content_length=7)) == Decision(Join.ANEW, 7)
    assert decide(KEPT, True, Head(200)) == Decision(Join.ANEW, None)


@pytest.mark.parametrize("told", [None, ContentRange(None, None, 1000)])
def test_part_counts_as_complete_when_416_meets_its_exact_length(told):
    """No bytes are left to ask for; the file is then checked like every other."""
    assert decide(Kept(1000, STRONG), True, Head(416, content_range=told)) == Decision(Join.COMPLETE, 1000)


def test_part_starts_over_when_416_tells_another_length():
    """The host's length and ours must both be that of the part."""
    assert decide(Kept(1000, STRONG), True, Head(416, content_range=ContentRange(None, None, 999))).join is Join.RESTART


def test_unasked_range_is_taken_when_it_begins_at_the_first_byte():
    """Some hosts answer 206 to a plain request; from byte 0 it is the file, from elsewhere it is not."""
    assert decide(KEPT, False, partial(first=0)) == Decision(Join.ANEW, 1000)
    assert decide(KEPT, False, partial(first=400)).join is Join.RESTART
    assert decide(KEPT, False, Head(416)).join is Join.RESTART


@given(size=st.integers(1, 50), first=st.integers(0, 60), last=st.integers(0, 60), total=st.integers(1, 60))
def test_bytes_are_appended_only_when_they_continue_the_same_length(size, first, last, total):
    """Whatever a host claims, an append begins at our byte and ends inside the file that we began."""
    told = parse_content_range(f"bytes {first}-{last}/{total}")
    decision = decide(Kept(size, replace(STRONG, total=50)), True, Head(206, content_range=told))
    if decision.join is Join.APPEND:
        assert (first, total) == (size, 50)
        assert size <= last < 50


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("bytes 0-0/1", ContentRange(0, 0, 1)),
        ("Bytes  5-9/*", ContentRange(5, 9, None)),
        ("bytes */10", ContentRange(None, None, 10)),
        ("bytes 5-4/10", None),
        ("bytes 0-10/10", None),
        ("bytes 0-9", None),
        ("bytes=0-9/10", None),
        ("items 0-9/10", None),
        ("bytes -1-9/10", None),
        ("bytes ٠-٩/10", None),
        ("bytes 0-9/" + "9" * 5000, None),
        ("", None),
        (None, None),
    ],
)
def test_content_range_is_read_only_when_it_is_possible(text, value):
    """A malformed or impossible header is no header."""
    assert parse_content_range(text) == value


@given(st.text())
def test_content_range_never_fails_when_the_header_is_junk(text):
    """Junk is read as nothing."""
    parse_content_range(text)
    parse_length(text)
    usable_etag(text)
    usable_date(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [("0", 0), (" 12 ", 12), ("-5", None), ("+5", None), ("٣", None), ("5, 5", None), ("9" * 5000, None), (None, None)],
)
def test_length_is_read_only_when_a_file_can_have_it(text, length):
    """A length that is no plain number, or beyond every file, is no length."""
    assert parse_length(text) == length


def test_etag_is_kept_only_when_it_can_be_sent_back():
    """Unquoted or unprintable ETags are no validators."""
    assert usable_etag('"a"') == '"a"'
    assert usable_etag('W/"a"') == 'W/"a"'
    assert [usable_etag(text) for text in ("a", '"a', '"a b"', '"ä"', "", None)] == [None] * 6


def test_date_is_kept_only_when_it_is_one():
    """A Last-Modified that is no date guards nothing."""
    assert usable_date(DATE) == DATE
    assert [usable_date(text) for text in ("yesterday", "", None, DATE + "\x1b")] == [None] * 4


@pytest.mark.parametrize(
    "text",
    [
        "Wed, 26 Nov 2026 05:00:00 +99999999999999999999",
        "Wed, 26 Nov 2026 05:00:00 -9999",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Wed, 26 Nov 2026 99:00:00 GMT",
        "Wed, 26 Nov " + "9" * 60 + " 05:00:00 GMT",
        " ",
        ",",
    ],
)
def test_date_is_no_validator_when_no_clock_can_show_it(text):
    """A moment that does not exist guards nothing, and ends nothing."""
    assert usable_date(text) is None


_NUMBERS = st.integers(0, 99) | st.integers(0, 10**25)


@given(
    text=st.builds(
        "{} {} {} {}:{}:{} {}{}".format,
        st.sampled_from(["Wed,", "Wednesday,", "Wed", ""]),
        st.builds("{} {}".format, _NUMBERS, st.sampled_from(["Nov", "november", "13", ""])),
        _NUMBERS,
        _NUMBERS,
        _NUMBERS,
        _NUMBERS,
        st.sampled_from(["+", "-", "", "GMT", "EST"]),
        _NUMBERS,
    )
)
def test_date_never_fails_when_it_only_looks_like_one(text):
    """Whatever numbers stand in a date, it is one or it is none."""
    assert usable_date(text) in {text, None}
    pause = retry_after_seconds(text, now=60.0)
    assert pause is None or pause >= 0.0
