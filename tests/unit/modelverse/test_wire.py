"""JSON to core values and back: tolerant where modelverse-api.md is vague, exact where money is concerned."""

import json
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.jobs import Failure, Job, LocalFile, MediaForm, Source, Stage, Task, TaskReport, TaskState
from pipeline.modelverse.wire import (
    EXCERPT_CHARS,
    STATES,
    Refusal,
    UnreadableError,
    clean,
    decode_accepted,
    decode_refusal,
    decode_report,
    encode_submit,
    excerpt,
    task_failure,
)

BASE = "https://api.example"
JOB = Job(
    job_id="wave-01",
    digest="0" * 64,
    model="Wan-AI/Wan2.2-I2V",
    input={"image_url": "https://example.com/beach.jpg", "prompt": "浪 🌊"},
    parameters={"resolution": "480P"},
    output="wave-01.mp4",
    source=Source("shots.yaml", 3),
)


def sent(job: Job, **options: Any) -> dict[str, Any]:
    """The request, each file with `AQID` for its Base64."""
    parts = encode_submit(job, **options)
    request: dict[str, Any] = json.loads(b"".join(b"AQID" if isinstance(part, LocalFile) else part for part in parts))
    return request


def report_of(output: object, **more: object) -> TaskReport:
    return decode_report(json.dumps({"output": output} | more).encode())


# -- submit


def test_three_members_are_sent_when_a_job_has_all_of_them() -> None:
    """Model, input and parameters exactly as written, and nothing of ours."""
    assert sent(JOB) == {
        "model": "Wan-AI/Wan2.2-I2V",
        "input": {"image_url": "https://example.com/beach.jpg", "prompt": "浪 🌊"},
        "parameters": {"resolution": "480P"},
    }


def test_a_member_is_left_out_when_the_job_gives_nothing_for_it() -> None:
    """Kling's multi-shot form has no input, Suno's no parameters (§4)."""
    assert set(sent(replace(JOB, parameters={}))) == {"model", "input"}
    assert set(sent(replace(JOB, input={}))) == {"model", "parameters"}


def test_falsy_values_are_sent_when_the_job_gives_them() -> None:
    """Zero, false, null and an empty text were written on purpose."""
    parameters: dict[str, object] = {"seed": 0, "watermark": False, "style": None, "tag": "", "list": []}
    assert sent(replace(JOB, parameters=parameters))["parameters"] == parameters


def test_a_read_only_mapping_is_sent_when_the_job_is_made_of_them() -> None:
    """A job promises mappings, not dicts."""
    frozen = replace(JOB, parameters=MappingProxyType({"camera": MappingProxyType({"zoom": 1})}))
    assert sent(frozen)["parameters"] == {"camera": {"zoom": 1}}


def test_image_url_becomes_first_frame_url_when_the_newer_form_is_set() -> None:
    """§14: for Wan2.2-I2V alone, and never over a first_frame_url that the job gives."""
    both = replace(JOB, input={"image_url": "a", "first_frame_url": "b"})
    other = replace(JOB, model="Wan-AI/Wan2.5-I2V")
    assert list(sent(JOB, first_frame_form=True)["input"]) == ["first_frame_url", "prompt"]
    assert sent(both, first_frame_form=True)["input"] == both.input
    assert sent(other, first_frame_form=True)["input"] == JOB.input


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (MediaForm.DATA_URI, "data:image/png;base64,AQID"),
        (MediaForm.BASE64, "AQID"),
        (MediaForm.OBJECT, {"bytesBase64Encoded": "AQID", "mimeType": "image/png"}),
    ],
)
def test_a_file_has_the_form_of_its_model_when_it_is_sent(form: MediaForm, text: str | dict[str, str]) -> None:
    """With a lower-case type in a data URI or an object, bare where the model wants it bare (§11)."""
    file = LocalFile("input.image_url", "/p.png", "", 3, "image/PNG", form)
    assert sent(replace(JOB, files=(file,)))["input"] == {**JOB.input, "image_url": text}


