"""A service that means harm: no answer fills the memory, carries the key away, ends in a bug or lasts for ever."""

import asyncio
import base64
import gzip
import json
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import AmbiguousError, RejectedError, ServiceError, TransientError
from pipeline.core.jobs import Job, LocalFile, MediaForm, Source, Task
from pipeline.ledger.codec import to_json
from pipeline.modelverse.client import MAX_ANSWER_BYTES, ModelVerseClient
from pipeline.settings import ServiceSettings
from tests.wire.servers import Connection, ScriptedServer, Step, drop, raw, reply

KEY = "sk-9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d"
JOB = Job(
    "wave", "0" * 64, "Wan-AI/Wan2.2-I2V", {"image_url": "https://example.com/a.jpg"}, {}, "a.mp4", Source("f", 1)
)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SHORT = {"connect_timeout": 0.2, "submit_timeout": 1.0, "status_timeout": 0.4}
CEILING = 0.2 + 2 * 1.0
"""Seconds after which the client gives up a submit, whatever still arrives."""


def client_of(server: ScriptedServer) -> ModelVerseClient:
    return ModelVerseClient(ServiceSettings(server.url, **SHORT), KEY)  # type: ignore[arg-type] # only seconds


def without_end(head: bytes, piece: bytes) -> Step:
    """The head, and then the same bytes for as long as the client listens."""

    async def step(connection: Connection) -> bool:
        await connection.send(head)
        hung_up = asyncio.ensure_future(connection.until_closed())
        hung_up.add_done_callback(lambda done: done.exception())  # a reset is one way to hang up
        while not hung_up.done():
            await connection.send(piece)
            await asyncio.sleep(0)
        return False

    return step


async def status_of(body: bytes) -> Any:
    """What the client makes of a status answer."""
    async with ScriptedServer([reply(200, body)]) as server, client_of(server) as client:
        return await client.status(Task("t-1", server.url))


def success(**output: object) -> dict[str, Any]:
    return {"output": {"task_id": "t-1", "task_status": "Success", "urls": ["http://cdn.example/a.mp4"], **output}}


# -- answers without end -----------------------------------------------------------------------------------------------

ENDLESS = {
    "headers": (OK, b"X-More: " + b"a" * 4000 + b"\r\n"),
    "one header": (OK + b"X-More: ", b"a" * 65_536),
    "status line": (b"HTTP/1.1 200 ", b"a" * 65_536),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "body": (OK + b"\r\n", b"a" * 65_536),
    "chunks": (CHUNKED, b"1\r\nx\r\n" * 10_000),
    "chunk extension": (CHUNKED + b"1;", b"a" * 65_536),
    "trailers": (CHUNKED + b"0\r\n", b"X-More: " + b"a" * 4000 + b"\r\n"),
    "no HTTP at all": (b"", b"a" * 65_536),
}


@pytest.mark.parametrize(("head", "piece"), ENDLESS.values(), ids=ENDLESS)
async def test_a_submit_ends_as_unknown_when_its_answer_never_ends(head: bytes, piece: bytes) -> None:
    """Whatever part of an answer goes on for ever, the client gives up in time, and the job may have been paid for."""
    async with ScriptedServer([without_end(head, piece)]) as server, client_of(server) as client:
        began = time.monotonic()
        with pytest.raises(AmbiguousError):
            await client.submit(JOB, await client.prepare(JOB))
        assert time.monotonic() - began < CEILING + 2.0
        assert server.count("POST") == 1


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
async def test_no_more_than_the_limit_is_unpacked_when_an_answer_is_a_bomb(coding: str) -> None:
    """A megabyte that unpacks to a gigabyte costs no more than the longest answer that is read."""
    bomb = gzip.compress(bytes(200_000_000), 1)
    bomb = gzip.compress(bomb, 1) if "," in coding else bomb
    answer = reply(200, bomb, headers={"Content-Encoding": coding})
    async with ScriptedServer([answer]) as server, client_of(server) as client:
        tracemalloc.start()
        try:
            with pytest.raises(TransientError):
                await client.status(Task("t-1", server.url))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * MAX_ANSWER_BYTES


