"""The bytes of a manifest: opened as often as needed, checked to be UTF-8 text, line by line or as a stream."""

import codecs
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from pipeline.catalog import did_you_mean, plain
from pipeline.core.errors import ManifestError, Problem
from pipeline.core.patterns import pattern
from pipeline.manifest.rows import BrokenFileError

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_LINE = 32_000_000
"""Bytes of one line, and of one value of a YAML file: more than the largest media value (28 MB) needs."""
STDIN = "stdin"

_BLOCK = 131_072
"""Bytes that are taken up at once: some hundred rows."""
_UNREADABLE = pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""Characters that YAML does not allow in a file."""
_CSV_HEADER = pattern(r'"?[A-Za-z][\w. -]*"?([,;\t] *"?[\w. -]*"?)*')
SAVE_AS_UTF8 = "save the file as UTF-8"
_MOSTLY = 0.75
"""The share of characters that makes an encoding probable."""


class Kind(StrEnum):
    """The three formats."""

    YAML = "YAML"
    CSV = "CSV"
    JSONL = "JSONL"


SUFFIXES = {".yaml": Kind.YAML, ".yml": Kind.YAML, ".csv": Kind.CSV, ".jsonl": Kind.JSONL, ".ndjson": Kind.JSONL}


class Source(Struct, frozen=True):
    """A manifest that can be read again and again."""

    name: str
    """The stem of the file's name, `stdin` for standard input."""
    file: str
    """As the user named it, for messages."""
    folder: str
    """Where relative paths of local files start."""
    kind: Kind
    path: str | None
    spool: BinaryIO | None = None
    """An unnamed temporary file with what came through standard input."""

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The bytes from the start, a byte order mark skipped. Raises `ManifestError` and `BrokenFileError`."""
        if self.spool is not None:
            self.spool.seek(0)
            _skip_mark(self.spool)
            yield self.spool
            return
        assert self.path is not None  # noqa: S101  # a source has a path or a spool
        with _opened(self.path) as stream:
            _skip_mark(stream)
            yield stream

    def close(self) -> None:
        """Forget what came through standard input."""
        if self.spool is not None:
            self.spool.close()


def source_of(path: "str | Path") -> Source:
    """The source that a command-line argument names; `-` is standard input. Raises `ManifestError`."""
    if str(path) == "-":
        return _standard_input(sys.stdin.buffer)
    file = str(path)
    if "\0" in file:
        raise _refused(file, "no file can have this name: it contains a NUL character")
    with _opened(file):
        pass
    stem, suffix = os.path.splitext(os.path.basename(file))
    around = os.path.dirname(file)
    folder = os.path.join(os.getcwd(), around) if around else os.getcwd()
    return Source(stem, file, folder, _kind_of(suffix.lower(), file), file)


def _standard_input(stream: BinaryIO) -> Source:
    import shutil  # files do without
    import tempfile

    spool = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the manifest, which closes it
    shutil.copyfileobj(stream, spool)
    spool.seek(0)
    return Source(STDIN, STDIN, os.getcwd(), sniff(spool.read(65_536)), None, spool)


def sniff(beginning: bytes) -> Kind:
    """The format of a manifest without a name, from its first line that is neither blank nor a comment.

    A line that starts with `{`, goes on, and does not name `jobs` is JSONL. A line of nothing but words between
    commas (semicolons, tabs) is a CSV header. Everything else is YAML.
    """
    text = beginning.decode("utf-8-sig", errors="replace")
    lines = (line.strip() for line in text.splitlines())
    first = next((line for line in lines if line and not line.startswith("#")), "")
    if first.startswith("{") and first != "{" and not re.match(r"\{[^:]*\bjobs\b", first):
        return Kind.JSONL
    return Kind.CSV if _CSV_HEADER.fullmatch(first) else Kind.YAML


def _kind_of(suffix: str, file: str) -> Kind:
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if suffix == ".json":
        raise _refused(file, "a JSON document is no manifest; write one job object a line and name the file .jsonl")
    known = "a manifest is named .yaml, .yml, .csv, .jsonl or .ndjson"
    near = did_you_mean(suffix, SUFFIXES) if suffix else ""
    raise _refused(file, f"the suffix {plain(suffix) or '(none)'} says no format; {known}{near}")


def _refused(file: str, message: str) -> ManifestError:
    return ManifestError([Problem(plain(file, 1000), None, None, None, message)])


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    try:
        if os.path.isdir(file):
            raise _refused(file, "is a directory; name the manifest file in it")
        if os.path.exists(file) and not os.path.isfile(file):
            raise _refused(file, "is not a regular file; write - to read from standard input")
        stream = open(file, "rb")  # noqa: SIM115 - closed below
    except FileNotFoundError as exc:
        raise _refused(file, f"there is no such file{_sibling(file)}") from exc
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise _refused(file, f"cannot be read: {reason}; check the name and its permissions") from exc
    with stream:
        yield stream


def _sibling(file: str) -> str:
    try:
        names = [name for name in os.listdir(os.path.dirname(file) or ".") if name.lower().endswith(tuple(SUFFIXES))]
    except OSError:
        return "; neither is its folder, or it cannot be read"
    return did_you_mean(os.path.basename(file), names) or "; check the name"


def _skip_mark(stream: BinaryIO) -> None:
    """Step over a UTF-8 byte order mark; refuse the other encodings that give themselves away."""
    start = stream.read(4)
    for mark, name in (
        (codecs.BOM_UTF32_LE, "UTF-32"),
        (codecs.BOM_UTF16_LE, "UTF-16"),
        (codecs.BOM_UTF16_BE, "UTF-16"),
    ):
        if start.startswith(mark):
            raise BrokenFileError(1, f"is {name} text; {SAVE_AS_UTF8}")
    if start[:1] == b"\0" or start[1:2] == b"\0":
        raise BrokenFileError(1, f"contains NUL bytes as UTF-16 text does; {SAVE_AS_UTF8}")
    stream.seek(3 if start.startswith(codecs.BOM_UTF8) else 0)


def text_blocks(stream: BinaryIO, mend: str = SAVE_AS_UTF8) -> Iterator[tuple[int, list[str]]]:
    """The lines of a text with their line ends, some hundred at a time, and the number of the first of them.

    `mend` says how such a file becomes UTF-8.
    Raises `BrokenFileError` for what is no text, after the lines before it. A line longer than `LONGEST_LINE` is
    refused before it is read whole.
    """
    first = 1
    while data := stream.read(_BLOCK):
        data += stream.readline(LONGEST_LINE + 1)
        lines, broken = _decoded(data, first, mend)
        if lines:
            yield first, lines
        if broken:
            raise broken
        first += len(lines)


def _decoded(data: bytes, first: int, mend: str) -> tuple[list[str], BrokenFileError | None]:
    """The lines up to the first that is no text, and what is wrong with that one."""
    if b"\0" not in data and len(data) <= LONGEST_LINE:
        try:
            return list(map(bytes.decode, io.BytesIO(data))), None
        except UnicodeDecodeError:
            pass  # one by one, to find the line
    lines: list[str] = []
    for number, line in enumerate(io.BytesIO(data), first):
        try:
            lines.append(_text_of(line, number, mend))
        except BrokenFileError as broken:
            return lines, broken
    return lines, None


def _text_of(line: bytes, number: int, mend: str) -> str:
    if len(line) > LONGEST_LINE:
        raise BrokenFileError(
            number, f"the line is longer than {LONGEST_LINE // 10**6} MB; name large media by path or URL"
        )
    if b"\0" in line:
        raise BrokenFileError(number, "contains a NUL byte; no text has one: the file is damaged or of another kind")
    try:
        return line.decode()
    except UnicodeDecodeError as exc:
        raise _not_utf8(number, line, line[exc.start], exc.start + 1, mend) from exc


def _not_utf8(number: int, line: bytes, byte: int, column: int | None, mend: str) -> BrokenFileError:
    where = f" in column {column}" if column else ""
    return BrokenFileError(number, f"is not UTF-8 text (byte 0x{byte:02X}{where}){_probably(line)}; {mend}")


def _probably(line: bytes) -> str:
    """Which encoding the line is in, where its bytes tell: everyday Chinese, or single letters with accents.

    The common characters of Chinese stand in GB 2312 from 0xB0A1 to 0xD7FE. Korean has its syllables up to 0xC8FE, and
    Japanese its kana before 0xB0A1, in encodings that look the same.
    """
    try:
        written = [one.encode("gb18030") for one in line.decode("gb18030") if one > "\x7f"]
    except UnicodeDecodeError:
        written = []
    words = [one for one in written if not b"\xa1" <= one[:1] <= b"\xa3"]  # punctuation and full-width signs
    common = [one for one in words if b"\xb0" <= one[:1] <= b"\xd7" and one[1:2] >= b"\xa1"]
    if len(common) > 1 and len(common) >= _MOSTLY * len(words) and max(common) > b"\xc8\xfe":
        return ", probably GBK"
    runs = re.findall(rb"[\x80-\xff]+", line)
    single = sum(len(run) == 1 for run in runs)
    return ", probably Latin-1 or Windows-1252" if single >= _MOSTLY * len(runs) else ""


class TextGuard:
    """A stream for the YAML parser that gives out nothing but sound UTF-8 text, and no endless value."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._since_rest = 0
        self.lines = 0
        """Line breaks given out so far."""

    def read(self, size: int = 65_536, /) -> bytes:
        """The next bytes. Raises `BrokenFileError`."""
        data = self._stream.read(min(size, 65_536))
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as exc:
            number = self.lines + 1 + exc.object[: exc.start].count(b"\n")
            begin, end = exc.object.rfind(b"\n", 0, exc.start) + 1, exc.object.find(b"\n", exc.start)
            cause = exc.object[begin : end if end >= 0 else None]
            raise _not_utf8(number, cause, exc.object[exc.start], None, SAVE_AS_UTF8) from exc
        if hit := _UNREADABLE.search(text):
            name = "a NUL byte" if hit[0] == "\0" else f"the control character U+{ord(hit[0]):04X}"
            line = self.lines + 1 + text.count("\n", 0, hit.start())
            raise BrokenFileError(line, f"contains {name}; remove it (YAML text has none)")
        self.lines += data.count(b"\n")
        self._since_rest += len(data)
        if self._since_rest > LONGEST_LINE + 65_536:
            raise BrokenFileError(
                self.lines + 1,
                f"a single value is longer than {LONGEST_LINE // 10**6} MB; name large media by path or URL",
            )
        return data

    def rest(self) -> None:
        """The parser has come to an end of something: the next value may be long again."""
        self._since_rest = 0
