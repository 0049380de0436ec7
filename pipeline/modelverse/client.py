"""The client of the ModelVerse task API: HTTP and local files in, core values and `ServiceError`s out."""

import asyncio
import base64
import errno
import functools
import hashlib
import io
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import aiofiles
import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipeline import __version__
from pipeline.core.clock import Clock, SystemClock
from pipeline.core.errors import RejectedError, ServiceError
from pipeline.core.jobs import Job, LocalFile, Task, TaskReport, TaskState
from pipeline.modelverse.decisions import Answer, Call, judge_broken, judge_status, judge_submit, known_to_speak
from pipeline.modelverse.wire import Traits, clean, encode_media, encode_submit, is_given
from pipeline.settings import ServiceSettings

MAX_BODY_BYTES = 20_000_000
"""The only limit that a vendor page states, in its smaller reading (§11)."""
MAX_ANSWER_BYTES = 2**20
"""No honest answer comes near; what lies beyond is not read."""
_SLOWEST_UPLOAD = 50_000.0
"""Bytes per second: the ceiling of a submit grows with its body, so that a slow line does not lose its answer."""
_KEEP_ALIVE = 15.0
"""Seconds that a question's connection may idle: less than common servers and balancers allow."""

_BASE64_FROM = 16
"""Characters of a key whose Base64 is looked for; the letters of a shorter one may stand anywhere by chance."""

_BROKEN = (aiohttp.ClientError, OSError, UnicodeError)
"""All that an exchange may raise; timeouts are OSErrors, and a host name that no DNS can carry is a UnicodeError."""
_NO_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
_MACHINE_CLOCK = SystemClock()

_Good = TypeVar("_Good", Task, TaskReport)


def no_traits(_job: Job) -> Traits:
    """For models that want nothing special."""
    return Traits()


