"""One browser for all tests of a worker; each test begins with an empty tab and ends without a complaint."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.browser.chromium import Page, browser, started

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without Chromium these tests are left out, and `tests/conftest.py` says so; in CI they have to run."""
    if browser() or os.environ.get("CI") == "true":
        return
    ours = [item for item in items if HERE in item.path.parents]
    items[:] = [item for item in items if HERE not in item.path.parents]
    config.hook.pytest_deselected(items=ours)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """The browser of this worker."""
    assert browser(), "there is no Chromium here: install the packages chromium and chromium-driver"
    with started(tmp_path_factory.mktemp("profile")) as made:
        made.get("data:,")
        yield made


@pytest.fixture
def page(driver: webdriver.Chrome) -> Iterator[Page]:
    """A tab; at the end nothing in it may have gone wrong, or come from elsewhere than the page did."""
    made = Page(driver)
    made.leave()
    yield made
    made.gather()
    asked = made.requests()
    made.leave()
    assert not made.complaints
    homes = {url.split("/", 3)[2] for url in asked}
    assert len(homes) <= 1, f"the page asked elsewhere: {homes}"


MANIFEST = """
version: 1
run: {concurrency: 4, poll_lag: 0.05}
defaults: {model: Wan-AI/Wan2.2-I2V, parameters: {resolution: 480P, duration: 5}}
jobs:
  - id: dunes
    input: {first_frame_url: PICTURES/dunes.jpg, prompt: Sand drifts over the crests}
    parameters: {seed: 41}
    metadata: {scene: 1, place: desert}
  - id: sea
    input: {first_frame_url: PICTURES/sea.jpg, prompt: The glitter dances on the swell}
    parameters: {resolution: 720P}
    metadata: {scene: 2, place: sea}
  - id: planet
    input: {first_frame_url: PICTURES/planet.jpg, prompt: An impossible staircase climbs to the rings}
    metadata: {scene: 3, place: elsewhere}
"""


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small batch that the emulator has made real clips for; one of its jobs failed."""
    place = tmp_path_factory.mktemp("rehearsed")
    (place / "shots.yaml").write_text(MANIFEST.replace("PICTURES", str(ROOT / "configs/pictures")))
    command = [sys.executable, "-m", "pipeline"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = [*command, "run", "shots.yaml", "--rehearse", "--speed", "100", "-q"]
    ended = subprocess.run(run, cwd=place, env=environment, capture_output=True, check=False)
    assert ended.returncode == 1, ended.stderr.decode()
    folder = place / "outputs/shots-rehearsal"
    subprocess.run([*command, "report", str(folder)], env=environment, cwd=place, capture_output=True, check=True)
    return folder
