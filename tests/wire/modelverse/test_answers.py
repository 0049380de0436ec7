"""The client against real HTTP: what it sends, and what it makes of whole answers."""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web

from pipeline import __version__
from pipeline.core.errors import AmbiguousError, FatalError, RateLimitedError, RejectedError, Scope, TransientError
from pipeline.core.jobs import Job, Task, TaskReport, TaskState
from pipeline.core.ports import Service
from pipeline.modelverse.client import MAX_ANSWER_BYTES, ModelVerseClient
from pipeline.modelverse.wire import Traits
from pipeline.settings import ServiceSettings
from tests.wire.modelverse.parts import ACCEPTED, BODY, JOB, KEY, RUNNING, client_at, client_of, task_of
from tests.wire.servers import ScriptedServer, Step, raw, reply

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def service_of(submit: Handler, status: Handler) -> AsyncIterator[str]:
    """A well-behaved service on loopback; gives its base URL."""
    app = web.Application()
    app.router.add_post("/v1/tasks/submit", submit)
    app.router.add_get("/v1/tasks/status", status)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_a_job_becomes_a_video_url_when_the_service_behaves() -> None:
    """Submit with model, input and parameters, ask with the task id, read the report."""
    task_id = "a/b c+d&e=f%20é?"

    async def submit(request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        assert await request.json() == {"model": JOB.model, "input": JOB.input, "parameters": JOB.parameters}
        return web.json_response({"output": {"task_id": task_id}, "request_id": "r-1"})

    async def status(request: web.Request) -> web.Response:
        assert request.query["task_id"] == task_id
        return web.json_response(
            {
                "output": {
                    "task_id": task_id,
                    "task_status": "Success",
                    "urls": ["https://results.example/o/1.mp4?s=%2F"],
                },
                "usage": {"duration": 5},
                "request_id": "",
            }
        )

    async with service_of(submit, status) as base_url, client_at(base_url) as client:
        service: Service = client
        task = await service.submit(JOB, await service.prepare(JOB))
        report = await service.status(task)
    assert task == Task(task_id, base_url, "r-1")
    assert (report.state, report.urls) == (TaskState.SUCCEEDED, ("https://results.example/o/1.mp4?s=%2F",))
    assert report.usage == {"duration": 5}


async def test_every_submit_is_under_way_at_once_when_many_are_made() -> None:
    """The client itself holds nothing back: limits are the engine's."""
    many = asyncio.Barrier(110)  # the library allows 100 unless told otherwise

    async def submit(_request: web.Request) -> web.Response:
        await many.wait()
        return web.json_response({"output": {"task_id": "t-1"}})

    async with service_of(submit, submit) as base_url, client_at(base_url) as client:
        tasks = await asyncio.gather(*(client.submit(JOB, BODY) for _ in range(many.parties)))
    assert len(tasks) == many.parties


@pytest.mark.parametrize(("scheme", "sent"), [("bearer", f"Bearer {KEY}"), ("raw", KEY)])
async def test_the_key_goes_as_the_setting_says_when_a_request_is_sent(scheme: str, sent: str) -> None:
    """Bearer by default, the bare key on request; both calls carry it, with the name of the client."""
    async with ScriptedServer([ACCEPTED, RUNNING]) as server:
        settings = ServiceSettings(endpoint=server.url, auth_scheme=scheme)  # type: ignore[arg-type] # parametrized
        async with ModelVerseClient(settings, KEY) as client:
            await client.status(await client.submit(JOB, BODY))
        for request in server.requests:
            assert request.headers["authorization"] == sent
            assert request.headers["user-agent"] == f"video-batch-pipeline/{__version__}"
            assert "cookie" not in request.headers


async def test_extra_headers_go_with_the_submit_alone_when_a_model_needs_them() -> None:
    """`traits_for` speaks of the submit of one job; a question carries nothing of it."""

    def traits_for(job: Job) -> Traits:
        return Traits({"X-DashScope-Async": "enable"} if job.model.startswith("happyhorse") else {})

    async with ScriptedServer([ACCEPTED, ACCEPTED, RUNNING]) as server:
        settings = ServiceSettings(endpoint=server.url)
        async with ModelVerseClient(settings, KEY, traits_for=traits_for) as client:
            await client.submit(JOB, BODY)
            await client.status(await client.submit(replace(JOB, model="happyhorse-1.0-i2v"), BODY))
        sent = [request.headers.get("x-dashscope-async") for request in server.requests]
        assert sent == [None, "enable", None]


async def test_a_header_of_the_model_takes_the_place_of_ours_and_is_one_line() -> None:
    """Names of headers know no case; a value that would be more than a line is sent to nobody."""
    given = {"user-agent": "the model's"}
    async with ScriptedServer([ACCEPTED]) as server:
        settings = ServiceSettings(endpoint=server.url)
        async with ModelVerseClient(settings, KEY, traits_for=lambda _job: Traits(given)) as client:
            await client.submit(JOB, BODY)
            given["user-agent"] = "the model's\r\nX-More: 1"
            with pytest.raises(ValueError, match="control character"):
                await client.submit(JOB, BODY)
        assert server.requests[0].head.lower().count(b"user-agent: the model's") == 1
        assert server.requests[0].head.lower().count(b"user-agent:") == 1
        assert (server.count("POST"), server.connections) == (1, 1)


async def test_the_host_is_named_with_its_port_when_a_request_is_sent() -> None:
    """Whoever serves several hosts at one address knows which one is meant."""
    async with ScriptedServer([ACCEPTED]) as server, client_of(server) as client:
        await client.submit(JOB, BODY)
        assert server.requests[0].headers["host"] == server.url.removeprefix("http://")


async def test_a_question_goes_to_the_host_of_its_task_when_the_endpoint_is_another() -> None:
    """Nobody says that a task is known at two hosts, so the one that gave it is asked."""
    async with ScriptedServer([RUNNING]) as old, ScriptedServer([ACCEPTED]) as new, client_of(new) as client:
        await client.status(Task("t 1", f"{old.url}/prefix/"))
        target = urlsplit(old.requests[0].target)
        assert target.path == "/prefix/v1/tasks/status"
        assert parse_qsl(target.query) == [("task_id", "t 1")]
        assert new.connections == 0


async def test_a_cookie_is_not_sent_back_when_the_service_sets_one() -> None:
    """A balancer's cookie would tie every request to one node."""
    set_cookie = reply(200, {"output": {"task_id": "t-1"}}, headers={"Set-Cookie": "node=7; Path=/"})
    # A name and not an address: cookies of bare addresses would be ignored anyway.
    async with (
        ScriptedServer([set_cookie]) as server,
        client_at(server.url.replace("127.0.0.1", "localhost")) as client,
    ):
        for _attempt in range(2):
            await client.submit(JOB, BODY)
        assert "cookie" not in server.requests[1].headers


@pytest.mark.parametrize("http_status", [301, 302, 303, 307, 308])
async def test_the_key_stays_at_home_when_the_service_redirects(http_status: int) -> None:
    """A redirect is fatal and is not followed, so that the key reaches nobody else."""
    async with ScriptedServer([ACCEPTED]) as elsewhere:
        redirect = reply(http_status, headers={"Location": f"{elsewhere.url}/v1/tasks/submit"})
        async with ScriptedServer([redirect]) as server, client_of(server) as client:
            with pytest.raises(FatalError, match=elsewhere.url):
                await client.submit(JOB, BODY)
            with pytest.raises(FatalError):
                await client.status(task_of(server))
        assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (reply(200, "<html><body>Welcome to nginx!</body></html>"), "not_json"),
        (reply(200, b"\x00\xff\xfe\x80" * 50), "not_json"),
        (reply(200), "empty_answer"),
        (reply(204), "empty_answer"),
        (reply(200, "[]"), "not_json"),
        (reply(200, {"request_id": "r-1"}), "no_"),
        (reply(200, {"output": None}), "no_"),
        (reply(200, "{}", headers={"Content-Encoding": "gzip"}), "connection_lost"),
    ],
    ids=["html", "bytes", "empty", "no content", "list", "no output", "null output", "not gzip"],
)
async def test_a_submit_is_ambiguous_when_a_good_status_brings_garbage(garbage: Step, code: str) -> None:
    """Without a task id nobody knows what was made of the request; a question is just asked again."""
    async with ScriptedServer([garbage]) as server, client_of(server) as client:
        with pytest.raises(AmbiguousError) as lost:
            await client.submit(JOB, BODY)
        with pytest.raises(TransientError) as unanswered:
            await client.status(task_of(server))
        assert lost.value.code.startswith(code)
        assert unanswered.value.code.startswith(code)


