"""Answers of the API as values: JSON and envelopes, written from modelverse-api.md §4, §5 and §7 alone."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import msgspec

from pipeline.emulator.refusals import REFUSALS
from pipeline.emulator.scenario import Trouble


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, or the lack of one."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds to wait before it."""
    dropped: bool = False
    """The connection is closed instead of answering."""


_PAGE = "<html>\r\n<head><title>{title}</title></head>\r\n<body><h1>{title}</h1></body>\r\n</html>\r\n"


def new_request_id() -> str:
    """A UUID, as the service writes them."""
    return str(uuid.uuid4())


def json_reply(content: Any, status: int = 200) -> Reply:
    """The content as JSON."""
    return Reply(status, msgspec.json.encode(content), {"Content-Type": "application/json; charset=utf-8"})


def html_reply(status: int, title: str) -> Reply:
    """A page as proxies and result hosts write them."""
    return Reply(status, _PAGE.format(title=title).encode(), {"Content-Type": "text/html"})


def refuse(code: str, message: str | None = None, status: int | None = None) -> Reply:
    """The error envelope of one gateway code. Its `param` carries the request id, as on the vendor's pages."""
    row = REFUSALS[code]
    content = {"message": message or row.message, "type": row.type, "param": new_request_id(), "code": row.code}
    return json_reply({"error": content}, status or row.status)


def accept(task_id: str) -> Reply:
    """The answer to an accepted submit."""
    return json_reply({"output": {"task_id": task_id}, "request_id": new_request_id()})


def spoil(rule: Trouble, proper: Reply, now: float, here: str) -> Reply:
    """What a rule makes of an answer of the API; `here` is the path of the call."""
    if rule.do in REFUSALS:
        reply = refuse(rule.do, rule.message, rule.status)
    else:
        reply = {
            "drop": Reply(0, b"", dropped=True),
            "html": html_reply(200, "Welcome"),
            "garbage": Reply(200, b'{"output": {"task_', {"Content-Type": "application/json"}),
            "empty": Reply(200, b""),
            "no_task_id": json_reply({"output": {}, "request_id": new_request_id()}),
            "redirect": Reply(302, b"", {"Location": f"/moved{here}"}),
            "bad_gateway": html_reply(rule.status or 502, "502 Bad Gateway"),
        }.get(rule.do, proper)
    headers = dict(reply.headers) | retry_after(rule.retry_after, now, as_date=rule.retry_after_as == "date")
    return Reply(reply.status, reply.body, headers, rule.seconds, reply.dropped)


def retry_after(seconds: float | None, now: float, *, as_date: bool = False) -> dict[str, str]:
    """The header that asks for a pause, if one is asked for; a date is rounded up to the next second."""
    if seconds is None:
        return {}
    return {"Retry-After": formatdate(now + seconds + 0.999, usegmt=True) if as_date else f"{seconds:g}"}
