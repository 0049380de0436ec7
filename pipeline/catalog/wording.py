"""How values of unknown origin are shown in a message: short, escaped, with the nearest right word."""

from collections.abc import Iterable
from typing import Any

SHOWN = 60
"""Characters of a value that a message shows at most."""


def shown(value: Any) -> str:
    """The value for a message: text in quotes with everything unprintable escaped, long values cut."""
    if isinstance(value, str):
        cut = value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"
        return repr(cut)
    if isinstance(value, list | dict):
        return f"{article(json_type(value))} of {len(value)}"
    import json  # only a mistake waits for it

    return plain(json.dumps(value))


def plain(text: str, limit: int = SHOWN) -> str:
    """A name for a message, without quotes: escaped where it is not printable, cut where it is long."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else repr(cut)[1:-1]


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant; differences in case count as none."""
    import difflib  # only a mistake waits for it

    by_fold = {known.casefold(): known for known in words}
    # Only a short word is compared: difflib's time grows with the square of the length.
    found = difflib.get_close_matches(word[:200].casefold(), by_fold, n=1)
    return by_fold[found[0]] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """`; did you mean prompt?`, or nothing."""
    near = nearest(word, words)
    return f"; did you mean {near}?" if near else ""


def listed(words: Iterable[Any], link: str = "or") -> str:
    """`480P or 720P`, `5, 8 or 10`."""
    names = [str(word) if not isinstance(word, bool) else str(word).lower() for word in words]
    return f"{', '.join(names[:-1])} {link} {names[-1]}" if len(names) > 1 else "".join(names)


def json_type(value: Any) -> str:
    """The kind of a JSON value, in the words of the catalog."""
    if isinstance(value, bool):
        return "boolean"
    for kinds, name in (((str,), "text"), ((int,), "integer"), ((float,), "number"), ((list,), "array")):
        if isinstance(value, kinds):
            return name
    return "null" if value is None else "object"


def article(noun: str) -> str:
    """`an array`, `a number`, `text`."""
    if noun in ("text", "null"):
        return noun
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"
