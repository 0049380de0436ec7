"""What may be bought under caps: reserve, settle, release, and the sentences of a refusal."""

from decimal import Decimal
from typing import Any

import pytest

from pipeline.core.jobs import Job
from pipeline.core.money import Actual, Quote, Spending
from pipeline.engine.budget import (
    Budget,
    Caps,
    Share,
    Unpriced,
    Verdict,
    caps_of,
    enough,
    objection,
    reached,
    share_of,
    spent_in,
)
from pipeline.engine.figures import Figures
from pipeline.settings import Settings
from tests.engine.world import make_job

FITS, LATER, NEVER = Verdict


def quote(worst: int | None = 2, longest: int | None = 5, **more: Any) -> Quote:
    """A price in millionths and a length in thousandths, as small as they are."""
    values = {"currency": "" if worst is None else "CNY", "expected": worst, "seconds": longest} | more
    return Quote("kind", "model", worst=worst, longest=longest, **values)


TWO, UNKNOWN = quote(), quote(None, None)


def figures(*quotes: Quote) -> Figures:
    """Jobs `j1`, `j2`, … of these prices."""
    counted = Figures()
    for number, one in enumerate(quotes, 1):
        counted.add(make_job(f"j{number}"), one)
    return counted


# -- caps


def test_caps_are_rounded_down_when_they_are_finer_than_a_millionth() -> None:
    """What may be spent never grows by rounding; text, numbers and nothing at all are read."""
    settings = Settings(budget=Decimal("1.9999999"), max_jobs=3, max_seconds=1.9996, allow_unpriced=True)
    assert caps_of(settings) == Caps(1_999_999, 3, 1999, allow_unpriced=True)
    assert caps_of(Settings()) == Caps()


@pytest.mark.parametrize("caps", [Caps(money=0), Caps(tasks=0), Caps(seconds=0)])
def test_a_cap_of_nothing_limits(caps: Caps) -> None:
    """Zero is a cap, and not the absence of one."""
    assert caps.limits_anything
    assert not Caps(allow_unpriced=True).limits_anything
    assert Budget(caps).verdict("j1", TWO) is NEVER


def test_what_is_not_known_counts_for_nothing() -> None:
    """An attempt is always one task; unknown money and length are nothing, which is why a cap refuses them."""
    assert share_of(TWO) == Share(2, 1, 5)
    assert share_of(UNKNOWN) == Share(0, 1, 0)
    assert spent_in([Spending("CNY", tasks=2, at_most=4, seconds=10), Spending("", tasks=1)]) == Share(4, 3, 10)


# -- reserving


@pytest.mark.parametrize(("cap", "fits"), [({"money": 4}, 2), ({"tasks": 3}, 3), ({"seconds": 24}, 4), ({}, 5)])
def test_an_attempt_is_reserved_as_long_as_every_cap_allows_it(cap: dict[str, int], fits: int) -> None:
    """At the cap it fits, one past it does not, and a refusal reserves nothing."""
    budget = Budget(Caps(**cap))
    assert [budget.reserve(f"j{n}", TWO) for n in range(5)] == [True] * fits + [False] * (5 - fits)
    assert budget.used == Share(2 * fits, fits, 5 * fits)


def test_what_the_folder_has_come_to_counts() -> None:
    """A budget begins with what earlier runs spent, also where that is beyond it already."""
    assert Budget(Caps(money=4), Share(money=2)).verdict("j1", TWO) is FITS
    assert Budget(Caps(money=4), Share(money=3)).verdict("j1", TWO) is NEVER
    assert Budget(Caps(money=4), Share(money=9)).verdict("j1", quote(0)) is FITS


def test_an_unknown_price_never_fits_unless_that_is_allowed() -> None:
    """Only the cap that needs the number refuses it: money its price, seconds its length, tasks neither."""
    assert Budget(Caps(money=4)).verdict("j1", quote(None)) is NEVER
    assert not Budget(Caps(money=4)).reserve("j1", quote(None))
    assert Budget(Caps(seconds=40)).verdict("j1", quote(longest=None)) is NEVER
    assert Budget(Caps(seconds=40)).verdict("j1", quote(None)) is FITS
    assert Budget(Caps(tasks=4)).verdict("j1", UNKNOWN) is FITS
    assert Budget(Caps(money=4, allow_unpriced=True)).verdict("j1", UNKNOWN) is FITS


# -- giving back


def test_a_job_may_wait_when_what_is_under_way_could_make_room() -> None:
    """LATER while an open attempt might come to less; NEVER where even all of them for nothing would not do."""
    budget = Budget(Caps(money=5))
    budget.reserve("j1", TWO)
    budget.reserve("j2", TWO)
    assert budget.verdict("j3", TWO) is LATER
    assert budget.verdict("j3", quote(6)) is NEVER
    budget.close("j1")
    assert budget.verdict("j3", quote(4)) is NEVER
    assert budget.verdict("j3", TWO) is LATER
    budget.settle("j2", Actual(cost=1))
    assert budget.verdict("j3", TWO) is FITS


def test_the_usage_takes_the_place_of_the_worst_case() -> None:
    """Money and length apart: what the service does not tell stays as it was, what is dearer counts as well."""
    budget = Budget(used=Share(10, 1, 10))
    budget.reserve("j1", TWO)
    budget.settle("j1", Actual(cost=1))
    assert budget.used == Share(11, 2, 15)
    budget.reserve("j2", TWO)
    budget.settle("j2", Actual(cost=7, seconds=2))
    assert budget.used == Share(18, 3, 17)