MALFORMED = {
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "length of 5,000 digits": OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
    "negative length": OK + b"Content-Length: -1\r\n\r\nabc",
    "NUL in a header": OK + b"X: a\0b\r\n\r\n",
    "switch of protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n\x81\x7f",
    "broken coding": OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "coding that nobody knows": OK + b"Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
    "wait of 5,000 digits": b"HTTP/1.1 429 X\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    "wait since year 1": b"HTTP/1.1 429 X\r\nRetry-After: Mon, 1 Jan 0001 0:00:00 +2359\r\nContent-Length: 0\r\n\r\n",
    "a hundred thousand levels": OK + b"Content-Length: 100010\r\n\r\n" + b'{"output":' + b"[" * 100_000,
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
async def test_a_question_fails_in_words_when_the_answer_is_malformed(answer: bytes) -> None:
    """Broken HTTP and broken JSON are answers of a kind that we know, and say nothing about the task."""
    async with ScriptedServer([raw(answer)]) as server, client_of(server) as client:
        with pytest.raises(TransientError) as caught:
            await client.status(Task("t-1", server.url))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 500


# -- members without measure -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "amount", ["9" * 400, "9" * 5000, str(2**64), str(-(2**64)), str(2**53 + 1), "1e999", "-1e999"]
)
async def test_a_measure_counts_as_not_said_when_it_is_beyond_all_numbers(amount: str) -> None:
    """A usage that no number can hold is dropped; the task's end and its videos count all the same."""
    report = await status_of(b'{"usage": {"duration": %s}, ' % amount.encode() + json.dumps(success()).encode()[1:])
    assert report.usage == {}
    assert report.urls
    assert to_json(report)


async def test_a_measure_is_kept_when_it_is_the_largest() -> None:
    """The limit is one that every JSON reader holds exactly."""
    report = await status_of(json.dumps({**success(), "usage": {"duration": 2**53}}).encode())
    assert report.usage == {"duration": 2**53}


@pytest.mark.parametrize(("named", "kept"), [(99, 99), (100, 100), (101, 100), (10_000, 100)])
async def test_a_hundred_are_kept_when_an_answer_names_more_videos_or_measures(named: int, kept: int) -> None:
    """One finished task cannot fill the disk with thousands of videos, nor the ledger with thousands of measures."""
    urls = [f"http://cdn.example/{number}.mp4" for number in range(named)]
    usage = {f"m{number}": number for number in range(named)}
    report = await status_of(json.dumps({**success(urls=urls), "usage": usage}).encode())
    assert (report.urls, len(report.usage)) == (tuple(urls[:kept]), kept)


async def submitted(task_id: object) -> Task:
    async with ScriptedServer([reply(200, {"output": {"task_id": task_id}})]) as server, client_of(server) as client:
        return await client.submit(JOB, await client.prepare(JOB))


@pytest.mark.parametrize("task_id", ["a" * 512, "a\nb\0c", "../../etc/passwd", "\x1b]0;owned\x07", "\u202egpj"])
async def test_a_task_is_tracked_when_its_id_is_strange(task_id: str) -> None:
    """An id is opaque, and what is paid for is not given up because its name is odd."""
    assert (await submitted(task_id)).task_id == task_id


@pytest.mark.parametrize("task_id", ["a" * 513, "a" * 1_000_000, KEY, f"task-{KEY.upper()}"])
async def test_a_submit_is_unknown_when_its_task_id_cannot_be_written_down(task_id: str) -> None:
    """An id that holds the key, or is longer than any id, stands in no ledger; the job waits for a decision."""
    with pytest.raises(AmbiguousError) as caught:
        await submitted(task_id)
    assert caught.value.code == "no_task_id"
    assert KEY.lower() not in caught.value.message.lower()


