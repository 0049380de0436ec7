"""`run` from its manifest to its results, and every exit code."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from pipeline.folder import hold
from pipeline.views.text import shell_word

LAST = re.compile(
    r"pipeline: exit (\d+): (\d+) jobs: (\d+) done, (\d+) failed, (\d+) unknown, (\d+) remaining in \d+\.\d s"
)
PROMPTS = ("camera pans left", "camera pans right")


def counts(last: str) -> tuple[int, ...]:
    found = LAST.fullmatch(last)
    assert found, last
    return tuple(map(int, found.groups()))


# -- manifests of every kind

YAML = f"""
run: {{poll_lag: 0.05}}
defaults: {{parameters: {{resolution: 480P}}}}
jobs:
  - id: left
    input: {{image_url: "https://example.com/a.jpg", prompt: {PROMPTS[0]}}}
    metadata: {{shot: 12}}
  - id: right
    input: {{image_url: "https://example.com/b.jpg", prompt: {PROMPTS[1]}}}
"""
CSV = (
    f"id,image_url,prompt\nleft,https://example.com/a.jpg,{PROMPTS[0]}\nright,https://example.com/b.jpg,{PROMPTS[1]}\n"
)
JSONL = "".join(
    json.dumps({"id": name, "input": {"image_url": f"https://example.com/{name}.jpg", "prompt": prompt}}) + "\n"
    for name, prompt in zip(("left", "right"), PROMPTS, strict=True)
)


@pytest.mark.parametrize(
    ("name", "content", "folder"),
    [
        ("shots.yaml", YAML, "outputs/shots"),
        ("shots.csv", CSV, "outputs/shots"),
        ("shots.jsonl", JSONL, "outputs/shots"),
        ("-", CSV, "outputs/stdin"),
    ],
    ids=["yaml", "csv", "jsonl", "stdin"],
)
def test_videos_and_results_are_there_when_a_manifest_has_run(lab: Any, name: str, content: str, folder: str) -> None:
    """Every kind of manifest becomes videos, results lines, and exit code 0; the same command again does nothing."""
    emulator = lab.emulator()
    if name != "-":
        (lab.path / name).write_text(content)
    arguments = ("run", name, "-c", "settings.yaml")
    (lab.path / "settings.yaml").write_text("poll_lag: 0.05\n")
    ended = lab.run(*arguments, stdin=content)
    assert (ended.code, counts(ended.last)) == (0, (0, 2, 2, 0, 0, 0)), ended.err
    assert f"videos: {folder}/videos, results: {folder}/results.jsonl" in ended.out
    for line in lab.results(folder):
        assert line["status"] == "succeeded"
        assert (lab.path / folder / line["files"][0]["path"]).stat().st_size == line["files"][0]["bytes"]
        assert line["source"]["file"] == ("stdin" if name == "-" else name)
    assert sorted(line["job_id"] for line in lab.results(folder)) == ["left", "right"]
    again = lab.run(*arguments, stdin=content)
    assert (again.code, counts(again.last)) == (0, (0, 2, 2, 0, 0, 0))
    assert len(lab.results(folder)) == 2
    seen = emulator.stop()
    assert (seen["submits"], seen["downloads"], seen["leaked keys"]) == (2, 2, 0)


# -- every exit code


def test_the_exit_code_is_1_when_jobs_failed(lab: Any) -> None:
    """A refusal and a failed task are named by reason, and another attempt is offered; it is bought only when asked."""
    emulator = lab.emulator()
    manifest = lab.manifest("a forbidden emblem", "an impossible staircase", "camera pans left")
    ended = lab.run("run", manifest)
    assert (ended.code, counts(ended.last)) == (1, (1, 3, 1, 2, 0, 0))
    assert (
        "next, to buy another attempt for each failed job: python -m pipeline run shots.yaml --retry-failed"
        in ended.out
    )
    assert lab.run("run", manifest).code == 1
    assert emulator.bought()["an impossible staircase"] == 1
    assert lab.run("run", manifest, "--retry-failed").code == 1
    assert emulator.bought()["an impossible staircase"] == 2
    assert sorted((line["job_id"], line["attempts"], line["status"]) for line in lab.results()) == [
        ("a-forbidden-emblem", 1, "failed"),
        ("a-forbidden-emblem", 2, "failed"),
        ("an-impossible-staircase", 1, "failed"),
        ("an-impossible-staircase", 2, "failed"),
        ("camera-pans-left", 1, "succeeded"),
    ]


def test_the_exit_code_is_2_and_no_request_leaves_when_the_manifest_is_wrong(lab: Any) -> None:
    """Every problem is named with its line, and the service never hears of it."""
    emulator = lab.emulator()
    (lab.path / "shots.csv").write_text("id,image_url\na,https://example.com/a.jpg\na,nowhere\nb,\n")
    for command in ("run", "validate"):
        ended = lab.run(command, "shots.csv")
        assert ended.code == 2
        assert ended.out == ""
        *problems, closing = ended.err.splitlines()
        assert {line.split(": ")[0] for line in problems} == {"shots.csv:3", "shots.csv:4"}
        assert closing == f"pipeline: {len(problems)} problems in the manifest; nothing was submitted"
    assert not (lab.path / "outputs").exists()
    seen = emulator.stop()
    assert (seen["submits"], seen["questions"]) == (0, 0)


def test_a_check_refuses_the_settings_that_a_run_refuses(lab: Any) -> None:
    """What a check lets pass in the settings file or the environment does not stop the night's run."""
    lab.manifest("wave")
    (lab.path / "settings.yaml").write_text("concurency: 3\nmax_runtime: 5 hours\nbudget: '12,50'\nretry_failed: ja\n")
    for arguments, environment, times in (
        (("-c", "settings.yaml"), {}, 4),
        ((), {"PIPELINE_CONCURRENCY": "x"}, 1),
        (("-c", "settings.yaml"), {"PIPELINE_CONCURRENCY": "x"}, 5),
    ):
        checked = lab.run("validate", "shots.yaml", *arguments, **environment)
        ran = lab.run("run", "shots.yaml", *arguments, **environment)
        assert (checked.code, len(checked.err.splitlines())) == (2, times)
        assert (ran.code, ran.err) == (2, checked.err)
    assert lab.run("validate", "shots.yaml").code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("run", "shots.yaml"), "there is no API key: set MODELVERSE_API_KEY"),
        (("run", "missing.yaml"), "missing.yaml"),
        (("run", "shots.yaml", "--rehearse", "--concurrency", "0"), "flags: concurrency:"),
        (("run", "shots.yaml", "--rehearse", "--max-runtime", "soon"), "'soon' is not a duration"),
        (("run", "shots.yaml", "--rehearse", "-c", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("run", "shots.yaml", "--rehearse", "--speed", "0"), "speed must be more than 0"),
        (("run", "shots.yaml", "--rehearse", "--scenario", "nowhere.yaml"), "nowhere.yaml: cannot be read"),
        (("run", "shots.yaml", "--speed", "3"), "belong to --rehearse"),
        (("run", "shots.yaml", "--api-key-file", "nowhere"), "nowhere: cannot be read"),
        (("run", "shots.yaml", "--bugdet", "3"), "--bugdet"),
        (("status", "nowhere"), "nowhere"),
        (("results", "nowhere"), "nowhere"),
        (("verify", "nowhere"), "nowhere"),
        (("resolve", "nowhere", "a", "--resubmit"), "nowhere"),
        (("resolve", "nowhere", "a"), "exactly one of"),
        (("emulator", "--scenario", "shots.yaml"), "shots.yaml"),
    ],
)
def test_the_exit_code_is_2_when_a_command_is_wrong(lab: Any, arguments: tuple[str, ...], complaint: str) -> None:
    """Bad usage is one message on standard error, never a traceback, and leaves no folder behind."""
    lab.manifest("camera pans left")
    ended = lab.run(*arguments, MODELVERSE_API_KEY="")
    assert ended.code == 2, ended.err
    assert complaint in ended.err
    assert "Traceback" not in ended.err
    assert not (lab.path / "nowhere").exists()


