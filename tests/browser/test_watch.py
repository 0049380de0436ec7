"""The live page as a person meets it while a batch runs."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import MANIFEST, ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[str]:
    """The URL of a watch that was started before there was anything to see."""
    command = [sys.executable, "-m", "pipeline", "watch", str(tmp_path / "outputs/shots-rehearsal")]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout
        try:
            found = re.search(r"\(no batch there yet\): (http://127\.0\.0\.1:\d+/)$", watching.stdout.readline())
            assert found
            yield found[1]
        finally:
            watching.send_signal(signal.SIGTERM)
    assert watching.returncode == 0


def test_the_page_follows_when_a_batch_runs(watched: str, page: Page, tmp_path: Path) -> None:
    """It is open before the run begins, is told of every change without being loaded anew, and plays what comes."""
    page.device(1280, 2000)
    (tmp_path / "shots.yaml").write_text(MANIFEST.replace("PICTURES", str(ROOT / "configs/pictures")))
    page.open(watched)
    assert page.text("#subline") == "Waiting for a run to begin."
    page.wait("document.querySelector('#live').textContent.trim() === 'Live'")
    run = [sys.executable, "-m", "pipeline", "run", "shots.yaml", "--rehearse", "--speed", "20", "-q"]
    with subprocess.Popen(run, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE):
        page.wait("document.querySelectorAll('.card.is-running').length > 0")
        page.js("window.sameAsBefore = true")
        page.wait("document.querySelectorAll('.card.is-done').length === 2")
    page.wait("document.querySelectorAll('.card.is-failed').length === 1")
    assert page.js("window.sameAsBefore")
    assert page.texts("#legend li") == ["2 done", "1 failed"]
    page.wait("Chart.getChart('chart-failures')?.data.labels.length === 1")
    page.wait("document.querySelector('.still').naturalWidth > 0")
    page.click(".card.is-done .frame")
    page.wait("document.querySelector('#stage video').currentTime > 0.1")
    assert all(url.startswith(watched) for url in page.requests())
