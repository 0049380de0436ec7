"""JSONL: one job object a line, blank lines skipped."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
from msgspec import Struct

from pipeline.catalog import article, json_type, plain
from pipeline.manifest.block import Table, table_of
from pipeline.manifest.rows import Problems, Row
from pipeline.manifest.source import text_blocks
from pipeline.manifest.values import MOST_NODES, weight

if TYPE_CHECKING:
    import json

_SPACE = " \t\r\n"
_DECODER = msgspec.json.Decoder(dict[str, Any])
_MOST_COMMAS = 2_000_000
"""A line with more would take a gigabyte to read, and no text of a job has so many."""
_TOO_MANY = f"the object holds more than {MOST_NODES} values; no job needs that"


class _TwiceError(ValueError):
    """A key is given twice in one object."""


def read_blocks(stream: BinaryIO, problems: Problems) -> Iterator["JsonlBlock"]:
    """The jobs in the order of the file; a line that is no job is a problem. Raises `BrokenFileError`."""
    for first, texts in text_blocks(stream):
        yield JsonlBlock(problems, range(first, first + len(texts)), texts)


class JsonlBlock(Struct, frozen=True):
    """Lines that ought to be jobs."""

    problems: Problems
    lines: Sequence[int]
    texts: Sequence[str]
    header: Sequence[str] = ()

    def between(self, start: int, end: int) -> "JsonlBlock":
        """Some of the lines."""
        return JsonlBlock(self.problems, self.lines[start:end], self.texts[start:end])

    def table(self) -> Table | None:
        """The jobs side by side; None where a line has to be read with care."""
        if max(map(len, self.texts)) > MOST_NODES:  # it may hold as many values
            return None
        try:
            values = list(map(_DECODER.decode, self.texts))
        except (msgspec.DecodeError, RecursionError):
            return None
        table = table_of(values)
        return table if table and self._tells_names() == table.names else None

    def row(self) -> Row | None:
        """The first line, read with care; None where it is blank, or no job and reported."""
        number, line = self.lines[0], self.texts[0]
        if not line.strip(_SPACE):
            return None
        first = self.between(0, 1)
        value = _DECODER.decode(line) if first.table() is not None else self._value(number, line)
        return None if value is None else Row(number, value)

    def _tells_names(self) -> int:
        """How many names the lines give, at least: more than there are members where one is given twice.

        The decoder does not see that. A quote before a colon ends each name, and is found in few other places.
        """
        return "".join(self.texts).encode().translate(None, b" \t\r").count(b'":')

    def _value(self, number: int, line: str) -> dict[str, Any] | None:
        if line.count(",") > _MOST_COMMAS:
            self.problems.add(number, _TOO_MANY)
            return None
        import json  # which tells what is wrong with a line; one with nothing wrong does without

        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except _TwiceError as exc:
            message = f"the key {plain(str(exc))} is given twice in one object; keep one"
        except json.JSONDecodeError as exc:
            message = _mend(line, exc)
        except RecursionError:
            message = "is nested too deeply; no job needs that"
        except ValueError:
            message = "contains an integer with thousands of digits; make it smaller, or write it as text, in quotes"
        else:
            if weight(value)[0] > MOST_NODES:
                message = _TOO_MANY
            elif isinstance(value, dict):
                return value
            else:
                message = f"a line must be one job object, not {article(json_type(value))}"
        self.problems.add(number, message)
        return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _TwiceError(name)
            seen.add(name)
    return made


def _mend(line: str, error: "json.JSONDecodeError") -> str:
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
