"""JSONL: one job object a line, blank lines skipped."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from pipeline.catalog import article, json_type, plain
from pipeline.manifest.rows import Problems, Row
from pipeline.manifest.source import text_lines
from pipeline.manifest.values import MOST_NODES, weight

_SPACE = " \t\r\n"
_MOST_COMMAS = 2_000_000
"""A line with more would take a gigabyte to read, and no text of a job has so many."""
_TOO_MANY = f"the object holds more than {MOST_NODES} values; no job needs that"


class _TwiceError(ValueError):
    """A key is given twice in one object."""


def read_rows(stream: BinaryIO, problems: Problems) -> Iterator[Row]:
    """The jobs in the order of the file; a line that is no job is a problem. Raises `BrokenFileError`."""
    for number, line in text_lines(stream):
        if not line.strip(_SPACE):
            continue
        if line.count(",") > _MOST_COMMAS:
            problems.add(number, _TOO_MANY)
            continue
        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except _TwiceError as exc:
            problems.add(number, f"the key {plain(str(exc))} is given twice in one object; keep one")
        except json.JSONDecodeError as exc:
            problems.add(number, _mend(line, exc))
        except RecursionError:
            problems.add(number, "is nested too deeply; no job needs that")
        except ValueError:
            problems.add(number, "contains an integer with thousands of digits; write it as text, in quotes")
        else:
            if weight(value)[0] > MOST_NODES:
                problems.add(number, _TOO_MANY)
            elif isinstance(value, dict):
                yield Row(number, value)
            else:
                problems.add(number, f"a line must be one job object, not {article(json_type(value))}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _TwiceError(name)
            seen.add(name)
    return made


def _mend(line: str, error: json.JSONDecodeError) -> str:
    text = line.rstrip(_SPACE)
    if text in ("{", "[") or text.startswith("[{"):
        return "JSONL is one whole object a line; this looks like a JSON document spread over lines"
    if error.msg == "Extra data":
        return (
            f"something follows the object in column {error.colno}: {plain(text[error.pos :], 30)!r}; one object a line"
        )
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        torn = "the file is torn here" if not line.endswith("\n") else "write the whole object on one line"
        return f"the line ends in the middle of the object; {torn}"
    return f"is not valid JSON in column {error.colno}: {error.msg[:1].lower()}{error.msg[1:]}"
