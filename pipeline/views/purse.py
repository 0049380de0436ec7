"""What a run spends while it goes on: told by its events, exact, each currency apart. Pure."""

from collections.abc import Mapping

from pipeline.core.money import Actual, Quote
from pipeline.core.values import Value


class Money(Value):
    """What the jobs of one run come to in one currency; millionths."""

    currency: str
    """Empty for jobs without a known price."""
    spent: int = 0
    """By attempts that have ended: as reported where that is known, else as expected."""
    held: int = 0
    """Expected, by attempts that run or whose outcome is unknown."""
    to_come: int = 0
    """Expected, by jobs that wait."""
    jobs: int = 0
    """How many are counted here."""


class Purse:
    """Keeps the money of a run. Memory grows with the jobs under way, and with the kinds of prices."""

    def __init__(self) -> None:
        self._spent: dict[str, int] = {}
        self._waiting: dict[Quote, int] = {}
        self._under_way: dict[str, Quote] = {}
        self._lost: dict[Quote, int] = {}
        self._unpriced = 0

    def expect(self, quotes: Mapping[Quote, int]) -> None:
        """These jobs are about to be bought."""
        self._waiting = dict(quotes)

    def buy(self, job_id: str, quote: Quote) -> None:
        """The request for the job leaves."""
        self._waiting[quote] = max(0, self._waiting.get(quote, 0) - 1)
        self._under_way[job_id] = quote

    def withdraw(self, job_id: str) -> None:
        """The request created nothing: the job waits again."""
        quote = self._under_way.pop(job_id, None)
        if quote is not None:
            self._waiting[quote] = self._waiting.get(quote, 0) + 1

    def refuse(self, job_id: str) -> None:
        """The request created nothing, and the job does not wait any more."""
        self._under_way.pop(job_id, None)

    def lose(self, job_id: str) -> None:
        """Nobody knows whether the request has cost something."""
        quote = self._under_way.pop(job_id, None)
        if quote is not None:
            self._lost[quote] = self._lost.get(quote, 0) + 1

    def settle(self, job_id: str, actual: Actual | None) -> None:
        """The task has ended; where the service does not tell what it came to, it counts as expected."""
        quote = self._under_way.pop(job_id, None)
        if quote is None:
            return
        cost = quote.expected if actual is None or actual.cost is None else actual.cost
        if cost is None:
            self._unpriced += 1
        else:
            self._spent[quote.currency] = self._spent.get(quote.currency, 0) + cost

    def money(self, to_submit: int | None = None) -> tuple[Money, ...]:
        """Each currency, and what has no known price; where fewer jobs are submitted than wait, the mixture stays."""
        waiting = sum(self._waiting.values())
        part = 1.0 if to_submit is None or to_submit >= waiting else to_submit / waiting
        held, held_jobs = _sums(self._lost)
        for quote in self._under_way.values():
            _add(held, held_jobs, quote, 1)
        to_come, waiting_jobs = _sums(self._waiting)
        currencies = sorted({*self._spent, *held, *to_come} - {""})
        unpriced = self._unpriced + held_jobs.get("", 0) + round(part * waiting_jobs.get("", 0))
        priced = [
            Money(name, self._spent.get(name, 0), held.get(name, 0), round(part * to_come.get(name, 0)))
            for name in currencies
        ]
        return (*priced, Money("", jobs=unpriced)) if unpriced else tuple(priced)


def _sums(quotes: Mapping[Quote, int]) -> tuple[dict[str, int], dict[str, int]]:
    amounts: dict[str, int] = {}
    jobs: dict[str, int] = {}
    for quote, number in quotes.items():
        _add(amounts, jobs, quote, number)
    return amounts, jobs


def _add(amounts: dict[str, int], jobs: dict[str, int], quote: Quote, number: int) -> None:
    """An amount in its currency; what has no known price is only counted, under no currency."""
    name = "" if quote.expected is None else quote.currency
    jobs[name] = jobs.get(name, 0) + number
    if quote.expected is not None:
        amounts[name] = amounts.get(name, 0) + number * quote.expected
