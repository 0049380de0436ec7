"""What happens beside a run of the real command: everything at once, everything failing, signals and kills."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.ledger import LedgerReader
from tests.process.aftermath import FOLDER
from tests.process.conftest import SECRET
from tests.process.double import Host, send
from tests.process.test_bad_disk import SmallDisk

PROMPTS = ("wave one", "a forbidden emblem", "wave two")
TELL = 'cat >> told.jsonl; env >> environment; echo "$VIDEO_BATCH_EVENT ${VIDEO_BATCH_JOB_ID:-}" >> told'


@pytest.fixture
def webhook() -> Iterator[tuple[Host, list[Any]]]:
    """A webhook, and what it got."""
    got: list[Any] = []

    def hear(handler: Any) -> None:
        got.append(json.loads(handler.rfile.read(int(handler.headers["Content-Length"]))))
        send(handler, 204)

    with Host(hear) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield host, got
        host.shutdown()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Named before `lab`, so that the lab still finds what was written there."""
    disk = SmallDisk(tmp_path / "small")
    yield disk
    disk.unmount()


def config(lab: Any, **settings: Any) -> str:
    """A settings file."""
    (lab.path / "settings.yaml").write_text(yaml.safe_dump(settings))
    return "settings.yaml"


def lines(lab: Any, name: str) -> list[str]:
    file = lab.path / name
    return file.read_text().splitlines() if file.exists() else []


def pids(lab: Any) -> list[int]:
    """Of the commands that wrote theirs down."""
    return [int(line) for line in lines(lab, "pids")]


def alive(pid: int) -> bool:
    """Whether a process is there that is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- all of it ---------------------------------------------------------------------------------------------------------


@pytest.mark.both_loops
def test_everything_happens_when_everything_is_asked_for(lab: Any, webhook: Any) -> None:
    """Every job and the end are told of, each video has its sidecar, the metrics are whole, nobody sees the key."""
    host, got = webhook
    lab.emulator()
    notify = {"webhook": f"{host.url}/hidden-path", "apprise": [f"json://127.0.0.1:{host.server_port}/hidden-path"]}
    settings = config(lab, sidecar=True, metrics_file="m.prom", on_job=TELL, on_finish=TELL, notify=notify)
    ended = lab.run("run", lab.manifest(*PROMPTS), "-c", settings, "--log-format", "json")
    assert ended.code == 1
    assert "extra_failed" not in ended.err
    told = sorted(lines(lab, "told"))
    assert told == [
        "job_ended a-forbidden-emblem",
        "job_ended wave-one",
        "job_ended wave-two",
        "run_finished ",
    ]
    facts = [json.loads(line) for line in lines(lab, "told.jsonl")]
    by_job = {fact["job_id"]: fact for fact in facts if "job_id" in fact}
    assert by_job == {line["job_id"]: line for line in lab.results()}
    by_webhook = next(one for one in got if one.get("event") == "run_finished")
    assert facts[-1] | {"ended_at": ""} == by_webhook | {"ended_at": ""}
    assert re.search(rf"cd {lab.path} && .*pipeline run shots.yaml .*--retry-failed$", by_webhook["next"])
    assert len(got) == 2
    environment = (lab.path / "environment").read_text()
    assert "MODELVERSE_ENDPOINT=" in environment
    assert "MODELVERSE_API_KEY" not in environment
    assert "hidden-path" not in ended.out + ended.err + environment
    for job in ("wave-one", "wave-two"):
        sidecar = json.loads((lab.path / FOLDER / f"videos/{job}.mp4.json").read_text())
        assert sidecar["file"]["sha256"] == by_job[job]["files"][0]["sha256"]
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families((lab.path / "m.prom").read_text())
        for sample in family.samples
    }
    folder = ("folder", str(lab.path / FOLDER))
    assert samples["pipeline_jobs", folder, ("state", "done")] == 2
    assert samples["pipeline_last_run_exit_code", folder] == 1
    assert samples["pipeline_run_in_progress", folder] == 0
    assert samples["pipeline_stage_seconds_count", folder, ("stage", "whole")] == 2


def test_the_second_run_says_little_when_nothing_is_to_be_done(lab: Any, webhook: Any) -> None:
    """No job is told of again, nobody is notified, and the metrics know the success."""
    host, got = webhook
    lab.emulator()
    settings = config(lab, metrics_file="m.prom", on_job=TELL, notify={"webhook": host.url})
    command = ("run", lab.manifest("wave one"), "-c", settings)
    assert lab.run(*command).code == 0
    assert [one["exit_code"] for one in got] == [0]
    assert lab.run(*command).code == 0
    assert len(got) == 1
    assert lines(lab, "told") == ["job_ended wave-one"]
    assert "pipeline_last_success_timestamp_seconds{" in (lab.path / "m.prom").read_text()


def test_a_program_has_the_same_when_it_runs_a_manifest(lab: Any) -> None:
    """The library goes through the same door, and its iteration ends without cutting what is beside it short."""
    lab.emulator()
    lab.manifest("wave one", "wave two")
    program = """
