"""Where a job's video goes below the output folder's `videos/`: the template, filled in and checked."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.catalog import MISSING, did_you_mean, listed, plain, shown

DEFAULT_TEMPLATE = "{id}.mp4"
LONGEST_PART = 200
"""Bytes: file systems take 255, and a second video (`-2`) or an unfinished one adds to the name."""
LONGEST_OUTPUT = 1000
"""Bytes."""
RESERVED = frozenset({"CON", "PRN", "AUX", "NUL"} | {f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10)})
"""Names that are devices on Windows, with any suffix."""

_SUFFIXES = (
    ".mp4",
    ".mov",
    ".m4v",
    ".webm",
    ".mkv",
    ".avi",
    ".gif",
    ".mpg",
    ".mpeg",
    ".ts",
    ".flv",
    ".wmv",
    ".ogv",
    ".3gp",
    ".mp3",
    ".wav",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
)
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_SCALARS = ("id", "model", "line")
_SECTIONS = ("metadata", "parameters", "input")
_UNFIT = re.compile(r'[<>:"|?*\\]')
"""Characters that file names on other systems cannot have."""
_UNFIT_VALUE = re.compile(r'[/<>:"|?*\\\s]+')


class OutputError(ValueError):
    """The job has no usable output name; the message says why and what would be right."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Literal text, or the name of a field."""

    text: str
    is_field: bool


def render_output(template: str, job_id: str, line: int, request: Mapping[str, Any]) -> str:
    """The relative path below `videos/`. `request` holds model, input, parameters and metadata.

    Slashes, blanks and characters that file names elsewhere cannot have become `-` inside the values of fields;
    a path without the suffix of a media file gets `.mp4`. Raises `OutputError`.
    """
    scalars = {"id": job_id, "line": str(line), "model": _as_name(request["model"])}
    filled = (
        (scalars[piece.text] if piece.text in scalars else _value(piece.text, request))
        if piece.is_field
        else piece.text
        for piece in _parsed(template)
    )
    output = "".join(filled)
    if output and not output.endswith("/") and not _has_suffix(output):
        output += ".mp4"
    _check_path(output)
    return output


def fold(output: str) -> str:
    """The name as file systems see it that know no case and one Unicode form: equal folds collide there."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", output).casefold())


def is_reserved(name: str) -> bool:
    """Whether Windows takes the name for a device."""
    return name.partition(".")[0].rstrip(" ").upper() in RESERVED


@lru_cache(maxsize=256)
def _parsed(template: str) -> tuple[_Piece, ...]:
    pieces = []
    start = 0
    for match in _FIELD.finditer(template):
        pieces.append(_Piece(template[start : match.start()], is_field=False))
        start = match.end()
        if match[0] in ("{{", "}}"):
            pieces.append(_Piece(match[0][0], is_field=False))
        elif match[1] is None:
            raise OutputError(
                f"{shown(template)} has a brace without its partner; write {{id}} for a field, {{{{ for a brace"
            )
        else:
            pieces.append(_Piece(_checked_field(match[1]), is_field=True))
    pieces.append(_Piece(template[start:], is_field=False))
    literal = "".join(piece.text for piece in pieces if not piece.is_field)
    if hit := _UNFIT.search(literal):
        raise OutputError(f"{shown(template)} contains {hit[0]!r}, which some systems refuse; separate folders with /")
    return tuple(pieces)


def _checked_field(name: str) -> str:
    section, dot, rest = name.partition(".")
    if name in _SCALARS or (section in _SECTIONS and dot and rest):
        return name
    known = ("id", "model", "line", *(f"{one}.<field>" for one in _SECTIONS))
    hint = did_you_mean(section, (*_SCALARS, *_SECTIONS)) or f"; known are {listed(known, 'and')}"
    raise OutputError(f"the template has no field {{{plain(name)}}}{hint}")


def _value(path: str, request: Mapping[str, Any]) -> str:
    value: Any = request
    for name in path.split("."):
        found = value.get(name, MISSING) if isinstance(value, Mapping) else MISSING
        if found is MISSING:
            known = value if isinstance(value, Mapping) else ()
            raise OutputError(f"the job has no {plain(path)} to put into the name{did_you_mean(name, known)}")
        value = found
    if isinstance(value, str) and value.strip():
        return _as_name(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise OutputError(f"{plain(path)} cannot be part of a name; a text or a number can")


def _as_name(text: str) -> str:
    return _UNFIT_VALUE.sub("-", text.strip())


def _has_suffix(output: str) -> bool:
    name = output.rpartition("/")[2].lower()
    return any(name.endswith(suffix) and name != suffix for suffix in _SUFFIXES)


def _check_path(output: str) -> None:
    if not output or output.endswith("/"):
        raise OutputError("names no file; write something like {id}.mp4")
    if output.startswith(("/", "~")) or re.match("[A-Za-z]:", output):
        raise OutputError(f"{shown(output)} leaves the output folder; write a path relative to it")
    if len(output.encode("utf-8", "replace")) > LONGEST_OUTPUT:
        raise OutputError(f"is longer than {LONGEST_OUTPUT} bytes")
    *folders, name = output.split("/")
    for part in (*folders, name):
        if complaint := _part_complaint(part):
            raise OutputError(f"{shown(output)} {complaint}")
    for folder in folders:
        if _has_suffix(folder):
            raise OutputError(
                f"{shown(output)} has a folder that is named like a video, {shown(folder)}; it would be in the way"
            )


def _part_complaint(part: str) -> str | None:
    if part in ("", "."):
        return "has an empty part; write one / between folders"
    if part == "..":
        return "leaves the output folder with '..'; write a path below it"
    if fold(part) == ".parts":
        return "uses '.parts', where unfinished videos are kept; choose another folder"
    if any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in part):
        return "contains a control character or a line break; remove it"
    if is_reserved(part):
        return f"contains {shown(part)}, a reserved device name on Windows; choose another name"
    if part[-1] in ". ":
        return "has a part that ends with a dot or a space, which some systems drop; remove it"
    if len(part.encode()) > LONGEST_PART:
        return f"has a part longer than {LONGEST_PART} bytes; shorten it"
    return None
