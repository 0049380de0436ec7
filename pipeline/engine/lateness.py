"""How late questions leave, over the last minute: a pool that is too small shows here first. Pure."""

from collections import deque
from dataclasses import dataclass

from pipeline.core.values import Value

_PART = 10.0
_PARTS = 6


class Late(Value):
    """The questions of the last minute against their due times; seconds."""

    questions: int = 0
    mean: float = 0.0
    worst: float = 0.0


@dataclass(slots=True)
class _Part:
    begins: float
    questions: int = 0
    total: float = 0.0
    worst: float = 0.0


class Lateness:
    """A running measure in parts of ten seconds."""

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque(maxlen=_PARTS)
        self._part: _Part | None = None
        """The latest of them."""

    def note(self, now: float, late: float) -> None:
        """A question leaves so many seconds after its due time."""
        part = self._part
        if part is None or now >= part.begins + _PART:
            part = self._part = _Part(now)
            self._parts.append(part)
        part.questions += 1
        part.total += late
        if late > part.worst:
            part.worst = late

    def lately(self, now: float) -> Late:
        """What the last minute came to."""
        parts = [part for part in self._parts if part.begins > now - _PART * _PARTS]
        questions = sum(part.questions for part in parts)
        if not questions:
            return Late()
        return Late(questions, sum(part.total for part in parts) / questions, max(part.worst for part in parts))
