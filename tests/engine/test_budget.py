"""Whole runs under a budget: what counts, when nothing more is bought, and what is told then."""

from decimal import Decimal
from typing import Any

import pytest

from pipeline.core.errors import AmbiguousError, RateLimitedError, RejectedError, UsageError
from pipeline.core.events import BatchPriced, Stopping
from pipeline.core.jobs import Failure, JobState, Stage, TaskReport, TaskState
from pipeline.core.money import Spending
from pipeline.engine.batch import Batch
from pipeline.ledger import Ledger
from tests.engine.fakes import EPOCH, SIGNAL, FakePrices, FakeService, FakeStore, Played, Theatre, first, jobs
from tests.engine.world import BASE_URL

TWO = FakePrices()
"""Two units at worst for every job."""
LOST = AmbiguousError("the answer was lost", code="timeout")
MODERATED = RejectedError("sensitive", code="sensitive_check_error", http_status=400)
FAILED = TaskReport(TaskState.FAILED, "Failure", error_message="code=Oops, message=it failed")


def told(played: Played) -> str:
    """The sentence with which the budget stopped the run."""
    (stopping,) = [event for event in played.all(Stopping) if event.reason == "budget"]
    return str(stopping.message)


def spending(theatre: Theatre) -> Spending:
    """What the folder has come to, in its one currency."""
    (one,) = theatre.between_runs(lambda ledger: ledger.spending())
    return one


def units(amount: float) -> int:
    return round(amount * 1_000_000)


# -- the limit and one past it


@pytest.mark.parametrize("concurrency", [1, 3, 10])
@pytest.mark.parametrize(
    ("budget", "bought"), [("0", 0), ("1.999999", 0), ("2", 1), ("9.999999", 4), ("10", 5), ("1E+3", 5)]
)
def test_nothing_is_submitted_that_could_exceed_the_budget(
    theatre: Theatre, budget: str, bought: int, concurrency: int
) -> None:
    """Five jobs of two units: the budget holds to the millionth, however many submits are under way together."""
    service = FakeService()
    played = theatre.run(jobs(5), service, prices=TWO, budget=Decimal(budget), concurrency=concurrency)
    assert len(service.sent) == bought
    assert played.counts == {state: n for state, n in (("done", bought), ("queued", 5 - bought)) if n}
    assert (played.exit_code, played.stops) == ((0, []) if bought == 5 else (3, ["budget"]))
    assert spending(theatre).at_most == units(2 * bought) if bought else True


def test_it_says_what_was_spent_and_what_is_left(theatre: Theatre) -> None:
    """The sentence of the stop names the budget, what it went to, and what the jobs that are left may cost."""
    played = theatre.run(jobs(5), FakeService(), prices=TWO, budget=Decimal("7.5"))
    assert told(played) == (
        "the next job could exceed the budget of 7.50 CNY, of which 6.00 CNY is spent or reserved at worst; "
        "left: 2 jobs, 4.00 CNY at worst"
    )


def test_the_next_run_goes_on_when_the_budget_is_raised(theatre: Theatre) -> None:
    """The limit is the folder's, over all its runs: the same one buys nothing more, a higher one buys the rest."""
    rows = jobs(3)
    theatre.run(rows, FakeService(), prices=TWO, budget=Decimal(4))
    again = FakeService()
    played = theatre.run(rows, again, prices=TWO, budget=Decimal(4))
    assert (played.exit_code, again.sent) == (3, [])
    assert played.all(BatchPriced)[0].spending[0].at_most == units(4)
    more = FakeService()
    assert theatre.run(rows, more, prices=TWO, budget=Decimal(6)).exit_code == 0
    assert more.sent_jobs == ["j3"]


def test_free_jobs_are_bought_when_the_budget_is_spent(theatre: Theatre) -> None:
    """What surely costs nothing cannot exceed a budget, also one of nothing."""
    free = FakePrices(worst=lambda _job_id: 0)
    assert theatre.run(jobs(2), FakeService(), prices=free, budget=Decimal(0)).exit_code == 0


def test_the_run_is_done_when_the_budget_is_exceeded_and_nothing_is_left(theatre: Theatre) -> None:
    """A budget below what was spent stops nobody who has nothing to buy."""
    theatre.run(jobs(2), FakeService(), prices=TWO)
    played = theatre.run(jobs(2), FakeService(), prices=TWO, budget=Decimal(1))
    assert (played.exit_code, played.stops) == (0, [])