def test_each_file_finds_its_place_when_there_are_several() -> None:
    """The parts come in the order of the request, whatever the order of the files."""
    files = tuple(
        LocalFile(field, f"/{field}", "", 3, "image/png", MediaForm.BASE64)
        for field in ("parameters.images.1", "input.image_url", "parameters.images.0")
    )
    job = replace(JOB, parameters={"images": ["b", "c"]}, files=files)
    parts = encode_submit(job)
    assert [part.field for part in parts if isinstance(part, LocalFile)] == [
        "input.image_url",
        "parameters.images.0",
        "parameters.images.1",
    ]
    assert sent(job)["parameters"] == {"images": ["AQID", "AQID"]}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_prompt_is_sent_as_written_when_a_file_stands_beside_it(prompt: str) -> None:
    """No text of an author can be taken for the place of a file."""
    file = LocalFile("input.image_url", "/p.png", "", 3, "image/png", MediaForm.BASE64)
    request = sent(replace(JOB, input={"image_url": "p.png", "prompt": prompt}, files=(file,)))
    assert request["input"] == {"image_url": "AQID", "prompt": prompt}


# -- accepted


@pytest.mark.parametrize(
    ("written", "task_id"),
    [
        ('"9f1c0d2e7b3a4c55a0b1c2d3e4f50617"', "9f1c0d2e7b3a4c55a0b1c2d3e4f50617"),
        ("1234567890123456", "1234567890123456"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("12345.0", "12345.0"),
        ("0", "0"),
        ('"a b/ü"', "a b/ü"),
        ('"\\u0041"', "A"),
    ],
)
def test_the_task_id_is_kept_as_text_when_it_is_a_string_or_a_number(written: str, task_id: str) -> None:
    """Opaque, and not a digit lost on the way."""
    body = f'{{"output": {{"task_id": {written}}}, "request_id": "r-1"}}'.encode()
    assert decode_accepted(body, BASE) == Task(task_id, BASE, "r-1")


@pytest.mark.parametrize(
    "rest",
    [
        '"request_id": "\\ud83d"',
        '"request_id": {}',
        '"usage": {"n": 1e400}',
        '"error": {"code": []}',
        '"code": null, "message": null, "usage": "?"',
    ],
)
def test_the_task_id_is_found_when_nonsense_stands_beside_it(rest: str) -> None:
    """What we do not need cannot hide what was paid for."""
    assert decode_accepted(f'{{"output": {{"task_id": "t-1"}}, {rest}}}'.encode(), BASE).task_id == "t-1"


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"\r\n ", b""])
def test_the_task_id_is_found_when_the_bytes_around_it_are_odd(prefix: bytes) -> None:
    """A byte order mark, blank lines or another encoding in a text are no reason to lose a task."""
    body = prefix + b'{"output": {"task_id": "t-1"}, "note": "' + "排队".encode("gbk") + b'"}\n'
    assert decode_accepted(body, BASE).task_id == "t-1"


@pytest.mark.parametrize("written", ["null", '""', '"  "', "true", "[]", "{}", "1e400"])
def test_there_is_no_task_when_the_id_is_no_id(written: str) -> None:
    """Such an answer is told apart from garbage by its code."""
    with pytest.raises(UnreadableError) as caught:
        decode_accepted(f'{{"output": {{"task_id": {written}}}}}'.encode(), BASE)
    assert caught.value.code == "no_task_id"


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(
    lambda value: json.dumps({"output": value, "error": value, "usage": value, "request_id": value}).encode()
))  # fmt: skip
def test_nothing_but_a_verdict_comes_out_when_the_body_is_anything(body: bytes) -> None:
    """No body whatever raises anything but UnreadableError."""
    decode_refusal(body)
    for decode in (decode_report, lambda body: decode_accepted(body, BASE)):
        with suppress(UnreadableError):
            decode(body)


def test_a_body_is_unreadable_when_it_is_nested_without_end() -> None:
    """A bomb of brackets is garbage, not a crash."""
    for body in (b"[" * 100_000, b'{"output": ' + b"[" * 100_000, b'{"a":' * 100_000):
        with pytest.raises(UnreadableError):
            decode_report(body)


# -- report

