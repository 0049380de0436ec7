"""Where a job's video goes below the output folder's `videos/`: the template, filled in and checked."""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pipeline.catalog import shown
from pipeline.core.files import fold
from pipeline.manifest.templates import Scope, TemplateError, as_name, fill, pieces

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
_UNFIT = frozenset('<>:"|?*\\')
"""Characters that file names on other systems cannot have."""


class OutputError(ValueError):
    """The job has no usable output name; the message says why and what would be right."""


def render_output(template: str, job_id: str, line: int, request: Mapping[str, Any]) -> str:
    """The relative path below `videos/`. `request` holds model, input, parameters and metadata.

    Slashes, blanks and characters that file names elsewhere cannot have become `-` inside the values of fields;
    a path without the suffix of a media file gets `.mp4`. Raises `OutputError`.
    """
    scope = Scope(request, {"id": job_id, "model": request["model"], "line": line})
    try:
        _check_literal(template)
        output = fill(template, scope, as_name)
    except TemplateError as error:
        raise OutputError(str(error)) from error
    if output and not output.endswith("/") and not _has_suffix(output):
        output += ".mp4"
    _check_path(output)
    return output


def is_reserved(name: str) -> bool:
    """Whether Windows takes the name for a device."""
    return name.partition(".")[0].rstrip(" ").upper() in RESERVED


@lru_cache(maxsize=256)
def _check_literal(template: str) -> None:
    literal = "".join(piece.text for piece in pieces(template) if not piece.is_field)
    if hit := next(filter(_UNFIT.__contains__, literal), None):
        raise OutputError(f"{shown(template)} contains {hit!r}, which some systems refuse; separate folders with /")


def _has_suffix(output: str) -> bool:
    name = output.rpartition("/")[2].lower()
    return any(name.endswith(suffix) and name != suffix for suffix in _SUFFIXES)


def _check_path(output: str) -> None:
    if not output or output.endswith("/"):
        raise OutputError("names no file; write something like {id}.mp4")
    if output.startswith(("/", "~")) or (output[1:2] == ":" and output[0].isascii() and output[0].isalpha()):
        raise OutputError(f"{shown(output)} leaves the output folder; write a path relative to it")
    if len(output.encode("utf-8", "replace")) > LONGEST_OUTPUT:
        raise OutputError(f"is longer than {LONGEST_OUTPUT} bytes")
    *folders, name = output.split("/")
    for part in (*folders, name):
        if is_reserved(part):
            what = "is" if part == output else f"contains {shown(part)},"
            raise OutputError(f"{shown(output)} {what} a reserved device name on Windows; choose another name")
        if complaint := _part_complaint(part):
            raise OutputError(f"{shown(output)} {complaint}")
    for folder in folders:
        if _has_suffix(folder) or (folder.lower().endswith(".json") and _has_suffix(folder[: -len(".json")])):
            raise OutputError(
                f"{shown(output)} has a folder that is named like a video or its sidecar, {shown(folder)}; "
                "it would be in the way"
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
    if part[-1] in ". ":
        return "has a part that ends with a dot or a space, which some systems drop; remove it"
    if len(part.encode()) > LONGEST_PART:
        return f"has a part longer than {LONGEST_PART} bytes; shorten it"
    return None
