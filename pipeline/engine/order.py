"""Which jobs go first: in a small batch the longest class, so that no slot is left with a long task at the end. Pure.

A class is `Job.kind`. How long its tasks take is known from earlier ones, from the catalog, or is guessed: what matters
is the order of the classes alone.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

from pipeline.core.jobs import Job

Order = Literal["auto", "manifest", "longest-first"]
Seconds = Callable[[Job], float | None]
"""How long the task of such a job takes, where that is known."""

_SMALL = 10
"""Jobs for each slot below which the order matters: beyond it, the end of a batch is a small part of it."""
_ALIKE = 0.9
"""Classes whose durations differ by less than a tenth keep the order of the manifest among each other."""

_SAMPLE_SECONDS = 50.0
_SAMPLE_LENGTH = 5.0
_SAMPLE_PIXELS = 832.0 * 480.0
"""The vendor's sample: five seconds of video at 480P took 50 s (`reference: modelverse-api.md`)."""
_LINES = re.compile(r"(\d{3,4})[pP]")
_SIZE = re.compile(r"(\d{3,4})\s*[xX*]\s*(\d{3,4})")
_WIDE = 16.0 / 9.0


def longest_goes_first(order: Order, *, queued: int, limit: int | None, slots: int) -> bool:
    """Whether to leave the order of the manifest.

    `auto` does where there are few jobs for each slot, unless a limit picks some: those are the manifest's first.
    """
    if order == "auto":
        return queued < _SMALL * slots and (limit is None or limit >= queued)
    return order == "longest-first"


def leaders(seconds: Sequence[float]) -> list[int]:
    """The positions of the classes that go next: the longest one, and those that take about as long."""
    longest = max(seconds, default=0.0)
    return [number for number, expected in enumerate(seconds) if expected >= _ALIKE * longest]


def guess(job: Job) -> float:
    """Seconds that a task may take where nothing is known: in proportion to the length and the pixels of its video.

    What the job does not say is taken from the vendor's sample, so that jobs which say nothing are all alike.
    """
    parameters = job.parameters
    length = _number(parameters.get("duration")) or _SAMPLE_LENGTH
    pixels = _pixels(parameters.get("resolution")) or _pixels(parameters.get("size")) or _SAMPLE_PIXELS
    return _SAMPLE_SECONDS * (length / _SAMPLE_LENGTH) * (pixels / _SAMPLE_PIXELS)


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if 0.0 < number < 1e6 else None


def _pixels(value: object) -> float | None:
    """Of `720P`, or of `1280*720`."""
    text = str(value)
    if size := _SIZE.fullmatch(text):
        return float(size[1]) * float(size[2])
    lines = _LINES.fullmatch(text)
    return float(lines[1]) ** 2 * _WIDE if lines else None
