"""What a folder has come to, for people and for scripts. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.core.money import Spending, exact, shown_amount
from pipeline.views.text import many


def prices_of(as_of: str | None) -> str:
    """The day of the prices, to be put behind an amount; nothing where no run has told it."""
    return f" (prices of {as_of})" if as_of else ""


def spending_lines(spending: Iterable[Spending], as_of: str | None = None, unknown: int = 0) -> Iterator[str]:
    """One line for each currency: what was spent, and what is held back for tasks that may yet cost something.

    What all may come to at most, as a budget counts it, is said where that is more. `as_of` is the day of the prices,
    `unknown` the number of jobs of which nobody knows whether they were bought.
    """
    told = list(spending)
    for one in told:
        tasks = _tasks(one.tasks, unknown, alone=len(told) == 1)
        if not one.currency:
            yield f"price unknown: {tasks}"
            continue
        estimate = f" ({shown_amount(one.estimated)} of it estimated)" if one.estimated else ""
        reserved = f", {shown_amount(one.reserved)} {one.currency} reserved" if one.reserved else ""
        more = one.at_most > one.spent + one.reserved
        at_most = f", at most {shown_amount(one.at_most)} {one.currency}" if more else ""
        yield f"spent: {shown_amount(one.spent)} {one.currency}{estimate}{reserved}{at_most}, {tasks}{prices_of(as_of)}"


def _tasks(number: int, unknown: int, *, alone: bool) -> str:
    """`6 paid tasks, 4 unknown`; beside another line, nobody can tell whose the unknown ones are."""
    if not unknown:
        return many(number, "paid task")
    if not alone:
        return f"{many(number, 'task')}, paid or unknown"
    unknown = min(number, unknown)
    return f"{many(number - unknown, 'paid task')}, {unknown:,} unknown"


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
