"""A JSON file beside each video that says where it comes from."""

import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipeline import __version__
from pipeline.ledger import Ledger
from pipeline.views import sidecar
from pipeline.views.sidecar import missing, without_query, write_for
from tests.unit.ends import VIDEO, done, failed


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Of the folder `tmp_path`."""
    async with await Ledger.open(tmp_path, run_id="r", at=1.0) as opened:
        yield opened


def never() -> bool:
    return False


def written(folder: Path, *job_ids: str) -> list[str]:
    """Write sidecars, and return the complaints."""
    complaints: list[str] = []
    write_for(folder, job_ids, complaints.append)
    return complaints


async def test_a_sidecar_says_everything_when_a_job_is_done(ledger: Ledger, tmp_path: Path) -> None:
    """Request, task, hashes, times, price, usage, source and the program; local files by path and digest only."""
    await done(ledger, tmp_path, "wave")
    assert written(tmp_path, "wave") == []
    told = json.loads((tmp_path / "videos/wave.mp4.json").read_text())
    assert told["tool"] == {"name": "video-batch-pipeline", "version": __version__}
    assert (told["kind"], told["schema"], told["job_id"], told["attempt"]) == (sidecar.KIND, 1, "wave", 1)
    assert told["file"] == {
        "path": "videos/wave.mp4",
        "bytes": len(VIDEO),
        "sha256": "ab" * 32,
        "url": "https://cdn.example.com:8443/v/wave.mp4",
    }
    assert told["request"]["input"] == {"image_url": "beach.jpg", "prompt": "海 waves \x7f \u202e"}
    (picture,) = told["request"]["local_files"]
    assert picture == {"field": "input.image_url", "path": "/srv/beach.jpg", "sha256": "cd" * 32, "bytes": 7}
    assert (told["request"]["model"], told["request"]["parameters"]) == ("m", {"resolution": "480P"})
    assert told["task"] == {
        "task_id": "task-wave",
        "request_id": "request",
        "service": "https://api.example.com",
        "usage": {"duration": 5},
    }
    assert {name: time[17:19] for name, time in told["times"].items()} == {
        "sent_at": "40",
        "submitted_at": "42",
        "service_submit_time": "43",
        "service_finish_time": "43",
        "noticed_at": "44",
        "downloaded_at": "48",
    }
    assert told["cost"] == {"amount": "0.75", "currency": "CNY", "estimated": False}
    assert told["source"] == {"file": "shots.csv", "line": 12}
    assert told["metadata"] == {}


async def test_nothing_steers_a_terminal_when_a_sidecar_is_looked_at(ledger: Ledger, tmp_path: Path) -> None:
    """Neither a control character nor a mark of direction; other scripts are readable."""
    await done(ledger, tmp_path, "wave")
    written(tmp_path, "wave")
    text = (tmp_path / "videos/wave.mp4.json").read_text()
    assert "海" in text
    assert all(character.isprintable() or character == "\n" for character in text)


async def test_no_signature_is_kept_when_a_result_had_one(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever gets the video and its sidecar cannot open the service's storage with it."""
    await done(ledger, tmp_path, "wave")
    written(tmp_path, "wave")
    assert b"secret" not in (tmp_path / "videos/wave.mp4.json").read_bytes()
    assert without_query("https://user:word@host/a?b=c#d") == "https://host/a"
    assert without_query("http://[bad") == ""


async def test_the_video_is_untouched_when_its_sidecar_is_written(ledger: Ledger, tmp_path: Path) -> None:
    """Its bytes and its times; the sidecar is its owner's alone, like the ledger."""
    await done(ledger, tmp_path, "wave")
    video = tmp_path / "videos/wave.mp4"
    before = video.stat()
    written(tmp_path, "wave")
    assert (video.read_bytes(), video.stat().st_mtime_ns) == (VIDEO, before.st_mtime_ns)
    assert stat.S_IMODE((tmp_path / "videos/wave.mp4.json").stat().st_mode) == 0o600


