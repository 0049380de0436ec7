"""How much may be bought in all: caps on money, on tasks and on seconds of video, and what counts against them. Pure.

An attempt counts at its worst case from the moment its intent is written. It counts for less only where the service
reports the usage of a task that succeeded, and for nothing where surely nothing was created.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from pipeline.core.jobs import Job, Source
from pipeline.core.money import Actual, Quote, Spending, exact, micro_allowed, shown_amount
from pipeline.core.values import Value
from pipeline.core.words import many
from pipeline.engine.figures import Figures, currencies
from pipeline.settings import Settings


class Caps(Value):
    """What a folder may come to, over all its runs; None: as much as there is."""

    money: int | None = None
    """Millionths."""
    tasks: int | None = None
    seconds: int | None = None
    """Thousandths of a second of video."""
    allow_unpriced: bool = False
    """Buy also what nobody knows the price or length of; it counts for nothing."""

    @property
    def limits_anything(self) -> bool:
        """Whether any cap is set."""
        return self.money is not None or self.tasks is not None or self.seconds is not None


def caps_of(settings: Settings) -> Caps:
    """What the settings allow."""
    return Caps(
        money=None if settings.budget is None else micro_allowed(Decimal(settings.budget)),
        tasks=settings.max_jobs,
        seconds=None if settings.max_seconds is None else int(settings.max_seconds * 1000),
        allow_unpriced=settings.allow_unpriced,
    )


class Verdict(StrEnum):
    """Whether a job may be bought."""

    FITS = "fits"
    LATER = "later"
    """Not while the attempts that are under way count at their worst."""
    NEVER = "never"


class Share(Value):
    """What counts against the caps."""

    money: int = 0
    tasks: int = 0
    seconds: int = 0

    def __add__(self, other: "Share") -> "Share":
        return Share(self.money + other.money, self.tasks + other.tasks, self.seconds + other.seconds)


_NOTHING = Share()


def share_of(quote: Quote) -> Share:
    """What an attempt counts for; what is not known counts for nothing."""
    return _share(quote.worst or 0, quote.longest or 0)


@lru_cache(maxsize=1024)
def _share(money: int, seconds: int) -> Share:
    """Of one attempt; those of many jobs are alike."""
    return Share(money, 1, seconds)


def spent_in(spending: Iterable[Spending]) -> Share:
    """What the attempts of a folder count for."""
    return sum((Share(one.at_most, one.tasks, one.seconds) for one in spending), _NOTHING)


class Budget:
    """What counts against the caps, kept up to date with every attempt."""

    def __init__(
        self,
        caps: Caps | None = None,
        used: Share = _NOTHING,
        kept: Mapping[str, Share] | None = None,
        doubted: Iterable[str] = (),
    ) -> None:
        """`used` is what the folder has come to, `kept` what is not settled of it, by job.

        `doubted` are those whose submit was in doubt once.
        """
        self._caps = caps or Caps()
        self._money, self._tasks, self._seconds = used.money, used.tasks, used.seconds
        self._shares = dict(kept or {})
        self._open: set[str] = set()
        self._doubted = set(doubted)

    @property
    def caps(self) -> Caps:
        """What the folder may come to."""
        return self._caps

    @property
    def used(self) -> Share:
        """What it has come to."""
        return Share(self._money, self._tasks, self._seconds)

    def verdict(self, job_id: str, quote: Quote) -> Verdict:
        """Whether another attempt of the job may be bought."""
        if not self._is_known(quote):
            return Verdict.NEVER
        if self._allows(job_id, quote):
            return Verdict.FITS
        returning = sum((self._shares[name] for name in self._open), _NOTHING)
        return Verdict.LATER if self._open and self._allows(job_id, quote, returning) else Verdict.NEVER

    def reserve(self, job_id: str, quote: Quote) -> bool:
        """Count an attempt that is about to be bought; False, and nothing is counted, where the caps forbid it."""
        if not self._is_known(quote) or not self._allows(job_id, quote):
            return False
        self._take_back(job_id)  # a submit that was in doubt counts already
        share = self._shares[job_id] = share_of(quote)
        self._money += share.money
        self._tasks += share.tasks
        self._seconds += share.seconds
        self._open.add(job_id)
        return True

    def watch(self, job_id: str) -> None:
        """An attempt of an earlier run is under way again: it may yet turn out to be cheaper."""
        if job_id in self._shares:
            self._open.add(job_id)

    def release(self, job_id: str, *, doubted: bool = False) -> None:
        """Surely nothing was created; an attempt that was ever in doubt goes on counting, once, over all its tries."""
        self._open.discard(job_id)
        if doubted:
            self._doubted.add(job_id)
        if job_id not in self._doubted:
            self._take_back(job_id)

    def settle(self, job_id: str, actual: Actual) -> None:
        """The task ended, and the service says what it came to."""
        share = self._shares.get(job_id)
        if share is not None:
            if actual.cost is not None:
                self._money += actual.cost - share.money
            if actual.seconds is not None:
                self._seconds += actual.seconds - share.seconds
        self.close(job_id)

    def close(self, job_id: str) -> None:
        """Nothing more is learned about the attempt in this run: it counts for what it counts."""
        self._shares.pop(job_id, None)
        self._open.discard(job_id)
        self._doubted.discard(job_id)

    def _take_back(self, job_id: str) -> None:
        """The job counts for nothing any more."""
        share = self._shares.pop(job_id, None)
        if share is not None:
            self._money -= share.money
            self._tasks -= share.tasks
            self._seconds -= share.seconds

    def _is_known(self, quote: Quote) -> bool:
        return self._caps.allow_unpriced or not (
            (self._caps.money is not None and quote.worst is None)
            or (self._caps.seconds is not None and quote.longest is None)
        )

    def _allows(self, job_id: str, quote: Quote, returning: Share = _NOTHING) -> bool:
        """Whether the caps leave room for the job; what costs nothing never meets a cap on it.

        A submit that was in doubt and is tried again has to fit, too, though it brings nothing new: the caps may have
        been lowered since.
        """
        caps = self._caps
        if not caps.limits_anything:
            return True
        share, before = share_of(quote), self._shares.get(job_id, _NOTHING)
        money = self._money + share.money - before.money - returning.money
        tasks = self._tasks + share.tasks - before.tasks - returning.tasks
        seconds = self._seconds + share.seconds - before.seconds - returning.seconds
        return not (
            (caps.money is not None and share.money > 0 and money > caps.money)
            or (caps.tasks is not None and tasks > caps.tasks)
            or (caps.seconds is not None and share.seconds > 0 and seconds > caps.seconds)
        )


class Unpriced:
    """`Prices` where nobody knows any."""

    def quote(self, job: Job) -> Quote:
        return Quote(job.kind, job.model)

    def actual(self, _job: Job, _usage: Mapping[str, object]) -> Actual:
        return Actual()


# -- before anything is submitted -----------------------------------------------------------------------------------


def objection(caps: Caps, figures: Figures, spending: Sequence[Spending] = ()) -> str | None:
    """Why jobs like these cannot be bought under the caps, whatever is left of them; None where they can."""
    if caps.money is not None:
        known = currencies(figures.counts, spending)
        if len(known) > 1:
            return f"a budget holds for one currency, and the prices here are in {' and '.join(known)}"
    if caps.allow_unpriced:
        return None
    if caps.money is not None and (figures.unpriced or any(one.unpriced for one in spending)):
        bought = sum(one.unpriced for one in spending)
        return _unknown("price", figures.unpriced, figures.first_unpriced, bought)
    if caps.seconds is not None and (figures.unmeasured or any(one.unmeasured for one in spending)):
        bought = sum(one.unmeasured for one in spending)
        return _unknown("length", figures.unmeasured, figures.first_unmeasured, bought)
    return None


def _unknown(what: str, waiting: int, first: tuple[str, Source] | None, bought: int) -> str:
    cap = "budget" if what == "price" else "max_seconds"
    parts = []
    if first is not None:
        job_id, source = first
        parts.append(f"{many(waiting, 'job')} without a known {what}, first {job_id} ({source.file}:{source.line})")
    if bought:
        parts.append(f"{many(bought, 'attempt')} bought before without a known {what}")
    mend = "name a price in a catalog of your own (--catalog), " if what == "price" else ""
    return (
        f"{cap} cannot be kept: {' and '.join(parts)}; {mend}choose other jobs, or say --allow-unpriced, "
        f"which buys them and counts them as nothing"
    )


# -- when the caps are reached --------------------------------------------------------------------------------------


def reached(budget: Budget, left: Figures) -> str:
    """Which cap forbids the next job, what was spent, and what is left to buy."""
    caps, used = budget.caps, budget.used
    known = left.sums()
    currency = f" {known[0].currency}" if known else ""
    said = []
    if caps.money is not None:
        said.append(
            f"the next job could exceed the budget of {shown_amount(caps.money)}{currency}, "
            f"of which {shown_amount(used.money)}{currency} is spent or reserved at worst"
        )
    if caps.tasks is not None:
        said.append(f"max_jobs is {caps.tasks:,}, and {used.tasks:,} were bought")
    if caps.seconds is not None:
        said.append(f"max_seconds is {caps.seconds / 1000:,g}, and {used.seconds / 1000:,g} s of video were bought")
    return f"{'; '.join(said)}; left: {many(left.jobs, 'job')}{_at_worst(left)}"


def enough(budget: Budget, left: Figures) -> str:
    """Options of a run under which all of `left` may be bought; empty where nobody can tell, or they are no larger."""
    caps, used = budget.caps, budget.used
    worst = [one.worst for one in left.sums()]
    said: list[tuple[int, int, str, Callable[[int], str]]] = []
    if caps.money is not None and not left.unpriced and None not in worst:
        said.append((caps.money, used.money + sum(one or 0 for one in worst), "--budget {}", exact))
    if caps.tasks is not None:
        said.append((caps.tasks, used.tasks + left.jobs, "--max-jobs {}", str))
    if caps.seconds is not None and not left.unmeasured:
        longest = sum(number * (quote.longest or 0) for quote, number in left.counts.items())
        said.append((caps.seconds, used.seconds + longest, "--max-seconds {}", lambda value: f"{value / 1000:g}"))
    return " ".join(option.format(shown(wanted)) for cap, wanted, option, shown in said if wanted > cap)


def _at_worst(left: Figures) -> str:
    sums = [f"{shown_amount(one.worst)} {one.currency} at worst" for one in left.sums() if one.worst is not None]
    return f", {' and '.join(sums)}" if sums else ""
