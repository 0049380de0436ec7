"""What an answer means: the tables of modelverse-api.md §7, row by row and for both calls."""

import json
import time

import pytest

from pipeline.core.errors import (
    AmbiguousError,
    FatalError,
    RateLimitedError,
    RejectedError,
    Scope,
    ServiceError,
    TransientError,
)
from pipeline.core.jobs import Task, TaskReport, TaskState
from pipeline.modelverse.decisions import (
    ACCOUNT_WAIT,
    BROKEN,
    CODES,
    OLDER_CODES,
    Answer,
    Call,
    judge_broken,
    judge_status,
    judge_submit,
    retry_after,
    speaks,
)

A, F, J, R, T = AmbiguousError, FatalError, Scope.JOB, RejectedError, TransientError
LIMITED = RateLimitedError
WAN = "Wan-AI/Wan2.2-I2V"
NOW = 1_760_000_000.0

Kind = type[ServiceError]


def envelope(code: object, message: object, **more: object) -> bytes:
    return json.dumps({"error": {"message": message, "type": "t", "param": "r-7", "code": code}} | more).encode()


def answer(http_status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(http_status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)


def submitted(given: Answer, *, model: str = WAN, proven: bool = True) -> ServiceError:
    verdict = judge_submit(given, model=model, base_url="https://api.example", proven=proven)
    assert isinstance(verdict, ServiceError)
    return verdict


def asked(given: Answer) -> ServiceError:
    verdict = judge_status(given)
    assert isinstance(verdict, ServiceError)
    return verdict


QUOTA = "Access forbidden: api key quota exceeded, key_id=1, daily_limit_amount=5, monthly_limit_amount=9"
PLACE = "Access forbidden: api key ip not in whitelist, key_id=1, ip=192.0.2.1"

DOCUMENTED: list[tuple[int, str, str, Kind, Kind, Scope]] = [
    (400, "param_error", "Invalid param", R, R, J),
    (400, "invalid_messages", "Sensitive chat messages", R, R, J),
    (400, "sensitive_check_error", "Sensitive check error", R, R, J),
    (400, "websearch_error", "Web search error", R, R, J),
    (400, "model_error", "No permission to use the model: apikey [1] not support model [2]", R, R, Scope.MODEL),
    (400, "tokens_too_long", "Prompt tokens too long", R, R, J),
    (401, "auth_error", "Validate Certification failed", F, F, Scope.RUN),
    (403, "forbidden", QUOTA, F, T, Scope.RUN),
    (403, "forbidden", PLACE, F, F, Scope.RUN),
    (403, "forbidden", "Access forbidden", F, F, Scope.RUN),
    (408, "timeout", "Request timeout, please try again later", A, T, J),
    (429, "rate_limit", "Rate limit exceeded, please try again later", LIMITED, LIMITED, Scope.RUN),
    (500, "internal_error", "Internal Server Error", A, T, J),
    (500, "model_server_error", "Request llm server Error", A, T, J),
    (504, "gateway_timeout_error", "Gateway timeout", A, T, J),
]
OLDER: list[tuple[int, str, str, Kind, Kind, Scope]] = [
    (400, "invalid_param", "Invalid param", R, R, J),
    (400, "invalid_model", "no such model", R, R, Scope.MODEL),
    (400, "invalid_token", "Validate Certification failed", F, F, Scope.RUN),
    (400, "characters_too_long", "too long", R, R, J),
    (500, "llm_server_error", "Request llm server Error", A, T, J),
]


@pytest.mark.parametrize(("http_status", "code", "message", "submit", "status", "scope"), DOCUMENTED + OLDER)
def test_the_documented_decision_is_made_when_the_gateway_names_its_code(
    http_status: int, code: str, message: str, submit: Kind, status: Kind, scope: Scope
) -> None:
    """Every row of §7.3 and every older spelling, for both calls, with its scope, code, HTTP status and request id."""
    given = answer(http_status, envelope(code, message))
    for error, kind in ((submitted(given), submit), (asked(given), status)):
        assert type(error) is kind
        assert (error.code, error.scope, error.http_status) == (OLDER_CODES.get(code, code), scope, http_status)
        assert error.request_id == "r-7"
        assert message in error.message


@pytest.mark.parametrize("http_status", [200, 400, 403, 429, 500, 503])
@pytest.mark.parametrize(("_usual", "code", "message", "submit", "status", "scope"), DOCUMENTED)
def test_the_code_decides_when_the_http_status_says_something_else(
    _usual: int, code: str, message: str, submit: Kind, status: Kind, scope: Scope, http_status: int
) -> None:
    """A documented code counts whatever HTTP status it comes with, 200 included."""
    given = answer(http_status, envelope(code.upper(), message))
    assert (type(submitted(given)), type(asked(given))) == (submit, status)
    assert submitted(given).scope is scope


def test_every_code_has_a_row_when_the_table_grows() -> None:
    """No code of the table goes without its test."""
    assert {row[1] for row in DOCUMENTED} == set(CODES)
    assert {row[1] for row in OLDER} == set(OLDER_CODES)


@pytest.mark.parametrize(
    ("http_status", "submit", "status", "scope"),
    [
        (301, F, F, Scope.RUN),
        (307, F, F, Scope.RUN),
        (400, R, R, J),
        (401, F, F, Scope.RUN),
        (402, F, T, Scope.RUN),
        (403, F, F, Scope.RUN),
        (404, R, R, J),
        (405, F, F, Scope.RUN),
        (406, F, F, Scope.RUN),
        (408, A, T, J),
        (409, R, R, J),
        (413, R, R, J),
        (415, F, F, Scope.RUN),
        (422, R, R, J),
        (429, LIMITED, LIMITED, Scope.RUN),
        (500, A, T, J),
        (501, A, T, J),
        (502, A, T, J),
        (503, T, T, J),
        (504, A, T, J),
        (599, A, T, J),
        (600, A, T, J),
        (101, A, T, J),
    ],
)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html><h1>Bad Gateway</h1></html>", b"\xff\x00", b"[]", b'{"error": null}', envelope(None, None)],
    ids=["empty", "html", "bytes", "list", "null error", "null members"],
)
def test_the_http_status_decides_when_the_body_names_no_code(
    http_status: int, submit: Kind, status: Kind, scope: Scope, body: bytes
) -> None:
    """Every undocumented row of §7.3: proxies answer in HTML or with nothing at all."""
    given = answer(http_status, body)
    assert (type(submitted(given)), type(asked(given))) == (submit, status)
    assert (submitted(given).scope, submitted(given).http_status) == (scope, http_status)
    assert submitted(given).code == f"http_{http_status}"


