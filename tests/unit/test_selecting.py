"""One meaning for a pattern, whether SQLite or Python looks."""

import random
import sqlite3
from contextlib import closing

import pytest

from pipeline.core.selecting import in_sqlite, selects

IDS = ("a", "b", "A", "ab", "ba", "a-1", "a.1", "b_2", "c-", "shot-010")
PARTS = ("a", "b", "1", "A", ".", "*", "?", "[", "]", "!", "^", "a-b", "0-2")


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("[^b]*", "a A ab a-1 a.1 c- shot-010"),
        ("[!b]*", "a A ab a-1 a.1 c- shot-010"),
        ("?", "a b A"),
        ("a[^!-]1", "a.1"),
    ],
)
def test_jobs_are_selected_as_a_shell_would_when_a_set_is_negated(pattern: str, found: str) -> None:
    """`!` negates, and so does `^`."""
    assert [name for name in IDS if selects(pattern, name)] == found.split()


@pytest.mark.parametrize("seed", range(20))
def test_both_readings_agree_when_patterns_are_drawn(seed: int) -> None:
    """The ledger gives out what the run wants: any other pattern would plan a job and submit none."""
    rng = random.Random(seed)
    with closing(sqlite3.connect(":memory:")) as ledger:
        for _ in range(300):
            pattern = "".join(rng.choices(PARTS, k=rng.randint(1, 6)))
            for name in IDS:
                ((found,),) = ledger.execute("SELECT ? GLOB ?", (name, in_sqlite(pattern)))
                assert bool(found) == selects(pattern, name), (pattern, name)
