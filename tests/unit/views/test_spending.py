"""What a folder has come to, as text and as facts."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.core.money import Spending, exact, micro, micro_allowed, micro_at_most, shown_amount
from pipeline.views.spending import spending_facts, spending_lines

SPENT = Spending(
    "CNY", tasks=4, spent=5_000_001, estimated=900_000, reserved=1_440_000, at_most=7_880_000, seconds=9500
)


def test_each_currency_has_its_line_with_the_day_of_the_prices() -> None:
    """What is estimated or held back is said where there is any; rounded up, never down."""
    spending = [Spending("", tasks=1), SPENT, Spending("EUR", tasks=1, spent=1_000_000)]
    assert list(spending_lines(spending, "2026-03-24")) == [
        "price unknown: 1 paid task",
        (
            "spent: 5.01 CNY (0.90 of it estimated), 1.44 CNY reserved, at most 7.88 CNY, 4 paid tasks "
            "(prices of 2026-03-24)"
        ),
        "spent: 1.00 EUR, 1 paid task (prices of 2026-03-24)",
    ]
    assert list(spending_lines([])) == []
    assert next(spending_lines([SPENT])).endswith("4 paid tasks")


def test_the_most_that_it_may_come_to_is_said_only_where_that_is_more() -> None:
    """A failed task is expected to cost what was estimated, and counts at its worst in a budget."""
    sure = replace(SPENT, at_most=SPENT.spent + SPENT.reserved)
    assert "at most" not in next(spending_lines([sure]))
    assert "1.44 CNY reserved, at most 6.45 CNY, 4" in next(spending_lines([replace(sure, at_most=sure.at_most + 1)]))


def test_what_may_not_have_been_bought_is_not_called_paid() -> None:
    """Jobs that are unknown are told apart; beside another line, nobody can tell whose they are."""
    assert next(spending_lines([SPENT], unknown=1)).endswith(", 3 paid tasks, 1 unknown")
    assert next(spending_lines([SPENT], unknown=5)).endswith(", 0 paid tasks, 4 unknown")
    assert list(spending_lines([Spending("", tasks=1), Spending("EUR", tasks=2, spent=1)], unknown=1)) == [
        "price unknown: 1 task, paid or unknown",
        "spent: 0.01 EUR, 2 tasks, paid or unknown",
    ]


def test_scripts_get_exact_amounts() -> None:
    """Decimals in strings, and null for a currency that nobody knows."""
    assert spending_facts([SPENT, Spending("", tasks=2)])[0] == {
        "currency": "CNY",
        "tasks": 4,
        "spent": "5.000001",
        "estimated": "0.90",
        "reserved": "1.44",
        "at_most": "7.88",
        "video_seconds_at_most": 9.5,
    }
    assert spending_facts([Spending("", tasks=2)])[0]["currency"] is None


@pytest.mark.parametrize(
    ("amount", "shown", "told"),
    [
        (0, "0.00", "0.00"),
        (1, "0.01", "0.000001"),
        (10_000, "0.01", "0.01"),
        (10_001, "0.02", "0.010001"),
        (1_750_000, "1.75", "1.75"),
        (2_625, "0.01", "0.002625"),
        (10**15, "1,000,000,000.00", "1000000000.00"),
    ],
)
def test_an_amount_is_rounded_up_for_people_and_exact_for_scripts(amount: int, shown: str, told: str) -> None:
    """No sum looks smaller than it is."""
    assert (shown_amount(amount), exact(amount)) == (shown, told)


@pytest.mark.parametrize(
    ("amount", "nearest", "at_most", "allowed"),
    [("0.0000015", 2, 2, 1), ("0.0000005", 0, 1, 0), ("1.75", 1_750_000, 1_750_000, 1_750_000)],
)
def test_millionths_are_rounded_against_whoever_spends(amount: str, nearest: int, at_most: int, allowed: int) -> None:
    """What something may cost is rounded up, what may be spent is rounded down, what is expected to the nearest."""
    value = Decimal(amount)
    assert (micro(value), micro_at_most(value), micro_allowed(value)) == (nearest, at_most, allowed)
