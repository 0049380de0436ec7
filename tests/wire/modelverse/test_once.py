"""The paid request leaves once per attempt, whatever becomes of the connection."""

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import pytest

from pipeline.core.body import Body
from pipeline.core.errors import AmbiguousError, RejectedError, TransientError
from tests.wire.modelverse.parts import ACCEPTED, BODY, JOB, RUNNING, client_at, client_of, task_of
from tests.wire.servers import Connection, ScriptedServer, Step, dribble, drop, hang, raw, reply, reset

pytestmark = pytest.mark.both_loops


@pytest.mark.parametrize("broken", [drop, reset], ids=["closed", "reset"])
async def test_one_post_leaves_when_the_server_takes_it_and_drops_the_connection(broken: Step) -> None:
    """A submit whose connection is dropped is ambiguous and is not sent again."""
    async with ScriptedServer([broken, ACCEPTED]) as server, client_of(server) as client:
        with pytest.raises(AmbiguousError) as caught:
            await client.submit(JOB, BODY)
        assert caught.value.code == "connection_lost"
        assert (server.count("POST"), server.connections) == (1, 1)


@pytest.mark.parametrize("bytes_of_body", [2, 15_000_000])
@pytest.mark.parametrize("broken", [drop, reset], ids=["closed", "reset"])
async def test_a_submit_is_ambiguous_when_the_connection_breaks_while_it_is_being_sent(
    broken: Step, bytes_of_body: int
) -> None:
    """Whoever took a part of the request may have taken the whole; what is told names a reason and no URL."""
    async with ScriptedServer([broken], read_bodies=False) as server, client_of(server) as client:
        with pytest.raises(AmbiguousError) as caught:
            await client.submit(JOB, Body.of(b"x" * bytes_of_body))
        assert caught.value.code == "connection_lost"
        assert not re.search(r"None|http", str(caught.value))
        assert server.count("POST") == 1


async def test_each_attempt_is_one_post_when_the_server_closes_after_its_answer() -> None:
    """A connection that the server closed silently after an answer costs neither a replay nor a lost answer."""
    closes_silently = reply(200, {"output": {"task_id": "t-1"}}, keep=False)
    async with ScriptedServer([closes_silently]) as server, client_of(server) as client:
        for _attempt in range(3):
            await client.submit(JOB, BODY)
        assert server.count("POST") == 3


async def test_each_attempt_is_one_post_when_the_server_closes_at_the_next_request() -> None:
    """A server that stays connected and hangs up on the second request gets that request once."""
    async with ScriptedServer([ACCEPTED, drop, ACCEPTED]) as server, client_of(server) as client:
        await client.submit(JOB, BODY)
        with pytest.raises(AmbiguousError):
            await client.submit(JOB, BODY)
        assert server.count("POST") == 2


async def test_a_submit_takes_a_fresh_connection_when_a_question_left_an_open_one() -> None:
    """No paid request travels on a connection that somebody may be about to close."""
    async with ScriptedServer([RUNNING, RUNNING, ACCEPTED, ACCEPTED]) as server, client_of(server) as client:
        for _question in range(2):
            await client.status(task_of(server))
        for _attempt in range(2):
            await client.submit(JOB, BODY)
        assert [request.connection for request in server.requests] == [1, 1, 2, 3]


async def test_a_question_leaves_once_when_its_kept_connection_turns_out_stale() -> None:
    """Questions are repeated by the caller, who counts them, and not by the HTTP library."""
    async with ScriptedServer([RUNNING, drop, RUNNING]) as server, client_of(server) as client:
        await client.status(task_of(server))
        with pytest.raises(TransientError):
            await client.status(task_of(server))
        assert [request.connection for request in server.requests] == [1, 1]


@pytest.mark.parametrize(
    "cut",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Len"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{\"output\": {\"task_id\": \"t-1\"}"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n{\"output\": {\"task_id\": \"t-1\"}"),
        raw(b"HTTP/1.1 500 Oops\r\nContent-Length: 60\r\n\r\n{\"error\""),
    ],
    ids=["in the head", "in the body", "in a chunk", "in an error"],
)  # fmt: skip
async def test_a_submit_is_ambiguous_when_its_answer_is_cut(cut: Step) -> None:
    """An answer that is not whole is no answer, wherever it breaks off; a question is asked again."""
    async with ScriptedServer([cut]) as server, client_of(server) as client:
        with pytest.raises(AmbiguousError):
            await client.submit(JOB, BODY)
        with pytest.raises(TransientError):
            await client.status(task_of(server))
        assert (server.count("POST"), server.count("GET")) == (1, 1)


async def test_a_submit_is_ambiguous_when_no_answer_comes_in_time() -> None:
    """A read timeout after the request has left says nothing about the task."""
    async with ScriptedServer([hang]) as server, client_of(server, connect_timeout=0.5, submit_timeout=0.05) as client:
        with pytest.raises(AmbiguousError) as caught:
            await client.submit(JOB, BODY)
        assert caught.value.code == "timeout"
        assert server.count("POST") == 1