import asyncio, pipeline
async def main():
    async with pipeline.run("shots.yaml", sidecar=True, on_job={tell!r}, on_finish={tell!r}) as batch:
        async for result in batch:
            print(result.job_id)
asyncio.run(main())
"""
    code = program.format(tell=f"sleep 0.5; {TELL}")
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=lab.path, env=lab.environment, capture_output=True, check=True
    )
    assert ended.stderr == b""
    assert sorted(lines(lab, "told")) == ["job_ended wave-one", "job_ended wave-two", "run_finished "]
    assert len(list((lab.path / FOLDER / "videos").glob("*.mp4.json"))) == 2


def test_nothing_is_left_when_a_program_is_cancelled(lab: Any) -> None:
    """Also while it waits for what belongs to the end: no command goes on, and Python has nothing to say."""
    lab.emulator()
    lab.manifest("wave one")
    program = """
import asyncio, pathlib, pipeline
async def run():
    async with pipeline.run("shots.yaml", on_finish="echo $$ >> pids; sleep 1000", hook_timeout=500) as batch:
        async for result in batch:
            pass
async def main():
    running = asyncio.create_task(run())
    while not pathlib.Path("pids").exists():
        await asyncio.sleep(0.02)
    running.cancel()
    await asyncio.wait([running])
    print(running.cancelled(), len(asyncio.all_tasks()))
asyncio.run(main())
"""
    began = time.monotonic()
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=lab.path, env=lab.environment, capture_output=True, check=True, timeout=30)
    assert (ended.stdout, ended.stderr) == (b"True 1\n", b"")
    assert time.monotonic() - began < 20
    assert not any(map(alive, pids(lab)))


@pytest.mark.parametrize("setting", ["metrics_file", "notify"])
def test_nothing_is_submitted_when_a_library_is_missing(lab: Any, setting: str) -> None:
    """Exit 2 and the command that installs it, before a folder is made."""
    emulator = lab.emulator()
    shadow = lab.path / "shadow"
    shadow.mkdir()
    hidden = "import sys\nfor name in ('apprise', 'prometheus_client'):\n    sys.modules[name] = None\n"
    (shadow / "sitecustomize.py").write_text(hidden)
    value = {"apprise": ["feishu://0123456789abcdef"]} if setting == "notify" else "m.prom"
    path = f"{shadow}{os.pathsep}{lab.environment['PYTHONPATH']}"
    ended = lab.run("run", lab.manifest("wave"), "-c", config(lab, **{setting: value}), PYTHONPATH=path)
    assert ended.code == 2
    assert re.search(r"pip install 'video-batch-pipeline\[(metrics|notify)\]'", ended.err)
    assert "0123456789abcdef" not in ended.err
    assert not (lab.path / FOLDER).exists()
    assert emulator.bought() == {}


# -- all of it failing -------------------------------------------------------------------------------------------------

HOOKS = {
    "exits": "echo no bucket; exit 3",
    "sleeps": "echo $$ >> pids; sleep 1000",
    "forks": "sleep 1000 & echo $! >> pids; sleep 1000 & echo $! >> pids",
    "prints": "head -c 1000000000 /dev/zero",
    "closes": "exec 0<&- 1>&- 2>&-; exit 1",
    "kills its group": "kill -KILL 0",
}


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_the_run_is_the_same_when_a_hook_misbehaves(lab: Any, hook: str) -> None:
    """Every video comes, the exit code is the run's, what the hook has started is gone, and the log says it once."""
    emulator = lab.emulator()
    settings = config(lab, on_job=hook, on_finish=hook, hook_timeout=2)
    ended = lab.run("run", lab.manifest("wave one", "wave two"), "-c", settings)
    assert (ended.code, ended.last.split(" in ")[0]) == (
        0,
        "pipeline: exit 0: 2 jobs: 2 done, 0 failed, 0 unknown, 0 remaining",
    )
    assert not any(map(alive, pids(lab)))
    assert ended.err.count("on_job failed, and the run goes on: ") <= 2
    assert emulator.bought() == {"wave one": 1, "wave two": 1}