async def test_a_file_of_somebody_else_stays_when_it_has_the_name(ledger: Ledger, tmp_path: Path) -> None:
    """It is told, and not overwritten; nor is what a link leads to."""
    for name in ("mine", "link"):
        await done(ledger, tmp_path, name)
    (tmp_path / "videos/mine.mp4.json").write_text('{"notes": "of mine"}')
    (tmp_path / "precious").write_text("{}")
    (tmp_path / "videos/link.mp4.json").symlink_to("../precious")
    complaints = written(tmp_path, "mine", "link")
    assert [complaint.split(" is there")[0] for complaint in complaints] == [
        "videos/mine.mp4.json",
        "videos/link.mp4.json",
    ]
    assert (tmp_path / "videos/mine.mp4.json").read_text() == '{"notes": "of mine"}'
    assert (tmp_path / "precious").read_text() == "{}"
    assert missing(tmp_path, never) == []


async def test_a_sidecar_is_missing_when_a_crash_came_before_it(ledger: Ledger, tmp_path: Path) -> None:
    """Of done jobs only, and only where the video is there."""
    for name in ("a", "b", "gone"):
        await done(ledger, tmp_path, name)
    await failed(ledger, "failed")
    (tmp_path / "videos/gone.mp4").unlink()
    written(tmp_path, "a")
    assert missing(tmp_path, never) == ["b"]
    written(tmp_path, *missing(tmp_path, never))
    assert missing(tmp_path, never) == []


async def test_an_empty_sidecar_is_missing_when_the_power_failed(ledger: Ledger, tmp_path: Path) -> None:
    """Some file systems leave a name without bytes."""
    await done(ledger, tmp_path, "a")
    (tmp_path / "videos/a.mp4.json").touch()
    assert missing(tmp_path, never) == ["a"]
    assert written(tmp_path, "a") == []
    assert missing(tmp_path, never) == []


async def test_a_sidecar_is_stale_when_the_video_was_bought_anew(ledger: Ledger, tmp_path: Path) -> None:
    """One that is older than its video and tells of other bytes is written again; one that tells of these is not."""
    await done(ledger, tmp_path, "a")
    written(tmp_path, "a")
    file = tmp_path / "videos/a.mp4.json"
    os.utime(file, ns=(1, 1))
    assert missing(tmp_path, never) == []
    file.write_text(file.read_text().replace("ab" * 32, "ef" * 32))
    os.utime(file, ns=(1, 1))
    assert missing(tmp_path, never) == ["a"]
    written(tmp_path, "a")
    assert "ab" * 32 in file.read_text()


async def test_the_search_ends_when_the_run_is_in_a_hurry(ledger: Ledger, tmp_path: Path) -> None:
    """A large folder does not hold up a stop."""
    await done(ledger, tmp_path, "a")
    assert missing(tmp_path, lambda: True) == []


async def test_a_sidecar_that_cannot_be_written_is_told_when_the_folder_refuses(ledger: Ledger, tmp_path: Path) -> None:
    """In one sentence with the file's name; the others are written."""
    for name in ("a", "b"):
        await done(ledger, tmp_path, name)
    (tmp_path / "videos/a.mp4.json").mkdir()
    assert written(tmp_path, "a", "b") == ["videos/a.mp4.json is there and is no sidecar of ours; it stays as it is"]
    assert (tmp_path / "videos/b.mp4.json").is_file()


def test_a_picture_is_kept_as_a_digest_when_it_stands_in_the_manifest() -> None:
    """A data URI of megabytes would be in every sidecar; a short one stays."""
    long, short = "data:image/png;base64," + "A" * 5000, "data:image/png;base64,AAAA"
    made = sidecar._brief({"image_url": long, "list": [short], "prompt": "data: " + "x"})
    assert made["image_url"].startswith("data:image/png;base64,… (5022 characters, sha256 ")
    assert (made["list"], made["prompt"]) == ([short], "data: x")
