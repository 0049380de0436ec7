"""What the pages show is what happens: their manifests are sound, and their sessions can be had again."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.core.errors import ManifestError
from pipeline.manifest import open_manifest
from tests.house.pages import Block, blocks
from tests.house.test_readme import lay_out
from tests.process.test_run import counts
from tests.process.test_terminal import Terminal

SUFFIXES = {"yaml": "yaml", "csv": "csv", "json": "jsonl"}
PAGES = ("README.md", "docs/first-batch.md", "docs/manifests.md")
BAD = {"docs/manifests.md": ("bad.csv", "nowhere.jpg"), "docs/models.md": ("wrong.jsonl", "negativ_prompt")}
"""Manifests with mistakes, and what shows which block it is."""


def manifests(page: str) -> list[Block]:
    """The blocks of a page that are manifests."""
    return [block for block in blocks(page) if block.kind in SUFFIXES]


@pytest.mark.parametrize(
    ("page", "block"), [(page, block) for page in PAGES for block in manifests(page) if "nowhere.jpg" not in block.text]
)
def test_a_manifest_is_sound_when_a_page_shows_it(tmp_path: Path, page: str, block: Block) -> None:
    """Each can be copied and run."""
    lay_out(tmp_path)
    file = tmp_path / f"shown.{SUFFIXES[block.kind]}"
    file.write_text(block.text, encoding="utf-8")
    with open_manifest(file) as manifest:
        try:
            assert manifest.check().jobs > 0
        except ManifestError as error:
            raise AssertionError(error.message) from None


def session(page: str, command: str) -> list[str]:
    """The lines that a page shows after a command."""
    (block,) = [block for block in blocks(page) if block.kind == "console" and block.text.startswith(f"$ {command}\n")]
    return block.text.splitlines()[1:]


def test_the_first_batch_goes_as_the_page_says_when_somebody_follows_it(lab: Any) -> None:
    """Its manifest is validated and planned with the very lines of the page, and its rehearsal ends well."""
    page = "docs/first-batch.md"
    lay_out(lab.path)
    (text,) = [block.text for block in manifests(page)]
    (lab.path / "shots.yaml").write_text(text, encoding="utf-8")
    for command in ("validate shots.yaml", "plan shots.yaml"):
        ended = lab.run(*shlex.split(command))
        assert ended.code == 0
        shown = [
            line for line in (ended.err + ended.out).splitlines() if command.startswith("v") or "warning: " not in line
        ]
        assert shown == session(page, f"pipeline {command}")
    content = yaml.safe_load(text)
    ended = lab.run("run", "shots.yaml", "--rehearse", "--speed", "250", "--scenario", calm(lab))
    assert counts(ended.last) == (0, len(content["jobs"]), len(content["jobs"]), 0, 0, 0)
    assert len(list((lab.path / "outputs/shots-rehearsal/videos").glob("*.mp4"))) == 2


def test_the_sweep_is_priced_as_the_page_says_when_it_is_planned(lab: Any) -> None:
    """The plan that docs/plan.md shows is the one of the sweep that is shipped."""
    lay_out(lab.path)
    ended = lab.run("plan", "configs/sweep.yaml")
    shown = session("docs/plan.md", "pipeline plan configs/sweep.yaml")
    assert (ended.code, ended.out.splitlines()) == (0, shown)


@pytest.mark.parametrize("page", BAD)
def test_every_problem_is_named_as_the_page_says_when_the_manifest_is_bad(lab: Any, page: str) -> None:
    """The page's mistakes, in the program's words."""
    name, sign = BAD[page]
    lay_out(lab.path)
    (bad,) = [block.text for block in manifests(page) if sign in block.text]
    (lab.path / name).write_text(bad, encoding="utf-8")
    ended = lab.run("validate", name)
    assert (ended.code, ended.err.splitlines()) == (2, session(page, f"pipeline validate {name}"))


def test_the_session_goes_as_the_readme_says_when_somebody_types_it(lab: Any) -> None:
    """On a real terminal, line by line; times, sizes and the run's number are another's."""
    lay_out(lab.path)
    (shown,) = [block.text for block in blocks("README.md") if block.kind == "console"]
    lines = re.findall(r"^(?!\$ ).+$", shown.partition("\n\n$ pipeline verify")[0], re.MULTILINE)
    terminal = Terminal(lab, "run", "configs/demo.yaml", "--rehearse", columns=140, rows=40)
    assert terminal.end() == 1
    assert [alike(line) for line in terminal.lines() if line] == [alike(line) for line in lines]
    for command in ("verify outputs/demo-rehearsal", "results outputs/demo-rehearsal --latest"):
        (line,) = re.findall(rf"^\$ pipeline {command}.*\n(.*?)…?$", shown, re.MULTILINE)
        assert alike(line) in alike(lab.run(*command.split()).out)
    command = "report outputs/demo-rehearsal"
    assert lab.run(*command.split()).out.splitlines() == session("docs/report.md", f"pipeline {command}")


def test_the_five_lines_are_as_the_page_says_when_a_run_ends(lab: Any) -> None:
    """The run of docs/live-view.md, against a service that takes its money."""
    lay_out(lab.path)
    lab.emulator(clips="tiny")
    (shown,) = [block.text for block in blocks("docs/live-view.md") if block.kind == "console"]
    command, *lines = shown.splitlines()
    ended = lab.run(*shlex.split(command.removeprefix("$ pipeline ")))
    assert (ended.code, [alike(line) for line in ended.out.splitlines()]) == (3, [alike(line) for line in lines])


def alike(text: str) -> str:
    """The text without what differs from run to run, and with the product's bare name."""
    for pattern in (
        r"\d\d:\d\d:\d\d",
        r"(?<=in )\d+:\d\d",
        r"[\d.]+(?= s\b)",
        r"[\d.]+ [kM]B",
        r"\d{8}T\d{6}Z-[0-9a-f]{4}",
    ):
        text = re.sub(pattern, "…", text)
    return text.replace("python -m pipeline", "pipeline").rstrip()


def calm(lab: Any) -> Path:
    """A scenario without trouble, whose clips cost no time to make."""
    file = lab.path / "calm.yaml"
    file.write_text("clips: tiny\n", encoding="utf-8")
    return Path(file)
