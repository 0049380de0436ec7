"""Outputs whose own place is shut, or lies on another disk: their neighbours get their videos, and so do they."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.process.aftermath import FOLDER
from tests.process.double import Double, honest, make_video
from tests.process.test_bad_disk import SmallDisk

VIDEO = make_video(400_000)
SHUT, CALM = f"{FOLDER}/videos/shut", f"{FOLDER}/videos/calm.mp4"


def manifest(lab: Any) -> str:
    """A job whose video goes into a folder of its own, and one beside it."""
    name = lab.manifest("wave", "calm")
    content = yaml.safe_load((lab.path / name).read_text())
    content["jobs"][0]["output"] = "shut/wave.mp4"
    (lab.path / name).write_text(yaml.safe_dump(content))
    return name


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of its own in the place of one output's folder; only root may mount it."""
    (tmp_path / SHUT).parent.mkdir(parents=True)
    disk = SmallDisk(tmp_path / SHUT)
    yield disk
    disk.unmount()


@pytest.fixture
def shut(other_disk: SmallDisk, tmp_path: Path) -> Iterator[Any]:
    """Shuts one output's folder to this user, and opens it again: by its mode, or by a read-only disk for root."""
    if os.geteuid() == 0:
        yield lambda closed: other_disk.mount("ro" if closed else "remount,rw")
    else:
        yield lambda closed: (tmp_path / SHUT).chmod(0o555 if closed else 0o755)
        (tmp_path / SHUT).chmod(0o755)


def test_one_video_fails_alone_when_its_folder_is_shut(shut: Any, lab: Any) -> None:
    """The others come, the sentence names path and mend, and the run after the mend stores it, unpaid."""
    shut(True)
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", manifest(lab))
        for _ in range(2):
            ended = lab.run(*command)
            assert ended.code == 1
            assert f"1 × bad_place at download, first wave: the video cannot be put at {SHUT}/wave.mp4: " in ended.out
            assert "let this user write there, or take away what is in the way" in ended.err
            assert (lab.path / CALM).read_bytes() == VIDEO
        shut(False)
        assert lab.run(*command).code == 0
        assert double.bought() == {"wave": 1, "calm": 1}
        assert [headers["Range"] for headers in double.gets] == [None, None, *[f"bytes={len(VIDEO)}-"] * 2]
    assert (lab.path / SHUT / "wave.mp4").read_bytes() == VIDEO
    assert list((lab.path / FOLDER / "videos/.parts").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_video_is_stored_when_its_folder_lies_on_another_disk(other_disk: SmallDisk, lab: Any) -> None:
    """It is copied there whole before it gets its name, and nothing is left beside it."""
    other_disk.mount("size=20m")
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        assert lab.run("run", manifest(lab)).code == 0
    assert [path.name for path in (lab.path / SHUT).iterdir()] == ["wave.mp4"]
    assert (lab.path / SHUT / "wave.mp4").read_bytes() == VIDEO
    assert list((lab.path / FOLDER / "videos/.parts").iterdir()) == []
    assert "2 files checked, 0 differ" in lab.run("verify", FOLDER).out


def test_nothing_is_bought_when_the_videos_folder_is_a_link_to_nothing(lab: Any) -> None:
    """A disk that is not there concerns every output: that is said before the first paid request."""
    (lab.path / FOLDER).mkdir(parents=True)
    (lab.path / FOLDER / "videos").symlink_to(lab.path / "disk")
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        ended = lab.run("run", manifest(lab))
        assert ended.code == 3
        assert f"{FOLDER}/videos is a link to a place that is not there: bring its disk back, or remove" in ended.err
        assert double.bought() == {}
        (lab.path / "disk").mkdir()
        assert lab.run("run", "shots.yaml").code == 0
