"""What an answer of the service means, or the lack of one (source: modelverse-api.md §7). Pure, and mostly tables.

The order of judgement: what was asked for, where the answer holds it; then signs in code and message; then the code;
then the HTTP status. Where money is concerned every doubt is ambiguous: where code and status leave it open whether a
task was made, no word of a message says that there is none.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum

import msgspec

from pipeline.core.errors import (
    AmbiguousError,
    FatalError,
    RateLimitedError,
    RejectedError,
    Scope,
    ServiceError,
    TransientError,
)
from pipeline.core.jobs import Task, TaskReport
from pipeline.core.values import Value
from pipeline.modelverse.wire import (
    KLING_CODES,
    WAN22_I2V,
    Hide,
    Refusal,
    UnreadableError,
    clean,
    decode_accepted,
    decode_refusal,
    decode_report,
    excerpt,
    unhidden,
)


class Call(StrEnum):
    """The two calls, named as in their paths: one costs money, the other does not."""

    SUBMIT = "submit"
    STATUS = "status"


class Answer(msgspec.Struct, frozen=True):
    """A whole HTTP answer."""

    http_status: int
    headers: Mapping[str, str]
    """Asked for in lower case."""
    body: bytes
    at: float
    """Unix seconds here when it arrived, for a Retry-After that is a date."""
    hide: Hide = unhidden


class Rule(Value):
    """What an error means for either call."""

    says: str
    """The beginning of the sentence for the user; the service's own words follow."""
    submit: type[ServiceError]
    status: type[ServiceError]
    """`RejectedError` means: ask a few times more, then give the task up as unknown."""
    scope: Scope = Scope.JOB
    status_wait: float | None = None
    """Seconds to the next status question, where an early one is idle."""

    def error(self, call: Call) -> type[ServiceError]:
        """The class for the call."""
        return self.submit if call is Call.SUBMIT else self.status


ACCOUNT_WAIT = 60.0
"""Seconds between questions while only a person (or the next day) can cure the account."""

_LOST = (AmbiguousError, TransientError)
_REFUSED = (RejectedError, RejectedError)
_CLOSED = (FatalError, FatalError)
_NOT_NOW = (TransientError, TransientError)

_KEY_REFUSED = Rule("the service refuses the API key", *_CLOSED, Scope.RUN)
_FORBIDDEN = Rule("the service forbids access", *_CLOSED, Scope.RUN)
_QUOTA = Rule("the API key's quota is used up", FatalError, TransientError, Scope.RUN, ACCOUNT_WAIT)
_WRONG_PLACE = Rule("this machine may not use the API key", *_CLOSED, Scope.RUN)
_ARREARS = Rule("the account cannot pay", FatalError, TransientError, Scope.RUN, ACCOUNT_WAIT)
_WRONG_CALL = Rule("the service does not take this kind of request", *_CLOSED, Scope.RUN)
_REDIRECT = Rule("the service redirects, which is not followed; is the endpoint right?", *_CLOSED, Scope.RUN)
_WRONG_ENDPOINT = Rule("the service does not know the path; is the endpoint right?", *_CLOSED, Scope.RUN)
_TOO_FAST = Rule("the service asks to slow down", RateLimitedError, RateLimitedError, Scope.RUN)
_BAD_REQUEST = Rule("the service refuses the request", *_REFUSED)
_MODERATED = Rule("moderation refuses the request", *_REFUSED)
_TIMED_OUT = Rule("the service gave up waiting", *_LOST)
_FAILED_INSIDE = Rule("the service failed on the request", *_LOST)
_UNDOCUMENTED = Rule("the service answered with an undocumented error", *_LOST)

CODES: Mapping[str, Rule] = {
    "param_error": _BAD_REQUEST,
    "invalid_messages": _MODERATED,
    "sensitive_check_error": _MODERATED,
    "websearch_error": _BAD_REQUEST,
    "model_error": Rule("the API key may not use this model", *_REFUSED, Scope.MODEL),
    "tokens_too_long": Rule("the prompt is too long", *_REFUSED),
    "auth_error": _KEY_REFUSED,
    "forbidden": _FORBIDDEN,
    "timeout": _TIMED_OUT,
    "rate_limit": _TOO_FAST,
    "internal_error": _FAILED_INSIDE,
    "model_server_error": _FAILED_INSIDE,
    "gateway_timeout_error": _TIMED_OUT,
}
"""The gateway's documented codes (§7.3)."""

