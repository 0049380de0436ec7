"""The order of the jobs in whole runs: what a small batch gains, and what is known about durations."""

import random
from dataclasses import replace

from pipeline.core.jobs import Job
from tests.engine.fakes import Theatre
from tests.engine.machines import Machines
from tests.engine.world import make_job


def bimodal(count: int) -> list[Job]:
    """Jobs of two classes, shuffled; nothing but their mode tells them apart."""
    rng = random.Random(5)
    modes = rng.sample(["std", "pro"] * (count // 2), count)
    return [replace(make_job(f"j{n:03d}"), digest=f"d{n}", parameters={"mode": mode}) for n, mode in enumerate(modes)]


def seconds(job: Job) -> float:
    return 120.0 if job.parameters["mode"] == "pro" else 40.0


def lengths(service: Machines, rows: list[Job]) -> list[float]:
    """How long each submitted task took, in the order of the submits."""
    by_id = {job.job_id: seconds(job) for job in rows}
    return [by_id[job_id] for job_id in service.sent_jobs]


def test_a_small_batch_is_sooner_done_when_the_longest_class_goes_first(theatre: Theatre) -> None:
    """What an earlier run learned about two classes saves a later one an eighth of the time in file order."""
    theatre.run(bimodal(40), Machines(seconds=seconds), concurrency=20, pollers=20)
    rows = [replace(job, job_id=f"k{job.job_id}", output=f"k{job.output}") for job in bimodal(80)]
    service = Machines(seconds=seconds)
    learned = theatre.run(rows, service, concurrency=20, pollers=20, downloads=20)
    assert lengths(service, rows) == [120.0] * 40 + [40.0] * 40
    rows = [replace(job, job_id=f"l{job.job_id}", output=f"l{job.output}") for job in bimodal(80)]
    in_file_order = theatre.run(
        rows, Machines(seconds=seconds), concurrency=20, pollers=20, downloads=20, order="manifest"
    )
    assert learned.took <= 0.88 * in_file_order.took


def test_the_rest_of_a_batch_is_ordered_when_its_beginning_has_taught_the_durations(theatre: Theatre) -> None:
    """Without any memory the first tasks come in the order of the manifest, and later ones by class."""
    rows, service = bimodal(160), Machines(seconds=seconds)
    theatre.run(rows, service, concurrency=20, pollers=20, downloads=20)
    sent = lengths(service, rows)
    assert set(sent[:50]) == {40.0, 120.0}
    assert set(sent[-30:]) == {40.0}


def test_the_order_of_the_manifest_is_kept_when_the_batch_is_large(theatre: Theatre) -> None:
    """Ten jobs a slot are many."""
    rows, service = bimodal(60), Machines(seconds=seconds)
    theatre.run(rows, service, concurrency=6, pollers=20, downloads=20)
    assert service.sent_jobs == [job.job_id for job in rows]


def test_the_first_jobs_of_the_manifest_are_bought_when_a_limit_is_set(theatre: Theatre) -> None:
    """A limit does not pick the longest, which cost most, unless that order was asked for."""
    rows = [replace(make_job(f"j{n}"), digest=f"d{n}", parameters={"duration": n}) for n in (5, 8, 10)]
    service = Machines()
    theatre.run(rows, service, limit=1)
    theatre.run(rows, service, limit=1, order="longest-first")
    assert service.sent_jobs == ["j5", "j10"]
