"""Disks that are full, read-only or gone: one clear line, exit 3, and a rerun that finishes once there is room."""

import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import LedgerReader
from tests.process.aftermath import FOLDER, check_folder, finish
from tests.process.double import Double, honest, make_video

PROMPTS = tuple(f"wave {number}" for number in range(4))
VIDEO = make_video(3_000_000)
ROOMY = {"min_free_bytes": 0}


class SmallDisk:
    """A file system of its own where the output folders go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.mkdir()

    def mount(self, options: str) -> None:
        """Mount it anew, or change it where it is mounted; skips the test where that is not allowed."""
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self._path)]
        made = subprocess.run(command, capture_output=True, check=False)
        if made.returncode:
            pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")

    def unmount(self) -> None:
        """Take it away, whoever still uses it."""
        subprocess.run(["umount", "--lazy", str(self._path)], capture_output=True, check=False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Named before `lab`, so that the lab still finds what was written there."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    disk = SmallDisk(tmp_path / "outputs")
    yield disk
    disk.unmount()


def no_file_beyond(size: int) -> Callable[[], None]:
    """Lets a process write no file beyond so many bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


# -- full --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kilobytes", [4, 40, 80, 120, 200])
def test_nothing_is_paid_twice_when_the_ledger_cannot_grow(lab: Any, kilobytes: int) -> None:
    """Wherever in the run the ledger's file hits its limit, the run says so, and goes on when the limit is gone."""
    emulator = lab.emulator()
    command = ("run", lab.manifest(*PROMPTS, concurrency=2))
    ended = lab.run(*command, limits=no_file_beyond(kilobytes * 1000))
    assert ended.code == 3
    assert ended.err.splitlines()[-1].startswith(f"pipeline: {FOLDER}/ledger.sqlite3: ")
    finish(lab, command, PROMPTS, emulator.bought)


def test_a_video_goes_on_at_the_same_byte_when_there_is_room_again(lab: Any) -> None:
    """A file that cannot be written stops the run; what arrived is kept for the next one."""
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest("wave"))
        ended = lab.run(*command, limits=no_file_beyond(2_000_000))
        assert ended.code == 3
        assert "stopped early: the disk cannot take the video: File too large" in ended.out
        assert "left: 1 job, which is paid for and collected first" in ended.out
        finish(lab, command, ["wave"], double.bought)
        assert double.gets[-1]["Range"] == "bytes=2000000-"


def test_the_run_stops_when_a_video_does_not_fit(small_disk: SmallDisk, lab: Any) -> None:
    """A video that is larger than the rest of the disk is not begun; with more room it comes, unpaid."""
    small_disk.mount("size=2m")
    with Double(honest(VIDEO)) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest("wave", **ROOMY))
        ended = lab.run(*command)
        assert ended.code == 3
        assert re.search(r"stopped early: a video of 3\.0 MB is to come and \d\.\d MB are free", ended.out)
        small_disk.mount("remount,size=20m")
        finish(lab, command, ["wave"], double.bought)


def test_the_run_stops_when_a_video_of_unknown_length_fills_the_disk(small_disk: SmallDisk, lab: Any) -> None:
    """To the last byte, so that not even the ledger can grow: that is said, and the rerun collects what is paid for."""
    small_disk.mount("size=2m")

    def without_length(handler: Any) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(VIDEO)

    with Double(without_length) as double:
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest("wave", **ROOMY))
        ended = lab.run(*command)
        assert ended.code == 3
        assert "No space left on device" in ended.out + ended.err or "the disk is full" in ended.err
        small_disk.mount("remount,size=20m")
        finish(lab, command, ["wave"], double.bought)


def test_every_question_is_answered_when_the_disk_is_full_to_the_last_byte(small_disk: SmallDisk, lab: Any) -> None:
    """Whoever only looks still sees how the batch stands; whoever would write is told to make room."""
    small_disk.mount("size=4m")
    emulator = lab.emulator()
    command = ("run", lab.manifest(*PROMPTS, **ROOMY))
    assert lab.run(*command).code == 0
    fill(lab.path / "outputs/fill")
    for question in (("status", FOLDER), ("verify", FOLDER), ("results", FOLDER, "--latest"), ("plan", "shots.yaml")):
        assert lab.run(*question).code == 0
    for order in (command, ("collect", FOLDER)):
        ended = lab.run(*order)
        assert ended.code == 3
        assert "the disk is full; make room and run the same command again" in ended.err
    rehearsed = lab.run(*command, "--rehearse")
    assert (rehearsed.code, "bug" in rehearsed.err) == (3, False)
    (lab.path / "outputs/fill").unlink()
    finish(lab, command, PROMPTS, emulator.bought)


def fill(path: Path) -> None:
    """Take every byte that is left."""
    with suppress(OSError), path.open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


