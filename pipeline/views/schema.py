"""The JSON Schema of a manifest, made of the catalog: by it editors complete and check what is being written.

It knows fields, types, values, ranges, what is required, and the rules that a schema can say. What comes together only
when the manifest is read (defaults merged into jobs, sweeps multiplied out, local files) is left to `validate`: where
`defaults` carry fields, or a job has a matrix, nothing is called missing.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.catalog import MISSING, Catalog, Entry, Field
from pipeline.catalog.conditions import Condition
from pipeline.catalog.entry import Rule
from pipeline.manifest.build import DEFAULT_MODEL, LONGEST_ID
from pipeline.settings import settings_schema

Schema = dict[str, Any]

_SECTIONS = ("input", "parameters")
_JOB_KEYS: Mapping[str, Schema] = {
    "id": {"type": "string", "maxLength": LONGEST_ID, "description": "ASCII letters, digits, '.', '_' and '-'"},
    "input": {"type": "object"},
    "parameters": {"type": "object"},
    "output": {"type": "string", "description": "the video's name below videos/, such as {id}.mp4"},
    "metadata": {"type": "object", "description": "carried into the results untouched"},
    "matrix": {"type": "object", "description": "a job for every combination of these lists; include, exclude"},
    "repeat": {"type": "integer", "minimum": 1, "description": "so many takes, with distinct seeds"},
}


def schema_text(catalog: Catalog) -> str:
    """The schema (2020-12) as JSON, a line for each definition. A line of a JSONL manifest is `#/$defs/line`."""
    whole = manifest_schema(catalog)
    defs = whole.pop("$defs")
    lines = [f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in defs.items()]
    members = [f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in whole.items()]
    members.append('"$defs": {\n' + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(members) + "\n}"


def manifest_schema(catalog: Catalog) -> Schema:
    """The schema of a YAML manifest; `$defs/line` is that of one line of JSONL."""
    defs: Schema = {"run": settings_schema(), "job": _job(catalog), "complete-job": _complete_job(catalog)}
    for entry in catalog.entries:
        defs[f"entry {entry.key}"] = _entry(entry)
    for model in catalog.models:
        slug = _slug(model)
        shapes = [_ref(f"entry {entry.key}") for entry in catalog.entries_of(model)]
        defs[f"model {slug}"] = shapes[0] if len(shapes) == 1 else {"anyOf": shapes}
        defs[f"complete {slug}"] = _complete(catalog, model)
    defs["line"] = {"allOf": [_ref("job"), _ref("complete-job"), *_unnamed(DEFAULT_MODEL, ["model", "complete"])]}
    bare = {"not": {"properties": {"defaults": _either(_SECTIONS)}, "required": ["defaults"]}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a manifest of video jobs",
        "type": "object",
        "properties": {
            "version": {"const": 1},
            "run": _ref("run"),
            "defaults": _frame(catalog, ("input", "parameters", "output", "metadata")),
            "jobs": {"type": "array", "items": _ref("job")},
        },
        "required": ["jobs"],
        "additionalProperties": False,
        "allOf": [_if(bare, _jobs(_ref("complete-job"))), *_by_default_model(catalog, bare)],
        "$defs": defs,
    }


# -- jobs


def _frame(catalog: Catalog, keys: Sequence[str]) -> Schema:
    """The keys of a job, or of `defaults`, without a look at the model."""
    models = {"enum": list(catalog.models), "description": "the model's id"}
    properties = {"model": models, **{key: _JOB_KEYS[key] for key in keys}}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _job(catalog: Catalog) -> Schema:
    checks = [_if(_has_model(model), _ref(f"model {_slug(model)}")) for model in catalog.models]
    return {**_frame(catalog, tuple(_JOB_KEYS)), "allOf": checks}


def _complete_job(catalog: Catalog) -> Schema:
    """A job that nothing will be added to has all that its model requires."""
    checks = [_if(_has_model(model), _ref(f"complete {_slug(model)}")) for model in catalog.models]
    return {"if": {"not": {"required": ["matrix"]}}, "then": {"allOf": checks}}


def _by_default_model(catalog: Catalog, bare: Schema) -> list[Schema]:
    """Jobs that name no model have that of `defaults`, or else the model that is meant where none is named."""
    named = {"properties": {"defaults": {"required": ["model"]}}, "required": ["defaults"]}
    found = []
    for model in catalog.models:
        given = {"properties": {"defaults": _has_model(model)}, "required": ["defaults"]}
        chosen = {"anyOf": [given, {"not": named}]} if model == DEFAULT_MODEL else given
        partial = [_jobs(one) for one in _unnamed(model, ["model"])]
        whole = [_if(bare, _jobs(one)) for one in _unnamed(model, ["complete"])]
        found.append(_if(chosen, {"allOf": [*partial, *whole]}))
    return found


def _unnamed(model: str, kinds: Sequence[str]) -> list[Schema]:
    own = {"not": _either(("model", "matrix"))}
    return [_if(own, _ref(f"{kind} {_slug(model)}")) for kind in kinds]


def _jobs(items: Schema) -> Schema:
    return {"properties": {"jobs": {"items": items}}}


def _has_model(model: str) -> Schema:
    return {"properties": {"model": {"const": model}}, "required": ["model"]}


# -- entries


def _entry(entry: Entry) -> Schema:
    """The fields of a request shape, none of them called missing."""
    sections = {section.name: _object(section.fields, required=False) for section in (entry.input, entry.parameters)}
    return {"properties": sections}


def _complete(catalog: Catalog, model: str) -> Schema:
    """The shape that the given fields choose, with what it requires."""
    checks: list[Schema] = []
    choices: list[Schema] = []
    for entry in catalog.entries_of(model):
        demands = [_required(entry), *filter(None, (_rule(rule, entry, model) for rule in entry.rules))]
        if entry.status == "withdrawn":
            demands.append({"not": {}, "description": "withdrawn by the vendor"})
        whole: Schema = {"allOf": [_ref(f"entry {entry.key}"), *demands]}
        alternatives = [_all([_condition(one, entry) for one in conditions]) for conditions in entry.selector]
        if alternatives:
            choices += alternatives
            checks.append(_if({"anyOf": alternatives}, whole))
        else:
            checks.append(whole)
    return {"allOf": [*([{"anyOf": choices}] if choices else []), *checks]}


def _required(entry: Entry) -> Schema:
    return _all([_given(path) for path, field in entry.fields.items() if field.required])


def _object(fields: Mapping[str, Field], *, required: bool) -> Schema:
    made: Schema = {
        "type": "object",
        "properties": {name: _field(field) for name, field in fields.items()},
        "additionalProperties": False,
    }
    names = [name for name, field in fields.items() if field.required]
    return {**made, "required": names} if required and names else made


def _field(field: Field) -> Schema:
    made: Schema = {"type": field.type}
    words = {"minimum": field.min, "maximum": field.max, "minLength": field.min_length, "maxLength": field.max_length}
    words |= {"minItems": field.min_items, "maxItems": field.max_items}
    made |= {word: value for word, value in words.items() if value is not None}
    if field.enum:
        made["enum"] = list(field.enum)
    if field.default is not MISSING:
        made["default"] = field.default
    if field.note:
        made["description"] = field.note
    if field.item:
        made["items"] = _item(field.item)
    if field.type == "object":
        made |= _object(field.fields, required=True)
    return {"anyOf": [made, {"type": "string"}]} if field.type == "object" and field.media else made


def _item(item: Field) -> Schema:
    if not item.variants:
        return _object(item.fields, required=True) if item.type == "object" else _field(item)
    name = item.discriminator or ""
    variants = [
        _if({"properties": {name: {"const": variant}}}, _object(fields, required=True))
        for variant, fields in item.variants.items()
    ]
    known = {name: {"enum": list(item.variants)}}
    return {"type": "object", "properties": known, "required": [name], "allOf": variants}


# -- rules and conditions


def _rule(rule: Rule, entry: Entry, model: str) -> Schema | None:
    """The rule as a schema; None for warnings, for other models' rules, and for what a schema cannot say."""
    about_model = [one for one in rule.when if one.path == "model"]
    if rule.warning or any(model not in one.operand for one in about_model):
        return None
    demand = _demand(rule)
    when = [_condition(one, entry) for one in rule.when if one.path != "model"]
    if demand is None:
        return None
    return _if(_all(when), demand) if when else demand


