"""What becomes of a connection: no answer is another question's, and none stays open that nobody uses."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from pipeline.core.body import Body
from tests.wire.modelverse.parts import JOB, RUNNING, client_at, client_of, task_of
from tests.wire.servers import Connection, ScriptedServer, Step, reply

pytestmark = pytest.mark.both_loops

OTHER = reply(200, {"output": {"task_id": "t-2", "task_status": "Success", "urls": ["https://cdn.example/2.mp4"]}})
TIMED_OUT = reply(408, "request timeout")
INTERIM = reply(103)


@pytest.fixture(params=[False, True], ids=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext | None:
    """What a server needs for HTTPS, where its certificate is trusted for once."""
    if not request.param:
        return None
    certificate = Path(__file__).with_name("untrusted.pem")
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    return serving


def then(answer: Step, said: asyncio.Event, unasked: Step) -> Step:
    """An answer, and when it is time for it another that nobody has asked for."""

    async def step(connection: Connection) -> bool:
        await answer(connection)
        await said.wait()
        return await unasked(connection)

    return step


@pytest.mark.parametrize("unasked", [OTHER, TIMED_OUT, INTERIM], ids=["answer", "408", "103"])
async def test_a_kept_connection_ends_when_the_server_speaks_unasked(tls: ssl.SSLContext | None, unasked: Step) -> None:
    """What it says is the answer to no question, and the next one does not even fail."""
    time_for_it = asyncio.Event()
    async with (
        ScriptedServer([then(RUNNING, time_for_it, unasked), RUNNING], tls=tls) as server,
        client_of(server) as client,
    ):
        await client.status(task_of(server))
        time_for_it.set()
        async with asyncio.timeout(5.0):
            await server.hung_up.wait()
        report = await client.status(task_of(server))
        assert (report.task_id, report.word) == ("t-1", "Running")
        assert [request.connection for request in server.requests] == [1, 2]


async def test_a_connection_is_given_up_when_its_answer_names_another_task() -> None:
    """Where one answer is another question's, the next one there is, too."""
    async with ScriptedServer([OTHER, RUNNING, RUNNING]) as server, client_of(server) as client:
        for _question in range(3):
            await client.status(task_of(server))
        assert [request.connection for request in server.requests] == [1, 2, 2]


async def test_a_look_up_takes_a_fresh_connection_when_a_question_left_an_open_one() -> None:
    """Whichever task its answer names becomes the job's: an answer to something else must not be there to be read."""
    async with ScriptedServer([RUNNING, OTHER, RUNNING]) as server, client_of(server) as client:
        await client.status(task_of(server))
        found = await client.find("vbp-1", server.url)
        await client.status(task_of(server))
        assert found is not None
        assert found.task_id == "t-2"
        assert [request.connection for request in server.requests] == [1, 2, 1]


def open_sockets() -> int:
    return sum(path.is_socket() for path in Path("/dev/fd").iterdir())


def deaf(listening: socket.socket, tls: ssl.SSLContext | None, answer: bytes) -> socket.socket:
    """A server that takes a connection, says something, and reads nothing."""
    connection, _ = listening.accept()
    if tls is not None:
        connection = tls.wrap_socket(connection, server_side=True)
    connection.sendall(answer)
    return connection


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"], ids=["mute", "413"])
async def test_a_connection_is_closed_at_once_when_its_server_reads_nothing(
    tls: ssl.SSLContext | None, answer: bytes
) -> None:
    """Nobody waits until a server takes what nobody wants to send any more, or says goodbye in TLS."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        endpoint = f"http{'s' if tls else ''}://127.0.0.1:{listening.getsockname()[1]}"
        async with client_at(endpoint) as client:
            before = open_sockets()
            taking = asyncio.ensure_future(asyncio.to_thread(deaf, listening, tls, answer))
            submit = asyncio.ensure_future(client.submit(JOB, Body.of(b"x" * 15_000_000)))
            with await taking:
                for _turn in range(500):  # the body takes half as many, where somebody reads it
                    await asyncio.sleep(0)
                submit.cancel()
                await asyncio.wait([submit])
                for _turn in range(5):
                    await asyncio.sleep(0)
                assert open_sockets() == before + 1  # the server's end
