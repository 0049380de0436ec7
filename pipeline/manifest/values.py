"""JSON values and texts: what YAML's plain scalars mean, and what no manifest may carry."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline.catalog import plain, shown
from pipeline.core.patterns import pattern

DEEPEST = 32
"""Levels of lists and mappings in one job."""
MOST_NODES = 20_000
"""Values in one job, aliases counted as what they stand for."""
MOST_REPEATED_NODES, MOST_REPEATED_TEXT = 10_000_000, 1_000_000_000
"""Values and characters that `defaults` and aliases may add up to over a whole file: a small file would otherwise make
hours of work and terabytes of ledger."""
TOO_MUCH = (
    f"more than {MOST_REPEATED_NODES // 10**6} million values or {MOST_REPEATED_TEXT // 10**9} GB of text; "
    "name large media by path or URL, or split the manifest"
)
LONGEST_TEXT = 1_000_000
"""Bytes of a text value in UTF-8."""
LONGEST_MEDIA = 28_000_000
"""Characters of a media value written into the manifest: 20 MB of bytes in Base64 and their prefix."""
SMALLEST_INT, LARGEST_INT = -(2**63), 2**64 - 1
BEYOND = "the integer does not fit into 64 bits"
AS_TEXT = "write it as text, in quotes"

_CONTROL = pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = pattern("[\ud800-\udfff]")
_INT = pattern(r"[-+]?[0-9]+")
_PREFIXED_INT = pattern(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = pattern(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# The core schema of YAML 1.2. PyYAML's own rules are those of 1.1, where `no`, `on` and `12:30:00` are not the
# words that the author wrote, and where a date is no JSON value; here all of these stay text.
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def plain_scalar(text: str) -> Any:
    """What an unquoted YAML scalar means by the core rules: null, boolean, integer, number or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return whole_number(text)
    if _PREFIXED_INT.fullmatch(text) and len(text) <= 30:
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NO_NUMBER.fullmatch(text):
        return float(text.lower().replace(".", "").removeprefix("+"))
    return text


def whole_number(text: str) -> int:
    """The integer; one with absurdly many digits becomes one that is merely too large."""
    # Python refuses to convert thousands of digits; the check below names the range anyway.
    return int(text) if len(text) <= 40 else LARGEST_INT + 1


def weight(value: Any) -> tuple[int, int]:
    """How many values there are, names of fields among them, and how many characters they have."""
    nodes, text, waiting = 0, 0, [value]
    while waiting:
        one = waiting.pop()
        nodes += 1
        if isinstance(one, str):
            text += len(one)
        elif isinstance(one, Mapping):
            waiting.extend(one)
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    return nodes, text


def texts_in(value: Any) -> Iterator[str]:
    """Every text at any depth, names of fields not among them."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def is_deeper(value: Any, levels: int) -> bool:
    """Whether lists and mappings stand in each other more than so many levels deep."""
    level = [value]
    for _ in range(levels + 1):
        inner = [one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list)]
        if not inner:
            return False
        level = [one for around in inner for one in around]
    return True


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping over another: mappings are merged at every depth, anything else is replaced."""
    made = dict(under)
    for name, value in over.items():
        below = made.get(name)
        made[name] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return made


def with_value(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with the value at the dotted path; one that leads through anything but mappings changes nothing."""
    first, dot, rest = path.partition(".")
    if not dot:
        return {**values, first: value}
    inner = values.get(first)
    if inner is not None and not isinstance(inner, Mapping):
        return dict(values)
    return {**values, first: with_value(inner or {}, rest, value)}


def forbidden(value: Any, path: str, media: Collection[str] = (), depth: int = 1) -> Iterator[tuple[str, str]]:
    """Path and complaint for every value below `path` that no request, ledger or results line can carry.

    `media` names the paths of media values, which may be longer than other texts.
    """
    if isinstance(value, str):
        if complaint := text_complaint(value, LONGEST_MEDIA if path in media else LONGEST_TEXT):
            yield path, complaint
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, f"{plain(str(value))} is no JSON number; write a finite one"
    elif isinstance(value, int):
        if not SMALLEST_INT <= value <= LARGEST_INT:
            yield path, f"{BEYOND}; {AS_TEXT}"
    elif value and depth > DEEPEST:
        yield path, f"is nested deeper than {DEEPEST} levels"
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            where = f"{path}.{key}"
            if complaint := text_complaint(key, 1000):
                yield where, f"the name of the field {complaint}"
            yield from forbidden(inner, where, media, depth + 1)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from forbidden(inner, f"{path}.{position}", media, depth + 1)


def text_complaint(text: str, longest: int) -> str | None:
    """What is wrong with a text, or None: too long, control characters, half a character."""
    if len(text) > longest or (len(text) * 4 > longest and len(text.encode("utf-8", "surrogatepass")) > longest):
        return f"is longer than {_amount(longest)}, the most that one text may have; it begins with {shown(text[:40])}"
    if text.isprintable():
        return None
    if hit := _CONTROL.search(text):
        what = "a NUL character" if hit[0] == "\0" else f"the control character U+{ord(hit[0]):04X}"
        return f"contains {what}; remove it (line breaks and tabs are allowed)"
    if hit := _SURROGATE.search(text):
        return f"contains half a character (U+{ord(hit[0]):04X}, a lone surrogate); write the whole character"
    return None


def _amount(limit: int) -> str:
    return f"{limit // 10**6} MB" if limit >= 10**6 else f"{limit} bytes"
