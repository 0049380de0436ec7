"""What the emulator plays: how long tasks take, how many run at once, and which trouble meets which call."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import msgspec
import yaml
from msgspec import Meta

from pipeline.core.errors import UsageError
from pipeline.emulator.refusals import REFUSALS

Chance = Annotated[float, Meta(ge=0, le=1)]
Position = Annotated[int, Meta(ge=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]

Place = Literal["submit", "status", "models", "success", "task", "download"]
"""Where a rule may strike: a call to the API (`submit`, `status`, `models`), a status answer that would say Success
(`success`), a new task (`task`), or a request for a result file (`download`)."""

_ANSWERS = frozenset(REFUSALS) | {"bad_gateway", "drop", "slow", "html", "garbage", "empty", "redirect"}

KINDS: Mapping[Place, frozenset[str]] = {
    "submit": _ANSWERS | {"no_task_id"},
    "status": _ANSWERS | {"word"},
    "models": _ANSWERS,
    "success": frozenset({"no_urls", "word"}),
    "task": frozenset({"fail", "expire", "cancel", "stick", "long", "several"}),
    "download": frozenset(
        {"cut", "wrong_length", "html", "change", "no_range", "slow", "redirect", "redirect_loop"}
        | {"expired", "missing", "gone", "unavailable", "drop"}
    ),
}
"""What may happen where: the words for `do`."""

_REFUSAL_ARGUMENTS = frozenset({"seconds", "status", "message", "retry_after", "retry_after_as"})
_NO_ARGUMENTS: frozenset[str] = frozenset()
_ARGUMENTS = dict.fromkeys(REFUSALS, _REFUSAL_ARGUMENTS) | {
    "bad_gateway": frozenset({"seconds", "status"}),
    "word": frozenset({"word"}),
    "fail": frozenset({"word", "message"}),
    "long": frozenset({"seconds"}),
    "several": frozenset({"count"}),
    "cut": frozenset({"bytes", "seconds"}),
    "wrong_length": frozenset({"bytes", "seconds"}),
    "slow": frozenset({"seconds", "rate"}),
    **dict.fromkeys(("no_urls", "expire", "cancel", "stick"), _NO_ARGUMENTS),
}
_SELECTORS = frozenset({"at", "do", "chance", "nth", "since", "until", "first", "prompt", "accepted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One rule: what happens, where, and to which calls. Every selector that is given must hold."""

    at: Place
    do: str
    """One of `KINDS[at]`."""

    # -- which calls
    chance: Chance = 1.0
    """Drawn from the scenario's seed, so that a scenario plays the same every time."""
    nth: tuple[Position, ...] = ()
    """Only these calls, counted from 1 since the emulator was started (tasks: since its folder is new)."""
    since: Position = 1
    """From this call on."""
    until: Position | None = None
    """Up to this call, it included."""
    first: Position | None = None
    """Only the first so many calls about the same task (or for the same file)."""
    prompt: str = ""
    """Only tasks whose prompt contains this, in any case."""

    # -- how
    accepted: bool = False
    """At a submit: the task is created first, so that the trouble only hides it."""
    seconds: NotNegative = 0.0
    """Wait this long before the answer (wall time); with `long`, what the task takes (service time)."""
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    """HTTP status, where it shall differ from the usual one."""
    message: str | None = None
    word: str | None = None
    """Status word of the answer, such as `Failed` or one that nobody documented."""
    retry_after: NotNegative | None = None
    """Seconds (wall time) to ask for in `Retry-After`; no such header without it."""
    retry_after_as: Literal["seconds", "date"] = "seconds"
    bytes: Annotated[int, Meta(ge=0)] = 1000
    """After how many bytes a download is cut, or how many too many its length announces."""
    rate: Positive | None = None
    """Bytes per second of a slow download (wall time)."""
    count: Annotated[int, Meta(ge=1, le=20)] = 2
    """Result files of the task."""

    def __post_init__(self) -> None:
        if self.do not in KINDS[self.at]:
            raise ValueError(f"do: at {self.at} there is no {self.do!r}{_nearest(self.do, KINDS[self.at])}")
        if self.accepted and self.at != "submit":
            raise ValueError("accepted: only a submit can be accepted")
        if self.first is not None and self.at not in ("status", "success", "download"):
            raise ValueError(f"first: counts the calls about one task, of which {self.at} has only one; use until")
        used = _SELECTORS | _ARGUMENTS.get(self.do, frozenset({"seconds"}))
        for field in fields(self):
            if field.name not in used and getattr(self, field.name) != field.default:
                raise ValueError(f"{field.name}: means nothing to {self.do!r} at {self.at}")

    def concerns(self, position: int, turn: int, prompt: str) -> bool:
        """Whether the call at this position (and this turn of its task) is meant, chance aside."""
        return (
            (not self.nth or position in self.nth)
            and position >= self.since
            and (self.until is None or position <= self.until)
            and (self.first is None or turn <= self.first)
            and (not self.prompt or self.prompt.casefold() in prompt.casefold())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One rehearsal. Seconds are the service's own, compressed by the emulator's speed, unless stated otherwise."""

    seed: int = 1
    """Of every chance, duration and picture drawn."""

    # -- the machines
    median_seconds: Positive = 50.0
    """Half of the tasks take less (the vendor's two samples took 50 and 53 s)."""
    spread: NotNegative = 0.2
    """Standard deviation of the logarithm of a duration; 0 makes every task take the median."""
    parallel: Position = 40
    """Tasks that run at the same time; the others are `Pending`, first come, first served."""

    # -- the account
    max_tasks: Position | None = None
    """Unfinished tasks that the account may have; a submit beyond it is answered with 429."""
    requests_per_second: Positive | None = None
    """Calls to the API in any second (wall time); one beyond it is answered with 429."""
    retry_after: NotNegative | None = None
    """What those two answers ask for in `Retry-After`, in seconds of wall time; no such header without it."""

    # -- what is refused
    moderated: tuple[str, ...] = ("forbidden emblem",)
    """Prompts that contain one of these are refused by moderation."""
    moderation: Literal["submit", "task"] = "submit"
    """Whether moderation refuses the submit or fails the accepted task."""
    failing: tuple[str, ...] = ("impossible staircase",)
    """Tasks whose prompt contains one of these fail."""

    # -- the answers
    stamps: Literal["whole", "fractional", "none"] = "whole"
    """How `submit_time` and `finish_time` are written, if at all."""

    # -- the result files
    link_seconds: Positive = 86_400.0
    """How long a signed URL works (the vendor states 24 hours on one page)."""
    links: Literal["fresh", "fixed"] = "fresh"
    """Whether each status answer signs anew, or the first signature, made at the finish, is the only one."""
    clips: Literal["rendered", "tiny"] = "rendered"
    """Real clips where the extra `[emulator]` is installed, or the tiny one that ships with the package."""

    trouble: tuple[Trouble, ...] = ()
    """In order: the first rule that meets a call has it."""

    def pick(self, at: Place, position: int, turn: int = 1, prompt: str = "") -> Trouble | None:
        """The rule that strikes this call, if any; the same call always meets the same fate."""
        for number, rule in enumerate(self.trouble):
            if rule.at == at and rule.concerns(position, turn, prompt) and self._falls(rule, number, position, turn):
                return rule
        return None

    def _falls(self, rule: Trouble, number: int, position: int, turn: int) -> bool:
        return rule.chance >= 1 or self.dice("trouble", number, position, turn).random() < rule.chance

    def dice(self, *what: object) -> Random:
        """Random numbers that depend on the seed and on `what` alone."""
        return Random(":".join(map(str, (self.seed, *what))))  # noqa: S311 - a rehearsal wants to be repeatable, not secret

    @staticmethod
    def load(path: Path) -> "Scenario":
        """Read a scenario from a YAML file.

        Raises `UsageError` with one sentence that names the file and the key.
        """
        content = _read_yaml(path)
        _refuse_unknown(content, Scenario, f"{path}: ")
        rules = content.get("trouble")
        for number, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, dict):
                _refuse_unknown(rule, Trouble, f"{path}: trouble[{number}].")
        try:
            return msgspec.convert(content, Scenario)
        except msgspec.ValidationError as error:
            raise UsageError(f"{path}: {_explain(str(error))}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError(f"{where}: is not valid YAML: {getattr(error, 'problem', error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must be a mapping, such as 'parallel: 10'")
    return content


def _refuse_unknown(content: Mapping[Any, Any], kind: type, where: str) -> None:
    known = [field.name for field in fields(kind)]
    for key in content:
        if key not in known:
            raise UsageError(f"{where}{key}: there is no such key{_nearest(str(key), known)}")


def _nearest(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"


def _explain(complaint: str) -> str:
    """msgspec's "Expected … - at `$.trouble[0].chance`" with the key in front."""
    sentence, _, path = complaint.replace("`", "").partition(" - at ")
    key = path.removeprefix("$").removeprefix(".")
    return f"{key}: {sentence}" if key else sentence
