"""`{name}` in ids, outputs and texts: found, filled with the job's values, never evaluated."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from pipeline.catalog import MISSING, listed, nearest, plain, shown
from pipeline.core.patterns import pattern
from pipeline.manifest.digests import sha256
from pipeline.manifest.values import LONGEST_MEDIA

SECTIONS = ("metadata", "parameters", "input")
"""Where a bare name is looked up, in this order."""

_MARK = pattern(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_REMEMBERED = 4_000
"""Characters of a template that is kept in its parsed form."""
_UNFIT_FOR_NAME = pattern(r'[/<>:"|?*\\\s]+')
_UNFIT_FOR_ID = pattern(r"[^A-Za-z0-9._-]+")


class TemplateError(ValueError):
    """A template that cannot be filled; the message says why and what would be right."""


class Piece(Struct, frozen=True):
    """Literal text, or the name of a field."""

    text: str
    is_field: bool


def pieces(template: str) -> tuple[Piece, ...]:
    """The template taken apart; `{{` and `}}` are braces. Raises `TemplateError` for a brace without its partner."""
    return _remembered(template) if len(template) <= _REMEMBERED else _parsed(template)


def field_names(text: str) -> list[str]:
    """What stands between single braces, whether or not the text is a sound template."""
    return [match[1] for match in _MARK.finditer(text) if match[1] is not None]


def escaped(text: str) -> str:
    """The template that is filled to exactly this text."""
    return text.replace("{", "{{").replace("}", "}}")


class Scope(Struct, frozen=True):
    """What the names in the templates of one job stand for."""

    request: Mapping[str, Any]
    """`metadata`, `parameters` and `input`, each a mapping."""
    own: Mapping[str, Any]
    """Values with a name of their own, which wins over a field of the same name."""
    aliases: Mapping[str, str] = {}
    """Bare names that mean one dotted path, whatever else is called so."""

    def place(self, name: str) -> str | None:
        """The one spelling of a name that has a value: its own name or a dotted path; None where it has none."""
        if name in self.own:
            return name
        path = self.aliases.get(name, name)
        if "." in path:
            return path if path.partition(".")[0] in SECTIONS and self._at(path) is not MISSING else None
        return next((f"{section}.{path}" for section in SECTIONS if path in self.request[section]), None)

    def value(self, name: str) -> Any:
        """The value that a name stands for. Raises `TemplateError` where there is none."""
        place = self.place(name)
        if place is None:
            raise TemplateError(f"the job has no field {{{plain(name)}}} to fill in{self._hint(name)}")
        return self.own[place] if place in self.own else self._at(place)

    @property
    def bare_names(self) -> tuple[str, ...]:
        """Every name that means something without a section before it."""
        members = (name for section in SECTIONS for name in self.request[section])
        return (*self.own, *self.aliases, *members)

    def _at(self, path: str) -> Any:
        value: Any = self.request
        for name in path.split("."):
            value = value.get(name, MISSING) if isinstance(value, Mapping) else MISSING
        return value

    def _hint(self, name: str) -> str:
        section, dot, _ = name.partition(".")
        if name in SECTIONS:
            return f"; write {{{name}.<field>}}"
        if dot and section in SECTIONS:
            return self._nearest_member(name.split("."))
        near = nearest(section, (*self.bare_names, *SECTIONS))
        known = (*self.own, *self.aliases, *(f"{one}.<field>" for one in SECTIONS))
        return f"; did you mean {plain(near)}?" if near else f"; known are {plain(listed(known, 'and'), 200)}"

    def _nearest_member(self, path: Sequence[str]) -> str:
        inside: Any = self.request
        for name in path:
            if not isinstance(inside, Mapping):
                break
            if name not in inside:
                near = nearest(name, inside)
                return f"; did you mean {plain(near)}?" if near else ""
            inside = inside[name]
        return ""


def fill(template: str, scope: Scope, write: Callable[[Any], str | None]) -> str:
    """The text, each field replaced by its written value; braces in values stay what they are.

    `write` is one of the three below. Raises `TemplateError`.
    """
    filled, length = [], 0
    for text in _filled(template, scope, write):
        length += len(text)
        if length > LONGEST_MEDIA:
            raise TemplateError(f"grows to more than {LONGEST_MEDIA // 10**6} MB when it is filled in")
        filled.append(text)
    return "".join(filled)


def written(name: str, value: Any, write: Callable[[Any], str | None]) -> str:
    """The value as text. Raises `TemplateError` where it has no such form."""
    text = write(value)
    if text is None:
        raise TemplateError(f"{plain(name)} cannot be part of a name or text; a text or a number can")
    return text


def as_text(value: Any) -> str | None:
    """Text as it is, numbers and booleans as JSON writes them; None for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    return float.__repr__(value) if isinstance(value, float) and math.isfinite(value) else None


def as_name(value: Any) -> str | None:
    """For file names: blanks, slashes and characters that names elsewhere cannot have become `-`."""
    text = as_text(value)
    return _UNFIT_FOR_NAME.sub("-", text.strip()) if text and text.strip() else None


def as_id(value: Any) -> str | None:
    """For ids: runs of anything that no id can have become `-`.

    Letters beyond ASCII cannot be told apart by their `-`, so a digest of the value follows.
    """
    text = as_text(value)
    if not text or not text.strip():
        return None
    name = _UNFIT_FOR_ID.sub("-", text)
    if isinstance(value, str):
        name = name.strip("-")  # a number keeps its sign
    if name and text.isascii():
        return name
    mark = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name}-{mark}" if name else mark


def _filled(template: str, scope: Scope, write: Callable[[Any], str | None]) -> Iterator[str]:
    for piece in pieces(template):
        yield written(piece.text, scope.value(piece.text), write) if piece.is_field else piece.text


def _parsed(template: str) -> tuple[Piece, ...]:
    found = []
    start = 0
    for match in _MARK.finditer(template):
        found.append(Piece(template[start : match.start()], is_field=False))
        start = match.end()
        if match[0] in ("{{", "}}"):
            found.append(Piece(match[0][0], is_field=False))
        elif match[1] is None:
            raise TemplateError(
                f"{shown(template)} has a brace without its partner; write {{id}} for a field, {{{{ for a brace"
            )
        else:
            found.append(Piece(match[1], is_field=True))
    found.append(Piece(template[start:], is_field=False))
    return tuple(piece for piece in found if piece.text or piece.is_field)


_remembered = lru_cache(maxsize=256)(_parsed)
