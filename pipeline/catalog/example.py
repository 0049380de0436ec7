"""A small job for each request shape that its checks accept."""

from collections.abc import Mapping
from typing import Any

from pipeline.catalog.check import check_request
from pipeline.catalog.conditions import MISSING, lookup
from pipeline.catalog.entry import Entry, Field

_PROMPT = "the surfer waves at the camera"
_FILES = {"image": "picture.jpg", "video": "clip.mp4", "audio": "sound.mp3", "mixed": "picture.jpg"}
_SHOWN = ("input.prompt", "parameters.resolution", "parameters.size")
"""Optional fields that an example shows, because nearly everybody sets them."""
_ROUNDS = 5
"""Mending one complaint may bring another; no entry needs more than two."""


def example_of(entry: Entry) -> dict[str, Any]:
    """`{"model": …, "input": {…}, "parameters": {…}}`, as short as the entry's fields and rules allow."""
    request: dict[str, Any] = {"model": entry.ids[0], "input": {}, "parameters": {}}
    for path in _wanted(entry):
        _put(request, path, entry)
    for condition in entry.selector[0] if entry.selector else ():
        if condition.test == "in":
            _put(request, condition.path, entry, condition.operand[0])
        elif condition.test == "present" and condition.operand:
            _put(request, condition.path, entry)
    for _ in range(_ROUNDS):
        missing = [one.path for one in check_request(entry, request) if one.missing]
        for path in missing:
            _put(request, path, entry)
    return {name: value for name, value in request.items() if value}


def _wanted(entry: Entry) -> list[str]:
    """Required fields, those that an example shows, and a picture where the model starts from one."""
    wanted = [path for path, described in entry.fields.items() if described.required or path in _SHOWN]
    if "t2v" not in entry.kinds and not any(entry.fields[path].media for path in wanted):
        wanted += [path for path, described in entry.fields.items() if described.media and not described.item][:1]
    return [path for path in entry.fields if path in wanted]


def _put(request: dict[str, Any], path: str, entry: Entry, value: Any = MISSING) -> None:
    if path == "model":
        request["model"] = value
        return
    described = entry.field_at(path)
    section, _, name = path.partition(".")
    if described and "." not in name and lookup(request, path) is MISSING:
        request[section][name] = _sample(described) if value is MISSING else value


def _sample(described: Field) -> Any:
    """A value that the field takes: its default, its first value, or something plausible."""
    for known in (described.default, described.assumed_default, *described.enum[:1]):
        if known is not MISSING:
            return known
    if described.media:
        return _media(described)
    if described.type == "array":
        return [_sample(described.item)] * (described.min_items or 1) if described.item else []
    if described.type == "object":
        return _object(described)
    if described.note.startswith("may be empty"):
        return ""
    plain = {"integer": int(described.min or 1), "number": described.min or 1.0, "boolean": False}
    return plain.get(described.type, _PROMPT if described.name in ("prompt", "text") else described.name)


def _media(described: Field) -> str:
    """A local file where the model takes no URL."""
    kind = described.media.kind if described.media else "image"
    name = _FILES[kind]
    return f"https://example.com/{name}" if described.media and "url" in described.media.forms else name


def _object(described: Field) -> dict[str, Any]:
    fields: Mapping[str, Field] = next(iter(described.variants.values()), described.fields)
    return {name: _sample(inner) for name, inner in fields.items() if inner.required}
