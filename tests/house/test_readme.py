"""What the pages show can be typed: manifests validate, the catalog loads, the plan is what the command prints."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.catalog import Catalog
from pipeline.cli.grammar import cli
from pipeline.manifest import open_manifest
from tests.house.pages import CHINESE, PAGES, README, ROOT, blocks

BLOCKS = [(page, block.text) for page in PAGES if page != CHINESE for block in blocks(page) if block.kind == "yaml"]
MANIFESTS = [(page, text) for page, text in BLOCKS if "jobs:" in text]
CATALOGS = [text for _, text in BLOCKS if "models:" in text]


def lay_out(folder: Path) -> None:
    """The pictures that the pages name, where they name them."""
    (folder / "configs").symlink_to(ROOT / "configs")
    (folder / "pictures").symlink_to(ROOT / "configs/pictures")


@pytest.mark.parametrize("block", [text for _, text in MANIFESTS], ids=[page for page, _ in MANIFESTS])
def test_a_manifest_validates_when_a_page_shows_it(tmp_path: Path, block: str) -> None:
    """Each of them, as it stands there."""
    lay_out(tmp_path)
    (tmp_path / "shots.yaml").write_text(block, encoding="utf-8")
    with open_manifest(tmp_path / "shots.yaml") as manifest:
        assert manifest.check().jobs > 0


@pytest.mark.parametrize("block", CATALOGS, ids=range(len(CATALOGS)))
def test_a_catalog_loads_when_a_page_shows_it(tmp_path: Path, block: str) -> None:
    """Its model is known, and the day of its prices is told."""
    (tmp_path / "own.yaml").write_text(block, encoding="utf-8")
    catalog = Catalog.load(tmp_path / "own.yaml")
    assert catalog.entries_of("acme/video-1")
    assert "2026-11-20 in own.yaml" in catalog.prices_as_of


def test_there_is_something_to_check_when_the_pages_are_read() -> None:
    """The patterns above find what they are made for, in the README and in the pages that it leads to."""
    assert {page for page, _ in MANIFESTS} >= {README, "docs/first-batch.md", "docs/manifests.md"}
    assert len(MANIFESTS) >= 4
    assert len(CATALOGS) == 1


def test_the_sweep_makes_what_the_page_says_when_it_is_read(tmp_path: Path) -> None:
    """Six combinations, four takes of each, and one more value leaves the ids of the others alone."""
    (block,) = [text for _, text in MANIFESTS if "matrix:" in text]
    ids = []
    for number, text in enumerate((block, block.replace("[dawn,", "[night, dawn,").replace("repeat: 4", "repeat: 5"))):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        with open_manifest(path) as manifest:
            ids.append({job.job_id: job.digest for job in manifest.jobs()})
    assert len(ids[0]) == 24
    assert ids[0].items() < ids[1].items()


def test_the_plan_in_the_page_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line, for the sweep that ships with the project."""
    monkeypatch.chdir(ROOT)
    (shown,) = [
        block.text for block in blocks("docs/plan.md") if block.text.startswith("$ pipeline plan configs/sweep.yaml\n")
    ]
    ended = CliRunner().invoke(cli, ["plan", "configs/sweep.yaml", "-o", "outputs/sweep"], standalone_mode=False)
    assert ended.stdout == shown.partition("\n")[2]
