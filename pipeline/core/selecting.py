"""Which jobs a shell pattern selects: one meaning, whether the ledger is asked or a job is looked at.

A set is negated by `!` and, as in bash, by `^`. Capital letters are others than small ones.
"""

from fnmatch import fnmatchcase


def selects(select: str | None, job_id: str) -> bool:
    """Whether the pattern selects the job; without a pattern every job is selected."""
    return select is None or fnmatchcase(job_id, select.replace("[^", "[!"))


def in_sqlite(select: str | None) -> str:
    """The same pattern for SQLite's GLOB, which knows `^` alone."""
    return "*" if select is None else select.replace("[!", "[^")
