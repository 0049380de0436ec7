"""What others are told about a run that has ended."""

import json
from dataclasses import replace
from pathlib import Path

from pipeline.core.jobs import Failure, JobState, Outcome, Record, Stage
from pipeline.core.money import Spending
from pipeline.engine.desk import Stop
from pipeline.ledger import FailureGroup, UnknownJob
from pipeline.views.facts import RunEnd, as_json, headline, run_facts, text
from pipeline.views.hooks import run_variables
from tests.unit.ends import about, make_job

LOST = Outcome(JobState.UNKNOWN, (), Failure(Stage.SUBMIT, "timeout", "no answer"))
UNKNOWN = UnknownJob(Record(make_job("lost-1"), JobState.UNKNOWN, 1, outcome=LOST), 100.0, "ab" * 32, "https://api")
END = RunEnd(
    about=about(Path("/srv/outputs/night shots")),
    exit_code=5,
    started_at=1.0,
    ended_at=61.0,
    counts={JobState.DONE: 10, JobState.FAILED: 2, JobState.UNKNOWN: 1},
    ended={JobState.DONE: 3},
    moved=True,
    failures=[FailureGroup("generate", "moderation", 2, "wave-1", "refused \x1b[31m\nand more " + "x" * 900)],
    unknown=[UNKNOWN],
    spending=[Spending("CNY", tasks=13, spent=9_000_000)],
)
FINE = replace(END, exit_code=0, counts={JobState.DONE: 10}, failures=(), unknown=(), spending=())


def test_the_message_is_short_when_a_run_has_ended() -> None:
    """Where, how, why, at what cost, and what to do: a line each, none of which steers a terminal."""
    lines = text(END).splitlines()
    assert lines[0] == "night shots: exit 5: 10 done, 2 failed, 1 unknown, 0 remaining"
    assert lines[1].startswith("2 × moderation at generate, first wave-1: refused \\x1b[31m\\nand more xxx")
    assert lines[2] == "unknown: lost-1, may have been paid for"
    assert lines[3] == "spent: 9.00 CNY, 12 paid tasks, 1 unknown"
    assert lines[4].startswith(
        "next, to decide about lost-1: cd / && pipeline resolve '/srv/outputs/night shots' lost-1 --task-id ID "
    )
    assert len(lines) == 5
    assert all(len(line) < 300 and line.isprintable() for line in lines)


STOP = Stop("deadline", "this run was given 5 s")


def test_the_next_step_is_that_of_the_summary_when_a_run_is_told_of_elsewhere() -> None:
    """What comes again unpaid is not bought again; after a budget stop, the budget that is enough is told."""
    again = FailureGroup("download", "link_expired", 2, "sea", "gone", comes_again=2)
    failed = replace(FINE, exit_code=1, counts={JobState.FAILED: 2}, failures=[again])
    words = "to download 2 jobs again, which costs nothing"
    assert run_variables(failed)["NEXT"] == f"{words}: cd / && pipeline run shots.yaml --budget 3"
    stop = Stop("budget", "the next job could exceed the budget", enough="--budget 16.20")
    stopped = replace(FINE, exit_code=3, counts={JobState.QUEUED: 9}, stops=(stop,))
    command = "cd / && pipeline run shots.yaml --budget 16.20"
    assert run_facts(stopped)["next"] == f"with enough for all that is left: {command}"
    assert text(stopped).splitlines()[-1] == f"next, with enough for all that is left: {command}"
    assert text(FINE).splitlines()[-1].startswith("next: nothing; to compare every video with its record: cd / && ")


def test_nobody_pays_when_it_was_a_rehearsal() -> None:
    """A rehearsal says so in the first line, and names no cost."""
    rehearsed = replace(END, about=replace(END.about, rehearsal=True))
    assert headline(rehearsed).startswith("night shots (a rehearsal): exit 5: ")
    assert "cost: none, this was a rehearsal" in text(rehearsed)


def test_the_facts_are_whole_when_a_machine_reads_them() -> None:
    """One line of ASCII, schema 1: counts of the folder and of the run, money, first reasons, and the next step."""
    end = replace(END, stops=(STOP,))
    content = as_json(run_facts(end))
    assert content.isascii()
    assert content.count(b"\n") == 1
    facts = json.loads(content)
    assert facts["jobs"] == {state: END.counts.get(state, 0) for state in JobState}
    assert facts["ended"] == {"done": 3, "failed": 0, "unknown": 0}
    assert facts["stopped"] == [{"reason": "deadline", "message": "this run was given 5 s"}]
    assert (facts["schema"], facts["event"], facts["exit_code"], facts["error"]) == (1, "run_finished", 5, None)
    assert facts["started_at"] == "1970-01-01T00:00:01.000Z"
    assert [failure["code"] for failure in facts["failures"]] == ["moderation"]
    assert facts["unknown"] == [
        {"job_id": "lost-1", "attempt": 1, "sent_at": "1970-01-01T00:01:40.000Z", "task_id": None}
    ]
    assert facts["cost"][0]["spent"] == "9.00"
    assert (facts["next"], facts["text"]) == (end.next.text, text(end))
