"""The promises hold on every seed: whole lives of a batch on virtual time, with faults, stops and crashes."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.simulate import scratch_base, simulate

SEEDS = 300
CHUNK = 25


@pytest.fixture
def scratch() -> Iterator[Path]:
    """An empty folder, in memory where the machine has such a place: the simulated disk is flushed a lot."""
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=scratch_base()))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_the_promises_hold_whatever_the_seed_brings(scratch: Path, first: int) -> None:
    """Nothing is paid for twice, nothing is lost, what lands is whole, every slot comes back: design §2."""
    for seed in range(first, first + CHUNK):
        folder = scratch / str(seed)
        folder.mkdir()
        try:
            simulate(seed, folder)
        except Exception as error:
            error.add_note(f"seed {seed}; replay it with: python -m tests.engine.simulate {seed}")
            raise


def test_the_same_seed_tells_the_same_story(scratch: Path) -> None:
    """A failing seed is worth something only because it fails again: two plays end with the same results file."""
    stories = []
    for name in ("once", "again"):
        folder = scratch / name
        folder.mkdir()
        simulate(11, folder)
        stories.append((folder / "results.jsonl").read_bytes())
    assert stories[0] == stories[1]