WEBHOOKS = {
    "hangs": lambda handler: handler.server.closing.wait(30),
    "breaks": lambda handler: handler.connection.close(),
    "fails": lambda handler: send(handler, 500, b"hidden-path"),
    "redirects": lambda handler: send(handler, 307, Location="http://127.0.0.1:1/hidden-path"),
}


@pytest.mark.parametrize("answer", WEBHOOKS.values(), ids=WEBHOOKS)
def test_the_run_is_the_same_when_a_webhook_misbehaves(lab: Any, answer: Any) -> None:
    """Its exit code is its own, and nobody learns the address."""
    lab.emulator()
    with Host(answer) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        settings = config(lab, notify={"webhook": f"{host.url}/hidden-path"})
        ended = lab.run("run", lab.manifest("wave one"), "-c", settings)
        host.closing.set()
        host.shutdown()
    assert ended.code == 0
    assert "notify failed, and the run goes on: the webhook " in ended.err
    assert "hidden-path" not in ended.out + ended.err
    assert str(host.server_port) not in ended.out + ended.err


@pytest.mark.parametrize("place", ["full disk", "no folder", "a device", "a folder"])
def test_the_run_is_the_same_when_metrics_cannot_be_written(small_disk: SmallDisk, lab: Any, place: str) -> None:
    """It is told, and what was there stays."""
    lab.emulator()
    file = {"no folder": "no/m.prom", "a device": "/dev/null"}.get(place, "small/m.prom")
    if place == "full disk":
        small_disk.mount("size=16k")
        (lab.path / "small/filler").write_bytes(b"x" * 12_000)
    if place == "a folder":
        (lab.path / file).mkdir()
    ended = lab.run("run", lab.manifest("wave one"), "--metrics-file", file)
    assert ended.code == 0
    assert "metrics failed, and the run goes on: " in ended.err
    assert Path("/dev/null").is_char_device()
    if place == "full disk":
        assert "No space left on device" in ended.err
        assert [one.name for one in (lab.path / "small").iterdir()] == ["filler"]


# -- signals and kills -------------------------------------------------------------------------------------------------


def test_the_process_ends_in_time_when_hooks_hang(lab: Any) -> None:
    """Ten seconds after the first signal, whatever sleeps: in a command for a job, in the last one, in a webhook."""
    lab.emulator(speed=40, trouble=[{"at": "submit", "do": "slow", "seconds": 60, "nth": [3], "accepted": True}])
    hang = "echo $$ >> pids; echo $VIDEO_BATCH_EVENT >> told; sleep 1000"
    with Host(WEBHOOKS["hangs"]) as host:
        threading.Thread(target=host.serve_forever, daemon=True).start()
        settings = config(lab, on_job=hang, on_finish=hang, notify={"webhook": host.url}, metrics_file="m.prom")
        process = lab.start("run", lab.manifest(*(f"wave {n}" for n in range(6)), concurrency=3), "-c", settings)
        wait_until(lambda: lines(lab, "told"))
        asked_at = time.monotonic()
        process.send(signal.SIGTERM)
        assert process.wait() == 3
        took = time.monotonic() - asked_at
        host.closing.set()
        host.shutdown()
    assert 8 < took < 10  # the answer that is still out has all of its grace
    assert lines(lab, "told")[-1] == "run_finished"
    assert not any(map(alive, pids(lab)))
    assert "pipeline_last_run_exit_code" in (lab.path / "m.prom").read_text()