def test_the_exit_code_is_3_when_the_deadline_comes_first(lab: Any) -> None:
    """What is under way is left to the next run, which collects it without paying again."""
    emulator = lab.emulator(speed=30, spread=0)
    manifest = lab.manifest(*PROMPTS, concurrency=1)
    ended = lab.run("run", manifest, "--max-runtime", "1s")
    assert (ended.code, counts(ended.last)) == (3, (3, 2, 0, 0, 0, 2))
    assert "stopped early: this run was given 1 s" in ended.out
    assert "left: 2 jobs, 1 of them paid for and collected first" in ended.out
    assert lab.run("run", manifest, "--concurrency", "2").code == 0
    assert emulator.bought() == dict.fromkeys(PROMPTS, 1)


def test_the_exit_code_is_4_when_the_account_is_refused(lab: Any) -> None:
    """The first refusal stops submitting; what runs already is collected; a later run goes on."""
    emulator = lab.emulator(trouble=[{"at": "submit", "do": "quota", "since": 2, "until": 2}])
    manifest = lab.manifest("one", "two", "three", "four", concurrency=1)
    ended = lab.run("run", manifest)
    assert (ended.code, counts(ended.last)) == (4, (4, 4, 1, 0, 0, 3)), ended.out
    assert "quota exceeded" in ended.out
    assert lab.run("run", manifest).code == 0
    assert set(emulator.bought().values()) == {1}


