"""What is paid for is collected without a manifest: a mistake in it, or its loss, costs no video."""

import json
import re
from typing import Any

import pytest


@pytest.fixture
def left_running(lab: Any) -> Any:
    """A lab in which a run was told to stop while two of its tasks went on, with a third job queued."""
    lab.service = lab.emulator(speed=60, spread=0)
    ended = lab.run("run", lab.manifest("sea", "sky", "sand", concurrency=2), "--max-runtime", "0.5s", "-q")
    assert (ended.code, lab.service.bought().total()) == (3, 2), ended.err
    return lab


def test_a_mistake_in_the_manifest_says_how_to_collect_when_tasks_are_paid_for(left_running: Any) -> None:
    """The manifest is refused as always, and the command that it shows brings the videos; nothing is bought by it."""
    shots = left_running.path / "shots.yaml"
    whole = shots.read_text()
    shots.write_text(whole.replace("image_url", "imag_url", 1))
    ended = left_running.run("run", "shots.yaml")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith(
        "pipeline: 2 paid tasks of outputs/shots can be collected all the same:"
    )
    assert ended.err.splitlines()[-1].endswith(" collect outputs/shots")

    collected = left_running.run("collect", "outputs/shots")
    assert collected.code == 0, collected.err
    assert "3 jobs: 2 done, 0 failed, 0 unknown, 1 remaining" in collected.last
    assert re.search(
        r"next, to buy the job that is not bought yet \(with your caps and other options of the run, left out here\): "
        r".*pipeline run shots.yaml -o outputs/shots\n",
        collected.out,
    )
    assert left_running.service.bought().total() == 2

    shots.write_text(whole)
    assert left_running.run("run", "shots.yaml").code == 0
    assert left_running.service.bought() == {"sea": 1, "sky": 1, "sand": 1}


def test_collecting_goes_on_by_collecting_when_it_is_interrupted(left_running: Any) -> None:
    """Who chose the command that buys nothing is not led to the one that buys."""
    settings = left_running.path / "short.yaml"
    settings.write_text("max_runtime: 0.1s\n")
    ended = left_running.run("collect", "outputs/shots", "-c", "short.yaml")
    assert ended.code == 3
    assert re.search(r"next, to go on: .*pipeline collect outputs/shots -c short.yaml\n", ended.out)
    assert left_running.service.bought().total() == 2


@pytest.mark.parametrize(
    "settings", [{"select": "other-*"}, {"budget": 1}, {"max_jobs": 0}, {"max_seconds": 1}, {"limit": 5}]
)
def test_everything_is_collected_when_the_settings_speak_of_buying(left_running: Any, settings: dict[str, Any]) -> None:
    """Results are kept for a day: nothing that holds for buying keeps from fetching what is paid for."""
    (left_running.path / "own.yaml").write_text(json.dumps(settings))
    collected = left_running.run("collect", "outputs/shots", "-c", "own.yaml")
    assert collected.code == 0, collected.err
    assert "3 jobs: 2 done, 0 failed, 0 unknown, 1 remaining" in collected.last
    assert left_running.service.bought().total() == 2


def test_nothing_is_queued_again_when_what_is_paid_for_is_collected(lab: Any) -> None:
    """Settings that buy again are for runs: after `collect` an unknown and a failed job are what they were."""
    lab.emulator(
        trouble=[
            {"at": "submit", "do": "drop", "prompt": "lost", "accepted": True},
            {"at": "task", "do": "fail", "prompt": "bad"},
        ]
    )
    assert lab.run("run", lab.manifest("lost", "bad")).code == 5
    (lab.path / "own.yaml").write_text("retry_failed: true\nresubmit_unknown: true\n")
    collected = lab.run("collect", "outputs/shots", "-c", "own.yaml")
    assert collected.code == 5
    assert "0 done, 1 failed, 1 unknown, 0 remaining" in collected.last


def test_nothing_is_said_of_collecting_when_nothing_is_paid_for(lab: Any) -> None:
    """A broken manifest of a new batch is only that."""
    (lab.path / "shots.yaml").write_text("version: 1\njobs: []\n")
    ended = lab.run("run", "shots.yaml")
    assert ended.code == 2
    assert "collect" not in ended.err


def test_a_folder_without_a_batch_is_refused_when_it_is_to_be_collected(lab: Any) -> None:
    """One sentence, and no folder is made."""
    ended = lab.run("collect", "outputs/nowhere")
    assert (ended.code, ended.out) == (2, "")
    assert "no batch here" in ended.err
    assert not (lab.path / "outputs").exists()


def test_the_command_that_costs_nothing_buys_nothing_when_the_settings_buy_failed_jobs_again(lab: Any) -> None:
    """What is said of downloads that come again can be copied to the letter, whatever the settings say of buying."""
    service = lab.emulator(
        trouble=[
            {"at": "task", "do": "fail", "prompt": "bad"},
            {"at": "download", "do": "html", "prompt": "page"},
        ]
    )
    (lab.path / "own.yaml").write_text("retry_failed: true\ndownload_tries: 1\n")
    ended = lab.run("run", lab.manifest("bad", "page"), "-c", "own.yaml")
    assert ended.code == 1, ended.err
    said = re.search(r"next, to download 1 job again, which costs nothing: .*pipeline (.*)\n", ended.out)
    assert said is not None, ended.out
    assert lab.run(*said[1].split()).code == 1
    assert service.bought() == {"bad": 1, "page": 1}
