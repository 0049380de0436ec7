"""A result host that does exactly what a test tells it, over real sockets, and remembers what it was asked."""

import asyncio
import hashlib
import random
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from pipeline.settings import FetchSettings
from pipeline.videos import LocalVideoStore


def box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def make_video(size: int, seed: int = 1) -> bytes:
    """An MP4 of exactly `size` bytes whose boxes close; its media data is noise."""
    head = box(b"ftyp", b"isom\x00\x00\x02\x00isomiso2") + box(b"moov", box(b"free"))
    return head + box(b"mdat", random.Random(seed).randbytes(size - len(head) - 8))


@dataclass
class Request:
    line: bytes
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) <= 1
        return found[0] if found else None

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]


class Reply:
    """What a script writes to: the socket itself."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def head(self, status: str, *headers: str) -> None:
        await self.send("\r\n".join([f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]).encode())

    async def whole(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        await self.head(status, f"Content-Length: {len(body)}", *headers)
        await self.send(body)


Script = Callable[[Request, Reply], Awaitable[None]]


@dataclass
class ResultHost:
    """Answers each request by the next script, the last one for ever; closes the connection after each."""

    scripts: list[Script] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    def will(self, *scripts: Script) -> None:
        self.scripts = list(scripts)

    def serves(self, body: bytes, *headers: str, cut: int | None = None, status: str = "200 OK") -> Script:
        """The whole body, or its first `cut` bytes under the whole length."""

        async def script(request: Request, reply: Reply) -> None:
            await reply.head(status, f"Content-Length: {len(body)}", *headers)
            await reply.send(body[:cut])

        return script

    def resumes(self, body: bytes, etag: str = '"v1"', cut: int | None = None) -> Script:
        """A correct host with ranges: the rest where the validator still holds, else the whole."""

        async def script(request: Request, reply: Reply) -> None:
            wanted, guard = request.header("Range"), request.header("If-Range")
            if wanted is None or guard not in {None, etag}:
                return await self.serves(body, f"ETag: {etag}", cut=cut)(request, reply)
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if first >= len(body):
                return await reply.whole(b"", f"Content-Range: bytes */{len(body)}", status="416 Range Not Satisfiable")
            rest = body[first:]
            await reply.head(
                "206 Partial Content",
                f"Content-Length: {len(rest)}",
                f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}",
                f"ETag: {etag}",
            )
            return await reply.send(rest[:cut])

        return script

    def answers(self, status: str, body: bytes = b"", *headers: str) -> Script:
        async def script(request: Request, reply: Reply) -> None:
            await reply.whole(body, *headers, status=status)

        return script

    def redirects(self, location: str, status: str = "302 Found") -> Script:
        return self.answers(status, b"", f"Location: {location}")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
            line, *fields = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
            pairs = [tuple(part.strip() for part in each.decode().split(":", 1)) for each in fields]
            request = Request(line, pairs)
            self.requests.append(request)
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            await script(request, Reply(writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the store hung up, which is its right, or the test is over
        finally:
            writer.close()
            self._serving.discard(asyncio.current_task())

    async def stop(self) -> None:
        """End every answer that is still waiting for something."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


@pytest.fixture
async def host():
    result_host = ResultHost()
    server = await asyncio.start_server(result_host.serve, "127.0.0.1", 0)
    result_host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield result_host
    server.close()
    await result_host.stop()
    await server.wait_closed()


@pytest.fixture
def settings():
    return FetchSettings(connect_timeout=5, stall_timeout=5, max_bytes=50_000_000, max_redirects=3)


@pytest.fixture
async def store(tmp_path, settings):
    async with LocalVideoStore(tmp_path, settings) as local:
        yield local


@pytest.fixture
def video():
    """A maker of videos by size and seed."""
    return make_video


@pytest.fixture
def is_whole(tmp_path):
    """Whether a stored file, its record and the folder say the same: these bytes, and nothing left over."""

    def check(stored, body, output="a.mp4"):
        assert (tmp_path / "videos" / output).read_bytes() == body
        assert (stored.path, stored.bytes) == (f"videos/{output}", len(body))
        assert stored.sha256 == hashlib.sha256(body).hexdigest()
        assert list((tmp_path / "videos" / ".parts").iterdir()) == []
        return True

    return check


@pytest.fixture
def part_bytes(tmp_path):
    """The bytes that are kept for the next try, or None."""

    def read():
        found = list((tmp_path / "videos" / ".parts").glob("*.part"))
        assert len(found) <= 1
        return found[0].read_bytes() if found else None

    return read
