"""The commands that look at a batch and decide about it."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

FOLDER = "outputs/shots"


RUN_AGAIN = "python -m pipeline run shots.yaml -o outputs/shots"


def test_a_person_decides_when_submits_are_unknown(lab: Any) -> None:
    """A found task is collected unpaid, a resubmitted job is bought once more, a written-off one fails."""
    trouble = [
        {"at": "submit", "do": "drop", "prompt": "found", "accepted": True},
        {"at": "submit", "do": "drop", "prompt": "again", "until": 3},
        {"at": "submit", "do": "drop", "prompt": "lost"},
    ]
    emulator = lab.emulator(trouble=trouble)
    manifest = lab.manifest("found", "again", "lost")
    assert lab.run("run", manifest).code == 5
    found = lab.run("resolve", FOLDER, "found", "--task-id", emulator.task_id("found"))
    assert (found.code, found.out.splitlines()) == (
        0,
        [
            f"found has task {emulator.task_id('found')} now; the next run asks about it",
            f"  to go on, with the other options of the run as before: {RUN_AGAIN}",
        ],
    )
    assert lab.run("resolve", FOLDER, "again", "--resubmit").code == 0
    written_off = "lost is failed; only --retry-failed would buy it again\n"
    assert lab.run("resolve", FOLDER, "lost", "--write-off").out == written_off
    twice = lab.run("resolve", FOLDER, "lost", "--write-off")
    assert (twice.code, twice.err) == (2, "pipeline: job lost is failed; only an unknown job waits for a decision\n")
    assert lab.run("resolve", FOLDER, "nobody", "--resubmit").code == 2
    assert lab.run("run", manifest, "-o", FOLDER).code == 1
    assert emulator.bought() == {"found": 1, "again": 1}
    latest = [json.loads(line) for line in lab.run("results", FOLDER, "--latest").out.splitlines()]
    assert {line["job_id"]: line["status"] for line in latest} == {
        "found": "succeeded",
        "again": "succeeded",
        "lost": "failed",
    }
    assert len(lab.results()) == 6


def test_no_manifest_is_made_up_when_the_one_of_a_job_is_not_at_hand(lab: Any) -> None:
    """The ledger has its name as it was typed in another folder, or nobody but a pipe has ever had it."""
    lab.emulator(trouble=[{"at": "submit", "do": "drop"}])
    piped = (lab.path / lab.manifest("one")).read_text()
    assert lab.run("run", "shots.yaml").code == 5
    assert lab.run("run", "-", "-o", "piped", stdin=piped).code == 5
    (lab.path / "shots.yaml").rename(lab.path / "renamed.yaml")
    words = "  to go on, with the other options of the run as before: python -m pipeline run"
    said = lab.run("resolve", FOLDER, "one", "--resubmit").out
    assert said.splitlines()[-1] == f"{words} MANIFEST -o {FOLDER}"
    said = lab.run("resolve", "piped", "one", "--resubmit").out
    assert said.splitlines()[-1] == f"{words} - -o piped < MANIFEST"
    said = lab.run("run", "-", "-o", "piped", "--max-jobs", "1", stdin=piped).out
    words = "next, with enough for all that is left (with your manifest on standard input, left out here)"
    assert f"{words}: python -m pipeline run - -o piped --max-jobs 2\n" in said


QUESTIONS = (
    ("status",),
    ("results",),
    ("results", "--rebuild"),
    ("verify",),
    ("report",),
    ("collect",),
    ("resolve", "wave", "--resubmit"),
)


def test_the_rehearsal_is_named_when_its_folder_was_meant(lab: Any) -> None:
    """A rehearsal goes into a folder of its own; whoever asks for the batch by the other name is sent there."""
    manifest = lab.manifest("wave", grace=0)
    assert lab.run("run", manifest, "--rehearse", "--max-runtime", "0.5", "-o", "o/d1").code == 3
    for command, *more in QUESTIONS:
        asked = lab.run(command, "o/d1", *more)
        said = "pipeline: o/d1: no batch here (it has no ledger.sqlite3); did you mean o/d1-rehearsal?\n"
        assert (asked.code, asked.out, asked.err) == (2, "", said)
    assert "; did you mean o/d1-rehearsal?" in lab.run("status", "o/d2-rehearsal").err
    assert "; name the output folder of a run" in lab.run("status", "elsewhere").err
    assert not (lab.path / "o/d1").exists()


WRONG_IDS = {
    "": "the task id is empty",
    "no such id": "contains blanks, line breaks or control characters; give the id alone",
    "one\ntwo": "contains blanks, line breaks or control characters; give the id alone",
    "\x1b[31m": "contains blanks, line breaks or control characters; give the id alone",
    "x" * 5000: "the task id has 5,000 characters, more than any id; give the id alone",
    "THE KEY": "what was given as the task id is the API key; copy the id from the service's console",
    "task-THE KEY": "what was given as the task id is the API key; copy the id from the service's console",
}


def test_a_task_id_is_refused_when_no_task_can_have_it(lab: Any) -> None:
    """A slip is told without quoting it, and decides nothing."""
    emulator = lab.emulator(trouble=[{"at": "submit", "do": "drop", "prompt": "found", "accepted": True}])
    assert lab.run("run", lab.manifest("found")).code == 5
    for told, complaint in WRONG_IDS.items():
        refused = lab.run("resolve", FOLDER, "found", "--task-id", told.replace("THE KEY", lab.secret))
        assert (refused.code, refused.out) == (2, "")
        assert complaint in refused.err
        assert len(refused.err) < 200
    assert lab.run("resolve", FOLDER, "found", "--task-id", emulator.task_id("found")).code == 0


def test_a_wrong_task_id_is_corrected_when_no_run_has_asked_about_it(lab: Any) -> None:
    """The next word of the same person counts; once a run has asked, the service has said what it knows."""
    trouble = [
        {"at": "submit", "do": "drop", "prompt": "found", "accepted": True},
        {"at": "task", "do": "stick", "prompt": "slow"},
    ]
    emulator = lab.emulator(trouble=trouble)
    manifest = lab.manifest("found", "slow", concurrency=2, grace=0)
    assert lab.run("run", manifest, "--max-runtime", "2").code == 3
    right = emulator.task_id("found")
    for told in ("9f1c0d2e", right):
        given = lab.run("resolve", FOLDER, "found", "--task-id", told)
        assert given.out.splitlines()[0] == f"found has task {told} now; the next run asks about it"
    for job, state in (("slow", "running"), ("nobody", "")):
        refused = lab.run("resolve", FOLDER, job, "--task-id", "9f1c0d2e")
        assert (refused.code, state in refused.err) == (2, True)
    assert lab.run("run", manifest, "--max-runtime", "2").code == 3
    late = lab.run("resolve", FOLDER, "found", "--task-id", "9f1c0d2e")
    assert (late.code, late.err) == (2, "pipeline: job found is done; only an unknown job waits for a decision\n")
    slow = lab.run("resolve", FOLDER, "slow", "--task-id", "9f1c0d2e")
    said = "pipeline: job slow is running, and a run knows its task; only an unknown job waits for a decision\n"
    assert (slow.code, slow.err) == (2, said)
    assert emulator.bought() == {"found": 1, "slow": 1}


def test_status_answers_when_a_run_holds_the_folder(lab: Any) -> None:
    """The ledger is read beside the run, as text and as JSON; unknown jobs come with time and digest."""
    trouble = [
        {"at": "submit", "do": "drop", "nth": [2]},
        {"at": "task", "do": "stick", "prompt": "stuck"},
    ]
    lab.emulator(trouble=trouble)
    manifest = lab.manifest("one", "lost", "stuck", "a forbidden emblem", concurrency=1)
    process = lab.start("run", manifest, "--log-format", "json")
    assert process.wait_for(lambda event: event.get("job_id") == "stuck" and event.get("state") == "running")
    found = json.loads(lab.run("status", FOLDER, "--json").out)
    assert found["jobs"]["running"] == 1
    assert (found["total"], found["jobs"]["done"], found["jobs"]["unknown"]) == (4, 1, 1)
    assert (found["last_run"]["ended_at"], found["holder"]) == (None, process.pid)
    assert found["unknown"][0]["job_id"] == "lost"
    assert len(found["unknown"][0]["body_sha256"]) == 64
    text = lab.run("status", FOLDER)
    assert (text.code, text.out.splitlines()[0]) == (0, "outputs/shots: 4 jobs, 2 remaining")
    assert "to decide: python -m pipeline resolve outputs/shots JOB --task-id ID" in text.out
    assert f"and goes on (process {process.pid})" in text.out
    assert process.end(signal.SIGTERM) == 3
    ended = lab.run("status", FOLDER).out
    assert "last run " in ended
    assert ended.endswith("to go on: run the manifest again, as before; nothing is paid for twice\n")


def test_the_results_file_is_the_same_again_when_it_is_rebuilt(lab: Any) -> None:
    """What the ledger exports is equal byte for byte, whatever happened to the file, and is printed without it."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one", "two", "a forbidden emblem")).code == 1
    file = lab.path / FOLDER / "results.jsonl"
    before = file.read_bytes()
    assert lab.run("results", FOLDER).out.encode() == before
    file.unlink()
    assert lab.run("results", FOLDER).out.encode() == before, "without the file, the ledger tells"
    file.write_bytes(b"torn")
    rebuilt = lab.run("results", FOLDER, "--rebuild")
    assert (rebuilt.code, rebuilt.out) == (0, "")
    assert rebuilt.err == f"{FOLDER}/results.jsonl: written anew, {len(before):,} bytes\n"
    assert file.read_bytes() == before
    assert lab.run("results", FOLDER, "--rebuild", "--latest").code == 2