class ModelVerseClient:
    """The remote service (`core.ports.Service`), to be used as an async context manager.

    `traits_for` tells what a job's model wants beside its fields. Every error is a `ServiceError`; none of them, and no
    repr, shows the key. The environment's proxies and `.netrc` are not consulted, and redirects are not followed: the
    key goes to the endpoint or nowhere.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        api_key: str,
        *,
        clock: Clock = _MACHINE_CLOCK,
        traits_for: Callable[[Job], Traits] = no_traits,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._traits_for = traits_for
        self._authorization = f"Bearer {api_key}" if settings.auth_scheme == "bearer" else api_key
        self._key_pattern = _any_spelling(api_key)
        self._sessions: dict[Call, aiohttp.ClientSession] = {}
        self._read_timeouts = {Call.SUBMIT: settings.submit_timeout, Call.STATUS: settings.status_timeout}
        self._timeouts = {
            call: aiohttp.ClientTimeout(
                total=None, connect=settings.connect_timeout, sock_connect=settings.connect_timeout, sock_read=seconds
            )
            for call, seconds in self._read_timeouts.items()
        }
        self._proven = False
        """Whether the service has answered in its own words: until then a 404 speaks of the endpoint."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r}, api_key='***')"

    async def __aenter__(self) -> Self:
        # A pooled connection may be closed by the server in the moment in which a paid request leaves, and then nobody
        # knows whether it arrived. A fresh one fails before anything is sent; it costs a handshake for each video.
        self._sessions[Call.SUBMIT] = self._session(Call.SUBMIT, aiohttp.TCPConnector(limit=0, force_close=True))
        self._sessions[Call.STATUS] = self._session(
            Call.STATUS, aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE)
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._sessions.pop(Call.SUBMIT).close()
        finally:
            await self._sessions.pop(Call.STATUS).close()

    @property
    def base_url(self) -> str:
        """The host that new tasks are submitted to."""
        return self._settings.endpoint.rstrip("/")

    def traceable(self, job: Job) -> bool:
        """Whether the model carries a caller's id and the author did not set one of their own."""
        path = self._traits_for(job).external_id
        return path is not None and not is_given(job, path)

    async def prepare(self, job: Job, external_id: str | None = None) -> bytes:
        """The body of the job's submit, local files encoded.

        Raises `RejectedError` with code `local_file_missing`, `local_file_unreadable` or `local_file_changed` (other
        bytes than when the manifest was checked), `too_large_body` (over 20 MB) or `not_unicode`.
        """
        _check_size(sum(file.bytes for file in job.files) * 4 // 3)
        media = {file.field: await _encoded(file) for file in job.files}
        path = self._traits_for(job).external_id
        encode = functools.partial(
            encode_submit,
            job,
            media,
            first_frame_form=self._settings.first_frame_form,
            external_id=(path, external_id) if path and external_id else None,
        )
        try:
            body = await asyncio.to_thread(encode) if media else encode()
        except UnicodeEncodeError as exc:
            raise RejectedError("a text of the job is not valid Unicode", code="not_unicode") from exc
        _check_size(len(body))
        return body

    async def submit(self, job: Job, body: bytes) -> Task:
        """Send the paid request exactly once and return the accepted task; errors as in `core.ports.Service`."""
        headers = {**self._traits_for(job).headers, "Content-Type": "application/json"}
        answer = await self._exchange(Call.SUBMIT, self._url(Call.SUBMIT, self.base_url), headers, body)
        return self._settled(judge_submit(answer, model=job.model, base_url=self.base_url, proven=self._proven))

    async def status(self, task: Task) -> TaskReport:
        """Ask once, at the host that gave the task, how it stands; an error says nothing about the task."""
        url = self._url(Call.STATUS, task.base_url).with_query({"task_id": task.task_id})
        answer = await self._exchange(Call.STATUS, url, {}, None)
        return self._settled(judge_status(answer))

    async def find(self, external_id: str) -> Task | None:
        """Ask for a task by the caller's id (§8: presumably in the place of the task id)."""
        try:
            report = await self.status(Task(external_id, self.base_url))
        except RejectedError:
            return None
        if report.state is TaskState.UNRECOGNISED:
            return None
        return Task(report.task_id or external_id, self.base_url, report.request_id)

    def _settled(self, verdict: _Good | ServiceError) -> _Good:
        self._proven = self._proven or known_to_speak(verdict)
        if isinstance(verdict, ServiceError):
            raise verdict
        return verdict

    def _session(self, call: Call, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "Authorization": self._authorization,
                "User-Agent": f"video-batch-pipeline/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
            middlewares=(self._sent_once(call),),
        )

    def _sent_once(self, call: Call) -> aiohttp.ClientMiddlewareType:
        async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            # aiohttp repeats requests whose connection broke (those that it takes for idempotent), from inside. The
            # error becomes ours before that loop can see it: whatever it deems idempotent, a request leaves once.
            try:
                return await handler(request)
            except _BROKEN as exc:
                raise self._broken(call, exc) from exc

        return send

    async def _exchange(self, call: Call, url: URL, headers: Mapping[str, str], body: bytes | None) -> Answer:
        # The ceiling is for servers that dribble: each byte restarts the read timeout. It outlasts the connect timeout,
        # so that whatever it cuts off had been sent.
        ceiling = self._settings.connect_timeout + 2 * self._read_timeouts[call] + len(body or b"") / _SLOWEST_UPLOAD
        try:
            async with (
                asyncio.timeout(ceiling),
                self._sessions[call].request(
                    "GET" if body is None else "POST",
                    url,
                    data=None if body is None else io.BytesIO(body),
                    headers=headers,
                    timeout=self._timeouts[call],
                    allow_redirects=False,
                ) as response,
            ):
                return await self._read(response)
        except _BROKEN as exc:
            raise self._broken(call, exc) from exc

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                response.close()
                break
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, bytes(body[:MAX_ANSWER_BYTES]), self._clock.time(), self._hide)

    def _url(self, call: Call, base_url: str) -> URL:
        try:
            return URL(f"{base_url.rstrip('/')}/v1/tasks/{call}")
        except ValueError as exc:
            raise judge_broken(call, "bad_endpoint", self._shown(f"{base_url}: {exc}")) from exc

    def _broken(self, call: Call, exc: Exception) -> ServiceError:
        if isinstance(exc, aiohttp.ClientResponseError):
            # The library hangs the request, with the key in its headers, on this error; ours keeps it as its cause.
            exc.request_info = exc.request_info._replace(headers=_NO_HEADERS)
            exc.args = ()
        return judge_broken(call, _what_broke(exc), self._shown(str(exc)))

    def _shown(self, text: str) -> str:
        return clean(self._hide(text), 300)

    def _hide(self, text: str) -> str:
        return self._key_pattern.sub("***", text)