@pytest.mark.parametrize("http_status", [400, 402, 403, 429, 500, 200])
@pytest.mark.parametrize(
    "message",
    ["账户已欠费", "账户余额不足", "Insufficient balance", "your account balance is too low", "The account is overdue"],
)
def test_submitting_ends_when_the_account_cannot_pay(http_status: int, message: str) -> None:
    """Plain words of arrears end submitting whatever code and HTTP status they come with; questions go on slowly.

    Where code or status leave it open whether a task was made, the job is unknown all the same.
    """
    for code in (None, "forbidden", "param_error", "internal_error", "Arrearage"):
        given = answer(http_status, envelope(code, message))
        open_to_doubt = code == "internal_error" or (http_status in (200, 500) and code not in CODES)
        error, later = submitted(given), asked(given)
        assert (type(error), error.scope) == (AmbiguousError if open_to_doubt else FatalError, Scope.RUN)
        assert type(later) is TransientError
        assert later.retry_after == ACCOUNT_WAIT


@pytest.mark.parametrize("word", ["balance", "arrears", "overdue", "insufficient", "余额"])
def test_a_word_that_may_mean_money_yields_when_the_answer_is_more_precise(word: str) -> None:
    """Alone it is fatal; beside a code that blames the request, a slow-down, an outage, or a failure that may have made
    a task, it is not."""
    message = f"white {word} of the picture"
    assert type(submitted(answer(400, envelope(None, message)))) is FatalError
    doubtful = submitted(answer(200, envelope(None, message)))
    assert (type(doubtful), doubtful.scope) == (AmbiguousError, Scope.RUN)
    assert type(submitted(answer(429, envelope("rate_limit", message)))) is RateLimitedError
    assert type(submitted(answer(429, envelope(None, message)))) is RateLimitedError
    assert type(submitted(answer(503, envelope(None, message)))) is TransientError
    assert type(submitted(answer(403, envelope("forbidden", message)))) is FatalError
    assert type(submitted(answer(400, envelope("param_error", message)))) is RejectedError
    assert type(submitted(answer(500, envelope("internal_error", message)))) is AmbiguousError
    assert type(submitted(answer(502, envelope(None, message)))) is AmbiguousError


@pytest.mark.parametrize(
    ("number", "submit"), [("006001094", T), (6001094, T), ("006001099", T), (6001099, T), ("006001095", A)]
)
def test_klings_number_decides_when_it_stands_in_an_envelope(number: object, submit: Kind) -> None:
    """§7.5: as code, zeros lost or not, whatever the HTTP status; inside the message where nothing leaves a doubt."""
    for given in (
        answer(400, envelope(number, "busy")),
        answer(500, envelope(number, "busy")),
        answer(400, envelope(None, f"code {number}: no")),
    ):
        assert (type(submitted(given)), type(asked(given))) == (submit, TransientError)


