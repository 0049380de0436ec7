"""YAML, one job at a time: PyYAML's events, values by the core rules, the line of every key.

Anchors hold within one job, and everywhere when they stand in `defaults` or `run`. Tags, merge keys, duplicate
keys and a second document are refused. What aliases add up to is bounded, so that no file grows when it is read.
"""

from collections.abc import Iterator
from typing import Any, BinaryIO

import yaml
from msgspec import Struct

from pipeline.catalog import did_you_mean, plain
from pipeline.core.patterns import pattern
from pipeline.manifest.block import RowBlock
from pipeline.manifest.rows import BrokenFileError, Head, Problems, Row
from pipeline.manifest.source import TextGuard
from pipeline.manifest.values import (
    DEEPEST,
    MOST_NODES,
    MOST_REPEATED_NODES,
    MOST_REPEATED_TEXT,
    TOO_MUCH,
    plain_scalar,
)

TOP_LEVEL = ("version", "run", "defaults", "jobs")
MOST_TEXT = 64_000_000
"""Characters in one job, aliases counted as what they stand for."""

_DEEPEST_IN_FILE = DEEPEST + 8
"""A job's own levels, and those around it with some to spare."""
_TOO_DEEP = f"nested deeper than {DEEPEST} levels; no job needs that"
_LATE_KEYS = pattern(rb"""run["']?\s*:"""), pattern(rb"""defaults["']?\s*:""")
"""Each begins with a literal, which is searched at the speed of memory."""
_MOST_ROWS, _MUCH_TEXT = 64, 100_000
"""Rows, and characters, that are handed on together."""
_AS_WRITTEN = ("id", "model", "output")
"""Names that stay the text that the author wrote: `id: 01`, `id: no` and `id: 2024-01-01` are names, not values."""


def read_head(stream: BinaryIO) -> Head:
    """`run` and `defaults`, wherever they stand; problems are left to the reading of the rows."""
    found: dict[str, Row] = {}
    reader = YamlReader(stream, Problems(""), jobs_wanted=False)
    try:
        for name, row in reader.sections():
            found[name] = row
            if name == "jobs" and not _comes_later(stream, row.line):
                break
    except BrokenFileError:
        pass  # the reading of the rows meets the same spot and reports it
    run = found.get("run", Row(0, {}))
    return Head(dict(run.values), dict(run.lines), found.get("defaults"))


def read_blocks(stream: BinaryIO, problems: Problems, head: Head) -> Iterator[RowBlock]:
    """The jobs in the order of the file, and every problem of its form. Raises `BrokenFileError`."""
    rows: list[Row] = []
    reader = YamlReader(stream, problems)
    text = 0
    try:
        for row in _jobs_of(reader, problems, head):
            rows.append(row)
            text += reader.text
            if len(rows) >= _MOST_ROWS or text > _MUCH_TEXT:
                yield RowBlock(rows)
                rows, text = [], 0
    except BrokenFileError:
        yield RowBlock(rows)
        raise
    yield RowBlock(rows)


def _jobs_of(reader: "YamlReader", problems: Problems, head: Head) -> Iterator[Row]:
    seen_jobs = False
    for name, row in reader.sections():
        seen_jobs = seen_jobs or name == "jobs"
        if name == "job":
            yield row
        elif name == "defaults" and head.defaults is None:
            problems.add(row.line, "`defaults` was not found where it stands; write it above `jobs`", path=name)


def _comes_later(stream: BinaryIO, line: int) -> bool:
    """Whether `run` or `defaults` may stand after `jobs`: a second look at the bytes saves a second parse."""
    place = stream.tell()
    stream.seek(0)
    for _ in range(line - 1):
        stream.readline(1_000_000)
    found = False
    while not found and (text := stream.read(1_000_000)):
        text += stream.readline(1_000_000)
        found = any(key.search(text) for key in _LATE_KEYS)
    stream.seek(place)
    return found


