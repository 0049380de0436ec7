"""What a run spends while it goes on: told by its events, exact, each currency apart. Pure."""

from collections.abc import Iterable, Mapping

from pipeline.core.money import Actual, Quote, Spending
from pipeline.core.values import Value


class Money(Value):
    """What the jobs of one run come to in one currency, as the ledger counts them; millionths."""

    currency: str
    """Empty for jobs without a known price."""
    spent: int = 0
    """By attempts that have ended in this run: as reported where that is known, else as expected."""
    reserved: int = 0
    """At worst, by attempts of any run that run or whose outcome is unknown."""
    doubted: int = 0
    """The part of it whose outcome is unknown."""
    to_come: int = 0
    """Expected, by jobs that wait."""
    expected: int = 0
    """By all that this run has to do with."""
    jobs: int = 0
    """How many are counted here."""


class Purse:
    """Keeps the money of a run. Memory grows with the jobs under way, and with the kinds of prices."""

    def __init__(self) -> None:
        self._spent: dict[str, int] = {}
        self._waiting: dict[Quote, int] = {}
        self._adopted: dict[str, Quote] = {}
        self._under_way: dict[str, Quote] = {}
        self._lost: dict[Quote, int] = {}
        self._lost_before: dict[str, int] = {}
        self._unpriced = 0

    def expect(
        self, quotes: Mapping[Quote, int], adopted: Mapping[str, Quote] | None = None, spending: Iterable[Spending] = ()
    ) -> None:
        """These jobs are about to be bought, those of earlier runs may yet end, and the folder has come to so much."""
        self._waiting = dict(quotes)
        self._adopted = dict(adopted or {})
        self._lost_before = {one.currency: one.reserved for one in spending if one.currency}
        for quote in self._adopted.values():
            if quote.currency in self._lost_before:
                self._lost_before[quote.currency] -= quote.worst or 0
        self._lost_before = {name: amount for name, amount in self._lost_before.items() if amount > 0}

    def buy(self, job_id: str, quote: Quote) -> None:
        """The request for the job leaves."""
        self._adopted.pop(job_id, None)
        self._waiting[quote] = max(0, self._waiting.get(quote, 0) - 1)
        self._under_way[job_id] = quote

    def withdraw(self, job_id: str) -> None:
        """The request created nothing: the job waits again."""
        self._adopted.pop(job_id, None)
        quote = self._under_way.pop(job_id, None)
        if quote is not None:
            self._waiting[quote] = self._waiting.get(quote, 0) + 1

    def refuse(self, job_id: str) -> None:
        """The request created nothing, and the job does not wait any more."""
        self._take(job_id)

    def lose(self, job_id: str) -> None:
        """Nobody knows whether the request has cost something."""
        quote = self._take(job_id)
        if quote is not None:
            self._lost[quote] = self._lost.get(quote, 0) + 1

    def settle(self, job_id: str, actual: Actual | None) -> None:
        """The task has ended; where the service does not tell what it came to, it counts as expected."""
        quote = self._take(job_id)
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
        lost, begun = _Sums(self._lost), _Sums()
        for quote in (*self._under_way.values(), *self._adopted.values()):
            begun.add(quote, 1)
        to_come = _Sums(self._waiting)
        known = {*self._spent, *self._lost_before, *lost.expected, *begun.expected, *to_come.expected}
        priced = [self._in_currency(name, lost, begun, to_come, part) for name in sorted(known - {""})]
        unpriced = self._unpriced + lost.unpriced + begun.unpriced + round(part * to_come.unpriced)
        return (*priced, Money("", jobs=unpriced)) if unpriced else tuple(priced)

    def _in_currency(self, name: str, lost: "_Sums", begun: "_Sums", to_come: "_Sums", part: float) -> Money:
        spent, coming = self._spent.get(name, 0), round(part * to_come.expected.get(name, 0))
        doubted = self._lost_before.get(name, 0) + lost.worst.get(name, 0)
        expected = spent + lost.expected.get(name, 0) + begun.expected.get(name, 0) + coming
        return Money(name, spent, doubted + begun.worst.get(name, 0), doubted, coming, expected)

    def _take(self, job_id: str) -> Quote | None:
        adopted, bought = self._adopted.pop(job_id, None), self._under_way.pop(job_id, None)
        return bought or adopted


class _Sums:
    """What jobs come to by currency; what has no known price is only counted."""

    def __init__(self, quotes: Mapping[Quote, int] | None = None) -> None:
        self.expected: dict[str, int] = {}
        self.worst: dict[str, int] = {}
        self.unpriced = 0
        for quote, number in (quotes or {}).items():
            self.add(quote, number)

    def add(self, quote: Quote, number: int) -> None:
        """So many jobs at this price."""
        if quote.expected is None:
            self.unpriced += number
        else:
            self.expected[quote.currency] = self.expected.get(quote.currency, 0) + number * quote.expected
        self.worst[quote.currency] = self.worst.get(quote.currency, 0) + number * (quote.worst or 0)
