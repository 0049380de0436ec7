"""What attempts cost, as the ledger keeps it: held back with the intent, corrected, closed, and summed up."""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.jobs import Failure, Job, JobState, Stage, Task, TaskReport, TaskState
from pipeline.core.money import Actual, Quote, Spending
from pipeline.ledger import LEDGER_NAME, Ledger, enrolment, overview, purchases, transitions
from pipeline.ledger.purchases import Cost, Kept
from pipeline.ledger.schema import MIGRATIONS, has_purchases, migrate

RUN, TASK = "run-1", Task("a1b2", "https://api.example.com")
REPORT = TaskReport(TaskState.SUCCEEDED, "Success", ("https://cdn.example.com/v.mp4",))
FAILURE = Failure(Stage.GENERATE, "moderation", "refused", 400)
QUOTE = Quote("kind", "model", seconds=5000, longest=8000, currency="CNY", expected=900_000, worst=1_440_000)
UNKNOWN = Quote("kind", "model")

MakeJob = Callable[..., Job]


@pytest.fixture
def buy(connection: sqlite3.Connection, make_job: MakeJob) -> Callable[..., int]:
    """Enroll a job and write its intent."""

    def bought(job_id: str = "wave-01", quote: Quote | None = QUOTE) -> int:
        enrolment.enroll(connection, [make_job(job_id)], "error", 1.0)
        return intend(connection, job_id, quote)

    return bought


def intend(connection: sqlite3.Connection, job_id: str = "wave-01", quote: Quote | None = QUOTE) -> int:
    return transitions.intent(
        connection, job_id, base_url=TASK.base_url, body_digest="d", at=2.0, owner="local", epoch=0, quote=quote
    )


def accept(connection: sqlite3.Connection, job_id: str = "wave-01") -> None:
    transitions.accepted(connection, job_id, Task(f"task of {job_id}", TASK.base_url), 3.0)


def cost_on_line(connection: sqlite3.Connection) -> purchases.Cost | None:
    """What the first job's first attempt cost, as its results line would say it."""
    row = connection.execute(
        "SELECT currency, expected, actual FROM purchases WHERE (job, attempt) = (1, 1)"
    ).fetchone()
    return purchases.cost_of(*row)


def spent(connection: sqlite3.Connection) -> Spending:
    """What was spent, where it is in one currency."""
    (one,) = purchases.spending(connection)
    return one


def lost(connection: sqlite3.Connection) -> None:
    transitions.lost(connection, RUN, "wave-01", Failure(Stage.SUBMIT, "timeout", "no answer"), 4.0)


# -- the life of an attempt


def test_the_worst_case_is_held_back_when_the_intent_is_written(connection: sqlite3.Connection, buy: Any) -> None:
    """What the attempt may cost is on record before the request leaves, and stays so while it runs."""
    buy()
    expected = Spending("CNY", tasks=1, reserved=1_440_000, at_most=1_440_000, seconds=8000)
    assert spent(connection) == expected
    accept(connection)
    assert spent(connection) == expected


def test_nothing_was_spent_when_the_request_surely_made_nothing(connection: sqlite3.Connection, buy: Any) -> None:
    """An attempt that is withdrawn or refused leaves no trace in the sums."""
    buy()
    transitions.withdraw(connection, "wave-01", 3.0)
    assert purchases.spending(connection) == []
    intend(connection)
    transitions.refused(connection, RUN, "wave-01", FAILURE, 4.0)
    assert purchases.spending(connection) == []


def test_an_attempt_counts_once_when_its_try_was_in_doubt(connection: sqlite3.Connection, buy: Any) -> None:
    """Withdrawn in doubt it stays held back; its next try has the same row, at the newer price; a refusal keeps it."""
    buy()
    transitions.withdraw(connection, "wave-01", 3.0, doubted=True)
    assert (spent(connection).tasks, spent(connection).reserved) == (1, 1_440_000)
    intend(connection, quote=Quote("kind", "model", currency="CNY", expected=1, worst=2_000_000, longest=8000))
    assert (spent(connection).tasks, spent(connection).reserved) == (1, 2_000_000)
    transitions.refused(connection, RUN, "wave-01", FAILURE, 4.0)
    assert spent(connection).at_most == 2_000_000