OLDER_CODES: Mapping[str, str] = {
    "invalid_param": "param_error",
    "invalid_model": "model_error",
    "invalid_token": "auth_error",
    "characters_too_long": "tokens_too_long",
    "llm_server_error": "model_server_error",
}
"""Spellings that may survive on some node; reported under the present name."""

HTTP_STATUSES: Mapping[int, Rule] = {
    401: _KEY_REFUSED,
    402: _ARREARS,
    403: _FORBIDDEN,
    405: _WRONG_CALL,
    406: _WRONG_CALL,
    408: _TIMED_OUT,
    413: Rule("the request is too large for the service", *_REFUSED),
    415: _WRONG_CALL,
    429: _TOO_FAST,
    502: Rule("a gateway lost the service's answer", *_LOST),
    503: Rule("the service is not available", *_NOT_NOW),
    504: _TIMED_OUT,
}
"""Where no code decides."""

HTTP_HUNDREDS: Mapping[int, Rule] = {3: _REDIRECT, 4: _BAD_REQUEST, 5: _FAILED_INSIDE}
"""Where the HTTP status has no row of its own."""

BROKEN: Mapping[str, Rule] = {
    "dns_failed": Rule("the service's name has no address", *_NOT_NOW),
    "connect_failed": Rule("the service cannot be reached", *_NOT_NOW),
    "connect_timeout": Rule("the service did not take the connection in time", *_NOT_NOW),
    "tls_failed": Rule("no secure connection could be made", *_NOT_NOW),
    "tls_certificate": Rule("the service's certificate cannot be trusted", FatalError, TransientError, Scope.RUN),
    "bad_endpoint": Rule("the endpoint is not a usable URL", FatalError, TransientError, Scope.RUN),
    "timeout": Rule("no whole answer came in time", *_LOST),
    "connection_lost": Rule("the connection broke before the answer was whole", *_LOST),
    "not_http": Rule("what answers there does not speak HTTP", *_LOST),
}
"""Exchanges without a whole answer (§7.4), by our own codes."""


class Sign(Value):
    """Words in code or message that say more than the code."""

    words: re.Pattern[str]
    code: str
    """Ours, where the envelope has none."""
    rule: Rule
    sure: bool = True
    """Otherwise the words yield to a code that blames the request, to a slow-down, to an outage, and to a failure that
    may have made a task."""


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_BALANCE = r"(?<![a-z])balance(?![a-z])"
"""The whole word: a load balancer has no money."""

SIGNS = (
    Sign(KLING_CODES["006001094"], "006001094", Rule("the model has no capacity", *_NOT_NOW)),
    Sign(KLING_CODES["006001099"], "006001099", Rule("the model could not create the task", *_NOT_NOW)),
    Sign(KLING_CODES["006001095"], "006001095", Rule("the model's answer was lost on its way", *_LOST)),
    Sign(
        _words(rf"欠费|余额不足|account.{{0,20}}({_BALANCE}|overdue|arrear)|insufficient.{{0,20}}{_BALANCE}"),
        "arrears",
        _ARREARS,
    ),
    Sign(_words(rf"余额|{_BALANCE}|arrear|overdue|insufficient"), "arrears", _ARREARS, sure=False),
    Sign(_words(r"api key quota|forbidden.*quota|(daily|monthly)_limit_amount"), "forbidden", _QUOTA),
    Sign(_words(r"\bip not in whitelist|forbidden.*whitelist"), "forbidden", _WRONG_PLACE),
)
"""Kling's numbers (§7.5), an account in arrears, the two reasons of `forbidden`; the first match decides."""

_ABOUT_THE_PATH = _words(r"\bendpoint\b|\broute\b|/v1/tasks|unsupported path|path not (found|supported)")

_FIRST_FRAME_HINT = (
    " (if the service wants the model's newer form: the setting first_frame_form sends image_url as first_frame_url,"
    " which then needs a prompt)"
)


# -- whole answers


def judge_submit(answer: Answer, *, model: str, base_url: str, proven: bool) -> Task | ServiceError:
    """The accepted task, or what its absence means.

    `proven` says that the service has answered in its own words before: until then a refused path speaks of the
    endpoint.
    """
    unreadable = None
    if _good(answer):
        try:
            # A task id is a fact that may cost money: it counts whatever else the answer says.
            return decode_accepted(answer.body, base_url, hide=answer.hide)
        except UnreadableError as exc:
            unreadable = exc
    refusal = decode_refusal(answer.body, hide=answer.hide)
    text = _quote(answer, refusal)
    code, rule = _decide(answer, refusal, unreadable)
    if not proven and _about_the_path(answer, code, text):
        code, rule, text = "wrong_endpoint", _WRONG_ENDPOINT, f"{base_url} answers {text or 'HTTP 404'}"
    if code == "param_error" and model == WAN22_I2V and "image_url" in text:
        text += _FIRST_FRAME_HINT
    return _error(Call.SUBMIT, code, rule, answer, refusal, text)


