"""What was paid for is kept: a video that is damaged later is fetched again, and nothing is paid for it."""

from typing import Any

FOLDER = "outputs/shots"


def _spoil(lab: Any) -> None:
    videos = lab.path / FOLDER / "videos"
    (videos / "one.mp4").write_bytes(b"\0" * (videos / "one.mp4").stat().st_size)
    (videos / "two.mp4").unlink()


def test_the_next_run_fetches_again_when_verify_found_a_difference(lab: Any) -> None:
    """`verify` notes what differs, and the same command as always mends it without paying."""
    emulator = lab.emulator()
    manifest = lab.manifest("one", "two", "three")
    assert lab.run("run", manifest).code == 0
    before = (lab.path / FOLDER / "videos" / "one.mp4").read_bytes()
    _spoil(lab)
    found = lab.run("verify", FOLDER)
    assert found.code == 1
    assert found.out.count("the next run fetches it again") == 2
    assert lab.run("run", manifest).code == 0
    assert lab.run("verify", FOLDER).code == 0
    assert (lab.path / FOLDER / "videos" / "one.mp4").read_bytes() == before
    assert emulator.bought() == {"one": 1, "two": 1, "three": 1}


def test_the_job_fails_when_the_service_no_longer_has_the_video(lab: Any) -> None:
    """A lost video that the service cannot give again is a failure on record, never a silent `done`."""
    first = lab.emulator()
    manifest = lab.manifest("one")
    assert lab.run("run", manifest).code == 0
    first.stop()
    (lab.path / FOLDER / "videos" / "one.mp4").unlink()
    (first.folder / "tasks.jsonl").write_text("")
    lab.emulator()
    assert lab.run("verify", FOLDER).code == 1
    assert lab.run("run", manifest, "--config", _no_patience(lab)).code == 1
    assert lab.results()[-1]["status"] == "failed"
    assert lab.results()[-1]["error"]["stage"] == "download"


def test_the_first_thing_tomorrow_is_the_download_that_failed_today(lab: Any) -> None:
    """A download that failed is fetched by the next run without another submit."""
    first = lab.emulator(trouble=[{"at": "download", "do": "html", "chance": 1.0}])
    manifest = lab.manifest("one", "two")
    assert lab.run("run", manifest).code == 1
    first.stop()
    second = lab.emulator()
    assert lab.run("run", manifest).code == 0
    assert second.bought() == {"one": 1, "two": 1}


def _no_patience(lab: Any) -> str:
    (lab.path / "settings.yaml").write_text("download_tries: 1\n")
    return "settings.yaml"
