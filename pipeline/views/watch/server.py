"""The live page on 127.0.0.1: read-only, for this machine alone, and only files that the ledger names.

A page of another site can make a browser ask this server, under a name of that site's own that leads to 127.0.0.1: the
Host header then tells the name, and such a request is refused.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from pipeline.core.errors import PipelineError, UsageError
from pipeline.views.report.cards import embedded
from pipeline.views.report.page import policy
from pipeline.views.watch.feed import EVERY, Feed, News, named_file

HOST = "127.0.0.1"
_STILL_HERE = 15.0
"""Seconds without news after which a client hears that the server is still there."""
_FAREWELL = 1.0
"""Seconds that the connections have to end."""
_SILENT = logging.Logger("watch", logging.CRITICAL + 1)  # noqa: LOG001 - on no list, where others could find it and turn it up
"""The library tells of every broken request by a traceback; what is wrong stands in the answer."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Watch:
    """Serves the page of a folder's batch while it is entered. The folder may hold no batch yet.

    Raises `UsageError` where the port is taken, or may not be used.
    """

    def __init__(self, folder: Path, *, port: int = 0, every: float = EVERY) -> None:
        """`every` is how many seconds lie between two looks at the ledger, at least."""
        self._folder = folder
        self._port = port
        self._feed = Feed(folder, every)
        self._open = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._port}/"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self._port = await self._listen(stack)
            reading = asyncio.create_task(self._feed.keep_reading())
            stack.push_async_callback(_ended, reading)
            stack.callback(self._feed.end)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def _listen(self, stack: contextlib.AsyncExitStack) -> int:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._guard(request, handler)

        application = web.Application(middlewares=[guard])
        application.router.add_get("/", self._page)
        application.router.add_get("/events", self._events)
        application.router.add_get(r"/{kind:video|picture}/{seq:\d{1,15}}/{number:\d{1,6}}", self._file)
        runner = web.AppRunner(
            application, access_log=None, logger=_SILENT, handler_cancellation=True, shutdown_timeout=_FAREWELL
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, HOST, self._port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"port {self._port} cannot be used: {_reason(error)}; choose another with --port"
            ) from error
        return int(runner.addresses[0][1])

    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host not in {f"{HOST}:{self._port}", f"localhost:{self._port}"}:
            raise web.HTTPMisdirectedRequest(text=f"This is {self.url}, and nothing else.\n")
        try:
            return await handler(request)
        except PipelineError as error:
            raise web.HTTPServiceUnavailable(text=f"{error.message}\n") from error
        except web.HTTPException:
            raise
        except Exception as error:
            text = f"a bug: {type(error).__name__}: {error}\n"
            raise web.HTTPInternalServerError(text=text) from error

    # -- what is served -----------------------------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 - there is one page
        headers = {**_HEADERS, "Content-Security-Policy": f"{policy(live=True)}; frame-ancestors 'none'"}
        return web.Response(body=await self._feed.page(), content_type="text/html", charset="utf-8", headers=headers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """News until the client goes away or the server ends; a client that was away catches up."""
        epoch, _, after = request.headers.get("Last-Event-ID", request.query.get("after", "")).partition("-")
        step = int(after) if after.isdecimal() and len(after) < 16 else 0
        if self._feed.in_trouble:
            step = min(step, self._feed.step - 1)  # no page holds the trouble itself: whoever comes now is told of it
        stream = web.StreamResponse(
            headers={**_HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await stream.prepare(request)
        with contextlib.suppress(ConnectionError):  # a client that went away
            await stream.write(b"retry: 1000\n\n")
            while not self._feed.ended:
                if epoch != self._feed.epoch:
                    await stream.write(b"event: anew\ndata: {}\n\n")
                    break
                news = self._feed.news(step)
                if news is not None:
                    step = news.step
                    await stream.write(_event(epoch, news))
                elif not await self._feed.changed(step, _STILL_HERE):
                    await stream.write(b": still here\n\n")
        return stream

    async def _file(self, request: web.Request) -> web.StreamResponse:
        kind, seq, number = (request.match_info[name] for name in ("kind", "seq", "number"))
        found = await asyncio.to_thread(named_file, self._folder, kind, int(seq), int(number))
        if found is None:
            raise web.HTTPNotFound(text="The ledger names no such file, or it is not there.\n")
        headers = {**_HEADERS, "Content-Type": found.mime, "Content-Security-Policy": "default-src 'none'; sandbox"}
        return web.FileResponse(found.path, headers=headers)


def _event(epoch: str, news: News) -> bytes:
    """News in the form of server-sent events. JSON in ASCII has no line break in it."""
    trouble = embedded(news.trouble)
    jobs = ",".join(news.cards)
    lines = [f'event: news\ndata: {{"figures":{news.figures},"jobs":[{jobs}],"trouble":{trouble}}}']
    if news.charts:
        lines.append(f"event: charts\ndata: {news.charts}")
    lines[-1] = f"id: {epoch}-{news.step}\n{lines[-1]}"
    return "".join(f"{line}\n\n" for line in lines).encode()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
