"""What the README shows can be typed: manifests validate, the catalog loads, the plan is what the command prints."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.catalog import Catalog
from pipeline.cli import cli
from pipeline.manifest import open_manifest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
MANIFESTS = [block for block in BLOCKS if "jobs:" in block]
CATALOGS = [block for block in BLOCKS if "models:" in block]


@pytest.mark.parametrize("block", MANIFESTS, ids=range(len(MANIFESTS)))
def test_a_manifest_validates_when_the_readme_shows_it(tmp_path: Path, block: str) -> None:
    """Each of them, as it stands there."""
    (tmp_path / "shots.yaml").write_text(block, encoding="utf-8")
    with open_manifest(tmp_path / "shots.yaml") as manifest:
        assert manifest.check().jobs > 0


@pytest.mark.parametrize("block", CATALOGS, ids=range(len(CATALOGS)))
def test_a_catalog_loads_when_the_readme_shows_it(tmp_path: Path, block: str) -> None:
    """Its model is known, and the day of its prices is told."""
    (tmp_path / "own.yaml").write_text(block, encoding="utf-8")
    catalog = Catalog.load(tmp_path / "own.yaml")
    assert catalog.entries_of("acme/video-1")
    assert "2026-11-20 in own.yaml" in catalog.prices_as_of


def test_there_is_something_to_check_when_the_readme_is_read() -> None:
    """The patterns above find what they are made for."""
    assert len(MANIFESTS) >= 2
    assert len(CATALOGS) == 1


def test_the_sweep_makes_what_the_readme_says_when_it_is_read(tmp_path: Path) -> None:
    """Six combinations, four takes of each, and one more value leaves the ids of the others alone."""
    (block,) = [block for block in MANIFESTS if "matrix:" in block]
    ids = []
    for number, text in enumerate((block, block.replace("[dawn,", "[night, dawn,").replace("repeat: 4", "repeat: 5"))):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        with open_manifest(path) as manifest:
            ids.append({job.job_id: job.digest for job in manifest.jobs()})
    assert len(ids[0]) == 24
    assert ids[0].items() < ids[1].items()


def test_the_plan_in_the_readme_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, for the sweep that ships with the project."""
    monkeypatch.chdir(ROOT)
    (shown,) = re.findall(r"\$ pipeline plan configs/sweep\.yaml\n(.*?)```", README, re.DOTALL)
    ended = CliRunner().invoke(cli, ["plan", "configs/sweep.yaml", "-o", "outputs/sweep"], standalone_mode=False)
    assert ended.stdout == shown
