"""JSON of the ModelVerse task API to core values and back (source: modelverse-api.md §4 to §7.1). Pure.

Every member is decoded on its own, so that nonsense in one of them never hides a task id or a state in another.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pipeline.core.jobs import Failure, Job, LocalFile, MediaForm, Stage, Task, TaskReport, TaskState
from pipeline.core.values import Value, made

WAN22_I2V = "Wan-AI/Wan2.2-I2V"
"""The one model with two request forms (§14)."""

EXCERPT_CHARS = 500
_ID_CHARS = 128
_TASK_ID_CHARS = 512
"""Far above every shape seen (§4); an id beyond could not be asked about."""
_WORD_CHARS = 64
_REASON_CHARS = 1000
_MOST_URLS = 100
_MOST_USAGE = 100
"""Members; no documented answer comes near either, and a body of 1 MiB could name thousands of videos of 4 GB."""
_LARGEST_USAGE = 2**53
"""Every JSON reader holds a number up to this one exactly; beyond, it measures nothing."""
_SECRET_CHARS = 16
"""A shorter key may stand in an id or a URL by chance, and hides nothing that could not be guessed."""

_EARLIEST = 946_684_800.0
_LATEST = 4_102_444_800.0
"""The years 2000 to 2100 in Unix seconds: a stamp outside is zero, milliseconds or nonsense."""

STATES: Mapping[str, TaskState] = {
    "pending": TaskState.PENDING,
    "queued": TaskState.PENDING,
    "submitted": TaskState.PENDING,
    "running": TaskState.RUNNING,
    "processing": TaskState.RUNNING,
    "in_progress": TaskState.RUNNING,
    "success": TaskState.SUCCEEDED,
    "succeeded": TaskState.SUCCEEDED,
    "succeed": TaskState.SUCCEEDED,
    "completed": TaskState.SUCCEEDED,
    "failure": TaskState.FAILED,
    "failed": TaskState.FAILED,
    "fail": TaskState.FAILED,
    "error": TaskState.FAILED,
    "rejected": TaskState.FAILED,
    "timeout": TaskState.FAILED,
    "expired": TaskState.EXPIRED,
    "cancelled": TaskState.CANCELLED,
    "canceled": TaskState.CANCELLED,
}
"""Status words in lower case (§6). A word that is not here is not an end."""

_SHOWN_STATES = frozenset(state for state in TaskState if state.ended) | {TaskState.UNRECOGNISED}
"""Those whose answer somebody may want to see."""

KLING_CODES: Mapping[str, re.Pattern[str]] = {
    "006001094": re.compile(r"\b0*6001094\b|task resources? insufficient", re.IGNORECASE),
    "006001095": re.compile(r"\b0*6001095\b"),
    "006001099": re.compile(r"\b0*6001099\b"),
}
"""Numbers that may stand in an error envelope or in a failed task's reason (§7.5), the zeros lost where JSON took them
for a number: resources insufficient, bad task response, task creation error."""

_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)

Hide = Callable[[str], str]
"""Takes the API key out of a text of the service before anybody sees it."""


class UnreadableError(Exception):
    """An answer does not say what was asked for; `code` is `empty_answer`, `not_json`, `no_task_id` or `no_status`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Refusal(Value):
    """An error envelope (§7.1)."""

    code: str
    """In lower case; empty where the service gave none."""
    message: str
    request_id: str | None = None


_NOTHING = msgspec.Raw()
_MARK = b"\xff"
"""Stands in no UTF-8, and so nowhere in what a job says: the places of files are found by it."""


class _Body(msgspec.Struct):
    output: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING
    request_id: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    code: msgspec.Raw = _NOTHING
    message: msgspec.Raw = _NOTHING


class _Output(msgspec.Struct):
    task_id: msgspec.Raw = _NOTHING
    task_status: msgspec.Raw = _NOTHING
    urls: msgspec.Raw = _NOTHING
    error_message: msgspec.Raw = _NOTHING
    submit_time: msgspec.Raw = _NOTHING
    finish_time: msgspec.Raw = _NOTHING


