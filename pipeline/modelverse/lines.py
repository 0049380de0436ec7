"""Requests on connections of aiohttp's pools: each leaves once, and it is known whether it has left.

`ClientSession.request` repeats requests whose connection broke, from inside, and does not tell whether one had left
when it failed or was cancelled. It also does what this service never asks for (redirects, cookies, proxies, timers),
which takes more than writing a request and parsing its answer. Connecting, TLS, names, keeping alive and parsing stay
the library's (https://docs.aiohttp.org/en/stable/client_reference.html#connectors). What is used beside its documented
interface is what its own requests use: `Connection.protocol`, which reads the answers, and `StreamWriter`. Its pool
listens to no connection: what comes while one idles would be there as the next answer (`_Idle`).
"""

import asyncio
import re
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import StreamWriter
from yarl import URL

from pipeline.core.body import Body

WRITTEN_AT_ONCE = 2**16
"""Bytes of a body that is handed over whole; a larger one is written piece by piece, so that others have their turn."""
_SCHEMES = ("http", "https")
_NOT_IN_A_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Place:
    """A host that requests go to, and the header lines that all of them carry."""

    __slots__ = ("connects", "lines")

    def __init__(self, connects: aiohttp.ClientRequest) -> None:
        self.connects = connects
        """Never sent: the connector reads in it where to connect to."""
        self.lines = _lines(connects.headers)

    def lines_with(self, more: Mapping[str, str]) -> bytes:
        """The header lines of a request that carries some of its own."""
        if not more:
            return self.lines
        headers = self.connects.headers.copy()
        headers.update(more)
        return _lines(headers)


class Lines:
    """The connections of one kind of request; they are made as they are needed."""

    def __init__(self, connector: aiohttp.TCPConnector, headers: Mapping[str, str], connect_timeout: float) -> None:
        self._connector = connector
        self._headers = {**headers, hdrs.CONNECTION: "close"} if connector.force_close else headers
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout)

    def place(self, url: URL) -> Place:
        """The host of a URL. Raises ValueError where it names none that speaks HTTP, or a user in the key's place."""
        if url.scheme not in _SCHEMES or url.raw_user is not None or url.raw_password is not None:
            raise ValueError("it has another scheme than http or https, or a user")
        return Place(aiohttp.ClientRequest("GET", url, headers=self._headers, loop=asyncio.get_running_loop()))

    async def line(self, place: Place) -> "Line":
        """A connection on which nothing has been sent yet. Raises `aiohttp.ClientError` or `UnicodeError`."""
        try:
            connection = await self._connector.connect(place.connects, [], self._timeout)
        except TimeoutError as exc:
            raise aiohttp.ConnectionTimeoutError(place.connects.url.host_port_subcomponent) from exc
        return Line(connection, keeps=not self._connector.force_close)

    async def close(self) -> None:
        """Close every connection."""
        await self._connector.close()


class Line:
    """A connection for one request and its answer, to be used as a context manager.

    After a whole answer it goes back to its pool; otherwise it is closed.
    """

    __slots__ = ("_connection", "_keeps", "_protocol", "_writing")

    def __init__(self, connection: Connection, keeps: bool) -> None:
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            connection.close()
            raise aiohttp.ClientConnectionResetError("the connection is closed")
        self._connection = connection
        self._protocol = protocol
        self._writing: asyncio.Task[None] | None = None
        self._keeps = keeps
        protocol.transport.set_protocol(protocol)  # it may have been idle
        protocol.set_response_params(read_until_eof=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        writing = self._writing
        if writing is not None and not writing.done():
            writing.cancel()
        protocol, whole = self._protocol, exc is None and (writing is None or writing.done())
        if whole and self._keeps and not protocol.should_close and protocol.transport is not None:
            protocol.transport.set_protocol(_Idle(protocol))
            self._connection.release()
        else:
            protocol.abort()  # a close would wait: for a server that takes the rest, or says goodbye in TLS
            self._connection.close()

    def give_up(self) -> None:
        """Use the connection no more after this answer."""
        self._keeps = False

    def send(self, head: bytes, body: Body | None = None) -> None:
        """Send the request; from here on it may have arrived. Raises `aiohttp.ClientError` where nothing can leave."""
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection was closed before the request left")
        if body is None:
            transport.write(head)
            return
        body.sent = True
        if body.size <= WRITTEN_AT_ONCE:
            transport.write(b"".join((head, *body.pieces)))
        else:
            self._writing = asyncio.create_task(self._write(head, body))
            self._writing.add_done_callback(_heard)

    async def answer(self) -> tuple[int, Mapping[str, str], aiohttp.StreamReader]:
        """HTTP status, headers and body, of which some may still be on its way. Raises `aiohttp.ClientError`,
        `HttpProcessingError` or `OSError`."""
        while True:
            message, content = await self._protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:  # what comes before an answer is none
                return message.code, message.headers, content

    async def _write(self, head: bytes, body: Body) -> None:
        """A large body is never copied as a whole."""
        writer = StreamWriter(self._protocol, asyncio.get_running_loop())
        await writer.write(head)
        for piece in body.pieces:
            view = memoryview(piece)
            for start in range(0, len(view), WRITTEN_AT_ONCE):
                await writer.write(view[start : start + WRITTEN_AT_ONCE])
                await asyncio.sleep(0)


class _Idle(asyncio.Protocol):
    """Watches over a connection in its pool. What a server says unasked would be taken for the next answer, and fills
    the memory: the connection ends there."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: ResponseHandler) -> None:
        self._protocol = protocol

    def data_received(self, _data: bytes) -> None:
        if self._protocol.transport is not None:
            self._protocol.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)


def _heard(writing: asyncio.Task[None]) -> None:
    """Whoever waits for the answer learns that the connection broke from the connection, and not from here."""
    if not writing.cancelled():
        writing.exception()


def _lines(headers: Mapping[str, str]) -> bytes:
    """As they are sent. Raises `ValueError` where one would be more than a line."""
    for name, value in headers.items():
        if _NOT_IN_A_HEADER.search(name) or _NOT_IN_A_HEADER.search(value):
            raise ValueError(f"the header {name!r} holds a control character")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()