def judge_status(answer: Answer) -> TaskReport | ServiceError:
    """How the task stands, or what the absence of a report means: an error says nothing about the task."""
    report = unreadable = None
    if _good(answer):
        try:
            report = decode_report(answer.body, hide=answer.hide)
        except UnreadableError as exc:
            unreadable = exc
    if report and report.word:
        return report
    refusal = decode_refusal(answer.body, hide=answer.hide)
    if report and refusal is None:
        return report
    code, rule = _decide(answer, refusal, unreadable)
    return _error(Call.STATUS, code, rule, answer, refusal, _quote(answer, refusal))


def speaks(error: ServiceError) -> bool:
    """Whether only the service itself can have given this answer."""
    return error.code in CODES


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait from a `Retry-After` in seconds or as an HTTP date; None where none makes sense. Not capped."""
    given = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", given, re.ASCII):
        seconds = float(given)
        return seconds if math.isfinite(seconds) else None
    try:
        moment = parsedate_to_datetime(given)
        return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return None


def _good(answer: Answer) -> bool:
    return 200 <= answer.http_status < 300


def _about_the_path(answer: Answer, code: str, text: str) -> bool:
    if code == "param_error":
        return _ABOUT_THE_PATH.search(text) is not None
    return answer.http_status == 404 and code not in CODES


def _decide(answer: Answer, refusal: Refusal | None, unreadable: UnreadableError | None) -> tuple[str, Rule]:
    if refusal is None and unreadable is not None:
        return unreadable.code, Rule(str(unreadable), *_LOST)
    code = OLDER_CODES.get(refusal.code, refusal.code) if refusal else ""
    rule = CODES.get(code) or _by_http_status(answer.http_status)
    text = f"{code} {refusal.message}" if refusal else ""
    for sign in SIGNS:
        if sign.words.search(text) and (sign.sure or not _outweighs(code, rule)):
            if sign.words.search(code) or not _leaves_doubt(rule, sign.rule):
                return code or sign.code, sign.rule
            rule = Rule(rule.says, rule.submit, sign.rule.status, sign.rule.scope, sign.rule.status_wait)
            break
    return code or f"http_{answer.http_status}", rule


def _outweighs(code: str, rule: Rule) -> bool:
    """Whether code or HTTP status say more than words that may mean many things."""
    blames_the_request = code in CODES and rule.submit is RejectedError
    says_what_happened = rule.submit in (AmbiguousError, RateLimitedError, TransientError) and rule is not _UNDOCUMENTED
    return blames_the_request or says_what_happened


def _leaves_doubt(rule: Rule, by_words: Rule) -> bool:
    """Whether a task may have been made, by code or status, although the words of the message know of none.

    The job is unknown then. Words that close the account end submitting all the same: the scope is the run's.
    """
    return rule.submit is AmbiguousError and by_words.submit is not AmbiguousError


def _by_http_status(http_status: int) -> Rule:
    return HTTP_STATUSES.get(http_status) or HTTP_HUNDREDS.get(http_status // 100, _UNDOCUMENTED)


def _quote(answer: Answer, refusal: Refusal | None) -> str:
    """The service's own words: its message, where a redirect leads, or the beginning of what came instead."""
    if refusal and refusal.message:
        return refusal.message
    if answer.http_status // 100 == 3 and "location" in answer.headers:
        return clean(answer.hide(answer.headers["location"]), 200)
    return excerpt(answer.body, 200, hide=answer.hide)


def _error(call: Call, code: str, rule: Rule, answer: Answer, refusal: Refusal | None, text: str) -> ServiceError:
    wait = retry_after(answer.headers, answer.at)
    return rule.error(call)(
        f"{rule.says}: {text}" if text else f"{rule.says} (HTTP {answer.http_status}, no reason given)",
        code=code,
        http_status=answer.http_status,
        scope=rule.scope,
        request_id=refusal.request_id if refusal else None,
        retry_after=rule.status_wait if wait is None and call is Call.STATUS else wait,
    )


# -- no whole answer


def judge_broken(call: Call, code: str, detail: str) -> ServiceError:
    """What an exchange without a whole answer means; `code` is a key of `BROKEN`, `detail` says more or is empty."""
    rule = BROKEN[code]
    return rule.error(call)(f"{rule.says}: {detail}" if detail else rule.says, code=code, scope=rule.scope)
