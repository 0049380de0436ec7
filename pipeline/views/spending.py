"""What a folder has come to, for people and for scripts. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.core.money import Spending, exact, shown_amount
from pipeline.views.text import many


def prices_of(as_of: str | None) -> str:
    """The day of the prices, to be put behind an amount; nothing where no run has told it."""
    return f" (prices of {as_of})" if as_of else ""


def spending_lines(spending: Iterable[Spending], as_of: str | None = None) -> Iterator[str]:
    """One line for each currency: what was spent, and what is held back for tasks that may yet cost something.

    `as_of` is the day of the prices.
    """
    for one in spending:
        if not one.currency:
            yield f"price unknown: {many(one.tasks, 'paid task')}"
            continue
        estimate = f" ({shown_amount(one.estimated)} of it estimated)" if one.estimated else ""
        reserved = f", {shown_amount(one.reserved)} {one.currency} reserved" if one.reserved else ""
        tasks = many(one.tasks, "paid task")
        yield f"spent: {shown_amount(one.spent)} {one.currency}{estimate}{reserved}, {tasks}{prices_of(as_of)}"


def spending_facts(spending: Iterable[Spending]) -> list[dict[str, Any]]:
    """The same for scripts; `currency` is null for tasks without a known price."""
    return [
        {
            "currency": one.currency or None,
            "tasks": one.tasks,
            "spent": exact(one.spent),
            "estimated": exact(one.estimated),
            "reserved": exact(one.reserved),
            "at_most": exact(one.at_most),
            "video_seconds_at_most": one.seconds / 1000,
        }
        for one in spending
    ]