def test_the_exit_code_is_5_when_answers_were_lost(lab: Any) -> None:
    """A lost answer is never sent again by itself; it is, when somebody says so."""
    emulator = lab.emulator(trouble=[{"at": "submit", "do": "drop", "nth": [2], "accepted": True}])
    manifest = lab.manifest("one", "two", "three")
    ended = lab.run("run", manifest)
    assert (ended.code, counts(ended.last)) == (5, (5, 3, 2, 0, 1, 0))
    assert "to buy them all again: python -m pipeline run shots.yaml --resubmit-unknown" in ended.out
    assert lab.run("run", manifest).code == 5
    assert emulator.bought() == {"one": 1, "two": 1, "three": 1}
    assert lab.run("run", manifest, "--resubmit-unknown").code == 0
    assert emulator.bought() == {"one": 1, "two": 2, "three": 1}
    assert sorted((line["job_id"], line["attempts"], line["status"]) for line in lab.results()) == [
        ("one", 1, "succeeded"),
        ("three", 1, "succeeded"),
        ("two", 1, "unknown"),
        ("two", 2, "succeeded"),
    ]


def test_the_exit_code_is_75_when_another_run_holds_the_folder(lab: Any) -> None:
    """Two runs never share a folder, and whoever comes second says so; a decision has to wait as well."""
    manifest = lab.manifest("one")
    assert lab.run("run", manifest, "--rehearse", "--speed", 250).code == 0
    with hold(lab.path / "outputs/shots-rehearsal"):
        for arguments in (
            ("run", manifest, "--rehearse"),
            ("resolve", "outputs/shots-rehearsal", "one", "--resubmit"),
            ("results", "outputs/shots-rehearsal", "--rebuild"),
        ):
            ended = lab.run(*arguments)
            assert ended.code == 75, ended.err
            stop_it = f"stop it with SIGTERM (kill {os.getpid()})"
            assert ended.err == f"pipeline: another run holds outputs/shots-rehearsal; wait for it, or {stop_it}\n"


# -- rehearsals


def test_a_rehearsal_pays_nothing_and_has_its_own_folder_when_it_runs(lab: Any) -> None:
    """No key is needed, no real endpoint is asked, and the folder says what it is."""
    scenario = lab.path / "calm.yaml"
    scenario.write_text("clips: tiny\n")
    manifest = lab.manifest(*PROMPTS)
    flags = ("--rehearse", "--speed", "250", "--scenario", scenario)
    ended = lab.run("run", manifest, *flags, MODELVERSE_API_KEY="", MODELVERSE_ENDPOINT="https://nowhere.invalid")
    assert ended.code == 0, ended.err
    assert not (lab.path / "outputs/shots").exists()
    assert len(lab.results("outputs/shots-rehearsal")) == 2


