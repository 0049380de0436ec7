"""`concurrency: auto` in whole runs: where the slots end up, and what the next run makes of it."""

from pipeline.core.events import SlotsChanged
from tests.engine.fakes import EPOCH, Played, Theatre, jobs
from tests.engine.machines import Machines
from tests.engine.world import make_job


def slots(played: Played, since: float = 0.0) -> list[int]:
    """The numbers of allowed slots that were told, from a moment of the run on."""
    return [event.limit for event in played.all(SlotsChanged) if event.at - EPOCH >= since]


def test_the_slots_settle_at_a_limit_that_nobody_knows(theatre: Theatre) -> None:
    """A service that refuses the ninth task is used with eight, with few refusals, and every job is done."""
    service = Machines(limit=8)
    played = theatre.run(jobs(400), service, concurrency="auto", pollers=20, downloads=20)
    assert played.counts == {"done": 400}
    assert set(slots(played, played.took / 3)) <= {8, 9}
    assert service.most == 8
    assert service.refused < 0.02 * len(service.sent)


def test_the_next_run_begins_where_the_last_one_ended(theatre: Theatre) -> None:
    """What was found is remembered for the host, and spares the next run the search."""
    theatre.run(jobs(200), Machines(limit=8), concurrency="auto", pollers=20)
    service = Machines(limit=8)
    played = theatre.run([make_job(f"k{n}") for n in range(200)], service, concurrency="auto", pollers=20)
    assert slots(played)[0] == 8
    assert service.refused <= 2
    elsewhere = Machines(limit=8, base_url="https://elsewhere.example")
    played = theatre.run([make_job(f"l{n}") for n in range(20)], elsewhere, concurrency="auto")
    assert slots(played)[0] == 4


def test_the_slots_stop_growing_when_tasks_only_wait(theatre: Theatre) -> None:
    """A service that accepts everything and runs six at once is not given hundreds."""
    service = Machines(machines=6)
    played = theatre.run(jobs(300), service, concurrency="auto", pollers=20, downloads=20)
    assert played.counts == {"done": 300}
    assert service.most <= 14
    told = theatre.run([make_job(f"k{n}") for n in range(300)], Machines(machines=6), concurrency=6, pollers=20)
    assert played.took <= 1.1 * told.took


def test_a_number_is_a_hard_ceiling(theatre: Theatre) -> None:
    """However much room there is, no more tasks run than were allowed, and nothing is told about slots."""
    service = Machines()
    played = theatre.run(jobs(60), service, concurrency=5, pollers=20)
    assert service.most == 5
    assert slots(played) == []


def test_a_number_is_a_hard_ceiling_when_an_earlier_run_found_more(theatre: Theatre) -> None:
    """Memory is for the search alone."""
    theatre.run(jobs(100), Machines(limit=8), concurrency="auto", pollers=20)
    service = Machines()
    theatre.run([make_job(f"k{n}") for n in range(40)], service, concurrency=3, pollers=20)
    assert service.most == 3
