"""Hosts that refuse, stall, redirect or vanish."""

import asyncio
import socket

import pytest

from pipeline.core.errors import InterruptedDownloadError, LinkExpiredError, UnusableResultError
from pipeline.settings import FetchSettings
from pipeline.videos import LocalVideoStore


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found", "410 Gone"])
async def test_fresh_url_is_needed_when_the_host_refuses_this_one(host, store, status):
    """The error carries the status and what the host says, readable and short."""
    host.will(host.answers(status, b"<Code>AccessDenied</Code>\n<Message>Request has expired</Message>" + b"x" * 9000))
    with pytest.raises(LinkExpiredError) as caught:
        await store.fetch(f"{host.url}/a?secret-signature", "a.mp4")
    assert caught.value.http_status == int(status[:3])
    assert "Request has expired" in caught.value.message
    assert len(caught.value.message) < 300


async def test_part_is_kept_when_the_link_has_expired(host, store, video, part_bytes, is_whole):
    """A refused link costs no bytes: under the fresh one the download goes on."""
    body = video(500_000)
    host.will(host.resumes(body, cut=300_000), host.answers("403 Forbidden"), host.resumes(body))
    with pytest.raises(InterruptedDownloadError):
        await store.fetch(f"{host.url}/a", "a.mp4")
    with pytest.raises(LinkExpiredError):
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert part_bytes() == body[:300_000]
    assert is_whole(await store.fetch(f"{host.url}/fresh", "a.mp4"), body)
    assert host.requests[-1].header("Range") == "bytes=300000-"


@pytest.mark.parametrize(
    ("status", "field", "pause"),
    [
        ("429 Too Many Requests", "Retry-After: 7", 7.0),
        ("503 Service Unavailable", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("500 Internal Server Error", "X: y", None),
        ("408 Request Timeout", "Retry-After: later", None),
        ("304 Not Modified", "X: y", None),
    ],
)
async def test_download_is_interrupted_when_the_host_cannot_serve_now(host, store, status, field, pause):
    """The pause that the host asks for is handed on."""
    host.will(host.answers(status, b"", field))
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert (caught.value.http_status, caught.value.retry_after) == (int(status[:3]), pause)


async def test_redirects_are_followed_when_they_are_few_enough(host, store, video, is_whole):
    """As many redirects as the setting says, relative ones and every kind, with the range on each step."""
    host.will(
        host.redirects("/b?x=%2F", "301 Moved Permanently"),
        host.redirects("c", "307 Temporary Redirect"),
        host.redirects(f"{host.url}/d", "308 Permanent Redirect"),
        host.serves(video(500)),
    )
    assert is_whole(await store.fetch(f"{host.url}/a", "a.mp4"), video(500))
    assert [request.target for request in host.requests] == [b"/a", b"/b?x=%2F", b"/c", b"/d"]


async def test_redirects_end_when_they_lead_in_a_circle(host, store):
    """One redirect more than the setting allows ends the fetch."""
    host.will(host.redirects("/a"))
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "too_many_redirects"
    assert len(host.requests) == 4


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:video/mp4,x", "http://", "//u:p@h/"]
)
async def test_redirect_is_refused_when_it_does_not_lead_to_plain_http(host, store, target):
    """A result host cannot make us open a local file or another protocol."""
    host.will(host.redirects(target))
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "bad_url"


async def test_redirect_without_a_target_is_an_interruption_when_it_comes(host, store):
    """A 302 that names no place says nothing about the file."""
    host.will(host.answers("302 Found"))
    with pytest.raises(InterruptedDownloadError):
        await store.fetch(f"{host.url}/a", "a.mp4")


@pytest.mark.both_loops
@pytest.mark.parametrize("url", ["http://a..b/x", "http://" + "a" * 64 + ".example/x", "http://exa mple/x"])
async def test_url_is_refused_when_its_host_name_is_impossible(store, url):
    """A name that no resolver can be asked for is a bad URL, not a crash."""
    with pytest.raises(UnusableResultError) as caught:
        await store.fetch(url, "a.mp4")
    assert caught.value.code == "bad_url"