# -- what a run is told


def test_only_some_jobs_are_submitted_when_the_run_is_told_so(lab: Any) -> None:
    """--select takes a pattern, --limit a number; the rest waits in the queue, and that is no failure."""
    emulator = lab.emulator()
    manifest = lab.manifest("wave one", "wave two", "dune one")
    assert counts(lab.run("run", manifest, "--select", "wave-*", "--limit", "1").last) == (0, 3, 1, 0, 0, 2)
    assert emulator.bought() == {"wave one": 1}
    assert counts(lab.run("run", manifest, "--select", "wave-*").last) == (0, 3, 2, 0, 0, 1)
    assert emulator.bought() == {"wave one": 1, "wave two": 1}


def test_a_changed_row_is_refused_when_nobody_says_otherwise(lab: Any) -> None:
    """The default buys nothing; keep leaves the old video; rerun buys the new one."""
    emulator = lab.emulator()
    manifest = lab.manifest("one")
    assert lab.run("run", manifest).code == 0
    text = (lab.path / manifest).read_text()
    (lab.path / manifest).write_text(text.replace("prompt: one", "prompt: another"))
    ended = lab.run("run", manifest)
    assert ended.code == 2
    assert "job one (done) is not what was enrolled from shots.yaml:2: input.prompt changed" in ended.err
    kept = lab.run("run", manifest, "--on-changed", "keep")
    assert (kept.code, kept.err[9:]) == (0, "1 row changed and was left as enrolled (one)\n")
    assert lab.run("run", manifest, "--on-changed", "keep", "-q").err == ""
    assert emulator.bought() == {"one": 1}
    assert lab.run("run", manifest, "--on-changed", "rerun").code == 0
    assert emulator.bought() == {"one": 1, "another": 1}


def test_the_key_is_read_from_a_file_when_one_is_named(lab: Any) -> None:
    """The environment is not needed then."""
    lab.emulator()
    key = lab.environment.pop("MODELVERSE_API_KEY")
    (lab.path / "key").write_text(key + "\n")
    try:
        assert lab.run("run", lab.manifest("one"), "--api-key-file", "key").code == 0
    finally:
        (lab.path / "key").unlink()


def test_every_line_on_stderr_is_an_object_when_the_log_is_json(lab: Any) -> None:
    """The log of a whole run can be read by a machine; the summary on stdout stays as it is."""
    lab.emulator()
    manifest = lab.manifest("one", "a forbidden emblem")
    text = (lab.path / manifest).read_text()
    (lab.path / manifest).write_text(text.replace("https://example.com", "http://localhost"))
    ended = lab.run("run", manifest, "--log-format", "json")
    events = [json.loads(line) for line in ended.err.splitlines()]
    assert events[0]["event"] == "warning"
    started = next(event for event in events if event["event"] == "batch_started")
    assert started["counts"]["queued"] == 2
    assert events[-1]["event"] == "batch_ended"
    moves = [event["state"] for event in events if event["event"] == "job_moved" and event["job_id"] == "one"]
    assert moves == ["submitting", "running", "fetching", "done"]
    assert counts(ended.last) == (1, 2, 1, 1, 0, 0)


def test_a_mailbox_stays_empty_when_nothing_happened(lab: Any) -> None:
    """Nothing to submit or to collect: the last line alone, and with -q and exit code 0 nothing at all."""
    lab.emulator()
    manifest = lab.manifest("one")
    assert lab.run("run", manifest, "-q").out.count("\n") == 1
    again = lab.run("run", manifest)
    assert (again.code, again.err, again.out.splitlines()) == (0, "", [again.last])
    assert counts(again.last) == (0, 1, 1, 0, 0, 0)
    quiet = lab.run("run", manifest, "-q")
    assert (quiet.code, quiet.err, quiet.out) == (0, "", "")


