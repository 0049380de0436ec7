"""Whatever stands in the head of an answer, a download ends with a file or with an error that we know."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import DownloadError, InterruptedDownloadError, UnusableResultError
from pipeline.settings import FetchSettings
from pipeline.videos import LocalVideoStore
from tests.wire.videos.conftest import ResultHost, make_video

VIDEO = make_video(900)
_NAMES = st.sampled_from(
    [
        *("Content-Length", "Content-Range", "Content-Type", "Content-Encoding", "Transfer-Encoding", "ETag"),
        *("Last-Modified", "Retry-After", "Date", "Location", "Set-Cookie", "Link", "Connection", "Keep-Alive"),
    ]
)
_STATUSES = st.sampled_from(["200", "203", "206", "301", "302", "308", "403", "416", "429", "503", "204", "304", "999"])
_VALUES = st.sampled_from(
    [
        *("900", "0", "-1", "9" * 25, "9" * 5000, "5, 5", "bytes 0-899/900", "bytes */900", "bytes 0-9/*", "bytes 1-"),
        *("Wed, 26 Nov 2026 05:00:00 GMT", "Wed, 26 Nov 2026 05:00:00 +99999999999999999999", "+", "99999999999"),
        *("Fri, 31 Dec 9999 23:59:59 -2359", "//[::1", "//]/", "//℀", "//xn--a/", "http://xn--a/", "?", "/next", "///"),
        *("chunked", "gzip", "identity", "close", "keep-alive", "timeout=" + "9" * 30, '"v1"', 'W/"', "bytes=0-"),
        *("a=b; expires=Wed, 26 Nov 99999 05:00:00 GMT", "a=b; max-age=" + "9" * 30, "=;;=", "<//[::1>; rel=x", "<"),
        *("video/mp4; charset=\xff", "/;/;", "multipart/x; boundary", "%", "[", "\xe9\xff", " ", "\t", ",", ";", "="),
    ]
)
_TEXT = st.lists(_VALUES, max_size=3).map("".join)
_HEADS = st.tuples(_STATUSES, st.lists(st.tuples(_NAMES, _TEXT), max_size=6))


def head_of(status: str, fields: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode()


def test_a_download_ends_in_a_known_way_when_the_head_is_junk(tmp_path: Path) -> None:
    """No header, alone or among others, ends in anything but a stored file or an error of ours in one clear line."""

    async def fetch(url: str) -> None:
        limits = FetchSettings(connect_timeout=0.2, stall_timeout=0.2, max_bytes=100_000, max_redirects=2)
        async with LocalVideoStore(tmp_path, limits) as store:
            try:
                await store.fetch(f"{url}/a", "a.mp4")
            except DownloadError as error:
                assert error.message.isprintable()  # noqa: PT017 -- most heads are refused, some bring the file
                assert len(error.message) < 500  # noqa: PT017 -- as above

    async def play(head: bytes) -> None:
        host = ResultHost()
        host.will(lambda _request, reply: reply.send(head + VIDEO))
        server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
        try:
            await fetch(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        finally:
            server.close()
            await host.stop()
            await server.wait_closed()

    with asyncio.Runner() as runner:

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(_HEADS)
        def every(head: tuple[str, list[tuple[str, str]]]) -> None:
            runner.run(play(head_of(*head)))

        every()


async def test_a_video_is_stored_when_its_date_is_impossible(host, store, is_whole):
    """A Last-Modified that no clock can show is no validator, and no reason to leave the video."""
    host.will(host.serves(VIDEO, "Last-Modified: Wed, 26 Nov 2026 05:00:00 +99999999999999999999"))
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), VIDEO)


async def test_a_pause_is_not_taken_when_its_date_is_impossible(host, store):
    """A Retry-After that no clock can show asks for nothing."""
    host.will(host.answers("503 X", b"", "Retry-After: Wed, 26 Nov 2026 05:00:00 +99999999999999999999"))
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.retry_after is None


@pytest.mark.parametrize("location", ["//[::1", "//]/", "//℀.com", "//xn--a/v.mp4", "http://xn--a/v.mp4"])
async def test_a_redirect_is_refused_when_it_leads_to_no_address(host, store, location):
    """Where a redirect is no address, that is told of this download, by the words that the host sent."""
    host.will(host.redirects(location))
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "bad_url"
    assert location in caught.value.message


async def test_a_result_is_refused_when_its_host_name_cannot_be_read(store):
    """A URL of the service whose host nobody can have is that job's failure."""
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch("http://xn--a/v.mp4", "a.mp4")
    assert caught.value.code == "bad_url"