@pytest.mark.parametrize(
    "nonsense", [b"220 mail.example ESMTP\r\n", b"\x16\x03\x01\x02\x00" * 20, b"HTTP/9.9 abc\r\n\r\n", b"\r\n" * 50]
)
async def test_a_submit_is_ambiguous_when_the_answer_is_not_http(nonsense: bytes) -> None:
    """Whatever listens there, an unreadable answer is a ServiceError without the key, in its cause too."""
    async with ScriptedServer(greeting=nonsense) as server, client_of(server) as client:
        with pytest.raises(AmbiguousError) as caught:
            await client.submit(JOB, BODY)
        assert KEY not in repr(caught.value) + str(caught.value) + repr(caught.value.__cause__)
        with pytest.raises(TransientError):
            await client.status(task_of(server))


@pytest.mark.parametrize(
    "echo",
    [
        f"HTTP/1.1 {KEY}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: 1{KEY}\r\n\r\n",
        f"HTTP/1.1 200 {KEY}\r\nX-Said: {KEY}\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["status", "header", "cut off"],
)
async def test_the_whole_story_of_an_error_hides_the_key_when_broken_http_echoes_it(echo: str) -> None:
    """A traceback tells of the causes too; the library's own errors repeat what the service said."""
    async with ScriptedServer([raw(echo.encode())]) as server, client_of(server) as client:
        for call in (client.submit(JOB, BODY), client.status(task_of(server))):
            with pytest.raises((AmbiguousError, TransientError)) as caught:
                await call
            assert "Secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("excess", [0, 1])
async def test_an_answer_is_read_up_to_a_limit_when_it_does_not_end(excess: int) -> None:
    """An answer of the limit is read whole; one byte more makes it garbage and ends the connection."""
    core = b'{"output": {"task_id": "t-1"}'
    body = core + b" " * (MAX_ANSWER_BYTES - len(core) - 1 + excess) + b"}"
    async with ScriptedServer([reply(200, body)]) as server, client_of(server) as client:
        if excess:
            with pytest.raises(AmbiguousError):
                await client.submit(JOB, BODY)
        else:
            assert (await client.submit(JOB, BODY)).task_id == "t-1"


async def test_a_404_speaks_of_the_endpoint_until_the_service_has_answered() -> None:
    """On the first submit an unknown path ends the run; once the service has spoken it is the job's own matter."""
    not_found = reply(404, "404 page not found")
    async with ScriptedServer([not_found, not_found, ACCEPTED, not_found]) as server, client_of(server) as client:
        for _attempt in range(2):
            with pytest.raises(FatalError, match="is the endpoint right") as fatal:
                await client.submit(JOB, BODY)
            assert (fatal.value.code, fatal.value.scope) == ("wrong_endpoint", Scope.RUN)
        await client.submit(JOB, BODY)
        with pytest.raises(RejectedError):
            await client.submit(JOB, BODY)


async def test_a_pause_is_passed_on_when_the_service_names_one() -> None:
    """Retry-After reaches the engine as seconds, uncapped."""
    slow_down = reply(429, {"error": {"code": "rate_limit", "message": "later"}}, headers={"Retry-After": "120"})
    async with ScriptedServer([slow_down]) as server, client_of(server) as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.submit(JOB, BODY)
        assert (caught.value.retry_after, caught.value.http_status) == (120.0, 429)


def echoes() -> dict[str, Step]:
    """Answers that say the key back, in several spellings."""
    in_json = json.dumps(f"bad key {KEY}").replace("/", r"\/")
    in_url = KEY.replace("/", "%2f").replace("+", "%2B")
    refusal = {"error": {"code": f"x{KEY}", "message": f"apikey [{KEY}] is wrong", "param": KEY}}
    return {
        "message": reply(401, refusal),
        "escaped": reply(400, f'{{"error": {{"message": {in_json}}}}}'),
        "html": reply(500, f"<p>Authorization: Bearer {KEY}</p>"),
        "raw json": reply(200, f'{{"said": {in_json}}}'),
        "cut": reply(502, "x" * (200 - len(KEY) // 2) + KEY),
        "location": reply(302, headers={"Location": f"https://login.example/?key={in_url}"}),
    }


@pytest.mark.parametrize("name", list(echoes()))
async def test_the_key_is_masked_when_the_service_echoes_it(name: str) -> None:
    """No error shows the key or half of it, whichever way the service says it back."""
    async with ScriptedServer([echoes()[name]]) as server, client_of(server) as client:
        for call in (client.submit(JOB, BODY), client.status(task_of(server))):
            with pytest.raises((AmbiguousError, FatalError, RejectedError, TransientError)) as caught:
                await call
            shown = f"{caught.value!r} {caught.value} {caught.value.code} {caught.value.request_id}"
            assert "Secret" not in shown
            assert KEY[: len(KEY) // 2] not in shown


async def test_the_key_is_masked_when_a_report_echoes_it() -> None:
    """What goes from a report into ledger and results is free of the key."""
    failed = {"output": {"task_status": "Failed", "error_message": f"bad key {KEY}"}, "request_id": KEY}
    async with ScriptedServer([reply(200, failed)]) as server, client_of(server) as client:
        report: TaskReport = await client.status(task_of(server))
        assert report.error_message == "bad key ***"
        assert "Secret" not in repr(report)


def test_the_key_is_masked_when_a_client_is_printed() -> None:
    """A client in a log line or a debugger shows its host and no key."""
    shown = repr(client_at("https://api.modelverse.cn"))
    assert shown == "ModelVerseClient('https://api.modelverse.cn', api_key='***')"
