"""The rules of an entry held against a request: what must be given together, and what excludes what."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pipeline.catalog.conditions import MISSING, Condition, is_given, lookup, same
from pipeline.catalog.entry import Entry, Rule
from pipeline.catalog.wording import json_type, listed, plain, shown

Said = Iterator[tuple[str, str]]
"""The path at fault, and the sentence with the mend."""


class Finding(Struct, frozen=True):
    """One thing that the catalog says about a request."""

    path: str
    message: str
    warning: bool = False
    unknown: bool = False
    """The entry has no field at the path."""
    meant: str = ""
    """…and the path that was probably meant."""

    @property
    def missing(self) -> bool:
        """Nothing is given at the path, and something must be."""
        return self.message.startswith("is missing")


def check_rules(entry: Entry, request: Mapping[str, Any]) -> Iterator[Finding]:
    """What the rules say about a request, in their order."""
    for rule in entry.rules:
        if entry.all_hold(rule.when, request):
            for path, message in _VERBS[rule.verb](entry, rule, request):
                yield Finding(path, message, rule.warning)


def _require(_entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    for path in rule.paths:
        if not is_given(request, path):
            yield path, f"is missing; the model requires it{_because(rule, request)}"


def _require_any(_entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    if not any(is_given(request, path) for path in rule.paths):
        yield rule.paths[0], f"is missing; give at least one of {listed(rule.paths, 'and')}"


def _require_one(_entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    given = [path for path in rule.paths if is_given(request, path)]
    if not given:
        yield rule.paths[0], f"is missing; give exactly one of {listed(rule.paths, 'and')}"
    elif len(given) > 1:
        yield given[1], f"excludes {given[0]}; give exactly one of {listed(rule.paths, 'and')}"


def _forbid(_entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    for path in rule.paths:
        if is_given(request, path):
            yield path, f"does not belong here{_because(rule, request)}; leave it out"


def _ignored(_entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    for path in rule.paths:
        if is_given(request, path):
            yield path, f"has no effect{_because(rule, request)}"


def _allow(entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    for path, values in rule.bounds.items():
        value = entry.value_at(request, path)
        if value is not MISSING and not any(same(value, one) for one in values):
            yield (
                path,
                f"{_value(request, path, value)} is not offered{_because(rule, request)}; {_choice(values)}",
            )


def _range(entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    for path, (low, high) in rule.bounds.items():
        value = entry.value_at(request, path)
        if json_type(value) in ("integer", "number") and not low <= value <= high:
            yield (
                path,
                f"{_value(request, path, value)} is out of range{_because(rule, request)}; write {low} to {high}",
            )


def _count(_entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    for path, (low, high) in rule.bounds.items():
        value = lookup(request, path)
        items = len(value) if isinstance(value, list) else 0
        if not low <= items <= high:
            wanted = f"at most {high}" if items > high else f"at least {low}"
            yield path, f"has {items} items; the model takes {wanted}{_because(rule, request)}"


def _fire(_entry: Entry, rule: Rule, _request: Mapping[str, Any]) -> Said:
    yield rule.paths[0] if rule.paths else "model", rule.why or f"look at this again ({rule.id})"


def _check(entry: Entry, rule: Rule, request: Mapping[str, Any]) -> Said:
    return CHECKS[rule.check or ""](entry, request)


_VERBS: Mapping[str, Callable[[Entry, Rule, Mapping[str, Any]], Said]] = {
    "require": _require,
    "require_any": _require_any,
    "require_one": _require_one,
    "forbid": _forbid,
    "ignored": _ignored,
    "allow": _allow,
    "range": _range,
    "count": _count,
    "fire": _fire,
    "check": _check,
}


# -- words


def _value(request: Mapping[str, Any], path: str, value: Any) -> str:
    return shown(value) if is_given(request, path) else f"{shown(value)}, the default,"


def _choice(values: Sequence[Any]) -> str:
    return f"choose {listed(values)}" if len(values) > 1 else f"write {listed(values)}"


def _because(rule: Rule, request: Mapping[str, Any]) -> str:
    """Under which circumstances the rule holds, in words that name what the author wrote."""
    if rule.why:
        return f" ({rule.why})"
    said = [_circumstance(condition, request) for condition in rule.when]
    return f" with {plain(listed(said, 'and'), 200)}" if said else ""


def _circumstance(condition: Condition, request: Mapping[str, Any]) -> str:
    value = lookup(request, condition.path)
    if condition.test == "present":
        return condition.path if condition.operand else f"no {condition.path}"
    if condition.test in ("any_item", "none_item"):
        wanted = listed([f"{name}: {shown(one)}" for name, one in condition.operand.items()], "and")
        return f"{wanted} in {condition.path}" if condition.test == "any_item" else f"no {wanted} in {condition.path}"
    if value is MISSING:
        return f"{condition.path} by default"
    return f"{condition.path}: {value if condition.path == 'model' else shown(value)}"


# -- checks that are code


def _multi_prompt_sum(entry: Entry, request: Mapping[str, Any]) -> Said:
    """The shots' durations, whole seconds as text, add up to the length of the video."""
    shots = lookup(request, "parameters.multi_prompt")
    if not isinstance(shots, list):
        return
    total = 0
    for position, shot in enumerate(shots):
        said = shot.get("duration") if isinstance(shot, Mapping) else None
        if not isinstance(said, str):
            return  # the type of the field is complained about already
        if not (said.isascii() and said.isdigit() and len(said) < 10 and int(said) >= 1):
            where = f"parameters.multi_prompt.{position}.duration"
            yield where, f"{shown(said)} is no length of a shot; write whole seconds from 1 on, in quotes"
            return
        total += int(said)
    length = entry.value_at(request, "parameters.duration")
    if json_type(length) == "integer" and total != length:
        default = "" if is_given(request, "parameters.duration") else ", the default"
        yield (
            "parameters.multi_prompt",
            f"its shots add up to {total} s, but parameters.duration is {length}{default}; make the two equal",
        )


