"""A bare `asyncio.Protocol` that plays the task API and the host of the videos, fast enough for any client.

It knows no HTTP beyond what its clients send: a request line, `Content-Length` and `Connection`. A task is `Running`
for its first two questions and `Success` from the third on, or for a time of its own where `--life` says so. Prints its
base URL, and ends with its standard input. `GET /counts` tells what has been asked for; `GET /reset` forgets it.
"""

import argparse
import asyncio
import itertools
import json
import random
import sys
import time

VIDEO_BYTES = 200_000
_VIDEO = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(VIDEO_BYTES - 24)
_QUESTIONS_RUNNING = 2
_SHOWN_LIFE = 0.3
"""Seconds that a task claims to have taken where the number of questions decides."""


class Service:
    """The tasks, and what has been asked for."""

    def __init__(self, life: tuple[float, float] | None) -> None:
        self.base_url = ""
        self._life = life
        self._random = random.Random(1)
        self._numbers = itertools.count()
        self._born: dict[bytes, float] = {}
        self._ends: dict[bytes, float] = {}
        self._asked: dict[bytes, int] = {}
        self.reset()

    def reset(self) -> None:
        """Forget the counts; the tasks go on."""
        self.counts = {"submit": 0, "status": 0, "video": 0}
        self.first_at: float | None = None
        """When the first request came, on the clock that all processes of a machine share."""

    def answer(self, target: bytes) -> bytes:
        """The whole response to a request for the target."""
        if target.startswith(b"/counts"):
            return _response(json.dumps(self.counts | {"first_at": self.first_at}).encode())
        if target.startswith(b"/reset"):
            self.reset()
            return _response(b"{}")
        if self.first_at is None:
            self.first_at = time.monotonic()
        if target.startswith(b"/video/"):
            self.counts["video"] += 1
            return _VIDEO_RESPONSE
        if target.startswith(b"/v1/tasks/status"):
            self.counts["status"] += 1
            return self._status(target.rpartition(b"=")[2])
        self.counts["submit"] += 1
        return self._submit()

    def _submit(self) -> bytes:
        task_id = b"%032x" % next(self._numbers)
        now = time.time()
        self._born[task_id] = now
        self._ends[task_id] = now + (self._random.uniform(*self._life) if self._life else _SHOWN_LIFE)
        self._asked[task_id] = 0
        return _response(b'{"output":{"task_id":"%b"},"request_id":"req-%b"}' % (task_id, task_id))

    def _status(self, task_id: bytes) -> bytes:
        self._asked[task_id] += 1
        born, ends = self._born[task_id], self._ends[task_id]
        over = time.time() >= ends if self._life else self._asked[task_id] > _QUESTIONS_RUNNING
        if not over:
            return _response(
                b'{"output":{"task_id":"%b","task_status":"Running","submit_time":%.3f},"request_id":"r"}'
                % (task_id, born)
            )
        return _response(
            b'{"output":{"task_id":"%b","task_status":"Success","urls":["%b/video/%b.mp4"],"submit_time":%.3f,'
            b'"finish_time":%.3f},"usage":{"duration":5},"request_id":"r"}'
            % (task_id, self.base_url.encode(), task_id, born, ends)
        )


def _response(body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (kind, len(body), body)


_VIDEO_RESPONSE = _response(_VIDEO, b"video/mp4")


class Connection(asyncio.Protocol):
    """One client; requests may come in pieces and several at once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, found, rest = head.partition(b"content-length:")
            whole = end + 4 + (int(rest.partition(b"\r\n")[0]) if found else 0)
            if len(self._received) < whole:
                return
            target = self._received.split(b" ", 2)[1]
            self._received = self._received[whole:]
            self._transport.write(self._service.answer(target))  # type: ignore[attr-defined]  # a TCP transport
            if b"connection: close" in head:
                self._transport.close()
                return


async def serve(life: tuple[float, float] | None) -> None:
    loop = asyncio.get_running_loop()
    service = Service(life)
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=1024)
    service.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    print(service.base_url, flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--life", type=float, nargs=2, metavar=("SHORTEST", "LONGEST"), help="Seconds a task takes.")
    life = parser.parse_args().life
    asyncio.run(serve(tuple(life) if life else None))


if __name__ == "__main__":
    main()
