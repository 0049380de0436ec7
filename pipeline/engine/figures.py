"""What a number of jobs come to: how many of each kind, what they cost, how long they take. Pure."""

from collections.abc import Callable, Iterable, Mapping

from pipeline.core.jobs import Job, Source
from pipeline.core.money import Quote, Spending
from pipeline.core.values import Value

Takes = Callable[[Quote], float | None]
"""How long the task of such a job takes, in seconds, where that is known."""


class Sum(Value):
    """What jobs in one currency cost; millionths."""

    currency: str
    jobs: int = 0
    expected: int = 0
    worst: int | None = 0
    """None where a job among them has no upper bound."""


class Figures:
    """Jobs, counted by what they cost."""

    def __init__(self, counts: dict[Quote, int] | None = None) -> None:
        self.counts = {} if counts is None else counts
        self.first_unpriced: tuple[str, Source] | None = None
        """The first job without a known worst case: its id, and where it stands."""
        self.first_unmeasured: tuple[str, Source] | None = None
        """The first job of whose video nobody knows the length."""

    def add(self, job: Job, quote: Quote) -> None:
        """Count a job."""
        self.counts[quote] = self.counts.get(quote, 0) + 1
        if quote.worst is None and self.first_unpriced is None:
            self.first_unpriced = job.job_id, job.source
        if quote.longest is None and self.first_unmeasured is None:
            self.first_unmeasured = job.job_id, job.source

    @property
    def jobs(self) -> int:
        """How many."""
        return sum(self.counts.values())

    @property
    def unpriced(self) -> int:
        """How many without a known worst case."""
        return sum(number for quote, number in self.counts.items() if quote.worst is None)

    @property
    def unmeasured(self) -> int:
        """How many whose video has no known length."""
        return sum(number for quote, number in self.counts.items() if quote.longest is None)

    def sums(self) -> list[Sum]:
        """What those with a known price cost, one sum for each currency."""
        found: dict[str, Sum] = {}
        for quote, number in self.counts.items():
            if quote.expected is not None:
                found[quote.currency] = _plus(found.get(quote.currency, Sum(quote.currency)), quote, number)
        return [found[currency] for currency in sorted(found)]

    def seconds(self) -> int:
        """Thousandths of a second of video, expected, of those whose video has a known length."""
        return sum(number * quote.seconds for quote, number in self.counts.items() if quote.seconds is not None)


def _plus(before: Sum, quote: Quote, number: int) -> Sum:
    worst = None if before.worst is None or quote.worst is None else before.worst + number * quote.worst
    expected = before.expected + number * (quote.expected or 0)
    return Sum(before.currency, before.jobs + number, expected, worst)


def wall_seconds(counts: Mapping[Quote, int], takes: Takes, slots: int) -> float | None:
    """How long the tasks take on so many slots; None where the duration of some is not known.

    No slot idles before the last task of a kind begins, so it is the work divided by the slots, or the longest task.
    """
    total = longest = 0.0
    for quote, number in counts.items():
        each = takes(quote)
        if each is None:
            return None
        total, longest = total + number * each, max(longest, each)
    return max(total / slots, longest)


def currencies(counts: Iterable[Quote], spending: Iterable[Spending]) -> list[str]:
    """Every currency that the quotes and the purchases are in."""
    known = {quote.currency for quote in counts} | {one.currency for one in spending}
    return sorted(known - {""})
