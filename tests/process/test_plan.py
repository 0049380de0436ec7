"""`pipeline plan`, as a user types it: free, at once, true, and the same totals as a run begins with."""

import json
import re
from typing import Any

PROMPTS = ("the sea", "the dunes", "the robot", "the forest")
NOBODY = {"MODELVERSE_API_KEY": "", "MODELVERSE_ENDPOINT": "http://127.0.0.1:9"}
"""No key, and an endpoint where nobody listens."""


def plan(lab: Any, *options: str) -> dict[str, Any]:
    """The plan as JSON; nothing stands beside it."""
    ended = lab.run("plan", "shots.yaml", "--json", *options, **NOBODY)
    assert (ended.code, ended.err) == (0, "")
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_a_plan_needs_no_key_and_no_network(lab: Any) -> None:
    """It says what a run would buy and at what price, fits into eighty columns, and leaves nothing behind."""
    lab.manifest(*PROMPTS)
    before = sorted(lab.path.rglob("*"))
    ended = lab.run("plan", "shots.yaml", "--budget", "5", **NOBODY)
    assert (ended.code, ended.err) == (0, "")
    assert "to submit: 4 jobs" in ended.out
    assert "expected 3.60 CNY, at worst 5.76 CNY" in ended.out
    assert "prices: as published on 2026-03-24" in ended.out
    assert "caps: budget 5.00, at worst enough for 3 of 4" in ended.out
    assert max(map(len, ended.out.splitlines())) < 80
    assert sorted(lab.path.rglob("*")) == before


def test_a_run_begins_with_the_totals_of_its_plan(lab: Any) -> None:
    """The same sums on standard error before the first request, and in a JSON log as one object."""
    lab.emulator()
    lab.manifest(*PROMPTS)
    totals = plan(lab)["to_submit"]["totals"]
    assert totals == [{"currency": "CNY", "jobs": 4, "expected": "3.60", "worst": "5.76"}]
    ended = lab.run("run", "shots.yaml", "--limit", "1", "--progress", "none")
    assert ended.err.startswith(
        "to submit: 1 job, about 50.0 s\n  expected 0.90 CNY, at worst 1.44 CNY (prices of 2026-03-24)\n"
    )
    logged = lab.run("run", "shots.yaml", "--log-format", "json")
    priced = [event for line in logged.err.splitlines() if (event := json.loads(line))["event"] == "batch_priced"]
    assert (priced[0]["jobs"], priced[0]["totals"][0]["worst"]) == (3, "4.32")
    assert re.search(
        r"^cost: .* CNY for what ended in this run; in all .* \(prices of 2026-03-24\)$", logged.out, re.MULTILINE
    )
    assert "4 paid tasks (prices of 2026-03-24)" in lab.run("status", "outputs/shots").out


def test_money_is_the_same_while_a_run_goes_on_as_at_its_end(lab: Any) -> None:
    """What an earlier run left running is spent by the run in which it ends, and nothing is told twice or at worst."""
    lab.emulator(speed=60, spread=0)
    manifest = lab.manifest(*PROMPTS, concurrency=2)
    first = lab.run("run", manifest, "--max-runtime", "0.5s")
    assert (first.code, "0.00 CNY spent, 2.88 reserved, 1.80 to come" in first.err) == (3, True), first.err
    assert "0.00 CNY, 2.88 CNY reserved" in lab.run("status", "outputs/shots").out
    ended = lab.run("run", manifest, "--limit", "1")
    last = [line for line in ended.err.splitlines() if " to come" in line][-1]
    assert "; 2.70 CNY spent, 0.00 to come" in last
    assert "cost: 2.70 CNY for what ended in this run; in all spent: 2.70 CNY, 3 paid tasks" in ended.out
    third = lab.run("run", manifest)
    last = [line for line in third.err.splitlines() if " to come" in line][-1]
    assert last.endswith("0.90 CNY spent, 0.00 to come; 2.70 CNY before this run")
    assert "cost: 0.90 CNY for what ended in this run; in all spent: 3.60 CNY" in third.out