def test_the_last_line_still_comes_when_a_quiet_run_has_nothing_to_do_but_does_not_end_well(lab: Any) -> None:
    """A failed job stays a failed job: exit 1, and one line for the mail."""
    lab.emulator()
    manifest = lab.manifest("a forbidden emblem")
    assert lab.run("run", manifest).code == 1
    quiet = lab.run("run", manifest, "-q")
    assert (quiet.code, quiet.err, counts(quiet.out.rstrip("\n"))) == (1, "", (1, 1, 0, 1, 0, 0))


def test_the_end_of_a_run_is_told_in_five_lines_when_work_remains(lab: Any) -> None:
    """What happened, what it cost, what is left, what to type next as it was typed, and where the files are."""
    lab.emulator()
    ended = lab.run("run", lab.manifest("wave one", "wave two", "sea one"), "--select", "wave-*", "-o", "my videos")
    happened, cost, left, following, files, last = ended.out.splitlines()[-6:]
    assert happened.startswith("happened: 2 done (2 videos, ")
    assert cost.startswith("cost: 1.80 CNY for what ended in this run; in all spent: 1.80 CNY")
    assert left == "left: 1 job, which --select leaves out"
    assert following == "next, to go on with the rest: python -m pipeline run shots.yaml -o 'my videos'"
    assert files.startswith("videos: my videos/videos, results: my videos/results.jsonl")
    assert counts(last) == (0, 3, 2, 0, 0, 1)


def test_one_line_is_all_when_a_run_is_quiet(lab: Any) -> None:
    """Failures go to stderr, the last line to stdout, for cron's mail."""
    lab.emulator()
    ended = lab.run("run", lab.manifest("one", "a forbidden emblem"), "-q")
    assert counts(ended.out.rstrip("\n")) == (1, 2, 1, 1, 0, 0)
    assert len(ended.err.splitlines()) == 1
    assert "a-forbidden-emblem: failed (" in ended.err


def test_a_folder_is_like_any_other_when_its_name_is_no_text(lab: Any) -> None:
    """Bytes that are no UTF-8 keep nobody from the report, and the command that is shown can be copied."""
    lab.emulator()
    ended = lab.run("run", lab.manifest("one"), "-o", os.fsdecode(b"caf\xe9 \x1b[1m"))
    assert (ended.code, "failed" in ended.err) == (0, False), ended.err
    assert (lab.path / os.fsdecode(b"caf\xe9 \x1b[1m") / "report.html").is_file()
    said = re.search(r"with its record: python -m pipeline (.*)\n", ended.out)
    assert said is not None, ended.out
    command = ["bash", "-c", f"{shell_word(sys.executable)} -m pipeline {said[1]}"]
    verified = subprocess.run(command, cwd=lab.path, env=lab.environment, capture_output=True, check=False)
    assert verified.returncode == 0, verified.stderr


def test_two_settings_files_are_refused_when_one_would_silently_hold_alone(lab: Any) -> None:
    """A budget in the first of them would be as if it had never been written."""
    emulator = lab.emulator()
    (lab.path / "budget.yaml").write_text("budget: 0.1\n")
    (lab.path / "slots.yaml").write_text("concurrency: 2\n")
    for command in ("run", "plan", "validate"):
        ended = lab.run(command, lab.manifest("one"), "-c", "budget.yaml", "--config", "slots.yaml")
        assert (ended.code, "-c was given more than once" in ended.err) == (2, True)
    assert emulator.bought().total() == 0


def test_a_refusal_is_said_once_when_the_folder_is_that_of_a_rehearsal(lab: Any) -> None:
    """What is asked afterwards, for the sake of paid tasks, does not complain a second time."""
    assert lab.run("run", lab.manifest("one"), "--rehearse", "--speed", "500").code == 0
    ended = lab.run("run", "shots.yaml", "-o", "outputs/shots-rehearsal")
    assert (ended.code, ended.err.count("is the folder of a rehearsal")) == (2, 1)
