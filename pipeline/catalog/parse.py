"""The catalog's YAML, read into entries. The file's own head explains its words."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pipeline.catalog.entry import MISSING, Condition, Entry, Field, Media, Rule
from pipeline.core.jobs import MediaForm

_VERBS = ("require", "require_one", "require_any")
_MEDIA_NAMES = ("url", "image_url", "video_url", "audio_url", "images", "bytesBase64Encoded")
"""Inside an array or object that is declared as media, the texts under these names are the media values."""


def parse_entry(raw: Mapping[str, Any]) -> Entry:
    """One entry of the list `models`."""
    return Entry(
        key=raw["key"],
        ids=tuple(raw["ids"]),
        status=raw["status"],
        input=_section("input", raw["inputs"], raw["key"]),
        parameters=_section("parameters", raw["parameters"], raw["key"]),
        selector=tuple(_conditions(alternative) for alternative in raw["selector"]),
        rules=tuple(_rules(raw["rules"])),
        headers=MappingProxyType(raw["headers"]),
        idempotency=(raw["idempotency"] or {}).get("field"),
    )


def _section(name: str, rows: Iterable[Mapping[str, Any]], key: str) -> Field:
    named = [{**row, "name": row["path"].removeprefix(f"{name}.")} for row in rows]
    return Field(name, "object", fields=_fields(named, key, None))


def _fields(rows: Iterable[Mapping[str, Any]], key: str, around: Mapping[str, Any] | None) -> Mapping[str, Field]:
    """Fields by name; a dotted name such as `image_url.url` becomes an object with a field."""
    found: dict[str, Field] = {}
    for row in rows:
        outer, dot, inner = row["name"].partition(".")
        if dot:
            child = _field({**row, "name": inner}, key, _narrowed(around, outer))
            found[outer] = Field(outer, "object", required=child.required, fields={inner: child})
        else:
            found[outer] = _field(row, key, around)
    return found


def _narrowed(media: Mapping[str, Any] | None, name: str) -> Mapping[str, Any] | None:
    """Mixed media (text, pictures, clips, sound in one array) say by the member's name what they are."""
    if media is None or media["kind"] != "mixed":
        return media
    return {**media, "kind": name.removesuffix("_url")}


def _field(row: Mapping[str, Any], key: str, around: Mapping[str, Any] | None) -> Field:
    name, kind = row["name"], row["type"]
    declared = row.get("media") or (around if name in _MEDIA_NAMES else None)
    below = row.get("media") or around
    items = row.get("items") or ({"type": row["of"]} if "of" in row else None)
    return Field(
        name=name,
        type=kind,
        required=row.get("required") is True,
        enum=(row["const"],) if "const" in row else tuple(row.get("enum", ())),
        min=row.get("min"),
        max=row.get("max"),
        default=row.get("default", MISSING),
        min_length=row.get("min_length"),
        max_length=row.get("max_length"),
        min_items=row.get("min_items"),
        max_items=row.get("max_items"),
        media=_media(declared, key, row) if declared and kind == "string" else None,
        ignored=row.get("ignored", False),
        fields=_fields(row.get("fields", ()), key, below),
        item=_item(items, name, key, below) if items else None,
    )


def _item(items: Mapping[str, Any], name: str, key: str, media: Mapping[str, Any] | None) -> Field:
    if items["type"] != "object":
        return _field({"name": name, "type": items["type"], "media": media}, key, None)
    variants = items.get("variants", {})
    return Field(
        name,
        "object",
        fields=_fields(items.get("fields", ()), key, media),
        discriminator=items.get("discriminator"),
        variants={variant: _fields(rows, key, media) for variant, rows in variants.items()},
    )


def _media(declared: Mapping[str, Any], key: str, row: Mapping[str, Any]) -> Media:
    forms = ("url",) if row.get("note") == "URL only" else tuple(declared["forms"])
    form, doubt = _local_form(forms, key)
    return Media(declared["kind"], forms, form, doubt, declared.get("limits"))


def _local_form(forms: tuple[str, ...], key: str) -> tuple[MediaForm, str | None]:
    """How a local file is written, and what is doubtful about it (`reference: modelverse-api.md` §11, §15)."""
    if "data_uri" in forms:
        return MediaForm.DATA_URI, None
    if "base64" in forms:
        return MediaForm.BASE64, None
    if "base64_unspecified" in forms:
        doubt = 'the vendor\'s page says "Base64" without saying in which form'
        return (MediaForm.BASE64 if key.startswith("kling") else MediaForm.DATA_URI), doubt
    return MediaForm.DATA_URI, "the vendor's page names only URLs here"


def _rules(rows: Iterable[Mapping[str, Any]]) -> Iterable[Rule]:
    for row in rows:
        for verb in _VERBS:
            if verb in row:
                when = _conditions(row.get("when", ()))
                yield Rule(row["id"], verb, tuple(row[verb]), when, row["level"] == "warn", row.get("why"))  # type: ignore[arg-type]  # the verbs are the literals


def _conditions(rows: Iterable[Mapping[str, Any]]) -> tuple[Condition, ...]:
    return tuple(_condition(row) for row in rows)


def _condition(row: Mapping[str, Any]) -> Condition:
    if "equals" in row:
        return Condition(row["path"], "in", (row["equals"],))
    for test in ("in", "present", "any_item", "none_item"):
        if test in row:
            operand = tuple(row[test]) if test == "in" else row[test]
            return Condition(row["path"], test, operand)
    raise ValueError(f"a condition without a test: {row!r}")