# -- the key -----------------------------------------------------------------------------------------------------------

SPELT: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "capitals": str.upper,
    "code points": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "code points twice": lambda key: "".join(f"\\\\u{ord(char):04X}" for char in key),
    "URL": lambda key: "".join(f"%{ord(char):02X}" for char in key),
    "URL twice": lambda key: "".join(f"%25{ord(char):02X}" for char in key),
    "HTML": lambda key: "".join(f"&#{ord(char)};" for char in key),
    "HTML hexadecimal": lambda key: "".join(f"&#x{ord(char):X};" for char in key),
    "Base64": lambda key: base64.b64encode(key.encode()).decode(),
    "Base64 with its scheme": lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(),
    "Base64 as basic": lambda key: base64.b64encode(f"u:{key}".encode()).decode(),
}


@pytest.mark.parametrize("spelt", SPELT.values(), ids=SPELT)
async def test_a_url_is_no_result_when_it_holds_the_key(spelt: Callable[[str], str]) -> None:
    """A service cannot have us carry the key to another host, in whatever spelling; the other videos are fetched."""
    urls = [f"http://evil.example/?k={spelt(KEY)}", "http://cdn.example/a.mp4"]
    report = await status_of(json.dumps(success(urls=urls)).encode())
    assert report.urls == ("http://cdn.example/a.mp4",)


@pytest.mark.parametrize("spelt", SPELT.values(), ids=SPELT)
async def test_a_refusal_hides_the_key_when_the_service_says_it_back(spelt: Callable[[str], str]) -> None:
    """The key is found in code, message and request id before anybody sees them."""
    said = spelt(KEY)
    body = {"error": {"code": "param_error", "message": f"<{said}>", "param": said}, "request_id": said}
    async with ScriptedServer([reply(400, body)]) as server, client_of(server) as client:
        with pytest.raises(RejectedError) as caught:
            await client.submit(JOB, await client.prepare(JOB))
    assert caught.value.message.endswith("<***>") or "***" in caught.value.message
    for text in (caught.value.message, str(caught.value.request_id)):
        assert said[4:-4] not in text


@pytest.mark.parametrize("filler", ["\\", "%25", "&#0", "s", "\\s", KEY[:-1], KEY[:-1] + "\\"])
async def test_the_search_for_the_key_takes_no_time_when_the_answer_is_made_for_it(filler: str) -> None:
    """A megabyte that looks like the beginning of the key at every place is searched in a moment."""
    began = time.monotonic()
    with pytest.raises(ServiceError):
        await status_of((filler * MAX_ANSWER_BYTES)[:MAX_ANSWER_BYTES].encode())
    assert time.monotonic() - began < 5.0


# -- local files between check and submit ------------------------------------------------------------------------------


def become_pipe(path: Path) -> None:
    os.mkfifo(path)


def become_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def become_secret(path: Path) -> None:
    path.with_name("secret").write_text("not for the service")
    path.symlink_to("secret")


@pytest.mark.parametrize("become", [become_pipe, become_device, become_secret])
async def test_a_job_is_rejected_unpaid_when_its_picture_became_something_else(
    tmp_path: Path, become: Callable[[Path], None]
) -> None:
    """What lies under a picture's name at submit time is sent only if it is the bytes that were checked."""
    picture = tmp_path / "a.png"
    become(picture)
    file = LocalFile("input.image_url", str(picture), "0" * 64, 19, "image/png", MediaForm.DATA_URI)
    job = Job("a", "0" * 64, JOB.model, {"image_url": "a.png"}, {}, "a.mp4", Source("f", 1), files=(file,))
    async with ScriptedServer([drop]) as server, client_of(server) as client:
        async with asyncio.timeout(5.0):
            with pytest.raises(RejectedError, match=r"it is no regular file|has other bytes"):
                await client.prepare(job)
        assert not server.requests
