"""A plan comes true: over folders in every mix of states, a run buys what the plan said, and refuses what it did."""

import json
import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog import Catalog, Quoter
from pipeline.core.errors import UsageError
from pipeline.core.events import BatchPriced
from pipeline.ledger import Ledger
from pipeline.manifest import open_manifest
from pipeline.plan import Plan, plan
from pipeline.settings import Settings
from tests.engine.fakes import EPOCH, FakeService, Played, Theatre
from tests.engine.test_resuming import STATES, lead

SEEDS = 120
PRICED = {"model": "Wan-AI/Wan2.2-I2V", "input": {"image_url": "https://example.com/a.jpg"}}
UNPRICED = {"model": "kling-v3", "input": {"prompt": "the sea"}, "parameters": {"mode": "std", "sound": "off"}}
QUOTER = Quoter(Catalog.load())

Row = dict[str, Any]


def manifest_of(folder: Path, rows: list[Row], name: str = "shots.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def settle(theatre: Theatre, path: Path, states: dict[str, str]) -> None:
    """Enroll the manifest, and bring each job into its state."""
    with open_manifest(path) as manifest:
        manifest.check()
        enrolled = list(manifest.jobs())

    async def act(ledger: Ledger) -> None:
        await ledger.enroll(enrolled, "error", EPOCH)
        for job in enrolled:
            await lead(ledger, job, states[job.job_id], QUOTER.quote(job))

    theatre.between_runs(act)


def planned_and_played(
    theatre: Theatre, path: Path, service: FakeService, **settings: Any
) -> tuple[Plan | None, Played]:
    """What the plan says of a run, and the run; None where the plan says that there is nothing to select."""
    with open_manifest(path) as manifest:
        manifest.check()
        try:
            found = plan(manifest, theatre.folder, Settings(**settings))
        except UsageError:
            found = None
        return found, theatre.run(list(manifest.jobs()), service, prices=QUOTER, **settings)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_does_what_the_plan_said(theatre: Theatre, tmp_path: Path, seed: int) -> None:
    """Rows in every state, some changed, gone or new, under settings at random: the same jobs at the same price."""
    rng = random.Random(seed)
    old = [drawn(rng, f"j{number:02d}") for number in range(rng.choice([0, 1, 8, 20]))]
    states = {row["id"]: rng.choice(STATES) for row in old}
    if old:
        settle(theatre, manifest_of(tmp_path, old, "old.jsonl"), states)
    rows = [changed(row) if rng.random() < 0.1 else row for row in old if rng.random() < 0.8]
    rows += [drawn(rng, f"n{number:02d}") for number in range(rng.choice([0, 1, 5]))]
    rng.shuffle(rows)
    settings = chosen(rng)
    path = manifest_of(tmp_path, rows or [drawn(rng, "n99")])
    service = FakeService(created={f"t0-{name}": 0.0 for name in states})
    found, played = planned_and_played(theatre, path, service, **settings)
    if found is None or found.refused:
        assert isinstance(played.error, UsageError), found
        assert service.sent == []
        return
    (priced,) = played.all(BatchPriced)
    assert sum(priced.quotes.values()) == found.to_submit.jobs
    if settings["limit"] is None:
        assert priced.quotes == found.to_submit.counts
    bought = [name for name in service.sent_jobs if states.get(name) != "submitting" or settings["resubmit_unknown"]]
    if settings["budget"] is None:
        assert len(bought) == found.to_submit.jobs
    elif found.to_submit.unpriced == 0:  # which job meets the cap first is another matter where some cost nothing
        assert len(bought) == found.affordable
    assert Counter(bought).most_common(1)[0][1] == 1 if bought else True


def drawn(rng: random.Random, name: str) -> Row:
    return {**PRICED, "id": name} if rng.random() < 0.95 else {**UNPRICED, "id": name}


def changed(row: Row) -> Row:
    return {**row, "input": {**row["input"], "prompt": "something else"}}


def chosen(rng: random.Random) -> dict[str, Any]:
    return {
        "concurrency": 1,
        "limit": rng.choice([None, None, 0, 2]),
        "select": rng.choice([None, None, None, "*[02468]"]),
        "retry_failed": rng.random() < 0.4,
        "resubmit_unknown": rng.random() < 0.4,
        "on_changed": rng.choice(["error", "keep", "rerun", "rerun"]),
        "budget": rng.choice([None, None, None, Decimal(15)]),
        "allow_unpriced": rng.random() < 0.3,
        "task_timeout": 1e6,
    }