OPEN_TO_DOUBT = [
    *((http_status, code) for http_status, code, _, submit, *_ in DOCUMENTED + OLDER if submit is AmbiguousError),
    *((http_status, code) for http_status in (200, 408, 500, 502, 504, 599) for code in (None, "never_heard_of")),
]
TELLING = [
    "task created, but the account balance could not be updated",
    "timeout while waiting for the account balance service",
    "insufficient memory",
    "api key quota service unreachable",
    "api key ip not in whitelist",
    "account overdue",
    "账户余额不足",
    "request 0006001094 timed out",
    "task resource insufficient",
    "code 6001099",
    "6001095",
    QUOTA,
    PLACE,
]


@pytest.mark.parametrize("message", TELLING)
@pytest.mark.parametrize(("http_status", "code"), OPEN_TO_DOUBT)
def test_a_submit_stays_ambiguous_when_only_the_words_say_that_nothing_was_made(
    http_status: int, code: str | None, message: str
) -> None:
    """Free text never makes a code or an HTTP status that may hide a paid task into one that surely hides none."""
    assert type(submitted(answer(http_status, envelope(code, message)))) is AmbiguousError


@pytest.mark.parametrize(
    ("http_status", "code", "message", "kind"),
    [
        (503, None, "no healthy upstream in load balancer pool", T),
        (503, None, "account service: load balancer is down", T),
        (429, "rate_limit", "insufficient concurrency, try again later", LIMITED),
        (400, None, "rebalancing the accounts", R),
        (402, "balance_too_low", "no", F),
    ],
)
def test_a_balance_is_money_when_it_is_the_whole_word(
    http_status: int, code: str | None, message: str, kind: Kind
) -> None:
    """A load balancer says nothing about the account, and a slow-down is one whatever is insufficient."""
    assert type(submitted(answer(http_status, envelope(code, message)))) is kind


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_answer"),
        (b" \r\n", "empty_answer"),
        (b"<html></html>", "not_json"),
        (b'{"output": {"task_', "not_json"),
        (b'{"output": {}}', "no_task_id"),
        (b'{"output": {"task_id": null}}', "no_task_id"),
        (b'{"output": {"task_id": ""}}', "no_task_id"),
        (b'{"task_id": "t-1"}', "no_task_id"),
        (envelope("never_heard_of", "hm"), "never_heard_of"),
        (b'{"error": "hm"}', "http_200"),
        (b'{"code": 0, "message": "ok"}', "0"),
    ],
)
def test_a_submit_is_ambiguous_when_a_good_status_brings_no_task_id(body: bytes, code: str) -> None:
    """A 200 without a task id may have bought one."""
    error = submitted(answer(200, body))
    assert (type(error), error.code) == (AmbiguousError, code)


def test_a_task_id_counts_when_the_answer_complains_beside_it() -> None:
    """A task id is a fact that may cost money, so no error member makes us forget it."""
    body = envelope("internal_error", "hm", output={"task_id": "t-1"}, request_id="r-1")
    verdict = judge_submit(answer(200, body), model=WAN, base_url="https://api.example", proven=True)
    assert verdict == Task("t-1", "https://api.example", "r-1")


def test_a_report_counts_when_the_answer_complains_beside_it() -> None:
    """A status word is an answer; without one the error member is."""
    failed = envelope("internal_error", "hm", output={"task_status": "Failed"})
    verdict = judge_status(answer(200, failed))
    assert isinstance(verdict, TaskReport)
    assert verdict.state is TaskState.FAILED
    assert asked(answer(200, envelope("rate_limit", "hm", output={}))).code == "rate_limit"


@pytest.mark.parametrize("message", ["Invalid param: unsupported endpoint", "no route for POST /v1/tasks/submit"])
def test_a_param_error_about_the_path_ends_the_run_when_the_service_has_not_answered_yet(message: str) -> None:
    """An unsupported endpoint comes as param_error (§7.3): at first it speaks of the base URL, later of the job."""
    given = answer(400, envelope("param_error", message))
    first = submitted(given, proven=False)
    assert (type(first), first.scope, first.code) == (FatalError, Scope.RUN, "wrong_endpoint")
    assert "https://api.example" in first.message
    assert type(submitted(given)) is RejectedError