# -- what counts


def test_running_tasks_count_and_are_collected_when_the_budget_is_used_up(theatre: Theatre) -> None:
    """What an earlier run left running counts at its worst, and what is paid for is collected all the same."""
    rows = jobs(4)
    theatre.run(rows, FakeService(duration=300.0), prices=TWO, concurrency=2, at={5.0: lambda it: it.go_home(SIGNAL)})
    assert spending(theatre).reserved == units(4)
    service = FakeService(created={"t1-j1": 0.0, "t2-j2": 0.0})
    played = theatre.run(rows, service, prices=TWO, budget=Decimal(7))
    assert service.sent_jobs == ["j3"]
    assert (played.exit_code, played.counts) == (3, {"done": 3, "queued": 1})


def test_unknown_submits_count_also_when_they_are_written_off(theatre: Theatre) -> None:
    """Nobody knows whether a lost answer was paid for: it counts, whatever a person decides about its job."""
    rows = jobs(3)
    played = theatre.run(rows, FakeService(on_submit=first(LOST)), prices=TWO, budget=Decimal(4))
    assert (played.exit_code, played.counts) == (3, {"done": 1, "unknown": 1, "queued": 1})
    theatre.between_runs(lambda ledger: ledger.resolve_write_off("j1", at=EPOCH, message="gave up"))
    again = FakeService()
    assert theatre.run(rows, again, prices=TWO, budget=Decimal(5)).exit_code == 3
    assert again.sent == []
    assert (spending(theatre).at_most, spending(theatre).tasks) == (units(4), 2)


def test_a_second_attempt_counts_beside_the_first(theatre: Theatre) -> None:
    """An unknown job that is bought again has come to twice its price."""
    rows = jobs(2)
    theatre.run(rows, FakeService(on_submit=first(LOST)), prices=TWO)
    refused, bought = FakeService(), FakeService()
    assert theatre.run(rows, refused, prices=TWO, resubmit_unknown=True, budget=Decimal(5)).exit_code == 3
    assert theatre.run(rows, bought, prices=TWO, resubmit_unknown=True, budget=Decimal(6)).exit_code == 0
    assert (refused.sent_jobs, bought.sent_jobs) == ([], ["j1"])
    assert spending(theatre).at_most == units(6)


def test_failed_tasks_count_and_refusals_do_not(theatre: Theatre) -> None:
    """Whether the vendor charges for a failed task is not documented: it counts. A moderated submit made nothing."""
    service = FakeService(
        on_submit=first(MODERATED), on_status=lambda _number, job_id: FAILED if job_id == "j2" else None
    )
    played = theatre.run(jobs(4), service, prices=TWO, concurrency=1, budget=Decimal(4))
    assert (played.exit_code, played.counts) == (3, {"done": 1, "failed": 2, "queued": 1})
    assert service.sent_jobs == ["j1", "j2", "j3"]
    costs = {line["job_id"]: line["cost"] for line in theatre.results()}
    assert costs == {
        "j1": None,
        "j2": {"amount": "1.00", "currency": "CNY", "estimated": True},
        "j3": {"amount": "1.00", "currency": "CNY", "estimated": True},
    }


def test_a_crash_forgets_nothing(theatre: Theatre) -> None:
    """A process that died between its intent and the answer has reserved what the attempt may have cost."""
    rows = jobs(2)

    async def die(ledger: Ledger) -> None:
        await ledger.enroll(rows, "error", EPOCH)
        await ledger.intent("j1", base_url=BASE_URL, body_digest="d", at=EPOCH, quote=TWO.quote(rows[0]))

    theatre.between_runs(die)
    service = FakeService()
    played = theatre.run(rows, service, prices=TWO, budget=Decimal(3))
    assert (played.exit_code, played.counts, service.sent) == (3, {"unknown": 1, "queued": 1}, [])


def test_an_attempt_counts_once_over_all_its_tries_when_it_is_looked_up(theatre: Theatre) -> None:
    """A lost submit that is tried again under the same id of ours can have made one task only."""
    service = FakeService(on_submit=first(LOST))
    played = theatre.run(jobs(1, "kling-v3"), service, prices=TWO, budget=Decimal(2))
    assert (played.exit_code, played.counts, len(service.sent)) == (0, {"done": 1}, 2)
    assert spending(theatre).at_most == units(2)


