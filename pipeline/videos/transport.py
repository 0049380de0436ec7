"""One GET of a result, redirects followed by hand, every foreign error translated.

No key is known here and none can leave: no Authorization header, no cookies, no proxy or netrc from the environment.
"""

import asyncio
import math
from collections.abc import Mapping
from contextlib import suppress

import aiohttp
from aiohttp import hdrs
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from pipeline import __version__
from pipeline.core.ceilings import Ceilings, Exchange
from pipeline.core.clock import Clock
from pipeline.core.connecting import why_unreached
from pipeline.core.errors import InterruptedDownloadError, PipelineError, UnusableResultError
from pipeline.settings import FetchSettings
from pipeline.videos.addresses import redirect_address
from pipeline.videos.kinds import excerpt
from pipeline.videos.names import OwnResolver
from pipeline.videos.ranges import Head, parse_content_range, parse_length, usable_date, usable_etag
from pipeline.videos.refusals import refused, retry_after_seconds

SLOWEST_BYTES_PER_SECOND = 1024
"""A host that stays below this while we wait a whole stall timeout for it counts as stalled: a byte now and then would
hold a download for weeks."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FILES = frozenset({200, 203, 206, 416})
_CODINGS = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"})
_LONGEST_FIELD = 65_536
"""Bytes of a header field: signed redirects outgrow the library's 8 KiB."""
_EXCERPT_BYTES = 512

_FAILURES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, str], ...] = (
    (aiohttp.ConnectionTimeoutError, "timeout", "could not be reached in time"),
    (TimeoutError, "stalled", "let us wait for too long"),
    (aiohttp.ClientSSLError, "tls_failed", "could not be reached over TLS"),
    (aiohttp.ClientConnectorError, "connection_failed", "could not be reached"),
    ((aiohttp.ClientResponseError, HttpProcessingError), "bad_answer", "sent something that is not HTTP"),
    ((aiohttp.ClientError, OSError), "cut", "broke the transfer off"),
)
"""The first match counts; all of them leave what has arrived and may be tried again."""
_BAD_NAMES = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, UnicodeError)
_BROKEN = (*_BAD_NAMES, aiohttp.ClientError, HttpProcessingError, OSError)


def _translated(host: str, exc: Exception) -> InterruptedDownloadError | UnusableResultError:
    """The library's error as ours."""
    if isinstance(exc, _BAD_NAMES):
        return UnusableResultError(f"{host!r} is not the name of a host", code="bad_url")
    return _interrupted(host, exc)


def _interrupted(host: str, exc: Exception) -> InterruptedDownloadError:
    code, words = next((code, words) for kinds, code, words in _FAILURES if isinstance(exc, kinds))
    said = str(exc)
    if isinstance(exc, aiohttp.ClientConnectorError) and not isinstance(exc, aiohttp.ClientSSLError):
        said = why_unreached(exc.os_error)
    detail = excerpt(said.encode("utf-8", "replace"))  # the library quotes the host's bytes at any length
    return InterruptedDownloadError(f"{host} {words}" + (f": {detail}" if detail else ""), code=code)