def test_a_plain_param_error_rejects_the_job_when_it_is_the_first_answer() -> None:
    """The first job may simply be wrong."""
    given = answer(400, envelope("param_error", "Invalid param: image_url is no URL"))
    assert type(submitted(given, proven=False)) is RejectedError


def test_a_404_with_a_documented_code_is_judged_by_it_when_it_is_the_first_answer() -> None:
    """A service that names its code is the right service."""
    given = answer(404, envelope("invalid_model", "no such model"))
    assert submitted(given, proven=False).scope is Scope.MODEL


def test_the_service_is_known_when_it_speaks_its_own_words() -> None:
    """A task, a report or a documented code can only come from the service; a bare 404 can come from anybody."""
    assert speaks(submitted(answer(400, envelope("param_error", "x"))))
    assert not speaks(submitted(answer(404)))
    assert not speaks(submitted(answer(404), proven=False))


def test_the_newer_form_is_offered_when_wan22_refuses_image_url() -> None:
    """§14: the setting that may mend it is named, for this model and this complaint only."""
    complaint = answer(400, envelope("param_error", "Invalid param: image_url"))
    assert "first_frame_form" in submitted(complaint).message
    assert "first_frame_form" not in submitted(complaint, model="Wan-AI/Wan2.5-I2V").message
    assert "first_frame_form" not in submitted(answer(400, envelope("param_error", "Invalid param: seed"))).message


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("0", 0.0),
        ("17", 17.0),
        (" 2.5 ", 2.5),
        ("86400", 86_400.0),
        ("Thu, 09 Oct 2025 08:53:50 GMT", 30.0),
        ("Thu, 09 Oct 2025 08:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("inf", None),
        ("9" * 400, None),
        ("Thu, 99 Oct 2025 99:00:00 GMT", None),
    ],
)
def test_seconds_to_wait_come_out_when_retry_after_is_read(given: str, seconds: float | None) -> None:
    """Seconds or an HTTP date, never negative; nonsense counts as not given."""
    assert retry_after({"retry-after": given}, NOW) == seconds


@pytest.mark.parametrize("given", ["Thu, 09 Oct 2025 08:53:50", "Thu, 09 Oct 2025 08:53:50 -0000"])
def test_a_date_is_meant_in_utc_when_it_names_no_zone(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP date is UTC whether it says so or not, wherever this machine stands."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "UTC-8")
        time.tzset()
        seconds = retry_after({"retry-after": given}, NOW)
    time.tzset()
    assert seconds == 30.0


def test_a_retry_after_is_kept_when_the_error_is_of_any_kind() -> None:
    """A 503 may name a pause as well as a 429, and it wins over our own wait for a question."""
    assert submitted(answer(503, retry_after="7")).retry_after == 7.0
    assert asked(answer(402, retry_after="7")).retry_after == 7.0
    assert submitted(answer(402)).retry_after is None


@pytest.mark.parametrize(
    ("code", "submit", "status"),
    [
        ("dns_failed", T, T),
        ("connect_failed", T, T),
        ("connect_timeout", T, T),
        ("tls_failed", T, T),
        ("tls_certificate", F, T),
        ("bad_endpoint", F, T),
        ("timeout", A, T),
        ("connection_lost", A, T),
        ("not_http", A, T),
    ],
)
def test_only_what_was_surely_not_sent_is_transient_when_an_exchange_breaks(
    code: str, submit: Kind, status: Kind
) -> None:
    """§7.4: a paid request that may have arrived is ambiguous; a question is asked again."""
    error = judge_broken(Call.SUBMIT, code, "detail")
    assert (type(error), error.code) == (submit, code)
    assert type(judge_broken(Call.STATUS, code, "")) is status
    assert error.message.endswith(": detail")


def test_every_breakage_has_a_row_when_the_table_grows() -> None:
    """The run ends for an endpoint that cannot be right, and for nothing else."""
    fatal = {code for code, rule in BROKEN.items() if rule.submit is FatalError}
    assert fatal == {code for code, rule in BROKEN.items() if rule.scope is Scope.RUN}
    assert len(BROKEN) == 9


def test_the_message_is_short_and_clean_when_a_proxy_answers_with_a_page() -> None:
    """At most 200 characters of a foreign body, on one line, without control characters."""
    message = submitted(answer(502, b"<html>\x1b[31m\r\n" + b"x" * 5000)).message
    assert message.startswith("a gateway lost the service's answer: <html>")
    assert len(message) < 260
    assert message.isprintable()


def test_the_http_status_is_named_when_there_is_nothing_to_quote() -> None:
    """An empty error still becomes a sentence."""
    assert submitted(answer(503)).message == "the service is not available (HTTP 503, no reason given)"
