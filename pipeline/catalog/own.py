"""A user's own catalog: a YAML file that changes entries of ours by their key, and adds others."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pipeline.catalog.audit import complaints_about_entry
from pipeline.catalog.wording import did_you_mean, plain, shown
from pipeline.catalog.written import ROWS, CatalogRow, EntryRow, LimitsRow
from pipeline.core.errors import SettingsError
from pipeline.core.files import open_regular

LARGEST_CATALOG = 1_000_000
"""Bytes of a catalog file; ours has a tenth."""
_MOST_NODES = 30_000
"""Values, aliases counted as what they stand for; ours has a fifth."""
_DEEPEST = 30
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_CURRENCY_PATTERN = "matching regex '^[A-Z]{3}$'"
_MERGED = {"inputs": "path", "parameters": "path", "rules": "id"}
"""Lists whose rows replace the row of the same name, and are added where there is none."""


class OwnRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    date: str
    """Of its prices; shown beside them."""
    source: str = ""
    media_limits: dict[str, LimitsRow] = {}
    models: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OwnCatalog:
    """What the file says, its entries complete."""

    date: str
    origin: str
    entries: tuple[EntryRow, ...]
    media_limits: Mapping[str, LimitsRow]
    priced: frozenset[str]
    """Keys of the entries whose prices are of this file."""

    def prices_of(self, row: EntryRow, shipped: CatalogRow) -> tuple[str, str]:
        """Day and origin of an entry's prices."""
        prices = shipped.provenance.prices
        return (self.date, self.origin) if row.key in self.priced else (prices.last_change, prices.source)


@dataclass(slots=True)
class _Written:
    """The values of the file, and the line of each by its path (`$.models[0].key`)."""

    content: Any = None
    lines: dict[str, int] = field(default_factory=dict)
    nodes: int = 0

    def line_of(self, path: str) -> int:
        """The line of the value, or else of what is around it."""
        while path and path not in self.lines:
            path = re.sub(r"(\.[^.\[\]]*|\[[^\[\]]*\]|.)$", "", path)
        return self.lines.get(path, 1)


class _BrokenError(ValueError):
    """The file is no catalog at all."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_own(path: Path, shipped: CatalogRow) -> OwnCatalog:
    """The user's catalog at the path. Raises `SettingsError` with one line for each thing that is wrong in it."""
    try:
        written = _read(path)
        head = _head(written)
    except _BrokenError as error:
        raise SettingsError(f"{path}:{error.line}: {error}") from error
    ours = {row.key: row for row in shipped.models}
    limits = {**shipped.media_limits, **head.media_limits}
    entries: dict[str, EntryRow] = {}
    wrong = []
    for position, raw in enumerate(head.models):
        where = f"$.models[{position}]"
        made, complaints = _entry(raw, where, ours, frozenset(limits), written)
        if made and made.key in entries:
            complaints = [(written.line_of(where), f"{plain(made.key)}: the key is given twice")]
        entries |= {made.key: made} if made else {}
        wrong += [f"{path}:{line}: {message}" for line, message in complaints]
    if wrong:
        raise SettingsError("\n".join(wrong))
    priced = frozenset(key for key, raw in zip(entries, head.models, strict=True) if "price" in raw)
    return OwnCatalog(head.date, head.source or path.name, tuple(entries.values()), head.media_limits, priced)


def _head(written: _Written) -> OwnRow:
    try:
        head = msgspec.convert(written.content, OwnRow)
    except msgspec.ValidationError as error:
        raise _BrokenError(*_said(error, "$", written)) from error
    try:
        date.fromisoformat(head.date)
    except ValueError as error:
        said = f"date: {shown(head.date)} is no day; write something like 2026-11-22"
        raise _BrokenError(written.line_of("$.date"), said) from error
    return head


def _entry(
    raw: Mapping[str, Any], where: str, ours: Mapping[str, EntryRow], limits: frozenset[str], written: _Written
) -> tuple[EntryRow | None, list[tuple[int, str]]]:
    """The complete entry, or lines and complaints."""
    key = plain(str(raw.get("key", "")))
    try:
        row = msgspec.convert(raw, EntryRow)
    except msgspec.ValidationError as error:
        line, message = _said(error, where, written)
        return None, [(line, f"{key}: {message}" if key else message)]
    merged = _merged(ours[row.key], row, raw) if row.key in ours else row
    found = []
    for member, name, message in complaints_about_entry(merged, limits):
        found.append((written.line_of(_place(raw, where, member, name)), f"{key}: {message}"))
    return (None if found else merged), found


