"""Telling others how a run has ended: real HTTP, and no address in any error."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.core.errors import UsageError
from pipeline.core.jobs import JobState
from pipeline.settings import Notify
from pipeline.views.facts import RunEnd, headline, run_facts
from pipeline.views.notify import Channels, NotTold, check_channels, post, wants
from tests.process.double import Host, send
from tests.unit.views.test_facts import END, FINE, STOP

SECRET = "T0/B0/s3cr3t"


class Told:
    """A webhook that answers as a test says, and what it got."""

    def __init__(self, answer: Callable[[Any], None]) -> None:
        self._answer = answer
        self.got: list[bytes] = []
        self.headers: list[Any] = []
        self.host = Host(self._hear)
        self.url = f"{self.host.url}/{SECRET}"

    def _hear(self, handler: Any) -> None:
        self.headers.append(handler.headers)
        self.got.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        self._answer(handler)


@pytest.fixture
async def told() -> AsyncIterator[Callable[[Callable[[Any], None]], Told]]:
    """Makes webhooks."""
    made: list[Told] = []

    def make(answer: Callable[[Any], None]) -> Told:
        one = Told(answer)
        made.append(one)
        asyncio.get_running_loop().run_in_executor(None, one.host.serve_forever)
        return one

    yield make
    for one in made:
        one.host.closing.set()
        await asyncio.to_thread(one.host.shutdown)
        one.host.server_close()


def ok(handler: Any) -> None:
    send(handler, 204)


# -- the webhook -------------------------------------------------------------------------------------------------------


async def test_a_webhook_gets_the_facts_when_a_run_has_ended(told: Any) -> None:
    """As JSON, by one POST, from us and without any key."""
    webhook = told(ok)
    await post(webhook.url, END)
    (content,) = webhook.got
    assert json.loads(content) == json.loads(json.dumps(run_facts(END)))
    (headers,) = webhook.headers
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("video-batch-pipeline/")
    assert headers["Authorization"] is None


@pytest.mark.parametrize(
    ("answer", "complaint", "tries"),
    [
        (lambda handler: send(handler, 500, b"broken " + SECRET.encode()), "answered with HTTP 500", 1),
        (lambda handler: send(handler, 404), "answered with HTTP 404", 1),
        (lambda handler: send(handler, 302, Location="http://127.0.0.1:1/x"), "and redirects are not followed", 1),
        (lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), "broke the connection off, twice", 2),
        (lambda handler: handler.wfile.write(b"no HTTP at all\r\n\r\n"), "broke the connection off, twice", 2),
    ],
)
async def test_a_webhook_that_refuses_is_told_when_its_address_is_secret(
    told: Any, answer: Callable[[Any], None], complaint: str, tries: int
) -> None:
    """What it answered, and nothing of where it is; only a transport error is tried once more."""
    webhook = told(answer)
    with pytest.raises(NotTold) as caught:
        await post(webhook.url, END)
    assert complaint in caught.value.message
    assert len(webhook.got) == tries
    for secret in (SECRET, str(webhook.host.server_port), "127.0.0.1"):
        assert secret not in caught.value.message


async def test_a_webhook_is_told_when_only_the_first_try_breaks(told: Any) -> None:
    """The second one counts."""
    answers = [lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), ok]
    webhook = told(lambda handler: answers.pop(0)(handler))
    await post(webhook.url, END)
    assert len(webhook.got) == 2


async def test_a_webhook_is_given_up_when_it_hangs(told: Any) -> None:
    """After its time, once: it may have been told, and nobody likes to be told twice."""
    webhook = told(lambda handler: handler.server.closing.wait(30))
    with pytest.raises(NotTold, match=r"^the webhook did not answer within 0.3 s$"):
        await post(webhook.url, END, seconds=0.3)
    assert len(webhook.got) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/s3cr3t", "http://nowhere.invalid/s3cr3t", "https://127.0.0.1:1/s"])
async def test_a_webhook_that_is_not_there_is_told_when_nobody_listens(url: str) -> None:
    """Neither its host nor its port is named."""
    with pytest.raises(NotTold, match=r"^the webhook cannot be reached$"):
        await post(url, END)


async def test_a_webhook_is_given_up_when_no_name_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread that nobody waits for: the loop's own would hold up the end of the process."""
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30))
    with pytest.raises(NotTold, match=r"did not answer within 0.3 s$"):
        await post("http://hooks.example.com/s3cr3t", END, seconds=0.3)
    assert asyncio.get_running_loop()._default_executor is None  # type: ignore[attr-defined] # nobody asked in it
    over.set()


