"""What the emulator says when it ends. Pure."""

from collections.abc import Mapping

from pipeline.views.text import many

_RARE = {"troubles": ("trouble", " played"), "peak": ("task", " at most at a time")}
"""Counts that are left out where they are zero, with their noun and what follows it."""


def farewell(seen: Mapping[str, int]) -> str:
    """`2 submits, 2 tasks, 9 questions, 2 downloads, 0 leaked keys, 2 tasks at most at a time`."""
    shown = {name: number for name, number in seen.items() if number or name not in _RARE}
    return ", ".join(_counted(name, number) for name, number in shown.items())


def _counted(name: str, number: int) -> str:
    noun, rest = _RARE.get(name, (name.removesuffix("s").replace("_", " "), ""))
    return many(number, noun) + rest