def test_an_attempt_that_was_in_doubt_counts_when_its_second_try_is_refused(theatre: Theatre) -> None:
    """The service denied its task twice, which is believed for buying again and not for giving money back."""
    service = FakeService(on_submit=first(LOST, MODERATED))
    played = theatre.run(jobs(2, "kling-v3"), service, prices=TWO, concurrency=1, budget=Decimal(3))
    assert (played.exit_code, played.counts) == (3, {"failed": 1, "queued": 1})
    assert (service.sent_jobs, spending(theatre).at_most) == (["j1", "j1"], units(2))


@pytest.mark.parametrize("lowered", [{"max_jobs": 0}, {"budget": Decimal(1)}, {"max_seconds": 1.0}])
def test_an_attempt_that_was_in_doubt_is_not_tried_again_when_the_caps_were_lowered(
    theatre: Theatre, lowered: dict[str, Any]
) -> None:
    """It counts already, but whoever forbids to buy means this one, too."""
    limited = RateLimitedError("slow down", code="rate_limited", retry_after=1000.0)
    service = FakeService(on_submit=first(LOST, limited))
    theatre.run(jobs(1, "kling-v3"), service, prices=TWO, at={30.0: lambda batch: batch.go_home(SIGNAL)}, max_jobs=1)
    assert (len(service.sent), theatre.record("j1").state) == (2, JobState.QUEUED)
    played = theatre.run(jobs(1, "kling-v3"), service, prices=TWO, **lowered)
    assert (played.exit_code, played.stops, len(service.sent)) == (3, ["budget"], 2)
    again = theatre.run(jobs(1, "kling-v3"), service, prices=TWO, max_jobs=1, budget=Decimal(2))
    assert (again.exit_code, len(service.sent)) == (0, 3)


# -- what comes back


def test_usage_corrects_the_estimate(theatre: Theatre) -> None:
    """A task that came to half of its worst case makes room for another one."""
    service = FakeService(usage=lambda _job_id: {"cost": 1})
    played = theatre.run(jobs(5), service, prices=TWO, concurrency=1, budget=Decimal(4))
    assert (played.exit_code, played.counts) == (3, {"done": 3, "queued": 2})
    assert (spending(theatre).at_most, spending(theatre).estimated) == (units(3), 0)
    assert theatre.results()[0]["cost"] == {"amount": "1.00", "currency": "CNY", "estimated": False}


def test_usage_counts_when_it_is_dearer_than_the_worst_case(theatre: Theatre) -> None:
    """What was spent was spent: a task that came to more than anybody thought leaves less for the others."""
    service = FakeService(usage=lambda _job_id: {"cost": 3})
    played = theatre.run(jobs(3), service, prices=TWO, concurrency=1, budget=Decimal(4))
    assert (played.counts, spending(theatre).at_most) == ({"done": 1, "queued": 2}, units(3))


def test_a_job_waits_when_an_attempt_that_is_under_way_may_give_money_back(theatre: Theatre) -> None:
    """Two units run and one is left: the next job waits for the end, which costs one, and then fits."""
    service = FakeService(usage=lambda _job_id: {"cost": 1})
    played = theatre.run(jobs(2), service, prices=TWO, concurrency=2, budget=Decimal(3))
    assert (played.exit_code, played.counts, played.stops) == (0, {"done": 2}, [])
    begun, then = service.sent_at
    assert then - begun >= service.duration


def test_a_job_that_waits_is_not_bought_when_nothing_comes_back(theatre: Theatre) -> None:
    """Without a usage the attempt goes on counting in full, and the run stops when it has ended."""
    service = FakeService()
    played = theatre.run(jobs(2), service, prices=TWO, concurrency=2, budget=Decimal(3))
    assert (played.exit_code, played.stops, service.sent_jobs) == (3, ["budget"], ["j1"])


def test_a_signal_ends_the_wait_for_money(theatre: Theatre) -> None:
    """Who waits for an attempt to end goes home with everybody else."""
    service = FakeService(duration=600.0)
    played = theatre.run(
        jobs(2),
        service,
        prices=TWO,
        concurrency=2,
        budget=Decimal(3),
        at={20.0: lambda batch: batch.go_home(SIGNAL)},
    )
    assert (played.exit_code, played.stops) == (3, ["signal"])
    assert played.took < 30.0


# -- what nobody knows the price of


