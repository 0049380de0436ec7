"""The settings of a run: read from five places, validated once, frozen from then on.

Later places win: defaults < config file < the manifest's `run:` < environment (`PIPELINE_<NAME>`) < flags.
The API key is no setting: it is read by `read_api_key` and handed to the client alone.
"""

import os
import re
import typing
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from pipeline.core.errors import SettingsError

DEFAULT_ENDPOINT = "https://api.modelverse.cn"

_VENDOR = (
    r"https://api(-[a-z]+)*\.(modelverse\.cn|umodelverse\.ai)(:443)?(/.*)?"
    r"|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/.*)?"
)
"""The vendor's hosts (`reference: modelverse-api.md` §2), and this machine: the key leaves for nobody else's."""
_MOST_MONEY = 1_000_000_000
_ASSIGNED = r"^\s*(export\s+)?\w*(KEY|TOKEN)\s*=\s*[^=\s]"
"""How a shell or a `.env` file gives a key its name; a key itself has `=` at most at its end."""
_NEARLY = 0.8
"""How alike (0 to 1) the name of a variable must be to a setting's to be taken for a slip."""
_SHOWN = 60
"""Characters of a word of unknown origin that a message shows."""
_DURATION = r"(?:([0-9]+(?:\.[0-9]+)?)\s*(d|h|m|s|ms))+"
_DURATION_PART = r"([0-9]+(?:\.[0-9]+)?)\s*(ms|d|h|m|s)"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = r"([0-9]+(?:\.[0-9]+)?)\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)"
_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


def parse_duration(text: str) -> float:
    """Seconds from `90`, `90s`, `1.5h` or `1h30m`. Raises ValueError with a sentence."""
    try:
        return float(text)
    except ValueError:
        pass
    if not re.fullmatch(_DURATION, text.strip(), re.ASCII):
        raise ValueError(f"{text!r} is not a duration; write seconds, or something like 90s, 15m, 5h or 1h30m")
    return sum(float(amount) * _SECONDS[unit] for amount, unit in re.findall(_DURATION_PART, text, re.ASCII))