class Pace:
    """Judges a host's pace by the time spent waiting for it: our own slow disk is not its fault."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._seconds = 0.0
        self._bytes = 0

    def too_slow(self, received: int, waited: float) -> bool:
        """Take note of `received` bytes after `waited` seconds; True at the end of a window that was too slow."""
        self._bytes += received
        self._seconds += waited
        if self._seconds < self._window:
            return False
        slow = self._bytes < SLOWEST_BYTES_PER_SECOND * self._seconds
        self._seconds, self._bytes = 0.0, 0
        return slow


class Answer:
    """An answer whose head says that a file, or a part of one, follows.

    Its reads are watched over by one timer for all downloads. The library's own read timeout is not enough: it ends
    with a connection that spoke broken HTTP, but the read that waits there does not.
    """

    def __init__(
        self, response: aiohttp.ClientResponse, exchange: Exchange, ceilings: Ceilings, stall: float, clock: Clock
    ) -> None:
        self.head = _head(response)
        self._host = response.url.host or ""
        self._response = response
        self._content = response.content
        self._exchange = exchange
        self._ceilings = ceilings
        self._stall = stall
        self._pace = Pace(stall)
        self._clock = clock

    @property
    def ends_by_close(self) -> bool:
        """Whether only the end of the connection ends the body, so that a cut looks like an end."""
        chunked = "chunked" in self._response.headers.get("Transfer-Encoding", "").lower()
        return self.head.content_length is None and not chunked

    async def read(self) -> bytes:
        """The next bytes, as they come; none at the end of a whole body. Raises `InterruptedDownloadError`."""
        began = self._clock.monotonic()
        try:
            if self._content.is_eof():  # nothing is waited for any more
                return self._content.read_nowait()
            self._ceilings.await_more(self._exchange, self._stall)
            chunk = await self._content.readany()
        except _BROKEN as exc:
            raise _interrupted(self._host, exc) from exc
        except asyncio.CancelledError as exc:
            if self._ceilings.outlasted(self._exchange):
                raise _interrupted(self._host, TimeoutError()) from exc
            raise
        finally:
            self._exchange.rest()
        if chunk and self._pace.too_slow(len(chunk), self._clock.monotonic() - began):
            raise InterruptedDownloadError(f"{self._host} sends less than 1 KiB a second", code="stalled")
        return chunk

    def close(self) -> None:
        """Stop watching, and close the connection unless the whole body has come."""
        self._ceilings.end(self._exchange)
        if self._response.connection is not None:  # after the whole body it is back in its pool already
            self._response.close()


class Transport:
    """The HTTP session of the store."""

    def __init__(self, settings: FetchSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._patience = settings.connect_timeout + settings.stall_timeout
        """Seconds for a request and the whole head of its answer."""
        self._ceilings = Ceilings()
        self._session: aiohttp.ClientSession | None = None
        self._resolver = OwnResolver("video-names")

    def open(self) -> None:
        """Make the session; needs a running event loop."""
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, resolver=self._resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={hdrs.USER_AGENT: f"video-batch-pipeline/{__version__}", hdrs.ACCEPT_ENCODING: "identity"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout),
            max_line_size=_LONGEST_FIELD,
            max_field_size=_LONGEST_FIELD,
        )

    async def close(self) -> None:
        """Close every connection."""
        self._ceilings.close()
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    async def get(self, address: URL, headers: Mapping[str, str]) -> Answer:
        """The answer that brings the file (200, 203, 206) or has none left to bring (416); to be closed afterwards.

        Raises `LinkExpiredError`, `InterruptedDownloadError`, or `UnusableResultError` for a redirect that leads
        nowhere (`bad_url`, `too_many_redirects`) or an encoded body (`encoded`).
        """
        exchange = self._ceilings.begin(math.inf, math.inf)  # `_ask` says how long it may be silent
        try:
            response = await self._follow(address, headers, exchange)
        except BaseException:
            self._ceilings.end(exchange)
            raise
        exchange.rest()
        return Answer(response, exchange, self._ceilings, self._settings.stall_timeout, self._clock)

    async def _follow(self, address: URL, headers: Mapping[str, str], exchange: Exchange) -> aiohttp.ClientResponse:
        for _ in range(self._settings.max_redirects + 1):
            response = await self._ask(address, headers, exchange)
            try:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    _refuse_encoded(response)
                    return response
                address = redirect_address(address, response.headers["Location"])
            except PipelineError:
                response.close()
                raise
            response.close()
        raise UnusableResultError(
            f"{address.host} redirects more than {self._settings.max_redirects} times", code="too_many_redirects"
        )

    async def _ask(self, address: URL, headers: Mapping[str, str], exchange: Exchange) -> aiohttp.ClientResponse:
        """One request and the head of its answer, or the error that its status means.

        The whole head has a limit of its own: the stall timeout alone would let a host dribble headers for days.
        """
        if self._session is None:
            raise RuntimeError("the video store is not open: use it with `async with`")
        host = address.host or ""
        self._ceilings.await_more(exchange, self._patience)
        try:
            response = await self._session.get(address, headers=headers, allow_redirects=False)
        except _BROKEN as exc:
            raise _translated(host, exc) from exc
        except asyncio.CancelledError as exc:
            if self._ceilings.outlasted(exchange):
                raise _interrupted(host, TimeoutError()) from exc
            raise
        if response.status in _FILES or (response.status in _REDIRECTS and "Location" in response.headers):
            return response
        exchange.rest()
        try:
            shown = await self._excerpt(response)
        finally:
            response.close()
        wait = retry_after_seconds(response.headers.get("Retry-After"), self._clock.time())
        raise refused(response.status, host, wait, shown)

    async def _excerpt(self, response: aiohttp.ClientResponse) -> str:
        """The beginning of an error's body: object stores say there what is wrong with the URL."""
        with suppress(*_BROKEN):
            async with asyncio.timeout(self._settings.connect_timeout):
                return excerpt(await response.content.read(_EXCERPT_BYTES))
        return ""


def _head(response: aiohttp.ClientResponse) -> Head:
    headers = response.headers
    return Head(
        status=response.status,
        etag=usable_etag(headers.get("ETag")),
        last_modified=usable_date(headers.get("Last-Modified")),
        content_length=parse_length(headers.get(hdrs.CONTENT_LENGTH)),
        content_range=parse_content_range(headers.get("Content-Range")),
    )


def _refuse_encoded(response: aiohttp.ClientResponse) -> None:
    """Lengths and ranges of an encoded body are not those of the file; we asked for `identity`."""
    named = response.headers.get("Content-Encoding")
    codings = {coding.strip().lower() for coding in named.split(",")} if named else set[str]()
    if codings & _CODINGS:
        raise UnusableResultError(
            f"{response.url.host} sends the result with Content-Encoding {', '.join(sorted(codings))}", code="encoded"
        )