async def test_a_question_is_transient_when_no_answer_comes_in_time() -> None:
    """A read timeout of a question is a reason to ask again."""
    async with ScriptedServer([hang]) as server, client_of(server, connect_timeout=0.5, status_timeout=0.05) as client:
        with pytest.raises(TransientError) as caught:
            await client.status(task_of(server))
        assert caught.value.code == "timeout"
        assert server.count("GET") == 1


async def test_a_submit_ends_when_the_server_dribbles_for_ever() -> None:
    """Each byte ends a silence, so a ceiling over the whole exchange ends it."""
    endless = dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", every=0.02)
    async with ScriptedServer([endless]) as server:
        async with client_of(server, connect_timeout=0.5, submit_timeout=0.1) as client:
            with pytest.raises(AmbiguousError) as caught:
                await client.submit(JOB, BODY)
        assert caught.value.code == "timeout"
        await server.hung_up.wait()


async def test_the_cancellation_arrives_and_the_connection_ends_when_a_submit_is_cancelled() -> None:
    """A cancelled submit is nobody's answer: CancelledError comes through and nothing stays open."""
    async with ScriptedServer([hang, ACCEPTED]) as server, client_of(server) as client:
        submit = asyncio.ensure_future(client.submit(JOB, BODY))
        await server.received.wait()
        submit.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submit
        await server.hung_up.wait()
        assert (await client.submit(JOB, BODY)).task_id == "t-1"
        assert server.count("POST") == 2


async def test_nothing_is_sent_when_the_request_is_not_wanted_any_more_once_there_is_a_connection() -> None:
    """Whoever stops submitting while a connection is being made has stopped: the last look is before the first byte."""
    body = Body.of(b"{}")
    async with ScriptedServer([ACCEPTED]) as server, client_of(server) as client:
        assert await client.submit(JOB, body, lambda: False) is None
        assert not body.sent
        assert (await client.submit(JOB, body, lambda: True)).task_id == "t-1"
        assert body.sent
        assert (server.count("POST"), server.connections) == (1, 2)


async def test_nothing_has_been_sent_when_a_submit_is_cancelled_before_there_is_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then nothing is in doubt; from the first byte on, everything is."""
    asked = asyncio.Event()

    async def never(*_args: object, **_kwargs: object) -> list[object]:
        asked.set()
        await asyncio.Event().wait()
        return []

    body = Body.of(b"{}")
    async with ScriptedServer([hang]) as server, client_of(server) as client:
        await cancelled_at(server.received, client.submit(JOB, body))
        assert body.sent
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    body = Body.of(b"{}")
    async with client_at("http://service.example") as client:
        await cancelled_at(asked, client.submit(JOB, body))
        assert not body.sent


async def cancelled_at(moment: asyncio.Event, submit: Coroutine[Any, Any, object]) -> None:
    asking = asyncio.ensure_future(submit)
    await moment.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_the_answer_counts_when_it_comes_before_the_whole_body_was_taken() -> None:
    """A server that refuses a large body early is heard, although it never reads the rest."""

    async def refuse_early(connection: Connection) -> bool:
        await connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await connection.writer.drain()
        await early.wait()
        return False

    early = asyncio.Event()
    async with ScriptedServer([refuse_early], read_bodies=False) as server, client_of(server) as client:
        with pytest.raises(RejectedError) as caught:
            await client.submit(JOB, Body.of(b"x" * 15_000_000))
        early.set()
        assert caught.value.http_status == 413


async def test_a_large_body_arrives_whole_when_it_is_sent() -> None:
    """A body of many writes is the same bytes at the other end."""
    body = bytes(range(256)) * 40_000
    async with ScriptedServer([ACCEPTED]) as server, client_of(server) as client:
        await client.submit(JOB, Body.of(body))
        assert server.requests[0].body == body
        assert server.requests[0].headers["content-length"] == str(len(body))


async def test_the_body_is_named_as_json_when_a_submit_leaves_and_nothing_is_when_a_question_does() -> None:
    """The type stands in each submit, once."""
    async with ScriptedServer([ACCEPTED, ACCEPTED, RUNNING]) as server, client_of(server) as client:
        for _attempt in range(2):
            await client.submit(JOB, BODY)
        await client.status(task_of(server))
        types = [request.headers.get("content-type") for request in server.requests]
        assert types == ["application/json", "application/json", None]


@pytest.mark.parametrize("pieces", [1, 40])
async def test_an_answer_that_has_arrived_counts_when_the_process_was_stopped_beyond_the_timeout(
    monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """Ctrl-Z, or a laptop that slept: what lies in the socket when the timeout is looked at is read first."""
    loop, slept = asyncio.get_running_loop(), 0.0
    real_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: real_time() + slept)
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{"output": {"task_id": "t-1"}}'

    async def answers_while_the_client_sleeps(connection: Connection) -> bool:
        nonlocal slept
        size = -(-len(whole) // pieces)
        for start in range(0, len(whole), size):
            await connection.send(whole[start : start + size])
            slept += 1000.0 if start == 0 else 0.0
        return True

    async with ScriptedServer([answers_while_the_client_sleeps]) as server, client_of(server) as client:
        assert (await client.submit(JOB, BODY)).task_id == "t-1"
        assert slept == 1000.0
