"""A task API of a few lines beside a result host that does whatever a test says, in threads of the test's process.

Nothing of it is shared with the product or its emulator: a wrong belief of theirs is not repeated here.
"""

import json
import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_TINY = Path(__file__).parents[2] / "pipeline/emulator/tiny.mp4"

Answer = Callable[[BaseHTTPRequestHandler], None]
"""Plays the host's part after a request, on the raw connection."""


def make_video(size: int, filling: bytes = b"\0") -> bytes:
    """A whole MP4 of so many bytes: a clip, and a `free` box that fills the rest."""
    clip = _TINY.read_bytes()
    rest = size - len(clip)
    return clip + rest.to_bytes(4) + b"free" + filling * (rest - 8)


class Host(ThreadingHTTPServer):
    """A host on loopback; a client that hangs up is no news."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Only a connection may break."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Host)
        with suppress(ConnectionError, ssl.SSLError):
            self.server.answer(self)

    do_POST = do_GET  # noqa: N815 - the name that the library calls

    def log_message(self, *_arguments: Any) -> None:
        """Standard error belongs to the tests."""


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: object) -> None:
    """A whole answer; in header names `_` stands for `-`."""
    handler.send_response(status)
    for name, value in ({"Content_Length": len(body)} | headers).items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


class Double:
    """The service, and its result host; `video`, `submit` and `spoil` (every good answer) may be replaced."""

    def __init__(self, video: Answer) -> None:
        self.video = video
        self.submit: Answer = self._accept
        self.spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
        self.gets: list[Message] = []
        """The headers of every request to the result host."""
        self._bought: list[str] = []
        self._hosts = (Host(self._serve_api), Host(self._serve_results))

    def __enter__(self) -> Self:
        for host in self._hosts:
            threading.Thread(target=host.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            host.closing.set()
            host.shutdown()
            host.server_close()
        assert not [headers for headers in self.gets if "Authorization" in headers]

    @property
    def url(self) -> str:
        """Of the API."""
        return self._hosts[0].url

    def bought(self) -> Counter[str]:
        """How often each prompt was accepted."""
        return Counter(self._bought)

    def _serve_api(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.command == "POST":
            self.submit(handler)
        else:
            (task_id,) = parse_qs(urlsplit(handler.path).query)["task_id"]
            output = {"task_id": task_id, "task_status": "Success", "urls": [f"{self._hosts[1].url}/{task_id}.mp4"]}
            self._reply(handler, {"output": output, "usage": {"duration": 5}, "request_id": ""})

    def _accept(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        prompt = body["input"]["prompt"]
        self._bought.append(prompt)
        self._reply(handler, {"output": {"task_id": f"{prompt}-{len(self._bought)}"}, "request_id": "r"})

    def _reply(self, handler: BaseHTTPRequestHandler, answer: dict[str, Any]) -> None:
        send(handler, 200, json.dumps(self.spoil(answer)).encode())

    def _serve_results(self, handler: BaseHTTPRequestHandler) -> None:
        self.gets.append(handler.headers)
        self.video(handler)


# -- what a result host may do -----------------------------------------------------------------------------------------


def honest(video: bytes, etag: str = '"v1"') -> Answer:
    """The file, whole or from the byte that is asked for."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if wanted is None or handler.headers.get("If-Range") != etag:
            send(handler, 200, video, ETag=etag)
            return
        first = int(wanted[1])
        if first >= len(video):
            send(handler, 416, Content_Range=f"bytes */{len(video)}")
            return
        told = f"bytes {first}-{len(video) - 1}/{len(video)}"
        send(handler, 206, video[first:], ETag=etag, Content_Range=told)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """A video that never ends and has no length."""
    handler.close_connection = True
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(make_video(100_000))
    while not handler.server.closing.is_set():  # type: ignore[attr-defined]  # every server here is a Host
        handler.wfile.write(bytes(65_536))


def trickle(video: bytes, every: float) -> Answer:
    """A byte every so many seconds."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(video)))
        handler.end_headers()
        for byte in video:
            handler.wfile.write(bytes([byte]))
            if handler.server.closing.wait(every):  # type: ignore[attr-defined]  # every server here is a Host
                return

    return answer


def cut(video: bytes, sent: int, announced: int | None = None, etag: str = '"v1"') -> Answer:
    """Less than was announced, and the end of the connection."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        send(handler, 200, video[:sent], Content_Length=announced or len(video), ETag=etag)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One answer for each request, the last one again and again."""
    left = list(answers)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer


def only(prompt: str, answer: Answer, others: Answer) -> Answer:
    """The videos of one prompt meet this, all others meet that."""
    return lambda handler: (answer if f"/{prompt}-" in handler.path else others)(handler)


def redirect(target: str) -> Answer:
    """Somewhere else."""
    return lambda handler: send(handler, 302, Location=target)


def page(handler: BaseHTTPRequestHandler) -> None:
    """A login page with status 200."""
    send(handler, 200, b"<!DOCTYPE html><title>Log in</title>" * 40, Content_Type="text/html")