WORDS = {
    TaskState.PENDING: ["Pending", "queued", "submitted"],
    TaskState.RUNNING: ["Running", "in_progress", "processing"],
    TaskState.SUCCEEDED: ["Success", "succeeded", "succeed", "completed"],
    TaskState.FAILED: ["Failure", "Failed", "fail", "error", "rejected", "timeout"],
    TaskState.EXPIRED: ["Expired"],
    TaskState.CANCELLED: ["Cancelled", "canceled"],
}


@pytest.mark.parametrize(("state", "word"), [(state, word) for state, words in WORDS.items() for word in words])
def test_a_documented_word_is_read_when_it_comes_in_any_case(state: TaskState, word: str) -> None:
    """§6: compared without case and surrounding space; the service's own spelling is kept."""
    for spelling in (word, word.upper(), word.lower()):
        report = report_of({"task_status": f"  {spelling}\n"})
        assert (report.state, report.word) == (state, spelling)


def test_every_word_has_a_row_when_the_table_grows() -> None:
    """No word is known without its test."""
    assert {word.lower() for words in WORDS.values() for word in words} == set(STATES)


@pytest.mark.parametrize(
    ("written", "word"), [("Paused", "Paused"), ("done", "done"), (None, ""), ("", ""), (7, "7"), ("x" * 65, "x" * 64)]
)
def test_the_task_goes_on_when_its_word_is_unknown(written: object, word: str) -> None:
    """A word that nobody documented, or none, is not an end."""
    report = report_of({"task_status": written})
    assert (report.state, report.word) == (TaskState.UNRECOGNISED, word)
    assert not report.state.ended


def test_everything_is_read_when_a_report_is_complete() -> None:
    """The sample of §5."""
    report = report_of(
        {
            "task_id": "9f1c",
            "task_status": "Success",
            "urls": ["https://results.example.net/o/9f1c.mp4"],
            "submit_time": 1760000000,
            "finish_time": 1760000052,
        },
        usage={"duration": 5},
        request_id="",
    )
    assert report == TaskReport(
        state=TaskState.SUCCEEDED,
        word="Success",
        task_id="9f1c",
        urls=("https://results.example.net/o/9f1c.mp4",),
        submit_time=1_760_000_000.0,
        finish_time=1_760_000_052.0,
        usage={"duration": 5},
    )


@pytest.mark.parametrize("empty", [None, "", [], {}, 0, False])
def test_a_report_is_read_when_everything_but_the_status_is_empty(empty: object) -> None:
    """Everything except the status is optional, and null and empty mean the same (§5)."""
    names = ("task_id", "urls", "error_message", "submit_time", "finish_time")
    report = report_of({"task_status": "Running"} | dict.fromkeys(names, empty), usage=empty, request_id=empty)
    assert (report.state, report.urls, report.submit_time, report.finish_time) == (TaskState.RUNNING, (), None, None)
    assert report.usage == {}


@pytest.mark.parametrize("body", [b"{}", b'{"output": null}', b'{"output": []}', b'{"output": "Success"}'])
def test_there_is_no_report_when_there_is_no_output(body: bytes) -> None:
    """An answer that does not speak of a task says nothing about it."""
    with pytest.raises(UnreadableError) as caught:
        decode_report(body)
    assert caught.value.code == "no_status"


def test_urls_are_kept_verbatim_when_they_are_strings() -> None:
    """Signed URLs are not touched; what is no text is dropped."""
    signed = "http://cdn.example/a%2Fb.mp4?sig=%2b+==&x=ü"
    assert report_of({"task_status": "Success", "urls": [None, signed, 7, "", {"url": "x"}]}).urls == (signed,)
    assert report_of({"task_status": "Success", "urls": {"0": signed}}).urls == ()


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (1760000000, 1_760_000_000.0),
        (1760000000.25, 1_760_000_000.25),
        ("1760000000", 1_760_000_000.0),
        (" 1760000000.5 ", 1_760_000_000.5),
        (946_684_800, 946_684_800.0),
        (946_684_799, None),
        (4_102_444_800, 4_102_444_800.0),
        (4_102_444_801, None),
        (1_760_000_000_000, None),
        (0, None),
        (-1, None),
        (True, None),
        ("soon", None),
        ("2025-10-09T08:53:20Z", None),
        ("9" * 400, None),
        ([1760000000], None),
    ],
)
def test_a_stamp_is_a_moment_when_it_lies_in_this_century(written: object, seconds: float | None) -> None:
    """Integers, fractions and numeric texts; what no clock would say counts as not given."""
    report = report_of({"task_status": "Success", "submit_time": written, "finish_time": written})
    assert (report.submit_time, report.finish_time) == (seconds, seconds)