def _merged(base: EntryRow, own: EntryRow, raw: Mapping[str, Any]) -> EntryRow:
    given = {}
    for member in raw:
        value = getattr(own, member)
        if name := _MERGED.get(member):
            rows = {getattr(row, name): row for row in getattr(base, member)}
            value = list((rows | {getattr(row, name): row for row in value}).values())
        given[member] = value
    return msgspec.structs.replace(base, **given)


def _place(raw: Mapping[str, Any], where: str, member: str, name: str | None) -> str:
    """Where in the file a row of an entry stands, if it is the file's own."""
    key = _MERGED.get(member)
    rows = raw.get(member, ())
    if key and name and isinstance(rows, list):
        for position, row in enumerate(rows):
            if row.get(key) == name:
                return f"{where}.{member}[{position}]"
    return f"{where}.{member}" if member in raw else where


def _said(error: msgspec.ValidationError, where: str, written: _Written) -> tuple[int, str]:
    """The library's complaint with its line, in plain words."""
    what, _, at = str(error).partition(" - at `")
    path = where + at.rstrip("`").removeprefix("$").removeprefix("key in ")
    member = path.removeprefix(where).lstrip(".")
    if unknown := re.match(r"Object contains unknown field `(.*)`", what):
        return written.line_of(f"{path}.{unknown[1]}"), _stray(unknown[1], member)
    words = what.replace("`", "").replace(_CURRENCY_PATTERN, "that is three capital letters, such as CNY")
    words = words[0].lower() + words[1:]
    return written.line_of(path), f"{plain(member, 200)}: {words}" if member else words


def _stray(name: str, around: str) -> str:
    """A member that is not known where it stands: it is misspelt, or it belongs elsewhere."""
    kinds = ROWS if around else (EntryRow, OwnRow)
    known = [name for kind in kinds for name in kind.__struct_encode_fields__]
    if name in known:
        return f"{plain(name)}: {plain(around, 200)} has no such member; it belongs to something else"
    return f"{plain(name)}: no such member{did_you_mean(name, known)}"


# -- YAML with lines


def _read(path: Path) -> _Written:
    """The file's values. Raises `SettingsError` where it cannot be read, `_BrokenError` where it is no YAML."""
    try:
        with open(path, "rb", opener=open_regular) as stream:
            raw = stream.read(LARGEST_CATALOG + 1)
    except OSError as error:
        raise SettingsError(f"catalog {path}: cannot be read: {error.strerror}") from error
    if len(raw) > LARGEST_CATALOG:
        raise SettingsError(f"catalog {path}: is larger than {LARGEST_CATALOG // 10**6} MB")
    try:
        root = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.SafeLoader)  # Python's own stack guards its depth
    except UnicodeDecodeError as error:
        raise _BrokenError(1, "is not UTF-8 text; save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        said = f"is not valid YAML: {getattr(error, 'problem', None) or error}"
        raise _BrokenError(mark.line + 1 if mark else 1, said) from error
    except RecursionError as error:
        raise _BrokenError(1, "is nested too deeply") from error
    if not isinstance(root, yaml.MappingNode):
        raise _BrokenError(1, "must be a mapping with the members date and models")
    written = _Written()
    written.content = _value(root, "$", written, 0)
    return written


def _value(node: yaml.Node, path: str, written: _Written, depth: int) -> Any:
    line = node.start_mark.line + 1
    written.lines.setdefault(path, line)
    written.nodes += 1
    if depth > _DEEPEST or written.nodes > _MOST_NODES:
        raise _BrokenError(line, "holds more than a catalog can have")
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node.value) if node.style is None else node.value
    if isinstance(node, yaml.SequenceNode):
        return [_value(one, f"{path}[{position}]", written, depth + 1) for position, one in enumerate(node.value)]
    return _mapping(node, path, written, depth)


def _mapping(node: yaml.Node, path: str, written: _Written, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise _BrokenError(line, "the name of a member must be text")
        if key.value in made:
            raise _BrokenError(line, f"{plain(key.value)} is given twice")
        written.lines[f"{path}.{key.value}"] = line
        made[key.value] = _value(value, f"{path}.{key.value}", written, depth + 1)
    return made


def _scalar(text: str) -> Any:
    """The core rules of YAML 1.2: `16:9`, `on` and `2026-11-22` stay text, and so does what no float can hold."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text
