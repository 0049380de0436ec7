"""The demo and the example settings: they load, and they do what their comments say."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml

from pipeline.emulator.bodies import read_submission
from pipeline.emulator.links import Links
from pipeline.emulator.render import check_picture, read_move
from pipeline.emulator.scenario import Scenario
from pipeline.emulator.service import Intake, Service
from pipeline.settings import NAMES, Layer, Settings, build_settings, config_file_layer

CONFIGS = Path(__file__).parents[3] / "configs"
DEMO = yaml.safe_load((CONFIGS / "demo.yaml").read_text(encoding="utf-8"))
PICTURES = sorted((CONFIGS / "pictures").glob("*.jpg"))


def test_example_settings_are_the_defaults_when_they_are_loaded():
    """The example file shows every setting, at its default or commented out."""
    path = CONFIGS / "settings.yaml"
    assert build_settings(config_file_layer(path)) == Settings()
    shown = re.findall(r"^(?:# )?([a-z_]+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(NAMES)


def test_demo_settings_are_valid_when_they_are_read():
    """The demo's `run:` holds settings that exist."""
    assert build_settings(Layer("demo.yaml", DEMO["run"])).concurrency == DEMO["run"]["concurrency"]


@pytest.mark.parametrize("job", DEMO["jobs"], ids=lambda job: job["id"])
def test_demo_job_ends_as_its_comment_says_when_rehearsed(job):
    """Ten jobs succeed in the default scenario, one is refused by moderation, one fails as a task."""
    body = {"model": DEMO["defaults"]["model"], "input": job["input"], "parameters": job.get("parameters")}
    service = Service(Scenario(), links=Links(b"s"))
    reply, task = service.submit(0.0, "key", read_submission(msgspec.json.encode(body)), Intake())
    if job["id"] == "moderated":
        assert (reply.status, task) == (400, None)
    else:
        assert task is not None
        assert task.word == ("Failure" if job["id"] == "failing" else "Success")


def test_demo_uses_every_picture_when_it_is_a_dozen():
    """Twelve jobs, twelve pictures, none of them missing."""
    assert len(DEMO["jobs"]) == 12
    assert sorted(CONFIGS / job["input"]["image_url"] for job in DEMO["jobs"]) == PICTURES


def test_camera_moves_are_told_apart_when_the_demo_is_rendered():
    """Every prompt of the demo names a move that the camera understands."""
    plain = {read_move("", seed) for seed in range(3)}
    moves = [read_move(job["input"]["prompt"], 0) for job in DEMO["jobs"]]
    assert len(set(moves)) >= 8
    assert not plain & set(moves)


def test_pictures_are_small_when_they_are_committed():
    """Each picture is a picture and stays under 150 kB, all together under 1.5 MB."""
    sizes = [path.stat().st_size for path in PICTURES]
    assert max(sizes) < 150_000
    assert sum(sizes) < 1_500_000
    for path in PICTURES:
        check_picture(path.read_bytes())