def test_a_report_is_read_when_a_number_is_beyond_all_numbers() -> None:
    """One absurd member costs that member only."""
    body = b'{"output": {"task_status": "Success", "finish_time": 1e999}, "usage": {"duration": 1e999}}'
    report = decode_report(body)
    assert (report.state, report.finish_time, report.usage) == (TaskState.SUCCEEDED, None, {})


def test_usage_is_kept_when_it_is_numbers_and_texts() -> None:
    """Fractions and tiers pass; lists, objects and truth values are no amounts (§5)."""
    usage = {"duration": 5.25, "SR": "720P", "total_tokens": 108900, "x": None, "y": [1], "z": {"a": 1}, "w": True}
    kept = {"duration": 5.25, "SR": "720P", "total_tokens": 108900}
    assert report_of({"task_status": "Success"}, usage=usage).usage == kept


def test_the_excerpt_is_bounded_and_clean_when_a_body_is_long() -> None:
    """500 characters, one line, no control characters; none at all while a task runs, or where there are URLs."""
    body = json.dumps({"output": {"task_status": "Success"}, "note": "x" * 5000}, indent=2).encode()
    assert len(decode_report(body).excerpt) == EXCERPT_CHARS
    assert decode_report(body).excerpt.isprintable()
    assert report_of({"task_status": "Running"}).excerpt == ""
    assert report_of({"task_status": "Success", "urls": ["https://results.example.net/a.mp4"]}).excerpt == ""
    assert '"task_status": "Success"' in report_of({"task_status": "Success"}).excerpt
    assert excerpt(b"\x00a\x1b[31m\r\n\tb\xff") == "a [31m b\N{REPLACEMENT CHARACTER}"


def test_a_text_is_cut_at_its_limit_when_it_is_one_longer() -> None:
    """The limit itself fits."""
    assert clean("x" * 10, 10) == "x" * 10
    assert clean("x" * 11, 10) == "x" * 10
    assert clean("a\ud800b\u202ec\u00a0d", 10) == "a b c d"


# -- refusals


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (
            '{"error": {"message": "no", "type": "t", "param": "r-1", "code": "param_error"}}',
            Refusal("param_error", "no", "r-1"),
        ),
        ('{"error": {"message": "no", "code": "X", "param": "p"}, "request_id": "r-2"}', Refusal("x", "no", "r-2")),
        ('{"error": {"message": "no", "code": null, "param": null}}', Refusal("", "no")),
        ('{"error": {"message": "no"}}', Refusal("", "no")),
        ('{"error": {"code": 6001094}}', Refusal("6001094", "")),
        ('{"error": {"message": {"why": 1}}}', Refusal("", '{"why": 1}')),
        ('{"error": "not found"}', Refusal("", "not found")),
        ('{"error": {"code": "timeout", "param": 1e999}}', Refusal("timeout", "")),
        ('{"error": true}', None),
        ('{"code": "auth_error", "message": "no"}', Refusal("auth_error", "no")),
        ('{"error": null}', None),
        ('{"error": {}}', None),
        ('{"error": ""}', None),
        ('{"output": {"task_id": "t-1"}}', None),
        ("<html>", None),
        ("", None),
        ("[1]", None),
    ],
)
def test_a_refusal_is_read_when_there_is_one(body: str, refusal: Refusal | None) -> None:
    """Members may be null, missing or of another type; `param` carries the request id (§7.1)."""
    assert decode_refusal(body.encode()) == refusal


# -- failures


