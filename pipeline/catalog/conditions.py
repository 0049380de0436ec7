"""What a request is asked by selectors, rules and prices: the conditions, and the values that they look at."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

MISSING: Any = object()
"""Where a path leads to nothing; null is something."""


class Condition(Struct, frozen=True):
    """One comparison with a request."""

    path: str
    test: Literal["in", "present", "any_item", "none_item"]
    operand: Any
    """Values, true or false, or the wanted members of an item."""


def lookup(request: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, or MISSING."""
    value: Any = request
    for name in path.split("."):
        if not isinstance(value, (dict, Mapping)) or name not in value:  # a dict is told without the slow check
            return MISSING
        value = value[name]
    return value


def is_given(request: Mapping[str, Any], path: str) -> bool:
    """Whether there is a value at the path; null counts as none."""
    value = lookup(request, path)
    return value is not MISSING and value is not None


def same(value: Any, wanted: Any) -> bool:
    """Whether two JSON values are one: 1 is neither 1.0 nor true."""
    return bool(value == wanted) and type(value) is type(wanted)
