"""The client of the ModelVerse task API: HTTP and local files in, core values and `ServiceError`s out."""

import asyncio
import base64
import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver
from aiohttp.http import HttpProcessingError
from yarl import URL

from pipeline import __version__
from pipeline.core.body import Body, sha256_of
from pipeline.core.ceilings import Ceilings, Exchange
from pipeline.core.clock import Clock, SystemClock
from pipeline.core.connecting import why_unreached
from pipeline.core.errors import RejectedError, ServiceError, TransientError
from pipeline.core.jobs import Job, LocalFile, Task, TaskReport
from pipeline.modelverse.decisions import Answer, Call, judge_broken, judge_status, judge_submit, speaks
from pipeline.modelverse.lines import WRITTEN_AT_ONCE, Lines, Place
from pipeline.modelverse.pictures import Pictures, encoded_size
from pipeline.modelverse.wire import Hide, Traits, clean, encode_submit, is_given
from pipeline.settings import ServiceSettings

MAX_BODY_BYTES = 20_000_000
"""The only limit that a vendor page states, in its smaller reading (§11)."""
MAX_ANSWER_BYTES = 2**20
"""No honest answer comes near; what lies beyond is not read."""
_SLOWEST_UPLOAD = 50_000.0
"""Bytes per second: the ceiling of a submit grows with its body, so that a slow line does not lose its answer."""
_KEEP_ALIVE = 15.0
"""Seconds that a question's connection may idle: less than common servers and balancers allow."""
_MOST_QUESTIONS = 2048
"""Requests that are remembered, of half a kilobyte each: more tasks than run at a time, mostly."""
_BASE64_FROM = 16
"""Characters of a key whose Base64 is looked for; the letters of a shorter one may stand anywhere by chance."""

_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError, UnicodeError)
"""All that an exchange may raise; timeouts are OSErrors, and a host name that no DNS can carry is a UnicodeError."""
_BEFORE_IT_LEFT = {"timeout": "connect_timeout", "connection_lost": "connect_failed"}
"""The codes of errors that speak of a whole exchange, where the request had not left."""
_MACHINE_CLOCK = SystemClock()

_Good = TypeVar("_Good", Task, TaskReport)


def no_traits(_job: Job) -> Traits:
    """For models that want nothing special."""
    return Traits()


