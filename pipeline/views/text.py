"""Words on a screen: text from outside made harmless, times and counts made readable. Pure."""

import unicodedata
from collections.abc import Iterable

from pipeline.core import words

many = words.many
"""As the rooms below count, too."""

_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories that could move the cursor, turn the writing direction, hide, or break a line."""
_JOINER = "\u200d"  # it only joins emoji
_UPON = frozenset({"Mn", "Me", "Cf"})
"""Categories that take no cell of their own: they stand upon the character before."""
_WIDE = frozenset({"W", "F"})


def printable(text: str) -> str:
    r"""The text on one line, with every character that could steer a terminal written as an escape such as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def shell_word(text: str) -> str:
    r"""The text as one word for a shell, printable whatever it holds.

    What could steer a terminal, and bytes of a file name that are no UTF-8, stand in the form `$'a\351'`, which bash,
    zsh, ksh and newer shells understand: so a command that is shown is also the one that is meant.
    """
    from shlex import quote  # compiles a pattern that most commands do without

    if printable(text) == text:
        return quote(text)
    return f"$'{''.join(map(_spelled, text))}'"


def shell_words(words: Iterable[str]) -> str:
    """A command line of these words."""
    return " ".join(map(shell_word, words))


def _spelled(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if _shown(character) == character:
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


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
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.category(character) in _UPON:
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


def roughly(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `25 min` or `2 h 5 min` from seconds: as exact as an estimate deserves."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 600:
        minutes, rest = divmod(round(seconds / 10) * 10, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if hours else f"{minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def size(number: float) -> str:
    """`12 kB`, `2.4 MB` or `1.1 GB` from bytes."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if number >= scale:
            return f"{number / scale:,.1f} {unit}"
    return f"{number / 1e3:,.0f} kB"


def rate(number: float) -> str:
    """`0.42`, `7.3` or `1,204`: three digits that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 or not number else f"{number:.2f}"
