"""What the attempts of a folder cost: one row for each that was bought or may have been, and their sums.

The sums are kept in the transaction of each change, so that a million attempts are summed up by one look. Every row is
written by a function of this module, which tells the connection what it changed, which is added up before a commit.
"""

import sqlite3
from collections.abc import Callable

import msgspec

from pipeline.core.jobs import Job
from pipeline.core.money import Actual, Quote, Spending, exact
from pipeline.core.values import Value
from pipeline.ledger import overview
from pipeline.ledger.codec import job_of
from pipeline.ledger.connection import Attempt, LedgerConnection, Purchase

_PAGE = 1000


class Cost(msgspec.Struct, frozen=True):
    """What an attempt cost, for a results line."""

    amount: str
    """An exact decimal."""
    currency: str
    estimated: bool
    """By the request alone, and not by the usage that the service reported."""


class Kept(Value):
    """An attempt whose worst case is held back: its task has not ended, or nobody knows whether it has one."""

    job_id: str
    worst: int | None
    """Millionths."""
    seconds: int | None
    """Thousandths of a second of video, at most."""
    doubted: bool
    """Its submit was in doubt once; it goes on counting while it is tried again under the same id of ours."""
    currency: str = ""
    expected: int | None = None
    """Millionths."""

    @property
    def quote(self) -> Quote:
        """What it costs, as it was priced when it was bought."""
        return Quote("", "", longest=self.seconds, currency=self.currency, expected=self.expected, worst=self.worst)


# -- in the transaction of an attempt -------------------------------------------------------------------------------

_BUY = """
    INSERT INTO purchases (job, attempt, currency, expected, worst, seconds) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
_BUY_UNTOLD = "INSERT INTO purchases (job, attempt) VALUES (?, ?) ON CONFLICT DO NOTHING"
_FOUND = (
    "SELECT currency, expected, worst, actual, seconds, ended, doubted FROM purchases WHERE job = ? AND attempt = ?"
)
_PRICE = "UPDATE purchases SET currency = ?, expected = ?, worst = ?, seconds = ? WHERE job = ? AND attempt = ?"
_FORGET = "DELETE FROM purchases WHERE job = ? AND attempt = ?"
_DOUBT = "UPDATE purchases SET doubted = 1 WHERE job = ? AND attempt = ?"
_SETTLE = "UPDATE purchases SET currency = ?, actual = ?, seconds = ?, ended = 1 WHERE job = ? AND attempt = ?"
_CLOSE = "UPDATE purchases SET ended = 1 WHERE job = ? AND attempt = ?"
_UNTOLD: Purchase = ("", None, None, None, None, 0)


def buy(connection: LedgerConnection, seq: int, attempt: int, quote: Quote | None) -> Purchase:
    """An attempt may be bought from now on; an attempt that is tried again keeps its row, at the newer price."""
    if quote is None:
        purchase = _UNTOLD
        written = connection.write(_BUY_UNTOLD, (seq, attempt)).rowcount
    else:
        purchase = (quote.currency, quote.expected, quote.worst, None, quote.longest, 0)
        known = (quote.currency, quote.expected, quote.worst, quote.longest)
        written = connection.write(_BUY, (seq, attempt, *known)).rowcount
    if not written:
        purchase = _price_anew(connection, seq, attempt, purchase)
    connection.bought(purchase)
    return purchase


def _price_anew(connection: LedgerConnection, seq: int, attempt: int, now: Purchase) -> Purchase:
    """What a row becomes at a newer price; the caller counts it."""
    *facts, _doubted = connection.execute(_FOUND, (seq, attempt)).fetchone()
    connection.bought(tuple(facts), -1)
    currency, expected, worst, _, seconds, _ = now
    connection.write(_PRICE, (currency, expected, worst, seconds, seq, attempt))
    return currency, expected, worst, facts[3], seconds, facts[5]


def take_back(connection: LedgerConnection, seq: int, attempt: int, *, doubted: bool = False) -> None:
    """Surely nothing was created; what was ever in doubt goes on counting."""
    found = connection.execute(_FOUND, (seq, attempt)).fetchone()
    if found is None:
        return
    *facts, doubted_before = found
    if doubted:
        connection.write(_DOUBT, (seq, attempt))
    elif not doubted_before:
        connection.write(_FORGET, (seq, attempt))
        connection.bought(tuple(facts), -1)


def settle(connection: LedgerConnection, attempt: Attempt, actual: Actual) -> None:
    """The attempt's task ended well; what the service says of it corrects the estimate."""
    if attempt.purchase is None or (actual.cost is None and actual.seconds is None):
        close(connection, attempt)
        return
    currency, expected, worst, _, seconds, _ = attempt.purchase
    if not currency and actual.cost is not None:
        currency = actual.currency
    if actual.seconds is not None:
        seconds = actual.seconds
    connection.write(_SETTLE, (currency, actual.cost, seconds, attempt.seq, attempt.number))
    connection.bought(attempt.purchase, -1)
    attempt.purchase = (currency, expected, worst, actual.cost, seconds, 1)
    connection.bought(attempt.purchase)


def close(connection: LedgerConnection, attempt: Attempt) -> None:
    """Nothing more becomes of the attempt: its estimate stands."""
    if attempt.purchase is None:
        return
    connection.write(_CLOSE, (attempt.seq, attempt.number))
    connection.bought(attempt.purchase, -1)
    currency, expected, worst, actual, seconds, _ = attempt.purchase
    attempt.purchase = (currency, expected, worst, actual, seconds, 1)
    connection.bought(attempt.purchase)


def cost_of(currency: str | None, expected: int | None, actual: int | None) -> Cost | None:
    """What an attempt cost, by the columns of its row; None where no price is known, or nothing was bought."""
    amount = expected if actual is None else actual
    return None if amount is None else Cost(exact(amount), currency or "", actual is None)


def cost_so_far(purchase: Purchase | None) -> Cost | None:
    """What an attempt that ends now cost."""
    return None if purchase is None else cost_of(purchase[0], purchase[1], purchase[3])


# -- questions ------------------------------------------------------------------------------------------------------

_KEPT = """
    SELECT job_id, worst, seconds, doubted, currency, expected FROM jobs
    JOIN purchases ON job = seq AND purchases.attempt = jobs.attempt + (state = 'queued')
    WHERE state IN ('submitting', 'running', 'queued') AND NOT ended
"""


def spending(connection: LedgerConnection) -> list[Spending]:
    """What all attempts came to, by currency, those of this group included."""
    connection.count()
    return overview.spending(connection)


def kept(connection: sqlite3.Connection) -> list[Kept]:
    """The attempts that a run may still learn something about."""
    return [
        Kept(row["job_id"], row["worst"], row["seconds"], bool(row["doubted"]), row["currency"], row["expected"])
        for row in connection.execute(_KEPT)
    ]


# -- attempts without a price ---------------------------------------------------------------------------------------

_UNPRICED = """
    SELECT job, purchases.attempt AS bought, job_id, digest, output, spec FROM purchases JOIN jobs ON seq = job
    WHERE (job, purchases.attempt) > (?, ?) AND currency = '' ORDER BY job, purchases.attempt LIMIT ?
"""


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
                known = (one.currency, one.expected, one.worst, None, one.longest, 0)
                connection.bought(_price_anew(connection, row["job"], row["bought"], known))
    return unknown
