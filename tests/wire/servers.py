"""A server that misbehaves on purpose: raw TCP on loopback, scripted request by request, remembering every byte."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as it came over the wire."""

    head: bytes
    body: bytes
    connection: int
    """Counted from 1: which connection it came over."""

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Connection:
    """The server's end of one connection, in the hands of a step."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_closed(self) -> None:
        """Wait until the client hangs up."""
        while await self.reader.read(65536):
            pass


Step = Callable[[Connection], Awaitable[bool]]
"""Plays the server's part after a request; True keeps the connection for the next one."""


def reply(
    status: int, body: bytes | str | dict[str, Any] = b"", *, headers: dict[str, str] | None = None, keep: bool = True
) -> Step:
    """A whole answer; the connection stays open, as the answer says, unless `keep` is false."""
    content = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]

    async def step(connection: Connection) -> bool:
        await connection.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content)
        return keep

    return step


def raw(data: bytes) -> Step:
    """These bytes and the end of the connection."""

    async def step(connection: Connection) -> bool:
        await connection.send(data)
        return False

    return step


async def drop(_connection: Connection) -> bool:
    """No answer, just the end of the connection."""
    return False


async def reset(connection: Connection) -> bool:
    """No answer, and a reset instead of an orderly end."""
    connection.writer.transport.abort()
    return False


async def hang(connection: Connection) -> bool:
    """No answer; the connection stays until the client hangs up."""
    await connection.until_closed()
    return False


def dribble(head: bytes, every: float) -> Step:
    """The head at once and then a space every so many seconds, for as long as the client listens."""

    async def step(connection: Connection) -> bool:
        await connection.send(head)
        hung_up = asyncio.ensure_future(connection.until_closed())
        hung_up.add_done_callback(lambda done: done.exception())  # a reset is one way to hang up
        while not hung_up.done():
            connection.writer.write(b" ")
            await asyncio.wait([hung_up], timeout=every)
        return False

    return step


@dataclass(slots=True)
class ScriptedServer:
    """Plays one step for each request, the last one again and again; an async context manager."""

    steps: list[Step] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    greeting: bytes | None = None
    """Sent, instead of reading anything, as soon as a connection is made; the connection is then closed."""
    read_bodies: bool = True
    """Otherwise a step is played as soon as a request's head is there."""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    received: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by each request."""
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection is over."""
    _server: asyncio.Server | None = None
    _running: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"http{'s' if self.tls else ''}://127.0.0.1:{port}"

    def count(self, method: str) -> int:
        """How many requests with this method have arrived."""
        return sum(request.method == method for request in self.requests)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._serve(Connection(reader, writer), self.connections))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve(self, connection: Connection, number: int) -> None:
        try:
            if self.greeting is not None:
                await connection.send(self.greeting)
                return
            while await self._one_request(connection, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # The client hung up, which is its right.
        finally:
            connection.writer.close()
            self.hung_up.set()

    async def _one_request(self, connection: Connection, number: int) -> bool:
        head = await connection.reader.readuntil(b"\r\n\r\n")
        length = int(Request(head, b"", number).headers.get("content-length", "0"))
        body = await connection.reader.readexactly(length) if self.read_bodies else b""
        self.requests.append(Request(head, body, number))
        self.received.set()
        step = self.steps[min(len(self.requests), len(self.steps)) - 1]
        return await step(connection)