@pytest.mark.parametrize(
    ("state", "reason", "code", "message"),
    [
        (TaskState.FAILED, "code=InvalidParameter, message=invalid image url", "invalidparameter", "invalid image url"),
        (TaskState.FAILED, "code=Throttling.User,message=a=b, c", "throttling.user", "a=b, c"),
        (TaskState.FAILED, "code=InternalError", "internalerror", "the service gave no reason"),
        (TaskState.FAILED, "code=, message=", "failed", "the service gave no reason"),
        (TaskState.FAILED, "something broke", "failed", "something broke"),
        (TaskState.FAILED, "zip code=5 was wrong", "failed", "zip code=5 was wrong"),
        (TaskState.FAILED, None, "failed", "the service gave no reason"),
        (TaskState.FAILED, "code=DataInspectionFailed, message=no", "moderation", "no"),
        (TaskState.FAILED, "the image may contain a real person", "moderation", "the image may contain a real person"),
        (TaskState.FAILED, "输入内容包含敏感信息", "moderation", "输入内容包含敏感信息"),
        (TaskState.FAILED, "审核不通过", "moderation", "审核不通过"),
        (TaskState.FAILED, "Copyright restrictions", "moderation", "Copyright restrictions"),
        (TaskState.FAILED, "task resources insufficient", "006001094", "task resources insufficient"),
        (TaskState.FAILED, "code=6001099, message=task creation error", "006001099", "task creation error"),
        (TaskState.FAILED, "error 006001095", "006001095", "error 006001095"),
        (TaskState.EXPIRED, None, "expired", "the task outlived its time at the service"),
        (TaskState.EXPIRED, "code=X, message=too old", "expired", "too old"),
        (TaskState.CANCELLED, None, "cancelled", "the task was cancelled at the service"),
    ],
)
def test_a_short_code_and_a_reason_come_out_when_a_task_ends_badly(
    state: TaskState, reason: str | None, code: str, message: str
) -> None:
    """§7.5: expiry and cancellation by the state, moderation by its words, else the upstream's code."""
    assert task_failure(TaskReport(state, state, error_message=reason)) == Failure(Stage.GENERATE, code, message)


def test_the_reason_is_bounded_when_the_service_writes_a_novel() -> None:
    """A thousand characters of a reason are kept, and a code of no more than a word."""
    report = report_of({"task_status": "Failed", "error_message": f"code={'C' * 200}, message={'m' * 5000}"})
    failure = task_failure(report)
    assert failure.code == "c" * 64
    assert 700 < len(failure.message) < 1000


# -- read in one go, or member by member


_TEXTS = st.text(max_size=9) | st.text(" ab\x7f", max_size=4)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "task_id": _TEXTS,
            "task_status": st.sampled_from(["Running", "Success", "Failure", "?", "", " Running "])
            | st.none()
            | _TEXTS,
            "urls": st.lists(_TEXTS, max_size=3) | st.none(),
            "error_message": _TEXTS | st.none(),
            "submit_time": st.integers(0, 5 * 10**9) | st.floats(0, 5e9) | st.none(),
            "finish_time": st.integers(0, 5 * 10**9) | st.none(),
        },
    ),
    st.dictionaries(_TEXTS, st.integers() | st.floats(-1e17, 1e17) | _TEXTS | st.booleans(), max_size=3),
    _TEXTS,
)
def test_a_report_is_the_same_when_it_is_read_in_one_go_and_member_by_member(
    output: dict[str, Any], usage: dict[str, Any], request_id: str
) -> None:
    """A member of another type sends the answer the long way, and that says the same about the others."""
    as_documented = {"output": output, "usage": usage, "request_id": request_id}
    with suppress(UnreadableError):
        quick = decode_report(json.dumps(as_documented, ensure_ascii=False).encode())
        slow = decode_report(json.dumps({**as_documented, "output": {**output, "error_message": 7}}).encode())
        assert replace(quick, error_message="7", excerpt=slow.excerpt) == slow


def test_the_key_is_hidden_when_only_an_escape_makes_it() -> None:
    """A body that shows no key may hold one in its escapes, and the texts of it are looked at one by one."""

    def hide(text: str) -> str:
        return text.replace("secret-key-0123456789", "***")

    body = rb'{"output": {"task_status": "Failure", "error_message": "no \u0073ecret-key-0123456789 here"}}'
    report = decode_report(body, hide=hide)
    assert report.error_message == "no *** here"