def test_nothing_is_given_back_twice() -> None:
    """A release, a settlement or an end comes once; what nobody reserved gives nothing back."""
    budget = Budget()
    budget.reserve("j1", TWO)
    for _ in range(2):
        budget.release("j1")
        budget.settle("j1", Actual(cost=0))
        budget.close("j1")
    budget.release("stranger")
    budget.settle("stranger", Actual(cost=0))
    assert budget.used == Share()


def test_an_attempt_counts_to_its_end_when_it_is_closed_before() -> None:
    """A job that ends badly, or is left to the next run, keeps what it reserved."""
    budget = Budget()
    budget.reserve("j1", TWO)
    budget.close("j1")
    budget.release("j1")
    assert budget.used == Share(2, 1, 5)


def test_a_doubted_attempt_counts_once_over_all_its_tries() -> None:
    """What was in doubt stays reserved while it is tried again, also where its price has changed meanwhile."""
    budget = Budget(Caps(money=3))
    budget.reserve("j1", TWO)
    budget.release("j1", doubted=True)
    assert budget.used == Share(2, 1, 5)
    assert budget.verdict("j1", TWO) is FITS
    assert budget.reserve("j1", quote(3))
    assert budget.used == Share(3, 1, 5)
    budget.release("j1")
    assert budget.used == Share(3, 1, 5)


def test_an_attempt_of_an_earlier_run_is_known_by_its_share() -> None:
    """What runs may still be corrected, what was in doubt is counted once, and only what is watched may make room."""
    budget = Budget(Caps(money=5), Share(4, 2, 10), {"j1": Share(2, 1, 5), "j2": Share(2, 1, 5)}, ["j2"])
    assert budget.verdict("j3", TWO) is NEVER
    budget.watch("j1")
    budget.watch("stranger")
    assert budget.verdict("j3", TWO) is LATER
    budget.settle("j1", Actual(cost=1))
    assert budget.verdict("j3", TWO) is FITS
    assert budget.verdict("j2", TWO) is FITS
    budget.release("j2")
    assert budget.used == Share(3, 2, 10)


# -- what is said


SOMETHING = Spending("CNY", tasks=1, at_most=2, seconds=5)
UNPRICED = Spending("", tasks=2, unpriced=2, unmeasured=1)


@pytest.mark.parametrize(
    ("caps", "waiting", "spent", "said"),
    [
        (Caps(), [UNKNOWN], [UNPRICED], None),
        (Caps(tasks=1), [UNKNOWN], [UNPRICED], None),
        (Caps(money=1), [TWO], [SOMETHING], None),
        (Caps(money=1, allow_unpriced=True), [UNKNOWN], [UNPRICED], None),
        (Caps(money=1), [TWO, UNKNOWN, UNKNOWN], [], "budget cannot be kept: 2 jobs without a known price, first j2 ("),
        (Caps(money=1), [TWO], [UNPRICED], "2 attempts bought before without a known price; name a price"),
        (Caps(money=1), [UNKNOWN], [UNPRICED], "first j1 (jobs.yaml:1) and 2 attempts bought before"),
        (Caps(seconds=1), [UNKNOWN], [], "max_seconds cannot be kept: 1 job without a known length, first j1"),
        (Caps(seconds=1), [TWO], [UNPRICED], "1 attempt bought before without a known length; choose other jobs"),
        (Caps(money=1), [TWO, quote(currency="EUR")], [], "one currency, and the prices here are in CNY and EUR"),
        (Caps(money=1), [quote(currency="EUR")], [SOMETHING], "are in CNY and EUR"),
        (Caps(money=1, allow_unpriced=True), [TWO, quote(currency="EUR")], [], "are in CNY and EUR"),
        (Caps(tasks=1), [TWO, quote(currency="EUR")], [], None),
    ],
)
def test_a_cap_that_cannot_be_kept_is_refused(
    caps: Caps, waiting: list[Quote], spent: list[Spending], said: str | None
) -> None:
    """Unknown prices, unknown lengths and two currencies, waiting or bought before; only under the cap they break."""
    found = objection(caps, figures(*waiting), spent)
    assert (found is None) == (said is None), found
    assert said is None or said in (found or "")


def test_the_stop_says_which_cap_and_what_is_left() -> None:
    """Every cap that is set is named with what it went to; what is left is told with its worst case."""
    budget = Budget(Caps(money=3_000_000, tasks=1, seconds=7500))
    budget.reserve("j0", quote(2_000_000, 5000))
    left = figures(quote(1_500_000), quote(1_500_000))
    assert reached(budget, left) == (
        "the next job could exceed the budget of 3.00 CNY, of which 2.00 CNY is spent or reserved at worst; "
        "max_jobs is 1, and 1 were bought; max_seconds is 7.5, and 5 s of video were bought; "
        "left: 2 jobs, 3.00 CNY at worst"
    )
    assert reached(Budget(Caps(tasks=0)), figures(UNKNOWN)).endswith("0 were bought; left: 1 job")


def test_the_options_that_are_enough_are_told_when_a_cap_stops_a_run() -> None:
    """What is spent or reserved and all that is left, at worst; caps that are large enough already are not named."""
    budget = Budget(Caps(money=3_000_000, tasks=9, seconds=7500))
    budget.reserve("j0", quote(2_000_000, 5000))
    left = figures(quote(1_500_000), quote(1_500_000, 4995))
    assert enough(budget, left) == "--budget 5.00 --max-seconds 10"
    assert enough(budget, figures(UNKNOWN)) == ""
    assert enough(Budget(Caps(tasks=1)), left) == "--max-jobs 2"


def test_nobody_knows_a_price_when_none_was_named() -> None:
    """The prices of an engine that was given none: every job unknown, nothing corrected."""
    job: Job = make_job("j1")
    assert Unpriced().quote(job) == Quote(job.kind, job.model)
    assert Unpriced().actual(job, {"duration": 5}) == Actual()
