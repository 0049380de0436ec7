"""Result hosts that lie, stall and lead astray: a clear line, the right exit code, and the video when that is over."""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.process.aftermath import FOLDER, check_folder
from tests.process.double import (
    Answer,
    Double,
    cut,
    endless,
    honest,
    in_turn,
    make_video,
    only,
    page,
    redirect,
    trickle,
)

VIDEO = make_video(400_000)
OTHER = make_video(300_000, b"\1")
QUICK = {"download_tries": 2, "connect_timeout": 1.0, "stall_timeout": 0.5, "retry_after_ceiling": 0.2}


@dataclass(frozen=True, slots=True)
class Hostile:
    """What a host does, and what a user reads about it."""

    answer: Answer
    code: str
    words: str
    settings: dict[str, Any] = field(default_factory=dict)


HOSTILE = {
    "forever": Hostile(endless, "too_large", "larger than the limit of 500000 bytes", {"max_video_bytes": 500_000}),
    "silence": Hostile(trickle(VIDEO, 5.0), "stalled", "127.0.0.1 let us wait for too long"),
    "a byte at a time": Hostile(trickle(VIDEO, 0.05), "stalled", "127.0.0.1 sends less than 1 KiB a second"),
    "less than announced": Hostile(cut(VIDEO, 350_000), "cut", "127.0.0.1 broke the transfer off"),
    "html": Hostile(page, "not_a_video", "the result is not a video: it begins '<!DOCTYPE html>"),
    "redirect loop": Hostile(redirect("/wave-again"), "too_many_redirects", "127.0.0.1 redirects more than 5 times"),
    "redirect to a file": Hostile(
        redirect("file:///etc/hostname"), "bad_url", "'file:///etc/hostname' is not an http or https URL with a host"
    ),
    "redirect to half an address": Hostile(
        redirect("//[::1"), "bad_url", "'//[::1' is not a place that a redirect can lead to"
    ),
    "ten gigabytes": Hostile(
        cut(VIDEO, len(VIDEO), announced=10**10), "too_large", "larger than the limit of 4000000000 bytes"
    ),
}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_the_download_fails_and_comes_again_unpaid_when_the_host_is_hostile(lab: Any, hostile: Hostile) -> None:
    """Its neighbours get their videos, the reason is told, and the next run brings the video without paying again."""
    with Double(only("wave", hostile.answer, honest(VIDEO))) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest("wave", "calm", **QUICK | hostile.settings))
        began = time.monotonic()
        ended = lab.run(*command)
        assert time.monotonic() - began < 10
        assert ended.code == 1
        assert f"1 × {hostile.code} at download, first wave: " in ended.out
        assert hostile.words in ended.out
        assert "to download 1 job again, which costs nothing: python -m pipeline run shots.yaml\n" in ended.out
        assert "--retry-failed" not in ended.out
        assert sorted(path.name for path in (lab.path / FOLDER / "videos").glob("*.mp4")) == ["calm.mp4"]
        double.video = honest(VIDEO)
        assert lab.run(*command).code == 0
        assert double.bought() == {"wave": 1, "calm": 1}
    assert sorted((line["job_id"], line["attempts"], line["status"]) for line in lab.results()) == [
        ("calm", 1, "succeeded"),
        ("wave", 1, "failed"),
        ("wave", 1, "succeeded"),
    ]
    check_folder(lab, 2)


@pytest.mark.parametrize(
    "second", [honest(OTHER), honest(make_video(len(VIDEO), b"\1"), '"v2"')], ids=["same ETag", "same length"]
)
def test_the_file_is_the_new_one_when_the_host_changes_it_in_the_middle(lab: Any, second: Answer) -> None:
    """Bytes of two files are never joined: another length or another ETag begins the download anew."""
    with Double(in_turn(cut(VIDEO, 250_000), second)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        assert lab.run("run", lab.manifest("wave", **QUICK)).code == 0
        assert any("Range" in headers for headers in double.gets)
    assert (lab.path / FOLDER / "videos/wave.mp4").read_bytes() in {OTHER, make_video(len(VIDEO), b"\1")}
    check_folder(lab, 1)


def test_nothing_is_written_when_the_promise_is_larger_than_the_disk(lab: Any) -> None:
    """A video that cannot fit is not begun; it and what was not bought yet wait for room, exit 3."""
    with Double(cut(VIDEO, len(VIDEO), announced=10**15)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest("wave", **QUICK, max_video_bytes=10**16))
        ended = lab.run(*command)
        assert ended.code == 3
        assert "stopped early: a video of 1,000,000,000.0 MB is to come and " in ended.out
        assert [path.name for path in (lab.path / FOLDER / "videos").rglob("*")] == [".parts"]
        double.video = honest(VIDEO)
        assert lab.run(*command).code == 0
        assert double.bought() == {"wave": 1}
    check_folder(lab, 1)
