"""A service that cannot be reached, or not trusted: a clear line, the right exit code, and a rerun that finishes."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.process.aftermath import finish, unknown_jobs
from tests.process.double import Double, Host, honest, make_video

PROMPTS = ("wave one", "wave two", "wave three")
VIDEO = make_video(50_000)
SHORT = {
    "connect_timeout": 0.5,
    "submit_timeout": 1,
    "status_timeout": 0.3,
    "outage_timeout": 1.0,
    "retry_after_ceiling": 0.2,
}
"""The timeouts that an outage meets."""


# -- places where no service is ----------------------------------------------------------------------------------------


@contextmanager
def nobody() -> Iterator[str]:
    """A port on which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


@contextmanager
def no_such_name() -> Iterator[str]:
    """A name that no name service has (RFC 6761 §6.4)."""
    yield "http://modelverse.invalid"


@contextmanager
def a_full_door() -> Iterator[str]:
    """A port whose queue is full: whoever connects waits."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        queued = [socket.socket() for _ in range(3)]
        for one in queued:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        for one in queued:
            one.close()


@contextmanager
def plain_http() -> Iterator[str]:
    """An https endpoint that speaks plain HTTP."""
    with Double(honest(VIDEO)) as double:
        yield double.url.replace("http:", "https:")
        assert not double.bought()


@contextmanager
def untrusted() -> Iterator[str]:
    """An https endpoint whose certificate it made itself."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parents[1] / "wire/modelverse/untrusted.pem")
    asked = []
    host = Host(asked.append)
    host.socket = tls.wrap_socket(host.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=host.serve_forever, args=(0.01,), daemon=True).start()
    yield host.url.replace("http:", "https:")
    host.shutdown()
    host.server_close()
    assert not asked


OUTAGES = {
    "nobody listens": (nobody, 3, "for 1 s no submit got through: the service cannot be reached: "),
    "no such name": (no_such_name, 3, "for 1 s no submit got through: the service's name has no address: "),
    "no answer to connecting": (
        a_full_door,
        3,
        "for 1 s no submit got through: the service did not take the connection",
    ),
    "plain HTTP": (plain_http, 3, "for 1 s no submit got through: no secure connection could be made: "),
    "self-signed": (untrusted, 4, "the service's certificate cannot be trusted: "),
}


@pytest.mark.parametrize(("place", "code", "words"), OUTAGES.values(), ids=OUTAGES)
def test_nothing_is_bought_when_the_service_cannot_be_reached(
    lab: Any, place: Callable[[], Any], code: int, words: str
) -> None:
    """The run gives up after the outage timeout, says why, and keeps every job for the next one."""
    command = ("run", lab.manifest(*PROMPTS, **SHORT))
    with place() as endpoint:
        ended = lab.run(*command, MODELVERSE_ENDPOINT=endpoint)
    assert ended.code == code
    assert f"stopped early: {words}" in ended.out
    assert "left: 3 jobs\n" in ended.out
    assert f"pipeline: exit {code}: 3 jobs: 0 done, 0 failed, 0 unknown, 3 remaining in " in ended.last
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        finish(lab, command, PROMPTS, double.bought)


def test_every_task_is_collected_later_when_the_service_goes_down_in_the_middle(lab: Any) -> None:
    """Tasks that nobody could ask about stay on record: exit 3, and the next run brings their videos unpaid."""
    emulator = lab.emulator(speed=25, spread=0)
    command = ("run", lab.manifest(*PROMPTS, **SHORT))
    lab.environment["PIPELINE_TASK_TIMEOUT"] = "1"
    process = lab.start(*command, "-v")
    for _ in PROMPTS:
        while b": running, task " not in process.log.next():
            pass
    emulator.stop()
    assert process.wait() == 3
    del lab.environment["PIPELINE_TASK_TIMEOUT"]
    assert "left: 3 jobs, all of them paid for and collected first" in process.output.whole().decode()
    assert ": left running for the next run: status calls fail: the service cannot be reached: " in (
        process.log.whole().decode()
    )
    again = lab.emulator(speed=25, spread=0)
    finish(lab, command, PROMPTS, again.bought)


def test_a_job_waits_for_a_decision_when_no_answer_comes(lab: Any) -> None:
    """A service that takes requests and says nothing may have taken the money: exit 5, and nothing is sent again."""
    with Double(honest(VIDEO)) as double:
        accept, taken = double.submit, []

        def silent(handler: Any) -> None:
            taken.append(handler.path)
            handler.rfile.read(int(handler.headers["Content-Length"]))
            handler.server.closing.wait()

        double.submit = silent
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest(*PROMPTS, **SHORT))
        ended = lab.run(*command)
        assert ended.code == 5
        assert "unknown: 3 jobs: the answer to a paid request was lost, and a person decides" in ended.out
        assert "no whole answer came in time" in ended.out
        double.submit = accept
        assert lab.run(*command).code == 5
        assert len(taken) == len(unknown_jobs(lab)) == 3
        assert double.bought() == {}
        assert lab.run(*command, "--resubmit-unknown").code == 0
        assert double.bought() == dict.fromkeys(PROMPTS, 1)