def _kling_frames(entry: Entry, request: Mapping[str, Any]) -> Said:
    """A last frame needs a first one and at most two pictures; a clip to be edited takes no frames."""
    path = "parameters.image_list"
    types = [item.get("type") for item in _objects(request, path)]
    frames = [one for one in types if one in ("first_frame", "end_frame")]
    if "end_frame" in types and "first_frame" not in types:
        yield path, "has an end_frame without a first_frame; give both, or the first_frame alone"
    if "end_frame" in types and len(types) > 2:
        yield path, f"has {len(types)} pictures; with an end_frame the model takes at most two"
    for frame in ("first_frame", "end_frame"):
        if types.count(frame) > 1:
            yield path, f"has {types.count(frame)} pictures of type {frame}; give one"
    if frames and _edits(entry, request):
        yield path, f"has a {frames[0]}, but parameters.video_list holds a clip to edit; leave the type out"


def _edits(entry: Entry, request: Mapping[str, Any]) -> bool:
    return entry.all_hold((Condition("parameters.video_list", "any_item", {"refer_type": "base"}),), request)


def _seedance_content(_entry: Entry, request: Mapping[str, Any]) -> Said:
    """A draft stands alone; frames are one first and, only beside it, one last; two pictures say which is which."""
    path = "input.content"
    items = _objects(request, path)
    if any(item.get("type") == "draft_task" for item in items) and len(items) > 1:
        yield path, "has a draft_task beside other items; a draft_task stands alone"
    roles = [item.get("role") for item in items if item.get("type") == "image_url"]
    frames = [role for role in roles if role in (None, "first_frame", "last_frame")]
    for role in ("first_frame", "last_frame"):
        if frames.count(role) > 1:
            yield path, f"has {frames.count(role)} pictures with the role {role}; give one"
    if len(frames) > 2:
        yield path, f"has {len(frames)} pictures as frames; the model takes at most two"
    elif len(frames) == 2 and None in frames:
        yield path, "has two pictures; say which is which: role: first_frame and role: last_frame"
    elif "last_frame" in frames and "first_frame" not in frames:
        yield path, "has a last_frame without a first_frame; give both"


def _objects(request: Mapping[str, Any], path: str) -> list[Mapping[str, Any]]:
    value = lookup(request, path)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


CHECKS: Mapping[str, Callable[[Entry, Mapping[str, Any]], Said]] = {
    "multi_prompt_sum": _multi_prompt_sum,
    "kling_frames": _kling_frames,
    "seedance_content": _seedance_content,
}
