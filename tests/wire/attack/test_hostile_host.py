"""A result host whose answers never end, or are none: the download is given up in time, and little is kept."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline.core.errors import DownloadError
from pipeline.settings import FetchSettings
from pipeline.videos import LocalVideoStore
from tests.wire.servers import Connection, ScriptedServer, Step, raw

LIMIT = 1_000_000
OK = b"HTTP/1.1 200 OK\r\n"
VIDEO = b"\0\0\0\x18ftypisom" + bytes(16)

ENDLESS = {
    "headers": (OK, b"X-More: " + b"a" * 4000 + b"\r\n"),
    "one header": (OK + b'ETag: "', b"a" * 65_536),
    "status line": (b"HTTP/1.1 200 ", b"a" * 65_536),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "video": (OK + b"\r\n" + VIDEO, b"a" * 65_536),
    "part": (b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-99999999999/100000000000\r\n\r\n" + VIDEO, b"a" * 65_536),
    "chunk extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a" * 65_536),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-More: " + b"a" * 4000 + b"\r\n"),
    "error page": (b"HTTP/1.1 403 X\r\n\r\n", b"<script>" * 1000),
}
MALFORMED = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "length of 5,000 digits": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
    "huge range": b"HTTP/1.1 206 X\r\nContent-Range: bytes 0-" + b"9" * 400 + b"/*\r\nContent-Length: 1\r\n\r\na",
    "redirect with escapes": b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\x1b[31m\r\nContent-Length: 0\r\n\r\n",
    "redirect to a file": b"HTTP/1.1 302 X\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "redirect with a password": b"HTTP/1.1 302 X\r\nLocation: http://u:p@127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "switch of protocols": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x7f",
    "reason with escapes": b"HTTP/1.1 403 \x1b[31m\r\n\r\n\x1b]0;owned\x07\xc2\x9b\xe2\x80\xae",
}


def without_end(head: bytes, piece: bytes) -> Step:
    """The head, and then the same bytes for as long as the client listens."""

    async def step(connection: Connection) -> bool:
        await connection.send(head)
        hung_up = asyncio.ensure_future(connection.until_closed())
        hung_up.add_done_callback(lambda done: done.exception())  # a reset is one way to hang up
        while not hung_up.done():
            await connection.send(piece)
            await asyncio.sleep(0)
        return False

    return step


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LocalVideoStore]:
    settings = FetchSettings(connect_timeout=0.3, stall_timeout=0.7, max_bytes=LIMIT)
    async with LocalVideoStore(tmp_path, settings) as opened:
        yield opened


def kept(folder: Path) -> int:
    """Bytes on disk."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("head", "piece"), ENDLESS.values(), ids=ENDLESS)
async def test_a_download_is_given_up_when_its_answer_never_ends(
    store: LocalVideoStore, tmp_path: Path, head: bytes, piece: bytes
) -> None:
    """Whatever part of an answer goes on for ever, it ends in time, and no more is kept than the limit allows."""
    async with ScriptedServer([without_end(head, piece)]) as server:
        began = time.monotonic()
        with pytest.raises(DownloadError) as caught:
            await store.fetch(f"{server.url}/a.mp4", "a.mp4")
        assert time.monotonic() - began < 5.0
    assert kept(tmp_path) <= LIMIT
    assert not (tmp_path / "videos/a.mp4").exists()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
async def test_a_download_fails_in_words_when_the_answer_is_malformed(
    store: LocalVideoStore, tmp_path: Path, answer: bytes
) -> None:
    """Broken HTTP and redirects to where we never go are answers of a kind that we know."""
    async with ScriptedServer([raw(answer)]) as server:
        with pytest.raises(DownloadError) as caught:
            await store.fetch(f"{server.url}/a.mp4", "a.mp4")
    assert caught.value.message.isprintable()
    assert not (tmp_path / "videos/a.mp4").exists()