@pytest.mark.parametrize(
    ("actual", "after", "cost"),
    [
        (Actual(), (900_000, 900_000, 1_440_000, 8000), Cost("0.90", "CNY", estimated=True)),
        (Actual(1_260_000, 7000, "CNY"), (1_260_000, 0, 1_260_000, 7000), Cost("1.26", "CNY", estimated=False)),
        (Actual(0, None, "CNY"), (0, 0, 0, 8000), Cost("0.00", "CNY", estimated=False)),
        (Actual(None, 5000), (900_000, 900_000, 1_440_000, 5000), Cost("0.90", "CNY", estimated=True)),
    ],
)
def test_the_estimate_is_corrected_when_the_service_tells_the_usage(
    connection: sqlite3.Connection, buy: Any, actual: Actual, after: tuple[int, ...], cost: Cost
) -> None:
    """Money and length apart; untold, the expected amount is what was spent, and the worst case goes on counting."""
    buy()
    accept(connection)
    transitions.finished(connection, "wave-01", REPORT, 5.0, actual)
    found = spent(connection)
    assert (found.spent, found.estimated, found.at_most, found.seconds) == after
    assert found.reserved == 0
    assert cost_on_line(connection) == cost


def test_the_currency_is_learned_with_the_cost_when_the_price_was_unknown(
    connection: sqlite3.Connection, buy: Any
) -> None:
    """A price by the length of the finished video is known with its usage: it is summed up where it belongs."""
    buy(quote=UNKNOWN)
    accept(connection)
    assert spent(connection) == Spending("", tasks=1, unpriced=1, unmeasured=1)
    transitions.finished(connection, "wave-01", REPORT, 5.0, Actual(625_000, 5000, "CNY"))
    assert spent(connection) == Spending("CNY", tasks=1, spent=625_000, at_most=625_000, seconds=5000)
    assert cost_on_line(connection) == Cost("0.625", "CNY", estimated=False)


def test_a_failed_task_counts_in_full(connection: sqlite3.Connection, buy: Any) -> None:
    """It has ended: its estimate is spent, and its worst case goes on counting against a budget."""
    buy()
    accept(connection)
    transitions.task_failed(connection, RUN, "wave-01", None, FAILURE, 5.0)
    found = spent(connection)
    assert (found.spent, found.estimated, found.reserved, found.at_most) == (900_000, 900_000, 0, 1_440_000)


def test_an_unknown_attempt_stays_held_back_until_it_is_written_off(connection: sqlite3.Connection, buy: Any) -> None:
    """Then its estimate counts as spent: it may have been paid for."""
    buy()
    lost(connection)
    assert (spent(connection).spent, spent(connection).reserved) == (0, 1_440_000)
    transitions.resolve_write_off(connection, RUN, "wave-01", 6.0, "gave up")
    assert (spent(connection).spent, spent(connection).reserved, spent(connection).at_most) == (900_000, 0, 1_440_000)


def test_each_attempt_counts_when_a_job_is_bought_again(connection: sqlite3.Connection, buy: Any) -> None:
    """The first one stays what it was, and the usage of the second corrects the second alone."""
    assert buy() == 1
    lost(connection)
    transitions.resolve_resubmit(connection, "wave-01", 6.0)
    assert intend(connection) == 2
    accept(connection)
    transitions.finished(connection, "wave-01", REPORT, 7.0, Actual(100, 5000, "CNY"))
    assert spent(connection) == Spending(
        "CNY", tasks=2, spent=100, reserved=1_440_000, at_most=1_440_100, seconds=13_000
    )


def test_nothing_is_known_when_no_price_was_named(connection: sqlite3.Connection, buy: Any) -> None:
    """Without a quote an attempt is one task of unknown price, and its results line has no cost."""
    buy(quote=None)
    assert spent(connection) == Spending("", tasks=1, unpriced=1, unmeasured=1)
    assert cost_on_line(connection) is None


# -- what a run asks


def test_only_what_may_still_change_is_kept(connection: sqlite3.Connection, buy: Any) -> None:
    """Attempts on their way, running, or in doubt and queued again; what ended or waits for a person is not."""
    for name in ("submitting", "running", "doubted", "unknown", "done", "failed", "withdrawn"):
        buy(name)
    for name in ("running", "done", "failed"):
        accept(connection, name)
    transitions.finished(connection, "done", REPORT, 5.0)
    transitions.task_failed(connection, RUN, "failed", None, FAILURE, 5.0)
    transitions.withdraw(connection, "doubted", 3.0, doubted=True)
    transitions.withdraw(connection, "withdrawn", 3.0)
    transitions.lost(connection, RUN, "unknown", FAILURE, 4.0)
    found = {one.job_id: one for one in purchases.kept(connection)}
    assert found == {
        name: Kept(name, 1_440_000, 8000, name == "doubted", "CNY", 900_000)
        for name in ("submitting", "running", "doubted")
    }


