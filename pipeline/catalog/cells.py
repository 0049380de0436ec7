"""Text made a typed value, as a field of the catalog wants it: for CSV cells, which know only text."""

import math
import re
from typing import Any

from pipeline.catalog.conditions import MISSING
from pipeline.catalog.entry import Field

_INTEGER = r"[+-]?[0-9]{1,20}"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"


def typed_text(described: Field, text: str) -> Any:
    """The value that the text stands for, or MISSING where the field's type does not allow it.

    Texts stay as they are; numbers and booleans (`true`, `FALSE`) may have spaces around them;
    arrays and objects are JSON, except that a local file may be named in the place of an object that is a picture.
    """
    word = text.strip()
    if described.type == "string" or (described.type == "object" and described.media and word[:1] != "{"):
        return text
    if described.type in ("integer", "number"):
        return _number(word, whole=described.type == "integer")
    if described.type == "boolean":
        return {"true": True, "false": False}.get(word.lower(), MISSING)
    return _json(word, list if described.type == "array" else dict)


def _number(word: str, *, whole: bool) -> Any:
    if re.fullmatch(_INTEGER, word):
        return int(word)
    if whole or len(word) > 40 or not re.fullmatch(_NUMBER, word):
        return MISSING
    value = float(word)
    return value if math.isfinite(value) else MISSING


def _json(word: str, wanted: type) -> Any:
    import json  # few tables have such a cell

    try:
        value = json.loads(word, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        return MISSING
    return value if isinstance(value, wanted) else MISSING


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is given twice")
    return made