@pytest.mark.both_loops
async def test_download_is_interrupted_when_nobody_listens(store):
    """A refused connection may work later."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(InterruptedDownloadError) as caught:
            await store.fetch(f"http://127.0.0.1:{port}/a", "a.mp4")
    assert caught.value.code == "connection_failed"
    assert str(caught.value).endswith(" could not be reached: connection refused")


@pytest.mark.both_loops
async def test_download_is_interrupted_when_the_host_speaks_no_tls(store):
    """A failed handshake may be a passing fault of the host."""

    async def plain(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/a", "a.mp4")
    server.close()
    await server.wait_closed()
    assert caught.value.code == "tls_failed"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff garbage \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999999999\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
    ids=lambda answer: repr(answer[:40]),
)
async def test_download_is_interrupted_when_the_answer_is_not_http(host, store, answer):
    """Whatever comes instead of an answer is an error that we know."""

    async def script(request, reply):
        await reply.send(answer)

    host.will(script)
    with pytest.raises((InterruptedDownloadError, UnusableResultError)) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert len(caught.value.message) < 300
    assert caught.value.message.isprintable()


@pytest.mark.both_loops
async def test_download_is_interrupted_when_the_connection_is_reset_midway(host, store, video, part_bytes):
    """A reset keeps what had arrived before it."""

    async def script(request, reply):
        await reply.head("200 OK", "Content-Length: 500000", 'ETag: "v1"')
        await reply.send(video(500_000)[:100_000])
        raw = reply._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        reply._writer.transport.abort()

    host.will(script)
    with pytest.raises(InterruptedDownloadError) as caught:
        await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "cut"


@pytest.mark.parametrize("sent", [0, 1, 300_000])
async def test_download_is_interrupted_when_no_byte_comes_for_too_long(host, tmp_path, video, part_bytes, sent):
    """After the stall timeout the try ends, and what has arrived is kept."""
    ended = asyncio.Event()

    async def script(request, reply):
        if sent:
            await reply.head("200 OK", "Content-Length: 500000", 'ETag: "v1"')
            await reply.send(video(500_000)[:sent])
        await ended.wait()

    host.will(script)
    async with LocalVideoStore(tmp_path, FetchSettings(stall_timeout=0.1)) as store:
        with pytest.raises(InterruptedDownloadError) as caught:
            await store.fetch(f"{host.url}/a", "a.mp4")
    ended.set()
    assert caught.value.code == "stalled"
    assert (part_bytes() or b"") == video(500_000)[:sent]


async def test_download_is_interrupted_when_the_head_dribbles(host, tmp_path):
    """Headers that come byte by byte never stall, so the whole head has a limit of its own."""

    async def script(request, reply):
        await reply.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            await reply.send(b"X")
            await asyncio.sleep(0.02)

    host.will(script)
    async with LocalVideoStore(tmp_path, FetchSettings(connect_timeout=0.1, stall_timeout=0.1)) as store:
        with pytest.raises(InterruptedDownloadError) as caught:
            await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "stalled"


class LeapingClock:
    """Half a minute passes with every look; each look lets the host send its next byte."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looked = asyncio.Event()

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        self.now += 30.0
        self.looked.set()
        return self.now


async def test_download_is_interrupted_when_the_host_sends_a_byte_at_a_time(host, tmp_path, video, settings):
    """A host that never stalls but stays below 1 KiB a second for a minute counts as stalled."""
    clock = LeapingClock()
    body = video(5000)

    async def script(request, reply):
        await reply.head("200 OK", "Content-Length: 5000")
        for position in range(len(body)):
            await clock.looked.wait()
            clock.looked.clear()
            await reply.send(body[position : position + 1])

    host.will(script)
    async with LocalVideoStore(tmp_path, settings, clock) as store:
        with pytest.raises(InterruptedDownloadError) as caught:
            await store.fetch(f"{host.url}/a", "a.mp4")
    assert caught.value.code == "stalled"


async def test_errors_body_is_not_waited_for_when_it_never_comes(host, tmp_path):
    """A refusal is known by its status; its explanation is a courtesy with a time limit."""
    ended = asyncio.Event()

    async def script(request, reply):
        await reply.head("403 Forbidden", "Content-Length: 100")
        await ended.wait()

    host.will(script)
    async with LocalVideoStore(tmp_path, FetchSettings(connect_timeout=0.1)) as store:
        with pytest.raises(LinkExpiredError):
            await store.fetch(f"{host.url}/a", "a.mp4")
    ended.set()