def test_a_run_buys_what_the_plan_said_when_the_folder_is_half_done(lab: Any) -> None:
    """Done, failed, waiting, changed and new rows: the number, the money, and the cap come true."""
    emulator = lab.emulator()
    lab.manifest(*PROMPTS[:3])
    lab.run("run", "shots.yaml", "--limit", "2")
    lab.manifest(PROMPTS[0], "the dunes", "the robot", *PROMPTS[3:])
    text = (lab.path / "shots.yaml").read_text().replace("prompt: the dunes", "prompt: the tall dunes")
    (lab.path / "shots.yaml").write_text(text)
    refused = lab.run("plan", "shots.yaml", **NOBODY)
    assert refused.code == 2
    assert "1 changed since they were enrolled" in refused.out
    assert lab.run("run", "shots.yaml").code == 2
    found = plan(lab, "--on-changed", "rerun", "--budget", "4.5")
    assert found["rows"] == {
        "new": 1, "changed": 1, "waiting": 1, "in_flight": 0, "done": 1, "failed": 0, "unknown": 0,
    }  # fmt: skip
    assert (found["to_submit"]["jobs"], found["caps"]["affordable_jobs"]) == (3, 1)
    bought = emulator.bought().total()
    ended = lab.run("run", "shots.yaml", "--on-changed", "rerun", "--budget", "4.5", "--concurrency", "1")
    assert ended.code == 3
    assert emulator.bought().total() - bought >= found["caps"]["affordable_jobs"]
    spent = json.loads(lab.run("status", "outputs/shots", "--json").out)["spending"][0]
    assert float(spent["at_most"]) <= 4.5
    assert "the next job could exceed the budget of 4.50 CNY" in ended.out


def test_a_plan_may_be_made_while_a_run_holds_the_folder(lab: Any) -> None:
    """It reads one moment of the ledger, and waits for nobody."""
    lab.emulator(speed=1.0)
    lab.manifest(*PROMPTS)
    running = lab.start("run", "shots.yaml", "--concurrency", "2", "--log-format", "json")
    assert running.wait_for(lambda event: event["event"] == "job_moved" and event["state"] == "running", 2)
    found = plan(lab)
    assert (found["rows"]["in_flight"], found["rows"]["waiting"]) == (2, 2)
    assert found["spending"][0]["reserved"] == "2.88"


def test_a_budget_that_cannot_be_kept_is_refused_by_plan_and_run(lab: Any) -> None:
    """A job of unknown price: exit 2 from both, with the same sentence, and nothing was submitted."""
    emulator = lab.emulator()
    (lab.path / "shots.yaml").write_text(
        "version: 1\njobs:\n  - {id: a, model: kling-v3, input: {prompt: x}, "
        "parameters: {mode: std, sound: 'off', duration: 5}}\n"
    )
    planned, ran = (lab.run(command, "shots.yaml", "--budget", "50") for command in ("plan", "run"))
    assert (planned.code, ran.code) == (2, 2)
    for said in (planned.out, ran.err):
        assert "budget cannot be kept: 1 job without a known price, first a (shots.yaml:3)" in said.replace("\n  ", " ")
    assert emulator.bought().total() == 0
    assert lab.run("plan", "shots.yaml", "--budget", "50", "--allow-unpriced").code == 0


def test_a_budget_is_an_amount_and_nothing_else(lab: Any) -> None:
    """What is no amount ends in a sentence, wherever it stands."""
    lab.manifest(*PROMPTS)
    for wrong in ("nan", "-1", "inf", "1e308", "1e99999999999", "5 CNY", "", "0x10", "9" * 5000):
        ended = lab.run("plan", "shots.yaml", "--budget", wrong, **NOBODY)
        assert (ended.code, ended.out) == (2, ""), wrong
        assert ended.err.startswith("pipeline: "), ended.err
        assert len(ended.err) < 300
    for right in ("0", "0.0000001", "1e3", "1000000000", " 7 "):
        assert lab.run("plan", "shots.yaml", "--budget", right, **NOBODY).code == 0, right
    lab.manifest(*PROMPTS, budget="much")
    ended = lab.run("plan", "shots.yaml", **NOBODY)
    assert (ended.code, ended.out) == (2, "")
    assert "run.budget" in ended.err
