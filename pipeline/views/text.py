"""Words on a screen: text from outside made harmless, times and counts made readable. Pure."""

import unicodedata

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that could move the cursor, turn the writing direction, hide, or break a line."""
_JOINER = "\u200d"  # it only joins emoji
_WIDE = frozenset({"W", "F"})


def printable(text: str) -> str:
    r"""The text on one line, with every character that could steer a terminal written as an escape such as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character == _JOINER or unicodedata.category(character) not in _ESCAPED:
        return character
    code = ord(character)
    if code <= 0xFF:
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def cut(text: str, limit: int) -> str:
    """At most so many terminal cells of the text; an ellipsis shows that there was more."""
    if cells(text) <= limit:
        return text
    kept, used = [], 1
    for character in text:
        used += _cells(character)
        if used > limit:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…" if limit > 0 else ""


def cells(text: str) -> int:
    """Terminal cells that the text takes."""
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def folded(text: str, width: int) -> list[str]:
    """The text on lines of at most so many cells, broken between words; all but the first are indented by two more.

    A word that is too long for a line has one of its own.
    """
    margin = text[: len(text) - len(text.lstrip(" "))]
    first, *words = text.strip(" ").split(" ")
    lines = [margin + first]
    for word in words:
        if cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{margin}  {word}")
    return lines


def clock(seconds: float) -> str:
    """`0:07`, `12:34` or `5:00:00` from seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def span(seconds: float) -> str:
    """`14.2 s`, `3 min 20 s` or `2 h 5 min` from seconds."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def many(number: int, noun: str) -> str:
    """`1 job`, `1,234 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
