"""A request held against its entry, field by field: every finding at once, nothing changed, no I/O."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from pipeline.catalog.cells import typed_text
from pipeline.catalog.conditions import MISSING, same
from pipeline.catalog.entry import Entry, Field
from pipeline.catalog.rules import Finding, check_rules
from pipeline.catalog.wording import article, json_type, listed, nearest, shown


def check_request(entry: Entry, request: Mapping[str, Any]) -> list[Finding]:
    """What is wrong or doubtful in `{"model": …, "input": {…}, "parameters": {…}}`, in the order of the request.

    Fields that the entry does not have are mistakes, or warnings where it lets them pass.
    """
    findings: list[Finding] = []
    for section, other in ((entry.input, entry.parameters), (entry.parameters, entry.input)):
        value = request.get(section.name, {})
        found = _check_members(section.fields, value, section.name, elsewhere=other)
        findings += (_let_pass(one) if entry.lets_unknown_pass and one.unknown else one for one in found)
    wrong = {finding.path for finding in findings if not finding.warning}
    return findings + [finding for finding in check_rules(entry, request) if finding.path not in wrong]


def _let_pass(finding: Finding) -> Finding:
    return replace(finding, message=f"{finding.message} (it is sent as it is)", warning=True)


def _check_members(
    fields: Mapping[str, Field], value: Mapping[str, Any], path: str, elsewhere: Field | None = None
) -> Iterator[Finding]:
    for name, inner in value.items():
        where = f"{path}.{name}"
        if name in fields:
            yield from _check_value(fields[name], inner, where)
        elif elsewhere and name in elsewhere.fields:
            message = f"no such field here; it belongs under {elsewhere.name}"
            yield Finding(where, message, unknown=True, meant=f"{elsewhere.name}.{name}")
        elif near := nearest(name, fields):
            message = f"the model has no such field; did you mean {near}?"
            yield Finding(where, message, unknown=True, meant=f"{path}.{near}")
        else:
            known = f"; known are {listed(sorted(fields), 'and')}" if fields else ""
            yield Finding(where, f"the model has no such field{known}", unknown=True)
    for name, described in fields.items():
        if described.required and name not in value:
            yield Finding(f"{path}.{name}", f"is missing; the model requires it{_example(described)}")


def _example(described: Field) -> str:
    if len(described.enum) == 1:
        return f": write {described.enum[0]}"
    return f": {listed(described.enum)}" if described.enum else ""


def _check_value(described: Field, value: Any, path: str) -> Iterator[Finding]:
    if isinstance(value, str) and described.type == "object" and described.media:
        return  # a local file in the place of the object; whether it is one is seen where files are read
    if not _is_of_type(described.type, value):
        yield Finding(path, _wrong_type(described, value))
        return
    if described.enum and not any(same(value, one) for one in described.enum):
        yield Finding(path, _not_in_enum(described.enum, value))
    if described.ignored:
        yield Finding(path, "is accepted but has no effect with this model", warning=True)
    if isinstance(value, str):
        yield from _check_text(described, value, path)
    elif isinstance(value, list):
        yield from _check_list(described, value, path)
    elif isinstance(value, Mapping):
        yield from _check_object(described, value, path)
    else:
        yield from _check_range(described, value, path)


def _is_of_type(kind: str, value: Any) -> bool:
    actual = json_type(value)
    if kind == "number":
        return actual in ("integer", "number")
    return actual == ("text" if kind == "string" else kind)


def _wrong_type(described: Field, value: Any) -> str:
    wanted = article("text" if described.type == "string" else described.type)
    if value is None:
        return f"must be {wanted}, but it is null; leave the field out or give a value"
    got = f"{shown(value)}" if isinstance(value, list | dict) else f"{article(json_type(value))} {shown(value)}"
    if described.type == "string" and not isinstance(value, list | dict):
        quoted = str(value).lower() if isinstance(value, bool) else str(value)
        mend = "put it in quotes" if not described.enum or quoted in described.enum else _offer(described.enum, quoted)
        return f"must be {wanted}, not the {got.removeprefix('an ').removeprefix('a ')}; {mend}"
    meant = typed_text(described, value) if isinstance(value, str) else MISSING
    if meant is not MISSING:
        further = next((f"and {one.message}" for one in _check_value(described, meant, "") if not one.warning), None)
        return f"must be {wanted}, {further or f'not the text {shown(value)}; write it without quotes'}"
    if isinstance(value, float) and value.is_integer() and described.type == "integer":
        return f"must be {wanted}, not {shown(value)}; write {int(value)}"
    return f"must be {wanted}, not {got.replace('text ', 'the text ', 1)}"


def _not_in_enum(enum: Sequence[Any], value: Any) -> str:
    return f"{shown(value)} is not offered; {_offer(enum, value)}"


def _offer(enum: Sequence[Any], value: Any) -> str:
    """What the model takes instead of the value, and which of it was probably meant."""
    near = nearest(value, [one for one in enum if isinstance(one, str)]) if isinstance(value, str) else None
    exact = f"; write {near} (the spelling counts)" if near and near.casefold() == str(value).casefold() else ""
    same_size = near and re.findall(r"\d+", near) == re.findall(r"\d+", str(value))  # 480P is no mend for 1080P
    meant = f"; did you mean {near}?" if same_size and not exact else ""
    offered = f"the model offers {listed(enum)}" if len(enum) > 1 else f"it must be {listed(enum)}"
    return f"{offered}{exact or meant}"


def _check_text(described: Field, value: str, path: str) -> Iterator[Finding]:
    if described.required and path.count(".") == 1 and not value.strip():
        yield Finding(path, "is empty; the model requires it")
    if described.min_length is not None and len(value) < described.min_length:
        yield Finding(path, f"has {len(value)} characters; the model wants at least {described.min_length}")
    if described.max_length is not None and len(value) > described.max_length:
        yield Finding(path, f"has {len(value)} characters; the model takes at most {described.max_length}")


def _check_range(described: Field, value: float, path: str) -> Iterator[Finding]:
    low, high = described.min, described.max
    if (low is not None and value < low) or (high is not None and value > high):
        allowed = (
            (f"at least {low}" if high is None else f"at most {high}") if None in (low, high) else f"{low} to {high}"
        )
        yield Finding(path, f"{shown(value)} is out of range; the model takes {allowed}")


def _check_list(described: Field, value: Sequence[Any], path: str) -> Iterator[Finding]:
    if described.min_items is not None and len(value) < described.min_items:
        yield Finding(path, f"has {len(value)} items; the model wants at least {described.min_items}")
    if described.max_items is not None and len(value) > described.max_items:
        yield Finding(path, f"has {len(value)} items; the model takes at most {described.max_items}")
        return
    if described.item:
        for position, item in enumerate(value):
            yield from _check_value(described.item, item, f"{path}.{position}")


def _check_object(described: Field, value: Mapping[str, Any], path: str) -> Iterator[Finding]:
    fields = described.fields_of(value)
    if fields is not None:
        yield from _check_members(fields, value, path)
    elif (said := value.get(described.discriminator or "", MISSING)) is MISSING:
        yield Finding(f"{path}.{described.discriminator}", f"is missing; it is {listed(described.variants)}")
    else:
        yield Finding(f"{path}.{described.discriminator}", _not_in_enum(tuple(described.variants), said))