class ModelVerseClient:
    """The remote service (`core.ports.Service`), to be used as an async context manager.

    `traits_for` tells what a job's model wants beside its fields, `resolver` the addresses of a host (whoever brings it
    closes it); without one they are asked for in the event loop's threads, which its end waits for. Every error is a
    `ServiceError`; none of them, and no repr, shows the key. The environment's proxies and `.netrc` are not consulted,
    and redirects are not followed: the key goes to the endpoint or nowhere.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        api_key: str,
        *,
        clock: Clock = _MACHINE_CLOCK,
        traits_for: Callable[[Job], Traits] = no_traits,
        pictures: Pictures | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._traits_for = traits_for
        self._pictures = pictures or Pictures()
        self._resolver = resolver
        self._authorization = f"Bearer {api_key}" if settings.auth_scheme == "bearer" else api_key
        self._hide = _hiding(api_key)
        self._lines: dict[Call, Lines] = {}
        self._read_timeouts = {Call.SUBMIT: settings.submit_timeout, Call.STATUS: settings.status_timeout}
        self._ceilings = Ceilings()
        self._calls: dict[tuple[Call, str], tuple[Place, URL]] = {}
        self._questions: dict[tuple[str, str], tuple[Place, bytes, bytes]] = {}
        self._proven = False
        """Whether the service has answered in its own words: until then a 404 speaks of the endpoint."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r}, api_key='***')"

    async def __aenter__(self) -> Self:
        # A pooled connection may be closed by the server in the moment in which a paid request leaves, and then nobody
        # knows whether it arrived. A fresh one fails before anything is sent; it costs a handshake for each video.
        names, headers, patience = self._resolver, self._headers(), self._settings.connect_timeout
        self._lines[Call.SUBMIT] = Lines(
            aiohttp.TCPConnector(limit=0, force_close=True, resolver=names),
            {**headers, hdrs.CONTENT_TYPE: "application/json"},
            patience,
        )
        self._lines[Call.STATUS] = Lines(
            aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE, resolver=names), headers, patience
        )
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ceilings.close()
        try:
            await self._lines.pop(Call.SUBMIT).close()
        finally:
            await self._lines.pop(Call.STATUS).close()

    @property
    def base_url(self) -> str:
        """The host that new tasks are submitted to."""
        return self._settings.endpoint.rstrip("/")

    def traceable(self, job: Job) -> bool:
        """Whether the model carries a caller's id and the author did not set one of their own."""
        path = self._traits_for(job).external_id
        return path is not None and not is_given(job, path)

    async def prepare(self, job: Job, external_id: str | None = None) -> Body:
        """The body of the job's submit, local files encoded; waits until the pictures of others leave room for it.

        Raises `RejectedError` with code `local_file_missing`, `local_file_unreadable` or `local_file_changed` (other
        bytes than when the manifest was checked), `too_large_body` (over 20 MB) or `not_unicode`; `TransientError`
        where this machine is short of what reading takes.
        """
        path = self._traits_for(job).external_id
        try:
            parts = encode_submit(
                job,
                first_frame_form=self._settings.first_frame_form,
                external_id=(path, external_id) if path and external_id else None,
            )
        except UnicodeEncodeError as exc:
            raise RejectedError("a text of the job is not valid Unicode", code="not_unicode") from exc
        size = sum([len(part) if isinstance(part, bytes) else encoded_size(part.bytes) for part in parts])
        _check_size(size)
        if size <= WRITTEN_AT_ONCE and not job.files:
            return Body.of(*(part for part in parts if isinstance(part, bytes)))
        held = await self._pictures.hold(job.files)
        try:
            pieces = _pieces(parts, held.texts)
            return Body(pieces, await asyncio.to_thread(sha256_of, pieces), held.let_go)
        except BaseException:
            held.let_go()
            raise

    async def submit(self, job: Job, body: Body, wanted: Callable[[], bool] = lambda: True) -> Task | None:
        """Send the paid request exactly once and return the accepted task; the rest as in `core.ports.Service`."""
        place, url = self._call(Call.SUBMIT, self.base_url)
        lines = place.lines_with(self._traits_for(job).headers)
        head = b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (_target(url), lines, body.size)
        try:
            answer = await self._exchange(Call.SUBMIT, self._lines[Call.SUBMIT], place, head, body, wanted)
        except _UnwantedError:
            return None
        return self._settled(judge_submit(answer, model=job.model, base_url=self.base_url, proven=self._proven))

    async def status(self, task: Task) -> TaskReport:
        """Ask once, at the host that gave the task, how it stands; an error says nothing about the task."""
        return await self._ask(task, self._lines[Call.STATUS])

    async def find(self, external_id: str, base_url: str) -> Task | None:
        """Ask a host for a task by the caller's id (§8: presumably in the place of the task id).

        Absent is what the service refuses to know, and nothing else: a task id or a status, of whatever wording, is a
        task, and an answer with neither says nothing (`TransientError`). Whichever task an answer names is believed:
        it comes over a connection on which nothing else was asked.
        """
        try:
            report = await self._ask(Task(external_id, base_url), self._lines[Call.SUBMIT])
        except RejectedError:
            return None
        if report.task_id is None and not report.word:
            raise TransientError("the answer holds neither a task id nor a status", code="no_status")
        return Task(report.task_id or external_id, base_url, report.request_id)

    async def _ask(self, task: Task, lines: Lines) -> TaskReport:
        place, head, named = self._question(task)
        answer = await self._exchange(Call.STATUS, lines, place, head, named=named)
        return self._settled(judge_status(answer))

    def _settled(self, verdict: _Good | ServiceError) -> _Good:
        if isinstance(verdict, ServiceError):
            self._proven = self._proven or speaks(verdict)
            raise verdict
        self._proven = True
        return verdict

    def _headers(self) -> dict[str, str]:
        return {
            hdrs.AUTHORIZATION: self._authorization,
            hdrs.USER_AGENT: f"video-batch-pipeline/{__version__}",
            hdrs.ACCEPT: "application/json",
            hdrs.ACCEPT_ENCODING: "identity",
        }

    async def _exchange(
        self,
        call: Call,
        lines: Lines,
        place: Place,
        head: bytes,
        body: Body | None = None,
        wanted: Callable[[], bool] | None = None,
        named: bytes = b"",
    ) -> Answer:
        # The ceiling is for servers that dribble: each byte ends a silence. Both outlast the connect timeout, so that
        # whatever they cut off had been sent.
        silence = self._read_timeouts[call]
        uploading = 0.0 if body is None else body.size / _SLOWEST_UPLOAD
        until_heard = self._settings.connect_timeout + uploading + silence
        exchange = self._ceilings.begin(until_heard + silence, until_heard)
        try:
            with await lines.line(place) as line:
                if wanted is not None and not wanted():
                    raise _UnwantedError
                line.send(head, body)
                status, headers, content = await line.answer()
                whole = content.read_nowait() if content.is_eof() else await self._read(content, exchange, silence)
                if named not in whole:  # another question's, perhaps, and then the next one there is, too
                    line.give_up()
        except _BROKEN as exc:
            raise self._broken(call, exc, body) from self._tellable(exc)
        except asyncio.CancelledError as exc:
            if self._ceilings.outlasted(exchange):
                raise self._broken(call, TimeoutError(), body) from exc
            raise
        finally:
            self._ceilings.end(exchange)
        return Answer(status, headers, whole, self._clock.time(), self._hide)

    async def _read(self, content: aiohttp.StreamReader, exchange: Exchange, silence: float) -> bytes:
        """The whole body, where it did not come together with the head, or its beginning."""
        body = bytearray(await content.readany())
        while not content.at_eof() and len(body) <= MAX_ANSWER_BYTES:
            self._ceilings.await_more(exchange, silence)
            body += await content.readany()
        return bytes(body[:MAX_ANSWER_BYTES])

    def _call(self, call: Call, base_url: str) -> tuple[Place, URL]:
        """Where a call goes at a host; a run meets few hosts, so each is read once."""
        known = self._calls.get((call, base_url))
        if known is not None:
            return known
        try:
            url = URL(f"{base_url.rstrip('/')}/v1/tasks/{call}")
            place = self._lines[call].place(url)
        except ValueError as exc:
            raise judge_broken(call, "bad_endpoint", self._shown(f"{base_url}: {exc}")) from exc
        return self._calls.setdefault((call, base_url), (place, url))

    def _question(self, task: Task) -> tuple[Place, bytes, bytes]:
        """The request that asks for a task, which is sent many times, and how an answer names the task."""
        key = task.base_url, task.task_id
        known = self._questions.get(key)
        if known is None:
            if len(self._questions) >= _MOST_QUESTIONS:
                self._questions.clear()
            place, url = self._call(Call.STATUS, task.base_url)
            target = _target(url.with_query(task_id=task.task_id))
            known = place, b"GET %b HTTP/1.1\r\n%b\r\n" % (target, place.lines), task.task_id.encode()
            self._questions[key] = known
        return known

    def _broken(self, call: Call, exc: Exception, body: Body | None) -> ServiceError:
        code = _what_broke(exc)
        if body is not None and not body.sent:
            code = _BEFORE_IT_LEFT.get(code, code)
        return judge_broken(call, code, self._shown(_detail(exc)))

    def _tellable(self, exc: Exception) -> Exception | None:
        """The error for the story of a bug; None where the service says the key back in it."""
        told = f"{exc!r} {exc} {exc.__cause__!r} {exc.__cause__}"
        return exc if self._hide(told) == told else None

    def _shown(self, text: str) -> str:
        return clean(self._hide(text), 300)


