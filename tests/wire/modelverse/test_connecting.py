"""What could not be sent is tried again; what must not be trusted ends the run."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from pipeline.core.errors import FatalError, Scope, TransientError
from pipeline.core.jobs import Task
from pipeline.modelverse.client import ModelVerseClient
from pipeline.settings import ServiceSettings
from pipeline.videos.names import OwnResolver
from tests.wire.modelverse.parts import BODY, JOB, KEY, client_at, client_of, task_of
from tests.wire.servers import ScriptedServer, hang

pytestmark = pytest.mark.both_loops


async def test_a_submit_is_transient_when_the_connection_is_refused() -> None:
    """Where nobody listens nothing was sent; the message has the place and the system's reason, and nothing else."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connecting is refused
        place = f"127.0.0.1:{unused.getsockname()[1]}"
        async with client_at(f"http://{place}") as client:
            with pytest.raises(TransientError) as caught:
                await client.submit(JOB, BODY)
    assert caught.value.code == "connect_failed"
    assert str(caught.value) == f"the service cannot be reached: {place}: connection refused"


async def test_a_submit_is_transient_when_the_name_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed name resolution is an outage, and nothing was sent."""

    async def no_address(*_args: object, **_kwargs: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", no_address)
    async with client_at("http://service.example") as client:
        with pytest.raises(TransientError) as caught:
            await client.submit(JOB, BODY)
    assert caught.value.code == "dns_failed"


async def test_a_submit_is_transient_when_the_name_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connect timeout covers the name resolution too."""

    async def never(*_args: object, **_kwargs: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    async with client_at("http://service.example", connect_timeout=0.05) as client:
        with pytest.raises(TransientError) as caught:
            await client.submit(JOB, BODY)
    assert caught.value.code == "connect_timeout"


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 this is not TLS\r\n\r\n", b""], ids=["plain text", "closed"])
async def test_a_submit_is_transient_when_the_tls_handshake_fails(greeting: bytes) -> None:
    """Without a secure connection nothing was sent."""
    async with ScriptedServer(greeting=greeting) as server:
        async with client_at(server.url.replace("http:", "https:")) as client:
            with pytest.raises(TransientError) as caught:
                await client.submit(JOB, BODY)
        assert caught.value.code in {"tls_failed", "connect_failed"}
        assert server.requests == []


async def test_a_submit_is_transient_when_the_tls_handshake_takes_too_long() -> None:
    """The connect timeout covers the handshake."""
    async with (
        ScriptedServer([hang]) as server,
        client_at(server.url.replace("http:", "https:"), connect_timeout=0.05) as client,
    ):
        with pytest.raises(TransientError) as caught:
            await client.submit(JOB, BODY)
        assert caught.value.code == "connect_timeout"


async def test_the_certificate_ends_the_run_when_it_cannot_be_trusted() -> None:
    """A certificate that nobody vouches for gets neither the key nor another try; a question is only put off."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("untrusted.pem"))
    async with ScriptedServer(tls=tls) as server, client_of(server) as client:
        with pytest.raises(FatalError) as caught:
            await client.submit(JOB, BODY)
        assert (caught.value.code, caught.value.scope) == ("tls_certificate", Scope.RUN)
        with pytest.raises(TransientError):
            await client.status(task_of(server))
        assert server.requests == []


@pytest.mark.parametrize(
    "endpoint",
    [
        f"http://{'a' * 64}.example",
        "http://127.0.0.1:99999",
        "http://a..b",
        "http://127.1",
        "http:///a",
        "ftp://127.0.0.1",
        "//127.0.0.1",
        "http://user:word@127.0.0.1",
        "http://:word@127.0.0.1",
    ],
)
async def test_the_endpoint_ends_the_run_when_it_cannot_be_a_host(endpoint: str) -> None:
    """A base URL that no name service can carry is an answer for the user, never a traceback."""
    async with client_at(endpoint) as client:
        with pytest.raises(FatalError) as caught:
            await client.submit(JOB, BODY)
        assert caught.value.code == "bad_endpoint"
        with pytest.raises(TransientError):
            await client.status(Task("t-1", endpoint))


@pytest.mark.parametrize(
    ("endpoint", "code"), [("http://service.invalid", "dns_failed"), ("http://a..b", "bad_endpoint")]
)
async def test_an_error_is_the_same_when_names_have_threads_of_their_own(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, code: str
) -> None:
    """A run asks for the addresses of the service so, and the event loop has no part in it."""
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", None)
    names = OwnResolver("names")
    async with ModelVerseClient(ServiceSettings(endpoint=endpoint), KEY, resolver=names) as client:
        with pytest.raises((FatalError, TransientError)) as caught:
            await client.submit(JOB, BODY)
    await names.close()
    assert caught.value.code == code
