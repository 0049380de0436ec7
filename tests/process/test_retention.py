"""What was paid for is kept: a video that is damaged later is fetched again, and nothing is paid for it."""

import json
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


def test_nothing_changes_when_the_videos_are_not_there_for_a_moment(lab: Any) -> None:
    """A disk that is not mounted is no reason to give up what was paid for: `verify` says so, and that is all."""
    lab.emulator()
    manifest = lab.manifest("one", "two")
    assert lab.run("run", manifest).code == 0
    folder = lab.path / FOLDER
    (folder / "videos").rename(folder / "elsewhere")
    for _ in range(2):
        refused = lab.run("verify", FOLDER)
        assert (refused.code, refused.out) == (3, "")
        assert "none of 2 files on record is there; is the disk that they are on mounted?" in refused.err
        (folder / "videos").mkdir(exist_ok=True)
    (folder / "videos").rmdir()
    (folder / "elsewhere").rename(folder / "videos")
    whole = lab.run("verify", FOLDER)
    assert (whole.code, whole.out) == (0, f"{FOLDER}: 2 files checked, 0 differ from the record\n")


def test_a_file_is_left_alone_when_it_cannot_be_read(lab: Any) -> None:
    """Whoever may not look cannot tell: the job stays done, and the exit code says that something was not compared."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one", "two")).code == 0
    video = lab.path / FOLDER / "videos" / "one.mp4"
    video.rename(video.with_name("kept"))
    video.symlink_to(video.name)
    found = lab.run("verify", FOLDER)
    assert found.code == 3
    assert found.out.splitlines() == [
        "videos/one.mp4: job one: cannot be read: Too many levels of symbolic links; not compared",
        f"{FOLDER}: 2 files checked, 0 differ from the record, 1 could not be read",
    ]
    assert (_counts(lab)["done"], _counts(lab)["fetching"]) == (2, 0)


def _take_away(lab: Any) -> Any:
    """Two jobs whose videos are moved aside while `verify` looks, which cannot be told from a loss."""
    videos = lab.path / FOLDER / "videos"
    for name in ("one", "two"):
        (videos / f"{name}.mp4").rename(videos / f"{name}.aside")
    assert lab.run("verify", FOLDER).code == 1
    again = lab.run("verify", FOLDER)
    assert (again.code, again.out.count("the next run fetches it again")) == (1, 2)
    return lambda: [(videos / f"{name}.aside").rename(videos / f"{name}.mp4") for name in ("one", "two")]


def _forgotten(lab: Any) -> Any:
    """A manifest whose two videos were paid for and moved aside, and a service that has forgotten their tasks."""
    service = lab.emulator()
    manifest = lab.manifest("one", "two")
    assert lab.run("run", manifest).code == 0
    bring_back = _take_away(lab)
    service.stop()
    (service.folder / "tasks.jsonl").write_text("")
    return manifest, bring_back


def test_jobs_are_done_again_when_their_videos_come_back(lab: Any) -> None:
    """What `verify` sent to be fetched again it takes back where it finds it whole, and nothing is told twice."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one", "two")).code == 0
    bring_back = _take_away(lab)
    bring_back()
    healed = lab.run("verify", FOLDER)
    assert (healed.code, healed.out.count("is whole; done again")) == (0, 2)
    assert _counts(lab)["done"] == 2
    assert len(lab.results()) == 2


def test_whole_videos_are_not_fetched_when_they_came_back_before_the_run(lab: Any) -> None:
    """A run looks at the disk before it asks for what was there once: also where the service has forgotten it."""
    manifest, bring_back = _forgotten(lab)
    lab.emulator()
    bring_back()
    assert lab.run("run", manifest).code == 0
    assert lab.run("verify", FOLDER).code == 0


def test_videos_that_are_whole_count_when_they_could_not_be_fetched_again(lab: Any) -> None:
    """A failed fetch forgets nothing: `verify` finds the videos of a failed job, and its last line is a success."""
    manifest, bring_back = _forgotten(lab)
    lab.emulator()
    assert lab.run("run", manifest, "--config", _no_patience(lab)).code == 1
    assert lab.run("verify", FOLDER).out == f"{FOLDER}: 0 files checked, 0 differ from the record\n"
    bring_back()
    assert _counts(lab)["failed"] == 2
    assert lab.run("verify", FOLDER).code == 0
    assert _counts(lab)["done"] == 2
    assert {line["job_id"]: line["status"] for line in lab.results()} == {"one": "succeeded", "two": "succeeded"}
    assert lab.run("run", manifest).code == 0


def test_whole_videos_are_not_bought_again_when_their_jobs_had_failed(lab: Any) -> None:
    """`--retry-failed` looks at the disk first: what was paid for and is there is done, and only the rest is bought."""
    manifest, bring_back = _forgotten(lab)
    second = lab.emulator()
    assert lab.run("run", manifest, "--config", _no_patience(lab)).code == 1
    before = second.bought()
    bring_back()
    (lab.path / FOLDER / "videos" / "two.mp4").unlink()
    assert lab.run("run", manifest, "--retry-failed").code == 0
    assert second.bought() - before == {"two": 1}
    assert _counts(lab)["done"] == 2


def _counts(lab: Any) -> dict[str, int]:
    counts: dict[str, int] = json.loads(lab.run("status", FOLDER, "--json").out)["jobs"]
    return counts


def _no_patience(lab: Any) -> str:
    (lab.path / "settings.yaml").write_text("download_tries: 1\n")
    return "settings.yaml"