def test_the_last_words_name_every_paid_task_when_the_disk_fills_up_while_submits_are_answered(
    small_disk: SmallDisk, lab: Any
) -> None:
    """What was paid for is on record or named by the command as it ends, and by its name it is collected."""
    small_disk.mount("size=2m")
    prompts = [f"wave{number}" for number in range(12)]
    with Double(honest(make_video(100_000))) as double:

        def submit(handler: Any) -> None:
            if double.bought().total() >= 3:
                fill(lab.path / "outputs/fill")
            accept(handler)

        accept, double.submit = double.submit, submit
        lab.environment["MODELVERSE_ENDPOINT"] = double.url
        command = ("run", lab.manifest(*prompts, concurrency=12, poll_lag=5.0, **ROOMY))
        ended = lab.run(*command)
        assert ended.code == 3
        assert "the disk is full; make room and run the same command again" in ended.err
        named = dict(re.findall(r"^job (\S+) has task (\S+), which is not on record$", ended.err, re.MULTILINE))
        with LedgerReader(lab.path / FOLDER) as reader:
            recorded = {job for job in prompts if (record := reader.record(job)) and record.task}
        assert named
        assert named.keys() | recorded == double.bought().keys()
        assert not named.keys() & recorded
        (lab.path / "outputs/fill").unlink()
        small_disk.mount("remount,size=20m")
        double.submit = accept
        assert lab.run(*command).code == 5
        for job, task_id in named.items():
            assert lab.run("resolve", FOLDER, job, "--task-id", task_id).code == 0
        with LedgerReader(lab.path / FOLDER) as reader:
            doubted = {job.record.job.job_id for job in reader.unknown()}
        assert doubted <= set(
            re.findall(r"^job (\S+) was not submitted, which is not on record$", ended.err, re.MULTILINE)
        )
        for job in doubted:
            assert lab.run("resolve", FOLDER, job, "--resubmit").code == 0
        assert lab.run(*command).code == 0
        assert double.bought() == dict.fromkeys(prompts, 1)


def test_nothing_is_bought_when_less_is_free_than_the_floor(small_disk: SmallDisk, lab: Any) -> None:
    """The floor of free space stops submitting before the first paid call."""
    small_disk.mount("size=20m")
    emulator = lab.emulator()
    ended = lab.run("run", lab.manifest("wave"))
    assert ended.code == 3
    assert "stopped early: only 21 MB are free for videos" in ended.out
    assert emulator.bought() == {}
    assert lab.run("run", "shots.yaml", "-c", config(lab, **ROOMY)).code == 0


def config(lab: Any, **settings: Any) -> str:
    (lab.path / "settings.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
    return "settings.yaml"


# -- read-only ---------------------------------------------------------------------------------------------------------


def test_the_run_does_not_begin_when_the_folder_is_read_only(small_disk: SmallDisk, lab: Any) -> None:
    """A new folder and one with a batch are refused alike; what only reads still answers."""
    small_disk.mount("size=20m")
    emulator = lab.emulator()
    command = ("run", lab.manifest(*PROMPTS, **ROOMY))
    assert lab.run(*command, "--limit", 2).code == 0
    small_disk.mount("remount,ro")
    for folder in (FOLDER, "outputs/new"):
        ended = lab.run(*command, "-o", folder)
        assert (ended.code, ended.err) == (3, f"pipeline: {folder} cannot be used: Read-only file system\n")
    for question in (("status",), ("results",), ("verify",)):
        asked = lab.run(*question, FOLDER)
        assert asked.code == 0
    small_disk.mount("remount,rw")
    finish(lab, command, PROMPTS, emulator.bought)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_the_run_does_not_begin_when_the_folder_belongs_to_others(lab: Any) -> None:
    """Permissions are told apart from nothing: the folder is named, and why."""
    (lab.path / "outputs").mkdir(mode=0o555)
    lab.emulator()
    ended = lab.run("run", lab.manifest("wave"))
    assert (ended.code, ended.err) == (3, f"pipeline: {FOLDER} cannot be used: Permission denied\n")


# -- gone --------------------------------------------------------------------------------------------------------------


def test_the_run_ends_when_its_folder_is_moved_away(lab: Any) -> None:
    """It buys nothing more that it could not save; moved back, the folder knows what was bought."""
    emulator = lab.emulator(speed=60)
    command = ("run", lab.manifest(*PROMPTS, concurrency=2), "--log-format", "json")
    process = lab.start(*command)
    assert process.wait_for(lambda event: event.get("state") == "running", times=2)
    (lab.path / FOLDER).rename(lab.path / "outputs/elsewhere")
    assert process.wait() == 3
    said = process.log.whole().decode().splitlines()[-1]
    assert said.startswith("pipeline: ")
    assert "No such file or directory" in said
    assert "move it back before the next run, which would else buy everything anew" in said
    with suppress(FileNotFoundError):
        shutil.rmtree(lab.path / FOLDER)
    assert emulator.bought().total() < len(PROMPTS)
    (lab.path / "outputs/elsewhere").rename(lab.path / FOLDER)
    finish(lab, command, PROMPTS, emulator.bought)


def test_the_run_ends_when_its_folder_is_removed(lab: Any) -> None:
    """What was on record is gone with it, so nothing more is bought; the same command begins a new batch."""
    emulator = lab.emulator(speed=60)
    command = ("run", lab.manifest(*PROMPTS, concurrency=2), "--log-format", "json")
    process = lab.start(*command)
    assert process.wait_for(lambda event: event.get("state") == "running", times=2)
    shutil.rmtree(lab.path / FOLDER)
    assert process.wait() == 3
    assert "No such file or directory" in process.log.whole().decode().splitlines()[-1]
    assert emulator.bought().total() < len(PROMPTS)
    assert lab.run(*command).code == 0
    check_folder(lab, len(PROMPTS))