def test_the_run_is_refused_when_a_job_has_no_known_price(theatre: Theatre) -> None:
    """Under a budget nothing at all is submitted, and the first such job is named."""
    prices = FakePrices(worst=lambda job_id: None if job_id == "j2" else 2)
    service = FakeService()
    played = theatre.run(jobs(3), service, prices=prices, budget=Decimal(100))
    assert isinstance(played.error, UsageError)
    assert played.error.message == (
        "budget cannot be kept: 1 job without a known price, first j2 (jobs.yaml:1); name a price in a catalog of your "
        "own (--catalog), choose other jobs, or say --allow-unpriced, which buys them and counts them as nothing; "
        "nothing was submitted"
    )
    assert service.sent == []


def test_unpriced_jobs_count_for_nothing_when_they_are_allowed(theatre: Theatre) -> None:
    """`allow_unpriced` buys them beside a budget that the others keep."""
    prices = FakePrices(worst=lambda job_id: None if job_id == "j2" else 2)
    service = FakeService()
    played = theatre.run(jobs(4), service, prices=prices, budget=Decimal(4), allow_unpriced=True, concurrency=1)
    assert (played.exit_code, service.sent_jobs) == (3, ["j1", "j2", "j3"])


def test_nothing_is_bought_when_something_was_bought_without_a_price(theatre: Theatre) -> None:
    """What an earlier run bought unpriced may have cost anything: no budget can be kept, but it is collected."""
    prices, rows = FakePrices(worst=lambda name: 2 if name == "j2" else None), jobs(2)
    theatre.run(rows[:1], FakeService(duration=300.0), prices=prices, at={5.0: lambda it: it.go_home(SIGNAL)})
    service = FakeService(created={"t1-j1": 0.0})
    played = theatre.run(rows, service, prices=prices, budget=Decimal(9))
    assert (played.exit_code, played.counts, service.sent) == (3, {"done": 1, "queued": 1}, [])
    assert told(played).startswith("budget cannot be kept: 1 attempt bought before without a known price; name a price")
    done = theatre.run(rows[:1], FakeService(), prices=prices, budget=Decimal(9), select="j1")
    assert (done.exit_code, done.stops) == (0, [])


def test_a_lost_submit_is_looked_up_when_the_budget_cannot_be_kept(theatre: Theatre) -> None:
    """An attempt without a price whose answer was lost is found by our own id: it is paid for, and collected."""
    rows, prices = jobs(2, "kling-v3"), FakePrices(worst=lambda name: 2 if name == "j2" else None)
    first_run = FakeService(on_submit=first(LOST), on_find=lambda *_: LOST)
    theatre.run(rows[:1], first_run, prices=prices, at={1.0: lambda it: it.go_home(SIGNAL)})
    assert theatre.record("j1").state is JobState.SUBMITTING
    service = FakeService()
    played = theatre.run(rows, service, prices=prices, budget=Decimal(9))
    assert (played.exit_code, service.sent, len(service.looked_up)) == (3, [], 2)


def test_earlier_attempts_are_priced_when_their_price_is_known_now(theatre: Theatre) -> None:
    """A catalog of one's own may name later what nobody knew: then they count."""
    rows = jobs(2)
    theatre.run(rows[:1], FakeService(), prices=FakePrices(worst=lambda _job_id: None))
    played = theatre.run(rows, FakeService(), prices=TWO, budget=Decimal(3))
    assert (played.exit_code, played.counts) == (3, {"done": 1, "queued": 1})
    assert spending(theatre).at_most == units(2)


def test_the_run_is_refused_when_prices_are_in_two_currencies(theatre: Theatre) -> None:
    """One amount cannot hold for both; without a budget they are only added up apart."""
    prices = FakePrices(currency=lambda job_id: "EUR" if job_id == "j2" else "CNY")
    played = theatre.run(jobs(2), FakeService(), prices=prices, budget=Decimal(9))
    assert "one currency, and the prices here are in CNY and EUR" in str(played.error)
    assert theatre.run(jobs(2), FakeService(), prices=prices).exit_code == 0
    kept = theatre.between_runs(lambda ledger: ledger.spending())
    assert [(one.currency, one.at_most) for one in kept] == [("CNY", units(2)), ("EUR", units(2))]


