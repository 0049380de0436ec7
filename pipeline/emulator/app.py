"""The emulator on the network: the API on one port, the result files on another, real HTTP on this machine."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from pipeline.core.clock import Clock, SystemClock
from pipeline.core.errors import UsageError
from pipeline.emulator.bodies import BadBodyError, Submission, read_submission
from pipeline.emulator.delivery import Part, choose
from pipeline.emulator.links import Links
from pipeline.emulator.replies import Reply, refuse
from pipeline.emulator.scenario import Scenario, Trouble
from pipeline.emulator.service import Delivery, Intake, Service, Statistics
from pipeline.emulator.state import Identity, Keep
from pipeline.emulator.studio import Studio

MAX_BODY_BYTES = 40_000_000
_RENDERERS = 2  # clips made at a time; the batch itself needs the rest of the machine
_MOVED = "/moved"
_PIECE = 64 * 1024
_SILENT = logging.Logger("emulator", logging.CRITICAL + 1)  # noqa: LOG001 - on no list, where others could find it and turn it up
"""The library tells of every broken request by a traceback, on the terminal of a rehearsal perhaps."""
_TICK = 0.05  # seconds between the pieces of a slow download
_SMALL_BODY = 64 * 1024  # a larger one is read on a thread, so that the others are answered meanwhile


class Emulator:
    """The ModelVerse task API, rehearsed on this machine; an async context manager.

    `speed` compresses the service's time: at 60, a task of 50 s takes 0.83 s. With a `folder`, tasks, links and ports
    survive any end of the process; without one, nothing is kept. `api_key` makes every other key a wrong one.

    Raises `UsageError` on entry where a port is taken, and `FolderError` where the folder cannot be used.
    """

    def __init__(
        self,
        scenario: Scenario = Scenario(),  # noqa: B008 - a frozen value
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        results_port: int = 0,
        speed: float = 1.0,
        folder: Path | None = None,
        api_key: str | None = None,
        clock: Clock = SystemClock(),  # noqa: B008 - it has no state
    ) -> None:
        if not speed > 0:
            raise UsageError(f"speed must be more than 0, not {speed:g}")
        self._scenario, self._host, self._speed, self._folder = scenario, host, speed, folder
        self._wanted_ports = (port, results_port)
        self._api_key, self._clock = api_key, clock
        self._exit = AsyncExitStack()
        self._calls: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Emulator":
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    @property
    def base_url(self) -> str:
        """Of the API, without a slash at its end; known once started."""
        return self._url(self._ports[0])

    @property
    def results_url(self) -> str:
        """Of the host that serves the result files."""
        return self._url(self._ports[1])

    def statistics(self) -> Statistics:
        """What has happened since the start."""
        return self._service.statistics()

    # -- start

    async def _start(self, stack: AsyncExitStack) -> None:
        self._keep = Keep(self._folder)
        stack.callback(self._keep.close)
        self._pool = ThreadPoolExecutor(_RENDERERS, thread_name_prefix="render")
        stack.push_async_callback(asyncio.to_thread, self._pool.shutdown, cancel_futures=True)
        self._studio = Studio(self._keep, rendered=self._scenario.clips == "rendered")
        identity = self._keep.identity()
        self._service = Service(
            self._scenario,
            links=Links(identity.secret.encode()),
            speed=self._speed,
            api_key=self._api_key,
            known=self._keep.tasks,
        )
        stack.push_async_callback(self._end_calls)
        results_port = await self._listen(stack, self._results_app(), self._wanted_ports[1] or identity.results_port)
        self._service.results_url = self._url(results_port)
        port = await self._listen(stack, self._api_app(), self._wanted_ports[0] or identity.port)
        self._ports = (port, results_port)
        self._keep.settle(Identity(identity.secret, port, results_port))

    async def _listen(self, stack: AsyncExitStack, app: web.Application, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, logger=_SILENT, shutdown_timeout=0.2)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, self._host, port).start()
        except OSError as error:
            raise UsageError(
                f"the emulator cannot listen on {self._host}, port {port}: {error.strerror}; "
                "is it already running, or does another program have the port?"
            ) from error
        return int(runner.addresses[0][1])

    @web.middleware
    async def _watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Remember who is at work: a call whose client has left goes on, and the server no longer knows of it."""
        call = asyncio.current_task()
        assert call is not None  # noqa: S101 - a handler always runs in a task
        self._calls.add(call)
        try:
            return await handler(request)
        finally:
            self._calls.discard(call)

    async def _end_calls(self) -> None:
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _url(self, port: int) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    # -- the API

    def _api_app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._watched])
        app.router.add_post("/v1/tasks/submit", self._submit)
        app.router.add_get("/v1/tasks/status", self._status, allow_head=False)
        app.router.add_post("/v1/tasks/status", self._status)  # as the source page's curl example has it
        app.router.add_get("/v1/models", self._models, allow_head=False)
        app.router.add_route("*", "/{path:.*}", self._unsupported)
        return app

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return await _answer(request, refuse("param_error", "Invalid param: the body is too large", 413))
        if len(raw) < _SMALL_BODY:
            submission, intake = self._take(raw)
        else:
            submission, intake = await asyncio.to_thread(self._take, raw)
        authorization = request.headers.get("Authorization")
        reply, task = self._service.submit(self._clock.time(), authorization, submission, intake)
        if task:
            self._keep.record(task)
        return await _answer(request, reply)

    def _take(self, raw: bytes) -> tuple[Submission | BadBodyError, Intake]:
        try:
            submission = read_submission(raw)
        except BadBodyError as error:
            return error, Intake()
        return submission, self._studio.take(submission.picture)

    async def _status(self, request: web.Request) -> web.StreamResponse:
        authorization, task_id = request.headers.get("Authorization"), request.query.get("task_id")
        return await _answer(request, self._service.status(self._clock.time(), authorization, task_id))

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return await _answer(request, self._service.models(self._clock.time(), request.headers.get("Authorization")))

    async def _unsupported(self, request: web.Request) -> web.StreamResponse:
        message = f"Invalid param: unsupported endpoint {request.method} {request.path}"
        return await _answer(request, refuse("param_error", message))

    # -- the result files

    def _results_app(self) -> web.Application:
        app = web.Application(middlewares=[self._watched])
        app.router.add_get("/{path:.*}", self._download, allow_head=False)
        return app

    async def _download(self, request: web.Request) -> web.StreamResponse:
        path, query = request.rel_url.raw_path, request.path_qs.partition("?")[2]
        moved = path.startswith(_MOVED)
        path = path.removeprefix(_MOVED)
        with_key = "Authorization" in request.headers
        found = self._service.deliver(self._clock.time(), path, query, with_key=with_key)
        if isinstance(found, Reply):
            return await _answer(request, found)
        rule = found.trouble
        if rule and (rule.do == "redirect_loop" or (rule.do == "redirect" and not moved)):
            target = f"{_MOVED if rule.do == 'redirect' else ''}{path}?{query}"
            return await _answer(request, Reply(302, b"", {"Location": target}, rule.seconds))
        return await self._send(request, path, found)

    async def _send(self, request: web.Request, path: str, found: Delivery) -> web.StreamResponse:
        rule = found.trouble
        index = int(path[:-4].partition("-")[2] or 1) - 1
        make: Callable[[], bytes] = lambda: self._studio.clip(found.task, index)  # noqa: E731 - the executor takes no keywords
        content = await asyncio.get_running_loop().run_in_executor(self._pool, make)
        if rule and rule.do == "change":
            content += b"\0\0\0\x0cfree" + found.turn.to_bytes(4)
        etag = f'"{sha256(content).hexdigest()[:32]}"'
        part = choose(len(content), etag, request.headers.get("Range"), request.headers.get("If-Range"), rule)
        if rule:
            await asyncio.sleep(rule.seconds)
        return await _pour(request, part, content[part.start : part.stop], rule)


async def _answer(request: web.Request, reply: Reply) -> web.StreamResponse:
    """Send a reply, late or not at all if that is what it says."""
    if reply.delay:
        await asyncio.sleep(reply.delay)
    if reply.dropped:
        _hang_up(request)
        return web.Response()
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def _pour(request: web.Request, part: Part, content: bytes, rule: Trouble | None) -> web.StreamResponse:
    """Send a part of a file; where less is sent than was announced, the connection is closed after it."""
    response = web.StreamResponse(status=part.status, headers=part.headers)
    rate = rule.rate if rule else None
    piece = max(1, round(rate * _TICK)) if rate else _PIECE
    try:
        await response.prepare(request)
        for start in range(0, len(content), piece):
            await response.write(content[start : start + piece])
            if rate:
                await asyncio.sleep(piece / rate)
    except ConnectionError:
        return response  # the client has left, which is its right
    if str(len(content)) != part.headers["Content-Length"]:
        _hang_up(request)
    return response


def _hang_up(request: web.Request) -> None:
    if request.transport:
        request.transport.close()