def _demand(rule: Rule) -> Schema | None:
    given = [_given(path) for path in rule.paths]
    if rule.verb == "require":
        return _all(given)
    if rule.verb in ("require_any", "require_one"):
        return {"anyOf" if rule.verb == "require_any" else "oneOf": given}
    if rule.verb == "forbid":
        return {"not": {"anyOf": given}}
    if rule.verb == "allow":
        return _all([_at(path, {"enum": list(values)}) for path, values in rule.bounds.items()])
    if rule.verb == "range":
        return _all([_at(path, {"minimum": low, "maximum": high}) for path, (low, high) in rule.bounds.items()])
    if rule.verb == "count":
        return _all([_at(path, {"minItems": low, "maxItems": high}) for path, (low, high) in rule.bounds.items()])
    return None


def _condition(condition: Condition, entry: Entry) -> Schema:
    given = _given(condition.path)
    if condition.test == "present":
        return given if condition.operand else {"not": given}
    field = entry.field_at(condition.path)
    if condition.test == "in":
        chosen = _all([given, _at(condition.path, {"enum": list(condition.operand)})])
        by_default = field is not None and field.default in condition.operand
        return {"anyOf": [chosen, {"not": given}]} if by_default else chosen
    fields = field.item.fields if field and field.item else {}
    wanted = {"properties": {name: {"const": value} for name, value in condition.operand.items()}}
    stated = [name for name, value in condition.operand.items() if name not in fields or fields[name].default != value]
    found = _all([given, _at(condition.path, {"contains": {**wanted, "required": stated}})])
    return found if condition.test == "any_item" else {"not": found}


def _given(path: str) -> Schema:
    section, _, name = path.partition(".")
    return {"properties": {section: {"required": [name]}}, "required": [section]}


def _at(path: str, schema: Schema) -> Schema:
    section, _, name = path.partition(".")
    return {"properties": {section: {"properties": {name: schema}}}}


# -- small words


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name.replace(' ', '%20')}"}


def _slug(model: str) -> str:
    return model.replace("/", "--")


def _if(condition: Schema, then: Schema) -> Schema:
    return {"if": condition, "then": then}


def _all(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"allOf": list(schemas)} if schemas else {}


def _either(names: Iterable[str]) -> Schema:
    return {"anyOf": [{"required": [name]} for name in names]}