# -- apprise -----------------------------------------------------------------------------------------------------------


async def test_a_channel_is_told_when_apprise_knows_it(told: Any) -> None:
    """The headline as its title, the rest as its text."""
    webhook = told(lambda handler: send(handler, 200, b"{}"))
    channels = Channels([f"json://127.0.0.1:{webhook.host.server_port}/{SECRET}"])
    await channels.tell(END)
    channels.close()
    message = json.loads(webhook.got[0])
    assert message["title"] == headline(END)
    assert "moderation at generate" in message["message"]


async def test_a_channel_is_named_by_its_number_when_it_cannot_be_told(
    told: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """The others are told all the same; neither the error nor the library's log shows an address."""
    webhook = told(lambda handler: send(handler, 200, b"{}"))
    good = f"json://127.0.0.1:{webhook.host.server_port}/x"
    channels = Channels([good, f"json://127.0.0.1:1/{SECRET}", "nonsense://s3cr3t", good])
    with pytest.raises(NotTold, match=r"^apprise could not tell channel 2, 3 of 4$"):
        await channels.tell(END)
    channels.close()
    assert len(webhook.got) == 2
    assert capfd.readouterr() == ("", "")


async def test_a_channel_is_left_alone_when_it_hangs(told: Any) -> None:
    """In a thread of its own, which nobody waits for."""
    check_channels(Notify(apprise=("json://localhost",)))  # loads the library, which takes a while
    hanging = told(lambda handler: handler.server.closing.wait(30))
    channels = Channels([f"json://127.0.0.1:{hanging.host.server_port}/x"])
    with pytest.raises(NotTold, match=r"^apprise could not tell channel 1 \(no answer in time\) of 1$"):
        await channels.tell(END, seconds=0.5)
    channels.close()


# -- before anything is submitted --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "notify",
    [
        Notify(webhook="ftp://host/s3cr3t"),
        Notify(webhook="hooks.example.com/s3cr3t"),
        Notify(webhook="http:///s3cr3t"),
        Notify(webhook="https://host/s3cr3t x"),
        Notify(webhook="http://[s3cr3t"),
        Notify(apprise=("json://localhost/ok", "nonsense://s3cr3t")),
    ],
)
def test_a_channel_is_refused_when_it_can_never_work(notify: Notify) -> None:
    """In one sentence that does not show it."""
    with pytest.raises(UsageError) as caught:
        check_channels(notify)
    assert "s3cr3t" not in caught.value.message
    assert "notify: " in caught.value.message


def test_channels_are_accepted_when_they_may_work() -> None:
    """Nobody is asked; it is enough that they are spelt well."""
    check_channels(Notify(webhook="https://hooks.example.com/T0", apprise=("feishu://0123456789abcdef",)))


# -- whether anybody is told -------------------------------------------------------------------------------------------

IDLE = replace(FINE, moved=False, ended={})
FAILED = replace(FINE, ended={JobState.FAILED: 1})
OLD_UNKNOWN = {JobState.UNKNOWN: 1}


@pytest.mark.parametrize(
    ("end", "reasons"),
    [
        (FINE, {"finish"}),
        (IDLE, set()),
        (FAILED, {"finish", "failure"}),
        (replace(FINE, counts={JobState.FAILED: 3}), {"finish"}),
        (replace(IDLE, counts={JobState.FAILED: 3} | OLD_UNKNOWN), set()),
        (replace(FINE, stops=(STOP,)), {"finish", "failure"}),
        (replace(IDLE, stops=(STOP,)), {"finish", "failure"}),
        (replace(IDLE, error="the disk is full"), {"finish", "failure"}),
        (replace(FINE, counts=OLD_UNKNOWN), {"finish", "unknown"}),
        (replace(FINE, counts=OLD_UNKNOWN, ended={JobState.UNKNOWN: 1}), {"finish", "unknown"}),
    ],
)
def test_the_reasons_decide_when_a_run_has_ended(end: RunEnd, reasons: set[str]) -> None:
    """A run that had nothing to do says nothing, whatever an earlier one has left; a stop is always news."""
    found = {reason for reason in ("failure", "finish", "unknown") if wants(Notify(on=(reason,)), end)}  # type: ignore[arg-type]
    assert found == reasons
