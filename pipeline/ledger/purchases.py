"""What the attempts of a folder cost: one row for each that was bought or may have been, and their sums.

The sums are kept by triggers in the transaction of each change, so that a million attempts are summed up by one look.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from pipeline.core.jobs import Job
from pipeline.core.money import Actual, Quote, Spending, exact
from pipeline.ledger.codec import job_of
from pipeline.ledger.connection import Attempt, LedgerConnection

PRICES_KEY = "prices_as_of"
"""Under which a ledger remembers the day of the prices that its last run went by."""
_PAGE = 1000


class Cost(msgspec.Struct, frozen=True):
    """What an attempt cost, for a results line."""

    amount: str
    """An exact decimal."""
    currency: str
    estimated: bool
    """By the request alone, and not by the usage that the service reported."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An attempt whose worst case is held back: its task has not ended, or nobody knows whether it has one."""

    job_id: str
    worst: int | None
    """Millionths."""
    seconds: int | None
    """Thousandths of a second of video, at most."""
    doubted: bool
    """Its submit was in doubt once; it goes on counting while it is tried again under the same id of ours."""


# -- in the transaction of an attempt -------------------------------------------------------------------------------

_BUY = """
    INSERT INTO purchases (job, attempt, currency, expected, worst, seconds) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (job, attempt) DO UPDATE SET currency = excluded.currency, expected = excluded.expected,
        worst = excluded.worst, seconds = excluded.seconds
"""
_FORGET = "DELETE FROM purchases WHERE job = ? AND attempt = ? AND NOT doubted"
_DOUBT = "UPDATE purchases SET doubted = 1 WHERE job = ? AND attempt = ?"
_BUY_UNTOLD = """
    INSERT INTO purchases (job, attempt) VALUES (?, ?)
    ON CONFLICT (job, attempt) DO UPDATE SET currency = '', expected = NULL, worst = NULL, seconds = NULL
"""
_SETTLE = """
    UPDATE purchases SET ended = 1, actual = ?1, seconds = coalesce(?2, seconds),
        currency = CASE WHEN currency = '' AND ?1 IS NOT NULL THEN ?3 ELSE currency END
    WHERE job = ?4 AND attempt = ?5
"""
_CLOSE = "UPDATE purchases SET ended = 1 WHERE job = ? AND attempt = ?"


def buy(connection: LedgerConnection, seq: int, attempt: int, quote: Quote | None) -> None:
    """An attempt may be bought from now on; an attempt that is tried again keeps its row."""
    if quote is None:
        connection.write(_BUY_UNTOLD, (seq, attempt))
    else:
        known = (quote.currency, quote.expected, quote.worst, quote.longest)
        connection.write(_BUY, (seq, attempt, *known))


def take_back(connection: LedgerConnection, seq: int, attempt: int, *, doubted: bool = False) -> None:
    """Surely nothing was created; what was ever in doubt goes on counting."""
    if doubted:
        connection.execute(_DOUBT, (seq, attempt))
    connection.execute(_FORGET, (seq, attempt))


def settle(connection: LedgerConnection, attempt: Attempt, actual: Actual) -> None:
    """The attempt's task ended well; what the service says of it corrects the estimate."""
    if actual.cost is None and actual.seconds is None:
        close(connection, attempt.seq, attempt.number)
        return
    connection.write(_SETTLE, (actual.cost, actual.seconds, actual.currency, attempt.seq, attempt.number))
    attempt.actual = actual.cost
    if not attempt.currency and actual.cost is not None:
        attempt.currency = actual.currency


def close(connection: LedgerConnection, seq: int, attempt: int) -> None:
    """Nothing more becomes of the attempt: its estimate stands."""
    connection.write(_CLOSE, (seq, attempt))


def cost_of(currency: str | None, expected: int | None, actual: int | None) -> Cost | None:
    """What an attempt cost, by the columns of its row; None where no price is known, or nothing was bought."""
    amount = expected if actual is None else actual
    return None if amount is None else Cost(exact(amount), currency or "", actual is None)


# -- questions ------------------------------------------------------------------------------------------------------

_SPENDING = """
    SELECT currency, tasks, spent, estimated, reserved, at_most, seconds, unpriced, unmeasured
    FROM spending WHERE tasks > 0 ORDER BY currency
"""
_KEPT = """
    SELECT job_id, worst, seconds, doubted FROM jobs
    JOIN purchases ON job = seq AND purchases.attempt = jobs.attempt + (state = 'queued')
    WHERE state IN ('submitting', 'running', 'queued') AND NOT ended
"""
_WAITING = """
    SELECT job_id, digest, output, spec FROM jobs WHERE state = 'queued' AND job_id GLOB ? ORDER BY seq LIMIT ?
"""


def spending(connection: sqlite3.Connection) -> list[Spending]:
    """What all attempts came to, by currency."""
    return [Spending(*row) for row in connection.execute(_SPENDING)]


def kept(connection: sqlite3.Connection) -> list[Kept]:
    """The attempts that a run may still learn something about."""
    rows = connection.execute(_KEPT)
    return [Kept(row["job_id"], row["worst"], row["seconds"], bool(row["doubted"])) for row in rows]


def waiting(connection: sqlite3.Connection, pattern: str, limit: int | None) -> Iterator[Job]:
    """The queued jobs, streamed, in the order of enrolment; `pattern` is SQLite's."""
    for row in connection.execute(_WAITING, (pattern, -1 if limit is None else limit)):
        yield job_of(row)


# -- attempts without a price ---------------------------------------------------------------------------------------

_UNPRICED = """
    SELECT job, purchases.attempt AS bought, job_id, digest, output, spec FROM purchases JOIN jobs ON seq = job
    WHERE (job, purchases.attempt) > (?, ?) AND currency = '' ORDER BY job, purchases.attempt LIMIT ?
"""
_PRICE = "UPDATE purchases SET currency = ?, expected = ?, worst = ?, seconds = ? WHERE job = ? AND attempt = ?"


def price(connection: LedgerConnection, quote: Callable[[Job], Quote]) -> int:
    """Price what was bought without a price, by what is known today; returns for how many attempts nothing is known."""
    connection.forget_all()
    last, unknown = (0, 0), 0
    while rows := connection.execute(_UNPRICED, (*last, _PAGE)).fetchall():
        last = rows[-1]["job"], rows[-1]["bought"]
        for row in rows:
            one = quote(job_of(row))
            unknown += not one.currency
            if one.currency or one.longest is not None:
                known = (one.currency, one.expected, one.worst, one.longest)
                connection.execute(_PRICE, (*known, row["job"], row["bought"]))
    return unknown