def test_the_process_ends_at_once_when_it_is_told_twice(lab: Any) -> None:
    """In the middle of its end, too."""
    lab.emulator()
    settings = config(lab, on_finish="echo $$ >> pids; sleep 1000", hook_timeout=500)
    process = lab.start("run", lab.manifest("wave one"), "-c", settings)
    wait_until(lambda: pids(lab))
    process.send(signal.SIGTERM)
    process.send(signal.SIGINT)
    asked_at = time.monotonic()
    assert process.wait() == 0
    assert time.monotonic() - asked_at < 4
    assert not any(map(alive, pids(lab)))


def test_every_job_is_told_of_when_the_run_was_killed(lab: Any) -> None:
    """At least once over the two runs, and those that were told of before the kill no more."""
    lab.emulator(speed=60)
    prompts = [f"wave {number}" for number in range(8)]
    wait = "while [ ! -e go ]; do sleep 0.05; done"
    first = f'echo $$ >> pids; [ "$(wc -l < pids)" -gt 2 ] && {{ {wait}; }}; {TELL}'
    command = ("run", lab.manifest(*prompts, concurrency=2), "--log-format", "json")
    process = lab.start(*command, "--on-job", first)
    wait_until(lambda: len(pids(lab)) >= 6)
    process.end(signal.SIGKILL)
    (lab.path / "go").touch()
    wait_until(lambda: not any(map(alive, pids(lab))))
    before = set(lines(lab, "told"))
    assert lab.run(*command, "--on-job", TELL, "--sidecar").code in {0, 5}
    told = lines(lab, "told")
    assert set(told) == {f"job_ended {prompt.replace(' ', '-')}" for prompt in prompts}
    assert len(told) <= len(prompts) + 4
    assert before
    with LedgerReader(lab.path / FOLDER) as reader:
        for _, file in reader.files():
            assert (lab.path / FOLDER / f"{file.path}.json").is_file()


def test_no_secret_of_a_hook_is_sent_when_it_stands_in_a_flag(lab: Any, webhook: Any) -> None:
    """The command that goes on is sent with its own commands left out: they may hold tokens."""
    host, got = webhook
    lab.emulator()
    settings = config(lab, notify={"webhook": host.url})
    arguments = ("--on-job", "true s3cr3t", "--on-finish=true s3cr3t", "--retry-failed")
    assert lab.run("run", lab.manifest("a forbidden emblem"), "-c", settings, *arguments).code == 1
    assert "s3cr3t" not in json.dumps(got)
    assert "…" not in got[0]["next"]
    words, _, command = got[0]["next"].partition(": ")
    assert words.endswith(" (with your --on-job and --on-finish, left out here)")
    assert re.fullmatch(rf"cd {lab.path} && .*pipeline run shots.yaml -c \S+ --retry-failed", command)
    assert SECRET not in json.dumps(got)


def test_the_same_is_next_for_a_hook_as_on_the_screen_when_the_budget_stops_a_run(lab: Any) -> None:
    """Not the command that has just stopped, but one with a budget that is enough for all that is left."""
    lab.emulator()
    settings = config(lab, on_finish='printf %s "$VIDEO_BATCH_NEXT" >next')
    ended = lab.run("run", lab.manifest("sea", "sky", "sand"), "-c", settings, "--budget", "1")
    assert ended.code == 3
    (line,) = [line for line in ended.out.splitlines() if line.startswith("next, ")]
    words, _, command = line.removeprefix("next, ").partition(": ")
    assert words == "with enough for all that is left"
    assert command.endswith(" --budget 4.32")
    assert (lab.path / "next").read_text() == f"{words}: cd {lab.path} && {command}"


def wait_until(condition: Any) -> None:
    """Wait for something that other processes bring about."""
    until = time.monotonic() + 25
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