def test_attempts_are_priced_when_their_price_becomes_known(connection: sqlite3.Connection, buy: Any) -> None:
    """Those without a currency are asked about, page by page; those with one keep the price they were bought at."""
    for name in ("a", "b", "c"):
        buy(name, quote=UNKNOWN)
    buy("d")
    asked = []

    def quote(job: Job) -> Quote:
        asked.append(job.job_id)
        length = Quote("kind", "model", seconds=5000, longest=5000)
        return {"a": QUOTE, "b": length}.get(job.job_id, UNKNOWN)

    assert purchases.price(connection, quote) == 2
    assert asked == ["a", "b", "c"]
    unknown, known = purchases.spending(connection)
    assert (known.tasks, known.at_most) == (2, 2_880_000)
    assert (unknown.tasks, unknown.unpriced, unknown.unmeasured, unknown.seconds) == (2, 2, 1, 5000)


def test_every_page_is_priced_when_there_are_many(
    connection: sqlite3.Connection, buy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No attempt is left out or asked about twice at the end of a page."""
    monkeypatch.setattr(purchases, "_PAGE", 2)
    for number in range(5):
        buy(f"j{number}", quote=UNKNOWN)
    assert purchases.price(connection, lambda _job: UNKNOWN) == 5
    assert purchases.price(connection, lambda _job: QUOTE) == 0
    assert spent(connection).at_most == 5 * 1_440_000


# -- the sums


def test_the_sums_are_those_of_the_rows_whatever_happens(connection: sqlite3.Connection, make_job: MakeJob) -> None:
    """A thousand steps at random: the sums that are kept are what adding up every row comes to."""
    rng = random.Random(5)
    names = [f"j{number}" for number in range(12)]
    enrolment.enroll(connection, [make_job(name) for name in names], "error", 1.0)
    quotes = [QUOTE, UNKNOWN, None, Quote("k", "m", currency="EUR", expected=5, worst=None)]
    for _ in range(1000):
        step(connection, rng, rng.choice(names), rng.choice(quotes))
    assert {one.currency: one for one in purchases.spending(connection)} == summed_up(connection)
    assert len(summed_up(connection)) == 3


@pytest.mark.parametrize("seed", range(3))
async def test_the_sums_on_the_disk_are_those_of_the_rows_after_every_commit(
    seed: int, tmp_path: Path, make_job: MakeJob
) -> None:
    """Whoever looks from outside never finds a row without its sum, also where steps fail and a run follows another."""
    rng = random.Random(seed)
    names = [f"j{number}" for number in range(12)]
    quotes = [QUOTE, UNKNOWN, None, Quote("k", "m", currency="EUR", expected=5, worst=None)]
    for run in range(3):
        async with await Ledger.open(tmp_path, run_id=f"r{run}", at=1.0, committer="inline") as ledger:
            await ledger.enroll([make_job(name) for name in names], "error", 1.0)
            await ledger.price(lambda _job: rng.choice([QUOTE, UNKNOWN]))
            for _ in range(60):
                asked = [ask(ledger, rng, rng.choice(names), rng.choice(quotes)) for _ in range(rng.randrange(1, 9))]
                await asyncio.gather(*asked, return_exceptions=True)
                with closing(sqlite3.connect(tmp_path / LEDGER_NAME)) as other:
                    assert {one.currency: one for one in overview.spending(other)} == summed_up(other)


def ask(ledger: Ledger, rng: random.Random, name: str, quote: Quote | None) -> asyncio.Future[Any]:
    """Ask for any step, whether the job's state allows it or not."""
    actual = rng.choice([Actual(), Actual(rng.randrange(10**7), rng.randrange(9000), "CNY"), Actual(None, 5)])
    asked = [
        *[lambda: ledger.intent(name, base_url=TASK.base_url, body_digest="d", at=2.0, quote=quote)] * 3,
        *[lambda: ledger.accepted(name, TASK, 3.0)] * 2,
        lambda: ledger.withdraw(name, 3.0, doubted=rng.random() < 0.5),
        lambda: ledger.lost(name, FAILURE, 3.0),
        lambda: ledger.refused(name, FAILURE, 3.0),
        *[lambda: ledger.finished(name, REPORT, 5.0, actual)] * 2,
        lambda: ledger.task_failed(name, None, FAILURE, 5.0),
        *[lambda: ledger.downloaded(name, (), 6.0)] * 2,
        lambda: ledger.retry_failed(name, 7.0),
        lambda: ledger.resubmit_unknown(name, 7.0),
        lambda: ledger.resolve_write_off(name, 7.0, "gave up"),
        lambda: ledger.recover(8.0),
        lambda: ledger.spending(),
    ]
    return rng.choice(asked)()


def step(connection: sqlite3.Connection, rng: random.Random, name: str, quote: Quote | None) -> None:
    """One thing that may happen to the job in the state that it is in."""
    state = connection.execute("SELECT state FROM jobs WHERE job_id = ?", (name,)).fetchone()[0]
    actual = rng.choice([Actual(), Actual(rng.randrange(10**7), rng.randrange(9000), "CNY")])
    moves: dict[str, list[Callable[[], object]]] = {
        JobState.QUEUED: [lambda: intend(connection, name, quote)],
        JobState.SUBMITTING: [
            lambda: accept(connection, name),
            lambda: transitions.withdraw(connection, name, 3.0, doubted=rng.random() < 0.5),
            lambda: transitions.lost(connection, RUN, name, FAILURE, 3.0),
            lambda: transitions.refused(connection, RUN, name, FAILURE, 3.0),
        ],
        JobState.RUNNING: [
            lambda: transitions.finished(connection, name, REPORT, 5.0, actual),
            lambda: transitions.task_failed(connection, RUN, name, None, FAILURE, 5.0),
            lambda: transitions.vanished(connection, RUN, name, FAILURE, 5.0),
        ],
        JobState.FETCHING: [
            lambda: transitions.download_failed(connection, RUN, name, FAILURE, 6.0, final=True),
        ],
        JobState.FAILED: [lambda: transitions.retry_failed(connection, name, 7.0)],
        JobState.UNKNOWN: [
            lambda: transitions.resubmit_unknown(connection, name, 7.0),
            lambda: transitions.resolve_write_off(connection, RUN, name, 7.0, "gave up"),
            lambda: transitions.resolve_task(connection, name, Task(f"found {rng.random()}", TASK.base_url), 7.0),
        ],
    }
    rng.choice(moves[state])()


def summed_up(connection: sqlite3.Connection) -> dict[str, Spending]:
    found: dict[str, Spending] = {}
    for row in connection.execute("SELECT currency, expected, worst, actual, seconds, ended FROM purchases"):
        currency, expected, worst, actual, seconds, ended = row
        before = found.get(currency, Spending(currency))
        known = actual if actual is not None else expected or 0
        most = actual if actual is not None else worst
        found[currency] = Spending(
            currency,
            before.tasks + 1,
            before.spent + (known if ended else 0),
            before.estimated + (known if ended and actual is None else 0),
            before.reserved + (0 if ended else worst or 0),
            before.at_most + (most or 0),
            before.seconds + (seconds or 0),
            before.unpriced + (most is None),
            before.unmeasured + (seconds is None),
        )
    return found


def test_earlier_purchases_are_counted_when_a_ledger_of_an_older_format_is_opened(
    tmp_path: Path,
) -> None:
    """What was bought before counts as tasks of unknown price; what was refused at the submit bought nothing."""
    old = sqlite3.connect(tmp_path / "old.sqlite3", isolation_level=None)
    old.row_factory = sqlite3.Row
    old.create_function("kind_of", 1, lambda _spec: "kind")
    migrate(old, MIGRATIONS[:2])
    states = [
        ("queued", 0, None, None),
        ("running", 1, None, None),
        ("done", 2, None, None),
        ("failed", 1, "submit", "sensitive"),
        ("failed", 1, "submit", "written_off"),
        ("failed", 3, "generate", "oops"),
        ("unknown", 1, "submit", "timeout"),
    ]
    for number, (state, attempt, stage, code) in enumerate(states):
        old.execute(
            "INSERT INTO jobs (job_id, digest, output, spec, state, attempt, failure_stage, failure_code, moved_at) "
            "VALUES (?, 'd', 'o', '{}', ?, ?, ?, ?, 1.0)",
            (f"j{number}", state, attempt, stage, code),
        )
    assert not has_purchases(old)
    migrate(old)
    assert has_purchases(old)
    assert overview.spending(old) == [Spending("", tasks=8, unpriced=8, unmeasured=8)]
    ended = old.execute("SELECT count(*) FROM purchases WHERE ended").fetchone()[0]
    assert ended == 6
    old.close()


async def test_sums_go_on_when_a_ledger_was_kept_by_triggers(tmp_path: Path, make_job: MakeJob) -> None:
    """The sums of the format before are taken over, and no trigger adds to them a second time."""
    with closing(sqlite3.connect(tmp_path / LEDGER_NAME, isolation_level=None)) as old:
        old.row_factory = sqlite3.Row
        migrate(old, MIGRATIONS[:5])
        old.execute(
            "INSERT INTO purchases (job, attempt, currency, expected, worst) VALUES (7, 1, 'CNY', 900000, 1440000)"
        )
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as ledger:
        await ledger.enroll([make_job("wave-01")], "error", 1.0)
        await ledger.intent("wave-01", base_url=TASK.base_url, body_digest="d", at=2.0, quote=QUOTE)
        (found,) = await ledger.spending()
    assert (found.tasks, found.reserved) == (2, 2_880_000)