# -- the other caps


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        ({"max_jobs": 3}, "max_jobs is 3, and 3 were bought; left: 2 jobs, 4.00 CNY at worst"),
        ({"max_seconds": 19.999}, "max_seconds is 19.999, and 15 s of video were bought; left: 2 jobs"),
        ({"max_seconds": 15.0}, "max_seconds is 15, and 15 s of video were bought; left: 2 jobs"),
    ],
)
def test_tasks_and_seconds_are_capped_as_money_is(theatre: Theatre, caps: dict[str, Any], said: str) -> None:
    """Three jobs of five seconds fit, the fourth does not: exit 3, and the cap is named."""
    played = theatre.run(jobs(5), FakeService(), prices=TWO, **caps)
    assert (played.exit_code, played.counts, played.stops) == (3, {"done": 3, "queued": 2}, ["budget"])
    assert said in told(played)


def test_tasks_are_counted_without_any_price(theatre: Theatre) -> None:
    """`max_jobs` needs no price; lost answers and further attempts count, over all runs."""
    rows = jobs(3)
    theatre.run(rows, FakeService(on_submit=first(LOST)), max_jobs=2)
    played = theatre.run(rows, FakeService(), max_jobs=3, resubmit_unknown=True)
    assert (played.exit_code, played.counts) == (3, {"done": 2, "queued": 1})


def test_a_cap_on_seconds_needs_known_lengths(theatre: Theatre) -> None:
    """A job of whose video nobody knows the length is refused under it, unless that is allowed."""
    prices = FakePrices(longest=lambda _job_id: None)
    refused = theatre.run(jobs(1), FakeService(), prices=prices, max_seconds=60.0)
    assert "max_seconds cannot be kept: 1 job without a known length, first j1" in str(refused.error)
    allowed = theatre.run(jobs(1), FakeService(), prices=prices, max_seconds=60.0, allow_unpriced=True)
    assert allowed.exit_code == 0


def test_shorter_videos_make_room_when_the_service_says_their_length(theatre: Theatre) -> None:
    """Seconds that the service reports correct the estimate as money does."""
    service = FakeService(usage=lambda _job_id: {"seconds": 2.5})
    played = theatre.run(jobs(4), service, prices=TWO, concurrency=1, max_seconds=10.0)
    assert played.counts == {"done": 3, "queued": 1}


# -- beside other stops


def test_a_failed_download_is_tried_again_for_nothing_when_the_budget_is_spent(theatre: Theatre) -> None:
    """Collecting what is paid for costs nothing, and no cap forbids it."""
    cut = FakeStore(on_fetch=lambda *_: RejectedError("cut", code="cut"))
    theatre.run(jobs(1), FakeService(), cut, prices=TWO, budget=Decimal(2))
    played = theatre.run(jobs(1), FakeService(), prices=TWO, budget=Decimal(0))
    assert (played.exit_code, played.counts) == (0, {"done": 1})


def test_only_what_the_limit_lets_through_is_asked_for_its_price(theatre: Theatre) -> None:
    """Jobs beyond `limit` or outside `select` are not bought now, and need no price now."""
    prices = FakePrices(worst=lambda job_id: 2 if job_id == "j1" else None)
    limited = theatre.run(jobs(3), FakeService(), prices=prices, budget=Decimal(5), limit=1)
    assert (limited.exit_code, limited.counts) == (0, {"done": 1, "queued": 2})
    selected = theatre.run(jobs(3), FakeService(), prices=prices, budget=Decimal(5), select="j1")
    assert selected.exit_code == 0


def test_the_totals_are_told_before_anything_is_submitted(theatre: Theatre) -> None:
    """Listeners hear what the run is about to buy, by kind, before its first paid request."""
    heard: list[int] = []
    service = FakeService()

    def look(batch: Batch) -> None:
        heard.append(len(service.sent))

    played = theatre.run(jobs(3), service, prices=TWO, at={0.0: look})
    priced = played.all(BatchPriced)[0]
    assert (sum(priced.quotes.values()), priced.spending) == (3, ())
    assert played.events.index(priced) < next(
        i for i, event in enumerate(played.events) if type(event).__name__ == "JobMoved"
    )
    assert heard == [0]


def test_a_vanished_task_goes_on_counting(theatre: Theatre) -> None:
    """A task that the service denies may have been charged all the same."""
    failure = Failure(Stage.GENERATE, "task_unknown", "no such task")
    rows = jobs(2)
    theatre.run(rows[:1], FakeService(duration=300.0), prices=TWO, at={5.0: lambda it: it.go_home(SIGNAL)})
    theatre.between_runs(lambda ledger: ledger.vanished("j1", failure, at=EPOCH))
    played = theatre.run(rows, FakeService(), prices=TWO, budget=Decimal(3))
    assert (played.exit_code, played.counts) == (3, {"unknown": 1, "queued": 1})