_Word = Annotated[str, Meta(max_length=_WORD_CHARS)]
_RequestId = Annotated[str, Meta(max_length=_ID_CHARS)]
_Id = Annotated[str, Meta(max_length=_TASK_ID_CHARS)]
_Moment = Annotated[float, Meta(ge=_EARLIEST, le=_LATEST)]
_Amount = (
    Annotated[int, Meta(ge=-_LARGEST_USAGE, le=_LARGEST_USAGE)]
    | Annotated[float, Meta(ge=-_LARGEST_USAGE, le=_LARGEST_USAGE)]
)


class _PlainOutput(msgspec.Struct):
    task_id: _Id | None = None
    task_status: _Word | None = None
    urls: Annotated[list[str], Meta(max_length=_MOST_URLS)] | None = None
    error_message: None = None
    submit_time: _Moment | None = None
    finish_time: _Moment | None = None


class _PlainBody(msgspec.Struct):
    """An answer as documented, with nothing in it that had to be mended or cut: nearly every one is."""

    output: _PlainOutput
    usage: Annotated[dict[_Word, _Amount], Meta(max_length=_MOST_USAGE)] | None = None
    request_id: _RequestId | None = None

    @property
    def clean(self) -> bool:
        """Whether its texts, in ASCII, may stand as they are; patterns in the types would say it at ten times the cost.

        Words are words, and neither an id nor a URL is blank. JSON holds no bare control characters, so that there is
        no white space but blanks.
        """
        output = self.output
        if " " in (output.task_status or "") or " " in (self.request_id or ""):
            return False
        for word in self.usage or ():
            if " " in word:
                return False
        for url in output.urls or ():
            if not url or url.isspace():
                return False
        task_id = output.task_id
        return task_id is None or (task_id != "" and not task_id.isspace())


class _Error(msgspec.Struct):
    code: msgspec.Raw = _NOTHING
    message: msgspec.Raw = _NOTHING
    param: msgspec.Raw = _NOTHING


_PLAIN_BODY = msgspec.json.Decoder(_PlainBody)
_BODY = msgspec.json.Decoder(_Body)
_OUTPUT = msgspec.json.Decoder(_Output)
_ERROR = msgspec.json.Decoder(_Error)
_ANYTHING = msgspec.json.Decoder()


class Traits(Value):
    """What a model wants beside its fields."""

    headers: Mapping[str, str] = made(default_factory=dict)
    """Of its submits, beside ours."""
    external_id: str | None = None
    """Dotted path of the field that carries a caller's id for the task, such as `parameters.external_task_id`."""


# -- to the service


def encode_submit(
    job: Job, *, first_frame_form: bool = False, external_id: tuple[str, str] | None = None
) -> tuple[bytes | LocalFile, ...]:
    """The body of a submit (§4) in its order: JSON, and between it the files whose Base64 belongs there.

    Empty `input` and `parameters` are left out. `first_frame_form` sends Wan2.2-I2V's `image_url` as
    `first_frame_url` (§14). `external_id` is the dotted path and the value of our own id for the task (§8). The job
    stays as it is. Raises UnicodeEncodeError where a text is no Unicode.
    """
    request: dict[str, Any] = {"model": job.model, "input": job.input, "parameters": job.parameters}
    for number, file in enumerate(job.files):
        request = _replaced(request, file.field.split("."), _media(file, b"%b%d%b" % (_MARK, number, _MARK)))
    if external_id is not None:
        request = _replaced(request, external_id[0].split("."), external_id[1])
    if first_frame_form and job.model == WAN22_I2V:
        request["input"] = _with_first_frame(request["input"])
    encoded = msgspec.json.encode({name: value for name, value in request.items() if value}, enc_hook=_as_dict)
    if not job.files:
        return (encoded,)
    pieces = encoded.split(_MARK)
    return tuple(job.files[int(piece)] if place % 2 else piece for place, piece in enumerate(pieces))