def _what_broke(exc: Exception) -> str:
    """The code of a transport error, one of `decisions.BROKEN`."""
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (aiohttp.ClientConnectorCertificateError, "tls_certificate"),
        (aiohttp.ClientSSLError, "tls_failed"),
        (aiohttp.ClientConnectorDNSError, "dns_failed"),
        (aiohttp.ClientConnectorError, "connect_failed"),
        (aiohttp.ConnectionTimeoutError, "connect_timeout"),
        (aiohttp.InvalidURL, "bad_endpoint"),
        (aiohttp.NonHttpUrlClientError, "bad_endpoint"),
        (UnicodeError, "bad_endpoint"),
        (TimeoutError, "timeout"),
        (aiohttp.ClientResponseError, "not_http"),
    )
    return next((code for kind, code in kinds if isinstance(exc, kind)), "connection_lost")


def _any_spelling(key: str) -> re.Pattern[str]:
    """Finds the key as it is, as JSON, a URL or HTML may escape it (twice, too), and in Base64."""
    if not key:
        return re.compile(r"(?!)")
    spelt = "".join(
        rf"(?:\\{{0,4}}{re.escape(char)}|\\{{1,4}}(?:u00|x){code:02x}|%(?:25){{0,3}}{code:02x}"
        rf"|&#(?:0{{0,6}}{code}|x0{{0,6}}{code:x});)"
        for char in key
        for code in (ord(char),)
    )  # each repetition has an end: a service that knows the key could otherwise make the search take hours
    return re.compile("|".join((spelt, *map(re.escape, _in_base64(key)))), re.IGNORECASE)


def _in_base64(key: str) -> list[str]:
    """What of the key surely stands in a Base64 text that holds it, by its place among groups of three bytes."""
    if len(key) < _BASE64_FROM:
        return []
    sextets = [(math.ceil(8 * before / 6), 8 * (before + len(key)) // 6) for before in range(3)]
    encoded = [base64.b64encode(bytes(before) + key.encode()).decode() for before in range(3)]
    return [text[first:last] for text, (first, last) in zip(encoded, sextets, strict=True)]


def _check_size(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise RejectedError(
            f"the request would be {size / 1e6:.1f} MB; the service takes {MAX_BODY_BYTES / 1e6:.0f} MB",
            code="too_large_body",
        )


async def _encoded(file: LocalFile) -> str:
    """The text that stands for a local file in the request."""
    try:
        async with aiofiles.open(file.path, "rb", opener=_open_regular) as opened:
            content = await opened.read(
                file.bytes + 1
            )  # one more, so that a file that grew is seen without reading it all
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise RejectedError(f"{file.path}: the file is gone ({file.field})", code="local_file_missing") from exc
    except OSError as exc:
        raise RejectedError(
            f"{file.path}: the file cannot be read: {exc.strerror} ({file.field})", code="local_file_unreadable"
        ) from exc
    return await asyncio.to_thread(_checked_text, file, content)


def _open_regular(path: str, flags: int) -> int:
    """An opener that takes files alone: a pipe that has taken a picture's name would hold the thread for ever."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file any more", path)


def _checked_text(file: LocalFile, content: bytes) -> str:
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise RejectedError(
            f"{file.path}: the file has changed since the manifest was checked ({file.field})",
            code="local_file_changed",
        )
    return encode_media(file, content)