def parse_size(text: str) -> int:
    """Bytes from `4000000`, `500MB` or `2GiB`. Raises ValueError with a sentence."""
    try:
        return int(text)
    except ValueError:
        pass
    match = re.fullmatch(_SIZE, text.strip(), re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a size; write bytes, or something like 500MB or 2GiB")
    return int(float(match[1]) * _BYTES[match[2]])


class Unit(msgspec.Struct, frozen=True):
    """How a person may write the value, beside a bare number."""

    parse: Callable[[str], float | int | Decimal]


def parse_amount(text: str) -> Decimal:
    """An exact amount of money from `200` or `199.90`. Raises ValueError with a sentence."""
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount of money; write a number such as 200 or 199.90") from None


_MONEY_UNIT = Unit(parse_amount)
_SECONDS_UNIT = Unit(parse_duration)
_BYTES_UNIT = Unit(parse_size)

Count = Annotated[int, Meta(ge=1, le=100_000)]
Seconds = Annotated[float, Meta(gt=0, le=10_000_000), _SECONDS_UNIT]
SomeSeconds = Annotated[float, Meta(ge=0, le=10_000_000), _SECONDS_UNIT]
Bytes = Annotated[int, Meta(ge=0), _BYTES_UNIT]


Command = Annotated[str, Meta(min_length=1, max_length=10_000)]
Url = Annotated[str, Meta(min_length=1, max_length=4096)]


class Notify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told how a run has ended, and when."""

    webhook: Url | None = None
    """An http(s) URL that gets the facts as JSON, by POST."""
    apprise: Annotated[tuple[Url, ...], Meta(max_length=50)] = ()
    """Channels in apprise's spelling, such as `feishu://token`; they need the extra `[notify]`."""
    on: tuple[Literal["failure", "finish", "unknown"], ...] = ("failure", "finish", "unknown")
    """`failure`: a job failed or the run stopped early; `unknown`: submits wait for a decision; `finish`: always."""


def parse_notify(text: str) -> Any:
    """The setting `notify` from JSON, for the environment. Raises ValueError with a sentence."""
    import json  # only such a variable waits for it

    try:
        return json.loads(text)
    except ValueError:
        raise ValueError('must be a mapping; in the environment as JSON, such as {"webhook": "https://…"}') from None


_NOTIFY_UNIT = Unit(parse_notify)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a run may be told, beside the manifest, the folder and the key."""

    # -- how much at once
    concurrency: Count | Literal["auto"] = 10
    """Slots: remote tasks that may run at the same time; `auto` finds their number, up to 500."""
    pollers: Count = 4
    """Status questions that may be under way at the same time."""
    downloads: Count = 4
    """Downloads that may be under way at the same time."""
    submit_rps: Annotated[float, Meta(gt=0)] | None = None
    """Submits per second at most; no cap by default."""

    # -- how long
    max_runtime: Seconds | None = None
    """Stop submitting and go home after this long; the next run goes on."""
    grace: SomeSeconds = 8.0
    """How long a stop waits for running downloads and outstanding submit answers."""
    task_timeout: Seconds = 3600.0
    """A task that runs longer gives its slot back and is looked at again by the next run."""
    outage_timeout: Seconds = 900.0
    """A submit that has met nothing but outages for this long ends the run; the job stays queued."""

    # -- what to submit
    order: Literal["auto", "manifest", "longest-first"] = "auto"
    """Which jobs go first; `auto`: the longest class, in a batch of fewer than ten jobs a slot."""
    limit: Annotated[int, Meta(ge=0)] | None = None
    """Submit at most this many jobs in this run."""
    select: Annotated[str, Meta(max_length=1000)] | None = None
    """Submit only jobs whose id matches this shell pattern; what is already running is collected all the same."""
    retry_failed: bool = False
    """Buy another attempt for jobs that failed."""
    resubmit_unknown: bool = False
    """Buy another attempt for jobs whose submit has an unknown outcome: some may then be paid twice."""
    on_changed: Literal["error", "keep", "rerun"] = "error"
    """What to do with a row that changed since it was enrolled: refuse, leave the old job, or buy it anew."""

    # -- how much in all, over every run into the folder
    budget: Annotated[Decimal, _MONEY_UNIT] | None = None
    """Money, in the catalog's currency: nothing is submitted that could exceed it in the worst case."""
    max_jobs: Annotated[int, Meta(ge=0)] | None = None
    """Paid tasks at most, further attempts and unknown submits included."""
    max_seconds: SomeSeconds | None = None
    """Seconds of video at most."""
    allow_unpriced: bool = False
    """Under a budget or `max_seconds`, buy also what has no known price or length; it counts as nothing."""

    # -- what a manifest is checked by
    catalog: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """A YAML file of your own that changes models and prices, or adds some."""
    allow_unknown_fields: bool = False
    """Send fields that the catalog does not know, with a warning; else they are mistakes."""

    # -- the service
    endpoint: str = DEFAULT_ENDPOINT
    """Base URL of the service. A manifest may name only the vendor's hosts and this machine: the key goes there."""
    auth_scheme: Literal["bearer", "raw"] = "bearer"
    """`Authorization: Bearer <key>`, or the bare key as some of the vendor's pages print it."""
    first_frame_form: bool = False
    """Send Wan2.2-I2V's `image_url` as `first_frame_url`, the vendor's newer form (which then needs a prompt)."""
    connect_timeout: Seconds = 15.0
    """How long a connection may take to be made."""
    submit_timeout: Annotated[float, Meta(ge=1, le=3600), _SECONDS_UNIT] = 90.0
    """How long a submit waits for its answer, beyond `connect_timeout`. A short one makes unknown outcomes."""
    status_timeout: Seconds = 30.0
    """How long a status question waits for its answer, beyond `connect_timeout`."""
    retry_after_ceiling: Seconds = 60.0
    """No single pause that the service asks for is longer than this."""

    # -- when to ask
    poll_lag: Seconds = 1.0
    """Mean time wanted from a task's end to the question that finds it; when to ask is learned from earlier tasks."""
    status_rps: Annotated[float, Meta(gt=0)] | None = None
    """Status questions per second at most, over all tasks; no cap by default."""

    # -- the videos
    stall_timeout: Seconds = 60.0
    """A download that brings no byte for this long, or less than 1 KiB a second over it, is broken off and resumed."""
    max_video_bytes: Bytes = 4_000_000_000
    """A larger result is refused."""
    max_redirects: Annotated[int, Meta(ge=0, le=50)] = 5
    """Redirects that a download follows."""
    download_tries: Count = 5
    """Tries of one download in one run; the next run tries again."""
    min_free_bytes: Bytes = 500_000_000
    """Submitting pauses while less than this is free where the videos go."""
    max_backlog: Count = 100
    """Submitting pauses while more finished tasks than this wait for their download."""

    # -- beside the videos
    report: bool = True
    """Write report.html at the end of a run that did something, in a batch of up to 100,000 jobs."""
    sidecar: bool = False
    """Write a JSON file beside each video: request, task, hashes, times, price and version."""
    metrics_file: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """Keep Prometheus metrics of the run in this file; needs the extra `[metrics]`."""
    on_job: Command | None = None
    """A shell command for every job that ends: facts in its environment, and as JSON on its standard input."""
    on_finish: Command | None = None
    """A shell command for the end of a run, in the same way."""
    hook_timeout: Seconds = 60.0
    """A command of `on_job` or `on_finish` that runs longer is killed."""
    notify: Annotated[Notify, _NOTIFY_UNIT] | None = None
    """Who is told how a run has ended: `webhook`, `apprise`, and `on`."""
    wait_lock: SomeSeconds | None = None
    """How long to wait for another run that holds the output folder; else it is left alone at once, with exit 75."""

    # -- the machine
    event_loop: Literal["auto", "standard"] = "auto"
    """`auto`: uvloop where the extra `[fast]` is installed, else Python's own, as `standard`; for commands alone."""

    # -- the screen
    progress: Literal["auto", "rich", "plain", "none"] = "auto"
    """What is shown while a run goes on; `auto`: `rich` on a terminal, `plain` elsewhere, `none` beside a JSON log."""
    log_format: Literal["text", "json"] = "text"
    """`json` writes one object a line to standard error, with a stable `event` and a `time`."""

    @property
    def service(self) -> "ServiceSettings":
        """What the client needs."""
        return ServiceSettings(
            endpoint=self.endpoint.rstrip("/"),
            auth_scheme=self.auth_scheme,
            first_frame_form=self.first_frame_form,
            connect_timeout=self.connect_timeout,
            submit_timeout=self.submit_timeout,
            status_timeout=self.status_timeout,
        )

    @property
    def fetch(self) -> "FetchSettings":
        """What the video store needs."""
        return FetchSettings(
            connect_timeout=self.connect_timeout,
            stall_timeout=self.stall_timeout,
            max_bytes=self.max_video_bytes,
            max_redirects=self.max_redirects,
        )


class ServiceSettings(msgspec.Struct, frozen=True):
    """The client's part of the settings; seconds."""

    endpoint: str = DEFAULT_ENDPOINT
    auth_scheme: Literal["bearer", "raw"] = "bearer"
    first_frame_form: bool = False
    connect_timeout: float = 15.0
    submit_timeout: float = 90.0
    status_timeout: float = 30.0


class FetchSettings(msgspec.Struct, frozen=True):
    """The video store's part of the settings; seconds and bytes."""

    connect_timeout: float = 15.0
    stall_timeout: float = 60.0
    max_bytes: int = 4_000_000_000
    max_redirects: int = 5


NAMES = Settings.__struct_fields__
OWNERS = ("metrics_file", "on_job", "on_finish", "notify")
"""Settings that run commands, write files anywhere or send facts to a host: a manifest's author may not choose them."""


@cache
def units() -> dict[str, Unit]:
    """The fields whose values a person may write with a unit."""
    found = {}
    for name, hint in typing.get_type_hints(Settings, include_extras=True).items():
        for candidate in (hint, *typing.get_args(hint)):
            for extra in getattr(candidate, "__metadata__", ()):
                if isinstance(extra, Unit):
                    found[name] = extra
    return found


class Layer(msgspec.Struct, frozen=True):
    """One place that settings come from."""

    origin: str
    """For error messages: `run: in demo.yaml`, `flag --concurrency`."""
    values: Mapping[str, Any]
    textual: bool = False
    """Values are strings (environment) and are typed by the field."""
    in_manifest: bool = False
    """Values may have been written by somebody else: they cannot send the API key to a host of their own."""


def build_settings(*layers: Layer) -> Settings:
    """Merge the layers (later wins) and validate each value once, naming its origin.

    Raises `SettingsError` with one line for each value that is wrong.
    """
    merged: dict[str, Any] = {}
    wrong: list[str] = []
    for layer in layers:
        typed, complaints = _read(layer)
        merged |= typed
        wrong += [f"{layer.origin}: {_plain(str(name))}: {complaint}" for name, complaint in complaints.items()]
    if wrong:
        raise SettingsError("\n".join(wrong))
    return msgspec.convert(merged, Settings) if merged else Settings()


def judging_settings(*layers: Layer) -> Settings:
    """The settings that a manifest is checked by, read before it.

    What is wrong in the manifest's own `run:` is left to that check, unless something is wrong elsewhere as well.
    Raises `SettingsError` as a run would: a settings file that a check lets pass is one that a run takes.
    """
    try:
        return build_settings(*map(_sound, layers))
    except SettingsError:
        return build_settings(*layers)


def _sound(layer: Layer) -> Layer:
    """The layer without what the check of a manifest reports itself."""
    wrong = complaints_about(layer.values) if layer.in_manifest else {}
    return replace(layer, values={name: one for name, one in layer.values.items() if name not in wrong})


def complaints_about(values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with each setting of a manifest's `run:`, by its name."""
    return _read(Layer("run", values, in_manifest=True))[1]


def _read(layer: Layer) -> tuple[dict[str, Any], dict[str, str]]:
    """The typed values of a layer, and a complaint about each of the others."""
    typed: dict[str, Any] = {}
    complaints: dict[str, str] = {}
    for name, value in layer.values.items():
        try:
            typed[name] = _typed(name, value, layer.textual)
            if name == "endpoint" and layer.in_manifest:
                _check_vendor(typed[name])
            if layer.in_manifest:
                _check_owner(name)
        except SettingsError as error:
            complaints[name] = error.message
    return typed, complaints


def _typed(name: Any, value: Any, textual: bool) -> Any:
    """The value as its field wants it. Raises `SettingsError` with a sentence."""
    if name not in NAMES:
        import difflib  # only a mistake waits for it

        near = difflib.get_close_matches(str(name)[:_SHOWN], NAMES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"no such setting{hint}")
    try:
        if isinstance(value, str) and name in units():
            value = units()[name].parse(value)
        converted = msgspec.convert({name: value}, Settings, strict=not textual)
    except msgspec.ValidationError as error:
        if name == "notify":  # what it holds opens somebody's channel
            raise SettingsError(_plain(str(error).replace("`", "").replace("$.", ""), 200)) from None
        raise SettingsError(f"{_sentence(name, str(error))}; got {_plain(repr(value))}") from None
    except (ValueError, OverflowError) as error:
        raise SettingsError(_plain(str(error), 200)) from None
    if name == "endpoint":
        _check_endpoint(converted.endpoint)
    if name == "budget":
        _check_budget(converted.budget)
    return getattr(converted, name)


_OUTSIDE = "is not for a manifest, which may be somebody else's; name it in a file with -c, by a flag, or by {variable}"
_EXPECTED = r"Expected `(\w+)(?: \| null)?`(?: (>=|<=|>|<) ([\d.]+))?"
_KINDS = {"int": "a whole number", "decimal": "a number", "float": "a number", "bool": "true or false", "str": "text"}
_BOUNDS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}


def _sentence(name: str, complaint: str) -> str:
    """The library's complaint about a value, in words for people."""
    hint = typing.get_type_hints(Settings)[name]
    if typing.get_origin(hint) is Literal:
        return f"must be one of {', '.join(typing.get_args(hint))}"
    expected = re.match(_EXPECTED, complaint)
    words = [word for part in typing.get_args(hint) if typing.get_origin(part) is Literal for word in part.__args__]
    if words:
        number = _sentence("pollers", complaint) if expected else "must be a whole number"
        return f"{number}, or {' or '.join(words)}"
    if expected is None or expected[1] not in _KINDS:
        return complaint.split(" - at `$", maxsplit=1)[0].replace("`", "")
    bound = f" {_BOUNDS[expected[2]]} {expected[3]}" if expected[2] else ""
    return f"must be {_KINDS[expected[1]]}{bound}"


def _plain(text: str, limit: int = _SHOWN) -> str:
    """Words of unknown origin for a message: cut, and escaped where they could steer a terminal."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else repr(cut)[1:-1]


def _check_vendor(endpoint: str) -> None:
    """Raises `SettingsError` where a manifest would send the key to a host that is not the vendor's."""
    if not re.fullmatch(_VENDOR, endpoint):
        raise SettingsError(
            f"{_plain(repr(endpoint))} is not a host of the vendor, and the API key would go there; "
            "name it outside the manifest: MODELVERSE_ENDPOINT, --endpoint, or a file with -c"
        )


def _check_owner(name: str) -> None:
    """Raises `SettingsError` where a manifest's author would choose what only who runs it may choose."""
    if name in OWNERS:
        raise SettingsError(_OUTSIDE.format(variable=f"PIPELINE_{name.upper()}"))


def _check_budget(budget: Decimal | None) -> None:
    if budget is not None and not (budget.is_finite() and 0 <= budget <= _MOST_MONEY):
        raise SettingsError(f"must be an amount from 0 to {_MOST_MONEY:,}; got {_plain(str(budget))}")


def _check_endpoint(endpoint: str) -> None:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", endpoint):
        raise SettingsError(f"{_plain(repr(endpoint))} is not a base URL; write something like {DEFAULT_ENDPOINT}")


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of what a manifest may set; where a unit may be written, text is as good as a number."""
    made = msgspec.json.schema(Settings)["$defs"]["Settings"]
    for name in OWNERS:
        del made["properties"][name]
    for name in units().keys() - OWNERS:
        one = made["properties"][name]
        number = {"type": "number", "minimum": 0, "maximum": _MOST_MONEY} if name == "budget" else one
        made["properties"][name] = {"anyOf": [number, {"type": ["string", "null"]}], "default": one["default"]}
    return {"type": "object", "properties": made["properties"], "additionalProperties": False}


def config_file_layer(path: Path) -> Layer:
    """The settings of a YAML file: one mapping of setting names, none of which is given twice."""
    import yaml  # slow to import, and most runs have no such file

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8-sig"))
        node = loader.get_single_node()
        _refuse_twice(path, node)
        content = None if node is None else loader.construct_document(node)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise SettingsError(f"{where}: is not valid YAML: {getattr(error, 'problem', error)}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: must be a mapping of settings, such as 'concurrency: 20'")
    told = content.get("notify")
    if isinstance(told, dict):  # YAML 1.1 takes the bare word `on` for true
        content["notify"] = {"on" if name is True else name: value for name, value in told.items()}
    return Layer(str(path), content)


def _refuse_twice(path: Path, node: Any) -> None:
    """Raises `SettingsError` where a name stands twice in one mapping: nobody can say which of the two was meant."""
    if getattr(node, "id", "") != "mapping":
        return
    for mapping in (node, *[value for _, value in node.value if value.id == "mapping"]):  # `notify` holds the deepest
        lines: dict[str, int] = {}
        for key, _ in mapping.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                raise SettingsError(
                    f"{path}:{line}: {_plain(name)}: is given twice, first in line {lines[name]}; keep one"
                )
            lines[name] = line


def environment_layer(environ: Mapping[str, str] = os.environ) -> Layer:
    """`PIPELINE_CONCURRENCY=20` and its like, and `MODELVERSE_ENDPOINT`; empty values mean "not given".

    Raises `SettingsError` where a variable looks like a slip: a budget that is misspelt must not vanish. Others are
    left alone, because some systems have `PIPELINE_…` variables of their own.
    """
    _check_slips(environ)
    values = {name: environ[f"PIPELINE_{name.upper()}"] for name in NAMES if environ.get(f"PIPELINE_{name.upper()}")}
    if environ.get("MODELVERSE_ENDPOINT"):
        values["endpoint"] = environ["MODELVERSE_ENDPOINT"]
    return Layer("environment", values, textual=True)


def _check_slips(environ: Mapping[str, str]) -> None:
    """Raises `SettingsError` where a variable's name is nearly a setting's."""
    for variable in sorted(name for name in environ if name.startswith("PIPELINE_")):
        name = variable.removeprefix("PIPELINE_").lower()
        if name in NAMES:
            continue
        import difflib  # only a mistake waits for it

        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=_NEARLY)
        if near:
            raise SettingsError(f"{_plain(variable)}: no such setting; did you mean PIPELINE_{near[0].upper()}?")


def settings_for(
    manifest_run: Mapping[str, Any], manifest_file: str, flags: Mapping[str, Any], config: Layer | None = None
) -> Settings:
    """The settings of a run, from all places in their order."""
    layers = [config] if config else []
    layers += [
        Layer(f"{manifest_file}: run", manifest_run, in_manifest=True),
        environment_layer(),
        Layer("flags", flags),
    ]
    return build_settings(*layers)


def read_api_key(key_file: Path | None, environ: Mapping[str, str] = os.environ) -> str:
    """The key, from the file if one is named and else from `MODELVERSE_API_KEY`. Raises `SettingsError`."""
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise SettingsError(f"--api-key-file {key_file}: cannot be read: {reason}") from None
        origin = str(key_file)
        if not key:
            raise SettingsError(f"--api-key-file {key_file}: is empty; put the API key into it, alone")
    else:
        key, origin = environ.get("MODELVERSE_API_KEY", "").strip(), "MODELVERSE_API_KEY"
    if not key:
        raise SettingsError(
            "there is no API key: set MODELVERSE_API_KEY, or name a file with --api-key-file, "
            "or try the manifest without paying: --rehearse"
        )
    if re.search(_ASSIGNED, key, re.MULTILINE | re.IGNORECASE | re.ASCII):
        raise SettingsError(f"{origin} holds a line NAME=key; put the key into it, alone, without the name before it")
    if not key.isascii() or not key.isprintable() or set(key) & set(" \"'"):
        raise SettingsError(f"{origin} does not hold a key: it contains spaces, quotes or characters that no key has")
    return key