def is_given(job: Job, path: str) -> bool:
    """Whether the job sets a field of its own, such as `parameters.external_task_id`."""
    section, _, name = path.partition(".")
    return name in (job.input if section == "input" else job.parameters)


def _media(file: LocalFile, base64: bytes) -> msgspec.Raw | dict[str, Any]:
    """A local file in the form that the model wants (§11), as JSON around its Base64."""
    mime = file.mime.lower()  # Seedance refuses a data URI whose type is not in lower case; no model minds
    if file.form is MediaForm.OBJECT:
        return {"bytesBase64Encoded": msgspec.Raw(b'"%b"' % base64), "mimeType": mime}
    head = msgspec.json.encode(f"data:{mime};base64," if file.form is MediaForm.DATA_URI else "")
    return msgspec.Raw(b'%b%b"' % (head[:-1], base64))


def _replaced(whole: Any, path: Sequence[str], text: str | msgspec.Raw | dict[str, Any]) -> Any:
    """A copy of `whole` with `text` at `path`; what lies beside the path is shared."""
    if not path:
        return text
    here, rest = path[0], path[1:]
    if isinstance(whole, Mapping):
        return {**whole, here: _replaced(whole.get(here), rest, text)}
    items = list(whole)
    items[int(here)] = _replaced(items[int(here)], rest, text)
    return items


def _with_first_frame(given: Mapping[str, Any]) -> Mapping[str, Any]:
    if "first_frame_url" in given:
        return given
    return {("first_frame_url" if name == "image_url" else name): value for name, value in given.items()}


def _as_dict(value: Any) -> dict[str, Any]:
    """Read-only mappings, which the encoder does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


# -- from the service


def unhidden(text: str) -> str:
    """The `Hide` of someone without a key."""
    return text


def decode_accepted(body: bytes, base_url: str, *, hide: Hide = unhidden) -> Task:
    """The task that a submit's answer tells of. Raises `UnreadableError` where there is no `output.task_id`."""
    plain = _plain(body, hide)
    if plain is not None and plain.output.task_id is not None:
        return Task(plain.output.task_id, base_url, plain.request_id or None)
    whole = _read(body)
    output = _read_output(whole)
    task_id = _task_id(output.task_id, hide) if output else None
    if task_id is None:
        raise UnreadableError("no_task_id", "the answer holds no task id")
    return Task(task_id, base_url, _text(whole.request_id, _ID_CHARS, hide))


def decode_report(body: bytes, *, hide: Hide = unhidden) -> TaskReport:
    """One answer to a status question (§5). Raises `UnreadableError` where there is no `output`.

    Everything but the status is optional: what is missing, null or of a wrong type counts as not said.
    """
    plain = _plain(body, hide)
    if plain is not None:
        return _plain_report(plain, body)
    whole = _read(body)
    output = _read_output(whole)
    if output is None:
        raise UnreadableError("no_status", "the answer holds no status")
    word = _text(output.task_status, _WORD_CHARS, hide) or ""
    state, urls = _state(word), _urls(output.urls, hide)
    return TaskReport(
        state=state,
        word=word,
        urls=urls,
        error_message=_text(output.error_message, _REASON_CHARS, hide),
        submit_time=_moment(output.submit_time),
        finish_time=_moment(output.finish_time),
        usage=_usage(whole.usage, hide),
        request_id=_text(whole.request_id, _ID_CHARS, hide),
        task_id=_task_id(output.task_id, hide),
        excerpt=excerpt(body, hide=hide) if state in _SHOWN_STATES and not urls else "",
    )