class _Events:
    """The parser's events with one of lookahead, and two at the end of a list; its errors become `BrokenFileError`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._start = stream.tell()
        self._guard = TextGuard(stream)
        # The C parser is eight times as fast; PyYAML is built without it on some machines.
        self._parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self._guard)
        self._next: Any = None
        self._after: Any = None
        self._error: BrokenFileError | None = None
        self._depth = 0

    def peek(self) -> Any:
        if self._next is None:
            self._next = self._drawn()
        return self._next

    def _drawn(self) -> Any:
        if self._error:
            raise self._error
        self._guard.rest()
        try:
            return self._parser.get_event()
        except yaml.MarkedYAMLError as exc:
            self._error = self._broken(exc)
            raise self._error from exc
        except yaml.YAMLError as exc:
            self._error = BrokenFileError(self._guard.lines + 1, f"is not valid YAML: {plain(str(exc), 200)}")
            raise self._error from exc
        except BrokenFileError as exc:
            self._error = exc
            raise

    def breaks_off(self) -> bool:
        """Whether nothing can be read after this item of a list, which may then be a part of what was written."""
        try:
            if isinstance(self.peek(), yaml.SequenceEndEvent):
                self._after = self._drawn()
        except BrokenFileError:
            return True
        return False

    def take(self) -> Any:
        event = self.peek()
        self._next, self._after = self._after, None
        if isinstance(event, yaml.CollectionStartEvent):
            self._depth += 1
            if self._depth > _DEEPEST_IN_FILE:  # the parser's time grows with the square of the depth
                raise BrokenFileError(_line(event), _TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._depth -= 1
        return event

    def skip(self) -> None:
        """Step over one value, whatever is in it."""
        depth = 0
        while True:
            event = self.take()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth == 0:
                return

    def _broken(self, error: yaml.MarkedYAMLError) -> BrokenFileError:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column) if mark else (self._guard.lines + 1, 0)
        text, last = self._line(line)
        what = plain(error.problem or str(error), 200)
        if "nesting depth" in what:  # libyaml's own bound, which a run of brackets meets before the first event of ours
            return BrokenFileError(line, _TOO_DEEP)
        since = error.context_mark.line + 1 if error.context_mark and error.context_mark.line + 1 < line else None
        begun = f" (what began in line {since} has no end)" if since else ""
        if last and column >= len(text.rstrip()):
            return BrokenFileError(line, f"the file ends in the middle{begun}: {what}; it is probably cut off")
        if "\t" in text[: len(text) - len(text.lstrip())] or text[column : column + 1] == "\t":
            return BrokenFileError(line, "a tab where YAML wants spaces; indent with spaces")
        hint = "; put the text in quotes" if "mapping values" in what else ""
        return BrokenFileError(line, f"is not valid YAML in column {column + 1}: {what}{begun}{hint}")

    def _line(self, number: int) -> tuple[str, bool]:
        """The text of a line, and whether it is the last."""
        self._stream.seek(self._start)
        text = b""
        for _ in range(number):
            text = self._stream.readline(1_000_000)
        return text.decode("utf-8", "replace"), not self._stream.read(1)


class _Anchored(Struct, frozen=True):
    """A value that an alias may stand for, and what it costs."""

    value: Any
    nodes: int
    text: int


class YamlReader:
    """Walks the top level of a manifest and composes the values below it."""

    def __init__(self, stream: BinaryIO, problems: Problems, *, jobs_wanted: bool = True) -> None:
        self._events = _Events(stream)
        self._problems = problems
        self._jobs_wanted = jobs_wanted
        self._anchors: dict[str, _Anchored] = {}
        self._job_anchors: dict[str, _Anchored] = {}
        self._repeated_nodes = self._repeated_text = 0
        self._in_job = False
        self._nodes = self._text = 0
        self._lines: dict[str, int] = {}
        self._complaints: list[tuple[int, str, str]] = []
        self._gaps: set[str] = set()

    @property
    def text(self) -> int:
        """Characters of the value that was read last."""
        return self._text

    def sections(self) -> Iterator[tuple[str, Row]]:
        """`run` and `defaults` where they stand, `jobs` when the list begins, then each `job`."""
        self._events.take()  # the start of the stream
        if isinstance(self._events.peek(), yaml.StreamEndEvent):
            return
        self._events.take()  # the start of the document
        root = self._events.peek()
        if isinstance(root, yaml.MappingStartEvent):
            self._events.take()
            yield from self._members(root)
        else:
            if not (isinstance(root, yaml.ScalarEvent) and root.value == ""):
                self._problems.add(_line(root), _wrong_top(root))
            self._events.skip()
        self._events.take()  # the end of the document
        after = self._events.take()
        if not isinstance(after, yaml.StreamEndEvent):
            self._problems.add(_line(after), "a second YAML document begins (`---`); a manifest is one document")

    def _members(self, root: Any) -> Iterator[tuple[str, Row]]:
        self._refuse_tag(root, "")
        self._flush(None)
        seen: dict[str, int] = {}
        while not isinstance(self._events.peek(), yaml.MappingEndEvent):
            name, line = self._key(seen, "")
            self._flush(None)
            if name == "jobs":
                yield name, Row(line, {})
                yield from self._jobs(line)
            elif name in TOP_LEVEL:
                yield from self._setting(name, line)
            else:
                if name is not None:
                    known = did_you_mean(name, TOP_LEVEL) or "; known are version, run, defaults and jobs"
                    self._problems.add(line, f"the manifest has no such key{known}", path=name)
                self._events.skip()
        self._events.take()
        if "jobs" not in seen:
            self._problems.add(_line(root), "`jobs` is missing; write the list of jobs under `jobs:`")

    def _setting(self, name: str, line: int) -> Iterator[tuple[str, Row]]:
        value = self._fresh(name)
        lines, sound = self._lines, not self._complaints
        self._flush(None)
        if name == "version":
            if value != 1 or isinstance(value, bool):
                self._problems.add(
                    line, f"version {plain(str(value))} is not known here; this program reads version 1", path=name
                )
        elif value is not None and not isinstance(value, dict):
            self._problems.add(line, "must be a mapping, such as `" + _EXAMPLES[name] + "`", path=name)
        else:
            lines = {path.removeprefix(f"{name}."): number for path, number in lines.items()}
            gaps = frozenset(path.removeprefix(name).removeprefix(".") for path in self._gaps)
            yield name, Row(line, value or {}, lines, sound, gaps=gaps)

    def _jobs(self, line: int) -> Iterator[tuple[str, Row]]:
        start = self._events.peek()
        if not isinstance(start, yaml.SequenceStartEvent):
            empty = isinstance(start, yaml.ScalarEvent) and start.value in ("", "~", "null")
            found = "is empty" if empty else "must be a list"
            self._problems.add(line, f"{found}; write each job behind a dash: `- id: wave-01`", path="jobs")
            self._events.skip()
            return
        if not self._jobs_wanted:
            self._events.skip()
            return
        self._refuse_tag(self._events.take(), "jobs")
        self._flush(None)
        self._in_job = True
        while not isinstance(self._events.peek(), yaml.SequenceEndEvent):
            yield from self._job()
            self._job_anchors.clear()
        self._in_job = False
        self._events.take()

    def _job(self) -> Iterator[tuple[str, Row]]:
        line = _line(self._events.peek())
        value = self._fresh("")
        if self._events.breaks_off():
            self._gaps.add("")  # the rest of it may stand where nothing can be read
        sound = not (self._complaints or self._gaps)
        job_id = value.get("id") if isinstance(value, dict) else None
        self._flush(job_id if isinstance(job_id, str) else None)
        if isinstance(value, dict):
            yield "job", Row(line, value, self._lines, sound, gaps=frozenset(self._gaps))
        elif sound:
            self._problems.add(line, "a job must be a mapping with `input`, such as `- input: {image_url: …}`")

    def _fresh(self, path: str) -> Any:
        """Compose one value with a new budget and new lines."""
        self._nodes = self._text = 0
        self._lines, self._gaps = {}, set()
        return self._value(path, 0)

    def _value(self, path: str, depth: int) -> Any:
        event = self._events.take()
        nodes, text = self._nodes, self._text
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self._refuse_tag(event, path)
        self._spend(event, 1, len(event.value) if isinstance(event, yaml.ScalarEvent) else 0)
        if isinstance(event, yaml.ScalarEvent):
            as_written = path in _AS_WRITTEN or path.removeprefix("defaults.") in _AS_WRITTEN
            value = event.value if not event.implicit[0] else _scalar(event.value, as_written)
        elif depth >= DEEPEST:
            raise BrokenFileError(_line(event), _TOO_DEEP)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(path, depth)
        else:
            value = self._mapping(path, depth)
        if event.anchor:
            cost = self._nodes - nodes, self._text - text
            (self._job_anchors if self._in_job else self._anchors)[event.anchor] = _Anchored(value, *cost)
        return value

    def _list(self, path: str, depth: int) -> list[Any]:
        made: list[Any] = []
        while not isinstance(self._events.peek(), yaml.SequenceEndEvent):
            where = f"{path}.{len(made)}"
            self._lines[where] = _line(self._events.peek())
            made.append(self._value(where, depth + 1))
        self._events.take()
        return made

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        seen: dict[str, int] = {}
        while not isinstance(self._events.peek(), yaml.MappingEndEvent):
            name, line = self._key(seen, path)
            if name is None:
                self._events.skip()
                continue
            where = f"{path}.{name}" if path else name
            self._lines[where] = line
            made[name] = self._value(where, depth + 1)
        self._events.take()
        return made

    def _key(self, seen: dict[str, int], path: str) -> tuple[str | None, int]:
        """The next key as written, or None where it is none that we take; its value is still to come."""
        event = self._events.peek()
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._events.skip()
            self._complaints.append((line, path, "a key must be a plain word, not an alias, a list or a mapping"))
            self._gaps.add(path)
            return None, line
        self._events.take()
        self._refuse_tag(event, path)
        self._spend(event, 1, len(event.value))
        name = event.value
        if name == "<<" and event.implicit[0]:
            message = "the merge key `<<` is not read; `defaults` is merged into every job"
            self._gaps.add(path)
        elif name in seen:
            message = f"the key {plain(name)} is given twice, first in line {seen[name]}; keep one"
        else:
            seen[name] = line
            return name, line
        self._complaints.append((line, path, message))
        return None, line

    def _alias(self, event: Any, path: str) -> Any:
        anchored = self._job_anchors.get(event.anchor) or self._anchors.get(event.anchor)
        if anchored is None:
            message = f"the alias *{plain(event.anchor)} has no anchor in this job, nor in `defaults` above it"
            self._complaints.append((_line(event), path, message))
            self._gaps.add(path)
            return None
        self._spend(event, anchored.nodes, anchored.text)
        self._repeated_nodes += anchored.nodes
        self._repeated_text += anchored.text
        if self._repeated_nodes > MOST_REPEATED_NODES or self._repeated_text > MOST_REPEATED_TEXT:
            raise BrokenFileError(_line(event), f"the aliases of the file add up to {TOO_MUCH}")
        return anchored.value

    def _spend(self, event: Any, nodes: int, text: int) -> None:
        self._nodes += nodes
        self._text += text
        if self._nodes > MOST_NODES or self._text > MOST_TEXT:
            what = f"{MOST_NODES} values or {MOST_TEXT // 10**6} MB of text"
            raise BrokenFileError(_line(event), f"one job adds up to more than {what}, aliases counted in full")

    def _refuse_tag(self, event: Any, path: str) -> None:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f"the tag {plain(tag)} is not allowed; write the plain value without it"
            self._complaints.append((_line(event), path, message))

    def _flush(self, job_id: str | None) -> None:
        """Report what was collected, now that the job's id is known."""
        for line, path, message in self._complaints:
            self._problems.add(line, message, job_id=job_id, path=path or None)
        self._complaints = []


_EXAMPLES = {"run": "run: {concurrency: 20}", "defaults": "defaults: {parameters: {resolution: 480P}}"}


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(text: str, as_written: bool) -> Any:
    value = plain_scalar(text)
    return text if as_written and value is not None else value


def _wrong_top(root: Any) -> str:
    if isinstance(root, yaml.SequenceStartEvent):
        return "the manifest begins with a list; write `jobs:` above it"
    return "a manifest is a mapping with the list `jobs:`; this is something else"