class _UnwantedError(Exception):
    """Nobody wants the request any more, which has not left."""


def _what_broke(exc: Exception) -> str:
    """The code of a transport error, one of `decisions.BROKEN`."""
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (aiohttp.ClientConnectorCertificateError, "tls_certificate"),
        (aiohttp.ClientSSLError, "tls_failed"),
        (aiohttp.ClientConnectorDNSError, "dns_failed"),
        (aiohttp.ClientConnectorError, "connect_failed"),
        (aiohttp.ConnectionTimeoutError, "connect_timeout"),
        (aiohttp.InvalidURL, "bad_endpoint"),
        (UnicodeError, "bad_endpoint"),
        (TimeoutError, "timeout"),
        (HttpProcessingError, "not_http"),
    )
    return next((code for kind, code in kinds if isinstance(exc, kind)), "connection_lost")


def _detail(exc: Exception) -> str:
    """What the library says; of a connection that was not made, where to and the operating system's reason alone."""
    if isinstance(exc, aiohttp.ClientConnectorError) and not isinstance(exc, aiohttp.ClientSSLError):
        return f"{exc.host}:{exc.port}: {why_unreached(exc.os_error)}"
    return str(exc)


def _target(url: URL) -> bytes:
    return url.raw_path_qs.encode("ascii")


def _hiding(key: str) -> Hide:
    """Takes the key out of a text, however it is spelt there."""
    pattern = _any_spelling(key)
    in_short = [text.lower() for text in (key, *_in_base64(key))]
    shortest, plain = len(key), key.isascii()

    def hide(text: str) -> str:
        if len(text) < shortest:
            return text
        # Every escaped spelling of a character begins with one of three; most texts have none of them.
        if plain and text.isascii() and not ("\\" in text or "%" in text or "&" in text):
            lowered = text.lower()
            for short in in_short:
                if short in lowered:
                    break
            else:
                return text
        return pattern.sub("***", text)

    return hide


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


def _pieces(parts: Iterable[bytes | LocalFile], texts: Mapping[str, tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """A body with the files' Base64 in their places; nothing is copied."""
    return tuple(piece for part in parts for piece in ((part,) if isinstance(part, bytes) else texts[part.sha256]))