def _plain_report(plain: _PlainBody, body: bytes) -> TaskReport:
    output = plain.output
    word = output.task_status or ""
    state = _state(word)
    return TaskReport(
        state,
        word,
        tuple(output.urls or ()),
        None,
        output.submit_time,
        output.finish_time,
        plain.usage or {},
        plain.request_id or None,
        output.task_id,
        excerpt(body) if state in _SHOWN_STATES and not output.urls else "",
    )


@lru_cache(maxsize=100)
def _state(word: str) -> TaskState:
    return STATES.get(word.lower(), TaskState.UNRECOGNISED)


def decode_refusal(body: bytes, *, hide: Hide = unhidden) -> Refusal | None:
    """The error envelope in a body, or None where there is none (HTML of a proxy, an empty body, a good answer).

    `error` may be a bare sentence, and `code` and `message` may stand at the top.
    """
    try:
        whole = _read(body)
    except UnreadableError:
        return None
    error = _read_error(whole)
    code = (_text(error.code, _WORD_CHARS, hide) or "").lower()
    message = _text(error.message, EXCERPT_CHARS, hide) or ""
    if not code and not message:
        return None
    # `param` carries the request id, whatever its name says (§7.1).
    request_id = _text(whole.request_id, _ID_CHARS, hide) or _text(error.param, _ID_CHARS, hide)
    return Refusal(code, message, request_id)


def excerpt(body: bytes, limit: int = EXCERPT_CHARS, *, hide: Hide = unhidden) -> str:
    """The beginning of a body for people: at most `limit` characters, on one line, without control characters."""
    # The key goes first: a cut through its middle would leave half of it.
    return clean(hide(_decoded(body)), limit)


def clean(text: str, limit: int) -> str:
    """At most `limit` printable characters; everything else, lone surrogates too, becomes single spaces."""
    if len(text) <= limit and " " not in text and text.isprintable():
        return text
    head = text[: 4 * limit]
    if not head.isprintable():
        head = "".join(char if char.isprintable() else " " for char in head)
    return " ".join(head.split())[:limit].rstrip()


def _decoded(body: bytes) -> str:
    """As text, whatever the bytes: a proxy's GBK must not cost us a task id."""
    return body.decode("utf-8", "replace").removeprefix("\ufeff").strip("\0 \t\r\n")


def _plain(body: bytes, hide: Hide) -> _PlainBody | None:
    """The answer, in one go, where it is as documented and each of its texts may be shown as it stands; else None.

    In ASCII without escapes and without DEL there is no character that may not be shown, and what hides nothing in the
    whole hides nothing in any part of it.
    """
    if not body.isascii():
        return None
    text = body.decode("ascii")
    if "\\" in text or "\x7f" in text or hide(text) != text:
        return None
    try:
        plain = _PLAIN_BODY.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return plain if plain.clean else None


def _read(body: bytes) -> _Body:
    text = _decoded(body)
    if not text:
        raise UnreadableError("empty_answer", "the answer is empty")
    try:
        try:
            return _BODY.decode(text)
        except msgspec.DecodeError:
            # A text that the service cut in the middle of an emoji must not hide the state beside it.
            return _BODY.decode(_LONE_SURROGATE.sub(r"\\ufffd", text))
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise UnreadableError("not_json", "the answer is not a JSON object") from exc


def _read_output(whole: _Body) -> _Output | None:
    try:
        return _OUTPUT.decode(whole.output)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _read_error(whole: _Body) -> _Error:
    if isinstance(_value(whole.error), str):
        return _Error(whole.code, whole.error)
    try:
        return _ERROR.decode(whole.error)
    except (msgspec.MsgspecError, RecursionError):
        return _Error(whole.code, whole.message)


def _value(said: msgspec.Raw) -> Any:
    """What stands there; None where it is missing, null or beyond what JSON can carry."""
    if said is _NOTHING:
        return None
    try:
        return _ANYTHING.decode(said)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _spelt(said: msgspec.Raw) -> str:
    """The very characters of a member."""
    return bytes(said).decode("utf-8", "replace")