def test_nothing_is_complained_about_when_a_pipe_closes_early(lab: Any) -> None:
    """`results | head` is quiet."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one")).code == 0
    file = lab.path / FOLDER / "results.jsonl"
    file.write_bytes(file.read_bytes() * 2000)
    command = f"{sys.executable} -m pipeline results {FOLDER} | head -n 1"
    ended = subprocess.run(command, shell=True, cwd=lab.path, env=lab.environment, capture_output=True, check=True)
    assert json.loads(ended.stdout)["job_id"] == "one"
    assert ended.stderr == b""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status", FOLDER), 0),
        (("results", FOLDER), 0),
        (("results", FOLDER, "--latest"), 0),
        (("verify", FOLDER), 1),
        (("plan", "shots.yaml"), 2),
        (("run", "shots.yaml", "--on-changed", "keep"), 0),
    ],
)
def test_a_command_says_by_its_exit_code_what_it_found_when_nobody_reads_it(
    lab: Any, arguments: tuple[str, ...], code: int
) -> None:
    """`pipeline verify … | head`: all is compared and noted, and the code is no other than without the pipe."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one", "two")).code == 0
    text = (lab.path / "shots.yaml").read_text()
    (lab.path / "shots.yaml").write_text(text.replace("prompt: one", "prompt: another one"))
    for video in (lab.path / FOLDER / "videos").glob("*.mp4"):
        video.write_bytes(b"cut")
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pipeline", *arguments]
    ended = subprocess.run(
        command, cwd=lab.path, env=lab.environment, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (ended.returncode, b"pipe" in ended.stderr.replace(b"pipeline", b"")) == (code, False), ended.stderr
    if arguments[0] == "verify":
        assert json.loads(lab.run("status", FOLDER, "--json").out)["jobs"]["fetching"] == 2


def test_it_is_said_when_the_output_cannot_be_written(lab: Any) -> None:
    """A full disk behind standard output is one message and exit code 3."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one")).code == 0
    command = f"{sys.executable} -m pipeline status {FOLDER} > /dev/full"
    ended = subprocess.run(command, shell=True, cwd=lab.path, env=lab.environment, capture_output=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr == b"pipeline: standard output cannot be written: No space left on device\n"


def test_every_difference_is_listed_when_files_are_verified(lab: Any) -> None:
    """A changed byte, a missing file and a longer one are named, and the exit code is 1."""
    lab.emulator()
    assert lab.run("run", lab.manifest("one", "two", "three", "four")).code == 0
    videos = lab.path / FOLDER / "videos"
    changed = bytearray((videos / "one.mp4").read_bytes())
    changed[-1] ^= 1
    (videos / "one.mp4").write_bytes(changed)
    (videos / "two.mp4").unlink()
    (videos / "three.mp4").write_bytes(changed + b"more")
    ended = lab.run("verify", FOLDER)
    assert ended.code == 1
    *differing, closing = ended.out.splitlines()
    assert sorted(line.split(": ")[0] for line in differing) == [
        f"videos/{name}.mp4" for name in ("one", "three", "two")
    ]
    assert closing == f"{FOLDER}: 4 files checked, 3 differ from the record"


def test_a_manifest_is_counted_when_it_is_valid(lab: Any) -> None:
    """One line with the number of jobs; warnings go beside it; wrong settings are found here already."""
    manifest = lab.manifest("one", "two")
    valid = lab.run("validate", manifest)
    assert (valid.code, valid.out, valid.err) == (0, "shots.yaml: 2 jobs, no problem\n", "")
    lab.manifest("one", concurrency=0, polers=3)
    wrong = lab.run("validate", manifest)
    assert wrong.code == 2
    assert "shots.yaml:7: run.concurrency: " in wrong.err
    assert "polers: no such setting; did you mean pollers?" in wrong.err


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_a_run_is_no_other_run_when_its_streams_are_closed(lab: Any, closed: tuple[int, ...]) -> None:
    """Without standard streams (`2>&-`) everything is bought and saved, and no ledger stands in for one."""
    lab.emulator()
    manifest = lab.manifest("one", "two")
    ended = lab.run("run", manifest, "--on-job", "cat >> told.jsonl", limits=lambda: _close(closed))
    assert (ended.code, (ended.out if 1 in closed else "") + (ended.err if 2 in closed else "")) == (0, "")
    assert lab.run("status", FOLDER, limits=lambda: _close(closed)).code == 0
    assert lab.run("verify", FOLDER).out == f"{FOLDER}: 2 files checked, 0 differ from the record\n"
    assert len((lab.path / "told.jsonl").read_text().splitlines()) == 2


def test_a_mistake_is_a_mistake_when_nobody_can_be_told(lab: Any) -> None:
    """A wrong option is exit code 2 also where standard error is full or closed."""
    for place in ("/dev/full", "&-"):
        command = f"{sys.executable} -m pipeline run --no-such-option 2>{place}"
        ended = subprocess.run(command, shell=True, cwd=lab.path, env=lab.environment, capture_output=True, check=False)
        assert (place, ended.returncode) == (place, 2)


def _close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
