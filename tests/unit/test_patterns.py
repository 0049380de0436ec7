"""Regular expressions that wait for their first use."""

import importlib
import re

import pytest

from pipeline.core.patterns import _Late, pattern
from tests.house.test_layers import MODULES


def test_a_pattern_is_what_it_stands_for_when_it_is_used() -> None:
    """Every method of a compiled expression is there, with the flags that were given."""
    word = pattern(r"\w+", re.ASCII)
    assert word.fullmatch("word")
    assert not word.fullmatch("wört")
    assert word.sub("-", "a b") == "- -"
    assert word.pattern == r"\w+"
    assert pattern(rb"a+").search(b"caab")


def test_a_pattern_is_compiled_once_when_it_is_used_often() -> None:
    """After its first use a method costs no more than that of a compiled expression."""
    word = pattern(r"\w+")
    assert word.fullmatch is word.fullmatch


@pytest.mark.parametrize("name", MODULES)
def test_a_mistake_in_a_pattern_shows_when_the_tests_run(name: str) -> None:
    """No expression of the package waits for its first use to be found wrong."""
    if name.endswith("__main__"):
        return
    for value in vars(importlib.import_module(name)).values():
        for one in value if isinstance(value, tuple) else (value,):
            if type(one) is _Late:
                assert one.pattern is not None