def _task_id(said: msgspec.Raw, hide: Hide) -> str | None:
    """Opaque: a string as it is, a number as it is written (no detour through floats).

    What is longer than any id, or holds the key, is none: it would be written down and shown as it is.
    """
    value = _value(said)
    if _is_number(value):
        value = _spelt(said)
    return value if isinstance(value, str) and is_task_id(value, hide=hide) else None


def is_task_id(text: str, *, hide: Hide = unhidden) -> bool:
    """Whether a text can be the id of a task, whoever says so."""
    return bool(text.strip()) and len(text) <= _TASK_ID_CHARS and not _holds_key(text, hide)


def _holds_key(text: str, hide: Hide) -> bool:
    return len(text) - len(hide(text)) >= _SECRET_CHARS - len("***")


def _text(said: msgspec.Raw, limit: int, hide: Hide) -> str | None:
    """Words for people, from a string or anything else that is not empty."""
    value = _value(said)
    if value is None or value in ("", {}, []):
        return None
    text = value if isinstance(value, str) else _spelt(said)
    return clean(hide(text), limit) or None


def _urls(said: msgspec.Raw, hide: Hide) -> tuple[str, ...]:
    """The first hundred that may be asked for: a URL that holds the key would carry it to another host."""
    value = _value(said)
    found = value[:_MOST_URLS] if isinstance(value, list) else []
    return tuple(url for url in found if isinstance(url, str) and url.strip() and not _holds_key(url, hide))


def _moment(said: msgspec.Raw) -> float | None:
    """Unix seconds from an integer, a fraction or a numeric text."""
    value = _value(said)
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,20}(\.\d{1,20})?\s*", value, re.ASCII):
        value = float(value)
    if not _is_number(value):
        return None
    return float(value) if _EARLIEST <= value <= _LATEST else None


def _usage(said: msgspec.Raw, hide: Hide) -> Mapping[str, Any]:
    value = _value(said)
    if not isinstance(value, dict):
        return {}
    return {
        clean(hide(name), _WORD_CHARS): clean(hide(amount), EXCERPT_CHARS) if isinstance(amount, str) else amount
        for name, amount in islice(value.items(), _MOST_USAGE)
        if isinstance(amount, str) or (_is_number(amount) and abs(amount) <= _LARGEST_USAGE)
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# -- tasks that ended badly

_WRAPPED = re.compile(
    r"\s*code\s*=\s*(?P<code>[^,;\s]*)\s*[,;]?\s*(?:message\s*=\s*(?P<message>.*))?", re.DOTALL | re.IGNORECASE
)
_MODERATION = re.compile(r"sensitive|inspection|moderation|copyright|real person|敏感|审核", re.IGNORECASE)


def task_failure(report: TaskReport) -> Failure:
    """Why a task ended badly (§7.5), for a report whose state is a bad end.

    The code is `expired`, `cancelled`, `moderation`, the upstream's own in lower case, or `failed`.
    """
    given = report.error_message or ""
    wrapped = _WRAPPED.fullmatch(given)
    message = ((wrapped["message"] or "") if wrapped else given).strip()
    if report.state is TaskState.EXPIRED:
        return Failure(Stage.GENERATE, "expired", message or "the task outlived its time at the service")
    if report.state is TaskState.CANCELLED:
        return Failure(Stage.GENERATE, "cancelled", message or "the task was cancelled at the service")
    return Failure(Stage.GENERATE, _reason_code(given, wrapped), message or "the service gave no reason")


def _reason_code(given: str, wrapped: re.Match[str] | None) -> str:
    if _MODERATION.search(given):
        return "moderation"
    kling = next((code for code, words in KLING_CODES.items() if words.search(given)), "")
    upstream = re.sub(r"[^a-z0-9_.-]", "", wrapped["code"].lower())[:_WORD_CHARS] if wrapped else ""
    return kling or upstream or "failed"
